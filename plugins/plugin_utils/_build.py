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
from ansible_collections.alfred.portmap.plugins.plugin_utils._merge import Merged, check_environment, merge
from ansible_collections.alfred.portmap.plugins.plugin_utils._model import (
    HTTP_PROTOCOLS,
    Cluster,
    EgressRule,
    Entrypoint,
    Firewall,
    IngressRule,
    Network,
    NetworkMember,
    Port,
    PortMap,
    ProxiesInFront,
    RateLimit,
    Route,
    Scrape,
    Service,
    Span,
)
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Path, Problems, did_you_mean
from ansible_collections.alfred.portmap.plugins.plugin_utils._shapes import Context, Shape, address_problem
from ansible_collections.alfred.portmap.plugins.plugin_utils._source import Source, load

PROXY = "proxy"
UDP_ONLY = frozenset({"ntp", "udp"})
EITHER = frozenset({"dns"})
Data = dict[str, t.Any]


def compile_map(documents: list[dict[str, str]], environment: t.Optional[str]) -> tuple[t.Optional[PortMap], Problems]:
    """Read, check and merge the files of a map for one environment.

    documents: the main file first, each {path, text}. All problems come back at once. The map is as complete as they
    allow, with broken parts left out; None if the main file can't be read at all.
    """
    problems = Problems()
    parsed = [load(document, problems) for document in documents]
    main = parsed[0] if parsed else None
    if main is None:
        return None, problems
    fragments = [document for document in parsed[1:] if document is not None]
    spec.MAIN.check(main.data, (), Context(main, problems))
    for fragment in fragments:
        spec.FRAGMENT.check(fragment.data, (), Context(fragment, problems))
    check_environment([main, *fragments], environment, problems)
    return _Builder(merge(main, fragments, environment, problems), environment, problems).build(), problems


def _listed(value: t.Any) -> list[t.Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def span(value: t.Union[int, str]) -> Span:
    """A port or range, already checked, as a Span."""
    lo, _dash, hi = str(value).partition("-")
    return Span(int(lo), int(hi or lo))


class _Builder:
    def __init__(self, merged: Merged, environment: t.Optional[str], problems: Problems) -> None:
        self._merged = merged
        self._data = merged.data
        self._environment = environment
        self._problems = problems
        self._known = {section: set(self._data[section]) for section in ("networks", "clusters", "services", "entrypoints", "rate_limits", "routes")}
        self._known["networks"].add("anywhere")
        self._off: set[tuple[str, str]] = set()  # (section, name) that is not enabled

    # helpers

    def _error(self, path: Path, value: t.Any, rule: str) -> None:
        self._problems.error(self._merged.origin(path), value, rule)

    def _notice(self, path: Path, value: t.Any, rule: str) -> None:
        self._problems.notice(self._merged.origin(path), value, rule)

    def _sound(self, shape: Shape, value: t.Any) -> bool:
        """Whether a value has its shape; why not was said when its file was checked."""
        return shape.check(value, (), Context(Source(""), Problems()))

    def _section(self, section: str, shape: Shape) -> dict[str, Data]:
        """The sound, enabled members of a section, in the order of the map."""
        found = {}
        for name, item in self._data[section].items():
            if isinstance(item, dict) and item.get("enabled", True) is False:
                self._off.add((section, name))
            elif self._sound(shape, item):
                found[name] = item
        return found

    def _refer(self, section: str, name: str, path: Path, what: str) -> bool:
        """Whether a name can be used: an unknown one is an error, a disabled one a notice."""
        if name not in self._known[section]:
            self._error(path, name, f"there is no {what} of that name{did_you_mean(name, self._known[section])}")
            return False
        if (section, name) in self._off:
            self._notice(path, name, f"that {what} is not enabled: this falls away")
            return False
        return True

    def _networks(self, value: t.Any, path: Path) -> tuple[str, ...]:
        found = []
        for index, name in enumerate(_listed(value)):
            here = (*path, index) if isinstance(value, list) else path
            if name in self._known["networks"]:
                found.append(name)
            elif name in self._known["services"]:
                self._error(here, name, "is a service, and this names networks: who inside may call a service goes under its own `from`")
            else:
                self._error(here, name, f"there is no network of that name{did_you_mean(name, self._known['networks'])}")
        return tuple(found)

    # the map

    def build(self) -> PortMap:
        """The typed map."""
        ingress = self._data.get("ingress", "none")
        if ingress not in ("traefik", "nginx"):
            ingress = "none"
        if ingress == "none" and PROXY in self._data["services"]:
            self._off.add(("services", PROXY))
        services_data = self._section("services", spec.SERVICE)
        if ingress == "none":
            services_data.pop(PROXY, None)
        elif PROXY not in self._known["services"] or ("services", PROXY) in self._off:
            self._error(("ingress",), ingress, "needs a service `proxy`: its hosts run the proxy")
        networks = self._build_networks()
        clusters = {
            name: Cluster(name, self._networks(item["addresses"], ("clusters", name, "addresses")), self._merged.origin(("clusters", name)))
            for name, item in self._section("clusters", spec.CLUSTER).items()
        }
        firewall_data = self._data.get("firewall", "none")
        same_namespace = isinstance(firewall_data, dict) and isinstance(firewall_data.get("internal"), dict) and firewall_data["internal"].get("same_namespace") == "allow"
        services = {name: self._service(name, item, same_namespace) for name, item in services_data.items()}
        self._callers(services)
        self._everywhere(services)
        limits = {
            name: RateLimit(name, item["average"], item.get("burst", item["average"]), self._merged.origin(("rate_limits", name)))
            for name, item in self._section("rate_limits", spec.RATE_LIMIT).items()
        }
        entrypoints = self._build_entrypoints() if ingress != "none" else {}
        routes = self._build_routes(services, entrypoints) if ingress != "none" else {}
        return PortMap(
            environment=self._environment,
            domain=self._data.get("domain"),
            ingress=ingress,
            networks=networks,
            clusters=clusters,
            services=services,
            entrypoints=entrypoints,
            rate_limits=limits,
            routes=routes,
            firewall=self._build_firewall(firewall_data, services),
            origin=self._merged.origin(()),
            data={key: value for key, value in self._data.items() if value != {}},
        )

    def _build_networks(self) -> dict[str, Network]:
        found = {"anywhere": Network("anywhere", (), self._merged.origin(("networks",)))}
        for name, value in self._data["networks"].items():
            if not self._sound(spec.NETWORK, value):
                continue
            path: Path = ("networks", name)
            members = tuple(self._member(item, (*path, index) if isinstance(value, list) else path) for index, item in enumerate(_listed(value)))
            if name == "anywhere":
                if {member.cidr for member in members} != {"0.0.0.0/0", "::/0"}:
                    self._error(path, None, "`anywhere` is 0.0.0.0/0 and ::/0 and nothing else: give your network another name")
                continue
            found[name] = Network(name, tuple(member for member in members if member is not None), self._merged.origin(path))
        self._refuse_loops(found)
        return found

    def _member(self, item: t.Any, path: Path) -> NetworkMember:
        origin = self._merged.origin(path)
        if isinstance(item, dict):
            return NetworkMember(None, None, tuple(_listed(item["hosts"])), origin)
        if address_problem(item, single=False) is None:
            network = ipaddress.ip_network(item)
            return NetworkMember(str(network.network_address) if network.num_addresses == 1 else str(network), None, (), origin)
        self._networks(item, path)
        return NetworkMember(None, item, (), origin)

    def _refuse_loops(self, networks: dict[str, Network]) -> None:
        done: set[str] = set()

        def visit(name: str, trail: tuple[str, ...]) -> None:
            if name in trail:
                loop = (*trail[trail.index(name) :], name)
                self._error(("networks", name), None, f"refers to itself: {' -> '.join(loop)}")
            elif name not in done and name in networks:
                for member in networks[name].members:
                    if member.network is not None:
                        visit(member.network, (*trail, name))
                done.add(name)

        for name in networks:
            visit(name, ())

    # services

    def _service(self, name: str, item: Data, same_namespace: bool) -> Service:
        path: Path = ("services", name)
        namespace = None if item["namespace"] == "none" else item["namespace"]
        cluster = item.get("cluster")
        if cluster is not None and not self._refer("clusters", cluster, (*path, "cluster"), "cluster"):
            cluster = None
        if item.get("cluster") is not None and name in self._merged.stated_hosts:
            self._error((*path, "hosts"), None, "a service runs on hosts or in a cluster, not both")
        if item.get("cluster") is not None and namespace is None:
            self._error((*path, "cluster"), item["cluster"], "needs a namespace: pods are found by theirs")
        hosts = None if item.get("hosts") is None or item.get("cluster") is not None else tuple(_listed(item["hosts"]))
        addresses = tuple(str(ipaddress.ip_address(address)) for address in _listed(item.get("address")))
        if hosts is not None and "none" in hosts:
            if len(hosts) > 1:
                self._error((*path, "hosts"), None, "none stands alone")
            if not addresses:
                self._error((*path, "hosts"), "none", "a service outside the inventory needs an `address`")
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
            hosts_origin=self._merged.origin((*path, "hosts") if name in self._merged.stated_hosts else path),
        )

    def _port(self, service: str, name: str, item: Data, parent: Data, namespace: t.Optional[str], same_namespace: bool) -> Port:
        path: Path = ("services", service, "ports", name) if name else ("services", service)
        named = set(_listed(item.get("transport", "tcp")))
        transports = tuple(transport for transport in ("tcp", "udp") if transport in named)
        metrics = item.get("metrics", name == "metrics")
        protocol = item.get("protocol", "http" if metrics else transports[0])
        self._fits(protocol, transports, path)
        health = item.get("health")
        if health is not None and protocol not in HTTP_PROTOCOLS:
            self._error((*path, "health"), health, f"a health path is asked by HTTP, and this port speaks {protocol}")
        bind = item.get("bind", parent["bind"])
        if bind not in ("any", "loopback") and bind not in self._known["networks"]:
            self._error((*path, "bind"), bind, f"must be any, loopback or a network{did_you_mean(bind, ['any', 'loopback', *self._known['networks']])}")
            bind = "any"
        elif bind == "anywhere":
            self._error((*path, "bind"), bind, "must be any, loopback or a network: any is what you mean")
            bind = "any"
        stated = item.get("from", parent.get("from"))
        if stated is None:
            callers = ("namespace",) if same_namespace and namespace is not None else ()
        else:
            callers = self._callers_of(_listed(stated), namespace, (*path, "from") if "from" in item else ("services", service, "from"))
        container_port = item.get("container_port")
        port_path = (*path, "port")
        return Port(
            service=service,
            name=name,
            span=None if item["port"] == "none" else span(item["port"]),
            transports=transports,
            protocol=protocol,
            health=health,
            container_port=None if container_port is None else span(container_port),
            bind=bind,
            callers=callers,
            callers_stated=stated is not None,
            metrics=metrics,
            origin=self._merged.origin(port_path),
        )

    def _fits(self, protocol: str, transports: tuple[str, ...], path: Path) -> None:
        if protocol not in spec.PROTOCOLS:
            near = difflib.get_close_matches(protocol, spec.PROTOCOLS, n=1, cutoff=0.8)
            if near:
                self._notice((*path, "protocol"), protocol, f"is probed as plain {transports[0]}, did you mean {near[0]!r}?")
            return
        needs = "udp" if protocol in UDP_ONLY else "tcp"
        if protocol not in EITHER and needs not in transports:
            self._error((*path, "protocol"), protocol, f"runs over {needs}, and the port's transport is {', '.join(transports)}")

    def _callers_of(self, names: list[str], namespace: t.Optional[str], path: Path) -> tuple[str, ...]:
        if "none" in names:
            if len(names) > 1:
                self._error(path, None, "none stands alone")
            return ()
        found = []
        for name in names:
            if name in ("self", "namespace"):
                if name == "namespace" and namespace is None:
                    self._error(path, name, "the service has no namespace")
                    continue
                found.append(name)
            elif name in self._known["networks"] and name not in self._known["services"]:
                self._error(path, name, "is a network, and this names services: use firewall.ingress with `service`")
            elif self._refer("services", name, path, "service"):
                found.append(name)
        return tuple(found)

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

    # ingress

    def _build_entrypoints(self) -> dict[str, Entrypoint]:
        items = self._section("entrypoints", spec.ENTRYPOINT)
        found = {}
        for name, item in items.items():
            path: Path = ("entrypoints", name)
            target = item.get("redirect_to")
            if target is not None:
                if not self._refer("entrypoints", target, (*path, "redirect_to"), "entrypoint"):
                    target = None
                elif target in items and not items[target].get("tls", False):
                    self._error((*path, "redirect_to"), target, "a redirect goes to an entrypoint with `tls: true`")
                    target = None
            found[name] = Entrypoint(name, item["port"], item.get("tls", False), target, self._in_front(item, path), self._merged.origin((*path, "port")))
        return found

    def _in_front(self, item: Data, path: Path) -> t.Optional[ProxiesInFront]:
        value = item.get("proxies_in_front")
        if value is None:
            return None
        here = (*path, "proxies_in_front")
        details = value if isinstance(value, dict) else {"network": value}
        networks = self._networks(details["network"], here)
        if "anywhere" in networks:
            self._error(here, "anywhere", "everybody's word about the client can't count: name the proxies' addresses")
        return ProxiesInFront(
            networks, details.get("depth", 1), details.get("proxy_protocol", False), details.get("terminates_tls", False), self._merged.origin(here)
        )

    def _build_routes(self, services: dict[str, Service], entrypoints: dict[str, Entrypoint]) -> dict[str, Route]:
        found: dict[str, Route] = {}
        taken: dict[tuple[str, str, str], Route] = {}
        for name, item in self._section("routes", spec.ROUTE).items():
            route = self._route(name, item, services, entrypoints)
            if route is None:
                continue
            first = taken.setdefault((route.entrypoint, route.host, route.path), route)
            if first is not route:
                rule = f"route {first.name} ({first.origin.file}:{first.origin.line}) has the same entrypoint, host and path"
                self._error(("routes", name), f"{route.host}{route.path}", rule)
            found[name] = route
        return found

    def _route(self, name: str, item: Data, services: dict[str, Service], entrypoints: dict[str, Entrypoint]) -> t.Optional[Route]:
        path: Path = ("routes", name)
        host, domain = item["host"], self._merged.domains.get(name)
        if "." not in host:
            if not isinstance(domain, str):
                self._error((*path, "host"), host, "has no dot, and the file names no `domain` to complete it")
            else:
                host = f"{host}.{domain}"
        service_name, _dot, port_name = item["service"].partition(".")
        sound = self._refer("services", service_name, (*path, "service"), "service")
        service = services.get(service_name) if sound else None
        if service is not None and port_name not in service.ports:
            self._error((*path, "service"), item["service"], f"service {service_name} has no port {port_name!r}{did_you_mean(port_name, service.ports)}")
            service = None
        dashboard = service_name == PROXY and not port_name
        if service is not None and not dashboard and service.ports[port_name].protocol not in HTTP_PROTOCOLS:
            self._error((*path, "service"), item["service"], f"a route carries HTTP, and that port speaks {service.ports[port_name].protocol}")
        entrypoint = self._entrypoint(item, path, entrypoints)
        limit = item.get("rate_limit")
        if limit is not None and not self._refer("rate_limits", limit, (*path, "rate_limit"), "rate limit"):
            limit = None
        networks = self._networks(item.get("from"), (*path, "from"))
        if service is None or entrypoint is None:
            return None
        auth = item.get("auth", False)
        named = "default" if auth is True else (auth or None)
        return Route(
            name, host, item.get("path", "/"), service_name, port_name, dashboard, entrypoint, limit, named, networks, self._merged.origin((*path, "service"))
        )

    def _entrypoint(self, item: Data, path: Path, entrypoints: dict[str, Entrypoint]) -> t.Optional[str]:
        stated = item.get("entrypoint")
        if stated is not None:
            return stated if self._refer("entrypoints", stated, (*path, "entrypoint"), "entrypoint") else None
        targets = list(dict.fromkeys(entrypoint.redirect_to for entrypoint in entrypoints.values() if entrypoint.redirect_to in entrypoints))
        candidates = targets or list(entrypoints)
        if len(candidates) == 1:
            return candidates[0]
        if self._known["entrypoints"] == set(entrypoints):  # else a broken entrypoint has said so already
            listed = f": choose one of {', '.join(str(name) for name in candidates)}" if candidates else ": there is none"
            self._error((*path, "entrypoint"), None, f"needs an entrypoint{listed}")
        return None

    # firewall

    def _build_firewall(self, data: t.Any, services: dict[str, Service]) -> t.Optional[Firewall]:
        if not isinstance(data, dict):
            return None
        internal = data["internal"] if isinstance(data.get("internal"), dict) else {}
        egress = data.get("egress")
        ping = data.get("ping", "anywhere")
        path: Path = ("firewall",)
        return Firewall(
            ingress=tuple(self._ingress_rules(data.get("ingress"), services)),
            egress=None if egress == "allow" else tuple(self._egress_rules(egress)),
            same_namespace=internal.get("same_namespace") == "allow",
            same_namespace_origin=self._merged.origin((*path, "internal", "same_namespace")),
            scrape=self._scrape(internal.get("scrape"), services),
            ping=() if ping == "none" or not self._sound(spec.NETWORK_NAMES, ping) else self._networks(ping, (*path, "ping")),
            origin=self._merged.origin(path),
        )

    def _rules(self, listed: t.Any, shape: Shape, at: Path) -> t.Iterator[tuple[Path, Data]]:
        names: dict[str, Path] = {}
        for index, rule in enumerate(listed if isinstance(listed, list) else ()):
            path = (*at, index)
            if not self._sound(shape, rule):
                continue
            first = names.setdefault(rule["name"], path)
            if first != path:
                self._error((*path, "name"), rule["name"], f"rule {self._merged.origin(first)} has the same name")
            if rule.get("enabled", True):
                yield path, rule

    def _ingress_rules(self, listed: t.Any, services: dict[str, Service]) -> t.Iterator[IngressRule]:
        for path, rule in self._rules(listed, spec.INGRESS_RULE, ("firewall", "ingress")):
            networks = self._networks(rule["from"], (*path, "from"))
            if ("port" in rule) == ("service" in rule):
                self._error(path, rule["name"], "has either `port` or `service`" + (", not both" if "port" in rule else ""))
                continue
            if "service" in rule and "transport" in rule:
                self._error((*path, "transport"), None, "`service` brings its own transport")
            if "anywhere" in networks and "hosts" not in rule and "service" not in rule:
                self._error(path, rule["name"], "opens a port of every host to everybody: name its `hosts`, or a `service`")
            targets = tuple(self._targets(rule.get("service"), services, (*path, "service")))
            if "service" in rule and not targets:
                continue
            yield IngressRule(rule["name"], networks, targets, *self._ports_of(rule), self._hosts_of(rule), self._merged.origin(path))

    def _targets(self, value: t.Any, services: dict[str, Service], path: Path) -> t.Iterator[tuple[str, str]]:
        for index, label in enumerate(_listed(value)):
            here = (*path, index) if isinstance(value, list) else path
            name, _dot, port = label.partition(".")
            if not self._refer("services", name, here, "service") or name not in services:
                continue
            found = services[name].ports.get(port)
            if found is None:
                self._error(here, label, f"service {name} has no port {port!r}{did_you_mean(port, services[name].ports)}")
            elif found.span is None:
                self._error(here, label, "has no port on its host")
            else:
                yield name, port

    def _egress_rules(self, listed: t.Any) -> t.Iterator[EgressRule]:
        for path, rule in self._rules(listed, spec.EGRESS_RULE, ("firewall", "egress")):
            networks = self._networks(rule["to"], (*path, "to"))
            yield EgressRule(rule["name"], networks, *self._ports_of(rule), self._hosts_of(rule), self._merged.origin(path))

    def _ports_of(self, rule: Data) -> tuple[tuple[Span, ...], tuple[str, ...]]:
        if "port" not in rule:
            return (), ()
        named = set(_listed(rule.get("transport", "tcp")))
        return tuple(span(port) for port in _listed(rule["port"])), tuple(transport for transport in ("tcp", "udp") if transport in named)

    def _hosts_of(self, rule: Data) -> t.Optional[tuple[str, ...]]:
        return tuple(_listed(rule["hosts"])) if "hosts" in rule else None

    def _scrape(self, value: t.Any, services: dict[str, Service]) -> t.Optional[Scrape]:
        path: Path = ("firewall", "internal", "scrape")
        if not isinstance(value, dict) or not self._sound(spec.SCRAPE, value):
            return None
        if not self._refer("services", value["from"], (*path, "from"), "service") or value["from"] not in services:
            return None
        return Scrape(value["from"], value.get("path", "/metrics"), self._merged.origin((*path, "from")))
