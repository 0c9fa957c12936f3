# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports for the tests of everything that renders one: the two examples, and what else may come along."""

from __future__ import annotations

import copy
import json
import pathlib
import typing as t

HERE = pathlib.Path(__file__).parent / "plugins/plugin_utils"
Data = dict[str, t.Any]

# Words that decide something. All others of a report are somebody's: names, texts, what a server said.
DECIDING = {"check", "state", "firewall", "exposure", "planned", "observed", "verdict", "transport", "started", "finished", "address", "kind"}


def example(name: str) -> Data:
    """healthy or findings."""
    loaded: Data = json.loads((HERE / f"report_{name}.json").read_text())
    return loaded


def headline(report: Data) -> str:
    """What a report with several faults says first."""
    return f"{len(report['findings'])} faults on {len({finding['host'] for finding in report['findings']})} hosts"


def rewritten(report: t.Any, change: t.Callable[[str], str], key: str = "") -> t.Any:
    """The report with every word changed that is somebody's, hosts' names too."""
    if isinstance(report, dict):
        return {name: rewritten(value, change, name) for name, value in report.items()}
    if isinstance(report, list):
        return [rewritten(value, change, key) for value in report]
    return change(report) if isinstance(report, str) and report and key not in DECIDING else report


def fleet(hosts: int, ports: int) -> Data:
    """A large one, of which one way is not as planned."""
    report = copy.deepcopy(example("healthy"))
    cell = {"planned": "blocked", "observed": "filtered", "good": True, "why": "no rule lets it in", "kept_in": False}
    vantages = [f"asker{number}" for number in range(12)]
    report["matrix"] = {
        "vantages": vantages,
        "rows": [
            {"host": f"host{host:03}", "listener": f"service{port}", "port": 1000 + port, "transport": "tcp", "families": {"4": [cell] * 12, "6": [cell] * 12}}
            for host in range(hosts)
            for port in range(ports)
        ],
    }
    report["matrix"]["rows"][-1]["families"] = {"4": [{**cell, "observed": "open", "good": False}, *[cell] * 11], "6": [None] * 12}
    report["listeners"] = [{**report["listeners"][0], "host": row["host"], "port": row["port"]} for row in report["matrix"]["rows"]]
    return report
