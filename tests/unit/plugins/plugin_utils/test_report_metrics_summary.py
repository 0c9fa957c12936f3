# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of the fleet, and the summary for a terminal."""

from __future__ import annotations

import re

import pytest
from ansible.errors import AnsibleFilterError
from report_examples import Data, example, fleet, headline, rewritten

from ansible_collections.alfred.portmap.plugins.filter.report_metrics import report_metrics
from ansible_collections.alfred.portmap.plugins.filter.report_summary import report_summary


def samples(report: Data) -> dict[str, float]:
    found = {}
    for line in report_metrics(report).splitlines():
        if not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            found[series] = float(value)
    return found


def test_metrics_of_a_healthy_fleet() -> None:
    report = example("healthy")
    found = samples(report)
    assert found["portmap_verify_good"] == 1
    assert found["portmap_verify_last_run_timestamp_seconds"] == 1795683621
    assert found["portmap_verify_questions"] == report["summary"]["questions"] > 100
    assert found["portmap_verify_hosts"] == 7 and found["portmap_verify_unreached_hosts"] == 0
    assert all(value == 0 for series, value in found.items() if series.startswith("portmap_verify_findings"))
    assert all(value == 1 for series, value in found.items() if re.match("portmap_verify_(route|health)_up", series))


def test_metrics_of_faults() -> None:
    report = example("findings")
    found = samples(report)
    assert found["portmap_verify_good"] == 0
    assert sum(value for series, value in found.items() if series.startswith("portmap_verify_findings")) == len(report["findings"])
    assert found['portmap_verify_findings{check="listens",host="core1"}'] == 2
    assert found['portmap_verify_route_up{route="api"}'] == 0 and found['portmap_verify_route_up{route="chat"}'] == 1
    assert found['portmap_verify_health_up{host="data1",port="6379",service="redis"}'] == 0
    slowest = max(row["latency"] for row in report["routes"] if row["route"] == "chat" and row["latency"] is not None)
    assert found['portmap_verify_route_seconds{route="chat"}'] == slowest


def test_a_time_that_is_none_is_stale() -> None:
    assert samples({**example("healthy"), "finished": "?"})["portmap_verify_last_run_timestamp_seconds"] == 0


def test_the_summary_says_good_or_bad_first() -> None:
    lines = report_summary(example("healthy")).splitlines()
    assert lines[0] == "✓ Everything is as planned · lab · 26 November 2026, 09:00 UTC"
    assert not [line for line in lines if "✗" in line and "not as planned" not in line]
    report = example("findings")
    text = report_summary(report)
    assert text.startswith(f"✗ {headline(report)} · lab · 26 November 2026, 09:00 UTC\n")
    flat = re.sub(r"\s+", " ", text)
    for finding in report["findings"]:
        assert re.sub(r"\s+", " ", finding["text"]) in flat and re.sub(r"\s+", " ", finding["advice"]) in flat
        assert all(re.sub(r"\s+", " ", line) in flat for line in finding["consequences"][:5])


def test_ports_that_look_the_same_are_one_line() -> None:
    lines = report_summary(example("findings")).splitlines()
    (same,) = [line for line in lines if "8081 8083 8084 8085 8086/tcp" in line]
    assert same.split("/tcp")[1].split() == ["·", "·", "●", "●", "●", "–"]
    (different,) = [line for line in lines if " 8501/tcp " in line and "✗" in line and "open" not in line]
    assert different.endswith("✗")


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ["healthy", "findings"])
def test_no_line_is_longer_than_the_terminal(name: str, width: int) -> None:
    long = rewritten(example(name), lambda text: text + "-" + "long" * 5)
    for report in (example(name), long):
        assert max(map(len, report_summary(report, width).splitlines())) <= width


def test_a_width_may_come_from_the_command_line() -> None:
    assert report_summary(example("healthy"), "120") == report_summary(example("healthy"), 120)
    with pytest.raises(AnsibleFilterError, match="width 'wide' must be a whole number"):
        report_summary(example("healthy"), "wide")


def test_words_of_others_stay_words() -> None:
    text = report_summary(rewritten(example("findings"), lambda text: text + "\x1b[2J\r\n\u202e"))
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)


def test_a_large_fleet_shows_what_differs() -> None:
    report = fleet(hosts=60, ports=4)
    text = report_summary(report)
    assert len(text.splitlines()) < 20
    assert [line.split()[:2] for line in text.splitlines() if line.startswith("host")] == [["host059", "1003/tcp"]]
    assert "60 lines as planned are left out." in text
    report["matrix"]["vantages"] = [f"asker{number}" for number in range(80)]
    for row in report["matrix"]["rows"]:
        row["families"] = {family: cells * 7 for family, cells in row["families"].items()}
    assert "too many for a table here" in report_summary(report)
