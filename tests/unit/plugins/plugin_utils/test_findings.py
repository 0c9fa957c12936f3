# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that an operator reads."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.filter.findings_table import findings_table
from ansible_collections.alfred.portmap.plugins.filter.firewall_findings import firewall_findings
from ansible_collections.alfred.portmap.plugins.filter.sshd_findings import sshd_findings
from ansible_collections.alfred.portmap.plugins.filter.verify_observed import verify_observed
from ansible_collections.alfred.portmap.plugins.plugin_utils._findings import of_listeners, table


def finding(host: str, check: str, text: str, why: str = "") -> dict[str, str]:
    """A finding as the role verify collects it."""
    return {"host": host, "check": check, "text": text, "why": why, "kind": "of no concern"}


def test_no_findings_no_table() -> None:
    assert table([]) == ""


def test_columns_are_aligned_and_hosts_are_together() -> None:
    found = [
        finding("outsider", "reaches", "core1 sshd: 203.0.113.12:22/tcp is open, expected blocked", "no rule lets it in"),
        finding("core1", "listens", "short"),
        finding("core1", "reaches", "another"),
    ]
    assert table(found) == (
        "HOST      CHECK    FINDING                                                    WHY\n"
        "core1     listens  short\n"
        "core1     reaches  another\n"
        "outsider  reaches  core1 sshd: 203.0.113.12:22/tcp is open, expected blocked  no rule lets it in\n"
    )


def test_the_same_finding_is_told_once() -> None:
    assert table([finding("a", "listens", "x")] * 3).count("\n") == 2


def test_a_finding_is_one_line_whatever_it_says() -> None:
    """Texts hold words of the hosts that were asked."""
    assert table([finding("a", "reaches", "x\ncore1  listens\x1b[2J", "y\r")]).splitlines()[1:] == ["a     reaches  x?core1  listens?[2J  y?"]


def test_what_follows_from_a_finding_stands_below_it() -> None:
    found = {**finding("core1", "listens", "redis is gone", "line 7"), "consequences": ["a line that is longer than any finding", "b\nc"]}
    many = {**finding("ui1", "firewall", "no table"), "consequences": [str(number) for number in range(20)]}
    assert table([many, found]) == (
        "HOST   CHECK     FINDING        WHY\n"
        "core1  listens   redis is gone  line 7\n"
        "                 → a line that is longer than any finding\n"
        "                 → b?c\n"
        "ui1    firewall  no table\n"
        "                 → 0\n                 → 1\n                 → 2\n                 → 3\n                 → 4\n"
        "                 → and 15 more\n"
    )


SKIPPED = {"skipped": True}


def observed(asked: int = 0, **results: dict[str, object]) -> dict[str, object]:
    """Of a host whose tasks were skipped but for these."""
    return verify_observed({**dict.fromkeys(("listens", "firewall", "ssh", "answers"), SKIPPED), **results}, asked)


def test_what_was_seen_of_a_host_is_kept() -> None:
    found = observed(
        1,
        listens={"findings": [{"kind": "missing"}], "listeners": [{"port": 22}]},
        firewall={"reasons": ["x is missing"], "drift": {"found": False, "lines": []}, "conflicts": []},
        ssh={"differences": ["y"], "valid": True},
        answers={"answers": [{"name": "z"}], "findings": []},
    )
    assert (found["reached"], found["problem"], found["firewall_asked"]) == (True, "", True)
    assert (found["listens"], found["listeners"], found["answers"]) == ([{"kind": "missing"}], [{"port": 22}], [{"name": "z"}])
    assert ([one["text"] for one in found["firewall"]], [one["text"] for one in found["ssh"]]) == (["x is missing"], ["y"])
    assert observed()["firewall_asked"] is False


def test_a_host_that_any_task_did_not_reach_was_not_seen() -> None:
    lost = {"unreachable": True, "msg": "Task failed: Failed to connect to the host via ssh: No route to host"}
    for task in ("listens", "firewall", "answers"):
        found = observed(3, **{task: lost})
        assert (found["reached"], found["problem"], found["answers"]) == (False, "No route to host", [])


def test_what_could_not_be_looked_at_is_never_nothing() -> None:
    assert of_listeners(SKIPPED) == []
    for failed in ({"msg": "no netlink", "findings": [], "listeners": []}, {"msg": "no netlink"}):
        assert [one["text"] for one in of_listeners(failed)] == ["cannot be told: no netlink"]
    assert observed(5, answers={"failed": True, "msg": "MODULE FAILURE\nsee above"})["problem"] == "see above"
    assert observed(5, answers={"answers": [{}] * 4})["problem"] == "no answer", "an answer is missing"


def test_the_filter_says_what_a_finding_lacks() -> None:
    assert findings_table([]) == ""
    assert findings_table([finding("a", "listens", "x")]) == table([finding("a", "listens", "x")])
    with pytest.raises(AnsibleFilterError, match="a finding has no why"):
        findings_table([{"host": "a", "check": "listens", "text": "x"}])


def test_a_check_of_the_firewall_becomes_findings() -> None:
    conflict = {"kind": "ufw", "where": "chain INPUT", "what": "drops all", "advice": "ufw disable"}
    lines = [f"+\t\ttcp dport {port} accept" for port in range(5)]
    reasons = ["the table inet portmap was changed by hand", "unit.service is not enabled"]
    found = firewall_findings({"changed": True, "reasons": reasons, "drift": {"found": True, "lines": lines}, "conflicts": [conflict]})
    assert [one["text"] for one in found] == [
        "the table inet portmap was changed by hand (+tcp dport 0 accept; +tcp dport 1 accept; +tcp dport 2 accept; …)",
        "unit.service is not enabled",
        "ufw: chain INPUT drops all",
    ]
    assert [one["why"] for one in found] == ["a run of the role firewall mends it"] * 2 + ["ufw disable"]
    assert firewall_findings({"reasons": [], "drift": {"found": False, "lines": []}, "conflicts": []}) == []


def test_a_check_that_could_not_be_made_is_a_finding() -> None:
    assert firewall_findings({"skipped": True}) == []
    assert [one["text"] for one in firewall_findings({"failed": True, "msg": "no nft"})] == ["cannot be told: no nft"]
    assert len(firewall_findings({})) == 1


def test_what_is_wrong_with_sshd() -> None:
    assert sshd_findings({"skipped": True}) == []
    assert sshd_findings({"differences": [], "valid": True}) == []
    found = sshd_findings({"differences": ["it was changed by hand"], "valid": False, "problem": "line 1: Bad"})
    assert [one["text"] for one in found] == ["it was changed by hand", "sshd would not start again: line 1: Bad"]
    assert [one["text"] for one in sshd_findings({"failed": True, "msg": "no sshd"})] == ["cannot be told: no sshd"]
