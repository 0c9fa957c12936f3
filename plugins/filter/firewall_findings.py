# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter firewall_findings: what a check of the firewall says, as findings."""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._findings import of_firewall
from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain


def firewall_findings(result: t.Any) -> list[dict[str, str]]:
    """See firewall_findings.yml."""
    return of_firewall(plain(result))


class FilterModule:
    """The filter firewall_findings."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"firewall_findings": firewall_findings}
