# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the ingress part of a plan to Traefik's configuration. What Traefik makes of it: tests/integration/test_traefik.py."""

from __future__ import annotations

import copy
import pathlib
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._traefik import TraefikError, masked, render_dynamic, render_static
from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import make_plan

Data = dict[str, t.Any]

MAP = pathlib.Path(__file__).resolve().parents[3] / "maps/alfred.yml"
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
    "rate_limits": {"calm": {"average": 50, "burst": 75}, "off": {"average": 0, "burst": 1}},
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


@pytest.mark.parametrize(("address", "rendered"), [("127.0.0.1", "127.0.0.1:8880"), ("127.0.0.2", "127.0.0.2:8880"), ("::1", "[::1]:8880")])
def test_the_api_is_on_loopback(address: str, rendered: str) -> None:
    assert static(api={"address": address, "port": 8880})["entryPoints"]["portmap.api"] == {"address": rendered}


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "203.0.113.5", "localhost"])
def test_the_api_is_nowhere_else(address: str) -> None:
    """It asks for no password, and shows everybody's hash."""
    with pytest.raises(TraefikError, match=r"ingress\.api\.address: .* must be a loopback address"):
        static(api={"address": address, "port": 8880})


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


@pytest.mark.parametrize(("protocol", "scheme"), [("http", "http"), ("websocket", "http"), ("https", "https"), ("grpc", "h2c")])
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
    assert behind["routers"]["api"]["middlewares"] == ["allow-api.depth2", "limit-calm.depth2", "auth-default"]
    assert behind["middlewares"]["allow-api.depth2"]["ipAllowList"]["ipStrategy"] == {"depth": 2}
    assert behind["middlewares"]["limit-calm.depth2"]["rateLimit"]["sourceCriterion"]["ipStrategy"] == {"depth": 2, "ipv6Subnet": 64}
    by_protocol = http(route, {"proxies_in_front": {**FRONT, "proxy_protocol": True}})
    assert "ipStrategy" not in by_protocol["middlewares"]["allow-api"]["ipAllowList"], "the PROXY protocol already tells the client's address"


def test_the_dashboard_is_found_with_and_without_its_path() -> None:
    found = http({"dashboard": True, "backends": [], "auth": "default", "host": "traefik.example.net"})
    assert found["routers"]["api"]["rule"] == "Host(`traefik.example.net`) && (PathPrefix(`/api`) || PathPrefix(`/dashboard/`))"
    assert found["routers"]["api.home"]["middlewares"] == ["auth-default", "home-api"], "nobody is sent on before he is known"
    assert "services" not in found


def test_behind_a_proxy_that_ends_tls_each_route_redirects_by_itself() -> None:
    """A redirect of the whole entrypoint would never end there: all requests come by http."""
    entrypoints = {"web": {**WEB, "proxies_in_front": {**FRONT, "terminates_tls": True}}, "websecure": SECURE}
    assert "http" not in static(entrypoints=entrypoints)["entryPoints"]["web"]
    found = http(entrypoints=entrypoints)
    assert found["routers"]["api.at-web"] == {
        "entryPoints": ["web"],
        "rule": "Host(`api.example.net`)",
        "service": "api",
        "middlewares": ["to-https"],
    }
    assert found["middlewares"]["to-https"] == {"redirectScheme": {"scheme": "https", "permanent": True}}


def test_each_entrypoint_looks_for_the_client_where_its_own_proxies_put_it() -> None:
    """Past the proxy that ends TLS requests are served by http: without its depth, the proxy itself would pass for every client."""
    entrypoints = {"web": {**WEB, "proxies_in_front": {**FRONT, "terminates_tls": True}}, "websecure": SECURE}
    found = http({"rate_limit": "calm", "allow": ["192.0.2.0/28"]}, entrypoints=entrypoints)
    assert found["routers"]["api"]["middlewares"] == ["allow-api", "limit-calm"]
    assert found["routers"]["api.at-web"]["middlewares"] == ["to-https", "allow-api.depth2", "limit-calm.depth2"]
    assert found["middlewares"]["allow-api.depth2"]["ipAllowList"]["ipStrategy"] == {"depth": 2}


def test_names_that_we_make_never_take_the_place_of_a_route() -> None:
    """A route that another one's helper overwrites is gone without a word, and its guards with it."""
    dashboard = {**API, "host": "traefik.example.net", "dashboard": True, "backends": [], "allow": ["192.0.2.0/28"]}
    entrypoints = {"web": {**WEB, "proxies_in_front": {**FRONT, "terminates_tls": True}}, "home": SECURE}
    entrypoints["web"]["redirect_to"] = {"entrypoint": "home", "port": 443}
    names = ["allow", "home", "web", "allow-home", "allow-web", "home-web", "allow-home-web"]
    routes = {name: {**dashboard, "entrypoint": "home", "host": f"{name}.example.net"} for name in names}
    found = render_dynamic({**INGRESS, "entrypoints": entrypoints, "routes": routes}, {}, {})["http"]
    assert len(found["routers"]) == len(names) * 4 + 1, "each route and its home, by both entrypoints; the API"
    for name, router in found["routers"].items():
        for used in router.get("middlewares", []):
            assert used in found["middlewares"], (name, used)
            assert ("ipAllowList" in found["middlewares"][used]) is used.startswith("allow-"), (name, used)


def test_the_map_of_the_platform_router_by_router() -> None:
    """From the map through the plan; the lines were written by hand, from the map's own text."""
    groups = {name: [f"{name}1"] for name in ("bastion", "core", "data", "edge", "monitor", "ui")}
    hosts = {f"{name}1": {"addresses": [f"203.0.113.{number}"], "managed": True, "users": ["default"]} for number, name in enumerate(groups, 10)}
    document = {"path": "port_map.yml", "text": MAP.read_text(encoding="utf-8")}
    made = make_plan([document], "production", {"hosts": hosts, "groups": {**groups, "all": list(hosts)}})["hosts"]["edge1"]["ingress"]
    dynamic = render_dynamic(made, {}, USERS)["http"]
    lines = []
    for name, router in dynamic["routers"].items():
        balancer = dynamic["services"].get(router["service"], {}).get("loadBalancer", {"servers": [{"url": router["service"]}]})
        guards = ",".join(router.get("middlewares", ["-"]))
        lines.append(f"{','.join(router['entryPoints'])} {name}: {router['rule']} {guards} {','.join(server['url'] for server in balancer['servers'])}")
        assert ("tls" in router) is (router["entryPoints"] == ["websecure"])
    assert lines == [
        "websecure api: Host(`api.alfred.example.com`) limit-api http://203.0.113.11:8080",
        "websecure chat: Host(`chat.alfred.example.com`) limit-ui http://203.0.113.15:8501",
        "websecure mission: Host(`mission.alfred.example.com`) limit-ui http://203.0.113.15:3000",
        "websecure grafana: Host(`grafana.alfred.example.com`) limit-ui http://203.0.113.14:3000",
        "websecure prometheus: Host(`prometheus.alfred.example.com`) auth-default http://203.0.113.14:9090",
        "websecure traefik: Host(`traefik.alfred.example.com`) && (PathPrefix(`/api`) || PathPrefix(`/dashboard/`)) auth-default api@internal",
        "websecure traefik.home: Host(`traefik.alfred.example.com`) auth-default,home-traefik api@internal",
        "portmap.api portmap.api: PathPrefix(`/api`) - api@internal",
    ]
    limits = {name: found["rateLimit"] for name, found in dynamic["middlewares"].items() if "rateLimit" in found}
    assert {name: (limit["average"], limit["burst"]) for name, limit in limits.items()} == {"limit-api": (100, 100), "limit-ui": (50, 50)}
    assert {name: entrypoint["address"] for name, entrypoint in render_static(made, {}, "/conf.d")["entryPoints"].items()} == {
        "web": ":80",
        "websecure": ":443",
        "portmap.api": "127.0.0.1:8880",
        "portmap.metrics": ":8881",
    }


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
        ({"auth": "default"}, {"default": [{"name": "ops", "hash": BCRYPT}] * 2}, "list default: ops is on it twice"),
        ({"allow": []}, USERS, "ingress.routes.api.allow: must not be empty"),
        ({"rate_limit": "off"}, USERS, "ingress.rate_limits.off: average and burst must be at least 1"),
        ({"host": "a`) || Host(`b"}, USERS, "ingress.routes.api.host: 'a`) || Host(`b' has a backtick"),
        ({"path": "/a`b"}, USERS, "ingress.routes.api.path: '/a`b' has a backtick"),
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
    [
        "secret",
        "",
        "$5$salt$" + "x" * 43,
        "$6$salt$" + "x" * 86,
        "$argon2id$v=19$m=1,t=1,p=1$x$y",
        "{SSHA}" + "A" * 32,
        BCRYPT + "\n",
        BCRYPT[:-1],
        "$2y$03$" + "a" * 53,  # a cost that bcrypt does not have
        "$2y$32$" + "a" * 53,
    ],
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
