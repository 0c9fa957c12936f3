# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics in Prometheus' text format (version 0.0.4), as node exporter's textfile collector reads it. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

The text is the same for the same numbers: metrics and samples are sorted, so that two runs can be compared. What Prometheus would refuse
(a bad name, a sample twice) raises here, because one bad line makes the collector drop the whole file.
"""

from __future__ import annotations

import math
import re
import typing as t
from dataclasses import dataclass

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")  # a name that begins with __ belongs to Prometheus itself
KINDS = ("gauge", "counter", "untyped")

Number = t.Union[int, float]
Sample = tuple[t.Mapping[str, str], Number]


@dataclass(frozen=True)
class Metric:
    """One metric with all its samples, each its labels and its value. Without samples it is not there at all."""

    name: str
    help: str
    samples: tuple[Sample, ...]
    kind: str = "gauge"


def exposition(metrics: t.Iterable[Metric]) -> str:
    """The text of a file of metrics. Raises ValueError if Prometheus would not take it."""
    lines: list[str] = []
    seen: set[str] = set()
    for metric in sorted(metrics, key=lambda one: one.name):
        if METRIC_NAME.fullmatch(metric.name) is None:
            raise ValueError(f"{metric.name!r} is no name for a metric")
        if metric.kind not in KINDS:
            raise ValueError(f"{metric.name}: kind {metric.kind!r} must be one of {', '.join(KINDS)}")
        if metric.name in seen:
            raise ValueError(f"{metric.name} is there twice")
        seen.add(metric.name)
        if metric.samples:
            lines += [f"# HELP {metric.name} {_escaped(metric.help)}", f"# TYPE {metric.name} {metric.kind}", *_samples(metric)]
    return "".join(line + "\n" for line in lines)


def _samples(metric: Metric) -> list[str]:
    found: dict[str, str] = {}
    for labels, value in metric.samples:
        series = metric.name + _labels(metric.name, labels)
        if series in found:
            raise ValueError(f"{series} is there twice")
        found[series] = _number(value)
    return [f"{series} {found[series]}" for series in sorted(found)]


def _labels(metric: str, labels: t.Mapping[str, str]) -> str:
    for name in labels:
        if LABEL_NAME.fullmatch(name) is None:
            raise ValueError(f"{metric}: {name!r} is no name for a label")
    pairs = ",".join('{}="{}"'.format(name, _escaped(str(labels[name])).replace('"', r"\"")) for name in sorted(labels))
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str) -> str:
    """A text on one line, as UTF-8 can hold it: a process's name may be of any bytes, and the collector refuses what is no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\\", r"\\").replace("\n", r"\n")


def _number(value: Number) -> str:
    """A value as Go reads it: whole numbers without a fraction, so that a timestamp keeps its digits."""
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "+Inf" if value > 0 else "-Inf"
        if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
    return repr(int(value) if isinstance(value, bool) else value)
