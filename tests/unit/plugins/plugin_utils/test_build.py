# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed map: references, defaults that depend on other values, and what falls away with what is not enabled."""

from __future__ import annotations

import textwrap

import pytest

from ansible_collections.alfred.portmap.plugins.plugin_utils._build import compile_map
from ansible_collections.alfred.portmap.plugins.plugin_utils._model import Port, PortMap
from ansible_collections.alfred.portmap.plugins.plugin_utils._problems import Problems


def compiled(text: str, environment: str | None = None) -> tuple[PortMap, Problems]:
    document = {"path": "m.yml", "text": "port_map:\n  version: 1\n" + textwrap.indent(textwrap.dedent(text).strip("\n"), "  ") + "\n"}
    port_map, problems = compile_map([document], environment)
    assert port_map is not None
    return port_map, problems


def good(text: str) -> PortMap:
    port_map, problems = compiled(text)
    assert [str(problem) for problem in problems.errors] == []
    return port_map


def errors(text: str) -> list[str]:
    """path: rule of every error."""
    return [f"{problem.origin.path}: {problem.rule}" for problem in compiled(text)[1].errors]


def notices(text: str) -> list[str]:
    _port_map, problems = compiled(text)
    assert problems.errors == []
    return [f"{problem.origin.path}: {problem.rule}" for problem in problems.notices]


def port(keys: str, more: str = "") -> Port:
    return good(f"hosts: h\nnamespace: n\n{more}\nservices: {{s: {{{keys}}}}}").services["s"].ports[""]


# protocols


@pytest.mark.parametrize(
    ("keys", "protocol", "transports"),
    [
        ("port: 1", "tcp", ("tcp",)),
        ("port: 1, transport: udp", "udp", ("udp",)),
        ("port: 1, transport: [udp, tcp]", "tcp", ("tcp", "udp")),
        ("port: 1, metrics: true", "http", ("tcp",)),
        ("port: 1, transport: udp, protocol: ntp", "ntp", ("udp",)),
        ("port: 1, transport: [tcp, udp], protocol: dns", "dns", ("tcp", "udp")),
        ("port: 1, protocol: mysql", "mysql", ("tcp",)),
    ],
)
def test_protocol_and_transport_have_their_defaults(keys: str, protocol: str, transports: tuple[str, ...]) -> None:
    found = port(keys)
    assert (found.protocol, found.transports) == (protocol, transports)


def test_a_port_called_metrics_is_scraped_over_http() -> None:
    found = good("services: {s: {port: 1, hosts: h, ports: {metrics: 2, other: {port: 3, metrics: true}, not: {port: 4, metrics: false}}}}").services["s"]
    assert {name: (one.metrics, one.protocol) for name, one in found.ports.items()} == {
        "": (False, "tcp"),
        "metrics": (True, "http"),
        "other": (True, "http"),
        "not": (False, "tcp"),
    }


@pytest.mark.parametrize("protocol", ["http", "https", "grpc", "websocket", "postgresql", "redis", "ssh", "tls", "tcp"])
def test_protocols_over_tcp(protocol: str) -> None:
    (found,) = errors(f"services: {{s: {{port: 1, hosts: h, transport: udp, protocol: {protocol}}}}}")
    assert found == "services.s.protocol: runs over tcp, and the port's transport is udp"


@pytest.mark.parametrize("protocol", ["ntp", "udp"])
def test_protocols_over_udp(protocol: str) -> None:
    (found,) = errors(f"services: {{s: {{port: 1, hosts: h, protocol: {protocol}}}}}")
    assert found == "services.s.protocol: runs over udp, and the port's transport is tcp"


@pytest.mark.parametrize("protocol", ["htttp", "postgres", "websockets", "htpp", "hhtp", "htp"])
def test_a_misspelt_protocol_is_a_notice(protocol: str) -> None:
    (found,) = notices(f"services: {{s: {{port: 1, hosts: h, protocol: {protocol}}}}}")
    assert "is probed as plain tcp, did you mean" in found


@pytest.mark.parametrize("protocol", ["mysql", "amqp", "turn", "ftp", "smtp", "mqtt", "ldap", "kafka", "sip", "snmp", "rtp", "sctp", "dhcp", "xmpp"])
def test_another_protocol_is_none(protocol: str) -> None:
    assert notices(f"services: {{s: {{port: 1, hosts: h, protocol: {protocol}}}}}") == []


# callers


@pytest.mark.parametrize(
    ("firewall", "callers", "expected", "stated"),
    [
        ("allow", "", ("namespace",), False),
        ("deny", "", (), False),
        ("allow", "from: none", (), True),
        ("deny", "from: namespace", ("namespace",), True),
        ("allow", "from: [self, s, self]", ("self", "s"), True),
    ],
)
def test_who_calls(firewall: str, callers: str, expected: tuple[str, ...], stated: bool) -> None:
    found = port(f"port: 1, {callers}", f"firewall: {{ingress: [], egress: [], internal: {{same_namespace: {firewall}}}}}")
    assert (found.callers, found.callers_stated) == (expected, stated)


def test_without_a_namespace_nobody_calls_by_default() -> None:
    text = "firewall: {ingress: [], egress: [], internal: {same_namespace: allow}}\nservices: {s: {port: 1, hosts: h}}"
    assert good(text).services["s"].ports[""].callers == ()
    assert errors(text.replace("hosts: h", "hosts: h, from: namespace")) == ["services.s.from: the service has no namespace"]


@pytest.mark.parametrize("caller", ["anywhere", "dns_servers", "office"])
def test_networks_do_not_call_services_by_from(caller: str) -> None:
    (found,) = errors(f"networks: {{dns_servers: 192.0.2.53, office: 192.0.2.0/28}}\nservices: {{s: {{port: 1, hosts: h, from: [{caller}]}}}}")
    assert found.startswith("services.s.from[0]: ") and "use firewall.ingress with `service`" in found


def test_further_ports_inherit_bind_and_callers() -> None:
    found = good("services: {s: {port: 1, hosts: h, bind: loopback, from: self, ports: {a: 2, b: {port: 3, bind: any, from: none}}}}").services["s"].ports
    assert {name: (one.bind, one.callers) for name, one in found.items()} == {"": ("loopback", ("self",)), "a": ("loopback", ("self",)), "b": ("any", ())}


def test_one_wrong_default_is_told_once() -> None:
    assert errors("hosts: h\nbind: vlan\nservices: {a: {port: 1}, b: {port: 2, ports: {x: 3}}, c: {port: 4, bind: any}}") == [
        "bind: must be any, loopback or a network"
    ]


def test_a_default_of_the_wrong_shape_leaves_out_who_needs_it() -> None:
    port_map, problems = compiled("hosts: 5\nservices: {a: {port: 1}, b: {port: 2, hosts: h}}")
    assert [problem.origin.path for problem in problems.errors] == ["hosts"]
    assert list(port_map.services) == ["b"]


# networks


def test_network_members() -> None:
    found = good("networks: {a: [10.0.0.0/8, 192.0.2.1/32, '2001:DB8::0001', b, {hosts: [x, y]}], b: anywhere, c: {hosts: all}}").networks
    assert [(one.cidr, one.network, one.hosts) for one in found["a"].members] == [
        ("10.0.0.0/8", None, ()),
        ("192.0.2.1", None, ()),
        ("2001:db8::1", None, ()),
        (None, "b", ()),
        (None, None, ("x", "y")),
    ]
    assert found["b"].members[0].network == "anywhere" and "anywhere" in found
    assert str(found["a"].members[4].origin) == "m.yml:3 networks.a[4]"


def test_anywhere_may_be_restated_as_it_is() -> None:
    assert good("networks: {anywhere: ['::/0', 0.0.0.0/0]}").networks["anywhere"].members == ()
    assert len(errors("networks: {anywhere: [0.0.0.0/0]}")) == 1


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ("{a: a}", ["networks.a: is part of itself: a > a"]),
        ("{a: b, b: [c, 10.0.0.1], c: a, d: a}", ["networks.a: is part of itself: a > b > c > a"]),
        ("{a: b, b: a, c: d, d: c}", ["networks.a: is part of itself: a > b > a", "networks.c: is part of itself: c > d > c"]),
        ("{a: [b, b], b: 10.0.0.1}", []),
        ("{a: b}", ["networks.a: there is no network of that name (inventory hosts become one by {hosts: …} under networks)"]),
    ],
)
def test_loops_of_networks(networks: str, expected: list[str]) -> None:
    assert errors(f"networks: {networks}") == expected


def test_a_network_may_be_called_like_a_service() -> None:
    text = "networks: {db: 10.0.0.1}\nservices: {db: {port: 1, hosts: h, from: db}}\nfirewall: {ingress: [{name: a, service: db, from: db}], egress: []}"
    found = good(text)
    assert found.services["db"].ports[""].callers == ("db",)
    assert found.firewall is not None and found.firewall.ingress[0].networks == ("db",)


# ingress

PROXIED = """
ingress: traefik
domain: example.net
networks: {n: 10.0.0.0/8}
services:
  proxy: {port: 8880, bind: loopback, hosts: edge}
  api: {port: 80, protocol: http, hosts: app, ports: {admin: {port: 81, protocol: http}}}
entrypoints: {web: {port: 80, redirect_to: websecure}, websecure: {port: 443, tls: true}, other: {port: 8443, tls: true}}
rate_limits: {calm: {average: 5}}
routes:
  api: {host: api, service: api}
"""


def test_a_routes_defaults() -> None:
    route = good(PROXIED).routes["api"]
    assert (route.host, route.path, route.entrypoint, route.auth, route.networks, route.rate_limit) == ("api.example.net", "/", "websecure", None, (), None)
    assert route.origin.path == "routes.api.service"
    assert good(PROXIED).rate_limits["calm"].burst == 5


def test_a_route_to_everything_that_it_can_name() -> None:
    text = PROXIED.replace("service: api}", "service: api.admin, entrypoint: other, path: /x, auth: true, from: n, rate_limit: calm}")
    route = good(text).routes["api"]
    assert (route.port, route.entrypoint, route.path, route.auth, route.networks, route.rate_limit) == ("admin", "other", "/x", "default", ("n",), "calm")
    assert good(PROXIED.replace("service: api}", "service: api, auth: team}")).routes["api"].auth == "team"
    assert good(PROXIED.replace("service: api}", "service: proxy, auth: true}")).routes["api"].dashboard


@pytest.mark.parametrize("networks", ["anywhere", "[n, half, other]"])
def test_the_dashboard_is_not_for_everybody_by_name_either(networks: str) -> None:
    text = PROXIED.replace("networks: {n:", "networks: {half: 0.0.0.0/1, other: [128.0.0.0/1], n:")
    (found,) = errors(text.replace("service: api}", f"service: proxy, from: {networks}}}"))
    assert found.startswith("routes.api.service: is the dashboard")
    assert errors(text.replace("service: api}", "service: proxy, from: half}")) == []
    assert errors(text.replace("service: api}", f"service: proxy, from: {networks}, auth: true}}")) == []


def test_several_hosts_are_several_routes() -> None:
    routes = good(PROXIED.replace("host: api", "host: [api, www.example.org, api]")).routes
    assert {name: route.host for name, route in routes.items()} == {"api": "api.example.net", "api-2": "www.example.org"}
    text = PROXIED.replace("host: api", "host: [api, b]") + "  api-2: {host: c, service: api}\n"
    assert errors(text) == ["routes.api.host: its further hosts become route api-2, and there is one of that name: rename one"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (", redirect_to: websecure", "", ["routes.api: say which `entrypoint`: web, websecure, other"]),
        (
            "other: {port: 8443, tls: true}",
            "other: {port: 8443, redirect_to: other2}, other2: {port: 1, tls: true}",
            ["routes.api: say which `entrypoint`: websecure, other2"],
        ),
        (
            "entrypoints: {web: {port: 80, redirect_to: websecure}, websecure: {port: 443, tls: true}, other: {port: 8443, tls: true}}",
            "",
            ["routes.api: needs an entrypoint, and there is none"],
        ),
        (
            "entrypoints: {web: {port: 80, redirect_to: websecure}",
            "entrypoints: {web: {port: 0, redirect_to: websecure}",
            ["entrypoints.web.port: must be a whole number from 1 to 65535"],
        ),
        (
            "websecure: {port: 443, tls: true}",
            "websecure: {port: 443, tls: true, redirect_to: other}",
            ["routes.api: say which `entrypoint`: websecure, other"],
        ),
        (
            "tls: true}, other: {port: 8443, tls: true}",
            "tls: true, redirect_to: other}, other: {port: 8443, tls: true, redirect_to: websecure}",
            ["entrypoints.other.redirect_to: redirects in a circle: other > websecure > other", "routes.api: say which `entrypoint`: websecure, other"],
        ),
        (
            "service: api}",
            "service: api, from: none-such}",
            ["routes.api.from: there is no network of that name (inventory hosts become one by {hosts: …} under networks)"],
        ),
        ("service: api}", "service: api.admim}", ["routes.api.service: service api has no port admim, did you mean 'admin'?"]),
        ("service: api}", "service: api.x}", ["routes.api.service: service api has no port x (there: admin)"]),
        ("service: api}", "service: proxy.x}", ["routes.api.service: service proxy has no port x"]),
        ("host: api", "host: " + "a" * 63, []),
        ("domain: example.net", "domain: " + ".".join(["a" * 49] * 5), []),
        (
            "domain: example.net",
            "domain: " + ".".join(["a" * 49] * 5) + ".ab",
            ["routes.api.host: is too long a name with domain " + ".".join(["a" * 49] * 5) + ".ab"],
        ),
        ("domain: example.net", "domain: Example.net", ["domain: must be a DNS name in lower case"]),
    ],
)
def test_routes_and_entrypoints(old: str, new: str, expected: list[str]) -> None:
    assert PROXIED.count(old) == 1
    assert errors(PROXIED.replace(old, new)) == expected


def test_the_same_host_and_path_on_two_entrypoints_are_two_routes() -> None:
    assert len(good(PROXIED + "  again: {host: api, service: api, entrypoint: other}\n").routes) == 2
    assert len(good(PROXIED + "  again: {host: api, service: api, path: /x}\n").routes) == 2
    (found,) = errors(PROXIED + "  again: {host: api, service: api, path: /x}\n  third: {host: api, service: api, path: /x/}\n")
    assert found == "routes.third: route again (m.yml:13) has the same entrypoint, host and path"


@pytest.mark.parametrize("members", ["anywhere", "0.0.0.0/0", "[10.0.0.1, '::/0']", "inner", "[0.0.0.0/1, half]"])
def test_everybody_is_no_proxy_in_front(members: str) -> None:
    text = PROXIED.replace("networks: {n: 10.0.0.0/8}", f"networks: {{n: {members}, inner: anywhere, half: 128.0.0.0/1}}").replace(
        " 443, tls: true", " 443, tls: true, proxies_in_front: n"
    )
    (found,) = errors(text)
    assert found.startswith("entrypoints.websecure.proxies_in_front") and "is everybody" in found


def test_without_a_proxy_its_parts_are_not_planned() -> None:
    text = PROXIED.replace("ingress: traefik", "ingress: none").replace("service: api}", "service: api, entrypoint: no-such}")
    found = good(text)
    assert "proxy" not in found.services and found.entrypoints == {} and found.routes == {} and found.ingress == "none"


# firewall

RULED = """
networks: {n: 10.0.0.0/8, world: [10.0.0.0/8, anywhere], wide: '::/0', low: 0.0.0.0/1, high: 128.0.0.0/1}
services:
  api: {port: 80, protocol: http, hosts: app, ports: {admin: 81}}
  worker: {port: none, hosts: app}
firewall:
  ingress:
    - {name: one, port: [80, 8000-8010], transport: [udp, tcp], from: n}
    - {name: two, service: [api, api.admin, api], from: [n, n], hosts: app}
  egress: []
"""


def test_rules() -> None:
    firewall = good(RULED).firewall
    assert firewall is not None
    one, two = firewall.ingress
    assert ([str(span) for span in one.ports], one.transports, one.hosts, one.targets) == (["80", "8000-8010"], ("tcp", "udp"), None, ())
    assert (two.targets, two.networks, two.hosts, two.ports, two.transports) == ((("api", ""), ("api", "admin")), ("n",), ("app",), (), ())
    assert firewall.ping == ("anywhere",) and firewall.egress == () and not firewall.same_namespace


@pytest.mark.parametrize("network", ["anywhere", "world", "wide", "[low, high]"])
def test_a_port_of_every_host_is_not_opened_to_everybody(network: str) -> None:
    assert errors(RULED.replace("from: n}", f"from: {network}}}")) == [
        "firewall.ingress[0].from: opens ports of every host to everybody: name its `hosts`, or a `service`"
    ]
    assert errors(RULED.replace("from: n}", f"from: {network}, hosts: all}}")) == []
    assert errors(RULED.replace("from: [n, n], hosts: app", f"from: {network}")) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "service: [api, api.admin, api]",
            "service: worker",
            ["firewall.ingress[1].service: has no port on its host (`port: none`), so there is nothing to open"],
        ),
        ("service: [api, api.admin, api]", "service: [api, apo]", ["firewall.ingress[1].service[1]: there is no service of that name, did you mean 'api'?"]),
        (
            "from: [n, n]",
            "from: [n, api]",
            ["firewall.ingress[1].from[1]: is a service, and this names networks: which service may call another is said by the other's own `from`"],
        ),
        ("egress: []", "egress: []\n  ping: m", ["firewall.ping: there is no network of that name (inventory hosts become one by {hosts: …} under networks)"]),
        (
            "egress: []",
            "egress: []\n  internal: {scrape: {from: apy}}",
            ["firewall.internal.scrape.from: there is no service of that name, did you mean 'api'?"],
        ),
        (
            "egress: []",
            "egress: [{name: a, port: 1, to: n}, {name: a, port: 2, to: n}]",
            ["firewall.egress[1].name: a rule of that name is there already: m.yml:11 firewall.egress[0]"],
        ),
        ("egress: []", "egress: [{name: one, port: 1, to: n}]", []),
        ("egress: []", "egress: [{name: a, port: 1, to: anywhere}]", []),
    ],
)
def test_what_rules_refer_to(old: str, new: str, expected: list[str]) -> None:
    assert RULED.count(old) == 1
    assert errors(RULED.replace(old, new)) == expected


def test_ping_may_be_nobodys() -> None:
    firewall = good(RULED.replace("egress: []", "egress: []\n  ping: none")).firewall
    assert firewall is not None and firewall.ping == ()


# what is not enabled

OFF = (
    PROXIED
    + """
firewall:
  ingress: [{name: a, service: [api, api.admin], from: n}, {name: b, port: 1, from: n, enabled: false}]
  egress: [{name: c, port: 1, to: n, enabled: false}]
  internal: {scrape: {from: api}}
"""
)


def test_what_refers_to_a_service_that_is_off_falls_away_with_a_notice() -> None:
    text = OFF.replace("hosts: app,", "hosts: app, enabled: false,").replace("hosts: edge}", "hosts: edge, from: api}")
    port_map, problems = compiled(text)
    assert problems.errors == []
    assert list(port_map.services) == ["proxy"] and port_map.routes == {} and port_map.services["proxy"].ports[""].callers == ()
    assert port_map.firewall is not None
    assert port_map.firewall.ingress == () and port_map.firewall.egress == () and port_map.firewall.scrape is None
    assert {problem.origin.path: problem.rule for problem in problems.notices} == dict.fromkeys(
        ("services.proxy.from", "routes.api.service", "firewall.ingress[0].service[0]", "firewall.ingress[0].service[1]", "firewall.internal.scrape.from"),
        "service api is not enabled: this falls away",
    )


def test_what_refers_to_an_entrypoint_that_is_off_falls_away_with_a_notice() -> None:
    text = PROXIED.replace("service: api}", "service: api, entrypoint: other}\n  more: {host: more, service: api, entrypoint: web}")
    text = text.replace("8443, tls: true", "8443, tls: true, enabled: false").replace("443, tls: true}", "443, tls: true, enabled: false}", 1)
    port_map, problems = compiled(text)
    assert problems.errors == [] and port_map.entrypoints == {} and port_map.routes == {}, "a redirect to nothing serves nothing in the clear either"
    assert [f"{problem.origin.path}: {problem.rule}" for problem in problems.notices] == [
        "entrypoints.web.redirect_to: entrypoint websecure is not enabled: this falls away",
        "routes.api.entrypoint: entrypoint other is not enabled: this falls away",
        "routes.more.entrypoint: entrypoint web redirects to nothing: this falls away",
    ]


@pytest.mark.parametrize(
    ("entrypoints", "kept"),
    [
        ("{s: {port: 443, tls: true, enabled: false}}", []),
        ("{w: {port: 80, redirect_to: s}, s: {port: 443, tls: true, enabled: false}}", []),
        ("{w: {port: 80, redirect_to: s}, s: {port: 443, tls: true, enabled: false}, plain: {port: 81}}", ["plain"]),
        ("{a: {port: 80, enabled: false}, b: {port: 81, enabled: false}}", []),
        ("{a: {port: 80, redirect_to: b}, b: {port: 81, tls: true, redirect_to: c}, c: {port: 443, tls: true, enabled: false}}", []),
    ],
)
def test_a_route_falls_away_with_the_entrypoint_that_it_names_by_default(entrypoints: str, kept: list[str]) -> None:
    """Above all it does not move to another one, which may speak no TLS."""
    text = "ingress: traefik\nservices: {proxy: {port: 1, bind: loopback, hosts: h}, api: {port: 2, protocol: http, hosts: h}}\n"
    port_map, problems = compiled(text + f"entrypoints: {entrypoints}\nroutes: {{api: {{host: a.example, service: api}}}}")
    assert problems.errors == [] and port_map.routes == {} and list(port_map.entrypoints) == kept
    assert [problem.rule for problem in problems.notices if problem.origin.path == "routes.api"][0].endswith("falls away")


def test_the_only_enabled_entrypoint_is_the_default() -> None:
    text = PROXIED.replace(", redirect_to: websecure", ", enabled: false").replace("8443, tls: true", "8443, tls: true, enabled: false")
    assert good(text).routes["api"].entrypoint == "websecure"


@pytest.mark.parametrize("order", ["abc", "cba", "bac"])
def test_redirects_to_nothing_fall_away_in_whatever_order_they_stand(order: str) -> None:
    items = {
        "a": "a: {port: 80, redirect_to: b}",
        "b": "b: {port: 81, tls: true, redirect_to: c}",
        "c": "c: {port: 82, tls: true, enabled: false}",
    }
    listed = ", ".join(items[name] for name in order)
    port_map, problems = compiled(f"ingress: traefik\nservices: {{proxy: {{port: 1, bind: loopback, hosts: h}}}}\nentrypoints: {{{listed}}}")
    assert port_map.entrypoints == {} and problems.errors == []
    assert sorted(f"{problem.origin.path}: {problem.rule}" for problem in problems.notices) == [
        "entrypoints.a.redirect_to: entrypoint b redirects to nothing: this falls away",
        "entrypoints.b.redirect_to: entrypoint c is not enabled: this falls away",
    ]


def test_without_the_service_proxy_nothing_is_proxied() -> None:
    port_map, problems = compiled(PROXIED.replace("hosts: edge", "hosts: edge, enabled: false"))
    assert problems.errors == [] and port_map.ingress == "none" and port_map.routes == {} and port_map.entrypoints == {}
    assert [problem.origin.path for problem in problems.notices] == ["ingress"]


def test_routes_that_are_off_are_absent() -> None:
    assert good(PROXIED.replace("service: api}", "service: nobody, enabled: false}")).routes == {}


# where services run


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("cluster: k, namespace: n", []),
        ("cluster: k, namespace: none", ["services.s.cluster: a service in a cluster needs a namespace, and this one has none"]),
        ("cluster: k, namespace: n, hosts: h", ["services.s.hosts: a service runs on hosts or in a cluster, not both"]),
        ("cluster: j, namespace: n", ["services.s.cluster: there is no cluster of that name, did you mean 'k'?"]),
        ("hosts: none", ["services.s.hosts: a service outside the inventory needs an `address`"]),
        ("hosts: none, address: [192.0.2.1, 192.0.2.1]", []),
    ],
)
def test_where_a_service_runs(keys: str, expected: list[str]) -> None:
    found = errors(f"hosts: everywhere\nnetworks: {{nodes: 10.0.0.0/8}}\nclusters: {{k: {{addresses: nodes}}}}\nservices: {{s: {{port: 1, {keys}}}}}")
    assert [text.replace(", did you mean 'k'?", "") for text in found] == [text.replace(", did you mean 'k'?", "") for text in expected]


def test_a_service_on_all_hosts_does_not_share_its_namespace() -> None:
    text = "namespace: n\nservices: {a: {port: 1, hosts: all}, b: {port: 2, hosts: h}}"
    (found,) = errors(text)
    assert found.startswith("services.a.hosts: runs on all hosts, and would draw them all into namespace n (with b): write `namespace: none`")
    assert errors(text.replace("hosts: h", "hosts: all")) == []
    assert errors(text.replace("hosts: all", "hosts: all, namespace: none")) == []
    assert errors(text.replace("hosts: h", "hosts: h, enabled: false")) == []


def test_addresses_are_normalised() -> None:
    assert good("services: {s: {port: 1, hosts: h, address: ['2001:DB8:0::1', 192.0.2.1]}}").services["s"].addresses == ("2001:db8::1", "192.0.2.1")


# entrypoints that pass connections and datagrams on

STREAMS = """
domain: example.net
ingress: INGRESS
hosts: h
namespace: none
networks: {office: 192.0.2.0/28}
services:
  web: {port: 1, protocol: http}
  next: {port: 2, protocol: http}
  db: {port: 3, protocol: postgresql}
  game: {port: 4, transport: udp}
  proxy: {port: 5, bind: loopback, ports: {metrics: 6}}
entrypoints:
  http: {port: 80}
  tls: {port: 443, tls: true, protocol: tcp}
  raw: {port: 5432, protocol: tcp}
  udp: {port: 7, protocol: udp}
routes: {r: {ROUTE}}
"""


def route_errors(route: str, ingress: str = "traefik") -> list[str]:
    return [text.removeprefix("routes.r.") for text in errors(STREAMS.replace("INGRESS", ingress).replace("ROUTE", route))]


@pytest.mark.parametrize(
    "route",
    [
        "host: a, service: web",
        "host: a, service: web, sticky: true, canary: {service: next, weight: 1}",
        "host: a, service: db, entrypoint: tls",
        "host: [a, b], service: web, entrypoint: tls, passthrough: true",
        "service: db, entrypoint: raw, from: anywhere",
        "service: game, entrypoint: udp",
    ],
)
def test_routes_that_fit_their_entrypoint(route: str) -> None:
    assert route_errors(route) == []


@pytest.mark.parametrize(
    ("route", "found"),
    [
        ("service: web", "host: is required"),
        ("host: a, service: web, passthrough: true", "passthrough: is of entrypoints that speak tcp, and http speaks http"),
        ("host: a, service: db", "service: speaks postgresql, and a route needs http, https, grpc or websocket"),
        ("host: a, service: web, canary: {service: db, weight: 1}", "canary.service: is no service that speaks http"),
        ("host: a, service: web, canary: {service: web, weight: 1}", "canary.service: is what the route leads to anyway"),
        ("host: a, service: web, canary: {service: nxt, weight: 1}", "canary.service: there is no service of that name"),
        ("host: a, service: web, canary: {service: next, weight: 100}", "canary.weight: must be"),
        ("host: a, service: proxy, from: office, sticky: true", "sticky: is not possible with the proxy's own dashboard"),
        ("service: db, entrypoint: tls", "host: is required: by the name that clients say in TLS (SNI)"),
        ("host: a, service: db, entrypoint: raw", "host: is not possible: without TLS no client says a name"),
        ("service: db, entrypoint: raw, passthrough: true", "passthrough: is of TLS, and entrypoint raw speaks none"),
        ("service: game, entrypoint: raw", "service: listens on udp, and entrypoint raw speaks tcp"),
        ("service: db, entrypoint: udp", "service: listens on tcp, and entrypoint udp speaks udp"),
        ("service: game, entrypoint: udp, from: office", "from: is not possible for udp"),
        ("host: a, service: db, entrypoint: tls, path: /x", "path: is of http, and entrypoint tls speaks tcp"),
        ("host: a, service: db, entrypoint: tls, auth: true", "auth: is of http"),
        ("host: a, service: db, entrypoint: tls, sticky: true", "sticky: is of http"),
        ("host: a, service: proxy, from: office, entrypoint: tls", "service: is the dashboard, which speaks http"),
    ],
)
def test_routes_that_do_not_fit_their_entrypoint(route: str, found: str) -> None:
    (error,) = route_errors(route)
    assert error.startswith(found)


def test_nginx_does_not_know_how_postgresql_begins_tls() -> None:
    (error,) = route_errors("host: a, service: db, entrypoint: tls", "nginx")
    assert error.startswith("service: nginx does not know how PostgreSQL begins TLS")
    assert route_errors("service: db, entrypoint: raw", "nginx") == []


def test_two_routes_where_nothing_tells_them_apart() -> None:
    text = STREAMS.replace("INGRESS", "traefik")
    (error,) = errors(text.replace("r: {ROUTE}", "a: {service: db, entrypoint: raw}, b: {service: web, entrypoint: raw}"))
    assert error == "routes.b: route a (m.yml:19) is at entrypoint raw already, where nothing tells two apart"


@pytest.mark.parametrize(
    ("entrypoint", "found"),
    [
        ("protocol: udp, tls: true", "tls: is not possible on an entrypoint that speaks udp"),
        ("protocol: tcp, http3: true, tls: true", "http3: is not possible on an entrypoint that speaks tcp"),
        ("http3: true", "http3: HTTP/3 is always encrypted"),
        ("protocol: tcp, proxies_in_front: lb", "proxies_in_front: who the client of a connection is only the PROXY protocol tells"),
        (
            "proxies_in_front: {network: lb, proxy_protocol: true, terminates_tls: true}",
            "proxies_in_front.terminates_tls: is not possible beside proxy_protocol",
        ),
        ("protocol: tcp, redirect_to: s", "redirect_to: is not possible on an entrypoint that speaks tcp"),
        ("redirect_to: db", "redirect_to: a redirect goes to an http entrypoint with `tls: true`"),
    ],
)
def test_entrypoints_that_no_proxy_can_serve(entrypoint: str, found: str) -> None:
    text = "hosts: h\ningress: traefik\nnetworks: {lb: 192.0.2.1}\nservices: {proxy: {port: 5, bind: loopback}}\n"
    (error,) = errors(f"{text}entrypoints: {{e: {{port: 1, {entrypoint}}}, s: {{port: 2, tls: true}}, db: {{port: 3, tls: true, protocol: tcp}}}}")
    assert error.startswith(f"entrypoints.e.{found}")


def test_a_route_that_names_no_entrypoint_is_http() -> None:
    text = STREAMS.replace("INGRESS", "traefik").replace("ROUTE", "host: a, service: web")
    assert good(text).routes["r"].entrypoint == "http"
