# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access that ends by itself, as users write it: what is read, and what is refused."""

from __future__ import annotations

import typing as t
from datetime import date, datetime, timedelta, timezone

import pytest
import yaml

from ansible_collections.alfred.portmap.plugins.plugin_utils._temporary import Temporary, TemporaryError, read_temporary

UNTIL = "2026-11-26T18:00:00Z"
SECONDS = 1795716000


def problems(value: t.Any) -> list[str]:
    with pytest.raises(TemporaryError) as caught:
        read_temporary(value)
    return str(caught.value).splitlines()


def test_nothing_is_nothing() -> None:
    assert read_temporary(None) is None


@pytest.mark.parametrize(
    ("network", "networks"),
    [
        ("192.0.2.0/24", ("192.0.2.0/24",)),
        ("192.0.2.7", ("192.0.2.7",)),
        ("192.0.2.7/32", ("192.0.2.7",)),
        ("2001:DB8:0:9::/64", ("2001:db8:0:9::/64",)),
        (["2001:db8:9::7/128", "192.0.2.128/25", "192.0.2.7", "192.0.2.7"], ("192.0.2.7", "192.0.2.128/25", "2001:db8:9::7")),
        (["0.0.0.0/1"], ("0.0.0.0/1",)),
    ],
)
def test_network(network: t.Any, networks: tuple[str, ...]) -> None:
    assert read_temporary({"network": network, "until": UNTIL}) == Temporary(networks, SECONDS)


@pytest.mark.parametrize(
    "until",
    [
        UNTIL,
        "2026-11-26T18:00Z",
        "2026-11-26T18:00:00.9+00:00",
        "2026-11-26 19:00:00+01:00",
        "2026-11-26T13:00:00-05:00",
        "20261126T180000Z",
        datetime(2026, 11, 26, 18, tzinfo=timezone.utc),
        datetime(2026, 11, 26, 19, tzinfo=timezone(timedelta(hours=1))),
        *(yaml.safe_load(text) for text in (UNTIL, "2026-11-26 19:00:00 +01:00", "2026-11-26t13:00:00-05:00")),
    ],
)
def test_until(until: t.Any) -> None:
    found = read_temporary({"network": "192.0.2.7", "until": until})
    assert found is not None
    assert (found.until, found.until_text) == (SECONDS, UNTIL)


TIME = "must be a time with its zone from 1970 to 2261, as 2026-11-26T18:00:00Z or 2026-11-26T19:00:00+01:00"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "ssh_bastion_temporary = '': must be a mapping"),
        (["192.0.2.7"], "ssh_bastion_temporary = \"['192.0.2.7']\": must be a mapping"),
        ({"network": "192.0.2.7"}, "ssh_bastion_temporary.until: is missing"),
        ({"until": UNTIL}, "ssh_bastion_temporary.network: is missing"),
        ({"network": None, "until": UNTIL}, "ssh_bastion_temporary.network: is missing"),
        ({"network": "192.0.2.7", "until": UNTIL, "user": "eve"}, "ssh_bastion_temporary.user = 'eve': unknown key"),
        ({"network": "192.0.2.7", "until": UNTIL, "networks": 1}, "ssh_bastion_temporary.networks = '1': unknown key, did you mean 'network'?"),
        ({"network": [], "until": UNTIL}, "ssh_bastion_temporary.network = []: must name somebody"),
        ({"network": "eve.example.net", "until": UNTIL}, "ssh_bastion_temporary.network = 'eve.example.net': looks like a DNS name"),
        ({"network": "192.0.2.7/24", "until": UNTIL}, "ssh_bastion_temporary.network = '192.0.2.7/24': has host bits set"),
        ({"network": ["192.0.2.7", "192.0.2.300"], "until": UNTIL}, "ssh_bastion_temporary.network[1] = '192.0.2.300': is no IPv4 or IPv6 address or CIDR"),
        ({"network": "fe80::1%eth0", "until": UNTIL}, "ssh_bastion_temporary.network = 'fe80::1%eth0': an address with a zone id"),
        ({"network": 3221225985, "until": UNTIL}, "ssh_bastion_temporary.network = '3221225985': must be an address or a CIDR"),
        ({"network": {"hosts": "all"}, "until": UNTIL}, "ssh_bastion_temporary.network = \"{'hosts': 'all'}\": must be an address or a CIDR"),
        ({"network": "0.0.0.0/0", "until": UNTIL}, "ssh_bastion_temporary.network = '0.0.0.0/0': is everybody"),
        ({"network": ["192.0.2.7", "::/0"], "until": UNTIL}, "ssh_bastion_temporary.network = '192.0.2.7, ::/0': is everybody"),
        ({"network": ["0.0.0.0/1", "128.0.0.0/1"], "until": UNTIL}, "ssh_bastion_temporary.network = '0.0.0.0/1, 128.0.0.0/1': is everybody"),
        *(
            ({"network": "192.0.2.7", "until": until}, f"ssh_bastion_temporary.until = '{shown}': {TIME}")
            for until, shown in (
                ("2026-11-26", "2026-11-26"),
                ("2026-11-26T18:00:00", "2026-11-26T18:00:00"),
                ("tonight", "tonight"),
                ("2262-01-01T00:00:00Z", "2262-01-01T00:00:00Z"),
                ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
                ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
                (date(2026, 11, 26), "2026-11-26"),
                (datetime(2026, 11, 26, 18), "2026-11-26T18:00:00"),
                (1795716000, "1795716000"),
            )
        ),
    ],
)
def test_a_mistake_names_the_key_its_value_and_the_rule(value: t.Any, said: str) -> None:
    (problem,) = problems(value)
    assert problem.startswith(f"inventory: {said}")


def test_all_mistakes_at_once() -> None:
    value = {"network": ["192.0.2.7/24", "x y", "::/0"], "until": "2026-11-26", "who": "eve"}
    assert [problem.split(" ")[1] for problem in problems(value)] == [
        "ssh_bastion_temporary.who",
        "ssh_bastion_temporary.network[0]",
        "ssh_bastion_temporary.network[1]",
        "ssh_bastion_temporary.network",
        "ssh_bastion_temporary.until",
    ]
