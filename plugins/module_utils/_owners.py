# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a socket is: process, systemd unit, container and user, read from /proc.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import functools
import os
import pwd
import re
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._sock_diag import SocketsError

INIT = 1  # systemd keeps the sockets of its socket units open beside the services that it hands them to


@dataclass(frozen=True)
class Owner:
    """A process behind a socket."""

    pid: int
    process: str
    unit: str  # systemd unit, or ""
    container: str = ""  # the id of the container that it runs in, or ""


def holders(proc: str = "/proc") -> dict[int, tuple[Owner, ...]]:
    """Socket inode to the processes that hold it, in one pass over all open files; the one to speak of comes first.

    That is the lowest pid, since workers inherit, but init. Of several processes that nothing tells apart only the first counts.
    Raises SocketsError.
    """
    found: dict[int, list[Owner]] = {}
    try:
        pids = sorted(int(name) for name in os.listdir(proc) if name.isdigit())
    except OSError as error:
        raise SocketsError(f"processes can't be listed: {error}") from error
    own = _cgroup(proc, INIT)
    for pid in sorted(pids, key=lambda pid: (pid == INIT, pid)):
        inodes = _inodes(proc, pid)
        if not inodes:
            continue
        cgroup = _cgroup(proc, pid)
        owner = Owner(pid, _process(proc, pid), _unit(cgroup), _container(cgroup, own))
        for inode in inodes:
            held = found.setdefault(inode, [])
            if not any((one.process, one.unit, one.container) == (owner.process, owner.unit, owner.container) for one in held):
                held.append(owner)
    return {inode: tuple(held) for inode, held in found.items()}


def _inodes(proc: str, pid: int) -> list[int]:
    """The sockets that a process has open. None are seen of one that is gone in the meantime, or another user's where we are not root."""
    found = []
    try:
        entries = os.listdir(f"{proc}/{pid}/fd")
    except OSError:
        return []
    for entry in entries:
        try:
            target = os.readlink(f"{proc}/{pid}/fd/{entry}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found.append(int(target[8:-1]))
    return found


def _process(proc: str, pid: int) -> str:
    try:
        with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return printable(file.read().rstrip("\n"))
    except OSError:
        return ""


def _cgroup(proc: str, pid: int) -> str:
    """A process's place in systemd's hierarchy of cgroups."""
    try:
        with open(f"{proc}/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            for line in file:
                number, controllers, path = line.rstrip("\n").split(":", 2)
                if (number == "0" and not controllers and path != "/") or controllers == "name=systemd":
                    return path
    except (OSError, ValueError):
        pass
    return ""


_UNIT = re.compile(r"/([^/]+\.(?:service|socket|scope))(?=/|$)")
_CONTAINER = re.compile(r"(?:^|/)(?:docker[-/]|libpod-)([0-9a-f]{64})(?=[./]|$)")


def _unit(cgroup: str) -> str:
    units = _UNIT.findall(cgroup)
    return str(units[-1]) if units else ""


def _container(cgroup: str, own: str) -> str:
    """The container that a cgroup is of. own: the cgroup of this system's init, which may itself be in a container: that one is no news."""
    around = own.removesuffix("/init.scope")
    found = _CONTAINER.findall(cgroup.removeprefix(around))
    return str(found[-1]) if found else ""


@functools.cache
def user_name(uid: int) -> str:
    """What a user is called here; "" if nobody is."""
    try:
        return printable(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return ""
