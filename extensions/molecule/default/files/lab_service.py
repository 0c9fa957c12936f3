# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service of the lab: listens as the port map says and speaks the right protocol. Standard library only.

    lab_service.py --name alfred-core --health /health http://[::]:8080
    lab_service.py --name world dns://198.51.100.53:53 ntp://198.51.100.123:123 tcp://198.51.100.80:443

`http` answers every path with its own name, so that routing can be seen; without a health path it has none (404).
`websocket` is http that also accepts a handshake (RFC 6455) and echoes messages. `tcp` greets and closes. `dns` answers
every question for an IPv4 address over UDP and TCP (RFC 1035), `ntp` tells the time (RFC 5905).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import socket
import struct
import time
import urllib.parse

WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
NTP_EPOCH = 2208988800
DNS_ANSWER = "198.51.100.80"


class Http:
    """HTTP/1.1, one request per connection, and websockets if asked to."""

    def __init__(self, name: str, health: str | None, websocket: bool) -> None:
        self.name = name
        self.health = health
        self.websocket = websocket
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection; a peer that says nothing sensible, or goes away, gets nothing."""
        try:
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).decode("latin-1").split("\r\n")
            method, target, _version = head[0].split(" ", 2)
            headers = {}
            for line in head[1:]:
                key, _colon, value = line.partition(":")
                if key:
                    headers[key.lower()] = value.strip()
            self.requests += 1
            if self.websocket and headers.get("upgrade", "").lower() == "websocket":
                await self.echo(headers["sec-websocket-key"], reader, writer)
            else:
                writer.write(self.answer(method, urllib.parse.urlsplit(target).path, headers))
                await writer.drain()
        except (ValueError, KeyError, OSError, EOFError, asyncio.TimeoutError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def answer(self, method: str, path: str, headers: dict[str, str]) -> bytes:
        """One response, head and body."""
        status, kind = "200 OK", "application/json"
        if path == "/metrics":
            kind = "text/plain; version=0.0.4"
            body = f'# TYPE lab_requests_total counter\nlab_requests_total{{service="{self.name}"}} {self.requests}\n'
        elif path == self.health:
            body = json.dumps({"service": self.name, "status": "ok"})
        elif path in ("/health", "/healthz", "/api/health", "/-/healthy"):
            status, body = "404 Not Found", json.dumps({"service": self.name, "error": "no such health path"})
        else:
            body = json.dumps({"service": self.name, "host": socket.gethostname(), "method": method, "path": path, "headers": headers})
        data = b"" if method == "HEAD" else body.encode()
        lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body.encode())}", f"X-Service: {self.name}", "Connection: close"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + data

    @staticmethod
    async def echo(key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept the handshake, then send every short message back until the peer closes (RFC 6455 section 4.2.2, 5.2)."""
        accept = base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode()).digest()).decode()
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        while True:
            first, second = await reader.readexactly(2)
            opcode, length = first & 0x0F, second & 0x7F
            if length > 125:
                raise ValueError("only short messages")
            mask = await reader.readexactly(4)
            data = bytes(byte ^ mask[position % 4] for position, byte in enumerate(await reader.readexactly(length)))
            reply = {0x9: 0xA}.get(opcode, opcode)
            writer.write(bytes([0x80 | reply, len(data)]) + data)
            await writer.drain()
            if opcode == 0x8:
                return


class Greeter:
    """Accepts, says its name, closes: enough to see that a connection was let through."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Greet one connection."""
        try:
            writer.write(f"{self.name}\r\n".encode())
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


def dns_answer(query: bytes) -> bytes | None:
    """The answer to one DNS question: an A record for type A, none for other types. None for what is no question."""
    if len(query) < 17 or query[2] & 0x80:
        return None
    end = 12
    while end < len(query) and query[end]:
        end += query[end] + 1
    end += 5
    if end > len(query):
        return None
    question = query[12:end]
    answers = b""
    if question[-4:-2] == b"\x00\x01":
        answers = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton(DNS_ANSWER))
    return query[:2] + b"\x85\x80" + struct.pack("!HHHH", 1, 1 if answers else 0, 0, 0) + question + answers


def ntp_answer(query: bytes) -> bytes | None:
    """The answer of a stratum 1 server to one client packet."""
    if len(query) < 48 or query[0] & 0x07 != 3:
        return None
    now = time.time() + NTP_EPOCH
    stamp = struct.pack("!II", int(now), int((now % 1) * 2**32))
    return struct.pack("!BBbb", 0x24, 1, 4, -20) + bytes(8) + b"LAB\x00" + stamp + query[40:48] + stamp + stamp


class Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram by a function."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        reply = self.answer(data)
        if reply is not None:
            self.transport.sendto(reply, addr)


async def dns_over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One question over TCP, with its length in front (RFC 1035 section 4.2.2)."""
    try:
        (length,) = struct.unpack("!H", await asyncio.wait_for(reader.readexactly(2), 30))
        reply = dns_answer(await reader.readexactly(length))
        if reply is not None:
            writer.write(struct.pack("!H", len(reply)) + reply)
            await writer.drain()
    except (OSError, EOFError, asyncio.TimeoutError):
        pass
    finally:
        writer.close()


async def listen(url: str, name: str, health: str | None) -> None:
    """Start one listener. `[::]` is the wildcard of both families."""
    parts = urllib.parse.urlsplit(url)
    address, port = parts.hostname, parts.port
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    both = address == "::"

    def bound(kind: int) -> socket.socket:
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        sock.bind((address, port))
        return sock

    loop = asyncio.get_running_loop()
    if parts.scheme in ("http", "websocket"):
        await asyncio.start_server(Http(name, health, parts.scheme == "websocket").serve, sock=bound(socket.SOCK_STREAM))
    elif parts.scheme == "tcp":
        await asyncio.start_server(Greeter(name).serve, sock=bound(socket.SOCK_STREAM))
    elif parts.scheme == "dns":
        await asyncio.start_server(dns_over_tcp, sock=bound(socket.SOCK_STREAM))
        await loop.create_datagram_endpoint(lambda: Datagrams(dns_answer), sock=bound(socket.SOCK_DGRAM))
    elif parts.scheme == "ntp":
        await loop.create_datagram_endpoint(lambda: Datagrams(ntp_answer), sock=bound(socket.SOCK_DGRAM))
    else:
        raise SystemExit(f"{url}: unknown kind {parts.scheme!r}")


async def main() -> None:
    """Listen until the process is ended."""
    parser = argparse.ArgumentParser(description="A service of the lab")
    parser.add_argument("--name", required=True)
    parser.add_argument("--health")
    parser.add_argument("listen", nargs="+", metavar="KIND://ADDRESS:PORT")
    options = parser.parse_args()
    for url in options.listen:
        await listen(url, options.name, options.health)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
