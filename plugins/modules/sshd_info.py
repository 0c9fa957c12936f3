#!/usr/bin/python
# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: sshd_info
short_description: Tell who may log in over SSH, and on which terms
version_added: 1.0.0
author:
  - The alfred.portmap authors (@alfred-portmap)
description:
  - Tells how sshd runs, whether the drop-in of M(alfred.portmap.sshd) is in its place, and what sshd's effective settings are for some clients.
  - Reads only.
extends_documentation_fragment:
  - alfred.portmap.attributes
attributes:
  check_mode:
    support: full
    details:
      - This module changes nothing.
  diff_mode:
    support: N/A
    details:
      - This module changes nothing.
  platform:
    support: full
    platforms: linux
  idempotent:
    support: full
    details:
      - This module changes nothing.
options:
  clients:
    description: Clients for whom the settings in force are told.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: The address that the client comes from.
        type: str
        required: true
      user:
        description: The user that it logs in as.
        type: str
        default: root
      server:
        description: The address that it comes to. By default the loopback address of its IP version.
        type: str
        default: ""
      port:
        description: The port that it comes to.
        type: int
        default: 22
  state_dir:
    description: Where M(alfred.portmap.sshd) keeps what it applied.
    type: path
    default: /var/lib/portmap
notes:
  - Needs root. While M(alfred.portmap.sshd) runs on the same host, differences may be told that are about to go.
seealso:
  - module: alfred.portmap.sshd
"""

EXAMPLES = r"""
- name: What is in force for the bastion, and for a stranger?
  alfred.portmap.sshd_info:
    clients:
      - {address: 203.0.113.10, user: deploy}
      - {address: 192.0.2.1, user: deploy}
  register: sshd_state
"""

RETURN = r"""
present:
  description: Whether the drop-in is there.
  returned: success
  type: bool
  sample: true
in_force:
  description: Whether the drop-in is as it was confirmed, read before all else, and no change is under way.
  returned: success
  type: bool
  sample: true
differences:
  description: In what it is not.
  returned: success
  type: list
  elements: str
  sample: []
drop_in:
  description: The file.
  returned: success
  type: str
  sample: /etc/ssh/sshd_config.d/0-portmap.conf
content:
  description: What is in it. Null if it is not there.
  returned: success
  type: str
  sample: "# Written by Ansible ..."
valid:
  description: Whether sshd would start with its files as they are.
  returned: success
  type: bool
  sample: true
problem:
  description: What sshd says if not, otherwise null.
  returned: success
  type: str
clients:
  description: For each client of O(clients), what is in force.
  returned: success, and sshd would start
  type: list
  elements: dict
  contains:
    address:
      description: Where it comes from.
      type: str
    user:
      description: The user that it logs in as.
      type: str
    refused:
      description: Whether it is refused whatever it tries.
      type: bool
    settings:
      description: All settings, by keyword in lower case. Keywords with several values have one a line.
      type: dict
pending:
  description: A change that waits for its confirmation, or is being undone. Null if there is none.
  returned: success
  type: dict
  contains:
    armed:
      description: Since when, in UTC.
      type: str
    remaining:
      description: After how many seconds it undoes itself.
      type: int
    "from":
      description: The address of the SSH session that it came by; empty if it came by none.
      type: str
    unit:
      description: The systemd timer that undoes it.
      type: str
last_rollback:
  description: The last change that was undone because nobody confirmed it. Null if none was.
  returned: success
  type: dict
  contains:
    time:
      description: When, in UTC.
      type: str
    result:
      description: What was put back.
      type: str
rejected_file:
  description: The file with the drop-in of RV(last_rollback). Null if there is none.
  returned: success
  type: str
  sample: /var/lib/portmap/ssh/rejected.conf
traces:
  description: Files that a run of M(alfred.portmap.sshd) left here. More cannot be told without root, or without an sshd.
  returned: failure for want of root or of an sshd
  type: list
  elements: str
  sample: []
service:
  description: How sshd runs, as M(alfred.portmap.sshd) tells it.
  returned: success
  type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._sock_diag import SocketsError
from ansible_collections.alfred.portmap.plugins.module_utils._sshd import Client, Sshd, SshdError, SshdMissingError
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_access import shut_out
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_config import DROP_IN, read_before
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_service import look
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_state import FileChange, SshState, content, text_of
from ansible_collections.alfred.portmap.plugins.module_utils._transaction import Transaction


def main() -> None:
    """Read the options, look, end the module."""
    client = {
        "address": {"type": "str", "required": True},
        "user": {"type": "str", "default": "root"},
        "server": {"type": "str", "default": ""},
        "port": {"type": "int", "default": 22},
    }
    module = AnsibleModule(
        argument_spec={
            "clients": {"type": "list", "elements": "dict", "default": [], "options": client},
            "state_dir": {"type": "path", "default": "/var/lib/portmap"},
        },
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        module.fail_json(msg="this module needs root: run it with become", traces=traces())
    state = SshState(module.params["state_dir"])
    try:
        service = look(module)
        sshd = Sshd(module, service.options, service.program)
        text = content(DROP_IN)
        told = Transaction(module, "ssh", state.directory).told()
        differences = differences_of(state, text, service.main, told["pending"] is not None)
        answers, problem = ask(sshd, service.main, module.params["clients"])
        version = sshd.version()
    except (SshdMissingError, SocketsError) as error:
        module.fail_json(msg=str(error), traces=traces())
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}" if error.filename else str(error))
    module.exit_json(
        changed=False,
        present=text is not None,
        in_force=text is not None and not differences and told["pending"] is None,
        differences=differences,
        drop_in=DROP_IN,
        content=text,
        valid=problem is None,
        problem=problem,
        clients=answers,
        **told,
        rejected_file=state.rejected_file if os.path.exists(state.rejected_file) else None,
        service={"mode": service.mode, "unit": service.unit, "ports": list(service.ports), "version": version},
    )


def traces() -> list[str]:
    """What everybody can see of us."""
    return [path for path in (DROP_IN,) if os.path.lexists(path)]


def differences_of(state: SshState, text: str | None, main_file: str, pending: bool) -> list[str]:
    """In what the drop-in is not as it was confirmed, for people."""
    confirmed = state.confirmed()
    found = ["a change was neither confirmed nor undone as a whole"] if state.interrupted() and not pending else []
    if confirmed is None:
        return found if text is None else [f"{DROP_IN} is there, but no record of it"]
    if text is None:
        return [*found, f"{DROP_IN} is missing"]
    if text != confirmed:
        found.append(f"{DROP_IN} was changed by hand")
    elif FileChange(DROP_IN, text, text).loose:
        found.append(f"{DROP_IN} can be changed by others than root")
    before = read_before(main_file, DROP_IN, text_of)
    return found + ([f"{DROP_IN} is not read before all else: {before}"] if before is not None else [])


def ask(sshd: Sshd, main_file: str, clients: list[dict]) -> tuple[list[dict], str | None]:
    """(what is in force for each client, what sshd has against its files)."""
    answers = []
    try:
        sshd.check(main_file)
        for client in clients:
            server = client["server"] or ("::1" if ":" in client["address"] else "127.0.0.1")
            effective = sshd.effective(main_file, Client(client["address"], client["user"], server, client["port"]))
            answers.append({"address": client["address"], "user": client["user"], "refused": shut_out(effective), "settings": effective.data()})
    except SshdError as error:
        return [], str(error)
    return answers, None


if __name__ == "__main__":
    main()
