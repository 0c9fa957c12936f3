# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both proxies at the same time, and the rows of the table that are asked of them."""

from __future__ import annotations

import concurrent.futures
import typing as t

import pytest
from wire_actions import Is, Seen
from wire_stage import PROXIES, WireStage
from wire_table import ROWS, VARIANTS, Row


def cases(slow: bool) -> list[t.Any]:
    """What pytest runs: each row of each proxy, those of one configuration after the other."""
    return [
        pytest.param(proxy, row, id=f"{proxy}-{row.name}")
        for variant in VARIANTS
        for proxy in PROXIES
        for row in ROWS
        if (row.variant, row.slow) == (variant, slow) and (row.only is None or row.only[0] == proxy)
    ]


class Theatre:
    """Both proxies at the same time. Rows that mostly wait start with their proxy and are awaited when it's their turn."""

    def __init__(self, folder: t.Callable[[str], t.Any]) -> None:
        self.stages = {proxy: WireStage(proxy, folder(proxy)) for proxy in PROXIES}
        self.variant = dict.fromkeys(PROXIES, "")
        self.pool = concurrent.futures.ThreadPoolExecutor(16)
        self.waiting: dict[tuple[str, str], concurrent.futures.Future[Seen]] = {}

    def play(self, proxy: str, row: Row) -> Seen:
        """What is seen of a row."""
        stage = self.stages[proxy]
        if self.variant[proxy] != row.variant and not (row.slow and self.variant[proxy]):
            stage.start(**stage.changed(**VARIANTS[row.variant]))
            if not self.variant[proxy]:
                for one in ROWS:
                    if one.slow:
                        self.waiting[proxy, one.name] = self.pool.submit(one.action, stage)
            self.variant[proxy] = row.variant
        return self.waiting[proxy, row.name].result() if row.slow else row.action(stage)

    def close(self) -> None:
        """End all."""
        for future in self.waiting.values():
            future.cancel()
        for stage in self.stages.values():
            stage.close()  # what still waits sees its connection end
        self.pool.shutdown()


def complaints(expected: t.Mapping[str, t.Any], seen: Seen) -> list[str]:
    """What is not as expected."""
    found = []
    for key, wanted in expected.items():
        value = seen[key]
        if not (wanted.holds(value) if isinstance(wanted, Is) else value == wanted):
            found.append(f"{key}: {value!r} is not {wanted!r}")
    return found
