# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of the module sshd: confirms a change over a new connection."""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._confirmation import TransactionAction


class ActionModule(TransactionAction):
    """Runs the module sshd, and the second half of its transaction."""

    module = "alfred.portmap.sshd"

    def state_of(self, info: dict[str, t.Any]) -> str:
        """What sshd_info tells."""
        if info["in_force"]:
            return "the configuration that was confirmed last is in its place, unchanged"
        if not info["present"]:
            return "there is no drop-in of ours, as before" if not info["differences"] else "there is no drop-in of ours"
        return f"what is there is not what was confirmed: {'; '.join(info['differences'])}"

    def look_at(self, info: dict[str, t.Any]) -> str:
        """The drop-in, and what was undone."""
        return f"{info['drop_in']}; the one that was undone is {info['rejected_file']}"
