# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of the boot unit. What it does is tested on a real systemd, in tests/lab/test_boot.py."""

from __future__ import annotations

import pathlib

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.alfred.portmap.plugins.module_utils._boot_unit import BootUnit, replaced_commands


def unit(directory: pathlib.Path) -> BootUnit:
    """A unit in a directory, on a host without systemd."""
    with patch_module_args({}):
        return BootUnit(AnsibleModule(argument_spec={}), str(directory), str(directory / "not-running"))


def test_files(tmp_path: pathlib.Path) -> None:
    files = unit(tmp_path).files("portmap", "/usr/sbin/nft", "/var/lib/portmap/firewall/confirmed.nft")
    assert sorted(files) == [str(tmp_path / "nftables.service.d" / "portmap.conf"), str(tmp_path / "portmap-firewall.service")]
    service = files[str(tmp_path / "portmap-firewall.service")].splitlines()
    for line in (
        "ExecStart=/usr/sbin/nft -f /var/lib/portmap/firewall/confirmed.nft",
        "Before=network-pre.target sysinit.target shutdown.target",
        "After=nftables.service",
        "RemainAfterExit=yes",
        "RequiresMountsFor=/var/lib/portmap/firewall/confirmed.nft",
    ):
        assert line in service
    assert not any(line.startswith("ExecStop") for line in service), "stopping the unit must not open the host"


def test_without_systemd(tmp_path: pathlib.Path) -> None:
    boot = unit(tmp_path)
    assert not boot.systemd_runs
    assert boot.status() == (False, False)
    assert set(boot.current_files().values()) == {""}
    boot.remove()
    assert list(tmp_path.iterdir()) == []


def test_left_over_files_are_removed_without_systemd_too(tmp_path: pathlib.Path) -> None:
    (tmp_path / "nftables.service.d").mkdir()
    (tmp_path / "nftables.service.d" / "portmap.conf").write_text("x")
    (tmp_path / "portmap-firewall.service").write_text("y")
    boot = unit(tmp_path)
    assert sorted(boot.current_files().values()) == ["x", "y"]
    boot.remove()
    assert list(tmp_path.iterdir()) == []


DEBIAN = """[Service]
Type=oneshot
ExecStart=/usr/sbin/nft -f /etc/nftables.conf
ExecReload=/usr/sbin/nft -f /etc/nftables.conf
ExecStop=/usr/sbin/nft flush ruleset
"""


def test_debians_service_flushes_and_loads_ours_at_once() -> None:
    assert replaced_commands(["[Unit]\nAfter=other.service\n", DEBIAN], "/state/confirmed.nft").splitlines() == [
        "ExecStart=",
        """ExecStart=/bin/sh -c '/usr/sbin/nft "$$0" || exec /usr/sbin/nft -f /etc/nftables.conf' """
        """'include "/etc/nftables.conf";; include "/state/confirmed.nft"'""",
        "ExecReload=",
        """ExecReload=/bin/sh -c '/usr/sbin/nft "$$0" || exec /usr/sbin/nft -f /etc/nftables.conf' """
        """'include "/etc/nftables.conf";; include "/state/confirmed.nft"'""",
        "ExecStop=",
        """ExecStop=/bin/sh -c '/usr/sbin/nft "$$0" || exec /usr/sbin/nft flush ruleset' 'flush ruleset; include "/state/confirmed.nft"'""",
    ]


@pytest.mark.parametrize(
    "units",
    [
        [],
        [""],
        [DEBIAN.replace("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")],
        [DEBIAN.replace("ExecStop=/usr/sbin/nft flush ruleset\n", "")],
        [DEBIAN + "ExecStartPre=/bin/true\n"],
        [DEBIAN, "[Service]\nExecStart=\n"],
        [DEBIAN, "[Service]\nExecStartPost = /usr/local/bin/more\n"],
        [DEBIAN, DEBIAN],
    ],
)
def test_a_service_that_is_not_exactly_debians_keeps_its_commands(units: list[str]) -> None:
    assert replaced_commands(units, "/state/confirmed.nft") == ""
