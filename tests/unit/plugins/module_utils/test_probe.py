# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to real servers on loopback. Silence (filtered) needs a policy: tests/kernel/test_probe_verdicts.py."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import typing as t

import pytest
from peers import Talk, datagrams, drip, drip_a_body, http, issue, mute, quick_server, says, server, unused

from ansible_collections.alfred.portmap.plugins.module_utils import _probe, _probe_wire
from ansible_collections.alfred.portmap.plugins.module_utils._probe import LATE, Answer, Http, Question, ask, ask_all, authority

LOOPBACK = pytest.mark.parametrize("address", ["127.0.0.1", "::1"])


@LOOPBACK
def test_a_port_that_is_listened_on_is_open(address: str) -> None:
    with server(address=address) as port:
        answer = ask(Question("ssh", address, port))
    assert (answer.verdict, answer.good, answer.detail) == ("open", True, "")


@LOOPBACK
@pytest.mark.parametrize("kind", ["tcp", "udp", "dns", "http"])
def test_a_port_that_nobody_listens_on_refuses(address: str, kind: str) -> None:
    answer = ask(Question("nobody", address, unused(), kind=kind))
    assert (answer.verdict, answer.good) == ("refused", False)


def test_a_refusal_is_no_proof_that_a_port_is_blocked() -> None:
    """The packet got through every policy: whoever starts a server there tomorrow is reached."""
    answer = ask(Question("nobody", "127.0.0.1", unused(), expect="blocked"))
    assert not answer.good
    assert answer.text.endswith("is refused, expected blocked")


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (errno.ECONNREFUSED, "refused"),
        (errno.EPERM, "filtered"),  # our own policy would not send it
        (errno.ETIMEDOUT, "filtered"),
        (errno.EHOSTUNREACH, "unreachable"),
        (errno.ENETUNREACH, "unreachable"),
        (errno.EADDRNOTAVAIL, "unreachable"),
        (errno.EMFILE, "wrong answer"),  # says something of us and nothing of the target
    ],
)
def test_what_each_error_means(monkeypatch: pytest.MonkeyPatch, code: int, verdict: str) -> None:
    def fail(*_arguments: t.Any, **_options: t.Any) -> None:
        raise OSError(code, "as the kernel says")

    monkeypatch.setattr(_probe_wire.socket, "create_connection", fail)
    assert ask(Question("any", "192.0.2.1", 1)).verdict == verdict


def test_a_source_that_this_host_does_not_have() -> None:
    for kind in ("tcp", "dns", "redis"):
        answer = ask(Question("any", "127.0.0.1", 1, kind=kind, source="192.0.2.1"))
        assert (answer.verdict, answer.detail) == ("unreachable", "this host has no address to ask from")


def test_the_source_address_is_kept() -> None:
    heard: list[str] = []
    with server(lambda client: heard.append(client.getpeername()[0])) as port:
        assert ask(Question("tcp", "127.0.0.1", port, source="127.0.0.9")).good
        assert ask(Question("http", "127.0.0.1", port, kind="http", source="127.0.0.9")).verdict == "wrong answer"
    assert heard == ["127.0.0.9"] * 2


# http


@pytest.mark.parametrize(
    ("wanted", "answer", "verdict", "detail"),
    [
        (Http(), http(), "open", "status 200"),
        (Http(), http("302 Found", Location="/login"), "open", "status 302"),
        (Http(), http("404 Not Found"), "wrong answer", "status 404"),
        (Http(), http("500 Oops"), "wrong answer", "status 500"),
        (Http(status=((401, 401),)), http("401 Unauthorized"), "open", "status 401"),
        (Http(status=((401, 401),)), http(), "wrong answer", "status 200"),
        (Http(status=((200, 403), (405, 499))), http("404 Not Found"), "wrong answer", "status 404"),
        (Http(status=((301, 301),), location="https://a/x"), http("301 Moved", Location="https://a/x"), "open", "status 301"),
        (Http(status=((301, 301),), location="https://a/"), http("301 Moved", Location="https://a/x"), "wrong answer", "status 301, Location https://a/x"),
        (Http(status=((301, 301),), location="https://a/"), http("301 Moved"), "wrong answer", "status 301, Location missing"),
        (Http(location="https://a/"), http("301 Moved", Location="\x1b[2Jb"), "wrong answer", "status 301, Location ?[2Jb"),  # it chooses, people read
        (Http(location="https://a/"), http("301 Moved", Location="b" * 9999), "wrong answer", "status 301, Location " + "b" * 200 + "…"),
        (Http(body="is w.ll"), http(), "open", "status 200"),
        (Http(body="sick"), http(), "wrong answer", "status 200, but its body does not match sick"),
        (Http(), b"SSH-2.0-OpenSSH_9.2\r\n", "wrong answer", "speaks no HTTP: SSH-2.0-OpenSSH_9.2"),
        (Http(), b"", "wrong answer", "closed the connection without an answer"),
        (Http(body="x"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "wrong answer", "the answer breaks off"),
    ],
)
def test_web_servers_are_judged(wanted: Http, answer: bytes, verdict: str, detail: str) -> None:
    with server(says(answer)) as port:
        found = ask(Question("web", "127.0.0.1", port, kind="http", http=wanted))
    assert (found.verdict, found.detail) == (verdict, detail)


@LOOPBACK
def test_the_request_says_whom_it_wants(address: str) -> None:
    heard: list[bytes] = []
    with server(says(http(), heard), address) as port:
        assert ask(Question("named", address, port, kind="http", http=Http(host="api.example.com", path="/health?x=1"))).good
        assert ask(Question("bare", address, port, kind="http")).good
    named, bare = (request.decode().split("\r\n") for request in heard)
    bracketed = f"[{address}]" if ":" in address else address
    assert named[0] == "GET /health?x=1 HTTP/1.1" and [line for line in named if line.startswith("Host:")] == ["Host: api.example.com"]
    assert bare[0] == "GET / HTTP/1.1" and [line for line in bare if line.startswith("Host:")] == [f"Host: {bracketed}:{port}"]


@pytest.mark.parametrize("talk", [mute, drip, drip_a_body])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_who_answers_too_slowly_is_cut_off(talk: Talk, scheme: str, certificate: ssl.SSLContext) -> None:
    with server(talk, context=certificate if scheme == "https" else None) as port:
        answer = ask(Question("slow", "127.0.0.1", port, kind="http", timeout=0.5, http=Http(scheme=scheme, body="never")))
    assert (answer.verdict, answer.detail) == ("wrong answer", "no answer to the request in time")
    assert answer.latency < 10, "nothing ever cut it off"


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's context, with a certificate that nobody signed."""
    return issue(tmp_path_factory.mktemp("tls"), "localhost")


def test_tls_names_the_host_it_wants(certificate: ssl.SSLContext) -> None:
    names: list[str | None] = []
    certificate.sni_callback = lambda _socket, name, _context: names.append(name)
    with server(says(http()), context=certificate) as port:
        assert ask(Question("web", "127.0.0.1", port, kind="http", http=Http(scheme="https", host="api.example.com"))).good
    assert names == ["api.example.com"]


def test_a_certificate_is_checked_only_if_asked(certificate: ssl.SSLContext) -> None:
    with server(says(http()), context=certificate) as port:
        answer = ask(Question("web", "127.0.0.1", port, kind="http", http=Http(scheme="https", host="localhost", verify=True)))
    assert answer.verdict == "wrong answer" and answer.detail.startswith("certificate is not accepted: self")


def test_a_name_that_tls_cannot_write(certificate: ssl.SSLContext) -> None:
    with server(says(http()), context=certificate) as port:
        answer = ask(Question("web", "127.0.0.1", port, kind="http", http=Http(scheme="https", host="x" * 64 + ".example")))
    assert answer.verdict == "wrong answer"


def test_tls_where_there_is_none() -> None:
    with server(says(http("400 Bad Request"))) as port:
        answer = ask(Question("web", "127.0.0.1", port, kind="http", timeout=0.5, http=Http(scheme="https")))
    assert answer.verdict == "wrong answer"


# datagrams


def dns_reply(query: bytes) -> bytes:
    """The query's own number and question, with the bit that says answer."""
    return query[:2] + bytes([query[2] | 0x80]) + query[3:]


@LOOPBACK
@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (dns_reply, "open"),
        (lambda _query: None, "filtered"),
        (lambda query: query, "wrong answer"),  # an echo is no answer
        (lambda query: b"\0\0" + dns_reply(query)[2:], "wrong answer"),  # somebody else's
        (lambda _query: b"no", "wrong answer"),
    ],
)
def test_name_servers(address: str, reply: t.Callable[[bytes], bytes | None], verdict: str) -> None:
    with datagrams(reply, address) as port:
        assert ask(Question("dns", address, port, kind="dns", timeout=0.3)).verdict == verdict


def test_a_datagram_that_is_answered() -> None:
    with datagrams(lambda _question: b"here") as port:
        assert ask(Question("any", "127.0.0.1", port, kind="udp")).verdict == "open"


def test_a_lost_datagram_is_sent_again() -> None:
    heard: list[bytes] = []

    def third(question: bytes) -> bytes | None:
        heard.append(question)
        return b"here" if len(heard) == 3 else None

    with datagrams(third) as port:
        assert ask(Question("any", "127.0.0.1", port, kind="udp")).verdict == "open"
    assert heard == [heard[0]] * 3


# many


def test_answers_come_in_the_order_of_the_questions() -> None:
    with server() as port:
        closed = unused()
        questions = [Question(str(number), "127.0.0.1", port if number % 3 else closed) for number in range(500)]
        answers = ask_all(questions, concurrency=64)
    assert [answer.question.name for answer in answers] == [question.name for question in questions]  # asked again, it has more patience
    assert [answer.verdict for answer in answers] == ["open" if number % 3 else "refused" for number in range(500)]
    assert ask_all([]) == []


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (Question("a", "192.0.2.1", 53, kind="dns"), "192.0.2.1:53/udp"),
        (Question("a", "2001:db8::1", 22), "[2001:db8::1]:22/tcp"),
        (Question("a", "2001:db8::1", 443, kind="http", http=Http("https", "/x", "a.example")), "https://a.example:443/x at 2001:db8::1"),
        (Question("a", "2001:db8::1", 80, kind="http"), "http://[2001:db8::1]:80/ at 2001:db8::1"),
    ],
)
def test_where_a_question_goes(question: Question, text: str) -> None:
    assert authority(question) == text
    assert Answer(question, "filtered", "x", 0.1).text == f"a: {text} is filtered (x), expected open"


def test_what_is_late_is_asked_again_with_more_patience() -> None:
    heard: list[bytes] = []
    slow = threading.Event()

    def talk(client: socket.socket) -> None:
        says(b"", heard)(client)
        if len(heard) == 1:
            slow.wait(5)  # a busy host: no answer within the first question's patience
        client.sendall(http())

    with server(talk) as port:
        asked = Question("api", "127.0.0.1", port, kind="http", timeout=0.3)
        assert ask_all([asked], retries=0)[0].detail == LATE
        heard.clear()
        answers = ask_all([asked, asked], concurrency=1)
        slow.set()
    assert [(answer.verdict, answer.good) for answer in answers] == [("open", True)] * 2
    assert len(heard) == 3


def test_nothing_else_is_asked_again() -> None:
    heard: list[bytes] = []
    with server(says(http("500 Internal Server Error"), heard)) as port:
        closed = Question("closed", "127.0.0.1", unused())
        answers = ask_all([Question("api", "127.0.0.1", port, kind="http"), closed, Question("open", "127.0.0.1", port, expect="blocked")])
    assert [answer.verdict for answer in answers] == ["wrong answer", "refused", "open"]
    assert len(heard) == 1


def later(seconds: float, heard: list[bytes]) -> Talk:
    """Answer rightly, and take one's time; only the first time if `heard` is to be empty then."""

    def talk(client: socket.socket) -> None:
        threading.Event().wait(seconds)
        says(http(), heard)(client)

    return talk


def test_a_right_answer_that_takes_too_long_is_wrong() -> None:
    heard: list[bytes] = []
    with server(later(0.3, heard)) as port:
        (answer,) = ask_all([Question("api", "127.0.0.1", port, kind="http", slower_than=0.2)], retries=1)
        assert ask(Question("api", "127.0.0.1", port, kind="http", slower_than=30)).detail == "status 200"
    assert answer.verdict == "wrong answer" and not answer.good
    assert re.fullmatch(r"took [0-9.]+ s, expected at most 0.2 s", answer.detail)
    assert len(heard) == 3, "asked again first: a busy moment is no finding"


def test_slow_for_a_moment_is_no_finding() -> None:
    waits = iter([0.5])

    def first_slowly(client: socket.socket) -> None:
        later(next(waits, 0), [])(client)

    with server(first_slowly) as port:
        (answer,) = ask_all([Question("api", "127.0.0.1", port, kind="http", slower_than=0.4)])
    assert (answer.verdict, answer.detail, answer.good) == ("open", "status 200", True)


def test_an_answer_that_breaks_our_reading_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(_question: Question) -> tuple[str, str]:
        raise RecursionError("whatever a peer may find")

    monkeypatch.setitem(_probe._ASKERS, "redis", stumble)
    with server() as port:
        bad, good = ask_all([Question("bad", "127.0.0.1", port, kind="redis"), Question("good", "127.0.0.1", port)])
    assert (bad.verdict, bad.detail, good.verdict) == ("wrong answer", "an answer that can't be read (RecursionError)", "open")


MANY = """
import collections, json, resource, sys, threading
from ansible_collections.alfred.portmap.plugins.module_utils._probe import ask_all, question
questions = [question(one) for one in json.load(sys.stdin)]
resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
most, start = 0, threading.Thread.start
def counted(self):
    global most
    start(self)
    most = max(most, threading.active_count())
threading.Thread.start = counted
answers = ask_all(questions, concurrency=1000, retries=0)
print(json.dumps([most, collections.Counter(f"{a.question.kind} {a.verdict} {a.detail}" for a in answers)]))
"""


@pytest.mark.parametrize(("files", "threads"), [(80, range(30, 60)), (20, range(1))])
def test_thousands_of_questions_with_few_files(files: int, threads: range) -> None:
    """Two sockets and a file each would be too many, and so would be a thousand at a time."""
    count = 5000 if files == 80 else 48
    kinds = {"tcp": None, "http": http(), "redis": b"+PONG\r\n", "ssh": b"SSH-2.0-x\r\n"}
    with contextlib.ExitStack() as stack:
        ports = {kind: stack.enter_context(quick_server(answer)) for kind, answer in kinds.items()}
        mixed = itertools.islice(itertools.cycle(ports.items()), count)
        questions = [{"name": "q", "target": "127.0.0.1", "port": port, "kind": kind, "timeout": 30} for kind, port in mixed]
        program = [sys.executable, "-c", MANY.replace("FILES", str(files))]
        done = subprocess.run(
            program, input=json.dumps(questions), text=True, capture_output=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)}, check=True
        )
    most, found = json.loads(done.stdout)
    assert most in threads
    assert found == dict.fromkeys(["tcp open ", "http open status 200", "redis open PONG", "ssh open SSH-2.0-x"], count // 4)
