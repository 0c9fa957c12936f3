# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The format as JSON schema, for completion and checks in editors. It covers shapes; the validator covers the rest too.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils import _spec as spec
from ansible_collections.alfred.portmap.plugins.plugin_utils._shapes import Struct

BEYOND = {
    "addresses": "whether a text is an address or a CIDR (host bits, zone ids, v4-mapped, DNS names)",
    "ranges": "whether a range of ports goes upwards, to 65535 at most",
    "whole floats": "that 80.0 is not written for 80: to JSON schema the two are one number",
}
"""What a single value's shape demands and JSON schema can't say. Beside these, the schema sees no references, no placement, no
conflicts, and nothing of YAML itself: duplicate keys, tags, anchors, names that YAML reads as a boolean or number."""


def schema(top: Struct = spec.MAIN) -> dict[str, t.Any]:
    """JSON schema (draft-07, the one that yaml-language-server knows whole) of a main file, or of a fragment."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"alfred.portmap: the port map, version {spec.VERSION}",
        "type": "object",
        "required": ["port_map"],
        "additionalProperties": False,
        "properties": {"port_map": {"description": "What listens where, who may reach it and under which name.", **top.schema()}},
    }


def text() -> str:
    """What the file docs/port_map.schema.json holds."""
    return json.dumps(schema(), indent=1) + "\n"
