# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers of questions on loopback: servers that behave as a test tells them to, well or badly."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import ssl
import subprocess
import threading
import typing as t

Talk = t.Callable[[socket.socket], None]


@contextlib.contextmanager
def server(talk: Talk | None = None, address: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> t.Iterator[int]:
    """A TCP server that has each client talked to by a thread of its own; without `talk` it only accepts. Gives its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.create_server((address, 0), family=family)
    ended = threading.Event()

    def serve() -> None:
        while True:
            try:
                client, _peer = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    def answer(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if context is not None:
                client = context.wrap_socket(client, server_side=True)
            if talk is not None:
                talk(client)
            else:
                ended.wait()
        client.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        listening.close()


@contextlib.contextmanager
def quick_server(answer: bytes | None) -> t.Iterator[int]:
    """One thread for thousands of clients: each gets the answer at once, and may say whatever it likes. Gives its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _peer = listening.accept()
                    with client, contextlib.suppress(OSError):
                        if answer is not None:
                            client.sendall(answer)
                            client.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@contextlib.contextmanager
def datagrams(reply: t.Callable[[bytes], bytes | None], address: str = "127.0.0.1") -> t.Iterator[int]:
    """A UDP server that answers each datagram, or does not."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((address, 0))
        udp.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    question, peer = udp.recvfrom(4096)
                    answer = reply(question)
                    if answer is not None:
                        udp.sendto(answer, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield udp.getsockname()[1]
        finally:
            ended.set()
            thread.join(10)


def says(answer: bytes, heard: list[bytes] | None = None) -> Talk:
    """Hear a request out, then send these bytes."""

    def talk(client: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += client.recv(4096)
        if heard is not None:
            heard.append(request)
        client.sendall(answer)

    return talk


def http(status: str = "200 OK", body: bytes = b"all is well", **headers: str) -> bytes:
    """A whole answer of a web server."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *(f"{key}: {value}" for key, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def unused() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def mute(_client: socket.socket) -> None:
    threading.Event().wait(30)


def drip(client: socket.socket) -> None:
    """A byte now and then, for ever: no single wait is long."""
    client.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        client.sendall(b"x")
        threading.Event().wait(0.02)


def drip_a_body(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        client.sendall(b"x")
        threading.Event().wait(0.02)


def replies(answer: bytes) -> Talk:
    """Hear the first words, whatever they are, then send these bytes and close."""

    def talk(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(answer)

    return talk


def greets(banner: bytes) -> Talk:
    """Speak first, and close."""
    return lambda client: client.sendall(banner)


def endless(client: socket.socket) -> None:
    """Talk as fast as it goes, until the other one has enough."""
    while True:
        client.sendall(b"x" * 65536)


def drip_garbage(client: socket.socket) -> None:
    """A byte now and then that is the beginning of nothing."""
    while True:
        client.sendall(b"?")
        threading.Event().wait(0.02)


def issue(folder: pathlib.Path, *names: str, days: int = 2, addresses: t.Sequence[str] = ()) -> ssl.SSLContext:
    """A server's context, with a certificate that nobody signed: folder/cert. days: -1 has it expired."""
    key, cert = str(folder / "key"), str(folder / "cert")
    alternatives = ",".join([*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)])
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=peer", "-days", str(max(days, 1))]
    extension = ["-addext", f"subjectAltName={alternatives}"] if alternatives else []
    subprocess.run(["openssl", "req", *options, *extension, "-keyout", key, "-out", cert], check=True, capture_output=True)
    if days < 0:
        again = ["-in", cert, "-signkey", key, "-days", str(days), "-out", cert]
        subprocess.run(["openssl", "x509", *again], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
