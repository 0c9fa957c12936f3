# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the README, from a plain clone with nothing but ansible-core: no host is reachable, none is touched."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*argv: str, cwd: pathlib.Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of ansible-core's commands of this very Python, without the user's own settings."""
    command = [str(pathlib.Path(sys.executable).parent / argv[0]), *argv[1:]]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_") and key != "PYTHONPATH"}
    return subprocess.run(command, cwd=cwd, env={**kept, "LC_ALL": "C.UTF-8", **environment}, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A plain clone of what is in git or about to be, in a folder whose name says nothing."""
    target = tmp_path_factory.mktemp("somewhere") / "clone"
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
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


PLUGINS = [
    (kind, path.stem)
    for kind, folder in (("module", "modules"), ("filter", "filter"), ("lookup", "lookup"))
    for path in sorted((ROOT / "plugins" / folder).glob("[!_]*.py"))
]


@pytest.mark.parametrize("plugin", PLUGINS, ids="-".join)
def test_every_plugin_has_docs(clone: pathlib.Path, plugin: tuple[str, str]) -> None:
    kind, name = plugin
    done = run("ansible-doc", "-t", kind, f"alfred.portmap.{name}", cwd=clone)
    assert done.returncode == 0, done.stderr
    assert f"alfred.portmap.{name}" in done.stdout


def test_the_readme_names_every_module_and_filter() -> None:
    assert len(PLUGINS) >= 14
    text = (ROOT / "README.md").read_text()
    assert [name for kind, name in PLUGINS if kind != "lookup" and f"`{name}`" not in text] == []


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


TWO_PROBLEMS = """port_map:
  version: 1
  services:
    api:
      port: 65536
      hosts: all
    db:
      port: 5432
      protokol: postgresql
      hosts: all
"""


def test_several_problems_are_told_on_a_line_each(clone: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "port_map.yml").write_text(TWO_PROBLEMS)
    (tmp_path / "hosts.ini").write_text("vm1 port_map_addresses=192.0.2.1\n")
    done = run("ansible-playbook", "playbooks/validate.yml", "-i", str(tmp_path / "hosts.ini"), cwd=clone)
    assert done.returncode != 0
    told = [line.strip() for line in done.stdout.split("fatal: [localhost]")[1].splitlines() if f"{tmp_path.name}/port_map.yml:" in line]
    assert told == [
        f"{tmp_path.name}/port_map.yml:5: services.api.port = 65536: must be a port from 1 to 65535 or a range lo-hi, or none",
        f"{tmp_path.name}/port_map.yml:9: services.db.protokol: unknown key, did you mean 'protocol'?",
    ], done.stdout
    assert "2 problem(s) in the port map:\n" in done.stdout


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


def plays(tmp_path: pathlib.Path, *hosts: str) -> str:
    """A playbook of users, a play for each, that lists the role port_map in every play and uses what it sets."""
    use = {"ansible.builtin.debug": {"msg": "{{ inventory_hostname }} of {{ port_map.domain }}, {{ port_map_plan.hosts | length }} planned"}}
    listed = [{"hosts": pattern, "gather_facts": False, "roles": ["alfred.portmap.port_map"], "tasks": [use]} for pattern in hosts]
    (tmp_path / "plays.yml").write_text(json.dumps(listed))
    return str(tmp_path / "plays.yml")


@pytest.mark.parametrize("hosts", [("all", "all"), ("edge", "core", "all")], ids=["the same hosts", "other hosts"])
def test_the_role_port_map_may_stand_in_every_play(clone: pathlib.Path, tmp_path: pathlib.Path, hosts: tuple[str, ...]) -> None:
    done = run("ansible-playbook", plays(tmp_path, *hosts), "-i", "inventories/prod", cwd=clone)
    assert done.returncode == 0, done.stdout + done.stderr
    (planned,) = set(re.findall(r"of alfred.example.com, (\d+) planned", done.stdout))
    assert int(planned) >= 6, "each play has the plan of the whole inventory"
    assert done.stdout.count(f"core1 of alfred.example.com, {planned} planned") == 2
    if hosts == ("all", "all"):
        assert done.stdout.count("Plan the whole inventory") == 1, "it is computed once"


@pytest.mark.parametrize("how", ["group_vars", "extra"])
def test_a_variable_port_map_is_refused_all_the_same(clone: pathlib.Path, tmp_path: pathlib.Path, how: str) -> None:
    shutil.copytree(ROOT / "inventories", tmp_path / "inventories")
    options = ["-e", '{"port_map": {"version": 1}}'] if how == "extra" else []
    if how == "group_vars":
        (tmp_path / "inventories/prod/group_vars/edge.yml").write_text("port_map: {version: 1}\n")
    done = run("ansible-playbook", plays(tmp_path, "all", "all"), "-i", str(tmp_path / "inventories/prod"), *options, cwd=clone)
    assert done.returncode != 0
    assert "the port map is a file, not a group or host variable" in done.stdout + done.stderr


# A port that nothing listens on, on this machine: one finding, whatever else it listens to.
ONE_HOST = """port_map:
  version: 1
  hosts: all
  services:
    nobody: {port: 1, protocol: http, bind: loopback}
"""


@pytest.fixture
def one_host(tmp_path: pathlib.Path) -> pathlib.Path:
    """An inventory of this machine alone, with a map of no firewall and no proxy."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/port_map.yml").write_text(ONE_HOST)
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "port_map_addresses": ["192.0.2.1"]}
    (tmp_path / "inventory/hosts.json").write_text(json.dumps({"all": {"hosts": {"vm1": host}}}))
    return tmp_path / "inventory/hosts.json"


@pytest.mark.parametrize(
    ("said", "options", "fails"),
    [
        ({}, [], True),
        ({}, ["--check"], False),
        ({"verify_fail": False}, [], False),
        ({"verify_fail": True}, ["--check"], True),
    ],
    ids=["by default", "in check mode", "the inventory says no", "the inventory says yes"],
)
def test_findings_fail_the_whole_job_as_the_inventory_says(
    clone: pathlib.Path, one_host: pathlib.Path, said: dict[str, bool], options: list[str], fails: bool
) -> None:
    (one_host.parent / "group_vars").mkdir()
    (one_host.parent / "group_vars/all.json").write_text(json.dumps(said))
    done = run("ansible-playbook", "site.yml", "-i", str(one_host), *options, cwd=clone)
    assert "nobody: nothing listens on 1/tcp" in done.stdout, done.stdout + done.stderr
    assert (done.returncode != 0) == fails, done.stdout + done.stderr


class Unwell(http.server.BaseHTTPRequestHandler):
    """A service of which only one path is well."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/up" else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: t.Any) -> None:
        """Keep quiet."""


def test_a_host_that_is_down_is_a_finding_and_the_rest_is_proven(clone: pathlib.Path, one_host: pathlib.Path) -> None:
    """One fault, one finding: of three services of the host that is up, one is well, one answers wrong, and one is not there."""
    port_map = yaml.safe_load(ONE_HOST)
    ports = {}
    with contextlib.ExitStack() as servers:
        for name, path in (("well", "/up"), ("unwell", "/down")):
            server = servers.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unwell))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            servers.callback(server.shutdown)
            ports[name] = server.server_port
            port_map["port_map"]["services"][name] = {"port": server.server_port, "protocol": "http", "health": path, "bind": "loopback", "hosts": "vm1"}
        port_map["port_map"]["services"]["nobody"]["hosts"] = "vm1"
        (one_host.parent / "port_map.yml").write_text(json.dumps(port_map))
        inventory = json.loads(one_host.read_text())
        inventory["all"]["hosts"]["dead"] = {"ansible_host": "127.0.0.1", "ansible_port": 1, "port_map_addresses": ["192.0.2.2"]}
        inventory["all"]["vars"] = {"verify_ignore": [{"address": "*"}]}  # whatever else listens on this machine
        one_host.write_text(json.dumps(inventory))
        done = run("ansible-playbook", "playbooks/verify.yml", "-i", str(one_host), cwd=clone)
    assert done.returncode != 0, done.stdout
    assert "3 finding(s):" in done.stdout, done.stdout
    assert re.search(r"dead +host +Ansible can't reach it: .*Connection refused", done.stdout), done.stdout
    assert re.search(r"vm1 +listens +nobody: nothing listens on 1/tcp", done.stdout), done.stdout
    assert "→ vm1: nobody 1/tcp is refused: nobody listens there (asked from itself)" in done.stdout
    assert re.search(rf"vm1 +health +unwell {ports['unwell']}/tcp: status 500 \(asked from itself\)", done.stdout), done.stdout
    assert "nobody asked from where strangers stand" in done.stdout


@pytest.fixture
def foreign(clone: pathlib.Path) -> t.Iterator[pathlib.Path]:
    """A folder of a user without rights, with a clone in it. (pytest's own folders are closed to others.)"""
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(clone, pathlib.Path(name) / "clone", symlinks=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "65534:65534", name], check=True)
        yield pathlib.Path(name)


def as_nobody(*argv: str, cwd: pathlib.Path, home: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a user without rights: its only one is to read files of root's, where the tests' Python may be."""
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    command = [*(drop if os.geteuid() == 0 else []), str(pathlib.Path(sys.executable).parent / argv[0]), *argv[1:]]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "XDG_")) and key != "PYTHONPATH"}
    environment = {**kept, "LC_ALL": "C.UTF-8", "HOME": str(home)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(os.path.lexists("/var/lib/portmap"), reason="this machine has, or had, a firewall of ours")
def test_a_host_without_a_policy_needs_no_root(foreign: pathlib.Path) -> None:
    options = ["-e", f"ansible_python_interpreter={sys.executable}", "-e", "verify_fail=false"]
    done = as_nobody("ansible-playbook", "site.yml", "-i", "inventories/dev", *options, cwd=foreign / "clone", home=foreign)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"laptop +: ok=\d+ +changed=0 +unreachable=0 +failed=0", done.stdout), done.stdout
    assert "Say what was found" in done.stdout, "the whole job is done"


def test_without_root_a_trace_of_a_firewall_is_told(foreign: pathlib.Path) -> None:
    look = ["laptop", "-i", "inventories/dev", "-m", "alfred.portmap.firewall_info", "-e", f"ansible_python_interpreter={sys.executable}"]
    for name in ("clone", "never"):
        done = as_nobody("ansible", *look, "-a", f"state_dir={foreign / name}", cwd=foreign / "clone", home=foreign)
        assert done.returncode != 0 and "this module needs root" in done.stdout, done.stdout + done.stderr
        assert (f"- {foreign / name}\n" in done.stdout) == (name == "clone"), done.stdout


def test_the_built_collection_works_from_another_folder(clone: pathlib.Path, tmp_path: pathlib.Path) -> None:
    report = clone / "reports" / "prod" / "report.json"  # as the role report leaves it: it says what listens where
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text("{}")
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
    root = home / "ansible_collections/alfred/portmap"
    shipped = {path.name for path in root.iterdir()}
    assert {"plugins", "roles", "playbooks", "meta", "README.md"} <= shipped
    assert not shipped & {"tests", "collections", ".ci", "dev", "extensions", "reports"}
    assert [path.name for path in (root / "inventories").iterdir()] == ["port_map.yml"], "the example, not the hosts"
    for text in (*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("roles/*/README.md")):
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text.read_text()):
            assert "://" in link or (text.parent / link).exists(), f"{text.relative_to(root)} links to {link}, which is not shipped"
    for name in ("inventories/port_map.yml", "docs/port-map.md"):
        (schema,) = re.findall(r"^# yaml-language-server: \$schema=(.*)$", (root / name).read_text(), re.MULTILINE)
        assert json.loads((root / "inventories" / schema).read_text())["required"] == ["port_map"], "editors find the schema beside the example"
