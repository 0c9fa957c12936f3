# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a row of the wire table does, and what is then seen: each is called with the stage and returns what was seen, by name."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import http.client
import os
import select
import socket
import time
import typing as t
import uuid
from dataclasses import dataclass, replace

from wire_backends import CHUNK, Web
from wire_client import CLOSED, Answer, Ask, read
from wire_host import EDGE, Inside

Seen = t.Mapping[str, t.Any]


class Stage(t.Protocol):
    """Where the rows play: a namespace with a proxy and the services behind it."""

    inside: Inside
    webs: dict[str, Web]

    def fill(self, text: str) -> str:
        """A text with the stage's own values for @CA@ and the like."""


@dataclass(frozen=True)
class Is:
    """A condition for what is seen, with a name for the failure."""

    name: str
    holds: t.Callable[[t.Any], bool]

    def __repr__(self) -> str:
        return self.name


def among(*values: t.Any) -> Is:
    """One of these."""
    return Is(f"one of {values}", lambda seen: seen in values)


def between(low: float, high: float) -> Is:
    """A number within these, them included."""
    return Is(f"between {low} and {high}", lambda seen: low <= seen <= high)


def containing(text: str) -> Is:
    """A text with this in it."""
    return Is(f"with {text!r} in it", lambda seen: seen is not None and text in seen)


NUMBER = Is("a whole number", lambda seen: seen is not None and str(seen).isdigit())
# Traefik answers 404, Nginx nothing at all: what counts is that nobody behind the proxy was asked.
REFUSED = Is("no answer, or one of the 4xx", lambda seen: seen == CLOSED or 400 <= t.cast(int, seen) < 500)


class View(t.Mapping[str, t.Any]):
    """What is seen of one answer: status, service, body, tls, cipher, alpn, error, reached, `header:N`, `headers:N`, `backend:N`, line."""

    def __init__(self, answer: Answer, reached: bool) -> None:
        self.answer = answer
        self.reached = reached

    def __getitem__(self, key: str) -> t.Any:
        kind, _colon, name = key.partition(":")
        if kind == "header":
            return self.answer.one(name)
        if kind == "headers":
            return self.answer.all(name)
        if kind == "service":
            return self.answer.one("X-Service")
        if kind == "backend":
            return [value for found, value in self.answer.told()["headers"] if found.lower() == name.lower()]
        if kind == "line":
            return self.answer.told()["line"]
        if kind == "body":
            return self.answer.body.decode("utf-8", "replace")
        if kind == "reached":
            return self.reached
        return getattr(self.answer, kind)

    def __iter__(self) -> t.Iterator[str]:
        return iter(("status", "headers", "error", "tls", "reached"))

    def __len__(self) -> int:
        return 5

    def __repr__(self) -> str:
        return f"{self.answer!r:.1500}"


def reached(stage: Stage, text: str) -> bool:
    """Whether any service was asked for a path with this in it."""
    return any(text in line for web in stage.webs.values() for line in web.asked)


def ready(stage: Stage, ask: Ask) -> Ask:
    """The request with the stage's values in it."""
    return replace(ask, ca_file=ask.ca_file and stage.fill(ask.ca_file))


@dataclass(frozen=True)
class One:
    """One request."""

    ask: Ask

    def __call__(self, stage: Stage) -> Seen:
        answer = ready(stage, self.ask)(stage.inside)
        return View(answer, reached(stage, self.ask.path))


@dataclass(frozen=True)
class Raw:
    """Bytes as they are, over a connection like that of `ask`; `reached` looks for the path of `ask`."""

    ask: Ask
    data: bytes

    def __call__(self, stage: Stage) -> Seen:
        try:
            with contextlib.closing(ready(stage, self.ask).connect(stage.inside)) as stream:
                stream.sendall(self.data)
                answer = read(stream)
        except (OSError, http.client.HTTPException) as error:
            answer = Answer(CLOSED, error=f"{type(error).__name__}: {error}")
        return View(answer, reached(stage, self.ask.path))


@dataclass(frozen=True)
class Times:
    """The same request that many times, at once or in turn: how often each status and each service (`of:NAME`) came.

    sources: one client after the other asks. cookies: what the first answer sets is sent with all that follow, as a browser does.
    """

    ask: Ask
    count: int
    at_once: bool = False
    sources: t.Sequence[str] = ()
    cookies: bool = False

    def __call__(self, stage: Stage) -> Seen:
        asks = [replace(self.ask, source=self.sources[number % len(self.sources)]) if self.sources else self.ask for number in range(self.count)]
        started = time.monotonic()
        if self.at_once:
            # The connections first, so that the requests are at once.
            streams = [ask.connect(stage.inside) for ask in asks]
            started = time.monotonic()
            for ask, stream in zip(asks, streams):
                stream.sendall(ask.head())
            answers = []
            for stream in streams:
                with contextlib.closing(stream):
                    answers.append(read(stream))
        else:
            answers, sent = [], ""
            for ask in asks:
                answers.append((replace(ask, headers=[*ask.headers, ("Cookie", sent)]) if sent else ask)(stage.inside))
                if self.cookies and not sent:
                    sent = "; ".join(value.split(";")[0] for value in answers[0].all("Set-Cookie"))
        took = time.monotonic() - started
        statuses = collections.Counter(answer.status for answer in answers)
        limit = next((answer for answer in answers if answer.status == 429), Answer(CLOSED))
        services = collections.Counter(answer.one("X-Service") for answer in answers)
        seen: dict[str, t.Any] = {
            "statuses": dict(statuses),
            "kinds": set(statuses),
            "served": statuses[200],
            "seconds": took,
            "services": dict(services),
            "distinct": len(services),
            "cookie": [value for answer in answers[:1] for value in answer.all("Set-Cookie") if not value.startswith(("a=", "b="))],
            "retry-after": limit.one("Retry-After"),
            "429 headers": limit.headers,
        }
        return collections.defaultdict(int, {**seen, **{f"of:{name}": count for name, count in services.items()}})


@dataclass(frozen=True)
class Steady:
    """More requests than a limit lets through, for some seconds: how many a second were, once the burst is used up."""

    ask: Ask
    per_second: int
    seconds: float

    def __call__(self, stage: Stage) -> Seen:
        stream = self.ask.connect(stage.inside)

        def status() -> t.Union[int, str]:
            nonlocal stream
            stream.sendall(self.ask.head())
            answer = read(stream)
            if any("close" in value.lower() for value in answer.all("Connection")):
                stream.close()
                stream = self.ask.connect(stage.inside)
            return answer.status

        try:
            spent = 0  # beforehand: the whole burst and more
            while spent < 10:
                spent = spent + 1 if status() == 429 else 0
            served, asked = 0, 0
            started = time.monotonic()
            while (now := time.monotonic() - started) < self.seconds:
                if asked > now * self.per_second:
                    time.sleep(asked / self.per_second - now)
                served += status() == 200
                asked += 1
        finally:
            stream.close()
        took = time.monotonic() - started
        return {"rate": served / took, "overload": asked / took > 25, "asked": asked / took}


def frame(data: bytes, opcode: int = 1) -> bytes:
    """A client's frame (RFC 6455, 5.2)."""
    mask = b"\x01\x02\x03\x04"
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + size + mask + bytes(byte ^ mask[position % 4] for position, byte in enumerate(data))


@dataclass(frozen=True)
class WebSocket:
    """A handshake, then messages that come back; pause: seconds of silence between them."""

    ask: Ask
    messages: t.Sequence[bytes]
    pause: float = 0

    def __call__(self, stage: Stage) -> Seen:
        upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
        ask = replace(self.ask, headers=[*self.ask.headers, *upgrade])
        back = []
        with contextlib.closing(ask.connect(stage.inside)) as stream:
            stream.settimeout(self.pause + 10)
            stream.sendall(ask.head())
            answer = read(stream)
            if answer.status == 101:
                for number, message in enumerate(self.messages):
                    select.select([stream], [], [], self.pause if number else 0)  # silence, unless the proxy ends it
                    stream.sendall(frame(message))
                    back.append(message if exactly(stream, len(frame(message)) - 4).endswith(message) else b"another")
                stream.sendall(frame(b"\x03\xe8", 8))
                closing = exactly(stream, 4)
            else:
                closing = b""
        return {"status": answer.status, "accept": answer.one("Sec-WebSocket-Accept"), "back": back, "close": closing}


def exactly(stream: socket.socket, size: int) -> bytes:
    """That many bytes of a connection, or what came before its end."""
    data = b""
    with contextlib.suppress(OSError):
        while len(data) < size and (more := stream.recv(size - len(data))):
            data += more
    return data


@dataclass(frozen=True)
class HalfDown:
    """An answer whose second half the service sends once we have the first: a proxy that keeps it back shows 20 s later."""

    ask: Ask
    mark: str = ""

    def __call__(self, stage: Stage) -> Seen:
        mark = f"{self.mark}{uuid.uuid4().hex}"
        ask = replace(self.ask, path=f"/stream?{mark}")
        with contextlib.closing(ask.connect(stage.inside)) as stream:
            stream.settimeout(30)
            stream.sendall(ask.head())
            response = http.client.HTTPResponse(stream)
            response.begin()
            first = response.readline()
            for web in stage.webs.values():
                web.gate(mark).set()
            return {"status": response.status, "first": first, "rest": response.read(), "encoding": response.getheader("Content-Encoding")}


@dataclass(frozen=True)
class HalfUp:
    """A body whose second half we send once the service has something of the first."""

    ask: Ask
    service: str

    def __call__(self, stage: Stage) -> Seen:
        mark = uuid.uuid4().hex
        ask = replace(self.ask, path=f"/upload?{mark}", method="POST", headers=[*self.ask.headers, ("Content-Length", str(2 * len(CHUNK)))])
        with contextlib.closing(ask.connect(stage.inside)) as stream:
            stream.settimeout(30)
            stream.sendall(ask.head() + CHUNK)
            came = stage.webs[self.service].sight(mark).wait(5)
            stream.sendall(CHUNK)
            answer = read(stream, "POST")
        return {"status": answer.status, "streamed": came, "received": answer.told()["received"] if answer.status == 200 else None}


@dataclass(frozen=True)
class BigUp:
    """A body of that many bytes, in one go or in HTTP's own chunks."""

    ask: Ask
    size: int
    chunked: bool = False

    def __call__(self, stage: Stage) -> Seen:
        size = ("Transfer-Encoding", "chunked") if self.chunked else ("Content-Length", str(self.size))
        ask = replace(self.ask, path="/upload", method="POST", headers=[*self.ask.headers, size])
        digest, block = hashlib.sha256(), os.urandom(1 << 16)
        with contextlib.closing(ask.connect(stage.inside)) as stream:
            stream.settimeout(30)
            stream.sendall(ask.head())
            for _number in range(self.size // len(block)):
                digest.update(block)
                stream.sendall(b"%x\r\n%b\r\n" % (len(block), block) if self.chunked else block)
            if self.chunked:
                stream.sendall(b"0\r\n\r\n")
            answer = read(stream, "POST")
        told = answer.told() if answer.status == 200 else {}
        return {"status": answer.status, "received": told.get("received"), "intact": told.get("sha256") == digest.hexdigest()}


@dataclass(frozen=True)
class BigDown:
    """An answer of that many bytes."""

    ask: Ask
    size: int

    def __call__(self, stage: Stage) -> Seen:
        answer = replace(self.ask, path=f"/big?{self.size}", timeout=30)(stage.inside)
        return {"status": answer.status, "size": len(answer.body)}


@dataclass(frozen=True)
class Tcp:
    """A connection without HTTP: what comes first, and what comes for what we say. `certified`: with a certificate of the stage's CA."""

    ask: Ask
    say: bytes = b"hello"
    greeting: bool = True

    def __call__(self, stage: Stage) -> Seen:
        try:
            with contextlib.closing(ready(stage, self.ask).connect(stage.inside)) as stream:
                greeting = line(stream) if self.greeting else b""
                stream.sendall(self.say)
                return {"greeting": greeting, "back": stream.recv(65536), "status": "open"}
        except OSError as error:
            return {"status": CLOSED, "error": str(error), "greeting": b"", "back": b""}


def line(stream: socket.socket) -> bytes:
    """A line of a connection."""
    data = b""
    while not data.endswith(b"\n"):
        more = stream.recv(1)
        if not more:
            raise OSError("the connection was ended")
        data += more
    return data


@dataclass(frozen=True)
class Udp:
    """Datagrams from several clients, each of which gets its own back."""

    port: int
    clients: int = 3
    to: str = EDGE

    def __call__(self, stage: Stage) -> Seen:
        back = []
        with contextlib.ExitStack() as stack:
            made = [stack.enter_context(contextlib.closing(stage.inside.socket(self.to, socket.SOCK_DGRAM))) for _number in range(self.clients)]
            for number, one in enumerate(made):
                one.settimeout(2)
                one.sendto(f"from {number}".encode(), (self.to, self.port))
            for one in made:
                try:
                    back.append(one.recvfrom(65536)[0].decode())
                except OSError as error:
                    back.append(f"nothing: {error}")
        return {"back": back}


@dataclass(frozen=True)
class Run:
    """A program within the namespace: its end and what it said."""

    argv: t.Sequence[str]

    def __call__(self, stage: Stage) -> Seen:
        done = stage.inside.run(*(stage.fill(word) for word in self.argv))
        return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


class Parts(t.Mapping[str, t.Any]):
    """What several actions saw: `name.key`."""

    def __init__(self, seen: t.Mapping[str, Seen]) -> None:
        self.seen = seen

    def __getitem__(self, key: str) -> t.Any:
        name, _dot, rest = key.partition(".")
        return self.seen[name][rest]

    def __iter__(self) -> t.Iterator[str]:
        return iter(self.seen)

    def __len__(self) -> int:
        return len(self.seen)

    def __repr__(self) -> str:
        return repr(self.seen)


@dataclass(frozen=True)
class InTurn:
    """Several actions one after the other."""

    parts: t.Mapping[str, t.Callable[[Stage], Seen]]

    def __call__(self, stage: Stage) -> Seen:
        return Parts({name: action(stage) for name, action in self.parts.items()})
