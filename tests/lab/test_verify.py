# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody breaks by hand is found, told in one table, and fails the run; a healthy lab has no findings."""

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
    rows = {line.strip() for line in output.splitlines() if re.match(r"\s+\S+\s+(listens|firewall|reaches)  ", line)}
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
    found = told(output)
    assert any(row[:2] == ["core1", "listens"] and "slack-adapter" in row[2] for row in found), output
    assert any(row[:2] == ["core1", "listens"] and "4444" in row[2] for row in found), output
    assert any(row[:2] == ["ui1", "firewall"] and "changed by hand (+tcp dport 8501 accept" in row[2] for row in found), output
    assert any(row[:2] == ["data1", "firewall"] and "missing" in row[2] for row in found), output
    assert any(row[:2] == ["outsider", "reaches"] and "8501/tcp is open, expected blocked" in row[2] for row in found), output
    assert any(row[:2] == ["outsider", "reaches"] and "5432/tcp is open, expected blocked" in row[2] for row in found), output
    for host, check, text, *_why in found:
        assert host in ("core1", "ui1", "data1") or check == "reaches", text
        if check == "reaches" and host != "data1":  # which gets out everywhere, too
            assert "slack-adapter" in text or text.startswith(("ui1 ui-chat", "data1 ")), text

    status, output = verify()
    assert status == 0, output
    assert "No findings" in output


def test_a_policy_that_was_not_applied_yet_is_found(tmp_path: t.Any) -> None:
    """The map changed, and nobody ran it: what is in force is not what the plan says."""
    text = (ROOT / "inventories" / "port_map.yml").read_text(encoding="utf-8")
    changed = tmp_path / "port_map.yml"
    changed.write_text(text.replace("{name: ntp, port: 123,", "{name: ntp, port: 124,"), encoding="utf-8")
    status, output = verify("-e", json.dumps({"port_map_file": str(changed)}), "--limit", "core1")
    assert status != 0
    assert any(row[:2] == ["core1", "firewall"] and "another than the one in force" in row[2] for row in told(output)), output
