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

from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Origin, Path, Problems, did_you_mean, nearest

Schema = dict[str, t.Any]

RESERVED = ("namespace", "self", "none", "any", "all", "loopback", "anywhere")
# Patterns match whole texts, in Python and (as the schema) in ECMA 262: nothing in them that the two read differently.
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, lower case
WORD = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
DNS_NAME = re.compile(rf"(?=[a-z0-9.-]{{1,253}}$)(?:{LABEL.pattern}\.)*(?![0-9]+$){LABEL.pattern}")  # a last label of digits: an address
RANGE = re.compile(r"([1-9][0-9]{0,4})-([1-9][0-9]{0,4})")
INVENTORY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")
URL_PATH = re.compile(r"/(?:(?!\{[{%#])[!-~])*")
ONE_LINE = re.compile(r"(?=.*[^ ])(?:(?!\{[{%#])[^\u0000-\u001f\u007f-\u009f\u2028\u2029])+")


def whole(pattern: re.Pattern[str]) -> str:
    """The pattern as JSON schema, which searches, needs it. Python's $ alone would let a last line feed through."""
    return f"^(?:{pattern.pattern})$(?!\\n)"


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
    beyond: set[str] = dataclasses.field(default_factory=set)  # names of broken rules that JSON schema can't say (_schema.BEYOND)
    visible: bool = False  # a rule is broken that the schema says too

    def error(self, path: Path, value: t.Any, rule: str, beyond: str = "") -> bool:
        """Note an error at a path; always False, so that a check can return it."""
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

        None is a value that the reader refused: it is wrong, and that has been said.
        """
        return value is not None and self._check(value, path, context)

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        raise NotImplementedError

    def schema(self) -> Schema:
        """The same as JSON schema."""
        raise NotImplementedError

    def partial(self) -> Shape:
        """The shape of a change to such a value, as environments hold it: what they merge by key need not be complete."""
        return self


@dataclass(frozen=True)
class Bool(Shape):
    """true or false."""

    what = "true or false"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        return isinstance(value, bool) or context.error(path, value, "must be true or false" + _unquote(value, "true", "false", "yes", "no"))

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
        if isinstance(value, bool) or not isinstance(value, int) or value < self.low or (self.high is not None and value > self.high):
            beyond = "whole floats" if isinstance(value, float) else ""
            return context.error(path, value, f"must be a whole number {limits}{_unquote(value)}", beyond)
        return True

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.low, **({} if self.high is None else {"maximum": self.high})}


ONE_PORT = Whole(1, 65535)


@dataclass(frozen=True)
class PortSpan(Shape):
    """A port or a range lo-hi; or `none` where that is allowed."""

    none: bool = False

    @property
    def what(self) -> str:  # type: ignore[override]
        return "a port from 1 to 65535 or a range lo-hi" + (", or none" if self.none else "")

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
            return True
        if not isinstance(value, str):
            return context.error(path, value, f"must be {self.what}", "whole floats" if isinstance(value, float) else "")
        if self.none and value == "none":
            return True
        match = RANGE.fullmatch(value)
        if match is None:
            return context.error(path, value, f"must be {self.what}{_unquote(value)}")
        lo, hi = int(match.group(1)), int(match.group(2))
        return lo < hi <= 65535 or context.error(path, value, "a range goes from a lower to a higher port, up to 65535", "ranges")

    def schema(self) -> Schema:
        options: list[Schema] = [ONE_PORT.schema(), {"type": "string", "pattern": whole(RANGE)}]
        return {"anyOf": [*options, {"const": "none"}] if self.none else options}


@dataclass(frozen=True)
class Text(Shape):
    """Text that matches a pattern."""

    pattern: re.Pattern[str]
    what: str
    reserved: tuple[str, ...] = ()  # words that would match, and have a meaning of their own

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if not isinstance(value, str):
            return context.error(path, value, f"must be {self.what}{_quote(value)}")
        if value in self.reserved:
            return context.error(path, value, f"must be {self.what}; {value} is not possible here")
        return self.pattern.fullmatch(value) is not None or context.error(path, value, f"must be {self.what}")

    def schema(self) -> Schema:
        return {"type": "string", "pattern": whole(self.pattern), **({"not": {"enum": list(self.reserved)}} if self.reserved else {})}


@dataclass(frozen=True)
class Choice(Shape):
    """One of some words (or numbers)."""

    words: tuple[t.Union[str, int], ...]
    wrong_kind: str = ""  # what to say of a list or mapping

    @property
    def what(self) -> str:  # type: ignore[override]
        return " or ".join(str(word) for word in self.words) if len(self.words) < 3 else "one of " + ", ".join(str(word) for word in self.words)

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if isinstance(value, (dict, list)) and self.wrong_kind:
            return context.error(path, None, self.wrong_kind)
        if any(value == word and type(value) is type(word) for word in self.words):
            return True
        beyond = "whole floats" if isinstance(value, float) else ""
        return context.error(path, value, f"must be {self.what}{did_you_mean(value, map(str, self.words)) if isinstance(value, str) else ''}", beyond)

    def schema(self) -> Schema:
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Address(Shape):
    """One address, or (member of a network) an address, a CIDR or the name of another network."""

    member: bool = False

    @property
    def what(self) -> str:  # type: ignore[override]
        return "an address, a CIDR or the name of a network" if self.member else "an IPv4 or IPv6 address"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if not isinstance(value, str):
            return context.error(path, value, f"must be {self.what}{_quote(value) or ': text'}")
        if self.member and WORD.fullmatch(value):
            return True  # a name; whether there is such a network is the builder's question
        reason = address_problem(value, single=not self.member)
        return reason is None or context.error(path, value, reason, "addresses")

    def schema(self) -> Schema:
        return {"type": "string", "pattern": whole(re.compile("[0-9A-Za-z_.:/%-]+"))}


def address_problem(text: str, single: bool) -> t.Optional[str]:
    """Why a text is no address (or CIDR, unless single) that a policy can hold; None if it is one."""
    if "%" in text:
        return "an address with a zone id means something on one host only: leave the zone out"
    if single and "/" in text:
        return "must be one address without a prefix"
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        if DNS_NAME.fullmatch(text.lower()):
            return "looks like a DNS name: write addresses (a name may change after the policy is loaded)"
        return "is no IPv4 or IPv6 address" + ("" if single else " or CIDR")
    if "/" in text and not text.rpartition("/")[2].isdecimal():
        return f"write the prefix as a number: {network}"
    if "/" in text and ipaddress.ip_interface(text).ip != network.network_address:
        return f"has host bits set: write {network}, or the address without a prefix"
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        return "is an IPv4 address in IPv6 clothes (v4-mapped): write the IPv4 address"
    return None


def is_everybody(cidrs: t.Iterable[str]) -> bool:
    """Whether these hold, taken together, every address of a family: 0.0.0.0/1 and 128.0.0.0/1 do.

    Counted first: what holds too few addresses, as most do, need not be put together, which takes long for many hosts.
    """
    held: dict[int, list[str]] = {32: [], 128: []}
    for cidr in cidrs:
        held[128 if ":" in cidr else 32].append(cidr)
    return any(_addresses(listed, bits) >= 1 << bits and _holds_all(listed) for bits, listed in held.items())


def _addresses(cidrs: t.Iterable[str], bits: int) -> int:
    """How many addresses these hold, those that are in several counted several times."""
    return sum(1 << (bits - int(cidr.partition("/")[2] or bits)) for cidr in cidrs)


def _holds_all(cidrs: t.Iterable[str]) -> bool:
    return any(network.prefixlen == 0 for network in ipaddress.collapse_addresses(map(ipaddress.ip_network, cidrs)))  # type: ignore[type-var]


@dataclass(frozen=True)
class ListOf(Shape):
    """A list; one bare value counts as a list of one."""

    item: Shape
    empty: bool = False
    none: bool = False  # the bare word none is possible too: the empty list
    by_name: bool = False  # environments merge the items by their `name`; other lists they replace

    @property
    def what(self) -> str:  # type: ignore[override]
        return f"{self.item.what}, a list of such{', or none' if self.none else ''}"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if self.none and value == "none":
            return True
        if not isinstance(value, list):
            return self.item.check(value, path, context)
        if not value and not self.empty:
            return context.error(path, None, "is empty" + (": write none" if self.none else ""))
        good = []
        for index, item in enumerate(value):
            if self.none and item == "none":
                good.append(context.error((*path, index), item, "none stands alone, without a list"))
            else:
                good.append(self.item.check(item, (*path, index), context))
        return all(good)

    def schema(self) -> Schema:
        item = self.item.schema()
        several: Schema = {"type": "array", "items": item, **({} if self.empty else {"minItems": 1})}
        return {"anyOf": [item, several, *([{"const": "none"}] if self.none else [])]}

    def partial(self) -> Shape:
        return dataclasses.replace(self, item=self.item.partial()) if self.by_name else self


@dataclass(frozen=True)
class MapOf(Shape):
    """Names to values of one shape."""

    name: Text
    value: Shape
    what = "a mapping of names"

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if not isinstance(value, dict):
            return context.error(path, value, f"must be {self.what}")
        good = []
        for name, item in value.items():
            here = (*path, name)
            if name in self.name.reserved:
                good.append(context.error(here, None, f"the name {name} has a meaning of its own: choose another"))
            elif not self.name.pattern.fullmatch(name):
                good.append(context.error(here, None, f"the name must be {self.name.what}"))
            good.append(self.value.check(item, here, context))
        return all(good)

    def schema(self) -> Schema:
        return {"type": "object", "propertyNames": self.name.schema(), "additionalProperties": self.value.schema()}

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
    identity: bool = False  # required in changes too: it says what is changed


@dataclass(frozen=True)
class Struct(Shape):
    """A mapping with known keys."""

    keys: dict[str, Key]
    elsewhere: dict[str, str] = dataclasses.field(default_factory=dict)  # key that people write here -> what to write instead
    one_of: tuple[str, ...] = ()  # exactly one of these keys is there; in a change at most one
    never_both: tuple[tuple[str, str], ...] = ()  # pairs of keys that exclude each other
    changes: bool = False  # a change to such a mapping: see Shape.partial

    @property
    def what(self) -> str:  # type: ignore[override]
        names = list(self.keys)
        return "a mapping of " + (", ".join(names) if len(names) < 8 else ", ".join(names[:5]) + ", …")

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if not isinstance(value, dict):
            return context.error(path, value, f"must be {self.what}{_quote(value)}")
        good = []
        meant: set[str | None] = set()  # keys that a misspelt one stands for: they are not missing as well
        for name, item in value.items():
            key = self.keys.get(name)
            if key is not None:
                good.append(key.shape.check(item, (*path, name), context))
            else:
                meant.add(nearest(name, self.keys))
                good.append(context.error((*path, name), None, self.elsewhere.get(name) or self._unknown(name)))
        for name, key in self.keys.items():
            if key.required and name not in value and name not in meant:
                good.append(context.error((*path, name), None, key.missing))
        stated = [name for name in self.one_of if name in value]
        if len(stated) > 1:
            good.append(context.error((*path, stated[-1]), None, f"stands beside {stated[0]}: write one of the two"))
        elif self.one_of and not stated and not self.changes and not meant & set(self.one_of):
            good.append(context.error(path, None, f"needs {' or '.join(self.one_of)}"))
        for one, other in self.never_both:
            if one in value and other in value:
                good.append(context.error((*path, other), None, f"is not possible beside {one}"))
        return all(good)

    def _unknown(self, name: str) -> str:
        near = did_you_mean(name, self.keys)
        return f"unknown key{near}" if near else f"unknown key; known here: {', '.join(self.keys)}"

    def schema(self) -> Schema:
        required = [name for name, key in self.keys.items() if key.required]
        properties = {}
        for name, key in self.keys.items():
            properties[name] = {**key.shape.schema(), "description": key.about, **({} if key.default is None else {"default": key.default})}
        found: Schema = {"type": "object", "properties": properties, "additionalProperties": False, **({"required": required} if required else {})}
        rules: list[Schema] = [{"not": {"required": list(pair)}} for pair in self.never_both]
        if self.one_of and self.changes:
            rules.append({"not": {"required": list(self.one_of)}})
        elif self.one_of:
            rules.append({"oneOf": [{"required": [name]} for name in self.one_of]})
        return {**found, "allOf": rules} if rules else found

    def partial(self) -> Shape:
        keys = {name: dataclasses.replace(key, shape=key.shape.partial(), required=key.identity, default=None) for name, key in self.keys.items()}
        return dataclasses.replace(self, keys=keys, changes=True)

    def without(self, elsewhere: dict[str, str]) -> Struct:
        """The same without some keys, each with what to say of it."""
        keys = {name: key for name, key in self.keys.items() if name not in elsewhere}
        return dataclasses.replace(self, keys=keys, elsewhere={**self.elsewhere, **elsewhere})


@dataclass(frozen=True)
class ByKind(Shape):
    """Values of several kinds: what a value is (mapping, list, boolean, other) says which shape it must have."""

    other: Shape
    mapping: t.Optional[Shape] = None
    listed: t.Optional[Shape] = None
    boolean: t.Optional[Shape] = None

    def _options(self) -> list[Shape]:
        return [shape for shape in (self.other, self.boolean, self.listed, self.mapping) if shape is not None]

    @property
    def what(self) -> str:  # type: ignore[override]
        return ", or ".join(dict.fromkeys(shape.what for shape in self._options()))

    def _check(self, value: t.Any, path: Path, context: Context) -> bool:
        if isinstance(value, dict) and self.mapping is not None:
            return self.mapping.check(value, path, context)
        if isinstance(value, list) and self.listed is not None:
            return self.listed.check(value, path, context)
        if isinstance(value, bool) and self.boolean is not None:
            return self.boolean.check(value, path, context)
        if isinstance(self.other, Choice) and not isinstance(value, float) and value not in self.other.words:
            return context.error(path, value, f"must be {self.what}")
        return self.other.check(value, path, context)

    def schema(self) -> Schema:
        return {"anyOf": [shape.schema() for shape in self._options()]}

    def partial(self) -> Shape:
        mapping, listed, boolean = (shape and shape.partial() for shape in (self.mapping, self.listed, self.boolean))
        return ByKind(self.other.partial(), mapping, listed, boolean)


def _unquote(value: t.Any, *words: str) -> str:
    """What to say of a number (or one of some words) in quotes."""
    quoted = isinstance(value, str) and (value in words if words else value.strip().lstrip("+-").isdecimal())
    return ": write it without quotes" if quoted else ""


def _quote(value: t.Any) -> str:
    """What to say of a boolean or number where text is due."""
    if isinstance(value, bool):
        return " (YAML reads this as a boolean: quote it)"
    return " (YAML reads this as a number: quote it)" if isinstance(value, (int, float)) else ""
