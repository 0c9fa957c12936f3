# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else may drop: from texts that real nft and iptables-legacy-save printed."""

from __future__ import annotations

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._base_chains import (
    Conflict,
    UnreadableError,
    find_conflicts,
    parse_legacy,
    parse_nft,
    summaries,
)


def conflicts(text: str, own: str = "portmap") -> list[Conflict]:
    """The conflicts in an nft listing."""
    return find_conflicts(parse_nft(text), own)


def table(body: str, head: str = "type filter hook input priority filter; policy accept;", name: str = "inet other") -> str:
    """A table with one base chain."""
    return "table {} {{\n\tchain c {{\n\t\t{}\n{}\t}}\n}}\n".format(name, head, "".join(f"\t\t{line}\n" for line in body.splitlines()))


OWN = table("drop", head="type filter hook input priority filter - 10; policy drop;", name="inet portmap")


def test_own_table_is_no_conflict() -> None:
    assert conflicts(OWN) == []
    assert [found["where"] for found in conflicts(OWN, own="another")] == ["table inet portmap, chain c (hook input, priority filter - 10)"]


def test_policy_drop() -> None:
    (found,) = conflicts(table("tcp dport 22 accept", head="type filter hook input priority filter; policy drop;"))
    assert found == {
        "kind": "nftables",
        "where": "table inet other, chain c (hook input, priority filter)",
        "what": "drops everything that it does not accept (policy drop)",
        "advice": "look with 'nft list table inet other'; remove that table where it comes from, or allow the same there",
    }


@pytest.mark.parametrize(
    "rule",
    [
        "drop",
        "counter drop",
        "counter packets 3 bytes 180 drop",
        'log prefix "no " level debug counter reject with icmpx admin-prohibited',
        'drop comment "x"',
        "reject",
        'xt target "REJECT"',
    ],
)
def test_a_rule_without_condition_ends_the_chain(rule: str) -> None:
    (found,) = conflicts(table("ct state established accept\n" + rule))
    assert found["what"] == "drops everything that it does not accept (a rule without condition)"


@pytest.mark.parametrize(
    "rule",
    [
        "tcp dport 99 drop",
        "ip saddr 192.0.2.1 counter reject with tcp reset",
        "tcp dport vmap { 22 : accept, 80 : drop }",
        'meta l4proto tcp counter packets 0 bytes 0 xt target "REJECT"',
        "tcp dport { 1,\n 2 } drop",
    ],
)
def test_a_rule_that_drops_some(rule: str) -> None:
    (found,) = conflicts(table(rule))
    assert found["what"] == "has rules that drop or reject: '{}'".format(" ".join(line.strip() for line in rule.splitlines()))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "accept",
        'tcp dport 22 accept comment "drop nothing"',
        'log prefix "drop: " accept',
        'meta mark 0x1 log prefix "reject { drop"',
        "ip saddr @drop accept",
        'ct helper set "drop"',
        "tcp dport vmap { 22 : accept, 80 : continue }",
    ],
)
def test_no_conflict(body: str) -> None:
    assert conflicts(table(body)) == []


def test_drops_are_found_behind_jumps_and_maps() -> None:
    text = """table inet other {
    map m {
        type inet_service : verdict
        elements = { 22 : accept,
                 80 : jump deep }
    }

    chain deep {
        tcp dport 80 goto deeper
    }

    chain deeper {
        ip saddr 192.0.2.1 drop
        ip saddr 192.0.2.2 drop
    }

    chain unused {
        drop
    }

    chain c {
        comment "drop"
        type filter hook output priority 5; policy accept;
        tcp dport vmap @m
    }
}
"""
    (found,) = conflicts(text)
    assert found["what"] == "has rules that drop or reject: 'ip saddr 192.0.2.1 drop' in chain deeper, and 1 more"
    assert found["where"] == "table inet other, chain c (hook output, priority 5)"


def test_a_verdict_map_that_drops() -> None:
    text = table("tcp dport vmap @m").replace("\tchain c", "\tmap m {\n\t\ttype inet_service : verdict\n\t\telements = { 22 : drop }\n\t}\n\n\tchain c")
    (found,) = conflicts(text)
    assert found["what"] == "has rules that drop or reject: 'tcp dport vmap @m'"


def test_a_loop_of_jumps_ends() -> None:
    loop = "\tchain a {\n\t\tjump b\n\t}\n\tchain b {\n\t\tjump a\n\t}\n"
    text = table("jump a").replace("\tchain c", loop + "\tchain c")
    assert conflicts(text) == []


@pytest.mark.parametrize("hook", ["prerouting", "postrouting"])
def test_single_drops_elsewhere_are_normal(hook: str) -> None:
    head = f"type filter hook {hook} priority mangle; policy accept;"
    assert conflicts(table("fib saddr . iif oif missing drop", head=head)) == []
    assert len(conflicts(table("drop", head=head))) == 1


def test_netdev_ingress_and_other_families() -> None:
    head = 'type filter hook ingress device "eth0" priority filter; policy drop;'
    assert len(conflicts(table("", head=head, name="netdev x"))) == 1
    devices = 'type filter hook ingress devices = { "eth0", "eth1" } priority -500; policy drop;'
    assert len(conflicts(table("", head=devices, name="netdev x"))) == 1
    assert conflicts(table("drop", name="bridge x")) == []


def test_docker_and_others_drop_by_purpose() -> None:
    docker = """table ip filter {
    chain DOCKER {
        iifname != "docker0" oifname "docker0" counter packets 0 bytes 0 drop
    }

    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        counter packets 0 bytes 0 jump DOCKER
    }
}
"""
    assert conflicts(docker) == []
    assert len(conflicts(docker.replace("hook forward", "hook input"))) == 1, "policy drop is Docker's in forward only"
    assert len(conflicts(docker.replace("jump DOCKER", "accept"))) == 1, "without Docker it is somebody's firewall"
    assert conflicts(table("ip saddr @addr-set-sshd reject", name="inet f2b-table")) == []
    assert conflicts(table("drop", name="ip docker-bridges")) == []


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ('iifname "br-1" oifname "br-1" counter packets 0 bytes 0 drop', 0),
        ("iifname br-1 oifname br-1 drop", 0),
        ('iifname "br-*" oifname "br-*" drop', 1),
        ('iifname "br-1" oifname "br-10" counter drop', 1),
        ('iifname "br-1" oifname != "br-1" counter drop', 1),
        ('iifname != "br-1" oifname "br-1" counter drop', 1),
        ('oifname "br-1" counter drop', 1),
    ],
)
def test_who_keeps_containers_of_one_bridge_apart_takes_nothing_that_a_policy_gives(rule: str, found: int) -> None:
    """Docker's rule for networks without inter-container communication, and for docker_gwbridge of every swarm."""
    assert len(conflicts(table(rule, head="type filter hook forward priority filter; policy accept;"))) == found


@pytest.mark.parametrize(("rule", "found"), [("-i br-1 -o br-1 -j DROP", 0), ("-i br-1 -o br-10 -j DROP", 1), ("-i br-1 ! -o br-1 -j DROP", 1)])
def test_the_same_by_iptables_legacy(rule: str, found: int) -> None:
    text = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n-A FORWARD {rule}\nCOMMIT\n"
    assert len(find_conflicts(parse_legacy(text, "ip"), "portmap")) == found


@pytest.mark.parametrize("chain", ["CNI-FORWARD", "FLANNEL-FWD", "cali-FORWARD", "CILIUM_FORWARD", "NETAVARK_FORWARD", "KUBE-FORWARD"])
def test_who_forwards_to_containers_may_drop_all_other_forwarding(chain: str) -> None:
    """As with Docker: the drop is theirs by purpose, where their chain is in use. At the hook input it would be somebody's firewall."""
    text = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:{chain} - [0:0]\n-A FORWARD -j {chain}\n-A {chain} -s 10.1.0.0/16 -j DROP\nCOMMIT\n"
    assert find_conflicts(parse_legacy(text, "ip"), "portmap") == []
    assert len(find_conflicts(parse_legacy(text.replace("-j " + chain, "-j ACCEPT"), "ip"), "portmap")) == 1
    assert len(find_conflicts(parse_legacy(text.replace("FORWARD DROP", "FORWARD ACCEPT").replace("INPUT ACCEPT", "INPUT DROP"), "ip"), "portmap")) == 1


@pytest.mark.parametrize("name", ["ip kube-proxy", "ip6 kube-proxy", "inet netavark"])
def test_tables_of_who_forwards_to_containers(name: str) -> None:
    assert conflicts(table("ip daddr 10.96.0.9 reject", name=name)) == []


def test_fail2ban_by_iptables_and_by_ipset() -> None:
    """Its own chain, jumped to from INPUT, or rules in INPUT itself that ask an ipset of its own."""
    chain = "*filter\n:INPUT ACCEPT [0:0]\n:f2b-sshd - [0:0]\n-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd\n"
    chain += "-A f2b-sshd -s 192.0.2.1/32 -j REJECT --reject-with icmp-port-unreachable\nCOMMIT\n"
    ipset = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m multiport --dports 22 -m set --match-set f2b-sshd src -j REJECT\nCOMMIT\n"
    assert find_conflicts(parse_legacy(chain, "ip") + parse_legacy(ipset, "ip"), "portmap") == []
    assert len(find_conflicts(parse_legacy(ipset.replace("f2b-", ""), "ip"), "portmap")) == 1


def test_one_line_for_each_firewall() -> None:
    """ufw drops in five chains: that is one thing to do something about."""
    five = conflicts("".join(table("drop", name=f"{family} firewalld") for family in ("inet", "ip", "ip6")) + table("drop") + table("reject", name="ip other"))
    assert len(five) == 5
    what = "chain c (hook input, priority filter) drops everything that it does not accept (a rule without condition)"
    assert summaries(five) == [
        f"firewalld: table inet firewalld, {what} (and 2 more chains do); {five[0]['advice']}",
        f"nftables: table inet other, {what}; {five[3]['advice']}",
        f"nftables: table ip other, {what}; {five[4]['advice']}",
    ]
    assert summaries([five[0], five[0]]) == [f"firewalld: table inet firewalld, {what} (and one more chain does); {five[0]['advice']}"]
    assert summaries([]) == []


def test_kinds() -> None:
    base = "\tchain INPUT {\n\t\ttype filter hook input priority filter; policy drop;\n%s\t}\n"
    iptables = "# Warning: table ip filter is managed by iptables-nft, do not touch!\ntable ip filter {\n" + base % "" + "}\n"
    empty = "table ip filter {\n\tchain ufw-before-input {\n\t}\n" + base % "\t\tcounter jump ufw-before-input\n" + "}\n"
    ufw = empty.replace("ufw-before-input {\n", "ufw-before-input {\n\t\ttcp dport 22 accept\n")
    assert [found["kind"] for found in conflicts(iptables)] == ["iptables-nft"]
    assert [found["kind"] for found in conflicts(ufw)] == ["ufw"]
    assert [found["kind"] for found in conflicts(empty)] == ["iptables-nft"], "what ufw leaves behind when it is disabled"
    assert [found["kind"] for found in conflicts(table("reject with icmpx admin-prohibited", name="inet firewalld"))] == ["firewalld"]


LEGACY = """# Generated by iptables-save v1.8.9 on Tue Nov 24 11:46:09 2026
*nat
:PREROUTING ACCEPT [0:0]
COMMIT
*filter
:INPUT %s [0:0]
:FORWARD ACCEPT [0:0]
:mine - [0:0]
%s
COMMIT
# Completed on Tue Nov 24 11:46:09 2026
"""


@pytest.mark.parametrize(
    ("policy", "rules", "what"),
    [
        ("DROP", "", "drops everything that it does not accept (policy drop)"),
        ("ACCEPT", "-A INPUT -j DROP", "drops everything that it does not accept (a rule without condition)"),
        (
            "ACCEPT",
            '-A INPUT -m comment --comment "the end" -j REJECT --reject-with icmp-port-unreachable',
            "drops everything that it does not accept (a rule without condition)",
        ),
        ("ACCEPT", "-A INPUT -p tcp -m tcp --dport 99 -j DROP", "has rules that drop or reject: '-A INPUT -p tcp -m tcp --dport 99 -j DROP'"),
        ("ACCEPT", "-A INPUT -g mine\n-A mine -s 192.0.2.1/32 -j DROP", "has rules that drop or reject: '-A mine -s 192.0.2.1/32 -j DROP' in chain mine"),
        ("ACCEPT", '-A INPUT -m comment --comment "a \\" -j DROP" -j ACCEPT', None),
        ("ACCEPT", "-A FORWARD -j mine", None),
    ],
)
def test_legacy(policy: str, rules: str, what: str | None) -> None:
    found = find_conflicts(parse_legacy(LEGACY % (policy, rules), "ip"), "portmap")
    assert [(conflict["kind"], conflict["where"], conflict["what"]) for conflict in found] == (
        [] if what is None else [("iptables-legacy", "table ip filter, chain INPUT (hook input)", what)]
    )


@pytest.mark.parametrize(
    "text", ["", "table ip x {\n}\n", "table inet x {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n}\n", 'table inet x {\n\tflags dormant\n\tcomment "a } b {"\n}\n']
)
def test_tables_without_chains(text: str) -> None:
    assert conflicts(text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table("tcp dport { 1,"), "ends within the table inet other"),
        (table("tcp dport { 1,") + table("drop", name="ip second"), "goes on within the table inet other"),
        (table("", head="type filter hook input at prio 0"), "a base chain is described as: type filter hook input at prio 0"),
        (table("drop")[:-5], "ends within the table inet other"),
        (table("drop") + "table inet x {\n\tchain c {\n\t\ttcp dport { 1,\n", "ends within: tcp dport { 1,"),
    ],
)
def test_a_listing_that_is_not_understood_is_never_taken_for_free_of_conflicts(text: str, message: str) -> None:
    with pytest.raises(UnreadableError, match=message):
        parse_nft(text)
