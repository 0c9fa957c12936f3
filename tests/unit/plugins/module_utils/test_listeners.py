# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected against actual: each difference is told once, and nothing else is."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._listeners import Expected, Ignored, compare
from ansible_collections.alfred.portmap.plugins.module_utils._policy import Span
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener, Owner

EPHEMERAL = Span(32768, 60999)
WEB = Expected("web", "tcp", Span(80, 80), "any", True, "port_map.yml:7 services.web")
LOCAL = Expected("admin", "tcp", Span(80, 80), "loopback", True, "")
PINNED = Expected("dns", "udp", Span(53, 53), ("203.0.113.5", "2001:db8::5"), True, "")
HIDDEN = Expected("dev", "tcp", Span(8000, 8010), "loopback", False, "")
RANGE = Expected("rtp", "udp", Span(1000, 1999), "any", False, "")


NGINX = Owner(42, "nginx", "nginx.service")


def on(where: str, transport: str = "tcp", owner: Owner | None = NGINX) -> Listener:
    """A listener at address:port."""
    address, _colon, port = where.rpartition(":")
    return Listener(transport, address, int(port), 6 if ":" in address else 4, False, "", 0, 1, owner)


def found(expected: list[Expected], listeners: list[Listener], *ignored: Ignored, strict: bool = False) -> list[str]:
    """The findings' texts."""
    return [finding["text"] for finding in compare(expected, listeners, list(ignored), EPHEMERAL, strict).findings]


@pytest.mark.parametrize(
    ("expected", "listeners"),
    [
        ([WEB], [on("0.0.0.0:80")]),
        ([WEB], [on(":::80")]),
        ([WEB], [on("203.0.113.5:80")]),
        ([WEB], [on("0.0.0.0:80"), on(":::80"), on("0.0.0.0:80")]),  # workers
        ([LOCAL], [on("127.0.0.1:80")]),
        ([LOCAL], [on("127.0.0.53:80"), on("::1:80")]),
        ([LOCAL, WEB], [on("127.0.0.1:80"), on("203.0.113.5:80")]),  # two lines for one port
        ([PINNED], [on("203.0.113.5:53", "udp")]),
        ([PINNED], [on("203.0.113.5:53", "udp"), on("2001:db8::5:53", "udp")]),
        ([RANGE], []),
        ([RANGE], [on("0.0.0.0:1500", "udp"), on("0.0.0.0:1999", "udp")]),
        ([], [on("127.0.0.1:631"), on("::1:631", "udp")]),  # of concern to this host alone
        ([], [on("0.0.0.0:68", "udp"), on("fe80::1:546", "udp")]),  # DHCP clients
        ([], [on("0.0.0.0:40000", "udp")]),  # a client's
    ],
)
def test_what_is_as_planned_is_silent(expected: list[Expected], listeners: list[Listener]) -> None:
    assert found(expected, listeners) == []


@pytest.mark.parametrize(
    ("expected", "listeners", "text"),
    [
        ([WEB], [], "web: nothing listens on 80/tcp"),
        ([WEB], [on("127.0.0.1:80")], "web: 80/tcp listens on 127.0.0.1, expected any; it is nginx (pid 42, nginx.service)"),
        ([LOCAL], [on("0.0.0.0:80")], "admin: 80/tcp listens on 0.0.0.0, expected loopback; it is nginx (pid 42, nginx.service)"),
        ([LOCAL], [on("127.0.0.1:80"), on(":::80")], "admin: 80/tcp listens on ::, expected loopback; it is nginx (pid 42, nginx.service)"),
        ([PINNED], [on("0.0.0.0:53", "udp", None)], "dns: 53/udp listens on 0.0.0.0, expected 203.0.113.5, 2001:db8::5; no process is seen to hold it"),
        ([HIDDEN], [on(":::8005")], "dev: 8005/tcp listens on ::, expected loopback; it is nginx (pid 42, nginx.service)"),  # need not be, nor there
        ([], [on("0.0.0.0:80")], "80/tcp listens on 0.0.0.0, and nothing in the map explains it; it is nginx (pid 42, nginx.service)"),
        ([], [on("0.0.0.0:80", owner=None)], "80/tcp listens on 0.0.0.0, and nothing in the map explains it; no process is seen to hold it"),
        ([], [on("0.0.0.0:40000")], "40000/tcp listens on 0.0.0.0, and nothing in the map explains it; it is nginx (pid 42, nginx.service)"),
        ([], [on("0.0.0.0:5353", "udp", Owner(1, "x", ""))], "5353/udp listens on 0.0.0.0, and nothing in the map explains it; it is x (pid 1)"),
    ],
)
def test_a_difference_is_told_once(expected: list[Expected], listeners: list[Listener], text: str) -> None:
    assert found(expected, listeners) == [text]


def test_the_other_transport_is_another_port() -> None:
    assert found([WEB], [on("0.0.0.0:80", "udp", None)]) == [
        "web: nothing listens on 80/tcp",
        "80/udp listens on 0.0.0.0, and nothing in the map explains it; no process is seen to hold it",
    ]


@pytest.mark.parametrize("elsewhere", ["0.0.0.0:81", "0.0.0.0:79"])
def test_another_port_is_none_of_a_lines_business(elsewhere: str) -> None:
    unexpected = f"{elsewhere[-2:]}/tcp listens on 0.0.0.0, and nothing in the map explains it; it is nginx (pid 42, nginx.service)"
    assert found([WEB], [on(elsewhere)]) == ["web: nothing listens on 80/tcp", unexpected]
    wrong_address = "web: 80/tcp listens on 127.0.0.1, expected any; it is nginx (pid 42, nginx.service)"
    assert found([WEB], [on("127.0.0.1:80"), on(elsewhere)]) == [wrong_address, unexpected]


def test_a_finding_has_all_that_a_program_needs() -> None:
    (finding,) = compare([WEB], [on("127.0.0.1:80"), on("::1:80")], [], EPHEMERAL).findings
    assert finding == {
        "kind": "wrong address",
        "name": "web",
        "transport": "tcp",
        "port": "80",
        "expected": "any",
        "actual": ["127.0.0.1", "::1"],
        "owner": "nginx (pid 42, nginx.service)",
        "why": "port_map.yml:7 services.web",
        "text": "web: 80/tcp listens on 127.0.0.1, ::1, expected any; it is nginx (pid 42, nginx.service)",
    }


@pytest.mark.parametrize(
    "listener", [on("127.0.0.1:631"), on("0.0.0.0:68", "udp"), on("0.0.0.0:40000", "udp"), on("::1:323", "udp")], ids=lambda one: f"{one.address} {one.port}"
)
def test_strict_lets_nothing_pass(listener: Listener) -> None:
    assert found([], [listener]) == []
    assert len(found([], [listener], strict=True)) == 1
    assert found([], [listener], Ignored(), strict=True) == [], "what is ignored by name is ignored in strict mode too"


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ({}, True),
        ({"transport": "tcp"}, True),
        ({"transport": "udp"}, False),
        ({"ports": Span(10000, 10300)}, True),
        ({"ports": Span(10251, 10251)}, False),
        ({"address": "203.0.113.*"}, True),
        ({"address": "2001:*"}, False),
        ({"process": "kube*"}, True),
        ({"process": "KUBE*"}, False),
        ({"unit": "kubelet.service"}, True),
        ({"unit": "docker.service"}, False),
        ({"process": "kubelet", "ports": Span(1, 9)}, False),  # all that is said must match
    ],
)
def test_patterns_for_what_nobody_needs_to_hear_of(pattern: dict[str, t.Any], matches: bool) -> None:
    listener = on("203.0.113.5:10250", owner=Owner(7, "kubelet", "kubelet.service"))
    assert (found([], [listener], Ignored(**pattern)) == []) is matches


def test_an_unknown_owner_is_never_ignored_by_name() -> None:
    listener = on("0.0.0.0:10250", owner=None)
    assert len(found([], [listener], Ignored(process="?*"), Ignored(unit="?*"))) == 1
    assert found([], [listener], Ignored(ports=Span(10250, 10250))) == [], "but by its port"


def test_what_is_expected_cannot_be_ignored_away() -> None:
    assert found([WEB], [], Ignored()) == ["web: nothing listens on 80/tcp"]


# Whose they are.

PROXY = Owner(7, "docker-proxy", "docker.service")
OWNED = dataclasses.replace(WEB, owner=("nginx", "edge-*"))
SHOP = dataclasses.replace(WEB, name="shop", container=True)
DOCKERS = "container shop_web, published by docker-proxy (pid 7, docker.service)"


def published(where: str = "0.0.0.0:80", *containers: str, owner: Owner | None = PROXY) -> Listener:
    """A port that Docker publishes."""
    return dataclasses.replace(on(where, owner=owner), containers=containers or ("shop_web",), uid=0 if owner else -1)


@pytest.mark.parametrize(
    ("expected", "listeners"),
    [
        ([OWNED], [on("0.0.0.0:80"), on(":::80")]),
        ([OWNED], [on("0.0.0.0:80", owner=Owner(3, "python3", "edge-1.service"))]),
        ([OWNED], [dataclasses.replace(on("0.0.0.0:80", owner=Owner(3, "sh", "")), others=(NGINX,))]),  # inherited
        ([SHOP], [published()]),
        ([SHOP], [published(owner=None)]),  # by address translation alone
        ([SHOP], [dataclasses.replace(on("0.0.0.0:80"), containers=("shop_web",))]),  # in the host's network
        ([dataclasses.replace(SHOP, owner=("shop_*",))], [published(), published(":::80")]),
        ([WEB], [on("0.0.0.0:80", owner=Owner(5, "dockerd", ""))]),  # its API, not a container's port
        ([OWNED, dataclasses.replace(WEB, name="other", owner=("apache2",))], [on("0.0.0.0:80", owner=Owner(3, "apache2", ""))]),  # either line's
    ],
)
def test_the_right_owner_is_silent(expected: list[Expected], listeners: list[Listener]) -> None:
    assert found(expected, listeners) == []


@pytest.mark.parametrize(
    ("expected", "listeners", "text"),
    [
        (
            [OWNED],
            [on("0.0.0.0:80", owner=Owner(3, "python3", "")), on(":::80", owner=Owner(3, "python3", ""))],
            "web: 80/tcp must be held by nginx or edge-*; it is python3 (pid 3)",
        ),
        ([OWNED], [on("0.0.0.0:80", owner=None)], "web: 80/tcp must be held by nginx or edge-*; no process is seen to hold it"),
        ([OWNED], [on("0.0.0.0:80"), on("0.0.0.0:80", owner=Owner(3, "thief", ""))], "web: 80/tcp must be held by nginx or edge-*; it is thief (pid 3)"),
        ([SHOP], [on("0.0.0.0:80")], "shop: 80/tcp must be held by a container; it is nginx (pid 42, nginx.service)"),
        ([WEB], [published()], f"web: 80/tcp must be held by a process of the host itself; it is {DOCKERS}"),
        ([WEB], [published(owner=None)], "web: 80/tcp must be held by a process of the host itself; it is container shop_web, published without a socket"),
        ([dataclasses.replace(SHOP, owner=("mail_*",))], [published()], f"shop: 80/tcp must be held by mail_*; it is {DOCKERS}"),
        ([], [published()], f"80/tcp listens on 0.0.0.0, and nothing in the map explains it; it is {DOCKERS}"),
        ([dataclasses.replace(SHOP, bind="loopback")], [published()], f"shop: 80/tcp listens on 0.0.0.0, expected loopback; it is {DOCKERS}"),
        ([SHOP], [], "shop: nothing listens on 80/tcp"),
        (
            [SHOP],
            [dataclasses.replace(on("0.0.0.0:80", owner=PROXY), containers=())],
            "shop: 80/tcp must be held by a container; it is docker-proxy (pid 7, docker.service)",
        ),
        (
            [RANGE, dataclasses.replace(RANGE, name="calls", owner=("asterisk",))],
            [dataclasses.replace(on("0.0.0.0:1500", "udp", PROXY), containers=("x",))],
            "rtp: 1500/udp must be held by a process of the host itself; it is container x, published by docker-proxy (pid 7, docker.service)",
        ),
    ],
)
def test_the_wrong_owner_is_one_finding(expected: list[Expected], listeners: list[Listener], text: str) -> None:
    assert found(expected, listeners) == [text]


def test_a_finding_of_an_owner_has_all_that_a_program_needs() -> None:
    (finding,) = compare([OWNED], [on("0.0.0.0:80", owner=Owner(3, "x", "")), on(":::80", owner=Owner(4, "x", ""))], [], EPHEMERAL).findings
    assert finding == {
        "kind": "wrong owner",
        "name": "web",
        "transport": "tcp",
        "port": "80",
        "expected": "nginx or edge-*",
        "actual": ["0.0.0.0", "::"],
        "owner": "x (pid 3), x (pid 4)",
        "why": "port_map.yml:7 services.web",
        "text": "web: 80/tcp must be held by nginx or edge-*; it is x (pid 3), x (pid 4)",
    }


def test_who_is_ignored_may_share_a_port_but_not_take_it() -> None:
    thief = on("192.0.2.1:80", owner=Owner(3, "thief", ""))
    assert found([OWNED], [on("0.0.0.0:80"), thief], Ignored(process="thief")) == []
    assert len(found([OWNED], [thief], Ignored(process="thief"))) == 1


def test_what_docker_does_not_say_is_one_finding() -> None:
    """Not one for each of its ports, and never silence."""
    dark = [dataclasses.replace(published(where), containers=None) for where in ("0.0.0.0:80", ":::80", "0.0.0.0:81")]
    expected = [dataclasses.replace(SHOP, owner=("shop_*",)), dataclasses.replace(WEB, name="other", ports=Span(81, 81))]
    (finding,) = compare(expected, dark, [], EPHEMERAL, unknown="no answer").findings
    assert (finding["kind"], finding["transport"], finding["port"]) == ("unknown", "", ""), "it is of no one port"
    assert (finding["expected"], finding["actual"]) == ("an answer of Docker", ["0.0.0.0", "::"])
    assert finding["text"] == "80/tcp, 81/tcp: it is not known whose containers are behind: no answer"
    assert [one["text"] for one in compare([SHOP], [], [], EPHEMERAL, unknown="no answer").findings] == [
        "shop: nothing listens on 80/tcp",
        "it is not known which ports Docker publishes: no answer",
    ]


def test_what_is_bound_to_lo_is_not_there_for_others() -> None:
    local = dataclasses.replace(on("0.0.0.0:80"), interface="lo")
    assert found([WEB], [local]) == ["web: 80/tcp listens on 0.0.0.0%lo, expected any; it is nginx (pid 42, nginx.service)"]
    assert found([LOCAL], [local]) == found([], [local]) == []


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [({"user": "root"}, True), ({"user": "0"}, True), ({"user": "www-data"}, False), ({"container": "shop_*"}, True), ({"container": "mail"}, False)],
)
def test_patterns_for_users_and_containers(pattern: dict[str, t.Any], matches: bool) -> None:
    assert (found([], [published()], Ignored(**pattern)) == []) is matches
    assert len(found([], [on("0.0.0.0:80")], Ignored(container="?*"))) == 1, "what is in no container is not ignored by its name"
    assert len(found([], [published(owner=None)], Ignored(user="*?"))) == 1, "a port without a socket is nobody's"


def test_each_listener_is_told_with_what_is_made_of_it() -> None:
    public = dataclasses.replace(WEB, exposure="public")
    listeners = [on("0.0.0.0:80"), on("127.0.0.1:80"), on("0.0.0.0:81"), on("0.0.0.0:82"), on("127.0.0.1:83"), on("127.0.0.1:84"), on("0.0.0.0:85")]
    plain = Expected("plain", "tcp", Span(84, 85), "any", False, "")
    told = compare([public, plain, dataclasses.replace(plain, bind="loopback")], listeners, [Ignored(ports=Span(82, 82))], EPHEMERAL).data()
    assert [(one["port"], one["address"], one["expected"], one["exposure"], one["ignored"]) for one in told] == [
        (80, "0.0.0.0", ["web"], "public", False),
        (80, "127.0.0.1", [], "loopback", True),
        (81, "0.0.0.0", [], "unexpected", False),
        (82, "0.0.0.0", [], "unexpected", True),
        (83, "127.0.0.1", [], "loopback", True),
        (84, "127.0.0.1", ["plain"], "loopback", False),
        (85, "0.0.0.0", ["plain"], "", False),
    ]
