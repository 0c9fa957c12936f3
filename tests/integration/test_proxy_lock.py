# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs at once change a proxy one after the other: without that they undo each other, and one of them says for all that that it succeeded."""

from __future__ import annotations

import concurrent.futures
import copy
import os
import pathlib
import typing as t

import pytest
from edge import SMALL, Data, Edge
from edge import route as traefik_route
from nginx_edge import NginxEdge, ingress

Configure = t.Callable[[str], Data]


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_proxy_lock.py needs root: it makes a network namespace", returncode=2)


@pytest.fixture(params=["traefik", "nginx"])
def proxy(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> t.Iterator[tuple[Configure, t.Callable[[str], t.Union[int, str]]]]:
    """(run the module with a route of that name besides, the status that the route answers with)"""
    if request.param == "traefik":
        edge = Edge(tmp_path)
        edge.serve("one", 9001)

        def configure(name: str) -> Data:
            return edge.configure(ingress={**SMALL, "routes": {**SMALL["routes"], name: traefik_route(name)}})

        yield configure, lambda name: edge.status(f"https://{name}.example.net/")
        edge.close()
        return
    nginx = NginxEdge()
    plain = ingress()["routes"]["api"]

    def configure_nginx(name: str) -> Data:
        return nginx.configure(ingress=ingress({**ingress()["routes"], name: {**copy.deepcopy(plain), "host": f"{name}.example.net"}}))

    yield configure_nginx, nginx.status
    nginx.close()


def test_runs_at_once_follow_one_another(proxy: tuple[Configure, t.Callable[[str], t.Union[int, str]]]) -> None:
    configure, status = proxy
    assert "failed" not in configure("zero")
    for names in (("one", "two", "three"), ("four", "five", "six")):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answers = dict(zip(names, pool.map(configure, names)))
        assert [answer.get("msg") for answer in answers.values()] == [None] * 3
        served = [name for name in names if status(name) not in (404, "closed")]  # what a name without a route gets
        assert len(served) == 1, "one came last, and all of it runs"
        again = configure(served[0])
        assert (again["changed"], again["restarted"], again["reloaded"]) == (False, False, False)
