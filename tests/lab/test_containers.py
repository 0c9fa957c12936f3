# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a Docker engine of its own, asked from the outsider, from a peer, and from the containers in it.

The engine runs in four ways: with and without docker-proxy, with and without its own rules for IPv6 (`ip6tables`). What is
expected of each door is said here by hand, and once more without our table: only where something is reached then does its
silence prove a policy.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

import lab
import pytest
import yaml
from conftest import ROOT
from extra import ENGINE, ExtraHost, extra_host
from test_reboot import KNOCK

pytestmark = pytest.mark.beside

HOST4, HOST6 = "203.0.113.22", "2001:db8:1::22"
PEER4, PEER6 = "203.0.113.23", "2001:db8:1::23"
OUTSIDE4, OUTSIDE6 = lab.OUTSIDER

# A bridge whose containers have addresses that anybody on the lab's network may route to: a neighbour needs no published port.
ROUTED4, ROUTED6 = "203.0.113.48/29", "2001:db8:1:0:d0::/80"
GATEWAY4, GATEWAY6 = "203.0.113.49", "2001:db8:1:0:d0::1"
API4, API6 = "203.0.113.50", "2001:db8:1:0:d0::50"
PLAIN4, PLAIN6 = "203.0.113.51", "2001:db8:1:0:d0::51"
NAMED4 = "172.29.0.2"

# Says its own name to whoever connects or sends a datagram: a port that docker-proxy opened alone has nothing to say.
SERVE = """
import asyncio, socket, sys
name, *listening = sys.argv[1:]
ends_with_input = "stdin" in listening
class Answer(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, address):
        self.transport.sendto(name.encode(), address)
async def greet(reader, writer):
    writer.write(name.encode())
    writer.close()
async def main():
    for word in listening:
        if word == "stdin":
            continue
        transport, port = word.split(":")
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", int(port)))
        if transport == "tcp":
            await asyncio.start_server(greet, sock=sock)
        else:
            await asyncio.get_running_loop().create_datagram_endpoint(Answer, sock=sock)
    print("ready", flush=True)
    await (asyncio.to_thread(sys.stdin.read) if ends_with_input else asyncio.Event().wait())
asyncio.run(main())
"""

# Runs where the question is asked. Answers the name that was said, or why there was none.
ASK = """
import asyncio, json, socket, sys
async def tcp(address, port, seconds):
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), seconds)
    except (asyncio.TimeoutError, TimeoutError):
        return "dropped"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return "error: " + str(error)
    try:
        return (await asyncio.wait_for(reader.read(64), seconds)).decode() or "closed"
    except (asyncio.TimeoutError, TimeoutError):
        return "mute"
    except OSError as error:
        return "error: " + str(error)
    finally:
        writer.close()
async def udp(address, port, seconds):
    loop = asyncio.get_running_loop()
    found = (await loop.getaddrinfo(address, port, type=socket.SOCK_DGRAM))[0]
    with socket.socket(found[0], socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        for _second in range(seconds):  # a datagram may be lost
            try:
                sock.connect(found[4])
                sock.send(b"?")
                return (await asyncio.wait_for(loop.sock_recv(sock, 64), 1)).decode()
            except (asyncio.TimeoutError, TimeoutError, PermissionError):  # the last: by this host's own policy
                pass
            except ConnectionRefusedError:
                return "refused"
            except OSError as error:
                return "error: " + str(error)
    return "dropped"
async def main():
    print(json.dumps(await asyncio.gather(*({"tcp": tcp, "udp": udp}[transport](*rest) for transport, *rest in json.load(sys.stdin)))))
asyncio.run(main())
"""

PORT_MAP = """
port_map:
  version: 1
  namespace: shop
  networks:
    operators: [203.0.113.1, "2001:db8:1::1"]
    outside: {hosts: outsider}
  services:
    api: {port: 8081, hosts: docker1, container: true, container_port: 81, ports: {names: {port: 5310, transport: udp, container_port: 53}}}
    jobs: {port: 8062, hosts: docker1}
    db: {port: 5432, hosts: peer1}
    sshd: {port: 22, protocol: ssh, hosts: all}
  firewall:
    ingress:
      - {name: ssh, service: sshd, from: operators}
      - {name: doors, port: [8070, 8080, 8082, 8084, 8085, 8093, 8096, 8098, 9001-9002], from: anywhere, hosts: docker1}
      - {name: datagrams, port: [5300, 5370], transport: udp, from: anywhere, hosts: docker1}
      - {name: other-transport, port: 5303, from: anywhere, hosts: docker1}
      - {name: inside-containers, port: [80, 81], from: anywhere, hosts: docker1}
      - {name: inside-containers-udp, port: 53, transport: udp, from: anywhere, hosts: docker1}
    egress:
      - {name: out, port: 7001, to: outside, hosts: docker1}
      - {name: out-udp, port: 7003, transport: udp, to: outside, hosts: docker1}
      - {name: all-that-a-peer-asks, port: 1-65535, transport: [tcp, udp], to: anywhere, hosts: peer1}
    internal: {same_namespace: allow}
"""

# The containers: options of `docker run`, and what listens in them. An image has nothing but links into the host's own /usr.
CONTAINERS: dict[str, tuple[list[str], list[str]]] = {
    "web": (
        [
            *("-p", "8080:80", "-p", "8090:80", "-p", "80", "-p", f"{HOST4}:8084:80", "-p", f"[{HOST6}]:8085:80"),
            *("-p", "127.0.0.1:8082:80", "-p", "127.0.0.1:8083:80", "-p", "9000-9003:9000-9003"),
            *("-p", "5300:53/udp", "-p", "5301:53/udp", "-p", "5303:53/udp"),
        ],
        ["tcp:80", "udp:53", "tcp:9000", "tcp:9001", "tcp:9002", "tcp:9003"],
    ),
    "api": (["--network", "app", "--ip", API4, "--ip6", API6, "-p", "8081:81", "-p", "8091:81", "-p", "5310:53/udp"], ["tcp:81", "udp:53"]),
    "plain": (["--network", "app", "--ip", PLAIN4, "--ip6", PLAIN6], ["tcp:81", "udp:53"]),
    "named": (["--network", "named", "--ip", NAMED4, "-p", "8092:80", "-p", "8093:80"], ["tcp:80"]),
    "hostnet": (["--network", "host"], ["tcp:8062", "tcp:8070", "tcp:8071", "udp:5370", "udp:5371"]),
}


class Door(t.NamedTuple):
    """A port of the host, who is behind it, and whom the map lets in."""

    transport: str
    port: int
    container: str
    opened_to: str = "nobody"


DOORS = [
    Door("tcp", 8080, "web", "anywhere"),
    Door("tcp", 8090, "web"),
    Door("tcp", 9000, "web"),
    Door("tcp", 9001, "web", "anywhere"),
    Door("tcp", 9002, "web", "anywhere"),
    Door("tcp", 9003, "web"),
    Door("udp", 5300, "web", "anywhere"),
    Door("udp", 5301, "web"),
    Door("udp", 5303, "web"),  # the map has 5303/tcp
    Door("tcp", 8081, "api", "namespace"),
    Door("tcp", 8091, "api"),
    Door("udp", 5310, "api", "namespace"),
    Door("tcp", 8092, "named"),
    Door("tcp", 8093, "named", "anywhere"),
    Door("tcp", 8062, "hostnet", "namespace"),
    Door("tcp", 8070, "hostnet", "anywhere"),
    Door("tcp", 8071, "hostnet"),
    Door("udp", 5370, "hostnet", "anywhere"),
    Door("udp", 5371, "hostnet"),
]
LET_IN = {"outsider": {"anywhere"}, "peer1": {"anywhere", "namespace"}}
# From a neighbour who routes to them, published or not. Their ports are open in the map, as ports of the host.
THE_CONTAINERS_THEMSELVES = [("tcp", API4, 81), ("tcp", API6, 81), ("udp", API4, 53), ("udp", API6, 53), ("tcp", PLAIN4, 81), ("tcp", PLAIN6, 81)]
WAYS = [("-4", ROUTED4, "via", HOST4), ("-6", ROUTED6, "via", HOST6)]
OUTSIDE_LISTENS = ["tcp:7001", "tcp:7002", "udp:7003", "udp:7004"]
PEER_LISTENS = ["tcp:5432", "tcp:7001"]

Question = tuple[str, str, int]
Expected = dict[Question, str]


class Engine(t.NamedTuple):
    """One way to run Docker."""

    name: str
    proxy: bool
    ip6tables: bool

    def config(self) -> dict[str, t.Any]:
        """Its daemon.json. In Docker 20.10 `ip6tables` still is experimental."""
        more = {"ipv6": True, "fixed-cidr-v6": "fd00:d::/64", "experimental": True, "ip6tables": True} if self.ip6tables else {}
        return {"userland-proxy": self.proxy, **more}

    def reached(self, door: Door, address: str) -> str:
        """What answers where no policy is in the way."""
        if "." in address or self.proxy or door.container == "hostnet":
            return door.container
        if door.container == "api":  # has IPv6 always; without rules for it, dockerd holds the port, and that is all
            return "api" if self.ip6tables else "mute" if door.transport == "tcp" else "dropped"
        return "web" if self.ip6tables and door.container == "web" else "refused"


# In this order: Docker does not take its rules for IPv6 away when it is told to make none any more.
ENGINES = [
    Engine("proxy", proxy=True, ip6tables=False),
    Engine("no proxy", proxy=False, ip6tables=False),
    Engine("no proxy, ip6tables", proxy=False, ip6tables=True),
    Engine("proxy, ip6tables", proxy=True, ip6tables=True),
]


def ask(vantage: str, expected: Expected) -> Expected:
    """Ask from a host, or from a container ("docker1/web"). Only silence takes its time: what must answer gets all it wants."""
    host, _slash, container = vantage.partition("/")
    inside = ["docker", "exec", "-i", container] if container else []
    questions = [[*question, lab.SECONDS if answer in ("dropped", "mute") else 5 * lab.SECONDS] for question, answer in expected.items()]
    answers = lab.run(host, *inside, "python3", "-c", ASK, stdin=json.dumps(questions)).stdout
    return dict(zip(expected, json.loads(answers), strict=True))


def surprises(expected: dict[str, Expected]) -> list[str]:
    """Ask from all vantages at once. What is answered otherwise than expected."""
    with ThreadPoolExecutor() as pool:
        answers = dict(zip(expected, pool.map(ask, expected, expected.values()), strict=True))
    return [
        f"{vantage}: {transport} {address} {port}: {answers[vantage][transport, address, port]}, expected {answer}"
        for vantage, questions in expected.items()
        for (transport, address, port), answer in questions.items()
        if answers[vantage][transport, address, port] != answer
    ]


def check(expected: dict[str, Expected]) -> None:
    """Everything must be answered as expected."""
    found = surprises(expected)
    assert not found, "\n".join(["", *found])


def calls(engine: Engine, container: str, policy: bool) -> Expected:
    """What a container must find elsewhere. Two have addresses of IPv6 only if the engine gives them one."""
    expected: Expected = {}
    families = [(OUTSIDE4, PEER4)]
    if container in ("api", "plain", "hostnet") or (container == "web" and engine.ip6tables):
        families.append((OUTSIDE6, PEER6))
    for outside, peer in families:
        expected |= {("tcp", outside, 7001): "outside", ("udp", outside, 7003): "outside", ("tcp", peer, 5432): "peer"}
        expected |= {("tcp", outside, 7002): "outside", ("udp", outside, 7004): "outside"} if not policy else {}
        expected |= dict.fromkeys([("tcp", outside, 7002), ("udp", outside, 7004), ("tcp", peer, 7001), ("tcp", peer, 22)], "dropped") if policy else {}
    return expected


def to_host(*addresses: str) -> Expected:
    """What a container must find at its own host: all that the namespace may call, or everybody."""
    expected: Expected = {}
    for address in addresses:
        expected |= {("tcp", address, 8062): "hostnet", ("tcp", address, 8070): "hostnet"}
        expected |= {("tcp", address, 8071): "dropped", ("udp", address, 5371): "dropped", ("tcp", address, 22): "dropped"}
    return expected


class Site:
    """The two hosts that the map is about."""

    def __init__(self, docker1: ExtraHost, peer1: ExtraHost, inventory: str) -> None:
        self.docker1 = docker1
        self.peer1 = peer1
        self._inventory = inventory
        self.engine = ENGINES[0]

    def play(self, *argv: str) -> str:
        """Apply the map as an operator does. Gives the recap of docker1."""
        output = self.output(*argv)
        assert "past the policy" not in output, "each bridge is listed"
        (recap,) = [line for line in output.split("PLAY RECAP")[1].splitlines() if line.startswith("docker1 ")]
        return " ".join(recap.split())

    def output(self, *argv: str) -> str:
        """Apply the map. Gives all that is printed."""
        command = ["ansible-playbook", "playbooks/firewall.yml", "-i", self._inventory, "--limit", "docker1", *argv]
        output = self._run(command)
        assert "may drop what the policy allows" not in output, f"what Docker drops is no conflict\n{output}"
        return output

    def ansible(self, module: str) -> str:
        """Run a module on docker1. Gives what is printed."""
        return self._run(["ansible", "docker1", "-i", self._inventory, "-m", f"alfred.portmap.{module}", "--one-line"])

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stderr + done.stdout

    def docker(self, *argv: str, stdin: str | None = None) -> str:
        """Talk to the engine."""
        return self.docker1.run("docker", *argv, stdin=stdin).stdout.strip()

    def start(self, name: str, options: t.Sequence[str], listens: t.Sequence[str]) -> None:
        """Run a container."""
        kept = ["--detach", "--restart", "always", "--stop-signal", "KILL", "--volume", "/usr:/usr:ro"]
        self.docker("run", "--name", name, *kept, *options, "links", "python3", "/usr/local/lib/serve.py", name, *listens)

    def use(self, engine: Engine) -> None:
        """Have the engine run in this way."""
        self.engine = engine
        self.docker1.run("sh", "-c", "mkdir -p /etc/docker && cat >/etc/docker/daemon.json", stdin=json.dumps(engine.config()))
        self.restart("docker")

    def restart(self, unit: str) -> None:
        """Restart a unit, as often as one likes."""
        self.docker1.run("systemctl", "reset-failed", unit, check=False)
        self.docker1.run("systemctl", "restart", unit)
        if unit == "docker":
            self.ready()

    def ready(self) -> None:
        """Wait until all containers that there are listen. Asked by the host itself, whom no policy concerns."""
        expected = {("tcp", "127.0.0.1", 8083): "web", ("tcp", "127.0.0.1", 8070): "hostnet"}
        expected |= {("tcp", API4, 81): "api", ("tcp", PLAIN4, 81): "plain", ("tcp", NAMED4, 80): "named"}
        deadline = time.monotonic() + 60
        while found := surprises({"docker1": expected}):
            assert time.monotonic() < deadline, found
            time.sleep(0.2)

    def random_port(self) -> int:
        """Where Docker published web's port 80 when it was given the choice."""
        ports = json.loads(self.docker("inspect", "--format", "{{json .NetworkSettings.Ports}}", "web"))["80/tcp"]
        (port,) = {int(one["HostPort"]) for one in ports} - {8080, 8082, 8083, 8084, 8085, 8090}
        return port

    def doors(self, vantage: str, policy: bool = True) -> Expected:
        """What somebody elsewhere must find at the host's own addresses."""
        expected: Expected = {}
        for address in (HOST4, HOST6):
            for door in [*DOORS, Door("tcp", self.random_port(), "web")]:
                open_to_it = not policy or door.opened_to in LET_IN[vantage]
                expected[door.transport, address, door.port] = self.engine.reached(door, address) if open_to_it else "dropped"
            # On one address each; the other's port is open in the map, and nothing listens there.
            for port, only in ((8084, HOST4), (8085, HOST6)):
                expected["tcp", address, port] = self.engine.reached(Door("tcp", port, "web"), address) if address == only else "refused"
            # On loopback only: one of them is open in the map.
            expected["tcp", address, 8082] = "refused"
            expected["tcp", address, 8083] = "dropped" if policy else "refused"
            # The containers' own ports are open in the map as the host's, which has none.
            expected["tcp", address, 80] = expected["tcp", address, 81] = "refused"
        return expected

    def others(self) -> str:
        """Every table and rule on the host but ours, without what merely counts."""
        tables = self.docker1.run("nft", "list", "tables").stdout.split("\n")
        listed = [["nft", "-s", "-a", "list", *table.split()] for table in tables if table and table != "table inet portmap"]
        saved = "".join(self.docker1.run(*command).stdout for command in (*listed, ["iptables-save"], ["ip6tables-save"]))
        assert "8080" in saved and "DOCKER" in saved
        return re.sub(r"\[\d+:\d+\]$|^# (Generated|Completed).*$", "", saved, flags=re.MULTILINE)

    @contextlib.contextmanager
    def without_the_table(self) -> t.Iterator[None]:
        """For as long as the body runs, docker1 has no policy."""
        self.docker1.run("nft", "delete", "table", "inet", "portmap")
        try:
            yield
        finally:
            self.docker1.run("systemctl", "reload", "portmap-firewall")


@contextlib.contextmanager
def outside_serves() -> t.Iterator[None]:
    """The outsider listens too, for as long as the body runs, and knows a way to the containers' own addresses."""
    command = [*lab.inside("portmap-outsider"), "python3", "-c", SERVE, "outside", "stdin", *OUTSIDE_LISTENS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            for family, *way in WAYS:
                lab.run("outsider", "ip", family, "route", "replace", *way)
            yield
        finally:
            process.communicate("")
            for family, *way in WAYS:
                lab.run("outsider", "ip", family, "route", "del", *way, check=False)


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    """What was kept from before the first apply."""
    return {}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, before: dict[str, str]) -> t.Iterator[Site]:
    """The engine runs, with all containers, and the map was applied once."""
    folder = tmp_path_factory.mktemp("containers")
    with contextlib.ExitStack() as stack:
        docker1 = stack.enter_context(extra_host("docker1", 22, *ENGINE))
        peer1 = stack.enter_context(extra_host("peer1", 23))
        stack.enter_context(outside_serves())
        for host in (docker1, peer1):
            host.run("sh", "-c", "cat >/usr/local/lib/serve.py", stdin=SERVE)
        peer1.run("systemd-run", "--unit", "serve", "python3", "/usr/local/lib/serve.py", "peer", *PEER_LISTENS)
        for family, *way in WAYS:
            peer1.run("ip", family, "route", "replace", *way)

        routed = {**docker1.vars(), "port_map_container_interfaces": ["docker0", "br-*", "shop0"]}
        routed["port_map_addresses"] = [*routed["port_map_addresses"], ROUTED6]
        outsider = {"port_map_addresses": [OUTSIDE4, OUTSIDE6], "port_map_managed": False}
        hosts = {"docker1": routed, "peer1": peer1.vars(), "outsider": outsider}
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
        (folder / "port_map.yml").write_text(PORT_MAP, encoding="utf-8")

        made = Site(docker1, peer1, str(folder / "hosts.yml"))
        docker1.run("systemctl", "enable", "docker")
        links = "for name in bin lib lib64 sbin; do ln -s usr/$name $name; done"
        docker1.run("sh", "-ec", f"mkdir -p /etc/docker /run/links/usr; cd /run/links; {links}; systemctl start docker; tar -c . | docker import - links")
        made.docker("network", "create", "--subnet", ROUTED4, "--ipv6", "--subnet", ROUTED6, "app")
        made.docker("network", "create", "--subnet", "172.29.0.0/24", "-o", "com.docker.network.bridge.name=shop0", "named")
        made.docker("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "apart")
        for name, (options, listens) in CONTAINERS.items():
            made.start(name, options, listens)
        made.ready()
        before["rules"] = made.others()
        before["recap"] = made.play("--limit", "all")
        yield made


def test_dockers_rules_are_the_same_before_and_after(site: Site, before: dict[str, str]) -> None:
    """Byte for byte, with handles: after the first apply, a second one, and after our table is gone."""
    assert "changed=1" in before["recap"]
    assert site.others() == before["rules"]
    assert "changed=0" in site.play()
    assert site.others() == before["rules"]
    assert "changed=1" in site.play("-e", "firewall_state=absent")
    assert site.others() == before["rules"]
    check({vantage: site.doors(vantage, policy=False) for vantage in LET_IN})
    assert "changed=1" in site.play()
    assert site.others() == before["rules"]


@pytest.fixture(scope="module", params=ENGINES, ids=lambda engine: engine.name)
def engine(request: pytest.FixtureRequest, site: Site) -> Engine:
    """The engine started anew in each of the ways, with the map applied before."""
    site.use(request.param)
    return site.engine


def test_a_published_port_is_open_where_the_map_opens_the_hosts_port(site: Site, engine: Engine) -> None:
    expected = {vantage: site.doors(vantage) for vantage in LET_IN}
    for questions in expected.values():
        questions.update(dict.fromkeys(THE_CONTAINERS_THEMSELVES, "dropped"))
    check(expected)


def test_containers_call_the_outside_by_the_egress_rules(site: Site, engine: Engine) -> None:
    check({f"docker1/{name}": calls(engine, name, policy=True) for name in CONTAINERS})
    for name in ("web", "api"):
        assert "1 received" in site.docker("exec", name, "ping", "-c1", "-W5", OUTSIDE4)


def test_containers_call_each_other_and_their_host(site: Site, engine: Engine) -> None:
    """On one bridge as they like, by name too. Their host as a peer would, who is in the same namespace."""
    neighbours = {("tcp", "api", 81): "api", ("tcp", API4, 81): "api", ("tcp", API6, 81): "api", ("udp", API4, 53): "api", ("udp", API6, 53): "api"}
    across = {("tcp", API4, 81): "dropped", ("tcp", PLAIN4, 81): "dropped"}  # by Docker, which keeps its bridges apart
    expected = {"docker1/plain": neighbours | to_host(HOST4, HOST6, GATEWAY4, GATEWAY6), "docker1/web": across | to_host(HOST4, "172.17.0.1")}
    # Published by a container of the same bridge: back into the bridge, or through docker-proxy, which is the host.
    for address in (HOST4, HOST6) if engine.proxy or engine.ip6tables else (HOST4,):
        expected["docker1/plain"]["tcp", address, 8081] = "api"
    # By one of another bridge: through docker-proxy, else Docker drops it between its bridges.
    expected["docker1/web"] |= {("tcp", HOST4, 8081): "api" if engine.proxy else "dropped", ("tcp", HOST4, 8091): "dropped"}
    check(expected)


def test_the_host_itself_needs_nothing_allowed(site: Site, engine: Engine) -> None:
    expected = {("tcp", "127.0.0.1", port): "web" for port in (8082, 8083, 8090, 9000)} | {("tcp", "127.0.0.1", 8091): "api"}
    expected |= {("tcp", HOST4, 8090): "web", ("tcp", HOST4, 8091): "api", ("tcp", HOST4, 8071): "hostnet", ("tcp", HOST6, 8071): "hostnet"}
    expected |= {("tcp", API4, 81): "api", ("tcp", API6, 81): "api", ("udp", "127.0.0.1", 5301): "web"}
    check({"docker1": expected})


def test_without_the_policy_all_of_it_is_reached(site: Site, engine: Engine) -> None:
    """The same questions: what was silent above was silent because of our table."""
    expected = {vantage: site.doors(vantage, policy=False) for vantage in LET_IN}
    expected["outsider"].update({("tcp", API4, 81): "api", ("tcp", API6, 81): "api", ("udp", API4, 53): "api"})
    expected |= {f"docker1/{name}": calls(engine, name, policy=False) for name in CONTAINERS}
    expected["docker1/plain"] |= {("tcp", HOST4, 8071): "hostnet", ("tcp", GATEWAY4, 8071): "hostnet"}
    with site.without_the_table():
        check(expected)


def test_containers_that_come_after_the_apply(site: Site) -> None:
    """One restarted, one new, one on a bridge that was not there: nothing is applied again."""
    site.docker("network", "create", "later")
    try:
        site.start("late", ["-p", "8095:80", "-p", "8096:80"], ["tcp:80"])
        site.start("later", ["--network", "later", "-p", "8097:80", "-p", "8098:80"], ["tcp:80"])
        site.docker("restart", "web", "api")
        site.ready()
        new = {("tcp", address, port): "dropped" for address in (HOST4, HOST6) for port in (8095, 8097)}
        new |= {("tcp", address, port): name for address in (HOST4, HOST6) for port, name in ((8096, "late"), (8098, "later"))}
        check({vantage: site.doors(vantage) | new for vantage in LET_IN})
        assert "changed=0" in site.play()
        with site.without_the_table():
            reached = {("tcp", address, port): name for address in (HOST4, HOST6) for port, name in ((8095, "late"), (8097, "later"))}
            check(dict.fromkeys(LET_IN, reached))
    finally:
        site.docker("rm", "--force", "late", "later")
        site.docker("network", "rm", "later")


def test_a_bridge_that_the_policy_does_not_know_is_told(site: Site) -> None:
    """Its published port is open to strangers: a warning of each run, a conflict and a finding, until the bridge is listed."""

    def told(*listed: str) -> tuple[str, list[dict[str, str]]]:
        output = site.output("-e", json.dumps({"port_map_container_interfaces": listed}))
        (answer,) = re.findall(r"^docker1 \| SUCCESS => (\{.*\})$", site.ansible("firewall_info"), re.MULTILINE)
        return " ".join(output.split()), json.loads(answer)["conflicts"]

    warning = "the bridge shop0 publishes ports past the policy; add shop0 to port_map_container_interfaces (policy.container_interfaces)"
    for engine in ENGINES[2:]:  # without docker-proxy, Docker's translation names no bridge
        site.use(engine)
        output, conflicts = told("docker0", "br-*")
        assert warning in output
        assert [(conflict["kind"], conflict["where"]) for conflict in conflicts] == [("containers", "the bridge shop0")]
        check({"outsider": {("tcp", HOST4, 8092): "named", ("tcp", HOST4, 8090): "dropped"}})
        output, conflicts = told("docker0", "br-*", "shop0")
        assert "past the policy" not in output
        assert conflicts == []
        check({"outsider": {("tcp", HOST4, 8092): "dropped"}})


@contextlib.contextmanager
def knocking() -> t.Iterator[dict[str, t.Any]]:
    """The outsider tries what is closed, without pause, while the body runs; then `attempts`, `silence` and `opened` are known."""
    closed = [(address, port) for address in (HOST4, HOST6) for port in (8090, 8091, 8092, 8071)] + [(API4, 81), (API6, 81)]
    command = [*lab.inside("portmap-outsider"), "python3", "-c", KNOCK, json.dumps(closed)]
    told: dict[str, t.Any] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield told
        finally:
            output, _nothing = process.communicate("")
            told.update(zip(("attempts", "silence", "opened"), json.loads(output), strict=True))


def everything(site: Site) -> dict[str, Expected]:
    """The questions of the tests above, from everywhere."""
    expected = {vantage: site.doors(vantage) | dict.fromkeys(THE_CONTAINERS_THEMSELVES, "dropped") for vantage in LET_IN}
    return expected | {f"docker1/{name}": calls(site.engine, name, policy=True) for name in CONTAINERS}


def test_nftables_and_the_engine_restart(site: Site) -> None:
    """Debian's nftables.service flushes Docker's rules too: our policy is back at once, the published ports when Docker is restarted."""
    site.restart("nftables")
    assert "DOCKER " not in site.docker1.run("iptables-save").stdout, "nftables.service did not flush: this test shows nothing"
    ours = site.docker1.run("nft", "-a", "list", "table", "inet", "portmap").stdout
    closed = {question: answer for question, answer in everything(site)["outsider"].items() if answer == "dropped"}
    host = {("tcp", HOST4, 8070): "hostnet", ("tcp", HOST6, 8070): "hostnet"}
    check({"outsider": closed | host})
    with knocking() as told:
        site.restart("docker")
        check(everything(site))
    assert told["silence"] > 20 and told["opened"] == []
    assert site.docker1.run("nft", "-a", "list", "table", "inet", "portmap").stdout == ours


def test_the_host_reboots(site: Site) -> None:
    with knocking() as told:
        site.docker1.reboot()
        site.ready()
        check(everything(site))
    assert told["silence"] > 20 and told["opened"] == []
    assert "changed=0" in site.play()
    with site.without_the_table():
        check({"outsider": site.doors("outsider", policy=False)})
