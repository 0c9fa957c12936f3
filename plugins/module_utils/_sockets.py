# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own table of listening sockets, over netlink (sock_diag(7)), with the standard library alone.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

/proc/net can't tell whether a socket on :: serves IPv4 too; sock_diag can (INET_DIAG_SKV6ONLY). Whatever can't be read
raises: an unreadable table is never an empty one.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._policy import Span
from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 0x01
NLM_F_DUMP = 0x300
NLM_F_DUMP_INTR = 0x10
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4
INET_DIAG_SKV6ONLY = 11
TCP_LISTEN = 10
TCP_CLOSE = 7  # the state of a UDP socket that is not connected
MESSAGE_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
SOCKET_ID = struct.Struct("!HH16s16s")  # inet_diag_sockid: source and destination port, then addresses (network order)
DIAG_TAIL = struct.Struct("=IIIII")  # inet_diag_msg: expires, rqueue, wqueue, uid, inode
ATTRIBUTE = struct.Struct("=HH")
RECEIVE = 1 << 18  # bytes; the kernel fills at most 32 KiB a message
MAPPED = bytes(10) + b"\xff\xff"  # how an IPv6 address begins that stands for an IPv4 one (RFC 4291, 2.5.5.2)
TRIES = 5  # how often a table that changes while it is read is asked for

TRANSPORTS = {"tcp": (socket.IPPROTO_TCP, TCP_LISTEN), "udp": (socket.IPPROTO_UDP, TCP_CLOSE)}


class SocketsError(Exception):
    """The kernel's table can't be read."""


class Interrupted(Exception):
    """The table changed while it was read."""


@dataclass(frozen=True)
class Owner:
    """The process behind a socket."""

    pid: int
    process: str
    unit: str  # systemd unit, or ""


@dataclass(frozen=True)
class Listener:
    """One socket that accepts traffic."""

    transport: str  # tcp or udp
    address: str
    port: int
    family: int  # 4 or 6: of the address
    v6only: bool  # a socket on :: that leaves IPv4 alone
    interface: str  # bound to one interface, or ""
    uid: int
    inode: int
    owner: t.Optional[Owner] = None  # None: no process of this network namespace is seen to hold it

    @property
    def serves(self) -> tuple[int, ...]:
        """The IP versions whose packets reach it."""
        return (4, 6) if self.family == 6 and not self.v6only and self.address == "::" else (self.family,)


def listeners(owners: bool = True) -> list[Listener]:
    """Every listening TCP socket and every unconnected UDP socket, sorted. owners: look up processes too (needs root).

    Raises SocketsError.
    """
    found: list[Listener] = []
    for transport, (protocol, state) in TRANSPORTS.items():
        for family in (socket.AF_INET, socket.AF_INET6):
            found += _dump(transport, protocol, state, family)
    if owners:
        held = holders()
        found = [Listener(**{**vars(one), "owner": held.get(one.inode)}) for one in found]
    return sorted(found, key=lambda one: (one.transport, one.port, one.family, one.address, one.inode))


def _dump(transport: str, protocol: int, state: int, family: int) -> list[Listener]:
    """Between two messages of a dump the kernel only remembers how many sockets of a hash bucket it has told: if one of them is closed
    meanwhile it skips another, without a word (seen with 2,000 sockets while others came and went). So a dump of several messages
    counts when the next one is the same; in a table that never holds still, all that was seen does.
    """
    last: t.Optional[set[Listener]] = None
    seen: dict[Listener, None] = {}
    for _try in range(TRIES):
        try:
            found, messages = _dump_once(transport, protocol, state, family)
        except Interrupted:
            continue
        if messages <= 1 or set(found) == last:
            return found
        last = set(found)
        seen.update(dict.fromkeys(found))
    if last is None:
        raise SocketsError(f"the kernel's table of {transport} sockets changed {TRIES} times while it was read")
    return list(seen)


def _dump_once(transport: str, protocol: int, state: int, family: int) -> tuple[list[Listener], int]:
    """The listeners, and how many messages told of them."""
    # inet_diag_req_v2: family, protocol, extensions (V6ONLY comes unasked), padding, states, sockid (zero: any)
    body = struct.pack("=BBBBI", family, protocol, 0, 0, 1 << state) + bytes(48)
    request = MESSAGE_HEADER.pack(MESSAGE_HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body
    found: list[Listener] = []
    messages = 0
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(10)
            netlink.sendall(request)
            while True:
                data, _rest, flags, _peer = netlink.recvmsg(RECEIVE)
                if flags & socket.MSG_TRUNC:
                    raise SocketsError("a netlink message was cut off")
                before = len(found)
                for kind, message_flags, payload in _messages(data):
                    if message_flags & NLM_F_DUMP_INTR:
                        raise Interrupted
                    if kind == NLMSG_DONE:
                        _raise_error(payload, transport)
                        return found, messages + (len(found) > before)
                    if kind == NLMSG_ERROR:
                        _raise_error(payload, transport, always=True)
                    if kind == NLMSG_OVERRUN:
                        raise Interrupted
                    if kind == SOCK_DIAG_BY_FAMILY:
                        found.append(_listener(transport, payload))
                messages += len(found) > before
    except (struct.error, IndexError) as error:
        raise SocketsError("a netlink message is malformed: it ends too early") from error
    except OSError as error:
        if family == socket.AF_INET6 and error.errno == errno.EAFNOSUPPORT:
            return [], 0
        raise SocketsError(f"the kernel's table of {transport} sockets can't be read: {error}") from error


def _messages(data: bytes) -> t.Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + MESSAGE_HEADER.size <= len(data):
        length, kind, flags, _sequence, _port = MESSAGE_HEADER.unpack_from(data, at)
        if length < MESSAGE_HEADER.size or at + length > len(data):
            raise SocketsError("a netlink message is malformed")
        yield kind, flags, data[at + MESSAGE_HEADER.size : at + length]
        at += (length + 3) & ~3
    if at < len(data):
        raise SocketsError("a netlink message is malformed")


def _raise_error(payload: bytes, transport: str, always: bool = False) -> None:
    code = -struct.unpack_from("=i", payload)[0] if len(payload) >= 4 else 0
    if code or always:
        raise SocketsError(f"the kernel refuses its table of {transport} sockets: {os.strerror(code)}")


def _listener(transport: str, payload: bytes) -> Listener:
    family = socket.AF_INET6 if payload[0] == socket.AF_INET6 else socket.AF_INET
    source_port, _port, source, _destination = SOCKET_ID.unpack_from(payload, 4)
    interface = struct.unpack_from("=I", payload, 4 + SOCKET_ID.size)[0]
    tail = 4 + 48
    _expires, _received, _sent, uid, inode = DIAG_TAIL.unpack_from(payload, tail)
    attributes = dict(_attributes(payload[tail + DIAG_TAIL.size :]))
    if family == socket.AF_INET6 and source.startswith(MAPPED):  # takes IPv4 alone
        family, source = socket.AF_INET, source[len(MAPPED) :]
    return Listener(
        transport=transport,
        address=socket.inet_ntop(family, source if family == socket.AF_INET6 else source[:4]),
        port=source_port,
        family=6 if family == socket.AF_INET6 else 4,
        v6only=attributes.get(INET_DIAG_SKV6ONLY, b"\0")[0] == 1,
        interface=_interface_name(interface),
        uid=uid,
        inode=inode,
    )


def _attributes(data: bytes) -> t.Iterator[tuple[int, bytes]]:
    at = 0
    while at + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if length < ATTRIBUTE.size or at + length > len(data):
            raise SocketsError("a netlink attribute is malformed")
        yield kind, data[at + ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def _interface_name(index: int) -> str:
    if not index:
        return ""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)  # gone in the meantime


def holders(proc: str = "/proc") -> dict[int, Owner]:
    """Socket inode to the process that holds it, in one pass over all open files. The lowest pid counts: workers inherit.

    Raises SocketsError.
    """
    found: dict[int, Owner] = {}
    try:
        pids = sorted(int(name) for name in os.listdir(proc) if name.isdigit())
    except OSError as error:
        raise SocketsError(f"processes can't be listed: {error}") from error
    for pid in pids:
        owner = None
        try:
            entries = os.listdir(f"{proc}/{pid}/fd")
        except OSError:  # gone in the meantime, or another user's and we are not root
            continue
        for entry in entries:
            try:
                target = os.readlink(f"{proc}/{pid}/fd/{entry}")
            except OSError:
                continue
            if target.startswith("socket:["):
                if owner is None:
                    owner = Owner(pid, _process(proc, pid), _unit(proc, pid))
                found.setdefault(int(target[8:-1]), owner)
    return found


def _process(proc: str, pid: int) -> str:
    try:
        with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return printable(file.read().rstrip("\n"))
    except OSError:
        return ""


_UNIT = re.compile(r"/([^/]+\.(?:service|socket|scope))(?:/|$)")


def _unit(proc: str, pid: int) -> str:
    try:
        with open(f"{proc}/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            for line in file:
                number, controllers, path = line.rstrip("\n").split(":", 2)
                if (number == "0" and not controllers) or controllers == "name=systemd":
                    units = _UNIT.findall(path)
                    if units:
                        return str(units[-1])
    except (OSError, ValueError):
        pass
    return ""


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
        "uid": listener.uid,
        "pid": owner.pid if owner else None,
        "process": owner.process if owner else None,
        "unit": owner.unit if owner else None,
    }
