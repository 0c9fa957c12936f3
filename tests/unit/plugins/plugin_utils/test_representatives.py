# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts speak for others: those that the plan treats alike, however many they are."""

from __future__ import annotations

import re
import textwrap
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from made_up_fleet import lab_plan

from ansible_collections.alfred.portmap.plugins.filter.verify_questions import verify_questions
from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import make_plan
from ansible_collections.alfred.portmap.plugins.plugin_utils._representatives import asks, classes

Data = dict[str, t.Any]

FLEET = """
version: 1
namespace: shop
networks:
  bastion: {hosts: bastion}
  friends: [203.0.114.0/24, "2001:db8:9::/64"]
services:
  api: {port: 8080, protocol: http, health: /health, hosts: app}
  db: {port: 5432, protocol: postgresql, hosts: data, bind: storage}
  sshd: {port: 22, protocol: ssh, hosts: all}
firewall:
  ingress: [{name: ssh, port: 22, from: bastion}, {name: friends, service: api, from: friends}]
  egress: []
  internal: {same_namespace: allow}
"""


def fleet(apps: int, strangers: int = 3) -> Data:
    """A plan of many hosts of few kinds."""
    hosts = {"bastion1": {"addresses": ["203.0.113.1"]}}
    groups: dict[str, list[str]] = {"bastion": ["bastion1"], "app": [], "data": []}
    for number in range(apps):
        groups["app"].append(f"app{number}")
        hosts[f"app{number}"] = {"addresses": [f"10.0.{number // 200}.{1 + number % 200}"]}
    for number in (1, 2, 3):
        groups["data"].append(f"data{number}")
        hosts[f"data{number}"] = {"addresses": [f"10.1.0.{number}"]}
    for number in range(strangers):
        hosts[f"stranger{number}"] = {"addresses": [f"192.0.2.{number + 1}"], "managed": False}
    hosts["friend"] = {"addresses": ["203.0.114.7"], "managed": False}
    for entry in hosts.values():
        entry.setdefault("managed", True)
    text = "port_map:\n" + textwrap.indent(FLEET.replace("friends: [", "storage: [10.1.0.0/24]\n  friends: [", 1), "  ")
    return make_plan([{"path": "port_map.yml", "text": text}], None, {"hosts": hosts, "groups": groups})


def test_hosts_that_are_treated_alike_are_one_class() -> None:
    found = {one.name: one.hosts for one in classes(fleet(4))}
    assert found == {
        "bastion1": ("bastion1",),
        "app": ("app0", "app1", "app2", "app3"),
        "data": ("data1", "data2", "data3"),  # though each is bound to another address
        "stranger": ("stranger0", "stranger1", "stranger2"),
        "friend": ("friend",),  # a network's rule lets it in
    }


def test_in_the_lab_every_host_speaks_for_itself() -> None:
    plan = lab_plan()
    chosen = asks(plan, [*plan["hosts"], *plan["vantages"]])["classes"]
    assert [(one["hosts"], one["asking"]) for one in chosen] == [([host], [host]) for host in (*plan["hosts"], "outsider")]


def test_two_of_a_kind_ask_and_are_asked() -> None:
    plan = fleet(20)
    found = asks(plan, [*plan["hosts"], *plan["vantages"]])
    by_name = {one["name"]: one for one in found["classes"]}
    assert (by_name["app"]["asked"], by_name["app"]["asking"]) == (["app0", "app1"], ["app0", "app1"])
    assert (by_name["stranger"]["asked"], by_name["stranger"]["asking"]) == ([], ["stranger0", "stranger1"])
    targets = {question["labels"]["host"] for question in found["questions"]["stranger0"]}
    assert targets == {"bastion1", "app0", "app1", "data1", "data2"}
    assert {question["labels"]["host"] for question in found["questions"]["app7"]} == {"app7"}, "it asks itself all the same"
    assert found["questions"]["stranger2"] == []
    assert any(question["labels"]["host"] == "app1" for question in found["questions"]["app0"]), "two of a kind ask each other"


def test_full_means_everybody() -> None:
    plan = fleet(5)
    found = asks(plan, [*plan["hosts"], *plan["vantages"]], full=True)
    assert all(one["asked"] in (one["hosts"], []) and one["asking"] == one["hosts"] for one in found["classes"])
    assert {question["labels"]["host"] for question in found["questions"]["stranger2"]} == set(plan["hosts"])


def test_hosts_that_are_down_represent_nobody() -> None:
    plan = fleet(3)
    found = asks(plan, [*plan["hosts"], *plan["vantages"]], down=["app0", "bastion1", "data2", "data3"])
    by_name = {one["name"]: one for one in found["classes"]}
    assert (by_name["app"]["asked"], by_name["app"]["asking"]) == (["app1", "app2"], ["app1", "app2"])
    assert by_name["data"]["asked"] == ["data1", "data2"], "there is nobody better"
    assert by_name["data"]["asking"] == ["data1"]
    assert (by_name["bastion1"]["asked"], by_name["bastion1"]["asking"]) == (["bastion1"], [])
    assert "app0" not in found["questions"]


def test_only_vantages_ask_others_and_only_hosts_of_the_run_ask() -> None:
    plan = fleet(3)
    found = verify_questions(plan, ["app1", "data2", "elsewhere"], vantages=["data2"])
    assert list(found["questions"]) == ["app1", "data2"]
    assert {question["labels"]["host"] for question in found["questions"]["app1"]} == {"app1"}
    assert len({question["labels"]["host"] for question in found["questions"]["data2"]}) > 3


def test_full_means_what_it_says_on_the_command_line() -> None:
    plan = fleet(5)
    usual = verify_questions(plan, [*plan["hosts"]])
    assert verify_questions(plan, [*plan["hosts"]], full="false") == usual != verify_questions(plan, [*plan["hosts"]], full="true")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vantages": ["data2", "dta1"]}, "vantages: there is no host dta1 in this inventory"),
        ({"vantages": "data2"}, "vantages 'data2' must be a list of names"),
        ({"down": "data2"}, "down 'data2' must be a list of names"),
        ({"full": "everybody"}, "full 'everybody' must be true or false"),
        ({"checks": {"passwords": "redis"}}, "checks: passwords 'redis' must be a list of names"),
        ({"maintenance": {"app1": "api"}}, "maintenance of app1 'api' must be a list of names"),
        ({"temporary": {"app1": {"network": "192.0.2.1"}}}, "ssh_bastion_temporary.until: is missing"),
    ],
)
def test_what_makes_no_sense_is_refused(given: Data, message: str) -> None:
    plan = fleet(3)
    with pytest.raises(AnsibleFilterError, match=re.escape(message)):
        verify_questions(plan, [*plan["hosts"]], **given)


def test_vantages_that_this_run_leaves_out_are_no_mistake() -> None:
    assert list(verify_questions(fleet(3), ["app1"], vantages=["app1", "data2", "stranger1"])["questions"]) == ["app1"]


def ssh(found: Data, vantage: str) -> dict[str, str]:
    """What a vantage expects of the others' sshd."""
    asked = [question for question in found["questions"][vantage] if question["labels"]["listener"] == "sshd" and not question["labels"]["local"]]
    return {question["labels"]["host"]: question["expect"] for question in asked}


@pytest.mark.parametrize(("until", "held"), [("2100-01-01T00:00:00Z", True), ("2001-01-01T00:00:00Z", False)])
def test_a_window_that_is_open_is_no_finding(until: str, held: bool) -> None:
    plan = fleet(2)
    window = {"network": ["192.0.2.1", "203.0.113.1"], "until": until}
    asked = [*plan["hosts"], *plan["vantages"]]
    usual = verify_questions(plan, asked)
    assert ssh(usual, "stranger0") == dict.fromkeys(("bastion1", "app0", "app1", "data1", "data2"), "blocked")
    found = verify_questions(plan, asked, temporary={"app0": window, "data1": window, "app1": None})
    assert ssh(found, "stranger0") == dict.fromkeys(("bastion1", "app1", "data2") if held else ssh(usual, "stranger0"), "blocked")
    assert {ssh(found, vantage).get("app0") for vantage in ("stranger1", "data1")} == {"blocked"}, "for nobody else"
    assert ssh(found, "bastion1") == ssh(usual, "bastion1"), "by the map it is let in for good"


def test_each_proxy_has_its_own_maintenance() -> None:
    plan = lab_plan()
    asked = [*plan["hosts"], *plan["vantages"]]
    for maintenance, status in (({"edge1": ["api"]}, "503"), ({"core1": ["api"]}, "200-399")):
        found = verify_questions(plan, asked, maintenance=maintenance)["questions"]
        for vantage in ("edge1", "outsider"):
            assert {question["http"]["status"][0] for question in found[vantage] if question["name"] == "edge1 route api"} == {status}


def test_the_work_grows_with_kinds_of_hosts_not_with_their_number() -> None:
    def remote(apps: int) -> int:
        plan = fleet(apps)
        asked = asks(plan, [*plan["hosts"], *plan["vantages"]])["questions"]
        return sum(not question["labels"]["local"] for questions in asked.values() for question in questions)

    assert remote(40) == remote(2) > 0
