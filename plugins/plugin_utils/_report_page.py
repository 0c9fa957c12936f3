# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as one HTML page that needs nothing else: no network, no script, no font of its own.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils import _report_matrix, _report_tables
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_html import Content, Html, element, hidden
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_style import STYLE
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_words import (
    GOOD_STATES,
    Data,
    checked,
    counted,
    differences,
    is_good,
    latency,
    moment,
    number,
    plain_summary,
    sorted_findings,
    title_of,
    verdict,
)

FIRST = 6  # faults that the banner names; the rest follows below it
# Drawn for a box of 24: a tick, a cross.
SIGNS = {True: "M7 12.5l3.3 3.3L17 9", False: "M8.2 8.2l7.6 7.6M15.8 8.2l-7.6 7.6"}
COLOURS = {True: "#17683a", False: "#a3211b"}


def page(report: t.Any) -> str:
    """The page. Raises ValueError for what is no report, KeyError for one that lacks something."""
    report = checked(report)
    findings = sorted_findings(report)
    good = is_good(report)
    main: list[Content] = [_findings(findings)] if findings else []
    main += [
        _report_matrix.section(report),
        _report_tables.listeners(report),
        _report_tables.routes(report),
        _report_tables.health(report),
        _report_tables.hosts(report),
    ]
    body = element(
        "body",
        element("a", "Skip to the findings" if findings else "Skip to who reaches what", href="#findings" if findings else "#reachability", class_="skip"),
        element("header", element("div", _kicker(report), _verdict(report, findings, good), _figures(report), _places(report), class_="wrap"), class_="top"),
        element("main", *main, class_="wrap"),
        element("footer", element("div", _footer(report), class_="wrap")),
    )
    return "<!DOCTYPE html>\n" + element("html", _head(report, good), body, lang="en") + "\n"


# head


def _head(report: Data, good: bool) -> Html:
    style_hash = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    # Nothing may be loaded or run: not even what somebody managed to smuggle into a text.
    policy = f"default-src 'none'; style-src 'sha256-{style_hash}'; img-src data:; base-uri 'none'; form-action 'none'"
    environment = f" · {report['environment']}" if report.get("environment") else ""
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex"),
        element("title", f"{'✓' if good else '✕'} {verdict(report)}{environment} · port map report"),
        element("link", rel="icon", href=_icon(good)),
        element("style", Html(STYLE)),
    )


def _icon(good: bool) -> str:
    drawn = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'><circle cx='12' cy='12' r='11' fill='{COLOURS[good]}'/>"
        f"<path d='{SIGNS[good]}' stroke='#fff' stroke-width='2.6' fill='none' stroke-linecap='round'/></svg>"
    )
    return "data:image/svg+xml;base64," + base64.b64encode(drawn.encode()).decode()


# banner


def _kicker(report: Data) -> Html:
    where = [element("b", "Port map report")]
    if report.get("environment"):
        where += [Html(" · "), element("span", report["environment"])]
    when = element("span", "Looked at ", element("time", moment(report["finished"]), datetime=report["finished"]))
    return element("p", element("span", *where), when, class_="kicker")


def _verdict(report: Data, findings: list[Data], good: bool) -> Html:
    sign = element(
        "svg",
        element("circle", cx=12, cy=12, r=12, fill="currentColor"),
        element("path", d=SIGNS[good], stroke_width="2.4", fill="none", stroke_linecap="round", stroke_linejoin="round"),
        viewBox="0 0 24 24",
        aria_hidden="true",
        focusable="false",
    )
    parts: list[Content] = [element("h1", sign, element("span", verdict(report))), element("p", plain_summary(report))]
    if findings:
        lines = [
            element(
                "li",
                element("span", finding["host"], class_="where"),
                element("a", finding["text"], href=f"#{anchor}"),
            )
            for finding, anchor in list(zip(findings, _anchors(findings)))[:FIRST]
        ]
        if len(findings) > FIRST:
            rest = len(findings) - FIRST
            lines.append(element("li", element("span", "and", class_="where"), element("a", f"{number(rest)} more below", href="#findings")))
        parts.append(element("ol", *lines, class_="broken-list"))
        first = next((finding for finding in findings if finding["advice"]), None)
        if first:
            start = "What to do: " if len(findings) == 1 else f"Start with {first['host']}: "
            parts.append(element("p", element("b", start), first["advice"], class_="todo"))
    notes = report["summary"].get("notes") or []
    if notes:
        parts.append(element("div", element("ul", *(element("li", note) for note in notes)), class_="notes", role="note", aria_label="What to know"))
    return element("div", *parts, class_="verdict" if good else "verdict broken")


def _figures(report: Data) -> Html:
    summary = report["summary"]
    services = report["health"]
    routes: dict[str, bool] = {}
    for one in report["routes"]:
        routes[one["route"]] = routes.get(one["route"], True) and one["good"]
    shown: list[tuple[str, Content]] = [
        ("hosts looked at", _of(summary["hosts"] - summary["unreached"], summary["hosts"])),
        ("listeners", number(summary["listeners"])),
        ("questions asked", number(summary["questions"])),
        ("of them kept in by the asking host", number(summary["kept_in"])),
        ("routes answer", _of(sum(routes.values()), len(routes))),
        ("services healthy", _of(sum(bool(one["good"]) for one in services), len(services))),
    ]
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in shown), class_="figures")


def _of(part: int, whole: int) -> Content:
    return [number(part), element("small", f" of {number(whole)}")]


def _places(report: Data) -> Html:
    places = [
        ("findings", "Findings", len(report["findings"])),
        ("reachability", "Who reaches what", len(differences(report))),
        ("listeners", "Who listens", sum(one["state"] not in GOOD_STATES for one in report["listeners"])),
        ("routes", "Routes", len({one["route"] for one in report["routes"] if not one["good"]})),
        ("health", "Health", sum(not one["good"] for one in report["health"])),
        ("hosts", "Hosts", sum(not one["reached"] for one in report["hosts"])),
    ]
    links = [
        element("li", element("a", title, href=f"#{name}"), *([" ", element("b", number(wrong)), hidden(" not as planned")] if wrong else []))
        for name, title, wrong in places
        if name != "findings" or wrong
    ]
    return element("nav", element("ul", *links), class_="places", aria_label="Parts of this report")


# findings


def _anchors(findings: list[Data]) -> list[str]:
    """One per finding: by its id, so that a link to it is good for the next report too."""
    anchors: list[str] = []
    for finding in findings:
        anchor = "finding-" + re.sub(r"[^A-Za-z0-9-]+", "-", str(finding["id"]))
        anchors.append(anchor if anchor not in anchors else f"{anchor}-{len(anchors)}")
    return anchors


def _findings(findings: list[Data]) -> Html:
    cards = [element("li", _card(finding, anchor)) for finding, anchor in zip(findings, _anchors(findings))]
    lead = "Each is one fault: what merely follows from it is told with it."
    return element(
        "section",
        element("h2", "Findings", id="findings-title"),
        element("p", lead, class_="lead"),
        element("ol", *cards, class_="findings"),
        id="findings",
        aria_labelledby="findings-title",
    )


def _card(finding: Data, anchor: str) -> Html:
    told: list[tuple[str, Content]] = [("Why", finding["why"]), ("What to do", finding["advice"])]
    if finding["consequences"]:
        told.append(("What follows", element("ul", *(element("li", line) for line in finding["consequences"]))))
    terms = [part for name, content in told if content for part in (element("dt", name), element("dd", content))]
    tag = element("p", element("b", title_of(finding["check"])), element("span", finding["host"]), element("span", finding["subject"]), class_="tag")
    return element("article", tag, element("h3", finding["text"]), element("dl", *terms) if terms else "", id=anchor)


def _footer(report: Data) -> Html:
    inventory = f"Inventory {report['inventory']}. " if report.get("inventory") else ""
    took = f"Started {moment(report['started'])}, took {latency(report['seconds'])}. "
    hosts = counted(report["summary"]["hosts"], "host")
    text = f"{inventory}{took}Of {hosts}. Made by alfred.portmap; this file loads nothing and runs no script, so it can be mailed and kept."
    return element("p", text)
