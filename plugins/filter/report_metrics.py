# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter report_metrics: a report as metrics for Prometheus."""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._report_filter import rendered
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_metrics import metrics


def report_metrics(report: t.Any) -> str:
    """See report_metrics.yml."""
    return rendered(metrics, report)


class FilterModule:
    """The filter report_metrics."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"report_metrics": report_metrics}
