# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the proof of the lab's hosts costs, beside a play that only pings them, side by side in one run: `./dev bench`. The lab has to be up.

The kinds take turns, ROUNDS times. Printed are medians in seconds, and ratios.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
ROUNDS = 5
PING = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.ping": {}}]}]


def seconds(playbook: str, *argv: str) -> float:
    """How long a playbook takes on the lab."""
    started = time.perf_counter()
    subprocess.run(["ansible-playbook", "-i", "inventories/lab", playbook, *argv], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as place:
        ping = pathlib.Path(place) / "ping.json"
        ping.write_text(json.dumps(PING))
        kinds = {
            "ping": [str(ping)],
            "verify, no report": ["playbooks/verify.yml", "-e", json.dumps({"report_formats": []})],
            "verify, with its report": ["playbooks/verify.yml", "-e", json.dumps({"report_dir": place})],
        }
        seconds(*kinds["ping"])  # connections are warm for all
        taken: dict[str, list[float]] = {name: [] for name in kinds}
        for round_number in range(ROUNDS):
            for name, times in taken.items():
                times.append(seconds(*kinds[name]))
            print(f"round {round_number + 1} of {ROUNDS}", file=sys.stderr)
        summary = json.loads((pathlib.Path(place) / "report.json").read_text(encoding="utf-8"))["summary"]
    medians = {name: statistics.median(times) for name, times in taken.items()}
    print(f"{summary['hosts']} hosts, {summary['listeners']} listeners, {summary['questions']} questions")
    for name, times in taken.items():
        print(f"{name:26} {medians[name]:6.2f} s   ({min(times):.2f} to {max(times):.2f})   {medians[name] / medians['ping']:.1f} x ping")


if __name__ == "__main__":
    main()
