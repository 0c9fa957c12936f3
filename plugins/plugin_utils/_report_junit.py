# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as JUnit XML, which every CI system reads: one test case per checked thing, and as many failures as there are faults.

A thing that is not as planned because of another fault is skipped, and says so: it neither passed nor is it a fault of its own. Cases keep
their names between runs, so that a CI system can tell since when one fails.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_words import GOOD_STATES, Data, checked, is_good, observed, port, sorted_findings, verdict

LONGEST = 2000
# Suites and the checks of findings that fail in them.
SUITES = {
    "hosts": ("host",),
    "listens": ("listens",),
    "firewall": ("firewall",),
    "ssh": ("ssh",),
    "reaches": ("reaches",),
    "routes": ("route",),
    "health": ("health",),
}


@dataclass
class _Case:
    """One thing that was checked."""

    host: str
    name: str
    seconds: float = 0.0
    wrong: str = ""  # what was seen that is not as planned
    findings: list[Data] = field(default_factory=list)
    skipped: str = ""


def junit(report: t.Any) -> str:
    """The document. Raises ValueError for what is no report, KeyError for one that lacks something."""
    report = checked(report)
    cases: dict[str, list[_Case]] = {
        "hosts": _hosts(report),
        "listens": _listens(report),
        "firewall": _firewall(report),
        "ssh": [_Case(one["name"], "sshd") for one in report["hosts"] if one["managed"] and one["reached"]],
        "reaches": _reaches(report),
        "routes": _routes(report),
        "health": _health(report),
    }
    suite_of = {check: suite for suite, checks in SUITES.items() for check in checks}
    for finding in sorted_findings(report):
        _fail(cases[suite_of.get(finding["check"], "hosts")], finding)
    if not is_good(report) and not report["findings"]:
        # It says that it is not good and does not say why: that may not pass.
        cases["hosts"].append(_Case("", "the report", wrong=verdict(report)))
    explained = bool(report["findings"])
    return _document(report, {suite: [_settled(case, explained) for case in found] for suite, found in cases.items()})


def _fail(cases: list[_Case], finding: Data) -> None:
    """The case of the same host and name fails by it; without one, a case of its own."""
    for case in cases:
        if case.host == finding["host"] and case.name == finding["subject"] and not case.findings:
            case.findings.append(finding)
            return
    cases.append(_Case(finding["host"], finding["subject"], findings=[finding]))


def _settled(case: _Case, explained: bool) -> _Case:
    """What is wrong, and no fault of its own, is another fault's consequence. Where there is no other fault, it fails."""
    if case.wrong and not case.findings and explained:
        case.skipped = f"{case.wrong}: told by a fault that fails elsewhere"
    return case


# things


def _hosts(report: Data) -> list[_Case]:
    return [_Case(one["name"], "reached", wrong="" if one["reached"] else "could not be looked at") for one in report["hosts"]]


def _listens(report: Data) -> list[_Case]:
    cases: dict[tuple[str, str], _Case] = {}
    for one in report["listeners"]:
        names = one.get("expected") or []
        name = f"{', '.join(names) if names else 'port'} {port(one)}"
        case = cases.setdefault((one["host"], name), _Case(one["host"], name))
        if one["state"] not in GOOD_STATES:
            case.wrong = one["state"]
    return list(cases.values())


def _firewall(report: Data) -> list[_Case]:
    cases = []
    for one in report["hosts"]:
        if one["firewall"] == "none":
            continue
        case = _Case(one["name"], "policy", wrong="differs from the plan" if one["firewall"] == "differs" else "")
        if one["firewall"] == "unknown":
            case.skipped = "the host was not asked"
        cases.append(case)
    return cases


def _reaches(report: Data) -> list[_Case]:
    cases = []
    for row in report["matrix"]["rows"]:
        name = f"{row['listener'] or 'undeclared port'} {port(row)}"
        for index, vantage in enumerate(report["matrix"]["vantages"]):
            asked = {family: cells[index] for family, cells in sorted(row["families"].items()) if cells and cells[index]}
            if asked:
                wrong = [f"IPv{family} is {observed(cell)}, planned {cell['planned']}" for family, cell in asked.items() if not cell["good"]]
                cases.append(_Case(row["host"], f"{name} from {vantage}", wrong="; ".join(wrong)))
    return cases


def _routes(report: Data) -> list[_Case]:
    cases: dict[tuple[str, str], _Case] = {}
    for one in report["routes"]:
        case = cases.setdefault((one["proxy"], one["route"]), _Case(one["proxy"], f"route {one['route']}"))
        case.seconds = max(case.seconds, one["latency"] or 0.0)
        if not one["good"]:
            case.wrong = f"{one['url']}: {one['verdict']} {one['detail']}".rstrip()
    return list(cases.values())


def _health(report: Data) -> list[_Case]:
    cases = []
    for one in report["health"]:
        wrong = "" if one["good"] else f"{one['verdict']} {one['detail']}".rstrip()
        cases.append(_Case(one["host"], f"{one['listener']} {port(one)}", seconds=one["latency"] or 0.0, wrong=wrong))
    return cases


# document


def _document(report: Data, suites: dict[str, list[_Case]]) -> str:
    root = ET.Element("testsuites", name="alfred.portmap", time=_seconds(report["seconds"]))
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for index, (name, cases) in enumerate(suites.items()):
        suite = ET.SubElement(root, "testsuite", name=name, id=str(index), package="portmap", hostname=_text(report.get("environment") or "fleet"))
        # Without a zone, as the schema of JUnit wants it; it is UTC.
        suite.set("timestamp", _text(str(report["started"]).removesuffix("Z").split("+")[0].split(".")[0]))
        suite.set("time", _seconds(sum(case.seconds for case in cases)))
        counts = dict.fromkeys(totals, 0)
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(properties, "property", name="inventory", value=_text(report.get("inventory") or ""))
        taken: dict[tuple[str, str], int] = {}
        for case in cases:
            counts["tests"] += 1
            times = taken[case.host, case.name] = taken.get((case.host, case.name), 0) + 1
            shown = case.name if times == 1 else f"{case.name} ({times})"
            _case(suite, name, case, shown, counts)
        for key, value in counts.items():
            suite.set(key, str(value))
            totals[key] += value
    for key in ("tests", "failures", "errors"):
        root.set(key, str(totals[key]))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, suite_name: str, case: _Case, shown: str, counts: dict[str, int]) -> None:
    classname = ".".join(part for part in ("portmap", suite_name, case.host) if part)
    node = ET.SubElement(suite, "testcase", name=_text(shown), classname=_text(classname), time=_seconds(case.seconds))
    if case.findings:
        finding = case.findings[0]
        failure = ET.SubElement(node, "failure", message=_text(finding["text"]), type=_text(finding["check"]))
        failure.text = _told(finding)
        counts["failures"] += 1
    elif case.skipped:
        ET.SubElement(node, "skipped", message=_text(case.skipped))
        counts["skipped"] += 1
    elif case.wrong:
        failure = ET.SubElement(node, "failure", message=_text(case.wrong), type=suite_name)
        failure.text = _text(case.wrong)
        counts["failures"] += 1


def _told(finding: Data) -> str:
    lines = [f"{finding['host']}: {finding['text']}"]
    lines += [f"{title}: {finding[key]}" for key, title in (("why", "why"), ("advice", "what to do")) if finding[key]]
    lines += [f"what follows: {line}" for line in finding["consequences"]]
    return "\n".join(_text(line) for line in [*lines, f"id: {finding['id']}"])


def _text(value: t.Any) -> str:
    """XML has no way at all to say most control characters."""
    return printable(str(value), LONGEST)


def _seconds(value: float) -> str:
    return f"{value:.3f}"
