# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy is read strictly, and decide() says what it means. That the kernel agrees is asked in tests/kernel."""

from __future__ import annotations

import copy
import dataclasses
import ipaddress
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._policy import Packet, Policy, PolicyError, Rule, Span, decide, time_text

BASTION4, BASTION6 = "203.0.113.10", "2001:db8:1::10"
STRANGER4, STRANGER6 = "198.51.100.66", "2001:db8:66::1"
HOST4, HOST6 = "203.0.113.1", "2001:db8:1::1"
ROUTER6 = "fe80::1"

DATA: dict[str, t.Any] = {
    "networks": {
        "anywhere": ["0.0.0.0/0", "::/0"],
        "bastion": [BASTION4, BASTION6],
        "office": ["192.0.2.0/25", BASTION4],
        "dns_servers": ["198.51.100.53"],
        "nobody": [],
    },
    "ingress": [
        {"name": "ssh", "transport": "tcp", "ports": ["22"], "networks": ["bastion"], "containers": False, "origin": "map.yml:1"},
        {"name": "https", "ports": ["443", 8443], "networks": ["anywhere"]},
        {"name": "turn", "transport": "udp", "ports": ["3478", "49152-49160"], "networks": ["anywhere"]},
        {"name": "db", "ports": ["5432"], "networks": ["nobody", "office"], "containers": True},
        {"name": "db again", "ports": ["5430-5440"], "networks": ["bastion"]},
    ],
    "egress_default": "drop",
    "egress": [
        {"name": "dns", "transport": "udp", "ports": ["53"], "networks": ["dns_servers"]},
        {"name": "web", "ports": ["443"], "networks": ["anywhere"]},
    ],
    "ping": ["office"],
    "container_interfaces": ["docker0", "br-*"],
}
POLICY = Policy.from_data(DATA)


def problems(data: t.Any) -> list[tuple[str, t.Any, str]]:
    with pytest.raises(PolicyError) as caught:
        Policy.from_data(data)
    return caught.value.problems


# reading


def test_what_is_read() -> None:
    assert POLICY.ingress[0] == Rule("ssh", "tcp", (Span(22, 22),), ("bastion",), False, "map.yml:1")
    assert POLICY.ingress[1] == Rule("https", "tcp", (Span(443, 443), Span(8443, 8443)), ("anywhere",), False, "")
    assert POLICY.ingress[3].containers is True
    assert POLICY.networks["office"] == (ipaddress.ip_network("192.0.2.0/25"), ipaddress.ip_network("203.0.113.10/32"))
    assert (POLICY.egress_default, POLICY.ping, POLICY.container_interfaces) == ("drop", ("office",), ("docker0", "br-*"))


def test_no_data_lets_nothing_in_or_out() -> None:
    assert Policy.from_data({}) == Policy({}, (), "drop", (), (), ())


def test_reading_leaves_the_data_alone() -> None:
    before = copy.deepcopy(DATA)
    Policy.from_data(DATA)
    assert before == DATA


@pytest.mark.parametrize(("value", "span"), [("1", (1, 1)), ("65535", (65535, 65535)), (80, (80, 80)), ("80-80", (80, 80)), ("1-65535", (1, 65535))])
def test_ports(value: str | int, span: tuple[int, int]) -> None:
    policy = Policy.from_data({"networks": {"a": []}, "ingress": [{"name": "r", "ports": [value], "networks": ["a"]}]})
    assert policy.ingress[0].ports == (Span(*span),)
    assert str(Span(*span)) == (str(span[0]) if span[0] == span[1] else f"{span[0]}-{span[1]}")


TIMES = "must be a time in UTC from 1970 to 2261, written as 2026-11-26T18:00:00Z"
NO_TIMES = ("", "tonight", "2026-11-26", "2026-11-26T18:00:00", "2026-11-26T18:00:00+01:00", "2026-11-26 18:00:00Z", "2026-11-26T18:00:00z")
NO_TIMES += ("2026-11-26T18:00Z", "2026-11-26T18:00:00Z\n", "2026-02-29T00:00:00Z", "2026-11-26T24:00:00Z", "2026-11-26T18:00:60Z")
NO_TIMES += ("٢٠٢٦-11-26T18:00:00Z", 1795716000, True, [])
NO_TIMES += ("1969-12-31T23:59:59Z", "2262-01-01T00:00:00Z", "9999-12-31T23:59:59Z")  # what nft would turn into another time
PORTS = "must be a port from 1 to 65535 or a range lo-hi"
NO_PORTS = ("0", "65536", "80-79", "0-1", "80-", "http", " 80", "80\n", "٨٠", True, 8.0, None)
NO_ADDRESSES = ("203.0.113.300", "10.0.0.1/8", "10.0.0.0/33", "", "bastion", "10.0.0.1-10.0.0.9", 167772161, None)
NO_ADDRESSES += ("::ffff:192.0.2.1", "fe80::1%eth0", "fe80::%x/64")  # what nft would not take in a set, or never find there
NO_INTERFACES = ("*", "", "a" * 16, "a" * 15 + "*", "br-*0", "a b", 'a"', "a\n", "br/0", None)


def changed(path: str, value: t.Any) -> dict[str, t.Any]:
    """DATA with one value changed; "…+" puts one more in a list."""
    data = copy.deepcopy(DATA)
    place: t.Any = data
    *parents, last = path.split(".")
    for key in parents:
        place = place[int(key) if isinstance(place, list) else key]
    if last == "+":
        place.append(value)
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return data


@pytest.mark.parametrize(
    ("change", "path", "rule"),
    [
        # the policy itself
        (("ingres", []), "ingres", "is no key of a policy"),
        (("ingress", {}), "ingress", "must be a list"),
        (("ingress", None), "ingress", "must be a list"),
        (("egress_default", "reject"), "egress_default", "must be drop or accept"),
        (("egress_default", None), "egress_default", "must be drop or accept"),
        (("egress_default", []), "egress_default", "must be drop or accept"),
        (("ping", "office"), "ping", "must be a list"),
        (("ping.+", "nowhere"), "ping[1]", "is not among the policy's networks"),
        # rules
        (("ingress.0", "ssh"), "ingress[0]", "must be a mapping"),
        (("ingress.0.port", 22), "ingress[0].port", "is no key of a rule"),
        (("egress.0.containers", True), "egress[0].containers", "is no key of a rule"),
        (("egress.0.until", "2026-11-26T18:00:00Z"), "egress[0].until", "is no key of a rule"),
        (("ingress.3.until", "2026-11-26T18:00:00Z"), "ingress[3].until", "can't be with containers: true"),
        *((("ingress.0.until", bad), "ingress[0].until", TIMES) for bad in NO_TIMES),
        (("ingress.0.name", ""), "ingress[0].name", "must be a name"),
        (("ingress.0.name", 22), "ingress[0].name", "must be a name"),
        (("ingress.0.transport", "icmp"), "ingress[0].transport", "must be tcp or udp"),
        (("ingress.0.transport", ["tcp"]), "ingress[0].transport", "must be tcp or udp"),
        (("ingress.0.ports", []), "ingress[0].ports", "must not be empty"),
        (("ingress.0.ports", "22"), "ingress[0].ports", "must be a list"),
        (("ingress.0.ports", None), "ingress[0].ports", "must be a list"),
        (("ingress.0.networks", None), "ingress[0].networks", "must be a list"),
        (("ingress.0.networks.+", "Bastion"), "ingress[0].networks[1]", "is not among the policy's networks"),
        (("ingress.0.networks.+", ["bastion"]), "ingress[0].networks[1]", "is not among the policy's networks"),
        (("ingress.0.containers", "yes"), "ingress[0].containers", "must be true or false"),
        *((("ingress.0.ports.+", bad), "ingress[0].ports[1]", PORTS) for bad in NO_PORTS),
        # addresses, interfaces
        (("networks.bastion", BASTION4), "networks.bastion", "must be a list"),
        *((("networks.bastion.+", bad), "networks.bastion[2]", "is no address or network") for bad in NO_ADDRESSES),
        *((("container_interfaces.+", bad), "container_interfaces[2]", "must be an interface name") for bad in NO_INTERFACES),
    ],
)
def test_a_mistake_is_told_once_with_path_value_and_rule(change: tuple[str, t.Any], path: str, rule: str) -> None:
    (problem,) = problems(changed(*change))
    assert problem[:2] == (path, change[1])
    assert problem[2].startswith(rule)


def test_networks_have_names() -> None:
    assert problems({"networks": ["a"]}) == [("networks", ["a"], "must be a mapping")]
    assert problems({"networks": {"": [], 7: []}}) == [("networks", "", "must be a name"), ("networks", 7, "must be a name")]


def test_all_mistakes_at_once() -> None:
    data = {
        "surprise": 1,
        2: "a key that is no text",
        "networks": {"a": ["1.2.3"], "b": "x", 7: []},
        "ingress": ["x", {"name": "r", "ports": ["0", "1", "x"], "networks": ["a", "c"], "containers": 1}],
        "egress_default": "maybe",
        "egress": [{"ports": [], "networks": "a", "transport": "sctp", "why": ""}],
        "ping": ["a", "d"],
        "container_interfaces": ["ok", "not ok"],
    }
    assert [path for path, _value, _rule in problems(data)] == [
        *("2", "surprise"),
        *("networks.a[0]", "networks.b", "networks"),
        "egress_default",
        *("ingress[0]", "ingress[1].ports[0]", "ingress[1].ports[2]", "ingress[1].networks[1]", "ingress[1].containers"),
        *("egress[0].why", "egress[0].name", "egress[0].transport", "egress[0].ports", "egress[0].networks"),
        "ping[1]",
        "container_interfaces[1]",
    ]


def test_the_message_has_them_all() -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.from_data(changed("ingress.0.ports", ["x", "0"]))
    assert str(caught.value) == f"ingress[0].ports[0]: 'x' {PORTS}; ingress[0].ports[1]: '0' {PORTS}"


# meaning: rules


def into(transport: str, port: int, source: str, **more: t.Any) -> Packet:
    return Packet("input", source, HOST6 if ":" in source else HOST4, transport, port, leaves="", **more)


def out(transport: str, port: int, destination: str, **more: t.Any) -> Packet:
    return Packet("output", HOST6 if ":" in destination else HOST4, destination, transport, port, arrives="", **more)


def through(transport: str, port: int, source: str, destination: str, **more: t.Any) -> Packet:
    return Packet("forward", source, destination, transport, port, **more)


BOX = "172.17.0.2"
NO_IN, NO_OUT, NOT_PUBLISHED = "no rule lets it in", "no rule lets it out", "not sent to a published port"
ANSWER = "answer to what was allowed"


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        # input: who, by which port
        (into("tcp", 22, BASTION4), "ssh"),
        (into("tcp", 22, BASTION6), "ssh"),
        (into("tcp", 22, STRANGER4), NO_IN),
        (into("tcp", 22, STRANGER6), NO_IN),
        (into("udp", 22, BASTION4), NO_IN),
        (into("tcp", 443, STRANGER6), "https"),
        (into("tcp", 8443, STRANGER4), "https"),
        (into("udp", 49152, STRANGER4), "turn"),
        (into("udp", 49160, STRANGER4), "turn"),
        (into("udp", 49151, STRANGER4), NO_IN),
        (into("udp", 49161, STRANGER4), NO_IN),
        (into("sctp", 443, STRANGER4), NO_IN),
        # sources of two rules of one port add up, an exact port and a range
        (into("tcp", 5432, "192.0.2.127"), "db"),
        (into("tcp", 5432, BASTION6), "db again"),
        (into("tcp", 5432, "192.0.2.128"), NO_IN),
        # this host's own containers use what is marked for them, and for the rest they are strangers
        (into("tcp", 5432, BOX, arrives="container"), "db"),
        (into("tcp", 5433, BOX, arrives="container"), NO_IN),
        (into("tcp", 22, BOX, arrives="container"), NO_IN),
        (into("tcp", 443, BOX, arrives="container"), "https"),
        (into("tcp", 5432, BOX), NO_IN),
        # state: answers pass whatever the port, nothing else is asked of a packet
        (into("tcp", 50000, STRANGER4, state="established"), ANSWER),
        (into("udp", 50000, STRANGER4, state="related"), ANSWER),
        (into("tcp", 22, BASTION4, state="invalid"), "ssh"),
        (into("tcp", 22, BASTION4, state="untracked"), "ssh"),
        (into("tcp", 50000, STRANGER4, state="invalid"), NO_IN),
        (into("tcp", 50000, STRANGER4, state="untracked"), NO_IN),
        (into("tcp", 50000, STRANGER4, syn=False, source_port=443), NO_IN),
        # loopback, and the host's own addresses, which come in by it
        (into("tcp", 1, "127.0.0.1", arrives="lo"), "loopback"),
        (into("tcp", 1, HOST6, arrives="lo"), "loopback"),
        (into("tcp", 1, "127.0.0.1"), NO_IN),
        # output
        (out("udp", 53, "198.51.100.53"), "dns"),
        (out("udp", 53, STRANGER4), NO_OUT),
        (out("tcp", 53, "198.51.100.53"), NO_OUT),
        (out("tcp", 443, STRANGER6), "web"),
        (out("tcp", 22, BASTION4), NO_OUT),
        (out("tcp", 1, "127.0.0.1", leaves="lo"), "loopback"),
        (out("tcp", 80, BOX, leaves="container"), "to a container of this host"),
        (out("tcp", 50000, STRANGER4, state="established"), ANSWER),
        (out("tcp", 50000, STRANGER4, state="invalid"), NO_OUT),
        # output: a session of before the first install, in which this host speaks first
        (out("tcp", 50000, STRANGER4, syn=False, source_port=22), "goes on with a session that is older than the table"),
        (out("tcp", 50000, STRANGER4, syn=False, source_port=5440), "goes on with a session that is older than the table"),
        (out("tcp", 50000, STRANGER4, syn=True, source_port=22), NO_OUT),
        (out("tcp", 50000, STRANGER4, syn=False, source_port=3478), NO_OUT),
        (out("udp", 50000, STRANGER4, syn=False, source_port=443), NO_OUT),
        # forward: a published port is asked for by the host's port, whatever the container's is
        (through("tcp", 80, STRANGER4, BOX, leaves="container", published=443), "https"),
        (through("tcp", 443, STRANGER4, BOX, leaves="container", published=80), NO_IN),
        (through("tcp", 5432, "192.0.2.5", BOX, leaves="container", published=5432), "db"),
        (through("tcp", 5432, STRANGER4, BOX, leaves="container", published=5432), NO_IN),
        (through("tcp", 443, STRANGER4, BOX, leaves="container"), NOT_PUBLISHED),
        (through("icmp", 0, "192.0.2.5", BOX, leaves="container", icmp_type=8), NOT_PUBLISHED),
        (through("tcp", 443, BOX, STRANGER4, arrives="container"), "web"),
        (through("tcp", 25, BOX, STRANGER4, arrives="container"), NO_OUT),
        (through("icmp", 0, BOX, STRANGER4, arrives="container", icmp_type=8), "ping"),
        (through("icmp", 0, BOX, STRANGER4, arrives="container", icmp_type=3), NO_OUT),
        (through("tcp", 25, BOX, STRANGER4, arrives="container", syn=False, source_port=443), NO_OUT),
        (through("tcp", 25, STRANGER4, BOX, leaves="container", state="established"), ANSWER),
        (through("tcp", 25, BOX, "172.18.0.2", arrives="container", leaves="container"), "between containers of this host"),
        (through("tcp", 25, STRANGER4, BASTION4), "none of this host's containers is concerned"),
        (through("tcp", 25, STRANGER4, BASTION4, state="invalid"), "none of this host's containers is concerned"),
    ],
)
def test_verdict(packet: Packet, said: str) -> None:
    """`said` is the name of the rule that accepts, or the reason."""
    verdict = decide(POLICY, packet)
    assert (verdict.rule.name if verdict.rule else verdict.reason) == said
    assert verdict.accept is (said not in (NO_IN, NO_OUT, NOT_PUBLISHED))


# meaning: what is implied


def types_accepted(hook: t.Callable[..., Packet], transport: str, peer: str, hop_limit: int) -> set[int]:
    """The ICMP types that an empty policy accepts."""
    return {number for number in range(256) if decide(EMPTY, hook(transport, 0, peer, icmp_type=number, hop_limit=hop_limit)).accept}


EMPTY = Policy.from_data({})
ERRORS6 = {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("hook", "transport", "peer", "hop_limit", "types"),
    [
        (into, "icmp", STRANGER4, 64, {3, 11, 12}),  # RFC 1122: errors, "fragmentation needed" among them
        (into, "icmpv6", STRANGER6, 64, ERRORS6),  # RFC 4890: errors, "packet too big" among them
        (into, "icmpv6", STRANGER6, 255, ERRORS6 | {135, 136}),  # RFC 4861: solicitations come from global addresses too
        (into, "icmpv6", ROUTER6, 255, ERRORS6 | {134, 135, 136, 137} | {130, 131, 132, 143}),
        (into, "icmpv6", ROUTER6, 254, ERRORS6 | {130, 131, 132, 143}),  # who was routed is no neighbour
        (into, "icmpv6", ROUTER6, 1, ERRORS6 | {130, 131, 132, 143}),
        (into, "icmpv6", "::", 255, ERRORS6 | {135, 136} | {130, 131, 132, 143}),  # duplicate address detection, and reports before it is done
        (into, "icmpv6", "::", 1, ERRORS6 | {130, 131, 132, 143}),
        (out, "icmp", STRANGER4, 64, {3, 8, 11, 12}),
        (out, "icmpv6", STRANGER6, 64, ERRORS6 | {128} | {131, 132, 133, 135, 136, 143}),
    ],
)
def test_icmp_types_that_need_no_rule(hook: t.Callable[..., Packet], transport: str, peer: str, hop_limit: int, types: set[int]) -> None:
    assert types_accepted(hook, transport, peer, hop_limit) == types


def test_the_other_familys_icmp_is_none() -> None:
    """icmpv6 numbers in icmp mean something else: 4 is source quench, 135 nothing."""
    assert not types_accepted(into, "icmp", STRANGER4, 255) & {1, 2, 4, 134, 135, 136}


@pytest.mark.parametrize(
    ("hook", "peer", "source_port", "port", "accept"),
    [
        (into, STRANGER4, 67, 68, True),  # renewals are unicast from a server behind a relay
        (into, STRANGER4, 68, 67, False),
        (into, STRANGER4, 67, 67, False),
        (into, STRANGER4, 53, 68, False),
        (into, ROUTER6, 547, 546, True),
        (into, STRANGER6, 547, 546, False),  # RFC 8415: clients are answered on the link
        (into, ROUTER6, 67, 68, False),
        (into, STRANGER4, 547, 546, False),
        (out, "255.255.255.255", 68, 67, True),
        (out, STRANGER4, 68, 67, True),
        (out, STRANGER4, 67, 68, False),
        (out, "ff02::1:2", 546, 547, True),
        (out, "ff02::1:2", 68, 67, False),
        (out, STRANGER4, 546, 547, False),
    ],
)
def test_dhcp_client(hook: t.Callable[..., Packet], peer: str, source_port: int, port: int, accept: bool) -> None:
    assert decide(EMPTY, hook("udp", port, peer, source_port=source_port)).accept is accept
    assert decide(EMPTY, hook("tcp", port, peer, source_port=source_port)).accept is False


@pytest.mark.parametrize(("source", "accept"), [("192.0.2.1", True), (BASTION4, True), (STRANGER4, False), (BASTION6, False)])
def test_who_may_ping(source: str, accept: bool) -> None:
    transport, number = ("icmpv6", 128) if ":" in source else ("icmp", 8)
    assert decide(POLICY, into(transport, 0, source, icmp_type=number)).accept is accept
    assert decide(POLICY, into(transport, 0, source, icmp_type=number + 1)).accept is False, "an echo request only"


@pytest.mark.parametrize("packet", [out("tcp", 25, STRANGER4), through("udp", 9, BOX, STRANGER4, arrives="container"), out("gre", 0, STRANGER6)])
def test_egress_accept_filters_nothing_out(packet: Packet) -> None:
    policy = dataclasses.replace(POLICY, egress_default="accept")
    assert decide(POLICY, packet).accept is False
    assert decide(policy, packet).accept is True
    assert decide(policy, into("tcp", 25, STRANGER4)).accept is False
    assert decide(policy, through("tcp", 25, STRANGER4, BOX, leaves="container", published=25)).accept is False


# time

ENDS = 1795716000  # 2026-11-26T18:00:00Z
OLDER = "goes on with a session that is older than the table"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2026-11-26T18:00:00Z", ENDS), ("1970-01-01T00:00:00Z", 0), ("2261-12-31T23:59:59Z", 9214646399), ("2028-02-29T12:30:01Z", 1835440201), (None, None)],
)
def test_until(text: str | None, seconds: int | None) -> None:
    (rule, *_others) = Policy.from_data(changed("ingress.0.until", text)).ingress
    assert rule.until == seconds
    if seconds is not None:
        assert time_text(seconds) == text


@pytest.mark.parametrize(
    ("packet", "before", "after"),
    [
        (into("tcp", 22, BASTION4), "ssh", NO_IN),
        (into("tcp", 22, BASTION6), "ssh", NO_IN),
        (into("tcp", 22, STRANGER4), NO_IN, NO_IN),
        (into("tcp", 22, BASTION4, state="established"), ANSWER, ANSWER),
        (into("tcp", 443, BASTION4), "https", "https"),
        (through("tcp", 80, BASTION4, BOX, leaves="container", published=22), "ssh", NO_IN),
        (out("tcp", 4711, BASTION4, syn=False, source_port=22), OLDER, OLDER),
    ],
)
def test_a_rule_lets_in_until_its_time(packet: Packet, before: str, after: str) -> None:
    policy = Policy.from_data(changed("ingress.0.until", "2026-11-26T18:00:00Z"))
    for now, said in ((0, before), (ENDS - 0.001, before), (ENDS, after), (ENDS + 1e9, after)):
        verdict = decide(policy, packet, now)
        assert (verdict.rule.name if verdict.rule else verdict.reason) == said


def test_another_rule_of_the_port_stays() -> None:
    policy = Policy.from_data(changed("ingress.3.networks", ["bastion"]))
    ends = dataclasses.replace(policy, ingress=(*policy.ingress[:3], dataclasses.replace(policy.ingress[3], containers=False, until=ENDS), policy.ingress[4]))
    for now, name in ((ENDS - 1, "db"), (ENDS, "db again")):
        rule = decide(ends, into("tcp", 5432, BASTION4), now).rule
        assert rule is not None and rule.name == name


def test_without_a_time_it_is_now() -> None:
    for year, accept in (("2000", False), ("2200", True)):
        policy = Policy.from_data(changed("ingress.0.until", f"{year}-01-01T00:00:00Z"))
        assert decide(policy, into("tcp", 22, BASTION4)).accept is accept
