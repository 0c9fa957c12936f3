# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters that render a report share: plain data in, and an error of a filter where that is no report.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain


def rendered(render: t.Callable[..., str], report: t.Any, *options: t.Any) -> str:
    """render(report, *options). Raises AnsibleFilterError for what is no report."""
    try:
        return render(plain(report), *options)
    except KeyError as error:
        raise AnsibleFilterError(f"the report lacks {error.args[0]}") from error
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from error
