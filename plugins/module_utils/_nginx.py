# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the ingress part of a plan to nginx's whole configuration, as a tree of files that is known by its hash. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import hashlib
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._nginx_binary import BUILT_IN
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_context import RELEASE, TREE, Context, check
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_http import PAGE_FILE, Http, users_file
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_stream import Stream
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_words import Lines, block, constant, directive, file_text, word

MAIN = "nginx.conf"
LIST = "certificates.list"
HEADER = "# made by alfred.portmap from the port map: changes by hand are overwritten"
CONTROL_SOCKET = "control/control.sock"  # in a directory of its own, which is root's alone: the rest of run_dir is for the workers too
PID_FILE = "nginx.pid"
ERRORS = "error.log"  # of the kind that keeps a configuration from being taken up


@dataclass(frozen=True)
class Tree:
    """All files by their names within the tree, with TREE and RELEASE where its place and hash go."""

    files: t.Mapping[str, str]
    secret: frozenset[str]

    @property
    def release(self) -> str:
        """The hash of everything in it."""
        whole = hashlib.sha256()
        for name, text in sorted(self.files.items()):
            whole.update(f"{name}\0{len(text)}\0{text}".encode())
        return whole.hexdigest()

    def placed(self, directory: str, run_dir: t.Optional[tuple[str, str]] = None) -> dict[str, str]:
        """The files as they are in a directory. run_dir: the one that they name, and another one to put in its place for a trial."""
        release = self.release
        found = {}
        for name, text in self.files.items():
            if name not in self.secret and name != PAGE_FILE:
                text = text.replace(TREE, directory).replace(RELEASE, release)
                text = text.replace(*run_dir) if run_dir else text
            found[name] = text
        return found


def render(context: Context) -> Tree:
    """The whole configuration. Raises ProxyError."""
    check(context)
    http = Http(context)
    http_lines = http.render()
    stream_lines = Stream(context).render()
    files = {MAIN: file_text([HEADER, *_main(context, bool(stream_lines))]), "http.conf": file_text([HEADER, *http_lines])}
    if stream_lines:
        files["stream.conf"] = file_text([HEADER, *stream_lines])
    # Certificates and keys that were replaced make another tree: a reload reads them.
    files[LIST] = file_text([HEADER, *(f"{one.digest}  {one.pair.cert_file}  {one.pair.key_file}" for one in context.host.certificates)])
    secret = set()
    for name in sorted(http.lists):
        secret.add(users_file(name))
        files[users_file(name)] = file_text(f"{user}:{hashed}" for user, hashed in context.options.users[name])
    if context.options.maintenance:
        files[PAGE_FILE] = context.options.page
    return Tree(files, frozenset(secret))


def _main(context: Context, stream: bool) -> Lines:
    host = context.host
    run_dir = constant(host.run_dir, "run_dir").strip('"')
    control = [
        directive("listen", f"unix:{run_dir}/{CONTROL_SOCKET}"),
        directive("access_log", "off"),
        *block(["location", "=", "/configuration"], [directive("default_type", "text/plain"), directive("return", "200", RELEASE)]),
        *(block(["location", "=", "/status"], [directive("stub_status")]) if host.binary.status else []),
        *block(["location", "/"], [directive("return", "404")]),
    ]
    modules = [directive("load_module", word(host.binary.stream))] if stream and host.binary.stream != BUILT_IN else []
    return [
        *modules,
        directive("user", word(host.user, "user"), word(host.group, "group")),
        directive("worker_processes", word(host.workers, "workers")),
        # Connections of before a reload stay with the workers that had them, and no longer than this.
        directive("worker_shutdown_timeout", f"{host.drain}s"),
        directive("pid", f"{run_dir}/{PID_FILE}"),
        directive("error_log", "stderr", "error"),
        directive("error_log", f"{run_dir}/{ERRORS}", "emerg"),
        directive("pcre_jit", "on"),
        *block(["events"], [directive("worker_connections", str(host.connections))]),
        *block(["http"], [*block(["server"], control), directive("include", f"{TREE}/http.conf")]),
        *(block(["stream"], [directive("include", f"{TREE}/stream.conf")]) if stream else []),
    ]


def shown(files: t.Mapping[str, str], directory: str, release: str) -> str:
    """A tree as one text to show: without hashes of passwords, and without its own hash, which differs with every change."""
    parts = []
    for name, text in sorted(files.items()):
        if os.path.dirname(name) == os.path.dirname(users_file("default")):
            text = "".join(f"{line.split(':', 1)[0]}:(hidden)\n" for line in text.splitlines())
        parts.append(f"# {name}\n" + text.replace(directory, "(tree)").replace(release or RELEASE, "(release)"))
    return "\n".join(parts)
