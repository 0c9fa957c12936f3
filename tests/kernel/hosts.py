# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is a network namespace and a directory, on which the modules run as Ansible runs them."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t
import uuid

MODULES = "ansible_collections.alfred.portmap.plugins.modules."

# This machine's systemd would run a timer in this machine's own network namespace. `ip netns exec` mounts for its command alone.
WITHOUT_SYSTEMD = ["/bin/sh", "-c", '[ ! -d /run/systemd ] || mount -t tmpfs none /run/systemd; exec "$@"', "sh"]

POLICY: dict[str, t.Any] = {
    "networks": {
        "anywhere": ["0.0.0.0/0", "::/0"],
        "bastion": ["203.0.113.10", "2001:db8:1::10"],
        "peers": [f"203.0.113.{last}" for last in range(11, 41)] + [f"2001:db8:1::{last}" for last in range(11, 41)],
        "dns_servers": ["198.51.100.53"],
    },
    "ingress": [
        {"name": "ssh", "transport": "tcp", "ports": ["22"], "networks": ["bastion"], "containers": False, "origin": "map.yml:1 firewall.ingress[0]"},
        {"name": "https", "transport": "tcp", "ports": ["443"], "networks": ["anywhere"], "containers": True, "origin": "map.yml:2 firewall.ingress[1]"},
        {"name": "api", "transport": "tcp", "ports": ["8080", "9000-9010"], "networks": ["peers"], "containers": True, "origin": "map.yml:3 services.api"},
        {"name": "turn", "transport": "udp", "ports": ["3478"], "networks": ["anywhere"], "containers": False, "origin": "map.yml:4 firewall.ingress[2]"},
    ],
    "egress_default": "drop",
    "egress": [
        {"name": "dns", "transport": "udp", "ports": ["53"], "networks": ["dns_servers"], "origin": "map.yml:5 firewall.egress[0]"},
        {"name": "https", "transport": "tcp", "ports": ["443"], "networks": ["anywhere"], "origin": "map.yml:6 firewall.egress[1]"},
    ],
    "ping": ["anywhere"],
    "container_interfaces": ["docker0", "br-*"],
}


class Host:
    """A host that is a network namespace and a directory."""

    def __init__(self, namespace: str, directory: pathlib.Path) -> None:
        self.namespace = namespace
        self.directory = directory
        self.state_dir = directory / "portmap"
        self.confirmed = self.state_dir / "firewall" / "confirmed.nft"
        self.record = self.state_dir / "firewall" / "confirmed.json"

    def run(self, *argv: str, stdin: str = "") -> str:
        """Run a command in the namespace; it must succeed."""
        done = subprocess.run(["ip", "netns", "exec", self.namespace, *argv], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def nft(self, text: str) -> None:
        """Do by hand what nft is told."""
        self.run("nft", "-f", "-", stdin=text)

    def ruleset(self) -> str:
        """All tables, with their handles: a table that was loaded again shows."""
        return self.run("nft", "-s", "-a", "list", "ruleset")

    def module(self, name: str, check: bool = False, path: str | None = None, session: str = "", zone: str = "", **options: t.Any) -> dict[str, t.Any]:
        """Run a module as Ansible does, in a time zone (TZ), and give its answer."""
        internal = {"_ansible_check_mode": check, "_ansible_diff": True, "_ansible_tmpdir": None, "_ansible_remote_tmp": str(self.directory)}
        arguments = self.directory / f"{uuid.uuid4().hex}.json"
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {"state_dir": str(self.state_dir), **internal, **options}}))
        environment = {
            "PATH": path if path is not None else os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
            "LANG": "de_DE.UTF-8",
            "SSH_CONNECTION": session,
            "TZ": zone,
        }
        command = [shutil.which("ip") or "ip", "netns", "exec", self.namespace, *WITHOUT_SYSTEMD, sys.executable, "-m", MODULES + name, str(arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        arguments.unlink()
        assert done.stdout.strip(), done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return t.cast("dict[str, t.Any]", json.loads(done.stdout))

    def firewall(self, policy: dict[str, t.Any] | None = None, **options: t.Any) -> dict[str, t.Any]:
        """Run the module firewall; without a policy or a state with POLICY."""
        if "state" not in options:
            options["policy"] = POLICY if policy is None else policy
        return self.module("firewall", **{"boot": False, "confirm_timeout": 0, **options})

    def info(self) -> dict[str, t.Any]:
        """Run the module firewall_info."""
        return self.module("firewall_info")

    def files(self) -> dict[str, str]:
        """All files of the host, and their contents."""
        return {str(path.relative_to(self.directory)): path.read_text() for path in self.directory.rglob("*") if path.is_file()}
