# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who could log in: judged by the settings in force for a client, and by the account, before anything is touched.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

It refuses only what is certain: what it lets pass is proven by the confirmation over a new connection.
"""

from __future__ import annotations

import fnmatch
import grp
import ipaddress
import os
import pwd
import re
import stat
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._files import read_text
from ansible_collections.alfred.portmap.plugins.module_utils._sshd import Effective

SHADOW = "/etc/shadow"
EXAMPLES = 6  # addresses of each kind that are asked about
_ELSEWHERE = ("127.0.0.1", "::1", "192.0.2.255", "2001:db8:ffff::ffff", "fe80::1", "223.255.255.254")  # strangers anywhere, unless they are let in

Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


def examples(networks: t.Iterable[str]) -> tuple[list[str], list[str]]:
    """(addresses that are in the networks, addresses that are not): the edges of each, the first few of many."""
    parsed: list[Network] = [ipaddress.ip_network(network) for network in networks]
    inside: dict[str, None] = {}
    outside: dict[str, None] = {}
    for network in parsed:
        low, high = int(network.network_address), int(network.broadcast_address)
        make = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
        inside.update(dict.fromkeys((str(make(low)), str(make(high)))))
        for number in (low - 1, high + 1):
            if 0 <= number < 1 << network.max_prefixlen:
                outside[str(make(number))] = None
    outside.update(dict.fromkeys(_ELSEWHERE))
    foreign = [text for text in outside if not _within(text, parsed)]
    return _some(list(inside)), _some(foreign)


def _within(text: str, networks: t.Iterable[Network]) -> bool:
    address = ipaddress.ip_address(text)
    return any(address in network for network in networks if network.version == address.version)


def contains(networks: t.Iterable[str], address: str) -> bool:
    """Is the address in one of the networks?"""
    return _within(address, [ipaddress.ip_network(network) for network in networks])


def _some(addresses: list[str]) -> list[str]:
    """The first few of each version, so that a long list of one hides nothing of the other."""
    half = EXAMPLES // 2
    return [text for text in addresses if ":" not in text][:half] + [text for text in addresses if ":" in text][:half]


# Accounts


@dataclass(frozen=True)
class Account:
    """A user of this host, as far as sshd asks for it."""

    name: str
    uid: int
    home: str
    groups: tuple[str, ...]
    locked: bool


def account(name: str) -> t.Optional[Account]:
    """The account of a name, or None if there is none. Raises OSError if /etc/shadow can't be read."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = []
    for number in os.getgrouplist(name, entry.pw_gid):
        try:
            groups.append(grp.getgrgid(number).gr_name)
        except KeyError:
            groups.append(str(number))
    return Account(name, entry.pw_uid, entry.pw_dir, tuple(groups), _password(name).startswith("!"))


def _password(name: str) -> str:
    """The password field of /etc/shadow; "" for an account that is not in there, such as one of a directory."""
    try:
        lines = read_text(SHADOW).splitlines()
    except FileNotFoundError:
        return ""
    return next((line.split(":")[1] for line in lines if line.startswith(f"{name}:")), "")


# Judgements


def shut_out(effective: Effective) -> bool:
    """Do these settings refuse everybody?"""
    return "*" in effective.words("DenyUsers") or effective.value("RefuseConnection") == "yes"


def refusal(effective: Effective, who: Account, address: str) -> t.Optional[str]:
    """Why sshd would not let this account log in from this address by a key, for people; None if nothing of that is certain."""
    if shut_out(effective):
        return f"it lets nobody in from {address}"
    # Where sshd looks names up, one may stand for this address: then it is not certain that somebody is meant, nor that nobody is.
    named_hosts = effective.value("UseDNS") == "yes"
    for keyword, named in (("DenyUsers", _user(effective.words("DenyUsers"), who, address)), ("DenyGroups", _group(effective.words("DenyGroups"), who))):
        if named:
            return f"{keyword} {named} keeps the user {who.name} out"
    for keyword, patterns, allowed in (
        ("AllowUsers", effective.words("AllowUsers"), _user(effective.words("AllowUsers"), who, address, named_hosts)),
        ("AllowGroups", effective.words("AllowGroups"), _group(effective.words("AllowGroups"), who)),
    ):
        if patterns and not allowed:
            return f"{keyword} ({' '.join(patterns)}) does not name the user {who.name}"
    root = effective.value("PermitRootLogin")
    if who.uid == 0 and root in ("no", "forced-commands-only"):
        return f"PermitRootLogin is {root}, and this is root's account"
    if who.locked and effective.value("UsePAM") == "no":
        return f"UsePAM is no, and then sshd refuses locked accounts, of which {who.name} is one ('!' in {SHADOW}); UsePAM yes, or: usermod -p '*' {who.name}"
    methods = [name for name in ("Password", "KbdInteractive", "GSSAPI", "Hostbased", "Kerberos") if effective.value(f"{name}Authentication", "no") == "yes"]
    if effective.value("PubkeyAuthentication") != "yes":
        return None if methods else "no way of authentication is left"
    ways = effective.words("AuthenticationMethods")
    need_key = not methods or all(any(step.startswith("publickey") for step in way.split(",")) for way in ways)
    if need_key and _none(effective, "AuthorizedKeysCommand") and _none(effective, "TrustedUserCAKeys"):
        return no_key(effective, who)
    return None


def _none(effective: Effective, keyword: str) -> bool:
    return effective.value(keyword, "none") == "none"


def no_key(effective: Effective, who: Account) -> t.Optional[str]:
    """Why no key could let the account in; None if there is one in a file that sshd trusts."""
    reasons = []
    for pattern in effective.words("AuthorizedKeysFile"):
        path = os.path.join(who.home, _expanded(pattern, who)) if pattern != "none" else ""
        if not path:
            continue
        try:
            lines = [line.strip() for line in read_text(path).splitlines()]
        except (OSError, ValueError):
            continue
        if not any(line and not line.startswith("#") for line in lines):
            continue
        loose = _loose(path, who) if effective.value("StrictModes", "yes") == "yes" else None
        if loose is None:
            return None
        reasons.append(f"{path} holds keys, but sshd will not use it (StrictModes): {loose}")
    files = " ".join(effective.words("AuthorizedKeysFile")) or "none"
    return "; ".join(reasons) or f"only keys are allowed, and the user {who.name} has none (AuthorizedKeysFile {files})"


def _expanded(pattern: str, who: Account) -> str:
    """The tokens of AuthorizedKeysFile (sshd_config(5), TOKENS)."""
    values = {"%%": "%", "%h": who.home, "%u": who.name, "%U": str(who.uid)}
    return re.sub("%[%huU]", lambda found: values[found.group()], pattern)


def _loose(path: str, who: Account) -> t.Optional[str]:
    """What of a file or the directories above it somebody else could change, as StrictModes sees it; None if nothing."""
    path = os.path.realpath(path)
    home = os.path.realpath(who.home)
    while True:
        found = os.stat(path)
        if found.st_uid not in (0, who.uid) or stat.S_IMODE(found.st_mode) & 0o022:
            return f"{path} has mode {stat.S_IMODE(found.st_mode):04o} and owner {found.st_uid}"
        if path in (home, "/"):
            return None
        path = os.path.dirname(path)


def _user(patterns: t.Iterable[str], who: Account, address: str, named_hosts: bool = False) -> str:
    """The first pattern, as of AllowUsers, that means this account from this address, or that may (named_hosts); "" if none does."""
    for pattern in patterns:
        name, at, place = pattern.rpartition("@") if "@" in pattern else (pattern, "", "")
        if like(who.name, name) and (not at or _place(place, address) or (named_hosts and re.search("[A-Za-z]", place) is not None)):
            return pattern
    return ""


def _group(patterns: t.Iterable[str], who: Account) -> str:
    return next((pattern for pattern in patterns if any(like(group, pattern) for group in who.groups)), "")


def _place(patterns: str, address: str) -> bool:
    """Does the part after an @, which may be a list, mean this address? What is taken out again (!) is not certain: it counts as meant."""
    return "!" in patterns or any(_single_place(pattern, address) for pattern in patterns.split(","))


def _single_place(pattern: str, address: str) -> bool:
    try:
        return _within(address, [ipaddress.ip_network(pattern, strict=False)])
    except ValueError:
        return like(address, pattern.lower())


def like(text: str, pattern: str) -> bool:
    """Does a pattern of sshd's, with its two wildcards only (ssh_config(5), PATTERNS), mean this text?"""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))
