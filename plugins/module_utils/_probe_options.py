# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions as people and programs write them, and answers as they read them: plain data. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

SPEC is what the module tells Ansible, and what question() itself goes by: without Ansible the same data means the same.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import EXPECTATIONS, KINDS, PASSWORDS, Answer, Dns, Http, Question, Tls
from ansible_collections.alfred.portmap.plugins.module_utils._probe_datagrams import DNS_TYPES

Data = dict[str, t.Any]

MAX_TIMEOUT = 60
USUAL: tuple[str, tuple[str, ...]] = ("/", ("200-399",))  # path, right statuses
DEFAULTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "prometheus": ("/metrics", ("200",)),
    "websocket": ("/", ("101",)),
}

_HTTP: Data = {
    "scheme": {"type": "str", "choices": ["http", "https"], "default": "http"},
    "path": {"type": "str"},
    "host": {"type": "str", "default": ""},
    "status": {"type": "list", "elements": "str"},
    "location": {"type": "str", "default": ""},
    "headers": {"type": "dict", "default": {}},
    "body": {"type": "str", "default": ""},
    "request_headers": {"type": "dict", "default": {}},
    "verify": {"type": "bool", "default": False},
    "days_left": {"type": "int", "default": 0},
}
_TLS: Data = {
    "server_name": {"type": "str", "default": ""},
    "verify": {"type": "bool", "default": False},
    "names": {"type": "list", "elements": "str", "default": []},
    "days_left": {"type": "int", "default": 0},
}
_DNS: Data = {"name": {"type": "str", "default": ""}, "type": {"type": "str", "choices": list(DNS_TYPES), "default": "A"}}
_REDIS: Data = {"auth": {"type": "str", "choices": list(PASSWORDS), "default": "none"}}
SPEC: Data = {
    "name": {"type": "str", "required": True},
    "target": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "kind": {"type": "str", "choices": list(KINDS), "default": "tcp"},
    "expect": {"type": "str", "choices": list(EXPECTATIONS), "default": "open"},
    "timeout": {"type": "float", "default": 2},
    "slower_than": {"type": "float", "default": 0},
    "source": {"type": "str", "default": ""},
    "why": {"type": "str", "default": ""},
    "labels": {"type": "dict", "default": {}},
    "http": {"type": "dict", "default": {}, "options": _HTTP, "apply_defaults": True},
    "tls": {"type": "dict", "options": _TLS},
    "dns": {"type": "dict", "default": {}, "options": _DNS, "apply_defaults": True},
    "redis": {"type": "dict", "default": {}, "options": _REDIS, "apply_defaults": True},
}

_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,), "list": (list, tuple), "dict": (dict,)}
_PATH = re.compile(r"/[!-~]*")  # as it stands in a request line (RFC 9112)
_HOST = re.compile(r"[A-Za-z0-9.:_\[\]-]{0,255}")
_DNS_NAME = re.compile(r"(?=.{0,253}$)(?:[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*)?\.?")
_STATUS = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_HEADER_VALUE = re.compile(r"[\t -~\x80-\xff]*")


def question(data: t.Mapping[str, t.Any]) -> Question:
    """A question out of plain data. Raises ValueError."""
    asked = _filled(data, SPEC, "")
    target = ipaddress.ip_address(asked["target"])
    if asked["source"] and ipaddress.ip_address(asked["source"]).version != target.version:
        raise ValueError(f"source {asked['source']} and target {asked['target']} are of different families")
    if not 1 <= asked["port"] <= 65535:
        raise ValueError(f"port {asked['port']} must be from 1 to 65535")
    if not 0 < asked["timeout"] <= MAX_TIMEOUT:
        raise ValueError(f"timeout {asked['timeout']} must be more than 0 and at most {MAX_TIMEOUT} seconds")
    if not 0 <= asked["slower_than"] <= MAX_TIMEOUT:
        raise ValueError(f"slower_than {asked['slower_than']} must be from 0 to {MAX_TIMEOUT} seconds")
    return Question(
        name=asked["name"],
        target=asked["target"],
        port=asked["port"],
        kind=asked["kind"],
        expect=asked["expect"],
        timeout=asked["timeout"],
        source=asked["source"],
        why=asked["why"],
        http=_http(asked["http"], asked["kind"]),
        tls=None if asked["tls"] is None else _tls(asked["tls"]),
        dns=_dns(asked["dns"]),
        password=asked["redis"]["auth"],
        slower_than=asked["slower_than"],
        labels=asked["labels"],
    )


def answer_data(answer: Answer) -> Data:
    """An answer as plain data."""
    asked = answer.question
    return {
        "name": asked.name,
        "target": asked.target,
        "port": asked.port,
        "kind": asked.kind,
        "expect": asked.expect,
        "source": asked.source,
        "verdict": answer.verdict,
        "good": answer.good,
        "detail": answer.detail,
        "latency": answer.latency,
        "why": asked.why,
        "labels": dict(asked.labels),
    }


def _filled(data: t.Mapping[str, t.Any], spec: Data, where: str) -> Data:
    """The data with all defaults, and nothing that the specification does not know. Raises ValueError."""
    unknown = sorted(set(data) - set(spec))
    if unknown:
        raise ValueError(f"{where}{unknown[0]} is unknown, there are {', '.join(sorted(spec))}")
    filled: Data = {}
    for name, option in spec.items():
        value: t.Any = data.get(name)
        if value is None:
            if option.get("required"):
                raise ValueError(f"{where}{name} is missing")
            value = option.get("default")
        if value is not None:
            _check(value, option, f"{where}{name}")
            if "options" in option:
                value = _filled(value, option["options"], f"{where}{name}.")
        filled[name] = value
    return filled


def _check(value: t.Any, option: Data, where: str) -> None:
    fits = isinstance(value, _TYPES[option["type"]])
    if not fits or (isinstance(value, bool) and option["type"] != "bool"):
        raise ValueError(f"{where} must be of type {option['type']}")
    if "choices" in option and value not in option["choices"]:
        raise ValueError(f"{where} {value!r} must be one of {', '.join(option['choices'])}")
    if option["type"] == "list" and not all(isinstance(one, str) for one in value):
        raise ValueError(f"{where} must be a list of strings")


def _http(details: Data, kind: str) -> Http:
    default_path, default_status = DEFAULTS.get(kind, USUAL)
    path = default_path if details["path"] is None else details["path"]
    right = default_status if details["status"] is None else details["status"]
    if _PATH.fullmatch(path) is None:
        raise ValueError(f"path {path!r} must begin with / and have no blanks")
    if not right:
        raise ValueError("status must not be empty: no answer could be right")
    return Http(
        scheme=details["scheme"],
        path=path,
        host=_host("host", details["host"]),
        status=tuple(_status(one) for one in right),
        location=_expression("location", details["location"]),
        body=_expression("body", details["body"]),
        verify=details["verify"],
        headers=tuple((name, _expression(f"headers.{name}", value)) for name, value in _headers("headers", details["headers"])),
        request_headers=_headers("request_headers", details["request_headers"]),
        days_left=_days(details["days_left"]),
    )


def _tls(details: Data) -> Tls:
    return Tls(
        server_name=_host("server_name", details["server_name"]),
        verify=details["verify"],
        names=tuple(details["names"]),
        days_left=_days(details["days_left"]),
    )


def _dns(details: Data) -> Dns:
    if _DNS_NAME.fullmatch(details["name"]) is None:
        raise ValueError(f"dns name {details['name']!r} must be a host name")
    return Dns(details["name"], details["type"])


def _status(value: str) -> tuple[int, int]:
    match = _STATUS.fullmatch(value)
    if match is None or int(match.group(2) or match.group(1)) < int(match.group(1)):
        raise ValueError(f"{value!r} must be an HTTP status or a range of them")
    return int(match.group(1)), int(match.group(2) or match.group(1))


def _host(name: str, value: str) -> str:
    if _HOST.fullmatch(value) is None:
        raise ValueError(f"{name} {value!r} must be a host name")
    return value


def _days(value: int) -> int:
    if value < 0:
        raise ValueError(f"days_left {value} must not be negative")
    return value


def _expression(name: str, value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{name}: {error}") from None
    return value


def _headers(where: str, headers: Data) -> tuple[tuple[str, str], ...]:
    """Names and values. A value is not shown, since it may be a password."""
    for name, value in headers.items():
        if _HEADER.fullmatch(str(name)) is None:
            raise ValueError(f"{where}: {name!r} must be the name of a header")
        if not isinstance(value, (str, int)) or _HEADER_VALUE.fullmatch(str(value)) is None:
            raise ValueError(f"{where}.{name} must be one line of text")
    return tuple((str(name), str(value)) for name, value in headers.items())
