# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody breaks by hand is found, told in one table, and fails the run. Forty faults: test_faults.py."""

from __future__ import annotations

import json
import re
import subprocess
import typing as t

import lab
from conftest import ROOT

STRAY = "import socket, time; s = socket.create_server(('::', 4444), family=socket.AF_INET6); time.sleep(600)"


def verify(*argv: str) -> tuple[int, str]:
    """(exit status, output) of the playbook verify."""
    command = ["ansible-playbook", "playbooks/verify.yml", "-i", "inventories/lab", *argv]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def told(output: str) -> list[list[str]]:
    """The table's rows: host, check, finding, why."""
    rows = {line.strip() for line in output.splitlines() if re.match(r"\s+\S+\s+(host|listens|firewall|ssh|reaches|health|route)  ", line)}
    return sorted(re.split(r"\s{2,}", row, maxsplit=3) for row in rows)


def test_what_was_broken_by_hand_is_found_and_nothing_else() -> None:
    try:
        lab.run("core1", "systemctl", "stop", "lab-service@slack-adapter")
        lab.run("core1", "systemd-run", "--collect", "--unit=stray", "python3", "-c", STRAY)
        lab.run("ui1", "nft", "insert", "rule", "inet", "portmap", "input", "tcp", "dport", "8501", "accept")
        lab.run("data1", "nft", "delete", "table", "inet", "portmap")
        status, output = verify()
    finally:
        lab.run("core1", "systemctl", "start", "lab-service@slack-adapter")
        lab.run("core1", "systemctl", "stop", "stray", check=False)
        for host in ("ui1", "data1"):
            lab.run(host, "systemctl", "reload", "portmap-firewall")
    assert status != 0
    stray, missing, flushed, changed = told(output)  # each fault once: what others see of it is no finding of its own
    assert missing[:2] == ["core1", "listens"] and "slack-adapter: nothing listens on 8083/tcp" in missing[2], output
    assert stray[:2] == ["core1", "listens"] and "4444" in stray[2], output
    assert flushed[:2] == ["data1", "firewall"] and "missing" in flushed[2], output
    assert changed[:2] == ["ui1", "firewall"] and "changed by hand (+tcp dport 8501 accept" in changed[2], output
    for follows in (
        r"→ core1: slack-adapter 8083/tcp is refused: nobody listens there \(asked from itself, ui1, data1, monitor1\)",
        r"→ ui1: ui-chat 8501/tcp is open \(asked from .*outsider",
        r"→ data1: db-postgres 5432/tcp is open \(asked from .*outsider",
    ):
        assert re.search(follows, output), f"{follows}: {output}"


def test_a_policy_that_was_not_applied_yet_is_found(tmp_path: t.Any) -> None:
    """The map changed, and nobody ran it: what is in force is not what the plan says."""
    text = (ROOT / "inventories" / "port_map.yml").read_text(encoding="utf-8")
    changed = tmp_path / "port_map.yml"
    changed.write_text(text.replace("{name: ntp, port: 123,", "{name: ntp, port: 124,"), encoding="utf-8")
    status, output = verify("-e", json.dumps({"port_map_file": str(changed)}), "--limit", "core1")
    assert status != 0
    assert any(row[:2] == ["core1", "firewall"] and "another than the one in force" in row[2] for row in told(output)), output
