# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module traefik_config through Ansible's own argument parsing, where there is no Traefik: what it refuses, and what it says in check mode.

What it does: tests/integration/test_traefik_change.py.
"""

from __future__ import annotations

import copy
import grp
import json
import os
import pathlib
import socket
import typing as t
import unittest.mock

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import Options
from ansible_collections.alfred.portmap.plugins.module_utils._traefik import HEADER, written
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_dynamic import render_dynamic
from ansible_collections.alfred.portmap.plugins.modules import traefik_config

Data = dict[str, t.Any]

HASH, OTHER_HASH = "$2y$05$" + "a" * 53, "$2y$05$" + "b" * 53
ROUTE = {
    "host": "api.example.net",
    "path": "/",
    "entrypoint": "websecure",
    "tls": True,
    "protocol": "http",
    "dashboard": False,
    "backends": [{"address": "203.0.113.5", "port": 8080}],
    "rate_limit": None,
    "auth": "default",
    "allow": ["2001:db8::/64"],
    "health": None,
}


def free_port() -> int:
    """One that nobody on this machine has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


INGRESS: Data = {
    "proxy": "traefik",
    "api": {"address": "127.0.0.1", "port": free_port()},
    "metrics": None,
    "entrypoints": {"websecure": {"port": free_port(), "tls": True, "redirect_to": None, "proxies_in_front": None}},
    "rate_limits": {},
    "routes": {"api": ROUTE},
}


def ingress(route: Data | None = None, **changes: t.Any) -> Data:
    made = copy.deepcopy({**INGRESS, **changes})
    if route:
        made["routes"]["api"].update(route)
    return made


class Host:
    """A host's directories, and the module run on them."""

    def __init__(self, folder: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.config, self.watched = folder / "etc", folder / "etc/conf.d"
        self.static, self.dynamic = self.config / "traefik.yml", self.watched / "portmap.yml"
        self.folder = folder
        self.capfd = capfd
        self.watched.mkdir(parents=True)

    def run(self, check: bool = True, **options: t.Any) -> Data:
        """What the module answers."""
        arguments = {
            "ingress": INGRESS,
            "users": [{"name": "ops", "hash": HASH}],
            "config_dir": str(self.config),
            "started_file": str(self.folder / "started.sha256"),
            "certificates_file": str(self.folder / "certificates.sha256"),
            "group": grp.getgrgid(os.getgid()).gr_name,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            **options,
        }
        # The lock is given back when the process ends, which is not yet.
        with unittest.mock.patch("atexit.register") as at_exit, patch_module_args(arguments), pytest.raises(SystemExit):
            traefik_config.main()
        for call in at_exit.call_args_list:
            call.args[0]()
        output = self.capfd.readouterr().out
        assert HASH not in output and OTHER_HASH not in output, "a hash is shown"
        answer: Data = json.loads(output)
        answer.pop("invocation", None)
        return answer

    def part(self, answer: Data, path: pathlib.Path) -> Data:
        """The diff of one file."""
        (found,) = [part for part in answer["diff"] if part["after_header"] == str(path)]
        return t.cast(Data, found)

    def files(self) -> list[str]:
        """What lies below the configuration directory."""
        return sorted(str(path.relative_to(self.config)) for path in self.config.rglob("*") if path.is_file())


@pytest.fixture
def host(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Host:
    assert traefik_config.OWNER == 0, "the files are root's"
    monkeypatch.setattr(traefik_config, "OWNER", os.getuid())  # so that whoever tests need not be root
    return Host(tmp_path, capfd)


def test_check_mode_says_what_a_run_would_do(host: Host) -> None:
    answer = host.run()
    assert "failed" not in answer, answer
    assert (answer["changed"], answer["restarted"], answer["reloaded"]) == (True, True, False)
    assert answer["proof"] == ["Traefik was found stopped", "Traefik's binary was not there to try the candidate"]
    assert answer["routers"] == ["api", "portmap.api"]
    assert yaml.safe_load(host.part(answer, host.static)["after"])["entryPoints"]["websecure"] == {"address": f":{INGRESS['entrypoints']['websecure']['port']}"}
    middlewares = yaml.safe_load(host.part(answer, host.dynamic)["after"])["http"]["middlewares"]
    assert middlewares["auth-default"]["basicAuth"]["users"] == ["ops:(hidden)"]
    assert middlewares["portmap.secret"]["basicAuth"]["users"] == ["portmap:(hidden)"]
    assert host.files() == []


def test_two_checks_say_the_same(host: Host) -> None:
    """Although there is no secret for the API yet, so that each makes one."""
    assert host.run() == host.run()


def test_a_real_run_needs_what_it_can_not_do_without(host: Host) -> None:
    pem = host.folder / "site.pem"
    tls = {"certificates": [{"cert_file": str(pem), "key_file": str(pem)}]}
    for options, message in (
        ({"config_dir": str(host.folder / "nowhere")}, f"config_dir: {host.folder}/nowhere/conf.d is no directory; nothing was changed"),
        ({"group": "no-such-group"}, "group: there is no group no-such-group; nothing was changed"),
        ({}, "binary: None is no program; nothing was changed"),
        ({"binary": str(host.folder)[:-1] + "x"}, "is no program; nothing was changed"),
        ({"binary": "/bin/true", "tls": tls}, f"tls.certificates[0].cert_file: '{pem}' is not there; nothing was changed"),
    ):
        answer = host.run(False, **options)
        assert answer.get("failed") is True and answer["msg"].endswith(message), answer
    assert host.files() == []


@pytest.mark.parametrize("name", ["ops", 'o"p\\s', "http", "2001", "öps"])
def test_a_changed_password_shows_neither_the_old_hash_nor_the_new_one(host: Host, name: str) -> None:
    """The old one is no option of this run, so Ansible knows nothing of it."""
    host.dynamic.write_text(written(render_dynamic(INGRESS, Options(users={"default": [(name, OTHER_HASH)]}), None, "f" * 64)))
    part = host.part(host.run(users=[{"name": name, "hash": HASH}]), host.dynamic)
    for side in ("before", "after"):
        http = yaml.safe_load(part[side])["http"]
        assert http["middlewares"]["auth-default"]["basicAuth"]["users"] == [f"{name}:(hidden)"]
        assert http["middlewares"]["allow-api"]["ipAllowList"]["sourceRange"] == ["2001:db8::/64"], "only hashes are hidden"
    assert part["before"] == part["after"]


@pytest.mark.parametrize(
    "hashed", [OTHER_HASH, "$6$salt$" + "x" * 86, "$apr1$abcdefgh$" + "x" * 22, "{SHA}" + "A" * 27 + "=", "$argon2id$v=19$m=1,t=1$abc$def"]
)
def test_hashes_that_were_written_by_hand_are_hidden_too(host: Host, hashed: str) -> None:
    by_hand = ["users: ['ops:HASH']", "- ops:HASH", "users: [a:b, ops:HASH, c]", '"users": ["x:y","ops:HASH"]', "# was ops:HASH", "  - >-\n    ops:HASH"]
    host.dynamic.write_text("\n".join(by_hand).replace("HASH", hashed))
    assert host.part(host.run(), host.dynamic)["before"] == "\n".join(by_hand).replace("HASH", "(hidden)")


def test_an_external_accounts_key_is_shown_nowhere(host: Host) -> None:
    acme: Data = {"email": "ops@example.net", "ca_server": "https://acme.example.net/dir", "challenge": "dns", "dns_provider": "exec"}
    acme["eab"] = {"kid": "us", "hmac": "c2VjcmV0"}
    host.static.write_text(HEADER + 'certificatesResolvers:\n  acme:\n    acme:\n      eab:\n        hmacEncoded: "b2xkLXNlY3JldA"\n')
    answer = host.run(tls={"acme": acme})
    assert "failed" not in answer, answer
    assert "c2VjcmV0" not in json.dumps(answer) and "b2xkLXNlY3JldA" not in json.dumps(answer)
    assert "(hidden)" in host.part(answer, host.static)["after"]


def test_a_user_called_like_a_path_blots_nothing_out(host: Host) -> None:
    answer = host.run(users=[{"name": "traefik", "hash": HASH}])
    assert answer["diff"][0]["after_header"] == str(host.static)
    assert "VALUE_SPECIFIED_IN_NO_LOG" not in json.dumps(answer)


def test_users_are_told_apart_by_list(host: Host) -> None:
    both = {"api": {**ROUTE, "auth": "default"}, "back": {**ROUTE, "host": "back.example.net", "auth": "back"}}
    answer = host.run(ingress=ingress(routes=both), users=[{"name": "one", "hash": HASH}, {"list": "back", "name": "two", "hash": OTHER_HASH}])
    found = yaml.safe_load(host.part(answer, host.dynamic)["after"])["http"]["middlewares"]
    assert found["auth-default"]["basicAuth"]["users"] == ["one:(hidden)"]
    assert found["auth-back"]["basicAuth"]["users"] == ["two:(hidden)"]


def test_hidden_files_that_traefik_would_load_before_ours_are_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []  # in a process that has loaded the controller's side, Ansible shows warnings itself and returns none
    monkeypatch.setattr(traefik_config.AnsibleModule, "warn", lambda _module, warning: told.append(warning))
    for name in (".ansible_tmp1portmap.yml", ".b.toml", ".c.yaml", ".d.yml~", ".portmap.yml.tmp", "yours.yml"):
        (host.watched / name).write_text("")
    host.run()
    assert [warning.split(": Traefik loads this hidden file too")[0] for warning in told] == [
        str(host.watched / name) for name in (".ansible_tmp1portmap.yml", ".b.toml", ".c.yaml")
    ]


@pytest.mark.parametrize("damage", [b"\xff\xfe broken", b"http: {"])
def test_a_file_that_was_damaged_is_written_anew(host: Host, damage: bytes) -> None:
    host.dynamic.write_bytes(damage)
    answer = host.run()
    assert answer["changed"] is True
    assert "routers" in host.part(answer, host.dynamic)["after"]


def test_a_page_is_written_where_the_map_has_a_port_for_it(host: Host) -> None:
    page = host.config / "maintenance.html"
    assert str(page) not in [part["after_header"] for part in host.run()["diff"]]
    answer = host.run(ingress=ingress(maintenance={"address": "127.0.0.1", "port": free_port()}), maintenance=["api"], maintenance_page="<p>soon</p>")
    assert host.part(answer, page)["after"] == "<p>soon</p>"
    page.write_text("old")
    assert host.part(host.run(), page) == {"before_header": str(page), "before": "old", "after_header": str(page), "after": ""}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ingress": {**INGRESS, "proxy": "nginx"}}, "ingress.proxy: 'nginx' must be traefik; nothing was changed"),
        ({"ingress": {}}, "ingress: has no key 'entrypoints'; nothing was changed"),
        ({"ingress": {**INGRESS, "entrypoints": []}}, "nothing was changed"),
        ({"ingress": {**INGRESS, "routes": {"api": None}}}, "nothing was changed"),
        ({"ingress": ingress({"path": "/{{ x }}"})}, "without {{, {% and {#; nothing was changed"),
        ({"users": []}, "nobody could get in; nothing was changed"),
        ({"users": [{"name": "ops", "hash": "plain"}]}, "every password would be refused; nothing was changed"),
        ({"maintenance": ["api"]}, "bind: loopback}}`; nothing was changed"),
        ({"maintenance": ["nope"]}, "maintenance: 'nope' is no route; there are api; nothing was changed"),
    ],
)
def test_what_can_not_be_served_is_refused(host: Host, options: Data, message: str) -> None:
    for check in (True, False):
        answer = host.run(check, **options)
        assert answer.get("failed") is True and answer["msg"].endswith(message), answer
    assert host.files() == []


def test_a_port_that_is_held_is_refused_in_check_mode_too(host: Host) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        entrypoints = {"websecure": {**INGRESS["entrypoints"]["websecure"], "port": held.getsockname()[1]}}
        answer = host.run(ingress=ingress(entrypoints=entrypoints))
        assert answer.get("failed") is True and f"port {held.getsockname()[1]}/tcp is held by" in answer["msg"], answer
