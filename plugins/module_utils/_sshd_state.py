# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SSH layer keeps on the host, and the files that it changes.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

In DIRECTORY/ssh (0700, its files 0600)::

    confirmed.conf        the drop-in as it was confirmed last
    pending-TOKEN.conf    the drop-in of the change under way, from before it is written until it is confirmed or undone
    before-N              the files as they were before that change: what its undo puts back
    rejected.conf         the last drop-in that was undone, for whoever wants to know what it was
    made-directory        is there if the drop-in's directory was not there before
    expire-TAG.sh, after-TAG.conf   what ends temporary access (_sshd_expiry.py)
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._files import DIRECTORY_MODE, read_text, remove, sha256, sync_directory, write_text

PENDING = "pending-"  # begins the names of what is not decided, or not done


class DecidedError(Exception):
    """The change that was to be confirmed is not pending any more: it was undone, or never was."""


def content(path: str) -> t.Optional[str]:
    """A file's text; None if it is not there. Bytes that are no UTF-8 survive (PEP 383). Raises OSError."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None


def text_of(path: str) -> str:
    """The same; "" if it is not there."""
    return content(path) or ""


@dataclass(frozen=True)
class FileChange:
    """One file as it is and as it has to be; None: it is not there, or has to go."""

    path: str
    before: t.Optional[str]
    after: t.Optional[str]
    mode: int = 0o600  # of a file that is made
    shared: bool = False  # others write into it, too: what they put there meanwhile is not undone

    @property
    def changes(self) -> bool:
        """Does anything have to be done?"""
        return self.before != self.after or self.loose

    @property
    def loose(self) -> bool:
        """Is it a file of ours alone whose owner or mode is another?"""
        if self.shared or self.after is None:
            return False
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return False
        return (found.st_uid, found.st_mode & 0o7777) != (0, self.mode)

    def apply(self) -> None:
        """Write or remove it; a file that others write into keeps its owner and mode. Raises OSError."""
        if self.after is None:
            remove(self.path)
        else:
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.dirname(self.path), 0o755)
            _write(self.path, self.after, self.mode, keep=self.shared)
        sync_directory(os.path.dirname(self.path))

    def restore(self, backup: str) -> bool:
        """Put it back, from its backup. Gives whether that was needed. Raises OSError."""
        if content(self.path) == self.before:
            return False
        if self.before is None:
            remove(self.path)
        else:
            with _draft(self.path) as draft:
                _copy(backup, draft)
        sync_directory(os.path.dirname(self.path))
        return True

    def undo(self, *backups: str) -> str:
        """The command of sh(1) that puts it back, from the first of these files of the working directory that is what it was."""
        path, draft = shlex.quote(self.path), shlex.quote(self.path + ".portmap")
        if self.before is None:
            return f"rm -f {path}"
        # As it was already, or the first file that is: on the disk before it takes the place.
        whole = f'[ "$(sha256sum <$file)" = "{sha256(self.before)}  -" ]'
        place = f"cp -p $file {draft} && sync {draft} && mv -f {draft} {path} && sync {shlex.quote(os.path.dirname(self.path))}"
        copy = f"{whole} && {{ [ $file = {path} ] || {{ {place}; }}; }} && put=yes && break"
        command = f'put=; for file in {path} {" ".join(backups)}; do {copy}; done 2>/dev/null; rm -f {draft}; [ -n "$put" ]'
        if self.shared and self.after is not None:
            return f'{{ [ "$(sha256sum <{path})" != "{sha256(self.after)}  -" ] || {{ {command}; }}; }}'
        return f"{{ {command}; }}"


@contextlib.contextmanager
def _draft(path: str) -> t.Iterator[str]:
    """A file that takes the place of `path` once it is whole; on an error nothing of it is left."""
    draft = path + ".portmap"
    remove(draft)
    try:
        yield draft
        os.rename(draft, path)
    except OSError as error:
        remove(draft)
        error.filename = path  # a disk that is full names none
        raise


def _write(path: str, text: str, mode: int, keep: bool) -> None:
    with _draft(path) as draft:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if keep:
            found = os.stat(path)
            mode = found.st_mode & 0o7777
            os.chown(draft, found.st_uid, found.st_gid)
        os.chmod(draft, mode)


def _copy(source: str, target: str) -> None:
    """With mode, owner and times, and on the disk."""
    shutil.copy2(source, target)
    found = os.stat(source)
    os.chown(target, found.st_uid, found.st_gid)
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SshState:
    """The files of the SSH layer below `directory` (normally /var/lib/portmap)."""

    def __init__(self, directory: str) -> None:
        self.parent = directory
        self.directory = os.path.join(directory, "ssh")
        self.confirmed_file = os.path.join(self.directory, "confirmed.conf")
        self.rejected_file = os.path.join(self.directory, "rejected.conf")
        self.made_file = os.path.join(self.directory, "made-directory")

    def pending_file(self, token: str) -> str:
        """Where the drop-in of a transaction is while it is pending."""
        return os.path.join(self.directory, f"{PENDING}{token}.conf")

    def confirmed(self) -> t.Optional[str]:
        """The drop-in that was confirmed last; None if none was. Raises OSError."""
        return content(self.confirmed_file)

    def _others(self) -> list[str]:
        """What is there of a change under way."""
        with contextlib.suppress(FileNotFoundError):
            return [os.path.join(self.directory, name) for name in sorted(os.listdir(self.directory)) if name.startswith((PENDING, "before-"))]
        return []

    def interrupted(self) -> bool:
        """Is there a change? To be asked with the lock held, and where no transaction is under way: then its run did not end."""
        return any(os.path.basename(path).startswith(PENDING) for path in self._others())

    def make(self) -> None:
        """Make the directory."""
        for path in (self.parent, self.directory):
            if not os.path.isdir(path):
                os.mkdir(path, DIRECTORY_MODE)
        os.chmod(self.directory, DIRECTORY_MODE)

    def write_pending(self, token: str, drop_in: str, changes: t.Sequence[FileChange]) -> None:
        """Write the candidate and what its undo needs, on the disk before this returns; what is left of other runs goes."""
        self.make()
        self.drop_pending()
        for number, change in enumerate(changes):
            if change.before is not None:
                _copy(change.path, self.backup(number))
        if not os.path.isdir(os.path.dirname(changes[0].path)):
            write_text(self.made_file, "")
        write_text(self.pending_file(token), drop_in)
        sync_directory(self.directory)

    def backup(self, number: int) -> str:
        """Where a file of the change is kept as it was."""
        return os.path.join(self.directory, f"before-{number}")

    def unmake(self, drop_in: str) -> None:
        """The drop-in is gone: its directory goes, too, if it was made for it and nothing else is in there."""
        if os.path.exists(self.made_file):
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(drop_in))
            remove(self.made_file)

    def drop_pending(self) -> None:
        """Forget the change."""
        for path in self._others():
            remove(path)

    def pending(self, token: str) -> str:
        """The drop-in of the change. Raises DecidedError if it is not pending."""
        try:
            return read_text(self.pending_file(token))
        except (OSError, ValueError) as error:
            raise DecidedError(f"there is nothing to confirm: {error}") from None

    def promote(self, token: str) -> None:
        """The change is confirmed. The rename decides: raises DecidedError if it was undone before."""
        try:
            os.rename(self.pending_file(token), self.confirmed_file)
        except FileNotFoundError:
            raise DecidedError("it was undone before it was confirmed") from None
        self.drop_pending()
        sync_directory(self.directory)

    def exists(self) -> bool:
        """Is there anything of ours on the disk?"""
        return os.path.lexists(self.directory)

    def remove(self) -> None:
        """Remove our files and directory, and the directory above it if nothing else is in there."""
        for path in [*self._others(), self.rejected_file, self.confirmed_file, self.made_file]:
            remove(path)
            remove(path + ".new")
        self.tidy()

    def tidy(self) -> None:
        """Remove our directory, and the one above it, where nothing is in there."""
        for path in (self.directory, self.parent):
            with contextlib.suppress(OSError):  # it holds something that is not ours
                os.rmdir(path)
