# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that `watch` installs, run as the host runs it: real sockets, a real table, and no more rights than its unit has.

Needs root. The host is a network namespace.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import time
import typing as t

import pytest
from hosts import Host

from ansible_collections.alfred.portmap.plugins.module_utils._watch import written
from ansible_collections.alfred.portmap.plugins.module_utils._watch_archive import archive, sources
from ansible_collections.alfred.portmap.plugins.module_utils._watch_install import CAPABILITIES

PORT = 8080
SERVER = """
import http.server
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
    def log_message(self, *_arguments):
        pass
http.server.HTTPServer(("", 8080), Healthy).serve_forever()
"""
RIGHTS = ",".join("+" + name.removeprefix("CAP_").lower() for name in CAPABILITIES.split())


class Watched:
    """A host with the program on it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.directory = host.directory / "textfile"
        self.directory.mkdir()
        self.program = host.directory / "watch.pyz"
        self.program.write_bytes(archive("_watch_program", sources("_watch_program")))
        self.config = host.directory / "watch.json"
        self.configure()

    def configure(self, **more: t.Any) -> None:
        """Write the configuration: one web server of nobody's, and the policy."""
        labels = {"listener": "api", "local": True}
        questions = [
            {"name": "api", "target": address, "port": PORT, "kind": "http", "http": {"path": "/health"}, "labels": labels} for address in ("127.0.0.1", "::1")
        ]
        policy = {"state_dir": str(self.host.state_dir), "boot": False}
        listeners = [{"name": "api", "ports": str(PORT), "owner": ["python*"], "origin": "map.yml:3"}]
        self.config.write_text(written({"listeners": listeners, "questions": questions, "policy": policy, **more}))

    def run(self, rights: str = RIGHTS) -> dict[str, float]:
        """One run; the samples that it wrote, by series."""
        limited = ["setpriv", f"--bounding-set=-all{',' + rights if rights else ''}", "--inh-caps=-all", "--no-new-privs"]
        self.host.run(*limited, sys.executable, "-I", str(self.program), "run", str(self.config), str(self.directory))
        return self.samples()

    def samples(self) -> dict[str, float]:
        """What is in the file."""
        assert [path.name for path in self.directory.iterdir()] == ["portmap.prom"]
        lines = (self.directory / "portmap.prom").read_text().splitlines()
        return {series: float(value) for series, _space, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}

    def told(self, samples: dict[str, float], check: str) -> list[str]:
        """The texts of a check's findings."""
        pattern = re.compile(rf'portmap_finding_info\{{check="{check}",subject=".*",text="(.*)"\}}')
        return [match.group(1) for match in map(pattern.fullmatch, samples) if match]


@pytest.fixture
def watched(host: Host) -> Watched:
    """The program on a host under POLICY."""
    host.run("ip", "link", "set", "lo", "up")
    host.firewall()
    return Watched(host)


@contextlib.contextmanager
def serving(host: Host) -> t.Iterator[None]:
    """The web server, which is not root's."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with subprocess.Popen(["ip", "netns", "exec", host.namespace, *nobody, sys.executable, "-c", SERVER]) as server:
        try:
            deadline = time.monotonic() + 20
            while f":{PORT}" not in host.run("ss", "-Hltn") and time.monotonic() < deadline:
                time.sleep(0.05)
            yield
        finally:
            server.kill()


API = f'{{port="{PORT}",service="api",transport="tcp"}}'
HEALTH = f'{{kind="http",port="{PORT}",service="api"}}'


def test_what_is_wrong_is_told_and_nothing_else(watched: Watched) -> None:
    host = watched.host
    started = time.time()
    with serving(host):
        healthy = watched.run()
        assert stat.S_IMODE((watched.directory / "portmap.prom").stat().st_mode) == 0o644
        assert [series for series in healthy if series.startswith("portmap_finding_info")] == []
        assert {check: healthy[f'portmap_findings{{check="{check}"}}'] for check in ("listens", "firewall", "health")} == {
            "listens": 0,
            "firewall": 0,
            "health": 0,
        }
        assert healthy[f"portmap_listener_up{API}"] == healthy[f"portmap_health_up{HEALTH}"] == healthy["portmap_firewall_in_force"] == 1
        assert 0 < healthy[f"portmap_health_seconds{HEALTH}"] < 60
        assert healthy["portmap_watch_success"] == 1
        assert started <= healthy["portmap_watch_last_run_timestamp_seconds"] <= time.time()

        questions = [{"name": "api", "target": "127.0.0.1", "port": PORT, "kind": "http", "http": {"path": "/nothing"}}]
        watched.configure(questions=questions)
        ill = watched.run()
        assert ill[f"portmap_health_up{HEALTH}"] == 0
        assert watched.told(ill, "health") == [f"http://127.0.0.1:{PORT}/nothing at 127.0.0.1 is wrong answer (status 404), expected open"]
        watched.configure()

        blind = watched.run(rights="")  # may ask neither nft nor whose the sockets of others are
        assert blind["portmap_watch_success"] == 0
        assert "portmap_firewall_in_force" not in blind, "an old or made up number"
        assert ["nft says" in text for text in watched.told(blind, "firewall")] == [True]

        # While a change waits for its confirmation, it is what must be in force.
        changed = json.loads(host.record.read_text())["policy"]
        changed["ingress"][0]["ports"] = ["2222"]
        armed = host.firewall(changed, confirm_timeout=120)["transaction"]
        pending = watched.run()
        assert (pending["portmap_firewall_in_force"], watched.told(pending, "firewall")) == (1, [])
        host.firewall(changed, confirm_token=armed["token"], confirm_timeout=120)

    rule = next(line for line in host.run("nft", "-a", "list", "chain", "inet", "portmap", "input").splitlines() if "drop" in line and "handle" in line)
    host.run("nft", "delete", "rule", "inet", "portmap", "input", "handle", rule.rpartition(" ")[2])
    drifted = watched.run()
    assert (drifted["portmap_firewall_in_force"], drifted["portmap_watch_success"]) == (0, 1)
    (text,) = watched.told(drifted, "firewall")
    assert text.startswith("the table inet portmap was changed by hand (-"), text
    assert drifted[f"portmap_listener_up{API}"] == drifted[f"portmap_health_up{HEALTH}"] == 0
    assert watched.told(drifted, "listens") == [f"api: nothing listens on {PORT}/tcp"]
    assert watched.told(drifted, "health") == [], "one fault, one finding"

    host.run("nft", "flush", "ruleset")
    gone = watched.run()
    assert (gone["portmap_firewall_in_force"], watched.told(gone, "firewall")) == (0, ["the table inet portmap is missing"])

    host.firewall(state="absent")
    removed = watched.run()
    assert (removed["portmap_firewall_in_force"], watched.told(removed, "firewall")) == (0, ["no policy was ever confirmed on this host, or it was removed"])


def test_a_failed_run_leaves_no_old_numbers(watched: Watched) -> None:
    watched.configure(policy=None, questions=[])
    assert f"portmap_listener_up{API}" in watched.run()
    watched.config.write_text("{")
    broken = watched.run()
    assert (broken["portmap_watch_success"], [series for series in broken if "listener_up" in series]) == (0, [])
    assert ["it holds no JSON" in text for text in watched.told(broken, "watch")] == [True]

    (watched.directory / "portmap.prom").write_text("portmap_watch_success 1\n")
    ended = [sys.executable, "-I", str(watched.program), "ended", str(watched.directory)]
    subprocess.run(ended, env={**os.environ, "SERVICE_RESULT": "success"}, check=True)
    assert watched.samples() == {"portmap_watch_success": 1}, "a run that ended well has written already"
    subprocess.run(ended, env={**os.environ, "SERVICE_RESULT": "timeout", "EXIT_STATUS": "TERM"}, check=True)
    assert watched.samples()["portmap_watch_success"] == 0
    assert watched.told(watched.samples(), "watch") == ["the run did not end in time, and was stopped"]


def test_the_program_is_the_same_bytes_each_time_and_needs_no_ansible(tmp_path: pathlib.Path) -> None:
    texts = sources("_watch_program")
    assert archive("_watch_program", texts) == archive("_watch_program", dict(reversed(list(texts.items()))))
    assert [name for name, text in texts.items() if re.search(r"^\s*(?:from|import) (?:ansible\.|yaml)", text, re.MULTILINE)] == []
    (tmp_path / "watch.pyz").write_bytes(archive("_watch_program", texts))
    asked = subprocess.run([sys.executable, "-I", "-S", str(tmp_path / "watch.pyz")], capture_output=True, text=True, check=False)  # -S: no site-packages
    assert (asked.returncode, asked.stderr.splitlines()[0][:16]) == (2, "usage: watch.pyz")
