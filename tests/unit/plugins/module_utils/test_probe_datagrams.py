# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name servers that are asked for a name, and time servers; all else of datagrams: test_probe.py."""

from __future__ import annotations

import struct
import typing as t

import pytest
from peers import datagrams

from ansible_collections.alfred.portmap.plugins.module_utils._probe import ask, question

Reply = t.Callable[[bytes], "bytes | None"]


def found(reply: Reply, kind: str, **options: t.Any) -> tuple[str, str]:
    """Verdict and detail."""
    with datagrams(reply) as port:
        answer = ask(question({"name": "q", "target": "127.0.0.1", "port": port, "kind": kind, "timeout": 2, **options}))
    return answer.verdict, answer.detail


def record(kind: int, data: bytes, name: bytes = b"\xc0\x0c") -> bytes:
    """A resource record; its name points at the question's."""
    return name + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def reply(*records: bytes, code: int = 0, flags: int = 0x80, cut: int = 0) -> Reply:
    """An answer to any question."""

    def talk(query: bytes) -> bytes:
        header = query[:2] + bytes([query[2] | flags, code]) + struct.pack("!HHHH", 1, len(records), 0, 0)
        message = header + query[12:] + b"".join(records)
        return message[: len(message) - cut]

    return talk


ADDRESS = record(1, bytes([192, 0, 2, 1]))
ALIAS = record(5, b"\x05other\xc0\x0c")


@pytest.mark.parametrize(
    ("talk", "kind", "verdict", "detail"),
    [
        (reply(ADDRESS), "A", "open", "1 A record"),
        (reply(ALIAS, ADDRESS, ADDRESS), "A", "open", "2 A records"),
        (reply(record(28, bytes(16), b"\x03abc\x01d\0")), "AAAA", "open", "1 AAAA record"),
        (reply(ALIAS), "A", "wrong answer", "db.example has no A record there"),
        (reply(), "AAAA", "wrong answer", "db.example has no AAAA record there"),
        (reply(flags=0x82), "TXT", "open", "0 TXT records"),  # too long for a datagram, so it is there
        (reply(code=3), "A", "wrong answer", "knows no name db.example (NXDOMAIN)"),
        (reply(code=2), "A", "wrong answer", "failed (SERVFAIL)"),
        (reply(code=5), "A", "wrong answer", "refuses to answer (REFUSED)"),
        (reply(code=9), "A", "wrong answer", "failed (code 9)"),
        (reply(ADDRESS, cut=3), "A", "wrong answer", "a DNS answer that is cut off"),
        (reply(ADDRESS, cut=12), "A", "wrong answer", "a DNS answer that is cut off"),
        (reply(ADDRESS, cut=16), "A", "wrong answer", "a DNS answer that is cut off"),
        (lambda query: reply(ADDRESS)(query[:12] + b"\x02no\0" + query[-4:]), "A", "wrong answer", "a DNS answer to another question"),
        (lambda query: query, "A", "wrong answer", "no DNS answer"),
        (lambda _query: b"\xff" * 600, "A", "wrong answer", "no DNS answer"),
    ],
)
def test_names(talk: Reply, kind: str, verdict: str, detail: str) -> None:
    assert found(talk, "dns", dns={"name": "db.example", "type": kind}) == (verdict, detail)


def test_without_a_name_any_answer_is_right() -> None:
    assert found(reply(code=5), "dns") == ("open", "")


@pytest.mark.parametrize(
    ("talk", "verdict", "detail"),
    [
        (reply(record(2, b"\x01a\0", b"\0")), "open", "1 NS record"),
        (reply(), "open", "0 NS records"),
        (reply(code=2), "wrong answer", "failed (SERVFAIL)"),
        (reply(code=5), "wrong answer", "refuses to answer (REFUSED)"),
    ],
)
def test_the_root_is_always_there(talk: Reply, verdict: str, detail: str) -> None:
    assert found(talk, "dns", dns={"name": ".", "type": "NS"}) == (verdict, detail)


def time_server(stratum: int = 2, first: int = 0x24, refid: bytes = b"\xc0\0\x02\x01", echo: bool = True, length: int = 48) -> Reply:
    """RFC 5905, 7.3."""

    def talk(query: bytes) -> bytes:
        packet = bytes([first, stratum, 6, 0xEC]) + bytes(8) + refid + bytes(8) + (query[40:48] if echo else bytes(8)) + bytes(16)
        return packet[:length]

    return talk


@pytest.mark.parametrize(
    ("talk", "verdict", "detail"),
    [
        (time_server(), "open", "stratum 2"),
        (time_server(stratum=15), "open", "stratum 15"),
        (time_server(stratum=16), "wrong answer", "not synchronised"),
        (time_server(first=0xE4), "wrong answer", "not synchronised"),
        (time_server(stratum=0, refid=bytes(4)), "wrong answer", "not synchronised"),
        (time_server(stratum=0, refid=b"RATE"), "wrong answer", "sends us away (RATE)"),
        (time_server(stratum=0, refid=b"\x1b[2J"), "wrong answer", "not synchronised"),
        (time_server(echo=False), "wrong answer", "no NTP answer"),  # to somebody else's question
        (time_server(first=0x23), "wrong answer", "no NTP answer"),  # a client's own words
        (time_server(length=40), "wrong answer", "no NTP answer"),
        (lambda query: query, "wrong answer", "no NTP answer"),
    ],
)
def test_time_servers(talk: Reply, verdict: str, detail: str) -> None:
    assert found(talk, "ntp") == (verdict, detail)


def test_a_time_server_that_says_nothing() -> None:
    assert found(lambda _query: None, "ntp", timeout=0.2) == ("filtered", "")
