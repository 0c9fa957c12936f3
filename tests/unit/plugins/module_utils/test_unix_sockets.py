# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unix sockets that listen, real ones."""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import socket
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._owners import Owner, holders
from ansible_collections.alfred.portmap.plugins.module_utils._unix_listeners import ExpectedUnix, compare_unix
from ansible_collections.alfred.portmap.plugins.module_utils._unix_sockets import UnixListener, unix_data, unix_listeners, with_owners


@contextlib.contextmanager
def listening(name: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> t.Iterator[socket.socket]:
    """A socket that listens at a path or an abstract name."""
    with socket.socket(socket.AF_UNIX, kind) as made:
        made.bind(name)
        made.listen()
        yield made


def seen(made: socket.socket) -> UnixListener:
    """How the table shows a socket of ours."""
    inode = os.fstat(made.fileno()).st_ino
    (found,) = [one for one in unix_listeners() if one.inode == inode]
    return found


def texts(*expected: ExpectedUnix) -> list[str]:
    """What is found among the real ones."""
    return [finding["text"] for finding in compare_unix(expected, with_owners(unix_listeners(), holders()))]


@pytest.mark.parametrize(("kind", "type_"), [(socket.SOCK_STREAM, "stream"), (socket.SOCK_SEQPACKET, "seqpacket")])
def test_a_path(tmp_path: pathlib.Path, kind: socket.SocketKind, type_: str) -> None:
    path = str(tmp_path / "a socket")
    with listening(path, kind) as made:
        one = seen(made)
        told = unix_data(with_owners([one], holders())[0])
    assert (one.path, one.abstract, one.type) == (path, False, type_)
    assert (told["path"], told["uid"], told["pid"]) == (path, os.getuid(), os.getpid())
    assert told["reached"] is True


def test_an_abstract_name() -> None:
    name = f"portmap-{secrets.token_hex(4)}"
    with listening(f"\0{name}\0x") as made:
        one = seen(made)
        assert (one.path, one.abstract, one.is_reached) == (f"@{name}@x", True, True)
        assert texts(ExpectedUnix(f"@{name}@x")) == []
        assert texts(ExpectedUnix(f"/{name}@x")) == [f"nothing listens on /{name}@x"]


def test_what_does_not_listen_is_not_told(tmp_path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        bound.bind(str(tmp_path / "bound"))
        datagrams.bind(str(tmp_path / "datagrams"))
        assert [one.path for one in unix_listeners() if one.path.startswith(str(tmp_path))] == []


def test_a_file_that_was_removed_or_replaced_leads_nowhere(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "socket")
    with listening(path) as made:
        assert seen(made).is_reached
        os.unlink(path)
        assert not seen(made).is_reached
        gone = f"the socket that listened on {path} is not what that path leads to any more"
        assert texts(ExpectedUnix(path)) == [gone]
        with socket.socket(socket.AF_UNIX) as another:  # bound, and does not listen
            another.bind(path)
            assert texts(ExpectedUnix(path)) == [gone]
            another.listen()
            assert not seen(made).is_reached and seen(another).is_reached
            assert texts(ExpectedUnix(path)) == []


def test_a_socket_that_was_renamed_is_found_by_its_file(tmp_path: pathlib.Path) -> None:
    """So do those who want no client before they are ready; the kernel keeps the first name."""
    with listening(str(tmp_path / "new")) as made:
        os.rename(tmp_path / "new", tmp_path / "ready")
        assert seen(made).path == str(tmp_path / "new")
        assert texts(ExpectedUnix(str(tmp_path / "ready"))) == []


def test_who_holds_it(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "socket")
    me = pathlib.Path("/proc/self/comm").read_text(encoding="utf-8").rstrip("\n")
    with listening(path):
        assert texts(ExpectedUnix(path, ("nobody", me))) == []
        (text,) = texts(ExpectedUnix(path, ("nobody", "redis*")))
        assert text.startswith(f"{path} must be held by nobody or redis*; it is {me} (pid {os.getpid()}")


def test_an_owner_who_is_not_seen_is_nobody() -> None:
    one = UnixListener("@x", True, "stream", 0, 1, None)
    assert [finding["text"] for finding in compare_unix([ExpectedUnix("@x", ("*",))], [one])] == ["@x must be held by *; no process is seen to hold it"]
    (finding,) = compare_unix([ExpectedUnix("@x", ("a",))], with_owners([one], {1: (Owner(5, "b", "c.service"),)}))
    assert finding == {
        "kind": "wrong owner",
        "name": "@x",
        "transport": "unix",
        "port": "",
        "expected": "a",
        "actual": ["@x"],
        "owner": "b (pid 5, c.service)",
        "why": "",
        "text": "@x must be held by a; it is b (pid 5, c.service)",
    }
