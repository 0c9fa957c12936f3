# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter user_hash. That the real proxies check its hashes: tests/integration."""

from __future__ import annotations

import subprocess
import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.filter.user_hash import FilterModule, user_hash
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import HASHES
from ansible_collections.alfred.portmap.plugins.plugin_utils import _user_hash
from ansible_collections.alfred.portmap.plugins.plugin_utils._user_hash import WAYS, HashError

# Of crypt_blowfish's own tests, with $2y$ for what they write as $2a$: it makes no difference for these.
BCRYPT = [
    ("U*U", "CCCCCCCCCCCCCCCCCCCCC.", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("U*U*", "CCCCCCCCCCCCCCCCCCCCC.", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
    ("U*U*U", "XXXXXXXXXXXXXXXXXXXXXO", "$2y$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"),
    # By `htpasswd -B`
    ("lab", "bSvuNmy44W9PqH/ElBSa3u", "$2y$05$bSvuNmy44W9PqH/ElBSa3uVaH2Mu06rG4t1uFVT51MAIBN9gxHu4K"),
]


@pytest.mark.parametrize(("password", "salt", "expected"), BCRYPT)
def test_bcrypt_is_what_others_make_of_it(password: str, salt: str, expected: str) -> None:
    assert user_hash(password, cost=5, salt=salt) == expected


@pytest.mark.parametrize(("password", "salt", "expected"), BCRYPT)
def test_every_way_to_bcrypt_that_is_there_leads_to_the_same(password: str, salt: str, expected: str) -> None:
    """The system's library is there on every Debian; the packages are where somebody installed them."""
    found = [way(password.encode(), f"$2b$05${salt}") for way in WAYS]
    assert found[-1] is not None
    assert {"$2y$" + one[4:] for one in found if one is not None} == {expected}


def test_apr1_is_what_apache_documents() -> None:
    assert user_hash("myPassword", "apr1", salt="r31.....") == "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"


@pytest.mark.parametrize("salt", ["a", "./xyz019"])
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 72, 200])
def test_apr1_is_what_openssl_makes_of_it(size: int, salt: str) -> None:
    password = ("pä$`\"'wörd " * size)[:size].strip() or "x"
    command = ["openssl", "passwd", "-apr1", "-stdin", "-salt", salt]
    assert user_hash(password, "apr1", salt=salt) == subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout.strip()


def test_a_salt_that_says_more_than_bcrypt_uses_is_cut_to_that() -> None:
    """Some libraries do that, some refuse it: the hash must not be another one on another controller."""
    made = {last: user_hash("lab", cost=4, salt="CCCCCCCCCCCCCCCCCCCCC" + last) for last in "./O9z"}
    assert {last: found[28] for last, found in made.items()} == {".": ".", "/": ".", "O": "O", "9": "u", "z": "u"}
    assert len(set(made.values())) == 3


@pytest.mark.parametrize("scheme", ["bcrypt", "apr1"])
def test_without_a_salt_it_is_another_one_each_time_and_one_that_the_proxies_take(scheme: str) -> None:
    cost = 4 if scheme == "bcrypt" else None
    made = {user_hash("lab", scheme, cost=cost) for _time in range(20)}
    assert len(made) == 20
    assert all(HASHES.fullmatch(one) for one in made)


def test_the_default_is_bcrypt_at_ten() -> None:
    assert user_hash("lab").startswith("$2y$10$")


def test_72_bytes_are_all_looked_at_and_more_are_refused() -> None:
    salt = "C" * 21 + "."
    assert user_hash("x" * 71 + "a", cost=4, salt=salt) != user_hash("x" * 71 + "b", cost=4, salt=salt)
    for password in ("x" * 73, "ä" * 37):
        with pytest.raises(AnsibleFilterError, match=f"has {len(password.encode())} bytes, and bcrypt looks at the first 72 alone"):
            user_hash(password)
    assert user_hash("x" * 300, "apr1", salt="s") != user_hash("x" * 301, "apr1", salt="s"), "openssl drops what comes after 256 bytes"


SALT = "C" * 22


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ([""], "must not be empty"),
        ([None], "must be a text and is of type NoneType"),
        ([12345678], "must be a text and is of type int: write it in quotes"),
        ([True], "must be a text and is of type bool"),
        ([["lab"]], "must be a text and is of type list"),
        ([b"lab"], "not plain data: bytes"),
        (["secret\0"], "must not have control characters"),
        (["secret\n"], "must not have control characters, such as a newline at its end"),
        (["secret\ud800"], "must be a text that UTF-8 can write"),
        (["lab", "sha512"], "scheme = 'sha512': must be one of bcrypt, apr1"),
        (["lab", ["apr1"]], r"scheme = \['apr1'\]: must be one of"),
        (["lab", "bcrypt", 3], "cost = 3: must be a number from 4 to 12"),
        (["lab", "bcrypt", 13], "cost = 13: must be a number from 4 to 12"),
        (["lab", "bcrypt", 0], "cost = 0: must be a number from 4 to 12"),
        (["lab", "bcrypt", True], "cost = True: must be a number"),
        (["lab", "bcrypt", "10"], "cost = '10': must be a number"),
        (["lab", "apr1", 10], "cost = 10: is bcrypt's"),
        (["lab", "bcrypt", None, "short"], "salt = 'short': must be 22 characters"),
        (["lab", "bcrypt", None, SALT + "C"], "must be 22 characters"),
        (["lab", "bcrypt", None, SALT[1:] + "$"], "must be 22 characters"),
        (["lab", "bcrypt", None, SALT + "\n"], "must be 22 characters"),
        (["lab", "apr1", None, ""], "salt = '': must be 1 to 8 characters"),
        (["lab", "apr1", None, "a:b"], "must be 1 to 8 characters"),
        (["lab", "apr1", None, 5], "salt = 5: must be 1 to 8 characters"),
    ],
)
def test_what_makes_no_good_hash_is_refused_without_the_password(call: list[t.Any], said: str) -> None:
    with pytest.raises(AnsibleFilterError, match=said) as caught:
        user_hash(*call)
    assert "secret" not in str(caught.value)


def test_where_nothing_makes_bcrypt_that_is_told_and_apr1_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_user_hash, "WAYS", ())
    with pytest.raises(HashError, match=r"needs the Python package bcrypt \(or passlib\) on the controller, or the system library libxcrypt"):
        _user_hash.user_hash("lab")
    assert _user_hash.user_hash("lab", "apr1")


def test_it_is_a_filter() -> None:
    assert FilterModule().filters() == {"user_hash": user_hash}
