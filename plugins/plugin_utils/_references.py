# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The merged map while it is built: what is known by which name, what is off and why, and how to complain of a value.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._merge import NAMED, Merged
from ansible_collections.alfred.portmap.plugins.plugin_utils._model import Cluster, Network, Port, Service
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Path, Problems, did_you_mean
from ansible_collections.alfred.portmap.plugins.plugin_utils._shapes import Context, Shape, is_everybody

PROXY = "proxy"
Data = dict[str, t.Any]


def way_back(ways: t.Mapping[str, t.Iterable[str]], start: str) -> tuple[str, ...]:
    """The shortest way from a name back to itself, without the start and with the end; () if there is none."""
    trails: list[tuple[str, ...]] = [(name,) for name in ways.get(start, ())]
    seen: set[str] = set()
    for trail in trails:
        if trail[-1] == start:
            return trail
        if trail[-1] not in seen:
            seen.add(trail[-1])
            trails += [(*trail, name) for name in ways.get(trail[-1], ())]
    return ()


def listed(value: t.Any) -> list[t.Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


class References:
    """What every builder of a part asks."""

    def __init__(self, merged: Merged, environment: t.Optional[str], problems: Problems) -> None:
        self._merged = merged
        self._data = merged.data
        self._environment = environment
        self._problems = problems
        self._known = {section: set(self._data[section]) for section in NAMED}
        self._known["networks"].add("anywhere")
        self._off: dict[tuple[str, str], str] = {}  # (section, name) of what is absent -> why
        self._built_networks: dict[str, Network] = {}
        self._built_clusters: dict[str, Cluster] = {}
        self._nginx = False  # the ports of `proxy` are the API and metrics, and these are Traefik's

    def _error(self, path: Path, value: t.Any, rule: str) -> None:
        self._problems.error(self._merged.origin(path), value, rule)

    def _wrong(self, path: Path, value: t.Any, rule: str) -> None:
        """An error that leaves out what it is part of."""
        self._error(path, value, rule)
        self._merged.taint(path)

    def _notice(self, path: Path, value: t.Any, rule: str) -> None:
        self._problems.notice(self._merged.origin(path), value, rule)

    def _sound(self, shape: Shape, value: t.Any, path: Path) -> bool:
        """Whether a value has its shape. Its file has been checked; what only the merging made wrong is said here."""
        return path not in self._merged.tainted and shape.check(value, path, Context(self._merged, self._problems))

    def _section(self, section: str, shape: Shape) -> dict[str, Data]:
        """The sound, enabled members of a section, in the order of the map."""
        found = {}
        for name, item in self._data[section].items():
            if isinstance(item, dict) and item.get("enabled", True) is False:
                self._off.setdefault((section, name), "is not enabled")
            elif (section, name) not in self._off and self._sound(shape, item, (section, name)):
                found[name] = item
        return found

    def _refer(self, section: str, name: str, path: Path, what: str) -> bool:
        """Whether a name can be used: an unknown one is an error, one that is off a notice."""
        if name not in self._known[section]:
            self._error(path, name, f"there is no {what} of that name{did_you_mean(name, self._known[section])}")
            return False
        if (section, name) in self._off:
            self._notice(path, name, f"{what} {name} {self._off[section, name]}: this falls away")
            return False
        return True

    def _networks(self, value: t.Any, path: Path) -> tuple[str, ...]:
        found = []
        for index, name in enumerate(listed(value)):
            here = (*path, index) if isinstance(value, list) else path
            if name in self._known["networks"]:
                found.append(name)
            elif name in self._known["services"]:
                self._error(here, name, "is a service, and this names networks: which service may call another is said by the other's own `from`")
            else:
                near = did_you_mean(name, self._known["networks"])
                self._error(here, name, f"there is no network of that name{near or ' (inventory hosts become one by {hosts: …} under networks)'}")
        return tuple(dict.fromkeys(found))

    def _open_to_all(self, names: t.Iterable[str]) -> bool:
        """Whether the networks, taken together, hold every address of a family."""
        inside = list(names)
        cidrs: list[str] = []
        for name in inside:
            network = self._built_networks.get(name)
            for member in network.members if network else ():
                if member.cidr is not None:
                    cidrs.append(member.cidr)
                elif member.network is not None and member.network not in inside:
                    inside.append(member.network)
        return "anywhere" in inside or is_everybody(cidrs)

    def _known_port(self, service: Service, port_name: str, label: str, path: Path) -> t.Optional[Port]:
        port = service.ports.get(port_name)
        if port is None:
            names = [name for name in service.ports if name]
            there = f" (there: {', '.join(names)})" if names else ""
            self._error(path, label, f"service {service.name} has no port {port_name}{did_you_mean(port_name, names) or there}")
        return port

    def _traefiks(self, label: str, path: Path, what: str) -> bool:
        """Whether `service` or `service.port` is the proxy's own and the proxy is nginx: a notice, and this is left out."""
        if self._nginx and label.partition(".")[0] == PROXY:
            self._notice(path, label, f"{what} Traefik's: this is left out under nginx")
            return True
        return False
