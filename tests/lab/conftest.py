# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests here ask a lab on which the whole job has run: `molecule converge`, or `./dev lab`."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(playbook: str, *argv: str) -> str:
    """Run one of the collection's playbooks on the lab, as an operator does; it must succeed. Gives its output."""
    command = ["ansible-playbook", playbook, "-i", "inventories/lab", *argv]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def playbook() -> t.Callable[..., str]:
    """`playbook("site.yml", "--check")`."""
    return run
