# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`explain` agrees with the kernel: every pair of the lab's hosts, every port of the map, both families, tcp."""

from __future__ import annotations

import collections
import json
import typing as t

import lab
import pytest
from conftest import run

from ansible_collections.alfred.portmap.plugins.plugin_utils._explain import explain

Data = dict[str, t.Any]

ADDRESSES = {**lab.ADDRESSES, "outsider": lab.OUTSIDER}
WORLD = ["198.51.100.53", "198.51.100.123", "198.51.100.80", "2001:db8:2::53", "2001:db8:2::123", "2001:db8:2::80"]
UNDECLARED = [25, 123, 4444, 31337]  # the map opens none of them to tcp

# Computes the plan from the lab's real inventory, as every playbook does, and keeps it where Python can read it.
PLAYBOOK = [
    {
        "hosts": "all",
        "gather_facts": False,
        "roles": ["alfred.portmap.port_map"],
        "tasks": [
            {
                "ansible.builtin.copy": {"content": "{{ port_map_plan | to_json }}", "dest": "{{ file }}", "mode": "0644"},
                "delegate_to": "localhost",
                "vars": {"ansible_connection": "local", "ansible_become": False},
                "run_once": True,
            }
        ],
    }
]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("explain")
    (folder / "plays.json").write_text(json.dumps(PLAYBOOK), encoding="utf-8")
    run(str(folder / "plays.json"), "-e", f"file={folder}/plan.json")
    return t.cast(Data, json.loads((folder / "plan.json").read_text(encoding="utf-8")))


def ports_of_the_map(plan: Data) -> list[int]:
    """Whatever a listener or a rule names, of a range the first; the ports of udp are asked for too."""
    named = {listener["ports"] for host in plan["hosts"].values() for listener in host["listeners"]}
    named |= {ports for host in plan["hosts"].values() for way in ("ingress", "egress") for rule in host["firewall"][way] for ports in rule["ports"]}
    return sorted({int(ports.partition("-")[0]) for ports in named})


def said(plan: Data, ports: t.Iterable[int]) -> dict[tuple[str, str, int], Data]:
    """(asking host, address asked, port) to its explanation."""
    found = {}
    for vantage in ADDRESSES:
        for target in ADDRESSES:
            for port in ports:
                for way in explain(plan, vantage, target, str(port))["ways"]:
                    found[vantage, way["to"]["address"], port] = way
    return found


def expected(vantage: str, address: str, port: int, way: Data) -> set[str]:
    """What the wire may show if the explanation is right. A refusal came through every policy: let in, and nobody is there."""
    if way["verdict"] != "open":
        return {"dropped"}
    if any(listener["reached"] for listener in way["listeners"]):
        return {"open"}
    return {"open", "refused"} if address in lab.OUTSIDER else {"refused"}  # what listens on the outsider the map does not say


def test_it_agrees_with_the_kernel_everywhere(plan: Data) -> None:
    ports = ports_of_the_map(plan)
    assert {port for listening in lab.LISTENING.values() for port in listening} <= set(ports), "all that the lab has is on the map"
    assert not set(UNDECLARED) & {port for listening in lab.LISTENING.values() for port in listening}
    ports = sorted({*ports, *UNDECLARED})
    explained = said(plan, ports)
    assert len(explained) == len(ADDRESSES) ** 2 * 2 * len(ports)

    wrong, seen = [], collections.Counter()
    for vantage in ADDRESSES:
        questions = [(address, port) for who, address, port in explained if who == vantage]
        answers = lab.connect(vantage, questions)
        late = [
            (address, port) for (address, port), answer in answers.items() if answer not in expected(vantage, address, port, explained[vantage, address, port])
        ]
        answers |= lab.connect(vantage, late, seconds=2 * lab.SECONDS) if late else {}  # a busy machine is no finding
        for (address, port), answer in answers.items():
            way = explained[vantage, address, port]
            seen[way["verdict"], answer] += 1
            if answer not in expected(vantage, address, port, way):
                wrong.append((vantage, address, port, way["verdict"], answer))
    print(f"{len(ADDRESSES) ** 2} pairs of hosts x {len(ports)} ports x 2 families = {len(explained)} questions, {len(wrong)} disagreements")
    for (verdict, answer), count in sorted(seen.items()):
        print(f"  {verdict} and {answer}: {count}")
    assert wrong == []
    # The comparison is worth something only where each of these was met.
    assert {verdict for verdict, _answer in seen} == {"open", "closed", "half"}
    assert {answer for _verdict, answer in seen} == {"open", "refused", "dropped"}


def test_it_agrees_about_strangers_and_udp(plan: Data) -> None:
    """What lies outside the inventory: only the asking host's policy counts, and what it lets out is answered."""
    for vantage in lab.ADDRESSES:
        questions = [(address, port) for address in WORLD for port in (25, 53, 80, 123, 443)]
        for (address, port), answer in lab.connect(vantage, questions).items():
            (way,) = explain(plan, vantage, address, str(port))["ways"]
            assert answer in ({"open", "refused"} if way["verdict"] == "open" else {"dropped"}), (vantage, address, port, way)
    for address in WORLD:
        for port, payload in ((53, lab.DNS_QUESTION), (123, lab.NTP_QUESTION)):
            (way,) = explain(plan, "core1", address, str(port), "udp")["ways"]
            there = lab.datagram("outsider", address, port, payload) == "answered"
            answered = lab.datagram("core1", address, port, payload) == "answered"
            assert answered == (there and way["verdict"] == "open"), (address, port, way)
