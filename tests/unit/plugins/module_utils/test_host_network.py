# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocols without ports and container interfaces, from trees like the kernel's."""

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._host_network import physical_container_interfaces, protocols_without_ports

RAW_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"


def host(root: pathlib.Path, raw: str = "", raw6: str = "", **interfaces: dict[str, str]) -> tuple[str, str]:
    """A tree with /proc/self/net and /sys/class/net."""
    proc, sys = root / "proc", root / "sys"
    proc.mkdir()
    sys.mkdir()
    (proc / "raw").write_text(RAW_HEAD + raw)
    (proc / "raw6").write_text(RAW_HEAD + raw6)
    for name, attributes in interfaces.items():
        (sys / name).mkdir()
        for attribute, value in attributes.items():
            if attribute == "lower":
                for lower in value.split():
                    os.symlink(f"../{lower}", sys / name / (f"lower_{lower}"))
            elif attribute == "device":
                (sys / name / "device").mkdir()
            else:
                (sys / name / attribute).write_text(value + "\n")
    return str(proc), str(sys)


def raw_line(protocol: int, family: int = 4) -> str:
    address = "00000000" if family == 4 else "0" * 32
    return f"  112: {address}:{protocol:04X} {address}:0000 07 00000000:00000000 00:00000000 00000000     0        0 41234 2 00000000 0\n"


@pytest.mark.parametrize("protocol", [1, 6, 17, 58, 255])
def test_raw_sockets_of_programs_that_only_ping_or_look_are_fine(tmp_path: pathlib.Path, protocol: int) -> None:
    assert protocols_without_ports(*host(tmp_path, raw=raw_line(protocol), raw6=raw_line(protocol, 6))) == []


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        (112, "protocol 112, VRRP (a raw socket)"),
        (50, "protocol 50, ESP (a raw socket)"),
        (47, "protocol 47, GRE (a raw socket)"),
        (253, "protocol 253 (a raw socket)"),
    ],
)
def test_protocols_without_ports(tmp_path: pathlib.Path, protocol: int, text: str) -> None:
    assert protocols_without_ports(*host(tmp_path, raw=raw_line(1) + raw_line(protocol), raw6=raw_line(protocol, 6))) == [text]


def test_tunnels_count_when_they_are_up(tmp_path: pathlib.Path) -> None:
    found = protocols_without_ports(
        *host(tmp_path, gre0={"type": "778", "flags": "0x80"}, gre1={"type": "778", "flags": "0x91"}, eth0={"type": "1", "flags": "0x1003"})
    )
    assert found == ["GRE (the tunnel gre1)"]


def test_a_kernel_without_ipv6(tmp_path: pathlib.Path) -> None:
    proc, sys = host(tmp_path, raw=raw_line(112))
    os.unlink(os.path.join(proc, "raw6"))
    assert protocols_without_ports(proc, sys) == ["protocol 112, VRRP (a raw socket)"]


def test_container_interfaces(tmp_path: pathlib.Path) -> None:
    _proc, sys = host(
        tmp_path,
        eth0={"device": ""},
        docker0={"lower": "veth1"},
        veth1={},
        **{
            "br-lan": {"lower": "bond0.5 veth2"},
            "veth2": {},
            "bond0.5": {"lower": "bond0"},
            "bond0": {"lower": "eth0"},
            "br-ok": {},
            "br-ring": {"lower": "br-ring"},
        },
    )
    assert physical_container_interfaces(["docker0", "br-ok", "br-ring", "absent*"], sys) == []
    assert physical_container_interfaces(["docker0", "br-*"], sys) == ["br-lan (by br-*) holds the network card eth0"]
    assert physical_container_interfaces(["eth*"], sys) == ["eth0 (by eth*) is a network card"]
