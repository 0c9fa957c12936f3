# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How sshd runs, as systemd and its own title tell it."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._sshd_config import MAIN
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_service import SshdService, _environment, _options, _program, _socket_ports


@pytest.mark.parametrize(
    ("title", "options", "main"),
    [
        ("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", [], MAIN),
        (
            "sshd: /usr/sbin/sshd -D -o PasswordAuthentication=yes -p2222 [listener] 1 of 10-100 startups",
            ["-o", "PasswordAuthentication=yes", "-p", "2222"],
            MAIN,
        ),
        ("sshd: /usr/sbin/sshd [listener] 0 of 10-100 startups", [], MAIN),
        ("sshd: /usr/sbin/sshd -De -f /etc/ssh/other -E /var/log/x [listener] 0 of 10-100 startups", [], "/etc/ssh/other"),
        ("sshd: /usr/sbin/sshd -4 -oUsePAM=no -u0 [listener] 0 of 1-2 startups", ["-o", "UsePAM=no"], MAIN),
        (
            "sshd: /usr/sbin/sshd -D -o AcceptEnv LANG TZ -o UsePAM=no [listener] 0 of 1-2 startups",
            ["-o", "AcceptEnv LANG TZ", "-o", "UsePAM=no"],
            MAIN,
        ),
        ("sshd: ansible [priv]", [], MAIN),
        ("", [], MAIN),
    ],
)
def test_the_options_that_it_runs_with(title: str, options: list[str], main: str) -> None:
    assert _options(title) == (options, main)


@pytest.mark.parametrize(
    ("listen", "ports"),
    [
        ("[::]:22 (Stream)", {22}),
        ("[::]:22 (Stream) 0.0.0.0:2222 (Stream)", {22, 2222}),
        ("22 (Stream)", {22}),
        ("/run/x.sock (Stream) 203.0.113.1:22 (Stream)", {22}),
        ("[::]:53 (Datagram)", set()),
    ],
)
def test_the_ports_of_a_socket_unit(listen: str, ports: set[int]) -> None:
    assert _socket_ports(listen) == ports


def test_the_options_that_it_will_be_started_with(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "ssh"
    path.write_text("# no\n; no\nSSHD_OPTS=\"-o UsePAM=no -o 'AcceptEnv LANG TZ'\"\nOTHER=\n")
    assert _environment(str(path)) == {"SSHD_OPTS": "-o UsePAM=no -o 'AcceptEnv LANG TZ'", "OTHER": ""}
    assert _environment(str(tmp_path / "none")) == {}


def test_the_program_that_runs() -> None:
    assert _program("sshd: /usr/local/sbin/sshd -D [listener] 0 of 10-100 startups") == "/usr/local/sbin/sshd"
    assert _program("sshd -D") == _program("") == ""


def service(mode: str, pid: int = 0) -> SshdService:
    return SshdService(mode, "ssh.service", pid, (22,), "/usr/sbin/sshd", (), (), MAIN, ("ssh.service",), frozenset())


def test_it_is_reloaded() -> None:
    assert service("service").reload == (
        "if systemctl is-active --quiet ssh.service; then systemctl reload ssh.service; else systemctl --no-block start ssh.service; fi"
    )
    # Where systemd listens SIGHUP ends sshd 10.0.
    assert service("socket").reload == (
        'if systemctl is-active --quiet ssh.service; then if [ "$(systemctl show --property KillMode --value ssh.service)" = process ]; '
        "then systemctl restart ssh.service; else systemctl reload ssh.service; fi; fi"
    )
    assert service("connections").reload == ":"
    assert service("process", 42).reload == "kill -HUP 42"
    assert service("none").reload == ":"
