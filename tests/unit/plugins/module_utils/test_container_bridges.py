# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bridges are published to: from texts that nft and iptables-legacy-save print, and the kernel's routes."""

from __future__ import annotations

import ipaddress
import pathlib
import sys

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._base_chains import parse_legacy, parse_nft
from ansible_collections.alfred.portmap.plugins.module_utils._container_bridges import Route, direct_routes, unlisted_bridges

ROUTES = [
    Route(ipaddress.IPv4Network("172.30.0.0/24"), "cust0"),
    Route(ipaddress.IPv4Network("172.17.0.0/16"), "docker0"),
    Route(ipaddress.IPv4Network("172.18.0.0/16"), "docker_gwbridge"),
    Route(ipaddress.IPv4Network("10.88.0.0/16"), "podman0"),
    Route(ipaddress.IPv4Network("192.168.122.0/24"), "virbr0"),
    Route(ipaddress.IPv4Network("10.42.0.0/24"), "cni0"),
]

# Docker 20.10, with docker-proxy. Without it, its rules that translate name no bridge.
DOCKER = """table ip nat {
    chain DOCKER {
        iifname "cust0" counter return
        iifname "docker0" counter return
        iifname != "cust0" tcp dport 8080 counter dnat to 172.30.0.2:80
        iifname != "docker0" tcp dport 8081 counter dnat to 172.17.0.2:80
    }
}
table ip filter {
    chain DOCKER {
        iifname != "cust0" oifname "cust0" ip daddr 172.30.0.2 tcp dport 80 counter accept
        iifname != "docker0" oifname "docker0" ip daddr 172.17.0.2 tcp dport 80 counter accept
    }
    chain DOCKER-ISOLATION-STAGE-2 {
        oifname "idle0" counter drop
        counter return
    }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        oifname "idle0" ct state related,established counter accept
        oifname "idle0" counter jump DOCKER
        oifname "cust0" counter jump DOCKER
    }
}
"""


def bridges(text: str, *listed: str) -> list[str]:
    """The names of the bridges that are told of."""
    return [found["where"] for found in unlisted_bridges(parse_nft(text), ROUTES, listed)]


def chain(name: str, rule: str, table: str = "ip nat") -> str:
    """A table with one chain of one rule."""
    return f"table {table} {{\n\tchain {name} {{\n\t\t{rule}\n\t}}\n}}\n"


def test_what_is_told() -> None:
    assert unlisted_bridges(parse_nft(DOCKER), ROUTES, ["docker0", "br-*"]) == [
        {
            "kind": "containers",
            "where": "the bridge cust0",
            "what": "publishes ports past the policy",
            "advice": "add cust0 to port_map_container_interfaces (policy.container_interfaces)",
        }
    ]


def test_listed_by_name_or_pattern() -> None:
    assert bridges(DOCKER) == ["the bridge cust0", "the bridge docker0"]
    assert bridges(DOCKER, "docker0", "cust0") == bridges(DOCKER, "docker*", "cust*") == bridges(DOCKER, "*") == []


@pytest.mark.parametrize(
    ("text", "bridge"),
    [
        (chain("DOCKER", "tcp dport 8080 counter dnat to 172.30.0.2:80"), "cust0"),
        (chain("DOCKER", 'iifname != "six0" oifname "six0" ip6 daddr fd00::2 udp dport 53 counter accept', "ip6 filter"), "six0"),
        (chain("DOCKER-INGRESS", "tcp dport 8080 counter dnat to 172.18.0.2:8080"), "docker_gwbridge"),
        (chain("NETAVARK-DN-1D8721804F16F", "tcp dport 8080 counter dnat to 10.88.0.2:80"), "podman0"),
        (chain("nv_2f259bab_10_88_0_0_nm16_dnat", "tcp dport 8080 dnat ip to 10.88.0.2:80", "inet netavark"), "podman0"),
    ],
)
def test_by_rule_or_by_route(text: str, bridge: str) -> None:
    assert bridges(text) == [f"the bridge {bridge}"]
    assert bridges(text, bridge) == []


@pytest.mark.parametrize(
    "text",
    [
        chain("DOCKER_OUTPUT", "ip daddr 127.0.0.11 tcp dport 53 counter dnat to 127.0.0.11:41723"),
        chain("DOCKER", 'iifname != "idle0" oifname "idle0" counter drop', "ip filter"),
        chain("DOCKER-CT", 'oifname "idle0" ct state related,established counter accept', "ip filter"),
        chain("DOCKER", "tcp dport 8080 counter dnat to 203.0.113.9:80"),
        chain("LIBVIRT_FWI", 'oifname "virbr0" ip daddr 192.168.122.0/24 tcp dport 22 counter accept', "ip filter"),
        chain("PREROUTING", "tcp dport 2222 counter dnat to 192.168.122.5:22"),
        chain("KUBE-SEP-ABC", "tcp dport 30080 counter dnat to 10.42.0.9:80"),
        chain("CNI-DN-0123", "tcp dport 9000 counter dnat to 10.42.0.11:81"),
    ],
)
def test_nothing_is_published_or_others_do_it(text: str) -> None:
    assert bridges(text) == []


def test_by_iptables_legacy() -> None:
    accepts = "*filter\n:DOCKER - [0:0]\n-A DOCKER -d 172.31.0.2/32 ! -i own0 -o own0 -p tcp -m tcp --dport 80 -j ACCEPT\n"
    accepts += "-A DOCKER ! -i idle0 -o idle0 -j DROP\n"
    translates = "*nat\n:DOCKER - [0:0]\n-A DOCKER ! -i x -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.30.0.2:80\n"
    found = unlisted_bridges(parse_legacy(accepts + translates, "ip"), ROUTES, [])
    assert [one["where"] for one in found] == ["the bridge cust0", "the bridge own0"]


@pytest.mark.skipif(sys.byteorder != "little", reason="the text is of a little-endian machine")
def test_routes(tmp_path: pathlib.Path) -> None:
    (tmp_path / "route").write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t017100CB\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
        "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
        "cust0\t00001EAC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
        encoding="ascii",
    )
    assert direct_routes(str(tmp_path)) == ROUTES[:2]
