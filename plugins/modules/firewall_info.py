#!/usr/bin/python
# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_info
short_description: Tell what the firewall of this host is like
version_added: 1.0.0
author:
  - The alfred.portmap authors (@alfred-portmap)
description:
  - Tells whether the table of M(alfred.portmap.firewall) is in force as it was applied, what was changed by hand, whether
    it will be loaded at boot, and which other firewalls may drop what it allows.
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
  table:
    description: The name of the table, in family inet.
    type: str
    default: portmap
  state_dir:
    description: Where M(alfred.portmap.firewall) keeps what it applied.
    type: path
    default: /var/lib/portmap
notes:
  - Needs root. While M(alfred.portmap.firewall) runs on the same host, differences may be told that are about to go.
seealso:
  - module: alfred.portmap.firewall
"""

EXAMPLES = r"""
- name: Look at the firewall
  alfred.portmap.firewall_info:
  register: firewall_state

- name: It must be in force as it was applied
  ansible.builtin.assert:
    that: firewall_state.in_force
    fail_msg: "{{ firewall_state.differences }}"
"""

RETURN = r"""
present:
  description: Whether there is a table of this name.
  returned: success
  type: bool
  sample: true
ours:
  description: Whether that table is one of M(alfred.portmap.firewall).
  returned: success
  type: bool
  sample: true
in_force:
  description: Whether the table is exactly as it was applied. Never true if that cannot be told.
  returned: success
  type: bool
  sample: true
differences:
  description: In what the table and the files differ from what was applied.
  returned: success
  type: list
  elements: str
  sample: []
drift:
  description: What somebody else did to the table since it was applied.
  returned: success
  type: dict
  contains:
    found:
      description: Whether anything was done to it. A table that is gone counts.
      type: bool
    lines:
      description: The lines that were taken out (C(-)) or put in (C(+)).
      type: list
      elements: str
  sample: {found: false, lines: []}
applied:
  description: When the policy was applied, in UTC. Null if none was, or if the record is damaged.
  returned: success
  type: str
  sample: "2026-11-24T12:00:00Z"
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
  description: The file with the ruleset of RV(last_rollback). Null if there is none.
  returned: success
  type: str
  sample: /var/lib/portmap/firewall/rejected.nft
history:
  description: The policies confirmed before the one in force, the latest first; V(state=previous) of M(alfred.portmap.firewall) takes the first.
  returned: success
  type: list
  elements: dict
  contains:
    applied:
      description: When it was applied, in UTC.
      type: str
    ruleset_sha256:
      description: The hash of its ruleset.
      type: str
ruleset:
  description: The rendered ruleset that was applied. Null as above.
  returned: success
  type: str
  sample: "table inet portmap ..."
ruleset_sha256:
  description: The hash of RV(ruleset). Null as above.
  returned: success
  type: str
  sample: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
listing:
  description: The table as nft lists it now, without packet counters. Null if there is none.
  returned: success
  type: str
  sample: "table inet portmap ..."
conflicts:
  description:
    - What else on this host may drop packets that the policy allows, and bridges that publish ports past it. Each is a warning too.
    - See M(alfred.portmap.firewall).
  returned: success
  type: list
  elements: dict
  sample: []
boot:
  description: The state of the systemd unit.
  returned: success
  type: dict
  contains:
    unit:
      description: Its name.
      type: str
    enabled:
      description: Whether it will be started at boot.
      type: bool
    active:
      description: Whether it was started, and did not fail.
      type: bool
  sample: {unit: portmap-firewall.service, enabled: true, active: true}
traces:
  description: Files and directories that a run of M(alfred.portmap.firewall) left here. More cannot be told without root.
  returned: failure for want of root
  type: list
  elements: str
  sample: []
nft_version:
  description: The version of nft on this host. Null if there is none; there is no table then either.
  returned: success
  type: str
  sample: 1.0.6
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._boot_unit import UNIT, BootError, BootUnit
from ansible_collections.alfred.portmap.plugins.module_utils._files import sha256
from ansible_collections.alfred.portmap.plugins.module_utils._firewall import Observed, conflicts_of, observe
from ansible_collections.alfred.portmap.plugins.module_utils._firewall_state import FirewallState, Stored
from ansible_collections.alfred.portmap.plugins.module_utils._nftables import Nft, NftError, NftMissingError
from ansible_collections.alfred.portmap.plugins.module_utils._transaction import Transaction


def main() -> None:
    """Read the options, look, end the module."""
    module = AnsibleModule(
        argument_spec={
            "table": {"type": "str", "default": "portmap"},
            "state_dir": {"type": "path", "default": "/var/lib/portmap"},
        },
        supports_check_mode=True,
    )
    table = module.params["table"]
    state = FirewallState(module.params["state_dir"])
    boot_unit = BootUnit(module)
    if os.geteuid() != 0:
        # Directory and unit are there for all to see, whatever is in them.
        traces = [path for path in (state.parent, *boot_unit.current_files()) if os.path.lexists(path)]
        module.fail_json(msg="this module needs root: run it with become", traces=traces)
    try:
        nft_version = None
        conflicts = []
        try:
            nft = Nft(module)
        except NftMissingError:
            if state.exists():
                raise
            observed = Observed(table, None, Stored(None, None, ""), False, "")
        else:
            observed = observe(nft, state, table)
            nft_version = observed.nft_version
            applied = observed.stored.confirmed
            containers = applied.policy.get("container_interfaces", []) if applied is not None else None
            conflicts = conflicts_of(module, nft, table, containers)
        enabled, active = boot_unit.status()
        told = Transaction(module, "firewall", state.directory).told()
    except (NftError, BootError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}" if error.filename else str(error))
    confirmed = observed.stored.confirmed
    differences = observed.differences()
    module.exit_json(
        changed=False,
        present=observed.listing is not None,
        ours=observed.ours,
        in_force=confirmed is not None and confirmed.table == table and not differences,
        differences=differences,
        drift=observed.drift,
        applied=confirmed.applied if confirmed else None,
        **told,
        rejected_file=state.rejected_file if os.path.exists(state.rejected_file) else None,
        history=[{"applied": former.applied, "ruleset_sha256": sha256(former.text)} for former in state.history()],
        ruleset=confirmed.text if confirmed else None,
        ruleset_sha256=sha256(confirmed.text) if confirmed else None,
        listing=observed.listing,
        conflicts=conflicts,
        boot={"unit": UNIT, "enabled": enabled, "active": active},
        nft_version=nft_version,
    )


if __name__ == "__main__":
    main()
