# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sshd's configuration as text. What a real sshd makes of it: tests/lab/test_ssh_lockout.py."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._sshd_config import (
    Exempt,
    Statement,
    Temporary,
    Wanted,
    admits,
    included,
    parse,
    read_before,
    staged,
    statements,
    with_include,
    without_include,
)


def text_of(path: str) -> str:
    return pathlib.Path(path).read_text()


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory of drop-ins, without ours."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "50-cloud-init.conf").write_text("PasswordAuthentication yes\n")
    (tmp_path / "d" / "ignored.txt").write_text("PasswordAuthentication yes\n")
    return tmp_path


def drop_in_of(tree: pathlib.Path) -> str:
    return str(tree / "d" / "0-portmap.conf")


def test_the_drop_in() -> None:
    wanted = Wanted(
        {"bastion": ["203.0.113.10", "2001:db8:1::10"], "nobody": []},
        {"PasswordAuthentication": "no"},
        [Exempt("User deploy", {"PermitTTY": "no"})],
        Temporary(["192.0.2.0/24"], "2026-11-26T18:00:00Z"),
        {"RefuseConnection": "yes"},
    )
    lines = wanted.render().splitlines()
    assert lines[3:] == [
        "# Who may log in from where:",
        "#   bastion: 203.0.113.10, 2001:db8:1::10",
        "#   nobody: ",
        "#   until 2026-11-26T18:00:00Z: 192.0.2.0/24",
        "Match Address *,!203.0.113.10,!2001:db8:1::10,!192.0.2.0/24",
        "    DenyUsers *",
        "    RefuseConnection yes",
        "",
        "Match User deploy",
        "    PermitTTY no",
        "",
        "Match all",
        "    PasswordAuthentication no",
    ]


def test_a_network_named_twice_is_listed_once() -> None:
    assert Wanted({"a": ["192.0.2.1"], "b": ["192.0.2.1", "192.0.2.2"]}, {}).sources == ("192.0.2.1", "192.0.2.2")


def test_whom_a_drop_in_lets_in() -> None:
    text = Wanted({"a": ["192.0.2.1", "2001:db8::/64"]}, {}).render()
    assert admits(text, ["192.0.2.1", "2001:db8::/64"]) and admits(text, [])
    assert not admits(text, ["192.0.2.10"]) and not admits("", ["192.0.2.1"])


@pytest.mark.parametrize(
    ("line", "keyword", "arguments"),
    [
        ("PasswordAuthentication yes", "passwordauthentication", "yes"),
        ("  X11Forwarding=no  ", "x11forwarding", "no"),
        ("Port\t=  22", "port", "22"),
        ('"LogLevel" VERBOSE', "loglevel", "VERBOSE"),
        ("AllowUsers a b", "allowusers", "a b"),
    ],
)
def test_a_statement(line: str, keyword: str, arguments: str) -> None:
    assert list(parse("f", line + "\n")) == [Statement("f", 1, keyword, arguments)]


def test_comments_and_blank_lines_are_no_statements() -> None:
    assert [one.line for one in parse("f", "# Port 22\n\n#Port 23\nPort 24\n")] == [4]


def test_what_an_include_reads(tree: pathlib.Path) -> None:
    drop_in = drop_in_of(tree)
    assert included(f"{tree}/d/*.conf", drop_in) == [drop_in, f"{tree}/d/50-cloud-init.conf"]
    assert included(f"{tree}/d/5*.conf", drop_in) == [f"{tree}/d/50-cloud-init.conf"]
    assert included(f"{tree}/d/ignored.txt {tree}/d/*.conf", drop_in)[0] == f"{tree}/d/ignored.txt"
    assert included(f"{tree}/none/*.conf", drop_in) == []
    assert included(f'"{tree}/d/*.conf"', drop_in) == [drop_in, f"{tree}/d/50-cloud-init.conf"]


def test_all_statements_but_ours_in_their_order(tree: pathlib.Path) -> None:
    main = tree / "sshd_config"
    pathlib.Path(drop_in_of(tree)).write_text("LogLevel VERBOSE\n")
    main.write_text(f"Include {tree}/d/*.conf\nUsePAM yes\n")
    found = [(one.keyword, one.line) for one in statements(str(main), drop_in_of(tree), text_of)]
    assert found == [("passwordauthentication", 1), ("usepam", 2)]


def test_includes_in_a_circle_end(tree: pathlib.Path) -> None:
    main = tree / "sshd_config"
    main.write_text(f"UsePAM yes\nInclude {main}\n")
    assert len(list(statements(str(main), drop_in_of(tree), text_of))) == 17


@pytest.mark.parametrize(
    ("before", "main", "reason"),
    [
        ([], "# Comment\nInclude {d}/*.conf\nUsePAM yes\n", None),
        (["00-first.conf", "01-x.conf"], "Include {d}/*.conf\n", None),
        (["0-first.conf"], "Include {d}/*.conf\n", "reads {d}/0-first.conf before it"),
        (["0-empty.conf"], "Include {d}/*.conf\n", None),
        ([], "UsePAM yes\nInclude {d}/*.conf\n", "does not read it before its line 1 (usepam)"),
        ([], "UsePAM yes\n", "does not read it before its line 1 (usepam)"),
        ([], "# nothing\n", "does not read it"),
        ([], "Include {d}/5*.conf\nInclude {d}/*.conf\n", "reads {d}/50-cloud-init.conf before it"),
        ([], "Include {d}/none*.conf {d}/*.conf\n", None),
    ],
)
def test_is_ours_the_first(tree: pathlib.Path, before: list[str], main: str, reason: str | None) -> None:
    for name in before:
        (tree / "d" / name).write_text("" if "empty" in name else "UseDNS no\n")
    path = tree / "sshd_config"
    path.write_text(main.format(d=tree / "d"))
    found = read_before(str(path), drop_in_of(tree), text_of)
    assert (found is None) if reason is None else (found is not None and found.endswith(reason.format(d=tree / "d")))


def test_the_line_at_the_top_comes_and_goes(tree: pathlib.Path) -> None:
    text = f"# Theirs\nUsePAM yes\nInclude {tree}/d/*.conf\n"
    changed = with_include(text, drop_in_of(tree))
    path = tree / "sshd_config"
    path.write_text(changed)
    assert read_before(str(path), drop_in_of(tree), text_of) is None
    assert with_include(changed, drop_in_of(tree)) == changed
    assert without_include(changed, drop_in_of(tree)) == text
    assert without_include(text, drop_in_of(tree)) == text


def test_the_candidate_takes_the_place_of_the_drop_in(tree: pathlib.Path) -> None:
    pathlib.Path(drop_in_of(tree)).write_text("LogLevel VERBOSE\n")
    main = f"Include {tree}/d/*.conf\nUsePAM yes\n"
    others = f"Include {tree}/d/50-cloud-init.conf\nUsePAM yes\n"
    assert staged(main, drop_in_of(tree), "/tmp/candidate.conf") == f"Include /tmp/candidate.conf\n{others}"
    assert staged(with_include(main, drop_in_of(tree)), drop_in_of(tree), "/tmp/candidate.conf") == f"Include /tmp/candidate.conf\n{others}"
    assert staged(main, drop_in_of(tree), None) == others
    (tree / "d" / "50-cloud-init.conf").unlink()
    assert staged(main, drop_in_of(tree), None) == "#\nUsePAM yes\n", "an Include of nothing is an error"


def test_what_stands_under_a_match() -> None:
    text = "UsePAM yes\nMatch User a\n  X11Forwarding yes\nMatch all\nUseDNS no\n"
    assert [(one.keyword, one.block) for one in parse("f", text)] == [
        ("usepam", ""),
        ("match", ""),
        ("x11forwarding", "User a"),
        ("match", "User a"),
        ("usedns", "all"),
    ]
