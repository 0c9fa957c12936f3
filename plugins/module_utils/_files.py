# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of ours on a host, that only root may read unless said: written whole or not at all, and on the disk when a call returns.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


def read_text(path: str) -> str:
    """A file's text, line ends as they are. Raises OSError, and ValueError if it is no UTF-8."""
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def write_text(path: str, text: str, mode: int = FILE_MODE) -> None:
    """Write a file, by way of a new one, so that no reader sees half of it and no old mode survives. Raises OSError."""
    write_bytes(path, text.encode(), mode)


def write_bytes(path: str, content: bytes, mode: int = FILE_MODE) -> None:
    """The same for what is no text."""
    draft = path + ".new"
    remove(draft)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        with open(descriptor, "wb") as file:
            if mode != FILE_MODE:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, path)
    except OSError:
        remove(draft)  # on a full disk nothing is to be left of it
        raise


def sha256(text: str) -> str:
    """The hash of a text, in hexadecimal; bytes that are no UTF-8 and survived (PEP 383) count as what they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def remove(path: str) -> None:
    """Remove a file if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def sync_directory(directory: str) -> None:
    """A rename is only sure after its directory is on the disk (fsync(2))."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
