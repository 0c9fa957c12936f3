# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that an operator reads."""

from __future__ import annotations

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
