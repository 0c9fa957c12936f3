# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected listeners against the ones that are there: missing, unexpected, wrong address, wrong owner, unknown. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.module_utils._containers import holds_for_containers
from ansible_collections.alfred.portmap.plugins.module_utils._docker import ENGINE
from ansible_collections.alfred.portmap.plugins.module_utils._owner_names import is_owner, matches, owner_words
from ansible_collections.alfred.portmap.plugins.module_utils._owners import user_name
from ansible_collections.alfred.portmap.plugins.module_utils._policy import Span
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener, listener_data

UNKNOWN = "unknown"  # kind of a finding: something could not be told. It is of no one port
DHCP_CLIENT = (68, 546)  # UDP ports that a DHCP client holds (RFC 2131, RFC 8415)
Data = dict[str, t.Any]


@dataclass(frozen=True)
class Expected:
    """One line of the expected listeners."""

    name: str
    transport: str
    ports: Span
    bind: t.Union[str, tuple[str, ...]]  # any, loopback or addresses
    required: bool
    origin: str
    container: bool = False  # a container publishes it
    owner: tuple[str, ...] = ()  # patterns of which one must match who holds it; () is not checked
    exposure: str = ""

    def covers(self, listener: Listener) -> bool:
        """Whether this line is about the listener's port."""
        return self.transport == listener.transport and listener.port in self.ports

    def explains(self, listener: Listener) -> bool:
        """Whether the listener is where this line wants it."""
        if not self.covers(listener):
            return False
        if self.bind == "any":
            return not listener.is_local
        if self.bind == "loopback":
            return listener.is_local
        return listener.address in self.bind

    def objection(self, listener: Listener) -> str:
        """Who should hold the listener instead, in words; "" if the right one does, or it is Docker that does not say."""
        if listener.containers is None:
            return ""
        if self.container and not listener.containers:
            return "a container"
        if not self.container and _is_published(listener):
            return "a process of the host itself"
        if self.owner and not is_owner(self.owner, listener.holders, listener.containers):
            return " or ".join(self.owner)
        return ""

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
    user: str = "*"
    container: str = "*"

    def matches(self, listener: Listener) -> bool:
        """Whether the listener is meant. What is not known of a listener (its process, its container) matches no pattern but *."""
        owner = listener.owner
        users = [user_name(listener.uid), str(listener.uid)] if listener.uid >= 0 else []
        return (
            self.transport in ("", listener.transport)
            and (self.ports is None or listener.port in self.ports)
            and _fits(self.address, [listener.address])
            and _fits(self.process, [owner.process] if owner else [])
            and _fits(self.unit, [owner.unit] if owner else [])
            and _fits(self.user, users)
            and _fits(self.container, listener.containers or ())
        )


def _fits(pattern: str, names: t.Iterable[str]) -> bool:
    return pattern == "*" or any(matches(pattern, name) for name in names)


def _is_published(listener: Listener) -> bool:
    """Whether the port is a container's on another network than the host's. dockerd listens for itself, too."""
    if not holds_for_containers(listener):
        return listener.owner is None and bool(listener.containers)
    return bool(listener.containers) or (listener.owner is not None and listener.owner.process != ENGINE)


@dataclass
class Comparison:
    """What is expected, what is there, and all that follows from it.

    Unless strict, what only this host itself can reach (loopback) is not unexpected, and neither are the DHCP client's ports and
    unconnected UDP sockets on the ephemeral ports (ip_local_port_range): clients use those, too.
    """

    expected: list[Expected]
    found: list[Listener]
    ignored: list[Ignored]
    ephemeral: Span
    strict: bool = False
    unknown: str = ""  # why it is not known what Docker publishes
    findings: list[Data] = field(default_factory=list)

    def __post_init__(self) -> None:
        single: dict[tuple[str, int], list[Expected]] = {}
        for line in self.expected:
            if line.ports.lo == line.ports.hi:
                single.setdefault((line.transport, line.ports.lo), []).append(line)
        ranges = [line for line in self.expected if line.ports.lo != line.ports.hi]
        self._covered = {one: [*single.get((one.transport, one.port), ()), *(line for line in ranges if line.covers(one))] for one in self.found}
        self._explained = {one: [line for line in lines if line.explains(one)] for one, lines in self._covered.items()}
        self._there = {line for lines in self._explained.values() for line in lines}
        self.findings = [*self._absent(), *self._astray(), *self._strangers(), *self._untold()]

    def data(self) -> list[Data]:
        """Every listener as module listening_ports returns it."""
        return [{**listener_data(one), **self._judged(one)} for one in self.found]

    def _judged(self, one: Listener) -> Data:
        lines = self._explained[one]
        unsaid = "loopback" if one.is_local else "" if lines else "unexpected"
        exposure = next((line.exposure for line in lines if line.exposure), unsaid)
        return {"expected": list(dict.fromkeys(line.name for line in lines)), "exposure": exposure, "ignored": not lines and self._is_ignored(one)}

    def _is_ignored(self, one: Listener) -> bool:
        return any(pattern.matches(one) for pattern in self.ignored) or (not self.strict and _harmless(one, self.ephemeral))

    def _absent(self) -> t.Iterator[Data]:
        """Required lines that nothing explains: nothing listens there, or elsewhere."""
        for line in self.expected:
            if line.required and line not in self._there:
                astray = [one for one, lines in self._covered.items() if line in lines and not self._explained[one]]
                yield _wrong_address(line, astray) if astray else _missing(line)

    def _astray(self) -> t.Iterator[Data]:
        """Listeners that no line explains."""
        for one, lines in self._covered.items():
            if self._explained[one] or any(line.required and line not in self._there for line in lines) or self._is_ignored(one):
                continue  # the second is said above, as that line's wrong address
            yield _wrong_address(lines[0], [one]) if lines else _unexpected(one)

    def _strangers(self) -> t.Iterator[Data]:
        """Listeners at the right place in the wrong hands. One who is ignored may only share a port that the right one holds too."""
        wrong: dict[tuple[Expected, int, str], list[Listener]] = {}
        right: set[tuple[Expected, int]] = set()
        for one, lines in self._explained.items():
            good = [line for line in lines if not line.objection(one)]
            right.update((line, one.port) for line in good)
            if lines and not good:
                wrong.setdefault((lines[0], one.port, lines[0].objection(one)), []).append(one)
        for (line, port, wanted), those in wrong.items():
            if (line, port) in right:
                those = [one for one in those if not any(pattern.matches(one) for pattern in self.ignored)]
            if those:
                yield _wrong_owner(line, those, wanted)

    def _untold(self) -> t.Iterator[Data]:
        """That Docker does not say what it publishes: then nobody can say whether that is as planned."""
        if self.unknown:
            those = [one for one in self.found if one.containers is None]
            ports = ", ".join(dict.fromkeys(f"{one.port}/{one.transport}" for one in those))
            text = f"{ports}: it is not known whose containers are behind" if those else "it is not known which ports Docker publishes"
            yield {**_finding(UNKNOWN, None, "", "", those, f"{text}: {self.unknown}"), "expected": "an answer of Docker"}


def compare(
    expected: list[Expected], found: t.Sequence[Listener], ignored: list[Ignored], ephemeral: Span, strict: bool = False, unknown: str = ""
) -> Comparison:
    """Every difference, as data in `findings`: {kind, name, transport, port, expected, actual, owner, why, text}."""
    return Comparison(expected, list(found), ignored, ephemeral, strict, unknown)


def _harmless(listener: Listener, ephemeral: Span) -> bool:
    if listener.is_local:
        return True
    return listener.transport == "udp" and (listener.port in DHCP_CLIENT or (listener.port in ephemeral and not listener.containers))


def owner_text(listener: Listener) -> str:
    """Whose a listener is, for people; "" if that is not known."""
    return owner_words(listener.owner)


def holder_text(listener: Listener) -> str:
    """The same with the container, of which Docker's own process says nothing."""
    owner = owner_text(listener)
    if not listener.containers:
        return owner
    name = f"container {', '.join(listener.containers)}"
    if not owner:
        return f"{name}, published without a socket"
    return f"{name}, published by {owner}" if holds_for_containers(listener) else f"{owner} in {name}"


def _holders(listeners: t.Iterable[Listener]) -> str:
    return ", ".join(dict.fromkeys(filter(None, map(holder_text, listeners))))


def _who(listener: Listener) -> str:
    owner = holder_text(listener)
    return f"it is {owner}" if owner else "no process is seen to hold it"


def _finding(kind: str, line: t.Optional[Expected], transport: str, port: str, actual: list[Listener], text: str) -> Data:
    return {
        "kind": kind,
        "name": line.name if line else "",
        "transport": transport,
        "port": port,
        "expected": line.where if line else "nothing",
        "actual": sorted({one.where for one in actual}),
        "owner": _holders(actual),
        "why": line.origin if line else "",
        "text": text,
    }


def _missing(line: Expected) -> Data:
    return _finding("missing", line, line.transport, str(line.ports), [], f"{line.name}: nothing listens on {line.ports}/{line.transport}")


def _wrong_address(line: Expected, actual: list[Listener]) -> Data:
    addresses = ", ".join(sorted({one.where for one in actual}))
    port = actual[0].port
    text = f"{line.name}: {port}/{line.transport} listens on {addresses}, expected {line.where}; {_who(actual[0])}"
    return _finding("wrong address", line, line.transport, str(port), actual, text)


def _unexpected(listener: Listener) -> Data:
    text = f"{listener.port}/{listener.transport} listens on {listener.where}, and nothing in the map explains it; {_who(listener)}"
    return _finding("unexpected", None, listener.transport, str(listener.port), [listener], text)


def _wrong_owner(line: Expected, actual: list[Listener], wanted: str) -> Data:
    port = actual[0].port
    held = _holders(actual)
    text = f"{line.name}: {port}/{line.transport} must be held by {wanted}; {f'it is {held}' if held else 'no process is seen to hold it'}"
    return {**_finding("wrong owner", line, line.transport, str(port), actual, text), "expected": wanted}
