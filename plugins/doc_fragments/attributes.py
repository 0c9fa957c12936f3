# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module says about itself."""

from __future__ import annotations


class ModuleDocFragment:
    """The attributes; each module gives its own C(support)."""

    DOCUMENTATION = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/alfred.portmap.all) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - alfred.portmap.all
  check_mode:
    description: Can run in C(check_mode) and return the same C(changed) and diff as the real run, without changing anything.
  diff_mode:
    description: Returns what was changed, or in C(check_mode) what would be, when in diff mode.
  platform:
    description: The operating systems that the module runs on.
  idempotent:
    description: A second run with the same options changes nothing and reports C(changed=false).
"""
