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
from ansible_collections.alfred.portmap.plugins.plugin_utils._findings import table


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
