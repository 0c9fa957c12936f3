# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes of single values: what is accepted, and the words with which the rest is refused."""

from __future__ import annotations

import textwrap

import jsonschema
import pytest

from ansible_collections.alfred.portmap.plugins.plugin_utils import _spec as spec
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Problems
from ansible_collections.alfred.portmap.plugins.plugin_utils._schema import schema
from ansible_collections.alfred.portmap.plugins.plugin_utils._shapes import Context, Struct
from ansible_collections.alfred.portmap.plugins.plugin_utils._source import load

VALIDATORS = {True: jsonschema.Draft7Validator(schema()), False: jsonschema.Draft7Validator(schema(spec.FRAGMENT))}


def errors(text: str, top: Struct = spec.MAIN) -> list[str]:
    """path: rule of every error of a map; `text` is what stands below `version: 1`. The schema has to agree."""
    problems = Problems()
    source = load({"path": "m.yml", "text": "port_map:\n  version: 1\n" + textwrap.indent(textwrap.dedent(text), "  ")}, problems)
    assert source is not None
    context = Context(source, problems)
    top.check(source.data, (), context)
    if context.visible or not context.beyond:
        assert VALIDATORS[top is spec.MAIN].is_valid({"port_map": source.data}) != context.visible
    return [f"{problem.origin.path}: {problem.rule}" for problem in problems.errors]


def service(keys: str) -> list[str]:
    return errors(f"services: {{api: {{{keys}}}}}")


@pytest.mark.parametrize(
    "keys",
    [
        "port: 1",
        "port: 65535",
        "port: 80-90",
        'port: "80-90"',
        "port: none",
        "port: 80, transport: udp",
        "port: 80, transport: [tcp, udp]",
        "port: 80, protocol: mysql",
        "port: 80, health: /-/healthy",
        "port: 80, description: 'ünïcode: yes'",
        "port: 80, from: none",
        "port: 80, from: [namespace, self, a-b]",
        "port: 80, hosts: [core, Web_1.example.com]",
        "port: 80, hosts: all",
        "port: 80, hosts: none, address: '2001:db8::1'",
        "port: 80, address: [192.0.2.1, 192.0.2.2]",
        "port: 80, namespace: none",
        "port: 80, bind: any",
        "port: 80, bind: loopback",
        "port: 80, bind: inner_net",
        "port: 80, ports: {metrics: 9090, a: {port: 1-2, from: self}}",
        "port: 80, metrics: yes",
        "port: none, container_port: 3000",
    ],
)
def test_accepted_services(keys: str) -> None:
    assert service(keys) == []


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ("port: -1", "services.api.port: must be a port from 1 to 65535 or a range lo-hi, or none"),
        ("port: 80.5", "services.api.port: must be a port from 1 to 65535 or a range lo-hi, or none"),
        ("port: '80'", "services.api.port: must be a port from 1 to 65535 or a range lo-hi, or none: write it without quotes"),
        ("port: 080-090", "services.api.port: must be a port from 1 to 65535 or a range lo-hi, or none"),
        ("port: 80-80", "services.api.port: a range goes from a lower to a higher port, up to 65535"),
        ("port: 80-65536", "services.api.port: a range goes from a lower to a higher port, up to 65535"),
        ("port: http", "services.api.port: must be a port from 1 to 65535 or a range lo-hi, or none"),
        ("port: {lo: 1}", "services.api.port: must be a port from 1 to 65535 or a range lo-hi, or none"),
        ("", "services.api.port: is required: write none if it has no port on its host"),
        ("prot: 80", "services.api.prot: unknown key, did you mean 'port'?"),
        ("port: 80, transport: icmp", "services.api.transport: must be tcp or udp"),
        ("port: 80, transport: [tcp, TCP]", "services.api.transport[1]: must be tcp or udp"),
        ("port: 80, transport: []", "services.api.transport: is empty"),
        ("port: 80, protocol: HTTP", "services.api.protocol: must be the name of an application protocol"),
        ("port: 80, health: health", "services.api.health: must be a path that begins with /"),
        ("port: 80, health: /a b", "services.api.health: must be a path that begins with /"),
        ("port: 80, description: 3000", "services.api.description: must be one line of text (YAML reads this as a number: quote it)"),
        ("port: 80, description: ' '", "services.api.description: must be one line of text"),
        ("port: 80, from: [none]", "services.api.from[0]: none stands alone, without a list"),
        ("port: 80, from: []", "services.api.from: is empty: write none"),
        (
            "port: 80, from: all",
            "services.api.from: must be a service, namespace or self (for a network use firewall.ingress with `service`); all is not possible here",
        ),
        (
            "port: 80, from: no",
            "services.api.from: must be a service, namespace or self (for a network use firewall.ingress with `service`)"
            " (YAML reads this as a boolean: quote it)",
        ),
        ("port: 80, hosts: 'core:edge:!a'", "services.api.hosts: must be the exact name of an inventory group or host, or all (no patterns)"),
        ("port: 80, hosts: [core, none]", "services.api.hosts[1]: none stands alone, without a list"),
        (
            "port: 80, hosts: 12",
            "services.api.hosts: must be the exact name of an inventory group or host, or all (no patterns) (YAML reads this as a number: quote it)",
        ),
        ("port: 80, address: 192.0.2.0/24", "services.api.address: must be one address without a prefix"),
        ("port: 80, address: db.example.com", "services.api.address: looks like a DNS name: write addresses (a name may change after the policy is loaded)"),
        ("port: 80, container: 'true'", "services.api.container: must be true or false: write it without quotes"),
        ("port: 80, container: 1", "services.api.container: must be true or false"),
        ("port: 80, bind: 10.0.0.1", "services.api.bind: must be any, loopback or the name of a network"),
        (
            "port: 80, namespace: self",
            "services.api.namespace: must be a DNS label: lower case letters, digits and dashes; self is not possible here",
        ),
        ("port: 80, ports: {A: 1}", "services.api.ports.A: the name must be a DNS label: lower case letters, digits and dashes"),
        ("port: 80, ports: {any: 1}", "services.api.ports.any: the name any has a meaning of its own: choose another"),
        ("port: 80, ports: {a: none}", "services.api.ports.a: must be a port from 1 to 65535 or a range lo-hi"),
        ("port: 80, ports: {a: {bind: any}}", "services.api.ports.a.port: is required"),
        (
            "port: 80, ports: {a: {port: 1, hosts: b}}",
            "services.api.ports.a.hosts: unknown key; known here: port, transport, protocol, health, container_port, bind, owner, from, metrics",
        ),
    ],
)
def test_refused_services(keys: str, error: str) -> None:
    assert service(keys) == [error]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("ingress: [{name: a}]", "ingress: names the proxy: traefik, nginx or none; rules go under firewall.ingress"),
        ("ingress: traefic", "ingress: must be one of traefik, nginx, none, did you mean 'traefik'?"),
        ("ingress: haproxy", "ingress: must be one of traefik, nginx, none"),
        ("domain: Example.com", "domain: must be a DNS name in lower case"),
        ("domain: 192.0.2.1", "domain: must be a DNS name in lower case"),
        ("firewall: {ingress: []}", "firewall.egress: is required"),
        ("firewall: {ingres: [], egress: allow}", "firewall.ingres: unknown key, did you mean 'ingress'?"),
        ("firewall: deny", "firewall: must be none, or a mapping of ingress, egress, internal, ping"),
        ("firewall: {ingress: [], egress: deny}", "firewall.egress: must be allow, or a mapping of name, transport, hosts, enabled, port, to, a list of such"),
        ("firewall: {ingress: [], egress: [], ping: [none]}", "firewall.ping[0]: none stands alone, without a list"),
        ("firewall: {ingress: [{name: a, port: 1}], egress: []}", "firewall.ingress[0].from: is required"),
        ("firewall: {ingress: [{name: a, from: b}], egress: []}", "firewall.ingress[0]: needs port or service"),
        ("firewall: {ingress: [{name: a, from: b, port: 1, to: c}], egress: []}", "firewall.ingress[0].to: an ingress rule has `from`, no `to`"),
        ("firewall: {ingress: [{name: a, from: b, service: c, transport: udp}], egress: []}", "firewall.ingress[0].transport: is not possible beside service"),
        ("firewall: {ingress: [], egress: [{name: a, port: 1, to: b, from: c}]}", "firewall.egress[0].from: an egress rule has `to`, no `from`"),
        (
            "firewall: {ingress: [], egress: [{name: a, port: 1, to: 192.0.2.1}]}",
            "firewall.egress[0].to: must be the name of a network (addresses get a name under networks)",
        ),
        (
            "firewall: {ingress: [{name: a, from: none, port: 1}], egress: []}",
            "firewall.ingress[0].from: must be the name of a network (addresses get a name under networks); none is not possible here",
        ),
        ("firewall: {ingress: [], egress: [], internal: {same_namespace: true}}", "firewall.internal.same_namespace: must be allow or deny"),
        ("rate_limits: {a: {average: 0}}", "rate_limits.a.average: must be a whole number of at least 1"),
        ("rate_limits: {a: {average: '5'}}", "rate_limits.a.average: must be a whole number of at least 1: write it without quotes"),
        ("rate_limits: {a: {}}", "rate_limits.a.average: is required"),
        ("entrypoints: {web: {port: 80-90}}", "entrypoints.web.port: must be a whole number from 1 to 65535"),
        ("entrypoints: {web: {port: 80, proxies_in_front: {depth: 2}}}", "entrypoints.web.proxies_in_front.network: is required"),
        ("routes: {a: {host: a, service: b.c.d}}", "routes.a.service: must be a service or service.port"),
        ("routes: {a: {host: 'a:80', service: b}}", "routes.a.host: must be a DNS name in lower case"),
        ("routes: {a: {host: '*.example.com', service: b}}", "routes.a.host: must be a DNS name in lower case"),
        ("routes: {a: {host: 203.0.113.1, service: b}}", "routes.a.host: must be a DNS name in lower case"),
        ("routes: {a: {host: a, service: b, path: api}}", "routes.a.path: must be a path that begins with /"),
        ("networks: {all: [10.0.0.0/8]}", "networks.all: the name all has a meaning of its own: choose another"),
        (
            "networks: {a: {hosts: none}}",
            "networks.a.hosts: must be the exact name of an inventory group or host, or all (no patterns); none is not possible here",
        ),
        ("networks: {a: 10.0.0.0/255.0.0.0}", "networks.a: write the prefix as a number: 10.0.0.0/8"),
        ("networks: {a: 10.0.0.300}", "networks.a: is no IPv4 or IPv6 address or CIDR"),
        ("networks: {a: '::ffff:0:0/96'}", "networks.a: is an IPv4 address in IPv6 clothes (v4-mapped): write the IPv4 address"),
        ("clusters: {a: {}}", "clusters.a.addresses: is required"),
        ("environments: {a: {version: 1}}", "environments.a.version: an environment has no version of its own"),
        ("environments: {a: {environments: {}}}", "environments.a.environments: environments do not nest"),
        ("environments: {a: {firewall: {egress: [{enabled: false}]}}}", "environments.a.firewall.egress[0].name: is required"),
        ("environments: {a: {networks: {b: {}}}}", "environments.a.networks.b.hosts: is required"),
        ("environments: {a: {services: {b: {port: 0}}}}", "environments.a.services.b.port: must be a port from 1 to 65535 or a range lo-hi, or none"),
        (
            "nonsense: 1",
            "nonsense: unknown key; known here: version, domain, namespace, hosts, bind, container, ingress, networks, clusters, services,"
            " entrypoints, rate_limits, routes, firewall, environments",
        ),
        ("service: {}", "service: unknown key, did you mean 'services'?"),
    ],
)
def test_refused_maps(text: str, error: str) -> None:
    assert errors(text) == [error]


@pytest.mark.parametrize(
    "text",
    [
        "environments: {a: {services: {b: {enabled: true}}}}",
        "environments: {a: {firewall: {ingress: [{name: x, enabled: false}], egress: [{name: y, port: 1}]}}}",
        "environments: {a: {firewall: {ping: none}}}",
        "environments: {a: {entrypoints: {web: {port: 8080, proxies_in_front: {depth: 2}}}}}",
        "environments: {a: {rate_limits: {x: {burst: 5}}, routes: {r: {auth: true}}}}",
        "environments: {a: {services: {b: {ports: {metrics: 1}}, c: {ports: {metrics: {bind: any}}}}}}",
        "networks: {anywhere: [0.0.0.0/0, '::/0']}",
        "networks: {a: {hosts: bastion}, b: a, c: [a, 10.0.0.0/8, '2001:db8::1']}",
        "firewall: {ingress: {name: a, port: 1, from: b}, egress: {name: a, port: [1, 2-3], to: b}}",
        "routes: {a: {host: [a, b.example.com], service: api.metrics, auth: team, from: [x, y]}}",
    ],
)
def test_accepted_maps(text: str) -> None:
    assert errors(text) == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("services: {}", "namespace: is required: a fragment names its namespace"),
        ("namespace: none", "namespace: must be a DNS label: lower case letters, digits and dashes; none is not possible here"),
        ("namespace: a\nnetworks: {b: 10.0.0.0/8}", "networks: belongs in the main file, not in a fragment"),
        ("namespace: a\nentrypoints: {b: {port: 1}}", "entrypoints: belongs in the main file, not in a fragment"),
        ("namespace: a\nfirewall: none", "firewall: belongs in the main file, not in a fragment"),
        ("namespace: a\nclusters: {}", "clusters: belongs in the main file, not in a fragment"),
        ("namespace: a\ningress: traefik", "ingress: belongs in the main file, not in a fragment"),
        ("namespace: a\nservices: {b: {port: 1, address: 192.0.2.1}}", "services.b.address: belongs in the main file, not in a fragment"),
        ("namespace: a\nservices: {sshd: {port: 22}}", "services.sshd: the name sshd has a meaning of its own: choose another"),
        ("namespace: a\nservices: {proxy: {port: 22}}", "services.proxy: the name proxy has a meaning of its own: choose another"),
        ("namespace: a\nenvironments: {x: {hosts: b}}", "environments.x.hosts: a fragment's environments change its own services and routes only"),
        (
            "namespace: a\nenvironments: {x: {services: {b: {address: 192.0.2.1}}}}",
            "environments.x.services.b.address: belongs in the main file, not in a fragment",
        ),
    ],
)
def test_fragments_hold_less(text: str, error: str) -> None:
    assert errors(text, spec.FRAGMENT) == [error]
