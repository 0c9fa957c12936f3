# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""decide() says what the kernel does: random policies, random packets, thousands of cases.

Every packet has a source port of its own. A second table, after ours, notes the source ports of all packets that ours let
through and drops them, so that nothing answers. What decide() accepts must be in that note, and nothing else.
"""

from __future__ import annotations

import json
import random
import time
import typing as t

import pytest
from netlab import BOX1_4, BOX1_6, BOX2_4, BOX2_6, DOCKER4, DOCKER6, GUEST4, GUEST6, HOST4, HOST6, PUBLISHED4, PUBLISHED6, Lab

from ansible_collections.alfred.portmap.plugins.module_utils._policy import Packet, Policy, decide
from ansible_collections.alfred.portmap.plugins.module_utils._ruleset import render

POLICIES = 60
PACKETS = 120  # for each policy
SEED = 20261124

RECORDER = (
    """
table inet recorder {
    set seen {
        type inet_service
        flags dynamic
        size 65535
    }
    counter arrived {
    }
    chain early_input {
        type filter hook input priority filter - 50; policy accept;
        meta l4proto { tcp, udp } counter name arrived
    }
    chain early_output {
        type filter hook output priority filter - 50; policy accept;
        meta l4proto { tcp, udp } counter name arrived
    }
    chain early_forward {
        type filter hook forward priority filter - 50; policy accept;
        meta l4proto { tcp, udp } counter name arrived
    }
    chain note {
        meta l4proto { tcp, udp } add @seen { th sport }
        meta l4proto { tcp, udp } drop
    }
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr PUBLISHED4 meta l4proto { tcp, udp } dnat ip to BOX1_4:80
        ip6 daddr PUBLISHED6 meta l4proto { tcp, udp } dnat ip6 to [BOX1_6]:80
    }
    chain input {
        type filter hook input priority filter + 20; policy accept;
        jump note
    }
    chain output {
        type filter hook output priority filter + 20; policy accept;
        jump note
    }
    chain forward {
        type filter hook forward priority filter + 20; policy accept;
        jump note
    }
}
""".replace("PUBLISHED4", PUBLISHED4)
    .replace("PUBLISHED6", PUBLISHED6)
    .replace("BOX1_4", BOX1_4)
    .replace("BOX1_6", BOX1_6)
)

# A small world, so that random rules and random packets often meet.
PEERS = {
    4: [f"203.0.113.{last}" for last in range(64, 80)] + ["198.51.100.7", "198.51.100.130"],
    6: [f"2001:db8:1::{last:x}" for last in range(64, 80)] + ["2001:db8:9::7"],
}
CIDRS = ["203.0.113.64/28", "203.0.113.64/30", "203.0.113.72/29", "203.0.113.65", "203.0.113.79", "198.51.100.0/25", "198.51.100.0/24"]
CIDRS += ["2001:db8:1::40/124", "2001:db8:1::48/125", "2001:db8:1::41", "2001:db8:9::/64", f"{BOX1_4}", f"{BOX1_6}", f"{GUEST4}", "192.0.2.0/24"]
PORTS = range(1, 41)


def random_policy(chance: random.Random) -> dict[str, t.Any]:
    """A policy of that world: overlapping networks, exact ports and ranges on top of each other."""
    networks = {f"net {index}": sorted(chance.sample(CIDRS, chance.randint(0, 4))) for index in range(6)}
    networks["anywhere"] = ["0.0.0.0/0", "::/0"]
    networks["all of one family"] = [chance.choice(["0.0.0.0/0", "::/0"]), chance.choice(CIDRS)]

    def rules(way: str) -> list[dict[str, t.Any]]:
        found = []
        for index in range(chance.randint(0, 9)):
            ports = []
            for _port in range(chance.randint(1, 3)):
                low = chance.choice(PORTS)
                ports.append(str(low) if chance.random() < 0.6 else f"{low}-{low + chance.randint(1, 12)}")
            rule = {
                "name": f"rule {index}",
                "transport": chance.choice(["tcp", "udp"]),
                "ports": ports,
                "networks": chance.sample(sorted(networks), chance.randint(1, 2)),
            }
            if way == "ingress":
                # Long over, or long to come: how it ends is tested in test_until.py.
                until = chance.choice(["1970-01-01T00:00:00Z", "2001-09-09T01:46:40Z", "2261-12-31T23:59:59Z"]) if chance.random() < 0.3 else None
                rule.update(until=until, containers=until is None and chance.random() < 0.4)
            found.append(rule)
        return found

    return {
        "networks": networks,
        "ingress": rules("ingress"),
        "egress_default": "accept" if chance.random() < 0.1 else "drop",
        "egress": rules("egress"),
        "ping": [],
        "container_interfaces": ["docker0", "br-*"] if chance.random() < 0.9 else [],
    }


def random_case(chance: random.Random, sport: int, containers: bool) -> tuple[str, dict[str, t.Any], Packet]:
    """(sending namespace, what it sends, how the host's hook sees it)."""
    version = chance.choice([4, 6])
    peer = chance.choice(PEERS[version])
    transport = chance.choice(["tcp", "udp"])
    dport = chance.choice(PORTS)
    host, published = (HOST4, PUBLISHED4) if version == 4 else (HOST6, PUBLISHED6)
    box1, box2, docker, guest = (BOX1_4, BOX2_4, DOCKER4, GUEST4) if version == 4 else (BOX1_6, BOX2_6, DOCKER6, GUEST6)
    contained = "container" if containers else "other"
    sender, source, destination, hook, arrives, leaves, seen_port, host_port = chance.choice(
        [
            ("outside", peer, host, "input", "other", "", dport, None),
            ("box1", box1, docker, "input", contained, "", dport, None),
            ("box1", box1, host, "input", contained, "", dport, None),
            ("host", host, peer, "output", "", "other", dport, None),
            ("host", docker, box1, "output", "", contained, dport, None),
            ("outside", peer, published, "forward", "other", contained, 80, dport),
            ("outside", peer, box1, "forward", "other", contained, dport, None),
            ("box1", box1, peer, "forward", contained, "other", dport, None),
            ("box1", box1, box2, "forward", contained, contained, dport, None),
            ("guest", guest, peer, "forward", "other", "other", dport, None),
            ("guest", guest, box2, "forward", "other", contained, dport, None),
        ]
    )
    sent = {"source": source, "destination": destination, "protocol": transport, "sport": sport, "dport": dport}
    seen = Packet(
        hook, source, box1 if host_port else destination, transport, seen_port, arrives=arrives, leaves=leaves, published=host_port, source_port=sport
    )
    return sender, sent, seen


def observed(lab: Lab, sent: int) -> set[int]:
    """The source ports that came through, once every packet has reached a hook of the host."""
    deadline = time.monotonic() + 10
    while True:
        listed = json.loads(lab.host.run("nft", "-j", "list", "counter", "inet", "recorder", "arrived"))
        arrived = next(item["counter"]["packets"] for item in listed["nftables"] if "counter" in item)
        if arrived == sent:
            break
        assert time.monotonic() < deadline, f"{sent} packets were sent, and {arrived} reached the host's hooks"
        time.sleep(0.01)
    listed = json.loads(lab.host.run("nft", "-j", "list", "set", "inet", "recorder", "seen"))
    return {element for item in listed["nftables"] for element in item.get("set", {}).get("elem", [])}


@pytest.fixture(scope="module")
def world(lab: Lab) -> Lab:
    """The lab with the recorder loaded."""
    lab.host.nft(RECORDER)
    return lab


def play(world: Lab, seed: int) -> tuple[int, int]:
    """One policy and its packets: (cases, accepted). Fails with the first case that differs, and its seed."""
    chance = random.Random(seed)
    data = random_policy(chance)
    policy = Policy.from_data(data)
    world.host.nft(render(policy))
    world.host.run("nft", "flush", "set", "inet", "recorder", "seen")
    world.host.run("nft", "reset", "counter", "inet", "recorder", "arrived")
    cases = {sport: random_case(chance, sport, bool(policy.container_interfaces)) for sport in range(10_000, 10_000 + PACKETS)}
    by_sender: dict[str, list[dict[str, t.Any]]] = {"outside": [], "box1": [], "guest": [], "host": []}
    for sender, sent, _seen in cases.values():
        by_sender[sender].append(sent)
    for sender, packets in by_sender.items():
        getattr(world, sender).send(packets)
    through = observed(world, len(cases))
    for sport, (sender, sent, seen) in cases.items():
        verdict = decide(policy, seen)
        kernel = "accepts" if sport in through else "drops"
        said = "accept" if verdict.accept else "drop"
        assert verdict.accept == (sport in through), (
            f"seed {seed}: the kernel {kernel}, decide() says {said} ({verdict.reason})\n{sender} sends {sent}\n"
            f"the host sees {seen}\npolicy {json.dumps(data, indent=1)}"
        )
    return len(cases), len(through)


def test_decide_agrees_with_the_kernel(world: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    counts = [play(world, SEED + index) for index in range(POLICIES)]
    total, accepted = sum(cases for cases, _through in counts), sum(through for _cases, through in counts)
    with capsys.disabled():
        print(f"\ndecide() and the kernel agree on {total} packets under {POLICIES} random policies ({accepted} accepted, {total - accepted} dropped)")
    assert total >= 5000
    assert 0.15 < accepted / total < 0.85, "the cases must try both verdicts"
