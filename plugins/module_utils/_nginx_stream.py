# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream part of nginx's configuration: entrypoints that pass on connections or datagrams. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

At an entrypoint with TLS the first server reads the name that a client asks for and decodes nothing. It judges the client's address,
and hands the connection to the backend, or to a second server of ours on a unix socket that ends TLS: servers of one port can be told
apart by that name only from nginx 1.25.5 on, and then not mixed with those that leave TLS alone.
"""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._nginx_binary import STREAM_PACKAGES
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_client import mapping
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_context import (
    CONNECT,
    LONG,
    Context,
    Data,
    address_range,
    certificate_of,
    listen,
    real_ip,
    server_address,
    tls_settings,
    upstream,
)
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_words import Lines, block, constant, directive, ident
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import ProxyError

UDP_SILENCE = "1m"  # after that a client's next datagram may go to another backend
# Not what can be told apart by name, or what nginx passes on as requests.
PROTOCOLS = ("tcp", "tls", "redis", "ssh", "postgresql", "http", "https", "websocket", "grpc")


class Stream:
    """One rendering."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.shared: Lines = []
        self.servers: Lines = []

    def render(self) -> Lines:
        """All of it; nothing where there is no such entrypoint."""
        tcp, udp = self.context.entrypoints("tcp"), self.context.entrypoints("udp")
        if not tcp and not udp:
            return []
        binary = self.context.host.binary
        first = next(iter({**tcp, **udp}))
        if not binary.stream:
            raise ProxyError(f"ingress.entrypoints.{first}.protocol", "tcp" if tcp else "udp", f"needs nginx's stream module: install {STREAM_PACKAGES}")
        for name, entrypoint in tcp.items():
            if entrypoint["tls"] and not binary.stream_tls:
                raise ProxyError(f"ingress.entrypoints.{name}.tls", True, "needs nginx's stream_ssl and stream_ssl_preread modules, and this one has not both")
            self._tcp_tls(name, entrypoint) if entrypoint["tls"] else self._plain(name, entrypoint)
        for name, entrypoint in udp.items():
            self._plain(name, entrypoint)
        settings = [
            directive("map_hash_bucket_size", "512"),
            directive("variables_hash_bucket_size", "256"),
            directive("variables_hash_max_size", "4096"),
            directive("proxy_timeout", LONG),
            directive("proxy_connect_timeout", f"{CONNECT}s"),
            directive("tcp_nodelay", "on"),
        ]
        if self.context.host.certificates and binary.stream_tls:
            settings += [*tls_settings(self.context), directive("ssl_session_cache", "shared:portmap_stream_sessions:2m")]
        return [*settings, *self.shared, *self.servers]

    def _listen(self, name: str, entrypoint: Data, *words: str) -> Lines:
        front = entrypoint["proxies_in_front"]
        known = bool(front and front["proxy_protocol"])
        lines = listen(self.context, entrypoint["port"], *words, *(["proxy_protocol"] if known else []))
        return lines + real_ip(front, f"ingress.entrypoints.{name}.proxies_in_front.trusted")

    def _plain(self, name: str, entrypoint: Data) -> None:
        """An entrypoint without names has one route."""
        udp = entrypoint["protocol"] == "udp"
        routes = self.context.routes_at(name)
        if len(routes) != 1:
            raise ProxyError(f"ingress.entrypoints.{name}", sorted(routes), "must have exactly one route: nothing tells several apart there")
        for route_name, route in routes.items():
            self._check(route_name, route)
            lines = self._listen(name, entrypoint, *(["udp"] if udp else []))
            if route["allow"] and udp:
                raise ProxyError(f"ingress.routes.{route_name}.allow", route["allow"], "can't be kept for udp: senders can be made up")
            if route["allow"]:
                path = f"ingress.routes.{route_name}.allow"
                lines += [directive("allow", address_range(one, path)) for one in route["allow"]] + [directive("deny", "all")]
            lines += [directive("proxy_timeout", UDP_SILENCE)] if udp else []
            self.servers += block(["server"], [*lines, directive("proxy_pass", self._target(route_name, route))])

    def _tcp_tls(self, name: str, entrypoint: Data) -> None:
        """Routes told apart by the name that the client asks for."""
        by_name: list[tuple[str, str]] = []
        for route_name, route in self.context.routes_at(name).items():
            path = f"ingress.routes.{route_name}"
            self._check(route_name, route)
            if route["protocol"] == "postgresql":
                raise ProxyError(f"{path}.protocol", "postgresql", "with tls is Traefik's alone: its clients begin without TLS and then ask for it")
            target = self._target(route_name, route)
            if not route.get("passthrough"):
                target = self._ending(name, route_name, route, target)
            if route["allow"]:
                allowed = f"$portmap_allow_{ident(route_name)}"
                networks = [directive(network, "1") for network in dict.fromkeys(address_range(one, f"{path}.allow") for one in route["allow"])]
                self.shared += block(["geo", allowed], [directive("default", "0"), *networks])
                # Not by geo at once: it gives a variable's name and not what that one is.
                led = f"$portmap_led_{ident(route_name)}"
                self.shared += mapping(allowed, led, [("1", target), ("default", "")])
                target = led
            by_name.append((route["host"].lower(), target))
        variable = f"$portmap_stream_{ident(name)}"
        # No such name: no target, and the connection ends.
        self.shared += mapping("$ssl_preread_server_name", variable, [*by_name, ("default", "")])
        self.servers += block(["server"], [*self._listen(name, entrypoint), directive("ssl_preread", "on"), directive("proxy_pass", variable)])

    def _ending(self, name: str, route_name: str, route: Data, target: str) -> str:
        """A server that ends TLS for a route; the name of the group that leads to it."""
        if not self.context.host.certificates:
            raise ProxyError(f"ingress.entrypoints.{name}.tls", True, "needs a certificate (tls.certificates): nginx makes none by itself")
        # A socket's path may have 107 bytes: a route's name is too long for that.
        socket = f"unix:{self.context.host.run_dir}/{hashlib.sha256(route_name.encode()).hexdigest()[:16]}.sock"
        group = f"portmap_tls_{ident(route_name)}"
        self.shared += upstream(self.context, group, [constant(socket, "run_dir")])
        lines = [directive("listen", constant(socket, "run_dir"), "ssl"), *certificate_of(self.context, route["host"]), directive("proxy_pass", target)]
        self.servers += block(["server"], lines)
        return group

    def _check(self, name: str, route: Data) -> None:
        path = f"ingress.routes.{name}"
        for key in ("rate_limit", "auth", "sticky"):
            if route.get(key):
                raise ProxyError(f"{path}.{key}", route[key], "is for http routes: a connection has no requests, passwords or cookies that a proxy could see")

    def _target(self, name: str, route: Data) -> str:
        """The group of a route's backends, or the variable that shares connections out between them and the canary's."""
        path = f"ingress.routes.{name}"
        canary = route.get("canary")
        pools = [("", route), *([("_canary", canary)] if canary else [])]
        groups = []
        for suffix, pool in pools:
            backends = pool["backends"]
            checked = bool(pool.get("health")) and len(backends) > 1
            failing = f"max_fails=1 fail_timeout={self.context.options.health_interval}s" if checked else "max_fails=0"
            groups.append(f"portmap_route_{ident(name)}{suffix}")
            self.shared += upstream(self.context, groups[-1], [f"{server_address(one, f'{path}.backends')} {failing}" for one in backends])
        if not canary:
            return groups[0]
        variable = f"$portmap_to_{ident(name)}"
        self.shared += block(["split_clients", '"$remote_addr:$remote_port:$msec"', variable], [f"{canary['weight']}% {groups[1]};", f"* {groups[0]};"])
        return variable


def doors(ingress: Data) -> t.Iterator[tuple[str, int]]:
    """Where nginx listens for the world: transport and port."""
    for entrypoint in ingress["entrypoints"].values():
        yield ("udp" if entrypoint.get("protocol") == "udp" else "tcp", entrypoint["port"])
        if entrypoint.get("http3"):
            yield ("udp", entrypoint["port"])
