# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The port map's files as data in which every value knows its file and line: no templates, no vault, no tags.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import pathlib
import re
import typing as t
from dataclasses import dataclass, field

import yaml

from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Origin, Path, Problems, did_you_mean, dotted

ROOT = "port_map"
FRAGMENTS = "port_map.d"

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_READ_AS = {"bool": "a boolean", "int": "a number", "float": "a number", "null": "null", "timestamp": "a date"}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TEMPLATE = re.compile(r"\{[{%#]")
_DECIMAL = re.compile("-?(0|[1-9][0-9]*)")
_LEAST_LIMIT = 100_000  # values; a longer file may have as many as it has characters


class SourceError(ValueError):
    """A file of the port map can't be read."""


def read_documents(path: t.Union[str, pathlib.Path]) -> list[dict[str, str]]:
    """Read a map and the fragments ``port_map.d/*.yml`` beside it (sorted by name) as ``{path, text}``.

    The path that is handed on is relative to the folder above the map's (``inventories/port_map.yml``): it becomes part of
    plans, which must not differ between two checkouts or two working directories.

    Raises SourceError if a file can't be read, is not UTF-8, or looks like a fragment that would be overlooked.
    """
    main = pathlib.Path(path).absolute()
    folder = main.parent / FRAGMENTS
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    fragments = [file for file in found if not file.name.startswith(".")]
    overlooked = [str(file) for file in fragments if file.suffix.lower() in (".yml", ".yaml", ".json") and file.suffix != ".yml"]
    if overlooked:
        raise SourceError(f"fragments end in .yml, this one would be overlooked: {', '.join(overlooked)}")
    return [_read(file, main.parent.parent) for file in [main, *(one for one in fragments if one.suffix == ".yml")]]


def _read(file: pathlib.Path, above: pathlib.Path) -> dict[str, str]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SourceError(f"can't read the port map's file {file}: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(f"can't read the port map's file {file}: line {line} is not UTF-8") from error
    return {"path": file.relative_to(above).as_posix(), "text": text}


@dataclass
class Source:
    """One file: what stands below ``port_map``, as plain builtins.

    A value that was found wrong is None in `data`: null itself is never right, so None always means "already reported".
    """

    file: str
    data: dict[str, t.Any] = field(default_factory=dict)
    origins: dict[Path, Origin] = field(default_factory=dict)
    raw: dict[Path, str] = field(default_factory=dict)  # numbers and booleans as they are written
    broken: set[Path] = field(default_factory=set)  # values with an error
    tainted: set[Path] = field(default_factory=set)  # broken ones, and everything that one is part of
    fragment: bool = False

    def origin(self, path: Path) -> Origin:
        """Where a value stands; for one that is missing, the line of the nearest value around it."""
        around = path
        while around and around not in self.origins:
            around = around[:-1]
        line = self.origins[around].line if around in self.origins else 1
        return Origin(dotted(path) or ROOT, self.file, line)

    def taint(self, path: Path) -> None:
        """Mark a value as wrong."""
        self.broken.add(path)
        self.tainted.update(path[:length] for length in range(len(path) + 1))


def load(document: t.Mapping[str, str], problems: Problems, fragment: bool = False) -> t.Optional[Source]:
    """Read one document; what is wrong with its YAML goes into problems. None if nothing can be read."""
    try:
        source = _Reader(document["path"], document["text"], problems).read()
        if source is not None:
            source.fragment = fragment
        return source
    except RecursionError:
        problems.error(Origin(ROOT, document["path"], 0), None, "is nested too deeply")
        return None


class _Reader:
    """One document's way from text to Source."""

    def __init__(self, file: str, text: str, problems: Problems) -> None:
        self._text = text
        self._problems = problems
        self._source = Source(file)
        self._open: set[int] = set()  # nodes that are being read: an alias to one of them would never end
        self._limit = max(_LEAST_LIMIT, len(text))

    def read(self) -> t.Optional[Source]:
        node = self._compose()
        if node is None:
            return None
        if not isinstance(node, yaml.MappingNode):
            self._wrong(self._line(node), f"the file must be a mapping with the one key `{ROOT}`")
            return None
        body: t.Optional[yaml.Node] = None
        others = False
        for name, line, value in self._pairs(node, ()):
            if name == ROOT:
                body = value
            else:
                others = True
                hint = did_you_mean(name, [ROOT]) or f": the file holds `{ROOT}` and nothing else"
                self._problems.error(Origin(name, self._source.file, line), None, f"unknown key{hint}")
        if body is None:
            if not others:
                self._wrong(self._line(node), f"the file has no `{ROOT}`")
            return None
        self._source.origins[()] = Origin(ROOT, self._source.file, self._line(body))
        if not isinstance(body, yaml.MappingNode):
            self._wrong(self._line(body), "must be a mapping")
            return None
        data = self._value(body, ())
        self._source.data = data if isinstance(data, dict) else {}
        return self._source

    def _compose(self) -> t.Optional[yaml.Node]:
        """The one document as YAML nodes."""
        try:
            loader = yaml.SafeLoader(self._text)
        except yaml.reader.ReaderError as error:
            self._wrong(self._text.count("\n", 0, error.position) + 1, f"has a control character (U+{int(error.character):04X})")
            return None
        try:
            if not loader.check_node():
                self._wrong(1, f"the file is empty: it must hold `{ROOT}`")
                return None
            node: t.Optional[yaml.Node] = loader.get_node()
            if loader.check_node():
                second = loader.get_node()
                self._wrong(self._line(second) if second else 1, "a second YAML document begins here: one file holds one map")
                return None
            return node
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            said = " ".join(part for part in (error.context, error.problem) if part)
            self._wrong(mark.line + 1 if mark else 1, f"no valid YAML: {said}" + (f", column {mark.column + 1}" if mark else ""))
            return None
        finally:
            loader.dispose()

    def _wrong(self, line: int, rule: str) -> None:
        self._problems.error(Origin(ROOT, self._source.file, line), None, rule)

    @staticmethod
    def _line(node: yaml.Node) -> int:
        return int(node.start_mark.line) + 1

    def _refuse(self, path: Path, value: t.Any, rule: str, line: t.Optional[int] = None) -> None:
        origin = self._source.origin(path)
        self._problems.error(Origin(origin.path, origin.file, line or origin.line), value, rule)
        self._source.taint(path)

    # values

    def _value(self, node: yaml.Node, path: Path) -> t.Any:
        """The node as plain builtins; None if it is wrong."""
        self._limit -= 1
        if self._limit <= 0:
            if self._limit == 0:
                self._refuse(path, None, "aliases repeat too much: the file stands for more values than it has characters")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._refuse(path, None, "an alias refers to what it is part of")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
                return self._sequence(node, path)
        finally:
            self._open.discard(id(node))
        self._refuse(path, None, f"the tag {_short(node.tag)} is not possible here: the file is read as plain data")
        return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> t.Optional[dict[str, t.Any]]:
        data: dict[str, t.Any] = {}
        pairs = self._pairs(node, path)
        if path in self._source.broken:
            return None
        for name, line, value in pairs:
            below = (*path, name)
            self._source.origins[below] = Origin(dotted(below), self._source.file, line)
            data[name] = self._value(value, below)
        return data

    def _sequence(self, node: yaml.SequenceNode, path: Path) -> list[t.Any]:
        data = []
        for index, item in enumerate(node.value):
            below = (*path, index)
            self._source.origins[below] = Origin(dotted(below), self._source.file, self._line(item))
            data.append(self._value(item, below))
        return data

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> t.Any:
        text, kind = str(node.value), _short(node.tag)
        if kind == "str":
            rule = _unfit(text)
            if rule:
                self._refuse(path, text, rule)
                return None
            return text
        self._source.raw[path] = text
        if kind == "null":
            self._refuse(path, None, "has no value (null): write one, or leave the key out")
            return None
        if kind == "bool":
            return text.lower() in ("true", "yes", "on", "y")
        if kind == "int":
            if _DECIMAL.fullmatch(text):
                return int(text)
            how = "of base 60" if ":" in text else "in a notation of its own"
            self._refuse(path, text, f"YAML reads this as a number {how}: write numbers in plain decimal, quote text")
            return None
        if kind == "float":
            try:
                return float(text.replace("_", ""))
            except ValueError:
                self._refuse(path, text, "YAML reads this as a number: quote it")
                return None
        if kind in _READ_AS:
            self._refuse(path, text, f"YAML reads this as {_READ_AS[kind]}: quote it")
        elif kind in ("value", "merge"):
            self._refuse(path, text, "has a meaning of its own in YAML: quote it")
        else:
            self._refuse(path, text, f"the tag {kind} is not possible here: the file is read as plain data")
        return None

    # names

    def _pairs(self, node: yaml.MappingNode, path: Path) -> list[tuple[str, int, yaml.Node]]:
        """Name, line and value of each entry: the mapping's own first, then what `<<` brings and the mapping does not have."""
        own: dict[str, tuple[str, int, yaml.Node]] = {}
        merged: dict[str, tuple[str, int, yaml.Node]] = {}
        merge_line = 0
        for key, value in node.value:
            line = self._line(key)
            if key.tag == _MERGE:
                if merge_line:
                    self._refuse((*path, "<<"), None, f"stands twice, first in line {merge_line}: write one with a list", line)
                merge_line = line
                for name, place, item in self._merged(value, (*path, "<<"), line):
                    merged.setdefault(name, (name, place, item))
                continue
            found = self._name(key, path, line)
            if found is None:
                continue
            if found in own:
                self._refuse((*path, found), None, f"stands twice in this mapping, first in line {own[found][1]}", line)
            else:
                own[found] = (found, line, value)
        return [*own.values(), *(entry for name, entry in merged.items() if name not in own)]

    def _merged(self, node: yaml.Node, path: Path, line: int) -> list[tuple[str, int, yaml.Node]]:
        """The entries that one `<<` brings; of several mappings the first wins (yaml.org/type/merge.html)."""
        mappings = node.value if isinstance(node, yaml.SequenceNode) else [node]
        entries: dict[str, tuple[str, int, yaml.Node]] = {}
        for mapping in mappings:
            if not isinstance(mapping, yaml.MappingNode):
                self._refuse(path, None, "merges mappings only", line)
                continue
            if id(mapping) in self._open:
                self._refuse(path, None, "an alias refers to what it is part of", line)
                continue
            self._open.add(id(mapping))
            for name, place, item in self._pairs(mapping, path[:-1]):
                entries.setdefault(name, (name, place, item))
            self._open.discard(id(mapping))
        return list(entries.values())

    def _name(self, key: yaml.Node, path: Path, line: int) -> t.Optional[str]:
        """The text of a key; None if it is none."""
        if not isinstance(key, yaml.ScalarNode):
            self._refuse(path, None, "a name must be text; templates ({{ }}) are not possible here", line)
            return None
        text, kind = str(key.value), _short(key.tag)
        if kind != "str":
            what = f"YAML reads the name {text} as {_READ_AS[kind]}: quote it, better rename it" if kind in _READ_AS else f"{text} is no plain name"
            self._refuse((*path, text), None, what, line)
            return None
        rule = _unfit(text)
        if rule:
            self._refuse((*path, _CONTROL.sub("?", text)), text, rule, line)
            return None
        return text


def _short(tag: str) -> str:
    return tag[len(_TAG) :] if tag.startswith(_TAG) else tag


def _unfit(text: str) -> t.Optional[str]:
    """Why a text can't stand anywhere in a map; None if it can."""
    if _TEMPLATE.search(text):
        return "templates ({{, {%, {#) are not possible here: the file is read as plain data"
    control = _CONTROL.search(text)
    if control:
        return f"has a control character (U+{ord(control.group()):04X}): text is one line"
    return None
