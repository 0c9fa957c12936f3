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
SIGNED = ["-e", "ingress_tls=self_signed"]

NGINX = MAP.replace("ingress: traefik", "ingress: nginx")
ONE_NGINX = ONE_VM.replace("ingress: traefik", "ingress: nginx")
CONTAINER_WHY = "nginx is run on the host itself, where it would not reach other containers by their names"
NO_CERTIFICATE = "there are routes with tls (api), and no certificate"
SITE, INGRESS = "site.yml", "playbooks/ingress.yml"

# (map, groups, playbook and options, why it is refused)
REFUSED = [
    pytest.param(ONE_NGINX, {"vms": ["vm1"]}, [SITE, *SIGNED], CONTAINER_WHY, id="nginx in a container"),
    pytest.param(ONE_NGINX, {"vms": ["vm1"]}, [SITE, *SIGNED, "--check"], CONTAINER_WHY, id="nginx in a container, check mode"),
    pytest.param(ONE_NGINX, {"vms": ["vm1"]}, [INGRESS, *SIGNED], CONTAINER_WHY, id="nginx in a container, ingress.yml"),
    pytest.param(ONE_VM, {"vms": ["vm1"]}, [SITE, *SIGNED], "traefik_image is not set", id="a container of no image"),
    pytest.param(MAP, TWO_TIERS, [SITE], NO_CERTIFICATE, id="no certificate"),
    pytest.param(NGINX, TWO_TIERS, [SITE], NO_CERTIFICATE, id="no certificate, nginx"),
    pytest.param(NGINX, TWO_TIERS, [INGRESS, "-e", "ingress_default_certificate=true"], NO_CERTIFICATE, id="nginx has none of its own"),
    pytest.param(MAP, TWO_TIERS, [INGRESS, "-e", "ingress_tls=acme"], "ingress_tls is acme, and ingress_acme is not set", id="no account"),
    pytest.param(NGINX, TWO_TIERS, [INGRESS, "-e", "ingress_tls=acme"], "nginx gets no certificates by itself", id="acme, nginx"),
    pytest.param(MAP, TWO_TIERS, [INGRESS, *SIGNED, "-e", '{"ingress_maintenance": ["appi"]}'], "there is no http route appi; there are api", id="maintenance"),
    pytest.param(MAP, TWO_TIERS, [INGRESS, "-e", '{"ingress_certificates": [{"cert_file": "/root/c.pem", "key_file": "/c.key"}]}'],
                 "/root/c.pem: Traefik's unit sees nothing in /home", id="certificates out of sight"),
]  # fmt: skip
SERVED = [
    pytest.param(MAP, TWO_TIERS, SIGNED, id="self-signed"),
    pytest.param(NGINX, TWO_TIERS, SIGNED, id="nginx, self-signed"),
    pytest.param(ONE_VM, {"vms": ["vm1"]}, [*SIGNED, "-e", "traefik_image=traefik:v3"], id="a container"),
    pytest.param(MAP, TWO_TIERS, ["-e", '{"ingress_certificates": [{"cert_file": "/c.pem", "key_file": "/c.key"}]}'], id="files"),
    pytest.param(MAP, TWO_TIERS, ["-e", "ingress_tls=acme", "-e", '{"ingress_acme": {"email": "ops@example.net"}}'], id="acme"),
    pytest.param(MAP, TWO_TIERS, ["-e", "ingress_default_certificate=true"], id="Traefik's own"),
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
    done = play(tmp_path, text, groups, INGRESS, *options)
    assert touched(done.stdout), done.stdout + done.stderr
    assert any(host in done.stdout for hosts in groups.values() for host in hosts)


def test_hosts_beyond_the_limit_refuse_nothing(tmp_path: pathlib.Path) -> None:
    done = play(tmp_path, MAP, TWO_TIERS, SITE, "--limit", "app1")
    assert "no certificate" not in done.stdout and touched(done.stdout), done.stdout + done.stderr
