# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter host_plan: one host's part of a plan."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleFilterError
from ansible.utils.display import Display

from ansible_collections.alfred.portmap.plugins.plugin_utils._host_plan import VARIABLE
from ansible_collections.alfred.portmap.plugins.plugin_utils._host_plan import host_plan as cut
from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain

if t.TYPE_CHECKING:
    from ansible_collections.alfred.portmap.plugins.plugin_utils._temporary import Temporary


def host_plan(plan: t.Any, host: t.Any, temporary: t.Any = None) -> dict[str, t.Any]:
    """See host_plan.yml."""
    try:
        return plain(cut(plan, str(host), None if temporary is None else _admitted(temporary)))
    except KeyError as error:
        raise AnsibleFilterError(f"host {host!s} has no plan: it is not in this inventory, or port_map_managed is false there") from error


def _admitted(temporary: t.Any) -> t.Optional[Temporary]:
    """Who is let in for a while, as long as that has not ended."""
    # Rarely needed, and with it the checks of the whole map: see _host_plan.
    from ansible_collections.alfred.portmap.plugins.plugin_utils._temporary import TemporaryError, read_temporary

    try:
        admitted = read_temporary(temporary)
    except TemporaryError as error:
        raise AnsibleFilterError(str(error)) from error
    if admitted is not None and admitted.until <= time.time():
        # Display says the same text once, whichever hosts it is about.
        Display().warning(f"{VARIABLE} ended at {admitted.until_text}: it is taken as not there, and may be deleted")
        return None
    return admitted


class FilterModule:
    """The filter host_plan."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"host_plan": host_plan}
