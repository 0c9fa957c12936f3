# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change that undoes itself unless it is confirmed: the timer, who may decide, and what is known of it afterwards.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

The change has one *pending file*, and whoever renames it decides: the confirmation makes it the confirmed file, the undo
makes it the rejected one (by way of a name that says that it was begun, should the host crash then). A rename happens once
(rename(2)), so that there is no moment in which both could win, and none in which neither did: no lock, no order of events, no crash in
between matters.

The undo is a shell script, run by a timer of systemd-run(1), or by a process in a session of its own where no systemd runs: it needs no
Python. It is a file, since systemd (252) writes the commands of such units down and reads them back wrongly at the next daemon-reload. It
waits on the monotonic clock, so that setting the clock changes nothing. In DIRECTORY (of whoever changes something)::

    pending.json      the transaction under way: token, since when, until when, over which session it came
    undo-TOKEN.sh     its undo
    rolled_back.json  the last one that was undone: when, and how

A reboot forgets the timer. Where what boots is the change itself (files that a service reads, not a file of ours that becomes what boots when
it is confirmed), a unit that is there as long as the change is pending runs the undo before that service starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shlex
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._commands import Commands
from ansible_collections.alfred.portmap.plugins.module_utils._files import read_text, remove, sync_directory, write_text
from ansible_collections.alfred.portmap.plugins.module_utils._nftables import ENVIRONMENT
from ansible_collections.alfred.portmap.plugins.module_utils._session import Session

FORMAT = 1
SHORTEST, LONGEST = 5, 600  # seconds
GRACE = 10  # seconds that an undo may take after its time has come
TRIES = 5  # of an undo, a second apart
UNITS = "/etc/systemd/system"
BOOTING = "PORTMAP_BOOTING"  # set for an undo that runs before the services that it is about

_UNDO = """\
# Undoes a change of alfred.portmap that nobody confirmed.
umask 077
cd DIRECTORY || exit 1
# A file of that name is left where an undo was begun (this one, before a crash): go on with it.
if ! mv PENDING BEGUN 2>/dev/null && ! [ -e PENDING ] && ! [ -e BEGUN ]; then
    # It was confirmed, and who did that may not have come to the end.
    ! grep -q TOKEN pending.json 2>/dev/null || rm -f pending.json undo-TOKEN.sh GUARD
    exit 0
fi
also=
FIRST
result=failed
for try in TRIES; do
ATTEMPTS
sleep 1
done
LAST
printf '{"token": "%s", "time": "%s", "result": "%s%s"}\\n' TOKEN "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$result" "$also" >rolled_back.json.new &&
    mv rolled_back.json.new rolled_back.json
mv -f BEGUN REJECTED 2>/dev/null
rm -f pending.json undo-*.sh GUARD
case $result in failed*) exit 1;; esac
"""

# systemd reads it at the next boot: nothing has to be reloaded now.
_GUARD = """\
# Written by Ansible (alfred.portmap). It is gone when the change is confirmed or undone.
[Unit]
Description=Undo of a change of alfred.portmap that a reboot came before
DefaultDependencies=no
ConditionPathExists={script}
RequiresMountsFor={script}
After=local-fs.target systemd-remount-fs.service
Before=sysinit.target shutdown.target {before}
Conflicts=shutdown.target

[Service]
Type=oneshot
Environment={booting}=1
# systemctl isolate may start it later (after a daemon-reload), when it has nothing to do: the timer is there.
ExecStart=/bin/sh -c 'systemctl is-active --quiet sysinit.target || exec /bin/sh {script}'

[Install]
WantedBy=sysinit.target
"""


class TransactionError(Exception):
    """A transaction can't be started, or is not there to be confirmed; the message says what that means for the host."""


class PendingError(TransactionError):
    """Another transaction is under way."""


@dataclass(frozen=True)
class Attempt:
    """One way to undo: a command of sh(1), run in the directory, and what it brings back, for people."""

    command: str
    result: str
    otherwise: str = ""  # of what is done first: what to tell if it failed


@dataclass(frozen=True)
class Pending:
    """A transaction under way."""

    token: str
    armed: str  # UTC, as 2026-11-24T12:00:00Z
    seconds: int  # that it was armed for
    remaining: float  # seconds; negative when its time is over
    session: t.Optional[Session]


class Transaction:
    """The transactions of one part of this host (`name`), whose files are in `directory`."""

    def __init__(self, module: Commands, name: str, directory: str, running: str = "/run/systemd/system", units: str = UNITS) -> None:
        self._module = module
        self._directory = directory
        self._running = running
        self._record_file = os.path.join(directory, "pending.json")
        self._rolled_back_file = os.path.join(directory, "rolled_back.json")
        self.unit = f"portmap-undo-{name}"
        self._guard_file = os.path.join(units, f"{self.unit}-at-boot.service")
        self._guard_link = os.path.join(units, "sysinit.target.wants", os.path.basename(self._guard_file))

    # what there is

    def pending(self) -> t.Optional[Pending]:
        """The transaction under way, or being undone; else None.

        One of another boot is none, nor one whose undo must have run long ago, nor a record that can't be read: if its timer is there
        all the same, the next one can't be armed under its name.
        """
        record = _json(self._record_file)
        if record is None or record.get("format") != FORMAT or record.get("boot") != boot_identity():
            return None
        try:
            remaining = float(record["deadline"]) - _now()
            session = Session(*record["session"]) if record["session"] else None
            pending = Pending(str(record["token"]), str(record["armed"]), int(record["seconds"]), remaining, session)
        except (KeyError, TypeError, ValueError):
            return None
        return pending if remaining > -GRACE else None

    def refuse_another(self) -> None:
        """Raise PendingError if a transaction is under way."""
        pending = self.pending()
        if pending is not None:
            whose = f" from {pending.session.client}" if pending.session else ""
            raise PendingError(
                f"another change{whose} has been waiting for its confirmation since {pending.armed}; it ends by itself within "
                f"{max(0, int(pending.remaining)) + 1} seconds ({self.unit}.timer). Nothing was changed"
            )

    def rolled_back(self) -> t.Optional[dict[str, str]]:
        """The last transaction that was undone: {token, time, result}, or None."""
        record = _json(self._rolled_back_file)
        return None if record is None else {key: str(record.get(key, "")) for key in ("token", "time", "result")}

    def told(self) -> dict[str, t.Optional[dict[str, t.Any]]]:
        """What the info modules say of transactions: {pending: {armed, remaining, from, unit}, last_rollback: {time, result}}, None for none."""
        pending, undone = self.pending(), self.rolled_back()
        told = None
        if pending is not None:
            told = {
                "armed": pending.armed,
                "remaining": max(0, int(pending.remaining)),
                "from": pending.session.client if pending.session else "",
                "unit": f"{self.unit}.timer",
            }
        return {"pending": told, "last_rollback": {"time": undone["time"], "result": undone["result"]} if undone else None}

    # what is done

    def arm(
        self,
        token: str,
        seconds: int,
        file: str,
        rejected: str,
        undo: list[Attempt],
        session: t.Optional[Session],
        first: t.Sequence[Attempt] = (),
        boots_before: t.Sequence[str] = (),
        last: t.Optional[Attempt] = None,
    ) -> None:
        """Write down the transaction and start its timer; `file` is the pending file, `rejected` what the undo makes of it.

        All of `first` is done before any way of `undo` is tried, whatever comes of it. `boots_before`: systemd units that a reboot may not start
        before it undid the change; none if nothing of the change boots. The undo has BOOTING in its environment then. `last` is done when
        no way of `undo` worked, and nothing better can be done.

        Raises TransactionError, and OSError if the record can't be written; nothing is armed then.
        """
        record = {
            "format": FORMAT,
            "token": token,
            "boot": boot_identity(),
            "armed": utc_now(),
            "seconds": seconds,
            "deadline": _now() + seconds,
            "session": list(session) if session else None,
        }
        script = os.path.join(self._directory, f"undo-{token}.sh")  # of this very transaction: no old timer may run a new undo
        try:
            write_text(self._record_file, json.dumps(record, sort_keys=True) + "\n")
            guard = (self._guard_link, self._guard_file) if boots_before else ()
            write_text(script, undo_script(self._directory, os.path.basename(file), os.path.basename(rejected), token, undo, first, guard, last))
            if boots_before and os.path.isdir(self._running):
                self._guard_boot(script, boots_before)
            if os.path.isdir(self._running):
                self._start_timer(seconds, script)
            else:
                self._start_process(seconds, script)
        except (TransactionError, OSError):
            self._forget_pending()  # and no timer is stopped: if there is one of its name it is not ours
            raise

    def _guard_boot(self, script: str, before: t.Sequence[str]) -> None:
        """Have the undo run at the next boot, should that come before the timer."""
        write_text(self._guard_file, _GUARD.format(script=script, before=" ".join(before), booting=BOOTING))
        os.chmod(self._guard_file, 0o644)
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.dirname(self._guard_link), 0o755)
        remove(self._guard_link)
        os.symlink(self._guard_file, self._guard_link)
        for path in (self._guard_link, self._guard_file):
            sync_directory(os.path.dirname(path))

    def _start_timer(self, seconds: int, script: str) -> None:
        command = [
            self._program("systemd-run"),
            "--quiet",
            "--collect",
            f"--unit={self.unit}",
            "--description=Undo of a change of alfred.portmap that nobody confirmed",
            f"--on-active={seconds}s",
            "--timer-property=AccuracySec=100ms",  # by default a timer may be a minute late
            "--timer-property=IgnoreOnIsolate=yes",  # else `systemctl isolate` stops it
            "--property=IgnoreOnIsolate=yes",
            "/bin/sh",
            script,
        ]
        rc, out, err = self._module.run_command(command, environ_update=ENVIRONMENT)
        if rc != 0:
            raise TransactionError(f"the timer that would undo the change could not be started, so nothing was changed: {(err or out).strip()}")

    def _start_process(self, seconds: int, script: str) -> None:
        """Without systemd: a process that no session, terminal or pipe of ours holds."""
        launch = f"{shlex.quote(self._program('setsid'))} /bin/sh -c {shlex.quote(f'sleep {seconds}; exec /bin/sh {script}')} </dev/null >/dev/null 2>&1 &"
        rc, out, err = self._module.run_command(["/bin/sh", "-c", launch], environ_update=ENVIRONMENT)
        if rc != 0:
            raise TransactionError(f"the process that would undo the change could not be started, so nothing was changed: {(err or out).strip()}")

    def _program(self, name: str) -> str:
        path = self._module.get_bin_path(name)
        if path is None:
            raise TransactionError(f"there is no program {name} on this host, so nothing could undo the change; nothing was changed")
        return str(path)

    def disarm(self) -> None:
        """The transaction is decided: forget it and its timer. A timer that can't be stopped finds nothing to do."""
        self._forget_pending()
        sync_directory(self._directory)
        if os.path.isdir(self._running):
            path = self._module.get_bin_path("systemctl")
            if path is not None:
                self._module.run_command([path, "--quiet", "stop", f"{self.unit}.timer"], environ_update=ENVIRONMENT)

    def _forget_pending(self) -> None:
        for path in (self._record_file, self._guard_link, self._guard_file):
            remove(path)
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._directory):
                if re.fullmatch(r"undo-[0-9a-f]+\.sh(\.new)?", name):
                    remove(os.path.join(self._directory, name))

    def forget(self) -> None:
        """Remove all that is kept of transactions."""
        self._forget_pending()
        for path in (self._rolled_back_file, self._rolled_back_file + ".new"):
            remove(path)


def undo_script(
    directory: str,
    pending: str,
    rejected: str,
    token: str,
    undo: list[Attempt],
    first: t.Sequence[Attempt] = (),
    guard: t.Sequence[str] = (),
    last: t.Optional[Attempt] = None,
) -> str:
    """The shell script that undoes: all of `first`, then the attempts, of which the first that succeeds ends it, or else `last`; the files of the
    `guard` go, too.
    """
    told = 'also="$also"'
    beginning = [f"{{ {step.command}; }} && {told}{shlex.quote('; ' + step.result)} || {told}{shlex.quote('; ' + step.otherwise)}" for step in first]
    attempts = "\n".join(f"{attempt.command} && result={shlex.quote(attempt.result)} && break" for attempt in undo)
    values = {
        "DIRECTORY": shlex.quote(directory),
        "PENDING": shlex.quote(pending),
        "BEGUN": shlex.quote(f"{pending}.undone"),
        "REJECTED": shlex.quote(rejected),
        "TOKEN": shlex.quote(token),
        "TRIES": " ".join(str(number + 1) for number in range(TRIES)),
        "FIRST": "\n".join(beginning),
        "ATTEMPTS": attempts,
        "LAST": f'if [ "$result" = failed ]; then {last.command}; result={shlex.quote(last.result)}; fi' if last else "",
        "GUARD": " ".join(shlex.quote(path) for path in guard),
    }
    return re.sub(r"\b(" + "|".join(values) + r")\b", lambda found: values[found.group(1)], _UNDO)


def new_token() -> str:
    """What a confirmation must know: it can't be guessed, and no two transactions have the same."""
    return secrets.token_hex(16)


def boot_identity() -> str:
    """Another one after every boot, of a container too: the kernel's boot, and when this system's first process started."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        kernel = file.read().strip()
    with open("/proc/1/stat", encoding="utf-8", errors="replace") as file:
        return f"{kernel}/{file.read().rpartition(')')[2].split()[19]}"


def utc_now() -> str:
    """Now, as 2026-11-24T12:00:00Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _now() -> float:
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def _json(path: str) -> t.Optional[dict[str, t.Any]]:
    """The object in a file; None if there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(read_text(path))
        if isinstance(found, dict):
            return found
    return None
