# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory data: which of a host's variables count as its addresses, and what is refused."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._policy import Policy
from ansible_collections.alfred.portmap.plugins.plugin_utils._inventory import from_data, from_hostvars, stated_environment
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Problems


def one(**variables: t.Any) -> dict[str, t.Any]:
    """The inventory data of a single host with these variables."""
    return from_hostvars({"vm1": variables}, {"all": ["vm1"], "ungrouped": ["vm1"]})["hosts"]["vm1"]


@pytest.mark.parametrize(
    ("variables", "addresses"),
    [
        ({"port_map_addresses": ["192.0.2.1", "2001:db8::1"], "ansible_host": "192.0.2.9"}, ["192.0.2.1", "2001:db8::1"]),
        ({"ansible_host": "192.0.2.9"}, ["192.0.2.9"]),
        ({"ansible_host": "2001:DB8::0:9"}, ["2001:db8::9"]),
        ({"ansible_host": "127.0.0.1"}, []),  # a VM's forwarded port
        ({"ansible_host": "vm1.example.com"}, []),
        (
            {"ansible_host": "vm1.example.com", "ansible_facts": {"default_ipv4": {"address": "192.0.2.5"}, "default_ipv6": {"address": "2001:db8::5"}}},
            ["192.0.2.5", "2001:db8::5"],
        ),
        ({"ansible_facts": {"default_ipv4": {}, "default_ipv6": {"address": "fe80::1"}, "all_ipv4_addresses": ["172.17.0.1"]}}, []),
    ],
)
def test_addresses_come_from_the_nearest_source(variables: dict[str, t.Any], addresses: list[str]) -> None:
    assert one(**variables)["addresses"] == addresses


def test_a_host_whose_name_is_an_address_is_reached_there() -> None:
    data = from_hostvars({"192.0.2.7": {}}, {"all": ["192.0.2.7"]})
    assert data["hosts"]["192.0.2.7"]["addresses"] == ["192.0.2.7"]


def test_nothing_secret_leaves_the_inventory() -> None:
    data = one(port_map_users={"default": [{"name": "ops", "hash": "$2y$05$secret"}]}, ansible_password="hunter2")
    assert data["users"] == ["default"]
    assert "secret" not in repr(data) and "hunter2" not in repr(data)


def test_a_variable_port_map_is_refused() -> None:
    problems = Problems()
    from_data({"hosts": {"vm1": one(port_map={"version": 1})}, "groups": {}}, problems)
    assert [problem.origin.path for problem in problems.errors] == ["vm1.port_map"]
    assert "is a file" in problems.errors[0].rule


def test_an_inventory_has_one_environment() -> None:
    data = {"hosts": {"a": {"addresses": [], "environment": "lab"}, "b": {"addresses": [], "environment": "production"}}, "groups": {}}
    problems = Problems()
    from_data(data, problems)
    assert [problem.value for problem in problems.errors] == [["lab", "production"]]
    assert stated_environment({"hosts": {"a": {"environment": "lab"}}}) == "lab"
    assert stated_environment({"hosts": {}}) is None


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({"addresses": [], "managed": "no"}, "vm1.port_map_managed"),
        ({"addresses": [], "container_interfaces": [1]}, "vm1.port_map_container_interfaces"),
        ({"addresses": ["10.0.0.1/24"]}, "vm1.port_map_addresses[0]"),
        ({"addresses": [None]}, "vm1.port_map_addresses[0]"),
        ({"addresses": ["192.0.2.1", "::ffff:0:0/96"]}, "vm1.port_map_addresses[1]"),
        ({"addresses": ["192.0.2.1", "fe80::%eth0/64"]}, "vm1.port_map_addresses[1]"),
        ({"addresses": ["192.0.2.1", "0.0.0.0/0"]}, "vm1.port_map_addresses[1]"),
        ({"addresses": ["192.0.2.1", "::/0"]}, "vm1.port_map_addresses[1]"),
        ({"addresses": ["192.0.2.1", "10.0.0.0/255.0.0.0"]}, "vm1.port_map_addresses[1]"),
        ({"addresses": [], "container_interfaces": ["*"]}, "vm1.port_map_container_interfaces"),
        ({"addresses": [], "container_interfaces": ["a*b"]}, "vm1.port_map_container_interfaces"),
        ({"addresses": [], "container_interfaces": ["docker0", "x" * 16]}, "vm1.port_map_container_interfaces"),
        ({"addresses": [], "container_interfaces": [""]}, "vm1.port_map_container_interfaces"),
    ],
)
def test_wrong_host_variables_are_named(entry: dict[str, t.Any], path: str) -> None:
    problems = Problems()
    from_data({"hosts": {"vm1": entry}, "groups": {}}, problems)
    assert [problem.origin.path for problem in problems.errors] == [path]


@pytest.mark.parametrize("interfaces", [["docker0", "br-*"], "docker0", [], ["x" * 15], ["x" * 14 + "*"], ["eth0.5@if7"]])
def test_what_an_inventory_may_say_a_policy_takes(interfaces: t.Any) -> None:
    problems = Problems()
    entry = {"addresses": ["192.0.2.1", "10.0.0.0/8", "2001:db8::/64"], "container_interfaces": interfaces}
    host = from_data({"hosts": {"vm1": entry}, "groups": {}}, problems).hosts["vm1"]
    assert problems.errors == [] and not host.refused
    data = {"networks": {"n": list(host.sources)}, "ingress": [], "egress_default": "drop", "egress": [], "ping": ["n"]}
    Policy.from_data({**data, "container_interfaces": list(host.container_interfaces)})


def test_a_name_that_is_group_and_host_means_the_group() -> None:
    problems = Problems()
    stock = from_data(
        {"hosts": {"core": {"addresses": []}, "core1": {"addresses": []}, "off": {"addresses": [], "managed": False}}, "groups": {"core": ["core1"]}}, problems
    )
    assert stock.find("core") == ("core1",)
    assert stock.find("all") == ("core", "core1")
    assert stock.find("nowhere") is None
