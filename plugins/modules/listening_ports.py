#!/usr/bin/python
# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module listening_ports: expected listeners against the kernel's socket table."""

from __future__ import annotations

DOCUMENTATION = r"""
module: listening_ports
version_added: 1.0.0
short_description: Compare who listens on a host with who should
description:
  - Reads the kernel's own socket table over netlink (C(sock_diag)), without C(ss), C(netstat) or C(lsof), and compares it
    with what is expected. Missing and unexpected listeners, those that are bound to the wrong address and those that the wrong
    process holds are findings.
  - Of ports that Docker publishes its engine is asked, once, where the program C(docker) is there. Those that have no socket at all
    (C(userland-proxy) is V(false)) count as listeners, too.
  - Changes nothing.
  - If the table can't be read the module fails. An unreadable table is never taken for an empty one. If Docker does not answer though
    it holds a port, runs in this network namespace or has to publish something, that is one finding of kind V(unknown).
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
  expected:
    description: The listeners that must be there, and the only ones that may.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What it is called.
        type: str
        required: true
      transport:
        description: The transport protocol.
        type: str
        choices: [tcp, udp]
        default: tcp
      ports:
        description: A port, or a range as V(8000-8999).
        type: str
        required: true
      bind:
        description:
          - Where it must listen. V(any) is the wildcard or any address that is not loopback, V(loopback) is 127.0.0.0/8 or ::1.
          - Otherwise a list of addresses.
        type: raw
        default: any
      required:
        description: Whether it must be there. V(false) is for ranges, of which any part may listen.
        type: bool
        default: true
      origin:
        description: Where the expectation comes from, for people.
        type: str
        default: ""
      container:
        description:
          - Whether a container publishes it. With V(true) the listener must be Docker's for a container that runs, or a process of a
            container in the host's network. With V(false) it must not be one of Docker's published ports.
        type: bool
        default: false
      owner:
        description:
          - Names or patterns (V(*) and V(?) allowed) of which one must match who holds it, that is the process, the systemd unit (with or
            without C(.service)) or the container. An owner that is not seen matches none. If empty, it is not checked.
          - The kernel keeps 15 bytes of a process's name; a longer name is compared with these.
        type: list
        elements: str
        default: []
      exposure:
        description: Who is let in, for people. It comes back with the listener.
        type: str
        default: ""
      protocol:
        description: The application protocol, for people.
        type: str
        default: ""
      health:
        description: The health path, for people.
        type: str
  ignore:
    description: Listeners that are no findings though nothing explains them. What a pattern does not say matches everything.
    type: list
    elements: dict
    default: []
    suboptions:
      transport:
        description: The transport protocol.
        type: str
        choices: [tcp, udp]
      ports:
        description: A port, or a range.
        type: str
      address:
        description: Pattern for the address, V(*) and V(?) allowed.
        type: str
        default: "*"
      process:
        description: Pattern for the name of the process that holds it.
        type: str
        default: "*"
      unit:
        description: Pattern for its systemd unit.
        type: str
        default: "*"
      user:
        description: Pattern for the name of the socket's user, or its number.
        type: str
        default: "*"
      container:
        description: Pattern for the name of the container behind it.
        type: str
        default: "*"
  unix:
    description: Whether to list the unix sockets that listen, too.
    type: bool
    default: false
  expected_unix:
    description: Unix sockets that must be there. Others are no findings, in strict mode neither, since each host has dozens of its own.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The absolute path, or V(@) and an abstract name. The path must lead to the socket, which a file that was replaced does not.
        type: str
        required: true
      owner:
        description: Names or patterns of which one must match the process or systemd unit that holds it.
        type: list
        elements: str
        default: []
  strict:
    description:
      - Whether everything unexpected is a finding.
      - With V(false) these are not. What listens on loopback only; the ports of a DHCP client (68 and 546/udp); and unconnected UDP
        sockets on the ephemeral ports (C(net.ipv4.ip_local_port_range)), as clients use them.
    type: bool
    default: false
  fail_on_findings:
    description: Whether the module fails if there are findings. With V(false) they are only returned.
    type: bool
    default: true
seealso:
  - module: alfred.portmap.listening_ports_info
  - module: alfred.portmap.probe
author:
  - The alfred.portmap authors (@alfred-portmap)
"""

EXAMPLES = r"""
- name: Nothing but SSH and a web server listens
  alfred.portmap.listening_ports:
    expected:
      - {name: sshd, ports: "22"}
      - {name: web, ports: "443"}
      - {name: admin, ports: "8080", bind: loopback, owner: [admind]}
      - {name: shop, ports: "8443", container: true, owner: ["shop_web_*"]}

- name: A database serves its own host alone
  alfred.portmap.listening_ports:
    expected: [{name: sshd, ports: "22"}]
    expected_unix: [{path: /run/postgresql/.s.PGSQL.5432, owner: [postgres]}]

- name: Compare with this host's part of a plan
  alfred.portmap.listening_ports:
    expected: "{{ (port_map_plan | alfred.portmap.host_plan(inventory_hostname)).listeners }}"
    ignore:
      - {process: kubelet}
"""

RETURN = r"""
findings:
  description: Every difference.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description:
        - One of V(missing), V(unexpected), V(wrong address), V(wrong owner), V(unknown).
        - V(unknown) is that Docker does not say what it publishes. It is of no one port, RV(findings[].text) names those that Docker holds.
      type: str
    name:
      description: What is expected there, empty if nothing is. The path of a unix socket.
      type: str
    transport:
      description: The transport protocol, V(unix) for a unix socket. Empty if no port is meant.
      type: str
    port:
      description: The port, or the range that was expected. Empty if no port is meant.
      type: str
    expected:
      description: The expected address, or owner, in words.
      type: str
    actual:
      description: Where it listens.
      type: list
      elements: str
    owner:
      description: The process that listens, and its container; empty if none is seen.
      type: str
    why:
      description: Where the expectation comes from.
      type: str
    text:
      description: All of it in one line.
      type: str
listeners:
  description: Every listener, as M(alfred.portmap.listening_ports_info) returns it, and what is made of it.
  returned: always
  type: list
  elements: dict
  contains:
    expected:
      description: The names of the expected lines that explain it.
      type: list
      elements: str
    exposure:
      description: Of that line; else V(loopback) if it only listens there, V(unexpected) if nothing explains it.
      type: str
    ignored:
      description: Whether it is no finding though nothing explains it.
      type: bool
unix:
  description: The unix sockets that listen, as M(alfred.portmap.listening_ports_info) returns them.
  returned: with O(unix) or O(expected_unix)
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._listeners import compare
from ansible_collections.alfred.portmap.plugins.module_utils._listening_options import expected_lines, expected_unix, ignored_patterns
from ansible_collections.alfred.portmap.plugins.module_utils._sock_diag import SocketsError
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import ephemeral_ports
from ansible_collections.alfred.portmap.plugins.module_utils._unix_listeners import compare_unix
from ansible_collections.alfred.portmap.plugins.module_utils._unix_sockets import unix_data
from ansible_collections.alfred.portmap.plugins.module_utils._who_listens import look


def main() -> None:
    """Read the options, compare, end the module."""
    expected_spec = {
        "name": {"type": "str", "required": True},
        "transport": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
        "ports": {"type": "str", "required": True},
        "bind": {"type": "raw", "default": "any"},
        "required": {"type": "bool", "default": True},
        "origin": {"type": "str", "default": ""},
        "container": {"type": "bool", "default": False},
        "owner": {"type": "list", "elements": "str", "default": []},
        "exposure": {"type": "str", "default": ""},
        "protocol": {"type": "str", "default": ""},
        "health": {"type": "str"},
    }
    ignore_spec = {
        "transport": {"type": "str", "choices": ["tcp", "udp"]},
        "ports": {"type": "str"},
        "address": {"type": "str", "default": "*"},
        "process": {"type": "str", "default": "*"},
        "unit": {"type": "str", "default": "*"},
        "user": {"type": "str", "default": "*"},
        "container": {"type": "str", "default": "*"},
    }
    unix_spec = {
        "path": {"type": "str", "required": True},
        "owner": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(
        argument_spec={
            "expected": {"type": "list", "elements": "dict", "required": True, "options": expected_spec},
            "ignore": {"type": "list", "elements": "dict", "default": [], "options": ignore_spec},
            "unix": {"type": "bool", "default": False},
            "expected_unix": {"type": "list", "elements": "dict", "default": [], "options": unix_spec},
            "strict": {"type": "bool", "default": False},
            "fail_on_findings": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    asked = module.params
    unix = asked["unix"] or bool(asked["expected_unix"])
    try:
        expected, ignored, local = expected_lines(asked["expected"]), ignored_patterns(asked["ignore"]), expected_unix(asked["expected_unix"])
        seen = look(module, unix=unix, published=any(line.container and line.required for line in expected))
        ephemeral = ephemeral_ports()
    except (ValueError, SocketsError) as error:
        module.fail_json(msg=str(error), findings=[], listeners=[])
    compared = compare(expected, seen.listeners, ignored, ephemeral, asked["strict"], seen.unknown)
    findings = [*compared.findings, *compare_unix(local, seen.unix)]
    result = {"changed": False, "findings": findings, "listeners": compared.data()}
    if unix:
        result["unix"] = [unix_data(one) for one in seen.unix]
    if findings and asked["fail_on_findings"]:
        module.fail_json(msg="\n".join(finding["text"] for finding in findings), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
