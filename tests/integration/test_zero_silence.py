# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the wire table that mostly wait: more than a minute of silence, and a rate that is measured over seconds.

They began with test_wire.py, and have seen each of its changes of the configuration.
"""

from __future__ import annotations

import os

import pytest
from wire_table import Row
from wire_theatre import Theatre, cases, complaints


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_zero_silence.py needs root: it makes network namespaces", returncode=2)


@pytest.mark.parametrize(("proxy", "row"), cases(slow=True))
def test_on_the_wire(theatre: Theatre, proxy: str, row: Row) -> None:
    seen = theatre.play(proxy, row)
    assert complaints(row.for_proxy(proxy), seen) == [], seen
