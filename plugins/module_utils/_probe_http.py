# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions that speak HTTP: a web server, a websocket, metrics for Prometheus.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import re
import socket
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import OPEN, Found, Question, Tls, bracketed
from ansible_collections.alfred.portmap.plugins.module_utils._probe_errors import CLOSED, Wrong
from ansible_collections.alfred.portmap.plugins.module_utils._probe_exposition import count_samples
from ansible_collections.alfred.portmap.plugins.module_utils._probe_tls import secure
from ansible_collections.alfred.portmap.plugins.module_utils._probe_wire import Wire, converse

MAX_BODY = 1 << 16  # bytes of a body that are looked at
SECRET = ("set-cookie", "www-authenticate", "proxy-authenticate")  # headers of an answer that are not shown

_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_METRICS = "text/plain;version=0.0.4"


def ask_http(question: Question) -> Found:
    """Get a page."""
    return converse(question, _reading(_page, {}))


def ask_prometheus(question: Question) -> Found:
    """Get metrics."""
    return converse(question, _reading(_metrics, {"Accept": _METRICS}))


def ask_websocket(question: Question) -> Found:
    """Ask for a websocket, and go."""
    key = base64.b64encode(os.urandom(16))
    wanted = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key.decode()}
    proof = base64.b64encode(hashlib.sha1(key + _WEBSOCKET, usedforsecurity=False).digest()).decode()
    return converse(question, _reading(lambda question, response: _upgraded(question, response, proof), wanted))


Judge = t.Callable[[Question, http.client.HTTPResponse], str]


def _reading(judge: Judge, headers: dict[str, str]) -> t.Callable[[Question, Wire], Found]:
    """Send a request, and have the answer judged."""

    def talk(question: Question, wire: Wire) -> Found:
        wanted = question.http
        if wanted.scheme == "https":
            tls = question.tls or Tls()
            secure(
                question,
                wire,
                Tls(tls.server_name or wanted.host, tls.verify or wanted.verify, tls.names, max(tls.days_left, wanted.days_left)),
            )
        wire.sendall(_request(question, headers))
        try:
            response = http.client.HTTPResponse(t.cast(socket.socket, wire), method="GET")
            response.begin()
            return OPEN, judge(question, response)
        except http.client.HTTPException as error:
            raise Wrong(_what_is_no_http(error)) from None

    return talk


def _request(question: Question, headers: dict[str, str]) -> bytes:
    host = question.http.host or f"{bracketed(question.target.partition('%')[0])}:{question.port}"
    usual = {"Host": host, "User-Agent": "alfred.portmap probe", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close", **headers}
    own = dict(question.http.request_headers)
    replaced = {name.lower() for name in own}
    lines = [f"{name}: {value}" for name, value in [*((name, value) for name, value in usual.items() if name.lower() not in replaced), *own.items()]]
    return "\r\n".join([f"GET {question.http.path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def _what_is_no_http(error: http.client.HTTPException) -> str:
    if isinstance(error, http.client.RemoteDisconnected):
        return CLOSED
    if isinstance(error, http.client.IncompleteRead):
        return "the answer breaks off"
    if isinstance(error, (http.client.BadStatusLine, http.client.UnknownProtocol)):
        return f"speaks no HTTP: {printable(str(error.args[0]).strip(), 60)}"
    return f"no HTTP: {printable(str(error) or type(error).__name__, 60)}"


def _page(question: Question, response: http.client.HTTPResponse) -> str:
    wanted = question.http
    status = f"status {response.status}"
    _check_status(question, response)
    location = response.getheader("Location") or ""
    if wanted.location and not re.fullmatch(wanted.location, location):
        raise Wrong(f"{status}, Location {printable(location) or 'missing'}")
    for name, pattern in wanted.headers:
        value = response.getheader(name)
        if value is None:
            raise Wrong(f"{status}, header {name} is missing")
        if not re.fullmatch(pattern, value):
            raise Wrong(f"{status}, header {name} is {'another one' if name.lower() in SECRET else printable(value)}, expected {pattern}")
    if wanted.body and not re.search(wanted.body, response.read(MAX_BODY).decode("utf-8", "replace")):
        raise Wrong(f"{status}, but its body does not match {wanted.body}")
    return status


def _check_status(question: Question, response: http.client.HTTPResponse) -> None:
    if not any(low <= response.status <= high for low, high in question.http.status):
        raise Wrong(f"status {response.status}")


def _metrics(question: Question, response: http.client.HTTPResponse) -> str:
    _check_status(question, response)
    samples = count_samples(_blocks(response))
    return f"status {response.status}, {samples} sample{'' if samples == 1 else 's'}"


def _blocks(response: http.client.HTTPResponse) -> t.Iterator[bytes]:
    """A body, to its end, of which http.client does not say whether it was the promised one."""
    yield from iter(lambda: response.read(MAX_BODY), b"")
    if response.length:
        raise Wrong("the answer breaks off")


def _upgraded(_question: Question, response: http.client.HTTPResponse, proof: str) -> str:
    if response.status != 101:
        raise Wrong(f"status {response.status}, no websocket")
    if (response.getheader("Upgrade") or "").lower() != "websocket":
        raise Wrong("status 101, but not to a websocket")
    if "upgrade" not in {word.strip().lower() for word in (response.getheader("Connection") or "").split(",")}:
        raise Wrong("status 101, but header Connection does not say Upgrade")
    if (response.getheader("Sec-WebSocket-Accept") or "").strip() != proof:
        raise Wrong("status 101, but Sec-WebSocket-Accept does not fit the request: somebody between answers")
    return "status 101, a websocket"
