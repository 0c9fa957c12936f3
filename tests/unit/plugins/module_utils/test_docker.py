# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine tells, read. The engine itself: tests/lab/test_traefik_container.py."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._docker import Docker, DockerError, Published, behind, gateways
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener

# As Docker 20.10 says it.
WEB = {
    "Name": "/web",
    "NetworkSettings": {
        "Ports": {
            "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
            "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}],
        },
        "Networks": {
            "shop": {"Gateway": "172.18.0.1", "IPv6Gateway": ""},
            "six": {"Gateway": "172.19.0.1", "IPv6Gateway": "fd00:80::1"},
            "none": {"Gateway": ""},
        },
    },
}
PLAIN = {"Name": "/plain", "NetworkSettings": {"Ports": {"81/tcp": None}, "Networks": {}}}
HOSTNET = {"Name": "/hostnet", "NetworkSettings": {"Ports": {}}}


def engine(answers: dict[tuple[str, ...], tuple[int, str, str]]) -> Docker:
    """One that was asked before."""
    return Docker(lambda argv: answers[tuple(argv[1:])])


def told(*found: t.Any) -> tuple[int, str, str]:
    """What `docker inspect` prints."""
    return 0, json.dumps(found), ""


def test_published_ports() -> None:
    docker = engine({("ps", "--quiet", "--no-trunc"): (0, "a\nb\nc\n", ""), ("container", "inspect", "a", "b", "c"): told(WEB, PLAIN, HOSTNET)})
    assert docker.published() == [
        Published("web", "tcp", "0.0.0.0", 8080),
        Published("web", "tcp", "::", 8080),
        Published("web", "udp", "127.0.0.1", 53),
    ]


def test_no_container_at_all() -> None:
    assert engine({("ps", "--quiet", "--no-trunc"): (0, "", "")}).published() == []


def test_what_is_not_there_is_none() -> None:
    missing = (1, "[]\n", "Error: No such image: x:1\n")
    assert engine({("image", "inspect", "x:1"): missing}).image_id("x:1") == ""
    assert engine({("container", "inspect", "x"): (1, "[]\n", "Error: No such container: x\n")}).container("x") is None
    # Newer engines say it in another way.
    docker = engine({("network", "inspect", "a"): told({}), ("network", "inspect", "b"): (1, "[]\n", "Error response from daemon: network b not found\n")})
    assert docker.missing_networks(["a", "b"]) == ["b"]


@pytest.mark.parametrize(
    "answer", [(1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"), (0, "<html>", "")]
)
def test_an_engine_that_does_not_answer_is_no_empty_one(answer: tuple[int, str, str]) -> None:
    with pytest.raises(DockerError):
        engine({("image", "inspect", "x"): answer}).image_id("x")


def test_no_program() -> None:
    def not_there(argv: list[str]) -> tuple[int, str, str]:
        raise FileNotFoundError(2, "No such file or directory", argv[0])

    with pytest.raises(DockerError, match="can't be run"):
        Docker(not_there).published()


def listener(address: str, port: int, transport: str = "tcp") -> Listener:
    """A socket."""
    return Listener(transport, address, port, 6 if ":" in address else 4, False, "", 0, 1)


def test_which_container_is_behind_a_socket() -> None:
    there = [
        Published("one", "tcp", "127.0.0.1", 80),
        Published("two", "tcp", "192.0.2.1", 80),
        Published("all", "tcp", "0.0.0.0", 81),
        Published("u", "udp", "", 80),
    ]
    assert behind(listener("127.0.0.1", 80), there) == ["one"]
    assert behind(listener("192.0.2.1", 80), there) == ["two"]
    assert behind(listener("192.0.2.9", 80), there) == []
    assert behind(listener("::", 81), there) == ["all"]  # dockerd holds one socket for both families
    assert behind(listener("0.0.0.0", 80, "udp"), there) == ["u"]


def test_the_hosts_addresses_towards_a_container() -> None:
    assert gateways(WEB) == ["172.18.0.1", "172.19.0.1", "fd00:80::1"]
    assert gateways({}) == []
