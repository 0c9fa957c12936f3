# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts ask and are asked: of hosts that the plan treats alike a few speak for all, so that work grows with kinds of hosts.

Alike are hosts with the same listeners, the same policy and the same standing: members of the same networks, so that every
policy takes them for the same, whether they ask or are asked.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.plugin_utils._ends import Ends
from ansible_collections.alfred.portmap.plugins.plugin_utils._reachability import Checks, Vantage

if t.TYPE_CHECKING:
    from ansible_collections.alfred.portmap.plugins.plugin_utils._temporary import Temporary

Data = dict[str, t.Any]

PER_CLASS = 2  # so that two of a kind ask each other, too


@dataclass(frozen=True)
class HostClass:
    """Hosts that are alike, in the inventory's order."""

    name: str
    hosts: tuple[str, ...]


def classes(plan: t.Mapping[str, t.Any]) -> list[HostClass]:
    """Every host of the plan and every vantage outside of it, by class; the first hosts' classes come first."""
    standing = _Standing(plan)
    members: dict[str, list[str]] = {}
    for host, entry in plan["hosts"].items():
        members.setdefault(_shape(entry) + standing.of(entry["addresses"]), []).append(host)
    for host, entry in plan.get("vantages", {}).items():
        members.setdefault("outside" + standing.of(entry["addresses"]), []).append(host)
    taken: set[str] = set()
    found = []
    for hosts in members.values():
        name = _common(hosts)
        if name in taken:
            name = hosts[0]
        taken.add(name)
        found.append(HostClass(name, tuple(hosts)))
    return found


def asks(
    plan: t.Mapping[str, t.Any],
    hosts: t.Collection[str],
    vantages: t.Optional[t.Collection[str]] = None,
    down: t.Collection[str] = (),
    full: bool = False,
    checks: t.Optional[Checks] = None,
    maintenance: t.Optional[t.Mapping[str, t.Collection[str]]] = None,
    temporary: t.Optional[t.Mapping[str, Temporary]] = None,
) -> Data:
    """Who asks what: {classes: [{name, hosts, asked, asking}], questions: {host: [question]}}.

    hosts: those of this run; each asks itself. vantages: those of them that may ask others, too; None: all.
    down: hosts that are known not to answer Ansible; they ask nothing, and are asked only where their class has nobody better.
    maintenance: of which host which routes answer 503 for now. temporary: who may use SSH of which host for a while.
    Raises ValueError for a vantage that nobody knows: with a misspelt one nobody would ask, and all would be well.
    """
    unknown = sorted(set(vantages or ()) - set(plan["hosts"]) - set(plan["vantages"]) - set(hosts))
    if unknown:
        raise ValueError(f"vantages: there is no host {', '.join(unknown)} in this inventory")
    able = [host for host in hosts if host not in down]
    may_ask = {host for host in able if vantages is None or host in vantages}
    number = None if full else PER_CLASS
    found = [_represented(one, plan, may_ask, frozenset(down), number) for one in classes(plan)]
    asked = {host for one in found for host in one["asked"]}
    asking = {host for one in found for host in one["asking"]}
    ends = Ends(plan, temporary)
    questions = {}
    for host in able:
        if host in plan["hosts"] or host in plan["vantages"]:
            vantage = Vantage(plan, host, checks or Checks(), ends, maintenance)
            questions[host] = vantage.everything(asked if host in asking else (), local=True)
    return {"classes": found, "questions": questions}


def _represented(one: HostClass, plan: t.Mapping[str, t.Any], may_ask: t.Collection[str], down: t.Collection[str], number: t.Optional[int]) -> Data:
    managed = [host for host in one.hosts if host in plan["hosts"]]
    best = sorted(managed, key=lambda host: host in down)[:number]  # sorting keeps the inventory's order
    asking = [host for host in one.hosts if host in may_ask][:number]
    return {"name": one.name, "hosts": list(one.hosts), "asked": [host for host in managed if host in best], "asking": asking}


def _common(hosts: t.Sequence[str]) -> str:
    """What people call such hosts: core for core1 and core2; a single one by its name."""
    stem = os.path.commonprefix(list(hosts)).rstrip("0123456789-_.") if len(hosts) > 1 else hosts[0]
    return stem or hosts[0]


def _shape(entry: Data) -> str:
    """What the plan wants of a host, without what is only its own: addresses that a port is bound to, and whom it jumps to."""
    own = set(entry["addresses"])
    listeners = [{**one, "bind": _bind(one["bind"], own)} for one in entry["listeners"]]
    ingress = {**entry["ingress"], "metrics": None} if entry["ingress"] else None
    return json.dumps([listeners, entry["firewall"], ingress, {**(entry["ssh"] or {}), "jumps_to": []}], sort_keys=True)


def _bind(bind: t.Union[str, list[str]], own: set[str]) -> t.Union[str, list[str]]:
    """Its own addresses by family only: alike hosts have others."""
    return bind if isinstance(bind, str) else [("IPv6" if ":" in one else "IPv4") if one in own else one for one in bind]


class _Standing:
    """To which of the plan's networks an address belongs."""

    def __init__(self, plan: t.Mapping[str, t.Any]) -> None:
        self._single: dict[str, set[str]] = {}
        self._wide: dict[int, list[tuple[int, int, str]]] = {4: [], 6: []}  # (network, mask, name)
        for name, addresses in plan["networks"].items():
            for text in addresses:
                if "/" in text:
                    network = ipaddress.ip_network(text)
                    self._wide[network.version].append((int(network.network_address), int(network.netmask), name))
                else:
                    self._single.setdefault(text, set()).add(name)

    def of(self, addresses: t.Iterable[str]) -> str:
        """For each family the networks that the first address, from which a host asks, is in."""
        found: dict[int, list[str]] = {}
        for text in addresses:
            address = ipaddress.ip_address(text)
            if address.version not in found:
                number = int(address)
                names = self._single.get(text, set()) | {name for base, mask, name in self._wide[address.version] if number & mask == base}
                found[address.version] = sorted(names)
        return json.dumps(found, sort_keys=True)
