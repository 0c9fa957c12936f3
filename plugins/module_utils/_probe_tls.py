# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS of a question: the handshake, and what is to be said of the certificate that came with it.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import datetime
import functools
import ipaddress
import math
import ssl
import time
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._certificate_facts import addresses, choice, dns_names, validity
from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import OPEN, Found, Question, Tls
from ansible_collections.alfred.portmap.plugins.module_utils._probe_errors import Wrong
from ansible_collections.alfred.portmap.plugins.module_utils._probe_wire import Wire, converse

_DAY = 86400
_SHOWN = 5  # names of a certificate


def ask_tls(question: Question) -> Found:
    """Shake hands."""
    return converse(question, lambda _question, wire: (OPEN, secure(question, wire, question.tls or Tls())))


def secure(question: Question, wire: Wire, wanted: Tls) -> str:
    """Speak TLS on a connection from now on: how, and until when the certificate is valid. Raises Wrong and OSError."""
    wire.start_tls(_context(wanted.verify), wanted.server_name or question.target.partition("%")[0])
    secured = t.cast(ssl.SSLSocket, wire.socket)
    der = secured.getpeercert(binary_form=True)
    if der is None:
        raise Wrong("shows no certificate")
    complaint = complaint_of(der, wanted, time.time())
    if complaint:
        raise Wrong(complaint)
    ends = validity(der)[1]
    return f"{secured.version()}" + (f", certificate until {_date(ends)}" if math.isfinite(ends) else "")


@functools.lru_cache(maxsize=2)
def _context(verify: bool) -> ssl.SSLContext:
    """One for all questions: to read the certificates that this host trusts takes longer than a handshake."""
    if verify:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def complaint_of(der: bytes, wanted: Tls, now: float) -> str:
    """What is wrong with a certificate; nothing if it is as it must be."""
    if wanted.days_left:
        begins, ends = validity(der)
        left = (ends - now) / _DAY
        if not (math.isfinite(begins) and math.isfinite(ends)):
            return "certificate has dates that can't be read"
        if left < 0:
            return f"certificate expired on {_date(ends)}"
        if now < begins:
            return f"certificate is not valid before {_date(begins)}"
        if left < wanted.days_left:
            count = "less than a day" if left < 1 else "1 day" if left < 2 else f"{int(left)} days"
            return f"certificate ends in {count} ({_date(ends)}), at least {wanted.days_left} were asked for"
    own = [*dns_names(der), *addresses(der)]
    missing = [name for name in wanted.names if not _covers(own, name)]
    if missing:
        shown = ", ".join(printable(name) for name in own[:_SHOWN]) or "no name at all"
        return f"certificate is not for {', '.join(missing)}; it is for {shown}{' and others' if len(own) > _SHOWN else ''}"
    return ""


def _covers(own: t.Sequence[str], name: str) -> bool:
    try:
        return str(ipaddress.ip_address(name)) in own
    except ValueError:
        return choice(name, [own]) is not None


def _date(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d")
