# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of a proxy that says exactly what it is told to say: paths and headers as written, from any address, with any TLS."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import json
import os
import socket
import ssl
import typing as t
import warnings
from dataclasses import dataclass, field

from wire_host import EDGE, Inside

CLOSED = "closed"  # no answer: the connection was refused, ended or its TLS was not agreed upon
Headers = t.Sequence[tuple[str, str]]


@dataclass
class Answer:
    """What came back."""

    status: t.Union[int, str]  # CLOSED: none
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    error: str = ""
    tls: t.Optional[str] = None
    cipher: t.Optional[str] = None
    alpn: t.Optional[str] = None

    def all(self, name: str) -> list[str]:
        """The values of a header, one for each time that it came."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> t.Optional[str]:
        """The value of a header that came once."""
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    def told(self) -> t.Any:
        """What the service says it was asked."""
        return json.loads(self.body)


@functools.cache
def context(lowest: str, highest: str, ciphers: str, alpn: tuple[str, ...], ca_file: t.Optional[str]) -> ssl.SSLContext:
    """A client's TLS. Without a CA it takes any certificate, and offers what no client should, so that only the proxy can refuse."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        made.load_verify_locations(ca_file)
    else:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    made.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TLS 1.1 is what is asked for
        made.minimum_version = ssl.TLSVersion[f"TLSv{lowest.replace('.', '_')}"]
        made.maximum_version = ssl.TLSVersion[f"TLSv{highest.replace('.', '_')}"]
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


@dataclass(frozen=True)
class Ask:
    """One request. `host` goes into SNI and Host; port is the entrypoint's."""

    host: str
    path: str = "/"
    port: int = 443
    tls: bool = True
    method: str = "GET"
    headers: Headers = ()
    body: bytes = b""
    source: str = "198.51.100.1"
    to: str = EDGE
    before: bytes = b""  # sent before TLS: the PROXY protocol
    host_header: t.Optional[str] = None  # another one than SNI's; "" leaves it away
    user: t.Optional[tuple[str, str]] = None
    lowest: str = "1.2"
    highest: str = "1.3"
    ciphers: str = "DEFAULT"
    alpn: tuple[str, ...] = ("http/1.1",)
    ca_file: t.Optional[str] = None
    timeout: float = 10

    def connect(self, inside: Inside) -> socket.socket:
        """A connection, with TLS if that is asked for. Raises OSError."""
        plain = inside.connect(self.to, self.port, self.source, self.timeout)
        try:
            if self.before:
                plain.sendall(self.before)
            if not self.tls:
                return plain
            ca_file = self.ca_file and os.fspath(self.ca_file)
            return context(self.lowest, self.highest, self.ciphers, self.alpn, ca_file).wrap_socket(plain, server_hostname=self.host or None)
        except OSError:
            plain.close()
            raise

    def head(self) -> bytes:
        """The request's head."""
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        host = self.host if self.host_header is None else self.host_header
        if host:
            lines.append(f"Host: {host}")
        lines += [f"{key}: {value}" for key, value in self.headers]
        if self.user:
            lines.append("Authorization: Basic " + base64.b64encode(":".join(self.user).encode()).decode())
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode()

    def __call__(self, inside: Inside) -> Answer:
        """Ask, over a connection of its own."""
        try:
            with contextlib.closing(self.connect(inside)) as stream:
                stream.sendall(self.head() + self.body)
                return read(stream, self.method)
        except (OSError, http.client.HTTPException) as error:
            return Answer(CLOSED, error=f"{type(error).__name__}: {error}")


def read(stream: socket.socket, method: str = "GET") -> Answer:
    """One answer from a connection."""
    response = http.client.HTTPResponse(stream, method=method)
    response.begin()
    answer = Answer(response.status, response.getheaders(), b"" if response.status == 101 else response.read())
    if isinstance(stream, ssl.SSLSocket):
        agreed = stream.cipher()
        answer.tls, answer.cipher, answer.alpn = stream.version(), agreed[0] if agreed else None, stream.selected_alpn_protocol()
    return answer
