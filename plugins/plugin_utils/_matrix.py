# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reachability matrix: who reaches what, planned beside observed, a row for each port and a cell for each vantage.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.alfred.portmap.plugins.plugin_utils._evidence import Seen

Data = dict[str, t.Any]


def matrix(answers: t.Iterable[Seen]) -> Data:
    """{vantages: [name], rows: [{host, listener, port, transport, families: {"4": [cell or None], "6": […]}}]}.

    A cell is {planned, observed, good, why, kept_in}; None where that vantage did not ask, or could not be answered.
    """
    asked = [one for one in answers if not one.local and one.check in ("port", "undeclared")]
    vantages = list(dict.fromkeys(one.vantage for one in asked))
    column = {name: index for index, name in enumerate(vantages)}
    rows: dict[tuple[str, str, int, str], dict[str, list[t.Optional[Data]]]] = {}
    for one in asked:
        families = rows.setdefault((one.host, one.listener, one.port, one.transport), {"4": [None] * len(vantages), "6": [None] * len(vantages)})
        families[str(one.family)][column[one.vantage]] = _cell(one)
    listed = [
        {"host": host, "listener": listener, "port": port, "transport": transport, "families": families}
        for (host, listener, port, transport), families in rows.items()
    ]
    place = {host: index for index, host in enumerate(dict.fromkeys(row["host"] for row in listed))}
    listed.sort(key=lambda row: (place[row["host"]], not row["listener"], row["port"], row["transport"]))
    return {"vantages": vantages, "rows": listed}


def _cell(one: Seen) -> Data:
    planned = "open" if one.must_open else "blocked"
    return {"planned": planned, "observed": one.verdict, "good": one.good, "why": one.answer["why"], "kept_in": one.kept_in}
