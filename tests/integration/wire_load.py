# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy under steady load while its routes change: wrk and hey ask, an Nginx of its own answers behind the proxy."""

from __future__ import annotations

import copy
import pathlib
import re
import signal
import subprocess
import typing as t
from dataclasses import dataclass

from wire_client import Ask
from wire_setup import Certificates, Data, entrypoint, options, route
from wire_stage import Bench

URL = "https://api.example.net/"
BEHIND = """\
daemon off; master_process off; pid %(folder)s/behind.pid; error_log stderr;
events {}
http { access_log off; keepalive_requests 1000000; client_body_temp_path %(folder)s; proxy_temp_path %(folder)s; fastcgi_temp_path %(folder)s;
  uwsgi_temp_path %(folder)s; scgi_temp_path %(folder)s; server { listen 127.0.0.1:9001; location / { return 200 "hello\\n"; } } }
"""

# By name: a client's command. None of them waits for a slow answer with the next one, but for its own connections' ones.
CLIENTS = {
    # Sends the next request as soon as it has the last answer, and never sends one again.
    "wrk, keep-alive": ["wrk", "--threads", "1", "--connections", "2", "--latency", "--timeout", "5", "--duration", "600"],
    # 100 requests a second over connections that lie idle between them.
    "hey, keep-alive": ["hey", "-c", "4", "-q", "25", "-z", "600s", "-t", "5"],
    # 100 connections a second, each with its own TLS handshake.
    "hey, new connections": ["hey", "-c", "4", "-q", "25", "-z", "600s", "-t", "5", "-disable-keepalive"],
}


@dataclass(frozen=True)
class Outcome:
    """What a client saw. lost: requests without an answer, or with another one than 200."""

    requests: int
    lost: int
    p99: float  # seconds
    said: str


def of_wrk(said: str) -> Outcome:
    """What wrk prints."""
    requests = int(t.cast(re.Match[str], re.search(r"(\d+) requests in", said))[1])
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    value, unit = t.cast(re.Match[str], re.search(r"99%\s+([\d.]+)(us|ms|s)", said)).groups()
    lost = sum(int(number) for number in errors.groups()) if errors else 0
    return Outcome(requests, lost + (int(other[1]) if other else 0), float(value) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit], said)


def of_hey(said: str) -> Outcome:
    """What hey prints."""
    statuses = {int(status): int(count) for status, count in re.findall(r"^\s+\[(\d{3})\]\s+(\d+) responses", said, re.MULTILINE)}
    errors = sum(int(count) for count in re.findall(r"^\s+\[(\d+)\]\s+(?!\d+ responses)\S", said.partition("Error distribution:")[2], re.MULTILINE))
    p99 = re.search(r"99%% in ([\d.]+) secs|99% in ([\d.]+) secs", said)
    answered = sum(statuses.values())
    return Outcome(answered + errors, answered - statuses.get(200, 0) + errors, float(next(filter(None, p99.groups()))) if p99 else float("nan"), said)


class LoadStage(Bench):
    """One route to one service, both of which answer as fast as they can."""

    def __init__(self, proxy: str, folder: pathlib.Path) -> None:
        super().__init__(proxy, folder)
        self.certificates = Certificates(folder / "tls")
        behind = folder / "behind.conf"
        behind.write_text(BEHIND % {"folder": folder})
        self.spawn("nginx", "-c", str(behind))
        self.set_number = 0

    def arguments(self, **changes: t.Any) -> Data:
        """Of a call; `number` other routes beside the one that is asked for."""
        number = changes.pop("number", 0)
        made = copy.deepcopy(options(self.proxy, self.certificates))
        entrypoints = {"web": entrypoint(80, tls=False, redirect_to={"entrypoint": "websecure", "port": 443}), "websecure": entrypoint(443)}
        routes = {"api": route("api"), **{f"r{index}": route(f"r{index}") for index in range(number)}}
        made["ingress"] = {**made["ingress"], "entrypoints": entrypoints, "routes": routes, "maintenance": None}
        return super().arguments(**{**made, "maintenance": [], **changes})

    def start(self) -> None:
        """Configure it, wait for its first answer."""
        answer = self.configure()
        assert "failed" not in answer, answer
        self.until(lambda: Ask("api.example.net")(self.inside).status == 200, "the route does not come")

    def change(self, times: int) -> None:
        """That many changes of routes, each proven by the module."""
        for _number in range(times):
            self.set_number += 1
            answer = self.configure(number=1 + self.set_number % 2)
            assert answer.get("changed") is True, answer

    def under_load(self, during: t.Callable[[], None], clients: t.Iterable[str] = tuple(CLIENTS)) -> dict[str, Outcome]:
        """What each client sees while something happens."""
        running = {}
        for name in clients:
            command = ["ip", "netns", "exec", self.name, *CLIENTS[name], URL]
            running[name] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            during()
        finally:
            for process in running.values():
                process.send_signal(signal.SIGINT)
            said = {name: process.communicate(timeout=30)[0] for name, process in running.items()}
        return {name: (of_wrk if name.startswith("wrk") else of_hey)(text) for name, text in said.items()}
