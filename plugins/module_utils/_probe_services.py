# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to services with a protocol of their own on TCP: PostgreSQL, Redis, SSH. Nobody logs in anywhere.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import re
import struct

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import OPEN, Found, Question
from ansible_collections.alfred.portmap.plugins.module_utils._probe_errors import CLOSED, Wrong
from ansible_collections.alfred.portmap.plugins.module_utils._probe_tls import secure
from ansible_collections.alfred.portmap.plugins.module_utils._probe_wire import Wire, converse

MAX_LINE = 512  # bytes of an answer in one line; SSH's may have 255 (RFC 4253, 4.2)
MAX_LINES = 50  # that an SSH server may say before its own
SHOWN = 80

_SSL_REQUEST = struct.pack("!II", 8, 80877103)  # PostgreSQL, "Message Formats"
_FIELD = re.compile(rb"\x00?M([^\x00]+)\x00")

_REDIS_ERRORS = {
    "LOADING": "still loading its data (LOADING)",
    "DENIED": "lets nobody in from elsewhere (protected mode)",
    "MASTERDOWN": "a replica without its master (MASTERDOWN)",
    "MISCONF": "can't write its data to disk (MISCONF)",
    "BUSY": "busy with a script (BUSY)",
}


def ask_postgresql(question: Question) -> Found:
    """Ask whether it speaks TLS: the one question that a PostgreSQL answers to everybody, and nothing else does."""
    return converse(question, _postgresql)


def _postgresql(question: Question, wire: Wire) -> Found:
    wire.sendall(_SSL_REQUEST)
    answer = wire.receive(MAX_LINE)  # more than one byte: SSH's first is an S, too
    if answer == b"S":
        return OPEN, secure(question, wire, question.tls) if question.tls else "speaks TLS"
    if answer == b"N" and question.tls:
        raise Wrong("speaks no TLS")
    if answer == b"N":
        return OPEN, "speaks no TLS"
    if answer[:1] == b"E":
        field = _FIELD.search(answer)
        said = field.group(1) if field else answer[1:]
        raise Wrong(f"answers with an error: {_words(said)}")
    raise Wrong(f"speaks no PostgreSQL: {_words(answer)}" if answer else CLOSED)


def ask_redis(question: Question) -> Found:
    """PING, without a password."""
    return converse(question, _redis)


def _redis(question: Question, wire: Wire) -> Found:
    wire.sendall(b"*1\r\n$4\r\nPING\r\n")
    answer = wire.line(MAX_LINE)
    if answer == b"+PONG":
        if question.password == "required":
            raise Wrong("lets everybody in without a password")
        return OPEN, "PONG"
    if answer[:1] != b"-":
        raise Wrong(f"speaks no Redis: {_words(answer)}" if answer else CLOSED)
    code, _blank, words = answer[1:].decode("utf-8", "replace").partition(" ")
    if code == "NOAUTH" or (code == "ERR" and words.startswith("operation not permitted")):
        if question.password == "none":
            raise Wrong("wants a password (NOAUTH)")
        return OPEN, "wants a password (NOAUTH)"
    raise Wrong(_REDIS_ERRORS.get(code) or f"answers with an error: {printable(f'{code} {words}'.strip(), SHOWN) or 'an empty one'}")


def ask_ssh(question: Question) -> Found:
    """Hear its banner."""
    return converse(question, _ssh)


def _ssh(_question: Question, wire: Wire) -> Found:
    said = b""
    lines: list[bytes] = []
    while not said.startswith(b"SSH-") and len(lines) < MAX_LINES:
        said = wire.line(MAX_LINE)
        if not said:
            break
        lines.append(said)
    if not lines:
        raise Wrong(CLOSED)
    if not said.startswith(b"SSH-"):
        raise Wrong(f"no SSH banner: {_words(lines[0])}")
    if not said.startswith((b"SSH-2.0-", b"SSH-1.99-")):
        raise Wrong(f"speaks another SSH: {_words(said)}")
    wire.sendall(b"SSH-2.0-alfred.portmap_probe\r\n")  # who goes without a word is an error in the server's log
    return OPEN, _words(said)


def _words(said: bytes) -> str:
    return printable(said.decode("utf-8", "replace").strip(), SHOWN)
