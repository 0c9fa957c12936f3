# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our table beside other firewalls that are really in force, and in their place (`adopt`). Asked from the outsider and from the operator.

Of the ports that listen our policy opens OURS and BOTH, the other firewall opens THEIRS and BOTH: who drops what can be told on the wire.
"""

from __future__ import annotations

import base64
import contextlib
import json
import pathlib
import re
import socket
import subprocess
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import ansible
import lab
import pytest
from conftest import ROOT
from extra import ExtraHost, extra_host

pytestmark = pytest.mark.beside

OURS, THEIRS, BOTH = 8080, 8081, 8082
OUTSIDER4, OUTSIDER6 = lab.OUTSIDER
POLICY: dict[str, t.Any] = {
    "networks": {"anywhere": ["0.0.0.0/0", "::/0"], "operators": ["203.0.113.1", "2001:db8:1::1"]},
    "ingress": [
        {"name": "ssh", "ports": ["22"], "networks": ["operators"]},
        {"name": "web", "ports": [str(OURS), str(BOTH)], "networks": ["anywhere"]},
    ],
    "ping": ["anywhere"],
}

SERVE = """
import asyncio, socket
async def greet(reader, writer):
    writer.close()
async def main():
    for port in PORTS:
        await asyncio.start_server(greet, sock=socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True))
    await asyncio.Event().wait()
asyncio.run(main())
"""
SERVE_UNIT = """
[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/serve.py
[Install]
WantedBy=multi-user.target
"""
RUN = "cd /usr/local/lib/portmap && python3 -m ansible_collections.alfred.portmap.plugins.modules."

DROPS = "drops everything that it does not accept"
UFW_ADVICE = "allow the same in ufw, or stop using it here: 'ufw disable', or adopt: [ufw]"
FIREWALLD_ADVICE = "open the same in firewalld, or stop using it here: 'systemctl disable --now firewalld', or adopt: [firewalld]"
WARNING = "[WARNING]: another firewall may drop what the policy allows: "

IPTABLES = """
for program in PROGRAMS; do
    $program -A INPUT -i lo -j ACCEPT
    $program -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    for port in 22 THEIRS BOTH; do $program -A INPUT -p tcp --dport $port -j ACCEPT; done
    case $program in
        ip6*) $program -A INPUT -p ipv6-icmp -j ACCEPT;;
        *) $program -A INPUT -p icmp -j ACCEPT;;
    esac
done
"""
UFW = f"for port in 22 {THEIRS} {BOTH}; do ufw allow $port/tcp; done; systemctl enable ufw; ufw --force enable"
UFW_OFF = "ufw disable; ufw --force reset; for program in iptables ip6tables; do $program -F; $program -X; done"
FIREWALLD = f"""
systemctl enable firewalld
systemctl start firewalld
for port in {THEIRS} {BOTH}; do firewall-cmd --permanent --add-port $port/tcp; done
firewall-cmd --reload
"""
FIREWALLD_OFF = "systemctl disable --now firewalld; rm -rf /etc/firewalld/zones/*"


class Other(t.NamedTuple):
    """Another firewall: how it is switched on and off, and what we must say of it."""

    name: str
    on: str
    off: str
    advice: str
    where: str
    what: str


def by_hand(programs: str, rest: str) -> str:
    return IPTABLES.replace("PROGRAMS", programs).replace("THEIRS", str(THEIRS)).replace("BOTH", str(BOTH)) + f"for program in {programs}; do {rest}; done"


FIREWALLS = [
    Other("ufw", UFW, UFW_OFF, UFW_ADVICE, "table ip filter, chain INPUT (hook input, priority filter)", f"{DROPS} (policy drop)"),
    Other(
        "firewalld",
        FIREWALLD,
        FIREWALLD_OFF,
        FIREWALLD_ADVICE,
        "table inet firewalld, chain filter_INPUT (hook input, priority filter + 10)",
        f"{DROPS} (a rule without condition)",
    ),
    Other(
        "iptables-nft",
        by_hand("iptables ip6tables", "$program -A INPUT -j REJECT"),
        "iptables -F; ip6tables -F",
        "look with 'iptables -S' and 'ip6tables -S'; remove these rules, or allow the same there",
        "table ip filter, chain INPUT (hook input, priority filter)",
        f"{DROPS} (a rule without condition)",
    ),
    Other(
        "iptables-legacy",
        by_hand("iptables-legacy ip6tables-legacy", "$program -P INPUT DROP"),
        "for program in iptables-legacy ip6tables-legacy; do $program -P INPUT ACCEPT; $program -F; done",
        "look with 'iptables-legacy -S' and 'ip6tables-legacy -S' (nft does not show them); remove these rules, or allow the same there",
        "table ip filter, chain INPUT (hook input)",
        f"{DROPS} (policy drop)",
    ),
]
ADOPTABLE = FIREWALLS[:2]


@dataclass
class Site:
    """The host, and how it is asked and changed."""

    host: ExtraHost
    directory: pathlib.Path

    def sh(self, script: str, check: bool = True) -> str:
        """Run a script on the host."""
        return self.host.run("sh", "-c" if not check else "-ec", script, check=check).stdout

    def module(self, name: str = "firewall", check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        """Run a module on the host by itself, as without Ansible: nobody confirms anything."""
        if name == "firewall" and "state" not in options:
            options["policy"] = POLICY
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_check_mode": check, **options}})
        done = self.host.run("sh", "-c", RUN + name, stdin=arguments, check=False)
        assert done.stdout, done.stderr
        return t.cast("dict[str, t.Any]", json.loads(done.stdout))

    def play(self, **options: t.Any) -> tuple[dict[str, dict[str, t.Any]], set[str], str]:
        """By Ansible, in this order: `check`, `first`, `second` run, `info`. Gives their results, the warnings, and all the output."""
        arguments = {"policy": POLICY, **options}
        tasks: list[dict[str, t.Any]] = [
            {"alfred.portmap.firewall": arguments, "register": "check", "check_mode": True},
            {"alfred.portmap.firewall": arguments, "register": "first"},
            {"alfred.portmap.firewall": arguments, "register": "second"},
            {"alfred.portmap.firewall_info": {}, "register": "info"},
            {"ansible.builtin.debug": {"msg": "RESULTS-{{ {'check': check, 'first': first, 'second': second, 'info': info} | to_json | b64encode }}-"}},
        ]
        inventory, playbook = self.directory / "hosts.json", self.directory / "play.json"
        inventory.write_text(json.dumps({"all": {"hosts": {self.host.name: self.host.vars()}}}), encoding="utf-8")
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
        command = ["ansible-playbook", "-i", str(inventory), str(playbook)]
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        output = done.stdout + done.stderr
        warnings = {line.removeprefix(WARNING) for line in output.splitlines() if line.startswith(WARNING)}
        found = re.search(r"RESULTS-([A-Za-z0-9+/=]+)-", output)
        assert (found is not None) == (done.returncode == 0), output
        return json.loads(base64.b64decode(found.group(1))) if found else {}, warnings, output

    def others(self) -> str:
        """Every table and rule but ours, without what merely counts."""
        script = """
            nft list tables | grep -v '^table inet portmap$' | while read -r table; do nft -s -a list $table; done
            iptables-save; ip6tables-save
            if [ -s /proc/net/ip_tables_names ]; then iptables-legacy-save; fi
            if [ -s /proc/net/ip6_tables_names ]; then ip6tables-legacy-save; fi
        """
        return re.sub(r"\[\d+:\d+\]|^# (Generated|Completed).*$", "", self.sh(script), flags=re.MULTILINE)

    def opened(self, *ports: int, vantage: str = "outsider") -> set[int]:
        """Which ports are open, the same on both families; a refusal counts as closed."""
        questions = [(address, port) for address in (self.host.v4, self.host.v6) for port in ports or (OURS, THEIRS, BOTH)]
        if vantage == "outsider":
            answers = lab.connect("outsider", questions, 1.5)
        else:
            with ThreadPoolExecutor() as pool:
                answers = dict(zip(questions, pool.map(from_here, questions), strict=True))
        found = [{port for (whose, port), answer in answers.items() if whose == address and answer == "open"} for address in (self.host.v4, self.host.v6)]
        assert found[0] == found[1], answers
        return found[0]

    def absent(self) -> None:
        """Leave no trace of ours."""
        assert "failed" not in self.module(state="absent")

    @contextlib.contextmanager
    def beside(self, on: str, off: str) -> t.Iterator[None]:
        """Another firewall is in force while the body runs; neither it nor ours is afterwards."""
        try:
            self.sh(on)
            yield
        finally:
            self.sh(off, check=False)
            self.absent()
            assert self.opened() == {OURS, THEIRS, BOTH}, self.others()


def from_here(question: lab.Question) -> str:
    """Connect from the operators' address."""
    try:
        socket.create_connection(question, timeout=1.5).close()
    except OSError as error:
        return str(error)
    return "open"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    """The host with its services, and with the modules on it."""
    with extra_host("others1", 31) as host:
        host.run("sh", "-c", "cat >/usr/local/lib/serve.py", stdin=SERVE.replace("PORTS", str([OURS, THEIRS, BOTH])))
        host.run("sh", "-c", "cat >/etc/systemd/system/serve.service && systemctl enable --now serve", stdin=SERVE_UNIT)
        ours = ["-C", str(ROOT), "--transform", "s,^,ansible_collections/alfred/portmap/,", "plugins/modules", "plugins/module_utils"]
        core = ["-C", str(pathlib.Path(ansible.__file__).parents[1]), "ansible/release.py", "ansible/module_utils"]
        host.run("mkdir", "-p", "/usr/local/lib/portmap/ansible")
        host.run("touch", "/usr/local/lib/portmap/ansible/__init__.py")  # empty, as Ansible sends it
        for what in (ours, core):
            packed = subprocess.run(["tar", "-c", "--exclude=__pycache__", *what], capture_output=True, check=True).stdout
            command = [*lab.inside("portmap-others1"), "tar", "-x", "-C", "/usr/local/lib/portmap"]
            subprocess.run(command, input=packed, capture_output=True, check=True)
        yield Site(host, tmp_path_factory.mktemp("others"))


@pytest.mark.parametrize("other", FIREWALLS, ids=lambda other: other.name)
def test_a_firewall_in_force_is_reported_with_what_to_do_and_left_alone(site: Site, other: Other) -> None:
    with site.beside(other.on, other.off):
        before = site.others()
        assert site.opened() == {THEIRS, BOTH}, "the other firewall is not in force: this test shows nothing"
        results, warnings, output = site.play()
        assert results, output
        first = results["first"]
        assert {(conflict["kind"], conflict["advice"]) for conflict in first["conflicts"]} == {(other.name, other.advice)}
        assert (first["conflicts"][0]["where"], first["conflicts"][0]["what"]) == (other.where, other.what)
        for name in ("check", "second", "info"):
            assert results[name]["conflicts"] == first["conflicts"], f"{name}, too, must tell the same"
        assert [results[name]["changed"] for name in ("check", "first", "second", "info")] == [True, True, False, False]
        (line,) = warnings
        assert line.startswith(f"{other.name}: {other.where} {other.what}")
        assert line.endswith(f"; {other.advice}")

        assert site.others() == before
        for vantage in ("outsider", "operator"):
            assert site.opened(vantage=vantage) == {BOTH}, "what one of them drops is dropped"
        site.absent()
        assert site.others() == before
        assert site.opened() == {THEIRS, BOTH}


# What is no conflict.

FAIL2BAN = f"""
for name in nft xt; do : >/var/log/$name.log; done
cat >/etc/fail2ban/jail.d/test.conf <<'EOF'
[sshd]
enabled = false
[nft]
enabled = true
filter = sshd
backend = polling
logpath = /var/log/nft.log
banaction = nftables
port = {OURS}
[xt]
enabled = true
filter = sshd
backend = polling
logpath = /var/log/xt.log
banaction = iptables-multiport
port = {BOTH}
EOF
systemctl start fail2ban
until fail2ban-client ping >/dev/null 2>&1; do sleep 0.2; done
"""
BAN = """
for jail in nft xt; do for address in ADDRESSES; do fail2ban-client set $jail banip $address; done; done
for address in ADDRESSES; do
    until nft list table inet f2b-table | grep -q $address && (iptables -S f2b-xt; ip6tables -S f2b-xt) | grep -q $address; do sleep 0.2; done
done
"""
FAIL2BAN_OFF = "systemctl stop fail2ban; rm -f /etc/fail2ban/jail.d/test.conf /var/lib/fail2ban/*"


def test_fail2ban_is_no_conflict_and_its_bans_hold(site: Site) -> None:
    """By nftables and by iptables, its default: with a ban of before our apply, and one that is lifted and made after it."""
    with site.beside(FAIL2BAN + BAN.replace("ADDRESSES", f"{OUTSIDER4} {OUTSIDER6}"), FAIL2BAN_OFF):
        before = site.others()
        assert "f2b-table" in before and "-A f2b-xt" in before
        assert site.opened() == {THEIRS}
        results, warnings, output = site.play()
        assert results, output
        assert (warnings, [result["conflicts"] for result in results.values()]) == (set(), [[]] * 4)
        assert results["second"]["changed"] is False
        assert site.others() == before
        assert (site.opened(), site.opened(vantage="operator")) == (set(), {OURS, BOTH}), "banned as before, and nobody else"
        for command, found in (("unbanip", {OURS, BOTH}), ("banip", set())):
            for jail in ("nft", "xt"):
                site.sh(f"for address in {OUTSIDER4} {OUTSIDER6}; do fail2ban-client set {jail} {command} $address; done")
            assert wait_for(lambda found=found: site.opened() == found)
        site.absent()
        assert site.opened() == {THEIRS}


def wait_for(condition: t.Callable[[], bool], seconds: float = 10) -> bool:
    """Ask again and again, until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


# As the plugins bridge, firewall and portmap of CNI do it: pod1 is published as port 9000 of the host.
CNI = """
ip link add cni0 type bridge
ip address add 10.99.0.1/24 dev cni0
ip link set cni0 up
iptables -P FORWARD DROP
iptables -N CNI-FORWARD
iptables -N CNI-ADMIN
iptables -I FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
iptables -A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN
iptables -t nat -N CNI-HOSTPORT-DNAT
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
iptables -t nat -A CNI-HOSTPORT-DNAT -p tcp --dport 9000 -j DNAT --to-destination 10.99.0.11:81
for number in 1 2; do
    address=10.99.0.1$number
    ip netns add pod$number
    ip link add veth$number type veth peer name eth0 netns pod$number
    ip link set veth$number master cni0 up
    ip -n pod$number link set lo up
    ip -n pod$number link set eth0 up
    ip -n pod$number address add $address/24 dev eth0
    ip -n pod$number route add default via 10.99.0.1
    iptables -A CNI-FORWARD -d $address -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    iptables -A CNI-FORWARD -s $address -j ACCEPT
    iptables -t nat -N CNI-pod$number
    iptables -t nat -A POSTROUTING -s $address -m comment --comment 'name: "lab"' -j CNI-pod$number
    iptables -t nat -A CNI-pod$number -d 10.99.0.0/24 -j ACCEPT
    iptables -t nat -A CNI-pod$number ! -d 224.0.0.0/4 -j MASQUERADE
done
iptables -A CNI-FORWARD -d 10.99.0.11 -p tcp --dport 81 -m conntrack --ctstate DNAT -j ACCEPT
sed 's/for port in .*:/for port in [81]:/' /usr/local/lib/serve.py >/run/pod.py
systemd-run --quiet --collect --unit pod1 ip netns exec pod1 python3 /run/pod.py
until ip netns exec pod1 ss -tln | grep -q :81; do sleep 0.1; done
"""
CNI_OFF = """
systemctl stop pod1
for number in 1 2; do ip netns del pod$number; done
ip link del cni0
iptables -P FORWARD ACCEPT
for table in filter nat; do
    iptables -t $table -S | grep -e '-A .*CNI-' | sed 's/^-A/-D/' | while read -r rule; do eval iptables -t $table "$rule"; done
    iptables -t $table -S | sed -n '/^-N CNI-/s/^-N //p' | while read -r chain; do iptables -t $table -X "$chain"; done
done
"""


def test_a_cni_bridge_is_no_conflict_and_its_pods_are_left_alone(site: Site) -> None:
    """Pods reach each other, the host's services and the outside, and are reached by their published port: the policy drops egress, theirs not."""

    def pods() -> dict[lab.Question, str]:
        questions = [("10.99.0.11", 81), (OUTSIDER4, 22), (site.host.v4, BOTH)]
        answers = site.host.run("ip", "netns", "exec", "pod2", "python3", "-c", lab.CONNECT.replace("SECONDS", "3"), stdin=json.dumps(questions)).stdout
        published = (site.host.v4, 9000)
        return dict(zip(questions, json.loads(answers), strict=True)) | lab.connect("outsider", [published])

    with site.beside(CNI, CNI_OFF):
        before = site.others()
        assert set(pods().values()) == {"open"}, "the pods do not work: this test shows nothing"
        results, warnings, output = site.play()
        assert results, output
        assert (warnings, [result["conflicts"] for result in results.values()]) == (set(), [[]] * 4)
        assert results["second"]["changed"] is False
        assert site.others() == before
        assert set(pods().values()) == {"open"}, pods()
        assert site.opened() == {OURS, BOTH}
        # Without CNI's chain in use the same drop is somebody's firewall.
        site.sh("iptables -D FORWARD 1")
        (conflict,) = site.module("firewall_info")["conflicts"]
        assert (conflict["kind"], conflict["what"]) == ("iptables-nft", f"{DROPS} (policy drop)")
        site.sh('iptables -I FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD')
        site.absent()
        assert set(pods().values()) == {"open"}


# adopt


def off(site: Site, other: Other) -> bool:
    """Is it stopped, and will it stay so?"""
    if other.name == "ufw":
        return "Status: inactive" in site.sh("ufw status") and "ENABLED=no" in site.sh("cat /etc/ufw/ufw.conf")
    return site.sh("systemctl is-active firewalld; systemctl is-enabled firewalld", check=False).split() == ["inactive", "disabled"]


def rules(site: Site, only: str = "") -> list[str]:
    """What there is but ours, chain by chain: what was made anew may stand in another order, under other handles, beside chains without effect."""
    found = []
    for table in re.findall(r"^table .*?^}$", re.sub(r" # handle \d+", "", site.others()), flags=re.MULTILINE | re.DOTALL):
        head, _brace, body = table.removesuffix("}").partition("{\n")
        found += [f"{head}{block.strip()}" for block in body.split("\n\n")]
    without_effect = re.compile(r"chain \w+ {\n\s*type [^\n]* policy accept;\n\s*}$")
    return sorted(block for block in found if "chain" in block and only in block and not without_effect.search(block))


@pytest.mark.parametrize("other", ADOPTABLE, ids=lambda other: other.name)
def test_adoption(site: Site, other: Other) -> None:
    """Not confirmed, interrupted by a reboot, confirmed, after another reboot; beside fail2ban, which systemd would stop together with firewalld."""
    reason = f"{other.name} is in force and enabled, and is to be switched off (adopt)"
    with site.beside(other.on + FAIL2BAN + BAN.replace("ADDRESSES", "192.0.2.1 2001:db8:ff::1"), other.off + "\n" + FAIL2BAN_OFF):
        before = rules(site)
        checked = site.module(check=True, adopt=[other.name])
        assert (checked["changed"], checked["conflicts"]) == (True, [])
        assert reason in checked["reasons"]
        assert rules(site) == before

        # A probe that never connects: it is stopped, and comes back.
        results, _warnings, output = site.play(adopt=[other.name], confirm_timeout=5, confirm_probes=[{"port": 9}])
        assert results == {}
        assert "so the host undid it by itself" in output
        assert f"the state of before is in force again; {other.name} was started again" in output
        assert rules(site) == before
        assert site.opened() == {THEIRS, BOTH}
        assert not off(site, other)

        # A reboot before the confirmation.
        answer = site.module(adopt=[other.name], confirm_timeout=60)
        assert (answer["transaction"]["state"], answer["conflicts"]) == ("armed", [])
        assert site.opened() == {OURS, BOTH}
        site.host.reboot()
        assert wait_for(lambda: site.opened() == {THEIRS, BOTH}), site.others()
        own = {"ufw": "chain ufw", "firewalld": "table inet firewalld"}[other.name]
        assert rules(site, own) == [block for block in before if own in block] != []

        # Confirmed.
        site.sh("systemctl start fail2ban")
        results, warnings, output = site.play(adopt=[other.name])
        assert results, output
        assert reason in results["check"]["reasons"] and reason in results["first"]["reasons"]
        assert results["first"]["transaction"]["state"] == "confirmed"
        assert (results["second"]["changed"], results["second"]["reasons"]) == (False, [])
        assert [result["conflicts"] for result in results.values()] == [[]] * 4
        assert warnings == set()
        assert site.opened() == {OURS, BOTH}
        assert off(site, other)
        assert site.sh("systemctl is-active fail2ban") == "active\n"

        # For good.
        site.host.reboot()
        assert wait_for(lambda: site.opened() == {OURS, BOTH}), site.others()
        assert off(site, other)
        assert site.module(adopt=["ufw", "firewalld"])["changed"] is False
        site.absent()
        assert off(site, other), "nothing is switched on again"
        assert site.opened() == {OURS, THEIRS, BOTH}


def test_adoption_without_confirmation(site: Site) -> None:
    """confirm_timeout=0, both at once; and one that is on is another reason than one that would be on after a reboot only."""
    with site.beside(UFW + "\n" + FIREWALLD, UFW_OFF + "\n" + FIREWALLD_OFF):
        site.sh("/lib/ufw/ufw-init stop")
        answer = site.module(adopt=["firewalld", "ufw"], confirm_timeout=0)
        assert "ufw is enabled, and is to be switched off (adopt)" in answer["reasons"]
        assert "firewalld is in force and enabled, and is to be switched off (adopt)" in answer["reasons"]
        assert (answer["transaction"], answer["conflicts"]) == (None, [])
        assert all(off(site, other) for other in ADOPTABLE)
        assert site.opened() == {OURS, BOTH}
        assert site.module(adopt=["firewalld", "ufw"], confirm_timeout=0)["changed"] is False


def test_one_that_does_not_stop(site: Site) -> None:
    """Then all is as before: it is in force, there is no table of ours, and nothing waits."""
    hook = "/etc/ufw/before.init"
    with site.beside(UFW, f"rm -f {hook}; {UFW_OFF}"):
        before = rules(site)
        site.host.run("sh", "-ec", f"cat >{hook}; chmod 755 {hook}", stdin='#!/bin/sh\n[ "$1" != stop ] || { echo no way; exit 1; }\n')
        for seconds in (0, 30):
            answer = site.module(adopt=["ufw"], confirm_timeout=seconds)
            assert (answer["failed"], answer["msg"]) == (True, "adopt: ufw could not be stopped: no way")
            assert rules(site) == before
            assert site.module("firewall_info")["pending"] is None
            assert site.sh("systemctl is-active portmap-undo-firewall.timer", check=False) == "inactive\n"
        assert site.opened() == {THEIRS, BOTH}
