# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several files of these tests share."""

from __future__ import annotations

import typing as t

import pytest
from wire_theatre import Theatre


@pytest.fixture(scope="session")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Theatre]:
    """Both proxies, configured by their modules for the table of wire tests; made when they are first asked for."""
    made = Theatre(tmp_path_factory.mktemp)
    yield made
    made.close()
