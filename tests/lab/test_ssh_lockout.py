# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever goes wrong while sshd's settings change: the host is reachable again over SSH, on what was confirmed last, and nobody needed a console.

A real host, a real ansible-playbook, real SSH. A change is held in its window by a probe that never connects (`held`). What is refused must not
have touched a file, nor let sshd read any anew. The ends of temporary access: test_ssh_temporary.py.
"""

from __future__ import annotations

import contextlib
import functools
import pathlib
import shlex
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from extra import ExtraHost, extra_host
from sshlab import (
    CONTENTS,
    DIRECTORY,
    DROP_IN,
    GOOD,
    MAIN,
    OPERATORS,
    OTHER,
    PATIENCE,
    PLACE,
    SNAPSHOT,
    UNIT,
    WINDOW,
    Controller,
    Scenarios,
    armed,
    assert_safe,
    effective,
    file,
    kill,
    listening,
    open_session,
    pending,
    reachable,
    rolled_back,
    ssh,
    task,
    wait_until,
)

FOREIGN = f"{DIRECTORY}/50-theirs.conf"


def with_settings(**settings: t.Any) -> dict[str, t.Any]:
    """GOOD with further settings."""
    return {**GOOD, "settings": {**GOOD["settings"], **settings}}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[list[tuple[ExtraHost, Controller]]]:
    """Hosts that are alike, each with an operator's machine of its own."""
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(extra_host(f"ssh{number}", 1 + number)) for number in (1, 2, 3)]
        yield [(host, Controller(tmp_path_factory.mktemp("controller"), host)) for host in hosts]


@pytest.fixture(scope="module")
def refusing(pairs: list[tuple[ExtraHost, Controller]]) -> ExtraHost:
    """The first of them, while nobody was on it before."""
    return pairs[0][0]


# refused before anything is touched


@dataclass(frozen=True)
class Refusal:
    """What is refused, on a host that was made so, and what is told."""

    name: str
    told: str | tuple[str, ...]
    arguments: dict[str, t.Any] = field(default_factory=lambda: GOOD)
    before: str = "true"  # makes the host so
    after: str = "true"  # and takes it back
    variables: dict[str, t.Any] = field(default_factory=dict)
    tried: bool = False  # it can't be known before; nothing is left of it


def foreign(text: str, path: str = FOREIGN) -> dict[str, str]:
    """A file of somebody else's."""
    return {"before": f"printf '{text}' >{path}", "after": f"rm {path}"}


KEYS = "/home/ansible/.ssh/authorized_keys"
FULL = "mount -t tmpfs -o size=16k none %s && dd if=/dev/zero of=%s/full bs=4k 2>/dev/null; true"

REFUSALS = [
    Refusal("no key", "the user ansible has none (AuthorizedKeysFile", before=f"mv {KEYS} {KEYS}.kept", after=f"mv {KEYS}.kept {KEYS}"),
    Refusal(
        "only comments in the place of keys",
        "the user ansible has none",
        before=f"mv {KEYS} {KEYS}.kept; sed 's/^/# /' {KEYS}.kept >{KEYS}",
        after=f"mv {KEYS}.kept {KEYS}",
    ),
    Refusal("keys that others may write", "authorized_keys has mode 0666", before=f"chmod 666 {KEYS}", after=f"chmod 600 {KEYS}"),
    Refusal("a home that others may write", "/home/ansible has mode 0777", before="chmod 777 /home/ansible", after="chmod 755 /home/ansible"),
    Refusal("keys in another place", "AuthorizedKeysFile /etc/ssh/keys/%u", with_settings(AuthorizedKeysFile="/etc/ssh/keys/%u")),
    Refusal(
        "the bastion's address is wrong",
        "this SSH session came as ansible from 203.0.113.1, and sshd would let only these in: operators: 203.0.113.11",
        {**GOOD, "networks": {"operators": ["203.0.113.11"]}},
    ),
    Refusal("the other family only", "would let only these in", {**GOOD, "networks": {"operators": OPERATORS[1:]}}),
    Refusal("an empty group", "networks: it names no address", {**GOOD, "networks": {"operators": []}}),
    Refusal("others alone may log in", "AllowUsers (root) does not name the user ansible", with_settings(AllowUsers="root")),
    Refusal("we may, from elsewhere", "AllowUsers (ansible@192.0.2.*) does not name", with_settings(AllowUsers="ansible@192.0.2.*")),
    Refusal("our group may not", "DenyGroups ansible keeps the user ansible out", with_settings(DenyGroups=["nogroup", "ansible"])),
    Refusal("no key may be used", "no way of authentication is left", with_settings(PubkeyAuthentication=False, KbdInteractiveAuthentication=False)),
    Refusal(
        "further users may log in, says a Match block",
        f"{FOREIGN}:2: allowusers bob (Match User bob) would let further users in, beside ours",
        with_settings(AllowUsers=["ansible"]),
        **foreign("Match User bob\\n  AllowUsers bob\\n"),
    ),
    Refusal("no algorithm is left", "KexAlgorithms -* leaves nothing, and then sshd takes its whole list", with_settings(KexAlgorithms="-*")),
    Refusal("no host key is left", "no host key would be left: this host has ", with_settings(HostKeyAlgorithms="-*ed25519*,*rsa*,ecdsa-*")),
    Refusal(
        "we are let in for a while only",
        "you would be locked out later: this SSH session came as ansible from 203.0.113.1, which is let in for a while only",
        {**GOOD, "networks": {"bastion": ["203.0.113.10"]}, "temporary": {"networks": OPERATORS, "until": "2099-01-01T00:00:00Z"}},
    ),
    Refusal("a locked account without PAM", "UsePAM is no", with_settings(UsePAM=False)),
    Refusal("others alone, says a file not loaded yet", "AllowUsers (somebody) does not name the user ansible", **foreign("AllowUsers somebody\\n")),
    Refusal("our group may not, says a file not loaded yet", "DenyGroups ansible keeps", **foreign("DenyGroups ansible\\n")),
    Refusal("a foreign file is broken", f"{FOREIGN}: line 1: Bad configuration option: PermitRotLogin", **foreign("PermitRotLogin no\\n")),
    Refusal(
        "the main file is broken",
        f"{MAIN} line 2: MaxSessions",
        before=f"cp -a {MAIN} /run/kept; sed -i '2iMaxSessions many' {MAIN}",
        after=f"cp -a /run/kept {MAIN}",
    ),
    Refusal("the main file is gone", f"{MAIN} is not there", before=f"mv {MAIN} /run/kept", after=f"mv /run/kept {MAIN}"),
    Refusal("sshd is gone", "install OpenSSH's server", before="mv /usr/sbin/sshd /usr/sbin/sshd.kept", after="mv /usr/sbin/sshd.kept /usr/sbin/sshd"),
    Refusal("no such keyword", "line 12 (PermitRotLogin no)", with_settings(PermitRotLogin=False)),
    Refusal("no such value", "line 12 (LogLevel LOUD)", with_settings(LogLevel="LOUD")),
    Refusal("no such algorithm", "line 12 (Ciphers rot13)", with_settings(Ciphers="rot13")),
    Refusal("no such value of what may be unknown", "settings_if_known", {**GOOD, "settings_if_known": {"LogLevel": "LOUD"}}),
    Refusal("a block that is none", "line 9 (Match Usr deploy)", {**GOOD, "exempt": [{"match": "Usr deploy", "settings": {"PermitTTY": False}}]}),
    Refusal(
        "all that options can't be",
        (
            "networks.operators: 203.0.113.10/24 is no address and no network: 203.0.113.10/24 has host bits set",
            "networks.operators: bastion1 is no address",
            "networks: 'strangers\\nMatch all' is no name",
            "settings.Banner: 'none\\nPasswordAuthentication yes' must be one line of text",
            "settings.AcceptEnv: ['LANG', 'LC_*\\nPermitRootLogin yes'] must be one line of text",
            "settings.Match: Match can't be set here",
            "settings_if_known.match: match can't be set here",
            "no keyword of sshd_config",
            "passwordauthentication is set twice",
            "exempt[0].match: 'all\\nMatch all' must be the criteria of one Match line",
            "exempt[1].settings.Include: Include can't be set here",
            "temporary.until: 2026-02-30T12:00:00Z must be a time",
            "temporary.networks: it names no address",
        ),
        {
            "networks": {"operators": [*OPERATORS, "203.0.113.10/24", "bastion1"], "strangers\nMatch all": ["192.0.2.1"]},
            "settings": {
                "Banner": "none\nPasswordAuthentication yes",
                "AcceptEnv": ["LANG", "LC_*\nPermitRootLogin yes"],
                "Match": "all",
                "PermitTTY no\nMatch": "all",
                "PasswordAuthentication": False,
                "passwordauthentication": True,
            },
            "settings_if_known": {"match": "all"},
            "exempt": [{"match": "all\nMatch all", "settings": {"PermitTTY": False}}, {"match": "all", "settings": {"Include": "/tmp/x"}}],
            "temporary": {"networks": [], "until": "2026-02-30T12:00:00Z"},
        },
    ),
    Refusal("an account without a key", "users: nobody could not log in", {**GOOD, "users": ["ansible", "nobody"]}),
    Refusal("an account that is not there", "users: nobodyatall could not log in: there is no such account", {**GOOD, "users": ["nobodyatall"]}),
    Refusal(
        "root, as root",
        "PermitRootLogin is no, and this is root's account",
        with_settings(PermitRootLogin=False),
        before=f"mkdir -pm 700 /root/.ssh && cp {KEYS} /root/.ssh/ && chown -R root: /root/.ssh",
        after="rm -r /root/.ssh",
        variables={"ansible_user": "root"},
    ),
    Refusal(
        "the command line says otherwise",
        # What may stand in a block beats the command line there. (A title does not show the quotes.)
        "LoginGraceTime would be '300', not '30', in force: it is an option of sshd's command line (-o LoginGraceTime=300 -o AcceptEnv LANG TZ",
        with_settings(LoginGraceTime=30),
        before="""sed -i 's/^SSHD_OPTS=.*/SSHD_OPTS="-o LoginGraceTime=300 -o \\\\"AcceptEnv LANG TZ\\\\" -o PasswordAuthentication=yes"/' /etc/default/ssh
            systemctl restart ssh""",
        after="sed -i 's/^SSHD_OPTS=.*/SSHD_OPTS=/' /etc/default/ssh; systemctl restart ssh",
    ),
    Refusal("another port than planned", "not on 2222 as planned", {**GOOD, "ports": [2222]}),
    Refusal("a port moved and not reloaded", "its reload would move it away from the port planned", **foreign("Port 2222\\n")),
    Refusal(
        "an address moved and not reloaded",
        "its reload would move it away from there (see /etc/ssh/sshd_config.d/50-theirs.conf:1: listenaddress",
        **foreign("ListenAddress 127.0.0.1\\n"),
    ),
    Refusal(
        "an address that nobody has, moved to and not reloaded",
        "listens on 192.0.2.77:22, though it still takes connections on 203.0.113",
        {**GOOD, "ports": []},
        **foreign("ListenAddress 192.0.2.77\\n"),
    ),
    Refusal("a state directory in no directory", "state_dir: there is no directory /no/such", {**GOOD, "state_dir": "/no/such/place"}),
    Refusal("a state directory that is none", "state_dir", {**GOOD, "state_dir": "/var/lib/port map"}),
    Refusal("no room for a drop-in", "No space left on device", before=FULL % (DIRECTORY, DIRECTORY), after=f"umount {DIRECTORY}", tried=True),
    Refusal(
        "no room for its record",
        "No space left on device",
        before="mkdir /var/lib/full && " + FULL % ("/var/lib/full", "/var/lib/full"),
        arguments={**GOOD, "state_dir": "/var/lib/full/portmap"},
        after="umount /var/lib/full; rmdir /var/lib/full",
        tried=True,
    ),
    Refusal("a window too short", "confirm_timeout: 4", {**GOOD, "confirm_timeout": 4}),
]


@pytest.fixture(scope="module")
def refused(pairs: list[tuple[ExtraHost, Controller]]) -> dict[str, list[dict[str, t.Any]]]:
    """What came of each: the files before, the answer, the files after."""
    tasks: list[dict[str, t.Any]] = []
    for case in REFUSALS:
        tasks += [
            {"ansible.builtin.raw": f"{{ {case.before}; }} >&2; {SNAPSHOT}", "check_mode": False},
            {**task(case.arguments), "vars": case.variables},
            {"ansible.builtin.raw": f"{SNAPSHOT}; {{ {case.after}; }} >&2", "check_mode": False},
        ]
    answers = pairs[0][1].answers(tasks)
    return {case.name: answers[3 * number : 3 * number + 3] for number, case in enumerate(REFUSALS)}


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_refused_and_nothing_touched(refused: dict[str, list[dict[str, t.Any]]], case: Refusal) -> None:
    before, answer, after = refused[case.name]
    assert answer["failed"], answer
    for told in (case.told,) if isinstance(case.told, str) else case.told:
        assert told in answer["msg"], answer["msg"]
    assert "Traceback" not in str(answer), answer
    lines = [[line for line in one["stdout_lines"] if not (case.tried and " d " in line)] for one in (before, after)]
    assert lines[0] == lines[1]


def test_the_host_after_all_that_was_refused(refusing: ExtraHost, refused: t.Any) -> None:
    assert reachable(refusing)
    assert file(refusing, DROP_IN) is None and not pending(refusing) and not armed(refusing)
    assert refusing.run("ls", "/var/lib/portmap", "/var/lib/portmap.lock", check=False).stdout == ""


# undone by the host itself


GOOD_DROP_IN = """\
# Written by Ansible (alfred.portmap.sshd). Changes made here are undone by its next run.
# The first value that sshd finds is in force: this has to be the first file that it reads.

# Who may log in from where:
#   operators: 203.0.113.1, 2001:db8:1::1
Match Address *,!203.0.113.1,!2001:db8:1::1
    DenyUsers *

Match all
    PasswordAuthentication no
    X11Forwarding no
    Banner none
"""
OTHER_DROP_IN = GOOD_DROP_IN.replace("    Banner", "    MaxAuthTries 5\n    Banner")
BACK = "the state of before is in force again"


def ready(host: ExtraHost, controller: Controller) -> None:
    """GOOD is confirmed, and nothing is left of another test."""
    for name in ("/usr/bin/systemctl", "/usr/sbin/sshd"):
        host.run("sh", "-c", f"[ ! -e {name}.real ] || mv {name}.real {name}")
    host.run("sh", "-c", f"nft delete table inet cut; rm -f {FOREIGN}", check=False)
    if file(host, DROP_IN) != GOOD_DROP_IN or file(host, f"{PLACE}/confirmed.conf") != GOOD_DROP_IN:
        status, output = controller.apply(GOOD)
        assert status == 0, output


scenario = Scenarios(ready)


def replace_program(host: ExtraHost, path: str, script: str) -> None:
    """Put a script in a program's place; the program itself is at PATH.real."""
    host.run("sh", "-c", f"cp -a {path} {path}.real && cat >{path}.new && chmod 755 {path}.new && mv {path}.new {path}", stdin=script)


@scenario
def confirmed_over_a_new_connection_and_nothing_to_do_after_that(host: ExtraHost, controller: Controller) -> None:
    count = "journalctl -u ssh --no-pager | grep -c 'Accepted publickey'"
    accepted = int(host.run("sh", "-c", count).stdout)
    inodes = listening(host)
    foreseen_task = {**task(OTHER), "check_mode": True, "diff": True}
    foreseen, answer, before, again, warm, after = controller.answers(
        [foreseen_task, {**task(OTHER), "diff": True}, {"raw": SNAPSHOT}, {**task(OTHER), "diff": True}, foreseen_task, {"raw": SNAPSHOT}]
    )
    assert answer["transaction"] == {"state": "confirmed", "seconds": PATIENCE}
    assert int(host.run("sh", "-c", count).stdout) > accepted
    assert listening(host) != inodes, "it was not reloaded"
    assert (foreseen["changed"], foreseen["diff"], foreseen["reasons"]) == (answer["changed"], answer["diff"], answer["reasons"])
    assert (answer["changed"], again["changed"], again["diff"], warm["changed"]) == (True, False, [], False)
    assert before["stdout"] == after["stdout"]
    assert_safe(host, OTHER_DROP_IN, seconds=0)


@scenario
def new_connections_are_blocked_and_the_old_one_lives_on(host: ExtraHost, controller: Controller) -> None:
    cut = "table inet cut { chain input { type filter hook input priority -200; tcp dport 22 ct state new drop; }; }"
    with open_session(host) as lives:
        assert lives(b"before")
        with controller.held(host, {**OTHER, "confirm_probes": []}, {"raw": f"nft '{cut}'"}) as run:
            assert lives(b"reloaded")
            wait_until(lambda: not pending(host), WINDOW + 5, "never undone")
            assert not reachable(host), "the new connections are not blocked: this test would show nothing"
            host.run("nft", "delete", "table", "inet", "cut")
            output = " ".join(run.communicate()[0].split())
            assert run.returncode != 0
        assert lives(b"undone")
    assert "was not confirmed within 6 seconds, so the host undid it by itself" in output
    assert "Connection timed out" in output and f"the one that was undone is {PLACE}/rejected.conf" in output
    assert_safe(host, GOOD_DROP_IN)
    assert file(host, f"{PLACE}/rejected.conf") == OTHER_DROP_IN and rolled_back(host) == BACK


@scenario
def the_controller_is_killed_and_others_go_on_working(host: ExtraHost, controller: Controller) -> None:
    """They reload systemd, and start again what is wanted at boot; and no other change may begin."""
    with controller.held(host, OTHER) as run:
        kill(run)
        inodes = listening(host)
        host.run("sh", "-c", "systemctl daemon-reload; systemd-run --quiet --wait --collect true; systemctl daemon-reexec; systemctl isolate multi-user.target")
        assert pending(host) and file(host, DROP_IN) == OTHER_DROP_IN, "the unit that is for the next boot ran now"
        status, output = controller.apply(GOOD)
        assert status != 0
        assert "another change from 203.0.113.1 has been waiting for its confirmation since" in output
        wait_until(lambda: listening(host) not in ("", inodes), WINDOW + 5, "sshd never read the old files")
    assert_safe(host, GOOD_DROP_IN)
    assert rolled_back(host) == BACK


@scenario
def the_host_reboots_in_the_window(host: ExtraHost, controller: Controller) -> None:
    with controller.held(host, OTHER):
        host.reboot()
    assert_safe(host, GOOD_DROP_IN, seconds=0)
    assert rolled_back(host) == BACK
    journal = host.run("sh", "-c", "journalctl --no-pager -o cat | grep -E '^(Starting|Finished|Started) .*(Undo of|OpenBSD)' | tail -n 4").stdout.splitlines()
    assert [line.split()[0] for line in journal] == ["Starting", "Finished", "Starting", "Started"] and "Undo" in journal[1] and "OpenBSD" in journal[2]
    assert controller.apply(GOOD)[1].count("changed=0") == 1


@scenario
def the_host_crashes_while_it_undoes(host: ExtraHost, controller: Controller) -> None:
    """The candidate has its other name, and nothing was put back yet."""
    with controller.held(host, OTHER) as run:
        kill(run)
        host.run("sh", "-c", f"cd {PLACE} && systemctl stop {UNIT}.timer && for file in pending-*.conf; do mv $file $file.undone; done")
        host.reboot()
    assert_safe(host, GOOD_DROP_IN, seconds=0)
    assert rolled_back(host) == BACK
    assert controller.apply(GOOD)[1].count("changed=0") == 1


@scenario
def the_drop_in_is_edited_in_the_window(host: ExtraHost, controller: Controller) -> None:
    """What is confirmed must be what was written. A probe that passes late makes the confirmation come after that."""
    with controller.held(host, {**OTHER, "confirm_probes": [{"port": 23}]}) as run:
        host.run("sh", "-c", f"echo '    MaxSessions 3' >>{DROP_IN}")
        host.run("systemd-run", "--quiet", "--collect", "--unit=telnet", "--property=RuntimeMaxSec=20", "nc", "-lk", "23")
        output = " ".join(run.communicate()[0].split())
        assert run.returncode != 0
    host.run("systemctl", "stop", "telnet")
    assert f"{DROP_IN} was changed by somebody else since it was written, so it is not confirmed, and will be undone" in output
    assert_safe(host, GOOD_DROP_IN)


KILLED_BEFORE_THE_RELOAD = """\
#!/bin/sh
case "$*" in "reload ssh.service") [ -e /run/once ] || { touch /run/once; kill -9 $(ps -o ppid= -p $PPID); sleep 9; } ;; esac
exec systemctl.real "$@"
"""


@scenario
def the_module_is_killed_before_sshd_reads_its_files(host: ExtraHost, controller: Controller) -> None:
    replace_program(host, "/usr/bin/systemctl", KILLED_BEFORE_THE_RELOAD)
    status, _output = controller.apply({**OTHER, "confirm_timeout": WINDOW})
    assert status != 0 and file(host, DROP_IN) == OTHER_DROP_IN and pending(host)
    assert_safe(host, GOOD_DROP_IN)


@scenario
def sshd_is_killed_in_the_window(host: ExtraHost, controller: Controller) -> None:
    """systemd starts it anew, with what is not confirmed."""
    with controller.held(host, OTHER) as run:
        kill(run)
        host.run("sh", "-c", "kill -9 $(systemctl show -p MainPID --value ssh)")
    assert_safe(host, GOOD_DROP_IN)


def the_way_back_is_damaged(host: ExtraHost, controller: Controller, damage: str, drop_in: str | None, told: str) -> None:
    with controller.held(host, OTHER) as run:
        kill(run)
        host.run("sh", "-c", f"cd {PLACE}; {damage}")
    assert_safe(host, drop_in)
    assert told in rolled_back(host)


@scenario
def somebody_breaks_another_file_in_the_window(host: ExtraHost, controller: Controller) -> None:
    """Nothing can be read anew then, since that would end sshd: the files of before are there, it is told, and the next run puts them in force."""
    with controller.held(host, OTHER) as run:
        host.run("sh", "-c", f"echo PermitRotLogin no >{FOREIGN}")
        output = " ".join(run.communicate()[0].split())
    inodes = listening(host)
    assert_safe(host, GOOD_DROP_IN, seconds=WINDOW + 10)
    assert rolled_back(host).startswith("failed: sshd does not take its files")
    assert "failed: sshd does not take its files" in output or "was not seen yet" in output, output
    status, output = controller.apply(GOOD)
    assert status != 0 and "PermitRotLogin" in output
    host.run("rm", FOREIGN)
    info = controller.answers([{"alfred.portmap.sshd_info": {}}])[0]
    assert (info["in_force"], info["differences"]) == (False, ["a change was neither confirmed nor undone as a whole"])
    status, output = controller.apply(GOOD)
    assert status == 0 and "changed=1" in output, output
    assert listening(host) != inodes
    assert "changed=0" in controller.apply(GOOD)[1]


def sshd_does_not_survive_its_reload(host: ExtraHost, controller: Controller, known: bool) -> None:
    """sshd -t did not see it coming. A first install, and a later change."""
    if not known:
        assert controller.apply({"state": "absent"})[0] == 0
    wanted = f"grep -q 'MaxAuthTries 5' {DROP_IN}"
    replace_program(host, "/usr/sbin/sshd", f'#!/bin/sh\ncase "$*" in *-D*) {wanted} && exit 255;; esac\nexec /usr/sbin/sshd.real "$@"\n')
    status, output = controller.apply(OTHER)
    host.run("mv", "/usr/sbin/sshd.real", "/usr/sbin/sshd")
    host.run("systemctl", "restart", "ssh")
    assert status != 0
    assert "sshd did not come back on port 22 after its reload (it ended). The files are as they were, and sshd takes connections" in output
    assert_safe(host, GOOD_DROP_IN if known else None, seconds=0)
    if not known:
        assert host.run("ls", "/var/lib/portmap", check=False).stdout == ""


@scenario
def a_confirmation_over_the_connection_of_the_change_is_refused(host: ExtraHost, controller: Controller) -> None:
    """An ssh that does not end its master when it is told to."""
    (controller.directory / "ssh").write_text('#!/bin/sh\ncase "$*" in *"-O stop"*) exit 0;; esac\nexec ssh "$@"\n')
    (controller.directory / "ssh").chmod(0o755)
    answer = controller.answers([{**task({**OTHER, "confirm_timeout": WINDOW}), "vars": {"ansible_ssh_executable": str(controller.directory / "ssh")}}])[0]
    assert "came over the connection that the change came by" in answer["msg"] and "which proves nothing" in answer["msg"]
    assert answer["transaction"] == {"state": "rolled_back", "seconds": WINDOW}
    assert_safe(host, GOOD_DROP_IN)


@scenario
def an_interrupted_run_is_cleared_away(host: ExtraHost, controller: Controller) -> None:
    host.run("sh", "-c", f"cd {PLACE}; cp confirmed.conf pending-0123.conf; cp confirmed.conf before-0")
    assert ["changed=1" in controller.apply(GOOD)[1], "changed=0" in controller.apply(GOOD)[1]] == [True, True]
    assert host.run("sh", "-c", f"ls {PLACE}").stdout.split() in (["confirmed.conf"], ["confirmed.conf", "rejected.conf", "rolled_back.json"])


@scenario
def a_host_behind_it_must_still_be_reached(host: ExtraHost, controller: Controller) -> None:
    """A bastion whose own login says nothing of its forwarding."""
    with extra_host("ssh6", 9) as behind:
        (controller.directory / "behind").mkdir()
        both = Controller(controller.directory / "behind", host)
        jump = f"-o ProxyCommand='{shlex.join(ssh(host, '-W', '%h:%p'))}'"
        through = behind.vars()
        through["ansible_ssh_common_args"] += f" {jump}"
        both.hosts({host.name: host.vars(), behind.name: through})
        closed = {**GOOD, "settings": {**GOOD["settings"], "AllowTcpForwarding": False}, "confirm_through": [behind.name], "confirm_timeout": WINDOW}
        status, output = both.apply(closed, "--limit", host.name)
        assert status != 0
        assert f"confirm_through: {behind.name} can't be reached by way of this host" in output
        assert_safe(host, GOOD_DROP_IN)
        open_to_it = {**closed, "confirm_timeout": PATIENCE, "settings": {**closed["settings"], "AllowTcpForwarding": "local", "PermitOpen": f"{behind.v4}:22"}}
        status, output = both.apply(open_to_it, "--limit", host.name)
        assert status == 0, output


# what is there already

ODD_MAIN = (
    b"# ge\xe4ndert\n"
    b"PasswordAuthentication yes\n"
    b"Include /etc/ssh/sshd_config.d/*.conf\n"
    b"HostKey /etc/ssh/keys/ed25519\n"
    b"UsePAM yes\n"
    b"Subsystem sftp /usr/lib/openssh/sftp-server\n"
    b"Match User deploy\n"
    b"    PasswordAuthentication yes\n"
    b"    PermitTTY yes\n"
)
ODD = f"""
rm {MAIN} /etc/ssh/ssh_host_*; mkdir -p /etc/ssh/keys /etc/ssh/real; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/keys/ed25519
cat >/etc/ssh/real/main && chmod 640 /etc/ssh/real/main && chown daemon:daemon /etc/ssh/real/main && ln -s real/main {MAIN}
echo X11Forwarding yes >{DIRECTORY}/0-first.conf; echo PasswordAuthentication yes >{DIRECTORY}/50-cloud-init.conf; chmod 600 {DIRECTORY}/50-cloud-init.conf
systemctl restart ssh
"""


@contextlib.contextmanager
def odd(directory: pathlib.Path) -> t.Iterator[tuple[ExtraHost, Controller]]:
    """A host whose main file is a link to a file that is no UTF-8 and sets something before its Include, with other files before ours, and other keys."""
    with extra_host("ssh5", 8) as made:
        made.run("sh", "-c", "cat >/run/main", stdin=ODD_MAIN.decode("latin-1"))
        made.run("sh", "-ec", "iconv -f utf-8 -t latin1 /run/main | { " + ODD + " }")
        yield made, Controller(directory, made)


@scenario
def what_others_have_written_is_overruled_and_left_as_it_is(_host: ExtraHost, other: Controller) -> None:
    (other.directory / "odd").mkdir()
    with odd(other.directory / "odd") as (host, controller):
        overruled_and_left_as_it_is(host, controller)


def overruled_and_left_as_it_is(host: ExtraHost, controller: Controller) -> None:
    """On the host of odd()."""
    wanted = {**GOOD, "banner": "Beware", "exempt": [{"match": "User deploy", "settings": {"PermitTTY": False}}]}
    before = host.run("sh", "-c", CONTENTS).stdout
    foreseen, answer, again = controller.answers([{**task(wanted), "check_mode": True, "diff": True}, {**task(wanted), "diff": True}, task(wanted)])
    assert answer["transaction"] == {"state": "confirmed", "seconds": PATIENCE}, answer
    assert (foreseen["changed"], foreseen["diff"], foreseen["reasons"]) == (True, answer["diff"], answer["reasons"])
    assert again["changed"] is False, again
    assert f"{DROP_IN} has to be read before all else, but {MAIN} does not read it before its line 2 (passwordauthentication)" in answer["reasons"]
    assert f"{DIRECTORY}/50-cloud-init.conf:1: passwordauthentication yes" in answer["overruled"]
    for user in ("ansible", "deploy"):
        assert [effective(host, word, user=user) for word in ("PasswordAuthentication", "X11Forwarding", "PermitTTY")] == [
            ["no"],
            ["no"],
            ["no" if user == "deploy" else "yes"],
        ]
    assert set(effective(host, "DenyUsers", "203.0.113.2")) == {"*"}
    assert reachable(host)

    # The line at the top is gone: seen in check mode, and mended.
    host.run("sed", "-i", "1,2d", "/etc/ssh/real/main")
    foreseen, answer, again = controller.answers([{**task(wanted), "check_mode": True}, task(wanted), task(wanted)])
    assert [foreseen["changed"], answer["changed"], again["changed"]] == [True, True, False]
    assert effective(host, "PasswordAuthentication") == ["no"]

    # Undone, and then taken away: byte for byte what was there.
    there = host.run("sh", "-c", CONTENTS).stdout
    with controller.held(host, {"state": "absent"}) as run:
        kill(run)
        wait_until(lambda: not pending(host) and not armed(host), WINDOW + 5, "never undone")
    # But for what is kept of it.
    kept = ("var/lib/portmap/ssh/rejected.conf", "var/lib/portmap/ssh/rolled_back.json")
    assert [line for line in host.run("sh", "-c", CONTENTS).stdout.splitlines() if not line.startswith(kept)] == there.splitlines()
    assert reachable(host)
    foreseen, answer, again = controller.answers([{**task({"state": "absent"}), "check_mode": True}, task({"state": "absent"}), task({"state": "absent"})])
    assert [foreseen["changed"], answer["changed"], again["changed"]] == [True, True, False]
    assert host.run("sh", "-c", CONTENTS).stdout == before
    assert reachable(host)

    # Neither an Include nor a directory.
    host.run("sh", "-c", f"rm -r {DIRECTORY}; sed -i /^Include/d /etc/ssh/real/main; systemctl reload ssh")
    before = host.run("sh", "-c", CONTENTS).stdout
    with controller.held(host, GOOD) as run:
        kill(run)
    assert_safe(host, None)
    assert host.run("ls", DIRECTORY, check=False).returncode != 0
    foreseen, answer, last = controller.answers([{**task(GOOD), "check_mode": True, "diff": True}, {**task(GOOD), "diff": True}, task({"state": "absent"})])
    assert (foreseen["changed"], foreseen["diff"]) == (answer["changed"], answer["diff"]) and answer["transaction"]["state"] == "confirmed"
    assert last["changed"] is True
    assert host.run("sh", "-c", CONTENTS).stdout == before


def somebody_changes_the_drop_in(host: ExtraHost, controller: Controller, damage: str) -> None:
    """By hand, without a reload; once so that sshd would not even start with it."""
    host.run("sh", "-c", f"{damage} {DROP_IN}")
    foreseen, answer, again = controller.answers([{**task(GOOD), "check_mode": True}, task(GOOD), task(GOOD)])
    assert [foreseen["changed"], answer["changed"], again["changed"]] == [True, True, False], (foreseen, answer)
    assert answer["transaction"]["state"] == "confirmed"
    assert_safe(host, GOOD_DROP_IN, seconds=0)
    assert host.run("stat", "-c", "%a %U", DROP_IN).stdout == "600 root\n"


@scenario
def a_reboot_undoes_to_what_somebody_broke(host: ExtraHost, controller: Controller) -> None:
    """Then it boots without a drop-in: sshd would not have started with that one."""
    host.run("sh", "-c", f"echo PermitRotLogin no >>{DROP_IN}")
    with controller.held(host, OTHER):
        host.reboot()
    assert_safe(host, None, seconds=0)


for damage, drop_in, told in (
    ("rm before-0", GOOD_DROP_IN, BACK),
    ("echo damaged >before-0; : >confirmed.conf", None, "our settings were taken away, since those of before are damaged"),
):
    scenario.add(f"the way back is damaged: {damage}", functools.partial(the_way_back_is_damaged, damage=damage, drop_in=drop_in, told=told))
for known in (True, False):
    scenario.add(f"sshd does not survive its reload, {'later' if known else 'first'}", functools.partial(sshd_does_not_survive_its_reload, known=known))
for damage in ("echo PermitRotLogin no >>", "rm", "sed -i s/DenyUsers.*/AllowUsers\\ ansible/", "chmod 666"):
    scenario.add(f"somebody changes the drop-in: {damage}", functools.partial(somebody_changes_the_drop_in, damage=damage))


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, pairs: list[tuple[ExtraHost, Controller]]) -> dict[str, Exception | None]:
    """What came of each scenario."""
    return scenario.run(request, pairs)


@pytest.mark.parametrize("name", scenario.names)
def test_the_host_is_safe(outcomes: dict[str, Exception | None], name: str) -> None:
    outcome = outcomes[name]
    if outcome is not None:
        raise outcome


def test_systemd_listens_for_it(tmp_path: pathlib.Path) -> None:
    """On Debian 11 there is one sshd for each connection, on later ones one for all of them, that goes on running. All three at once."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(systemd_listens_for_it, *zip(*[("bullseye", 5, tmp_path), ("bookworm", 8, tmp_path), ("trixie", 9, tmp_path)], strict=True)))


def systemd_listens_for_it(suite: str, number: int, tmp_path: pathlib.Path) -> None:
    """What the test above says of one Debian."""
    (tmp_path / suite).mkdir()
    with extra_host(f"ssh-{suite}", number, suite=suite) as host:
        controller = Controller(tmp_path / suite, host)
        host.run("sh", "-c", "systemctl stop ssh; systemctl disable ssh; systemctl enable --now ssh.socket")
        host.run("sed", "-i", "s/^SSHD_OPTS=.*/SSHD_OPTS='-o LoginGraceTime=300'/", "/etc/default/ssh")
        refused = controller.answers([task(with_settings(LoginGraceTime=30))])[0]
        assert "it is an option of sshd's command line (-o LoginGraceTime=300)" in str(refused.get("msg")), refused
        host.run("sh", "-c", "sed -i s/^SSHD_OPTS=.*/SSHD_OPTS=/ /etc/default/ssh; systemctl stop ssh")
        mode = "connections" if suite == "bullseye" else "socket"
        before = host.run("sh", "-c", CONTENTS).stdout
        with open_session(host) as lives:
            assert lives(b"before")
            answer, again = controller.answers([task(GOOD), task(GOOD)])
            assert "transaction" in answer, answer
            assert (answer["transaction"]["state"], answer["service"]["mode"], answer["service"]["ports"]) == ("confirmed", mode, [22]), answer
            assert again["changed"] is False
            assert lives(b"confirmed")
        drop_in = file(host, DROP_IN)
        with controller.held(host, OTHER) as run:
            kill(run)
            # Nobody is connected any more, nor does it run.
            host.run("sh", "-c", "systemctl stop ssh; pkill sshd; true")
        assert_safe(host, drop_in)
        assert rolled_back(host) == BACK
        answer = controller.answers([task({"state": "absent"})])[0]
        assert answer["transaction"]["state"] == "confirmed", answer
        assert reachable(host)
        assert host.run("sh", "-c", CONTENTS).stdout == before
