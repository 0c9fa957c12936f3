# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets of this very process inside a namespace, and what the host's hooks saw of what they sent.

A socket belongs to the namespace that it was made in, whatever its process does afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import time
import typing as t

from netlab import Namespace

PATIENCE = 10.0  # seconds that a packet of this machine may take; only a failing test takes as long
_LIBC = ctypes.CDLL(None, use_errno=True)

# Counts what a match finds, before our table and after it.
WATCH = """
table inet watch
delete table inet watch
table inet watch {
    counter arrived {
    }
    counter through {
    }
%s
}
"""
WATCH_HOOK = """
    chain early_%(hook)s {
        type filter hook %(hook)s priority filter - 50; policy accept;
        %(match)s counter name arrived
    }
    chain late_%(hook)s {
        type filter hook %(hook)s priority filter + 20; policy accept;
        %(match)s counter name through
    }
"""


def _enter(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        if _LIBC.setns(handle, 0):
            raise OSError(ctypes.get_errno(), path)
    finally:
        os.close(handle)


@contextlib.contextmanager
def inside(namespace: Namespace) -> t.Iterator[None]:
    """Make sockets there."""
    home = f"/proc/{os.getpid()}/fd/{os.open('/proc/thread-self/ns/net', os.O_RDONLY)}"
    _enter(f"/run/netns/{namespace.name}")
    try:
        yield
    finally:
        _enter(home)
        os.close(int(home.rpartition("/")[2]))


def made(namespace: Namespace, address: str, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
    """A socket in a namespace, of the family of an address; it waits only so long."""
    with inside(namespace):
        found = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind, protocol)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.settimeout(PATIENCE)
    return found


class Session(t.NamedTuple):
    """Both ends of a TCP session."""

    client: socket.socket
    server: socket.socket

    def goes_on(self, first: str) -> bool:
        """Whether each end hears what the other one says; `first` speaks first."""
        ends = (self.client, self.server) if first == "client" else (self.server, self.client)
        return hears(*ends) and hears(*reversed(ends))


def hears(speaker: socket.socket, listener: socket.socket) -> bool:
    """Whether a word arrives."""
    word = os.urandom(8)
    speaker.send(word)
    heard = b""
    with contextlib.suppress(TimeoutError):
        while len(heard) < len(word):
            heard += listener.recv(len(word) - len(heard))
    return heard == word


def session(client: Namespace, server: Namespace, address: str, port: int, served: tuple[str, int] | None = None) -> Session:
    """Call an address; `served` is where the server listens if that is another (DNAT)."""
    listener = made(server, address, socket.SOCK_STREAM)
    listener.bind(served or (address, port))
    listener.listen()
    caller = made(client, address, socket.SOCK_STREAM)
    caller.connect((address, port))
    accepted, _peer = listener.accept()
    accepted.settimeout(PATIENCE)
    listener.close()
    return Session(caller, accepted)


def datagram(sender: Namespace, address: str, port: int, *, source: tuple[str, int] | None = None, size: int = 4) -> t.Callable[[], None]:
    """Something that sends one datagram when called."""

    def send() -> None:
        out = made(sender, address, socket.SOCK_DGRAM)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        with out, contextlib.suppress(PermissionError):  # dropped by the sender's own output hook
            if source:
                out.bind(source)
            out.sendto(b"x" * size, (address, port))

    return send


def through(host: Namespace, match: str, send: t.Callable[[], None], count: int = 1) -> int:
    """How many packets of a match our table let through, of `count` that must arrive at the host's hooks."""
    host.nft(WATCH % "".join(WATCH_HOOK % {"hook": hook, "match": match} for hook in ("input", "output", "forward")))
    send()
    deadline = time.monotonic() + PATIENCE
    while True:
        counters = counted(host, "watch")
        if counters["arrived"] >= count:
            return counters["through"]
        assert time.monotonic() < deadline, f"{counters['arrived']} of {count} packets arrived: {match}"
        time.sleep(0.01)


def counted(host: Namespace, table: str) -> dict[str, int]:
    """The named counters of a table, in packets."""
    listed = json.loads(host.run("nft", "-j", "list", "counters"))["nftables"]
    return {one["counter"]["name"]: one["counter"]["packets"] for one in listed if one.get("counter", {}).get("table") == table}
