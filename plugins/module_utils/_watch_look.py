# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at this host: who listens, whether its policy is in force, and whether its services answer. The local part of verification.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

What can't be looked at is a finding, and makes the look a failed one (`complete` is false). A check that failed gives no numbers: an unknown
listener is not one that is up.
"""

from __future__ import annotations

import re
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.module_utils._boot_unit import UNIT, BootUnit
from ansible_collections.alfred.portmap.plugins.module_utils._commands import Commands
from ansible_collections.alfred.portmap.plugins.module_utils._firewall import ForeignTableError, Observed, conflicts_of, guard_ownership, observe
from ansible_collections.alfred.portmap.plugins.module_utils._firewall_state import DecidedError, FirewallState
from ansible_collections.alfred.portmap.plugins.module_utils._listeners import UNKNOWN, Expected, compare
from ansible_collections.alfred.portmap.plugins.module_utils._metrics import Metric, Sample
from ansible_collections.alfred.portmap.plugins.module_utils._nftables import Nft
from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._probe import Answer, Question, authority
from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import UDP_KINDS
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener, ephemeral_ports
from ansible_collections.alfred.portmap.plugins.module_utils._transaction import Transaction
from ansible_collections.alfred.portmap.plugins.module_utils._watch import Guarded, Watch
from ansible_collections.alfred.portmap.plugins.module_utils._watch_asking import Group, ask_within, matters
from ansible_collections.alfred.portmap.plugins.module_utils._who_listens import look as who_listens

LISTENS, FIREWALL, HEALTH, WATCH = "listens", "firewall", "health", "watch"
MOST_LINES = 3  # of what was changed by hand
TRIES, SETTLE = 3, 0.5  # a policy that is being changed differs for a moment: looks, and the seconds between them
WIDEST = 300  # characters of a finding
MOST_FINDINGS = 100  # that are told one by one; portmap_findings counts all
ASKING, END = 0.5, 0.9  # parts of a look's time: for health to begin questions in, and after which none may last
UNASKED = "others took so long that there was no time left to ask all questions"  # in words that stay the same

# What would make each look another finding: process numbers and times.
_FLEETING = ((re.compile(r"pid \d+(?:, )?"), ""), (re.compile(r" \(\)"), ""), (re.compile(r"took [0-9.e+-]+ s, "), "took too long, "))


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be."""

    check: str
    subject: str
    text: str


@dataclass
class Look:
    """What one look at the host saw."""

    checks: list[str] = field(default_factory=list)  # those that there are
    findings: list[Finding] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)  # of the checks that could be made
    complete: bool = True
    down: set[tuple[str, str]] = field(default_factory=set)  # (transport, port) where somebody must listen, and does not
    began: float = field(default_factory=time.monotonic)

    def find(self, check: str, subject: str, text: str) -> None:
        """Add a finding, in words that stay the same as long as it does."""
        for pattern, word in _FLEETING:
            text = pattern.sub(word, text)
        found = Finding(check, printable(subject, WIDEST), printable(text.replace("\t", " "), WIDEST))
        if found not in self.findings:
            self.findings.append(found)

    def fail(self, check: str, reason: str) -> None:
        """A check could not be made."""
        self.complete = False
        self.find(check, "cannot be told", reason)


def look(watch: Watch, commands: Commands) -> Look:
    """Make all checks; one that fails leaves the others alone."""
    seen = Look()
    _attempt(seen, LISTENS, lambda: _listens(watch, commands, seen))
    if watch.policy is not None:
        policy = watch.policy
        _attempt(seen, FIREWALL, lambda: _firewall(policy, commands, seen))
    if watch.questions:
        _attempt(seen, HEALTH, lambda: _health(watch, seen))
    return seen


def _attempt(seen: Look, check: str, make: t.Callable[[], list[Metric]]) -> None:
    seen.checks.append(check)
    try:
        seen.metrics += make()
    except Exception as error:  # whatever it is, this check has not been made, and that must be seen
        known = isinstance(error, (OSError, ValueError)) or type(error).__module__.startswith("ansible_collections.")
        seen.fail(check, str(error) if known and str(error) else f"{type(error).__name__}: {error}")


def _listens(watch: Watch, commands: Commands, seen: Look) -> list[Metric]:
    there = who_listens(commands, published=any(line.container and line.required for line in watch.listeners))
    findings = compare(list(watch.listeners), there.listeners, list(watch.ignore), ephemeral_ports(), watch.strict, there.unknown).findings
    for finding in findings:
        if finding["kind"] == UNKNOWN:
            seen.fail(LISTENS, finding["text"])
        else:
            seen.find(LISTENS, f"{finding['name'] or 'unexpected'} {finding['port']}/{finding['transport']}", finding["text"])
    wrong = {(finding["name"], finding["transport"], finding["port"]) for finding in findings}
    seen.down = {(finding["transport"], finding["port"]) for finding in findings if finding["kind"] in ("missing", "wrong address")}
    up: dict[tuple[str, str, str], int] = {}
    for line in watch.listeners:
        if line.required and not (there.unknown and _veiled(line, there.listeners)):
            key = (line.name, line.transport, str(line.ports))
            up[key] = min(up.get(key, 1), int(key not in wrong))
    samples = tuple(({"service": name, "transport": transport, "port": port}, value) for (name, transport, port), value in up.items())
    return [Metric("portmap_listener_up", "Whether what must listen does, at the address and by the owner that the map says.", samples)]


def _veiled(line: Expected, there: t.Iterable[Listener]) -> bool:
    """Whether Docker alone could say if the line is as planned: a container should hold it, or may."""
    return line.container or any(one.containers is None and line.explains(one) for one in there)


# the policy


def _firewall(policy: Guarded, commands: Commands, seen: Look) -> list[Metric]:
    nft = Nft(commands)
    for attempt in range(TRIES):
        observed, reasons, holds = _in_force(policy, nft, commands)
        if not reasons:
            break
        if attempt < TRIES - 1:
            time.sleep(SETTLE)
    for reason in reasons:
        seen.find(FIREWALL, f"table inet {policy.table}", reason)
    confirmed = observed.stored.confirmed
    if policy.boot and confirmed is not None:
        enabled, active = BootUnit(commands).status()
        if not enabled:
            seen.find(FIREWALL, UNIT, f"{UNIT} is not enabled: the policy is not loaded at boot")
        elif not active:
            seen.find(FIREWALL, UNIT, f"{UNIT} is not active")
    containers = None if confirmed is None else confirmed.policy.get("container_interfaces", [])
    for conflict in conflicts_of(commands, nft, policy.table, containers):
        seen.find(FIREWALL, conflict["where"], "{kind}: {where} {what}".format(**conflict))
    return [Metric("portmap_firewall_in_force", "Whether the policy in force is the confirmed one.", (({}, int(holds)),))]


def _in_force(policy: Guarded, nft: Nft, commands: Commands) -> tuple[Observed, list[str], bool]:
    """One look: (what was seen, in what it differs from what was confirmed, whether the policy holds).

    While a change waits for its confirmation its candidate is what must be in force.
    """
    state = FirewallState(policy.state_dir)
    observed = observe(nft, state, policy.table)
    try:
        guard_ownership(observed)
    except ForeignTableError as error:
        return observed, [str(error).partition(";")[0].replace("table: ", "", 1)], False  # the rest is about the module's options
    pending = Transaction(commands, "firewall", state.directory).pending()
    if pending is not None:
        try:
            if state.pending(pending.token).listing == observed.listing:
                return observed, [], True
        except DecidedError:
            pass  # it was decided in this very moment; else it differs, and is told as any table that does
    reasons = observed.differences()
    if observed.stored.confirmed is None and not reasons:
        reasons = ["no policy was ever confirmed on this host, or it was removed"]
    drift = observed.drift
    lines = [line.replace("\t", "") for line in drift["lines"]]
    shown = "; ".join(lines[:MOST_LINES] + (["…"] if len(lines) > MOST_LINES else []))
    holds = observed.stored.confirmed is not None and observed.listing is not None and not drift["found"]
    return observed, [reason + (f" ({shown})" if shown and "by hand" in reason else "") for reason in reasons], holds


# health


def _health(watch: Watch, seen: Look) -> list[Metric]:
    """One row for each service, port and kind: the worst of its questions, and the slowest.

    A local question is asked at the addresses at which the service may be, until one gives a right answer. That nobody answers where nobody
    listens follows from a finding of the other check, and is none of its own. What there was no time to ask has no row.
    """
    asked = matters(watch.questions)
    ask_within(asked, min(time.monotonic() + watch.timeout * ASKING, seen.began + watch.timeout * END), seen.began + watch.timeout * END)
    up: dict[Group, int] = {}
    seconds: dict[Group, float] = {}
    for one in asked:
        if one.answers:
            up[one.group] = min(up.get(one.group, 1), int(one.good))
            seconds[one.group] = max(seconds.get(one.group, 0.0), *(answer.latency for answer in one.answers if answer.good or not one.good))
            if not one.good and _place(one.questions[0]) not in seen.down:
                seen.find(HEALTH, f"{one.group[0]} {one.group[1]}", _said(one.answers[0]))
    for group in {one.group for one in asked if not one.answers}:
        seen.fail(HEALTH, UNASKED)
        if up.get(group):  # only what was asked is well
            del up[group], seconds[group]
    return [
        Metric("portmap_health_up", "Whether a service answers its health question as it should, asked on its own host.", _labelled(up)),
        Metric("portmap_health_seconds", "How long the slowest right answer to a service's health question took.", _labelled(seconds)),
    ]


def _place(asked: Question) -> tuple[str, str]:
    return "udp" if asked.kind in UDP_KINDS else "tcp", str(asked.port)


def _said(answer: Answer) -> str:
    detail = f" ({answer.detail})" if answer.detail else ""
    return f"{authority(answer.question)} is {answer.verdict}{detail}, expected {answer.question.expect}"


def _labelled(values: t.Mapping[Group, float]) -> tuple[Sample, ...]:
    return tuple(({"service": service, "port": port, "kind": kind}, value) for (service, port, kind), value in values.items())
