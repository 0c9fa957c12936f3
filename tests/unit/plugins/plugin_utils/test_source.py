# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading: what YAML means here, where every value stands, and what is refused."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Problems
from ansible_collections.alfred.portmap.plugins.plugin_utils._source import Source, SourceError, load, read_documents


def read(text: str) -> tuple[Source | None, list[str]]:
    problems = Problems()
    source = load({"path": "m.yml", "text": text}, problems)
    return source, [str(problem) for problem in problems.errors]


def good(text: str) -> Source:
    source, errors = read(text)
    assert source is not None and errors == []
    return source


def test_values_are_plain_and_know_their_line() -> None:
    source = good("port_map:\n  version: 1\n  services:\n    api:\n      port:\n        8080\n      from: [a,\n        b]\n      container: true\n")
    assert source.data == {"version": 1, "services": {"api": {"port": 8080, "from": ["a", "b"], "container": True}}}
    assert {type(value) for value in source.data["services"]["api"].values()} == {int, list, bool}
    assert source.origin(("services", "api", "port")).line == 5, "the line of the key"
    assert source.origin(("services", "api", "from", 1)).line == 8
    assert str(source.origin(("services", "api", "from", 1))) == "m.yml:8 services.api.from[1]"
    assert str(source.origin(("services", "api", "health"))) == "m.yml:4 services.api.health", "what is missing stands where its mapping begins"
    assert source.origin(()).path == "port_map"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "m.yml:1: port_map: the file is empty: it must hold `port_map`"),
        ("# nothing\n", "m.yml:1: port_map: the file is empty: it must hold `port_map`"),
        ("- a\n", "m.yml:1: port_map: the file must be a mapping with the one key `port_map`"),
        ("{}", "m.yml:1: port_map: the file has no `port_map`"),
        ("portmap: {}\n", "m.yml:1: portmap: unknown key, did you mean 'port_map'?"),
        ("port_map: {}\nx: 1\n", "m.yml:2: x: unknown key: the file holds `port_map` and nothing else"),
        ("port_map:\n  - a\n", "m.yml:2: port_map: must be a mapping"),
        ("port_map: {}\n---\nport_map: {}\n", "m.yml:3: port_map: a second YAML document begins here: one file holds one map"),
        ("port_map:\n  a: *x\n", "m.yml:2: port_map: no valid YAML: found undefined alias 'x', column 6"),
        (
            "port_map:\n\ta: b\n",
            "m.yml:2: port_map: no valid YAML: while scanning for the next token found character '\\t' that cannot start any token, column 1",
        ),
        ("port_map:\n  a: b\x07\n", "m.yml:2: port_map: has a control character (U+0007)"),
        ("port_map: {" + "a: {" * 3000, "m.yml: port_map: is nested too deeply"),
    ],
)
def test_a_file_that_is_no_map(text: str, error: str) -> None:
    _source, errors = read(text)
    assert errors == [error]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("~", "a: has no value (null): write one, or leave the key out"),
        ("", "a: has no value (null): write one, or leave the key out"),
        ("'{{ x }}'", "a = '{{ x }}': templates ({{, {%, {#) are not possible here: the file is read as plain data"),
        ("'x {% if %}'", "a = 'x {% if %}': templates ({{, {%, {#) are not possible here: the file is read as plain data"),
        ("'{# x'", "a = '{# x': templates ({{, {%, {#) are not possible here: the file is read as plain data"),
        ("{{ x }}", "a: a name must be text; templates ({{ }}) are not possible here"),
        ('"x\\ey"', "a = 'x\\x1by': has a control character (U+001B): text is one line"),
        ('"x\\u2028y"', "a = 'x\\u2028y': has a control character (U+2028): text is one line"),
        ("|\n    x\n    y\n", "a = 'x\\ny\\n': has a control character (U+000A): text is one line"),
        ("22:22", "a = '22:22': YAML reads this as a number of base 60: write numbers in plain decimal, quote text"),
        ("017", "a = '017': YAML reads this as a number in a notation of its own: write numbers in plain decimal, quote text"),
        ("0x50", "a = '0x50': YAML reads this as a number in a notation of its own: write numbers in plain decimal, quote text"),
        ("8_080", "a = '8_080': YAML reads this as a number in a notation of its own: write numbers in plain decimal, quote text"),
        ("2024-01-01", "a = '2024-01-01': YAML reads this as a date: quote it"),
        ("=", "a = '=': has a meaning of its own in YAML: quote it"),
        ("!vault x", "a = 'x': the tag !vault is not possible here: the file is read as plain data"),
        ("!unsafe x", "a = 'x': the tag !unsafe is not possible here: the file is read as plain data"),
        ("!!python/object/apply:os.system [id]", "a: the tag python/object/apply:os.system is not possible here: the file is read as plain data"),
        ("!!set {x}", "a: the tag set is not possible here: the file is read as plain data"),
        ("!!binary aGk=", "a = 'aGk=': the tag binary is not possible here: the file is read as plain data"),
        ("&x {b: *x}", "a.b: an alias refers to what it is part of"),
        ("&x [*x]", "a[0]: an alias refers to what it is part of"),
        ("{<<: 1}", "a.<<: merges mappings only"),
    ],
)
def test_a_value_that_is_refused(value: str, error: str) -> None:
    source, errors = read(f"port_map:\n  a: {value}\n")
    assert errors == [f"m.yml:2: {error}"]
    assert source is not None and ("a",) in source.tainted


@pytest.mark.parametrize(
    ("name", "what"),
    [("on", "a boolean"), ("no", "a boolean"), ("3000", "a number"), ("1.5", "a number"), ("~", "null"), ("2024-01-01", "a date"), ("12:30", "a number")],
)
def test_a_name_that_is_none(name: str, what: str) -> None:
    source, errors = read(f"port_map:\n  a: {{{name}: 1, b: 2}}\n")
    assert errors == [f"m.yml:2: a.{name}: YAML reads the name {name} as {what}: quote it, better rename it"]
    assert source is not None and source.data == {"a": {"b": 2}}
    assert good(f'port_map:\n  a: {{"{name}": 1}}\n').data == {"a": {name: 1}}, "in quotes it is text"


def test_a_template_as_a_name() -> None:
    _source, errors = read('port_map:\n  "{{ x }}": 1\n')
    assert len(errors) == 1 and "templates" in errors[0] and errors[0].startswith("m.yml:2: ")


def test_a_name_twice_says_where_the_first_one_is() -> None:
    source, errors = read("port_map:\n  a: 1\n  b: 2\n  a: 3\n")
    assert errors == ["m.yml:4: a: stands twice in this mapping, first in line 2"]
    assert source is not None and source.data == {"a": 1, "b": 2}


def test_anchors_and_merges_work_as_yaml_says() -> None:
    source = good(
        "port_map:\n  one: &one {x: 1, y: 1}\n  two: &two {y: 2, z: 2}\n  both:\n    <<: [*one, *two]\n    x: 9\n  again: *two\n  twice: {<<: *two}\n"
    )
    assert source.data["both"] == {"x": 9, "y": 1, "z": 2}, "what the mapping says itself wins, then the first of the list"
    assert source.data["again"] == source.data["twice"] == {"y": 2, "z": 2}
    assert source.origin(("both", "z")).line == 3, "a merged value stands where it is written"
    assert source.origin(("both", "x")).line == 6
    assert source.data["again"] is not source.data["two"], "copies: a later change of one leaves the other"


def test_two_merges_in_one_mapping_are_one_too_many() -> None:
    _source, errors = read("port_map:\n  a: &a {x: 1}\n  b:\n    <<: *a\n    <<: *a\n")
    assert errors == ["m.yml:5: b.<<: stands twice, first in line 4: write one with a list"]


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["port_map:", "  l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    _source, errors = read("\n".join(lines))
    assert len(errors) == 1 and "aliases repeat too much" in errors[0]


def test_every_wrong_value_is_told_not_only_the_first() -> None:
    _source, errors = read("port_map:\n  a: ~\n  b: '{{'\n  on: 1\n  c: [~, x]\n")
    assert [error.split(":")[1] for error in errors] == ["4", "2", "3", "5"], "a mapping's names are read before its values"


# files


def test_fragments_come_after_the_map_by_name(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "inventories"
    (folder / "port_map.d").mkdir(parents=True)
    for name in ("b.yml", "a.yml", ".hidden.yml", "readme.md"):
        (folder / "port_map.d" / name).write_text(name, encoding="utf-8")
    (folder / "port_map.yml").write_bytes("\ufeffpört".encode())
    documents = read_documents(folder / "port_map.yml")
    assert documents == [
        {"path": "inventories/port_map.yml", "text": "pört"},
        {"path": "inventories/port_map.d/a.yml", "text": "a.yml"},
        {"path": "inventories/port_map.d/b.yml", "text": "b.yml"},
    ]


def test_the_paths_are_the_same_wherever_one_stands(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "port_map.yml").write_text("x", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "inventories")
    assert read_documents("port_map.yml")[0]["path"] == "inventories/port_map.yml"
    monkeypatch.chdir(tmp_path)
    assert read_documents("inventories/port_map.yml")[0]["path"] == "inventories/port_map.yml"


@pytest.mark.parametrize("name", ["shop.yaml", "shop.YML", "shop.json"])
def test_a_fragment_that_would_be_overlooked_is_an_error(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / "port_map.d").mkdir()
    (tmp_path / "port_map.d" / name).write_text("", encoding="utf-8")
    (tmp_path / "port_map.yml").write_text("", encoding="utf-8")
    with pytest.raises(SourceError, match=name):
        read_documents(tmp_path / "port_map.yml")


def test_files_that_cannot_be_read(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SourceError, match=r"can't read the port map's file .*/port_map.yml: No such file"):
        read_documents(tmp_path / "port_map.yml")
    with pytest.raises(SourceError, match="directory"):
        read_documents(tmp_path)
    (tmp_path / "latin.yml").write_bytes(b"port_map:\n  domain: p\xf6rt\n")
    with pytest.raises(SourceError, match="line 2 is not UTF-8"):
        read_documents(tmp_path / "latin.yml")
