# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings: what the modules that look at a host say as such, and those of all hosts as one table for people.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable

HEADINGS = ("HOST", "CHECK", "FINDING", "WHY")
WIDEST = 1000  # characters of a cell
MOST_LINES = 3  # of what was changed by hand
MOST_CONSEQUENCES = 6  # of a finding, in the table
FOLLOWS = "→ "
NEVER: dict[str, t.Any] = {"listeners": [], "listens": [], "firewall": [], "ssh": [], "answers": []}  # what nobody saw


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


def of_listeners(result: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The findings in what the module listening_ports answered; a table that it could not read is one, too."""
    if result.get("skipped"):
        return []
    if "findings" not in result or result.get("msg"):
        return [{"kind": "unknown", "name": "", "text": f"cannot be told: {result.get('msg') or 'no answer'}", "why": "the module listening_ports failed"}]
    return list(result["findings"])


def observation(results: t.Mapping[str, t.Mapping[str, t.Any]], asked: int) -> dict[str, t.Any]:
    """What the modules saw of one host, as a report takes it; asked: how many questions the host was given.

    results: the registered results of the tasks, by listens, firewall, ssh and answers.
    """
    lost = next((result for result in results.values() if result.get("unreachable")), None)
    if lost is not None:
        return {**NEVER, "reached": False, "problem": _one_line(lost.get("msg")), "firewall_asked": False}
    answers = list(results["answers"].get("answers") or ())
    unasked = "" if len(answers) == asked else _one_line(results["answers"].get("msg"))
    return {
        "reached": True,
        "problem": unasked,
        "listeners": list(results["listens"].get("listeners") or ()),
        "listens": of_listeners(results["listens"]),
        "firewall": of_firewall(results["firewall"]),
        "firewall_asked": not results["firewall"].get("skipped"),
        "ssh": of_sshd(results["ssh"]),
        "answers": answers,
    }


def _one_line(message: t.Any) -> str:
    """What Ansible says of a failure, which may be a long text: its last line says most."""
    lines = [line.strip() for line in str(message or "no answer").splitlines() if line.strip()]
    return printable(lines[-1].removeprefix("Task failed: ").removeprefix("Failed to connect to the host via ssh: "), 300) if lines else "no answer"


def table(findings: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """One line a finding, aligned and sorted by host; each finding has host, check, text and why, and may have consequences. "" for none.

    Raises KeyError for a finding that lacks one of them.
    """
    if not findings:
        return ""
    rows = {tuple(printable(str(finding[key]), WIDEST) for key in ("host", "check", "text", "why")): finding.get("consequences") or () for finding in findings}
    lines: list[tuple[str, ...]] = [HEADINGS]
    for row in sorted(rows):
        follows = [FOLLOWS + printable(str(one), WIDEST) for one in rows[row]]
        if len(follows) > MOST_CONSEQUENCES:
            follows[MOST_CONSEQUENCES - 1 :] = [f"{FOLLOWS}and {len(follows) - MOST_CONSEQUENCES + 1} more"]
        lines += [row, *(("", "", one, "") for one in follows)]
    # What follows from a finding may be as long as it likes: it stands alone in its line.
    widths = [max(len(line[column]) for line in lines if not line[column].startswith(FOLLOWS)) for column in range(len(HEADINGS) - 1)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[-1]]).rstrip() for line in lines) + "\n"
