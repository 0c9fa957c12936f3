# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task costs that changes the firewall or sshd, side by side in one run on one host over SSH: `./dev bench`. The lab has to be up.

- warm (nothing to do), beside a bare `ansible.builtin.ping` task
- cold (another policy or other settings each time), confirmed over a new connection, beside the same without (`confirm_timeout: 0`)

A play of COUNT tasks less an empty one, divided by COUNT; the kinds take turns, ROUNDS times. Printed are medians in seconds, and ratios.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "lab"))

from extra import extra_host  # the tests' own hosts, whose place is set just above

COUNT = 6  # tasks of a play
ROUNDS = 5

POLICY: dict[str, t.Any] = {
    "networks": {"anywhere": ["0.0.0.0/0", "::/0"], "operators": ["203.0.113.1", "2001:db8:1::1"]},
    "ingress": [
        {"name": "ssh", "ports": ["22"], "networks": ["operators"]},
        *({"name": f"s{port}", "ports": [str(port)], "networks": ["anywhere"]} for port in range(8000, 8100)),
    ],
    "egress": [{"name": "https", "ports": ["443"], "networks": ["anywhere"]}],
}


def firewall(number: int, **options: t.Any) -> dict[str, t.Any]:
    """A task that applies a policy; another number is another policy."""
    networks = {**POLICY["networks"], "mark": [f"192.0.2.{number + 1}"]}
    return {"alfred.portmap.firewall": {"policy": {**POLICY, "networks": networks, "ping": ["mark"]}, **options}}


def sshd(number: int, **options: t.Any) -> dict[str, t.Any]:
    """A task that applies settings of sshd; another number means others."""
    settings = {"PasswordAuthentication": False, "X11Forwarding": False, "Ciphers": "-*-cbc", "MaxAuthTries": 4 + number}
    return {"alfred.portmap.sshd": {"networks": {"operators": ["203.0.113.1", "2001:db8:1::1"]}, "ports": [22], "settings": settings, **options}}


KINDS: dict[str, list[dict[str, t.Any]]] = {
    "empty": [],
    "ping": [{"ansible.builtin.ping": {}}] * COUNT,
    "firewall, warm": [firewall(0)] * COUNT,
    "firewall, cold, not confirmed": [firewall(1 + index % 2, confirm_timeout=0) for index in range(COUNT)],
    "firewall, cold, confirmed": [firewall(1 + index % 2) for index in range(COUNT)],
    "sshd, warm": [sshd(0)] * COUNT,
    "sshd, cold, not confirmed": [sshd(1 + index % 2, confirm_timeout=0) for index in range(COUNT)],
    "sshd, cold, confirmed": [sshd(1 + index % 2) for index in range(COUNT)],
}


def seconds(inventory: pathlib.Path, playbook: pathlib.Path) -> float:
    """How long a playbook takes."""
    started = time.perf_counter()
    subprocess.run(["ansible-playbook", "-i", str(inventory), str(playbook)], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as place, extra_host("bench1", 39) as host:
        directory = pathlib.Path(place)
        inventory = directory / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": {host.name: host.vars()}}}))
        playbooks = {}
        for name, tasks in {**KINDS, "first": [firewall(0), sshd(0)]}.items():
            playbooks[name] = directory / f"{name}.json"
            playbooks[name].write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        taken: dict[str, list[float]] = {name: [] for name in KINDS}
        for round_number in range(ROUNDS):
            for name, times in taken.items():
                seconds(inventory, playbooks["first"])  # the same state and a warm connection before each
                times.append(seconds(inventory, playbooks[name]))
            print(f"round {round_number + 1} of {ROUNDS}", file=sys.stderr)
    empty = statistics.median(taken.pop("empty"))
    task = {name: [(value - empty) / COUNT for value in times] for name, times in taken.items()}
    for name, values in task.items():
        print(f"{name:30} {statistics.median(values):6.3f} s a task   ({min(values):.3f} to {max(values):.3f})")
    medians = {name: statistics.median(values) for name, values in task.items()}
    for module in ("firewall", "sshd"):
        print(f"{module}: warm / ping {medians[f'{module}, warm'] / medians['ping']:.2f}", end=", ")
        print(f"cold confirmed / not confirmed {medians[f'{module}, cold, confirmed'] / medians[f'{module}, cold, not confirmed']:.2f}")


if __name__ == "__main__":
    main()
