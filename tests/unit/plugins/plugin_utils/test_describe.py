# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's plan as people read it."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.alfred.portmap.plugins.plugin_utils._describe import describe

PLAN = {
    "environment": "lab",
    "networks": {"anywhere": ["0.0.0.0/0", "::/0"], "bastion": ["192.0.2.1"]},
    "hosts": {
        "edge1": {
            "addresses": ["192.0.2.2", "2001:db8::2"],
            "firewall": {
                "ingress": [{"name": "ssh", "transport": "tcp", "ports": ["22"], "networks": ["bastion"], "containers": False, "origin": "map.yml:3 a"}],
                "egress_default": "drop",
                "egress": [],
                "ping": [],
                "container_interfaces": [],
            },
            "ingress": {
                "proxy": "traefik",
                "entrypoints": {"websecure": {"port": 443, "protocol": "http"}, "db": {"port": 5432, "protocol": "tcp"}},
                "routes": {
                    "api": {
                        "entrypoint": "websecure",
                        "canary": {"weight": 10, "backends": [{"address": "192.0.2.7", "port": 8081}]},
                        "sticky": True,
                        "passthrough": False,
                        "host": "api.example.com",
                        "path": "/v1",
                        "tls": True,
                        "backends": [{"address": "2001:db8::9", "port": 8080}],
                        "rate_limit": "api",
                        "auth": None,
                        "allow": ["192.0.2.0/24"],
                        "origin": "map.yml:4 c",
                    }
                },
            },
            "listeners": [{"ports": "22", "transport": "tcp", "bind": ["192.0.2.2"], "exposure": "bastion", "name": "sshd", "origin": "map.yml:2 b"}],
        }
    },
}


def test_every_line_of_a_plan_says_where_it_comes_from() -> None:
    text = describe(PLAN, "edge1")
    assert text == (
        "edge1 in lab: 192.0.2.2, 2001:db8::2\n"
        "\n"
        "listens on:\n"
        "  22/tcp  192.0.2.2  bastion  sshd  map.yml:2 b\n"
        "\n"
        "lets in:\n"
        "  22/tcp  from bastion  ssh  map.yml:3 a\n"
        "  and drops the rest\n"
        "\n"
        "lets out: nothing\n"
        "\n"
        "answers ping from: nobody\n"
        "\n"
        "serves through traefik:\n"
        "  https://api.example.com/v1  to [2001:db8::9]:8080  limit api, only 192.0.2.0/24, 10 % to 192.0.2.7:8081, sticky  api  map.yml:4 c\n"
        "\n"
        "where these stand for:\n"
        "  bastion  192.0.2.1\n"
    )


def test_what_is_no_http_says_so() -> None:
    plan = copy.deepcopy(PLAN)
    plan["hosts"]["edge1"]["ingress"]["routes"]["api"].update(entrypoint="db", canary=None, sticky=False, passthrough=True)
    assert "  tcp://api.example.com:5432  to [2001:db8::9]:8080  limit api, only 192.0.2.0/24, TLS handed on  api" in describe(plan, "edge1")


def test_unfiltered_hosts_say_so() -> None:
    plan = copy.deepcopy(PLAN)
    plan["hosts"]["edge1"]["firewall"]["egress_default"] = "accept"
    assert "lets out: everything\n" in describe(plan, "edge1")
    plan["hosts"]["edge1"]["firewall"] = None
    assert "firewall: none, nothing is filtered\n" in describe(plan, "edge1")


def test_a_host_without_a_plan_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        describe(PLAN, "nobody")
