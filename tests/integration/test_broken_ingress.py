# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong is refused before the running proxy is touched, or undone: the answers on the wire are the same before and after.

A table again. What a case does to the options of a call that works, or to the machine, and what must be said of it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import json
import os
import pathlib
import signal
import subprocess
import sys
import typing as t
from dataclasses import dataclass

import pytest
from wire_actions import One, Tcp
from wire_client import Ask
from wire_setup import CIPHERS, FRONT, HASH, INNER, OWN, USERS, Data, entrypoint, route
from wire_stage import PROXIES, ROOT, WireStage

HELD = 7777  # a port that somebody else holds
SHA512 = "$6$abcdefgh$" + "x" * 86


class SmallStage(WireStage):
    """With few entrypoints and routes, one of each kind; its configuration lies on a small disk of its own."""

    def __init__(self, proxy: str, folder: pathlib.Path) -> None:
        super().__init__(proxy, folder)
        kept = sorted(self.config.iterdir())
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "tmpfs", str(self.config)], check=True)
        for one in kept:
            one.mkdir()
        holding = f"import socket; s = socket.create_server(('', {HELD}))\nwhile True: s.accept()[0].close()"
        self.spawn(sys.executable, "-c", holding)

    def arguments(self, **changes: t.Any) -> Data:
        """A call that works, changed."""
        entrypoints = {
            "web": entrypoint(80, tls=False, redirect_to={"entrypoint": "websecure", "port": 443}),
            "websecure": entrypoint(443),
            "stream": entrypoint(5000, protocol="tcp", tls=False),
            "streams": entrypoint(5443, protocol="tcp"),
        }
        routes = {
            "api": route("api"),
            "v2": route("api", 9002, path="/v2"),
            "back": route("back", auth="default"),
            "inner": route("inner", allow=INNER, rate_limit="calm"),
            "stream": route(None, 9101, entrypoint="stream", protocol="tcp", tls=False),
            "ended": route("ended", 9101, entrypoint="streams", protocol="tcp"),
        }
        limits = {"calm": {"average": 50, "burst": 50}}
        small = {
            "proxy": self.proxy,
            "container": False,
            "entrypoints": entrypoints,
            "rate_limits": limits,
            "routes": routes,
            "maintenance": None,
            **OWN[self.proxy],
        }
        return super().arguments(**{"ingress": small, "maintenance": [], "timeout": 5, **changes})

    def close(self) -> None:
        super().close()
        subprocess.run(["umount", str(self.config)], check=True)

    def identities(self) -> dict[str, tuple[int, int]]:
        """Which file each is: one that was written again is another."""
        return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in self.config.rglob("*") if path.is_file()}

    def answers(self) -> dict[str, t.Any]:
        """All that a client sees: the same before and after."""
        asked = {
            "redirect": Ask("api.example.net", "/x?y", port=80, tls=False),
            "api": Ask("api.example.net", ca_file=str(self.certificates.ca)),
            "v2": Ask("api.example.net", "/v2/x"),
            "nobody": Ask("back.example.net"),
            "somebody": Ask("back.example.net", user=("ops", "lab")),
            "old password": Ask("back.example.net", user=("ops", "Lab")),
            "inner": Ask("inner.example.net", source="198.51.100.20"),
            "outer": Ask("inner.example.net", source="198.51.100.40"),
            "unknown": Ask("unknown.example.net"),
            "new": Ask("new.example.net"),
            "held": Ask("api.example.net", port=HELD, timeout=0.1),
        }
        seen: dict[str, t.Any] = {}
        for name, ask in asked.items():
            answer = One(ask)(self)
            seen[name] = (answer["status"], answer["header:Location"], answer["service"], answer["headers:X-Frame-Options"])
        seen["tcp"] = dict(Tcp(Ask("", port=5000, tls=False))(self))
        seen["tls"] = dict(Tcp(Ask("ended.example.net", port=5443))(self))
        return seen


Change = t.Callable[[Data, SmallStage], None]
Around = t.Callable[[SmallStage], t.ContextManager[None]]


@dataclass(frozen=True)
class Case:
    """One that is broken.

    change: what it makes of the options; around: what it makes of the machine while the module runs.
    says: what the message must have in it. undone: it can only be found while the change is underway, so it's undone.
    made: what is missing may be what another task would have made, so check mode need not miss it.
    """

    name: str
    says: t.Sequence[str]
    change: Change = lambda options, stage: None
    around: Around = lambda stage: contextlib.nullcontext()
    proxies: t.Sequence[str] = PROXIES
    undone: bool = False
    made: bool = False
    hidden: str = ""  # what must not be shown


def put(path: str, value: t.Any) -> Change:
    """Set an option, by its path: a.b.c."""

    def change(options: Data, stage: SmallStage) -> None:
        *above, last = path.split(".")
        for key in above:
            options = options[key]
        options[last] = value(stage) if callable(value) else value

    return change


def routed(name: str, **changes: t.Any) -> Change:
    """Change a route."""

    def change(options: Data, stage: SmallStage) -> None:
        options["ingress"]["routes"][name].update(changes)

    return change


def entered(name: str, made: Data) -> Change:
    """A further entrypoint."""
    return put(f"ingress.entrypoints.{name}", made)


def both(*changes: Change) -> Change:
    """Several changes."""

    def change(options: Data, stage: SmallStage) -> None:
        for one in changes:
            one(options, stage)

    return change


def hashed(text: str) -> Change:
    return put("users", [{"name": "ops", "hash": text}])


def pair(cert: t.Callable[[SmallStage], str], key: t.Callable[[SmallStage], str]) -> Change:
    return put("tls", lambda stage: {"certificates": [{"cert_file": cert(stage), "key_file": key(stage)}]})


def site_cert(stage: SmallStage) -> str:
    return stage.certificates.site["cert_file"]


def site_key(stage: SmallStage) -> str:
    return stage.certificates.site["key_file"]


def garbage(stage: SmallStage) -> str:
    """A file that is no certificate."""
    path = stage.folder / "garbage.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    return str(path)


NEW: Change = put("ingress.routes.new", route("new", 9002))
STATIC: Change = entered("another", entrypoint(8449))  # what needs a restart, at least with Traefik
TRAEFIK, NGINX = ("traefik",), ("nginx",)


@contextlib.contextmanager
def full_disk(stage: SmallStage) -> t.Iterator[None]:
    """No byte is left where the configuration lies."""
    filler = stage.config / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def read_only(stage: SmallStage) -> t.Iterator[None]:
    """Nothing can be written where the configuration lies."""
    subprocess.run(["mount", "-o", "remount,ro", str(stage.config)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(stage.config)], check=True)


@contextlib.contextmanager
def foreign_file(stage: SmallStage) -> t.Iterator[None]:
    """Traefik takes none of its directory's files while one is broken."""
    path = stage.config / "conf.d" / "theirs.yml"
    path.write_text("http: {routers: {x: {rule: [}}\n")
    try:
        yield
    finally:
        path.unlink()


@contextlib.contextmanager
def never_starts_new(stage: SmallStage) -> t.Iterator[None]:
    """A unit that comes up with what there was, and not with what is new."""
    path = stage.unit / "unit.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "argv": ["sh", "-c", 'grep -rq 8449 "$0" && exit 3; exec "$@"', str(stage.config), *told["argv"]]}))
    try:
        yield
    finally:
        path.write_text(json.dumps(told))


CONTRADICTIONS = [
    Case("a route's entrypoint is none", ["ingress.routes.api.entrypoint", "'nope'"], routed("api", entrypoint="nope")),
    Case("a route's limit is none", ["ingress.routes.api.rate_limit", "'nope'"], routed("api", rate_limit="nope")),
    Case("a route's list of users is none", ["ingress.routes.back.auth", "'nope'"], routed("back", auth="nope")),
    Case("a list without users", ["users", "'default'"], put("users", [])),
    Case(
        "a redirect to no entrypoint",
        ["ingress.entrypoints.web.redirect_to", "'nope'"],
        put("ingress.entrypoints.web.redirect_to", {"entrypoint": "nope", "port": 443}),
    ),
    Case("two entrypoints at one port", ["ingress.entrypoints", "443"], entered("again", entrypoint(443))),
    Case("two routes with one host and path", ["ingress.routes.again", "api.example.net"], put("ingress.routes.again", route("api", 9002))),
    Case(
        "two routes of an entrypoint that knows no names",
        ["ingress.routes"],
        put("ingress.routes.again", route(None, 9102, entrypoint="stream", protocol="tcp", tls=False)),
    ),
    Case("a route without backends", ["ingress.routes.api.backends"], routed("api", backends=[])),
    Case("an allow list without networks", ["ingress.routes.api.allow"], routed("api", allow=[])),
    Case(
        "a canary of 100 %",
        ["ingress.routes.api.canary.weight", "100"],
        routed("api", canary={"weight": 100, "protocol": "http", "backends": [{"address": "127.0.0.1", "port": 9002}]}),
    ),
    Case("a limit of nothing", ["ingress.rate_limits.calm.average", "0"], put("ingress.rate_limits.calm", {"average": 0, "burst": 1})),
    Case("credentials over tcp", ["ingress.routes.stream.auth"], routed("stream", auth="default")),
    Case("maintenance of no route", ["maintenance", "'nope'"], put("maintenance", ["nope"])),
    Case("maintenance without a page server", ["maintenance", "'api'", "page"], put("maintenance", ["api"]), proxies=TRAEFIK),
    Case(
        "an allow list over udp",
        ["ingress.routes.u.allow"],
        both(
            entered("u", entrypoint(5353, protocol="udp", tls=False)),
            put("ingress.routes.u", route(None, 9201, entrypoint="u", protocol="udp", tls=False, allow=INNER)),
        ),
    ),
    Case("HTTP/3 without TLS", ["ingress.entrypoints.web.http3"], put("ingress.entrypoints.web.http3", True)),
    Case("HTTP/3 that the binary lacks", ["http3"], put("ingress.entrypoints.websecure.http3", True), proxies=NGINX),
    Case(
        "PostgreSQL ended at a proxy that does not speak it",
        ["ingress.routes.ended.protocol", "'postgresql'"],
        routed("ended", protocol="postgresql"),
        proxies=NGINX,
    ),
    Case("the dashboard of a proxy that has none", ["ingress.routes.api.dashboard"], routed("api", dashboard=True, backends=[]), proxies=NGINX),
    Case("an API that others reach", ["ingress.api.address", "'0.0.0.0'"], put("ingress.api.address", "0.0.0.0"), proxies=TRAEFIK),
    Case("an ingress without routes' key", ["ingress", "routes"], lambda options, stage: options["ingress"].pop("routes")),
]
VALUES = [
    Case("a hash of SHA-512", ["users[0].hash", "'ops'"], hashed(SHA512), hidden=SHA512),
    Case("a hash of SHA-256", ["users[0].hash", "'ops'"], hashed("$5$abcdefgh$" + "x" * 43), hidden="$5$abcdefgh$"),
    Case("a password that is no hash", ["users[0].hash", "'ops'"], hashed("swordfish-1"), hidden="swordfish-1"),
    Case("a user's name with a colon", ["users[0].name", "'o:ps'"], put("users", [{"name": "o:ps", "hash": HASH}])),
    Case("a user's name with a line end", ["users[0].name"], put("users", [{"name": "o\nroot", "hash": HASH}])),
    Case("a user twice", ["users[1].name", "'ops'"], put("users", [USERS[0], USERS[0]])),
    Case("a template mark in a path", ["ingress.routes.v2.path", "{{"], routed("v2", path='/{{ env "HOME" }}')),
    Case("a template mark in a host", ["ingress.routes.v2.host", "{{"], routed("v2", host="{{x}}.example.net")),
    Case("a template mark in a header", ["headers.X-A", "{{"], put("headers", {"X-A": "{{ x }}"})),
    Case("a control character in a path", ["ingress.routes.v2.path"], routed("v2", path="/v2\nreturn 200;")),
    Case("the end of Traefik's rule in a host", ["ingress.routes.v2.host"], routed("v2", host="a`) || Host(`b")),
    Case("the end of Nginx's block in a path", ["ingress.routes.v2.path"], routed("v2", path="/v2 { return 200; } location /x")),
    Case("a variable of Nginx's in a host", ["ingress.routes.v2.host"], routed("v2", host="$http_x.example.net; return 200")),
    Case("a header's value with another header", ["headers.X-A"], put("headers", {"X-A": "a\r\nSet-Cookie: b=c"})),
    Case("a header's name that is none", ["headers", "'X A:'"], put("headers", {"X A:": "a"})),
    Case("a header that frames the answer", ["headers.Content-Length"], put("headers", {"Content-Length": "0"})),
    Case("a header in two spellings", ["headers"], put("headers", {"X-A": "1", "x-a": "2"})),
    Case("a network that is none", ["ingress.routes.inner.allow", "198.51.100.300/24"], routed("inner", allow=["198.51.100.300/24"])),
    Case(
        "a trusted network that is none",
        ["ingress.entrypoints.websecure.proxies_in_front.trusted", "everybody"],
        put("ingress.entrypoints.websecure.proxies_in_front", {**FRONT, "trusted": ["everybody"]}),
    ),
    Case(
        "a backend's address with a path",
        ["ingress.routes.api.backends", "127.0.0.1/evil"],
        routed("api", backends=[{"address": "127.0.0.1/evil", "port": 9001}]),
    ),
    Case(
        "a backend's address with another directive",
        ["ingress.routes.api.backends"],
        routed("api", backends=[{"address": "127.0.0.1:1; } evil {", "port": 9001}]),
    ),
    Case("a backend's port that is none", ["ingress.routes.api.backends", "70000"], routed("api", backends=[{"address": "127.0.0.1", "port": 70000}])),
    Case("an entrypoint's port that is none", ["ingress.entrypoints.stream.port", "70000"], put("ingress.entrypoints.stream.port", 70000)),
    Case("a protocol that is none", ["ingress.routes.api.protocol", "'gopher'"], routed("api", protocol="gopher")),
    Case("a page with a control character", ["maintenance_page"], put("maintenance_page", "<p>\x00</p>")),
    Case("a health check without end", ["health_checks.interval", "0"], put("health_checks", {"interval": 0})),
]
FILES = [
    Case("a certificate that is not there", ["tls.certificates", "/nowhere.pem"], pair(lambda stage: "/nowhere.pem", site_key), made=True),
    Case("a key that is not there", ["tls.certificates", "/nowhere.key"], pair(site_cert, lambda stage: "/nowhere.key"), made=True),
    Case("a certificate that is none", ["tls.certificates", "garbage.pem"], pair(garbage, site_key)),
    Case("a key that is none", ["tls.certificates", "garbage.pem"], pair(site_cert, garbage)),
    Case("a key of another certificate", ["tls.certificates", "site.pem"], pair(site_cert, lambda stage: stage.certificates.other["key_file"])),
    Case("a directory for a certificate", ["tls.certificates"], pair(lambda stage: str(stage.folder), site_key)),
    Case(
        "authorities that are none",
        ["backend_tls.ca_file", "garbage.pem"],
        both(put("backend_tls", lambda stage: {"ca_file": garbage(stage), "server_name": "backend.internal"}), routed("api", protocol="https")),
    ),
    Case("a cipher that is none", ["tls.ciphers", "'NULL'"], put("tls.ciphers", ["NULL"])),
    Case("a weak cipher", ["tls.ciphers", "TLS_RSA_WITH_AES_128_CBC_SHA"], put("tls.ciphers", ["TLS_RSA_WITH_AES_128_CBC_SHA"])),
    Case("ciphers for TLS 1.3 alone", ["tls.ciphers", "1.3"], both(put("tls.minimum", "1.3"), put("tls.ciphers", CIPHERS))),
    Case("TLS 1.1", ["minimum", "1.1"], put("tls.minimum", "1.1")),
]
MACHINE = [
    Case("a port that somebody holds", [str(HELD), "held by"], entered("held", entrypoint(HELD))),
    Case("an API's port that somebody holds", [str(HELD), "held by"], put("ingress.api.port", HELD), proxies=TRAEFIK),
    Case("no such binary", ["/nowhere/proxy"], both(NEW, put("binary", "/nowhere/proxy")), made=True),
    Case("a binary that is no proxy", ["/bin/false"], both(NEW, put("binary", "/bin/false"))),
    Case("no such group", ["group", "no-such-group"], both(NEW, put("group", "no-such-group")), made=True),
    Case("no such directory", ["/nowhere"], both(NEW, put("config_dir", "/nowhere")), proxies=TRAEFIK, made=True),
    Case("a directory that the running one does not use", ["not ours"], both(NEW, put("config_dir", "/nowhere")), proxies=NGINX),
    Case("a full disk", ["No space left on device"], NEW, full_disk, undone=True),
    Case("a disk that can't be written to", ["Read-only file system"], NEW, read_only, undone=True),
    Case("somebody else's broken file", ["theirs.yml"], NEW, foreign_file, proxies=TRAEFIK, undone=True),
    Case("a restart that fails", ["false"], both(STATIC, put("restart_command", ["false"]), put("reload_command", ["false"])), undone=True),
    Case("a restart that never comes up", ["all files are as before"], both(STATIC, put("timeout", 2)), never_starts_new, proxies=TRAEFIK, undone=True),
]
CASES = [*CONTRADICTIONS, *VALUES, *FILES, *MACHINE]


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_broken_ingress.py needs root: it makes network namespaces", returncode=2)


class Stages:
    """Both proxies, each configured and running, asked at the same time."""

    def __init__(self, folder: t.Callable[[str], pathlib.Path]) -> None:
        self.folder = folder
        self.made: dict[str, SmallStage] = {}
        self.left: set[str] = set()  # where a test did not come to its end, or left it otherwise

    def stage(self, proxy: str) -> SmallStage:
        """One that runs as configured; a new one where that can't be had."""
        if proxy in self.left and "failed" in self.made[proxy].configure():
            self.made.pop(proxy).close()
        self.left.discard(proxy)
        if proxy not in self.made:
            self.made[proxy] = SmallStage(proxy, self.folder(proxy))
            self.made[proxy].start()
        return self.made[proxy]

    def close(self) -> None:
        """End all."""
        for stage in self.made.values():
            stage.close()

    def each(self, test: t.Callable[[SmallStage], None], proxies: t.Iterable[str] = PROXIES, leaves: bool = True) -> None:
        """Run a test on each of them. leaves: it may end otherwise than it began."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = {proxy: pool.submit(lambda proxy=proxy: test(self.stage(proxy))) for proxy in proxies}
        for proxy, future in running.items():
            self.left.add(proxy)
            try:
                future.result()
                if not leaves:
                    self.left.discard(proxy)
            except AssertionError as error:
                raise AssertionError(f"{proxy}: {error}") from error


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Stages]:
    """Both proxies."""
    made = Stages(tmp_path_factory.mktemp)
    yield made
    made.close()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_is_broken_changes_nothing(stages: Stages, case: Case) -> None:
    stages.each(lambda stage: play(case, stage), case.proxies, leaves=False)


def play(case: Case, stage: SmallStage) -> None:
    """One case with one proxy."""
    options = copy.deepcopy(stage.arguments())
    case.change(options, stage)
    before, files, identities, pid = stage.answers(), stage.files(), stage.identities(), stage.pid
    with case.around(stage):
        # What is looked up on the machine is looked up in check mode too.
        checked = None if case.undone or case.made or case not in (*FILES, *MACHINE) else stage.configure(check=True, **options)
        answer = stage.configure(**options)
    if "failed" not in answer:
        stage.configure()  # for the tests that come
    assert answer.get("failed") is True, answer
    assert checked is None or checked.get("msg") == answer["msg"]
    assert stage.answers() == before
    assert stage.files() == files
    for text in case.says:
        assert text in answer["msg"], answer["msg"]
    assert not case.hidden or case.hidden not in json.dumps(answer)
    if case.undone:
        assert stage.pid != 0
        return
    assert "nothing was changed" in answer["msg"] or "value of" in answer["msg"], answer["msg"]
    assert (stage.identities(), stage.pid) == (identities, pid), "it was touched"


def test_there_are_thirty_and_more() -> None:
    for proxy in PROXIES:
        assert len([case for case in CASES if proxy in case.proxies]) > 30
    assert len({case.name for case in CASES}) == len(CASES)


# found otherwise than it was left


def test_a_proxy_that_was_stopped_is_started(stages: Stages) -> None:
    stages.each(a_proxy_that_was_stopped_is_started)


def a_proxy_that_was_stopped_is_started(stage: SmallStage) -> None:
    before = stage.answers()
    subprocess.run(stage.command("stop"), check=True)
    checked, pid = stage.configure(check=True), stage.pid
    assert (checked["changed"], checked["restarted"], pid) == (True, True, 0), "check mode started it"
    answer = stage.configure()
    assert (answer["changed"], answer["restarted"]) == (True, True)
    assert "stopped" in " ".join(answer["proof"])
    assert stage.answers() == before
    assert stage.configure()["changed"] is False


def test_a_proxy_that_is_stopped_stays_so_if_what_is_asked_for_is_broken(stages: Stages) -> None:
    stages.each(a_proxy_that_is_stopped_stays_so_if_what_is_asked_for_is_broken)


def a_proxy_that_is_stopped_stays_so_if_what_is_asked_for_is_broken(stage: SmallStage) -> None:
    subprocess.run(stage.command("stop"), check=True)
    files = stage.files()
    answer = stage.configure(users=[])
    assert answer["failed"] is True and stage.pid == 0 and stage.files() == files


def test_a_proxy_that_hangs_is_restarted(stages: Stages) -> None:
    stages.each(a_proxy_that_hangs_is_restarted)


def a_proxy_that_hangs_is_restarted(stage: SmallStage) -> None:
    before, hung = stage.answers(), stage.pid
    family = [pid for pid in stage.processes() if pathlib.Path(f"/proc/{pid}/exe").resolve() == pathlib.Path(stage.binary).resolve()]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    answer = stage.configure()
    assert (answer.get("changed"), answer.get("restarted")) == (True, True), answer
    assert "hung" in " ".join(answer["proof"])
    assert stage.pid != hung
    assert stage.answers() == before


def test_somebody_else_at_the_ports_is_named(stages: Stages) -> None:
    stages.each(somebody_else_at_the_ports_is_named)


def somebody_else_at_the_ports_is_named(stage: SmallStage) -> None:
    subprocess.run(stage.command("stop"), check=True)
    files = stage.files()
    foreign = stage.spawn(sys.executable, "-c", "import socket, time; s = socket.create_server(('', 443)); time.sleep(9999)")
    stage.until(lambda: Ask("", port=443, tls=False, timeout=0.2)(stage.inside).error.startswith(("TimeoutError", "timeout")), "nobody holds the port")
    answer = stage.configure()
    try:
        assert answer["failed"] is True
        assert "port 443/tcp is held by" in answer["msg"] and "python" in answer["msg"] and "nothing was changed" in answer["msg"]
        assert stage.files() == files
    finally:
        for pid in stage.processes():
            if "create_server(('', 443))" in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
        foreign.wait()


def test_files_of_another_mode_or_by_another_hand_are_mended(stages: Stages) -> None:
    stages.each(files_of_another_mode_or_by_another_hand_are_mended)


def files_of_another_mode_or_by_another_hand_are_mended(stage: SmallStage) -> None:
    before, files = stage.answers(), stage.files()
    # Nginx keeps the tree before for the workers that still use it; nothing reads that again.
    runs = (stage.config / "nginx.conf").resolve().parent if stage.proxy == "nginx" else stage.config
    ours = [path for path in runs.rglob("*") if path.is_file() and not path.is_symlink()]
    for number, path in enumerate(ours):
        if number % 2 or path.name == "api.token":  # a token by another hand is another token
            path.chmod(0o666)
        else:
            path.write_text(path.read_text() + "\n# by hand\n")
    assert stage.configure(check=True)["changed"] is True
    answer = stage.configure()
    assert answer["changed"] is True
    assert stage.files() == files
    assert stage.answers() == before
    assert stage.configure()["changed"] is False


# interrupted


@pytest.mark.parametrize("kind", ["a route", "an entrypoint"])
def test_killed_at_any_point_the_next_run_mends(stages: Stages, kind: str) -> None:
    stages.each(lambda stage: killed_at_any_point(stage, kind))


def killed_at_any_point(stage: SmallStage, kind: str) -> None:
    steps = stage.folder / "steps"

    def wanted(number: int) -> Data:
        """Never the same twice; every other one has what the others lack."""
        options = copy.deepcopy(stage.arguments())
        options["ingress"]["routes"][f"number-{number}"] = route(f"number-{number}")
        if number % 2:
            (NEW if kind == "a route" else STATIC)(options, stage)
        return options

    def run(options: Data, point: int) -> subprocess.CompletedProcess[str]:
        return stage.module(options, before=[str(ROOT / "tests/integration/wire_killed.py"), str(point), str(steps)])

    ways, counts = [stage.answers()], []
    for number in (1, 2):
        whole = run(wanted(number), 0)
        assert '"changed": true' in whole.stdout, whole.stdout
        counts.append(len(steps.read_text().splitlines()))
        ways.append(stage.answers())
    assert {key for key in ways[0] if ways[0][key] != ways[1][key]} <= {"new"} and ways[2] == ways[0]
    quiet, count = len(stage.processes()), min(counts)
    # Some points, spread over the whole way; at the last ones files and running proxy differ.
    for number, point in enumerate((1, count // 2, count - 1, count), 3):
        options, expected = wanted(number), ways[number % 2]
        killed = run(options, point)
        assert killed.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), (point, counts, killed)
        name = steps.read_text().splitlines()[-1]
        stage.until(lambda: stage.answers() in ways, f"point {point} of {count}, {name}: another answer on the wire")
        mended = stage.configure(**options)
        assert "failed" not in mended, (point, name, mended)
        assert stage.answers() == expected, (point, name)
    again = stage.configure(**options)
    assert again["changed"] is False, again
    stage.until(lambda: len(stage.processes()) <= quiet, f"processes are left: {stage.processes()}")
