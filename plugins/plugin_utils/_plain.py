# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain builtins out of what Ansible hands to a filter.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence


def plain(value: t.Any) -> t.Any:
    """Copy value into plain dict, list, str, int, float, bool and None.

    ansible-core 2.19 and later hand tagged and lazy types to filters. They pass isinstance checks, but PyYAML's safe
    dumper refuses them, and a tag that survives into a plan would travel to every host.

    Raises TypeError for anything that is not plain data, so that nothing is silently turned into text.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        return [plain(item) for item in value]
    raise TypeError(f"not plain data: {type(value).__name__}")
