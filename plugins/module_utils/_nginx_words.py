# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of nginx's configuration: what a value becomes so that nginx reads it as that value and nothing else. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

nginx reads a quoted word to its closing quote, with a backslash before `"` and `\\`. Where it then looks for variables, nothing
escapes a `$`: it must come out of a variable itself, see DOLLAR.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import ProxyError

DOLLAR = "portmap_dollar"  # a variable whose value is "$"
LONGEST = 3000  # bytes; nginx reads its files in pieces of 4,096 and takes no longer word
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%=+,*-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Lines = list[str]


def word(value: str, path: str = "") -> str:
    """A value as one word where nginx knows no variables, or where variables in it are meant. Raises ProxyError.

    path: the option, for the error.
    """
    if _CONTROL.search(value):
        raise ProxyError(path or "a value", value, "must not have control characters")
    if len(value.encode("utf-8", "surrogateescape")) > LONGEST:
        raise ProxyError(path or "a value", value[:60] + "…", f"must have {LONGEST} bytes at most: nginx reads no longer word")
    if _PLAIN.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def literal(value: str, path: str = "") -> str:
    """A value as one word where nginx would look for variables, and finds only the one that is a `$`. Raises ProxyError."""
    return word(value.replace("$", f"${{{DOLLAR}}}"), path)


def constant(value: str, path: str) -> str:
    """A value as one word where nginx would look for variables, and a variable of any kind changes what it does (a file's name). Raises ProxyError."""
    if "$" in value:
        raise ProxyError(path, value, "must not have a '$': nginx would read a variable")
    return word(value, path)


def directive(name: str, *words: str) -> str:
    """One directive. The words are as they are."""
    return " ".join((name, *words)) + ";"


def block(head: t.Sequence[str], lines: t.Iterable[str]) -> Lines:
    """A block with lines in it. The words of its head are as they are."""
    return [" ".join(head) + " {", *("    " + line for line in lines), "}"]


def ident(name: str) -> str:
    """A name as a part of a variable's or zone's name: different ones stay different."""
    return "".join(char if char.isascii() and char.isalnum() else _SHORT.get(char, f"_x{ord(char):x}_") for char in name)


_SHORT = {"_": "__", "-": "_d", ".": "_p"}


def file_text(lines: t.Iterable[str]) -> str:
    """The lines as a file."""
    return "\n".join(lines) + "\n"
