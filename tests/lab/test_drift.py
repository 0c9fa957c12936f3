# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rule that somebody added by hand: seen, told, gone."""

from __future__ import annotations

import typing as t

import lab

RULE = ["nft", "insert", "rule", "inet", "portmap", "input", "tcp", "dport", "8080", "counter", "accept"]
DOOR = [(address, 8080) for address in lab.ADDRESSES["core1"]]


def changed(output: str) -> int:
    """How many tasks changed something on core1, by Ansible's own recap."""
    recap = output.split("PLAY RECAP")[1]
    (line,) = [line for line in recap.splitlines() if line.startswith("core1 ")]
    return int(line.split("changed=")[1].split()[0])


def test_drift_is_told_by_check_and_gone_after_a_run(playbook: t.Callable[..., str]) -> None:
    run = ["playbooks/firewall.yml", "--limit", "core1", "--diff"]
    assert changed(playbook(*run)) == 0
    assert set(lab.connect("outsider", DOOR).values()) == {"dropped"}

    lab.run("core1", *RULE)
    assert set(lab.connect("outsider", DOOR).values()) == {"open"}, "the rule opens nothing: this test would show nothing"

    told = playbook(*run, "--check")
    assert changed(told) == 1
    assert [line for line in told.splitlines() if line.startswith("-") and "tcp dport 8080" in line], told
    assert set(lab.connect("outsider", DOOR).values()) == {"open"}, "check mode changed something"

    repaired = playbook(*run)
    assert changed(repaired) == 1
    assert set(lab.connect("outsider", DOOR).values()) == {"dropped"}
    assert "8080 counter" not in lab.run("core1", "nft", "list", "table", "inet", "portmap").stdout

    assert changed(playbook(*run, "--check")) == 0
