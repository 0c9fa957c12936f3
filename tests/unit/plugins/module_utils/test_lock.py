# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock that keeps two runs apart."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._lock import LockError, locked


def test_the_lock_goes_away(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "portmap.lock")
    with locked(path, 0):
        assert pathlib.Path(path).read_text() == f"{os.getpid()}\n"
        with pytest.raises(LockError, match=rf"another run \(process {os.getpid()}\) holds"), locked(path, 0):
            pytest.fail("two runs held the lock")
    assert not os.path.exists(path)


def test_the_lock_of_a_killed_run_does_not_count(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "portmap.lock")
    pathlib.Path(path).write_text("99999\n")
    with locked(path, 0):
        pass
    assert not os.path.exists(path)


def test_many_runs_one_at_a_time(tmp_path: pathlib.Path) -> None:
    """Each adds one to a number, slowly enough to lose additions without a lock."""
    path = str(tmp_path / "portmap.lock")
    counter = tmp_path / "counter"
    counter.write_text("0")
    script = (
        "import sys, time, pathlib\n"
        "from ansible_collections.alfred.portmap.plugins.module_utils._lock import locked\n"
        "counter = pathlib.Path(sys.argv[2])\n"
        "for _turn in range(5):\n"
        "    with locked(sys.argv[1], 60):\n"
        "        number = int(counter.read_text()); time.sleep(0.01); counter.write_text(str(number + 1))\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", script, path, str(counter)], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) for _run in range(4)
    ]
    assert [run.wait() for run in runs] == [0, 0, 0, 0]
    assert counter.read_text() == "20"
    assert not os.path.exists(path)
