# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plan: port map, environment and inventory to one plan per host."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain
from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import PlanError, make_plan


def plan(documents: t.Any, inventory: t.Any, environment: t.Any = None) -> dict[str, t.Any]:
    """See plan.yml."""
    try:
        return make_plan(plain(documents), plain(environment), plain(inventory))
    except PlanError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter plan."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"plan": plan}
