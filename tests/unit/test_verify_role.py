# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role verify hands on of other roles' variables: each host's own, wherever people wrote them."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

VARIABLES = pathlib.Path(__file__).parents[2] / "roles/verify/vars/main.yml"
WINDOW = {"network": "192.0.2.7", "until": "2100-01-01T00:00:00Z"}
PLAN = {"hosts": {"bastion1": {"ingress": None, "ssh": {}}, "edge1": {"ingress": {"proxy": "nginx"}, "ssh": {"ports": ["22"]}}}}


@pytest.mark.parametrize(
    ("group", "play", "maintenance", "temporary"),
    [
        ({}, {}, [], None),
        ({"ingress_maintenance": ["api"], "ssh_bastion_temporary": WINDOW}, {}, ["api"], WINDOW),  # the play's first host is not of that group
        ({}, {"ingress_maintenance": ["api"], "ssh_bastion_temporary": WINDOW}, ["api"], WINDOW),  # hostvars have nothing of a play
    ],
)
def test_each_host_has_its_own_variables(group: dict[str, t.Any], play: dict[str, t.Any], maintenance: list[str], temporary: t.Any) -> None:
    hostvars = {"bastion1": {}, "edge1": group}
    known = {
        "port_map_plan": PLAN,
        "hostvars": hostvars,
        "inventory_hostname": "bastion1",
        **play,
        **DataLoader().load_from_file(str(VARIABLES), trusted_as_template=True),
    }
    templar = Templar(DataLoader(), variables=known)
    assert templar.template(known["__verify_maintenance"]) == {"edge1": maintenance}
    assert templar.template(known["__verify_temporary"]) == {"edge1": temporary}
