#!/usr/bin/python
# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module probe: many questions to the running system in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: probe
version_added: 1.0.0
short_description: Ask which ports are open or blocked, and which URLs answer
description:
  - Asks many questions at once from the host that it runs on. A port that must be blocked is as good a question as one that
    must be open.
  - Each answer has a verdict. V(open) means that it answered, as asked for. V(refused), that the host is there and nobody
    listens; the packet got through every policy, so a port that is to be blocked and refuses is a finding. V(filtered), that
    nothing came back within the timeout; a host that is down looks like that too. V(unreachable), that the network has no way
    there, which proves nothing about a policy and is a finding either way. V(wrong answer), that it is open and answered
    something else.
  - Changes nothing.
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
  questions:
    description: What to ask.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the question is called in findings.
        type: str
        required: true
      target:
        description: The address to ask.
        type: str
        required: true
      port:
        description: The port to ask.
        type: int
        required: true
      kind:
        description:
          - How to ask. V(tcp) connects, V(http) sends a GET request.
          - V(dns) sends a DNS query over UDP, V(udp) any datagram. A UDP service that does not answer looks filtered.
        type: str
        choices: [tcp, udp, dns, http]
        default: tcp
      expect:
        description: What must come out. V(blocked) means filtered.
        type: str
        choices: [open, blocked]
        default: open
      timeout:
        description: How many seconds to wait for an answer. V(http) waits as long for the connection, and again for the answer to its request.
        type: float
        default: 2
      source:
        description: The address to ask from.
        type: str
        default: ""
      why:
        description: Where the expectation comes from, for people.
        type: str
        default: ""
      http:
        description: Details for O(questions[].kind=http).
        type: dict
        default: {}
        suboptions:
          scheme:
            description: V(https) asks by TLS.
            type: str
            choices: [http, https]
            default: http
          path:
            description: What to get.
            type: str
            default: /
          host:
            description: The host name asked for, in the header C(Host) and in TLS's server name. The address if empty.
            type: str
            default: ""
          status:
            description: Status codes that are right, as codes or ranges.
            type: list
            elements: str
            default: ["200-399"]
          location:
            description: Regular expression that the whole header C(Location) must match. Redirects are not followed.
            type: str
            default: ""
          body:
            description: Regular expression that must be found in the body's first 64 KiB.
            type: str
            default: ""
          verify:
            description: Whether the certificate must be valid for O(questions[].http.host).
            type: bool
            default: false
  concurrency:
    description: How many questions are under way at once at most.
    type: int
    default: 128
  retries:
    description:
      - How often a question that should have been answered, and was not in time, is asked again; each time few at once, with twice the patience.
      - No other answer is asked for again.
    type: int
    default: 2
  fail_on_findings:
    description: Whether the module fails if an answer is not as expected.
    type: bool
    default: true
seealso:
  - module: alfred.portmap.listening_ports
author:
  - The alfred.portmap authors (@alfred-portmap)
"""

EXAMPLES = r"""
- name: From this host, the database is open and SSH is not
  alfred.portmap.probe:
    questions:
      - {name: database, target: 203.0.113.14, port: 5432}
      - {name: ssh, target: 203.0.113.14, port: 22, expect: blocked}

- name: The public name answers, by way of this very proxy
  alfred.portmap.probe:
    questions:
      - name: api
        target: 203.0.113.11
        port: 443
        kind: http
        http: {scheme: https, host: api.alfred.example.com, path: /health, status: ["200"]}
"""

RETURN = r"""
answers:
  description: An answer for each question, in their order.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The question's name.
      type: str
    target:
      description: The address asked.
      type: str
    port:
      description: The port asked.
      type: int
    kind:
      description: How it was asked.
      type: str
    expect:
      description: What was expected.
      type: str
    verdict:
      description: One of V(open), V(refused), V(filtered), V(unreachable), V(wrong answer).
      type: str
    good:
      description: Whether the answer is as expected.
      type: bool
    detail:
      description: More about the answer, such as the HTTP status.
      type: str
    latency:
      description: Seconds until the answer.
      type: float
    why:
      description: Where the expectation comes from.
      type: str
findings:
  description: The answers that are not as expected, with C(text), all of it in one line.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._probe import answer_data, ask_all, question
from ansible_collections.alfred.portmap.plugins.module_utils._probe_options import SPEC, secrets


def main() -> None:
    """Read the options, ask, end the module."""
    module = AnsibleModule(
        argument_spec={
            "questions": {"type": "list", "elements": "dict", "required": True, "options": SPEC},
            "concurrency": {"type": "int", "default": 128},
            "retries": {"type": "int", "default": 2},
            "fail_on_findings": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
        no_log=True,  # keeps thousands of questions, and what their requests carry, out of the host's log
    )
    questions = []
    for index, data in enumerate(module.params["questions"]):
        try:
            asked = question(data)
        except ValueError as error:
            # Whatever the questions carry: nothing of them is shown where not all could be read.
            module.fail_json(msg=f"questions[{index}] ({data['name']}): {error}", answers=[], findings=[], invocation={})
        questions.append(asked)
        module.no_log_values.update(secrets(asked))
    if module.params["concurrency"] < 1:
        module.fail_json(msg=f"concurrency: {module.params['concurrency']} must be at least 1", answers=[], findings=[])
    if module.params["retries"] < 0:
        module.fail_json(msg=f"retries: {module.params['retries']} must not be negative", answers=[], findings=[])
    answers = ask_all(questions, module.params["concurrency"], module.params["retries"])
    findings = [dict(answer_data(answer), text=answer.text) for answer in answers if not answer.good]
    result = {"changed": False, "answers": [answer_data(answer) for answer in answers], "findings": findings}
    if findings and module.params["fail_on_findings"]:
        module.fail_json(msg="\n".join(finding["text"] for finding in findings), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
