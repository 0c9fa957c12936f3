# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One word in the map replaces Traefik by nginx and back, on a real host, while somebody asks all the time."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import typing as t

import lab
import pytest
from test_routes import BY_NAME, DOMAIN, https, status

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "alfred-portmap" / "lab"
REAL = "/usr/local/bin/traefik.real"
EDGE = lab.ADDRESSES["edge1"][0]
Play = t.Callable[..., str]

# Runs on the outsider: a new connection for each request, as fast as they are answered, until the file is gone.
ASK = r"""
import json, os, socket, ssl, sys, time
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
request = b"GET / HTTP/1.1\r\nHost: api.DOMAIN\r\nConnection: close\r\n\r\n"
answers, gap, last = {}, 0.0, None
while os.path.exists("/run/asking"):
    try:
        with socket.create_connection(("EDGE", 443), 5) as plain, context.wrap_socket(plain, server_hostname="api.DOMAIN") as secure:
            secure.sendall(request)
            found = secure.recv(12).decode("latin-1")[9:12] or "nothing"
            while secure.recv(65536):
                pass
    except OSError as error:
        found = type(error).__name__
    answers[found] = answers.get(found, 0) + 1
    now = time.monotonic()
    if found == "200":
        gap, last = max(gap, now - last if last else 0.0), now
    time.sleep(0.02)  # the route's limit is 100 a second
print(json.dumps({"answers": answers, "gap": round(gap, 3)}))
"""


@contextlib.contextmanager
def asked() -> t.Iterator[dict[str, t.Any]]:
    """Ask for a route all the time; afterwards: how often each answer came, and the longest time (s) between two that were right."""
    found: dict[str, t.Any] = {}
    lab.run("outsider", "touch", "/run/asking")
    script = ASK.replace("EDGE", EDGE).replace("DOMAIN", DOMAIN)
    client = subprocess.Popen([*lab.inside("portmap-outsider"), "python3", "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        yield found
    finally:
        lab.run("outsider", "rm", "-f", "/run/asking")
        found.update(json.loads(client.communicate(timeout=30)[0]))


def changed(output: str) -> int:
    """How many tasks changed something on edge1."""
    (line,) = [line for line in output.split("PLAY RECAP")[1].splitlines() if line.startswith("edge1 ")]
    return int(line.split("changed=")[1].split()[0])


def there(*paths: str) -> list[str]:
    """Those of these paths that edge1 has."""
    return lab.run("edge1", "sh", "-c", 'for path do [ ! -e "$path" ] || echo "$path"; done', "sh", *paths).stdout.split()


def unit(name: str) -> tuple[str, str]:
    """(is it active, is it enabled) on edge1."""
    answers = [lab.run("edge1", "systemctl", question, name, check=False).stdout.strip() for question in ("is-active", "is-enabled")]
    return answers[0], answers[1]


TRAEFIKS = ("/etc/systemd/system/traefik.service", "/etc/traefik", "/run/traefik", "/usr/local/bin/traefik")
NGINXS = ("/etc/systemd/system/nginx.service.d/portmap.conf", "/etc/nginx/portmap", "/run/nginx-portmap")


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """The lab's map with another proxy."""
    text = (ROOT / "inventories" / "port_map.yml").read_text(encoding="utf-8")
    assert text.count("  ingress: traefik ") == 1
    folder = tmp_path_factory.mktemp("maps")
    found = {}
    for proxy in ("traefik", "nginx", "none"):
        found[proxy] = folder / f"{proxy}.yml"
        found[proxy].write_text(text.replace("  ingress: traefik ", f"  ingress: {proxy} "), encoding="utf-8")
    return found


@pytest.fixture(scope="module", autouse=True)
def _back(playbook: Play) -> t.Iterator[None]:
    """Afterwards all is as the lab's inventory says again."""
    yield
    playbook("playbooks/ingress.yml", "--limit", "edge1")


def only(answers: dict[str, int]) -> None:
    """Right answers, and connections that were refused or cut: never a wrong answer."""
    assert set(answers) <= {"200", "ConnectionRefusedError", "ConnectionResetError", "SSLEOFError", "SSLZeroReturnError", "nothing"}, answers
    assert answers["200"] > 20, answers


def test_nginx_takes_traefiks_place_in_one_run(playbook: Play, maps: dict[str, pathlib.Path]) -> None:
    options = ["-e", f"port_map_file={maps['nginx']}"]
    with asked() as found:
        playbook("playbooks/ingress.yml", "--limit", "edge1", "--diff", *options)
    print(f"traefik -> nginx: {found}")
    only(found["answers"])
    assert unit("nginx") == ("active", "enabled")
    assert unit("traefik")[0] == "inactive"
    assert there(*TRAEFIKS) == []
    assert lab.run("edge1", "pgrep", "-x", "traefik", check=False).stdout == ""
    for name, service in BY_NAME.items():
        answer = https(name, EDGE)
        assert status(answer) == 200 and f"X-Service: {service}" in answer
    assert status(https("prometheus", EDGE)) == 401
    assert status(https("prometheus", EDGE, "--user", "ops:lab", path="/-/healthy")) == 200


def test_a_second_run_finds_nothing_to_do_and_verify_nothing_wrong(playbook: Play, maps: dict[str, pathlib.Path]) -> None:
    options = ["-e", f"port_map_file={maps['nginx']}"]
    assert changed(playbook("playbooks/ingress.yml", "--limit", "edge1", *options)) == 0
    # Traefik's own metrics port is not planned with nginx: the policies of edge1 and of who scrapes it follow.
    playbook("playbooks/firewall.yml", "--limit", "edge1,monitor1", *options)
    assert "No findings" in playbook("playbooks/verify.yml", "--limit", "edge1,outsider", *options)


def test_a_switch_that_fails_leaves_the_old_proxy_serving(playbook: Play) -> None:
    """Traefik's binary says yes to the candidate and dies when it is started for good."""
    broken = f'#!/bin/sh\ncase "$*" in *--configFile=/etc/traefik/*) echo no >&2; exit 3;; esac\nexec {REAL} "$@"\n'
    subprocess.run(["docker", "cp", str(STATE / "traefik"), f"portmap-edge1:{REAL}"], check=True)
    lab.run("edge1", "sh", "-c", "cat >/usr/local/bin/traefik && chmod 755 /usr/local/bin/traefik", stdin=broken)
    command = ["ansible-playbook", "playbooks/ingress.yml", "-i", "inventories/lab", "--limit", "edge1", "-e", "traefik_install=present"]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout
    assert "nginx was started again" in " ".join(done.stdout.split())
    assert unit("nginx") == ("active", "enabled")
    assert unit("traefik")[0] != "active"
    assert status(https("api", EDGE)) == 200
    lab.run("edge1", "rm", "-f", "/usr/local/bin/traefik", REAL)


def test_traefik_takes_nginxs_place_in_one_run(playbook: Play) -> None:
    with asked() as found:
        playbook("playbooks/ingress.yml", "--limit", "edge1")
    print(f"nginx -> traefik: {found}")
    only(found["answers"])
    assert unit("traefik") == ("active", "enabled")
    assert unit("nginx")[0] == "inactive" and unit("nginx")[1] != "enabled"
    assert there(*NGINXS) == []
    assert lab.run("edge1", "pgrep", "-x", "nginx", check=False).stdout == ""
    assert status(https("api", EDGE)) == 200
    assert changed(playbook("playbooks/ingress.yml", "--limit", "edge1")) == 0
    playbook("playbooks/firewall.yml", "--limit", "edge1,monitor1")


def test_without_a_proxy_in_the_map_nothing_of_one_stays(playbook: Play, maps: dict[str, pathlib.Path]) -> None:
    options = ["-e", f"port_map_file={maps['none']}"]
    playbook("playbooks/ingress.yml", "--limit", "edge1", *options)
    assert there(*TRAEFIKS, *NGINXS) == []
    assert lab.connect("outsider", [(EDGE, 443)]) == {(EDGE, 443): "refused"}
