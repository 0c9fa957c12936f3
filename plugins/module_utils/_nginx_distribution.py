# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution's own nginx: whether it serves only what its packages brought, so that nobody misses it.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import hashlib
import os
import typing as t

DIRECTORY = "/etc/nginx"
UNITS = "/etc/systemd/system"
_PLACES = ("sites-enabled", "conf.d", "default.d", "modules-enabled", "http.d")  # what the distributions' nginx.conf include
_PACKAGES = ("nginx-common", "nginx", "nginx-core")

Run = t.Callable[..., tuple[int, str, str]]


def changed_files(run: Run, directory: str = DIRECTORY) -> list[str]:
    """Files of a configuration that somebody made or changed; [] if it is as packages brought it."""
    packaged = _debian(run) or _red_hat(run)
    found = [os.path.join(directory, "nginx.conf")]
    for place in _PLACES:
        where = os.path.join(directory, place)
        if os.path.isdir(where):
            found += [os.path.join(where, name) for name in sorted(os.listdir(where))]
    found += [os.path.realpath(path) for path in found if os.path.islink(path)]
    return [path for path in found if os.path.isfile(path) and not os.path.islink(path) and packaged.get(path, "?") not in ("", _digest(path))]


def units_of_somebodys(unit: str, directory: str = UNITS) -> list[str]:
    """The file of a unit that no package brought, if there is one: it starts nginx in a way of its own."""
    path = os.path.join(directory, f"{unit.partition('.service')[0]}.service")
    return [path] if os.path.isfile(path) and not os.path.islink(path) else []


def _debian(run: Run) -> dict[str, str]:
    """By path: the MD5 that the package has it with, "" for files that are no configuration."""
    try:
        rc, out, _err = run(["dpkg-query", "-W", "-f", "${Conffiles}\n${db-fsys:Files}\n", *_PACKAGES, "libnginx-mod-*"])
    except OSError:
        return {}
    known = {}
    for line in out.splitlines():
        words = line.split()
        if words and words[0].startswith("/") and (len(words) > 1 or words[0] not in known):
            known[words[0]] = words[1] if len(words) > 1 else ""
    return known


def _red_hat(run: Run) -> dict[str, str]:
    """By path: "" if it is as the package brought it."""
    try:
        rc, out, _err = run(["rpm", "-q", "--qf", "[%{FILENAMES}\n]", "nginx", "nginx-core"])
        _rc, differing, _err = run(["rpm", "-V", "nginx", "nginx-core"])
    except OSError:
        return {}
    changed = {line.split()[-1] for line in differing.splitlines() if "/" in line and "5" in line.split()[0]}
    return {path: "?" if path in changed else "" for path in out.split() if path.startswith("/")}


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.md5(file.read(), usedforsecurity=False).hexdigest()
