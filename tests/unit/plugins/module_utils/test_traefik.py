# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the ingress part of a plan to Traefik's configuration. What Traefik makes of it: tests/integration/test_traefik.py."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._traefik import TraefikError, masked, render_dynamic, render_static

Data = dict[str, t.Any]

BCRYPT = "$2y$05$" + "a" * 53
USERS = {"default": [{"name": "ops", "hash": BCRYPT}]}
WEB = {"port": 80, "tls": False, "redirect_to": {"entrypoint": "websecure", "port": 443}, "proxies_in_front": None}
SECURE = {"port": 443, "tls": True, "redirect_to": None, "proxies_in_front": None}
FRONT = {"trusted": ["192.0.2.0/28"], "depth": 2, "proxy_protocol": False, "terminates_tls": False}
API = {
    "host": "api.example.net",
    "path": "/",
    "entrypoint": "websecure",
    "tls": True,
    "protocol": "http",
    "dashboard": False,
    "backends": [{"address": "203.0.113.5", "port": 8080}, {"address": "2001:db8::5", "port": 8080}],
    "rate_limit": None,
    "auth": None,
    "allow": None,
    "health": "/health",
}
INGRESS: Data = {
    "proxy": "traefik",
    "api": {"address": "127.0.0.1", "port": 8880},
    "metrics": {"address": "", "port": 8881},
    "entrypoints": {"web": WEB, "websecure": SECURE},
    "rate_limits": {"calm": {"average": 50, "burst": 75}},
    "routes": {"api": API},
}


def ingress(route: Data | None = None, entrypoint: Data | None = None, **changes: t.Any) -> Data:
    """The ingress with its one route, its entrypoint websecure or other keys changed."""
    made = copy.deepcopy({**INGRESS, **changes})
    made["routes"]["api"].update(route or {})
    made["entrypoints"]["websecure"].update(entrypoint or {})
    return made


def http(route: Data | None = None, entrypoint: Data | None = None, **changes: t.Any) -> Data:
    """The http part of the dynamic configuration."""
    dynamic = render_dynamic(ingress(route, entrypoint, **changes), {}, USERS)
    return t.cast(Data, dynamic["http"])


def static(tls: Data | None = None, **changes: t.Any) -> Data:
    return render_static(ingress(**changes), tls or {}, "/etc/traefik/conf.d")


# the static part


def test_the_whole_static_part() -> None:
    assert static() == {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "INFO"},
        "providers": {"file": {"directory": "/etc/traefik/conf.d", "watch": True}},
        "api": {"dashboard": True, "insecure": False},
        "metrics": {"prometheus": {"entryPoint": "portmap.metrics"}},
        "entryPoints": {
            "web": {"address": ":80", "http": {"redirections": {"entryPoint": {"to": ":443", "scheme": "https", "permanent": True}}}},
            "websecure": {"address": ":443"},
            "portmap.api": {"address": "127.0.0.1:8880"},
            "portmap.metrics": {"address": ":8881"},
        },
    }


def test_nothing_opens_a_door_that_nobody_asked_for() -> None:
    """`ping`, `metrics` and `api.insecure` each make an entrypoint on :8080 of all interfaces by themselves."""
    bare = static(api=None, metrics=None)
    assert not {"api", "metrics", "ping"} & set(bare)
    assert set(bare["entryPoints"]) == {"web", "websecure"}


def test_proxies_in_front_are_trusted_by_network() -> None:
    entrypoints = static(entrypoint={"proxies_in_front": FRONT})["entryPoints"]
    assert entrypoints["websecure"] == {"address": ":443", "forwardedHeaders": {"trustedIPs": ["192.0.2.0/28"]}}
    entrypoints = static(entrypoint={"proxies_in_front": {**FRONT, "proxy_protocol": True}})["entryPoints"]
    assert entrypoints["websecure"]["proxyProtocol"] == {"trustedIPs": ["192.0.2.0/28"]}


@pytest.mark.parametrize(
    ("challenge", "rendered"),
    [("tls", {"tlsChallenge": {}}), ("http", {"httpChallenge": {"entryPoint": "web"}}), ("dns", {"dnsChallenge": {"provider": "rfc2136"}})],
)
def test_certificates_by_acme(challenge: str, rendered: Data) -> None:
    account = {"email": "ops@example.net", "storage": "/var/lib/traefik/acme.json", "ca_server": "https://acme.example.net/dir"}
    tls = {"acme": {**account, "challenge": challenge, "dns_provider": "rfc2136"}}
    assert static(tls)["certificatesResolvers"] == {
        "acme": {"acme": {"email": account["email"], "storage": account["storage"], "caServer": account["ca_server"], **rendered}}
    }
    routers = render_dynamic(ingress(), tls, {})["http"]["routers"]
    assert routers["api"]["tls"] == {"certResolver": "acme"}


@pytest.mark.parametrize(
    ("acme", "message"),
    [
        ({"challenge": "dns", "dns_provider": ""}, "tls.acme.dns_provider: the dns challenge needs one"),
        ({"challenge": "http"}, "tls.acme.challenge: the http challenge needs an entrypoint on port 80 without tls"),
    ],
)
def test_an_acme_challenge_that_cannot_work(acme: Data, message: str) -> None:
    tls = {"acme": {"email": "a@b", "storage": "/x", "ca_server": "https://x", "dns_provider": "", **acme}}
    with pytest.raises(TraefikError, match=message):
        static(tls, entrypoints={"websecure": SECURE})


# the dynamic part


def test_the_whole_dynamic_part() -> None:
    certificates = {"certificates": [{"cert_file": "/tls/a.pem", "key_file": "/tls/a.key"}, {"cert_file": "/tls/b.pem", "key_file": "/tls/b.key"}]}
    assert render_dynamic(ingress(), certificates, {}) == {
        "http": {
            "routers": {
                "api": {"entryPoints": ["websecure"], "rule": "Host(`api.example.net`)", "service": "api", "tls": {}},
                "portmap.api": {"entryPoints": ["portmap.api"], "rule": "PathPrefix(`/api`)", "service": "api@internal"},
            },
            "services": {"api": {"loadBalancer": {"servers": [{"url": "http://203.0.113.5:8080"}, {"url": "http://[2001:db8::5]:8080"}]}}},
        },
        "tls": {
            "certificates": [{"certFile": "/tls/a.pem", "keyFile": "/tls/a.key"}, {"certFile": "/tls/b.pem", "keyFile": "/tls/b.key"}],
            "stores": {"default": {"defaultCertificate": {"certFile": "/tls/a.pem", "keyFile": "/tls/a.key"}}},
            "options": {"default": {"minVersion": "VersionTLS12"}},
        },
    }


@pytest.mark.parametrize(
    ("protocol", "scheme"), [("http", "http"), ("websocket", "http"), ("https", "https"), ("grpc", "h2c")]
)
def test_how_backends_are_spoken_to(protocol: str, scheme: str) -> None:
    (server, _v6) = http({"protocol": protocol})["services"]["api"]["loadBalancer"]["servers"]
    assert server["url"] == f"{scheme}://203.0.113.5:8080"


def test_a_path_is_part_of_the_rule() -> None:
    assert http({"path": "/v1"})["routers"]["api"]["rule"] == "Host(`api.example.net`) && PathPrefix(`/v1`)"


def test_guards_keep_their_order_and_say_how_deep_to_look() -> None:
    route = {"rate_limit": "calm", "auth": "default", "allow": ["192.0.2.0/28", "2001:db8::/64"]}
    alone, behind = http(route), http(route, {"proxies_in_front": FRONT})
    assert alone["routers"]["api"]["middlewares"] == ["allow-api", "limit-calm", "auth-default"]
    assert alone["middlewares"] == {
        "allow-api": {"ipAllowList": {"sourceRange": ["192.0.2.0/28", "2001:db8::/64"]}},
        "limit-calm": {"rateLimit": {"average": 50, "burst": 75, "period": "1s", "sourceCriterion": {"ipStrategy": {"ipv6Subnet": 64}}}},
        "auth-default": {"basicAuth": {"users": [f"ops:{BCRYPT}"], "removeHeader": True}},
    }
    assert behind["routers"]["api"]["middlewares"] == ["allow-api", "limit-calm-depth2", "auth-default"]
    assert behind["middlewares"]["allow-api"]["ipAllowList"]["ipStrategy"] == {"depth": 2}
    assert behind["middlewares"]["limit-calm-depth2"]["rateLimit"]["sourceCriterion"]["ipStrategy"] == {"depth": 2, "ipv6Subnet": 64}
    by_protocol = http(route, {"proxies_in_front": {**FRONT, "proxy_protocol": True}})
    assert "ipStrategy" not in by_protocol["middlewares"]["allow-api"]["ipAllowList"], "the PROXY protocol already tells the client's address"


def test_the_dashboard_is_found_with_and_without_its_path() -> None:
    found = http({"dashboard": True, "backends": [], "auth": "default", "host": "traefik.example.net"})
    assert found["routers"]["api"]["rule"] == "Host(`traefik.example.net`) && (PathPrefix(`/api`) || PathPrefix(`/dashboard/`))"
    assert found["routers"]["api-home"]["middlewares"] == ["auth-default", "api-home"], "nobody is sent on before he is known"
    assert "services" not in found


def test_behind_a_proxy_that_ends_tls_each_route_redirects_by_itself() -> None:
    """A redirect of the whole entrypoint would never end there: all requests come by http."""
    entrypoints = {"web": {**WEB, "proxies_in_front": {**FRONT, "terminates_tls": True}}, "websecure": SECURE}
    assert "http" not in static(entrypoints=entrypoints)["entryPoints"]["web"]
    found = http(entrypoints=entrypoints)
    assert found["routers"]["api-web"] == {
        "entryPoints": ["web"],
        "rule": "Host(`api.example.net`)",
        "service": "api",
        "middlewares": ["to-https"],
    }
    assert found["middlewares"]["to-https"] == {"redirectScheme": {"scheme": "https", "permanent": True}}


def empties(value: t.Any, path: str = "") -> list[str]:
    """Where a mapping or list is empty."""
    if value in ({}, []):
        return [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in empties(item, f"{path}/{key}")]


def test_no_empty_mapping_where_traefik_takes_it_for_an_error() -> None:
    assert empties(render_dynamic({**INGRESS, "routes": {}, "api": None}, {}, {})) == []
    assert empties(render_dynamic(ingress(), {}, {})) == ["/http/routers/api/tls"], "which means something"
    assert empties(static()) == []


@pytest.mark.parametrize(
    ("route", "users", "message"),
    [
        ({"entrypoint": "nope"}, USERS, "ingress.routes.api.entrypoint: there is no entrypoint 'nope'"),
        ({"rate_limit": "nope"}, USERS, "ingress.routes.api.rate_limit: there is no rate limit 'nope'"),
        ({"backends": []}, USERS, "ingress.routes.api.backends: must not be empty"),
        ({"protocol": "smtp"}, USERS, "ingress.routes.api.protocol: 'smtp' must be one of http, websocket, https, grpc"),
        ({"auth": "default"}, {}, "users: route api needs the list 'default', which is missing or empty: nobody could get in"),
        ({"auth": "default"}, {"default": []}, "which is missing or empty"),
        ({"auth": "default"}, {"default": [{"name": "a:b", "hash": BCRYPT}]}, "list default: 'a:b' must be a name without a colon"),
        ({"auth": "default"}, {"default": [{"name": "", "hash": BCRYPT}]}, "list default: '' must be a name"),
        ({"auth": "default"}, {"default": [{"name": " ops", "hash": BCRYPT}]}, "list default: ' ops' must be a name"),
    ],
)
def test_what_traefik_would_take_without_a_word_is_refused(route: Data, users: t.Any, message: str) -> None:
    with pytest.raises(TraefikError) as refusal:
        render_dynamic(ingress(route), {}, users)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    "hashed",
    [
        BCRYPT,
        "$2a$10$" + "." * 53,
        "$2b$12$" + "/" * 53,
        "$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00",
        "$1$abcdefgh$" + "x" * 22,
        "{SHA}" + "A" * 27 + "=",
    ],
)
def test_hashes_that_traefik_can_check(hashed: str) -> None:
    found = render_dynamic(ingress({"auth": "default"}), {}, {"default": [{"name": "ops", "hash": hashed}]})
    assert found["http"]["middlewares"]["auth-default"]["basicAuth"]["users"] == [f"ops:{hashed}"]


@pytest.mark.parametrize(
    "hashed",
    ["secret", "", "$5$salt$" + "x" * 43, "$6$salt$" + "x" * 86, "$argon2id$v=19$m=1,t=1,p=1$x$y", "{SSHA}" + "A" * 32, BCRYPT + "\n", BCRYPT[:-1]],
)
def test_hashes_that_it_would_refuse_for_ever(hashed: str) -> None:
    with pytest.raises(TraefikError) as refusal:
        render_dynamic(ingress({"auth": "default"}), {}, {"default": [{"name": "ops", "hash": hashed}]})
    assert "the hash of ops is none of Traefik's kinds" in str(refusal.value)
    assert not hashed or hashed.strip() not in str(refusal.value), "a secret is shown"


def test_hashes_are_hidden_where_it_is_shown() -> None:
    dynamic = render_dynamic(ingress({"auth": "default"}), {}, USERS)
    shown = masked(dynamic)
    assert shown["http"]["middlewares"]["auth-default"]["basicAuth"]["users"] == ["ops:(hidden)"]
    assert BCRYPT not in repr(shown)
    assert BCRYPT in repr(dynamic), "hidden in place"
