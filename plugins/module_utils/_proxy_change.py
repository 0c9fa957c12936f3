# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of a proxy's files: tried, written, taken up, proven from the running proxy, and undone if any of that fails. Both proxies go this way.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

What runs counts, and not what this run changed: a run that was interrupted owes nothing to the next one. For the same reason a run
that finds nothing to write looks at the running proxy all the same.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import re
import stat
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.module_utils._docker import PUBLISHERS, Docker, DockerError, behind
from ansible_collections.alfred.portmap.plugins.module_utils._listeners import owner_text
from ansible_collections.alfred.portmap.plugins.module_utils._lock import PATIENCE, LockError, locked
from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._sock_diag import SocketsError
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener, listeners

RUNNING, STOPPED, HUNG = "running", "stopped", "hung"
NOTHING, RELOAD, RESTART = "nothing", "reload", "restart"
PORTS_PATIENCE = 10  # seconds that a unit which ends may keep its ports


class ChangeError(Exception):
    """It can't go on: a whole sentence for the user, or several lines of them."""


FAILURES = (ChangeError, OSError, SocketsError)  # what a step of a change ends with


@dataclass(frozen=True)
class File:
    """One file as it must be; text None: it must not be there. secret: its text is never shown."""

    path: str
    text: t.Optional[str]
    mode: int = 0o640
    secret: bool = False
    uid: int = 0
    gid: int = 0

    def present(self) -> File:
        """What is there now instead of it. Raises OSError."""
        try:
            with open(self.path, encoding="utf-8", errors="surrogateescape", newline="") as file:
                status = os.fstat(file.fileno())
                return File(self.path, file.read(), stat.S_IMODE(status.st_mode), self.secret, status.st_uid, status.st_gid)
        except FileNotFoundError:
            return File(self.path, None, self.mode, self.secret, self.uid, self.gid)

    def place(self) -> None:
        """Put it there whole, or remove it. Raises OSError.

        Staged beside its place under a name that neither proxy loads (Traefik loads hidden files too, by their ending), then renamed:
        Traefik takes half a file for one without routes.
        """
        if self.text is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            return
        staged = os.path.join(os.path.dirname(self.path), f".{os.path.basename(self.path)}.tmp")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staged)  # of a run that was interrupted
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(self.text)
                file.flush()
                os.fchown(file.fileno(), self.uid, self.gid)
                os.fchmod(file.fileno(), self.mode)
                os.fsync(file.fileno())
            os.rename(staged, self.path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(staged)  # on a full disk nothing is to be left of it
            raise


@dataclass(frozen=True)
class Door:
    """Where a proxy listens: address "" is every one, of IPv4 and IPv6."""

    transport: str  # tcp or udp
    address: str
    port: int

    def held_by(self, found: t.Iterable[Listener]) -> list[Listener]:
        """The listeners that would be in its way, or that are it."""
        own = [one for one in found if one.transport == self.transport and one.port == self.port]
        any_address = ("0.0.0.0", "::")
        return [one for one in own if self.address in ("", *any_address) or one.address in any_address or one.address == self.address]

    def __str__(self) -> str:
        return f"{self.address + ' ' if self.address else ''}port {self.port}/{self.transport}"


class Proxy(t.Protocol):
    """What either proxy's module does in its own way. Each step raises ChangeError, or OSError."""

    name: str  # for people: Traefik
    timeout: float  # seconds that a proof may take

    def look(self) -> str:
        """How it is found: RUNNING, STOPPED or HUNG (it holds its ports and does not answer). ChangeError: somebody else holds them.

        Remembers what a proof that all is as before must compare with.
        """

    def try_candidate(self, files: t.Sequence[File]) -> list[str]:
        """Let the proxy's own program judge these files, before any is written. Returns what was seen, as sentences."""

    def due(self, files: t.Sequence[File]) -> str:
        """What the running proxy needs (NOTHING, RELOAD, RESTART) to run these files, be they written already or not."""

    def prove(self, files: t.Sequence[File]) -> list[str]:
        """See from the running proxy that it runs these files. Returns what was seen, as sentences."""

    def prove_undone(self) -> list[str]:
        """See that it runs as `look` found it. Returns what was seen, as sentences."""


@dataclass
class Commands:
    """How a proxy is restarted, reloaded and stopped, and the unit that it displaces."""

    run: t.Callable[[list[str]], tuple[int, str, str]]  # AnsibleModule.run_command, which must raise OSError and not end the module
    restart: t.Sequence[str]
    reload: t.Sequence[str]
    stop: t.Sequence[str]
    displaces: t.Optional[str] = None
    displaced: bool = field(default=False, init=False)  # whether this run stopped it

    @property
    def unit(self) -> str:
        """The proxy's unit, "" if it is none of systemd's."""
        return self.restart[-1] if self.restart[:1] == ["systemctl"] else ""

    def displaced_unit_runs(self) -> bool:
        """Whether the unit that makes place still runs."""
        return bool(self.displaces) and self.run(["systemctl", "is-active", "--quiet", str(self.displaces)])[0] == 0

    def is_displaced(self, listener: Listener) -> bool:
        """Whether a listener is of the unit that makes place."""
        return bool(self.displaces) and self._is_of(listener, str(self.displaces))

    def is_own(self, listener: Listener) -> bool:
        """Whether a listener is of the proxy's own unit."""
        return bool(self.unit) and self._is_of(listener, self.unit)

    def _is_of(self, listener: Listener, unit: str) -> bool:
        """Where a socket's process is not seen (another user's, in a container), its user counts; of a published port its container."""
        if listener.owner is not None and listener.owner.process in PUBLISHERS:
            try:
                return behind(listener, Docker(self.run).published()) == [f"portmap-{unit}"]
            except DockerError:
                return False
        if listener.owner is not None:
            return listener.owner.unit in (unit, f"{unit}.service")
        _rc, out, _err = self.run(["systemctl", "show", "--property", "MainPID", "--value", unit])
        try:
            return out.strip() not in ("", "0") and os.stat(f"/proc/{out.strip()}").st_uid == listener.uid
        except OSError:
            return False  # it ended

    def take_up(self, due: str) -> None:
        """Restart or reload the proxy; what it displaces is stopped right before. Raises ChangeError."""
        if due == RELOAD:
            self._command(self.reload)
        elif due == RESTART:
            if self.unit:
                # The unit's file may be newer than what systemd has loaded, and a unit that failed too often is not started again.
                self.run(["systemctl", "daemon-reload"])
                self.run(["systemctl", "reset-failed", self.unit])
            if self.displaced_unit_runs():
                self._free_ports()
            self._command(self.restart)

    def _free_ports(self) -> None:
        """Have the displaced unit end. Raises ChangeError.

        Both proxies close their ports at once and then finish what they had begun, which may take long (websockets): new clients are not to
        be refused for all that time.
        """
        self.displaced = True
        self._command(["systemctl", "stop", "--no-block", str(self.displaces)])
        deadline = time.monotonic() + PORTS_PATIENCE
        while any(self.is_displaced(one) for one in listeners()):
            if time.monotonic() > deadline:
                self._command(["systemctl", "stop", str(self.displaces)])
                return
            time.sleep(0.02)

    def halt(self) -> None:
        """Stop the proxy. Raises ChangeError."""
        self._command(self.stop)

    def give_back(self) -> None:
        """Start what was displaced. Raises ChangeError."""
        if self.displaced:
            self._command(["systemctl", "start", str(self.displaces)])
            self.displaced = False

    def _command(self, argv: t.Sequence[str]) -> None:
        rc, out, err = self.run(list(argv))
        if rc != 0:
            words = printable(" ".join((err or out).split()), 600) or f"exit status {rc}"
            raise ChangeError(f"`{' '.join(argv)}` failed: {words}{self.last_words()}")

    def last_words(self) -> str:
        """What the unit said last, for an error's end."""
        if not self.unit:
            return ""
        try:
            rc, out, _err = self.run(["journalctl", "--unit", self.unit, "--no-pager", "--output", "cat", "--lines", "10"])
        except OSError:
            return ""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", out)  # Traefik colours its log, also where nobody sees colours
        said = [printable(line, 300) for line in plain.splitlines() if line.strip() and not line.startswith("-- ")] if rc == 0 else []
        return f". Its last words: {' | '.join(said)}" if said else ""


@dataclass
class Outcome:
    """What a change came to."""

    changed: bool = False
    restarted: bool = False
    reloaded: bool = False
    proof: list[str] = field(default_factory=list)


def keep_others_out(config_dir: str) -> None:
    """Until this process ends, no other run changes the same proxy: two at once would undo each other. Raises ChangeError if one is at work for long."""
    path = f"/run/portmap-ingress-{hashlib.sha256(os.path.realpath(config_dir).encode()).hexdigest()[:12]}.lock"
    held = contextlib.ExitStack()
    try:
        held.enter_context(locked(path, PATIENCE))
    except LockError as error:
        raise ChangeError(str(error)) from None
    except OSError as error:
        raise ChangeError(f"{path}: {error.strerror}; nothing was changed") from None
    atexit.register(held.close)


def differing(files: t.Sequence[File]) -> list[File]:
    """Those that are not as they must be, as they must be. Raises OSError."""
    return [file for file in files if file.present() != file]


def foreign_holders(
    doors: t.Iterable[Door],
    is_ours: t.Callable[[Listener], bool],
    is_displaced: t.Callable[[Listener], bool],
    found: t.Optional[t.Sequence[Listener]] = None,
    named: t.Callable[[Listener], str] = owner_text,
) -> list[str]:
    """Who holds ports that the proxy needs and is neither it nor the unit that makes place: one text for each. Raises SocketsError.

    found: the listeners, if they were looked at already; named: who holds one, for people, "" if that is not known.
    """
    there = listeners() if found is None else found
    held: list[str] = []
    for door in doors:
        for one in door.held_by(there):
            if is_ours(one) or is_displaced(one):
                continue
            held.append(f"{door} is held by {named(one) or f'a process that is not seen, of user id {one.uid}'}")
    return list(dict.fromkeys(held))


def until(check: t.Callable[[], t.Optional[str]], seconds: float, pause: float = 0.05) -> None:
    """Ask until there is no complaint left. Raises ChangeError with the last one."""
    deadline = time.monotonic() + seconds
    while True:
        complaint = check()
        if complaint is None:
            return
        if time.monotonic() > deadline:
            raise ChangeError(complaint)
        time.sleep(pause)


def carry_out(proxy: Proxy, commands: Commands, files: t.Sequence[File], check_mode: bool = False) -> Outcome:
    """The whole way. Files are written in their order. Raises ChangeError: nothing was changed, or all of it was undone; it says which."""
    try:
        changes = differing(files)
        found = proxy.look()
        due = RESTART if found != RUNNING else proxy.due(files)
        outcome = Outcome(changed=bool(changes) or due != NOTHING, restarted=due == RESTART, reloaded=due == RELOAD)
        if found != RUNNING:
            outcome.proof.append(f"{proxy.name} was found {found}" + (": it holds its ports and does not answer" if found == HUNG else ""))
        if changes or due == RESTART:
            outcome.proof += proxy.try_candidate(files)
        before = [file.present() for file in changes]
    except FAILURES as error:
        raise ChangeError(f"{_said(error)}; nothing was changed") from error
    if check_mode:
        return outcome
    try:
        for file in changes:
            file.place()
        commands.take_up(due)
        outcome.proof += proxy.prove(files)
    except FAILURES as error:
        if not changes and due == NOTHING:
            raise ChangeError(f"{_said(error)}; nothing was changed") from error
        raise ChangeError(f"{_said(error)}; {_undo(proxy, commands, found, before)}") from error
    except BaseException as error:  # a mistake of ours must not leave half a change either
        raise ChangeError(f"{type(error).__name__}: {error}; {_undo(proxy, commands, found, before)}") from error
    return outcome


def _undo(proxy: Proxy, commands: Commands, found: str, before: t.Sequence[File]) -> str:
    """Put everything back, and say how that went."""
    try:
        for file in reversed(before):
            file.place()
        back = "all files are as before" if before else "no file was changed"
        if found == STOPPED:
            commands.halt()
            now = f"{proxy.name} is stopped as it was"
        else:
            commands.take_up(RESTART if found == HUNG else proxy.due(before))
            now = f"{proxy.name} runs as before: {'; '.join(proxy.prove_undone())}"
        return f"{back}, and {now}{_give_back(commands)}"
    except FAILURES as error:
        return f"and putting it back failed: {_said(error)}{_give_back(commands)}"


def _give_back(commands: Commands) -> str:
    """Whatever else failed: who made place gets it back."""
    if not commands.displaced:
        return ""
    try:
        commands.give_back()
        return f", and {commands.displaces} was started again"
    except FAILURES as error:
        return f", and {commands.displaces} could not be started again: {_said(error)}"


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}"
    return str(error)
