# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role traefik on a real host: how it installs, when it restarts, what the process may do."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import subprocess
import tarfile
import typing as t

import lab
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "alfred-portmap" / "lab"
CAP_NET_BIND_SERVICE = 1 << 10  # linux/capability.h
Play = t.Callable[..., str]


def main_pid() -> int:
    """The process that systemd calls Traefik."""
    return int(lab.run("edge1", "systemctl", "show", "--property", "MainPID", "--value", "traefik").stdout)


def status(pid: int) -> dict[str, str]:
    """What the kernel says of a process (proc(5))."""
    lines = lab.run("edge1", "cat", f"/proc/{pid}/status").stdout.splitlines()
    return {key: value.strip() for key, _colon, value in (line.partition(":") for line in lines)}


def changed(output: str) -> int:
    """How many tasks changed something on edge1."""
    (line,) = [line for line in output.split("PLAY RECAP")[1].splitlines() if line.startswith("edge1 ")]
    return int(line.split("changed=")[1].split()[0])


@pytest.fixture
def play(playbook: Play) -> t.Iterator[Play]:
    """The playbook traefik.yml on edge1; afterwards all is as the lab's inventory says again."""

    def run(*argv: str) -> str:
        return playbook("playbooks/traefik.yml", "--limit", "edge1", *argv)

    yield run
    run()


def test_the_process_may_bind_low_ports_and_nothing_else() -> None:
    seen = status(main_pid())
    assert int(seen["CapEff"], 16) == int(seen["CapBnd"], 16) == CAP_NET_BIND_SERVICE
    assert seen["NoNewPrivs"] == "1"
    assert seen["Seccomp"] == "2", "no filter of system calls"
    uid = lab.run("edge1", "id", "-u", "traefik").stdout.strip()
    assert set(seen["Uid"].split()) == {uid} and uid != "0"


def test_secrets_are_for_traefik_alone() -> None:
    found = lab.run("edge1", "find", "/etc/traefik", "-type", "f", "-printf", "%p %u:%g %m\n").stdout.split("\n")
    files = {path: (owner, mode) for path, owner, mode in (line.split() for line in found if line)}
    assert {pathlib.PurePath(path).suffix for path in files} == {".yml", ".pem", ".key"}
    for path, (owner, mode) in files.items():
        assert owner == "root:traefik" or path.endswith(".pem"), (path, owner)
        assert mode == "640" or (path.endswith(".pem") and mode in ("600", "640", "644")), (path, mode)


def test_a_route_changes_without_a_restart(play: Play, tmp_path: pathlib.Path) -> None:
    port_map = tmp_path / "port_map.yml"
    text = (ROOT / "inventories" / "port_map.yml").read_text(encoding="utf-8")
    assert text.count("api: {average: 100}") == 1
    port_map.write_text(text.replace("api: {average: 100}", "api: {average: 7}"), encoding="utf-8")
    before = main_pid()
    output = play("--diff", "-e", f"port_map_file={port_map}")
    assert changed(output) == 1
    assert [line for line in output.splitlines() if line.startswith("+") and "average: 7" in line]
    assert "$2y$" not in output, "a password's hash is shown"
    assert main_pid() == before


def test_the_static_part_restarts_once(play: Play) -> None:
    before = main_pid()
    checked = play("--check", "-e", "traefik_log_level=WARN")
    assert main_pid() == before
    assert changed(play("-e", "traefik_log_level=WARN")) == changed(checked) == 2  # the file, the restart
    after = main_pid()
    assert after != before
    assert changed(play("-e", "traefik_log_level=WARN")) == 0
    assert main_pid() == after


def test_a_restart_that_an_interrupted_run_owed_is_made_up_for(play: Play) -> None:
    before = main_pid()
    lab.run("edge1", "sh", "-c", "echo '# what another run left' >> /run/traefik/started.yml")
    assert changed(play()) == 1
    assert main_pid() != before


def archive(folder: pathlib.Path) -> tuple[pathlib.Path, str]:
    """A release archive, as Traefik's project makes them, and its SHA-256."""
    path = folder / "traefik.tar.gz"
    with tarfile.open(path, "w:gz") as made:
        made.add(STATE / "traefik", "traefik")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_archive_is_installed_once(play: Play, tmp_path: pathlib.Path) -> None:
    path, checksum = archive(tmp_path)
    options = ["-e", json.dumps({"traefik_install": "archive", "traefik_archive": str(path), "traefik_checksum": checksum})]
    lab.run("edge1", "rm", "/usr/local/bin/traefik")
    assert changed(play(*options)) > 0
    lab.run("edge1", "/usr/local/bin/traefik", "version")
    assert changed(play(*options)) == 0


def test_an_archive_with_another_checksum_is_refused(tmp_path: pathlib.Path) -> None:
    path, checksum = archive(tmp_path)
    before, binary = main_pid(), lab.run("edge1", "sha256sum", "/usr/local/bin/traefik").stdout
    wrong = "0" * 64
    options = json.dumps({"traefik_install": "archive", "traefik_archive": str(path), "traefik_checksum": wrong})
    command = ["ansible-playbook", "playbooks/traefik.yml", "-i", "inventories/lab", "--limit", "edge1", "-e", options]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"has SHA-256 {checksum}, not {wrong}" in " ".join(done.stdout.split())
    assert (main_pid(), lab.run("edge1", "sha256sum", "/usr/local/bin/traefik").stdout) == (before, binary)
