# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected unix sockets against the ones that are there. Pure, but for a look at the files.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._owner_names import is_owner, owner_words
from ansible_collections.alfred.portmap.plugins.module_utils._unix_sockets import UnixListener, file_at


@dataclass(frozen=True)
class ExpectedUnix:
    """A unix socket that must be there."""

    path: str  # @ begins an abstract name
    owner: tuple[str, ...] = ()  # patterns of which one must match who holds it; () is not checked


def compare_unix(expected: t.Iterable[ExpectedUnix], found: t.Iterable[UnixListener]) -> list[dict[str, t.Any]]:
    """Every difference, as data like that of listeners on ports. What nobody expects is no finding: a host has dozens of its own."""
    there = list(found)
    findings = []
    for line in expected:
        named = [one for one in there if one.path == line.path]
        file = None if line.path.startswith("@") else file_at(line.path)  # may lead to a socket that was renamed after it was bound
        reached = [one for one in there if (one.is_reached if one.path == line.path else file is not None and one.file == file)]
        if not named and not reached:
            findings.append(_finding("missing", line, [], f"nothing listens on {line.path}"))
        elif not reached:
            findings.append(_finding("missing", line, named, f"the socket that listened on {line.path} is not what that path leads to any more"))
        elif line.owner and not any(is_owner(line.owner, one.holders) for one in reached):
            wanted = " or ".join(line.owner)
            held = ", ".join(filter(None, (owner_words(one.owner) for one in reached)))
            text = f"{line.path} must be held by {wanted}; {f'it is {held}' if held else 'no process is seen to hold it'}"
            findings.append(_finding("wrong owner", line, reached, text))
    return findings


def _finding(kind: str, line: ExpectedUnix, actual: list[UnixListener], text: str) -> dict[str, t.Any]:
    return {
        "kind": kind,
        "name": line.path,
        "transport": "unix",
        "port": "",
        "expected": " or ".join(line.owner) if kind == "wrong owner" else line.path,
        "actual": sorted({one.path for one in actual}),
        "owner": ", ".join(dict.fromkeys(filter(None, (owner_words(one.owner) for one in actual)))),
        "why": "",
        "text": text,
    }
