# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at who listens on this host: sockets, the processes that hold them, and the containers behind.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.alfred.portmap.plugins.module_utils._commands import Commands
from ansible_collections.alfred.portmap.plugins.module_utils._containers import with_containers
from ansible_collections.alfred.portmap.plugins.module_utils._owners import holders
from ansible_collections.alfred.portmap.plugins.module_utils._socket_units import Place, is_kept, owners, place, socket_units
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener, listeners, with_owners
from ansible_collections.alfred.portmap.plugins.module_utils._unix_sockets import UnixListener, unix_listeners
from ansible_collections.alfred.portmap.plugins.module_utils._unix_sockets import with_owners as with_unix_owners

AnyListener = t.TypeVar("AnyListener", Listener, UnixListener)


@dataclass(frozen=True)
class Seen:
    """Who listens."""

    listeners: tuple[Listener, ...]
    unix: tuple[UnixListener, ...] = ()
    unknown: str = ""  # why it is not known what Docker publishes; "" if it is


def look(commands: Commands, processes: bool = True, unix: bool = False, published: bool = False) -> Seen:
    """Read the tables first, then who holds what: a socket is there before it is in a table. Raises SocketsError.

    published: some container has to publish a port, see with_containers().
    """
    found, local = listeners(owners=False), unix_listeners() if unix else []
    if not processes:
        return Seen(tuple(found), tuple(local))
    held = holders()
    found, local = _with_units(with_owners(found, held), with_unix_owners(local, held), commands)
    told = with_containers(found, commands, published)
    return Seen(told.listeners, tuple(local), told.unknown)


def _with_units(found: list[Listener], local: list[UnixListener], commands: Commands) -> tuple[list[Listener], list[UnixListener]]:
    """Name the units of sockets that systemd keeps; it is asked only where it keeps one on a port."""
    if not any(is_kept(one.owner) for one in found):
        return found, local
    units = socket_units(commands)

    def named(one: AnyListener, where: Place) -> AnyListener:
        if one.owner is None or not is_kept(one.owner):
            return one
        first, *more = owners(one.owner, units.get(where, ()))
        return replace(one, owner=first, others=tuple(more))

    return [named(one, place(one.transport, one.address, one.port)) for one in found], [named(one, ("unix", one.path)) for one in local]
