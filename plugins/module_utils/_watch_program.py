# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that `watch` installs on a host: looks, and writes what it saw for node exporter's textfile collector.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

    watch.pyz run CONFIG DIRECTORY    look, and write DIRECTORY/portmap.prom
    watch.pyz ended DIRECTORY         what systemd runs after each run: of one that did not end by itself, write that
    watch.pyz show CONFIG             look, and print it

Old numbers never stay: whatever happens, portmap.prom is written anew or removed. Where not even that works (no Python, a full disk), the time
of the last run stands still, and an alert on it tells.
"""

from __future__ import annotations

import os
import sys
import time
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._commands import LocalCommands
from ansible_collections.alfred.portmap.plugins.module_utils._files import read_text, remove, write_text
from ansible_collections.alfred.portmap.plugins.module_utils._metrics import Metric, exposition
from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._watch import WatchError, read
from ansible_collections.alfred.portmap.plugins.module_utils._watch_look import MOST_FINDINGS, WATCH, Look, look

FILE = "portmap.prom"
READABLE = 0o644
USAGE = "usage: watch.pyz run CONFIG DIRECTORY | ended DIRECTORY | show CONFIG"


def main(argv: t.Sequence[str], environment: t.Mapping[str, str]) -> int:
    """The exit status: 0 if the file tells what there is, findings and failed checks among it."""
    if len(argv) == 3 and argv[0] == "run":
        return _write(argv[2], _looked(argv[1]))
    if len(argv) == 2 and argv[0] == "ended":
        return _ended(argv[1], environment)
    if len(argv) == 2 and argv[0] == "show":
        sys.stdout.write(text_of(*_looked(argv[1])))
        return 0
    sys.stderr.write(USAGE + "\n")
    return 2


def text_of(seen: Look, seconds: float) -> str:
    """The file."""
    counts = {check: sum(finding.check == check for finding in seen.findings) for check in seen.checks}
    told = seen.findings[:MOST_FINDINGS]
    return exposition(
        [
            *seen.metrics,
            Metric("portmap_findings", "How many findings each check of this host has.", tuple(({"check": check}, count) for check, count in counts.items())),
            Metric(
                "portmap_finding_info",
                f"What was found, in words (the first {MOST_FINDINGS}).",
                tuple(({"check": finding.check, "subject": finding.subject, "text": finding.text}, 1) for finding in told),
            ),
            Metric(
                "portmap_watch_success",
                "Whether all checks could be made. Why not is a finding.",
                (({}, int(seen.complete)),),
            ),
            Metric("portmap_watch_last_run_timestamp_seconds", "When this was written, in seconds since 1970.", (({}, round(time.time(), 3)),)),
            Metric("portmap_watch_duration_seconds", "How long the checks took.", (({}, round(seconds, 3)),)),
        ]
    )


def _looked(config: str) -> tuple[Look, float]:
    started = time.monotonic()
    try:
        seen = look(read(read_text(config)), LocalCommands())
    except Exception as error:  # a mistake of ours, too, must be told and not leave old numbers
        seen = Look([WATCH])
        known = isinstance(error, (OSError, WatchError))
        seen.fail(WATCH, f"{config} can't be used: {'' if known else type(error).__name__ + ': '}{error}")
    return seen, time.monotonic() - started


def _ended(directory: str, environment: t.Mapping[str, str]) -> int:
    """systemd says in the environment how a run ended (systemd.exec(5))."""
    result = environment.get("SERVICE_RESULT", "")
    if result in ("success", ""):
        return 0
    seen = Look([WATCH])
    status = printable(environment.get("EXIT_STATUS", "?"))
    seen.fail(WATCH, "the run did not end in time, and was stopped" if result == "timeout" else f"the run failed: {printable(result)}, status {status}")
    return _write(directory, (seen, 0.0))


def _write(directory: str, looked: tuple[Look, float]) -> int:
    path = os.path.join(directory, FILE)
    try:
        write_text(path, text_of(*looked), READABLE)
    except Exception as error:  # a mistake of ours must not leave old numbers either
        sys.stderr.write(f"{path} can't be written: {type(error).__name__}: {error}\n")
        remove(path)
        return 1
    for finding in looked[0].findings:
        sys.stdout.write(f"{finding.check}: {finding.subject}: {finding.text}\n")  # the journal's
    return 0
