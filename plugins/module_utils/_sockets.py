# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own table of listening sockets, over netlink (sock_diag(7)), with the standard library alone.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

/proc/net can't tell whether a socket on :: serves IPv4 too; sock_diag can (INET_DIAG_SKV6ONLY).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.alfred.portmap.plugins.module_utils._owners import Owner, holders, user_name
from ansible_collections.alfred.portmap.plugins.module_utils._policy import Span
from ansible_collections.alfred.portmap.plugins.module_utils._sock_diag import NoFamily, SocketsError, attributes, dump

# linux/inet_diag.h
INET_DIAG_SKV6ONLY = 11
TCP_LISTEN = 10
TCP_CLOSE = 7  # the state of a UDP socket that is not connected
SOCKET_ID = struct.Struct("!HH16s16s")  # inet_diag_sockid: source and destination port, then addresses (network order)
DIAG_TAIL = struct.Struct("=IIIII")  # inet_diag_msg: expires, rqueue, wqueue, uid, inode
MAPPED = bytes(10) + b"\xff\xff"  # how an IPv6 address begins that stands for an IPv4 one (RFC 4291, 2.5.5.2)
LOOPBACK = "lo"  # what Linux calls it in every network namespace

TRANSPORTS = {"tcp": (socket.IPPROTO_TCP, TCP_LISTEN), "udp": (socket.IPPROTO_UDP, TCP_CLOSE)}


@dataclass(frozen=True)
class Listener:
    """One socket that accepts traffic, or a port that Docker publishes without one."""

    transport: str  # tcp or udp
    address: str
    port: int
    family: int  # 4 or 6: of the address
    v6only: bool  # a socket on :: that leaves IPv4 alone
    interface: str  # bound to one interface, or ""
    uid: int  # -1: there is no socket
    inode: int
    owner: t.Optional[Owner] = None  # None: no process of this network namespace is seen to hold it
    others: tuple[Owner, ...] = ()  # further ones that hold it, and are called otherwise
    containers: t.Optional[tuple[str, ...]] = ()  # the containers that it leads to, or that hold it; None: Docker does not say

    @property
    def serves(self) -> tuple[int, ...]:
        """The IP versions whose packets reach it."""
        return (4, 6) if self.family == 6 and not self.v6only and self.address == "::" else (self.family,)

    @property
    def holders(self) -> tuple[Owner, ...]:
        """All processes that are seen to hold it."""
        return (self.owner, *self.others) if self.owner is not None else ()

    @property
    def is_local(self) -> bool:
        """Whether only this host itself reaches it: by its address, or by the interface that it is bound to."""
        return self.interface == LOOPBACK or ipaddress.ip_address(self.address).is_loopback

    @property
    def where(self) -> str:
        """Its address, with the interface if it is bound to one."""
        return f"{self.address}%{self.interface}" if self.interface else self.address


def listeners(owners: bool = True) -> list[Listener]:
    """Every listening TCP socket and every unconnected UDP socket, sorted. owners: look up processes too (needs root).

    Raises SocketsError.
    """
    found: list[Listener] = []
    for transport in TRANSPORTS:
        for family in (socket.AF_INET, socket.AF_INET6):
            found += _dump(transport, family)
    if owners:
        found = with_owners(found, holders())
    return sorted(found, key=order)


def with_owners(found: t.Iterable[Listener], held: t.Mapping[int, tuple[Owner, ...]]) -> list[Listener]:
    """The listeners with the processes that hold them. Looked up after the table was read: a socket is there before it is in a table."""
    return [replace(one, owner=held[one.inode][0], others=held[one.inode][1:]) if one.inode in held else one for one in found]


def order(one: Listener) -> tuple[str, int, int, str, int]:
    """How listeners are sorted."""
    return one.transport, one.port, one.family, one.address, one.inode


def _dump(transport: str, family: int) -> list[Listener]:
    protocol, state = TRANSPORTS[transport]
    # inet_diag_req_v2: family, protocol, extensions (V6ONLY comes unasked), padding, states, sockid (zero: any)
    body = struct.pack("=BBBBI", family, protocol, 0, 0, 1 << state) + bytes(48)
    try:
        return dump(transport, body, lambda payload: _listener(transport, payload))
    except NoFamily:
        if family == socket.AF_INET6:
            return []
        raise


def _listener(transport: str, payload: bytes) -> Listener:
    family = socket.AF_INET6 if payload[0] == socket.AF_INET6 else socket.AF_INET
    source_port, _port, source, _destination = SOCKET_ID.unpack_from(payload, 4)
    interface = struct.unpack_from("=I", payload, 4 + SOCKET_ID.size)[0]
    tail = 4 + 48
    _expires, _received, _sent, uid, inode = DIAG_TAIL.unpack_from(payload, tail)
    more = dict(attributes(payload[tail + DIAG_TAIL.size :]))
    if family == socket.AF_INET6 and source.startswith(MAPPED):  # takes IPv4 alone
        family, source = socket.AF_INET, source[len(MAPPED) :]
    return Listener(
        transport=transport,
        address=socket.inet_ntop(family, source if family == socket.AF_INET6 else source[:4]),
        port=source_port,
        family=6 if family == socket.AF_INET6 else 4,
        v6only=more.get(INET_DIAG_SKV6ONLY, b"\0")[0] == 1,
        interface=_interface_name(interface),
        uid=uid,
        inode=inode,
    )


def _interface_name(index: int) -> str:
    if not index:
        return ""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)  # gone in the meantime


def ephemeral_ports(path: str = "/proc/sys/net/ipv4/ip_local_port_range") -> Span:
    """The ports that the kernel gives to clients, both ends included (ip(7)). Raises SocketsError."""
    try:
        with open(path, encoding="ascii") as file:
            low, high = file.read().split()
        return Span(int(low), int(high))
    except (OSError, ValueError) as error:
        raise SocketsError(f"{path} can't be read: {error}") from error


def listener_data(listener: Listener) -> dict[str, t.Any]:
    """A listener as the modules return it."""
    owner = listener.owner
    return {
        "transport": listener.transport,
        "address": listener.address,
        "port": listener.port,
        "serves": [f"ipv{version}" for version in listener.serves],
        "interface": listener.interface,
        "uid": listener.uid if listener.uid >= 0 else None,
        "user": user_name(listener.uid) if listener.uid >= 0 else "",
        "pid": owner.pid if owner else None,
        "process": owner.process if owner else None,
        "unit": owner.unit if owner else None,
        "containers": None if listener.containers is None else list(listener.containers),
    }
