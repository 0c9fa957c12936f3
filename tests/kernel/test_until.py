# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that end: by the kernel and its clock alone, at the second, whatever the time zone."""

from __future__ import annotations

import pathlib
import time
import typing as t

import pytest
from hosts import Host
from netlab import BOX1_4, BOX1_6, HOST4, HOST6, PUBLISHED4, PUBLISHED6, Lab
from talk import fates, session, tcp, translated, udp

from ansible_collections.alfred.portmap.plugins.module_utils._policy import time_text

OUTSIDE4, OUTSIDE6 = "203.0.113.99", "2001:db8:1::99"
ENDS4, STAYS4, ENDS6, STAYS6 = "198.51.100.7", "203.0.113.64", "2001:db8:9::7", "2001:db8:1::64"
SSH, RANGE, UDP, EVERYBODY, HOST_PORT, CONTAINER_PORT = 20022, 20100, 20053, 20443, 20080, 20081
SECONDS = 4  # long enough to ask everything before

RULES = [
    {"name": "ssh", "ports": [str(SSH), f"{RANGE}-{RANGE + 9}"], "networks": ["bastion"]},
    {"name": "published", "ports": [str(HOST_PORT)], "networks": ["bastion"]},
    {"name": "dns", "transport": "udp", "ports": [str(UDP)], "networks": ["bastion"]},
]


def policy(until: int | None) -> dict[str, t.Any]:
    """Where the bastion may come in, so may others until then; one port is open to everybody until then."""
    more = [{**rule, "name": f"{rule['name']} temporary", "networks": ["temporary"], "until": time_text(until)} for rule in RULES] if until is not None else []
    if until is not None:
        more.append({"name": "everybody", "ports": [str(EVERYBODY)], "networks": ["anywhere"], "until": time_text(until)})
    return {
        "networks": {
            "anywhere": ["0.0.0.0/0", "::/0"],
            "bastion": [STAYS4, STAYS6],
            "temporary": [ENDS4, ENDS6, OUTSIDE4, OUTSIDE6],
        },
        "ingress": RULES + more,
        "egress": [],
        "container_interfaces": ["docker0"],
    }


def publish(lab: Lab) -> None:
    """As `docker run -p HOST_PORT:CONTAINER_PORT` does, in box1."""
    dnat = f"ip daddr {PUBLISHED4} tcp dport {HOST_PORT} dnat ip to {BOX1_4}:{CONTAINER_PORT}"
    dnat6 = f"ip6 daddr {PUBLISHED6} tcp dport {HOST_PORT} dnat ip6 to [{BOX1_6}]:{CONTAINER_PORT}"
    lab.host.nft(f"table inet docker {{\n chain prerouting {{\n type nat hook prerouting priority dstnat;\n{dnat}\n{dnat6}\n}}\n}}\n")


_sports = iter(range(1024, 20000))


def let_in(lab: Lab, four: str, six: str) -> dict[str, bool]:
    """Which first packets of two addresses come in; a source port is used once, since the kernel remembers flows."""
    packets = {}
    for source, host, published in ((four, HOST4, PUBLISHED4), (six, HOST6, PUBLISHED6)):
        family = "v6" if ":" in source else "v4"
        for name, port in (("exact", SSH), ("range", RANGE + 5), ("everybody", EVERYBODY)):
            packets[f"{name} {family}"] = tcp(source, host, next(_sports), port)
        packets[f"udp {family}"] = udp(source, host, next(_sports), UDP)
        packets[f"published {family}"] = translated(tcp(source, published, next(_sports), HOST_PORT), CONTAINER_PORT)
    return dict(zip(packets, fates(lab.host, lab.outside, list(packets.values()))))


def all_of(answers: dict[str, bool], *names: str) -> bool:
    """Exactly the named ones came in, both families alike."""
    return {name for name, came in answers.items() if came} == {f"{name} {family}" for name in names for family in ("v4", "v6")}


@pytest.fixture
def host(lab: Lab, tmp_path: pathlib.Path) -> t.Iterator[Host]:
    """The module's host in the lab."""
    yield Host(lab.host.name, tmp_path)
    lab.host.run("nft", "flush", "ruleset")


def test_the_kernel_closes_the_door_by_itself(lab: Lab, host: Host) -> None:
    publish(lab)
    until = int(time.time()) + SECONDS
    assert host.firewall(policy(until))["changed"] is True
    listing = host.info()["listing"]
    assert all_of(let_in(lab, ENDS4, ENDS6), "exact", "range", "everybody", "udp", "published")
    assert all_of(let_in(lab, STAYS4, STAYS6), "exact", "range", "everybody", "udp", "published")
    assert all_of(let_in(lab, "198.51.100.8", "2001:db8:9::8"), "everybody")
    sessions = [session(lab.outside, lab.host, HOST4, SSH), session(lab.outside, lab.host, HOST6, SSH)]
    for address, box in ((PUBLISHED4, BOX1_4), (PUBLISHED6, BOX1_6)):
        sessions.append(session(lab.outside, lab.box1, address, HOST_PORT, served=(box, CONTAINER_PORT)))
    assert all(opened.goes_on("client") for opened in sessions)
    assert time.time() < until, "too slow: nothing was proven of the time before"

    time.sleep(until - time.time() + 0.01)
    for reloaded in (False, True):
        if reloaded:  # as at boot
            lab.host.run("env", "TZ=Pacific/Kiritimati", "nft", "-f", str(host.confirmed))
        assert all_of(let_in(lab, ENDS4, ENDS6))
        assert all_of(let_in(lab, STAYS4, STAYS6), "exact", "range", "udp", "published")
        assert all(opened.goes_on(first) for opened in sessions for first in ("client", "server")), "who is in stays in"
        assert host.info()["listing"] == listing, "it does not drift by ending"
        again = host.firewall(policy(until))
        assert (again["changed"], again["drift"]) == (False, {"found": False, "lines": []})

    without = host.firewall(policy(None))
    assert without["reasons"] == ["the policy is another than the one in force"]
    assert all_of(let_in(lab, STAYS4, STAYS6), "exact", "range", "udp", "published")
    assert all(opened.goes_on("client") for opened in sessions)


@pytest.mark.parametrize("until", [0, 1, 1000000000])
def test_a_time_that_is_over_is_no_mistake(lab: Lab, host: Host, until: int) -> None:
    publish(lab)
    assert host.firewall(policy(until))["changed"] is True
    assert all_of(let_in(lab, ENDS4, ENDS6))
    assert host.firewall(policy(until))["changed"] is False


@pytest.mark.parametrize("until", [4102444800, 9214646399])
def test_a_time_far_away_is_not_over(lab: Lab, host: Host, until: int) -> None:
    """9214646399 is the last that a policy takes: nft and the kernel reckon in nanoseconds."""
    publish(lab)
    assert host.firewall(policy(until))["changed"] is True
    assert all_of(let_in(lab, ENDS4, ENDS6), "exact", "range", "everybody", "udp", "published")


def test_time_zones_mean_nothing(host: Host) -> None:
    """Neither to what is loaded nor to what is listed and compared; one with and one without summer time, one a day ahead."""
    wanted = policy(1795716000)
    assert host.firewall(wanted, zone="America/New_York")["changed"] is True
    listing = host.info()["listing"]
    assert 'meta time < "2026-11-26 18:00:00" accept comment "until 2026-11-26T18:00:00Z: temporary"' in listing
    for zone in ("UTC", "Europe/Berlin", "Pacific/Kiritimati", "Asia/Kolkata", "nonsense"):
        for check in (True, False):
            again = host.firewall(wanted, zone=zone, check=check)
            assert (again["changed"], again["reasons"]) == (False, []), zone
        host.run("env", f"TZ={zone}", "nft", "-f", str(host.confirmed))
        assert host.info()["listing"] == listing, zone
        host.nft("delete table inet portmap")
        assert host.firewall(wanted, zone=zone)["changed"] is True
        assert host.info()["listing"] == listing, zone
    summer = host.firewall(policy(1784000000), zone="Europe/Berlin")  # of a rule that ends in summer, listed in winter
    assert summer["changed"] is True
    assert 'meta time < "2026-07-14 03:33:20" accept' in host.info()["listing"]
