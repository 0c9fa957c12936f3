# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host's plan as text for people: what listens, what comes in, what goes out, which names it serves, and why.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import typing as t

Data = t.Mapping[str, t.Any]
Row = tuple[str, ...]


def describe(plan: Data, host: str) -> str:
    """Aligned text, each line ending with its place in the map. Raises KeyError if the host has no plan."""
    part = plan["hosts"][host]
    environment = f" in {plan['environment']}" if plan["environment"] else ""
    lines = [f"{host}{environment}: {', '.join(part['addresses']) or 'no known address'}"]
    lines += _section("listens on", [_listener(item) for item in part["listeners"]])
    policy = part["firewall"]
    if policy is None:
        lines += ["", "firewall: none, nothing is filtered"]
    else:
        lines += _section("lets in", [_rule(rule, "from") for rule in policy["ingress"]], "and drops the rest")
        if policy["egress_default"] == "accept":
            lines += ["", "lets out: everything"]
        else:
            lines += _section("lets out", [_rule(rule, "to") for rule in policy["egress"]], "and drops the rest")
        lines += ["", f"answers ping from: {', '.join(policy['ping']) or 'nobody'}"]
    if part["ingress"] is not None:
        lines += _section(
            f"serves through {part['ingress']['proxy']}",
            [_route(name, route, part["ingress"]["entrypoints"]) for name, route in part["ingress"]["routes"].items()],
        )
    used = sorted({network for rule in _rules(policy) for network in rule["networks"]}) if policy else []
    lines += _section("where these stand for", [(name, ", ".join(plan["networks"][name])) for name in used])
    return "\n".join(lines) + "\n"


def _rules(policy: Data) -> list[Data]:
    return [*policy["ingress"], *policy["egress"]]


def _section(title: str, rows: t.Sequence[Row], after: str = "") -> list[str]:
    """A titled block of aligned columns; nothing for no rows, unless something is to be said after them."""
    if not rows and not after:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    lines = ["", f"{title}:" if rows else f"{title}: nothing"]
    lines += ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return lines + ([f"  {after}"] if rows and after else [])


def _listener(item: Data) -> Row:
    bind = item["bind"] if isinstance(item["bind"], str) else ", ".join(item["bind"])
    return (f"{item['ports']}/{item['transport']}", bind, item["exposure"], item["name"], item["origin"])


def _rule(rule: Data, preposition: str) -> Row:
    peers = ", ".join(rule["networks"])
    return (f"{','.join(rule['ports'])}/{rule['transport']}", f"{preposition} {peers}", rule["name"], rule["origin"])


def _route(name: str, route: Data, entrypoints: Data) -> Row:
    entrypoint = entrypoints[route["entrypoint"]]
    if entrypoint["protocol"] == "http":
        place = f"http{'s' if route['tls'] else ''}://{route['host']}{route['path']}"
    else:
        place = f"{entrypoint['protocol']}://{route['host'] or '*'}:{entrypoint['port']}"
    backends = ", ".join(_authority(backend) for backend in route["backends"]) or "the dashboard"
    conditions = [f"limit {route['rate_limit']}"] if route["rate_limit"] else []
    conditions += [f"auth {route['auth']}"] if route["auth"] else []
    conditions += [f"only {', '.join(route['allow'])}"] if route["allow"] else []
    canary = route["canary"]
    conditions += [f"{canary['weight']} % to {', '.join(_authority(backend) for backend in canary['backends'])}"] if canary else []
    conditions += ["sticky"] if route["sticky"] else []
    conditions += ["TLS handed on"] if route["passthrough"] else []
    return (place, f"to {backends}", ", ".join(conditions), name, route["origin"])


def _authority(backend: Data) -> str:
    address = f"[{backend['address']}]" if ":" in backend["address"] else backend["address"]
    return f"{address}:{backend['port']}"
