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
    with what is expected. Missing, unexpected and wrongly bound listeners are findings.
  - Changes nothing.
  - If the table can't be read the module fails. An unreadable table is never taken for an empty one.
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
        description: Whether a container publishes it, so that the listener may be Docker's.
        type: bool
        default: false
      exposure:
        description: Who is let in, for people.
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
      - {name: admin, ports: "8080", bind: loopback}

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
      description: One of V(missing), V(unexpected), V(wrong address).
      type: str
    name:
      description: What is expected there, empty if nothing is.
      type: str
    transport:
      description: The transport protocol.
      type: str
    port:
      description: The port, or the range that was expected.
      type: str
    expected:
      description: The expected address in words.
      type: str
    actual:
      description: Where it listens instead.
      type: list
      elements: str
    owner:
      description: The process that listens, empty if none is seen.
      type: str
    why:
      description: Where the expectation comes from.
      type: str
    text:
      description: All of it in one line.
      type: str
listeners:
  description: Every listener, as M(alfred.portmap.listening_ports_info) returns it.
  returned: always
  type: list
  elements: dict
"""

import ipaddress

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._listeners import Expected, Ignored, compare
from ansible_collections.alfred.portmap.plugins.module_utils._policy import Span
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import SocketsError, ephemeral_ports, listener_data, listeners


def span(module: AnsibleModule, path: str, value: str) -> Span:
    """A port or range out of an option; fails the module if it is none."""
    lo, _dash, hi = value.partition("-")
    if value.isascii() and lo.isdigit() and (hi.isdigit() or not _dash):
        found = Span(int(lo), int(hi or lo))
        if 1 <= found.lo <= found.hi <= 65535:
            return found
    module.fail_json(msg=f"{path}: {value!r} must be a port from 1 to 65535 or a range lo-hi", findings=[], listeners=[])


def bind(module: AnsibleModule, path: str, value: object) -> object:
    """any, loopback or addresses out of an option; fails the module if it is none of them."""
    if value in ("any", "loopback"):
        return value
    try:
        if isinstance(value, list) and value and all(isinstance(address, str) and "%" not in address for address in value):
            return tuple(str(ipaddress.ip_address(address)) for address in value)
    except ValueError:
        pass
    module.fail_json(msg=f"{path}: {value!r} must be any, loopback or a list of addresses", findings=[], listeners=[])


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
    }
    module = AnsibleModule(
        argument_spec={
            "expected": {"type": "list", "elements": "dict", "required": True, "options": expected_spec},
            "ignore": {"type": "list", "elements": "dict", "default": [], "options": ignore_spec},
            "strict": {"type": "bool", "default": False},
            "fail_on_findings": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    expected = [
        Expected(
            line["name"],
            line["transport"],
            span(module, f"expected[{index}].ports", line["ports"]),
            bind(module, f"expected[{index}].bind", line["bind"]),
            line["required"],
            line["origin"],
        )
        for index, line in enumerate(module.params["expected"])
    ]
    ignored = [
        Ignored(
            line["transport"] or "",
            span(module, f"ignore[{index}].ports", line["ports"]) if line["ports"] is not None else None,
            line["address"],
            line["process"],
            line["unit"],
        )
        for index, line in enumerate(module.params["ignore"])
    ]
    try:
        found = listeners()
        ephemeral = ephemeral_ports()
    except SocketsError as error:
        module.fail_json(msg=str(error), findings=[], listeners=[])
    findings = compare(expected, found, ignored, ephemeral, module.params["strict"])
    result = {"changed": False, "findings": findings, "listeners": [listener_data(one) for one in found]}
    if findings and module.params["fail_on_findings"]:
        module.fail_json(msg="\n".join(finding["text"] for finding in findings), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
