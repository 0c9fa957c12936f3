# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One fault, one finding: the lab as the plan has it, broken in one way at a time, and what verify makes of that."""

from __future__ import annotations

import copy
import typing as t

import pytest
from made_up_fleet import Fleet, lab_plan, small_plan, with_findings

from ansible_collections.alfred.portmap.plugins.module_utils._listeners import compare
from ansible_collections.alfred.portmap.plugins.module_utils._policy import Span

Data = dict[str, t.Any]


@pytest.fixture(scope="module")
def healthy() -> Fleet:
    return Fleet(lab_plan())


@pytest.fixture
def fleet(healthy: Fleet) -> Fleet:
    """The lab, to be broken."""
    return copy.deepcopy(healthy)


def only(fleet: Fleet) -> Data:
    """The one finding; there is no other."""
    findings = fleet.report()["findings"]
    assert len(findings) == 1, [finding["text"] for finding in findings]
    return findings[0]


def brief(finding: Data) -> tuple[str, str, str]:
    return finding["host"], finding["check"], finding["text"]


def bad(fleet: Fleet) -> int:
    """How many answers are not as planned."""
    return sum(not answer["good"] for answer in fleet.answers())


def test_a_healthy_fleet_has_no_findings(fleet: Fleet) -> None:
    report = fleet.report()
    assert report["findings"] == []
    assert report["summary"]["good"] is True
    assert report["summary"]["questions"] > 900


def test_what_one_of_several_addresses_answers_to_the_host_itself_will_do(fleet: Fleet) -> None:
    """A service on the host's own address only is not on loopback: that is no fault."""
    for answer in fleet.answers(local=True):
        if answer["target"].startswith("127."):
            fleet.say([answer], "refused")
    assert bad(fleet) > 20
    assert fleet.report()["findings"] == []


# on the host itself


def test_a_stopped_service_is_one_finding_with_its_route(fleet: Fleet) -> None:
    fleet.stop("core1", "alfred-core")
    fleet.say(fleet.answers("edge1", check="route", route="api"), "wrong answer", "status 502")
    found = only(fleet)
    assert brief(found) == ("core1", "listens", "alfred-core: nothing listens on 8080/tcp")
    assert found["id"] == "core1-listens-alfred-core-8080-tcp-missing"
    assert found["why"].endswith("services.alfred-core.port")
    assert found["consequences"] == [
        "core1: alfred-core 8080/tcp is refused: nobody listens there (asked from itself, edge1, ui1, data1, monitor1)",
        "edge1: route api: status 502 (asked from itself, bastion1, core1, ui1, data1, monitor1 and 1 more)",
    ]


def test_two_ports_of_one_service_are_one_finding(fleet: Fleet) -> None:
    for name in ("proxy", "proxy.metrics", "entrypoint web", "entrypoint websecure"):
        fleet.stop("edge1", name)
    fleet.say(fleet.answers("edge1", check="route") + fleet.answers("edge1", check="redirect"), "refused")
    found = only(fleet)
    assert brief(found) == ("edge1", "listens", "proxy: nothing listens on 8880/tcp, 8881/tcp, 80/tcp, 443/tcp")
    told = "\n".join(found["consequences"])
    for part in ("route api", "route traefik", "redirect of entrypoint web", "certificate api", "proxy.metrics 8881/tcp"):
        assert part in told


def test_a_service_at_the_wrong_address(fleet: Fleet) -> None:
    text = "redis: 6379/tcp listens on 127.0.0.1, expected any; it is redis-server (pid 7, redis-server.service)"
    fleet.listens("data1", "wrong address", "redis", "tcp", "6379", text, actual=["127.0.0.1"])
    fleet.say(fleet.answers("data1", 6379, planned="open", local=False), "refused")
    found = only(fleet)
    assert brief(found) == ("data1", "listens", text)
    assert found["consequences"] == ["data1: redis 6379/tcp is refused: nobody listens there (asked from core1, ui1, monitor1)"]


def test_somebody_else_on_the_port(fleet: Fleet) -> None:
    text = "redis: 6379/tcp is held by nc (pid 9), expected redis-server"
    fleet.listens("data1", "wrong owner", "redis", "tcp", "6379", text, actual=["::"])
    fleet.say(fleet.answers("data1", 6379, planned="open"), "wrong answer", "speaks no Redis: hello")
    found = only(fleet)
    assert brief(found) == ("data1", "listens", text)
    assert found["id"] == "data1-listens-redis-6379-tcp-wrong-owner"
    (follows,) = found["consequences"]
    assert follows.startswith("data1: redis 6379/tcp: speaks no Redis: hello")


def test_an_extra_listener_of_both_families_is_one_finding(fleet: Fleet) -> None:
    for address in ("0.0.0.0", "::"):
        text = f"8888/tcp listens on {address}, and nothing in the map explains it; it is docker-proxy (pid 5)"
        fleet.listens("ui1", "unexpected", "", "tcp", "8888", text, actual=[address])
    found = only(fleet)
    assert brief(found)[:2] == ("ui1", "listens") and "8888/tcp" in found["text"]
    assert len(found["consequences"]) == 1, "the second socket is told beside the first"


def test_listeners_that_could_not_be_read_are_a_finding(fleet: Fleet) -> None:
    fleet.observed["ui1"]["listens"] = [{"kind": "unknown", "name": "", "text": "cannot be told: no netlink", "why": "the module listening_ports failed"}]
    assert brief(only(fleet)) == ("ui1", "listens", "cannot be told: no netlink")


def test_docker_that_does_not_answer_is_a_finding_and_explains_nothing(fleet: Fleet) -> None:
    """No port is to blame for it, whatever stands where others have their port."""
    (untold,) = compare([], [], [], Span(32768, 60999), False, "Cannot connect to the Docker daemon").findings
    fleet.observed["core1"]["listens"] = [untold, {**untold, "kind": "wrong owner", "transport": "tcp", "port": "80, 443"}]
    fleet.say(fleet.answers("core1", 8080, planned="open"), "refused")
    docker, _other, port = fleet.report()["findings"]
    assert brief(docker) == ("core1", "listens", "it is not known which ports Docker publishes: Cannot connect to the Docker daemon")
    assert (docker["subject"], docker["consequences"]) == ("Docker", [])
    assert docker["advice"].startswith("see why Docker does not answer")
    assert port["text"].startswith("alfred-core 8080/tcp is refused")


def test_a_rule_that_was_removed_by_hand_explains_the_silence(fleet: Fleet) -> None:
    fleet.firewall("data1", "the table inet portmap was changed by hand (-tcp dport 5432 …)")
    fleet.say(fleet.answers("data1", 5432, planned="open", local=False), "filtered")
    found = only(fleet)
    assert brief(found)[:2] == ("data1", "firewall")
    assert found["consequences"] == ["data1: db-postgres 5432/tcp does not answer (asked from core1, ui1, monitor1)"]


def test_a_flushed_table_explains_whom_it_lets_in_and_whom_it_lets_out(fleet: Fleet) -> None:
    fleet.firewall("data1", "the table inet portmap is missing")
    fleet.say([one for one in fleet.answers("data1", planned="blocked") if not one["why"].startswith("not let out")], "refused")
    wide_open = [one for one in fleet.answers("bastion1", vantage="data1") if one["why"].startswith("not let out")]
    fleet.say(wide_open, "open")
    found = only(fleet)
    assert found["id"] == "data1-firewall-policy-differs"
    assert len(found["consequences"]) > 5


def test_the_policy_of_the_asking_host_explains_what_it_does_not_hear(fleet: Fleet) -> None:
    fleet.firewall("core1", "the policy is another than the one in force")
    fleet.say(fleet.answers(vantage="core1", planned="open", local=False), "filtered", "by this host's own policy")
    assert only(fleet)["id"] == "core1-firewall-policy-differs"


def test_what_is_only_about_the_next_boot_explains_no_answer(fleet: Fleet) -> None:
    fleet.firewall("data1", "portmap-firewall.service is not enabled")
    fleet.say(fleet.answers("data1", 5432, planned="open", local=False), "filtered")
    boot, port = fleet.report()["findings"]
    assert brief(boot) == ("data1", "firewall", "it would not be in force after the next boot: portmap-firewall.service is not enabled")
    assert port["id"] == "data1-reaches-db-postgres-5432-tcp-closed"


def test_another_firewall_is_a_finding_of_its_own(fleet: Fleet) -> None:
    fleet.firewall("ui1", "ufw: chain ufw-user-input drops all", "ufw disable")
    found = only(fleet)
    assert (found["subject"], found["advice"]) == ("ufw", "ufw disable")


def test_a_policy_that_could_not_be_read_hides_no_open_port(fleet: Fleet) -> None:
    fleet.firewall("core1", "cannot be told: nft is missing", "the module firewall failed")
    fleet.say([one for one in fleet.answers("core1", 8080, vantage="outsider") if one["expect"] == "blocked"], "open")
    fleet.say(fleet.answers("core1", 8081, planned="open", local=False), "filtered")
    blind, opened = fleet.report()["findings"]
    assert brief(blind) == ("core1", "firewall", "cannot be told: nft is missing")
    assert [line.split(" (")[0] for line in blind["consequences"]] == ["core1: model-registry 8081/tcp does not answer"]
    assert opened["text"] == "alfred-core 8080/tcp is open to outsider, and must be closed"


def test_differences_of_sshd_are_one_finding(fleet: Fleet) -> None:
    fleet.observed["bastion1"]["ssh"] = [{"text": "it was changed by hand", "why": "mend it"}, {"text": "PasswordAuthentication is yes", "why": "mend it"}]
    found = only(fleet)
    assert brief(found) == ("bastion1", "ssh", "it was changed by hand")
    assert found["consequences"] == ["PasswordAuthentication is yes"]


# hosts and paths


def test_a_host_that_is_down_is_one_finding_and_the_rest_is_proven(fleet: Fleet) -> None:
    fleet.lose("data1")
    fleet.say(fleet.answers("data1"), "unreachable", "No route to host")
    found = only(fleet)
    assert brief(found) == ("data1", "host", "Ansible can't reach it: Connection timed out")
    assert any("redis 6379/tcp can't be reached" in line for line in found["consequences"])
    report = fleet.report()
    assert (report["summary"]["hosts"], report["summary"]["unreached"]) == (7, 1)


def test_a_host_that_is_not_reached_hides_no_open_port(fleet: Fleet) -> None:
    fleet.lose("data1")
    fleet.say(fleet.answers("data1", planned="open"), "unreachable", "No route to host")
    fleet.say(fleet.answers("data1", 6379, vantage="outsider"), "open")
    lost, opened = fleet.report()["findings"]
    assert lost["check"] == "host" and any("db-postgres 5432/tcp can't be reached" in line for line in lost["consequences"])
    assert not any("is open" in line for line in lost["consequences"])
    assert brief(opened) == ("data1", "reaches", "redis 6379/tcp is open to outsider, and must be closed")


def test_a_route_whose_backend_is_down_is_no_second_fault(fleet: Fleet) -> None:
    fleet.lose("ui1")
    fleet.say(fleet.answers("ui1"), "filtered")
    fleet.say(fleet.answers("edge1", check="route", route="chat") + fleet.answers("edge1", check="route", route="mission"), "wrong answer", "status 504")
    found = only(fleet)
    assert found["host"] == "ui1"
    assert any(line.startswith("edge1: route chat: status 504") for line in found["consequences"])


def test_a_bastion_that_is_down_hides_the_hosts_behind_it_and_is_one_finding(fleet: Fleet) -> None:
    for host in fleet.plan["hosts"]:
        fleet.lose(host)
    fleet.say(fleet.answers("bastion1"), "unreachable", "No route to host")
    found = only(fleet)
    assert brief(found) == ("bastion1", "host", "Ansible can't reach it: Connection timed out")
    assert "core1: Ansible can't reach it either, since it is reached by way of bastion1" in found["consequences"]
    assert fleet.report()["summary"]["unreached"] == 6


def test_a_host_that_could_not_ask_is_a_finding(fleet: Fleet) -> None:
    fleet.observed["core1"].update(problem="MODULE FAILURE", answers=[])
    assert brief(only(fleet)) == ("core1", "host", "it could not ask what it reaches: MODULE FAILURE")


@pytest.mark.parametrize(("family", "over"), [(0, ""), (6, " over IPv6")])
def test_a_vantage_whose_way_out_is_broken(fleet: Fleet, family: int, over: str) -> None:
    mute = [one for one in fleet.answers(vantage="core1", local=False) if family in (0, one["labels"]["family"])]
    fleet.say([one for one in mute if one["expect"] == "open"], "filtered")
    fleet.say([one for one in mute if one["expect"] == "blocked"], "unreachable", "Network is unreachable")
    found = only(fleet)
    assert brief(found) == ("core1", "reaches", f"hears nothing from any other host{over}, while others do: its own way out is broken")


@pytest.mark.parametrize(("family", "over"), [(0, ""), (6, " over IPv6")])
def test_a_vantage_that_may_call_one_host_only(fleet: Fleet, family: int, over: str) -> None:
    """Others hear that host: so it is the vantage's trouble, and not nine of the host's."""
    fleet.say([one for one in fleet.answers(vantage="outsider") if family in (0, one["labels"]["family"])], "filtered")
    found = only(fleet)
    text = f"hears nothing from any other host{over}, while others do: its own way out is broken, or closed between it and edge1"
    assert brief(found) == ("outsider", "reaches", text)
    note = f"outsider heard from nobody{over}, so its silence proves nothing."
    assert fleet.report()["summary"]["notes"] == [note]


def test_a_port_that_is_silent_to_all_is_not_the_fault_of_who_may_call_only_that(fleet: Fleet) -> None:
    """Its way is as good as that of others: they do not hear the port either."""
    dead = [fleet.answers("edge1", port, local=False, planned="open") for port in (80, 443)]
    fleet.say(dead[0] + dead[1], "filtered")
    findings = fleet.report()["findings"]
    assert [(finding["host"], finding["subject"]) for finding in findings] == [("edge1", "entrypoint websecure 443/tcp"), ("edge1", "entrypoint web 80/tcp")]
    assert [len(finding["consequences"]) for finding in findings] == [6, 1], "routes and the redirect follow from their ports"


@pytest.mark.parametrize(("family", "over"), [(0, ""), (6, " over IPv6")])
def test_a_host_that_answers_nobody(fleet: Fleet, family: int, over: str) -> None:
    fleet.say([one for one in fleet.answers("data1", local=False, planned="open") if family in (0, one["labels"]["family"])], "filtered")
    found = only(fleet)
    assert brief(found) == ("data1", "reaches", f"nothing on it answers any other host{over}")


def test_a_host_that_is_cut_off_over_one_family_is_one_finding(fleet: Fleet) -> None:
    """As with net.ipv6.conf.all.disable_ipv6."""
    out = fleet.answers(vantage="core1", local=False, family=6)
    into = fleet.answers("core1", local=False, family=6)
    fleet.say(out + into, "unreachable", "Cannot assign requested address")
    found = only(fleet)
    assert found["text"] == "is cut off over IPv6: it hears nothing from any other host, and no other host hears from it"


def test_two_faults_of_one_host_are_two_findings(fleet: Fleet) -> None:
    fleet.stop("data1", "redis")
    fleet.say(fleet.answers("data1", 5432, planned="open"), "wrong answer", "answers with an error: starting up")
    assert [finding["subject"] for finding in fleet.report()["findings"]] == ["redis 6379/tcp", "db-postgres 5432/tcp"]


# what is open and must not be


def test_a_port_that_is_open_to_strangers(fleet: Fleet) -> None:
    fleet.say(fleet.answers("edge1", 8881, vantage="outsider"), "open")
    found = only(fleet)
    assert brief(found) == ("edge1", "reaches", "proxy.metrics 8881/tcp is open to outsider, and must be closed")
    assert found["why"] == "no rule lets it in"


def test_a_refusal_shows_that_the_packet_got_through(fleet: Fleet) -> None:
    fleet.say(fleet.answers("core1", check="undeclared", vantage="outsider", family=6, transport="udp")[:1], "refused")
    found = only(fleet)
    assert found["text"] == "port 161/udp is open to outsider over IPv6, and must be closed (nobody listens there, but the packet got through)"


def test_many_open_ports_of_a_host_are_one_finding(fleet: Fleet) -> None:
    fleet.say(fleet.answers("core1", planned="blocked", vantage="outsider"), "refused")
    found = only(fleet)
    assert brief(found)[:2] == ("core1", "reaches")
    assert "ports let in whom they must not: asked from outsider" in found["text"]


# services


@pytest.mark.parametrize(
    ("host", "port", "detail", "text"),
    [
        ("core1", 8081, "status 500", "model-registry 8081/tcp: status 500"),
        ("core1", 8081, "took 3.2 s, expected at most 2 s", "model-registry 8081/tcp: took 3.2 s, expected at most 2 s"),
        ("data1", 6379, "wants a password (NOAUTH)", "redis 6379/tcp: wants a password (NOAUTH)"),
        ("data1", 5432, "answers with an error: starting up", "db-postgres 5432/tcp: answers with an error: starting up"),
    ],
)
def test_a_service_that_is_unwell_is_one_finding(fleet: Fleet, host: str, port: int, detail: str, text: str) -> None:
    fleet.say(fleet.answers(host, port, planned="open"), "wrong answer", detail)
    found = only(fleet)
    assert (found["host"], found["check"]) == (host, "health")
    assert found["text"].startswith(f"{text} (asked from itself, ")
    assert found["consequences"] == []


def test_a_route_answers_as_badly_as_its_service(fleet: Fleet) -> None:
    fleet.say(fleet.answers("ui1", 8501, planned="open"), "wrong answer", "status 404")
    fleet.say(fleet.answers("edge1", check="route", route="chat"), "wrong answer", "status 404")
    found = only(fleet)
    assert found["subject"] == "ui-chat 8501/tcp"
    assert len(found["consequences"]) == 1


def test_one_symptom_among_others_is_told_too(fleet: Fleet) -> None:
    fleet.say(fleet.answers("data1", 6379, vantage="core1", planned="open"), "wrong answer", "speaks no Redis: x")
    fleet.say(fleet.answers("data1", 6379, vantage="ui1", planned="open", family=6), "refused")
    found = only(fleet)
    assert found["text"] == "redis 6379/tcp: speaks no Redis: x (asked from core1); is refused: nobody listens there (asked from ui1 over IPv6)"


def test_a_service_that_only_one_vantage_does_not_hear(fleet: Fleet) -> None:
    fleet.say(fleet.answers("data1", 6379, vantage="ui1", planned="open"), "filtered")
    found = only(fleet)
    assert brief(found) == ("data1", "reaches", "redis 6379/tcp does not answer (asked from ui1)")


def test_a_dead_name_server_is_one_finding_for_all_its_addresses(fleet: Fleet) -> None:
    asked = fleet.answers("198.51.100.53", 53) + fleet.answers("2001:db8:2::53", 53)
    assert len(asked) == 12, "every managed host may call it"
    fleet.say(asked, "filtered")
    found = only(fleet)
    assert brief(found)[:2] == ("198.51.100.53", "health")
    assert found["text"].startswith("name server 198.51.100.53, 2001:db8:2::53 does not answer (asked from bastion1, edge1, ")


# routes


def test_a_route_that_is_gone(fleet: Fleet) -> None:
    fleet.say(fleet.answers("edge1", check="route", route="grafana"), "wrong answer", "status 404")
    found = only(fleet)
    assert found["id"] == "edge1-route-route-grafana-gone"
    assert found["text"].startswith("route grafana is gone: https://grafana.alfred.example.com/ answers 404, as does any name")
    assert found["why"].endswith("routes.grafana.service")


@pytest.mark.parametrize(
    ("route", "change", "text"),
    [
        ("grafana", {"health": None}, "https://grafana.alfred.example.com/ answers 404: the proxy does not know it, or its backend has no such page (asked"),
        ("grafana", {"path": "/d"}, "https://grafana.alfred.example.com/d answers 404: the proxy does not know it, or its backend has no such page (asked"),
        ("prometheus", {"health": None}, "https://prometheus.alfred.example.com/ answers 404, as does any name that the proxy does not know (asked"),
    ],
)
def test_whose_word_a_404_is(fleet: Fleet, route: str, change: Data, text: str) -> None:
    """The health page of a backend is there, and who has no password gets 401 from the proxy; else both may have said it."""
    fleet.plan = copy.deepcopy(fleet.plan)
    fleet.plan["hosts"]["edge1"]["ingress"]["routes"][route].update(change)
    fleet.say(fleet.answers("edge1", check="route", route=route), "wrong answer", "status 404")
    assert text in only(fleet)["text"]


def test_a_proxy_that_lost_all_its_routes_is_one_finding(fleet: Fleet) -> None:
    fleet.say(fleet.answers("edge1", check="route"), "wrong answer", "status 404")
    found = only(fleet)
    assert found["text"] == "the proxy knows none of its 6 routes: all answer 404"
    assert len(found["consequences"]) == 6


def test_a_redirect_that_is_gone_is_one_finding_for_all_names(fleet: Fleet) -> None:
    fleet.say(fleet.answers("edge1", check="redirect"), "wrong answer", "status 200")
    found = only(fleet)
    assert found["text"].startswith("entrypoint web does not redirect: status 200 (asked from itself, ")
    assert found["text"].endswith("; by the names of api, chat, mission, grafana, prometheus, traefik")


def test_a_route_that_asks_for_no_password(fleet: Fleet) -> None:
    fleet.say(fleet.answers("edge1", check="route", route="prometheus"), "wrong answer", "status 200")
    found = only(fleet)
    assert found["text"].startswith("route prometheus asks for no password: https://prometheus.alfred.example.com/ answers status 200, expected 401 (asked ")


def test_a_route_that_is_unwell_though_its_service_is_well(fleet: Fleet) -> None:
    fleet.say(fleet.answers("edge1", check="route", route="api"), "wrong answer", "status 502")
    found = only(fleet)
    assert brief(found)[:2] == ("edge1", "route")
    assert found["text"].startswith("route api, https://api.alfred.example.com/: status 502 (asked from itself, ")


@pytest.mark.parametrize(
    ("detail", "text", "id_"),
    [
        (
            "certificate expired on 2026-11-20",
            "api.alfred.example.com, chat.alfred.example.com: certificate expired on 2026-11-20",
            "edge1-route-certificate-at-443-tcp-dates",
        ),
        (
            "certificate is not for {}; it is for TRAEFIK DEFAULT CERT",
            "certificate is not for api.alfred.example.com, chat.alfred.example.com; it is for TRAEFIK DEFAULT CERT",
            "edge1-route-certificate-at-443-tcp-name",
        ),
    ],
)
def test_one_certificate_is_one_finding_for_all_its_names(fleet: Fleet, detail: str, text: str, id_: str) -> None:
    for route in ("api", "chat"):
        asked = fleet.answers("edge1", check="certificate", route=route)
        fleet.say(asked, "wrong answer", detail.format(f"{route}.alfred.example.com"))
    found = only(fleet)
    assert (found["text"], found["id"]) == (text, id_)


def test_routes_that_get_no_further_than_the_handshake(fleet: Fleet) -> None:
    fleet.say(fleet.answers("edge1", check="certificate") + fleet.answers("edge1", check="route"), "wrong answer", "has no certificate for this name")
    found = only(fleet)
    assert found["id"] == "edge1-route-certificate-at-443-tcp-name"
    assert len(found["consequences"]) == 6


def test_a_service_that_left_one_family_is_unwell(fleet: Fleet) -> None:
    fleet.say(fleet.answers("ui1", 8501, planned="open", family=6), "refused")
    found = only(fleet)
    assert brief(found)[:2] == ("ui1", "health")
    assert found["text"] == "ui-chat 8501/tcp is refused: nobody listens there (asked from edge1, core1, data1, monitor1 over IPv6)"


# one family only


def test_where_there_is_one_family_nobody_speaks_of_it() -> None:
    fleet = Fleet(small_plan())
    fleet.say(fleet.answers("db1", 5432, planned="blocked", vantage="outsider"), "open")
    assert only(fleet)["text"] == "db 5432/tcp is open to outsider, and must be closed"
    fleet = Fleet(small_plan())
    fleet.say(fleet.answers("db1", local=False, planned="open"), "filtered")
    found = only(fleet)
    assert (found["subject"], found["text"]) == ("network", "nothing on it answers any other host")


# several at once


def test_each_fault_of_a_bad_morning_is_found_once() -> None:
    report = with_findings().report()
    assert [(finding["host"], finding["check"]) for finding in report["findings"]] == [
        ("bastion1", "ssh"),
        ("edge1", "route"),
        ("edge1", "route"),
        ("core1", "listens"),
        ("core1", "listens"),
        ("core1", "health"),
        ("ui1", "firewall"),
        ("data1", "health"),
    ]
    ids = [finding["id"] for finding in report["findings"]]
    assert len(set(ids)) == len(ids)
    assert report == with_findings().report(), "the same faults, the same report"


def test_no_answer_that_is_not_as_planned_gets_lost(fleet: Fleet) -> None:
    """Whatever is broken, and however much of it at once: each bad answer is a finding or stands with one."""
    for number, answer in enumerate(fleet.answers()):
        if number % 7 == 0:
            verdicts = ("refused", "unreachable", "wrong answer", "filtered" if answer["expect"] == "open" else "open")
            fleet.say([answer], verdicts[number % 4], "status 500" if number % 4 == 2 else "")
    report = fleet.report()
    told = " ".join(text for finding in report["findings"] for text in (finding["subject"], finding["text"], *finding["consequences"]))
    for row in report["matrix"]["rows"]:
        cells = [cell for cells in row["families"].values() for cell in cells if cell]
        if not all(cell["good"] for cell in cells):
            name = row["listener"] or "port"
            assert f"{name} {row['port']}/{row['transport']}" in told, row
    for row in report["routes"]:
        if not row["good"] and row["vantage"] != row["proxy"]:
            assert f"route {row['route']}" in told, row
