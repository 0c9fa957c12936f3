# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts speak for others: those that the plan treats alike, however many they are."""

from __future__ import annotations

import textwrap
import typing as t

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


def test_the_work_grows_with_kinds_of_hosts_not_with_their_number() -> None:
    def remote(apps: int) -> int:
        plan = fleet(apps)
        asked = asks(plan, [*plan["hosts"], *plan["vantages"]])["questions"]
        return sum(not question["labels"]["local"] for questions in asked.values() for question in questions)

    assert remote(40) == remote(2) > 0
