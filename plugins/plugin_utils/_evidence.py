# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of many hosts as one stock of evidence: who asked whom about what, what came back, and in what words to tell it.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.plugin_utils._reachability import NOT_LET_OUT

Data = dict[str, t.Any]

OPEN, REFUSED, FILTERED, UNREACHABLE, WRONG = "open", "refused", "filtered", "unreachable", "wrong answer"
TELLING = (OPEN, WRONG, UNREACHABLE, FILTERED, REFUSED)  # of several answers about one thing, the one that says most
MOST_NAMES = 6  # of hosts in one line


@dataclass(frozen=True)
class Seen:
    """One answer, and who asked."""

    vantage: str
    answer: Data
    both: bool = False  # whether the vantage asked that host over both families

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def host(self) -> str:
        """The host that was asked."""
        return str(self.answer["labels"]["host"])

    @property
    def check(self) -> str:
        """port, undeclared, route, redirect, certificate or world."""
        return str(self.answer["labels"]["check"])

    @property
    def listener(self) -> str:
        """The listener's name, "" if it is not about one that the map declares."""
        return str(self.answer["labels"]["listener"])

    @property
    def route(self) -> str:
        """The route's name, "" if it is not about one."""
        return str(self.answer["labels"]["route"])

    @property
    def family(self) -> int:
        """4 or 6."""
        return int(self.answer["labels"]["family"])

    @property
    def transport(self) -> str:
        """tcp or udp."""
        return str(self.answer["labels"]["transport"])

    @property
    def local(self) -> bool:
        """Whether a host asked itself."""
        return bool(self.answer["labels"]["local"])

    @property
    def port(self) -> int:
        """The port that was asked."""
        return int(self.answer["port"])

    @property
    def verdict(self) -> str:
        """What came of it, in one word."""
        return str(self.answer["verdict"])

    @property
    def detail(self) -> str:
        """More about it."""
        return str(self.answer["detail"])

    @property
    def good(self) -> bool:
        """Whether it is as planned."""
        return bool(self.answer["good"])

    @property
    def must_open(self) -> bool:
        """Whether an answer is planned."""
        return bool(self.answer["expect"] == "open")

    @property
    def kept_in(self) -> bool:
        """Whether the plan says that the asking host's own policy answers."""
        return bool(self.answer["why"] == NOT_LET_OUT)

    @property
    def silent(self) -> bool:
        """Whether a word was due, and the network had none: no answer, or no way there, which proves nothing where silence is planned."""
        return not self.good and self.verdict in ((FILTERED, UNREACHABLE) if self.must_open else (UNREACHABLE,))

    @property
    def answered(self) -> bool:
        """Whether a packet came back from the host that was asked."""
        return self.verdict not in (FILTERED, UNREACHABLE)

    @property
    def subject(self) -> str:
        """What was asked, in words."""
        if self.check == "redirect":
            return f"redirect of {self.listener}"
        if self.route:
            return f"{self.check} {self.route}"
        return port_text(self.listener, self.port, self.transport)

    @property
    def symptom(self) -> str:
        """What came back, in words that follow the subject."""
        if self.verdict == REFUSED:
            return " is refused: nobody listens there" if self.must_open else " is refused, so the packet got through"
        if self.verdict == FILTERED:
            return " does not answer"
        if self.verdict == UNREACHABLE:
            return f" can't be reached ({self.detail})" if self.detail else " can't be reached"
        if self.verdict == OPEN or not self.must_open:
            return " is open"
        return f": {self.detail}" if self.detail else " answers something else"


def port_text(listener: str, port: t.Union[int, str], transport: str) -> str:
    """A port for people: redis 6379/tcp, or port 8888/tcp where nobody declared it."""
    return f"{listener or 'port'} {port}/{transport}"


def gather(observed: t.Mapping[str, Data]) -> list[Seen]:
    """All answers. Of those that a host gave itself about one thing at several addresses the best one counts, see Vantage.itself()."""
    found: list[Seen] = []
    for host, entry in observed.items():
        everything = [Seen(host, answer) for answer in entry.get("answers") or ()]
        families: dict[str, set[int]] = {}
        for seen in everything:
            if not seen.local and seen.check != "world":
                families.setdefault(seen.host, set()).add(seen.family)
        own: dict[tuple[str, ...], list[Seen]] = {}
        for seen in everything:
            if seen.local:
                own.setdefault((seen.check, seen.listener, seen.route, str(seen.port), seen.transport), []).append(seen)
            else:
                found.append(Seen(host, seen.answer, both=len(families.get(seen.host, ())) == 2))
        found += [min(group, key=lambda one: (not one.good, TELLING.index(one.verdict))) for group in own.values()]
    return found


def names(hosts: t.Iterable[str]) -> str:
    """Host names in one line, not too many of them."""
    listed = list(dict.fromkeys(hosts))
    more = len(listed) - MOST_NAMES
    return ", ".join(listed[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def asked_from(group: t.Collection[Seen]) -> str:
    """Who asked: "core1, ui1", with the family if all asked over one and the same, and both are in use."""
    who = names(["itself"] * any(one.local for one in group) + [one.vantage for one in group if not one.local])
    families = {one.family for one in group if not one.local and one.check != "world"}
    return who + (f" over IPv{families.pop()}" if len(families) == 1 and any(one.both for one in group) else "")


def told(group: t.Iterable[Seen]) -> list[str]:
    """Answers in lines for people, one for each thing that was asked and each symptom."""
    lines: dict[tuple[str, str, str], list[Seen]] = {}
    for one in group:
        lines.setdefault((one.host, one.subject, one.symptom), []).append(one)
    return [f"{host}: {subject}{symptom} (asked from {asked_from(those)})" for (host, subject, symptom), those in lines.items()]
