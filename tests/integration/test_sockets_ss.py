# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our reading of the kernel's table against that of `ss`: the whole table of a network namespace with thousands of sockets.

This file is its own guest: run as a program in the namespace it makes the sockets and prints what both say.
"""

from __future__ import annotations

import collections
import json
import os
import re
import resource
import socket
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._sockets import listeners

EACH = 200  # sockets of each kind: several of the kernel's messages
ADDRESSES = ("203.0.113.1/32", "2001:db8::1/128", "fe80::1/64")  # on lo, besides its own
Row = tuple[str, str, str, tuple[int, ...], int, int, int]  # transport, address, interface, serves, port, inode, process

# (address, v6only, interface)
PLACES: tuple[tuple[str, bool, str], ...] = (
    ("0.0.0.0", False, ""),
    ("0.0.0.0", False, "lo"),
    ("127.0.0.1", False, ""),
    ("127.0.0.77", False, ""),
    ("203.0.113.1", False, ""),
    ("::", False, ""),
    ("::", True, ""),
    ("::1", False, ""),
    ("2001:db8::1", True, ""),
    ("fe80::1", False, "lo"),
    ("::ffff:0.0.0.0", False, ""),
    ("::ffff:203.0.113.1", False, ""),
)


# the guest


def waiting(kind: socket.SocketKind, address: str, v6only: bool, interface: str) -> socket.socket:
    """A socket that waits for traffic."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    if ":" in address:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    if interface:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    made.bind((address, 0, 0, socket.if_nametoindex(interface)) if interface and ":" in address else (address, 0))
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


def guest() -> None:
    """Make the sockets, print both readings of the table."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard) if hard != resource.RLIM_INFINITY else (65536, hard))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in ADDRESSES:
        subprocess.run(["ip", "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else [])], check=True)
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    made = [waiting(kind, *place) for kind in kinds for place in PLACES for _time in range(EACH)]
    for kind in kinds:  # what is no listener: both ends of a session, a port that is only taken
        server = waiting(kind, "127.0.0.1", False, "")
        client = socket.socket(socket.AF_INET, kind)
        client.connect(server.getsockname())
        made += [server, client, *([server.accept()[0]] if kind == socket.SOCK_STREAM else [])]
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    read = subprocess.run(["ss", "-H", "-l", "-n", "-t", "-u", "-e", "-p"], check=True, capture_output=True, text=True).stdout
    ours = [(one.transport, one.address, one.interface, one.serves, one.port, one.inode, one.owner and one.owner.pid) for one in listeners()]
    print(json.dumps({"pid": os.getpid(), "ours": ours, "ss": read}))


# the test


def row(line: str) -> Row:
    """A line of `ss` in our words. It writes * for an IPv6 socket that takes IPv4 too, [::] for one that does not."""
    transport, _state, _received, _sent, local, *rest = line.split()
    place, _colon, port = local.rpartition(":")
    place, _percent, interface = place.partition("%")
    address = "::" if place == "*" else place.strip("[]").removeprefix("::ffff:")
    serves = (4, 6) if place == "*" else (6,) if ":" in address else (4,)
    inode, pid = (re.search(word + r"(\d+)", " ".join(rest)) for word in ("ino:", "pid="))
    assert inode and pid, line
    return transport, address, interface, serves, int(port), int(inode[1]), int(pid[1])


@pytest.fixture(scope="module")
def read() -> dict[str, t.Any]:
    """What the guest prints."""
    argv = ["unshare", "--net", *(["--map-root-user"] if os.geteuid() else []), sys.executable, __file__]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LC_ALL": "C"})
    assert done.returncode == 0, done.stderr
    found: dict[str, t.Any] = json.loads(done.stdout)
    return found


def test_the_whole_table_is_as_ss_reads_it(read: dict[str, t.Any]) -> None:
    ours = [(transport, address, interface, tuple(serves), port, inode, pid) for transport, address, interface, serves, port, inode, pid in read["ours"]]
    by_ss = [row(line) for line in read["ss"].splitlines()]
    assert len(by_ss) == 2 * len(PLACES) * EACH + 2, "all that was made, and no client"
    assert set(ours) == set(by_ss)
    assert len(ours) == len(by_ss), "nothing twice"


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_every_kind_of_place_is_told_apart(read: dict[str, t.Any], transport: str) -> None:
    """Against what was made, not against what `ss` makes of it."""
    found = collections.Counter(
        (address, interface, tuple(serves)) for kind, address, interface, serves, _port, _inode, _pid in read["ours"] if kind == transport
    )
    expected: collections.Counter[tuple[str, str, tuple[int, ...]]] = collections.Counter({("127.0.0.1", "", (4,)): 1})
    for address, v6only, interface in PLACES:
        plain = address.removeprefix("::ffff:")
        expected[plain, interface, (4,) if ":" not in plain else (6,) if v6only or plain != "::" else (4, 6)] += EACH
    assert found == expected
    assert {pid for *_rest, pid in read["ours"]} == {read["pid"]}


if __name__ == "__main__":
    guest()
