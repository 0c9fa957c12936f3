# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the module sshd share: a controller that runs it by ansible-playbook, and what is asked of a host then."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ROOT
from extra import ExtraHost

WINDOW = 6  # seconds, of a change that is not to be confirmed
PATIENCE = 25  # seconds, of one that is
DIRECTORY = "/etc/ssh/sshd_config.d"
DROP_IN = f"{DIRECTORY}/0-portmap.conf"
MAIN = "/etc/ssh/sshd_config"
PLACE = "/var/lib/portmap/ssh"
UNIT = "portmap-undo-ssh"
GUARD = f"/etc/systemd/system/{UNIT}-at-boot.service"
OPERATORS = ["203.0.113.1", "2001:db8:1::1"]

# Lets us in. What each test changes of it is its business.
GOOD: dict[str, t.Any] = {"networks": {"operators": OPERATORS}, "settings": {"PasswordAuthentication": False, "X11Forwarding": False}, "ports": [22]}
# Another one that does as well.
OTHER: dict[str, t.Any] = {**GOOD, "settings": {**GOOD["settings"], "MaxAuthTries": 5}}

# Every file that the module could touch, with its inode and its times, and the sockets that sshd listens by: a reload makes new ones.
SNAPSHOT = (
    "find /etc/ssh /etc/systemd/system /var/lib/portmap /var/lib/portmap.lock /var/lib/systemd/timers -printf '%p %y %m %u %g %s %i %T@ %l\\n' 2>/dev/null"
    " | grep -v '^/var/lib/systemd/timers d' | sort; ls -l /proc/$(systemctl show -p MainPID --value ssh)/fd 2>/dev/null | grep -o 'socket:.*' | sort"
)
# The same files as somebody sees them who reads them.
CONTENTS = (
    "cd /; find etc/ssh etc/systemd/system var/lib/portmap* var/lib/systemd/timers -printf '%p %y %m %u %g %l\\n' 2>/dev/null | sort;"
    " find etc/ssh etc/systemd/system -type f -exec sha256sum {} + | sort"
)

Tasks = t.Sequence[t.Mapping[str, t.Any]]


class Controller:
    """Runs playbooks, as an operator does. `extra`: other host variables."""

    def __init__(self, directory: pathlib.Path, *hosts: ExtraHost, **extra: t.Any) -> None:
        self.directory = directory
        self.inventory = directory / "inventory.json"
        self.hosts({host.name: {**host.vars(), **extra} for host in hosts})

    def hosts(self, variables: t.Mapping[str, t.Any]) -> None:
        """Write the inventory."""
        self.inventory.write_text(json.dumps({"all": {"hosts": variables}}))

    def command(self, tasks: Tasks, *argv: str) -> list[str]:
        """The command that does these tasks."""
        playbook = self.directory / f"play-{time.monotonic_ns()}.json"
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        return ["ansible-playbook", "--timeout", "3", "-i", str(self.inventory), str(playbook), *argv]

    def run(self, tasks: Tasks, *argv: str) -> tuple[int, str]:
        """(exit status, output)"""
        done = subprocess.run(self.command(tasks, *argv), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def apply(self, arguments: t.Mapping[str, t.Any], *argv: str) -> tuple[int, str]:
        """Run the module once."""
        return self.run([task(arguments)], *argv)

    def answers(self, tasks: Tasks, *argv: str) -> list[dict[str, t.Any]]:
        """What each task answered; none of them ends the run. Of one host."""
        registered = [{**one, "register": f"answer{number}", "ignore_errors": True, "ignore_unreachable": True} for number, one in enumerate(tasks)]
        content = "{{ [" + ", ".join(f"answer{number}" for number in range(len(tasks))) + "] | to_json | b64encode }}"
        _status, output = self.run([*registered, {"ansible.builtin.debug": {"msg": f"ANSWERS-{content}-"}}], *argv)
        found = re.search(r"ANSWERS-([A-Za-z0-9+/=]+)-", output)
        assert found, output[-5000:]
        return t.cast("list[dict[str, t.Any]]", json.loads(base64.b64decode(found[1])))

    @contextlib.contextmanager
    def held(self, host: ExtraHost, arguments: t.Mapping[str, t.Any], *first: t.Mapping[str, t.Any]) -> t.Iterator[subprocess.Popen[str]]:
        """A run whose change is in force, and that can't confirm it: a probe that never connects keeps it in its window."""
        command = self.command([*first, task({"confirm_probes": [{"port": 9}], "confirm_timeout": WINDOW, **arguments})])
        inodes, before = listening(host), file(host, DROP_IN)
        run = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            if systemd_listens(host):
                wait_until(lambda: pending(host) and file(host, DROP_IN) != before, 20, lambda: f"never written: {run.poll()}")
                time.sleep(1)
            else:
                wait_until(lambda: pending(host) and listening(host) not in ("", inodes), 20, lambda: f"never in force: {run.poll()}")
            yield run
        finally:
            kill(run)
            if run.stdout and not run.stdout.closed:
                run.communicate()


Scenario = t.Callable[[ExtraHost, Controller], None]


class Scenarios:
    """Tests of one host each that wait more than they work, several at once. Each begins and ends with a host as `ready` makes it."""

    def __init__(self, ready: Scenario) -> None:
        self._ready = ready
        self._all: dict[str, Scenario] = {}

    def __call__(self, scenario: Scenario) -> Scenario:
        """Add one, under its function's name."""
        return self.add(scenario.__name__.replace("_", " "), scenario)

    def add(self, name: str, scenario: Scenario) -> Scenario:
        """Add one."""
        assert name not in self._all
        self._all[name] = scenario
        return scenario

    @property
    def names(self) -> list[str]:
        """Of all of them."""
        return list(self._all)

    def run(self, request: pytest.FixtureRequest, pairs: t.Sequence[tuple[ExtraHost, Controller]]) -> dict[str, Exception | None]:
        """What came of each that this run of pytest asks for (by the parameter `name` of a test), with as many at once as there are hosts."""
        asked = [str(item.callspec.params.get("name")) for item in request.session.items if hasattr(item, "callspec") and item.path == request.path]
        free: queue.SimpleQueue[tuple[ExtraHost, Controller]] = queue.SimpleQueue()
        for pair in pairs:
            free.put(pair)

        def outcome(name: str) -> Exception | None:
            pair = free.get()
            try:
                self._ready(*pair)
                self._all[name](*pair)
            except Exception as error:
                return error
            finally:
                free.put(pair)
            return None

        with ThreadPoolExecutor(len(pairs)) as pool:
            names = [name for name in self._all if name in asked]
            return dict(zip(names, pool.map(outcome, names), strict=True))


def task(arguments: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A task of the module sshd."""
    return {"alfred.portmap.sshd": {"confirm_timeout": PATIENCE, **arguments}}


def kill(run: subprocess.Popen[str]) -> None:
    """The controller is gone, and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)


def wait_until(condition: t.Callable[[], bool], seconds: float, what: str | t.Callable[[], str]) -> None:
    """Ask again and again."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(0.1)


def listening(host: ExtraHost) -> str:
    """The sockets that take connections on port 22: others after each reload."""
    return host.run("sh", "-c", "ss -Hltne 'sport = 22' | grep -o 'ino:[0-9]*' | sort", check=False).stdout


def pending(host: ExtraHost) -> bool:
    """Is there a change in its window?"""
    return host.run("sh", "-c", f"test -e {PLACE}/pending.json && ls {PLACE}/pending-*.conf", check=False).returncode == 0


def systemd_listens(host: ExtraHost) -> bool:
    """Is it systemd that takes connections on port 22?"""
    return host.run("systemctl", "is-active", "ssh.socket", check=False).stdout.strip() == "active"


def armed(host: ExtraHost) -> bool:
    """Does a timer wait to undo something, or a unit at boot?"""
    units = host.run("sh", "-c", f"systemctl is-active {UNIT}.timer {UNIT}.service; ls {GUARD}", check=False).stdout.split()
    return "active" in units or "activating" in units or GUARD in units


def file(host: ExtraHost, path: str) -> str | None:
    """What is in a file; None if it is not there."""
    found = host.run("cat", path, check=False)
    return found.stdout if found.returncode == 0 else None


def rolled_back(host: ExtraHost) -> str:
    """What the host says of the last change that it undid."""
    return str(json.loads(host.run("cat", f"{PLACE}/rolled_back.json").stdout)["result"])


def ssh(host: ExtraHost, *argv: str, address: str = "") -> list[str]:
    """The command that logs in over a connection of its own."""
    options = host.vars()["ansible_ssh_common_args"].split()
    return ["ssh", "-F", "none", *options, "-o", "BatchMode=yes", "-o", "ConnectTimeout=2", "-o", "ControlPath=none", f"ansible@{address or host.v4}", *argv]


def reachable(host: ExtraHost, address: str = "") -> bool:
    """Does a new SSH connection get in?"""
    return subprocess.run(ssh(host, "true", address=address), stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def open_session(host: ExtraHost) -> t.Iterator[t.Callable[[bytes], bool]]:
    """An SSH session that goes on through all that comes; gives a function that tells whether a word comes back by it."""
    with subprocess.Popen(ssh(host, "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as session:
        assert session.stdin and session.stdout
        said, heard = session.stdin, session.stdout

        def lives(word: bytes) -> bool:
            said.write(word + b"\n")
            said.flush()
            return heard.readline() == word + b"\n"

        try:
            yield lives
        finally:
            session.kill()


def effective(host: ExtraHost, keyword: str, address: str = OPERATORS[0], user: str = "ansible") -> list[str]:
    """What sshd says of a keyword for a client, by the files as they are."""
    client = f"addr={address},user={user},host={address},laddr={host.v4},lport=22"
    lines = host.run("/usr/sbin/sshd", "-T", "-C", client).stdout.splitlines()
    return [line.partition(" ")[2] for line in lines if line.startswith(f"{keyword.lower()} ")]


def assert_safe(host: ExtraHost, drop_in: str | None, seconds: float = WINDOW + 5) -> None:
    """Within so many seconds nothing waits any more, the host is on this drop-in, and it can be reached."""
    wait_until(lambda: not armed(host) and not pending(host), seconds, "something still waits")
    found = file(host, DROP_IN)
    assert found == drop_in, found
    assert reachable(host), host.run("sh", "-c", "journalctl -u ssh --no-pager | tail -n 20").stdout
