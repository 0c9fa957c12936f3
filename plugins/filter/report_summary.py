# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter report_summary: a report for a terminal."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._report_filter import rendered
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_summary import WIDTH, summary


def report_summary(report: t.Any, width: t.Any = WIDTH) -> str:
    """See report_summary.yml."""
    try:
        characters = int(width)  # from the command line it comes as a string
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(f"width {width!r} must be a whole number") from error
    return rendered(summary, report, characters)


class FilterModule:
    """The filter report_summary."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"report_summary": report_summary}
