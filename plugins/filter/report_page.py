# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter report_page: a report as one HTML page that needs no network."""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._report_filter import rendered
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_page import page


def report_page(report: t.Any) -> str:
    """See report_page.yml."""
    return rendered(page, report)


class FilterModule:
    """The filter report_page."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"report_page": report_page}
