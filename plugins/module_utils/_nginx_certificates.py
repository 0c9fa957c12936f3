# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates as nginx must be told about them: which names one is for, and which one a host name gets. Pure but for reading.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Traefik chooses a certificate by the client's server name, out of all that it has. nginx has one for each server, so the choice
is made here, by the same rule: the name itself, then a wildcard for it, then the first certificate.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import Pair, ProxyError

_PEM = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)-----END ")
_SUBJECT_ALT_NAME = b"\x06\x03\x55\x1d\x11"  # 2.5.29.17, RFC 5280, 4.2.1.6
_OCTET_STRING, _BOOLEAN, _DNS_NAME = 0x04, 0x01, 0x82


@dataclass(frozen=True)
class Certificate:
    """One certificate with its key, as it lies on the host."""

    pair: Pair
    names: tuple[str, ...]  # DNS names, in lower case
    digest: str  # of both files
    fingerprint: str = ""  # SHA-256 of the certificate itself, as a peer sees it


def read_certificate(pair: Pair, path: str = "tls.certificates") -> Certificate:
    """What the files of a pair say. Raises ProxyError where they can't be read, or hold no certificate."""
    found = []
    for name in (pair.cert_file, pair.key_file):
        try:
            with open(name, "rb") as file:
                found.append(file.read())
        except OSError as error:
            raise ProxyError(path, name, f"can't be read: {error.strerror}") from error
    der = first_certificate(found[0])
    if der is None:
        raise ProxyError(path, pair.cert_file, "holds no certificate in PEM")
    digest = hashlib.sha256(b"\0".join(hashlib.sha256(one).digest() for one in found)).hexdigest()
    return Certificate(pair, dns_names(der), digest, hashlib.sha256(der).hexdigest())


def first_certificate(pem: bytes) -> t.Optional[bytes]:
    """The first certificate of a PEM file, as DER."""
    match = _PEM.search(pem)
    try:
        return base64.b64decode(b"".join(match.group(1).split()), validate=True) if match else None
    except binascii.Error:
        return None


def dns_names(der: bytes) -> tuple[str, ...]:
    """The DNS names in a certificate's subjectAltName; none if it has none. Browsers and Go look nowhere else."""
    start = der.find(_SUBJECT_ALT_NAME)
    if start < 0:
        return ()
    try:
        tag, value, rest = _element(der[start + len(_SUBJECT_ALT_NAME) :])
        if tag == _BOOLEAN:  # the extension is critical
            tag, value, rest = _element(rest)
        if tag != _OCTET_STRING:
            return ()
        names = _element(value)[1]
        found = []
        while names:
            tag, value, names = _element(names)
            if tag == _DNS_NAME:
                found.append(value.decode("ascii").lower())
        return tuple(dict.fromkeys(found))
    except (IndexError, UnicodeDecodeError):
        return ()


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """One element in DER (X.690): tag, value, what follows. Raises IndexError."""
    length, at = data[1], 2
    if length & 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    if len(data) < at + length:
        raise IndexError("cut off")
    return data[0], data[at : at + length], data[at + length :]


def choose(host: str, certificates: t.Sequence[Certificate]) -> Certificate:
    """The certificate that a name gets; there is at least one."""
    host = host.lower()
    wildcard = "*." + host.partition(".")[2]
    for wanted in (host, wildcard):
        for one in certificates:
            if wanted in one.names:
                return one
    return certificates[0]
