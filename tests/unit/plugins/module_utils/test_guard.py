# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Would a policy let in again who is in now, and later?"""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._guard import shuts_out, shuts_out_later
from ansible_collections.alfred.portmap.plugins.module_utils._policy import Policy
from ansible_collections.alfred.portmap.plugins.module_utils._session import Session

HERE = Session("192.0.2.7", 50000, "203.0.113.12", 22)
LATER = "2099-01-01T00:00:00Z"


def policy(bastion: str = "203.0.113.10", **temporary: str) -> Policy:
    """SSH for the bastion, and for a while for others."""
    rules: list[dict[str, t.Any]] = [{"name": "ssh", "transport": "tcp", "ports": ["22"], "networks": ["bastion"], "origin": "", "containers": False}]
    networks = {"bastion": [bastion], "all": ["0.0.0.0/0"]}
    if temporary:
        networks["temporary"] = [temporary["network"]]
        rules.append({**rules[0], "name": "ssh temporary", "networks": ["temporary"], "until": temporary["until"]})
    data = {"networks": networks, "ingress": rules, "egress_default": "drop", "egress": [], "ping": [], "container_interfaces": []}
    return Policy.from_data(data)


def test_a_stranger_is_shut_out() -> None:
    assert "would lock you out" in (shuts_out(policy(), HERE) or "")
    assert shuts_out(policy("192.0.2.7"), HERE) is None
    assert shuts_out_later(policy(), None, HERE) is None, "that is said already"
    assert shuts_out(policy(), None) is shuts_out_later(policy(), None, None) is None


def test_who_is_let_in_for_a_while_cannot_prove_what_lasts() -> None:
    new = policy(network="192.0.2.0/24", until=LATER)
    assert shuts_out(new, HERE) is None
    for before in (None, policy("203.0.113.99")):
        assert "would lock you out later" in (shuts_out_later(new, before, HERE) or "")
        assert "203.0.113.10" in (shuts_out_later(new, before, HERE) or "")


def test_what_lasts_may_have_been_proven_before() -> None:
    new = policy(network="192.0.2.0/24", until=LATER)
    assert shuts_out_later(new, policy(), HERE) is None
    assert shuts_out_later(new, policy(network="192.0.2.7", until=LATER), HERE) is None


@pytest.mark.parametrize("client", ["203.0.113.12", "127.0.0.1"])
def test_the_host_itself_is_no_matter(client: str) -> None:
    session = Session(client, 50000, "203.0.113.12", 22)
    assert shuts_out(policy(), session) is shuts_out_later(policy(), None, session) is None


def test_from_the_bastion_all_is_proven() -> None:
    session = Session("203.0.113.10", 50000, "203.0.113.12", 22)
    assert shuts_out_later(policy(network="192.0.2.0/24", until=LATER), None, session) is None
