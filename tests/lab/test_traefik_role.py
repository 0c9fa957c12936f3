# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role traefik on a real host: how it installs, when it restarts, what the process may do."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import subprocess
import tarfile
import time
import typing as t

import lab
import pytest
from test_routes import https
from test_routes import status as routed

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "alfred-portmap" / "lab"
CAP_NET_BIND_SERVICE = 1 << 10  # linux/capability.h
Play = t.Callable[..., str]


def main_pid() -> int:
    """The process that systemd calls Traefik."""
    return int(lab.run("edge1", "systemctl", "show", "--property", "MainPID", "--value", "traefik").stdout)


def status(pid: int) -> dict[str, str]:
    """What the kernel says of a process (proc(5))."""
    lines = lab.run("edge1", "cat", f"/proc/{pid}/status").stdout.splitlines()
    return {key: value.strip() for key, _colon, value in (line.partition(":") for line in lines)}


def changed(output: str) -> int:
    """How many tasks changed something on edge1."""
    (line,) = [line for line in output.split("PLAY RECAP")[1].splitlines() if line.startswith("edge1 ")]
    return int(line.split("changed=")[1].split()[0])


@pytest.fixture
def play(playbook: Play) -> t.Iterator[Play]:
    """The playbook traefik.yml on edge1; afterwards all is as the lab's inventory says again."""

    def run(*argv: str) -> str:
        return playbook("playbooks/ingress.yml", "--limit", "edge1", *argv)

    yield run
    run()


def test_the_process_may_bind_low_ports_and_nothing_else() -> None:
    seen = status(main_pid())
    assert int(seen["CapEff"], 16) == int(seen["CapBnd"], 16) == CAP_NET_BIND_SERVICE
    assert seen["NoNewPrivs"] == "1"
    assert seen["Seccomp"] == "2", "no filter of system calls"
    uid = lab.run("edge1", "id", "-u", "traefik").stdout.strip()
    assert set(seen["Uid"].split()) == {uid} and uid != "0"


def test_secrets_are_for_traefik_alone() -> None:
    found = lab.run("edge1", "find", "/etc/traefik", "/etc/portmap/tls", "-type", "f", "-printf", "%f %u:%g %m\n").stdout.split("\n")
    files = {name: f"{owner} {mode}" for name, owner, mode in (line.split() for line in found if line)}
    expected = {"traefik.yml": "root:traefik 640", "portmap.yml": "root:traefik 640", "certificates.list": "root:traefik 640"}
    # What the API asks for and what DNS providers are told are root's alone.
    expected |= {"api.token": "root:traefik 600", "environment": "root:root 600"}
    keys = {owner for name, owner in files.items() if name.endswith(".key")}
    assert "root:traefik 640" in keys and keys <= {"root:traefik 640", "root:root 640"}  # one that nginx had is root's
    assert {name: owner for name, owner in files.items() if not name.endswith((".pem", ".key"))} == expected


def test_a_route_changes_without_a_restart(play: Play, tmp_path: pathlib.Path) -> None:
    port_map = tmp_path / "port_map.yml"
    text = (ROOT / "inventories" / "port_map.yml").read_text(encoding="utf-8")
    assert text.count("api: {average: 100}") == 1
    port_map.write_text(text.replace("api: {average: 100}", "api: {average: 7}"), encoding="utf-8")
    before = main_pid()
    output = play("--diff", "-e", f"port_map_file={port_map}")
    assert changed(output) == 1
    assert [line for line in output.splitlines() if line.startswith("+") and "average: 7" in line]
    assert "$2y$" not in output, "a password's hash is shown"
    assert main_pid() == before


def test_the_static_part_restarts_once(play: Play) -> None:
    before = main_pid()
    assert changed(play("-e", "traefik_log_level=WARN")) == 1
    after = main_pid()
    assert after != before
    assert changed(play("-e", "traefik_log_level=WARN")) == 0
    assert main_pid() == after, "a second run restarted it"


UNIT, BINARY = "/etc/systemd/system/traefik.service", "/usr/local/bin/traefik"
# Each leaves all files as they should be, and a Traefik that was started with others: what a run leaves that was interrupted
# between a file and the restart for it.
OWED = {
    "static and binary": "cd /etc/traefik && cp -p traefik.yml /root/kept.yml && echo '# x' >>traefik.yml"
    f" && cp -p {BINARY} /root/new && echo >>/root/new && mv {BINARY} /root/kept && mv /root/new {BINARY} && systemctl restart traefik"
    f" && mv /root/kept {BINARY} && cp -p /root/kept.yml traefik.yml",
    "unit": f"cp -p {UNIT} /root/kept && echo '# x' >>{UNIT} && systemctl daemon-reload && systemctl restart traefik && cp -p /root/kept {UNIT}",
    # The old unit is loaded and starts Traefik once more (it crashed, say) while the new file lies there; then something reloads systemd.
    "unit, started again by the old one": f"cp -p {UNIT} /root/kept && sed -Ei 's/[0-9a-f]{{64}}/{'0' * 64}/' {UNIT} && systemctl daemon-reload"
    f" && cp -p /root/kept {UNIT} && systemctl restart traefik && systemctl daemon-reload",
}


@pytest.mark.parametrize("owed", OWED)
def test_a_restart_that_an_interrupted_run_owed_is_made_up_for(playbook: Play, owed: str) -> None:
    """Check mode and second runs of the same: tests/integration/test_traefik_change.py."""
    lab.run("edge1", "sh", "-c", OWED[owed])
    before = main_pid()
    assert changed(playbook("playbooks/ingress.yml", "--limit", "edge1")) == 1
    assert main_pid() != before
    assert lab.run("edge1", "systemctl", "show", "--property", "NeedDaemonReload", "--value", "traefik").stdout.strip() == "no"


def pair() -> list[str]:
    """The certificate and the key that Traefik serves on edge1."""
    return lab.run("edge1", "cat", "/etc/traefik/certificates.list").stdout.split("\0")[:2]


def fingerprint(command: str) -> str:
    """Of the certificate that a command prints on edge1."""
    return lab.run("edge1", "sh", "-c", f"{command} 2>/dev/null </dev/null | openssl x509 -noout -fingerprint -sha256").stdout


def test_a_certificate_that_was_replaced_is_served_without_a_restart(play: Play) -> None:
    served = "openssl s_client -connect 127.0.0.1:443 -servername api.alfred.example.com"
    pem, key = pair()
    old, before = fingerprint(f"cat {pem}"), main_pid()
    assert fingerprint(served) == old
    making = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj /CN=replaced"
    names = f'-addext "subjectAltName=$(openssl x509 -in {pem} -noout -ext subjectAltName | sed -n 2p | tr -d " ")"'
    # Written into the files that are there: owner, group and mode stay.
    lab.run("edge1", "sh", "-c", f"cd /root && {making} {names} -keyout k -out c 2>/dev/null && cat k >{key} && cat c >{pem}")
    new = fingerprint(f"cat {pem}")
    assert new != old and fingerprint(served) == old, "Traefik reads it by itself"
    assert changed(play()) == 1
    deadline = time.monotonic() + 10
    while fingerprint(served) != new:
        assert time.monotonic() < deadline, "the new certificate is not served"
        time.sleep(0.2)
    assert changed(play()) == 0
    assert main_pid() == before


def test_a_key_that_traefik_cannot_read_is_refused_and_changes_nothing() -> None:
    before = lab.run("edge1", "sh", "-c", "sha256sum /etc/traefik/conf.d/portmap.yml").stdout
    for mode, path in zip(("644", "600"), pair(), strict=True):
        lab.run("edge1", "install", "-o", "root", "-g", "root", "-m", mode, path, f"/etc/portmap/tls/other{pathlib.PurePath(path).suffix}")
    try:
        other = {"cert_file": "/etc/portmap/tls/other.pem", "key_file": "/etc/portmap/tls/other.key"}
        options = json.dumps({"ingress_tls": "files", "ingress_certificates": [other]})
        command = ["ansible-playbook", "playbooks/ingress.yml", "-i", "inventories/lab", "--limit", "edge1", "-e", options]
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "read /etc/portmap/tls/other.key: is it there" in " ".join(done.stdout.split())
        assert lab.run("edge1", "sh", "-c", "sha256sum /etc/traefik/conf.d/portmap.yml").stdout == before
    finally:
        lab.run("edge1", "sh", "-c", "rm /etc/portmap/tls/other.*")


def test_maintenance_shows_a_page_until_it_is_over(play: Play, playbook: Play, tmp_path: pathlib.Path) -> None:
    text = (ROOT / "inventories" / "port_map.yml").read_text(encoding="utf-8")
    old, new = (
        "ports: {metrics: {port: 8881, bind: any}}",
        "ports: {metrics: {port: 8881, bind: any}, maintenance: {port: 8882, protocol: http, bind: loopback}}",
    )
    assert text.count(old) == 1
    port_map = tmp_path / "port_map.yml"
    port_map.write_text(text.replace(old, new), encoding="utf-8")
    options = ["-e", f"port_map_file={port_map}"]
    page = ["-e", json.dumps({"ingress_maintenance": ["api"], "ingress_maintenance_page": "<h1>Back at noon</h1>"})]
    edge, before = lab.ADDRESSES["edge1"][0], main_pid()
    assert changed(play(*options, *page)) > 0
    answer = https("api", edge)
    assert routed(answer) == 503 and "Retry-After: 120" in answer and "<h1>Back at noon</h1>" in answer
    assert routed(https("chat", edge)) == 200
    assert main_pid() == before, "a page needs no restart"
    assert "No findings" in playbook("playbooks/verify.yml", "--limit", "edge1,outsider", *options, *page)
    play()
    assert routed(https("api", edge)) == 200
    assert lab.run("edge1", "systemctl", "is-active", "portmap-maintenance", check=False).stdout.strip() == "inactive"


def archive(folder: pathlib.Path) -> tuple[pathlib.Path, str]:
    """A release archive, as Traefik's project makes them, and its SHA-256."""
    path = folder / "traefik.tar.gz"
    with tarfile.open(path, "w:gz") as made:
        made.add(STATE / "traefik", "traefik")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_archive_is_installed_once(play: Play, tmp_path: pathlib.Path) -> None:
    path, checksum = archive(tmp_path)
    options = ["-e", json.dumps({"traefik_install": "archive", "traefik_archive": str(path), "traefik_checksum": checksum})]
    lab.run("edge1", "rm", "/usr/local/bin/traefik")
    assert changed(play(*options)) > 0
    lab.run("edge1", "/usr/local/bin/traefik", "version")
    assert changed(play(*options)) == 0


def test_an_archive_with_another_checksum_is_refused(tmp_path: pathlib.Path) -> None:
    path, checksum = archive(tmp_path)
    before, binary = main_pid(), lab.run("edge1", "sha256sum", "/usr/local/bin/traefik").stdout
    wrong = "0" * 64
    options = json.dumps({"traefik_install": "archive", "traefik_archive": str(path), "traefik_checksum": wrong})
    command = ["ansible-playbook", "playbooks/ingress.yml", "-i", "inventories/lab", "--limit", "edge1", "-e", options]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"has SHA-256 {checksum}, not {wrong}" in " ".join(done.stdout.split())
    assert (main_pid(), lab.run("edge1", "sha256sum", "/usr/local/bin/traefik").stdout) == (before, binary)
