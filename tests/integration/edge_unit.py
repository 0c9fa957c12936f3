# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the role's own unit file in the place of systemd, which a network namespace has none of.

    edge_unit.py FOLDER start|stop|restart|reload

FOLDER has the unit `traefik.service`; the pid and the log are put beside it. Of a unit's lines those are heeded that begin with Exec.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Unit:
    """One unit of one folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    @property
    def pid(self) -> int:
        """Of the process that runs, 0 for none."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "pid").read_text())
            return pid if alive(pid) else 0
        return 0

    def run(self, key: str, text: str = "") -> None:
        """The unit's commands of a kind, each to its end; one that fails ends it, unless it begins with a -."""
        for line in (text or (self.folder / "traefik.service").read_text()).splitlines():
            if line.startswith(f"{key}="):
                command = line.partition("=")[2]
                argv = shlex.split(command.lstrip("-+").replace("$MAINPID", str(self.pid)).replace("%%", "%"))
                subprocess.run(argv, stdin=subprocess.DEVNULL, check=not command.startswith("-"))

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.pid:
            return
        self.run("ExecStartPre")
        (line,) = [line for line in (self.folder / "traefik.service").read_text().splitlines() if line.startswith("ExecStart=")]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(shlex.split(line.partition("=")[2]), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        (self.folder / "pid").write_text(str(process.pid))

    def stop(self) -> None:
        """End it; by force, since a Traefik that ends in order takes two seconds and the tests restart it often."""
        pid = self.pid
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            while alive(pid):
                time.sleep(0.01)

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Let it read its files again."""
        if not self.pid:
            raise SystemExit("it does not run")
        self.run("ExecReload")


if __name__ == "__main__":
    getattr(Unit(pathlib.Path(sys.argv[1])), sys.argv[2])()
