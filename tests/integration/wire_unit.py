# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts, stops and reloads a program in the place of systemd, which a network namespace has none of.

    wire_unit.py FOLDER start|stop|restart|reload

FOLDER/unit.json says how: {"argv": …, "before": [argv, …], "stop": signal, "reload": argv or signal}. `$MAINPID` stands for the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
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
    """The program of one folder."""

    def __init__(self, folder: str) -> None:
        self.folder = pathlib.Path(folder)
        self.told = json.loads((self.folder / "unit.json").read_text())

    @property
    def pid(self) -> int:
        """Of the process that runs, 0 for none."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "pid").read_text())
            return pid if alive(pid) else 0
        return 0

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.pid:
            return
        with (self.folder / "log").open("ab") as log:
            for argv in self.told["before"]:
                subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
            process = subprocess.Popen(self.told["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        (self.folder / "pid").write_text(str(process.pid))

    def stop(self) -> None:
        """End it; in the end by force, and its children with it, as systemd does."""
        pid = self.pid
        if not pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, self.told["stop"])
        deadline = time.monotonic() + 3
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        while alive(pid):
            time.sleep(0.01)

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Let it read its files again."""
        pid = self.pid
        if not pid:
            raise SystemExit("it does not run")
        for argv in self.told["reload"]:
            subprocess.run([word.replace("$MAINPID", str(pid)) for word in argv], stdin=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    getattr(Unit(sys.argv[1]), sys.argv[2])()
