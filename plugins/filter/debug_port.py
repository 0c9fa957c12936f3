# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter debug_port: all that is known of a port, planned and seen."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.plugin_utils._debug_port import DebugPortError, ask, picture, questions
from ansible_collections.alfred.portmap.plugins.plugin_utils._debug_port_text import text
from ansible_collections.alfred.portmap.plugins.plugin_utils._plain import plain
from ansible_collections.alfred.portmap.plugins.plugin_utils._reachability import checks_from


def debug_port(
    plan: t.Any,
    port: t.Any = None,
    host: t.Any = None,
    transport: t.Any = None,
    observed: t.Any = None,
    checks: t.Any = None,
) -> dict[str, t.Any]:
    """See debug_port.yml."""
    planned = plain(plan)
    said = [None if value in (None, "") else str(plain(value)) for value in (port, host, transport)]
    try:
        asked = ask(planned, *said)
    except DebugPortError as error:
        raise AnsibleFilterError(str(error)) from error
    found: dict[str, t.Any] = {"port": asked.port, "hosts": list(asked.hosts)}
    if observed is None:
        try:
            wanted = checks_from(plain(checks or {}))
        except (TypeError, ValueError) as error:
            raise AnsibleFilterError(f"checks: {error}") from error
        return {**found, "questions": {name: questions(planned, asked, name, wanted) for name in asked.hosts}}
    seen = plain(observed)
    by_host = {name: {part: (seen.get(part) or {}).get(name) for part in ("listens", "answers")} for name in asked.hosts}
    return {**found, "text": text(picture(planned, asked, by_host))}


class FilterModule:
    """The filter debug_port."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name to function."""
        return {"debug_port": debug_port}
