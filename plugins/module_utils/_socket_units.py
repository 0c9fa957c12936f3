# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that systemd keeps for services that it has not started yet: the socket table shows systemd, people know the unit.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from ansible_collections.alfred.portmap.plugins.module_utils._commands import Commands
from ansible_collections.alfred.portmap.plugins.module_utils._owners import INIT, Owner

TYPES = {"Stream": "tcp", "Datagram": "udp", "SequentialPacket": "unix"}
_LINE = re.compile(r"(?P<place>\S.*?) +(?P<type>Stream|Datagram|SequentialPacket) +(?P<unit>\S+\.socket) +(?P<services>\S.*?) *")
Place = tuple[str, str]  # transport, and address:port as systemd writes it; "unix" and a path


def is_kept(owner: t.Optional[Owner]) -> bool:
    """Whether nobody but systemd holds a socket: else whom it handed it to comes first."""
    return owner is not None and owner.pid == INIT


def socket_units(commands: Commands) -> dict[Place, list[str]]:
    """Where the socket units listen: the unit, then the services that it starts. Empty where systemd does not say, which is nobody's fault."""
    program = commands.get_bin_path("systemctl")
    if not program:
        return {}
    rc, out, _err = commands.run_command([program, "list-sockets", "--all", "--full", "--plain", "--no-legend", "--show-types"])
    return read(out) if rc == 0 else {}


def read(text: str) -> dict[Place, list[str]]:
    """The table that `systemctl list-sockets` prints."""
    found: dict[Place, list[str]] = {}
    for match in filter(None, map(_LINE.fullmatch, text.splitlines())):
        place = match["place"]
        transport = "unix" if place[0] in "/@" else TYPES[match["type"]]
        found.setdefault((transport, place), []).extend([match["unit"], *match["services"].replace(",", " ").split()])
    return found


def owners(owner: Owner, units: t.Sequence[str]) -> tuple[Owner, ...]:
    """systemd as the owner in the name of each of these units."""
    return tuple(replace(owner, unit=unit) for unit in units) or (owner,)


def place(transport: str, address: str, port: int) -> Place:
    """How systemd writes where a socket listens."""
    return transport, f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
