# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a password to a hash that both proxies check.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import re
import secrets
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import HASHES

SCHEMES = ("bcrypt", "apr1")
COSTS = range(4, 13)
DEFAULT_COST = 10
LIMIT = 72  # bytes that bcrypt looks at
ROUNDS = 1000  # of apr1

ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # of crypt(3)
BCRYPT_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SALTS = {"bcrypt": (22, 22), "apr1": (1, 8)}  # shortest and longest
CRYPT_DATA = 32768  # bytes that libxcrypt works in

Way = t.Callable[[bytes, str], t.Optional[str]]


class HashError(ValueError):
    """There is no hash: why. The password is never part of it."""


def user_hash(password: t.Any, scheme: t.Any = "bcrypt", cost: t.Any = None, salt: t.Any = None) -> str:
    """A hash of the password. Raises HashError."""
    if scheme not in SCHEMES:
        raise HashError(f"scheme = {scheme!r}: must be one of {', '.join(SCHEMES)}, which both proxies check")
    data = _bytes(password)
    _check_cost(scheme, cost)
    salt = _salt(scheme, salt)
    found = _apr1(data, salt) if scheme == "apr1" else _bcrypt(data, f"$2b${cost or DEFAULT_COST:02d}${salt}")
    if HASHES.fullmatch(found) is None:
        raise HashError(f"what was made for scheme {scheme} is no hash that both proxies check")
    return found


def _bytes(password: t.Any) -> bytes:
    if not isinstance(password, str):
        raise HashError(f"the password must be a text and is of type {type(password).__name__}: write it in quotes")
    if not password:
        raise HashError("the password must not be empty")
    if re.search(r"[\x00-\x1f\x7f]", password):
        # NUL would end it for some, a newline for others.
        raise HashError("the password must not have control characters, such as a newline at its end: a browser can't send them (RFC 7617, 2)")
    try:
        return password.encode()
    except UnicodeEncodeError as error:
        raise HashError("the password must be a text that UTF-8 can write") from error


def _check_cost(scheme: str, cost: t.Any) -> None:
    if cost is None:
        return
    if scheme != "bcrypt":
        raise HashError(f"cost = {cost!r}: is bcrypt's, and the scheme is {scheme}")
    if not isinstance(cost, int) or isinstance(cost, bool) or cost not in COSTS:
        raise HashError(f"cost = {cost!r}: must be a number from {COSTS[0]} to {COSTS[-1]}; a proxy pays it at every request")


def _salt(scheme: str, salt: t.Any) -> str:
    shortest, longest = SALTS[scheme]
    if salt is None:
        salt = "".join(secrets.choice(ALPHABET) for _place in range(longest))
    elif not isinstance(salt, str) or re.fullmatch(rf"[./0-9A-Za-z]{{{shortest},{longest}}}", salt) is None:
        size = f"{longest}" if shortest == longest else f"{shortest} to {longest}"
        raise HashError(f"salt = {salt!r}: must be {size} characters of ./0-9A-Za-z for {scheme}")
    if scheme == "bcrypt":
        # 22 characters say 132 bits, and 128 are used: some make the rest zero, some refuse a salt where it is not.
        salt = salt[:-1] + BCRYPT_ALPHABET[BCRYPT_ALPHABET.index(salt[-1]) & 0b110000]
    return t.cast(str, salt)


def _bcrypt(data: bytes, setting: str) -> str:
    if len(data) > LIMIT:
        raise HashError(f"the password has {len(data)} bytes, and bcrypt looks at the first {LIMIT} alone: take a shorter one")
    for way in WAYS:
        found = way(data, setting)
        if found is not None:
            # As htpasswd writes it. What $2b$ and $2y$ stand for is the same, and some know the one alone.
            return "$2y$" + found[4:]
    raise HashError("scheme bcrypt needs the Python package bcrypt (or passlib) on the controller, or the system library libxcrypt: none of them is there")


def _by_bcrypt(data: bytes, setting: str) -> str | None:
    """The Python package bcrypt."""
    try:
        bcrypt = importlib.import_module("bcrypt")
    except ImportError:
        return None
    return t.cast(bytes, bcrypt.hashpw(data, setting.encode())).decode()


def _by_passlib(data: bytes, setting: str) -> str | None:
    """The Python package passlib, which does nothing for bcrypt by itself: it looks for others."""
    try:
        bcrypt, missing = importlib.import_module("passlib.hash").bcrypt, importlib.import_module("passlib.exc").MissingBackendError
    except ImportError:
        return None
    try:
        return str(bcrypt.using(salt=setting[7:], rounds=int(setting[4:6]), ident="2b").hash(data))
    except (missing, ValueError):  # passlib 1.7 breaks over a bcrypt of today
        return None


def _by_libxcrypt(data: bytes, setting: str) -> str | None:
    """The system's library. Python had a module for it until 3.12; and glibc's own crypt(3) knows no bcrypt, and has no crypt_rn."""
    for name in ("libcrypt.so.1", "libcrypt.so.2"):
        try:
            crypt = ctypes.CDLL(name).crypt_rn
        except (OSError, AttributeError):
            continue
        crypt.restype = ctypes.c_char_p
        crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
        found = crypt(data, setting.encode(), ctypes.create_string_buffer(CRYPT_DATA), CRYPT_DATA)
        if found:
            return t.cast(bytes, found).decode()
    return None


WAYS: tuple[Way, ...] = (_by_bcrypt, _by_passlib, _by_libxcrypt)


def _apr1(data: bytes, salt: str) -> str:
    """Apache's MD5 in the standard library's terms: `openssl passwd` takes 256 bytes of a password and drops what comes after."""
    salted = salt.encode()
    inner = _md5(data + salted + data)
    mixed = data + b"$apr1$" + salted + (inner * (len(data) // 16 + 1))[: len(data)]
    size = len(data)
    while size:
        mixed += b"\0" if size & 1 else data[:1]
        size >>= 1
    digest = _md5(mixed)
    for number in range(ROUNDS):
        first, last = (data, digest) if number & 1 else (digest, data)
        digest = _md5(first + (salted if number % 3 else b"") + (data if number % 7 else b"") + last)
    return f"$apr1${salt}${_to64(digest)}"


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _to64(digest: bytes) -> str:
    """Three bytes as four characters, in the order that crypt's MD5 has."""
    groups = [(digest[one], digest[one + 6], digest[one + 12 if one < 4 else 5]) for one in range(5)]
    numbers = [(first << 16 | second << 8 | third, 4) for first, second, third in groups] + [(digest[11], 2)]
    return "".join(ALPHABET[number >> 6 * place & 0x3F] for number, size in numbers for place in range(size))
