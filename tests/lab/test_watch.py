# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift shows up in the lab's own Prometheus, by way of its own node exporters, without Ansible; and leaves with the drift."""

from __future__ import annotations

import json
import time
import typing as t

import lab
import pytest

PATIENCE = 180  # seconds until something must show: a look every 10, a scrape every 10, on a busy machine
ASK = """
import json, sys, urllib.parse, urllib.request
url = "http://127.0.0.1:9090/api/v1/query?" + urllib.parse.urlencode({"query": sys.argv[1]})
print(json.dumps(json.load(urllib.request.urlopen(url, timeout=10))["data"]["result"]))
"""
INSTANCES = {f"{addresses[0]}:9100": host for host, addresses in lab.ADDRESSES.items()}
OURS = ["/usr/local/lib/portmap", "/etc/portmap/watch.json", "/etc/systemd/system/portmap-watch.service", "/etc/systemd/system/portmap-watch.timer"]
METRICS = "/var/lib/prometheus/node-exporter/portmap.prom"
RULE = ["nft", "insert", "rule", "inet", "portmap", "input", "tcp", "dport", "8501", "accept"]


def query(expression: str) -> list[tuple[dict[str, str], float]]:
    """What Prometheus answers: labels (with the host's name) and value."""
    found = json.loads(lab.run("monitor1", "python3", "-c", ASK, expression).stdout)
    return [({**one["metric"], "host": INSTANCES.get(one["metric"].get("instance", ""), "")}, float(one["value"][1])) for one in found]


def wait_for(what: str, seen: t.Callable[[], t.Any]) -> t.Any:
    """Until something is seen."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = seen()
        if found:
            return found
        time.sleep(2)
    pytest.fail(f"{what} is not seen; Prometheus has {query('portmap_finding_info')}, {query('portmap_watch_success')}")


def healthy() -> bool:
    """All hosts have looked, all of their checks could be made, and nothing was found."""
    looked = {labels["host"] for labels, value in query("portmap_watch_success == 1")}
    return looked == set(lab.ADDRESSES) and query("portmap_findings != 0") == [] and query("portmap_finding_info") == []


def told(host: str, check: str) -> list[str]:
    """The findings of a host's check, in words."""
    return [labels["text"] for labels, _value in query(f'portmap_finding_info{{check="{check}"}}') if labels["host"] == host]


def test_drift_reaches_prometheus_without_ansible(playbook: t.Callable[..., str]) -> None:
    run = ["playbooks/watch.yml", "-e", "watch_interval=10", "-e", "watch_timeout=20"]
    try:
        playbook(*run)
        again = playbook(*run).split("PLAY RECAP")[1]
        assert [line for line in again.splitlines() if "changed=" in line and "changed=0" not in line] == []
        wait_for("a healthy fleet", healthy)
        assert {labels["host"] for labels, value in query("portmap_firewall_in_force == 1")} == set(lab.ADDRESSES)
        assert query('portmap_listener_up{service="slack-adapter"}')[0][1] == query('portmap_health_up{service="slack-adapter"}')[0][1] == 1

        # by hand
        lab.run("core1", "systemctl", "stop", "lab-service@slack-adapter")
        lab.run("ui1", *RULE)
        lab.run("data1", "nft", "delete", "table", "inet", "portmap")
        # A run that hangs: its configuration never ends.
        lab.run("bastion1", "sh", "-c", "cd /etc/portmap && mv watch.json kept && mkfifo watch.json")
        wait_for("the stopped service", lambda: told("core1", "listens") == ["slack-adapter: nothing listens on 8083/tcp"])
        wait_for("the inserted rule", lambda: "changed by hand (+tcp dport 8501 accept" in "".join(told("ui1", "firewall")))
        wait_for("the deleted table", lambda: told("data1", "firewall") == ["the table inet portmap is missing"])
        wait_for("the run that hangs", lambda: told("bastion1", "watch") == ["the run did not end in time, and was stopped"])
        assert {labels["host"] for labels, value in query("portmap_firewall_in_force == 0")} == {"ui1", "data1"}
        assert [labels["service"] for labels, value in query("portmap_listener_up == 0")] == ["slack-adapter"]
        assert [labels["host"] for labels, value in query("portmap_watch_success == 0")] == ["bastion1"]
        assert [labels for labels, value in query("portmap_listener_up") if labels["host"] == "bastion1"] == [], "old numbers"

        lab.run("bastion1", "mv", "/etc/portmap/kept", "/etc/portmap/watch.json")
        lab.run("core1", "systemctl", "start", "lab-service@slack-adapter")
        for host in ("ui1", "data1"):
            lab.run(host, "systemctl", "reload", "portmap-firewall")
        wait_for("that all is as planned again", healthy)
    finally:
        lab.run("bastion1", "sh", "-c", "[ ! -e /etc/portmap/kept ] || mv /etc/portmap/kept /etc/portmap/watch.json")
        lab.run("core1", "systemctl", "start", "lab-service@slack-adapter")
        for host in ("ui1", "data1"):
            lab.run(host, "systemctl", "reload", "portmap-firewall")
        playbook("playbooks/watch.yml", "-e", "watch_state=absent")
    for host in lab.ADDRESSES:
        left = [path for path in [*OURS, METRICS] if lab.run(host, "test", "-e", path, check=False).returncode == 0]
        assert left == [], host
        assert lab.run(host, "systemctl", "list-units", "--all", "--plain", "--no-legend", "portmap-watch*").stdout == ""
    wait_for("that the metrics are gone", lambda: query("portmap_watch_success") == [])
