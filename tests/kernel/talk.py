# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets of this very process inside a namespace, crafted packets, and what the host's hooks saw of them.

A socket belongs to the namespace that it was made in, whatever its process does afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import json
import os
import socket
import struct
import time
import typing as t

from netlab import Namespace
from sender import checksum

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

# Notes the first four bytes of each transport header before our table, and after it, where it drops everything.
RECORDER = """
table inet recorder
delete table inet recorder
table inet recorder {
    set arrived {
        type inet_service . inet_service
        flags dynamic
        size 65535
    }
    set through {
        type inet_service . inet_service
        flags dynamic
        size 65535
    }
%s
}
"""
RECORDER_HOOK = """
    chain early_%(hook)s {
        type filter hook %(hook)s priority filter - 50; policy accept;
        meta l4proto { tcp, udp, icmp, ipv6-icmp } add @arrived { th sport . th dport }
    }
    chain late_%(hook)s {
        type filter hook %(hook)s priority filter + 20; policy drop;
        meta l4proto { tcp, udp, icmp, ipv6-icmp } add @through { th sport . th dport }
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    }
"""
HOOKS = ("input", "output", "forward")
ICMP, TCP, UDP, ICMP6, DESTINATION_OPTIONS = 1, 6, 17, 58, 60
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


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
    host.nft(WATCH % "".join(WATCH_HOOK % {"hook": hook, "match": match} for hook in HOOKS))
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


# crafted packets


class Crafted(t.NamedTuple):
    """A packet as it goes to a raw socket."""

    destination: str
    head: tuple[int, int]  # the first four bytes of its transport header, by which it is known again
    data: bytes


def crafted(source: str, destination: str, protocol: int, payload: bytes, checksum_at: int, hop_limit: int = 64, options: bool = False) -> Crafted:
    """An IP packet whose payload gets its checksum; with options an IPv6 extension header stands before it."""
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    pseudo = ends + (struct.pack("!BBH", 0, protocol, len(payload)) if len(ends) == 8 else struct.pack("!II", len(payload), protocol))
    if protocol == ICMP:  # alone in having no pseudo-header under its checksum (RFC 792)
        pseudo = b""
    payload = payload[:checksum_at] + struct.pack("!H", checksum(pseudo + payload) or 0xFFFF) + payload[checksum_at + 2 :]
    head = t.cast("tuple[int, int]", struct.unpack("!HH", payload[:4]))
    if options:
        payload, protocol = struct.pack("!BBBB4x", protocol, 0, 1, 4) + payload, DESTINATION_OPTIONS
    if len(ends) == 8:
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, hop_limit, protocol, 0)
    else:
        header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, hop_limit)
    return Crafted(destination, head, header + ends + payload)


def icmp(source: str, destination: str, number: int, hop_limit: int = 64) -> Crafted:
    """An ICMP message of a type, with nothing in it."""
    return crafted(source, destination, ICMP6 if ":" in source else ICMP, struct.pack("!BBHHH8x", number, 0, 0, 1, 1), 2, hop_limit)


def udp(source: str, destination: str, sport: int, dport: int, options: bool = False) -> Crafted:
    """An empty datagram."""
    return crafted(source, destination, UDP, struct.pack("!HHHH", sport, dport, 8, 0), 6, options=options)


def tcp(source: str, destination: str, sport: int, dport: int, flags: int = SYN, options: bool = False) -> Crafted:
    """A segment of no session."""
    acknowledged = 1000 if flags & ACK else 0
    header = struct.pack("!HHIIBBHHH", sport, dport, 1000, acknowledged, 5 << 4, flags, 1024, 0, 0)
    return crafted(source, destination, TCP, header, 16, options=options)


def translated(packet: Crafted, dport: int) -> Crafted:
    """The same packet, known by the port that it has once DNAT was done: the hooks see no other."""
    return packet._replace(head=(packet.head[0], dport))


def fates(host: Namespace, sender: Namespace, packets: list[Crafted]) -> list[bool]:
    """Which packets our table lets through, once all have arrived at the host's hooks; nothing answers them."""
    host.nft(RECORDER % "".join(RECORDER_HOOK % {"hook": hook} for hook in HOOKS))
    with made(sender, "0.0.0.0", socket.SOCK_RAW, socket.IPPROTO_RAW) as four, made(sender, "::", socket.SOCK_RAW, socket.IPPROTO_RAW) as six:
        for packet in packets:
            with contextlib.suppress(PermissionError):  # dropped by the sender's own output hook
                (six if ":" in packet.destination else four).sendto(packet.data, (packet.destination, 0))
    heads = [packet.head for packet in packets]
    deadline = time.monotonic() + PATIENCE
    while missing := {*heads} - _noted(host, "arrived"):
        assert time.monotonic() < deadline, f"{len(missing)} of {len(heads)} packets did not arrive: {sorted(missing)[:5]}"
        time.sleep(0.01)
    through = _noted(host, "through")
    host.run("nft", "delete", "table", "inet", "recorder")
    return [head in through for head in heads]


def _noted(host: Namespace, name: str) -> set[tuple[int, int]]:
    listed = json.loads(host.run("nft", "-j", "list", "set", "inet", "recorder", name))
    return {tuple(element["concat"]) for item in listed["nftables"] for element in item.get("set", {}).get("elem", [])}
