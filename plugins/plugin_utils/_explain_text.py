# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An explanation as one screen of text: what happens, at which end, by which line of the map, and what is near if it is closed.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t

Data = t.Mapping[str, t.Any]

# What a person takes in; the data has all of it.
MOST_PAIRS = 6
MOST_ADDRESSES = 6
MOST_ELSEWHERE = 5
MOST_NAMES = 3

MEANING = {
    "open": "no policy drops it",
    "half": "nothing gets through, one end lets it pass and the other does not",
    "closed": "nothing gets through",
    "mixed": "not all fare alike",
}
NEAR = {
    "network": "right port, wrong network",
    "family": "right port, no {family} address in its networks",
    "transport": "right network, wrong transport",
    "": "wrong transport, wrong network",
}


def text(explanation: Data) -> list[str]:
    """Lines for people."""
    asked = explanation
    port = f"{asked['port']}/{asked['transport']}" + (f" ({asked['service']})" if asked["service"] else "")
    lines = [f"{asked['from']} to {asked['to']}, port {port}: {asked['verdict'].upper()}, {MEANING[asked['verdict']]}"]
    for ways in _alike(asked["ways"]):
        lines += ["", *_ways(ways, asked)]
    for family in ("v4", "v6"):
        lacking = [item["name"] for item in asked["missing"] if item["family"] == family]
        if lacking:
            lines += ["", f"Not asked by {_family(family)}, of which no address is known: {_some(lacking, MOST_NAMES)}"]
    if asked["verdict"] != "open" and not any(way["itself"] for way in asked["ways"]):
        lines += ["", "Within one host everything is open, whatever its policy says: loopback and its own addresses."]
    return lines


def _alike(ways: t.Iterable[Data]) -> list[list[Data]]:
    """Pairs of addresses of which the same can be said, together."""
    groups: dict[str, list[Data]] = {}
    for way in ways:
        said = [way[key] for key in ("verdict", "itself", "egress", "ingress", "listeners", "elsewhere")]
        groups.setdefault(repr(said), []).append(way)
    return list(groups.values())


def _ways(ways: list[Data], asked: Data) -> list[str]:
    one = ways[0]
    lines = [f"{_family(way['family'])}  {_place(way['from'])} -> {_place(way['to'])}: {way['verdict']}" for way in ways[:MOST_PAIRS]]
    if len(ways) > MOST_PAIRS:
        lines.append(f"and {len(ways) - MOST_PAIRS} more, likewise")
    if one["itself"]:
        return lines + ["  the host itself: always open"] + _listens(one)
    sources, targets = _names(ways, "from"), _names(ways, "to")
    lines += _end(f"out of {sources}", one["egress"], "to", asked, _families(ways))
    lines += _end(f"into {targets}", one["ingress"], "from", asked, _families(ways))
    return lines + _listens(one)


def _place(place: Data) -> str:
    return place["address"] if place["address"] == place["name"] else f"{place['name']} {place['address']}"


def _names(ways: list[Data], side: str) -> str:
    return _some([way[side]["name"] for way in ways], MOST_NAMES)


def _families(ways: list[Data]) -> str:
    return " and ".join(dict.fromkeys(_family(way["family"]) for way in ways))


def _family(family: str) -> str:
    return "IPv4" if family == "v4" else "IPv6"


def _end(title: str, end: Data, preposition: str, asked: Data, families: str) -> list[str]:
    word = ("passes" if end["passes"] else "DROPPED") if end["judged"] else "not judged"
    if end["rule"]:
        rule = end["rule"]
        return [f"  {title}: {word}, rule {rule['name']} {preposition} {', '.join(rule['networks'])}", f"      {rule['origin']}"]
    lines = [f"  {title}: {word}, {end['reason']}"]
    if end["passes"]:
        return lines
    if end["part"]:
        lines[0] += ", but for a part of that network"
    if not end["candidates"]:
        nobody = "lets it call port {} of anybody" if preposition == "to" else "opens port {} there to anybody"
        return lines + ["      no statement of the map " + nobody.format(asked["port"])]
    for rule in end["candidates"]:
        near = NEAR[rule["near"]].format(family=families)
        lines.append(f"      open {preposition} {', '.join(rule['networks'])}: {','.join(rule['ports'])}/{rule['transport']}, rule {rule['name']} ({near})")
        lines.append(f"          {rule['origin']}")
        lines += [f"          {name} is {_some(addresses, MOST_ADDRESSES) or 'empty'}" for name, addresses in rule["addresses"].items()]
    return lines


def _some(items: t.Iterable[str], most: int) -> str:
    found = list(dict.fromkeys(items))
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def _listens(way: Data) -> list[str]:
    if not way["ingress"]["judged"] and not way["listeners"]:
        return []  # an unmanaged host's listeners are not the map's
    lines = []
    for listener in way["listeners"]:
        lines.append(f"  expected there: {listener['name']}, {_bind(listener)}{_reached(listener)}")
        lines.append(f"      {listener['origin']}")
    if not lines:
        lines.append("  expected there: nothing, the map names no listener on this port")
        found = [f"{item['name']} on {item['host']} ({item['transport']})" for item in way["elsewhere"]]
        if found:
            lines.append(f"      but of {_some(found, MOST_ELSEWHERE)}")
    return lines


def _bind(listener: Data) -> str:
    bind = listener["bind"]
    if bind == "any":
        return "on every address"
    return "on loopback only" if bind == "loopback" else f"on {', '.join(bind)} only"


def _reached(listener: Data) -> str:
    if not listener["reached"]:
        return ": refused at the address asked for, even where the policy lets it in"
    return "" if listener["required"] else ", if it runs: one of a range"
