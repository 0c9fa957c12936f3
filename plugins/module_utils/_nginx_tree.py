# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree of nginx's configuration on the disk: one directory for each release, and one link that says which of them counts.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

nginx reads several files, and opens those of passwords again at each request. A release is written beside the others and never
changed, so that a rename of the link changes all at once, and workers that still drain find what they began with.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._nginx import MAIN, Tree
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_change import File

RELEASES = "releases"
DIRECTORY_MODE = 0o750


def main_file(config_dir: str) -> str:
    """What nginx is started with: a link to the main file of the release that counts."""
    return os.path.join(config_dir, MAIN)


def directory_of(config_dir: str, release: str) -> str:
    """Where a release is."""
    return os.path.join(config_dir, RELEASES, release)


class ReleaseFile(File):
    """A file of a release."""

    def present(self) -> File:
        """What is there now."""
        found = super().present()
        return ReleaseFile(found.path, found.text, found.mode, self.secret, found.uid, found.gid)


class Directory(File):
    """What leads to a file: with another group or mode the workers could not open it, whatever its own. Its text says no more than that it is there."""

    def present(self) -> File:
        """What is there now."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return Directory(self.path, None, self.mode, self.secret, self.uid, self.gid)
        return Directory(self.path, "", stat.S_IMODE(status.st_mode), self.secret, status.st_uid, status.st_gid)

    def place(self) -> None:
        """Make it, or put it right, or remove it where nothing is in it."""
        if self.text is None:
            with contextlib.suppress(OSError):
                os.rmdir(self.path)
            return
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.path, 0o700)
        os.chown(self.path, self.uid, self.gid)
        os.chmod(self.path, self.mode)


@dataclass(frozen=True)
class Link(File):
    """The link; its text is where it leads to."""

    def present(self) -> File:
        """Where it leads to now."""
        try:
            return Link(self.path, os.readlink(self.path), self.mode, self.secret, self.uid, self.gid)
        except (FileNotFoundError, OSError) as error:
            if isinstance(error, FileNotFoundError) or not os.path.lexists(self.path):
                return Link(self.path, None, self.mode, self.secret, self.uid, self.gid)
            raise

    def place(self) -> None:
        """Change it by a rename, or remove it."""
        if self.text is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            return
        staged = os.path.join(os.path.dirname(self.path), f".{os.path.basename(self.path)}.tmp")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staged)
        os.symlink(self.text, staged)
        os.rename(staged, self.path)

    @property
    def release(self) -> str:
        """The release that it leads to, "" for none."""
        return os.path.basename(os.path.dirname(self.text)) if self.text else ""


def files_of(tree: Tree, config_dir: str, gid: int) -> list[File]:
    """The directories and files that make up the tree in their place; the link comes last."""
    release = tree.release
    directory = directory_of(config_dir, release)
    placed = sorted((os.path.join(directory, name), name, text) for name, text in tree.placed(directory).items())
    above = sorted({config_dir, os.path.join(config_dir, RELEASES), *(os.path.dirname(path) for path, _name, _text in placed)})
    return [
        *(Directory(path, "", DIRECTORY_MODE, False, 0, gid) for path in above),
        *(ReleaseFile(path, text, 0o640, name in tree.secret, 0, gid) for path, name, text in placed),
        Link(main_file(config_dir), os.path.join(RELEASES, release, MAIN), 0o777),
    ]


def link_of(config_dir: str) -> Link:
    """The link as it is. Raises OSError."""
    return t.cast(Link, Link(main_file(config_dir), None, 0o777).present())


def read_release(config_dir: str, release: str) -> dict[str, str]:
    """The files of a release by their names in it; none if it is not there. Raises OSError."""
    directory = directory_of(config_dir, release)
    found = {}
    for where, _directories, names in os.walk(directory) if release else ():
        for name in names:
            path = os.path.join(where, name)
            with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
                found[os.path.relpath(path, directory)] = file.read()
    return found


def prune(config_dir: str, keep: t.Collection[str]) -> None:
    """Remove releases but for those to keep. What can't be removed does no harm."""
    with contextlib.suppress(OSError):
        for name in os.listdir(os.path.join(config_dir, RELEASES)):
            if name not in keep:
                shutil.rmtree(directory_of(config_dir, name), ignore_errors=True)
