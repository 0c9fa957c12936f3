# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can break on a running fleet, broken for real: each fault is one finding in plain words at the right host, and nothing else is told.

Many faults are there at once, one a port, as one run of verify takes as long as another; what would hide another is in a round of its own.
The published container and the wrong unit of sshd are in test_traefik_container.py and test_ssh_bastion.py, which have such hosts.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import typing as t
from dataclasses import dataclass

import lab
import pytest
from conftest import ROOT

# A server that misbehaves: FAULT PORT. It answers on both families, whatever is asked.
FAULTY = r"""
import os, socket, socketserver, sys, time
fault, port = sys.argv[1], int(sys.argv[2])
def http(status, body, more=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n{body}".encode()
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        if fault == "closes at once":
            return
        if fault == "speaks ssh":
            self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        request = self.request.recv(65536)
        if fault == "says nothing":
            time.sleep(60)
        if fault == "slow":
            time.sleep(3)
        if fault == "drips":
            for byte in http("200 OK", "x" * 4000):
                self.request.sendall(bytes([byte])); time.sleep(1)
        answers = {
            "status 500": http("500 Internal Server Error", "broken"), "status 503": http("503 Service Unavailable", ""), "healthy": http("200 OK", "well"),
            "another service": http("404 Not Found", "who?"), "slow": http("200 OK", "well"), "garbage": b"\x00\x01\x02\x03" * 8,
            "a page for metrics": http("200 OK", "<html>not metrics</html>"), "speaks http": http("400 Bad Request", ""),
        }
        self.request.sendall(answers.get(fault, b""))
class Server(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address, daemon_threads = socket.AF_INET6, True, True
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()
    def handle_error(self, *_args):
        pass
Server(("::", port), Handler).serve_forever()
"""
LISTENER = "import socket, time; s = socket.socket({family}, {kind}); s.bind(({address!r}, {port})); {kind} == 1 and s.listen(); time.sleep(6000)"
DYNAMIC = "/etc/traefik/conf.d/portmap.yml"


@dataclass(frozen=True)
class Fault:
    """One thing that breaks on one host, how it is mended, and what must be told of it."""

    what: str
    host: str
    break_it: str
    mend_it: str
    check: str
    says: str  # regular expression for the finding's text
    at: str = ""  # where it is told, if not at that host


def unit(name: str, script: str, *argv: str | int) -> str:
    """The shell command that runs a Python script as a unit of this name. Started only once it listens."""
    words = " ".join(f"'{word}'" for word in argv)
    return f"cat >/run/{name}.py <<'SCRIPT'\n{script}\nSCRIPT\nsystemd-run --quiet --collect --unit={name} python3 /run/{name}.py {words}; sleep 0.5"


def instead(service: str, port: int, fault: str, host: str, check: str, says: str) -> Fault:
    """Something else answers on a service's port."""
    name = f"faulty-{port}"
    stop = f"systemctl stop {service}; "
    return Fault(f"{service} {fault}", host, stop + unit(name, FAULTY, fault, port), f"systemctl stop {name}; systemctl start {service}", check, says)


def listens(what: str, host: str, family: str, kind: str, address: str, port: int, says: str, check: str = "listens") -> Fault:
    """Something listens that nobody planned."""
    script = LISTENER.format(family=2 if family == "ipv4" else 10, kind=1 if kind == "tcp" else 2, address=address, port=port)
    name = f"stray-{kind}-{port}"
    return Fault(what, host, unit(name, script), f"systemctl stop {name}", check, says)


def stopped(service: str, host: str, says: str) -> Fault:
    """A service that ended."""
    return Fault(f"{service} stopped", host, f"systemctl stop {service}", f"systemctl start {service}", "listens", says)


def told_otherwise(what: str, host: str, name: str, edit: str, check: str, says: str, at: str = "") -> Fault:
    """A service of the lab whose options somebody edited."""
    path, restart = f"/etc/default/lab-{name}", f"systemctl restart lab-service@{name}; sleep 0.5"
    kept = f"/root/{what.replace(' ', '-')}"
    return Fault(what, host, f"cp -p {path} {kept}; sed -i '{edit}' {path}; {restart}", f"mv {kept} {path}; {restart}", check, says, at)


def edited(what: str, edit: str, says: str) -> Fault:
    """Somebody edits Traefik's routes by hand; it takes them up by itself."""
    kept = f"/root/{what.replace(' ', '-')}"
    break_it = f"cp -p {DYNAMIC} {kept}; cp -p {DYNAMIC} {DYNAMIC}.new; {edit} {DYNAMIC}.new; mv {DYNAMIC}.new {DYNAMIC}; sleep 3"
    return Fault(what, "edge1", break_it, f"mv {kept} {DYNAMIC}.new; mv {DYNAMIC}.new {DYNAMIC}; sleep 3", "route", says)


def by_hand(what: str, host: str, command: str, says: str) -> Fault:
    """Somebody changes the policy in force; a reload of our unit brings it back."""
    return Fault(what, host, command, "systemctl reload-or-restart portmap-firewall", "firewall", says)


SERVICES = [
    stopped("lab-service@alfred-core", "core1", r"alfred-core: nothing listens on 8080/tcp"),
    told_otherwise(
        "on loopback", "core1", "model-registry", r"s/\[::]/127.0.0.1/", "listens", r"model-registry: 8081/tcp listens on 127\.0\.0\.1, expected any"
    ),
    instead("lab-service@model-router", 8082, "another service", "core1", "health", r"model-router .*status 404"),
    instead("lab-service@slack-adapter", 8083, "healthy", "core1", "listens", r"slack-adapter: 8083/tcp .*python3.* faulty-8083"),
    instead("lab-service@slack-mcp-gateway", 8084, "status 500", "core1", "health", r"slack-mcp-gateway .*status 500"),
    instead("lab-service@agent-orchestrator", 8085, "slow", "core1", "health", r"agent-orchestrator .*took 3[0-9.]* s, expected at most 2 s"),
    instead("lab-service@social-intel", 8086, "says nothing", "core1", "health", r"social-intel .*no answer"),
    told_otherwise("on IPv4 alone", "ui1", "ui-chat", r"s/\[::]/0.0.0.0/", "health", r"ui-chat .*refused.*over IPv6"),
    instead("lab-service@mission-control", 3000, "closes at once", "ui1", "health", r"mission-control .*(closed|broke|no HTTP)"),
    instead("lab-service@mission-control-simplified", 3001, "drips", "ui1", "health", r"mission-control-simplified .*no answer"),
    instead("lab-service@db-storage", 5433, "garbage", "data1", "health", r"db-storage .*no HTTP"),
    instead("lab-service@db-auth", 5434, "status 503", "data1", "health", r"db-auth .*status 503"),
    instead("postgresql@15-main", 5432, "speaks http", "data1", "health", r"db-postgres .*PostgreSQL"),
    Fault(
        "Redis wants a password",
        "data1",
        "redis-cli config set requirepass secret",
        "redis-cli --no-auth-warning -a secret config set requirepass ''",
        "health",
        r"redis .*wants a password",
    ),
    stopped("prometheus-redis-exporter", "data1", r"redis-exporter: nothing listens on 9121/tcp"),
    instead("prometheus-postgres-exporter", 9187, "a page for metrics", "data1", "health", r"db-exporter .*metrics"),
    instead("lab-service@grafana", 3000, "speaks ssh", "monitor1", "health", r"grafana .*no HTTP"),
    Fault("Prometheus hangs", "monitor1", "systemctl kill -s STOP prometheus", "systemctl kill -s CONT prometheus", "health", r"prometheus .*no answer"),
    listens(
        "a stray listener",
        "core1",
        "ipv4",
        "tcp",
        "0.0.0.0",
        7777,
        r"7777/tcp listens on 0\.0\.0\.0, and nothing in the map explains it; it is python3 .*stray-tcp-7777",
    ),
    listens("a stray UDP socket", "data1", "ipv6", "udp", "::", 5555, r"5555/udp listens on ::, and nothing in the map explains it"),
    listens("a stray listener on one address", "bastion1", "ipv6", "tcp", "2001:db8:1::10", 4444, r"4444/tcp listens on 2001:db8:1::10, and nothing"),
    stopped("prometheus-node-exporter", "bastion1", r"node-exporter: nothing listens on 9100/tcp"),
    told_otherwise(
        "the name server is dead", "outsider", "world", "s#dns://198.51.100.53:53 dns://\\[2001:db8:2::53]:53##", "health", r"name server", "198.51.100.53"
    ),
    told_otherwise(
        "the time server is dead", "outsider", "world", "s#ntp://198.51.100.123:123 ntp://\\[2001:db8:2::123]:123##", "health", r"time server", "198.51.100.123"
    ),
]
PROXY = [
    edited("a route is gone", "sed -i 's/`chat.alfred/`chatt.alfred/'", r"route chat .*404"),
    edited("a password is gone", "sed -i '/^    prometheus:/,/tls/{/- .auth-default/d}'", r"route prometheus asks for no password"),
    edited("a route leads nowhere", "sed -i 's#203.0.113.15:3000#203.0.113.15:3999#'", r"route grafana.*(no answer|status 50[24])"),
]
FIREWALL = [
    by_hand(
        "a rule that lets everybody in", "core1", "nft insert rule inet portmap input tcp dport 8080 counter accept", r"changed by hand \(\+tcp dport 8080"
    ),
    by_hand("the table is gone", "data1", "nft delete table inet portmap", r"missing"),
    by_hand("a rule that lets nobody in", "ui1", "nft insert rule inet portmap input tcp dport 3001 drop", r"changed by hand \(\+tcp dport 3001 drop"),
    Fault(
        "another firewall",
        "bastion1",
        "nft 'table inet other { chain input { type filter hook input priority 0; tcp dport 9100 drop; }; }'",
        "nft delete table inet other",
        "firewall",
        r"table inet other, chain input",
    ),
    by_hand(
        "a rule is removed",
        "bastion1",
        "nft delete rule inet portmap input handle $(nft -a list chain inet portmap input | sed -n 's/.* drop # handle //p' | tail -n 1)",
        r"changed by hand \(-",
    ),
    Fault("not loaded at boot", "monitor1", "systemctl disable portmap-firewall", "systemctl enable portmap-firewall", "firewall", r"boot"),
]
CERTIFICATES = "/etc/portmap/tls"


def certificate(what: str, names: str, days: tuple[int, int], says: str) -> Fault:
    """The proxy serves a certificate for these names, valid between so many days from now."""
    script = f"""
        cd {CERTIFICATES}; cp -p self-signed-traefik-*.pem /root/served.pem
        dir=$(mktemp -d); touch $dir/index; echo 01 >$dir/serial
        printf '[ca]\\ndefault_ca=x\\n[x]\\ndatabase=%s/index\\nserial=%s/serial\\nnew_certs_dir=%s\\n' $dir $dir $dir >$dir/cnf
        printf 'default_md=sha256\\npolicy=p\\ncopy_extensions=copy\\n[p]\\n' >>$dir/cnf
        openssl req -new -key self-signed-traefik-*.key -subj / -addext "subjectAltName={names}" -out $dir/csr
        openssl ca -batch -notext -selfsign -config $dir/cnf -keyfile self-signed-traefik-*.key -in $dir/csr -out $dir/pem \
            -startdate $(date -ud '{days[0]} days' +%y%m%d%H%M%SZ) -enddate $(date -ud '{days[1]} days' +%y%m%d%H%M%SZ) 2>$dir/log
        cat $dir/pem >$(ls self-signed-traefik-*.pem)
        systemctl restart traefik; sleep 1"""
    mend = f"cd {CERTIFICATES}; cat /root/served.pem >$(ls self-signed-traefik-*.pem); systemctl restart traefik; sleep 1"
    return Fault(what, "edge1", script, mend, "route", says)


DEAF = Fault(
    "no IPv6 any more",
    "monitor1",
    "ip -6 -o address show dev eth0 | awk '{print $4}' >/root/addresses; ip -6 address flush dev eth0",
    "while read -r address; do ip -6 address add $address dev eth0 nodad; done </root/addresses;"
    " ip -6 route replace default via 2001:db8:1::1 dev eth0 metric 1024",
    "reaches",
    r"is cut off over IPv6",
)
SERVED = "DNS:*.alfred.example.com"
OTHER_NAMES = certificate("a certificate for other names", "DNS:www.example.net", (-1, 90), r"is not for")
ROUNDS = {
    "services, and a certificate that soon ends": [*SERVICES, certificate("a certificate that soon ends", SERVED, (-40, 5), r"ends in [45] days")],
    "policies and routes, and a certificate that ended": [*FIREWALL, *PROXY, certificate("an expired certificate", SERVED, (-40, -5), r"expired on")],
    "the proxy, and a network": [
        Fault("the proxy stopped", "edge1", "systemctl stop traefik", "systemctl start traefik; sleep 1", "listens", r"nothing listens on .*80/tcp"),
        DEAF,
    ],
}
NOTHING: list[str] = []


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The lab's map, which also says who must hold the port of slack-adapter."""
    path = tmp_path_factory.mktemp("maps") / "port_map.yml"
    text = (ROOT / "inventories" / "port_map.yml").read_text(encoding="utf-8")
    changed = text.replace("slack-adapter: {port: 8083,", "slack-adapter: {port: 8083, owner: lab-service@slack-adapter,")
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    return path


def proof(owned: pathlib.Path, directory: pathlib.Path, *argv: str) -> dict[str, t.Any]:
    """What a run of verify puts together."""
    found = directory / "proof.json"
    found.unlink(missing_ok=True)
    here = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    write = {"ansible.builtin.copy": {"content": "{{ verify_report_data | to_json }}", "dest": str(found), "mode": "0600"}, "delegate_to": "localhost"}
    play = {"hosts": "all", "gather_facts": False, "roles": ["alfred.portmap.port_map", "alfred.portmap.verify"]}
    play["tasks"] = [{**write, "run_once": True, "vars": here}]
    playbook = directory / "play.json"
    playbook.write_text(json.dumps([play]), encoding="utf-8")
    options = {"port_map_file": str(owned), "verify_fail": False}
    command = ["ansible-playbook", "--timeout", "4", "-i", "inventories/lab", str(playbook), "-e", json.dumps(options), *argv]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert found.exists(), done.stdout + done.stderr
    return t.cast("dict[str, t.Any]", json.loads(found.read_text(encoding="utf-8")))


def shell(host: str, script: str) -> None:
    """On a host of the lab."""
    lab.run(host, "sh", "-ec", script)


def line(finding: t.Mapping[str, t.Any]) -> str:
    """A finding as it is told."""
    return f"{finding['host']} {finding['check']}: {finding['text']}"


@pytest.mark.parametrize("name", ROUNDS)
def test_each_fault_is_found_and_nothing_else(name: str, owned: pathlib.Path, tmp_path: pathlib.Path) -> None:
    faults = ROUNDS[name]
    broken: list[Fault] = []
    try:
        for fault in faults:
            broken.append(fault)
            shell(fault.host, fault.break_it)
        findings = proof(owned, tmp_path)["findings"]
    finally:
        for fault in reversed(broken):
            lab.run(fault.host, "sh", "-c", fault.mend_it, check=False)
    told = [line(finding) for finding in findings]
    wanted = {fault.what: re.compile(f"{fault.at or fault.host} {fault.check}: .*(?:{fault.says})") for fault in faults}
    found = {what: [text for text in told if pattern.match(text)] for what, pattern in wanted.items()}
    assert {what: len(texts) for what, texts in found.items()} == dict.fromkeys(wanted, 1), "\n".join(told)
    assert [text for text in told if not any(text in texts for texts in found.values())] == NOTHING


def test_a_host_that_hangs_is_one_finding_and_the_rest_is_proven(owned: pathlib.Path, tmp_path: pathlib.Path) -> None:
    try:
        shell(OTHER_NAMES.host, OTHER_NAMES.break_it)
        subprocess.run(["docker", "pause", "portmap-ui1"], check=True, capture_output=True)
        document = proof(owned, tmp_path)
    finally:
        subprocess.run(["docker", "unpause", "portmap-ui1"], check=False, capture_output=True)
        lab.run(OTHER_NAMES.host, "sh", "-c", OTHER_NAMES.mend_it, check=False)
    by_host = {one["host"]: one for one in document["findings"]}
    assert sorted((one["host"], one["check"]) for one in document["findings"]) == [("edge1", "route"), ("ui1", "host")], document["findings"]
    assert re.search(OTHER_NAMES.says, by_host["edge1"]["text"]), by_host["edge1"]
    assert any("route chat" in text for text in by_host["ui1"]["consequences"])
    assert document["summary"]["unreached"] == 1 and document["summary"]["questions"] > 100


def test_a_healthy_lab_has_no_findings(owned: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """After all that was broken was mended."""
    document = proof(owned, tmp_path)
    assert [line(one) for one in document["findings"]] == NOTHING
    assert document["summary"]["good"] and document["summary"]["questions"] > 500
