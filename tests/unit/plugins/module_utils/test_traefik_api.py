# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Traefik tells of itself against what was rendered. With the real one: tests/integration/test_traefik_change.py."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._traefik_api import differences, fingerprint, names

Data = dict[str, t.Any]

DYNAMIC: Data = {
    "http": {
        "routers": {"api": {"entryPoints": ["websecure"], "rule": "Host(`a`)", "service": "api", "middlewares": ["auth-x"], "tls": {}}},
        "services": {"api": {"loadBalancer": {"servers": [{"url": "http://203.0.113.5:8080"}]}}},
        "middlewares": {"auth-x": {"basicAuth": {"users": ["ops:secret-hash"], "removeHeader": True}}},
    },
    "tcp": {"routers": {"db": {"entryPoints": ["db"], "rule": "HostSNI(`*`)", "service": "db", "tls": {}}}},
    "udp": {"services": {"dns": {"loadBalancer": {"servers": [{"address": "203.0.113.5:53"}]}}}},
}
# As Traefik 3.7 tells it: defaults beside ours, `@file` behind names of files.
RAW: Data = {
    "routers": {
        "api@file": {**DYNAMIC["http"]["routers"]["api"], "middlewares": ["auth-x@file"], "priority": 9, "status": "enabled", "using": ["websecure"]},
        "web-to-443@internal": {"status": "enabled"},
        "theirs@file": {"rule": "Host(`b`)", "status": "enabled"},
    },
    "services": {"api@file": {"loadBalancer": {"servers": [{"url": "http://203.0.113.5:8080"}], "strategy": "wrr"}, "status": "enabled", "serverStatus": {}}},
    "middlewares": {"auth-x@file": {"basicAuth": {"users": ["ops:secret-hash"], "removeHeader": True}, "status": "enabled"}},
    "tcpRouters": {"db@file": {**DYNAMIC["tcp"]["routers"]["db"], "tls": {"passthrough": False}, "status": "enabled"}},
    "udpServices": {"dns@file": {"loadBalancer": {"servers": [{"address": "203.0.113.5:53"}]}, "status": "enabled"}},
}


def changed(section: str, name: str, **changes: t.Any) -> Data:
    raw = copy.deepcopy(RAW)
    raw[section][name].update(changes)
    return raw


def test_the_same_is_the_same() -> None:
    assert differences(RAW, DYNAMIC) == []


@pytest.mark.parametrize(
    ("section", "name", "change", "complaint"),
    [
        ("routers", "api@file", {"rule": "Host(`b`)"}, "router api runs with another `rule`"),
        ("routers", "api@file", {"middlewares": []}, "router api runs with another `middlewares`"),
        ("routers", "api@file", {"middlewares": ["auth-x@file", "more@file"]}, "router api runs with another `middlewares`"),
        ("routers", "api@file", {"tls": None}, "router api runs with another `tls`"),
        ("routers", "api@file", {"status": "disabled", "error": ["no such\x1bthing"]}, "router api: no such?thing"),
        ("services", "api@file", {"loadBalancer": {"servers": []}}, "service api runs with another `loadBalancer`"),
        ("middlewares", "auth-x@file", {"basicAuth": {"users": ["ops:other"], "removeHeader": True}}, "middleware auth-x runs with another `basicAuth`"),
        ("tcpRouters", "db@file", {"rule": "x"}, "tcp router db runs with another `rule`"),
        ("udpServices", "dns@file", {"loadBalancer": {}}, "udp service dns runs with another `loadBalancer`"),
    ],
)
def test_each_difference_is_told_without_its_content(section: str, name: str, change: Data, complaint: str) -> None:
    found = differences(changed(section, name, **change), DYNAMIC)
    assert found == [complaint]
    assert "hash" not in str(found)


def test_what_is_missing_or_left_over() -> None:
    raw = copy.deepcopy(RAW)
    del raw["services"]["api@file"], raw["tcpRouters"]
    assert differences(raw, DYNAMIC) == ["service api is not there", "tcp router db is not there"]
    old = names({"http": {"routers": {"theirs": {}, "gone": {}}}})
    assert differences(RAW, DYNAMIC, old) == ["router theirs is still there"], "by our own old file; others' are theirs"


def test_a_router_that_traefik_split_is_found() -> None:
    raw = copy.deepcopy(RAW)
    raw["routers"]["websecure-api@file"] = raw["routers"].pop("api@file")
    assert differences(raw, DYNAMIC) == []


def test_a_fingerprint_is_of_content_and_not_of_state() -> None:
    assert fingerprint(RAW) == fingerprint(changed("services", "api@file", serverStatus={"x": "DOWN"}))
    assert fingerprint(RAW) != fingerprint(changed("routers", "theirs@file", rule="x"))
    assert "web-to-443@internal" not in fingerprint(RAW)["routers"]
