# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A question to the running system, and an answer: the words that all parts of the probe share. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Verdicts:

- open: it answered, and as asked for
- refused: the host answered that nobody listens (RST, or ICMP port unreachable): the packet got through all policies
- filtered: no answer at all within the timeout, or our own host would not send it: somebody dropped it
- unreachable: the network says that there is no such host or no way there; that proves nothing about a policy
- wrong answer: it is open, and answered something else
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

OPEN, REFUSED, FILTERED, UNREACHABLE, WRONG = "open", "refused", "filtered", "unreachable", "wrong answer"
WEB_KINDS = ("http", "websocket", "prometheus")
UDP_KINDS = ("udp", "dns", "ntp")
KINDS = ("tcp", "udp", "dns", "http", "tls", "websocket", "postgresql", "redis", "ntp", "ssh", "prometheus")
EXPECTATIONS = ("open", "blocked")
PASSWORDS = ("none", "required", "any")  # of Redis
LATE = "no answer to the request in time"

Found = tuple[str, str]  # verdict, detail


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
    headers: tuple[tuple[str, str], ...] = ()  # name, regular expression for the whole value
    request_headers: tuple[tuple[str, str], ...] = ()  # name, value
    days_left: int = 0  # how many more days the certificate must be valid; 0: nobody looks


@dataclass(frozen=True)
class Tls:
    """What a certificate must be."""

    server_name: str = ""  # the name asked for (SNI); none if empty
    verify: bool = False  # a certificate that this host trusts, for that name or the target's address
    names: tuple[str, ...] = ()  # names and addresses that it must be for
    days_left: int = 0  # how many more days it must be valid; 0: nobody looks


@dataclass(frozen=True)
class Dns:
    """What to ask a name server. Without a name any answer is right."""

    name: str = ""
    type: str = "A"


@dataclass(frozen=True)
class Question:
    """One question."""

    name: str
    target: str
    port: int
    kind: str = "tcp"
    expect: str = "open"
    timeout: float = 2.0  # seconds for the whole exchange; two SYNs leave within it (RFC 6298: the first again after 1 s)
    source: str = ""  # address to ask from
    why: str = ""  # where the expectation comes from
    http: Http = field(default_factory=Http)
    tls: t.Optional[Tls] = None  # postgresql: no TLS if None
    dns: Dns = field(default_factory=Dns)
    password: str = "none"  # whether a Redis must want one: PASSWORDS
    slower_than: float = 0.0  # seconds that a right answer may take; 0: as long as it comes in time
    labels: t.Mapping[str, t.Any] = field(default_factory=dict, hash=False)  # the asker's own notes; they come back with the answer


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
    def slow(self) -> bool:
        """Whether it took longer than it may."""
        return 0 < self.question.slower_than < self.latency

    @property
    def doubtful(self) -> bool:
        """Whether a lost packet or a busy host would look the same: an answer was expected, and none came in time."""
        return self.question.expect == "open" and (self.verdict == FILTERED or self.detail == LATE or self.slow)

    @property
    def text(self) -> str:
        """The answer in one line."""
        question = self.question
        detail = f" ({self.detail})" if self.detail else ""
        return f"{question.name}: {authority(question)} is {self.verdict}{detail}, expected {question.expect}"


def bracketed(target: str) -> str:
    """An address as it stands before a port."""
    return f"[{target}]" if ":" in target else target


def authority(question: Question) -> str:
    """Where the question goes, for people: 203.0.113.11:8080/tcp, or a URL."""
    target = bracketed(question.target)
    if question.kind in WEB_KINDS:
        wanted = question.http
        scheme = wanted.scheme.replace("http", "ws") if question.kind == "websocket" else wanted.scheme
        return f"{scheme}://{wanted.host or target}:{question.port}{wanted.path} at {question.target}"
    return f"{target}:{question.port}/{'udp' if question.kind in UDP_KINDS else 'tcp'}"
