# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificate is served at a port of this host, and for which name.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import socket
import ssl
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._certificate_facts import first_certificate


def served(port: int, name: str, address: str = "127.0.0.1", timeout: float = 5.0, most: t.Optional[ssl.TLSVersion] = None) -> bytes:
    """The certificate (DER) that a client is shown who asks for that name. most: no later TLS than that. Raises OSError, of which SSLError is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is compared with the file, by whomever that was issued
    if most is not None:
        context.maximum_version = most
    with socket.create_connection((address, port), timeout) as plain, context.wrap_socket(plain, server_hostname=name) as secured:
        found = secured.getpeercert(binary_form=True)
    if not found:
        raise ssl.SSLError("no certificate was shown")
    return found


def first_of(path: str) -> bytes:
    """The certificate (DER) that a PEM file begins with: the proxy's own, those of its issuers follow. Raises OSError and ValueError."""
    with open(path, "rb") as file:
        found = first_certificate(file.read())
    if found is None:
        raise ValueError(f"{path} has no certificate in it (PEM)")
    return found
