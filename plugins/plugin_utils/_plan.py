# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a port map, an environment and an inventory to one plan per host: plain data, pure, the whole inventory at once.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._build import compile_map
from ansible_collections.alfred.portmap.plugins.plugin_utils._host_plan import rule_order
from ansible_collections.alfred.portmap.plugins.plugin_utils._ingress import check_unplanned, plan_ingress
from ansible_collections.alfred.portmap.plugins.plugin_utils._inventory import Inventory, from_data, stated_environment
from ansible_collections.alfred.portmap.plugins.plugin_utils._model import Firewall, PortMap, Service, Span
from ansible_collections.alfred.portmap.plugins.plugin_utils._openings import Opening, Openings
from ansible_collections.alfred.portmap.plugins.plugin_utils._placement import Claim, Placement
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Problems
from ansible_collections.alfred.portmap.plugins.plugin_utils._shapes import is_everybody

PLAN_VERSION = 1
SSHD = "sshd"  # the service whose sources are those that the SSH layer admits
Data = dict[str, t.Any]


class PlanError(ValueError):
    """The map can't be planned: every reason is in `problems`."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        count = len(problems.errors)
        lines = "\n".join(str(problem) for problem in problems.errors)
        super().__init__(f"the port map has {count} problem{'s' if count > 1 else ''}, nothing is planned:\n{lines}")


def make_plan(documents: list[dict[str, str]], environment: t.Optional[str], inventory_data: t.Mapping[str, t.Any]) -> Data:
    """The plan of every managed host.

    documents: as the lookup port_map reads them. environment: its name, None if the map has none.
    inventory_data: as the filter inventory makes it. Raises PlanError with all problems at once.
    """
    problems, plan = examine(documents, environment, inventory_data)
    if problems.errors or plan is None:
        raise PlanError(problems)
    return plan


def examine(
    documents: list[dict[str, str]],
    environment: t.Optional[str],
    inventory_data: t.Mapping[str, t.Any],
    addresses_final: bool = True,
) -> tuple[Problems, t.Optional[Data]]:
    """All problems of a map for one inventory, and the plan as far as it goes (None if the file can't be read at all).

    environment: without one, the port_map_environment of the inventory's hosts counts.
    addresses_final: False before facts are known; a host without an address is then a notice.
    """
    port_map, problems = compile_map(documents, environment or stated_environment(inventory_data))
    inventory = from_data(inventory_data, problems)
    plan = None
    if port_map is not None:
        placement = Placement(port_map, inventory, problems, addresses_final)
        placement.find_conflicts()
        plan = _plan(placement, problems)
        _note_shared_hosts(placement, problems)
        _note_single_family(placement, plan, problems)
    problems.sort()
    if plan is not None:
        plan["notices"] = [str(notice) for notice in problems.notices]
    return problems, plan


def _plan(placement: Placement, problems: Problems) -> Data:
    port_map, inventory = placement.map, placement.inventory
    openings = Openings(placement, problems)
    if port_map.firewall is not None:
        openings.collect(port_map.firewall)
    policies = _policies(port_map, inventory, openings)
    check_unplanned(placement, problems)
    hosts = {
        name: {
            "addresses": list(inventory.hosts[name].addresses),
            "firewall": policies.get(name),
            "ingress": plan_ingress(placement, name, problems),
            "listeners": [_listener(claim, _exposure(claim, policies.get(name), openings.sets.listed)) for claim in placement.claims(name)],
            "ssh": _ssh(placement, openings, name, policies.get(name)),
        }
        for name in inventory.managed()
    }
    return {
        "version": PLAN_VERSION,
        "environment": port_map.environment,
        "port_map": port_map.data,
        "notices": [],
        "networks": {name: list(addresses) for name, addresses in sorted(openings.sets.listed.items())},
        "services": {name: _service(placement, service) for name, service in port_map.services.items()},
        "hosts": hosts,
        "vantages": {name: {"addresses": list(host.addresses)} for name, host in inventory.hosts.items() if not host.managed},
    }


def _service(placement: Placement, service: Service) -> Data:
    """What a service's name stands for, also where it listens on no host: questions about the plan are asked by names."""
    return {
        "hosts": list(placement.carriers(service)),
        "networks": list(placement.map.clusters[service.cluster].networks) if service.cluster is not None else [],
        "addresses": list(service.addresses),
        "ports": {port.name: {"ports": str(port.span), "transports": list(port.transports)} for port in service.ports.values() if port.span is not None},
    }


# policies


def _policies(port_map: PortMap, inventory: Inventory, openings: Openings) -> dict[str, Data]:
    """The policy of every managed host, in one pass over the openings; {} if the environment has no firewall."""
    firewall: t.Optional[Firewall] = port_map.firewall
    if firewall is None:
        return {}
    policies: dict[str, Data] = {
        name: {
            "ingress": [],
            "egress_default": "accept" if firewall.egress is None else "drop",
            "egress": [],
            "ping": list(firewall.ping),
            "container_interfaces": list(inventory.hosts[name].container_interfaces),
        }
        for name in inventory.managed()
    }
    for opening in openings.found:
        for host in (target for target in opening.targets if target in policies):
            policies[host]["ingress"].append(_rule(opening, opening.sources, containers=host in opening.source_hosts))
        if firewall.egress is not None:
            for host in opening.source_hosts:
                if host in policies and opening.destinations and _leaves(host, opening):
                    policies[host]["egress"].append(_rule(opening, opening.destinations))
    for policy in policies.values():
        policy["ingress"].sort(key=rule_order)
        policy["egress"].sort(key=rule_order)
    return policies


def _leaves(host: str, opening: Opening) -> bool:
    """Whether calls through this opening can leave the host at all: some destination is not the host itself."""
    return opening.targets != (host,) or len(opening.destinations) > 1


def _rule(opening: Opening, networks: tuple[str, ...], **more: bool) -> Data:
    rule: Data = {
        "name": opening.name,
        "transport": opening.transport,
        "ports": [str(span) for span in opening.ports],
        "networks": list(networks),
        "origin": str(opening.origin),
    }
    return {**rule, **more}


# listeners


def _listener(claim: Claim, exposure: str) -> Data:
    port = claim.port
    return {
        "name": claim.label,
        "transport": claim.transport,
        "ports": str(claim.span),
        "bind": claim.bind if isinstance(claim.bind, str) else list(claim.bind),
        "container": claim.container,
        "owner": list(claim.owner),
        "required": claim.span.lo == claim.span.hi,
        "exposure": exposure,
        "protocol": claim.protocol,
        "health": port.health if port else None,
        "origin": str(claim.origin),
    }


def _exposure(claim: Claim, policy: t.Optional[Data], networks: dict[str, tuple[str, ...]]) -> str:
    """Who the listener's address and the policy let in: loopback, internal, bastion or public."""
    if claim.bind == "loopback":
        return "loopback"
    if policy is None:
        return "public"
    named = {
        network
        for rule in policy["ingress"]
        if rule["transport"] == claim.transport and any(_overlap(text, claim.span) for text in rule["ports"])
        for network in rule["networks"]
    }
    if is_everybody(address for name in named for address in networks[name]):
        return "public"
    return "bastion" if named == {"bastion"} else "internal"


def _overlap(text: str, span: Span) -> bool:
    lo, _dash, hi = text.partition("-")
    return int(lo) <= span.hi and span.lo <= int(hi or lo)


# the SSH layer


def _ssh(placement: Placement, openings: Openings, host: str, policy: t.Optional[Data]) -> t.Optional[Data]:
    """Whom a host's sshd admits: exactly those that its port is open to. None: no firewall to say so, or no sshd there.

    A host that is itself named among those that another one's sshd lets in is a jump host towards that one.
    """
    service = placement.map.services.get(SSHD)
    port = service.ports[""] if service else None
    if policy is None or service is None or port is None or port.span is None or "tcp" not in port.transports or host not in placement.carriers(service):
        return None
    span = port.span
    open_to = [rule for rule in policy["ingress"] if rule["transport"] == "tcp" and any(_overlap(text, span) for text in rule["ports"])]
    ways = [one for one in openings.found if host in one.source_hosts and one.transport == "tcp" and any(ports.overlaps(span) for ports in one.ports)]
    reached = {target for way in ways for target in way.targets} - {host}
    return {
        "ports": [str(span)],
        "networks": list(dict.fromkeys(network for rule in open_to for network in rule["networks"])),
        "jumps_to": [name for name in placement.inventory.hosts if name in reached and name in placement.carriers(service)],
    }


# notices


def _note_shared_hosts(placement: Placement, problems: Problems) -> None:
    """The unit is the host: two namespaces on one are not kept apart there, and all its processes have its rights."""
    if placement.map.firewall is None:
        return
    namespaces: dict[str, set[str]] = {}
    for service in placement.map.services.values():
        if service.namespace is not None:
            for host in placement.carriers(service):
                namespaces.setdefault(host, set()).add(service.namespace)
    together: dict[tuple[str, ...], list[str]] = {}
    for host, names in namespaces.items():
        if len(names) > 1:
            together.setdefault(tuple(sorted(names)), []).append(host)
    for key, hosts in together.items():
        problems.notice(placement.map.origin, None, f"namespaces {', '.join(key)} are not kept apart on {', '.join(hosts)}: the unit is the host")


def _note_single_family(placement: Placement, plan: Data, problems: Problems) -> None:
    if placement.map.firewall is None:
        return
    for version, other in ((4, 6), (6, 4)):
        hosts = [name for name in plan["hosts"] if placement.host(name).families() == {version}]
        if hosts:
            rule = f"only IPv{version} addresses are known of {', '.join(hosts)}: between hosts IPv{other} stays closed for them"
            problems.notice(placement.map.origin, None, rule)
