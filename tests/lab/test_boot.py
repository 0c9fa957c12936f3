# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall over reboots and beside nftables.service, on a host of its own with a real systemd.

Needs the lab's image: the host is made from the one that portmap-core1 runs.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
import typing as t
import uuid

import ansible
import pytest
from lab import inside

pytestmark = pytest.mark.beside

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNIT = "portmap-firewall.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
DROP_IN = "/etc/systemd/system/nftables.service.d/portmap.conf"
RUN_OPTIONS = [
    *("--cap-add", "NET_ADMIN", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--cgroupns=host"),
    *("-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--tmpfs", "/run", "--tmpfs", "/run/lock", "-e", "container=docker", "--network", "none"),
]

POLICY: dict[str, t.Any] = {
    "networks": {"anywhere": ["0.0.0.0/0", "::/0"]},
    "ingress": [{"name": "https", "transport": "tcp", "ports": ["443"], "networks": ["anywhere"], "containers": False, "origin": ""}],
    "egress_default": "drop",
    "egress": [],
    "ping": [],
    "container_interfaces": [],
}


def docker(*argv: str, stdin: bytes | None = None) -> str:
    """Run docker; it must succeed."""
    done = subprocess.run(["docker", *argv], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


class Host:
    """A container that boots."""

    def __init__(self, name: str) -> None:
        self.name = name

    def sh(self, script: str) -> str:
        """Run a script on the host; it must succeed."""
        done = subprocess.run([*inside(self.name), "sh", "-ec", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait(self) -> None:
        """Wait until it has booted."""
        for _attempt in range(300):
            done = subprocess.run([*inside(self.name), "systemctl", "is-system-running"], capture_output=True, text=True, check=False)
            if done.stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.2)
        raise AssertionError(f"the host did not boot: {done.stdout}{done.stderr}")

    def module(self, name: str = "firewall", check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        """Run a module, by the host's own Python. Nobody is there to confirm anything."""
        if name == "firewall" and "state" not in options:
            options = {"policy": POLICY, "confirm_timeout": 0, **options}
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_check_mode": check, "_ansible_diff": True, **options}}).encode()
        command = ["env", "PYTHONPATH=/root/python", "python3", "-m", f"ansible_collections.alfred.portmap.plugins.modules.{name}"]
        done = subprocess.run([*inside(self.name), *command], input=arguments, capture_output=True, check=False)
        assert done.stdout, done.stderr.decode()
        answer: dict[str, t.Any] = json.loads(done.stdout)
        answer.pop("invocation", None)
        return answer

    def repaired(self) -> list[str]:
        """Check, run, check, run: changed, changed, not, not. Gives the reasons of the first run."""
        checked = self.module(check=True)
        ran = self.module()
        assert checked == ran
        assert ran["changed"] is True
        for check in (True, False):
            again = self.module(check=check)
            assert (again["changed"], again["reasons"]) == (False, [])
        told = self.module("firewall_info")
        assert told["in_force"] is True
        assert told["boot"] == {"unit": UNIT, "enabled": True, "active": True}
        reasons: list[str] = ran["reasons"]
        return reasons

    def trace(self) -> str:
        """All that the module could leave behind."""
        return self.sh("find /etc /var/lib /run/systemd/generator* | sort; systemctl list-unit-files --no-legend; nft list ruleset")


@pytest.fixture(scope="module")
def host() -> t.Iterator[Host]:
    """A fresh host with the modules on it."""
    image = docker("inspect", "--format", "{{.Image}}", "portmap-core1").strip()
    name = f"portmap-boot-{uuid.uuid4().hex[:8]}"
    docker("run", "-d", "--name", name, *RUN_OPTIONS, image, "/sbin/init")
    try:
        fresh = Host(name)
        package = pathlib.Path(ansible.__file__).parent
        files = ["release.py", "module_utils"]
        ours = subprocess.run(
            ["tar", "-c", "--exclude=__pycache__", "-C", str(ROOT), "plugins/modules", "plugins/module_utils"], capture_output=True, check=True
        ).stdout
        core = subprocess.run(["tar", "-c", "--exclude=__pycache__", "-C", str(package), *files], capture_output=True, check=True).stdout
        collection = "/root/python/ansible_collections/alfred/portmap"
        docker("exec", name, "mkdir", "-p", "/root/python/ansible", collection)
        docker("exec", "-i", name, "tar", "-x", "-C", "/root/python/ansible", stdin=core)
        docker("exec", name, "touch", "/root/python/ansible/__init__.py")  # empty, as Ansible sends it
        docker("exec", "-i", name, "tar", "-x", "-C", collection, stdin=ours)
        fresh.wait()
        yield fresh
    finally:
        docker("rm", "-f", "-v", name)


@pytest.fixture
def applied(host: Host) -> Host:
    """The host with the policy in force."""
    host.sh("systemctl disable --now nftables.service 2>/dev/null; nft flush ruleset")
    host.module(state="absent")
    assert host.module()["changed"] is True
    return host


def test_first_run(host: Host) -> None:
    host.module(state="absent")
    reasons = host.repaired()
    assert reasons == [
        "no policy was applied before",
        f"{UNIT_FILE} is missing",
        f"{DROP_IN} is missing",
        f"{UNIT} is not enabled",
        f"{UNIT} is not active",
    ]
    assert host.sh(f"systemd-analyze verify {UNIT_FILE} 2>&1") == ""


@pytest.mark.parametrize(
    ("harm", "reasons"),
    [
        (f"systemctl disable {UNIT}", [f"{UNIT} is not enabled"]),
        (f"systemctl stop {UNIT}", [f"{UNIT} is not active"]),
        (f"echo >> {UNIT_FILE}", [f"{UNIT_FILE} is not as it must be"]),
        (f"rm {DROP_IN}", [f"{DROP_IN} is missing"]),
        (
            f"systemctl disable --now {UNIT}; rm {UNIT_FILE}; systemctl daemon-reload",
            [f"{UNIT_FILE} is missing", f"{UNIT} is not enabled", f"{UNIT} is not active"],
        ),
        ("nft delete table inet portmap", ["the table inet portmap is missing"]),
        ("nft flush ruleset; echo >> /var/lib/portmap/firewall/confirmed.nft", None),
    ],
)
def test_harm_is_told_and_repaired(applied: Host, harm: str, reasons: list[str] | None) -> None:
    applied.sh(harm)
    found = applied.repaired()
    assert found if reasons is None else found == reasons


def test_stopping_the_unit_opens_nothing(applied: Host) -> None:
    before = applied.sh("nft -s list ruleset")
    applied.sh(f"systemctl stop {UNIT}")
    assert applied.sh("nft -s list ruleset") == before


@pytest.mark.parametrize(
    "verbs", [["start"], ["restart"], ["start", "restart"], ["start", "reload"], ["start", "stop"], ["start", "stop", "start"], ["enable --now"]]
)
def test_nftables_service_flushes_everything_and_we_are_back(applied: Host, verbs: list[str]) -> None:
    for verb in verbs:
        applied.sh("nft add table inet witness")
        applied.sh(f"systemctl {verb} nftables.service")
        assert "witness" not in applied.sh("nft list tables"), "nftables.service did not flush: this test shows nothing"
        told = applied.module("firewall_info")
        assert (told["in_force"], told["differences"]) == (True, [])
        assert told["boot"]["active"] is True
    assert applied.module()["changed"] is False


@pytest.mark.parametrize("nftables", ["enable", "disable"])
def test_reboot(applied: Host, nftables: str) -> None:
    """The policy is there before anything listens, with and without Debian's own service, which flushes at boot."""
    applied.sh(f"systemctl {nftables} nftables.service")
    service = "[Service]\\nExecStart=/usr/bin/python3 -m http.server 443\\n[Install]\\nWantedBy=multi-user.target\\n"
    applied.sh(f"printf '{service}' > /etc/systemd/system/listener.service; systemctl enable listener.service")
    docker("restart", applied.name)
    applied.wait()
    told = applied.module("firewall_info")
    assert (told["in_force"], told["differences"]) == (True, [])
    assert applied.module()["changed"] is False
    ours = int(applied.sh(f"systemctl show -P ActiveEnterTimestampMonotonic {UNIT}"))
    assert ours > 0
    units = applied.sh("systemctl list-units --type=service --type=socket --state=active --no-legend --plain | cut -d' ' -f1").split()
    listening = {unit for unit in units if "sysinit.target" in applied.sh(f"systemctl show -P After {unit}").split()}
    assert "listener.service" in listening
    for unit in sorted(listening):
        assert int(applied.sh(f"systemctl show -P InactiveExitTimestampMonotonic {unit}")) >= ours, f"{unit} was started before the policy was in force"


def test_starting_any_service_loads_nothing_again(applied: Host) -> None:
    """An oneshot unit that does not stay active is started again with whatever needs sysinit.target."""
    handle = applied.sh("nft -a list tables inet | grep portmap")
    applied.sh("systemctl restart systemd-journald.service; systemd-run --wait true")
    assert applied.sh("nft -a list tables inet | grep portmap") == handle


def test_a_policy_that_changes_is_what_boots(applied: Host) -> None:
    before = applied.sh("cat /var/lib/portmap/firewall/confirmed.nft")
    POLICY["ingress"][0]["ports"] = ["8443"]
    try:
        assert applied.repaired() == ["the policy is another than the one in force"]
        docker("restart", applied.name)
        applied.wait()
        assert applied.module()["changed"] is False
        assert applied.sh("cat /var/lib/portmap/firewall/confirmed.nft") != before
    finally:
        POLICY["ingress"][0]["ports"] = ["443"]


def test_boot_false_removes_the_unit_only(applied: Host) -> None:
    checked = applied.module(boot=False, check=True)
    ran = applied.module(boot=False)
    assert checked == ran
    assert ran["reasons"] == [f"{UNIT_FILE} is to go", f"{DROP_IN} is to go"]
    assert applied.module(boot=False)["changed"] is False
    told = applied.module("firewall_info")
    assert (told["in_force"], told["boot"]["enabled"], told["boot"]["active"]) == (True, False, False)
    assert applied.sh("ls -d /etc/systemd/system/nftables.service.d 2>&1 || true").count("No such file") == 1


def test_absent_leaves_no_trace(host: Host) -> None:
    host.module(state="absent")
    host.sh("nft flush ruleset; nft add table inet witness")
    before = host.trace()
    assert host.module()["changed"] is True
    checked = host.module(state="absent", check=True)
    ran = host.module(state="absent")
    assert checked == ran
    assert ran["changed"] is True
    assert host.trace() == before
    assert host.module(state="absent")["changed"] is False


def test_absent_leaves_the_drop_ins_of_others(applied: Host) -> None:
    applied.sh("printf '[Unit]\\n' > /etc/systemd/system/nftables.service.d/other.conf")
    applied.module(state="absent")
    assert applied.sh("cd /etc/systemd/system/nftables.service.d; ls; rm other.conf; cd ..; rmdir nftables.service.d").split() == ["other.conf"]
