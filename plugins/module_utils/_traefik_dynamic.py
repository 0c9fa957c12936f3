# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the ingress part of a plan to Traefik's dynamic configuration, which a running Traefik takes up by itself. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import COMPRESSED, Options, ProxyError, text, users_of
from ansible_collections.alfred.portmap.plugins.module_utils._traefik import (
    API_ENTRYPOINT,
    API_USER,
    INTERNAL_API,
    KEEP,
    REVISION_HEADER,
    Data,
    place,
    pruned,
)
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_acme import router_tls
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_static import ends_tls_in_front
from ansible_collections.alfred.portmap.plugins.module_utils._yaml import dump

IPV6_CLIENT = 64  # bits of an IPv6 address that make one client
SCHEMES = {"http": "http", "websocket": "http", "https": "https", "grpc": "h2c"}
TLS_VERSIONS = {"1.2": "VersionTLS12", "1.3": "VersionTLS13"}
# Our own objects of the dynamic configuration.
SECRET, REVISION, HEADERS, COMPRESS = "portmap.secret", "portmap.revision", "portmap.headers", "portmap.compress"
MAINTENANCE, BACKENDS = "portmap.maintenance", "portmap.backends"
_RULE_TEXT = re.compile(r"[^`\x00-\x1f\x7f]+")


class Parts:
    """The maps that are filled route by route."""

    def __init__(self, ingress: Data, options: Options, acme: t.Optional[Data]) -> None:
        self.ingress, self.options, self.acme = ingress, options, acme
        self.http: dict[str, Data] = {"routers": {}, "services": {}, "middlewares": {}, "serversTransports": {}}
        self.tcp: dict[str, Data] = {"routers": {}, "services": {}, "middlewares": {}}
        self.udp: dict[str, Data] = {"routers": {}, "services": {}}


def render_dynamic(ingress: Data, options: Options, acme: t.Optional[Data] = None, token: str = "") -> Data:
    """The dynamic configuration. token: what the API asks for. Raises ProxyError.

    Its own SHA-256 is a header of the API's answers, which so say what they are the answers of: the rest of the file, down to the
    TLS options, which the API does not show.
    """
    parts = Parts(ingress, options, acme)
    for name, route in ingress["routes"].items():
        entrypoint = ingress["entrypoints"].get(route["entrypoint"])
        if entrypoint is None:
            known = ", ".join(sorted(ingress["entrypoints"])) or "none"
            raise ProxyError(f"ingress.routes.{name}.entrypoint", route["entrypoint"], f"is no entrypoint; there are {known}")
        {"http": _http, "tcp": _tcp, "udp": _udp}[entrypoint.get("protocol", "http")](parts, name, route, entrypoint)
    if ingress["api"]:
        parts.http["middlewares"][SECRET] = {"basicAuth": {"users": [f"{API_USER}:{token_hash(token)}"], "removeHeader": True}}
        guards = [SECRET, REVISION]
        parts.http["routers"][API_ENTRYPOINT] = {"entryPoints": [API_ENTRYPOINT], "rule": "PathPrefix(`/api`)", "service": INTERNAL_API, "middlewares": guards}
    made = t.cast(Data, pruned({"http": parts.http, "tcp": parts.tcp, "udp": parts.udp, "tls": _tls(options)}))
    if ingress["api"]:
        made["http"]["middlewares"][REVISION] = {"headers": {"customResponseHeaders": {REVISION_HEADER: hashlib.sha256(dump(made).encode()).hexdigest()}}}
    return made


def revision(dynamic: Data) -> str:
    """What the API calls this configuration."""
    found = dynamic["http"]["middlewares"][REVISION]["headers"]["customResponseHeaders"][REVISION_HEADER]
    return t.cast(str, found)


def token_hash(token: str) -> str:
    """The API's password as Traefik compares it. One round of SHA-1 will do: there are 2^256 tokens to try, and no list of likely ones;
    bcrypt would be paid for at each of our questions.
    """
    return "{SHA}" + base64.b64encode(hashlib.sha1(token.encode(), usedforsecurity=False).digest()).decode()


def go_duration(seconds: int) -> str:
    """As Go writes it, so that what runs can be compared: 90 is 1m30s."""
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{rest}s"


# http


def _http(parts: Parts, name: str, route: Data, entrypoint: Data) -> None:
    path = f"ingress.routes.{name}"
    if route.get("passthrough"):
        raise ProxyError(f"{path}.passthrough", True, "is for routes of tcp entrypoints with tls")
    for key in ("host", "path"):
        if _RULE_TEXT.fullmatch(text(f"{path}.{key}", route[key])) is None:
            raise ProxyError(f"{path}.{key}", route[key], "must not have a backtick, which would end it within Traefik's rule")
    chain = _guards(parts, name, route, entrypoint)
    maintained = name in parts.options.maintenance
    service = _maintenance(parts, name) if maintained else INTERNAL_API if route["dashboard"] else _service(parts, name, route)
    for suffix, router in _routers(parts, name, route, service, maintained):
        own = router.pop("middlewares", [])
        tls = _router_tls(parts, route)
        parts.http["routers"][name + suffix] = {"entryPoints": [route["entrypoint"]], **router, "middlewares": [*chain, *own], "tls": tls}
        for other, redirecting in parts.ingress["entrypoints"].items():
            leads_here = (redirecting["redirect_to"] or {}).get("entrypoint") == route["entrypoint"]
            if leads_here and ends_tls_in_front(redirecting):
                parts.http["middlewares"]["to-https"] = {"redirectScheme": {"scheme": "https", "permanent": True}}
                # What comes by https in front is served from here, past the proxies of this entrypoint.
                guards = ["to-https", *_guards(parts, name, route, redirecting), *own]
                parts.http["routers"][f"{name}{suffix}.at-{other}"] = {"entryPoints": [other], **router, "middlewares": guards}


def _routers(parts: Parts, name: str, route: Data, service: str, maintained: bool) -> t.Iterator[tuple[str, Data]]:
    host = f"Host(`{route['host']}`)"
    if not route["dashboard"] or maintained:
        path = "" if route["path"] == "/" or route["dashboard"] else f" && PathPrefix(`{route['path']}`)"
        yield "", {"rule": host + path, "service": service}
        return
    parts.http["middlewares"][f"home-{name}"] = {"redirectRegex": {"regex": "^(https?://[^/]+)/.*$", "replacement": "${1}/dashboard/"}}
    yield "", {"rule": f"{host} && (PathPrefix(`/api`) || PathPrefix(`/dashboard/`))", "service": service}
    yield ".home", {"rule": host, "service": service, "middlewares": [f"home-{name}"]}


def _router_tls(parts: Parts, route: Data) -> t.Any:
    if not route["tls"]:
        return None
    return router_tls(parts.acme) if parts.acme and route["host"] else KEEP


def _guards(parts: Parts, name: str, route: Data, entrypoint: Data) -> list[str]:
    """The middlewares of a route at an entrypoint, in their order: what is said on every answer, be it a refusal, then what keeps people
    out, the cheapest first. Each is put into the middlewares.
    """
    path, made = f"ingress.routes.{name}", parts.http["middlewares"]
    front = entrypoint["proxies_in_front"]
    # Traefik takes the client's address out of X-Forwarded-For only if told how deep to look, trusted or not.
    depth = {"depth": front["depth"]} if front and not front["proxy_protocol"] else {}
    suffix = f".depth{front['depth']}" if depth else ""
    chain = []
    if parts.options.headers:
        chain.append(HEADERS)
        made[HEADERS] = {"headers": {"customResponseHeaders": dict(parts.options.headers)}}
    if parts.options.compression:
        chain.append(COMPRESS)
        made[COMPRESS] = {"compress": {"includedContentTypes": list(COMPRESSED)}}
    if _allowed(path, route):
        chain.append(f"allow-{name}{suffix}")
        made[chain[-1]] = {"ipAllowList": {"sourceRange": route["allow"], "ipStrategy": depth}}
    if route["rate_limit"]:
        limit = _limit(parts, path, route["rate_limit"])
        chain.append(f"limit-{route['rate_limit']}{suffix}")
        strategy = {**depth, "ipv6Subnet": IPV6_CLIENT}
        made[chain[-1]] = {"rateLimit": {"average": limit["average"], "burst": limit["burst"], "period": "1s", "sourceCriterion": {"ipStrategy": strategy}}}
    if route["auth"]:
        lines = [f"{user}:{hashed}" for user, hashed in users_of(name, route["auth"], parts.options.users)]
        chain.append(f"auth-{route['auth']}")
        made[chain[-1]] = {"basicAuth": {"users": lines, "removeHeader": True}}
    return chain


def _allowed(path: str, route: Data) -> t.Any:
    if route["allow"] == []:
        raise ProxyError(f"{path}.allow", [], "must not be empty; null lets everybody in")
    return route["allow"]


def _limit(parts: Parts, path: str, name: str) -> Data:
    limits = parts.ingress["rate_limits"]
    if name not in limits:
        raise ProxyError(f"{path}.rate_limit", name, f"is no rate limit; there are {', '.join(sorted(limits)) or 'none'}")
    for key in ("average", "burst"):
        if limits[name][key] < 1:
            raise ProxyError(f"ingress.rate_limits.{name}.{key}", limits[name][key], "must be at least 1; Traefik takes 0 for no limit")
    return t.cast(Data, limits[name])


def _maintenance(parts: Parts, name: str) -> str:
    server = parts.ingress.get("maintenance")
    if not server:
        rule = (
            "can't be shown a page: Traefik makes none by itself and has no port for a page server."
            " Give the map's service proxy one: `ports: {maintenance: {port: 8882, protocol: http, bind: loopback}}`"
        )
        raise ProxyError("maintenance", name, rule)
    parts.http["services"][MAINTENANCE] = {"loadBalancer": {"servers": [{"url": f"http://{place(server)}"}]}}
    return MAINTENANCE


def _service(parts: Parts, name: str, route: Data) -> str:
    """The service of a route; with a canary one that shares requests out between two."""
    services, canary, path = parts.http["services"], route.get("canary"), f"ingress.routes.{name}"
    if not canary:
        services[name] = _balancer(parts, path, route, route, f"portmap-{name}")
        return name
    services[f"{name}.main"] = _balancer(parts, path, route, route, f"portmap-{name}-main")
    services[f"{name}.canary"] = _balancer(parts, f"{path}.canary", route, canary, f"portmap-{name}-canary")
    weight = _weight(path, canary)
    shares = [{"name": f"{name}.main", "weight": 100 - weight}, {"name": f"{name}.canary", "weight": weight}]
    services[name] = {"weighted": {"services": shares, "sticky": _sticky(route, f"portmap-{name}")}}
    return name


def _weight(path: str, canary: Data) -> int:
    weight = canary["weight"]
    if not isinstance(weight, int) or not 1 <= weight <= 99:
        raise ProxyError(f"{path}.canary.weight", weight, "must be a whole number from 1 to 99 (percent)")
    return weight


def _sticky(route: Data, name: str) -> Data:
    """A cookie that keeps a browser at one place; over plain http no browser would send one that is secure."""
    if not route.get("sticky"):
        return {}
    return {"cookie": {"name": name, "httpOnly": True, "sameSite": "lax", **({"secure": True} if route["tls"] else {})}}


def _balancer(parts: Parts, path: str, route: Data, served: Data, cookie: str) -> Data:
    if not served["backends"]:
        raise ProxyError(f"{path}.backends", [], "must not be empty")
    scheme = SCHEMES.get(served["protocol"])
    if scheme is None:
        raise ProxyError(f"{path}.protocol", served["protocol"], f"must be one of {', '.join(SCHEMES)}")
    balancer: Data = {"servers": [{"url": f"{scheme}://{place(backend)}"} for backend in served["backends"]]}
    several = len(served["backends"]) > 1
    if several:
        balancer["sticky"] = _sticky(route, cookie)
    if several and served.get("health"):
        every, within = go_duration(parts.options.health_interval), go_duration(parts.options.health_timeout)
        checks = {"path": text(f"{path}.health", served["health"]), "interval": every, "timeout": within}
        balancer["healthCheck"] = {**checks, **({"mode": "grpc"} if served["protocol"] == "grpc" else {})}
    if scheme == "https":
        balancer["serversTransport"] = _transport(parts)
    return {"loadBalancer": balancer}


def _transport(parts: Parts) -> t.Optional[str]:
    """How TLS to backends is checked; None: as Traefik does by itself, by the address and the system's authorities."""
    options = parts.options
    made = {
        "insecureSkipVerify": None if options.verify_backends else True,
        "rootCAs": [options.backend_ca] if options.backend_ca else [],
        "serverName": options.backend_name,
    }
    if not pruned(made):
        return None
    parts.http["serversTransports"][BACKENDS] = made
    return BACKENDS


# tcp and udp


def _refuse(path: str, route: Data, keys: t.Iterable[str], protocol: str) -> None:
    for key in keys:
        if route.get(key):
            raise ProxyError(f"{path}.{key}", route[key], f"is not for {protocol}")


def _tcp(parts: Parts, name: str, route: Data, entrypoint: Data) -> None:
    path = f"ingress.routes.{name}"
    _refuse(path, route, ("rate_limit", "auth", "sticky", "dashboard"), "tcp")
    _refuse_maintenance(parts, name, "tcp")
    if not route["tls"] and (route["host"] or route.get("passthrough")):
        key = "host" if route["host"] else "passthrough"
        raise ProxyError(f"{path}.{key}", route[key], "needs tls: without it a client does not say which name it wants")
    host = text(f"{path}.host", route["host"]) if route["host"] else "*"
    if _RULE_TEXT.fullmatch(host) is None:
        raise ProxyError(f"{path}.host", host, "must not have a backtick, which would end it within Traefik's rule")
    router: Data = {"entryPoints": [route["entrypoint"]], "rule": f"HostSNI(`{host}`)", "service": _plain_service(parts.tcp, path, name, route)}
    if _allowed(path, route):
        parts.tcp["middlewares"][f"allow-{name}"] = {"ipAllowList": {"sourceRange": route["allow"]}}
        router["middlewares"] = [f"allow-{name}"]
    router["tls"] = {"passthrough": True} if route.get("passthrough") else _router_tls(parts, route)
    parts.tcp["routers"][name] = router


def _udp(parts: Parts, name: str, route: Data, entrypoint: Data) -> None:
    path = f"ingress.routes.{name}"
    _refuse(path, route, ("host", "tls", "passthrough", "allow", "rate_limit", "auth", "sticky", "dashboard"), "udp")
    _refuse_maintenance(parts, name, "udp")
    parts.udp["routers"][name] = {"entryPoints": [route["entrypoint"]], "service": _plain_service(parts.udp, path, name, route)}


def _refuse_maintenance(parts: Parts, name: str, protocol: str) -> None:
    if name in parts.options.maintenance:
        raise ProxyError("maintenance", name, f"is a route of {protocol}, which knows no pages")


def _plain_service(section: dict[str, Data], path: str, name: str, route: Data) -> str:
    services, canary = section["services"], route.get("canary")
    if not canary:
        services[name] = _plain_balancer(path, route)
        return name
    services[f"{name}.main"], services[f"{name}.canary"] = _plain_balancer(path, route), _plain_balancer(f"{path}.canary", canary)
    weight = _weight(path, canary)
    services[name] = {"weighted": {"services": [{"name": f"{name}.main", "weight": 100 - weight}, {"name": f"{name}.canary", "weight": weight}]}}
    return name


def _plain_balancer(path: str, served: Data) -> Data:
    if not served["backends"]:
        raise ProxyError(f"{path}.backends", [], "must not be empty")
    return {"loadBalancer": {"servers": [{"address": place(backend)} for backend in served["backends"]]}}


def _tls(options: Options) -> Data:
    pairs = [{"certFile": one.cert_file, "keyFile": one.key_file} for one in options.certificates]
    default = {"default": {"defaultCertificate": pairs[0]}} if pairs else {}
    settings = {"minVersion": TLS_VERSIONS[options.minimum], "cipherSuites": list(options.ciphers)}
    return {"certificates": pairs, "stores": default, "options": {"default": settings}}


def masked(dynamic: Data) -> Data:
    """The dynamic configuration without password hashes, to show. Ours of the API and what follows from it are left out too."""
    shown: Data = {}
    for key, value in dynamic.items():
        if key == "basicAuth":
            shown[key] = {**value, "users": [user.split(":", 1)[0] + ":(hidden)" for user in value["users"]]}
        elif key == REVISION_HEADER:
            shown[key] = "(of this text with its hashes)"
        else:
            shown[key] = masked(value) if isinstance(value, dict) else value
    return shown
