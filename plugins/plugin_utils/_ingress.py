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


def plan_ingress(placement: Placement, host: str, problems: Problems) -> t.Optional[dict[str, t.Any]]:
    """The data that configures the proxy on one host; None where it does not run."""
    port_map = placement.map
    if host not in placement.proxy_hosts():
        return None
    proxy = port_map.services[PROXY]
    routes: dict[str, t.Any] = {}
    for route in port_map.routes.values():
        if route.auth is not None and route.auth not in placement.host(host).users:
            known = ", ".join(sorted(placement.host(host).users)) or "none"
            place = port_map.places.origin(("routes", route.name, "auth"))
            problems.error(place, route.auth, f"host {host} has no such list of users in port_map_users (there: {known})")
        if route.dashboard and port_map.ingress == "nginx":
            problems.notice(route.origin, None, "the dashboard is Traefik's: this route is left out under nginx")
            continue
        routes[route.name] = _route(placement, host, route, problems)
    return {
        "proxy": port_map.ingress,
        "container": proxy.container,
        "api": _own_port(placement, host, proxy.ports[""], problems),
        "metrics": next((_own_port(placement, host, port, problems) for port in proxy.ports.values() if port.name and port.metrics), None),
        "entrypoints": {entrypoint.name: _entrypoint(placement, entrypoint) for entrypoint in port_map.entrypoints.values()},
        "rate_limits": {limit.name: {"average": limit.average, "burst": limit.burst} for limit in port_map.rate_limits.values()},
        "routes": routes,
    }


def _own_port(placement: Placement, host: str, port: Port, problems: Problems) -> t.Optional[dict[str, t.Any]]:
    """Where one of the proxy's own ports listens: "" is every address. The proxy takes one address for each of them."""
    if port.span is None:
        return None
    bound = placement.bind(host, port)
    if isinstance(bound, str):
        return {"address": "127.0.0.1" if bound == "loopback" else "", "port": port.span.lo}
    if len(bound) > 1:
        rule = f"the proxy listens on one address here, and host {host} has {', '.join(bound)} in that network: name one that holds one of them"
        problems.error(placement.map.places.origin((*port.path, "bind")), port.bind, rule)
    return {"address": bound[0], "port": port.span.lo} if bound else None


def _entrypoint(placement: Placement, entrypoint: Entrypoint) -> dict[str, t.Any]:
    target = placement.map.entrypoints.get(entrypoint.redirect_to or "")
    front = entrypoint.proxies_in_front
    return {
        "port": entrypoint.port,
        "tls": entrypoint.tls,
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
        "rate_limit": route.rate_limit,
        "auth": route.auth,
        "allow": list(placement.networks(route.networks)) if route.networks else None,
        "health": port.health,
        "origin": str(route.origin),
    }


def backends(placement: Placement, host: str, route: Route, service: Service, port: Port, problems: Problems) -> list[dict[str, t.Any]]:
    """Where the proxy on `host` connects for a port of a service; one that it can't reach is an error.

    The service's own `address`; else, on the proxy's host, 127.0.0.1 or the bound address, and between containers
    the service's name and container port; else the first address of each host that carries it.
    """

    def unreachable(rule: str) -> list[dict[str, t.Any]]:
        problems.error(route.origin, port.label, f"the proxy on {host} can't reach {port.label}: {rule}")
        return []

    if port.span is not None and port.span.lo != port.span.hi:
        return unreachable("a range of ports is no backend")
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
        found.append(backend)
    return found


def _backend(placement: Placement, host: str, carrier: str, service: Service, port: Port) -> t.Union[dict[str, t.Any], str]:
    """One backend, or the reason why there is none."""
    contained = placement.map.services[PROXY].container
    if carrier == host and contained and service.container:
        inner: t.Optional[Span] = port.container_port or port.span
        return {"address": service.name, "port": inner.lo} if inner else "it has no port in its container network"
    if port.span is None:
        return "it has no port on its host, and is no container beside the proxy"
    if port.bind == "loopback":
        if carrier != host:
            return f"it listens on loopback only, on {carrier}"
        if contained:
            return "a container does not reach the loopback of its host"
        return {"address": "127.0.0.1", "port": port.span.lo}
    if carrier == host and not contained:
        bound = placement.bind(host, port)
        return {"address": "127.0.0.1" if isinstance(bound, str) or not bound else bound[0], "port": port.span.lo}
    bound = placement.bind(carrier, port)
    addresses = placement.addresses(carrier, port.origin) if isinstance(bound, str) else bound
    return {"address": addresses[0], "port": port.span.lo} if addresses else f"host {carrier} has no known address"
