# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One mistake anywhere in a map gives its error and nothing else: no exception, no complaint about what merely follows from it."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
import yaml

from ansible_collections.alfred.portmap.plugins.plugin_utils._merge import NAMED
from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import examine

Path = tuple[t.Any, ...]

# Something of everything, and little of it: each place in it is changed in each way.
MAIN = """
version: 1
domain: example.net
namespace: shop
hosts: app
bind: any
container: false
ingress: traefik
networks: {bastion: {hosts: bastion}, office: [192.0.2.0/28], cdn: [203.0.113.0/26, office]}
clusters: {main: {addresses: office}}
services:
  api: {port: 8080, protocol: http, health: /health, ports: {metrics: 9000, admin: {port: 9001, bind: bastion, from: self}}, hosts: [bastion]}
  next: {port: 8082, protocol: http, hosts: app}
  game: {port: 27015, transport: udp, hosts: app}
  db: {port: 5432, hosts: data, from: [namespace, api, pod], address: 192.0.2.50}
  pod: {port: 80, cluster: main, address: 192.0.2.80}
  proxy: {port: 8880, bind: loopback, hosts: edge}
  sshd: {port: 22, protocol: ssh, hosts: all}
entrypoints:
  web: {port: 80, redirect_to: websecure}
  websecure: {port: 443, tls: true, http3: true, proxies_in_front: {network: cdn}}
  db: {port: 5432, protocol: tcp, tls: true, proxies_in_front: {network: cdn, proxy_protocol: true}}
  game: {port: 27015, protocol: udp}
rate_limits: {calm: {average: 100}}
routes:
  api: {host: [api, www], service: api, canary: {service: next, weight: 10}, sticky: true, rate_limit: calm, from: cdn, auth: true}
  db: {host: db, service: db, entrypoint: db, passthrough: true, from: office}
  game: {service: game, entrypoint: game}
  board: {host: board, service: proxy, from: office, entrypoint: websecure}
firewall:
  ingress: [{name: https, port: [80, 443], from: anywhere, hosts: edge}, {name: ssh, service: sshd, from: bastion}]
  egress: [{name: dns, port: 53, transport: [tcp, udp], to: office}]
  internal: {same_namespace: allow, scrape: {from: db}}
  ping: office
environments:
  used:
    networks: {office: 198.51.100.1}
    clusters: {main: {addresses: office}}
    services: {api: {port: 8081, ports: {metrics: 9002}}, web: {port: 7001}}
    entrypoints: {web: {port: 8000}}
    rate_limits: {calm: {burst: 200}}
    routes: {api: {path: /x}}
    firewall: {ingress: {name: ssh, from: office}, egress: allow, internal: {scrape: {path: /m}}}
  other: {services: {db: {enabled: false}}}
"""
FRAGMENT = """
version: 1
namespace: web
services: {web: {port: 7000, protocol: http, from: api}}
routes: {web: {host: web, service: web, rate_limit: web}}
rate_limits: {web: {average: 1}}
environments: {used: {services: {web: {container: true}}, routes: {web: {enabled: false}}}}
"""
FILES = {"m.yml": yaml.safe_load(MAIN), "d/web.yml": yaml.safe_load(FRAGMENT)}
HOSTS = {
    "hosts": {name: {"addresses": [f"198.18.0.{n}", f"2001:db8::{n}"], "users": ["default"]} for n, name in enumerate(("a", "b", "c", "d", "e"), 1)},
    "groups": {"app": ["a"], "bastion": ["b"], "data": ["c", "d"], "edge": ["e"]},
}


def places(data: t.Any, path: Path = ()) -> list[Path]:
    found = [path]
    for step, item in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        found += places(item, (*path, step))
    return found


ALL = [(file, path) for file, data in FILES.items() for path in places(data) if path]


def at(data: t.Any, path: Path) -> t.Any:
    for step in path:
        data = data[step]
    return data


def changed(file: str, path: Path, change: t.Callable[[t.Any, t.Any], None]) -> list[str]:
    """The errors of the map with one change, made to what holds the path's last step."""
    files = {**FILES, file: copy.deepcopy(FILES[file])}
    change(at(files[file], path[:-1]), path[-1])
    problems, _plan = examine([{"path": name, "text": json.dumps({"port_map": data})} for name, data in files.items()], "used", HOSTS)
    return [str(problem) for problem in problems.errors]


def test_the_map_is_right_before_it_is_changed() -> None:
    assert changed("m.yml", ("version",), lambda _holder, _step: None) == []


def test_an_unknown_key_is_one_error() -> None:
    for file, path in ALL:
        if isinstance(at(FILES[file], path), dict) and path[-1] not in (*NAMED, "environments", "ports"):  # these hold names
            found = changed(file, path, lambda holder, step: holder[step].update(no_such_key=1))
            assert len(found) == 1 and "unknown key" in found[0], (file, path, found)


@pytest.mark.parametrize("wrong", [None, True, "a b", [], {"no such": {}}], ids=json.dumps)
def test_a_value_of_the_wrong_kind_is_an_error_at_most(wrong: t.Any) -> None:
    for file, path in ALL:
        found = changed(file, path, lambda holder, step: holder.__setitem__(step, copy.deepcopy(wrong)))
        assert isinstance(found, list), (file, path)
