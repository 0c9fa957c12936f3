# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module probe through Ansible's own argument parsing; how each question is asked: ../module_utils/test_probe.py."""

from __future__ import annotations

import json
import socket
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.alfred.portmap.plugins.module_utils._probe import question
from ansible_collections.alfred.portmap.plugins.modules import probe


def run(capfd: pytest.CaptureFixture[str], **options: t.Any) -> dict[str, t.Any]:
    """What the module answers."""
    with patch_module_args(options), pytest.raises(SystemExit):
        probe.main()
    answer: dict[str, t.Any] = json.loads(capfd.readouterr().out)
    answer.pop("invocation", None)
    return answer


@pytest.fixture
def ports() -> t.Iterator[tuple[int, int]]:
    """(a port that is listened on, one that is not)."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1], nobody


def test_answers_and_findings(capfd: pytest.CaptureFixture[str], ports: tuple[int, int]) -> None:
    questions = [{"name": name, "target": "127.0.0.1", "port": port, "why": "m.yml:3"} for name, port in zip(("there", "gone"), ports)]
    answer = run(capfd, questions=questions, fail_on_findings=False, _ansible_check_mode=True)
    assert answer["changed"] is False and "failed" not in answer
    assert [(one["name"], one["verdict"], one["good"]) for one in answer["answers"]] == [("there", "open", True), ("gone", "refused", False)]
    (finding,) = answer["findings"]
    assert finding["text"] == f"gone: 127.0.0.1:{ports[1]}/tcp is refused, expected open"
    assert (finding["why"], finding["kind"]) == ("m.yml:3", "tcp")
    failed = run(capfd, questions=questions)
    assert (failed["failed"], failed["msg"]) == (True, finding["text"])
    assert run(capfd, questions=questions[:1])["findings"] == []


def test_no_question_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(capfd, questions=[]) == {"changed": False, "answers": [], "findings": []}


QUESTION = {"name": "q", "target": "127.0.0.1", "port": 80}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"questions": [{**QUESTION, "target": "localhost"}]}, "questions[0] (q): 'localhost' does not appear to be an IPv4 or IPv6 address"),
        ({"questions": [QUESTION, {**QUESTION, "port": 0}]}, "questions[1] (q): port 0 must be from 1 to 65535"),
        ({"questions": [{**QUESTION, "port": 65536}]}, "port 65536 must be"),
        ({"questions": [{**QUESTION, "timeout": 0}]}, "timeout 0.0 must be more than 0 and at most 60 seconds"),
        ({"questions": [{**QUESTION, "timeout": 61}]}, "timeout 61.0 must be"),
        ({"questions": [{**QUESTION, "source": "eth0"}]}, "questions[0] (q): 'eth0' does not appear"),
        ({"questions": [{**QUESTION, "source": "::1"}]}, "questions[0] (q): source ::1 and target 127.0.0.1 are of different families"),
        ({"questions": [{**QUESTION, "kind": "http", "http": {"status": ["600"]}}]}, "'600' must be an HTTP status or a range of them"),
        ({"questions": [{**QUESTION, "kind": "http", "http": {"status": ["2xx"]}}]}, "'2xx' must be"),
        ({"questions": [{**QUESTION, "kind": "http", "http": {"status": ["399-200"]}}]}, "'399-200' must be"),
        ({"questions": [{**QUESTION, "kind": "http", "http": {"status": []}}]}, "questions[0] (q): status must not be empty"),
        ({"questions": [{**QUESTION, "kind": "http", "http": {"path": "health"}}]}, "path 'health' must begin with / and have no blanks"),
        ({"questions": [{**QUESTION, "kind": "http", "http": {"path": "/a b"}}]}, "path '/a b' must"),
        ({"questions": [{**QUESTION, "kind": "http", "http": {"host": "a\r\nX: y"}}]}, "host 'a\\r\\nX: y' must be a host name"),
        ({"questions": [{**QUESTION, "kind": "http", "http": {"location": "("}}]}, "questions[0] (q): location: missing ), unterminated subpattern"),
        ({"questions": [{**QUESTION, "kind": "http", "http": {"body": "["}}]}, "questions[0] (q): body: unterminated character set"),
        ({"questions": [{**QUESTION, "kind": "icmp"}]}, "kind must be one of"),
        ({"questions": [{**QUESTION, "expect": "refused"}]}, "expect must be one of"),
        ({"questions": [{**QUESTION, "http": {"days_left": -1}}]}, "questions[0] (q): days_left -1 must not be negative"),
        ({"questions": [{**QUESTION, "redis": {"auth": "maybe"}}]}, "auth must be one of"),
        ({"questions": [{**QUESTION, "tls": {"nmaes": []}}]}, "nmaes"),
        ({"questions": [QUESTION], "retries": -1}, "retries: -1 must not be negative"),
        ({"questions": [QUESTION], "concurrency": 0}, "concurrency: 0 must be at least 1"),
    ],
)
def test_wrong_options(capfd: pytest.CaptureFixture[str], options: dict[str, t.Any], message: str) -> None:
    answer = run(capfd, **options)
    assert answer["failed"] is True
    assert message in answer["msg"]


def test_a_question_means_the_same_with_and_without_ansible(capfd: pytest.CaptureFixture[str], ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    least = {"name": "q", "target": "127.0.0.1", "port": ports[0]}
    asked = [{**least, "labels": {"host": "a", "family": 4}}, {**least, "http": {"path": "/x"}, "tls": {"names": ["a.example"]}, "redis": {}, "dns": {}}]
    seen: list[t.Any] = []
    monkeypatch.setattr(probe, "ask_all", lambda questions, *_numbers: seen.extend(questions) or [])
    run(capfd, questions=asked)
    assert seen == [question(one) for one in asked]


def test_labels_come_back(capfd: pytest.CaptureFixture[str], ports: tuple[int, int]) -> None:
    answer = run(capfd, questions=[{"name": "q", "target": "127.0.0.1", "port": ports[0], "source": "127.0.0.2", "labels": {"family": 4}}])
    assert (answer["answers"][0]["labels"], answer["answers"][0]["source"]) == ({"family": 4}, "127.0.0.2")


@pytest.mark.parametrize("bad", [{}, {"port": 0}, {"kind": "icmp"}, {"prot": 1}])
def test_what_a_request_carries_is_not_shown(capfd: pytest.CaptureFixture[str], ports: tuple[int, int], bad: dict[str, t.Any]) -> None:
    asked = {"name": "q", "target": "127.0.0.1", "port": ports[1], "kind": "http", "http": {"request_headers": {"Authorization": "Bearer hunter2"}}, **bad}
    with patch_module_args({"questions": [asked], "fail_on_findings": False}), pytest.raises(SystemExit):
        probe.main()
    out = capfd.readouterr()
    assert "hunter2" not in out.out + out.err
    assert json.loads(out.out).get("failed", False) == bool(bad)
