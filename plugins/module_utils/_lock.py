# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock that keeps two runs on one host apart.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._files import FILE_MODE

PATIENCE = 60  # seconds that a run waits for another one to end


class LockError(Exception):
    """Another run holds the lock."""


def lock_file(directory: str) -> str:
    """The lock for all that keeps its state below a directory (normally /var/lib/portmap)."""
    return directory + ".lock"


@contextlib.contextmanager
def locked(path: str, patience: int) -> t.Iterator[None]:
    """Hold the lock; wait up to `patience` seconds for another run to end, then raise LockError. Raises OSError if it can't be made.

    The file goes away with the lock, so that nothing is left behind. Who waited for a file that went away asks again.
    """
    deadline = time.monotonic() + patience
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same_file(descriptor, path):
                break
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                os.close(descriptor)
                raise
            if time.monotonic() >= deadline:
                holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
                os.close(descriptor)
                raise LockError("another run (process {}) holds {}; nothing was changed".format(holder or "unknown", path)) from None
            time.sleep(0.2)
        os.close(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        yield
    finally:
        os.unlink(path)
        os.close(descriptor)


def _same_file(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
