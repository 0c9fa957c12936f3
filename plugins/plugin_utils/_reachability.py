# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches what, by the plan: questions for the module probe, from one vantage host to every port of every other host.

What is expected of each question is decide() on both ends: what the vantage's policy lets out and the target's lets in.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._ends import Ends

Data = dict[str, t.Any]

UNDECLARED = (2375, 8888, 31337, 60001)  # asked for where the map says nothing of them: nobody may be let in
UNDECLARED_SAMPLE = 2
NOT_LET_OUT = "not let out of the asking host"  # its own policy drops it: the target's is not put to the test


def probes(plan: t.Mapping[str, t.Any], vantage: str, maintenance: t.Collection[str] = ()) -> list[Data]:
    """All questions that a host of the inventory can ask, in a fixed order. Raises KeyError for a host that the plan does not know.

    A vantage outside the plan (port_map_managed: false) has no policy: everything leaves it.
    maintenance: routes that answer 503 with a page for now.
    """
    asker = _Vantage(plan, vantage, maintenance)
    found: list[Data] = []
    for target in plan["hosts"]:
        if target != vantage:
            found += asker.ports(target)
            found += asker.routes(target)
    return found


class _Vantage:
    def __init__(self, plan: t.Mapping[str, t.Any], name: str, maintenance: t.Collection[str]) -> None:
        self._plan = plan
        self._maintenance = maintenance
        self._name = name
        self._ends = Ends(plan)
        self._own = self._ends.addresses(name)

    def _ways(self, host: str) -> list[tuple[str, str]]:
        """(own address, target's address) for each family that both have: the first ones, at which clients connect."""
        first = self._ends.addresses(host)
        return [(self._own[version], first[version]) for version in (4, 6) if version in first and version in self._own]

    def _passes(self, host: str, own: str, target: str, transport: str, port: int) -> tuple[bool, str]:
        """Whether both ends let the first packet pass, and the statement that does (or the end that does not)."""
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
            declared = {_first_port(listener) for listener in listeners}
            for port in [port for port in UNDECLARED if port not in declared][:UNDECLARED_SAMPLE]:
                passes, why = self._passes(host, own, target, "tcp", port)
                if not passes:
                    found.append(_question(f"{host} undeclared port", target, port, "tcp", "blocked", why))
        return found

    def _listener(self, host: str, listener: Data, own: str, target: str) -> t.Optional[Data]:
        port = _first_port(listener)
        passes, why = self._passes(host, own, target, listener["transport"], port)
        name = f"{host} {listener['name']}"
        if not passes:
            return _question(name, target, port, listener["transport"], "blocked", why)
        there = listener["bind"] == "any" or target in listener["bind"]
        if not there or not listener["required"]:
            return None  # let in, but nobody need be there: a refusal proves nothing
        if listener["transport"] == "udp":
            return _question(name, target, port, "dns", "open", why) if listener["protocol"] == "dns" else None
        if listener["health"] and listener["protocol"] in ("http", "https", "websocket"):
            scheme = "https" if listener["protocol"] == "https" else "http"
            return _question(name, target, port, "http", "open", why, {"scheme": scheme, "path": listener["health"]})
        return _question(name, target, port, "tcp", "open", why)

    # routes

    def routes(self, host: str) -> list[Data]:
        """Every public name that a host's proxy serves, and the redirects to it."""
        ingress = self._plan["hosts"][host]["ingress"]
        if ingress is None:
            return []
        found = []
        for own, target in self._ways(host):
            for name, route in ingress["routes"].items():
                entrypoint = ingress["entrypoints"][route["entrypoint"]]
                if entrypoint["protocol"] != "http":
                    continue  # its port is asked for as a listener; what is behind speaks for itself there
                if self._passes(host, own, target, "tcp", entrypoint["port"])[0]:
                    answer = _answer(route, entrypoint, own, name in self._maintenance)
                    found.append(_question(f"{host} route {name}", target, entrypoint["port"], "http", "open", f"route {name}", answer))
                for from_name, redirecting in ingress["entrypoints"].items():
                    leads_here = (redirecting["redirect_to"] or {}).get("entrypoint") == route["entrypoint"]
                    if leads_here and self._passes(host, own, target, "tcp", redirecting["port"])[0]:
                        asked = _redirect(route, redirecting, entrypoint["port"])
                        found.append(_question(f"{host} redirect {name}", target, redirecting["port"], "http", "open", f"entrypoint {from_name}", asked))
        return found


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


def _first_port(listener: Data) -> int:
    return int(listener["ports"].split("-")[0])


def _question(name: str, target: str, port: int, kind: str, expect: str, why: str, http: t.Optional[Data] = None) -> Data:
    return {"name": name, "target": target, "port": port, "kind": kind, "expect": expect, "why": why, **({"http": http} if http else {})}
