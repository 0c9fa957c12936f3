# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that both proxies' modules take, checked once and by one rule, so that what one of them takes the other does too. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Both proxies take much without a word that they then never serve as meant. All of that is an error here, with the option's path,
its value and the rule, before anything is touched.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

Data = dict[str, t.Any]

# What both proxies compare passwords with. Traefik takes $5$, $6$ and plain text without a word, and then answers 401 for ever.
HASHES = re.compile(
    r"\$2[abxy]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}"  # bcrypt
    r"|\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}"  # Apache's MD5
    r"|\$1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}"  # crypt's MD5
    r"|\{SHA\}[+/A-Za-z0-9]{27}="
)
HASH_KINDS = "bcrypt, apr1, MD5-crypt and {SHA}"

# The suites of TLS 1.2 that are worth having and that Go and OpenSSL both offer, as IANA and as OpenSSL name them. Those of TLS 1.3
# are no choice: Go takes none.
CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}

# What is worth compressing: text in its many forms. Pictures, archives and the like are compressed already, and events must not wait
# for more of them.
COMPRESSED = (
    *(f"text/{kind}" for kind in ("html", "plain", "css", "javascript", "xml", "csv", "markdown", "calendar", "vtt")),
    *(f"application/{kind}" for kind in ("json", "ld+json", "geo+json", "manifest+json", "problem+json", "vnd.api+json", "graphql-response+json")),
    *(f"application/{kind}" for kind in ("javascript", "x-javascript", "xml", "xhtml+xml", "rss+xml", "atom+xml", "x-ndjson", "yaml", "wasm")),
    *("image/svg+xml", "image/bmp", "font/ttf", "font/otf", "application/vnd.ms-fontobject"),
)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a header's name (RFC 9110, 5.6.2)
# What frames a message or leads a connection: another value than the proxy's own breaks the answer.
_FRAMING = {"connection", "content-encoding", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
MAINTENANCE_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Maintenance</title></head>
<body><h1>Back soon</h1><p>This service is being maintained.</p></body>
</html>
"""


class ProxyError(ValueError):
    """An option can't be served: which one, its value, and the rule."""

    def __init__(self, path: str, value: t.Any, rule: str) -> None:
        super().__init__(f"{path}: {rule}" if value is HIDDEN else f"{path}: {value!r} {rule}")
        self.path = path
        self.value = value
        self.rule = rule


class _Hidden:
    """Stands for a value that must not be shown."""

    def __repr__(self) -> str:
        return "(hidden)"


HIDDEN = _Hidden()


def argument_spec(proxy: str, config_dir: str, tls: t.Optional[Data] = None, **more: Data) -> Data:
    """What AnsibleModule takes. proxy: name of its unit and of its group; tls: further suboptions; more: further options, or other defaults."""
    user = {
        "list": {"type": "str", "default": "default"},
        "name": {"type": "str", "required": True},
        "hash": {"type": "str", "required": True, "no_log": True},
    }
    pair = {"cert_file": {"type": "path", "required": True}, "key_file": {"type": "path", "required": True, "no_log": False}}
    certificates = {
        "certificates": {"type": "list", "elements": "dict", "default": [], "options": pair},
        "minimum": {"type": "str", "choices": ["1.2", "1.3"], "default": "1.2"},
        "ciphers": {"type": "list", "elements": "str", "default": []},
        **(tls or {}),
    }
    health = {"interval": {"type": "int", "default": 10}, "timeout": {"type": "int", "default": 5}}
    backend = {"verify": {"type": "bool", "default": True}, "ca_file": {"type": "path"}, "server_name": {"type": "str"}}
    return {
        "ingress": {"type": "dict", "required": True},
        "users": {"type": "list", "elements": "dict", "default": [], "options": user},
        "tls": {"type": "dict", "apply_defaults": True, "options": certificates},
        "headers": {"type": "dict", "default": {}},
        "compression": {"type": "bool", "default": False},
        "access_log": {"type": "bool", "default": False},
        "health_checks": {"type": "dict", "apply_defaults": True, "options": health},
        "backend_tls": {"type": "dict", "apply_defaults": True, "options": backend},
        "maintenance": {"type": "list", "elements": "str", "default": []},
        "maintenance_page": {"type": "str", "default": MAINTENANCE_PAGE},
        "config_dir": {"type": "path", "default": config_dir},
        "group": {"type": "str", "default": proxy},
        "binary": {"type": "path"},
        "restart_command": {"type": "list", "elements": "str", "default": ["systemctl", "restart", proxy]},
        "reload_command": {"type": "list", "elements": "str", "default": ["systemctl", "reload", proxy]},
        "stop_command": {"type": "list", "elements": "str", "default": ["systemctl", "stop", proxy]},
        "displaces": {"type": "str"},
        "timeout": {"type": "int", "default": 20},
        **more,
    }


@dataclass(frozen=True)
class Pair:
    """A certificate and its key: files on the host."""

    cert_file: str
    key_file: str


@dataclass(frozen=True)
class Options:
    """What both proxies serve beside the ingress part of the plan."""

    users: t.Mapping[str, t.Sequence[tuple[str, str]]] = field(default_factory=dict)  # by list: name and hash
    certificates: tuple[Pair, ...] = ()
    minimum: str = "1.2"
    ciphers: tuple[str, ...] = ()  # IANA's names; none: the proxy's own choice
    headers: t.Mapping[str, str] = field(default_factory=dict)
    compression: bool = False
    access_log: bool = False
    health_interval: int = 10
    health_timeout: int = 5
    verify_backends: bool = True
    backend_ca: t.Optional[str] = None
    backend_name: t.Optional[str] = None
    maintenance: tuple[str, ...] = ()
    page: str = MAINTENANCE_PAGE

    @property
    def files(self) -> tuple[str, ...]:
        """Every file of certificates that the proxy reads, each once: their replacement is seen by their hashes."""
        found = [path for pair in self.certificates for path in (pair.cert_file, pair.key_file)]
        return tuple(dict.fromkeys(found + ([self.backend_ca] if self.backend_ca else [])))


def checked(params: Data) -> Options:
    """The options of a module call, each as both proxies serve it. Raises ProxyError."""
    tls, health, backend = params["tls"], params["health_checks"], params["backend_tls"]
    routes = params["ingress"].get("routes") or {}
    for name in params["maintenance"]:
        if name not in routes:
            raise ProxyError("maintenance", name, f"is no route; there are {', '.join(sorted(routes)) or 'none'}")
    for key in ("interval", "timeout"):
        if health[key] < 1:
            raise ProxyError(f"health_checks.{key}", health[key], "must be at least 1 (seconds)")
    if backend["server_name"] is not None:
        text("backend_tls.server_name", backend["server_name"])
    return Options(
        users=users_by_list(params["users"]),
        certificates=tuple(
            Pair(*(file_path(f"tls.certificates[{number}].{key}", one[key]) for key in ("cert_file", "key_file")))
            for number, one in enumerate(tls["certificates"])
        ),
        minimum=tls["minimum"],
        ciphers=ciphers(tls["ciphers"], tls["minimum"]),
        headers=headers(params["headers"]),
        compression=params["compression"],
        access_log=params["access_log"],
        health_interval=health["interval"],
        health_timeout=health["timeout"],
        verify_backends=backend["verify"],
        backend_ca=file_path("backend_tls.ca_file", backend["ca_file"]) if backend["ca_file"] else None,
        backend_name=backend["server_name"],
        maintenance=tuple(dict.fromkeys(params["maintenance"])),
        page=page(params["maintenance_page"]),
    )


def text(path: str, value: t.Any) -> str:
    """A text that may stand in a configuration: no empty one, no control characters, and no template of Go's. Raises ProxyError."""
    if not isinstance(value, str) or not value:
        raise ProxyError(path, value, "must be a text, and not empty")
    if _CONTROL.search(value):
        raise ProxyError(path, value, "must not have control characters")
    if "{{" in value:
        raise ProxyError(path, value, "must not have '{{': Traefik runs it as a template")
    return value


def file_path(path: str, value: str) -> str:
    """The path of a file on the host. Raises ProxyError."""
    if not text(path, value).startswith("/"):
        raise ProxyError(path, value, "must be an absolute path")
    return value


def users_by_list(users: t.Sequence[Data]) -> dict[str, list[tuple[str, str]]]:
    """The users of each list, with hashes that either proxy checks. Raises ProxyError."""
    found: dict[str, list[tuple[str, str]]] = {}
    for number, user in enumerate(users):
        path, name = f"users[{number}]", user["name"]
        if not name or ":" in name or name != name.strip() or name.startswith("#"):
            raise ProxyError(f"{path}.name", name, "must be a name without a colon, without blanks around it and without a leading #")
        text(f"{path}.name", name)
        if HASHES.fullmatch(user["hash"]) is None:
            raise ProxyError(f"{path}.hash", HIDDEN, f"the hash of {name!r} is none of {HASH_KINDS}: every password would be refused")
        own = found.setdefault(user["list"], [])
        if any(name == other for other, _hash in own):
            raise ProxyError(f"{path}.name", name, f"is on list {user['list']!r} twice")
        own.append((name, user["hash"]))
    return found


def users_of(route: str, listed: str, users: t.Mapping[str, t.Sequence[tuple[str, str]]]) -> t.Sequence[tuple[str, str]]:
    """The users that a route lets in. Raises ProxyError if there are none."""
    if not users.get(listed):
        rule = f"is the list of users that may use it, and `users` has none on it (lists there: {', '.join(sorted(users)) or 'none'}): nobody could get in"
        raise ProxyError(f"ingress.routes.{route}.auth", listed, rule)
    return users[listed]


def headers(found: Data) -> dict[str, str]:
    """Response headers that may be set. Raises ProxyError."""
    done: dict[str, str] = {}
    for name, value in found.items():
        path = f"headers.{name}"
        if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
            raise ProxyError("headers", name, "is no name of a header (RFC 9110, 5.6.2)")
        if name.lower() in _FRAMING:
            raise ProxyError(path, value, "can't be set: the header frames the answer, and is the proxy's own")
        if any(name.lower() == other.lower() for other in done):
            raise ProxyError("headers", name, "is there twice: upper and lower case are the same")
        value = str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
        if text(path, value) != value.strip() or not value.isascii():
            raise ProxyError(path, value, "must be ASCII, without blanks around it")
        done[name] = value
    return done


def ciphers(names: t.Sequence[str], minimum: str) -> tuple[str, ...]:
    """Suites of TLS 1.2 by IANA's names. Raises ProxyError."""
    for name in names:
        if name not in CIPHERS:
            raise ProxyError("tls.ciphers", name, f"is none of the suites that both proxies offer for TLS 1.2: {', '.join(CIPHERS)}")
    if names and minimum != "1.2":
        raise ProxyError("tls.ciphers", list(names), f"are of TLS 1.2, and tls.minimum is {minimum}: those of TLS 1.3 can't be chosen")
    return tuple(dict.fromkeys(names))


def page(found: str) -> str:
    """A page to serve. Raises ProxyError."""
    if _CONTROL.search(re.sub(r"[\r\n\t]", "", found)) or not found.strip():
        raise ProxyError("maintenance_page", found[:60], "must be a page, without control characters but for line ends and tabs")
    return found
