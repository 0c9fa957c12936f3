# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers, websockets and metrics over HTTP; statuses, locations and bodies: test_probe.py."""

from __future__ import annotations

import base64
import hashlib
import socket
import typing as t

import pytest
from peers import Talk, http, says, server

from ansible_collections.alfred.portmap.plugins.module_utils._probe import ask, question


def found(talk: Talk, kind: str = "http", **options: t.Any) -> tuple[str, str]:
    """Verdict and detail."""
    with server(talk) as port:
        answer = ask(question({"name": "q", "target": "127.0.0.1", "port": port, "kind": kind, "timeout": 5, "http": options}))
    return answer.verdict, answer.detail


@pytest.mark.parametrize(
    ("headers", "verdict", "detail"),
    [
        ({"X-Frame-Options": "DENY|SAMEORIGIN"}, "open", "status 200"),
        ({"x-frame-options": "DENY"}, "open", "status 200"),
        ({"X-Frame-Options": "DEN"}, "wrong answer", "status 200, header X-Frame-Options is DENY, expected DEN"),
        ({"Strict-Transport-Security": ".*"}, "wrong answer", "status 200, header Strict-Transport-Security is missing"),
        ({"Server": "nginx"}, "wrong answer", "status 200, header Server is ?[2J, expected nginx"),
        ({"Set-Cookie": "none"}, "wrong answer", "status 200, header Set-Cookie is another one, expected none"),
    ],
)
def test_headers(headers: dict[str, str], verdict: str, detail: str) -> None:
    answer = http(**{"X-Frame-Options": "DENY", "Server": "\x1b[2J", "Set-Cookie": "session=hunter2"})
    assert found(says(answer), headers=headers) == (verdict, detail)


def test_a_request_carries_what_it_is_told() -> None:
    heard: list[bytes] = []
    assert found(says(http(), heard), request_headers={"Authorization": "Bearer x", "user-agent": "me", "X-Number": 5})[0] == "open"
    lines = heard[0].decode().split("\r\n")
    assert {"Authorization: Bearer x", "user-agent: me", "X-Number: 5", "Connection: close"} <= set(lines)
    assert not any(line.startswith("User-Agent") for line in lines), "what is told replaces what is usual"


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, "no HTTP: got more than 100 headers"),
        (b"HTTP/1.1 200 " + b"x" * 70000 + b"\r\n\r\n", "no HTTP: got more than 65536 bytes when reading status line"),
        (b"HTTP/9.9 200 OK\r\n\r\n", "speaks no HTTP: HTTP/9.9"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "speaks no HTTP: HTTP/1.1 abc OK"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "speaks no HTTP: ??????F"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + http("503 Service Unavailable"), "status 503"),
    ],
)
def test_answers_that_are_none(answer: bytes, detail: str) -> None:
    assert found(says(answer)) == ("wrong answer", detail)


# websocket


def upgrade(status: str = "101 Switching Protocols", **headers: str) -> Talk:
    """A server that knows websockets (RFC 6455, 4.2.2), but for these headers."""

    def talk(client: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += client.recv(4096)
        key = next(line.partition(b":")[2].strip() for line in request.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
        proof = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
        made = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": proof, **headers}
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in made.items()), "", ""]
        client.sendall("\r\n".join(lines).encode())

    return talk


@pytest.mark.parametrize(
    ("talk", "verdict", "detail"),
    [
        (upgrade(), "open", "status 101, a websocket"),
        (upgrade(Upgrade="WebSocket", Connection="keep-alive, upgrade"), "open", "status 101, a websocket"),
        (upgrade("400 Bad Request"), "wrong answer", "status 400, no websocket"),
        (upgrade("200 OK"), "wrong answer", "status 200, no websocket"),
        (upgrade(Upgrade="h2c"), "wrong answer", "status 101, but not to a websocket"),
        (upgrade(Connection="close"), "wrong answer", "status 101, but header Connection does not say Upgrade"),
        (
            upgrade(**{"Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}),
            "wrong answer",
            "status 101, but Sec-WebSocket-Accept does not fit the request: somebody between answers",
        ),
        (says(http("404 Not Found")), "wrong answer", "status 404, no websocket"),
    ],
)
def test_websockets(talk: Talk, verdict: str, detail: str) -> None:
    assert found(talk, "websocket", path="/live") == (verdict, detail)


# prometheus


def test_metrics_are_asked_for_where_they_usually_are() -> None:
    heard: list[bytes] = []
    assert found(says(http(body=b'# TYPE up gauge\nup 1\nup{a="b"} 0\n'), heard), "prometheus") == ("open", "status 200, 2 samples")
    assert heard[0].startswith(b"GET /metrics HTTP/1.1\r\n") and b"\r\nAccept: text/plain;version=0.0.4\r\n" in heard[0]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (http(body=b"<html>Sign in</html>\n"), "metrics: line 1 can't be read: <html>Sign in</html>"),
        (http("401 Unauthorized", body=b"up 1\n"), "status 401"),
        (http("302 Found", body=b"up 1\n"), "status 302"),
        (http(body=b""), "metrics: there are none"),
        (http(body=b"up 1\nup 2\n")[:-5], "the answer breaks off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nup 1\n\r\n", "the answer breaks off"),
    ],
)
def test_metrics_that_are_none(answer: bytes, detail: str) -> None:
    assert found(says(answer), "prometheus") == ("wrong answer", detail)


def test_metrics_in_chunks_and_without_a_length() -> None:
    assert found(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nup \r\n2\r\n1\n\r\n0\r\n\r\n"), "prometheus") == (
        "open",
        "status 200, 1 sample",
    )
    assert found(says(b"HTTP/1.0 200 OK\r\n\r\nup 1\nup 2\n"), "prometheus") == ("open", "status 200, 2 samples")
