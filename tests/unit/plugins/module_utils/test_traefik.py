# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the ingress part of a plan to Traefik's configuration. What Traefik makes of it: tests/integration/test_traefik.py."""

from __future__ import annotations

import copy
import pathlib
import typing as t

import pytest

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import CIPHERS, Options, Pair, ProxyError
from ansible_collections.alfred.portmap.plugins.module_utils._traefik import written
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_dynamic import go_duration, masked, render_dynamic, revision
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_static import render_static
from ansible_collections.alfred.portmap.plugins.plugin_utils._plan import make_plan

Data = dict[str, t.Any]

MAP = pathlib.Path(__file__).resolve().parents[3] / "maps/alfred.yml"
BCRYPT = "$2y$05$" + "a" * 53
USERS = {"default": [("ops", BCRYPT)]}
TOKEN = "f" * 64
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
    if route:
        made["routes"]["api"].update(route)
    if entrypoint:
        made["entrypoints"]["websecure"].update(entrypoint)
    return made


def http(route: Data | None = None, entrypoint: Data | None = None, **changes: t.Any) -> Data:
    """The http part of the dynamic configuration."""
    return t.cast(Data, dynamic(ingress(route, entrypoint, **changes))["http"])


def dynamic(made: Data, acme: Data | None = None, **options: t.Any) -> Data:
    """The dynamic configuration; what is always in it (the API's own middlewares) is left out."""
    found = render_dynamic(made, Options(**{"users": USERS, **options}), acme, TOKEN)
    for name in ("portmap.secret", "portmap.revision"):
        found["http"].get("middlewares", {}).pop(name, None)
    if not found.get("http", {}).get("middlewares", True):
        found["http"].pop("middlewares")
    return found


def static(**changes: t.Any) -> Data:
    return render_static(ingress(**changes), "/etc/traefik/conf.d")


# the static part


def test_the_whole_static_part() -> None:
    assert static() == {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "INFO"},
        "providers": {"providersThrottleDuration": "200ms", "file": {"directory": "/etc/traefik/conf.d", "watch": True}},
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
    """It shows everybody's hash, and takes its own password over plain http."""
    with pytest.raises(ProxyError, match=r"ingress\.api\.address: .* must be a loopback address"):
        static(api={"address": address, "port": 8880})


def test_proxies_in_front_are_trusted_by_network() -> None:
    entrypoints = static(entrypoint={"proxies_in_front": FRONT})["entryPoints"]
    assert entrypoints["websecure"] == {"address": ":443", "forwardedHeaders": {"trustedIPs": ["192.0.2.0/28"]}}
    entrypoints = static(entrypoint={"proxies_in_front": {**FRONT, "proxy_protocol": True}})["entryPoints"]
    assert entrypoints["websecure"]["proxyProtocol"] == {"trustedIPs": ["192.0.2.0/28"]}


def test_resolvers_come_as_they_are() -> None:
    found = {"acme": {"acme": {"email": "ops@example.net", "tlsChallenge": {}}}}
    assert render_static(ingress(), "/conf.d", found)["certificatesResolvers"] == found, "an empty mapping in them means something"
    assert "certificatesResolvers" not in render_static(ingress(), "/conf.d", {})


def test_requests_and_words_are_logged_as_asked_for() -> None:
    made = render_static(ingress(), "/conf.d", access_log=True, log_level="DEBUG")
    assert (made["accessLog"], made["log"]) == ({}, {"level": "DEBUG"})


def test_entrypoints_of_all_protocols() -> None:
    plain = {"redirect_to": None, "proxies_in_front": None}
    entrypoints = {
        "websecure": {**SECURE, "protocol": "http", "http3": True},
        "database": {"port": 5432, "protocol": "tcp", "tls": True, **plain},
        "names": {"port": 53, "protocol": "udp", "tls": False, **plain},
        "mail": {"port": 25, "protocol": "tcp", "tls": False, "redirect_to": None, "proxies_in_front": {**FRONT, "proxy_protocol": True}},
    }
    made = static(entrypoints=entrypoints, api=None, metrics=None)["entryPoints"]
    assert made == {
        "websecure": {"address": ":443", "http3": {"advertisedPort": 443}},
        "database": {"address": ":5432"},
        "names": {"address": ":53/udp"},
        "mail": {"address": ":25", "proxyProtocol": {"trustedIPs": FRONT["trusted"]}},
    }


@pytest.mark.parametrize(
    ("entrypoint", "message"),
    [
        ({"protocol": "sctp"}, "ingress.entrypoints.e.protocol: 'sctp' must be one of http, tcp, udp"),
        ({"protocol": "tcp", "http3": True}, "ingress.entrypoints.e.http3: True is for http entrypoints with tls"),
        ({"tls": False, "http3": True}, "ingress.entrypoints.e.http3: True is for http entrypoints with tls"),
        ({"protocol": "tcp", "redirect_to": {"entrypoint": "e", "port": 1}}, "redirect_to: 'e' is for http"),
        ({"protocol": "tcp", "proxies_in_front": FRONT}, "proxies_in_front.proxy_protocol: False must be true"),
        ({"protocol": "udp", "proxies_in_front": {**FRONT, "proxy_protocol": True}}, "proxies_in_front.proxy_protocol: False must be true"),
        ({"redirect_to": {"entrypoint": "nope", "port": 443}}, "redirect_to: 'nope' is no entrypoint; there are e"),
    ],
)
def test_entrypoints_that_can_not_be(entrypoint: Data, message: str) -> None:
    with pytest.raises(ProxyError) as refusal:
        static(entrypoints={"e": {**SECURE, **entrypoint}})
    assert message in str(refusal.value)


def test_a_container_listens_on_all_of_its_own_addresses() -> None:
    """Its loopback is nobody's: what may be reached is said where its ports are published."""
    made = static(container=True)["entryPoints"]
    assert (made["portmap.api"]["address"], made["portmap.metrics"]["address"]) == (":8880", ":8881")


# the dynamic part


def test_the_whole_dynamic_part() -> None:
    certificates = (Pair("/tls/a.pem", "/tls/a.key"), Pair("/tls/b.pem", "/tls/b.key"))
    assert dynamic(ingress(), certificates=certificates) == {
        "http": {
            "routers": {
                "api": {"entryPoints": ["websecure"], "rule": "Host(`api.example.net`)", "service": "api", "tls": {}},
                "portmap.api": {
                    "entryPoints": ["portmap.api"],
                    "rule": "PathPrefix(`/api`)",
                    "service": "api@internal",
                    "middlewares": ["portmap.secret", "portmap.revision"],
                },
            },
            "services": {
                "api": {
                    "loadBalancer": {
                        "servers": [{"url": "http://203.0.113.5:8080"}, {"url": "http://[2001:db8::5]:8080"}],
                        "healthCheck": {"path": "/health", "interval": "10s", "timeout": "5s"},
                    }
                }
            },
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
    found = render_dynamic({**INGRESS, "entrypoints": entrypoints, "routes": routes}, Options(), None, TOKEN)["http"]
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
    found = dynamic(made)["http"]
    lines = []
    for name, router in found["routers"].items():
        balancer = found["services"].get(router["service"], {}).get("loadBalancer", {"servers": [{"url": router["service"]}]})
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
        "portmap.api portmap.api: PathPrefix(`/api`) portmap.secret,portmap.revision api@internal",
    ]
    limits = {name: found["rateLimit"] for name, found in found["middlewares"].items() if "rateLimit" in found}
    assert {name: (limit["average"], limit["burst"]) for name, limit in limits.items()} == {"limit-api": (100, 100), "limit-ui": (50, 50)}
    assert {name: entrypoint["address"] for name, entrypoint in render_static(made, "/conf.d")["entryPoints"].items()} == {
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
    assert empties(render_dynamic({**INGRESS, "routes": {}, "api": None}, Options())) == []
    assert empties(render_dynamic(ingress(), Options(), None, TOKEN)) == ["/http/routers/api/tls"], "which means something"
    assert empties(static()) == []


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ({"entrypoint": "nope"}, "ingress.routes.api.entrypoint: 'nope' is no entrypoint; there are web, websecure"),
        ({"rate_limit": "nope"}, "ingress.routes.api.rate_limit: 'nope' is no rate limit; there are calm, off"),
        ({"backends": []}, "ingress.routes.api.backends: [] must not be empty"),
        ({"protocol": "smtp"}, "ingress.routes.api.protocol: 'smtp' must be one of http, websocket, https, grpc"),
        ({"auth": "nope"}, "ingress.routes.api.auth: 'nope' is the list of users that may use it, and `users` has none on it (lists there: default)"),
        ({"allow": []}, "ingress.routes.api.allow: [] must not be empty"),
        ({"rate_limit": "off"}, "ingress.rate_limits.off.average: 0 must be at least 1"),
        ({"host": "a`) || Host(`b"}, "ingress.routes.api.host: 'a`) || Host(`b' must not have a backtick"),
        ({"path": "/a`b"}, "ingress.routes.api.path: '/a`b' must not have a backtick"),
        ({"path": "/{{ x }}"}, "ingress.routes.api.path: '/{{ x }}' must not have '{{'"),
        ({"host": None}, "ingress.routes.api.host: None must be a text"),
        ({"passthrough": True}, "ingress.routes.api.passthrough: True is for routes of tcp entrypoints"),
        ({"canary": {"weight": 0, "protocol": "http", "backends": API["backends"]}}, "ingress.routes.api.canary.weight: 0 must be a whole number from 1 to 99"),
        ({"canary": {"weight": 10, "protocol": "http", "backends": []}}, "ingress.routes.api.canary.backends: [] must not be empty"),
    ],
)
def test_what_traefik_would_take_without_a_word_is_refused(route: Data, message: str) -> None:
    with pytest.raises(ProxyError) as refusal:
        http(route)
    assert message in str(refusal.value)


def test_hashes_are_hidden_where_it_is_shown() -> None:
    made = render_dynamic(ingress({"auth": "default"}), Options(users=USERS), None, TOKEN)
    shown = masked(made)
    assert shown["http"]["middlewares"]["auth-default"]["basicAuth"]["users"] == ["ops:(hidden)"]
    assert shown["http"]["middlewares"]["portmap.secret"]["basicAuth"]["users"] == ["portmap:(hidden)"]
    assert BCRYPT not in repr(shown) and revision(made) not in repr(shown)
    assert BCRYPT in repr(made), "hidden in place"


def test_the_api_asks_for_a_secret_and_says_what_it_tells_of() -> None:
    one, same, other = (render_dynamic(ingress({"path": path}), Options(), None, TOKEN) for path in ("/", "/", "/v1"))
    assert one["http"]["middlewares"]["portmap.secret"]["basicAuth"]["removeHeader"] is True
    assert TOKEN not in repr(one)
    assert revision(one) == revision(same) != revision(other)
    assert revision(render_dynamic(ingress(), Options(minimum="1.3"), None, TOKEN)) != revision(one), "also of what the API does not tell"


# further options


def test_what_is_said_on_every_answer_stands_before_what_refuses() -> None:
    made = dynamic(ingress({"auth": "default", "allow": ["192.0.2.0/28"]}), headers={"X-Frame-Options": "DENY"}, compression=True)["http"]
    assert made["routers"]["api"]["middlewares"] == ["portmap.headers", "portmap.compress", "allow-api", "auth-default"]
    assert made["middlewares"]["portmap.headers"] == {"headers": {"customResponseHeaders": {"X-Frame-Options": "DENY"}}}
    types = made["middlewares"]["portmap.compress"]["compress"]["includedContentTypes"]
    assert "text/html" in types and not {"text/event-stream", "image/png"} & set(types)


def test_tls_versions_and_ciphers() -> None:
    names = list(CIPHERS)[:2]
    assert dynamic(ingress(), ciphers=tuple(names))["tls"]["options"]["default"] == {"minVersion": "VersionTLS12", "cipherSuites": names}
    assert dynamic(ingress(), minimum="1.3")["tls"]["options"]["default"] == {"minVersion": "VersionTLS13"}


def test_health_is_asked_where_there_is_another_backend_to_go_to() -> None:
    made = dynamic(ingress(), health_interval=90, health_timeout=7)["http"]["services"]["api"]["loadBalancer"]
    assert made["healthCheck"] == {"path": "/health", "interval": "1m30s", "timeout": "7s"}
    assert "healthCheck" not in http({"backends": API["backends"][:1]})["services"]["api"]["loadBalancer"]
    assert "healthCheck" not in http({"health": None})["services"]["api"]["loadBalancer"]
    assert http({"protocol": "grpc"})["services"]["api"]["loadBalancer"]["healthCheck"]["mode"] == "grpc"


@pytest.mark.parametrize(("seconds", "text"), [(1, "1s"), (59, "59s"), (60, "1m0s"), (90, "1m30s"), (3600, "1h0m0s"), (3661, "1h1m1s")])
def test_durations_as_go_writes_them(seconds: int, text: str) -> None:
    assert go_duration(seconds) == text


def test_a_browser_stays_where_it_is() -> None:
    cookie = http({"sticky": True})["services"]["api"]["loadBalancer"]["sticky"]["cookie"]
    assert cookie == {"name": "portmap-api", "httpOnly": True, "sameSite": "lax", "secure": True}
    assert "secure" not in http({"sticky": True, "tls": False})["services"]["api"]["loadBalancer"]["sticky"]["cookie"], "no browser would send it"
    assert "sticky" not in http({"sticky": True, "backends": API["backends"][:1]})["services"]["api"]["loadBalancer"]


def test_a_canary_gets_its_share_and_keeps_its_browsers() -> None:
    canary = {"weight": 10, "protocol": "https", "backends": [{"address": "203.0.113.9", "port": 8443}]}
    made = http({"canary": canary, "sticky": True})
    assert made["routers"]["api"]["service"] == "api"
    assert made["services"]["api"]["weighted"]["services"] == [{"name": "api.main", "weight": 90}, {"name": "api.canary", "weight": 10}]
    assert made["services"]["api"]["weighted"]["sticky"]["cookie"]["name"] == "portmap-api"
    assert made["services"]["api.canary"]["loadBalancer"]["servers"] == [{"url": "https://203.0.113.9:8443"}]
    assert "sticky" not in http({"canary": canary})["services"]["api"]["weighted"]


@pytest.mark.parametrize(
    ("options", "transport"),
    [
        ({}, None),
        ({"verify_backends": False}, {"insecureSkipVerify": True}),
        ({"backend_ca": "/ca.pem", "backend_name": "inner"}, {"rootCAs": ["/ca.pem"], "serverName": "inner"}),
    ],
)
def test_how_tls_of_backends_is_checked(options: Data, transport: Data | None) -> None:
    made = dynamic(ingress({"protocol": "https"}), **options)["http"]
    assert made.get("serversTransports", {}).get("portmap.backends") == transport
    assert made["services"]["api"]["loadBalancer"].get("serversTransport") == ("portmap.backends" if transport else None)
    assert "serversTransports" not in dynamic(ingress(), **options)["http"], "no backend speaks https"


def test_a_route_in_maintenance_keeps_its_guards() -> None:
    made = ingress({"auth": "default"}, maintenance={"address": "127.0.0.1", "port": 8882})
    found = dynamic(made, maintenance=("api",))["http"]
    assert found["routers"]["api"]["service"] == "portmap.maintenance" and found["routers"]["api"]["middlewares"] == ["auth-default"]
    assert found["services"] == {"portmap.maintenance": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:8882"}]}}}


def test_maintenance_without_a_port_says_what_to_write() -> None:
    with pytest.raises(ProxyError, match=r"maintenance: 'api' can't be shown a page: .*`ports: \{maintenance: \{port: 8882"):
        dynamic(ingress(), maintenance=("api",))


def test_acme_is_asked_for_what_traefik_itself_ends() -> None:
    acme = {"email": "ops@example.net", "challenge": "tls"}
    made = ingress()
    made["entrypoints"]["database"] = {"port": 5432, "protocol": "tcp", "tls": True, "redirect_to": None, "proxies_in_front": None}
    made["routes"] |= {
        "db": {**API, "host": "db.example.net", "entrypoint": "database"},
        "through": {**API, "host": "through.example.net", "entrypoint": "database", "passthrough": True},
    }
    found = dynamic(made, acme)
    assert found["http"]["routers"]["api"]["tls"] == found["tcp"]["routers"]["db"]["tls"] == {"certResolver": "acme"}
    assert found["tcp"]["routers"]["through"]["tls"] == {"passthrough": True}


# tcp and udp

PLAIN = {"tls": False, "redirect_to": None, "proxies_in_front": None}
STREAMS: Data = {
    "sni": {**SECURE, "port": 5432, "protocol": "tcp"},
    "raw": {**PLAIN, "port": 25, "protocol": "tcp"},
    "dns": {**PLAIN, "port": 53, "protocol": "udp"},
}


def stream(**route: t.Any) -> Data:
    """The dynamic configuration of one route that is not http."""
    return dynamic(ingress(entrypoints=STREAMS, routes={"r": {**API, "health": None, **route}}))


def test_tcp_routes_by_name_and_without() -> None:
    servers = [{"address": "203.0.113.5:8080"}, {"address": "[2001:db8::5]:8080"}]
    ended = stream(entrypoint="sni", allow=["192.0.2.0/28"])["tcp"]
    assert ended == {
        "routers": {"r": {"entryPoints": ["sni"], "rule": "HostSNI(`api.example.net`)", "service": "r", "middlewares": ["allow-r"], "tls": {}}},
        "services": {"r": {"loadBalancer": {"servers": servers}}},
        "middlewares": {"allow-r": {"ipAllowList": {"sourceRange": ["192.0.2.0/28"]}}},
    }
    assert stream(entrypoint="sni", passthrough=True)["tcp"]["routers"]["r"]["tls"] == {"passthrough": True}
    assert stream(entrypoint="raw", host=None, tls=False)["tcp"]["routers"]["r"] == {"entryPoints": ["raw"], "rule": "HostSNI(`*`)", "service": "r"}


def test_udp_routes_have_an_entrypoint_and_backends() -> None:
    made = stream(entrypoint="dns", host=None, tls=False)["udp"]
    assert made["routers"] == {"r": {"entryPoints": ["dns"], "service": "r"}}
    canary = {"weight": 1, "protocol": "udp", "backends": API["backends"]}
    made = stream(entrypoint="dns", host=None, tls=False, canary=canary)["udp"]["services"]
    assert made["r"] == {"weighted": {"services": [{"name": "r.main", "weight": 99}, {"name": "r.canary", "weight": 1}]}}


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ({"entrypoint": "sni", "rate_limit": "calm"}, "ingress.routes.r.rate_limit: 'calm' is not for tcp"),
        ({"entrypoint": "sni", "auth": "default"}, "ingress.routes.r.auth: 'default' is not for tcp"),
        ({"entrypoint": "sni", "sticky": True}, "ingress.routes.r.sticky: True is not for tcp"),
        ({"entrypoint": "raw", "tls": False}, "ingress.routes.r.host: 'api.example.net' needs tls"),
        ({"entrypoint": "raw", "tls": False, "host": None, "passthrough": True}, "ingress.routes.r.passthrough: True needs tls"),
        ({"entrypoint": "sni", "backends": []}, "ingress.routes.r.backends: [] must not be empty"),
        ({"entrypoint": "sni", "allow": []}, "ingress.routes.r.allow: [] must not be empty"),
        ({"entrypoint": "dns"}, "ingress.routes.r.host: 'api.example.net' is not for udp"),
        ({"entrypoint": "dns", "host": None, "tls": False, "allow": ["192.0.2.0/28"]}, "ingress.routes.r.allow: ['192.0.2.0/28'] is not for udp"),
    ],
)
def test_what_tcp_and_udp_have_not(route: Data, message: str) -> None:
    with pytest.raises(ProxyError) as refusal:
        stream(**route)
    assert message in str(refusal.value)


def test_no_template_is_ever_written() -> None:
    """Whatever way it came: a key of a header, say."""
    with pytest.raises(ProxyError, match="Traefik would run it as a template"):
        written({"a": {"b{{": ["x"]}})
    with pytest.raises(ProxyError, match=r"what is rendered at a\.b\.0"):
        written({"a": {"b": ["{{ x"]}})
