# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the bridges that Docker or Podman publish ports to and that a policy does not know as its containers'.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

What is forwarded to such a bridge is somebody else's business to a policy, so a port published there is open to everybody.
Told by the rules that publish: Docker's that accept for a bridge, and those that translate to an address, of which the
kernel's routes say the bridge. Virtual machines (libvirt), Kubernetes and CNI forward by rules of their own, and are left alone.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
import sys
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._base_chains import Chain, Conflict

_PUBLISHING_CHAINS = ("DOCKER", "NETAVARK")
_PUBLISHING_TABLES = ("docker-bridges", "netavark")

# Of nft, and of iptables-legacy-save.
_ACCEPTS_FOR = re.compile(r'(?<!! )(?:\boifname|(?<=\s)-o) "?([^\s"*+!=]+)"? .*\bdports?\b.*\b(?:accept|ACCEPT)\b')
_TRANSLATES_TO = re.compile(r"(?:\bdnat (?:ip )?to|--to-destination) (\d+\.\d+\.\d+\.\d+)\b")

_GATEWAY = 0x2  # RTF_GATEWAY of linux/route.h


class Route(t.NamedTuple):
    """Addresses that an interface leads to, without a gateway."""

    network: ipaddress.IPv4Network
    interface: str


def direct_routes(proc: str = "/proc/self/net") -> list[Route]:
    """The IPv4 networks that this host's interfaces are in, the smallest first. Raises OSError."""
    routes = []
    with open(f"{proc}/route", encoding="ascii") as file:
        lines = file.read().splitlines()[1:]
    for line in lines:
        interface, destination, _gateway, flags, _refs, _use, _metric, mask = line.split()[:8]
        if not int(flags, 16) & _GATEWAY and int(mask, 16):
            routes.append(Route(ipaddress.IPv4Network((_address(destination), bin(int(mask, 16)).count("1"))), interface))
    return sorted(routes, key=lambda route: route.network.prefixlen, reverse=True)


def _address(number: str) -> bytes:
    return int(number, 16).to_bytes(4, sys.byteorder)  # the kernel shows what is in network order as a number of its own


def unlisted_bridges(chains: t.Iterable[Chain], routes: t.Sequence[Route], listed: t.Collection[str]) -> list[Conflict]:
    """The bridges with published ports that no name or pattern in `listed` matches, each as a conflict."""
    bridges: dict[str, bool] = {}
    for chain in chains:
        if chain.name.startswith(_PUBLISHING_CHAINS) or chain.table in _PUBLISHING_TABLES:
            for rule in chain.rules:
                bridges.update(dict.fromkeys(_bridges(rule.text, routes), True))
    return [
        {
            "kind": "containers",
            "where": f"the bridge {bridge}",
            "what": "publishes ports past the policy",
            "advice": f"add {bridge} to port_map_container_interfaces (policy.container_interfaces)",
        }
        for bridge in sorted(bridges)
        if not any(fnmatch.fnmatchcase(bridge, pattern) for pattern in listed)
    ]


def _bridges(rule: str, routes: t.Sequence[Route]) -> list[str]:
    accepted = _ACCEPTS_FOR.search(rule)
    if accepted is not None:
        return [accepted.group(1)]
    translated = _TRANSLATES_TO.search(rule)
    if translated is None:
        return []
    address = ipaddress.IPv4Address(translated.group(1))
    return [route.interface for route in routes if address in route.network][:1]
