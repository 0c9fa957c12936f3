# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of traefik_config at once, in two versions of Traefik: all of it is taken, told by the API as it was written, and seen on the wire."""

from __future__ import annotations

import collections
import copy
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from edge import INGRESS, ROOT, SECURE, VERSIONS, Data, Edge, binary, certificate, route

from ansible_collections.alfred.portmap.plugins.module_utils._yaml import load

CIPHERS = ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"]
PLAIN = {"tls": False, "redirect_to": None, "proxies_in_front": None}
BOTH = [{"address": "127.0.0.1", "port": 9001}, {"address": "127.0.0.1", "port": 9002}]
OPEN = {"port": 9443, "tls": True, "redirect_to": None, "proxies_in_front": None}

ALL: Data = {
    **INGRESS,
    "maintenance": {"address": "127.0.0.1", "port": 8882},
    "entrypoints": {
        **INGRESS["entrypoints"],
        "websecure": {**SECURE, "http3": True},
        "streams": {**OPEN, "protocol": "tcp"},
        "stream": {**PLAIN, "port": 9444, "protocol": "tcp"},
        "dns": {**PLAIN, "port": 53, "protocol": "udp"},
    },
    "routes": {
        **INGRESS["routes"],
        "shared": route("shared", backends=BOTH, health="/", sticky=True),
        "canary": route("canary", canary={"weight": 50, "protocol": "http", "backends": [{"address": "127.0.0.1", "port": 9002}]}),
        "sealed": route("sealed", 9003, protocol="https"),
        "grpc": route("grpc", 9004, protocol="grpc", backends=[{"address": "127.0.0.1", "port": 9004}, {"address": "127.0.0.1", "port": 9005}], health="/"),
        "closed": route("closed"),
        "closed-guarded": route("closed-guarded", auth="default"),
        "ended": route("ended", entrypoint="streams", protocol="tcp"),
        "through": route("through", 443, entrypoint="streams", protocol="tcp", passthrough=True),
        "inner-stream": route("inner", entrypoint="streams", protocol="tcp", allow=["192.0.2.0/24"]),
        "any": route("any", entrypoint="stream", protocol="tcp", tls=False, host=None),
        "names": route("names", 5353, entrypoint="dns", protocol="dns", tls=False, host=None),
    },
}


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_traefik_options.py needs root: it makes a network namespace", returncode=2)


@pytest.fixture(scope="module", params=VERSIONS)
def edge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Edge]:
    """An edge with all options in force."""
    folder = tmp_path_factory.mktemp("edge")
    made = Edge(folder, binary(request.param))
    try:
        made.serve("one", 9001)
        made.serve("two", 9002)
        made.spawn(sys.executable, str(ROOT / "extensions/molecule/default/files/lab_service.py"), "--name", "names", "dns://127.0.0.1:5353")
        page = str(made.config / "maintenance.html")
        made.spawn(sys.executable, "-I", str(ROOT / "roles/traefik/files/maintenance_page.py"), "127.0.0.1", "8882", page)
        answer = made.configure(
            ingress=ALL,
            tls={"certificates": [certificate(folder, "site")], "ciphers": CIPHERS},
            headers={"X-Frame-Options": "DENY", "Content-Security-Policy": "default-src 'self'; img-src \"*\" $x"},
            compression=True,
            access_log=True,
            health_checks={"interval": 90, "timeout": 2},
            backend_tls={"verify": False},
            maintenance=["closed", "closed-guarded"],
            maintenance_page="<p>soon</p>",
        )
        assert answer.get("changed") is True, answer
        made.proof = answer["proof"]  # type: ignore[attr-defined]
        yield made
    finally:
        made.close()


def test_all_of_it_is_taken_and_told_as_it_was_written(edge: Edge) -> None:
    raw = edge.api("rawdata")
    for kind, found in raw.items():
        assert {name: one.get("error") for name, one in found.items() if one.get("error")} == {}, kind
    assert {name.removesuffix("@file") for name in raw["tcpRouters"]} == {"ended", "through", "inner-stream", "any"}
    assert set(raw["udpRouters"]) == {"names@file"}
    assert any(sentence.startswith("the certificates that are served for ") for sentence in edge.proof)  # type: ignore[attr-defined]


def test_headers_are_on_every_answer_once(edge: Edge) -> None:
    for url, status in (("https://api.example.net/", 200), ("https://inner.example.net/", 403), ("https://back.example.net/", 401)):
        found = edge.ask(url)
        assert (found[0], found[1]["x-frame-options"]) == (status, "DENY")
        assert found[1]["content-security-policy"] == "default-src 'self'; img-src \"*\" $x"


def test_http3_is_announced_and_listens(edge: Edge) -> None:
    assert 'h3=":443"' in edge.ask("https://api.example.net/")[1]["alt-svc"]
    listening = subprocess.run([*edge.inside, "ss", "-Hlun"], capture_output=True, text=True, check=True).stdout
    assert "*:443" in listening


def test_a_browser_stays_where_it_is(edge: Edge) -> None:
    _status, headers, _body = edge.ask("https://shared.example.net/")
    cookie = headers["set-cookie"]
    assert all(word in cookie for word in ("portmap-shared=", "HttpOnly", "Secure", "SameSite=Lax"))
    sent = cookie.split(";")[0]
    assert {edge.ask("https://shared.example.net/", "-H", f"Cookie: {sent}")[1]["x-service"] for _try in range(6)} == {headers["x-service"]}


def test_a_canary_gets_its_share(edge: Edge) -> None:
    assert collections.Counter(edge.ask("https://canary.example.net/")[1]["x-service"] for _try in range(10)) == {"one": 5, "two": 5}


def test_a_route_in_maintenance_shows_the_page_to_whom_it_lets_in(edge: Edge) -> None:
    status, headers, body = edge.ask("https://closed.example.net/x")
    assert (status, body.strip()) == (503, "<p>soon</p>") and int(headers["retry-after"]) > 0
    assert edge.status("https://closed-guarded.example.net/") == 401
    assert edge.status("https://closed-guarded.example.net/", "-u", "ops:lab") == 503


def test_tcp_by_name(edge: Edge) -> None:
    """Ended: plain http behind it; through: the TLS of our own 443 behind it, which knows no such route."""
    answer = edge.curl("https://ended.example.net:9443/", "--connect-to", "::127.0.0.1:9443")
    assert "x-service: one" in answer.stdout.lower(), answer.stderr
    assert edge.status("https://through.example.net:9443/", "--connect-to", "::127.0.0.1:9443") == 404
    assert edge.curl("https://inner.example.net:9443/", "--connect-to", "::127.0.0.1:9443").returncode != 0
    assert edge.ask("http://anything:9444/", "--connect-to", "::127.0.0.1:9444")[1]["x-service"] == "one"


def test_udp(edge: Edge) -> None:
    asking = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5);"
        " s.sendto(bytes.fromhex('abcd01000001000000000000016101620000010001'), ('127.0.0.1', 53)); print(s.recv(512).hex())"
    )
    done = subprocess.run([*edge.inside, sys.executable, "-c", asking], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("abcd")


def test_only_the_ciphers_that_were_named(edge: Edge) -> None:
    for suite, works in (("ECDHE-ECDSA-CHACHA20-POLY1305", True), ("ECDHE-ECDSA-AES128-GCM-SHA256", False)):
        assert (edge.curl("https://api.example.net/", "--tls-max", "1.2", "--ciphers", suite).returncode == 0) is works


def test_tls_below_the_minimum_is_refused_and_that_is_proven(edge: Edge, tmp_path: pathlib.Path) -> None:
    small = {**copy.deepcopy(ALL), "routes": {"api": route("api")}}
    answer = edge.configure(ingress=small, tls={"certificates": [certificate(tmp_path, "site")], "minimum": "1.3"})
    assert "TLS 1.2 is refused at port 443" in answer["proof"], answer
    assert edge.curl("https://api.example.net/", "--tls-max", "1.2").returncode != 0
    assert edge.status("https://api.example.net/") == 200


def test_without_a_port_of_its_own_traefik_has_no_api_and_that_is_said(edge: Edge) -> None:
    """Nothing but the sockets can be proven then."""
    bare = {**copy.deepcopy(INGRESS), "api": None, "metrics": None, "routes": {"api": route("api")}}
    answer = edge.configure(ingress=bare)
    assert answer["restarted"] is True and "the map's service proxy has no port, so that Traefik has no API" in " ".join(answer["proof"])
    assert "api" not in load((edge.config / "traefik.yml").read_text())
    edge.until(lambda: edge.curl("https://api.example.net/").stdout.startswith("HTTP/1.1 200 "), "the route does not come")
    again = edge.configure(ingress=bare)
    assert (again["changed"], again["restarted"]) == (False, False)
