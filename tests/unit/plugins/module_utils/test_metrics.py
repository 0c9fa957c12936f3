# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus' text format: what is written can be read, and what could not be read is refused."""

from __future__ import annotations

import math

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._metrics import Metric, exposition


def test_a_file_is_sorted_and_says_help_and_type_once() -> None:
    text = exposition(
        [
            Metric("b_total", "B", (({}, 2),), "counter"),
            Metric("a", "A", (({"port": "80", "host": "two"}, 1), ({"port": "80", "host": "one"}, 0.25))),
        ]
    )
    assert text == (
        '# HELP a A\n# TYPE a gauge\na{host="one",port="80"} 0.25\na{host="two",port="80"} 1\n'  #
        "# HELP b_total B\n# TYPE b_total counter\nb_total 2\n"
    )


def test_a_metric_without_samples_is_not_there() -> None:
    assert exposition([Metric("a", "A", ())]) == ""


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("two\nlines", r'"two\nlines"'),
        ("\\n", r'"\\n"'),
        ("grün", '"grün"'),
        ("\udce4", '"?"'),  # a byte that was no UTF-8 (PEP 383)
    ],
)
def test_label_values_are_escaped(label: str, written: str) -> None:
    assert exposition([Metric("a", "", (({"x": label}, 1),))]).splitlines()[-1] == f"a{{x={written}}} 1"


def test_a_help_text_keeps_its_quotes_and_its_line() -> None:
    assert exposition([Metric("a", 'a "b"\nc\\', (({}, 1),))]).splitlines()[0] == r'# HELP a a "b"\nc\\'


@pytest.mark.parametrize(
    ("value", "written"),
    [(1, "1"), (True, "1"), (1.0, "1"), (1732650000.0, "1732650000"), (0.0012, "0.0012"), (1e-7, "1e-07"), (math.inf, "+Inf"), (-math.inf, "-Inf")]
    + [(math.nan, "NaN")],
)
def test_values(value: float, written: str) -> None:
    assert exposition([Metric("a", "", (({}, value),))]).splitlines()[-1] == f"a {written}"


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        ([Metric("a-b", "", (({}, 1),))], "no name for a metric"),
        ([Metric("a", "", (({"b-c": ""}, 1),))], "no name for a label"),
        ([Metric("a", "", (({"__name__": ""}, 1),))], "no name for a label"),
        ([Metric("a", "", (({}, 1), ({}, 2)))], "a is there twice"),
        ([Metric("a", "", (({"b": "1", "c": "2"}, 1), ({"c": "2", "b": "1"}, 2)))], "is there twice"),
        ([Metric("a", "", ()), Metric("a", "", ())], "a is there twice"),
        ([Metric("a", "", (({}, 1),), "summary")], "must be one of"),
    ],
)
def test_what_prometheus_would_refuse_raises(metrics: list[Metric], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        exposition(metrics)
