# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: from map and inventory to policies, routes and listeners, statement by statement of the format's section (c)."""

from __future__ import annotations

import json
import pathlib
import textwrap
import typing as t

import pytest
import yaml

from ansible_collections.alfred.portmap.plugins.module_utils._policy import Policy
from ansible_collections.alfred.portmap.plugins.plugin_utils._host_plan import host_plan
from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import PlanError, examine, make_plan
from ansible_collections.alfred.portmap.plugins.plugin_utils._source import read_documents
from ansible_collections.alfred.portmap.plugins.plugin_utils._temporary import Temporary

Data = dict[str, t.Any]


def inventory(groups: dict[str, list[str]], addresses: dict[str, t.Any] | None = None, **entries: Data) -> Data:
    """Inventory data; hosts get 203.0.113.N and 2001:db8:1::N in the order of their names, unless told."""
    names = sorted({host for members in groups.values() for host in members} | set(entries))
    hosts = {
        name: {"addresses": [f"203.0.113.{10 + index}", f"2001:db8:1::{10 + index}"], "managed": True, **entries.get(name, {})}
        for index, name in enumerate(names)
    }
    for name, stated in (addresses or {}).items():
        hosts[name]["addresses"] = stated
    return {"hosts": hosts, "groups": groups}


def documents(text: str, **fragments: str) -> list[dict[str, str]]:
    """A map's documents; `text` is what stands below `port_map:` (flow or block)."""
    return [{"path": "port_map.yml", "text": "port_map:\n  version: 1\n" + _indent(text)}] + [
        {"path": f"port_map.d/{name}.yml", "text": "port_map:\n  version: 1\n" + _indent(body)} for name, body in fragments.items()
    ]


def _indent(text: str) -> str:
    return textwrap.indent(textwrap.dedent(text).strip("\n"), "  ") + "\n"


def plan(text: str, stock: Data, environment: str | None = None) -> Data:
    return make_plan(documents(text), environment, stock)


def errors(text: str, stock: Data, environment: str | None = None) -> list[str]:
    found, _plan = examine(documents(text), environment, stock)
    return [str(problem) for problem in found.errors]


def notices(text: str, stock: Data) -> list[str]:
    found, _plan = examine(documents(text), None, stock)
    assert not found.errors, found.errors
    return [str(problem) for problem in found.notices]


def rules(made: Data, host: str, way: str) -> list[tuple[str, str, list[str]]]:
    """(ports/transport, name, networks) of a host's rules."""
    return [(f"{','.join(rule['ports'])}/{rule['transport']}", rule["name"], rule["networks"]) for rule in made["hosts"][host]["firewall"][way]]


TWO_TIERS = """
namespace: shop
services:
  api: {port: 8080, protocol: http, hosts: app}
  db: {port: 5432, protocol: postgresql, hosts: data}
firewall:
  ingress: []
  egress: []
  internal: {same_namespace: allow}
"""
TWO_TIERS_HOSTS = inventory({"app": ["app1", "app2"], "data": ["data1"]})


def test_same_namespace_opens_declared_ports_on_both_ends() -> None:
    made = plan(TWO_TIERS, TWO_TIERS_HOSTS)
    assert rules(made, "data1", "ingress") == [("5432/tcp", "db", ["namespace:shop"])]
    assert rules(made, "app1", "egress") == [("5432/tcp", "db", ["service:db"]), ("8080/tcp", "api", ["service:api"])]
    assert rules(made, "data1", "egress") == [("8080/tcp", "api", ["service:api"])], "its own db it reaches without leaving"
    assert made["networks"]["namespace:shop"] == [
        "203.0.113.10",
        "203.0.113.11",
        "203.0.113.12",
        "2001:db8:1::10",
        "2001:db8:1::11",
        "2001:db8:1::12",
    ]


def test_same_namespace_deny_opens_nothing_by_default_but_keeps_what_is_named() -> None:
    text = TWO_TIERS.replace("same_namespace: allow", "same_namespace: deny").replace("hosts: data}", "hosts: data, from: api}")
    made = plan(text, TWO_TIERS_HOSTS)
    assert rules(made, "data1", "ingress") == [("5432/tcp", "db", ["service:api"])]
    assert rules(made, "app1", "ingress") == []
    assert rules(made, "app1", "egress") == [("5432/tcp", "db", ["service:db"])]


def test_containers_rank_as_a_peer_with_the_same_services() -> None:
    made = plan(TWO_TIERS, TWO_TIERS_HOSTS)
    assert [rule["containers"] for rule in made["hosts"]["data1"]["firewall"]["ingress"]] == [True]
    named = plan(TWO_TIERS.replace("hosts: data}", "hosts: data, from: api}"), TWO_TIERS_HOSTS)
    by_name = {rule["name"]: rule["containers"] for rule in named["hosts"]["data1"]["firewall"]["ingress"]}
    assert by_name == {"db": False}, "data1 carries no api, so its containers may not call db"


def test_another_namespace_gets_in_only_where_it_is_named() -> None:
    text = """
    namespace: shop
    services:
      api: {port: 8080, hosts: app}
      payments: {port: 8443, protocol: https, hosts: pay, namespace: pay, from: [namespace, api]}
      ledger: {port: 8444, protocol: https, hosts: ledger, namespace: pay, from: payments}
    firewall: {ingress: [], egress: allow, internal: {same_namespace: allow}}
    """
    made = plan(text, inventory({"app": ["app1"], "pay": ["pay1"], "ledger": ["ledger1"]}))
    assert rules(made, "pay1", "ingress") == [("8443/tcp", "payments", ["namespace:pay", "service:api"])]
    assert rules(made, "ledger1", "ingress") == [("8444/tcp", "ledger", ["service:payments"])]
    assert made["hosts"]["app1"]["firewall"]["egress_default"] == "accept"
    assert made["hosts"]["app1"]["firewall"]["egress"] == [], "unfiltered egress needs no rules"


INFRASTRUCTURE = """
services:
  sshd: {port: 22, protocol: ssh, hosts: all}
networks:
  bastion: {hosts: bastion}
  operators: [203.0.113.64/27]
firewall:
  ingress:
    - {name: ssh, port: 22, transport: tcp, from: bastion}
    - {name: ssh-operators, service: sshd, from: operators, hosts: bastion}
  egress:
    - {name: dns, port: 53, transport: [udp, tcp], to: operators}
"""


def test_an_ingress_rule_lets_its_named_hosts_out_too() -> None:
    made = plan(INFRASTRUCTURE, inventory({"bastion": ["bastion1"], "core": ["core1"]}))
    assert rules(made, "core1", "ingress") == [("22/tcp", "ssh", ["bastion"])]
    assert rules(made, "bastion1", "ingress") == [("22/tcp", "ssh", ["bastion"]), ("22/tcp", "ssh-operators", ["operators"])]
    assert ("22/tcp", "ssh", ["hosts:all"]) in rules(made, "bastion1", "egress")
    assert rules(made, "core1", "egress") == [("53/tcp", "dns", ["operators"]), ("53/udp", "dns", ["operators"])]


def test_a_host_that_merely_lies_in_a_cidr_is_not_let_out() -> None:
    stock = inventory({"bastion": ["bastion1"], "core": ["core1"]}, {"core1": ["203.0.113.70"]})
    made = plan(INFRASTRUCTURE, stock)
    assert all(name != "ssh-operators" for _ports, name, _networks in rules(made, "core1", "egress"))


def test_unmanaged_hosts_have_no_plan_but_addresses() -> None:
    stock = inventory({"bastion": ["bastion1"], "core": ["core1"]}, outsider={"managed": False})
    made = plan(INFRASTRUCTURE, stock)
    assert sorted(made["hosts"]) == ["bastion1", "core1"]
    assert list(made["vantages"]) == ["outsider"]
    assert "203.0.113.12" not in made["networks"]["hosts:all"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("services: {db: {port: 5432, hosts: db, from: self}}\nfirewall: {ingress: [], egress: []}", ("5432/tcp", "db", ["service:db"])),
        (
            "namespace: n\nservices: {db: {port: 5432, hosts: db}}\nfirewall: {ingress: [], egress: [], internal: {same_namespace: allow}}",
            ("5432/tcp", "db", ["service:db"]),
        ),
        (
            "services: {db: {port: 9090, hosts: db, metrics: true}}\nfirewall: {ingress: [], egress: [], internal: {scrape: {from: db}}}",
            ("9090/tcp", "scrape db", ["service:db"]),
        ),
        (
            "networks: {n: {hosts: db}}\nfirewall: {ingress: [{name: r, port: 22, from: n, hosts: db}], egress: []}",
            ("22/tcp", "r", ["hosts:db"]),
        ),
    ],
    ids=["self", "namespace", "scrape", "port"],
)
def test_a_host_is_let_out_to_the_unmanaged_ones_that_share_its_service(text: str, rule: tuple[str, str, list[str]]) -> None:
    stock = inventory({"db": ["a", "b"]}, b={"managed": False})
    assert rules(plan(text, stock), "a", "egress") == [rule]
    assert rules(plan(text, inventory({"db": ["a"]})), "a", "egress") == [], "alone it calls itself only, without leaving"


def test_a_name_that_is_group_and_host_names_two_sets() -> None:
    text = """
    networks: {c: {hosts: c}}
    services: {s: {port: 99, hosts: both}}
    firewall: {ingress: [{name: one, port: 98, from: c, hosts: app}, {name: two, service: s, from: c, hosts: only}], egress: []}
    """
    made = plan(text, inventory({"app": ["a1"], "both": ["app", "b1"], "only": ["app"], "c": ["c1"]}))
    (_one, _name, [group]), (_two, _name, [host]) = rules(made, "c1", "egress")
    assert made["networks"][group] == made["hosts"]["a1"]["addresses"]
    assert made["networks"][host] == made["hosts"]["app"]["addresses"]


def test_a_virtual_ip_is_a_destination_and_the_hosts_stay_one() -> None:
    made = plan(TWO_TIERS.replace("hosts: data}", "hosts: data, address: 192.0.2.50}"), TWO_TIERS_HOSTS)
    assert ("5432/tcp", "db", ["service:db", "address:db"]) in rules(made, "app1", "egress")
    assert made["networks"]["address:db"] == ["192.0.2.50"]


def test_a_service_outside_the_inventory_is_called_at_its_address() -> None:
    text = TWO_TIERS.replace("hosts: data}", "hosts: none, address: 192.0.2.60}")
    made = plan(text, inventory({"app": ["app1", "app2"]}))
    assert ("5432/tcp", "db", ["address:db"]) in rules(made, "app1", "egress")


PROXIED = """
domain: example.net
namespace: shop
ingress: traefik
services:
  api: {port: 8080, protocol: http, health: /health, hosts: app}
  local: {port: 8081, protocol: http, bind: loopback, hosts: edge}
  proxy: {port: 8880, protocol: http, bind: loopback, hosts: edge, ports: {metrics: {port: 8881, bind: any}}}
entrypoints:
  web: {port: 80, redirect_to: websecure}
  websecure: {port: 443, tls: true}
rate_limits: {api: {average: 100}}
routes:
  api: {host: api, service: api, rate_limit: api}
  local: {host: local, service: local}
  board: {host: traefik, service: proxy, auth: true}
firewall:
  ingress: [{name: https, port: [80, 443], from: anywhere, hosts: edge}]
  egress: []
"""
PROXIED_HOSTS = inventory({"edge": ["edge1"], "app": ["app1", "app2"]}, edge1={"users": ["default"]})


def test_routes_open_the_way_from_the_proxy_and_name_their_backends() -> None:
    made = plan(PROXIED, PROXIED_HOSTS)
    assert rules(made, "app1", "ingress") == [("8080/tcp", "route api", ["service:proxy"])]
    assert rules(made, "edge1", "egress") == [("8080/tcp", "route api", ["service:api"])]
    ingress = made["hosts"]["edge1"]["ingress"]
    assert ingress["routes"]["api"]["backends"] == [{"address": "203.0.113.10", "port": 8080}, {"address": "203.0.113.11", "port": 8080}]
    assert ingress["routes"]["api"]["host"] == "api.example.net"
    assert ingress["routes"]["api"]["entrypoint"] == "websecure", "the target of the redirect is the default"
    assert ingress["routes"]["local"]["backends"] == [{"address": "127.0.0.1", "port": 8081}]
    assert ingress["routes"]["board"]["dashboard"] is True and ingress["routes"]["board"]["auth"] == "default"
    assert ingress["rate_limits"] == {"api": {"average": 100, "burst": 100}}
    assert ingress["entrypoints"]["web"]["redirect_to"] == {"entrypoint": "websecure", "port": 443}
    assert ingress["api"] == {"address": "127.0.0.1", "port": 8880}
    assert ingress["container"] is False
    assert made["hosts"]["app1"]["ingress"] is None


STREAMS = """
domain: example.net
namespace: shop
hosts: app
ingress: traefik
services:
  api: {port: 8080, protocol: http, health: /health}
  next: {port: 8090, protocol: http, health: /up}
  db: {port: 5432, protocol: postgresql}
  vault: {port: 8200, protocol: https}
  game: {port: 27015, transport: udp}
  proxy: {port: 8880, bind: loopback, hosts: edge, ports: {maintenance: {port: 8882, bind: loopback, protocol: http}}}
entrypoints:
  web: {port: 80, redirect_to: websecure}
  websecure: {port: 443, tls: true, http3: true}
  db: {port: 5432, protocol: tcp, tls: true}
  raw: {port: 5433, protocol: tcp}
  game: {port: 27015, protocol: udp}
routes:
  api: {host: api, service: api, canary: {service: next, weight: 5}, sticky: true}
  db: {host: db, service: db, entrypoint: db}
  vault: {host: vault, service: vault, entrypoint: db, passthrough: true}
  raw: {service: db, entrypoint: raw}
  game: {service: game, entrypoint: game}
networks: {office: [198.51.100.0/28], bastion: {hosts: bastion}}
firewall:
  ingress:
    - {name: https, port: [80, 443], from: anywhere, hosts: edge}
    - {name: db, port: 5432-5433, from: office, hosts: edge}
    - {name: inside, port: 443, from: bastion}
  egress: []
"""
STREAM_HOSTS = inventory({"edge": ["edge1"], "app": ["app1"], "bastion": ["bastion1"]})


def test_connections_and_datagrams_are_routed_too() -> None:
    made = plan(STREAMS, STREAM_HOSTS)
    ingress = made["hosts"]["edge1"]["ingress"]
    assert ingress["entrypoints"]["db"] == {
        "port": 5432,
        "protocol": "tcp",
        "tls": True,
        "http3": False,
        "redirect_to": None,
        "proxies_in_front": None,
    }
    assert {name: (route["host"], route["passthrough"], route["tls"]) for name, route in ingress["routes"].items()} == {
        "api": ("api.example.net", False, True),
        "db": ("db.example.net", False, True),
        "vault": ("vault.example.net", True, True),
        "raw": (None, False, False),
        "game": (None, False, False),
    }
    assert ingress["maintenance"] == {"address": "127.0.0.1", "port": 8882}
    assert rules(made, "edge1", "egress") == [
        ("5432/tcp", "route db", ["service:db"]),
        ("5432/tcp", "route raw", ["service:db"]),
        ("8080/tcp", "route api", ["service:api"]),
        ("8090/tcp", "route api", ["service:next"]),
        ("8200/tcp", "route vault", ["service:vault"]),
        ("27015/udp", "route game", ["service:game"]),
    ]


def test_a_canary_is_a_service_of_its_own() -> None:
    route = plan(STREAMS, STREAM_HOSTS)["hosts"]["edge1"]["ingress"]["routes"]["api"]
    address = route["backends"][0]["address"]
    assert route["canary"] == {"weight": 5, "protocol": "http", "health": "/up", "backends": [{"address": address, "port": 8090}]}
    assert (route["sticky"], route["backends"]) == (True, [{"address": address, "port": 8080}])


def test_http3_is_opened_to_whom_tcp_is_on_the_proxys_hosts_alone() -> None:
    made = plan(STREAMS, STREAM_HOSTS)
    assert [rule for rule in rules(made, "edge1", "ingress") if rule[0].endswith("/udp")] == [
        ("443/udp", "https", ["anywhere"]),
        ("443/udp", "inside", ["bastion"]),
    ]
    assert [rule for rule in rules(made, "app1", "ingress") if "443" in rule[0]] == [("443/tcp", "inside", ["bastion"])]
    assert ("443/udp", "inside", ["hosts:edge1"]) in rules(made, "bastion1", "egress")
    listeners = [(one["name"], one["transport"], one["ports"], one["exposure"]) for one in made["hosts"]["edge1"]["listeners"]]
    for expected in (
        ("entrypoint websecure", "tcp", "443", "public"),
        ("entrypoint websecure", "udp", "443", "public"),
        ("entrypoint db", "tcp", "5432", "internal"),
        ("entrypoint game", "udp", "27015", "internal"),
    ):
        assert expected in listeners


def owners(text: str) -> dict[str, list[str]]:
    """The owner of each listener of the edge."""
    return {one["name"]: one["owner"] for one in plan(text, STREAM_HOSTS)["hosts"]["edge1"]["listeners"]}


def test_who_must_hold_a_port_is_planned() -> None:
    assert set(map(tuple, owners(STREAMS).values())) == {()}, "a map that names nobody plans nobody"
    proxy = "proxy: {port: "
    assert STREAMS.count(proxy) == 1
    one = owners(STREAMS.replace(proxy, "proxy: {owner: traefik, port: "))
    assert set(map(tuple, one.values())) == {("traefik",)}, "further ports inherit it, and the entrypoints are the proxy's"
    assert STREAMS.count("{port: 8882, bind: loopback") == 1
    other = owners(STREAMS.replace(proxy, "proxy: {owner: [traefik, 'edge-*'], port: ").replace("{port: 8882,", "{owner: pages, port: 8882,"))
    assert other["entrypoint websecure"] == ["traefik", "edge-*"]
    assert other["proxy.maintenance"] == ["pages"]


@pytest.mark.parametrize("owner", ["[]", "{a: b}", "7", "['']", '"two\\nlines"'])
def test_an_owner_is_a_line_of_text_or_several(owner: str) -> None:
    assert errors(STREAMS.replace("proxy: {port: ", f"proxy: {{owner: {owner}, port: "), STREAM_HOSTS)


def test_the_page_server_is_for_the_proxy_alone() -> None:
    (problem,) = errors(STREAMS.replace("{port: 8882, bind: loopback", "{port: 8882, bind: any"), STREAM_HOSTS)
    assert "the maintenance page is for the proxy itself alone" in problem


@pytest.mark.parametrize(
    ("bind", "address"), [("any", ""), ("loopback", "127.0.0.1"), ("four", "203.0.113.11"), ("six", "2001:db8:1::11"), ("one", "198.51.100.7")]
)
def test_the_proxys_own_ports_listen_where_the_map_says_and_nowhere_else(bind: str, address: str) -> None:
    networks = 'networks: {four: [203.0.113.0/24], six: ["2001:db8:1::/64"], one: [198.51.100.7]}\n'
    text = networks + PROXIED.lstrip().replace("port: 8881, bind: any", f"port: 8881, bind: {bind}")
    stock = inventory({"edge": ["edge1"], "app": ["app1"]}, {"edge1": ["203.0.113.11", "2001:db8:1::11", "198.51.100.7"]}, edge1={"users": ["default"]})
    edge = plan(text, stock)["hosts"]["edge1"]
    assert edge["ingress"]["metrics"] == {"address": address, "port": 8881}
    (listener,) = [one for one in edge["listeners"] if one["name"] == "proxy.metrics"]
    assert listener["bind"] == (bind if bind in ("any", "loopback") else [address]), "what is served is what is verified"


def test_a_proxys_port_at_several_addresses_is_an_error() -> None:
    """One of them would leave out callers that the plan counts on, all of them would be wider than stated."""
    networks = 'networks: {inner: [203.0.113.0/24, "2001:db8:1::/64"]}\n'
    (found,) = errors(networks + PROXIED.lstrip().replace("port: 8881, bind: any", "port: 8881, bind: inner"), PROXIED_HOSTS)
    assert "services.proxy.ports.metrics" in found and "'inner'" in found
    assert "bind = 'inner': the proxy listens on one address here, and host edge1 has 203.0.113.12, 2001:db8:1::12 in that network" in found
    (none,) = errors(
        networks + PROXIED.lstrip().replace("port: 8881, bind: any", "port: 8881, bind: inner"),
        {**PROXIED_HOSTS, "hosts": {**PROXIED_HOSTS["hosts"], "edge1": {**PROXIED_HOSTS["hosts"]["edge1"], "addresses": ["192.0.2.1"]}}},
    )
    assert "host edge1 has no address in that network" in none


def test_the_proxys_api_is_on_loopback_only() -> None:
    for bind, value in (("", "any"), (", bind: any", "any"), (", bind: n", "n")):
        text = "networks: {n: [203.0.113.0/24]}\n" + PROXIED.lstrip().replace("port: 8880, protocol: http, bind: loopback", f"port: 8880, protocol: http{bind}")
        (found,) = errors(text, PROXIED_HOSTS)
        assert f"services.proxy.bind = '{value}': the proxy's API" in found and "write `bind: loopback`" in found


def test_the_proxys_own_ports_are_traefiks() -> None:
    text = PROXIED.replace("ingress: traefik", "ingress: nginx").replace("egress: []", "egress: []\n  internal: {scrape: {from: api}}")
    text = text.replace("firewall:\n", "  numbers: {host: numbers, service: proxy.metrics}\nfirewall:\n")
    text = text.replace("  ingress: [", "  ingress: [{name: api, service: proxy.metrics, from: anywhere}, ")
    made = plan(text, PROXIED_HOSTS)
    edge = made["hosts"]["edge1"]
    assert (edge["ingress"]["api"], edge["ingress"]["metrics"], list(edge["ingress"]["routes"])) == (None, None, ["api", "local"])
    assert [one["name"] for one in edge["listeners"]] == ["local", "entrypoint web", "entrypoint websecure"]
    assert [rule["name"] for rule in edge["firewall"]["ingress"]] == ["https"]
    assert [notice.partition(" ")[2] for notice in made["notices"]] == [
        "routes.board.service = 'proxy': the dashboard and metrics are Traefik's: this is left out under nginx",
        "routes.numbers.service = 'proxy.metrics': the dashboard and metrics are Traefik's: this is left out under nginx",
        "firewall.ingress[0].service = 'proxy.metrics': the proxy's own ports are Traefik's: this is left out under nginx",
    ]


def test_exposure_says_who_the_address_and_the_policy_let_in() -> None:
    made = plan(PROXIED, PROXIED_HOSTS)
    exposure = {item["name"]: item["exposure"] for item in made["hosts"]["edge1"]["listeners"]}
    assert exposure == {
        "local": "loopback",
        "proxy": "loopback",
        "proxy.metrics": "internal",
        "entrypoint web": "public",
        "entrypoint websecure": "public",
    }
    ssh = plan(INFRASTRUCTURE, inventory({"bastion": ["bastion1"], "core": ["core1"]}))
    assert [item["exposure"] for item in ssh["hosts"]["core1"]["listeners"]] == ["bastion"]
    halves = PROXIED.replace("from: anywhere", "from: halves").replace("ingress: traefik", "ingress: traefik\nnetworks: {halves: [0.0.0.0/1, 128.0.0.0/1]}")
    assert {item["exposure"] for item in plan(halves, PROXIED_HOSTS)["hosts"]["edge1"]["listeners"]} == {"loopback", "internal", "public"}


def test_an_unknown_list_of_users_is_an_error() -> None:
    stock = inventory({"edge": ["edge1"], "app": ["app1"]})
    assert any("routes.board" in text and "no such list of users" in text for text in errors(PROXIED, stock))


@pytest.mark.parametrize(
    ("old", "new", "needle"),
    [
        ("hosts: app}", "hosts: app, bind: loopback}", "listens on loopback only"),
        ("port: 8080, protocol: http, health: /health", "port: none, container_port: 8080, protocol: http, health: /health", "no port on its host"),
        ("port: 8080,", "port: 8080-8090,", "a range of ports is no backend"),
    ],
)
def test_a_backend_that_the_proxy_cannot_reach_is_an_error(old: str, new: str, needle: str) -> None:
    found = errors(PROXIED.replace(old, new), PROXIED_HOSTS)
    assert any("routes.api" in text and needle in text for text in found), found


@pytest.mark.parametrize(
    ("old", "new"),
    [("hosts: app}", "hosts: app, bind: loopback}"), ("hosts: app}", "cluster: k}")],
)
def test_a_backend_out_of_reach_is_told_once(old: str, new: str) -> None:
    text = "networks: {pods: 10.0.0.0/8}\nclusters: {k: {addresses: pods}}\n" + PROXIED.lstrip().replace(old, new)
    (found,) = errors(text, PROXIED_HOSTS)
    assert "routes.api.service = 'api': the proxy on edge1 can't reach api" in found


def test_a_range_in_a_container_network_is_no_backend() -> None:
    text = """
    hosts: vm1
    container: true
    ingress: traefik
    services: {proxy: {port: 8880, bind: loopback}, web: {port: none, container_port: 3000-3010, protocol: http}}
    entrypoints: {web: {port: 80}}
    routes: {web: {host: a.example, service: web}}
    """
    (found,) = errors(text, inventory({}, vm1={}))
    assert "a range of ports is no backend" in found


PROXY_OF_A_CLUSTER = """
ingress: traefik
networks: {pods: 10.0.0.0/8, others: 10.1.0.0/16}
clusters: {k: {addresses: pods}, other: {addresses: others}}
services:
  proxy: {port: none, cluster: k, namespace: proxy}
  web: {port: 80, protocol: http, hosts: app}
entrypoints: {web: {port: 80}}
routes: {web: {host: a.example, service: web}}
firewall: {ingress: [], egress: []}
"""


@pytest.mark.parametrize(
    ("old", "new", "needle"),
    [
        ("port: 80, protocol: http, hosts: app", "port: none, container_port: 80, protocol: http, hosts: app", "no port on its host"),
        ("port: 80, protocol: http, hosts: app", "port: 80-90, protocol: http, hosts: app", "a range of ports is no backend"),
        ("hosts: app", "hosts: app, bind: loopback", "it listens on loopback only, on app1"),
        ("hosts: app", "cluster: other, namespace: n", "it runs in cluster other and has no `address` outside it"),
        ("port: 80, protocol: http, hosts: app", "port: none, protocol: http, cluster: k, namespace: n", "it has no port"),
        ("service: web", "service: web, auth: team", "routes.web.auth = 'team': no host of this inventory has such a list of users"),
        ("hosts: app", "cluster: k, namespace: n", None),
        ("hosts: app", "cluster: other, namespace: n, address: 192.0.2.1", None),
        ("service: web", "service: web, auth: ops", None),
    ],
)
def test_routes_of_a_proxy_in_a_cluster_are_checked_too(old: str, new: str, needle: str | None) -> None:
    stock = inventory({"app": ["app1"]}, app1={"users": ["ops"]})
    assert errors(PROXY_OF_A_CLUSTER, stock) == []
    found = errors(PROXY_OF_A_CLUSTER.replace(old, new, 1), stock)
    assert len(found) == (needle is not None) and (needle or "") in "".join(found), found


def test_routes_of_a_proxy_on_unmanaged_hosts_are_checked_too() -> None:
    stock = inventory({"edge": ["edge1"], "app": ["app1"]}, edge1={"managed": False})
    (found,) = errors(PROXIED.replace("hosts: app}", "hosts: app, bind: loopback}"), stock)
    assert "the proxy on edge1 can't reach api: it listens on loopback only, on app1" in found


def test_containers_of_one_host_meet_under_their_names() -> None:
    text = """
    namespace: shop
    hosts: vm1
    container: true
    ingress: traefik
    services:
      proxy: {port: 8880, bind: loopback}
      web: {port: none, container_port: 3000, protocol: http}
      published: {port: 9000, container_port: 80, protocol: http}
    entrypoints: {websecure: {port: 443, tls: true}}
    routes:
      web: {host: shop.example.com, service: web}
      published: {host: published.example.com, service: published}
    firewall: none
    """
    made = plan(text, inventory({}, vm1={}))
    assert made["hosts"]["vm1"]["ingress"]["container"] is True
    routes = made["hosts"]["vm1"]["ingress"]["routes"]
    assert routes["web"]["backends"] == [{"address": "web", "port": 3000}]
    assert routes["published"]["backends"] == [{"address": "published", "port": 80}]
    assert made["hosts"]["vm1"]["firewall"] is None
    bare = text.replace("web: {port: none, container_port: 3000,", "web: {port: 3000, bind: loopback, container: false,")
    assert any("does not reach the loopback" in text for text in errors(bare, inventory({}, vm1={})))


def test_scraping_opens_every_metrics_port_from_the_scraper() -> None:
    text = """
    services:
      prometheus: {port: 9090, protocol: http, metrics: true, hosts: monitor, from: none}
      exporter: {port: 9100, protocol: http, metrics: true, hosts: all, namespace: none}
      app: {port: 8080, hosts: core, ports: {metrics: 9464}}
    firewall: {ingress: [], egress: [], internal: {scrape: {from: prometheus}}}
    """
    made = plan(text, inventory({"monitor": ["monitor1"], "core": ["core1"]}))
    assert rules(made, "core1", "ingress") == [
        ("9100/tcp", "scrape exporter", ["service:prometheus"]),
        ("9464/tcp", "scrape app.metrics", ["service:prometheus"]),
    ]
    assert rules(made, "monitor1", "egress") == [("9100/tcp", "scrape exporter", ["service:exporter"]), ("9464/tcp", "scrape app.metrics", ["service:app"])]


CLUSTER = """
domain: alfred.example.com
namespace: alfred-prod
networks: {nodes: {hosts: k8s_nodes}}
clusters: {main: {addresses: nodes}}
services:
  alfred-core: {port: 80, container_port: 8080, protocol: http, cluster: main, address: 198.51.100.80}
  db-postgres: {port: 5432, protocol: postgresql, hosts: data}
  batch: {port: none, hosts: jobs}
firewall: {ingress: [], egress: [], internal: {same_namespace: allow}}
"""
CLUSTER_HOSTS = inventory({"k8s_nodes": ["node1"], "data": ["data1"], "jobs": ["jobs1"]}, node1={"managed": False})


def test_a_cluster_is_one_source_and_is_called_at_its_address() -> None:
    made = plan(CLUSTER, CLUSTER_HOSTS)
    assert rules(made, "data1", "ingress") == [("5432/tcp", "db-postgres", ["namespace:alfred-prod", "nodes"])]
    assert rules(made, "jobs1", "egress") == [("80/tcp", "alfred-core", ["address:alfred-core"]), ("5432/tcp", "db-postgres", ["service:db-postgres"])]


def test_a_named_client_outside_the_cluster_needs_its_address() -> None:
    text = CLUSTER.replace(", address: 198.51.100.80}", ", from: batch}")
    assert any("alfred-core" in one and "`address`" in one for one in errors(text, CLUSTER_HOSTS))


def test_so_does_one_in_another_cluster() -> None:
    text = CLUSTER.replace("clusters: {main: {addresses: nodes}}", "clusters: {main: {addresses: nodes}, other: {addresses: nodes}}")
    text = text.replace(", address: 198.51.100.80}", ", from: [batch, inner]}").replace("port: none, hosts: jobs", "port: none, cluster: other")
    (found,) = errors(text.replace("firewall:", "  inner: {port: none, cluster: main}\nfirewall:"), CLUSTER_HOSTS)
    assert "services.alfred-core.from: alfred-core runs in cluster main: give it the `address`" in found
    inside = text.replace("from: [batch, inner]", "from: inner").replace("firewall:", "  inner: {port: none, cluster: main}\nfirewall:")
    assert errors(inside, CLUSTER_HOSTS) == []


def test_a_cluster_that_is_let_in_is_one_source_and_a_notice_says_so() -> None:
    said = "clusters.main: hosts see cluster main as one source: what lets one of its services in lets all in (db-postgres)"
    assert [one for one in notices(CLUSTER, CLUSTER_HOSTS) if "as one source" in one] == [f"port_map.yml:6: {said}"]
    named = CLUSTER.replace("same_namespace: allow", "same_namespace: deny").replace("hosts: data}", "hosts: data, from: alfred-core}")
    assert any(said in one for one in notices(named, CLUSTER_HOSTS))
    unheard = CLUSTER.replace("same_namespace: allow", "same_namespace: deny")
    assert not any("as one source" in one for one in notices(unheard, CLUSTER_HOSTS))


# conflicts

CLASH = """
services:
  grafana: {port: 3000, protocol: http, hosts: monitor}
  mission: {port: 3000, protocol: http, hosts: ui}
firewall: none
"""


def test_conflicts_are_found_on_the_hosts_where_they_meet() -> None:
    assert errors(CLASH, inventory({"monitor": ["monitor1"], "ui": ["ui1"]})) == []
    (found,) = errors(CLASH, inventory({"monitor": ["laptop"], "ui": ["laptop"]}))
    assert "services.mission.port" in found and "conflict on laptop" in found and "grafana" in found and "3000/tcp" in found
    assert found.startswith("port_map.yml:5: ")


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("port: 53, transport: udp", "port: 53, transport: tcp", False),
        ("port: 53, transport: [tcp, udp]", "port: 53, transport: tcp", True),
        ("port: 9000-9010", "port: 9005", True),
        ("port: 9000-9010", "port: 9011", False),
        ("port: 80, bind: loopback", "port: 80, bind: inner", False),
        ("port: 80, bind: loopback", "port: 80, bind: any", True),
        ("port: 80, bind: inner", "port: 80, bind: outer", False),
        ("port: 80, bind: inner", "port: 80, bind: inner", True),
    ],
)
def test_a_conflict_needs_transport_port_and_address_in_common(one: str, other: str, clash: bool) -> None:
    text = f"""
    networks: {{inner: [203.0.113.0/24], outer: [198.51.100.0/24]}}
    hosts: vm1
    services:
      one: {{{one}}}
      other: {{{other}}}
    firewall: none
    """
    found = errors(text, inventory({}, {"vm1": ["203.0.113.10", "198.51.100.10"]}, vm1={}))
    assert bool(found) == clash, found


def test_entrypoints_take_part_in_conflicts() -> None:
    found = errors(PROXIED.replace("local: {port: 8081, protocol: http, bind: loopback", "local: {port: 443, protocol: http, bind: any"), PROXIED_HOSTS)
    assert any("entrypoint websecure" in text and "local" in text for text in found), found


# placement and addresses


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        (TWO_TIERS.replace("hosts: data", "hosts: dta"), "did you mean 'data'"),
        (TWO_TIERS.replace("hosts: data", "hosts: void"), "no host of this inventory is in that group"),
        (TWO_TIERS.replace(", hosts: data", ""), "say where it runs"),
        (INFRASTRUCTURE.replace("from: bastion}", "from: bastion, hosts: nowhere}"), "no group or host"),
    ],
)
def test_hosts_that_no_inventory_host_matches_are_errors(text: str, needle: str) -> None:
    stock = inventory({"app": ["app1"], "data": ["data1"], "void": [], "bastion": ["bastion1"]})
    assert any(needle in one for one in errors(text, stock)), errors(text, stock)


def test_names_resolve_only_where_active() -> None:
    text = INFRASTRUCTURE.replace("firewall:\n", "environments: {development: {firewall: none}, production: {}}\nfirewall:\n")
    stock = inventory({"core": ["laptop"]})
    assert errors(text, stock, "development") == []
    assert any("bastion" in one for one in errors(text, stock, "production"))


def test_a_host_without_an_address_is_an_error_where_one_is_needed() -> None:
    stock = inventory({"app": ["app1"], "data": ["data1"]}, {"data1": []})
    with pytest.raises(PlanError) as failure:
        plan(TWO_TIERS, stock)
    assert "data1" in str(failure.value) and "port_map_addresses" in str(failure.value)
    found, _plan = examine(documents(TWO_TIERS), None, stock, addresses_final=False)
    assert not found.errors and any("data1" in str(one) for one in found.notices), "before facts are known it is a notice"


@pytest.mark.parametrize("bind", ["any", "n"])
@pytest.mark.parametrize("firewall", ["none", "{ingress: [], egress: []}"])
def test_a_missing_address_is_told_once_and_before_facts_are_known_as_a_notice(bind: str, firewall: str) -> None:
    text = f"""
    ingress: traefik
    networks: {{n: 203.0.113.0/24}}
    services: {{proxy: {{port: 8880, bind: loopback, hosts: edge}}, web: {{port: 80, protocol: http, hosts: app, bind: {bind}, from: proxy}}}}
    entrypoints: {{web: {{port: 80}}}}
    routes: {{web: {{host: a.example, service: web}}}}
    firewall: {firewall}
    """
    stock = inventory({"edge": ["edge1"], "app": ["app1"]}, {"app1": []})
    (found,) = errors(text, stock)
    assert "needs an address of host app1" in found
    problems, made = examine(documents(text), None, stock, addresses_final=False)
    assert not problems.errors and made is not None
    assert len([one for one in problems.notices if "app1" in str(one)]) == 1


def test_a_refused_address_is_not_missing_as_well() -> None:
    (found,) = errors(TWO_TIERS, inventory({"app": ["app1"], "data": ["data1"]}, {"data1": ["127.0.0.1"]}))
    assert "data1.port_map_addresses[0]" in found


@pytest.mark.parametrize("address", ["127.0.0.1", "core.example.com", "fe80::1", "::ffff:192.0.2.1", "fe80::1%eth0", "0.0.0.0", "203.0.113.300"])
def test_addresses_that_others_cannot_use_are_errors(address: str) -> None:
    found = errors(TWO_TIERS, inventory({"app": ["app1"], "data": ["data1"]}, {"data1": [address]}))
    assert any("data1.port_map_addresses[0]" in one and address in one for one in found), found


def test_one_address_on_two_hosts_is_an_error() -> None:
    found = errors(TWO_TIERS, inventory({"app": ["app1"], "data": ["data1"]}, {"app1": ["192.0.2.1"], "data1": ["192.0.2.1"]}))
    assert any("is also an address of host" in one for one in found)


def test_routed_containers_are_sources_too() -> None:
    stock = inventory({"app": ["app1"], "data": ["data1"]}, {"app1": ["192.0.2.1", "10.42.0.0/24"], "data1": ["192.0.2.2"]})
    assert "10.42.0.0/24" in plan(TWO_TIERS, stock)["networks"]["namespace:shop"]


def test_loopback_that_somebody_elsewhere_needs_is_an_error() -> None:
    text = TWO_TIERS.replace("hosts: data}", "hosts: data, bind: loopback, from: api}")
    assert any("loopback only" in one and "app1" in one for one in errors(text, TWO_TIERS_HOSTS))
    silent = TWO_TIERS.replace("hosts: data}", "hosts: data, bind: loopback}")
    assert rules(plan(silent, TWO_TIERS_HOSTS), "data1", "ingress") == [], "the namespace default asks for nothing by name"


def test_what_only_its_own_host_calls_may_listen_on_loopback() -> None:
    text = "networks: {n: %s}\nservices: {db: {port: 5432, hosts: db, bind: loopback}}\nfirewall: {ingress: [{name: r, service: db, from: n}], egress: []}"
    stock = inventory({"db": ["db1"], "other": ["other1"]})
    assert errors(text % "{hosts: db}", stock) == []
    for members, caller in (("[{hosts: db}, 10.0.0.0/8]", "n"), ("{hosts: [db, other]}", "other1"), ("10.0.0.0/8", "n")):
        (found,) = errors(text % members, stock)
        assert f"firewall.ingress[0]: db listens on loopback only, yet r needs it from {caller}" in found


def test_the_error_about_loopback_stands_at_from() -> None:
    (found,) = errors(TWO_TIERS.replace("hosts: data}", "hosts: data, bind: loopback, from: api}"), TWO_TIERS_HOSTS)
    assert found == "port_map.yml:6: services.db.from: db listens on loopback only, yet its callers need it from app1, app2"


def test_a_port_of_another_transport_answers_for_none_on_loopback() -> None:
    text = """
    networks: {n: 10.0.0.0/8}
    services: {db: {port: 5432, hosts: db, bind: loopback}, other: {port: 5432, transport: udp, hosts: db}}
    firewall: {ingress: [{name: r, port: 5432, from: n, hosts: db}], egress: []}
    """
    (found,) = errors(text, inventory({"db": ["db1"]}))
    assert "db listens on loopback only on db1" in found


def test_a_rule_for_a_port_bound_to_loopback_is_an_error() -> None:
    text = """
    hosts: vm1
    services: {api: {port: 8080, protocol: http, bind: loopback}}
    firewall: {ingress: [{name: api, port: 8080, from: anywhere, hosts: vm1}], egress: allow}
    """
    assert any("firewall.ingress[0]" in one and "loopback only" in one for one in errors(text, inventory({}, vm1={})))


def test_one_namespace_per_host_or_a_notice() -> None:
    text = TWO_TIERS.replace("hosts: data}", "hosts: app, namespace: other}")
    assert any("not kept apart on app1, app2" in one for one in notices(text, TWO_TIERS_HOSTS))


def test_one_family_only_is_a_notice() -> None:
    stock = inventory({"app": ["app1", "app2"], "data": ["data1"]}, {"data1": ["192.0.2.7"]})
    assert any("only IPv4" in one and "data1" in one for one in notices(TWO_TIERS, stock))


def test_bind_to_a_network_means_the_hosts_own_address_in_it() -> None:
    text = """
    hosts: vm1
    networks: {inner: [203.0.113.0/24]}
    services: {api: {port: 8080, protocol: http, bind: inner}}
    firewall: none
    """
    stock = inventory({}, {"vm1": ["198.51.100.1", "203.0.113.9"]}, vm1={})
    assert plan(text, stock)["hosts"]["vm1"]["listeners"][0]["bind"] == ["203.0.113.9"]
    assert any("no address in that network" in one for one in errors(text, inventory({}, {"vm1": ["198.51.100.1"]}, vm1={})))


# the plan as data


def test_the_plan_is_plain_data_and_the_same_every_time() -> None:
    first, second = plan(PROXIED, PROXIED_HOSTS), plan(PROXIED, PROXIED_HOSTS)
    assert json.loads(json.dumps(first)) == first == second
    assert yaml.safe_load(yaml.safe_dump(first)) == first


def test_one_hosts_plan_brings_the_networks_that_it_names_and_no_others() -> None:
    made = plan(PROXIED, PROXIED_HOSTS)
    assert sorted(host_plan(made, "app1")["firewall"]["networks"]) == ["anywhere", "service:proxy"]
    with pytest.raises(KeyError):
        host_plan(made, "nobody")


def test_every_rule_says_where_it_comes_from() -> None:
    made = plan(INFRASTRUCTURE, inventory({"bastion": ["bastion1"], "core": ["core1"]}))
    (rule,) = made["hosts"]["core1"]["firewall"]["ingress"]
    assert rule["origin"].startswith("port_map.yml:") and rule["origin"].endswith("firewall.ingress[0]")


def test_the_origin_of_a_rule_is_the_statement_that_opens() -> None:
    text = """
    namespace: n
    services:
      api: {port: 80, hosts: app}
      db: {port: 5432, hosts: data, from: none, ports: {metrics: 9000, admin: {port: 5433, from: api}}}
    firewall: {ingress: [], egress: [], internal: {same_namespace: allow, scrape: {from: api}}}
    environments:
      prod:
        services: {db: {from: api}}
      lab: {}
    """
    made = plan(text, TWO_TIERS_HOSTS, "prod")
    assert {rule["name"]: rule["origin"].partition(":")[2] for rule in made["hosts"]["data1"]["firewall"]["ingress"]} == {
        "db": "10 environments.prod.services.db.from",
        "db.metrics": "10 environments.prod.services.db.from",
        "db.admin": "6 services.db.ports.admin.from",
        "scrape db.metrics": "7 firewall.internal.scrape",
    }
    assert {rule["name"]: rule["origin"] for rule in made["hosts"]["app1"]["firewall"]["ingress"]} == {"api": "port_map.yml:7 firewall.internal.same_namespace"}


def test_a_bind_that_a_port_inherits_stands_where_it_is_written() -> None:
    text = "bind: n\nnetworks: {n: 192.0.2.0/24}\nservices: {s: {port: 1, hosts: app, ports: {x: 2}}, t: {port: 3, hosts: app, bind: n, ports: {y: 4}}}"
    found, _plan = examine(documents(text), None, inventory({"app": ["app1"]}))
    assert [problem.origin.path for problem in found.errors] == ["bind", "services.t.bind"]


def test_address_sets_are_listed_once_however_many_hosts_name_them() -> None:
    many = inventory({"app": [f"app{index}" for index in range(60)], "data": ["data1"]})
    made = plan(TWO_TIERS, many)
    text = json.dumps(made["hosts"])
    assert "203.0.113.11" not in text.replace(json.dumps(made["hosts"]["app1"]["addresses"]), "")


# the SSH layer


def ssh(text: str, stock: Data, environment: str | None = None) -> dict[str, t.Any]:
    """Each host's (ports, networks, jumps_to), or None."""
    hosts = plan(text, stock, environment)["hosts"]
    return {name: (*host["ssh"].values(),) if host["ssh"] is not None else None for name, host in hosts.items()}


FLEET = inventory({"bastion": ["bastion1"], "core": ["core1", "core2"]})


def test_sshd_admits_whom_its_port_is_open_to() -> None:
    assert ssh(INFRASTRUCTURE, FLEET) == {
        "bastion1": (["22"], ["bastion", "operators"], ["core1", "core2"]),
        "core1": (["22"], ["bastion"], []),
        "core2": (["22"], ["bastion"], []),
    }


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # who is let in by a CIDR, or by another port or transport, jumps nowhere
        ("{hosts: bastion}", "[203.0.113.10]", (["22"], ["bastion", "operators"], [])),
        ("port: 22, transport: tcp, from: bastion", "port: 23, transport: tcp, from: bastion", (["22"], ["operators"], [])),
        ("transport: tcp, from: bastion", "transport: udp, from: bastion", (["22"], ["operators"], [])),
        ("port: 22, transport: tcp, from: bastion", "port: [20-30, 80], from: bastion", (["22"], ["bastion", "operators"], ["core1", "core2"])),
        ("from: bastion}", "from: bastion, hosts: core1}", (["22"], ["operators"], ["core1"])),
        ("from: bastion}", "from: [bastion, operators]}", (["22"], ["bastion", "operators"], ["core1", "core2"])),
        ("from: operators, hosts: bastion", "from: [operators, anywhere], hosts: bastion", (["22"], ["bastion", "operators", "anywhere"], ["core1", "core2"])),
        # another port, several of them, more services beside it
        ("port: 22, protocol: ssh", "port: 2222, protocol: ssh", (["2222"], ["operators"], [])),
        ("port: 22, protocol: ssh", "port: 22-23, protocol: ssh", (["22-23"], ["bastion", "operators"], ["core1", "core2"])),
        ("hosts: all}", "hosts: all, ports: {metrics: 9000}}", (["22"], ["bastion", "operators"], ["core1", "core2"])),
        ("hosts: all}", "hosts: [bastion, core2]}", (["22"], ["bastion", "operators"], ["core2"])),
        ("hosts: all}", "hosts: all}\n  job: {port: none, hosts: core1}", (["22"], ["bastion", "operators"], ["core1", "core2"])),
    ],
)
def test_the_ssh_part_follows_the_map(old: str, new: str, expected: t.Any) -> None:
    assert old in INFRASTRUCTURE
    assert ssh(INFRASTRUCTURE.replace(old, new, 1), FLEET)["bastion1"] == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("hosts: all}", "hosts: core}"),
        ("sshd:", "shell:"),
        ("port: 22, protocol: ssh", "port: 22, transport: udp"),
        ("port: 22, protocol: ssh", "port: none"),
        ("hosts: all}", "hosts: all, enabled: false}"),
    ],
)
def test_where_there_is_no_sshd_nothing_is_said_of_ssh(old: str, new: str) -> None:
    text = INFRASTRUCTURE.replace("service: sshd", "port: 22")
    assert old in text
    assert ssh(text.replace(old, new, 1), FLEET)["bastion1"] is None


def test_who_calls_sshd_as_a_service_is_a_jump_host_too() -> None:
    text = """
    services: {sshd: {port: 22, protocol: ssh, hosts: all, from: deploy}, deploy: {port: none, hosts: core1}}
    firewall: {ingress: [], egress: []}
    """
    assert ssh(text, FLEET) == {
        "bastion1": (["22"], ["service:deploy"], []),
        "core1": (["22"], ["service:deploy"], ["bastion1", "core2"]),
        "core2": (["22"], ["service:deploy"], []),
    }


def test_a_jump_host_reaches_unmanaged_ones_too() -> None:
    text = INFRASTRUCTURE.replace("hosts: all}", "hosts: [bastion, core]}").replace("{name: ssh, port: 22, transport: tcp,", "{name: ssh, service: sshd,")
    stock = inventory({"bastion": ["bastion1"], "core": ["core1", "core2"]}, core2={"managed": False})
    assert ssh(text, stock) == {"bastion1": (["22"], ["bastion", "operators"], ["core1", "core2"]), "core1": (["22"], ["bastion"], [])}


def test_an_environment_without_firewall_or_sshd_says_nothing_of_ssh() -> None:
    text = INFRASTRUCTURE + "environments: {open: {firewall: none}, other: {services: {sshd: {enabled: false}}}, same: {}}\n"
    unfiltered, disabled, same = (ssh(text, FLEET, environment) for environment in ("open", "other", "same"))
    assert {*unfiltered.values(), *disabled.values()} == {None}
    assert same == ssh(INFRASTRUCTURE, FLEET)


def test_host_plan_lists_whom_sshd_admits() -> None:
    made = plan(INFRASTRUCTURE, FLEET)
    assert host_plan(made, "bastion1")["ssh"] == {
        "ports": ["22"],
        "networks": {"bastion": ["203.0.113.10", "2001:db8:1::10"], "operators": ["203.0.113.64/27"]},
        "jumps_to": ["core1", "core2"],
        "temporary": None,
    }


VISITOR = Temporary(("192.0.2.0/24", "2001:db8:9::7"), 1795716000)


def test_temporary_access_is_in_both_layers() -> None:
    made = plan(INFRASTRUCTURE.replace("port: 22, protocol: ssh", "port: 2200-2201, protocol: ssh"), FLEET)
    before = json.dumps(made)
    without, found = host_plan(made, "bastion1"), host_plan(made, "bastion1", VISITOR)
    assert found["ssh"] == {**without["ssh"], "temporary": {"networks": ["192.0.2.0/24", "2001:db8:9::7"], "until": "2026-11-26T18:00:00Z"}}
    assert found["firewall"]["networks"] == {**without["firewall"]["networks"], "ssh:temporary": ["192.0.2.0/24", "2001:db8:9::7"]}
    rule = {
        "name": "ssh temporary",
        "transport": "tcp",
        "ports": ["2200-2201"],
        "networks": ["ssh:temporary"],
        "until": "2026-11-26T18:00:00Z",
        "origin": "ssh_bastion_temporary",
        "containers": False,
    }
    assert [one for one in found["firewall"]["ingress"] if one not in without["firewall"]["ingress"]] == [rule]
    assert len(found["firewall"]["ingress"]) == len(without["firewall"]["ingress"]) + 1
    assert [one.until for one in Policy.from_data(found["firewall"]).ingress] == [None, 1795716000, None]
    assert json.dumps(made) == before, "the plan is every host's"


@pytest.mark.parametrize("old", ["firewall:", "sshd:"])
def test_temporary_access_needs_an_sshd_and_a_firewall(old: str) -> None:
    text = INFRASTRUCTURE.replace("service: sshd", "port: 22").replace("sshd:", "shell:")
    if old == "firewall:":
        text = INFRASTRUCTURE[: INFRASTRUCTURE.index("firewall:")]
    made = plan(text, FLEET)
    assert host_plan(made, "core1", VISITOR) == host_plan(made, "core1")


def test_the_shipped_map() -> None:
    root = pathlib.Path(__file__).resolve().parents[4]
    stock = inventory({name: [f"{name}1"] for name in ("bastion", "edge", "core", "ui", "data", "monitor")}, edge1={"users": ["default"]})
    made = make_plan(read_documents(root / "inventories" / "port_map.yml"), "production", stock)
    assert made["hosts"]["bastion1"]["ssh"] == {
        "ports": ["22"],
        "networks": ["bastion", "operators"],  # `ssh` is from bastion on all hosts, the bastion included
        "jumps_to": ["core1", "data1", "edge1", "monitor1", "ui1"],
    }
    for name in ("core1", "data1", "edge1", "monitor1", "ui1"):
        assert made["hosts"][name]["ssh"] == {"ports": ["22"], "networks": ["bastion"], "jumps_to": []}


# where a problem of placement stands


PLACED = """
networks: {bastion: {hosts: [admin, nobody]}, home: [192.0.2.0/28]}
ingress: traefik
services:
  api: {port: 8080, protocol: http, hosts: app}
  db:
    port: 5432
    hosts:
      - data
      - dota
  cache: {port: 6379, bind: home, hosts: data}
  hidden: {port: 9000, bind: loopback, hosts: app}
  bank: {port: 443, hosts: none, address: 192.0.2.99}
  ledger:
    port: 8444
    hosts: data
    from: [api, bank]
  proxy: {port: 8880, bind: loopback, hosts: edge}
entrypoints: {web: {port: 80}}
routes:
  api:
    host: api.example.net
    service: api
    auth: partners
firewall:
  ingress:
    - {name: ssh, port: 22, from: bastion}
    - name: web
      port: 80
      from: home
      hosts: nowhere
    - name: api
      service: api
      from: home
      hosts: [data]
    - name: hidden
      from: home
      hosts: app
      port:
        - 22
        - 9000-9001
  egress:
    - name: dns
      port: 53
      to: home
      hosts:
        - app
        - absent
"""


def test_a_problem_of_placement_names_the_key_its_value_and_its_line() -> None:
    hosts = inventory({"app": ["app1"], "data": ["data1"], "edge": ["edge1"], "admin": ["admin1"]})
    found, _plan = examine(documents(PLACED), None, hosts)
    assert [(problem.origin.line, problem.origin.path, problem.value) for problem in found.errors] == [
        (3, "networks.bastion.hosts[1]", "nobody"),
        (11, "services.db.hosts[1]", "dota"),
        (12, "services.cache.bind", "home"),
        (18, "services.ledger.from[1]", "bank"),
        (25, "routes.api.auth", "partners"),
        (32, "firewall.ingress[1].hosts", "nowhere"),
        (36, "firewall.ingress[2].hosts", "data"),
        (42, "firewall.ingress[3].port[1]", "9000-9001"),
        (49, "firewall.egress[0].hosts[1]", "absent"),
    ]


def test_what_an_environment_replaced_is_named_where_it_stands_now() -> None:
    text = """
    networks: {home: [192.0.2.0/28]}
    firewall:
      ingress: [{name: web, port: 80, from: home, hosts: app}]
      egress: allow
    environments:
      lab:
        firewall:
          ingress:
            - name: web
              hosts: [app, elsewhere]
    """
    found, _plan = examine(documents(text), "lab", inventory({"app": ["app1"]}))
    (error,) = found.errors
    assert (error.origin.line, error.origin.path, error.value) == (12, "environments.lab.firewall.ingress[0].hosts[1]", "elsewhere")
