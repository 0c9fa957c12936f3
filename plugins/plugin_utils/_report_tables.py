# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the page beside the matrix: listeners, routes, health, hosts and their classes.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._report_html import Content, Html, element
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_words import GOOD_STATES, Data, authority, counted, latency, number, port, said_of

AT_ONCE = 150  # rows; a larger fleet's tables are folded by host
STATES = {"ignored": "ignored", "unexpected": "unexpected", "missing": "missing", "wrong": "not as planned"}
BAR = 64  # pixels of the longest bar of a latency
FIREWALLS = {"in force": "in force", "differs": "differs from the plan", "none": "none planned", "unknown": "unknown"}

Rows = list[tuple[str, list[Content], bool]]  # host, cells (the first one is the row's header), good


def listeners(report: Data) -> Html:
    """Who listens on each host, and whether the map explains it."""
    rows: Rows = []
    for one in report["listeners"]:
        good = one["state"] in GOOD_STATES
        names = ", ".join(one.get("expected") or []) or "–"
        rows.append(
            (
                one["host"],
                [
                    [element("code", port(one)), " ", element("span", authority(one), class_="sub mono")],
                    [names, " ", _state(STATES.get(one["state"], one["state"]), good) if one["state"] != "expected" else ""],
                    _owner(one),
                    one.get("exposure") or "–",
                ],
                good,
            )
        )
    wrong = sum(not good for _host, _cells, good in rows)
    lead = f"{counted(len(rows), 'socket')} on {counted(len({row[0] for row in rows}), 'host')}. " + (
        f"{number(wrong)} {'is' if wrong == 1 else 'are'} not as planned." if wrong else "The map explains each of them, or says to ignore it."
    )
    return _section("listeners", "Who listens", lead, _by_host(rows, ["Port", "Service", "Held by", "Exposed to"], "Listeners"))


def _owner(one: Data) -> list[Content]:
    containers = ", ".join(one.get("containers") or [])
    main = f"container {containers}" if containers else one.get("process") or "nobody"
    more = [one.get("unit") or "", f"user {one['user']}" if one.get("user") else "", f"pid {one['pid']}" if one.get("pid") else ""]
    said = " · ".join(part for part in more if part)
    return [main, " ", element("span", said, class_="sub") if said else ""]


def routes(report: Data) -> Html:
    """One row a route: the worst answer, and of how many."""
    groups: dict[tuple[str, str, str, str], list[Data]] = {}
    for one in report["routes"]:
        groups.setdefault((one["route"], one["url"], one["proxy"], one["service"]), []).append(one)
    rows: Rows = []
    slowest = max((one["latency"] or 0 for one in report["routes"]), default=0)
    for (route, url, proxy, service), answers in groups.items():
        bad = [one for one in answers if not one["good"]]
        worst = bad[0] if bad else max(answers, key=lambda one: one["latency"] or 0)
        asked = f"{number(len(answers) - len(bad))} of {number(len(answers))} answers good"
        said = " · ".join(part for part in (asked, worst["detail"] if bad else "") if part)
        rows.append(
            (
                proxy,
                [
                    [route, " ", element("span", url, class_="sub mono")],
                    [f"{proxy} → {service}"],
                    [_state(said_of(worst["verdict"]) if bad else "answers", not bad), " ", element("span", said, class_="sub")],
                    _latency(worst["latency"], slowest),
                ],
                not bad,
            )
        )
    wrong = sum(not good for _host, _cells, good in rows)
    lead = f"{counted(len(rows), 'public name')}, each asked by everybody who may. " + (
        f"{number(wrong)} {'does' if wrong == 1 else 'do'} not answer as planned." if wrong else "All answer as planned."
    )
    return _section(
        "routes", "Routes", lead if rows else "The map has no routes, or nobody asked.", _flat(rows, ["Route", "Leads to", "Answer", "Slowest"], "Routes")
    )


def health(report: Data) -> Html:
    """What each service says of itself, and how fast."""
    rows: Rows = []
    slowest = max((one["latency"] or 0 for one in report["health"]), default=0)
    for one in report["health"]:
        said = " · ".join(part for part in (one["detail"], f"asked by {one['vantage']}" if one["vantage"] != one["host"] else "") if part)
        rows.append(
            (
                one["host"],
                [
                    [element("code", port(one)), " ", element("span", one["listener"], class_="name")],
                    one["kind"],
                    [
                        _state("healthy" if one["good"] else said_of(one["verdict"]), one["good"]),
                        " ",
                        element("span", said, class_="sub") if said else "",
                    ],
                    _latency(one["latency"], slowest),
                ],
                one["good"],
            )
        )
    wrong = sum(not good for _host, _cells, good in rows)
    lead = f"{counted(len(rows), 'service')} asked in {'its' if len(rows) == 1 else 'their'} own protocol. " + (
        f"{number(wrong)} {'is' if wrong == 1 else 'are'} not well." if wrong else "All are well."
    )
    return _section(
        "health", "Health", lead if rows else "No service was asked.", _by_host(rows, ["Service", "Asked as", "Answer", "Took"], "Health of services")
    )


def hosts(report: Data) -> Html:
    """Every host, what it was and whether it could be looked at; classes where one host speaks for others."""
    rows: Rows = []
    for one in report["hosts"]:
        firewall = FIREWALLS.get(one["firewall"], one["firewall"])
        good = one["reached"] and not one["findings"] and one["firewall"] != "differs"
        told = "not reached" if not one["reached"] else counted(one["findings"], "finding") if one["findings"] else "as planned"
        kind = " · ".join(part for part in (one["class"], "" if one["managed"] else "asks only") if part)
        rows.append(
            (
                one["name"],
                [
                    [one["name"], " ", element("span", ", ".join(one["addresses"]), class_="sub mono")],
                    kind,
                    firewall,
                    _state(told, good),
                ],
                good,
            )
        )
    table = _flat(rows, ["Host", "Class", "Firewall", "Result"], "Hosts")
    larger = [one for one in report["classes"] if one["asked"] and len(one["hosts"]) > len(one["asked"])]
    parts: list[Content] = [table]
    if larger:
        lines = [
            element(
                "li",
                element("b", one["name"]),
                f": {', '.join(one['asked'])} {'was' if len(one['asked']) == 1 else 'were'} asked for all {number(len(one['hosts']))} hosts ",
                element("span", ", ".join(one["hosts"]), class_="sub"),
            )
            for one in larger
        ]
        parts += [element("h3", "Hosts that speak for others"), element("ul", *lines, class_="classes")]
    total = report["summary"]["hosts"]
    unreached = report["summary"]["unreached"]
    lead = f"{counted(total, 'host')}. " + (f"{number(unreached)} could not be looked at." if unreached else "All were looked at.")
    return _section("hosts", "Hosts", lead, *parts)


# parts


def _section(name: str, title: str, lead: str, *content: Content) -> Html:
    return element("section", element("h2", title, id=f"{name}-title"), element("p", lead, class_="lead"), *content, id=name, aria_labelledby=f"{name}-title")


def _state(text: str, good: bool) -> Html:
    return element("span", text, class_="state good" if good else "state bad")


def _latency(seconds: t.Optional[float], slowest: float) -> list[Content]:
    """With a bar beside it: the root makes room for both a millisecond and a second. It is for the eye alone."""
    if seconds is None:
        return [latency(None)]
    width = max(2, round(BAR * math.sqrt(seconds / slowest))) if slowest else 2
    drawn = element("svg", element("rect", width=width, height=6, rx=3), width=BAR, height=6, aria_hidden="true", focusable="false", class_="bar")
    return [element("span", latency(seconds), class_="took"), " ", drawn]


def _by_host(rows: Rows, heads: list[str], caption: str) -> Html:
    groups: dict[str, Rows] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row)
    if not rows:
        return Html("")
    if len(rows) <= AT_ONCE:
        bodies = [_body(map(_line, group), host, len(heads)) for host, group in groups.items()]
        return _table(heads, caption, bodies)
    folded = []
    for host, group in sorted(groups.items(), key=lambda one: all(good for _host, _cells, good in one[1])):  # what is wrong comes first
        wrong = sum(not good for _host, _cells, good in group)
        told = element("span", f"{number(wrong)} not as planned", class_="bad") if wrong else element("span", "as planned", class_="quiet")
        summary = element("summary", element("b", host), " ", element("span", number(len(group)), class_="quiet"), " ", told)
        folded.append(element("details", summary, _table(heads, f"{caption} of {host}", [_body(map(_line, group))]), open=bool(wrong)))
    return element("div", *folded)


def _flat(rows: Rows, heads: list[str], caption: str) -> Html:
    if not rows:
        return Html("")
    table = _table(heads, caption, [_body(map(_line, rows))])
    wrong = sum(not good for _host, _cells, good in rows)
    if len(rows) <= AT_ONCE:
        return table
    summary = element("summary", element("b", f"All {number(len(rows))}"), " ", element("span", f"{number(wrong)} not as planned" if wrong else "as planned"))
    return element("details", summary, table, open=bool(wrong))


def _table(heads: list[str], caption: str, bodies: list[Html]) -> Html:
    """Roles are stated, because on a phone the rows are laid out as no table is, and some browsers then forget that they are one."""
    head = element("tr", *(element("th", name, scope="col", role="columnheader") for name in heads), role="row")
    parts = [element("caption", caption, class_="sr"), element("thead", head, role="rowgroup"), *bodies]
    table = element("table", *parts, class_="list", role="table")
    return element("div", table, class_="scroll", tabindex="0", role="region", aria_label=f"{caption}: table")


def _body(lines: t.Iterable[Html], host: str = "", columns: int = 0) -> Html:
    title = element("th", element("span", host), scope="rowgroup", colspan=columns, role="rowheader")
    return element("tbody", element("tr", title, class_="host", role="row") if host else "", *lines, role="rowgroup")


def _line(row: tuple[str, list[Content], bool]) -> Html:
    _host, cells, good = row
    head = element("th", cells[0], scope="row", role="rowheader")
    return element("tr", head, *(element("td", cell, role="cell") for cell in cells[1:]), class_=None if good else "d", role="row")
