# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a configuration of sshd in force as a transaction, and confirm it.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

The order is the point: candidate and undo are on the disk, the timer runs, and a reboot would undo it too, before a file of sshd's is written; and
before it reads anything anew, sshd itself has judged what is written. What boots is what is in /etc/ssh, so until the confirmation a unit
stands before sshd at boot.
"""

from __future__ import annotations

import os
import shlex
import typing as t
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._session import SameConnectionError, Session
from ansible_collections.alfred.portmap.plugins.module_utils._sock_diag import SocketsError
from ansible_collections.alfred.portmap.plugins.module_utils._sshd import PRIVILEGE_SEPARATION, Sshd, SshdError
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_expiry import ExpiryError
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_service import PATIENCE, ServiceError, SshdService, comes_back, reload
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_state import PENDING, DecidedError, FileChange, SshState, content
from ansible_collections.alfred.portmap.plugins.module_utils._transaction import BOOTING, Attempt, Transaction, TransactionError, new_token


@dataclass(frozen=True)
class Host:
    """What a change is made with."""

    module: AnsibleModule
    sshd: Sshd
    service: SshdService
    state: SshState
    transaction: Transaction


def put_in_force(
    host: Host,
    drop_in: FileChange,
    others: t.Sequence[FileChange],
    seconds: int,
    session: t.Optional[Session],
    prepare: t.Callable[[], None] = lambda: None,
) -> t.Optional[dict[str, t.Any]]:
    """Write the files, let sshd read them. With 0 seconds it is confirmed at once; else gives {state: armed, token, seconds}, and it undoes itself.

    `prepare` is called when the change is known to be under way, before a file of sshd's is written. On an error the files are as they were and
    sshd has read them, and SshdError, ServiceError, TransactionError, ExpiryError or OSError is raised.
    """
    token = new_token()
    # The drop-in first, since a main file that names it may be read at any time.
    changes = [drop_in, *others]
    armed = False
    try:
        host.state.write_pending(token, drop_in.after or "", changes)
        if seconds:
            ways, last = undo(host, changes, _sound(host, drop_in))
            rejected = host.state.rejected_file
            host.transaction.arm(token, seconds, host.state.pending_file(token), rejected, ways, session, boots_before=host.service.units, last=last)
            armed = True
        prepare()
        for change in changes:
            if content(change.path) != change.before:
                raise TransactionError(f"{change.path} was changed by somebody else at this very moment: run it again. Nothing was changed")
        for change in changes:
            if change.changes:
                change.apply()
        host.sshd.check(host.service.main)
        reload(host.module, host.service)
    except (SshdError, ServiceError, SocketsError, TransactionError, ExpiryError, OSError) as error:
        said = _put_back(host, changes)
        host.state.drop_pending()
        if armed:
            host.transaction.disarm()
        host.state.tidy()
        if isinstance(error, OSError):
            raise TransactionError(f"{error.filename or 'a file'}: {error.strerror}. {said or 'Nothing was changed'}") from None
        raise type(error)(f"{error}. {said}") if said else error from None
    if not seconds:
        host.state.promote(token)
        return None
    return {"state": "armed", "token": token, "seconds": seconds}


def _sound(host: Host, drop_in: FileChange) -> bool:
    """Would sshd start with the drop-in as it is? Somebody may have damaged it."""
    if drop_in.before is not None and drop_in.before != host.state.confirmed():
        try:
            host.sshd.check(host.service.main)
        except SshdError:
            return False
    return True


def _put_back(host: Host, changes: t.Sequence[FileChange]) -> str:
    """Make it as it was before a change that failed; for people, what came of it ("": there was nothing to do). Raises OSError."""
    # All are looked at, whatever comes of the first.
    needed = [change.restore(host.state.backup(number)) for number, change in enumerate(changes)]
    if changes[0].before is None:
        host.state.unmake(changes[0].path)
    if not any(needed):
        return ""
    host.module.run_command(["/bin/sh", "-c", host.service.reload])
    try:
        back = comes_back(host.module, host.service, PATIENCE)
    except SocketsError as error:
        return f"The files are as they were; whether sshd takes connections can't be told: {error}"
    if back:
        return "The files are as they were, and sshd takes connections"
    return "The files are as they were, BUT SSHD DOES NOT TAKE CONNECTIONS: stay logged in, see what journalctl -u ssh says, mend that and start it"


def checked(host: Host) -> str:
    """The command of sh(1) that fails if sshd would not start with its files."""
    return f"mkdir -p -m 755 {PRIVILEGE_SEPARATION} && {shlex.quote(host.sshd.path)} -t -f {shlex.quote(host.service.main)}"


def undo(host: Host, changes: t.Sequence[FileChange], sound: bool) -> tuple[list[Attempt], Attempt]:
    """The ways back: the files as they were, and where sshd does not take these, without our drop-in; and what is left to do if none of them works.

    sound: sshd takes the drop-in of before.
    """
    path = shlex.quote(changes[0].path)
    gone = f"rm -f {path}"
    if changes[0].before is None:
        # Its directory, too, if it was made for it; the file that says so is gone with that.
        gone += f" && {{ ! rm {os.path.basename(host.state.made_file)} 2>/dev/null || rmdir {shlex.quote(os.path.dirname(changes[0].path))} || :; }}"
    first = changes[0].undo("before-0", os.path.basename(host.state.confirmed_file)) if changes[0].before is not None and sound else gone
    others = [change.undo(f"before-{number}") for number, change in enumerate(changes) if number]
    back = " && ".join([first, *others])
    without = "; ".join([*others, gone])
    # Before it was started nothing has to be read anew.
    read = f'{{ [ -n "${BOOTING}" ] || {{ {checked(host)} && {{ {host.service.bring_back}; }}; }}; }}'
    taken = "our settings were taken away, since those of before are damaged or sshd does not take them any more"
    failed = "failed: sshd does not take its files, even without our settings, so that those that nobody confirmed are still in force"
    # The next run finds that something was left to do.
    last = Attempt(f"{back}; : >{PENDING}undo-failed.conf", failed)
    ways = ((back, "the state of before is in force again"), (without, taken))
    return [Attempt(f"{{ {way}; }} && {read} && rm -f before-*", result) for way, result in ways], last


def confirm(host: Host, drop_in: str, token: str, session: t.Optional[Session]) -> tuple[int, str]:
    """Confirm the change of a token; gives the seconds that it was armed for, and the drop-in ("": it is gone).

    Raises SameConnectionError if it comes over the old connection, DecidedError if it is not there to be confirmed any more.
    """
    pending = host.transaction.pending()
    if pending is None or pending.token != token:
        undone = host.transaction.rolled_back()
        if undone is not None and undone["token"] == token:
            raise DecidedError(f"the change was undone at {undone['time']}: {undone['result']}")
        raise DecidedError("no change with this token is waiting for its confirmation")
    if session is not None and session == pending.session:
        raise SameConnectionError(f"the confirmation came over the connection that the change came by ({session}), which proves nothing")
    candidate = host.state.pending(token)
    if (content(drop_in) or "") != candidate:
        raise DecidedError(f"{drop_in} was changed by somebody else since it was written, so it is not confirmed, and will be undone")
    host.state.promote(token)
    host.transaction.disarm()
    return pending.seconds, candidate
