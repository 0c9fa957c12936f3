# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at who listens on this host: sockets, the processes that hold them, and the containers behind.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._commands import Commands
from ansible_collections.alfred.portmap.plugins.module_utils._containers import with_containers
from ansible_collections.alfred.portmap.plugins.module_utils._owners import holders
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener, listeners, with_owners
from ansible_collections.alfred.portmap.plugins.module_utils._unix_sockets import UnixListener, unix_listeners
from ansible_collections.alfred.portmap.plugins.module_utils._unix_sockets import with_owners as with_unix_owners


@dataclass(frozen=True)
class Seen:
    """Who listens."""

    listeners: tuple[Listener, ...]
    unix: tuple[UnixListener, ...] = ()
    unknown: str = ""  # why it is not known what Docker publishes; "" if it is


def look(commands: Commands, owners: bool = True, unix: bool = False, published: bool = False) -> Seen:
    """Read the tables first, then who holds what: a socket is there before it is in a table. Raises SocketsError.

    published: some container has to publish a port, see with_containers().
    """
    found, local = listeners(owners=False), unix_listeners() if unix else []
    if not owners:
        return Seen(tuple(found), tuple(local))
    held = holders()
    told = with_containers(with_owners(found, held), commands, published)
    return Seen(told.listeners, tuple(with_unix_owners(local, held)), told.unknown)
