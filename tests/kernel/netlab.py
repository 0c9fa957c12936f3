# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host under test in network namespaces of this machine: nothing leaves it, and its own namespace is not touched.

    outside ── ext0 ┐
                    ├── host ── docker0 ── box1
    guest ─── virt0 ┘        └─ br-two  ── box2

`host` has two addresses of each family outside: at the second one everything is DNATed to box1's port 80, as a published
port is. `virt0` stands for a bridge that is no container's (libvirt).
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import typing as t
import uuid
from dataclasses import dataclass, field

SENDER = pathlib.Path(__file__).with_name("sender.py")

HOST4, PUBLISHED4, HOST6, PUBLISHED6 = "203.0.113.1", "203.0.113.2", "2001:db8:1::1", "2001:db8:1::2"
BOX1_4, BOX1_6, BOX2_4, BOX2_6 = "192.0.2.2", "2001:db8:2::2", "192.0.2.18", "2001:db8:3::2"
DOCKER4, DOCKER6 = "192.0.2.1", "2001:db8:2::1"
GUEST4, GUEST6 = "192.0.2.34", "2001:db8:4::2"


def run(*argv: str, text: str | None = None, check: bool = True) -> str:
    """Run a command and return what it prints; raises with what it said."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if check and done.returncode:
        raise AssertionError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
    return done.stdout


@dataclass
class Namespace:
    """One network namespace, and a process in it that sends packets."""

    name: str
    _sender: subprocess.Popen[str] | None = field(default=None, repr=False)

    def run(self, *argv: str, text: str | None = None, check: bool = True) -> str:
        """Run a command inside."""
        return run("ip", "netns", "exec", self.name, *argv, text=text, check=check)

    def nft(self, text: str) -> None:
        """Load a ruleset."""
        self.run("nft", "-f", "-", text=text)

    def send(self, packets: list[dict[str, t.Any]]) -> None:
        """Send packets as they are, whatever the addresses: {version, source, destination, protocol, sport, dport}."""
        if self._sender is None:
            argv = ["ip", "netns", "exec", self.name, sys.executable, str(SENDER)]
            self._sender = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._sender.stdin and self._sender.stdout
        self._sender.stdin.write(json.dumps(packets) + "\n")
        self._sender.stdin.flush()
        assert self._sender.stdout.readline().strip() == str(len(packets))

    def close(self) -> None:
        """End the sender, delete the namespace."""
        if self._sender is not None:
            assert self._sender.stdin
            self._sender.stdin.close()
            self._sender.wait(timeout=10)
        run("ip", "netns", "del", self.name, check=False)


@dataclass
class Lab:
    """The five namespaces."""

    host: Namespace
    outside: Namespace
    box1: Namespace
    box2: Namespace
    guest: Namespace


@contextlib.contextmanager
def wired() -> t.Iterator[Lab]:
    """The host and its neighbours, with no ruleset loaded; nothing is left of them afterwards."""
    mark = uuid.uuid4().hex[:6]
    names = {name: Namespace(f"pm-{mark}-{name}") for name in ("host", "outside", "box1", "box2", "guest")}
    for namespace in names.values():
        run("ip", "netns", "add", namespace.name)
    try:
        _wire(names)
        yield Lab(**names)
    finally:
        for namespace in names.values():
            namespace.close()


def _wire(names: dict[str, Namespace]) -> None:
    host = names["host"]
    for namespace in names.values():
        namespace.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0", "net.ipv6.conf.default.accept_dad=0")
        namespace.run("ip", "link", "set", "lo", "up")
    host.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    for bridge in ("docker0", "br-two"):
        host.run("ip", "link", "add", bridge, "type", "bridge")
    _link(host, "ext0", "", names["outside"])
    _link(host, "virt0", "", names["guest"])
    _link(host, "veth1", "docker0", names["box1"])
    _link(host, "veth2", "br-two", names["box2"])
    _addresses(host, "ext0", f"{HOST4}/24", f"{PUBLISHED4}/24", f"{HOST6}/64", f"{PUBLISHED6}/64")
    _addresses(host, "docker0", f"{DOCKER4}/28", f"{DOCKER6}/64")
    _addresses(host, "br-two", "192.0.2.17/28", "2001:db8:3::1/64")
    _addresses(host, "virt0", "192.0.2.33/28", "2001:db8:4::1/64")
    for name, gateways, addresses in (
        ("outside", (HOST4, HOST6), ("203.0.113.99/24", "2001:db8:1::99/64")),
        ("box1", (DOCKER4, DOCKER6), (f"{BOX1_4}/28", f"{BOX1_6}/64")),
        ("box2", ("192.0.2.17", "2001:db8:3::1"), (f"{BOX2_4}/28", f"{BOX2_6}/64")),
        ("guest", ("192.0.2.33", "2001:db8:4::1"), (f"{GUEST4}/28", f"{GUEST6}/64")),
    ):
        _addresses(names[name], "eth0", *addresses)
        for gateway in gateways:
            names[name].run("ip", "route", "add", "default", "via", gateway, "dev", "eth0")
    for gateway in ("203.0.113.99", "2001:db8:1::99"):
        host.run("ip", "route", "add", "default", "via", gateway, "dev", "ext0")


def _link(host: Namespace, inside: str, bridge: str, other: Namespace) -> None:
    host.run("ip", "link", "add", inside, "type", "veth", "peer", "name", "eth0", "netns", other.name)
    if bridge:
        host.run("ip", "link", "set", inside, "master", bridge)
        host.run("ip", "link", "set", bridge, "up")
    host.run("ip", "link", "set", inside, "up")
    other.run("ip", "link", "set", "eth0", "up")


def _addresses(namespace: Namespace, device: str, *addresses: str) -> None:
    for address in addresses:
        namespace.run("ip", "address", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
