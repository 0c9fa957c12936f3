# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running nginx: found, judged, and made to prove what it runs.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

`nginx -t` finds no port that somebody holds, and a reload answers 0 whatever came of it: what can't be bound or read is a line in
the log, and the old workers go on. So nothing is believed but what the workers say of themselves. Each configuration carries its own
hash, which a server on a unix socket answers with.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import socket
import ssl
import tempfile
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.module_utils import _nginx_distribution as distribution
from ansible_collections.alfred.portmap.plugins.module_utils._files import read_text, remove, sha256, write_text
from ansible_collections.alfred.portmap.plugins.module_utils._nginx import CONTROL_SOCKET, ERRORS, MAIN, Tree
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_context import DRAIN
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_http import PAGE_FILE
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_processes import Process, masters, processes, runs_with, workers
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_reading import unreadable
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_tree import Link, ReleaseFile, directory_of, main_file
from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_change import (
    HUNG,
    NOTHING,
    RELOAD,
    RESTART,
    RUNNING,
    STOPPED,
    ChangeError,
    Commands,
    Door,
    File,
    foreign_holders,
)
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_tls import first_of, served
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener, listeners

QUESTIONS = 8  # new connections that must all be answered by the new configuration
DRAIN_SECONDS = 0.2  # clients that send request after request have had an answer by then
PATIENCE = 3.0  # seconds for an answer of the control server, which waits for nothing
PAUSE = 0.05
CLOCKS_DIFFER = 0.1  # seconds: a process's start is told in ticks
MAY_GO = "Move it elsewhere, or say that it may go: take_over (variable nginx_take_over)"
TRIALS, TRIAL = "/run", "portmap-nginx-trial-"
_LOGGED = re.compile(r"^\S+ \S+ \[(\w+)\] [^:]*: (?:\*\d+ )?")  # 2026/11/26 18:02:02 [emerg] 15193#15193: …


@dataclass(frozen=True)
class ServedCertificate:
    """A certificate that must be shown to who asks for a name at a port."""

    port: int
    name: str
    cert_file: str


@dataclass
class NginxCommands(Commands):
    """Whose stop is none where the unit ran somebody else's configuration before: with our drop-in gone it runs that again."""

    run_dir: str = ""
    replaces: bool = field(default=False, init=False)
    told: str = field(default="", init=False)

    def take_up(self, due: str) -> None:
        """Restart or reload nginx. Before a reload the workers are told that they end soon, and have a moment to tell their clients."""
        self.end_drain()
        if due == RELOAD:
            with contextlib.suppress(OSError, http.client.HTTPException):
                write_text(os.path.join(self.run_dir, DRAIN + ask(self.run_dir, "/configuration")), "")
                time.sleep(DRAIN_SECONDS)
        super().take_up(due)

    def end_drain(self) -> None:
        """Nobody is told (any more) to come back over a new connection."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self.run_dir):
                if name.startswith(DRAIN):
                    remove(os.path.join(self.run_dir, name))

    def halt(self) -> None:
        """Stop nginx, or start what it was before."""
        if not self.replaces:
            super().halt()
            return
        self.take_up(RESTART)
        self.told = ". The nginx that ran before, with another configuration, was started again"


@dataclass
class Nginx:
    """The proxy of _proxy_change."""

    run: distribution.Run
    commands: NginxCommands
    binary: t.Optional[str]
    config_dir: str
    run_dir: str
    timeout: float
    tree: Tree
    doors: t.Sequence[Door]
    certificates: t.Sequence[ServedCertificate]
    unit_file: t.Optional[str] = None
    take_over: bool = False
    tried: bool = True  # whether `nginx -t` can be asked: in check mode certificates may not be there yet
    name: str = "nginx"
    found_release: str = field(default="", init=False)
    found_workers: frozenset[tuple[int, int]] = field(default=frozenset(), init=False)
    found_master: t.Optional[Process] = field(default=None, init=False)
    found_serving: t.Sequence[Process] = field(default=(), init=False)
    renewed: bool = field(default=False, init=False)  # whether no worker of before may serve any more
    judged: bool = field(default=False, init=False)  # whether it was told already what is due: what is asked for next is an undo
    ending: t.Optional[Process] = field(default=None, init=False)  # the master that a restart must end
    said: int = field(default=0, init=False)  # how long the log of errors was

    @property
    def main(self) -> str:
        """What it is started with."""
        return main_file(self.config_dir)

    # before

    def look(self) -> str:
        """How it is found."""
        there = processes()
        ours = [one for one in masters(there) if runs_with(one, self.main)]
        replaced = self._replaced([one for one in masters(there) if one not in ours], there)
        family = self._family(there, ours)
        holders = foreign_holders(self.doors, lambda one: one.owner is not None and one.owner.pid in family | replaced, self.commands.is_displaced)
        if holders:
            raise ChangeError(f"nginx can't have its ports: {'; '.join(holders)}")
        self.said = self._length()
        if not ours:
            if not replaced:
                self._refuse_unasked()
            return STOPPED
        self.found_master = ours[0]
        own = workers(there, ours[0])
        self.found_serving = [one for one in own if not one.draining]
        self.found_workers = frozenset((one.pid, one.started) for one in own)
        self.ending = ours[0]  # unless it is found running, and nothing is due
        if len(ours) > 1 or any(one.halted for one in (*ours, *own)):
            return HUNG
        deadline = time.monotonic() + PATIENCE
        while True:  # one that was started this very moment does not answer yet
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.found_release = self.ask("/configuration", max(0.1, deadline - time.monotonic()))
                return RUNNING
            if time.monotonic() > deadline:
                return HUNG
            time.sleep(PAUSE)

    def _replaced(self, others: t.Sequence[Process], there: t.Sequence[Process]) -> set[int]:
        """The processes of another configuration that this one may take the place of: they end with the restart of their unit."""
        found: set[int] = set()
        for master in others:
            unit = _unit_of(master.pid)
            if self.commands.unit and unit != f"{self.commands.unit.partition('.service')[0]}.service":
                continue  # not what a restart ends; if it holds our ports, that is told
            changed = [] if self.take_over else distribution.changed_files(self.run) if "-c" not in master.title.split() else [master.title]
            if changed:
                what = ", ".join(printable(one) for one in changed[:5])
                raise ChangeError(f"nginx runs already (pid {master.pid}) with a configuration that is not ours and not just its package's: {what}. {MAY_GO}")
            found |= self._family(there, [master])
        self.commands.replaces = bool(found)
        return found

    def _refuse_unasked(self) -> None:
        """Somebody's nginx may also be stopped for now: once our drop-in is there its unit never again serves what it is for. Raises ChangeError."""
        if self.take_over or not self.commands.unit or not self.unit_file or os.path.lexists(self.unit_file):
            return
        changed = distribution.changed_files(self.run) + distribution.units_of_somebodys(self.commands.unit)
        if changed:
            what = ", ".join(printable(one) for one in changed[:5])
            raise ChangeError(f"nginx is stopped, and has a configuration that is not ours and not just its package's: {what}. {MAY_GO}")

    @staticmethod
    def _family(there: t.Sequence[Process], ours: t.Sequence[Process]) -> set[int]:
        return {one.pid for master in ours for one in (master, *workers(there, master))}

    def ask(self, path: str, seconds: float = PATIENCE) -> str:
        """Ask the control server. Raises OSError and HTTPException."""
        return ask(self.run_dir, path, seconds)

    def try_candidate(self, files: t.Sequence[File]) -> list[str]:
        """`nginx -t`, with all of the tree in a place of its own."""
        if not self.binary or not os.access(self.binary, os.X_OK):
            return [f"`nginx -t` was not asked: {self.binary or 'nginx'} is not there yet"]
        if not self.tried:
            return ["`nginx -t` was not asked: certificates are not there yet"]
        # In memory, where passwords' hashes reach no disk, and by a short path: that of a socket may have 107 bytes.
        where = TRIALS if os.access(TRIALS, os.W_OK) else tempfile.gettempdir()
        _clear(where)
        place = tempfile.mkdtemp(prefix=f"{TRIAL}{os.getpid()}-", dir=where)
        try:
            trial_run = os.path.join(place, "run")
            os.makedirs(os.path.join(trial_run, os.path.dirname(CONTROL_SOCKET)))
            for name, text in self.tree.placed(place, (self.run_dir, trial_run)).items():
                path = os.path.join(place, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                    file.write(text)
            rc, out, err = self._judge([self.binary, "-t", "-c", os.path.join(place, MAIN)])
        finally:
            shutil.rmtree(place, ignore_errors=True)
        said = [_words(line) for line in (err + out).replace(trial_run, self.run_dir).replace(place + "/", "").splitlines()]
        # nginx warns of a name that is there twice and then never serves the second one.
        refused = [line for line in said if "conflicting server name" in line]
        if rc != 0 or refused:
            words = refused or [line for line in said if line and not line.endswith("test failed")]
            raise ChangeError(f"`nginx -t` refuses the configuration: {printable(' | '.join(words), 1000) or f'exit status {rc}'}")
        return ["`nginx -t` takes the configuration"]

    def _judge(self, argv: list[str]) -> tuple[int, str, str]:
        """Run it without a network of this host: `nginx -t` binds each port that is free, and clients would find it for that moment."""
        told = {"environ_update": {"LC_ALL": "C"}}
        with contextlib.suppress(OSError):
            rc, out, err = self.run(["unshare", "--net", *argv], **told)
            if not err.startswith("unshare:"):  # that it may not, in a container say
                return rc, out, err
        return self.run(argv, **told)

    def due(self, files: t.Sequence[File]) -> str:
        """What it needs to run these files."""
        found = self._due(files)
        if found == NOTHING and not self.judged and self._read_before_written(files):
            found = RELOAD
        self.judged = True
        self.renewed = found == RELOAD
        self.ending = self.found_master if found == RESTART else None
        return found

    def _read_before_written(self, files: t.Sequence[File]) -> bool:
        """Whether it may run other files than these under their hash: somebody edited some, or put them right, and this was reloaded before or not at all."""
        ours = [one for one in files if isinstance(one, ReleaseFile)]
        if any(one.present() != one for one in ours):
            return True
        written = max((os.lstat(one.path).st_ctime for one in ours), default=0.0)
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        ticks = os.sysconf("SC_CLK_TCK")
        # A file of the future tells of a clock that was put back.
        return written < time.time() and any(booted + one.started / ticks < written - CLOCKS_DIFFER for one in self.found_serving)

    def _due(self, files: t.Sequence[File]) -> str:
        master = self.found_master
        if master is None:
            return RESTART
        if self.binary and os.path.exists(self.binary) and master.program not in ("", os.path.realpath(self.binary)):
            return RESTART  # of another binary: an upgrade puts a new file in the place of the one that runs
        if self.unit_file and self._unit_differs(files):
            return RESTART
        link = next((one for one in files if isinstance(one, Link)), None)
        try:
            running = self.ask("/configuration")
        except (OSError, http.client.HTTPException):
            return RESTART
        return RELOAD if link is not None and link.release != running else NOTHING

    def _unit_differs(self, files: t.Sequence[File]) -> bool:
        """Whether it was started by another unit file than there is, or will be: the unit records the hash of its own, but for comments."""
        try:
            text = next((one.text or "" for one in files if one.path == self.unit_file), None)
            text = read_text(str(self.unit_file)) if text is None else text
            now = sha256("".join(f"{line}\n" for line in text.splitlines() if not line.startswith("#")))
            with open(os.path.join(self.run_dir, "started.sha256"), encoding="ascii", errors="replace") as file:
                return file.read().split(None, 1)[:1] != [now]
        except FileNotFoundError:
            return True

    # after

    def prove(self, files: t.Sequence[File]) -> list[str]:
        """See that it runs the tree: by what its workers answer, who they are, where they listen, which certificates they show."""
        release = self.tree.release
        deadline = time.monotonic() + self.timeout
        while True:
            complaint = self._complaint(release)
            if complaint is None:
                break
            words = self._said_since()
            if time.monotonic() > deadline or any("still could not bind()" in line or "bind()" not in line for line in words):
                raise ChangeError(f"{complaint}. {self._told(words)}")
            time.sleep(PAUSE)
        self.commands.end_drain()
        own = workers(there := processes(), self._master(there))
        draining = sum(one.draining for one in own)
        opened = sorted(name for name in self.tree.files if name in self.tree.secret or name == PAGE_FILE)
        self._see_that_workers_read(opened, [one for one in own if not one.draining])
        seen = [
            f"nginx answers with configuration {release[:12]} on {QUESTIONS} new connections",
            f"{len(own) - draining} workers serve it" + (f", {draining} more end what they had begun" if draining else ""),
        ]
        if self.doors:
            seen.append(f"it listens on {', '.join(str(door) for door in self.doors)}")
        if self.certificates:
            seen.append(f"it shows the certificates of {', '.join(f'{one.name}:{one.port}' for one in self.certificates)}")
        if opened:
            seen.append(f"its workers can read {', '.join(opened)}")
        return seen

    def _see_that_workers_read(self, names: t.Sequence[str], serving: t.Sequence[Process]) -> None:
        """They open some files of the tree with each request, and would answer 500. Raises ChangeError."""
        directory = directory_of(self.config_dir, self.tree.release)
        closed = unreadable([os.path.join(directory, name) for name in names], serving[0].pid) if serving else []
        if closed:
            raise ChangeError(f"nginx's workers can't read {', '.join(closed)}: see the modes and owners of all directories above")

    def _complaint(self, release: str) -> t.Optional[str]:
        there = processes()
        ours = [one for one in masters(there) if runs_with(one, self.main)]
        if not ours:
            return "nginx does not run"
        if self.ending and any((one.pid, one.started) == (self.ending.pid, self.ending.started) for one in ours):
            return "nginx was not started anew"
        try:
            answers = {self.ask("/configuration") for _number in range(QUESTIONS)}
        except (OSError, http.client.HTTPException) as error:
            return f"nginx runs and does not answer at {os.path.join(self.run_dir, CONTROL_SOCKET)} ({error})"
        if answers != {release}:
            others = ", ".join(sorted(printable(one[:12]) for one in answers - {release}))
            return f"nginx still serves another configuration ({others}) than the one that was written ({release[:12]})"
        own = workers(there, ours[0])
        serving = [one for one in own if not one.draining]
        if not serving:
            return "nginx has no worker"
        if (self.renewed or self.found_release != release) and any((one.pid, one.started) in self.found_workers for one in serving):
            return "a worker of before the change takes connections still"
        if any(one.halted for one in (ours[0], *serving)):
            return "a process of nginx is stopped (by SIGSTOP or a debugger)"
        missing = self._missing_doors(self._family(there, ours))
        if missing:
            return f"nginx does not listen on {', '.join(missing)}"
        return self._wrong_certificate()

    def _missing_doors(self, family: set[int]) -> list[str]:
        found = listeners()

        def ours(one: Listener) -> bool:
            return one.owner is not None and one.owner.pid in family

        return [str(door) for door in self.doors if not any(ours(one) for one in door.held_by(found))]

    def _wrong_certificate(self) -> t.Optional[str]:
        for one in self.certificates:
            try:
                if served(one.port, one.name, timeout=PATIENCE) != first_of(one.cert_file):
                    return f"nginx shows another certificate for {one.name} at port {one.port} than is in {one.cert_file}"
            except (OSError, ValueError, ssl.SSLError) as error:
                return f"no TLS with nginx for {one.name} at port {one.port}: {error}"
        return None

    def prove_undone(self) -> list[str]:
        """See that it serves what it served before."""
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                answers = {self.ask("/configuration") for _number in range(QUESTIONS)}
                if answers == {self.found_release} or (not self.found_release and answers):
                    self.commands.end_drain()
                    return [f"nginx answers with configuration {self.found_release[:12]} as before"]
                complaint = "nginx serves another configuration than before"
            except (OSError, http.client.HTTPException) as error:
                complaint = f"nginx does not answer ({error})"
            if time.monotonic() > deadline:
                raise ChangeError(f"{complaint}. {self._told(self._said_since())}")
            time.sleep(PAUSE)

    def _master(self, there: t.Sequence[Process]) -> Process:
        return next(one for one in masters(there) if runs_with(one, self.main))

    # its words

    def _length(self) -> int:
        try:
            return os.path.getsize(os.path.join(self.run_dir, ERRORS))
        except OSError:
            return 0

    def _said_since(self) -> list[str]:
        """What it could not do, since the look at it."""
        try:
            with open(os.path.join(self.run_dir, ERRORS), "rb") as file:
                if os.fstat(file.fileno()).st_size >= self.said:
                    file.seek(self.said)
                return [_words(line) for line in file.read(65536).decode("utf-8", "replace").splitlines() if line.strip()]
        except OSError:
            return []

    def _told(self, words: t.Sequence[str]) -> str:
        if words:
            return f"Its words: {printable(' | '.join(dict.fromkeys(words)), 1000)}"
        return self.commands.last_words().lstrip(". ") or "It says nothing about that"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Over the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _clear(where: str) -> None:
    """Remove what trials of runs that were killed have left: by its number, such a process is no more."""
    for name in os.listdir(where):
        pid = name[len(TRIAL) :].partition("-")[0]
        if name.startswith(TRIAL) and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(os.path.join(where, name), ignore_errors=True)


def ask(run_dir: str, path: str, seconds: float = PATIENCE) -> str:
    """Ask the control server over a new connection. Raises OSError and HTTPException."""
    connection = _UnixConnection(os.path.join(run_dir, CONTROL_SOCKET), seconds)
    try:
        connection.request("GET", path, headers={"Host": "control", "Connection": "close"})
        answer = connection.getresponse()
        body = answer.read(4096).decode("ascii", "replace").strip()
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(0, f"{path} was answered with {answer.status}")
    return body


def _words(line: str) -> str:
    """A line of nginx's log without time and number; its own tag goes too."""
    return _LOGGED.sub("", re.sub(r"^nginx: (?:\[\w+\] )?", "", line.strip()))


def _unit_of(pid: int) -> str:
    """The unit that a process is in, "" for none."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
        found = re.findall(r"/([^/\s]+\.service)(?=/|$)", file.read(), re.MULTILINE)
        return found[-1] if found else ""
    return ""
