# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real sockets that tools which list listeners are known to get wrong, each with the truth about it, in a network namespace of their own.

For test_tricky_sockets.py and benchmarks/listeners.py: run as a program it makes the sockets, then runs a command among them, to which the
environment variable TRICKY tells the truth as JSON: a list of {case, transport, port, reached: {address: bool}, process, pid}. FORGING=no leaves out a
process whose name forges a line of what others print.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import typing as t

# Where another host, or this one by its loopback, knocks. The second of each family is on a device that is not lo.
KNOCKED = ("127.0.0.1", "203.0.113.1", "::1", "2001:db8::1")
PLACES = {"203.0.113.1": "203.0.113.1/24", "2001:db8::1": "2001:db8::1/64"}
ALL4, ALL6, LOCAL4, LOCAL6 = (KNOCKED[:2], KNOCKED[2:], KNOCKED[:1], KNOCKED[2:3])
SPEC: dict[str, socket.SocketKind] = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
MPTCP = 262


class Stage:
    """The sockets, and the processes that hold some of them."""

    def __init__(self) -> None:
        self.truth: list[dict[str, t.Any]] = []
        self.kept: list[socket.socket] = []
        self.children: list[int] = []
        with open("/proc/self/comm", encoding="utf-8") as file:
            self.name = file.read().rstrip("\n")

    def tell(self, case: str, transport: str, port: int, reached: t.Iterable[str], process: str = "", pid: int = 0) -> None:
        """Note the truth. process, pid: ours if not said."""
        there = set(reached)
        answers = {address: address in there for address in KNOCKED}
        self.truth.append({"case": case, "transport": transport, "port": port, "reached": answers, "process": process or self.name, "pid": pid or os.getpid()})

    def keep(self, made: socket.socket) -> socket.socket:
        """Keep a socket open."""
        self.kept.append(made)
        return made

    def hold(self, name: str, *sockets: socket.socket) -> int:
        """Another process inherits these sockets, and bears this name. Gives its pid."""
        ready, tell = os.pipe()
        pid = os.fork()
        if not pid:
            with open("/proc/self/comm", "w", encoding="utf-8") as file:
                file.write(name)
            for one in self.kept:  # but not ours
                if one not in sockets:
                    one.close()
            os.write(tell, b"x")
            while True:
                signal.pause()
        self.children.append(pid)
        os.read(ready, 1)
        os.close(ready)
        os.close(tell)
        return pid

    def end(self) -> None:
        """Everything gone."""
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for one in self.kept:
            one.close()


def waiting(transport: str, address: str, v6only: bool = False, interface: str = "", port: int = 0, reuse: bool = False, protocol: int = 0) -> socket.socket:
    """A socket that waits for traffic."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, SPEC[transport], protocol)
    if ":" in address:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    if interface:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    if reuse:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((address, port))
    if transport == "tcp":
        made.listen()
    return made


def port_of(made: socket.socket) -> int:
    """Its port."""
    port: int = made.getsockname()[1]
    return port


def bound_cases(stage: Stage) -> None:
    """Where a socket is bound, and what that means."""
    cases: list[tuple[str, dict[str, t.Any], tuple[str, ...]]] = [
        ("IPv4 only, on all addresses", {"address": "0.0.0.0"}, ALL4),
        ("IPv4, on loopback", {"address": "127.0.0.1"}, LOCAL4),
        ("IPv4, on another loopback address", {"address": "127.0.0.77"}, ()),
        ("dual stack, on ::", {"address": "::"}, (*ALL4, *ALL6)),
        ("v6only, on ::", {"address": "::", "v6only": True}, ALL6),
        ("IPv6, on loopback", {"address": "::1"}, LOCAL6),
        ("IPv4-mapped, on all addresses", {"address": "::ffff:0.0.0.0"}, ALL4),
        ("IPv4-mapped, on loopback", {"address": "::ffff:127.0.0.1"}, LOCAL4),
        ("all addresses, but bound to lo", {"address": "0.0.0.0", "interface": "lo"}, LOCAL4),
        ("dual stack, but bound to lo", {"address": "::", "interface": "lo"}, (*LOCAL4, *LOCAL6)),
    ]
    for transport in SPEC:
        for case, options, reached in cases:
            stage.tell(case, transport, port_of(stage.keep(waiting(transport, **options))), reached)
    both = stage.keep(waiting("tcp", "0.0.0.0"))
    stage.keep(waiting("tcp", "::", v6only=True, port=port_of(both)))
    stage.tell("two sockets, one of each family", "tcp", port_of(both), KNOCKED)
    with contextlib.suppress(OSError):  # a kernel without it
        stage.tell("multipath TCP", "tcp", port_of(stage.keep(waiting("tcp", "0.0.0.0", protocol=MPTCP))), ALL4)


def not_listening_cases(stage: Stage) -> None:
    """What has a port and takes nobody's traffic."""
    server = stage.keep(waiting("udp", "127.0.0.1"))
    client = stage.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    client.connect(server.getsockname())
    stage.tell("connected: no listener", "udp", port_of(client), ())
    idle = stage.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    idle.sendto(b"?", server.getsockname())
    stage.tell("a client's, not connected", "udp", port_of(idle), ALL4)
    taken = stage.keep(socket.socket())
    taken.bind(("0.0.0.0", 0))
    stage.tell("bound, does not listen", "tcp", port_of(taken), ())
    listening = waiting("tcp", "0.0.0.0")
    caller = stage.keep(socket.create_connection(("127.0.0.1", port_of(listening))))
    stage.keep(listening.accept()[0])
    listening.close()
    stage.tell("a session whose listener has ended", "tcp", caller.getpeername()[1], ())


def held_cases(stage: Stage) -> None:
    """Whose it is."""
    workers = [stage.keep(waiting("tcp", "0.0.0.0", reuse=True))]
    workers.append(stage.keep(waiting("tcp", "0.0.0.0", reuse=True, port=port_of(workers[0]))))
    names = ("worker one", "[brackets]", "a) (b", *(["line\nfeed"] if os.environ.get("FORGING") != "no" else []))
    for case, name, sockets in (
        ("SO_REUSEPORT: the first worker", "worker", workers[:1]),
        ("SO_REUSEPORT: the second worker", "worker", workers[1:]),
        *((f"held by {name!r}", name, [stage.keep(waiting("tcp", "0.0.0.0"))]) for name in names),
        ("inherited, and the parent closed it", "heir", [stage.keep(waiting("udp", "0.0.0.0"))]),
    ):
        pid = stage.hold(name, *sockets)
        stage.tell(case, "udp" if sockets[0].type == socket.SOCK_DGRAM else "tcp", port_of(sockets[0]), ALL4, name, pid)
        for one in sockets:
            stage.kept.remove(one)
            one.close()


def among(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command among the sockets, in a namespace made for them."""
    argv = ["unshare", "--net", *(["--map-root-user"] if os.geteuid() else []), sys.executable, __file__, *command]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, **environment, "LC_ALL": "C"})


def main() -> int:
    """Make the sockets, run the command."""
    for words in (["link", "set", "lo", "up"], ["link", "add", "other", "type", "veth"], ["link", "set", "other", "up"]):
        subprocess.run(["ip", *words], check=True)
    for address in PLACES.values():
        subprocess.run(["ip", "address", "add", address, "dev", "other", *(["nodad"] if ":" in address else [])], check=True)
    stage = Stage()
    try:
        bound_cases(stage)
        not_listening_cases(stage)
        held_cases(stage)
        return subprocess.run(sys.argv[1:], check=False, env={**os.environ, "TRICKY": json.dumps(stage.truth)}).returncode
    finally:
        stage.end()


if __name__ == "__main__":
    sys.exit(main())
