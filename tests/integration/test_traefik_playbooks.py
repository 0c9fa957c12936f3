# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be served is refused by the playbooks before any host is touched. No host here exists: touching one is seen."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

MAP = """
port_map:
  version: 1
  domain: example.net
  namespace: shop
  ingress: traefik
  services:
    api: {port: 8080, protocol: http, hosts: app}
    proxy: {port: 8880, protocol: http, bind: loopback, hosts: edge}
  entrypoints:
    web: {port: 80, redirect_to: websecure}
    websecure: {port: 443, tls: true}
  routes:
    api: {host: api, service: api}
  firewall:
    ingress: [{name: https, port: [80, 443], from: anywhere, hosts: edge}]
    egress: []
"""
ONE_VM = (ROOT / "tests/maps/one_vm.yml").read_text(encoding="utf-8")
TWO_TIERS = {"app": ["app1"], "edge": ["edge1"]}
SIGNED = ["-e", "traefik_tls=self_signed"]

NGINX = MAP.replace("ingress: traefik", "ingress: nginx")
CONTAINER_WHY = "A Traefik in a container is planned but not yet installed by this role"
NGINX_WHY = "the map says `ingress: nginx`, and only traefik can be served yet"
SITE, TRAEFIK = "site.yml", "playbooks/traefik.yml"

# (map, groups, playbook and options, why it is refused)
REFUSED = [
    pytest.param(ONE_VM, {"vms": ["vm1"]}, [SITE, *SIGNED], CONTAINER_WHY, id="container"),
    pytest.param(ONE_VM, {"vms": ["vm1"]}, [SITE, *SIGNED, "--check"], CONTAINER_WHY, id="container, check mode"),
    pytest.param(ONE_VM, {"vms": ["vm1"]}, [TRAEFIK, *SIGNED], CONTAINER_WHY, id="container, traefik.yml"),
    pytest.param(NGINX, TWO_TIERS, [SITE, *SIGNED], NGINX_WHY, id="nginx"),
    pytest.param(NGINX, TWO_TIERS, [SITE, *SIGNED, "--check"], NGINX_WHY, id="nginx, check mode"),
    pytest.param(NGINX, TWO_TIERS, [TRAEFIK, *SIGNED], NGINX_WHY, id="nginx, traefik.yml"),
    pytest.param(MAP, TWO_TIERS, [SITE], "there are routes with tls (api), and no certificate", id="no certificate"),
    pytest.param(MAP, TWO_TIERS, [TRAEFIK, "-e", "traefik_tls=acme"], "traefik_tls is acme, and traefik_acme is not set", id="no account"),
]
SERVED = [
    pytest.param(MAP, TWO_TIERS, SIGNED, id="self-signed"),
    pytest.param(MAP, TWO_TIERS, ["-e", '{"traefik_certificates": [{"cert_file": "/c.pem", "key_file": "/c.key"}]}'], id="files"),
    pytest.param(MAP, TWO_TIERS, ["-e", "traefik_tls=acme", "-e", '{"traefik_acme": {"email": "ops@example.net"}}'], id="acme"),
    pytest.param(MAP, TWO_TIERS, ["-e", "traefik_default_certificate=true"], id="Traefik's own"),
    pytest.param(MAP.replace("api: {host: api,", "api: {host: api, entrypoint: plain,").replace("entrypoints:", "entrypoints:\n    plain: {port: 8080}"),
                 TWO_TIERS, [], id="no tls"),
]  # fmt: skip


def play(folder: pathlib.Path, text: str, groups: dict[str, list[str]], playbook: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook on hosts that nobody reaches."""
    (folder / "port_map.yml").write_text(text, encoding="utf-8")
    lines = []
    for number, (group, hosts) in enumerate(groups.items()):
        lines += [f"[{group}]", *(f"{host} ansible_host=127.0.0.1 ansible_port=1 port_map_addresses='[\"203.0.113.7{number}\"]'" for host in hosts)]
    (folder / "hosts.ini").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), playbook, "-i", str(folder / "hosts.ini"), *options]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_") and key != "PYTHONPATH"}
    return subprocess.run(command, cwd=ROOT, env={**kept, "LC_ALL": "C.UTF-8"}, capture_output=True, text=True, timeout=120, check=False)


def touched(output: str) -> bool:
    """Whether a connection to any host was tried: none of them answers."""
    return "UNREACHABLE" in output or re.search(r"unreachable=[1-9]", output) is not None


@pytest.mark.parametrize(("text", "groups", "options", "why"), REFUSED)
def test_what_cannot_be_served_touches_no_host(tmp_path: pathlib.Path, text: str, groups: dict[str, list[str]], options: list[str], why: str) -> None:
    done = play(tmp_path, text, groups, *options)
    report = done.stdout + done.stderr
    assert done.returncode != 0
    assert why in " ".join(report.split()), report
    assert "PLAY RECAP" in report and not touched(report), report
    assert "alfred.portmap.firewall" not in report, "no task of the firewall is even begun"


@pytest.mark.parametrize(("text", "groups", "options"), SERVED)
def test_what_can_be_served_goes_on_to_the_hosts(tmp_path: pathlib.Path, text: str, groups: dict[str, list[str]], options: list[str]) -> None:
    """Without it the test above would not show that hosts are touched where nothing is wrong."""
    done = play(tmp_path, text, groups, TRAEFIK, *options)
    assert touched(done.stdout), done.stdout + done.stderr
    assert "edge1" in done.stdout


def test_hosts_beyond_the_limit_refuse_nothing(tmp_path: pathlib.Path) -> None:
    done = play(tmp_path, MAP, TWO_TIERS, SITE, "--limit", "app1")
    assert "no certificate" not in done.stdout and touched(done.stdout), done.stdout + done.stderr
