# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain data as YAML text, for hosts that have Python's standard library and nothing else.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import json
import re
import typing as t

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_READ_OTHERWISE = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}  # YAML 1.1


def dump(data: t.Mapping[str, t.Any]) -> str:
    """A mapping as block YAML. Texts are written as JSON strings, which every YAML reader takes as they are.

    Takes dict, list, str, int, bool and nothing else; raises TypeError.
    """
    return "".join(f"{line}\n" for line in _lines(data, 0))


def load(text: str) -> dict[str, t.Any]:
    """What `dump` wrote, comments at its head left out; raises ValueError for any other text. It is no reader of YAML."""
    lines = [(len(line) - len(line.lstrip(" ")), line.strip()) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    value, rest = _block(lines, 0) if lines else ({}, [])
    if rest or not isinstance(value, dict):
        raise ValueError("this is not what was written here")
    return value


_LINE = re.compile(r"""(?:-|(?P<key>[A-Za-z_][A-Za-z0-9_-]*|"(?:[^"\\]|\\.)*"):)(?: (?P<scalar>.+))?""")
_Lines = list[tuple[int, str]]


def _block(lines: _Lines, indent: int) -> tuple[t.Any, _Lines]:
    """The mapping or list that begins here, and the lines after it."""
    mapping: dict[str, t.Any] = {}
    items: list[t.Any] = []
    while lines and lines[0][0] == indent:
        found = _LINE.fullmatch(lines[0][1])
        if found is None:
            raise ValueError("this is not what was written here")
        lines = lines[1:]
        key, scalar = found["key"], found["scalar"]
        if scalar is None:
            value, lines = _block(lines, indent + 2)
        else:
            value = _read(scalar)
        if key is None:
            items.append(value)
        else:
            mapping[_read(key) if key.startswith('"') else key] = value
    if bool(mapping) == bool(items):  # both, or neither
        raise ValueError("this is not what was written here")
    return mapping or items, lines


def _read(scalar: str) -> t.Any:
    """A scalar that `_scalar` wrote."""
    # \U is the one escape that JSON has not.
    return json.loads(re.sub(r"\\(?:U([0-9a-f]{8})|.)", lambda found: chr(int(found[1], 16)) if found[1] else found[0], scalar))


def _lines(value: t.Any, depth: int) -> t.Iterator[str]:
    pad = "  " * depth
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _entry(f"{pad}{_key(key)}:", item, depth)
    else:
        for item in value:
            yield from _entry(f"{pad}-", item, depth)


def _entry(head: str, item: t.Any, depth: int) -> t.Iterator[str]:
    if isinstance(item, (dict, list)) and item:
        yield head
        yield from _lines(item, depth + 1)
    else:
        yield f"{head} {_scalar(item)}"


def _key(key: t.Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key must be text: {key!r}")
    return key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _READ_OTHERWISE else _quoted(key)


def _scalar(value: t.Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (bool, int)) or value in ({}, []):
        return json.dumps(value)
    raise TypeError(f"can't be written as YAML: {value!r}")


def _quoted(text: str) -> str:
    """A JSON string; but for characters beyond 16 bits JSON writes two escapes, which YAML reads as two characters."""
    return '"' + "".join(json.dumps(sign)[1:-1] if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}" for sign in text) + '"'
