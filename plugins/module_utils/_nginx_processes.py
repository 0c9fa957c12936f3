# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx's processes as the kernel tells of them: masters, their workers, which of them drain, which are stopped.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

_TITLE = re.compile(r"nginx: (master|worker) process")
DRAINING = "is shutting down"


@dataclass(frozen=True)
class Process:
    """One process. A pid alone could be another's by now; with its start it is one process for ever."""

    pid: int
    started: int  # clock ticks since boot
    parent: int
    state: str  # R, S, D, T, Z, …
    title: str
    space: t.Optional[tuple[str, str]]  # its namespaces of the network and of processes; None: not told, see processes()

    @property
    def master(self) -> bool:
        """Whether it is a master."""
        return self.title.startswith("nginx: master process")

    @property
    def draining(self) -> bool:
        """Whether it only ends what it had begun."""
        return DRAINING in self.title

    @property
    def halted(self) -> bool:
        """Whether somebody stopped it (SIGSTOP, a debugger)."""
        return self.state in "Tt"

    @property
    def program(self) -> str:
        """The file that it runs; with ` (deleted)` at its end if that was replaced. "" if it is not told."""
        try:
            return os.readlink(f"/proc/{self.pid}/exe")
        except OSError:
            return ""


def processes(proc: str = "/proc") -> list[Process]:
    """All of nginx's that share this process's network and process namespaces: those of containers are not this host's.

    Where this process may not trace others (root in a container) the namespaces of other users' are not told, and workers are
    another user's than their master: such a worker is where its master is.
    """
    here = _space(proc, "self")
    found = [one for one in (_process(proc, name) for name in os.listdir(proc) if name.isdecimal()) if one is not None]
    near = {one.pid for one in found if one.space == here}
    return [one for one in found if one.pid in near or (one.space is None and one.parent in near)]


def _process(proc: str, pid: str) -> t.Optional[Process]:
    try:
        with open(f"{proc}/{pid}/cmdline", "rb") as file:
            title = file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        if _TITLE.match(title) is None:
            return None
        with open(f"{proc}/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        # proc_pid_stat(5): state, parent, … and the start as the 22nd, two of which are before the parenthesis.
        return Process(int(pid), int(fields[19]), int(fields[1]), fields[0], title, _space(proc, pid))
    except (OSError, IndexError, ValueError):
        return None  # it ended meanwhile


def _space(proc: str, pid: str) -> t.Optional[tuple[str, str]]:
    try:
        return (os.readlink(f"{proc}/{pid}/ns/net"), os.readlink(f"{proc}/{pid}/ns/pid"))
    except PermissionError:
        return None


def masters(found: t.Iterable[Process]) -> list[Process]:
    """The masters among them."""
    return [one for one in found if one.master]


def runs_with(master: Process, main: str) -> bool:
    """Whether a master was started with that main file."""
    words = master.title.split()
    return any(words[at : at + 2] == ["-c", main] for at in range(len(words)))


def workers(found: t.Iterable[Process], master: Process) -> list[Process]:
    """The workers of a master."""
    return [one for one in found if not one.master and one.parent == master.pid]
