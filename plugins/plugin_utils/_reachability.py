# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches what, by the plan: questions for the module probe, from one vantage host to the ports of others, and to its own.

What is expected of each question is decide() on both ends: what the vantage's policy lets out and the target's lets in.
How it is asked follows the protocol that the map gives the port.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import math
import re
import typing as t
from dataclasses import dataclass

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.alfred.portmap.plugins.plugin_utils._ends import Ends
from ansible_collections.alfred.portmap.plugins.plugin_utils._host_plan import VARIABLE

Data = dict[str, t.Any]

# Asked for where the map says nothing of them: nobody may be let in.
UNDECLARED = {"tcp": (2375, 8888, 31337, 60001), "udp": (161, 1900, 11211, 31337)}
UNDECLARED_SAMPLE = 2
NOT_LET_OUT = "not let out of the asking host"  # its own policy drops it: the target's is not put to the test
SPEAKS = ("100-599",)  # whatever its status, it is an answer in HTTP
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
LONGEST = 60  # seconds that the module probe waits for an answer at most
OWN_KINDS = ("postgresql", "redis", "ssh", "tls")  # protocols that are asked by a kind of the same name
WORLD = {"53": "dns", "123": "ntp"}  # udp ports of servers outside the inventory that every host depends on, and that answer anybody
MOST_SERVERS = 4  # of a rule
ROOT = {"name": ".", "type": "NS"}  # every resolver finds the root's name servers; of an answer to no name it is not known whether it is a right one
UDP_KINDS = ("dns", "ntp")  # the udp protocols that answer a question of which no harm comes


@dataclass(frozen=True)
class Checks:
    """What is looked at beyond the ports, as the run's variables have it."""

    days_left: int = 14  # for which a certificate must still be valid; 0: don't look
    trust: bool = False  # whether it must come from an authority that the asking host knows
    slow: float = 2.0  # seconds after which a right answer is a wrong one; 0: never
    passwords: frozenset[str] = frozenset()  # the Redis services that must ask for one
    maintenance: frozenset[str] = frozenset()  # routes that answer 503 with a page for now


def checks_from(data: t.Mapping[str, t.Any]) -> Checks:
    """Checks out of plain data; what is not said keeps its default. Raises ValueError."""
    known = {"days_left", "trust", "slow", "passwords", "maintenance"}
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(f"{unknown[0]} is unknown, there are {', '.join(sorted(known))}")
    usual = Checks()
    found = Checks(
        days_left=int(_number("days_left", data.get("days_left", usual.days_left))),
        trust=truth("trust", data.get("trust", usual.trust)),
        slow=_number("slow", data.get("slow", usual.slow)),
        passwords=frozenset(names("passwords", data.get("passwords", ()))),
        maintenance=frozenset(names("maintenance", data.get("maintenance", ()))),
    )
    if found.days_left < 0 or not 0 <= found.slow <= LONGEST:
        raise ValueError(f"days_left must not be negative, and slow must be from 0 to {LONGEST} seconds")
    return found


def _number(option: str, value: t.Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"{option} {value!r} must be a number")
    return found


def truth(option: str, value: t.Any) -> bool:
    """Yes or no as Ansible reads it: on the command line, as in `-e verify_full=false`, every value is a string. Raises ValueError."""
    try:
        return bool(boolean(value))
    except TypeError:
        raise ValueError(f"{option} {value!r} must be true or false") from None


def names(option: str, value: t.Any) -> list[str]:
    """A list of names; a string would be taken for the list of its letters. Raises ValueError."""
    if isinstance(value, (str, bytes, dict)) or not isinstance(value, t.Iterable):
        raise ValueError(f"{option} {value!r} must be a list of names")
    listed = list(value)
    if not all(isinstance(one, str) for one in listed):
        raise ValueError(f"{option} {listed!r} must be a list of names")
    return listed


def probes(
    plan: t.Mapping[str, t.Any],
    vantage: str,
    maintenance: t.Collection[str] = (),
    targets: t.Optional[t.Collection[str]] = None,
    local: bool = False,
    checks: t.Optional[Checks] = None,
) -> list[Data]:
    """All questions that a host of the inventory can ask, in a fixed order. Raises KeyError for a host that the plan does not know.

    A vantage outside the plan (port_map_managed: false) has no policy: everything leaves it.
    maintenance: routes that answer 503 with a page for now. targets: only ask these hosts; None: all of the plan.
    local: also ask the vantage itself about its own listeners, routes and certificates.
    """
    asker = Vantage(plan, vantage, checks or Checks(maintenance=frozenset(maintenance)))
    return asker.everything(plan["hosts"] if targets is None else targets, local)


class Vantage:
    """One host that asks."""

    def __init__(
        self,
        plan: t.Mapping[str, t.Any],
        name: str,
        checks: Checks,
        ends: t.Optional[Ends] = None,
        maintenance: t.Optional[t.Mapping[str, t.Collection[str]]] = None,
    ) -> None:
        """ends: shared by all vantages of a plan, so that each policy is read once. maintenance: routes of single hosts, besides the checks'."""
        self._plan = plan
        self._name = name
        self._checks = checks
        self._ends = ends or Ends(plan)
        self._maintenance = maintenance or {}
        self._own = self._ends.addresses(name)
        self._scraper, self._scrape_path = _scrape(plan)

    def everything(self, targets: t.Collection[str], local: bool) -> list[Data]:
        """What it asks of these hosts, and with local of itself."""
        found: list[Data] = []
        for target in self._plan["hosts"]:
            if target != self._name and target in targets:
                found += self.ports(target) + self.routes(target)
        if targets:
            found += self.world()
        return found + (self.itself() if local and self._name in self._plan["hosts"] else [])

    def _ways(self, host: str) -> list[tuple[str, str]]:
        """(own address, target's address) for each family that both have: the first ones, at which clients connect."""
        first = self._ends.addresses(host)
        return [(self._own[version], first[version]) for version in (4, 6) if version in first and version in self._own]

    def _passes(self, host: str, own: str, target: str, transport: str, port: int) -> tuple[bool, str]:
        """Whether both ends let the first packet pass, and the statement that does (or the end that does not)."""
        if host == self._name:
            return True, "it is the host itself"
        out = self._ends.leaves(self._name, own, target, transport, port)
        if out is not None and not out.accept:
            return False, NOT_LET_OUT
        verdict = self._ends.enters(host, own, target, transport, port)
        if verdict is None:
            return True, "no policy there"
        return verdict.accept, verdict.rule.origin if verdict.rule else verdict.reason

    # ports

    def ports(self, host: str) -> list[Data]:
        """Every listener of a host, and a sample of ports that the map says nothing of."""
        listeners = self._plan["hosts"][host]["listeners"]
        found = []
        for own, target in self._ways(host):
            for listener in listeners:
                question = self._listener(host, listener, own, target)
                if question:
                    found.append(question)
            for transport, ports in UNDECLARED.items():
                declared = [_span(listener) for listener in listeners if listener["transport"] == transport]
                unknown = [port for port in ports if not any(first <= port <= last for first, last in declared)]
                for port in unknown[:UNDECLARED_SAMPLE]:
                    passes, why = self._passes(host, own, target, transport, port)
                    if not passes:
                        labels = _labels(host, "undeclared", target, transport, planned="blocked")
                        found.append(_question(f"{host} undeclared port", target, port, transport, "blocked", why, labels))
        return found

    def _listener(self, host: str, listener: Data, own: str, target: str) -> t.Optional[Data]:
        port, transport = _first_port(listener), listener["transport"]
        passes, why = self._passes(host, own, target, transport, port)
        if why == VARIABLE:
            return None  # let in for a while, which may end while we ask
        labels = _labels(host, "port", target, transport, planned="open" if passes else "blocked", listener=listener["name"])
        name = f"{host} {listener['name']}"
        if not passes:
            return _question(name, target, port, transport, "blocked", why, labels)
        there = listener["bind"] == "any" or target in listener["bind"]
        manner = self._manner(host, listener)
        if not there or not listener["required"] or manner is None:
            return None  # let in, but nobody need be there, or answer: silence and a refusal prove nothing
        kind, details = manner
        return _question(name, target, port, kind, "open", why, labels, details)

    def _manner(self, host: str, listener: Data) -> t.Optional[tuple[str, Data]]:
        """How to ask whether a listener is well: (kind, its details). None: it need not answer anything that could be asked."""
        protocol, health = listener["protocol"], listener["health"]
        slow: Data = {"slower_than": self._checks.slow} if self._checks.slow else {}
        if listener["transport"] == "udp":
            return (protocol, slow) if protocol in UDP_KINDS else None
        if listener["name"].startswith("entrypoint "):
            return "tcp", {}  # what is behind it is asked for by routes
        if self._name in self._scraper and self._is_scraped(host, listener["name"]):
            scheme = "https" if protocol == "https" else "http"
            return "prometheus", {"http": {"scheme": scheme, "path": self._scrape_path}}  # Prometheus waits longer than people do
        if health and protocol in ("http", "https", "websocket"):
            return "http", {**slow, "http": {"scheme": "https" if protocol == "https" else "http", "path": health}}
        if protocol == "http":
            return "http", {**slow, "http": {"scheme": "http", "path": "/", "status": list(SPEAKS)}}
        if protocol == "redis":
            wanted = {listener["name"], listener["name"].split(".")[0]} & self._checks.passwords
            return "redis", {**slow, "redis": {"auth": "required" if wanted else "none"}}
        if protocol == "https":
            return "tls", slow
        return (protocol, slow) if protocol in OWN_KINDS else ("tcp", {})

    def _is_scraped(self, host: str, label: str) -> bool:
        policy = self._plan["hosts"][host]["firewall"]
        return policy is not None and any(
            rule["name"] == f"scrape {label}" and rule["origin"].endswith("firewall.internal.scrape") for rule in policy["ingress"]
        )

    # routes

    def routes(self, host: str) -> list[Data]:
        """Every public name that a host's proxy serves, and the redirects to it."""
        found = []
        for own, target in self._ways(host):
            found += self._routes_at(host, own, target)
        return found

    def _routes_at(self, host: str, own: str, target: str) -> list[Data]:
        ingress = self._plan["hosts"][host]["ingress"]
        found: list[Data] = []
        maintained = self._checks.maintenance.union(self._maintenance.get(host, ()))
        for name, route in ingress["routes"].items() if ingress else ():
            entrypoint = ingress["entrypoints"][route["entrypoint"]]
            if entrypoint["protocol"] != "http":
                continue  # its port is asked for as a listener; what is behind speaks for itself there
            if _talks_to_us(ingress, entrypoint) and self._passes(host, own, target, "tcp", entrypoint["port"])[0]:
                answer = _answer(route, entrypoint, own, name in maintained)
                labels = _labels(host, "route", target, "tcp", route=name)
                # Without a health path an answer takes what the page takes: no promise was made.
                slow: Data = {"slower_than": self._checks.slow} if self._checks.slow and route["health"] else {}
                details = {**slow, "http": answer}
                found.append(_question(f"{host} route {name}", target, entrypoint["port"], "http", "open", f"route {name}", labels, details))
            for from_name, redirecting in ingress["entrypoints"].items():
                leads_here = (redirecting["redirect_to"] or {}).get("entrypoint") == route["entrypoint"]
                if leads_here and _talks_to_us(ingress, redirecting) and self._passes(host, own, target, "tcp", redirecting["port"])[0]:
                    asked = {"http": _redirect(route, redirecting, entrypoint["port"])}
                    labels = _labels(host, "redirect", target, "tcp", route=name, listener=f"entrypoint {from_name}")
                    why = f"entrypoint {from_name}"
                    found.append(_question(f"{host} redirect {name}", target, redirecting["port"], "http", "open", why, labels, asked))
        return found

    # the world

    def world(self) -> list[Data]:
        """The name servers and time servers that it may call by egress rules: single addresses, of no host of the inventory."""
        policy = self._plan["hosts"].get(self._name, {}).get("firewall")
        found: dict[tuple[str, int], Data] = {}
        for rule in policy["egress"] if policy else ():
            ports = [port for port in rule["ports"] if port in WORLD] if rule["transport"] == "udp" else []
            servers = [one for network in rule["networks"] for one in self._plan["networks"][network] if "/" not in one and one not in self._ends.hosts]
            reachable = [one for one in servers if ipaddress.ip_address(one).version in self._own][:MOST_SERVERS]
            for server, port in ((server, port) for server in reachable for port in ports):
                labels = _labels(server, "world", server, "udp", listener=rule["name"])
                details: Data = {"slower_than": self._checks.slow} if self._checks.slow else {}
                if WORLD[port] == "dns":
                    details["dns"] = ROOT
                asked = _question(f"{server} {rule['name']}", server, int(port), WORLD[port], "open", rule["origin"], labels, details)
                found.setdefault((server, int(port)), asked)
        return list(found.values())

    # the host itself

    def itself(self) -> list[Data]:
        """Its own listeners, routes and certificates, each at every address at which it may be there: one right answer will do.

        A host does not always hold the addresses that others reach it at, and what listens on one of them is not on loopback.
        """
        found: list[Data] = []
        for listener in self._plan["hosts"][self._name]["listeners"]:
            manner = self._manner(self._name, listener)
            if manner is None or not listener["required"]:
                continue
            kind, details = manner
            for address in self._here(listener["bind"]):
                labels = _labels(self._name, "port", address, listener["transport"], listener=listener["name"], local=True)
                name = f"{self._name} {listener['name']}"
                found.append(_question(name, address, _first_port(listener), kind, "open", listener["origin"], labels, details))
        for address in self._here("any"):
            asked = self._routes_at(self._name, address, address)
            found += [{**question, "labels": {**question["labels"], "local": True}} for question in asked]
            found += self._certificates(address)
        return found

    def _here(self, bind: t.Union[str, list[str]]) -> list[str]:
        if bind == "loopback":
            return list(LOOPBACK.values())
        return [LOOPBACK[4], *self._own.values()] if bind == "any" else list(bind)

    def _certificates(self, address: str) -> list[Data]:
        """Each public name with TLS once: is its certificate for that name, and for how long."""
        ingress = self._plan["hosts"][self._name]["ingress"]
        found: dict[tuple[str, int], Data] = {}
        for name, route in ingress["routes"].items() if ingress else ():
            entrypoint = ingress["entrypoints"][route["entrypoint"]]
            port = entrypoint["port"]
            if not route["tls"] or route["host"] is None or (route["host"], port) in found or not _talks_to_us(ingress, entrypoint):
                continue
            tls = {"server_name": route["host"], "names": [route["host"]], "days_left": self._checks.days_left, "verify": self._checks.trust}
            labels = _labels(self._name, "certificate", address, "tcp", route=name, local=True)
            title = f"{self._name} certificate {route['host']}"
            found[route["host"], port] = _question(title, address, port, "tls", "open", f"route {name}", labels, {"tls": tls})
        return list(found.values())


def _scrape(plan: t.Mapping[str, t.Any]) -> tuple[tuple[str, ...], str]:
    """(the hosts that scrape, the path that they ask for)."""
    firewall = plan["port_map"].get("firewall")
    internal = firewall.get("internal") if isinstance(firewall, dict) else None
    scrape = (internal or {}).get("scrape")
    if not scrape:
        return (), ""
    return tuple(plan["services"].get(scrape["from"], {}).get("hosts", ())), scrape.get("path", "/metrics")


def _labels(
    host: str,
    check: str,
    target: str,
    transport: str,
    planned: str = "open",
    listener: str = "",
    route: str = "",
    local: bool = False,
) -> Data:
    """What a question is about; the module hands it back with the answer. check: port, undeclared, route, redirect, certificate or world."""
    return {
        "host": host,
        "check": check,
        "listener": listener,
        "route": route,
        "family": 6 if ":" in target else 4,
        "transport": transport,
        "planned": planned,
        "declared": check != "undeclared",
        "local": local,
    }


def _talks_to_us(ingress: Data, entrypoint: Data) -> bool:
    """nginx hangs up on whom the PROXY protocol does not introduce, where it is expected; Traefik takes both. Questions never speak it."""
    front = entrypoint["proxies_in_front"]
    return ingress["proxy"] != "nginx" or front is None or not front["proxy_protocol"]


def _answer(route: Data, entrypoint: Data, own: str, maintained: bool) -> Data:
    """What a route must answer to somebody without credentials."""
    front = entrypoint["proxies_in_front"]
    nameless = front is not None and not front["proxy_protocol"]  # the client is whom X-Forwarded-For names: here nobody
    asked: Data = {"scheme": "https" if route["tls"] else "http", "host": route["host"], "path": route["path"]}
    if route["allow"] is not None and (nameless or not any(_inside(own, network) for network in route["allow"])):
        return {**asked, "status": ["403"]}
    if route["auth"]:
        return {**asked, "status": ["401"]}
    if maintained:
        return {**asked, "status": ["503"]}
    if route["health"] and route["path"] == "/":
        return {**asked, "path": route["health"], "status": ["200-399"]}
    return {**asked, "status": ["200-403", "405-499"]}  # 404 is the proxy's own word for a name that it does not know


def _redirect(route: Data, redirecting: Data, port: int) -> Data:
    path = route["path"]
    front = redirecting["proxies_in_front"]
    if front is not None and front["terminates_tls"]:
        port = 443  # the public port is that of the proxy in front, not ours
    place = re.escape(route["host"]) + (r"(:443)?" if port == 443 else f":{port}")
    return {"scheme": "http", "host": route["host"], "path": path, "status": ["301", "308"], "location": f"https://{place}{re.escape(path)}"}


def _inside(address: str, network: str) -> bool:
    parsed, wide = ipaddress.ip_address(address), ipaddress.ip_network(network)
    return parsed.version == wide.version and parsed in wide


def _span(listener: Data) -> tuple[int, int]:
    first, _dash, last = listener["ports"].partition("-")
    return int(first), int(last or first)


def _first_port(listener: Data) -> int:
    return _span(listener)[0]


def _question(name: str, target: str, port: int, kind: str, expect: str, why: str, labels: Data, details: t.Optional[Data] = None) -> Data:
    return {"name": name, "target": target, "port": port, "kind": kind, "expect": expect, "why": why, "labels": labels, **(details or {})}
