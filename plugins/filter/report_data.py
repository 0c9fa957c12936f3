# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter report_data: the plan and what was observed of all hosts to the document that reports are made of."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_data import report_data as document


def report_data(plan: t.Any, observed: t.Any, meta: t.Any) -> dict[str, t.Any]:
    """See report_data.yml."""
    try:
        return document(plain(plan), plain(observed), plain(meta))
    except KeyError as error:
        raise AnsibleFilterError(f"{error.args[0]} is missing in what was observed, or in the plan") from error
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter report_data."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"report_data": report_data}
