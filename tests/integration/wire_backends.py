# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services behind a proxy, in this process: what they were asked and what they answer is in the tests' hands."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import threading
import time
import typing as t
import urllib.parse

from wire_host import Inside

WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT = "a line that can be made shorter, and many like it\n" * 400
CHUNK = b"x" * 65536


class Service:
    """Accepts connections at a port of the namespace's loopback; a thread serves each of them."""

    def __init__(self, inside: Inside, name: str, port: int, tls: t.Optional[ssl.SSLContext] = None) -> None:
        self.name = name
        self.tls = tls
        self.listener = inside.socket("127.0.0.1")
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(256)
        self.connections = 0
        threading.Thread(target=self._accept, name=f"accept-{name}", daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _peer = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(180)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.tls.wrap_socket(connection, server_side=True) if self.tls else connection as stream:
                self.serve(stream)
        except (OSError, ValueError, KeyError, EOFError):
            pass
        finally:
            connection.close()

    def serve(self, stream: socket.socket) -> None:
        """Serve one connection: by default say who we are, then send back whatever comes."""
        stream.sendall(f"{self.name}\n".encode())
        while data := stream.recv(65536):
            stream.sendall(data)


class Silent(Service):
    """Waits for the client's first word, as PostgreSQL does, and answers it."""

    def serve(self, stream: socket.socket) -> None:
        while data := stream.recv(65536):
            stream.sendall(f"{self.name}:".encode() + data)


class Udp:
    """Sends each datagram back, with its name before it."""

    def __init__(self, inside: Inside, name: str, port: int) -> None:
        self.name = name
        self.listener = inside.socket("127.0.0.1", socket.SOCK_DGRAM)
        self.listener.bind(("127.0.0.1", port))
        threading.Thread(target=self._serve, name=f"udp-{name}", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self.listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.listener.recvfrom(65536)
                self.listener.sendto(f"{self.name}:".encode() + data, peer)


class Web(Service):
    """HTTP/1.1 with keep-alive: tells what it was asked, byte by byte; some paths do more, see `answer`."""

    def __init__(self, inside: Inside, name: str, port: int, tls: t.Optional[ssl.SSLContext] = None) -> None:
        self.asked: list[str] = []
        self.gates: dict[str, threading.Event] = {}  # by the request's mark: what the client says it has seen
        self.seen: dict[str, threading.Event] = {}  # by the request's mark: what of the client has come
        super().__init__(inside, name, port, tls)

    def gate(self, mark: str) -> threading.Event:
        """Opened by the client."""
        return self.gates.setdefault(mark, threading.Event())

    def sight(self, mark: str) -> threading.Event:
        """Set when the first bytes of a body have come."""
        return self.seen.setdefault(mark, threading.Event())

    def serve(self, stream: socket.socket) -> None:
        with stream.makefile("rb") as reader:
            while line := reader.readline().decode("latin-1").rstrip("\r\n"):
                headers = []
                while head := reader.readline().decode("latin-1").rstrip("\r\n"):
                    key, _colon, value = head.partition(":")
                    headers.append([key, value.strip()])
                self.asked.append(line)
                if not self.answer(stream, reader, line, headers):
                    return

    def answer(self, stream: socket.socket, reader: t.BinaryIO, line: str, headers: list[list[str]]) -> bool:
        """Answer one request; False ends the connection."""
        method, target, _version = line.split(" ", 2)
        named = {key.lower(): value for key, value in headers}
        path, query = urllib.parse.urlsplit(target).path, urllib.parse.urlsplit(target).query
        if named.get("upgrade", "").lower() == "websocket":
            self.echo(stream, reader, named["sec-websocket-key"])
            return False
        if named.get("expect", "").lower() == "100-continue":
            stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        received, digest = 0, hashlib.sha256()
        for data in body(reader, named):
            received += len(data)
            digest.update(data)
            self.sight(query).set()
        if path == "/stream":  # half of it, and the rest once the client says that it has that half
            self.chunked(stream, "text/event-stream" if "events" in query else "application/octet-stream", query)
        elif path == "/big":
            size = int(query)
            stream.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n".encode())
            for _number in range(size // len(CHUNK)):
                stream.sendall(CHUNK)
        else:
            if path == "/wait":
                time.sleep(float(query))
            kind, text = (
                "application/json",
                json.dumps({"service": self.name, "line": line, "headers": headers, "received": received, "sha256": digest.hexdigest()}),
            )
            if path.startswith("/text"):
                kind, text = ("image/png" if path == "/text.png" else "text/plain"), TEXT
            status = path.removeprefix("/status/") if path.startswith("/status/") else "200"
            own = f"X-Service: {self.name}\r\nX-Frame-Options: of-the-service\r\nX-Own: kept\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
            head = f"HTTP/1.1 {status} Word\r\nContent-Type: {kind}\r\nContent-Length: {len(text)}\r\n{own}\r\n"
            stream.sendall(head.encode() + (b"" if method == "HEAD" else text.encode()))
        return True

    def chunked(self, stream: socket.socket, kind: str, mark: str) -> None:
        """An answer whose second half comes once the gate is open."""
        stream.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        stream.sendall(b"b\r\ndata: one\n\n\r\n")
        opened = self.gate(mark).wait(20)
        data = b"data: two\n\n" if opened else b"data: 20s\n\n"
        stream.sendall(b"b\r\n" + data + b"\r\n0\r\n\r\n")

    @staticmethod
    def echo(stream: socket.socket, reader: t.BinaryIO, key: str) -> None:
        """A WebSocket that sends every message back (RFC 6455, 4.2.2 and 5.2)."""
        accept = base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode()).digest()).decode()
        stream.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        while first := reader.read(2):
            opcode, length = first[0] & 0x0F, first[1] & 0x7F
            if length == 126:
                length = int.from_bytes(reader.read(2), "big")
            mask = reader.read(4)
            data = bytes(byte ^ mask[position % 4] for position, byte in enumerate(reader.read(length)))
            size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
            stream.sendall(bytes([0x80 | opcode]) + size + data)
            if opcode == 0x8:
                return


def body(reader: t.BinaryIO, headers: t.Mapping[str, str]) -> t.Iterator[bytes]:
    """What comes after a request's head, piece by piece."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int(reader.readline(), 16):
            yield reader.read(size)
            reader.readline()
        reader.readline()
        return
    left = int(headers.get("content-length", "0"))
    while left:
        data = t.cast(t.Any, reader).read1(min(left, 65536))
        if not data:
            raise EOFError
        left -= len(data)
        yield data
