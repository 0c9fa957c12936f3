# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the firewall keeps on the host.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

In DIRECTORY/firewall (0700, its files 0600)::

    confirmed.nft, .json      the ruleset that is in force, as it was loaded: this is what boots; its hash, its policy, how the
                              kernel lists it, which nft listed it
    pending-TOKEN.nft, .json  the ruleset being applied, from before it is loaded until it is confirmed or undone
    rollback.nft              what the undo of that loads
    rejected.nft              the last ruleset that was undone, for whoever wants to know what it was
    history/NUMBER.nft, .json the confirmed rulesets before, the highest number last

A ruleset is loaded from pending-TOKEN.nft and becomes confirmed.nft by a rename: what boots is byte for byte what was loaded, and
what was not confirmed never boots. A crash between the steps leaves files that do not agree, which the next run sees and repairs.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._files import DIRECTORY_MODE, FILE_MODE, read_text, remove, sha256, sync_directory, write_text

FORMAT = 1
HISTORY = 5  # confirmed rulesets that are kept beside the one in force


class StateError(Exception):
    """The state on the host could not be written."""


class DecidedError(StateError):
    """The ruleset that was to be confirmed is not pending any more: it was undone, or never was."""


@dataclass(frozen=True)
class Confirmed:
    """A ruleset that was applied: its rendered text and its policy, and how nft listed it right after it was loaded."""

    table: str
    text: str
    policy: dict[str, t.Any]
    listing: str
    nft_version: str
    applied: str  # UTC, as 2026-11-24T12:00:00Z

    def record(self) -> str:
        """What is kept beside the text."""
        record = {
            "format": FORMAT,
            "table": self.table,
            "rendered_sha256": sha256(self.text),
            "policy": self.policy,
            "listing": self.listing,
            "listing_sha256": sha256(self.listing),
            "nft_version": self.nft_version,
            "applied": self.applied,
        }
        return json.dumps(record, indent=1, sort_keys=True) + "\n"


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
        self.confirmed_file = os.path.join(self.directory, "confirmed.nft")
        self.record_file = os.path.join(self.directory, "confirmed.json")
        self.rollback_file = os.path.join(self.directory, "rollback.nft")
        self.rejected_file = os.path.join(self.directory, "rejected.nft")
        self.history_directory = os.path.join(self.directory, "history")

    def pending_file(self, token: str) -> str:
        """Where the ruleset of a transaction is while it is pending."""
        return os.path.join(self.directory, f"pending-{token}.nft")

    def _pending_record(self, token: str) -> str:
        return os.path.join(self.directory, f"pending-{token}.json")

    # Reading. Fails closed: a file that cannot be trusted is never taken for "nothing changed".

    def read(self) -> Stored:
        """Read and check the confirmed ruleset and its record."""
        present = [path for path in (self.confirmed_file, self.record_file) if os.path.lexists(path)]
        if not present:
            return Stored(None, None, "")
        text = ""
        try:
            if self.confirmed_file in present:
                text = read_text(self.confirmed_file)
            _check_mode(self.directory, DIRECTORY_MODE)
            confirmed = _checked(self.confirmed_file, self.record_file)
        except (OSError, ValueError) as error:
            return Stored(None, str(error), text)
        return Stored(confirmed, None, text)

    def interrupted(self) -> bool:
        """Is there a candidate? To be asked with the lock held, and where no transaction is under way: then its run did not end."""
        return any(path.endswith(".nft") for path in self._candidates())

    def _candidates(self) -> list[str]:
        try:
            return [os.path.join(self.directory, name) for name in sorted(os.listdir(self.directory)) if name.startswith("pending-")]
        except FileNotFoundError:
            return []

    def history(self) -> list[Confirmed]:
        """The rulesets confirmed before, the latest first; one whose files are damaged is left out."""
        found = []
        for number in reversed(self._numbers()):
            with contextlib.suppress(OSError, ValueError):
                found.append(_checked(*self._archived(number)))
        return found

    def _numbers(self) -> list[int]:
        try:
            return sorted(int(name[:-4]) for name in os.listdir(self.history_directory) if name.endswith(".nft") and name[:-4].isdigit())
        except FileNotFoundError:
            return []

    def _archived(self, number: int) -> tuple[str, str]:
        stem = os.path.join(self.history_directory, f"{number:06}")
        return stem + ".nft", stem + ".json"

    # Writing.

    def write_pending(self, token: str, text: str, rollback: str) -> None:
        """Write the candidate and what its undo loads, on the disk before this returns; what is left of other runs goes."""
        for path in (self.parent, self.directory):
            if not os.path.isdir(path):
                os.mkdir(path, DIRECTORY_MODE)
        os.chmod(self.directory, DIRECTORY_MODE)
        self.drop_pending()
        write_text(self.rollback_file, rollback)
        write_text(self.pending_file(token), text)
        sync_directory(self.directory)

    def drop_pending(self) -> None:
        """Forget all candidates."""
        for path in [*self._candidates(), self.rollback_file]:
            remove(path)

    def describe_pending(self, token: str, confirmed: Confirmed) -> None:
        """The candidate is loaded: write down what it will be when it is confirmed."""
        write_text(self._pending_record(token), confirmed.record())

    def pending(self, token: str) -> Confirmed:
        """The candidate of a transaction, as it was loaded. Raises DecidedError if it is not pending."""
        try:
            return _checked(self.pending_file(token), self._pending_record(token))
        except (OSError, ValueError) as error:
            raise DecidedError(f"there is nothing to confirm: {error}") from None

    def promote(self, token: str) -> None:
        """The candidate is confirmed: from now on it is what boots. Raises DecidedError if it was undone before.

        The rename of its text decides, and is the only step that must not be missed: without its record, the next run sees that
        the record of before does not match and loads it again; the other way round a reboot could bring back an old ruleset
        under a record of the new one.
        """
        archived = self._archive(self.pending(token).text)
        try:
            os.rename(self.pending_file(token), self.confirmed_file)
        except FileNotFoundError:
            for path in archived:
                remove(path)
            raise DecidedError("it was undone before it was confirmed") from None
        os.rename(self._pending_record(token), self.record_file)
        remove(self.rollback_file)
        sync_directory(self.directory)

    def _archive(self, successor: str) -> tuple[str, ...]:
        """Keep what is confirmed now, if it is sound and another than its successor; forget the oldest. Gives the new files."""
        confirmed = self.read().confirmed
        if confirmed is None or confirmed.text == successor:
            return ()
        if not os.path.isdir(self.history_directory):
            os.mkdir(self.history_directory, DIRECTORY_MODE)
        numbers = self._numbers()
        text_file, record_file = self._archived(numbers[-1] + 1 if numbers else 1)
        write_text(text_file, confirmed.text)
        write_text(record_file, confirmed.record())
        for number in numbers[: max(0, len(numbers) + 1 - HISTORY)]:
            for path in self._archived(number):
                remove(path)
        return text_file, record_file

    def exists(self) -> bool:
        """Is there anything of ours on the disk?"""
        return os.path.lexists(self.directory)

    def remove(self) -> None:
        """Remove our files and directory, and the directory above it if nothing else is in there."""
        archived = [path for number in self._numbers() for path in self._archived(number)]
        for path in [*self._candidates(), self.rollback_file, self.rejected_file, *archived, self.record_file, self.confirmed_file]:
            remove(path)
            remove(path + ".new")
        for path in (self.history_directory, self.directory, self.parent):
            try:
                os.rmdir(path)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    continue
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and path == self.parent:
                    continue
                raise StateError(f"cannot remove {path}: {error.strerror}") from None


def _checked(text_file: str, record_file: str) -> Confirmed:
    """A ruleset and its record. Raises OSError, and ValueError if they can't be trusted."""
    text = read_text(text_file)
    for path in (text_file, record_file):
        _check_mode(path, FILE_MODE)
    try:
        record = json.loads(read_text(record_file))
    except ValueError:
        raise ValueError(f"{record_file} is damaged: it holds no JSON") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f"{record_file} is not of format {FORMAT}")

    def value(key: str) -> str:
        found = record.get(key)
        if not isinstance(found, str):
            raise ValueError(f"{record_file} is damaged: {key} is {found!r}")
        return found

    if sha256(value("listing")) != value("listing_sha256"):
        raise ValueError(f"{record_file} is damaged: its listing does not have the hash it gives")
    if sha256(text) != value("rendered_sha256"):
        raise ValueError(f"{text_file} is not the file that was applied")
    policy = record.get("policy")
    if not isinstance(policy, dict):
        raise ValueError(f"{record_file} is damaged: policy is {policy!r}")
    return Confirmed(value("table"), text, policy, value("listing"), value("nft_version"), value("applied"))


def _check_mode(path: str, mode: int) -> None:
    found = os.stat(path)
    if stat.S_IMODE(found.st_mode) != mode or found.st_uid != os.geteuid():
        raise ValueError(f"{path} has mode {stat.S_IMODE(found.st_mode):04o} and owner {found.st_uid}, not {mode:04o} and {os.geteuid()}")
