# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A watch's questions, within the time that it has: what hangs must not cost the numbers of what does not.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.alfred.portmap.plugins.module_utils._probe import Answer, Question, ask_all
from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import FILTERED

CONCURRENCY = 16  # a watch is no load test of its host
PATIENCE = 2  # how much longer is waited for what is asked again
SOONEST = 0.05  # seconds: a question with no time left is one that nobody could answer


Group = tuple[str, str, str]  # service, port, kind


@dataclass
class Matter:
    """One thing to know: a question, or the same one at each address of this host at which the service may be."""

    questions: list[Question]
    answers: list[Answer] = field(default_factory=list)  # of the first questions, in their order

    @property
    def group(self) -> Group:
        """What it is of."""
        return _group(self.questions[0])

    @property
    def good(self) -> bool:
        """One right answer will do."""
        return any(answer.good for answer in self.answers)

    @property
    def settled(self) -> bool:
        """Whether there is no other address to ask: all were, or at one of them somebody took the question, rightly or much too late."""
        return len(self.answers) == len(self.questions) or self.good or any(one.doubtful and one.verdict != FILTERED for one in self.answers)


def _group(asked: Question) -> Group:
    return str(asked.labels.get("listener") or asked.labels.get("route") or asked.name), str(asked.port), asked.kind


def matters(questions: t.Iterable[Question]) -> list[Matter]:
    """Local questions of one name and group are one matter, every other question is one of its own."""
    found: dict[t.Any, Matter] = {}
    for number, asked in enumerate(questions):
        key = (asked.name, _group(asked)) if asked.labels.get("local") else number
        found.setdefault(key, Matter([])).questions.append(asked)
    return list(found.values())


def ask_within(everything: t.Sequence[Matter], until: float, end: float) -> None:
    """Ask, at one address after the other; then ask once more, with more patience, what was late.

    Nothing is begun after `until`, and nothing lasts longer than `end` (of time.monotonic()). Each is asked at its first address before any is
    asked at its second, so that what then is without an answer was not asked at all.
    """
    while waiting := [one for one in everything if not one.settled]:
        for asked in _batches(waiting, until):
            for one, answer in zip(asked, _ask([one.questions[len(one.answers)] for one in asked], end)):
                one.answers.append(answer)
        if time.monotonic() >= until:
            return
    late = [(one, index) for one in everything if not one.good for index, answer in enumerate(one.answers) if answer.doubtful]
    for again in _batches(late, until):
        patient = [replace(one.questions[index], timeout=one.questions[index].timeout * PATIENCE) for one, index in again]
        for (one, index), answer in zip(again, _ask(patient, end)):
            one.answers[index] = answer


Item = t.TypeVar("Item")


def _batches(items: t.Sequence[Item], until: float) -> t.Iterator[t.Sequence[Item]]:
    for start in range(0, len(items), CONCURRENCY):
        if time.monotonic() >= until:
            return
        yield items[start : start + CONCURRENCY]


def _ask(questions: t.Sequence[Question], end: float) -> list[Answer]:
    left = max(end - time.monotonic(), SOONEST)
    return ask_all([replace(one, timeout=min(one.timeout, left)) for one in questions], CONCURRENCY, retries=0)
