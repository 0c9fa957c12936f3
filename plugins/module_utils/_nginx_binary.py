# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one nginx binary is: version, parts, where its modules are, as `nginx -V` tells it. Pure but for the look at the files.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import os
import re
import shlex
import typing as t
from dataclasses import dataclass

BUILT_IN = "built in"
CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
)
STREAM_PACKAGES = "libnginx-mod-stream on Debian, nginx-mod-stream on Red Hat"


@dataclass(frozen=True)
class Binary:
    """The parts that the configuration depends on."""

    version: tuple[int, ...] = (1, 22, 1)
    http2: bool = True
    http3: bool = False
    status: bool = True
    stream: str = BUILT_IN  # or the module's file; "": not there
    stream_tls: bool = True
    ipv6: bool = True
    ca_bundle: str = CA_BUNDLES[0]

    @property
    def text(self) -> str:
        """The version for people."""
        return ".".join(str(part) for part in self.version)


def parse(told: str, exists: t.Callable[[str], bool] = os.path.exists) -> t.Optional[Binary]:
    """What `nginx -V` told; None if that is not nginx's way to tell it."""
    version = re.search(r"^nginx version: \S+?/(\d+)\.(\d+)\.(\d+)", told, re.MULTILINE)
    arguments = re.search(r"^configure arguments:(.*)$", told, re.MULTILINE)
    if version is None or arguments is None:
        return None
    try:
        given = shlex.split(arguments.group(1))
    except ValueError:
        given = arguments.group(1).split()
    flags = {name: value for name, _equals, value in (one.partition("=") for one in given)}
    prefix = flags.get("--prefix") or "/usr/local/nginx"
    stream = ""
    if "--with-stream" in flags:
        module = os.path.join(prefix, flags.get("--modules-path") or "modules", "ngx_stream_module.so")
        stream = BUILT_IN if flags["--with-stream"] != "dynamic" else module if exists(module) else ""
    return Binary(
        version=tuple(int(part) for part in version.groups()),
        http2="--with-http_v2_module" in flags,
        http3="--with-http_v3_module" in flags,
        status="--with-http_stub_status_module" in flags,
        stream=stream,
        stream_tls="--with-stream_ssl_module" in flags and "--with-stream_ssl_preread_module" in flags,
        ipv6=exists("/proc/net/if_inet6"),
        ca_bundle=next((path for path in CA_BUNDLES if exists(path)), ""),
    )
