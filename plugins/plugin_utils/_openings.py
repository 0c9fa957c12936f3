# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements of the map, resolved: these hosts may call these ports of those hosts, because of this line.

Each statement opens both ends on the inventory hosts that it names: out on its sources, in on its targets. Statements only
allow, nothing subtracts, and their order never matters.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t
from dataclasses import astuple, dataclass

from ansible_collections.alfred.portmap.plugins.plugin_utils._model import EgressRule, Firewall, IngressRule, Port, Service, Span
from ansible_collections.alfred.portmap.plugins.plugin_utils._placement import PROXY, Placement, address_order
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Origin, Problems


@dataclass(frozen=True)
class Opening:
    """One statement, resolved. Address sets are named here and listed once, in AddressSets."""

    name: str  # what people call the statement
    transport: str
    ports: tuple[Span, ...]
    sources: tuple[str, ...]  # address sets that targets let in
    source_hosts: tuple[str, ...]  # inventory hosts that are let out
    destinations: tuple[str, ...]  # address sets that source_hosts may call
    targets: tuple[str, ...]  # inventory hosts that let in, those without a plan too
    origin: Origin


class AddressSets:
    """Every set of addresses that a policy names: listed once, shared by all hosts.

    A network of the map keeps its name; made-up sets have a colon, which no name in a map can have.
    """

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self.listed: dict[str, tuple[str, ...]] = {}

    def network(self, name: str) -> str:
        """A network of the map."""
        if name not in self.listed:
            self.listed[name] = self._placement.network(name).addresses
        return name

    def add(self, name: str, addresses: t.Iterable[str]) -> str:
        """A made-up set."""
        if name not in self.listed:
            self.listed[name] = tuple(sorted(set(addresses), key=address_order))
        return name

    def hosts(self, name: str, hosts: t.Iterable[str], origin: Origin) -> str:
        """The set of some hosts' addresses."""
        if name not in self.listed:
            self.listed[name] = self._placement.host_addresses(hosts, origin)
        return name


@dataclass(frozen=True)
class Callers:
    """Who calls: the sets of their addresses, those of them that are inventory hosts, and the clusters that services among them run in."""

    sets: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()

    def __add__(self, other: Callers) -> Callers:
        return Callers(*(tuple(dict.fromkeys(one + more)) for one, more in zip(astuple(self), astuple(other))))


class Openings:
    """Resolves all statements of a map's firewall."""

    def __init__(self, placement: Placement, problems: Problems) -> None:
        self._placement = placement
        self._map = placement.map
        self._problems = problems
        self.sets = AddressSets(placement)
        self.found: list[Opening] = []
        self._let_in: dict[str, dict[str, None]] = {}  # cluster -> ports on hosts that let one of its services in

    def collect(self, firewall: Firewall) -> None:
        """Resolve every statement into `found`, and every set that they name into `sets`."""
        for service in self._map.services.values():
            for port in service.ports.values():
                self._from(service, port)
        for route in self._map.routes.values():
            for service_name, port_name in route.targets:
                service = self._map.services[service_name]
                callers = self._service(PROXY, route.origin)
                # Not named: what the proxy can't reach is said where its backends are planned.
                self._serve(f"route {route.name}", callers, service, service.ports[port_name], route.origin, named=False)
        self._scrape(firewall)
        for rule in firewall.ingress:
            self._ingress(rule)
        for egress in firewall.egress or ():
            self._egress(egress)
        for name in firewall.ping:
            self.sets.network(name)
        for cluster, labels in self._let_in.items():
            listed = ", ".join([*labels][:5]) + (", …" if len(labels) > 5 else "")
            text = f"hosts see cluster {cluster} as one source: what lets one of its services in lets all in ({listed})"
            self._problems.notice(self._map.clusters[cluster].origin, None, text)

    # who calls

    def _service(self, name: str, origin: Origin) -> Callers:
        service = self._map.services.get(name)
        if service is None:
            return Callers()  # broken, which has been said
        if service.cluster is not None:
            return self._cluster(service.cluster)
        hosts = self._placement.carriers(service)
        if not hosts:
            if service.hosts == ():
                rule = f"service {name} runs outside the inventory: name its addresses as a network, and use firewall.ingress with `service`"
                self._problems.error(origin, name, rule)
            return Callers()
        return Callers((self.sets.hosts(f"service:{name}", hosts, origin),), hosts)

    def _namespace(self, namespace: str, origin: Origin) -> Callers:
        members = [service for service in self._map.services.values() if service.namespace == namespace]
        hosts = tuple(dict.fromkeys(host for service in members for host in self._placement.carriers(service)))
        clusters = tuple(dict.fromkeys(service.cluster for service in members if service.cluster is not None))
        callers = Callers((self.sets.hosts(f"namespace:{namespace}", hosts, origin),), hosts) if hosts else Callers()
        for cluster in clusters:
            callers += self._cluster(cluster)
        return callers

    def _cluster(self, name: str) -> Callers:
        return self._networks(self._map.clusters[name].networks) + Callers(clusters=(name,))

    def _networks(self, names: t.Iterable[str]) -> Callers:
        callers = Callers()
        for name in names:
            callers += Callers((self.sets.network(name),), self._placement.network(name).hosts)
        return callers

    # statements

    def _from(self, service: Service, port: Port) -> None:
        origin = self._map.places.origin(port.callers_path)
        callers = Callers()
        for caller in port.callers:
            if caller == "namespace":
                callers += self._namespace(service.namespace, origin) if service.namespace is not None else Callers()
            else:
                name = service.name if caller == "self" else caller
                callers += self._service(name, self._map.places.origin_of(port.callers_path, caller))
        if callers.sets:
            self._serve(port.label, callers, service, port, origin, named=port.callers_stated)

    def _scrape(self, firewall: Firewall) -> None:
        scrape = firewall.scrape
        if scrape is None:
            return
        callers = self._service(scrape.service, self._map.places.origin(("firewall", "internal", "scrape", "from")))
        for service in self._map.services.values():
            for port in service.ports.values():
                if port.metrics:
                    self._serve(f"scrape {port.label}", callers, service, port, scrape.origin)

    def _ingress(self, rule: IngressRule) -> None:
        callers = self._networks(rule.networks)
        only = None if rule.hosts is None else self._placement.resolve(rule.hosts, (*rule.path, "hosts"))
        for name, port_name in rule.targets:
            service = self._map.services[name]
            hosts = self._placement.carriers(service)
            if only and hosts and not set(only) & set(hosts):  # none that is known: said already
                text = f"none of the rule's hosts ({', '.join(only)}) carries service {name}: no host can match"
                self._problems.error(self._map.places.origin((*rule.path, "hosts")), ", ".join(rule.hosts or ()), text)
                continue
            self._serve(rule.name, callers, service, service.ports[port_name], rule.origin, only=only)
        if rule.ports:
            hosts = self._placement.resolve(("all",), (*rule.path, "hosts")) if only is None else only
            self._refuse_loopback(rule, hosts)
            name = "hosts:" + ",".join(sorted(rule.hosts or ("all",)))
            for transport in rule.transports:
                self._open(rule.name, transport, rule.ports, callers, (self.sets.hosts(name, hosts, rule.origin),) if callers.hosts else (), hosts, rule.origin)
            if "tcp" in rule.transports and "udp" not in rule.transports:
                self._http3(rule, callers, hosts)

    def _http3(self, rule: IngressRule, callers: Callers, hosts: tuple[str, ...]) -> None:
        """Who may use an entrypoint's tcp port may use HTTP/3 there: it is the same service by another transport."""
        serving = tuple(host for host in hosts if host in self._placement.proxy_hosts())
        spans = (Span(entrypoint.port, entrypoint.port) for entrypoint in self._map.entrypoints.values() if entrypoint.http3)
        ports = tuple(span for span in spans if any(span.overlaps(opened) for opened in rule.ports))
        if serving and ports:
            name = "hosts:" + ",".join(sorted(serving))
            sets = (self.sets.hosts(name, serving, rule.origin),) if callers.hosts else ()
            self._open(rule.name, "udp", ports, callers, sets, serving, rule.origin)

    def _egress(self, rule: EgressRule) -> None:
        hosts = self._placement.resolve(rule.hosts or ("all",), (*rule.path, "hosts"))
        destinations = tuple(self.sets.network(name) for name in rule.networks)
        for transport in rule.transports:
            self.found.append(Opening(rule.name, transport, rule.ports, (), hosts, destinations, (), rule.origin))

    # both ends

    def _serve(
        self,
        name: str,
        callers: Callers,
        service: Service,
        port: Port,
        origin: Origin,
        named: bool = True,
        only: t.Optional[tuple[str, ...]] = None,
    ) -> None:
        """Open a service's port to callers. named: somebody wrote them down, so what keeps them out is an error."""
        if port.span is None:
            return
        hosts = self._placement.carriers(service)
        if port.bind == "loopback":
            elsewhere = self._elsewhere(callers, hosts)
            if named and hosts and elsewhere:
                need = "its callers need" if name == port.label else f"{name} needs"
                self._problems.error(origin, None, f"{port.label} listens on loopback only, yet {need} it from {', '.join(elsewhere)}")
            return
        targets = hosts if only is None else tuple(host for host in hosts if host in only)
        destinations: tuple[str, ...] = ()
        if callers.hosts:
            if targets:
                label = f"service:{service.name}" if targets == hosts else f"service:{service.name}@{','.join(sorted(targets))}"
                destinations += (self.sets.hosts(label, targets, origin),)
            if service.addresses:
                destinations += (self.sets.add(f"address:{service.name}", service.addresses),)
        if named and service.cluster is not None and not service.addresses:
            outside = callers.hosts and set(callers.sets) - set(self._map.clusters[service.cluster].networks)
            if outside or set(callers.clusters) - {service.cluster}:
                rule = f"{port.label} runs in cluster {service.cluster}: give it the `address` at which clients outside reach it"
                self._problems.error(origin, None, rule)
        if targets:
            for cluster in callers.clusters:
                self._let_in.setdefault(cluster, {})[port.label] = None
        for transport in port.transports:
            self._open(name, transport, (port.span,), callers, destinations, targets, origin)

    def _open(
        self,
        name: str,
        transport: str,
        ports: tuple[Span, ...],
        callers: Callers,
        destinations: tuple[str, ...],
        targets: tuple[str, ...],
        origin: Origin,
    ) -> None:
        self.found.append(Opening(name, transport, ports, callers.sets, callers.hosts, destinations, targets, origin))

    def _elsewhere(self, callers: Callers, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """The callers on other hosts than these, else their networks that hold other addresses."""
        others = tuple(host for host in callers.hosts if host not in hosts)
        own = {address for host in hosts for address in self._placement.host(host).sources}
        return others or tuple(name for name in callers.sets if set(self.sets.listed[name]) - own)

    def _refuse_loopback(self, rule: IngressRule, hosts: tuple[str, ...]) -> None:
        for host in hosts:
            for claim in self._placement.claims(host):
                hit = next((span for span in rule.ports if claim.span.overlaps(span)), None) if claim.transport in rule.transports else None
                if hit is not None and claim.bind == "loopback" and claim.port is not None:
                    others = [one for one in self._placement.claims(host) if one.transport == claim.transport and one.bind != "loopback"]
                    if not any(one.span.overlaps(claim.span) for one in others):
                        text = f"{claim.label} listens on loopback only on {host}, yet the rule opens port {claim.span} to {', '.join(rule.networks)}"
                        self._problems.error(self._map.places.origin_of((*rule.path, "port"), hit), str(hit), text)
