# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nginx_config where there is no nginx (yet). With the real one: tests/integration/test_nginx.py."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.alfred.portmap.plugins.modules import nginx_config

Data = dict[str, t.Any]

HASH = "$2y$05$" + "a" * 53
ROUTE: Data = {
    "host": "api.example.net",
    "path": "/",
    "entrypoint": "websecure",
    "tls": True,
    "protocol": "http",
    "dashboard": False,
    "backends": [{"address": "203.0.113.5", "port": 8080}],
    "rate_limit": None,
    "auth": "default",
    "allow": None,
    "health": None,
}
INGRESS: Data = {
    "proxy": "nginx",
    "container": False,
    # A port of this machine that nobody has: the kernel gives none of these to a program that asks for any.
    "entrypoints": {"websecure": {"port": 1, "tls": True, "redirect_to": None, "proxies_in_front": None}},
    "rate_limits": {},
    "routes": {"api": ROUTE},
}


class Host:
    """A host without nginx."""

    def __init__(self, folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys

    def configure(self, check: bool = True, **changes: t.Any) -> Data:
        """The module's answer."""
        arguments: Data = {
            "ingress": copy.deepcopy(INGRESS),
            "users": [{"name": "ops", "hash": HASH}],
            "tls": {"certificates": [{"cert_file": str(self.folder / "site.pem"), "key_file": str(self.folder / "site.key")}]},
            "config_dir": str(self.folder / "etc"),
            "run_dir": str(self.folder / "run"),
            "binary": str(self.folder / "nginx"),
            "user": "nobody-yet",
            "restart_command": ["false"],
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            **changes,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit):
            nginx_config.main()
        out = self.capsys.readouterr().out
        assert HASH not in out
        return t.cast(Data, json.loads(out))


@pytest.fixture
def host(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path, capsys)


def test_check_mode_of_a_first_run_needs_nothing_that_the_run_would_bring(host: Host) -> None:
    """Neither packages nor their user, nor certificates that another task makes."""
    answer = host.configure()
    assert (answer["changed"], answer["restarted"]) == (True, True), answer
    assert any("was not asked" in one for one in answer["proof"])
    assert "ops:(hidden)" in answer["diff"][0]["after"] and answer["diff"][0]["before"] == ""
    assert os.listdir(host.folder) == []


def test_a_run_needs_nginx(host: Host) -> None:
    answer = host.configure(check=False)
    assert answer["failed"] and "is no program" in answer["msg"]
    (host.folder / "nginx").write_text("#!/bin/sh\necho something else\n")
    (host.folder / "nginx").chmod(0o755)
    # Of another proxy: a run keeps others out until its process ends, and this one goes on.
    assert "is not nginx" in host.configure(check=False, config_dir=str(host.folder / "other"))["msg"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ingress": {"proxy": "traefik"}}, "ingress.proxy: 'traefik' must be nginx"),
        ({"ingress": {"proxy": "nginx"}}, "ingress: has no key 'entrypoints'"),
        ({"ingress": {**INGRESS, "routes": []}}, "ingress.routes: [] must be a mapping"),
        ({"workers": "many"}, "workers: 'many' must be auto or a number"),
        ({"worker_connections": 1}, "worker_connections: 1 must be at least 64"),
        ({"users": []}, "nobody could get in"),
        ({"maintenance": ["none"]}, "is no route"),
        ({"unit": "/x"}, "required together"),
    ],
)
def test_options_that_can_not_be(host: Host, changes: Data, said: str) -> None:
    answer = host.configure(**changes)
    assert answer["failed"] and said in answer["msg"], answer
