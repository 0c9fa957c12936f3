# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One environment's map out of the main file, its fragments and the environment's changes, every service with its defaults.

Nearest wins: the environment's service key, the service's key, the fragment's default, the environment's default, the map's
default, what is built in.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Origin, Path, Problems, did_you_mean, dotted
from ansible_collections.alfred.portmap.plugins.plugin_utils._source import Source

BUILT_IN = {"namespace": "none", "bind": "any", "container": False}
UNNAMESPACED = ("proxy", "sshd")
NAMED = ("networks", "clusters", "services", "entrypoints", "rate_limits", "routes")
RULES = ("ingress", "egress")
Data = dict[str, t.Any]


@dataclass
class Merged:
    """The merged mapping, and where each path of it comes from."""

    data: Data
    file: str
    origins: dict[Path, Origin] = field(default_factory=dict)
    domains: dict[str, t.Optional[str]] = field(default_factory=dict)  # route -> the domain of its file
    stated_hosts: set[str] = field(default_factory=set)  # services that name their hosts themselves
    tainted: set[Path] = field(default_factory=set)  # what has an error in it, which has been noted

    def taint(self, path: Path) -> None:
        """Mark a value, and all that it is part of, as wrong."""
        self.tainted.update(path[:length] for length in range(len(path) + 1))

    def origin(self, path: Path) -> Origin:
        """The place of a path, or of the nearest thing above it."""
        for length in range(len(path), -1, -1):
            found = self.origins.get(path[:length])
            if found is not None:
                rest = path[length:]
                return found if not rest else Origin(dotted((found.path, *rest)) if length else dotted(path), found.file, found.line)
        return Origin(dotted(path) or "port_map", self.file, 1)


def merge(main: Source, fragments: list[Source], environment: t.Optional[str], problems: Problems) -> Merged:
    """Merge; whatever can't be is noted in problems and left out."""
    merged = Merged(copy.deepcopy({key: value for key, value in main.data.items() if key not in ("environments", "version")}), main.file)
    _copy_origins(merged, main, (), ())
    for section in NAMED:
        if not isinstance(merged.data.setdefault(section, {}), dict):
            merged.data[section] = {}
    owners = {(section, name): main for section in NAMED for name in merged.data[section]}
    merged.domains = {name: merged.data.get("domain") for name in merged.data["routes"]}
    services_of: dict[str, Source] = {}
    for fragment in fragments:
        _add_fragment(merged, fragment, owners, services_of, problems)
    _own_namespaces(main, fragments, problems)
    _long_ports(merged.data["services"])
    base_ports = _ports(merged.data["services"])
    defaults = {key: merged.data.get(key) for key in ("namespace", "hosts", "bind", "container")}
    for document in (main, *fragments):
        change = _environment(document, environment)
        if change is None:
            continue
        at: Path = ("environments", t.cast(str, environment))
        for key in ("namespace", "hosts", "bind", "container"):
            defaults[key] = change.get(key, defaults[key])
        changed = copy.deepcopy(change)
        if isinstance(changed.get("services"), dict):
            _long_ports(changed["services"])
        _overlay(merged, document, merged.data, changed, (), at, problems)
    merged.stated_hosts = {name for name, service in merged.data["services"].items() if isinstance(service, dict) and "hosts" in service}
    _fill(merged, defaults, services_of, base_ports)
    return merged


def check_environment(documents: list[Source], environment: t.Optional[str], problems: Problems) -> None:
    """An environment must be chosen where there are some, and be one of them."""
    main = documents[0]
    environments = main.data.get("environments", {})
    known = list(environments) if isinstance(environments, dict) else []
    origin = main.origin(("environments",))
    if environment is None and known:
        problems.error(origin, None, f"choose one of {', '.join(known)}: set port_map_environment in the inventory")
    elif environment is not None and environment not in known:
        listed = f" (there: {', '.join(known)})" if known else " (the map has none)"
        problems.error(origin, environment, f"the map has no such environment{did_you_mean(environment, known)}{listed}")
    for fragment in documents[1:]:
        own = fragment.data.get("environments", {})
        for name in own if isinstance(own, dict) else ():
            if name not in known:
                problems.error(fragment.origin(("environments", name)), None, f"the main file has no such environment{did_you_mean(name, known)}")


def _environment(document: Source, environment: t.Optional[str]) -> t.Optional[Data]:
    environments = document.data.get("environments")
    change = environments.get(environment) if isinstance(environments, dict) else None
    return change if isinstance(change, dict) else None


def _copy_origins(merged: Merged, document: Source, source: Path, target: Path) -> None:
    for path in [path for path in merged.origins if path[: len(target)] == target and len(path) > len(target)]:
        if target:
            del merged.origins[path]
    for path, origin in document.origins.items():
        if path[: len(source)] == source and (source or path[:1] != ("environments",)):
            merged.origins[target + path[len(source) :]] = origin


def _add_fragment(
    merged: Merged, fragment: Source, owners: dict[tuple[str, str], Source], services_of: dict[str, Source], problems: Problems
) -> None:
    for section in ("services", "routes", "rate_limits"):
        items = fragment.data.get(section)
        for name, item in items.items() if isinstance(items, dict) else ():
            owner = owners.setdefault((section, name), fragment)
            if owner is not fragment:
                first = owner.origin((section, name))
                problems.error(fragment.origin((section, name)), None, f"is there twice, first in {first.file}:{first.line}: a name belongs to one file")
                continue
            merged.data[section][name] = copy.deepcopy(item)
            _copy_origins(merged, fragment, (section, name), (section, name))
            if section == "services":
                services_of[name] = fragment
                own = fragment.data.get("namespace")
                if isinstance(item, dict) and item.get("namespace", own) not in (own, "none"):
                    problems.error(fragment.origin((section, name, "namespace")), item["namespace"], f"a fragment's services are in its own namespace, {own}")
            if section == "routes":
                merged.domains[name] = fragment.data.get("domain", merged.data.get("domain"))


def _own_namespaces(main: Source, fragments: list[Source], problems: Problems) -> None:
    """A namespace belongs to one file."""
    owners: dict[t.Any, Origin] = {}
    services = main.data.get("services")
    for path, holder in [((), main.data), *((("services", name), item) for name, item in (services.items() if isinstance(services, dict) else ()))]:
        namespace = holder.get("namespace") if isinstance(holder, dict) else None
        if isinstance(namespace, str) and namespace != "none":
            owners.setdefault(namespace, main.origin((*path, "namespace")))
    for fragment in fragments:
        namespace = fragment.data.get("namespace")
        if isinstance(namespace, str):
            here = fragment.origin(("namespace",))
            first = owners.setdefault(namespace, here)
            if first != here:
                problems.error(here, namespace, f"belongs to {first.file}:{first.line} already: a namespace belongs to one file")


def _long_ports(services: Data) -> None:
    """Write each further port in its long form."""
    for service in services.values():
        if isinstance(service, dict) and isinstance(service.get("ports"), dict):
            service["ports"] = {name: port if isinstance(port, dict) else {"port": port} for name, port in service["ports"].items()}


def _ports(services: Data) -> dict[tuple[str, str], t.Any]:
    found = {}
    for name, service in services.items():
        if isinstance(service, dict):
            found[name, ""] = service.get("port")
            ports = service.get("ports")
            for further, port in ports.items() if isinstance(ports, dict) else ():
                found[name, further] = port.get("port")
    return found


def _overlay(merged: Merged, document: Source, base: Data, change: Data, at: Path, source: Path, problems: Problems) -> None:
    """Put an environment's change onto the base: mappings by key, rules by name, everything else replaced."""
    for key, value in change.items():
        here, there = (*at, key), (*source, key)
        adds = (len(here) == 2 and here[0] in NAMED) or (len(here) == 4 and here[0] == "services" and here[2] == "ports")
        if adds and key not in base:
            hint = did_you_mean(key, base)
            problems.error(document.origin(there), None, f"the base map has no such name{hint}: declare it there with `enabled: false` and enable it here")
        elif here == ("firewall",) and isinstance(value, dict) and not isinstance(base.get(key), dict):
            problems.error(document.origin(there), None, "the base map has no firewall: write it there, and `firewall: none` in the environments without")
        elif len(here) == 2 and here[0] == "firewall" and key in RULES and isinstance(value, list) and isinstance(base.get(key), list):
            _overlay_rules(merged, document, base[key], value, here, there, problems)
        elif isinstance(value, dict) and isinstance(base.get(key), dict) and not (len(here) == 2 and here[0] == "networks"):
            _overlay(merged, document, base[key], value, here, there, problems)
        else:
            base[key] = value
            _copy_origins(merged, document, there, here)


def _overlay_rules(merged: Merged, document: Source, base: list[t.Any], change: list[t.Any], at: Path, source: Path, problems: Problems) -> None:
    places = {rule.get("name"): index for index, rule in enumerate(base) if isinstance(rule, dict)}
    for index, rule in enumerate(change):
        there = (*source, index)
        name = rule.get("name") if isinstance(rule, dict) else None
        if name is None:
            problems.error(document.origin(there), None, "an environment changes rules by their `name`")
        elif name not in places:
            hint = did_you_mean(name, [place for place in places if place])
            problems.error(document.origin((*there, "name")), name, f"the base map has no such rule{hint}: declare it there with `enabled: false`")
        else:
            _overlay(merged, document, base[places[name]], rule, (*at, places[name]), there, problems)


def _fill(merged: Merged, defaults: Data, services_of: dict[str, Source], base_ports: dict[tuple[str, str], t.Any]) -> None:
    """Give each service the defaults that it does not state."""
    for name, service in merged.data["services"].items():
        if not isinstance(service, dict):
            continue
        fragment = services_of[name].data if name in services_of else {}
        for key in ("namespace", "hosts", "bind", "container"):
            nearest = [fragment.get(key), defaults.get(key), BUILT_IN.get(key)]
            if key == "namespace" and name in UNNAMESPACED:
                nearest = ["none"]
            value = next((value for value in nearest if value is not None), None)
            if value is not None and not (key == "hosts" and "cluster" in service):
                service.setdefault(key, copy.deepcopy(value))
        ports = service.get("ports")
        for further, port in [("", service), *(ports.items() if isinstance(ports, dict) else ())]:
            base = base_ports.get((name, further))
            if base not in (None, "none"):
                port.setdefault("container_port", base)
