# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall of this host as it is: whose the table is, and how it differs from what was applied.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Nothing here compares a policy with the kernel's listing: the kernel writes rules in its own way. What is compared is
the rendered text with the one that was applied, and the listing with the one taken right after that.
"""

from __future__ import annotations

import difflib
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._base_chains import (
    Conflict,
    UnreadableError,
    find_conflicts,
    legacy_chains,
    parse_nft,
    summaries,
)
from ansible_collections.alfred.portmap.plugins.module_utils._commands import Commands
from ansible_collections.alfred.portmap.plugins.module_utils._container_bridges import direct_routes, unlisted_bridges
from ansible_collections.alfred.portmap.plugins.module_utils._firewall_state import FirewallState, Stored
from ansible_collections.alfred.portmap.plugins.module_utils._nftables import Nft, NftError
from ansible_collections.alfred.portmap.plugins.module_utils._ruleset import OWNER_MARK


class ForeignTableError(Exception):
    """A table of our name is there that is not ours, or ours has another name."""


@dataclass(frozen=True)
class Observed:
    """One look at the host. `listing` is None if the table is not there."""

    table: str
    listing: str | None
    stored: Stored
    interrupted: bool
    nft_version: str

    @property
    def ours(self) -> bool:
        """Is the table that is there ours? Told by our mark in it, or by our record of having loaded it."""
        if self.listing is None:
            return False
        return OWNER_MARK in self.listing or (self.stored.confirmed is not None and self.stored.confirmed.table == self.table)

    @property
    def drift(self) -> dict[str, t.Any]:
        """What somebody else did to the table since it was applied: {found: bool, lines: [str]}.

        A line begins with "-" if it was taken out, with "+" if it was put in. A table that is gone has drifted, too; its
        lines are not repeated.
        """
        confirmed = self.stored.confirmed
        if confirmed is None or self.listing == confirmed.listing or self.relisted:
            return {"found": False, "lines": []}
        return {"found": True, "lines": [] if self.listing is None else changed_lines(readable(confirmed.listing), readable(self.listing))}

    @property
    def relisted(self) -> bool:
        """Does the listing differ, but is it by another nft than the one it is compared with?"""
        confirmed = self.stored.confirmed
        return confirmed is not None and self.listing is not None and self.listing != confirmed.listing and self.nft_version != confirmed.nft_version

    def differences(self) -> list[str]:
        """In what the table and our files differ from what was applied, for people; [] if in nothing."""
        found = []
        if self.stored.problem is not None:
            found.append(self.stored.problem)
        if self.interrupted:
            found.append("an earlier run was interrupted")
        confirmed = self.stored.confirmed
        if confirmed is None:
            if self.ours and self.stored.problem is None:
                found.append(f"the table inet {self.table} is there, but no record of how it was applied")
            return found
        if self.listing is None:
            found.append(f"the table inet {self.table} is missing")
        elif self.relisted:
            found.append(
                f"nft {self.nft_version} lists the table differently than nft {confirmed.nft_version}, which applied it: changes by hand could not be seen"
            )
        elif self.listing != confirmed.listing:
            found.append(f"the table inet {self.table} was changed by hand")
        return found


def observe(nft: Nft, state: FirewallState, table: str) -> Observed:
    """Look at the table and at our files. Raises NftError, and OSError if the files cannot be looked at."""
    return Observed(table, nft.list_table(table), state.read(), state.interrupted(), nft.version())


def conflicts_of(module: Commands, nft: Nft, table: str, containers: t.Collection[str] | None, leaving: t.Collection[str] = ()) -> list[Conflict]:
    """What else on this host may drop what the table allows, but for the kinds that are about to go; each kind is a warning too. Raises OSError.

    So is a bridge that ports are published to, if the policy does not have it among its `containers` (None: there is no policy).
    What cannot be looked at is told as a conflict. It keeps nobody from applying a policy: our own table is listed by itself.
    """
    chains, conflicts = legacy_chains(module)
    try:
        chains = parse_nft(nft.list_ruleset()) + chains
    except (NftError, UnreadableError) as error:
        conflicts.append(
            {
                "kind": "nftables",
                "where": "the other tables of nftables",
                "what": f"cannot be looked at, so they may drop anything: {error}",
                "advice": "look with 'nft list ruleset'",
            }
        )
    conflicts = find_conflicts(chains, table) + conflicts
    conflicts = [conflict for conflict in conflicts if conflict["kind"] not in leaving]
    for line in summaries(conflicts):
        module.warn(f"another firewall may drop what the policy allows: {line}")
    unlisted = unlisted_bridges(chains, direct_routes(), containers) if containers is not None else []
    for line in summaries(unlisted):
        module.warn(f"what the policy does not allow is open to everybody: {line}")
    return conflicts + unlisted


def guard_ownership(observed: Observed) -> None:
    """Raise ForeignTableError unless the table is ours, or is not there and we have no other."""
    confirmed = observed.stored.confirmed
    if confirmed is not None and confirmed.table != observed.table:
        raise ForeignTableError(
            f"table: the firewall of this host is the table inet {confirmed.table}, not inet {observed.table}; "
            f"remove it first (state=absent, table={confirmed.table})"
        )
    if observed.listing is not None and not observed.ours:
        raise ForeignTableError(
            f"table: there is a table inet {observed.table} on this host that this module did not make; it was left alone. "
            f"Take another name, or remove it where it comes from (it is shown by: nft list table inet {observed.table})"
        )


_ELEMENTS = re.compile(r"^(\s*)elements = \{ ?(.*?) ?\}$", re.MULTILINE | re.DOTALL)
_ELEMENT = re.compile(r'(?:[^,"]|"[^"]*")+')


def readable(listing: str) -> str:
    """A listing with one element of a set per line: nft fills lines, so one element less would move all the others."""

    def spread(found: t.Match[str]) -> str:
        indent = found.group(1)
        lines = [f"{indent}\t{element.strip()},\n" for element in _ELEMENT.findall(found.group(2))]
        return indent + "elements = {\n" + "".join(lines) + indent + "}"

    return _ELEMENTS.sub(spread, listing)


def changed_lines(before: str, after: str) -> list[str]:
    """The lines that only one of two texts has, without context, each with its "-" or "+"."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))
    return [line for line in lines[2:] if not line.startswith("@@")]  # the first two are the names of the files
