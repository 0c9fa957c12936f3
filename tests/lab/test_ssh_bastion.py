# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH from the bastion only, on the whole lab: who really gets in from where, by which of the two layers, and how one gets in when all is lost.

Real logins with the operator's real key, from every vantage: a key in the wrong hands must not be enough. What a single host does with a
change that goes wrong: test_ssh_lockout.py.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import pathlib
import subprocess
import time
import typing as t

import lab
import pytest
from conftest import ROOT
from extra import STATE, ExtraHost, extra_host

PLAYBOOK = "playbooks/ssh_bastion.yml"
DROP_IN = "/etc/ssh/sshd_config.d/0-portmap.conf"
KEY = "/run/operator_key"
OPTIONS = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=3 -o IdentitiesOnly=yes"
EVERYWHERE = [address for pair in lab.ADDRESSES.values() for address in pair]
IN, REFUSED, DROPPED = "in", "refused by sshd", "dropped"


def logins(vantage: str, addresses: t.Sequence[str]) -> dict[str, str]:
    """Log in everywhere at once: `in`, `refused by sshd` (it answered), or `dropped` (nothing came back)."""
    key = (STATE / "id_ed25519").read_text(encoding="ascii")
    lab.run(vantage, "sh", "-c", f"umask 077; cat >{KEY}", stdin=key)
    attempt = f"(out=$(ssh -n -i {KEY} {OPTIONS} ansible@$address echo welcome 2>&1 | tr -d '\\r'); echo $address $(echo $out)) &"
    try:
        answers = lab.run(vantage, "sh", "-c", f"for address in {' '.join(addresses)}; do {attempt} done; wait").stdout
    finally:
        lab.run(vantage, "rm", KEY)
    return {line.split()[0]: verdict(line) for line in answers.splitlines()}


def verdict(line: str) -> str:
    """What one answer means."""
    if line.endswith("welcome"):
        return IN
    # Some versions refuse the login, some cut off before there is one (RefuseConnection).
    if any(text in line for text in ("Permission denied", "Connection closed by", "Connection reset by", "kex_exchange_identification")):
        return REFUSED
    return DROPPED if "timed out" in line else line


def others(vantage: str) -> list[str]:
    """Every address but the vantage's own."""
    return [address for address in EVERYWHERE if address not in lab.ADDRESSES.get(vantage, ())]


def assert_all(vantage: str, expected: str) -> None:
    """The same happens everywhere."""
    addresses = others(vantage)
    assert logins(vantage, addresses) == dict.fromkeys(addresses, expected)


def changed(output: str) -> set[str]:
    """The hosts of a run that were changed."""
    recap = output[output.index("PLAY RECAP") :].splitlines()[1:]
    return {line.split()[0] for line in recap if "changed=" in line and "changed=0" not in line}


@pytest.fixture(scope="module", autouse=True)
def hardened(playbook: t.Callable[..., str]) -> t.Iterator[str]:
    """The lab with both layers; the output of the run that made them."""
    output = playbook(PLAYBOOK)
    yield output
    playbook(PLAYBOOK, "-e", "ssh_bastion_state=absent")
    for host in lab.ADDRESSES:
        assert lab.run(host, "ls", "/var/lib/portmap/ssh", DROP_IN, check=False).stdout == ""


def test_it_was_a_change_of_every_host_and_none_the_second_time(hardened: str, playbook: t.Callable[..., str]) -> None:
    assert changed(hardened) == set(lab.ADDRESSES)
    assert changed(playbook(PLAYBOOK)) == set()
    assert changed(playbook(PLAYBOOK, "--check", "--diff")) == set()


@pytest.mark.parametrize("vantage", ["outsider", "core1", "edge1"])
def test_a_key_is_not_enough(vantage: str) -> None:
    assert_all(vantage, DROPPED)


def test_the_bastion_gets_in_everywhere() -> None:
    assert_all("bastion1", IN)


def test_the_operators_get_in_by_the_bastion_and_not_beside_it() -> None:
    config = ["ssh", "-F", str(STATE / "ssh_config"), "-o", "BatchMode=yes", "-o", "ConnectTimeout=3"]
    for address in lab.ADDRESSES["bastion1"]:
        assert subprocess.run([*config, "-o", f"HostName={address}", "bastion1", "true"], check=False).returncode == 0, address
    for host in lab.ADDRESSES:
        assert subprocess.run([*config, host, "true"], check=False).returncode == 0, host
    for address in lab.ADDRESSES["core1"]:
        direct = subprocess.run([*config, "-o", "ProxyJump=none", "-o", f"HostName={address}", "core1", "true"], capture_output=True, text=True, check=False)
        assert direct.returncode == 255 and "timed out" in direct.stderr, address


@contextlib.contextmanager
def without_firewall() -> t.Iterator[None]:
    """Every host with its table gone."""
    for host in lab.ADDRESSES:
        lab.run(host, "nft", "delete", "table", "inet", "portmap")
    try:
        yield
    finally:
        for host in lab.ADDRESSES:
            lab.run(host, "nft", "-f", "/var/lib/portmap/firewall/confirmed.nft")


@contextlib.contextmanager
def without_sshd_layer() -> t.Iterator[None]:
    """Every host with sshd's part gone."""
    for host in lab.ADDRESSES:
        lab.run(host, "sh", "-c", f"mv {DROP_IN} /run/kept && systemctl reload ssh")
    try:
        yield
    finally:
        for host in lab.ADDRESSES:
            lab.run(host, "sh", "-c", f"mv /run/kept {DROP_IN} && systemctl reload ssh")


def test_without_the_firewall_sshd_alone_refuses_strangers() -> None:
    with without_firewall():
        for vantage in ("outsider", "core1", "edge1"):
            assert_all(vantage, REFUSED)
        assert_all("bastion1", IN)


def test_without_sshd_the_firewall_alone_drops_strangers() -> None:
    with without_sshd_layer():
        for vantage in ("outsider", "core1", "edge1"):
            assert_all(vantage, DROPPED)
        assert_all("bastion1", IN)


def test_without_both_the_key_would_be_enough() -> None:
    """Else the tests above prove nothing."""
    with without_firewall(), without_sshd_layer():
        assert_all("outsider", IN)


@pytest.mark.parametrize(
    ("host", "target", "allowed"),
    [
        ("bastion1", "203.0.113.12:22", True),
        ("bastion1", "203.0.113.15:9090", False),
        ("core1", "203.0.113.14:22", False),
        ("core1", "203.0.113.12:8080", False),
    ],
)
def test_forwarding_is_for_the_bastion_alone_and_for_ssh_alone(host: str, target: str, allowed: bool) -> None:
    """-W asks the host for a connection to the target and talks over it: sshd there greets first."""
    command = ["timeout", "5", "ssh", "-F", str(STATE / "ssh_config"), "-o", "BatchMode=yes", "-W", target, host]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("SSH-2.0-") == allowed
    assert ("administratively prohibited" in done.stderr) == (not allowed), done.stderr


def test_the_settings_in_force_for_the_bastion_and_for_a_stranger(tmp_path: pathlib.Path) -> None:
    clients = [{"address": "203.0.113.10", "user": "ansible"}, {"address": "203.0.113.60", "user": "ansible"}, {"address": "2001:db8:1::60", "user": "root"}]
    play = [
        {
            "hosts": "core1",
            "gather_facts": False,
            "tasks": [{"alfred.portmap.sshd_info": {"clients": clients}, "register": "found"}, {"debug": {"var": "found"}}],
        }
    ]
    (tmp_path / "play.json").write_text(json.dumps(play))
    command = ["ansible-playbook", "-i", "inventories/lab", str(tmp_path / "play.json")]
    output = subprocess.run(command, cwd=ROOT, env=None, capture_output=True, text=True, check=True).stdout
    assert output.count("refused: true") == 2 and output.count("refused: false") == 1
    for setting in ("passwordauthentication: 'no'", "kbdinteractiveauthentication: 'no'", "permitrootlogin: 'no'", "authenticationmethods: publickey"):
        assert setting in output


def test_every_term_is_a_variable(playbook: t.Callable[..., str]) -> None:
    variables = {
        "ssh_bastion_root_login": "prohibit-password",
        "ssh_bastion_authentication": "publickey,keyboard-interactive",
        "ssh_bastion_allow_users": ["ansible", "ops"],
        "ssh_bastion_without_ciphers": [],
        "ssh_bastion_without_host_keys": ["*nistp*", "ssh-rsa*"],
        "ssh_bastion_max_auth_tries": 6,
        "ssh_bastion_banner": "Mind the gap",
        "ssh_bastion_forwarding": True,
        "ssh_bastion_permit_open": ["203.0.113.14:22", "203.0.113.15:22"],
        "ssh_bastion_settings": {"TCPKeepAlive": None, "AcceptEnv": ["LANG", "LC_*"], "UseDNS": True, "requiredRSAsize": 3072},
        "ssh_bastion_settings_if_known": {"NoSuchKeyword": 1, "DebianBanner": True, "Compression": "delayed"},
        "ssh_bastion_exempt": [{"match": "User backup", "settings": {"PermitTTY": False}}],
    }
    output = playbook(PLAYBOOK, "--check", "--diff", "--limit", "core1", "-e", json.dumps(variables))
    lines = output.splitlines()
    for line in (
        "-    PermitRootLogin no",
        "+    PermitRootLogin prohibit-password",
        "+    AuthenticationMethods publickey,keyboard-interactive",
        "+    AllowUsers ansible ops",
        "-    Ciphers -*-cbc,3des*,arcfour*",
        "+    HostKeyAlgorithms -*nistp*,ssh-rsa*",
        "+    MaxAuthTries 6",
        "+    Banner /etc/ssh/portmap_banner",
        "+Mind the gap",
        "+    PermitOpen 203.0.113.14:22 203.0.113.15:22",
        "-    TCPKeepAlive no",
        "+    AcceptEnv LANG LC_*",
        "+    UseDNS yes",
        "+    DebianBanner yes",
        "-    RequiredRSASize 2048",
        "+    requiredRSAsize 3072",
        "-    Compression no",
        "+    Compression delayed",
        "+Match User backup",
        "+    PermitTTY no",
    ):
        assert line in lines, output
    assert "NoSuchKeyword" not in "".join(line for line in lines if line.startswith("+"))
    assert not any(line.startswith("+    Ciphers") for line in lines)


def test_a_host_that_nothing_is_planned_for_is_not_opened_by_the_way() -> None:
    for become in ("true", "false"):
        variables = json.dumps({"ssh_bastion_plan": None, "ssh_bastion_layers": ["sshd"]})
        command = ["ansible-playbook", PLAYBOOK, "-i", "inventories/lab", "--limit", "core1", "-e", variables, "-e", f"ansible_become={become}"]
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        told = " ".join(done.stdout.split())
        assert done.returncode != 0
        assert (f"{DROP_IN} of an earlier run is still in force" if become == "true" else "this module needs root") in told, told
    assert lab.run("core1", "ls", DROP_IN).returncode == 0


def test_the_way_in_when_all_is_lost(playbook: t.Callable[..., str]) -> None:
    """On the console, as docs/ssh.md has it; the next run puts both layers back."""
    lab.run("core1", "sh", "-c", f"rm {DROP_IN} && systemctl reload ssh")
    lab.run("core1", "nft", "delete", "table", "inet", "portmap")
    addresses = list(lab.ADDRESSES["core1"])
    assert logins("outsider", addresses) == dict.fromkeys(addresses, IN)
    output = playbook(PLAYBOOK, "--diff", "--limit", "core1")
    assert changed(output) == {"core1"}
    assert logins("outsider", addresses) == dict.fromkeys(addresses, DROPPED)


def test_an_operators_network_for_a_while(playbook: t.Callable[..., str]) -> None:
    """Both layers let it in, and both end that by themselves."""
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=25)
    admitted = {"network": [*lab.OUTSIDER], "until": until.strftime("%Y-%m-%dT%H:%M:%SZ")}
    addresses = list(lab.ADDRESSES["core1"])
    output = playbook(PLAYBOOK, "--limit", "core1", "-e", json.dumps({"ssh_bastion_temporary": admitted}))
    assert changed(output) == {"core1"}
    assert logins("outsider", addresses) == dict.fromkeys(addresses, IN)
    assert logins("edge1", addresses) == dict.fromkeys(addresses, DROPPED)
    time.sleep(max(0.0, until.timestamp() - time.time()) + 3)
    assert logins("outsider", addresses) == dict.fromkeys(addresses, DROPPED)
    with without_firewall():
        assert logins("outsider", addresses) == dict.fromkeys(addresses, REFUSED)
    assert logins("bastion1", addresses) == dict.fromkeys(addresses, IN)
    # The rule that never matches any more is cleared away by the next run; then there is nothing left to do.
    assert changed(playbook(PLAYBOOK, "--limit", "core1")) == {"core1"}
    assert changed(playbook(PLAYBOOK, "--limit", "core1")) == set()


# A fleet

MAP: dict[str, t.Any] = {
    "port_map": {
        "version": 1,
        "ingress": "none",
        "networks": {"operators": ["203.0.113.1", "2001:db8:1::1"]},
        "services": {"sshd": {"port": 22, "protocol": "ssh", "hosts": "all"}},
        "firewall": {"ingress": [{"name": "ssh", "service": "sshd", "from": "operators"}], "egress": []},
    }
}


@pytest.fixture
def fleet() -> t.Iterator[list[ExtraHost]]:
    """Five hosts that nobody was on before."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(extra_host(f"five{number}", 32 + number)) for number in range(1, 6)]


def test_a_fleet_one_by_one_stops_at_the_first_that_fails(fleet: list[ExtraHost], tmp_path: pathlib.Path) -> None:
    inventory, port_map = tmp_path / "inventory.json", tmp_path / "port_map.yml"
    inventory.write_text(json.dumps({"all": {"hosts": {host.name: host.vars() for host in fleet}}}))
    port_map.write_text(json.dumps(MAP))
    command = ["ansible-playbook", PLAYBOOK, "-i", str(inventory), "-e", f"port_map_file={port_map}", "-e", "port_map_serial=1"]

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *argv], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    foreseen = run("--check", "--diff", "-e", "port_map_serial=5")
    assert foreseen.returncode == 0 and changed(foreseen.stdout) == {host.name for host in fleet}, foreseen.stdout + foreseen.stderr
    broken = "/etc/ssh/sshd_config.d/90-theirs.conf"
    fleet[2].run("sh", "-c", f"echo 'PermitRotLogin no' >{broken}")
    stopped = run()
    assert stopped.returncode != 0
    assert f"{broken}: line 1: Bad configuration option: PermitRotLogin" in " ".join(stopped.stdout.split()).replace("'", ""), stopped.stdout
    untouched = [host.run("ls", "/var/lib/portmap", DROP_IN, check=False).stdout == "" for host in fleet]
    assert untouched == [False, False, False, True, True]
    assert fleet[2].run("ls", DROP_IN, check=False).returncode != 0
    fleet[2].run("rm", broken)
    mended = run()
    assert mended.returncode == 0 and changed(mended.stdout) == {host.name for host in fleet[2:]}, mended.stdout
    assert changed(run("-e", "port_map_serial=5").stdout) == set()


@pytest.mark.parametrize("group", [{"bastion": {}}, {}], ids=["empty", "missing"])
def test_without_a_bastion_nothing_is_planned(group: dict[str, t.Any], tmp_path: pathlib.Path) -> None:
    inventory, port_map = tmp_path / "inventory.json", tmp_path / "port_map.yml"
    host = {"port_map_addresses": ["203.0.113.12"], "ansible_host": "203.0.113.12", "ansible_ssh_common_args": "-o ConnectTimeout=1"}
    inventory.write_text(json.dumps({"all": {"hosts": {"core1": host}, "children": group}}))
    ours = MAP["port_map"]
    ingress = [{"name": "ssh", "service": "sshd", "from": "bastion"}]
    changes = {"networks": {"bastion": {"hosts": "bastion"}}, "firewall": {"ingress": ingress, "egress": []}}
    port_map.write_text(json.dumps({"port_map": {**ours, **changes}}))
    command = ["ansible-playbook", PLAYBOOK, "-i", str(inventory), "-e", f"port_map_file={port_map}"]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "networks.bastion.hosts = 'bastion'" in done.stdout, done.stdout
    assert "Let sshd take logins" not in done.stdout
