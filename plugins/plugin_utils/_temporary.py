# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access by SSH that ends by itself: what users write in a variable, checked.

The map has no such thing: who gets in for an afternoon is no statement about the platform.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone

from ansible_collections.alfred.portmap.plugins.module_utils._policy import LATEST, time_text
from ansible_collections.alfred.portmap.plugins.plugin_utils._host_plan import VARIABLE
from ansible_collections.alfred.portmap.plugins.plugin_utils._placement import address_order
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Origin, Path, Problems, did_you_mean, dotted
from ansible_collections.alfred.portmap.plugins.plugin_utils._shapes import address_problem, is_everybody

KEYS = ("network", "until")


class TemporaryError(ValueError):
    """The variable can't be used; the message has every reason."""

    def __init__(self, problems: Problems) -> None:
        super().__init__("\n".join(str(problem) for problem in problems.errors))


@dataclass(frozen=True)
class Temporary:
    """Who gets in, and until when."""

    networks: tuple[str, ...]
    until: int  # seconds since 1970

    @property
    def until_text(self) -> str:
        """As a policy writes it."""
        return time_text(self.until)


def read_temporary(value: t.Any) -> t.Optional[Temporary]:
    """What the variable says; None if it says nothing. Raises TemporaryError with all problems at once."""
    if value is None:
        return None
    reader = _Reader()
    found = reader.read(value)
    if reader.problems.errors:
        raise TemporaryError(reader.problems)
    return found


class _Reader:
    def __init__(self) -> None:
        self.problems = Problems()

    def _wrong(self, path: Path, value: t.Any, rule: str) -> None:
        self.problems.error(Origin(dotted((VARIABLE, *path)), "inventory", 0), value, rule)

    def read(self, value: t.Any) -> t.Optional[Temporary]:
        """Check all of it."""
        if not isinstance(value, Mapping):
            self._wrong((), str(value), "must be a mapping: {network: 192.0.2.0/24, until: 2026-11-26T18:00:00Z}")
            return None
        for key in value:
            if key not in KEYS:
                self._wrong((str(key),), str(value[key]), f"unknown key{did_you_mean(str(key), KEYS)}")
        for key in KEYS:
            if value.get(key) is None:
                self._wrong((key,), None, "is missing")
        networks = self._networks(value["network"]) if value.get("network") is not None else ()
        until = self._until(value["until"]) if value.get("until") is not None else 0
        return Temporary(networks, until)

    def _networks(self, value: t.Any) -> tuple[str, ...]:
        listed = value if isinstance(value, (list, tuple)) else [value]
        if not listed:
            self._wrong(("network",), [], "must name somebody")
        found = []
        for index, text in enumerate(listed):
            reason = address_problem(text, single=False) if isinstance(text, str) else "must be an address or a CIDR"
            if reason is None:
                network = ipaddress.ip_network(text)
                found.append(str(network.network_address) if network.num_addresses == 1 else str(network))
            else:
                self._wrong(("network", index) if listed is value else ("network",), str(text), reason)
        if is_everybody(found):
            self._wrong(("network",), ", ".join(found), "is everybody: name those who are to get in")
        return tuple(sorted(set(found), key=address_order))

    def _until(self, value: t.Any) -> int:
        rule = f"must be a time with its zone from 1970 to {LATEST.year - 1}, as 2026-11-26T18:00:00Z or 2026-11-26T19:00:00+01:00"
        found = value
        if isinstance(value, str):
            try:
                found = datetime.fromisoformat(value)
            except ValueError:
                found = None
        if isinstance(found, datetime) and found.tzinfo is not None and datetime(1970, 1, 1, tzinfo=timezone.utc) <= found < LATEST:
            return int(found.timestamp())
        self._wrong(("until",), value.isoformat() if isinstance(value, date) else str(value), rule)
        return 0
