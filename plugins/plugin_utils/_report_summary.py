# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report for a terminal: good or bad first, each fault with what to do, and a small matrix.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import string
import textwrap
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_words import (
    Data,
    checked,
    counted,
    is_good,
    latency,
    moment,
    number,
    plain_summary,
    sorted_findings,
    title_of,
    verdict,
)

WIDTH = 100
NARROWEST = 60
MOST_CONSEQUENCES = 5
MOST_LINES = 48  # of the matrix; a larger fleet's shows only what differs
LONGEST = 2000
SIGNS = {"open": "●", "blocked": "–", "kept in": "·", "wrong": "✗", "not asked": " "}


def summary(report: t.Any, width: int = WIDTH) -> str:
    """Several lines, none longer than width. Raises ValueError for what is no report, KeyError for one that lacks something."""
    report = checked(report)
    width = max(width, NARROWEST)
    where = f" · {report['environment']}" if report.get("environment") else ""
    lines = _wrapped(f"{'✓' if is_good(report) else '✗'} {verdict(report)}{where} · {moment(report['finished'])}", width, "", "  ")
    lines += _wrapped(f"{plain_summary(report)} {_kept_in(report)}Took {latency(report['seconds'])}.", width, "  ", "  ")
    for note in report["summary"].get("notes") or []:
        lines += _wrapped(note, width, "  ! ", "    ")
    lines += _findings(report, width)
    lines += _matrix(report, width)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _kept_in(report: Data) -> str:
    kept = report["summary"]["kept_in"]
    return f"{number(kept)} of the questions were answered by the asking host's own policy, which kept them in. " if kept else ""


def _wrapped(text: str, width: int, first: str, rest: str) -> list[str]:
    return textwrap.wrap(printable(text, LONGEST), width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False) or [first]


# findings


def _findings(report: Data, width: int) -> list[str]:
    by_host: dict[str, list[Data]] = {}
    for finding in sorted_findings(report):
        by_host.setdefault(finding["host"], []).append(finding)
    lines: list[str] = []
    for host, found in by_host.items():
        lines += ["", printable(host)]
        for finding in found:
            lines += _wrapped(f"{title_of(finding['check'])}: {finding['text']}", width, "  ✗ ", "    ")
            lines += _wrapped(finding["advice"], width, "    do    ", "          ") if finding["advice"] else []
            lines += _wrapped(finding["why"], width, "    why   ", "          ") if finding["why"] else []
            consequences = finding["consequences"]
            for line in consequences[:MOST_CONSEQUENCES]:
                lines += _wrapped(line, width, "    so    ", "          ")
            if len(consequences) > MOST_CONSEQUENCES:
                lines.append(f"    so    … and {number(len(consequences) - MOST_CONSEQUENCES)} more")
    return lines


# matrix


def _matrix(report: Data, width: int) -> list[str]:
    vantages = report["matrix"]["vantages"]
    folded = _folded(report)
    if not folded or not vantages:
        return []
    shown = folded if len(folded) <= MOST_LINES else [line for line in folded if SIGNS["wrong"] in line[2]]
    left_out = len(folded) - len(shown)
    letters = _letters(len(vantages))
    column = max(len(letter) for letter in letters) + 1
    room = width - column * len(vantages)
    if room < NARROWEST // 3:
        return ["", *_wrapped(f"{counted(len(vantages), 'host')} asked: too many for a table here. The page has it.", width, "", "")]
    host_width = min(max(len(printable(host)) for host, _ports, _signs in folded) + 2, room // 2)
    room = min(room, host_width + max(len(ports) for _host, ports, _signs in shown or folded) + 1)
    lines = ["", *_wrapped("Who reaches what:  ● open  – blocked  · kept in by the asking host  ✗ not as planned", width, "", "  ")]
    lines += _packed([f"{letter} {printable(name)}" for letter, name in zip(letters, vantages)], width)
    if left_out:
        lines += _wrapped(f"{counted(left_out, 'line')} as planned {'is' if left_out == 1 else 'are'} left out.", width, "  ", "  ")
    if shown:
        lines.append(" " * room + "".join(letter.rjust(column) for letter in letters))
    before = ""
    for host, ports, signs in shown:
        name = printable(host) if host != before else ""
        before = host
        cells = "".join(sign.rjust(column) for sign in signs)
        parts = textwrap.wrap(ports, max(room - host_width - 1, 8), break_on_hyphens=False) or [""]
        lines.append(name[: host_width - 1].ljust(host_width) + parts[0].ljust(room - host_width) + cells)
        lines += [" " * host_width + part for part in parts[1:]]
    return lines


def _folded(report: Data) -> list[tuple[str, str, tuple[str, ...]]]:
    """(host, ports, signs): the ports of a host that look the same from everywhere are one line."""
    groups: dict[tuple[str, str, bool, tuple[str, ...]], list[str]] = {}
    for row in report["matrix"]["rows"]:
        signs = tuple(_sign(row, index) for index in range(len(report["matrix"]["vantages"])))
        ports = groups.setdefault((row["host"], row["transport"], bool(row["listener"]), signs), [])
        if str(row["port"]) not in ports:
            ports.append(str(row["port"]))
    order = {host: index for index, host in reversed(list(enumerate(row["host"] for row in report["matrix"]["rows"])))}
    found = [(host, f"{' '.join(ports)}/{transport}{'' if declared else ', in no map'}", signs) for (host, transport, declared, signs), ports in groups.items()]
    return sorted(found, key=lambda one: order[one[0]])


def _sign(row: Data, index: int) -> str:
    cells = [cells[index] for cells in row["families"].values() if cells and cells[index]]
    if not cells:
        return SIGNS["not asked"]
    if any(not cell["good"] for cell in cells):
        return SIGNS["wrong"]
    if any(cell["planned"] == "open" for cell in cells):
        return SIGNS["open"]
    return SIGNS["kept in"] if all(cell.get("kept_in") for cell in cells) else SIGNS["blocked"]


def _packed(words: list[str], width: int) -> list[str]:
    """As many side by side as there is room for, none broken."""
    lines = [" "]
    for word in words:
        if len(lines[-1]) + 3 + len(word) > width and lines[-1].strip():
            lines.append(" ")
        lines[-1] += ("   " if lines[-1].strip() else " ") + word[: width - 2]
    return lines


def _letters(count: int) -> list[str]:
    """A, B, … Z, AA, AB, …"""
    letters = string.ascii_uppercase
    return [letters[index] if index < 26 else letters[index // 26 - 1] + letters[index % 26] for index in range(min(count, 26 * 27))]
