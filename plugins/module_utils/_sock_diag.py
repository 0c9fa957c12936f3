# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's tables of sockets, dumped over netlink (sock_diag(7)), with the standard library alone.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Whatever can't be read raises: an unreadable table is never an empty one.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import typing as t

# linux/netlink.h, linux/sock_diag.h
NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 0x01
NLM_F_DUMP = 0x300
NLM_F_DUMP_INTR = 0x10
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4
MESSAGE_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
ATTRIBUTE = struct.Struct("=HH")
RECEIVE = 1 << 18  # bytes; the kernel fills at most 32 KiB a message
TRIES = 5  # how often a table that changes while it is read is asked for

One = t.TypeVar("One", bound=t.Hashable)


class SocketsError(Exception):
    """The kernel's table can't be read."""


class NoFamily(SocketsError):
    """This kernel has no such sockets."""


class Interrupted(Exception):
    """The table changed while it was read."""


def dump(what: str, body: bytes, parse: t.Callable[[bytes], One]) -> list[One]:
    """Every socket that a request asks for, parsed. Raises SocketsError.

    Between two messages of a dump the kernel only remembers how many sockets of a hash bucket it has told: if one of them is closed
    meanwhile it skips another, without a word (seen with 2,000 sockets while others came and went). So a dump of several messages
    counts when the next one is the same; in a table that never holds still, all that was seen does.
    """
    last: t.Optional[set[One]] = None
    seen: dict[One, None] = {}
    for _try in range(TRIES):
        try:
            found, messages = _dump_once(what, body, parse)
        except Interrupted:
            continue
        if messages <= 1 or set(found) == last:
            return found
        last = set(found)
        seen.update(dict.fromkeys(found))
    if last is None:
        raise SocketsError(f"the kernel's table of {what} sockets changed {TRIES} times while it was read")
    return list(seen)


def _dump_once(what: str, body: bytes, parse: t.Callable[[bytes], One]) -> tuple[list[One], int]:
    """The sockets, and how many messages told of them."""
    request = MESSAGE_HEADER.pack(MESSAGE_HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body
    found: list[One] = []
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
                        _raise_error(payload, what)
                        return found, messages + (len(found) > before)
                    if kind == NLMSG_ERROR:
                        _raise_error(payload, what, always=True)
                    if kind == NLMSG_OVERRUN:
                        raise Interrupted
                    if kind == SOCK_DIAG_BY_FAMILY:
                        found.append(parse(payload))
                messages += len(found) > before
    except (struct.error, IndexError) as error:
        raise SocketsError("a netlink message is malformed: it ends too early") from error
    except OSError as error:
        raise (NoFamily if error.errno == errno.EAFNOSUPPORT else SocketsError)(f"the kernel's table of {what} sockets can't be read: {error}") from error


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


def _raise_error(payload: bytes, what: str, always: bool = False) -> None:
    code = -struct.unpack_from("=i", payload)[0] if len(payload) >= 4 else 0
    if code or always:
        raise SocketsError(f"the kernel refuses its table of {what} sockets: {os.strerror(code)}")


def attributes(data: bytes) -> t.Iterator[tuple[int, bytes]]:
    """The attributes that follow the fixed part of an entry."""
    at = 0
    while at + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if length < ATTRIBUTE.size or at + length > len(data):
            raise SocketsError("a netlink attribute is malformed")
        yield kind, data[at + ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
