# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module sshd: what they come to, and what is refused."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._sshd_options import OptionError, Options, read_options


def options(**given: t.Any) -> Options:
    """As the module hands them over."""
    defaults = {
        "networks": {"bastion": ["203.0.113.10"]},
        "temporary": None,
        "ports": [],
        "settings": {},
        "settings_if_known": {},
        "exempt": [],
        "banner": "",
        "users": [],
    }
    return read_options({**defaults, **given})


def test_values_become_what_sshd_writes() -> None:
    found = options(settings={"PasswordAuthentication": False, "UsePAM": True, "MaxAuthTries": 4, "PermitOpen": ["*:22", "*:2222"], "LogLevel": "VERBOSE"})
    values = {"PasswordAuthentication": "no", "UsePAM": "yes", "MaxAuthTries": "4", "PermitOpen": "*:22 *:2222", "LogLevel": "VERBOSE"}
    assert found.settings == {**values, "Banner": "none"}


def test_networks_in_normal_form() -> None:
    found = options(networks={"a": ["203.0.113.10/32", "2001:DB8::/64", "203.0.113.10", "192.0.2.0/24"], "b": "2001:db8::1/128"})
    assert found.networks == {"a": ["203.0.113.10", "2001:db8::/64", "192.0.2.0/24"], "b": ["2001:db8::1"]}


def test_a_banner_names_its_file() -> None:
    assert options(banner="Mind the gap").settings == {"Banner": "/etc/ssh/portmap_banner"}


def test_no_banner_shows_none_not_even_that_of_others() -> None:
    assert options().settings == {"Banner": "none"}
    assert options(settings={"Banner": "/etc/issue.net"}).settings == {"Banner": "/etc/issue.net"}
    assert options(settings_if_known={"banner": "/etc/issue.net"}).settings == {}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"networks": {}}, "networks: it names no address, so nobody could log in"),
        ({"networks": {"bastion": []}}, "networks: it names no address, so nobody could log in"),
        ({"networks": {"bastion": ["203.0.113.10/24"]}}, "networks.bastion: 203.0.113.10/24 is no address and no network"),
        ({"networks": {"bastion": ["bastion.example.com"]}}, "networks.bastion: bastion.example.com is no address"),
        ({"networks": {"a\nMatch all": ["192.0.2.1"]}}, "is no name"),
        ({"settings": {"Pass word": "x"}}, "settings.Pass word: this is no keyword"),
        ({"settings": {"Banner": "x\nPermitRootLogin yes"}}, "settings.Banner: 'x\\nPermitRootLogin yes' must be one line of text"),
        ({"settings": {"Banner": ""}}, "settings.Banner: '' must be one line"),
        ({"settings": {"Banner": None}}, "settings.Banner: None must be one line"),
        ({"settings": {"Banner": {"a": 1}}}, "settings.Banner"),
        ({"settings": {"AllowUsers": []}}, "settings.AllowUsers"),
        ({"settings": {"Port": 2222}}, "settings.Port: Port can't be set here"),
        ({"settings": {"match": "all"}}, "settings.match: match can't be set here"),
        ({"settings": {"UsePAM": True, "usepam": False}}, "settings.usepam: usepam is set twice"),
        ({"settings": {"UsePAM": True}, "settings_if_known": {"usepam": False}}, "settings_if_known: usepam is in settings already"),
        ({"settings": {"Banner": "/x"}, "banner": "text"}, "banner: settings.Banner names a file already"),
        ({"exempt": [{"match": "User a\nMatch all", "settings": {}}]}, "exempt[0].match"),
        ({"exempt": [{"match": "User a", "settings": {"Include": "x"}}]}, "exempt[0].settings.Include"),
        ({"ports": [0]}, "ports: 0 must be from 1 to 65535"),
        ({"users": ["a b"]}, "users: 'a b' is no user's name"),
        ({"temporary": {"networks": ["192.0.2.0/24"], "until": "tomorrow"}}, "temporary.until: tomorrow must be a time in UTC"),
        ({"temporary": {"networks": ["192.0.2.0/33"], "until": "2026-11-26T18:00:00Z"}}, "temporary.networks: 192.0.2.0/33"),
    ],
)
def test_what_is_refused(given: dict[str, t.Any], problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        options(**given)
    assert problem in str(caught.value)
    assert str(caught.value).endswith("Nothing was changed")


def test_all_problems_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        options(networks={}, ports=[70000], settings={"Port": 1})
    assert str(caught.value).count(";") == 2
