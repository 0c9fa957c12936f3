# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host watches of itself: its configuration, checked before anything is touched, and once more where it is read. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

The policy is not in it. What is in force is compared with what the module firewall keeps as confirmed on the host, so that a new
policy is no drift, whoever applied it.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._listeners import Expected, Ignored
from ansible_collections.alfred.portmap.plugins.module_utils._listening_options import expected_lines, ignored_patterns
from ansible_collections.alfred.portmap.plugins.module_utils._probe import Question, question

FORMAT = 1
TIMEOUT = 50
TRANSPORTS = ("tcp", "udp")
TABLE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
DIRECTORY = re.compile(r"/[A-Za-z0-9._/-]+")  # written into files of systemd, which have signs of their own
EXPECTED_KEYS = {"name", "transport", "ports", "bind", "required", "origin", "container", "exposure", "protocol", "health", "owner"}
IGNORED_KEYS = {"transport", "ports", "address", "process", "unit", "user", "container"}
POLICY_KEYS = {"table", "state_dir", "boot"}

Data = t.Mapping[str, t.Any]


class WatchError(ValueError):
    """A configuration that can't be used: every reason, each with its path and value."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class Guarded:
    """Where the module firewall keeps the policy that is to be in force."""

    table: str = "portmap"
    state_dir: str = "/var/lib/portmap"
    boot: bool = True  # it is to be loaded at boot


@dataclass(frozen=True)
class Watch:
    """All that is looked at."""

    listeners: tuple[Expected, ...]
    ignore: tuple[Ignored, ...]
    strict: bool
    policy: t.Optional[Guarded]  # None: no policy is planned, so none is looked for
    questions: tuple[Question, ...]
    timeout: float = TIMEOUT  # seconds after which systemd ends a look: what hangs is given up before that

    @classmethod
    def from_data(cls, data: Data) -> Watch:
        """Check and read a configuration. Raises WatchError."""
        problems: list[str] = []

        def each(key: str, read: t.Callable[[t.Any, str], t.Any]) -> list[t.Any]:
            found = []
            lines = data.get(key) or []
            if not isinstance(lines, list):
                problems.append(f"{key}: {_shown(lines)} must be a list")
                return []
            for index, line in enumerate(lines):
                try:
                    found.append(read(line, f"{key}[{index}]"))
                except _Wrong as error:
                    problems.append(str(error))
            return found

        unknown = sorted(set(data) - {"format", "listeners", "ignore", "strict", "policy", "questions", "timeout"})
        if unknown:
            problems.append(f"{', '.join(unknown)}: no such key")
        listeners, ignore, asked = each("listeners", _expected), each("ignore", _ignored), each("questions", _question)
        policy = None
        if data.get("policy") is not None:
            try:
                policy = _policy(data["policy"])
            except _Wrong as error:
                problems.append(str(error))
        if not isinstance(data.get("strict", False), bool):
            problems.append(f"strict: {_shown(data['strict'])} must be true or false")
        timeout = data.get("timeout", TIMEOUT)
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
            problems.append(f"timeout: {_shown(timeout)} must be a number of seconds")
        if problems:
            raise WatchError(problems)
        return cls(tuple(listeners), tuple(ignore), data.get("strict", False), policy, tuple(asked), timeout)


def read(text: str) -> Watch:
    """A configuration out of its file. Raises WatchError."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise WatchError([f"it holds no JSON: {error}"]) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise WatchError([f"it is not of format {FORMAT}"])
    return Watch.from_data(data)


def written(data: Data) -> str:
    """The file of a configuration."""
    return json.dumps({"format": FORMAT, **data}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


class _Wrong(ValueError):
    """One thing that is wrong."""


def _shown(value: t.Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _mapping(line: t.Any, path: str, keys: t.Collection[str]) -> Data:
    if not isinstance(line, dict):
        raise _Wrong(f"{path}: {_shown(line)} must be a dictionary")
    unknown = sorted(str(key) for key in line if key not in keys)
    if unknown:
        raise _Wrong(f"{path}.{unknown[0]}: no such key, there are {', '.join(sorted(keys))}")
    return line


def _text(line: Data, path: str, key: str, default: t.Optional[str] = None) -> str:
    value = line.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise _Wrong(f"{path}.{key}: {'is missing' if key not in line else _shown(value) + ' must be a text'}")
    return value


def _flag(line: Data, path: str, key: str, default: bool) -> bool:
    value = line.get(key, default)
    if not isinstance(value, bool):
        raise _Wrong(f"{path}.{key}: {_shown(value)} must be true or false")
    return value


def _expected(line: t.Any, path: str) -> Expected:
    _mapping(line, path, EXPECTED_KEYS)
    _text(line, path, "name")
    return t.cast(Expected, _line(expected_lines, line, path, "expected[0]"))


def _ignored(line: t.Any, path: str) -> Ignored:
    _mapping(line, path, IGNORED_KEYS)
    return t.cast(Ignored, _line(ignored_patterns, line, path, "ignore[0]"))


def _line(read_lines: t.Callable[[t.Sequence[Data]], t.Sequence[t.Any]], line: Data, path: str, called: str) -> t.Any:
    """One line as the module listening_ports reads it."""
    _transport(line, path)
    for key in ("required", "container"):
        _flag(line, path, key, False)
    if line.get("owner") is not None and not isinstance(line["owner"], list):
        raise _Wrong(f"{path}.owner: {_shown(line['owner'])} must be a list of patterns")
    line = {key: str(value) if key == "ports" else value for key, value in line.items() if value is not None}
    if "ports" not in line and called.startswith("expected"):
        raise _Wrong(f"{path}.ports: is missing")
    try:
        return read_lines([line])[0]
    except ValueError as error:
        raise _Wrong(str(error).replace(called, path, 1)) from None
    except (TypeError, AttributeError, KeyError) as error:  # a list where a text belongs, and the like
        raise _Wrong(f"{path}: {_shown(line)} can't be read: {error}") from None


def _transport(line: Data, path: str) -> None:
    if line.get("transport") not in (None, *TRANSPORTS):
        raise _Wrong(f"{path}.transport: {_shown(line['transport'])} must be tcp or udp")


def _policy(line: t.Any) -> Guarded:
    _mapping(line, "policy", POLICY_KEYS)
    found = Guarded(
        _text(line, "policy", "table", Guarded.table), _text(line, "policy", "state_dir", Guarded.state_dir), _flag(line, "policy", "boot", Guarded.boot)
    )
    if TABLE.fullmatch(found.table) is None:
        raise _Wrong(f"policy.table: {_shown(found.table)} must be a letter followed by up to 63 letters, digits, dashes, underscores")
    if DIRECTORY.fullmatch(found.state_dir) is None:
        raise _Wrong(f"policy.state_dir: {_shown(found.state_dir)} must be an absolute path of letters, digits, dots, dashes, underscores")
    return found


def _question(line: t.Any, path: str) -> Question:
    if not isinstance(line, dict):
        raise _Wrong(f"{path}: {_shown(line)} must be a dictionary")
    try:
        return question(line)
    except ValueError as error:
        raise _Wrong(f"{path} ({line.get('name', '?')}): {error}") from None
