# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our reading of the kernel's table against that of `ss`, on the same sockets."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._sockets import listeners

MANY = 1500  # of each transport: several of the kernel's messages
Row = tuple[str, str, int, int]  # transport, address, port, process


@pytest.fixture
def sockets() -> t.Iterator[list[socket.socket]]:
    """Thousands of sockets of this process, on all kinds of addresses, none of them reachable from elsewhere."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard == resource.RLIM_INFINITY else min(hard, 65536), hard))
    with contextlib.ExitStack() as stack:
        made = []
        for number in range(MANY):
            address = ("127.0.0.1", f"127.0.{number % 200}.7", "::1")[number % 3]
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                one = stack.enter_context(socket.socket(family, kind))
                one.bind((address, 0))
                if kind == socket.SOCK_STREAM:
                    one.listen()
                made.append(one)
        yield made
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def by_ss() -> set[Row]:
    """What `ss` says of this process."""
    rows = set()
    for transport, option in (("tcp", "-t"), ("udp", "-u")):
        output = subprocess.run(["ss", "-H", "-l", "-n", "-p", option], check=True, capture_output=True, text=True).stdout
        for line in output.splitlines():
            if f"pid={os.getpid()}," in line:
                address, _colon, port = line.split()[3].rpartition(":")
                rows.add((transport, address.strip("[]").split("%")[0], int(port), os.getpid()))
    return rows


def by_us() -> set[Row]:
    """What we say of it."""
    return {(one.transport, one.address, one.port, one.owner.pid) for one in listeners() if one.owner is not None and one.owner.pid == os.getpid()}


def test_thousands_of_sockets_are_seen_as_ss_sees_them(sockets: list[socket.socket]) -> None:
    ours = by_us()
    assert len(ours) >= len(sockets) == 2 * MANY
    assert ours == by_ss()
    assert {(one.getsockname()[0], one.getsockname()[1]) for one in sockets} <= {(address, port) for _transport, address, port, _pid in ours}


@pytest.mark.parametrize("v6only", [False, True])
def test_ss_agrees_on_who_serves_both_families(v6only: bool) -> None:
    with socket.socket(socket.AF_INET6) as wildcard:
        wildcard.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        wildcard.bind(("::", 0))
        wildcard.listen()
        port = wildcard.getsockname()[1]
        (ours,) = [one for one in listeners(owners=False) if one.port == port and one.transport == "tcp"]
        (line,) = subprocess.run(["ss", "-H", "-l", "-n", "-t", f"sport = :{port}"], check=True, capture_output=True, text=True).stdout.splitlines()
    # ss writes * for a socket that takes IPv4 too, [::] for one that does not
    assert line.split()[3].startswith("[::]" if v6only else "*")
    assert ours.serves == ((6,) if v6only else (4, 6))
