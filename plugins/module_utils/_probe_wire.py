# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections and datagrams of a question, none of which takes longer than the question may.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import time
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import LATE, WRONG, Found, Question
from ansible_collections.alfred.portmap.plugins.module_utils._probe_errors import CLOSED_DURING_TLS, Wrong, what_broke

DATAGRAMS = 4  # how often a datagram is sent within the timeout

# linux/in.h, linux/in6.h: (level, option). Without it the kernel keeps to itself that a host or network can't be reached (ip(7)).
_HEAR_ERRORS = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}


class Wire:
    """A connection with one deadline for all that happens on it: a socket's own timeout begins anew with every byte that drips in."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self.socket = connected
        self._deadline = deadline
        self._heard = b""  # beyond the last line

    def hurry(self) -> None:
        """Let the next step take no longer than what is left. Raises TimeoutError."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(left)

    def sendall(self, data: bytes) -> None:
        """Send all of it. Where the peer has closed already, its last words say why, and are still to be read."""
        self.hurry()
        try:
            self.socket.sendall(data)
        except (socket.timeout, TimeoutError):
            raise
        except OSError:
            return

    def receive(self, most: int) -> bytes:
        """What comes next; nothing at the end."""
        self.hurry()
        return self.socket.recv(most)

    def line(self, most: int) -> bytes:
        """A line without its end, or as much of it as comes before the peer closes or says too much."""
        while b"\n" not in self._heard and len(self._heard) < most:
            more = self.receive(most - len(self._heard))
            if not more:
                break
            self._heard += more
        said, _end, self._heard = self._heard.partition(b"\n")
        return said.rstrip(b"\r")

    def makefile(self, _mode: str = "rb") -> io.BufferedReader:
        """For http.client, which reads from files."""
        return io.BufferedReader(_Incoming(self))

    def start_tls(self, context: ssl.SSLContext, server_name: str) -> None:
        """Speak TLS from now on."""
        self.hurry()  # the handshake as a whole: ssl has a deadline of its own for it
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname=server_name)
        except ssl.SSLError:
            raise
        except ConnectionError:
            raise Wrong(CLOSED_DURING_TLS) from None
        except ValueError:
            raise Wrong(f"{server_name} is no name that TLS could ask for") from None

    def close(self) -> None:
        """End it."""
        self.socket.close()


class _Incoming(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        self._wire.hurry()
        return self._wire.socket.recv_into(buffer)


def connect(question: Question) -> Wire:
    """Connect. Raises OSError, of which verdict_of() knows the meaning."""
    deadline = time.monotonic() + question.timeout
    source = (question.source, 0) if question.source else None
    return Wire(socket.create_connection((question.target, question.port), timeout=question.timeout, source_address=source), deadline)


def converse(question: Question, talk: t.Callable[[Question, Wire], Found]) -> Found:
    """Connect and talk. What goes wrong before there is a connection is the caller's; the rest is a wrong answer."""
    wire = connect(question)
    try:
        return talk(question, wire)
    except Wrong as wrong:
        return WRONG, str(wrong)
    except (socket.timeout, TimeoutError):
        return WRONG, LATE
    except OSError as error:
        return WRONG, what_broke(error)
    finally:
        wire.close()


def exchange(question: Question, payload: bytes) -> bytes:
    """Send a datagram, again and again within the timeout, until one comes back; a connected socket hears of ICMP errors (udp(7)).

    Datagrams get lost, and hosts send few ICMP errors a second (RFC 4443, 2.4 f): one attempt could take a refusal for silence.
    """
    family = socket.AF_INET6 if ":" in question.target else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(*_HEAR_ERRORS[family], 1)
        if question.source:
            udp.bind((question.source, 0))
        udp.settimeout(question.timeout / DATAGRAMS)
        udp.connect((question.target, question.port))
        for _datagram in range(DATAGRAMS):
            udp.send(payload)
            with contextlib.suppress(socket.timeout, TimeoutError):
                return udp.recv(65535)
    raise TimeoutError
