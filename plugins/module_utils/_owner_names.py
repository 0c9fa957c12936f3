# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and patterns of those who may hold a socket.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import fnmatch
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._owners import Owner

COMM = 15  # bytes of a process's name that the kernel keeps


def matches(pattern: str, name: str) -> bool:
    """Whether a name is meant. Nobody's name is nobody's: it matches no pattern."""
    return bool(name) and (name == pattern or fnmatch.fnmatchcase(name, pattern))


def is_owner(patterns: t.Iterable[str], holders: t.Iterable[Owner], containers: t.Iterable[str] = ()) -> bool:
    """Whether one of the patterns matches a process, a systemd unit or a container that holds a socket."""
    held = list(holders)
    names = [*containers, *(name for one in held for name in (one.unit, one.unit.removesuffix(".service"), one.process))]
    cut = {one.process for one in held if len(one.process.encode()) == COMM}
    return any(any(matches(pattern, name) for name in names) or pattern.encode()[:COMM].decode("utf-8", "ignore") in cut for pattern in patterns)


def owner_words(owner: t.Optional[Owner]) -> str:
    """Who that is, for people; "" if it is not known."""
    if owner is None:
        return ""
    unit = f", {owner.unit}" if owner.unit else ""
    return f"{owner.process} (pid {owner.pid}{unit})"
