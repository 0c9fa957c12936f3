# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter verify_questions: the plan to what each host of a run asks, with representatives for hosts that are alike."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain
from ansible_collections.alfred.portmap.plugins.plugin_utils._reachability import checks_from
from ansible_collections.alfred.portmap.plugins.plugin_utils._representatives import asks


def verify_questions(
    plan: t.Any,
    hosts: t.Any,
    vantages: t.Any = None,
    down: t.Any = (),
    full: t.Any = False,
    checks: t.Any = None,
) -> dict[str, t.Any]:
    """See verify_questions.yml."""
    may_ask = None if vantages is None else plain(vantages)
    try:
        wanted = checks_from(plain(checks or {}))
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(f"checks: {error}") from error
    return asks(plain(plan), plain(hosts), may_ask, plain(down), bool(full), wanted)


class FilterModule:
    """The filter verify_questions."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"verify_questions": verify_questions}
