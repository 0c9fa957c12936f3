# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module traefik_config through Ansible's own argument parsing. What Traefik makes of its files: tests/integration/test_traefik.py."""

from __future__ import annotations

import copy
import grp
import hashlib
import json
import os
import pathlib
import typing as t

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

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
INGRESS: Data = {
    "proxy": "traefik",
    "api": {"address": "127.0.0.1", "port": 8880},
    "metrics": None,
    "entrypoints": {"websecure": {"port": 443, "tls": True, "redirect_to": None, "proxies_in_front": None}},
    "rate_limits": {},
    "routes": {"api": ROUTE},
}


def ingress(route: Data | None = None, **changes: t.Any) -> Data:
    made = copy.deepcopy({**INGRESS, **changes})
    if route:
        made["routes"]["api"].update(route)
    return made


def sums(*paths: pathlib.Path) -> str:
    """What `sha256sum -z` prints of them."""
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}\0" for path in paths)


class Host:
    """A host's directories, and the module run on them."""

    def __init__(self, folder: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.config, self.watched = folder / "etc", folder / "etc/conf.d"
        self.static, self.dynamic = self.config / "traefik.yml", self.watched / "portmap.yml"
        self.started, self.loaded = folder / "started.sha256", folder / "certificates.sha256"
        self.binary, self.unit = folder / "traefik", folder / "traefik.service"
        self.pair = [folder / "site.pem", folder / "site.key"]
        for path in (self.binary, self.unit, *self.pair):
            path.write_text(path.name)
        self.capfd = capfd
        self.watched.mkdir(parents=True)

    def run(self, check: bool = False, **options: t.Any) -> Data:
        """What the module answers."""
        arguments = {
            "ingress": INGRESS,
            "users": [{"name": "ops", "hash": HASH}],
            "config_dir": str(self.config),
            "started_file": str(self.started),
            "certificates_file": str(self.loaded),
            "group": grp.getgrgid(os.getgid()).gr_name,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            **options,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit):
            traefik_config.main()
        output = self.capfd.readouterr().out
        assert HASH not in output and OTHER_HASH not in output, "a hash is shown"
        answer: Data = json.loads(output)
        answer.pop("invocation", None)
        return answer

    def start(self) -> None:
        """Record what the unit does when it starts Traefik."""
        self.started.write_text(sums(self.static, self.binary, self.unit))
        self.load()

    def load(self) -> None:
        """Record what the unit does when it starts or reloads Traefik."""
        self.loaded.write_text(sums(*(pathlib.Path(path) for path in (self.config / "certificates.list").read_text().split("\0")[:-1])))

    def files(self) -> dict[str, tuple[bytes, int, int]]:
        """Everything below the configuration directory: bytes, mode and inode, so that a file written anew is another one."""
        found = [path for path in sorted(self.config.rglob("*")) if path.is_file()]
        return {str(path.relative_to(self.config)): (path.read_bytes(), path.stat().st_mode & 0o7777, path.stat().st_ino) for path in found}


@pytest.fixture
def host(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Host:
    assert traefik_config.OWNER == 0, "the files are root's"
    monkeypatch.setattr(traefik_config, "OWNER", os.getuid())  # so that whoever tests need not be root
    return Host(tmp_path, capfd)


FLAGS = ("changed", "static_changed", "dynamic_changed", "restart_needed")
WRITTEN = {"certificates.list", "conf.d/portmap.yml", "traefik.yml"}


def flags(answer: Data) -> tuple[bool, ...]:
    assert "failed" not in answer, answer
    return tuple(answer[name] for name in FLAGS)


def test_check_mode_says_what_the_run_does(host: Host) -> None:
    checked = host.run(check=True)
    assert host.files() == {}
    ran = host.run()
    assert checked == ran
    assert flags(ran) == (True, True, True, True)
    assert ran["routers"] == ["api", "portmap.api"]
    assert [(part["before"], part["after_header"]) for part in ran["diff"]] == [
        ("", str(host.static)),
        ("", str(host.dynamic)),
        ("", str(host.config / "certificates.list")),
    ]
    assert yaml.safe_load(ran["diff"][1]["after"])["http"]["middlewares"]["auth-default"]["basicAuth"]["users"] == ["ops:(hidden)"]


def test_a_second_run_writes_nothing(host: Host) -> None:
    host.run()
    before = host.files()
    assert set(before) == WRITTEN
    again = host.run()
    assert flags(again) == (False, False, False, True), "nothing runs with it yet"
    assert host.files() == before
    assert all(part["before"] == part["after"] for part in again["diff"])


def test_only_the_file_that_differs_is_written(host: Host) -> None:
    host.run()
    before = host.files()
    checked, ran = (host.run(check, ingress=ingress({"path": "/v1"})) for check in (True, False))
    assert checked == ran
    assert flags(ran) == (True, False, True, True)
    assert host.files()["traefik.yml"] == before["traefik.yml"]
    assert "PathPrefix(`/v1`)" in host.dynamic.read_text()
    assert flags(host.run(ingress=ingress({"path": "/v1"}), access_log=True)) == (True, True, False, True)


@pytest.mark.parametrize("name", ["ops", 'o"p\\s', "http", "2001", "öps"])
def test_a_changed_password_shows_neither_the_old_hash_nor_the_new_one(host: Host, name: str) -> None:
    """The old one is no option of this run, so Ansible knows nothing of it."""
    host.run(users=[{"name": name, "hash": OTHER_HASH}])
    answer = host.run(users=[{"name": name, "hash": HASH}])
    assert answer["dynamic_changed"] is True
    for side in ("before", "after"):
        http = yaml.safe_load(answer["diff"][1][side])["http"]
        assert http["middlewares"]["auth-default"]["basicAuth"]["users"] == [f"{name}:(hidden)"]
        assert http["middlewares"]["allow-api"]["ipAllowList"]["sourceRange"] == ["2001:db8::/64"], "only hashes are hidden"


@pytest.mark.parametrize(
    "hashed", [OTHER_HASH, "$6$salt$" + "x" * 86, "$apr1$abcdefgh$" + "x" * 22, "{SHA}" + "A" * 27 + "=", "$argon2id$v=19$m=1,t=1$abc$def"]
)
def test_hashes_that_were_written_by_hand_are_hidden_too(host: Host, hashed: str) -> None:
    by_hand = ["users: ['ops:HASH']", "- ops:HASH", "users: [a:b, ops:HASH, c]", '"users": ["x:y","ops:HASH"]', "# was ops:HASH", "  - >-\n    ops:HASH"]
    host.dynamic.write_text("\n".join(by_hand).replace("HASH", hashed))
    assert host.run()["diff"][1]["before"] == "\n".join(by_hand).replace("HASH", "(hidden)")


def test_a_user_called_like_a_path_blots_nothing_out(host: Host) -> None:
    answer = host.run(users=[{"name": "traefik", "hash": HASH}])
    assert answer["diff"][0]["after_header"] == str(host.static)
    assert "VALUE_SPECIFIED_IN_NO_LOG" not in json.dumps(answer)


def test_users_are_told_apart_by_list(host: Host) -> None:
    both = {"api": {**ROUTE, "auth": "default"}, "back": {**ROUTE, "host": "back.example.net", "auth": "back"}}
    host.run(ingress=ingress(routes=both), users=[{"name": "ops", "hash": HASH}, {"list": "back", "name": "ops", "hash": OTHER_HASH}])
    found = yaml.safe_load(host.dynamic.read_text())["http"]["middlewares"]
    assert found["auth-default"]["basicAuth"]["users"] == [f"ops:{HASH}"]
    assert found["auth-back"]["basicAuth"]["users"] == [f"ops:{OTHER_HASH}"]


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o4640])
def test_files_are_for_root_and_the_group_alone(host: Host, mode: int) -> None:
    host.run()
    assert {path: found[1] for path, found in host.files().items()} == dict.fromkeys(WRITTEN, 0o640)
    host.dynamic.chmod(mode)
    checked, ran = (host.run(check) for check in (True, False))
    assert checked == ran
    assert (ran["static_changed"], ran["dynamic_changed"]) == (False, True)
    assert host.dynamic.stat().st_mode & 0o7777 == 0o640


def test_no_file_is_ever_readable_by_others(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before it is renamed, either: hashes are in it from its first byte."""
    seen: list[int] = []
    rename = os.rename

    def watching(source: str, target: str) -> None:
        seen.append(os.stat(source).st_mode & 0o7777)
        rename(source, target)

    opened = os.open

    def opening(path: str, flags_: int, mode: int = 0o777, **more: t.Any) -> int:
        if str(path).startswith(str(host.config)):
            seen.append(mode)
        return opened(path, flags_, mode, **more)

    monkeypatch.setattr(os, "rename", watching)
    monkeypatch.setattr(os, "open", opening)
    old = os.umask(0)
    try:
        host.run()
    finally:
        os.umask(old)
    assert seen == [0o600, 0o640] * len(WRITTEN)


def test_a_restart_is_due_until_it_happened(host: Host) -> None:
    host.run()
    host.start()
    assert flags(host.run()) == (False, False, False, False)
    assert flags(host.run(log_level="DEBUG")) == (True, True, False, True)
    assert flags(host.run(log_level="DEBUG")) == (False, False, False, True), "a run that was interrupted here would lose the restart"
    assert flags(host.run()) == (True, True, False, False), "back to what it runs with"


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("what", ["binary", "unit"])
def test_another_binary_or_unit_is_due_for_a_restart_whoever_put_it_there(host: Host, what: str, check: bool) -> None:
    host.binary.write_text("#!/bin/sh\n")
    host.run()
    host.start()
    options = {"binary": str(host.binary), "unit": str(host.unit)}
    assert flags(host.run(check, **options)) == (False, False, False, False)
    path: pathlib.Path = getattr(host, what)
    before = path.read_text()
    path.write_text(before + "# another")
    for _run in range(2):
        assert flags(host.run(check, **options)) == (False, False, False, True), "not once, but until it happened"
    path.write_text(before)
    assert flags(host.run(check, **options)) == (False, False, False, False), "back to what it runs with"
    host.started.write_text(sums(host.static))
    assert flags(host.run(check, **options)) == (False, False, False, True), "what was not recorded is not known"
    assert flags(host.run(check)) == (False, False, False, False), "nobody asked for it"


def test_certificates_are_due_until_traefik_read_them(host: Host) -> None:
    tls = {"certificates": [dict(zip(("cert_file", "key_file"), map(str, host.pair)))]}
    first = host.run(tls=tls)
    assert (host.config / "certificates.list").read_text() == "".join(f"{path}\0" for path in host.pair)
    assert first["diff"][2]["after"] == "".join(f"{path}\n" for path in host.pair)
    host.start()
    assert host.run(tls=tls)["reload_needed"] is False
    for path in host.pair:
        path.write_text("replaced")
        for check in (True, False, False):
            answer = host.run(check, tls=tls)
            assert flags(answer) == (False, False, False, False)
            assert answer["reload_needed"] is True, "until it is reloaded"
        host.load()
        assert host.run(tls=tls)["reload_needed"] is False
    gone = host.run()
    assert (gone["dynamic_changed"], gone["reload_needed"]) == (True, False), "what is no longer served need not be read"
    back = host.run(tls=tls)
    assert (back["dynamic_changed"], back["reload_needed"]) == (True, False)


def test_a_certificate_that_is_not_there_is_missed_only_by_the_run(host: Host) -> None:
    tls = {"certificates": [{"cert_file": str(host.pair[0]), "key_file": "/nonexistent.key"}]}
    assert host.run(check=True, tls=tls)["reload_needed"] is True, "another task would have made it"
    answer = host.run(tls=tls)
    assert answer["failed"] is True and answer["msg"] == "tls.certificates: /nonexistent.key: no such file; nothing was changed"
    assert host.files() == {}


def test_what_an_interrupted_run_left_is_no_obstacle(host: Host) -> None:
    leftover = host.watched / ".portmap.yml.tmp"
    leftover.write_text("http: {routers: {half: {rule: Host(`x`")
    assert traefik_config.strays(str(host.watched), "portmap.yml") == [], "Traefik does not load it: it goes by the ending"
    host.run()
    assert not leftover.exists()
    assert "half" not in host.dynamic.read_text()


@pytest.mark.parametrize("name", ["conf.d/.portmap.yml.tmp", "conf.d/portmap.yml", ".traefik.yml.tmp", "traefik.yml"])
def test_nobody_elses_file_is_written_through_a_link(host: Host, name: str) -> None:
    other = host.config / "other"
    other.write_text("somebody else's")
    (host.config / name).symlink_to(other)
    assert host.run()["changed"] is True
    assert other.read_text() == "somebody else's"
    assert not host.static.is_symlink() and not host.dynamic.is_symlink()


def test_hidden_files_that_traefik_would_load_before_ours_are_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []  # in a process that has loaded the controller's side, Ansible shows warnings itself and returns none
    monkeypatch.setattr(traefik_config.AnsibleModule, "warn", lambda _module, warning: told.append(warning))
    for name in (".ansible_tmp1portmap.yml", ".b.toml", ".c.yaml", ".d.yml~", "yours.yml"):
        (host.watched / name).write_text("")
    host.run(check=True)
    assert [warning.split(": Traefik loads this hidden file too")[0] for warning in told] == [
        str(host.watched / name) for name in (".ansible_tmp1portmap.yml", ".b.toml", ".c.yaml")
    ]


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe broken", b"http: {"])
def test_a_file_that_was_damaged_is_written_anew(host: Host, damage: bytes) -> None:
    host.run()
    before = host.dynamic.read_bytes()
    host.dynamic.write_bytes(damage)
    assert host.run()["dynamic_changed"] is True
    assert host.dynamic.read_bytes() == before


def test_an_edge_without_routes(host: Host) -> None:
    answer = host.run(ingress=ingress(routes={}, api=None))
    assert flags(answer) == (True, True, True, True)
    assert answer["routers"] == []
    assert "http" not in yaml.safe_load(host.dynamic.read_text())


REFUSED = [
    ({"users": []}, "users: route api needs the list 'default', which is missing or empty"),
    ({"users": [{"name": "ops", "hash": "plain"}]}, "none of Traefik's kinds"),
    ({"ingress": ingress({"entrypoint": "nope"})}, "ingress.routes.api.entrypoint: there is no entrypoint 'nope'"),
    ({"ingress": ingress(routes={"x": {}})}, "ingress: has no key 'entrypoint'"),
    ({"ingress": ingress({"path": "/{{ y }}"})}, "has '{{' in a value"),
    ({"ingress": ingress({"rate_limit": "x"}, rate_limits={"x": {"average": 1.5, "burst": 1}})}, "ingress: can't be written as YAML: 1.5"),
    ({"ingress": ingress(routes=None)}, "ingress: "),
    ({"ingress": ingress(entrypoints=["web"])}, "ingress: "),
    ({"ingress": ingress({"backends": ["203.0.113.5:8080"]})}, "ingress: "),
    ({"ingress": ingress({"host": None})}, "ingress: "),
    ({"ingress": ingress(api={"address": "", "port": 8880})}, "ingress.api.address: '' must be a loopback address"),
    ({"tls": {"acme": {"email": "a@b", "challenge": "dns"}}}, "tls.acme.dns_provider: the dns challenge needs one"),
]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(("harm", "message"), REFUSED)
def test_bad_input_changes_nothing(host: Host, harm: Data, message: str, check: bool) -> None:
    host.run(access_log=True)
    before = host.files()
    answer = host.run(check, **harm)
    assert answer["failed"] is True
    assert message in answer["msg"] and answer["msg"].endswith("nothing was changed")
    assert host.files() == before


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ({"group": "no-such-group"}, "group: there is no group no-such-group"),
        ({"config_dir": "/nonexistent"}, "config_dir: /nonexistent/conf.d is no directory"),
    ],
)
def test_what_another_task_would_have_made_is_missed_only_by_the_run(host: Host, harm: Data, message: str) -> None:
    assert flags(host.run(check=True, **harm)) == (True, True, True, True)
    answer = host.run(**harm)
    assert answer["failed"] is True and answer["msg"] == f"{message}; nothing was changed"
    assert host.files() == {}


@pytest.mark.parametrize("name", ["traefik.yml", "conf.d/portmap.yml"])
def test_a_directory_where_a_file_belongs(host: Host, name: str) -> None:
    (host.config / name).mkdir()
    answer = host.run()
    assert answer["failed"] is True
    assert answer["msg"] == f"{host.config / name}: Is a directory; nothing was changed"
    assert host.files() == {}


@pytest.mark.parametrize(
    ("error", "refused"), [("command healthcheck error: field not found", True), ("Error calling healthcheck: please enable `ping`", False)]
)
def test_traefik_itself_may_refuse_the_static_file(host: Host, tmp_path: pathlib.Path, error: str, refused: bool) -> None:
    """Both end with 1: only what it says tells them apart. It is asked only about a file that would be written."""
    binary, asked = tmp_path / "traefik", tmp_path / "asked"
    binary.write_text(f"#!/bin/sh\necho \"$@\" >>{asked}\necho '{error}' >&2\nexit 1\n")
    binary.chmod(0o755)
    answer = host.run(binary=str(binary))
    assert answer.get("failed", False) is refused
    assert asked.read_text().startswith("healthcheck --configFile=")
    assert (host.files() == {}) is refused
    if not refused:
        asked.unlink()
        host.run(binary=str(binary))
        assert not asked.exists()
    else:
        assert "nothing was changed: command healthcheck error: field not found" in answer["msg"]
