# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to real software: nginx, Traefik, Redis, dnsmasq. PostgreSQL: test_wire_postgresql.py; what peers do wrong: tests/unit."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
import socket
import subprocess
import time
import typing as t

import pytest
from peers import issue, server
from wire_stage import PATIENCE, traefik_binary

from ansible_collections.alfred.portmap.plugins.module_utils import _probe
from ansible_collections.alfred.portmap.plugins.module_utils._probe import ask_all, question

NGINX = """
daemon off; error_log stderr; pid nginx.pid; events {}
http {
    access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    server {
        listen 127.0.0.1:PLAIN; listen 127.0.0.1:SEALED ssl; server_name a.example;
        ssl_certificate cert; ssl_certificate_key key;
        add_header X-Frame-Options DENY;
        location = /health { return 200 "all is well"; }
        location = /sick { return 500; }
        location = /old { return 301 https://a.example/new; }
        location = /metrics { return 200 "Active connections: 1\n"; }
        proxy_http_version 1.1;
        location /live { proxy_pass http://127.0.0.1:BEHIND; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }
        location /half { proxy_pass http://127.0.0.1:BEHIND; }
        location = /gone { proxy_pass http://127.0.0.1:1; }
    }
    server { listen 127.0.0.1:PLAIN default_server; return 421; }
}
"""


def free() -> int:
    """A port that nobody uses, neither for tcp nor for udp."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            number = int(tcp.getsockname()[1])
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", number))
                return number


@dataclasses.dataclass
class Stage:
    """What runs, and where."""

    folder: pathlib.Path
    log: t.IO[bytes]
    running: list[subprocess.Popen[bytes]] = dataclasses.field(default_factory=list)

    def start(self, port: int, *argv: str) -> None:
        """Start a program, and wait until it listens there."""
        self.running.append(subprocess.Popen(argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log))
        until(lambda: ask("tcp", port, {}) == [("open", "")], f"{argv[0]} does not start: {self.folder}")

    def redis(self, *options: str) -> int:
        """Start one, and give its port."""
        port = free()
        self.start(port, "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder), *options)
        return port

    def close(self) -> None:
        """End all of it."""
        for one in self.running:
            one.kill()
            one.wait()
        self.log.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Stage]:
    """A folder for programs that end with the tests."""
    folder = tmp_path_factory.mktemp("real")
    made = Stage(folder, (folder / "log").open("wb"))
    yield made
    made.close()


def until(holds: t.Callable[[], bool], complaint: str) -> None:
    """Wait."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, complaint
        time.sleep(0.05)


def ask(kind: str, port: int, *questions: dict[str, t.Any]) -> list[tuple[str, str]]:
    """Verdict and detail of each question."""
    asked = [question({"name": "q", "target": "127.0.0.1", "port": port, "kind": kind, "timeout": 10, **one}) for one in questions]
    return [(answer.verdict, answer.detail) for answer in ask_all(asked, retries=0)]


def upgrades(client: socket.socket) -> None:
    """What nginx leads to: knows websockets, if the request comes as one."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += client.recv(4096)
    headers = {name.lower(): value.strip() for name, _colon, value in (line.partition(b":") for line in request.split(b"\r\n"))}
    if b"upgrade" not in headers:
        client.sendall(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
        return
    proof = subprocess.run(
        [
            "sh",
            "-c",
            'printf %s "$1"258EAFA5-E914-47DA-95CA-C5AB0DC85B11 | openssl dgst -sha1 -binary | openssl base64',
            "sh",
            headers[b"sec-websocket-key"].decode(),
        ],
        capture_output=True,
        check=True,
    ).stdout.strip()
    client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + proof + b"\r\n\r\n")
    client.recv(1)


@contextlib.contextmanager
def taken(port: int) -> t.Iterator[None]:
    """Meanwhile somebody has the only place, once whoever was there before is gone."""
    with contextlib.ExitStack() as clients:

        def answered() -> bool:
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
            client.sendall(b"PING\r\n")
            return client.recv(7) == b"+PONG\r\n"

        until(answered, "its only place is never free")
        yield


def test_nginx(stage: Stage) -> None:
    issue(stage.folder, "a.example", days=20)
    plain, sealed = free(), free()
    with server(upgrades) as behind:
        (stage.folder / "nginx.conf").write_text(NGINX.replace("PLAIN", str(plain)).replace("SEALED", str(sealed)).replace("BEHIND", str(behind)))
        stage.start(plain, str(shutil.which("nginx", path="/usr/sbin:/usr/bin")), "-p", str(stage.folder), "-c", "nginx.conf")
        web = {"host": "a.example"}
        assert ask(
            "http",
            plain,
            {"http": {**web, "path": "/health", "status": ["200"], "body": "well", "headers": {"X-Frame-Options": "DENY", "Server": "nginx.*"}}},
            {"http": {"path": "/health"}},
            {"http": {**web, "path": "/sick"}},
            {"http": {**web, "path": "/old", "location": "https://a.example/new"}},
            {"http": {**web, "path": "/gone"}},
            {"http": {**web, "scheme": "https"}},
        ) == [
            ("open", "status 200"),
            ("wrong answer", "status 421"),
            ("wrong answer", "status 500"),
            ("open", "status 301"),
            ("wrong answer", "status 502"),
            ("wrong answer", "speaks no TLS"),
        ]
        secure = {**web, "scheme": "https", "path": "/health"}
        asked = [{**secure, "days_left": 14}, {**secure, "days_left": 30}, {**secure, "verify": True}, web]
        good, ends, untrusted, bare = ask("http", sealed, *({"http": one, "tls": {"names": ["a.example"]}} for one in asked))
        assert good == ("open", "status 200")
        assert ends[1].startswith("certificate ends in 19 days (") and ends[1].endswith("), at least 30 were asked for")
        assert untrusted[1].startswith("certificate is not accepted: self") and bare == ("wrong answer", "status 400")
        assert ask("tls", sealed, {"tls": {"names": ["b.example"]}}) == [("wrong answer", "certificate is not for b.example; it is for a.example")]
        assert ask("websocket", plain, {"http": {**web, "path": "/live"}}, {"http": {**web, "path": "/half"}}, {"http": {**web, "path": "/health"}}) == [
            ("open", "status 101, a websocket"),
            ("wrong answer", "status 426, no websocket"),
            ("wrong answer", "status 200, no websocket"),
        ]
        assert ask("prometheus", plain, {"http": web}) == [("wrong answer", "metrics: line 1 can't be read: Active connections: 1")]
        for kind, detail in (("redis", "speaks no Redis: <html>"), ("postgresql", "speaks no PostgreSQL: <html>"), ("ssh", _probe.LATE)):
            ((verdict, said),) = ask(kind, plain, {"timeout": 1})
            assert verdict == "wrong answer" and said.startswith((detail, "speaks no Redis: HTTP/1.1 400", "speaks no PostgreSQL: HTTP/1.1 400")), said


def test_metrics_of_traefik(stage: Stage) -> None:
    """Written by the library that most exporters use."""
    port = free()
    options = ["--metrics.prometheus", "--metrics.prometheus.entryPoint=m", f"--entryPoints.m.address=127.0.0.1:{port}", "--global.checkNewVersion=false"]
    stage.start(port, traefik_binary(), *options, "--global.sendAnonymousUsage=false")
    until(lambda: ask("prometheus", port, {})[0][1] != "status 404", "no metrics")  # it listens before it has anything to say
    (metrics, dashboard) = ask("prometheus", port, {}, {"http": {"path": "/dashboard"}})
    assert metrics[0] == "open" and int(metrics[1].split()[2]) > 40, metrics
    assert dashboard == ("wrong answer", "status 404")


def test_redis(stage: Stage) -> None:
    auths = [{"redis": {"auth": auth}} for auth in ("none", "required", "any")]
    port = stage.redis()
    assert ask("redis", port, *auths) == [("open", "PONG"), ("wrong answer", "lets everybody in without a password"), ("open", "PONG")]
    wants = "wants a password (NOAUTH)"
    assert ask("redis", stage.redis("--requirepass", "lab"), *auths) == [("wrong answer", wants), ("open", wants), ("open", wants)]
    full = stage.redis("--maxclients", "1")
    with taken(full):
        assert ask("redis", full, {}) == [("wrong answer", "answers with an error: ERR max number of clients reached")]
    # One that reads its data slowly, and serves nobody meanwhile.
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"".join(b"SET %d %s\r\n" % (number, b"x" * 200) for number in range(400)) + b"SHUTDOWN SAVE\r\n")
        while client.recv(65536):
            pass
    slow = stage.redis("--rdbcompression", "no", "--key-load-delay", "50000", "--loading-process-events-interval-bytes", "1024")
    assert ask("redis", slow, {}) == [("wrong answer", "still loading its data (LOADING)")]


def test_dnsmasq(stage: Stage) -> None:
    port = free()
    options = [
        "--keep-in-foreground",
        f"--port={port}",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--no-resolv",
        "--no-hosts",
        "--conf-file=/dev/null",
    ]
    records = ["--host-record=db.example,192.0.2.1,2001:db8::1", "--cname=alias.example,db.example", "--local=/example/"]
    stage.start(port, str(shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")), *options, *records, "--pid-file", "--user=root")
    names = [("db.example", "A"), ("db.example", "AAAA"), ("alias.example", "A"), ("db.example", "MX"), ("no.example", "A"), ("db.example.org", "A")]
    assert ask("dns", port, {}, *({"dns": {"name": name, "type": kind}} for name, kind in names)) == [
        ("open", ""),
        ("open", "1 A record"),
        ("open", "1 AAAA record"),
        ("open", "1 A record"),
        ("wrong answer", "db.example has no MX record there"),
        ("wrong answer", "knows no name no.example (NXDOMAIN)"),
        ("wrong answer", "refuses to answer (REFUSED)"),
    ]
