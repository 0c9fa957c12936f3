# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real Traefik and a real ACME server, Let's Encrypt's own for tests, in a network namespace: what is issued, served and kept."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import stat
import subprocess
import time
import typing as t

import pytest
from edge import SMALL, TRAEFIK, Edge, route

from ansible_collections.alfred.portmap.plugins.module_utils._traefik_acme import (
    issued,
    resolver_name,
    resolvers,
    router_tls,
    storage_problem,
    wanted,
)
from ansible_collections.alfred.portmap.plugins.module_utils._yaml import dump
from ansible_collections.alfred.portmap.plugins.plugin_utils._user_hash import user_hash

Data = dict[str, t.Any]

PATIENCE = 60  # seconds
DIRECTORY = "https://127.0.0.1:14000/dir"
EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
# lego's provider `exec`: what it is told goes to the DNS server of the namespace.
ISSUED = "Issued certificate serial"  # says the authority
KEPT = "No ACME certificate generation required for domains"  # says Traefik
SKIPPED = "The ACME resolve is skipped from the resolvers list"
DNS_UPDATE = """#!/bin/sh
case $1 in
    present) exec curl -sSf -d '{"host":"'"$2"'","value":"'"$3"'"}' http://127.0.0.1:8055/set-txt ;;
    cleanup) exec curl -sSf -d '{"host":"'"$2"'"}' http://127.0.0.1:8055/clear-txt ;;
esac
"""


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.exit("tests/integration/test_acme.py needs root: it makes a network namespace", returncode=2)


class Authority:
    """A namespace with an ACME server, a DNS server that names it for every name, a service, and one Traefik after the other."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.edge = Edge(folder)
        self.bundle = folder / "acme-server.pem"
        self.root = folder / "root.pem"
        self.update = folder / "dns-update"
        self.storages = 0

    def start(self) -> None:
        """Start all but Traefik."""
        self.update.write_text(DNS_UPDATE)
        self.update.chmod(0o700)
        making = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=acme"]
        names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", f"{self.bundle}.key", "-out", str(self.bundle)]
        subprocess.run([*making, *names], capture_output=True, check=True)
        self.edge.serve("one", 9001)
        nothing = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]
        self.edge.spawn("pebble-challtestsrv", *nothing, "-dns01", "127.0.0.1:8053", "-management", "127.0.0.1:8055")
        self.pebble(14000)
        self.root.write_text(self.ask("https://127.0.0.1:15000/roots/0", "--cacert", str(self.bundle)))

    def pebble(self, port: int, **more: t.Any) -> None:
        """Start an ACME server. It asks at the ports that the real one asks at."""
        places = {"listenAddress": f"127.0.0.1:{port}", "managementListenAddress": f"127.0.0.1:{port + 1000}", "httpPort": 80, "tlsPort": 443}
        config = self.folder / f"pebble-{port}.json"
        config.write_text(json.dumps({"pebble": {**places, "certificate": str(self.bundle), "privateKey": f"{self.bundle}.key", **more}}))
        quick = ["env", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0"]
        self.edge.spawn(*quick, "pebble", "-config", str(config), "-dnsserver", "127.0.0.1:8053", "-strict", "false")
        self.until(lambda: bool(self.ask(f"https://127.0.0.1:{port}/dir", "--cacert", str(self.bundle))), "pebble does not start")

    def ask(self, url: str, *argv: str) -> str:
        """An answer's body; "" if there is none. What the client trusts is told by --cacert."""
        command = ["ip", "netns", "exec", self.edge.name, "curl", "-sSf", "--max-time", "10", "--connect-to", "::127.0.0.1:", *argv, url]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def storage(self) -> pathlib.Path:
        """A place for a storage that no test had before."""
        self.storages += 1
        return self.folder / f"acme-{self.storages}.json"

    def acme(self, storage: pathlib.Path, **changes: t.Any) -> Data:
        """The option tls.acme."""
        return {"email": "ops@example.net", "challenge": "tls", "ca_server": DIRECTORY, "ca_certificates": str(self.bundle), "storage": str(storage), **changes}

    def configure(self, acme: Data, ingress: Data, check: bool = False, **options: t.Any) -> Data:
        """Let the module configure Traefik, and start it."""
        return self.edge.configure(check=check, ingress=ingress, tls={"acme": acme}, user="root", **options)

    @contextlib.contextmanager
    def traefik(self, acme: Data, ingress: Data) -> t.Iterator[None]:
        """A Traefik of the test's own, which takes up what was issued ten times as soon, with the same resolvers."""
        folder = self.folder / "own"
        folder.mkdir(exist_ok=True)
        static = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "DEBUG"},
            "providers": {"providersThrottleDuration": "200ms", "file": {"filename": str(folder / "dynamic.yml")}},
            "entryPoints": {name: {"address": f":{entrypoint['port']}"} for name, entrypoint in ingress["entrypoints"].items()},
            "certificatesResolvers": resolvers(ingress, acme),
        }
        routers = {
            name: {"entryPoints": ["websecure"], "rule": f"Host(`{one['host']}`)", "service": "one", "tls": router_tls(acme)}
            for name, one in ingress["routes"].items()
        }
        services = {"one": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:9001"}]}}}
        (folder / "static.yml").write_text(dump(static))
        (folder / "dynamic.yml").write_text(dump({"http": {"routers": routers, "services": services}}))
        self.edge.systemctl("stop")
        process = self.edge.spawn(TRAEFIK, f"--configFile={folder / 'static.yml'}")
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def serves(self, host: str) -> bool:
        """Whether a client that trusts nobody but this authority gets the service by that name."""
        return bool(self.ask(f"https://{host}/", "--cacert", str(self.root)))

    def certificate(self, host: str) -> str:
        """The certificate that is shown for a name, PEM."""
        command = ["ip", "netns", "exec", self.edge.name, "openssl", "s_client", "-connect", "127.0.0.1:443", "-servername", host]
        shown = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        return begin + shown.partition(begin)[2].partition(end)[0] + end + "\n"

    def said(self, text: str) -> int:
        """How often one of them said that."""
        return self.edge.log.read_text().count(text)

    def until(self, true: t.Callable[[], bool], failure: str) -> None:
        """Wait for something that must become true. Traefik asks every 5 seconds whether it was issued."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, f"{failure}\n{self.edge.log.read_text()[-4000:]}"
            time.sleep(0.1)

    def until_said(self, text: str, before: int) -> None:
        """Wait until it is said once more than before."""
        self.until(lambda: self.said(text) > before, f"{text!r} is not said")


def told(certificate: str, *what: str) -> str:
    """What openssl says of a certificate."""
    return subprocess.run(["openssl", "x509", "-noout", *what], input=certificate, capture_output=True, text=True, check=True).stdout


def ingress(*hosts: str) -> Data:
    """The ingress part of a plan with a route for each name. On port 80 everything is sent to https."""
    web = {"port": 80, "tls": False, "redirect_to": {"entrypoint": "websecure", "port": 443}, "proxies_in_front": None}
    routes = {f"route{number}": route("", host=host) for number, host in enumerate(hosts)}
    return {**SMALL, "entrypoints": {"web": web, **SMALL["entrypoints"]}, "routes": routes}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Authority]:
    """All but Traefik, running."""
    made = Authority(tmp_path_factory.mktemp("acme"))
    try:
        made.start()
        yield made
    finally:
        made.edge.close()


DNS = {"dns_provider": "exec", "dns_resolvers": ["127.0.0.1:8053"], "dns_propagation": {"delay": 0, "checks": "resolvers"}}


@pytest.mark.parametrize(
    ("challenge", "more", "hosts"),
    [("http", {}, ["by-http.example.net"]), ("dns", DNS, ["by-dns.example.net"]), ("tls", {}, ["by-tls.example.net"])],
    ids=["http", "dns", "tls"],
)
def test_certificates_are_issued_and_served(authority: Authority, monkeypatch: pytest.MonkeyPatch, challenge: str, more: Data, hosts: list[str]) -> None:
    """By the server's own validation, at the ports that Let's Encrypt asks at."""
    monkeypatch.setenv("EXEC_PATH", str(authority.update))  # in the place of the unit's environment
    storage, before = authority.storage(), authority.said(ISSUED)
    acme = authority.acme(storage, challenge=challenge, **more)
    answer = authority.configure(acme, ingress(*hosts))
    assert answer.get("restarted") is True, answer
    for host in hosts:
        authority.until(lambda host=host: authority.serves(host), f"{host} is not served")  # type: ignore[misc]
        shown = authority.certificate(host)
        assert "Pebble Intermediate CA" in told(shown, "-issuer")
        assert told(shown, "-ext", "subjectAltName").splitlines()[1].strip() == f"DNS:{host}"
        assert "ASN1 OID: prime256v1" in told(shown, "-text"), "another key than the one that was asked for"
    authority.until(lambda: issued(storage.read_text()) == wanted(ingress(*hosts)), "the storage does not have what is served")
    assert stat.S_IMODE(storage.stat().st_mode) == 0o600
    assert authority.said(ISSUED) - before == len(hosts)


def test_after_a_restart_what_is_there_is_served_and_nothing_is_issued_again(authority: Authority) -> None:
    """A Traefik that asked at each start would soon be over Let's Encrypt's limits."""
    acme, routes, host = authority.acme(authority.storage()), ingress("kept.example.net"), "kept.example.net"
    assert authority.configure(acme, routes, log_level="DEBUG").get("changed") is True
    authority.until(lambda: issued(pathlib.Path(acme["storage"]).read_text()) == {host} and authority.serves(host), "it is not issued")
    serial = told(authority.certificate(host), "-serial")
    kept, before = authority.said(KEPT), authority.said(ISSUED)
    authority.edge.systemctl("restart")
    authority.until_said(KEPT, kept)
    authority.until(lambda: authority.serves(host), "what was kept is not served")
    assert told(authority.certificate(host), "-serial") == serial
    answer = authority.configure(acme, routes, log_level="DEBUG")
    assert (answer["changed"], answer["restarted"]) == (False, False)
    assert authority.said(ISSUED) == before


def test_what_can_not_work_is_refused_and_leaves_the_running_one_alone(authority: Authority) -> None:
    storage, files, pid = authority.storage(), authority.edge.files(), authority.edge.pid
    storage.write_text("{}")
    storage.chmod(0o640)
    only_https = {**ingress("kept.example.net"), "entrypoints": SMALL["entrypoints"]}
    for acme, routes, said in (
        (authority.acme(storage), ingress("kept.example.net"), f"{storage} has mode 0640 and must have 0600"),
        (authority.acme(authority.storage(), challenge="http"), only_https, "no entrypoint for plain http there"),
        (authority.acme(authority.storage(), staging=True), ingress("kept.example.net"), "leave one out"),
    ):
        answer = authority.configure(acme, routes)
        assert answer["failed"] is True and said in answer["msg"], answer
        assert "nothing was changed" in answer["msg"]
    assert (authority.edge.files(), authority.edge.pid) == (files, pid)
    assert authority.serves("kept.example.net")


def test_staging_is_a_switch_and_the_key_of_an_account_is_not_shown(authority: Authority) -> None:
    acme = {"email": "ops@example.net", "staging": True, "storage": str(authority.storage()), "eab": {"kid": "kid-1", "hmac": EAB_KEY}}
    answer = authority.configure(acme, ingress("kept.example.net"), check=True)
    assert answer["changed"] is True, answer
    shown = json.dumps(answer)
    assert "https://acme-staging-v02.api.letsencrypt.org/directory" in shown
    assert EAB_KEY not in shown


def test_after_a_switch_of_servers_the_new_ones_certificates_are_served_and_after_the_switch_back_the_old_ones(authority: Authority) -> None:
    """With one resolver for both, Traefik would go on to serve what staging issued, for two months."""
    storage, routes, host = authority.storage(), ingress("switched.example.net"), "switched.example.net"
    serials = []
    for server in (DIRECTORY, "https://localhost:14000/dir", DIRECTORY):
        acme, before = authority.acme(storage, ca_server=server), authority.said(ISSUED)
        with authority.traefik(acme, routes):
            authority.until(lambda: authority.serves(host), "nothing is served")
            serials.append((told(authority.certificate(host), "-serial"), authority.said(ISSUED) - before))
            authority.until(lambda acme=acme: issued(storage.read_text(), resolver_name(acme)) == {host}, "it is not kept")  # type: ignore[misc]
    first, second, third = serials
    assert (first[1], second[1], third[1]) == (1, 1, 0)
    assert first[0] == third[0] != second[0]


@pytest.mark.parametrize(("written", "mode", "said"), [("{}", 0o640, "mode 0640"), ('{"acme": {', 0o600, "not what Traefik writes")], ids=["open", "cut off"])
def test_a_storage_that_we_refuse_is_one_that_traefik_serves_nothing_from(authority: Authority, written: str, mode: int, said: str) -> None:
    storage, skipped = authority.storage(), authority.said(SKIPPED)
    storage.write_text(written)
    storage.chmod(mode)
    problem = storage_problem(str(storage))
    assert problem is not None and said in problem
    with authority.traefik(authority.acme(storage), ingress("unserved.example.net")):
        authority.until_said(SKIPPED, skipped)
        authority.until(lambda: authority.edge.served("unserved.example.net") == "TRAEFIK DEFAULT CERT", "it does not serve its own")


def test_an_account_that_is_bound_to_another_one(authority: Authority) -> None:
    authority.pebble(14001, externalAccountBindingRequired=True, externalAccountMACKeys={"kid-1": EAB_KEY})
    root = authority.folder / "root-14001.pem"
    root.write_text(authority.ask("https://127.0.0.1:15001/roots/0", "--cacert", str(authority.bundle)))
    bound = authority.acme(authority.storage(), ca_server="https://127.0.0.1:14001/dir", eab={"kid": "kid-1", "hmac": EAB_KEY})
    with authority.traefik(bound, ingress("bound.example.net")):
        authority.until(lambda: bool(authority.ask("https://bound.example.net/", "--cacert", str(root))), "it is not issued")


def test_traefik_knows_every_key_that_we_write(authority: Authority) -> None:
    """It reads the whole static file before it does anything, and ends over a key that it does not know."""
    everything = {
        "key_type": "RSA2048",
        "challenge": "dns",
        "dns_provider": "exec",
        "dns_resolvers": ["127.0.0.1:8053", "[::1]:53"],
        "dns_propagation": {"delay": 30, "checks": "resolvers"},
        "eab": {"kid": "kid-1", "hmac": EAB_KEY},
        "profile": "shortlived",
        "certificates_duration": 160,
    }
    acme = authority.acme(authority.storage(), **everything)
    rendered = resolvers(ingress("api.example.net"), acme)
    rendered["none"] = resolvers(ingress("api.example.net"), {**acme, "dns_propagation": {"delay": 0, "checks": "none"}})[resolver_name(acme)]
    path = authority.folder / "all.yml"
    for more, known in (({}, True), ({"unknown": "x"}, False)):
        rendered["none"]["acme"].update(more)
        path.write_text(dump({"certificatesResolvers": rendered, "ping": {}}))
        done = subprocess.run([TRAEFIK, "healthcheck", f"--configFile={path}"], capture_output=True, text=True, check=False)
        assert ("field not found" not in done.stderr + done.stdout) is known, done.stderr + done.stdout


def test_the_filters_hashes_are_checked(authority: Authority) -> None:
    password, url = "pä$$ `wörd \\ \"'", "https://users.example.net/"
    users = [{"name": scheme, "hash": user_hash(password, scheme)} for scheme in ("bcrypt", "apr1")]
    routes = {**SMALL, "routes": {"users": route("users", auth="default")}}
    assert authority.edge.configure(ingress=routes, users=users).get("changed") is True
    assert authority.edge.status(url) == 401
    for name in ("bcrypt", "apr1"):
        assert authority.edge.status(url, "-u", f"{name}:{password}") == 200
        assert authority.edge.status(url, "-u", f"{name}:{password}.") == 401
