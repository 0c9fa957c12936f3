# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The public names, asked by the outsider through the real Traefik."""

from __future__ import annotations

import lab
import pytest

DOMAIN = "alfred.example.com"
BY_NAME = {"api": "alfred-core", "chat": "ui-chat", "mission": "mission-control", "grafana": "grafana"}
families = pytest.mark.parametrize("edge", lab.ADDRESSES["edge1"])


def https(name: str, edge: str, *argv: str, path: str = "/") -> str:
    """Ask for a public name over TLS; gives status, headers and body. The lab's certificate is signed by itself."""
    bracketed = f"[{edge}]" if ":" in edge else edge
    resolve = f"{name}.{DOMAIN}:443:{bracketed}"
    done = lab.curl("outsider", "--include", "--http1.1", "--insecure", "--resolve", resolve, *argv, f"https://{name}.{DOMAIN}{path}")
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\r", "")


def status(answer: str) -> int:
    """The status code of an answer."""
    return int(answer.split()[1])


@families
def test_http_is_sent_to_https(edge: str) -> None:
    bracketed = f"[{edge}]" if ":" in edge else edge
    for name in [*BY_NAME, "prometheus", "traefik", "unknown"]:
        done = lab.curl("outsider", "--include", "--header", f"Host: {name}.{DOMAIN}", f"http://{bracketed}/some/path?q=1")
        lines = done.stdout.replace("\r", "").split("\n")
        assert lines[0].split()[1] == "301"
        assert f"location: https://{name}.{DOMAIN}/some/path?q=1" in [line[:10].lower() + line[10:] for line in lines]


@families
@pytest.mark.parametrize(("name", "service"), BY_NAME.items())
def test_each_name_leads_to_its_service(name: str, service: str, edge: str) -> None:
    answer = https(name, edge)
    assert status(answer) == 200
    assert f"X-Service: {service}" in answer


@families
@pytest.mark.parametrize("name", ["prometheus", "traefik"])
def test_what_needs_credentials(name: str, edge: str) -> None:
    path = "/dashboard/" if name == "traefik" else "/-/healthy"
    for path_asked in ("/", path, "/api/rawdata"):
        assert status(https(name, edge, path=path_asked)) == 401
    assert status(https(name, edge, "--user", "ops:wrong", path=path)) == 401
    assert status(https(name, edge, "--user", "ops:lab", path=path)) == 200


@families
def test_an_unknown_name_leads_nowhere(edge: str) -> None:
    assert status(https("unknown", edge)) == 404


def test_the_password_goes_no_further() -> None:
    """Prometheus itself never sees the proxy's credentials; neither does a service see what a client claims to be."""
    answer = https("api", lab.ADDRESSES["edge1"][0], "--header", "X-Forwarded-For: 192.0.2.66")
    assert "192.0.2.66" not in answer
    assert lab.OUTSIDER[0] in answer


def test_the_dashboard_has_no_door_of_its_own() -> None:
    for address in lab.ADDRESSES["edge1"]:
        assert lab.connect("monitor1", [(address, 8880)]) == {(address, 8880): "dropped"}
        assert lab.connect("outsider", [(address, 8880)]) == {(address, 8880): "dropped"}
