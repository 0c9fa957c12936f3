# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker of nginx can read. The master reads the configuration as root, and tells nothing of what a worker will open later.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import os
import subprocess
import typing as t


def unreadable(paths: t.Sequence[str], pid: int, proc: str = "/proc") -> list[str]:
    """Which of the files a process can't read, for whatever reason: a mode, an ACL, a directory above. None where we can't become its user. Raises OSError."""
    if not paths or os.geteuid() != 0:
        return []
    uid, gid, groups = identity(pid, proc)
    done = subprocess.run(
        ["/bin/sh", "-c", 'for file; do test -r "$file" || printf "%s\\n" "$file"; done', "sh", *paths],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=uid,
        group=gid,
        extra_groups=groups,
    )
    return done.stdout.splitlines()


def identity(pid: int, proc: str = "/proc") -> tuple[int, int, list[int]]:
    """User, group and further groups of a process, as the kernel tells of it. Raises OSError."""
    with open(f"{proc}/{pid}/status", encoding="utf-8", errors="replace") as file:
        told = dict(line.split(":", 1) for line in file if ":" in line)
    # proc_pid_status(5): real, effective, saved set, filesystem
    return int(told["Uid"].split()[3]), int(told["Gid"].split()[3]), [int(one) for one in told["Groups"].split()]
