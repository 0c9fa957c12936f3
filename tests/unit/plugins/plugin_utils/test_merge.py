# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Main file, fragments, environment and defaults become one map: the nearest statement wins, and says where it stands."""

from __future__ import annotations

import textwrap
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.plugin_utils._build import compile_map
from ansible_collections.alfred.portmap.plugins.plugin_utils._model import PortMap


def documents(main: str, *fragments: str) -> list[dict[str, str]]:
    names = ["m.yml", *(f"d/{index}.yml" for index in range(len(fragments)))]
    return [
        {"path": name, "text": "port_map:\n  version: 1\n" + textwrap.indent(textwrap.dedent(text).strip("\n"), "  ") + "\n"}
        for name, text in zip(names, (main, *fragments))
    ]


def merged(main: str, *fragments: str, environment: str | None = "e") -> PortMap:
    port_map, problems = compile_map(documents(main, *fragments), environment)
    assert port_map is not None and [str(problem) for problem in problems.errors] == []
    return port_map


def errors(main: str, *fragments: str, environment: str | None = "e") -> list[str]:
    _port_map, problems = compile_map(documents(main, *fragments), environment)
    return [str(problem) for problem in problems.errors]


# the order, each pair of neighbours once: the nearer one wins

ORDER = ["environment's service key", "service key", "fragment default", "environment default", "map default", "built in"]


@pytest.mark.parametrize("nearest", range(len(ORDER)), ids=ORDER)
@pytest.mark.parametrize("key", ["bind", "hosts", "container"])
def test_nearest_wins(nearest: int, key: str) -> None:
    """All levels below the nearest one say something else, all above nothing."""
    if key == "container":  # two values only: the level in question says the opposite of all below it
        values: list[t.Any] = ["true" if level == nearest else "false" for level in range(5)]
    else:
        values = [f"level{level}" for level in range(5)]

    def at(level: int) -> str:
        return f"{key}: {values[level]}" if level >= nearest else ""

    nets = ", ".join(f"level{level}: 10.0.{level}.0/24" for level in range(5))
    main = f"networks: {{{nets}}}\n{at(4)}\nservices: {{other: {{port: 1, hosts: x, bind: any}}}}\nenvironments:\n  e: {{{at(3)}}}\n"
    fragment = f"namespace: shop\n{at(2)}\nservices:\n  api: {{port: 80, {at(1)}}}\nenvironments:\n  e: {{services: {{api: {{{at(0)}}}}}}}\n"
    service = merged(main, fragment).services["api"]
    found = {"bind": service.ports[""].bind, "hosts": service.hosts, "container": service.container}[key]
    if nearest == 5:
        assert found == {"bind": "any", "hosts": None, "container": False}[key]
    else:
        assert found == {"bind": f"level{nearest}", "hosts": (f"level{nearest}",), "container": True}[key]


def test_namespace_and_domain_have_their_defaults() -> None:
    found = merged(
        """
        namespace: base
        domain: example.net
        ingress: traefik
        hosts: h
        services:
          api: {port: 80, protocol: http}
          lone: {port: 81, namespace: none}
          proxy: {port: 82}
          sshd: {port: 22}
        entrypoints: {websecure: {port: 443, tls: true}}
        routes: {api: {host: api, service: api}}
        environments: {e: {namespace: changed, domain: e.example.net}}
        """,
        "namespace: shop\nservices: {web: {port: 90, protocol: http}}\nroutes: {web: {host: www, service: web}}",
        "namespace: crm\ndomain: crm.example\nservices: {crm: {port: 91, protocol: http}}\nroutes: {crm: {host: www, service: crm}}",
    )
    assert {name: service.namespace for name, service in found.services.items()} == {
        "api": "changed",
        "lone": None,
        "proxy": None,
        "sshd": None,
        "web": "shop",
        "crm": "crm",
    }
    assert {name: route.host for name, route in found.routes.items()} == {"api": "api.e.example.net", "web": "www.e.example.net", "crm": "www.crm.example"}
    assert found.domain == "e.example.net"


def test_proxy_and_sshd_may_name_a_namespace() -> None:
    found = merged("namespace: base\nservices: {sshd: {port: 22, hosts: a, namespace: admin}}", environment=None)
    assert found.services["sshd"].namespace == "admin"


CHANGED = """
hosts: h
networks: {a: [10.0.0.0/8, 192.0.2.1], b: 198.51.100.1}
services:
  web: {port: 3000, ports: {metrics: 9000, admin: {port: 9001, bind: loopback}}, from: [namespace, db], namespace: n}
  db: {port: 5432, container_port: 5000, namespace: n}
entrypoints: {}
firewall:
  ingress:
    - {name: one, port: [80, 443], from: a, hosts: h}
    - {name: two, service: web, from: b}
  egress:
    - {name: dns, port: 53, transport: udp, to: b}
  internal: {same_namespace: allow, scrape: {from: db}}
environments:
  e:
    networks: {a: 203.0.113.1}
    container: true
    services:
      web: {port: 3001, ports: {metrics: 9100, admin: {port: 9101}}, from: self}
    firewall:
      ingress: [{name: two, from: a}, {name: one, port: 8080}]
      egress: [{name: dns, enabled: false}]
      internal: {scrape: {path: /m}}
"""


def test_mappings_merge_by_key_rules_by_name_and_other_lists_are_replaced() -> None:
    found = merged(CHANGED)
    web = found.services["web"]
    assert {name: str(port.span) for name, port in web.ports.items()} == {"": "3001", "metrics": "9100", "admin": "9101"}
    assert web.ports["admin"].bind == "loopback", "a key that the change does not name stays"
    assert web.ports[""].callers == ("self",), "a list is replaced"
    assert [member.cidr for member in found.networks["a"].members] == ["203.0.113.1"], "a network is replaced"
    assert found.firewall is not None and found.firewall.egress == ()
    assert [(rule.name, rule.networks, [str(port) for port in rule.ports]) for rule in found.firewall.ingress] == [
        ("one", ("a",), ["8080"]),
        ("two", ("a",), []),
    ]
    assert found.firewall.scrape is not None and (found.firewall.scrape.service, found.firewall.scrape.path) == ("db", "/m")
    assert found.firewall.same_namespace


def test_container_port_is_the_port_as_the_base_map_has_it() -> None:
    found = merged(CHANGED)
    web = found.services["web"]
    assert {name: str(port.container_port) for name, port in web.ports.items()} == {"": "3000", "metrics": "9000", "admin": "9001"}
    assert str(found.services["db"].ports[""].container_port) == "5000"
    lone = merged("services: {a: {port: none}}", environment=None)
    assert lone.services["a"].ports[""].container_port is None


def test_every_value_knows_the_statement_that_won() -> None:
    found = merged(CHANGED)
    assert found.services["web"].ports[""].origin.path == "environments.e.services.web.port"
    assert found.services["web"].ports["metrics"].origin.path == "environments.e.services.web.ports.metrics"
    assert found.services["db"].ports[""].origin.path == "services.db.port"
    hosts = found.places.origin(("services", "db", "hosts"))
    assert hosts.path == "hosts", "a default stands where it is written"
    assert (hosts.line, found.services["db"].origin.line) == (3, 7)
    assert found.networks["a"].origin.path == "environments.e.networks.a"
    assert found.firewall is not None
    assert [rule.origin.path for rule in found.firewall.ingress] == ["firewall.ingress[0]", "firewall.ingress[1]"]


def test_without_the_environment_nothing_of_it_is_seen() -> None:
    found = merged(CHANGED + "  other: {}\n", environment="other")
    assert str(found.services["web"].ports[""].span) == "3000" and not found.services["web"].container
    assert "203.0.113.1" not in str(found.networks)


def test_an_environment_can_switch_off_whole_parts() -> None:
    found = merged("hosts: h\nservices: {a: {port: 1}}\nfirewall: {ingress: [], egress: []}\nenvironments: {e: {firewall: none, ingress: none}}")
    assert found.firewall is None and found.ingress == "none"


def test_egress_may_be_opened_by_an_environment() -> None:
    found = merged("networks: {n: 10.0.0.1}\nfirewall: {ingress: [], egress: [{name: a, port: 1, to: n}]}\nenvironments: {e: {firewall: {egress: allow}}}")
    assert found.firewall is not None and found.firewall.egress is None


def test_where_a_service_runs_can_be_changed_from_hosts_to_a_cluster() -> None:
    found = merged(
        """
        networks: {nodes: 10.0.0.0/8}
        clusters: {main: {addresses: nodes}}
        namespace: n
        services: {a: {port: 80, hosts: h}}
        environments: {e: {services: {a: {cluster: main}}}}
        """
    )
    assert (found.services["a"].cluster, found.services["a"].hosts) == ("main", None)


def test_short_forms_can_be_changed_by_key() -> None:
    found = merged(
        """
        ingress: traefik
        networks: {cdn: 10.0.0.0/8, n: 10.0.0.1}
        services: {proxy: {port: 8880, hosts: edge}}
        entrypoints: {websecure: {port: 443, tls: true, proxies_in_front: cdn}}
        firewall: {ingress: {name: a, port: 443, from: n}, egress: {name: b, port: 443, to: n}}
        environments: {e: {entrypoints: {websecure: {proxies_in_front: {depth: 2}}}, firewall: {ingress: {name: a, port: 444}}}}
        """
    )
    front = found.entrypoints["websecure"].proxies_in_front
    assert front is not None and (front.networks, front.depth) == (("cdn",), 2)
    assert found.firewall is not None and str(found.firewall.ingress[0].ports[0]) == "444"


@pytest.mark.parametrize(
    ("change", "path", "rule"),
    [
        ("services: {webb: {port: 1}}", "services.webb", "webb is not in the base map, did you mean 'web'?"),
        ("services: {mail: {port: 1}}", "services.mail", "an environment adds nothing: declare it there with `enabled: false`, enable it here"),
        ("services: {web: {ports: {more: 1}}}", "services.web.ports.more", "more is not in the base map"),
        ("services: {db: {ports: {more: 1}}}", "services.db.ports.more", "more is not in the base map"),
        ("networks: {c: 10.0.0.1}", "networks.c", "c is not in the base map"),
        ("routes: {r: {host: a}}", "routes.r", "r is not in the base map"),
        ("rate_limits: {r: {burst: 1}}", "rate_limits.r", "r is not in the base map"),
        ("clusters: {k: {addresses: a}}", "clusters.k", "k is not in the base map"),
        ("entrypoints: {k: {port: 1}}", "entrypoints.k", "k is not in the base map"),
        ("firewall: {ingress: [{name: three, port: 1}]}", "firewall.ingress[0]", "three is not in the base map"),
        ("firewall: {egress: {name: dnss, port: 1}}", "firewall.egress", "dnss is not in the base map, did you mean 'dns'?"),
    ],
)
def test_an_environment_adds_nothing(change: str, path: str, rule: str) -> None:
    """Also one that is not in use: who writes it is told now."""
    for environment in ("e", "other"):
        found = errors(CHANGED + f"  other: {{{change}}}\n", environment=environment)
        assert len(found) == 1 and f" environments.other.{path}: " in found[0] and rule in found[0], found


def test_an_environment_cannot_bring_a_firewall_into_a_map_without() -> None:
    (found,) = errors("environments: {e: {firewall: {ingress: [], egress: []}}}")
    assert found == ("m.yml:3: environments.e.firewall: the base map has no firewall: write it there, and `firewall: none` in the environments without")


def test_a_change_may_break_a_map_and_is_told_so() -> None:
    found = errors(CHANGED.replace("{name: two, from: a}", "{name: two, from: a, port: 80}"))
    assert len(found) == 1 and "environments.e.firewall.ingress[0]" not in found[0].split(": ")[0]
    assert "write one of the two" in found[0]


@pytest.mark.parametrize("wrong", ["", "[]", "x", "true", "[{name: a}]"])
@pytest.mark.parametrize("section", ["networks", "clusters", "services", "entrypoints", "rate_limits", "routes"])
def test_a_section_of_an_environment_that_is_no_mapping_is_one_error(section: str, wrong: str) -> None:
    (found,) = errors(f"services: {{a: {{port: 1, hosts: h}}}}\nenvironments: {{e: {{{section}: {wrong}}}}}")
    assert f" environments.e.{section}" in found


def test_an_environment_can_neither_redefine_anywhere_nor_has_to_leave_it_out() -> None:
    text = "services: {}\nenvironments: {e: {networks: {anywhere: %s}}}"
    (found,) = errors(text % "10.0.0.0/8")
    assert "environments.e.networks.anywhere: `anywhere` is 0.0.0.0/0 and ::/0 and nothing else" in found
    assert errors(text % "[0.0.0.0/0, '::/0']") == []


# fragments

FRAGMENT = "namespace: shop\nhosts: vm1\nservices: {web: {port: 80, protocol: http}}\nroutes: {}\nrate_limits: {calm: {average: 1}}"


@pytest.mark.parametrize(
    ("main", "path"),
    [
        ("services: {web: {port: 1, hosts: a}}", "services.web"),
        ("rate_limits: {calm: {average: 1}}", "rate_limits.calm"),
    ],
)
def test_a_name_belongs_to_one_file(main: str, path: str) -> None:
    (found,) = errors(main, FRAGMENT, environment=None)
    assert found.startswith("d/0.yml:") and f": {path}: is in m.yml:3 too: a name belongs to one file" in found


@pytest.mark.parametrize("main", ["namespace: shop", "services: {a: {port: 1, hosts: h, namespace: shop}}"])
def test_a_namespace_belongs_to_one_file(main: str) -> None:
    (found,) = errors(main, FRAGMENT, environment=None)
    assert found == "d/0.yml:3: namespace = 'shop': belongs to m.yml:3 already: a namespace belongs to one file"


def test_two_fragments_cannot_share_a_namespace() -> None:
    (found,) = errors("services: {}", FRAGMENT, "namespace: shop\nservices: {other: {port: 1, hosts: a}}", environment=None)
    assert found.startswith("d/1.yml:3: namespace = 'shop': belongs to d/0.yml:3")


def test_a_fragments_services_stay_in_its_namespace() -> None:
    (found,) = errors("namespace: base", FRAGMENT.replace("protocol: http", "namespace: base"), environment=None)
    assert found == "d/0.yml:5: services.web.namespace = 'base': a fragment's services are in its own namespace, shop, or in none"


@pytest.mark.parametrize("environment", ["e", "other"])
def test_nor_do_they_leave_it_in_an_environment(environment: str) -> None:
    main = "namespace: base\nenvironments: {e: {}, other: {}}"
    (found,) = errors(main, FRAGMENT + "\nenvironments: {e: {services: {web: {namespace: base}}}}", environment=environment)
    rule = "a fragment's services are in its own namespace, shop, or in none"
    assert found == f"d/0.yml:8: environments.e.services.web.namespace = 'base': {rule}"
    assert errors(main, FRAGMENT + "\nenvironments: {e: {services: {web: {namespace: none}}}}", environment=environment) == []


@pytest.mark.parametrize("claim", ["namespace: shop", "services: {a: {namespace: shop}}"])
@pytest.mark.parametrize("environment", ["e", "other"])
def test_a_claim_to_a_namespace_may_stand_in_an_environment(claim: str, environment: str) -> None:
    (found,) = errors(f"services: {{a: {{port: 1, hosts: h}}}}\nenvironments: {{other: {{}}, e: {{{claim}}}}}", FRAGMENT, environment=environment)
    assert found == "d/0.yml:3: namespace = 'shop': belongs to m.yml:4 already: a namespace belongs to one file"


def test_the_main_file_may_say_the_namespace_of_a_fragments_service() -> None:
    assert errors("environments: {e: {services: {web: {namespace: shop}}}}", FRAGMENT) == []


@pytest.mark.parametrize("wrong", ["", "[]", "x", "true"])
@pytest.mark.parametrize("section", ["services", "routes"])
def test_a_section_of_a_fragments_environment_that_is_no_mapping_is_one_error(section: str, wrong: str) -> None:
    (found,) = errors("environments: {e: {}}", FRAGMENT + f"\nenvironments: {{e: {{{section}: {wrong}}}}}")
    assert f" environments.e.{section}" in found


ROUTED = """
ingress: traefik
domain: example.net
services: {proxy: {port: 8880, hosts: edge}, api: {port: 80, protocol: http, hosts: a}}
entrypoints: {s: {port: 443, tls: true}}
"""


def test_a_fragments_routes_lead_to_its_own_services() -> None:
    (found,) = errors(ROUTED, FRAGMENT.replace("routes: {}", "routes: {r: {host: r, service: api}}"), environment=None)
    assert "routes.r.service = 'api': is not of this fragment: a fragment's routes lead to its own services" in found
    mine = merged(ROUTED, FRAGMENT.replace("routes: {}", "routes: {r: {host: r, service: web}}"), environment=None)
    assert mine.routes["r"].host == "r.example.net"


def test_a_fragments_environment_changes_its_own_only() -> None:
    main = "services: {api: {port: 1, hosts: a}}\nenvironments: {e: {}}"
    good = merged(main, FRAGMENT + "\nenvironments: {e: {services: {web: {port: 81}}}}")
    assert str(good.services["web"].ports[""].span) == "81"
    (found,) = errors(main, FRAGMENT + "\nenvironments: {e: {services: {api: {port: 81}}}}")
    assert "environments.e.services.api: belongs to m.yml: a fragment's environments change its own only" in found
    (found,) = errors(main, FRAGMENT + "\nenvironments: {f: {}}")
    assert "environments.f: the main file has no such environment (there: e)" in found


def test_the_main_file_may_change_a_fragments_service_and_the_fragment_is_nearer() -> None:
    main = "environments: {e: {services: {web: {port: 82, bind: loopback}}}}"
    found = merged(main, FRAGMENT + "\nenvironments: {e: {services: {web: {port: 81}}}}").services["web"].ports[""]
    assert (str(found.span), found.bind) == ("81", "loopback")


def test_a_broken_fragment_does_not_hide_the_rest() -> None:
    port_map, problems = compile_map([*documents("services: {a: {port: 1, hosts: h}}"), {"path": "d/x.yml", "text": "port_map: ["}], None)
    assert port_map is not None and list(port_map.services) == ["a"]
    assert len(problems.errors) == 1 and problems.errors[0].origin.file == "d/x.yml"


# what templates see


def test_data_is_the_merged_map_as_plain_data() -> None:
    data = merged(CHANGED.replace("db: {port: 5432,", "idle: {port: 9, enabled: false}\n  db: {port: 5432,")).data
    assert data["services"]["web"]["port"] == 3001 and data["services"]["web"]["hosts"] == "h"
    assert data["services"]["web"]["ports"]["metrics"] == {"port": 9100, "container_port": 9000}
    assert data["services"]["db"]["bind"] == "any"
    assert "idle" not in data["services"] and "environments" not in data
    assert data["version"] == 1


def test_anchors_may_be_shared_without_changes_leaking() -> None:
    found = merged(
        """
        hosts: h
        services:
          a: &a {port: 1, ports: {m: {port: 2}}}
          b: {<<: *a, port: 3}
        environments: {e: {services: {a: {ports: {m: 9}}}}}
        """
    )
    assert (str(found.services["a"].ports["m"].span), str(found.services["b"].ports["m"].span)) == ("9", "2")
