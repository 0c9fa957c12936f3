# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that can be said of one port: what to look at on which host, and then, with what was seen, what the plan says and how it is. Pure.

_debug_port_text.py writes it for people.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.plugin_utils._ends import Ends
from ansible_collections.alfred.portmap.plugins.plugin_utils._explain import ANYWHERE, ExplainError, explain
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import did_you_mean
from ansible_collections.alfred.portmap.plugins.plugin_utils._reachability import Checks, probes

Data = dict[str, t.Any]

TRANSPORTS = ("tcp", "udp")
LOOPBACK = ("127.0.0.1", "::1")
STANDARD = {"http": 80, "https": 443}


class DebugPortError(ValueError):
    """The question can't be asked: every reason, each with the option, its value and the rule."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class Asked:
    """One port, on some hosts."""

    port: int
    transports: tuple[str, ...]
    hosts: tuple[str, ...]  # where to look
    declared: bool  # the map expects it on these; else they are all that there are
    named: bool  # one host was asked for


@dataclass(frozen=True)
class Place:
    """One port of one transport on one host, as planned and as seen."""

    host: str
    addresses: tuple[str, ...]
    port: int
    transport: str
    expected: tuple[Data, ...]  # listeners of the plan
    elsewhere: tuple[str, ...]  # where the map expects this port instead: "core1 (alfred-core)"
    rules: tuple[Data, ...]  # {name, networks: {name: [address]}, origin, until}
    policed: bool  # there is a policy
    callers: tuple[str, ...]  # hosts that reach it, by plan
    others: tuple[str, ...]  # hosts that do not
    strangers: str  # what an address that the map does not know meets: open, closed, mixed, or "" if nothing judges
    routes: tuple[Data, ...]  # {name, url, proxy, origin}
    services: tuple[Data, ...]  # the map's services behind the listeners: {name, container, container_port, namespace}
    questions: int  # that it was to ask itself
    looked: bool = False
    reached: bool = True
    unseen: str = ""  # why nothing is known of it
    listeners: tuple[Data, ...] = ()
    findings: tuple[Data, ...] = ()
    answers: tuple[Data, ...] = ()
    unasked: str = ""  # why there are fewer answers than questions; "" if there are not

    @property
    def good(self) -> bool:
        """Seen, and as planned. What nobody could look at is not."""
        if not self.looked or self.unseen or self.unasked or self.findings:
            return False
        return self.answers_well or not self.questions

    @property
    def answers_well(self) -> bool:
        """Of several addresses at which it may be, one right answer will do."""
        return any(answer["good"] for answer in self.answers)


@dataclass(frozen=True)
class Outside:
    """A service of the map with this port that is on none of the hosts: in a cluster, or managed elsewhere."""

    name: str
    port: str
    container_port: str
    cluster: str
    namespace: str
    addresses: tuple[str, ...]


@dataclass
class Picture:
    """All of it."""

    asked: Asked
    places: list[Place] = field(default_factory=list)
    outside: list[Outside] = field(default_factory=list)


# what to look at


def ask(plan: t.Mapping[str, t.Any], port: t.Optional[str], host: t.Optional[str] = None, transport: t.Optional[str] = None) -> Asked:
    """Where to look. port: a number, or a service's name. Raises DebugPortError."""
    problems: list[str] = []
    number, transports = _port(plan, port, problems)
    if transport is not None:
        if transport not in TRANSPORTS:
            problems.append(f"transport = {transport!r}: must be tcp or udp{did_you_mean(transport, TRANSPORTS)}")
        transports = (transport,)
    if host is not None and host not in plan["hosts"]:
        if host in plan["vantages"]:
            problems.append(f"host = {host!r}: is not managed (port_map_managed: false), so that the map says nothing of what listens there")
        else:
            problems.append(f"host = {host!r}: is no host of this inventory{did_you_mean(host, [*plan['hosts'], *plan['vantages']])}")
    if problems:
        raise DebugPortError(problems)
    declared = [name for name in plan["hosts"] if any(_expected(plan, name, number, one) for one in transports)]
    if host is not None:
        return Asked(number, transports, (host,), host in declared, True)
    return Asked(number, transports, tuple(declared or plan["hosts"]), bool(declared), False)


def _port(plan: t.Mapping[str, t.Any], port: t.Optional[str], problems: list[str]) -> tuple[int, tuple[str, ...]]:
    if port is None or port == "":
        problems.append("port: is missing, say -e port=8080 (or a service's name)")
        return 0, TRANSPORTS
    if re.fullmatch(r"[0-9]+", port):
        if not 1 <= int(port) <= 65535:
            problems.append(f"port = {port}: must be a port from 1 to 65535")
        return int(port), TRANSPORTS
    service, _dot, name = port.partition(".")
    found = plan["services"].get(service, {"ports": {}})["ports"].get(name)
    if found is not None:
        return int(found["ports"].partition("-")[0]), tuple(found["transports"])
    names = [f"{one}.{further}" if further else one for one, entry in plan["services"].items() for further in entry["ports"]]
    problems.append(f"port = {port!r}: must be a port from 1 to 65535, or a service with a port{did_you_mean(port, names)}")
    return 0, TRANSPORTS


def questions(plan: t.Mapping[str, t.Any], asked: Asked, host: str, checks: t.Optional[Checks] = None) -> list[Data]:
    """What a host is to ask itself about the port: its health if the map knows how, else whether it is open."""
    found: list[Data] = []
    about = probes(plan, host, targets=(), local=True, checks=checks)
    local = [one for one in about if one["port"] == asked.port and one["labels"]["check"] == "port"]
    for transport in asked.transports:
        mine = [one for one in local if one["labels"]["transport"] == transport]
        if not mine and transport == "tcp":
            why = "nothing in the map explains it"
            mine = [
                {"name": f"{host} port {asked.port}", "target": address, "port": asked.port, "why": why, "labels": {"transport": transport}}
                for address in _addresses(plan, host, asked.port)
            ]
        found += mine
    return found


def _addresses(plan: t.Mapping[str, t.Any], host: str, port: int) -> list[str]:
    """Where something that listens may be: on loopback, or on the host's own first addresses."""
    binds = [listener["bind"] for listener in _expected(plan, host, port, "tcp")]
    if binds and not any(isinstance(bind, str) for bind in binds):
        return [address for bind in binds for address in bind]
    return [LOOPBACK[0], *(address for _version, address in sorted(Ends(plan).addresses(host).items()))]


# what there is


def picture(plan: t.Mapping[str, t.Any], asked: Asked, observed: t.Mapping[str, t.Mapping[str, t.Any]]) -> Picture:
    """The plan's side and the host's side together. observed: host to {listens, answers}, each as its module answered."""
    ends = Ends(plan)
    found = Picture(asked, outside=_outside(plan, asked.port))
    for host in asked.hosts:
        counts = Counter((one.get("labels") or {}).get("transport") for one in questions(plan, asked, host))
        places = [_place(plan, ends, host, asked.port, transport, counts[transport], observed.get(host)) for transport in asked.transports]
        told = [place for place in places if place.expected or place.listeners]
        found.places += told or places[:1]
    return found


def _place(plan: t.Mapping[str, t.Any], ends: Ends, host: str, port: int, transport: str, count: int, seen: t.Optional[t.Mapping[str, t.Any]]) -> Place:
    expected = _expected(plan, host, port, transport)
    policy = plan["hosts"][host]["firewall"]
    callers, others = _callers(plan, ends, host, port, transport)
    return Place(
        host=host,
        addresses=tuple(address for _version, address in sorted(ends.addresses(host).items())),
        port=port,
        transport=transport,
        expected=tuple(expected),
        elsewhere=() if expected else _elsewhere(plan, host, port),
        rules=_rules(plan, policy, port, transport),
        policed=policy is not None,
        callers=callers,
        others=others,
        strangers=_strangers(plan, host, port, transport) if policy is not None else "",
        routes=_routes(plan, host, port, transport),
        services=_services(plan, expected),
        questions=count,
        **_seen(seen, port, transport, count, any(one["container"] for one in expected)),
    )


def _expected(plan: t.Mapping[str, t.Any], host: str, port: int, transport: str) -> list[Data]:
    return [one for one in plan["hosts"][host]["listeners"] if one["transport"] == transport and _holds(one["ports"], port)]


def _elsewhere(plan: t.Mapping[str, t.Any], host: str, port: int) -> tuple[str, ...]:
    found = [
        f"{name} ({listener['name']}, {listener['transport']})"
        for name, entry in plan["hosts"].items()
        for listener in entry["listeners"]
        if _holds(listener["ports"], port)
    ]
    return tuple(dict.fromkeys(found))


def _rules(plan: t.Mapping[str, t.Any], policy: t.Optional[Data], port: int, transport: str) -> tuple[Data, ...]:
    return tuple(
        {
            "name": rule["name"],
            "networks": {name: plan["networks"][name] for name in rule["networks"]},
            "origin": rule["origin"],
            "until": rule.get("until") or "",
        }
        for rule in (policy or {"ingress": []})["ingress"]
        if rule["transport"] == transport and any(_holds(ports, port) for ports in rule["ports"])
    )


def _callers(plan: t.Mapping[str, t.Any], ends: Ends, host: str, port: int, transport: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The other hosts of the inventory, by whether the policies of both ends let them through, by one family at least."""
    through: list[str] = []
    kept: list[str] = []
    targets = ends.addresses(host)
    for name in [*plan["hosts"], *plan["vantages"]]:
        if name != host:
            own = ends.addresses(name)
            ways = [(own[version], targets[version]) for version in (4, 6) if version in own and version in targets]
            passes = any(
                all(verdict is None or verdict.accept for verdict in (ends.leaves(name, *way, transport, port), ends.enters(host, *way, transport, port)))
                for way in ways
            )
            (through if passes else kept).append(name)
    return tuple(through), tuple(kept)


def _strangers(plan: t.Mapping[str, t.Any], host: str, port: int, transport: str) -> str:
    try:
        return str(explain(plan, ANYWHERE, host, str(port), transport)["verdict"])
    except ExplainError:
        return ""


def _routes(plan: t.Mapping[str, t.Any], host: str, port: int, transport: str) -> tuple[Data, ...]:
    """Those that lead to the port, and those that it serves if it is a proxy's."""
    found: list[Data] = []
    own = set(plan["hosts"][host]["addresses"])
    for proxy, entry in plan["hosts"].items():
        ingress = entry["ingress"]
        for name, route in ingress["routes"].items() if ingress else ():
            entrypoint = ingress["entrypoints"][route["entrypoint"]]
            carried = "udp" if entrypoint["protocol"] == "udp" else "tcp"
            backends = [*route["backends"], *((route["canary"] or {}).get("backends") or [])]
            here = own | (set(LOOPBACK) if proxy == host else set())
            leads = carried == transport and any(backend["address"] in here and backend["port"] == port for backend in backends)
            if leads or (proxy == host and entrypoint["port"] == port and carried == transport):
                found.append({"name": name, "url": _url(route, entrypoint), "proxy": proxy, "origin": route["origin"], "leads": leads})
    return tuple(found)


def _url(route: Data, entrypoint: Data) -> str:
    if route["host"] is None:
        return f"entrypoint {route['entrypoint']}, port {entrypoint['port']}"
    if entrypoint["protocol"] != "http":
        return f"{route['host']}:{entrypoint['port']} (TLS)"
    scheme = "https" if route["tls"] else "http"
    port = "" if entrypoint["port"] == STANDARD[scheme] else f":{entrypoint['port']}"
    return f"{scheme}://{route['host']}{port}{route['path']}"


def _services(plan: t.Mapping[str, t.Any], expected: list[Data]) -> tuple[Data, ...]:
    found = []
    for listener in expected:
        stated, inner = _stated(plan, listener["name"])
        if stated is not None:
            found.append({"name": listener["name"].partition(".")[0], "container": listener["container"], "container_port": inner or listener["ports"]})
    return tuple(found)


def _stated(plan: t.Mapping[str, t.Any], label: str) -> tuple[t.Optional[Data], str]:
    """(a service as the map has it, the port inside its container if the map says so), of a listener's name."""
    name, _dot, further = label.partition(".")
    service = (plan["port_map"].get("services") or {}).get(name)
    if service is None:
        return None, ""
    keys = (service.get("ports") or {}).get(further) if further else service
    return service, str(keys.get("container_port") or "") if isinstance(keys, dict) else ""


def _outside(plan: t.Mapping[str, t.Any], port: int) -> list[Outside]:
    found = []
    for name, service in plan["services"].items():
        stated, _inner = _stated(plan, name)
        if stated is None or service["hosts"] or not (stated.get("cluster") or service["addresses"]):
            continue
        for further, one in service["ports"].items():
            label = f"{name}.{further}" if further else name
            if _holds(one["ports"], port):
                namespace = stated.get("namespace") or plan["port_map"].get("namespace") or ""
                inner = _stated(plan, label)[1] or one["ports"]
                found.append(Outside(name, one["ports"], inner, stated.get("cluster") or "", namespace, tuple(service["addresses"])))
    return found


def _seen(seen: t.Optional[t.Mapping[str, t.Any]], port: int, transport: str, count: int, container: bool) -> Data:
    """What the modules answered, as far as it is about this port. A module that failed says why in its msg, and empty lists are no answer then."""
    if not seen or not seen.get("listens") or seen["listens"].get("skipped"):
        return {}
    listens, asked = seen["listens"], seen.get("answers") or {}
    if listens.get("unreachable") or "listeners" not in listens or (listens.get("msg") and not listens["findings"]):
        return {"looked": True, "reached": not listens.get("unreachable"), "unseen": _reason(listens, "no answer")}
    listeners = tuple(one for one in listens["listeners"] if one["port"] == port and one["transport"] == transport)
    veiled = container or not listeners or any(one.get("containers", ()) is None for one in listeners)
    answers = tuple(one for one in asked.get("answers") or [] if one["port"] == port and (one.get("labels") or {}).get("transport", "tcp") == transport)
    return {
        "looked": True,
        "listeners": listeners,
        "findings": tuple(one for one in listens["findings"] if _concerns(one, port, transport, veiled)),
        "answers": answers,
        "unasked": _reason(asked, f"{len(answers)} of {count} questions were answered") if len(answers) < count else "",
    }


def _reason(answer: t.Mapping[str, t.Any], otherwise: str) -> str:
    return " ".join(str(answer.get("msg") or otherwise).split())


def _concerns(finding: t.Mapping[str, t.Any], port: int, transport: str, veiled: bool) -> bool:
    """Whether a finding is about this port. One that names none (Docker does not answer) is about each port that a container may be behind."""
    if not finding["port"]:
        return finding["kind"] == "unknown" and veiled
    return finding["transport"] == transport and _holds(finding["port"], port)


def _holds(ports: str, port: int) -> bool:
    lo, _dash, hi = str(ports).partition("-")
    return int(lo) <= port <= int(hi or lo)
