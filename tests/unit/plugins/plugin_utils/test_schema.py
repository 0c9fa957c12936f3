# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON schema: the committed file is the generated one, and it says of shapes what the validator says."""

from __future__ import annotations

import copy
import json
import pathlib
import typing as t

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.alfred.portmap.plugins.plugin_utils import _spec as spec
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Problems
from ansible_collections.alfred.portmap.plugins.plugin_utils._schema import BEYOND, schema, text
from ansible_collections.alfred.portmap.plugins.plugin_utils._shapes import Context, Struct
from ansible_collections.alfred.portmap.plugins.plugin_utils._source import load

ROOT = pathlib.Path(__file__).resolve().parents[4]
MAPS = ROOT / "tests" / "maps"
FILES = ["alfred.yml", "one_vm.yml", "three_tiers.yml", "kubernetes.yml", "with_fragment/port_map.yml"]
MAIN = jsonschema.Draft7Validator(schema())
FRAGMENT = jsonschema.Draft7Validator(schema(spec.FRAGMENT))


def read(name: str) -> t.Any:
    return yaml.safe_load((MAPS / name).read_text(encoding="utf-8"))


def test_the_committed_schema_is_the_generated_one() -> None:
    committed = (ROOT / "docs" / "port_map.schema.json").read_text(encoding="utf-8")
    assert committed == text(), "write it anew: PYTHONPATH=collections python tests/tools/write_schema.py"


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(schema())
    jsonschema.Draft7Validator.check_schema(schema(spec.FRAGMENT))


def test_every_key_has_a_description_for_editors() -> None:
    def visit(node: t.Any, path: str) -> None:
        if isinstance(node, dict):
            for name, key in node.get("properties", {}).items() if isinstance(node.get("properties"), dict) else ():
                assert key.get("description", "").endswith((".", ".)")), f"{path}.{name}"
            for name, item in node.items():
                visit(item, f"{path}.{name}")
        elif isinstance(node, list):
            for item in node:
                visit(item, path)

    visit(schema()["properties"]["port_map"], "port_map")


@pytest.mark.parametrize("name", FILES)
def test_the_formats_examples_fit(name: str) -> None:
    assert [error.message for error in MAIN.iter_errors(read(name))] == []


def test_the_shipped_map_names_the_schema_and_fits() -> None:
    file = ROOT / "inventories" / "port_map.yml"
    assert file.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=../docs/port_map.schema.json\n")
    assert [error.message for error in MAIN.iter_errors(yaml.safe_load(file.read_text(encoding="utf-8")))] == []


def test_the_fragment_fits() -> None:
    assert [error.message for error in FRAGMENT.iter_errors(read("with_fragment/port_map.d/shop.yml"))] == []


# both say the same


def verdict(data: t.Any, top: Struct) -> tuple[bool, set[str]]:
    """Whether the validator refuses the data for a reason that the schema has to see too, and the reasons beyond the schema."""
    problems = Problems()
    source = load({"path": "m.yml", "text": json.dumps(data)}, problems)
    if source is None or problems.errors:
        return True, set()
    context = Context(source, problems)
    top.check(source.data, (), context)
    assert bool(problems.errors) == (context.visible or bool(context.beyond))
    return context.visible, context.beyond


def agree(data: t.Any, top: Struct, validator: t.Any) -> None:
    refused, beyond = verdict(data, top)
    assert beyond <= set(BEYOND)
    accepted = validator.is_valid(data)
    if refused:
        assert not accepted, "the validator refuses it, the schema does not"
    elif not beyond:
        assert accepted, [error.message for error in validator.iter_errors(data)]


# Outside it are only characters that YAML escapes differently from JSON (pairs of surrogates) or refuses to read.
CHARACTERS = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]).filter(lambda char: not yaml.reader.Reader.NON_PRINTABLE.search(char))
WORDS = st.sampled_from(
    [
        "none",
        "any",
        "all",
        "self",
        "namespace",
        "loopback",
        "anywhere",
        "allow",
        "deny",
        "tcp",
        "udp",
        "http",
        "traefik",
        "api",
        "api.metrics",
        "a_b",
        "A",
        "-a",
        "a-",
        "a" * 63,
        "a" * 64,
        "example.com",
        "a..b",
        "1.2.3.4",
        "10.0.0.0/8",
        "10.0.0.1/8",
        "::/0",
        "::ffff:1.2.3.4",
        "fe80::1%e",
        "/",
        "/health",
        "health",
        "/{{",
        "{{ x }}",
        "a\n",
        "\n",
        "a\tb",
        " ",
        "",
        "8080",
        "80-90",
        "90-80",
        "0-1",
        "1-65536",
        "08-09",
        "db*",
        "web:db",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70000),
    st.sampled_from([0, 1, 2, 22, 65535, 65536, 10**30]),
    st.sampled_from([80.0, 1.0, 1.5, -0.5]),
    WORDS,
    st.text(CHARACTERS, max_size=8),
)
KEYS = st.one_of(WORDS, st.sampled_from([*spec.MAIN.keys, *spec.SERVICE.keys, *spec.ROUTE.keys, *spec.INGRESS_RULE.keys, *spec.FIREWALL.keys, "to"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(KEYS, st.text(CHARACTERS, max_size=4)), inner, max_size=3)),
    max_leaves=5,
)


def places(data: t.Any, path: tuple[t.Any, ...] = ()) -> list[tuple[t.Any, ...]]:
    found = [path]
    for step, item in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        found += places(item, (*path, step))
    return found


def mutated(draw: t.Callable[..., t.Any], data: t.Any) -> t.Any:
    """The data with one to three changes: a value replaced, dropped, added, renamed, or copied to another place."""
    data = copy.deepcopy(data)
    for _change in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(data["port_map"])))
        if not path:
            data["port_map"][draw(KEYS)] = draw(VALUES)
            continue
        holder = data["port_map"]
        for step in path[:-1]:
            holder = holder[step]
        how = draw(st.sampled_from(["replace", "drop", "add", "rename", "copy", "bare"]))
        value = holder[path[-1]]
        if how == "drop":
            del holder[path[-1]]
        elif how == "add" and isinstance(value, dict):
            value[draw(KEYS)] = draw(VALUES)
        elif how == "add" and isinstance(value, list):
            value.append(draw(VALUES))
        elif how == "rename" and isinstance(holder, dict):
            holder[draw(KEYS)] = holder.pop(path[-1])
        elif how == "copy" and isinstance(holder, dict):
            other = data["port_map"]
            for step in draw(st.sampled_from(places(data["port_map"]))):
                other = other[step]
            holder[path[-1]] = copy.deepcopy(other)
        elif how == "bare" and isinstance(value, list) and len(value) == 1:
            holder[path[-1]] = value[0]
        else:
            holder[path[-1]] = draw(VALUES)
    return data


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_mutated_maps_get_the_same_verdict_from_both(data: st.DataObject) -> None:
    agree(mutated(data.draw, read(data.draw(st.sampled_from(FILES)))), spec.MAIN, MAIN)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_mutated_fragments_get_the_same_verdict_from_both(data: st.DataObject) -> None:
    fragment = read("with_fragment/port_map.d/shop.yml")
    fragment["port_map"]["environments"] = {"production": {"services": {"shop-web": {"enabled": False}}, "routes": {"shop": {"path": "/x"}}}}
    agree(mutated(data.draw, fragment), spec.FRAGMENT, FRAGMENT)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(spec.SERVICE.keys)), VALUES)
def test_any_value_at_any_key_of_a_service_gets_the_same_verdict(key: str, value: t.Any) -> None:
    agree({"port_map": {"version": 1, "services": {"api": {"port": 1, key: value}}}}, spec.MAIN, MAIN)


@pytest.mark.parametrize(
    "value",
    [{"a": ["10.0.0.1/8"]}, {"a": ["x.example"]}, {"a": "fe80::1%1"}],
)
def test_what_the_schema_cannot_say_is_what_the_list_says(value: t.Any) -> None:
    data = {"port_map": {"version": 1, "networks": value}}
    assert verdict(data, spec.MAIN) == (False, {"addresses"})
    assert MAIN.is_valid(data)


def test_ranges_and_whole_floats_are_beyond_the_schema() -> None:
    for port, beyond in (("90-80", "ranges"), ("80-70000", "ranges"), (80.0, "whole floats")):
        data = {"port_map": {"version": 1, "services": {"api": {"port": port}}}}
        assert verdict(data, spec.MAIN) == (False, {beyond})
        assert MAIN.is_valid(data)


@pytest.mark.parametrize(
    "data",
    [
        {"domain": "example.com\n"},
        {"services": {"a\n": {"port": 1}}},
        {"services": {"a": {"port": "80-90\n"}}},
        {"services": {"a": {"port": 1, "description": "x\n"}}},
        {"services": {"a": {"port": 1, "health": "/x\n"}}},
        {"networks": {"a": "10.0.0.1\n"}},
        {"networks": {"a": "{{ x }}"}},
    ],
)
def test_a_line_feed_at_the_end_or_a_template_is_refused_by_both(data: t.Any) -> None:
    assert verdict({"port_map": {"version": 1, **data}}, spec.MAIN) == (True, set())
    assert not MAIN.is_valid({"port_map": {"version": 1, **data}})


def test_the_verdict_is_not_always_the_same() -> None:
    """Guards the property tests: among plain changes there are accepted and refused ones."""
    base = read("one_vm.yml")
    seen = set()
    for value in (80, 0, "none", "80-90", None, True, "x"):
        changed = copy.deepcopy(base)
        changed["port_map"]["services"]["db"]["port"] = value
        seen.add(verdict(changed, spec.MAIN)[0])
        agree(changed, spec.MAIN, MAIN)
    assert seen == {True, False}
