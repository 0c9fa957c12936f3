# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTML out of plain data: what is text is escaped, always, because only `element` makes markup.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import html
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable

LONGEST = 2000  # characters of one text: a server's answer may be of any length
VOID = ("meta", "link", "input", "br")


class Html(str):
    """Markup, made here."""

    __slots__ = ()


Content = t.Union[str, int, Html, t.Iterable["Content"]]


def element(tag: str, /, *content: Content, **attributes: t.Any) -> Html:
    """One element. An attribute's name ends in _ where Python has the word, None or False leaves it out, True has no value."""
    pairs = []
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            pairs.append(f" {key}")
        elif value is not None and value is not False and value != "":
            pairs.append(f' {key}="{escaped(str(value))}"')
    opening = f"<{tag}{''.join(pairs)}>"
    return Html(opening if tag in VOID else f"{opening}{together(content)}</{tag}>")


def together(content: Content) -> Html:
    """Markup of several parts, each text among them escaped."""
    if isinstance(content, Html):
        return content
    if isinstance(content, (str, int)):
        return escaped(str(content))
    return Html("".join(together(part) for part in content))


def escaped(text: str) -> Html:
    """A text that can be nothing else, in content and in attributes; what can't be seen (controls, changes of direction) is a ?."""
    return Html(html.escape(printable(text, LONGEST), quote=True))


def hidden(text: str) -> Html:
    """For whoever hears the page."""
    return element("span", text, class_="sr")
