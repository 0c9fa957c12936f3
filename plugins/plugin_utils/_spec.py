# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every key of a port map: its shape, its default and what it means. Validator, JSON schema and docs all come from here.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.alfred.portmap.plugins.plugin_utils._shapes import (
    DNS_NAME,
    INVENTORY_NAME,
    LABEL,
    ONE_LINE,
    ONE_PORT,
    RESERVED,
    URL_PATH,
    WORD,
    Address,
    Bool,
    ByKind,
    Choice,
    Key,
    ListOf,
    MapOf,
    PortSpan,
    Struct,
    Text,
    Whole,
)

VERSION = 1
PROTOCOLS = ("http", "https", "grpc", "websocket", "postgresql", "redis", "dns", "ntp", "ssh", "tls", "tcp", "udp")


def _reserved(*possible: str) -> tuple[str, ...]:
    return tuple(word for word in RESERVED if word not in possible)


_A_LABEL = "a DNS label: lower case letters, digits and dashes"
_A_WORD = "lower case letters, digits, dashes and underscores"
LABEL_NAME = Text(LABEL, _A_LABEL, RESERVED)
NAMESPACE_NAME = Text(LABEL, _A_LABEL, _reserved("none"))
OTHER_NAME = Text(WORD, f"a name of {_A_WORD}", RESERVED)
NETWORK = Text(WORD, "the name of a network (addresses get a name under networks)", _reserved("anywhere"))
BIND_NAME = Text(WORD, "any, loopback or the name of a network", _reserved("any", "loopback"))
INVENTORY = Text(INVENTORY_NAME, "the exact name of an inventory group or host, or all (no patterns)", _reserved("all"))
OWNER = Text(ONE_LINE, "a name or pattern (* and ?) of a process, systemd unit or container")
CALLER = Text(LABEL, "a service, namespace or self (for a network use firewall.ingress with `service`)", _reserved("namespace", "self"))
DOMAIN = Text(DNS_NAME, "a DNS name in lower case")
PATH = Text(URL_PATH, "a path that begins with /")
TEXT = Text(ONE_LINE, "one line of text")
SERVICE_PORT = Text(re.compile(rf"{LABEL.pattern}(?:\.{LABEL.pattern})?"), "a service or service.port", RESERVED)

HOSTS = ListOf(INVENTORY)
HOSTS_OR_NONE = ListOf(INVENTORY, none=True)
NETWORKS = ListOf(NETWORK)
TRANSPORT = ListOf(Choice(("tcp", "udp")))

BIND = Key(BIND_NAME, "Expected listening address: any, loopback, or the host's own in a network.", default="any")
CONTAINER = Key(Bool(), "Published by a container: its listener may be Docker's.", default=False)
ENABLED = Key(Bool(), "false: absent, and what refers to it falls away.", default=True)
NAMESPACE = Key(NAMESPACE_NAME, "Who may call whom: services of one namespace; none for no namespace.")
ONE_NETWORK = Key(NETWORK, "Their addresses.", required=True)

PORT_KEYS = {
    "transport": Key(TRANSPORT, "tcp, udp or both ([tcp, udp]).", default="tcp"),
    "protocol": Key(
        Text(LABEL, "the name of an application protocol", RESERVED),
        f"How it is probed and routed: {', '.join(PROTOCOLS)}, or any other label. If not said, the transport.",
    ),
    "health": Key(PATH, "GET on it answers 2xx or 3xx."),
    "container_port": Key(PortSpan(), "Port inside the container or pod. If not said, the port as the base map has it."),
    "bind": BIND,
    "owner": Key(ListOf(OWNER), "Who must hold it: names or patterns of processes, systemd units or containers. If not said, it is not checked."),
    "from": Key(ListOf(CALLER, none=True), "Who inside may call: services, namespace, self, or none."),
    "metrics": Key(Bool(), "Is scraped by firewall.internal.scrape.", default=False),
}
FURTHER_PORT = Struct({"port": Key(PortSpan(), "Port on the host.", required=True), **PORT_KEYS})
SERVICE = Struct(
    {
        "port": Key(
            PortSpan(none=True),
            "Port on the host (in a cluster: of the Service), or none.",
            required=True,
            missing="is required: write none if it has no port on its host",
        ),
        "ports": Key(MapOf(LABEL_NAME, ByKind(PortSpan(), mapping=FURTHER_PORT)), "Further ports, written service.name elsewhere."),
        **PORT_KEYS,
        "description": Key(TEXT, "What it is, in one line."),
        "hosts": Key(HOSTS_OR_NONE, "Inventory groups or hosts that it runs on, or none. If not said, the group named like it."),
        "cluster": Key(OTHER_NAME, "The Kubernetes cluster that it runs in, instead of hosts."),
        "address": Key(ListOf(Address()), "Where clients connect: virtual IP, managed service, load balancer."),
        "container": CONTAINER,
        "namespace": NAMESPACE,
        "enabled": ENABLED,
    }
)
IN_FRONT = Struct(
    {
        "network": ONE_NETWORK,
        "depth": Key(Whole(1), "How many of them are in a row.", default=1),
        "proxy_protocol": Key(Bool(), "They speak the PROXY protocol.", default=False),
        "terminates_tls": Key(Bool(), "They end TLS and speak HTTP to the proxy.", default=False),
    }
)
ENTRYPOINT = Struct(
    {
        "port": Key(ONE_PORT, "Port of the proxy on all its hosts.", required=True),
        "protocol": Key(Choice(("http", "tcp", "udp")), "What it passes on: requests, connections or datagrams.", default="http"),
        "tls": Key(Bool(), "Speaks TLS.", default=False),
        "http3": Key(Bool(), "Speaks HTTP/3 too, on the udp port of the same number, which is opened with it.", default=False),
        "redirect_to": Key(OTHER_NAME, "Answers every request with a permanent redirect to this entrypoint."),
        "proxies_in_front": Key(ByKind(NETWORK, mapping=IN_FRONT), "CDN or load balancer whose word about the client counts."),
        "enabled": ENABLED,
    }
)
RATE_LIMIT = Struct(
    {
        "average": Key(Whole(1), "Requests per second per client (IPv6: per /64).", required=True),
        "burst": Key(Whole(1), "Requests at once. If not said, the average."),
    }
)
CANARY = Struct(
    {
        "service": Key(SERVICE_PORT, "The service (or service.port) that gets a part of the requests.", required=True),
        "weight": Key(Whole(1, 99), "How many of a hundred.", required=True),
    }
)
ROUTE = Struct(
    {
        "host": Key(ListOf(DOMAIN), "Public host name; without a dot under domain. On an entrypoint without one (tcp without tls, udp) there is none."),
        "path": Key(PATH, "Prefix of the path.", default="/"),
        "service": Key(SERVICE_PORT, "A service (its main port), service.port, or proxy: the dashboard.", required=True),
        "canary": Key(CANARY, "Another service that gets a part of the requests."),
        "sticky": Key(Bool(), "A client stays with the backend that it got first, by a cookie.", default=False),
        "passthrough": Key(Bool(), "TLS is handed on unopened (entrypoints of protocol tcp with tls).", default=False),
        "entrypoint": Key(OTHER_NAME, "If not said, the target of a redirect_to, else the only one; tcp and udp ones are named."),
        "rate_limit": Key(OTHER_NAME, "One of rate_limits."),
        "from": Key(NETWORKS, "Clients that the proxy lets through. If not said, everybody."),
        "auth": Key(ByKind(OTHER_NAME, boolean=Bool()), "A list in the inventory's port_map_users; true is the list default.", default=False),
        "enabled": ENABLED,
    }
)
RULE_KEYS = {
    "name": Key(OTHER_NAME, "The rule's own name.", required=True, identity=True),
    "transport": Key(TRANSPORT, "tcp, udp or both ([tcp, udp]).", default="tcp"),
    "hosts": Key(HOSTS, "Inventory groups or hosts. If not said, all of them, or the service's."),
    "enabled": ENABLED,
}
INGRESS_RULE = Struct(
    {
        **RULE_KEYS,
        "port": Key(ListOf(PortSpan()), "Ports to open."),
        "service": Key(ListOf(SERVICE_PORT), "Services (or service.port): brings port, transport and hosts."),
        "from": Key(NETWORKS, "The networks that are let in.", required=True),
    },
    {"to": "an ingress rule has `from`, no `to`"},
    one_of=("port", "service"),
    never_both=(("service", "transport"),),
)
EGRESS_RULE = Struct(
    {
        **RULE_KEYS,
        "port": Key(ListOf(PortSpan()), "Ports that may be called.", required=True),
        "to": Key(NETWORKS, "The networks that may be called.", required=True),
    },
    {
        "from": "an egress rule has `to`, no `from`",
        "service": "an egress rule has `port` and `to`; who inside may call a service is its own `from`",
    },
)
INGRESS_RULES = ListOf(INGRESS_RULE, empty=True, by_name=True)
EGRESS_RULES = ListOf(EGRESS_RULE, empty=True, by_name=True)
SCRAPE = Struct(
    {
        "from": Key(LABEL_NAME, "The service that scrapes.", required=True),
        "path": Key(PATH, "Where metrics are.", default="/metrics"),
    }
)
INTERNAL = Struct(
    {
        "same_namespace": Key(Choice(("allow", "deny")), "The default of every service's from.", default="deny"),
        "scrape": Key(SCRAPE, "Who scrapes every metrics port."),
    }
)
FIREWALL = Struct(
    {
        "ingress": Key(INGRESS_RULES, "All that addresses, not services, may reach.", required=True),
        "egress": Key(ByKind(Choice(("allow",)), listed=EGRESS_RULES, mapping=EGRESS_RULES), "Ports at networks, or allow: unfiltered.", required=True),
        "internal": Key(INTERNAL, "Between hosts of the inventory."),
        "ping": Key(ListOf(NETWORK, none=True), "Networks that may ping a host, or none.", default="anywhere"),
    }
)
CLUSTER = Struct({"addresses": Key(NETWORKS, "The pods as hosts outside see them.", required=True)})
MEMBERS = ListOf(ByKind(Address(member=True), mapping=Struct({"hosts": Key(HOSTS, "The addresses of inventory hosts.", required=True)})))
DEFAULTS = {
    "namespace": Key(NAMESPACE_NAME, "Namespace of every service that names none (but proxy and sshd)."),
    "hosts": Key(HOSTS_OR_NONE, "Hosts of every service that names none."),
    "bind": BIND,
    "container": CONTAINER,
}
BASE_KEYS = {
    "domain": Key(DOMAIN, "Completes route hosts without a dot."),
    **DEFAULTS,
    "ingress": Key(
        Choice(("traefik", "nginx", "none"), "names the proxy: traefik, nginx or none; rules go under firewall.ingress"), "The proxy.", default="none"
    ),
    "networks": Key(MapOf(dataclasses.replace(OTHER_NAME, reserved=_reserved("anywhere")), MEMBERS), "Named sets of addresses; anywhere is built in."),
    "clusters": Key(MapOf(OTHER_NAME, CLUSTER), "Kubernetes clusters."),
    "services": Key(MapOf(LABEL_NAME, SERVICE), "What listens, and what only calls others."),
    "entrypoints": Key(MapOf(OTHER_NAME, ENTRYPOINT), "Where the proxy listens for the world."),
    "rate_limits": Key(MapOf(OTHER_NAME, RATE_LIMIT), "Requests per second per client."),
    "routes": Key(MapOf(OTHER_NAME, ROUTE), "Public names and paths to services."),
    "firewall": Key(ByKind(Choice(("none",)), mapping=FIREWALL), "The rules, or none: no policy.", default="none"),
}
VERSION_KEY = Key(Choice((VERSION,)), "The format of this file.", required=True)
_NOT_IN_ENVIRONMENTS = {"version": "an environment has no version of its own", "environments": "environments do not nest"}
MAIN = Struct(
    {
        "version": VERSION_KEY,
        **BASE_KEYS,
        "environments": Key(MapOf(OTHER_NAME, Struct(BASE_KEYS, _NOT_IN_ENVIRONMENTS).partial()), "Changes to the map, one set per environment."),
    },
)

_MAIN_FILE_ONLY = "belongs in the main file, not in a fragment"
_FRAGMENT_SERVICE_NAME = dataclasses.replace(LABEL_NAME, reserved=(*RESERVED, "proxy", "sshd"))
_FRAGMENT_SERVICES = Key(MapOf(_FRAGMENT_SERVICE_NAME, SERVICE.without({"address": _MAIN_FILE_ONLY})), "This fragment's own services.")
_FRAGMENT_REFUSED = dict.fromkeys(("ingress", "networks", "clusters", "entrypoints", "firewall"), _MAIN_FILE_ONLY)
_FRAGMENT_CHANGES = Struct(
    {"services": _FRAGMENT_SERVICES, "routes": BASE_KEYS["routes"]},
    {
        **{name: "a fragment's environments change its own services and routes only" for name in BASE_KEYS if name not in ("services", "routes")},
        **_NOT_IN_ENVIRONMENTS,
    },
).partial()
FRAGMENT = Struct(
    {
        "version": VERSION_KEY,
        "domain": BASE_KEYS["domain"],
        **DEFAULTS,
        "namespace": Key(LABEL_NAME, "The fragment's namespace.", required=True, missing="is required: a fragment names its namespace"),
        "services": _FRAGMENT_SERVICES,
        "routes": BASE_KEYS["routes"],
        "rate_limits": BASE_KEYS["rate_limits"],
        "environments": Key(MapOf(OTHER_NAME, _FRAGMENT_CHANGES), "Changes to this fragment's own services and routes."),
    },
    _FRAGMENT_REFUSED,
)
