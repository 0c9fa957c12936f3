# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a text is metrics as Prometheus reads them: the text exposition format 0.0.4. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

One line that Prometheus can't read costs it all the others of that scrape, so one is a wrong answer. No expression here can take
more than linear time: the peer writes what they read.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._probe_errors import Wrong

MAX_LINE = 1 << 16
MAX_BYTES = 1 << 26  # of all of it; the exporter of a big cluster has tens of MiB

_B = r"[ \t]"
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_VALUE = rf"[+-]?(?:{_NUMBER}|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN])"
_LABEL = rf'([a-zA-Z_][a-zA-Z0-9_]*){_B}*={_B}*"(?:[^"\\]|\\[\\"n])*"'
_LABELS = _LABEL.replace("([", "(?:[", 1)
_SET = rf"\{{{_B}*((?:{_LABELS}{_B}*(?:,{_B}*{_LABELS}{_B}*)*(?:,{_B}*)?)?)\}}"
_SAMPLE = re.compile(rf"{_B}*({_NAME})(?:{_B}*{_SET}{_B}*|{_B}+){_VALUE}(?:{_B}+-?[0-9]+)?{_B}*")
_ONE_LABEL = re.compile(_LABEL)
_META = re.compile(rf"{_B}*#{_B}+(TYPE|HELP){_B}+(\S.*)")
_TYPE = re.compile(rf"({_NAME}){_B}+(?:counter|gauge|histogram|summary|untyped){_B}*")
_HELP = re.compile(rf"({_NAME})(?:{_B}.*)?")


def count_samples(blocks: t.Iterable[bytes]) -> int:
    """How many samples a text has. Raises Wrong where it can't be read, or has none."""
    samples = 0
    sampled: set[str] = set()
    described: set[tuple[str, str]] = set()
    for number, raw in enumerate(_lines(blocks), 1):
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            raise Wrong(f"metrics: line {number} is not UTF-8") from None
        if line.lstrip(" \t").startswith("#"):
            _describe(number, line, described, sampled)
        elif line.strip(" \t"):
            sampled.add(_sample(number, line))
            samples += 1
    if not samples:
        raise Wrong("metrics: there are none")
    return samples


def _lines(blocks: t.Iterable[bytes]) -> t.Iterator[bytes]:
    rest = b""
    size = 0
    for block in blocks:
        size += len(block)
        if size > MAX_BYTES:
            raise Wrong(f"metrics: more than {MAX_BYTES >> 20} MiB")
        *whole, rest = (rest + block).split(b"\n")
        if len(rest) > MAX_LINE:
            raise Wrong(f"metrics: a line is longer than {MAX_LINE >> 10} KiB")
        yield from whole
    if rest:
        raise Wrong("metrics: the last line is not complete")


def _describe(number: int, line: str, described: set[tuple[str, str]], sampled: set[str]) -> None:
    """A comment, which may say what a metric is: once, and its type before its first sample."""
    meta = _META.fullmatch(line)
    if meta is None:
        return
    match = (_TYPE if meta.group(1) == "TYPE" else _HELP).fullmatch(meta.group(2))
    if match is None:
        raise _unreadable(number, line)
    name = match.group(1)
    if (meta.group(1), name) in described:
        raise Wrong(f"metrics: line {number} is a second {meta.group(1)} of {printable(name, 80)}")
    described.add((meta.group(1), name))
    if meta.group(1) == "TYPE" and name in sampled:
        raise Wrong(f"metrics: line {number} gives the type of {printable(name, 80)} after its samples")


def _sample(number: int, line: str) -> str:
    match = _SAMPLE.fullmatch(line)
    if match is None:
        raise _unreadable(number, line)
    labels = match.group(2)
    if labels:
        names = _ONE_LABEL.findall(labels)
        if len(set(names)) < len(names):
            raise Wrong(f"metrics: line {number} has a label twice: {printable(line, 80)}")
    return match.group(1)


def _unreadable(number: int, line: str) -> Wrong:
    return Wrong(f"metrics: line {number} can't be read: {printable(line, 80)}")
