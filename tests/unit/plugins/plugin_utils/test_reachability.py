# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked from where, and what is expected: the plan of a small platform, question by question."""

from __future__ import annotations

import json
import re
import textwrap
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from made_up_fleet import lab_plan

from ansible_collections.alfred.portmap.plugins.filter.probes import probes as probes_filter
from ansible_collections.alfred.portmap.plugins.modules import probe
from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import make_plan
from ansible_collections.alfred.portmap.plugins.plugin_utils._reachability import Checks, checks_from, probes

Data = dict[str, t.Any]

PLATFORM = """
domain: example.net
namespace: shop
ingress: traefik
networks:
  bastion: {hosts: bastion}
  office: [192.0.2.0/28, "2001:db8:f::/64"]
services:
  api: {port: 8080, protocol: http, health: /health, hosts: app}
  feed: {port: 8081, protocol: websocket, hosts: app}
  db: {port: 5432, protocol: postgresql, hosts: data, from: api}
  names: {port: 53, protocol: dns, transport: udp, hosts: data}
  games: {port: 27015, transport: udp, protocol: udp, hosts: data}
  rtp: {port: 10000-10100, transport: udp, protocol: udp, hosts: data}
  admin: {port: 9000, protocol: http, bind: loopback, hosts: app}
  sshd: {port: 22, protocol: ssh, hosts: all}
  proxy: {port: 8880, protocol: http, bind: loopback, hosts: edge}
entrypoints:
  web: {port: 80, redirect_to: websecure}
  websecure: {port: 443, tls: true}
routes:
  api: {host: api, service: api}
  feed: {host: api, path: /feed, service: feed}
  back: {host: back, service: api, auth: true}
  inner: {host: inner, service: api, from: office}
  dash: {host: traefik, service: proxy, auth: true}
firewall:
  ingress:
    - {name: web, port: [80, 443], from: anywhere, hosts: edge}
    - {name: ssh, port: 22, from: bastion}
  egress: []
  internal: {same_namespace: allow}
"""
HOSTS = {"bastion1": 10, "edge1": 11, "app1": 12, "data1": 13, "stranger": 99, "colleague": 5}


def addresses(host: str) -> list[str]:
    """One of each family; the colleague sits in the office."""
    if host == "colleague":
        return ["192.0.2.5", "2001:db8:f::5"]
    return [f"203.0.113.{HOSTS[host]}", f"2001:db8:1::{HOSTS[host]}"]


def plan(text: str = PLATFORM, **entries: Data) -> Data:
    """The platform's plan; `entries` change hosts."""
    unmanaged = {"stranger": {"managed": False}, "colleague": {"managed": False}}
    hosts = {name: {"addresses": addresses(name), "managed": True, "users": ["default"], **unmanaged.get(name, {}), **entries.get(name, {})} for name in HOSTS}
    groups = {"bastion": ["bastion1"], "edge": ["edge1"], "app": ["app1"], "data": ["data1"]}
    document = {"path": "port_map.yml", "text": "port_map:\n  version: 1\n" + textwrap.indent(text, "  ")}
    return make_plan([document], None, {"hosts": hosts, "groups": groups})


@pytest.fixture(scope="module")
def planned() -> Data:
    return plan()


def asked(made: Data, vantage: str, name: str) -> list[Data]:
    """The questions of that name."""
    return [question for question in probes(made, vantage) if question["name"] == name]


def expectations(made: Data, vantage: str, name: str) -> set[str]:
    """What is expected of them."""
    return {question["expect"] for question in asked(made, vantage, name)}


@pytest.mark.parametrize(
    ("name", "vantages_let_in"),
    [
        ("app1 sshd", {"bastion1"}),
        ("app1 api", {"edge1", "data1"}),  # edge1 by its routes, data1 by the namespace
        ("app1 feed", {"edge1", "data1"}),
        ("data1 db", {"app1"}),
        ("data1 sshd", {"bastion1"}),
        ("edge1 entrypoint websecure", {"stranger", "colleague"}),  # egress is closed for the platform's own hosts
    ],
)
def test_both_ends_decide(planned: Data, name: str, vantages_let_in: set[str]) -> None:
    for vantage in HOSTS:
        if vantage != name.split()[0]:
            found = asked(planned, vantage, name)
            assert len(found) == 2, f"{vantage}: {name} must be asked on both families"
            assert {question["expect"] for question in found} == {"open" if vantage in vantages_let_in else "blocked"}, vantage


def test_each_question_says_why(planned: Data) -> None:
    (found, _v6) = asked(planned, "bastion1", "app1 sshd")
    assert re.fullmatch(r"port_map\.yml:\d+ firewall\.ingress\[1\]", found["why"])
    assert {question["why"] for question in asked(planned, "edge1", "app1 sshd")} == {"not let out of the asking host"}
    assert {question["why"] for question in asked(planned, "stranger", "app1 sshd")} == {"no rule lets it in"}


def test_nobody_asks_himself(planned: Data) -> None:
    own = set(addresses("app1"))
    assert not own & {question["target"] for question in probes(planned, "app1")}


def test_loopback_listeners_must_be_closed_to_everybody_else(planned: Data) -> None:
    for vantage in ("edge1", "stranger"):
        assert expectations(planned, vantage, "app1 admin") == {"blocked"}


def test_what_nobody_can_answer_is_only_asked_where_it_is_blocked(planned: Data) -> None:
    """An udp service that says nothing looks like a dropped packet; a range need not be listened on."""
    assert {question["kind"] for question in asked(planned, "app1", "data1 names")} == {"dns"}
    assert expectations(planned, "app1", "data1 names") == {"open"}
    for name in ("data1 games", "data1 rtp"):
        assert expectations(planned, "app1", name) == set()
        assert expectations(planned, "stranger", name) == {"blocked"}


def test_health_is_asked_by_http(planned: Data) -> None:
    for question in asked(planned, "data1", "app1 api"):
        assert (question["kind"], question["http"]) == ("http", {"scheme": "http", "path": "/health"})
    assert {question["kind"] for question in asked(planned, "data1", "app1 feed")} == {"tcp"}, "it has no health path"


def test_ports_that_the_map_says_nothing_of_are_sampled(planned: Data) -> None:
    for vantage in ("bastion1", "stranger"):
        found = asked(planned, vantage, "data1 undeclared port")
        for transport in ("tcp", "udp"):
            sample = [question for question in found if question["kind"] == transport]
            assert len(sample) == 4, "two ports on two families"
            assert {question["expect"] for question in sample} == {"blocked"}
            assert not {question["port"] for question in sample} & {22, 53, 5432, 27015}
            assert not any(question["labels"]["declared"] for question in sample)


def test_a_port_within_a_declared_range_is_declared() -> None:
    made = plan(PLATFORM.replace("{port: 9000, protocol: http, bind: loopback, hosts: app}", "{port: 8800-9000, bind: loopback, hosts: app}"))
    ports = {question["port"] for question in asked(made, "stranger", "app1 undeclared port") if question["kind"] == "tcp"}
    assert ports == {2375, 31337}, "8888 is of the range"


PROTOCOLS = """
namespace: shop
services:
  db: {port: 5432, protocol: postgresql, hosts: data}
  redis: {port: 6379, protocol: redis, hosts: data, ports: {bus: {port: 16379, protocol: redis}, exporter: {port: 9121, metrics: true}}}
  open-redis: {port: 6380, protocol: redis, hosts: data}
  time: {port: 123, protocol: ntp, transport: udp, hosts: data}
  secure: {port: 8443, protocol: https, hosts: data}
  healthy: {port: 8444, protocol: https, health: /up, hosts: data}
  ldap: {port: 636, protocol: tls, hosts: data}
  calls: {port: 50051, protocol: grpc, hosts: data}
  mail: {port: 25, protocol: smtp, hosts: data}
  plain: {port: 8080, protocol: http, hosts: data}
  sshd: {port: 22, protocol: ssh, hosts: data, namespace: shop}
  metrics: {port: 9100, protocol: http, health: /, metrics: true, hosts: data}
  prometheus: {port: 9090, protocol: http, hosts: app}
firewall: {ingress: [], egress: [], internal: {same_namespace: allow, scrape: {from: prometheus, path: /scrape}}}
"""


@pytest.fixture(scope="module")
def protocols() -> Data:
    return plan(PROTOCOLS)


@pytest.mark.parametrize(
    ("listener", "kind", "details"),
    [
        ("db", "postgresql", {}),
        ("redis", "redis", {"redis": {"auth": "required"}}),
        ("redis.bus", "redis", {"redis": {"auth": "required"}}),
        ("open-redis", "redis", {"redis": {"auth": "none"}}),
        ("time", "ntp", {}),
        ("secure", "tls", {}),
        ("healthy", "http", {"http": {"scheme": "https", "path": "/up"}}),
        ("ldap", "tls", {}),
        ("calls", "tcp", None),
        ("mail", "tcp", None),
        ("plain", "http", {"http": {"scheme": "http", "path": "/", "status": ["100-599"]}}),
        ("sshd", "ssh", {}),
        ("metrics", "prometheus", {"slower_than": None, "http": {"scheme": "http", "path": "/scrape"}}),
        ("redis.exporter", "prometheus", {"slower_than": None, "http": {"scheme": "http", "path": "/scrape"}}),
    ],
)
def test_each_protocol_is_asked_in_its_own_words(protocols: Data, listener: str, kind: str, details: t.Optional[Data]) -> None:
    checks = Checks(slow=1.5, passwords=frozenset({"redis"}))
    found = [question for question in probes(protocols, "app1", checks=checks) if question["labels"]["listener"] == listener]
    assert [question["kind"] for question in found] == [kind] * 2, "on both families"
    expected = {"slower_than": None} if details is None else {"slower_than": 1.5, **details}
    for question in found:
        given = {"slower_than": None, **question}
        assert {key: value for key, value in given.items() if key in ("slower_than", "http", "redis", "tls")} == expected


def test_only_the_scraper_asks_for_metrics(protocols: Data) -> None:
    for vantage, kind, path in (("app1", "prometheus", "/scrape"), ("data1", "http", "/")):
        asked_there = probes(protocols, vantage, targets=["data1"], local=True)
        assert {(question["kind"], question["http"]["path"]) for question in asked_there if question["labels"]["listener"] == "metrics"} == {(kind, path)}


def test_labels_say_what_a_question_is_about(planned: Data) -> None:
    (found, _v6) = asked(planned, "app1", "data1 db")
    assert found["labels"] == {
        "host": "data1",
        "check": "port",
        "listener": "db",
        "route": "",
        "family": 4,
        "transport": "tcp",
        "planned": "open",
        "declared": True,
        "local": False,
    }


def test_a_host_asks_itself_wherever_its_listeners_may_be(planned: Data) -> None:
    found = probes(planned, "app1", targets=[], local=True)
    assert {question["labels"]["host"] for question in found} == {"app1"} and all(question["labels"]["local"] for question in found)
    places = {name: {question["target"] for question in found if question["labels"]["listener"] == name} for name in ("api", "admin")}
    assert places == {"api": {"127.0.0.1", "203.0.113.12", "2001:db8:1::12"}, "admin": {"127.0.0.1", "::1"}}
    assert {question["labels"]["listener"] for question in probes(planned, "data1", targets=[], local=True)} == {"db", "names", "sshd"}
    assert probes(planned, "stranger", targets=[], local=True) == []


def test_a_proxy_asks_itself_for_routes_and_certificates(planned: Data) -> None:
    found = probes(planned, "edge1", targets=[], local=True, checks=Checks(days_left=30, trust=True))
    assert {question["labels"]["route"] for question in found if question["labels"]["check"] == "route"} == {"api", "feed", "back", "inner", "dash"}
    tls = [question["tls"] for question in found if question["labels"]["check"] == "certificate" and question["target"] == "127.0.0.1"]
    assert [one["names"] for one in tls] == [["api.example.net"], ["back.example.net"], ["inner.example.net"], ["traefik.example.net"]], "each name once"
    assert tls[0] == {"server_name": "api.example.net", "names": ["api.example.net"], "days_left": 30, "verify": True}


def test_a_host_asks_the_servers_that_it_may_call() -> None:
    egress = """[
    {name: dns, port: 53, transport: udp, to: resolvers}, {name: ntp, port: 123, transport: udp, to: clocks},
    {name: syslog, port: 514, transport: udp, to: resolvers}, {name: wide, port: 53, transport: udp, to: anywhere}]"""
    resolvers = 'resolvers: [192.0.2.53, "2001:db8:f::53", 192.0.2.64/26, {hosts: data}]'
    text = PLATFORM.replace("egress: []", f"egress: {egress}").replace("  office:", f"  {resolvers}\n  clocks: [192.0.2.123]\n  office:")
    found = [question for question in probes(plan(text), "app1") if question["labels"]["check"] == "world"]
    assert [(question["target"], question["port"], question["kind"], question["expect"]) for question in found] == [
        ("192.0.2.53", 53, "dns", "open"),
        ("2001:db8:f::53", 53, "dns", "open"),
        ("192.0.2.123", 123, "ntp", "open"),
    ]
    assert [question.get("dns") for question in found] == [{"name": ".", "type": "NS"}] * 2 + [None], "SERVFAIL is an answer, too, if nothing was asked for"
    assert probe.question(found[0]).dns.name == "."
    assert [question for question in probes(plan(text), "stranger") if question["labels"]["check"] == "world"] == [], "the map says nothing of it"


def test_only_the_hosts_that_are_wanted_are_asked(planned: Data) -> None:
    assert {question["labels"]["host"] for question in probes(planned, "stranger", targets=["app1", "data1"])} == {"app1", "data1"}


def test_checks_that_make_no_sense_are_refused(planned: Data) -> None:
    assert checks_from({}) == Checks()
    for wrong in ({"slow": 61}, {"days_left": -1}, {"fast": 1}):
        with pytest.raises(AnsibleFilterError, match="checks: "):
            probes_filter(planned, "stranger", checks=wrong)


def test_strings_of_the_command_line_mean_what_they_say(planned: Data) -> None:
    assert checks_from({"trust": "false", "days_left": "30", "slow": "0.5"}) == Checks(trust=False, days_left=30, slow=0.5)
    assert checks_from({"trust": "yes"}).trust is True
    assert probes_filter(planned, "app1", local="false") == probes_filter(planned, "app1")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"checks": {"passwords": "redis"}}, "checks: passwords 'redis' must be a list of names"),
        ({"checks": {"passwords": [6379]}}, "checks: passwords [6379] must be a list of names"),
        ({"checks": {"trust": "perhaps"}}, "checks: trust 'perhaps' must be true or false"),
        ({"checks": {"slow": "fast"}}, "checks: slow 'fast' must be a number"),
        ({"checks": {"days_left": "inf"}}, "checks: days_left 'inf' must be a number"),
        ({"maintenance": "api"}, "checks: maintenance 'api' must be a list of names"),
        ({"targets": "app1"}, "targets 'app1' must be a list of names"),
        ({"local": "perhaps"}, "local 'perhaps' must be true or false"),
    ],
)
def test_what_is_none_of_its_kind_is_refused(planned: Data, given: Data, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=re.escape(message)):
        probes_filter(planned, "app1", **given)


@pytest.mark.parametrize(
    ("vantage", "route", "http"),
    [
        ("stranger", "api", {"host": "api.example.net", "path": "/health", "status": ["200-399"]}),
        ("stranger", "feed", {"host": "api.example.net", "path": "/feed", "status": ["200-403", "405-499"]}),
        ("stranger", "back", {"host": "back.example.net", "path": "/", "status": ["401"]}),
        ("stranger", "dash", {"host": "traefik.example.net", "path": "/", "status": ["401"]}),
        ("stranger", "inner", {"host": "inner.example.net", "path": "/", "status": ["403"]}),
        ("colleague", "inner", {"host": "inner.example.net", "path": "/health", "status": ["200-399"]}),
    ],
)
def test_each_public_name_is_asked(planned: Data, vantage: str, route: str, http: Data) -> None:
    found = asked(planned, vantage, f"edge1 route {route}")
    assert [(question["port"], question["kind"], question["expect"]) for question in found] == [(443, "http", "open")] * 2
    assert [question["http"] for question in found] == [{"scheme": "https", **http}] * 2


def test_routes_in_maintenance_answer_so_to_whom_they_answer_at_all(planned: Data) -> None:
    found = {question["name"]: question["http"] for question in probes(planned, "stranger", ["api", "back", "inner"]) if " route " in question["name"]}
    assert {name.split()[-1]: (http["path"], http["status"]) for name, http in found.items()} == {
        "api": ("/", ["503"]),
        "feed": ("/feed", ["200-403", "405-499"]),
        "back": ("/", ["401"]),
        "dash": ("/", ["401"]),
        "inner": ("/", ["403"]),
    }


@pytest.mark.parametrize(
    ("secure_port", "right", "wrong"),
    [
        (443, ["https://api.example.net/feed", "https://api.example.net:443/feed"], ["https://api.example.net:8443/feed", "http://api.example.net/feed"]),
        (8443, ["https://api.example.net:8443/feed"], ["https://api.example.net/feed", "https://apixexample.net:8443/feed"]),
    ],
)
def test_redirects_are_asked_for_the_public_port(secure_port: int, right: list[str], wrong: list[str]) -> None:
    made = plan(PLATFORM.replace("port: 443", f"port: {secure_port}").replace("[80, 443]", f"[80, {secure_port}]"))
    found = asked(made, "stranger", "edge1 redirect feed")
    assert [(question["port"], question["http"]["status"]) for question in found] == [(80, ["301", "308"])] * 2
    location = re.compile(found[0]["http"]["location"])
    assert all(location.fullmatch(place) for place in right)
    assert not any(location.fullmatch(place) for place in wrong)


def fronted(entrypoint: str, **front: t.Any) -> str:
    """The platform with proxies in front of an entrypoint."""
    value = json.dumps({"network": "office", **front})
    return re.sub(rf"(  {entrypoint}: {{port: \d+, )", rf"\1proxies_in_front: {value}, ", PLATFORM)


@pytest.mark.parametrize(("proxy_protocol", "status"), [(False, ["403"]), (True, ["200-399"])])
def test_behind_a_proxy_that_names_the_client_a_probe_is_nobody(proxy_protocol: bool, status: list[str]) -> None:
    """As the wire shows: Traefik takes the client out of X-Forwarded-For, and without one lets nobody in."""
    made = plan(fronted("websecure", proxy_protocol=proxy_protocol))
    for question in asked(made, "colleague", "edge1 route inner"):
        assert question["http"]["status"] == status


@pytest.mark.parametrize(
    ("proxy", "front", "checks"),
    [
        ("nginx", {"websecure"}, {"redirect"}),
        ("nginx", {"web"}, {"route", "certificate"}),
        ("nginx", {"web", "websecure"}, set()),
        ("traefik", {"web", "websecure"}, {"route", "redirect", "certificate"}),
    ],
)
def test_nginx_hangs_up_on_whom_the_proxy_protocol_does_not_introduce(proxy: str, front: set[str], checks: set[str]) -> None:
    value = json.dumps({"network": "office", "proxy_protocol": True})
    text = PLATFORM.replace("ingress: traefik", f"ingress: {proxy}")
    for entrypoint in front:
        text = re.sub(rf"(  {entrypoint}: {{port: \d+, )", rf"\1proxies_in_front: {value}, ", text)
    for vantage in ("edge1", "stranger"):  # stranger asks for no certificates
        found = probes(plan(text), vantage, local=True)
        wanted = checks if vantage == "edge1" else checks - {"certificate"}
        assert {question["labels"]["check"] for question in found} - {"port", "undeclared"} == wanted
        ports = {question["port"] for question in found if question["kind"] == "tcp" and question["labels"]["listener"].startswith("entrypoint ")}
        assert ports == {80, 443}, "it takes connections"


def test_where_a_proxy_in_front_ends_tls_redirects_name_its_port() -> None:
    made = plan(fronted("web", terminates_tls=True).replace("port: 443", "port: 8443").replace("[80, 443]", "[80, 8443]"))
    found = asked(made, "stranger", "edge1 redirect feed")
    assert len(found) == 2
    for question in found:
        assert re.fullmatch(question["http"]["location"], "https://api.example.net/feed")
        assert not re.fullmatch(question["http"]["location"], "https://api.example.net:8443/feed")


def test_routes_are_not_asked_by_whom_the_policy_keeps_out(planned: Data) -> None:
    assert asked(planned, "app1", "edge1 route api") == []
    assert expectations(planned, "app1", "edge1 entrypoint web") == {"blocked"}


def test_only_families_that_both_ends_have_are_asked() -> None:
    made = plan(app1={"addresses": ["203.0.113.12"]})
    assert {question["target"] for question in asked(made, "data1", "app1 api")} == {"203.0.113.12"}
    assert {question["target"] for question in asked(made, "app1", "data1 db")} == {"203.0.113.13"}


def test_the_first_address_of_a_family_is_the_one_to_connect_to() -> None:
    made = plan(app1={"addresses": ["203.0.113.12", "203.0.113.112", "2001:db8:1::12", "2001:db8:1::112"]})
    assert {question["target"] for question in asked(made, "data1", "app1 api")} == {"203.0.113.12", "2001:db8:1::12"}


def test_without_a_firewall_nothing_is_expected_to_be_blocked() -> None:
    text = PLATFORM[: PLATFORM.index("firewall:")] + "firewall: none\n"
    made = plan(text)
    assert {question["expect"] for question in probes(made, "stranger")} == {"open"}
    assert asked(made, "stranger", "app1 admin") == [], "it listens on loopback alone: nobody there, nobody drops"


def test_an_unknown_vantage_is_an_error(planned: Data) -> None:
    with pytest.raises(KeyError, match="nobody"):
        probes(planned, "nobody")
    with pytest.raises(AnsibleFilterError, match="the plan knows no host nobody"):
        probes_filter(planned, "nobody")


def test_the_filter_asks_the_same(planned: Data) -> None:
    assert probes_filter(planned, "stranger") == probes(planned, "stranger")


def test_the_questions_are_the_same_every_time(planned: Data) -> None:
    assert probes(planned, "stranger") == probes(plan(), "stranger")


# The map that is shipped, on the lab's hosts: who reaches what, said a second time by hand.

PLATFORM_PORTS = {
    "core1": {8080, 8081, 8082, 8083, 8084, 8085, 8086},
    "ui1": {3000, 3001, 8501},
    "data1": {5432, 5433, 5434, 6379, 9121, 9187},
    "monitor1": {3000, 9090},
}
ROUTED = {"core1": {8080}, "ui1": {3000, 8501}, "monitor1": {3000, 9090}}
SSH = {host: {22} for host in ("edge1", *PLATFORM_PORTS)}
METRICS = {"bastion1": {9100}, "edge1": {9100, 8881}, **{host: {9100} for host in PLATFORM_PORTS}}
HTTPS = {"edge1": {443}}  # which every managed host may call anywhere


def together(vantage: str, *parts: dict[str, set[int]]) -> dict[str, set[int]]:
    """Several of these for one vantage, which does not ask itself."""
    hosts = {host for part in parts for host in part} - {vantage}
    return {host: set().union(*(part.get(host, set()) for part in parts)) for host in hosts}


REACHES = {
    "outsider": {"edge1": {80, 443}},
    "bastion1": together("bastion1", SSH, HTTPS),
    "edge1": ROUTED,
    "core1": together("core1", PLATFORM_PORTS, HTTPS),
    "ui1": together("ui1", PLATFORM_PORTS, HTTPS),
    "data1": together("data1", PLATFORM_PORTS, HTTPS),
    "monitor1": together("monitor1", PLATFORM_PORTS, METRICS, HTTPS),
}


@pytest.fixture(scope="module")
def shipped() -> Data:
    """The plan of inventories/port_map.yml for inventories/lab."""
    return lab_plan()


@pytest.mark.parametrize("vantage", REACHES)
@pytest.mark.parametrize("version", [4, 6])
def test_the_shipped_map_lets_in_whom_the_guide_names(shipped: Data, vantage: str, version: int) -> None:
    places = {address: host for part in ("hosts", "vantages") for host, entry in shipped[part].items() for address in entry["addresses"]}
    expected: dict[str, dict[str, set[int]]] = {"open": {}, "blocked": {}}
    for question in probes(shipped, vantage):
        if (":" in question["target"]) is (version == 6) and question["labels"]["check"] != "world":
            expected[question["expect"]].setdefault(places[question["target"]], set()).add(question["port"])
    assert expected["open"] == REACHES[vantage]
    everything = {host: ports | {22, 9100} for host, ports in {**PLATFORM_PORTS, "edge1": {80, 443, 8880, 8881}, "bastion1": set()}.items()}
    for host, ports in everything.items():
        if host != vantage:
            assert expected["blocked"][host] > ports - REACHES[vantage].get(host, set()), "what is not open is asked too, and ports that nobody declared"
            assert not expected["blocked"][host] & REACHES[vantage].get(host, set())


def test_the_module_takes_every_question(shipped: Data) -> None:
    for vantage in REACHES:
        for question in probes(shipped, vantage):
            defaults = {"timeout": 2.0, "source": ""}
            http = {"scheme": "http", "path": "/", "host": "", "status": ["200-399"], "location": "", "body": "", "verify": False}
            read = probe.question({**defaults, **question, "http": {**http, **question.get("http", {})}})
            assert (read.target, read.port, read.expect) == (question["target"], question["port"], question["expect"])
