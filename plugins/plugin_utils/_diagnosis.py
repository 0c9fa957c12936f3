# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was observed to findings: one fault, one finding; what follows from it stands beside it as its consequences.

Causes are looked for from the inside out: a host that is not reached, what listens there, the policy in force, a network path;
then what is left of the answers. Each answer that is not as planned belongs to exactly one finding, so that none gets lost.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.alfred.portmap.plugins.plugin_utils._evidence import (
    FILTERED,
    REFUSED,
    TELLING,
    UNREACHABLE,
    WRONG,
    Seen,
    asked_from,
    names,
    port_text,
    told,
)
from ansible_collections.alfred.portmap.plugins.plugin_utils._reachability import NOT_LET_OUT

Data = dict[str, t.Any]
Port = tuple[str, str, str]  # host, transport, port or range as it is written

CHECKS = ("host", "listens", "firewall", "ssh", "reaches", "health", "route")  # in this order on a host
MENDED_BY_FIREWALL = "a run of the role firewall mends it"
AT_BOOT = re.compile(r"/.*|.* is not (enabled|active)")  # reasons that are about the next boot: no packet fares otherwise for them
DOCKER_ANSWERS = "an answer of Docker"  # what listening_ports expected, where it can't tell what Docker publishes
UNREAD = "cannot be told"  # how a finding begins that says that nobody could look
GATEWAY = re.compile(r"status 5\d\d\b|no answer|took |the connection|closed the connection")  # in what a proxy says of its backend's trouble
TLS = re.compile(r"certificate|TLS")
MOST_SYMPTOMS = 3  # of one fault in its line
MANY_PORTS = 3  # that a host lets in against the plan: more of them are one finding


@dataclass
class Fault:
    """One finding in the making."""

    host: str
    check: str
    subject: str
    text: str
    why: str = ""
    advice: str = ""
    symptom: str = ""  # a word that tells it from others of the same subject, and stays the same from run to run
    ports: frozenset[Port] = frozenset()  # that it is about
    hosts: frozenset[str] = frozenset()  # that are not reached for it
    follows: list[Seen] = field(default_factory=list)
    more: list[str] = field(default_factory=list)

    def data(self) -> Data:
        """As it stands in a report, but for its id."""
        return {
            "host": self.host,
            "check": self.check,
            "subject": self.subject,
            "text": self.text,
            "why": self.why,
            "advice": self.advice,
            "consequences": self.more + told(self.follows),
        }


def diagnose(plan: t.Mapping[str, t.Any], observed: t.Mapping[str, Data], answers: t.Sequence[Seen]) -> list[Data]:
    """All findings: {id, host, check, subject, text, why, advice, consequences}, in the order of hosts and checks.

    observed: what the role verify saw of each host. answers: gather(observed).
    """
    found = _Diagnosis(plan, observed, answers).faults()
    place = {host: index for index, host in enumerate([*observed, *plan["hosts"]])}
    found.sort(key=lambda fault: (place.get(fault.host, len(place)), CHECKS.index(fault.check)))
    taken: set[str] = set()
    listed = []
    for fault in found:
        name = _slug(fault.host, fault.check, fault.subject, fault.symptom)
        unique = next(one for number in range(1, len(found) + 2) if (one := name if number == 1 else f"{name}-{number}") not in taken)
        taken.add(unique)
        listed.append({"id": unique, **fault.data()})
    return listed


def _slug(*parts: str) -> str:
    return "-".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts if part)


class _Diagnosis:
    def __init__(self, plan: t.Mapping[str, t.Any], observed: t.Mapping[str, Data], answers: t.Sequence[Seen]) -> None:
        self._plan = plan
        self._observed = observed
        self._answers = answers
        self._left = [one for one in answers if not one.good]  # which no finding accounts for yet
        self._found: list[Fault] = []

    def faults(self) -> list[Fault]:
        """Every fault; each step takes the answers that it explains."""
        self._hosts()
        for host, entry in self._observed.items():
            self._listens(host, entry.get("listens") or [])
            self._firewall(host, entry.get("firewall") or [])
            self._ssh(host, entry.get("ssh") or [])
        self._claim()
        self._paths()
        self._let_in()
        self._ports()
        self._certificates()
        self._redirects()
        self._routes()
        return self._found

    def _take(self, wanted: t.Callable[[Seen], bool]) -> list[Seen]:
        taken = [one for one in self._left if wanted(one)]
        self._left = [one for one in self._left if not wanted(one)]
        return taken

    def _groups(self, check: t.Callable[[Seen], bool], key: t.Callable[[Seen], tuple[t.Any, ...]]) -> list[list[Seen]]:
        groups: dict[tuple[t.Any, ...], list[Seen]] = {}
        for one in self._take(check):
            groups.setdefault(key(one), []).append(one)
        return list(groups.values())

    # what was seen on the hosts themselves

    def _hosts(self) -> None:
        lost = {host for host, entry in self._observed.items() if not entry["reached"]}
        jump = self._behind(lost)
        for host, entry in self._observed.items():
            if host in lost and host not in jump:
                problem = entry.get("problem") or "no answer"
                advice = "what others miss there stands below; run this again when it is back"
                behind = [other for other in jump if jump[other] == host]
                fault = Fault(host, "host", "host", f"Ansible can't reach it: {problem}", "the inventory", advice, "unreached")
                fault.hosts = frozenset([host, *behind])
                fault.more = [f"{other}: Ansible can't reach it either, since it is reached by way of {host}" for other in behind]
                self._found.append(fault)
            elif host not in lost and entry.get("problem"):
                text = f"it could not ask what it reaches: {entry['problem']}"
                self._found.append(Fault(host, "host", "questions", text, "the module probe failed", "", "unasked"))

    def _behind(self, lost: set[str]) -> dict[str, str]:
        """Of the lost hosts those that nobody gets to without jump hosts which are all lost, too, and the first of these."""
        ways: dict[str, list[str]] = {}
        for host, entry in self._plan["hosts"].items():
            for other in (entry["ssh"] or {}).get("jumps_to", ()):
                ways.setdefault(other, []).append(host)
        jump_hosts = {host for those in ways.values() for host in those}  # bastions reach each other: one of them is the cause
        return {host: ways[host][0] for host in self._observed if host in lost and host in ways and host not in jump_hosts and lost >= set(ways[host])}

    def _listens(self, host: str, findings: t.Sequence[Data]) -> None:
        groups: dict[tuple[str, ...], list[Data]] = {}
        for one in findings:
            kind = one.get("kind") or "unknown"
            about = _service(one["name"]) if kind == "missing" else f"{one.get('transport')} {one.get('port')}"
            groups.setdefault((kind, about), []).append(one)
        for (kind, about), those in groups.items():
            ports = frozenset((host, one["transport"], one["port"]) for one in those if kind in ("missing", "wrong address", "wrong owner"))
            if kind == "missing":
                self._found.append(_missing(host, about, those, ports))
            elif kind == "unknown":
                subject, advice = ("Docker", _ADVICE["docker"]) if those[0].get("expected") == DOCKER_ANSWERS else ("listeners", "")
                self._found.append(Fault(host, "listens", subject, those[0]["text"], those[0]["why"], advice, "unknown"))
            else:
                subject = port_text(those[0]["name"], those[0]["port"], those[0]["transport"])
                texts = list(dict.fromkeys(one["text"] for one in those))
                fault = Fault(host, "listens", subject, texts[0], those[0]["why"], _ADVICE[kind], kind, ports, more=texts[1:])
                self._found.append(fault)

    def _firewall(self, host: str, findings: t.Sequence[Data]) -> None:
        mended = [one["text"] for one in findings if one["why"] == MENDED_BY_FIREWALL]
        now = [text for text in mended if not AT_BOOT.fullmatch(text)]
        later = [text for text in mended if AT_BOOT.fullmatch(text)]
        advice = f"ansible-playbook playbooks/firewall.yml --limit {host}"
        if now:
            self._found.append(Fault(host, "firewall", "policy", now[0], MENDED_BY_FIREWALL, advice, "differs", more=now[1:]))
        if later:
            self._found.append(
                Fault(host, "firewall", "boot", f"it would not be in force after the next boot: {later[0]}", MENDED_BY_FIREWALL, advice, "boot", more=later[1:])
            )
        for one in findings:
            if one["why"] != MENDED_BY_FIREWALL:
                subject = "policy" if one["text"].startswith(UNREAD) else one["text"].split(":")[0]
                self._found.append(Fault(host, "firewall", subject, one["text"], one["why"], one["why"], "other"))

    def _ssh(self, host: str, findings: t.Sequence[Data]) -> None:
        if findings:
            texts = [one["text"] for one in findings]
            advice = f"ansible-playbook playbooks/ssh_bastion.yml --limit {host}"
            self._found.append(Fault(host, "ssh", "sshd", texts[0], findings[0]["why"], advice, "differs", more=texts[1:]))

    def _claim(self) -> None:
        """What the faults of the hosts themselves explain of the answers. A listener that is missing explains more than a policy.

        That nobody could look at a host explains silence at most: what is open there is open, whether Ansible gets there or not.
        """
        for fault in self._found:
            if fault.hosts:
                fault.follows += self._take(lambda one, hosts=fault.hosts: one.host in hosts and _is_missed(one))  # type: ignore[misc]
        for fault in self._found:
            if fault.ports:
                fault.follows += self._take(lambda one, ports=fault.ports: one.must_open and _is_at(one, ports))  # type: ignore[misc]
        for fault in self._found:
            if fault.check == "firewall" and fault.symptom != "boot":
                explains = _misses_by_policy if fault.text.startswith(UNREAD) else _by_policy
                fault.follows += self._take(lambda one, host=fault.host, explains=explains: explains(one, host))  # type: ignore[misc]

    # paths

    def _paths(self) -> None:
        """A vantage that hears of nobody, and a host that nobody hears of, over one family or both."""
        asked = [one for one in self._answers if not one.local and one.check != "world" and _is_missed(one)]
        answered = {(one.host, one.family) for one in asked if not one.silent}
        from_vantage: dict[tuple[str, int], list[Seen]] = {}
        for one in asked:
            from_vantage.setdefault((one.vantage, one.family), []).append(one)
        deaf = {
            key
            for key, those in from_vantage.items()
            if all(one.silent for one in those)
            and any((one.host, one.family) in answered for one in those)
            and (len({one.host for one in those}) > 1 or self._is_alone(those))
        }
        for host, families in _by_host(deaf).items():
            targets = {one.host for family in families for one in from_vantage[host, family]}
            follows = self._take(lambda one: not one.local and one.silent and one.vantage == host and one.family in families)  # noqa: B023
            text = "hears nothing from any other host{}, while others do: its own way out is broken"
            if len(targets) == 1:
                text += f", or closed between it and {targets.pop()}"
            self._path(host, families, text, "it may call " + names(one.host for one in follows), "deaf", follows)
        to_host: dict[tuple[str, int], list[Seen]] = {}
        for one in asked:
            if (one.vantage, one.family) not in deaf:
                to_host.setdefault((one.host, one.family), []).append(one)
        mute = {key for key, those in to_host.items() if key not in answered and len({(one.vantage, one.port, one.transport) for one in those}) > 1}
        for host, families in _by_host(mute).items():
            follows = self._take(lambda one: not one.local and one.silent and one.host == host and one.family in families)  # noqa: B023
            deafness = next((fault for fault in self._found if fault.host == host and fault.symptom == "deaf"), None)
            if deafness is not None and set(families) <= set(_by_host(deaf)[host]):
                deafness.text = f"is cut off{self._over(host, families)}: it hears nothing from any other host, and no other host hears from it"
                deafness.follows += follows
            else:
                self._path(host, families, "nothing on it answers any other host{}", "asked from " + names(one.vantage for one in follows), "mute", follows)

    def _is_alone(self, those: t.Collection[Seen]) -> bool:
        """Whether others hear one of the ports that a vantage does not hear, or nobody else misses any: else the ports are to blame, not its way."""
        ports = {_at(one) for one in those}
        vantages = {one.vantage for one in those}
        others = [one for one in self._answers if _at(one) in ports and one.vantage not in vantages]
        families = {one.family for one in those}
        heard = any(not one.local and one.family in families and one.must_open and not one.silent for one in others)
        return heard or all(one.good for one in others)

    def _over(self, host: str, families: t.Iterable[int]) -> str:
        """The family of a trouble, if it is not all that the host uses."""
        used = {one.family for one in self._answers if not one.local and one.check != "world" and host in (one.vantage, one.host)}
        return "" if set(families) >= used else f" over IPv{min(families)}"

    def _path(self, host: str, families: list[int], text: str, why: str, symptom: str, follows: list[Seen]) -> None:
        if follows:
            over = self._over(host, families)
            advice = f"on {host}: ip address; ip route; what stands between it and the others"
            self._found.append(Fault(host, "reaches", f"network{over}", text.format(over), why, advice, symptom, follows=follows))

    # what is open and must not be

    def _let_in(self) -> None:
        groups = self._groups(lambda one: not one.must_open and one.verdict != UNREACHABLE, lambda one: (one.host,))
        for those in groups:
            ports: dict[tuple[str, int, str], list[Seen]] = {}
            for one in those:
                ports.setdefault((one.listener, one.port, one.transport), []).append(one)
            if len(ports) > MANY_PORTS:
                vantages = names(one.vantage for one in those)
                text = f"{len(ports)} ports let in whom they must not: asked from {vantages}"
                self._found.append(Fault(those[0].host, "reaches", "ports", text, _why(those), _ADVICE["open"], "open", follows=those))
            else:
                self._found += [self._open_port(group) for group in ports.values()]
        for those in self._groups(lambda one: not one.must_open, lambda one: (one.host, one.listener, one.port, one.transport)):
            self._found.append(_folded(those, "reaches", "unreachable", "nothing is proven where there is no way"))

    def _open_port(self, those: list[Seen]) -> Fault:
        first = min(those, key=lambda one: TELLING.index(one.verdict))
        text = f"{first.subject} is open to {asked_from(those)}, and must be closed"
        if first.verdict == REFUSED:
            text += " (nobody listens there, but the packet got through)"
        return Fault(first.host, "reaches", first.subject, text, _why(those), _ADVICE["open"], "open", _ports_of(those))

    # what must answer and does not, or wrongly

    def _ports(self) -> None:
        for those in self._groups(lambda one: one.check == "port", lambda one: (one.host, one.listener, one.port, one.transport)):
            there = any(one.verdict in (WRONG, REFUSED) for one in those)  # the packets got through: it is the service's own trouble
            advice = f"on {those[0].host}: its log, and where it listens" if there else _ADVICE["closed"]
            self._found.append(_folded(those, "health" if there else "reaches", "unwell" if there else "closed", advice))
        for those in self._groups(lambda one: one.check == "world", lambda one: (one.listener, one.port, one.transport)):
            fault = _folded(those, "health", "dead", "is it up, and does it serve these hosts?")
            server = {53: "name server", 123: "time server"}.get(those[0].port, "server")
            fault.text = f"{server} {names(one.host for one in those)}{_of_symptoms(those)}"
            self._found.append(fault)

    def _certificates(self) -> None:
        """One certificate that stands for several names is one fault."""
        for those in self._groups(lambda one: one.check == "certificate", lambda one: (one.host, one.port, _certificate_trouble(one))):
            first = those[0]
            asked = names(_asked_name(one) for one in those)
            before, no_name, names_there = first.detail.partition("; it is for ")
            text = f"certificate is not for {asked}{no_name}{names_there}" if before.startswith("certificate is not for") else f"{asked}{first.symptom}"
            why = "routes with tls: " + names(one.route for one in those)
            fault = Fault(first.host, "route", f"certificate at {first.port}/tcp", text, why, "renew it, then let the proxy read it anew")
            fault.symptom = _certificate_trouble(first)
            self._found.append(fault)

    def _redirects(self) -> None:
        for those in self._groups(lambda one: one.check == "redirect", lambda one: (one.host, one.listener)):
            cause = self._closed(those)
            if cause is not None:
                cause.follows += those
                continue
            first = those[0]
            word = " does not redirect" if any(one.verdict == WRONG for one in those) else ""
            text = f"{first.listener}{word}{_of_symptoms(those)}; by the names of {names(one.route for one in those)}"
            self._found.append(Fault(first.host, "route", first.listener, text, _why(those), _ADVICE["route"], "redirect"))

    def _routes(self) -> None:
        groups = self._groups(lambda one: bool(one.route), lambda one: (one.host, one.route))
        unknown: dict[str, list[list[Seen]]] = {}
        for those in groups:
            cause = self._cause(those) or self._handshake(those) or self._closed(those)
            if cause is not None:
                cause.follows += those
            elif all(one.detail == "status 404" for one in those):
                unknown.setdefault(those[0].host, []).append(those)
            else:
                self._found.append(self._route(those))
        for host, lost in unknown.items():
            every = [name for name, route in self._plan["hosts"][host]["ingress"]["routes"].items() if _is_http(self._plan, host, route)]
            if len(lost) > 1 and len(lost) == len(every):
                flat = [one for those in lost for one in those]
                text = f"the proxy knows none of its {len(every)} routes: all answer 404"
                self._found.append(Fault(host, "route", "routes", text, _why(flat), _ADVICE["route"], "gone", follows=flat))
            else:
                self._found += [self._route(those) for those in lost]

    def _cause(self, those: list[Seen]) -> t.Optional[Fault]:
        """The finding of a backend that explains what a route answers."""
        first = those[0]
        route = self._plan["hosts"][first.host]["ingress"]["routes"][first.route]
        backends = list(route["backends"]) + list((route["canary"] or {}).get("backends", ()))
        places = [(host, str(backend["port"])) for backend in backends for host in self._hosts_of(backend["address"])]
        for fault in self._found:
            for host, port in places:
                if host in fault.hosts and _is_gateways(those):
                    return fault
                at_port = any((h, t_, str(p)) == (host, "tcp", port) for h, t_, p in fault.ports)
                if at_port and fault.symptom != "open" and (_is_gateways(those) or any(one.detail and one.detail in fault.text for one in those)):
                    return fault
        paths = [
            one for one in self._found if one.check == "firewall" and one.symptom != "boot" or one.check == "reaches" and one.subject.startswith("network")
        ]
        hosts = {first.host, *(host for backend in backends for host in self._hosts_of(backend["address"]))}
        return next((fault for fault in paths if fault.host in hosts and _is_gateways(those)), None)

    def _handshake(self, those: list[Seen]) -> t.Optional[Fault]:
        """The finding of a certificate, where a route does not get as far as to answer."""
        if not all(TLS.search(one.detail) for one in those):
            return None
        return next((one for one in self._found if one.host == those[0].host and one.subject == f"certificate at {those[0].port}/tcp"), None)

    def _closed(self, those: list[Seen]) -> t.Optional[Fault]:
        """The finding that the port as such does not answer: then no name there does."""
        if not all(one.silent for one in those):
            return None
        return next((fault for fault in self._found if fault.symptom == "closed" and _is_at(those[0], fault.ports)), None)

    def _hosts_of(self, address: str) -> list[str]:
        """The host whose address it is, or those that share a service's address."""
        own = [host for host, entry in self._plan["hosts"].items() if address in entry["addresses"]]
        return own or [host for service in self._plan["services"].values() if address in service["addresses"] for host in service["hosts"]]

    def _route(self, those: list[Seen]) -> Fault:
        first = those[0]
        route = self._plan["hosts"][first.host]["ingress"]["routes"][first.route]
        url = f"{'https' if route['tls'] else 'http'}://{route['host']}{route['path']}"
        let_in = all(one.verdict == WRONG and re.match(r"status [23]\d\d", one.detail) for one in those)
        name, seen = f"route {first.route}", f"(asked from {asked_from(those)})"
        if all(one.detail == "status 404" for one in those):
            if route["auth"] or (route["health"] and route["path"] == "/"):  # it is the proxy that asks for the password; a health page is known to be there
                text = f"{name} is gone: {url} answers 404, as does any name that the proxy does not know {seen}"
            else:
                text = f"{name}, {url} answers 404: the proxy does not know it, or its backend has no such page {seen}"
            symptom = "gone"
        elif route["auth"] and let_in:
            text, symptom = f"{name} asks for no password: {url} answers {first.detail}, expected 401 {seen}", "no password"
        elif route["allow"] is not None and let_in:
            text, symptom = f"{name} lets in clients that it must refuse: {url} answers {first.detail}, expected 403 {seen}", "lets in"
        else:
            text, symptom = f"{name}, {url}{_of_symptoms(those)}", "unwell"
        return Fault(first.host, "route", name, text, route["origin"], _ADVICE["route"], symptom)


_ADVICE = {
    "missing": "is its service started? systemctl status; journalctl -u",
    "wrong address": "its service's own configuration says where it listens",
    "wrong owner": "stop what holds the port, then start its service",
    "docker": "see why Docker does not answer: systemctl status docker; journalctl -u docker",
    "unexpected": "stop it, declare it in the port map, or list it in verify_ignore",
    "open": "which rule lets it in: ansible-playbook playbooks/explain.yml",
    "closed": "what stands between them: ansible-playbook playbooks/explain.yml; the network's own firewalls",
    "route": "ansible-playbook playbooks/ingress.yml, and the proxy's log",
}


def _missing(host: str, service: str, those: t.Sequence[Data], ports: frozenset[Port]) -> Fault:
    listed = list(dict.fromkeys(f"{one['port']}/{one['transport']}" for one in those))
    first = those[0]
    if len(listed) == 1:
        subject, text = port_text(first["name"], first["port"], first["transport"]), first["text"]
    else:
        subject, text = service, f"{service}: nothing listens on {', '.join(listed)}"
    return Fault(host, "listens", subject, text, first["why"], _ADVICE["missing"], "missing", ports)


def _service(name: str) -> str:
    """Whose ports go together: those of one service, and the proxy's with its entrypoints."""
    return "proxy" if name.startswith("entrypoint ") else name.split(".")[0]


def _is_at(one: Seen, ports: frozenset[Port]) -> bool:
    return any(one.host == host and one.transport == transport and _within(one.port, span) for host, transport, span in ports)


def _at(one: Seen) -> tuple[str, str, int]:
    return one.host, one.transport, one.port


def _within(port: int, span: str) -> bool:
    """Whether a port is one of a range as it is written; no port is in what is none."""
    written = re.fullmatch(r"(\d+)(?:-(\d+))?", str(span))
    return written is not None and int(written[1]) <= port <= int(written[2] or written[1])


def _is_missed(one: Seen) -> bool:
    """Whether it is about an answer that was due, or about a way that is not there: what is open against the plan is another matter."""
    return one.must_open or one.verdict == UNREACHABLE


def _misses_by_policy(one: Seen, host: str) -> bool:
    """Whether a policy that may be another than the planned one at this host explains a silence."""
    return one.must_open and one.verdict == FILTERED and host in (one.host, one.vantage)


def _by_policy(one: Seen, host: str) -> bool:
    """Whether a policy that is not the planned one at this host explains the answer."""
    if one.must_open:
        return _misses_by_policy(one, host)
    return one.verdict != UNREACHABLE and (one.host == host or (one.vantage == host and one.answer["why"] == NOT_LET_OUT))


def _folded(those: list[Seen], check: str, symptom: str, advice: str) -> Fault:
    """Many answers about one port as one finding."""
    first = min(those, key=lambda one: TELLING.index(one.verdict))
    text = f"{first.subject}{_of_symptoms(those)}"
    return Fault(first.host, check, first.subject, text, _why(those), advice, symptom, _ports_of(those))


def _of_symptoms(those: t.Iterable[Seen]) -> str:
    """The symptoms and who saw them, the one that says most first; it follows the subject."""
    groups: dict[str, list[Seen]] = {}
    for one in sorted(those, key=lambda one: TELLING.index(one.verdict)):
        groups.setdefault(one.symptom, []).append(one)
    listed = [f"{symptom} (asked from {asked_from(group)})" for symptom, group in groups.items()]
    return "; ".join([listed[0], *(text.lstrip(": ") for text in listed[1:MOST_SYMPTOMS])])


def _ports_of(those: t.Iterable[Seen]) -> frozenset[Port]:
    return frozenset((one.host, one.transport, str(one.port)) for one in those)


def _why(those: t.Iterable[Seen]) -> str:
    """Where the expectation comes from; several reasons in one line."""
    return "; ".join(list(dict.fromkeys(str(one.answer["why"]) for one in those if one.answer["why"]))[:3])


def _is_gateways(those: t.Iterable[Seen]) -> bool:
    return all(GATEWAY.search(one.detail) for one in those)


def _by_host(keys: t.Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for host, family in sorted(keys):
        found.setdefault(host, []).append(family)
    return found


def _certificate_trouble(one: Seen) -> str:
    """What kind of trouble, without the names and dates in it: of one certificate there is one trouble, for however many names."""
    if one.verdict == WRONG:
        for kind, pattern in (("dates", r"expired|ends in|not valid before|dates"), ("name", r"is not for|for this name"), ("trust", r"not accepted")):
            if re.search(pattern, one.detail):
                return kind
    return one.verdict


def _asked_name(one: Seen) -> str:
    return str(one.answer["name"]).split()[-1]


def _is_http(plan: t.Mapping[str, t.Any], host: str, route: Data) -> bool:
    return bool(plan["hosts"][host]["ingress"]["entrypoints"][route["entrypoint"]]["protocol"] == "http")
