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
from ansible_collections.alfred.portmap.plugins.plugin_utils._merge import NAMED, Merged, check_environment, merge
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
from ansible_collections.alfred.portmap.plugins.plugin_utils._shapes import Context, Shape, address_problem, is_everybody
from ansible_collections.alfred.portmap.plugins.plugin_utils._source import load

PROXY = "proxy"
UDP_ONLY = frozenset({"ntp", "udp"})
EITHER = frozenset({"dns"})
Data = dict[str, t.Any]


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


def _way_back(ways: t.Mapping[str, t.Iterable[str]], start: str) -> tuple[str, ...]:
    """The shortest way from a name back to itself, without the start and with the end; () if there is none."""
    trails: list[tuple[str, ...]] = [(name,) for name in ways.get(start, ())]
    seen: set[str] = set()
    for trail in trails:
        if trail[-1] == start:
            return trail
        if trail[-1] not in seen:
            seen.add(trail[-1])
            trails += [(*trail, name) for name in ways.get(trail[-1], ())]
    return ()


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
        self._known = {section: set(self._data[section]) for section in NAMED}
        self._known["networks"].add("anywhere")
        self._off: dict[tuple[str, str], str] = {}  # (section, name) of what is absent -> why
        self._built_networks: dict[str, Network] = {}
        self._built_clusters: dict[str, Cluster] = {}
        self._nginx = False  # the ports of `proxy` are the API and metrics, and these are Traefik's

    # helpers

    def _error(self, path: Path, value: t.Any, rule: str) -> None:
        self._problems.error(self._merged.origin(path), value, rule)

    def _wrong(self, path: Path, value: t.Any, rule: str) -> None:
        """An error that leaves out what it is part of."""
        self._error(path, value, rule)
        self._merged.taint(path)

    def _notice(self, path: Path, value: t.Any, rule: str) -> None:
        self._problems.notice(self._merged.origin(path), value, rule)

    def _sound(self, shape: Shape, value: t.Any, path: Path) -> bool:
        """Whether a value has its shape. Its file has been checked; what only the merging made wrong is said here."""
        return path not in self._merged.tainted and shape.check(value, path, Context(self._merged, self._problems))

    def _section(self, section: str, shape: Shape) -> dict[str, Data]:
        """The sound, enabled members of a section, in the order of the map."""
        found = {}
        for name, item in self._data[section].items():
            if isinstance(item, dict) and item.get("enabled", True) is False:
                self._off.setdefault((section, name), "is not enabled")
            elif (section, name) not in self._off and self._sound(shape, item, (section, name)):
                found[name] = item
        return found

    def _refer(self, section: str, name: str, path: Path, what: str) -> bool:
        """Whether a name can be used: an unknown one is an error, one that is off a notice."""
        if name not in self._known[section]:
            self._error(path, name, f"there is no {what} of that name{did_you_mean(name, self._known[section])}")
            return False
        if (section, name) in self._off:
            self._notice(path, name, f"{what} {name} {self._off[section, name]}: this falls away")
            return False
        return True

    def _networks(self, value: t.Any, path: Path) -> tuple[str, ...]:
        found = []
        for index, name in enumerate(_listed(value)):
            here = (*path, index) if isinstance(value, list) else path
            if name in self._known["networks"]:
                found.append(name)
            elif name in self._known["services"]:
                self._error(here, name, "is a service, and this names networks: which service may call another is said by the other's own `from`")
            else:
                near = did_you_mean(name, self._known["networks"])
                self._error(here, name, f"there is no network of that name{near or ' (inventory hosts become one by {hosts: …} under networks)'}")
        return tuple(dict.fromkeys(found))

    def _open_to_all(self, names: t.Iterable[str]) -> bool:
        """Whether the networks, taken together, hold every address of a family."""
        inside = list(names)
        cidrs: list[str] = []
        for name in inside:
            network = self._built_networks.get(name)
            for member in network.members if network else ():
                if member.cidr is not None:
                    cidrs.append(member.cidr)
                elif member.network is not None and member.network not in inside:
                    inside.append(member.network)
        return "anywhere" in inside or is_everybody(cidrs)

    # the map

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

    def _traefiks(self, label: str, path: Path, what: str) -> bool:
        """Whether `service` or `service.port` is the proxy's own and the proxy is nginx: a notice, and this is left out."""
        if self._nginx and label.partition(".")[0] == PROXY:
            self._notice(path, label, f"{what} Traefik's: this is left out under nginx")
            return True
        return False

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
            members = tuple(self._member(item, (*path, index) if isinstance(value, list) else path) for index, item in enumerate(_listed(value)))
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
            return NetworkMember(None, None, tuple(_listed(item["hosts"])), origin, path)
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
            loop = _way_back(inner, start)
            if loop and not looped & set(loop):
                self._error(("networks", start), None, f"is part of itself: {' > '.join((start, *loop))}")
            looped.update(loop)
        for name in looped:
            del networks[name]

    def _build_clusters(self) -> dict[str, Cluster]:
        found = {}
        for name, item in self._section("clusters", spec.CLUSTER).items():
            networks = self._networks(item["addresses"], ("clusters", name, "addresses"))
            if len(networks) == len(set(_listed(item["addresses"]))):
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
        hosts = None if item.get("hosts") is None or cluster is not None else tuple(_listed(item["hosts"]))
        addresses = tuple(dict.fromkeys(str(ipaddress.ip_address(address)) for address in _listed(item.get("address"))))
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
        named = set(_listed(item.get("transport", "tcp")))
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
        for index, name in enumerate([] if value == "none" else _listed(value)):
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

    # ingress

    def _build_entrypoints(self) -> dict[str, Entrypoint]:
        items = self._section("entrypoints", spec.ENTRYPOINT)
        self._drop_redirects({name: item["redirect_to"] for name, item in items.items() if "redirect_to" in item})
        found = {}
        for name, item in items.items():
            path: Path = ("entrypoints", name)
            if ("entrypoints", name) in self._off:
                continue
            target = item.get("redirect_to")
            if target in items and not items[target].get("tls", False):
                self._error((*path, "redirect_to"), target, "a redirect goes to an entrypoint with `tls: true`")
            found[name] = Entrypoint(name, item["port"], item.get("tls", False), target, self._in_front(item, path), self._merged.origin((*path, "port")))
        onward = {name: [entrypoint.redirect_to] for name, entrypoint in found.items() if entrypoint.redirect_to is not None}
        for name in found:
            loop = _way_back(onward, name)
            if loop and name == min((name, *loop)):
                self._error(("entrypoints", name, "redirect_to"), loop[0], f"redirects in a circle: {' > '.join((name, *loop))}")
        return found

    def _drop_redirects(self, targets: dict[str, str]) -> None:
        """A redirect to nothing falls away, and then a redirect to that one, in whatever order they stand."""
        left = dict(targets)
        while True:
            gone = [name for name, target in left.items() if target not in self._known["entrypoints"] or ("entrypoints", target) in self._off]
            for name in gone:
                self._refer("entrypoints", left.pop(name), ("entrypoints", name, "redirect_to"), "entrypoint")
            self._off.update({("entrypoints", name): "redirects to nothing" for name in gone})
            if not gone:
                return

    def _in_front(self, item: Data, path: Path) -> t.Optional[ProxiesInFront]:
        value = item.get("proxies_in_front")
        if value is None:
            return None
        here = (*path, "proxies_in_front")
        networks = self._networks(value["network"], (*here, "network"))
        if self._open_to_all(networks):
            self._error((*here, "network"), value["network"], "is everybody, whose word about the client can't count: name the proxies' addresses")
        return ProxiesInFront(
            networks, value.get("depth", 1), value.get("proxy_protocol", False), value.get("terminates_tls", False), self._merged.origin(here)
        )

    def _build_routes(self, services: dict[str, Service], entrypoints: dict[str, Entrypoint]) -> dict[str, Route]:
        """Every route, and one more for each further host of it: `name`, `name-2`, `name-3`."""
        found: dict[str, Route] = {}
        taken: dict[tuple[str, str, str], str] = {}
        for name, item in self._section("routes", spec.ROUTE).items():
            path: Path = ("routes", name)
            for index, host in enumerate(dict.fromkeys(self._hosts_of_route(name, item))):
                route = self._route(name if not index else f"{name}-{index + 1}", host, item, path, services, entrypoints)
                if route is None:
                    continue
                if index and route.name in self._known["routes"]:
                    self._error((*path, "host"), host, f"its further hosts become route {route.name}, and there is one of that name: rename one")
                    continue
                first = taken.setdefault((route.entrypoint, route.host, route.path.rstrip("/")), name)
                if first != name:
                    origin = self._merged.origin(("routes", first))
                    rule = f"route {first} ({origin.file}:{origin.line}) has the same entrypoint, host and path"
                    self._error(path, f"{route.host}{route.path}", rule)
                found[route.name] = route
        return found

    def _hosts_of_route(self, name: str, item: Data) -> t.Iterator[str]:
        """The complete host names of a route."""
        value = item["host"]
        for index, host in enumerate(_listed(value)):
            here: Path = ("routes", name, "host", index) if isinstance(value, list) else ("routes", name, "host")
            if "." in host:
                yield host
            elif name in self._merged.domains:
                domain = self._merged.domains[name]
                if domain is None:
                    self._error(here, host, "has no dot, and there is no `domain` to complete it")
                elif len(f"{host}.{domain}") > 253:
                    self._error(here, host, f"is too long a name with domain {domain}")
                else:
                    yield f"{host}.{domain}"

    def _route(self, name: str, host: str, item: Data, path: Path, services: dict[str, Service], entrypoints: dict[str, Entrypoint]) -> t.Optional[Route]:
        port = self._route_target(item["service"], path, services)
        entrypoint = self._entrypoint(item, path, entrypoints)
        limit = item.get("rate_limit")
        if limit is not None and not self._refer("rate_limits", limit, (*path, "rate_limit"), "rate limit"):
            port = None
        networks = self._networks(item.get("from"), (*path, "from"))
        if port is None or entrypoint is None or len(networks) < len(set(_listed(item.get("from")))):
            return None
        auth = item.get("auth", False)
        dashboard = port.service == PROXY and not port.name
        if dashboard and not auth and (not networks or self._open_to_all(networks)):
            rule = "is the dashboard, and it shows every password's hash: the route needs `auth`, or `from` with the networks that may see it"
            self._error((*path, "service"), item["service"], rule)
            return None
        return Route(
            name=name,
            host=host,
            path=item.get("path", "/"),
            service=port.service,
            port=port.name,
            dashboard=dashboard,
            entrypoint=entrypoint,
            rate_limit=limit,
            auth="default" if auth is True else (auth or None),
            networks=networks,
            origin=self._merged.origin((*path, "service")),
            auth_origin=self._merged.origin((*path, "auth")),
        )

    def _route_target(self, label: str, path: Path, services: dict[str, Service]) -> t.Optional[Port]:
        """The port that a route leads to; None if it falls away or is wrong."""
        here = (*path, "service")
        name, _dot, port_name = label.partition(".")
        if not self._refer("services", name, here, "service"):
            return None
        owner = self._merged.owners["routes", path[1]]  # type: ignore[index]
        if owner.fragment and self._merged.owners["services", name] is not owner:
            self._error(here, label, "is not of this fragment: a fragment's routes lead to its own services")
            return None
        if name not in services or self._traefiks(label, here, "the dashboard and metrics are"):
            return None  # broken, which has been said, or not there
        port = self._known_port(services[name], port_name, label, here)
        if port is not None and not (name == PROXY and not port_name) and port.protocol not in HTTP_PROTOCOLS:
            self._error(here, label, f"speaks {port.protocol}, and a route needs http, https, grpc or websocket: say so with `protocol`")
            return None
        return port

    def _known_port(self, service: Service, port_name: str, label: str, path: Path) -> t.Optional[Port]:
        port = service.ports.get(port_name)
        if port is None:
            names = [name for name in service.ports if name]
            there = f" (there: {', '.join(names)})" if names else ""
            self._error(path, label, f"service {service.name} has no port {port_name}{did_you_mean(port_name, names) or there}")
        return port

    def _entrypoint(self, item: Data, path: Path, entrypoints: dict[str, Entrypoint]) -> t.Optional[str]:
        stated = item.get("entrypoint")
        if stated is not None:
            return self._usable(stated, (*path, "entrypoint"), entrypoints)
        candidates = self._default_entrypoints()
        there = [name for name in candidates if ("entrypoints", name) not in self._off]
        if len(there or candidates) == 1:
            return self._usable((there or candidates)[0], path, entrypoints)
        if not there and candidates:
            self._notice(path, None, f"no entrypoint is enabled ({', '.join(candidates)}): this falls away")
        elif set(there) <= set(entrypoints):  # else a broken entrypoint has said so already
            self._error(path, None, f"say which `entrypoint`: {', '.join(there)}" if there else "needs an entrypoint, and there is none")
        return None

    def _usable(self, name: str, path: Path, entrypoints: dict[str, Entrypoint]) -> t.Optional[str]:
        known = self._refer("entrypoints", name, path, "entrypoint")
        return name if known and name in entrypoints else None  # a broken one has been complained of

    def _default_entrypoints(self) -> list[str]:
        """Where a route may be that names no entrypoint: at the targets of redirects, those that are off too; else anywhere.

        A target that is off is not made up for by another entrypoint, which may well speak no TLS.
        """
        stated = self._data["entrypoints"]
        enabled = [name for name, item in stated.items() if not (isinstance(item, dict) and item.get("enabled") is False)]
        targets = [stated[name].get("redirect_to") for name in enabled if isinstance(stated[name], dict)]
        return list(dict.fromkeys(target for target in targets if isinstance(target, str) and target in stated)) or enabled or list(stated)

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
        for index, label in enumerate(_listed(value)):
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
        named = set(_listed(rule.get("transport", "tcp")))
        return tuple(span(port) for port in _listed(rule["port"])), tuple(transport for transport in ("tcp", "udp") if transport in named)

    def _hosts_of(self, rule: Data) -> t.Optional[tuple[str, ...]]:
        return tuple(_listed(rule["hosts"])) if "hosts" in rule else None

    def _scrape(self, value: t.Any, services: dict[str, Service]) -> t.Optional[Scrape]:
        path: Path = ("firewall", "internal", "scrape")
        if value is None or not self._sound(spec.SCRAPE, value, path):
            return None
        if not self._refer("services", value["from"], (*path, "from"), "service") or value["from"] not in services:
            return None
        return Scrape(value["from"], value.get("path", "/metrics"), self._merged.origin(path))
