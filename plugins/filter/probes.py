# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter probes: the plan and one vantage host to questions for the module probe."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain
from ansible_collections.alfred.portmap.plugins.plugin_utils._reachability import checks_from, names, truth
from ansible_collections.alfred.portmap.plugins.plugin_utils._reachability import probes as questions


def probes(
    plan: t.Any,
    vantage: t.Any,
    maintenance: t.Any = (),
    targets: t.Any = None,
    local: t.Any = False,
    checks: t.Any = None,
) -> list[dict[str, t.Any]]:
    """See probes.yml."""
    try:
        wanted = checks_from({**plain(checks or {}), "maintenance": plain(maintenance)})
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(f"checks: {error}") from error
    try:
        asked = None if targets is None else names("targets", plain(targets))
        return questions(plain(plan), str(vantage), targets=asked, local=truth("local", local), checks=wanted)
    except KeyError as error:
        raise AnsibleFilterError(f"the plan knows no host {error.args[0]}") from error
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter probes."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"probes": probes}
