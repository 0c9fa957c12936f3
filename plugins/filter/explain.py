# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter explain: why a port is open or closed."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._explain import ExplainError
from ansible_collections.alfred.portmap.plugins.plugin_utils._explain import explain as answer
from ansible_collections.alfred.portmap.plugins.plugin_utils._explain_text import text
from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain

OPTIONS = ("from", "to", "port", "transport")


def explain(plan: t.Any, *positional: t.Any, **named: t.Any) -> dict[str, t.Any]:
    """See explain.yml. `from` is a word of Python's, so that the options can't be parameters."""
    if len(positional) > len(OPTIONS):
        raise AnsibleFilterError(f"explain takes {', '.join(OPTIONS)}, not {len(positional)} values")
    asked = dict(zip(OPTIONS, positional))
    problems = [f"{name}: is no option of explain, which takes {', '.join(OPTIONS)}" for name in named if name not in OPTIONS]
    problems += [f"{name}: is said twice" for name in named if name in asked]
    asked.update(named)
    said = {name: str(plain(asked[name])) for name in OPTIONS if asked.get(name) not in (None, "")}
    problems += [f"{name}: is missing" for name in ("from", "to") if name not in said]
    if problems:
        raise AnsibleFilterError("\n".join(problems))
    try:
        found = answer(plain(plan), said["from"], said["to"], said.get("port"), said.get("transport"))
    except ExplainError as error:
        raise AnsibleFilterError(str(error)) from error
    return {**found, "text": text(found)}


class FilterModule:
    """The filter explain."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"explain": explain}
