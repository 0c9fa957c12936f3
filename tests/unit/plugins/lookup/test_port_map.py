# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup port_map: where the file is found, and that it is read as it stands."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleLookupError

from ansible_collections.alfred.portmap.plugins.lookup import port_map

NAME = "alfred.portmap.port_map"


def look(terms: t.Sequence[str] = (), variables: t.Mapping[str, t.Any] | None = None, **options: t.Any) -> list[dict[str, str]]:
    """Run the lookup with the options of its own docs, as Ansible's plugin loader would set it up."""
    documented = {name: option for name, option in yaml.safe_load(port_map.DOCUMENTATION)["options"].items() if name != "_terms"}
    constants.config.initialize_plugin_configuration_definitions("lookup", NAME, documented)
    plugin = port_map.LookupModule()
    plugin._load_name = NAME
    return plugin.run(list(terms), variables=dict(variables or {}), **options)


@pytest.fixture
def inventories(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "inventories"
    (folder / "prod").mkdir(parents=True)
    (folder / "prod" / "hosts.yml").write_text("all: {}\n", encoding="utf-8")
    (folder / "port_map.yml").write_text("above", encoding="utf-8")
    return folder


def sources(*paths: object) -> dict[str, list[str]]:
    return {"ansible_inventory_sources": [str(path) for path in paths]}


@pytest.mark.parametrize("source", ["prod", "prod/", "prod/hosts.yml"])
def test_the_default_is_beside_the_inventory_or_above(inventories: pathlib.Path, source: str) -> None:
    variables = sources(f"{inventories}/{source}")
    assert look(variables=variables) == [{"path": "inventories/port_map.yml", "text": "above"}]
    (inventories / "prod" / "port_map.yml").write_text("beside", encoding="utf-8")
    assert look(variables=variables) == [{"path": "prod/port_map.yml", "text": "beside"}]


@pytest.mark.parametrize("value", [None, ""])
def test_no_file_given_means_the_default(inventories: pathlib.Path, value: str | None) -> None:
    assert look(variables=sources(inventories / "prod"), file=value)[0]["text"] == "above"


def test_a_given_file_needs_no_inventory(inventories: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(file=str(inventories / "port_map.yml"))[0]["text"] == "above"
    monkeypatch.chdir(inventories.parent)
    assert look(file="inventories/port_map.yml", variables=sources("a", "b"))[0]["text"] == "above"
    monkeypatch.setenv("HOME", str(inventories))
    assert look(file="~/port_map.yml")[0]["text"] == "above"


def test_several_inventory_sources_have_no_default(inventories: pathlib.Path) -> None:
    with pytest.raises(AnsibleLookupError, match="set port_map_file"):
        look(variables=sources(inventories / "prod", inventories / "prod" / "hosts.yml"))


@pytest.mark.parametrize("variables", [{}, {"ansible_inventory_sources": ["host1,host2,"]}, {"ansible_inventory_sources": []}])
def test_an_inventory_without_a_folder_has_no_default(variables: dict[str, t.Any]) -> None:
    with pytest.raises(AnsibleLookupError, match="set port_map_file"):
        look(variables=variables)


def test_a_missing_file_is_told_with_the_places_that_were_looked_at(tmp_path: pathlib.Path) -> None:
    (tmp_path / "prod").mkdir()
    with pytest.raises(AnsibleLookupError, match=rf"{tmp_path}/prod/port_map.yml.*{tmp_path}/port_map.yml.*set port_map_file"):
        look(variables=sources(tmp_path / "prod"))
    with pytest.raises(AnsibleLookupError, match="No such file"):
        look(file=str(tmp_path / "x.yml"))


def test_terms_are_refused(inventories: pathlib.Path) -> None:
    with pytest.raises(AnsibleLookupError, match="takes no terms"):
        look(["x.yml"], file=str(inventories / "port_map.yml"))


def test_nothing_is_templated_or_decrypted(inventories: pathlib.Path) -> None:
    text = "port_map: {description: '{{ 1 + 1 }}', secret: !vault x}\n$ANSIBLE_VAULT;1.1;AES256\n"
    (inventories / "port_map.yml").write_text(text, encoding="utf-8")
    assert look(variables=sources(inventories / "prod"))[0]["text"] == text


def test_fragments_come_along(inventories: pathlib.Path) -> None:
    (inventories / "port_map.d").mkdir()
    (inventories / "port_map.d" / "shop.yml").write_text("shop", encoding="utf-8")
    assert [document["path"] for document in look(variables=sources(inventories / "prod"))] == ["inventories/port_map.yml", "inventories/port_map.d/shop.yml"]
