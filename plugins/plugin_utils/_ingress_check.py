# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a host's proxy can't serve what is planned for it with the role variables that are set: told before any host is touched.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

All reasons at once, by one task: each task costs a process on the controller for every host, also where it is skipped.
"""

from __future__ import annotations

import re
import typing as t

Data = t.Mapping[str, t.Any]
HIDDEN = re.compile(r"/(home|root|run/user|tmp|var/tmp)/")  # what Traefik's unit does not see (ProtectHome, PrivateTmp)


def ingress_problems(ingress: Data, variables: Data) -> list[str]:
    """One sentence a problem, [] for none.

    ingress: a host's part of the plan. variables: those of the role ingress without their prefix (tls, certificates, default_certificate,
    acme, maintenance), and traefik_image. Raises KeyError for one that is missing.
    """
    return [text for check in (_container, _certificates, _acme, _maintenance) for text in check(ingress, variables)]


def _container(ingress: Data, variables: Data) -> t.Iterator[str]:
    if not ingress.get("container"):
        return
    put = "the map puts service proxy into a container (`container: true`, its own or the file's), and"
    if ingress["proxy"] == "nginx":
        yield (
            f"{put} nginx is run on the host itself, where it would not reach other containers by their names: say `ingress: traefik`, "
            "or `container: false` for service proxy"
        )
    elif not variables["traefik_image"]:
        yield f"{put} traefik_image is not set: name Traefik's image by tag or digest, or say `container: false` for service proxy"


def _certificates(ingress: Data, variables: Data) -> t.Iterator[str]:
    if variables["tls"] != "files":
        return
    traefik = ingress["proxy"] == "traefik"
    needed = [name for name, route in ingress["routes"].items() if route["tls"] and not route.get("passthrough")]
    if needed and not variables["certificates"] and not (traefik and variables["default_certificate"]):
        yield (
            f"there are routes with tls ({', '.join(needed)}), and no certificate: ingress_tls is files, and ingress_certificates is empty. Set "
            "ingress_certificates; or ingress_tls: acme with ingress_acme (Traefik); or ingress_tls: self_signed for a lab; or "
            "ingress_default_certificate: true if Traefik's own will do, or if other files in /etc/traefik/conf.d name certificates"
        )
    hidden = [path for pair in variables["certificates"] for path in (pair["cert_file"], pair["key_file"]) if HIDDEN.match(path)]
    if traefik and hidden:
        yield f"ingress_certificates: {', '.join(hidden)}: Traefik's unit sees nothing in /home, /root, /run/user, /tmp and /var/tmp"


def _acme(ingress: Data, variables: Data) -> t.Iterator[str]:
    if variables["tls"] != "acme":
        return
    if ingress["proxy"] == "nginx":
        yield (
            "ingress_tls is acme, and nginx gets no certificates by itself: let a client of your own get them (certbot, dehydrated, lego; with "
            "ingress_acme_webroot their answers are served), and say ingress_tls: files with ingress_certificates"
        )
    elif not variables["acme"]:
        yield "ingress_tls is acme, and ingress_acme is not set: give at least {email: ADDRESS}"


def _maintenance(ingress: Data, variables: Data) -> t.Iterator[str]:
    asked = variables["maintenance"]
    if asked and ingress.get("container"):
        yield (
            f"ingress_maintenance: {', '.join(asked)}: the map puts service proxy into a container, which does not reach the page server on its "
            "host's loopback. Let the route lead to a service that shows your page, or say `container: false` for service proxy"
        )
    entrypoints = ingress["entrypoints"]
    there = [name for name, route in ingress["routes"].items() if not route["dashboard"] and entrypoints[route["entrypoint"]]["protocol"] == "http"]
    unknown = [name for name in asked if name not in there]
    if unknown:
        yield f"ingress_maintenance: there is no http route {', '.join(unknown)}; there are {', '.join(there) or 'none'}"
