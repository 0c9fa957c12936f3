# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The http part of nginx's configuration: servers for host names, locations for routes, guards in Traefik's order. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

nginx works in phases, whatever order a file has: rewrite, then limits, then passwords, then the content. Traefik's order is
allow list, limit, password. So addresses are judged in the rewrite phase (geo and `return`, not allow and deny, which come with the
passwords), and nothing that comes after the guards may be a `return`, which would answer before them.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
import urllib.parse

from ansible_collections.alfred.portmap.plugins.module_utils._nginx_client import PLAIN, Client, behind, common, mapping
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_context import (
    CONNECT,
    DRAIN,
    LONG,
    RELEASE,
    TREE,
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
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_words import Lines, block, constant, directive, ident, literal, word
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import COMPRESSED, ProxyError, users_of

SCHEMES = {"http": "http", "websocket": "http", "https": "https", "grpc": "grpc"}
RETRY_LATER = "120"  # seconds, what clients are told during maintenance
_CHALLENGE = "/.well-known/acme-challenge/"
_MAINTENANCE = "/.portmap/maintenance"
PAGE_FILE = "maintenance.html"
# What nginx itself answers, as Traefik words it: its own pages name it.
_ANSWERS = {401: "401 Unauthorized", 403: "Forbidden", 404: "404 page not found", 429: "Too Many Requests", 502: "Bad Gateway", 504: "Gateway Timeout"}
# The backend may say these to whoever asks, and not to nginx.
_ACCEL = ("X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset")
CLIENTS_ZONE = "8m"  # 65,536 clients for each limit, as many as Traefik keeps


def users_file(name: str) -> str:
    """The file of a list of users, within the tree."""
    return f"users/{ident(name)}"


class Http:
    """One rendering. Lines of the http block are collected in `shared`, so that each variable is there once."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.options = context.options
        self.entrypoints = context.entrypoints("http")
        self.shared: Lines = []
        self.servers: Lines = []
        self.lists: set[str] = set()  # of users that routes need
        self._clients: dict[str, Client] = {}
        self._made: set[str] = set()

    def render(self) -> Lines:
        """All of it."""
        routes = 0
        for name, entrypoint in self.entrypoints.items():
            self._clients[name] = self._client(name, entrypoint)
        for name, entrypoint in self.entrypoints.items():
            routes += self._entrypoint(name, entrypoint)
        return [*self._settings(routes), *common(), *self.shared, *self.servers]

    def _settings(self, routes: int) -> Lines:
        options = self.options
        lines = [
            directive("server_tokens", "off"),
            directive("default_type", "application/octet-stream"),
            directive("server_names_hash_bucket_size", "512"),
            directive("server_names_hash_max_size", str(1024 + 8 * routes)),
            directive("map_hash_bucket_size", "512"),
            directive("variables_hash_bucket_size", "256"),
            directive("variables_hash_max_size", str(2048 + 16 * routes)),
            # Traefik's own limits: 60 s for a request's head and body to come, 180 s for a connection between two, 1 MiB of headers.
            directive("client_header_timeout", "60s"),
            directive("client_body_timeout", "60s"),
            directive("keepalive_timeout", "180s"),
            # For connections that nothing was sent over since it was said that this worker ends, see _draining().
            *([directive("keepalive_min_timeout", "1s")] if self.context.host.binary.version >= (1, 27, 4) else []),
            directive("large_client_header_buffers", "16", "64k"),
            directive("client_max_body_size", "0"),
            directive("send_timeout", "10m"),
            directive("tcp_nodelay", "on"),
            # Bodies are handed on as they come, both ways: events and long answers are not held back, and nothing lands on the disk.
            directive("proxy_request_buffering", "off"),
            directive("proxy_buffering", "off"),
            directive("proxy_buffer_size", "64k"),
            directive("proxy_buffers", "8", "64k"),  # not used, and held against the one above
            directive("proxy_http_version", "1.1"),
            directive("proxy_redirect", "off"),
            directive("proxy_read_timeout", LONG),
            directive("proxy_send_timeout", LONG),
            directive("proxy_ignore_headers", *_ACCEL, "Expires", "Cache-Control", "Set-Cookie", "Vary"),
            *(directive("proxy_pass_header", header) for header in (*_ACCEL, "Server", "Date")),
            directive("uninitialized_variable_warn", "off"),  # of $portmap_drain, where a request is refused before it is set
            directive("limit_req_status", "429"),
            directive("limit_req_log_level", "warn"),
        ]
        if options.compression:
            lines += [
                directive("gzip", "on"),
                directive("gzip_types", *(kind for kind in COMPRESSED if kind != "text/html")),
                directive("gzip_min_length", "1024"),
                directive("gzip_proxied", "any"),
                directive("gzip_vary", "on"),
                directive("gzip_http_version", "1.0"),
            ]
        if options.access_log:
            lines.append(directive("access_log", "syslog:server=unix:/dev/log,tag=nginx,nohostname", "combined"))
        else:
            lines.append(directive("access_log", "off"))
        if self.context.host.certificates:
            lines += [*tls_settings(self.context), directive("ssl_session_cache", "shared:portmap_sessions:10m")]
        return lines

    def _client(self, name: str, entrypoint: Data) -> Client:
        front = entrypoint["proxies_in_front"]
        # A proxy that speaks the PROXY protocol hands on what its clients say, unread: there nobody's headers are believed.
        if not front or front["proxy_protocol"]:
            return PLAIN
        client, lines = behind(name, front, f"ingress.entrypoints.{name}.proxies_in_front.trusted")
        self.shared += lines
        return client

    # entrypoints

    def _entrypoint(self, name: str, entrypoint: Data) -> int:
        """The servers of an entrypoint; how many routes there are."""
        front = entrypoint["proxies_in_front"]
        target = entrypoint["redirect_to"]
        ends_in_front = bool(front and front["terminates_tls"])
        by_host: dict[str, dict[str, Data]] = {}
        routes = self.context.routes_at(name)
        led_on = self.context.routes_at(target["entrypoint"]) if target else {}
        for route_name, route in {**led_on, **routes}.items():
            own = by_host.setdefault(route["host"].lower(), {})
            own[route_name] = route
        if entrypoint["tls"] and not self.context.host.certificates:
            raise ProxyError(f"ingress.entrypoints.{name}.tls", True, "needs a certificate (tls.certificates): nginx makes none by itself")
        if entrypoint.get("http3") and not self.context.host.binary.http3:
            version = self.context.host.binary.text
            raise ProxyError(f"ingress.entrypoints.{name}.http3", True, f"is not to be had: this nginx ({version}) was built without it, see `nginx -V`")
        self._unknown(name, entrypoint)
        for host, own in by_host.items():
            if target and not ends_in_front:
                body = self._redirecting(target["port"])
            else:
                body = [line for one in self._locations(name, own, redirect=bool(target)) for line in one]
            self.servers += block(
                ["server"],
                [
                    *self._listen(name, entrypoint),
                    directive("server_name", constant(host, "ingress.routes.host")),
                    *(certificate_of(self.context, host) if entrypoint["tls"] else []),
                    *self._answer_headers(entrypoint),
                    *block(["if", "($portmap_unclean)"], [directive("rewrite", "^", "$uri")]),
                    *self._draining(),
                    *([] if entrypoint["tls"] else self._challenges()),
                    *self._own_answers(entrypoint),
                    *(self._maintenance(entrypoint) if any(one in self.options.maintenance for one in own) else []),
                    *body,
                ],
            )
        return len(routes) + len(led_on)

    def _listen(self, name: str, entrypoint: Data, *words: str) -> Lines:
        binary = self.context.host.binary
        front = entrypoint["proxies_in_front"]
        inline = entrypoint["tls"] and binary.http2 and binary.version < (1, 25, 1)
        words = (*words, *(["ssl"] if entrypoint["tls"] else []), *(["http2"] if inline else []))
        lines = listen(self.context, entrypoint["port"], *words, *(["proxy_protocol"] if front and front["proxy_protocol"] else []))
        if entrypoint["tls"] and binary.http2 and not inline:
            lines.append(directive("http2", "on"))
        if entrypoint.get("http3"):
            once = ["default_server", "reuseport"] if "default_server" in words else []
            lines += listen(self.context, entrypoint["port"], "quic", *once)
        lines += real_ip(front, f"ingress.entrypoints.{name}.proxies_in_front.trusted")
        if front and front["proxy_protocol"]:
            lines.append(directive("real_ip_header", "proxy_protocol"))
        return lines

    def _unknown(self, name: str, entrypoint: Data) -> None:
        """Names that no route has get nothing: no handshake, no answer. Without this nginx would hand them to the first server."""
        refused: Lines = []
        if entrypoint["tls"]:
            refused = [directive("ssl_reject_handshake", "on")] if self.context.host.binary.version >= (1, 19, 4) else certificate_of(self.context, None)
        lines = [*self._listen(name, entrypoint, "default_server"), directive("server_name", "_"), *refused, directive("return", "444")]
        self.servers += block(["server"], lines)

    def _draining(self) -> Lines:
        """Whether these workers end soon. They then say so with each answer, so that clients send the next request over a new connection.

        A worker that ends closes kept connections at once, and a request that is on its way there would be lost.
        """
        mark = constant(f"{self.context.host.run_dir}/{DRAIN}", "run_dir").strip('"')
        return [directive("set", "$portmap_drain", '""'), *block(["if", f'(-f "{mark}{RELEASE}" )'], [directive("set", "$portmap_drain", "yes")])]

    def _redirecting(self, port: int) -> Lines:
        """To https at the public port. 301 lets a client change the method, so it is for GET alone, as Traefik has it."""
        there = "https://$host$request_uri" if port == 443 else f"https://$host:{port}$request_uri"
        return block(
            ["location", "/"],
            [*block(["if", "($request_method = GET)"], [directive("return", "301", there)]), directive("return", "308", there)],
        )

    def _challenges(self) -> Lines:
        webroot = self.context.host.acme_webroot
        if not webroot:
            return []
        lines = [directive("root", constant(webroot, "acme_webroot")), directive("default_type", "text/plain"), directive("try_files", "$uri", "=404")]
        return block(["location", "^~", _CHALLENGE], lines)

    def _own_answers(self, entrypoint: Data) -> Lines:
        """The texts of nginx's own answers. The backends' answers are theirs."""
        lines: Lines = []
        for code, text in _ANSWERS.items():
            lines.append(directive("error_page", str(code), f"@portmap_{code}"))
            retry = self._answer_headers(entrypoint, ("Retry-After", '"1"')) if code == 429 else []
            lines += block(["location", f"@portmap_{code}"], [*retry, directive("default_type", "text/plain"), directive("return", str(code), f'"{text}"')])
        return lines

    def _answer_headers(self, entrypoint: Data, *more: tuple[str, str]) -> Lines:
        """Headers of every answer. A location with any of its own forgets those of the server: it says all of them again."""
        pairs = [(name, literal(value, f"headers.{name}")) for name, value in self.options.headers.items()]
        if entrypoint.get("http3"):
            pairs.append(("Alt-Svc", f"'h3=\":{entrypoint['port']}\"; ma=2592000'"))
        pairs.append(("Connection", "$portmap_close"))  # none where it is empty
        return [directive("add_header", word(name), value, "always") for name, value in [*pairs, *more]]

    def _maintenance(self, entrypoint: Data) -> Lines:
        """The page that routes in maintenance answer with."""
        lines = [
            directive("internal"),
            directive("alias", f"{TREE}/{PAGE_FILE}"),
            directive("default_type", '"text/html; charset=utf-8"'),
            directive("etag", "off"),
            *self._answer_headers(entrypoint, ("Retry-After", f'"{RETRY_LATER}"'), ("Cache-Control", '"no-store"')),
        ]
        return block(["location", "=", _MAINTENANCE], lines)

    # routes

    def _locations(self, entrypoint: str, routes: dict[str, Data], redirect: bool) -> t.Iterator[Lines]:
        """The locations of one host; the longest prefix counts, in nginx as in Traefik."""
        paths: dict[str, tuple[str, Data]] = {}
        for name, route in routes.items():
            if (
                redirect
                and route["entrypoint"] == entrypoint
                and any(other["path"] == route["path"] and other["entrypoint"] != entrypoint for other in routes.values())
            ):
                raise ProxyError(f"ingress.routes.{name}.path", route["path"], "is served here by another route's entrypoint already")
            paths[urllib.parse.unquote(route["path"])] = (name, route)
        for path, (name, route) in paths.items():
            body = self._route(entrypoint, name, route, redirect and route["entrypoint"] != entrypoint)
            yield block(["location", word(path, f"ingress.routes.{name}.path")], body)
            bare = path.rstrip("/")
            if path != "/" and path.endswith("/") and bare not in paths:
                # nginx would answer such a path without its slash by a redirect of its own. It belongs to the next shorter prefix.
                shorter = max((other for other in paths if (bare or "/").startswith(other)), key=len, default=None)
                other = [directive("return", "404")]
                if shorter is not None:
                    there, found = paths[shorter]
                    other = self._route(entrypoint, there, found, redirect and found["entrypoint"] != entrypoint)
                yield block(["location", "=", word(bare or "/", f"ingress.routes.{name}.path")], other)
        if "/" not in paths:
            yield block(["location", "/"], [directive("return", "404")])

    def _route(self, entrypoint: str, name: str, route: Data, redirect: bool) -> Lines:
        client = self._clients[entrypoint]
        lines = self._to_https(entrypoint, client) if redirect else []
        lines += self._guards(entrypoint, name, route, client)
        where = self.entrypoints[entrypoint]
        if name in self.options.maintenance:
            # By try_files, which comes after the guards; a `return` would come before them.
            return [*lines, directive("error_page", "503", _MAINTENANCE), directive("root", TREE), directive("try_files", "/none", "=503")]
        return lines + self._pass(where, name, route, client)

    def _to_https(self, entrypoint: str, client: Client) -> Lines:
        variable = f"$portmap_redirect_{ident(entrypoint)}"
        if variable not in self._made:
            self._made.add(variable)
            self.shared += mapping(f"{client.proto}:$request_method", variable, [("~^(?:https|wss):", '""'), ("~:GET$", "301"), ("default", "308")])
        there = "https://$host$request_uri"
        return [line for code in ("301", "308") for line in block(["if", f"({variable} = {code})"], [directive("return", code, there)])]

    def _guards(self, entrypoint: str, name: str, route: Data, client: Client) -> Lines:
        path = f"ingress.routes.{name}"
        # The same networks make the same answer at each entrypoint, and a limit is each route's own at each of them, as in Traefik.
        here = f"{ident(name)}_at_{ident(entrypoint)}"
        lines: Lines = []
        if route["allow"]:
            variable = f"$portmap_allow_{here}"
            if variable not in self._made:
                self._made.add(variable)
                source = [] if client.address == "$remote_addr" else [client.address]
                allowed = [directive(network, "1") for network in dict.fromkeys(address_range(one, f"{path}.allow") for one in route["allow"])]
                self.shared += block(["geo", *source, variable], [directive("default", "0"), *allowed])
            lines += block(["if", f"({variable} = 0)"], [directive("return", "403")])
        if route["rate_limit"]:
            limit = self.context.ingress["rate_limits"][route["rate_limit"]]
            # A zone keeps its key for as long as nginx runs: another key is another zone.
            zone = f"portmap_limit_{here}" + ("" if client.key == PLAIN.key else "_named")
            if zone not in self._made:
                self._made.add(zone)
                self.shared.append(directive("limit_req_zone", client.key, f"zone={zone}:{CLIENTS_ZONE}", f"rate={limit['average']}r/s"))
            # nginx counts what is let through beyond the first one.
            burst = [f"burst={limit['burst'] - 1}"] if limit["burst"] > 1 else []
            lines.append(directive("limit_req", f"zone={zone}", *burst, *(["nodelay"] if burst else [])))
        if route["auth"]:
            users_of(name, route["auth"], self.options.users)
            self.lists.add(route["auth"])
            lines += [directive("auth_basic", "restricted"), directive("auth_basic_user_file", f"{TREE}/{users_file(route['auth'])}")]
        return lines

    # backends

    def _pass(self, where: Data, name: str, route: Data, client: Client) -> Lines:
        path = f"ingress.routes.{name}"
        canary = route.get("canary")
        scheme = self._scheme(path, route["protocol"])
        pools = [(scheme, self._servers(f"{path}.backends", route["backends"], route["health"]), 100)]
        if canary:
            pools[0] = (*pools[0][:2], 100 - canary["weight"])
            other = self._scheme(f"{path}.canary", canary["protocol"])
            if "grpc" in (scheme, other) and scheme != other:
                rule = f"can't be mixed with {route['protocol']}: nginx passes gRPC on in a way of its own"
                raise ProxyError(f"{path}.canary.protocol", canary["protocol"], rule)
            pools.append((other, self._servers(f"{path}.canary.backends", canary["backends"], canary.get("health")), canary["weight"]))
        own = ident(name)
        if route.get("sticky"):
            target, cookie = self._sticky(own, name, pools, bool(route["tls"])), [("Set-Cookie", f"$portmap_cookie_{own}")]
        else:
            target, cookie = self._shared_out(own, pools), []
        health = bool(route["health"]) and len(route["backends"]) > 1
        lines = self._grpc() if scheme == "grpc" else self._proxy(any(one == "https" for one, _servers, _weight in pools))
        prefix = "grpc" if scheme == "grpc" else "proxy"
        lines.append(directive(f"{prefix}_connect_timeout", f"{self.options.health_timeout if health else CONNECT}s"))
        headers = {**client.headers, "Host": "$portmap_host", **({"Authorization": '""'} if route["auth"] else {})}
        if scheme != "grpc":
            headers.update({"Upgrade": "$portmap_upgrade", "Connection": "$portmap_connection"})
        lines += [directive(f"{prefix}_set_header", header, value) for header, value in headers.items()]
        lines += [directive(f"{prefix}_hide_header", word(header)) for header in self.options.headers]
        if cookie:
            lines += self._answer_headers(where, *cookie)
        return [*lines, directive(f"{prefix}_pass", target)]

    def _scheme(self, path: str, protocol: str) -> str:
        if protocol not in SCHEMES:
            raise ProxyError(f"{path}.protocol", protocol, f"must be one of {', '.join(SCHEMES)} at an http entrypoint")
        return SCHEMES[protocol]

    def _servers(self, path: str, backends: t.Sequence[Data], health: t.Optional[str]) -> list[tuple[str, str]]:
        """Address, and how nginx treats one that fails. It finds that out by requests that fail; it asks no health path."""
        checked = bool(health) and len(backends) > 1
        failing = f"max_fails=1 fail_timeout={self.options.health_interval}s" if checked else "max_fails=0"
        return [(server_address(one, path), failing) for one in backends]

    def _shared_out(self, own: str, pools: t.Sequence[tuple[str, list[tuple[str, str]], int]]) -> str:
        """Round robin over the backends, and the canary's part of the requests to it."""
        names = [f"portmap_route_{own}" + ("_canary" if number else "") for number in range(len(pools))]
        for name, (_scheme, servers, _weight) in zip(names, pools):
            self._upstream(name, [" ".join(server) for server in servers])
        targets = [f"{scheme}://{name}" for name, (scheme, _servers, _weight) in zip(names, pools)]
        if len(pools) == 1:
            return targets[0]
        self._split(f"$portmap_to_{own}", [(targets[1], pools[1][2])], targets[0])
        return f"$portmap_to_{own}"

    def _sticky(self, own: str, name: str, pools: t.Sequence[tuple[str, list[tuple[str, str]], int]], secure: bool) -> str:
        """A group for each backend, with the others of its pool as backup; the cookie chooses, at first the dice."""
        chosen: list[tuple[str, str, float]] = []  # cookie's value, target, part
        used: list[tuple[str, str]] = []
        for number, (scheme, servers, weight) in enumerate(pools):
            for at, (address, failing) in enumerate(servers):
                group = f"portmap_route_{own}_{number}_{at}"
                others = [f"{other} {how} backup" for other, how in servers if other != address]
                self._upstream(group, [f"{address} {failing}", *others])
                value = hashlib.sha256(f"{name} {number} {address}".encode()).hexdigest()[:16]
                chosen.append((value, f"{scheme}://{group}", weight / len(servers)))
                used.append((f"~(?:^|[ ,]){re.escape(address)}$", value))
        if f"$portmap_to_{own}" not in self._made:
            cookie = cookie_name(name)
            self._split(f"$portmap_first_{own}", [(target, part) for _value, target, part in chosen[1:]], chosen[0][1])
            known = [(value, target) for value, target, _part in chosen]
            self.shared += mapping(f"$cookie_{cookie}", f"$portmap_to_{own}", [*known, ("default", f"$portmap_first_{own}")])
            self.shared += mapping("$upstream_addr", f"$portmap_used_{own}", used)
            setting = f"{cookie}=$portmap_used_{own}; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
            self.shared += mapping(f"$cookie_{cookie}:$portmap_used_{own}", f"$portmap_cookie_{own}", [(r"~^(.*):\1$", ""), ("~:$", ""), ("default", setting)])
            self._made.add(f"$portmap_to_{own}")
        return f"$portmap_to_{own}"

    def _split(self, variable: str, parts: t.Sequence[tuple[str, float]], rest: str) -> None:
        if f"split {variable}" not in self._made:
            self._made.add(f"split {variable}")
            self.shared += block(["split_clients", '"$request_id"', variable], [*(f"{part:.2f}% {target};" for target, part in parts), f"* {rest};"])

    def _upstream(self, name: str, servers: t.Sequence[str]) -> None:
        if f"upstream {name}" not in self._made:
            self._made.add(f"upstream {name}")
            self.shared += upstream(self.context, name, servers, [directive("keepalive", "32")])

    def _proxy(self, tls: bool) -> Lines:
        return [directive("proxy_next_upstream", "error", "timeout"), *(self._backend_tls() if tls else [])]

    def _backend_tls(self) -> Lines:
        options = self.options
        lines = [directive("proxy_ssl_protocols", "TLSv1.2", "TLSv1.3")]
        if options.backend_name:
            lines += [directive("proxy_ssl_server_name", "on"), directive("proxy_ssl_name", constant(options.backend_name, "backend_tls.server_name"))]
        if not options.verify_backends:
            return [*lines, directive("proxy_ssl_verify", "off")]
        if not options.backend_name:
            raise ProxyError("backend_tls.server_name", None, "is needed to verify backends: nginx can't check a certificate for an address")
        trusted = options.backend_ca or self.context.host.binary.ca_bundle
        if not trusted:
            raise ProxyError("backend_tls.ca_file", None, "is needed: no bundle of the system's own is found")
        return [
            *lines,
            directive("proxy_ssl_verify", "on"),
            directive("proxy_ssl_verify_depth", "5"),
            directive("proxy_ssl_trusted_certificate", constant(trusted, "backend_tls.ca_file")),
        ]

    def _grpc(self) -> Lines:
        return [
            directive("gzip", "off"),
            directive("grpc_buffer_size", "64k"),
            directive("grpc_read_timeout", LONG),
            directive("grpc_send_timeout", LONG),
            directive("grpc_next_upstream", "error", "timeout"),
        ]


def cookie_name(route: str) -> str:
    """Of a route's sticky sessions: two routes of a host must not share one."""
    return "portmap_" + hashlib.sha256(route.encode()).hexdigest()[:8]
