# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as metrics: what Prometheus is to know of the last look at the fleet.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._metrics import Metric, exposition
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_words import CHECKS, Data, checked, is_good, seconds_since_1970

Sample = tuple[dict[str, str], float]


def metrics(report: t.Any) -> str:
    """The text of the file. Raises ValueError for what is no report, KeyError for one that lacks something."""
    report = checked(report)
    summary = report["summary"]
    found = [
        Metric("portmap_verify_good", "Whether the last verification found everything as planned.", (({}, int(is_good(report))),)),
        Metric("portmap_verify_findings", "Faults found by the last verification, by host and check.", _findings(report)),
        Metric("portmap_verify_questions", "Questions asked by the last verification.", (({}, summary["questions"]),)),
        Metric("portmap_verify_hosts", "Hosts of the last verification.", (({}, summary["hosts"]),)),
        Metric("portmap_verify_unreached_hosts", "Hosts that the last verification could not look at.", (({}, summary["unreached"]),)),
        Metric("portmap_verify_last_run_timestamp_seconds", "When the last verification ended.", (({}, seconds_since_1970(report["finished"])),)),
        Metric("portmap_verify_duration_seconds", "How long the last verification took.", (({}, report["seconds"]),)),
        Metric("portmap_verify_route_up", "Whether a route answered everybody as planned.", _worst(report["routes"], _route)),
        Metric("portmap_verify_route_seconds", "The slowest answer of a route.", _slowest(report["routes"], _route)),
        Metric("portmap_verify_health_up", "Whether a service answered as planned.", _worst(report["health"], _service)),
    ]
    return exposition(found)


def _findings(report: Data) -> tuple[Sample, ...]:
    """Zeros too: a series that comes and goes can't be compared with what it was."""
    counts = {(host["name"], check): 0 for host in report["hosts"] for check in CHECKS}
    for finding in report["findings"]:
        key = finding["host"], finding["check"]
        counts[key] = counts.get(key, 0) + 1
    return tuple(({"host": host, "check": check}, count) for (host, check), count in counts.items())


def _route(row: Data) -> tuple[tuple[str, str], ...]:
    return (("route", row["route"]),)


def _service(row: Data) -> tuple[tuple[str, str], ...]:
    return ("host", row["host"]), ("service", row["listener"]), ("port", str(row["port"]))


def _worst(rows: list[Data], labels: t.Callable[[Data], tuple[tuple[str, str], ...]]) -> tuple[Sample, ...]:
    found: dict[tuple[tuple[str, str], ...], bool] = {}
    for row in rows:
        found[labels(row)] = found.get(labels(row), True) and bool(row["good"])
    return tuple((dict(key), int(good)) for key, good in found.items())


def _slowest(rows: list[Data], labels: t.Callable[[Data], tuple[tuple[str, str], ...]]) -> tuple[Sample, ...]:
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for row in rows:
        if row["latency"] is not None:
            found[labels(row)] = max(found.get(labels(row), 0.0), row["latency"])
    return tuple((dict(key), seconds) for key, seconds in found.items())
