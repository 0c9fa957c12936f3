# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the wire tests configure, Traefik and Nginx alike: entrypoints, routes, users, certificates; and the services behind."""

from __future__ import annotations

import pathlib
import ssl
import subprocess
import typing as t

from wire_backends import Service, Silent, Udp, Web
from wire_host import Inside

Data = dict[str, t.Any]

HASH = "$2y$05$bSvuNmy44W9PqH/ElBSa3uVaH2Mu06rG4t1uFVT51MAIBN9gxHu4K"  # of: lab
USERS = [
    {"name": "ops", "hash": HASH},
    {"name": "apr1", "hash": "$apr1$abcdefgh$TB/UqAE6.ypsotqxIIKKd/"},
    {"name": "md5", "hash": "$1$abcdefgh$RE67zPAUYRNCcYSPnEB3/1"},
    {"name": "sha", "hash": "{SHA}OVP53fl1q1CX7kaNmVVcW0QRab8="},
    {"name": "other", "hash": HASH, "list": "others"},
]  # all of them with: lab

# The map's networks: what a proxy in front may say counts from .1 to .7 only.
FRONT = {"trusted": ["198.51.100.0/29", "2001:db8:a::1/128"], "depth": 1, "proxy_protocol": False, "terminates_tls": False}
INNER = ["198.51.100.16/28", "192.0.2.0/24", "2001:db8:b::/48"]


def entrypoint(port: int, **changes: t.Any) -> Data:
    """An entrypoint: http with TLS, unless changed."""
    return {"port": port, "protocol": "http", "tls": True, "http3": False, "redirect_to": None, "proxies_in_front": None, **changes}


def route(host: t.Optional[str], *ports: int, **changes: t.Any) -> Data:
    """A route to services of the namespace."""
    made = {
        "host": host and f"{host}.example.net",
        "path": "/",
        "entrypoint": "websecure",
        "tls": True,
        "passthrough": False,
        "protocol": "http",
        "dashboard": False,
        "backends": [{"address": "127.0.0.1", "port": port} for port in ports or (9001,)],
        "canary": None,
        "sticky": False,
        "rate_limit": None,
        "auth": None,
        "allow": None,
        "health": None,
        "origin": "the wire tests",
    }
    return {**made, **changes}


# Signs that mean something in either proxy's files, and nothing in a path.
LITERAL = "/a;b={1}$host'\"^~*(|.)"

ENTRYPOINTS: Data = {
    "web": entrypoint(80, tls=False, redirect_to={"entrypoint": "websecure", "port": 443}),
    "websecure": entrypoint(443),
    # A redirect's public port that is not 443, and one that is another than the entrypoint's own.
    "altweb": entrypoint(8080, tls=False, redirect_to={"entrypoint": "alternative", "port": 9443}),
    "alternative": entrypoint(8449),
    "bare": entrypoint(8088, tls=False),
    "fronted": entrypoint(8443, proxies_in_front=FRONT),
    "deep": entrypoint(8444, proxies_in_front={**FRONT, "depth": 2}),
    "offloaded": entrypoint(8081, tls=False, redirect_to={"entrypoint": "websecure", "port": 443}, proxies_in_front={**FRONT, "terminates_tls": True}),
    "lined": entrypoint(8445, proxies_in_front={**FRONT, "proxy_protocol": True}),
    "stream": entrypoint(5000, protocol="tcp", tls=False),
    "streams": entrypoint(5443, protocol="tcp"),
    "datagrams": entrypoint(5353, protocol="udp", tls=False),
}
ROUTES: Data = {
    "api": route("api"),
    "v2": route("api", 9002, path="/v2"),
    "v2deep": route("api", 9003, path="/v2/deep"),
    "chat": route("chat", protocol="websocket"),
    "alternative": route("api", entrypoint="alternative"),
    "bare": route("bare", entrypoint="bare", tls=False),
    "back": route("back", auth="default"),
    "steady": route("steady", rate_limit="steady"),
    "calm": route("calm", rate_limit="calm"),
    "calm-too": route("calm", 9002, path="/other", rate_limit="calm"),
    "inner": route("inner", allow=INNER),
    "guarded": route("guarded", allow=INNER, rate_limit="calm", auth="default"),
    "fronted": route("fronted", entrypoint="fronted", allow=INNER, rate_limit="calm"),
    "echo-fronted": route("echo", entrypoint="fronted"),
    "deep": route("deep", entrypoint="deep", allow=INNER),
    "lined": route("lined", entrypoint="lined", allow=INNER, rate_limit="calm"),
    "echo-lined": route("echo", entrypoint="lined"),
    "spread": route("spread", 9001, 9002),
    "stuck": route("stuck", 9001, 9002, sticky=True),
    "half-dead": route("half-dead", 9001, 9009, health="/health"),
    "dead": route("dead", 9009),
    "canary": route("canary", canary={"weight": 20, "protocol": "http", "backends": [{"address": "127.0.0.1", "port": 9002}]}),
    "sealed": route("sealed", 9004, protocol="https"),
    "closed": route("closed"),
    "closed-guarded": route("closed-guarded", auth="default", allow=INNER),
    "other": route("other", 9002),
    "literal": route("literal", 9002, path=LITERAL),
    "stream": route(None, 9101, entrypoint="stream", protocol="tcp", tls=False),
    "ended": route("ended", 9101, entrypoint="streams", protocol="tcp"),
    "through": route("through", 9102, entrypoint="streams", protocol="tcp", passthrough=True),
    "inner-stream": route("inner", 9101, entrypoint="streams", protocol="tcp", allow=INNER),
    "datagrams": route(None, 9201, entrypoint="datagrams", protocol="udp", tls=False),
}
# Hosts of their own certificate.
ROUTES["other"]["host"] = "other.example.org"

INGRESS: Data = {
    "container": False,
    "entrypoints": ENTRYPOINTS,
    "rate_limits": {"steady": {"average": 20, "burst": 20}, "calm": {"average": 1, "burst": 20}},
    "routes": ROUTES,
    "maintenance": {"address": "127.0.0.1", "port": 8882},
}
OWN: dict[str, Data] = {
    "traefik": {"api": {"address": "127.0.0.1", "port": 8880}, "metrics": {"address": "", "port": 8881}},
    "nginx": {"api": None, "metrics": None},
}
HEADERS = {
    "X-Frame-Options": "DENY",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "Content-Security-Policy": "default-src 'self'; img-src *",
}
PAGE = '<!DOCTYPE html><title>Soon</title><p>It\'s "back" soon; $5 {really} \\n\n'


def ingress(proxy: str, **changes: t.Any) -> Data:
    """The ingress part of a plan, for that proxy. Debian's Nginx knows no HTTP/3, and refuses an entrypoint that has it."""
    quick = {"quick": entrypoint(8446, http3=True)} if proxy == "traefik" else {}
    routes = {"quick": route("quick", entrypoint="quick")} if quick else {}
    return {"proxy": proxy, **INGRESS, "entrypoints": {**ENTRYPOINTS, **quick}, "routes": {**ROUTES, **routes}, **OWN[proxy], **changes}


class Certificates:
    """A CA, pairs of two sites and of a service, and one that nobody trusts."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        self.ca = folder / "ca.pem"
        request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        subprocess.run([*request, "-subj", "/CN=the CA", "-keyout", folder / "ca.key", "-out", self.ca], capture_output=True, check=True)
        self.site = self.issue("site", "*.example.net", "example.net")
        self.other = self.issue("other", "other.example.org")
        self.backend = self.issue("backend", "backend.internal")

    def issue(self, name: str, *hosts: str) -> dict[str, str]:
        """A pair for these hosts, signed by the CA."""
        pair = {"cert_file": str(self.folder / f"{name}.pem"), "key_file": str(self.folder / f"{name}.key")}
        making = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        signing = ["-CA", self.ca, "-CAkey", self.folder / "ca.key", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:FALSE"]
        names = ["-addext", "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts)]
        subprocess.run([*making, *signing, *names, "-keyout", pair["key_file"], "-out", pair["cert_file"]], capture_output=True, check=True)
        return pair

    def server(self, pair: t.Mapping[str, str]) -> ssl.SSLContext:
        """A service's TLS with that pair."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair["cert_file"], pair["key_file"])
        return context

    def options(self) -> Data:
        """The options of a module call that name them."""
        return {
            "tls": {"certificates": [self.site, self.other], "ciphers": CIPHERS},
            "backend_tls": {"verify": True, "ca_file": str(self.ca), "server_name": "backend.internal"},
        }


CIPHERS = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"]


class Services:
    """All that listens behind the proxy."""

    def __init__(self, inside: Inside, certificates: Certificates) -> None:
        self.webs = {
            "one": Web(inside, "one", 9001),
            "two": Web(inside, "two", 9002),
            "three": Web(inside, "three", 9003),
            "sealed": Web(inside, "sealed", 9004, certificates.server(certificates.backend)),
        }
        through = certificates.server(certificates.issue("through", "through.example.net"))
        self.others: list[t.Union[Service, Udp]] = [
            Service(inside, "stream", 9101),
            Service(inside, "through", 9102, through),
            Silent(inside, "silent", 9103),
            Udp(inside, "datagrams", 9201),
        ]

    def close(self) -> None:
        """End all of them."""
        for one in [*self.webs.values(), *self.others]:
            one.close()


def options(proxy: str, certificates: Certificates, **changes: t.Any) -> Data:
    """A whole module call for that proxy, but for where its files lie and how it is started."""
    return {
        "ingress": ingress(proxy),
        "users": USERS,
        "headers": HEADERS,
        "compression": True,
        "health_checks": {"interval": 1, "timeout": 1},
        "maintenance": ["closed", "closed-guarded"],
        "maintenance_page": PAGE,
        **certificates.options(),
        **changes,
    }
