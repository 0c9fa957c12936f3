# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/explain.yml as people call it, in the checkout: no host is reachable, none is touched."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def explain(*argv: str, inventory: str = "inventories/prod", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the playbook with this very Python's ansible-core, without the user's own settings; SSH would fail, and be seen."""
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "playbooks/explain.yml", "-i", inventory, *argv]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_") and key != "PYTHONPATH"}
    everything = {**kept, "LC_ALL": "C.UTF-8", "ANSIBLE_SSH_EXECUTABLE": "/bin/false", **environment}
    done = subprocess.run(command, cwd=ROOT, env=everything, capture_output=True, text=True, timeout=120, check=False)
    assert "UNREACHABLE" not in done.stdout, done.stdout
    return done


def shown(done: subprocess.CompletedProcess[str]) -> str:
    """The answer as it stands on the screen."""
    assert done.returncode == 0, done.stdout + done.stderr
    return textwrap.dedent(done.stdout.split("msg: |-\n", 1)[1].split("\nPLAY RECAP", 1)[0]).strip()


OPEN = """\
core1 to data1, port 5432/tcp: OPEN, no policy drops it

IPv4  core1"""


def test_an_open_port() -> None:
    done = explain("-e", "from=core1", "-e", "to=data1", "-e", "port=5432")
    answer = shown(done)
    assert answer.startswith(OPEN)
    assert "out of core1: passes, rule db-postgres to service:db-postgres" in answer
    assert "into data1: passes, rule db-postgres from namespace:alfred-prod" in answer
    assert "inventories/port_map.yml:" in answer
    # ansible-core says of `port` that it is a keyword of plays too, and of nothing else.
    assert done.stderr.count("[WARNING]") == done.stderr.count("Found variable using reserved name 'port'") == 1, done.stderr


def test_a_closed_port_of_a_service_by_name_and_a_stranger() -> None:
    done = explain("-e", "from=192.0.2.77", "-e", "to=db-postgres")
    answer = shown(done)
    assert answer.startswith("192.0.2.77 to db-postgres, port 5432/tcp (db-postgres): CLOSED, nothing gets through")
    assert "into data1: DROPPED, no rule lets it in" in answer
    assert "rule db-postgres (right port, wrong network)" in answer
    assert len(answer.splitlines()) < 24, "one screen"
    assert "[WARNING]" not in done.stderr


def test_udp_and_a_port_by_its_services_name() -> None:
    assert ", port 53/udp: OPEN," in shown(explain("-e", "from=core1", "-e", "to=198.51.100.53", "-e", "port=53", "-e", "transport=udp"))
    assert ", port 53/tcp: CLOSED," in shown(explain("-e", "from=core1", "-e", "to=198.51.100.53", "-e", "port=53"))
    assert ", port 22/tcp (sshd): OPEN," in shown(explain("-e", "from=bastion1", "-e", "to=core1", "-e", "port=sshd"))


def test_values_of_other_types_and_a_limit_change_nothing() -> None:
    same = shown(explain("-e", "from=core1 to=data1 port=5432"))
    assert shown(explain("-e", '{"from": "core1", "to": "data1", "port": 5432}')) == same
    assert shown(explain("-e", "from=core1 to=data1 port=5432", "--limit", "edge1")) == same
    assert shown(explain("-e", "from=core1 to=data1 port=5432", "--check")) == same


def test_as_json_each_line_is_one_too() -> None:
    done = explain("-e", "from=core1 to=data1 port=5432", ANSIBLE_CALLBACK_RESULT_FORMAT="json")
    assert done.returncode == 0
    assert '"core1 to data1, port 5432/tcp: OPEN, no policy drops it",\n' in done.stdout


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["-e", "from=cor1 to=dta1 port=5432"], ["from = 'cor1': is no host", "did you mean 'core1'?", "to = 'dta1': is no host", "did you mean 'data1'?"]),
        (["-e", "from=core1 to=data1 port=db-postgrs"], ["port = 'db-postgrs': must be a port from 1 to 65535", "did you mean 'db-postgres'?"]),
        (["-e", "from=core1 to=data1"], ["port: is missing"]),
        (["-e", "to=data1 port=1"], ["Say -e from="]),
        ([], ["Say -e from="]),
    ],
)
def test_mistakes_are_told(argv: list[str], told: list[str]) -> None:
    done = explain(*argv)
    assert done.returncode != 0
    for words in told:
        assert words in done.stdout, done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_filter_has_docs() -> None:
    command = [str(pathlib.Path(sys.executable).parent / "ansible-doc"), "-t", "filter", "alfred.portmap.explain"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "alfred.portmap.explain" in done.stdout
