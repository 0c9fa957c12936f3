# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's half of a transaction, where no systemd runs: armed, confirmed, undone. The module is called as the action plugin calls it."""

from __future__ import annotations

import copy
import pathlib
import time
import typing as t

import pytest
from hosts import POLICY, Host

SECONDS = 5
CHANGED = {**copy.deepcopy(POLICY), "ping": []}


def arm(host: Host, policy: dict[str, t.Any] = CHANGED, session: str = "") -> str:
    """Make a change that waits for its confirmation; gives its token."""
    answer = run(host, session, policy=policy, confirm_timeout=SECONDS)
    assert answer["changed"] is True, answer
    assert answer["transaction"]["state"] == "armed"
    return str(answer["transaction"]["token"])


def run(host: Host, session: str = "", **options: t.Any) -> dict[str, t.Any]:
    """Run the module in an SSH session (SSH_CONNECTION)."""
    return host.module("firewall", session=session, **{"boot": False, "policy": POLICY, **options})


def listing(host: Host) -> str:
    """The table as it is."""
    return host.run("nft", "-s", "list", "table", "inet", "portmap")


def wait_until_undone(host: Host) -> None:
    """The process that undoes has done it."""
    deadline = time.monotonic() + SECONDS + 5
    while not (host.state_dir / "firewall" / "rolled_back.json").exists():
        assert time.monotonic() < deadline, "nothing was undone"
        time.sleep(0.1)


def test_confirmed_in_time_it_stays(host: Host) -> None:
    host.firewall()
    boots = host.confirmed.read_text()
    token = arm(host)
    pending = host.info()["pending"]
    assert pending["remaining"] <= SECONDS
    assert host.confirmed.read_text() == boots
    answer = run(host, policy=CHANGED, confirm_token=token)
    assert answer["transaction"] == {"state": "confirmed", "seconds": SECONDS}
    after = listing(host)
    time.sleep(SECONDS + 1)  # the process wakes up, and finds nothing to do
    assert listing(host) == after
    info = host.info()
    assert (info["in_force"], info["pending"], info["last_rollback"]) == (True, None, None)
    assert len(info["history"]) == 1
    assert host.firewall(CHANGED)["changed"] is False


def test_not_confirmed_it_is_undone(host: Host) -> None:
    host.firewall()
    before = listing(host)
    token = arm(host)
    assert listing(host) != before
    wait_until_undone(host)
    assert listing(host) == before
    info = host.info()
    assert (info["in_force"], info["pending"], info["history"]) == (True, None, [])
    assert info["last_rollback"]["result"] == "the state of before is in force again"
    assert pathlib.Path(info["rejected_file"]).read_text().startswith("# made by")
    late = run(host, policy=CHANGED, confirm_token=token)
    assert late["failed"] is True and late["decided"] is True
    assert "the change was undone at" in late["msg"]
    assert host.firewall()["changed"] is False
    assert host.firewall(state="absent")["changed"] is True
    assert host.files() == {}, "something is left"


@pytest.mark.parametrize(("name", "kept"), [("confirmed.json", True), ("confirmed.nft", False)])
def test_a_damaged_file_of_before_is_used_if_it_loads(host: Host, name: str, kept: bool) -> None:
    """Its record does not vouch for it any more, but it is what boots."""
    host.firewall()
    before = listing(host)
    (host.state_dir / "firewall" / name).write_text("damaged {")
    arm(host)
    wait_until_undone(host)
    assert (listing(host) == before) if kept else (host.run("nft", "list", "tables") == "")
    assert host.firewall()["changed"] is True
    assert host.info()["in_force"] is True


def test_a_first_one_that_is_not_confirmed_leaves_no_table(host: Host) -> None:
    arm(host)
    wait_until_undone(host)
    assert host.run("nft", "list", "tables") == ""
    assert host.info()["present"] is False


def test_the_connection_that_the_change_came_by_proves_nothing(host: Host) -> None:
    old, new = "203.0.113.10 40000 203.0.113.1 22", "203.0.113.10 40001 203.0.113.1 22"
    token = arm(host, session=old)
    answer = run(host, old, policy=CHANGED, confirm_token=token)
    assert answer["failed"] is True and "decided" not in answer
    assert "came over the connection that the change came by" in answer["msg"]
    assert run(host, new, policy=CHANGED, confirm_token=token)["transaction"]["state"] == "confirmed"


def test_another_token_confirms_nothing(host: Host) -> None:
    arm(host)
    answer = run(host, policy=CHANGED, confirm_token="0" * 32)
    assert answer["failed"] is True and answer["decided"] is True
    wait_until_undone(host)


def test_no_other_change_while_one_is_pending(host: Host) -> None:
    host.firewall()
    arm(host)
    for options in ({"policy": POLICY}, {"policy": CHANGED}, {"state": "absent"}, {"state": "previous"}):
        answer = run(host, confirm_timeout=0, **options)
        assert answer["failed"] is True
        assert "has been waiting for its confirmation" in answer["msg"]
    wait_until_undone(host)
    assert host.firewall()["changed"] is False


def test_a_policy_that_shuts_out_whoever_came_in(host: Host) -> None:
    stranger = "198.51.100.7 40000 203.0.113.1 22"
    answer = run(host, stranger, confirm_timeout=SECONDS)
    assert answer["failed"] is True
    assert "the policy would lock you out: this SSH session came from 198.51.100.7" in answer["msg"]
    assert "ssh (bastion)" in answer["msg"], "who is let in is not said"
    assert host.files() == {}
    assert run(host, "127.0.0.1 40000 127.0.0.1 22", confirm_timeout=0)["changed"] is True
    told = run(host, stranger, policy=CHANGED, confirm_timeout=0)
    assert told["changed"] is True
    assert any("would lock you out" in str(warning) for warning in told["warnings"])


@pytest.mark.parametrize("seconds", [-1, 4, 601])
def test_times_that_make_no_sense(host: Host, seconds: int) -> None:
    answer = run(host, confirm_timeout=seconds)
    assert f"confirm_timeout: {seconds} must be from 5 to 600 seconds, or 0" in answer["msg"]
