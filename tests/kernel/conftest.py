# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the kernel tests."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t
import uuid

import pytest
from hosts import Host
from netlab import Lab, wired


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/kernel needs root: it makes network namespaces", returncode=2)


@pytest.fixture(scope="module")
def lab() -> t.Iterator[Lab]:
    """The host and its neighbours, with no ruleset loaded."""
    with wired() as made:
        yield made


@pytest.fixture
def host(tmp_path: pathlib.Path) -> t.Iterator[Host]:
    """A host with nothing on it but loopback."""
    namespace = f"portmap-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        yield Host(namespace, tmp_path)
    finally:
        subprocess.run(["ip", "netns", "del", namespace], check=True)
