# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/debug_port.yml and playbooks/watch.yml as people call them. One host is this machine, the other one can't be reached."""

from __future__ import annotations

import http.server
import os
import pathlib
import subprocess
import sys
import textwrap
import threading
import typing as t

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAP = """\
port_map:
  version: 1
  services:
    api: {port: PORT, protocol: http, health: /health, bind: loopback, hosts: all}
"""
HOSTS = """\
here ansible_connection=local port_map_addresses=192.0.2.1
gone port_map_addresses=192.0.2.2
[all:vars]
ansible_python_interpreter=PYTHON
"""
# A private /run says that systemd runs, and what is said to it goes to nobody.
WITH_SYSTEMD = """
mount -t tmpfs none /run && mkdir -p /run/systemd/system /run/bin /run/textfile || exit
printf '#!/bin/sh\\nprintf "UnitFileState=\\\\nActiveState=inactive\\\\n"\\n' >/run/bin/systemctl && chmod +x /run/bin/systemctl || exit
PATH=/run/bin:$PATH exec "$@"
"""


class Healthy(http.server.BaseHTTPRequestHandler):
    """A service that is well."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: t.Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[pathlib.Path, int]]:
    """An inventory with its map, and the port of its service, which runs."""
    directory = tmp_path_factory.mktemp("inventory")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        (directory / "port_map.yml").write_text(MAP.replace("PORT", str(port)))
        (directory / "hosts.ini").write_text(HOSTS.replace("PYTHON", sys.executable))
        yield directory / "hosts.ini", port
        server.shutdown()


def run(playbook: str, inventory: pathlib.Path, *argv: str, within: t.Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a playbook with this very Python's ansible-core, without the user's own settings; SSH fails."""
    command = [*within, str(pathlib.Path(sys.executable).parent / "ansible-playbook"), f"playbooks/{playbook}", "-i", str(inventory), *argv]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_") and key != "PYTHONPATH"}
    environment = {**kept, "LC_ALL": "C.UTF-8", "ANSIBLE_SSH_EXECUTABLE": "/bin/false"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_port_on_a_host_that_answers_and_on_one_that_is_gone(inventory: tuple[pathlib.Path, int]) -> None:
    hosts, port = inventory
    done = run("debug_port.yml", hosts, "-e", f"port={port}")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = textwrap.dedent(done.stdout.split("msg: |-\n", 1)[1].split("\nPLAY RECAP", 1)[0]).strip().splitlines()
    here, gone = lines[: lines.index("")], lines[lines.index("") + 1 :]
    assert here[0] == f"{port}/tcp on here (192.0.2.1)"
    assert here[1].split(None, 1) == ["expected", "api, on loopback only, http, health /health"]
    assert here[2].strip().endswith("port_map.yml:4 services.api.port")
    assert here[3].split(None, 1)[1].startswith(f"127.0.0.1: {pathlib.Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})")
    assert [line for line in here if line.startswith(f"  answers now  http at 127.0.0.1:{port}: open (status 200)")], "\n".join(here)
    assert here[-2].strip().startswith("next         As planned.")
    assert gone[0] == f"{port}/tcp on gone (192.0.2.2)"
    assert "could not be looked at" in " ".join(gone)


def test_bad_input_is_told_and_nothing_is_looked_at(inventory: tuple[pathlib.Path, int]) -> None:
    done = run("debug_port.yml", inventory[0], "-e", "port=99999", "-e", "host=hear")
    assert done.returncode != 0
    assert "port = 99999: must be a port from 1 to 65535" in done.stdout
    assert "host = 'hear': is no host of this inventory, did you mean 'here'?" in done.stdout
    assert "Look at who listens" not in done.stdout


def test_watch_brings_its_program_along(inventory: tuple[pathlib.Path, int]) -> None:
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", WITH_SYSTEMD, "sh"]
    done = run("watch.yml", inventory[0], "--limit", "here", "--check", "--diff", "-e", "watch_textfile_dir=/run/textfile", within=private)
    assert done.returncode == 0, done.stdout + done.stderr
    added = [line for line in done.stdout.splitlines() if line.startswith("+")]
    assert {line.split()[-1] for line in added} >= {"_watch_program.py", "_sockets.py", "__main__.py"}, "the program, out of Ansible's own archive"
    assert [line for line in added if line.startswith("+ExecStopPost=") and line.endswith(" -I /usr/local/lib/portmap/watch.pyz ended /run/textfile")]
    assert [line for line in added if '"path": "/health"' in line]
    assert "changed=1" in done.stdout
