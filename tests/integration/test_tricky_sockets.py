# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules among real sockets that others get wrong (tricky_sockets.py), and among ten thousand."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import typing as t

import pytest
import tricky_sockets
from tricky_sockets import waiting

MODULES = "ansible_collections.alfred.portmap.plugins.modules"
MANY = 5000  # of each transport


def module(name: str, **options: t.Any) -> dict[str, t.Any]:
    """What a module answers, run as Ansible runs it on a host."""
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": options})
    done = subprocess.run([sys.executable, "-m", f"{MODULES}.{name}"], input=arguments, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    answer: dict[str, t.Any] = json.loads(done.stdout)
    return answer


# the guests: what runs in the namespaces


def among_tricky_ones() -> dict[str, t.Any]:
    """What the modules say among the tricky sockets."""
    told = module("listening_ports_info")
    expected = [
        {"name": one["case"], "transport": one["transport"], "ports": str(one["port"]), "bind": bind(one), "owner": [shown(one["process"])]}
        for one in json.loads(os.environ["TRICKY"])
        if one["process"] != "worker" or "first" in one["case"]
    ]
    return {"truth": json.loads(os.environ["TRICKY"]), "listeners": told["listeners"], "compared": module("listening_ports", expected=expected, strict=True)}


def shown(name: str) -> str:
    """A process's name on one line."""
    return name.replace("\n", "?")


def bind(one: dict[str, t.Any]) -> str:
    """What a map would say of such a socket."""
    return "any" if any(one["reached"][address] for address in tricky_sockets.PLACES) else "loopback"


def among_many() -> dict[str, t.Any]:
    """What the module says among ten thousand, of which one is missing, one is another's and one nobody knows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 65536, hard))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    made = [waiting(transport, "0.0.0.0") for transport in ("tcp", "udp") for _number in range(MANY)]
    kinds = ["tcp"] * MANY + ["udp"] * MANY
    places = [(kind, one.getsockname()[1]) for kind, one in zip(kinds, made)]
    expected = [{"name": f"{kind}{port}", "transport": kind, "ports": str(port)} for kind, port in places]
    nobody, other, gone = expected.pop(7), expected[8], expected[9]
    other["owner"] = ["somebody-else"]
    made[10].close()
    answer = module("listening_ports", expected=expected, strict=True, fail_on_findings=False)
    return {
        "findings": sorted((one["kind"], one["name"], one["port"]) for one in answer["findings"]),
        "said": sorted([("unexpected", "", nobody["ports"]), ("wrong owner", other["name"], other["ports"]), ("missing", gone["name"], gone["ports"])]),
        "count": len(answer["listeners"]),
        "known": sum(one["pid"] == os.getpid() and len(one["expected"]) == 1 for one in answer["listeners"]),
    }


def knock() -> list[t.Any]:
    """Which TCP connections come about."""
    return [
        (one, {address: arrives(address, one["port"]) for address in one["reached"]}) for one in json.loads(os.environ["TRICKY"]) if one["transport"] == "tcp"
    ]


def arrives(address: str, port: int) -> bool:
    """Whether a connection does."""
    try:
        socket.create_connection((address, port), 5).close()
    except OSError:
        return False
    return True


# the tests


def run(done: subprocess.CompletedProcess[str]) -> dict[str, t.Any]:
    """What a guest printed."""
    assert done.returncode == 0, done.stderr
    found: dict[str, t.Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def among() -> dict[str, t.Any]:
    """What is said among the tricky sockets."""
    return run(tricky_sockets.among(sys.executable, __file__, "tricky", PYTHONPATH=os.pathsep.join(sys.path)))


def reached(listeners: list[dict[str, t.Any]], address: str) -> bool:
    """Whether a reader of our answer thinks that traffic to an address arrives."""
    family, loopback = ("ipv6", "::1") if ":" in address else ("ipv4", "127.0.0.1")
    wild = ("0.0.0.0", "::")
    return any(
        (one["address"] in wild and family in one["serves"] and (one["interface"] != "lo" or address == loopback)) or one["address"] == address
        for one in listeners
    )


def test_each_socket_is_told_as_it_is(among: dict[str, t.Any]) -> None:
    assert len(among["truth"]) > 30
    wrong = []
    for one in among["truth"]:
        ours = [found for found in among["listeners"] if (found["transport"], found["port"]) == (one["transport"], one["port"])]
        said = {address: reached(ours, address) for address in one["reached"]}
        names = {found["process"] for found in ours}
        if said != one["reached"] or (any(said.values()) and names != {shown(one["process"])}):
            wrong.append((one, ours))
    assert wrong == []


def test_what_takes_no_traffic_is_no_listener(among: dict[str, t.Any]) -> None:
    ports = {(one["transport"], one["port"]) for one in among["listeners"]}
    silent = [one for one in among["truth"] if not any(one["reached"].values())]
    assert [one["case"] for one in silent if (one["transport"], one["port"]) in ports] == ["IPv4, on another loopback address"] * 2


def test_a_map_of_them_is_fulfilled_but_by_those_that_do_not_listen(among: dict[str, t.Any]) -> None:
    """In strict mode, with the owner of each: nothing is unexpected, at a wrong address or in wrong hands."""
    findings = among["compared"]["findings"]
    assert {one["kind"] for one in findings if one["transport"] != "udp" or one["name"]} == {"missing"}
    assert {one["name"] for one in findings if one["name"]} == {"connected: no listener", "bound, does not listen", "a session whose listener has ended"}
    assert len([one for one in findings if not one["name"]]) == 1, "the server of the connected one, which the map lacks"
    assert {one["exposure"] for one in among["compared"]["listeners"] if one["interface"] == "lo"} == {"loopback"}


def test_workers_of_one_port_are_told_one_by_one(among: dict[str, t.Any]) -> None:
    (port,) = {one["port"] for one in among["truth"] if one["process"] == "worker"}
    workers = [one for one in among["listeners"] if one["port"] == port and one["transport"] == "tcp"]
    assert len(workers) == len({one["pid"] for one in workers}) == 2


def test_ten_thousand_sockets() -> None:
    argv = ["unshare", "--net", *(["--map-root-user"] if os.geteuid() else []), sys.executable, __file__, "many"]
    told = run(subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}))
    assert told["findings"] == told["said"]
    assert (told["count"], told["known"]) == (2 * MANY - 1, 2 * MANY - 2)


def test_the_truth_is_what_arrives() -> None:
    """What tricky_sockets.py says of its TCP sockets, asked by connecting to each address."""
    for one, arrived in run(tricky_sockets.among(sys.executable, __file__, "knock", PYTHONPATH=os.pathsep.join(sys.path))):  # type: ignore[misc]
        if "bound to lo" in one["case"]:  # from here every own address is by way of lo
            arrived = {address: yes and address in ("127.0.0.1", "::1") for address, yes in arrived.items()}
        assert arrived == one["reached"], one["case"]


if __name__ == "__main__":
    print(json.dumps({"many": among_many, "tricky": among_tricky_ones, "knock": knock}[sys.argv[1]]()))
