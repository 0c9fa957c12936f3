# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that both proxies take: what is taken, and what is refused with its path, its value and the rule."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import (
    CIPHERS,
    HIDDEN,
    MAINTENANCE_PAGE,
    Pair,
    ProxyError,
    argument_spec,
    checked,
    users_by_list,
    users_of,
)

Data = dict[str, t.Any]

BCRYPT = "$2y$05$" + "a" * 53


def params(**changes: t.Any) -> Data:
    """The options as AnsibleModule hands them over, with their defaults."""
    made: Data = {}
    for name, one in argument_spec("traefik", "/etc/traefik").items():
        made[name] = {key: inner.get("default") for key, inner in one["options"].items()} if one.get("apply_defaults") else one.get("default")
    made["ingress"] = {"routes": {"api": {}}}
    for name, change in changes.items():
        made[name] = {**made[name], **change} if isinstance(made[name], dict) and name not in ("headers", "ingress") else change
    return made


def refusal(**changes: t.Any) -> str:
    with pytest.raises(ProxyError) as raised:
        checked(params(**changes))
    return str(raised.value)


def test_nothing_but_the_plan_has_to_be_said() -> None:
    found = checked(params())
    assert (found.minimum, found.ciphers, found.headers, found.certificates, found.files) == ("1.2", (), {}, (), ())
    assert (found.health_interval, found.health_timeout, found.verify_backends, found.page) == (10, 5, True, MAINTENANCE_PAGE)


def test_files_are_told_once_each() -> None:
    pairs = [{"cert_file": "/a.pem", "key_file": "/a.key"}, {"cert_file": "/b.pem", "key_file": "/a.key"}]
    found = checked(params(tls={"certificates": pairs}, backend_tls={"ca_file": "/ca.pem"}))
    assert found.certificates == (Pair("/a.pem", "/a.key"), Pair("/b.pem", "/a.key"))
    assert found.files == ("/a.pem", "/a.key", "/b.pem", "/ca.pem")


@pytest.mark.parametrize(
    "hashed",
    [BCRYPT, "$2a$10$" + "." * 53, "$2b$12$" + "/" * 53, "$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", "$1$ab$" + "x" * 22, "{SHA}" + "A" * 27 + "="],
)
def test_hashes_that_both_proxies_check(hashed: str) -> None:
    assert users_by_list([{"list": "default", "name": "ops", "hash": hashed}]) == {"default": [("ops", hashed)]}


@pytest.mark.parametrize(
    "hashed",
    [
        "secret",
        "",
        "$5$salt$" + "x" * 43,
        "$6$salt$" + "x" * 86,
        "$argon2id$v=19$m=1,t=1,p=1$x$y",
        "{SSHA}" + "A" * 32,
        "{PLAIN}secret",
        BCRYPT + "\n",
        BCRYPT[:-1],
        "$2y$03$" + "a" * 53,  # a cost that bcrypt does not have
        "$2y$32$" + "a" * 53,
        "$apr1$sa lt$" + "x" * 22,
    ],
)
def test_hashes_that_one_of_them_would_refuse_for_ever(hashed: str) -> None:
    message = refusal(users=[{"list": "default", "name": "ops", "hash": hashed}])
    assert message == "users[0].hash: the hash of 'ops' is none of bcrypt, apr1, MD5-crypt and {SHA}: every password would be refused"


@pytest.mark.parametrize("name", ["", "a:b", " ops", "ops ", "#ops", "a\nb", "a\x00b", "{{ops}}"])
def test_names_of_users_that_no_file_of_users_holds(name: str) -> None:
    assert refusal(users=[{"list": "default", "name": name, "hash": BCRYPT}]).startswith("users[0].name: ")


def test_a_list_holds_a_name_once_and_another_list_holds_it_too() -> None:
    user = {"list": "default", "name": "ops", "hash": BCRYPT}
    assert "users[1].name: 'ops' is on list 'default' twice" in refusal(users=[user, user])
    assert set(checked(params(users=[user, {**user, "list": "other"}])).users) == {"default", "other"}


def test_a_route_without_users_is_nobodys() -> None:
    with pytest.raises(ProxyError, match=r"ingress\.routes\.api\.auth: 'other' is the list of users that may use it, .*lists there: default"):
        users_of("api", "other", {"default": [("ops", BCRYPT)]})


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"X Y": "a"}, "headers: 'X Y' is no name of a header"),
        ({"": "a"}, "headers: '' is no name of a header"),
        ({"X:": "a"}, "headers: 'X:' is no name of a header"),
        ({"X-A": "a\nSet-Cookie: b"}, "headers.X-A: 'a\\nSet-Cookie: b' must not have control characters"),
        ({"X-A": ""}, "headers.X-A: '' must be a text, and not empty"),
        ({"X-A": None}, "headers.X-A: None must be a text"),
        ({"X-A": True}, "headers.X-A: True must be a text"),
        ({"X-A": " a"}, "headers.X-A: ' a' must be ASCII, without blanks around it"),
        ({"X-A": "ä"}, "headers.X-A: 'ä' must be ASCII"),
        ({"X-A": "{{ x }}"}, "headers.X-A: '{{ x }}' must not have '{{'"),
        ({"Content-Length": "1"}, "headers.Content-Length: '1' can't be set"),
        ({"transfer-encoding": "x"}, "headers.transfer-encoding: 'x' can't be set"),
        ({"X-A": "a", "x-a": "b"}, "headers: 'x-a' is there twice"),
    ],
)
def test_headers_that_can_not_be_set(headers: Data, message: str) -> None:
    assert refusal(headers=headers).startswith(message)


def test_headers_keep_their_values() -> None:
    given = {"Content-Security-Policy": "default-src 'self'; img-src \"*\" $x \\", "X-Count": 3}
    assert checked(params(headers=given)).headers == {**given, "X-Count": "3"}


def test_ciphers_are_those_that_both_offer() -> None:
    assert checked(params(tls={"ciphers": [*CIPHERS, *CIPHERS]})).ciphers == tuple(CIPHERS)
    assert "tls.ciphers: 'TLS_AES_128_GCM_SHA256' is none of the suites" in refusal(tls={"ciphers": ["TLS_AES_128_GCM_SHA256"]})
    assert "tls.ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' is none of" in refusal(tls={"ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"]})
    assert "are of TLS 1.2, and tls.minimum is 1.3" in refusal(tls={"ciphers": [next(iter(CIPHERS))], "minimum": "1.3"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maintenance": ["nope"]}, "maintenance: 'nope' is no route; there are api"),
        ({"maintenance_page": "a\x00b"}, "maintenance_page: 'a\\x00b' must be a page"),
        ({"maintenance_page": "  "}, "maintenance_page: '  ' must be a page"),
        ({"health_checks": {"interval": 0}}, "health_checks.interval: 0 must be at least 1"),
        ({"health_checks": {"timeout": -1}}, "health_checks.timeout: -1 must be at least 1"),
        ({"tls": {"certificates": [{"cert_file": "a.pem", "key_file": "/a.key"}]}}, "tls.certificates[0].cert_file: 'a.pem' must be an absolute path"),
        ({"tls": {"certificates": [{"cert_file": "/a.pem", "key_file": "/{{a}}"}]}}, "tls.certificates[0].key_file: '/{{a}}' must not have '{{'"),
        ({"backend_tls": {"ca_file": "ca.pem"}}, "backend_tls.ca_file: 'ca.pem' must be an absolute path"),
        ({"backend_tls": {"server_name": "a\tb"}}, "backend_tls.server_name: 'a\\tb' must not have control characters"),
    ],
)
def test_the_rest(changes: Data, message: str) -> None:
    assert refusal(**changes).startswith(message)


def test_a_secret_is_never_shown() -> None:
    assert str(ProxyError("users[0].hash", HIDDEN, "the rule")) == "users[0].hash: the rule"
    assert repr(HIDDEN) == "(hidden)"


def test_the_modules_tell_their_defaults_apart() -> None:
    spec = argument_spec("nginx", "/etc/nginx", user={"type": "str", "default": "www-data"})
    assert spec["restart_command"]["default"] == ["systemctl", "restart", "nginx"] and spec["config_dir"]["default"] == "/etc/nginx"
    assert spec["user"]["default"] == "www-data" and spec["users"]["options"]["hash"]["no_log"] is True
