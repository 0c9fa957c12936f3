# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who could log in, by the settings in force and the account."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._sshd import Effective
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_access import Account, contains, examples, no_key, refusal, shut_out

KEYS_ONLY = {
    "pubkeyauthentication": "yes",
    "passwordauthentication": "no",
    "kbdinteractiveauthentication": "no",
    "authorizedkeysfile": ".ssh/authorized_keys .ssh/authorized_keys2",
    "authenticationmethods": "publickey",
    "usepam": "yes",
    "permitrootlogin": "no",
    "strictmodes": "yes",
}
HERE = "203.0.113.10"


def effective(**settings: str) -> Effective:
    """Settings in force; an empty one is not printed."""
    return Effective("".join(f"{keyword} {line}\n" for keyword, value in {**KEYS_ONLY, **settings}.items() for line in value.splitlines()))


@pytest.fixture
def who(tmp_path: pathlib.Path) -> Account:
    """Somebody with a key."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    for path in (home, home / ".ssh"):
        path.chmod(0o700)
    keys = home / ".ssh" / "authorized_keys"
    keys.write_text("# mine\nssh-ed25519 AAAA me\n")
    keys.chmod(0o600)
    return Account("ansible", os.getuid() or 1000, str(home), ("ansible", "sudo"), False)


def test_the_edges_of_networks() -> None:
    inside, outside = examples(["203.0.113.0/30", "2001:db8:1::10/128"])
    assert inside == ["203.0.113.0", "203.0.113.3", "2001:db8:1::10"]
    assert {"203.0.112.255", "203.0.113.4", "2001:db8:1::f", "2001:db8:1::11"} <= set(outside)


def test_neighbours_that_are_let_in_are_no_strangers() -> None:
    _inside, outside = examples(["203.0.113.0/25", "203.0.113.128/25", "127.0.0.0/8"])
    assert not contains(["203.0.113.0/24", "127.0.0.0/8"], outside[0])
    assert "203.0.113.128" not in outside and "127.0.0.1" not in outside


def test_a_long_list_hides_no_other_version() -> None:
    inside, outside = examples([f"192.0.2.{number}" for number in range(100)] + ["2001:db8::1"])
    assert len(inside) <= 6 and "2001:db8::1" in inside and any(":" in text for text in outside)


def test_everybody_leaves_no_stranger() -> None:
    assert examples(["0.0.0.0/0", "::/0"])[1] == []


@pytest.mark.parametrize("settings", [{"denyusers": "*"}, {"denyusers": "other\n*"}, {"refuseconnection": "yes"}])
def test_whoever_it_is(settings: dict[str, str], who: Account) -> None:
    assert shut_out(effective(**settings))
    assert refusal(effective(**settings), who, HERE) == f"it lets nobody in from {HERE}"


def test_a_key_lets_in(who: Account) -> None:
    assert not shut_out(effective())
    assert refusal(effective(), who, HERE) is None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"allowusers": "alice\nbob"}, "AllowUsers (alice bob) does not name the user ansible"),
        ({"allowusers": "ansible@192.0.2.0/24"}, "AllowUsers (ansible@192.0.2.0/24) does not name the user ansible"),
        ({"allowusers": "ansible@203.0.113.0/24"}, None),
        ({"allowusers": "ansible@203.0.113.*"}, None),
        ({"allowusers": "ans?ble"}, None),
        ({"allowusers": "ansible@192.0.2.1,203.0.113.10"}, None),
        ({"allowusers": "ansible@192.0.2.1,192.0.2.2"}, "AllowUsers (ansible@192.0.2.1,192.0.2.2) does not name the user ansible"),
        ({"allowusers": "ansible@!203.0.113.11,203.0.113.*"}, None),
        ({"allowusers": "[a]nsible"}, "AllowUsers ([a]nsible) does not name the user ansible"),
        ({"denyusers": "ans*"}, "DenyUsers ans* keeps the user ansible out"),
        ({"denyusers": "ansible@192.0.2.1"}, None),
        ({"allowgroups": "ssh-users"}, "AllowGroups (ssh-users) does not name the user ansible"),
        ({"allowgroups": "wheel\nsu*"}, None),
        ({"denygroups": "sudo"}, "DenyGroups sudo keeps the user ansible out"),
        ({"pubkeyauthentication": "no"}, "no way of authentication is left"),
        ({"pubkeyauthentication": "no", "passwordauthentication": "yes"}, None),
    ],
)
def test_who_is_named(settings: dict[str, str], reason: str | None, who: Account) -> None:
    assert refusal(effective(**settings), who, HERE) == reason


def test_root(who: Account) -> None:
    root = Account("root", 0, who.home, ("root",), False)
    assert refusal(effective(), root, HERE) == "PermitRootLogin is no, and this is root's account"
    assert refusal(effective(permitrootlogin="forced-commands-only"), root, HERE) is not None
    assert refusal(effective(permitrootlogin="without-password"), root, HERE) is None


def test_a_locked_account_needs_pam(who: Account) -> None:
    locked = Account(who.name, who.uid, who.home, who.groups, True)
    assert refusal(effective(), locked, HERE) is None
    assert "UsePAM is no" in (refusal(effective(usepam="no"), locked, HERE) or "")
    assert refusal(effective(usepam="no"), who, HERE) is None


def test_without_a_key(who: Account) -> None:
    keys = pathlib.Path(who.home, ".ssh", "authorized_keys")
    keys.write_text("# none yet\n\n")
    reason = "only keys are allowed, and the user ansible has none (AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2)"
    assert refusal(effective(), who, HERE) == reason
    keys.unlink()
    assert refusal(effective(), who, HERE) == reason
    assert refusal(effective(authorizedkeysfile="none"), who, HERE) is not None


@pytest.mark.parametrize(
    "settings",
    [
        {"passwordauthentication": "yes", "authenticationmethods": "any"},
        {"authorizedkeyscommand": "/usr/bin/keys"},
        {"trustedusercakeys": "/etc/ssh/ca.pub"},
    ],
)
def test_where_a_key_in_a_file_is_not_the_only_way_nothing_is_certain(settings: dict[str, str], who: Account) -> None:
    pathlib.Path(who.home, ".ssh", "authorized_keys").unlink()
    assert refusal(effective(**settings), who, HERE) is None


@pytest.mark.parametrize(
    ("ways", "needed"),
    [("publickey,keyboard-interactive", True), ("publickey,password publickey:0,hostbased", True), ("publickey,password password", False), ("any", False)],
)
def test_a_key_beside_something_else_is_a_key(ways: str, needed: bool, who: Account) -> None:
    pathlib.Path(who.home, ".ssh", "authorized_keys").unlink()
    found = refusal(effective(authenticationmethods=ways, kbdinteractiveauthentication="yes", passwordauthentication="yes"), who, HERE)
    assert (found is not None and "has none" in found) == needed


def test_a_password_is_no_way_where_only_keys_are_asked_for(who: Account) -> None:
    pathlib.Path(who.home, ".ssh", "authorized_keys").unlink()
    assert refusal(effective(passwordauthentication="yes"), who, HERE) is not None


@pytest.mark.parametrize("place", ["", ".ssh", ".ssh/authorized_keys"])
def test_strict_modes(place: str, who: Account) -> None:
    path = pathlib.Path(who.home, place)
    path.chmod(path.stat().st_mode | 0o020)
    found = no_key(effective(), who)
    assert found is not None and "StrictModes" in found and str(path) in found
    assert no_key(effective(strictmodes="no"), who) is None


@pytest.mark.parametrize("pattern", ["%h/.ssh/authorized_keys", "/nowhere/%u {home}/.ssh/authorized_keys", "{home}/.ssh/authorized_keys"])
def test_where_keys_are(pattern: str, who: Account) -> None:
    assert no_key(effective(authorizedkeysfile=pattern.format(home=who.home)), who) is None


def test_newer_names() -> None:
    new = Effective("kbdinteractiveauthentication no\npubkeyacceptedalgorithms a,b\n")
    old = Effective("kbdinteractiveauthentication yes\nchallengeresponseauthentication no\n")
    both: list[t.Any] = [new.value("ChallengeResponseAuthentication"), new.words("PubkeyAcceptedKeyTypes"), old.value("ChallengeResponseAuthentication")]
    assert both == ["no", ["a,b"], "no"]
