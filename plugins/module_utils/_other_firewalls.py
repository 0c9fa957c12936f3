# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other firewalls that can be switched off in favour of ours: ufw and firewalld.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

It is done in two steps. While a change waits for its confirmation the other one is stopped only, so that a reboot brings it back;
what undoes the change starts it again. With the confirmation it is disabled for good.
"""

from __future__ import annotations

import os
import re
import shlex
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._nftables import ENVIRONMENT, Nft, NftError
from ansible_collections.alfred.portmap.plugins.module_utils._transaction import Attempt

SYSTEMD_RUNS = "/run/systemd/system"
START_TAKES = 20  # seconds at most that an undo waits for firewalld


class AdoptError(Exception):
    """Another firewall can't be switched off, or not so that it could be undone; the message says what that means for the host."""


class OtherFirewall:
    """One of them, as it was found. `running`: its rules are in force; `enabled`: it starts at boot."""

    name = ""

    def __init__(self, module: AnsibleModule, root: str = "/") -> None:
        self._module = module
        self._root = root
        self.running, self.enabled = self._look()

    def _look(self) -> tuple[bool, bool]:
        """(running, enabled). Raises AdoptError if it can't be told."""
        raise NotImplementedError

    @property
    def reason(self) -> t.Optional[str]:
        """Why something has to be done, for people; None if it is off."""
        if not self.running and not self.enabled:
            return None
        states = [text for state, text in ((self.running, "in force"), (self.enabled, "enabled")) if state]
        return f"{self.name} is {' and '.join(states)}, and is to be switched off (adopt)"

    def refuse(self) -> None:
        """Raise AdoptError if it can't be stopped so that starting it brings back what there was."""

    def stop(self) -> None:
        """Take its rules out of force, until the next boot."""
        raise NotImplementedError

    @property
    def start_command(self) -> str:
        """For sh(1): bring its rules back, and fail if they are not there then."""
        raise NotImplementedError

    @property
    def undo(self) -> Attempt:
        """What an undo does first."""
        return Attempt(self.start_command, f"{self.name} was started again", f"{self.name} COULD NOT BE STARTED AGAIN")

    def start(self) -> t.Optional[str]:
        """Bring its rules back; if that fails, what the matter is."""
        try:
            self._run(["/bin/sh", "-c", self.start_command], "could not be started again")
        except AdoptError as error:
            return str(error)
        return None

    def disable(self) -> None:
        """Have it off, now and after every boot."""
        raise NotImplementedError

    def _run(self, command: list[str], failure: str) -> None:
        rc, out, err = self._module.run_command(command, environ_update=ENVIRONMENT)
        if rc != 0:
            raise AdoptError(f"adopt: {self.name} {failure}: {(err or out).strip() or f'exit status {rc}'}")

    def _path(self, path: str) -> str:
        return os.path.join(self._root, path.lstrip("/"))

    def _setting(self, path: str, name: str) -> str:
        """The last value of a shell variable in a file, in lower case."""
        try:
            with open(self._path(path), encoding="utf-8", errors="replace") as file:
                values = re.findall(rf"^\s*{name}=[\"']?(\w*)", file.read(), flags=re.MULTILINE)
        except FileNotFoundError:
            return ""
        return str(values[-1]).lower() if values else ""


class Ufw(OtherFirewall):
    """ufw has no process: its script loads rules into iptables, where /etc/ufw/ufw.conf says ENABLED=yes."""

    name = "ufw"
    SCRIPTS = ("/lib/ufw/ufw-init", "/usr/lib/ufw/ufw-init", "/usr/libexec/ufw/ufw-init")  # Debian, Arch, Fedora

    def _look(self) -> tuple[bool, bool]:
        found = [self._path(path) for path in self.SCRIPTS if os.access(self._path(path), os.X_OK)]
        if not found:
            return False, False
        self._script = found[0]
        rc, _out, _err = self._module.run_command([self._script, "status"], environ_update=ENVIRONMENT)
        return rc != 3, self._setting("/etc/ufw/ufw.conf", "ENABLED") == "yes"  # 3: "Firewall is not running"

    def refuse(self) -> None:
        if self.running and not self.enabled:
            raise AdoptError(
                "adopt: the rules of ufw are in force, but /etc/ufw/ufw.conf does not say ENABLED=yes, so that nothing could bring them back; "
                "run 'ufw enable' or 'ufw disable' first. Nothing was changed"
            )
        if self._setting("/etc/default/ufw", "MANAGE_BUILTINS") == "yes":
            raise AdoptError(
                "adopt: /etc/default/ufw says MANAGE_BUILTINS=yes: stopping ufw would take away all rules of iptables, those of others too, "
                "and nothing could bring them back; set it to no first. Nothing was changed"
            )

    def stop(self) -> None:
        self._run([self._script, "stop"], "could not be stopped")

    @property
    def start_command(self) -> str:
        # It takes rules that are half gone for rules that are there: so what may be left goes first.
        script = shlex.quote(self._script)
        return f"{script} stop; {script} start && {script} status"

    def disable(self) -> None:
        path = self._module.get_bin_path("ufw")
        if path is None:
            raise AdoptError("adopt: ufw could not be disabled: there is no program ufw on this host")
        self._run([path, "disable"], "could not be disabled")


class Firewalld(OtherFirewall):
    """firewalld is a service of systemd, which keeps its rules in tables of its own."""

    name = "firewalld"
    UNIT = "firewalld.service"
    TABLES = ("firewalld", "firewalld_policy_drop")

    def _look(self) -> tuple[bool, bool]:
        systemctl = self._module.get_bin_path("systemctl")
        if systemctl is None or not os.path.isdir(self._path(SYSTEMD_RUNS)):
            if self._module.get_bin_path("firewalld") is None:
                return False, False
            raise AdoptError("adopt: systemd does not run this host, so firewalld can't be looked at or stopped. Nothing was changed")
        self._systemctl: str = systemctl
        rc, out, err = self._module.run_command([systemctl, "show", "--property=ActiveState,UnitFileState", self.UNIT], environ_update=ENVIRONMENT)
        if rc != 0:
            raise AdoptError(f"adopt: systemd does not say whether firewalld runs: {err.strip()}. Nothing was changed")
        values = dict(line.partition("=")[::2] for line in out.splitlines())
        return values.get("ActiveState") not in ("inactive", "failed"), values.get("UnitFileState", "").startswith("enabled")

    def refuse(self) -> None:
        if self.running and self._setting("/etc/firewalld/firewalld.conf", "FirewallBackend") == "iptables":
            raise AdoptError(
                "adopt: firewalld has its rules in iptables (FirewallBackend=iptables), where they can't be told from those of others; "
                "set it to nftables first. Nothing was changed"
            )

    def stop(self) -> None:
        """By force: when firewalld ends, and when it starts, it takes away all rules of iptables, Docker's and everybody's."""
        self._run([self._systemctl, "kill", "--signal=SIGKILL", self.UNIT], "could not be killed")
        # Else a unit with Restart= would come back. And Debian's fail2ban.service is PartOf= this one: it must not be stopped, too.
        self._run([self._systemctl, "stop", "--job-mode=ignore-dependencies", self.UNIT], "could not be stopped")
        self._module.run_command([self._systemctl, "reset-failed", self.UNIT], environ_update=ENVIRONMENT)
        try:
            nft = Nft(self._module)
            for family, name in sorted(nft.tables()):
                if name in self.TABLES:
                    self._run([nft.path, "delete", "table", family, name], f"left the table {family} {name}, which could not be deleted")
        except NftError as error:
            raise AdoptError(f"adopt: firewalld was stopped, but its tables could not be deleted: {error}") from None
        if self._look()[0]:
            raise AdoptError("adopt: firewalld does not stop")

    @property
    def start_command(self) -> str:
        # systemd takes it for started before its rules are there.
        wait = shlex.quote("until firewall-cmd --state >/dev/null 2>&1; do sleep 0.1; done")
        return (
            'four="$(iptables-save 2>/dev/null)"; six="$(ip6tables-save 2>/dev/null)"; '
            f"timeout {START_TAKES} {shlex.quote(self._systemctl)} start {self.UNIT} && timeout {START_TAKES} sh -c {wait}; "
            """[ -z "$four" ] || printf '%s\\n' "$four" | iptables-restore; [ -z "$six" ] || printf '%s\\n' "$six" | ip6tables-restore; """
            f"timeout {START_TAKES} firewall-cmd --state >/dev/null"
        )

    def disable(self) -> None:
        self._run([self._systemctl, "disable", self.UNIT], "could not be disabled")
        if self._look()[0]:  # somebody started it meanwhile
            self.stop()


KNOWN: dict[str, type[OtherFirewall]] = {firewall.name: firewall for firewall in (Ufw, Firewalld)}


def to_adopt(module: AnsibleModule, names: t.Iterable[str]) -> list[OtherFirewall]:
    """Those of these names that are not off yet. Raises AdoptError."""
    found = [KNOWN[name](module) for name in dict.fromkeys(names)]
    return [firewall for firewall in found if firewall.reason is not None]
