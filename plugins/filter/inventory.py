# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter inventory: Ansible's own variables to the inventory data of a plan."""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._inventory import from_hostvars


def inventory(hostvars: t.Any, groups: t.Any) -> dict[str, t.Any]:
    """See inventory.yml."""
    return from_hostvars(hostvars, groups)


class FilterModule:
    """The filter inventory."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"inventory": inventory}
