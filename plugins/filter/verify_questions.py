# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter verify_questions: the plan to what each host of a run asks, with representatives for hosts that are alike."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain
from ansible_collections.alfred.portmap.plugins.plugin_utils._reachability import checks_from, names, truth
from ansible_collections.alfred.portmap.plugins.plugin_utils._representatives import asks

if t.TYPE_CHECKING:
    from ansible_collections.alfred.portmap.plugins.plugin_utils._temporary import Temporary


def verify_questions(
    plan: t.Any,
    hosts: t.Any,
    vantages: t.Any = None,
    down: t.Any = (),
    full: t.Any = False,
    checks: t.Any = None,
    maintenance: t.Any = None,
    temporary: t.Any = None,
) -> dict[str, t.Any]:
    """See verify_questions.yml."""
    try:
        wanted = checks_from(plain(checks or {}))
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(f"checks: {error}") from error
    try:
        return asks(
            plain(plan),
            names("hosts", plain(hosts)),
            None if vantages is None else names("vantages", plain(vantages)),
            names("down", plain(down)),
            truth("full", full),
            wanted,
            {host: names(f"maintenance of {host}", routes) for host, routes in plain(maintenance or {}).items()},
            _windows({host: value for host, value in plain(temporary or {}).items() if value is not None}),
        )
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


def _windows(values: dict[str, t.Any]) -> dict[str, Temporary]:
    """Who may use SSH for a while, host by host. Those whose time is over are told by the filter host_plan."""
    if not values:
        return {}
    # Rarely needed, and with it the checks of the whole map: see _host_plan.
    from ansible_collections.alfred.portmap.plugins.plugin_utils._temporary import read_temporary

    windows = {host: read_temporary(value) for host, value in values.items()}
    return {host: window for host, window in windows.items() if window is not None}


class FilterModule:
    """The filter verify_questions."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"verify_questions": verify_questions}
