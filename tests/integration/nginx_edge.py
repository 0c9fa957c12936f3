# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of its own with the real nginx and a small configuration, whose workers are no root, as on a host."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
import tempfile
import typing as t

from wire_client import Answer, Ask
from wire_setup import HASH, Data, entrypoint, route
from wire_stage import WireStage
from wire_unit import alive

ROUTES: Data = {
    "api": route("api"),
    "v2": route("api", 9002, path="/v2"),
    "back": route("back", auth="default"),
    "guarded": route("guarded", allow=["198.51.100.16/28"], rate_limit="calm", auth="default"),
    "closed": route("closed", auth="default"),
    "stream": route(None, 9101, entrypoint="stream", protocol="tcp", tls=False),
    "ended": route("ended", 9101, entrypoint="streams", protocol="tcp"),
}
ENTRYPOINTS: Data = {
    "web": entrypoint(80, tls=False, redirect_to={"entrypoint": "websecure", "port": 443}),
    "websecure": entrypoint(443),
    "stream": entrypoint(5000, protocol="tcp", tls=False),
    "streams": entrypoint(5443, protocol="tcp"),
}


def ingress(routes: t.Optional[Data] = None, entrypoints: t.Optional[Data] = None, **changes: t.Any) -> Data:
    """The ingress part of a plan; routes and entrypoints are added, or taken away where they are None."""
    made: Data = {
        "proxy": "nginx",
        "container": False,
        "api": None,
        "metrics": None,
        "maintenance": None,
        "entrypoints": {**ENTRYPOINTS, **(entrypoints or {})},
        "rate_limits": {"calm": {"average": 1, "burst": 20}},
        "routes": {**ROUTES, **(routes or {})},
        **changes,
    }
    for key in ("entrypoints", "routes"):
        made[key] = {name: value for name, value in made[key].items() if value is not None}
    return made


class NginxEdge(WireStage):
    """The stage of the wire tests, for nginx alone."""

    def __init__(self) -> None:
        # Not below pytest's own directories, where only root may look.
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="portmap-nginx-test-"))
        self.place.chmod(0o755)
        super().__init__("nginx", self.place)
        self.own = {"run_dir": str(self.run), "group": "www-data"}
        shutil.chown(self.run, "root", "www-data")
        self.run.chmod(0o710)

    def arguments(self, **changes: t.Any) -> Data:
        """The small configuration, changed."""
        base: Data = {
            "ingress": ingress(),
            "users": [{"name": "ops", "hash": HASH}],
            "headers": {},
            "compression": False,
            "maintenance": ["closed"],
            "tls": {"certificates": [self.certificates.site]},
            "backend_tls": {},
        }
        made = super().arguments(**{**base, **changes})
        return made if "maintenance_page" in changes else {name: value for name, value in made.items() if name != "maintenance_page"}

    def get(self, host: str, path: str = "/", **more: t.Any) -> Answer:
        """Ask nginx."""
        return Ask(f"{host}.example.net", path, **more)(self.inside)

    def status(self, host: str, path: str = "/", **more: t.Any) -> t.Union[int, str]:
        """The status of an answer."""
        return self.get(host, path, **more).status

    def script(self, name: str, *lines: str) -> list[str]:
        """A command that runs these lines of sh, in which `$unit VERB` is the unit's."""
        path = self.folder / name
        unit = " ".join(self.command(""))
        path.write_text("\n".join(["set -e", f'unit="{unit}"', *lines]) + "\n")
        return ["sh", str(path)]

    def listen(self, port: int) -> list[str]:
        """A program that listens at a port."""
        return [sys.executable, "-c", f"import socket, time; held = socket.create_server(('', {port})); time.sleep(600)"]

    @property
    def release(self) -> str:
        """The release that the link leads to, "" for none."""
        link = self.config / "nginx.conf"
        return os.readlink(link).split("/")[1] if link.is_symlink() else ""

    def workers(self) -> set[int]:
        """The workers of nginx."""
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split() if self.pid else []
        return {int(pid) for pid in children if alive(int(pid))}

    def close(self) -> None:
        """End all, leave nothing."""
        super().close()
        shutil.rmtree(self.place)
