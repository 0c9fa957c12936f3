# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table: what is asked of a proxy and what must be seen, whichever proxy it is.

Where the two can't be the same, a row says how one of them differs, and why. Nothing is left out in silence.
"""

from __future__ import annotations

import pathlib
import sys
import typing as t
import urllib.parse
from dataclasses import dataclass, field

from wire_actions import (
    NUMBER,
    REFUSED,
    BigDown,
    BigUp,
    HalfDown,
    HalfUp,
    InTurn,
    Is,
    One,
    Raw,
    Run,
    Seen,
    Stage,
    Steady,
    Tcp,
    Times,
    Udp,
    WebSocket,
    among,
    between,
    containing,
)
from wire_client import CLOSED, Ask
from wire_host import EDGE, EDGE6
from wire_setup import HEADERS, LITERAL, PAGE, USERS

Expected = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Row:
    """One row: what is done, what must be seen.

    differs: by proxy, what is seen there instead, and why that must remain. only: the one proxy that has it, and why.
    variant: the configuration that it is asked of. slow: it waits more than it works, and does so beside the others.
    """

    name: str
    action: t.Callable[[Stage], Seen]
    expected: Expected
    differs: t.Mapping[str, tuple[Expected, str]] = field(default_factory=dict)
    only: t.Optional[tuple[str, str]] = None
    variant: str = "base"
    slow: bool = False

    def for_proxy(self, proxy: str) -> Expected:
        """What must be seen of that proxy."""
        return {**self.expected, **self.differs.get(proxy, ({}, ""))[0]}

    def __str__(self) -> str:
        return self.name


VARIANTS: dict[str, dict[str, t.Any]] = {
    "base": {},
    # Another choice of every option that has one.
    "strict": {
        "tls": {"minimum": "1.3", "ciphers": []},
        "backend_tls": {"verify": True, "server_name": "another.internal"},
        "compression": False,
        "headers": {},
        "maintenance": [],
    },
    "lenient": {"backend_tls": {"verify": False}},
}


def api(path: str = "/", **changes: t.Any) -> Ask:
    return Ask("api.example.net", path, **changes)


def told(name: str, asked: Ask, service: str, line: t.Optional[str] = None, **more: t.Any) -> Row:
    """A path that arrives as it was written."""
    return Row(name, One(asked), {"status": 200, "service": service, "line": f"{asked.method} {line or asked.path} HTTP/1.1"}, **more)


def forged(*names: str) -> list[tuple[str, str]]:
    return [(name, "192.0.2.66") for name in names]


INNER_CLIENT, INNER_CLIENT6 = "198.51.100.20", "2001:db8:b::1"
TRUSTED = "198.51.100.2"  # a proxy in front
OUTER = "198.51.100.40"  # a client that no network of ours has
V1 = b"PROXY TCP4 %s 203.0.113.11 5555 443\r\n"
HIDDEN = b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: back.example.net\r\n\r\n"
SUPPORTS = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]

REDIRECT = [
    Row(
        f"redirect: {method}",
        One(Ask("api.example.net", "/some/path?q=1&r=%2F", port=80, tls=False, method=method)),
        {"status": status, "header:Location": "https://api.example.net/some/path?q=1&r=%2F", "reached": False},
    )
    for method, status in (("GET", 301), ("HEAD", 308), ("POST", 308), ("DELETE", 308))
] + [
    Row(
        "redirect: to the public port that is stated, and not the entrypoint's own",
        One(Ask("api.example.net", "/x", port=8080, tls=False, host_header="api.example.net:8080")),
        {"status": 301, "header:Location": "https://api.example.net:9443/x"},
    ),
    Row(
        "redirect: over IPv6",
        One(Ask("api.example.net", "/x", port=80, tls=False, to=EDGE6, source="2001:db8:a::2")),
        {"status": 301, "header:Location": "https://api.example.net/x"},
    ),
    Row(
        "redirect: a line end in a path stays encoded",
        One(Ask("api.example.net", "/x%0D%0ASet-Cookie:%20a=b", port=80, tls=False)),
        {"status": 301, "header:Location": "https://api.example.net/x%0D%0ASet-Cookie:%20a=b", "headers:Set-Cookie": []},
    ),
    Row(
        "redirect: of a host that is none",
        One(Ask("unknown.example.net", "/nowhere", port=80, tls=False)),
        {"status": CLOSED, "reached": False},
        differs={"traefik": ({"status": 301}, "Traefik redirects a whole entrypoint, whatever the host; what that leads to is refused")},
    ),
    Row("redirect: no service is asked by http", One(Ask("api.example.net", "/never-by-http", port=80, tls=False)), {"status": 301, "reached": False}),
]

ROUTING = [
    Row("route: a host", One(api("/x")), {"status": 200, "service": "one"}),
    Row("route: another host", One(Ask("other.example.org")), {"status": 200, "service": "two"}),
    Row("route: a path's prefix", One(api("/v2/x")), {"status": 200, "service": "two", "line": "GET /v2/x HTTP/1.1"}),
    Row("route: the prefix itself", One(api("/v2")), {"status": 200, "service": "two"}),
    Row("route: the longest prefix", One(api("/v2/deep/x")), {"status": 200, "service": "three"}),
    Row("route: another case of a path is another path", One(api("/V2/x")), {"status": 200, "service": "one"}),
    Row("route: another case of a host is the same host", One(api("/x", host_header="API.example.NET")), {"status": 200, "service": "one"}),
    Row("route: a host with its port", One(api("/x", host_header="api.example.net:443")), {"status": 200, "service": "one"}),
    Row("route: a query is no path", One(api("/?/v2/x")), {"status": 200, "service": "one", "line": "GET /?/v2/x HTTP/1.1"}),
    Row("route: dots can't leave a prefix", One(api("/x/../v2/y")), {"status": 200, "service": "two"}),
    Row("route: an encoded letter is the letter", One(api("/%76%32/y")), {"status": 200, "service": "two"}),
    Row(
        "route: an encoded slash arrives as one, and ends no prefix",
        One(api("/v2%2Fdeep/y")),
        {"status": 200, "service": "two", "line": "GET /v2%2Fdeep/y HTTP/1.1"},
        differs={"nginx": ({"service": "three"}, "Nginx decodes a path as a whole before it looks for its prefix; what it hands on is what came")},
    ),
    Row("route: two slashes are one", One(api("//v2/y")), {"status": 200, "service": "two"}),
    Row(
        "route: signs in a prefix are those signs",
        One(Ask("literal.example.net", urllib.parse.quote(LITERAL, safe="/;=$'~*().") + "/x")),  # as every client sends it (RFC 3986, 3.3)
        {"status": 200, "service": "two"},
    ),
    Row("route: and no pattern", One(Ask("literal.example.net", "/a;b={1}xhost/literal-1")), {"status": REFUSED, "reached": False}),
    Row("route: another entrypoint", One(api("/x", port=8449)), {"status": 200, "service": "one"}),
    Row("route: without TLS", One(Ask("bare.example.net", "/x", port=8088, tls=False)), {"status": 200, "service": "one", "tls": None}),
    Row("route: over IPv6", One(api("/x", to=EDGE6, source="2001:db8:a::2")), {"status": 200, "service": "one", "backend:X-Forwarded-For": ["2001:db8:a::2"]}),
    *(
        Row(f"route: {method} arrives", One(api("/x", method=method)), {"status": 200, "line": f"{method} /x HTTP/1.1"})
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
    ),
    Row("route: HEAD has no body", One(api("/x", method="HEAD")), {"status": 200, "body": "", "service": "one"}),
    Row("route: a service's 404 is its own", One(api("/status/404")), {"status": 404, "service": "one"}),
    Row("route: a service's 500 is its own", One(api("/status/500")), {"status": 500, "service": "one"}),
    Row("route: a service that does not run", One(Ask("dead.example.net")), {"status": 502}),
    *(
        Row(f"unknown: {name}", One(asked), {"status": REFUSED, "reached": False})
        for name, asked in {
            "a host, by SNI and Host": Ask("unknown.example.net", "/unknown-1"),
            "a host that no certificate has": Ask("example.com", "/unknown-2"),
            "a host behind a known SNI": api("/unknown-3", host_header="unknown.example.net"),
            "no SNI": Ask("", "/unknown-4", host_header="unknown.example.net"),
            "the address": Ask("", "/unknown-5", host_header=EDGE),
            "no Host at all": api("/unknown-6", host_header=""),
            "a host of another entrypoint": Ask("bare.example.net", "/unknown-7"),
            "a host of another entrypoint, without TLS": Ask("api.example.net", "/unknown-8", port=8088, tls=False),
            "a sub-domain of a route": Ask("x.api.example.net", "/unknown-9"),
        }.items()
    ),
    Row(
        "route: two hosts in one request are none",
        Raw(api("/two-hosts"), b"GET /two-hosts HTTP/1.1\r\nHost: api.example.net\r\nHost: back.example.net\r\n\r\n"),
        {"status": REFUSED, "reached": False},
    ),
    Row(
        "route: a request can't hide in another's body, past the guards",
        Raw(api("/hidden"), b"POST /outer HTTP/1.1\r\nHost: api.example.net\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN),
        {"reached": False},
    ),
    Row("route: a long head", One(api("/x", headers=[("Cookie", "c=" + "x" * 7000)])), {"status": 200}),
    Row("route: a long path", One(api("/" + "y" * 7000)), {"status": 200}),
]

PATHS = [
    told("path: encoded blanks", api("/a%20b?c=d%20e"), "one"),
    told("path: encoded percent", api("/a%25b"), "one"),
    told("path: not ASCII", api("/%C3%A4?%C3%A4=1"), "one"),
    told("path: bytes that are no text", api("/%FF%FE"), "one"),
    told("path: signs that mean something elsewhere", api("/a;b=c/d,e@f:g!$&'()*+=~?x=[1]&y={2}"), "one"),
    told("path: a quoted sign", api("/a%22b%27c"), "one"),
    told("path: an encoded slash", api("/a%2Fb"), "one"),
    told("path: an encoded question mark", api("/a%3Fb"), "one"),
    told("path: an encoded hash", api("/a%23b"), "one"),
    told(
        "path: small letters of an escape",
        api("/a%c3%a4"),
        "one",
        differs={
            "traefik": (
                {"line": "GET /a%C3%A4 HTTP/1.1"},
                "Traefik writes what it has parsed, and its letters are capitals; RFC 3986 (6.2.2.1) takes both alike",
            )
        },
    ),
    told("path: a question mark alone", api("/a?"), "one"),
    told("path: an empty query's value", api("/a?b=&c"), "one"),
    told("path: a plus", api("/a+b?c+d"), "one"),
    told("path: a slash at the end", api("/a/"), "one"),
    told("path: dots within a name", api("/a..b/.c/..."), "one"),
    Row("path: a NUL", One(api("/nul%00x")), {"status": among(200, 400)}),
]

AUTH = [
    Row("auth: nobody", One(Ask("back.example.net", "/auth-1")), {"status": 401, "header:WWW-Authenticate": containing("Basic realm="), "reached": False}),
    Row("auth: a wrong password", One(Ask("back.example.net", "/auth-2", user=("ops", "wrong"))), {"status": 401, "reached": False}),
    Row("auth: an empty password", One(Ask("back.example.net", "/auth-3", user=("ops", ""))), {"status": 401, "reached": False}),
    Row("auth: a user of another list", One(Ask("back.example.net", "/auth-4", user=("other", "lab"))), {"status": 401, "reached": False}),
    Row("auth: not Basic", One(Ask("back.example.net", "/auth-5", headers=[("Authorization", "Bearer x")])), {"status": 401, "reached": False}),
    Row("auth: not even Base64", One(Ask("back.example.net", "/auth-6", headers=[("Authorization", "Basic !!!")])), {"status": 401, "reached": False}),
    *(
        Row(
            f"auth: the hash of {user['name']}",
            InTurn({"right": One(Ask("back.example.net", user=(user["name"], "lab"))), "wrong": One(Ask("back.example.net", user=(user["name"], "Lab")))}),
            {"right.status": 200, "wrong.status": 401},
        )
        for user in USERS
        if "list" not in user
    ),
    Row("auth: the service is not told the password", One(Ask("back.example.net", user=("ops", "lab"))), {"status": 200, "backend:Authorization": []}),
    Row(
        "auth: elsewhere a service's own passes", One(api(headers=[("Authorization", "Bearer own")])), {"status": 200, "backend:Authorization": ["Bearer own"]}
    ),
    Row("auth: OPTIONS is no way in", One(Ask("back.example.net", "/auth-7", method="OPTIONS")), {"status": 401, "reached": False}),
]

LIMITS = [
    Row(
        "limit: the burst at once",
        Times(Ask("calm.example.net", source="198.51.100.50"), 40, at_once=True),
        # One more a second while it goes on, and one that may be underway.
        {"served": between(20, 23), "kinds": {200, 429}, "retry-after": NUMBER},
    ),
    Row(
        "limit: the rate, within 10 %",
        Steady(Ask("steady.example.net", source="198.51.100.51"), per_second=60, seconds=8),
        {"rate": between(18, 22), "overload": True},
        slow=True,
    ),
    Row(
        "limit: each client has its own",
        InTurn(
            {"one": Times(Ask("calm.example.net", source="198.51.100.52"), 30, at_once=True), "another": One(Ask("calm.example.net", source="198.51.100.53"))}
        ),
        {"one.kinds": {200, 429}, "another.status": 200},
    ),
    Row(
        "limit: what is limited never reaches the service",
        InTurn(
            {
                "burst": Times(Ask("calm.example.net", source="198.51.100.54"), 30, at_once=True),
                "more": One(Ask("calm.example.net", "/over-the-limit", source="198.51.100.54")),
            }
        ),
        {"more.status": 429, "more.reached": False, "more.header:Retry-After": NUMBER},
    ),
    Row(
        "limit: each route counts by itself",
        InTurn(
            {
                "burst": Times(Ask("calm.example.net", source="198.51.100.55"), 30, at_once=True),
                "there": One(Ask("calm.example.net", "/other", source="198.51.100.55")),
            }
        ),
        {"burst.kinds": {200, 429}, "there.status": 200},
    ),
    Row(
        "limit: an IPv6 client is its /64",
        InTurn(
            {
                "one": Times(Ask("calm.example.net", to=EDGE6, source="2001:db8:a::1"), 30, at_once=True),
                "neighbour": One(Ask("calm.example.net", to=EDGE6, source="2001:db8:a::2")),
                "another": One(Ask("calm.example.net", to=EDGE6, source="2001:db8:b::1")),
            }
        ),
        {"one.kinds": {200, 429}, "neighbour.status": 429, "another.status": 200},
    ),
    Row(
        "limit: a claimed address is no other client",
        InTurn(
            {
                "burst": Times(Ask("calm.example.net", source="198.51.100.56"), 30, at_once=True),
                "claim": One(Ask("calm.example.net", source="198.51.100.56", headers=[("X-Forwarded-For", "192.0.2.66"), ("X-Real-IP", "192.0.2.66")])),
            }
        ),
        {"claim.status": 429},
    ),
    Row("limit: other routes have none", Times(api("/x", source="198.51.100.57"), 60, at_once=True), {"statuses": {200: 60}}),
    Row(
        "limit: who may not in uses nothing up",
        InTurn(
            {
                "no": Times(Ask("guarded.example.net", source=OUTER), 30),
                "unknown": One(Ask("guarded.example.net", source="198.51.100.21")),
                "yes": One(Ask("guarded.example.net", source="198.51.100.21", user=("ops", "lab"))),
            }
        ),
        {"no.statuses": {403: 30}, "unknown.status": 401, "yes.status": 200},
    ),
]

FRONTED = [
    Row(
        "in front: each client that it names has a limit of its own",
        InTurn(
            {
                "one": Times(Ask("fronted.example.net", port=8443, source=TRUSTED, headers=[("X-Forwarded-For", "192.0.2.8")]), 30, at_once=True),
                "another": One(Ask("fronted.example.net", port=8443, source=TRUSTED, headers=[("X-Forwarded-For", "192.0.2.9")])),
            }
        ),
        {"one.kinds": {200, 429}, "another.status": 200},
    ),
    Row("in front: the proxy itself is nobody", One(Ask("fronted.example.net", "/front-1", port=8443, source=TRUSTED)), {"status": 403, "reached": False}),
    Row(
        "in front: the last that it names counts",
        One(Ask("fronted.example.net", "/front-2", port=8443, source=TRUSTED, headers=[("X-Forwarded-For", "192.0.2.10, 198.51.100.41")])),
        {"status": 403, "reached": False},
    ),
    Row(
        "in front: what a client claimed before it does not count",
        One(Ask("fronted.example.net", port=8443, source=TRUSTED, headers=[("X-Forwarded-For", "198.51.100.41, 192.0.2.10")])),
        {"status": 200},
    ),
    Row(
        "in front: over IPv6",
        One(Ask("fronted.example.net", port=8443, to=EDGE6, source="2001:db8:a::1", headers=[("X-Forwarded-For", "2001:db8:b::77")])),
        {"status": 200},
    ),
    Row(
        "in front: the word of somebody else does not count",
        One(Ask("fronted.example.net", "/front-3", port=8443, source=OUTER, headers=[("X-Forwarded-For", "192.0.2.10")])),
        {"status": 403, "reached": False},
    ),
    Row(
        "in front: the service sees whom it named",
        One(Ask("echo.example.net", port=8443, source=TRUSTED, headers=[("X-Forwarded-For", "192.0.2.10")])),
        {"status": 200, "backend:X-Forwarded-For": [f"192.0.2.10, {TRUSTED}"]},
    ),
    Row(
        "in front: the service sees no claim of somebody else",
        One(Ask("echo.example.net", port=8443, source=OUTER, headers=[("X-Forwarded-For", "192.0.2.10")])),
        {"status": 200, "backend:X-Forwarded-For": [OUTER]},
    ),
    Row(
        "in front: two deep, the last but one counts",
        One(Ask("deep.example.net", port=8444, source=TRUSTED, headers=[("X-Forwarded-For", "198.51.100.41, 192.0.2.10, 198.51.100.3")])),
        {"status": 200},
    ),
    Row(
        "in front: two deep, the last does not",
        One(Ask("deep.example.net", "/front-4", port=8444, source=TRUSTED, headers=[("X-Forwarded-For", "198.51.100.41, 192.0.2.10")])),
        {"status": 403, "reached": False},
    ),
    Row(
        "in front: two deep, one that is too short names nobody",
        One(Ask("deep.example.net", "/front-5", port=8444, source=TRUSTED, headers=[("X-Forwarded-For", "192.0.2.10")])),
        {"status": 403, "reached": False},
    ),
    Row(
        "in front: it ends TLS, and what came by http is redirected",
        One(Ask("api.example.net", "/x", port=8081, tls=False, source=TRUSTED, headers=[("X-Forwarded-Proto", "http")])),
        {"status": 301, "header:Location": "https://api.example.net/x", "reached": Is("-", lambda seen: True)},
    ),
    Row(
        "in front: it ends TLS, and what came by https is served",
        One(Ask("api.example.net", "/x", port=8081, tls=False, source=TRUSTED, headers=[("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "192.0.2.10")])),
        {"status": 200, "service": "one", "backend:X-Forwarded-Proto": ["https"]},
    ),
    Row(
        "in front: it ends TLS, and prefixes count",
        One(Ask("api.example.net", "/v2/x", port=8081, tls=False, source=TRUSTED, headers=[("X-Forwarded-Proto", "https")])),
        {"status": 200, "service": "two"},
    ),
    Row(
        "in front: it ends TLS, and the claim of somebody else is no TLS",
        One(Ask("api.example.net", "/front-6", port=8081, tls=False, source=OUTER, headers=[("X-Forwarded-Proto", "https")])),
        {"status": 301, "reached": False},
    ),
    *(
        Row(
            f"in front: it ends TLS, and a guard asks whom it names: {name}",
            One(Ask("inner.example.net", f"/front-7-{number}", port=8081, tls=False, source=TRUSTED, headers=[("X-Forwarded-Proto", "https"), *headers])),
            {"status": status, "reached": status == 200},
        )
        for number, (name, headers, status) in enumerate(
            (("nobody", [], 403), ("one of the network", [("X-Forwarded-For", "192.0.2.10")], 200), ("another", [("X-Forwarded-For", "198.51.100.41")], 403))
        )
    ),
    Row(
        "PROXY protocol: the client is the one that it names",
        One(Ask("lined.example.net", port=8445, source=TRUSTED, before=V1 % b"192.0.2.10")),
        {"status": 200, "backend:X-Forwarded-For": ["192.0.2.10"]},
    ),
    Row(
        "PROXY protocol: version 2",
        One(
            Ask(
                "lined.example.net",
                port=8445,
                source=TRUSTED,
                before=b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 10, 203, 0, 113, 11]) + b"\x15\xb3\x01\xbb",
            )
        ),
        {"status": 200, "backend:X-Forwarded-For": ["192.0.2.10"]},
    ),
    Row(
        "PROXY protocol: one that is not allowed",
        One(Ask("lined.example.net", "/line-1", port=8445, source=TRUSTED, before=V1 % b"198.51.100.41")),
        {"status": 403, "reached": False},
    ),
    Row(
        "PROXY protocol: the word of somebody else does not count",
        One(Ask("lined.example.net", "/line-2", port=8445, source=OUTER, before=V1 % b"192.0.2.10")),
        {"status": REFUSED, "reached": False},
    ),
    Row(
        "PROXY protocol: a header by its side is a claim",
        One(Ask("lined.example.net", "/line-3", port=8445, source=TRUSTED, before=V1 % b"198.51.100.41", headers=[("X-Forwarded-For", "192.0.2.10")])),
        {"status": 403, "reached": False},
    ),
    Row(
        "PROXY protocol: each client has a limit of its own",
        InTurn(
            {
                "one": Times(Ask("lined.example.net", port=8445, source=TRUSTED, before=V1 % b"192.0.2.11"), 30, at_once=True),
                "another": One(Ask("lined.example.net", port=8445, source=TRUSTED, before=V1 % b"192.0.2.12")),
            }
        ),
        {"one.kinds": {200, 429}, "another.status": 200},
    ),
]

ALLOWED = [
    Row("allowed: one of the network", One(Ask("inner.example.net", source=INNER_CLIENT)), {"status": 200}),
    Row("allowed: one of the network, IPv6", One(Ask("inner.example.net", to=EDGE6, source=INNER_CLIENT6)), {"status": 200}),
    Row("allowed: another", One(Ask("inner.example.net", "/allow-1", source=OUTER)), {"status": 403, "reached": False}),
    Row("allowed: another, IPv6", One(Ask("inner.example.net", "/allow-2", to=EDGE6, source="2001:db8:a::2")), {"status": 403, "reached": False}),
    Row(
        "allowed: another that claims to be one",
        One(Ask("inner.example.net", "/allow-3", source=OUTER, headers=forged("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP"))),
        {"status": 403, "reached": False},
    ),
    Row("allowed: all guards, nobody known", One(Ask("guarded.example.net", "/allow-4", source="198.51.100.22")), {"status": 401, "reached": False}),
    Row("allowed: all guards, the right one", One(Ask("guarded.example.net", source="198.51.100.22", user=("ops", "lab"))), {"status": 200}),
    Row(
        "allowed: all guards, from elsewhere", One(Ask("guarded.example.net", "/allow-5", source=OUTER, user=("ops", "lab"))), {"status": 403, "reached": False}
    ),
]

SOCKET_PATH = Ask("chat.example.net", "/socket")
STREAMS = [
    Row(
        "websocket: handshake, messages, end",
        WebSocket(SOCKET_PATH, [b"hello", b"x" * 5000, b""]),
        {"status": 101, "accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "back": [b"hello", b"x" * 5000, b""], "close": b"\x88\x02\x03\xe8"},
    ),
    Row("websocket: silence for more than a minute", WebSocket(SOCKET_PATH, [b"hello", b"still there"], 66), {"back": [b"hello", b"still there"]}, slow=True),
    Row("websocket: a plain request on the same route", One(SOCKET_PATH), {"status": 200, "service": "one"}),
    Row("websocket: on a route that is of http", WebSocket(api("/socket"), [b"hello"]), {"status": 101, "back": [b"hello"]}),
    Row("stream: half an answer comes while the other half waits", HalfDown(api()), {"status": 200, "first": b"data: one\n", "rest": b"\ndata: two\n\n"}),
    Row(
        "stream: events come one by one, to a client that takes gzip",
        HalfDown(api(headers=[("Accept", "text/event-stream"), ("Accept-Encoding", "gzip")]), "events"),
        {"status": 200, "first": b"data: one\n", "rest": b"\ndata: two\n\n", "encoding": None},
    ),
    Row("stream: half a body arrives while the other half waits", HalfUp(api(), "one"), {"status": 200, "streamed": True, "received": 131072}),
    Row("stream: a big body arrives", BigUp(api(), 24 << 20), {"status": 200, "received": 24 << 20, "intact": True}),
    Row("stream: a big body in chunks arrives", BigUp(api(), 8 << 20, chunked=True), {"status": 200, "received": 8 << 20, "intact": True}),
    Row("stream: a big answer comes", BigDown(api(), 24 << 20), {"status": 200, "size": 24 << 20}),
    Row("stream: an answer that takes more than a minute", One(api("/wait?66", timeout=90)), {"status": 200, "service": "one"}, slow=True),
    Row(
        "stream: a client that first asks whether it may send",
        One(api("/x", method="POST", headers=[("Expect", "100-continue")], body=b"hello")),
        {"status": 200, "service": "one"},
    ),
]

TLS = [
    Row("TLS: 1.1 is refused", One(api("/tls-1", lowest="1.1", highest="1.1")), {"status": CLOSED, "reached": False}),
    Row("TLS: 1.2", One(api(lowest="1.2", highest="1.2")), {"status": 200, "tls": "TLSv1.2"}),
    Row("TLS: 1.3", One(api(lowest="1.3")), {"status": 200, "tls": "TLSv1.3", "cipher": among(*SUPPORTS)}),
    Row("TLS: the certificate is the site's", One(api(ca_file="@CA@")), {"status": 200}),
    Row("TLS: each host has its certificate", One(Ask("other.example.org", ca_file="@CA@")), {"status": 200}),
    Row("TLS: a chosen cipher", One(api(highest="1.2", ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")), {"status": 200, "cipher": "ECDHE-ECDSA-AES128-GCM-SHA256"}),
    Row(
        "TLS: the other chosen cipher",
        One(api(highest="1.2", ciphers="ECDHE-ECDSA-CHACHA20-POLY1305")),
        {"status": 200, "cipher": "ECDHE-ECDSA-CHACHA20-POLY1305"},
    ),
    Row("TLS: a cipher that was not chosen", One(api("/tls-2", highest="1.2", ciphers="ECDHE-ECDSA-AES256-GCM-SHA384")), {"status": CLOSED, "reached": False}),
    Row("TLS: an old cipher", One(api("/tls-3", highest="1.2", ciphers="ECDHE-ECDSA-AES128-SHA")), {"status": CLOSED, "reached": False}),
    Row("TLS: no TLS at its port", One(api("/tls-4", tls=False)), {"status": REFUSED, "reached": False}),
    Row("TLS: minimum 1.3: 1.2 is refused", One(api("/tls-5", highest="1.2")), {"status": CLOSED, "reached": False}, variant="strict"),
    Row("TLS: minimum 1.3: 1.3", One(api()), {"status": 200, "tls": "TLSv1.3"}, variant="strict"),
    Row("HTTP/2: by ALPN", One(api(alpn=("http/1.1",))), {"status": 200, "alpn": "http/1.1"}),
    Row(
        "HTTP/2: a request",
        Run(("curl", "-sSk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "--connect-to", f"::{EDGE}:", "https://api.example.net/x")),
        {"out": "2 200", "code": 0},
    ),
    Row(
        "HTTP/2: a body",
        Run(
            (
                "curl",
                "-sSk",
                "--http2",
                "-d",
                "x=1",
                "-o",
                "/dev/null",
                "-w",
                "%{http_version} %{http_code}",
                "--connect-to",
                f"::{EDGE}:",
                "https://api.example.net/x",
            )
        ),
        {"out": "2 200", "code": 0},
    ),
    Row(
        "HTTP/2: many at once over one connection",
        Run(
            (
                "curl",
                "-sSk",
                "--http2",
                "--parallel",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code} ",
                "--connect-to",
                f"::{EDGE}:",
                "https://api.example.net/x?[1-50]",
            )
        ),
        {"out": "200 " * 50, "code": 0},
    ),
]

SET = {f"headers:{name}": [value] for name, value in HEADERS.items()}
HEADS = [
    Row("header: set, and once", One(api()), {"status": 200, **SET, "headers:X-Own": ["kept"], "headers:Set-Cookie": ["a=1", "b=2"]}),
    Row("header: on a service's error", One(api("/status/500")), {"status": 500, **SET}),
    Row("header: on a service's 404", One(api("/status/404")), {"status": 404, **SET}),
    Row("header: on 401", One(Ask("back.example.net")), {"status": 401, **SET}),
    Row("header: on 403", One(Ask("inner.example.net", source=OUTER)), {"status": 403, **SET}),
    Row(
        "header: on 429",
        Times(Ask("calm.example.net", source="198.51.100.58"), 30, at_once=True),
        {
            "429 headers": Is(
                "with ours, each once",
                lambda seen: all(sum(key.lower() == name.lower() and v == value for key, v in seen) == 1 for name, value in HEADERS.items()),
            )
        },
    ),
    Row("header: on 502", One(Ask("dead.example.net")), {"status": 502, **SET}),
    Row("header: on maintenance", One(Ask("closed.example.net")), {"status": 503, **SET}),
    Row("header: none", One(api()), {"status": 200, "headers:X-Frame-Options": ["of-the-service"], "headers:Strict-Transport-Security": []}, variant="strict"),
    Row(
        "towards the service: who asks, how, for whom",
        One(api("/x", source=OUTER)),
        {
            "backend:Host": ["api.example.net"],
            "backend:X-Forwarded-For": [OUTER],
            "backend:X-Forwarded-Proto": ["https"],
            "backend:X-Forwarded-Host": ["api.example.net"],
            "backend:X-Forwarded-Port": ["443"],
            "backend:X-Real-Ip": [OUTER],
            "backend:Connection": among([], ["keep-alive"]),
        },
    ),
    Row(
        "towards the service: without TLS",
        One(Ask("bare.example.net", "/x", port=8088, tls=False, source=OUTER, host_header="bare.example.net:8088")),
        {
            "backend:Host": ["bare.example.net:8088"],
            "backend:X-Forwarded-Host": ["bare.example.net:8088"],
            "backend:X-Forwarded-Proto": ["http"],
            "backend:X-Forwarded-Port": ["8088"],
        },
    ),
    Row(
        "towards the service: claims of a client are gone",
        One(
            api(
                "/x",
                source=OUTER,
                headers=[
                    *forged("X-Forwarded-For", "X-Real-IP", "X-Forwarded-Server", "X-Forwarded-Prefix"),
                    ("X-Forwarded-Proto", "http"),
                    ("X-Forwarded-Host", "evil.example.com"),
                    ("X-Forwarded-Port", "1"),
                    ("Forwarded", "for=192.0.2.66"),
                ],
            )
        ),
        {
            "backend:X-Forwarded-For": [OUTER],
            "backend:X-Real-Ip": [OUTER],
            "backend:X-Forwarded-Proto": ["https"],
            "backend:X-Forwarded-Host": ["api.example.net"],
            "backend:X-Forwarded-Port": ["443"],
            "backend:X-Forwarded-Prefix": [],
            "backend:X-Forwarded-Server": Is("nothing of the client's", lambda seen: "192.0.2.66" not in seen),
        },
    ),
    Row(
        "towards the service: nor by another spelling",
        One(api("/x", source=OUTER, headers=forged("X_Forwarded_For", "X_Real_IP"))),
        {"status": among(200, 400), "body": Is("without the claim", lambda seen: "192.0.2.66" not in seen)},
    ),
    Row(
        "towards the service: a client can't have them dropped",
        One(api("/x", source=OUTER, headers=[("Connection", "X-Forwarded-For, X-Real-IP, X-Forwarded-Proto")])),
        {"backend:X-Forwarded-For": [OUTER], "backend:X-Real-Ip": [OUTER], "backend:X-Forwarded-Proto": ["https"]},
    ),
    Row(
        "towards the service: a header of the client's own",
        One(api("/x", headers=[("X-Something", "1"), ("Cookie", "a=1; b=2"), ("Accept-Language", "de")])),
        {"backend:X-Something": ["1"], "backend:Cookie": ["a=1; b=2"], "backend:Accept-Language": ["de"]},
    ),
]

GZIP = [("Accept-Encoding", "gzip")]
SHORTER = [
    Row("compression: text", One(api("/text", headers=GZIP)), {"status": 200, "header:Content-Encoding": "gzip", "header:Vary": containing("Accept-Encoding")}),
    Row(
        "compression: none for who takes none",
        One(api("/text", headers=[("Accept-Encoding", "identity")])),
        {"status": 200, "header:Content-Encoding": None, "header:Content-Length": "20000"},
    ),
    Row("compression: none for who says nothing", One(api("/text")), {"status": 200, "header:Content-Encoding": None, "header:Content-Length": "20000"}),
    Row("compression: not of pictures", One(api("/text.png", headers=GZIP)), {"status": 200, "header:Content-Encoding": None}),
    Row("compression: not asked for", One(api("/text", headers=GZIP)), {"status": 200, "header:Content-Encoding": None}, variant="strict"),
]

SEVERAL = [
    Row("several services: each gets some", Times(Ask("spread.example.net"), 20), {"statuses": {200: 20}, "distinct": 2, "of:one": between(5, 15)}),
    Row("several services: one that is dead is not felt", Times(Ask("half-dead.example.net"), 30), {"statuses": {200: 30}, "services": {"one": 30}}),
    Row(
        "sticky: the cookie keeps the service",
        Times(Ask("stuck.example.net"), 20, cookies=True),
        {
            "statuses": {200: 20},
            "distinct": 1,
            "cookie": Is("one, for the browser alone", lambda seen: len(seen) == 1 and "httponly" in seen[0].lower() and "secure" in seen[0].lower()),
        },
    ),
    Row("sticky: without the cookie they are spread", Times(Ask("stuck.example.net"), 30), {"statuses": {200: 30}, "distinct": 2}),
    Row(
        "sticky: a forged cookie is no harm",
        One(Ask("stuck.example.net", headers=[("Cookie", "; ".join(f"{name}=127.0.0.1:1" for name in ("route", "portmap", "portmap-stuck", "sticky")))])),
        {"status": 200},
    ),
    # 400 requests, 20 %: five standard deviations of 8 to either side, where it is by chance; once in two million runs.
    Row("canary: its share", Times(Ask("canary.example.net"), 400), {"statuses": {200: 400}, "of:two": between(40, 120)}),
    Row("https behind: verified", One(Ask("sealed.example.net")), {"status": 200, "service": "sealed"}),
    Row(
        "https behind: with another name it is not trusted",
        One(Ask("sealed.example.net", "/sealed-1")),
        {"status": among(500, 502), "reached": False},
        variant="strict",
    ),
    Row("https behind: not verified", One(Ask("sealed.example.net")), {"status": 200, "service": "sealed"}, variant="lenient"),
]

MAINTENANCE = [
    Row(
        "maintenance: the page",
        One(Ask("closed.example.net", "/maintained-1")),
        {"status": 503, "body": PAGE, "header:Retry-After": NUMBER, "header:Content-Type": containing("text/html"), "reached": False},
    ),
    Row("maintenance: on every path", One(Ask("closed.example.net", "/maintained-2/x.json?q=1")), {"status": 503, "body": PAGE, "reached": False}),
    Row(
        "maintenance: a POST",
        One(Ask("closed.example.net", "/maintained-3", method="POST", body=b"x=1")),
        {"status": 503, "header:Retry-After": NUMBER, "reached": False},
    ),
    Row("maintenance: HEAD", One(Ask("closed.example.net", "/maintained-4", method="HEAD")), {"status": 503, "body": "", "reached": False}),
    Row("maintenance: guards are in force: who may not in", One(Ask("closed-guarded.example.net", source=OUTER)), {"status": 403}),
    Row("maintenance: guards are in force: nobody known", One(Ask("closed-guarded.example.net", source=INNER_CLIENT)), {"status": 401}),
    Row(
        "maintenance: guards are in force: the right one",
        One(Ask("closed-guarded.example.net", source=INNER_CLIENT, user=("ops", "lab"))),
        {"status": 503, "body": PAGE},
    ),
    Row("maintenance: others go on", One(api()), {"status": 200}),
    Row("maintenance: over", One(Ask("closed.example.net")), {"status": 200, "service": "one"}, variant="strict"),
]

OTHERS = [
    Row("tcp: greeting and echo", Tcp(Ask("", port=5000, tls=False)), {"greeting": b"stream\n", "back": b"hello"}),
    Row("tcp: over IPv6", Tcp(Ask("", port=5000, tls=False, to=EDGE6, source="2001:db8:a::2")), {"greeting": b"stream\n", "back": b"hello"}),
    Row("tcp: TLS ends here", Tcp(Ask("ended.example.net", port=5443, ca_file="@CA@")), {"greeting": b"stream\n", "back": b"hello"}),
    Row("tcp: TLS 1.1 is refused", Tcp(Ask("ended.example.net", port=5443, lowest="1.1", highest="1.1")), {"status": CLOSED}),
    Row("tcp: TLS passes unopened", Tcp(Ask("through.example.net", port=5443, ca_file="@CA@")), {"greeting": b"through\n", "back": b"hello"}),
    # Nginx refuses the handshake; Traefik agrees on TLS by its default certificate, and then waits for a request to answer by 404.
    Row("tcp: an unknown name", Tcp(Ask("unknown.example.net", port=5443, timeout=2)), {"status": CLOSED, "greeting": b""}),
    Row("tcp: no name", Tcp(Ask("", port=5443, timeout=2)), {"status": CLOSED, "greeting": b""}),
    Row("tcp: allowed", Tcp(Ask("inner.example.net", port=5443, source=INNER_CLIENT)), {"greeting": b"stream\n", "back": b"hello"}),
    Row("tcp: not allowed", Tcp(Ask("inner.example.net", port=5443, source=OUTER)), {"status": CLOSED}),
    Row("udp: each client gets its own back", Udp(5353), {"back": [f"datagrams:from {number}" for number in range(3)]}),
    Row("udp: over IPv6", Udp(5353, to=EDGE6), {"back": [f"datagrams:from {number}" for number in range(3)]}),
]

NO_HTTP3 = "Nginx has HTTP/3 from 1.25 on, and Debian 12 has 1.22; its module refuses the option (test_broken_ingress.py)"
ALONE = [
    Row(
        "HTTP/3: announced",
        One(Ask("quick.example.net", port=8446)),
        {"status": 200, "header:Alt-Svc": containing('h3=":8446"')},
        only=("traefik", NO_HTTP3),
    ),
    Row(
        "HTTP/3: a request, and the certificate is the site's",
        Run((sys.executable, str(pathlib.Path(__file__).with_name("wire_http3.py")), EDGE, "8446", "quick.example.net", "@CA@")),
        {"code": 0, "out": "200 one\n"},
        only=("traefik", NO_HTTP3),
    ),
    Row("HTTP/3: not announced where it is not", One(api()), {"status": 200, "header:Alt-Svc": None}),
    Row(
        "metrics: the proxy's own",
        One(Ask("127.0.0.1", "/metrics", port=8881, tls=False, source="127.0.0.1", to="127.0.0.1")),
        {"status": 200, "body": containing("traefik_config_last_reload_success")},
        only=("traefik", "Nginx has none of its own"),
    ),
    Row(
        "API: at loopback, for who knows its password",
        One(Ask("127.0.0.1", "/api/version", port=8880, tls=False, source="127.0.0.1", to="127.0.0.1")),
        {"status": 401, "header:WWW-Authenticate": containing("Basic"), "body": Is("nothing told", lambda seen: "Version" not in seen)},
        only=("traefik", "Nginx has none"),
    ),
]

ROWS: list[Row] = [
    *REDIRECT,
    *ROUTING,
    *PATHS,
    *AUTH,
    *LIMITS,
    *FRONTED,
    *ALLOWED,
    *STREAMS,
    *TLS,
    *HEADS,
    *SHORTER,
    *SEVERAL,
    *MAINTENANCE,
    *OTHERS,
    *ALONE,
]
