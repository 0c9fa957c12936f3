# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The port map as types: one environment applied, every default filled in, every name known, nothing placed on hosts yet.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Origin, Path

Bind = str
"""``any``, ``loopback`` or the name of a network."""

HTTP_PROTOCOLS = frozenset({"http", "https", "grpc", "websocket"})


@dataclass(frozen=True, order=True)
class Span:
    """The ports lo to hi, both included; a single port has lo == hi."""

    lo: int
    hi: int

    def __str__(self) -> str:
        return str(self.lo) if self.lo == self.hi else f"{self.lo}-{self.hi}"

    def overlaps(self, other: Span) -> bool:
        """Whether the two share a port."""
        return self.lo <= other.hi and other.lo <= self.hi


@dataclass(frozen=True)
class Port:
    """A port of a service. The main one is named ''; others are written ``service.name``."""

    service: str
    name: str
    span: t.Optional[Span]  # None: `port: none`, no port of the host
    transports: tuple[str, ...]  # a subset of ("tcp", "udp"), in this order
    protocol: str
    health: t.Optional[str]
    container_port: t.Optional[Span]
    bind: Bind
    bind_path: Path  # where `bind` stands in the merged map
    owner: tuple[str, ...]  # patterns of which one must match who holds it; () is not checked
    callers: tuple[str, ...]  # `from`: services, "namespace", "self"; () is none. Default already filled in
    callers_path: Path  # where `from` stands in the merged map; firewall.internal.same_namespace if nobody states it
    callers_stated: bool  # False: `callers` is the default, not written by anybody
    metrics: bool
    origin: Origin

    @property
    def label(self) -> str:
        """``service`` or ``service.name``."""
        return f"{self.service}.{self.name}" if self.name else self.service


@dataclass(frozen=True)
class Service:
    """Something that listens, or only calls others."""

    name: str
    description: str
    namespace: t.Optional[str]  # None: `none`
    hosts: t.Optional[tuple[str, ...]]  # names of groups or hosts or "all"; () is `none`; None: not said, so the group named like it
    cluster: t.Optional[str]
    addresses: tuple[str, ...]  # `address`: normalised by ipaddress; () if not said
    container: bool
    ports: dict[str, Port]  # "" is the main port and is always there
    origin: Origin


@dataclass(frozen=True)
class NetworkMember:
    """One member of a network: exactly one of the three is set."""

    cidr: t.Optional[str]  # normalised by ipaddress; a single address without /32 or /128
    network: t.Optional[str]  # name of another network
    hosts: tuple[str, ...]  # {hosts: …}: names of groups or hosts or "all"
    origin: Origin
    path: Path  # its place in the merged map


@dataclass(frozen=True)
class Network:
    """A named set of addresses. `anywhere` is always there."""

    name: str
    members: tuple[NetworkMember, ...]
    origin: Origin


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes cluster's pods as hosts outside see them."""

    name: str
    networks: tuple[str, ...]
    origin: Origin


@dataclass(frozen=True)
class ProxiesInFront:
    """CDN or load balancer whose word about the client counts."""

    networks: tuple[str, ...]
    depth: int
    proxy_protocol: bool
    terminates_tls: bool
    origin: Origin


@dataclass(frozen=True)
class Entrypoint:
    """Where `proxy` listens for the world."""

    name: str
    port: int
    protocol: str  # http, tcp or udp
    tls: bool
    http3: bool
    redirect_to: t.Optional[str]
    proxies_in_front: t.Optional[ProxiesInFront]
    origin: Origin

    @property
    def transports(self) -> tuple[str, ...]:
        """What it listens on; HTTP/3 is udp (RFC 9114) beside the tcp by which clients learn of it."""
        if self.protocol == "udp":
            return ("udp",)
        return ("tcp", "udp") if self.http3 else ("tcp",)


@dataclass(frozen=True)
class RateLimit:
    """Requests per second per client, and how many at once."""

    name: str
    average: int
    burst: int
    origin: Origin


@dataclass(frozen=True)
class Canary:
    """A port of a service that gets a part of a route's requests."""

    service: str
    port: str  # name of the service's port, "" is the main one
    weight: int  # of a hundred


@dataclass(frozen=True)
class Route:
    """Public host name and path to a service."""

    name: str
    host: t.Optional[str]  # complete DNS name; None where an entrypoint has one route only: tcp without tls, udp
    path: str  # prefix, "/" for all
    service: str
    port: str  # name of the service's port, "" is the main one
    dashboard: bool  # service is `proxy`: the proxy's own dashboard
    entrypoint: str
    canary: t.Optional[Canary]
    sticky: bool
    passthrough: bool
    rate_limit: t.Optional[str]
    auth: t.Optional[str]  # name of a list in port_map_users
    networks: tuple[str, ...]  # `from`: clients the proxy lets through; () is everybody
    origin: Origin
    auth_origin: Origin

    @property
    def targets(self) -> tuple[tuple[str, str], ...]:
        """(service, port name) of each port that it leads to; () for the dashboard."""
        if self.dashboard:
            return ()
        return ((self.service, self.port), *([(self.canary.service, self.canary.port)] if self.canary else []))


@dataclass(frozen=True)
class IngressRule:
    """Networks to ports: either `ports`, `transports` and `hosts`, or `targets`."""

    name: str
    networks: tuple[str, ...]
    targets: tuple[tuple[str, str], ...]  # (service, port name) pairs of `service:`; () if `port:` is used
    ports: tuple[Span, ...]
    transports: tuple[str, ...]
    hosts: t.Optional[tuple[str, ...]]  # None: not said (all hosts, or the services' own)
    origin: Origin
    path: Path  # its place in the merged map


@dataclass(frozen=True)
class EgressRule:
    """Ports at networks that hosts may call."""

    name: str
    networks: tuple[str, ...]
    ports: tuple[Span, ...]
    transports: tuple[str, ...]
    hosts: t.Optional[tuple[str, ...]]  # None: all
    origin: Origin
    path: Path  # its place in the merged map


@dataclass(frozen=True)
class Scrape:
    """Who scrapes every metrics port, and at which path."""

    service: str
    path: str
    origin: Origin


@dataclass(frozen=True)
class Firewall:
    """The statements of `firewall`."""

    ingress: tuple[IngressRule, ...]
    egress: t.Optional[tuple[EgressRule, ...]]  # None: `allow`
    same_namespace: bool
    scrape: t.Optional[Scrape]
    ping: tuple[str, ...]  # networks; () is none
    origin: Origin


class Places(t.Protocol):
    """Tells where the values of the merged map stand in the files."""

    def origin(self, path: Path) -> Origin:
        """Where a value stands; for one that is missing, the line of the nearest value around it."""

    def origin_of(self, path: Path, value: t.Any) -> Origin:
        """Where a value stands that is at a path, or one of the list there."""


@dataclass(frozen=True)
class PortMap:
    """One environment's whole map."""

    environment: t.Optional[str]
    domain: t.Optional[str]
    ingress: str  # traefik, nginx or none
    networks: dict[str, Network]
    clusters: dict[str, Cluster]
    services: dict[str, Service]  # enabled ones only; `proxy` is absent if ingress is none
    entrypoints: dict[str, Entrypoint]  # {} if ingress is none
    rate_limits: dict[str, RateLimit]
    routes: dict[str, Route]  # {} if ingress is none
    firewall: t.Optional[Firewall]  # None: `none`
    origin: Origin  # of the main file's `port_map`
    places: Places
    data: dict[str, t.Any] = field(default_factory=dict)  # the merged mapping as plain data: `port_map` in users' templates
