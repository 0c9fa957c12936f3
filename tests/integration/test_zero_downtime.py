# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under steady load routes come and go, and no request is lost, over whichever kind of connection it comes."""

from __future__ import annotations

import os
import typing as t

import pytest
from wire_load import CLIENTS, LoadStage
from wire_stage import PROXIES

CHANGES = 20


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_zero_downtime.py needs root: it makes network namespaces", returncode=2)


@pytest.fixture(scope="module", params=PROXIES)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[LoadStage]:
    """A proxy with a fast service behind it."""
    made = LoadStage(request.param, tmp_path_factory.mktemp(request.param))
    try:
        made.start()
        yield made
    finally:
        made.close()


def test_no_request_is_lost_while_routes_change(stage: LoadStage) -> None:
    pid = stage.pid
    seen = stage.under_load(lambda: stage.change(CHANGES))
    assert stage.pid == pid, "it was restarted"
    assert {name: outcome.lost for name, outcome in seen.items()} == dict.fromkeys(CLIENTS, 0), "\n".join(outcome.said for outcome in seen.values())
    assert all(outcome.requests > 10 * CHANGES for outcome in seen.values()), seen
