# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written as YAML reads back as it was: held against PyYAML, which reads YAML 1.1 with all its surprises."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.alfred.portmap.plugins.module_utils._yaml import dump, load

# Surrogates are no text; PyYAML refuses some control characters even where they are escaped in quotes.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SURPRISES = st.sampled_from(
    ["yes", "No", "on", "null", "~", "1e3", "0x1f", "012", "12:30", "2026-11-24", "- a", "a: b", "#", "", " ", "{{ x }}", "`", "%", "@", "\t", "\U0001f512"]
)
DATA = st.recursive(
    st.booleans() | st.integers() | TEXT | SURPRISES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | SURPRISES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXT | SURPRISES, DATA, max_size=4))
def test_all_data_reads_back(data: dict[str, t.Any]) -> None:
    text = dump(data)
    assert (yaml.safe_load(text) or {}) == data
    assert text == dump(data)
    assert load("# a head\n" + text) == data


def test_it_looks_as_people_write_it() -> None:
    data = {"http": {"routers": {"api-v1": {"rule": "Host(`a`)", "entryPoints": ["web", "x"], "tls": {}}}}, "on": True, "0": []}
    assert dump(data) == (
        "http:\n"
        "  routers:\n"
        "    api-v1:\n"
        '      rule: "Host(`a`)"\n'
        "      entryPoints:\n"
        '        - "web"\n'
        '        - "x"\n'
        "      tls: {}\n"
        '"on": true\n'
        '"0": []\n'
    )


@pytest.mark.parametrize("data", [{"a": None}, {"a": 1.5}, {"a": b"x"}, {"a": {1: "x"}}, {"a": [None]}, {None: 1}])
def test_what_it_was_not_made_for_is_refused(data: t.Any) -> None:
    with pytest.raises(TypeError):
        dump(data)


@pytest.mark.parametrize("text", ["a: b", "a: [x]", "- 1", "a:\n    b: 1", "a: 1\n- 2", "a:", "{{ x", "a: &x 1", "a: 1 # x"])
def test_what_was_written_otherwise_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        load(text)
