# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files on the host: written whole, read with suspicion; and the lock."""

from __future__ import annotations

import json
import os
import pathlib

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._firewall_state import HISTORY, Confirmed, DecidedError, FirewallState, StateError, Stored


@pytest.fixture
def state(tmp_path: pathlib.Path) -> FirewallState:
    """State in a directory that is not there yet."""
    return FirewallState(str(tmp_path / "portmap"))


def confirm(state: FirewallState, text: str = "the ruleset\n", listing: str = "the listing\n") -> None:
    state.write_pending("t", text, "before\n")
    state.describe_pending("t", Confirmed("portmap", text, {"ping": []}, listing, "1.0.6", "2026-11-24T12:00:00Z"))
    state.promote("t")


def test_nothing_there(state: FirewallState) -> None:
    assert state.read() == Stored(None, None, "")
    assert not state.exists()
    assert not state.interrupted()


def test_what_was_promoted_is_read_back(state: FirewallState) -> None:
    confirm(state, text="a\r\nb \u00fc\n")
    stored = state.read()
    assert stored.problem is None
    assert stored.text == "a\r\nb \u00fc\n"
    assert stored.confirmed is not None
    assert (stored.confirmed.table, stored.confirmed.text, stored.confirmed.listing, stored.confirmed.nft_version) == (
        "portmap",
        stored.text,
        "the listing\n",
        "1.0.6",
    )


def test_only_the_owner_can_look(state: FirewallState) -> None:
    previous = os.umask(0)
    try:
        confirm(state)
    finally:
        os.umask(previous)
    assert {name: oct(os.stat(os.path.join(state.directory, name)).st_mode & 0o777) for name in sorted(os.listdir(state.directory))} == {
        "confirmed.json": "0o600",
        "confirmed.nft": "0o600",
    }
    assert os.stat(state.directory).st_mode & 0o777 == 0o700
    assert os.stat(state.parent).st_mode & 0o777 == 0o700


def test_a_pending_file_means_an_interrupted_run_and_leaves_the_confirmed_one(state: FirewallState) -> None:
    confirm(state, text="old\n")
    state.write_pending("t", "new\n", "old\n")
    assert state.interrupted()
    assert state.read().text == "old\n"
    state.drop_pending()
    assert not state.interrupted()
    assert sorted(os.listdir(state.directory)) == ["confirmed.json", "confirmed.nft"]


def damaged_record(key: str, value: object) -> str:
    return json.dumps(
        {"format": 1, "table": "portmap", "rendered_sha256": "", "listing": "x", "listing_sha256": "y", "nft_version": "1.0.6", "applied": "", key: value}
    )


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("confirmed.nft", "edited\n", "is not the file that was applied"),
        ("confirmed.nft", None, "No such file"),
        ("confirmed.json", None, "No such file"),
        ("confirmed.json", "", "holds no JSON"),
        ("confirmed.json", '{"format": 1', "holds no JSON"),
        ("confirmed.json", "[]", "is not of format 1"),
        ("confirmed.json", '{"format": 2}', "is not of format 1"),
        ("confirmed.json", '{"format": 1}', "is None"),
        ("confirmed.json", damaged_record("listing", 5), "listing is 5"),
        ("confirmed.json", damaged_record("table", "portmap"), "its listing does not have the hash it gives"),
    ],
)
def test_damage_is_told_and_never_taken_for_unchanged(state: FirewallState, name: str, content: str | None, problem: str) -> None:
    confirm(state)
    path = pathlib.Path(state.directory, name)
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
        path.chmod(0o600)
    stored = state.read()
    assert stored.confirmed is None
    assert stored.problem is not None
    assert problem in stored.problem
    assert name in stored.problem
    assert stored.text == ("edited\n" if content == "edited\n" else "" if name == "confirmed.nft" else "the ruleset\n")


@pytest.mark.parametrize("name", ["confirmed.nft", "confirmed.json", "."])
def test_files_that_others_may_read_or_write_are_not_trusted(state: FirewallState, name: str) -> None:
    confirm(state)
    os.chmod(os.path.join(state.directory, name), 0o777)
    assert "has mode 0777" in (state.read().problem or "")
    confirm(state)
    assert state.read().problem is None, "the next run repairs it"


def test_not_utf8(state: FirewallState) -> None:
    confirm(state)
    pathlib.Path(state.confirmed_file).write_bytes(b"\xff\xfe")
    assert state.read().confirmed is None
    assert state.read().problem


def test_remove_leaves_nothing_of_ours(state: FirewallState) -> None:
    confirm(state)
    confirm(state, text="another\n")
    state.write_pending("t", "x", "y")
    state.remove()
    assert not os.path.exists(state.parent)
    state.remove()


def test_remove_leaves_what_others_keep_beside_us(state: FirewallState) -> None:
    confirm(state)
    other = pathlib.Path(state.parent, "ssh")
    other.mkdir()
    state.remove()
    assert other.is_dir()
    assert not os.path.exists(state.directory)


def test_remove_says_so_if_somebody_left_a_file_in_our_directory(state: FirewallState) -> None:
    confirm(state)
    pathlib.Path(state.directory, "notes").write_text("mine")
    with pytest.raises(StateError, match=r"cannot remove .*Directory not empty"):
        state.remove()


def test_what_was_undone_is_not_confirmed(state: FirewallState) -> None:
    """Whoever renames the pending file decides; the other one changes nothing."""
    confirm(state, text="old\n")
    state.write_pending("t", "new\n", "old\n")
    with pytest.raises(DecidedError, match="nothing to confirm"):
        state.promote("t")  # loaded by nobody: it has no record
    state.describe_pending("t", Confirmed("portmap", "new\n", {}, "", "1.0.6", ""))
    with pytest.raises(DecidedError, match="nothing to confirm"):
        state.promote("another")
    pending = state.pending("t")
    assert pending.text == "new\n"
    os.rename(state.pending_file("t"), state.rejected_file)  # the undo
    with pytest.raises(DecidedError):
        state.promote("t")
    assert state.read().text == "old\n"
    assert state.history() == []
    assert not state.interrupted()


def test_a_short_history_is_kept(state: FirewallState) -> None:
    for number in range(HISTORY + 3):
        confirm(state, text=f"{number}\n")
        confirm(state, text=f"{number}\n")  # the same again, as when drift is repaired
    assert [former.text for former in state.history()] == [f"{number}\n" for number in reversed(range(2, HISTORY + 2))]
    newest = max(os.listdir(state.history_directory))
    pathlib.Path(state.history_directory, newest).write_text("{")
    assert len(state.history()) == HISTORY - 1, "what is damaged is not offered"
