# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a certificate says of itself, and what is said of those that routes get."""

from __future__ import annotations

import pathlib
import subprocess
import time
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._certificate_facts import choice, dns_names, facts_of, first_certificate, remarks, validity

DAY = 86400


def issue(path: pathlib.Path, days: int = 2, *names: str) -> str:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(days), "-subj", "/CN=cn.example"]
    more = ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)] if names else []
    subprocess.run([*argv, *more, "-keyout", path.with_suffix(".key"), "-out", path], capture_output=True, check=True)
    return str(path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> str:
    return issue(tmp_path_factory.mktemp("site") / "site.pem", 2, "*.example.net", "Example.net")


def ingress(tls: bool = True, **hosts: str) -> dict[str, t.Any]:
    routes = {name: {"host": host, "entrypoint": "e"} for name, host in hosts.items()}
    return {"entrypoints": {"e": {"tls": tls}}, "routes": routes}


@pytest.mark.parametrize("days", [2, 20000])
def test_times_are_read_before_and_after_2050(tmp_path: pathlib.Path, days: int) -> None:
    """Which are written in two ways."""
    found = facts_of("x", pathlib.Path(issue(tmp_path / "x.pem", days)).read_bytes())
    assert found is not None and found.names == ()
    assert abs(found.begins - time.time()) < DAY and abs(found.ends - found.begins - days * DAY) < 2


def test_what_is_no_certificate_says_nothing() -> None:
    assert first_certificate(b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----") is None
    assert facts_of("x", b"nothing of the kind") is None
    assert dns_names(b"\x06\x03\x55\x1d\x11\x04\x82") == ()
    assert validity(b"\x30\x03\x30\x01\x02") == validity(b"") == (float("-inf"), float("inf"))


def test_the_name_itself_before_a_wildcard() -> None:
    names = [(), ("*.example.net",), ("api.example.net",)]
    assert [choice(host, names) for host in ("API.example.net", "www.example.net", "a.b.example.net", "example.net")] == [2, 1, None, None]


def test_a_certificate_that_is_good_is_not_spoken_of(site: str) -> None:
    assert remarks([site], ingress(a="a.example.net", b="example.net")) == []
    assert remarks([], ingress(a="a.example.org")) == remarks(["/nowhere"], ingress(a="a.example.org")) == []


def test_a_certificate_for_other_names_is_spoken_of(site: str) -> None:
    said = remarks([site], ingress(a="a.example.net", shop="shop.example.org"))
    assert said == [f"No certificate is for shop.example.org (route shop): it gets {site}, which is for *.example.net, example.net. Clients will refuse it"]
    assert remarks([site], ingress(shop="shop.example.org"), issued=True) == []
    assert remarks([site], ingress(tls=False, shop="shop.example.org")) == []
    handed = ingress(shop="shop.example.org")
    handed["routes"]["shop"]["passthrough"] = True
    assert remarks([site], handed) == []


def test_a_certificate_out_of_its_time_is_spoken_of_once_with_its_routes(site: str) -> None:
    late, early = time.time() + 3 * DAY, time.time() - 3 * DAY
    (said,) = remarks([site], ingress(b="b.example.net", a="a.example.net"), now=late)
    assert said.startswith(f"The certificate in {site} has expired on 2") and said.endswith("will refuse it: a, b")
    assert "is not valid before 2" in remarks([site], ingress(a="a.example.net"), now=early)[0]
    assert remarks([site], ingress(), now=late) == []
