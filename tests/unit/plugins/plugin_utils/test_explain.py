# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a port is open or closed: verdicts, ends, what is near, names, and the text for people."""

from __future__ import annotations

import json
import re
import textwrap
import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.filter.explain import explain as explain_filter
from ansible_collections.alfred.portmap.plugins.plugin_utils._explain import ExplainError, explain
from ansible_collections.alfred.portmap.plugins.plugin_utils._explain_text import text
from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import make_plan
from ansible_collections.alfred.portmap.plugins.plugin_utils._reachability import probes

Data = dict[str, t.Any]

PLATFORM = """
namespace: shop
networks:
  bastion: {hosts: bastion}
  office: [192.0.2.0/28, "2001:db8:f::/64"]
  four: [198.51.100.53]
  pods: [10.42.0.0/16]
  wide: [192.0.2.0/24]
  halves: [198.51.100.128/26, 198.51.100.192/26]
  whole: [198.51.100.128/25]
  both: [four, office]
  grouped: {hosts: app}
clusters:
  k8s: {addresses: pods}
services:
  api: {port: 8080, protocol: http, hosts: app, ports: {metrics: 9464}}
  worker: {port: none, hosts: jobs}
  db: {port: 5432, protocol: postgresql, hosts: data, from: api, address: 10.1.0.50}
  managed: {port: 6432, protocol: postgresql, hosts: none, address: 10.9.9.9, from: api}
  nowhere: {port: none, hosts: none, address: 10.9.9.8, namespace: none, ports: {side: 7000}}
  job: {port: 9000, cluster: k8s, address: 10.8.0.1, from: api}
  names: {port: 53, protocol: dns, transport: udp, hosts: data}
  turn: {port: 3478, transport: [tcp, udp], hosts: data, ports: {relay: {port: 50000-50100, transport: udp, protocol: udp}}}
  admin: {port: 9001, protocol: http, bind: loopback, hosts: app, namespace: none}
  inside: {port: 9002, protocol: http, bind: office, hosts: desk, namespace: none}
  sshd: {port: 22, protocol: ssh, hosts: all}
firewall:
  ingress:
    - {name: ssh, port: 22, from: bastion}
    - {name: halved, port: 7777, from: halves, hosts: app}
    - {name: open, port: 7778, from: anywhere, hosts: app}
    - {name: both, port: 9999, from: office, hosts: app, transport: udp}
  egress:
    - {name: dns, port: 53, transport: udp, to: four}
    - {name: mail, port: 8025, to: anywhere}
  internal: {same_namespace: allow}
"""
HOSTS = {"bastion1": 10, "app1": 12, "app2": 13, "data1": 14, "jobs1": 15, "stranger": 99}


def plan(text_: str = PLATFORM, **entries: Data) -> Data:
    hosts: Data = {
        name: {"addresses": [f"203.0.113.{number}", f"2001:db8:1::{number}"], "managed": name != "stranger", **entries.get(name, {})}
        for name, number in HOSTS.items()
    }
    hosts["desk1"] = {"addresses": ["192.0.2.3", "203.0.113.3", "2001:db8:f::3"], "managed": True}
    groups = {"bastion": ["bastion1"], "app": ["app1", "app2"], "data": ["data1"], "jobs": ["jobs1"], "desk": ["desk1"]}
    document = {"path": "port_map.yml", "text": "port_map:\n  version: 1\n" + textwrap.indent(text_, "  ")}
    return make_plan([document], None, {"hosts": hosts, "groups": groups})


@pytest.fixture(scope="module")
def planned() -> Data:
    return plan()


def line(statement: str) -> int:
    """Where a statement stands in the map's file."""
    (number,) = [number for number, found in enumerate(PLATFORM.splitlines(), start=3) if statement in found]
    return number


def pairs(found: Data) -> list[tuple[str, str, str]]:
    """(from, to, verdict) of each way, by addresses."""
    return [(way["from"]["address"], way["to"]["address"], way["verdict"]) for way in found["ways"]]


# verdicts and ends


def test_both_ends_name_the_line_that_opens_them(planned: Data) -> None:
    found = explain(planned, "bastion1", "app1", "22")
    assert (found["verdict"], found["port"], found["transport"]) == ("open", 22, "tcp")
    assert pairs(found) == [("203.0.113.10", "203.0.113.12", "open"), ("2001:db8:1::10", "2001:db8:1::12", "open")]
    origin = f"port_map.yml:{line('{name: ssh')} firewall.ingress[0]"
    for way in found["ways"]:
        assert (way["egress"]["rule"]["name"], way["egress"]["rule"]["origin"]) == ("ssh", origin)
        assert (way["ingress"]["rule"]["networks"], way["ingress"]["rule"]["origin"]) == (["bastion"], origin)
        assert way["ingress"]["candidates"] == way["egress"]["candidates"] == []
        assert [listener["name"] for listener in way["listeners"]] == ["sshd"]


def test_closed_at_both_ends(planned: Data) -> None:
    way = explain(planned, "jobs1", "app1", "22")["ways"][0]
    assert way["verdict"] == "closed"
    assert (way["egress"]["reason"], way["ingress"]["reason"]) == ("no rule lets it out", "no rule lets it in")
    assert way["egress"]["candidates"] == []
    (candidate,) = way["ingress"]["candidates"]
    assert (candidate["name"], candidate["near"], candidate["addresses"]) == ("ssh", "network", {"bastion": ["203.0.113.10", "2001:db8:1::10"]})
    assert candidate["origin"] == f"port_map.yml:{line('{name: ssh')} firewall.ingress[0]"


def test_half_is_where_one_policy_passes_it_and_the_other_does_not(planned: Data) -> None:
    out_only = explain(planned, "jobs1", "app1", "8025")
    assert out_only["verdict"] == "half"
    assert (out_only["ways"][0]["egress"]["rule"]["name"], out_only["ways"][0]["ingress"]["passes"]) == ("mail", False)
    in_only = explain(planned, "jobs1", "app1", "7778")
    assert in_only["verdict"] == "half"
    assert (in_only["ways"][0]["egress"]["passes"], in_only["ways"][0]["ingress"]["rule"]["name"]) == (False, "open")


def test_an_end_without_policy_lets_it_pass_and_is_no_half(planned: Data) -> None:
    found = explain(planned, "stranger", "data1", "5432")
    assert found["verdict"] == "closed"
    assert found["ways"][0]["egress"] == {
        "judged": False,
        "passes": True,
        "part": False,
        "reason": "not managed: no policy of ours",
        "rule": None,
        "candidates": [],
    }
    assert explain(planned, "jobs1", "stranger", "8025")["verdict"] == "open"
    assert explain(planned, "jobs1", "stranger", "8026")["verdict"] == "closed"


def test_without_a_firewall_everything_passes() -> None:
    made = plan(PLATFORM[: PLATFORM.index("firewall:")] + "firewall: none\n")
    found = explain(made, "stranger", "data1", "5432")
    assert found["verdict"] == "open"
    assert found["ways"][0]["ingress"]["reason"] == "no policy: nothing is filtered"


def test_unfiltered_egress_says_so() -> None:
    made = plan(re.sub(r"  egress:\n(    - .*\n)+", "  egress: allow\n", PLATFORM))
    assert explain(made, "jobs1", "8.8.8.8", "1")["ways"][0]["egress"]["reason"] == "outgoing traffic is not filtered"


def test_a_host_itself_is_always_let_in(planned: Data) -> None:
    found = explain(planned, "app1", "app1", "31337")
    assert found["verdict"] == "open"
    assert all(way["itself"] and way["ingress"]["reason"] == "loopback" for way in found["ways"])


@pytest.mark.parametrize("vantage", [*HOSTS, "desk1"])
def test_the_probes_expect_the_same(planned: Data, vantage: str) -> None:
    places = {address: host for host, entry in planned["hosts"].items() for address in entry["addresses"]}
    questions = [question for question in probes(planned, vantage) if question["labels"]["check"] != "world"]
    assert len(questions) > 20
    for question in questions:
        transport = "udp" if question["kind"] in ("udp", "dns") else "tcp"
        found = explain(planned, vantage, places[question["target"]], str(question["port"]), transport)
        (way,) = [way for way in found["ways"] if way["to"]["address"] == question["target"]]
        assert (way["verdict"] == "open") is (question["expect"] == "open"), question


# what is near


def test_near_misses(planned: Data) -> None:
    def near(*asked: str, end: str = "ingress", family: str = "v4") -> list[tuple[str, str]]:
        ways = [way for way in explain(planned, *asked)["ways"] if way["family"] == family]
        return [(rule["name"], rule["near"]) for rule in ways[0][end]["candidates"]]

    assert near("192.0.2.77", "app1", "22") == [("ssh", "network")]
    assert near("192.0.2.1", "app1", "9999", "tcp") == [("both", "transport")]
    assert near("192.0.2.77", "app1", "9999", "tcp") == [("both", "")], "neither the transport nor the network"
    assert ("dns", "transport") in near("jobs1", "198.51.100.53", "53", "tcp", end="egress")
    assert ("dns", "family") in near("jobs1", "2001:db8:2::53", "53", "udp", end="egress", family="v6")
    assert near("192.0.2.77", "app1", "31337") == []


def test_listeners_say_whether_they_are_reached(planned: Data) -> None:
    (admin,) = explain(planned, "app1", "app1", "9001")["ways"][0]["listeners"]
    assert (admin["name"], admin["bind"], admin["reached"]) == ("admin", "loopback", False)
    (inside,) = explain(planned, "jobs1", "inside")["ways"][0]["listeners"]
    assert (inside["bind"], inside["reached"]) == (["192.0.2.3", "2001:db8:f::3"], True)
    (elsewhere,) = explain(planned, "jobs1", "203.0.113.3", "inside")["ways"][0]["listeners"]
    assert elsewhere["reached"] is False, "another address of the same host"
    (relay,) = explain(planned, "jobs1", "data1", "50050", "udp")["ways"][0]["listeners"]
    assert (relay["name"], relay["required"]) == ("turn.relay", False)


def test_who_asks_for_the_wrong_host_or_transport_is_told_where_the_port_is(planned: Data) -> None:
    (way, _v6) = explain(planned, "jobs1", "bastion1", "5432")["ways"]
    assert way["listeners"] == [] and way["elsewhere"] == [{"host": "data1", "name": "db", "transport": "tcp"}]
    (way, _v6) = explain(planned, "jobs1", "data1", "53")["ways"]
    assert way["elsewhere"] == [{"host": "data1", "name": "names", "transport": "udp"}]


# what names stand for


def test_services_are_all_their_hosts(planned: Data) -> None:
    found = explain(planned, "api", "turn")
    assert found["port"] == 3478
    assert {(way["from"]["name"], way["to"]["name"]) for way in found["ways"]} == {("app1", "data1"), ("app2", "data1")}
    assert {way["from"]["name"] for way in explain(planned, "worker", "api")["ways"]} == {"jobs1"}, "also where it listens on no port"
    assert (explain(planned, "worker", "api.metrics")["port"], explain(planned, "worker", "api", "9464")["port"]) == (9464, 9464)


def test_of_a_services_address_and_of_strangers_only_one_end_is_judged(planned: Data) -> None:
    found = explain(planned, "app1", "db")
    assert pairs(found)[:2] == [("203.0.113.12", "203.0.113.14", "open"), ("203.0.113.12", "10.1.0.50", "open")]
    way = found["ways"][1]
    assert (way["to"]["host"], way["to"]["name"], way["ingress"]["judged"], way["ingress"]["reason"]) == (
        None,
        "the address of db",
        False,
        "not in the inventory",
    )
    assert way["egress"]["rule"]["networks"] == ["service:db", "address:db"]
    assert pairs(explain(planned, "app1", "managed")) == [("203.0.113.12", "10.9.9.9", "open")]
    assert pairs(explain(planned, "jobs1", "10.9.9.9", "managed")) == [("203.0.113.15", "10.9.9.9", "closed")]
    assert pairs(explain(planned, "192.0.2.9", "app1", "7778")) == [("192.0.2.9", "203.0.113.12", "open")]


def test_a_clusters_service_asks_from_its_networks_and_is_called_at_its_address(planned: Data) -> None:
    assert pairs(explain(planned, "job", "api")) == [("10.42.0.0/16", "203.0.113.12", "open"), ("10.42.0.0/16", "203.0.113.13", "open")]
    assert pairs(explain(planned, "app1", "job")) == [("203.0.113.12", "10.8.0.1", "open")]


def test_an_address_that_a_host_has_is_the_host(planned: Data) -> None:
    for name in ("203.0.113.10", "bastion"):
        way = explain(planned, name, "203.0.113.12", "22")["ways"][0]
        assert (way["from"]["host"], way["to"]["host"], way["egress"]["judged"]) == ("bastion1", "app1", True)
    assert explain(planned, "app1", "2001:DB8:1:0::12", "1")["ways"][0]["itself"], "however it is written"


def test_a_network_is_its_address_that_fares_worst(planned: Data) -> None:
    anybody = explain(planned, "anywhere", "app1", "22")
    assert anybody["verdict"] == "closed"
    assert all(way["ingress"]["part"] for way in anybody["ways"]), "the bastion is somewhere too"
    assert explain(planned, "anywhere", "app1", "7778")["verdict"] == "open"
    assert not any(way["ingress"]["part"] for way in explain(planned, "anywhere", "app1", "7778")["ways"])
    assert explain(planned, "whole", "app1", "7777")["verdict"] == "open", "two rules' networks make up the whole"
    (way,) = explain(planned, "198.51.100.0/24", "app1", "7777")["ways"]
    assert (way["verdict"], way["ingress"]["part"]) == ("closed", True)
    (way, _v6) = explain(planned, "jobs1", "both", "53", "udp")["ways"][:2]
    assert {pair[1:] for pair in pairs(explain(planned, "jobs1", "both", "53", "udp"))} == {
        ("198.51.100.53", "open"),
        ("192.0.2.0/28", "closed"),
        ("2001:db8:f::/64", "closed"),
    }


def test_networks_that_no_policy_names_are_known_all_the_same(planned: Data) -> None:
    assert "wide" not in planned["networks"] and "both" not in planned["networks"]
    assert pairs(explain(planned, "wide", "app1", "22")) == [("192.0.2.0/24", "203.0.113.12", "closed")]
    with pytest.raises(ExplainError, match="^from = 'grouped': no statement of the firewall uses this network, and it names groups"):
        explain(planned, "grouped", "app1", "22")


def test_ports_have_names_and_their_services_transport(planned: Data) -> None:
    def asked(*options: t.Optional[str]) -> tuple[int, str, str]:
        found = explain(planned, "jobs1", *options)  # type: ignore[arg-type]
        return found["port"], found["transport"], found["service"]

    assert asked("data1", "db") == (5432, "tcp", "db")
    assert asked("data1", "turn.relay") == (50000, "udp", "turn.relay")
    assert asked("names") == (53, "udp", "names")
    assert asked("turn") == (3478, "tcp", "turn")
    assert asked("turn", None, "udp") == (3478, "udp", "turn")
    assert asked("turn.relay", "50050") == (50050, "udp", "")
    assert asked("data1", "53") == (53, "tcp", "")


def test_a_family_that_one_end_lacks_is_told() -> None:
    made = plan(app1={"addresses": ["203.0.113.12"]})
    found = explain(made, "jobs1", "app1", "8080")
    assert [way["family"] for way in found["ways"]] == ["v4"]
    assert found["missing"] == [{"name": "app1", "family": "v6"}]
    assert "Not asked by IPv6, of which no address is known: app1" in text(found)
    assert explain(made, "192.0.2.1", "app2", "8080")["missing"] == [], "who asks by an address knows its family"


# mistakes


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("job1", "app1", "22"), "from = 'job1': is no host, service, network or address that could be asked from, did you mean 'jobs1'?"),
        (("anywhre", "app1", "22"), "from = 'anywhre': is no host, service, network or address that could be asked from, did you mean 'anywhere'?"),
        (("app1", "dta1", "22"), "to = 'dta1': is no host, service, network or address that could be asked to, did you mean 'data1'?"),
        (("app1", "api.metrix"), "to = 'api.metrix': is no host, service, network or address that could be asked to, did you mean 'api.metrics'?"),
        (("app1", "127.0.0.1", "22"), "to = '127.0.0.1': is no host, service, network or address"),
        (("app1", "::ffff:192.0.2.1", "22"), "to = '::ffff:192.0.2.1': is no host, service, network or address"),
        (("192.0.2.1/24", "app1", "22"), "from = '192.0.2.1/24': is no host, service, network or address"),
        (("app1", "data1", "trun"), "port = 'trun': must be a port from 1 to 65535 or a service with a port, did you mean 'turn'?"),
        (("app1", "data1", "0"), "port = '0': must be a port from 1 to 65535"),
        (("app1", "data1", "65536"), "port = '65536': must be a port from 1 to 65535"),
        (("app1", "data1"), "port: is missing; only where `to` is a service it is known"),
        (("app1", "worker"), "port = 'worker': that service has no port of its own (`port: none`): say a number"),
        (("app1", "nowhere"), "port = 'nowhere': that service has no port of its own (`port: none`): say nowhere.side or a number"),
        (("managed", "app1", "22"), "from = 'managed': runs on no host of the inventory, so that it has no address to ask from"),
        (("app1", "data1", "22", "tpc"), "transport = 'tpc': must be tcp or udp, did you mean 'tcp'?"),
        (("192.0.2.1", "8.8.8.8", "22"), "to = '8.8.8.8': is not in the inventory, and neither is 192.0.2.1"),
        (("2001:db8::1", "203.0.113.12", "22"), "to = '203.0.113.12': has no address of a family that 2001:db8::1 has one of"),
    ],
)
def test_what_can_not_be_asked(planned: Data, asked: tuple[str, ...], message: str) -> None:
    with pytest.raises(ExplainError, match="^" + re.escape(message)) as caught:
        explain(planned, *asked)
    assert "\n" not in str(caught.value), "one mistake is one error"


def test_all_mistakes_are_told_at_once(planned: Data) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        explain_filter(planned, "ap1", "dat1", "dbb", "tpc")
    assert [found.split(" =")[0] for found in str(caught.value).splitlines()] == ["from", "to", "transport", "port"]


def test_the_filter_takes_its_options_in_order_or_by_name(planned: Data) -> None:
    found = explain_filter(planned, "app1", "data1", 5432, "tcp")
    assert found == explain_filter(planned, **{"from": "app1", "to": "data1", "port": "5432", "transport": "tcp"})
    assert found == explain_filter(planned, "app1", "data1", port=5432, transport=None)
    assert found == {**explain(planned, "app1", "data1", "5432"), "text": text(explain(planned, "app1", "data1", "5432"))}
    assert json.loads(json.dumps(found)) == found
    for positional, named, message in [
        (("app1",), {}, "to: is missing"),
        (("app1", "data1"), {"to": "app1"}, "to: is said twice"),
        (("app1", "data1"), {"prot": 1}, "prot: is no option of explain"),
        (("a", "b", "c", "d", "e"), {}, "explain takes from, to, port, transport, not 5 values"),
    ]:
        with pytest.raises(AnsibleFilterError, match=message):
            explain_filter(planned, *positional, **named)


# text


def test_the_text_of_a_closed_port(planned: Data) -> None:
    ssh, sshd = line("{name: ssh"), line("sshd:")
    assert "\n".join(text(explain(planned, "jobs1", "app1", "sshd"))) == textwrap.dedent(f"""\
        jobs1 to app1, port 22/tcp (sshd): CLOSED, nothing gets through

        IPv4  jobs1 203.0.113.15 -> app1 203.0.113.12: closed
        IPv6  jobs1 2001:db8:1::15 -> app1 2001:db8:1::12: closed
          out of jobs1: DROPPED, no rule lets it out
              no statement of the map lets it call port 22 of anybody
          into app1: DROPPED, no rule lets it in
              open from bastion: 22/tcp, rule ssh (right port, wrong network)
                  port_map.yml:{ssh} firewall.ingress[0]
                  bastion is 203.0.113.10, 2001:db8:1::10
          expected there: sshd, on every address
              port_map.yml:{sshd} services.sshd.port

        Within one host everything is open, whatever its policy says: loopback and its own addresses.""")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("jobs1", "app1", "8025"), "HALF, nothing gets through, one end lets it pass and the other does not"),
        (("jobs1", "2001:db8:2::53", "53", "udp"), "right port, no IPv6 address in its networks"),
        (("192.0.2.1", "app1", "9999", "tcp"), "right network, wrong transport"),
        (("anywhere", "app1", "22"), "DROPPED, no rule lets it in, but for a part of that network"),
        (("app1", "admin"), "admin, on loopback only: refused at the address asked for, even where the policy lets it in"),
        (("jobs1", "bastion1", "5432"), "but of db on data1 (tcp)"),
        (("app1", "app1", "1"), "  the host itself: always open"),
        (("jobs1", "turn.relay"), "turn.relay, on every address, if it runs: one of a range"),
        (("jobs1", "both", "53", "udp"), "MIXED, not all fare alike"),
    ],
)
def test_the_text_says(planned: Data, asked: tuple[str, ...], told: str) -> None:
    made = "\n".join(text(explain(planned, *asked)))
    assert told in made, made


def test_a_large_platform_fits_on_a_screen() -> None:
    hosts = {f"h{index}": {"addresses": [f"10.0.{index // 250}.{index % 250 + 1}"], "managed": True} for index in range(200)}
    document = {
        "path": "port_map.yml",
        "text": "port_map: {version: 1, namespace: n, services: {a: {port: 80, hosts: g}, b: {port: 81, hosts: g}},"
        " firewall: {ingress: [], egress: [], internal: {same_namespace: allow}}}",
    }
    made = make_plan([document], None, {"hosts": hosts, "groups": {"g": list(hosts)}})
    found = text(explain(made, "h0", "a"))
    assert len(found) < 30, "\n".join(found)
    assert any("and 193 more, likewise" in line for line in found)
    assert max(len(line) for line in text(explain(made, "anywhere", "a"))) < 160
