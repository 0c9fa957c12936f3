# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rendering of nginx's configuration is made from, and rules that http and stream share. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.module_utils._nginx_binary import Binary
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_certificates import Certificate, choose
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_words import Lines, block, constant, directive
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_ingress import check_ingress
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import CIPHERS, Options, ProxyError

Data = dict[str, t.Any]

# Stand for what is only known when all is rendered: the tree's own directory and hash.
TREE, RELEASE = "@portmap-tree@", "@portmap-release@"
DRAIN = "drain-"  # and a release: a file in run_dir that says that this one ends soon
LONG = "24h"  # a silence that is no error: Traefik knows no limit there
CONNECT = 30  # seconds to wait for a backend where nothing else is said, as Traefik does


@dataclass(frozen=True)
class Host:
    """What of the host and of the module's own options goes into the configuration."""

    binary: Binary = field(default_factory=Binary)
    certificates: tuple[Certificate, ...] = ()
    run_dir: str = "/run/nginx-portmap"
    user: str = "www-data"
    group: str = "www-data"
    acme_webroot: t.Optional[str] = None
    workers: str = "auto"
    connections: int = 8192
    drain: int = 3600  # seconds that connections of before a reload may stay
    page: int = 4096  # bytes of a page of memory


@dataclass(frozen=True)
class Context:
    """Everything that a rendering is made from."""

    ingress: Data
    options: Options
    host: Host

    def entrypoints(self, protocol: str) -> dict[str, Data]:
        """The entrypoints of a protocol."""
        return {name: one for name, one in self.ingress["entrypoints"].items() if (one.get("protocol") or "http") == protocol}

    def routes_at(self, entrypoint: str) -> dict[str, Data]:
        """The routes of an entrypoint."""
        return {name: one for name, one in self.ingress["routes"].items() if one["entrypoint"] == entrypoint}


def check(context: Context) -> None:
    """Refuse what neither proxy serves, and what nginx does not. Raises ProxyError."""
    if context.ingress.get("container"):
        raise ProxyError("ingress.container", True, "is Traefik's alone: nginx is served on the host itself")
    check_ingress(context.ingress)
    for name, route in context.ingress["routes"].items():
        if route.get("dashboard"):
            raise ProxyError(f"ingress.routes.{name}.dashboard", True, "is Traefik's alone: nginx has none")


def address_range(text: str, path: str) -> str:
    """A network as nginx takes it. Raises ProxyError."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise ProxyError(path, text, "is no address and no network") from error


def server_address(backend: Data, path: str) -> str:
    """Address and port of a backend: nginx would resolve a name once, when it starts, and keep to that for ever. Raises ProxyError."""
    try:
        address = ipaddress.ip_address(backend["address"])
    except ValueError as error:
        raise ProxyError(path, backend["address"], "must be an address: nginx would resolve a name once, when it starts") from error
    return f"[{address}]:{backend['port']}" if address.version == 6 else f"{address}:{backend['port']}"


def listen(context: Context, port: int, *words: str) -> Lines:
    """Listen on every address of both families, by a socket for each: whether one serves both is a host's setting."""
    addresses = [str(port)] + ([f"[::]:{port}"] if context.host.binary.ipv6 else [])
    return [directive("listen", address, *words) for address in addresses]


def upstream(context: Context, name: str, servers: t.Sequence[str], extra: t.Sequence[str] = ()) -> Lines:
    """A group of backends. Its state is all workers' own: without a zone each would find out by itself who is down, and who is next."""
    size = max(64, 8 * context.host.page // 1024)  # nginx takes none of less than eight pages
    return block(["upstream", name], [directive("zone", name, f"{size}k"), *(directive("server", server) for server in servers), *extra])


def tls_settings(context: Context) -> Lines:
    """What holds for all of TLS. Without a choice of suites: those with forward secrecy and AEAD that Traefik offers too."""
    options = context.options
    suites = [CIPHERS[name] for name in options.ciphers] or list(CIPHERS.values())
    return [
        directive("ssl_protocols", *(["TLSv1.3"] if options.minimum == "1.3" else ["TLSv1.2", "TLSv1.3"])),
        directive("ssl_ciphers", ":".join(suites)),
        directive("ssl_prefer_server_ciphers", "off"),
        # Tickets are made with a key that lives as long as the configuration; a cache forgets.
        directive("ssl_session_tickets", "off"),
    ]


def certificate_of(context: Context, host: t.Optional[str]) -> Lines:
    """The certificate for a host name, or for whatever name."""
    chosen = choose(host, context.host.certificates) if host else context.host.certificates[0]
    return [
        directive("ssl_certificate", constant(chosen.pair.cert_file, "tls.certificates")),
        directive("ssl_certificate_key", constant(chosen.pair.key_file, "tls.certificates")),
    ]


def real_ip(front: t.Optional[Data], path: str) -> Lines:
    """Whose PROXY protocol counts. It alone changes the client's address; X-Forwarded-For is looked at as deep as the map says."""
    if not front or not front["proxy_protocol"]:
        return []
    return [directive("set_real_ip_from", address_range(one, path)) for one in front["trusted"]]
