#!/usr/bin/python
# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: firewall
short_description: Make one nftables table be exactly a policy
version_added: 1.0.0
author:
  - The alfred.portmap authors (@alfred-portmap)
description:
  - Puts a policy in force as one nftables table of its own, for IPv4 and IPv6, in one transaction, and keeps it over reboots.
  - What the policy does not allow is dropped, both ways, for the host and for the ports that its containers publish.
  - No other table is touched. C(flush ruleset) is never used.
  - A change undoes itself, unless it is confirmed in time over a new connection (O(confirm_timeout)). The action plugin of this module
    does that on the controller; nothing else has to be set.
  - Refuses a policy that would not let in the address that the present SSH session came from.
  - Keeps on the host what it applied, so that a change by hand is seen (as drift, in check mode and diff mode too) and repaired.
  - Finds other firewalls that may drop what the policy allows (ufw, firewalld, iptables, iptables-legacy, other tables)
    and reports them. In nftables a drop is final and an accept is not, so no ruleset could overrule them. They are left alone, except
    that ufw and firewalld can be switched off together with a change (O(adopt)).
extends_documentation_fragment:
  - alfred.portmap.attributes
attributes:
  action:
    description: Has an action plugin that does part of the work on the controller.
    support: partial
    details:
      - The action plugin confirms a change over a new connection. Without it, as where the module is run by other means, a change
        is undone when O(confirm_timeout) is over.
  async:
    description: Can be run in the background, with C(async).
    support: none
  check_mode:
    support: full
    details:
      - Also lets nft and the kernel check the ruleset, and judges the present SSH session by it.
  diff_mode:
    support: full
    details:
      - Shows what was changed by hand (the table as it is, against the table as it was applied), what the policy changes
        (the rendered ruleset, before and after), and what changes in the boot unit's files.
  platform:
    support: full
    platforms: linux
  idempotent:
    support: partial
    details:
      - If nothing differs nothing is loaded, no transaction is started, and counters go on counting.
      - O(state=previous) always changes something.
options:
  state:
    description:
      - V(present) puts O(policy) in force.
      - V(previous) puts back what was confirmed before the policy in force, which thereby becomes the previous one. A change like any other.
      - V(absent) removes the table, the boot unit and all files of this module.
    type: str
    choices: [present, previous, absent]
    default: present
  confirm_timeout:
    description:
      - How many seconds a change may take to be confirmed over a new connection. After that the host puts back what was confirmed before, by
        itself. From 5 to 600.
      - V(0) applies at once and for good, and only warns if the policy does not let in the present SSH session. For images and consoles.
    type: int
    default: 30
  confirm_probes:
    description:
      - Further ports of this host that must accept a connection before a change is confirmed.
      - They are tried within O(confirm_timeout), again and again until all of them do.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: The TCP port.
        type: int
        required: true
      address:
        description: The address to connect to. By default the one that Ansible connects to.
        type: str
        default: ""
      from:
        description: The host of the inventory that connects, such as the bastion. By default the controller.
        type: str
        default: ""
  confirm_token:
    description:
      - Confirms the change of that token (RV(transaction.token)), instead of making one. What the action plugin calls.
      - Over the connection that the change came by, it is refused.
    type: str
  policy:
    description:
      - The policy. Required if O(state=present).
      - Loopback, the host's own addresses, answers to what is allowed, ICMP errors, neighbour discovery, multicast listener
        discovery, the DHCP client, outgoing pings and answers in TCP sessions older than the policy are always allowed.
    type: dict
    suboptions:
      networks:
        description: Names of networks, each with a list of IPv4 and IPv6 addresses and CIDRs.
        type: dict
        default: {}
      ingress:
        description: What may come in. Rules of the same port add up.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: What the rule is called, in comments of the ruleset.
            type: str
            required: true
          transport:
            description: The transport protocol.
            type: str
            choices: [tcp, udp]
            default: tcp
          ports:
            description: Ports, or ranges as V(8000-8999).
            type: list
            elements: str
            required: true
          networks:
            description: Names out of O(policy.networks); any of them.
            type: list
            elements: str
            required: true
          containers:
            description: Whether this host's own containers may use it too.
            type: bool
            default: false
          until:
            description:
              - A time in UTC, written as V(2026-11-26T18:00:00Z), from which on the rule lets nobody new in. Who is in stays in.
              - The kernel sees to it by the host's clock, with no timer, and after a reboot too. The rule itself stays in the policy.
              - A time that is over is no mistake. The rule then lets nobody in.
              - Cannot be together with C(containers=true).
            type: str
          origin:
            description: Where the rule comes from, for people.
            type: str
            default: ""
      egress_default:
        description: What happens to outgoing traffic that no rule of O(policy.egress) allows.
        type: str
        choices: [accept, drop]
        default: drop
      egress:
        description: What may go out, from the host and from its containers.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: What the rule is called, in comments of the ruleset.
            type: str
            required: true
          transport:
            description: The transport protocol.
            type: str
            choices: [tcp, udp]
            default: tcp
          ports:
            description: Ports, or ranges as V(8000-8999).
            type: list
            elements: str
            required: true
          networks:
            description: Names out of O(policy.networks); any of them.
            type: list
            elements: str
            required: true
          origin:
            description: Where the rule comes from, for people.
            type: str
            default: ""
      ping:
        description: Names out of O(policy.networks) that may ping this host. Nobody may if the list is empty.
        type: list
        elements: str
        default: []
      container_interfaces:
        description:
          - Interfaces of this host's containers; C(*) at the end stands for any rest.
          - An interface that leads to a network card is refused.
        type: list
        elements: str
        default: []
  table:
    description:
      - The name of the table, in family inet.
      - A table of this name that this module did not make is refused, and left alone.
    type: str
    default: portmap
  adopt:
    description:
      - Other firewalls of this host that are to be off, since the policy takes their place.
      - Switching one off is a part of the change. Until that is confirmed the other firewall is stopped only, and after it was confirmed
        it is disabled, so that it stays off. If the change is undone, and after a reboot before that, its rules are in force again.
      - There is no moment without a firewall. It is stopped after the table was loaded, and started before that goes.
      - One that is off already, or is not installed, changes nothing.
      - ufw is stopped by its own script, which sets the policies of iptables' INPUT, OUTPUT and FORWARD to ACCEPT and leaves empty chains
        until the next boot. It is disabled by C(ufw disable), which keeps its rules in C(/etc/ufw).
      - ufw with C(MANAGE_BUILTINS=yes) is refused, since stopping it would take away the rules of others.
      - firewalld is killed, and its tables are deleted, since with its own end it would take away all rules of iptables, Docker's too.
        Its direct rules stay until the next boot. Services that systemd would stop together with it, such as fail2ban, go on running.
      - firewalld with C(FirewallBackend=iptables) is refused, since its rules could not be told from those of others.
      - O(state=absent) switches nothing on again. Use C(ufw enable), or C(systemctl enable --now firewalld).
    type: list
    elements: str
    choices: [ufw, firewalld]
    default: []
  log:
    description: What is logged of the packets that are dropped.
    type: dict
    default: {}
    suboptions:
      enabled:
        description: Whether dropped packets are logged, in the kernel's log.
        type: bool
        default: true
      rate:
        description: How many lines per minute at most.
        type: int
        default: 10
      burst:
        description: How many lines at once at most.
        type: int
        default: 5
      prefix:
        description: How each line begins. It goes on with C(drop in), C(drop out), C(drop to containers) or C(drop from containers).
        type: str
        default: portmap
  boot:
    description:
      - Whether the policy is loaded at boot, before there is a network, by a systemd unit of its own,
        C(portmap-firewall.service), and put back whenever C(nftables.service) has flushed all tables.
      - With V(false) such a unit is removed if it is there.
      - Needs a host that runs systemd. On others it must be V(false), and C(nft -f) of RV(boot_file) must be run at boot by other means.
    type: bool
    default: true
  state_dir:
    description:
      - Where the module keeps what it applied, in a directory C(firewall) that only root can read.
      - The directory above it must exist.
    type: path
    default: /var/lib/portmap
notes:
  - Needs root, and nft (package C(nftables)) on the host.
  - A host that uses a protocol without ports (VRRP, ESP, GRE, OSPF and the like, told by raw sockets and tunnels that are
    up) is refused before its first policy, because a policy cannot allow those.
  - Drops that Docker, Kubernetes and its networks (CNI), Podman, libvirt and fail2ban make for their own purpose are not reported as conflicts.
seealso:
  - module: alfred.portmap.firewall_info
  - module: alfred.portmap.listening_ports
"""

EXAMPLES = r"""
- name: SSH from the bastion, https for everybody, nothing else in; DNS and https out
  alfred.portmap.firewall:
    policy:
      networks:
        anywhere: [0.0.0.0/0, "::/0"]
        bastion: [203.0.113.10, "2001:db8:1::10"]
        dns_servers: [198.51.100.53]
      ingress:
        - {name: ssh, ports: ["22"], networks: [bastion]}
        - {name: https, ports: ["443"], networks: [anywhere]}
      egress:
        - {name: https, ports: ["443"], networks: [anywhere]}
        - {name: dns, transport: udp, ports: ["53"], networks: [dns_servers]}
      ping: [anywhere]

- name: Put this host's part of a plan in force
  alfred.portmap.firewall:
    policy: "{{ (port_map_plan | alfred.portmap.host_plan(inventory_hostname)).firewall }}"

- name: The same, if the database is still open for the application server then
  alfred.portmap.firewall:
    policy: "{{ (port_map_plan | alfred.portmap.host_plan(inventory_hostname)).firewall }}"
    confirm_timeout: 60
    confirm_probes:
      - {port: 5432, from: core1}

- name: The policy takes the place of ufw
  alfred.portmap.firewall:
    policy: "{{ firewall_policy }}"
    adopt: [ufw]

- name: Back to the policy before this one
  alfred.portmap.firewall:
    state: previous

- name: Was anything changed by hand? (run with --check --diff)
  alfred.portmap.firewall:
    policy: "{{ firewall_policy }}"
  register: firewall_result
  failed_when: firewall_result is changed

- name: Leave no trace
  alfred.portmap.firewall:
    state: absent
"""

RETURN = r"""
reasons:
  description: Why something was changed, or in check mode would be. Empty if nothing was.
  returned: success
  type: list
  elements: str
  sample: ["the table inet portmap was changed by hand"]
drift:
  description: What somebody else changed in the table since it was applied.
  returned: success
  type: dict
  contains:
    found:
      description: Whether anything was.
      type: bool
    lines:
      description: The lines that were taken out (C(-)) or put in (C(+)).
      type: list
      elements: str
      sample: ["+\t\ttcp dport 5432 accept"]
conflicts:
  description:
    - What else on this host may drop packets that the policy allows. Each kind is a warning too.
    - Also each bridge that Docker or Podman publish ports to and that is not in O(policy.container_interfaces), since
      what is published there is open to everybody.
  returned: success and O(state) is not V(absent)
  type: list
  elements: dict
  contains:
    kind:
      description: One of V(ufw), V(firewalld), V(iptables-nft), V(iptables-legacy), V(nftables), V(containers).
      type: str
    where:
      description: Its table, chain and hook, or the bridge.
      type: str
    what:
      description: What it drops, or that it publishes ports past the policy.
      type: str
    advice:
      description: What to do.
      type: str
  sample:
    - kind: ufw
      where: table ip filter, chain INPUT (hook input, priority filter)
      what: drops everything that it does not accept (policy drop)
      advice: "allow the same in ufw, or stop using it here: 'ufw disable', or adopt: [ufw]"
rules:
  description: How many rules the policy has.
  returned: success and O(state) is not V(absent)
  type: dict
  sample: {egress: 3, ingress: 12}
nft_version:
  description: The version of nft on this host.
  returned: when there is an nft
  type: str
  sample: 1.0.6
nft_missing:
  description: Whether there is no nft on this host. With O(state=present) this is then the reason of the failure.
  returned: always
  type: bool
  sample: false
boot:
  description: Whether the policy is loaded at boot.
  returned: success
  type: bool
  sample: true
boot_file:
  description: The file that boots, with all of the policy in force.
  returned: success
  type: str
  sample: /var/lib/portmap/firewall/confirmed.nft
transaction:
  description: How the change was made safe. Null if nothing was changed, in check mode, and with O(confirm_timeout=0).
  returned: success and O(state) is not V(absent), and where a confirmed change could not be completed
  type: dict
  contains:
    state:
      description:
        - V(confirmed), over a new connection.
        - V(armed) if nobody did that yet, as where there is no action plugin.
        - V(rolled_back) on a failure that the host undid by itself, V(unknown) on one after which it could not be asked.
      type: str
    token:
      description: What the confirmation must know. Only while it is armed.
      type: str
    seconds:
      description: How long it may take to be confirmed.
      type: int
  sample: {state: confirmed, seconds: 30}
"""

import os
import re
import typing as t
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._boot_unit import UNIT, BootError, BootUnit
from ansible_collections.alfred.portmap.plugins.module_utils._firewall import ForeignTableError, Observed, conflicts_of, guard_ownership, observe, readable
from ansible_collections.alfred.portmap.plugins.module_utils._firewall_change import confirm, put_in_force
from ansible_collections.alfred.portmap.plugins.module_utils._firewall_state import DecidedError, FirewallState, StateError
from ansible_collections.alfred.portmap.plugins.module_utils._guard import shuts_out, shuts_out_later
from ansible_collections.alfred.portmap.plugins.module_utils._host_network import physical_container_interfaces, protocols_without_ports
from ansible_collections.alfred.portmap.plugins.module_utils._lock import PATIENCE, LockError, lock_file, locked
from ansible_collections.alfred.portmap.plugins.module_utils._nftables import Nft, NftError, NftMissingError
from ansible_collections.alfred.portmap.plugins.module_utils._other_firewalls import AdoptError, OtherFirewall, to_adopt
from ansible_collections.alfred.portmap.plugins.module_utils._policy import Policy, PolicyError
from ansible_collections.alfred.portmap.plugins.module_utils._ruleset import render
from ansible_collections.alfred.portmap.plugins.module_utils._session import SameConnectionError, incoming_session
from ansible_collections.alfred.portmap.plugins.module_utils._transaction import LONGEST, SHORTEST, Transaction, TransactionError

Diff = list[dict[str, str]]
Result = dict[str, t.Any]


class RefusedError(Exception):
    """The policy must not be put in force on this host; nothing was changed."""


class UnsettledError(Exception):
    """The policy is confirmed and in force, but not all that belongs to that could be done."""

    def __init__(self, message: str, transaction: Result | None) -> None:
        super().__init__(message)
        self.transaction = transaction


@dataclass(frozen=True)
class Host:
    """What the jobs below work with."""

    module: AnsibleModule
    nft: Nft
    state: FirewallState
    transaction: Transaction
    boot: BootUnit
    observed: Observed

    @property
    def table(self) -> str:
        """The name of the table."""
        return str(self.module.params["table"])


def main() -> None:
    """Read the options, do what they ask, end the module."""
    rule = {
        "name": {"type": "str", "required": True},
        "transport": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
        "ports": {"type": "list", "elements": "str", "required": True},
        "networks": {"type": "list", "elements": "str", "required": True},
        "origin": {"type": "str", "default": ""},
    }
    ingress = dict(rule, containers={"type": "bool", "default": False}, until={"type": "str"})
    policy = {
        "networks": {"type": "dict", "default": {}},
        "ingress": {"type": "list", "elements": "dict", "default": [], "options": ingress},
        "egress_default": {"type": "str", "choices": ["accept", "drop"], "default": "drop"},
        "egress": {"type": "list", "elements": "dict", "default": [], "options": rule},
        "ping": {"type": "list", "elements": "str", "default": []},
        "container_interfaces": {"type": "list", "elements": "str", "default": []},
    }
    log = {
        "enabled": {"type": "bool", "default": True},
        "rate": {"type": "int", "default": 10},
        "burst": {"type": "int", "default": 5},
        "prefix": {"type": "str", "default": "portmap"},
    }
    probe = {
        "port": {"type": "int", "required": True},
        "address": {"type": "str", "default": ""},
        "from": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "previous", "absent"], "default": "present"},
            "confirm_timeout": {"type": "int", "default": 30},
            "confirm_probes": {"type": "list", "elements": "dict", "default": [], "options": probe},
            "confirm_token": {"type": "str", "no_log": False},
            "policy": {"type": "dict", "options": policy},
            "table": {"type": "str", "default": "portmap"},
            "log": {"type": "dict", "options": log, "default": {}, "apply_defaults": True},
            "adopt": {"type": "list", "elements": "str", "choices": ["ufw", "firewalld"], "default": []},
            "boot": {"type": "bool", "default": True},
            "state_dir": {"type": "path", "default": "/var/lib/portmap"},
        },
        required_if=[("state", "present", ["policy"])],
        supports_check_mode=True,
    )
    state = FirewallState(module.params["state_dir"])
    boot = BootUnit(module)
    transaction = Transaction(module, "firewall", state.directory)
    try:
        check_options(module.params)
        with locked(lock_file(state.parent), PATIENCE):
            nft = Nft(module)
            observed = observe(nft, state, module.params["table"])
            guard_ownership(observed)
            host = Host(module, nft, state, transaction, boot, observed)
            if module.params["confirm_token"] is not None:
                result, diff = confirmed(host)
            else:
                transaction.refuse_another()
                result, diff = {"present": present, "previous": previous, "absent": absent}[module.params["state"]](host)
        if module._diff:
            result["diff"] = diff
        module.exit_json(nft_missing=False, nft_version=observed.nft_version, boot_file=state.confirmed_file, **result)
    except NftMissingError as error:
        # Without nft there has been no table of ours, unless there are other traces of it.
        if module.params["state"] == "absent" and not state.exists() and not any(boot.current_files().values()):
            module.exit_json(changed=False, nft_missing=True, reasons=[], drift={"found": False, "lines": []}, boot=False, boot_file=state.confirmed_file)
        module.fail_json(msg=str(error), nft_missing=True)
    except DecidedError as error:
        module.fail_json(msg=str(error), nft_missing=False, decided=True)
    except UnsettledError as error:
        module.fail_json(msg=str(error), nft_missing=False, transaction=error.transaction)
    except (
        NftError,
        StateError,
        LockError,
        BootError,
        TransactionError,
        SameConnectionError,
        ForeignTableError,
        PolicyError,
        RefusedError,
        AdoptError,
    ) as error:
        module.fail_json(msg=str(error), nft_missing=False)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}" if error.filename else str(error), nft_missing=False)


def check_options(options: t.Mapping[str, t.Any]) -> None:
    """Raise RefusedError if an option has a value that nothing below could make sense of, or if we are not root."""
    # Both are written into files of nft and systemd, which have signs of their own.
    if re.fullmatch(r"/[A-Za-z0-9._/-]+", options["state_dir"]) is None:
        raise RefusedError(f"state_dir: {options['state_dir']} must be an absolute path of letters, digits, dots, dashes, underscores")
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", options["table"]) is None:
        raise RefusedError(f"table: {options['table']} must be a letter followed by up to 63 letters, digits, dashes, underscores")
    if options["confirm_timeout"] != 0 and not SHORTEST <= options["confirm_timeout"] <= LONGEST:
        raise RefusedError(f"confirm_timeout: {options['confirm_timeout']} must be from {SHORTEST} to {LONGEST} seconds, or 0")
    for index, probe in enumerate(options["confirm_probes"]):
        if not 1 <= probe["port"] <= 65535:
            raise RefusedError(f"confirm_probes[{index}].port: {probe['port']} must be from 1 to 65535")
    for key in ("rate", "burst"):
        if options["log"][key] < 1:
            raise RefusedError(f"log.{key}: {options['log'][key]} must be at least 1; log.enabled=false logs nothing")
    if os.geteuid() != 0:
        raise RefusedError("this module needs root: run it with become")


def present(host: Host) -> tuple[Result, Diff]:
    """Put the policy of the options in force."""
    data = host.module.params["policy"]
    text = render(Policy.from_data(data), host.table, host.module.params["log"])
    reasons = host.observed.differences()
    if host.observed.stored.confirmed is None and host.observed.listing is None and not reasons:
        reasons.append("no policy was applied before")
    elif text != host.observed.stored.text:
        reasons.append("the policy is another than the one in force")
    return change(host, data, text, reasons)


def previous(host: Host) -> tuple[Result, Diff]:
    """Put back what was confirmed before."""
    history = [former for former in host.state.history() if former.table == host.table]
    if not history:
        raise RefusedError("there is no policy before the one in force that could be put back; nothing was changed")
    former = history[0]
    reasons = [*host.observed.differences(), f"the policy before, applied at {former.applied}, is put back"]
    return change(host, former.policy, former.text, reasons)


def change(host: Host, data: dict[str, t.Any], text: str, reasons: list[str]) -> tuple[Result, Diff]:
    """Make the table, our files and the boot unit be as wanted; a table that has to change is not confirmed yet."""
    module = host.module
    policy = Policy.from_data(data)
    refuse(host, policy)
    diff = table_diff(host.observed, text)
    session = incoming_session()
    others = to_adopt(module, module.params["adopt"])
    for other in others:
        other.refuse()
    reasons = reasons + [other.reason for other in others if other.reason is not None]
    if reasons:
        stored = host.observed.stored.confirmed
        before = Policy.from_data(stored.policy) if stored is not None else None
        guard(module, shuts_out(policy, session) or shuts_out_later(policy, before, session))
        check(module, host.nft, text)
    boot_reasons, boot_diff, _files = boot_changes(host)
    leaving = [other.name for other in others]
    conflicts = conflicts_of(module, host.nft, host.table, policy.container_interfaces, leaving) if module.check_mode or not leaving else None
    transaction = None
    if not module.check_mode:
        if reasons:
            seconds = module.params["confirm_timeout"]
            transaction = put_in_force(host.nft, host.state, host.transaction, host.table, text, data, host.observed, seconds, session, others)
        if transaction is None:  # what boots is settled with what is confirmed
            settle(host, others, None)
    if conflicts is None:  # what is left now that they are stopped
        conflicts = conflicts_of(module, host.nft, host.table, policy.container_interfaces)
    result: Result = {
        "changed": bool(reasons or boot_reasons),
        "reasons": reasons + boot_reasons,
        "drift": host.observed.drift,
        "conflicts": conflicts,
        "rules": {"ingress": len(policy.ingress), "egress": len(policy.egress)},
        "boot": module.params["boot"],
        "transaction": transaction,
    }
    return result, diff + boot_diff


def confirmed(host: Host) -> tuple[Result, Diff]:
    """Confirm a change: what this answers is laid over what the change itself answered."""
    seconds = confirm(host.state, host.transaction, host.module.params["confirm_token"], host.observed, incoming_session())
    transaction = {"state": "confirmed", "seconds": seconds}
    settle(host, None, transaction)
    return {"changed": True, "transaction": transaction}, []


def settle(host: Host, others: list[OtherFirewall] | None, transaction: Result | None) -> None:
    """The policy is confirmed: make what boots agree with that, our unit and the other firewalls (None: look for those). Raises UnsettledError."""
    problems = []
    try:
        settle_boot(host)
    except BootError as error:
        problems.append(f"it is not loaded at boot: {error}")
    try:
        for other in others if others is not None else to_adopt(host.module, host.module.params["adopt"]):
            other.disable()
    except AdoptError as error:
        problems.append(f"another firewall may be back after a reboot: {error}")
    if problems:
        raise UnsettledError("the policy is confirmed and in force, but {}".format("; ".join(problems)), transaction)


def guard(module: AnsibleModule, problem: str | None) -> None:
    """Refuse to lock out whoever runs this; where nobody will confirm anything (confirm_timeout=0) say it only."""
    if problem is None:
        return
    if module.params["confirm_timeout"]:
        raise RefusedError(f"{problem}. Nothing was changed")
    module.warn(problem)


def refuse(host: Host, policy: Policy) -> None:
    """Raise RefusedError if this policy would do harm on this host."""
    if host.module.params["boot"] and not host.boot.systemd_runs:
        raise RefusedError("boot: this host is not run by systemd, so nothing would load the policy at boot; set boot=false and see to that yourself")
    physical = physical_container_interfaces(policy.container_interfaces)
    if physical:
        raise RefusedError("policy.container_interfaces: {}; whatever comes in there would be taken for this host's own containers".format("; ".join(physical)))
    protocols = protocols_without_ports()
    if protocols:
        text = "this host uses a protocol without ports, which a policy cannot allow and would drop: {}".format("; ".join(protocols))
        if host.observed.listing is None and host.observed.stored.confirmed is None:
            raise RefusedError(text)
        host.module.warn(text)


def check(module: AnsibleModule, nft: Nft, text: str) -> None:
    """Let nft and the kernel check a ruleset, from a file in Ansible's own private directory."""
    path = os.path.join(module.tmpdir, "ruleset.nft")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    try:
        nft.check(path)
    except NftError as error:
        raise NftError(str(error).replace(path, "ruleset")) from None
    finally:
        os.unlink(path)


def table_diff(observed: Observed, text: str) -> Diff:
    """The changes by hand (the table against what was applied), then what the policy changes; only what differs."""
    diff = []
    table = f"table inet {observed.table}"
    confirmed = observed.stored.confirmed
    if confirmed is not None and observed.listing != confirmed.listing and not observed.relisted:
        diff.append(
            {
                "before_header": f"{table} as it is",
                "before": readable(observed.listing or ""),
                "after_header": f"{table} as it was applied",
                "after": readable(confirmed.listing),
            }
        )
    if observed.stored.text != text:
        diff.append({"before_header": f"{table}, the policy before", "before": observed.stored.text, "after_header": f"{table}, the policy now", "after": text})
    return diff


def boot_changes(host: Host) -> tuple[list[str], Diff, dict[str, str] | None]:
    """(why the boot unit must change, its diff, its files, or None if it has to go)."""
    boot, params = host.boot, host.module.params
    current = boot.current_files()
    enabled, active = boot.status()
    wanted = boot.files(host.table, host.nft.path, host.state.confirmed_file) if params["state"] != "absent" and params["boot"] else None
    reasons = []
    diff = []
    for path, before in current.items():
        after = wanted[path] if wanted is not None else ""
        if before != after:
            reasons.append("{} {}".format(path, "is to go" if not after else "is not as it must be" if before else "is missing"))
            diff.append({"before_header": path, "before": before, "after_header": path, "after": after})
    if wanted is not None and not enabled:
        reasons.append(f"{UNIT} is not enabled")
    if wanted is not None and not active:
        reasons.append(f"{UNIT} is not active")
    return reasons, diff, wanted


def settle_boot(host: Host) -> None:
    """Make the boot unit be as the options say. Raises BootError."""
    reasons, _diff, files = boot_changes(host)
    if reasons and files is not None:
        host.boot.install(files)
    elif reasons:
        host.boot.remove()


def absent(host: Host) -> tuple[Result, Diff]:
    """Remove the boot unit, then the table, then our files: interrupted anywhere, the next run does the rest."""
    observed, state = host.observed, host.state
    reasons, diff, _none = boot_changes(host)
    if observed.listing is not None:
        reasons.append(f"the table inet {observed.table} is there")
        diff.append({"before_header": f"table inet {observed.table}", "before": readable(observed.listing), "after_header": "", "after": ""})
    if state.exists():
        reasons.append(f"{state.directory} is there")
    if not host.module.check_mode:
        settle_boot(host)
        if observed.listing is not None:
            host.nft.delete_table(observed.table)
        host.transaction.forget()
        state.remove()
    return {"changed": bool(reasons), "reasons": reasons, "drift": observed.drift, "boot": False}, diff


if __name__ == "__main__":
    main()
