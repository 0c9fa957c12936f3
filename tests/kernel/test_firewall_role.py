# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role firewall, run by ansible-playbook in a network namespace with a /var/lib of its own. Needs root."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import typing as t
import uuid

import pytest

POLICY: dict[str, t.Any] = {
    "networks": {"anywhere": ["0.0.0.0/0", "::/0"]},
    "ingress": [{"name": "https", "transport": "tcp", "ports": ["443"], "networks": ["anywhere"], "containers": False, "origin": ""}],
    "egress_default": "drop",
    "egress": [],
    "ping": [],
    "container_interfaces": [],
}
PLAYBOOK = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "roles": ["alfred.portmap.firewall"]}]


class Host:
    """A host that is a network namespace and a directory /var/lib."""

    def __init__(self, namespace: str, directory: pathlib.Path) -> None:
        self.namespace = namespace
        self.directory = directory
        self.var_lib = directory / "lib"
        self.var_lib.mkdir()
        (directory / "play.yml").write_text(json.dumps(PLAYBOOK))

    def run(self, *argv: str) -> str:
        """Run a command in the namespace; it must succeed."""
        return subprocess.run(["ip", "netns", "exec", self.namespace, *argv], capture_output=True, text=True, check=True).stdout

    def play(self, *options: str, prepare: str = "true", **variables: t.Any) -> tuple[dict[str, int], str]:
        """Run the role: (the recap's counts, the output)."""
        (self.directory / "vars.json").write_text(json.dumps({"firewall_boot": False, "ansible_python_interpreter": sys.executable, **variables}))
        playbook = str(pathlib.Path(sys.executable).parent / "ansible-playbook")
        # This machine's systemd would run the undo's timer in this machine's own network namespace.
        hidden = "if [ -d /run/systemd ]; then mount -t tmpfs none /run/systemd; fi"
        script = f'{hidden}; {prepare} && mount --rbind {self.var_lib} /var/lib && exec "$0" "$@"'
        command = ["ip", "netns", "exec", self.namespace, "sh", "-c", script, playbook, "-i", "localhost,", str(self.directory / "play.yml")]
        command += ["-e", f"@{self.directory / 'vars.json'}", *options]
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(path for path in sys.path if os.path.isdir(os.path.join(path, "ansible_collections"))),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_NOCOLOR": "1",
        }
        output = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        recap = re.search(r"^localhost\s+: (.*)$", output.stdout, re.MULTILINE)
        assert recap is not None, output.stdout + output.stderr
        counts = {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", recap.group(1))}
        return counts, " ".join((output.stdout + output.stderr).split())


@pytest.fixture
def host(tmp_path: pathlib.Path) -> t.Iterator[Host]:
    """A host with nothing on it."""
    namespace = f"portmap-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        yield Host(namespace, tmp_path)
    finally:
        subprocess.run(["ip", "netns", "del", namespace], check=True)


def test_apply_then_nothing_to_do_in_one_module_call(host: Host) -> None:
    checked, output = host.play("--check", "--diff", firewall_policy=POLICY)
    assert (checked["changed"], checked["failed"]) == (1, 0)
    assert "+table inet portmap {" in output
    assert host.run("nft", "list", "tables") == ""
    counts, output = host.play(firewall_policy=POLICY)
    assert (counts["changed"], counts["failed"]) == (1, 0), output
    assert host.run("nft", "list", "tables") == "table inet portmap\n"
    counts, output = host.play(firewall_policy=POLICY)
    # Of the tasks that are not skipped one checks the role's arguments, on the controller, and one is the module.
    assert (counts["ok"], counts["changed"], counts["failed"]) == (2, 0, 0), output
    (host.var_lib / "portmap" / "firewall" / "confirmed.nft").unlink()
    assert host.play(firewall_policy=POLICY)[0]["changed"] == 1


def plan() -> dict[str, t.Any]:
    """A plan with POLICY, of a host that has an sshd."""
    firewall = {key: value for key, value in POLICY.items() if key != "networks"}
    ssh = {"ports": ["22"], "networks": [], "jumps_to": []}
    localhost = {"addresses": ["203.0.113.11"], "firewall": firewall, "ingress": None, "listeners": [], "ssh": ssh}
    return {"version": 1, "environment": None, "port_map": {}, "notices": [], "networks": POLICY["networks"], "hosts": {"localhost": localhost}}


def test_from_a_plan(host: Host) -> None:
    counts, output = host.play(port_map_plan=plan())
    assert (counts["changed"], counts["failed"]) == (1, 0), output
    assert host.play(firewall_policy=POLICY)[0]["changed"] == 0, "it is the very same policy"


def test_whom_the_role_ssh_bastion_lets_in_for_a_while_stays_in(host: Host) -> None:
    (host.directory / "window.yml").write_text('ssh_bastion_temporary: {network: [192.0.2.7, "2001:db8:9::/64"], until: 2100-01-01T01:00:00+01:00}\n')
    for changed in (1, 0):
        counts, output = host.play("-e", f"@{host.directory / 'window.yml'}", port_map_plan=plan())
        assert (counts["changed"], counts["failed"]) == (changed, 0), output
        assert 'accept comment "until 2100-01-01T00:00:00Z: ssh:temporary"' in host.run("nft", "list", "ruleset")
    counts, output = host.play(port_map_plan=plan(), ssh_bastion_temporary={"network": "192.0.2.7", "until": "2001-09-09T01:46:40Z"})
    assert (counts["changed"], counts["failed"]) == (1, 0), output
    assert output.count("ssh_bastion_temporary ended at 2001-09-09T01:46:40Z") == 1
    assert host.play(port_map_plan=plan())[0]["changed"] == 0
    counts, output = host.play(port_map_plan=plan(), ssh_bastion_temporary={"network": "0.0.0.0/0", "until": "tonight"})
    assert counts["failed"] == 1
    assert "ssh_bastion_temporary.network = '0.0.0.0/0': is everybody" in output
    assert "ssh_bastion_temporary.until = 'tonight': must be a time" in output


def test_nothing_planned(host: Host) -> None:
    counts, output = host.play(firewall_policy=None)
    assert (counts["changed"], counts["failed"]) == (0, 0), output
    assert host.run("nft", "list", "tables") == ""
    host.run("nft", "add table inet portmap")
    assert host.play(firewall_policy=None)[0]["failed"] == 0, "that table is not ours"


def test_nothing_planned_any_more_is_told_and_nothing_is_opened(host: Host) -> None:
    host.play(firewall_policy=POLICY)
    before = host.run("nft", "-a", "list", "ruleset")
    counts, output = host.play(firewall_policy=None)
    assert (counts["changed"], counts["failed"]) == (0, 1)
    assert "table inet portmap of an earlier run is still in force" in output
    assert "-e firewall_state=absent" in output
    assert host.run("nft", "-a", "list", "ruleset") == before
    assert host.play(firewall_state="absent", firewall_policy=None)[0]["changed"] == 1
    assert host.run("nft", "list", "ruleset") == ""
    assert list(host.var_lib.iterdir()) == []
    assert host.play(firewall_state="absent", firewall_policy=None)[0]["changed"] == 0


def test_absent_needs_no_plan(host: Host) -> None:
    counts, output = host.play(firewall_state="absent")
    assert (counts["changed"], counts["failed"]) == (0, 0), output


def test_wrong_arguments(host: Host) -> None:
    counts, output = host.play(firewall_policy=POLICY, firewall_state="gone")
    assert counts["failed"] == 1
    assert "firewall_state" in output
    assert "gone" in output
    broken = {**POLICY, "ping": ["nobody"]}
    counts, output = host.play(firewall_policy=broken)
    assert counts["failed"] == 1
    assert "nobody" in output
    assert host.run("nft", "list", "tables") == ""


def test_no_nft(host: Host) -> None:
    """Only in check mode, which installs nothing on this machine; and without the right to install."""
    hide = "mount --bind /dev/null /usr/sbin/nft"
    for packages in ("apt", "dpkg", "rpm"):  # the package manager needs its own
        if os.path.isdir(f"/var/lib/{packages}"):
            hide += f" && mkdir -p {host.var_lib}/{packages} && mount --bind /var/lib/{packages} {host.var_lib}/{packages}"
    for no in (False, "false"):  # the text is what -e firewall_install=false gives
        counts, output = host.play(prepare=hide, firewall_policy=POLICY, firewall_install=no)
        assert counts["failed"] == 1
        assert "install the package nftables" in output
    counts, output = host.play("--check", prepare=hide, firewall_policy=POLICY)
    assert counts["failed"] == 0, output
    assert "Install nftables" in output
