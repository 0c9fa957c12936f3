# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules firewall and firewall_info with the real nft and the real kernel, in a network namespace of its own.

Needs root. Nothing is loaded outside that namespace.
"""

from __future__ import annotations

import copy
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import typing as t

import pytest
from hosts import MODULES, POLICY, Host

# Somebody else's tables, which must never change: Docker's, fail2ban's, and one of family inet.
OTHERS = """
table ip nat {
    chain DOCKER {
        iifname != "docker0" tcp dport 8080 counter packets 0 bytes 0 dnat to 172.17.0.2:80
    }
    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local counter packets 0 bytes 0 jump DOCKER
    }
}
table inet f2b-table {
    set addr-set-sshd {
        type ipv4_addr
        elements = { 192.0.2.66 }
    }
    chain f2b-chain {
        type filter hook input priority filter - 1; policy accept;
        tcp dport 22 ip saddr @addr-set-sshd reject
    }
}
table inet accounting {
    chain input {
        type filter hook input priority filter; policy accept;
        counter packets 0 bytes 0 comment "drop nothing"
    }
}
"""


def same_answer(checked: dict[str, t.Any], ran: dict[str, t.Any]) -> None:
    """Check mode says what the real run says, word for word."""
    for answer in (checked, ran):
        answer.pop("invocation", None)
    assert checked == ran


def twice(host: Host, **options: t.Any) -> dict[str, t.Any]:
    """Check, run, check again, run again: changed, changed, not, not; the answer of the first run."""
    before, files = host.ruleset(), host.files()
    checked = host.firewall(check=True, **options)
    assert (host.ruleset(), host.files()) == (before, files), "check mode changed something"
    ran = host.firewall(**options)
    assert ran["changed"] is True
    assert ran["reasons"]
    assert ran["diff"]
    same_answer(checked, copy.deepcopy(ran))
    after, files = host.ruleset(), host.files()
    again_checked = host.firewall(check=True, **options)
    again = host.firewall(**options)
    assert (again["changed"], again["reasons"], again["diff"], again["drift"]) == (False, [], [], {"found": False, "lines": []})
    same_answer(again_checked, again)
    assert (host.ruleset(), host.files()) == (after, files), "the second run loaded or wrote something"
    return ran


def test_apply(host: Host) -> None:
    host.nft(OTHERS)
    before = host.ruleset()
    ran = twice(host)
    assert ran["reasons"] == ["no policy was applied before"]
    assert ran["rules"] == {"ingress": 4, "egress": 2}
    assert ran["conflicts"] == []
    assert ran.get("warnings", []) == []
    assert [entry["before"] for entry in ran["diff"]] == [""]
    assert host.ruleset().startswith(before), "other tables are the same, handles included"
    assert host.confirmed.read_text() == ran["diff"][0]["after"]
    assert host.confirmed.stat().st_mode & 0o777 == 0o600
    assert host.confirmed.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(host.files()) == ["portmap/firewall/confirmed.json", "portmap/firewall/confirmed.nft"]
    told = host.info()
    assert (told["present"], told["ours"], told["in_force"], told["differences"], told["changed"]) == (True, True, True, [], False)
    assert told["ruleset"] == host.confirmed.read_text()
    assert told["boot"] == {"unit": "portmap-firewall.service", "enabled": False, "active": False}


def test_what_boots_is_what_is_in_force(host: Host) -> None:
    host.firewall()
    listing = host.info()["listing"]
    host.nft("flush ruleset")
    host.run("nft", "-f", str(host.confirmed))
    told = host.info()
    assert told["listing"] == listing
    assert told["in_force"] is True
    assert host.firewall()["changed"] is False


def test_another_policy(host: Host) -> None:
    host.nft(OTHERS)
    before = host.ruleset()
    host.firewall()
    policy = copy.deepcopy(POLICY)
    policy["ingress"][0]["ports"] = ["2222"]
    ran = twice(host, policy=policy)
    assert ran["reasons"] == ["the policy is another than the one in force"]
    (entry,) = ran["diff"]
    assert "2222" not in entry["before"]
    assert "2222" in entry["after"]
    assert "\ntable inet portmap\ndelete table inet portmap\ntable inet portmap {\n" in entry["before"]
    assert ran["drift"]["found"] is False
    assert host.ruleset().startswith(before)


@pytest.mark.parametrize(
    ("by_hand", "line"),
    [
        ("insert rule inet portmap %(input)s tcp dport 5432 accept", "+\t\ttcp dport 5432 accept"),
        ("add chain inet portmap extra { type filter hook input priority -20; policy drop; }", "+\tchain extra {"),
        ("add set inet portmap mine { type ipv4_addr; }", "+\tset mine {"),
    ],
)
def test_drift_by_hand(host: Host, by_hand: str, line: str) -> None:
    host.firewall()
    sound = host.ruleset()
    host.nft(by_hand % {"input": base_chain(host, "input")})
    ran = twice(host)
    assert ran["reasons"] == ["the table inet portmap was changed by hand"]
    assert ran["drift"]["found"] is True
    assert line in ran["drift"]["lines"]
    assert all(changed.startswith("+") for changed in ran["drift"]["lines"] if changed.strip("+-"))
    (entry,) = ran["diff"]
    assert line[1:] in entry["before"].splitlines()
    assert line[1:] not in entry["after"].splitlines()
    assert without_handles(host.ruleset()) == without_handles(sound)


def base_chain(host: Host, hook: str) -> str:
    """The name of our base chain on a hook."""
    for entry in json.loads(host.run("nft", "-j", "list", "chains"))["nftables"]:
        if entry.get("chain", {}).get("hook") == hook and entry["chain"]["table"] == "portmap":
            return str(entry["chain"]["name"])
    raise AssertionError(f"no chain on {hook}")


def without_handles(text: str) -> str:
    return "\n".join(line.split(" # handle")[0] for line in text.splitlines())


def test_drift_of_one_element_of_a_set_is_one_line(host: Host) -> None:
    host.firewall()
    (block,) = [block for block in host.info()["listing"].split("\tset ") if "203.0.113.25" in block]
    name = block.split()[0]
    host.nft(f"delete element inet portmap {name} {{ 203.0.113.25 }}")
    told = host.info()
    assert told["in_force"] is False
    assert told["drift"]["found"] is True
    assert [line.strip("-\t ") for line in told["drift"]["lines"]] == ["203.0.113.25,"]
    ran = twice(host)
    assert ran["drift"] == told["drift"]


@pytest.mark.parametrize("by_hand", ["delete table inet portmap", "flush ruleset"])
def test_table_gone(host: Host, by_hand: str) -> None:
    host.firewall()
    host.nft(by_hand)
    assert host.info()["in_force"] is False
    ran = twice(host)
    assert ran["reasons"] == ["the table inet portmap is missing"]
    assert ran["drift"] == {"found": True, "lines": []}


def test_chain_flushed(host: Host) -> None:
    host.firewall()
    host.nft("flush chain inet portmap " + base_chain(host, "input"))
    ran = twice(host)
    assert ran["drift"]["lines"]
    assert all(line.startswith("-") for line in ran["drift"]["lines"])


def test_drift_and_another_policy_are_told_apart(host: Host) -> None:
    host.firewall()
    host.nft(f"insert rule inet portmap {base_chain(host, 'input')} tcp dport 5432 accept")
    policy = copy.deepcopy(POLICY)
    policy["ping"] = []
    ran = twice(host, policy=policy)
    assert ran["reasons"] == ["the table inet portmap was changed by hand", "the policy is another than the one in force"]
    by_hand, by_policy = ran["diff"]
    assert "5432" in by_hand["before"]
    assert "5432" not in by_hand["after"] + by_policy["before"] + by_policy["after"]


def test_packets_are_no_drift(host: Host) -> None:
    """Neither what passes, nor what is dropped and logged."""
    for command in ("link set lo up", "link add v0 type veth peer name v1", "link set v0 up", "link set v1 up", "addr add 203.0.113.11/24 dev v0"):
        host.run("ip", *command.split())
    host.firewall()
    knock = (
        "import socket\n"
        "for to in (('127.0.0.1', 9), ('203.0.113.99', 25)):\n"
        "    s = socket.socket(); s.settimeout(0.2)\n"
        "    try: s.connect(to)\n"
        "    except OSError: pass\n"
    )
    host.run(sys.executable, "-c", knock)
    again = host.firewall()
    assert (again["changed"], again["drift"]["lines"]) == (False, [])


def edit(path: pathlib.Path) -> None:
    path.write_text(path.read_text().replace("22", "23"))


def leave_pending(path: pathlib.Path) -> None:
    path.with_name("pending-0.nft").write_text("table inet portmap {")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda host: edit(host.confirmed), "is not the file that was applied"),
        (lambda host: host.confirmed.unlink(), "No such file or directory"),
        (lambda host: host.record.unlink(), "No such file or directory"),
        (lambda host: host.record.write_text("{"), "is damaged: it holds no JSON"),
        (lambda host: host.record.write_text(host.record.read_text().replace("dport", "sport")), "its listing does not have the hash it gives"),
        (lambda host: host.confirmed.chmod(0o666), "has mode 0666"),
        (lambda host: shutil.rmtree(host.state_dir), "no record of how it was applied"),
        (lambda host: leave_pending(host.confirmed), "an earlier run was interrupted"),
    ],
)
def test_harmed_files_are_told_and_repaired(host: Host, harm: t.Callable[[Host], None], reason: str) -> None:
    host.firewall()
    files = {name: text for name, text in host.files().items() if name.endswith(".nft")}
    harm(host)
    told = host.info()
    assert told["in_force"] is False
    assert any(reason in difference for difference in told["differences"])
    before, harmed = host.ruleset(), host.files()
    checked = host.firewall(check=True)
    assert (host.ruleset(), host.files()) == (before, harmed)
    ran = host.firewall()
    same_answer(checked, ran)
    assert ran["changed"] is True
    assert any(reason in text for text in ran["reasons"])
    assert {name: text for name, text in host.files().items() if name.endswith(".nft")} == files
    assert host.info()["in_force"] is True
    assert host.firewall()["changed"] is False


def test_a_table_of_somebody_else_is_left_alone(host: Host) -> None:
    host.nft("table inet portmap {\n chain mine {\n type filter hook input priority 0;\n tcp dport 1 drop\n }\n}\n")
    before = host.ruleset()
    for options in ({}, {"check": True}, {"state": "absent"}, {"state": "absent", "check": True}):
        failed = host.firewall(**options)
        assert failed["failed"] is True
        assert "there is a table inet portmap on this host that this module did not make" in failed["msg"]
    assert host.ruleset() == before
    assert host.files() == {}
    told = host.info()
    assert (told["present"], told["ours"], told["in_force"]) == (True, False, False)
    assert host.firewall(table="alfred")["changed"] is True


def test_one_firewall_per_host(host: Host) -> None:
    host.firewall()
    before = host.ruleset()
    for options in ({"table": "another"}, {"table": "another", "state": "absent"}):
        failed = host.firewall(**options)
        assert "the firewall of this host is the table inet portmap, not inet another; remove it first (state=absent, table=portmap)" in failed["msg"]
    assert host.ruleset() == before


def test_absent_leaves_nothing(host: Host) -> None:
    host.nft(OTHERS)
    before = host.ruleset()
    host.firewall()
    loaded = host.ruleset()
    checked = host.firewall(state="absent", check=True)
    assert host.ruleset() == loaded
    ran = host.firewall(state="absent")
    same_answer(checked, copy.deepcopy(ran))
    assert ran["changed"] is True
    assert ran["diff"][-1]["after"] == ""
    assert host.ruleset() == before
    assert list(host.directory.iterdir()) == []
    assert host.firewall(state="absent")["changed"] is False
    told = host.info()
    assert (told["present"], told["in_force"], told["ruleset"], told["listing"]) == (False, False, None, None)


@pytest.mark.parametrize(
    "harm", [lambda host: host.nft("delete table inet portmap"), lambda host: shutil.rmtree(host.state_dir), lambda host: edit(host.confirmed)]
)
def test_absent_goes_on_where_something_is_left(host: Host, harm: t.Callable[[Host], None]) -> None:
    host.firewall()
    harm(host)
    assert host.firewall(state="absent")["changed"] is True
    assert host.run("nft", "list", "ruleset") == ""
    assert list(host.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (lambda policy: policy["ingress"][0].update(ports=["70000"]), ["ingress[0].ports", "70000"]),
        (lambda policy: policy["ingress"][1].update(networks=["nowhere"]), ["ingress[1].networks", "nowhere"]),
        (lambda policy: policy["networks"].update(bastion=["203.0.113.300"]), ["networks.bastion", "203.0.113.300"]),
        (lambda policy: policy["ingress"][0].update(transport="icmp"), ["transport", "icmp"]),
        (lambda policy: policy["ingress"][0].pop("ports"), ["ports", "ingress"]),
        (lambda policy: policy.update(ingres=[]), ["policy.ingres"]),
    ],
)
def test_a_broken_policy_changes_nothing(host: Host, change: t.Callable[[dict[str, t.Any]], t.Any], texts: list[str]) -> None:
    host.firewall()
    before, files = host.ruleset(), host.files()
    policy = copy.deepcopy(POLICY)
    change(policy)
    for check in (True, False):
        failed = host.firewall(policy=policy, check=check)
        assert failed["failed"] is True
        assert all(text in failed["msg"] for text in texts), failed["msg"]
    assert (host.ruleset(), host.files()) == (before, files)


def fake_nft(host: Host, script: str) -> str:
    """A PATH with an nft in front that does `script` in place of loading; gives the PATH."""
    programs = host.directory.parent / f"{host.directory.name}-bin"
    programs.mkdir()
    program = programs / "nft"
    program.write_text(f'#!/bin/sh\n{script}\nexec {shutil.which("nft")} "$@"\n')
    program.chmod(0o755)
    return f"{programs}:{os.environ['PATH']}"


def test_a_load_that_fails_leaves_the_policy_before(host: Host) -> None:
    """What the check let pass and the kernel refuses: the transaction as a whole is not done, nothing is kept of it."""
    host.firewall()
    before, files = host.ruleset(), host.files()
    policy = copy.deepcopy(POLICY)
    policy["ping"] = []
    # The last line of the file is one that the kernel refuses, after all the others.
    path = fake_nft(host, 'if [ "$1" = -f ]; then echo "add rule inet portmap no_such_chain accept" >> "$2"; fi')
    failed = host.firewall(policy=policy, path=path)
    assert failed["failed"] is True
    assert "the ruleset could not be loaded; the kernel kept the one before" in failed["msg"]
    assert "no_such_chain" in failed["msg"]
    assert (host.ruleset(), host.files()) == (before, files)
    assert host.firewall()["changed"] is False


def test_a_check_that_fails_changes_nothing(host: Host) -> None:
    path = fake_nft(host, 'if [ "$1" = -c ]; then echo nonsense >> "$3"; fi')
    for check in (True, False):
        failed = host.firewall(path=path, check=check)
        assert failed["failed"] is True
        assert "does not pass the check" in failed["msg"]
        assert "\nruleset:" in failed["msg"] or " ruleset:" in failed["msg"], "the error names no temporary file"
    assert host.run("nft", "list", "ruleset") == ""
    assert host.files() == {}


def test_killed_after_the_load(host: Host) -> None:
    """The table is the new one, our files are of the old one: the next run finds out and sets it right."""
    host.firewall()
    policy = copy.deepcopy(POLICY)
    policy["ping"] = []
    path = fake_nft(host, f'if [ "$1" = -f ]; then {shutil.which("nft")} "$@"; kill -9 $PPID; exit 0; fi')
    with pytest.raises(AssertionError):
        host.firewall(policy=policy, path=path)
    assert host.info()["in_force"] is False
    ran = host.firewall()
    assert ran["reasons"] == ["an earlier run was interrupted", "the table inet portmap was changed by hand"]
    assert host.info()["in_force"] is True
    assert sorted(host.files()) == ["portmap/firewall/confirmed.json", "portmap/firewall/confirmed.nft"], "the lock of the killed run is gone too"


def test_other_tables_that_nft_cannot_list_are_told(host: Host) -> None:
    """Some versions of nft fail over what other programs loaded. Our own table is listed by itself."""
    path = fake_nft(host, 'if [ "$3" = ruleset ]; then echo "cannot decode" >&2; exit 1; fi')
    ran = host.firewall(path=path)
    assert ran["changed"] is True
    (conflict,) = ran["conflicts"]
    assert conflict["what"] == "cannot be looked at, so they may drop anything: cannot list the ruleset: nft says: cannot decode"
    assert host.firewall(path=path)["changed"] is False


def test_no_nft_on_the_host(host: Host, tmp_path_factory: pytest.TempPathFactory) -> None:
    """PATH alone would not do: the module looks in the system's directories too. So these are hidden."""
    empty = tmp_path_factory.mktemp("empty")
    hide = f'mount --bind {empty} /usr/sbin && exec "$0" "$@"'
    arguments = host.directory / "arguments.json"
    for options, failed in ((({"policy": POLICY}), True), (({"state": "absent"}), False)):
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {"state_dir": str(host.state_dir), "boot": False, **options}}))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        command = ["unshare", "-n", "-m", "sh", "-c", hide, sys.executable, "-m", MODULES + "firewall", str(arguments)]
        answer = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout)
        assert answer.get("failed", False) is failed
        assert answer["nft_missing"] is True
        assert "install the package nftables" in answer.get("msg", "install the package nftables")


def test_boot_needs_systemd(host: Host) -> None:
    """This test runs where no systemd runs, or would write to the machine's own units: it hides systemd."""
    arguments = host.directory / "arguments.json"
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {"state_dir": str(host.state_dir), "boot": True, "policy": POLICY}}))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    hide = 'mkdir -p /run/systemd && mount -t tmpfs none /run/systemd && exec "$0" "$@"'
    command = ["unshare", "-n", "-m", "sh", "-c", hide, sys.executable, "-m", MODULES + "firewall", str(arguments)]
    answer = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout)
    assert answer["failed"] is True
    assert answer["msg"].startswith("boot: this host is not run by systemd")
    assert not host.state_dir.exists()


@pytest.mark.parametrize(
    ("commands", "kinds"),
    [
        ([["iptables-nft", "-A", "INPUT", "-p", "tcp", "--dport", "443", "-j", "REJECT"]], ["iptables-nft"]),
        ([["ip6tables-nft", "-P", "INPUT", "DROP"]], ["iptables-nft"]),
        ([["iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "443", "-j", "DROP"]], ["iptables-legacy"]),
        ([["ip6tables-legacy", "-P", "FORWARD", "DROP"]], ["iptables-legacy"]),
        ([["iptables-nft", "-A", "INPUT", "-j", "ACCEPT"], ["iptables-legacy", "-A", "INPUT", "-j", "ACCEPT"]], []),
        (
            [
                ["iptables-nft", "-N", "ufw-before-input"],
                ["iptables-nft", "-A", "ufw-before-input", "-i", "lo", "-j", "ACCEPT"],
                ["iptables-nft", "-A", "INPUT", "-j", "ufw-before-input"],
                ["iptables-nft", "-P", "INPUT", "DROP"],
            ],
            ["ufw"],
        ),
        (
            [["nft", "add table inet firewalld { chain filter_INPUT { type filter hook input priority 10; reject with icmpx admin-prohibited; } ; }"]],
            ["firewalld"],
        ),
        ([["nft", "add table inet mine { chain c { type filter hook output priority 0; policy drop; } ; }"]], ["nftables"]),
        (
            [
                ["iptables-nft", "-N", "DOCKER"],
                ["iptables-nft", "-A", "FORWARD", "-j", "DOCKER"],
                ["iptables-nft", "-A", "DOCKER", "-o", "docker0", "-j", "DROP"],
                ["iptables-nft", "-P", "FORWARD", "DROP"],
                ["iptables-nft", "-A", "FORWARD", "-i", "br-1", "-o", "br-1", "-j", "DROP"],
            ],
            [],
        ),
    ],
)
def test_conflicts(host: Host, commands: list[list[str]], kinds: list[str]) -> None:
    """Rules that are really loaded, by the programs that load them."""
    for command in commands:
        host.run(*command)
    before = host.ruleset()
    ran = twice(host)
    assert [conflict["kind"] for conflict in ran["conflicts"]] == kinds
    assert len(ran.get("warnings", [])) == len(kinds)
    assert host.info()["conflicts"] == ran["conflicts"]
    assert host.ruleset().startswith(before), "a conflict is reported, not fought"


def test_raw_sockets_of_a_protocol_without_ports(host: Host) -> None:
    """Refused before the first policy; a host that has one already is warned."""
    script = "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, int(sys.argv[1])); print(flush=True); sys.stdin.read()"

    def listening(protocol: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["ip", "netns", "exec", host.namespace, sys.executable, "-c", script, str(protocol)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    vrrp, ping = listening(112), listening(socket.IPPROTO_ICMP)
    try:
        for check in (True, False):
            failed = host.firewall(check=check)
            assert failed["failed"] is True
            assert failed["msg"].endswith("protocol 112, VRRP (a raw socket)")
        assert host.run("nft", "list", "ruleset") == ""
        assert host.files() == {}
        vrrp.communicate("")
        assert host.firewall()["changed"] is True, "a raw ICMP socket harms nothing"
        vrrp = listening(112)
        again = host.firewall()
        assert again["changed"] is False
        assert "protocol 112, VRRP" in str(again["warnings"])
    finally:
        for process in (vrrp, ping):
            process.communicate("")


def test_two_runs_at_once(host: Host) -> None:
    """Each waits for the other: one applies, the others find nothing to do."""
    arguments = host.directory / "arguments.json"
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {"state_dir": str(host.state_dir), "boot": False, "confirm_timeout": 0, "policy": POLICY}}))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = ["ip", "netns", "exec", host.namespace, sys.executable, "-m", MODULES + "firewall", str(arguments)]
    runs = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _run in range(4)]
    answers = [json.loads(run.communicate()[0]) for run in runs]
    arguments.unlink()
    assert sorted(answer["changed"] for answer in answers) == [False, False, False, True]
    assert host.info()["in_force"] is True
    assert sorted(host.files()) == ["portmap/firewall/confirmed.json", "portmap/firewall/confirmed.nft"]


@pytest.mark.parametrize("name", ["firewall", "firewall_info"])
@pytest.mark.parametrize(
    ("without", "message"),
    [(["unshare", "-U"], "this module needs root: run it with become"), (["setpriv", "--bounding-set", "-net_admin"], "you must be root")],
)
def test_without_the_right(host: Host, name: str, without: list[str], message: str) -> None:
    before = host.ruleset()
    options = {"boot": False, "policy": POLICY} if name == "firewall" else {}
    arguments = host.directory / "arguments.json"
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {"state_dir": str(host.state_dir), **options}}))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = ["ip", "netns", "exec", host.namespace, *without, sys.executable, "-m", MODULES + name, str(arguments)]
    answer = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout)
    assert answer["failed"] is True
    assert message in answer["msg"]
    assert host.ruleset() == before
    assert list(host.directory.iterdir()) == [arguments]
