# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever goes wrong while a policy changes: the host is reachable again over SSH, on the policy confirmed last, and nobody needed a console.

A real host, a real ansible-playbook, real SSH. A change is held in its window by a probe that never connects (`held`). What ends by the
timer must end within WINDOW + 5 seconds; what is refused must not have touched anything. The same without systemd: tests/kernel/test_transaction.py.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pathlib
import signal
import subprocess
import time
import typing as t

import pytest
from conftest import ROOT
from extra import STATE, ExtraHost, extra_host

pytestmark = pytest.mark.beside

WINDOW = 6  # seconds
PLACE = "/var/lib/portmap/firewall"
UNIT = "portmap-undo-firewall"
OPERATORS = ["203.0.113.1", "2001:db8:1::1"]

GOOD: dict[str, t.Any] = {
    "networks": {"anywhere": ["0.0.0.0/0", "::/0"], "operators": OPERATORS, "strangers": ["203.0.113.99"], "nobody": []},
    "ingress": [{"name": "ssh", "ports": ["22"], "networks": ["operators"]}],
    "egress": [{"name": "https", "ports": ["443"], "networks": ["anywhere"]}],
    "ping": ["anywhere"],
}
# Another policy that lets us in as well; what keeps it from being confirmed is the tests' business.
OTHER: dict[str, t.Any] = {**GOOD, "ping": ["operators"]}


def with_ssh(**rule: t.Any) -> dict[str, t.Any]:
    """The policy with another rule for SSH."""
    return {**GOOD, "ingress": [{**GOOD["ingress"][0], **rule}]}


class Controller:
    """Runs the module firewall by ansible-playbook, as an operator does."""

    def __init__(self, directory: pathlib.Path, *hosts: ExtraHost) -> None:
        self.directory = directory
        self.inventory = directory / "inventory.json"
        self.inventory.write_text(json.dumps({"all": {"hosts": {host.name: host.vars() for host in hosts}}}))

    def command(self, policy: dict[str, t.Any] | None, play: dict[str, t.Any] | None = None, **options: t.Any) -> list[str]:
        """The command that applies a policy; `play` are keywords of the play."""
        arguments: dict[str, t.Any] = {"confirm_timeout": WINDOW, **options}
        if policy is not None:
            arguments["policy"] = policy
        playbook = self.directory / f"play-{time.monotonic_ns()}.json"
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, **(play or {}), "tasks": [{"alfred.portmap.firewall": arguments}]}]))
        return ["ansible-playbook", "--timeout", "3", "-i", str(self.inventory), str(playbook)]

    def apply(self, policy: dict[str, t.Any] | None, *argv: str, play: dict[str, t.Any] | None = None, **options: t.Any) -> tuple[int, str]:
        """(exit status, output)"""
        command = [*self.command(policy, play, **options), *argv]
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    @contextlib.contextmanager
    def held(self, host: ExtraHost, **options: t.Any) -> t.Iterator[subprocess.Popen[str]]:
        """A run whose change has been loaded, and that can't confirm it: a probe that never connects keeps it in its window."""
        options = {"confirm_probes": [{"port": 9}], **options}
        command = self.command(OTHER, **options)
        run = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            wait_until(lambda: loaded(host), 20, "the change is never loaded")
            yield run
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.communicate()


def wait_until(condition: t.Callable[[], bool], seconds: float, what: str) -> None:
    """Ask again and again."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def loaded(host: ExtraHost) -> bool:
    """Is there a change in its window, and is its ruleset loaded?"""
    return host.run("sh", "-c", f"test -e {PLACE}/pending.json && ls {PLACE}/pending-*.json", check=False).returncode == 0


def reachable(host: ExtraHost) -> bool:
    """Does a new SSH connection get in?"""
    options = host.vars()["ansible_ssh_common_args"].split()
    command = ["ssh", "-F", "none", *options, "-o", "ConnectTimeout=1", "-o", "ControlPath=none", f"ansible@{host.v4}", "true"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def confirmed(host: ExtraHost) -> dict[str, t.Any]:
    """The record of what was confirmed last; {} if nothing was."""
    return t.cast("dict[str, t.Any]", json.loads(host.run("sh", "-c", f"cat {PLACE}/confirmed.json 2>/dev/null || echo '{{}}'").stdout))


def in_force(host: ExtraHost) -> bool:
    """Is the table exactly what was confirmed last?"""
    listing = host.run("nft", "-s", "list", "table", "inet", "portmap", check=False)
    record = confirmed(host)
    return listing.returncode != 0 if not record else listing.stdout == record["listing"]


def armed(host: ExtraHost) -> bool:
    """Does a timer wait to undo something?"""
    return host.run("systemctl", "is-active", f"{UNIT}.timer", check=False).stdout.strip() == "active"


def assert_safe(host: ExtraHost, ping: t.Sequence[str] | None = ("anywhere",), seconds: float = WINDOW + 5) -> None:
    """Within so many seconds the host can be reached, is on the policy that was confirmed last, and that is the one with this ping."""
    found = host.run("nft", "list", "ruleset").stdout
    wait_until(lambda: in_force(host) and not armed(host), seconds, f"not on what was confirmed, or a timer is left:\n{found}")
    assert reachable(host), "on the policy confirmed last, and locked out"
    if ping is None:
        assert confirmed(host) == {}
    else:
        assert confirmed(host)["policy"]["ping"] == list(ping)
        assert confirmed(host)["policy"]["ingress"][0]["networks"] == ["operators"]


@pytest.fixture(scope="module")
def made() -> t.Iterator[ExtraHost]:
    """The host."""
    with extra_host("lock1", 24) as host:
        yield host


@pytest.fixture(scope="module")
def controller(made: ExtraHost, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The operator's machine."""
    return Controller(tmp_path_factory.mktemp("controller"), made)


@pytest.fixture
def host(made: ExtraHost, controller: Controller) -> t.Iterator[ExtraHost]:
    """The host with the policy GOOD confirmed."""
    wait_until(lambda: not loaded(made), 60, "a change of the test before, which failed, never ends")
    if not confirmed(made) or not in_force(made) or confirmed(made)["policy"]["ping"] != GOOD["ping"]:
        status, output = controller.apply(GOOD)
        assert status == 0, output
    yield made
    for name in ("nft", "systemd-run"):
        made.run("sh", "-c", f"f=$(ls /usr/sbin/{name}.real /usr/bin/{name}.real 2>/dev/null) && mv $f ${{f%.real}} || true")
    made.run("nft", "delete", "table", "inet", "cut", check=False)


CUT = "table inet cut { chain input { type filter hook input priority -200; %s drop; }; }\n"
# By the connection that there is, before the change.
CUT_OFF: dict[str, t.Any] = {"ansible.builtin.command": {"argv": ["nft", "-f", "-"], "stdin": CUT % "tcp dport 22 ct state new"}}


def cut_off(host: ExtraHost, what: str) -> None:
    """A table of somebody else that drops: what the policy allows does not get in for all that."""
    host.run("nft", "-f", "-", stdin=CUT % what)


def replace_program(host: ExtraHost, path: str, script: str) -> None:
    """Put a script in a program's place; the program itself is at PATH.real."""
    host.run("mv", path, f"{path}.real")
    if script:
        host.run("sh", "-c", f"cat >{path} && chmod 755 {path}", stdin=script)


# A stand-in for nft that does something else when it is to load a candidate.
ON_LOAD = '#!/bin/sh\ncase "$*" in "-f "*pending-*) %s;; esac\nexec nft.real "$@"\n'


# refused before anything is touched


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param({**GOOD, "ingress": []}, id="no rule at all"),
        pytest.param(with_ssh(ports=["2222"]), id="another port"),
        pytest.param(with_ssh(transport="udp"), id="another transport"),
        pytest.param(with_ssh(networks=["strangers"]), id="the bastion's address is wrong"),
        pytest.param(with_ssh(networks=["nobody"]), id="the bastion's group is empty"),
        pytest.param({**GOOD, "networks": {**GOOD["networks"], "operators": OPERATORS[1:]}}, id="the other family only"),
    ],
)
def test_a_policy_that_shuts_us_out_is_refused(host: ExtraHost, controller: Controller, policy: dict[str, t.Any]) -> None:
    before = host.run("nft", "-a", "list", "ruleset").stdout
    for argv in ([], ["--check"]):
        status, output = controller.apply(policy, *argv)
        assert status != 0
        assert "the policy would lock you out: this SSH session came from 203.0.113.1 to 203.0.113.24 port 22" in output
        assert "Nothing was changed" in output
    assert host.run("nft", "-a", "list", "ruleset").stdout == before
    assert_safe(host, seconds=0)


@pytest.mark.parametrize(
    ("program", "script", "told"),
    [
        pytest.param("/usr/sbin/nft", "", "install the package nftables", id="nft is missing"),
        pytest.param("/usr/sbin/nft", ON_LOAD % "exec nft.real -f /no/such/file", "nft says", id="nft fails"),
        pytest.param("/usr/sbin/nft", ON_LOAD % "kill -9 $$", "nft says", id="nft is killed"),
        pytest.param("/usr/bin/systemd-run", "", "no program systemd-run", id="systemd-run is missing"),
        pytest.param("/usr/bin/systemd-run", "#!/bin/sh\necho broken bus >&2\nexit 1\n", "broken bus", id="systemd-run fails"),
    ],
)
def test_what_can_not_be_done_or_undone_is_not_begun(host: ExtraHost, controller: Controller, program: str, script: str, told: str) -> None:
    before = host.run("nft", "-a", "list", "ruleset").stdout
    replace_program(host, program, script)
    status, output = controller.apply(OTHER)
    host.run("mv", f"{program}.real", program)
    assert status != 0
    assert told in output
    assert host.run("nft", "-a", "list", "ruleset").stdout == before
    assert_safe(host, seconds=0)


def test_the_timers_name_is_taken(host: ExtraHost, controller: Controller) -> None:
    host.run("systemd-run", "--quiet", "--collect", f"--unit={UNIT}", "--on-active=60", "true")
    try:
        status, output = controller.apply(OTHER)
    finally:
        still = host.run("systemctl", "is-active", f"{UNIT}.timer", check=False).stdout.strip()
        host.run("systemctl", "stop", f"{UNIT}.timer", check=False)
    assert still == "active", "somebody else's timer was stopped"
    assert status != 0
    assert "could not be started, so nothing was changed" in output and UNIT in output
    assert_safe(host, seconds=0)


def test_a_full_disk(host: ExtraHost, controller: Controller) -> None:
    """Full before the first byte, and full for all but the first file."""
    for spare in (0, 8):
        host.run("sh", "-c", f"mount -t tmpfs -o size=256k none /mnt && cp -a {PLACE} /mnt/ && mount --move /mnt /var/lib/portmap")
        host.run("sh", "-c", f"dd if=/dev/zero of=/var/lib/portmap/full bs=4k 2>/dev/null; truncate -s -{spare}k /var/lib/portmap/full")
        status, output = controller.apply(OTHER)
        assert_safe(host, seconds=0)
        host.run("umount", "/var/lib/portmap")
        assert status != 0
        assert "No space left on device" in output
    assert_safe(host, seconds=0)


# undone by the host itself


@contextlib.contextmanager
def open_session(host: ExtraHost) -> t.Iterator[t.Callable[[bytes], bool]]:
    """An SSH session that goes on through all that comes; gives a function that tells whether a word comes back by it."""
    command = ["ssh", "-F", "none", *host.vars()["ansible_ssh_common_args"].split(), f"ansible@{host.v4}", "cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as session:
        assert session.stdin and session.stdout
        said, heard = session.stdin, session.stdout

        def lives(word: bytes) -> bool:
            said.write(word + b"\n")
            said.flush()
            return heard.readline() == word + b"\n"

        try:
            yield lives
        finally:
            session.kill()


def test_new_connections_are_blocked_and_the_old_one_lives_on(host: ExtraHost, controller: Controller) -> None:
    """The old connection of before would have told that all is well."""
    command = controller.command(OTHER, play={"pre_tasks": [CUT_OFF]})
    with open_session(host) as lives:
        assert lives(b"before")
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
            wait_until(lambda: loaded(host), 20, "the change is never loaded")
            wait_until(lambda: not loaded(host), WINDOW + 5, "it is never undone")
            assert not reachable(host), "the new connections are not blocked: this test would show nothing"
            assert lives(b"after")
            host.run("nft", "delete", "table", "inet", "cut")
            output = " ".join(run.communicate()[0].split())
            assert run.returncode != 0
    assert "was not confirmed within 6 seconds, so the host undid it by itself" in output
    assert "Connection timed out" in output
    assert f"the ruleset that was undone is {PLACE}/rejected.nft" in output
    assert_safe(host)


def test_a_probe_that_fails_is_told_and_the_change_undone(host: ExtraHost, controller: Controller) -> None:
    status, output = controller.apply(OTHER, confirm_probes=[{"port": 22}, {"port": 9}])
    assert status != 0
    assert "confirm_probes: 203.0.113.24 port 9 from the controller: no answer" in output
    assert "is in force, unchanged" in output
    assert_safe(host, seconds=5)


@pytest.mark.parametrize(("probes", "told"), [("port=22", "must be a list of mappings"), ([{"port": 0}], "confirm_probes[0].port: 0 must be from 1")])
def test_probes_that_make_no_sense(host: ExtraHost, controller: Controller, probes: t.Any, told: str) -> None:
    status, output = controller.apply(OTHER, confirm_probes=probes)
    assert status != 0
    assert told in output
    assert_safe(host, seconds=0)


def test_the_controller_is_killed_in_the_window(host: ExtraHost, controller: Controller) -> None:
    with controller.held(host) as run:
        os.killpg(run.pid, signal.SIGKILL)
    assert_safe(host)


def test_the_network_is_cut_in_the_window(host: ExtraHost, controller: Controller) -> None:
    with controller.held(host):
        cut_off(host, "iifname != lo")
        wait_until(lambda: in_force(host), WINDOW + 5, "it is not undone")
    host.run("nft", "delete", "table", "inet", "cut")
    assert_safe(host, seconds=0)


def test_the_host_reboots_in_the_window(host: ExtraHost, controller: Controller) -> None:
    with controller.held(host):
        host.reboot()
        assert_safe(host, seconds=2)
    status, output = controller.apply(GOOD)
    assert status == 0, output
    assert_safe(host, seconds=0)


def test_the_module_is_killed_after_the_load(host: ExtraHost, controller: Controller) -> None:
    """It never answers: the controller does not even know that there is something to confirm."""
    script = '#!/bin/sh\nnft.real "$@"; code=$?\ncase "$*" in "-f "*pending-*) kill -9 $PPID;; esac\nexit $code\n'
    replace_program(host, "/usr/sbin/nft", script)
    status, _output = controller.apply(OTHER)
    host.run("mv", "/usr/sbin/nft.real", "/usr/sbin/nft")
    assert status != 0
    wait_until(lambda: host.run("test", "-e", f"{PLACE}/pending.json", check=False).returncode != 0, WINDOW + 5, "never undone")
    assert_safe(host, seconds=1)


def test_a_second_change_while_one_is_pending(host: ExtraHost, controller: Controller) -> None:
    """The window is long: on a slow machine a run takes longer than WINDOW, and what comes after it may rightly be applied."""
    window = 25
    with controller.held(host, confirm_timeout=window):
        status, output = controller.apply(GOOD)
        assert status != 0, output
        assert "another change from 203.0.113.1 has been waiting for its confirmation since" in output, output
        assert "it ends by itself within" in output
    assert_safe(host, seconds=window + 5)


def test_two_controllers_at_once(host: ExtraHost, controller: Controller) -> None:
    policies = [OTHER, {**GOOD, "ping": []}]
    runs = [
        subprocess.Popen(controller.command(policy), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for policy in policies
    ]
    outputs = [run.communicate()[0] for run in runs]
    statuses = [run.returncode for run in runs]
    assert 0 in statuses, outputs
    wait_until(lambda: in_force(host), WINDOW + 5, "nothing whole is in force")
    assert reachable(host)
    assert confirmed(host)["policy"]["ping"] in [policy["ping"] for policy, status in zip(policies, statuses) if status == 0]


@pytest.mark.parametrize("damage", ["printf 'table inet portmap {' >", ": >", "rm -f "], ids=["garbage", "empty", "gone"])
def test_the_rollback_file_is_damaged(host: ExtraHost, controller: Controller, damage: str) -> None:
    """What boots is the second way back."""
    with controller.held(host) as run:
        host.run("sh", "-c", f"{damage}{PLACE}/rollback.nft")
        os.killpg(run.pid, signal.SIGKILL)
    assert_safe(host)


def test_all_ways_back_are_damaged(host: ExtraHost, controller: Controller) -> None:
    """Then no table at all: reachable, and told as what it is."""
    with controller.held(host) as run:
        host.run("sh", "-c", f"for f in rollback confirmed; do echo damaged >{PLACE}/$f.nft; done")
        os.killpg(run.pid, signal.SIGKILL)
    wait_until(lambda: not loaded(host), WINDOW + 5, "it is not undone")
    wait_until(lambda: host.run("test", "-e", f"{PLACE}/rolled_back.json", check=False).returncode == 0, 10, "nothing is told")
    assert reachable(host)
    assert "the table was removed" in host.run("cat", f"{PLACE}/rolled_back.json").stdout
    status, output = controller.apply(GOOD)
    assert status == 0, output
    assert_safe(host, seconds=0)


def test_systemd_reads_its_units_anew_in_the_window(host: ExtraHost, controller: Controller) -> None:
    """The undo stands in a unit that is in memory; it must be written down and read back whole."""
    with controller.held(host) as run:
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "daemon-reexec")
        os.killpg(run.pid, signal.SIGKILL)
    assert_safe(host)


def test_the_clock_does_not_matter(host: ExtraHost, controller: Controller) -> None:
    """It can't be set in a container. What is asked instead: that nothing of the timer hangs on it."""
    with controller.held(host) as run:
        timer = host.run("systemctl", "show", f"{UNIT}.timer", "--property=TimersMonotonic,TimersCalendar,AccuracyUSec").stdout
        record = json.loads(host.run("cat", f"{PLACE}/pending.json").stdout)
        monotonic = float(host.run("python3", "-c", "import time; print(time.clock_gettime(time.CLOCK_MONOTONIC))").stdout)
        os.killpg(run.pid, signal.SIGKILL)
    assert "OnActiveUSec=6s" in timer and "TimersCalendar=\n" in timer + "TimersCalendar=\n" and "AccuracyUSec=100ms" in timer
    assert "OnCalendar" not in timer
    assert 0 < record["deadline"] - monotonic < WINDOW
    assert_safe(host)


def test_what_was_loaded_is_changed_by_hand_in_the_window(host: ExtraHost, controller: Controller) -> None:
    """What is confirmed must be what was loaded."""
    command = controller.command(OTHER, confirm_probes=[{"port": 22}, {"port": 23}])
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        wait_until(lambda: loaded(host), 20, "never loaded")
        # The probe of port 23 passes only now, so that the confirmation comes after the change by hand.
        host.run("nft", "insert", "rule", "inet", "portmap", "input", "tcp", "dport", "23", "accept")
        host.run("systemd-run", "--quiet", "--collect", "--unit=telnet", "--property=RuntimeMaxSec=20", "nc", "-lk", "23")
        output = " ".join(run.communicate()[0].split())
    assert run.returncode != 0
    assert "was changed by somebody else since it was loaded" in output
    assert_safe(host, seconds=5)


def test_nftables_service_restarts_in_the_window(host: ExtraHost, controller: Controller) -> None:
    """It flushes everything; what was confirmed is put back, not what is pending."""
    with controller.held(host) as run:
        host.run("systemctl", "restart", "nftables")
        assert host.run("nft", "-s", "list", "table", "inet", "portmap").stdout == confirmed(host)["listing"]
        os.killpg(run.pid, signal.SIGKILL)
    assert_safe(host)


def test_the_timer_is_stopped_by_hand(host: ExtraHost, controller: Controller) -> None:
    """Then nothing undoes it; the next run finds that out, and a reboot too."""
    with controller.held(host) as run:
        host.run("systemctl", "stop", f"{UNIT}.timer")
        os.killpg(run.pid, signal.SIGKILL)
    wait_until(lambda: "waiting for its confirmation" not in controller.apply(GOOD, "--check")[1], WINDOW + 25, "it is waited for for ever")
    status, output = controller.apply(GOOD)
    assert status == 0, output
    assert "changed=1" in output
    assert_safe(host, seconds=0)


# a first install


@pytest.fixture
def virgin(tmp_path: pathlib.Path) -> t.Iterator[tuple[ExtraHost, Controller]]:
    """A host that never had a policy."""
    with extra_host("lock2", 25) as made:
        yield made, Controller(tmp_path, made)


def test_a_first_install_that_is_not_confirmed_leaves_no_policy(virgin: tuple[ExtraHost, Controller]) -> None:
    host, controller = virgin
    with controller.held(host) as run:
        os.killpg(run.pid, signal.SIGKILL)
    assert_safe(host, None)
    assert host.run("nft", "list", "tables").stdout.count("portmap") == 0
    with controller.held(host):
        host.reboot()
        assert_safe(host, None, seconds=1)
    # An open session on a host without connection tracking goes on (community.general#1136).
    with open_session(host) as lives:
        assert lives(b"before")
        status, output = controller.apply(GOOD)
        assert status == 0, output
        assert lives(b"after")
    assert_safe(host, seconds=0)


# what works


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"ANSIBLE_PIPELINING": "false"}, id="no pipelining"),
        pytest.param({"ANSIBLE_SSH_ARGS": "-o ControlMaster=no -o ControlPath=none"}, id="a connection for each call"),
        pytest.param({"ANSIBLE_PIPELINING": "true", "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s"}, id="both"),
    ],
)
def test_a_good_change_is_confirmed_over_a_new_connection(
    host: ExtraHost, controller: Controller, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    accepted = host.run("sh", "-c", "journalctl --unit ssh --no-pager | grep -c 'Accepted publickey'").stdout
    status, output = controller.apply(OTHER, "-v")
    assert status == 0, output
    assert "state: confirmed" in output
    assert int(host.run("sh", "-c", "journalctl --unit ssh --no-pager | grep -c 'Accepted publickey'").stdout) > int(accepted)
    assert_safe(host, OTHER["ping"], seconds=0)
    status, output = controller.apply(OTHER)
    assert (status, "changed=0" in output) == (0, True)


def test_back_to_the_policy_before_and_forth(host: ExtraHost, controller: Controller) -> None:
    """By the playbook, which needs no port map."""
    assert controller.apply(OTHER)[0] == 0
    for policy in (GOOD, OTHER):
        command = ["ansible-playbook", "playbooks/rollback.yml", "-i", str(controller.inventory), "--diff"]
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the policy before" in done.stdout and "changed=1" in done.stdout
        assert_safe(host, policy["ping"], seconds=0)


def test_probes_from_another_host(host: ExtraHost, controller: Controller, tmp_path: pathlib.Path) -> None:
    """From one that the policy lets in, and then does not: the lab's outsider stands for a bastion."""
    both = Controller(tmp_path, host)
    bastion = {**host.vars(), "ansible_host": "203.0.113.60"}
    both.inventory.write_text(json.dumps({"all": {"hosts": {host.name: host.vars(), "jump": bastion}}}))
    policy = copy.deepcopy(OTHER)
    policy["networks"]["operators"] = [*OPERATORS, "203.0.113.60"]
    status, output = both.apply(policy, "--limit", host.name, confirm_probes=[{"port": 22, "from": "jump"}])
    assert status == 0, output
    assert_safe(host, OTHER["ping"], seconds=0)
    status, output = both.apply(GOOD, "--limit", host.name, confirm_probes=[{"port": 22, "from": "jump"}])
    assert status != 0
    assert "port 22 from jump: filtered" in output
    assert_safe(host, OTHER["ping"], seconds=5)


def test_a_fleet_in_series_stops_at_the_first_bad_host(tmp_path: pathlib.Path) -> None:
    with extra_host("lock3", 26) as first, extra_host("lock4", 27) as second, extra_host("lock5", 28) as third:
        fleet = Controller(tmp_path, first, second, third)
        cut_second = {**CUT_OFF, "when": f"inventory_hostname == '{second.name}'"}
        status, output = fleet.apply(GOOD, play={"serial": 1, "pre_tasks": [cut_second]})
        second.run("nft", "delete", "table", "inet", "cut")
        assert status != 0
        assert_safe(first, GOOD["ping"], seconds=0)
        assert_safe(second, None, seconds=WINDOW)
        assert third.run("nft", "list", "tables").stdout.count("portmap") == 0
        assert "lock4 : ok=1" in output and "lock5" not in output.split("PLAY RECAP")[1]


def test_keys_of_the_lab_are_there() -> None:
    """What all of the above stands on: a missing key would make every host unreachable, and some of these tests green."""
    assert (STATE / "id_ed25519").exists()
