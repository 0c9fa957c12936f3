# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the README, from a plain clone with nothing but ansible-core: no host is reachable, none is touched."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import typing as t

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*argv: str, cwd: pathlib.Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of ansible-core's commands of this very Python, without the user's own settings."""
    command = [str(pathlib.Path(sys.executable).parent / argv[0]), *argv[1:]]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_") and key != "PYTHONPATH"}
    return subprocess.run(command, cwd=cwd, env={**kept, "LC_ALL": "C.UTF-8", **environment}, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A plain clone, in a folder whose name says nothing."""
    target = tmp_path_factory.mktemp("somewhere") / "clone"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, files):
        source = ROOT / name
        if source.exists() or source.is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name, follow_symlinks=False)
    return target


@pytest.mark.parametrize("inventory", ["prod", "lab", "dev"])
@pytest.mark.parametrize("option", ["--syntax-check", "--list-hosts", "--list-tasks"])
def test_site_can_be_looked_at(clone: pathlib.Path, inventory: str, option: str) -> None:
    done = run("ansible-playbook", "site.yml", "-i", f"inventories/{inventory}", option, cwd=clone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "playbook: site.yml" in done.stdout
    assert "[WARNING]" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    "plugin",
    [
        ("module", "firewall"),
        ("module", "firewall_info"),
        ("module", "listening_ports"),
        ("module", "listening_ports_info"),
        ("module", "probe"),
        ("module", "traefik_config"),
        ("filter", "plan"),
        ("filter", "host_plan"),
        ("filter", "problems"),
        ("filter", "inventory"),
        ("filter", "describe_plan"),
        ("filter", "probes"),
        ("lookup", "port_map"),
    ],
)
def test_every_plugin_has_docs(clone: pathlib.Path, plugin: tuple[str, str]) -> None:
    kind, name = plugin
    done = run("ansible-doc", "-t", kind, f"alfred.portmap.{name}", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert f"alfred.portmap.{name}" in done.stdout


@pytest.mark.parametrize("role", ["port_map", "firewall", "traefik", "verify"])
def test_every_role_has_docs(clone: pathlib.Path, role: str) -> None:
    done = run("ansible-doc", "-t", "role", f"alfred.portmap.{role}", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert f"alfred.portmap.{role}" in done.stdout


@pytest.mark.parametrize("inventory", ["prod", "lab", "dev"])
def test_the_shipped_map_is_valid_everywhere(clone: pathlib.Path, inventory: str) -> None:
    done = run("ansible-playbook", "playbooks/validate.yml", "-i", f"inventories/{inventory}", cwd=clone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The port map is valid" in done.stdout


def test_the_guides_own_clash_shows_on_the_laptop(clone: pathlib.Path, tmp_path: pathlib.Path) -> None:
    text = (ROOT / "inventories" / "port_map.yml").read_text()
    kept = [line for line in text.splitlines() if not line.lstrip().startswith(("mission-control: {port: 3001}", "mission-control-simplified: {port: 3002}"))]
    assert len(kept) == len(text.splitlines()) - 2, "the settlement stands in two lines"
    unsettled = tmp_path / "port_map.yml"
    unsettled.write_text("\n".join(kept) + "\n")
    dev = run("ansible-playbook", "playbooks/validate.yml", "-i", "inventories/dev", "-e", f"port_map_file={unsettled}", cwd=clone)
    assert dev.returncode != 0
    report = dev.stdout + dev.stderr
    assert "conflict on laptop in environment development" in report
    assert "mission-control" in report and "grafana" in report and "3000/tcp" in report
    prod = run("ansible-playbook", "playbooks/validate.yml", "-i", "inventories/prod", "-e", f"port_map_file={unsettled}", cwd=clone)
    assert prod.returncode == 0, "two hosts in production: no clash there\n" + prod.stdout + prod.stderr


BROKEN = sorted((ROOT / "tests" / "maps" / "broken").iterdir())[::3]  # every third: tests/unit refuses all of them, this shows how it looks


def expectation(path: pathlib.Path) -> tuple[str, str, str]:
    """(line, path in the map, rule) of the one error that a broken map says it has."""
    match = re.search(r"^# expect: (\d+) (\S+): (.*)$", path.read_text(), re.MULTILINE)
    assert match, f"{path} does not say what is to be expected"
    return match.group(1), match.group(2), match.group(3)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda path: path.stem)
def test_a_broken_map_is_refused_with_path_and_reason(clone: pathlib.Path, broken: pathlib.Path) -> None:
    line, path, rule = expectation(broken)
    done = run("ansible-playbook", "playbooks/validate.yml", "-i", str(ROOT / "tests/maps/broken.hosts.ini"), "-e", f"port_map_file={broken}", cwd=clone)
    report = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"{broken.name}:{line}: {path}" in report and rule in report, report
    assert "Traceback" not in report
    assert "1 problem(s) in the port map" in report, "one mistake is one error"


def test_a_broken_map_touches_no_host(clone: pathlib.Path) -> None:
    broken = ROOT / "tests/maps/broken/port_65536.yml"
    done = run("ansible-playbook", "site.yml", "-i", "inventories/prod", "-e", f"port_map_file={broken}", cwd=clone)
    assert done.returncode != 0
    assert "UNREACHABLE" not in done.stdout and "unreachable=0" in done.stdout
    assert "alfred.portmap.firewall" not in done.stdout, "no task of a host is even begun"
    assert "must be a port from 1 to 65535" in done.stdout + done.stderr


def test_a_limit_changes_who_is_shown_not_what_is_planned(clone: pathlib.Path) -> None:
    def shown(*limit: str) -> t.Any:
        done = run("ansible-playbook", "playbooks/plan.yml", "-i", "inventories/prod", *limit, cwd=clone, ANSIBLE_CALLBACK_RESULT_FORMAT="json")
        assert done.returncode == 0, done.stdout + done.stderr
        blocks = {}
        for block in done.stdout.split("ok: [")[1:]:
            host = block.split("]", 1)[0]
            if '"msg"' in block:
                blocks[host] = block.split('"msg"', 1)[1].split("]\n}", 1)[0]
        return blocks

    everybody = shown()
    assert len(everybody) >= 6
    host = next(name for name in everybody if name.startswith("core"))
    only = shown("--limit", host)
    assert list(only) == [host]
    assert only[host] == everybody[host]


def test_the_built_collection_works_from_another_folder(clone: pathlib.Path, tmp_path: pathlib.Path) -> None:
    built = run("ansible-galaxy", "collection", "build", "--output-path", str(tmp_path), cwd=clone)
    assert built.returncode == 0, built.stderr
    (archive,) = tmp_path.glob("alfred-portmap-*.tar.gz")
    home = tmp_path / "home"
    installed = run("ansible-galaxy", "collection", "install", "--offline", str(archive), "-p", str(home), cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    shutil.copytree(ROOT / "inventories", tmp_path / "inventories")
    for playbook in ("alfred.portmap.validate", "alfred.portmap.plan"):
        done = run("ansible-playbook", playbook, "-i", "inventories/prod", cwd=tmp_path, ANSIBLE_COLLECTIONS_PATH=str(home))
        assert done.returncode == 0, done.stdout + done.stderr
    shipped = {path.name for path in (home / "ansible_collections/alfred/portmap").iterdir()}
    assert {"plugins", "roles", "playbooks", "meta", "README.md"} <= shipped
    assert not shipped & {"tests", "collections", ".ci", "dev", "extensions"}
