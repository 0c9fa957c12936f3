# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How sshd runs on this host: as a service, at a socket of systemd's, or by itself; with which options, on which ports, and how it reads anew.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

A reload ends no session: the listening process executes itself anew, and those of the sessions go on (sshd(8), SIGHUP). Where systemd listens for it
that ends it in OpenSSH 10.0 as Debian 13 has it (`Cannot bind any address`), so that there it is restarted, if its unit leaves sessions alone then
(KillMode=process): connections wait in systemd's socket meanwhile.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._nftables import ENVIRONMENT
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import listeners
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_config import MAIN

RUNNING = "/run/systemd/system"
SERVICES = ("ssh.service", "sshd.service")  # Debian's name, everybody else's
SOCKETS = ("ssh.socket", "sshd.socket")
PATIENCE = 10.0  # seconds for a reloaded sshd to listen again
_RESTART = 'if [ "$(systemctl show --property KillMode --value {unit})" = process ]; then systemctl restart {unit}; else systemctl reload {unit}; fi'
_FLAGS_WITH_VALUE = "cCEfghopu"  # options of sshd that take an argument (sshd(8))


class ServiceError(Exception):
    """sshd could not be reloaded, or does not listen after it was."""


@dataclass(frozen=True)
class SshdService:
    """One look at how sshd runs. `mode`:

    - service: a unit of systemd's that listens itself
    - socket: systemd listens, and starts the unit for the first connection; it goes on running
    - connections: systemd listens, and starts one sshd for each connection: nothing has to be reloaded
    - process: no systemd, or sshd is none of its units
    - none: it does not run
    """

    mode: str
    unit: str
    pid: int  # of the listening sshd, 0 if there is none
    ports: tuple[int, ...]  # where it takes connections now
    program: str  # its path, "" if that is not known
    options: tuple[str, ...]  # of its command line, but for those that only say how it runs
    later: tuple[str, ...]  # the same, of its next start
    main: str  # its main configuration file
    units: tuple[str, ...]  # those that take connections: what a change must be undone before, at boot
    inodes: frozenset[int]  # of its own listening sockets

    @property
    def reload(self) -> str:
        """The command of sh(1) that makes it read its files anew, and that starts it where it should run and does not."""
        if self.mode == "service":
            unit = shlex.quote(self.unit)
            return f"if systemctl is-active --quiet {unit}; then systemctl reload {unit}; else systemctl --no-block start {unit}; fi"
        if self.mode == "socket":
            unit = shlex.quote(self.unit)
            return f"if systemctl is-active --quiet {unit}; then {_RESTART.format(unit=unit)}; fi"
        if self.mode == "process":
            return f"kill -HUP {self.pid}"
        return ":"

    @property
    def bring_back(self) -> str:
        """The same for an undo, which fails if sshd does not run after it."""
        if self.mode == "process":
            return self.renew
        if self.mode not in ("service", "socket"):
            return self.reload
        unit = shlex.quote(self.unit)
        # One that is just starting may have read them before they changed, and can't be told to read them anew.
        ready = f'for wait in 1 2 3 4 5; do [ "$(systemctl is-active {unit})" = activating ] || break; sleep 1; done'
        stays = f" && for wait in 1 2 3; do sleep 1; systemctl is-active --quiet {unit} && break; done" if self.mode == "service" else ""
        return f"{ready}; {self.reload}{stays}"

    @property
    def renew(self) -> str:
        """The same for a later time, when it may run otherwise than now: what does not run reads them when it starts."""
        if self.mode == "process":
            return f"{{ ! grep -q '^sshd: .*listener' /proc/{self.pid}/cmdline 2>/dev/null || kill -HUP {self.pid}; }}"
        if not self.unit:
            return ":"
        unit = shlex.quote(self.unit)
        # One that is just starting may have read them before they changed.
        again = f"if systemctl is-active --quiet {' '.join(SOCKETS)}; then {_RESTART.format(unit=unit)}; else systemctl reload {unit}; fi"
        return f"case $(systemctl is-active {unit}) in active|reloading) {again};; activating) false;; esac"


def look(module: AnsibleModule) -> SshdService:
    """How sshd runs now. Raises OSError, and SocketsError if the sockets can't be read."""
    units = _units(module)
    service = next((name for name in SERVICES if units.get(name, {}).get("ActiveState") in ("active", "reloading")), "")
    socket = next((name for name in SOCKETS if units.get(name, {}).get("ActiveState") == "active"), "")
    known = tuple(name for name in (*SERVICES, *SOCKETS) if units.get(name, {}).get("LoadState") == "loaded")
    own = [one for one in listeners() if one.transport == "tcp" and one.owner is not None]
    if service:
        mode, unit, pid = "socket" if socket else "service", service, int(units[service].get("MainPID", "0"))
    elif socket:
        per_connection = units[socket].get("Accept") == "yes"
        loaded = next((name for name in SERVICES if name in known), SERVICES[0])
        mode, unit, pid = "connections" if per_connection else "socket", loaded, 0
    else:
        pid = next((one.owner.pid for one in own if one.owner is not None and one.owner.process == "sshd" and _listens(one.owner.pid)), 0)
        mode, unit = "process" if pid else "none", ""
    held = [one for one in own if pid and one.owner is not None and one.owner.pid == pid]
    ports = _socket_ports(units[socket]["Listen"]) if socket else {one.port for one in held}
    planned = _planned(module, f"{socket[: -len('.socket')]}@0.service" if mode == "connections" else unit) if unit else ""
    title = _command_line(pid) or planned
    options, main = _options(title)
    return SshdService(
        mode=mode,
        unit=unit,
        pid=pid,
        ports=tuple(sorted(ports)),
        program=_program(title),
        options=tuple(options),
        later=tuple(_options(planned or title)[0]),
        main=main,
        units=known,
        inodes=frozenset(one.inode for one in held),
    )


def reload(module: AnsibleModule, before: SshdService) -> None:
    """Make sshd read its files anew, and wait until it listens again. Raises ServiceError."""
    rc, out, err = module.run_command(["/bin/sh", "-c", before.reload], environ_update=ENVIRONMENT)
    if rc != 0:
        raise ServiceError(f"sshd could not be reloaded: {(err or out).strip() or f'exit status {rc}'}")
    if not before.inodes:
        return
    # It closes its sockets and opens new ones: the old ones are gone when the new configuration is in force.
    deadline = time.monotonic() + PATIENCE
    while before.mode != "socket":
        now = {one.inode: one.port for one in listeners() if one.owner is not None and one.owner.pid == before.pid}
        if not before.inodes & set(now) and set(now.values()) >= set(before.ports):
            return
        ended = not os.path.exists(f"/proc/{before.pid}")
        if ended and comes_back(module, before, 2.0):  # started anew by systemd
            return
        if ended or time.monotonic() > deadline:
            listening = ", ".join(str(port) for port in sorted(set(now.values()))) or "none"
            how = "it ended" if ended else f"it listens on: {listening}"
            raise ServiceError(f"sshd did not come back on port {', '.join(str(port) for port in before.ports)} after its reload ({how})")
        time.sleep(0.05)


def comes_back(module: AnsibleModule, before: SshdService, seconds: float) -> bool:
    """Wait until sshd takes connections where it did; gives whether it does."""
    deadline = time.monotonic() + seconds
    while True:
        if set(look(module).ports) >= set(before.ports):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)


def _units(module: AnsibleModule) -> dict[str, dict[str, str]]:
    """What systemd says of each of the units, by the name that it was asked for."""
    path = module.get_bin_path("systemctl")
    if path is None or not os.path.isdir(RUNNING):
        return {}
    found = {}
    for name in (*SERVICES, *SOCKETS):
        # A name that stands for another unit (Debian's sshd.service) answers for that one: each is asked alone.
        _rc, out, _err = module.run_command([path, "show", "--property", "Id,LoadState,ActiveState,MainPID,Accept,Listen", name], environ_update=ENVIRONMENT)
        values: dict[str, str] = {}
        for line in out.splitlines():
            key, _equals, value = line.partition("=")
            values[key] = f"{values[key]} {value}" if key in values else value
        if values.get("Id", name) == name:
            found[name] = values
    return found


def _socket_ports(listen: str) -> set[int]:
    """The TCP ports of `[::]:22 (Stream) 0.0.0.0:2222 (Stream)`."""
    return {int(port) for port in re.findall(r"(?:^|\s)(?:\S*:)?(\d+) \(Stream\)", listen)}


def _listens(pid: int) -> bool:
    """Is it the process that listens, and not that of a session that forwards a port?"""
    return "[listener]" in _command_line(pid)


def _command_line(pid: int) -> str:
    """sshd writes its options into its title: `sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups`."""
    if not pid:
        return ""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().replace("\0", " ").strip()
    except FileNotFoundError:
        return ""


def _planned(module: AnsibleModule, unit: str) -> str:
    """The title that sshd will have, as systemd starts it when somebody comes."""
    path = module.get_bin_path("systemctl", required=True)
    _rc, out, _err = module.run_command([path, "show", "--property", "ExecStart,EnvironmentFiles", unit], environ_update=ENVIRONMENT)
    values: dict[str, str] = {}
    for file in re.findall(r"^EnvironmentFiles=(.*) \(ignore_errors=\w+\)$", out, re.MULTILINE):
        values.update(_environment(file))
    found = re.search(r"^ExecStart=\{ .*?argv\[\]=(.*?) ; ", out, re.MULTILINE)
    command = re.sub(r"\$\{?(\w+)\}?", lambda word: values.get(word.group(1), ""), found.group(1)) if found else ""
    return f"sshd: {' '.join(_words(command))} [listener]"


def _environment(path: str) -> dict[str, str]:
    """The variables of a file as EnvironmentFile= reads it."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip().partition("=") for line in file if not line.lstrip().startswith(("#", ";"))]
    except OSError:
        return {}
    return {name: " ".join(_words(value)) for name, equals, value in lines if equals}


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that nobody closes
        return text.split()


def _program(title: str) -> str:
    found = re.match(r"sshd: (/\S+)", title)
    return found.group(1) if found else ""


def _options(title: str) -> tuple[list[str], str]:
    """(the options that beat its files, its main file) out of its title."""
    found = re.match(r"sshd: \S+ ?(.*?) ?\[listener\]", title)
    words = found.group(1).split() if found else []
    options: list[str] = []
    main = MAIN
    whole = False  # the last word is the end of an option's value
    while words:
        word = words.pop(0)
        if not word.startswith("-") or len(word) < 2:
            if whole:  # sshd takes no words of their own: a title does not say that a value had quotes
                options[-1] += f" {word}"
            continue
        letter = next((sign for sign in word[1:] if sign in _FLAGS_WITH_VALUE), "")
        value = ""
        if letter:
            value = word.partition(letter)[2] or (words.pop(0) if words else "")
        if letter == "f":
            main = value
        elif letter in ("o", "p"):
            options += [f"-{letter}", value]
        whole = letter in ("o", "p")
    return options, main
