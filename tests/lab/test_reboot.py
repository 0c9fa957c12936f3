# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reboot, with somebody trying the door all the while."""

from __future__ import annotations

import json
import subprocess
import time
import typing as t

import lab
import pytest

PORTS = [22, 8080, 9100]

# Runs on the outsider until its input ends: knocks without pause, says how often, how often in vain, and where it got in.
# A refusal lets nobody in: so answers a kernel that is up, before anything listens and before the policy is there.
KNOCK = """
import asyncio, json, sys, time
attempts, silence, opened = 0, 0, []
async def knock(address, port):
    global attempts, silence
    while True:
        attempts += 1
        try:
            _reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 0.25)
        except (asyncio.TimeoutError, TimeoutError):
            silence += 1
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            opened.append([address, port])
async def main(questions):
    tasks = [asyncio.create_task(knock(*question)) for question in questions]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    print(json.dumps([attempts, silence, opened[:20]]))
asyncio.run(main(json.loads(sys.argv[1])))
"""


class Knocking:
    """The outsider knocks at core1 while the body runs."""

    def __enter__(self) -> Knocking:
        questions = json.dumps([(address, port) for address in lab.ADDRESSES["core1"] for port in PORTS])
        command = [*lab.inside("portmap-outsider"), "python3", "-c", KNOCK, questions]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_failure: object) -> None:
        output, _nothing = self.process.communicate("")
        self.attempts, self.silence, self.opened = json.loads(output)


def booted(host: str) -> None:
    """Wait until a host has booted and its services run."""
    for _attempt in range(120):
        done = lab.run(host, "systemctl", "is-system-running", "--wait", check=False)
        if done.stdout.strip() in ("running", "degraded"):
            return
        time.sleep(0.5)
    pytest.fail(f"{host} does not boot: {done.stdout}{done.stderr}")


def moment(unit: str, name: str) -> int:
    """When a unit of core1 came to a state since boot, in microseconds."""
    return int(lab.run("core1", "systemctl", "show", "--property", name, "--value", unit).stdout)


@pytest.fixture(scope="module")
def reboot() -> Knocking:
    """Reboot core1 and wait until its services have been up for a while."""
    with Knocking() as knocking:
        subprocess.run(["docker", "restart", "portmap-core1"], check=True, stdout=subprocess.DEVNULL)
        booted("core1")
        # inside, everything is there: the knocking from outside went on after it came up
        deadline = time.monotonic() + 30  # a service has started before it listens
        while set(lab.connect("core1", [("127.0.0.1", port) for port in PORTS]).values()) != {"open"}:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        lab.connect("outsider", [(address, 8080) for address in lab.ADDRESSES["core1"]])
    return knocking


def test_nobody_got_in_while_it_booted(reboot: Knocking) -> None:
    print(f"{reboot.attempts} attempts, {reboot.silence} of them dropped")
    assert reboot.silence > 20
    assert reboot.opened == []


def test_the_policy_came_before_every_service(reboot: Knocking) -> None:
    policy = moment("portmap-firewall.service", "ActiveEnterTimestampMonotonic")
    assert policy > 0
    units = ["ssh.service", "prometheus-node-exporter.service", *(f"lab-service@{name}.service" for name in ("alfred-core", "model-registry", "social-intel"))]
    started = {unit: moment(unit, "ExecMainStartTimestampMonotonic") for unit in units}
    assert all(when > policy for when in started.values()), (policy, started)


def test_who_may_come_in_still_may(reboot: Knocking) -> None:
    assert set(lab.connect("bastion1", [(address, 22) for address in lab.ADDRESSES["core1"]]).values()) == {"open"}
    assert set(lab.connect("edge1", [(address, 8080) for address in lab.ADDRESSES["core1"]]).values()) == {"open"}


def test_a_run_after_it_has_nothing_to_do(reboot: Knocking, playbook: t.Callable[..., str]) -> None:
    output = playbook("playbooks/firewall.yml", "--limit", "core1")
    assert "changed=0" in output
    assert "changed=1" not in output
