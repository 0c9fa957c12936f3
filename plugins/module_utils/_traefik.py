# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the ingress part of a plan to Traefik's static and dynamic configuration: pure, and only keys that we own.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Traefik drops unknown keys at the root of a file silently and refuses a whole directory for one bad nested key, so nothing of a
user's is passed through. Every file goes through Go's template engine first: `{{` is refused everywhere.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

Data = dict[str, t.Any]
Users = t.Mapping[str, t.Sequence[t.Mapping[str, str]]]  # by list: name and hash

# Our own entrypoints beside the map's. A name in a map has no dot: whatever we name after one has, or a prefix for each kind.
API_ENTRYPOINT = "portmap.api"
METRICS_ENTRYPOINT = "portmap.metrics"
RESOLVER = "acme"
INTERNAL_API = "api@internal"
IPV6_CLIENT = 64  # bits of an IPv6 address that make one client

# What Traefik compares passwords with; $5$, $6$ and plain text it takes without a word and then answers 401 for ever.
HASHES = re.compile(
    r"\$2[abxy]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}"  # bcrypt
    r"|\$apr1\$[^$:]{1,8}\$[./A-Za-z0-9]{22}"  # Apache's MD5
    r"|\$1\$[^$:]{1,8}\$[./A-Za-z0-9]{22}"  # crypt's MD5
    r"|\{SHA\}[+/A-Za-z0-9]{27}="
)
SCHEMES = {"http": "http", "websocket": "http", "https": "https", "grpc": "h2c"}


class TraefikError(ValueError):
    """The configuration can't be rendered: which option, which value, why."""


def pruned(value: t.Any) -> t.Any:
    """Without empty mappings and lists, which Traefik takes for errors; `tls: {}` is kept by writing KEEP."""
    if isinstance(value, dict):
        inner = {key: pruned(item) for key, item in value.items()}
        return {key: {} if item is KEEP else item for key, item in inner.items() if item not in ({}, [], None)}
    if isinstance(value, list):
        return [pruned(item) for item in value]
    return value


class _Keep:
    """Stands for an empty mapping that means something."""


KEEP = _Keep()


def render_static(ingress: Data, tls: Data, directory: str, access_log: bool = False, log_level: str = "INFO") -> Data:
    """The static configuration: whatever of it changes needs a restart.

    directory: the one that Traefik watches for dynamic configuration.
    """
    entrypoints = {name: _entrypoint(entrypoint) for name, entrypoint in ingress["entrypoints"].items()}
    static: Data = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": log_level},
        "accessLog": KEEP if access_log else None,
        "providers": {"file": {"directory": directory, "watch": True}},
        "certificatesResolvers": _resolvers(ingress, tls),
    }
    if ingress["api"]:
        _require_loopback(ingress["api"]["address"])
        entrypoints[API_ENTRYPOINT] = {"address": _address(ingress["api"])}
        static["api"] = {"dashboard": True, "insecure": False}
    if ingress["metrics"]:
        entrypoints[METRICS_ENTRYPOINT] = {"address": _address(ingress["metrics"])}
        static["metrics"] = {"prometheus": {"entryPoint": METRICS_ENTRYPOINT}}
    return t.cast(Data, pruned({**static, "entryPoints": entrypoints}))


def _require_loopback(address: str) -> None:
    """The API asks for no password, and shows every password's hash."""
    try:
        if ipaddress.ip_address(address).is_loopback:
            return
    except ValueError:
        pass  # a name, or "" for any address
    raise TraefikError(f"ingress.api.address: {address!r} must be a loopback address (in a map: `bind: loopback` of service proxy)")


def _address(place: Data) -> str:
    address = f"[{place['address']}]" if ":" in place["address"] else place["address"]
    return f"{address}:{place['port']}"


def _entrypoint(entrypoint: Data) -> Data:
    front = entrypoint["proxies_in_front"]
    rendered: Data = {"address": f":{entrypoint['port']}"}
    target = entrypoint["redirect_to"]
    if target and not _ends_tls_in_front(entrypoint):
        # By port and not by name: a name would put the entrypoint's own port into Location even where it is not the public one.
        rendered["http"] = {"redirections": {"entryPoint": {"to": f":{target['port']}", "scheme": "https", "permanent": True}}}
    if front:
        rendered["forwardedHeaders"] = {"trustedIPs": front["trusted"]}
        if front["proxy_protocol"]:
            rendered["proxyProtocol"] = {"trustedIPs": front["trusted"]}
    return rendered


def _ends_tls_in_front(entrypoint: Data) -> bool:
    """Where a load balancer ends TLS, all requests come by http, and a redirect of the whole entrypoint would never end."""
    front = entrypoint["proxies_in_front"]
    return bool(front and front["terminates_tls"])


def _resolvers(ingress: Data, tls: Data) -> Data:
    acme = tls.get("acme")
    if not acme:
        return {}
    challenge: Data
    if acme["challenge"] == "dns":
        if not acme["dns_provider"]:
            raise TraefikError("tls.acme.dns_provider: the dns challenge needs one")
        challenge = {"dnsChallenge": {"provider": acme["dns_provider"]}}
    elif acme["challenge"] == "tls":
        challenge = {"tlsChallenge": KEEP}
    else:
        plain = [name for name, entrypoint in ingress["entrypoints"].items() if not entrypoint["tls"] and entrypoint["port"] == 80]
        if not plain:
            raise TraefikError("tls.acme.challenge: the http challenge needs an entrypoint on port 80 without tls")
        challenge = {"httpChallenge": {"entryPoint": plain[0]}}
    return {RESOLVER: {"acme": {"email": acme["email"], "storage": acme["storage"], "caServer": acme["ca_server"], **challenge}}}


def render_dynamic(ingress: Data, tls: Data, users: Users) -> Data:
    """The dynamic configuration, which a running Traefik takes up by itself.

    Raises TraefikError for a list of users that is not there, or a hash that Traefik would never accept.
    """
    routers: Data = {}
    services: Data = {}
    middlewares: Data = {}
    for name, route in ingress["routes"].items():
        entrypoint = ingress["entrypoints"].get(route["entrypoint"])
        if entrypoint is None:
            raise TraefikError(f"ingress.routes.{name}.entrypoint: there is no entrypoint {route['entrypoint']!r}")
        chain = _guards(name, route, ingress, entrypoint, users, middlewares)
        if not route["dashboard"]:
            services[name] = {"loadBalancer": {"servers": _servers(name, route)}}
        for suffix, router in _routers(name, route, middlewares):
            own = router.pop("middlewares", [])
            routers[name + suffix] = {"entryPoints": [route["entrypoint"]], **router, "middlewares": [*chain, *own], "tls": _router_tls(route, tls)}
            for other, redirecting in ingress["entrypoints"].items():
                leads_here = (redirecting["redirect_to"] or {}).get("entrypoint") == route["entrypoint"]
                if leads_here and _ends_tls_in_front(redirecting):
                    middlewares["to-https"] = {"redirectScheme": {"scheme": "https", "permanent": True}}
                    # What comes by https in front is served from here, past the proxies of this entrypoint.
                    guards = ["to-https", *_guards(name, route, ingress, redirecting, users, middlewares), *own]
                    routers[f"{name}{suffix}.at-{other}"] = {"entryPoints": [other], **router, "middlewares": guards}
    if ingress["api"]:
        routers[API_ENTRYPOINT] = {"entryPoints": [API_ENTRYPOINT], "rule": "PathPrefix(`/api`)", "service": INTERNAL_API}
    return t.cast(Data, pruned({"http": {"routers": routers, "services": services, "middlewares": middlewares}, "tls": _tls(tls)}))


def _routers(name: str, route: Data, middlewares: Data) -> t.Iterator[tuple[str, Data]]:
    for key in ("host", "path"):
        if "`" in route[key]:
            raise TraefikError(f"ingress.routes.{name}.{key}: {route[key]!r} has a backtick, which would end it within Traefik's rule")
    host = f"Host(`{route['host']}`)"
    if not route["dashboard"]:
        path = "" if route["path"] == "/" else f" && PathPrefix(`{route['path']}`)"
        yield "", {"rule": host + path, "service": name}
        return
    middlewares[f"home-{name}"] = {"redirectRegex": {"regex": "^(https?://[^/]+)/.*$", "replacement": "${1}/dashboard/"}}
    yield "", {"rule": f"{host} && (PathPrefix(`/api`) || PathPrefix(`/dashboard/`))", "service": INTERNAL_API}
    yield ".home", {"rule": host, "service": INTERNAL_API, "middlewares": [f"home-{name}"]}


def _router_tls(route: Data, tls: Data) -> t.Any:
    if not route["tls"]:
        return None
    return {"certResolver": RESOLVER} if tls.get("acme") else KEEP


def _guards(name: str, route: Data, ingress: Data, entrypoint: Data, users: Users, middlewares: Data) -> list[str]:
    """The middlewares that keep people out of a route at an entrypoint, in their order; each is put into middlewares."""
    front = entrypoint["proxies_in_front"]
    # Traefik takes the client's address out of X-Forwarded-For only if told how deep to look, trusted or not.
    depth = {"depth": front["depth"]} if front and not front["proxy_protocol"] else {}
    suffix = f".depth{front['depth']}" if depth else ""
    chain = []
    if route["allow"] == []:
        raise TraefikError(f"ingress.routes.{name}.allow: must not be empty; null lets everybody in")
    if route["allow"]:
        chain.append(f"allow-{name}{suffix}")
        middlewares[chain[-1]] = {"ipAllowList": {"sourceRange": route["allow"], "ipStrategy": depth}}
    if route["rate_limit"]:
        limit = ingress["rate_limits"].get(route["rate_limit"])
        if limit is None:
            raise TraefikError(f"ingress.routes.{name}.rate_limit: there is no rate limit {route['rate_limit']!r}")
        if min(limit["average"], limit["burst"]) < 1:
            raise TraefikError(f"ingress.rate_limits.{route['rate_limit']}: average and burst must be at least 1; Traefik takes 0 for no limit")
        chain.append(f"limit-{route['rate_limit']}{suffix}")
        strategy = {**depth, "ipv6Subnet": IPV6_CLIENT}
        middlewares[chain[-1]] = {
            "rateLimit": {"average": limit["average"], "burst": limit["burst"], "period": "1s", "sourceCriterion": {"ipStrategy": strategy}}
        }
    if route["auth"]:
        chain.append(f"auth-{route['auth']}")
        middlewares[chain[-1]] = {"basicAuth": {"users": _users(name, route["auth"], users), "removeHeader": True}}
    return chain


def _users(route: str, listed: str, users: Users) -> list[str]:
    if not users.get(listed):
        raise TraefikError(f"users: route {route} needs the list {listed!r}, which is missing or empty: nobody could get in")
    lines: list[str] = []
    for user in users[listed]:
        name = user["name"]
        if not name or ":" in name or name != name.strip():
            raise TraefikError(f"users: list {listed}: {name!r} must be a name without a colon, and without blanks around it")
        if HASHES.fullmatch(user["hash"]) is None:
            kinds = "bcrypt, apr1, MD5-crypt and {SHA}"
            raise TraefikError(f"users: list {listed}: the hash of {name} is none of Traefik's kinds ({kinds}): it would refuse every password")
        if any(line.startswith(f"{name}:") for line in lines):
            raise TraefikError(f"users: list {listed}: {name} is on it twice")
        lines.append(f"{name}:{user['hash']}")
    return lines


def _servers(name: str, route: Data) -> list[Data]:
    if not route["backends"]:
        raise TraefikError(f"ingress.routes.{name}.backends: must not be empty")
    scheme = SCHEMES.get(route["protocol"])
    if scheme is None:
        raise TraefikError(f"ingress.routes.{name}.protocol: {route['protocol']!r} must be one of {', '.join(SCHEMES)}")
    return [{"url": f"{scheme}://{_address(backend)}"} for backend in route["backends"]]


def _tls(tls: Data) -> Data:
    pairs = [{"certFile": one["cert_file"], "keyFile": one["key_file"]} for one in tls.get("certificates") or []]
    default = {"default": {"defaultCertificate": pairs[0]}} if pairs else {}
    return {"certificates": pairs, "stores": default, "options": {"default": {"minVersion": "VersionTLS12"}}}


def masked(dynamic: Data) -> Data:
    """The dynamic configuration without password hashes, to show."""
    shown: Data = {}
    for key, value in dynamic.items():
        if key == "basicAuth":
            shown[key] = {**value, "users": [user.split(":", 1)[0] + ":(hidden)" for user in value["users"]]}
        else:
            shown[key] = masked(value) if isinstance(value, dict) else value
    return shown
