# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter sshd_findings: what a look at sshd says, as findings."""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._findings import of_sshd
from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain


def sshd_findings(result: t.Any) -> list[dict[str, str]]:
    """See sshd_findings.yml."""
    return of_sshd(plain(result))


class FilterModule:
    """The filter sshd_findings."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"sshd_findings": sshd_findings}
