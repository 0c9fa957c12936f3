# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy's part of a plan: entrypoints, rate limits and routes with the backends that the proxy's own host connects to.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._model import Entrypoint, Port, Route, Service, Span
from ansible_collections.alfred.portmap.plugins.plugin_utils._placement import PROXY, Placement
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Problems

MAINTENANCE = "maintenance"  # the port of `proxy` at which the page is served


def plan_ingress(placement: Placement, host: str, problems: Problems) -> t.Optional[dict[str, t.Any]]:
    """The data that configures the proxy on one host; None where it does not run."""
    port_map = placement.map
    if host not in placement.proxy_hosts():
        return None
    proxy = port_map.services[PROXY]
    api = _own_port(placement, host, proxy.ports[""], problems)
    if api is not None and api["address"] != "127.0.0.1":
        rule = "the proxy's API shows every password's hash and is served on loopback only: write `bind: loopback`"
        problems.error(port_map.places.origin(proxy.ports[""].bind_path), proxy.ports[""].bind, rule)
    routes: dict[str, t.Any] = {}
    for route in port_map.routes.values():
        if route.auth is not None and route.auth not in placement.host(host).users:
            known = ", ".join(sorted(placement.host(host).users)) or "none"
            problems.error(route.auth_origin, route.auth, f"host {host} has no such list of users in port_map_users (there: {known})")
        routes[route.name] = _route(placement, host, route, problems)
    return {
        "proxy": port_map.ingress,
        "container": proxy.container,
        "api": api,
        "maintenance": _page_server(placement, host, proxy, problems),
        "metrics": next((_own_port(placement, host, port, problems) for port in proxy.ports.values() if port.name and port.metrics), None),
        "entrypoints": {entrypoint.name: _entrypoint(placement, entrypoint) for entrypoint in port_map.entrypoints.values()},
        "rate_limits": {limit.name: {"average": limit.average, "burst": limit.burst} for limit in port_map.rate_limits.values()},
        "routes": routes,
    }


def check_unplanned(placement: Placement, problems: Problems) -> None:
    """Note what is wrong with routes of a proxy that gets no plan: it runs in a cluster, or on hosts that are not managed."""
    port_map = placement.map
    proxy = port_map.services.get(PROXY)
    if proxy is None:
        return
    users = {name for host in placement.inventory.hosts.values() for name in host.users}
    unmanaged = [host for host in placement.proxy_hosts() if not placement.host(host).managed]
    for route in port_map.routes.values():
        if proxy.cluster is not None and route.auth is not None and route.auth not in users:
            known = ", ".join(sorted(users)) or "none"
            problems.error(route.auth_origin, route.auth, f"no host of this inventory has such a list of users in port_map_users (there: {known})")
        for service_name, port_name in route.targets:
            service = port_map.services[service_name]
            for host in [None] if proxy.cluster is not None else unmanaged:
                backends(placement, host, route, service, service.ports[port_name], problems)


def _own_port(placement: Placement, host: str, port: Port, problems: Problems) -> t.Optional[dict[str, t.Any]]:
    """Where one of the proxy's own ports listens: "" is every address. The proxy takes one address for each of them."""
    if port.span is None:
        return None
    bound = placement.bind(host, port)
    if isinstance(bound, str):
        return {"address": "127.0.0.1" if bound == "loopback" else "", "port": port.span.lo}
    if len(bound) > 1:
        rule = f"the proxy listens on one address here, and host {host} has {', '.join(bound)} in that network: name one that holds one of them"
        problems.error(placement.map.places.origin(port.bind_path), port.bind, rule)
    return {"address": bound[0], "port": port.span.lo} if bound else None


def _page_server(placement: Placement, host: str, proxy: Service, problems: Problems) -> t.Optional[dict[str, t.Any]]:
    """Where the maintenance page is served to the proxy itself: its port of that name. Traefik can't answer with a page of its own."""
    port = proxy.ports.get(MAINTENANCE)
    own = _own_port(placement, host, port, problems) if port is not None else None
    if port is not None and (own is None or own["address"] != "127.0.0.1"):
        rule = "the maintenance page is for the proxy itself alone, which shows it: write `bind: loopback`"
        problems.error(placement.map.places.origin(port.bind_path), port.bind, rule)
    return own


def _entrypoint(placement: Placement, entrypoint: Entrypoint) -> dict[str, t.Any]:
    target = placement.map.entrypoints.get(entrypoint.redirect_to or "")
    front = entrypoint.proxies_in_front
    return {
        "port": entrypoint.port,
        "protocol": entrypoint.protocol,
        "tls": entrypoint.tls,
        "http3": entrypoint.http3,
        "redirect_to": {"entrypoint": target.name, "port": target.port} if target else None,
        "proxies_in_front": None
        if front is None
        else {
            "trusted": list(placement.networks(front.networks)),
            "depth": front.depth,
            "proxy_protocol": front.proxy_protocol,
            "terminates_tls": front.terminates_tls,
        },
    }


def _route(placement: Placement, host: str, route: Route, problems: Problems) -> dict[str, t.Any]:
    service = placement.map.services[route.service]
    port = service.ports[route.port]
    return {
        "host": route.host,
        "path": route.path,
        "entrypoint": route.entrypoint,
        "tls": placement.map.entrypoints[route.entrypoint].tls,
        "protocol": port.protocol,
        "dashboard": route.dashboard,
        "backends": [] if route.dashboard else backends(placement, host, route, service, port, problems),
        "canary": _canary(placement, host, route, problems),
        "sticky": route.sticky,
        "passthrough": route.passthrough,
        "rate_limit": route.rate_limit,
        "auth": route.auth,
        "allow": list(placement.networks(route.networks)) if route.networks else None,
        "health": port.health,
        "origin": str(route.origin),
    }


def _canary(placement: Placement, host: str, route: Route, problems: Problems) -> t.Optional[dict[str, t.Any]]:
    if route.canary is None:
        return None
    service = placement.map.services[route.canary.service]
    port = service.ports[route.canary.port]
    found = backends(placement, host, route, service, port, problems)
    return {"weight": route.canary.weight, "protocol": port.protocol, "health": port.health, "backends": found}


def backends(placement: Placement, host: t.Optional[str], route: Route, service: Service, port: Port, problems: Problems) -> list[dict[str, t.Any]]:
    """Where the proxy on `host` (None: in its cluster) connects for a port of a service; one that it can't reach is an error.

    The service's own `address`; else, on the proxy's host, 127.0.0.1 or the bound address, and between containers
    the service's name and container port; else the first address of each host that carries it. Within a cluster
    Kubernetes knows: [].
    """
    cluster = placement.map.services[PROXY].cluster

    def unreachable(rule: str) -> list[dict[str, t.Any]]:
        where = f"on {host}" if host is not None else f"in cluster {cluster}"
        problems.error(route.origin, port.label, f"the proxy {where} can't reach {port.label}: {rule}")
        return []

    if port.span is not None and port.span.lo != port.span.hi:
        return unreachable("a range of ports is no backend")
    if cluster is not None and service.cluster == cluster:
        return [] if port.span or port.container_port else unreachable("it has no port")
    if service.addresses:
        if port.span is None:
            return unreachable("it has an address and no port there")
        return [{"address": service.addresses[0], "port": port.span.lo}]
    if service.cluster is not None:
        return unreachable(f"it runs in cluster {service.cluster} and has no `address` outside it")
    found: list[dict[str, t.Any]] = []
    for carrier in placement.carriers(service):
        backend = _backend(placement, host, carrier, service, port)
        if isinstance(backend, str):
            return unreachable(backend)
        found += [] if backend is None else [backend]
    return found


def _backend(placement: Placement, host: t.Optional[str], carrier: str, service: Service, port: Port) -> t.Union[dict[str, t.Any], str, None]:
    """One backend, or the reason why there is none; None if it has no known address, which the placement says."""
    contained = placement.map.services[PROXY].container
    if carrier == host and contained and service.container:
        inner: t.Optional[Span] = port.container_port or port.span
        if inner is not None and inner.lo != inner.hi:
            return "a range of ports is no backend"
        return {"address": service.name, "port": inner.lo} if inner else "it has no port in its container network"
    if port.span is None:
        return "it has no port on its host, and is no container beside the proxy"
    if port.bind == "loopback":
        if carrier != host:
            return f"it listens on loopback only, on {carrier}"
        if contained:
            return "a container does not reach the loopback of its host"
        return {"address": "127.0.0.1", "port": port.span.lo}
    bound = placement.bind(carrier, port)
    if carrier == host and not contained:
        return {"address": "127.0.0.1" if isinstance(bound, str) or not bound else bound[0], "port": port.span.lo}
    if isinstance(bound, str):
        placement.addresses(carrier, port.origin)
        bound = placement.host(carrier).addresses
    return {"address": bound[0], "port": port.span.lo} if bound else None
