# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that Docker publishes, as the modules see them, with this machine's own engine: on loopback alone, and gone with the test."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t

import pytest
from extra import BUILD

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = "portmap-published"
LISTEN = "import socket, time\ns = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\ntime.sleep(600)"


def docker(*argv: str) -> str:
    """A command of Docker's."""
    return subprocess.run(["docker", *argv], check=True, capture_output=True, text=True).stdout.strip()


def module(name: str, environment: t.Mapping[str, str] | None = None, **options: t.Any) -> dict[str, t.Any]:
    """What a module answers, run as Ansible runs it on a host."""
    command = [sys.executable, "-m", f"ansible_collections.alfred.portmap.plugins.modules.{name}"]
    around = {**os.environ, "PYTHONPATH": str(ROOT / "collections"), **(environment or {})}
    done = subprocess.run(command, input=json.dumps({"ANSIBLE_MODULE_ARGS": options}), capture_output=True, text=True, check=False, env=around)
    assert done.stdout, done.stderr
    answer: dict[str, t.Any] = json.loads(done.stdout)
    return answer


def findings(port: int, environment: t.Mapping[str, str] | None = None, **line: t.Any) -> list[tuple[str, str]]:
    """Kind and text of what is found, of this port, or of no one port since Docker does not answer."""
    expected = [{"name": "web", "ports": str(port), "bind": "loopback", **line}]
    answer = module("listening_ports", environment, expected=expected, fail_on_findings=False)
    return [(one["kind"], one["text"]) for one in answer["findings"] if one["name"] == "web" or str(port) in one["port"] or one["kind"] == "unknown"]


@pytest.fixture(scope="module")
def image() -> str:
    """One that has Python."""
    return subprocess.run([str(BUILD), "", "bullseye"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def port(image: str) -> t.Iterator[int]:
    """A port of this machine's loopback that leads to a container."""
    subprocess.run(["docker", "rm", "--force", NAME], check=False, capture_output=True)
    docker("run", "--detach", "--rm", "--name", NAME, "--publish", "127.0.0.1::80", "--entrypoint", "sleep", image, "600")
    try:
        yield int(docker("port", NAME, "80/tcp").rpartition(":")[2])
    finally:
        docker("rm", "--force", NAME)


def listener(port: int, environment: t.Mapping[str, str] | None = None) -> dict[str, t.Any]:
    """How it is listed."""
    (found,) = [one for one in module("listening_ports_info", environment)["listeners"] if (one["transport"], one["port"]) == ("tcp", port)]
    return t.cast("dict[str, t.Any]", found)


def test_a_published_port(port: int) -> None:
    there = listener(port)
    assert (there["process"], there["containers"], there["user"]) == ("docker-proxy", [NAME], "root")
    assert findings(port, container=True, owner=["portmap-publ*"]) == []
    ((kind, text),) = findings(port)
    assert (kind, text[: text.index(" (pid")]) == (
        "wrong owner",
        f"web: {port}/tcp must be held by a process of the host itself; it is container {NAME}, published by docker-proxy",
    )
    ((kind, text),) = findings(port, container=True, owner=["mail"])
    assert kind == "wrong owner" and f"must be held by mail; it is container {NAME}" in text


def test_an_engine_that_does_not_answer_is_told_of(port: int) -> None:
    silent = {"DOCKER_HOST": f"unix:///run/{NAME}.not-there"}
    assert listener(port, silent)["containers"] is None
    ((kind, text),) = findings(port, silent, container=True)
    assert kind == "unknown" and f"{port}/tcp" in text and "it is not known whose containers are behind: " in text


def test_a_port_without_any_socket_counts(port: int) -> None:
    """Its docker-proxy killed, address translation alone leads to the container, as with userland-proxy: false."""
    os.kill(listener(port)["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (there := listener(port))["pid"] is not None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (there["address"], there["serves"], there["uid"], there["containers"]) == ("127.0.0.1", ["ipv4"], None, [NAME])
    assert findings(port, container=True) == [], "it is not missing"
    assert findings(port) == [
        ("wrong owner", f"web: {port}/tcp must be held by a process of the host itself; it is container {NAME}, published without a socket")
    ]
    assert findings(port, bind="any", container=True)[0][0] == "wrong address"


def test_a_container_in_the_hosts_network(image: str) -> None:
    subprocess.run(["docker", "rm", "--force", NAME], check=False, capture_output=True)
    docker("run", "--detach", "--rm", "--name", NAME, "--network", "host", "--entrypoint", "python3", image, "-uc", LISTEN)
    try:
        deadline = time.monotonic() + 20
        while not (said := docker("logs", NAME)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert listener(int(said))["containers"] == [NAME]
        assert findings(int(said), container=True, owner=[NAME]) == findings(int(said), owner=["python3*"]) == []
    finally:
        docker("rm", "--force", NAME)
