# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the files of certificates are what they are said to be: read before either proxy is shown their names.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Traefik serves a certificate of its own in the place of one that it can't read, and takes authorities that are none without a word.
"""

from __future__ import annotations

import os
import ssl
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import Options, ProxyError


def check_files(options: Options, must_exist: bool = True) -> None:
    """Load each of them as a server does. Raises ProxyError.

    must_exist: in check mode a file may be one that another task would have made.
    """
    for number, pair in enumerate(options.certificates):
        path = f"tls.certificates[{number}]"
        there = [_readable(f"{path}.{key}", getattr(pair, key), must_exist) for key in ("cert_file", "key_file")]
        if all(there):
            _pair(path, pair.cert_file, pair.key_file)
    if options.backend_ca and _readable("backend_tls.ca_file", options.backend_ca, must_exist):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(options.backend_ca)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ProxyError("backend_tls.ca_file", options.backend_ca, f"has no certificates of authorities in it (PEM): {_words(error)}") from error


def _readable(path: str, value: str, must_exist: bool) -> bool:
    try:
        with open(value, "rb") as file:
            file.read(1)
    except FileNotFoundError as error:
        if must_exist:
            raise ProxyError(path, value, "is not there") from error
        return False
    except OSError as error:
        raise ProxyError(path, value, f"can't be read: {os.strerror(error.errno or 0)}") from error
    return True


def _pair(path: str, cert_file: str, key_file: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password is never asked for: neither proxy could be told one.
        context.load_cert_chain(cert_file, key_file, password=lambda: b"")
        return
    except (ssl.SSLError, OSError, ValueError) as error:
        said: t.Any = error
    if getattr(said, "reason", None) == "KEY_VALUES_MISMATCH":
        raise ProxyError(f"{path}.key_file", key_file, f"is not the key of certificate {cert_file!r}") from said
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cert_file)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ProxyError(f"{path}.cert_file", cert_file, f"has no certificate in it (PEM): {_words(error)}") from error
    raise ProxyError(f"{path}.key_file", key_file, f"has no key in it that can be read without a password (PEM): {_words(said)}") from said


def _words(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error).partition(" (_ssl.c")[0]
