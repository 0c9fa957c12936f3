# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose Traefik it is, who is told the API's secret, and what else of the host the module traefik_config must find as it should be."""

from __future__ import annotations

import base64
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import typing as t

import pytest
from edge import ROOT, SMALL, TRAEFIK, Data, Edge, certificate, route
from edge_unit import alive

MARKED = "# made by alfred.portmap, role traefik\n[Service]\nExecStart=/bin/true\n"
PAGES: Data = {**SMALL, "maintenance": {"address": "127.0.0.1", "port": 8882}}
# Takes what it is sent, and answers 401 as Traefik does. It listens as another user.
CATCHER = """
import http.server, os, sys
caught = open(sys.argv[1], "w", buffering=1)
class Catcher(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        caught.write(str(self.headers))
        self.send_error(401)
os.setuid(int(sys.argv[2]))
http.server.HTTPServer(("127.0.0.1", 8880), Catcher).serve_forever()
"""


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_traefik_owned.py needs root: it makes a network namespace", returncode=2)


@pytest.fixture
def virgin(tmp_path: pathlib.Path) -> t.Iterator[Edge]:
    """An edge without any configuration."""
    made = Edge(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Edge]:
    """An edge with a small Traefik, shared."""
    made = Edge(tmp_path_factory.mktemp("edge"))
    made.serve("one", 9001)
    yield made
    made.close()


@pytest.fixture
def edge(standing: Edge) -> Edge:
    """The shared edge as it must be found."""
    answer = standing.configure(ingress=SMALL)
    assert "failed" not in answer, answer
    return standing


def flags(answer: Data) -> tuple[bool, ...]:
    assert "failed" not in answer, answer
    return tuple(answer[name] for name in ("changed", "restarted", "reloaded"))


def failure(answer: Data) -> str:
    assert answer.get("failed") is True, answer
    return str(answer["msg"])


# somebody else's


def test_a_static_file_of_somebody_else_is_not_overwritten(virgin: Edge) -> None:
    theirs = virgin.config / "traefik.yml"
    theirs.write_text('entryPoints: {site: {address: "127.0.0.1:8085"}}\nping: {entryPoint: site}\n')
    process = virgin.spawn(TRAEFIK, f"--configFile={theirs}")
    virgin.until(lambda: "200 OK" in virgin.curl("http://127.0.0.1:8085/ping").stdout, "their Traefik does not start")
    before = virgin.files()
    for check in (True, False):
        message = failure(virgin.configure(check=check, ingress=SMALL))
        assert message.startswith(f"{theirs}: not made by alfred.portmap") and "`take_over: true`" in message
        assert message.endswith("nothing was changed")
    assert virgin.files() == before and alive(process.pid)
    assert virgin.status("http://127.0.0.1:8085/ping") == 200
    process.kill()
    process.wait()
    assert flags(virgin.configure(ingress=SMALL, take_over=True)) == (True, True, False)
    assert flags(virgin.configure(ingress=SMALL)) == (False, False, False)


def test_a_unit_of_somebody_else_is_not_overwritten(virgin: Edge, tmp_path: pathlib.Path) -> None:
    unit = tmp_path / "their.service"
    unit.write_text("[Service]\nExecStart=/usr/bin/traefik --ping\n")
    before = virgin.files()
    message = failure(virgin.configure(ingress=SMALL, unit=str(unit), unit_content=MARKED))
    assert message.startswith(f"{unit}: not made by alfred.portmap")
    assert virgin.files() == before and "--ping" in unit.read_text()


# the directory that is watched


@pytest.mark.parametrize("how", ["removed", "put back from a copy"])
def test_a_watched_directory_that_was_replaced_is_watched_again(edge: Edge, how: str) -> None:
    """Traefik watches the one that was there when it started; a change of another one that took its place it never sees."""
    watched, pid = edge.config / "conf.d", edge.pid
    if how == "removed":
        shutil.rmtree(watched)
        watched.mkdir()
    else:
        shutil.copytree(watched, edge.config / "copy")
        watched.rename(edge.config / "gone")
        (edge.config / "copy").rename(watched)
        shutil.rmtree(edge.config / "gone")
    more = {**SMALL, "routes": {**SMALL["routes"], "more": route("more")}}
    checked = edge.configure(check=True, ingress=more)
    assert flags(checked) == (True, True, False)
    assert flags(edge.configure(ingress=more)) == (True, True, False)
    assert edge.pid != pid and edge.status("https://more.example.net/") == 200
    assert flags(edge.configure(ingress=more)) == (False, False, False)
    assert flags(edge.configure(ingress=SMALL)) == (True, False, False), "it is watched"


def test_what_it_does_not_take_up_is_a_restart_also_where_no_directory_is_recorded(edge: Edge) -> None:
    """A unit of the user's own."""
    text = edge.unit.read_text()
    edge.unit.write_text("".join(line for line in text.splitlines(keepends=True) if "%.9W" not in line))
    try:
        assert flags(edge.configure(ingress=SMALL)) == (True, True, False)
        shutil.rmtree(edge.config / "conf.d")
        (edge.config / "conf.d").mkdir()
        edge.until(lambda: edge.api("version") is None, "the API is still there")
        assert flags(edge.configure(ingress=SMALL)) == (True, True, False)
        assert edge.status("https://api.example.net/") == 200
    finally:
        edge.unit.write_text(text)


# the API's secret


@pytest.mark.parametrize("like_ours", [False, True])
def test_the_secret_is_told_to_nobody_else(edge: Edge, tmp_path: pathlib.Path, like_ours: bool) -> None:
    """Any user of the host can listen at the port while Traefik is down, and call itself what it likes."""
    edge.systemctl("stop")
    caught = tmp_path / "caught"
    uid = pwd.getpwnam("nobody").pw_uid
    more = [f"--configFile={edge.config / 'traefik.yml'}"] if like_ours else []
    squatter = edge.spawn(sys.executable, "-c", CATCHER, str(caught), str(uid), *more)
    edge.until(lambda: edge.curl("http://127.0.0.1:8880/").returncode == 0, "nobody listens")
    secret = edge.token
    try:
        for check in (True, False):
            message = failure(edge.configure(check=check, ingress=SMALL))
            assert "127.0.0.1 port 8880/tcp is held by" in message
        told = base64.b64encode(f"portmap:{secret}".encode()).decode()
        assert "User-Agent: curl" in caught.read_text(), "it would not have been seen"
        assert told not in caught.read_text() and "Authorization" not in caught.read_text()
        assert "the API's secret was removed" in message
    finally:
        squatter.kill()
        squatter.wait()
    assert flags(edge.configure(ingress=SMALL)) == (True, True, False)
    assert edge.token not in ("", secret)


# what is found before, also in check mode


def test_check_mode_tells_a_key_that_traefik_cannot_read(edge: Edge, tmp_path: pathlib.Path) -> None:
    pair = certificate(tmp_path, "one")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to("/tmp") and folder != pathlib.Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o5)
    pathlib.Path(pair["cert_file"]).chmod(0o644)
    pathlib.Path(pair["key_file"]).chmod(0o600)
    for check in (True, False):
        message = failure(edge.configure(check=check, ingress=SMALL, user="nobody", tls={"certificates": [pair]}))
        assert message.startswith(f"user nobody can't read {pair['key_file']}"), message


# the page server


def serve_pages(edge: Edge) -> subprocess.Popen[bytes]:
    return edge.spawn(sys.executable, "-I", str(ROOT / "roles/traefik/files/maintenance_page.py"), "127.0.0.1", "8882", str(edge.config / "maintenance.html"))


def test_maintenance_without_a_page_server_is_undone(edge: Edge) -> None:
    before = edge.files()
    message = failure(edge.configure(ingress=PAGES, maintenance=["api"], timeout=2))
    assert "the page server (unit portmap-maintenance) at 127.0.0.1 port 8882 does not answer" in message, message
    assert "Traefik runs as before" in message and edge.files() == before
    assert edge.status("https://api.example.net/") == 200
    server = serve_pages(edge)
    try:
        answer = edge.configure(ingress=PAGES, maintenance=["api"], maintenance_page="<p>sööner</p>\n")
        assert flags(answer) == (True, False, False)
        assert "the page server (unit portmap-maintenance) at 127.0.0.1 port 8882 answers 503 with the page" in answer["proof"]
        assert edge.status("https://api.example.net/") == 503
    finally:
        server.kill()
        server.wait()
    message = failure(edge.configure(ingress=PAGES, maintenance=["api"], maintenance_page="<p>sööner</p>\n", timeout=2))
    assert message.endswith("nothing was changed") and "does not answer" in message
    assert flags(edge.configure(ingress=PAGES)) == (True, False, False), "nobody is sent there"
