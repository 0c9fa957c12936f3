# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected listeners against the ones that are there: missing, unexpected, wrong address. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._policy import Span
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener

DHCP_CLIENT = (68, 546)  # UDP ports that a DHCP client holds (RFC 2131, RFC 8415)


@dataclass(frozen=True)
class Expected:
    """One line of the expected listeners."""

    name: str
    transport: str
    ports: Span
    bind: t.Union[str, tuple[str, ...]]  # any, loopback or addresses
    required: bool
    origin: str

    def covers(self, listener: Listener) -> bool:
        """Whether this line is about the listener's port."""
        return self.transport == listener.transport and listener.port in self.ports

    def explains(self, listener: Listener) -> bool:
        """Whether the listener is where this line wants it."""
        if not self.covers(listener):
            return False
        if self.bind == "any":
            return not is_loopback(listener.address)
        if self.bind == "loopback":
            return is_loopback(listener.address)
        return listener.address in self.bind

    @property
    def where(self) -> str:
        """The expected address in words."""
        return self.bind if isinstance(self.bind, str) else ", ".join(self.bind)


@dataclass(frozen=True)
class Ignored:
    """A pattern for listeners that nobody needs to hear of; what is not said matches everything."""

    transport: str = ""
    ports: t.Optional[Span] = None
    address: str = "*"
    process: str = "*"
    unit: str = "*"

    def matches(self, listener: Listener) -> bool:
        """Whether the listener is meant. A process or unit pattern never matches a listener whose owner is not known."""
        owner = listener.owner
        return (
            self.transport in ("", listener.transport)
            and (self.ports is None or listener.port in self.ports)
            and fnmatch.fnmatchcase(listener.address, self.address)
            and (self.process == "*" or (owner is not None and fnmatch.fnmatchcase(owner.process, self.process)))
            and (self.unit == "*" or (owner is not None and fnmatch.fnmatchcase(owner.unit, self.unit)))
        )


def is_loopback(address: str) -> bool:
    """127.0.0.0/8 or ::1."""
    return ipaddress.ip_address(address).is_loopback


def compare(
    expected: list[Expected],
    found: list[Listener],
    ignored: list[Ignored],
    ephemeral: Span,
    strict: bool = False,
) -> list[dict[str, t.Any]]:
    """Every difference, as data: {kind, name, transport, port, expected, actual, owner, why, text}.

    Unless strict, what only this host itself can reach (loopback) is not unexpected, and neither are the DHCP client's ports and
    unconnected UDP sockets on the ephemeral ports (ip_local_port_range): clients use those, too.
    """
    findings = []
    for line in expected:
        there = [one for one in found if line.covers(one)]
        if line.required and not any(line.explains(one) for one in there):
            astray = [one for one in there if not any(other.explains(one) for other in expected)]
            findings.append(_wrong_address(line, astray) if astray else _missing(line))
    for one in found:
        lines = [line for line in expected if line.covers(one)]
        if any(line.explains(one) for line in lines):
            continue
        if any(line.required and not any(line.explains(other) for other in found) for line in lines):
            continue  # said above, as that line's wrong address
        if any(pattern.matches(one) for pattern in ignored) or (not strict and _harmless(one, ephemeral)):
            continue
        findings.append(_wrong_address(lines[0], [one]) if lines else _unexpected(one))
    return findings


def _harmless(listener: Listener, ephemeral: Span) -> bool:
    if is_loopback(listener.address):
        return True
    return listener.transport == "udp" and (listener.port in DHCP_CLIENT or listener.port in ephemeral)


def owner_text(listener: Listener) -> str:
    """Whose a listener is, for people; "" if that is not known."""
    owner = listener.owner
    if owner is None:
        return ""
    unit = f", {owner.unit}" if owner.unit else ""
    return f"{owner.process} (pid {owner.pid}{unit})"


def _who(listener: Listener) -> str:
    owner = owner_text(listener)
    return f"it is {owner}" if owner else "no process is seen to hold it"


def _finding(kind: str, line: t.Optional[Expected], transport: str, port: str, actual: list[Listener], text: str) -> dict[str, t.Any]:
    return {
        "kind": kind,
        "name": line.name if line else "",
        "transport": transport,
        "port": port,
        "expected": line.where if line else "nothing",
        "actual": sorted({one.address for one in actual}),
        "owner": ", ".join(dict.fromkeys(owner_text(one) for one in actual if one.owner)),
        "why": line.origin if line else "",
        "text": text,
    }


def _missing(line: Expected) -> dict[str, t.Any]:
    return _finding("missing", line, line.transport, str(line.ports), [], f"{line.name}: nothing listens on {line.ports}/{line.transport}")


def _wrong_address(line: Expected, actual: list[Listener]) -> dict[str, t.Any]:
    addresses = ", ".join(sorted({one.address for one in actual}))
    port = actual[0].port
    text = f"{line.name}: {port}/{line.transport} listens on {addresses}, expected {line.where}; {_who(actual[0])}"
    return _finding("wrong address", line, line.transport, str(port), actual, text)


def _unexpected(listener: Listener) -> dict[str, t.Any]:
    text = f"{listener.port}/{listener.transport} listens on {listener.address}, and nothing in the map explains it; {_who(listener)}"
    return _finding("unexpected", None, listener.transport, str(listener.port), [listener], text)
