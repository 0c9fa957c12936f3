# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listeners and the containers behind them: the socket table shows Docker's own process, or nothing, where a port is published.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.alfred.portmap.plugins.module_utils._commands import Commands
from ansible_collections.alfred.portmap.plugins.module_utils._docker import ENGINE, PUBLISHERS, Docker, DockerError, Published, Running, behind
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import TRANSPORTS, Listener, order

ANY = "0.0.0.0"
PATIENCE = "30"  # seconds: an engine that hangs must not hang us


@dataclass(frozen=True)
class Seen:
    """Who listens, published ports included."""

    listeners: tuple[Listener, ...]
    unknown: str = ""  # why it can't be said what Docker publishes, though it publishes something, or may; "" if it can


def with_containers(found: t.Sequence[Listener], commands: Commands, published: bool = False) -> Seen:
    """The listeners with their containers, and the published ports that have no socket (userland-proxy: false). Asks the engine at most once.

    published: some container has to publish a port, so an engine that does not answer hides something.
    """
    held = [one for one in found if holds_for_containers(one) or _in_container(one)]
    program = commands.get_bin_path("docker")
    if not program:
        reason = "there is no program docker here to ask" if any(map(holds_for_containers, held)) else ""
        return Seen(tuple(_unknown(one) for one in found) if held else tuple(found), reason)
    try:
        running = Docker(lambda argv: _patiently(commands, argv), program).running()
    except DockerError as error:
        reason = str(error) if published or held or engine_runs() else ""
        return Seen(tuple(_unknown(one) for one in found), reason)
    return Seen(tuple(sorted([*(_named(one, running) for one in found), *_without_socket(found, running)], key=order)))


def holds_for_containers(listener: Listener) -> bool:
    """Whether a listener is one of the processes that hold published ports."""
    return listener.owner is not None and listener.owner.process in PUBLISHERS


def _in_container(listener: Listener) -> bool:
    return listener.owner is not None and listener.owner.container != ""


def _patiently(commands: Commands, argv: list[str]) -> tuple[int, str, str]:
    patience = commands.get_bin_path("timeout")
    rc, out, err = commands.run_command([patience, PATIENCE, *argv] if patience else argv)
    return rc, out, err or (f"no answer within {PATIENCE} seconds" if rc == 124 else "")


def _unknown(listener: Listener) -> Listener:
    return replace(listener, containers=None) if holds_for_containers(listener) or _in_container(listener) else listener


def _named(listener: Listener, running: t.Sequence[Running]) -> Listener:
    names: t.Sequence[str] = ()
    if holds_for_containers(listener):
        names = behind(listener, [place for one in running for place in one.published])
    elif listener.owner is not None and listener.owner.container:
        names = [one.name for one in running if one.id == listener.owner.container]
    return replace(listener, containers=tuple(names))


def _without_socket(found: t.Sequence[Listener], running: t.Sequence[Running]) -> list[Listener]:
    """Published ports that the kernel's address translation alone leads to a container: no socket tells of them."""
    held: dict[tuple[str, int], list[Listener]] = {}
    for one in filter(holds_for_containers, found):
        held.setdefault((one.transport, one.port), []).append(one)
    places = [place for one in running for place in one.published if place.transport in TRANSPORTS]
    return list(dict.fromkeys(_made(place) for place in places if not any(_is_for(one, place) for one in held.get((place.transport, place.port), ()))))


def _is_for(listener: Listener, place: Published) -> bool:
    """Whether that socket of the port is there for the published address: dockerd may hold one on :: for both families."""
    address = place.address or ANY
    return listener.address == address or (address == ANY and listener.address == "::" and 4 in listener.serves)


def _made(place: Published) -> Listener:
    address = place.address or ANY
    return Listener(place.transport, address, place.port, 6 if ":" in address else 4, ":" in address, "", -1, 0, containers=(place.container,))


def engine_runs(proc: str = "/proc") -> bool:
    """Whether a Docker engine runs in this network namespace; one that can't be looked at counts."""
    for pid in os.listdir(proc):
        if pid.isdigit():
            try:
                with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as file:
                    name = file.read().rstrip("\n")
                if name == ENGINE and os.stat(f"{proc}/{pid}/ns/net").st_ino == os.stat(f"{proc}/self/ns/net").st_ino:
                    return True
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended
            except OSError:
                return True
    return False
