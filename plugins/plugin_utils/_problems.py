# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a port map, and where in which file.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import difflib
import typing as t
from dataclasses import dataclass, field

Path = tuple[t.Union[str, int], ...]


def dotted(path: Path) -> str:
    """Write a path the way errors and docs name it: ``services.grafana.port``, ``firewall.ingress[2].from``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


@dataclass(frozen=True)
class Origin:
    """The place in a file where a statement stands: dotted path, file name, line (from 1)."""

    path: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.path}"


@dataclass(frozen=True)
class Problem:
    """One thing wrong (or, as a notice, worth knowing): where, the value found, and the rule that it breaks."""

    origin: Origin
    value: t.Any
    rule: str

    def __str__(self) -> str:
        place = f"{self.origin.file}:{self.origin.line}" if self.origin.line else self.origin.file
        found = "" if self.value is None else f" = {self.value!r}"
        return f"{place}: {self.origin.path}{found}: {self.rule}"

    def as_data(self) -> dict[str, t.Any]:
        """Plain data for filters and tests."""
        return {
            "path": self.origin.path,
            "value": self.value,
            "rule": self.rule,
            "file": self.origin.file,
            "line": self.origin.line,
        }


@dataclass
class Problems:
    """Collects errors and notices, so that one run reports all of them."""

    errors: list[Problem] = field(default_factory=list)
    notices: list[Problem] = field(default_factory=list)

    def error(self, origin: Origin, value: t.Any, rule: str) -> None:
        """Note an error once: the map can't be used."""
        problem = Problem(origin, value, rule)
        if problem not in self.errors:
            self.errors.append(problem)

    def notice(self, origin: Origin, value: t.Any, rule: str) -> None:
        """Note something that the map's author should know; the map can be used."""
        problem = Problem(origin, value, rule)
        if problem not in self.notices:
            self.notices.append(problem)

    def sort(self) -> None:
        """Order by file and line, as a reader goes through the file."""
        for problems in (self.errors, self.notices):
            problems.sort(key=lambda p: (p.origin.file, p.origin.line, p.origin.path, p.rule))


def nearest(wrong: str, known: t.Iterable[str]) -> t.Optional[str]:
    """The known name that was probably meant, None if none is like it. In a long name more letters must agree."""
    near = difflib.get_close_matches(str(wrong), [str(name) for name in known], n=1, cutoff=0.6 if len(str(wrong)) < 5 else 0.7)
    return near[0] if near else None


def did_you_mean(wrong: str, known: t.Iterable[str]) -> str:
    """The end of an error message that names the nearest known name, or nothing."""
    near = nearest(wrong, known)
    return f", did you mean {near!r}?" if near else ""
