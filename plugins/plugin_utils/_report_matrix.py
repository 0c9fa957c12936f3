# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix of the page: rows are ports, columns are those who ask, a sign where plan and sight agree, words where they differ.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._report_html import Content, Html, element, hidden
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_words import Data, counted, differences, number, observed, port

AT_ONCE = 150  # rows; a larger fleet gets one folded table per host
WIDEST = 100  # letters of all names side by side; they stand upright if there are more
MOST_DIFFERENCES = 60  # told in words
FAMILIES = {"4": "IPv4", "6": "IPv6"}


def section(report: Data) -> Html:
    """The whole section."""
    rows = report["matrix"]["rows"]
    vantages = report["matrix"]["vantages"]
    different = differences(report)
    asked = sum(cell is not None for row in rows for cells in row["families"].values() for cell in cells)
    parts: list[Content] = [
        element("h2", "Who reaches what", id="reachability-title"),
        element("p", f"{number(asked)} ways, each planned and tried. {_agreement(len(different))}", class_="lead"),
    ]
    if different:
        parts.append(_in_words(different))
    if rows and vantages:
        parts += [_legend(bool(different)), *_switch(bool(different)), element("div", *_tables(rows, vantages), class_="tables")]
    else:
        parts.append(element("p", "Nobody asked anything."))
    return element("section", *parts, id="reachability", aria_labelledby="reachability-title")


def _agreement(different: int) -> str:
    if not different:
        return "All of them are as planned."
    return f"{counted(different, 'way')} {'is' if different == 1 else 'are'} not as planned."


def _in_words(different: list[tuple[Data, str, str, Data]]) -> Html:
    """Each difference as a sentence: a phone has no room for a matrix."""
    groups: dict[tuple[str, str, str, str, str], list[tuple[str, str, str]]] = {}
    for row, family, vantage, cell in different:
        key = row["host"], row["listener"], port(row), cell["planned"], observed(cell)
        groups.setdefault(key, []).append((vantage, family, cell["why"]))
    lines = []
    for (host, name, what, planned, seen), ways in list(groups.items())[:MOST_DIFFERENCES]:
        whys = "; ".join(dict.fromkeys(why for _vantage, _family, why in ways if why))
        lines.append(
            element(
                "li",
                element("b", f"{host} {name}".rstrip()),
                " ",
                element("code", what),
                f" from {_who(ways)}: planned {planned}, seen ",
                element("b", seen, class_="bad"),
                element("span", f" {whys}", class_="why") if whys else "",
            )
        )
    if len(groups) > MOST_DIFFERENCES:
        lines.append(element("li", f"… and {number(len(groups) - MOST_DIFFERENCES)} more, in the table."))
    return element("ul", *lines, class_="differences")


def _who(ways: list[tuple[str, str, str]]) -> str:
    """Who asked, and over which family if the other one is as planned."""
    families: dict[str, list[str]] = {}
    for vantage, family, _why in ways:
        families.setdefault(vantage, []).append(FAMILIES.get(family, family))
    return ", ".join(vantage if len(set(found)) > 1 else f"{vantage} over {found[0]}" for vantage, found in families.items())


def _legend(different: bool) -> Html:
    items = [
        element("li", element("span", class_="sign o", aria_hidden="true"), "open, as planned"),
        element("li", element("span", class_="sign b", aria_hidden="true"), "blocked, as planned"),
        element("li", element("span", class_="sign k", aria_hidden="true"), "kept in by the asking host's own policy"),
        element("li", element("span", class_="sign n", aria_hidden="true"), "not asked"),
    ]
    if different:
        items.append(element("li", element("span", "word", class_="word", aria_hidden="true"), "not as planned: what was seen"))
    return element("ul", *items, class_="legend", aria_label="Signs of the table")


def _switch(different: bool) -> list[Html]:
    """No script: a checkbox before the tables, which the style sheet knows."""
    if not different:
        return []
    return [
        element("input", type="checkbox", id="only", class_="switch"),
        element("label", "Only rows with a difference", for_="only", class_="switch"),
    ]


def _tables(rows: list[Data], vantages: list[str]) -> t.Iterator[Html]:
    groups = [(host, list(group)) for host, group in itertools.groupby(rows, lambda row: str(row["host"]))]
    if len(rows) <= AT_ONCE:
        yield _table([(host, group, True) for host, group in groups], vantages, "Each port of each host, and what each host that asks sees of it")
        return
    for host, group in sorted(groups, key=lambda one: not any(map(_differs, one[1]))):  # what is wrong comes first
        wrong = sum(_differs(row) for row in group)
        told = element("span", f"{counted(wrong, 'port')} not as planned", class_="bad") if wrong else element("span", "as planned", class_="quiet")
        yield element(
            "details",
            element("summary", element("b", host), " ", element("span", counted(len(group), "port"), class_="quiet"), " ", told),
            _table([(host, group, False)], vantages, f"Each port of {host}, and what each host that asks sees of it"),
            open=bool(wrong),
            class_="d" if wrong else None,
        )


def _table(groups: list[tuple[str, list[Data], bool]], vantages: list[str], caption: str) -> Html:
    head = element("tr", element("th", "Port", scope="col", class_="corner"), *(element("th", element("span", name), scope="col") for name in vantages))
    bodies = []
    for host, rows, titled in groups:
        title = element("tr", element("th", element("span", host), scope="rowgroup", colspan=len(vantages) + 1), class_="host") if titled else ""
        lines = [_row(row, vantages) for row in rows]
        bodies.append(element("tbody", title, *lines, class_="d" if any(_differs(row) for row in rows) else None))
    table = element(
        "table",
        element("caption", caption, class_="sr"),
        element("thead", head),
        *bodies,
        class_="matrix many" if sum(len(name) + 3 for name in vantages) > WIDEST else "matrix",
    )
    return element("div", table, class_="scroll", tabindex="0", role="region", aria_label=f"{caption}: table")


def _differs(row: Data) -> bool:
    return any(cell and not cell["good"] for cells in row["families"].values() for cell in cells)


def _row(row: Data, vantages: list[str]) -> Html:
    name = element("span", row["listener"], class_="name") if row["listener"] else element("span", "in no map", class_="name none")
    families = [(family, row["families"].get(family) or [None] * len(vantages)) for family in FAMILIES]
    cells = [_cell([(family, column[index]) for family, column in families], row["host"] == vantage) for index, vantage in enumerate(vantages)]
    return element("tr", element("th", element("code", port(row)), " ", name, scope="row"), *cells, class_="d" if _differs(row) else None)


def _cell(both: list[tuple[str, t.Optional[Data]]], itself: bool) -> Html:
    asked = [(family, cell) for family, cell in both if cell is not None]
    if not asked:
        return element("td", hidden("itself" if itself else "not asked"), class_="n self" if itself else "n")
    signs = {_sign(cell) for _family, cell in asked}
    bad = any(not cell["good"] for _family, cell in asked)
    if len(signs) == 1:
        family = "" if len(asked) == 2 else f"{FAMILIES[asked[0][0]]}: "
        sign, words = signs.pop()
        return element("td", *_shown(sign, family + words if not bad else words, family if bad else ""), class_="x" if bad else sign)
    parts = [
        element(
            "span",
            element("small", f"v{family}", aria_hidden="true"),
            *_shown(_sign(cell)[0], _sign(cell)[1], f"{FAMILIES[family]}: "),
            class_=f"way {_sign(cell)[0]}",
        )
        for family, cell in asked
    ]
    return element("td", *parts, class_="x two" if bad else "two")


def _shown(sign: str, words: str, before: str) -> list[Content]:
    """A difference says its word, anything else shows a sign and is only heard."""
    if sign != "x":
        return [hidden(before + words)]
    seen, planned = words.split("|")
    return [hidden(before) if before else "", element("span", seen, class_="word"), hidden(f", planned {planned}")]


def _sign(cell: Data) -> tuple[str, str]:
    """(class, words). Words of a difference are `seen|planned`."""
    if not cell["good"]:
        return "x", f"{observed(cell)}|{cell['planned']}"
    if cell["planned"] == "open":
        return "o", "open"
    return ("k", "kept in") if cell.get("kept_in") else ("b", "blocked")
