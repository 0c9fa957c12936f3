# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter host_plan: one host's part of a plan."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain
from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import host_plan as cut


def host_plan(plan: t.Any, host: t.Any) -> dict[str, t.Any]:
    """See host_plan.yml."""
    try:
        return plain(cut(plan, str(host)))
    except KeyError as error:
        raise AnsibleFilterError(f"host {host!s} has no plan: it is not in this inventory, or port_map_managed is false there") from error


class FilterModule:
    """The filter host_plan."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"host_plan": host_plan}
