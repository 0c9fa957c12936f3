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


def schema() -> dict[str, t.Any]:
    """JSON schema (draft 2020-12) of a main file or a fragment.

    A fragment is a main file with less in it, so editors get one schema for both; what a fragment may not hold is the
    validator's to say.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "alfred.portmap port map, version 1",
        "type": "object",
        "required": ["port_map"],
        "additionalProperties": False,
        "properties": {"port_map": {"description": "What listens where, who may reach it and under which name.", **spec.MAIN.schema()}},
    }


def text() -> str:
    """The schema as the file port_map.schema.json holds it."""
    return json.dumps(schema(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")
