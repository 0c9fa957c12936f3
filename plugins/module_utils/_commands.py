# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the programs of this host: what our utils need of AnsibleModule, and the same without Ansible.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

What looks at a host runs in modules and in the program that `watch` installs, which has nothing but Python's standard library. So it asks
for `Commands`, which every AnsibleModule is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t

PLACES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class Commands(t.Protocol):
    """The part of AnsibleModule by which our utils run programs and write files."""

    tmpdir: str

    def get_bin_path(self, arg: str) -> t.Optional[str]:
        """Where a program is, None if it is not installed."""

    def run_command(self, args: list[str], environ_update: t.Optional[t.Mapping[str, str]] = None) -> tuple[int, str, str]:
        """Run a program: its exit status, what it printed, and its complaints."""

    def warn(self, warning: str) -> None:
        """Say something to people."""

    def atomic_move(self, src: str, dest: str) -> None:
        """Put a file in the place of another."""


class LocalCommands:
    """The same for a program that is no module, and only looks: it has no directory of its own and writes nothing by way of this."""

    tmpdir = ""

    def __init__(self, patience: float = 30) -> None:
        self._patience = patience  # seconds that a program may take

    def get_bin_path(self, arg: str) -> t.Optional[str]:
        """Where a program is, also if PATH lacks the system's directories."""
        return shutil.which(arg, path=os.pathsep.join([*os.environ.get("PATH", "").split(os.pathsep), *PLACES]))

    def run_command(self, args: list[str], environ_update: t.Optional[t.Mapping[str, str]] = None) -> tuple[int, str, str]:
        """Run a program; one that can't be run, or does not end, has failed."""
        environment = {**os.environ, **(environ_update or {})}
        try:
            done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=self._patience, check=False)
        except subprocess.TimeoutExpired:
            return 124, "", f"{args[0]} did not end within {self._patience:g} seconds"
        except OSError as error:
            return 126, "", f"{args[0]}: {error.strerror}"
        return done.returncode, done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode("utf-8", "surrogateescape")

    def warn(self, warning: str) -> None:
        """Nobody is there to be told; what is found is told as a finding."""

    def atomic_move(self, src: str, dest: str) -> None:
        """Put a file in the place of another, on the same file system."""
        os.rename(src, dest)
