# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Further hosts beside the lab's own, made for a test and gone with it: of the lab's images, on its network.

They are in no inventory of the lab. A test writes its own, with vars(): Ansible goes straight in, from the operators' address.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import time
import typing as t
from dataclasses import dataclass

import lab

STATE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "alfred-portmap" / "lab"
BUILD = pathlib.Path(__file__).parents[2] / "extensions" / "molecule" / "default" / "image" / "build"
SYSTEMD = [
    *("--cap-add", "NET_ADMIN", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--cgroupns=host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--stop-signal", "SIGRTMIN+3"),
]
# What a Docker engine inside needs beside that; --privileged is more than some machines allow.
ENGINE = [
    *("--cap-add", "MKNOD", "--security-opt", "systempaths=unconfined"),
    *("--device-cgroup-rule", "a *:* rwm", "--volume", "/var/lib/docker"),
]


@dataclass(frozen=True)
class ExtraHost:
    """A host that a test made."""

    name: str
    v4: str
    v6: str

    def run(self, *argv: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on it, from the inside."""
        return lab.run(self.name, *argv, stdin=stdin, check=check)

    def vars(self) -> dict[str, t.Any]:
        """Its host variables, for an inventory."""
        trust = f"-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes -i {STATE}/id_ed25519"
        return {
            "port_map_addresses": [self.v4, self.v6],
            "ansible_host": self.v4,
            "ansible_user": "ansible",
            "ansible_become": True,
            "ansible_ssh_common_args": trust,
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    def booted(self) -> None:
        """Wait until systemd says that it is up."""
        deadline = time.monotonic() + 60
        while self.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip() not in ("running", "degraded"):
            assert time.monotonic() < deadline, f"{self.name} does not boot"
            time.sleep(0.5)

    def reboot(self) -> None:
        """Off and on again: what is in memory is gone."""
        subprocess.run(["docker", "restart", f"portmap-{self.name}"], check=True, capture_output=True)
        self.booted()


@contextlib.contextmanager
def extra_host(name: str, number: int, *docker_options: str, suite: str = "bookworm") -> t.Iterator[ExtraHost]:
    """A host of this Debian at 203.0.113.NUMBER and 2001:db8:1::NUMBER, booted, with the lab's operator key let in.

    2 to 9 are the tests' of SSH, 20 to 39 those of others, as they may run at once; the scenario ssh_bastion has 40 to 44, test_containers.py routes 48 to 55.
    """
    host = ExtraHost(name, f"203.0.113.{number}", f"2001:db8:1::{number}")
    container = f"portmap-{name}"
    image = subprocess.run([str(BUILD), "", suite], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["docker", "rm", "--force", "--volumes", container], check=False, capture_output=True)
    network = ["--network", "portmap-lab", "--ip", host.v4, "--ip6", host.v6]
    command = ["docker", "run", "--detach", "--name", container, "--hostname", name, *SYSTEMD, *docker_options, *network, image, "/sbin/init"]
    subprocess.run(command, check=True, capture_output=True)
    try:
        host.run("ssh-keygen", "-A")
        key = (STATE / "id_ed25519.pub").read_text(encoding="ascii")
        host.run("sh", "-c", "cat >/home/ansible/.ssh/authorized_keys && chown ansible: /home/ansible/.ssh/authorized_keys", stdin=key)
        host.booted()
        host.run("systemctl", "reset-failed", "ssh")  # until its keys were there it failed, perhaps too often to be started again
        host.run("systemctl", "restart", "ssh")
        yield host
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", container], check=False, capture_output=True)
