# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS and what certificates say, with real handshakes; names in all their forms are judged on the certificate alone."""

from __future__ import annotations

import datetime
import pathlib
import socket
import ssl
import threading
import time
import typing as t

import pytest
from peers import drip_garbage, greets, http, issue, mute, says, server

from ansible_collections.alfred.portmap.plugins.module_utils import _probe_tls
from ansible_collections.alfred.portmap.plugins.module_utils._probe import LATE, ask, question
from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import Tls
from ansible_collections.alfred.portmap.plugins.module_utils._probe_tls import complaint_of

DAY = 86400
NAMES = ("a.example", "*.b.example", "c.example", "d.example", "e.example")


class Made(t.NamedTuple):
    """A server's context, its certificate as a file and as bytes."""

    context: ssl.SSLContext
    file: pathlib.Path
    der: bytes


def made(folder: pathlib.Path, *names: str, **options: t.Any) -> Made:
    """A certificate that was issued now."""
    context = issue(folder, *names, **options)
    return Made(context, folder / "cert", ssl.PEM_cert_to_DER_cert((folder / "cert").read_text()))


@pytest.fixture(scope="module")
def five_days(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One that ends in five days."""
    return made(tmp_path_factory.mktemp("five"), *NAMES, days=5, addresses=("192.0.2.1", "2001:db8::1", "127.0.0.1"))


@pytest.fixture(scope="module")
def expired(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One that ended yesterday."""
    return made(tmp_path_factory.mktemp("expired"), "localhost", days=-1)


def date(days: float) -> str:
    """In so many days."""
    return datetime.datetime.fromtimestamp(time.time() + days * DAY, datetime.timezone.utc).strftime("%Y-%m-%d")


def found(context: ssl.SSLContext | None, tls: dict[str, t.Any], talk: t.Any = mute, **options: t.Any) -> tuple[str, str]:
    """Verdict and detail."""
    with server(talk, context=context) as port:
        answer = ask(question({"name": "q", "target": "127.0.0.1", "port": port, "kind": "tls", "timeout": 5, "tls": tls, **options}))
    return answer.verdict, answer.detail


@pytest.mark.parametrize(
    ("tls", "verdict", "detail"),
    [
        ({}, "open", "TLSv1.3, certificate until @5"),
        ({"days_left": 4, "names": ["a.example", "x.b.example", "192.0.2.1"]}, "open", "TLSv1.3, certificate until @5"),
        ({"days_left": 14}, "wrong answer", "certificate ends in 4 days (@5), at least 14 were asked for"),
        (
            {"names": ["a.example", "f.example"]},
            "wrong answer",
            "certificate is not for f.example; it is for a.example, *.b.example, c.example, d.example, e.example and others",
        ),
        ({"verify": True, "server_name": "a.example"}, "wrong answer", "certificate is not accepted: self"),
        ({"server_name": "x" * 64 + ".example"}, "wrong answer", "x" * 64 + ".example is no name that TLS could ask for"),
    ],
)
def test_a_certificate_that_ends_soon(five_days: Made, tls: dict[str, t.Any], verdict: str, detail: str) -> None:
    got = found(five_days.context, tls)
    assert got[0] == verdict and got[1].startswith(detail.replace("@5", date(5))), got


def test_an_expired_certificate(expired: Made) -> None:
    assert found(expired.context, {"days_left": 1}) == ("wrong answer", f"certificate expired on {date(-1)}")
    assert found(expired.context, {})[0] == "open", "nobody was to look"


def test_every_kind_that_speaks_tls_looks_at_the_certificate(expired: Made) -> None:
    detail = f"certificate expired on {date(-1)}"
    for kind in ("http", "websocket", "prometheus"):
        asked = {"kind": kind, "http": {"scheme": "https", "days_left": 1}}
        assert found(expired.context, {}, says(http()), **asked) == ("wrong answer", detail)
        assert found(expired.context, {"names": ["a.example"]}, says(http()), kind=kind, http={"scheme": "https"})[1].startswith(
            "certificate is not for a.example"
        )

    def postgresql(client: socket.socket) -> None:
        assert len(client.recv(8)) == 8
        client.sendall(b"S")
        expired.context.wrap_socket(client, server_side=True).recv(1)

    assert found(None, {"days_left": 1}, postgresql, kind="postgresql") == ("wrong answer", detail)
    assert found(None, {}, postgresql, kind="postgresql") == ("open", f"TLSv1.3, certificate until {date(-1)}")


def test_a_trusted_certificate_must_be_for_the_name(five_days: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(five_days.file))
    _probe_tls._context.cache_clear()
    try:
        assert found(five_days.context, {"verify": True, "server_name": "a.example"})[0] == "open"
        assert found(five_days.context, {"verify": True})[0] == "open", "it is for the address, too"
        verdict, detail = found(five_days.context, {"verify": True, "server_name": "f.example"})
        assert verdict == "wrong answer" and "f.example" in detail
    finally:
        _probe_tls._context.cache_clear()


def test_the_name_asked_for(five_days: Made) -> None:
    names: list[str | None] = []
    five_days.context.sni_callback = lambda _socket, name, _context: names.append(name)
    try:
        found(five_days.context, {"server_name": "a.example"})
        found(five_days.context, {})
        found(five_days.context, {"server_name": "a.example"}, says(http()), kind="http", http={"scheme": "https", "host": "b.example"})
    finally:
        five_days.context.sni_callback = None
    assert names == ["a.example", None, "a.example"]


def test_a_client_without_a_certificate_where_one_is_wanted(five_days: Made, tmp_path: pathlib.Path) -> None:
    context = issue(tmp_path, "localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(str(five_days.file))
    assert found(context, {}, says(http()), kind="http", http={"scheme": "https"}) == ("wrong answer", "wants a certificate of the client")


def test_a_server_that_has_no_certificate_for_the_name(five_days: Made) -> None:
    five_days.context.sni_callback = lambda _socket, _name, _context: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    try:
        assert found(five_days.context, {"server_name": "z.example"}) == ("wrong answer", "has no certificate for this name")
    finally:
        five_days.context.sni_callback = None


@pytest.mark.parametrize(
    ("talk", "detail"),
    [
        (greets(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "speaks no TLS"),
        (greets(b"SSH-2.0-OpenSSH_9.2\r\n"), "speaks no TLS"),
        (greets(b"\x15\x03\x01\x00\x02\x02\x28"), "refuses the TLS handshake: no version or cipher in common"),
        (lambda client: client.recv(4096), "closed the connection during the TLS handshake"),
        (drip_garbage, "speaks no TLS"),
    ],
)
def test_who_speaks_no_tls(talk: t.Any, detail: str) -> None:
    assert found(None, {}, talk) == ("wrong answer", detail)


def test_a_handshake_that_drips(five_days: Made) -> None:
    """Right bytes, one by one: no single wait is long."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = five_days.context.wrap_bio(incoming, outgoing, server_side=True)

    def drip(client: socket.socket) -> None:
        incoming.write(client.recv(4096))
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        for byte in outgoing.read():
            client.sendall(bytes([byte]))
            threading.Event().wait(0.01)

    assert found(None, {}, drip, timeout=0.4) == ("wrong answer", LATE)


@pytest.mark.parametrize(
    ("days", "detail"),
    [
        (-1, "certificate is not valid before"),
        (0.5, ""),
        (3, "certificate ends in 1 day ("),
        (4.5, "certificate ends in less than a day ("),
        (5.5, "certificate expired on "),
    ],
)
def test_the_day_decides(five_days: Made, days: float, detail: str) -> None:
    said = complaint_of(five_days.der, Tls(days_left=4), time.time() + days * DAY)
    assert said.startswith(detail) and bool(said) == bool(detail)


@pytest.mark.parametrize(
    ("name", "covered"),
    [
        ("a.example", True),
        ("A.Example", True),
        ("x.a.example", False),
        ("x.b.example", True),
        ("b.example", False),
        ("x.y.b.example", False),
        ("*.b.example", True),
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("2001:db8:0::1", True),
    ],
)
def test_names(five_days: Made, name: str, covered: bool) -> None:
    assert (complaint_of(five_days.der, Tls(names=(name,)), time.time()) == "") == covered


def test_a_certificate_that_cannot_be_read() -> None:
    """It is not for whom it should be, and has no date to trust."""
    assert complaint_of(b"\x30\x00", Tls(days_left=1), 0) == "certificate has dates that can't be read"
    assert complaint_of(b"\x30\x00", Tls(names=("a.example",)), 0) == "certificate is not for a.example; it is for no name at all"
