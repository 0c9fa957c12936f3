# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listeners and the containers behind them. The engine itself: tests/lab/test_published_ports.py."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._commands import LocalCommands
from ansible_collections.alfred.portmap.plugins.module_utils._containers import engine_runs, with_containers
from ansible_collections.alfred.portmap.plugins.module_utils._owners import Owner
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener

PROXY = Owner(7, "docker-proxy", "docker.service")
ENGINE = Owner(5, "dockerd", "docker.service")
ID = "0123456789abcdef" * 4


def on(where: str, owner: Owner | None = None, transport: str = "tcp", v6only: bool = False) -> Listener:
    """A listener at address:port."""
    address, _colon, port = where.rpartition(":")
    return Listener(transport, address, int(port), 6 if ":" in address else 4, v6only, "", 0, 1, owner)


class Machine(LocalCommands):
    """One whose program docker is a script."""

    def __init__(self, directory: pathlib.Path, ports: dict[str, list[str]] | None, complaint: str = "") -> None:
        super().__init__()
        self.directory = directory
        self.log = directory / "log"
        self.log.write_text("")
        if ports is None and not complaint:
            return
        places = {inner: [{"HostIp": at.rpartition(":")[0], "HostPort": at.rpartition(":")[2]} for at in outer] for inner, outer in (ports or {}).items()}
        told = [{"Id": ID, "Name": "/web", "NetworkSettings": {"Ports": {**places, "9/tcp": None}}}]
        (directory / "told.json").write_text(json.dumps(told))
        answer = f"echo '{complaint}' >&2; exit 1" if complaint else f"case $1 in ps) echo {ID};; *) cat {directory}/told.json;; esac"
        script = directory / "docker"
        script.write_text(f'#!/bin/sh\necho "$1" >>{self.log}\n{answer}\n')
        script.chmod(0o755)

    def get_bin_path(self, arg: str) -> t.Optional[str]:
        """The script, or nothing."""
        if arg != "docker":
            return super().get_bin_path(arg)
        return str(self.directory / "docker") if (self.directory / "docker").exists() else None

    @property
    def asked(self) -> list[str]:
        """What the program was asked."""
        return self.log.read_text().split()


def places(found: t.Iterable[Listener]) -> list[tuple[str, str, int, t.Optional[tuple[str, ...]]]]:
    """What matters here."""
    return [(one.transport, one.address, one.port, one.containers) for one in found]


def test_a_published_port_bears_its_containers_name(tmp_path: pathlib.Path) -> None:
    machine = Machine(tmp_path, {"80/tcp": ["0.0.0.0:8080", ":::8080"], "53/udp": ["127.0.0.1:53"]})
    found = [on("0.0.0.0:22"), on("0.0.0.0:8080", PROXY), on(":::8080", PROXY, v6only=True), on("127.0.0.1:53", PROXY, "udp")]
    seen = with_containers(found, machine)
    assert seen.unknown == ""
    assert sorted(places(seen.listeners)) == [
        ("tcp", "0.0.0.0", 22, ()),
        ("tcp", "0.0.0.0", 8080, ("web",)),
        ("tcp", "::", 8080, ("web",)),
        ("udp", "127.0.0.1", 53, ("web",)),
    ]
    assert machine.asked == ["ps", "container"], "asked once for all of them"


def test_one_socket_of_dockerds_may_be_for_both_families(tmp_path: pathlib.Path) -> None:
    seen = with_containers([on(":::8080", ENGINE)], Machine(tmp_path, {"80/tcp": ["0.0.0.0:8080", ":::8080"]}))
    assert places(seen.listeners) == [("tcp", "::", 8080, ("web",))]


def test_a_port_that_is_published_without_a_socket_counts(tmp_path: pathlib.Path) -> None:
    """userland-proxy: false, where the engine leaves it to address translation."""
    machine = Machine(tmp_path, {"80/tcp": ["127.0.0.1:8080", "192.0.2.1:8080"], "53/udp": [":53"], "7/sctp": ["0.0.0.0:7"]})
    seen = with_containers([on("192.0.2.1:8080", ENGINE), on("0.0.0.0:8080")], machine)
    assert sorted(places(seen.listeners)) == [
        ("tcp", "0.0.0.0", 8080, ()),  # some process's own, which the translation goes past
        ("tcp", "127.0.0.1", 8080, ("web",)),
        ("tcp", "192.0.2.1", 8080, ("web",)),
        ("udp", "0.0.0.0", 53, ("web",)),
    ]


def test_a_process_in_a_container_of_the_hosts_network_bears_its_name(tmp_path: pathlib.Path) -> None:
    found = [on("0.0.0.0:80", Owner(8, "nginx", "", ID)), on("0.0.0.0:81", Owner(8, "nginx", "", "f" * 64))]
    assert [one.containers for one in with_containers(found, Machine(tmp_path, {})).listeners] == [("web",), ()]


def test_no_docker_at_all(tmp_path: pathlib.Path) -> None:
    seen = with_containers([on("0.0.0.0:22"), on("0.0.0.0:80", Owner(8, "nginx", "nginx.service"))], Machine(tmp_path, None))
    assert (seen.unknown, [one.containers for one in seen.listeners]) == ("", [(), ()])


def test_docker_holds_a_port_and_no_program_can_ask_it(tmp_path: pathlib.Path) -> None:
    seen = with_containers([on("0.0.0.0:22"), on("0.0.0.0:80", PROXY)], Machine(tmp_path, None))
    assert (seen.unknown, [one.containers for one in seen.listeners]) == ("there is no program docker here to ask", [(), None])


@pytest.mark.parametrize(("published", "holder", "said"), [(False, None, False), (True, None, True), (False, PROXY, True)])
def test_an_engine_that_does_not_answer(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, published: bool, holder: Owner | None, said: bool) -> None:
    """It is silently passed over only where there is nothing of Docker's: the program alone publishes nothing."""
    monkeypatch.setattr("ansible_collections.alfred.portmap.plugins.module_utils._containers.engine_runs", lambda: False)
    machine = Machine(tmp_path, None, "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?")
    seen = with_containers([on("0.0.0.0:80", holder)], machine, published)
    assert ("Cannot connect" in seen.unknown) is said
    assert [one.containers for one in seen.listeners] == [None if holder else ()]


def test_an_engine_that_runs_and_does_not_answer_hides_something(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.alfred.portmap.plugins.module_utils._containers.engine_runs", lambda: True)
    assert "no reason" in with_containers([], Machine(tmp_path, None, "no reason")).unknown


def test_whether_an_engine_runs(tmp_path: pathlib.Path) -> None:
    def process(pid: str, name: str, namespace: pathlib.Path) -> None:
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "comm").write_text(name + "\n")
        (tmp_path / pid / "ns" / "net").symlink_to(namespace)

    here, there = tmp_path / "here", tmp_path / "there"
    here.touch()
    there.touch()
    process("self", "python3", here)
    process("3", "sshd", here)
    process("4", "dockerd", there)
    os.mkdir(tmp_path / "5")  # it ended
    assert not engine_runs(str(tmp_path)), "one of another network namespace publishes nothing here"
    process("6", "dockerd", here)
    assert engine_runs(str(tmp_path))
