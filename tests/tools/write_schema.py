# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/port_map.schema.json anew: PYTHONPATH=collections python tests/tools/write_schema.py."""

from __future__ import annotations

import pathlib

from ansible_collections.alfred.portmap.plugins.plugin_utils._schema import text

(pathlib.Path(__file__).resolve().parents[2] / "docs" / "port_map.schema.json").write_text(text(), encoding="utf-8")
