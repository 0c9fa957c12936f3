# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's nftables.service flushes every table: knocked at all the while, and never open."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import time
import typing as t

import lab
import pytest
import yaml
from conftest import ROOT
from extra import ExtraHost, extra_host
from test_reboot import KNOCK

pytestmark = pytest.mark.beside

DROP_IN = "/etc/systemd/system/nftables.service.d/portmap.conf"
OTHERS = "/etc/systemd/system/nftables.service.d/others.conf"
CONFIRMED = "/var/lib/portmap/firewall/confirmed.nft"
CLOSED = 9000
KNOCKERS = 200  # each tries four times a second: somebody is at the door whenever it is open for some milliseconds

VERBS = ["restart", "reload", "stop", "start", "reload"]


class Site:
    """A host with a port that nobody may reach."""

    def __init__(self, host: ExtraHost, inventory: pathlib.Path) -> None:
        self.host = host
        self._inventory = inventory

    def firewall(self, state: str = "present", check: bool = False) -> dict[str, t.Any]:
        """Apply the policy."""
        policy = {"networks": {"operators": ["203.0.113.1"]}, "ingress": [{"name": "ssh", "ports": ["22"], "networks": ["operators"]}]}
        arguments = {"state": state, "confirm_timeout": 0, **({"policy": policy} if state == "present" else {})}
        command = ["ansible", self.host.name, "-i", str(self._inventory), "-m", "alfred.portmap.firewall", "-a", json.dumps(arguments), "--one-line"]
        done = subprocess.run(command + ["--check"] * check, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        found = re.search(r" (?:SUCCESS|CHANGED) => (\{.*\})$", done.stdout, re.MULTILINE)
        assert found is not None, done.stdout + done.stderr
        answer: dict[str, t.Any] = json.loads(found.group(1))
        return answer

    def settled(self) -> None:
        """Apply it, once more in check mode, and once more."""
        self.firewall()
        for check in (True, False):
            again = self.firewall(check=check)
            assert (again["changed"], again["reasons"], again["drift"]["found"]) == (False, [], False)

    def sh(self, script: str) -> str:
        """Run a script on the host; it must succeed."""
        return self.host.run("sh", "-ec", script).stdout

    def systemctl(self, verb: str) -> None:
        """As often as one likes; a failure is the caller's to judge."""
        self.host.run("systemctl", "reset-failed", "nftables", check=False)
        self.host.run("systemctl", verb, "nftables", check=False)

    def tables(self) -> list[str]:
        """The tables that there are."""
        return self.sh("nft list tables").splitlines()

    def knocked(self, seconds: float) -> tuple[int, list[t.Any]]:
        """Restart, reload and stop the service for some time, or until somebody got in. (How many attempts were dropped, who got in)."""
        questions = json.dumps([(address, CLOSED) for address in (self.host.v4, self.host.v6)] * (KNOCKERS // 2))
        command = [*lab.inside("portmap-outsider"), "python3", "-c", KNOCK, questions]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            time.sleep(1)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                for verb in VERBS:
                    self.systemctl(verb)
            output, _nothing = process.communicate("")
        _attempts, silence, opened = json.loads(output)
        return silence, opened


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    """The host, with something that listens, and the policy applied."""
    with extra_host("nftables1", 38) as host:
        inventory = tmp_path_factory.mktemp("nftables") / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {host.name: host.vars()}}}), encoding="utf-8")
        host.run("systemd-run", "--unit", "listener", "python3", "-m", "http.server", "--bind", "::", str(CLOSED))
        made = Site(host, inventory)
        made.settled()
        yield made


def test_never_open(site: Site) -> None:
    """In vain all the while; where others' drop-in makes the service another one than Debian's, as it is without our transaction."""
    assert "include" in site.sh(f"systemctl show -P ExecStart -P ExecStop nftables; cat {DROP_IN}")
    silence, opened = site.knocked(20)
    assert silence > 1000
    assert opened == []
    site.sh(f"printf '[Service]\\nExecStartPre=/bin/true\\n' >{OTHERS}; systemctl daemon-reload")
    try:
        checked = site.firewall(check=True)
        assert checked["reasons"] == [f"{DROP_IN} is not as it must be"]
        site.settled()
        assert "include" not in site.sh(f"cat {DROP_IN}")
        assert any(site.knocked(5)[1] for _attempt in range(6)), "nobody got in without it either: this test shows nothing"
    finally:
        site.sh(f"rm {OTHERS}; systemctl daemon-reload")
        site.settled()
    assert "include" in site.sh(f"cat {DROP_IN}")


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_debians_file_is_loaded_too(site: Site, verb: str) -> None:
    """With its own last line ended or not; what it has not is flushed."""
    site.sh("cp /etc/nftables.conf /root/nftables.conf")
    try:
        for end in ("", "\\n"):
            site.systemctl("restart")
            site.sh(f"nft add table inet witness; printf 'flush ruleset\\ntable inet theirs {{\\n}}{end}' >/etc/nftables.conf")
            since = site.sh("date +%s.%N").strip()
            site.systemctl(verb)
            assert sorted(site.tables()) == ["table inet portmap", "table inet theirs"]
            assert "rror" not in site.sh(f"journalctl --quiet --unit nftables --since @{since}")
            assert site.firewall()["changed"] is False
    finally:
        site.sh("cp /root/nftables.conf /etc/nftables.conf")
        site.systemctl("restart")


def test_a_mistake_in_debians_file_changes_nothing(site: Site) -> None:
    """It fails as it does without us, and both are in force as before."""
    site.systemctl("restart")
    before = site.sh("nft -s list ruleset")
    site.sh("cp /etc/nftables.conf /root/nftables.conf; echo mistake >>/etc/nftables.conf")
    try:
        assert site.host.run("systemctl", "reload", "nftables", check=False).returncode != 0
        assert site.sh("nft -s list ruleset") == before
        site.systemctl("restart")
        assert site.host.run("systemctl", "is-failed", "nftables", check=False).stdout == "failed\n"
        assert site.tables() == ["table inet portmap"]
    finally:
        site.sh("cp /root/nftables.conf /etc/nftables.conf")
    site.systemctl("restart")
    assert site.sh("nft -s list ruleset") == before


@pytest.mark.parametrize("harm", [f"rm {CONFIRMED}", f"echo mistake >>{CONFIRMED}"])
def test_without_our_ruleset_it_does_what_it_did(site: Site, harm: str) -> None:
    site.sh(f"cp -p {CONFIRMED} /root/confirmed.nft; {harm}")
    try:
        for verb, tables in (("restart", ["table inet filter"]), ("reload", ["table inet filter"]), ("stop", []), ("start", ["table inet filter"])):
            site.sh("nft add table inet witness")
            site.systemctl(verb)
            assert site.tables() == tables
            assert site.host.run("systemctl", "is-failed", "nftables", check=False).stdout != "failed\n"
    finally:
        site.sh(f"cp -p /root/confirmed.nft {CONFIRMED}")
        site.systemctl("restart")
    assert site.firewall()["changed"] is False


def test_absent_gives_the_service_back(site: Site) -> None:
    assert site.firewall("absent")["changed"] is True
    assert "/bin/sh" not in site.sh("systemctl show -P ExecStart -P ExecReload -P ExecStop nftables")
    site.systemctl("restart")
    assert site.tables() == ["table inet filter"]
    assert site.firewall("absent")["changed"] is False
    site.settled()
