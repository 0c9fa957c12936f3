# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SSH session that this process was started by: who came in, and over which TCP connection.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

sshd tells it as SSH_CONNECTION (ssh(1): client's address and port, server's address and port). sudo and su take that out
of the environment, so that it is looked for in the processes above, too: root may read their environments (proc(5)).
"""

from __future__ import annotations

import ipaddress
import os
import typing as t

VARIABLE = "SSH_CONNECTION"
DEEPEST = 64  # processes above this one


class SameConnectionError(Exception):
    """A confirmation came over the connection that the change came by, which proves nothing."""


class Session(t.NamedTuple):
    """One TCP connection, as its server sees it."""

    client: str
    client_port: int
    server: str
    server_port: int

    def __str__(self) -> str:
        return f"{self.client} port {self.client_port} to {self.server} port {self.server_port}"


def incoming_session(proc: str = "/proc") -> t.Optional[Session]:
    """The session that brought us here, or None: a local or container connection, or nobody's (cron)."""
    here = parse_session(os.environ.get(VARIABLE, ""))
    pid = os.getpid()
    for _depth in range(DEEPEST):
        if here is not None or pid <= 1:
            return here
        try:
            pid = _parent(os.path.join(proc, str(pid)))
            here = parse_session(_environment(os.path.join(proc, str(pid))).get(VARIABLE, ""))
        except (OSError, ValueError):  # it ended meanwhile, or we are not root
            return None
    return None


def incoming_user(proc: str = "/proc") -> t.Optional[str]:
    """The user that the session logged in as, whoever it became since; None if there is no session.

    Asked of the process furthest up that knows of the session: it is the one that sshd started. What sudo keeps of the environment is another's.
    """
    found = _user(dict(os.environ))
    pid = os.getpid()
    for _depth in range(DEEPEST):
        if pid <= 1:
            break
        try:
            pid = _parent(os.path.join(proc, str(pid)))
            found = _user(_environment(os.path.join(proc, str(pid)))) or found
        except (OSError, ValueError):
            break
    return found


def _user(environment: t.Mapping[str, str]) -> t.Optional[str]:
    if parse_session(environment.get(VARIABLE, "")) is None:
        return None
    return environment.get("LOGNAME") or environment.get("USER")


def parse_session(text: str) -> t.Optional[Session]:
    """A session out of SSH_CONNECTION; None for anything else."""
    words = text.split()
    try:
        client, client_port, server, server_port = words
        return Session(_address(client), int(client_port), _address(server), int(server_port))
    except ValueError:
        return None


def _address(text: str) -> str:
    """An address without its zone; one of IPv4 as such, even if IPv6 brought it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _parent(directory: str) -> int:
    with open(os.path.join(directory, "stat"), encoding="utf-8", errors="replace") as file:
        # The program's name is in brackets and may hold anything, brackets too (proc(5)).
        return int(file.read().rpartition(")")[2].split()[1])


def _environment(directory: str) -> dict[str, str]:
    with open(os.path.join(directory, "environ"), encoding="utf-8", errors="replace") as file:
        return dict(entry.partition("=")[::2] for entry in file.read().split("\0") if entry)
