# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a certificate says of itself: its names and how long it is valid; and what is to be said of those that the routes get. Pure but for reading.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Both proxies show a certificate that is expired, or that is for other names, without a word. That is no error of ours to make of it
(behind another proxy nobody may look), but worth a warning.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import ipaddress
import re
import time
import typing as t
from dataclasses import dataclass

Data = dict[str, t.Any]

_PEM = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)-----END ")
_SUBJECT_ALT_NAME = b"\x06\x03\x55\x1d\x11"  # 2.5.29.17, RFC 5280, 4.2.1.6
_OCTET_STRING, _BOOLEAN, _DNS_NAME, _IP_ADDRESS = 0x04, 0x01, 0x82, 0x87
_EXPLICIT_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18


@dataclass(frozen=True)
class Facts:
    """Of the first certificate of a file. Times are seconds since 1970."""

    file: str
    names: tuple[str, ...] = ()
    begins: float = float("-inf")
    ends: float = float("inf")


def facts_of(file: str, pem: bytes) -> t.Optional[Facts]:
    """What a file's first certificate says; None if there is none in it."""
    der = first_certificate(pem)
    return None if der is None else Facts(file, dns_names(der), *validity(der))


def first_certificate(pem: bytes) -> t.Optional[bytes]:
    """The first certificate of a PEM file, as DER."""
    match = _PEM.search(pem)
    try:
        return base64.b64decode(b"".join(match.group(1).split()), validate=True) if match else None
    except binascii.Error:
        return None


def dns_names(der: bytes) -> tuple[str, ...]:
    """The DNS names in a certificate's subjectAltName; none if it has none. Browsers and Go look nowhere else."""
    try:
        return tuple(dict.fromkeys(value.decode("ascii").lower() for tag, value in _alternative_names(der) if tag == _DNS_NAME))
    except (IndexError, UnicodeDecodeError):
        return ()


def addresses(der: bytes) -> tuple[str, ...]:
    """The IP addresses in a certificate's subjectAltName; none if it has none."""
    try:
        return tuple(dict.fromkeys(str(ipaddress.ip_address(value)) for tag, value in _alternative_names(der) if tag == _IP_ADDRESS))
    except (IndexError, ValueError):
        return ()


def _alternative_names(der: bytes) -> t.Iterator[tuple[int, bytes]]:
    """Tag and value of each. Raises IndexError."""
    start = der.find(_SUBJECT_ALT_NAME)
    if start < 0:
        return
    tag, value, rest = _element(der[start + len(_SUBJECT_ALT_NAME) :])
    if tag == _BOOLEAN:  # the extension is critical
        tag, value, rest = _element(rest)
    if tag != _OCTET_STRING:
        return
    names = _element(value)[1]
    while names:
        tag, value, names = _element(names)
        yield tag, value


def validity(der: bytes) -> tuple[float, float]:
    """From when to when a certificate is valid; for ever, if that can't be read."""
    try:
        rest = _element(_element(der)[1])[1]  # Certificate, TBSCertificate
        if rest[:1] == bytes([_EXPLICIT_VERSION]):
            rest = _element(rest)[2]
        for _field in ("serial number", "signature", "issuer"):
            rest = _element(rest)[2]
        times = _element(rest)[1]
        first, value, rest = _element(times)
        second, other, _rest = _element(rest)
        return _seconds(first, value), _seconds(second, other)
    except (IndexError, ValueError):
        return float("-inf"), float("inf")


def _seconds(tag: int, value: bytes) -> float:
    """A time as RFC 5280, 4.1.2.5 has it: with seconds, and in UTC. Raises ValueError."""
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """One element in DER (X.690): tag, value, what follows. Raises IndexError."""
    length, at = data[1], 2
    if length & 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    if len(data) < at + length:
        raise IndexError("cut off")
    return data[0], data[at : at + length], data[at + length :]


def choice(host: str, names: t.Sequence[t.Collection[str]]) -> t.Optional[int]:
    """Which of several certificates is for a host name: the first with that name, else the first with a wildcard for it, else None."""
    host = host.lower()
    for wanted in (host, "*." + host.partition(".")[2]):
        for number, own in enumerate(names):
            if wanted in own:
                return number
    return None


def remarks(cert_files: t.Sequence[str], ingress: Data, issued: bool = False, now: t.Optional[float] = None) -> list[str]:
    """What clients will refuse of the certificates that the routes get, as sentences. Files that can't be read are somebody else's to tell.

    issued: whether names that no file is for get a certificate elsewhere (ACME).
    """
    known = []
    for path in cert_files:
        try:
            with open(path, "rb") as file:
                found = facts_of(path, file.read())
        except OSError:
            continue
        known += [found] if found else []
    now = time.time() if now is None else now
    said: list[str] = []
    served: dict[str, list[str]] = {}
    for name, route in ingress["routes"].items():
        entrypoint = ingress["entrypoints"][route["entrypoint"]]
        if not known or not entrypoint["tls"] or not route["host"] or route.get("passthrough"):
            continue
        number = choice(route["host"], [one.names for one in known])
        if number is None and issued:
            continue
        if number is None:
            what = f"which is for {', '.join(known[0].names[:5]) or 'no host name at all'}{' and others' if len(known[0].names) > 5 else ''}"
            said.append(f"No certificate is for {route['host']} (route {name}): it gets {known[0].file}, {what}. Clients will refuse it")
        served.setdefault(known[number or 0].file, []).append(name)
    for one in known:
        if one.file in served and not one.begins <= now <= one.ends:
            span = f"has expired on {_date(one.ends)}" if now > one.ends else f"is not valid before {_date(one.begins)}"
            said.append(f"The certificate in {one.file} {span}. Clients of these routes will refuse it: {', '.join(sorted(served[one.file]))}")
    return said


def _date(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
