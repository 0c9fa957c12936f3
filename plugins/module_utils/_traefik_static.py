# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the ingress part of a plan to Traefik's static configuration: whatever of it changes needs a restart. Pure.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import ProxyError
from ansible_collections.alfred.portmap.plugins.module_utils._traefik import API_ENTRYPOINT, KEEP, METRICS_ENTRYPOINT, Data, place, pruned

PROTOCOLS = ("http", "tcp", "udp")


def render_static(ingress: Data, directory: str, resolvers: t.Optional[Data] = None, access_log: bool = False, log_level: str = "INFO") -> Data:
    """The static configuration. Raises ProxyError.

    directory: the one that Traefik watches for dynamic configuration; resolvers: its certificatesResolvers, as they are.
    """
    contained = bool(ingress.get("container"))
    entrypoints = {name: _entrypoint(name, entrypoint, ingress["entrypoints"]) for name, entrypoint in ingress["entrypoints"].items()}
    static: Data = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": log_level},
        "accessLog": KEEP if access_log else None,
        # By itself Traefik lets 2 s pass between two changes; ours come one at a time, and whole.
        "providers": {"providersThrottleDuration": "200ms", "file": {"directory": directory, "watch": True}},
    }
    if ingress["api"]:
        _require_loopback("ingress.api.address", ingress["api"]["address"])
        entrypoints[API_ENTRYPOINT] = {"address": place(ingress["api"], contained)}
        static["api"] = {"dashboard": True, "insecure": False}
    if ingress["metrics"]:
        entrypoints[METRICS_ENTRYPOINT] = {"address": place(ingress["metrics"], contained)}
        static["metrics"] = {"prometheus": {"entryPoint": METRICS_ENTRYPOINT}}
    made = t.cast(Data, pruned({**static, "entryPoints": entrypoints}))
    return {**made, "certificatesResolvers": resolvers} if resolvers else made


def _require_loopback(path: str, address: str) -> None:
    """The API shows every password's hash, and takes its own password over plain http."""
    try:
        if ipaddress.ip_address(address).is_loopback:
            return
    except ValueError:
        pass  # a name, or "" for any address
    raise ProxyError(path, address, "must be a loopback address (in a map: `bind: loopback` of service proxy)")


def _entrypoint(name: str, entrypoint: Data, others: Data) -> Data:
    protocol = entrypoint.get("protocol", "http")
    path = f"ingress.entrypoints.{name}"
    if protocol not in PROTOCOLS:
        raise ProxyError(f"{path}.protocol", protocol, f"must be one of {', '.join(PROTOCOLS)}")
    rendered: Data = {"address": f":{entrypoint['port']}{'/udp' if protocol == 'udp' else ''}"}
    front, target = entrypoint["proxies_in_front"], entrypoint["redirect_to"]
    if protocol != "http":
        if target:
            raise ProxyError(f"{path}.redirect_to", target.get("entrypoint"), f"is for http, and the entrypoint's protocol is {protocol}")
        if front and not (protocol == "tcp" and front["proxy_protocol"]):
            rule = f"must be true: over {protocol} a proxy in front has no other way to say who asks"
            raise ProxyError(f"{path}.proxies_in_front.proxy_protocol", False, rule)
    if target:
        if target["entrypoint"] not in others:
            raise ProxyError(f"{path}.redirect_to", target["entrypoint"], f"is no entrypoint; there are {', '.join(sorted(others))}")
        if not ends_tls_in_front(entrypoint):
            # By port and not by name: a name would put the entrypoint's own port into Location even where it is not the public one.
            rendered["http"] = {"redirections": {"entryPoint": {"to": f":{target['port']}", "scheme": "https", "permanent": True}}}
    if front:
        if protocol == "http":
            rendered["forwardedHeaders"] = {"trustedIPs": front["trusted"]}
        if front["proxy_protocol"]:
            rendered["proxyProtocol"] = {"trustedIPs": front["trusted"]}
    if entrypoint.get("http3"):
        if protocol != "http" or not entrypoint["tls"]:
            raise ProxyError(f"{path}.http3", True, "is for http entrypoints with tls")
        # What clients are told (Alt-Svc); it listens on the entrypoint's own port, by udp.
        rendered["http3"] = {"advertisedPort": entrypoint["port"]}
    return rendered


def ends_tls_in_front(entrypoint: Data) -> bool:
    """Where a load balancer ends TLS, all requests come by http, and a redirect of the whole entrypoint would never end."""
    front = entrypoint["proxies_in_front"]
    return bool(front and front["terminates_tls"])
