# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter user_hash: a password's hash, as both proxies check it."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain
from ansible_collections.alfred.portmap.plugins.plugin_utils._user_hash import HashError
from ansible_collections.alfred.portmap.plugins.plugin_utils._user_hash import user_hash as made


def user_hash(password: t.Any, scheme: t.Any = "bcrypt", cost: t.Any = None, salt: t.Any = None) -> str:
    """See user_hash.yml."""
    try:
        return made(*(plain(value) for value in (password, scheme, cost, salt)))
    except (HashError, TypeError) as error:
        raise AnsibleFilterError(f"user_hash: {error}") from error


class FilterModule:
    """The filter user_hash."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"user_hash": user_hash}
