# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL, Redis and SSH, as peers answer them rightly and wrongly; real ones: tests/integration/test_probe_real.py."""

from __future__ import annotations

import socket
import struct
import threading
import typing as t

import pytest
from peers import Talk, drip_garbage, endless, greets, mute, replies, server

from ansible_collections.alfred.portmap.plugins.module_utils._probe import KINDS, LATE, ask, ask_all, question
from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import UDP_KINDS

TCP_KINDS = [kind for kind in KINDS if kind not in UDP_KINDS and kind != "tcp"]


def found(talk: Talk, kind: str, **options: t.Any) -> tuple[str, str]:
    """Verdict and detail."""
    with server(talk) as port:
        answer = ask(question({"name": "q", "target": "127.0.0.1", "port": port, "kind": kind, "timeout": 5, **options}))
    return answer.verdict, answer.detail


# PostgreSQL


def error_response(message: bytes) -> bytes:
    """As PostgreSQL's protocol has it since version 3."""
    fields = b"SFATAL\0VFATAL\0C53300\0M" + message + b"\0\0"
    return b"E" + struct.pack("!I", len(fields) + 4) + fields


@pytest.mark.parametrize(
    ("said", "verdict", "detail"),
    [
        (b"S", "open", "speaks TLS"),
        (b"N", "open", "speaks no TLS"),
        (b"", "wrong answer", "closed the connection without an answer"),
        (error_response(b"sorry, too many clients already"), "wrong answer", "answers with an error: sorry, too many clients already"),
        (b"Ecould not fork new process\n\0", "wrong answer", "answers with an error: could not fork new process??"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "wrong answer", "speaks no PostgreSQL: SSH-2.0-OpenSSH_9.2"),
        (b"NO\r\n", "wrong answer", "speaks no PostgreSQL: NO"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "wrong answer", "speaks no PostgreSQL: ??????F"),
    ],
)
def test_postgresql(said: bytes, verdict: str, detail: str) -> None:
    assert found(replies(said), "postgresql") == (verdict, detail)


def test_postgresql_is_asked_for_tls_and_nothing_else() -> None:
    heard: list[bytes] = []

    def talk(client: socket.socket) -> None:
        heard.append(client.recv(4096))
        client.sendall(b"N")
        heard.append(client.recv(4096))

    assert found(talk, "postgresql") == ("open", "speaks no TLS")
    assert heard[0] == bytes.fromhex("0000000804d2162f") and heard[1:] in ([], [b""])


def test_a_postgresql_that_must_speak_tls() -> None:
    assert found(replies(b"N"), "postgresql", tls={}) == ("wrong answer", "speaks no TLS")
    assert found(replies(b"S"), "postgresql", tls={}) == ("wrong answer", "closed the connection during the TLS handshake")


# Redis


@pytest.mark.parametrize(
    ("said", "auth", "verdict", "detail"),
    [
        (b"+PONG\r\n", "none", "open", "PONG"),
        (b"+PONG\r\n", "any", "open", "PONG"),
        (b"+PONG\r\n", "required", "wrong answer", "lets everybody in without a password"),
        (b"-NOAUTH Authentication required.\r\n", "none", "wrong answer", "wants a password (NOAUTH)"),
        (b"-NOAUTH Authentication required.\r\n", "required", "open", "wants a password (NOAUTH)"),
        (b"-NOAUTH Authentication required.\r\n", "any", "open", "wants a password (NOAUTH)"),
        (b"-ERR operation not permitted\r\n", "required", "open", "wants a password (NOAUTH)"),  # before 2.8
        (b"-LOADING Redis is loading the dataset in memory\r\n", "none", "wrong answer", "still loading its data (LOADING)"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "any", "wrong answer", "still loading its data (LOADING)"),
        (
            b"-DENIED Redis is running in protected mode because " + b"x" * 2000 + b"\r\n",
            "any",
            "wrong answer",
            "lets nobody in from elsewhere (protected mode)",
        ),
        (b"-ERR max number of clients reached\r\n", "none", "wrong answer", "answers with an error: ERR max number of clients reached"),
        (b"-\r\n", "none", "wrong answer", "answers with an error: an empty one"),
        (b"+OK\r\n", "none", "wrong answer", "speaks no Redis: +OK"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "none", "wrong answer", "speaks no Redis: HTTP/1.1 400 Bad Request"),
        (b"", "none", "wrong answer", "closed the connection without an answer"),
        (b"\r\n", "none", "wrong answer", "closed the connection without an answer"),
        (b"+PO", "none", "wrong answer", "speaks no Redis: +PO"),
    ],
)
def test_redis(said: bytes, auth: str, verdict: str, detail: str) -> None:
    assert found(replies(said), "redis", redis={"auth": auth}) == (verdict, detail)


def test_an_answer_in_pieces() -> None:
    def talk(client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (b"+", b"PON", b"G", b"\r", b"\n"):
            client.sendall(piece)
            threading.Event().wait(0.01)

    assert found(talk, "redis") == ("open", "PONG")


# SSH


@pytest.mark.parametrize(
    ("said", "verdict", "detail"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "open", "SSH-2.0-OpenSSH_9.2p1 Debian-2"),
        (b"SSH-1.99-Cisco-1.25\n", "open", "SSH-1.99-Cisco-1.25"),
        (b"Only for staff.\r\nReally.\r\nSSH-2.0-x\r\n", "open", "SSH-2.0-x"),
        (b"SSH-1.5-old\r\n", "wrong answer", "speaks another SSH: SSH-1.5-old"),
        (b"Not allowed at this time\r\n", "wrong answer", "no SSH banner: Not allowed at this time"),
        (b"220 mail.example.com ESMTP\r\n", "wrong answer", "no SSH banner: 220 mail.example.com ESMTP"),
        (b"a line\r\n" * 60, "wrong answer", "no SSH banner: a line"),
        (b"SSH-2.0-\x1b[2J\r\n", "open", "SSH-2.0-?[2J"),
        (b"", "wrong answer", "closed the connection without an answer"),
    ],
)
def test_ssh(said: bytes, verdict: str, detail: str) -> None:
    assert found(greets(said), "ssh") == (verdict, detail)


# all


@pytest.mark.parametrize(
    ("talk", "late"),
    [
        (mute, TCP_KINDS),
        (drip_garbage, ["http", "websocket", "prometheus", "redis", "ssh"]),
        (endless, []),
        (greets(b""), []),
        (greets(b"\x1b[2J\xff\xfe\0\r\n" * 20), []),
        (replies(b"\x1b[2J\xff\xfe\0\r\n\r\n" * 20), []),
        (replies(b"HTTP/1.1 200 \x1b[2J\r\nX\x1b: \x1b[2J\r\n\r\n\x1b[2J\n"), ["ssh"]),
    ],
    ids=["mute", "drip", "endless", "closes", "garbage", "garbage when asked", "escapes"],
)
def test_bad_peers_are_a_wrong_answer(talk: Talk, late: list[str]) -> None:
    """Within the time, whatever they do, and nothing of theirs reaches a terminal."""
    with server(talk) as port:
        questions = [question({"name": kind, "target": "127.0.0.1", "port": port, "kind": kind, "timeout": 0.5, "http": {"body": "x"}}) for kind in TCP_KINDS]
        answers = {answer.question.kind: answer for answer in ask_all(questions, retries=0)}
    assert {answer.verdict for answer in answers.values()} == {"wrong answer"}
    assert all(answers[kind].detail == LATE for kind in late)
    assert all(answer.detail and answer.detail.isprintable() and answer.latency < 10 for answer in answers.values())
