# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a ruleset in force as a transaction, and confirm it.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

The order is the point: candidate and undo are on the disk and checked, the timer runs, and only then is anything loaded. Until the
confirmation, what boots and what nftables.service puts back is the ruleset of before. Other firewalls that have to go are stopped after
ours is loaded, and start before it goes: there is no moment without any.
"""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._files import sha256
from ansible_collections.alfred.portmap.plugins.module_utils._firewall import Observed
from ansible_collections.alfred.portmap.plugins.module_utils._firewall_state import Confirmed, DecidedError, FirewallState
from ansible_collections.alfred.portmap.plugins.module_utils._nftables import Nft, NftError
from ansible_collections.alfred.portmap.plugins.module_utils._other_firewalls import AdoptError, OtherFirewall
from ansible_collections.alfred.portmap.plugins.module_utils._session import SameConnectionError, Session
from ansible_collections.alfred.portmap.plugins.module_utils._transaction import Attempt, Transaction, TransactionError, new_token, utc_now


def put_in_force(
    nft: Nft,
    state: FirewallState,
    transaction: Transaction,
    table: str,
    text: str,
    policy: dict[str, t.Any],
    observed: Observed,
    seconds: int,
    session: t.Optional[Session],
    others: t.Sequence[OtherFirewall] = (),
) -> t.Optional[dict[str, t.Any]]:
    """Load a ruleset, stop other firewalls. With 0 seconds it is confirmed at once; else gives {state: armed, token, seconds}, and it undoes itself.

    On an error what was in force before is in force again, and NftError, TransactionError, StateError, AdoptError or OSError is raised.
    """
    running = [other for other in others if other.running]
    token = new_token()
    armed = False
    try:
        before = prepare(nft, state, token, text, table, observed, seconds > 0)
        if seconds:
            ways, first = undo(nft, state, table, before), [other.undo for other in running]
            transaction.arm(token, seconds, state.pending_file(token), state.rejected_file, ways, session, first)
            armed = True
        nft.load(state.pending_file(token))
    except (NftError, TransactionError, OSError):
        state.drop_pending()
        if armed:
            transaction.disarm()
        raise
    stopped: list[OtherFirewall] = []
    try:
        listing = nft.list_table(table)
        if listing is None:
            raise NftError(f"the table inet {table} vanished right after it was loaded")
        state.describe_pending(token, Confirmed(table, text, policy, listing, nft.version(), utc_now()))
        for other in running:
            stopped.append(other)
            other.stop()
        if not seconds:
            state.promote(token)
            return None
    except (NftError, DecidedError, AdoptError, OSError) as error:
        problems = [problem for problem in (other.start() for other in stopped) if problem is not None]
        nft.load(state.rollback_file)
        state.drop_pending()
        if armed:
            transaction.disarm()
        if problems:
            raise AdoptError("; ".join([str(error), *problems])) from error
        raise
    return {"state": "armed", "token": token, "seconds": seconds}


def prepare(nft: Nft, state: FirewallState, token: str, text: str, table: str, observed: Observed, undone: bool) -> str:
    """Write the candidate and what its undo loads, which is checked; gives the latter.

    That is the file that boots, never what nft lists; where none is there, no table. A file that is there, but that its record does not vouch
    for (a damaged one) is still better than none, if it loads. Raises NftError if the ruleset that was confirmed can't be loaded any more, and the
    change is to be `undone` if nobody confirms it.
    """
    removal = f"table inet {table}\ndelete table inet {table}\n"
    before = observed.stored.text or removal
    state.write_pending(token, text, before)
    try:
        nft.check(state.rollback_file)
    except NftError as error:
        if observed.stored.confirmed is not None and undone:
            raise NftError(
                f"what was confirmed before can't be loaded any more, so nothing could undo the change (confirm_timeout=0 does without): {error}"
            ) from None
        before = removal
        state.write_pending(token, text, before)
    return before


def undo(nft: Nft, state: FirewallState, table: str, before: str) -> list[Attempt]:
    """The ways back: the file made for it if it still is what it was, the one that boots, and at last no table: reachable."""
    path, rollback, confirmed = shlex.quote(nft.path), shlex.quote(state.rollback_file), shlex.quote(state.confirmed_file)
    whole = f'[ "$(sha256sum <{rollback})" = "{sha256(before)}  -" ]'
    return [
        Attempt(f"{whole} && {path} -f {rollback}", "the state of before is in force again"),
        Attempt(f"[ -s {confirmed} ] && {path} -f {confirmed}", "the ruleset that boots is in force again"),
        Attempt(f"{path} delete table inet {shlex.quote(table)}", "the table was removed, since nothing else could be loaded"),
    ]


def confirm(state: FirewallState, transaction: Transaction, token: str, observed: Observed, session: t.Optional[Session]) -> int:
    """Confirm the transaction of a token; gives the seconds that it was armed for.

    Raises SameConnectionError if it comes over the old connection, DecidedError if it is not there to be confirmed any more.
    """
    pending = transaction.pending()
    if pending is None or pending.token != token:
        undone = transaction.rolled_back()
        if undone is not None and undone["token"] == token:
            raise DecidedError(f"the change was undone at {undone['time']}: {undone['result']}")
        raise DecidedError("no change with this token is waiting for its confirmation")
    if session is not None and session == pending.session:
        raise SameConnectionError(f"the confirmation came over the connection that the change came by ({session}), which proves nothing")
    candidate = state.pending(token)
    if observed.listing != candidate.listing:
        raise DecidedError(f"the table inet {candidate.table} was changed by somebody else since it was loaded, so it is not confirmed, and will be undone")
    state.promote(token)
    transaction.disarm()
    return pending.seconds
