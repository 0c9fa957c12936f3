# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a host's firewall, from what was seen of it."""

from __future__ import annotations

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._firewall import ForeignTableError, Observed, changed_lines, guard_ownership, readable
from ansible_collections.alfred.portmap.plugins.module_utils._firewall_state import Confirmed, Stored
from ansible_collections.alfred.portmap.plugins.module_utils._ruleset import OWNER_MARK

LISTING = "table inet portmap {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.1, 192.0.2.2 }\n\t}\n}\n"
CONFIRMED = Confirmed("portmap", "the ruleset\n", {}, LISTING, "1.0.6", "2026-11-24T12:00:00Z")


def seen(
    listing: str | None = LISTING, confirmed: Confirmed | None = CONFIRMED, problem: str | None = None, version: str = "1.0.6", interrupted: bool = False
) -> Observed:
    """A host as given; without arguments one that is as it should be."""
    return Observed("portmap", listing, Stored(confirmed, problem, "the ruleset\n"), interrupted, version)


def test_as_it_should_be() -> None:
    host = seen()
    assert (host.ours, host.differences(), host.drift) == (True, [], {"found": False, "lines": []})


def test_nothing_there() -> None:
    host = seen(listing=None, confirmed=None)
    assert (host.ours, host.differences(), host.drift) == (False, [], {"found": False, "lines": []})


def test_changed_by_hand() -> None:
    host = seen(listing=LISTING.replace("192.0.2.2", "192.0.2.3"))
    assert host.differences() == ["the table inet portmap was changed by hand"]
    assert host.drift == {"found": True, "lines": ["-\t\t\t192.0.2.2,", "+\t\t\t192.0.2.3,"]}


def test_gone() -> None:
    host = seen(listing=None)
    assert host.differences() == ["the table inet portmap is missing"]
    assert host.drift == {"found": True, "lines": []}


def test_another_nft_that_lists_alike_changes_nothing() -> None:
    assert seen(version="1.1.3").differences() == []


def test_another_nft_that_lists_differently_is_not_called_a_change_by_hand() -> None:
    host = seen(listing=LISTING.replace("elements", "members"), version="1.1.3")
    assert host.drift == {"found": False, "lines": []}
    assert host.differences() == ["nft 1.1.3 lists the table differently than nft 1.0.6, which applied it: changes by hand could not be seen"]


def test_damage_and_interruption_are_told() -> None:
    assert seen(confirmed=None, problem="the file is damaged", interrupted=True).differences() == ["the file is damaged", "an earlier run was interrupted"]


def test_ours_by_its_mark_though_the_record_is_gone() -> None:
    host = seen(listing=f"table inet portmap {{\n\t{OWNER_MARK}\n}}\n", confirmed=None)
    assert host.ours
    assert host.differences() == ["the table inet portmap is there, but no record of how it was applied"]
    guard_ownership(host)


def test_ours_by_the_record_though_the_mark_is_gone() -> None:
    guard_ownership(seen(listing="table inet portmap {\n}\n"))


@pytest.mark.parametrize("problem", [None, "the file is damaged"])
def test_a_foreign_table(problem: str | None) -> None:
    host = seen(confirmed=None, problem=problem)
    assert not host.ours
    with pytest.raises(ForeignTableError, match="this module did not make; it was left alone"):
        guard_ownership(host)


def test_two_names() -> None:
    other = Confirmed("alfred", "", {}, "", "1.0.6", "")
    with pytest.raises(ForeignTableError, match="is the table inet alfred, not inet portmap; remove it first"):
        guard_ownership(seen(listing=None, confirmed=other))


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ("\t\telements = { 1 }", "\t\telements = {\n\t\t\t1,\n\t\t}"),
        (
            "\t\telements = { 22 : jump a, 80 : jump b,\n\t\t\t     81 : drop }\n\t}",
            "\t\telements = {\n\t\t\t22 : jump a,\n\t\t\t80 : jump b,\n\t\t\t81 : drop,\n\t\t}\n\t}",
        ),
        ('\t\telements = { 192.0.2.1 comment "a, b }", 192.0.2.2 }', '\t\telements = {\n\t\t\t192.0.2.1 comment "a, b }",\n\t\t\t192.0.2.2,\n\t\t}'),
        ("\t\tip saddr { 1.1.1.1, 2.2.2.2 } accept", "\t\tip saddr { 1.1.1.1, 2.2.2.2 } accept"),
    ],
)
def test_readable(listing: str, expected: str) -> None:
    assert readable(listing) == expected


def test_changed_lines() -> None:
    assert changed_lines("a\nb\nc\n", "a\nc\nd\n") == ["-b", "+d"]
    assert changed_lines("-- a\n", "++ a\n") == ["--- a", "+++ a"]
