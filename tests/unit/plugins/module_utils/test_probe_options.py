# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions out of plain data, as a program without Ansible has them; through Ansible: ../modules/test_probe_module.py."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._probe import KINDS, Answer, answer_data, question
from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import Dns, Http, Question, Tls

LEAST = {"name": "q", "target": "192.0.2.1", "port": 80}


def test_what_is_not_said_is_as_a_question_has_it() -> None:
    assert question(LEAST) == Question("q", "192.0.2.1", 80)
    assert question({**LEAST, "http": {}, "tls": None, "source": None}) == Question("q", "192.0.2.1", 80)


def test_everything_arrives() -> None:
    asked = question(
        {
            **LEAST,
            "kind": "http",
            "expect": "blocked",
            "timeout": 3,
            "slower_than": 1.5,
            "source": "192.0.2.2",
            "why": "m.yml:3",
            "labels": {"host": "a", "family": 4},
            "http": {
                "scheme": "https",
                "path": "/x",
                "host": "a.example",
                "status": ["200", "300-399"],
                "location": "/y",
                "headers": {"Server": "x"},
                "body": "ok",
                "request_headers": {"X-A": 1},
                "verify": True,
                "days_left": 14,
            },
            "tls": {"server_name": "b.example", "verify": True, "names": ["c.example"], "days_left": 7},
            "dns": {"name": "d.example", "type": "AAAA"},
            "redis": {"auth": "any"},
        }
    )
    assert asked == Question(
        name="q",
        target="192.0.2.1",
        port=80,
        kind="http",
        expect="blocked",
        timeout=3,
        slower_than=1.5,
        source="192.0.2.2",
        why="m.yml:3",
        labels={"host": "a", "family": 4},
        http=Http("https", "/x", "a.example", ((200, 200), (300, 399)), "/y", "ok", True, (("Server", "x"),), (("X-A", "1"),), 14),
        tls=Tls("b.example", True, ("c.example",), 7),
        dns=Dns("d.example", "AAAA"),
        password="any",
    )
    assert answer_data(Answer(asked, "open", "status 200", 0.1)) == {
        "name": "q",
        "target": "192.0.2.1",
        "port": 80,
        "kind": "http",
        "expect": "blocked",
        "source": "192.0.2.2",
        "verdict": "open",
        "good": False,
        "detail": "status 200",
        "latency": 0.1,
        "why": "m.yml:3",
        "labels": {"host": "a", "family": 4},
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_usual_path_and_status(kind: str) -> None:
    made = question({**LEAST, "kind": kind}).http
    usual = {"prometheus": ("/metrics", ((200, 200),)), "websocket": ("/", ((101, 101),))}
    assert (made.path, made.status) == usual.get(kind, ("/", ((200, 399),)))
    assert question({**LEAST, "kind": kind, "http": {"path": "/x", "status": ["204"]}}).http == Http(path="/x", status=((204, 204),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nmae": "x"}, "nmae is unknown, there are dns, expect, http, kind,"),
        ({"http": {"paht": "/"}}, "http.paht is unknown, there are body, days_left,"),
        ({"name": None}, "name is missing"),
        ({"port": "80"}, "port must be of type int"),
        ({"port": True}, "port must be of type int"),
        ({"http": []}, "http must be of type dict"),
        ({"kind": "icmp"}, "kind 'icmp' must be one of tcp, udp,"),
        ({"tls": {"names": [1]}}, "tls.names must be a list of strings"),
        ({"tls": {"names": "a.example"}}, "tls.names must be of type list"),
        ({"tls": {"server_name": "a b"}}, "server_name 'a b' must be a host name"),
        ({"tls": {"days_left": -1}}, "days_left -1 must not be negative"),
        ({"slower_than": 61}, "slower_than 61 must be from 0 to 60 seconds"),
        ({"slower_than": float("nan")}, "slower_than nan must be"),
        ({"timeout": float("nan")}, "timeout nan must be"),
        ({"dns": {"name": "a..b"}}, "dns name 'a..b' must be a host name"),
        ({"dns": {"name": "a" * 64}}, "must be a host name"),
        ({"dns": {"type": "ANY"}}, "dns.type 'ANY' must be one of A, NS,"),
        ({"redis": {"auth": "maybe"}}, "redis.auth 'maybe' must be one of none, required, any"),
        ({"http": {"headers": {"A": "("}}}, "headers.A: missing )"),
        ({"http": {"headers": {"A b": "x"}}}, "headers: 'A b' must be the name of a header"),
        ({"http": {"request_headers": {"A": "hunter2\r\nB: c"}}}, "request_headers.A must be one line of text"),
        ({"http": {"request_headers": {"A": None}}}, "request_headers.A must be one line of text"),
    ],
)
def test_mistakes(change: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ValueError, match="^") as error:
        question({**LEAST, **change})
    assert str(error.value).startswith(message) or message in str(error.value)
    assert "hunter2" not in str(error.value)
