# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nginx_config and the real nginx, in a network namespace: what it refuses, proves and puts back. The wire: test_wire.py."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
import typing as t

import pytest
from nginx_edge import ENTRYPOINTS, NginxEdge, ingress
from wire_client import CLOSED, Ask
from wire_setup import HASH, Data, entrypoint, route
from wire_unit import Unit

OPS = ("ops", "lab")
SHA = "{SHA}OVP53fl1q1CX7kaNmVVcW0QRab8="  # of: lab
OTHER = "{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ="  # of: pass


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_nginx.py needs root: it makes a network namespace", returncode=2)


@pytest.fixture
def virgin() -> t.Iterator[NginxEdge]:
    """A host where nginx has not run yet."""
    made = NginxEdge()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def shared() -> t.Iterator[NginxEdge]:
    """A host whose nginx runs."""
    made = NginxEdge()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def edge(shared: NginxEdge) -> NginxEdge:
    """A host whose nginx runs the small configuration."""
    answer = shared.configure()
    assert "failed" not in answer, answer
    return shared


def proof(answer: Data) -> str:
    """All that was seen."""
    return "\n".join(answer["proof"])


# the way of a change


def test_a_first_run_starts_nginx_and_proves_it_and_a_second_one_only_proves(virgin: NginxEdge) -> None:
    first = virgin.configure()
    assert (first["changed"], first["restarted"], first["reloaded"]) == (True, True, False), first
    for seen in ("`nginx -t` takes", f"configuration {first['release'][:12]}", "workers serve it", "port 443/tcp", "certificates of api.example.net:443"):
        assert seen in proof(first)
    assert virgin.status("api") == 200
    files = virgin.files()
    second = virgin.configure()
    assert (second["changed"], second["restarted"], second["reloaded"]) == (False, False, False), second
    assert f"answers with configuration {first['release'][:12]}" in proof(second)
    assert all(one["before"] == one["after"] for one in second["diff"])
    assert virgin.files() == files


def test_check_mode_tells_what_the_run_then_does_and_touches_nothing(virgin: NginxEdge) -> None:
    for changes in ({}, {"ingress": ingress({"new": route("new", 9002)})}, {"users": [{"name": "ops", "hash": SHA}]}):
        before, pid, workers = virgin.files(), virgin.pid, virgin.workers()
        told = virgin.configure(check=True, **changes)
        assert (virgin.files(), virgin.pid, virgin.workers()) == (before, pid, workers)
        done = virgin.configure(**changes)
        assert [told[key] for key in ("changed", "restarted", "reloaded", "release", "diff")] == [
            done[key] for key in ("changed", "restarted", "reloaded", "release", "diff")
        ]
        assert "`nginx -t` takes the configuration" in proof(told)


def test_a_change_is_a_reload_with_new_workers_and_the_release_before_is_kept(edge: NginxEdge) -> None:
    before, pid, workers = edge.release, edge.pid, edge.workers()
    answer = edge.configure(ingress=ingress({"new": route("new", 9002)}))
    assert (answer["changed"], answer["restarted"], answer["reloaded"]) == (True, False, True), answer
    assert (edge.pid, edge.workers() & workers) == (pid, set())
    assert edge.status("new") == 200
    assert set(os.listdir(edge.config / "releases")) == {before, answer["release"]}
    edge.configure()
    assert edge.status("new") == CLOSED


def test_connections_of_before_a_reload_are_kept_and_told(edge: NginxEdge) -> None:
    with contextlib.closing(Ask("ended.example.net", port=5443).connect(edge.inside)) as stream:
        assert stream.recv(100) == b"stream\n"
        answer = edge.configure(ingress=ingress({"new": route("new", 9002)}))
        assert "more end what they had begun" in proof(answer)
        stream.sendall(b"still there?")
        assert stream.recv(100) == b"still there?"


def test_a_route_that_goes_takes_its_entrypoint_with_it(edge: NginxEdge) -> None:
    answer = edge.configure(ingress=ingress({"stream": None}, {"stream": None}))
    assert answer["reloaded"], answer
    with pytest.raises(OSError, match="refused"):
        Ask("", port=5000, tls=False).connect(edge.inside)


def test_limits_change_their_rate_and_their_key_in_one_reload(edge: NginxEdge) -> None:
    """A zone keeps its key for as long as nginx runs, `nginx -t` knows nothing of that, and the reload would fail."""
    front = {"trusted": ["198.51.100.1/32"], "depth": 1, "proxy_protocol": False, "terminates_tls": False}
    fronted = {**ENTRYPOINTS["websecure"], "proxies_in_front": front}
    for changes in (
        {"rate_limits": {"calm": {"average": 7, "burst": 3}}},
        {"entrypoints": {"websecure": fronted}},
        {"entrypoints": {"websecure": {**fronted, "proxies_in_front": {**front, "depth": 2}}}},
        {},
    ):
        assert edge.configure(ingress=ingress(**t.cast(t.Any, changes)))["reloaded"], changes


def test_a_canary_behind_an_allow_list_gets_connections_that_nobody_has_opened(edge: NginxEdge) -> None:
    """geo gives what it has been told as it is, a variable's name included, and there is no such backend."""
    canary = {"weight": 50, "protocol": "tcp", "backends": [{"address": "127.0.0.1", "port": 9102}]}
    through = route("through", 9102, entrypoint="streams", protocol="tcp", passthrough=True, canary=canary)
    for allow, served in (["198.51.100.0/24", "198.51.100.1"], True), (["192.0.2.0/24"], False):
        answer = edge.configure(ingress=ingress({"through": {**through, "allow": allow}}))
        assert answer["reloaded"], answer
        refused = contextlib.nullcontext() if served else pytest.raises(OSError, match=r".")
        with refused, contextlib.closing(Ask("through.example.net", port=5443).connect(edge.inside)) as stream:
            assert stream.recv(100) == b"through\n"


# what `nginx -t` and a reload say nothing of (research/ingress.md, 5)


def test_a_port_that_is_taken_while_it_reloads_is_seen_and_all_is_put_back(edge: NginxEdge) -> None:
    """`kill -HUP` answers 0, and nginx goes on with what it had."""
    files, pid = edge.files(), edge.pid
    hold = f"{subprocess.list2cmdline(edge.listen(8099))} >/dev/null 2>&1 &"
    wait = "until grep -q :1FA3 /proc/net/tcp; do sleep 0.02; done"
    command = edge.script("hold", f"test -e {edge.folder}/held || {{ {hold}", f"echo $! >{edge.folder}/held; {wait}; }}", "$unit reload")
    answer = edge.configure(ingress=ingress({"late": route("late", entrypoint="late")}, {"late": entrypoint(8099)}), reload_command=command)
    os.kill(int((edge.folder / "held").read_text()), signal.SIGKILL)
    assert answer["failed"]
    for said in ("still serves another configuration", "still could not bind()", "all files are as before", "nginx runs as before"):
        assert said in answer["msg"], answer["msg"]
    assert (edge.files(), edge.pid, edge.status("api")) == (files, pid, 200)
    assert not edge.configure()["changed"]


@pytest.mark.parametrize("family", ["0.0.0.0", "127.0.0.1", "::1"])
def test_a_port_of_somebody_else_is_refused_by_name(edge: NginxEdge, family: str) -> None:
    """`nginx -t` forgives a port that is in use."""
    files = edge.files()
    with contextlib.closing(edge.inside.socket(family)) as held:
        held.bind((family, 8098))
        held.listen()
        answer = edge.configure(ingress=ingress({"late": route("late", entrypoint="late")}, {"late": entrypoint(8098)}))
    assert answer["failed"] and "port 8098/tcp is held by" in answer["msg"] and "nothing was changed" in answer["msg"], answer
    assert edge.files() == files


def test_only_root_reaches_the_control_socket(edge: NginxEdge) -> None:
    """Workers need the directory above it, and so their group can search it."""
    script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    for path, reached in ((edge.run / "control/control.sock", False), (next(edge.run.glob("*.sock")), True)):
        asking = ["setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups", "python3", "-c", script, str(path)]
        done = subprocess.run(asking, capture_output=True, text=True, check=False)
        assert (done.returncode == 0, "PermissionError" in done.stderr) == (reached, not reached), done.stderr


def test_an_unknown_host_gets_nothing(edge: NginxEdge) -> None:
    """nginx itself would hand it to the first server."""
    assert edge.status("nobody") == CLOSED
    assert edge.status("nobody", port=80, tls=False) == CLOSED
    assert edge.status("api", host_header="nobody.example.net") == CLOSED
    assert Ask("")(edge.inside).status == CLOSED
    with pytest.raises(OSError, match=r"."):
        Ask("nobody.example.net", port=5443).connect(edge.inside).recv(1)


def test_maintenance_does_not_answer_before_the_guards(edge: NginxEdge) -> None:
    """A `return` would: nginx rewrites before it asks for passwords."""
    assert edge.status("closed") == 401
    answer = edge.get("closed", user=OPS)
    assert (answer.status, answer.one("Retry-After")) == (503, "120")
    assert edge.get("closed", user=OPS, method="POST", body=b"x").status == 503


def test_a_password_counts_at_once_and_the_old_one_no_more(edge: NginxEdge) -> None:
    assert (edge.status("back", user=OPS), edge.status("back", user=("ops", "pass"))) == (200, 401)
    answer = edge.configure(users=[{"name": "ops", "hash": OTHER}])
    assert answer["reloaded"] and OTHER not in json.dumps(answer)
    assert (edge.status("back", user=OPS), edge.status("back", user=("ops", "pass"))) == (401, 200)


def test_secrets_are_nobodys_but_roots_and_the_workers(edge: NginxEdge) -> None:
    secret = [path for path in edge.config.rglob("*") if path.is_file() and HASH in path.read_text()]
    assert [path.parent.name for path in secret] == ["users"]
    for path in [*secret, *secret[0].parents[:3]]:
        assert path.stat().st_mode & 0o007 == 0, path
    answer = edge.configure(users=[{"name": "ops", "hash": SHA}])
    assert "failed" not in answer, answer
    assert "ops:(hidden)" in answer["diff"][0]["before"] and SHA not in json.dumps(answer)


def test_a_certificate_for_other_names_is_served_and_warned_of(edge: NginxEdge) -> None:
    assert "warnings" not in edge.configure()
    answer = edge.configure(tls={"certificates": [edge.certificates.other]})
    assert "failed" not in answer, answer
    said = [str(one) for one in answer["warnings"]]
    assert any("No certificate is for api.example.net (route api)" in one and "which is for other.example.org" in one for one in said), said


@pytest.mark.parametrize("closed", ["", "releases", "releases/*", "releases/*/users"])
def test_directories_that_keep_the_workers_out_are_put_right(edge: NginxEdge, closed: str) -> None:
    """Hardening does that, or a run that is killed between making one and giving it to the group."""
    for path in edge.config.glob(closed) if closed else [edge.config]:
        shutil.chown(path, group="root")
        path.chmod(0o700)
    assert edge.status("back", user=OPS) == 500
    assert edge.configure(check=True)["changed"]
    answer = edge.configure()
    assert (answer["changed"], answer["reloaded"], answer["restarted"]) == (True, False, False), answer
    assert "workers can read maintenance.html, users/default" in proof(answer)
    assert (edge.status("back", user=OPS), edge.status("closed", user=OPS)) == (200, 503)
    assert not edge.configure()["changed"]


def test_another_group_counts_for_all_that_leads_to_a_file(edge: NginxEdge) -> None:
    edge.run.chmod(0o711)  # the unit gives it to the group
    for group in ("games", "www-data"):
        answer = edge.configure(group=group)
        assert answer["reloaded"], answer
        assert {path.group() for path in (edge.config, *edge.config.glob("releases"), *edge.config.glob(f"releases/{edge.release}/**/*"))} == {group}
        assert edge.status("back", user=OPS) == 200
    edge.run.chmod(0o710)


def test_a_directory_of_others_that_keeps_the_workers_out_is_told(virgin: NginxEdge) -> None:
    http = ingress({"ended": None}, {"streams": None})  # the sockets between nginx's two parts lie there too
    virgin.place.chmod(0o700)
    answer = virgin.configure(ingress=http)
    assert answer["failed"] and "workers can't read" in answer["msg"] and "users/default" in answer["msg"], answer
    assert virgin.files() == {}
    virgin.place.chmod(0o755)
    assert virgin.configure(ingress=http)["restarted"]
    virgin.place.chmod(0o700)
    answer = virgin.configure(ingress=http)
    assert answer["failed"] and "workers can't read" in answer["msg"] and "nothing was changed" in answer["msg"], answer


def test_a_certificate_that_was_replaced_is_read_and_seen(virgin: NginxEdge) -> None:
    virgin.configure()
    assert not virgin.configure()["changed"]
    pair, other = virgin.certificates.site, virgin.certificates.issue("newer", "*.example.net")
    for key in pair:
        shutil.copy(other[key], pair[key])
    answer = virgin.configure()
    assert (answer["changed"], answer["reloaded"]) == (True, True), answer
    assert "certificates of api.example.net:443" in proof(answer)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"users": []}, "nobody could get in"),
        ({"ingress": ingress({"twin": route("api", 9002)})}, "is route api's already"),
        ({"ingress": ingress({"named": route("named", backends=[{"address": "backend.example", "port": 1}])})}, "must be an address"),
        ({"ingress": ingress({"cloud": route("cloud", 9002, entrypoint="nowhere")})}, "is no entrypoint"),
        ({"ingress": ingress({"pg": route("pg", 9102, entrypoint="streams", protocol="postgresql")})}, "is Traefik's alone"),
        ({"ingress": ingress(entrypoints={"websecure": entrypoint(443, http3=True)})}, "was built without it"),
        ({"ingress": ingress({"sealed": route("sealed", 9004, protocol="https")})}, "backend_tls.server_name"),
        ({"tls": {"certificates": []}}, "needs a certificate"),
        ({"tls": {"certificates": [{"cert_file": "/nowhere.pem", "key_file": "/nowhere.key"}]}}, "is not there"),
        ({"run_dir": "/run/" + "a" * 100}, "80 bytes at most"),
        ({"acme_webroot": "/var/$host"}, "must not have a '$'"),
        ({"users": [{"name": "ops", "hash": "$6$salt$" + "a" * 86}]}, "every password would be refused"),
    ],
)
def test_what_nginx_would_take_or_serve_otherwise_is_refused_untouched(edge: NginxEdge, changes: Data, said: str) -> None:
    files, pid, workers = edge.files(), edge.pid, edge.workers()
    answer = edge.configure(**changes)
    assert answer["failed"] and said in answer["msg"] and "nothing was changed" in answer["msg"], answer
    assert (edge.files(), edge.pid, edge.workers()) == (files, pid, workers)


def test_what_nginx_refuses_is_told_in_its_words_and_without_our_paths(edge: NginxEdge) -> None:
    """Whatever that may be: all that is known to be refused is an error before."""
    files = edge.files()
    program = edge.folder / "stricter"
    program.write_text(f"#!/bin/sh\ncase $1 in -t) echo 'nonsense on;' >>$3 ;; esac\nexec {edge.binary} \"$@\"\n")
    program.chmod(0o755)
    answer = edge.configure(binary=str(program), ingress=ingress({"new": route("new", 9002)}))
    assert answer["failed"] and '`nginx -t` refuses the configuration: unknown directive "nonsense" in nginx.conf:' in answer["msg"], answer
    assert answer["msg"].endswith("; nothing was changed") and "/portmap-nginx-" not in answer["msg"]
    assert edge.files() == files


def test_a_trial_takes_no_port_of_the_host(virgin: NginxEdge) -> None:
    """`nginx -t` binds every port that is free; here it would have to be the one that it does not see."""
    program = virgin.folder / "watched"
    program.write_text(f'#!/bin/sh\ncase $1 in -t) readlink /proc/self/ns/net >>{virgin.folder}/seen ;; esac\nexec {virgin.binary} "$@"\n')
    program.chmod(0o755)
    assert virgin.configure(check=True, binary=str(program))["changed"]
    here = virgin.inside.run("readlink", "/proc/self/ns/net").stdout
    assert (virgin.folder / "seen").read_text() not in ("", here)


NASTY = "a'b\"c\\d;e{f}g$h${i}#j `k` \\n $host"


def test_no_value_is_read_as_more_than_a_value(edge: NginxEdge) -> None:
    odd = {"odd": route("api", 9002, path="/a;{b}$host\"'\\~#/")}
    answer = edge.configure(headers={"X-Odd": NASTY}, ingress=ingress(odd), maintenance=["closed"], maintenance_page=NASTY)
    assert "failed" not in answer, answer
    assert edge.get("api").one("X-Odd") == NASTY
    found = edge.get("api", "/a;%7Bb%7D$host%22'%5C~%23/x")
    assert (found.status, found.one("X-Service")) == (200, "two")
    assert edge.get("closed", user=OPS).body.decode() == NASTY


# stopped, hung, foreign


def test_a_stopped_nginx_is_started_and_that_is_told(virgin: NginxEdge) -> None:
    virgin.configure()
    Unit(str(virgin.unit)).stop()
    answer = virgin.configure()
    assert (answer["changed"], answer["restarted"]) == (True, True) and "nginx was found stopped" in proof(answer)
    assert virgin.status("api") == 200


def test_a_killed_nginx_leaves_sockets_that_keep_nobody_out(virgin: NginxEdge) -> None:
    virgin.configure()
    for pid in (virgin.pid, *virgin.workers()):
        os.kill(pid, signal.SIGKILL)
    assert (virgin.run / "control/control.sock").exists()
    assert virgin.configure()["restarted"]
    assert virgin.status("api") == 200


@pytest.mark.parametrize("who", ["all", "workers", "master"])
def test_a_hung_nginx_is_restarted_once_and_that_is_told(virgin: NginxEdge, who: str) -> None:
    virgin.configure()
    halted = {"all": [virgin.pid, *virgin.workers()], "workers": virgin.workers(), "master": [virgin.pid]}[who]
    for pid in halted:
        os.kill(pid, signal.SIGSTOP)
    # systemd ends a unit that does not end by SIGKILL; here the signal goes to all of them at once.
    command = virgin.script("restart", *(f"kill -KILL {pid}" for pid in (virgin.pid, *virgin.workers())), "$unit restart")
    answer = virgin.configure(restart_command=command)
    assert (answer["changed"], answer["restarted"]) == (True, True) and "nginx was found hung" in proof(answer), answer
    assert virgin.status("api") == 200
    assert not virgin.configure()["changed"]


def foreign(edge: NginxEdge, port: int) -> subprocess.Popen[bytes]:
    """Another nginx that serves something of its own."""
    config = edge.folder / "foreign.conf"
    config.write_text(f"pid {edge.folder}/foreign.pid;\nevents {{}}\nhttp {{ access_log off; server {{ listen {port}; return 200 mine; }} }}\n")
    process = edge.spawn("nginx", "-c", str(config), "-g", "daemon off;")
    edge.until(lambda: edge.status("api", port=port, tls=False) == 200, "the other nginx does not start")
    return process


@pytest.mark.parametrize("port", [80, 8097])
def test_another_nginx_is_refused_and_left_alone(virgin: NginxEdge, port: int) -> None:
    foreign(virgin, port)
    answer = virgin.configure()
    assert answer["failed"] and "is not ours" in answer["msg"] and "nginx_take_over" in answer["msg"] and "foreign.conf" in answer["msg"], answer
    assert virgin.files() == {}
    assert virgin.get("api", port=port, tls=False).body == b"mine"


def test_another_nginx_may_be_taken_over_and_comes_back_if_that_fails(virgin: NginxEdge) -> None:
    process = foreign(virgin, 80)
    end = f"kill -QUIT $(cat {virgin.folder}/foreign.pid)"
    wait = f"while test -e {virgin.folder}/foreign.pid; do sleep 0.02; done"
    failing = virgin.script("fails", f"test ! -e {virgin.config}/nginx.conf || exit 3")
    answer = virgin.configure(take_over=True, restart_command=failing)
    assert answer["failed"] and "ran before, with another configuration, was started again" in answer["msg"], answer
    assert (process.poll(), virgin.release) == (None, "")
    answer = virgin.configure(take_over=True, restart_command=virgin.script("takes", end, wait, "$unit restart"))
    assert "failed" not in answer, answer
    assert virgin.status("api", port=80, tls=False) == 301


def test_a_start_that_fails_is_told_and_leaves_nothing(virgin: NginxEdge) -> None:
    hold = f"{subprocess.list2cmdline(virgin.listen(80))} >/dev/null 2>&1 &"
    command = virgin.script("late", hold, "until grep -q :0050 /proc/net/tcp; do sleep 0.02; done", "$unit restart")
    answer = virgin.configure(restart_command=command)
    assert answer["failed"] and "nginx is stopped as it was" in answer["msg"] and "could not bind()" in answer["msg"], answer
    assert [name for name in virgin.files() if "/" in name] == [] and virgin.release == ""


# interrupted runs, other binaries and units


def test_a_run_that_is_killed_before_the_reload_owes_nothing_to_the_next_one(edge: NginxEdge) -> None:
    new = ingress({"new": route("new", 9002)})
    done = edge.module(edge.arguments(ingress=new, reload_command=edge.script("kills", "kill -KILL $PPID; sleep 1")))
    assert done.returncode != 0 and not done.stdout
    assert edge.status("new") == CLOSED
    answer = edge.configure(ingress=new)
    assert (answer["changed"], answer["reloaded"]) == (True, True), answer
    assert edge.status("new") == 200


def test_what_was_edited_and_reloaded_by_hand_does_not_pass_for_what_was_written(edge: NginxEdge) -> None:
    """Its hash is still in it. Nor if the file was put right again and nginx was not told, as by a run that was killed."""
    path = edge.config / "releases" / edge.release / "http.conf"
    text = path.read_text()
    for put_right in (False, True):
        path.write_text(text.replace("return 444;", "return 204;"))
        subprocess.run(edge.command("reload"), check=True)
        edge.until(lambda: edge.status("api", host_header="nobody.example.net") == 204, "nginx does not take it up")
        if put_right:
            path.write_text(text)
        assert edge.configure(check=True)["reloaded"]
        answer = edge.configure()
        assert (answer["changed"], answer["reloaded"]) == (True, True), answer
        assert edge.status("api", host_header="nobody.example.net") == CLOSED
        assert not edge.configure()["changed"]


def test_half_a_release_is_written_anew(edge: NginxEdge) -> None:
    new = ingress({"half": route("half", 9002)})
    release = edge.configure(check=True, ingress=new)["release"]
    half = edge.config / "releases" / release
    half.mkdir()
    (half / "http.conf").write_text("half of i")
    assert edge.configure(ingress=new)["reloaded"]
    assert edge.status("half") == 200


def test_another_binary_in_its_place_is_due_for_a_restart(virgin: NginxEdge) -> None:
    binary = virgin.folder / "nginx"
    shutil.copy(virgin.binary, binary)
    virgin.binary = str(binary)
    virgin._nginx()
    virgin.own = {"run_dir": str(virgin.run), "group": "www-data"}
    assert virgin.configure()["restarted"]
    os.rename(shutil.copy(binary, f"{binary}.new"), binary)
    assert virgin.configure()["restarted"]
    assert not virgin.configure()["changed"]


def test_the_units_file_is_part_of_the_change(virgin: NginxEdge) -> None:
    unit = virgin.folder / "portmap.conf"
    said = {"unit": str(unit), "unit_content": "[Service]\n"}
    told = Unit(str(virgin.unit)).told
    record = ["sh", "-c", f"grep -v '^#' {unit} | sha256sum >{virgin.run}/started.sha256"]
    (virgin.unit / "unit.json").write_text(json.dumps({**told, "before": [*told["before"], record]}))
    refused = virgin.configure(users=[], **said)
    assert refused["failed"] and not unit.exists()
    failed = virgin.configure(**said, restart_command=["false"])
    assert failed["failed"] and not unit.exists() and virgin.release == ""
    assert virgin.configure(**said)["restarted"] and unit.read_text() == said["unit_content"]
    assert not virgin.configure(**said)["changed"]
    said["unit_content"] = "# other\n" + said["unit_content"]
    answer = virgin.configure(**said)
    assert (answer["changed"], answer["restarted"], answer["reloaded"]) == (True, False, False), answer
    assert not virgin.configure(**said)["changed"]
    said["unit_content"] += "LimitNOFILE=1024\n"
    failed = virgin.configure(**said, restart_command=["true"], timeout=1)
    assert failed["failed"] and "was not started anew" in failed["msg"] and "nginx runs as before" in failed["msg"], failed
    assert virgin.configure(check=True, **said)["restarted"]
    assert virgin.configure(**said)["restarted"]
    assert not virgin.configure(**said)["changed"]


def test_clients_are_told_to_come_back_over_a_new_connection_while_it_reloads(edge: NginxEdge) -> None:
    """Not over a connection that becomes a WebSocket's, nor any more once the reload is through."""
    asked = edge.folder / "asked"
    url = ["--connect-to", "::203.0.113.11:", "-sk", "-o", "/dev/null", "-D", "-", "https://api.example.net/"]
    upgrade = ["-H", "Connection: Upgrade", "-H", "Upgrade: other"]
    kinds = (["--http1.1"], ["--http2"], ["--http1.1", *upgrade])
    lines = [f"{shlex.join(['curl', *kind, *url])} >>{asked}" for kind in kinds]
    answer = edge.configure(ingress=ingress({"new": route("new", 9002)}), reload_command=edge.script("asks", *lines, "$unit reload"))
    assert answer["reloaded"], answer
    told = [part.lower() for part in asked.read_text().replace("\r", "").split("\n\n") if part]
    assert ["connection: close" in part for part in told] == [True, False, False]
    assert edge.get("api").all("Connection") == ["keep-alive"]
    assert not list(edge.run.glob("drain-*"))


def test_no_request_is_lost_while_it_reloads(edge: NginxEdge) -> None:
    seen = []
    ends = time.monotonic() + 60
    for number in range(4):
        process = subprocess.Popen(edge.command("reload"))
        while process.poll() is None and time.monotonic() < ends:
            seen.append(edge.status("api"))
        seen += [edge.status("api") for _more in range(10)]
        assert process.returncode == 0, number
    assert set(seen) == {200}
