# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the running system, many at once: is this port open, is it blocked, does this URL answer as it should.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Verdicts:

- open: it answered, and as asked for
- refused: the host answered that nobody listens (RST, or ICMP port unreachable): the packet got through all policies
- filtered: no answer at all within the timeout, or our own host would not send it: somebody dropped it
- unreachable: the network says that there is no such host or no way there; that proves nothing about a policy
- wrong answer: it is open, and answered something else
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import re
import socket
import ssl
import struct
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable

OPEN, REFUSED, FILTERED, UNREACHABLE, WRONG = "open", "refused", "filtered", "unreachable", "wrong answer"
KINDS = ("tcp", "udp", "dns", "http")
EXPECTATIONS = ("open", "blocked")
LATE = "no answer to the request in time"
DATAGRAMS = 4  # how often a datagram is sent within the timeout
PATIENT = 16  # how many questions at a time are asked again
MAX_BODY = 1 << 16  # bytes of a body that are looked at

# linux/in.h, linux/in6.h: (level, option). Without it the kernel keeps to itself that a host or network can't be reached (ip(7)).
_HEAR_ERRORS = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES}


@dataclass(frozen=True)
class Http:
    """What to ask a web server, and what it must answer."""

    scheme: str = "http"
    path: str = "/"
    host: str = ""  # Host header and, with https, server name (SNI); the target's address if empty
    status: tuple[tuple[int, int], ...] = ((200, 399),)  # ranges, both ends included
    location: str = ""  # regular expression for the whole Location header
    body: str = ""  # regular expression to be found in the body
    verify: bool = False  # check the certificate


@dataclass(frozen=True)
class Question:
    """One question."""

    name: str
    target: str
    port: int
    kind: str = "tcp"
    expect: str = "open"
    timeout: float = 2.0  # seconds; two SYNs leave within it (RFC 6298: the first again after 1 s)
    source: str = ""  # address to ask from
    why: str = ""  # where the expectation comes from
    http: Http = field(default_factory=Http)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    question: Question
    verdict: str
    detail: str
    latency: float  # seconds

    @property
    def good(self) -> bool:
        """Whether it is what was expected: `blocked` means filtered, and nothing else."""
        return self.verdict == (OPEN if self.question.expect == "open" else FILTERED)

    @property
    def doubtful(self) -> bool:
        """Whether a lost packet or a busy host would look the same: an answer was expected, and none came in time."""
        return self.question.expect == "open" and (self.verdict == FILTERED or self.detail == LATE)

    @property
    def text(self) -> str:
        """The answer in one line."""
        question = self.question
        detail = f" ({self.detail})" if self.detail else ""
        return f"{question.name}: {authority(question)} is {self.verdict}{detail}, expected {question.expect}"


def authority(question: Question) -> str:
    """Where the question goes, for people: 203.0.113.11:8080/tcp, or a URL."""
    target = f"[{question.target}]" if ":" in question.target else question.target
    if question.kind == "http":
        return f"{question.http.scheme}://{question.http.host or target}:{question.port}{question.http.path} at {question.target}"
    return f"{target}:{question.port}/{'tcp' if question.kind == 'tcp' else 'udp'}"


def ask_all(questions: list[Question], concurrency: int = 128, retries: int = 2) -> list[Answer]:
    """Ask everything, at most `concurrency` questions at a time; answers come in the order of the questions.

    What did not answer in time is asked again, up to `retries` times, few at a time and each time with twice the patience:
    asking much at once is load too, and what it slows down is no finding. Nothing else is: an open port does not get blocked by asking.
    """
    answers = _at_once(questions, concurrency)
    for attempt in range(1, retries + 1):
        doubtful = [index for index, answer in enumerate(answers) if answer.doubtful]
        patient = [replace(questions[index], timeout=questions[index].timeout * 2**attempt) for index in doubtful]
        for index, answer in zip(doubtful, _at_once(patient, min(concurrency, PATIENT))):
            answers[index] = answer
    return answers


def _at_once(questions: list[Question], concurrency: int) -> list[Answer]:
    if not questions:
        return []
    with ThreadPoolExecutor(max_workers=min(concurrency, len(questions))) as pool:
        return list(pool.map(ask, questions))


def ask(question: Question) -> Answer:
    """Ask one question. Everything that can go wrong is a verdict."""
    started = time.monotonic()
    try:
        verdict, detail = _ASKERS[question.kind](question)
    except (socket.timeout, TimeoutError):
        verdict, detail = FILTERED, ""
    except OSError as error:
        verdict, detail = _verdict_of(error)
    return Answer(question, verdict, detail, round(time.monotonic() - started, 4))


def _verdict_of(error: OSError) -> tuple[str, str]:
    if error.errno == errno.ECONNREFUSED:
        return REFUSED, ""
    if error.errno in (errno.EPERM, errno.ETIMEDOUT):
        return FILTERED, "by this host's own policy" if error.errno == errno.EPERM else ""
    if error.errno in _UNREACHABLE:
        return UNREACHABLE, os.strerror(error.errno)
    return WRONG, str(error)


def _family(question: Question) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in question.target else socket.AF_INET


def _connect(question: Question) -> socket.socket:
    source = (question.source, 0) if question.source else None
    return socket.create_connection((question.target, question.port), timeout=question.timeout, source_address=source)


def _ask_tcp(question: Question) -> tuple[str, str]:
    _connect(question).close()
    return OPEN, ""


def _exchange(question: Question, payload: bytes) -> bytes:
    """Send a datagram, again and again within the timeout, until one comes back; a connected socket hears of ICMP errors (udp(7)).

    Datagrams get lost, and hosts send few ICMP errors a second (RFC 4443, 2.4 f): one attempt could take a refusal for silence.
    """
    with socket.socket(_family(question), socket.SOCK_DGRAM) as udp:
        udp.setsockopt(*_HEAR_ERRORS[_family(question)], 1)
        if question.source:
            udp.bind((question.source, 0))
        udp.settimeout(question.timeout / DATAGRAMS)
        udp.connect((question.target, question.port))
        for _datagram in range(DATAGRAMS):
            udp.send(payload)
            with contextlib.suppress(socket.timeout, TimeoutError):
                return udp.recv(65535)
    raise TimeoutError


def _ask_udp(question: Question) -> tuple[str, str]:
    _exchange(question, b"\n")
    return OPEN, ""


def _ask_dns(question: Question) -> tuple[str, str]:
    identity = os.urandom(2)
    # RFC 1035: one question, recursion desired, for the root's name servers: every server answers something to that
    query = identity + struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack("!HH", 2, 1)
    answer = _exchange(question, query)
    if len(answer) < 12 or answer[:2] != identity or not answer[2] & 0x80:
        return WRONG, "no DNS answer"
    return OPEN, ""


def _ask_http(question: Question) -> tuple[str, str]:
    sock = _connect(question)
    with _cut_off(sock, question.timeout) as late:
        try:
            answer = _get(question, sock)
            return (WRONG, LATE) if late.is_set() else _judge(question.http, *answer)
        except (socket.timeout, TimeoutError):
            return WRONG, LATE
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a host name that TLS can't write
            return WRONG, LATE if late.is_set() else _what_broke(error)


def _get(question: Question, sock: socket.socket) -> tuple[int, str, bytes]:
    """Send the request: (status, header Location, the body's first part if the question is about it). Closes the socket."""
    wanted = question.http
    try:
        if wanted.scheme == "https":
            sock = _context(wanted.verify).wrap_socket(sock, server_hostname=wanted.host or question.target)
        connection = http.client.HTTPConnection(question.target, question.port, timeout=question.timeout)
        connection.sock = sock
        headers = {"Host": wanted.host or _bracketed(question), "User-Agent": "alfred.portmap probe", "Connection": "close"}
        connection.request("GET", wanted.path, headers=headers)
        response = connection.getresponse()
        return response.status, response.getheader("Location") or "", response.read(MAX_BODY) if wanted.body else b""
    finally:
        sock.close()


@contextlib.contextmanager
def _cut_off(sock: socket.socket, seconds: float) -> t.Iterator[threading.Event]:
    """Break a connection that takes longer, and say so: a socket's own timeout begins anew with every byte that drips in."""
    twin = sock.dup()  # TLS takes the socket itself away
    late = threading.Event()

    def cut() -> None:
        late.set()
        with contextlib.suppress(OSError):  # it ended by itself in this very moment
            twin.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        twin.close()


def _what_broke(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and not isinstance(error, http.client.HTTPException):
        return f"the connection broke: {error.strerror or error}"
    return f"no HTTP: {type(error).__name__}"


def _bracketed(question: Question) -> str:
    host = f"[{question.target}]" if ":" in question.target else question.target
    return f"{host}:{question.port}"


def _context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _judge(wanted: Http, status: int, location: str, body: bytes) -> tuple[str, str]:
    if not any(low <= status <= high for low, high in wanted.status):
        return WRONG, f"status {status}"
    if wanted.location and not re.fullmatch(wanted.location, location):
        return WRONG, f"status {status}, Location {printable(location) or 'missing'}"
    if wanted.body and not re.search(wanted.body, body.decode("utf-8", "replace")):
        return WRONG, f"status {status}, but its body does not match {wanted.body}"
    return OPEN, f"status {status}"


_ASKERS: dict[str, t.Callable[[Question], tuple[str, str]]] = {"tcp": _ask_tcp, "udp": _ask_udp, "dns": _ask_dns, "http": _ask_http}
