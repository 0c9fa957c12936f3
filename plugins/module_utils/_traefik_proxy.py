# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traefik on this host: how it is found, what it needs to run other files, and the proof that it runs them.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import pwd
import re
import ssl
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.module_utils._docker import PUBLISHERS, Docker, DockerError, Published, behind
from ansible_collections.alfred.portmap.plugins.module_utils._listeners import owner_text
from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_change import (
    HUNG,
    NOTHING,
    RELOAD,
    RESTART,
    RUNNING,
    STOPPED,
    ChangeError,
    Commands,
    Door,
    File,
    foreign_holders,
    until,
)
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import Options
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_tls import first_of, served
from ansible_collections.alfred.portmap.plugins.module_utils._sockets import Listener, listeners
from ansible_collections.alfred.portmap.plugins.module_utils._traefik import REVISION_HEADER, Data
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_acme import progress
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_api import Api, NoAnswer, Reply, Silent, differences, fingerprint, names
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_container import NAME, Contained
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_dynamic import revision, token_hash
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_trial import Trial
from ansible_collections.alfred.portmap.plugins.module_utils._yaml import load

THROTTLE = 2.0  # seconds: providers.providersThrottleDuration by default, as one may have that was started before we set it
HANDSHAKES = 200  # at most that many names are asked for their certificate


def read(path: str) -> str:
    """A file's text, "" if it is not there. Raises OSError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def digest(path: str) -> str:
    """The SHA-256 of a file in hexadecimal, "" if it is not there. Raises OSError."""
    sha256 = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                sha256.update(block)
    except FileNotFoundError:
        return ""
    return sha256.hexdigest()


def identity(path: str) -> str:
    """Which file it is, "" if it is not there: to hash a binary of 200 MB takes a second, in which a Traefik that restarts serves nobody."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return ""
    return f"{found.st_ino}-{found.st_size}-{int(found.st_mtime)}"


def recorded(text: str) -> dict[str, str]:
    """By path: what `sha256sum -z` printed of it, or `stat` in the same form."""
    return {path: found for found, separator, path in (line.partition("  ") for line in text.split("\0")) if separator}


def differs(now: t.Mapping[str, str], then: t.Mapping[str, str]) -> bool:
    """Whether anything is another than it was recorded, or was not recorded."""
    return any(then.get(path) != found for path, found in now.items())


@dataclass
class Traefik:
    """One host's Traefik, and the configuration that it is to run. It is a Proxy (see _proxy_change)."""

    ingress: Data
    options: Options
    static: Data
    dynamic: Data
    static_path: str
    dynamic_path: str
    token: str
    commands: Commands
    binary: t.Optional[str]
    started_with: tuple[str, ...]  # further files, of which another one needs a restart
    started_file: str
    certificates_file: str
    user: str
    acme: t.Optional[Data]
    timeout: float
    docker: Docker
    contained: t.Optional[Contained] = None  # if it is in a container
    restart: bool = False  # in any case
    take_over: bool = False  # one that somebody else set up counts as ours
    name: str = "Traefik"
    warnings: list[str] = field(default_factory=list)
    _before: t.Optional[Data] = None  # the content that ran when this run began
    _gone: frozenset[tuple[str, str]] = frozenset()  # what ran then and must not run any more
    _stale: bool = False  # it did not run what lay there
    api_held: bool = field(default=False, init=False)  # another user, who could not read the secret, was found at the API's port
    _trusted: set[int] = field(default_factory=set)  # inodes of listeners that may be told the secret
    _pids: dict[int, bool] = field(default_factory=dict)
    _published: t.Optional[list[Published]] = None  # what containers publish, once it was asked for

    # how it is found

    def look(self) -> str:
        """How Traefik is found. Raises ChangeError, with what to do, if somebody else holds its ports."""
        if self.contained is not None:
            self.contained.check()
        there = listeners()
        reply = self._ask_patiently()
        proven = isinstance(reply, Reply) and reply.status == 200 and reply.revision != ""
        own = [one for one in there if self._is_ours(one, proven)]
        held = foreign_holders(self._doors(), lambda one: self._is_ours(one, proven), self.commands.is_displaced, there, self._named)
        if held:
            place = self._api_door
            self.api_held = place is not None and not all(map(self._is_of_our_user, place.held_by(there)))
            raise ChangeError("; ".join(held) + f": {self._what_to_do(held)}")
        if not own and not proven:
            if isinstance(reply, Reply):  # seen by nobody, and answers
                raise ChangeError(f"another Traefik, or another program, answers at port {self.ingress['api']['port']}: {self._what_to_do(['traefik'])}")
            if isinstance(reply, Silent):
                raise ChangeError(f"something at port {self.ingress['api']['port']} takes connections and does not answer: {self._what_to_do([])}")
            return STOPPED
        if isinstance(reply, Silent):
            return HUNG
        if isinstance(reply, Reply):
            self._remember()
        return RUNNING

    @property
    def _api(self) -> t.Optional[Api]:
        place = self.ingress["api"]
        return Api(place["port"], self.token, place["address"], min(self.timeout, 5.0)) if place else None

    @property
    def _api_door(self) -> t.Optional[Door]:
        place = self.ingress["api"]
        return Door("tcp", place["address"], place["port"]) if place else None

    def _ask_patiently(self) -> t.Union[Reply, NoAnswer]:
        """The API's answer; a machine that is busy gets a second chance before it is called hung."""
        answer = self._ask_quickly("version")
        return self._ask_quickly("version") if isinstance(answer, Silent) else answer

    def _may_be_told(self) -> bool:
        """Whether who listens at the API's port may be told its secret: while Traefik is down, any user of the host can listen there."""
        door = self._api_door
        if door is None:
            return False
        there = door.held_by(listeners(owners=False))
        if not {one.inode for one in there} <= self._trusted:
            there = door.held_by(listeners())
            self._published = None  # the container behind a port may be another one by now
            if not all(self._is_of_our_user(one) and (one.owner is None or self._is_ours(one, False)) for one in there):
                return False
            self._trusted.update(one.inode for one in there)
        return bool(there)

    def _is_of_our_user(self, listener: Listener) -> bool:
        """A process and its unit's name can be made to look like ours, by any user for itself; whose socket it is can't."""
        ours = {0, os.geteuid()}  # root's: it can read the secret anyway, and Docker's proxy is
        with contextlib.suppress(KeyError):
            ours.add(pwd.getpwnam(self.user).pw_uid)
        return listener.uid in ours

    def _is_ours(self, listener: Listener, proven: bool) -> bool:
        """Whether it is the Traefik that was started with our static file, or by our unit. proven: its API knows our secret."""
        owner = listener.owner
        if not self._is_of_our_user(listener) or not self._is_set_up():
            return False
        if owner is None:
            return (proven and listener.port in {door.port for door in self._doors()}) or self.commands.is_own(listener)
        if owner.process in PUBLISHERS:
            return self._containers_behind(listener) == [NAME]
        if owner.pid not in self._pids:
            self._pids[owner.pid] = owner.unit == f"{self.commands.unit}.service" if self.commands.unit and owner.unit else self._has_our_file(owner.pid)
        return self._pids[owner.pid]

    def _is_set_up(self) -> bool:
        """Whether there is anything of ours at all: the static file (which is ours, or the module had ended), or what our unit recorded."""
        return self.take_over or os.path.exists(self.static_path) or os.path.exists(self.started_file)

    def _containers_behind(self, listener: Listener) -> list[str]:
        """The containers that a published port leads to."""
        if self._published is None:
            try:
                self._published = self.docker.published()
            except DockerError as error:
                if self.contained is not None:
                    raise ChangeError(str(error)) from error
                self._published = []
        return behind(listener, self._published)

    def _named(self, listener: Listener) -> str:
        """Who holds a port, for people: of a published one the container, since Docker's own process says nothing."""
        holder = owner_text(listener)
        names = self._containers_behind(listener) if listener.owner is not None and listener.owner.process in PUBLISHERS else []
        return f"container {', '.join(names)}, published by {holder}" if names else holder

    def _has_our_file(self, pid: int) -> bool:
        words = read(f"/proc/{pid}/cmdline").split("\0") if os.path.exists(f"/proc/{pid}/cmdline") else []
        given = [word.partition("=")[2] for word in words if word.lower().startswith("--configfile=")]
        given += [words[at + 1] for at, word in enumerate(words[:-1]) if word.lower() == "--configfile"]
        return any(os.path.realpath(path) == os.path.realpath(self.static_path) for path in given)

    def _doors(self) -> list[Door]:
        """Where Traefik must listen."""
        doors = []
        for entrypoint in self.ingress["entrypoints"].values():
            transport = "udp" if entrypoint.get("protocol") == "udp" else "tcp"
            doors.append(Door(transport, "", entrypoint["port"]))
            if entrypoint.get("http3"):
                doors.append(Door("udp", "", entrypoint["port"]))
        return doors + [Door("tcp", place["address"], place["port"]) for place in (self.ingress["api"], self.ingress["metrics"]) if place]

    def _what_to_do(self, held: t.Sequence[str]) -> str:
        if any("traefik" in one for one in held):
            return (
                f"it was not started with --configFile={self.static_path} and our secret by user {self.user}, so that it is another Traefik"
                " than the one configured here. Stop it and keep it from starting at boot, then run this again"
            )
        return "stop it, or give the entrypoint another port in the map; a unit that is to make place is named by `displaces`"

    def _remember(self) -> None:
        """What runs now, so that a change that is undone is seen to be; and whether it is what lies in the file."""
        text = read(self.dynamic_path)
        with contextlib.suppress(ValueError):  # not written by us: nothing of it is known
            self._gone = frozenset(names(load(text)) - names(self.dynamic))
        lies = re.search(rf'^\s*{REVISION_HEADER}: "([0-9a-f]{{64}})"$', text, re.MULTILINE)
        # The API is a router of that file: whoever does not know it, or its secret, did not read the file that has them. If the file is not
        # there, that is told by the directory's record, or else can't be known: a restart takes nothing away then that would be served.
        unread = token_hash(self.token) in text or (not text and self._watched not in recorded(read(self.started_file)))
        deadline = time.monotonic() + 2 * THROTTLE + 1
        while True:
            reply = self._ask_quickly("rawdata")
            if isinstance(reply, NoAnswer):
                return
            if reply.status == 200 and isinstance(reply.data, dict):
                self._before = fingerprint(reply.data)
                self._stale = bool(lies) and t.cast("re.Match[str]", lies)[1] != reply.revision
            else:
                self._stale = unread
            if not self._stale or time.monotonic() > deadline:
                return
            time.sleep(0.1)

    # what is to be done

    def try_candidate(self, files: t.Sequence[File]) -> list[str]:
        """Let a throw-away instance judge it. In check mode binary and certificates may be ones that another task would have put there."""
        missing = next((path for path in self.options.files if not os.path.isfile(path)), "")
        if self.contained is not None:
            missing = missing or self.contained.missing()
        elif not self.binary or not os.access(self.binary, os.X_OK):
            missing = self.binary or "Traefik's binary"
        if missing:
            return [f"{missing} was not there to try the candidate"]
        return [Trial(self.binary or "", self.static, self.dynamic, self._watched, self.user, max(self.timeout, 10.0), self.contained).run()]

    def due(self, files: t.Sequence[File]) -> str:
        """By what the running one was started with, and what it read of certificates: the unit records both."""
        then = recorded(read(self.started_file))
        now = {path: digest(path) for path in (*self.started_with, self.static_path)}
        if self.binary:
            same = identity(self.binary)
            now[self.binary] = same if then.get(self.binary) == same else digest(self.binary)
        now.update({file.path: hashlib.sha256((file.text or "").encode("utf-8", "surrogateescape")).hexdigest() for file in files if file.path in now})
        if self.restart or self._stale or differs(now, then) or then.get(self._watched, self._watched_now()) != self._watched_now():
            return RESTART
        if self.contained is not None and self.contained.runs_another_image():
            return RESTART
        certificates = {path: digest(path) for path in self.options.files}
        return RELOAD if differs(certificates, recorded(read(self.certificates_file))) else NOTHING

    @property
    def _watched(self) -> str:
        return os.path.dirname(self.dynamic_path)

    def _watched_now(self) -> str:
        """Which directory it is, as the unit records it: Traefik watches the one that was there when it started, and never another one that
        took its place (a backup that was put back). Its inode alone may be the old one's again.
        """
        return self.commands.run(["stat", "-L", "--printf", "%i-%.9W", self._watched])[1]

    # the proof

    def prove(self, files: t.Sequence[File]) -> list[str]:
        """Sockets, API, entrypoints, the whole content, certificates. Raises ChangeError with the first that does not come true in time."""
        self._stale = self.restart = False
        self._pids.clear()
        try:
            seen = [*self._prove_sockets(), *self._prove_content(), *self._prove_certificates(), *self._prove_page()]
            if self.contained is not None:
                self.contained.prove_admission()
            return [*seen, progress(self.ingress, self.acme)] if self.acme else seen
        except ChangeError as error:
            raise ChangeError(f"{error}{self.commands.last_words()}") from None

    def _prove_sockets(self) -> list[str]:
        doors = self._doors()

        def complaint() -> t.Optional[str]:
            self._published = None  # the container comes up meanwhile
            found = listeners()
            answers = self._api is not None and isinstance(self._ask_quickly("version"), Reply)
            missing = [str(door) for door in doors if not any(self._is_ours(one, answers) for one in door.held_by(found))]
            return f"Traefik does not listen on {', '.join(missing)}" if missing else None

        until(complaint, self.timeout)
        return [f"Traefik listens on {', '.join(str(door) for door in doors)}"]

    def _ask_quickly(self, what: str) -> t.Union[Reply, NoAnswer]:
        api = self._api
        if api is None:
            return NoAnswer("it has no API")
        if not self._may_be_told():
            return NoAnswer("nothing of ours listens there")
        try:
            return api.get(what)
        except NoAnswer as error:
            return error

    def _prove_content(self) -> list[str]:
        if self._api is None:
            return ["the map's service proxy has no port, so that Traefik has no API: what it runs could not be asked"]
        wanted = revision(self.dynamic)
        version = ""

        def complaint() -> t.Optional[str]:
            nonlocal version
            reply = self._ask_quickly("rawdata")
            if isinstance(reply, NoAnswer):
                return f"Traefik's API does not answer at port {self.ingress['api']['port']}: {reply}"
            if reply.status != 200 or not isinstance(reply.data, dict):
                return f"Traefik's API does not know our secret: HTTP {reply.status}; it runs another configuration than the one that was written"
            found = differences(reply.data, self.dynamic, self._gone)
            if found:
                return "Traefik does not run what was written: " + "; ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
            if reply.revision != wanted:
                return "Traefik runs another revision than the one that was written"
            told = self._ask_quickly("entrypoints?per_page=10000")
            if isinstance(told, NoAnswer) or not isinstance(told.data, list):
                return "Traefik's API does not tell its entrypoints"
            return self._entrypoints_differ(told.data)

        until(complaint, max(self.timeout, 2 * THROTTLE + 2))
        said = self._ask_quickly("version")
        if isinstance(said, Reply) and isinstance(said.data, dict):
            version = f" {printable(str(said.data.get('Version', '')))}"
        count = sum(len((self.dynamic.get(section) or {}).get("routers") or {}) for section in ("http", "tcp", "udp"))
        return [f"Traefik{version} runs what was written, by its own API: {count} routers, revision {wanted[:12]}"]

    def _entrypoints_differ(self, told: list[Data]) -> t.Optional[str]:
        running = {one.get("name"): one for one in told}
        for name, wanted in self.static["entryPoints"].items():
            if running.pop(name, {}).get("address") != wanted["address"]:
                return f"entrypoint {name} does not run at {wanted['address']}: Traefik runs with another static configuration"
        return f"entrypoint {next(iter(running))} is still there: Traefik runs with another static configuration" if running else None

    def _prove_certificates(self) -> list[str]:
        """What a client is shown, for each name whose TLS Traefik ends itself, is one of the files."""
        asked = self._names()
        if not asked:
            return []
        seen: list[str] = []
        if self.options.certificates and not self.acme:
            try:
                files = {**self._others_certificates(), **{first_of(pair.cert_file): pair.cert_file for pair in self.options.certificates}}
            except ValueError as error:
                raise ChangeError(str(error)) from error
            shown: set[str] = set()

            def complaint() -> t.Optional[str]:
                for port, name in asked:
                    try:
                        found = served(port, name)
                    except OSError as error:
                        return f"TLS at port {port} can't be asked for the certificate of {name}: {error}"
                    if found not in files:
                        return f"the certificate that is served for {name} at port {port} is none of the files: {', '.join(files.values())}"
                    shown.add(files[found])
                return None

            until(complaint, self.timeout)
            seen.append(f"the certificates that are served for {len(asked)} names are those of {', '.join(sorted(shown))}")
        if self.options.minimum == "1.3":
            port, name = asked[0]
            try:
                served(port, name, most=ssl.TLSVersion.TLSv1_2)
            except ssl.SSLError:
                seen.append(f"TLS 1.2 is refused at port {port}")
            else:
                raise ChangeError(f"TLS 1.2 is still served at port {port}")
        return seen

    def _prove_page(self) -> list[str]:
        """Routes in maintenance lead to a server of pages, which is not Traefik: without it they would answer 502."""
        place = self.ingress.get("maintenance")
        if not place or not self.options.maintenance:
            return []
        page = self.options.page.encode("utf-8", "surrogateescape")
        server = f"the page server (unit portmap-maintenance) at {place['address']} port {place['port']}"

        def complaint() -> t.Optional[str]:
            connection = http.client.HTTPConnection(place["address"], place["port"], timeout=min(self.timeout, 5.0))
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read(2 * len(page) + 1)
            except (OSError, http.client.HTTPException) as error:
                return f"{server} does not answer, so that routes in maintenance would have none: {printable(str(error)) or type(error).__name__}"
            finally:
                connection.close()
            if answer.status != 503:
                return f"{server} answers {answer.status} and not 503"
            return None if body == page else f"{server} shows another page than the one that was written: can its user read it?"

        until(complaint, self.timeout)
        return [f"{server} answers 503 with the page"]

    def _others_certificates(self) -> dict[bytes, str]:
        """Those that other files of the directory name: they may be a better match for a name than ours."""
        found: dict[bytes, str] = {}
        for root, _folders, files in os.walk(os.path.dirname(self.dynamic_path)):
            for name in files:
                for path in re.findall(r"""certFile["']?\s*[:=]\s*["']?([^"'\s,}]+)""", read(os.path.join(root, name))):
                    with contextlib.suppress(OSError, ValueError):
                        found[first_of(path)] = path
        return found

    def _names(self) -> list[tuple[int, str]]:
        """Ports and names that may be asked for from loopback: a tcp route with an allow list ends the connection before TLS begins."""
        found = []
        for route in self.ingress["routes"].values():
            entrypoint = self.ingress["entrypoints"][route["entrypoint"]]
            closed = entrypoint.get("protocol") == "tcp" and route["allow"]
            if route["tls"] and route["host"] and not route.get("passthrough") and not closed:
                found.append((entrypoint["port"], route["host"]))
        return list(dict.fromkeys(found))[:HANDSHAKES]

    def prove_undone(self) -> list[str]:
        """The content that ran before runs again; where that was not known, Traefik at least answers."""
        self._pids.clear()
        if self.contained is not None:
            self.contained.leave()
        before = self._before
        if before is None or self._api is None:

            def nobody() -> t.Optional[str]:
                self._published = None
                return None if any(self._is_ours(one, False) for one in listeners()) else "Traefik does not listen"

            until(nobody, self.timeout)
            return ["it listens"]

        def complaint() -> t.Optional[str]:
            reply = self._ask_quickly("rawdata")
            if isinstance(reply, NoAnswer) or reply.status != 200 or not isinstance(reply.data, dict):
                return "Traefik's API does not answer"
            return None if fingerprint(reply.data) == before else "Traefik does not run its old content"

        until(complaint, max(self.timeout, 2 * THROTTLE + 2))
        return ["its API tells the content from before"]
