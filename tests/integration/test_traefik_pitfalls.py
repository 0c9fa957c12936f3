# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Traefik does that its users don't expect, one by one, and that ours has an answer to it: against two versions of the real one.

Each test says the pitfall's number in the list that the design was made from; a Traefik that does otherwise one day makes it fail.
"""

from __future__ import annotations

import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import typing as t

import pytest
from edge import FRONT, HASH, INGRESS, SECURE, SERVICE, SMALL, USERS, VERSIONS, Data, Edge, binary, route

from ansible_collections.alfred.portmap.plugins.module_utils._traefik_api import differences
from ansible_collections.alfred.portmap.plugins.module_utils._yaml import dump, load

THROTTLE = 0.2  # seconds: what the module sets
FOREIGN = "yours.yml"


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_traefik_pitfalls.py needs root: it makes a network namespace", returncode=2)


@pytest.fixture(scope="module", params=VERSIONS)
def edge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Edge]:
    """An edge with a Traefik that runs as configured."""
    made = Edge(tmp_path_factory.mktemp("edge"), binary(request.param))
    try:
        made.serve("one", 9001)
        made.serve("two", 9002)
        answer = made.configure()
        assert answer.get("changed") is True, answer
        yield made
    finally:
        made.close()


@pytest.fixture(params=VERSIONS)
def virgin(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> t.Iterator[Edge]:
    """An edge without any configuration."""
    made = Edge(tmp_path, binary(request.param))
    yield made
    made.close()


@pytest.fixture
def foreign(edge: Edge) -> t.Iterator[pathlib.Path]:
    """A file of the user's own beside ours."""
    path = edge.config / "conf.d" / FOREIGN
    yield path
    path.unlink(missing_ok=True)


def loaded(edge: Edge, name: str) -> bool:
    """Whether a router of that name runs."""
    return f"{name}@file" in edge.api("rawdata")["routers"]


def settled(edge: Edge) -> None:
    """Let Traefik have seen all that happened in the directory before."""
    path = edge.config / "conf.d" / "settled.yml"
    path.write_text(by_hand("settled"))
    edge.until(lambda: loaded(edge, "settled"), "a change is not taken up")
    path.unlink()
    edge.until(lambda: not loaded(edge, "settled"), "a change is not taken up")


def by_hand(name: str, **more: t.Any) -> str:
    """A dynamic file with one router."""
    router = {"rule": f"Host(`{name}.example.net`)", "service": "api", "entryPoints": ["websecure"], "tls": {}, **more}
    return json.dumps({"http": {"routers": {name: router}}})


def static_of(virgin: Edge) -> Data:
    """The static file that was written."""
    return load((virgin.config / "traefik.yml").read_text())


def started(virgin: Edge, static: Data) -> subprocess.Popen[bytes]:
    """A Traefik that runs with a static file of our making."""
    path = virgin.folder / "by-hand.yml"
    path.write_text(dump(static))
    return virgin.spawn(virgin.binary, f"--configFile={path}")


def bare(virgin: Edge, **more: t.Any) -> Data:
    """A static file with an entrypoint, watching the directory."""
    watched = {"file": {"directory": str(virgin.config / "conf.d"), "watch": True}}
    return {"entryPoints": {"websecure": {"address": ":443"}}, "providers": watched, "log": {"level": "INFO"}, **more}


def test_1_unknown_keys_at_the_root_are_dropped_and_nested_ones_are_fatal(virgin: Edge) -> None:
    """So that nothing of a user's is passed through: unknown options are Ansible's error, and only our own keys are rendered."""
    dropped = started(virgin, bare(virgin, certificateResolvers={"acme": {"acme": {"email": "a@example.net"}}}))
    virgin.until(lambda: virgin.curl("https://api.example.net/").returncode == 0, "it does not start: the key is no longer dropped")
    dropped.kill()
    dropped.wait()
    fatal = started(virgin, bare(virgin, **{"global": {"bogus": True}}))
    assert fatal.wait(15) == 1
    assert "field not found, node: bogus" in virgin.log.read_text()
    answer = virgin.configure(certificate_resolvers={})
    assert answer["failed"] is True and "Unsupported parameters" in answer["msg"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http: {middlewares: {}}", "middlewares cannot be a standalone element"),
        ("http: {routers: {a: {rul: x}}}", "field not found, node: rul"),
        ("http: {routers: {", "did not find expected"),
    ],
    ids=["empty map", "unknown key", "half a file"],
)
def test_2_one_bad_file_of_the_directory_blocks_every_later_change(edge: Edge, foreign: pathlib.Path, text: str, why: str) -> None:
    """The throw-away instance finds it before, and it is told whose file that is; Traefik itself says so in its log alone."""
    foreign.write_text(text)
    before, routers = edge.files(), edge.api("rawdata")["routers"]
    changed = {**INGRESS, "routes": {**INGRESS["routes"], "new": route("new")}}
    checked, answer = edge.configure(check=True, ingress=changed), edge.configure(ingress=changed)
    for one in (checked, answer):
        assert one["failed"] is True
        assert f"{foreign} is no file of this module, and Traefik takes up no change of any file while it is like this" in one["msg"]
        assert why in one["msg"] and one["msg"].endswith("nothing was changed")
    assert edge.files() == before
    assert edge.api("rawdata")["routers"] == routers
    # What would have happened:
    own = edge.config / "conf.d" / "portmap.yml"
    text_before = own.read_text()
    own.write_text(text_before.replace("api.example.net", "other.example.net"))
    time.sleep(5 * THROTTLE)
    assert edge.status("https://other.example.net/") == 404
    own.write_text(text_before)
    foreign.unlink()
    assert edge.configure()["changed"] is False


def test_2_no_empty_mapping_is_ever_rendered(edge: Edge) -> None:
    empty: Data = {**INGRESS, "rate_limits": {}, "routes": {}}
    answer = edge.configure(ingress=empty, users=[])
    assert answer.get("changed") is True, answer
    assert edge.status("https://api.example.net/") == 404
    assert edge.configure().get("changed") is True


@pytest.mark.parametrize("text", ["", "# made by"], ids=["empty", "truncated"])
def test_3_an_empty_or_truncated_file_takes_all_its_routes_away(edge: Edge, text: str) -> None:
    """So that files are staged and renamed; and what somebody else did is found and mended by the next run."""
    own = edge.config / "conf.d" / "portmap.yml"
    own.write_text(text)
    edge.until(lambda: edge.status("https://api.example.net/") == 404, "the routes stay: half a file does no harm")
    answer = edge.configure()
    assert answer.get("changed") is True, answer
    assert edge.status("https://api.example.net/") == 200


def test_4_hidden_files_are_loaded_and_ours_is_not_while_it_is_staged(edge: Edge) -> None:
    """By their ending. Names of the making: ours while it is staged, an editor's, Ansible's backup; and the one that Traefik does load."""
    ignored = [".portmap.yml.tmp", "portmap.yml~", "portmap.yml.123.2026-11-25@10:00:00~", ".portmap.yml.swp", "portmap.yml.bak"]
    hidden = edge.config / "conf.d" / ".ansible_tmpabcportmap.yml"
    made = [edge.config / "conf.d" / name for name in ignored]
    try:
        for number, path in enumerate(made):
            path.write_text(by_hand(f"ignored{number}"))
        hidden.write_text(by_hand("hidden"))
        edge.until(lambda: loaded(edge, "hidden"), "Traefik does not load hidden files: no need to warn of them")
        assert [name for name in edge.api("rawdata")["routers"] if name.startswith("ignored")] == []
        (warning,) = edge.configure()["warnings"]
        assert f"{hidden}: Traefik loads this hidden file too" in str(warning)
    finally:
        for path in (hidden, *made):
            path.unlink(missing_ok=True)
        edge.until(lambda: not loaded(edge, "hidden"), "the hidden file's route does not go")


def test_4_a_leftover_that_goes_before_ours_is_refused(edge: Edge) -> None:
    leftover = edge.config / "conf.d" / ".ansible_tmpabcportmap.yml"
    leftover.write_text(by_hand("api", rule="Host(`old.example.net`)"))
    try:
        answer = edge.configure(ingress={**INGRESS, "routes": {**INGRESS["routes"], "new": route("new")}})
        assert answer["failed"] is True and answer["msg"].endswith("nothing was changed")
        assert "already configured, skipping" in answer["msg"] and "another file of" in answer["msg"]
    finally:
        leftover.unlink()


def test_5_subdirectories_are_read_and_not_watched(edge: Edge) -> None:
    """Ours is one file of the directory itself."""
    inner = edge.config / "conf.d" / "inner"
    inner.mkdir()
    settled(edge)
    try:
        (inner / "more.yml").write_text(by_hand("inner-file"))
        time.sleep(5 * THROTTLE)
        assert not loaded(edge, "inner-file"), "they are watched after all"
        os.kill(edge.pid, 1)
        edge.until(lambda: loaded(edge, "inner-file"), "they are not read")
    finally:
        (inner / "more.yml").unlink()
        inner.rmdir()
        os.kill(edge.pid, 1)
        edge.until(lambda: not loaded(edge, "inner-file"), "its route does not go")


def test_5_a_directory_that_was_missing_at_the_start_is_never_watched(virgin: Edge) -> None:
    """Such a Traefik does not run what lies there: it is restarted."""
    virgin.serve("one", 9001)
    assert virgin.configure(ingress=SMALL).get("changed") is True
    watched = virgin.config / "conf.d"
    kept = (watched / "portmap.yml").read_text()
    (watched / "portmap.yml").unlink()
    watched.rmdir()
    refused = virgin.configure(ingress=SMALL)
    assert refused["failed"] is True and f"config_dir: {watched} is no directory" in refused["msg"]
    virgin.systemctl("restart")
    virgin.until(lambda: virgin.curl("https://api.example.net/").returncode == 0, "Traefik does not start")
    watched.mkdir()
    (watched / "portmap.yml").write_text(kept)
    time.sleep(5 * THROTTLE)
    assert virgin.status("https://api.example.net/") == 404, "it is watched after all: the role need not make it before the unit"


@pytest.mark.parametrize("text", ["/{{ x", '/{{ env "HOME" }}'])
def test_6_template_marks_are_refused_wherever_they_come_from(edge: Edge, text: str) -> None:
    before = edge.files()
    for harm in ({"ingress": {**INGRESS, "routes": {"api": route("api", path=text)}}}, {"headers": {"X-Note": text}}):
        answer = edge.configure(**harm)
        assert answer["failed"] is True and "{{" in answer["msg"] and answer["msg"].endswith("nothing was changed")
    assert edge.files() == before


def test_6_template_marks_are_run_even_in_a_comment(edge: Edge, foreign: pathlib.Path) -> None:
    """Why they are refused: one in any file of the directory, and no later change is taken up. The throw-away instance tells it."""
    foreign.write_text("# {{ nonsense }}\n")
    answer = edge.configure(ingress={**INGRESS, "routes": {**INGRESS["routes"], "new": route("new")}})
    assert answer["failed"] is True and 'function "nonsense" not defined' in answer["msg"] and str(foreign) in answer["msg"]
    assert edge.status("https://api.example.net/") == 200


def test_7_the_redirect_names_the_public_port(virgin: Edge) -> None:
    """By an entrypoint's name Traefik would put that one's own port into Location."""
    entrypoints = {
        "web": {"port": 80, "tls": False, "redirect_to": {"entrypoint": "secure", "port": 8443}, "proxies_in_front": None},
        "secure": {"port": 8443, "tls": True, "redirect_to": None, "proxies_in_front": None},
        # Where the port behind is another one than the public one, only the port that is stated counts.
        "alternative": {"port": 8080, "tls": False, "redirect_to": {"entrypoint": "secure", "port": 443}, "proxies_in_front": None},
    }
    answer = virgin.configure(ingress={**INGRESS, "entrypoints": entrypoints, "routes": {"api": route("api", entrypoint="secure")}})
    assert answer.get("changed") is True, answer
    assert virgin.ask("http://api.example.net/x")[1]["location"] == "https://api.example.net:8443/x"
    assert virgin.ask("http://api.example.net:8080/x", "-H", "Host: api.example.net")[1]["location"] == "https://api.example.net/x"


def test_8_behind_a_proxy_that_ends_tls_the_redirect_ends(edge: Edge) -> None:
    """The entrypoint's own redirect would go on for ever, or answer 418."""
    ours = ["http://api.example.net:8080/x", "-H", "Host: api.example.net"]
    status, headers, _body = edge.ask(*ours, "-H", "X-Forwarded-Proto: http")
    assert (status, headers["location"]) == (301, "https://api.example.net/x")
    assert edge.status(*ours, "-H", "X-Forwarded-Proto: https") == 200


def test_9_trust_and_depth_come_from_one_statement(edge: Edge) -> None:
    """Either alone changes nothing, or opens the route to any claim."""
    url = "https://fronted.example.net:8443/"
    assert edge.status(url) == 403
    assert edge.status(url, "-H", "X-Forwarded-For: 192.0.2.7") == 200
    assert edge.status(url, "-H", "X-Forwarded-For: 192.0.2.7, 198.51.100.1") == 403, "the last one is whom our proxy saw"
    assert edge.status("https://inner.example.net/", "-H", "X-Forwarded-For: 192.0.2.7") == 403, "anybody can claim that"
    static = static_of(edge)["entryPoints"]["fronted"]
    assert static["forwardedHeaders"] == {"trustedIPs": FRONT["trusted"]}
    trusting = [one for name, one in edge.api("rawdata")["middlewares"].items() if name.startswith("allow-fronted")]
    assert [one["ipAllowList"]["ipStrategy"]["depth"] for one in trusting] == [FRONT["depth"]]


def test_10_a_limit_always_has_a_burst(edge: Edge) -> None:
    """Without one of its own Traefik lets one request through at a time."""
    parallel = ["--parallel", "--parallel-immediate", "--parallel-max", "40", "-o", "/dev/null", "-w", "%{http_code}\\n"]
    time.sleep(1)  # of other tests
    statuses = collections.Counter(edge.curl("https://limited.example.net/?[1-40]", *parallel).stdout.split())
    assert set(statuses) == {"200", "429"} and 20 <= statuses["200"] <= 25, statuses


def test_11_what_traefik_never_builds_it_never_finds_fault_with(edge: Edge, foreign: pathlib.Path) -> None:
    """A middleware that nobody uses and a resolver that is missing are `enabled`. So that names are checked by us, with path and value."""
    broken = {"middlewares": {"unused": {"basicAuth": {"users": ["nobody"]}}}}
    router = {"rule": "Host(`lazy.example.net`)", "service": "api", "entryPoints": ["websecure"], "tls": {"certResolver": "nope"}}
    foreign.write_text(json.dumps({"http": {**broken, "routers": {"lazy": router}}}))
    edge.until(lambda: loaded(edge, "lazy"), "Traefik refuses it by now")
    raw = edge.api("rawdata")
    assert raw["middlewares"]["unused@file"]["status"] == raw["routers"]["lazy@file"]["status"] == "enabled"
    foreign.unlink()
    wrong = {
        "ingress.routes.api.entrypoint: 'nope' is no entrypoint": {"entrypoint": "nope"},
        "ingress.routes.api.rate_limit: 'nope' is no rate limit": {"rate_limit": "nope"},
        "ingress.routes.api.auth: 'nope' is the list of users": {"auth": "nope"},
    }
    for message, change in wrong.items():
        answer = edge.configure(ingress={**INGRESS, "routes": {"api": route("api", **change)}})
        assert answer["failed"] is True and message in answer["msg"], answer["msg"]


def test_12_a_router_that_traefik_splits_is_found_all_the_same(virgin: Edge) -> None:
    """Where an entrypoint has middlewares or tls of its own, a router at it is told under another name."""
    assert virgin.configure(ingress={**SMALL, "entrypoints": {**SMALL["entrypoints"], "other": {**SECURE, "port": 8443}}}).get("changed") is True
    static = static_of(virgin)
    static["entryPoints"]["other"]["http"] = {"tls": {}}
    (virgin.config / "conf.d" / FOREIGN).write_text(by_hand("both", entryPoints=["websecure", "other"]))
    (virgin.config / "traefik.yml").write_text(dump(static))
    virgin.systemctl("restart")
    virgin.until(lambda: virgin.api("rawdata") is not None, "Traefik does not start")
    raw = virgin.api("rawdata")
    assert "both@file" in raw["routers"] and "other-both@file" in raw["routers"], sorted(raw["routers"])
    ours = {"rule": "Host(`both.example.net`)", "service": "api", "entryPoints": ["other"]}
    raw["routers"].pop("both@file")
    assert differences(raw, {"http": {"routers": {"both": ours}}}) == []
    assert differences(raw, {"http": {"routers": {"both": {**ours, "rule": "Host(`x`)"}}}}) == ["router both runs with another `rule`"]


def test_13_hashes_are_told_to_nobody_but_us(edge: Edge) -> None:
    """/api/rawdata shows every password's hash: to other users of the host as well, were it not for a secret that only root can read."""
    assert HASH in json.dumps(edge.api("rawdata"))
    for argv in ([], ["-u", "portmap:"], ["-u", "portmap:guess"], ["-u", "ops:lab"]):
        status, _headers, body = edge.ask("http://127.0.0.1:8880/api/rawdata", *argv)
        assert status == 401 and HASH not in body
    found = {str(path.relative_to(edge.config)): path.stat().st_mode & 0o777 for path in edge.config.rglob("*") if path.is_file()}
    assert found.pop("api.token") == 0o600
    assert found.pop("environment") and set(found.values()) == {0o640}
    assert edge.token not in "".join(text for name, (text, _mode) in edge.files().items() if name != "api.token")


def test_13_the_secret_is_made_once(edge: Edge) -> None:
    before = edge.token
    assert re.fullmatch("[0-9a-f]{64}", before)
    edge.configure()
    assert edge.token == before


def test_14_a_backend_counts_as_up_before_anybody_asked_it(virgin: Edge) -> None:
    """After each change of anything. So that what Traefik says of backends is no proof, and is not taken for one."""
    virgin.serve("one", 9001)
    backends = [{"address": "127.0.0.1", "port": 9001}, {"address": "127.0.0.1", "port": 9999}]
    answer = virgin.configure(ingress={**SMALL, "routes": {"api": route("api", backends=backends, health="/")}}, health_checks={"interval": 60, "timeout": 5})
    assert answer.get("changed") is True, answer
    assert virgin.api("rawdata")["services"]["api@file"]["serverStatus"] == {"http://127.0.0.1:9001": "UP", "http://127.0.0.1:9999": "UP"}
    assert not any("backend" in sentence for sentence in answer["proof"])


def test_14_health_checks_come_with_two_backends_and_a_path(virgin: Edge) -> None:
    """And take a dead backend out. The throw-away instance asks nobody: `one` sees nothing before the change is in force."""
    virgin.serve("one", 9001)
    backends = [{"address": "127.0.0.1", "port": 9001}, {"address": "127.0.0.1", "port": 9999}]
    routes = {"api": route("api", backends=backends, health="/"), "alone": route("alone", health="/"), "silent": route("silent", backends=backends)}
    virgin.configure(ingress={**SMALL, "routes": routes}, health_checks={"interval": 1, "timeout": 1})
    services = virgin.api("rawdata")["services"]
    assert {name for name, one in services.items() if "healthCheck" in one.get("loadBalancer", {})} == {"api@file"}
    status = "http://127.0.0.1:9999"
    virgin.until(lambda: virgin.api("rawdata")["services"]["api@file"]["serverStatus"][status] == "DOWN", "the dead backend is not taken out")
    assert {virgin.status("https://api.example.net/") for _try in range(4)} == {200}


def test_15_our_own_questions_pay_no_bcrypt(edge: Edge) -> None:
    """bcrypt's cost is paid for each request. The API's secret is 256 bits of chance, and one round of SHA-1 will do."""
    users = edge.api("rawdata")["middlewares"]["portmap.secret@file"]["basicAuth"]["users"]
    assert len(users) == 1 and users[0].startswith("portmap:{SHA}")


def test_16_a_port_that_somebody_holds_is_told_before(virgin: Edge) -> None:
    """Traefik itself ends over it, after the old one was stopped."""
    squatter = virgin.spawn(sys.executable, str(SERVICE), "--name", "squatter", "http://127.0.0.1:80")
    virgin.until(lambda: virgin.curl("http://127.0.0.1:80/").returncode == 0, "the squatter does not start")
    for check in (True, False):
        answer = virgin.configure(check=check)
        assert answer["failed"] is True and answer["msg"].endswith("nothing was changed")
        assert re.search(r"port 80/tcp is held by \S+ \(pid [0-9]+[^)]*\): stop it, or give the entrypoint another port", answer["msg"]), answer["msg"]
    assert set(virgin.files()) == {"environment"}
    squatter.kill()
    squatter.wait()
    assert virgin.configure().get("changed") is True


def test_16_nothing_listens_that_nobody_asked_for(edge: Edge) -> None:
    """`ping`, `metrics` or `api.insecure` make an entrypoint on :8080 of all interfaces by themselves."""
    listening = subprocess.run([*edge.inside, "ss", "-Hltnu"], capture_output=True, text=True, check=True).stdout.splitlines()
    doors = {line.split()[4] for line in listening}
    assert doors - {"127.0.0.1:9001", "127.0.0.1:9002"} == {"*:80", "*:443", "*:8443", "*:8080", "127.0.0.1:8880", "*:8881"}
    assert [user["name"] for user in USERS][0] == "ops"
