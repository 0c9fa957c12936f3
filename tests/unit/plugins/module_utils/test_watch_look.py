# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look makes of what it sees. The whole of it, on a host: tests/kernel/test_watch_program.py."""

from __future__ import annotations

import socket
import sys
import time
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._commands import LocalCommands
from ansible_collections.alfred.portmap.plugins.module_utils._metrics import exposition
from ansible_collections.alfred.portmap.plugins.module_utils._watch import Watch
from ansible_collections.alfred.portmap.plugins.module_utils._watch_asking import ask_within, matters
from ansible_collections.alfred.portmap.plugins.module_utils._watch_look import HEALTH, Look, _health, look
from ansible_collections.alfred.portmap.plugins.module_utils._watch_program import text_of


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("it is nginx (pid 4711, nginx.service)", "it is nginx (nginx.service)"),
        ("it is nginx (pid 4711)", "it is nginx"),
        ("is wrong answer (took 3.21 s, expected at most 2 s)", "is wrong answer (took too long, expected at most 2 s)"),
        ("-\t\ttcp dport 22\n", "-  tcp dport 22?"),
        ("x" * 400, "x" * 300 + "…"),
    ],
)
def test_a_finding_is_the_same_text_as_long_as_it_is_the_same_fault(text: str, told: str) -> None:
    seen = Look()
    seen.find(HEALTH, "web", text)
    seen.find(HEALTH, "web", text.replace("4711", "4712"))
    assert [finding.text for finding in seen.findings] == [told]


def test_all_findings_are_counted_and_the_first_hundred_told() -> None:
    seen = Look([HEALTH])
    for number in range(150):
        seen.find(HEALTH, f"service {number}", "is down")
    lines = text_of(seen, 0.5).splitlines()
    assert 'portmap_findings{check="health"} 150' in lines
    assert sum(line.startswith("portmap_finding_info{") for line in lines) == 100


@pytest.fixture
def port() -> t.Iterator[int]:
    """A port on which somebody listens, on 127.0.0.1 only."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def questions(port: int, **labels: t.Any) -> list[dict[str, t.Any]]:
    """The same question at two addresses, of which the second refuses."""
    return [{"name": "web", "target": address, "port": port, "labels": labels} for address in ("127.0.0.1", "127.0.0.2")]


def samples(asked: list[dict[str, t.Any]]) -> tuple[dict[str, str], list[str]]:
    """(metrics by name, findings) of these questions."""
    seen = Look()
    lines = exposition(_health(Watch.from_data({"questions": asked}), seen)).splitlines()
    return dict(line.partition("{")[::2] for line in lines if not line.startswith("#")), [finding.text for finding in seen.findings]


def test_one_right_answer_will_do_for_a_local_question(port: int) -> None:
    metrics, findings = samples(questions(port, listener="api", local=True))
    assert metrics["portmap_health_up"] == f'kind="tcp",port="{port}",service="api"}} 1'
    assert findings == []


def test_every_answer_counts_for_others(port: int) -> None:
    metrics, findings = samples(questions(port))
    assert metrics["portmap_health_up"] == f'kind="tcp",port="{port}",service="web"}} 0'
    assert findings == [f"127.0.0.2:{port}/tcp is refused, expected open"]


def test_nobody_is_ill_where_nobody_listens(port: int) -> None:
    nobody = {"name": "api", "ports": str(port), "bind": ["127.0.0.2"]}
    asked = [{**question, "target": "127.0.0.2"} for question in questions(port, listener="api", local=True)]
    seen = look(Watch.from_data({"listeners": [nobody], "questions": asked, "ignore": [{}]}), LocalCommands())
    assert [(finding.check, finding.subject) for finding in seen.findings] == [("listens", f"api {port}/tcp")]


def test_a_proxy_that_is_gone_is_one_finding(port: int) -> None:
    """Routes and certificates bear their own names, not the proxy's."""
    proxy = {"name": "proxy", "ports": str(port), "bind": ["127.0.0.2"]}
    asked = [{"name": name, "target": "127.0.0.2", "port": port, "labels": {"route": name, "local": True}} for name in ("api", "chat")]
    seen = look(Watch.from_data({"listeners": [proxy], "questions": asked, "ignore": [{}]}), LocalCommands())
    assert [(finding.check, finding.subject) for finding in seen.findings] == [("listens", f"proxy {port}/tcp")]
    assert exposition(seen.metrics).count('portmap_health_up{kind="tcp"') == 2, "both are told to be down all the same"


def hung(port: int, count: int, timeout: float) -> list[dict[str, t.Any]]:
    """Questions to somebody who takes them and says nothing, each at two addresses."""
    return [
        {"name": f"r{number}", "target": target, "port": port, "kind": "http", "timeout": timeout, "labels": {"route": f"r{number}", "local": True}}
        for target in ("127.0.0.1", "127.0.0.2")
        for number in range(count)
    ]


def test_what_hangs_costs_no_other_numbers(port: int) -> None:
    there = {"name": "web", "ports": str(port), "bind": ["127.0.0.1"]}
    seen = look(Watch.from_data({"listeners": [there], "questions": hung(port, 80, 0.5), "ignore": [{}], "timeout": 1.5}), LocalCommands())
    lines = exposition(seen.metrics).splitlines()
    assert f'portmap_listener_up{{port="{port}",service="web",transport="tcp"}} 1' in lines
    told = {finding.subject: finding.text for finding in seen.findings}
    assert told["cannot be told"] == "others took so long that there was no time left to ask all questions"
    assert not seen.complete
    samples = [line for line in lines if line.startswith("portmap_health_up{")]
    assert all(line.endswith(" 0") for line in samples)
    assert len(samples) == len(told) - 1 < 80, "what was not asked has no number"
    assert f"r79 {port}" not in told


def test_what_hangs_at_one_address_is_not_asked_at_the_next(port: int) -> None:
    asked = matters(Watch.from_data({"questions": hung(port, 1, 0.3) + questions(port, listener="api", local=True)[::-1]}).questions)
    far = time.monotonic() + 60
    ask_within(asked, far, far)
    assert [[(answer.question.target, answer.verdict, answer.question.timeout) for answer in one.answers] for one in asked] == [
        [("127.0.0.1", "wrong answer", 0.6)],  # once more, with more patience
        [("127.0.0.2", "refused", 2.0), ("127.0.0.1", "open", 2.0)],
    ]


class Silent(LocalCommands):
    """A host whose Docker does not answer."""

    def get_bin_path(self, arg: str) -> t.Optional[str]:
        """A program docker that fails."""
        return super().get_bin_path("false" if arg == "docker" else arg)


def test_a_docker_that_does_not_answer_is_no_look_that_succeeded(port: int) -> None:
    there = {"ports": str(port), "bind": ["127.0.0.1"]}
    lines = [{**there, "name": "shop", "container": True}, {**there, "name": "web"}]
    seen = look(Watch.from_data({"listeners": lines, "ignore": [{}]}), Silent())
    assert not seen.complete
    (told,) = [finding.text for finding in seen.findings if finding.subject == "cannot be told"]
    assert "it is not known" in told
    (sample,) = [line for line in exposition(seen.metrics).splitlines() if not line.startswith("#")]
    assert sample == f'portmap_listener_up{{port="{port}",service="web",transport="tcp"}} 1', "whether a container holds it is not known"


def test_a_program_that_fails_hangs_or_is_not_there_has_failed() -> None:
    commands = LocalCommands(patience=0.2)
    assert commands.get_bin_path("no-such-program") is None
    assert commands.run_command(["/no/such/program"])[0] == 126
    assert commands.run_command([sys.executable, "-S", "-c", "import time; time.sleep(30)"])[::2] == (124, f"{sys.executable} did not end within 0.2 seconds")
    patient = LocalCommands()
    told = patient.run_command([sys.executable, "-S", "-c", "import os, sys; print(os.environ['LC_ALL']); sys.exit(3)"], environ_update={"LC_ALL": "C"})
    assert told == (3, "C\n", "")
