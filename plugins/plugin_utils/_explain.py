# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a port is open or closed: what both ends' policies say of one question, by which statement of the map, and what is near.

The verdicts are decide()'s, by way of _ends.py; nothing here judges. _explain_text.py writes the answer for people.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.alfred.portmap.plugins.module_utils._policy import TRANSPORTS, Packet, Policy, Rule, Verdict, decide
from ansible_collections.alfred.portmap.plugins.plugin_utils._ends import Ends
from ansible_collections.alfred.portmap.plugins.plugin_utils._inventory import usable
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import did_you_mean

Data = dict[str, t.Any]
Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

ANYWHERE = "anywhere"
_NUMBER = re.compile(r"[0-9]+")
EGRESS, INGRESS = "egress", "ingress"


class ExplainError(ValueError):
    """The question can't be asked: every reason, each with the option, its value and the rule."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))


def explain(plan: t.Mapping[str, t.Any], source: str, target: str, port: t.Optional[str] = None, transport: t.Optional[str] = None) -> Data:
    """Judge the first packet from each address of the source to each of the target, at both ends.

    source, target: a host, service or network of the plan, or an address. port: a number or a service's name; not needed where
    the target is a service. transport: that service's first one unless said, else tcp. Raises ExplainError.
    """
    return _Question(plan, source, target, port, transport).answer()


@dataclass(frozen=True)
class _Place:
    """One end: an address, or a whole network of strangers."""

    label: str
    network: Network
    host: t.Optional[str] = None  # None: not in the inventory, nothing there is judged

    @property
    def address(self) -> str:
        """For people: an address, or a network with its prefix."""
        return str(self.network.network_address) if self.network.prefixlen == self.network.max_prefixlen else str(self.network)

    def as_data(self) -> Data:
        return {"name": self.label, "address": self.address, "host": self.host}


class _Question:
    def __init__(self, plan: t.Mapping[str, t.Any], source: str, target: str, port: t.Optional[str], transport: t.Optional[str]) -> None:
        self._plan = plan
        self._ends = Ends(plan)
        self._owners = {address: name for part in ("hosts", "vantages") for name, entry in plan[part].items() for address in entry["addresses"]}
        self._problems: list[str] = []
        self._asked = {"from": source, "to": target}
        self._sources = self._places("from", source)
        self._targets = self._places("to", target)
        self._service = ""
        self._port, self._transport = self._resolve_port(target, port, transport)
        if not self._problems and not any(one.host or other.host for one, other in self._pairs()):
            if self._pairs():
                self._problem("to", target, f"is not in the inventory, and neither is {source}: the map says nothing of traffic between them")
            else:
                self._problem("to", target, f"has no address of a family that {source} has one of")
        if self._problems:
            raise ExplainError(self._problems)

    def _problem(self, option: str, value: t.Any, rule: str) -> None:
        found = "" if value is None else f" = {value!r}"
        self._problems.append(f"{option}{found}: {rule}")

    # what names stand for

    def _places(self, option: str, name: str) -> list[_Place]:
        """What a name stands for; it is looked for among hosts, services, networks and addresses, in this order."""
        if name in self._plan["hosts"] or name in self._plan["vantages"]:
            found = self._host(name)
            rule = "has no known address: set port_map_addresses there"
        elif self._split(name):
            found = self._service_places(option, name)
            rule = "runs on no host of the inventory, so that it has no address to ask " + ("from" if option == "from" else "for: give it an `address`")
        elif name == ANYWHERE or name in self._plan["networks"] or name in self._networks_of_map():
            found = self._network(name)
            rule = "no statement of the firewall uses this network, and it names groups: ask with a host or an address of it"
        else:
            found = self._address(name)
            rule = f"is no host, service, network or address that could be asked {option}{did_you_mean(name, self._names())}"
        if not found:
            self._problem(option, name, rule)
        return list(dict.fromkeys(found))

    def _names(self) -> list[str]:
        networks = [name for name in self._plan["networks"] if ":" not in name]
        return [*self._plan["hosts"], *self._plan["vantages"], *self._services(), *networks, *self._networks_of_map(), ANYWHERE]

    def _services(self) -> list[str]:
        """Every `S` and `S.P`."""
        return [label for name, service in self._plan["services"].items() for label in (name, *(f"{name}.{port}" for port in service["ports"] if port))]

    def _split(self, name: str) -> t.Optional[tuple[str, str]]:
        """(service, port's name, "" if not said), None if it is no service."""
        service, _dot, port = name.partition(".")
        return (service, port) if name in self._services() else None

    def _networks_of_map(self) -> Data:
        """As written: those that no policy names are not in the plan's networks, but people may ask from them."""
        return t.cast(Data, self._plan["port_map"].get("networks") or {})

    def _host(self, name: str) -> list[_Place]:
        return [_Place(name, ipaddress.ip_network(address), name) for _version, address in sorted(self._ends.addresses(name).items())]

    def _service_places(self, option: str, name: str) -> list[_Place]:
        service = self._plan["services"][name.partition(".")[0]]
        found = [place for host in service["hosts"] for place in self._host(host)]
        if option == "from":
            return found + [place for network in service["networks"] for place in self._network(network)]
        return found + [self._one(address, f"the address of {name.partition('.')[0]}") for address in service["addresses"]]

    def _network(self, name: str) -> list[_Place]:
        if name == ANYWHERE:
            return [_Place(ANYWHERE, ipaddress.ip_network(cidr)) for cidr in ("0.0.0.0/0", "::/0")]
        return [self._one(cidr, f"network {name}") for cidr in self._plan["networks"].get(name) or self._members(name)]

    def _members(self, name: str, within: tuple[str, ...] = ()) -> list[str]:
        """The addresses of a network that no policy names, as they stand in the map; [] if it names hosts, whose groups no plan knows."""
        stated = self._networks_of_map().get(name)
        found: list[str] = []
        for member in stated if isinstance(stated, list) else [stated]:
            if not isinstance(member, str):
                return []
            inner = self._plan["networks"].get(member)
            if inner is None and member in self._networks_of_map() and member not in within:
                inner = self._members(member, (*within, name))
            found += [member] if inner is None else inner
        return found

    def _address(self, text: str) -> list[_Place]:
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            return []
        if network.prefixlen == network.max_prefixlen and usable(network.network_address) is None:
            return []
        called = [name for name, service in self._plan["services"].items() if str(network.network_address) in service["addresses"]]
        return [self._one(str(network), f"the address of {called[0]}" if called else text)]

    def _one(self, cidr: str, label: str) -> _Place:
        """An address that a host has is that host, wherever it was written."""
        network = ipaddress.ip_network(cidr)
        owner = self._owners.get(str(network.network_address)) if network.prefixlen == network.max_prefixlen else None
        return _Place(owner or label, network, owner)

    # the port

    def _resolve_port(self, target: str, port: t.Optional[str], transport: t.Optional[str]) -> tuple[int, str]:
        if transport is not None and transport not in TRANSPORTS:
            self._problem("transport", transport, "must be tcp or udp" + did_you_mean(transport, TRANSPORTS))
        host = target in self._plan["hosts"] or target in self._plan["vantages"]
        called = None if host else self._split(target)  # a host that is called like a service is the host
        if port is None:
            if called is not None:
                return self._port_of(called, transport)
            if self._targets:  # else `to` is the mistake: it may have been a service
                self._problem("port", None, "is missing; only where `to` is a service it is known")
            return 0, "tcp"
        if _NUMBER.fullmatch(port):
            number = int(port)
            if not 1 <= number <= 65535:
                self._problem("port", port, "must be a port from 1 to 65535")
            return number, transport or self._transport_of(called, number)
        called = self._split(port)
        if called is None:
            self._problem("port", port, f"must be a port from 1 to 65535 or a service with a port{did_you_mean(port, self._services())}")
            return 0, "tcp"
        return self._port_of(called, transport)

    def _port_of(self, called: tuple[str, str], transport: t.Optional[str]) -> tuple[int, str]:
        service, name = called
        ports = self._plan["services"][service]["ports"]
        if name not in ports:
            others = ", ".join(f"{service}.{other}" for other in ports)
            self._problem("port", service, "that service has no port of its own (`port: none`): " + (f"say {others} or a number" if others else "say a number"))
            return 0, "tcp"
        self._service = f"{service}.{name}" if name else service
        # A range is asked for by its first port, as the probes do.
        return int(ports[name]["ports"].partition("-")[0]), transport or str(ports[name]["transports"][0])

    def _transport_of(self, called: t.Optional[tuple[str, str]], number: int) -> str:
        """Of a number that is one of the called service's ports: that port's."""
        for port in self._plan["services"][called[0]]["ports"].values() if called else ():
            if _holds(port["ports"], number):
                return str(port["transports"][0])
        return "tcp"

    # the answer

    def _pairs(self) -> list[tuple[_Place, _Place]]:
        return [
            (one, other) for version in (4, 6) for one in self._sources for other in self._targets if one.network.version == other.network.version == version
        ]

    def answer(self) -> Data:
        ways = [self._way(source, target) for source, target in self._pairs() if source.host or target.host]
        verdicts = {way["verdict"] for way in ways}
        return {
            "from": self._asked["from"],
            "to": self._asked["to"],
            "port": self._port,
            "transport": self._transport,
            "service": self._service,
            "verdict": verdicts.pop() if len(verdicts) == 1 else "mixed",
            "ways": ways,
            "missing": self._missing(),
        }

    def _missing(self) -> list[Data]:
        """Hosts and networks with addresses of one family only. Who asked by an address asked for that one."""
        families: dict[str, set[int]] = {}
        for option, places in (("from", self._sources), ("to", self._targets)):
            if not _is_address(self._asked[option]):
                for place in places:
                    families.setdefault(place.label, set()).add(place.network.version)
        return [{"name": label, "family": "v6" if found == {4} else "v4"} for label, found in families.items() if len(found) == 1]

    def _way(self, source: _Place, target: _Place) -> Data:
        itself = source.host is not None and source.host == target.host
        egress = self._end(EGRESS, source, target, itself)
        ingress = self._end(INGRESS, target, source, itself)
        listeners = self._listeners(target)
        return {
            "family": f"v{source.network.version}",
            "from": source.as_data(),
            "to": target.as_data(),
            "itself": itself,
            "verdict": _verdict(egress, ingress),
            "egress": egress,
            "ingress": ingress,
            "listeners": listeners,
            "elsewhere": [] if listeners or itself else self._elsewhere(target),
        }

    def _end(self, way: str, here: _Place, peer: _Place, itself: bool) -> Data:
        """What the policy at one end says, about the whole of the peer: of a network that address counts that fares worst."""
        policy = self._ends.policy(here.host)
        if policy is None:
            return {"judged": False, "passes": True, "part": False, "reason": self._unjudged(here.host), "rule": None, "candidates": []}
        naming = [rule for rule in _rules(policy, way) if any(self._port in span for span in rule.ports)]
        own = str(here.network.network_address)
        ask = self._ends.leaves if way == EGRESS else self._ends.enters
        verdicts: list[Verdict] = []
        for address in _samples(peer.network, [network for rule in naming for name in rule.networks for network in policy.networks[name]]):
            ends = (own, address) if way == EGRESS else (address, own)
            verdict = ask(here.host, *ends, self._transport, self._port, itself)
            verdicts += [verdict] if verdict is not None else []  # never None: there is a policy
        worst = next((verdict for verdict in verdicts if not verdict.accept), verdicts[0])
        return {
            "judged": True,
            "passes": worst.accept,
            "part": any(verdict.accept != worst.accept for verdict in verdicts),
            "reason": worst.reason,
            "rule": _rule(worst.rule) if worst.rule else None,
            "candidates": [] if worst.accept else [self._candidate(policy, way, rule, here, peer) for rule in naming],
        }

    def _unjudged(self, host: t.Optional[str]) -> str:
        if host is None:
            return "not in the inventory"
        return "no policy: nothing is filtered" if host in self._plan["hosts"] else "not managed: no policy of ours"

    def _candidate(self, policy: Policy, way: str, rule: Rule, here: _Place, peer: _Place) -> Data:
        """A rule that names the port and does not help; near: what alone keeps it from doing so."""
        if rule.transport != self._transport:
            near = "transport" if _alone(policy, way, rule, here, peer, self._port) else ""
        else:
            families = {network.version for name in rule.networks for network in policy.networks[name]}
            near = "network" if peer.network.version in families else "family"
        return {**_rule(rule), "near": near, "addresses": {name: [_short(network) for network in policy.networks[name]] for name in rule.networks}}

    # who listens

    def _listeners(self, target: _Place) -> list[Data]:
        if target.host not in self._plan["hosts"]:
            return []
        return [
            {
                "name": listener["name"],
                "bind": listener["bind"],
                "required": listener["required"],
                "reached": listener["bind"] == "any" or target.address in listener["bind"],
                "origin": listener["origin"],
            }
            for listener in self._plan["hosts"][target.host]["listeners"]
            if listener["transport"] == self._transport and _holds(listener["ports"], self._port)
        ]

    def _elsewhere(self, target: _Place) -> list[Data]:
        """Where the map expects this port, for somebody who asked for the wrong host or transport."""
        return [
            {"host": host, "name": listener["name"], "transport": listener["transport"]}
            for host, entry in self._plan["hosts"].items()
            for listener in entry["listeners"]
            if _holds(listener["ports"], self._port) and (listener["transport"] == self._transport or host == target.host)
        ]


def _verdict(egress: Data, ingress: Data) -> str:
    """half: one policy lets it pass and the other does not, so that nothing gets through; an end without policy is no half."""
    if egress["passes"] and ingress["passes"]:
        return "open"
    return "half" if egress["judged"] and ingress["judged"] and egress["passes"] != ingress["passes"] else "closed"


def _rules(policy: Policy, way: str) -> tuple[Rule, ...]:
    return policy.egress if way == EGRESS else policy.ingress


def _rule(rule: Rule) -> Data:
    return {
        "name": rule.name,
        "transport": rule.transport,
        "ports": [str(span) for span in rule.ports],
        "networks": list(rule.networks),
        "origin": rule.origin,
    }


def _alone(policy: Policy, way: str, rule: Rule, here: _Place, peer: _Place, port: int) -> bool:
    """Whether a rule would let it pass if the question were of the rule's transport."""
    only = replace(policy, ingress=(rule,) if way == INGRESS else (), egress=(rule,) if way == EGRESS else ())
    own, other = str(here.network.network_address), str(peer.network.network_address)
    if way == EGRESS:
        return decide(only, Packet("output", own, other, rule.transport, port)).accept
    return decide(only, Packet("input", other, own, rule.transport, port)).accept


def _samples(network: Network, cutting: t.Iterable[Network]) -> list[str]:
    """Addresses of a network, one of each part that a policy could treat otherwise: it is cut where others begin and end in it."""
    first, last = int(network.network_address), int(network.broadcast_address)
    cuts = {first}
    for other in cutting:
        if other.version == network.version:
            cuts.update({int(other.network_address), int(other.broadcast_address) + 1})
    make = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
    return [str(make(number)) for number in sorted(cuts) if first <= number <= last]


def _short(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _holds(ports: str, port: int) -> bool:
    lo, _dash, hi = ports.partition("-")
    return int(lo) <= port <= int(hi or lo)
