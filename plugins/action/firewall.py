# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of the module firewall: confirms a change over a new connection."""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._confirmation import TransactionAction


class ActionModule(TransactionAction):
    """Runs the module firewall, and the second half of its transaction."""

    module = "alfred.portmap.firewall"
    info_options = ("table", "state_dir")

    def state_of(self, info: dict[str, t.Any]) -> str:
        """What firewall_info tells."""
        if info["in_force"]:
            return f"the policy applied at {info['applied']} is in force, unchanged"
        if not info["present"]:
            return "no policy is in force, as before" if info["applied"] is None else "no policy is in force"
        return f"what is in force is not what was confirmed: {'; '.join(info['differences'])}"

    def look_at(self, info: dict[str, t.Any]) -> str:
        """The table, and what was undone."""
        return f"nft list table inet {self._task.args.get('table', 'portmap')}; the ruleset that was undone is {info['rejected_file']}"
