# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the module traefik_config changes a running Traefik, and what it makes of one that is stopped, hung, stale or somebody else's."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import typing as t

import pytest
from edge import HASH, SECURE, SERVICE, SMALL, TRAEFIK, Data, Edge, certificate, route
from edge_unit import alive

FLAGS = ("changed", "restarted", "reloaded")
OTHER_PORT: Data = {**SMALL, "entrypoints": {**SMALL["entrypoints"], "second": {**SECURE, "port": 8443}}}
NEW_ROUTE: Data = {**SMALL, "routes": {**SMALL["routes"], "new": route("new")}}


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_traefik_change.py needs root: it makes a network namespace", returncode=2)


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
    assert standing.status("https://api.example.net/") == 200
    return standing


def flags(answer: Data) -> tuple[bool, ...]:
    assert "failed" not in answer, answer
    return tuple(answer[name] for name in FLAGS)


def failure(answer: Data) -> str:
    assert answer.get("failed") is True, answer
    return str(answer["msg"])


def traces(edge: Edge) -> set[str]:
    """What throw-away instances leave: processes of this edge, folders of modules that have ended."""
    found: set[str] = set()
    for pid in subprocess.run(["ip", "netns", "pids", edge.name], capture_output=True, text=True, check=True).stdout.split():
        with contextlib.suppress(OSError):
            if b"--configFile=/run/portmap-traefik-" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found | {str(path) for path in pathlib.Path("/run").glob("portmap-traefik-*") if not alive(int(path.name.split("-")[2]))}


# check mode and diff


def test_check_mode_says_what_the_run_does(virgin: Edge) -> None:
    before = virgin.files()
    checked = virgin.configure(check=True)
    assert virgin.files() == before and virgin.pid == 0
    ran = virgin.configure()
    assert flags(checked) == flags(ran) == (True, True, False)
    assert checked["diff"] == ran["diff"] and checked["routers"] == ran["routers"]
    assert checked["proof"] == ran["proof"][: len(checked["proof"])]
    assert [sentence for sentence in checked["proof"] if "took the candidate" in sentence]
    assert flags(virgin.configure(check=True)) == flags(virgin.configure()) == (False, False, False)


def test_check_mode_tries_the_candidate_and_touches_nothing(edge: Edge) -> None:
    before, pid = edge.files(), edge.pid
    answer = edge.configure(check=True, ingress=NEW_ROUTE)
    assert flags(answer) == (True, False, False)
    assert re.search(r"a throw-away Traefik 3\.[0-9.]+ took the candidate: 3 routers", answer["proof"][0])
    assert [line for part in answer["diff"] for line in part["after"].splitlines() if "new.example.net" in line]
    assert (edge.files(), edge.pid, edge.status("https://new.example.net/")) == (before, pid, 404)
    assert traces(edge) == set()


# the throw-away instance


def test_it_leaves_nothing_behind_whatever_happens(edge: Edge) -> None:
    for answer in (edge.configure(ingress=NEW_ROUTE), edge.configure(ingress=SMALL, tls={"ciphers": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]})):
        assert "failed" not in answer
        assert traces(edge) == set()
    foreign = edge.config / "conf.d" / "yours.yml"
    foreign.write_text("http: {middlewares: {}}")
    assert "Traefik does not take this configuration" in failure(edge.configure(ingress=NEW_ROUTE))
    foreign.unlink()
    assert traces(edge) == set()


def test_a_module_that_is_killed_leaves_no_second_traefik(edge: Edge) -> None:
    """Only its folder, in memory, that nobody else can read."""
    arguments = {"ANSIBLE_MODULE_ARGS": edge.arguments(ingress=NEW_ROUTE)}
    command = [*edge.inside, sys.executable, "-m", "ansible_collections.alfred.portmap.plugins.modules.traefik_config"]
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).resolve().parents[2] / "collections")}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment) as module:
        assert module.stdin is not None
        module.stdin.write(json.dumps(arguments).encode())
        module.stdin.close()
        edge.until(lambda: any(name.isdigit() for name in traces(edge)), "no throw-away instance is seen")
        tried = [int(name) for name in traces(edge) if name.isdigit()]
        module.kill()
    edge.until(lambda: not any(map(alive, tried)), "the throw-away instance outlives the module")
    (left,) = pathlib.Path("/run").glob(f"portmap-traefik-{module.pid}-*")
    assert left.stat().st_mode & 0o777 == 0o700
    edge.configure(ingress=NEW_ROUTE)
    assert not left.exists(), "the next run clears away"


def test_what_traefik_finds_wrong_is_told_in_sentences_and_nothing_is_touched(edge: Edge) -> None:
    before, pid = edge.files(), edge.pid
    foreign = edge.config / "conf.d" / "b.yml"
    foreign.write_text(json.dumps({"http": {"routers": {name: {"rule": "Host(`x`)", "service": "api"} for name in ("b", "c")}}}))
    three = {**SMALL, "routes": {name: route(name) for name in ("api", "b", "c")}}
    for check in (True, False):
        message = failure(edge.configure(check=check, ingress=three))
        assert message.endswith("nothing was changed")
        for name in ("b", "c"):
            assert f"router {name}: HTTP router already configured, skipping (another file of" in message, message
        assert "router api" not in message
    foreign.unlink()
    assert (edge.pid, edge.status("https://api.example.net/")) == (pid, 200)
    assert edge.files() == before


def test_a_certificate_that_is_none_is_found_before(edge: Edge, tmp_path: pathlib.Path) -> None:
    before = edge.files()
    pair = certificate(tmp_path, "first")
    pathlib.Path(pair["key_file"]).write_text("no key")
    message = failure(edge.configure(ingress=SMALL, tls={"certificates": [pair]}))
    assert "certificate" in message.lower() and message.endswith("nothing was changed"), message
    assert edge.files() == before


def test_an_option_that_an_older_traefik_lacks_is_told_before(tmp_path: pathlib.Path, virgin: Edge) -> None:
    """By the throw-away instance: a Traefik that knows not one of the keys that are rendered. The stand-in knows no http3."""
    stand_in = tmp_path / "traefik"
    stand_in.write_text('#!/bin/sh\necho "command traefik error: field not found, node: http3" >&2; exit 1\n')
    stand_in.chmod(0o755)
    message = failure(virgin.configure(binary=str(stand_in), ingress={**SMALL, "entrypoints": {"websecure": {**SECURE, "http3": True}}}))
    assert "field not found, node: http3" in message and message.endswith("nothing was changed")
    assert set(virgin.files()) == {"environment"}


# undone


def held_at_restart(edge: Edge, port: int) -> list[str]:
    """A restart command before which somebody takes a port, once."""
    taken = edge.folder / "taken"
    squat = f"{sys.executable} {SERVICE} --name squatter http://0.0.0.0:{port}"
    wait = f"until ss -Hltn | grep -q :{port}; do sleep 0.05; done"
    restart = " ".join(edge.command("restart"))
    return ["/bin/sh", "-c", f"test -e {taken} || {{ {squat} >/dev/null 2>&1 & echo $! >{taken}; {wait}; }}; {restart}"]


def test_a_restart_that_fails_is_undone(edge: Edge) -> None:
    before, raw = edge.files(), edge.api("rawdata")["routers"]
    try:
        message = failure(edge.configure(ingress=OTHER_PORT, restart_command=held_at_restart(edge, 8443), timeout=3))
    finally:
        os.kill(int((edge.folder / "taken").read_text()), signal.SIGKILL)
    assert "Traefik does not listen on" in message and "port 8443/tcp" in message
    assert "all files are as before, and Traefik runs as before: its API tells the content from before" in message
    assert edge.files() == before
    assert edge.api("rawdata")["routers"] == raw
    assert edge.status("https://api.example.net/") == 200
    assert flags(edge.configure(ingress=SMALL)) == (False, False, False), "nothing is owed"


def test_a_first_run_that_fails_leaves_nothing(virgin: Edge) -> None:
    before = virgin.files()
    message = failure(virgin.configure(restart_command=["false"]))
    assert message == "`false` failed: exit status 1; all files are as before, and Traefik is stopped as it was"
    assert virgin.files() == before and virgin.pid == 0


def test_a_command_that_is_not_there_is_undone_too(virgin: Edge) -> None:
    before = virgin.files()
    message = failure(virgin.configure(restart_command=["/nonexistent"]))
    assert "all files are as before" in message
    assert virgin.files() == before


def test_a_change_that_traefik_does_not_take_up_is_undone(edge: Edge) -> None:
    """Its watch has ended, say (here it never began): it goes on with what it has, and tells nobody."""
    static = edge.config / "traefik.yml"
    kept = static.read_text()
    static.write_text(kept.replace("watch: true", "watch: false"))
    edge.systemctl("restart")
    edge.until(lambda: edge.api("version") is not None, "Traefik does not start")
    static.write_text(kept)
    edge.as_the_unit_says("ExecStartPre")
    before, pid = edge.files(), edge.pid
    message = failure(edge.configure(ingress=NEW_ROUTE, timeout=2))
    assert "Traefik does not run what was written: router new is not there; service new is not there" in message
    assert message.endswith("; all files are as before, and Traefik runs as before: its API tells the content from before")
    assert edge.files() == before and edge.pid == pid
    assert edge.status("https://api.example.net/") == 200
    edge.systemctl("restart")


def test_a_disk_that_takes_nothing_is_told(virgin: Edge) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(virgin.config / "conf.d")], check=True)
    try:
        before = virgin.files()
        message = failure(virgin.configure())
        assert "No space left on device; all files are as before, and Traefik is stopped as it was" in message
        assert virgin.files() == before
    finally:
        subprocess.run(["umount", str(virgin.config / "conf.d")], check=True)


# stopped, hung, stale, foreign


def test_a_stopped_traefik_is_started(edge: Edge) -> None:
    edge.systemctl("stop")
    checked = edge.configure(check=True, ingress=SMALL)
    assert edge.pid == 0
    answer = edge.configure(ingress=SMALL)
    assert flags(checked) == flags(answer) == (True, True, False)
    assert "Traefik was found stopped" in answer["proof"]
    assert edge.status("https://api.example.net/") == 200


def test_a_hung_traefik_is_restarted_once_and_told(edge: Edge) -> None:
    before = edge.pid
    os.kill(before, signal.SIGSTOP)
    checked = edge.configure(check=True, ingress=SMALL, timeout=1)
    answer = edge.configure(ingress=SMALL, timeout=3)
    assert flags(checked) == flags(answer) == (True, True, False)
    assert "Traefik was found hung: it holds its ports and does not answer" in answer["proof"]
    assert edge.pid != before and not alive(before)
    assert edge.status("https://api.example.net/") == 200


def test_one_that_runs_something_else_than_its_file_is_restarted(edge: Edge) -> None:
    """Its watch has ended, and somebody put another file there: waiting would not help."""
    static, dynamic = edge.config / "traefik.yml", edge.config / "conf.d/portmap.yml"
    kept = static.read_text()
    edge.configure(ingress=NEW_ROUTE)
    newer = dynamic.read_text()
    edge.configure(ingress=SMALL)
    static.write_text(kept.replace("watch: true", "watch: false"))
    edge.systemctl("restart")
    edge.until(lambda: edge.api("version") is not None, "Traefik does not start")
    static.write_text(kept)
    edge.as_the_unit_says("ExecStartPre")
    dynamic.write_text(newer)
    answer = edge.configure(ingress=NEW_ROUTE)
    assert flags(answer) == (True, True, False), answer
    assert edge.status("https://new.example.net/") == 200


def test_another_program_on_our_port_is_refused(virgin: Edge) -> None:
    squatter = virgin.spawn(sys.executable, str(SERVICE), "--name", "squatter", "http://127.0.0.1:443")
    virgin.until(lambda: virgin.curl("http://127.0.0.1:443/").returncode == 0, "the squatter does not start")
    for check in (True, False):
        message = failure(virgin.configure(check=check, ingress=SMALL))
        name = pathlib.Path(f"/proc/{squatter.pid}/comm").read_text().strip()
        assert f"port 443/tcp is held by {name} (pid {squatter.pid}" in message, message
        assert message.endswith("a unit that is to make place is named by `displaces`; nothing was changed")
    assert set(virgin.files()) == {"environment"} and alive(squatter.pid)


def test_a_udp_port_that_is_held_is_seen_too(virgin: Edge) -> None:
    """HTTP/3 needs it."""
    virgin.spawn(sys.executable, str(SERVICE), "--name", "world", "dns://127.0.0.1:443")
    virgin.until(lambda: b":443" in subprocess.run([*virgin.inside, "ss", "-Hlun"], capture_output=True, check=True).stdout, "the squatter does not start")
    message = failure(virgin.configure(ingress={**SMALL, "entrypoints": {"websecure": {**SECURE, "http3": True}}}))
    assert "port 443/udp is held by" in message


def test_another_traefik_is_refused_with_what_to_do(edge: Edge, tmp_path: pathlib.Path) -> None:
    """One with our ports that was started with another file: whether it is like ours or not."""
    edge.systemctl("stop")
    other = tmp_path / "traefik.yml"
    other.write_text((edge.config / "traefik.yml").read_text())
    process = edge.spawn(TRAEFIK, f"--configFile={other}")
    edge.until(lambda: edge.status("https://api.example.net/") == 200 if edge.curl("https://api.example.net/").returncode == 0 else False, "it does not start")
    before = edge.files()
    try:
        for check in (True, False):
            message = failure(edge.configure(check=check, ingress=SMALL))
            assert f"port 443/tcp is held by traefik (pid {process.pid}" in message
            assert f"it was not started with --configFile={edge.config / 'traefik.yml'}" in message and "Stop it" in message
        assert edge.files() == before and alive(process.pid)
    finally:
        process.kill()
        process.wait()


def test_a_lost_secret_is_made_anew(edge: Edge) -> None:
    """Our own Traefik, by the file that it was started with, does not know the new one: it gets it, without a restart."""
    old, pid = edge.token, edge.pid
    (edge.config / "api.token").unlink()
    assert flags(edge.configure(ingress=SMALL)) == (True, False, False)
    assert edge.token not in ("", old) and edge.pid == pid
    assert edge.api("version") is not None


# what a run that was interrupted owes


def test_a_restart_is_due_until_it_happened(edge: Edge) -> None:
    """A run that ended between a file and its restart."""
    static = edge.config / "traefik.yml"
    loud = static.read_text().replace('level: "INFO"', 'level: "DEBUG"')
    static.write_text(loud)
    before = edge.pid
    answer = edge.configure(ingress=SMALL, log_level="DEBUG")
    assert flags(answer) == (True, True, False) and edge.pid != before
    assert all(part["before"] == part["after"] for part in answer["diff"]), "there was nothing to write"
    assert flags(edge.configure(ingress=SMALL, log_level="DEBUG")) == (False, False, False)


@pytest.mark.parametrize("what", ["unit", "environment", "binary"])
def test_another_unit_environment_or_binary_is_due_for_a_restart(edge: Edge, what: str) -> None:
    other = edge.folder / "other-traefik"
    if what == "unit":
        edge.unit.write_text(edge.unit.read_text().replace("RestartSec=1", "RestartSec=2") + "\n")
    elif what == "environment":
        (edge.config / "environment").write_text(f"{(edge.config / 'environment').read_text()}# more\n")
    else:
        shutil.copy(TRAEFIK, other)
        edge.unit.write_text(edge.unit.read_text().replace(TRAEFIK, str(other)))
    options: Data = {"ingress": SMALL, "binary": str(other) if what == "binary" else TRAEFIK}
    before = edge.pid
    assert flags(edge.configure(check=True, **options)) == flags(edge.configure(**options)) == (True, True, False)
    assert edge.pid != before
    assert flags(edge.configure(**options)) == (False, False, False)
    edge.unit.write_text(edge.unit.read_text().replace(str(other), TRAEFIK))


def test_a_start_by_a_unit_that_no_longer_lies_there_is_none_by_the_one_that_does(edge: Edge) -> None:
    """systemd goes on with the unit that it has loaded: nothing must be recorded of the one that it has not."""
    loaded = edge.unit.read_text()
    edge.unit.write_text(loaded.replace("the-unit-itself", "another-unit"))
    lines = [line for line in loaded.splitlines() if line.startswith("ExecStartPre=")]
    for line in lines:
        subprocess.run(shlex.split(line.partition("=")[2].lstrip("+-").replace("%%", "%")), check=True)
    assert not (edge.run / "started.sha256").exists()
    edge.unit.write_text(loaded)
    assert flags(edge.configure(ingress=SMALL)) == (True, True, False)


def test_a_file_that_was_written_and_not_yet_taken_up_is_waited_for(edge: Edge) -> None:
    """The module ended right after the rename: the next run finds nothing to write, and Traefik running it."""
    edge.configure(ingress=NEW_ROUTE)
    newer = (edge.config / "conf.d/portmap.yml").read_text()
    edge.configure(ingress=SMALL)
    staged = edge.config / "conf.d" / ".portmap.yml.tmp"
    staged.write_text(newer)
    os.rename(staged, edge.config / "conf.d/portmap.yml")
    pid = edge.pid
    answer = edge.configure(ingress=NEW_ROUTE)
    assert answer["restarted"] is False and edge.pid == pid
    assert edge.status("https://new.example.net/") == 200


# certificates


def test_a_certificate_that_was_replaced_is_served_after_a_reload(edge: Edge, tmp_path: pathlib.Path) -> None:
    tls = {"certificates": [certificate(tmp_path, "first")]}
    edge.configure(ingress=SMALL, tls=tls)
    assert edge.served() == "first"
    assert flags(edge.configure(ingress=SMALL, tls=tls)) == (False, False, False)
    certificate(tmp_path, "second")
    pid = edge.pid
    checked = edge.configure(check=True, ingress=SMALL, tls=tls)
    assert edge.served() == "first", "Traefik reads it by itself, so that none of this is needed"
    answer = edge.configure(ingress=SMALL, tls=tls)
    assert flags(checked) == flags(answer) == (True, False, True)
    assert edge.served() == "second" and edge.pid == pid
    assert f"the certificates that are served for 1 names are those of {tmp_path / 'site.pem'}" in answer["proof"]
    assert flags(edge.configure(ingress=SMALL, tls=tls)) == (False, False, False)


def test_a_reload_that_does_nothing_is_found_out(edge: Edge, tmp_path: pathlib.Path) -> None:
    """By what a client is shown."""
    tls = {"certificates": [certificate(tmp_path, "first")]}
    edge.configure(ingress=SMALL, tls=tls)
    certificate(tmp_path, "second")
    message = failure(edge.configure(ingress=SMALL, tls=tls, reload_command=["true"], timeout=1))
    assert "the certificate that is served for api.example.net at port 443 is none of the files" in message
    assert flags(edge.configure(ingress=SMALL, tls=tls)) == (True, False, True) and edge.served() == "second"


def test_a_reload_is_no_restart(edge: Edge) -> None:
    """What is recorded at a reload must not cover a binary, unit or static file that waits for a restart."""
    static = edge.config / "traefik.yml"
    static.write_text(static.read_text().replace('level: "INFO"', 'level: "WARN"'))
    edge.systemctl("reload")
    assert flags(edge.configure(ingress=SMALL, log_level="WARN")) == (True, True, False)


# secrets


def test_secrets_are_neither_shown_nor_readable(edge: Edge) -> None:
    """The harness looks for the hash and the API's secret in all that a run prints."""
    back = {**SMALL, "routes": {"back": route("back", auth="default")}}
    answer = edge.configure(ingress=back)
    assert flags(answer) == (True, False, False)
    (dynamic,) = [part for part in answer["diff"] if part["after_header"].endswith("portmap.yml")]
    assert "ops:(hidden)" in dynamic["after"] and "portmap:(hidden)" in dynamic["after"]
    rotated = edge.configure(ingress=back, users=[{"name": "ops", "hash": "{SHA}" + "W6ph5Mm5Pz8GgiULbPgzG37mj9g="}])
    assert "W6ph5Mm5" not in str(rotated)
    assert edge.status("https://back.example.net/", "-u", "ops:password") == 200
    assert edge.status("https://back.example.net/", "-u", "ops:lab") == 401
    (edge.config / "conf.d" / "yours.yml").write_text("http: {middlewares: {}}")
    harm = failure(edge.configure(ingress={**back, "routes": {**back["routes"], "new": route("new")}}))
    (edge.config / "conf.d" / "yours.yml").unlink()
    assert HASH not in harm
    for path in edge.config.rglob("*"):
        assert not path.is_file() or not path.stat().st_mode & 0o007


def test_a_certificate_that_is_for_nobody_is_warned_of(edge: Edge, tmp_path: pathlib.Path) -> None:
    """Traefik serves it without a word; who comes in by another proxy may not look, so that it is no error."""
    pair = certificate(tmp_path, "elsewhere", "*.elsewhere.net")
    (warning,) = edge.configure(check=True, ingress=SMALL, tls={"certificates": [pair]})["warnings"]
    assert f"No certificate is for api.example.net (route api): it gets {pair['cert_file']}, which is for *.elsewhere.net" in str(warning)
    assert "warnings" not in edge.configure(check=True, ingress=SMALL, tls={"certificates": [certificate(tmp_path, "here")]})
