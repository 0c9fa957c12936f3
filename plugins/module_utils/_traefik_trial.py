# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away Traefik that judges a configuration before the running one sees it: the same binary, on loopback, ended at once.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

It has the entrypoints' names at ports of its own (127.0.0.1:0), no certificate resolvers, and no health checks of our backends: nothing
of it goes beyond loopback. The other files of the watched directory are tried with ours: one that Traefik can't read would stop every
later change, without a word in the API. It runs as Traefik's own user, so that what that can't read is seen.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_change import ChangeError
from ansible_collections.alfred.portmap.plugins.module_utils._traefik import (
    API_ENTRYPOINT,
    API_USER,
    DYNAMIC_FILE,
    INTERNAL_API,
    REVISION_HEADER,
    Data,
    written,
)
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_api import Api, NoAnswer, differences
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_container import Contained
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_dynamic import REVISION, SECRET, token_hash

PLACE = "/run"  # memory, not a disk: there are password hashes in it
FOLDER = "portmap-traefik-"  # then the module's pid
LOADED = re.compile(r".*\.(?:ya?ml|toml)")  # what Traefik loads of a directory, hidden or not
PORT_TRIES = 3  # a free port may be taken by somebody else before Traefik takes it
PR_SET_PDEATHSIG = 1  # linux/prctl.h
SHADOWED = "already configured"  # of a warning: of two objects with one name the later file's is dropped


@dataclass
class Trial:
    """One configuration to be tried. seconds: how long it may take."""

    binary: str
    static: Data
    dynamic: Data
    watched: str  # the directory whose other files are tried too
    user: str
    seconds: float
    contained: t.Optional[Contained] = None  # the way into a container of the image, in the place of the binary
    folder: str = field(default="", init=False)

    def run(self) -> str:
        """What was seen, as a sentence. Raises ChangeError with every complaint, and OSError."""
        for attempt in range(PORT_TRIES):
            try:
                return self._run()
            except _PortTaken:
                if attempt + 1 == PORT_TRIES:
                    raise ChangeError(f"a throw-away Traefik found no free port on loopback in {PORT_TRIES} tries") from None
        raise AssertionError

    def _run(self) -> str:
        account = _account(self.user)
        place = PLACE if os.access(PLACE, os.W_OK) else tempfile.gettempdir()
        _sweep(place)
        self.folder = tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-", dir=place)
        try:
            self._lay_out(account)
            api = Api(_free_port(), secrets.token_hex(32), timeout=self.seconds)
            self._write("traefik.yml", written(self._tried_static(api)), account)
            tried = self._tried_dynamic(api)
            self._write(f"conf.d/{DYNAMIC_FILE}", written(tried), account)
            log = os.path.join(self.folder, "log")
            process = self._start(log, account if self.contained is None else None)
            try:
                return self._judge(process, api, tried, log)
            finally:
                # There is nothing in it to be ended in order; a graceful end takes it two seconds.
                process.kill()
                process.wait()
                if self.contained is not None:
                    self.contained.end()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _lay_out(self, account: t.Optional[pwd.struct_passwd]) -> None:
        """The directory with copies of all files that are not ours."""
        inner = os.path.join(self.folder, "conf.d")
        os.mkdir(inner, 0o700)
        for root, _folders, files in os.walk(self.watched):
            for name in files:
                source = os.path.join(root, name)
                place = os.path.relpath(source, self.watched)
                if LOADED.fullmatch(name) and place != DYNAMIC_FILE:
                    self._copy(source, os.path.join(inner, place))
        if account is not None:
            for root, folders, _files in os.walk(self.folder):
                for path in (root, *(os.path.join(root, name) for name in folders)):
                    os.chown(path, account.pw_uid, account.pw_gid)

    def _copy(self, source: str, target: str) -> None:
        """With owner and mode, since what Traefik can't read there it can't read here. What is gone in the meantime, or hangs in the air, is not tried."""
        os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(source)
            if stat.S_ISREG(found.st_mode):
                shutil.copyfile(source, target)
                os.chmod(target, stat.S_IMODE(found.st_mode))
                if os.geteuid() == 0:
                    os.chown(target, found.st_uid, found.st_gid)

    def _write(self, name: str, text: str, account: t.Optional[pwd.struct_passwd]) -> None:
        descriptor = os.open(os.path.join(self.folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if account is not None:
                os.fchown(file.fileno(), account.pw_uid, account.pw_gid)

    def _tried_static(self, api: Api) -> Data:
        static = copy.deepcopy(self.static)
        static.pop("certificatesResolvers", None)
        static.pop("accessLog", None)
        static["log"] = {"level": "WARN", "format": "json"}
        static["api"] = {"dashboard": True, "insecure": False}
        static["providers"] = {"file": {"directory": os.path.join(self.folder, "conf.d"), "watch": False}}
        for entrypoint in static["entryPoints"].values():
            entrypoint["address"] = "127.0.0.1:0" + ("/udp" if entrypoint["address"].endswith("/udp") else "")
        static["entryPoints"][API_ENTRYPOINT] = {"address": f"127.0.0.1:{api.port}"}
        return static

    def _tried_dynamic(self, api: Api) -> Data:
        dynamic = t.cast(Data, _quiet(copy.deepcopy(self.dynamic)))
        http = dynamic.setdefault("http", {})
        middlewares = http.setdefault("middlewares", {})
        middlewares[SECRET] = {"basicAuth": {"users": [f"{API_USER}:{token_hash(api.token)}"], "removeHeader": True}}
        middlewares.setdefault(REVISION, {"headers": {"customResponseHeaders": {REVISION_HEADER: secrets.token_hex(32)}}})
        router = {"entryPoints": [API_ENTRYPOINT], "rule": "PathPrefix(`/api`)", "service": INTERNAL_API, "middlewares": [SECRET, REVISION]}
        http.setdefault("routers", {})[API_ENTRYPOINT] = router
        return dynamic

    def _start(self, log: str, account: t.Optional[pwd.struct_passwd]) -> subprocess.Popen[bytes]:
        library = ctypes.CDLL(None)

        def with_us() -> None:
            library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # it must not outlive a module that is killed

        with open(log, "wb") as file:
            return subprocess.Popen(
                [*([self.binary] if self.contained is None else self.contained.argv(self.folder)), f"--configFile={self.folder}/traefik.yml"],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={"HOME": self.folder, "LC_ALL": "C", **({} if self.contained is None else {"PATH": os.environ.get("PATH", os.defpath)})},
                preexec_fn=with_us,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=os.getgrouplist(account.pw_name, account.pw_gid) if account else None,
            )

    def _judge(self, process: subprocess.Popen[bytes], api: Api, tried: Data, log: str) -> str:
        deadline = time.monotonic() + self.seconds
        wanted = tried["http"]["middlewares"][REVISION]["headers"]["customResponseHeaders"][REVISION_HEADER]
        while True:
            ended = process.poll() is not None
            complaints = self._complaints(log)
            if any("address already in use" in one and str(api.port) in one for one in complaints):
                raise _PortTaken
            if ended:
                words = complaints or [f"{self.binary or 'it'} ended at once: {printable(_text(log), 400)}"]
                raise ChangeError(_refusal(words))
            with contextlib.suppress(NoAnswer):
                reply = api.get("rawdata")
                if reply.status == 200 and reply.revision == wanted:
                    found = list(dict.fromkeys([*differences(reply.data, tried), *self._complaints(log)]))
                    if found:
                        raise ChangeError(_refusal(found))
                    version = api.get("version").data or {}
                    count = sum(len((tried.get(section) or {}).get("routers") or {}) for section in ("http", "tcp", "udp"))
                    return f"a throw-away Traefik {printable(str(version.get('Version', '')))} took the candidate: {count} routers, no complaint"
            # It answers, or said why its files can't be loaded; in between there are complaints that others follow.
            if complaints and (any("Cannot start the provider" in one for one in complaints) or time.monotonic() > deadline):
                raise ChangeError(_refusal(complaints))
            if time.monotonic() > deadline:
                raise ChangeError(f"a throw-away Traefik did not take the candidate up within {self.seconds:g} s: {printable(_text(log), 400)}")
            time.sleep(0.02)

    def _complaints(self, log: str) -> list[str]:
        """What it says in its log against the configuration, each once."""
        found: list[str] = []
        for line in _text(log).splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                if "error" in line.lower():
                    found.append(self._named(line))
                continue
            if not isinstance(entry, dict):
                continue
            message = str(entry.get("message", ""))
            if entry.get("level") in ("error", "fatal", "panic") or SHADOWED in message:
                found.append(self._sentence(entry, message))
        return list(dict.fromkeys(one for one in found if "nonexistent certificate resolver" not in one))  # which the trial alone has not

    def _sentence(self, entry: Data, message: str) -> str:
        about = [f"{key[:-4]} {entry[key]}" for key in ("routerName", "serviceName", "middlewareName", "entryPointName") if entry.get(key)]
        text = f"{message}: {entry['error']}" if entry.get("error") else message
        if SHADOWED in message:
            text += f" (another file of {self.watched} has one of that name, and goes before ours)"
        return self._named(f"{', '.join(about)}: {text}" if about else text)

    def _named(self, text: str) -> str:
        """With the real paths. A complaint about a file that is not ours says so: it is the user's to mend."""
        inner = re.escape(os.path.join(self.folder, "conf.d"))
        foreign = [name for name in re.findall(rf"{inner}/([^\s:,\"']+)", text) if name != DYNAMIC_FILE]
        text = printable(re.sub(inner, self.watched, text).replace(self.folder, os.path.dirname(self.watched)), 500)
        if not foreign:
            return text
        paths = ", ".join(dict.fromkeys(os.path.join(self.watched, name) for name in foreign))
        return f"{paths} is no file of this module, and Traefik takes up no change of any file while it is like this: {text}"


class _PortTaken(Exception):
    """Somebody else took the port that was free."""


def _refusal(complaints: t.Sequence[str]) -> str:
    return "Traefik does not take this configuration, as a throw-away instance of it says: " + "; ".join(complaints)


def _quiet(value: t.Any) -> t.Any:
    """Without what would be asked of others: certificates and the health of backends."""
    if isinstance(value, dict):
        return {key: _quiet(item) for key, item in value.items() if key not in ("healthCheck", "certResolver", "domains")}
    return [_quiet(item) for item in value] if isinstance(value, list) else value


def _sweep(place: str) -> None:
    """Remove what modules left there that were killed."""
    for name in os.listdir(place):
        found = re.fullmatch(rf"{FOLDER}([0-9]+)-\w+", name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            shutil.rmtree(os.path.join(place, name), ignore_errors=True)


def _account(user: str) -> t.Optional[pwd.struct_passwd]:
    """Traefik's own user; None where we can't become it, or it is not there yet."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(user)
    except KeyError:
        return None


def unreadable(paths: t.Sequence[str], user: str) -> list[str]:
    """Which of the files the user can't read; none where we can't become it. Raises OSError."""
    account = _account(user)
    if account is None or not paths:
        return []
    script = 'for file; do test -r "$file" || printf "%s\\n" "$file"; done'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *paths],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=os.getgrouplist(account.pw_name, account.pw_gid),
    )
    return done.stdout.splitlines()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return re.sub(r"\x1b\[[0-9;]*m", "", file.read())
