# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of those who hold sockets."""

from __future__ import annotations

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._owner_names import is_owner
from ansible_collections.alfred.portmap.plugins.module_utils._owners import Owner, user_name
from ansible_collections.alfred.portmap.plugins.module_utils._socket_units import is_kept, owners, place, read

NGINX = Owner(7, "nginx", "web@1.service")


@pytest.mark.parametrize(
    ("patterns", "holders", "containers", "right"),
    [
        (["nginx"], [NGINX], [], True),
        (["web@1.service"], [NGINX], [], True),
        (["web@1"], [NGINX], [], True),
        (["web@*"], [NGINX], [], True),
        (["apache*", "ngin?"], [NGINX], [], True),
        (["apache*"], [NGINX], [], False),
        (["NGINX"], [NGINX], [], False),
        (["web"], [NGINX], [], False),
        (["[brackets]"], [Owner(7, "[brackets]", "")], [], True),
        (["*"], [NGINX], [], True),
        (["*"], [], [], False),  # nobody is seen
        (["*"], [Owner(7, "", "")], [], False),  # it ended while we looked
        (["shop_*"], [Owner(7, "docker-proxy", "docker.service")], ["shop_web_1"], True),
        (["shop_*"], [Owner(7, "docker-proxy", "docker.service")], [], False),
        (["alfred-orchestrator"], [Owner(7, "alfred-orchestr", "")], [], True),  # the kernel keeps 15 bytes
        (["alfred-orchestration"], [Owner(7, "alfred-orch", "")], [], False),
        (["sshd"], [Owner(1, "systemd", "init.scope"), Owner(9, "sshd", "ssh.service")], [], True),  # any of those who hold it
    ],
)
def test_who_is_meant(patterns: list[str], holders: list[Owner], containers: list[str], right: bool) -> None:
    assert is_owner(patterns, holders, containers) is right


def test_users_have_names() -> None:
    assert user_name(0) == "root"
    assert user_name(4294967290) == ""


# As systemd 252 prints it.
SOCKETS = """\
/run/dbus/system_bus_socket  Stream   dbus.socket                     dbus.service
/run/initctl                 FIFO     systemd-initctl.socket          systemd-initctl.service
/run/odd name.sock           Stream   odd.socket                      odd.service
/run/udev/control            SequentialPacket systemd-udevd-control.socket systemd-udevd.service
127.0.0.1:9091               Stream   odd.socket                      odd.service
@abs                         Stream   odd.socket                      odd.service
[::]:22                      Stream   ssh.socket                      ssh.service
[::]:9092                    Datagram odd.socket                      odd.service
audit 1                      Netlink  systemd-journald-audit.socket   systemd-journald.service
"""


def test_the_units_of_sockets_that_systemd_keeps() -> None:
    units = read(SOCKETS)
    assert units[place("tcp", "::", 22)] == ["ssh.socket", "ssh.service"]
    assert units[place("udp", "::", 9092)] == units[place("tcp", "127.0.0.1", 9091)] == ["odd.socket", "odd.service"]
    assert units["unix", "/run/odd name.sock"] == units["unix", "@abs"] == ["odd.socket", "odd.service"]
    assert units["unix", "/run/udev/control"] == ["systemd-udevd-control.socket", "systemd-udevd.service"]
    assert len(units) == 7
    systemd = Owner(1, "systemd", "init.scope")
    assert is_kept(systemd) and not is_kept(NGINX) and not is_kept(None)
    assert is_owner(["ssh"], owners(systemd, units["tcp", "[::]:22"]))
    assert owners(systemd, ()) == (systemd,)
