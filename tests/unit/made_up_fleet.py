# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up fleet: the plan of the shipped map for the lab, and what the role verify would see there, healthy or broken as a test likes.

Run as a program it writes the two example documents, report_healthy.json and report_findings.json, which the tests of the reports read.
"""

from __future__ import annotations

import json
import pathlib
import typing as t
import zlib

import yaml

from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import make_plan
from ansible_collections.alfred.portmap.plugins.plugin_utils._report_data import report_data
from ansible_collections.alfred.portmap.plugins.plugin_utils._representatives import asks

Data = dict[str, t.Any]

HERE = pathlib.Path(__file__).parent
INVENTORIES = HERE.parents[1] / "inventories"
STARTED, FINISHED = "2026-11-26T09:00:00Z", "2026-11-26T09:00:21Z"
PROCESSES = {"db-postgres": "postgres", "redis": "redis-server", "proxy": "traefik", "entrypoint web": "traefik", "entrypoint websecure": "traefik"}
DETAILS = {
    "postgresql": "speaks TLS",
    "redis": "PONG",
    "ssh": "SSH-2.0-OpenSSH_9.2",
    "prometheus": "status 200, 412 samples",
    "tls": "TLSv1.3, certificate until 2027-02-23",
}


def lab_plan() -> Data:
    """The plan of inventories/port_map.yml for inventories/lab."""
    groups = {name: group["hosts"] for name, group in yaml.safe_load((INVENTORIES / "lab/hosts.yml").read_text()).items() if "hosts" in group}
    hosts = {
        host: {"addresses": entry["port_map_addresses"], "managed": entry.get("port_map_managed", True), "users": ["default"]}
        for group in groups.values()
        for host, entry in group.items()
    }
    document = {"path": "port_map.yml", "text": (INVENTORIES / "port_map.yml").read_text()}
    return make_plan([document], "lab", {"hosts": hosts, "groups": {name: list(group) for name, group in groups.items()}})


def map_plan(text: str, groups: dict[str, list[str]]) -> Data:
    """The plan of a map for these hosts, which have IPv4 only; outsider is not managed."""
    listed = [host for members in groups.values() for host in members]
    hosts = {host: {"addresses": [f"203.0.113.{11 + number}"], "managed": host != "outsider", "users": ["default"]} for number, host in enumerate(listed)}
    return make_plan([{"path": "port_map.yml", "text": text}], None, {"hosts": hosts, "groups": groups})


def small_plan() -> Data:
    """Two hosts and a stranger, to whom nothing is open."""
    text = """
port_map:
  version: 1
  domain: example.com
  namespace: shop
  ingress: none
  services:
    web: {port: 3000, protocol: http, hosts: webs}
    db: {port: 5432, protocol: postgresql, hosts: dbs}
    cache: {port: 6379, protocol: redis, hosts: dbs}
  firewall: {egress: allow, ingress: [], internal: {same_namespace: allow}}
"""
    return map_plan(text, {"webs": ["web1"], "dbs": ["db1"], "strangers": ["outsider"]})


class Fleet:
    """What verify sees of every host; all is well until a test says otherwise."""

    def __init__(self, plan: Data, **options: t.Any) -> None:
        self.plan = plan
        hosts = [*plan["hosts"], *plan["vantages"]]
        chosen = asks(plan, hosts, **options)
        self.classes = chosen["classes"]
        self.observed: dict[str, Data] = {host: self._host(host, chosen["questions"].get(host, [])) for host in hosts}

    def _host(self, host: str, questions: list[Data]) -> Data:
        planned = self.plan["hosts"].get(host)
        return {
            "host": host,
            "managed": planned is not None,
            "reached": True,
            "problem": "",
            "asked_at": FINISHED,
            "seconds": 9.5,
            "listeners": [_listener(line) for line in planned["listeners"]] if planned else [],
            "listens": [],
            "firewall": [],
            "firewall_asked": planned is not None,
            "ssh": [],
            "answers": [_answer(host, question) for question in questions],
        }

    def report(self) -> Data:
        """The document that a run over this fleet ends in."""
        meta = {"started": STARTED, "finished": FINISHED, "inventory": "inventories/lab", "classes": self.classes}
        return report_data(self.plan, self.observed, meta)

    # what a test breaks

    def answers(self, host: str = "", port: int = 0, *, check: str = "", vantage: str = "", **labels: t.Any) -> list[Data]:
        """The answers about a host's port, those that a host gave itself among them."""
        return [
            answer
            for asker, entry in self.observed.items()
            for answer in entry["answers"]
            if (not host or answer["labels"]["host"] == host)
            and (not port or answer["port"] == port)
            and (not check or answer["labels"]["check"] == check)
            and (not vantage or asker == vantage)
            and all(answer["labels"][key] == value for key, value in labels.items())
        ]

    def say(self, answers: list[Data], verdict: str, detail: str = "") -> None:
        """Let other answers come back."""
        assert answers, "a test that breaks nothing proves nothing"
        for answer in answers:
            good = verdict == ("open" if answer["expect"] == "open" else "filtered")
            answer.update(verdict=verdict, detail=detail, good=good)

    def stop(self, host: str, name: str) -> None:
        """A service stops: nobody holds its ports, and who gets through is refused."""
        for line in self.plan["hosts"][host]["listeners"]:
            if line["name"] == name:
                text = f"{name}: nothing listens on {line['ports']}/{line['transport']}"
                self.listens(host, "missing", name, line["transport"], line["ports"], text, expected=line["bind"], why=line["origin"])
                entry = self.observed[host]
                entry["listeners"] = [one for one in entry["listeners"] if (one["transport"], str(one["port"])) != (line["transport"], line["ports"])]
                asked = [one for one in self.answers(host, int(line["ports"]), transport=line["transport"]) if one["expect"] == "open"]
                if asked:
                    self.say(asked, "refused")

    def listens(self, host: str, kind: str, name: str, transport: str, port: str, text: str, **more: t.Any) -> None:
        """A finding of listening_ports."""
        finding = {"kind": kind, "name": name, "transport": transport, "port": port, "text": text, "owner": "", "actual": [], "expected": "any", "why": ""}
        self.observed[host]["listens"].append({**finding, **more})

    def firewall(self, host: str, text: str, why: str = "a run of the role firewall mends it") -> None:
        """A finding of the firewall."""
        self.observed[host]["firewall"].append({"text": text, "why": why})

    def lose(self, host: str, problem: str = "Connection timed out") -> None:
        """Ansible does not reach it."""
        empty: Data = {"listeners": [], "answers": [], "listens": [], "firewall": [], "ssh": []}
        self.observed[host].update(empty, reached=False, problem=problem)


def _listener(line: Data) -> Data:
    name = PROCESSES.get(line["name"], line["name"].split(".")[0])
    return {
        "transport": line["transport"],
        "address": "127.0.0.1" if line["bind"] == "loopback" else "::",
        "port": int(line["ports"].split("-")[0]),
        "serves": ["ipv4"] if line["bind"] == "loopback" else ["ipv4", "ipv6"],
        "interface": "",
        "uid": 0,
        "user": "root",
        "pid": 400 + zlib.crc32(name.encode()) % 900,
        "process": name,
        "unit": f"{name}.service",
        "containers": [],
        "expected": [line["name"]],
        "exposure": line["exposure"],
        "ignored": False,
    }


def _answer(vantage: str, question: Data) -> Data:
    expected = question["expect"] == "open"
    status = question.get("http", {}).get("status", ["200"])[0].split("-")[0]
    detail = f"status {status}" if question["kind"] == "http" and expected else DETAILS.get(question["kind"], "") if expected else ""
    known = ("name", "target", "port", "kind", "expect", "why", "labels")
    latency = 0.001 + zlib.crc32(f"{vantage} {question['name']} {question['target']}".encode()) % 400 / 10000 if expected else 2.0
    return {
        **{key: question[key] for key in known},
        "source": "",
        "verdict": "open" if expected else "filtered",
        "good": True,
        "detail": detail,
        "latency": latency,
    }


def with_findings() -> Fleet:
    """A bad morning: one fault of most kinds."""
    fleet = Fleet(lab_plan())
    fleet.stop("core1", "model-router")
    stray = "4444/tcp listens on ::, and nothing in the map explains it; it is python3 (pid 812, stray.service)"
    fleet.listens("core1", "unexpected", "", "tcp", "4444", stray, actual=["::"], owner="python3 (pid 812, stray.service)", expected="nothing")
    line = {"address": "::", "port": 4444, "process": "python3", "unit": "stray.service", "pid": 812, "expected": [], "exposure": "unexpected"}
    fleet.observed["core1"]["listeners"].append({**fleet.observed["core1"]["listeners"][0], **line})
    fleet.firewall("ui1", "the table inet portmap was changed by hand (+tcp dport 8501 accept)")
    fleet.say([one for one in fleet.answers("ui1", 8501) if one["expect"] == "blocked" and not one["why"].startswith("not let out")], "open")
    fleet.say(fleet.answers("data1", 6379, planned="open"), "wrong answer", "wants a password (NOAUTH)")
    fleet.say(fleet.answers("core1", 8080, planned="open"), "wrong answer", "status 500")
    fleet.say(fleet.answers("edge1", check="route", route="api"), "wrong answer", "status 500")
    fleet.say(fleet.answers("edge1", check="route", route="prometheus"), "wrong answer", "status 200")
    fleet.say(fleet.answers("edge1", check="certificate"), "wrong answer", "certificate expired on 2026-11-20")
    fleet.observed["bastion1"]["ssh"].append(
        {"text": "/etc/ssh/sshd_config.d/00-portmap.conf was changed by hand", "why": "a run of the role ssh_bastion mends it"}
    )
    return fleet


def write() -> None:
    """The two example documents."""
    for name, fleet in (("report_healthy", Fleet(lab_plan())), ("report_findings", with_findings())):
        (HERE / "plugins/plugin_utils" / f"{name}.json").write_text(json.dumps(fleet.report(), indent=1, sort_keys=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
