# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Would a policy let in again who is in now? Judged before anything is touched, by decide() alone.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

It refuses only what is certain: what it lets pass is proven by the confirmation over a new connection.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._policy import Packet, Policy, decide
from ansible_collections.alfred.portmap.plugins.module_utils._session import Session


def shuts_out(policy: Policy, session: t.Optional[Session]) -> t.Optional[str]:
    """Why the policy would not let a new connection like this session in, for people; None if it would, or if there is no session."""
    if session is None or session.client == session.server or ipaddress.ip_address(session.client).is_loopback:
        return None
    # Which interface a packet came by is not known here; a container of this host may be who is in.
    interfaces = ["other", "container"] if policy.container_interfaces else ["other"]
    for interface in interfaces:
        packet = Packet("input", session.client, session.server, "tcp", session.server_port, arrives=interface)
        if decide(policy, packet).accept:
            return None
    of_the_port = [rule for rule in policy.ingress if rule.transport == "tcp" and any(session.server_port in span for span in rule.ports)]
    rules = [f"{rule.name} ({', '.join(rule.networks)})" for rule in of_the_port]
    who_may = f"only these rules let anybody in there: {', '.join(rules)}" if rules else "no rule lets anybody in there"
    return (
        f"the policy would lock you out: this SSH session came from {session.client} to {session.server} port {session.server_port}, and the policy "
        f"would not let {session.client} in again; {who_may}"
    )
