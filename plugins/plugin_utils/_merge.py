# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One environment's map out of the main file, its fragments and the environment's changes, every service with its defaults.

Nearest wins: the environment's service key, the service's key, the fragment's default, the environment's default, the map's
default, what is built in. Mappings merge by key, rules by name; other lists, and networks, are replaced.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Origin, Path, Problems, did_you_mean, dotted
from ansible_collections.alfred.portmap.plugins.plugin_utils._source import Source

Data = dict[str, t.Any]

NAMED = ("networks", "clusters", "services", "entrypoints", "rate_limits", "routes")
FRAGMENT_NAMED = ("services", "routes", "rate_limits")
RULES = ("ingress", "egress")
DEFAULTED = ("namespace", "hosts", "bind", "container")
BUILT_IN = {"namespace": "none", "bind": "any", "container": False}
UNNAMESPACED = ("proxy", "sshd")  # infrastructure: the file's namespace is not theirs


@dataclass
class Merged:
    """The merged mapping, and where each value of it stands. Short forms are written out: bare rules, ports, `proxies_in_front`."""

    file: str
    data: Data = field(default_factory=dict)
    origins: dict[Path, Origin] = field(default_factory=dict)
    tainted: set[Path] = field(default_factory=set)  # what has an error in it, noted before
    owners: dict[tuple[str, str], Source] = field(default_factory=dict)  # (section, name) -> the file that it belongs to
    domains: dict[str, t.Optional[str]] = field(default_factory=dict)  # route -> its file's domain; not there if that is wrong
    domain: t.Optional[str] = None

    def origin(self, path: Path) -> Origin:
        """Where a value stands; for one that is missing, the line of the nearest value around it."""
        for length in range(len(path), -1, -1):
            found = self.origins.get(path[:length])
            if found is not None:
                rest = dotted(path[length:])
                name = found.path if length else ""
                return found if not rest else Origin(f"{name}{'' if rest.startswith('[') or not name else '.'}{rest}", found.file, found.line)
        return Origin(dotted(path) or "port_map", self.file, 1)

    def origin_of(self, path: Path, value: t.Any) -> Origin:
        """Where a value stands that is at a path, or one of the list there."""
        stated: t.Any = self.data
        for step in path:
            try:
                stated = stated[step]
            except (KeyError, IndexError, TypeError):
                return self.origin(path)
        listed = [str(item) for item in stated] if isinstance(stated, list) else []
        return self.origin((*path, listed.index(str(value))) if str(value) in listed else path)

    def taint(self, path: Path) -> None:
        """Mark a value, and all that it is part of, as wrong."""
        self.tainted.update(path[:length] for length in range(len(path) + 1))


def check_environment(main: Source, fragments: list[Source], environment: t.Optional[str], problems: Problems) -> bool:
    """Whether the chosen environment can be used: one is chosen where there are some, and it is one of them."""
    known = list(_section(main.data, "environments"))
    origin = main.origin(("environments",))
    for fragment in fragments:
        for name in _section(fragment.data, "environments"):
            if name not in known:
                there = f" (there: {', '.join(known)})" if known else " (it has none)"
                problems.error(fragment.origin(("environments", name)), None, f"the main file has no such environment{did_you_mean(name, known)}{there}")
    if environment is None and known:
        problems.error(origin, None, f"the map has environments: choose one with port_map_environment ({', '.join(known)})")
        return False
    if environment is not None and environment not in known:
        if known:
            rule = f"the map has no such environment{did_you_mean(environment, known)} (there: {', '.join(known)})"
        else:
            rule = "the map has no environments: leave port_map_environment out"
        problems.error(Origin("port_map_environment", main.file, origin.line), environment, rule)
        return False
    return True


def merge(main: Source, fragments: list[Source], environment: t.Optional[str], problems: Problems) -> Merged:
    """Merge the files and an environment's changes; what can't be merged is noted in problems and left out."""
    return _Merger(main, fragments, environment, problems).merge()


def _section(data: Data, *steps: str) -> Data:
    """The mapping at some steps; {} if there is none, or something wrong in its place."""
    found: t.Any = data
    for step in steps:
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _entries(value: t.Any, here: Path, there: Path) -> t.Optional[list[tuple[t.Union[str, int], t.Any, Path]]]:
    """Step, value and place in its file of all members, short forms written out; None for what has no members."""
    if _is_rules(here) and isinstance(value, dict):
        return [(0, value, there)]
    if len(here) == 4 and here[0] == "services" and here[2] == "ports" and value is not None and not isinstance(value, dict):
        return [("port", value, there)]
    if len(here) == 3 and here[0] == "entrypoints" and here[2] == "proxies_in_front" and isinstance(value, str):
        return [("network", value, there)]
    if isinstance(value, dict):
        return [(key, item, (*there, key)) for key, item in value.items()]
    if isinstance(value, list):
        return [(index, item, (*there, index)) for index, item in enumerate(value)]
    return None


def _namespaces(source: Source) -> t.Iterator[tuple[Path, t.Optional[str], str]]:
    """Every namespace that a file states, in the base or an environment: where, of which service (None: the default), and which."""
    environments: dict[Path, Data] = {("environments", name): _section(source.data, "environments", name) for name in _section(source.data, "environments")}
    for path, data in {(): source.data, **environments}.items():
        services = {name: _section(data, "services", name) for name in _section(data, "services")}
        for place, service, holder in [(path, None, data), *(((*path, "services", name), name, item) for name, item in services.items())]:
            namespace = holder.get("namespace")
            if isinstance(namespace, str) and namespace != "none":
                yield (*place, "namespace"), service, namespace


def _is_rules(here: Path) -> bool:
    return len(here) == 2 and here[0] == "firewall" and here[1] in RULES


class _Merger:
    def __init__(self, main: Source, fragments: list[Source], environment: t.Optional[str], problems: Problems) -> None:
        self._main = main
        self._fragments = fragments
        self._environment = environment
        self._problems = problems
        self._merged = Merged(main.file)

    def merge(self) -> Merged:
        main, merged = self._main, self._merged
        merged.origins[()] = main.origin(())
        merged.data = {key: self._copy(value, (key,), main, (key,)) for key, value in main.data.items() if key != "environments"}
        for section in NAMED:
            merged.data[section] = _section(merged.data, section)
            merged.owners.update({(section, name): main for name in merged.data[section]})
        for fragment in self._fragments:
            self._add_fragment(fragment)
        self._refuse_shared_namespaces()
        for source in (main, *self._fragments):
            for name, change in _section(source.data, "environments").items():
                if isinstance(change, dict):
                    self._refuse_additions(source, change, ("environments", name))
        base_ports = self._base_ports()
        if self._environment is not None:
            for source in (main, *self._fragments):
                there: Path = ("environments", self._environment)
                self._overlay(merged.data, _section(source.data, "environments", self._environment), (), source, there)
        self._fill_in(base_ports)
        return merged

    # files

    def _copy(self, value: t.Any, here: Path, source: Source, there: Path) -> t.Any:
        """A copy of a file's value for the merged map, its origins and taints with it."""
        self._merged.origins[here] = source.origin(there)
        if there in source.tainted:
            self._merged.taint(here)
        entries = _entries(value, here, there)
        if entries is None:
            return value
        if isinstance(value, list) or _is_rules(here):
            return [self._copy(item, (*here, step), source, place) for step, item, place in entries]
        return {step: self._copy(item, (*here, step), source, place) for step, item, place in entries}

    def _add_fragment(self, fragment: Source) -> None:
        self._refuse_foreign_namespaces(fragment)
        for section in FRAGMENT_NAMED:
            for name, item in _section(fragment.data, section).items():
                owner = self._merged.owners.setdefault((section, name), fragment)
                if owner is not fragment:
                    first = owner.origin((section, name))
                    rule = f"is in {first.file}:{first.line} too: a name belongs to one file"
                    self._problems.error(fragment.origin((section, name)), None, rule)
                    continue
                self._merged.data[section][name] = self._copy(item, (section, name), fragment, (section, name))

    def _refuse_foreign_namespaces(self, fragment: Source) -> None:
        own = fragment.data.get("namespace")
        for path, service, stated in _namespaces(fragment):
            if own is not None and service is not None and stated != own:
                self._problems.error(fragment.origin(path), stated, f"a fragment's services are in its own namespace, {own}, or in none")
                fragment.taint(path)

    def _refuse_shared_namespaces(self) -> None:
        """A namespace belongs to one file."""
        owners: dict[str, Origin] = {}
        main = self._main
        for path, service, stated in _namespaces(main):
            if service is None or self._merged.owners.get(("services", service)) is main:  # it may change a fragment's service too
                owners.setdefault(stated, main.origin(path))
        for fragment in self._fragments:
            namespace = fragment.data.get("namespace")
            if isinstance(namespace, str):
                here = fragment.origin(("namespace",))
                first = owners.setdefault(namespace, here)
                if first != here:
                    self._problems.error(here, namespace, f"belongs to {first.file}:{first.line} already: a namespace belongs to one file")

    # environments

    def _refuse_additions(self, source: Source, change: Data, there: Path) -> None:
        """An environment changes what the base has, and never adds."""
        base = self._merged.data
        for section in NAMED:
            for name, item in _section(change, section).items():
                place = (*there, section, name)
                owner = self._merged.owners.get((section, name))
                if owner is None:
                    if (section, name) != ("networks", "anywhere"):
                        self._adds(source, place, name, base[section])
                elif source is not self._main and owner is not source:
                    self._problems.error(source.origin(place), None, f"belongs to {owner.file}: a fragment's environments change its own only")
                elif section == "services" and isinstance(item, dict):
                    ports = _section(base, section, name, "ports")
                    for port in _section(item, "ports"):
                        if port not in ports:
                            self._adds(source, (*place, "ports", port), port, ports)
        firewall = change.get("firewall")
        if not isinstance(firewall, dict):
            return
        if not isinstance(base.get("firewall"), dict):
            if "firewall" not in base or base["firewall"] == "none":
                rule = "the base map has no firewall: write it there, and `firewall: none` in the environments without"
                self._problems.error(source.origin((*there, "firewall")), None, rule)
            return
        for way in RULES:
            names = self._rule_names(way)
            for _step, changed, place in _entries(firewall.get(way), ("firewall", way), (*there, "firewall", way)) or ():
                rule_name = changed.get("name") if isinstance(changed, dict) else None
                if isinstance(rule_name, str) and rule_name not in names:
                    self._adds(source, place, rule_name, names)

    def _adds(self, source: Source, place: Path, name: str, known: t.Iterable[str]) -> None:
        near = did_you_mean(name, known)
        rule = f"{name} is not in the base map{near or ', and an environment adds nothing: declare it there with `enabled: false`, enable it here'}"
        self._problems.error(source.origin(place), None, rule)

    def _rule_names(self, way: str) -> dict[str, int]:
        rules = _section(self._merged.data, "firewall").get(way)
        names: dict[str, int] = {}
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, dict) and isinstance(rule.get("name"), str):
                names.setdefault(rule["name"], index)
        return names

    def _overlay(self, base: t.Any, change: Data, here: Path, source: Source, there: Path) -> None:
        """Put a change onto the base; what would add or has the wrong shape for a section is left out, which has been said."""
        for step, item, place in _entries(change, here, there) or ():
            key = t.cast(str, step)
            target = (*here, key)
            if place in source.tainted:
                self._merged.taint(target)
            if self._would_add(base, key, item, here) or (not here and key in NAMED and not isinstance(item, dict)):
                continue
            old = base.get(key)
            if _is_rules(target) and isinstance(old, list) and isinstance(item, (list, dict)):
                self._overlay_rules(old, item, target, source, place)
            elif isinstance(old, dict) and _entries(item, target, place) and not isinstance(item, list) and here != ("networks",):
                self._overlay(old, item, target, source, place)
            elif not (isinstance(old, dict) and item == {} and here != ("networks",)):
                base[key] = self._copy(item, target, source, place)
        if len(here) == 2 and here[0] == "services":
            for one, other in (("hosts", "cluster"), ("cluster", "hosts")):
                if one in change and other not in change:
                    base.pop(other, None)  # both say where it runs: the nearer one counts

    def _would_add(self, base: Data, key: str, item: t.Any, here: Path) -> bool:
        if (*here, key) == ("networks", "anywhere"):
            return False  # it is built in, and the builder refuses another one
        if len(here) == 1 and here[0] in NAMED or (len(here) == 3 and here[0] == "services" and here[2] == "ports"):
            return key not in base
        if not here and key == "firewall":
            return isinstance(item, dict) and not isinstance(base.get(key), dict)
        if len(here) == 2 and here[0] == "services" and key == "ports":
            return key not in base
        return _is_rules((*here, key)) and isinstance(item, (list, dict)) and not isinstance(base.get(key), list) and item != []

    def _overlay_rules(self, base: list[t.Any], change: t.Any, here: Path, source: Source, there: Path) -> None:
        names = self._rule_names(t.cast(str, here[1]))
        for _step, rule, place in _entries(change, here, there) or ():
            name = rule.get("name") if isinstance(rule, dict) else None
            if not isinstance(name, str) or name not in names:
                continue
            target = (*here, names[name])
            if place in source.tainted:
                self._merged.taint(target)
            self._overlay(base[names[name]], rule, target, source, place)

    # defaults

    def _base_ports(self) -> dict[tuple[str, str], tuple[t.Any, Origin]]:
        """The ports as the base map has them: what `container_port` is if nobody says."""
        found = {}
        for name, service in self._merged.data["services"].items():
            for further, port in [("", service), *_section({"": service}, "", "ports").items()]:
                if isinstance(port, dict) and port.get("port") not in (None, "none"):
                    path: Path = ("services", name, *(("ports", further) if further else ()), "port")
                    found[name, further] = (port["port"], self._merged.origin(path))
        return found

    def _default(self, owner: Source, key: str) -> t.Optional[tuple[Source, Path]]:
        """The nearest file that has a default for its services, and where."""
        places: list[tuple[Source, Path]] = [(owner, (key,))] if owner is not self._main else []
        if self._environment is not None:
            places.append((self._main, ("environments", self._environment, key)))
        places.append((self._main, (key,)))
        for source, path in places:
            if key in _section(source.data, *t.cast(tuple[str, ...], path[:-1])) or path in source.broken:
                return source, path
        return None

    def _fill_in(self, base_ports: dict[tuple[str, str], tuple[t.Any, Origin]]) -> None:
        """Give each service the defaults that it does not state, and each route the domain of its file."""
        merged = self._merged
        for name, service in merged.data["services"].items():
            if not isinstance(service, dict):
                continue
            path: Path = ("services", name)
            for key in DEFAULTED:
                if key in service or (key == "hosts" and "cluster" in service):
                    continue
                place = None if key == "namespace" and name in UNNAMESPACED else self._default(merged.owners["services", name], key)
                if place is not None:
                    source, there = place
                    service[key] = self._copy(_section(source.data, *t.cast(tuple[str, ...], there[:-1])).get(key), (*path, key), source, there)
                elif key in BUILT_IN:
                    service[key] = BUILT_IN[key]
            for further, port in t.cast(list[tuple[str, t.Any]], [("", service), *_section(service, "ports").items()]):
                if isinstance(port, dict) and "container_port" not in port and (name, further) in base_ports:
                    port["container_port"], origin = base_ports[name, further]
                    merged.origins[(*path, *(("ports", further) if further else ()), "container_port")] = origin
        for (section, name), owner in merged.owners.items():
            if section == "routes":
                self._set_domain(name, self._default(owner, "domain"))
        place = self._default(self._main, "domain")
        if place is not None and place[1] not in place[0].broken:
            merged.domain = _section(place[0].data, *t.cast(tuple[str, ...], place[1][:-1]))["domain"]

    def _set_domain(self, route: str, place: t.Optional[tuple[Source, Path]]) -> None:
        if place is None:
            self._merged.domains[route] = None
        elif place[1] not in place[0].broken:
            self._merged.domains[route] = _section(place[0].data, *t.cast(tuple[str, ...], place[1][:-1]))["domain"]
