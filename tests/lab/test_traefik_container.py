# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traefik in a container beside the services' containers, on a host with a Docker engine of its own, asked from the outside.

Its image is the real binary and nothing else. The services are containers that have no port on their host: Traefik knows them by name.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import subprocess
import time
import typing as t

import lab
import pytest
import yaml
from conftest import ROOT
from extra import ENGINE, STATE, ExtraHost, extra_host

pytestmark = pytest.mark.beside

HOST4, HOST6 = "203.0.113.32", "2001:db8:1::32"
OUTSIDE4 = lab.OUTSIDER[0]
IMAGE = "traefik-lab:3"
BACK = "shop_back"  # what a Compose project `shop` would call its network `back`
API = 8880

# Answers who it is, and what Traefik told it.
SERVE = """
import http.server, json, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"service": sys.argv[1], "path": self.path, "from": told.get("x-forwarded-for")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("", int(sys.argv[2])), Answer).serve_forever()
"""

# Of the host's own /usr; it has no name of its own in it.
SERVICES = {"web": 3000, "api": 8000, "admin": 9000}
PASSWORD_HASH = "$2y$05$0Zn0nM3Vbu6tXLJiNXy7Ou3OA9VgT0cG9C2nGlZGfL0kCC6T3Mc0W"

PORT_MAP: dict[str, t.Any] = {
    "version": 1,
    "namespace": "shop",
    "hosts": "ctr1",
    "container": True,
    "ingress": "traefik",
    "networks": {"outside": {"hosts": "outsider"}},
    "services": {
        "proxy": {"port": API, "bind": "loopback", "ports": {"metrics": 8881}},
        **{name: {"port": "none", "container_port": port, "protocol": "http"} for name, port in SERVICES.items()},
        "sshd": {"port": 22, "protocol": "ssh", "container": False},
    },
    "entrypoints": {"web": {"port": 80, "redirect_to": "websecure"}, "websecure": {"port": 443, "tls": True, "http3": True}},
    "rate_limits": {"calm": {"average": 1, "burst": 5}},
    "routes": {
        "web": {"host": "shop.example.com", "service": "web"},
        "api": {"host": "shop.example.com", "path": "/api", "service": "api", "rate_limit": "calm"},
        "admin": {"host": "admin.example.com", "service": "admin", "auth": True},
        "inner": {"host": "inner.example.com", "service": "web", "from": "outside"},
    },
    "firewall": {
        "egress": "allow",
        "ingress": [{"name": "web", "port": [80, 443], "from": "anywhere", "hosts": "ctr1"}, {"name": "ssh", "service": "sshd", "from": "anywhere"}],
    },
}


class Answer(t.NamedTuple):
    """What curl saw."""

    status: int
    body: str
    location: str

    @property
    def told(self) -> dict[str, str]:
        """What the service said."""
        return t.cast("dict[str, str]", json.loads(self.body))


class Site:
    """The host, its map and its engine."""

    def __init__(self, host: ExtraHost, folder: pathlib.Path) -> None:
        self.host = host
        self.folder = folder
        self.inventory = folder / "hosts.yml"
        self.map = folder / "port_map.yml"
        self.variables: dict[str, t.Any] = {
            "port_map_users": {"default": [{"name": "ops", "hash": PASSWORD_HASH}]},
            "traefik_image": IMAGE,
            "traefik_pull": "never",
            "traefik_compose": ["docker-compose"],
            "traefik_container_networks": [BACK],
            "ingress_tls": "self_signed",
        }

    def write(self, port_map: dict[str, t.Any], **variables: t.Any) -> None:
        """The inventory and the map, as they are from now on."""
        outsider = {"port_map_addresses": list(lab.OUTSIDER), "port_map_managed": False}
        hosts = {"ctr1": {**self.host.vars(), **self.variables, **variables}, "outsider": outsider}
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
        self.map.write_text(yaml.safe_dump({"port_map": port_map}), encoding="utf-8")

    def run(self, *argv: str, playbook: str = "ingress") -> subprocess.CompletedProcess[str]:
        """The playbook, as an operator runs it."""
        command = ["ansible-playbook", f"playbooks/{playbook}.yml", "-i", str(self.inventory), "--limit", "ctr1", *argv]
        return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def play(self, *argv: str, playbook: str = "ingress") -> int:
        """The playbook must succeed. How many tasks changed something."""
        done = self.run(*argv, playbook=playbook)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        (line,) = [line for line in done.stdout.split("PLAY RECAP")[1].splitlines() if line.startswith("ctr1 ")]
        return int(line.split("changed=")[1].split()[0])

    def refused(self, *argv: str) -> str:
        """The playbook must fail. What it says, on one line."""
        done = self.run(*argv)
        assert done.returncode != 0, f"{done.stdout}{done.stderr}"
        return " ".join((done.stdout + done.stderr).split())

    def docker(self, *argv: str, check: bool = True) -> str:
        """Talk to the engine."""
        return self.host.run("docker", *argv, check=check).stdout.strip()

    def serve(self, name: str, *options: str) -> None:
        """Run a service, on the network of its project."""
        self.docker("rm", "--force", name, check=False)
        kept = ["--detach", "--restart", "always", "--stop-signal", "KILL", "--volume", "/usr:/usr:ro", "--network", BACK]
        self.docker("run", "--name", name, *kept, *options, "links", "python3", "/usr/local/lib/serve.py", name, str(SERVICES[name]))

    def started(self) -> str:
        """When the container was, another one or not."""
        return self.docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "portmap-traefik")

    def files(self) -> str:
        """All that lies in Traefik's directory, with its owners and modes."""
        return self.host.run("sh", "-c", "cd /etc/traefik && find . -type f -printf '%p %u:%g %m ' -exec sha256sum {} \\; | sort").stdout


def ask(host: str, path: str = "/", *options: str, address: str = HOST4, port: int = 443, vantage: str = "outsider") -> Answer:
    """Ask for a route."""
    scheme = "http" if port == 80 else "https"
    place = f"[{address}]" if ":" in address else address
    named = ["--resolve", f"{host}:{port}:{place}", "--insecure", "--write-out", "\n%{http_code} %{redirect_url}"]
    done = lab.curl(vantage, *named, *options, f"{scheme}://{host}{path}")
    body, _newline, last = done.stdout.rpartition("\n")
    code, _space, location = last.partition(" ")
    return Answer(int(code), body, location)


def settled(host: str, path: str = "/") -> Answer:
    """Ask until a service answers: after a start of the host or the engine, one after the other comes up."""
    deadline = time.monotonic() + 60
    while True:
        answer = ask(host, path)
        if answer.status == 200 or time.monotonic() > deadline:
            return answer
        time.sleep(0.2)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    """The engine with the services and the image; Traefik was never here."""
    folder = tmp_path_factory.mktemp("container")
    with extra_host("ctr1", 32, *ENGINE) as host:
        made = Site(host, folder)
        host.run("sh", "-c", "cat >/usr/local/lib/serve.py", stdin=SERVE)
        host.run("systemctl", "enable", "--now", "docker")
        links = "for name in bin lib lib64 sbin; do ln -s usr/$name $name; done"
        host.run("sh", "-ec", f"mkdir -p /run/links/usr; cd /run/links; {links}; tar -c . | docker import - links")
        host.run("mkdir", "-p", "/root/image/usr/local/bin", "/root/image/etc/ssl/certs", "/root/image/tmp")
        subprocess.run(["docker", "cp", str(STATE / "traefik"), "portmap-ctr1:/root/image/usr/local/bin/traefik"], check=True, capture_output=True)
        host.run("sh", "-ec", f"cp -L /etc/ssl/certs/ca-certificates.crt /root/image/etc/ssl/certs; tar -C /root/image -c . | docker import - {IMAGE}")
        made.docker("network", "create", BACK)
        for name in SERVICES:
            made.serve(name)
        made.write(PORT_MAP)
        yield made


def test_check_mode_before_anything_is_there(site: Site) -> None:
    assert site.play("--check", "--diff") > 0
    assert site.host.run("sh", "-c", "ls -d /etc/traefik /etc/systemd/system/traefik.service; getent passwd traefik", check=False).stdout == ""
    assert "portmap-traefik" not in site.docker("ps", "--all")


def test_what_is_missing_is_said(site: Site) -> None:
    site.write(PORT_MAP, traefik_image=None)
    assert "traefik_image is not set" in site.refused()
    site.write(PORT_MAP, traefik_image="not-there:1")
    assert "not-there:1 is not on this host, and traefik_pull is never" in site.refused()
    site.write(PORT_MAP, traefik_compose=["docker", "compose"])
    assert "say traefik_compose: [docker-compose]" in site.refused()
    site.write(PORT_MAP, traefik_container_networks=["shop_front"])
    assert "there is no network shop_front" in site.refused()
    site.write(PORT_MAP, ingress_maintenance=["web"])
    assert "does not reach the page server" in site.refused()
    assert "portmap-traefik" not in site.docker("ps", "--all")
    assert site.host.run("sh", "-c", "find /etc/traefik -type f", check=False).stdout.split() in ([], ["/etc/traefik/environment"])
    site.write(PORT_MAP)


def test_a_port_that_another_container_publishes(site: Site) -> None:
    """Docker's own process holds it: told is whose container it is for."""
    site.serve("web", "--publish", "80:3000")
    said = site.refused()
    assert re.search(r"port 80/tcp is held by container web, published by docker-proxy \(pid \d+, docker.service\)", said), said
    assert "nothing was changed" in said
    assert "portmap-traefik" not in site.docker("ps", "--all")
    site.serve("web")


def test_services_are_served_by_their_names(site: Site) -> None:
    assert site.play("--diff") > 0
    answer = ask("shop.example.com", "/x")
    assert (answer.status, answer.told["service"], answer.told["path"], answer.told["from"]) == (200, "web", "/x", OUTSIDE4)
    assert ask("shop.example.com", "/x", address=HOST6).told["service"] == "web"
    assert ask("shop.example.com", "/api/x").told["service"] == "api"
    redirect = ask("shop.example.com", "/x?y=1", port=80)
    assert (redirect.status, redirect.location) == (301, "https://shop.example.com/x?y=1")
    assert ask("unknown.example.com").status == 404
    assert ask("admin.example.com").status == 401
    assert ask("inner.example.com").status == 200
    assert ask("inner.example.com", vantage="bastion1").status == 403


def test_the_policy_and_verify_find_it_in_order(site: Site) -> None:
    """Published ports are the map's; nothing that runs is unknown to it."""
    assert site.play(playbook="firewall") > 0
    assert ask("shop.example.com").told["service"] == "web"
    assert ask("shop.example.com", address=HOST6).told["service"] == "web"
    done = site.run(playbook="verify")
    assert done.returncode == 0 and "No findings" in done.stdout, done.stdout + done.stderr


def test_who_asks_too_often_is_held_back(site: Site) -> None:
    """By the client's own address: another one is served all the while."""
    time.sleep(6)
    urls = " ".join(["https://shop.example.com/api/"] * 20)
    named = f"--resolve shop.example.com:443:{HOST4} --insecure --silent --output /dev/null --write-out '%{{http_code}}\\n'"
    many = lab.run(
        "outsider",
        "sh",
        "-c",
        f"for url in {urls}; do echo \"$url\"; done | xargs -P 4 -n 5 sh -c 'for u; do curl {named.replace(chr(39), chr(34))} $u; done' sh",
    )
    codes = many.stdout.split()
    assert set(codes) == {"200", "429"} and codes.count("200") <= 8, codes
    assert ask("shop.example.com", "/api/x", vantage="bastion1").status == 200


def test_a_second_run_changes_nothing(site: Site) -> None:
    before, files = site.started(), site.files()
    assert site.play() == 0
    assert (site.started(), site.files()) == (before, files)


def test_the_container_may_do_little(site: Site) -> None:
    host = json.loads(site.docker("inspect", "portmap-traefik"))[0]
    pid = host["State"]["Pid"]
    lines = site.host.run("cat", f"/proc/{pid}/status").stdout.splitlines()
    seen = {key: value.strip() for key, _colon, value in (line.partition(":") for line in lines)}
    uid = site.host.run("id", "-u", "traefik").stdout.strip()
    assert set(seen["Uid"].split()) == {uid} and uid != "0"
    assert int(seen["CapEff"], 16) == int(seen["CapBnd"], 16) == 0
    assert seen["NoNewPrivs"] == "1"
    assert host["HostConfig"]["ReadonlyRootfs"]
    mounts = {mount["Destination"]: mount["RW"] for mount in host["Mounts"]}
    assert mounts == {"/etc/traefik": False, "/etc/portmap/tls": False}
    bridge = site.docker("network", "inspect", "--format", "{{.Id}}", "portmap-traefik")
    assert f"br-{bridge[:12]}" in site.host.run("ip", "-o", "link").stdout, "a bridge that the firewall does not take for a container's"


# Runs in a container. Says which status came.
STATUS = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=5).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def test_the_api_answers_nobody_without_the_secret(site: Site) -> None:
    """Every container on the network reaches it, since the container's loopback would be nobody's."""
    (address,) = site.docker("inspect", "--format", f'{{{{(index .NetworkSettings.Networks "{BACK}").IPAddress}}}}', "portmap-traefik").split()
    for path in ("version", "rawdata", "entrypoints", "http/routers"):
        assert site.docker("exec", "web", "python3", "-c", STATUS, f"http://{address}:{API}/api/{path}") == "401", path
    assert site.docker("exec", "web", "python3", "-c", STATUS, f"http://{address}:{API}/dashboard/") == "404"
    from_outside = lab.connect("outsider", [(HOST4, API), (HOST6, API)])
    assert set(from_outside.values()) == {"dropped"}, from_outside


def changed_map(**routes: t.Any) -> dict[str, t.Any]:
    """The map with other routes, or with keys of theirs changed."""
    made = {name: {**PORT_MAP["routes"].get(name, {}), **route} for name, route in routes.items()}
    return {**PORT_MAP, "routes": {**PORT_MAP["routes"], **made}}


NEW = changed_map(shop={"host": "shop.example.com", "path": "/new", "service": "api"})


def test_a_route_changes_without_a_restart(site: Site) -> None:
    before = site.started()
    site.write(NEW)
    assert site.play("--check") == 1
    assert ask("shop.example.com", "/new").told["service"] == "web"
    assert site.play() == 1
    assert ask("shop.example.com", "/new").told["service"] == "api"
    site.write(PORT_MAP)
    assert site.play() == 1
    assert ask("shop.example.com", "/new").told["service"] == "web"
    assert site.started() == before


def test_a_service_that_comes_back_elsewhere_is_found(site: Site) -> None:
    """A container that is made anew gets another address: Traefik asks for its name each time."""
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    before = site.docker("inspect", "--format", address, "web")
    site.docker("rm", "--force", "web")
    site.docker("run", "--detach", "--name", "in-its-place", "--network", BACK, "--volume", "/usr:/usr:ro", "links", "sleep", "1000")
    site.serve("web")
    assert site.docker("inspect", "--format", address, "web") != before
    assert settled("shop.example.com").told["service"] == "web"
    site.docker("rm", "--force", "in-its-place")


def test_a_file_that_traefik_does_not_take_is_found_before(site: Site) -> None:
    """By a throw-away container of the same image; nothing is left of it."""
    before, files = site.started(), site.files()
    site.host.run("sh", "-c", "echo 'http: {routers: {x: {rule: 7, nonsense: 1}}}' >/etc/traefik/conf.d/own.yml")
    try:
        site.write(NEW)
        said = site.refused()
        assert "/etc/traefik/conf.d/own.yml is no file of this module" in said and "nothing was changed" in said, said
    finally:
        site.host.run("rm", "/etc/traefik/conf.d/own.yml")
        site.write(PORT_MAP)
    assert (site.started(), site.files()) == (before, files)
    assert "trial" not in site.docker("ps", "--all")
    assert ask("shop.example.com", "/new").told["service"] == "web"


# Says yes to a candidate, and dies when it is started for good.
DYING = """#!/bin/sh
case "$*" in *--configFile=/etc/traefik/*) echo no >&2; exit 3;; esac
exec REAL "$@"
"""


def test_a_change_that_does_not_come_up_is_put_back(site: Site) -> None:
    """Another image under the same name takes the candidate, and dies when it is started for good."""
    files = site.files()
    site.docker("tag", IMAGE, "kept:1")
    making = [
        "cp -a /root/image /root/dying",
        "mv /root/dying/usr/local/bin/traefik /root/dying/usr/local/bin/real",
        "mkdir -p /root/dying/bin && cp /usr/bin/busybox /root/dying/bin/sh",
        "cat >/root/dying/usr/local/bin/traefik && chmod 755 /root/dying/usr/local/bin/traefik",
        "tar -C /root/dying -c . | docker import - dying:1",
    ]
    site.host.run("sh", "-ec", "; ".join(making), stdin=DYING.replace("REAL", "/usr/local/bin/real"))
    site.write(NEW, traefik_image="dying:1", ingress_access_log=True)
    try:
        said = site.refused()
        assert "all files are as before" in said and "Traefik runs as before" in said, said
        assert site.files() == files
        assert ask("shop.example.com", "/new").told["service"] == "web"
        assert site.docker("inspect", "--format", "{{.Config.Image}}", "portmap-traefik") == IMAGE
    finally:
        site.write(PORT_MAP)
    assert site.play() == 0


def test_another_image_of_the_same_name_is_taken_up(site: Site) -> None:
    site.host.run("sh", "-ec", f"echo more >/root/image/more; tar -C /root/image -c . | docker import - {IMAGE}")
    before = site.started()
    assert site.play() == 1
    assert site.started() != before
    assert site.play() == 0


def test_a_certificate_that_was_replaced_is_served_without_a_restart(site: Site) -> None:
    before = site.started()
    pem, key = site.host.run("cat", "/etc/traefik/certificates.list").stdout.split("\0")[:2]
    shown = f"openssl s_client -connect {HOST4}:443 -servername shop.example.com 2>/dev/null </dev/null | openssl x509 -noout -fingerprint -sha256"
    old = site.host.run("sh", "-c", shown).stdout
    making = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=replaced"
    names = f'-addext "subjectAltName=$(openssl x509 -in {pem} -noout -ext subjectAltName | sed -n 2p | tr -d " ")"'
    # By rename, as ACME clients do: a file that was mounted alone would stay the old one.
    replaced = f"cd $(dirname {pem}) && {making} {names} -keyout .k -out .c 2>/dev/null && chgrp traefik .k && chmod 640 .k && mv .k {key} && mv .c {pem}"
    site.host.run("sh", "-c", replaced)
    assert site.host.run("sh", "-c", shown).stdout == old
    assert site.play() == 1
    new = site.host.run("sh", "-c", f"openssl x509 -in {pem} -noout -fingerprint -sha256").stdout
    assert site.host.run("sh", "-c", shown).stdout == new != old
    assert site.started() == before


def test_one_that_hangs_is_started_anew(site: Site) -> None:
    site.docker("pause", "portmap-traefik")
    before = site.docker("inspect", "--format", "{{.Id}}", "portmap-traefik", check=False)
    assert site.play() == 1
    assert site.docker("inspect", "--format", "{{.Id}}", "portmap-traefik") != before
    assert ask("shop.example.com").status == 200


@pytest.mark.parametrize(
    "how",
    ["docker kill portmap-traefik", "kill -9 $(systemctl show --property MainPID --value traefik)", "systemctl restart docker"],
)
def test_one_that_ends_comes_back_by_itself(site: Site, how: str) -> None:
    before = site.started()
    site.host.run("systemctl", "reset-failed", "docker")
    site.host.run("sh", "-c", how)
    deadline = time.monotonic() + 60
    while site.docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "portmap-traefik", check=False) in ("", before):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert settled("shop.example.com").told["service"] == "web"


def test_the_host_reboots(site: Site) -> None:
    site.host.reboot()
    assert settled("shop.example.com").told["service"] == "web"
    assert settled("shop.example.com", "/api/x").told["service"] == "api"
    assert site.play() == 0


def test_whoever_seems_to_come_from_the_bridge_is_not_let_in(site: Site) -> None:
    """A client over IPv6 comes from the bridge's address on IPv4, which no allow list may have."""
    assert ask("shop.example.com", address=HOST6).told["from"].startswith("172.")
    private = {**changed_map(inner={"from": ["outside", "private"]}), "networks": {**PORT_MAP["networks"], "private": ["172.16.0.0/12"]}}
    site.write(private)
    said = site.refused()
    assert "route inner lets 172." in said and "all files are as before" in said, said
    assert ask("inner.example.com", address=HOST6).status == 403
    site.write(PORT_MAP)


@contextlib.contextmanager
def engine_with_ipv6(site: Site) -> t.Iterator[None]:
    """The engine makes rules for IPv6, as it does by itself in newer versions."""
    site.host.run("sh", "-c", "cat >/etc/docker/daemon.json", stdin=json.dumps({"experimental": True, "ip6tables": True}))
    site.host.run("systemctl", "restart", "docker")
    yield
    site.host.run("rm", "/etc/docker/daemon.json")
    site.host.run("systemctl", "restart", "docker")


def test_with_a_subnet_of_ipv6_clients_have_their_own_addresses(site: Site) -> None:
    with engine_with_ipv6(site):
        settled("shop.example.com")
        site.write(PORT_MAP, traefik_container_ipv6="fd00:80::/64")
        assert site.play() == 1
        assert ask("shop.example.com", address=HOST6).told["from"] == lab.OUTSIDER[1]
        assert ask("shop.example.com").told["from"] == OUTSIDE4
        site.write(PORT_MAP)
        assert site.play() == 1
    settled("shop.example.com")


BINARY = "/usr/local/bin/traefik"


def test_from_the_container_to_the_host_and_back(site: Site) -> None:
    """The same unit, with the binary. In both directions one first that does not come up: the other goes on, under its own unit."""
    subprocess.run(["docker", "cp", str(STATE / "traefik"), f"portmap-ctr1:{BINARY}.real"], check=True, capture_output=True)
    site.host.run("sh", "-c", f"cat >{BINARY} && chmod 755 {BINARY}", stdin=DYING.replace("REAL", f"{BINARY}.real"))
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    on_the_host = {
        **PORT_MAP["services"],
        "proxy": {**PORT_MAP["services"]["proxy"], "container": False},
        **{name: {"port": port, "protocol": "http", "address": site.docker("inspect", "--format", address, name)} for name, port in SERVICES.items()},
    }
    files = site.files()
    site.write({**PORT_MAP, "services": on_the_host})
    said = site.refused()
    assert "all files are as before" in said and "Traefik runs as before" in said, said
    assert site.files() == files
    assert ask("shop.example.com").told["service"] == "web" and site.started()

    site.host.run("mv", f"{BINARY}.real", BINARY)
    assert site.play() > 0
    assert ask("shop.example.com").told["service"] == "web"
    assert "portmap-traefik" not in site.docker("ps", "--all") + site.docker("network", "ls")
    assert site.host.run("ls", "/etc/traefik").stdout.split() == ["api.token", "certificates.list", "conf.d", "environment", "traefik.yml"]

    files = site.files()
    site.write(PORT_MAP, traefik_image="dying:1")
    said = site.refused()
    assert "all files are as before" in said and "Traefik runs as before" in said, said
    assert site.files() == files
    assert ask("shop.example.com").told["service"] == "web"
    assert "portmap-traefik" not in site.docker("ps", "--all") + site.docker("network", "ls")

    site.write(PORT_MAP)
    assert site.play() > 0
    assert ask("shop.example.com").told["service"] == "web"
    site.host.run("rm", BINARY)


def test_removal_leaves_nothing(site: Site) -> None:
    site.write({key: value for key, value in {**PORT_MAP, "ingress": "none"}.items() if key not in ("entrypoints", "routes", "rate_limits")})
    assert site.play() > 0
    assert set(lab.connect("outsider", [(HOST4, 80), (HOST4, 443), (HOST6, 443)]).values()) == {"refused"}
    assert "portmap-traefik" not in site.docker("ps", "--all") + site.docker("network", "ls")
    left = site.host.run("sh", "-c", "ls -d /etc/traefik /run/traefik /etc/systemd/system/traefik.service /usr/local/bin/traefik", check=False).stdout
    assert left == ""
    assert set(site.docker("ps", "--format", "{{.Names}}").split()) == set(SERVICES)
