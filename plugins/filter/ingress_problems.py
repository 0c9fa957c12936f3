# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ingress_problems: why a proxy can't serve what is planned."""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._ingress_check import ingress_problems as found
from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain


def ingress_problems(ingress: t.Any, variables: t.Any) -> list[str]:
    """See ingress_problems.yml."""
    return found(plain(ingress), plain(variables))


class FilterModule:
    """The filter ingress_problems."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"ingress_problems": ingress_problems}
