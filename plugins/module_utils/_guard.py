# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Would a policy let in again who is in now? Judged before anything is touched, by decide() alone.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

It refuses only what is certain: what it lets pass is proven by the confirmation over a new connection.
"""

from __future__ import annotations

import ipaddress
import math
import time
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._policy import Packet, Policy, Rule, decide
from ansible_collections.alfred.portmap.plugins.module_utils._session import Session


def shuts_out(policy: Policy, session: t.Optional[Session]) -> t.Optional[str]:
    """Why the policy would not let a new connection like this session in, for people; None if it would, or if there is no session."""
    if session is None or session.client == session.server or ipaddress.ip_address(session.client).is_loopback:
        return None
    if _accepts(policy, session, time.time()):
        return None
    rules = [f"{rule.name} ({', '.join(rule.networks)})" for rule in _of_its_port(policy, session)]
    who_may = f"only these rules let anybody in there: {', '.join(rules)}" if rules else "no rule lets anybody in there"
    return (
        f"the policy would lock you out: this SSH session came from {session.client} to {session.server} port {session.server_port}, and the policy "
        f"would not let {session.client} in again; {who_may}"
    )


def shuts_out_later(policy: Policy, before: t.Optional[Policy], session: t.Optional[Session]) -> t.Optional[str]:
    """Why a session that the policy lets in for a while only may not prove it, for people; None if it may.

    It may where what lasts of its port is as it was confirmed before.
    """
    if session is None or shuts_out(policy, session) is not None or _accepts(policy, session, math.inf):
        return None
    if session.client == session.server or ipaddress.ip_address(session.client).is_loopback:
        return None
    if before is not None and _lasting(policy, session) == _lasting(before, session):
        return None
    return (
        f"the policy would lock you out later: it lets this SSH session, from {session.client} to port {session.server_port}, in for a while only, so "
        f"that it can't prove who may come in after that: come from one of these addresses ({', '.join(sorted(_lasting(policy, session))) or 'nobody'})"
    )


def _accepts(policy: Policy, session: Session, now: float) -> bool:
    # Which interface a packet came by is not known here; a container of this host may be who is in.
    interfaces = ["other", "container"] if policy.container_interfaces else ["other"]
    packets = [Packet("input", session.client, session.server, "tcp", session.server_port, arrives=interface) for interface in interfaces]
    return any(decide(policy, packet, now).accept for packet in packets)


def _of_its_port(policy: Policy, session: Session) -> list[Rule]:
    return [rule for rule in policy.ingress if rule.transport == "tcp" and any(session.server_port in span for span in rule.ports)]


def _lasting(policy: Policy, session: Session) -> set[str]:
    """The addresses that the session's port is open to without an end."""
    names = [name for rule in _of_its_port(policy, session) if rule.until is None for name in rule.networks]
    return {str(address) for name in names for address in policy.networks[name]}
