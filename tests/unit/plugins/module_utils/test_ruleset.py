# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy as nft's text: golden files, and what holds for the text of any policy.

After a wanted change: `PYTHONPATH=collections python tests/tools/write_golden.py`. That nft takes these texts, and that packets
fare as they should, is asked in tests/kernel.
"""

from __future__ import annotations

import ipaddress
import pathlib
import random
import re
import typing as t

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.alfred.portmap.plugins.module_utils._policy import Policy, Rule, Span
from ansible_collections.alfred.portmap.plugins.module_utils._ruleset import MAX_COMMENT, OWNER_MARK, comment, port_map, render

GOLDEN = pathlib.Path(__file__).with_name("golden")
NAMES = sorted(path.stem for path in GOLDEN.glob("*.yml"))
LOG = {"enabled": True, "rate": 10, "burst": 5, "prefix": "portmap"}


def golden(name: str) -> dict[str, t.Any]:
    data = yaml.safe_load((GOLDEN / f"{name}.yml").read_text(encoding="utf-8"))
    return t.cast("dict[str, t.Any]", data)


def blocks(text: str, kind: str) -> dict[str, str]:
    """The sets, maps or chains of a text by name."""
    found = re.findall(rf"^\t{kind} (\S+) \{{\n(.*?)^\t\}}", text, re.DOTALL | re.MULTILINE)
    assert len({name for name, _body in found}) == len(found), "a name is given twice"
    return dict(found)


def members(body: str) -> list[str]:
    """The elements of a set."""
    return re.findall(r"^\t\t\t(\S+),$", body, re.MULTILINE)


def policy(networks: dict[str, list[str]], *rules: tuple[str, list[str]], **more: t.Any) -> Policy:
    """Rules (port or range, networks) that let TCP in."""
    ingress = [{"name": f"rule {index}", "ports": [port], "networks": named} for index, (port, named) in enumerate(rules)]
    return Policy.from_data({"networks": networks, "ingress": ingress, **more})


# golden files


@pytest.mark.parametrize("name", NAMES)
def test_golden(name: str) -> None:
    data = golden(name)
    assert render(Policy.from_data(data["policy"]), log=data["log"]) == (GOLDEN / f"{name}.nft").read_text(encoding="utf-8")


def test_every_golden_file_has_its_policy() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.nft")) == NAMES
    assert len(NAMES) >= 5


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_names_and_addresses_means_nothing(name: str) -> None:
    """Set and dict orders differ from run to run: the text, and so the idempotence, must not."""
    chance = random.Random(name)
    data = golden(name)["policy"]
    for rule in [*data.get("ingress", []), *data.get("egress", [])]:
        chance.shuffle(rule["networks"])
    shuffled = list(data.get("networks", {}).items())
    chance.shuffle(shuffled)
    data["networks"] = {network: chance.sample(addresses, len(addresses)) for network, addresses in shuffled}
    assert render(Policy.from_data(data), log=golden(name)["log"]) == (GOLDEN / f"{name}.nft").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_what_every_text_keeps_to(name: str) -> None:
    text = (GOLDEN / f"{name}.nft").read_text(encoding="utf-8")
    assert text.startswith(f"# {OWNER_MARK}")
    assert text.splitlines()[1:4] == ["table inet portmap", "delete table inet portmap", "table inet portmap {"]
    assert text.count(f'"{OWNER_MARK}') == 1, "the mark that says whose table it is"
    # What old versions of nft do not know, what outlives the table, what loses a family or an extension header.
    assert not re.search(r"\b(destroy|flush|owner|persist|auto-merge|counter|include|define|iif|oif|ip protocol|ip6 nexthdr)\b", text)
    assert not re.search(r"elements = \{\s*\}|ip6? [sd]addr \{", text), "an empty set has no elements; addresses stand in named sets"
    sets, maps, chains = (blocks(text, kind) for kind in ("set", "map", "chain"))
    assert {*re.findall(r"@(\w+)", text)} == {*sets, *maps}, "each is used, and each that is used is there"
    assert {*re.findall(r"jump (\w+)", text)} | {"input"} <= {*chains}
    assert {*chains} - {*re.findall(r"jump (\w+)", text)} == {hook for hook in ("input", "output", "forward") if f"hook {hook} " in text}
    assert all("priority filter - 10; " in body for body in chains.values() if " hook " in body)
    for line in text.splitlines():
        assert " log " not in line or line.lstrip().startswith("limit rate "), "what is logged is bounded"
        assert len(line.split("comment ")[-1]) <= 128


def test_the_table_has_the_name_that_it_is_given() -> None:
    assert render(Policy.from_data({}), "alfred").splitlines()[1:4] == ["table inet alfred", "delete table inet alfred", "table inet alfred {"]


def test_only_what_is_needed_is_hooked() -> None:
    """A chain that is not there slows nobody down and drops nothing: others' forwarding, unfiltered output."""

    def hooks(**data: t.Any) -> list[str]:
        return [" ".join(found) for found in re.findall(r"hook (\w+) .* policy (\w+);", render(Policy.from_data(data)))]

    assert hooks() == ["input drop", "output drop"]
    assert hooks(egress_default="accept") == ["input drop"]
    assert hooks(container_interfaces=["docker0"]) == ["input drop", "output drop", "forward accept"]
    assert hooks(container_interfaces=["docker0"], egress_default="accept") == ["input drop", "forward accept"]


# ports

RULES = st.lists(
    st.builds(
        lambda index, transport, spans: Rule(f"rule {index}", transport, tuple(Span(min(span), max(span)) for span in spans), (), False, ""),
        st.integers(0, 99),
        st.sampled_from(["tcp", "tcp", "udp"]),
        st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)) | st.integers(1, 30).map(lambda port: (port, port)), min_size=1, max_size=4),
    ),
    max_size=8,
)


@given(RULES)
def test_exact_ports_and_ranges_are_the_union_of_the_rules(rules: list[Rule]) -> None:
    """Asked first by exact port, then by range: whoever a rule lets in is found in one of the two."""
    exact, ranges = port_map(rules, "tcp")
    for port in range(32):
        found = exact.get(port, []) + [rule for span, covering in ranges.items() if port in span for rule in covering]
        assert {id(rule) for rule in found} == {id(rule) for rule in rules if rule.transport == "tcp" and any(port in span for span in rule.ports)}
    assert list(exact) == sorted(exact)
    assert all(one.hi < other.lo for one, other in zip(ranges, list(ranges)[1:])), "disjoint and sorted"


def test_the_last_port_ends_a_range() -> None:
    assert list(port_map([Rule("r", "tcp", (Span(1, 65535), Span(65535, 65535)), (), False, "")], "tcp")[1]) == [Span(1, 65535)]


# networks


def nearby(version: int) -> st.SearchStrategy[str]:
    """Networks of a small world, that often overlap, touch and repeat."""
    first, bits = (ipaddress.ip_address("192.0.2.0"), 32) if version == 4 else (ipaddress.ip_address("2001:db8::"), 128)
    pairs = st.tuples(st.integers(0, 255), st.integers(bits - 8, bits))
    return pairs.map(lambda pair: str(ipaddress.ip_network((int(first + pair[0]), pair[1]), strict=False)))


@given(st.lists(nearby(4) | nearby(6), max_size=12))
def test_overlaps_are_taken_out_and_no_address_is_lost_or_won(addresses: list[str]) -> None:
    sets = blocks(render(policy({"a": addresses}, ("22", ["a"]))), "set")
    for version in (4, 6):
        wanted = [network for network in map(ipaddress.ip_network, addresses) if network.version == version]
        got = [ipaddress.ip_network(member) for member in members(sets.get(f"net_a_{version}", ""))]
        assert list(ipaddress.collapse_addresses(got)) == list(ipaddress.collapse_addresses(wanted))
        assert not any(one.overlaps(other) for index, one in enumerate(got) for other in got[:index])
        assert {*got} <= {*wanted}, "people find what they wrote: neighbours are not joined"
        assert (f"net_a_{version}" in sets) is bool(wanted), "no set without members"


@pytest.mark.parametrize(
    ("networks", "said"),
    [
        ({"a": ["0.0.0.0/0", "::/0"]}, ["accept"]),
        ({"a": ["0.0.0.0/0"], "b": ["::/0", "192.0.2.1"]}, ["accept"]),
        ({"a": ["0.0.0.0/0", "192.0.2.1"]}, ['meta nfproto ipv4 accept comment "a"']),
        ({"a": ["::/0"], "b": ["192.0.2.1"]}, ['meta nfproto ipv6 accept comment "a"', 'ip saddr @net_b_4 accept comment "b"']),
        ({"a": []}, []),
    ],
)
def test_everybody_is_no_set(networks: dict[str, list[str]], said: list[str]) -> None:
    text = render(policy(networks, ("22", sorted(networks))))
    if said == ["accept"]:
        assert '22 comment "rule 0" : accept,' in text
        assert "chain from_1" not in text
    else:
        assert '22 comment "rule 0" : jump from_1,' in text
        assert [line.strip() for line in blocks(text, "chain")["from_1"].splitlines()] == said
    assert "0.0.0.0" not in text
    assert "::/0" not in text


def test_names_of_networks_never_meet() -> None:
    """Each gets sets of its own, whatever is cut off or replaced in its name."""
    names = ["a b", "a-b", "a_b", "a_b_2", "a b 2", "A b", "ä", "é", "_", "4", "a" * 60 + "1", "a" * 60 + "2", "in_tcp", "map", 'a"b', "hosts:a,b", "a\nb"]
    text = render(policy({name: [f"192.0.2.{index}", f"2001:db8::{index:x}"] for index, name in enumerate(names, 1)}, ("22", names)))
    sets = blocks(text, "set")
    assert sorted(members(body) for name, body in sets.items() if name.endswith("_4")) == sorted([f"192.0.2.{index}"] for index in range(1, len(names) + 1))
    assert len(sets) == 2 * len(names) + 1, "and one of ports"
    assert all(re.fullmatch(r"[A-Za-z_]\w{0,62}", name, re.ASCII) for name in sets)


def test_the_same_networks_share_a_chain() -> None:
    rules = [("1", ["a", "b"]), ("2", ["b", "a", "b"]), ("3", ["a"]), ("3", ["b"]), ("4", ["a"])]
    text = render(policy({"a": ["192.0.2.1"], "b": ["192.0.2.2"]}, *rules, ping=["a"]))
    assert re.findall(r"^\t\t\t(\d) .* : jump (\w+),$", text, re.MULTILINE) == [("1", "from_1"), ("2", "from_1"), ("3", "from_1"), ("4", "from_2")]
    assert "icmp type 8 jump from_2" in text


def test_a_thousand_ports_share_thousands_of_addresses() -> None:
    networks = {"all": [f"10.{index // 250}.{index % 250}.0/24" for index in range(5000)], **{f"n{index}": ["192.0.2.1"] for index in range(1000)}}
    text = render(policy(networks, *((str(index + 1), ["all", f"n{index}"]) for index in range(1000))))
    assert text.count("\t10.0.7.0/24,") == 1
    assert len(blocks(text, "chain")) == 1002


# time


def timed(*rules: tuple[list[str], str | None]) -> str:
    """The text of rules (networks, until) for port 22."""
    ingress = [{"name": f"rule {index}", "ports": ["22"], "networks": names, "until": until} for index, (names, until) in enumerate(rules)]
    networks = {"a": ["192.0.2.1"], "b": ["192.0.2.2"], "anywhere": ["0.0.0.0/0", "::/0"], "four": ["0.0.0.0/0"]}
    return render(Policy.from_data({"networks": networks, "ingress": ingress, "egress_default": "accept"}))


SOON, LATER = "2026-11-26T18:00:00Z", "2026-11-26T19:00:00Z"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([(["a"], SOON)], [("a", 1795716000)]),
        ([(["a"], None), (["b"], SOON)], [("a", None), ("b", 1795716000)]),
        ([(["a"], SOON), (["a"], LATER)], [("a", 1795719600)]),
        ([(["a"], LATER), (["a"], SOON)], [("a", 1795719600)]),
        ([(["a"], SOON), (["a"], None)], [("a", None)]),
        ([(["a"], None), (["a"], SOON)], [("a", None)]),
        ([(["a", "b"], SOON), (["b"], LATER)], [("a", 1795716000), ("b", 1795719600)]),
        ([(["four"], SOON)], [("four", 1795716000)]),
    ],
)
def test_a_network_counts_as_long_as_the_rule_that_names_it_longest(rules: list[tuple[list[str], str | None]], said: list[tuple[str, int | None]]) -> None:
    shape = re.compile(r'\t\t(?:meta nfproto ipv4|ip saddr @net_._4) (?:meta time < (\d+) )?accept comment "(?:until \S+Z: )?(\w+)"')
    found = [shape.fullmatch(line) for line in blocks(timed(*rules), "chain")["from_1"].splitlines()]
    assert [(line[2], int(line[1]) if line[1] else None) for line in found if line] == said
    assert all(found)


def test_everybody_for_a_while_is_not_everybody() -> None:
    assert '22 comment "rule 0" : jump from_1,' in timed((["anywhere"], SOON))
    assert '22 comment "rule 0, rule 1" : accept,' in timed((["anywhere"], None), (["a"], SOON))


def test_a_time_is_written_as_a_number() -> None:
    """nft would read and list a date in the time zone of its process."""
    found = re.findall(r"meta time (\S+ \S+)", timed((["a"], SOON), (["b"], LATER)))
    assert found == ["< 1795716000", "< 1795719600"]


# texts of people


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ssh", "ssh"),
        ('say "hello"', "say ?hello?"),
        ("back\\slash", "back?slash"),
        ("two\nlines\tand\0more", "two?lines?and?more"),
        ("Zürich 東京", "Z?rich ??"),
        ("a" * 500, "a" * MAX_COMMENT),
        ("é" * 128, "?" * MAX_COMMENT),
        ("", ""),
        ("$x @y #z {a;b}", "$x @y #z {a;b}"),
    ],
)
def test_comment(text: str, said: str) -> None:
    assert comment(text) == f'comment "{said}"'


@given(st.text(max_size=300))
def test_no_text_gets_out_of_its_comment(text: str) -> None:
    assert re.fullmatch(r'comment "[^"\\\n]*"', comment(text))
    assert len(comment(text).encode()) <= len('comment ""') + 128


@given(st.text(min_size=1, max_size=80))
def test_no_name_breaks_a_line(name: str) -> None:
    """Names reach the text as comments and parts of names only: the same lines, whatever they are."""
    odd, plain = (render(policy({key: ["192.0.2.1"]}, ("22", [key]))) for key in (name, "x"))
    assert len(odd.split("\n")) == len(plain.split("\n"))
    assert re.sub(r"net_\w*4", "", re.sub(r'"[^"]*"', "", odd)) == re.sub(r"net_\w*4", "", re.sub(r'"[^"]*"', "", plain))


# what is logged


def test_nothing_is_logged_unless_asked_for() -> None:
    assert " log " not in render(Policy.from_data({"container_interfaces": ["docker0"]}))
    assert " log " not in render(Policy.from_data({}), log={**LOG, "enabled": False})


def test_every_way_of_being_dropped_is_logged_within_limits() -> None:
    text = render(Policy.from_data({"container_interfaces": ["docker0"]}), log={**LOG, "rate": 7, "burst": 3})
    assert re.findall(r'limit rate 7/minute burst 3 packets log prefix "portmap drop ([a-z ]+): " level info', text) == [
        "in",
        "out",
        "to containers",
        "from containers",
    ]
    assert text.count(" log ") == 4


@pytest.mark.parametrize(("prefix", "said"), [('x" accept', "x_ accept"), ("a\nb", "a_b"), ("ü", "_"), ("p" * 300, "p" * 60)])
def test_a_prefix_stays_in_its_quotes(prefix: str, said: str) -> None:
    """The kernel takes 127 bytes."""
    found = re.findall(r'log prefix "([^"]*)" level info$', render(Policy.from_data({}), log={**LOG, "prefix": prefix}), re.MULTILINE)
    assert found == [f"{said} drop in: ", f"{said} drop out: "]
