# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy as the text of one nftables table: pure, and the same text for the same policy.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

How it is built, and why:

- The file makes the table if it is not there, deletes it and makes it anew, in one transaction (nft(8): a file is one).
- Exact ports stand in a map without the interval flag, which the kernel keeps as a hash: the cost of a look-up does not grow
  with the number of services. Ranges stand in a second map, cut into disjoint pieces. A port in both gets the union,
  since a chain that lets nobody in returns to its caller, which asks the next map.
- Who may come in by a port is a small chain, shared by all ports with the same networks.
- A rule that has a time is a match on the kernel's clock in that chain, so that nothing has to happen then, and a reboot changes nothing.
  The time is a number: nft reads and lists dates in the time zone of its process, and a number means the same in each.
- Addresses stand in named sets; overlaps are taken out here and not by nft, so that the listing is what was written.
- No rule asks for a SYN or for a valid state: a session that is older than the table goes on (a first install). Where this host
  speaks first in it, the kernel can't tell whose answer that is: so what is no SYN may leave by the ports that rules let in.
- The chains come before everybody else's (priority filter - 10). A drop is final there, an accept is not.
- Each of them ends in a rule that drops, beside its policy: see _drop().
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._policy import (
    EVERYTHING,
    ICMP4_ECHO,
    ICMP4_ERRORS,
    ICMP6_ECHO,
    ICMP6_ERRORS,
    MLD_IN,
    MLD_OUT,
    ND_IN,
    ND_OUT,
    ND_ROUTER_IN,
    TRANSPORTS,
    Network,
    Policy,
    Rule,
    Span,
    time_text,
)

OWNER_MARK = "made by alfred.portmap"
HOOKS = ("input", "output", "forward")
MAX_COMMENT = 120  # bytes; nft allows 128
MAX_NAME = 40  # characters; the kernel allows more, but people have to read it

Lines = list[str]
Peers = dict[str, t.Optional[int]]  # networks, and until when each of them counts (None: for good)


def render(policy: Policy, table: str = "portmap", log: t.Mapping[str, t.Any] | None = None) -> str:
    """The table's text.

    log: {enabled: bool, rate: packets per minute, burst: packets, prefix: text}; without it nothing is logged.
    """
    return _Table(policy, table, log or {"enabled": False}).text()


def comment(text: str) -> str:
    """A text as the comment of a rule or an element: nft has no escape for a quote, and a limit of 128 bytes."""
    clean = re.sub(r"[^ -!#-\[\]-~]", "?", text)
    return f'comment "{clean[:MAX_COMMENT]}"'


def port_map(rules: t.Iterable[Rule], transport: str) -> tuple[dict[int, list[Rule]], dict[Span, list[Rule]]]:
    """The rules of one transport by exact port, and by disjoint range; both sorted."""
    exact: dict[int, list[Rule]] = {}
    wide: list[tuple[Span, Rule]] = []
    for rule in rules:
        for span in rule.ports if rule.transport == transport else ():
            if span.lo == span.hi:
                exact.setdefault(span.lo, []).append(rule)
            else:
                wide.append((span, rule))
    edges = sorted({span.lo for span, _rule in wide} | {span.hi + 1 for span, _rule in wide})
    ranges: dict[Span, list[Rule]] = {}
    for low, after in zip(edges, edges[1:]):
        covering = [rule for span, rule in wide if span.lo <= low and after - 1 <= span.hi]
        if covering:
            ranges[Span(low, after - 1)] = covering
    return dict(sorted(exact.items())), ranges


class _Table:
    def __init__(self, policy: Policy, table: str, log: t.Mapping[str, t.Any]) -> None:
        self._policy = policy
        self._table = table
        self._log = log
        self._set_names: dict[str, str] = {}  # network -> name of its sets, without the family
        self._verdicts: dict[tuple[str, tuple[tuple[str, t.Optional[int]], ...]], str] = {}  # (saddr or daddr, peers) -> accept, or a jump to their chain
        self._chain_counts: dict[str, int] = {}  # from or to -> how many chains
        self._chain_lines: Lines = []
        self._maps_there: set[str] = set()
        self._sorted_members: dict[tuple[str, int], list[str]] = {}

    def text(self) -> str:
        """The whole file."""
        maps = self._maps("in", self._policy.ingress, "saddr")
        if self._filters_egress:
            maps += self._maps("out", self._policy.egress, "daddr")
            maps += self._ports("answers_tcp", (rule for rule in self._policy.ingress if rule.transport == "tcp"))
        maps += self._container_ports()
        chains = self._input() + self._output() + self._forward()
        sets = self._sets()  # last: by now it is known which networks are used
        body = sets + self._chain_lines + maps + chains
        head = [
            f"# {OWNER_MARK}: this file is written anew on every change, and changes by hand are reported as drift",
            f"table inet {self._table}",
            f"delete table inet {self._table}",
            f"table inet {self._table} {{",
        ]
        return "\n".join([*head, *(f"\t{line}" if line else "" for line in body), "}", ""])

    @property
    def _filters_egress(self) -> bool:
        return self._policy.egress_default == "drop"

    # sets of addresses

    def _set_name(self, network: str) -> str:
        """A name that nft takes, for any name of a network, and another one for each network."""
        if network not in self._set_names:
            base = "net_" + re.sub(r"[^A-Za-z0-9]+", "_", network)[:MAX_NAME].strip("_")
            name, count = base, 1
            while name in self._set_names.values():
                count += 1
                name = f"{base}_{count}"
            self._set_names[network] = name
        return self._set_names[network]

    def _members(self, network: str, version: int) -> list[str]:
        key = (network, version)
        if key not in self._sorted_members:
            outermost = _outermost(self._policy.networks[network], version)
            self._sorted_members[key] = [str(one.network_address) if one.num_addresses == 1 else str(one) for one in outermost]
        return self._sorted_members[key]

    def _sets(self) -> Lines:
        lines: Lines = []
        for network, name in sorted(self._set_names.items(), key=lambda item: item[1]):
            for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
                members = self._members(network, version)
                if members and members not in (["0.0.0.0/0"], ["::/0"]):
                    lines += [f"set {name}_{version} {{", f"\ttype {kind}", "\tflags interval", *_elements(members), "}"]
        return lines

    # chains of peers

    def _peers(self, field: str, peers: Peers) -> str:
        """The verdict for these networks: `accept` for everybody, else a jump to their chain."""
        key = (field, tuple(sorted(peers.items())))
        if key not in self._verdicts:
            # Asked once for each combination: there may be thousands of addresses behind a thousand ports.
            lasting = [name for name, until in peers.items() if until is None]
            everybody = all(any(every in self._policy.networks[name] for name in lasting) for every in EVERYTHING)
            self._verdicts[key] = "accept" if everybody else f"jump {self._peer_chain(field, peers)}"
        return self._verdicts[key]

    def _peer_chain(self, field: str, peers: Peers) -> str:
        """A new chain that accepts these networks; gives its name."""
        way = "from" if field == "saddr" else "to"
        self._chain_counts[way] = self._chain_counts.get(way, 0) + 1
        chain = f"{way}_{self._chain_counts[way]}"
        matches = [f"\t{match}" for name, until in sorted(peers.items()) for match in self._matches(field, name, until)]
        self._chain_lines += [f"chain {chain} {{", *matches, "}"]
        return chain

    def _matches(self, field: str, network: str, until: t.Optional[int]) -> Lines:
        accept = f"accept {comment(network)}" if until is None else f"meta time < {until} accept {comment(f'until {time_text(until)}: {network}')}"
        lines = []
        for version, family, protocol in ((4, "ip", "ipv4"), (6, "ip6", "ipv6")):
            members = self._members(network, version)
            if members in (["0.0.0.0/0"], ["::/0"]):
                lines.append(f"meta nfproto {protocol} {accept}")
            elif members:
                lines.append(f"{family} {field} @{self._set_name(network)}_{version} {accept}")
        return lines

    # maps of ports

    def _maps(self, way: str, rules: t.Iterable[Rule], field: str) -> Lines:
        lines: Lines = []
        for transport in TRANSPORTS:
            exact, ranges = port_map(rules, transport)
            lines += self._map(f"{way}_{transport}", {str(port): found for port, found in exact.items()}, field, "")
            lines += self._map(f"{way}_{transport}_ranges", {str(span): found for span, found in ranges.items()}, field, "interval")
        return lines

    def _map(self, name: str, entries: dict[str, list[Rule]], field: str, flags: str) -> Lines:
        if not entries:
            return []
        self._maps_there.add(name)
        members = []
        for ports, rules in entries.items():
            verdict = self._peers(field, _peers(rules))
            members.append(f"{ports} {comment(', '.join(dict.fromkeys(rule.name for rule in rules)))} : {verdict}")
        return [f"map {name} {{", "\ttype inet_service : verdict", *([f"\tflags {flags}"] if flags else []), *_elements(members), "}"]

    def _container_ports(self) -> Lines:
        """The ports that this host's own containers may call on it."""
        lines: Lines = []
        for transport in TRANSPORTS if self._policy.container_interfaces else ():
            lines += self._ports(f"containers_{transport}", (rule for rule in self._policy.ingress if rule.containers and rule.transport == transport))
        return lines

    def _ports(self, name: str, rules: t.Iterable[Rule]) -> Lines:
        """A set of all ports of some rules."""
        members = [str(span) for span in _joined(sorted(span for rule in rules for span in rule.ports))]
        if not members:
            return []
        self._maps_there.add(name)
        return [f"set {name} {{", "\ttype inet_service", "\tflags interval", *_elements(members), "}"]

    def _lookups(self, way: str, field: str) -> Lines:
        names = [(transport, f"{way}_{transport}{kind}") for transport in TRANSPORTS for kind in ("", "_ranges")]
        return [f"{field.format(transport)} vmap @{name}" for transport, name in names if name in self._maps_there]

    # the three hooks

    def _hook(self, name: str, policy: str, rules: Lines) -> Lines:
        return [f"chain {name} {{", f"\ttype filter hook {name} priority filter - 10; policy {policy};", *(f"\t{rule}" for rule in rules), "}"]

    def _input(self) -> Lines:
        ping = self._peers("saddr", dict.fromkeys(self._policy.ping)) if self._policy.ping else ""
        rules = [
            f'iifname "lo" accept {comment(OWNER_MARK + ": loopback")}',
            "ct state established,related accept",
            f"icmp type {_numbers(ICMP4_ERRORS)} accept {comment('ICMP errors')}",
            f"icmpv6 type {_numbers(ICMP6_ERRORS)} accept {comment('ICMP errors, path MTU')}",
            f"icmpv6 type {_numbers(ND_IN)} ip6 hoplimit 255 accept {comment('neighbour discovery')}",
            f"ip6 saddr fe80::/10 icmpv6 type {_numbers(ND_ROUTER_IN)} ip6 hoplimit 255 accept {comment('routers of this link')}",
            f"ip6 saddr fe80::/10 icmpv6 type {_numbers(MLD_IN)} accept {comment('multicast listener discovery')}",
            f"ip6 saddr :: icmpv6 type {_numbers(MLD_IN)} accept {comment('multicast listener discovery')}",
            f"meta nfproto ipv4 udp sport 67 udp dport 68 accept {comment('DHCP client')}",
            f"ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept {comment('DHCP client')}",
        ]
        if ping:
            rules += [f"icmp type {ICMP4_ECHO} {ping}", f"icmpv6 type {ICMP6_ECHO} {ping}"]
        rules += self._lookups("in", "{0} dport")
        own = [transport for transport in TRANSPORTS if f"containers_{transport}" in self._maps_there]
        rules += [f'iifname "{name}" {transport} dport @containers_{transport} accept' for name in self._policy.container_interfaces for transport in own]
        rules += ["meta pkttype { broadcast, multicast } drop", *self._drop("in")]
        return self._hook("input", "drop", rules)

    def _output(self) -> Lines:
        if not self._filters_egress:
            return []
        older = comment("sessions older than this table")
        rules = [
            'oifname "lo" accept',
            "ct state established,related accept",
            *(f'oifname "{name}" accept {comment("to containers of this host")}' for name in self._policy.container_interfaces),
            f"icmp type {_numbers((*ICMP4_ERRORS, ICMP4_ECHO))} accept {comment('ICMP errors, ping')}",
            f"icmpv6 type {_numbers((*ICMP6_ERRORS, ICMP6_ECHO))} accept {comment('ICMP errors, path MTU, ping')}",
            f"icmpv6 type {_numbers(ND_OUT)} accept {comment('neighbour discovery')}",
            f"icmpv6 type {_numbers(MLD_OUT)} accept {comment('multicast listener discovery')}",
            f"meta nfproto ipv4 udp sport 68 udp dport 67 accept {comment('DHCP client')}",
            f"meta nfproto ipv6 udp sport 546 udp dport 547 accept {comment('DHCP client')}",
            *self._lookups("out", "{0} dport"),
            *([f"tcp flags & syn == 0x0 tcp sport @answers_tcp accept {older}"] if "answers_tcp" in self._maps_there else []),
            "fib daddr type { broadcast, multicast } drop",
            *self._drop("out"),
        ]
        return self._hook("output", "drop", rules)

    def _forward(self) -> Lines:
        """Only what this host's containers send or are sent; all else that is forwarded is others' business."""
        interfaces = self._policy.container_interfaces
        if not interfaces:
            return []
        into = [
            *(f'iifname "{name}" return {comment("between containers of this host")}' for name in interfaces),
            f"ct status dnat jump published {comment('by host port')}",
            *self._drop("to containers"),
        ]
        lines = [
            *self._chain("published", self._lookups("in", "meta l4proto {0} ct original proto-dst")),
            *self._chain("to_containers", into),
        ]
        rules = ["ct state established,related accept", *(f'oifname "{name}" jump to_containers' for name in interfaces)]
        if self._filters_egress:
            out = [
                *(f'oifname "{name}" return {comment("between containers of this host")}' for name in interfaces),
                f"icmp type {ICMP4_ECHO} accept",
                f"icmpv6 type {ICMP6_ECHO} accept",
                *self._lookups("out", "{0} dport"),
                *self._drop("from containers"),
            ]
            lines += self._chain("from_containers", out)
            rules += [f'iifname "{name}" jump from_containers' for name in interfaces]
        return lines + self._hook("forward", "accept", rules)

    def _chain(self, name: str, rules: Lines) -> Lines:
        return [f"chain {name} {{", *(f"\t{rule}" for rule in rules), "}"]

    def _drop(self, way: str) -> Lines:
        """Log what gets here, at a bounded rate, and drop it.

        By a rule, in base chains too: while a transaction is committed the new chain's rules count a moment before its policy does,
        and until then that is accept (nf_tables_commit() in the kernel).
        """
        lines = []
        if self._log.get("enabled"):
            prefix = re.sub(r"[^A-Za-z0-9 ._:-]", "_", str(self._log["prefix"]))[:60]
            lines = [f'limit rate {self._log["rate"]}/minute burst {self._log["burst"]} packets log prefix "{prefix} drop {way}: " level info']
        return [*lines, "drop"]


def _peers(rules: t.Iterable[Rule]) -> Peers:
    """The networks of some rules; each counts as long as the rule that names it longest."""
    found: Peers = {}
    for rule in rules:
        for network in rule.networks:
            known = found.get(network, 0)
            found[network] = None if known is None or rule.until is None else max(known, rule.until)
    return found


def _outermost(members: t.Iterable[Network], version: int) -> list[Network]:
    """The members of one family, sorted, without those that lie within another: a set of intervals takes no overlaps.

    Neighbours are not joined, so that people find the addresses that they know.
    """
    found: list[t.Any] = []
    for member in sorted((one for one in members if one.version == version), key=lambda one: (int(one.network_address), one.prefixlen)):
        if not found or not member.subnet_of(found[-1]):
            found.append(member)
    return found


def _elements(members: list[str]) -> Lines:
    """A set's or map's elements, one a line so that a diff shows the one that changed; an empty set has no such line."""
    return ["\telements = {", *(f"\t\t{member}," for member in members), "\t}"] if members else []


def _numbers(values: t.Iterable[int]) -> str:
    listed = sorted(values)
    return str(listed[0]) if len(listed) == 1 else "{ " + ", ".join(map(str, listed)) + " }"


def _joined(spans: t.Iterable[Span]) -> list[Span]:
    """Sorted spans with what overlaps or touches made one."""
    found: list[Span] = []
    for span in spans:
        if found and span.lo <= found[-1].hi + 1:
            found[-1] = Span(found[-1].lo, max(found[-1].hi, span.hi))
        else:
            found.append(span)
    return found
