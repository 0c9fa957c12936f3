# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what else on a host may drop packets that our policy allows.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

In nftables "accept" ends one base chain only, "drop" is final (nft(8), "VERDICT STATEMENTS"; seen on the kernel in both
orders of priority). So another firewall can always take away what ours allows, and ours cannot help it. Such chains are
found and reported, never changed. Rules of iptables-legacy are in a part of the kernel of their own, which no nft can
show: they are read with iptables-legacy's own program.

Drops that Docker, Kubernetes and its networks (CNI), Podman, libvirt and fail2ban make by their purpose are not reported.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.module_utils._commands import Commands
from ansible_collections.alfred.portmap.plugins.module_utils._nftables import ENVIRONMENT

# Where a rule that drops a part of the traffic counts: the hooks of our own chains.
OUR_HOOKS = ("input", "forward", "output")
# Where only a chain that drops everything it does not accept counts: our packets pass there too, but single drops
# (reverse path filters, protection against spoofing) are normal there.
OTHER_HOOKS = ("ingress", "prerouting", "postrouting", "egress")
FAMILIES = ("ip", "ip6", "inet", "netdev")

# Chains and tables whose drops serve a purpose beside any firewall policy.
NEIGHBOUR_CHAINS = ("DOCKER", "KUBE-", "CNI-", "FLANNEL-", "cali-", "CILIUM_", "NETAVARK", "LIBVIRT_", "f2b-")
NEIGHBOUR_TABLES = ("docker-bridges", "kube-proxy", "netavark", "f2b-table")

ADVICE = {
    "ufw": "allow the same in ufw, or stop using it here: 'ufw disable', or adopt: [ufw]",
    "firewalld": "open the same in firewalld, or stop using it here: 'systemctl disable --now firewalld', or adopt: [firewalld]",
    "iptables-nft": "look with 'iptables -S' and 'ip6tables -S'; remove these rules, or allow the same there",
    "iptables-legacy": "look with 'iptables-legacy -S' and 'ip6tables-legacy -S' (nft does not show them); remove these rules, or allow the same there",
    "nftables": "look with 'nft list table {table}'; remove that table where it comes from, or allow the same there",
}

# In by one bridge and out by the same: who keeps containers apart that share it (Docker's enable_icc=false, and each swarm's
# docker_gwbridge) takes nothing that a policy gives. Where this can't happen, at the hooks input and output, it drops nothing.
_WITHIN_A_BRIDGE = re.compile(r'(?:-A \S+ -i|iifname) ("?)([^\s"*+!]+)\1 (?:-o|oifname) \1\2\1 ')

# What fail2ban has banned by an ipset.
_BANNED = re.compile(r"--match-set f2b-")

IPTABLES_HOOKS = {"INPUT": "input", "FORWARD": "forward", "OUTPUT": "output", "PREROUTING": "prerouting", "POSTROUTING": "postrouting"}


@dataclass
class Rule:
    """One rule: its text for people, and what it may do."""

    text: str
    drops: bool
    jumps: set[str]
    unconditional: bool


@dataclass
class Chain:
    """One chain of nftables or iptables; `hook` is "" unless it is a base chain."""

    backend: str
    family: str
    table: str
    name: str
    hook: str = ""
    priority: str = ""
    policy: str = "accept"
    rules: list[Rule] = field(default_factory=list)


Conflict = dict[str, str]


class UnreadableError(Exception):
    """A listing is not as nft writes them."""


def find_conflicts(chains: t.Sequence[Chain], own_table: str) -> list[Conflict]:
    """What may drop packets beside our own table, as plain data {kind, where, what, advice}, in the order of the chains."""
    conflicts = []
    tables: dict[tuple[str, str, str], dict[str, Chain]] = {}
    for chain in chains:
        tables.setdefault((chain.backend, chain.family, chain.table), {})[chain.name] = chain
    for chain in chains:
        if not chain.hook or chain.family not in FAMILIES or (chain.family, chain.table) == ("inet", own_table) or chain.table in NEIGHBOUR_TABLES:
            continue
        siblings = tables[(chain.backend, chain.family, chain.table)]
        reached = _reached(chain, siblings)
        what = _what(chain, reached, siblings)
        if what:
            kind = _kind(chain, reached)
            conflicts.append(
                {
                    "kind": kind,
                    "where": f"table {chain.family} {chain.table}, chain {chain.name} ({_hook_text(chain)})",
                    "what": what,
                    "advice": ADVICE[kind].format(table=f"{chain.family} {chain.table}"),
                }
            )
    return conflicts


def summaries(conflicts: t.Sequence[Conflict]) -> list[str]:
    """One line for each other firewall, however many chains it has: what its first one does, and what to do."""
    first: dict[str, Conflict] = {}
    more: dict[str, int] = {}
    for conflict in conflicts:
        first.setdefault(conflict["advice"], conflict)
        more[conflict["advice"]] = more.get(conflict["advice"], -1) + 1
    places = {0: "", 1: " (and one more chain does)"}
    return [
        "{kind}: {where} {what}".format(**conflict) + places.get(more[advice], f" (and {more[advice]} more chains do)") + f"; {advice}"
        for advice, conflict in first.items()
    ]


def _hook_text(chain: Chain) -> str:
    return f"hook {chain.hook}, priority {chain.priority}" if chain.priority else f"hook {chain.hook}"


def _neighbour(chain: Chain) -> bool:
    return chain.name.startswith(NEIGHBOUR_CHAINS)


def _by_purpose(rule: Rule) -> bool:
    return _WITHIN_A_BRIDGE.match(rule.text) is not None or _BANNED.search(rule.text) is not None


def _reached(base: Chain, siblings: t.Mapping[str, Chain]) -> list[Chain]:
    """The chain and all that it may jump to, itself first; not past the chains of neighbours."""
    found: dict[str, Chain] = {}
    waiting = [base]
    while waiting:
        chain = waiting.pop(0)
        if chain.name in found:
            continue
        found[chain.name] = chain
        if _neighbour(chain):
            continue
        for rule in chain.rules:
            waiting.extend(siblings[name] for name in sorted(rule.jumps) if name in siblings)
    return list(found.values())


def _what(base: Chain, reached: t.Sequence[Chain], siblings: t.Mapping[str, Chain]) -> str:
    if base.policy == "drop":
        # Docker sets this policy itself, and accepts what it publishes; so do others that forward to containers.
        if base.hook == "forward" and any(_neighbour(chain) for chain in reached):
            return ""
        return "drops everything that it does not accept (policy drop)"
    if _ends_in_drop(base, siblings, set()):
        return "drops everything that it does not accept (a rule without condition)"
    if base.hook not in OUR_HOOKS:
        return ""
    drops = [(chain, rule) for chain in reached if not _neighbour(chain) for rule in chain.rules if rule.drops and not _by_purpose(rule)]
    if not drops:
        return ""
    chain, rule = drops[0]
    more = "" if len(drops) == 1 else f", and {len(drops) - 1} more"
    place = "" if chain is base else f" in chain {chain.name}"
    return f"has rules that drop or reject: '{rule.text}'{place}{more}"


def _ends_in_drop(chain: Chain, siblings: t.Mapping[str, Chain], seen: set[str]) -> bool:
    if chain.name in seen or _neighbour(chain):
        return False
    seen.add(chain.name)
    for rule in chain.rules:
        if rule.unconditional and (rule.drops or any(_ends_in_drop(siblings[name], siblings, seen) for name in sorted(rule.jumps) if name in siblings)):
            return True
    return False


def _kind(base: Chain, reached: t.Sequence[Chain]) -> str:
    # Where ufw was disabled its chains stay until the next boot, empty.
    if any(chain.name.startswith(("ufw-", "ufw6-")) and chain.rules for chain in reached):
        return "ufw"
    if base.table == "firewalld" or any(chain.name in ("INPUT_ZONES", "FORWARD_IN_ZONES") for chain in reached):
        return "firewalld"
    if base.backend == "nft" and base.family in ("ip", "ip6") and base.name in IPTABLES_HOOKS and base.table in ("filter", "mangle", "raw", "nat", "security"):
        return "iptables-nft"
    return "iptables-legacy" if base.backend == "legacy" else "nftables"


# nftables: the text of "nft -s list ruleset".

_QUOTED = re.compile(r'"[^"\n]*"')  # nft's strings know no escapes
_XT_TARGET = re.compile(r'\bxt target "(\w+)"')  # an nft that was built without xtables shows iptables' extensions like this
_HEAD = re.compile(r"^type (\w+) hook (\w+)(?: devices? [^;]*?)? priority ([^;]+);(?: policy (\w+);)?")
_WORD = re.compile(r"[^\s{},;:]+")
# What a rule may hold and still apply to every packet.
_NO_CONDITION = re.compile(
    r"\b(?:counter name \S+|counter(?: packets \d+ bytes \d+)?|log(?: (?:prefix|level|group|flags|snaplen|queue-threshold) \S+)*|comment \S+) ?"
)


def parse_nft(text: str) -> list[Chain]:
    """The chains in what ``nft list ruleset`` prints. Raises UnreadableError if that cannot be understood to its end."""
    chains: list[Chain] = []
    verdict_maps: dict[tuple[str, str, str], str] = {}
    family = table = ""
    block: list[str] = []
    for line, original in _logical_lines(text):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "}":
            if block:
                block = []
            else:
                family = table = ""
        elif words[0] == "table" and words[-1] == "{" and len(words) >= 4:
            if table:
                raise UnreadableError(f"the listing goes on within the table {family} {table}")
            family, table = words[1], words[2]
        elif table and not block and words[-1] == "{":
            block = words[:-1]
            if block[0] == "chain":
                chains.append(Chain("nft", family, table, block[1]))
            elif block[0] == "map":
                verdict_maps[(family, table, block[1])] = ""
        elif block and block[0] == "map":
            verdict_maps[(family, table, block[1])] += line + "\n"
        elif block and block[0] == "chain":
            head = _HEAD.match(line)
            if head is not None:
                chains[-1].hook, chains[-1].priority = head.group(2), head.group(3)
                chains[-1].policy = head.group(4) or "accept"
            elif words[0] == "type" and "hook" in words:
                raise UnreadableError(f"a base chain is described as: {line}")
            elif words[0] != "comment":
                chains[-1].rules.append(_nft_rule(line, original))
    if table:
        raise UnreadableError(f"the listing ends within the table {family} {table}")
    for chain in chains:
        for rule in chain.rules:
            for word in _WORD.findall(rule.text):
                _add_verdicts(rule, verdict_maps.get((chain.family, chain.table, word[1:]), "") if word.startswith("@") else "")
    return chains


def _logical_lines(text: str) -> t.Iterator[tuple[str, str]]:
    """Lines without strings' contents, beside the original; a line goes on while a brace in its middle is open."""
    waiting: list[str] = []
    depth = 0
    for raw in text.splitlines():
        waiting.append(raw.strip())
        bare = _QUOTED.sub('""', _XT_TARGET.sub(r"xt_target_\1", raw.strip()))
        opens_block = depth == 0 and bare.endswith("{") and not bare.endswith("= {")
        if not (opens_block or (bare == "}" and depth == 0)):
            depth = max(depth + bare.count("{") - bare.count("}"), 0)
        if depth == 0:
            original = " ".join(waiting)
            waiting = []
            yield _QUOTED.sub('""', _XT_TARGET.sub(r"xt_target_\1", original)), original
    if waiting:
        raise UnreadableError(f"the listing ends within: {waiting[0]}")


def _nft_rule(line: str, original: str) -> Rule:
    rule = Rule(original, False, set(), False)
    _add_verdicts(rule, line)
    rest = _NO_CONDITION.sub("", line).split()
    rule.unconditional = bool(rest) and rest[0] in ("drop", "reject", "jump", "goto", "xt_target_DROP", "xt_target_REJECT")
    return rule


def _add_verdicts(rule: Rule, text: str) -> None:
    words = _WORD.findall(text)
    rule.drops = rule.drops or any(word in ("drop", "reject", "xt_target_DROP", "xt_target_REJECT") for word in words)
    rule.jumps.update(name for word, name in zip(words, words[1:]) if word in ("jump", "goto"))


# iptables-legacy: the text of "iptables-legacy-save".

_LEGACY_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')


def parse_legacy(text: str, family: str) -> list[Chain]:
    """The chains in what ``iptables-legacy-save`` or ``ip6tables-legacy-save`` prints; `family` is ip or ip6."""
    chains: dict[tuple[str, str], Chain] = {}
    table = ""
    for raw in text.splitlines():
        words = _LEGACY_QUOTED.sub('""', raw).split()
        if raw.startswith("*"):
            table = raw[1:].strip()
        elif raw.startswith(":") and len(words) >= 2:
            name = words[0][1:]
            policy = "drop" if words[1] == "DROP" else "accept"
            chains[(table, name)] = Chain("legacy", family, table, name, IPTABLES_HOOKS.get(name, "") if words[1] != "-" else "", "", policy)
        elif words[:1] == ["-A"] and (table, words[1]) in chains:
            targets = [value for option, value in zip(words, words[1:]) if option in ("-j", "-g")]
            conditions = " ".join(words[2:]).replace('-m comment --comment ""', "").split()
            rule = Rule(raw, any(value in ("DROP", "REJECT") for value in targets), set(targets), conditions[:1] in (["-j"], ["-g"]))
            chains[(table, words[1])].rules.append(rule)
    return list(chains.values())


def legacy_chains(module: Commands, proc: str = "/proc/self/net") -> tuple[list[Chain], list[Conflict]]:
    """The chains of iptables-legacy, and, where there are some that cannot be read, that as conflicts.

    The kernel says in PROC/ip_tables_names which tables are in use; without any, no program is run.
    """
    chains: list[Chain] = []
    unreadable: list[Conflict] = []
    for family, program in (("ip", "iptables"), ("ip6", "ip6tables")):
        names = _legacy_tables("{}/{}_names".format(proc, "ip_tables" if family == "ip" else "ip6_tables"))
        if not names:
            continue
        error = f"no program {program}-legacy-save is installed"
        path = _legacy_save(module, program)
        if path is not None:
            rc, out, err = module.run_command([path], environ_update=ENVIRONMENT)
            if rc == 0:
                chains.extend(parse_legacy(out, family))
                continue
            error = f"{path} says: {err.strip()}"
        unreadable.append(
            {
                "kind": "iptables-legacy",
                "where": "the kernel's {}-legacy tables: {}".format(program, ", ".join(names)),
                "what": f"cannot be looked at, so they may drop anything: {error}",
                "advice": "install the package iptables, then run again",
            }
        )
    return chains, unreadable


def _legacy_tables(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except FileNotFoundError:  # the kernel has not loaded iptables-legacy
        return []


def _legacy_save(module: Commands, program: str) -> str | None:
    path = module.get_bin_path(program + "-legacy-save")
    if path is not None:
        return str(path)
    # Before there were two, the legacy one had the plain name; today's plain name is mostly the nft one.
    path = module.get_bin_path(program + "-save")
    if path is not None:
        rc, out, _err = module.run_command([path, "--version"], environ_update=ENVIRONMENT)
        if rc == 0 and "nf_tables" not in out:
            return str(path)
    return None
