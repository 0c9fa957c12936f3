# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Compose file that Traefik is run by. What an engine makes of it: tests/lab/test_traefik_container.py."""

from __future__ import annotations

import copy
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.alfred.portmap.plugins.module_utils._traefik import written
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_container import Container, admitted_by_mistake, compose, folders, ports

Data = dict[str, t.Any]

INGRESS: Data = {
    "container": True,
    "api": {"address": "127.0.0.1", "port": 8880},
    "metrics": {"address": "", "port": 8881},
    "entrypoints": {
        "web": {"port": 80, "tls": False},
        "websecure": {"port": 443, "tls": True, "http3": True},
        "names": {"port": 53, "protocol": "udp", "tls": False},
        "db": {"port": 5432, "protocol": "tcp", "tls": True},
    },
    "routes": {
        "open": {"allow": None},
        "all": {"allow": ["0.0.0.0/0", "::/0"]},
        "inner": {"allow": ["192.0.2.0/24", "172.16.0.0/12"]},
    },
}
CONTAINER = Container("registry.example.com/traefik:v3.7", ("shop_default",), None, "996:995", (), ())


def test_each_port_is_published_by_its_own_number() -> None:
    assert ports(INGRESS) == ["80:80/tcp", "443:443/tcp", "443:443/udp", "53:53/udp", "5432:5432/tcp", "127.0.0.1:8880:8880/tcp", "8881:8881/tcp"]


@pytest.mark.parametrize(("address", "published"), [("::1", "[::1]:8881:8881/tcp"), ("192.0.2.1", "192.0.2.1:8881:8881/tcp")])
def test_a_bound_port_is_published_there(address: str, published: str) -> None:
    ingress = copy.deepcopy(INGRESS)
    ingress["metrics"]["address"] = address
    assert ports(ingress)[-1] == published


def read(container: Container = CONTAINER, reads: t.Sequence[str] = (), writes: t.Sequence[str] = ()) -> Data:
    """The Compose file, as a reader of YAML finds it."""
    return t.cast(Data, yaml.safe_load(written(compose(container, INGRESS, "/etc/traefik", reads, writes))))


def test_the_container_has_few_rights() -> None:
    service = read()["services"]["traefik"]
    assert (service["user"], service["read_only"], service["cap_drop"], service["restart"]) == ("996:995", True, ["ALL"], "no")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service and "cap_add" not in service and "network_mode" not in service


def test_folders_are_mounted_at_their_own_paths() -> None:
    mounts = read(reads=["/etc/ssl/site"], writes=["/var/lib/traefik"])["services"]["traefik"]["volumes"]
    assert all(one["type"] == "bind" and one["source"] == one["target"] for one in mounts)
    assert {one["source"]: one.get("read_only", False) for one in mounts} == {"/etc/traefik": True, "/etc/ssl/site": True, "/var/lib/traefik": False}


def test_networks_of_others_are_joined_and_never_made() -> None:
    found = read()
    assert found["services"]["traefik"]["networks"] == ["default", "services0"]
    assert found["networks"] == {"default": {"name": "portmap-traefik"}, "services0": {"external": True, "name": "shop_default"}}


def test_what_is_asked_for_only() -> None:
    more = Container("traefik:$v", (), "fd00:80::/64", "996:995", (4, 111), ("CF_TOKEN",))
    found = read(more)
    service = found["services"]["traefik"]
    assert service["image"] == "traefik:$$v", "Compose would put a variable there"
    assert (service["group_add"], service["environment"]) == (["4", "111"], ["CF_TOKEN"])
    assert found["networks"]["default"] == {"name": "portmap-traefik", "enable_ipv6": True, "ipam": {"config": [{"subnet": "fd00:80::/64"}]}}
    assert not {"group_add", "environment"} & read()["services"]["traefik"].keys()


def test_the_folders_of_links_are_seen_too(tmp_path: pathlib.Path) -> None:
    """As certbot lays them out: live/NAME/fullchain.pem leads to archive/NAME/fullchain1.pem."""
    for folder in ("live/a", "archive/a", "traefik/tls"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "archive/a/fullchain1.pem").touch()
    (tmp_path / "traefik/tls/own.pem").touch()
    (tmp_path / "live/a/fullchain.pem").symlink_to("../../archive/a/fullchain1.pem")
    found = folders([str(tmp_path / "live/a/fullchain.pem"), str(tmp_path / "traefik/tls/own.pem")], [str(tmp_path / "traefik")])
    assert found == [str(tmp_path / "archive/a"), str(tmp_path / "live/a")]


def test_no_folder_within_another() -> None:
    assert folders(["/etc/ssl/a.pem", "/etc/ssl/private/a.key", "/etc/ssl2/b.pem"]) == ["/etc/ssl", "/etc/ssl2"]


def test_links_in_a_circle_end(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert folders([str(tmp_path / "a")]) == [str(tmp_path)]


def test_an_allow_list_with_the_hosts_own_address_is_found() -> None:
    assert admitted_by_mistake(INGRESS, ["172.19.0.1", "fd00:80::1"]) == ["route inner lets 172.19.0.1 in"]
    assert admitted_by_mistake(INGRESS, ["10.0.0.1"]) == []
