# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is expected and what is ignored, out of data: options of module listening_ports, or a host's part of a plan.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._listeners import Expected, Ignored
from ansible_collections.alfred.portmap.plugins.module_utils._policy import Span
from ansible_collections.alfred.portmap.plugins.module_utils._unix_listeners import ExpectedUnix

Data = t.Mapping[str, t.Any]


def expected_lines(data: t.Sequence[Data]) -> list[Expected]:
    """The expected listeners. Raises ValueError."""
    return [
        Expected(
            name=line["name"],
            transport=line.get("transport", "tcp"),
            ports=_span(f"expected[{index}].ports", line["ports"]),
            bind=_bind(f"expected[{index}].bind", line.get("bind", "any")),
            required=line.get("required", True),
            origin=line.get("origin", ""),
            container=line.get("container", False),
            owner=_patterns(f"expected[{index}].owner", line.get("owner") or []),
            exposure=line.get("exposure", ""),
        )
        for index, line in enumerate(data)
    ]


def ignored_patterns(data: t.Sequence[Data]) -> list[Ignored]:
    """The patterns for listeners that nobody needs to hear of. Raises ValueError."""
    return [
        Ignored(
            transport=line.get("transport") or "",
            ports=_span(f"ignore[{index}].ports", line["ports"]) if line.get("ports") is not None else None,
            **{key: _pattern(f"ignore[{index}].{key}", line.get(key, "*")) for key in ("address", "process", "unit", "user", "container")},
        )
        for index, line in enumerate(data)
    ]


def expected_unix(data: t.Sequence[Data]) -> list[ExpectedUnix]:
    """The expected unix sockets. Raises ValueError."""
    found = []
    for index, line in enumerate(data):
        path = line["path"]
        if path[:1] not in ("/", "@") or len(path) < 2:
            raise ValueError(f"expected_unix[{index}].path: {path!r} must be an absolute path, or an abstract name that begins with @")
        found.append(ExpectedUnix(path, _patterns(f"expected_unix[{index}].owner", line.get("owner") or [])))
    return found


def _span(path: str, value: str) -> Span:
    lo, _dash, hi = value.partition("-")
    if value.isascii() and lo.isdigit() and (hi.isdigit() or not _dash):
        found = Span(int(lo), int(hi or lo))
        if 1 <= found.lo <= found.hi <= 65535:
            return found
    raise ValueError(f"{path}: {value!r} must be a port from 1 to 65535 or a range lo-hi")


def _bind(path: str, value: object) -> t.Union[str, tuple[str, ...]]:
    if isinstance(value, str) and value in ("any", "loopback"):
        return value
    try:
        if isinstance(value, list) and value and all(isinstance(address, str) and "%" not in address for address in value):
            return tuple(str(ipaddress.ip_address(address)) for address in value)
    except ValueError:
        pass
    raise ValueError(f"{path}: {value!r} must be any, loopback or a list of addresses")


def _patterns(path: str, values: t.Sequence[str]) -> tuple[str, ...]:
    return tuple(_pattern(f"{path}[{index}]", value) for index, value in enumerate(values))


def _pattern(path: str, value: str) -> str:
    if not value.strip():
        raise ValueError(f"{path}: {value!r} must be a name or a pattern")  # an empty variable must not ignore, or expect, anybody
    return value
