# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that every rendering of a report shares: page, terminal, JUnit. One fault has one name everywhere.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import datetime
import typing as t

Data = dict[str, t.Any]

VERSION = 1
# What was checked, in the order in which a person would look into it: what is below breaks by what is above.
CHECKS = {
    "host": "Host",
    "firewall": "Firewall",
    "listens": "Listener",
    "route": "Route",
    "health": "Health",
    "ssh": "SSH",
    "reaches": "Reachability",
}
GOOD_STATES = ("expected", "ignored")  # of a listener
# What a probe's verdict says, to people who never read its documentation.
VERDICTS = {
    "open": "open",
    "refused": "refused",
    "filtered": "silent",
    "unreachable": "no way there",
    "wrong answer": "wrong answer",
}


def checked(report: t.Any) -> Data:
    """The report, if it is one that can be rendered. Raises ValueError for any other: a page must not show half of what was found."""
    if not isinstance(report, dict) or report.get("version") != VERSION:
        found = report.get("version") if isinstance(report, dict) else type(report).__name__
        raise ValueError(f"not a report of version {VERSION}, but {found!r}")
    missing = [key for key in ("summary", "findings", "hosts", "classes", "listeners", "routes", "health", "matrix") if key not in report]
    if missing:
        raise ValueError(f"the report lacks {', '.join(missing)}")
    return report


def sorted_findings(report: Data) -> list[Data]:
    """What most follows from comes first, then by check, host and subject: the order in which to repair."""
    rank = list(CHECKS)

    def key(finding: Data) -> tuple[t.Any, ...]:
        check = finding["check"]
        return -len(finding["consequences"]), rank.index(check) if check in rank else len(rank), finding["host"], finding["subject"], finding["text"]

    return sorted(report["findings"], key=key)


def is_good(report: Data) -> bool:
    """Whether nothing at all is wrong. A report that contradicts itself is not good."""
    summary = report["summary"]
    answers = all(row["good"] for row in (*report["routes"], *report["health"]))
    listeners = all(row["state"] in GOOD_STATES for row in report["listeners"])
    return bool(summary["good"]) and not report["findings"] and not summary["unreached"] and answers and listeners and not differences(report)


def verdict(report: Data) -> str:
    """What came out, in one short line."""
    findings = report["findings"]
    if is_good(report):
        return "Everything is as planned"
    unreached = report["summary"]["unreached"]
    if not findings:
        return f"{counted(unreached, 'host')} could not be looked at" if unreached else "Not everything is as planned"
    hosts = len({finding["host"] for finding in findings})
    return f"{counted(len(findings), 'fault')} on {counted(hosts, 'host')}"


def plain_summary(report: Data) -> str:
    """What was asked of whom, in one sentence."""
    summary = report["summary"]
    reached = summary["hosts"] - summary["unreached"]
    answered = (
        "and every answer was the planned one"
        if is_good(report)
        else f"and {counted(summary['unreached'], 'host')} said nothing"
        if summary["unreached"]
        else ""
    )
    text = f"{counted(reached, 'host')} asked {counted(summary['questions'], 'question')} and showed {counted(summary['listeners'], 'listener')}"
    return f"{text}, {answered}." if answered else f"{text}."


def counted(count: int, noun: str) -> str:
    """3 hosts, 1 host, 12,000 questions."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def number(count: int) -> str:
    """With commas, as English has them."""
    return f"{count:,}"


def port(row: Data) -> str:
    """Of a listener, a row of the matrix, a service's health: 6379/tcp."""
    return f"{row['port']}/{row['transport']}"


def latency(seconds: t.Optional[float]) -> str:
    """A time that people compare: three digits at most."""
    if seconds is None:
        return "–"
    if seconds < 0.0095:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.0f} s"


def moment(text: str) -> str:
    """26 November 2026, 21:40 UTC; the text itself if it is no time."""
    try:
        parsed = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return text
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=datetime.timezone.utc)
    parsed = parsed.astimezone(datetime.timezone.utc)
    return f"{parsed.day} {parsed:%B %Y, %H:%M} UTC"


def seconds_since_1970(text: str) -> float:
    """Of an ISO 8601 time; 0 if it is none, so that a missing one counts as stale."""
    try:
        parsed = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return 0.0
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.timezone.utc)).timestamp()


def observed(cell: Data) -> str:
    """What was seen, in a word or two."""
    return said_of(cell["observed"])


def said_of(verdict_word: str) -> str:
    """A probe's verdict, in the words of the report."""
    return VERDICTS.get(verdict_word, str(verdict_word))


def title_of(check: str) -> str:
    """A check's name, as people see it."""
    return CHECKS.get(check, str(check))


def differences(report: Data) -> list[tuple[Data, str, str, Data]]:
    """(row, family, vantage, cell) of each cell of the matrix that is not as planned."""
    vantages = report["matrix"]["vantages"]
    return [
        (row, family, vantage, cell)
        for row in report["matrix"]["rows"]
        for family in sorted(row["families"])
        for vantage, cell in zip(vantages, row["families"][family])
        if cell and not cell["good"]
    ]


def authority(listener: Data) -> str:
    """Address and port as one types them."""
    address = str(listener["address"])
    return f"[{address}]:{listener['port']}" if ":" in address else f"{address}:{listener['port']}"
