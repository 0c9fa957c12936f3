# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of the ingress part of a plan, whichever proxy serves it: looked at before anything is rendered. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

A plan that was made from a port map is right already. The modules are for others too, and for them either proxy would find out at
another moment, say it in other words, or never.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import ProxyError

Data = dict[str, t.Any]

PROTOCOLS = ("http", "tcp", "udp")
OWN_PORTS = ("api", "metrics", "maintenance")

# A name becomes part of other names in both proxies' files, behind a dot.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
# What a request's path may begin with; a backtick would end it within Traefik's rule, and a mark of a template would be run.
_PATH = re.compile(r"/(?:(?!\{[{%#])[!-_a-~])*")


def check_ingress(ingress: Data) -> None:
    """Refuse what neither proxy could serve as it is meant. Raises ProxyError with the first that is found, KeyError for a key that is missing."""
    for section in ("entrypoints", "routes", "rate_limits"):
        if not isinstance(ingress[section], dict):
            raise ProxyError(f"ingress.{section}", ingress[section], "must be a mapping, by name")
        for name in ingress[section]:
            if not isinstance(name, str) or _NAME.fullmatch(name) is None:
                raise ProxyError(f"ingress.{section}", name, "is no name: letters, digits, _ and - make one")
    for name, entrypoint in ingress["entrypoints"].items():
        _entrypoint(f"ingress.entrypoints.{name}", entrypoint, ingress["entrypoints"])
    _doors(ingress)
    for name, limit in ingress["rate_limits"].items():
        for key in ("average", "burst"):
            _whole(f"ingress.rate_limits.{name}.{key}", limit[key], 1)
    taken: dict[tuple[t.Any, ...], str] = {}
    for name, route in ingress["routes"].items():
        _route(f"ingress.routes.{name}", route, ingress)
        _twins(name, route, ingress["entrypoints"][route["entrypoint"]], taken)


def _whole(path: str, value: t.Any, lowest: int, highest: t.Optional[int] = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest or (highest is not None and value > highest):
        raise ProxyError(path, value, f"must be a whole number, at least {lowest}" + (f" and at most {highest}" if highest is not None else ""))


def _port(path: str, value: t.Any) -> None:
    _whole(path, value, 1, 65535)


def _networks(path: str, networks: t.Any) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise ProxyError(path, network, "is no address and no network") from None


def _known(path: str, value: t.Any, found: t.Mapping[str, t.Any], what: str) -> None:
    if value not in found:
        raise ProxyError(path, value, f"is no {what}; there are {', '.join(sorted(found)) or 'none'}")


def _entrypoint(path: str, entrypoint: Data, others: Data) -> None:
    _port(f"{path}.port", entrypoint["port"])
    protocol = entrypoint.get("protocol", "http")
    if protocol not in PROTOCOLS:
        raise ProxyError(f"{path}.protocol", protocol, f"must be one of {', '.join(PROTOCOLS)}")
    if entrypoint.get("http3") and (protocol != "http" or not entrypoint["tls"]):
        raise ProxyError(f"{path}.http3", True, "is for http entrypoints with tls")
    target, front = entrypoint["redirect_to"], entrypoint["proxies_in_front"]
    if target:
        _known(f"{path}.redirect_to.entrypoint", target["entrypoint"], others, "entrypoint")
        _port(f"{path}.redirect_to.port", target["port"])
    if front:
        if not front["trusted"]:
            raise ProxyError(f"{path}.proxies_in_front.trusted", [], "must not be empty: nobody's word would count")
        _networks(f"{path}.proxies_in_front.trusted", front["trusted"])
        _whole(f"{path}.proxies_in_front.depth", front["depth"], 1)
        if front["proxy_protocol"] and front["terminates_tls"]:
            # The PROXY header puts the client's address in the place of the proxy's.
            raise ProxyError(f"{path}.proxies_in_front.terminates_tls", True, "is not possible beside proxy_protocol: nobody's word about https would count")


def _doors(ingress: Data) -> None:
    """Every port that is listened at, each once."""
    held: list[tuple[str, str, int, str]] = []  # transport, address, port, whose
    for name, entrypoint in ingress["entrypoints"].items():
        udp = entrypoint.get("protocol", "http") == "udp"
        transports = ["udp"] if udp else ["tcp", "udp"] if entrypoint.get("http3") else ["tcp"]
        for transport in transports:
            _door(held, transport, "", entrypoint["port"], f"ingress.entrypoints.{name}")
    for key in OWN_PORTS:
        place = ingress.get(key)
        if place:
            _port(f"ingress.{key}.port", place["port"])
            _door(held, "tcp", place["address"], place["port"], f"ingress.{key}")


def _door(held: list[tuple[str, str, int, str]], transport: str, address: str, port: int, whose: str) -> None:
    for other_transport, other_address, other_port, other in held:
        if (transport, port) == (other_transport, other_port) and (address == other_address or "" in (address, other_address)):
            raise ProxyError(f"{whose}.port", port, f"is {other}'s already ({transport})")
    held.append((transport, address, port, whose))


def _route(path: str, route: Data, ingress: Data) -> None:
    _known(f"{path}.entrypoint", route["entrypoint"], ingress["entrypoints"], "entrypoint")
    entrypoint = ingress["entrypoints"][route["entrypoint"]]
    protocol = entrypoint.get("protocol", "http")
    named = protocol == "http" or (protocol == "tcp" and entrypoint["tls"])
    if named and (not isinstance(route["host"], str) or _HOST.fullmatch(route["host"]) is None):
        raise ProxyError(f"{path}.host", route["host"], "must be the name of a host")
    if not named and route["host"] is not None:
        raise ProxyError(f"{path}.host", route["host"], f"must be null: over {protocol} without tls a client does not say which name it wants")
    if not isinstance(route["path"], str) or _PATH.fullmatch(route["path"]) is None:
        raise ProxyError(f"{path}.path", route["path"], "must be a path: / and ASCII without blanks, without a backtick, without {{, {% and {#")
    if route["allow"] is not None:
        if not route["allow"]:
            raise ProxyError(f"{path}.allow", [], "must not be empty; null lets everybody in")
        _networks(f"{path}.allow", route["allow"])
    if route["rate_limit"]:
        _known(f"{path}.rate_limit", route["rate_limit"], ingress["rate_limits"], "rate limit")
    if not route["dashboard"]:
        _backends(f"{path}.backends", route["backends"])
    canary = route.get("canary")
    if canary:
        _whole(f"{path}.canary.weight", canary["weight"], 1, 99)
        _backends(f"{path}.canary.backends", canary["backends"])


def _backends(path: str, backends: t.Any) -> None:
    if not backends:
        raise ProxyError(path, [], "must not be empty")
    for number, backend in enumerate(backends):
        address = backend["address"]
        try:
            ipaddress.ip_address(address)
        except ValueError:
            if not isinstance(address, str) or _HOST.fullmatch(address) is None:
                raise ProxyError(f"{path}[{number}].address", address, "is no address and no name") from None
        _port(f"{path}[{number}].port", backend["port"])


def _twins(name: str, route: Data, entrypoint: Data, taken: dict[tuple[t.Any, ...], str]) -> None:
    """No two routes for the same requests: which of them were served would be chance, and another one with each proxy."""
    host = (route["host"] or "").lower()
    prefix = route["path"].rstrip("/") if entrypoint.get("protocol", "http") == "http" else ""
    first = taken.setdefault((route["entrypoint"], host, prefix), name)
    if first != name:
        rule = (
            f"is route {first}'s already at entrypoint {route['entrypoint']}"
            if host
            else f"can't be told from route {first} at entrypoint {route['entrypoint']}"
        )
        raise ProxyError(f"ingress.routes.{name}", f"{host}{prefix}" or None, rule)
