# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions in datagrams: any, to a name server, to a time server.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import os
import struct

from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import OPEN, WRONG, Found, Question
from ansible_collections.alfred.portmap.plugins.module_utils._probe_wire import exchange

DNS_TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "CAA": 257}
_IN = 1
_TRUNCATED = 0x02
_FAILURES = {1: "could not read the question (FORMERR)", 2: "failed (SERVFAIL)", 4: "does not do that (NOTIMP)", 5: "refuses to answer (REFUSED)"}
_NO_SUCH_NAME = 3

_CLIENT = 0x23  # RFC 5905, 7.3: version 4, mode 3
_SERVER_MODE, _NOT_SYNCHRONISED = 4, 3
_NTP_PACKET = 48


def ask_udp(question: Question) -> Found:
    """Send anything, and hear anything."""
    exchange(question, b"\n")
    return OPEN, ""


def ask_dns(question: Question) -> Found:
    """Look a name up; without a name, hear whether a name server is there at all."""
    wanted = question.dns
    identity = os.urandom(2)
    # RFC 1035: one question, recursion desired. For the root's name servers: every server answers something to that.
    asked = _encoded(wanted.name) + struct.pack("!HH", DNS_TYPES[wanted.type if wanted.name else "NS"], _IN)
    answer = exchange(question, identity + struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + asked)
    if len(answer) < 12 or answer[:2] != identity or not answer[2] & 0x80:
        return WRONG, "no DNS answer"
    if not wanted.name:
        return OPEN, ""
    code = answer[3] & 0x0F
    if code == _NO_SUCH_NAME:
        return WRONG, f"knows no name {wanted.name} (NXDOMAIN)"
    if code:
        return WRONG, _FAILURES.get(code, f"failed (code {code})")
    try:
        if answer[12 : 12 + len(asked)].lower() != asked.lower():
            return WRONG, "a DNS answer to another question"
        records = _types(answer, 12 + len(asked)).count(DNS_TYPES[wanted.type])
    except IndexError:
        return WRONG, "a DNS answer that is cut off"
    if not records and not answer[2] & _TRUNCATED and wanted.name != ".":  # the root is there whether or not a server knows of its records
        return WRONG, f"{wanted.name} has no {wanted.type} record there"
    return OPEN, f"{records} {wanted.type} record{'' if records == 1 else 's'}"


def _encoded(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _types(answer: bytes, at: int) -> list[int]:
    """The types of the answers in a message. Raises IndexError."""
    types = []
    for _number in range(int.from_bytes(answer[6:8], "big")):
        while answer[at] and answer[at] < 0xC0:
            at += 1 + answer[at]
        at += 2 if answer[at] else 1
        if len(answer) < at + 10:
            raise IndexError("cut off")
        types.append(int.from_bytes(answer[at : at + 2], "big"))
        at += 10 + int.from_bytes(answer[at + 8 : at + 10], "big")
        if len(answer) < at:
            raise IndexError("cut off")
    return types


def ask_ntp(question: Question) -> Found:
    """Ask what time it is; the time itself is not looked at, only whether the server trusts its own."""
    cookie = os.urandom(8)  # in place of our time, which is nobody's business; it comes back
    answer = exchange(question, bytes([_CLIENT]) + bytes(_NTP_PACKET - 9) + cookie)
    if len(answer) < _NTP_PACKET or answer[0] & 0x07 != _SERVER_MODE or answer[24:32] != cookie:
        return WRONG, "no NTP answer"
    stratum, kiss = answer[1], answer[12:16].rstrip(b"\0")
    if stratum == 0 and kiss.isalpha():  # RFC 5905, 7.4; in other packets of that stratum it is empty
        return WRONG, f"sends us away ({kiss.decode()})"
    if not 1 <= stratum <= 15 or answer[0] >> 6 == _NOT_SYNCHRONISED:
        return WRONG, "not synchronised"
    return OPEN, f"stratum {stratum}"
