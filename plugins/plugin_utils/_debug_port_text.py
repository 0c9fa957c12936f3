# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a port, for people: one screen per host, no line wider than a terminal.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import textwrap
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.plugin_utils._debug_port import Data, Outside, Picture, Place

WIDTH = 100
LABEL = 13  # columns of what a line is about
MOST_PLACES = 3  # that are shown in full, unless one host was asked for
MOST_LISTENERS, MOST_RULES, MOST_ROUTES, MOST_NAMES, MOST_ADDRESSES = 4, 5, 4, 8, 2


def text(found: Picture) -> list[str]:
    """Lines for people."""
    asked = found.asked
    ports = f"{asked.port}/{asked.transports[0]}" if len(asked.transports) == 1 else str(asked.port)
    lines: list[str] = []
    told = [place for place in found.places if asked.declared or asked.named or place.listeners or place.unseen or place.findings]
    if not asked.declared and not asked.named:
        lines += _wrapped(f"Port {ports}: the map expects nobody to listen on it, on none of {len(asked.hosts)} hosts.")
        if not told:
            looked = sum(place.looked for place in found.places)
            lines += _wrapped(f"Nobody does, on {looked} host(s) that were looked at." if looked else "No host was looked at.")
            if not found.outside:
                lines += ["", *_field("next", "To open it, declare a service with this port in the map: docs/port-map.md, services.S.port.")]
    full = told if len(told) <= MOST_PLACES else [place for place in told if place.looked and not place.good][:MOST_PLACES]
    if len(told) > len(full):
        which = "those that are not as planned" if full else "none, since none is seen to differ"
        lines += _wrapped(f"Port {ports} on {len(told)} hosts. In full: {which}. For one of them say -e host=…")
        lines += ["", *(_short(place) for place in told)]
    for place in full:
        lines += ([""] if lines else []) + _place(place)
    for one in found.outside:
        lines += ([""] if lines else []) + _outside(one)
    return [line.rstrip() for line in lines]


def _wrapped(words: str, first: str = "", further: str = "") -> list[str]:
    """Words on lines that begin as said, whatever is in them."""
    return textwrap.wrap(printable(words, 2000), WIDTH, initial_indent=first, subsequent_indent=further, break_on_hyphens=False)


def _field(label: str, *parts: str) -> list[str]:
    """A label, and what belongs to it on lines of its own; a part that begins with blanks stands further in."""
    lines: list[str] = []
    for part in parts:
        indent = " " * (2 + LABEL + len(part) - len(part.lstrip()))
        lines += _wrapped(part.lstrip(), indent if lines else f"  {label:<{LABEL}}", indent)
    return lines


def _some(items: t.Iterable[str], most: int) -> str:
    found = list(items)
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def _short(place: Place) -> str:
    said = _verdict(place)
    names = ", ".join(dict.fromkeys(one["name"] for one in place.expected)) or "undeclared"
    owner = _owner(place.listeners[0]) if place.listeners else "nobody listens" if place.looked and not place.unseen else ""
    return printable(f"  {place.host:<16} {place.port}/{place.transport}  {names:<24} {said:<18} {owner}", WIDTH - 1)


def _verdict(place: Place) -> str:
    if place.good:
        return "as planned"
    if not place.looked:
        return "not looked at"
    if place.unseen:
        return "can't be looked at" if place.reached else "can't be reached"
    return "can't be asked" if place.unasked and not place.findings else "DIFFERS"


# one place


def _place(place: Place) -> list[str]:
    lines = _wrapped(f"{place.port}/{place.transport} on {place.host} ({', '.join(place.addresses)})")
    lines += _expected(place) + _listens(place)
    for finding in place.findings[:MOST_LISTENERS]:
        lines += _field("DIFFERS", finding["text"])
    lines += _answers(place) + _lets_in(place) + _reached(place) + _routes(place)
    for service in place.services:
        if service["container"]:
            name, inner = service["name"], service["container_port"]
            lines += _field("compose", f"service {name}, container port {inner}", f"docker compose ps {name}; docker compose port {name} {inner}")
    return lines + _field("next", *_next(place))


def _expected(place: Place) -> list[str]:
    if not place.expected:
        others = f"; it does on {_some(place.elsewhere, MOST_NAMES)}" if place.elsewhere else ""
        return _field("expected", f"nothing: the map names no listener on this port here{others}")
    lines: list[str] = []
    for one in place.expected:
        bind = one["bind"]
        where = {"any": "on every address", "loopback": "on loopback only"}.get(bind, "") if isinstance(bind, str) else f"on {', '.join(bind)} only"
        said = [one["name"], where]
        if one["protocol"]:
            said.append(one["protocol"])
        if one["health"]:
            said.append(f"health {one['health']}")
        if not one["required"]:
            said.append(f"if it runs: one of {one['ports']}")
        if one["container"]:
            said.append("published by a container")
        if one.get("owner"):
            said.append(f"held by {' or '.join(one['owner'])}")
        lines += _field("expected" if not lines else "", ", ".join(said), one["origin"])
    return lines


def _owner(listener: Data) -> str:
    """Whose a listener is: what is known, in this order: process, unit, container, user."""
    known = f"{listener['process']} (pid {listener['pid']})" if listener.get("process") else "no process is seen to hold it"
    more = [
        f"unit {listener['unit']}" if listener.get("unit") else "",
        f"container {', '.join(listener['containers'])}" if listener.get("containers") else "",
        f"user {listener['user']}" if listener.get("user") else "",
    ]
    return ", ".join([known, *filter(None, more)])


def _listens(place: Place) -> list[str]:
    if not place.looked:
        return _field("listens", "not known: the host was not looked at (--limit?)")
    if place.unseen:
        return _field("listens", f"not known: the host could not be looked at: {place.unseen}")
    if not place.listeners:
        return _field("listens", "nobody")
    said = [f"{_address(one)}: {_owner(one)}" for one in place.listeners[:MOST_LISTENERS]]
    more = len(place.listeners) - MOST_LISTENERS
    return _field("listens", *said, *([f"and {more} more"] if more > 0 else []))


def _address(listener: Data) -> str:
    families = "" if len(listener["serves"]) < 2 else " (IPv4 too)"
    interface = f"%{listener['interface']}" if listener.get("interface") else ""
    return f"{listener['address']}{interface}{families}"


def _answers(place: Place) -> list[str]:
    if not place.expected and not place.listeners:
        return []  # nobody is expected to answer, and nobody does
    wrong_ones = {(answer["verdict"], answer["detail"]): answer for answer in reversed(place.answers)}
    shown = [answer for answer in place.answers if answer["good"]][:1] or list(reversed(wrong_ones.values()))[:MOST_LISTENERS]
    said = []
    for answer in shown:
        target = f"[{answer['target']}]" if ":" in answer["target"] else answer["target"]
        detail = f" ({answer['detail']})" if answer["detail"] else ""
        wrong = "" if answer["good"] or not place.expected else f", expected {answer['expect']}"
        said.append(f"{answer['kind']} at {target}:{answer['port']}: {answer['verdict']}{detail}, {round(answer['latency'] * 1000, 1):g} ms{wrong}")
    if place.unasked:
        said.append(f"not known: it could not be asked: {place.unasked}")
    return _field("answers now", *said) if said else []


def _lets_in(place: Place) -> list[str]:
    if not place.policed:
        return _field("lets in", "everybody: this host has no policy")
    if not place.rules:
        return _field("lets in", "nobody but this host itself: no rule opens it")
    said = []
    for rule in place.rules[:MOST_RULES]:
        names = [name + (f" ({_some(addresses, MOST_ADDRESSES)})" if addresses else " (empty)") for name, addresses in rule["networks"].items()]
        until = f", until {rule['until']}" if rule["until"] else ""
        said += [f"{_some(names, MOST_RULES)}: rule {rule['name']}{until}", f"  {rule['origin']}"]
    more = len(place.rules) - MOST_RULES
    return _field("lets in", *said, *([f"and {more} more rules"] if more > 0 else []))


def _reached(place: Place) -> list[str]:
    said = [f"from {_some(place.callers, MOST_NAMES)}" if place.callers else "from no other host of the inventory"]
    if place.others:
        said.append(f"not from {_some(place.others, MOST_NAMES)}")
    if place.strangers:
        strangers = {"open": "strangers too", "closed": "no strangers", "half": "no strangers"}.get(place.strangers, "some strangers, not all")
        said.append(strangers)
    return _field("by plan", "open " + "; ".join(said))


def _routes(place: Place) -> list[str]:
    said = []
    for route in place.routes[:MOST_ROUTES]:
        said += [f"{route['url']} by {route['proxy']} (route {route['name']})" if route["leads"] else f"serves {route['url']} (route {route['name']})"]
        said += [f"  {route['origin']}"]
    more = len(place.routes) - MOST_ROUTES
    return _field("routes", *said, *([f"and {more} more"] if more > 0 else [])) if said else []


def _next(place: Place) -> list[str]:
    """What to do, the most likely thing first."""
    port, host = f"{place.port}/{place.transport}", place.host
    if not place.looked:
        return [f"Run it again without --limit, or with -e host={host}."]
    if place.unseen and not place.reached:
        return [f"Reach the host first: ansible {host} -m ansible.builtin.ping. What is above is the plan alone."]
    if place.unseen:
        return ["Mend first what keeps the host from being looked at. What is above is the plan alone."]
    kinds = {finding["kind"] for finding in place.findings}
    unit = next((one["unit"] for one in place.listeners if one.get("unit")), "")
    names = " or ".join(dict.fromkeys(one["name"] for one in place.expected))
    if "unknown" in kinds:
        return [f"Let Docker answer first, since it alone knows what it publishes: docker ps on the host. {_again(host, place.port)}"]
    if not place.expected:
        if not place.listeners:
            return [f"Nothing to do: nobody is expected, and nobody listens. To open {port}, declare a service in the map."]
        stop = f"stop it (systemctl disable --now {unit})" if unit else "stop it"
        inside = "" if kinds else " It is no finding: only this host reaches it, or a client holds it for a moment."
        return [f"Declare it in the map, {stop}, or put it into verify_ignore.{inside}"]
    origin = place.expected[0]["origin"]
    if "missing" in kinds:
        container = any(service["container"] for service in place.services)
        start = f"docker compose up -d {names}" if container else "systemctl --failed and journalctl on the host say why it does not run"
        return [f"Start {names}: {start}. If it is not to run here, change {origin}"]
    if "wrong address" in kinds:
        return [f"Let {names} listen where the map wants it, or say where with `bind` in {origin}"]
    if "wrong owner" in kinds:
        return [f"Somebody else holds the port: stop {unit or 'it'}, then start {names}. Or change `owner` in {origin}"]
    if place.findings:
        return [f"Declare it in the map, or stop {unit or 'it'}."]
    if not place.listeners:
        return [f"Nothing to do: {names} is one of a range, of which nobody need listen."]
    if place.unasked:
        return [f"It listens. Whether it answers is not known: mend what kept the host from asking. {_again(host, place.port)}"]
    if place.answers and not place.answers_well:
        return [f"It listens and does not answer as it should: {f'journalctl -u {unit} on the host' if unit else 'its log'} may say why."]
    return [f"As planned. Closed for somebody? ansible-playbook playbooks/explain.yml -e from=WHO -e to={host} -e port={place.port}"]


def _again(host: str, port: int) -> str:
    return f"Then run it again: -e port={port} -e host={host}"


def _outside(one: Outside) -> list[str]:
    lines = _wrapped(f"{one.port} of {one.name}, on no host of this inventory")
    if one.addresses:
        lines += _field("called at", ", ".join(one.addresses))
    if one.cluster:
        space = f" -n {one.namespace}" if one.namespace and one.namespace != "none" else ""
        lines += _field(
            "kubernetes",
            f"cluster {one.cluster}, service {one.name}{f', namespace {one.namespace}' if space else ''}, port {one.port} to {one.container_port}",
            f"kubectl get svc{space} {one.name}",
            f"kubectl port-forward{space} svc/{one.name} {one.port}:{one.port}",
        )
    return lines
