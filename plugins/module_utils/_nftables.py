# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the program nft: check and load a file, list and delete a table.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Everything goes through nft's text form. Its JSON form loses things (on 1.0.6: chain and table comments, the flags of
sets, all of iptables' extensions) and cannot be loaded again in some cases, so it is not used anywhere.
"""

from __future__ import annotations

import re

from ansible_collections.alfred.portmap.plugins.module_utils._commands import Commands

FAMILY = "inet"

# nft reads messages and number formats from the locale, and lists times in the time zone; what is compared and hashed must not depend on them.
ENVIRONMENT = {"LC_ALL": "C", "LANGUAGE": "C", "TZ": "UTC"}


class NftError(Exception):
    """nft did not do what it was asked; the message says what it was and what nft answered."""


class NftMissingError(NftError):
    """There is no nft on this host."""


class Nft:
    """The nft of this host. Every method raises NftError if nft refuses."""

    def __init__(self, module: Commands) -> None:
        path = module.get_bin_path("nft")  # also in the system's directories if PATH lacks them
        if path is None:
            raise NftMissingError("there is no program nft on this host: install the package nftables")
        self.path: str = path
        self._module = module

    def _run(self, arguments: list[str], task: str) -> str:
        rc, out, err = self._module.run_command([self.path, *arguments], environ_update=ENVIRONMENT)
        if rc != 0:
            answer = (err or out).strip() or f"nothing (exit status {rc})"
            raise NftError(f"{task}: nft says: {answer}")
        return str(out)

    def version(self) -> str:
        """The version of nft, as "1.0.6"."""
        out = self._run(["--version"], "cannot ask nft for its version")
        found = re.search(r"\bv(\d+(?:\.\d+)+)", out)
        if found is None:
            raise NftError(f"cannot read a version in {out.strip()!r}")
        return found.group(1)

    def check(self, path: str) -> None:
        """Let nft and the kernel judge a file as they would when loading it; nothing is changed."""
        self._run(["-c", "-f", path], "the ruleset does not pass the check of this host's nft and kernel; nothing was changed")

    def load(self, path: str) -> None:
        """Load a file in one transaction: all of it or, on an error, nothing (nft(8), "-f")."""
        self._run(["-f", path], "the ruleset could not be loaded; the kernel kept the one before")

    def tables(self) -> set[tuple[str, str]]:
        """The tables that there are, as (family, name)."""
        found = set()
        for line in self._run(["list", "tables"], "cannot list the tables").splitlines():
            words = line.split()
            if len(words) == 3 and words[0] == "table":
                found.add((words[1], words[2]))
        return found

    def list_table(self, name: str) -> str | None:
        """The text of the table ``inet NAME`` without packet counters, or None if there is no such table.

        Its absence is read from the list of tables, not from an error text: any error stays an error.
        """
        if (FAMILY, name) not in self.tables():
            return None
        return self._run(["-s", "list", "table", FAMILY, name], f"cannot list the table {FAMILY} {name}")

    def list_ruleset(self) -> str:
        """The text of all tables, without packet counters."""
        return self._run(["-s", "list", "ruleset"], "cannot list the ruleset")

    def delete_table(self, name: str) -> None:
        """Delete the table ``inet NAME``."""
        self._run(["delete", "table", FAMILY, name], f"cannot delete the table {FAMILY} {name}")
