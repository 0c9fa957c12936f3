# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings of all hosts as one table for people.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable

HEADINGS = ("HOST", "CHECK", "FINDING", "WHY")
WIDEST = 1000  # characters of a cell


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
