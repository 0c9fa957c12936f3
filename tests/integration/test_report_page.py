# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's page in a real browser: no rule of accessibility broken, in any way of looking at it; nothing asked of the network, nothing run."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest
from edge import CACHE
from report_examples import example, headline, rewritten

from ansible_collections.alfred.portmap.plugins.filter.report_page import report_page

BROWSER = pathlib.Path(__file__).parent / "browser"
# Both are put there by `./dev integration`, under a name made of what is in it.
MODULES = CACHE / f"browser-{hashlib.sha256((BROWSER / 'package.json').read_bytes()).hexdigest()[:16]}" / "node_modules"
WAYS = {f"{size}-{scheme}" for size in ("desktop", "phone") for scheme in ("light", "dark")}
PAPER, NIGHT = "rgb(248, 247, 244)", "rgb(20, 22, 26)"
EVIL = "</title><script>alert(1)</script><img src=http://203.0.113.1/x onerror=alert(2)>'\"><style>@import 'http://203.0.113.1/y'</style>"

Data = dict[str, t.Any]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """What the browser says of all pages: it is started once."""
    if not MODULES.is_dir():
        pytest.fail(f"{MODULES} is missing: `./dev integration` fetches it")
    place = tmp_path_factory.mktemp("pages")
    pages = {
        "healthy": example("healthy"),
        "findings": example("findings"),
        "evil": rewritten(example("findings"), lambda text: text + EVIL),
    }
    for name, report in pages.items():
        (place / f"{name}.html").write_text(report_page(report), encoding="utf-8")
    judged = ",".join(str(place / f"{name}.html") for name in ("healthy", "findings"))
    read = [str(place / f"{name}.html") for name in ("findings", "evil")]
    node = shutil.which("node")
    assert node is not None
    # A home of its own: a browser writes there, wherever its profile is.
    done = subprocess.run(
        [node, str(BROWSER / "look.cjs"), str(MODULES), str(place), judged, *read],
        env={**os.environ, "HOME": str(place)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: Data = json.loads(done.stdout)
    return result


def test_no_rule_of_accessibility_is_broken(seen: Data) -> None:
    assert {(one["page"], one["way"]) for one in seen["judged"]} == {(page, way) for page in ("healthy", "findings") for way in WAYS}
    for one in seen["judged"]:
        assert one["violations"] == [], (one["page"], one["way"])
        assert {"color-contrast", "scope-attr-valid", "landmark-one-main", "skip-link", "page-has-heading-one"} <= set(one["passes"])
        assert one["background"] == (NIGHT if one["way"].endswith("dark") else PAPER)


def test_no_page_is_wider_than_its_window(seen: Data) -> None:
    assert {(one["page"], one["way"]): one["wider"] for one in seen["judged"] if one["wider"] > 0} == {}


def test_it_needs_no_script_and_no_network(seen: Data) -> None:
    findings, evil = seen["read"]
    assert findings["said"] == evil["said"] == []
    assert findings["background"] == evil["background"] == PAPER  # its policy lets its own style in
    assert findings["rows"] == evil["rows"] > 50
    assert headline(example("findings")) in findings["heading"]
    # A checkbox and the style sheet are all that the switch is made of.
    different = [row for row in example("findings")["matrix"]["rows"] if any(cell and not cell["good"] for cells in row["families"].values() for cell in cells)]
    assert findings["different"] == evil["different"] == len(different)
