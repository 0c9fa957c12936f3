# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the modules of both proxies take."""

from __future__ import annotations


class ModuleDocFragment:
    """See module_utils/_proxy_options.py, which checks them. The modules add O(tls), and the defaults that carry the proxy's name."""

    DOCUMENTATION = r"""
options:
  ingress:
    description: The ingress part of a host's plan, see C(docs/architecture.md).
    type: dict
    required: true
  users:
    description: Who may use the routes with C(auth).
    type: list
    elements: dict
    default: []
    suboptions:
      list:
        description: The list that the user is on. A route's C(auth) names one.
        type: str
        default: default
      name:
        description: The user's name.
        type: str
        required: true
      hash:
        description:
          - The password's hash, of a kind that both proxies check. That is bcrypt, Apache's MD5 (C($apr1$)), crypt's MD5 (C($1$)) and C({SHA}).
            Any other one is an error; one of the proxies would take it without a word and then refuse every password.
        type: str
        required: true
  headers:
    description:
      - Headers that every answer of http routes has, also one that refuses. A service's own header of the name is replaced, and not
        sent beside it.
    type: dict
    default: {}
  compression:
    description: Whether answers are compressed for clients that take that.
    type: bool
    default: false
  access_log:
    description: Whether requests are logged.
    type: bool
    default: false
  health_checks:
    description: How backends are checked. Only those of routes with C(health) and two backends or more are.
    type: dict
    suboptions:
      interval:
        description: Seconds between two checks.
        type: int
        default: 10
      timeout:
        description: Seconds that an answer may take.
        type: int
        default: 5
  backend_tls:
    description: How backends that speak https are connected to.
    type: dict
    suboptions:
      verify:
        description: Whether their certificates are checked.
        type: bool
        default: true
      ca_file:
        description: Certificates of the authorities that issue theirs, PEM. The system's if it is not set.
        type: path
      server_name:
        description: The name that their certificates must be for. Without it that is their address.
        type: str
  maintenance:
    description:
      - Names of routes that answer with 503, C(Retry-After) and O(maintenance_page). Whom a route keeps out (C(allow), C(rate_limit),
        C(auth)) it keeps out all the same.
    type: list
    elements: str
    default: []
  maintenance_page:
    description: The page, HTML. By default a small one.
    type: str
    default: |
      <!DOCTYPE html>
      <html lang="en">
      <head><meta charset="utf-8"><title>Maintenance</title></head>
      <body><h1>Back soon</h1><p>This service is being maintained.</p></body>
      </html>
  displaces:
    description:
      - A systemd unit that holds the ports now, such as the other proxy's. It is stopped right before this one is started, and started
        again if the change is undone. Nothing else that holds a port is touched; that is an error.
    type: str
  timeout:
    description: Seconds that a proof from the running proxy may take.
    type: int
    default: 20
"""
