# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter problems: everything that is wrong with a port map, as data."""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain
from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import examine


def problems(documents: t.Any, inventory: t.Any, environment: t.Any = None, addresses_final: bool = False) -> dict[str, t.Any]:
    """See problems.yml."""
    found, _plan = examine(plain(documents), plain(environment), plain(inventory), addresses_final)
    return {
        "errors": [{**problem.as_data(), "text": str(problem)} for problem in found.errors],
        "notices": [{**problem.as_data(), "text": str(problem)} for problem in found.notices],
    }


class FilterModule:
    """The filter problems."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"problems": problems}
