# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a client is, behind proxies or not, in the words of nginx: trusted peers, depth, forwarded headers, the key of a limit. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Made to be what Traefik does. Its X-Forwarded-For is not nginx's real_ip: the client is the depth-th address from the right, be the
others trusted or not, and the peer's address stays what it is. So it is read by a regular expression and not by that module.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._nginx_context import Data, address_range
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_words import DOLLAR, Lines, block, directive, ident, word

# What Traefik believes of trusted proxies alone, and removes where anybody else says it.
_REMOVED = ("X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Prefix", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info")

# Empty segments, those of dots, and letters that need no escape, however written.
_UNCLEAN = r"~*^[^?]*(?:(?:/|%2f){2}|(?:/|%2f)(?:\.|%2e){1,2}(?:/|%2f|\?|$)|%(?:2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae]))"

_G = "[0-9A-Fa-f]{1,4}"
# The /64 of an address as text: four groups, whichever way its zeros are left out (RFC 5952 writes one network in several).
# Lists of (regular expression, key); what fits none is a key as it is: an IPv4 address, or no address at all.
NETWORK_64: tuple[tuple[str, str], ...] = (
    (rf"~^({_G}):({_G}):({_G}):({_G}):", "$1:$2:$3:$4"),
    *(
        # k groups before the gap and m behind it; the gap stands for 8 - k - m groups of zeros.
        (
            "~^" + ":".join([f"({_G})"] * before) + "::" + ":".join([f"({_G})"] * reach + [_G] * 4) + "$",
            ":".join([f"${number + 1}" for number in range(before)] + ["0"] * (4 - before - reach) + [f"${before + number + 1}" for number in range(reach)]),
        )
        for reach in (3, 2, 1)
        for before in range(4 - reach)
    ),
    *(
        ("~^" + ":".join([f"({_G})"] * before) + "::", ":".join([f"${number + 1}" for number in range(before)] + ["0"] * (4 - before)))
        for before in (3, 2, 1, 0)
    ),
)


@dataclass(frozen=True)
class Client:
    """The variables that say who asks at an entrypoint, and what the backend is told of it."""

    trusted: str  # "1" for a trusted peer; "" where nobody is
    address: str  # of the client, as far as guards go
    key: str  # of its limits
    headers: dict[str, str]  # sent to backends
    proto: str


PLAIN = Client(
    trusted="",
    address="$remote_addr",
    key="$portmap_key",
    headers={
        "X-Forwarded-For": "$remote_addr",
        "X-Forwarded-Host": "$portmap_host",
        "X-Forwarded-Port": "$portmap_port",
        "X-Forwarded-Proto": "$portmap_proto",
        "X-Forwarded-Server": "$hostname",
        "X-Real-IP": "$remote_addr",
        **dict.fromkeys(_REMOVED, '""'),
    },
    proto="$portmap_proto",
)


def mapping(source: str, target: str, pairs: t.Iterable[tuple[str, str]]) -> Lines:
    """A map from a text with variables to a variable."""
    return block(["map", f'"{source}"', target], [f"{word(left)} {word(right)};" for left, right in pairs])


def common() -> Lines:
    """Variables that hold everywhere."""
    return [
        # nginx knows no way to write a `$` where it looks for variables.
        *block(["geo", f"${DOLLAR}"], ['default "$";']),
        *mapping("$http_host", "$portmap_host", [("", "$host"), ("default", "$http_host")]),
        # The port that the client has asked for, as far as it says so.
        *mapping("$portmap_host|$scheme", "$portmap_port", [(r"~:([0-9]+)\|", "$1"), (r"~\|https$", "443"), ("default", "80")]),
        *mapping(
            "$scheme:$http_connection:$http_upgrade",
            "$portmap_proto",
            [("~*^http:.*upgrade.*:websocket$", "ws"), ("~*^https:.*upgrade.*:websocket$", "wss"), ("default", "$scheme")],
        ),
        # A connection that becomes another protocol's, or one that is kept. h2c is no such protocol: within it nobody would be guarded.
        *mapping("$http_upgrade", "$portmap_upgrade", [("", ""), ("~*h2c", ""), ("default", "$http_upgrade")]),
        *mapping("$portmap_upgrade", "$portmap_connection", [("", ""), ("default", "Upgrade")]),
        # Not over HTTP/2, which has a word of its own for that, nor where the connection becomes another protocol's.
        *mapping("$server_protocol:$portmap_upgrade:$portmap_drain", "$portmap_close", [("HTTP/1.1::yes", "close"), ("default", "")]),
        *key_map("$remote_addr", "$portmap_key"),
        # A path that is written otherwise than it is judged. The backend must get what was judged; other paths it gets as they came, since
        # nginx, unlike Traefik, could not write them again as they were (%2F).
        *mapping("$request_uri", "$portmap_unclean", [(_UNCLEAN, "1"), ("default", "0")]),
    ]


def key_map(source: str, target: str) -> Lines:
    """From an address as text to what makes one client. An empty key would not be limited at all."""
    return mapping(source, target, [("", "nobody"), *NETWORK_64, ("default", source)])


def behind(name: str, front: Data, path: str) -> tuple[Client, Lines]:
    """The client at an entrypoint behind proxies that tell it by headers, and the variables for that."""
    own = ident(name)
    trusted = f"$portmap_trusted_{own}"
    lines = block(["geo", trusted], [directive("default", "0"), *(directive(address_range(one, path), "1") for one in front["trusted"])])

    def told(header: str, otherwise: str) -> str:
        """A header as the trusted proxy tells it, else what we know."""
        variable = "$portmap_" + header.lower().replace("-", "_") + "_" + own
        lines.extend(mapping(f"{trusted}:$http_{header.lower().replace('-', '_')}", variable, [("~^1:(.+)$", "$1"), ("default", otherwise)]))
        return variable

    address, key = f"$portmap_client_{own}", f"$portmap_key_{own}"
    deep = f"(?:,[^,]*){{{front['depth'] - 1}}}$"
    lines += mapping(
        f"{trusted}:$http_x_forwarded_for",
        address,
        [
            (rf"~^1:(?:.*,)? *([0-9.]+)(?::[0-9]+)? *{deep}", "$1"),
            (rf"~^1:(?:.*,)? *\[([^],]*)\](?::[0-9]+)? *{deep}", "$1"),
            (rf"~^1:(?:.*,)? *([^, ]*) *{deep}", "$1"),
            ("default", ""),
        ],
    )
    lines += key_map(address, key)
    lines += mapping(trusted, f"$portmap_for_{own}", [("1", "$proxy_add_x_forwarded_for"), ("default", "$remote_addr")])
    headers = {
        "X-Forwarded-For": f"$portmap_for_{own}",
        "X-Forwarded-Server": PLAIN.headers["X-Forwarded-Server"],  # nobody's word but ours, as in Traefik
        **{header: told(header, PLAIN.headers[header]) for header in ("X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-IP")},
        **{header: told(header, "") for header in _REMOVED},
    }
    return Client(trusted, address, key, headers, headers["X-Forwarded-Proto"]), lines
