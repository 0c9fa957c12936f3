# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus and Grafana get: Prometheus' own tool takes it, and every metric that is asked for is one that we write."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import typing as t

import yaml
from report_examples import example, rewritten

from ansible_collections.alfred.portmap.plugins.filter.report_metrics import report_metrics

ROOT = pathlib.Path(__file__).parents[2]
FILES = ROOT / "roles/report/files"
RULES = FILES / "portmap.rules.yml"
NAME = re.compile(r"\bportmap_[a-z_]+\b")
# What Grafana puts in before it asks Prometheus.
VARIABLES = {"$instance": ".*", "$__range": "1h"}

Data = dict[str, t.Any]


def promtool(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, check=False, timeout=120)


def written() -> set[str]:
    """The names of all metrics that our code writes."""
    sources = [*(ROOT / "plugins/module_utils").glob("_watch*.py"), ROOT / "plugins/plugin_utils/_report_metrics.py"]
    return {name for source in sources for name in re.findall(r'Metric\(\s*"(portmap_[a-z_]+)"', source.read_text())}


def dashboard() -> Data:
    loaded: Data = json.loads((FILES / "portmap-dashboard.json").read_text())
    return loaded


def expressions() -> list[str]:
    """Every question of the dashboard, as Prometheus gets it."""
    found = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    for name, value in VARIABLES.items():
        found = [expression.replace(name, value) for expression in found]
    return found


def test_prometheus_takes_the_metrics() -> None:
    for report in (example("healthy"), example("findings"), rewritten(example("findings"), lambda text: text + '\\"}\n{#\x00\ud800')):
        done = promtool("check", "metrics", text=report_metrics(report))
        assert (done.returncode, done.stderr) == (0, "")


def test_each_alert_fires_when_it_should() -> None:
    tests = pathlib.Path(__file__).parent / "portmap.rules_test.yml"
    done = promtool("test", "rules", str(tests))
    assert done.returncode == 0, done.stdout + done.stderr
    # And each is one that is tested.
    alerts = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    fired = {one["alertname"] for test in yaml.safe_load(tests.read_text())["tests"] for one in test["alert_rule_test"] if one.get("exp_alerts")}
    assert alerts == fired


def test_what_is_asked_for_is_written() -> None:
    rules = [rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    variables = [variable["definition"] for variable in dashboard()["templating"]["list"] if "definition" in variable]
    asked = {name for text in [*rules, *expressions(), *variables] for name in NAME.findall(text)}
    assert asked <= written(), asked - written()
    # Nothing is written in vain, either.
    assert written() - asked == set()


def test_prometheus_understands_what_the_dashboard_asks(tmp_path: pathlib.Path) -> None:
    rules = [{"record": f"asked:{number}", "expr": expression} for number, expression in enumerate(expressions())]
    (tmp_path / "asked.yml").write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))
    done = promtool("check", "rules", str(tmp_path / "asked.yml"))
    assert done.returncode == 0 and f"{len(rules)} rules found" in done.stdout, done.stdout + done.stderr


def test_the_dashboard_holds_together() -> None:
    board = dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(board))) <= variables
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"] and (panel["type"] == "row" or panel["description"])
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
