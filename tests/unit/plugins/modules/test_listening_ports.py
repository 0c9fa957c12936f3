# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules listening_ports and listening_ports_info on this machine's own sockets, through Ansible's own argument parsing."""

from __future__ import annotations

import json
import os
import pathlib
import pwd
import socket
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.alfred.portmap.plugins.module_utils._sock_diag import SocketsError
from ansible_collections.alfred.portmap.plugins.modules import listening_ports, listening_ports_info

EVERYTHING_ELSE = {"ports": "1-65535"}


def run(capfd: pytest.CaptureFixture[str], module: t.Any = listening_ports, **options: t.Any) -> dict[str, t.Any]:
    """What the module answers."""
    with patch_module_args(options), pytest.raises(SystemExit):
        module.main()
    answer: dict[str, t.Any] = json.loads(capfd.readouterr().out)
    answer.pop("invocation", None)
    return answer


@pytest.fixture
def port() -> t.Iterator[int]:
    """A port that this very process listens on, on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_what_is_as_planned(capfd: pytest.CaptureFixture[str], port: int) -> None:
    options = {"expected": [{"name": "test", "ports": str(port), "bind": "loopback"}], "ignore": [EVERYTHING_ELSE]}
    answer = run(capfd, **options)
    assert (answer["changed"], answer["findings"], answer.get("failed")) == (False, [], None)
    assert port in [one["port"] for one in answer["listeners"]]
    assert run(capfd, **options, _ansible_check_mode=True)["findings"] == []


def test_findings_fail_unless_they_are_only_asked_for(capfd: pytest.CaptureFixture[str], port: int) -> None:
    options: dict[str, t.Any] = {"expected": [{"name": "test", "ports": str(port), "bind": "any", "origin": "m.yml:3"}], "ignore": [EVERYTHING_ELSE]}
    failed = run(capfd, **options)
    assert failed["failed"] is True and failed["msg"].startswith(f"test: {port}/tcp listens on 127.0.0.1, expected any; it is ")
    told = run(capfd, **options, fail_on_findings=False)
    assert "failed" not in told
    assert told["findings"] == failed["findings"]
    assert (told["findings"][0]["kind"], told["findings"][0]["why"]) == ("wrong address", "m.yml:3")


@pytest.mark.parametrize("spelling", ["::1", "0:0:0:0:0:0:0:1", "::0001"])
def test_an_address_may_be_spelt_in_every_way(capfd: pytest.CaptureFixture[str], spelling: str) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        expected = [{"name": "test", "ports": str(server.getsockname()[1]), "bind": [spelling]}]
        assert run(capfd, expected=expected, ignore=[EVERYTHING_ELSE])["findings"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expected": [{"name": "a", "ports": "0"}]}, "expected[0].ports: '0' must be a port from 1 to 65535 or a range lo-hi"),
        ({"expected": [{"name": "a", "ports": "65536"}]}, "expected[0].ports: '65536'"),
        ({"expected": [{"name": "a", "ports": "9-8"}]}, "expected[0].ports: '9-8'"),
        ({"expected": [{"name": "a", "ports": "http"}]}, "expected[0].ports: 'http'"),
        ({"expected": [{"name": "a", "ports": "80,81"}]}, "expected[0].ports: '80,81'"),
        ({"expected": [{"name": "a", "ports": "80-"}]}, "expected[0].ports: '80-'"),
        ({"expected": [{"name": "a", "ports": "80", "bind": "everywhere"}]}, "expected[0].bind: 'everywhere' must be any, loopback or a list"),
        ({"expected": [{"name": "a", "ports": "80", "bind": []}]}, "expected[0].bind: []"),
        ({"expected": [{"name": "a", "ports": "80", "bind": ["localhost"]}]}, "expected[0].bind: ['localhost']"),
        ({"expected": [{"name": "a", "ports": "80", "bind": ["10.0.0.0/8"]}]}, "expected[0].bind: ['10.0.0.0/8']"),
        ({"expected": [{"name": "a", "ports": "80", "bind": [1]}]}, "expected[0].bind: [1]"),
        ({"expected": [{"name": "a", "ports": "²"}]}, "expected[0].ports: '²'"),  # a digit, to str.isdigit()
        ({"expected": [{"name": "a", "ports": "80", "bind": ["fe80::1%lo"]}]}, "expected[0].bind: ['fe80::1%lo']"),
        ({"expected": [{"name": "a", "ports": "80", "owner": [" "]}]}, "expected[0].owner[0]: ' ' must be a name or a pattern"),
        ({"expected": [], "ignore": [{"process": ""}]}, "ignore[0].process: ''"),
        ({"expected": [], "expected_unix": [{"path": "run/x.sock"}]}, "expected_unix[0].path: 'run/x.sock' must be an absolute path"),
        ({"expected": [], "expected_unix": [{"path": "@"}]}, "expected_unix[0].path: '@'"),
        ({"expected": [], "ignore": [{"ports": "x"}]}, "ignore[0].ports: 'x'"),
        ({"expected": [], "ignore": [{"ports": ""}]}, "ignore[0].ports: ''"),  # an empty variable must not ignore everything
        ({"expected": [{"ports": "80"}]}, "missing required arguments: name"),
        ({"expected": [], "ignore": [{"comm": "x"}]}, "ignore.comm"),
    ],
)
def test_wrong_options(capfd: pytest.CaptureFixture[str], options: dict[str, t.Any], message: str) -> None:
    answer = run(capfd, **options)
    assert answer["failed"] is True
    assert message in answer["msg"]


@pytest.mark.parametrize("module", [listening_ports, listening_ports_info])
def test_a_table_that_cannot_be_read_fails(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, module: t.Any) -> None:
    def refuse(*_arguments: t.Any, **_options: t.Any) -> None:
        raise SocketsError("the kernel's table of tcp sockets can't be read: no")

    monkeypatch.setattr(module, "look", refuse)
    answer = run(capfd, module, **({"expected": []} if module is listening_ports else {}))
    assert (answer["failed"], answer["msg"]) == (True, "the kernel's table of tcp sockets can't be read: no")


def test_info_lists_what_listens(capfd: pytest.CaptureFixture[str], port: int) -> None:
    (ours,) = [one for one in run(capfd, listening_ports_info)["listeners"] if one["port"] == port]
    assert {key: ours[key] for key in ("transport", "address", "serves", "interface")} == {
        "transport": "tcp",
        "address": "127.0.0.1",
        "serves": ["ipv4"],
        "interface": "",
    }
    assert ours["pid"] is not None
    (nameless,) = [one for one in run(capfd, listening_ports_info, owners=False)["listeners"] if one["port"] == port]
    assert (nameless["pid"], nameless["process"], nameless["unit"]) == (None, None, None)


def test_the_wrong_owner_fails(capfd: pytest.CaptureFixture[str], port: int) -> None:
    expected = {"name": "test", "ports": str(port), "bind": "loopback", "exposure": "loopback"}
    failed = run(capfd, expected=[{**expected, "owner": ["redis*"]}], ignore=[EVERYTHING_ELSE])
    assert failed["msg"].startswith(f"test: {port}/tcp must be held by redis*; it is ")
    (ours,) = [one for one in failed["listeners"] if one["port"] == port]
    assert (ours["expected"], ours["exposure"], ours["ignored"], ours["containers"]) == (["test"], "loopback", False, [])
    assert ours["user"] == pwd.getpwuid(os.getuid()).pw_name
    assert run(capfd, expected=[{**expected, "owner": ["redis*", ours["process"]]}], ignore=[EVERYTHING_ELSE])["findings"] == []


@pytest.mark.parametrize("module", [listening_ports, listening_ports_info])
def test_unix_sockets_are_told_if_asked_for(capfd: pytest.CaptureFixture[str], tmp_path: pathlib.Path, module: t.Any) -> None:
    options: dict[str, t.Any] = {"expected": [], "ignore": [EVERYTHING_ELSE]} if module is listening_ports else {}
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        (ours,) = [one for one in run(capfd, module, unix=True, **options)["unix"] if one["path"] == path]
        assert (ours["type"], ours["abstract"], ours["reached"], ours["pid"]) == ("stream", False, True, os.getpid())
        assert "unix" not in run(capfd, module, **options)


def test_an_expected_unix_socket(capfd: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "socket")
    failed = run(capfd, expected=[], expected_unix=[{"path": path}], ignore=[EVERYTHING_ELSE])
    assert (failed["failed"], failed["msg"]) == (True, f"nothing listens on {path}")
    assert isinstance(failed["unix"], list)
