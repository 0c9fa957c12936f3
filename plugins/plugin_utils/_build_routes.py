# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entrypoints and routes of a map: every reference resolved, every combination that no proxy can serve refused.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils import _spec as spec
from ansible_collections.alfred.portmap.plugins.plugin_utils._model import HTTP_PROTOCOLS, Canary, Entrypoint, Port, ProxiesInFront, Route, Service
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Path
from ansible_collections.alfred.portmap.plugins.plugin_utils._references import PROXY, Data, References, listed, way_back


class RouteBuilder(References):
    """Builds them."""

    # entrypoints

    def _build_entrypoints(self) -> dict[str, Entrypoint]:
        items = self._section("entrypoints", spec.ENTRYPOINT)
        self._drop_redirects({name: item["redirect_to"] for name, item in items.items() if "redirect_to" in item})
        found = {}
        for name, item in items.items():
            path: Path = ("entrypoints", name)
            if ("entrypoints", name) in self._off:
                continue
            target = item.get("redirect_to")
            if target in items and (items[target].get("protocol", "http") != "http" or not items[target].get("tls", False)):
                self._error((*path, "redirect_to"), target, "a redirect goes to an http entrypoint with `tls: true`")
            self._refuse_misfits(item, path)
            found[name] = Entrypoint(
                name=name,
                port=item["port"],
                protocol=item.get("protocol", "http"),
                tls=item.get("tls", False),
                http3=item.get("http3", False),
                redirect_to=target,
                proxies_in_front=self._in_front(item, path),
                origin=self._merged.origin((*path, "port")),
            )
        onward = {name: [entrypoint.redirect_to] for name, entrypoint in found.items() if entrypoint.redirect_to is not None}
        for name in found:
            loop = way_back(onward, name)
            if loop and name == min((name, *loop)):
                self._error(("entrypoints", name, "redirect_to"), loop[0], f"redirects in a circle: {' > '.join((name, *loop))}")
        return found

    def _refuse_misfits(self, item: Data, path: Path) -> None:
        """What an entrypoint's protocol has no meaning for."""
        protocol = item.get("protocol", "http")
        impossible = {"http": (), "tcp": ("redirect_to", "http3"), "udp": ("tls", "redirect_to", "http3", "proxies_in_front")}[protocol]
        for key in impossible:
            if item.get(key):
                self._error((*path, key), None, f"is not possible on an entrypoint that speaks {protocol}")
        if protocol == "http" and item.get("http3") and not item.get("tls"):
            self._error((*path, "http3"), True, "HTTP/3 is always encrypted (RFC 9114): the entrypoint needs `tls: true`")
        front = item.get("proxies_in_front")
        if protocol == "http" and front is not None and front.get("proxy_protocol") and front.get("terminates_tls"):
            rule = (
                "is not possible beside proxy_protocol, which puts the client's address in the place of the proxy's: nobody would be left"
                " whose word about https counts"
            )
            self._error((*path, "proxies_in_front", "terminates_tls"), True, rule)
        if protocol == "tcp" and front is not None and (not front.get("proxy_protocol") or front.get("terminates_tls")):
            self._error(
                (*path, "proxies_in_front"), None, "who the client of a connection is only the PROXY protocol tells: write `proxy_protocol: true` alone"
            )

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
        taken: dict[tuple[str, t.Optional[str], str], str] = {}
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
                    if route.host is None:
                        rule = f"route {first} ({origin.file}:{origin.line}) is at entrypoint {route.entrypoint} already, where nothing tells two apart"
                    else:
                        rule = f"route {first} ({origin.file}:{origin.line}) has the same entrypoint, host and path"
                    self._error(path, route.host and f"{route.host}{route.path}", rule)
                found[route.name] = route
        return found

    def _hosts_of_route(self, name: str, item: Data) -> t.Iterator[t.Optional[str]]:
        """The complete host names of a route; None for one that has none."""
        if "host" not in item:
            yield None
        value = item.get("host")
        for index, host in enumerate(listed(value)):
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

    def _route(
        self, name: str, host: t.Optional[str], item: Data, path: Path, services: dict[str, Service], entrypoints: dict[str, Entrypoint]
    ) -> t.Optional[Route]:
        port = self._route_target(item["service"], path, services)
        entrypoint = self._entrypoint(item, path, entrypoints)
        limit = item.get("rate_limit")
        if limit is not None and not self._refer("rate_limits", limit, (*path, "rate_limit"), "rate limit"):
            port = None
        networks = self._networks(item.get("from"), (*path, "from"))
        if port is None or entrypoint is None or len(networks) < len(set(listed(item.get("from")))):
            return None
        auth = item.get("auth", False)
        dashboard = port.service == PROXY and not port.name
        if dashboard and not auth and (not networks or self._open_to_all(networks)):
            rule = "is the dashboard, and it shows every password's hash: the route needs `auth`, or `from` with the networks that may see it"
            self._error((*path, "service"), item["service"], rule)
            return None
        fits = self._fits_http if entrypoints[entrypoint].protocol == "http" else self._fits_stream
        if not fits(item, path, host, port, entrypoints[entrypoint]):
            return None
        return Route(
            name=name,
            host=host,
            path=item.get("path", "/"),
            service=port.service,
            port=port.name,
            dashboard=dashboard,
            entrypoint=entrypoint,
            canary=self._canary(item, path, port, services),
            sticky=item.get("sticky", False),
            passthrough=item.get("passthrough", False),
            rate_limit=limit,
            auth="default" if auth is True else (auth or None),
            networks=networks,
            origin=self._merged.origin((*path, "service")),
            auth_origin=self._merged.origin((*path, "auth")),
        )

    def _fits_http(self, item: Data, path: Path, host: t.Optional[str], port: Port, entrypoint: Entrypoint) -> bool:
        """Whether a route can be at an http entrypoint."""
        good = True
        if host is None:
            good = self._refuse((*path, "host"), None, "is required")
        if item.get("passthrough"):
            good = self._refuse((*path, "passthrough"), True, f"is of entrypoints that speak tcp, and {entrypoint.name} speaks http")
        dashboard = port.service == PROXY and not port.name
        if dashboard:
            for key in ("canary", "sticky"):
                if item.get(key):
                    good = self._refuse((*path, key), None, "is not possible with the proxy's own dashboard")
        elif port.protocol not in HTTP_PROTOCOLS:
            rule = f"speaks {port.protocol}, and a route needs http, https, grpc or websocket: say so with `protocol`"
            rule += ", or give it an entrypoint that speaks tcp or udp"
            good = self._refuse((*path, "service"), item["service"], rule)
        return good

    def _fits_stream(self, item: Data, path: Path, host: t.Optional[str], port: Port, entrypoint: Entrypoint) -> bool:
        """Whether a route can be at an entrypoint that passes connections or datagrams on."""
        protocol, here = entrypoint.protocol, f"entrypoint {entrypoint.name}"
        good = True
        for key in ("path", "rate_limit", "auth", "canary", "sticky"):
            if item.get(key, False) not in (False, "/"):
                good = self._refuse((*path, key), None, f"is of http, and {here} speaks {protocol}")
        if port.service == PROXY and not port.name:
            good = self._refuse((*path, "service"), item["service"], f"is the dashboard, which speaks http, and {here} speaks {protocol}")
        elif protocol not in port.transports:
            good = self._refuse((*path, "service"), item["service"], f"listens on {' and '.join(port.transports)}, and {here} speaks {protocol}")
        if entrypoint.tls and host is None:
            good = self._refuse((*path, "host"), None, f"is required: by the name that clients say in TLS (SNI) {here} tells routes apart")
        if not entrypoint.tls and host is not None:
            good = self._refuse((*path, "host"), host, f"is not possible: without TLS no client says a name, so {here} has one route, without `host`")
        if not entrypoint.tls and item.get("passthrough"):
            good = self._refuse((*path, "passthrough"), True, f"is of TLS, and {here} speaks none")
        if protocol == "udp" and "from" in item:
            good = self._refuse((*path, "from"), None, "is not possible for udp, where senders can be forged: use firewall.ingress for the entrypoint's port")
        if self._nginx and entrypoint.tls and port.protocol == "postgresql":
            rule = "nginx does not know how PostgreSQL begins TLS: use `ingress: traefik`, or an entrypoint without tls (PostgreSQL then speaks TLS itself)"
            good = self._refuse((*path, "service"), item["service"], rule)
        return good

    def _refuse(self, path: Path, value: t.Any, rule: str) -> bool:
        self._error(path, value, rule)
        return False

    def _canary(self, item: Data, path: Path, main: Port, services: dict[str, Service]) -> t.Optional[Canary]:
        """The service that gets a part of the requests; None without one, and if it falls away."""
        stated = item.get("canary")
        if stated is None:
            return None
        here = (*path, "canary")
        port = self._route_target(stated["service"], here, services)
        if port is None:
            return None
        if port.service == PROXY or port.protocol not in HTTP_PROTOCOLS:
            self._error((*here, "service"), stated["service"], "is no service that speaks http, https, grpc or websocket: say so with `protocol`")
            return None
        if port.label == main.label:
            self._error((*here, "service"), stated["service"], "is what the route leads to anyway: name the other service")
            return None
        return Canary(port.service, port.name, stated["weight"])

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
        return self._known_port(services[name], port_name, label, here)

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
        """Where a route may be that names no entrypoint: at the targets of redirects, those that are off too; else at any that speaks http.

        A target that is off is not made up for by another entrypoint, which may well speak no TLS.
        """
        stated = {name: item for name, item in self._data["entrypoints"].items() if not (isinstance(item, dict) and item.get("protocol") in ("tcp", "udp"))}
        enabled = [name for name, item in stated.items() if not (isinstance(item, dict) and item.get("enabled") is False)]
        targets = [stated[name].get("redirect_to") for name in enabled if isinstance(stated[name], dict)]
        return list(dict.fromkeys(target for target in targets if isinstance(target, str) and target in stated)) or enabled or list(stated)
