# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module traefik_config and the real Traefik, in a network namespace: what is written, and what then answers on the wire."""

from __future__ import annotations

import collections
import copy
import os
import subprocess
import typing as t

import pytest
from edge import INGRESS, USERS, VERSIONS, Edge, binary, route


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_traefik.py needs root: it makes a network namespace", returncode=2)


@pytest.fixture(scope="module", params=VERSIONS)
def edge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Edge]:
    """An edge with backends and Traefik running as configured, for each of two versions."""
    made = Edge(tmp_path_factory.mktemp("edge"), binary(request.param))
    try:
        made.serve("one", 9001)
        made.serve("two", 9002, "websocket")
        answer = made.configure()
        assert (answer["changed"], answer["restarted"], answer["reloaded"]) == (True, True, False), answer
        yield made
    finally:
        made.close()


# on the wire


def test_every_object_is_as_we_wrote_it_and_traefik_finds_nothing_wrong(edge: Edge) -> None:
    raw = edge.api("rawdata")
    ours = {name.removesuffix("@file"): found for name, found in raw["routers"].items() if name.endswith("@file")}
    assert sorted(ours) == sorted(edge.configure(check=True)["routers"])
    for kind in ("routers", "services", "middlewares"):
        assert {name: found.get("error") for name, found in raw[kind].items() if found["status"] != "enabled"} == {}
    assert {found["name"]: found["address"] for found in edge.api("entrypoints")} == {
        "web": ":80",
        "websecure": ":443",
        "fronted": ":8443",
        "plain": ":8080",
        "portmap.api": "127.0.0.1:8880",
        "portmap.metrics": ":8881",
    }


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_http_is_sent_to_https_at_the_public_port(edge: Edge, method: str) -> None:
    status, headers, _body = edge.ask("http://api.example.net/some/path?q=1", "-X", method)
    assert status == (301 if method == "GET" else 308)
    assert headers["location"] == "https://api.example.net/some/path?q=1"


def test_names_and_paths_lead_to_their_services(edge: Edge) -> None:
    assert edge.ask("https://api.example.net/x")[1]["x-service"] == "one"
    assert edge.ask("https://api.example.net/v2/x")[1]["x-service"] == "two", "the longer rule counts"
    assert edge.ask("https://chat.example.net/")[1]["x-service"] == "two"
    assert edge.status("https://unknown.example.net/") == 404


def test_websockets_pass(edge: Edge) -> None:
    upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    done = edge.curl("https://chat.example.net/", *(word for line in upgrade for word in ("-H", line)), "--max-time", "2")
    assert done.stdout.startswith("HTTP/1.1 101 ")
    assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in done.stdout, "the answer that RFC 6455 gives for this key"


def test_credentials(edge: Edge) -> None:
    assert edge.status("https://back.example.net/") == 401
    assert edge.status("https://back.example.net/", "-u", "ops:wrong") == 401
    status, _headers, body = edge.ask("https://back.example.net/", "-u", "ops:lab")
    assert status == 200
    assert "authorization" not in body.lower(), "the service is told the proxy's password"


@pytest.mark.parametrize("name", [user["name"] for user in USERS])
def test_each_kind_of_hash_that_we_take_is_one_that_it_checks(edge: Edge, name: str) -> None:
    assert edge.status("https://back.example.net/", "-u", f"{name}:lab") == 200
    assert edge.status("https://back.example.net/", "-u", f"{name}:Lab") == 401


@pytest.mark.parametrize(("path", "status"), [("/dashboard/", 200), ("/api/version", 200), ("/", 302), ("/dashboard", 302), ("/metrics", 302)])
def test_the_dashboard_asks_for_credentials_on_every_path(edge: Edge, path: str, status: int) -> None:
    assert edge.status(f"https://traefik.example.net{path}") == 401
    assert edge.status(f"https://traefik.example.net{path}", "-u", "ops:lab") == status


def test_the_api_is_at_its_own_loopback_port_alone(edge: Edge) -> None:
    assert edge.status("http://127.0.0.1:8880/api/version", "-u", f"portmap:{edge.token}") == 200
    assert edge.status("http://127.0.0.1:8880/dashboard/", "-u", f"portmap:{edge.token}") == 404
    for url in ("https://api.example.net/api/version", "http://127.0.0.1:8881/api/version", "http://127.0.0.1:8080/api/version"):
        assert '"Version"' not in edge.ask(url)[2]
    listening = subprocess.run(["ip", "netns", "exec", edge.name, "ss", "-Hltn"], capture_output=True, text=True, check=True).stdout.splitlines()
    doors = {line.split()[3] for line in listening}
    assert doors - {"127.0.0.1:9001", "127.0.0.1:9002"} == {"*:80", "*:443", "*:8443", "*:8080", "127.0.0.1:8880", "*:8881"}


def test_metrics_are_told_at_their_port(edge: Edge) -> None:
    assert "traefik_config_last_reload_success" in edge.ask("http://127.0.0.1:8881/metrics")[2]


def burst(edge: Edge, url: str, *argv: str, count: int = 40) -> dict[int, int]:
    """How often each status came for that many requests at once."""
    parallel = ["--parallel", "--parallel-immediate", "--parallel-max", str(count), "-o", "/dev/null", "-w", "%{http_code}\\n"]
    done = edge.curl(f"{url}?[1-{count}]", *parallel, *argv)
    statuses = [int(line) for line in done.stdout.split()]
    assert len(statuses) == count, done.stderr
    return dict(collections.Counter(statuses))


def test_a_burst_is_served_and_what_goes_beyond_is_not(edge: Edge) -> None:
    """Without a burst of its own Traefik would let one request through at a time."""
    answers = burst(edge, "https://limited.example.net/")
    assert set(answers) == {200, 429}
    assert 20 <= answers[200] <= 25, "20 at once, and one a second while it goes on"
    assert burst(edge, "https://api.example.net/") == {200: 40}, "other routes are not limited"


def test_addresses_that_are_not_allowed(edge: Edge) -> None:
    assert edge.status("https://inner.example.net/") == 403
    assert edge.status("https://inner.example.net/", "-H", "X-Forwarded-For: 192.0.2.7") == 403, "anybody can claim that"


def test_behind_a_trusted_proxy_the_client_is_the_one_it_names(edge: Edge) -> None:
    """Trust and depth come from one statement: either alone changes nothing, or opens the route to any claim."""
    url = "https://fronted.example.net:8443/"
    assert edge.status(url) == 403
    assert edge.status(url, "-H", "X-Forwarded-For: 192.0.2.7") == 200
    assert edge.status(url, "-H", "X-Forwarded-For: 192.0.2.7, 198.51.100.1") == 403, "the last one is whom our proxy saw"
    assert 429 in burst(edge, url, "-H", "X-Forwarded-For: 192.0.2.8")
    assert edge.status(url, "-H", "X-Forwarded-For: 192.0.2.9") == 200, "each client has a limit of its own"


def test_behind_a_proxy_that_ends_tls_the_redirect_ends(edge: Edge) -> None:
    ours = ["http://api.example.net:8080/x", "-H", "Host: api.example.net"]
    status, headers, _body = edge.ask(*ours, "-H", "X-Forwarded-Proto: http")
    assert (status, headers["location"]) == (301, "https://api.example.net/x")
    assert edge.status(*ours, "-H", "X-Forwarded-Proto: https") == 200


def test_behind_a_proxy_that_ends_tls_the_client_is_the_one_it_names(edge: Edge) -> None:
    ours = ["http://guarded.example.net:8080/", "-H", "Host: guarded.example.net", "-H", "X-Forwarded-Proto: https"]
    assert edge.status(*ours) == 403, "the proxy itself is nobody"
    assert edge.status(*ours, "-H", "X-Forwarded-For: 192.0.2.7") == 200
    assert edge.status(*ours, "-H", "X-Forwarded-For: 192.0.2.7, 198.51.100.1") == 403
    assert 429 in burst(edge, *ours, "-H", "X-Forwarded-For: 192.0.2.8")
    assert edge.status(*ours, "-H", "X-Forwarded-For: 192.0.2.9") == 200, "each client has a limit of its own"


@pytest.mark.parametrize(("version", "works"), [("1.1", False), ("1.2", True), ("1.3", True)])
def test_old_tls_is_refused(edge: Edge, version: str, works: bool) -> None:
    done = edge.curl("https://api.example.net/", f"--tlsv{version}", "--tls-max", version, "--ciphers", "DEFAULT@SECLEVEL=0")
    assert (done.returncode == 0) is works, done.stderr


# changes while it runs


def test_a_route_comes_and_goes_without_a_restart(edge: Edge) -> None:
    """The module returns when the change is in force: nothing has to be waited for."""
    before = edge.pid
    changed = copy.deepcopy(INGRESS)
    changed["routes"]["new"] = route("new", 9002)
    answer = edge.configure(ingress=changed)
    assert (answer["changed"], answer["restarted"], answer["reloaded"]) == (True, False, False)
    assert edge.status("https://new.example.net/") == 200
    assert edge.configure()["changed"] is True
    assert edge.status("https://new.example.net/") == 404
    assert edge.pid == before


def test_no_request_fails_while_routes_change(edge: Edge) -> None:
    """Traefik takes a file that is half written for one without routes; a rename leaves no such moment."""
    changed = copy.deepcopy(INGRESS)
    changed["routes"]["new"] = route("new", 9002)
    asking = ["curl", "-s", "-k", "--http1.1", "--connect-to", "::127.0.0.1:", "--rate", "100/s", "-o", "/dev/null", "-w", "%{stderr}%{http_code}\\n"]
    with subprocess.Popen([*edge.inside, *asking, "https://api.example.net/?[1-100000]"], stderr=subprocess.PIPE, text=True) as client:
        try:
            for ingress, status in ((changed, 200), (INGRESS, 404)):
                assert edge.configure(ingress=ingress)["changed"] is True
                assert edge.status("https://new.example.net/") == status
        finally:
            client.terminate()
        answers = collections.Counter(t.cast(t.IO[str], client.stderr).read().split())
    assert set(answers) == {"200"} and answers["200"] > 10


def test_a_new_password_works_and_the_old_one_does_not(edge: Edge) -> None:
    """When the module returns, without a restart. A file of users would not be read again; users stand in the configuration itself."""
    other = "{SHA}" + "W6ph5Mm5Pz8GgiULbPgzG37mj9g="  # of: password
    answer = edge.configure(users=[{"name": "ops", "hash": other}])
    assert (answer["changed"], answer["restarted"]) == (True, False)
    assert other not in str(answer)
    assert edge.status("https://back.example.net/", "-u", "ops:password") == 200
    assert edge.status("https://back.example.net/", "-u", "ops:lab") == 401
    edge.configure()
    assert edge.status("https://back.example.net/", "-u", "ops:lab") == 200


def test_refusals_leave_the_running_traefik_alone(edge: Edge) -> None:
    before, routers = edge.files(), edge.api("rawdata")["routers"]
    for harm in ({"users": []}, {"users": [{"name": "ops", "hash": "plain"}]}, {"ingress": {**INGRESS, "rate_limits": {}}}):
        answer = edge.configure(**harm)
        assert answer["failed"] is True and answer["msg"].endswith("nothing was changed")
    assert edge.files() == before
    assert edge.api("rawdata")["routers"] == routers


def test_a_second_run_changes_nothing_and_proves_all_the_same(edge: Edge) -> None:
    before, pid = edge.files(), edge.pid
    checked, answer = edge.configure(check=True), edge.configure()
    for one in (checked, answer):
        assert (one["changed"], one["restarted"], one["reloaded"]) == (False, False, False)
    assert [sentence.split(",")[0].split(" by")[0] for sentence in answer["proof"]][-1].endswith("runs what was written")
    assert (edge.files(), edge.pid) == (before, pid)
