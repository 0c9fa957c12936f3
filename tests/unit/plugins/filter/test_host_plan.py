# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter host_plan: what it does with time, and with mistakes. What it cuts out is tested with the plan."""

from __future__ import annotations

import json
import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.filter.host_plan import host_plan

FIREWALL = {"ingress": [], "egress_default": "drop", "egress": [], "ping": [], "container_interfaces": []}
SSH = {"ports": ["22"], "networks": ["bastion"], "jumps_to": []}
PLAN: dict[str, t.Any] = {
    "networks": {"bastion": ["203.0.113.10"]},
    "hosts": {"core1": {"addresses": [], "firewall": FIREWALL, "ingress": None, "listeners": [], "ssh": SSH}},
}
NOW = datetime.now(timezone.utc).replace(microsecond=0)


def temporary(until: t.Any) -> dict[str, t.Any]:
    return {"network": "192.0.2.7", "until": until}


def test_until_its_time_somebody_is_let_in(capfd: pytest.CaptureFixture[str]) -> None:
    until = NOW + timedelta(minutes=5)
    for written in (until, until.isoformat()):
        found = host_plan(PLAN, "core1", temporary=temporary(written))
        assert found["ssh"]["temporary"] == {"networks": ["192.0.2.7"], "until": until.strftime("%Y-%m-%dT%H:%M:%SZ")}
        assert [rule["name"] for rule in found["firewall"]["ingress"]] == ["ssh temporary"]
        assert json.loads(json.dumps(found)) == found
    assert capfd.readouterr().err == ""


def test_after_its_time_it_is_not_there_and_that_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    without = host_plan(PLAN, "core1")
    for _host in range(3):
        assert host_plan(PLAN, "core1", temporary=temporary(NOW)) == without
    said = " ".join(capfd.readouterr().err.split())
    assert said.count("WARNING") == 1
    assert f"ssh_bastion_temporary ended at {NOW:%Y-%m-%dT%H:%M:%SZ}" in said


def test_mistakes_are_told_with_the_variables_name() -> None:
    with pytest.raises(AnsibleFilterError, match=r"ssh_bastion_temporary\.until = 'tonight': must be a time"):
        host_plan(PLAN, "core1", temporary=temporary("tonight"))
    with pytest.raises(AnsibleFilterError, match="host nobody has no plan"):
        host_plan(PLAN, "nobody", temporary=temporary(NOW + timedelta(minutes=5)))
