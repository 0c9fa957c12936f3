# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`--check --diff` on a host that has nothing of ours yet: says what the run will do, does none of it."""

from __future__ import annotations

import typing as t

import lab

DOOR = [(address, 8080) for address in lab.ADDRESSES["core1"]]


def of_core1(output: str) -> tuple[str, list[str]]:
    """Ansible's recap of core1, and the lines that a diff adds."""
    (recap,) = [line for line in output.split("PLAY RECAP")[1].splitlines() if line.startswith("core1 ")]
    return " ".join(recap.split()), [line for line in output.splitlines() if line.startswith(("+", "-"))]


def test_a_virgin_host_is_told_the_truth(playbook: t.Callable[..., str]) -> None:
    playbook("playbooks/firewall.yml", "--limit", "core1", "-e", "firewall_state=absent")
    assert set(lab.connect("outsider", DOOR).values()) == {"open"}, "the host is not open: this test would show nothing"
    try:
        options = ["--limit", "core1,outsider", "--diff"]
        checked = playbook("site.yml", *options, "--check")
        assert set(lab.connect("outsider", DOOR).values()) == {"open"}, "check mode changed something"
        assert "is open (asked from outsider" in checked, "what the run will mend is not said"
    finally:
        ran = playbook("site.yml", *options)
    assert set(lab.connect("outsider", DOOR).values()) == {"dropped"}
    (before, told), (after, done) = of_core1(checked), of_core1(ran)
    assert told == done and len(told) > 50, "check mode shows another diff than the run"
    assert "changed=1" in before and "changed=1" in after
    assert "No findings" in ran
