# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's table, of sockets made here. Against `ss`, and with thousands of them: tests/integration/test_sockets_ss.py."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import socket
import struct
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils import _sockets
from ansible_collections.alfred.portmap.plugins.module_utils._sock_diag import SocketsError
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener, ephemeral_ports, holders, listener_data, listeners

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@contextlib.contextmanager
def bound(transport: str, address: str, v6only: bool | None = None) -> t.Iterator[socket.socket]:
    """A socket that waits for traffic."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, KINDS[transport]) as made:
        if v6only is not None:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        made.bind((address, 0))
        if transport == "tcp":
            made.listen()
        yield made


def seen(made: socket.socket, transport: str) -> Listener:
    """How the table shows a socket of ours."""
    inode = os.fstat(made.fileno()).st_ino
    (found,) = [one for one in listeners() if one.inode == inode]
    assert (found.transport, found.port) == (transport, made.getsockname()[1])
    return found


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("address", "v6only", "serves"),
    [
        ("127.0.0.1", None, (4,)),
        ("0.0.0.0", None, (4,)),
        ("127.0.0.77", None, (4,)),
        ("::1", None, (6,)),
        ("::", False, (4, 6)),
        ("::", True, (6,)),
    ],
)
def test_a_socket_is_shown_as_it_is(transport: str, address: str, v6only: bool | None, serves: tuple[int, ...]) -> None:
    with bound(transport, address, v6only) as made:
        found = seen(made, transport)
    assert (found.address, found.serves, found.uid) == (address, serves, os.getuid())
    assert found.owner is not None and found.owner.pid == os.getpid()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_ipv4_by_way_of_an_ipv6_socket_is_ipv4(transport: str, address: str) -> None:
    """As Java makes them: asked for 127.0.0.1, it binds ::ffff:127.0.0.1."""
    with bound(transport, f"::ffff:{address}", False) as made:
        found = seen(made, transport)
    assert (found.address, found.serves) == (address, (4,))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_the_interface_that_a_socket_is_bound_to(transport: str) -> None:
    with bound(transport, "127.0.0.1") as made:
        assert seen(made, transport).interface == ""
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")  # since Linux 5.7 without root too
        assert seen(made, transport).interface == "lo"


def test_a_port_that_is_only_taken_does_not_listen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        inode = os.fstat(taken.fileno()).st_ino
        assert inode not in {one.inode for one in listeners()}


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_clients_do_not_listen(transport: str) -> None:
    with bound(transport, "127.0.0.1") as server, socket.socket(socket.AF_INET, KINDS[transport]) as client:
        client.connect(server.getsockname())
        inode = os.fstat(client.fileno()).st_ino
        assert inode not in {one.inode for one in listeners()}


def test_a_port_that_several_share_is_shown_once_for_each() -> None:
    with contextlib.ExitStack() as stack:
        made = []
        for _worker in range(3):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(("127.0.0.1", made[0].getsockname()[1] if made else 0))
            one.listen()
            made.append(one)
        inodes = {os.fstat(one.fileno()).st_ino for one in made}
        assert len([one for one in listeners() if one.inode in inodes]) == 3


def test_without_owners_no_process_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sockets, "holders", lambda: pytest.fail("looked at processes"))
    with bound("tcp", "127.0.0.1") as made:
        inode = os.fstat(made.fileno()).st_ino
        (found,) = [one for one in listeners(owners=False) if one.inode == inode]
    assert found.owner is None
    assert listener_data(found)["process"] is None


# An unreadable table is never an empty one.


class FakeNetlink:
    """A netlink socket whose answers are given."""

    def __init__(self, answers: list[tuple[bytes, int]], refusal: OSError | None = None) -> None:
        self.answers = answers
        self.refusal = refusal

    def __enter__(self) -> FakeNetlink:
        if self.refusal is not None:
            raise self.refusal
        return self

    def __exit__(self, *_failure: object) -> None:
        pass

    def settimeout(self, _seconds: float) -> None:
        pass

    def sendall(self, _request: bytes) -> None:
        pass

    def recvmsg(self, _size: int) -> tuple[bytes, list[t.Any], int, None]:
        if not self.answers:
            raise TimeoutError("timed out")
        data, flags = self.answers.pop(0)
        return data, [], flags, None


def message(kind: int, payload: bytes = b"", flags: int = 0, length: int | None = None) -> bytes:
    """A netlink message, padded."""
    size = 16 + len(payload)
    return struct.pack("=IHHII", size if length is None else length, kind, flags, 1, 0) + payload + bytes(-size % 4)


def entry(port: int, address: str = "127.0.0.1", attributes: bytes = b"") -> bytes:
    """inet_diag_msg of one socket."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    source = socket.inet_pton(family, address).ljust(16, b"\0")
    return message(20, bytes([family, 10, 0, 0]) + struct.pack("!HH", port, 0) + source + bytes(28) + struct.pack("=IIIII", 0, 0, 0, 0, 7) + attributes)


DONE = message(3, struct.pack("=i", 0))


def dumped(patch: pytest.MonkeyPatch, *answers: bytes | tuple[bytes, int], refusal: OSError | None = None, family: int = socket.AF_INET) -> list[Listener]:
    """What a dump makes of these answers; each try gets the same ones."""
    listed = [answer if isinstance(answer, tuple) else (answer, 0) for answer in answers]
    patch.setattr(_sockets.socket, "socket", lambda *_arguments: FakeNetlink(list(listed), refusal))
    return _sockets._dump("tcp", family)


def ports_dumped(patch: pytest.MonkeyPatch, *tries: list[list[int]]) -> tuple[list[int], int]:
    """(ports that a dump finds, how often it asked): each try gets these ports, message by message, the last one for ever."""
    asked: list[FakeNetlink] = []

    def answer(*_arguments: t.Any) -> FakeNetlink:
        messages = tries[min(len(asked), len(tries) - 1)]
        asked.append(FakeNetlink([(b"".join(entry(port) for port in ports), 0) for ports in messages] + [(DONE, 0)]))
        return asked[-1]

    patch.setattr(_sockets.socket, "socket", answer)
    found = _sockets._dump("tcp", socket.AF_INET)
    return sorted(one.port for one in found), len(asked)


def test_a_dump_comes_in_many_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dumped(monkeypatch, entry(1) + entry(2), entry(3, "::1", struct.pack("=HHB3x", 5, 11, 1)) + DONE)
    assert [(one.port, one.address, one.v6only) for one in found] == [(1, "127.0.0.1", False), (2, "127.0.0.1", False), (3, "::1", True)]


@pytest.mark.parametrize(
    ("tries", "ports", "asked"),
    [
        ([[]], [], 1),
        ([[[1, 2, 3]]], [1, 2, 3], 1),  # in one message nothing can be skipped
        ([[[1, 2], [3]]], [1, 2, 3], 2),
        ([[[1, 2], [4]], [[1, 2], [3, 4]]], [1, 2, 3, 4], 3),  # 3 was skipped: a socket before it was closed between two messages
        ([[[1], [9]], [[1, 2]]], [1, 2], 2),  # all of it in one message: 9 is gone
        ([[[1, 2], [5]], [[1, 2], [6]], [[1, 2], [7]], [[2, 3], [8]], [[1, 2], [9]]], [1, 2, 3, 5, 6, 7, 8, 9], 5),  # never the same twice: all that was seen
    ],
)
def test_a_table_that_changes_while_it_is_read_hides_nothing(
    monkeypatch: pytest.MonkeyPatch, tries: list[list[list[int]]], ports: list[int], asked: int
) -> None:
    """The kernel goes on by counting, and says nothing if the count is off."""
    assert ports_dumped(monkeypatch, *tries) == (ports, asked)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([message(2, struct.pack("=i", -errno.EPERM))], "refuses its table of tcp sockets: Operation not permitted"),
        ([message(2, struct.pack("=i", -errno.ENOENT))], "refuses its table"),  # a kernel without inet_diag
        ([entry(1), message(3, struct.pack("=i", -errno.ENOBUFS))], "No buffer space"),  # said at the end of a dump
        ([entry(1)], "timed out"),  # the end never comes
        ([(entry(1) + DONE, socket.MSG_TRUNC)], "cut off"),
        ([message(20, bytes(72), length=8)], "malformed"),
        ([message(20, bytes(72), length=4096)], "malformed"),
        ([message(20, bytes(71)) + DONE], "malformed"),  # shorter than an entry
        ([message(20) + DONE], "malformed"),
        ([entry(1) + bytes(8)], "malformed"),  # half a header
        ([entry(1, attributes=struct.pack("=HH", 2, 11)) + DONE], "attribute is malformed"),
        ([entry(1, "::1", struct.pack("=HHB3x", 64, 11, 1)) + DONE], "attribute is malformed"),  # longer than its message
        ([entry(1, "::1", struct.pack("=HH", 4, 11)) + DONE], "malformed"),  # v6only without a value: a guess would be half wrong
        ([message(4)], "changed 5 times"),  # an overrun
        ([message(3, struct.pack("=i", 0), flags=0x10)], "changed 5 times"),  # NLM_F_DUMP_INTR
    ],
)
def test_what_cannot_be_read_raises(monkeypatch: pytest.MonkeyPatch, answers: list[t.Any], why: str) -> None:
    with pytest.raises(SocketsError, match=why):
        dumped(monkeypatch, *answers)


def test_no_netlink_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SocketsError, match="can't be read"):
        dumped(monkeypatch, refusal=OSError(errno.EPROTONOSUPPORT, "Protocol not supported"))


def test_a_kernel_without_ipv6_has_no_such_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
    assert dumped(monkeypatch, refusal=refusal, family=socket.AF_INET6) == []
    with pytest.raises(SocketsError):
        dumped(monkeypatch, refusal=refusal)


# Whose a socket is, from a /proc made here.


def process(proc: pathlib.Path, pid: int, comm: str, cgroup: str, inodes: t.Sequence[int]) -> None:
    """One process of a made-up /proc."""
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "comm").write_text(comm + "\n")
    (proc / str(pid) / "cgroup").write_text(cgroup)
    for number, inode in enumerate(inodes):
        (proc / str(pid) / "fd" / str(number)).symlink_to(f"socket:[{inode}]")
    (proc / str(pid) / "fd" / "99").symlink_to("/dev/null")


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/nginx.service\n", "nginx.service"),
        ("0::/system.slice/system-lab.slice/lab@core.service\n", "lab@core.service"),
        ("0::/system.slice/docker-0123.scope/init\n", "docker-0123.scope"),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/dev.service\n", "dev.service"),
        ("12:cpu:/\n1:name=systemd:/system.slice/redis.service\n", "redis.service"),
        ("5:cpu:/system.slice/other.service\n0::/\n", ""),  # not systemd's hierarchy
        ("0::/\n", ""),
        ("", ""),
    ],
)
def test_the_unit_is_read_from_the_cgroup(tmp_path: pathlib.Path, cgroup: str, unit: str) -> None:
    process(tmp_path, 10, "server", cgroup, [7])
    (owner,) = holders(str(tmp_path))[7]
    assert (owner.pid, owner.process, owner.unit) == (10, "server", unit)


def test_workers_inherit_and_the_first_process_counts(tmp_path: pathlib.Path) -> None:
    for pid in (9, 10, 100):
        process(tmp_path, pid, f"worker {pid}", "0::/\n", [7, pid])
    (tmp_path / "irq").mkdir()
    (tmp_path / "11").mkdir()  # gone while we look: no files
    found = holders(str(tmp_path))
    assert {inode: held[0].pid for inode, held in found.items()} == {7: 9, 9: 9, 10: 10, 100: 100}


def test_processes_that_cannot_be_listed_raise(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SocketsError, match="processes can't be listed"):
        holders(str(tmp_path / "nothing"))


def test_a_process_cannot_write_on_our_terminal(tmp_path: pathlib.Path) -> None:
    """Whoever may start a process chooses its name: line feeds and escapes would forge what operators read."""
    process(tmp_path, 10, "a\n\x1b[2Jb\u202e", "0::/\n", [7])
    assert holders(str(tmp_path))[7][0].process == "a??[2Jb?"


@pytest.mark.parametrize("text", ["", "1", "low high", "1 2 3"])
def test_a_damaged_range_of_ephemeral_ports_raises(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "range").write_text(text)
    with pytest.raises(SocketsError, match="can't be read"):
        ephemeral_ports(str(tmp_path / "range"))


def test_the_ephemeral_ports_are_where_clients_come_from() -> None:
    with bound("udp", "127.0.0.1") as made:
        assert made.getsockname()[1] in ephemeral_ports()
    with pytest.raises(SocketsError):
        ephemeral_ports("/nonexistent")


def test_init_comes_last_and_who_is_called_otherwise_is_told_too(tmp_path: pathlib.Path) -> None:
    """systemd keeps a socket unit's socket open beside the service that it gave it to."""
    process(tmp_path, 1, "systemd", "0::/init.scope\n", [7, 8])
    process(tmp_path, 30, "sshd", "0::/system.slice/ssh.service\n", [7])
    process(tmp_path, 31, "sshd", "0::/system.slice/ssh.service\n", [7])
    found = holders(str(tmp_path))
    assert [(one.pid, one.unit) for one in found[7]] == [(30, "ssh.service"), (1, "init.scope")]
    assert [one.process for one in found[8]] == ["systemd"]


@pytest.mark.parametrize(
    ("init", "cgroup", "container"),
    [
        ("/init.scope", f"/system.slice/docker-{'a' * 64}.scope", "a" * 64),
        ("/init.scope", f"/docker/{'a' * 64}", "a" * 64),
        ("/init.scope", f"/docker/{'a' * 64}/docker/{'b' * 64}/x.service", "b" * 64),  # an engine in a container
        ("/init.scope", f"/machine.slice/libpod-{'a' * 64}.scope/container", "a" * 64),
        ("/init.scope", "/system.slice/docker.service", ""),
        ("/init.scope", f"/system.slice/docker-{'a' * 63}.scope", ""),
        (f"/docker/{'a' * 64}/init.scope", f"/docker/{'a' * 64}/system.slice/nginx.service", ""),  # we are in that container ourselves
        (f"/docker/{'a' * 64}/init.scope", f"/docker/{'a' * 64}/docker/{'b' * 64}", "b" * 64),
    ],
)
def test_the_container_is_read_from_the_cgroup(tmp_path: pathlib.Path, init: str, cgroup: str, container: str) -> None:
    process(tmp_path, 1, "init", f"0::{init}\n", [])
    process(tmp_path, 10, "server", f"0::{cgroup}\n", [7])
    assert holders(str(tmp_path))[7][0].container == container


def test_what_only_the_host_itself_reaches() -> None:
    def one(address: str, interface: str = "") -> Listener:
        return Listener("tcp", address, 1, 6 if ":" in address else 4, False, interface, 0, 1)

    assert [one(address).is_local for address in ("127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "192.0.2.1")] == [True, True, True, False, False, False]
    assert one("0.0.0.0", "lo").is_local and one("::", "lo").is_local and not one("0.0.0.0", "eth0").is_local
    assert [one("0.0.0.0", "lo").where, one("::").where] == ["0.0.0.0%lo", "::"]
