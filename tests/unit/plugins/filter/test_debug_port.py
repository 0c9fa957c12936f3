# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter debug_port: where to look, and one screen that says what is known."""

from __future__ import annotations

import textwrap
import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.alfred.portmap.plugins.filter.debug_port import debug_port
from ansible_collections.alfred.portmap.plugins.module_utils._probe import question
from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import make_plan

Data = dict[str, t.Any]

MAP = """
port_map:
  version: 1
  domain: example.com
  namespace: shop
  ingress: traefik
  clusters: {k8s: {addresses: pods}}
  networks: {bastion: {hosts: jump}, pods: [10.42.0.0/16]}
  services:
    api: {port: 8080, protocol: http, health: /health, hosts: app, container: true, container_port: 3000}
    db: {port: 5432, protocol: postgresql, hosts: data, from: api, owner: [postgres, "postgresql@*"]}
    names: {port: 53, protocol: dns, transport: [tcp, udp], hosts: data}
    admin: {port: 9001, bind: loopback, hosts: app, namespace: none}
    relay: {port: 50000-50100, transport: udp, hosts: app}
    exporter: {port: 9100, protocol: http, hosts: all, namespace: none}
    batch: {port: 9000, container_port: 9090, cluster: k8s, address: 10.8.0.1, from: none}
    proxy: {port: 8880, protocol: http, bind: loopback, hosts: front}
    sshd: {port: 22, protocol: ssh, hosts: all}
  entrypoints: {web: {port: 80, redirect_to: websecure}, websecure: {port: 443, tls: true}}
  routes: {api: {host: api, service: api}}
  firewall:
    ingress: [{name: https, port: 443, from: anywhere, hosts: front}, {name: ssh, port: 22, from: bastion}]
    egress: allow
    internal: {same_namespace: allow}
"""
ADDRESSES = {"front1": 1, "app1": 2, "app2": 3, "data1": 4, "jump": 5}
INVENTORY: Data = {
    "hosts": {
        **{name: {"addresses": [f"192.0.2.{last}", f"2001:db8::{last}"], "managed": True} for name, last in ADDRESSES.items()},
        "outsider": {"addresses": ["198.51.100.9"], "managed": False},
    },
    "groups": {"front": ["front1"], "app": ["app1", "app2"], "data": ["data1"], "all": [*ADDRESSES]},
}
PLAN = make_plan([{"path": "port_map.yml", "text": MAP}], None, INVENTORY)


def listener(port: int = 8080, **more: t.Any) -> Data:
    """A listener as the module listening_ports returns it."""
    held = {"uid": 0, "user": "root", "pid": 7, "process": "docker-proxy", "unit": "docker.service", "containers": ["shop-api-1"]}
    return {"transport": "tcp", "address": "::", "port": port, "serves": ["ipv6", "ipv4"], "interface": "", **held, **more}


def answer(good: bool = True, **more: t.Any) -> Data:
    """An answer as the module probe returns it."""
    return {
        "name": "",
        "target": "127.0.0.1",
        "port": 8080,
        "kind": "http",
        "expect": "open",
        "verdict": "open" if good else "wrong answer",
        "good": good,
        "detail": "status 200" if good else "status 500",
        "latency": 0.0042,
        "labels": {"transport": "tcp"},
        **more,
    }


def finding(kind: str, text: str, port: str = "8080") -> Data:
    """A finding as the module listening_ports returns it."""
    return {"kind": kind, "name": "", "transport": "tcp", "port": port, "text": text}


FAILED: Data = {"listeners": [], "findings": [], "msg": "no netlink", "failed": False}  # as `failed_when: false` leaves it
UNKNOWN: Data = {"kind": "unknown", "name": "", "transport": "", "port": "", "text": "it is not known which ports Docker publishes: no answer"}


def seen(listeners: list[Data], findings: t.Sequence[Data] = (), answers: t.Sequence[Data] = (), host: str = "app1") -> Data:
    """What was seen on one host."""
    return {"listens": {host: {"listeners": listeners, "findings": list(findings)}}, "answers": {host: {"answers": list(answers)}}}


def screen(port: t.Any, observed: Data, host: t.Optional[str] = "app1", transport: t.Optional[str] = None) -> list[str]:
    """The text; whatever is in it, it fits a terminal."""
    lines = debug_port(PLAN, port, host, transport, observed)["text"]
    assert all(len(line) <= 100 and line.isprintable() for line in lines), lines
    assert len(lines) <= 40, "one screen"
    return t.cast("list[str]", lines)


def field(lines: list[str], label: str) -> str:
    """What stands beside a label, on one line."""
    starts = [index for index, line in enumerate(lines) if line[:15].strip() == label]
    assert len(starts) == 1, "\n".join(lines)
    found = [lines[starts[0]][15:]]
    for line in lines[starts[0] + 1 :]:
        if line[:15].strip() or not line:
            break
        found.append(line)
    return " ".join(" ".join(found).split())


def test_a_healthy_port_on_one_screen() -> None:
    lines = screen(8080, seen([listener()], answers=[answer(False, target="::1", detail="refused"), answer(), answer(target="192.0.2.2")]))
    assert "\n".join(lines) == textwrap.dedent(
        """\
        8080/tcp on app1 (192.0.2.2, 2001:db8::2)
          expected     api, on every address, http, health /health, published by a container
                       port_map.yml:10 services.api.port
          listens      :: (IPv4 too): docker-proxy (pid 7), unit docker.service, container shop-api-1, user
                       root
          answers now  http at 127.0.0.1:8080: open (status 200), 4.2 ms
          lets in      namespace:shop (192.0.2.2, 192.0.2.3 and 4 more), pods (10.42.0.0/16): rule api
                         port_map.yml:24 firewall.internal.same_namespace
                       service:proxy (192.0.2.1, 2001:db8::1): rule route api
                         port_map.yml:20 routes.api.service
          by plan      open from front1, app2, data1; not from jump, outsider; no strangers
          routes       https://api.example.com/ by front1 (route api)
                         port_map.yml:20 routes.api.service
          compose      service api, container port 3000
                       docker compose ps api; docker compose port api 3000
          next         As planned. Closed for somebody? ansible-playbook playbooks/explain.yml -e from=WHO
                       -e to=app1 -e port=8080"""
    )


@pytest.mark.parametrize(
    ("port", "observed", "label", "words"),
    [
        (8080, seen([], [finding("missing", "api: nothing listens on 8080/tcp")]), "DIFFERS", "api: nothing listens on 8080/tcp"),
        (8080, seen([], [finding("missing", "x")]), "listens", "nobody"),
        (8080, seen([], [finding("missing", "x")]), "next", "Start api: docker compose up -d api. If it is not to run here, change port_map.yml:10"),
        (9001, seen([listener(9001)], [finding("wrong address", "x", "9001")]), "next", "Let admin listen where the map wants it, or say where with `bind`"),
        (8080, seen([listener(unit="cron.service")], [finding("wrong owner", "x")]), "next", "Somebody else holds the port: stop cron.service, then start"),
        (8080, seen([listener()], answers=[answer(False)]), "answers now", "http at 127.0.0.1:8080: wrong answer (status 500), 4.2 ms, expected open"),
        (8080, seen([listener()], answers=[answer(False)] * 3), "next", "It listens and does not answer as it should: journalctl -u docker.service"),
        (4444, seen([]), "expected", "nothing: the map names no listener on this port here"),
        (4444, seen([]), "lets in", "nobody but this host itself: no rule opens it"),
        (4444, seen([]), "next", "Nothing to do: nobody is expected, and nobody listens."),
        (5432, seen([]), "expected", "nothing: the map names no listener on this port here; it does on data1 (db, tcp)"),
        (4444, seen([listener(4444, unit="nc.service")], [finding("unexpected", "", "4444")]), "next", "Declare it in the map, stop it (systemctl disable"),
        (50007, seen([]), "expected", "relay, on every address, udp, if it runs: one of 50000-50100 port_map.yml:14 services.relay.port"),
        (50007, seen([]), "next", "Nothing to do: relay is one of a range, of which nobody need listen."),
        (8080, {}, "listens", "not known: the host was not looked at (--limit?)"),
        (8080, {"listens": {"app1": {"unreachable": True, "msg": "ssh:\r\n timed out"}}}, "listens", "not known: the host could not be looked at: ssh: timed"),
        (8080, {"listens": {"app1": {"failed": True, "msg": "no netlink"}}}, "next", "Mend first what keeps the host from being looked at."),
        (8080, {"listens": {"app1": {"unreachable": True, "msg": "ssh"}}}, "next", "Reach the host first"),
        (8080, {"listens": {"app1": FAILED}}, "listens", "not known: the host could not be looked at: no netlink"),
        (4444, {"listens": {"app1": FAILED}}, "next", "Mend first what keeps the host from being looked at."),
        (8080, {**seen([listener()]), "answers": {"app1": {"msg": "MODULE\nFAILURE"}}}, "answers now", "not known: it could not be asked: MODULE FAILURE"),
        (8080, {**seen([listener()]), "answers": {}}, "next", "It listens. Whether it answers is not known: mend what kept the host from asking."),
        (8080, seen([listener()], answers=[answer()]), "next", "It listens. Whether it answers is not known"),
        (8080, seen([listener(containers=None)], [UNKNOWN], [answer()] * 3), "DIFFERS", "it is not known which ports Docker publishes: no answer"),
        (8080, seen([listener(containers=None)], [UNKNOWN], [answer()] * 3), "next", "Let Docker answer first"),
        (5432, seen([], [UNKNOWN]), "next", "Let Docker answer first"),
        (9001, seen([listener(9001, pid=None, process=None, unit=None, user="", containers=[])]), "listens", ":: (IPv4 too): no process is seen to hold it"),
    ],
)  # fmt: skip
def test_what_is_told(port: int, observed: Data, label: str, words: str) -> None:
    assert field(screen(port, observed), label).startswith(words)


def test_a_proxys_port_says_what_it_serves_and_a_public_one_that_strangers_reach_it() -> None:
    lines = screen(443, {}, "front1")
    assert field(lines, "routes").startswith("serves https://api.example.com/ (route api)")
    assert field(lines, "by plan").endswith("strangers too")


def test_both_transports_of_a_port_are_told_and_one_if_asked() -> None:
    heads = [line for line in screen("names", {}, "data1") if not line.startswith(" ") and line]
    assert [head.split()[0] for head in heads] == ["53/tcp", "53/udp"]
    assert [line.split()[0] for line in screen(53, {}, "data1", "udp") if not line.startswith(" ")] == ["53/udp"]
    assert field(screen(5432, {}, "data1"), "expected").startswith("db, on every address, postgresql, held by postgres or postgresql@*")


def test_a_port_of_many_hosts_is_a_list_with_those_that_differ_in_full() -> None:
    good = {name: {"listeners": [listener(9100, process="exporter")], "findings": []} for name in ADDRESSES}
    well = {name: {"answers": [answer(port=9100)] * 3} for name in ADDRESSES}
    all_good = screen(9100, {"listens": good, "answers": well}, None)
    assert all_good[0] == "Port 9100 on 5 hosts. In full: none, since none is seen to differ. For one of them say -e host=…"
    assert len(all_good) == 7 and all("as planned" in line for line in all_good[2:])
    one_bad = {**good, "data1": {"listeners": [], "findings": [finding("missing", "exporter: nothing listens", "9100")]}}
    lines = screen(9100, {"listens": one_bad, "answers": well}, None)
    assert [line.split()[0] for line in lines if "DIFFERS " in line] == ["data1", "DIFFERS"]
    assert "9100/tcp on data1 (192.0.2.4, 2001:db8::4)" in lines


def test_what_nobody_could_look_at_is_never_as_planned() -> None:
    listens = {name: {"listeners": [listener(9100)], "findings": []} for name in ADDRESSES}
    well = {name: {"answers": [answer(port=9100)] * 3} for name in ADDRESSES}
    observed = {"listens": {**listens, "front1": FAILED}, "answers": {**well, "front1": {"msg": "x"}, "app1": {"msg": "x"}, "app2": {"answers": [answer()]}}}
    told = {line.split()[0]: line[54:72].strip() for line in screen(9100, observed, None)[2:7]}
    asked, planned = "can't be asked", "as planned"
    assert told == {"front1": "can't be looked at", "app1": asked, "app2": asked, "data1": planned, "jump": planned}


def test_docker_that_does_not_answer_hides_no_port_whose_holder_is_seen() -> None:
    sshd = listener(22, process="sshd", containers=[])
    lines = screen(22, seen([sshd], [UNKNOWN], [answer(port=22)] * 3))
    assert field(lines, "next").startswith("As planned.")


def test_a_port_that_nobody_declares_is_looked_for_everywhere() -> None:
    assert debug_port(PLAN, 4444)["hosts"] == [*ADDRESSES]
    nobody = {name: {"listeners": [], "findings": []} for name in ADDRESSES}
    assert screen(4444, {"listens": nobody}, None)[:2] == [
        "Port 4444: the map expects nobody to listen on it, on none of 5 hosts.",
        "Nobody does, on 5 host(s) that were looked at.",
    ]
    somebody = {**nobody, "jump": {"listeners": [listener(4444)], "findings": [finding("unexpected", "4444/tcp listens", "4444")]}}
    assert "4444/tcp on jump (192.0.2.5, 2001:db8::5)" in screen(4444, {"listens": somebody}, None)


def test_a_service_in_a_cluster_has_its_kubernetes_names() -> None:
    lines = screen(9000, {}, None)
    assert field(lines, "kubernetes") == (
        "cluster k8s, service batch, namespace shop, port 9000 to 9090 kubectl get svc -n shop batch kubectl port-forward -n shop svc/batch 9000:9000"
    )
    assert field(lines, "called at") == "10.8.0.1"


def test_where_to_look_and_what_to_ask_there() -> None:
    asked = debug_port(PLAN, "8080")
    assert asked["hosts"] == ["app1", "app2"]
    for questions in asked["questions"].values():
        assert {question(one).http.path for one in questions} == {"/health"}
    assert {(one["target"], question(one).kind) for one in debug_port(PLAN, 4444, "app1")["questions"]["app1"]} == {
        ("127.0.0.1", "tcp"),
        ("192.0.2.2", "tcp"),
        ("2001:db8::2", "tcp"),
    }
    assert debug_port(PLAN, 50007, "app1", "udp")["questions"] == {"app1": []}, "a udp service that answers nobody looks like none"


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        ((0,), "port = 0: must be a port from 1 to 65535"),
        (("99999",), "port = 99999: must be a port from 1 to 65535"),
        (("abc",), "port = 'abc': must be a port from 1 to 65535, or a service with a port"),
        (("apj",), "did you mean 'api'?"),
        ((None,), "port: is missing, say -e port=8080"),
        (("",), "port: is missing"),
        ((22, "ap1"), "host = 'ap1': is no host of this inventory, did you mean 'app1'?"),
        ((22, "outsider"), "host = 'outsider': is not managed"),
        ((22, None, "icmp"), "transport = 'icmp': must be tcp or udp"),
        (
            (0, "nobody", "tpc"),
            "65535\ntransport = 'tpc': must be tcp or udp, did you mean 'tcp'?\nhost = 'nobody': is no host",
        ),
    ],
)
def test_mistakes_are_told_all_at_once(question: tuple[t.Any, ...], problem: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        debug_port(PLAN, *question)
    assert problem in str(caught.value)
