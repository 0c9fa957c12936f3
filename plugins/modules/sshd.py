#!/usr/bin/python
# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: sshd
short_description: Let sshd take logins from some networks only, on stated terms
version_added: 1.0.0
author:
  - The alfred.portmap authors (@alfred-portmap)
description:
  - Writes one drop-in, C(/etc/ssh/sshd_config.d/0-portmap.conf), that says who may log in from where and on which terms. Nobody may from
    anywhere else.
  - What counts is what is in force. Before anything is touched, sshd itself is asked for its settings for clients inside and outside of
    O(networks), with the new drop-in among all other files of its configuration and with the options of its command line.
  - The drop-in is read first, and in a block that fits everybody, so that neither other files nor C(Match) blocks in them can loosen it. Where
    the main file reads other things before it, or does not read it at all, one line is put at its top.
  - A change undoes itself, unless it is confirmed in time over a new connection (O(confirm_timeout)), and at a reboot before that. The action
    plugin of this module confirms on the controller. Nothing else has to be set.
  - sshd is reloaded. Where systemd listens for it (C(ssh.socket)) it is restarted instead, since not every version can be. Sessions go on.
  - Refuses what would lock out the user and the address that the present SSH session came with.
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
      - Also lets sshd judge the new configuration, and judges the present session by it.
  diff_mode:
    support: full
    details:
      - Shows every file before and after.
  platform:
    support: full
    platforms: linux
  idempotent:
    support: full
    details:
      - If nothing differs nothing is written or reloaded, and no transaction is started. What is in force is judged all the same.
options:
  state:
    description:
      - V(present) makes the drop-in be what the options say.
      - V(absent) takes it away, as a change like any other, and then all files of this module.
    type: str
    choices: [present, absent]
    default: present
  networks:
    description:
      - Who may log in. Names of networks, each with a list of IPv4 and IPv6 addresses and CIDRs. Required if O(state=present).
      - Nobody may log in from anywhere else, the host's own addresses included. Sockets without an address are no network (C(docs/ssh.md)).
    type: dict
    default: {}
  temporary:
    description:
      - Further networks, until a time has come. The host ends that by itself (a systemd timer that survives reboots). Sessions go on.
    type: dict
    suboptions:
      networks:
        description: Addresses and CIDRs.
        type: list
        elements: str
        required: true
      until:
        description: The time in UTC, as V(2026-11-26T18:00:00Z).
        type: str
        required: true
  ports:
    description:
      - The ports on which sshd is expected to take connections, because the firewall opens these. Where it listens elsewhere, or would after
        its next reload, nothing is changed. Empty does not look at ports.
    type: list
    elements: int
    default: []
  settings:
    description:
      - Keywords of C(sshd_config) and their values. Booleans are C(yes) and C(no), and the values of a list go onto one line.
      - What this sshd does not know is an error.
      - Not C(Match), C(Include), C(Port), C(ListenAddress) or C(Subsystem).
    type: dict
    default: {}
  settings_if_known:
    description: The same, but what this sshd does not know is left out. For keywords that not all versions of OpenSSH have.
    type: dict
    default: {}
  exempt:
    description:
      - Those whom O(settings) do not fit. These blocks stand before them, so that their values win.
      - It can't let anybody in from outside of O(networks).
    type: list
    elements: dict
    default: []
    suboptions:
      match:
        description: The criteria of a C(Match) line, as V(User deploy).
        type: str
        required: true
      settings:
        description: As O(settings).
        type: dict
        required: true
  banner:
    description: The text that clients are shown before they log in, kept in C(/etc/ssh/portmap_banner). Empty shows none.
    type: str
    default: ""
  users:
    description: Further accounts that must still be able to log in by a key from O(networks), beside that of the present session.
    type: list
    elements: str
    default: []
  confirm_timeout:
    description:
      - How many seconds a change may take to be confirmed over a new connection. After that the host undoes it by itself. From 5 to 600.
      - V(0) applies at once and for good, and only warns if the present session would be locked out. For images and consoles.
    type: int
    default: 30
  confirm_probes:
    description:
      - Ports of this host that must accept a connection before a change is confirmed.
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
        description: The host of the inventory that connects. By default the controller.
        type: str
        default: ""
  confirm_through:
    description:
      - Hosts of the inventory that Ansible reaches by way of this one. Each must answer over a new connection before a change is confirmed.
      - For a bastion, whose own login says nothing of its forwarding.
    type: list
    elements: str
    default: []
  confirm_token:
    description:
      - Confirms the change of that token (RV(transaction.token)), instead of making one. What the action plugin calls.
      - Over the connection that the change came by, it is refused.
    type: str
  state_dir:
    description:
      - Where the module keeps what it applied, in a directory C(ssh) that only root can read.
      - The directory above it must exist.
    type: path
    default: /var/lib/portmap
notes:
  - Needs root, and OpenSSH's server on the host.
  - On a host without systemd a reboot before the confirmation boots the unconfirmed configuration, and O(temporary) is refused.
  - From a console, C(rm /etc/ssh/sshd_config.d/0-portmap.conf) and C(systemctl reload ssh) take it all away.
seealso:
  - module: alfred.portmap.sshd_info
  - module: alfred.portmap.firewall
"""

EXAMPLES = r"""
- name: SSH from the bastion, by key, not as root
  alfred.portmap.sshd:
    networks:
      bastion: [203.0.113.10, "2001:db8:1::10"]
    ports: [22]
    settings:
      PermitRootLogin: false
      PasswordAuthentication: false
      KbdInteractiveAuthentication: false
      Ciphers: "-*-cbc"

- name: The bastion itself, if hosts behind it can still be reached then
  alfred.portmap.sshd:
    networks:
      operators: [203.0.113.64/27]
    settings:
      PasswordAuthentication: false
      AllowTcpForwarding: local
      PermitOpen: "*:22"
    confirm_through: [core1]

- name: Somebody needs to get in directly tonight
  alfred.portmap.sshd:
    networks:
      bastion: [203.0.113.10]
    temporary:
      networks: [192.0.2.17]
      until: "2026-11-26T23:00:00Z"

- name: Leave no trace
  alfred.portmap.sshd:
    state: absent
"""

RETURN = r"""
reasons:
  description: Why something was changed, or in check mode would be. Empty if nothing was.
  returned: success
  type: list
  elements: str
  sample: ["the settings are others than those in force"]
logins:
  description: What sshd's effective settings say of clients at the edges of O(networks) and outside of them. Only if something changes.
  returned: success and O(state=present)
  type: list
  elements: dict
  contains:
    address:
      description: Where the client comes from.
      type: str
    user:
      description: The user that it logs in as.
      type: str
    before:
      description: V(admitted), or V(refused) whatever it tries, before the change.
      type: str
    after:
      description: The same after it.
      type: str
overruled:
  description: Lines of other files whose settings are not in force, because these are.
  returned: success and O(state=present)
  type: list
  elements: str
  sample: ["/etc/ssh/sshd_config.d/50-cloud-init.conf:1: passwordauthentication yes"]
not_known:
  description: Keywords of O(settings_if_known) that this sshd does not know.
  returned: success and O(state=present)
  type: list
  elements: str
  sample: [PerSourcePenalties]
sshd_missing:
  description: Whether there is no sshd on this host.
  returned: success, or failure for want of an sshd
  type: bool
  sample: false
service:
  description: How sshd runs.
  returned: success, and there is an sshd
  type: dict
  contains:
    mode:
      description: V(service), V(socket) (systemd listens, and starts it), V(connections) (one sshd each), V(process) (not by systemd) or V(none).
      type: str
    unit:
      description: The systemd unit, or an empty string.
      type: str
    ports:
      description: Where it takes connections.
      type: list
      elements: int
    version:
      description: The version of OpenSSH.
      type: str
transaction:
  description: How the change is confirmed. Null if nothing had to be, or with O(confirm_timeout=0).
  returned: success, or if the change was not confirmed
  type: dict
  contains:
    state:
      description: V(armed) until the action plugin confirmed it, then V(confirmed); V(rolled_back) if it was undone, V(unknown) if that was not seen.
      type: str
    seconds:
      description: The time to confirm it.
      type: int
    token:
      description: What confirms it; only while it is armed.
      type: str
"""

import os
import re

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._lock import PATIENCE, LockError, lock_file, locked
from ansible_collections.alfred.portmap.plugins.module_utils._session import SameConnectionError
from ansible_collections.alfred.portmap.plugins.module_utils._sock_diag import SocketsError
from ansible_collections.alfred.portmap.plugins.module_utils._ssh_layer import RefusedError, absent, confirmed, present
from ansible_collections.alfred.portmap.plugins.module_utils._sshd import Sshd, SshdError, SshdMissingError
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_change import Host
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_expiry import ExpiryError
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_options import OptionError, read_options
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_service import ServiceError, look
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_state import DecidedError, SshState
from ansible_collections.alfred.portmap.plugins.module_utils._transaction import LONGEST, SHORTEST, Transaction, TransactionError


def main() -> None:
    """Read the options, do what they ask, end the module."""
    exempt = {"match": {"type": "str", "required": True}, "settings": {"type": "dict", "required": True}}
    temporary = {"networks": {"type": "list", "elements": "str", "required": True}, "until": {"type": "str", "required": True}}
    probe = {
        "port": {"type": "int", "required": True},
        "address": {"type": "str", "default": ""},
        "from": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "networks": {"type": "dict", "default": {}},
            "temporary": {"type": "dict", "options": temporary},
            "ports": {"type": "list", "elements": "int", "default": []},
            "settings": {"type": "dict", "default": {}},
            "settings_if_known": {"type": "dict", "default": {}},
            "exempt": {"type": "list", "elements": "dict", "default": [], "options": exempt},
            "banner": {"type": "str", "default": ""},
            "users": {"type": "list", "elements": "str", "default": []},
            "confirm_timeout": {"type": "int", "default": 30},
            "confirm_probes": {"type": "list", "elements": "dict", "default": [], "options": probe},
            "confirm_through": {"type": "list", "elements": "str", "default": []},
            "confirm_token": {"type": "str", "no_log": False},
            "state_dir": {"type": "path", "default": "/var/lib/portmap"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        check_options(params)
        options = read_options(params) if params["state"] == "present" else None
        state = SshState(params["state_dir"])
        with locked(lock_file(state.parent), PATIENCE):
            service = look(module)
            host = Host(module, Sshd(module, service.options, service.program), service, state, Transaction(module, "ssh", state.directory))
            if params["confirm_token"] is not None:
                result, diff = confirmed(host, params["confirm_token"]), []
            else:
                host.transaction.refuse_another()
                result, diff = present(host, options, params["confirm_timeout"]) if options is not None else absent(host, params["confirm_timeout"])
                result["service"] = {"mode": service.mode, "unit": service.unit, "ports": list(service.ports), "version": host.sshd.version()}
        if module._diff:
            result["diff"] = diff
        module.exit_json(sshd_missing=False, **result)
    except SshdMissingError as error:
        if params["state"] == "absent" and not SshState(params["state_dir"]).exists():
            module.exit_json(changed=False, sshd_missing=True, reasons=[], transaction=None)
        module.fail_json(msg=f"{error}. Nothing was changed", sshd_missing=True)
    except DecidedError as error:
        module.fail_json(msg=str(error), decided=True)
    except (OptionError, RefusedError, SshdError, ServiceError, ExpiryError, TransactionError, LockError, SameConnectionError, SocketsError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or params['state_dir']}: {error.strerror}")


def check_options(params: dict) -> None:
    """Raise RefusedError if an option has a value that nothing below could make sense of, or if we are not root."""
    # It is written into files of systemd and scripts, which have signs of their own.
    if re.fullmatch(r"/[A-Za-z0-9._/-]+", params["state_dir"]) is None:
        raise RefusedError(f"state_dir: {params['state_dir']} must be an absolute path of letters, digits, dots, dashes, underscores")
    if not os.path.isdir(os.path.dirname(params["state_dir"])):
        raise RefusedError(f"state_dir: there is no directory {os.path.dirname(params['state_dir'])}. Nothing was changed")
    if params["confirm_timeout"] != 0 and not SHORTEST <= params["confirm_timeout"] <= LONGEST:
        raise RefusedError(f"confirm_timeout: {params['confirm_timeout']} must be from {SHORTEST} to {LONGEST} seconds, or 0")
    if os.geteuid() != 0:
        raise RefusedError("this module needs root: run it with become")


if __name__ == "__main__":
    main()
