# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the firewall keeps on the host, and the lock that keeps two runs apart.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

In DIRECTORY/firewall (0700, its files 0600)::

    pending.nft      the ruleset being applied: there only while a run applies it
    confirmed.nft    the ruleset that is in force, as it was loaded: this is what boots
    confirmed.json   its table, its hash, how the kernel lists it, which nft listed it

A ruleset is written as pending.nft, loaded from there, and becomes confirmed.nft by a rename: what boots is byte for
byte what was loaded. A crash between the steps leaves files that do not agree, which the next run sees and repairs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import time
import typing as t
from dataclasses import dataclass

FORMAT = 1
FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


class StateError(Exception):
    """The state on the host could not be written, or another run holds the lock."""


def sha256(text: str) -> str:
    """The hash of a text, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class Confirmed:
    """A ruleset that was applied: its rendered text, and how nft listed it right after that."""

    table: str
    text: str
    listing: str
    nft_version: str
    applied: str  # UTC, as 2026-11-24T12:00:00Z


@dataclass(frozen=True)
class Stored:
    """What was found: a sound record, or what is wrong with it, or (both None) nothing at all.

    `text` is the content of confirmed.nft whatever its state ("" if it cannot be read): what the next boot would load.
    """

    confirmed: Confirmed | None
    problem: str | None
    text: str


class FirewallState:
    """The files of one firewall below `directory` (normally /var/lib/portmap)."""

    def __init__(self, directory: str) -> None:
        self.parent = directory
        self.directory = os.path.join(directory, "firewall")
        self.pending_file = os.path.join(self.directory, "pending.nft")
        self.confirmed_file = os.path.join(self.directory, "confirmed.nft")
        self.record_file = os.path.join(self.directory, "confirmed.json")
        self.lock_file = directory + ".lock"

    # Reading. Fails closed: a file that cannot be trusted is never taken for "nothing changed".

    def read(self) -> Stored:
        """Read and check the confirmed ruleset and its record."""
        present = [path for path in (self.confirmed_file, self.record_file) if os.path.lexists(path)]
        if not present:
            return Stored(None, None, "")
        text = ""
        try:
            if self.confirmed_file in present:
                text = _read(self.confirmed_file)
            confirmed = self._checked(text, _read(self.record_file))
        except (OSError, ValueError) as error:
            return Stored(None, str(error), text)
        return Stored(confirmed, None, text)

    def _checked(self, text: str, record_text: str) -> Confirmed:
        for path, mode in ((self.directory, DIRECTORY_MODE), (self.confirmed_file, FILE_MODE), (self.record_file, FILE_MODE)):
            found = os.stat(path)
            if stat.S_IMODE(found.st_mode) != mode or found.st_uid != os.geteuid():
                raise ValueError(f"{path} has mode {stat.S_IMODE(found.st_mode):04o} and owner {found.st_uid}, not {mode:04o} and {os.geteuid()}")
        try:
            record = json.loads(record_text)
        except ValueError:
            raise ValueError(f"{self.record_file} is damaged: it holds no JSON") from None
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise ValueError(f"{self.record_file} is not of format {FORMAT}")

        def value(key: str) -> str:
            found = record.get(key)
            if not isinstance(found, str):
                raise ValueError(f"{self.record_file} is damaged: {key} is {found!r}")
            return found

        if sha256(value("listing")) != value("listing_sha256"):
            raise ValueError(f"{self.record_file} is damaged: its listing does not have the hash it gives")
        if sha256(text) != value("rendered_sha256"):
            raise ValueError(f"{self.confirmed_file} is not the file that was applied")
        return Confirmed(value("table"), text, value("listing"), value("nft_version"), value("applied"))

    def interrupted(self) -> bool:
        """Is there a candidate of a run that did not end? To be asked with the lock held."""
        return os.path.lexists(self.pending_file)

    # Writing.

    def write_pending(self, text: str) -> None:
        """Write the candidate, on the disk before this returns."""
        for path in (self.parent, self.directory):
            if not os.path.isdir(path):
                os.mkdir(path, DIRECTORY_MODE)
        os.chmod(self.directory, DIRECTORY_MODE)
        _write(self.pending_file, text)

    def drop_pending(self) -> None:
        """Forget the candidate."""
        _unlink(self.pending_file)

    def promote(self, table: str, listing: str, nft_version: str) -> None:
        """The candidate is in force: make it the confirmed ruleset. `listing` is how nft lists it now."""
        record = {
            "format": FORMAT,
            "table": table,
            "rendered_sha256": sha256(_read(self.pending_file)),
            "listing": listing,
            "listing_sha256": sha256(listing),
            "nft_version": nft_version,
            "applied": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        draft = self.record_file + ".new"
        _write(draft, json.dumps(record, indent=1, sort_keys=True) + "\n")
        # First what boots, then the record about it: between the two renames the record does not match, which is
        # seen; the other way round a reboot could bring back an old ruleset under a record of the new one.
        os.rename(self.pending_file, self.confirmed_file)
        os.rename(draft, self.record_file)
        _sync(self.directory)

    def exists(self) -> bool:
        """Is there anything of ours on the disk?"""
        return os.path.lexists(self.directory)

    def remove(self) -> None:
        """Remove our files and directory, and the directory above it if nothing else is in there."""
        for path in (self.pending_file, self.record_file + ".new", self.record_file, self.confirmed_file):
            _unlink(path)
        for path in (self.directory, self.parent):
            try:
                os.rmdir(path)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    continue
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and path == self.parent:
                    continue
                raise StateError(f"cannot remove {path}: {error.strerror}") from None

    # The lock.

    @contextlib.contextmanager
    def locked(self, patience: int) -> t.Iterator[None]:
        """Hold the lock; wait up to `patience` seconds for another run to end, then raise StateError.

        The file goes away with the lock, so that nothing is left behind. Who waited for a file that went away asks again.
        """
        deadline = time.monotonic() + patience
        while True:
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same_file(descriptor, self.lock_file):
                    break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    os.close(descriptor)
                    raise
                if time.monotonic() >= deadline:
                    holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
                    os.close(descriptor)
                    raise StateError("another run (process {}) holds {}; nothing was changed".format(holder or "unknown", self.lock_file)) from None
                time.sleep(0.2)
            os.close(descriptor)
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b"%d\n" % os.getpid())
            yield
        finally:
            os.unlink(self.lock_file)
            os.close(descriptor)


def _same_file(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _read(path: str) -> str:
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    """Write a file of ours, by way of a new one, so that no reader sees half of it and no old mode survives."""
    _unlink(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    with open(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _sync(directory: str) -> None:
    """A rename is only sure after its directory is on the disk (fsync(2))."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
