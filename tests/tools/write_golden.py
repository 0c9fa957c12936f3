# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the golden rulesets anew, then read the diff: PYTHONPATH=collections python tests/tools/write_golden.py."""

from __future__ import annotations

import pathlib

import yaml

from ansible_collections.alfred.portmap.plugins.module_utils._policy import Policy
from ansible_collections.alfred.portmap.plugins.module_utils._ruleset import render

for path in sorted((pathlib.Path(__file__).resolve().parents[1] / "unit/plugins/module_utils/golden").glob("*.yml")):
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.with_suffix(".nft").write_text(render(Policy.from_data(data["policy"]), log=data["log"]), encoding="utf-8")
