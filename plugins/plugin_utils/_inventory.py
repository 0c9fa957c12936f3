# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory as far as a port map needs it: which hosts there are, in which groups, under which addresses.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Origin, Problems
from ansible_collections.alfred.portmap.plugins.plugin_utils._shapes import address_problem

DEFAULT_CONTAINER_INTERFACES = ("docker0", "br-*")
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}|[A-Za-z0-9_.@-]{1,14}\*")  # as a policy takes them

Address = t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


@dataclass(frozen=True)
class Host:
    """One host of the inventory."""

    name: str
    addresses: tuple[str, ...]  # every address that it is reached at or seen from; the first of a family is the one to connect to
    routed: tuple[str, ...]  # CIDRs of containers that are routed, seen from elsewhere under their own addresses
    managed: bool  # False: no plan, not in `all`
    container_interfaces: tuple[str, ...]
    users: frozenset[str]  # names of the lists in port_map_users
    refused: bool = False  # an address of it was, which has been said: that it has none is no second mistake

    @property
    def sources(self) -> tuple[str, ...]:
        """Everything that a packet from this host or its routed containers may carry as its source."""
        return self.addresses + self.routed

    def families(self) -> set[int]:
        """The IP versions that the host has an address of."""
        return {ipaddress.ip_address(address).version for address in self.addresses}


@dataclass(frozen=True)
class Inventory:
    """Hosts and groups. `all` are the managed hosts."""

    hosts: dict[str, Host]
    groups: dict[str, tuple[str, ...]]

    def names(self) -> list[str]:
        """Every name that `hosts:` may hold."""
        return ["all", *self.groups, *self.hosts]

    def managed(self) -> tuple[str, ...]:
        """The hosts that get a plan."""
        return tuple(name for name, host in self.hosts.items() if host.managed)

    def find(self, name: str) -> t.Optional[tuple[str, ...]]:
        """The hosts of a group, or the host of that name (a name that is both means the group); None if unknown."""
        if name == "all":
            return self.managed()
        if name in self.groups:
            return self.groups[name]
        if name in self.hosts:
            return (name,)
        return None


def usable(text: t.Any) -> t.Optional[str]:
    """The text as a normalised address that another host could use, or None (a name, loopback, a zone, unspecified)."""
    try:
        address: Address = ipaddress.ip_address(str(text))
    except ValueError:
        return None
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return None
    if isinstance(address, ipaddress.IPv6Address) and (address.is_link_local or address.ipv4_mapped or address.scope_id):
        return None
    return str(address)


def from_hostvars(hostvars: Mapping[str, t.Any], groups: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Reduce Ansible's own variables to the inventory data of a plan: plain, and nothing secret in it.

    The addresses of a host are ``port_map_addresses``; else ``ansible_host`` if it is an address that others could use;
    else the facts default_ipv4 and default_ipv6 (never all addresses: 172.17.0.1 is on every Docker host).
    """
    hosts: dict[str, t.Any] = {}
    for name in groups.get("all", []):
        variables = hostvars[name]
        stated = variables.get("port_map_addresses")
        if stated is not None:
            addresses = plain(stated)
        else:
            address = usable(variables.get("ansible_host", name))
            addresses = [address] if address else _from_facts(variables.get("ansible_facts") or {})
        users = variables.get("port_map_users") or {}
        hosts[str(name)] = {
            "addresses": addresses,
            "managed": plain(variables.get("port_map_managed", True)),
            "container_interfaces": plain(variables.get("port_map_container_interfaces", list(DEFAULT_CONTAINER_INTERFACES))),
            "users": sorted(str(key) for key in users) if isinstance(users, Mapping) else [],
            "environment": plain(variables.get("port_map_environment")),
            # The role port_map sets a fact of this name, with the plan beside it: where both are there, no variable was found before.
            "port_map_variable": "port_map" in variables and "port_map_plan" not in variables,
        }
    named = {str(group): [str(host) for host in members] for group, members in groups.items() if group not in ("all", "ungrouped")}
    return {"hosts": hosts, "groups": named}


def _from_facts(facts: Mapping[str, t.Any]) -> list[str]:
    found = [usable((facts.get(fact) or {}).get("address")) for fact in ("default_ipv4", "default_ipv6")]
    return [address for address in found if address]


def _unfit_range(text: str) -> t.Optional[str]:
    """Why a CIDR can't be that of a host's routed containers; None if it can."""
    reason = address_problem(text, single=False)
    if reason is None and ipaddress.ip_network(text).prefixlen == 0:
        return "is everybody: name the addresses that this host's containers have"
    return reason


def from_data(data: Mapping[str, t.Any], problems: Problems) -> Inventory:
    """Check inventory data and give it types; what is wrong is noted in problems and left out."""
    hosts: dict[str, Host] = {}
    owners: dict[str, str] = {}
    for name, entry in data.get("hosts", {}).items():

        def wrong(key: str, value: t.Any, rule: str, name: str = name) -> None:
            problems.error(Origin(f"{name}.{key}", "inventory", 0), value, rule)

        addresses: list[str] = []
        routed: list[str] = []
        refused = False
        stated = entry.get("addresses", [])
        for index, text in enumerate(stated if isinstance(stated, list) else [stated]):
            path = f"port_map_addresses[{index}]"
            if isinstance(text, str) and "/" in text:
                reason = _unfit_range(text)
                if reason is None:
                    routed.append(str(ipaddress.ip_network(text)))
                else:
                    wrong(path, text, reason)
                    refused = True
                continue
            address = usable(text)
            refused |= address is None or owners.get(address, name) != name
            if address is None:
                wrong(path, text, "not an address that other hosts can use (no name, loopback, link-local, zone or v4-mapped address)")
            elif owners.setdefault(address, name) != name:
                wrong(path, address, f"is also an address of host {owners[address]}: a virtual IP is a service's `address`, a shared NAT address a network")
            elif address not in addresses:
                addresses.append(address)
        if entry.get("port_map_variable"):
            wrong("port_map", None, "the port map is a file, not a group or host variable: Ansible would replace it whole, for some hosts, silently")
        managed = entry.get("managed", True)
        if not isinstance(managed, bool):
            wrong("port_map_managed", managed, "must be true or false")
            managed = True
        interfaces = entry.get("container_interfaces", list(DEFAULT_CONTAINER_INTERFACES))
        if isinstance(interfaces, str):
            interfaces = [interfaces]
        if not isinstance(interfaces, list) or not all(isinstance(item, str) and _INTERFACE.fullmatch(item) for item in interfaces):
            rule = "must be a list of interface names of at most 15 characters, a * at the end allowed and not alone"
            wrong("port_map_container_interfaces", interfaces, rule)
            interfaces = []
        hosts[name] = Host(name, tuple(addresses), tuple(routed), managed, tuple(interfaces), frozenset(entry.get("users", [])), refused)
    environments = _environments(data)
    if len(environments) > 1:
        problems.error(Origin("port_map_environment", "inventory", 0), environments, "one inventory has one environment")
    groups = {group: tuple(host for host in members if host in hosts) for group, members in data.get("groups", {}).items()}
    return Inventory(hosts, groups)


def stated_environment(data: Mapping[str, t.Any]) -> t.Optional[str]:
    """The environment that the inventory's hosts name, None if none does (several are an error of from_data)."""
    return next(iter(_environments(data)), None)


def _environments(data: Mapping[str, t.Any]) -> list[str]:
    return sorted({str(entry["environment"]) for entry in data.get("hosts", {}).values() if entry.get("environment") is not None})
