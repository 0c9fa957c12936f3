# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused of an ingress part, whichever proxy is to serve it."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_ingress import check_ingress
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import ProxyError

Data = dict[str, t.Any]


def entrypoint(port: int, **changes: t.Any) -> Data:
    return {"port": port, "protocol": "http", "tls": True, "redirect_to": None, "proxies_in_front": None, **changes}


def route(host: t.Optional[str], **changes: t.Any) -> Data:
    backends = [{"address": "192.0.2.1", "port": 8080}, {"address": "2001:db8::1", "port": 8080}, {"address": "api.internal", "port": 1}]
    plain = {"path": "/", "entrypoint": "websecure", "tls": True, "protocol": "http", "dashboard": False, "backends": backends}
    return {"host": host, **plain, "rate_limit": None, "auth": None, "allow": None, "health": None, **changes}


FRONT = {"trusted": ["192.0.2.0/24", "2001:db8::1"], "depth": 1, "proxy_protocol": False, "terminates_tls": False}
GOOD: Data = {
    "api": {"address": "127.0.0.1", "port": 8880},
    "metrics": {"address": "", "port": 8881},
    "maintenance": None,
    "entrypoints": {
        "web": entrypoint(80, tls=False, redirect_to={"entrypoint": "websecure", "port": 443}),
        "websecure": entrypoint(443, http3=True, proxies_in_front=FRONT),
        "stream": entrypoint(5000, protocol="tcp", tls=False),
        "streams": entrypoint(5443, protocol="tcp"),
        "datagrams": entrypoint(5000, protocol="udp", tls=False),
    },
    "rate_limits": {"calm": {"average": 1, "burst": 1}},
    "routes": {
        "api": route("api.example.net", rate_limit="calm", allow=["192.0.2.0/24"]),
        "v2": route("api.example.net", path="/v2;x={1}"),
        "other": route("API_2.example.net", canary={"weight": 1, "protocol": "http", "backends": [{"address": "192.0.2.1", "port": 1}]}),
        "dash": route("traefik.example.net", dashboard=True, backends=[]),
        "stream": route(None, entrypoint="stream", protocol="tcp", tls=False),
        "one": route("one.example.net", entrypoint="streams", protocol="tcp"),
        "two": route("two.example.net", entrypoint="streams", protocol="tcp"),
        "datagrams": route(None, entrypoint="datagrams", protocol="udp", tls=False),
    },
}


def test_what_is_right_is_taken() -> None:
    check_ingress(GOOD)


@pytest.mark.parametrize(
    ("where", "value", "path", "shown"),
    [
        ("entrypoints.a b", entrypoint(1), "ingress.entrypoints", "'a b'"),
        ("routes.portmap.api", route("x.example.net"), "ingress.routes", "'portmap.api'"),
        ("rate_limits.x;", {"average": 1, "burst": 1}, "ingress.rate_limits", "'x;'"),
        ("routes", [], "ingress.routes", "[]"),
        ("entrypoints.web.port", 0, "ingress.entrypoints.web.port", "0"),
        ("entrypoints.web.port", 70000, "ingress.entrypoints.web.port", "70000"),
        ("entrypoints.web.port", "80", "ingress.entrypoints.web.port", "'80'"),
        ("entrypoints.web.port", True, "ingress.entrypoints.web.port", "True"),
        ("entrypoints.web.port", 443, "ingress.entrypoints.websecure.port", "443"),
        ("entrypoints.web.port", 8881, "ingress.metrics.port", "8881"),
        ("entrypoints.web.port", 8880, "ingress.api.port", "8880"),
        ("entrypoints.datagrams.port", 443, "ingress.entrypoints.datagrams.port", "443"),
        ("metrics.port", 8880, "ingress.metrics.port", "8880"),
        (
            "entrypoints.websecure.proxies_in_front",
            {**FRONT, "proxy_protocol": True, "terminates_tls": True},
            "ingress.entrypoints.websecure.proxies_in_front.terminates_tls",
            "True",
        ),
        ("entrypoints.web.protocol", "smtp", "ingress.entrypoints.web.protocol", "'smtp'"),
        ("entrypoints.web.http3", True, "ingress.entrypoints.web.http3", "True"),
        ("entrypoints.web.redirect_to", {"entrypoint": "nope", "port": 1}, "ingress.entrypoints.web.redirect_to.entrypoint", "'nope'"),
        ("entrypoints.web.redirect_to", {"entrypoint": "websecure", "port": 0}, "ingress.entrypoints.web.redirect_to.port", "0"),
        ("entrypoints.web.proxies_in_front", {**FRONT, "trusted": []}, "ingress.entrypoints.web.proxies_in_front.trusted", "[]"),
        ("entrypoints.web.proxies_in_front", {**FRONT, "trusted": ["all"]}, "ingress.entrypoints.web.proxies_in_front.trusted", "'all'"),
        ("entrypoints.web.proxies_in_front", {**FRONT, "depth": 0}, "ingress.entrypoints.web.proxies_in_front.depth", "0"),
        ("rate_limits.calm.average", 0, "ingress.rate_limits.calm.average", "0"),
        ("rate_limits.calm.burst", 0.5, "ingress.rate_limits.calm.burst", "0.5"),
        ("routes.api.entrypoint", "nope", "ingress.routes.api.entrypoint", "'nope'"),
        ("routes.api.rate_limit", "nope", "ingress.routes.api.rate_limit", "'nope'"),
        ("routes.api.host", None, "ingress.routes.api.host", "None"),
        ("routes.api.host", "", "ingress.routes.api.host", "''"),
        ("routes.api.host", "a`) || Host(`b", "ingress.routes.api.host", "'a`"),
        ("routes.api.host", "$x.example.net", "ingress.routes.api.host", "'$x"),
        ("routes.api.host", "{{x}}", "ingress.routes.api.host", "'{{x}}'"),
        ("routes.api.host", "a..b", "ingress.routes.api.host", "'a..b'"),
        ("routes.stream.host", "x.example.net", "ingress.routes.stream.host", "'x.example.net'"),
        ("routes.api.path", "v2", "ingress.routes.api.path", "'v2'"),
        ("routes.api.path", "/a b", "ingress.routes.api.path", "'/a b'"),
        ("routes.api.path", "/a\nb", "ingress.routes.api.path", "'/a\\nb'"),
        ("routes.api.path", "/`", "ingress.routes.api.path", "'/`'"),
        ("routes.api.path", "/{{ x", "ingress.routes.api.path", "'/{{ x'"),
        ("routes.api.path", "/ä", "ingress.routes.api.path", "'/ä'"),
        ("routes.api.allow", [], "ingress.routes.api.allow", "[]"),
        ("routes.api.allow", ["192.0.2.300"], "ingress.routes.api.allow", "'192.0.2.300'"),
        ("routes.api.backends", [], "ingress.routes.api.backends", "[]"),
        ("routes.api.backends", [{"address": "a/b", "port": 1}], "ingress.routes.api.backends[0].address", "'a/b'"),
        ("routes.api.backends", [{"address": "a", "port": 70000}], "ingress.routes.api.backends[0].port", "70000"),
        ("routes.other.canary.weight", 100, "ingress.routes.other.canary.weight", "100"),
        ("routes.other.canary.backends", [], "ingress.routes.other.canary.backends", "[]"),
        ("routes.twin", route("API.example.net", path="/v2;x={1}/"), "ingress.routes.twin", "'api.example.net/v2;x={1}'"),
        ("routes.twin", route("ONE.example.net", entrypoint="streams", path="/x"), "ingress.routes.twin", "'one.example.net'"),
        ("routes.twin", route(None, entrypoint="stream", tls=False), "ingress.routes.twin", "None"),
        ("routes.twin", route(None, entrypoint="datagrams", tls=False), "ingress.routes.twin", "None"),
    ],
)
def test_what_is_wrong_is_refused_by_path_and_value(where: str, value: t.Any, path: str, shown: str) -> None:
    ingress = copy.deepcopy(GOOD)
    section, _dot, rest = where.partition(".")
    if not rest:
        ingress[section] = value
    else:
        keys = rest.split(".") if section in ("metrics", "api") or rest.split(".")[0] in ingress[section] else [rest]
        inner = ingress[section]
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
    with pytest.raises(ProxyError) as caught:
        check_ingress(ingress)
    assert str(caught.value).startswith(f"{path}: {shown}"), caught.value


def test_a_key_that_is_missing_is_one() -> None:
    with pytest.raises(KeyError):
        check_ingress({key: value for key, value in GOOD.items() if key != "routes"})
