# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter verify_observed: the registered results of one host's tasks to what was observed of it."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._findings import observation
from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain


def verify_observed(results: t.Any, asked: t.Any) -> dict[str, t.Any]:
    """See verify_observed.yml."""
    try:
        return observation(plain(results), int(asked))
    except KeyError as error:
        raise AnsibleFilterError(f"the results lack {error.args[0]}") from error


class FilterModule:
    """The filter verify_observed."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"verify_observed": verify_observed}
