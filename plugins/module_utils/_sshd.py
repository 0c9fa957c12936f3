# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the program sshd: does it take a configuration, and what is in force for one client (its extended test mode, sshd(8)).

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._nftables import ENVIRONMENT

PRIVILEGE_SEPARATION = "/run/sshd"  # sshd of Debian wants this directory, and where sshd is not running yet nobody has made it

# Names of before OpenSSH 8.7 and 8.5, which newer ones still take but do not print.
_NEWER_NAMES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "hostbasedacceptedkeytypes": "hostbasedacceptedalgorithms",
}


class SshdError(Exception):
    """sshd refuses a configuration; the message is its own."""


class SshdMissingError(Exception):
    """There is no sshd on this host."""


class Client(t.NamedTuple):
    """Who comes in, as `Match` sees them."""

    address: str
    user: str
    server: str  # the address that they came to
    port: int

    @property
    def specification(self) -> str:
        """For option -C. Names are not looked up (UseDNS no), so the host is the address."""
        return f"addr={self.address},user={self.user},host={self.address},laddr={self.server},lport={self.port}"


class Effective:
    """The settings in force for one client, or (of no client) before anybody came in."""

    def __init__(self, text: str) -> None:
        self._values: dict[str, list[str]] = {}
        for line in text.splitlines():
            keyword, _space, value = line.partition(" ")
            self._values.setdefault(keyword.lower(), []).append(value)

    def values(self, keyword: str) -> list[str]:
        """The values of a keyword, one per line that sshd prints; [] if it is not set, or not known."""
        name = keyword.lower()
        return self._values.get(name, self._values.get(_NEWER_NAMES.get(name, name), []))

    def value(self, keyword: str, default: str = "") -> str:
        """The only value of a keyword."""
        return " ".join(self.values(keyword)) or default

    def words(self, keyword: str) -> list[str]:
        """The values of a keyword that takes a list."""
        return " ".join(self.values(keyword)).split()

    def data(self) -> dict[str, str]:
        """All of it, by keyword."""
        return {keyword: "\n".join(values) for keyword, values in sorted(self._values.items())}


class Sshd:
    """The sshd of this host, the one that runs if that is known, with the options that it runs with (-o and the like, which files do not beat)."""

    def __init__(self, module: AnsibleModule, options: t.Sequence[str] = (), program: str = "") -> None:
        path = program if os.access(program, os.X_OK) else module.get_bin_path("sshd", opt_dirs=["/usr/sbin", "/usr/local/sbin"])
        if path is None:
            raise SshdMissingError("there is no program sshd on this host: install OpenSSH's server (package openssh-server)")
        self._module = module
        self._options = list(options)
        self.path = str(path)
        self.host_keys: list[str] = []  # what a file that names none needs, where they are in no place of sshd's own

    def version(self) -> str:
        """OpenSSH's version, as 9.2p1."""
        _rc, out, err = self._module.run_command([self.path, "-V"], environ_update=ENVIRONMENT)  # before 9.? not an option, but told all the same
        found = re.search(r"OpenSSH_([^\s,]+)", out + err)
        return found.group(1) if found else "unknown"

    def check(self, file: str) -> None:
        """Raise SshdError if sshd would not start with this main file."""
        self._run(["-t", "-f", file])

    def effective(self, file: str, client: t.Optional[Client] = None, part: bool = False) -> Effective:
        """What is in force for a client. `part`: the file is not all of a configuration, and it alone is asked. Raises SshdError."""
        arguments = ["-T", "-f", file, *(["-C", client.specification] if client else [])]
        return Effective(self._run_alone(arguments) if part else self._run(arguments))

    def _run_alone(self, arguments: list[str]) -> str:
        return self._run([*arguments, *(word for path in self.host_keys for word in ("-h", path))], ())

    def unknown(self, file: str) -> set[int]:
        """The lines of a file whose keywords this sshd does not know. Raises SshdError if there is anything else wrong with it."""
        try:
            self._run_alone(["-t", "-f", file])
        except SshdError as error:
            messages = [line for line in str(error).splitlines() if line]
            found = [re.search(r" line (\d+): Bad configuration option", line) for line in messages]
            if not any(found) or any(not one and "bad configuration options" not in line for one, line in zip(found, messages)):
                raise
            return {int(one.group(1)) for one in found if one}
        return set()

    def _run(self, arguments: list[str], options: t.Optional[t.Sequence[str]] = None) -> str:
        if self.path.startswith("/usr/sbin") and not os.path.isdir(PRIVILEGE_SEPARATION) and os.path.isdir(os.path.dirname(PRIVILEGE_SEPARATION)):
            os.mkdir(PRIVILEGE_SEPARATION, 0o755)
        rc, out, err = self._module.run_command([self.path, *(self._options if options is None else options), *arguments], environ_update=ENVIRONMENT)
        if rc != 0:
            raise SshdError((err or out).strip().replace("\r", "") or f"sshd: exit status {rc}")
        return str(out)
