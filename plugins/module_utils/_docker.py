# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Docker engine tells of its containers, images and networks, asked through its command line.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

The kernel's socket table shows a published port as docker-proxy's or dockerd's: only the engine knows whose container is behind it.
"""

from __future__ import annotations

import ipaddress
import json
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener

ENGINE = "dockerd"
PUBLISHERS = ("docker-proxy", ENGINE)  # the processes that hold published ports
_NOT_THERE = "no such"  # in the engine's answer: container, image, network (or "object") of that name
_ANY = ("", "0.0.0.0", "::")

Run = t.Callable[..., tuple[int, str, str]]  # AnsibleModule.run_command


class DockerError(Exception):
    """The engine can't be asked."""


@dataclass(frozen=True)
class Published:
    """A port of the host that leads to a container."""

    container: str
    transport: str
    address: str
    port: int


@dataclass(frozen=True)
class Running:
    """A container that runs."""

    id: str
    name: str
    published: tuple[Published, ...]


@dataclass(frozen=True)
class Docker:
    """The engine of this host."""

    run: Run
    program: str = "docker"

    def running(self) -> list[Running]:
        """All containers that run. Raises DockerError."""
        names = (self._ask("ps", "--quiet", "--no-trunc") or "").split()
        return [_running(one) for one in self._inspect("container", *names)] if names else []

    def published(self) -> list[Published]:
        """All published ports of containers that run. Raises DockerError."""
        return [place for one in self.running() for place in one.published]

    def container(self, name: str) -> t.Optional[dict[str, t.Any]]:
        """All that it tells of a container, None if there is none. Raises DockerError."""
        return next(iter(self._inspect("container", name)), None)

    def image_id(self, image: str) -> str:
        """What an image is, whatever it is called; "" if it is not there. Raises DockerError."""
        return next((str(one["Id"]) for one in self._inspect("image", image)), "")

    def missing_networks(self, names: t.Iterable[str]) -> list[str]:
        """Those of these networks that are not there. Raises DockerError."""
        return [name for name in names if not self._inspect("network", name)]

    def _inspect(self, kind: str, *names: str) -> list[dict[str, t.Any]]:
        """What there is of these. One that ended since it was listed is none."""
        out = self._ask(kind, "inspect", *names)
        try:
            return t.cast("list[dict[str, t.Any]]", json.loads(out or "[]"))
        except ValueError as error:
            raise DockerError(f"`{self.program} {kind} inspect` answers what is no JSON") from error

    def _ask(self, *argv: str) -> str:
        """What a command prints, also beside a complaint that something is not there."""
        try:
            rc, out, err = self.run([self.program, *argv])
        except OSError as error:
            raise DockerError(f"{self.program} can't be run: {error.strerror}") from error
        if rc != 0 and _NOT_THERE not in err.lower() and "not found" not in err.lower():
            raise DockerError(f"`{self.program} {' '.join(argv[:2])}` failed: {printable(' '.join(err.split()), 400)}")
        return out


def _running(told: t.Mapping[str, t.Any]) -> Running:
    """A container, as `docker inspect` tells it. Raises DockerError."""
    name = str(told.get("Name", "")).lstrip("/")
    found: list[Published] = []
    for inner, places in ((told.get("NetworkSettings") or {}).get("Ports") or {}).items():
        for place in places or []:
            port = str(place.get("HostPort", ""))
            if not port.isdecimal():
                raise DockerError(f"container {printable(name)} publishes {printable(inner)} at {printable(port)!r}, which is no port")
            found.append(Published(name, inner.partition("/")[2], place.get("HostIp", ""), int(port)))
    return Running(str(told.get("Id", "")), name, tuple(found))


def behind(listener: Listener, published: t.Iterable[Published]) -> list[str]:
    """The names of the containers that a listening socket leads to."""
    those = [one for one in published if (one.transport, one.port) == (listener.transport, listener.port)]
    same = [one for one in those if one.address == listener.address]
    return sorted({one.container for one in same or [one for one in those if one.address in _ANY]})


def gateways(container: t.Mapping[str, t.Any]) -> list[str]:
    """The addresses that the host has towards a container: whom docker-proxy hands on seems to come from one of them.

    A network without IPv6 has none of those; what comes over IPv6 comes from the IPv4 one then.
    """
    found: list[str] = []
    for one in ((container.get("NetworkSettings") or {}).get("Networks") or {}).values():
        found += [one[key] for key in ("Gateway", "IPv6Gateway") if one.get(key)]
    return [address for address in found if _is_address(address)]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
