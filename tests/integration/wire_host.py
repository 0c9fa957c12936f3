# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A namespace with the addresses of a proxy and of its clients, seen from this process: it makes sockets that live in there."""

from __future__ import annotations

import concurrent.futures
import ctypes
import os
import socket
import subprocess
import typing as t

EDGE = "203.0.113.11"
EDGE6 = "2001:db8:1::11"
CLIENTS = [f"198.51.100.{number}" for number in range(1, 100)]
CLIENTS6 = ["2001:db8:a::1", "2001:db8:a::2", "2001:db8:b::1"]

CLONE_NEWNET = 0x40000000


class Inside:
    """A namespace that exists, seen from this process."""

    def __init__(self, name: str) -> None:
        self.name = name
        # A thread that stays in there: what it makes belongs to the namespace, whoever uses it later.
        self._thread = concurrent.futures.ThreadPoolExecutor(1, f"in-{name}", self._enter)
        lines = [f"address add {address}/32 dev lo" for address in (EDGE, *CLIENTS)]
        lines += [f"address add {address}/128 dev lo nodad" for address in (EDGE6, *CLIENTS6)]
        subprocess.run(["ip", "-n", name, "-batch", "-"], input="\n".join(lines), text=True, check=True)

    def _enter(self) -> None:
        descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Let go of the namespace."""
        self._thread.shutdown()

    def socket(self, address: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket of the namespace, of the address's family."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return self._thread.submit(socket.socket, family, kind).result()

    def connect(self, address: str, port: int, source: t.Optional[str] = None, timeout: float = 10) -> socket.socket:
        """A TCP connection within the namespace."""
        made = self.socket(address)
        try:
            made.settimeout(timeout)
            if source:
                made.bind((source, 0))
            made.connect((address, port))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            made.close()
            raise
        return made

    def run(self, *argv: str, check: bool = False, **options: t.Any) -> subprocess.CompletedProcess[str]:
        """Run a program within the namespace."""
        return subprocess.run(["ip", "netns", "exec", self.name, *argv], check=check, **{"capture_output": True, "text": True, **options})
