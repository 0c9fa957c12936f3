# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other firewalls that may be switched off, by scripts that stand for their programs. The real ones: tests/lab/test_others.py."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._other_firewalls import AdoptError, Firewalld, OtherFirewall, Ufw
from ansible_collections.alfred.portmap.plugins.module_utils._transaction import Attempt, undo_script


class Module:
    """As much of AnsibleModule as is needed: programs are those of one folder."""

    def __init__(self, root: pathlib.Path) -> None:
        self.bin = root / "bin"
        self.bin.mkdir(exist_ok=True)

    def program(self, path: pathlib.Path, script: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        path.chmod(0o755)

    def get_bin_path(self, name: str) -> str | None:
        path = self.bin / name
        return str(path) if path.exists() else None

    def run_command(self, command: list[str], environ_update: dict[str, str]) -> tuple[int, str, str]:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ_update)
        return done.returncode, done.stdout, done.stderr


def ufw(root: pathlib.Path, status: int, enabled: str, builtins: str = "no") -> Ufw:
    """A ufw whose script says this status, and writes down what it is told."""
    module = Module(root)
    module.program(root / "lib/ufw/ufw-init", f'echo "$1" >>{root}/told; [ "$1" != status ] || exit {status}')
    for path, text in (("etc/ufw/ufw.conf", f"# ENABLED=no\nENABLED={enabled}\n"), ("etc/default/ufw", f'MANAGE_BUILTINS="{builtins}"\n')):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="ascii")
    return Ufw(t.cast("t.Any", module), str(root))


def firewalld(root: pathlib.Path, active: str, enabled: str, backend: str = "nftables") -> Firewalld:
    """A firewalld of which systemctl says this."""
    module = Module(root)
    module.program(module.bin / "systemctl", f"echo ActiveState={active}; echo UnitFileState={enabled}")
    (root / "run/systemd/system").mkdir(parents=True, exist_ok=True)
    (root / "etc/firewalld").mkdir(parents=True, exist_ok=True)
    (root / "etc/firewalld/firewalld.conf").write_text(f"# FirewallBackend=iptables\nFirewallBackend={backend}\n", encoding="ascii")
    return Firewalld(t.cast("t.Any", module), str(root))


def states(firewall: OtherFirewall) -> tuple[bool, bool]:
    return firewall.running, firewall.enabled


@pytest.mark.parametrize(
    ("status", "enabled", "found"),
    [
        (0, "yes", (True, True)),
        (3, "YES", (False, True)),
        (4, '"yes"', (True, True)),
        (0, "no", (True, False)),
        (3, "no", (False, False)),
        (3, "", (False, False)),
    ],
)
def test_ufw_is_found(tmp_path: pathlib.Path, status: int, enabled: str, found: tuple[bool, bool]) -> None:
    assert states(ufw(tmp_path, status, enabled)) == found


@pytest.mark.parametrize(
    ("active", "enabled", "found"),
    [
        ("active", "enabled", (True, True)),
        ("activating", "disabled", (True, False)),
        ("failed", "enabled-runtime", (False, True)),
        ("inactive", "masked", (False, False)),
        ("inactive", "", (False, False)),
    ],
)
def test_firewalld_is_found(tmp_path: pathlib.Path, active: str, enabled: str, found: tuple[bool, bool]) -> None:
    assert states(firewalld(tmp_path, active, enabled)) == found


def test_what_is_not_installed_is_off(tmp_path: pathlib.Path) -> None:
    module = t.cast("t.Any", Module(tmp_path))
    for firewall in (Ufw(module, str(tmp_path)), Firewalld(module, str(tmp_path))):
        assert states(firewall) == (False, False)
        assert firewall.reason is None
        firewall.refuse()


def test_firewalld_without_systemd_is_not_taken_for_off(tmp_path: pathlib.Path) -> None:
    module = Module(tmp_path)
    module.program(module.bin / "firewalld", "")
    with pytest.raises(AdoptError, match="systemd does not run this host"):
        Firewalld(t.cast("t.Any", module), str(tmp_path))


def test_reasons(tmp_path: pathlib.Path) -> None:
    assert ufw(tmp_path, 0, "yes").reason == "ufw is in force and enabled, and is to be switched off (adopt)"
    assert ufw(tmp_path, 3, "yes").reason == "ufw is enabled, and is to be switched off (adopt)"
    assert ufw(tmp_path, 3, "no").reason is None


def test_what_could_not_be_undone_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(AdoptError, match="does not say ENABLED=yes"):
        ufw(tmp_path, 0, "no").refuse()
    with pytest.raises(AdoptError, match="MANAGE_BUILTINS=yes"):
        ufw(tmp_path, 0, "yes", builtins="yes").refuse()
    with pytest.raises(AdoptError, match="FirewallBackend=iptables"):
        firewalld(tmp_path, "active", "enabled", backend="iptables").refuse()
    ufw(tmp_path, 0, "yes").refuse()
    firewalld(tmp_path, "active", "enabled").refuse()
    firewalld(tmp_path, "inactive", "enabled", backend="iptables").refuse()


def test_ufw_is_stopped_and_started_by_its_script(tmp_path: pathlib.Path) -> None:
    firewall = ufw(tmp_path, 0, "yes")
    (tmp_path / "told").unlink()
    firewall.stop()
    assert firewall.start() is None
    assert (tmp_path / "told").read_text(encoding="ascii").split() == ["stop", "stop", "start", "status"]
    (tmp_path / "lib/ufw/ufw-init").write_text("#!/bin/sh\necho broken >&2; exit 1\n", encoding="ascii")
    with pytest.raises(AdoptError, match="^adopt: ufw could not be stopped: broken$"):
        firewall.stop()
    assert str(firewall.start()).startswith("adopt: ufw could not be started again: broken")


def test_the_undo_of_both_is_a_script(tmp_path: pathlib.Path) -> None:
    first = [ufw(tmp_path, 0, "yes").undo, firewalld(tmp_path, "active", "enabled").undo]
    script = undo_script(str(tmp_path), "pending", "rejected", "token", [Attempt("true", "back")], first)
    subprocess.run(["sh", "-n", "-c", script], check=True)


def test_what_an_undo_does_first_is_done_whatever_comes_of_it(tmp_path: pathlib.Path) -> None:
    """In order, before any way back is tried, and once; what it was good for is told after that."""
    (tmp_path / "pending").write_text("")
    first = [Attempt("echo 1 >>log; false", "one", "one FAILED"), Attempt("echo 2 >>log", "two's done", "two FAILED")]
    ways = [Attempt("echo 3 >>log; false", "no"), Attempt("echo 4 >>log", "back")]
    subprocess.run(["sh", "-c", undo_script(str(tmp_path), "pending", "rejected", "t", ways, first)], check=True)
    assert (tmp_path / "log").read_text().split() == ["1", "2", "3", "4"]
    assert '"result": "back; one FAILED; two\'s done"' in (tmp_path / "rolled_back.json").read_text()
