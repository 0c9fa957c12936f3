# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates as nginx must be told about them: which names one is for, and which one a host name gets. Pure but for reading.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Traefik chooses a certificate by the client's server name, out of all that it has. nginx has one for each server, so the choice
is made here, by the same rule: the name itself, then a wildcard for it, then the first certificate.
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._certificate_facts import choice, dns_names, first_certificate
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import Pair, ProxyError


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


def choose(host: str, certificates: t.Sequence[Certificate]) -> Certificate:
    """The certificate that a name gets; there is at least one."""
    return certificates[choice(host, [one.names for one in certificates]) or 0]
