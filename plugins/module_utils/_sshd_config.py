# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sshd's configuration as text: the drop-in that we write, and whether sshd reads it before all else.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

The first value that sshd finds for a keyword is in force, and what stands in a Match block that fits beats what stands outside of any
(sshd_config(5)). So the drop-in is read first, and its settings stand in a block `Match all`, that fits everybody: neither another file nor a
Match block further down can loosen them. What one OpenSSH does not know another one does: nothing here has a list of versions.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import shlex
import typing as t
from dataclasses import dataclass, field

MAIN = "/etc/ssh/sshd_config"
DIRECTORY = "/etc/ssh"  # what an Include that is no absolute path is relative to
DROP_IN = "/etc/ssh/sshd_config.d/0-portmap.conf"
DEEPEST = 16  # Includes within each other (servconf.c)

_TITLE = """\
# Written by Ansible (alfred.portmap.sshd). Changes made here are undone by its next run.
# The first value that sshd finds is in force: this has to be the first file that it reads.
"""
_NOTE = "# alfred.portmap: this has to be read before all else.\n"

Settings = t.Mapping[str, str]


@dataclass(frozen=True)
class Exempt:
    """A Match block for those whom the settings do not fit: it stands before them."""

    match: str
    settings: Settings


@dataclass(frozen=True)
class Temporary:
    """Networks that may log in until a time has come."""

    networks: t.Sequence[str]
    until: str  # UTC, as 2026-11-26T18:00:00Z

    @property
    def line(self) -> str:
        """What the drop-in says of it."""
        return f"#   until {self.until}: {', '.join(self.networks)}"


@dataclass(frozen=True)
class Wanted:
    """All that the drop-in says. Networks are addresses and CIDRs in normal form, by the name of their network."""

    networks: t.Mapping[str, t.Sequence[str]]
    settings: Settings
    exempt: t.Sequence[Exempt] = ()
    temporary: t.Optional[Temporary] = None
    strangers: Settings = field(default_factory=dict)  # further settings for all others

    @property
    def sources(self) -> tuple[str, ...]:
        """Every network that may log in, once."""
        named = [network for networks in self.networks.values() for network in networks]
        return tuple(dict.fromkeys([*named, *(self.temporary.networks if self.temporary else ())]))

    def render(self) -> str:
        """The drop-in."""
        lines = [_TITLE, "# Who may log in from where:"]
        lines += [f"#   {name}: {', '.join(networks)}" for name, networks in self.networks.items()]
        if self.temporary is not None:
            lines.append(self.temporary.line)
        lines.append(f"Match Address {','.join(['*', *(f'!{network}' for network in self.sources)])}")
        lines += _block({"DenyUsers": "*", **self.strangers})
        for exempt in self.exempt:
            lines += ["", f"Match {exempt.match}", *_block(exempt.settings)]
        lines += ["", "Match all", *_block(self.settings)]
        return "\n".join(lines) + "\n"


def _block(settings: Settings) -> list[str]:
    return [f"    {keyword} {value}" for keyword, value in settings.items()]


def admits(drop_in: str, networks: t.Iterable[str]) -> bool:
    """Does a drop-in of ours let all of these networks in?"""
    line = next((line for line in drop_in.splitlines() if line.startswith("Match Address ")), "")
    return {f"!{network}" for network in networks} <= set(line.partition("Address ")[2].split(","))


# What is read, and in which order


@dataclass(frozen=True)
class Statement:
    """One line that says something."""

    file: str
    line: int
    keyword: str  # in lower case
    arguments: str
    block: str = ""  # the criteria of the Match that it stands under

    def __str__(self) -> str:
        return shown(f"{self.file}:{self.line}: {self.keyword} {self.arguments}")


def shown(text: str) -> str:
    """Text of a file, of which bytes may have survived that are no UTF-8, for people."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def parse(file: str, text: str) -> t.Iterator[Statement]:
    """The statements of one file's text."""
    block = ""
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*"?([A-Za-z][A-Za-z0-9]*)"?(?:\s*=\s*|\s+)(.*?)\s*$', line)
        if found:
            statement = Statement(file, number, found.group(1).lower(), found.group(2), block)
            yield statement
            if statement.keyword == "match":
                block = statement.arguments


def included(arguments: str, assumed: str) -> list[str]:
    """The files that an Include reads, in its order; `assumed` counts as being there."""
    files: list[str] = []
    for pattern in _words(arguments):
        path = pattern if os.path.isabs(pattern) else os.path.join(DIRECTORY, pattern)
        found = {name for name in glob.glob(path) if os.path.isfile(name)}
        if os.path.dirname(path) == os.path.dirname(assumed) and fnmatch.fnmatchcase(os.path.basename(assumed), os.path.basename(path)):
            found.add(assumed)
        files += sorted(found)
    return files


def _words(arguments: str) -> list[str]:
    try:
        return shlex.split(arguments)
    except ValueError:  # sshd itself will say what it thinks of it
        return arguments.split()


def statements(path: str, drop_in: str, read: t.Callable[[str], str], depth: int = 0) -> t.Iterator[Statement]:
    """Every statement of a configuration but the drop-in's, in the order in which sshd reads them. Raises OSError."""
    for statement in parse(path, read(path)):
        if statement.keyword != "include":
            yield statement
            continue
        for file in included(statement.arguments, drop_in):
            if file != drop_in and depth < DEEPEST:
                yield from statements(file, drop_in, read, depth + 1)


def read_before(main: str, drop_in: str, read: t.Callable[[str], str]) -> t.Optional[str]:
    """Which line sshd reads before the drop-in, for people, or why it reads that never; None if it is the first. Raises OSError."""
    for statement in parse(main, read(main)):
        if statement.keyword != "include":
            return f"{main} does not read it before its line {statement.line} ({statement.keyword})"
        for file in included(statement.arguments, drop_in):
            if file == drop_in:
                return None
            first = next(statements(file, drop_in, read), None)
            if first is not None:
                return f"{main} reads {first.file} before it"
    return f"{main} does not read it"


def with_include(text: str, drop_in: str) -> str:
    """A main file that reads the drop-in first. Where another Include reads it again nothing is said twice that may not be."""
    return f"{_NOTE}Include {drop_in}\n{without_include(text, drop_in)}"


def without_include(text: str, drop_in: str) -> str:
    """A main file without the line that we put into it."""
    return text.replace(f"{_NOTE}Include {drop_in}\n", "")


def staged(text: str, drop_in: str, candidate: t.Optional[str]) -> str:
    """A main file that reads `candidate` (None: nothing) in place of the drop-in: to try it before anything is touched."""
    lines = [f"Include {shlex.quote(candidate)}"] if candidate is not None else []
    for line in without_include(text, drop_in).split("\n"):
        statement = next(parse("", line), None)
        if statement is not None and statement.keyword == "include":
            files = included(statement.arguments, drop_in)
            if drop_in in files:
                others = [shlex.quote(file) for file in files if file != drop_in]
                line = f"Include {' '.join(others)}" if others else "#"
        lines.append(line)
    return "\n".join(lines)
