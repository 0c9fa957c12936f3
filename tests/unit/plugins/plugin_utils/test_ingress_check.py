# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests/integration/test_ingress_playbooks.py does not show by playbooks: what is not refused, and all at once."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.plugin_utils._ingress_check import ingress_problems

PAIR = {"cert_file": "/etc/ssl/c.pem", "key_file": "/etc/ssl/c.key"}
VARIABLES: dict[str, t.Any] = {"tls": "files", "certificates": [PAIR], "default_certificate": False, "acme": None, "maintenance": [], "traefik_image": None}


def ingress(proxy: str = "traefik", **more: t.Any) -> dict[str, t.Any]:
    """One http route, one that TLS passes through, a dashboard."""
    route = {"entrypoint": "web", "tls": True, "passthrough": False, "dashboard": False}
    return {
        "proxy": proxy,
        "entrypoints": {"web": {"protocol": "http"}, "db": {"protocol": "tcp"}},
        "routes": {"api": route, "db": {**route, "entrypoint": "db", "passthrough": True}, "traefik": {**route, "dashboard": True}},
        **more,
    }


@pytest.mark.parametrize("proxy", ["traefik", "nginx"])
@pytest.mark.parametrize("variables", [{}, {"tls": "self_signed", "certificates": []}, {"maintenance": ["api"]}])
def test_what_can_be_served(proxy: str, variables: dict[str, t.Any]) -> None:
    assert ingress_problems(ingress(proxy), {**VARIABLES, **variables}) == []


def test_without_certificates_only_what_ends_tls_here_is_named() -> None:
    (problem,) = ingress_problems(ingress(), {**VARIABLES, "certificates": []})
    assert problem.startswith("there are routes with tls (api, traefik), and no certificate")
    assert ingress_problems(ingress(), {**VARIABLES, "certificates": [], "default_certificate": True}) == []


def test_nginx_reads_certificates_as_root_wherever_they_are() -> None:
    variables = {**VARIABLES, "certificates": [{**PAIR, "key_file": "/root/c.key"}]}
    assert ingress_problems(ingress("nginx"), variables) == []
    assert "/root/c.key: Traefik's unit sees nothing" in ingress_problems(ingress(), variables)[0]


def test_all_at_once() -> None:
    variables = {**VARIABLES, "tls": "acme", "maintenance": ["db", "api"]}
    found = ingress_problems(ingress(container=True), variables)
    assert [text.split(":")[0].split(",")[0] for text in found] == [
        "the map puts service proxy into a container (`container",
        "ingress_tls is acme",
        "ingress_maintenance",
        "ingress_maintenance",
    ]
    assert found[3] == "ingress_maintenance: there is no http route db; there are api"
