# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that Traefik has issued by an ACME server (RFC 8555): the option tls.acme, what it becomes, what lies on the disk then.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Traefik serves a certificate of its own, and says so in its log alone, where a challenge can't work or the storage is not as it likes
it; each attempt counts against the ACME server's limits meanwhile. What can be known before is an error here.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import stat
import typing as t
import urllib.parse

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import HIDDEN, Data, ProxyError, file_path, text

PRODUCTION = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
STORAGE = "/var/lib/traefik/acme.json"
CHALLENGES = ("http", "tls", "dns")
KEY_TYPES = ("EC256", "EC384", "RSA2048", "RSA4096", "RSA8192")
CHECKS = ("all", "resolvers", "none")
WEEK = 7 * 24  # hours

ARGUMENTS: Data = {
    "email": {"type": "str", "required": True},
    "challenge": {"type": "str", "choices": list(CHALLENGES), "default": "tls"},
    "ca_server": {"type": "str"},
    "staging": {"type": "bool", "default": False},
    "ca_certificates": {"type": "path"},
    "storage": {"type": "path", "default": STORAGE},
    "key_type": {"type": "str", "choices": list(KEY_TYPES), "default": "EC256", "no_log": False},
    "dns_provider": {"type": "str"},
    "dns_resolvers": {"type": "list", "elements": "str", "default": []},
    "dns_propagation": {
        "type": "dict",
        "options": {"delay": {"type": "int", "default": 0}, "checks": {"type": "str", "choices": list(CHECKS), "default": "all"}},
    },
    "eab": {"type": "dict", "options": {"kid": {"type": "str", "required": True}, "hmac": {"type": "str", "required": True, "no_log": True}}},
    "profile": {"type": "str"},
    "certificates_duration": {"type": "int"},
}

# The first Traefik with a key (seen in `traefik --help` of each): an older one ends at its start over a key that it doesn't know.
SINCE = {"caCertificates": (3, 2), "propagation": (3, 3), "profile": (3, 4)}

# Top-level names that no public CA issues for (RFC 6761, RFC 6762, RFC 7686, RFC 8375, ICANN's `internal`).
NEVER_PUBLIC = {"alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"}

Version = t.Optional[tuple[int, int]]  # of Traefik, major and minor; None: a new one


def resolver_name(acme: Data) -> str:
    """What a router's tls.certResolver names.

    Each ACME server has a resolver of its own in the one storage: after a switch from staging to production Traefik would go on to
    serve what staging issued, until that is due for renewal. So it asks anew, and finds the old ones again after a switch back.
    """
    server = _server(acme)
    if server == PRODUCTION:
        return "acme"
    return "acme-staging" if server == STAGING else f"acme-{hashlib.sha256(server.encode()).hexdigest()[:8]}"


def resolvers(ingress: Data, acme: Data, version: Version = None) -> Data:
    """The static configuration's certificatesResolvers. Raises ProxyError where no certificate could ever come.

    Nothing in it may be pruned: `tlsChallenge: {}` means something.
    """
    server = _server(acme)
    _check_hosts(ingress, acme, server)
    rendered: Data = {
        "email": _email(acme["email"]),
        "storage": file_path("tls.acme.storage", acme.get("storage") or STORAGE),
        "caServer": server,
        "keyType": _one_of("key_type", acme.get("key_type") or "EC256", KEY_TYPES),
        **_challenge(ingress, acme, version),
    }
    if acme.get("ca_certificates"):
        instead = f"put LEGO_CA_CERTIFICATES={acme['ca_certificates']} into its environment instead"
        _require("ca_certificates", acme["ca_certificates"], "caCertificates", version, instead)
        rendered["caCertificates"] = [file_path("tls.acme.ca_certificates", acme["ca_certificates"])]
    if acme.get("eab"):
        rendered["eab"] = _eab(acme["eab"])
    if acme.get("profile"):
        _require("profile", acme["profile"], "profile", version, "leave it out")
        rendered["profile"] = text("tls.acme.profile", acme["profile"])
    duration = acme.get("certificates_duration")
    if duration is not None:
        if duration < 1:
            raise ProxyError("tls.acme.certificates_duration", duration, "must be at least 1 (hours)")
        rendered["certificatesDuration"] = duration
    if acme.get("profile") == "shortlived" and not (duration and duration < WEEK):
        rule = "must be below 168 for short-lived certificates: Traefik renews by it, and would ask for new ones at each check"
        raise ProxyError("tls.acme.certificates_duration", duration, rule)
    return {resolver_name(acme): {"acme": rendered}}


def router_tls(acme: Data) -> Data:
    """A router's `tls`. Traefik takes the names from Host() and HostSNI()."""
    return {"certResolver": resolver_name(acme)}


def wanted(ingress: Data) -> set[str]:
    """The names that certificates are needed for: those of routes whose TLS the proxy itself ends."""
    return {route["host"].lower() for route in _routes(ingress).values()}


def issued(storage: str, resolver: t.Optional[str] = None) -> set[str]:
    """The names that a storage has certificates for, of one resolver or of all. Of one that is just being written: none."""
    try:
        found = json.loads(storage) if storage.strip() else {}
        by_resolver = [data for name, data in found.items() if resolver in (None, name)]
        certificates = [one for data in by_resolver for one in (data or {}).get("Certificates") or [] if one["certificate"] and one["key"]]
        return {name.lower() for one in certificates for name in (one["domain"]["main"], *(one["domain"].get("sans") or []))}
    except (ValueError, AttributeError, KeyError, TypeError):
        return set()


def progress(ingress: Data, acme: Data) -> str:
    """How far issuance is, as a sentence for the proof. It goes on by itself once Traefik runs, for seconds or for minutes."""
    names = wanted(ingress)
    try:
        with open(acme.get("storage") or STORAGE, encoding="utf-8") as file:
            there = issued(file.read(), resolver_name(acme)) & names
    except (OSError, UnicodeDecodeError):
        there = set()
    missing = sorted(names - there)
    waiting = f"; still to come: {', '.join(missing)}" if missing else ""
    return f"{urllib.parse.urlsplit(_server(acme)).netloc} has issued certificates for {len(there)} of {len(names)} names{waiting}"


def files(acme: Data) -> tuple[str, ...]:
    """What Traefik reads at its start and makes not itself: without it each attempt fails, with a word in its log alone."""
    return (acme["ca_certificates"],) if acme.get("ca_certificates") else ()


def storage_problem(path: str, owner: t.Optional[int] = None) -> t.Optional[str]:
    """Why Traefik would skip the resolver over its storage, as one sentence; None if it would not, or makes the file itself.

    owner: the number of the user that Traefik runs as.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            return f"{path} is no file"
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o077:
            return f"{path} has mode {mode:04o} and must have 0600: Traefik refuses a storage that others may read"
        if mode & 0o600 != 0o600:
            return f"{path} has mode {mode:04o} and must have 0600: Traefik can't write what is issued"
        if owner is not None and found.st_uid != owner:
            return f"{path} belongs to user {found.st_uid}, and Traefik runs as user {owner}: it can't read it"
        with open(path, encoding="utf-8") as file:
            written = file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        return f"{path} can't be read: {error}"
    return None if _readable(written) else f"{path} is not what Traefik writes (JSON): it was cut off, or is another's; move it away, and all is issued anew"


def without_secrets(static: Data) -> Data:
    """The static configuration to show: without the key of an external account."""
    found = static.get("certificatesResolvers") or {}
    hidden = {name: {"acme": {**one["acme"], "eab": {**one["acme"]["eab"], "hmacEncoded": "(hidden)"}}} for name, one in found.items() if "eab" in one["acme"]}
    return {**static, "certificatesResolvers": {**found, **hidden}} if hidden else static


def _readable(written: str) -> bool:
    try:
        return not written or isinstance(json.loads(written), dict)
    except ValueError:
        return False


def _routes(ingress: Data) -> dict[str, Data]:
    """The routes whose TLS the proxy itself ends."""
    return {name: route for name, route in ingress["routes"].items() if route["tls"] and route["host"] and not route.get("passthrough")}


def _check_hosts(ingress: Data, acme: Data, server: str) -> None:
    for name, route in _routes(ingress).items():
        host, path = route["host"].lower(), f"ingress.routes.{name}.host"
        if server in (PRODUCTION, STAGING) and _never_public(host):
            raise ProxyError(path, route["host"], "is no name that Let's Encrypt issues for: it must be one of the public DNS")


def _never_public(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.rpartition(".")[2] in NEVER_PUBLIC
    return True


def _server(acme: Data) -> str:
    server = acme.get("ca_server")
    if not server:
        return STAGING if acme.get("staging") else PRODUCTION
    if acme.get("staging"):
        raise ProxyError("tls.acme.staging", True, "is Let's Encrypt's staging, and tls.acme.ca_server says another server: leave one out")
    if re.fullmatch(r"https://[^\s/?#@]+(?:/\S*)?", text("tls.acme.ca_server", server)) is None:
        raise ProxyError("tls.acme.ca_server", server, "must be the URL of an ACME directory, with https (RFC 8555, 6.1)")
    return t.cast(str, server)


def _email(email: t.Any) -> str:
    if re.fullmatch(r"[^\s@,;<>]+@[^\s@,;<>]+", text("tls.acme.email", email)) is None:
        raise ProxyError("tls.acme.email", email, "must be one address of mail")
    return t.cast(str, email)


def _one_of(key: str, value: t.Any, choices: t.Sequence[str]) -> t.Any:
    """Traefik takes another key type for RSA4096, and another challenge for none."""
    if value not in choices:
        raise ProxyError(f"tls.acme.{key}", value, f"must be one of {', '.join(choices)}")
    return value


def _require(option: str, value: t.Any, key: str, version: Version, instead: str) -> None:
    if version is not None and version < SINCE[key]:
        needed, found = (".".join(map(str, one)) for one in (SINCE[key], version))
        raise ProxyError(f"tls.acme.{option}", value, f"needs Traefik {needed} or later, and this one is {found}: {instead}")


def _challenge(ingress: Data, acme: Data, version: Version) -> Data:
    challenge = _one_of("challenge", acme["challenge"], CHALLENGES)
    if challenge == "dns":
        return {"dnsChallenge": _dns(acme, version)}
    for key in ("dns_provider", "dns_resolvers", "dns_propagation"):
        if acme.get(key):
            raise ProxyError(f"tls.acme.{key}", acme[key], f"is for the dns challenge, and tls.acme.challenge is {challenge}")
    if challenge == "tls":
        if not any(_takes_tls(entrypoint) for entrypoint in ingress["entrypoints"].values()):
            rule = "the ACME server asks at port 443, and there is no entrypoint there that ends TLS itself"
            raise ProxyError("tls.acme.challenge", "tls", f"can't work: {rule}")
        return {"tlsChallenge": {}}
    plain = sorted(name for name, entrypoint in ingress["entrypoints"].items() if _takes_http(entrypoint))
    if not plain:
        rule = "the ACME server asks at port 80, and there is no entrypoint for plain http there"
        raise ProxyError("tls.acme.challenge", "http", f"can't work: {rule}")
    return {"httpChallenge": {"entryPoint": plain[0]}}


def _takes_http(entrypoint: Data) -> bool:
    return bool(entrypoint["port"] == 80 and not entrypoint["tls"] and entrypoint.get("protocol", "http") == "http")


def _takes_tls(entrypoint: Data) -> bool:
    """Also a tcp one: Traefik answers the challenge wherever it ends TLS. What a load balancer ended before never gets here."""
    in_front = entrypoint.get("proxies_in_front") or {}
    return bool(entrypoint["port"] == 443 and entrypoint["tls"] and not in_front.get("terminates_tls"))


def _dns(acme: Data, version: Version) -> Data:
    provider = acme.get("dns_provider")
    if not provider:
        raise ProxyError("tls.acme.dns_provider", provider, "must be there for the dns challenge: lego's name of the DNS provider")
    if provider == "manual" or re.fullmatch(r"[a-z0-9-]+", text("tls.acme.dns_provider", provider)) is None:
        raise ProxyError("tls.acme.dns_provider", provider, "must be lego's name of a DNS provider, and not `manual`, which waits for somebody at a keyboard")
    rendered: Data = {"provider": provider}
    if acme.get("dns_resolvers"):
        rendered["resolvers"] = [_resolver(f"tls.acme.dns_resolvers[{number}]", one) for number, one in enumerate(acme["dns_resolvers"])]
    return {**rendered, **_propagation(acme.get("dns_propagation") or {}, version)}


def _resolver(path: str, value: str) -> str:
    if re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?", text(path, value)) is None:
        raise ProxyError(path, value, "must be an address or a name, with or without a port; an IPv6 address in brackets")
    return value


def _propagation(said: Data, version: Version) -> Data:
    delay, checks = said.get("delay", 0), _one_of("dns_propagation.checks", said.get("checks", "all"), CHECKS)
    if delay < 0:
        raise ProxyError("tls.acme.dns_propagation.delay", delay, "must not be negative (seconds)")
    if version is not None and version < SINCE["propagation"]:
        if checks == "resolvers":
            _require("dns_propagation.checks", checks, "propagation", version, "take all or none")
        waiting: Data = {"delayBeforeCheck": f"{delay}s"} if delay else {}
        return {**waiting, "disablePropagationCheck": True} if checks == "none" else waiting
    rendered: Data = {"delayBeforeChecks": f"{delay}s"} if delay else {}
    if checks == "resolvers":
        rendered.update({"disableANSChecks": True, "requireAllRNS": True})
    if checks == "none":
        rendered["disableChecks"] = True
    return {"propagation": rendered} if rendered else {}


def _eab(eab: Data) -> Data:
    # lego's older versions take no padding, all take none.
    key = eab["hmac"].rstrip("=")
    if re.fullmatch(r"[A-Za-z0-9_-]+", key) is None or len(key) % 4 == 1:
        raise ProxyError("tls.acme.eab.hmac", HIDDEN, "must be base64url, as the ACME server's operator gave it (RFC 8555, 7.3.4)")
    return {"kid": text("tls.acme.eab.kid", eab["kid"]), "hmacEncoded": key}
