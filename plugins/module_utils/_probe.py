# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the running system, many at once: is this port open, is it blocked, does this service answer as it should.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
import typing as t
from dataclasses import replace

from ansible_collections.alfred.portmap.plugins.module_utils._probe_data import (
    FILTERED,
    KINDS,
    LATE,
    OPEN,
    WRONG,
    Answer,
    Found,
    Http,
    Question,
    Tls,
    authority,
)
from ansible_collections.alfred.portmap.plugins.module_utils._probe_datagrams import ask_dns, ask_ntp, ask_udp
from ansible_collections.alfred.portmap.plugins.module_utils._probe_errors import verdict_of
from ansible_collections.alfred.portmap.plugins.module_utils._probe_http import ask_http, ask_prometheus, ask_websocket
from ansible_collections.alfred.portmap.plugins.module_utils._probe_options import answer_data, question
from ansible_collections.alfred.portmap.plugins.module_utils._probe_services import ask_postgresql, ask_redis, ask_ssh
from ansible_collections.alfred.portmap.plugins.module_utils._probe_tls import ask_tls
from ansible_collections.alfred.portmap.plugins.module_utils._probe_wire import connect

__all__ = ["KINDS", "LATE", "Answer", "Http", "Question", "Tls", "answer_data", "ask", "ask_all", "authority", "question"]

PATIENT = 16  # how many questions at a time are asked again where somebody may be busy
SPARE_FILES = 32  # what else is opened meanwhile: certificates that are trusted, …


def ask_all(questions: t.Sequence[Question], concurrency: int = 128, retries: int = 2) -> list[Answer]:
    """Ask everything, at most `concurrency` questions at a time; answers come in the order of the questions.

    What did not answer in time is asked again, up to `retries` times, each time with twice the patience: a packet may get lost. What has
    begun to answer is asked few at a time, since asking much at once is load too, and what that slows down is no finding. What is silent is no load,
    and a host that is down may have hundreds of ports. Nothing else is asked again: an open port does not get blocked by asking.
    """
    answers = _at_once(questions, concurrency)
    for attempt in range(1, retries + 1):
        doubtful = [index for index, answer in enumerate(answers) if answer.doubtful]
        silent = [index for index in doubtful if answers[index].verdict == FILTERED]
        busy = [index for index in doubtful if answers[index].verdict != FILTERED]
        for indexes, most in ((silent, concurrency), (busy, min(concurrency, PATIENT))):
            patient = [replace(questions[index], timeout=questions[index].timeout * 2**attempt) for index in indexes]
            for index, answer in zip(indexes, _at_once(patient, most)):
                answers[index] = answer
    return answers


def _at_once(questions: t.Sequence[Question], concurrency: int) -> list[Answer]:
    answers: list[t.Optional[Answer]] = [None] * len(questions)
    numbers = iter(range(len(questions)))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            answers[number] = ask(questions[number])

    threads = []
    for _number in range(min(concurrency, _files(), len(questions)) - 1):
        thread = threading.Thread(target=work, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # this host allows no more: those that run do it all
            break
        threads.append(thread)
    work()
    for thread in threads:
        thread.join()
    return t.cast("list[Answer]", answers)


def _files() -> int:
    """How many files this process may still open: a question takes one."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    used = 3
    with contextlib.suppress(OSError):
        used = len(os.listdir("/proc/self/fd"))
    return max(1, limit - used - SPARE_FILES) if limit != resource.RLIM_INFINITY else 1 << 16


def ask(question: Question) -> Answer:
    """Ask one question. Everything that can go wrong is a verdict."""
    started = time.monotonic()
    try:
        verdict, detail = _ASKERS[question.kind](question)
    except OSError as error:
        verdict, detail = verdict_of(error)
    except Exception as error:  # the peer chooses what is read: one that we can't take must not cost the other answers
        verdict, detail = WRONG, f"an answer that can't be read ({type(error).__name__})"
    answer = Answer(question, verdict, detail, round(time.monotonic() - started, 4))
    if answer.slow and verdict == OPEN and question.expect == "open":
        return replace(answer, verdict=WRONG, detail=f"took {round(answer.latency, 2):g} s, expected at most {question.slower_than:g} s")
    return answer


def _ask_tcp(question: Question) -> Found:
    connect(question).close()
    return OPEN, ""


_ASKERS: dict[str, t.Callable[[Question], Found]] = {
    "tcp": _ask_tcp,
    "udp": ask_udp,
    "dns": ask_dns,
    "http": ask_http,
    "tls": ask_tls,
    "websocket": ask_websocket,
    "postgresql": ask_postgresql,
    "redis": ask_redis,
    "ntp": ask_ntp,
    "ssh": ask_ssh,
    "prometheus": ask_prometheus,
}
