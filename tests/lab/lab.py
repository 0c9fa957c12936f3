# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running lab, asked from the inside: in the namespaces of one of its hosts, never by Ansible, so that a mistake there is seen.

Also a program: prints who reaches what, as seen on the wire (`./dev demo` ends with it).
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing as t

ADDRESSES = {
    "bastion1": ("203.0.113.10", "2001:db8:1::10"),
    "edge1": ("203.0.113.11", "2001:db8:1::11"),
    "core1": ("203.0.113.12", "2001:db8:1::12"),
    "ui1": ("203.0.113.13", "2001:db8:1::13"),
    "data1": ("203.0.113.14", "2001:db8:1::14"),
    "monitor1": ("203.0.113.15", "2001:db8:1::15"),
}
OUTSIDER = ("203.0.113.60", "2001:db8:1::60")

# Everything that listens for others in the lab.
LISTENING = {
    "bastion1": [22, 9100],
    "edge1": [22, 80, 443, 8881, 9100],
    "core1": [22, 8080, 8081, 8082, 8083, 8084, 8085, 8086, 9100],
    "ui1": [22, 3000, 3001, 8501, 9100],
    "data1": [22, 5432, 5433, 5434, 6379, 9100, 9121, 9187],
    "monitor1": [22, 3000, 9090, 9100],
}

Question = tuple[str, int]

# Runs on the host that asks. A refusal is not the same as silence: the policy drops.
CONNECT = """
import asyncio, json, sys
async def ask(address, port):
    try:
        _reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), SECONDS)
    except (asyncio.TimeoutError, TimeoutError):
        return "dropped"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return "error: " + str(error)
    writer.close()
    return "open"
async def main():
    print(json.dumps(await asyncio.gather(*(ask(*question) for question in json.load(sys.stdin)))))
asyncio.run(main())
"""

# The same for one datagram that a server answers.
DATAGRAM = """
import socket, sys
address, port, payload = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(SECONDS)
try:
    sock.sendto(payload, (address, port))
    print("answered" if sock.recvfrom(4096) else "")
except TimeoutError:
    print("dropped")
except OSError as error:
    print("dropped" if error.errno == 1 else error)
"""
DNS_QUESTION = "123401000001000000000000076578616d706c65036f72670000010001"
NTP_QUESTION = "23" + "00" * 47

# Silence is only told from slowness by waiting; on one machine an answer takes milliseconds.
SECONDS = 3


# What `docker exec` gives, and no word of whoever runs the tests.
ENVIRONMENT = ["env", "--ignore-environment", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]

_inits: dict[str, tuple[str, str]] = {}


def _started(pid: str) -> str:
    """When a process started, in ticks since boot (proc(5): field 22 of stat); empty if there is none."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def inside(container: str) -> list[str]:
    """What runs the command behind it in a container. Not `docker exec`: it costs 25 times the CPU, and tests ask thousands of times."""
    pid, started = _inits.get(container, ("", ""))
    if not pid or _started(pid) != started:
        command = ["docker", "inspect", "--format", "{{.State.Pid}}", container]
        pid = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        assert pid != "0", f"{container} does not run"
        _inits[container] = (pid, _started(pid))
    return ["nsenter", "--target", pid, "--all", "--", *ENVIRONMENT]


def run(host: str, *argv: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command on a host of the lab."""
    done = subprocess.run([*inside(f"portmap-{host}"), *argv], input=stdin or "", capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{host}: {argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def connect(vantage: str, questions: list[Question], seconds: float = SECONDS) -> dict[Question, str]:
    """Try TCP connections, all at once: `open`, `refused`, `dropped` or `error: …` for each address and port."""
    answers = run(vantage, "python3", "-c", CONNECT.replace("SECONDS", str(seconds)), stdin=json.dumps(questions)).stdout
    return dict(zip(questions, json.loads(answers), strict=True))


def datagram(vantage: str, address: str, port: int, payload: str) -> str:
    """Send one datagram: `answered`, or `dropped` when nothing came back or the host's own policy refused to send it."""
    return run(vantage, "python3", "-c", DATAGRAM.replace("SECONDS", str(SECONDS)), address, str(port), payload).stdout.strip()


def curl(vantage: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Ask a web server; curl's exit code is the caller's to judge."""
    return run(vantage, "curl", "--silent", "--show-error", "--max-time", "10", *argv, check=False)


def everywhere(*ports: int) -> list[Question]:
    """These ports of every host, on both families."""
    return [(address, port) for pair in ADDRESSES.values() for address in pair for port in ports]


def summary() -> t.Iterator[str]:
    """One line per listening port, one column per vantage: `46` open on IPv4 and IPv6, `4` or `6` one of them, `·` closed."""
    vantages = ["outsider", *ADDRESSES]
    questions = [(address, port) for host, ports in LISTENING.items() for port in ports for address in ADDRESSES[host]]
    seen = {vantage: connect(vantage, questions) for vantage in vantages}
    yield "who reaches what, as seen on the wire (46: open on IPv4 and IPv6, ·: closed)"
    yield f"{'':16}" + "".join(f"{vantage:>10}" for vantage in vantages)
    for host, ports in LISTENING.items():
        for port in ports:
            v4, v6 = ADDRESSES[host]
            cells = []
            for vantage in vantages:
                families = ("4" if seen[vantage][v4, port] == "open" else "") + ("6" if seen[vantage][v6, port] == "open" else "")
                cells.append(families or "·")
            yield f"{host:>10}:{port:<5}" + "".join(f"{cell:>10}" for cell in cells)


if __name__ == "__main__":
    for line in summary():
        print(line)
    sys.exit(0)
