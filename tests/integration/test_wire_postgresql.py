# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL behind Traefik, asked by the real psql: its TLS begins with a word of its own protocol, which Nginx does not speak."""

from __future__ import annotations

import copy
import glob
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import typing as t

import pytest
from wire_setup import OWN, Certificates, Data, entrypoint, options, route
from wire_stage import ROOT, Bench

USER = "postgres"


class DatabaseStage(Bench):
    """Traefik, and a PostgreSQL that takes connections with and without TLS."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__("traefik", folder)
        self.certificates = Certificates(folder / "tls")
        own = self.certificates.issue("postgresql", "sealed.example.net")
        (self.names / "hosts").write_text("203.0.113.11 database.example.net sealed.example.net inner.example.net unknown.example.net\n")
        self.data = folder / "data"
        for above in (folder, *folder.parents[:2]):
            above.chmod(above.stat().st_mode | 0o011)  # PostgreSQL refuses to run as root
        self.data.mkdir()
        account = pwd.getpwnam(USER)
        os.chown(self.data, account.pw_uid, account.pw_gid)
        programs = pathlib.Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])
        self.as_user(str(programs / "initdb"), "--auth=trust", "--no-sync", "--pgdata", str(self.data))
        for name, source in (("server.crt", own["cert_file"]), ("server.key", own["key_file"])):
            shutil.copy(source, self.data / name)
            os.chown(self.data / name, account.pw_uid, account.pw_gid)
            (self.data / name).chmod(0o600)
        settings = {"ssl": "on", "port": "5433", "listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.data), "fsync": "off"}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.spawn("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", str(programs / "postgres"), "-D", str(self.data), *words)
        self.until(lambda: self.psql("host=127.0.0.1 port=5433").returncode == 0, "PostgreSQL does not start")

    def as_user(self, *argv: str) -> None:
        """Run a program as PostgreSQL's user."""
        subprocess.run(["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *argv], cwd="/", capture_output=True, check=True)

    def arguments(self, **changes: t.Any) -> Data:
        """The options of a call."""
        made = copy.deepcopy(options("traefik", self.certificates))
        routes = {
            "database": route("database", 5433, entrypoint="database", protocol="postgresql"),
            "sealed": route("sealed", 5433, entrypoint="database", protocol="postgresql", passthrough=True),
            "inner": route("inner", 5433, entrypoint="database", protocol="postgresql", allow=["198.51.100.16/28"]),
        }
        made["ingress"] = {
            "proxy": "traefik",
            "container": False,
            "entrypoints": {"database": entrypoint(5432, protocol="tcp")},
            "rate_limits": {},
            "routes": routes,
            **OWN["traefik"],
        }
        return super().arguments(**{**made, "maintenance": [], **changes})

    def psql(self, connection: str, query: str = "select ssl from pg_stat_ssl where pid = pg_backend_pid()") -> subprocess.CompletedProcess[str]:
        """Ask as a client does. The answer is whether PostgreSQL itself sees TLS: t or f."""
        words = ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "-c", query, f"{connection} user={USER} dbname=postgres connect_timeout=2"]
        return self.inside.run(*words, env={**os.environ, "HOME": "/nonexistent"})


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[DatabaseStage]:
    """Configured and running."""
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_wire_postgresql.py needs root: it makes a network namespace", returncode=2)
    made = DatabaseStage(tmp_path_factory.mktemp("database"))
    try:
        answer = made.configure()
        assert "failed" not in answer, answer
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("connection", "seen"),
    [
        ("host=database.example.net sslmode=require", "f"),
        ("host=database.example.net sslmode=verify-full sslrootcert=@CA@", "f"),
        ("host=sealed.example.net sslmode=require", "t"),
        ("host=sealed.example.net sslmode=verify-full sslrootcert=@CA@", "t"),
        ("host=database.example.net sslmode=prefer", "f"),
    ],
)
def test_it_answers_by_its_name(stage: DatabaseStage, connection: str, seen: str) -> None:
    done = stage.psql(connection.replace("@CA@", str(stage.certificates.ca)))
    assert (done.returncode, done.stdout.strip()) == (0, seen), done.stderr


@pytest.mark.parametrize(
    "connection",
    [
        "host=unknown.example.net sslmode=require",  # no such name
        "host=database.example.net sslmode=disable",  # no name at all
        "host=database.example.net sslmode=require sslsni=0",
        "host=inner.example.net sslmode=require",  # not from there
    ],
)
def test_others_are_not_served(stage: DatabaseStage, connection: str) -> None:
    done = stage.psql(connection)
    assert done.returncode == 2 and done.stdout == "", done


def test_a_long_answer_comes_whole(stage: DatabaseStage) -> None:
    done = stage.psql("host=database.example.net sslmode=require", "select string_agg(repeat('x', 1000), '') from generate_series(1, 5000)")
    assert len(done.stdout.strip()) == 5_000_000


def test_the_probe_asks_postgresql_what_it_answers_to_everybody(stage: DatabaseStage) -> None:
    """Directly, and by its name through Traefik, which passes TLS on as it is."""
    sealed = {"server_name": "sealed.example.net"}
    questions = [
        {"target": "127.0.0.1", "port": 5433},
        {"target": "127.0.0.1", "port": 5433, "tls": {"names": ["sealed.example.net"], "days_left": 1}},
        {"target": "127.0.0.1", "port": 5433, "tls": {"names": ["other.example.net"]}},
        {"target": "127.0.0.1", "port": 5433, "tls": {"days_left": 30}},
        {"target": "127.0.0.1", "port": 5433, "kind": "redis", "timeout": 5},
        {"target": "203.0.113.11", "port": 5432, "tls": {**sealed, "names": ["sealed.example.net"]}},
        {"target": "203.0.113.11", "port": 5432, "tls": {**sealed, "verify": True}},
    ]
    asked = [{"name": "q", "kind": "postgresql", "timeout": 10, **one} for one in questions]
    told = json.dumps({"ANSIBLE_MODULE_ARGS": {"questions": asked, "fail_on_findings": False}})
    module = [sys.executable, "-m", "ansible_collections.alfred.portmap.plugins.modules.probe"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections"), "SSL_CERT_FILE": str(stage.certificates.ca)}
    answers = json.loads(stage.inside.run(*module, input=told, env=environment, check=True).stdout)["answers"]
    assert [answer["verdict"] for answer in answers] == ["open", "open", "wrong answer", "wrong answer", "wrong answer", "open", "open"]
    details = [answer["detail"] for answer in answers]
    assert details[0] == "speaks TLS" and details[1].startswith("TLSv1.3, certificate until ")
    assert details[2] == "certificate is not for other.example.net; it is for sealed.example.net"
    assert details[3].startswith("certificate ends in 1 day (") and details[3].endswith("), at least 30 were asked for")
    assert stage.psql("host=127.0.0.1 port=5433").returncode == 0
