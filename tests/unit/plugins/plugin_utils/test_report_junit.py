# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JUnit XML: a CI system takes it, and counts as many failures as there are faults."""

from __future__ import annotations

import pathlib
import subprocess
import xml.etree.ElementTree as ET

import pytest
from report_examples import Data, example, rewritten

from ansible_collections.alfred.portmap.plugins.filter.report_junit import report_junit

SCHEMA = pathlib.Path(__file__).parent / "junit.xsd"
EVIL = "]]><failure/>\x00\x1b[31m\ud800\ufffe\x85 \"'&\t\n"


def parsed(report: Data) -> ET.Element:
    return ET.fromstring(report_junit(report))


def cases(report: Data, suite: str) -> dict[tuple[str, str], ET.Element]:
    (found,) = parsed(report).findall(f"testsuite[@name='{suite}']")
    return {(case.attrib["classname"], case.attrib["name"]): case for case in found.findall("testcase")}


def test_the_schema_takes_all_of_them(tmp_path: pathlib.Path) -> None:
    nothing = {**example("healthy"), "environment": "", "hosts": [], "listeners": [], "routes": [], "health": [], "matrix": {"vantages": [], "rows": []}}
    reports = {
        "healthy": example("healthy"),
        "findings": example("findings"),
        "evil": rewritten(example("findings"), lambda text: text + EVIL),
        "same": {**example("findings"), "findings": [{**finding, "subject": "x", "host": "core1"} for finding in example("findings")["findings"]]},
        "nothing": nothing,
    }
    files = []
    for name, report in reports.items():
        files.append(tmp_path / f"{name}.xml")
        files[-1].write_text(report_junit(report), encoding="utf-8")
    done = subprocess.run(["xmllint", "--noout", "--nonet", "--schema", str(SCHEMA), *map(str, files)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]


@pytest.mark.parametrize("name", ["healthy", "findings"])
def test_there_are_as_many_failures_as_faults(name: str) -> None:
    report = example(name)
    root = parsed(report)
    failures = root.findall(".//failure")
    assert sorted(failure.attrib["message"] for failure in failures) == sorted(finding["text"] for finding in report["findings"])
    for key in ("tests", "failures", "errors"):
        assert int(root.attrib[key]) == sum(int(suite.attrib[key]) for suite in root)
    for suite in root:
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase")) > 0
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped"))
    assert bool(root.findall(".//skipped")) == (name == "findings")


def test_a_case_keeps_its_name_between_good_and_bad() -> None:
    """A CI system tells by it since when something fails."""
    for suite in ("listens", "health", "routes", "firewall", "ssh"):
        before, after = cases(example("healthy"), suite), cases(example("findings"), suite)
        assert set(before) <= set(after)
    failed = cases(example("findings"), "listens")["portmap.listens.core1", "model-router 8082/tcp"].find("failure")
    assert failed is not None and "what to do: " in str(failed.text) and "what follows: core1: model-router" in str(failed.text)


def test_what_follows_from_a_fault_neither_passes_nor_fails() -> None:
    report = example("findings")
    skipped = {key for key, case in cases(report, "reaches").items() if case.find("skipped") is not None}
    assert ("portmap.reaches.ui1", "ui-chat 8501/tcp from outsider") in skipped
    assert ("portmap.reaches.core1", "model-router 8082/tcp from data1") in skipped
    assert cases(report, "routes")["portmap.routes.edge1", "route api"].find("skipped") is not None


def test_what_no_fault_explains_fails() -> None:
    report = example("findings")
    report["findings"] = []
    assert len(parsed(report).findall(".//failure")) > 10 and not parsed(report).findall(".//skipped")
    report = example("healthy")
    report["summary"]["good"] = False
    assert [failure.attrib["message"] for failure in parsed(report).findall(".//failure")] == ["Not everything is as planned"]


def test_a_host_that_nobody_could_look_at_does_not_pass() -> None:
    report = example("healthy")
    report["summary"].update(good=False, unreached=1)
    report["hosts"][2].update(reached=False, firewall="unknown")
    name = report["hosts"][2]["name"]
    assert cases(report, "hosts")[f"portmap.hosts.{name}", "reached"].find("failure") is not None
    assert cases(report, "firewall")[f"portmap.firewall.{name}", "policy"].find("skipped") is not None
    assert (f"portmap.ssh.{name}", "sshd") not in cases(report, "ssh")
