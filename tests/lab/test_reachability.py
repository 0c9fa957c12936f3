# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches what, asked from where it matters, on both families."""

from __future__ import annotations

import json

import lab
import pytest

DROPPED_FROM_OUTSIDE = [22, 8080, 5432, 6379, 9090]
WORLD = {"dns": ("198.51.100.53", "2001:db8:2::53"), "ntp": ("198.51.100.123", "2001:db8:2::123"), "site": ("198.51.100.80", "2001:db8:2::80")}


def wrong(answers: dict[lab.Question, str], expected: str) -> dict[lab.Question, str]:
    """The answers that differ from what is expected of all of them."""
    return {question: answer for question, answer in answers.items() if answer != expected}


def test_the_outsider_has_a_path_to_every_host() -> None:
    """Silence proves a policy only where there is a path: every host answers the outsider's pings."""
    for addresses in lab.ADDRESSES.values():
        for address in addresses:
            assert "1 received" in lab.run("outsider", "ping", "-c1", "-W3", address).stdout


def test_everything_listens() -> None:
    """Nor does it where nothing listens: every port is open to the host itself."""
    for host, ports in lab.LISTENING.items():
        assert wrong(lab.connect(host, [(address, port) for address in lab.ADDRESSES[host] for port in ports]), "open") == {}


def test_the_outsider_reaches_the_two_public_ports_and_nothing_else() -> None:
    questions = lab.everywhere(*DROPPED_FROM_OUTSIDE, *sorted({port for ports in lab.LISTENING.values() for port in ports}))
    public = [(address, port) for address in lab.ADDRESSES["edge1"] for port in (80, 443)]
    assert wrong(lab.connect("outsider", public), "open") == {}
    assert wrong(lab.connect("outsider", [question for question in questions if question not in public]), "dropped") == {}


def test_the_bastion_reaches_ssh_on_every_host() -> None:
    assert wrong(lab.connect("bastion1", lab.everywhere(22)), "open") == {}


@pytest.mark.parametrize("vantage", ["edge1", "core1", "ui1", "data1", "monitor1"])
def test_nobody_else_reaches_ssh_on_another_host(vantage: str) -> None:
    others = [question for question in lab.everywhere(22) if question[0] not in lab.ADDRESSES[vantage]]
    assert "open" not in lab.connect(vantage, others).values()


def test_core1_reaches_the_database() -> None:
    for address in lab.ADDRESSES["data1"]:
        assert lab.run("core1", "pg_isready", "--host", address, "--timeout", "5").stdout.strip().endswith("accepting connections")


def test_core1_reaches_redis() -> None:
    for address in lab.ADDRESSES["data1"]:
        assert lab.run("core1", "redis-cli", "-h", address, "ping").stdout.strip() == "PONG"


def test_monitor1_reaches_every_metrics_port() -> None:
    metrics = lab.everywhere(9100)
    metrics += [(address, port) for address in lab.ADDRESSES["data1"] for port in (9121, 9187)]
    metrics += [(address, 8881) for address in lab.ADDRESSES["edge1"]]
    metrics += [(address, port) for address in lab.ADDRESSES["monitor1"] for port in (3000, 9090)]
    assert wrong(lab.connect("monitor1", metrics), "open") == {}
    targets = json.loads(lab.curl("monitor1", "http://127.0.0.1:9090/api/v1/targets").stdout)["data"]["activeTargets"]
    assert len(targets) == 11
    nothing = {target["labels"]["instance"] for target in targets if not target["scrapeUrl"].endswith("/metrics")}
    assert nothing == set()


@pytest.mark.parametrize("vantage", ["edge1", "core1", "ui1", "data1"])
def test_nobody_else_scrapes_node_exporters(vantage: str) -> None:
    others = [question for question in lab.everywhere(9100) if question[0] not in lab.ADDRESSES[vantage]]
    assert "open" not in lab.connect(vantage, others).values()


@pytest.mark.parametrize("family", [0, 1])
def test_what_core1_may_call_in_the_world(family: int) -> None:
    site, dns, ntp = WORLD["site"][family], WORLD["dns"][family], WORLD["ntp"][family]
    # all of them answer whoever is let out: the outsider, whom nothing stops, is asked the same
    assert wrong(lab.connect("outsider", [(site, 443), (site, 80), (site, 25), (site, 53), (dns, 53)]), "open") == {}
    for address, port, payload in [(dns, 53, lab.DNS_QUESTION), (site, 53, lab.DNS_QUESTION), (ntp, 123, lab.NTP_QUESTION), (site, 123, lab.NTP_QUESTION)]:
        assert lab.datagram("outsider", address, port, payload) == "answered"

    answers = lab.connect("core1", [(site, 443), (site, 80), (site, 25), (site, 53), (dns, 53)])
    assert answers.pop((site, 443)) == "open"
    assert "open" not in answers.values()
    assert lab.datagram("core1", dns, 53, lab.DNS_QUESTION) == "answered"
    assert lab.datagram("core1", ntp, 123, lab.NTP_QUESTION) == "answered"
    assert lab.datagram("core1", site, 53, lab.DNS_QUESTION) == "dropped"
    assert lab.datagram("core1", site, 123, lab.NTP_QUESTION) == "dropped"
