# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a whole run of verify found, as one document of plain data: all that a report shows, and nothing else needs to be asked.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it. The document itself is described in filter report_data.
"""

from __future__ import annotations

import collections
import typing as t
from datetime import datetime

from ansible_collections.alfred.portmap.plugins.plugin_utils._diagnosis import UNREAD, diagnose
from ansible_collections.alfred.portmap.plugins.plugin_utils._evidence import TELLING, Seen, gather, names
from ansible_collections.alfred.portmap.plugins.plugin_utils._findings import NEVER
from ansible_collections.alfred.portmap.plugins.plugin_utils._matrix import matrix
from ansible_collections.alfred.portmap.plugins.plugin_utils._reachability import UDP_KINDS
from ansible_collections.alfred.portmap.plugins.plugin_utils._representatives import asks

Data = dict[str, t.Any]

VERSION = 1
MOST_CLASSES = 6  # of which it is said by name who spoke for them
GIVEN_UP = "an earlier task of this run failed there, or did not get there"


def report_data(plan: t.Mapping[str, t.Any], observed: t.Mapping[str, Data], meta: t.Mapping[str, t.Any]) -> Data:
    """The report document of one run.

    observed: verify_observed of each host of the play. meta: {started, finished, inventory, classes, lost}; classes, as asks() chose
    them, may be missing: then every host spoke for itself. lost: hosts that were given up on before anybody looked.
    """
    gone = {host: {**NEVER, "managed": host in plan["hosts"], "reached": False, "problem": GIVEN_UP} for host in meta.get("lost") or ()}
    observed = {**observed, **gone}
    answers = gather(observed)
    findings = diagnose(plan, observed, answers)
    classes = meta.get("classes")
    if classes is None:
        classes = asks(plan, (), full=True)["classes"]
    listeners = [row for host, entry in observed.items() for row in _listeners(host, entry)]
    unreached = [host for host, entry in observed.items() if not entry["reached"]]
    questions = [answer for entry in observed.values() for answer in entry.get("answers") or ()]
    return {
        "version": VERSION,
        "environment": plan["environment"] or "",
        "inventory": meta.get("inventory", ""),
        "started": meta["started"],
        "finished": meta["finished"],
        "seconds": _seconds(meta["started"], meta["finished"]),
        "summary": {
            "good": not findings,
            "hosts": len(observed),
            "unreached": len(unreached),
            "listeners": sum(row["state"] != "missing" for row in listeners),
            "questions": len(questions),
            "kept_in": sum(one.kept_in for one in answers),
            "findings": len(findings),
            "notes": _notes(plan, observed, classes, answers),
        },
        "findings": findings,
        "hosts": _hosts(plan, observed, classes, findings),
        "classes": [dict(one) for one in classes],
        "listeners": listeners,
        "routes": _routes(plan, answers),
        "health": _health(answers),
        "matrix": matrix(answers),
    }


def _seconds(started: str, finished: str) -> float:
    """Between two times in ISO 8601. Raises ValueError."""
    begin, end = (datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (started, finished))
    return round(max((end - begin).total_seconds(), 0.0), 1)


# what the reader must know of the proof itself


def _notes(plan: t.Mapping[str, t.Any], observed: t.Mapping[str, Data], classes: t.Sequence[Data], answers: t.Sequence[Seen]) -> list[str]:
    notes = []
    outside = [host for host in observed if host not in plan["hosts"]]
    asked = {one.vantage for one in answers}
    if not outside:
        notes.append("No host of this inventory stands outside the plan (port_map_managed: false), so nobody asked from where strangers stand.")
    elif not any(host in asked for host in outside):
        notes.append("None of the hosts outside the plan asked, so nobody asked from where strangers stand.")
    notes += _unheard(answers)
    missing = [host for host in plan["hosts"] if host not in observed]
    if missing:
        notes.append(f"This run left out {names(missing)}: nothing was looked at there.")
    few = [(len(one["hosts"]), speaking) for one in classes if 0 < len(speaking := _speaking(one)) < len(one["hosts"])]
    notes += [f"{names(speaking)} spoke for {count} hosts like them (verify_full: true lets each speak for itself)." for count, speaking in few[:MOST_CLASSES]]
    if len(few) > MOST_CLASSES:
        notes.append(f"So did others for {len(few) - MOST_CLASSES} more kinds of hosts.")
    silent = sorted({f"{line['name']} {line['ports']}/udp" for entry in plan["hosts"].values() for line in entry["listeners"] if _is_silent(line)})
    if silent:
        notes.append(f"That it answers was asked of no UDP service but DNS and NTP: not of {names(silent)}. Only who must not get through was.")
    return notes + _unasked(plan, answers)


def _unheard(answers: t.Iterable[Seen]) -> list[str]:
    """Who heard from no other host: without one answer, silence may be the asking host's own trouble, and looks like all is well."""
    heard: dict[str, dict[int, bool]] = {}
    for one in answers:
        # A host that keeps all its questions in proves nothing of others, and does not pretend to: that is counted apart.
        if not one.local and one.check != "world" and (one.answered or not one.kept_in):
            families = heard.setdefault(one.vantage, {})
            families[one.family] = families.get(one.family, False) or one.answered
    groups: dict[str, list[str]] = {}
    for vantage, families in heard.items():
        silent = [family for family, answered in families.items() if not answered]
        if silent:
            groups.setdefault("" if len(silent) == len(families) else f" over IPv{silent[0]}", []).append(vantage)
    return [f"{names(those)} heard from nobody{over}, so {'its' if len(those) == 1 else 'their'} silence proves nothing." for over, those in groups.items()]


def _unasked(plan: t.Mapping[str, t.Any], answers: t.Iterable[Seen]) -> list[str]:
    """What the map declares where this inventory has no managed host: in a cluster, at addresses of others, behind somebody else's proxy."""
    notes = []
    served = {name for entry in plan["hosts"].values() if entry["ingress"] for name in entry["ingress"]["routes"]}
    routes = [name for name in plan["port_map"].get("routes") or () if name not in served]
    if routes:
        notes.append(f"Nobody asked for the routes {names(routes)}: no managed host of this inventory serves them.")
    asked = {str(one.answer["target"]) for one in answers}
    elsewhere = []
    for name, service in plan["services"].items():
        places = [address for address in service["addresses"] if address not in asked] + [host for host in service["hosts"] if host not in plan["hosts"]]
        if not places and not service["addresses"] and not service["hosts"] and service["networks"]:
            places = ["in its cluster"]
        if places and service["ports"]:
            elsewhere.append(f"{name} ({names(places)})")
    if elsewhere:
        notes.append(f"Nobody asked {names(elsewhere)}: no managed host of this inventory is there.")
    return notes


def _speaking(one: Data) -> list[str]:
    return list(dict.fromkeys([*one["asked"], *one.get("asking", ())]))


def _is_silent(line: Data) -> bool:
    return bool(line["transport"] == "udp" and line["protocol"] not in UDP_KINDS)


# hosts


def _hosts(plan: t.Mapping[str, t.Any], observed: t.Mapping[str, Data], classes: t.Sequence[Data], findings: t.Sequence[Data]) -> list[Data]:
    of_class = {host: one for one in classes for host in one["hosts"]}
    counted = collections.Counter(finding["host"] for finding in findings)
    rows = []
    for host, entry in observed.items():
        one = of_class.get(host, {"name": host, "asked": [], "asking": []})
        known = plan["hosts"].get(host) or plan.get("vantages", {}).get(host) or {"addresses": []}
        rows.append(
            {
                "name": host,
                "addresses": list(known["addresses"]),
                "managed": entry["managed"],
                "reached": entry["reached"],
                "class": one["name"],
                "representative": host in _speaking(one),
                "firewall": _firewall(plan["hosts"].get(host), entry),
                "findings": counted[host],
            }
        )
    return rows


def _firewall(planned: t.Optional[Data], entry: Data) -> str:
    """in force, differs, none (no policy is planned) or unknown (nobody could look, or nobody was asked to)."""
    if planned is None or planned["firewall"] is None:
        return "none"
    if not entry["reached"] or not entry.get("firewall_asked", True) or any(one["text"].startswith(UNREAD) for one in entry["firewall"]):
        return "unknown"
    return "differs" if entry["firewall"] else "in force"


# listeners


def _listeners(host: str, entry: Data) -> list[Data]:
    findings = entry.get("listens") or []
    wrong = {(one["transport"], one["port"], address) for one in findings if one.get("kind") in ("wrong address", "wrong owner") for address in one["actual"]}
    stray = {(one["transport"], one["port"], address) for one in findings if one.get("kind") == "unexpected" for address in one["actual"]}
    rows = []
    for one in entry.get("listeners") or []:
        where = f"{one['address']}%{one['interface']}" if one.get("interface") else one["address"]  # as a finding has it
        key = (one["transport"], str(one["port"]), where)
        if key in wrong:
            state = "wrong"
        elif key in stray:
            state = "unexpected"
        else:
            state = "expected" if one.get("expected") else "ignored"
        rows.append(
            {
                "host": host,
                **{key: one.get(key) for key in ("transport", "address", "port")},
                "serves": list(one.get("serves") or ()),
                **{key: one.get(key) or "" for key in ("process", "unit", "user", "exposure")},
                "pid": one.get("pid"),
                "containers": list(one.get("containers") or ()),
                "expected": list(one.get("expected") or ()),
                "state": state,
            }
        )
    for one in findings:
        if one.get("kind") == "missing":
            empty: Data = {"serves": [], "process": "", "unit": "", "user": "", "exposure": "", "pid": None, "containers": []}
            port = int(one["port"]) if one["port"].isdigit() else one["port"]
            rows.append(
                {"host": host, "transport": one["transport"], "address": one["expected"], "port": port, **empty, "expected": [one["name"]], "state": "missing"}
            )
    return rows


# answers


def _routes(plan: t.Mapping[str, t.Any], answers: t.Iterable[Seen]) -> list[Data]:
    rows = []
    for one in answers:
        if one.check != "route":
            continue
        route = plan["hosts"][one.host]["ingress"]["routes"][one.route]
        stated = plan["port_map"]["routes"][one.route]
        rows.append(
            {
                "route": one.route,
                "url": f"{'https' if route['tls'] else 'http'}://{route['host']}{route['path']}",
                "proxy": one.host,
                "service": stated["service"] if isinstance(stated, dict) else "",
                "vantage": one.vantage,
                "family": one.family,
                **_outcome(one),
            }
        )
    return rows


def _health(answers: t.Iterable[Seen]) -> list[Data]:
    """One row for each listener of each host: the worst answer, else the slowest."""
    worst: dict[tuple[str, str, int, str], Seen] = {}
    for one in answers:
        if one.check not in ("port", "world") or not one.must_open:
            continue
        key = (one.host, one.listener, one.port, one.transport)
        if key not in worst or _rank(one) < _rank(worst[key]):
            worst[key] = one
    return [
        {"host": host, "listener": listener, "port": port, "transport": transport, "kind": one.answer["kind"], "vantage": one.vantage, **_outcome(one)}
        for (host, listener, port, transport), one in worst.items()
    ]


def _rank(one: Seen) -> tuple[bool, int, float]:
    return (one.good, TELLING.index(one.verdict), -float(one.answer["latency"]))


def _outcome(one: Seen) -> Data:
    return {"verdict": one.verdict, "detail": one.detail, "latency": one.answer["latency"], "good": one.good}
