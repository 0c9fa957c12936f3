# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a change: tried, written, taken up, proven, undone. The proxy is a stand-in that notes the steps; files are real."""

from __future__ import annotations

import os
import pathlib
import socket
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_change import (
    HUNG,
    NOTHING,
    RELOAD,
    RESTART,
    RUNNING,
    STOPPED,
    ChangeError,
    Commands,
    Door,
    File,
    Outcome,
    carry_out,
    foreign_holders,
    until,
)
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener, Owner

FREED = ["systemctl stop --no-block other"]


class Steps:
    """A proxy that does as it is told, and notes what it was asked."""

    name = "Proxy"
    timeout = 1.0

    def __init__(self, found: str = RUNNING, due: str = NOTHING, fails: t.Sequence[str] = ()) -> None:
        self.found, self.needs, self.fails = found, due, list(fails)
        self.steps: list[str] = []

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if name in self.fails:
            self.fails.remove(name)
            raise ChangeError(f"{name} failed")

    def look(self) -> str:
        self._step("look")
        return self.found

    def try_candidate(self, files: t.Sequence[File]) -> list[str]:
        self._step("try")
        return ["tried"]

    def due(self, files: t.Sequence[File]) -> str:
        return self.needs

    def prove(self, files: t.Sequence[File]) -> list[str]:
        self._step("prove")
        return ["proven"]

    def prove_undone(self) -> list[str]:
        self._step("prove undone")
        return ["as before"]

    def command(self, argv: list[str]) -> tuple[int, str, str]:
        """What AnsibleModule.run_command is elsewhere."""
        if argv[0] == "journalctl":
            return 0, "its words\n-- No entries --\n", ""
        self.steps.append(" ".join(argv))
        if " ".join(argv) in self.fails:
            self.fails.remove(" ".join(argv))
            return 1, "", "no\n"
        return 0, "", ""


def commands(proxy: Steps, displaces: t.Optional[str] = None, name: str = "run") -> Commands:
    return Commands(proxy.command, [name, "restart"], [name, "reload"], [name, "stop"], displaces)


def own(path: pathlib.Path, text: t.Optional[str], mode: int = 0o640) -> File:
    return File(str(path), text, mode, uid=os.getuid(), gid=os.getgid())


def carry(proxy: Steps, files: t.Sequence[File], check: bool = False, **more: t.Any) -> Outcome:
    return carry_out(proxy, commands(proxy, **more), files, check)


def failing(proxy: Steps, files: t.Sequence[File], **more: t.Any) -> str:
    with pytest.raises(ChangeError) as raised:
        carry(proxy, files, **more)
    return str(raised.value)


# files


def test_a_file_is_placed_with_mode_and_owner_or_removed(tmp_path: pathlib.Path) -> None:
    file = own(tmp_path / "a", "text", 0o600)
    assert file.present().text is None
    file.place()
    assert file.present() == file and (tmp_path / "a").stat().st_mode & 0o7777 == 0o600
    (tmp_path / "a").chmod(0o644)
    assert file.present() != file
    own(tmp_path / "a", None).place()
    assert list(tmp_path.iterdir()) == []
    own(tmp_path / "a", None).place()


def test_bytes_that_are_no_text_are_put_back_as_they_were(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\xff\r\n\x00")
    path.chmod(0o640)
    before = own(path, "x").present()
    own(path, "x").place()
    before.place()
    assert path.read_bytes() == b"\xff\r\n\x00"


def test_nobody_elses_file_is_written_through_a_link(tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other"
    other.write_text("somebody else's")
    for name in ("a", ".a.tmp"):
        (tmp_path / name).symlink_to(other)
    own(tmp_path / "a", "ours").place()
    assert other.read_text() == "somebody else's" and not (tmp_path / "a").is_symlink()


def test_nothing_is_left_of_a_file_that_can_not_be_placed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"):
        own(tmp_path / "a", "text").place()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


# the way


def test_all_goes_well(tmp_path: pathlib.Path) -> None:
    proxy = Steps(due=RELOAD)
    outcome = carry(proxy, [own(tmp_path / "a", "new")])
    assert outcome == Outcome(True, False, True, ["tried", "proven"])
    assert proxy.steps == ["look", "try", "run reload", "prove"]


def test_nothing_to_do_is_proven_all_the_same(tmp_path: pathlib.Path) -> None:
    own(tmp_path / "a", "old").place()
    proxy = Steps()
    assert carry(proxy, [own(tmp_path / "a", "old")]) == Outcome(False, False, False, ["proven"])
    assert proxy.steps == ["look", "prove"]


@pytest.mark.parametrize(("found", "words"), [(STOPPED, "Proxy was found stopped"), (HUNG, "Proxy was found hung: it holds its ports and does not answer")])
def test_what_does_not_run_is_restarted_and_told(tmp_path: pathlib.Path, found: str, words: str) -> None:
    proxy = Steps(found)
    assert carry(proxy, []) == Outcome(True, True, False, [words, "tried", "proven"])
    assert proxy.steps == ["look", "try", "run restart", "prove"]


def test_check_mode_says_the_same_and_writes_nothing(tmp_path: pathlib.Path) -> None:
    files = [own(tmp_path / "a", "new")]
    checking, doing = Steps(due=RESTART), Steps(due=RESTART)
    checked, done = carry(checking, files, check=True), carry(doing, files)
    assert (checked.changed, checked.restarted, checked.reloaded) == (done.changed, done.restarted, done.reloaded) == (True, True, False)
    assert checking.steps == ["look", "try"]


@pytest.mark.parametrize("step", ["look", "try"])
def test_a_refusal_touches_nothing(tmp_path: pathlib.Path, step: str) -> None:
    assert failing(Steps(due=RESTART, fails=[step]), [own(tmp_path / "a", "new")]) == f"{step} failed; nothing was changed"
    assert list(tmp_path.iterdir()) == []


def test_a_warm_run_that_proves_nothing_says_so(tmp_path: pathlib.Path) -> None:
    proxy = Steps(fails=["prove"])
    assert failing(proxy, []) == "prove failed; nothing was changed"
    assert proxy.steps == ["look", "prove"]


def test_what_is_not_proven_is_undone(tmp_path: pathlib.Path) -> None:
    old, new = own(tmp_path / "a", "old"), own(tmp_path / "b", "new")
    old.place()
    proxy = Steps(due=RELOAD, fails=["prove"])
    message = failing(proxy, [own(tmp_path / "a", "other"), new])
    assert message == "prove failed; all files are as before, and Proxy runs as before: as before"
    assert (old.present(), new.present().text) == (old, None)
    assert proxy.steps == ["look", "try", "run reload", "prove", "run reload", "prove undone"]


def test_a_file_that_can_not_be_written_is_undone_too(tmp_path: pathlib.Path) -> None:
    (tmp_path / "b").mkdir()
    old = own(tmp_path / "a", "old")
    old.place()
    broken = own(tmp_path / "c/d", "new")
    message = failing(Steps(), [own(tmp_path / "a", "other"), broken])
    assert "No such file or directory; all files are as before" in message and old.present() == old


def test_an_undo_that_fails_says_so(tmp_path: pathlib.Path) -> None:
    proxy = Steps(due=RESTART, fails=["prove", "prove undone"])
    assert failing(proxy, []) == "prove failed; and putting it back failed: prove undone failed"


def test_what_was_stopped_is_stopped_again(tmp_path: pathlib.Path) -> None:
    proxy = Steps(STOPPED, fails=["run restart"])
    assert failing(proxy, [own(tmp_path / "a", "new")]) == "`run restart` failed: no; all files are as before, and Proxy is stopped as it was"
    assert proxy.steps[-1] == "run stop"


def test_a_unit_that_makes_place_is_stopped_last_and_given_back(tmp_path: pathlib.Path) -> None:
    proxy = Steps(STOPPED)
    carry(proxy, [], displaces="other")
    asked = [step for step in proxy.steps if not step.startswith("systemctl show ")]
    assert asked == ["look", "try", "systemctl is-active --quiet other", *FREED, "run restart", "prove"]
    proxy = Steps(STOPPED, fails=["prove"])
    message = failing(proxy, [], displaces="other")
    assert message.endswith("Proxy is stopped as it was, and other was started again")
    assert proxy.steps[-2:] == ["run stop", "systemctl start other"]


def test_it_is_given_back_even_if_the_rest_fails() -> None:
    proxy = Steps(STOPPED, fails=["prove", "run stop"])
    message = failing(proxy, [], displaces="other")
    assert message == "prove failed; and putting it back failed: `run stop` failed: no, and other was started again"
    proxy = Steps(STOPPED, fails=["prove", "systemctl start other"])
    assert failing(proxy, [], displaces="other").endswith("other could not be started again: `systemctl start other` failed: no")


def test_one_that_does_not_run_makes_no_place() -> None:
    proxy = Steps(STOPPED, fails=["systemctl is-active --quiet other"])
    carry(proxy, [], displaces="other")
    assert not any("stop" in step for step in proxy.steps)


def test_systemd_reads_the_unit_first_and_forgives_failures() -> None:
    proxy = Steps()
    commands(proxy, name="systemctl").take_up(NOTHING)
    Commands(proxy.command, ["systemctl", "restart", "traefik"], [], []).take_up(RESTART)
    assert proxy.steps == ["systemctl daemon-reload", "systemctl reset-failed traefik", "systemctl restart traefik"]


def test_a_unit_that_fails_is_quoted() -> None:
    proxy = Steps(fails=["systemctl restart traefik"])
    with pytest.raises(ChangeError, match=r"^`systemctl restart traefik` failed: no\. Its last words: its words$"):
        Commands(proxy.command, ["systemctl", "restart", "traefik"], [], []).take_up(RESTART)


def test_waiting_ends_with_the_last_complaint() -> None:
    answers = ["not yet", None]
    until(lambda: answers.pop(0), 5)
    with pytest.raises(ChangeError, match="^never$"):
        until(lambda: "never", 0)


# ports


def nobody(one: Listener) -> bool:
    return False


def listener(address: str, port: int = 443, transport: str = "tcp", owner: t.Optional[Owner] = None, uid: int = 7) -> Listener:
    return Listener(transport, address, port, 6 if ":" in address else 4, False, "", uid, 1, owner)


@pytest.mark.parametrize(
    ("door", "address", "held"),
    [
        ("", "127.0.0.1", True),
        ("", "::", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "::", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "203.0.113.5", False),
        ("::1", "127.0.0.1", False),
    ],
)
def test_whose_addresses_are_in_each_others_way(door: str, address: str, held: bool) -> None:
    assert bool(Door("tcp", door, 443).held_by([listener(address)])) is held
    assert Door("udp", door, 443).held_by([listener(address)]) == []
    assert Door("tcp", door, 80).held_by([listener(address)]) == []


def test_who_holds_a_port_is_named() -> None:
    there = [listener("0.0.0.0", owner=Owner(12, "nginx", "nginx.service")), listener("0.0.0.0", 80, owner=Owner(13, "apache2", "")), listener("::", 53, "udp")]
    doors = [Door("tcp", "", 443), Door("tcp", "", 80), Door("udp", "", 53), Door("tcp", "127.0.0.1", 8880)]
    assert foreign_holders(doors, lambda one: False, nobody, there) == [
        "port 443/tcp is held by nginx (pid 12, nginx.service)",
        "port 80/tcp is held by apache2 (pid 13)",
        "port 53/udp is held by a process that is not seen, of user id 7",
    ]
    assert len(foreign_holders(doors, lambda one: one.port == 80, lambda one: one.port == 443, there)) == 1


def test_a_port_of_this_very_process_is_found() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        (found,) = foreign_holders([Door("tcp", "", port)], lambda one: False, nobody)
        assert f"port {port}/tcp is held by " in found
