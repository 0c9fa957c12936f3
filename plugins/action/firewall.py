# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of the module firewall: confirms a change over a new connection."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError

from ansible_collections.alfred.portmap.plugins.plugin_utils._confirmation import PENDING, TransactionAction, outcome_of


class ActionModule(TransactionAction):
    """Runs the module firewall, and the second half of its transaction."""

    module = "alfred.portmap.firewall"

    def aftermath(self, task_vars: dict[str, t.Any]) -> tuple[str, str]:
        """Ask firewall_info."""
        arguments = {name: self._task.args[name] for name in ("table", "state_dir") if name in self._task.args}
        info = self._execute_module(module_name="alfred.portmap.firewall_info", module_args=arguments, task_vars=task_vars)
        if info.get("failed"):
            raise AnsibleError(str(info.get("msg")))
        if info["pending"] is not None:
            return PENDING, f"the change is still pending (since {info['pending']['armed']})"
        if info["in_force"]:
            state = f"the policy applied at {info['applied']} is in force, unchanged"
        elif not info["present"]:
            state = "no policy is in force, as before" if info["applied"] is None else "no policy is in force"
        else:
            state = f"what is in force is not what was confirmed: {'; '.join(info['differences'])}"
        rolled_back = info["last_rollback"]
        how = f" ({rolled_back['result']}, at {rolled_back['time']})" if rolled_back else ""
        look = f"Look at it: nft list table inet {arguments.get('table', 'portmap')}; the ruleset that was undone is {info['rejected_file']}"
        return outcome_of(info), f"{state}{how}.\n{look}"
