# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role report, run by Ansible: four files once on the controller, never a change, and no file in check mode."""

from __future__ import annotations

import json
import os
import pathlib
import re
import stat
import subprocess
import xml.etree.ElementTree as ET

import pytest
from report_examples import example, headline

ROOT = pathlib.Path(__file__).parents[2]
# As a fleet may be: hosts that are not there, a connection and a become of their own, neither of which is the controller's.
INVENTORY = "one ansible_connection=ssh ansible_host=192.0.2.1\ntwo ansible_connection=ssh ansible_host=192.0.2.2\n"
PLAY = """
- hosts: all
  gather_facts: false
  become: true
  become_user: nobody
  tasks:
    - ansible.builtin.include_role: {name: alfred.portmap.report}
      run_once: true
      vars: {report_data: "{{ lookup('file', inventory_dir + '/../seen.json') | from_json }}"}
"""


@pytest.fixture(name="place")
def _place(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/hosts.ini").write_text(INVENTORY)
    (tmp_path / "play.yml").write_text(PLAY)
    report = example("findings")
    report["matrix"]["rows"] = report["matrix"]["rows"][:4]  # a small one: what is looked at here is the role
    for key in ("listeners", "routes", "health"):
        report[key] = report[key][:4]
    report["findings"][0]["text"] = "{{ 1 + 1 }} is what it said: ü"
    (tmp_path / "seen.json").write_text(json.dumps(report))
    return tmp_path


def run(place: pathlib.Path, *arguments: str) -> str:
    command = ["ansible-playbook", "-i", "inventory", "play.yml", *arguments]
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "HOME": str(place),
        "LC_ALL": "C.UTF-8",
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_four_files_once_and_no_change(place: pathlib.Path) -> None:
    said = run(place)
    folder = place / "reports/lab"
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()} == {
        "report.html": "0o640",
        "report.json": "0o640",
        "junit.xml": "0o640",
        "portmap_verify.prom": "0o644",
    }
    assert oct(stat.S_IMODE(folder.stat().st_mode)) == "0o750"
    written = json.loads((folder / "report.json").read_text())
    assert written["findings"][0]["text"] == "{{ 1 + 1 }} is what it said: ü" and len(written["matrix"]["rows"]) == 4
    assert "{{ 1 + 1 }} is what it said: ü" in (folder / "report.html").read_text()
    assert len(ET.parse(folder / "junit.xml").findall(".//failure")) == len(written["findings"])
    assert "portmap_verify_good 0\n" in (folder / "portmap_verify.prom").read_text()
    assert said.count(headline(written)) == 1
    assert not re.search("changed=[1-9]", said) and str(folder / "report.html") in said


def test_what_was_chosen_and_nothing_in_check_mode(place: pathlib.Path) -> None:
    (place / "collector").mkdir()
    chosen = ["-e", '{"report_formats": ["prometheus"], "report_dir": "~/else/where", "report_print": false}', "-e", f"report_metrics_dir={place}/collector"]
    said = run(place, *chosen, "--check")
    assert not (place / "else").exists() and not list((place / "collector").iterdir())
    said = run(place, *chosen)
    assert [path.name for path in (place / "else/where").iterdir()] == [path.name for path in (place / "collector").iterdir()] == ["portmap_verify.prom"]
    assert headline(example("findings")) not in said
