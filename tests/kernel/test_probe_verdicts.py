# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module probe where somebody stands between: silence, refusals and missing ways are told apart."""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

import pytest
from netlab import HOST4, HOST6, Lab

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOWHERE4, NOWHERE6 = "198.51.100.1", "2001:db8:ffff::1"
NOBODY4, NOBODY6 = "203.0.113.77", "2001:db8:1::77"  # in the outside's own networks

# 1 and 2: dropped, 3: refused, 4, 6 and 8: rejected in other words, all else passes; nobody listens.
POLICY = """
table inet test {
    chain input {
        type filter hook input priority filter; policy accept;
        meta l4proto { tcp, udp } th dport { 1, 2 } drop
        tcp dport 3 reject with tcp reset
        udp dport 3 reject
        meta l4proto { tcp, udp } th dport 4 reject with icmpx admin-prohibited
        meta l4proto { tcp, udp } th dport 6 reject with icmpx no-route
        meta l4proto { tcp, udp } th dport 8 reject with icmpx host-unreachable
    }
}
"""
OUTGOING = """
table inet test {
    chain output {
        type filter hook output priority filter; policy accept;
        meta l4proto { tcp, udp } th dport 7 drop
    }
}
"""


@pytest.fixture(scope="module", autouse=True)
def policies(lab: Lab) -> None:
    """Load them; the outside knows no way to one network."""
    lab.host.nft(POLICY)
    lab.host.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
    lab.outside.nft(OUTGOING)
    lab.outside.run("ip", "route", "del", "default", check=False)
    lab.outside.run("ip", "-6", "route", "del", "default", check=False)


def probe(lab: Lab, *questions: dict[str, t.Any]) -> list[tuple[str, str]]:
    """(verdict, detail) of each question, asked from outside by the module itself."""
    asked = [{"name": "q", "timeout": 0.4, **question} for question in questions]
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"questions": asked, "fail_on_findings": False}})
    module = [sys.executable, "-m", "ansible_collections.alfred.portmap.plugins.modules.probe"]
    answer = json.loads(lab.outside.run("env", f"PYTHONPATH={ROOT / 'collections'}", *module, text=arguments))
    return [(one["verdict"], one["detail"]) for one in answer["answers"]]


@pytest.mark.parametrize("address", [HOST4, HOST6])
@pytest.mark.parametrize("kind", ["tcp", "udp", "dns", "http"])
def test_what_stands_between_is_told_apart(lab: Lab, address: str, kind: str) -> None:
    found = probe(lab, *({"target": address, "port": port, "kind": kind} for port in (1, 3, 5, 7)))
    own = "" if kind in ("tcp", "http") else "by this host's own policy"  # of a SYN that is dropped here nobody is told
    assert found == [("filtered", ""), ("refused", ""), ("refused", ""), ("filtered", own)]


@pytest.mark.parametrize("address", [HOST4, HOST6])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_firewall_that_says_unreachable_is_not_silent(lab: Lab, address: str, kind: str) -> None:
    # without the network's delay the first answer comes while connect() still holds the socket: the second SYN's counts (1 s)
    found = probe(lab, *({"target": address, "port": port, "kind": kind, "timeout": 3} for port in (4, 6, 8)))
    assert [verdict for verdict, _detail in found] == ["unreachable"] * 3
    assert all(detail for _verdict, detail in found)


@pytest.mark.parametrize("address", [NOWHERE4, NOWHERE6])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_no_way_there_proves_nothing(lab: Lab, address: str, kind: str) -> None:
    assert probe(lab, {"target": address, "port": 22, "kind": kind}) == [("unreachable", "Network is unreachable")]


def test_a_host_that_is_down_is_silent_until_the_kernel_gives_it_up(lab: Lab) -> None:
    """After three unanswered ARP requests or solicitations, one a second; whoever asks for less time takes it for a policy."""
    places = [{"target": target, "port": 22, "kind": kind} for target in (NOBODY4, NOBODY6) for kind in ("tcp", "udp")]
    assert probe(lab, *places) == [("filtered", "")] * 4
    assert probe(lab, *({**place, "timeout": 20} for place in places)) == [("unreachable", "No route to host")] * 4


def test_an_address_that_is_not_ours_cannot_ask(lab: Lab) -> None:
    assert probe(lab, {"target": HOST4, "port": 1, "source": "192.0.2.77"}) == [("unreachable", "this host has no address to ask from")]


def test_hundreds_of_silent_ports_are_waited_for_together(lab: Lab) -> None:
    """One after another they would take minutes; the module's run would be killed by then."""
    found = probe(lab, *({"target": (HOST4, HOST6)[number % 2], "port": 1 + number % 2} for number in range(500)))
    assert set(found) == {("filtered", "")}
