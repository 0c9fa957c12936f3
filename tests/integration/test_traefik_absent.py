# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles ingress and traefik leave alone what somebody else set up under the same names. The units' directory is the test's own here."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: alfred.portmap.ingress, tasks_from: absent}
"""
SET_UP = """
- hosts: localhost
  gather_facts: false
  roles:
    - role: alfred.portmap.traefik
      traefik_ingress: {container: false}
"""
UNIT, DROP_IN = "etc/systemd/system/traefik.service", "etc/systemd/system/nginx.service.d/portmap.conf"
FOREIGN = "[Unit]\nDescription=Traefik, set up by hand before alfred.portmap, role traefik, was thought of\n"


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_traefik_absent.py needs root: it makes a mount namespace", returncode=2)


def run(folder: pathlib.Path, files: dict[str, str], play: str = PLAY, *options: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run the play where /etc/systemd/system has these files alone; with those that are left."""
    units = folder / "system"
    for path, text in files.items():
        place = units / pathlib.Path(path).relative_to("etc/systemd/system")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    (folder / "play.yml").write_text(play, encoding="utf-8")
    playbook = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(folder / "play.yml")]
    # No systemd is reached over /run: nothing of the machine is ever stopped.
    inside = f'mkdir -p /etc/systemd/system && mount --bind {units} /etc/systemd/system && mount -t tmpfs none /run && exec "$@"'
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_") and key != "PYTHONPATH"}
    command = ["unshare", "--mount", "sh", "-c", inside, "sh", *playbook, "-e", f"ansible_python_interpreter={sys.executable}", *options]
    done = subprocess.run(command, cwd=ROOT, env={**kept, "LC_ALL": "C.UTF-8"}, capture_output=True, text=True, timeout=120, check=False)
    return done, {path for path in files if (units / pathlib.Path(path).relative_to("etc/systemd/system")).exists()}


def test_what_somebody_else_set_up_is_left_alone(tmp_path: pathlib.Path) -> None:
    done, left = run(tmp_path, {UNIT: FOREIGN, DROP_IN: "[Service]\nRestart=always\n"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert left == {UNIT, DROP_IN}
    assert "changed=0" in done.stdout and "Stop " not in done.stdout, done.stdout


def test_without_anything_there_is_nothing_to_do(tmp_path: pathlib.Path) -> None:
    (tmp_path / "system").mkdir()
    done, _left = run(tmp_path, {})
    assert done.returncode == 0 and "changed=0" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(("path", "template", "name"), [
    (UNIT, "traefik/templates/traefik.service.j2", "Traefik"),
    (UNIT, "traefik/templates/traefik-container.service.j2", "Traefik"),
    (DROP_IN, "nginx/templates/portmap.conf.j2", "nginx"),
])  # fmt: skip
def test_what_is_ours_is_known_by_its_text(tmp_path: pathlib.Path, path: str, template: str, name: str) -> None:
    """It can't be stopped here: that it is asked to is seen, and that the mark stays for the next run."""
    done, left = run(tmp_path, {path: (ROOT / "roles" / template).read_text(encoding="utf-8")})
    assert f"Stop {name}]" in done.stdout, done.stdout + done.stderr
    assert done.returncode != 0 and left == {path}, "a run that was interrupted can't be gone on with"


@pytest.mark.parametrize("text", [FOREIGN, (ROOT / "roles/traefik/templates/traefik.service.j2").read_text(encoding="utf-8")], ids=["theirs", "ours"])
def test_the_role_traefik_overwrites_nothing_of_others(tmp_path: pathlib.Path, text: str) -> None:
    """In check mode, since the test is not about what it does to this machine where it may go on."""
    done, _left = run(tmp_path, {UNIT: text}, SET_UP, "--check")
    refused = "/etc/systemd/system/traefik.service: not made by alfred.portmap" in " ".join(done.stdout.split())
    assert refused is (text == FOREIGN), done.stdout + done.stderr
    assert ("Make the group" in done.stdout) is not refused
