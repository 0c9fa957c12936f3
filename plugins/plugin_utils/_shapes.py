# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes of values: each checks a value and says the same as JSON schema, so that the two can't drift apart.

A shape sees one value and no other: names that must exist elsewhere, hosts and conflicts are checked later.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Origin, Path, Problems, did_you_mean

Schema = dict[str, t.Any]

RESERVED = ("namespace", "self", "none", "any", "all", "loopback", "anywhere")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, lower case
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
DNS_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
INVENTORY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
URL_PATH = re.compile(r"/[!-~]*")


class Place(t.Protocol):
    """Where values stand: a file, or the merged map."""

    def origin(self, path: Path) -> Origin:
        """File and line of a path."""

    def taint(self, path: Path) -> None:
        """Mark the value at a path as wrong."""


@dataclass
class Context:
    """What checks note their errors in."""

    place: Place
    problems: Problems
    beyond: set[str] = dataclasses.field(default_factory=set)  # of _schema.BEYOND: rules broken that JSON schema can't say
    visible: bool = False  # some rule is broken that the schema says too

    def error(self, path: Path, value: t.Any, rule: str, beyond: str = "") -> bool:
        """Note an error at a path; always False, so that a check can return it.

        beyond: which of _schema.BEYOND the rule is, if JSON schema can't say it.
        """
        self.problems.error(self.place.origin(path), value if not isinstance(value, (dict, list)) else None, rule)
        self.place.taint(path)
        if beyond:
            self.beyond.add(beyond)
        else:
            self.visible = True
        return False


class Shape:
    """A kind of value."""

    what = "a value"

    def check(self, value: t.Any, path: Path, context: Context) -> bool:
        """Whether the value has this shape; each reason why not is noted in context.

        None is a value that the reader refused: it is wrong, and has been said to be.
        """
        return value is not None and self._check(value, path, context)

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        raise NotImplementedError

    def schema(self) -> Schema:
        """The same as JSON schema."""
        raise NotImplementedError

    def partial(self) -> Shape:
        """The shape of a change to such a value, as environments hold it: nothing is required."""
        return self


@dataclass(frozen=True)
class Bool(Shape):
    """true or false."""

    what = "true or false"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        return isinstance(value, bool) or context.error(path, value, "must be true or false")

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Whole(Shape):
    """A whole number."""

    low: int = 1
    high: t.Optional[int] = None
    what = "a whole number"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        limits = f"from {self.low} to {self.high}" if self.high is not None else f"of at least {self.low}"
        if isinstance(value, str) and value.strip().lstrip("-").isdigit():
            return context.error(path, value, f"must be a whole number {limits}: without quotes")
        if isinstance(value, bool) or not isinstance(value, int) or value < self.low or (self.high is not None and value > self.high):
            return context.error(path, value, f"must be a whole number {limits}")
        return True

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.low, **({} if self.high is None else {"maximum": self.high})}


ONE_PORT = Whole(1, 65535)


@dataclass(frozen=True)
class PortSpan(Shape):
    """A port or a range lo-hi; or `none` where that is allowed."""

    none: bool = False
    what = "a port"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        rule = "must be a port from 1 to 65535 or a range lo-hi" + (" or none" if self.none else "")
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            return context.error(path, value, rule)
        if isinstance(value, int):
            return 1 <= value <= 65535 or context.error(path, value, rule)
        if self.none and value == "none":
            return True
        match = RANGE.fullmatch(value)
        if match is None:
            return context.error(path, value, rule + (": without quotes" if value.strip().isdigit() else ""))
        lo, hi = int(match.group(1)), int(match.group(2))
        if not (1 <= lo <= 65535 and 1 <= hi <= 65535):
            return context.error(path, value, rule)
        return lo < hi or context.error(path, value, "a range goes from a lower to a higher port")

    def schema(self) -> Schema:
        numbers: list[Schema] = [ONE_PORT.schema(), {"type": "string", "pattern": "^[0-9]{1,5}-[0-9]{1,5}$"}]
        return {"anyOf": [*numbers, {"const": "none"}] if self.none else numbers}


@dataclass(frozen=True)
class Text(Shape):
    """Text that matches a pattern."""

    pattern: re.Pattern[str]
    what: str

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if isinstance(value, str) and self.pattern.fullmatch(value):
            return True
        quote = " (YAML reads it as a boolean or a number: quote it)" if isinstance(value, (bool, int)) else ""
        return context.error(path, value, f"must be {self.what}{quote}")

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^(?:{self.pattern.pattern})$"}


@dataclass(frozen=True)
class Choice(Shape):
    """One of some words."""

    words: tuple[str, ...]
    wrong_kind: str = ""  # what to say of a list or mapping

    @property
    def what(self) -> str:  # type: ignore[override]
        return "one of " + ", ".join(self.words)

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if isinstance(value, (dict, list)) and self.wrong_kind:
            return context.error(path, None, self.wrong_kind)
        if isinstance(value, str) and value in self.words:
            return True
        hint = did_you_mean(value, self.words) if isinstance(value, str) else ""
        return context.error(path, value, f"must be {self.what}{hint}")

    def schema(self) -> Schema:
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Addresses(Shape):
    """An address, or, unless single, a CIDR; normalised nowhere here: the builder does that."""

    single: bool = False
    what = "an IPv4 or IPv6 address or CIDR"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if not isinstance(value, str):
            return context.error(path, value, "must be text: quote it")
        reason = address_problem(value, self.single)
        return reason is None or context.error(path, value, reason)

    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^[0-9A-Fa-f.:]+$" if self.single else "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$"}


def address_problem(text: str, single: bool) -> t.Optional[str]:
    """Why a text is no address (or CIDR, unless single) that a policy can hold; None if it is one."""
    if "%" in text:
        return "an address with a zone id means something on one host only: leave the zone out"
    if single and "/" in text:
        return "must be one address, no network"
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "is no IPv4 or IPv6 address or CIDR (names change after the policy is loaded: addresses only)"
    if "/" in text and ipaddress.ip_interface(text).ip != network.network_address:
        return f"has host bits set: write {network}, or the address without a prefix"
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        return "is an IPv4 address in IPv6 clothes: write the IPv4 address"
    return None


@dataclass(frozen=True)
class ListOf(Shape):
    """A list; one bare value counts as a list of one."""

    item: Shape
    bare: bool = True
    empty: bool = False
    unique: bool = True

    @property
    def what(self) -> str:  # type: ignore[override]
        return f"{self.item.what} or a list of such"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if not isinstance(value, list):
            if self.bare:
                return self.item.check(value, path, context)
            return context.error(path, value, "must be a list")
        if not value and not self.empty:
            return context.error(path, value, "must not be empty")
        good = [self.item.check(item, (*path, index), context) for index, item in enumerate(value)]
        if self.unique:
            for index, item in enumerate(value):
                if item in value[:index] and type(item) is type(value[value.index(item)]):
                    good.append(context.error((*path, index), item, "is in the list twice"))
        return all(good)

    def schema(self) -> Schema:
        item = self.item.schema()
        several: Schema = {"type": "array", "items": item}
        if not self.empty:
            several["minItems"] = 1
        if self.unique:
            several["uniqueItems"] = True
        return {"anyOf": [item, several]} if self.bare else several

    def partial(self) -> Shape:
        return dataclasses.replace(self, item=self.item.partial())


@dataclass(frozen=True)
class MapOf(Shape):
    """Names to values of one shape."""

    name: Text
    value: Shape
    reserved: tuple[str, ...] = RESERVED
    what = "a mapping"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if not isinstance(value, dict):
            return context.error(path, value, "must be a mapping of names")
        good = []
        for name, item in value.items():
            here = (*path, name)
            if name in self.reserved:
                good.append(context.error(here, None, f"the name {name!r} has a meaning of its own: choose another"))
            elif not self.name.pattern.fullmatch(name):
                good.append(context.error(here, None, f"the name must be {self.name.what}"))
            good.append(self.value.check(item, here, context))
        return all(good)

    def schema(self) -> Schema:
        names: Schema = {"pattern": f"^(?:{self.name.pattern.pattern})$"}
        if self.reserved:
            names["not"] = {"enum": list(self.reserved)}
        return {"type": "object", "propertyNames": names, "additionalProperties": self.value.schema()}

    def partial(self) -> Shape:
        return dataclasses.replace(self, value=self.value.partial())


@dataclass(frozen=True)
class Key:
    """A key of a mapping: its shape, and what it is for."""

    shape: Shape
    about: str
    required: bool = False
    default: t.Any = None
    missing: str = "is required"  # what to say where a required key is not there


@dataclass(frozen=True)
class Struct(Shape):
    """A mapping with known keys."""

    keys: dict[str, Key]
    elsewhere: dict[str, str] = dataclasses.field(default_factory=dict)  # known key in the wrong place -> where it goes
    what = "a mapping"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if not isinstance(value, dict):
            return context.error(path, value, f"must be a mapping with {', '.join(self.keys)}")
        good = []
        for name, item in value.items():
            key = self.keys.get(name)
            if key is not None:
                good.append(key.shape.check(item, (*path, name), context))
            else:
                rule = self.elsewhere.get(name) or f"unknown key{did_you_mean(name, self.keys)}"
                good.append(context.error((*path, name), None, rule))
        for name, key in self.keys.items():
            if key.required and name not in value:
                good.append(context.error((*path, name), None, key.missing))
        return all(good)

    def schema(self) -> Schema:
        required = [name for name, key in self.keys.items() if key.required]
        properties = {}
        for name, key in self.keys.items():
            properties[name] = {**key.shape.schema(), "description": key.about, **({} if key.default is None else {"default": key.default})}
        return {"type": "object", "properties": properties, "additionalProperties": False, **({"required": required} if required else {})}

    def partial(self) -> Shape:
        keys = {name: dataclasses.replace(key, shape=key.shape.partial(), required=False, default=None) for name, key in self.keys.items()}
        return dataclasses.replace(self, keys=keys)

    def without(self, elsewhere: dict[str, str]) -> Struct:
        """The same without some keys, each with what to say of it."""
        return Struct({name: key for name, key in self.keys.items() if name not in elsewhere}, {**self.elsewhere, **elsewhere})


@dataclass(frozen=True)
class Either(Shape):
    """A mapping of one shape, or anything else of another."""

    mapping: Shape
    other: Shape

    @property
    def what(self) -> str:  # type: ignore[override]
        return f"{self.other.what} or a mapping"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        return (self.mapping if isinstance(value, dict) else self.other).check(value, path, context)

    def schema(self) -> Schema:
        return {"anyOf": [self.other.schema(), self.mapping.schema()]}

    def partial(self) -> Shape:
        return Either(self.mapping.partial(), self.other.partial())


@dataclass(frozen=True)
class ListOr(Shape):
    """A list, or anything else of another shape."""

    listed: ListOf
    other: Shape

    @property
    def what(self) -> str:  # type: ignore[override]
        return f"{self.other.what} or a list"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        return (self.listed if isinstance(value, list) else self.other).check(value, path, context)

    def schema(self) -> Schema:
        return {"anyOf": [self.other.schema(), self.listed.schema()]}

    def partial(self) -> Shape:
        return self


@dataclass(frozen=True)
class BoolOr(Shape):
    """A boolean, or anything else of another shape."""

    other: Shape

    @property
    def what(self) -> str:  # type: ignore[override]
        return f"true, false or {self.other.what}"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        return isinstance(value, bool) or self.other.check(value, path, context)

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "boolean"}, self.other.schema()]}
