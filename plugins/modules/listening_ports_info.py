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
  - Of ports that Docker publishes its engine is asked, once, where the program C(docker) is there. Those that have no socket at all
    (C(userland-proxy) is V(false)) are listed, too.
  - If the table can't be read the module fails. If Docker does not answer though it publishes something, or may, there is a warning.
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
    description:
      - Whether to look up the process that holds each socket, and the container behind it. Needs root to see other users' processes.
    type: bool
    default: true
  unix:
    description: Whether to list the unix sockets that listen, too.
    type: bool
    default: false
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
      description: The user id of the socket, null for a published port without one.
      type: int
    user:
      description: The name of that user, empty if there is none of that id.
      type: str
    pid:
      description: The process that holds it, null if none is seen (another network namespace's, or without root).
      type: int
    process:
      description: The name of that process.
      type: str
    unit:
      description: Its systemd unit, or empty.
      type: str
    containers:
      description: The names of the containers that it leads to, or whose process holds it; null if Docker does not say.
      type: list
      elements: str
unix:
  description: Every unix socket that listens, sorted by path. C(pid), C(process), C(unit), C(uid) and C(user) as above.
  returned: with O(unix)
  type: list
  elements: dict
  contains:
    path:
      description: Its path, or V(@) and its abstract name (with V(@) for each zero byte).
      type: str
    abstract:
      description: Whether it is no file, but a name.
      type: bool
    type:
      description: V(stream) or V(seqpacket).
      type: str
    reached:
      description: Whether its path still leads to it, as seen from here. A file that was removed or replaced does not.
      type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._sock_diag import SocketsError
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import listener_data
from ansible_collections.alfred.portmap.plugins.module_utils._unix_sockets import unix_data
from ansible_collections.alfred.portmap.plugins.module_utils._who_listens import look


def main() -> None:
    """Read the tables, end the module."""
    options = {"owners": {"type": "bool", "default": True}, "unix": {"type": "bool", "default": False}}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    try:
        seen = look(module, processes=module.params["owners"], unix=module.params["unix"])
    except SocketsError as error:
        module.fail_json(msg=str(error))
    if seen.unknown:
        module.warn(f"It is not known which ports Docker publishes: {seen.unknown}")
    result = {"changed": False, "listeners": [listener_data(one) for one in seen.listeners]}
    if module.params["unix"]:
        result["unix"] = [unix_data(one) for one in seen.unix]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
