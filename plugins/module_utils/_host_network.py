# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's network does that a policy cannot express, or that would make a policy mean something else.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import fnmatch
import os
import typing as t

# IANA's protocol numbers. A raw socket of these says nothing against a policy: ping and neighbour discovery (ICMP,
# ICMPv6), programs that look at or send single packets (TCP, UDP, and 255, which only sends).
HARMLESS_RAW = frozenset((1, 6, 17, 58, 255))
PROTOCOL_NAMES = {2: "IGMP", 4: "IPIP", 41: "IPv6 in IPv4", 46: "RSVP", 47: "GRE", 50: "ESP", 51: "AH", 89: "OSPF", 103: "PIM", 112: "VRRP", 115: "L2TP"}

# ARPHRD_* of linux/if_arp.h: interfaces whose packets travel in a protocol without ports.
TUNNEL_TYPES = {768: "IPIP", 769: "IPv6 in IPv6", 776: "IPv6 in IPv4", 778: "GRE", 823: "GRE over IPv6"}
IFF_UP = 0x1


def protocols_without_ports(proc: str = "/proc/self/net", sys: str = "/sys/class/net") -> list[str]:
    """Which protocols without ports this host uses, and how that is known, for people; [] if none.

    A policy allows by port, so it would drop them. Told by raw sockets (/proc/net/raw, raw6: the local "port" is the
    protocol's number) and by tunnels that are up. Raises OSError if the kernel does not let itself be asked.
    """
    found = {}
    for name in ("raw", "raw6"):
        path = os.path.join(proc, name)
        if not os.path.exists(path):  # a kernel without IPv6
            continue
        with open(path, encoding="ascii") as file:
            lines = file.read().splitlines()[1:]
        for line in lines:
            protocol = int(line.split()[1].rsplit(":", 1)[1], 16)
            if protocol not in HARMLESS_RAW:
                found[f"protocol {_protocol(protocol)} (a raw socket)"] = True
    for interface in _interfaces(sys):
        kind = TUNNEL_TYPES.get(int(_attribute(sys, interface, "type") or "0"))
        if kind is not None and int(_attribute(sys, interface, "flags") or "0", 16) & IFF_UP:
            found[f"{kind} (the tunnel {interface})"] = True
    return list(found)


def _protocol(number: int) -> str:
    return f"{number}, {PROTOCOL_NAMES[number]}" if number in PROTOCOL_NAMES else str(number)


def physical_container_interfaces(patterns: t.Iterable[str], sys: str = "/sys/class/net") -> list[str]:
    """Which interfaces that match `patterns` (names, "*" at the end allowed) lead to a network card, for people.

    What comes in through a container interface is taken for this host's own containers. A bridge with a network card in
    it would let a whole network be taken for them.
    """
    wrong = []
    for pattern in patterns:
        for interface in _interfaces(sys):
            if fnmatch.fnmatchcase(interface, pattern):
                card = _card_below(sys, interface, set())
                if card is not None:
                    wrong.append("{} (by {}) {}".format(interface, pattern, "is a network card" if card == interface else f"holds the network card {card}"))
    return wrong


def _interfaces(sys: str) -> list[str]:
    return sorted(name for name in os.listdir(sys) if os.path.isdir(os.path.join(sys, name)))


def _card_below(sys: str, interface: str, seen: set[str]) -> str | None:
    """The first network card in or below an interface: a bridge's ports, a bond's members, what a VLAN stands on."""
    directory = os.path.join(sys, interface)
    if interface in seen or not os.path.isdir(directory):
        return None
    seen.add(interface)
    if os.path.exists(os.path.join(directory, "device")):
        return interface
    for name in sorted(os.listdir(directory)):
        if name.startswith("lower_"):
            card = _card_below(sys, name[len("lower_") :], seen)
            if card is not None:
                return card
    return None


def _attribute(sys: str, interface: str, name: str) -> str:
    try:
        with open(os.path.join(sys, interface, name), encoding="ascii") as file:
            return file.read().strip()
    except OSError:  # the interface went away, or has no such attribute
        return ""
