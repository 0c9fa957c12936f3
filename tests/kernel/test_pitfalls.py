# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with nftables rulesets, one test for each, on the real kernel.

The known pitfalls by number, and where each is tested (here, if no file is named):

 1  an accept is not final, a drop is ............. test_a_later_drop_is_not_overridden, test_a_later_accept_does_not_reopen
 2  others' tables ................................ test_others_are_left_alone (and test_firewall_module.py)
 3  one transaction, replaced and not added to .... test_loading_twice, test_a_broken_text_changes_nothing, test_a_reload_has_no_gap
 4, 5  `destroy`, `flags owner` ................... unit/…/test_ruleset.py: no text has them
 6  a listing that does not load again ............ test_listing_is_a_fixed_point
 7  the kernel's own words ........................ test_a_large_policy (and test_firewall_module.py: drift)
 8  counters and handles .......................... unit/…/test_ruleset.py (no counters), test_firewall_module.py
 9  neighbour discovery, MLD ...................... test_neighbours_are_found_again, test_multicast_groups_are_reported, test_implied_packets
10  loopback ...................................... test_loopback_and_own_addresses
11  DHCP client ................................... test_implied_packets
12  ICMP errors ................................... test_path_mtu_is_learnt, test_implied_packets
13  invalid, untracked ............................ test_only_the_port_counts_whatever_the_state, test_others_forwarding_is_untouched
14  one family only, extension headers ............ test_extension_headers_hide_no_port
15  overlapping intervals, empty sets ............. unit/…/test_ruleset.py, test_listing_is_a_fixed_point (golden/data)
16  names that nft does not take .................. test_names_of_people
17  interfaces that are not there yet ............. test_listing_is_a_fixed_point (golden/docker, in a namespace without docker0)
19  published ports ............................... test_published_ports_*, test_containers_*, test_others_forwarding_is_untouched
20  iptables-legacy ............................... test_firewall_module.py: conflicts
21  concurrency ................................... test_firewall_module.py: two runs at once
—   the first install ............................. test_a_first_install_*; a reload: test_a_reload_cuts_no_session
—   fragments, logging ............................ test_fragments_are_judged_as_a_whole, test_the_log_is_bounded

Not here: 18 (`nft -o` is never run), 22 (one nft is tried, that of this machine), 23 (what these namespaces are), 24 (the socket table),
25 (sshd).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import pathlib
import random
import socket
import threading
import time
import typing as t

import pytest
import talk
from hosts import Host
from netlab import BOX1_4, BOX1_6, BOX2_4, BOX2_6, DOCKER4, DOCKER6, GUEST4, GUEST6, HOST4, HOST6, PUBLISHED4, PUBLISHED6, Lab, Namespace, wired
from talk import ACK, FIN, PSH, RST, SYN, counted, datagram, fates, icmp, inside, made, session, tcp, through, translated, udp

from ansible_collections.alfred.portmap.plugins.module_utils._policy import Packet, Policy, decide
from ansible_collections.alfred.portmap.plugins.module_utils._ruleset import render

OUTSIDE4, OUTSIDE6 = "203.0.113.99", "2001:db8:1::99"
GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "unit/plugins/module_utils/golden"
LOG = {"enabled": True, "rate": 10, "burst": 5, "prefix": "portmap"}
EVERYWHERE = {"anywhere": ["0.0.0.0/0", "::/0"], "outside": [OUTSIDE4, OUTSIDE6], "elsewhere": ["198.51.100.0/24", "2001:db8:99::/64"], "nobody": []}
FAMILIES = pytest.mark.parametrize("host_address", [HOST4, HOST6], ids=["v4", "v6"])

_free_ports = itertools.count(20000)


def free_port() -> int:
    """A port that no other test used: the kernel remembers flows longer than a test lasts."""
    return next(_free_ports)


def rule(*ports: int | str, networks: str = "anywhere", transport: str = "tcp", **more: t.Any) -> dict[str, t.Any]:
    return {"name": "a rule", "transport": transport, "ports": [str(port) for port in ports], "networks": [networks], **more}


def policy(*ingress: dict[str, t.Any], egress: t.Sequence[dict[str, t.Any]] = (), **more: t.Any) -> dict[str, t.Any]:
    """In by these rules, out by those, on a host with containers."""
    return {"networks": EVERYWHERE, "ingress": [*ingress], "egress": [*egress], "container_interfaces": ["docker0", "br-*"], **more}


def put(lab: Lab, data: dict[str, t.Any]) -> None:
    """Put a policy in force on the host."""
    lab.host.nft(render(Policy.from_data(data), log=LOG))


@pytest.fixture(autouse=True)
def _no_tables(request: pytest.FixtureRequest) -> t.Iterator[None]:
    """Each test finds a host without tables."""
    yield
    if "lab" in request.fixturenames:
        request.getfixturevalue("lab").host.run("nft", "flush", "ruleset")


@pytest.fixture
def untracked() -> t.Iterator[Lab]:
    """A lab of its own, in which no flow was ever tracked."""
    with wired() as made_anew:
        yield made_anew


def peer_of(address: str) -> str:
    """The address outside of the same family."""
    return OUTSIDE6 if ":" in address else OUTSIDE4


# what every host needs


def test_neighbours_are_found_again(lab: Lab) -> None:
    """Dropped neighbour discovery is not seen until the cache runs out: then IPv6 is dead."""
    port = free_port()
    put(lab, policy(rule(port), egress=[rule(port)]))
    ways = ((lab.outside, lab.host, HOST6), (lab.host, lab.outside, OUTSIDE6), (lab.box1, lab.host, DOCKER6), (lab.host, lab.box1, BOX1_6))
    for caller, called, address in ways:
        for namespace in (lab.host, lab.outside, lab.box1):
            namespace.run("ip", "-6", "neigh", "flush", "all")
        assert session(caller, called, address, port).goes_on("client")


def test_multicast_groups_are_reported(lab: Lab) -> None:
    """Switches that snoop send a group only to whoever reported it."""
    put(lab, policy())
    with inside(lab.host):
        interface = socket.if_nametoindex("ext0")
    group = made(lab.host, "::", socket.SOCK_DGRAM)

    def join() -> None:
        group.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, "ff15::66") + interface.to_bytes(4, "little"))

    with group:
        assert through(lab.host, 'oifname "ext0" icmpv6 type mld2-listener-report', join) >= 1


@pytest.mark.parametrize("tracked", [True, False], ids=["tracked", "untracked"])
@FAMILIES
def test_path_mtu_is_learnt(untracked: Lab, host_address: str, tracked: bool) -> None:
    """A router says "too big": the host sends smaller packets, also where the flow is not tracked and the error is not "related"."""
    lab, far, port = untracked, ("2001:db8:99::7" if ":" in host_address else "198.51.100.7"), free_port()
    family = "-6" if ":" in far else "-4"
    lab.outside.run("ip", "link", "add", "narrow", "mtu", "1300", "type", "veth", "peer", "name", "beyond")
    for end in ("narrow", "beyond"):
        lab.outside.run("ip", "link", "set", end, "up")
    lab.outside.run("ip", family, "route", "add", f"{far}/{128 if ':' in far else 32}", "dev", "narrow")
    lab.outside.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    put(lab, policy(egress=[rule(port, transport="udp", networks="elsewhere")]))
    if not tracked:
        lab.host.nft("table inet raw { chain output { type filter hook output priority raw; meta l4proto udp notrack; }; }")
    level, discover, mtu = (socket.IPPROTO_IPV6, 23, 24) if ":" in far else (socket.IPPROTO_IP, 10, 14)  # linux/in.h, linux/in6.h
    with made(lab.host, far, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(level, discover, 2)  # never fragment
        sender.connect((far, port))
        deadline = time.monotonic() + talk.PATIENCE
        while sender.getsockopt(level, mtu) != 1300:
            assert time.monotonic() < deadline, "the host still takes the path for wide"
            with contextlib.suppress(OSError):  # EMSGSIZE: learnt
                sender.send(b"x" * 1400)
            time.sleep(0.02)
        sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # forget the last "too big", which the next call would tell
        assert sender.send(b"x" * 1200) == 1200


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.53", "::1", HOST4, HOST6, DOCKER4])
def test_loopback_and_own_addresses(lab: Lab, address: str) -> None:
    """Both ways, with nothing allowed: resolver stubs, and services that call each other by the host's own name."""
    put(lab, policy())
    assert session(lab.host, lab.host, address, free_port()).goes_on("client")


def test_implied_packets(untracked: Lab) -> None:
    """Every ICMP type, every way: the kernel does what decide() says. And the ports of DHCP, in all combinations."""
    lab = untracked
    data = policy(ping=["elsewhere"])
    read = Policy.from_data(data)
    put(lab, data)
    # The recorder drops everything behind our table, neighbour discovery too.
    links = {link["ifname"]: link["address"] for link in json.loads(lab.host.run("ip", "-j", "link", "show"))}
    for namespace, address, link in ((lab.outside, HOST6, "ext0"), (lab.box1, DOCKER6, "docker0"), (lab.guest, "2001:db8:4::1", "virt0")):
        namespace.run("ip", "neigh", "replace", address, "lladdr", links[link], "dev", "eth0", "nud", "permanent")
    other, pinger, near, unknown = "2001:db8:66::1", "2001:db8:99::1", "fe80::66", "::"
    accepted = 0
    for sender, source, destination, hop_limits, hook in (
        (lab.outside, OUTSIDE4, HOST4, (64,), {"hook": "input", "leaves": ""}),
        (lab.outside, "198.51.100.1", HOST4, (64,), {"hook": "input", "leaves": ""}),
        (lab.outside, other, HOST6, (64, 254, 255), {"hook": "input", "leaves": ""}),
        (lab.outside, pinger, HOST6, (64, 255), {"hook": "input", "leaves": ""}),
        (lab.outside, near, HOST6, (1, 254, 255), {"hook": "input", "leaves": ""}),
        (lab.outside, unknown, HOST6, (1, 254, 255), {"hook": "input", "leaves": ""}),
        (lab.box1, BOX1_6, DOCKER6, (255,), {"hook": "input", "leaves": "", "arrives": "container"}),
        (lab.host, HOST4, OUTSIDE4, (64,), {"hook": "output", "arrives": ""}),
        (lab.host, HOST6, OUTSIDE6, (1, 255), {"hook": "output", "arrives": ""}),
        (lab.host, DOCKER6, BOX1_6, (64,), {"hook": "output", "arrives": "", "leaves": "container"}),
        (lab.box1, BOX1_4, OUTSIDE4, (64,), {"hook": "forward", "arrives": "container"}),
        (lab.box1, BOX1_6, OUTSIDE6, (64, 255), {"hook": "forward", "arrives": "container"}),
        (lab.outside, OUTSIDE6, BOX1_6, (64, 255), {"hook": "forward", "leaves": "container"}),
        (lab.guest, GUEST6, OUTSIDE6, (64,), {"hook": "forward"}),
    ):
        transport = "icmpv6" if ":" in source else "icmp"
        packet = {**hook, "source": source, "destination": destination}
        for hop_limit in hop_limits:
            got = fates(lab.host, sender, [icmp(source, destination, number, hop_limit) for number in range(256)])
            said = [decide(read, Packet(transport=transport, icmp_type=number, hop_limit=hop_limit, **packet)).accept for number in range(256)]
            differ = [(number, "kernel accepts" if got[number] else "kernel drops") for number in range(256) if got[number] != said[number]]
            assert not differ, f"{packet} {transport} hop limit {hop_limit}: {differ}"
            accepted += sum(got)
        ports = [*itertools.product((53, 67, 68, 546, 547), repeat=2)]
        got = fates(lab.host, sender, [udp(source, destination, *pair) for pair in ports])
        said = [decide(read, Packet(transport="udp", source_port=sport, port=dport, **packet)).accept for sport, dport in ports]
        assert got == said, f"{packet} udp {[pair for pair, one, two in zip(ports, got, said) if one != two]}"
    assert accepted > 256


# open sessions


@pytest.mark.parametrize("first", ["client", "server"])
@FAMILIES
def test_a_first_install_cuts_no_session_of_a_client(untracked: Lab, host_address: str, first: str) -> None:
    """Ansible's own SSH session: nobody tracked it, and the next word in it is the answer of this host."""
    lab, port = untracked, free_port()
    opened = session(lab.outside, lab.host, host_address, port)
    assert opened.goes_on("client")
    put(lab, policy(rule(port)))
    assert opened.goes_on(first)


@FAMILIES
def test_a_first_install_cuts_no_session_of_this_host(untracked: Lab, host_address: str) -> None:
    """It goes on once the host speaks; what its peer said before that is sent again and arrives."""
    lab, port, called = untracked, free_port(), peer_of(host_address)
    opened = session(lab.host, lab.outside, called, port)
    put(lab, policy(egress=[rule(port)]))
    assert through(lab.host, f"tcp sport {port}", lambda: opened.server.sendall(b"early")) == 0
    opened.client.sendall(b"hello")
    assert opened.server.recv(16) == b"hello"
    assert opened.client.recv(16) == b"early"
    assert opened.goes_on("server")


@FAMILIES
def test_a_first_install_ends_sessions_that_no_rule_allows(untracked: Lab, host_address: str) -> None:
    """Neither the client nor this host is heard any more."""
    lab, port, allowed = untracked, free_port(), free_port()
    opened = session(lab.outside, lab.host, host_address, port)
    assert opened.goes_on("client")
    put(lab, policy(rule(allowed)))
    assert through(lab.host, f"tcp dport {port}", lambda: opened.client.sendall(b"x")) == 0
    assert through(lab.host, f"tcp sport {port}", lambda: opened.server.sendall(b"x")) == 0


@FAMILIES
def test_only_what_goes_on_may_leave_by_an_open_port(untracked: Lab, host_address: str) -> None:
    """The rule for old sessions opens none, and is for TCP from ports that are open."""
    lab, port, closed, peer = untracked, free_port(), free_port(), peer_of(host_address)
    put(lab, policy(rule(port), rule(closed, transport="udp")))
    kinds = (SYN, SYN | ACK, SYN | PSH, ACK, PSH | ACK, FIN | ACK)
    segments = [tcp(host_address, peer, sport, 1000 + flags, flags) for sport in (port, closed) for flags in kinds]
    assert fates(lab.host, lab.host, segments) == [False] * 3 + [True] * 3 + [False] * 6
    assert fates(lab.host, lab.host, [udp(host_address, peer, port, 9)]) == [False]
    assert fates(lab.host, lab.outside, [tcp(peer, host_address, port, closed, ACK)]) == [False], "never inwards"


@FAMILIES
def test_a_reload_cuts_no_session(lab: Lab, host_address: str) -> None:
    """Not even of what is not allowed any more; a new one is not let in."""
    port, called = free_port(), peer_of(host_address)
    put(lab, policy(rule(port), egress=[rule(port)]))
    sessions = [session(lab.outside, lab.host, host_address, port), session(lab.host, lab.outside, called, port)]
    for data in (policy(rule(port), egress=[rule(port)]), policy()):
        for first in ("client", "server"):
            put(lab, data)
            assert all(opened.goes_on(first) for opened in sessions)
    assert fates(lab.host, lab.outside, [tcp(called, host_address, 1000, port)]) == [False]


# containers, and what is forwarded for others


def publish(lab: Lab, host_port: int, container_port: int) -> None:
    """As `docker run -p HOST:CONTAINER` does, in box1."""
    dnat = f"tcp dport {host_port} dnat ip to {BOX1_4}:{container_port}", f"tcp dport {host_port} dnat ip6 to [{BOX1_6}]:{container_port}"
    lab.host.nft(
        "table inet docker {\n chain prerouting {\n type nat hook prerouting priority dstnat;\n"
        f"ip daddr {PUBLISHED4} {dnat[0]}\nip6 daddr {PUBLISHED6} {dnat[1]}\n}}\n}}\n"
    )


@pytest.mark.parametrize(("published", "box1"), [(PUBLISHED4, BOX1_4), (PUBLISHED6, BOX1_6)], ids=["v4", "v6"])
def test_published_ports_are_known_by_the_hosts_port(lab: Lab, published: str, box1: str) -> None:
    """-p 8080:80: the rule says 8080. A rule for 80 opens nothing of it, and the container's own address stays closed."""
    port, inner = free_port(), free_port()
    publish(lab, port, inner)
    for ports in ((port,), (f"{port - 1}-{port}",)):
        put(lab, policy(rule(*ports)))
        assert session(lab.outside, lab.box1, published, port, served=(box1, inner)).goes_on("client")
    peer = peer_of(published)
    for data in (policy(rule(inner)), policy(rule(port, networks="elsewhere")), policy(rule(port, networks="nobody")), policy(rule(port, transport="udp"))):
        put(lab, data)
        assert fates(lab.host, lab.outside, [translated(tcp(peer, published, 1000, port), inner), tcp(peer, box1, 1001, inner)]) == [False, False]
    put(lab, policy(rule(port, inner)))
    assert fates(lab.host, lab.outside, [translated(tcp(peer, published, 1002, port), inner), tcp(peer, box1, 1003, inner)]) == [True, False]


def test_published_ports_on_loopback_stay_there(lab: Lab) -> None:
    """-p 127.0.0.1:8080:80: this host reaches it with nothing allowed, nobody else does, whatever is allowed."""
    port, inner = free_port(), free_port()
    lab.host.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    lab.host.nft(
        "table ip docker {\n chain output {\n type nat hook output priority -100;\n"
        f"ip daddr 127.0.0.1 tcp dport {port} dnat to {BOX1_4}:{inner}\n}}\n"
        "chain postrouting {\n type nat hook postrouting priority srcnat;\n ip saddr 127.0.0.1 masquerade\n}\n}\n"
    )
    put(lab, policy())
    assert session(lab.host, lab.box1, "127.0.0.1", port, served=(BOX1_4, inner)).goes_on("client")
    put(lab, policy(rule(inner)))
    assert fates(lab.host, lab.outside, [tcp(OUTSIDE4, HOST4, 1000, port), tcp(OUTSIDE4, BOX1_4, 1001, inner)]) == [False, False]


@pytest.mark.parametrize(("box1", "outside"), [(BOX1_4, OUTSIDE4), (BOX1_6, OUTSIDE6)], ids=["v4", "v6"])
def test_containers_go_out_by_the_egress_rules(lab: Lab, box1: str, outside: str) -> None:
    port, closed = free_port(), free_port()
    put(lab, policy(rule(closed), egress=[rule(port, networks="outside"), rule(closed, networks="elsewhere")]))
    assert session(lab.box1, lab.outside, outside, port).goes_on("client")
    lab.box1.run("ping", "-c1", "-W5", outside)
    assert fates(lab.host, lab.box1, [tcp(box1, outside, 1000, port), tcp(box1, outside, 1001, closed), udp(box1, outside, 1002, port)]) == [True, False, False]
    put(lab, policy(egress_default="accept"))
    assert fates(lab.host, lab.box1, [tcp(box1, outside, 1003, closed)]) == [True]


@pytest.mark.parametrize(("box1", "box2"), [(BOX1_4, BOX2_4), (BOX1_6, BOX2_6)], ids=["v4", "v6"])
def test_containers_talk_to_each_other(lab: Lab, box1: str, box2: str) -> None:
    """Across bridges too; who keeps them apart is Docker."""
    put(lab, policy())
    assert session(lab.box1, lab.box2, box2, free_port()).goes_on("client")
    assert session(lab.host, lab.box1, box1, free_port()).goes_on("client"), "and this host to its containers"


@pytest.mark.parametrize(("box1", "docker"), [(BOX1_4, DOCKER4), (BOX1_6, DOCKER6)], ids=["v4", "v6"])
def test_containers_call_this_host_as_its_peers_do(lab: Lab, box1: str, docker: str) -> None:
    marked, unmarked = free_port(), free_port()
    put(lab, policy(rule(marked, networks="nobody", containers=True), rule(unmarked, networks="nobody")))
    assert session(lab.box1, lab.host, docker, marked).goes_on("client")
    assert fates(lab.host, lab.box1, [tcp(box1, docker, 1000, unmarked)]) == [False]
    assert fates(lab.host, lab.outside, [tcp(peer_of(docker), docker, 1001, marked)]) == [False]


@pytest.mark.parametrize(("guest", "outside"), [(GUEST4, OUTSIDE4), (GUEST6, OUTSIDE6)], ids=["v4", "v6"])
def test_others_forwarding_is_untouched(lab: Lab, guest: str, outside: str) -> None:
    """A virtual machine's traffic, in and out, whatever its state: this host is only its router."""
    put(lab, policy())
    assert session(lab.guest, lab.outside, outside, free_port()).goes_on("client")
    assert session(lab.outside, lab.guest, guest, free_port()).goes_on("client")
    segments = [tcp(guest, outside, 1000 + flags, 25, flags) for flags in (0, SYN, SYN | FIN, RST, ACK, FIN | ACK)]
    assert all(fates(lab.host, lab.guest, segments))
    assert all(fates(lab.host, lab.outside, [udp(outside, guest, 53, 1000), icmp(outside, guest, 3 if "." in guest else 2)]))


# state, headers, fragments


@FAMILIES
def test_only_the_port_counts_whatever_the_state(lab: Lab, host_address: str) -> None:
    """Asymmetric routes and other odd packets are no reason to drop: invalid and untracked ones fare as new ones do."""
    port, closed, peer = free_port(), free_port(), peer_of(host_address)
    put(lab, policy(rule(port), rule(port, transport="udp")))
    kinds = (0, SYN, SYN | FIN, RST, ACK, FIN | PSH | ACK)

    def both(first: int) -> list[bool]:
        segments = [tcp(peer, host_address, first + flags, dport, flags) for dport in (port, closed) for flags in kinds]
        return fates(lab.host, lab.outside, [*segments, udp(peer, host_address, first, port), udp(peer, host_address, first, closed)])

    expected = [True] * len(kinds) + [False] * len(kinds) + [True, False]
    assert both(1000) == expected
    lab.host.nft("table inet raw { chain prerouting { type filter hook prerouting priority raw; notrack; }; }")
    assert both(2000) == expected


def test_extension_headers_hide_no_port(lab: Lab) -> None:
    """Between the IPv6 header and the port may stand others: what is open stays open, what is closed closed."""
    port, closed = free_port(), free_port()
    put(lab, policy(rule(port), rule(port, transport="udp")))
    packets = [make(OUTSIDE6, HOST6, 1000, dport, options=True) for make in (udp, tcp) for dport in (port, closed)]
    assert fates(lab.host, lab.outside, packets) == [True, False, True, False]


@FAMILIES
def test_fragments_are_judged_as_a_whole(lab: Lab, host_address: str) -> None:
    """Only the first one has a port; the kernel puts them together before our table sees them."""
    port, closed = free_port(), free_port()
    put(lab, policy(rule(port, transport="udp")))
    for dport, expected in ((port, 1), (closed, 0)):
        assert through(lab.host, f"udp dport {dport}", datagram(lab.outside, host_address, dport, size=4000)) == expected
    with made(lab.host, host_address, socket.SOCK_DGRAM) as server:
        server.bind((host_address, port))
        datagram(lab.outside, host_address, port, size=4000)()
        assert len(server.recv(8000)) == 4000


@pytest.mark.parametrize("destination", ["255.255.255.255", "203.0.113.255", "224.0.0.1"])
def test_broadcast_and_multicast_need_a_rule_like_all_else(lab: Lab, destination: str) -> None:
    port, closed = free_port(), free_port()
    put(lab, policy(rule(port, transport="udp"), egress=[rule(port, transport="udp")]))
    for sender, source in ((lab.outside, OUTSIDE4), (lab.host, HOST4)):
        for dport, expected in ((port, 1), (closed, 0)):
            hook = 'iifname "ext0"' if sender is lab.outside else 'oifname "ext0"'
            assert through(lab.host, f"{hook} udp dport {dport}", datagram(sender, destination, dport, source=(source, 0))) == expected


# loading


def listing(host: Namespace) -> str:
    return host.run("nft", "-s", "list", "table", "inet", "portmap")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.nft")), ids=lambda path: path.stem)
def test_listing_is_a_fixed_point(untracked: Lab, path: pathlib.Path) -> None:
    """What nft lists loads again and lists the same. No interface of the text is there."""
    host = untracked.outside
    host.nft(path.read_text(encoding="utf-8"))
    listed = listing(host)
    host.nft("delete table inet portmap\n" + listed)
    assert listing(host) == listed


def test_a_large_policy(lab: Lab, tmp_path: pathlib.Path) -> None:
    """1,000 services, 5,000 addresses: loads, and the second run finds nothing to do."""
    chance = random.Random(20261124)
    networks = {f"network {index}": [f"10.{index}.{last // 200}.{last % 200 + 1}" for last in range(400)] for index in range(10)}
    networks["sixes"] = [f"2001:db8:{index:x}::{index + 1:x}" for index in range(900)] + [f"2001:db8:ffff:{index:x}::/64" for index in range(100)]
    ports = chance.sample(range(1024, 60000), 1000)
    services = [
        {
            "name": f"service {port}",
            "transport": chance.choice(["tcp", "udp"]),
            "ports": [str(port) if index % 10 else f"{port}-{port + 20}"],
            "networks": sorted(chance.sample(sorted(networks), chance.randint(1, 3))),
            "origin": f"port_map.yml:{index} services.service-{port}",
        }
        for index, port in enumerate(ports)
    ]
    data = {"networks": networks, "ingress": services, "egress": [{**one, "ports": ["443"]} for one in services[:10]], "container_interfaces": ["docker0"]}
    assert sum(map(len, networks.values())) == 5000
    host = Host(lab.host.name, tmp_path)
    assert host.firewall(data)["changed"] is True
    listed = listing(lab.host)
    again = host.firewall(data)
    assert (again["changed"], again["reasons"], again["drift"]) == (False, [], {"found": False, "lines": []})
    lab.host.nft("delete table inet portmap\n" + listed)
    assert listing(lab.host) == listed
    assert host.firewall(data)["changed"] is False, "loaded by others from the listing, it still is what was applied"


def test_loading_twice(lab: Lab) -> None:
    """Replaced, not added to."""
    data = policy(rule(22), rule("8000-8010"), egress=[rule(443)], ping=["outside"])
    put(lab, data)
    once = listing(lab.host)
    put(lab, data)
    assert listing(lab.host) == once
    assert once.count("hook input") == 1


def test_others_are_left_alone(lab: Lab) -> None:
    """The same bytes, handles and counters and all: also Docker's chains, and a table with our chain names in another family."""
    publish(lab, free_port(), 80)
    lab.host.nft("table ip portmap { chain input { type filter hook input priority 0; ip saddr 192.0.2.66 counter packets 7 bytes 77 drop; }; }")
    before = lab.host.run("nft", "-a", "list", "ruleset")
    for data in (policy(), policy(rule(22), egress=[rule(443)])):
        put(lab, data)
        assert lab.host.run("nft", "-a", "list", "ruleset").startswith(before)
    lab.host.nft("delete table inet portmap")
    assert lab.host.run("nft", "-a", "list", "ruleset") == before


@FAMILIES
def test_a_broken_text_changes_nothing(lab: Lab, host_address: str) -> None:
    """Whether nft or the kernel refuses it: the old table stays in force, and is the same one."""
    port, other = free_port(), free_port()
    put(lab, policy(rule(port)))
    before = lab.host.run("nft", "-a", "list", "ruleset")
    sound = render(Policy.from_data(policy(rule(other))))
    for broken in (sound[: len(sound) // 2], sound + "add rule inet portmap no_such_chain accept\n", sound.replace("policy drop;", "policy maybe;")):
        with pytest.raises(AssertionError, match="Error|syntax"):
            lab.host.nft(broken)
        assert lab.host.run("nft", "-a", "list", "ruleset") == before
    assert fates(lab.host, lab.outside, [tcp(peer_of(host_address), host_address, 1000, dport) for dport in (port, other)]) == [True, False]


def test_a_reload_has_no_gap(lab: Lab) -> None:
    """While policies replace each other, what neither allows is never let in.

    What both allow may meet the old chain in the moment between the kernel's switch of generations and its unhooking, when
    that chain has no rules any more and still drops: a packet in thousands, and on the safe side.
    """
    port, closed = free_port(), free_port()
    texts = [render(Policy.from_data(policy(rule(port, transport="udp"), rule(80 + index)))) for index in range(2)]
    lab.host.nft(texts[0])
    lab.host.nft(talk.WATCH % "".join(talk.WATCH_HOOK % {"hook": "input", "match": f"udp dport {closed}"}))
    done, sent = threading.Event(), 0
    with made(lab.outside, HOST4, socket.SOCK_DGRAM) as sender, made(lab.host, HOST4, socket.SOCK_DGRAM) as server:
        server.bind((HOST4, port))
        heard: list[bytes] = []

        def hear() -> None:
            while (word := server.recv(64)) != b"end":
                heard.append(word)

        def reload() -> None:
            for index in range(60):
                lab.host.nft(texts[index % 2])
            done.set()

        threads = [threading.Thread(target=work) for work in (hear, reload)]
        for thread in threads:
            thread.start()
        while not done.is_set():
            # A new flow each time: an answer's way through would prove nothing.
            with made(lab.outside, HOST4, socket.SOCK_DGRAM) as knock:
                for dport in (port, closed):
                    knock.sendto(str(sent).encode(), (HOST4, dport))
            sent += 1
        sender.sendto(b"end", (HOST4, port))
        for thread in threads:
            thread.join()
    assert sent > 100
    assert len(heard) > sent * 0.99 and len(set(heard)) == len(heard)
    assert counted(lab.host, "watch") == {"arrived": sent, "through": 0}


# beside others


@FAMILIES
def test_a_later_drop_is_not_overridden(lab: Lab, host_address: str) -> None:
    """An accept of ours ends our chain only: another table's drop counts. That is why conflicts are reported."""
    port, other, peer = free_port(), free_port(), peer_of(host_address)
    put(lab, policy(rule(port, other)))
    lab.host.nft(f"table inet another {{ chain input {{ type filter hook input priority 0; tcp dport {port} drop; }}; }}")
    assert fates(lab.host, lab.outside, [tcp(peer, host_address, 1000, dport) for dport in (port, other)]) == [False, True]


@FAMILIES
def test_a_later_accept_does_not_reopen(lab: Lab, host_address: str) -> None:
    """Nor an earlier one."""
    port = free_port()
    put(lab, policy())
    for index, priority in enumerate((-200, 0, 10)):
        lab.host.nft(f"table inet another{index} {{ chain input {{ type filter hook input priority {priority}; accept; }}; }}")
    assert fates(lab.host, lab.outside, [tcp(peer_of(host_address), host_address, 1000, port)]) == [False]


def test_the_log_is_bounded(lab: Lab) -> None:
    """However many packets are dropped. Lines are counted at the rule: the kernel writes none for a namespace."""
    port, burst = free_port(), 7
    text = render(Policy.from_data(policy()), log={**LOG, "rate": 1, "burst": burst})
    lab.host.nft(text.replace("packets log prefix", "packets counter log prefix"))
    packets = [udp(OUTSIDE4, HOST4, 1000 + index, port) for index in range(300)] + [udp(OUTSIDE4, BOX1_4, 2000 + index, port) for index in range(300)]
    assert not any(fates(lab.host, lab.outside, packets))
    assert not any(fates(lab.host, lab.box1, [udp(BOX1_4, OUTSIDE4, 3000 + index, port) for index in range(300)]))
    assert not any(fates(lab.host, lab.host, [udp(HOST4, OUTSIDE4, 4000 + index, port) for index in range(300)]))
    lines = {}
    for item in json.loads(lab.host.run("nft", "-j", "list", "table", "inet", "portmap"))["nftables"]:
        for part in item.get("rule", {}).get("expr", []):
            if "counter" in part:
                lines[item["rule"]["chain"]] = part["counter"]["packets"]
    assert sorted(lines) == ["from_containers", "input", "output", "to_containers"]
    assert all(1 <= count <= burst + 1 for count in lines.values()), lines


def test_names_of_people(lab: Lab) -> None:
    """Words of nft's own language, quotes, other scripts, and more bytes than a comment holds."""
    words = ["fwd", "log", "map", "set", "queue", "limit", "counter", "quota", "mark", "redirect", "export", "socket", "3proxy", "accept", "-", "*"]
    names = [*words, 'say "hello"', "back\\slash", "Zürich", "東京", "é" * 200, "x" * 200, "a\nb", "hosts:a,b", "{ }", "#", "$x", "@y", ";"]
    networks = {name: [f"198.51.100.{index}", f"2001:db8:99::{index:x}"] for index, name in enumerate(names, 1)}
    rules = [{"name": name, "ports": [str(1000 + index)], "networks": [name]} for index, name in enumerate(names)]
    everybody = {"name": "x" * 200, "ports": ["2000-2010"], "networks": names}
    put(lab, {"networks": networks, "ingress": [*rules, everybody], "egress": rules, "ping": names})
    segments = [tcp(f"198.51.100.{index + 1}", HOST4, 1000 + index, 1000 + index) for index in range(len(names))]
    strangers = [tcp(f"198.51.100.{index + 1}", HOST4, 5000 + index, 1000 + (index + 1) % len(names)) for index in range(len(names))]
    assert fates(lab.host, lab.outside, segments + strangers) == [True] * len(names) + [False] * len(names)
