# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running Traefik says of itself, and in what it differs from what was rendered.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

A file that Traefik can't read leaves no trace in its API: the old configuration stays, and all of it is `enabled`. So its content is
compared, and the revision that the API's answers bear. What it tells has password hashes in it: nothing of it goes further than
names and Traefik's own complaints.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._printable import printable
from ansible_collections.alfred.portmap.plugins.module_utils._traefik import API_USER, REVISION_HEADER, Data

# (section and kind in a dynamic file, section of /api/rawdata, in words). serversTransports and tls are not told: the revision covers them.
KINDS = (
    ("http", "routers", "routers", "router"),
    ("http", "services", "services", "service"),
    ("http", "middlewares", "middlewares", "middleware"),
    ("tcp", "routers", "tcpRouters", "tcp router"),
    ("tcp", "services", "tcpServices", "tcp service"),
    ("tcp", "middlewares", "tcpMiddlewares", "tcp middleware"),
    ("udp", "routers", "udpRouters", "udp router"),
    ("udp", "services", "udpServices", "udp service"),
)
OF_FILE = "@file"


class NoAnswer(Exception):
    """Nothing listens there."""


class Silent(NoAnswer):
    """It takes the connection, or its packets are dropped, and no answer comes in time."""


@dataclass(frozen=True)
class Reply:
    """An answer of the API."""

    status: int
    revision: str  # of the dynamic configuration, "" if it is none of ours
    data: t.Any  # None if it is no JSON


@dataclass(frozen=True)
class Api:
    """Where it is asked, and with which secret."""

    port: int
    token: str
    address: str = "127.0.0.1"
    timeout: float = 5.0

    def get(self, what: str) -> Reply:
        """Ask once. Raises NoAnswer."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=self.timeout)
        secret = base64.b64encode(f"{API_USER}:{self.token}".encode()).decode()
        try:
            connection.request("GET", f"/api/{what}", headers={"Authorization": f"Basic {secret}"})
            answer = connection.getresponse()
            body = answer.read()
        except socket.timeout as error:
            raise Silent(f"no answer within {self.timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(printable(str(error)) or type(error).__name__) from error
        finally:
            connection.close()
        try:
            data = json.loads(body)
        except ValueError:
            data = None
        return Reply(answer.status, answer.headers.get(REVISION_HEADER, ""), data)


def differences(raw: Data, dynamic: Data, gone: t.Container[tuple[str, str]] = ()) -> list[str]:
    """In what the content that runs (/api/rawdata) is not the rendered one. gone: what must not be there any more, by section and name."""
    found: list[str] = []
    for section, kind, told, word in KINDS:
        there = raw.get(told) or {}
        wanted = (dynamic.get(section) or {}).get(kind) or {}
        for name, one in wanted.items():
            running = _running(there, name, one)
            if running is None:
                found.append(f"{word} {name} is not there")
            elif running.get("error") or running.get("status") == "disabled":
                found.append(f"{word} {name}: {printable('; '.join(running.get('error') or ['disabled']), 400)}")
            else:
                found += [f"{word} {name} runs with another `{key}`" for key in one if not _covers(running.get(key), one[key])]
        left = [key[: -len(OF_FILE)] for key in there if key.endswith(OF_FILE)]
        found += [f"{word} {name} is still there" for name in left if name not in wanted and (told, name) in gone]
    return found


def names(dynamic: Data) -> set[tuple[str, str]]:
    """Every object of a dynamic configuration, by section of /api/rawdata and name."""
    return {(told, name) for section, kind, told, _word in KINDS for name in (dynamic.get(section) or {}).get(kind) or {}}


def fingerprint(raw: Data) -> Data:
    """What of /api/rawdata is configuration of files, and not state."""
    state = ("status", "using", "usedBy", "serverStatus", "error")
    return {
        told: {name: {key: value for key, value in one.items() if key not in state} for name, one in (raw.get(told) or {}).items() if name.endswith(OF_FILE)}
        for _section, _kind, told, _word in KINDS
    }


def _running(there: Data, name: str, wanted: Data) -> t.Optional[Data]:
    """The object that runs. Traefik splits a router where its entrypoints have settings of their own: `websecure-api@file`."""
    for candidate in (name, *(f"{entrypoint}-{name}" for entrypoint in wanted.get("entryPoints", []))):
        if candidate + OF_FILE in there:
            return t.cast(Data, there[candidate + OF_FILE])
    return None


def _covers(running: t.Any, wanted: t.Any) -> bool:
    """Whether all that was rendered runs; beside it Traefik tells its own defaults."""
    if isinstance(wanted, dict):
        return isinstance(running, dict) and all(_covers(running.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(running, list) and len(running) == len(wanted) and all(map(_covers, running, wanted))
    if isinstance(wanted, str) and isinstance(running, str):
        return running in (wanted, wanted + OF_FILE)
    if wanted is False and running is None:
        return True  # Go leaves it out
    return bool(running == wanted)
