# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd unit that loads the confirmed ruleset at boot, before there is a network.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Two files. Our own unit boots. A drop-in for nftables.service puts our table back whenever that service has flushed
everything, which distributions' units do on start, reload and stop alike. (PartOf= in our unit would see its restart
only, not a reload nor its first start; and an oneshot unit that does not stay active would be started again by any
`systemctl start` that pulls in sysinit.target.)

Where that service's commands are Debian's, the drop-in also has them load our ruleset in the very transaction that flushes, so
that there is no moment without it. Where that fails, as by a mistake in either file, they do what they did before.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._commands import Commands
from ansible_collections.alfred.portmap.plugins.module_utils._nftables import ENVIRONMENT

UNIT = "portmap-firewall.service"
UNIT_FILE_MODE = 0o644

_UNIT_TEXT = """\
# Written by Ansible (alfred.portmap.firewall). Changes made here are undone by its next run.
[Unit]
Description=Firewall of alfred.portmap: table inet {table}
DefaultDependencies=no
RequiresMountsFor={file}
After=nftables.service
Wants=network-pre.target
Before=network-pre.target sysinit.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={nft} -f {file}
ExecReload={nft} -f {file}
# There is no ExecStop: stopping this unit does not open the host. "state: absent" does.
CapabilityBoundingSet=CAP_NET_ADMIN
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
RestrictAddressFamilies=AF_NETLINK AF_UNIX
MemoryDenyWriteExecute=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
StandardInput=null

[Install]
WantedBy=sysinit.target
"""

_DROP_IN_TEXT = """\
# Written by Ansible (alfred.portmap.firewall). Changes made here are undone by its next run.
# nftables.service flushes every table when it starts, reloads and stops: ours comes back each time.
[Service]
{replaced}ExecStartPost=-{nft} -f {file}
ExecReload=-{nft} -f {file}
ExecStopPost=-{nft} -f {file}
"""

# What nftables.service does in Debian and Ubuntu.
_DEBIAN = {
    "ExecStart": "/usr/sbin/nft -f /etc/nftables.conf",
    "ExecReload": "/usr/sbin/nft -f /etc/nftables.conf",
    "ExecStop": "/usr/sbin/nft flush ruleset",
}
# The same and our ruleset, as one transaction. The second semicolon ends a file's last line that has no end.
_DEBIAN_AND_OURS = {
    "ExecStart": 'include "/etc/nftables.conf";; include "{file}"',
    "ExecReload": 'include "/etc/nftables.conf";; include "{file}"',
    "ExecStop": 'flush ruleset; include "{file}"',
}


class BootError(Exception):
    """systemd is not there, or did not do what it was asked."""


class BootUnit:
    """Our unit and drop-in on this host."""

    def __init__(self, module: Commands, directory: str = "/etc/systemd/system", running: str = "/run/systemd/system") -> None:
        self._module = module
        self._unit_file = os.path.join(directory, UNIT)
        self._drop_in_directory = os.path.join(directory, "nftables.service.d")
        self._drop_in_file = os.path.join(self._drop_in_directory, "portmap.conf")
        self._running = running

    @property
    def systemd_runs(self) -> bool:
        """Does systemd run this host? (sd_booted(3))"""
        return os.path.isdir(self._running)

    def files(self, table: str, nft: str, ruleset: str) -> dict[str, str]:
        """The files as they must be, by path."""
        values = {"table": table, "nft": nft, "file": ruleset, "replaced": replaced_commands(self._nftables_service(), ruleset)}
        return {self._unit_file: _UNIT_TEXT.format(**values), self._drop_in_file: _DROP_IN_TEXT.format(**values)}

    def current_files(self) -> dict[str, str]:
        """The files as they are, by path; "" for one that is not there."""
        return {path: _content(path) for path in (self._unit_file, self._drop_in_file)}

    def status(self) -> tuple[bool, bool]:
        """(enabled: it will be started at boot, active: it was started and did not fail)."""
        if not self.systemd_runs:
            return False, False
        values = dict(line.partition("=")[::2] for line in self._systemctl(["show", "--property", "UnitFileState,ActiveState", UNIT]).splitlines())
        return values.get("UnitFileState") == "enabled", values.get("ActiveState") == "active"

    def _nftables_service(self) -> list[str]:
        """The texts that make up nftables.service, but for our own drop-in."""
        if not self.systemd_runs:
            return []
        paths: list[str] = []
        for line in self._systemctl(["show", "--property", "FragmentPath,DropInPaths", "nftables.service"]).splitlines():
            paths.extend(line.partition("=")[2].split())
        return [_content(path) for path in paths if path != self._drop_in_file]

    def _systemctl(self, arguments: list[str]) -> str:
        path = self._module.get_bin_path("systemctl")
        if path is None:
            raise BootError("there is no program systemctl on this host")
        rc, out, err = self._module.run_command([path, *arguments], environ_update=ENVIRONMENT)
        if rc != 0:
            answer = (err or out).strip() or f"exit status {rc}"
            raise BootError(f"systemctl {' '.join(arguments)}: {answer}")
        return str(out)

    def install(self, files: t.Mapping[str, str]) -> None:
        """Write the files where they differ, let systemd read them, enable and start the unit."""
        current = self.current_files()
        for path, text in files.items():
            if current[path] != text:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(os.path.dirname(path), 0o755)
                self._write(path, text)
        self._systemctl(["daemon-reload"])
        self._systemctl(["enable", UNIT])
        self._systemctl(["start", UNIT])

    def _write(self, path: str, text: str) -> None:
        draft = os.path.join(self._module.tmpdir, os.path.basename(path))
        with open(draft, "w", encoding="utf-8") as file:
            file.write(text)
        self._module.atomic_move(draft, path)
        os.chmod(path, UNIT_FILE_MODE)  # atomic_move keeps the mode of a file that was there

    def remove(self) -> None:
        """Disable the unit and remove the files. The table is left to the caller."""
        if self.systemd_runs and self.current_files()[self._unit_file]:
            self._systemctl(["disable", "--now", UNIT])
        for path in (self._drop_in_file, self._unit_file):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        with contextlib.suppress(OSError):  # not there, or it holds drop-ins of others
            os.rmdir(self._drop_in_directory)
        if self.systemd_runs:
            self._systemctl(["daemon-reload"])


def replaced_commands(units: t.Iterable[str], ruleset: str) -> str:
    """The lines of the drop-in that replace nftables.service's own commands; none unless these are exactly the known ones."""
    pairs = [line.partition("=")[::2] for unit in units for line in unit.splitlines()]
    if sorted((key.strip(), value.strip()) for key, value in pairs if key.strip().startswith("Exec")) != sorted(_DEBIAN.items()):
        return ""
    both = {key: text.format(file=ruleset) for key, text in _DEBIAN_AND_OURS.items()}
    return "".join(f"{key}=\n{key}=/bin/sh -c '/usr/sbin/nft \"$$0\" || exec {command}' '{both[key]}'\n" for key, command in _DEBIAN.items())


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
