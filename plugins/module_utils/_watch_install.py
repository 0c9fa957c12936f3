# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `watch` puts on a host: the program, its configuration, a service and a timer of systemd.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._commands import Commands
from ansible_collections.alfred.portmap.plugins.module_utils._files import remove, write_bytes
from ansible_collections.alfred.portmap.plugins.module_utils._nftables import ENVIRONMENT
from ansible_collections.alfred.portmap.plugins.module_utils._watch_archive import listing
from ansible_collections.alfred.portmap.plugins.module_utils._watch_program import FILE

SERVICE, TIMER = "portmap-watch.service", "portmap-watch.timer"
PROGRAM = "usr/local/lib/portmap/watch.pyz"
CONFIG = "etc/portmap/watch.json"
UNITS = "etc/systemd/system"
PUBLIC, PRIVATE = 0o644, 0o600  # the configuration tells what a host must not do: root's alone

# It asks nft, reads which files other users' processes have open, and writes into a directory that may be node exporter's. To read would take
# CAP_DAC_READ_SEARCH only, which a host that is itself a container does not have; there is nothing else here that could be written.
CAPABILITIES = "CAP_NET_ADMIN CAP_SYS_PTRACE CAP_DAC_OVERRIDE"

_SERVICE_TEXT = """\
# Written by Ansible (alfred.portmap.watch). Changes made here are undone by its next run.
[Unit]
Description=Compare this host with the port map, for Prometheus

[Service]
Type=oneshot
ExecStart={python} -I {program} run {config} {directory}
ExecStopPost={python} -I {program} ended {directory}
# A run that hangs is ended, and what follows above says so in the metrics.
TimeoutStartSec={timeout}
Nice=10
CapabilityBoundingSet={capabilities}
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={directory}
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
MemoryDenyWriteExecute=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
UMask=0022
"""

_TIMER_TEXT = """\
# Written by Ansible (alfred.portmap.watch). Changes made here are undone by its next run.
[Unit]
Description=Compare this host with the port map, for Prometheus

[Timer]
OnActiveSec=1
OnUnitActiveSec={interval}
# Hosts of one image do not all look in the same second.
RandomizedDelaySec={delay}
AccuracySec=1

[Install]
WantedBy=timers.target
"""


class InstallError(Exception):
    """The host is not as it must be for this, or systemd did not do what it was asked."""


@dataclass(frozen=True)
class Wanted:
    """What is to be installed."""

    program: bytes
    config: str
    python: str
    directory: str  # of node exporter's textfile collector
    interval: int
    timeout: int


class Installation:
    """Our files on this host, below `root` (normally /)."""

    def __init__(self, commands: Commands, root: str = "/") -> None:
        self._commands = commands
        self._root = root
        self.program, self.config = os.path.join(root, PROGRAM), os.path.join(root, CONFIG)
        self.service, self.timer = os.path.join(root, UNITS, SERVICE), os.path.join(root, UNITS, TIMER)

    @property
    def systemd_runs(self) -> bool:
        """Does systemd run this host? (sd_booted(3))"""
        return os.path.isdir(os.path.join(self._root, "run/systemd/system"))

    def files(self, wanted: Wanted) -> dict[str, tuple[bytes, int]]:
        """The files as they must be, each with its mode."""
        values = {
            "python": wanted.python,
            "program": f"/{PROGRAM}",
            "config": f"/{CONFIG}",
            "directory": wanted.directory,
            "timeout": wanted.timeout,
            "interval": wanted.interval,
            "delay": max(1, min(30, wanted.interval // 10)),
            "capabilities": CAPABILITIES,
        }
        return {
            self.program: (wanted.program, PUBLIC),
            self.config: (wanted.config.encode(), PRIVATE),
            self.service: (_SERVICE_TEXT.format(**values).encode(), PUBLIC),
            self.timer: (_TIMER_TEXT.format(**values).encode(), PUBLIC),
        }

    def compare(self, files: t.Mapping[str, tuple[bytes, int]]) -> tuple[list[str], list[dict[str, str]]]:
        """(why something must change, the diff of it); no files: all of them are to go."""
        reasons, diff = [], []
        for path in (self.program, self.config, self.service, self.timer):
            before = _content(path)
            after, mode = files.get(path, (None, 0))
            if before != after:
                reasons.append("{} {}".format(path, "is to go" if after is None else "is missing" if before is None else "is not as it must be"))
                show = listing if path == self.program else _text
                diff.append({"before_header": path, "before": show(before), "after_header": path, "after": show(after)})
            elif before is not None and _mode(path) != (mode, os.geteuid()):
                reasons.append("{} has mode {:04o} and owner {}, not {:04o} and {}".format(path, *_mode(path), mode, os.geteuid()))
        return reasons, diff

    def timer_reasons(self) -> list[str]:
        """In what systemd's state of the timer differs."""
        out = self._systemctl(["show", "--property", "UnitFileState,ActiveState", TIMER])
        values = dict(line.partition("=")[::2] for line in out.splitlines())
        reasons = [] if values.get("UnitFileState") == "enabled" else [f"{TIMER} is not enabled"]
        return reasons + ([] if values.get("ActiveState") == "active" else [f"{TIMER} is not active"])

    def written_into(self) -> t.Optional[str]:
        """The directory that the installed service writes into, None if there is none."""
        for line in _text(_content(self.service)).splitlines():
            if line.startswith("ReadWritePaths="):
                return line.partition("=")[2]
        return None

    def metrics(self, directory: str) -> str:
        """The file that the program writes."""
        return os.path.join(self.place(directory), FILE)

    def place(self, path: str) -> str:
        """Where a path of the host is."""
        return os.path.join(self._root, path.lstrip("/"))

    def forget(self, directory: str) -> None:
        """Remove what was written into a directory. Raises OSError."""
        for suffix in ("", ".new"):
            remove(self.metrics(directory) + suffix)

    def install(self, files: t.Mapping[str, tuple[bytes, int]]) -> None:
        """Write what differs, the units last; then the timer starts anew, so that a run follows within seconds. Raises InstallError and OSError."""
        for path, (content, mode) in files.items():
            if _content(path) != content or _mode(path) != (mode, os.geteuid()):
                os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
                write_bytes(path, content, mode)
        self._systemctl(["daemon-reload"])
        self._systemctl(["enable", TIMER])
        self._systemctl(["restart", TIMER])

    def remove(self, directories: t.Iterable[str]) -> None:
        """Stop and remove everything, also what was written into these directories. Raises InstallError and OSError."""
        if self.systemd_runs:
            if os.path.exists(self.timer):
                self._systemctl(["disable", "--now", TIMER])
            if os.path.exists(self.service):
                self._systemctl(["stop", SERVICE])
            # One that failed would be listed for ever. A pattern, since a unit that is not loaded is an error else.
            self._systemctl(["reset-failed", "portmap-watch.*"])
        for path in (self.timer, self.service, self.config, self.program):
            remove(path)
            remove(path + ".new")
        for directory in directories:
            self.forget(directory)
        for path in (self.config, self.program):
            with contextlib.suppress(OSError):  # not there, or others have files in it
                os.rmdir(os.path.dirname(path))
        if self.systemd_runs:
            self._systemctl(["daemon-reload"])

    def _systemctl(self, arguments: list[str]) -> str:
        path = self._commands.get_bin_path("systemctl")
        if path is None:
            raise InstallError("there is no program systemctl on this host")
        rc, out, err = self._commands.run_command([path, *arguments], environ_update=ENVIRONMENT)
        if rc != 0:
            raise InstallError(f"systemctl {' '.join(arguments)}: {(err or out).strip() or f'exit status {rc}'}")
        return str(out)


def _content(path: str) -> t.Optional[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _text(content: t.Optional[bytes]) -> str:
    return (content or b"").decode("utf-8", "replace")


def _mode(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return stat.S_IMODE(found.st_mode), found.st_uid
