# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One table, two proxies: every row of wire_table.py is asked of Traefik and of Nginx, each configured by its module from the same data.

The rows that mostly wait start here too, and are awaited in test_zero_silence.py.
"""

from __future__ import annotations

import os

import pytest
from wire_stage import PROXIES
from wire_table import ROWS, Row
from wire_theatre import Theatre, cases, complaints


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_wire.py needs root: it makes network namespaces", returncode=2)


@pytest.mark.parametrize(("proxy", "row"), cases(slow=False))
def test_on_the_wire(theatre: Theatre, proxy: str, row: Row) -> None:
    seen = theatre.play(proxy, row)
    assert complaints(row.for_proxy(proxy), seen) == [], seen


def test_every_difference_and_every_exception_has_its_reason() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        for proxy, (changed, why) in row.differs.items():
            assert proxy in PROXIES and len(why) > 20 and set(changed) <= set(row.expected), row.name
        assert row.only is None or (row.only[0] in PROXIES and row.only[1]), row.name
