# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected against actual: each difference is told once, and nothing else is."""

from __future__ import annotations

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
