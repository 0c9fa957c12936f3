# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every key of a port map: its shape, its default and what it means. Validator, JSON schema and docs all come from here.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Path
from ansible_collections.alfred.portmap.plugins.plugin_utils._shapes import (
    DNS_NAME,
    INVENTORY_NAME,
    LABEL,
    ONE_PORT,
    RESERVED,
    URL_PATH,
    WORD,
    Addresses,
    Bool,
    BoolOr,
    Choice,
    Context,
    Either,
    Key,
    ListOf,
    ListOr,
    MapOf,
    PortSpan,
    Shape,
    Struct,
    Text,
    Whole,
    address_problem,
)

VERSION = 1
PROTOCOLS = ("http", "https", "grpc", "websocket", "postgresql", "redis", "dns", "ntp", "ssh", "tls", "tcp", "udp")

SERVICE_NAME = Text(LABEL, "a DNS label: lower case letters, digits and dashes")
OTHER_NAME = Text(WORD, "a name of letters, digits, dashes and underscores")
INVENTORY = Text(INVENTORY_NAME, "the exact name of an inventory group or host, or all (no patterns)")
PATH = Text(URL_PATH, "a path that begins with /")
ONE_LINE = Text(re.compile(r"\S(.*\S)?"), "one line of text")


class NetworkText(Shape):
    """A member of a network: an address, a CIDR or another network's name."""

    what = "an address, a CIDR or the name of a network"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if isinstance(value, str) and WORD.fullmatch(value) and address_problem(value, single=False):
            return True  # a name; whether there is such a network is the builder's question
        return Addresses().check(value, path, context)

    def schema(self) -> dict[str, t.Any]:
        return {"type": "string", "pattern": "^([0-9A-Fa-f.:]+(/[0-9]{1,3})?|[A-Za-z0-9][A-Za-z0-9_-]{0,62})$"}


class Version(Shape):
    """The format's version."""

    what = str(VERSION)

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        good = value == VERSION and isinstance(value, int) and not isinstance(value, bool)
        return good or context.error(path, value, f"this collection reads version {VERSION}")

    def schema(self) -> dict[str, t.Any]:
        return {"const": VERSION}


class NoneWord(Shape):
    """The word none."""

    what = "none"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        return value == "none" or context.error(path, value, "must be a mapping or none")

    def schema(self) -> dict[str, t.Any]:
        return {"const": "none"}


class AllowWord(Shape):
    """The word allow."""

    what = "allow"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        return value == "allow" or context.error(path, value, "must be a list of rules, or allow")

    def schema(self) -> dict[str, t.Any]:
        return {"const": "allow"}


HOSTS = ListOf(INVENTORY)
NETWORK_NAMES = ListOf(Text(WORD, "the name of a network (addresses get a name under networks)"))
TRANSPORT = ListOf(Choice(("tcp", "udp")))
PROTOCOL = Text(LABEL, "the name of an application protocol")
CALLERS = ListOf(SERVICE_NAME)

BIND = Key(Text(WORD, "any, loopback or the name of a network"), "Expected listening address: any, loopback, or the host's own in a network.", default="any")
CONTAINER = Key(Bool(), "Published by a container: its listener may be Docker's.", default=False)
ENABLED = Key(Bool(), "false: absent, and what refers to it falls away.", default=True)
NAMESPACE = Key(SERVICE_NAME, "Services of one namespace may call each other; none for no namespace.")

PORT_KEYS = {
    "transport": Key(TRANSPORT, "tcp, udp or both.", default="tcp"),
    "protocol": Key(PROTOCOL, f"How it is probed and routed: {', '.join(PROTOCOLS)}, or any other label. The transport if not said."),
    "health": Key(PATH, "GET on it answers 2xx or 3xx."),
    "container_port": Key(PortSpan(), "Port inside the container or pod; the port itself if not said."),
    "bind": BIND,
    "from": Key(CALLERS, "Who inside may call: services, namespace, self, none."),
    "metrics": Key(Bool(), "Is scraped by firewall.internal.scrape.", default=False),
}
FURTHER_PORT = Struct({"port": Key(PortSpan(), "Port on the host.", required=True), **PORT_KEYS})
SERVICE = Struct(
    {
        "port": Key(PortSpan(none=True), "Port on the host, or none.", required=True, missing="is required (write none if it has no port on its host)"),
        **PORT_KEYS,
        "ports": Key(MapOf(SERVICE_NAME, Either(FURTHER_PORT, PortSpan())), "Further ports, written service.name elsewhere."),
        "description": Key(ONE_LINE, "What it is, in one line."),
        "hosts": Key(HOSTS, "Inventory groups or hosts that it runs on, or none. The group named like it if not said."),
        "cluster": Key(OTHER_NAME, "The Kubernetes cluster that it runs in, instead of hosts."),
        "address": Key(ListOf(Addresses(single=True)), "Where clients connect: virtual IP, managed service, load balancer."),
        "container": CONTAINER,
        "namespace": NAMESPACE,
        "enabled": ENABLED,
    }
)
IN_FRONT = Struct(
    {
        "network": Key(NETWORK_NAMES, "Their addresses.", required=True),
        "depth": Key(Whole(1, 10), "How many of them are in a row.", default=1),
        "proxy_protocol": Key(Bool(), "They speak the PROXY protocol.", default=False),
        "terminates_tls": Key(Bool(), "They end TLS and speak HTTP to the proxy.", default=False),
    }
)
ENTRYPOINT = Struct(
    {
        "port": Key(ONE_PORT, "Port of the proxy on all its hosts.", required=True),
        "tls": Key(Bool(), "Speaks TLS.", default=False),
        "redirect_to": Key(OTHER_NAME, "Answers every request with a permanent redirect to this entrypoint."),
        "proxies_in_front": Key(Either(IN_FRONT, NETWORK_NAMES), "CDN or load balancer whose word about the client counts."),
        "enabled": ENABLED,
    }
)
RATE_LIMIT = Struct(
    {
        "average": Key(Whole(1), "Requests per second per client (IPv6: per /64).", required=True),
        "burst": Key(Whole(1), "Requests at once; the average if not said."),
    }
)
ROUTE = Struct(
    {
        "host": Key(Text(DNS_NAME, "a DNS name in lower case"), "Public host name; without a dot under domain.", required=True),
        "path": Key(PATH, "Prefix of the path.", default="/"),
        "service": Key(Text(re.compile(LABEL.pattern + r"(\." + LABEL.pattern + r")?"), "a service or service.port"), "Where to.", required=True),
        "entrypoint": Key(OTHER_NAME, "The entrypoint; the target of a redirect_to, else the only one, if not said."),
        "rate_limit": Key(OTHER_NAME, "One of rate_limits."),
        "from": Key(NETWORK_NAMES, "Clients that the proxy lets through; everybody if not said."),
        "auth": Key(BoolOr(OTHER_NAME), "true or the name of a list in the inventory's port_map_users.", default=False),
        "enabled": ENABLED,
    }
)
SERVICE_PORT = ROUTE.keys["service"].shape
RULE_KEYS = {
    "name": Key(OTHER_NAME, "The rule's own name.", required=True),
    "transport": Key(TRANSPORT, "tcp, udp or both.", default="tcp"),
    "hosts": Key(HOSTS, "Inventory groups or hosts; all of them if not said."),
    "enabled": ENABLED,
}
INGRESS_RULE = Struct(
    {
        **RULE_KEYS,
        "port": Key(ListOf(PortSpan()), "Ports to open."),
        "service": Key(ListOf(SERVICE_PORT), "Services (or service.port) whose ports to open, on their hosts."),
        "from": Key(NETWORK_NAMES, "The networks that are let in.", required=True),
    },
    {"to": "an ingress rule has `from`, no `to`"},
)
EGRESS_RULE = Struct(
    {
        **RULE_KEYS,
        "port": Key(ListOf(PortSpan()), "Ports that may be called.", required=True),
        "to": Key(NETWORK_NAMES, "The networks that may be called.", required=True),
    },
    {"from": "an egress rule has `to`, no `from`", "service": "an egress rule has `port` and `to`; calls to services are opened by the services' own `from`"},
)
SCRAPE = Struct(
    {
        "from": Key(SERVICE_NAME, "The service that scrapes.", required=True),
        "path": Key(PATH, "Where metrics are.", default="/metrics"),
    }
)
FIREWALL = Struct(
    {
        "ingress": Key(ListOf(INGRESS_RULE, bare=False, empty=True, unique=False), "All that addresses, not services, may reach.", required=True),
        "egress": Key(ListOr(ListOf(EGRESS_RULE, bare=False, empty=True, unique=False), AllowWord()), "Ports at networks, or allow: unfiltered.", required=True),
        "internal": Key(
            Struct(
                {
                    "same_namespace": Key(Choice(("allow", "deny")), "The default of every service's from.", default="deny"),
                    "scrape": Key(
                        SCRAPE,
                        "Who scrapes every metrics port.",
                    ),
                }
            ),
            "Between hosts of the inventory.",
        ),
        "ping": Key(NETWORK_NAMES, "Networks that may ping a host, or none.", default="anywhere"),
    }
)
CLUSTER = Struct({"addresses": Key(NETWORK_NAMES, "The pods as hosts outside see them.", required=True)})
NETWORK_MEMBER = Either(Struct({"hosts": Key(HOSTS, "The addresses of inventory hosts.", required=True)}), NetworkText())
NETWORK = ListOf(NETWORK_MEMBER)
DEFAULTS = {
    "namespace": Key(NAMESPACE.shape, "Namespace of every service that names none."),
    "hosts": Key(HOSTS, "Hosts of every service that names none."),
    "bind": BIND,
    "container": CONTAINER,
}
BASE_KEYS = {
    "domain": Key(Text(DNS_NAME, "a DNS name in lower case"), "Completes route hosts without a dot."),
    **DEFAULTS,
    "ingress": Key(
        Choice(("traefik", "nginx", "none"), "names the proxy: traefik, nginx or none; rules go under firewall.ingress"), "The proxy.", default="none"
    ),
    "networks": Key(MapOf(OTHER_NAME, NETWORK, tuple(w for w in RESERVED if w != "anywhere")), "Named sets of addresses; anywhere is built in."),
    "clusters": Key(MapOf(OTHER_NAME, CLUSTER), "Kubernetes clusters."),
    "services": Key(MapOf(SERVICE_NAME, SERVICE), "What listens, and what only calls others."),
    "entrypoints": Key(MapOf(OTHER_NAME, ENTRYPOINT), "Where the proxy listens for the world."),
    "rate_limits": Key(MapOf(OTHER_NAME, RATE_LIMIT), "Requests per second per client."),
    "routes": Key(MapOf(OTHER_NAME, ROUTE), "Public names and paths to services."),
    "firewall": Key(Either(FIREWALL, NoneWord()), "The rules, or none: no policy.", default="none"),
}
VERSION_KEY = Key(Version(), "The format of this file.", required=True)
CHANGE = t.cast(Struct, Struct(BASE_KEYS, {"version": "an environment has no version", "environments": "environments do not nest"}).partial())
MAIN = Struct(
    {"version": VERSION_KEY, **BASE_KEYS, "environments": Key(MapOf(OTHER_NAME, CHANGE), "Changes to the map, one set per environment.")},
    {"environment": "unknown key, did you mean 'environments'?", "ports": "ports belong to a service"},
)

_MAIN_FILE_ONLY = "belongs in the main file, not in a fragment"
FRAGMENT_SERVICE = SERVICE.without({"address": _MAIN_FILE_ONLY})
_FRAGMENT_PARTS = {
    "services": Key(MapOf(SERVICE_NAME, FRAGMENT_SERVICE, (*RESERVED, "proxy", "sshd")), "This fragment's own services."),
    "routes": BASE_KEYS["routes"],
}
_FRAGMENT_REFUSED = {name: _MAIN_FILE_ONLY for name in ("ingress", "networks", "clusters", "entrypoints", "firewall")}
FRAGMENT = Struct(
    {
        "version": VERSION_KEY,
        "domain": BASE_KEYS["domain"],
        **{**DEFAULTS, "namespace": Key(SERVICE_NAME, "The fragment's namespace.", required=True)},
        **_FRAGMENT_PARTS,
        "rate_limits": BASE_KEYS["rate_limits"],
        "environments": Key(
            MapOf(OTHER_NAME, Struct(_FRAGMENT_PARTS, {name: "a fragment's environments change its own services and routes only" for name in BASE_KEYS}).partial()),
            "Changes to this fragment's own services and routes.",
        ),
    },
    _FRAGMENT_REFUSED,
)
