# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option tls.acme. What a real Traefik and a real ACME server make of it: tests/integration/test_acme.py."""

from __future__ import annotations

import json
import os
import pathlib
import re
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import ProxyError
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_acme import (
    ARGUMENTS,
    PRODUCTION,
    STAGING,
    files,
    issued,
    progress,
    resolver_name,
    resolvers,
    router_tls,
    storage_problem,
    wanted,
    without_secrets,
)

Data = dict[str, t.Any]

ACME = {"email": "ops@example.net", "challenge": "tls"}
DNS = {"challenge": "dns", "dns_provider": "cloudflare"}
FRONT = {"trusted": ["192.0.2.0/28"], "depth": 1, "proxy_protocol": False, "terminates_tls": True}
WEB = {"port": 80, "tls": False}
SECURE = {"port": 443, "tls": True}
KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wE"


def ingress(host: t.Any = "api.example.net", entrypoints: Data | None = None, **changes: t.Any) -> Data:
    """The ingress part of a plan with one route."""
    return {"entrypoints": entrypoints or {"web": WEB, "secure": SECURE}, "routes": {"api": {"host": host, "tls": True, **changes}}}


def rendered(acme: Data | None = None, version: tuple[int, int] | None = None, **changes: t.Any) -> Data:
    """The one resolver."""
    ((_name, found),) = resolvers(ingress(**changes), {**ACME, **(acme or {})}, version).items()
    return t.cast(Data, found["acme"])


def test_without_more_it_is_lets_encrypt_with_its_own_storage() -> None:
    assert rendered() == {
        "email": "ops@example.net",
        "storage": "/var/lib/traefik/acme.json",
        "caServer": PRODUCTION,
        "keyType": "EC256",
        "tlsChallenge": {},
    }


def test_what_is_there_without_a_word_is_what_the_option_says() -> None:
    defaults = {key: one.get("default") for key, one in ARGUMENTS.items()}
    assert rendered({**defaults, **ACME}) == rendered()
    assert ARGUMENTS["eab"]["options"]["hmac"]["no_log"] is True


def test_http_goes_to_the_entrypoint_on_port_80() -> None:
    entrypoints = {"secure": SECURE, "other": {"port": 8080, "tls": False}, "zweb": WEB, "tcp": {**WEB, "protocol": "tcp"}}
    assert rendered({"challenge": "http"}, entrypoints=entrypoints)["httpChallenge"] == {"entryPoint": "zweb"}


def test_a_tcp_entrypoint_answers_the_tls_challenge_too() -> None:
    assert rendered(entrypoints={"database": {**SECURE, "protocol": "tcp"}})["tlsChallenge"] == {}


@pytest.mark.parametrize("version", [None, (3, 3), (3, 7)])
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, {}),
        ({"delay": 0, "checks": "all"}, {}),
        ({"delay": 30, "checks": "all"}, {"propagation": {"delayBeforeChecks": "30s"}}),
        ({"delay": 0, "checks": "none"}, {"propagation": {"disableChecks": True}}),
        ({"delay": 5, "checks": "resolvers"}, {"propagation": {"delayBeforeChecks": "5s", "disableANSChecks": True, "requireAllRNS": True}}),
    ],
)
def test_dns(said: Data | None, expected: Data, version: tuple[int, int] | None) -> None:
    found = rendered({**DNS, "dns_resolvers": ["192.0.2.53", "[2001:db8::53]:53", "ns.example.net:5353"], "dns_propagation": said}, version)
    assert found["dnsChallenge"] == {"provider": "cloudflare", "resolvers": ["192.0.2.53", "[2001:db8::53]:53", "ns.example.net:5353"], **expected}


def test_dns_of_an_older_traefik_has_keys_of_its_own() -> None:
    assert rendered({**DNS, "dns_propagation": {"delay": 30, "checks": "none"}}, (3, 2))["dnsChallenge"] == {
        "provider": "cloudflare",
        "delayBeforeCheck": "30s",
        "disablePropagationCheck": True,
    }
    assert rendered(DNS, (3, 0))["dnsChallenge"] == {"provider": "cloudflare"}


def test_all_the_rest() -> None:
    more = {
        "ca_server": "https://ca.example.net:9000/acme/acme/directory",
        "ca_certificates": "/etc/ssl/ca.pem",
        "storage": "/srv/acme.json",
        "key_type": "RSA2048",
        "eab": {"kid": "kid-1", "hmac": KEY + "="},
        "profile": "shortlived",
        "certificates_duration": 160,
    }
    assert rendered(more, (3, 4)) == {
        "email": "ops@example.net",
        "storage": "/srv/acme.json",
        "caServer": "https://ca.example.net:9000/acme/acme/directory",
        "keyType": "RSA2048",
        "tlsChallenge": {},
        "caCertificates": ["/etc/ssl/ca.pem"],
        "eab": {"kid": "kid-1", "hmacEncoded": KEY},
        "profile": "shortlived",
        "certificatesDuration": 160,
    }


def test_each_server_has_a_resolver_of_its_own() -> None:
    """One in common would serve what staging issued long after a switch to production."""
    servers: list[Data] = [{}, {"staging": True}, {"ca_server": "https://ca.example.net/a"}, {"ca_server": "https://ca.example.net/b"}]
    names = [resolver_name({**ACME, **server}) for server in servers]
    assert names[:2] == ["acme", "acme-staging"]
    assert len(set(names)) == 4
    assert [list(resolvers(ingress(), {**ACME, **server})) for server in servers] == [[name] for name in names]
    assert resolver_name({**ACME, "ca_server": PRODUCTION}) == "acme"
    assert resolver_name({**ACME, "ca_server": STAGING}) == "acme-staging"
    assert rendered({"staging": True})["caServer"] == STAGING


def test_a_router_names_its_resolver() -> None:
    assert router_tls(ACME) == {"certResolver": "acme"}
    assert router_tls({**ACME, "staging": True}) == {"certResolver": "acme-staging"}


def test_what_the_proxy_does_not_end_tls_of_needs_no_certificate() -> None:
    for changes in ({"passthrough": True}, {"tls": False}):
        assert rendered(host="*.example.local", **changes)
        assert wanted(ingress("db.example.net", **changes)) == set()
    assert wanted({"routes": {"udp": {"host": None, "tls": False}, "api": {"host": "API.example.net", "tls": True}}}) == {"api.example.net"}


NO_80 = {"secure": SECURE, "web": {"port": 8080, "tls": False}}
NO_443 = {"web": WEB, "secure": {"port": 8443, "tls": True}}


@pytest.mark.parametrize(
    ("acme", "changes", "path", "said"),
    [
        ({"email": "ops"}, {}, "tls.acme.email", "'ops' must be one address of mail"),
        ({"email": "a@example.net,b@example.net"}, {}, "tls.acme.email", "must be one address"),
        ({"email": ""}, {}, "tls.acme.email", "must be a text, and not empty"),
        ({"email": "{{x}}@example.net"}, {}, "tls.acme.email", "Traefik runs it as a template"),
        ({"challenge": "http"}, {"entrypoints": NO_80}, "tls.acme.challenge", "no entrypoint for plain http there"),
        ({"challenge": "http"}, {"entrypoints": {"web": {**WEB, "tls": True}}}, "tls.acme.challenge", "no entrypoint for plain http there"),
        ({"challenge": "http"}, {"entrypoints": {"web": {**WEB, "protocol": "tcp"}}}, "tls.acme.challenge", "no entrypoint for plain http there"),
        ({}, {"entrypoints": NO_443}, "tls.acme.challenge", "no entrypoint there that ends TLS itself"),
        ({}, {"entrypoints": {"secure": {**SECURE, "tls": False}}}, "tls.acme.challenge", "no entrypoint there that ends TLS itself"),
        ({}, {"entrypoints": {"secure": {**SECURE, "proxies_in_front": FRONT}}}, "tls.acme.challenge", "no entrypoint there that ends TLS itself"),
        ({"challenge": "dns"}, {}, "tls.acme.dns_provider", "must be there for the dns challenge"),
        ({**DNS, "dns_provider": "manual"}, {}, "tls.acme.dns_provider", "waits for somebody at a keyboard"),
        ({**DNS, "dns_provider": "Cloud Flare"}, {}, "tls.acme.dns_provider", "must be lego's name"),
        ({**DNS, "dns_resolvers": ["192.0.2.53", "2001:db8::53"]}, {}, "tls.acme.dns_resolvers[1]", "an IPv6 address in brackets"),
        ({**DNS, "dns_propagation": {"delay": -1}}, {}, "tls.acme.dns_propagation.delay", "must not be negative"),
        ({**DNS, "dns_propagation": {"checks": "some"}}, {}, "tls.acme.dns_propagation.checks", "must be one of all, resolvers, none"),
        ({"dns_provider": "cloudflare"}, {}, "tls.acme.dns_provider", "is for the dns challenge, and tls.acme.challenge is tls"),
        ({"challenge": "http", "dns_resolvers": ["192.0.2.53"]}, {}, "tls.acme.dns_resolvers", "tls.acme.challenge is http"),
        ({"challenge": "none"}, {}, "tls.acme.challenge", "must be one of http, tls, dns"),
        ({"key_type": "ED25519"}, {}, "tls.acme.key_type", "must be one of EC256"),
        ({"ca_server": "http://ca.example.net/dir"}, {}, "tls.acme.ca_server", "with https"),
        ({"ca_server": "https://"}, {}, "tls.acme.ca_server", "with https"),
        ({"ca_server": "https://ca.example.net/dir", "staging": True}, {}, "tls.acme.staging", "leave one out"),
        ({"storage": "acme.json"}, {}, "tls.acme.storage", "must be an absolute path"),
        ({"ca_certificates": "ca.pem"}, {}, "tls.acme.ca_certificates", "must be an absolute path"),
        ({"certificates_duration": 0}, {}, "tls.acme.certificates_duration", "must be at least 1"),
        ({"profile": "shortlived"}, {}, "tls.acme.certificates_duration", "must be below 168 for short-lived certificates"),
        ({"profile": "shortlived", "certificates_duration": 168}, {}, "tls.acme.certificates_duration", "must be below 168"),
        *(({}, {"host": host}, "ingress.routes.api.host", "Let's Encrypt issues for") for host in ("api", "api.home.arpa", "a.internal", "203.0.113.5")),
        ({"staging": True}, {"host": "2001:db8::1"}, "ingress.routes.api.host", "Let's Encrypt issues for"),
    ],
)
def test_what_could_never_be_issued_is_refused(acme: Data, changes: Data, path: str, said: str) -> None:
    with pytest.raises(ProxyError, match=re.escape(said)) as caught:
        rendered(acme, **changes)
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: ")


def test_a_server_of_ones_own_issues_for_names_of_ones_own() -> None:
    assert rendered({"ca_server": "https://ca.internal/dir"}, host="api.internal")


@pytest.mark.parametrize(
    ("acme", "version", "said"),
    [
        ({"ca_certificates": "/ca.pem"}, (3, 1), "needs Traefik 3.2 or later, and this one is 3.1: put LEGO_CA_CERTIFICATES=/ca.pem into its environment"),
        ({**DNS, "dns_propagation": {"checks": "resolvers"}}, (3, 2), "needs Traefik 3.3 or later"),
        ({"profile": "tlsserver"}, (3, 3), "needs Traefik 3.4 or later"),
    ],
)
def test_what_this_traefik_does_not_know_is_refused(acme: Data, version: tuple[int, int], said: str) -> None:
    """It would end at its start."""
    assert rendered(acme, (version[0], version[1] + 1)) == rendered(acme)
    with pytest.raises(ProxyError, match=re.escape(said)):
        rendered(acme, version)


@pytest.mark.parametrize("key", ["secret key", "secret+key/", "=", "secre"])
def test_a_key_that_is_none_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ProxyError, match=r"tls\.acme\.eab\.hmac: must be base64url") as caught:
        rendered({"eab": {"kid": "kid-1", "hmac": key}})
    assert "secre" not in str(caught.value)


def test_the_key_is_not_shown() -> None:
    static = {"log": {}, "certificatesResolvers": {**resolvers(ingress(), {**ACME, "eab": {"kid": "kid-1", "hmac": KEY}}), "other": {"acme": {}}}}
    before = json.dumps(static)
    shown = without_secrets(static)
    assert KEY not in json.dumps(shown) and "kid-1" in json.dumps(shown)
    assert [shown.keys(), shown["certificatesResolvers"].keys()] == [static.keys(), static["certificatesResolvers"].keys()]
    assert json.dumps(static) == before
    for other in ({"log": {}}, {"certificatesResolvers": resolvers(ingress(), ACME)}):
        assert without_secrets(other) == other


def one(main: str, *sans: str, certificate: str = "eA==") -> Data:
    """A certificate as Traefik keeps it."""
    return {"domain": {"main": main, **({"sans": list(sans)} if sans else {})}, "certificate": certificate, "key": "eA==", "Store": "default"}


def test_what_is_issued_is_read_from_the_storage() -> None:
    storage = {
        "acme": {"Account": {}, "Certificates": [one("api.example.net"), one("A.example.net", "b.example.net"), one("none.example.net", certificate="")]},
        "acme-staging": {"Account": {}, "Certificates": [one("staging.example.net")]},
        "acme-new": {"Account": {}, "Certificates": None},
        "null": None,
    }
    text = json.dumps(storage)
    assert issued(text, "acme") == {"api.example.net", "a.example.net", "b.example.net"}
    assert issued(text) == {"api.example.net", "a.example.net", "b.example.net", "staging.example.net"}
    assert issued(text, "acme-new") == issued(text, "nobody") == set()
    for harmed in ("", "\n", text[:-40], "[]", "null", '{"acme": 1}', '{"acme": {"Certificates": [{}]}}'):
        assert issued(harmed) == set()


def test_how_far_issuance_is_can_be_told(tmp_path: pathlib.Path) -> None:
    storage, names = tmp_path / "acme.json", {"routes": {name: {"host": f"{name}.example.net", "tls": True} for name in "abc"}}
    acme = {**ACME, "ca_server": "https://ca.example.net:9000/dir", "storage": str(storage)}
    assert progress(names, acme) == ("ca.example.net:9000 has issued certificates for 0 of 3 names; still to come: a.example.net, b.example.net, c.example.net")
    found = {resolver_name(acme): {"Certificates": [one("b.example.net"), one("other.example.net")]}, "acme": {"Certificates": [one("a.example.net")]}}
    storage.write_text(json.dumps(found))
    assert progress(names, acme) == "ca.example.net:9000 has issued certificates for 1 of 3 names; still to come: a.example.net, c.example.net"
    found[resolver_name(acme)]["Certificates"].append(one("a.example.net", "c.example.net"))
    storage.write_text(json.dumps(found))
    assert progress(names, acme) == "ca.example.net:9000 has issued certificates for 3 of 3 names"


def test_the_files_that_must_be_there() -> None:
    assert (files(ACME), files({**ACME, "ca_certificates": "/etc/ssl/ca.pem"})) == ((), ("/etc/ssl/ca.pem",))


def test_a_storage_that_traefik_takes(tmp_path: pathlib.Path) -> None:
    storage = tmp_path / "acme.json"
    assert storage_problem(str(storage)) is None, "Traefik makes it"
    for text in ("", '{"acme": {}}'):
        storage.write_text(text)
        storage.chmod(0o600)
        assert storage_problem(str(storage)) is None
        assert storage_problem(str(storage), os.getuid()) is None


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("{}", 0o644, "has mode 0644 and must have 0600: Traefik refuses a storage that others may read"),
        ("{}", 0o640, "has mode 0640"),
        ("{}", 0o400, "has mode 0400 and must have 0600: Traefik can't write"),
        ('{"acme": {"Cert', 0o600, "is not what Traefik writes"),
        ("[]", 0o600, "is not what Traefik writes"),
        (" ", 0o600, "is not what Traefik writes"),
        ("\udcff", 0o600, "can't be read"),
    ],
)
def test_a_storage_that_traefik_would_skip_is_told(tmp_path: pathlib.Path, text: str, mode: int, said: str) -> None:
    storage = tmp_path / "acme.json"
    storage.write_bytes(text.encode(errors="surrogateescape"))
    storage.chmod(mode)
    problem = storage_problem(str(storage))
    assert problem is not None and problem.startswith(str(storage)) and said in problem


def test_a_storage_of_somebody_elses_and_one_that_is_no_file(tmp_path: pathlib.Path) -> None:
    storage = tmp_path / "acme.json"
    storage.touch(0o600)
    assert f"belongs to user {os.getuid()}, and Traefik runs as user 4711" in str(storage_problem(str(storage), 4711))
    assert "is no file" in str(storage_problem(str(tmp_path)))
    assert "can't be read" in str(storage_problem(str(storage / "below")))
