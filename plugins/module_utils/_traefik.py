# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Traefik's static and dynamic configuration share: our names in it, and what must not be empty. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Traefik drops unknown keys at the root of a file silently and refuses a whole directory for one bad nested key, so nothing of a
user's is passed through: only keys that we own are rendered. Every file goes through Go's template engine first: `{{` is refused.
"""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import ProxyError
from ansible_collections.alfred.portmap.plugins.module_utils._yaml import dump

Data = dict[str, t.Any]

# Our own entrypoints beside the map's. A name in a map has no dot: whatever we name after one has, or a prefix for each kind.
API_ENTRYPOINT = "portmap.api"
METRICS_ENTRYPOINT = "portmap.metrics"
API_USER = "portmap"
INTERNAL_API = "api@internal"
REVISION_HEADER = "X-Portmap-Revision"
DYNAMIC_FILE = "portmap.yml"
HEADER = "# made by alfred.portmap from the port map: changes by hand are overwritten\n"


class _Keep:
    """Stands for an empty mapping that means something."""


KEEP = _Keep()


def pruned(value: t.Any) -> t.Any:
    """Without empty mappings and lists, which Traefik takes for errors; one that means something is written KEEP."""
    if isinstance(value, dict):
        inner = {key: pruned(item) for key, item in value.items()}
        return {key: {} if item is KEEP else item for key, item in inner.items() if item not in ({}, [], None)}
    if isinstance(value, list):
        return [pruned(item) for item in value]
    return value


def place(found: Data, contained: bool = False) -> str:
    """An address and port as Traefik takes them. In a container its own loopback is nobody's: every address, then."""
    given = "" if contained else found["address"]
    return f"{f'[{given}]' if ':' in given else given}:{found['port']}"


def written(data: Data) -> str:
    """The text of a file. Raises ProxyError."""
    text = HEADER + dump(data)
    if "{{" in text:
        where = next(path for path, value in _texts(data) if "{{" in value)
        raise ProxyError(f"what is rendered at {where}", "{{", "must not be there: Traefik would run it as a template")
    return text


def _texts(value: t.Any, path: str = "") -> t.Iterator[tuple[str, str]]:
    """Every key and text in it, and where."""
    if isinstance(value, str):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        inner = f"{path}.{key}" if path else str(key)
        yield inner, str(key)
        yield from _texts(item, inner)


def entrypoints_of(ingress: Data, protocol: str) -> Data:
    """The entrypoints of one protocol: http, tcp or udp."""
    return {name: one for name, one in ingress["entrypoints"].items() if one.get("protocol", "http") == protocol}
