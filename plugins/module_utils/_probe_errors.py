# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the errors of connections say, in words for people.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import FILTERED, REFUSED, UNREACHABLE, WRONG, Found

NO_ADDRESS = "this host has no address to ask from"
CLOSED = "closed the connection without an answer"
CLOSED_DURING_TLS = "closed the connection during the TLS handshake"

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES}

# Parts of OpenSSL's reasons, which differ a little from version to version.
_TLS = (
    ("UNKNOWN_PROTOCOL", "speaks no TLS"),
    ("WRONG_VERSION_NUMBER", "speaks no TLS"),
    ("RECORD_LAYER_FAILURE", "speaks no TLS"),
    ("PACKET_LENGTH_TOO_LONG", "speaks no TLS"),
    ("UNRECOGNIZED_NAME", "has no certificate for this name"),
    ("CERTIFICATE_REQUIRED", "wants a certificate of the client"),
    ("HANDSHAKE_FAILURE", "refuses the TLS handshake: no version or cipher in common"),
    ("PROTOCOL_VERSION", "refuses the TLS handshake: no version in common"),
    ("UNSUPPORTED_PROTOCOL", "refuses the TLS handshake: no version in common"),
    ("EOF", CLOSED_DURING_TLS),
)


class Wrong(Exception):
    """It is open and answered something else: the message is the detail, in words for people."""


def verdict_of(error: OSError) -> Found:
    """What it says of a port that it could not be connected to."""
    if isinstance(error, (socket.timeout, TimeoutError)) or error.errno == errno.ETIMEDOUT:
        return FILTERED, ""
    if error.errno == errno.ECONNREFUSED:
        return REFUSED, ""
    if error.errno == errno.EPERM:
        return FILTERED, "by this host's own policy"
    if error.errno in _UNREACHABLE:
        return UNREACHABLE, NO_ADDRESS if error.errno == errno.EADDRNOTAVAIL else os.strerror(error.errno)
    return WRONG, str(error)


def what_broke(error: OSError) -> str:
    """Why a connection ended."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate is not accepted: {printable(error.verify_message or str(error)).rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        return next((words for part, words in _TLS if part in reason), f"TLS: {reason}")
    return f"the connection broke: {error.strerror or error}"
