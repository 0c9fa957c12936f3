# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One table, two proxies: every row of wire_table.py is asked of Traefik and of Nginx, each configured by its module from the same data."""

from __future__ import annotations

import concurrent.futures
import os
import typing as t

import pytest
from wire_actions import Is, Seen
from wire_stage import PROXIES, WireStage
from wire_table import ROWS, VARIANTS, Row

CASES = [
    pytest.param(proxy, row, id=f"{proxy}-{row.name}")
    for variant in VARIANTS
    for slow in (False, True)
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
        if self.variant[proxy] != row.variant:
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


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_wire.py needs root: it makes network namespaces", returncode=2)


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Theatre]:
    """Both proxies."""
    made = Theatre(lambda proxy: tmp_path_factory.mktemp(proxy))
    yield made
    made.close()


def complaints(expected: t.Mapping[str, t.Any], seen: Seen) -> list[str]:
    """What is not as expected."""
    found = []
    for key, wanted in expected.items():
        value = seen[key]
        if not (wanted.holds(value) if isinstance(wanted, Is) else value == wanted):
            found.append(f"{key}: {value!r} is not {wanted!r}")
    return found


@pytest.mark.parametrize(("proxy", "row"), CASES)
def test_on_the_wire(theatre: Theatre, proxy: str, row: Row) -> None:
    seen = theatre.play(proxy, row)
    assert complaints(row.for_proxy(proxy), seen) == [], seen


def test_every_difference_and_every_exception_has_its_reason() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        for proxy, (changed, why) in row.differs.items():
            assert proxy in PROXIES and len(why) > 20 and set(changed) <= set(row.expected), row.name
        assert row.only is None or (row.only[0] in PROXIES and row.only[1]), row.name
