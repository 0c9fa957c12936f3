# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module firewall, through Ansible's own argument parsing. What it does is tested in tests/kernel."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.alfred.portmap.plugins.modules import firewall

RULE = {"name": "ssh", "ports": ["22"], "networks": ["a"]}


def failure(capfd: pytest.CaptureFixture[str], **options: t.Any) -> str:
    """The message with which the module refuses its options."""
    with patch_module_args(options), pytest.raises(SystemExit):
        firewall.main()
    answer = json.loads(capfd.readouterr().out)
    assert answer["failed"] is True
    return str(answer["msg"])


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({}, ["state is present", "policy"]),
        ({"state": "gone"}, ["state", "gone"]),
        ({"policy": "all"}, ["dictionary requested"]),
        ({"policy": {"egres": []}}, ["policy.egres"]),
        ({"policy": {"ingress": [{**RULE, "prot": "tcp"}]}}, ["policy.ingress.prot"]),
        ({"policy": {"egress": [{**RULE, "containers": True}]}}, ["policy.egress.containers"]),
        ({"policy": {"egress": [{**RULE, "until": "2026-11-26T18:00:00Z"}]}}, ["policy.egress.until"]),
        ({"policy": {"ingress": [{"name": "ssh", "networks": ["a"]}]}}, ["ports", "policy -> ingress"]),
        ({"policy": {"ingress": [{**RULE, "transport": "icmp"}]}}, ["transport", "icmp", "policy -> ingress"]),
        ({"policy": {"egress_default": "reject"}}, ["egress_default", "reject"]),
        ({"policy": {}, "log": {"speed": 1}}, ["log.speed"]),
        ({"policy": {}, "log": {"rate": "fast"}}, ["rate", "fast"]),
        ({"policy": {}, "log": {"rate": 0}}, ["log.rate: 0 must be at least 1"]),
        ({"policy": {}, "log": {"burst": -1}}, ["log.burst: -1 must be at least 1"]),
        ({"policy": {}, "boot": "maybe"}, ["boot", "maybe"]),
        ({"policy": {}, "state_dir": "var/lib"}, ["state_dir: var/lib", "absolute path"]),
        ({"policy": {}, "state_dir": "/var/li b"}, ["state_dir: /var/li b"]),
        ({"policy": {}, "state_dir": "/var/%i"}, ["state_dir: /var/%i"]),
        ({"policy": {}, "table": "port map"}, ["table: port map"]),
        ({"policy": {}, "table": "x; flush ruleset"}, ["table: x; flush ruleset"]),
        ({"policy": {}, "table": ""}, ["table: "]),
    ],
)
def test_wrong_options(capfd: pytest.CaptureFixture[str], options: dict[str, t.Any], texts: list[str]) -> None:
    message = failure(capfd, **options)
    assert all(text in message for text in texts), message
