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

import shlex
import typing as t
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._session import SameConnectionError, Session
from ansible_collections.alfred.portmap.plugins.module_utils._sshd import Sshd, SshdError
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_service import ServiceError, SshdService, reload
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_state import DecidedError, FileChange, SshState, content
from ansible_collections.alfred.portmap.plugins.module_utils._transaction import BOOTING, Attempt, Transaction, TransactionError, new_token


@dataclass(frozen=True)
class Host:
    """What a change is made with."""

    module: AnsibleModule
    sshd: Sshd
    service: SshdService
    state: SshState
    transaction: Transaction


def put_in_force(host: Host, drop_in: FileChange, others: t.Sequence[FileChange], seconds: int, session: t.Optional[Session]) -> t.Optional[dict[str, t.Any]]:
    """Write the files, let sshd read them. With 0 seconds it is confirmed at once; else gives {state: armed, token, seconds}, and it undoes itself.

    On an error the files are as they were and sshd has read them, and SshdError, ServiceError, TransactionError or OSError is raised.
    """
    token = new_token()
    # The drop-in first, since a main file that names it may be read at any time.
    changes = [drop_in, *others]
    host.state.write_pending(token, drop_in.after or "", changes)
    armed = False
    try:
        if seconds:
            ways = undo(host, changes)
            rejected = host.state.rejected_file
            host.transaction.arm(token, seconds, host.state.pending_file(token), rejected, ways, session, boots_before=host.service.units)
            armed = True
        for change in changes:
            change.apply()
        host.sshd.check(host.service.main)
        reload(host.module, host.service)
    except (SshdError, ServiceError, TransactionError, OSError):
        for change in changes:
            FileChange(change.path, content(change.path), change.before, change.mode).apply()
        host.module.run_command(["/bin/sh", "-c", host.service.reload])
        host.state.drop_pending()
        if armed:
            host.transaction.disarm()
        raise
    if not seconds:
        host.state.promote(token)
        return None
    return {"state": "armed", "token": token, "seconds": seconds}


def undo(host: Host, changes: t.Sequence[FileChange]) -> list[Attempt]:
    """The ways back: the files as they were, and where sshd does not take these, without our drop-in."""
    back = " && ".join(change.undo(f"before-{number}") for number, change in enumerate(changes))
    without = " && ".join([*(change.undo(f"before-{number}") for number, change in enumerate(changes)), f"rm -f {shlex.quote(changes[0].path)}"])
    options = f" -f {shlex.quote(host.service.main)}"
    # Before it was started nothing has to be read anew, and its directory in /run is not there yet.
    read = f'{{ [ -n "${BOOTING}" ] || {{ {shlex.quote(host.sshd.path)} -t{options} && {{ {host.service.reload}; }}; }}; }}'
    return [
        Attempt(f"{back} && {read}", "the state of before is in force again"),
        Attempt(f"{without} && {read}", "our settings were taken away, since sshd does not take those of before any more"),
    ]


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
