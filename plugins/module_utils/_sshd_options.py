# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module sshd, checked: all that is wrong with them at once, each with its path, its value and the rule. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import re
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._sshd_config import Exempt, Settings, Temporary

BANNER_FILE = "/etc/ssh/portmap_banner"

# Whose place is elsewhere: what is read, where it listens (the map's business, and the socket unit's), and what may be said only once.
_ELSEWHERE = {"include", "match", "port", "listenaddress", "subsystem"}


class OptionError(Exception):
    """Options have values that they can't have."""


@dataclass(frozen=True)
class Options:
    """What is wanted, before sshd was asked what it knows."""

    networks: dict[str, list[str]]
    temporary: t.Optional[Temporary]
    ports: tuple[int, ...]
    settings: Settings
    settings_if_known: Settings
    exempt: tuple[Exempt, ...]
    banner: str
    users: tuple[str, ...]


def read_options(params: t.Mapping[str, t.Any]) -> Options:
    """The options of the module. Raises OptionError with all problems."""
    problems: list[str] = []
    networks = {name: _networks(f"networks.{name}", listed if isinstance(listed, list) else [listed], problems) for name, listed in params["networks"].items()}
    for name in networks:
        if re.fullmatch(r"[^\s#][^\n\r]*", name) is None:
            problems.append(f"networks: {name!r} is no name")
    if not any(networks.values()):
        problems.append("networks: it names no address, so nobody could log in")
    temporary = None
    if params["temporary"] is not None:
        until = params["temporary"]["until"]
        if not _is_time(until):
            problems.append(f"temporary.until: {until} must be a time in UTC, as 2026-11-26T18:00:00Z")
        if not params["temporary"]["networks"]:
            problems.append("temporary.networks: it names no address")
        temporary = Temporary(tuple(_networks("temporary.networks", params["temporary"]["networks"], problems)), until)
    for port in params["ports"]:
        if not 1 <= port <= 65535:
            problems.append(f"ports: {port} must be from 1 to 65535")
    settings = _settings("settings", params["settings"], problems)
    optional = _settings("settings_if_known", params["settings_if_known"], problems)
    exempt = []
    for index, block in enumerate(params["exempt"]):
        path = f"exempt[{index}]"
        if re.fullmatch(r"[^\n\r#]+", block["match"]) is None:
            problems.append(f"{path}.match: {block['match']!r} must be the criteria of one Match line")
        exempt.append(Exempt(block["match"].strip(), _settings(f"{path}.settings", block["settings"], problems)))
    both = {keyword.lower() for keyword in settings} & {keyword.lower() for keyword in optional}
    if both:
        problems.append(f"settings_if_known: {', '.join(sorted(both))} is in settings already")
    if not params["banner"]:
        if "banner" not in {keyword.lower() for keyword in [*settings, *optional]}:
            settings["Banner"] = "none"  # else that of another file would be shown
    else:
        if "banner" in {keyword.lower() for keyword in settings}:
            problems.append("banner: settings.Banner names a file already")
        settings["Banner"] = BANNER_FILE
    for user in params["users"]:
        if re.fullmatch(r"[^\s,:]+", user) is None:
            problems.append(f"users: {user!r} is no user's name")
    if problems:
        raise OptionError("; ".join(problems) + ". Nothing was changed")
    return Options(networks, temporary, tuple(params["ports"]), settings, optional, tuple(exempt), params["banner"], tuple(params["users"]))


def _is_time(text: str) -> bool:
    """strptime() alone would take digits that are missing."""
    try:
        time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return False
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text, re.ASCII) is not None


def _networks(path: str, listed: t.Sequence[t.Any], problems: list[str]) -> list[str]:
    """Addresses and CIDRs in normal form: an address without its length, and no address of a network but its own (sshd refuses others)."""
    found: list[str] = []
    for value in listed:
        try:
            network = ipaddress.ip_network(str(value))
        except ValueError as error:
            problems.append(f"{path}: {value} is no address and no network: {error}")
            continue
        found.append(str(network.network_address) if network.num_addresses == 1 else str(network))
    return list(dict.fromkeys(found))


def _settings(path: str, values: t.Mapping[str, t.Any], problems: list[str]) -> dict[str, str]:
    """Keywords with their values as sshd_config(5) writes them."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for keyword, value in values.items():
        where = f"{path}.{keyword}"
        text = _text(value)
        if not isinstance(keyword, str) or re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", keyword) is None:
            problems.append(f"{where}: this is no keyword of sshd_config")
        elif keyword.lower() in _ELSEWHERE:
            problems.append(f"{where}: {keyword} can't be set here")
        elif keyword.lower() in seen:
            problems.append(f"{where}: {keyword} is set twice")
        elif text is None or re.fullmatch(r"[^\n\r\0]*\S[^\n\r\0]*", text) is None:
            problems.append(f"{where}: {value!r} must be one line of text, a number, yes or no, or a list of such")
        else:
            found[keyword] = text
            seen.add(keyword.lower())
    return found


def _text(value: t.Any) -> t.Optional[str]:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, str)):
        return str(value)
    if isinstance(value, list):
        texts = [_text(one) for one in value]
        return " ".join(text for text in texts if text is not None) if texts and None not in texts else None
    return None
