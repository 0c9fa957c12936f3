# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module and kills it (SIGKILL) right before the POINTth of its steps that touch something outside it; 0: never.

    wire_killed.py POINT COUNT_FILE MODULE

Python itself tells of each such step before it's taken (its audit events). COUNT_FILE gets the steps' names, one a line.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import typing as t

STEPS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "subprocess.Popen"}


def main() -> None:
    """Watch, and run it in the place of this program."""
    point, count_file, module = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    descriptor = os.open(count_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    steps = 0

    def watch(event: str, arguments: tuple[t.Any, ...]) -> None:
        nonlocal steps
        if event in STEPS:
            steps += 1
            os.write(descriptor, f"{event} {arguments[0]}\n".encode())
            if steps == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.argv = [module]
    sys.addaudithook(watch)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
