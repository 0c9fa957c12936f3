# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole maps: the format's own examples compile as they stand, and each broken map gives one error at the right place."""

from __future__ import annotations

import pathlib
import re

import pytest

from ansible_collections.alfred.portmap.plugins.plugin_utils._build import compile_map
from ansible_collections.alfred.portmap.plugins.plugin_utils._model import PortMap
from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import examine
from ansible_collections.alfred.portmap.plugins.plugin_utils._source import read_documents

ROOT = pathlib.Path(__file__).resolve().parents[4]
MAPS = ROOT / "tests" / "maps"
BROKEN = sorted((MAPS / "broken").iterdir())  # .txt: what no YAML checker would let pass


def inventory(**groups: str) -> dict[str, object]:
    """Inventory data: groups of hosts (names apart by blanks), each host with an address of its own."""
    members = {group: names.split() for group, names in groups.items()}
    hosts = sorted({host for names in members.values() for host in names})
    return {
        "hosts": {host: {"addresses": [f"198.18.0.{n}", f"2001:db8:77::{n}"], "users": ["default", "partners"]} for n, host in enumerate(hosts, 1)},
        "groups": members,
    }


ALFRED = inventory(bastion="bastion1", edge="edge1", core="core1", ui="ui1", data="data1", monitor="monitor1")
LAPTOP = inventory(core="laptop", ui="laptop", data="laptop", monitor="laptop")
TIERS = inventory(
    app="app1 app2", jobs="jobs1", cache="cache1", db="db1 db2", pay="pay1", ledger="ledger1", turn="turn1", bastion="bastion1", edge="edge1 edge2"
)
KUBERNETES = inventory(k8s_nodes="node1 node2", data="data1", jobs="jobs1")
FRAGMENTED = inventory(db="db1", vm="vm1 vm2", edge="edge1")


@pytest.mark.parametrize(
    ("name", "environment", "hosts"),
    [
        ("alfred", "production", ALFRED),
        ("alfred", "development", LAPTOP),
        ("one_vm", None, inventory(single="vm1")),
        ("three_tiers", "eu", TIERS),
        ("three_tiers", "us", TIERS),
        ("kubernetes", None, KUBERNETES),
        ("with_fragment/port_map", None, FRAGMENTED),
    ],
)
def test_the_formats_own_examples_have_no_error(name: str, environment: str | None, hosts: dict[str, object]) -> None:
    problems, plan = examine(read_documents(MAPS / f"{name}.yml"), environment, hosts)
    assert [str(problem) for problem in problems.errors] == []
    assert plan is not None


def compiled(name: str, environment: str | None = None) -> PortMap:
    port_map, problems = compile_map(read_documents(MAPS / f"{name}.yml"), environment)
    assert port_map is not None and problems.errors == []
    return port_map


@pytest.mark.parametrize("environment", ["production", "development"])
def test_the_shipped_map_is_the_formats_example(environment: str) -> None:
    shipped, problems = compile_map(read_documents(ROOT / "inventories" / "port_map.yml"), environment)
    assert shipped is not None and problems.errors == [] and problems.notices == []
    example = compiled("alfred", environment)
    described = {"sshd", "node-exporter", "proxy"}  # to which the shipped map adds descriptions
    for name in ("networks", "entrypoints", "rate_limits", "routes", "firewall"):
        assert normal(getattr(shipped, name)) == normal(getattr(example, name))
    assert list(shipped.services) == list(example.services)
    for name, service in shipped.services.items():
        assert normal(service, name in described) == normal(example.services[name], name in described), name


def normal(value: object, described: bool = False) -> str:
    """The text of a part of a map without origins (and descriptions)."""
    text = re.sub(r"Origin\([^)]*\)", "", repr(value))
    return re.sub(r"description=('[^']*'|\"[^\"]*\")", "", text) if described else text


def test_the_shipped_map_says_what_the_guide_says() -> None:
    shipped, _problems = compile_map(read_documents(ROOT / "inventories" / "port_map.yml"), "production")
    assert shipped is not None
    ports = {name: service.ports[""].span.lo for name, service in shipped.services.items() if service.ports[""].span is not None}
    assert {name: port for name, port in ports.items() if name not in ("sshd", "proxy", "node-exporter")} == {
        "alfred-core": 8080,
        "model-registry": 8081,
        "model-router": 8082,
        "slack-adapter": 8083,
        "slack-mcp-gateway": 8084,
        "agent-orchestrator": 8085,
        "social-intel": 8086,
        "ui-chat": 8501,
        "mission-control": 3000,
        "mission-control-simplified": 3001,
        "db-postgres": 5432,
        "db-storage": 5433,
        "db-auth": 5434,
        "redis": 6379,
        "prometheus": 9090,
        "grafana": 3000,
        "db-exporter": 9187,
        "redis-exporter": 9121,
    }
    assert {route.host for route in shipped.routes.values()} == {
        f"{name}.alfred.example.com" for name in ("api", "chat", "mission", "grafana", "prometheus", "traefik")
    }
    assert shipped.services["db-auth"].description == "Supabase auth API (GoTrue)"
    assert {service.namespace for name, service in shipped.services.items() if name not in ("sshd", "proxy", "node-exporter")} == {"alfred-prod"}


def test_the_lab_has_networks_of_its_own() -> None:
    lab, problems = compile_map(read_documents(ROOT / "inventories" / "port_map.yml"), "lab")
    assert lab is not None and problems.errors == []
    assert [member.cidr for member in lab.networks["operators"].members] == ["203.0.113.1", "2001:db8:1::1"]
    assert lab.networks["operators"].origin.path == "environments.lab.networks.operators"


def test_one_vm() -> None:
    found = compiled("one_vm")
    assert found.services["web"].ports[""].span is None and str(found.services["web"].ports[""].container_port) == "3000"
    assert {name: service.namespace for name, service in found.services.items() if service.namespace is None} == {"proxy": None, "sshd": None}
    assert found.services["db"].container and not found.services["sshd"].container
    assert found.routes["api"].path == "/api" and found.routes["web"].entrypoint == "websecure"
    assert found.firewall is not None and found.firewall.egress is None
    assert found.firewall.ingress[1].targets == (("game", ""),)
    assert found.services["game"].ports[""].protocol == "udp"


def test_three_tiers() -> None:
    found = compiled("three_tiers", "us")
    assert found.services["db"].addresses == ("10.2.0.50",)
    assert [member.cidr for member in found.networks["other_db"].members] == ["10.1.0.51"]
    assert found.services["payments"].ports[""].callers == ("namespace", "api") and found.services["payments"].ports[""].callers_stated
    assert found.services["api"].ports["metrics"].metrics and found.services["api"].ports["metrics"].protocol == "http"
    assert found.services["api"].ports["metrics"].callers == ("namespace",) and not found.services["api"].ports["metrics"].callers_stated
    assert found.services["redis"].ports["bus"].callers == ("self",)
    assert found.services["turn"].ports[""].transports == ("tcp", "udp")
    assert str(found.services["turn"].ports["relay"].span) == "49152-65535"
    assert found.entrypoints["websecure"].proxies_in_front is not None and found.entrypoints["websecure"].proxies_in_front.networks == ("cdn",)
    assert found.routes["partner"].auth == "partners" and found.routes["partner"].host == "p.acme.example"
    assert found.firewall is not None and found.firewall.ping == ("admins",)
    assert found.firewall.ingress[2].targets == (("turn", ""), ("turn", "relay"))


def test_kubernetes() -> None:
    found = compiled("kubernetes")
    assert found.services["proxy"].cluster == "main" and found.services["proxy"].namespace == "traefik"
    assert found.services["redis"].hosts == () and found.services["redis"].addresses == ("192.0.2.60",)
    assert found.clusters["main"].networks == ("nodes",)


def test_a_fragment() -> None:
    found = compiled("with_fragment/port_map")
    assert found.services["shop-web"].namespace == "shop" and found.services["shop-web"].hosts == ("vm1", "vm2")
    assert found.places.origin(("services", "shop-web", "hosts")).file == "with_fragment/port_map.d/shop.yml"
    assert found.routes["shop"].host == "www.shop.example.com" and found.routes["shop"].rate_limit == "shop"
    assert found.services["postgres"].ports[""].callers == ("shop-web", "crm")


def test_there_are_broken_maps() -> None:
    assert len(BROKEN) >= 30


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_a_broken_map_gives_one_error_at_the_right_place(file: pathlib.Path) -> None:
    """Each file says in its comment what is expected: line, path and the rule's words."""
    expected = re.search(r"^# expect: (\d+) (\S+): (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert expected is not None
    _port_map, problems = compile_map(read_documents(file), None)
    assert len(problems.errors) == 1, [str(problem) for problem in problems.errors]
    (error,) = problems.errors
    assert (error.origin.line, error.origin.path) == (int(expected[1]), expected[2])
    assert expected[3] in error.rule


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_a_broken_map_makes_no_further_problems_where_it_is_placed(file: pathlib.Path) -> None:
    hosts = inventory(app="app1", data="data1", edge="edge1", bastion="bastion1")
    _port_map, alone = compile_map(read_documents(file), None)
    problems, _plan = examine(read_documents(file), None, hosts)
    assert [str(problem) for problem in problems.errors] == [str(problem) for problem in alone.errors]


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    text = (MAPS / "broken" / "unknown_key.yml").read_text(encoding="utf-8")
    text = text.replace("port: 8080", "port: 80800").replace("rate_limit: calm", "rate_limit: clam").replace("to: office", "to: ofice")
    _port_map, problems = compile_map([{"path": "m.yml", "text": text}], None)
    assert [problem.origin.path for problem in problems.errors] == [
        "services.api.port",
        "services.db.protokol",
        "routes.api.rate_limit",
        "firewall.egress[0].to",
    ]


def test_a_broken_service_is_left_out_and_stays_known() -> None:
    text = (MAPS / "broken" / "port_0.yml").read_text(encoding="utf-8")
    port_map, problems = compile_map([{"path": "m.yml", "text": text}], None)
    assert port_map is not None and "api" not in port_map.services and "db" in port_map.services
    assert port_map.services["db"].ports[""].callers == (), "who calls is broken, which is no reason to say it is unknown"
    assert "api" not in port_map.routes
    assert len(problems.errors) == 1


@pytest.mark.parametrize(
    ("environment", "rule"),
    [
        ("prodution", "the map has no such environment, did you mean 'production'? (there: production, development)"),
        (None, "the map has environments: choose one with port_map_environment (production, development)"),
    ],
)
def test_an_environment_must_be_one_of_the_maps(environment: str | None, rule: str) -> None:
    port_map, problems = compile_map(read_documents(MAPS / "alfred.yml"), environment)
    assert port_map is None and [problem.rule for problem in problems.errors] == [rule]


def test_an_environment_where_there_are_none() -> None:
    port_map, problems = compile_map(read_documents(MAPS / "one_vm.yml"), "production")
    assert port_map is None and "the map has no environments" in problems.errors[0].rule


def test_no_documents_is_no_map() -> None:
    port_map, _problems = compile_map([], None)
    assert port_map is None


def test_the_same_text_gives_the_same_map() -> None:
    assert compiled("three_tiers", "eu") == compiled("three_tiers", "eu")
