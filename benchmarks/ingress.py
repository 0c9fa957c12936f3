# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes of routes cost those who ask, and what a run with nothing to do costs, Traefik and Nginx side by side: `./dev bench`.

- under steady load (wrk and hey, TLS) before, during and after 20 changes, each proven by its module: requests, lost ones, p99
- how long one change takes, from the module's start to the proof
- a warm run of either module beside a bare `ansible.builtin.ping`, both run as Ansible runs them on the host

The load before and after lasts ten seconds. p99 is of the clients; the module's own work is on the same machine's cores.
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
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from wire_load import CLIENTS, LoadStage, Outcome  # the tests' own, whose place is set just above
from wire_stage import PROXIES

CHANGES = 20
ROUNDS = 10


def ping(stage: LoadStage) -> float:
    """How long Ansible's own ping takes, run like our modules."""
    command = [sys.executable, "-m", "ansible.modules.ping"]
    started = time.perf_counter()
    subprocess.run(["ip", "netns", "exec", stage.name, *command], input=json.dumps({"ANSIBLE_MODULE_ARGS": {}}), text=True, capture_output=True, check=True)
    return time.perf_counter() - started


def warm(stage: LoadStage) -> float:
    """How long our module takes that finds nothing to do."""
    arguments = stage.arguments()
    started = time.perf_counter()
    done = stage.module(arguments)
    taken = time.perf_counter() - started
    assert '"changed": false' in done.stdout, done
    return taken


def measure(proxy: str) -> None:
    """One proxy's figures, printed."""
    with tempfile.TemporaryDirectory() as place:
        stage = LoadStage(proxy, pathlib.Path(place))
        try:
            stage.start()
            pings, warms = [], []
            for _number in range(ROUNDS):
                pings.append(ping(stage))
                warms.append(warm(stage))
            taken = 0.0

            def changes() -> None:
                nonlocal taken
                started = time.perf_counter()
                stage.change(CHANGES)
                taken = time.perf_counter() - started

            seen: dict[str, dict[str, Outcome]] = {"before": stage.under_load(lambda: time.sleep(10))}
            seen["during"] = stage.under_load(changes)
            seen["after"] = stage.under_load(lambda: time.sleep(10))
        finally:
            stage.close()
    ratio = statistics.median(warms) / statistics.median(pings)
    print(f"{proxy}: warm run {statistics.median(warms):.3f} s, ping {statistics.median(pings):.3f} s, warm / ping {ratio:.2f}")
    print(f"{proxy}: a change under load, to its proof {taken / CHANGES:.2f} s")
    print(f"{'':22}{'requests':>27}{'lost':>15}{'p99 in ms':>30}{'during / before':>17}")
    print(f"{'':22}" + "".join(f"{name:>9}" for name in seen) + f"{'(during)':>15}" + "".join(f"{name:>10}" for name in seen))
    for client in CLIENTS:
        found = {when: outcomes[client] for when, outcomes in seen.items()}
        counts = "".join(f"{outcome.requests:9}" for outcome in found.values())
        times = "".join(f"{outcome.p99 * 1000:10.1f}" for outcome in found.values())
        lost = f"{found['during'].lost} ({sum(outcome.lost for outcome in found.values())} in all)"
        print(f"{client:22}{counts}{lost:>15}{times}{found['during'].p99 / found['before'].p99:17.2f}")


def main() -> None:
    """Measure and print."""
    only: t.Sequence[str] = sys.argv[1:] or PROXIES
    for proxy in only:
        measure(proxy)


if __name__ == "__main__":
    main()
