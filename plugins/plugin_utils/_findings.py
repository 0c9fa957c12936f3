# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings: what a look at the firewall and at sshd says as such, and those of all hosts as one table for people.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable

HEADINGS = ("HOST", "CHECK", "FINDING", "WHY")
WIDEST = 1000  # characters of a cell
MOST_LINES = 3  # of what was changed by hand


def of_firewall(result: t.Mapping[str, t.Any]) -> list[dict[str, str]]:
    """The findings, with text and why, in what the module firewall answered in check mode; [] if it was skipped.

    An answer without reasons is one of a module that could not look: a finding too.
    """
    if result.get("skipped"):
        return []
    if "reasons" not in result:
        return [{"text": f"cannot be told: {result.get('msg') or 'no answer'}", "why": "the module firewall failed"}]
    drifted = result["drift"]["lines"]
    shown = [line.replace("\t", "") for line in drifted[:MOST_LINES]] + (["…"] if len(drifted) > MOST_LINES else [])
    by_hand = f" ({'; '.join(shown)})" if shown else ""
    reasons = [reason + (by_hand if "by hand" in reason else "") for reason in result["reasons"]]
    conflicts = [("{kind}: {where} {what}".format(**conflict), conflict["advice"]) for conflict in result["conflicts"]]
    found = [(reason, "a run of the role firewall mends it") for reason in reasons] + conflicts
    return [{"text": text, "why": why} for text, why in found]


def of_sshd(result: t.Mapping[str, t.Any]) -> list[dict[str, str]]:
    """The findings, with text and why, in what the module sshd_info answered; [] if it was skipped, and on a host without a drop-in of ours."""
    if result.get("skipped"):
        return []
    if "differences" not in result:
        return [{"text": f"cannot be told: {result.get('msg') or 'no answer'}", "why": "the module sshd_info failed"}]
    found = [{"text": text, "why": "a run of the role ssh_bastion mends it"} for text in result["differences"]]
    if not result["valid"]:
        found.append({"text": f"sshd would not start again: {result['problem']}", "why": "a file of its configuration is broken"})
    return found


def table(findings: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """One line a finding, aligned and sorted by host; each finding has host, check, text and why. "" for none.

    Raises KeyError for a finding that lacks one of them.
    """
    if not findings:
        return ""
    rows = sorted({tuple(printable(str(finding[key]), WIDEST) for key in ("host", "check", "text", "why")) for finding in findings})
    lines = [HEADINGS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS) - 1)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[-1]]).rstrip() for line in lines) + "\n"
