# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that others chose (a process's name, a server's header) as they may be shown: on one line, and without escapes.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations


def printable(text: str, most: int = 200) -> str:
    """The text with a ? for every character that can't be printed, cut off after `most` of them."""
    shown = "".join(char if char.isprintable() else "?" for char in text[:most])
    return shown + "…" if len(text) > most else shown
