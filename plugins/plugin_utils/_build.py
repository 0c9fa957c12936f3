# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From merged data to the typed map: every reference that needs no inventory is resolved here, and complained of once.

What is broken is left out and remembered, so that one mistake gives one error.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils import _spec as spec
from ansible_collections.alfred.portmap.plugins.plugin_utils._build_routes import RouteBuilder
from ansible_collections.alfred.portmap.plugins.plugin_utils._merge import NAMED, check_environment, merge
from ansible_collections.alfred.portmap.plugins.plugin_utils._model import (
    HTTP_PROTOCOLS,
    Cluster,
    EgressRule,
    Firewall,
    IngressRule,
    Network,
    NetworkMember,
    Port,
    PortMap,
    RateLimit,
    Scrape,
    Service,
    Span,
)
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Path, Problems, did_you_mean
from ansible_collections.alfred.portmap.plugins.plugin_utils._references import PROXY, Data, listed, way_back
from ansible_collections.alfred.portmap.plugins.plugin_utils._shapes import Context, Shape, address_problem
from ansible_collections.alfred.portmap.plugins.plugin_utils._source import load

UDP_ONLY = frozenset({"ntp", "udp"})
EITHER = frozenset({"dns"})


def compile_map(documents: list[dict[str, str]], environment: t.Optional[str]) -> tuple[t.Optional[PortMap], Problems]:
    """Read, check and merge the files of a map for one environment.

    documents: the main file first, each {path, text}. All problems come back at once. The map is as complete as they allow,
    broken parts left out, so that whoever places it on hosts finds no problems that are mere consequences. It is None if the
    main file can't be read at all, or if the environment is not one of the map's.
    """
    problems = Problems()
    sources = [load(document, problems, fragment=index > 0) for index, document in enumerate(documents)]
    main = sources[0] if sources else None
    if main is None:
        return None, problems
    fragments = [source for source in sources[1:] if source is not None]
    spec.MAIN.check(main.data, (), Context(main, problems))
    for fragment in fragments:
        spec.FRAGMENT.check(fragment.data, (), Context(fragment, problems))
    chosen = check_environment(main, fragments, environment, problems)
    port_map = _Builder(merge(main, fragments, environment if chosen else None, problems), environment, problems).build()
    problems.sort()
    return (port_map if chosen else None), problems


def span(value: t.Union[int, str]) -> Span:
    """A port or range, already checked, as a Span."""
    lo, _dash, hi = str(value).partition("-")
    return Span(int(lo), int(hi or lo))


class _Builder(RouteBuilder):
    def build(self) -> PortMap:
        """The typed map."""
        ingress = self._ingress()
        networks = self._built_networks = self._build_networks()
        services_data = self._section("services", spec.SERVICE)
        clusters = self._built_clusters = self._build_clusters()
        firewall = self._data.get("firewall")
        internal = firewall.get("internal") if isinstance(firewall, dict) else None
        same_namespace = isinstance(internal, dict) and internal.get("same_namespace") == "allow"
        services = {name: self._service(name, item, same_namespace) for name, item in services_data.items()}
        services = {name: service for name, service in services.items() if ("services", name) not in self._merged.tainted}
        self._callers(services)
        self._everywhere(services)
        if ingress == "nginx" and PROXY in services:
            services[PROXY] = self._without_ports(services[PROXY])
        limits = {
            name: RateLimit(name, item["average"], item.get("burst") or item["average"], self._merged.origin(("rate_limits", name)))
            for name, item in self._section("rate_limits", spec.RATE_LIMIT).items()
        }
        entrypoints = self._build_entrypoints() if ingress != "none" else {}
        routes = self._build_routes(services, entrypoints) if ingress != "none" else {}
        return PortMap(
            environment=self._environment,
            domain=self._merged.domain,
            ingress=ingress,
            networks=networks,
            clusters=clusters,
            services=services,
            entrypoints=entrypoints,
            rate_limits=limits,
            routes=routes,
            firewall=self._build_firewall(firewall, services),
            origin=self._merged.origin(()),
            places=self._merged,
            data=self._plain_data(),
        )

    def _ingress(self) -> str:
        """The proxy that is planned. Without one, the service `proxy` is absent."""
        ingress = self._data.get("ingress", "none")
        if not isinstance(ingress, str) or ("ingress",) in self._merged.tainted:
            ingress = "none"
        proxy = self._data["services"].get(PROXY)
        if ingress == "none":
            self._off["services", PROXY] = "is not planned with `ingress: none`"
        elif PROXY not in self._known["services"]:
            self._error(("ingress",), ingress, "needs a service `proxy`: its hosts run the proxy")
            ingress = "none"
        elif isinstance(proxy, dict) and proxy.get("enabled", True) is False:
            self._notice(("ingress",), ingress, "service proxy is not enabled: entrypoints and routes are not planned")
            ingress = "none"
        self._nginx = ingress == "nginx"
        return ingress

    def _without_ports(self, proxy: Service) -> Service:
        return dataclasses.replace(proxy, ports={"": dataclasses.replace(proxy.ports[""], span=None, container_port=None, health=None, metrics=False)})

    def _plain_data(self) -> Data:
        """The merged mapping for users' templates, without what is not enabled."""
        data = {key: value for key, value in self._data.items() if value != {}}
        for section in NAMED:
            if section in data:
                data[section] = {name: item for name, item in data[section].items() if not (isinstance(item, dict) and item.get("enabled") is False)}
        return data

    def _build_networks(self) -> dict[str, Network]:
        found = {"anywhere": Network("anywhere", (), self._merged.origin(("networks",)))}
        for name, value in self._data["networks"].items():
            path: Path = ("networks", name)
            if not self._sound(spec.MEMBERS, value, path):
                continue
            members = tuple(self._member(item, (*path, index) if isinstance(value, list) else path) for index, item in enumerate(listed(value)))
            if path in self._merged.tainted:
                continue
            if name == "anywhere":
                if {member.cidr for member in members} != {"0.0.0.0/0", "::/0"}:
                    self._error(path, None, "`anywhere` is 0.0.0.0/0 and ::/0 and nothing else: give your network another name")
                continue
            found[name] = Network(name, members, self._merged.origin(path))
        self._refuse_loops(found)
        return found

    def _member(self, item: t.Any, path: Path) -> NetworkMember:
        origin = self._merged.origin(path)
        if isinstance(item, dict):
            return NetworkMember(None, None, tuple(listed(item["hosts"])), origin, path)
        if address_problem(item, single=False) is None:
            network = ipaddress.ip_network(item)
            return NetworkMember(str(network.network_address) if network.num_addresses == 1 else str(network), None, (), origin, path)
        if not self._networks(item, path):
            self._merged.taint(path)
        return NetworkMember(None, item, (), origin, path)

    def _refuse_loops(self, networks: dict[str, Network]) -> None:
        """Networks that are part of themselves, each loop said once, at its first network; they are left out."""
        inner = {name: [member.network for member in network.members if member.network is not None] for name, network in networks.items()}
        looped: set[str] = set()
        for start in networks:
            loop = way_back(inner, start)
            if loop and not looped & set(loop):
                self._error(("networks", start), None, f"is part of itself: {' > '.join((start, *loop))}")
            looped.update(loop)
        for name in looped:
            del networks[name]

    def _build_clusters(self) -> dict[str, Cluster]:
        found = {}
        for name, item in self._section("clusters", spec.CLUSTER).items():
            networks = self._networks(item["addresses"], ("clusters", name, "addresses"))
            if len(networks) == len(set(listed(item["addresses"]))):
                found[name] = Cluster(name, networks, self._merged.origin(("clusters", name)))
        return found

    # services

    def _service(self, name: str, item: Data, same_namespace: bool) -> Service:
        path: Path = ("services", name)
        namespace = None if item["namespace"] == "none" else item["namespace"]
        cluster = item.get("cluster")
        if cluster is not None:
            if "hosts" in item:
                self._wrong((*path, "hosts"), None, "a service runs on hosts or in a cluster, not both")
            if namespace is None:
                self._wrong((*path, "cluster"), cluster, "a service in a cluster needs a namespace, and this one has none")
            if not self._refer("clusters", cluster, (*path, "cluster"), "cluster") or cluster not in self._built_clusters:
                self._merged.taint(path)
        hosts = None if item.get("hosts") is None or cluster is not None else tuple(listed(item["hosts"]))
        addresses = tuple(dict.fromkeys(str(ipaddress.ip_address(address)) for address in listed(item.get("address"))))
        if hosts == ("none",):
            if not addresses:
                self._wrong((*path, "hosts"), "none", "a service outside the inventory needs an `address`")
            hosts = ()
        main = self._port(name, "", item, item, namespace, same_namespace)
        ports = {"": main}
        for further, port in item.get("ports", {}).items():
            ports[further] = self._port(name, further, port, item, namespace, same_namespace)
        return Service(
            name=name,
            description=item.get("description", ""),
            namespace=namespace,
            hosts=hosts,
            cluster=cluster,
            addresses=addresses,
            container=item["container"],
            ports=ports,
            origin=self._merged.origin(path),
        )

    def _port(self, service: str, name: str, item: Data, parent: Data, namespace: t.Optional[str], same_namespace: bool) -> Port:
        path: Path = ("services", service, "ports", name) if name else ("services", service)
        named = set(listed(item.get("transport", "tcp")))
        transports = tuple(transport for transport in ("tcp", "udp") if transport in named)
        metrics = item.get("metrics", name == "metrics")
        protocol = item.get("protocol", "http" if metrics else transports[0])
        self._fits(protocol, transports, path)
        health = item.get("health")
        if health is not None and protocol not in HTTP_PROTOCOLS:
            self._error((*path, "health"), health, f"a health path is asked by HTTP, and this port speaks {protocol}")
        own_bind = "bind" in item
        bind = item["bind"] if own_bind else parent["bind"]
        bind_path = (*path, "bind") if own_bind else ("services", service, "bind")
        if bind not in ("any", "loopback") and bind not in self._known["networks"]:
            self._wrong(bind_path, bind, f"must be any, loopback or a network{did_you_mean(bind, ['any', 'loopback', *self._known['networks']])}")
        stated = item.get("from", parent.get("from"))
        if stated is None:
            callers: tuple[str, ...] = ("namespace",) if same_namespace and namespace is not None else ()
            callers_path: Path = ("firewall", "internal", "same_namespace")
        else:
            callers_path = (*path, "from") if "from" in item else ("services", service, "from")
            callers = self._callers_of(stated, namespace, callers_path)
        container_port = item.get("container_port")
        return Port(
            service=service,
            name=name,
            span=None if item["port"] == "none" else span(item["port"]),
            transports=transports,
            protocol=protocol,
            health=health,
            container_port=None if container_port is None else span(container_port),
            bind=bind,
            bind_path=bind_path,
            owner=tuple(dict.fromkeys(listed(item.get("owner", parent.get("owner"))))),
            callers=callers,
            callers_path=callers_path,
            callers_stated=stated is not None,
            metrics=metrics,
            origin=self._merged.origin((*path, "port")),
        )

    def _fits(self, protocol: str, transports: tuple[str, ...], path: Path) -> None:
        if protocol not in spec.PROTOCOLS:
            near = difflib.get_close_matches(protocol, spec.PROTOCOLS, n=1, cutoff=0.75)
            if near:
                self._notice((*path, "protocol"), protocol, f"is probed as plain {transports[0]}, did you mean {near[0]!r}?")
            return
        needs = "udp" if protocol in UDP_ONLY else "tcp"
        if protocol not in EITHER and needs not in transports:
            self._error((*path, "protocol"), protocol, f"runs over {needs}, and the port's transport is {', '.join(transports)}")

    def _callers_of(self, value: t.Any, namespace: t.Optional[str], path: Path) -> tuple[str, ...]:
        found = []
        for index, name in enumerate([] if value == "none" else listed(value)):
            here = (*path, index) if isinstance(value, list) else path
            if name == "namespace" and namespace is None:
                self._error(here, name, "the service has no namespace")
            elif name in ("self", "namespace"):
                found.append(name)
            elif name in self._known["networks"] and name not in self._known["services"]:
                self._error(here, name, "is a network, and this names services: use firewall.ingress with `service`")
            elif self._refer("services", name, here, "service"):
                found.append(name)
        return tuple(dict.fromkeys(found))

    def _callers(self, services: dict[str, Service]) -> None:
        """Callers that turned out broken are not opened for; their own errors say why."""
        for service in services.values():
            for name, port in service.ports.items():
                known = tuple(caller for caller in port.callers if caller in ("self", "namespace") or caller in services)
                if known != port.callers:
                    service.ports[name] = dataclasses.replace(port, callers=known)

    def _everywhere(self, services: dict[str, Service]) -> None:
        """A service on all hosts would draw every host into its namespace."""
        for service in services.values():
            if service.namespace is None or service.hosts is None or "all" not in service.hosts:
                continue
            others = [other.name for other in services.values() if other.namespace == service.namespace and "all" not in (other.hosts or ())]
            if others:
                rule = f"runs on all hosts, and would draw them all into namespace {service.namespace} (with {', '.join(others[:3])}): write `namespace: none`"
                self._error(("services", service.name, "hosts"), "all", rule)

    # firewall

    def _build_firewall(self, data: t.Any, services: dict[str, Service]) -> t.Optional[Firewall]:
        if not isinstance(data, dict):
            return None
        path: Path = ("firewall",)
        internal = data["internal"] if isinstance(data.get("internal"), dict) else {}
        egress, ping = data.get("egress"), data.get("ping", "anywhere")
        if ("firewall", "ping") in self._merged.tainted or ping == "none":
            ping = []
        return Firewall(
            ingress=tuple(self._ingress_rules(data.get("ingress"), services)),
            egress=None if egress == "allow" else tuple(self._egress_rules(egress)),
            same_namespace=internal.get("same_namespace") == "allow",
            scrape=self._scrape(internal.get("scrape"), services),
            ping=self._networks(ping, (*path, "ping")),
            origin=self._merged.origin(path),
        )

    def _rules(self, listed: t.Any, shape: Shape, at: Path) -> t.Iterator[tuple[Path, Data]]:
        """The sound, enabled rules of a list."""
        names: dict[str, Path] = {}
        for index, rule in enumerate(listed if isinstance(listed, list) else ()):
            path = (*at, index)
            name = rule.get("name") if isinstance(rule, dict) else None
            if isinstance(name, str):
                first = names.setdefault(name, path)
                if first != path:
                    self._error((*path, "name"), name, f"a rule of that name is there already: {self._merged.origin(first)}")
            if self._sound(shape, rule, path) and rule.get("enabled", True):
                yield path, rule

    def _ingress_rules(self, listed: t.Any, services: dict[str, Service]) -> t.Iterator[IngressRule]:
        for path, rule in self._rules(listed, spec.INGRESS_RULE, ("firewall", "ingress")):
            networks = self._networks(rule["from"], (*path, "from"))
            if self._open_to_all(networks) and "hosts" not in rule and "service" not in rule:
                self._error((*path, "from"), None, "opens ports of every host to everybody: name its `hosts`, or a `service`")
            targets = tuple(dict.fromkeys(self._targets(rule.get("service"), services, (*path, "service"))))
            if networks and (targets or "service" not in rule):
                yield IngressRule(rule["name"], networks, targets, *self._ports_of(rule), self._hosts_of(rule), self._merged.origin(path), path)

    def _targets(self, value: t.Any, services: dict[str, Service], path: Path) -> t.Iterator[tuple[str, str]]:
        for index, label in enumerate(listed(value)):
            here = (*path, index) if isinstance(value, list) else path
            name, _dot, port_name = label.partition(".")
            if not self._refer("services", name, here, "service") or name not in services or self._traefiks(label, here, "the proxy's own ports are"):
                continue
            port = self._known_port(services[name], port_name, label, here)
            if port is not None and port.span is None:
                self._error(here, label, "has no port on its host (`port: none`), so there is nothing to open")
            elif port is not None:
                yield name, port_name

    def _egress_rules(self, listed: t.Any) -> t.Iterator[EgressRule]:
        for path, rule in self._rules(listed, spec.EGRESS_RULE, ("firewall", "egress")):
            networks = self._networks(rule["to"], (*path, "to"))
            if networks:
                yield EgressRule(rule["name"], networks, *self._ports_of(rule), self._hosts_of(rule), self._merged.origin(path), path)

    def _ports_of(self, rule: Data) -> tuple[tuple[Span, ...], tuple[str, ...]]:
        if "port" not in rule:
            return (), ()
        named = set(listed(rule.get("transport", "tcp")))
        return tuple(span(port) for port in listed(rule["port"])), tuple(transport for transport in ("tcp", "udp") if transport in named)

    def _hosts_of(self, rule: Data) -> t.Optional[tuple[str, ...]]:
        return tuple(listed(rule["hosts"])) if "hosts" in rule else None

    def _scrape(self, value: t.Any, services: dict[str, Service]) -> t.Optional[Scrape]:
        path: Path = ("firewall", "internal", "scrape")
        if value is None or not self._sound(spec.SCRAPE, value, path):
            return None
        if not self._refer("services", value["from"], (*path, "from"), "service") or value["from"] not in services:
            return None
        return Scrape(value["from"], value.get("path", "/metrics"), self._merged.origin(path))
