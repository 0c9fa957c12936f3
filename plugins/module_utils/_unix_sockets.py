# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unix sockets that listen, abstract ones too, over sock_diag(7).

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import os
import socket
import struct
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.alfred.portmap.plugins.module_utils._owners import Owner, user_name
from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._sock_diag import attributes, dump

# linux/unix_diag.h
UDIAG_SHOW_NAME = 0x01
UDIAG_SHOW_VFS = 0x02
UDIAG_SHOW_UID = 0x40
UNIX_DIAG_NAME = 0
UNIX_DIAG_VFS = 1
UNIX_DIAG_UID = 7  # since Linux 5.3
TCP_LISTEN = 10  # the state is called so here too
ENTRY = struct.Struct("=BBBBIII")  # unix_diag_msg: family, type, state, padding, inode, cookie
NUMBER = struct.Struct("=I")
FILE = struct.Struct("=II")  # unix_diag_vfs: inode and device of the file
TYPES = {socket.SOCK_STREAM: "stream", socket.SOCK_SEQPACKET: "seqpacket"}


@dataclass(frozen=True)
class UnixListener:
    """A unix socket that accepts connections."""

    path: str  # an abstract name with @ before it and for each zero byte in it, as ss and systemd write it
    abstract: bool
    type: str  # stream or seqpacket
    uid: t.Optional[int]  # None: an old kernel does not say
    inode: int
    file: t.Optional[tuple[int, int]]  # inode and device of the file that it made
    owner: t.Optional[Owner] = None
    others: tuple[Owner, ...] = ()

    @property
    def holders(self) -> tuple[Owner, ...]:
        """All processes that are seen to hold it."""
        return (self.owner, *self.others) if self.owner is not None else ()

    @property
    def is_reached(self) -> bool:
        """Whether its path leads to it, as seen from here: a file may have been removed, or replaced by another socket's."""
        if self.abstract:
            return True
        if self.file is None or not self.path.startswith("/"):
            return False
        there = file_at(self.path)
        # An overlay may call its files by the devices and numbers of what lies below: another device says nothing.
        return there is not None and (there == self.file or there[1] != self.file[1])


def file_at(path: str) -> t.Optional[tuple[int, int]]:
    """Inode and device of a file, as the kernel tells them of a socket; None if there is none."""
    try:
        there = os.stat(path)
    except (OSError, ValueError):
        return None
    return there.st_ino & 0xFFFFFFFF, os.major(there.st_dev) << 20 | os.minor(there.st_dev)


def unix_listeners() -> list[UnixListener]:
    """Every unix socket that listens, sorted, without owners. Raises SocketsError."""
    # unix_diag_req: family, protocol, padding, states, inode (zero: any), what to show, cookie
    show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_UID
    body = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 1 << TCP_LISTEN, 0, show, 0, 0)
    return sorted(dump("unix", body, _listener), key=lambda one: (one.path, one.inode))


def with_owners(found: t.Iterable[UnixListener], held: t.Mapping[int, tuple[Owner, ...]]) -> list[UnixListener]:
    """The listeners with the processes that hold them."""
    return [replace(one, owner=held[one.inode][0], others=held[one.inode][1:]) if one.inode in held else one for one in found]


def unix_data(one: UnixListener) -> dict[str, t.Any]:
    """A listener as the modules return it."""
    return {
        "path": printable(one.path),
        "abstract": one.abstract,
        "type": one.type,
        "reached": one.is_reached,
        "uid": one.uid,
        "user": "" if one.uid is None else user_name(one.uid),
        "pid": one.owner.pid if one.owner else None,
        "process": one.owner.process if one.owner else None,
        "unit": one.owner.unit if one.owner else None,
    }


def _listener(payload: bytes) -> UnixListener:
    _family, kind, _state, _padding, inode, _cookie, _more = ENTRY.unpack_from(payload)
    more = dict(attributes(payload[ENTRY.size :]))
    name = more.get(UNIX_DIAG_NAME, b"")
    abstract = name.startswith(b"\0")
    text = (name.replace(b"\0", b"@") if abstract else name.rstrip(b"\0")).decode("utf-8", "replace")
    return UnixListener(
        path=text,
        abstract=abstract,
        type=TYPES.get(kind, str(kind)),
        uid=NUMBER.unpack_from(more[UNIX_DIAG_UID])[0] if UNIX_DIAG_UID in more else None,
        inode=inode,
        file=t.cast("tuple[int, int]", FILE.unpack_from(more[UNIX_DIAG_VFS])) if UNIX_DIAG_VFS in more else None,
    )
