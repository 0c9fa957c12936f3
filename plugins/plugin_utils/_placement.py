# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The port map put on the hosts of one inventory: who carries what, under which addresses, and where two things clash.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.plugin_utils._inventory import Host, Inventory
from ansible_collections.alfred.portmap.plugins.plugin_utils._model import Port, PortMap, Service, Span
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Origin, Path, Problems, did_you_mean

PROXY = "proxy"
ANYWHERE = ("0.0.0.0/0", "::/0")

IPNetwork = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


def address_order(cidr: str) -> tuple[int, int, int]:
    """Sort key: IPv4 before IPv6, then by address, then the wider network first."""
    network = ipaddress.ip_network(cidr)
    return (network.version, int(network.network_address), network.prefixlen)


@dataclass(frozen=True)
class Resolved:
    """A network's addresses, and the hosts that it names (not those that merely lie in one of its CIDRs)."""

    addresses: tuple[str, ...]
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """One socket that a host is expected to have: a service's port or an entrypoint."""

    label: str
    transport: str
    span: Span
    bind: t.Union[str, tuple[str, ...]]  # "any", "loopback" or the host's own addresses
    container: bool
    owner: tuple[str, ...]  # patterns for who must hold it
    protocol: str
    port: t.Optional[Port]  # None: an entrypoint
    origin: Origin

    def clashes(self, other: Claim) -> bool:
        """Whether both can't listen on one host: same transport, overlapping ports, overlapping addresses (bind(2), EADDRINUSE)."""
        if self.transport != other.transport or not self.span.overlaps(other.span):
            return False
        if "any" in (self.bind, other.bind):
            return True
        if isinstance(self.bind, str) or isinstance(other.bind, str):
            return self.bind == other.bind
        return bool(set(self.bind) & set(other.bind))


class Placement:
    """Answers every question about hosts and addresses; each name is resolved, and complained of, once."""

    def __init__(self, port_map: PortMap, inventory: Inventory, problems: Problems, addresses_final: bool = True) -> None:
        """addresses_final: False where facts may still bring addresses; a host without one is then a notice, no error."""
        self.map = port_map
        self.inventory = inventory
        self.problems = problems
        self._addresses_final = addresses_final
        self._networks: dict[str, Resolved] = {}
        self._carriers: dict[str, tuple[str, ...]] = {}
        self._without_address: set[str] = set()  # hosts of which it has been said

    # hosts

    def host(self, name: str) -> Host:
        """The host of that name."""
        return self.inventory.hosts[name]

    def resolve(self, names: t.Iterable[str], path: Path) -> tuple[str, ...]:
        """Hosts behind the names of groups and hosts at a path, in order and once each; unknown and empty ones are errors."""
        found: dict[str, None] = {}
        for name in names:
            members = self.inventory.find(name)
            if members is None:
                rule = f"no group or host of this inventory is called that{did_you_mean(name, self.inventory.names())}"
                self.problems.error(self.map.places.origin_of(path, name), name, rule)
            elif not members:
                self.problems.error(self.map.places.origin_of(path, name), name, "no host of this inventory is in that group")
            else:
                found.update(dict.fromkeys(members))
        return tuple(found)

    def carriers(self, service: Service) -> tuple[str, ...]:
        """The inventory hosts that a service runs on: () in a cluster and for services outside the inventory."""
        if service.name not in self._carriers:
            self._carriers[service.name] = self._find_carriers(service)
        return self._carriers[service.name]

    def _find_carriers(self, service: Service) -> tuple[str, ...]:
        if service.cluster is not None:
            return ()
        if service.hosts is not None:
            return self.resolve(service.hosts, ("services", service.name, "hosts"))
        group = service.name.replace("-", "_")
        members = self.inventory.find(group)
        if not members:
            rule = f"has no `hosts`, and this inventory has no hosts in a group {group!r} either: say where it runs"
            self.problems.error(service.origin, None, rule)
        return members or ()

    def proxy_hosts(self) -> tuple[str, ...]:
        """The hosts that run the proxy; () without one."""
        proxy = self.map.services.get(PROXY)
        return self.carriers(proxy) if proxy else ()

    # addresses

    def addresses(self, host: str, origin: Origin) -> tuple[str, ...]:
        """Where a host is reached or seen from; one that has no address though `origin` needs it is an error, told once."""
        found = self.host(host)
        if not found.addresses and not found.refused and host not in self._without_address:
            self._without_address.add(host)
            rule = f"needs an address of host {host}, and none is known: set port_map_addresses there, or gather its facts"
            (self.problems.error if self._addresses_final else self.problems.notice)(origin, None, rule)
        return found.sources

    def host_addresses(self, hosts: t.Iterable[str], origin: Origin) -> tuple[str, ...]:
        """All addresses of these hosts, sorted, once each."""
        return tuple(sorted({address for host in hosts for address in self.addresses(host, origin)}, key=address_order))

    def network(self, name: str) -> Resolved:
        """The addresses of a network of the map; whatever it refers to is resolved now, and only now."""
        if name == "anywhere":
            return Resolved(ANYWHERE, ())
        if name not in self._networks:
            self._networks[name] = Resolved((), ())  # the builder refuses loops; this only keeps a partial map from recursing
            addresses: set[str] = set()
            hosts: dict[str, None] = {}
            network = self.map.networks.get(name)
            for member in network.members if network else ():
                if member.cidr is not None:
                    addresses.add(member.cidr)
                elif member.network is not None:
                    inner = self.network(member.network)
                    addresses.update(inner.addresses)
                    hosts.update(dict.fromkeys(inner.hosts))
                else:
                    named = self.resolve(member.hosts, (*member.path, "hosts"))
                    hosts.update(dict.fromkeys(named))
                    addresses.update(self.host_addresses(named, member.origin))
            self._networks[name] = Resolved(tuple(sorted(addresses, key=address_order)), tuple(hosts))
        return self._networks[name]

    def networks(self, names: t.Iterable[str]) -> tuple[str, ...]:
        """All addresses of several networks, sorted, once each."""
        return tuple(sorted({address for name in names for address in self.network(name).addresses}, key=address_order))

    # listeners

    def bind(self, host: str, port: Port) -> t.Union[str, tuple[str, ...]]:
        """The expected listening address of a port on a host: "any", "loopback", or the host's own addresses in a network."""
        if port.bind in ("any", "loopback"):
            return port.bind
        if port.bind not in self.map.networks:
            return ()  # broken, which has been said
        wide = [ipaddress.ip_network(cidr) for cidr in self.network(port.bind).addresses]
        origin = self.map.places.origin(port.bind_path)
        self.addresses(host, origin)
        known = self.host(host).addresses
        own = tuple(address for address in known if any(_inside(address, network) for network in wide))
        if known and not own:
            self.problems.error(origin, port.bind, f"host {host} has no address in that network")
        return own

    def claims(self, host: str) -> list[Claim]:
        """Every socket that the map expects on a host, in the order of the map."""
        found: list[Claim] = []
        for service in self.map.services.values():
            if host not in self.carriers(service):
                continue
            for port in service.ports.values():
                if port.span is not None:
                    bind = self.bind(host, port)
                    for transport in port.transports:
                        found.append(Claim(port.label, transport, port.span, bind, service.container, port.owner, port.protocol, port, port.origin))
        if host in self.proxy_hosts():
            proxy = self.map.services[PROXY]
            for entrypoint in self.map.entrypoints.values():
                span = Span(entrypoint.port, entrypoint.port)
                for transport in entrypoint.transports:
                    protocol = entrypoint.protocol if transport == "tcp" else "udp"
                    label, owner = f"entrypoint {entrypoint.name}", proxy.ports[""].owner
                    found.append(Claim(label, transport, span, "any", proxy.container, owner, protocol, None, entrypoint.origin))
        return found

    def find_conflicts(self) -> None:
        """Note every pair that can't listen on one host, once, with all hosts where they meet."""
        pairs: dict[tuple[Claim, Claim], list[str]] = {}
        for host in self.inventory.hosts:
            claims = sorted(self.claims(host), key=lambda claim: (claim.transport, claim.span, claim.label))
            for index, one in enumerate(claims):
                for other in claims[index + 1 :]:
                    if other.span.lo > one.span.hi or other.transport != one.transport:
                        break  # sorted by first port: nothing further on can overlap
                    if one.clashes(other):
                        first, second = sorted((one, other), key=lambda claim: (claim.origin.file, claim.origin.line))
                        pairs.setdefault((first, second), []).append(host)
        for (first, second), hosts in pairs.items():
            where = f" in environment {self.map.environment}" if self.map.environment else ""
            rule = (
                f"conflict on {', '.join(hosts)}{where}: {second.label} and {first.label} both listen on {_ports(second)}"
                f" ({first.label} is at {first.origin.file}:{first.origin.line})"
            )
            self.problems.error(second.origin, str(second.span), rule)


def _ports(claim: Claim) -> str:
    return f"{claim.span}/{claim.transport}"


def _inside(address: str, network: IPNetwork) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.version == network.version and parsed in network
