# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host's part of a plan, ready to hand to modules.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Apart from what makes the plan, and importing little: Ansible loads a filter anew in the process of each task that uses it, and compiles what it
imports each time. With the whole compiler behind it, this one took a fifth of a second a task.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.alfred.portmap.plugins.plugin_utils._temporary import Temporary

TEMPORARY_SET = "ssh:temporary"
VARIABLE = "ssh_bastion_temporary"  # who asked for it: the rule's origin
Data = dict[str, t.Any]


def host_plan(plan: t.Mapping[str, t.Any], host: str, temporary: t.Optional[Temporary] = None) -> Data:
    """One host's part of a plan, with the networks that its policy and its sshd name: ready to hand to modules.

    temporary: who may also use SSH for a while, if the host has an sshd. Raises KeyError if the host is not planned (unmanaged, or unknown).
    """
    found = dict(plan["hosts"][host])
    policy, ssh = found["firewall"], found.get("ssh")
    if policy is not None:
        named = {name for rule in policy["ingress"] + policy["egress"] for name in rule["networks"]} | set(policy["ping"])
        found["firewall"] = {"networks": {name: plan["networks"][name] for name in sorted(named)}, **policy}
    if ssh is not None:
        found["ssh"] = {**ssh, "networks": {name: plan["networks"][name] for name in ssh["networks"]}, "temporary": None}
        if temporary is not None:
            _admit(temporary, found["ssh"], found["firewall"])
    return found


def _admit(temporary: Temporary, ssh: Data, policy: Data) -> None:
    """Let in for a while, in both layers."""
    ssh["temporary"] = {"networks": list(temporary.networks), "until": temporary.until_text}
    policy["networks"] = {**policy["networks"], TEMPORARY_SET: list(temporary.networks)}
    rule = {
        "name": "ssh temporary",
        "transport": "tcp",
        "ports": ssh["ports"],
        "networks": [TEMPORARY_SET],
        "origin": VARIABLE,
        "containers": False,
        "until": temporary.until_text,
    }
    policy["ingress"] = sorted([*policy["ingress"], rule], key=rule_order)


def rule_order(rule: Data) -> tuple[int, str, str]:
    """The order of a policy's rules: by port, transport, name."""
    return (int(rule["ports"][0].split("-")[0]), rule["transport"], rule["name"])
