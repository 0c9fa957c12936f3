# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the ingress part of a plan to nginx's configuration. What nginx makes of it: tests/integration/test_nginx.py, test_wire.py."""

from __future__ import annotations

import copy
import ipaddress
import re
import typing as t

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.alfred.portmap.plugins.module_utils._nginx import render, shown
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_binary import Binary
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_certificates import Certificate
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_client import NETWORK_64, behind, common
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_context import RELEASE, TREE, Context, Host
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_words import DOLLAR, ident, literal, word
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import Options, Pair, ProxyError

Data = dict[str, t.Any]

BCRYPT = "$2y$05$" + "a" * 53
FRONT = {"trusted": ["192.0.2.0/28"], "depth": 2, "proxy_protocol": False, "terminates_tls": False}
SITE = Certificate(Pair("/etc/tls/site.pem", "/etc/tls/site.key"), ("*.example.net",), "d1")
OTHER = Certificate(Pair("/etc/tls/other.pem", "/etc/tls/other.key"), ("other.example.org", "api.example.net"), "d2")
ONE, TWO = {"address": "203.0.113.5", "port": 8080}, {"address": "2001:db8::5", "port": 8080}


def entrypoint(port: int, **changes: t.Any) -> Data:
    return {"port": port, "protocol": "http", "tls": True, "http3": False, "redirect_to": None, "proxies_in_front": None, **changes}


def route(**changes: t.Any) -> Data:
    made = {"host": "api.example.net", "path": "/", "entrypoint": "websecure", "tls": True, "protocol": "http", "dashboard": False, "backends": [ONE]}
    return {**made, "rate_limit": None, "auth": None, "allow": None, "health": None, **changes}


INGRESS: Data = {
    "proxy": "nginx",
    "container": False,
    "entrypoints": {"web": entrypoint(80, tls=False, redirect_to={"entrypoint": "websecure", "port": 8443}), "websecure": entrypoint(443)},
    "rate_limits": {"calm": {"average": 50, "burst": 75}, "single": {"average": 1, "burst": 1}},
    "routes": {"api": route()},
}
OPTIONS = Options(users={"default": [("ops", BCRYPT)]})


def tree(changed: Data | None = None, options: Options = OPTIONS, host: Host | None = None, **ingress: t.Any) -> dict[str, str]:
    """The files, with the one route changed."""
    made = copy.deepcopy({**INGRESS, **ingress})
    if changed:
        made["routes"]["api"].update(changed)
    return dict(render(Context(made, options, host or Host(certificates=(SITE, OTHER)))).files)


def http(changed: Data | None = None, **more: t.Any) -> str:
    """The http part, on one line for each directive."""
    return tree(changed, **more)["http.conf"]


def inside(text: str, head: str) -> str:
    """The last block with that head: the entrypoint that redirects comes first."""
    lines = text.splitlines()
    start = [number for number, line in enumerate(lines) if line.strip() == f"{head} {{"][-1]
    indent = lines[start][: len(lines[start]) - len(lines[start].lstrip())]
    end = next(number for number in range(start, len(lines)) if lines[number] == indent + "}")
    return "\n".join(lines[start + 1 : end])


# words


def read(text: str) -> list[str]:
    """The words of a directive as nginx reads them (ngx_conf_read_token)."""
    words, at = [], 0
    while at < len(text):
        if text[at] in " \t\r\n":
            at += 1
        elif text[at] in ";{}":
            words.append(text[at])
            at += 1
        elif text[at] == '"':
            found, at = "", at + 1
            while text[at] != '"':
                if text[at] == "\\":
                    kept = {"t": "\t", "r": "\r", "n": "\n", '"': '"', "'": "'", "\\": "\\"}.get(text[at + 1])
                    found += text[at : at + 2] if kept is None else kept
                    at += 2
                else:
                    found, at = found + text[at], at + 1
            words.append(found)
            at += 1
            assert at == len(text) or text[at] in " ;{", "nginx wants an end there"
        else:
            assert text[at] not in "#'", "a comment, or another quote"
            found = ""
            while at < len(text) and text[at] not in " \t\r\n;{":
                assert text[at] not in "\\$", "more than a plain word"
                found, at = found + text[at], at + 1
            words.append(found)
    return words


PRINTABLE = st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=0, max_size=80)


@given(PRINTABLE, PRINTABLE)
@example('a" b;', "\\")
@example("{", "}#'")
@example("", "\\n\\t")
def test_a_word_is_read_as_it_was_and_ends_where_it_ends(one: str, two: str) -> None:
    assert read(f"x {word(one)} {word(two)};") == ["x", one, two, ";"]


@given(PRINTABLE)
def test_a_literal_has_no_variable_but_the_dollar(value: str) -> None:
    found = read(f"{literal(value)};")[0]
    assert found.replace(f"${{{DOLLAR}}}", "").count("$") == 0
    assert found.replace(f"${{{DOLLAR}}}", "$") == value


@pytest.mark.parametrize("value", ["a\nb", "a\0b", "a\tb", "\x7f", "a" * 4000])
def test_what_nginx_could_not_read_as_a_word_is_refused(value: str) -> None:
    with pytest.raises(ProxyError, match="must"):
        word(value, "headers.X")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=300), min_size=1), st.text(st.characters(min_codepoint=32, max_codepoint=300), min_size=1))
def test_different_names_are_different_parts_of_variables(one: str, two: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_]+", ident(one))
    assert (ident(one) == ident(two)) is (one == two)


# clients


def looked_up(pairs: t.Iterable[tuple[str, str]], value: str) -> str:
    """What nginx's map makes of a value."""
    for pattern, result in pairs:
        if pattern == value:
            return result
    for pattern, result in pairs:
        if pattern.startswith("~"):
            flags = re.IGNORECASE if pattern.startswith("~*") else 0
            match = re.search(pattern.lstrip("~").removeprefix("*") if flags else pattern[1:], value, flags)
            if match:
                return match.expand(result.replace("\\", r"\\").replace("$", "\\"))
    return dict(pairs).get("default", "")


@given(st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address), st.integers(0, 2**64 - 1))
@example(ipaddress.IPv6Address("2001:db8:0:0:1:0:0:0"), 0x1000200030004)
@example(ipaddress.IPv6Address("::"), 1)
@example(ipaddress.IPv6Address("1::"), 0)
@example(ipaddress.IPv6Address("0:0:0:1::"), 0xFFFF)
@example(ipaddress.IPv6Address("0:0:1:1:1:1:1:1"), 0)
@example(ipaddress.IPv6Address("1:0:0:1:0:0:1:1"), 0x1000000000001)
@example(ipaddress.IPv6Address("1:0:1:1:1:1:1:1"), 0)
def test_a_64_is_one_client_however_its_addresses_are_written(address: ipaddress.IPv6Address, low: int) -> None:
    network = int(address) >> 64
    neighbour = ipaddress.IPv6Address((network << 64) | low)
    keys = {looked_up(NETWORK_64, str(one)) for one in (address, neighbour)}
    assert len(keys) == 1
    assert int(ipaddress.IPv6Address(f"{keys.pop()}::")) >> 64 == network


@given(st.lists(st.sampled_from([0, 0, 0, 1, 0xABC]), min_size=8, max_size=8))
def test_a_64_is_one_client_with_any_run_of_zeros(groups: list[int]) -> None:
    text = str(ipaddress.IPv6Address(":".join(f"{one:x}" for one in groups)))
    assert looked_up(NETWORK_64, text) == ":".join(f"{one:x}" for one in groups[:4])


def client_map(depth: int) -> list[tuple[str, str]]:
    """The map from X-Forwarded-For to the client, as nginx reads it."""
    lines = behind("e", {**FRONT, "depth": depth}, "p")[1]
    start = next(number for number, line in enumerate(lines) if line.endswith("$portmap_client_e {"))
    pairs = []
    for line in lines[start + 1 : lines.index("}", start)]:
        words = read(line.strip().replace("$1;", '"$1";'))
        pairs.append((words[0], words[1]))
    return pairs


@given(st.lists(st.sampled_from(["192.0.2.7", "198.51.100.9", "2001:db8::7", "unknown", "", "10.0.0.1"]), max_size=6), st.integers(1, 4), st.booleans())
def test_the_client_is_the_one_at_the_depth_from_the_right(told: list[str], depth: int, spaces: bool) -> None:
    """As Traefik has it: whoever the others are, and none if there are not as many."""
    header = (", " if spaces else ",").join(told)
    parts = header.split(",")
    expected = parts[-depth].strip() if len(parts) >= depth else ""
    assert looked_up(client_map(depth), f"1:{header}") == expected
    assert looked_up(client_map(depth), f"0:{header}") == "", "of somebody who is not trusted nothing counts"


@pytest.mark.parametrize(("told", "client"), [("192.0.2.7:4711", "192.0.2.7"), ("[2001:db8::7]:4711", "2001:db8::7"), ("[2001:db8::7]", "2001:db8::7")])
def test_a_port_is_no_part_of_a_client(told: str, client: str) -> None:
    assert looked_up(client_map(1), f"1:{told}") == client


@pytest.mark.parametrize(
    ("path", "unclean"),
    [
        ("/", False),
        ("/a/b?c=//d/../e", False),
        ("/.well-known/x", False),
        ("/a.b/..c/d...", False),
        ("/a%2Fb%20c", False),
        ("//a", True),
        ("/a//b", True),
        ("/a/../b", True),
        ("/a/..", True),
        ("/a/.?b", True),
        ("/a/%2e%2E/b", True),
        ("/a%2f..%2Fb", True),
        ("/a%2f/b", True),
        ("/%76%32", True),
    ],
)
def test_paths_that_are_written_otherwise_than_judged(path: str, unclean: bool) -> None:
    lines = common()
    start = lines.index('map "$request_uri" $portmap_unclean {')
    pattern = read(lines[start + 1].strip())[0]
    assert (looked_up([(pattern, "1")], path) == "1") is unclean


# http


def test_names_nobody_knows_get_nothing_at_each_entrypoint() -> None:
    found = http()
    refusing = [one for one in found.split("\nserver {")[1:] if "default_server" in one]
    assert len(refusing) == 2
    assert all("return 444;" in one for one in refusing)
    assert ["ssl_reject_handshake on;" in one for one in refusing] == [False, True]
    old = http(host=Host(Binary(version=(1, 18, 0)), (SITE,)))
    assert "ssl_reject_handshake" not in old and old.count("ssl_certificate ") == 2


def test_the_redirect_names_the_public_port_and_keeps_the_method_of_all_but_get() -> None:
    found = http()
    assert "return 301 https://$host:8443$request_uri;" in found and "return 308 https://$host:8443$request_uri;" in found
    plain = {"web": entrypoint(80, tls=False, redirect_to={"entrypoint": "websecure", "port": 443}), "websecure": entrypoint(443)}
    assert "return 301 https://$host$request_uri;" in http(entrypoints=plain)


@pytest.mark.parametrize(
    ("version", "listening", "directive"),
    [((1, 22, 1), "listen 443 ssl http2;", False), ((1, 25, 0), "listen 443 ssl http2;", False), ((1, 25, 1), "listen 443 ssl;", True)],
)
def test_http2_in_the_words_of_each_version(version: tuple[int, ...], listening: str, directive: bool) -> None:
    found = http(host=Host(Binary(version=version), (SITE,)))
    assert listening in found and ("http2 on;" in found) is directive


def test_http3_where_the_binary_has_it() -> None:
    places = {"websecure": entrypoint(443, http3=True)}
    found = http(entrypoints=places, host=Host(Binary(version=(1, 26, 0), http3=True), (SITE,)))
    assert found.count("listen 443 quic default_server reuseport;") == 1 and "listen 443 quic;" in found
    assert "add_header Alt-Svc 'h3=\":443\"; ma=2592000' always;" in found
    with pytest.raises(ProxyError, match="was built without it"):
        http(entrypoints=places)


def test_ipv6_is_left_out_where_the_host_has_none() -> None:
    assert "[::]:443" in http() and "[::]" not in http(host=Host(Binary(ipv6=False), (SITE,)))


def test_each_name_gets_its_certificate() -> None:
    routes = {"api": route(), "www": route(host="www.example.net"), "far": route(host="far.example.com")}
    servers = {one: part for part in http(routes=routes).split("\nserver {") for one in re.findall(r"server_name (\S+);", part) if "ssl_certificate " in part}
    chosen = {name: re.findall(r"ssl_certificate (\S+);", part)[0] for name, part in servers.items()}
    assert chosen == {"api.example.net": "/etc/tls/other.pem", "www.example.net": "/etc/tls/site.pem", "far.example.com": "/etc/tls/site.pem"}


def test_guards_are_in_phases_that_come_in_traefiks_order() -> None:
    """Addresses by `if` (rewrite), then the limit (preaccess), then the password (access); never allow and deny, which come with the password."""
    found = inside(http({"allow": ["192.0.2.7/24", "2001:db8::/32"], "rate_limit": "calm", "auth": "default"}), "location /")
    assert "if ($portmap_allow_api_at_websecure = 0) {" in found and "return 403;" in found
    assert "limit_req zone=portmap_limit_api_at_websecure burst=74 nodelay;" in found
    assert f"auth_basic_user_file {TREE}/users/default;" in found
    assert 'proxy_set_header Authorization "";' in found
    assert re.search(r"^\s*(allow|deny) ", http({"allow": ["192.0.2.0/24"]}), re.MULTILINE) is None
    assert "192.0.2.0/24 1;" in http({"allow": ["192.0.2.7/24"]})


def test_a_burst_of_one_has_none_beyond_the_first() -> None:
    assert "limit_req zone=portmap_limit_api_at_websecure;" in http({"rate_limit": "single"})


def test_a_limit_is_each_routes_own_as_in_traefik() -> None:
    found = http(routes={"api": route(rate_limit="calm"), "www": route(host="www.example.net", rate_limit="calm")})
    assert len(re.findall(r"limit_req_zone \$portmap_key zone=\S+:8m rate=50r/s;", found)) == 2


def test_maintenance_is_no_return_which_would_come_before_the_guards() -> None:
    options = Options(users=OPTIONS.users, maintenance=("api",), page="<p>$x</p>")
    files = tree({"auth": "default"}, options=options)
    location = inside(files["http.conf"], "location /")
    assert "return" not in location and "try_files /none =503;" in location and "auth_basic " in location
    assert files["maintenance.html"] == "<p>$x</p>"


def test_headers_are_on_every_answer_and_never_twice() -> None:
    options = Options(headers={"X-Frame-Options": "DENY"}, users={})
    found = http({"rate_limit": "calm"}, options=options)
    for part in re.split(r"\n    location ", found)[1:]:
        if "add_header" in part.split("\n    }")[0]:
            assert "add_header X-Frame-Options DENY always;" in part.split("\n    }")[0]
    assert "proxy_hide_header X-Frame-Options;" in found


def test_what_a_client_says_of_itself_counts_from_trusted_proxies_alone() -> None:
    plain = inside(http(), "location /")
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in plain and 'proxy_set_header X-Forwarded-Prefix "";' in plain
    fronted = inside(http(entrypoints={"websecure": entrypoint(443, proxies_in_front=FRONT)}), "location /")
    assert "proxy_set_header X-Forwarded-For $portmap_for_websecure;" in fronted
    assert "proxy_set_header X-Forwarded-Server $hostname;" in fronted
    lined = http(entrypoints={"websecure": entrypoint(443, proxies_in_front={**FRONT, "proxy_protocol": True})})
    assert "listen 443 ssl http2 proxy_protocol;" in lined and "set_real_ip_from 192.0.2.0/28;" in lined and "real_ip_header proxy_protocol;" in lined
    assert inside(lined, "location /") == plain, "such a proxy hands on its clients' headers as they are"


def test_a_path_with_a_slash_at_its_end_leaves_the_path_without_to_the_shorter_one() -> None:
    """nginx would redirect it."""
    found = http(routes={"api": route(), "sub": route(path="/sub/", backends=[TWO])})
    assert "proxy_pass http://portmap_route_api;" in inside(found, "location = /sub")
    assert "return 404;" in inside(http({"path": "/sub/"}), "location = /sub")


@pytest.mark.parametrize(("page", "size"), [(4096, "64k"), (16384, "128k"), (65536, "512k")])
def test_a_group_has_as_much_memory_as_nginx_asks_for(page: int, size: str) -> None:
    assert f"zone portmap_route_api {size};" in http(host=Host(certificates=(SITE,), page=page))


def test_backends_that_fail_are_left_out_only_where_health_is_asked_for() -> None:
    two = [ONE, TWO]
    assert "server 203.0.113.5:8080 max_fails=0;" in http({"backends": two})
    assert "server 203.0.113.5:8080 max_fails=0;" in http({"health": "/health"})
    found = http({"backends": two, "health": "/health"})
    assert "server [2001:db8::5]:8080 max_fails=1 fail_timeout=10s;" in found and "proxy_connect_timeout 5s;" in found


def test_a_canary_gets_its_part_and_a_sticky_client_stays() -> None:
    canary = {"weight": 20, "protocol": "https", "backends": [TWO]}
    found = http({"canary": canary}, options=Options(verify_backends=False))
    assert "20.00% https://portmap_route_api_canary;" in found and "* http://portmap_route_api;" in found
    sticky = http({"backends": [ONE, TWO], "sticky": True})
    assert "server [2001:db8::5]:8080 max_fails=0 backup;" in sticky and "50.00% http://portmap_route_api_0_1;" in sticky
    assert "HttpOnly; SameSite=Lax; Secure" in sticky
    assert "; Secure" not in http({"backends": [ONE, TWO], "sticky": True, "tls": False})


def test_backends_with_tls_are_verified_by_name() -> None:
    with pytest.raises(ProxyError, match=r"backend_tls\.server_name"):
        http({"protocol": "https"})
    found = http({"protocol": "https"}, options=Options(backend_name="inner.example"))
    for said in ("proxy_ssl_verify on;", "proxy_ssl_name inner.example;", "proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;"):
        assert said in found
    assert "proxy_ssl_verify off;" in http({"protocol": "https"}, options=Options(verify_backends=False))


def test_grpc_is_passed_on_as_such() -> None:
    found = inside(http({"protocol": "grpc"}), "location /")
    assert "grpc_pass grpc://portmap_route_api;" in found and "gzip off;" in found and "proxy_pass" not in found


def test_challenges_are_served_without_tls_only() -> None:
    found = http(host=Host(certificates=(SITE,), acme_webroot="/var/www/acme"))
    assert found.count("location ^~ /.well-known/acme-challenge/ {") == 1
    assert "root /var/www/acme;" in found


# stream

STREAMS = {"pg": entrypoint(5432, protocol="tcp", tls=False), "sni": entrypoint(5433, protocol="tcp"), "dns": entrypoint(53, protocol="udp", tls=False)}


def streams(**routes: Data) -> str:
    default = {"pg": route(host=None, entrypoint="pg", protocol="tcp"), "dns": route(host=None, entrypoint="dns", protocol="udp")}
    return tree(entrypoints=STREAMS, routes={**default, **routes})["stream.conf"]


def test_streams_are_passed_on_by_name_or_by_port() -> None:
    ended = route(entrypoint="sni", protocol="tcp", allow=["192.0.2.0/24"])
    handed = route(host="through.example.net", entrypoint="sni", protocol="tls", passthrough=True)
    found = streams(ended=ended, handed=handed)
    for said in ("listen 5432;", "listen 53 udp;", "ssl_preread on;", "through.example.net portmap_route_handed;", "192.0.2.0/24 1;", "1 portmap_tls_ended;"):
        assert said in found
    assert re.search(r"listen unix:/run/nginx-portmap/[0-9a-f]{16}\.sock ssl;", found)


def test_an_allow_list_leads_to_a_variable_by_map_and_not_by_geo() -> None:
    canary = {"weight": 20, "protocol": "tls", "backends": [TWO]}
    found = streams(through=route(entrypoint="sni", protocol="tls", passthrough=True, allow=["192.0.2.0/24"], canary=canary))
    assert '1 "$portmap_to_through";' in inside(found, 'map "$portmap_allow_through" $portmap_led_through')
    assert "$" not in inside(found, "geo $portmap_allow_through")


def test_no_stream_no_module() -> None:
    assert "stream.conf" not in tree() and "load_module" not in tree()["nginx.conf"]
    dynamic = Host(Binary(stream="/usr/lib/nginx/modules/ngx_stream_module.so"), (SITE,))
    routes = {"pg": route(host=None, entrypoint="pg", protocol="tcp")}
    files = tree(entrypoints={"pg": STREAMS["pg"]}, routes=routes, host=dynamic)
    assert files["nginx.conf"].splitlines()[1] == "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"
    with pytest.raises(ProxyError, match="libnginx-mod-stream on Debian, nginx-mod-stream on Red Hat"):
        tree(entrypoints={"pg": STREAMS["pg"]}, routes=routes, host=Host(Binary(stream=""), (SITE,)))


# the tree


def test_the_tree_is_known_by_its_hash_which_every_byte_is_part_of() -> None:
    def release(**more: t.Any) -> str:
        return render(Context(copy.deepcopy(INGRESS), OPTIONS, Host(certificates=(SITE,), **more))).release

    assert release() == release() != release(workers="2")
    replaced = Host(certificates=(Certificate(SITE.pair, SITE.names, "another"),))
    assert render(Context(INGRESS, OPTIONS, replaced)).release != release()


def test_a_placed_tree_names_its_place_and_shows_no_hash() -> None:
    made = render(Context({**INGRESS, "routes": {"api": route(auth="default")}}, OPTIONS, Host(certificates=(SITE,))))
    placed = made.placed("/etc/x/releases/abc")
    assert not any(TREE in text or RELEASE in text for text in placed.values())
    assert "auth_basic_user_file /etc/x/releases/abc/users/default;" in placed["http.conf"] and f"return 200 {made.release};" in placed["nginx.conf"]
    assert placed["users/default"] == f"ops:{BCRYPT}\n"
    assert BCRYPT not in shown(placed, "/etc/x/releases/abc", made.release) and "ops:(hidden)" in shown(placed, "/etc/x/releases/abc", made.release)


@pytest.mark.parametrize(
    ("changed", "more", "said"),
    [
        ({"entrypoint": "nowhere"}, {}, "is no entrypoint"),
        ({"allow": []}, {}, "must not be empty"),
        ({"allow": ["everybody"]}, {}, "is no address"),
        ({"backends": []}, {}, "must not be empty"),
        ({"backends": [{"address": "backend", "port": 80}]}, {}, "must be an address"),
        ({"host": None}, {}, "must be the name of a host"),
        ({"host": "a$b"}, {}, "must be the name of a host"),
        ({"protocol": "redis"}, {}, "must be one of"),
        ({"rate_limit": "none"}, {}, "is no rate limit"),
        ({"auth": "nobody"}, {}, "nobody could get in"),
        ({"canary": {"weight": 20, "protocol": "grpc", "backends": [TWO]}}, {}, "can't be mixed"),
        ({"canary": {"weight": 0, "protocol": "http", "backends": [TWO]}}, {}, "at least 1 and at most 99"),
        ({}, {"container": True}, "is Traefik's alone"),
        ({"dashboard": True, "backends": []}, {}, "is Traefik's alone"),
        ({}, {"entrypoints": {"websecure": entrypoint(443), "again": entrypoint(443)}}, "already"),
        ({}, {"host": Host()}, "needs a certificate"),
        ({}, {"host": Host(certificates=(Certificate(Pair("/etc/$x.pem", "/k"), (), ""),))}, "must not have a '\\$'"),
        ({}, {"entrypoints": STREAMS, "routes": {}}, "exactly one route"),
    ],
)
def test_what_can_not_be_served_as_it_is_meant(changed: Data, more: Data, said: str) -> None:
    with pytest.raises(ProxyError, match=said):
        tree(changed, **more)


@pytest.mark.parametrize(("key", "value"), [("rate_limit", "calm"), ("auth", "default")])
def test_connections_have_no_limits_or_passwords(key: str, value: str) -> None:
    with pytest.raises(ProxyError, match="is for http routes"):
        streams(pg=route(host=None, entrypoint="pg", protocol="tcp", **{key: value}))
