#!/usr/bin/python
# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module listening_ports_info: the kernel's table of listening sockets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: listening_ports_info
version_added: 1.0.0
short_description: List who listens on a host
description:
  - Reads the kernel's own socket table over netlink (C(sock_diag)), without C(ss), C(netstat) or C(lsof). Listed are listening
    TCP sockets and unconnected UDP sockets, with the process and systemd unit that holds each.
  - If the table can't be read the module fails.
extends_documentation_fragment:
  - alfred.portmap.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: Nothing is changed.
  platform:
    support: full
    platforms: linux
  idempotent:
    support: full
options:
  owners:
    description: Whether to look up the process that holds each socket. Needs root to see other users' processes.
    type: bool
    default: true
seealso:
  - module: alfred.portmap.listening_ports
author:
  - The alfred.portmap authors (@alfred-portmap)
"""

EXAMPLES = r"""
- name: Who listens here?
  alfred.portmap.listening_ports_info:
  register: ports

- name: Show what listens on all addresses
  ansible.builtin.debug:
    msg: "{{ ports.listeners | selectattr('address', 'in', ['0.0.0.0', '::']) }}"
"""

RETURN = r"""
listeners:
  description: Every listener, sorted by transport, port and address.
  returned: success
  type: list
  elements: dict
  contains:
    transport:
      description: V(tcp) or V(udp).
      type: str
    address:
      description: Where it listens.
      type: str
    port:
      description: The port.
      type: int
    serves:
      description: Whose packets reach it, V(ipv4), V(ipv6) or both (a socket on C(::) serves IPv4 too unless it is v6-only).
      type: list
      elements: str
    interface:
      description: The interface that it is bound to, or empty.
      type: str
    uid:
      description: The user id of the socket.
      type: int
    pid:
      description: The process that holds it, null if none is seen (another network namespace's, or without root).
      type: int
    process:
      description: The name of that process.
      type: str
    unit:
      description: Its systemd unit, or empty.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._sockets import SocketsError, listener_data, listeners


def main() -> None:
    """Read the table, end the module."""
    module = AnsibleModule(argument_spec={"owners": {"type": "bool", "default": True}}, supports_check_mode=True)
    try:
        found = listeners(owners=module.params["owners"])
    except SocketsError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, listeners=[listener_data(one) for one in found])


if __name__ == "__main__":
    main()
