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
          - How to ask. V(tcp) connects and no more, V(tls) shakes hands. A service may accept connections long before it answers anybody, so
            prefer the kind that speaks its language.
          - V(http) sends a GET request. V(prometheus) does, too, and reads the metrics as Prometheus does. V(websocket) asks for an upgrade
            and checks that the answer is to this very request.
          - V(postgresql) asks whether it speaks TLS, which PostgreSQL answers without a login. V(redis) sends PING. V(ssh) reads the banner.
          - V(dns) sends a DNS query over UDP, V(ntp) asks a time server whether it is synchronised, V(udp) sends any datagram. A UDP
            service that does not answer looks filtered.
        type: str
        choices: [tcp, udp, dns, http, tls, websocket, postgresql, redis, ntp, ssh, prometheus]
        default: tcp
      expect:
        description: What must come out. V(blocked) means filtered.
        type: str
        choices: [open, blocked]
        default: open
      timeout:
        description: How many seconds the question may take as a whole, however slowly the answer drips in.
        type: float
        default: 2
      slower_than:
        description: How many seconds a right answer may take. One that took longer is a wrong answer, once it was asked for again. V(0) is as long as it likes.
        type: float
        default: 0
      source:
        description: The address to ask from.
        type: str
        default: ""
      why:
        description: Where the expectation comes from, for people.
        type: str
        default: ""
      labels:
        description: The asker's own notes. They are not looked at, and come back with the answer.
        type: dict
        default: {}
      http:
        description: Details for O(questions[].kind=http), O(questions[].kind=websocket) and O(questions[].kind=prometheus).
        type: dict
        default: {}
        suboptions:
          scheme:
            description: V(https) asks by TLS.
            type: str
            choices: [http, https]
            default: http
          path:
            description: What to get. C(/) if unset, C(/metrics) for O(questions[].kind=prometheus).
            type: str
          host:
            description: The host name asked for, in the header C(Host) and in TLS's server name. The address if empty.
            type: str
            default: ""
          status:
            description:
              - Status codes that are right, as codes or ranges. C(200-399) if unset, C(200) for O(questions[].kind=prometheus).
              - Not looked at for O(questions[].kind=websocket), where only 101 is right.
            type: list
            elements: str
          location:
            description: Regular expression that the whole header C(Location) must match. Redirects are not followed.
            type: str
            default: ""
          headers:
            description: Headers that the answer must have, each with a regular expression that its whole value must match.
            type: dict
            default: {}
          body:
            description: Regular expression that must be found in the body's first 64 KiB.
            type: str
            default: ""
          request_headers:
            description:
              - Headers to send, each with its value. They replace the usual ones of these names.
              - They are not shown anywhere.
            type: dict
            default: {}
          verify:
            description: Whether this host must trust the certificate, for O(questions[].http.host).
            type: bool
            default: false
          days_left:
            description: How many more days the certificate must be valid. V(0) is not to look.
            type: int
            default: 0
      tls:
        description:
          - What the certificate must be, for O(questions[].kind=tls) and for all that is asked by TLS.
          - With O(questions[].kind=postgresql), TLS is spoken only where this is set.
        type: dict
        suboptions:
          server_name:
            description: The name asked for in TLS (SNI). O(questions[].http.host) or none if empty.
            type: str
            default: ""
          verify:
            description: Whether this host must trust the certificate, for that name or else for the address.
            type: bool
            default: false
          names:
            description: Host names and addresses that the certificate must be for, whoever signed it.
            type: list
            elements: str
            default: []
          days_left:
            description: How many more days the certificate must be valid. V(0) is not to look.
            type: int
            default: 0
      dns:
        description: Details for O(questions[].kind=dns).
        type: dict
        default: {}
        suboptions:
          name:
            description: The name to look up. Without one, any answer is right; with one, it must have a record. V(.) only has to be answered without an error.
            type: str
            default: ""
          type:
            description: The type of the record.
            type: str
            choices: [A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, CAA]
            default: A
      redis:
        description: Details for O(questions[].kind=redis).
        type: dict
        default: {}
        suboptions:
          auth:
            description: Whether it must want a password. V(any) is whether or not. None is ever sent.
            type: str
            choices: [none, required, any]
            default: none
  concurrency:
    description: How many questions are under way at once at most. Fewer where the host does not let the module open as many files.
    type: int
    default: 128
  retries:
    description:
      - How often a question that should have been answered, and was not in time or too slowly, is asked again, each time with twice the patience.
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
        http: {scheme: https, host: api.alfred.example.com, path: /health, status: ["200"], verify: true, days_left: 14}

- name: What stands behind it answers in its own words
  alfred.portmap.probe:
    questions:
      - {name: database, target: 203.0.113.14, port: 5432, kind: postgresql, tls: {names: [database.internal]}}
      - {name: cache, target: 203.0.113.14, port: 6379, kind: redis, redis: {auth: required}, slower_than: 0.5}
      - {name: names, target: 203.0.113.15, port: 53, kind: dns, dns: {name: core.internal}}
      - {name: metrics, target: 203.0.113.12, port: 9100, kind: prometheus}
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
      description: More about the answer in words for people, such as C(status 500) or C(wants a password (NOAUTH\)).
      type: str
    latency:
      description: Seconds until the answer.
      type: float
    why:
      description: Where the expectation comes from.
      type: str
    source:
      description: The address asked from, if one was given.
      type: str
    labels:
      description: The asker's own notes.
      type: dict
findings:
  description: The answers that are not as expected, with C(text), all of it in one line.
  returned: always
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._probe import answer_data, ask_all, question
from ansible_collections.alfred.portmap.plugins.module_utils._probe_options import SPEC


class Module(AnsibleModule):
    """Does not repeat its options: there may be thousands of questions, and requests may carry passwords."""

    def exit_json(self, **result: t.Any) -> t.NoReturn:
        """Succeed."""
        super().exit_json(**{**result, "invocation": {}})

    def fail_json(self, msg: str, **result: t.Any) -> t.NoReturn:
        """Fail, be it by options that can't be read."""
        super().fail_json(msg, **{**result, "invocation": {}})


def main() -> None:
    """Read the options, ask, end the module."""
    module = Module(
        argument_spec={
            "questions": {"type": "list", "elements": "dict", "required": True, "options": SPEC},
            "concurrency": {"type": "int", "default": 128},
            "retries": {"type": "int", "default": 2},
            "fail_on_findings": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
        no_log=True,  # nor in the host's log
    )
    questions = []
    for index, data in enumerate(module.params["questions"]):
        try:
            questions.append(question(data))
        except ValueError as error:
            module.fail_json(msg=f"questions[{index}] ({data['name']}): {error}", answers=[], findings=[])
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
