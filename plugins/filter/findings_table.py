# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter findings_table: findings of all hosts as one table for people."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._findings import table
from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain


def findings_table(findings: t.Any) -> str:
    """See findings_table.yml."""
    try:
        return table(plain(findings))
    except KeyError as error:
        raise AnsibleFilterError(f"a finding has no {error.args[0]}") from error


class FilterModule:
    """The filter findings_table."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"findings_table": findings_table}
