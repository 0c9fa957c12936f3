# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: it says what the report says, runs nothing, and nothing in a report becomes markup."""

from __future__ import annotations

import base64
import copy
import hashlib
import html.parser
import re

import pytest
from ansible.errors import AnsibleFilterError
from report_examples import Data, example, fleet, headline, rewritten

from ansible_collections.alfred.portmap.plugins.filter.report_page import report_page

VOID = {"meta", "link", "input", "br"}
EVIL = '</style></title><script>alert("1")</script>\'" onload=x --> & \x1b[2J\u202e\n'


class Page(html.parser.HTMLParser):
    """What a browser would make of it, as far as the tests ask."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {}
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.inside.setdefault(self.open[-1], []).append(data)
            if self.open[-1] != "style":
                self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def page_of(report: Data) -> Page:
    return Page(report_page(report))


@pytest.mark.parametrize("name", ["healthy", "findings"])
def test_nothing_is_loaded_or_run(name: str) -> None:
    page = page_of(example(name))
    tags = {tag for tag, _attributes in page.elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "form", "base"}
    assert not [key for _tag, attributes in page.elements for key in attributes if key.startswith("on") or key in ("style", "src", "srcset")]
    assert [link["href"][:26] for link in page.all("link") if link["href"]] == ["data:image/svg+xml;base64,"]
    assert all(link["href"] and link["href"].startswith("#") for link in page.all("a"))
    (style,) = page.inside["style"]
    assert "url(" not in style and "@import" not in style
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


@pytest.mark.parametrize("name", ["healthy", "findings"])
def test_whoever_hears_or_jumps_finds_the_way(name: str) -> None:
    page = page_of(example(name))
    ids = [attributes["id"] for _tag, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in page.all("a")} <= {f"#{one}" for one in ids}
    assert {attributes["aria-labelledby"] for _tag, attributes in page.elements if "aria-labelledby" in attributes} <= set(ids)
    assert len(page.all("caption")) == len(page.all("table")) == 5
    assert all(head.get("scope") in ("row", "col", "rowgroup") for head in page.all("th"))
    tags = [tag for tag, _attributes in page.elements]
    assert tags.count("h1") == tags.count("main") == tags.count("header") == tags.count("footer") == tags.count("nav") == 1


def test_nothing_in_a_report_becomes_markup() -> None:
    """The same elements in the same order, whatever the words are, and the words are all there to be read."""
    report = example("findings")
    plain = page_of(rewritten(report, lambda text: f"{text}x"))
    evil_text = report_page(rewritten(report, lambda text: text + EVIL))
    evil = Page(evil_text)
    assert [tag for tag, _attributes in evil.elements] == [tag for tag, _attributes in plain.elements]
    assert [sorted(attributes) for _tag, attributes in evil.elements] == [sorted(attributes) for _tag, attributes in plain.elements]
    assert evil_text.count("<script") == 0 and "\x1b" not in evil_text and "\u202e" not in evil_text
    assert evil.text.count('<script>alert("1")</script>\'" onload=x --> & ?[2J??') > 300


def test_the_verdict_comes_first_and_says_what_to_do() -> None:
    good, bad = page_of(example("healthy")), page_of(example("findings"))
    assert "Everything is as planned" in good.text and "✓ Everything is as planned · lab" in good.inside["title"][0]
    assert not [attributes for _tag, attributes in good.elements if attributes.get("id") == "findings"]
    report = example("findings")
    assert headline(report) in bad.text
    for finding in report["findings"]:
        for text in [finding["text"], finding["advice"], finding["why"], *finding["consequences"]]:
            assert re.sub(r"\s+", " ", text) in bad.text
    # By the id of the fault, so that a link to it is good tomorrow.
    anchors = [attributes["id"] for attributes in bad.all("article")]
    assert sorted(anchors) == sorted(f"finding-{finding['id']}" for finding in report["findings"])
    start = bad.text.index("Start with")
    assert start < bad.text.index("Who reaches what")


def test_a_difference_is_said_in_words() -> None:
    report = example("findings")
    page = page_of(report)
    bad_cells = [attributes for attributes in page.all("td") if (attributes.get("class") or "").split()[:1] == ["x"]]
    expected = {
        (row["host"], row["port"], row["transport"], index)
        for row in report["matrix"]["rows"]
        for cells in row["families"].values()
        for index, cell in enumerate(cells)
        if cell and not cell["good"]
    }
    assert len(bad_cells) == len(expected) > 3
    assert "ui1 ui-chat 8501/tcp from outsider: planned blocked, seen open" in page.text
    assert "Only rows with a difference" in page.text
    assert "Only rows with a difference" not in page_of(example("healthy")).text


def test_one_family_that_differs_is_named() -> None:
    report = example("healthy")
    row = next(row for row in report["matrix"]["rows"] if row["families"]["6"][-1] and row["families"]["6"][-1]["planned"] == "blocked")
    row["families"]["6"][-1] = {**row["families"]["6"][-1], "observed": "open", "good": False}
    page = page_of(report)
    assert "from outsider over IPv6: planned blocked, seen open" in page.text
    assert "IPv4: blocked" in page.text and "IPv6: open, planned blocked" in page.text


def test_a_large_fleet_is_folded_by_host_and_opened_where_something_is_wrong() -> None:
    text = report_page(fleet(hosts=60, ports=4))
    page = Page(text)
    matrix = [details for details in page.all("details") if details.get("class") == "d"]
    assert len(page.all("details")) == 120 and len(matrix) == 1
    assert [details for details in page.all("details") if "open" in details] == matrix == page.all("details")[:1]
    assert "Not everything is as planned" in page.text
    assert len(text) < 240 * 12 * 140  # a cell is some ten bytes of words, not a tree


def test_what_contradicts_itself_is_not_good() -> None:
    report = example("findings")
    report["summary"]["good"] = True
    assert headline(report) in page_of(report).text
    unreached = example("healthy")
    unreached["summary"].update(good=True, unreached=2)
    unreached["hosts"][0]["reached"] = False
    page = page_of(unreached)
    assert "2 hosts could not be looked at" in page.text and "Everything is as planned" not in page.text and "not reached" in page.text
    silent = example("healthy")
    silent["summary"]["good"] = False
    assert "Not everything is as planned" in page_of(silent).text


def test_nothing_at_all_is_a_page_too() -> None:
    report = copy.deepcopy(example("healthy"))
    report.update(findings=[], hosts=[], classes=[], listeners=[], routes=[], health=[], matrix={"vantages": [], "rows": []}, environment="")
    report["summary"] = {**report["summary"], "hosts": 0, "listeners": 0, "questions": 0, "kept_in": 0}
    page = page_of(report)
    assert "Nobody asked anything" in page.text and "No service was asked" in page.text


def test_who_speaks_for_others_is_told() -> None:
    report = example("healthy")
    report["classes"].append({"name": "core", "hosts": ["core1", "core2", "core3"], "asked": ["core1"]})
    report["summary"]["notes"] = ["Nobody asked from outside."]
    page = page_of(report)
    assert "core: core1 was asked for all 3 hosts" in page.text
    assert "Nobody asked from outside." in page.text


def test_what_is_no_report_is_refused() -> None:
    for wrong in ({}, {"version": 2}, [], "text", {**example("healthy"), "version": "1"}):
        with pytest.raises(AnsibleFilterError, match="not a report of version 1"):
            report_page(wrong)
    report = example("healthy")
    del report["matrix"]
    with pytest.raises(AnsibleFilterError, match="lacks matrix"):
        report_page(report)
    report = example("findings")
    del report["findings"][0]["consequences"]
    with pytest.raises(AnsibleFilterError, match="lacks consequences"):
        report_page(report)
