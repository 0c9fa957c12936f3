# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The document that reports are made of: what it holds of a healthy fleet, of a broken one, and of one that was not looked at."""

from __future__ import annotations

import copy
import json
import pathlib
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from made_up_fleet import FINISHED, STARTED, Fleet, lab_plan, map_plan, small_plan, with_findings

from ansible_collections.alfred.portmap.plugins.filter.report_data import report_data

Data = dict[str, t.Any]
HERE = pathlib.Path(__file__).parent
MAPS = HERE.parents[2] / "maps"


@pytest.fixture(scope="module")
def healthy() -> Fleet:
    return Fleet(lab_plan())


@pytest.fixture
def fleet(healthy: Fleet) -> Fleet:
    return copy.deepcopy(healthy)


def row(report: Data, host: str, port: int, transport: str = "tcp") -> Data:
    """A port's row of the matrix."""
    (found,) = [one for one in report["matrix"]["rows"] if (one["host"], one["port"], one["transport"]) == (host, port, transport)]
    return found


def cell(report: Data, host: str, port: int, vantage: str, family: str = "4") -> t.Any:
    """One cell of it."""
    return row(report, host, port)["families"][family][report["matrix"]["vantages"].index(vantage)]


@pytest.mark.parametrize("name", ["report_healthy", "report_findings"])
def test_the_examples_are_what_a_run_ends_in(name: str, healthy: Fleet) -> None:
    """tests/unit/made_up_fleet.py writes them; whatever renders a report is tested on them."""
    made = healthy if name == "report_healthy" else with_findings()
    assert json.loads((HERE / f"{name}.json").read_text(encoding="utf-8")) == json.loads(json.dumps(made.report()))


def test_the_head_of_the_document(healthy: Fleet) -> None:
    report = healthy.report()
    assert (report["version"], report["environment"], report["inventory"]) == (1, "lab", "inventories/lab")
    assert (report["started"], report["finished"], report["seconds"]) == (STARTED, FINISHED, 21.0)
    asked = sum(len(entry["answers"]) for entry in healthy.observed.values())
    assert report["summary"]["questions"] == asked
    assert 0 < report["summary"]["kept_in"] < asked
    assert report["summary"]["notes"] == []


def test_the_matrix_has_every_declared_port_and_strangers_ports(healthy: Fleet) -> None:
    report = healthy.report()
    declared = {(host, line["name"], int(line["ports"]), line["transport"]) for host, entry in healthy.plan["hosts"].items() for line in entry["listeners"]}
    rows = {(one["host"], one["listener"], one["port"], one["transport"]) for one in report["matrix"]["rows"]}
    assert declared <= rows
    assert {one[3] for one in rows - declared} == {"tcp", "udp"} and {one[1] for one in rows - declared} == {""}
    assert report["matrix"]["vantages"] == [*healthy.plan["hosts"], "outsider"]
    for one in report["matrix"]["rows"]:
        assert [len(cells) for cells in one["families"].values()] == [7, 7]


def test_a_cell_says_what_is_planned_and_what_was_seen(fleet: Fleet) -> None:
    fleet.say(fleet.answers("core1", 8080, vantage="outsider", family=6), "open")
    report = fleet.report()
    assert cell(report, "core1", 8080, "core1") is None, "nobody asks himself here"
    assert cell(report, "core1", 8080, "ui1")["planned"] == cell(report, "core1", 8080, "ui1")["observed"] == "open"
    assert cell(report, "core1", 8080, "bastion1")["kept_in"] is True
    assert cell(report, "core1", 8080, "outsider") == {
        "planned": "blocked",
        "observed": "filtered",
        "good": True,
        "why": "no rule lets it in",
        "kept_in": False,
    }
    assert cell(report, "core1", 8080, "outsider", "6") == {
        "planned": "blocked",
        "observed": "open",
        "good": False,
        "why": "no rule lets it in",
        "kept_in": False,
    }


def test_each_listener_has_one_row_of_health_with_its_worst_answer(fleet: Fleet) -> None:
    fleet.say(fleet.answers("data1", 6379, vantage="ui1", planned="open", family=6), "wrong answer", "speaks no Redis: x")
    rows = {(one["host"], one["listener"]): one for one in fleet.report()["health"]}
    assert len(rows) == len(fleet.report()["health"])
    assert {("bastion1", "sshd"), ("edge1", "proxy"), ("monitor1", "grafana"), ("198.51.100.53", "dns")} <= set(rows)
    redis = rows["data1", "redis"]
    assert (redis["vantage"], redis["verdict"], redis["detail"], redis["good"]) == ("ui1", "wrong answer", "speaks no Redis: x", False)
    postgres = rows["data1", "db-postgres"]
    assert postgres["good"] and postgres["latency"] == max(one["latency"] for one in fleet.answers("data1", 5432, planned="open", local=False))


def test_each_route_has_a_row_for_each_vantage_and_family(healthy: Fleet) -> None:
    rows = [one for one in healthy.report()["routes"] if one["route"] == "chat" and one["vantage"] != "edge1"]
    assert len(rows) == 12
    assert rows[0]["url"] == "https://chat.alfred.example.com/" and rows[0]["service"] == "ui-chat" and rows[0]["proxy"] == "edge1"


def test_listeners_have_a_state() -> None:
    report = with_findings().report()
    states = {(one["host"], one["port"]): one["state"] for one in report["listeners"]}
    assert (states["core1", 8082], states["core1", 4444], states["core1", 8080]) == ("missing", "unexpected", "expected")


def test_an_interface_is_a_part_of_where_one_listens(fleet: Fleet) -> None:
    text = "4444/tcp listens on 0.0.0.0%eth0, and nothing in the map explains it"
    fleet.listens("core1", "unexpected", "", "tcp", "4444", text, actual=["0.0.0.0%eth0"])
    there = {**fleet.observed["core1"]["listeners"][0], "address": "0.0.0.0", "port": 4444, "expected": []}
    fleet.observed["core1"]["listeners"] += [{**there, "interface": "eth0"}, {**there, "interface": "eth1"}]
    assert [one["state"] for one in fleet.report()["listeners"] if one["port"] == 4444] == ["unexpected", "ignored"]


@pytest.mark.parametrize(("change", "firewall"), [({}, "in force"), ({"firewall_asked": False}, "unknown")])
def test_hosts_say_whether_their_policy_is_in_force(fleet: Fleet, change: Data, firewall: str) -> None:
    fleet.firewall("ui1", "the table inet portmap is missing")
    fleet.firewall("data1", "cannot be told: no nft", "the module firewall failed")
    fleet.observed["core1"].update(change)
    fleet.lose("monitor1")
    found = {one["name"]: one for one in fleet.report()["hosts"]}
    assert {name: one["firewall"] for name, one in found.items()} == {
        "bastion1": "in force",
        "edge1": "in force",
        "core1": firewall,
        "ui1": "differs",
        "data1": "unknown",
        "monitor1": "unknown",
        "outsider": "none",
    }
    assert (found["ui1"]["findings"], found["monitor1"]["reached"], found["outsider"]["managed"]) == (1, False, False)


def test_what_the_proof_does_not_cover_is_said(fleet: Fleet) -> None:
    del fleet.observed["outsider"], fleet.observed["ui1"]
    (outside, left_out) = fleet.report()["summary"]["notes"]
    assert "nobody asked from where strangers stand" in outside
    assert left_out == "This run left out ui1: nothing was looked at there."


def test_silence_without_a_single_answer_proves_nothing() -> None:
    """Nothing of this map is public: a stranger who is cut off hears the same as one who is kept out."""
    fleet = Fleet(small_plan())
    report = fleet.report()
    assert report["findings"] == []
    assert report["summary"]["notes"] == ["outsider heard from nobody, so its silence proves nothing."]
    fleet.say(fleet.answers("web1", 3000, vantage="outsider"), "refused")
    assert fleet.report()["summary"]["notes"] == [], "even a refusal shows that there is a way"


def test_a_host_whose_own_policy_keeps_all_in_is_no_news(fleet: Fleet) -> None:
    entry = fleet.observed["bastion1"]
    entry["answers"] = [one for one in entry["answers"] if one["labels"]["local"] or one["why"].startswith("not let out")]
    assert len(entry["answers"]) > 50
    assert fleet.report()["summary"]["notes"] == []


def test_what_is_not_on_hosts_of_the_inventory_is_named() -> None:
    """The cluster's routes and load balancers, and what others manage."""
    text = (MAPS / "kubernetes.yml").read_text(encoding="utf-8")
    hosts = {"k8s_nodes": ["node1", "node2"], "data": ["data1"], "jobs": ["jobs1"], "strangers": ["outsider"]}
    notes = Fleet(map_plan(text, hosts)).report()["summary"]["notes"]
    assert "Nobody asked for the routes api: no managed host of this inventory serves them." in notes
    assert "Nobody asked alfred-core (198.51.100.80), redis (192.0.2.60): no managed host of this inventory is there." in notes
    text = text.replace("cluster: main, address: 198.51.100.80}", "cluster: main}")
    assert any("alfred-core (in its cluster)" in note for note in Fleet(map_plan(text, hosts)).report()["summary"]["notes"])


def test_who_speaks_for_others_is_said(fleet: Fleet) -> None:
    fleet.classes[2] = {"name": "core", "hosts": ["core1", "core2", "core3"], "asked": ["core1"], "asking": ["core1"]}
    fleet.plan = {**fleet.plan, "hosts": {**fleet.plan["hosts"], "core2": fleet.plan["hosts"]["core1"], "core3": fleet.plan["hosts"]["core1"]}}
    notes = fleet.report()["summary"]["notes"]
    assert "core1 spoke for 3 hosts like them (verify_full: true lets each speak for itself)." in notes


def test_hosts_that_were_lost_before_are_findings(fleet: Fleet) -> None:
    observed = {host: entry for host, entry in fleet.observed.items() if host != "ui1"}
    report = report_data(fleet.plan, observed, {"started": STARTED, "finished": FINISHED, "lost": ["ui1"]})
    assert [(one["host"], one["check"], one["text"]) for one in report["findings"]] == [
        ("ui1", "host", "Ansible can't reach it: an earlier task of this run failed there, or did not get there"),
    ]
    assert report["summary"]["unreached"] == 1


def test_what_is_missing_is_told(healthy: Fleet) -> None:
    with pytest.raises(AnsibleFilterError, match="finished is missing"):
        report_data(healthy.plan, healthy.observed, {"started": STARTED})
    with pytest.raises(AnsibleFilterError, match="soon"):
        report_data(healthy.plan, healthy.observed, {"started": STARTED, "finished": "soon"})
