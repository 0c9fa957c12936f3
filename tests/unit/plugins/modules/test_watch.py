# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module watch in a directory that stands for a host, with a systemctl that writes down what it is told.

What systemd makes of it is tested on a real one, in tests/lab/test_watch.py; the program itself in tests/kernel/test_watch_program.py.
"""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.alfred.portmap.plugins.module_utils._watch import WatchError, read
from ansible_collections.alfred.portmap.plugins.module_utils._watch_install import Installation, InstallError
from ansible_collections.alfred.portmap.plugins.modules import watch

SYSTEMCTL = """#!/bin/sh
echo "$*" >>"$0.told"
case "$1" in
show) if [ -e "$0.enabled" ]; then printf 'UnitFileState=enabled\\nActiveState=active\\n'; else printf 'UnitFileState=\\nActiveState=inactive\\n'; fi ;;
enable) touch "$0.enabled" ;;
disable) rm "$0.enabled" ;;
esac
"""
OPTIONS: dict[str, t.Any] = {
    "state": "present",
    "listeners": [{"name": "api", "ports": "8080", "bind": "any", "origin": "port_map.yml:3"}],
    "ignore": [],
    "strict": False,
    "policy": {"table": "portmap", "state_dir": "/var/lib/portmap", "boot": True},
    "questions": [{"name": "api", "target": "127.0.0.1", "port": 8080, "kind": "http", "http": {"path": "/health"}}],
    "interval": 60,
    "timeout": 50,
    "textfile_dir": "/var/lib/prometheus/node-exporter",
}
FILES = [
    "etc/portmap/watch.json",
    "etc/systemd/system/portmap-watch.service",
    "etc/systemd/system/portmap-watch.timer",
    "usr/local/lib/portmap/watch.pyz",
]


class Rooted:
    """A host that is a directory."""

    def __init__(self, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root / "host"
        for directory in ("run/systemd/system", "var/lib/prometheus/node-exporter", "etc/systemd/system", "usr/local/lib"):
            (self.root / directory).mkdir(parents=True)
        self.systemctl = root / "bin" / "systemctl"
        self.systemctl.parent.mkdir()
        self.systemctl.write_text(SYSTEMCTL)
        self.systemctl.chmod(0o755)
        monkeypatch.setenv("PATH", str(self.systemctl.parent), prepend=os.pathsep)

    def run(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        """What the module does with these options."""
        with patch_module_args({"_ansible_check_mode": check}):
            module = AnsibleModule(argument_spec={}, supports_check_mode=True)
        module.params = {**OPTIONS, **options}
        self.module = module
        act = watch.present if module.params["state"] == "present" else watch.absent
        return act(module, Installation(module, str(self.root)))

    def files(self) -> list[str]:
        """All files."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())

    def told(self) -> list[str]:
        """What systemctl was told since it was asked last, but for questions."""
        told = self.systemctl.with_name("systemctl.told")
        lines = told.read_text().splitlines() if told.exists() else []
        told.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith("show ")]


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Rooted:
    """A host with systemd and node exporter."""
    return Rooted(tmp_path, monkeypatch)


def test_present_then_the_same_again_then_absent(host: Rooted) -> None:
    checked = host.run(check=True)
    assert (host.files(), host.told()) == ([], []), "check mode changed something"
    ran = host.run()
    assert checked == ran
    assert host.files() == FILES
    assert host.told() == ["daemon-reload", "enable portmap-watch.timer", "restart portmap-watch.timer"]
    assert len(ran["reasons"]) == 6 and len(ran["diff"]) == 4
    assert (host.root / FILES[0]).stat().st_mode & 0o777 == 0o600
    assert {line.split()[1] for part in ran["diff"] if part["after_header"].endswith("watch.pyz") for line in part["after"].splitlines()} >= {
        "__main__.py",
        "_watch_program.py",
        "_sockets.py",
    }
    assert host.run() == {"reasons": [], "diff": []}
    assert host.told() == []

    (host.root / FILES[0]).chmod(0o644)
    assert host.run()["reasons"] == [f"{host.root / FILES[0]} has mode 0644 and owner 0, not 0600 and 0"]
    assert (host.root / FILES[0]).stat().st_mode & 0o777 == 0o600
    host.told()

    (host.root / "var/lib/prometheus/node-exporter/portmap.prom").write_text("portmap_watch_success 1\n")
    (host.root / "var/lib/prometheus/node-exporter/other.prom").write_text("other 1\n")
    checked = host.run(check=True, state="absent")
    assert len(host.files()) == 6
    assert host.run(state="absent") == checked
    assert len(checked["reasons"]) == 5
    assert host.files() == ["var/lib/prometheus/node-exporter/other.prom"]
    assert not (host.root / "etc/portmap").exists()
    assert host.told() == ["disable --now portmap-watch.timer", "stop portmap-watch.service", "reset-failed portmap-watch.*", "daemon-reload"]
    assert host.run(state="absent")["reasons"] == []


def test_a_new_map_and_a_new_place_for_metrics(host: Rooted) -> None:
    host.run()
    before = (host.root / FILES[3]).read_bytes()
    changed = host.run(listeners=[{"name": "web", "ports": "443"}])
    assert changed["reasons"] == [f"{host.root / FILES[0]} is not as it must be"]
    assert '"name": "web"' in changed["diff"][0]["after"] and '"name": "api"' in changed["diff"][0]["before"]
    assert [line.name for line in read((host.root / FILES[0]).read_text()).listeners] == ["web"]

    (host.root / "var/lib/prometheus/node-exporter/portmap.prom").write_text("portmap_watch_success 1\n")
    (host.root / "srv/metrics").mkdir(parents=True)
    host.run(textfile_dir="/srv/metrics")
    assert host.files() == FILES, "old numbers stay in the directory before"
    assert "ReadWritePaths=/srv/metrics" in (host.root / FILES[1]).read_text().splitlines()
    assert (host.root / FILES[3]).read_bytes() == before, "the program depends on nothing but its sources"


def test_the_units(host: Rooted) -> None:
    host.run(interval=300, timeout=45)
    assert read((host.root / FILES[0]).read_text()).timeout == 45, "what hangs is given up before systemd ends all of it"
    service = (host.root / FILES[1]).read_text().splitlines()
    for line in ("Type=oneshot", "TimeoutStartSec=45", "NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes"):
        assert line in service
    assert "CapabilityBoundingSet=CAP_NET_ADMIN CAP_SYS_PTRACE CAP_DAC_OVERRIDE" in service
    assert [line.split(" ", 2)[2] for line in service if line.startswith("Exec")] == [
        "/usr/local/lib/portmap/watch.pyz run /etc/portmap/watch.json /var/lib/prometheus/node-exporter",
        "/usr/local/lib/portmap/watch.pyz ended /var/lib/prometheus/node-exporter",
    ]
    timer = (host.root / FILES[2]).read_text().splitlines()
    assert "OnUnitActiveSec=300" in timer and "RandomizedDelaySec=30" in timer


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"interval": 9}, "interval: 9 must be from 10 to 86400 seconds"),
        ({"timeout": 0}, "timeout: 0 must be from 5 to 3600 seconds"),
        ({"textfile_dir": "relative"}, "textfile_dir: relative must be an absolute path"),
        ({"textfile_dir": "/var/%i"}, "textfile_dir: /var/%i must be an absolute path"),
        ({"textfile_dir": "/var/../etc"}, "textfile_dir: /var/../etc must be"),
        ({"textfile_dir": "/nowhere"}, "textfile_dir: /nowhere is no directory on this host"),
        ({"listeners": [{"name": "a", "ports": "1"}, {"name": "b", "ports": "70000"}]}, "listeners[1].ports: '70000' must be a port"),
        ({"listeners": [{"name": "a", "ports": "1", "bnid": "any"}]}, "listeners[0].bnid: no such key"),
        ({"listeners": [{"ports": "1"}]}, "listeners[0].name: is missing"),
        ({"listeners": [{"name": "a"}]}, "listeners[0].ports: is missing"),
        ({"listeners": [{"name": "a", "ports": 22, "transport": "sctp"}]}, "listeners[0].transport: 'sctp' must be tcp or udp"),
        ({"listeners": [{"name": "a", "ports": "1", "required": "yes"}]}, "listeners[0].required: 'yes' must be true or false"),
        ({"listeners": [{"name": "a", "ports": "1", "owner": "nginx"}]}, "listeners[0].owner: 'nginx' must be a list"),
        ({"listeners": [{"name": "a", "ports": "1", "bind": ["::1%lo"]}]}, "listeners[0].bind: ['::1%lo'] must be"),
        ({"ignore": [{"ports": "0"}]}, "ignore[0].ports: '0' must be a port"),
        ({"ignore": [{"process": ["x"]}]}, "ignore[0]: {'process': ['x']} can't be read"),
        ({"policy": {"table": "1"}}, "policy.table: '1' must be a letter"),
        ({"policy": {"state_dir": "var"}}, "policy.state_dir: 'var' must be an absolute path"),
        ({"questions": [{"name": "q", "target": "localhost", "port": 1}]}, "questions[0] (q): 'localhost' does not appear to be an IPv4 or IPv6 address"),
        ({"questions": [{"name": "q", "target": "::1", "port": 0}]}, "questions[0] (q): port 0 must be from 1 to 65535"),
        ({"questions": ["q"]}, "questions[0]: 'q' must be a dictionary"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_touched(host: Rooted, options: dict[str, t.Any], problem: str) -> None:
    with pytest.raises((watch.RefusedError, WatchError)) as caught:
        host.run(**options)
    assert problem in str(caught.value)
    assert (host.files(), host.told()) == ([], [])


def test_what_requests_carry_is_not_shown(host: Rooted) -> None:
    headers = {"Authorization": 'Bearer "hunter2"', "X-Tries": "1"}
    host.run(questions=[{"name": "api", "target": "::1", "port": 80, "kind": "http", "http": {"request_headers": headers}}])
    assert host.module.no_log_values == {'Bearer "hunter2"', r"Bearer \"hunter2\""}


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(WatchError) as caught:
        read(json.dumps({"format": 1, "listeners": [{"name": "a", "ports": "x"}], "ignore": [{"ports": "y"}], "strict": 1, "timeout": 0, "more": 2}))
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["more", "listeners[0].ports", "ignore[0].ports", "strict", "timeout"]


def test_a_host_without_systemd_or_with_one_that_fails(host: Rooted) -> None:
    host.systemctl.write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    with pytest.raises(InstallError, match="systemctl show .*: Failed to connect to bus"):
        host.run()
    (host.root / "run/systemd/system").rmdir()
    with pytest.raises(watch.RefusedError, match="not run by systemd"):
        host.run()
    assert host.files() == []
