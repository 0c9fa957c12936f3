# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of a question: whether the first packet leaves the one host and enters the other, by decide() on each.

What the probes expect and what `explain` says come from here, so that they can't differ.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._policy import Packet, Policy, Verdict, decide
from ansible_collections.alfred.portmap.plugins.plugin_utils._host_plan import host_plan

if t.TYPE_CHECKING:
    from ansible_collections.alfred.portmap.plugins.plugin_utils._temporary import Temporary


class Ends:
    """The policies of a plan, asked about first packets."""

    def __init__(self, plan: t.Mapping[str, t.Any], temporary: t.Optional[t.Mapping[str, Temporary]] = None) -> None:
        """temporary: who may use SSH of which host for a while."""
        self._plan = plan
        self._temporary = temporary or {}
        self._policies: dict[str, t.Optional[Policy]] = {}
        self.hosts = {address: host for host, entry in plan["hosts"].items() for address in entry["addresses"]}  # whose an address is

    def addresses(self, name: str) -> dict[int, str]:
        """The first address of each family, at which clients connect. Raises KeyError for a host that the plan does not know."""
        known = self._plan["hosts"].get(name) or self._plan["vantages"][name]
        return {ipaddress.ip_address(address).version: address for address in reversed(known["addresses"])}

    def policy(self, host: t.Optional[str]) -> t.Optional[Policy]:
        """A host's policy. None: it has none, is not managed (port_map_managed: false), or is no host of the inventory."""
        if host is None or host not in self._plan["hosts"]:
            return None
        if host not in self._policies:
            data = host_plan(self._plan, host, self._temporary.get(host))["firewall"]
            self._policies[host] = None if data is None else Policy.from_data(data)
        return self._policies[host]

    def leaves(self, host: t.Optional[str], own: str, peer: str, transport: str, port: int, itself: bool = False) -> t.Optional[Verdict]:
        """What a host's policy says of the first packet from it to a peer; None if nothing there judges. itself: the peer is the host."""
        policy = self.policy(host)
        return None if policy is None else decide(policy, Packet("output", own, peer, transport, port, leaves="lo" if itself else "other"))

    def enters(self, host: t.Optional[str], peer: str, own: str, transport: str, port: int, itself: bool = False) -> t.Optional[Verdict]:
        """What a host's policy says of the first packet to it from a peer; None if nothing there judges."""
        policy = self.policy(host)
        return None if policy is None else decide(policy, Packet("input", peer, own, transport, port, arrives="lo" if itself else "other"))
