# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy: what one host lets in and out. decide() is its meaning, held against the kernel by tests/kernel.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

A rule allows; what no rule allows is dropped. A rule that has a time (`until`) lets nobody new in from then on; who is in stays.
The implied part, never written in a policy: loopback, answers to what was allowed, ICMP errors (RFC 1122, RFC 4890), neighbour
discovery (RFC 4861, hop limit 255), multicast listener discovery (RFC 2710, RFC 3810), the DHCP client (RFC 2131, RFC 8415),
pings going out, and the answers of TCP sessions that the kernel does not know yet (a first install).
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import time
import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

Address = t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

TRANSPORTS = ("tcp", "udp")
EVERYTHING = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
LINK_LOCAL = ipaddress.ip_network("fe80::/10")
UNSPECIFIED = ipaddress.ip_address("::")

# ICMP types that a host accepts or sends whatever its policy says, by number.
ICMP4_ERRORS = (3, 11, 12)  # destination unreachable (with "fragmentation needed"), time exceeded, parameter problem
ICMP4_ECHO = 8
ICMP6_ERRORS = (1, 2, 3, 4)  # destination unreachable, packet too big, time exceeded, parameter problem
ICMP6_ECHO = 128
ND_IN = (135, 136)  # neighbour solicitation and advertisement, from anybody on the link
ND_ROUTER_IN = (134, 137)  # router advertisement and redirect, from link-local addresses only
ND_OUT = (133, 135, 136)  # router solicitation, neighbour solicitation and advertisement
MLD_IN = (130, 131, 132, 143)  # query, report, done, version 2 report
MLD_OUT = (131, 132, 143)

# The kernel counts nanoseconds in 64 bits, nft reckons with a sign: a later time would be another one.
LATEST = datetime(2262, 1, 1, tzinfo=timezone.utc)

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}|[A-Za-z0-9_.@-]{1,14}\*")


class PolicyError(ValueError):
    """A policy that can't be used. `problems` has (path, value, rule) for each reason."""

    def __init__(self, problems: list[tuple[str, t.Any, str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{path}: {value!r} {rule}" for path, value, rule in problems))


@dataclass(frozen=True, order=True)
class Span:
    """The ports lo to hi, both included."""

    lo: int
    hi: int

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.lo <= port <= self.hi

    def __str__(self) -> str:
        return str(self.lo) if self.lo == self.hi else f"{self.lo}-{self.hi}"


@dataclass(frozen=True)
class Rule:
    """Ports of a transport, and the names of the networks on the other side."""

    name: str
    transport: str
    ports: tuple[Span, ...]
    networks: tuple[str, ...]
    containers: bool
    origin: str
    until: t.Optional[int] = None  # seconds since 1970: from then on it lets nobody new in

    def holds(self, now: float) -> bool:
        """Whether the rule still lets anybody in."""
        return self.until is None or now < self.until


def time_text(seconds: int) -> str:
    """Seconds since 1970 as a policy writes them, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Policy:
    """One host's policy."""

    networks: dict[str, tuple[Network, ...]]
    ingress: tuple[Rule, ...]
    egress_default: str  # drop or accept
    egress: tuple[Rule, ...]
    ping: tuple[str, ...]
    container_interfaces: tuple[str, ...]

    @classmethod
    def from_data(cls, data: t.Mapping[str, t.Any]) -> Policy:
        """Check plain data, as docs/architecture.md describes it. Raises PolicyError with every problem at once."""
        return _Reader(data).policy()


@dataclass(frozen=True)
class Packet:
    """One packet at one hook, as far as a policy looks at it."""

    hook: str  # input, output or forward
    source: str
    destination: str
    transport: str  # tcp, udp, icmp, icmpv6, or any other protocol's name
    port: int = 0  # destination port
    icmp_type: int = 0
    state: str = "new"  # conntrack's word: new, established, related, invalid, untracked
    arrives: str = "other"  # by what kind of interface: lo, container or other ("" at output)
    leaves: str = "other"  # likewise ("" at input)
    published: t.Optional[int] = None  # forward: the host port that the packet was sent to before DNAT
    source_port: int = 0
    hop_limit: int = 64
    syn: bool = True  # tcp: whether it asks for a session; without SYN it belongs to one


@dataclass(frozen=True)
class Verdict:
    """What happens to a packet, and why: the rule that allows it, or the implied reason."""

    accept: bool
    reason: str
    rule: t.Optional[Rule] = None


def decide(policy: Policy, packet: Packet, now: t.Optional[float] = None) -> Verdict:
    """What the policy says about one packet, at a time in seconds since 1970; without one: now."""
    if packet.hook == "output":
        return _output(policy, packet)
    at = time.time() if now is None else now
    open_now = [rule for rule in policy.ingress if rule.holds(at)]
    return _input(policy, packet, open_now) if packet.hook == "input" else _forward(policy, packet, open_now)


def _input(policy: Policy, packet: Packet, ingress: list[Rule]) -> Verdict:
    if packet.arrives == "lo":
        return Verdict(True, "loopback")
    implied = _answer(packet) or _implied_in(packet)
    if implied:
        return Verdict(True, implied)
    echo = _is_echo(packet)
    if echo and _within(policy, policy.ping, packet.source):
        return Verdict(True, "ping")
    rule = _find(policy, ingress, packet.transport, packet.port, packet.source)
    if rule is None and packet.arrives == "container":
        rule = next((one for one in ingress if one.containers and _matches(one, packet.transport, packet.port)), None)
    return Verdict(True, "rule", rule) if rule else Verdict(False, "no rule lets it in")


def _output(policy: Policy, packet: Packet) -> Verdict:
    if policy.egress_default == "accept":
        return Verdict(True, "outgoing traffic is not filtered")
    if packet.leaves == "lo":
        return Verdict(True, "loopback")
    if packet.leaves == "container":
        return Verdict(True, "to a container of this host")
    implied = _answer(packet) or _implied_out(packet)
    if implied:
        return Verdict(True, implied)
    # Such a session goes on after its rule's time, too.
    if packet.transport == "tcp" and not packet.syn and any(_matches(rule, "tcp", packet.source_port) for rule in policy.ingress):
        return Verdict(True, "goes on with a session that is older than the table")
    return _leave(policy, packet)


def _leave(policy: Policy, packet: Packet) -> Verdict:
    if _is_echo(packet):
        return Verdict(True, "ping")
    rule = _find(policy, policy.egress, packet.transport, packet.port, packet.destination)
    return Verdict(True, "rule", rule) if rule else Verdict(False, "no rule lets it out")


def _forward(policy: Policy, packet: Packet, ingress: list[Rule]) -> Verdict:
    if "container" not in (packet.arrives, packet.leaves):
        return Verdict(True, "none of this host's containers is concerned")
    answer = _answer(packet)
    if answer:
        return Verdict(True, answer)
    if packet.arrives == packet.leaves:
        return Verdict(True, "between containers of this host")
    if packet.arrives == "container":
        if policy.egress_default == "accept":
            return Verdict(True, "outgoing traffic is not filtered")
        return _leave(policy, packet)
    if packet.published is None:
        return Verdict(False, "not sent to a published port")
    rule = _find(policy, ingress, packet.transport, packet.published, packet.source)
    return Verdict(True, "rule", rule) if rule else Verdict(False, "no rule lets it in")


def _answer(packet: Packet) -> str:
    return "answer to what was allowed" if packet.state in ("established", "related") else ""


def _implied_in(packet: Packet) -> str:
    source = ipaddress.ip_address(packet.source)
    if packet.transport == "icmp" and packet.icmp_type in ICMP4_ERRORS:
        return "ICMP error"
    if packet.transport == "icmpv6":
        if packet.icmp_type in ICMP6_ERRORS:
            return "ICMP error"
        if packet.icmp_type in ND_IN and packet.hop_limit == 255:
            return "neighbour discovery"
        if packet.icmp_type in ND_ROUTER_IN and packet.hop_limit == 255 and source in LINK_LOCAL:
            return "neighbour discovery"
        if packet.icmp_type in MLD_IN and (source in LINK_LOCAL or source == UNSPECIFIED):
            return "multicast listener discovery"
    if packet.transport == "udp":
        if source.version == 4 and (packet.source_port, packet.port) == (67, 68):
            return "DHCP client"
        if source.version == 6 and source in LINK_LOCAL and (packet.source_port, packet.port) == (547, 546):
            return "DHCP client"
    return ""


def _implied_out(packet: Packet) -> str:
    version = ipaddress.ip_address(packet.destination).version
    if packet.transport == "icmp" and packet.icmp_type in ICMP4_ERRORS:
        return "ICMP error"
    if packet.transport == "icmpv6":
        if packet.icmp_type in ICMP6_ERRORS:
            return "ICMP error"
        if packet.icmp_type in ND_OUT:
            return "neighbour discovery"
        if packet.icmp_type in MLD_OUT:
            return "multicast listener discovery"
    if packet.transport == "udp" and (packet.source_port, packet.port) == ((68, 67) if version == 4 else (546, 547)):
        return "DHCP client"
    return ""


def _is_echo(packet: Packet) -> bool:
    return (packet.transport, packet.icmp_type) in (("icmp", ICMP4_ECHO), ("icmpv6", ICMP6_ECHO))


def _find(policy: Policy, rules: t.Iterable[Rule], transport: str, port: int, peer: str) -> t.Optional[Rule]:
    return next((rule for rule in rules if _matches(rule, transport, port) and _within(policy, rule.networks, peer)), None)


def _matches(rule: Rule, transport: str, port: int) -> bool:
    return rule.transport == transport and any(port in span for span in rule.ports)


def _within(policy: Policy, names: t.Iterable[str], address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return any(parsed.version == network.version and parsed in network for name in names for network in policy.networks[name])


class _Reader:
    """Reads plain data strictly, and keeps every problem."""

    _KEYS = {"networks", "ingress", "egress_default", "egress", "ping", "container_interfaces"}
    _RULE_KEYS = {"name", "transport", "ports", "networks", "origin"}

    def __init__(self, data: t.Mapping[str, t.Any]) -> None:
        self._data = data
        self._problems: list[tuple[str, t.Any, str]] = []

    def _wrong(self, path: str, value: t.Any, rule: str) -> None:
        self._problems.append((path, value, rule))

    def policy(self) -> Policy:
        for key in sorted(set(self._data) - self._KEYS, key=str):
            self._wrong(str(key), self._data[key], "is no key of a policy")
        networks = {name: self._network(f"networks.{name}", members) for name, members in self._mapping("networks").items()}
        for name in networks:
            if not isinstance(name, str) or not name:
                self._wrong("networks", name, "must be a name")
        default = self._data.get("egress_default", "drop")
        if default not in ("drop", "accept"):
            self._wrong("egress_default", default, "must be drop or accept")
        policy = Policy(
            networks=networks,
            ingress=self._rules("ingress", networks),
            egress_default=default,
            egress=self._rules("egress", networks),
            ping=tuple(self._names("ping", self._data.get("ping", []), networks)),
            container_interfaces=tuple(self._interfaces()),
        )
        if self._problems:
            raise PolicyError(self._problems)
        return policy

    def _mapping(self, path: str) -> dict[str, t.Any]:
        value = self._data.get(path, {})
        if isinstance(value, dict):
            return value
        self._wrong(path, value, "must be a mapping")
        return {}

    def _list(self, path: str, value: t.Any) -> list[t.Any]:
        if isinstance(value, list):
            return value
        self._wrong(path, value, "must be a list")
        return []

    def _network(self, path: str, members: t.Any) -> tuple[Network, ...]:
        found = []
        for index, member in enumerate(self._list(path, members)):
            try:
                if not isinstance(member, str):
                    raise ValueError("it must be text")
                network = ipaddress.ip_network(member)
                if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
                    raise ValueError("it is an IPv4 address written as IPv6")
                if "%" in member:
                    raise ValueError("it names an interface, and a policy holds for all of them")
                found.append(network)
            except ValueError as error:
                self._wrong(f"{path}[{index}]", member, f"is no address or network: {error}")
        return tuple(found)

    def _rules(self, way: str, networks: t.Mapping[str, t.Any]) -> tuple[Rule, ...]:
        return tuple(self._rule(f"{way}[{index}]", rule, way, networks) for index, rule in enumerate(self._list(way, self._data.get(way, []))))

    def _rule(self, path: str, rule: t.Any, way: str, networks: t.Mapping[str, t.Any]) -> Rule:
        if not isinstance(rule, dict):
            self._wrong(path, rule, "must be a mapping")
            return Rule("", "tcp", (), (), False, "")
        known = self._RULE_KEYS | ({"containers", "until"} if way == "ingress" else set())
        for key in sorted(set(rule) - known, key=str):
            self._wrong(f"{path}.{key}", rule[key], "is no key of a rule")
        name = rule.get("name")
        if not isinstance(name, str) or not name:
            self._wrong(f"{path}.name", name, "must be a name")
        transport = rule.get("transport", "tcp")
        if transport not in TRANSPORTS:
            self._wrong(f"{path}.transport", transport, "must be tcp or udp")
        ports = self._list(f"{path}.ports", rule.get("ports"))
        if rule.get("ports") == []:
            self._wrong(f"{path}.ports", ports, "must not be empty")
        spans = [self._span(f"{path}.ports[{index}]", port) for index, port in enumerate(ports)]
        named = self._names(f"{path}.networks", rule.get("networks"), networks)
        containers = rule.get("containers", False)
        if not isinstance(containers, bool):
            self._wrong(f"{path}.containers", containers, "must be true or false")
        until = self._time(f"{path}.until", rule["until"]) if way == "ingress" and rule.get("until") is not None else None
        if until is not None and containers is True:
            self._wrong(f"{path}.until", rule["until"], "can't be with containers: true, which knows no time")
        return Rule(str(name), transport, tuple(span for span in spans if span), tuple(named), bool(containers), str(rule.get("origin", "")), until)

    def _time(self, path: str, value: t.Any) -> t.Optional[int]:
        if isinstance(value, str) and _TIME.fullmatch(value):
            with contextlib.suppress(ValueError):
                found = datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
                if found.year >= 1970 and found < LATEST:
                    return int(found.timestamp())
        self._wrong(path, value, f"must be a time in UTC from 1970 to {LATEST.year - 1}, written as 2026-11-26T18:00:00Z")
        return None

    def _span(self, path: str, value: t.Any) -> t.Optional[Span]:
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
        if match:
            span = Span(int(match.group(1)), int(match.group(2) or match.group(1)))
            if 1 <= span.lo <= span.hi <= 65535:
                return span
        self._wrong(path, value, "must be a port from 1 to 65535 or a range lo-hi")
        return None

    def _names(self, path: str, value: t.Any, networks: t.Mapping[str, t.Any]) -> list[str]:
        names = self._list(path, value)
        known = [name for name in names if isinstance(name, str) and name in networks]
        for index, name in enumerate(names):
            if name not in known:
                self._wrong(f"{path}[{index}]", name, "is not among the policy's networks")
        return known

    def _interfaces(self) -> t.Iterator[str]:
        for index, name in enumerate(self._list("container_interfaces", self._data.get("container_interfaces", []))):
            if isinstance(name, str) and _INTERFACE.fullmatch(name):
                yield name
            else:
                self._wrong(f"container_interfaces[{index}]", name, "must be an interface name of at most 15 characters, a * at its end allowed")
