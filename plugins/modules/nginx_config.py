#!/usr/bin/python
# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module nginx_config: nginx's whole configuration, taken up and proven in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_config
version_added: 1.0.0
short_description: Configure nginx as a reverse proxy, and prove what it runs
description:
  - Renders entrypoints, routes, rate limits and authentication to a tree of files of its own, with the same behaviour on the wire as
    M(alfred.portmap.traefik_config). The distribution's files are not touched.
  - What nginx would take without a word and then not serve as meant is an error before anything is touched. A port that another process
    holds, a name that is there twice, a list of users that is empty, a value that nginx would read as more than a value.
  - The tree is tried by C(nginx -t) in a place of its own, written beside the one that runs, and put in place by one rename.
  - nginx is reloaded or started only where what it runs is another configuration than the one that was written, whoever wrote it. The
    running workers then tell the hash of their configuration, by a unix socket, and have to be new ones; they have to listen on every port
    and to show the certificates that lie in the files. A reload's exit status tells none of that.
  - If any of this fails all is put back, and proven to be as before; the module then fails with nginx's own words.
  - A run that has nothing to write proves the running nginx all the same. One that is stopped or hung is started again.
extends_documentation_fragment:
  - alfred.portmap.attributes
  - alfred.portmap.proxy
attributes:
  check_mode:
    support: full
    details: The candidate is tried by C(nginx -t) where nginx is there already.
  diff_mode:
    support: full
    details: Password hashes are hidden.
  platform:
    support: full
    platforms: linux
  idempotent:
    support: full
options:
  tls:
    description: Certificates. nginx makes none by itself, and gets none from an ACME server.
    type: dict
    suboptions:
      certificates:
        description:
          - Files on the host. Each name gets the first one that is for it, else the first one for a wildcard of it, else the first of all.
          - A certificate that was replaced is read by the next run.
          - One that has expired, or that is for no name of a route that gets it, is warned of.
        type: list
        elements: dict
        default: []
        suboptions:
          cert_file:
            description: The certificate with its chain, PEM.
            type: path
            required: true
          key_file:
            description: The private key, PEM.
            type: path
            required: true
      minimum:
        description: The oldest version of TLS that is spoken.
        type: str
        choices: ["1.2", "1.3"]
        default: "1.2"
      ciphers:
        description: Cipher suites of TLS 1.2, by IANA's names. If empty, those with forward secrecy and AEAD.
        type: list
        elements: str
        default: []
  acme_webroot:
    description:
      - A directory where another ACME client (certbot, say) puts its answers. They are served under C(/.well-known/acme-challenge/) on
        entrypoints without tls, also on those that redirect.
    type: path
  take_over:
    description:
      - Whether an nginx with somebody else's configuration may be replaced, be it running or stopped. One that has only what its packages brought is
        replaced in any case.
    type: bool
    default: false
  workers:
    description: How many workers there are, a number or V(auto).
    type: str
    default: auto
  worker_connections:
    description: How many connections a worker may have, those to backends included.
    type: int
    default: 8192
  drain_timeout:
    description: Seconds that connections of before a reload (WebSockets, downloads) may stay.
    type: int
    default: 3600
  config_dir:
    description: Holds the tree. nginx must be started with C(-c CONFIG_DIR/nginx.conf), a link that this module makes. It is made if it is not there.
    type: path
    default: /etc/nginx/portmap
  run_dir:
    description:
      - Holds the pid, the log of failed reloads and the sockets between nginx's own parts. It must be there when nginx starts, and O(user) must be able to
        search it. Whoever else can may connect to these sockets, past the allow lists of C(tcp) routes whose TLS ends here.
      - A directory C(control) must be in it, which is root's alone. The control socket is made there.
    type: path
    default: /run/nginx-portmap
  user:
    description: User that the workers run as. If it is not set, the first that exists of C(www-data), C(nginx), C(http) and C(nobody).
    type: str
  group:
    description: Group that may read the files; they are C(root)'s and 0640, their directories 0750. The main group of O(user) if it is not set.
    type: str
  binary:
    description: nginx's binary. Looked for if it is not set.
    type: path
  unit:
    description:
      - A file of nginx's unit, a drop-in say, that this module writes with O(unit_content), and that goes again if the change is undone. Its directory must
        exist.
      - It must write the SHA-256 of its own lines but for comments (C(grep -v '^#')) to C(started.sha256) in O(run_dir) before it starts nginx. If that is
        another one, a restart is due.
    type: path
  unit_content:
    description: The text of O(unit).
    type: str
  restart_command:
    description: What starts nginx, or starts it anew.
    type: list
    elements: str
    default: [systemctl, restart, nginx]
  reload_command:
    description: What makes nginx read its configuration (SIGHUP).
    type: list
    elements: str
    default: [systemctl, reload, nginx]
  stop_command:
    description: What stops nginx.
    type: list
    elements: str
    default: [systemctl, stop, nginx]
seealso:
  - module: alfred.portmap.traefik_config
  - plugin: alfred.portmap.plan
    plugin_type: filter
    description: Where the ingress part comes from.
author:
  - The alfred.portmap authors (@alfred-portmap)
"""

EXAMPLES = r"""
- name: Configure nginx from this host's part of a plan
  alfred.portmap.nginx_config:
    ingress: "{{ (port_map_plan | alfred.portmap.host_plan(inventory_hostname)).ingress }}"
    users:
      - {name: ops, hash: "{{ vault_ops_hash }}"}
    tls:
      certificates:
        - {cert_file: /etc/ssl/site.pem, key_file: /etc/ssl/private/site.key}
    headers:
      X-Content-Type-Options: nosniff
    acme_webroot: /var/www/acme
    unit: /etc/systemd/system/nginx.service.d/portmap.conf
    unit_content: "{{ lookup('ansible.builtin.template', 'portmap.conf.j2') }}"
"""

RETURN = r"""
restarted:
  description: Whether nginx was, or in check mode would be, started or restarted.
  returned: success
  type: bool
reloaded:
  description: Whether nginx was, or in check mode would be, reloaded.
  returned: success
  type: bool
release:
  description: The hash of the configuration, which the running workers answer with.
  returned: success
  type: str
proof:
  description: What was seen, in sentences. In check mode that is what C(nginx -t) said.
  returned: success
  type: list
  elements: str
  sample:
    - "`nginx -t` takes the configuration"
    - "nginx answers with configuration f0201e6a8514 on 8 new connections"
    - "2 workers serve it, 1 more end what they had begun"
    - "it listens on port 80/tcp, port 443/tcp"
    - "it shows the certificates of api.example.net:443"
"""

import grp
import os
import pwd
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._certificate_facts import remarks
from ansible_collections.alfred.portmap.plugins.module_utils._nginx import render, shown
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_binary import Binary, parse
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_certificates import Certificate, choose, read_certificate
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_context import Context, Data, Host
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_proxy import Nginx, NginxCommands, ServedCertificate
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_stream import doors
from ansible_collections.alfred.portmap.plugins.module_utils._nginx_tree import directory_of, files_of, link_of, prune, read_release
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_change import ChangeError, Door, File, carry_out, keep_others_out
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_files import check_files
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import Options, ProxyError, argument_spec, checked

USERS = ("www-data", "nginx", "http", "nobody")
HANDSHAKES = 50  # at most that many names are asked for their certificate


def run(module: AnsibleModule) -> t.Callable[..., tuple[int, str, str]]:
    """How commands are run: one that is not there raises OSError, and does not end the module."""

    def command(argv: list[str], **more: t.Any) -> tuple[int, str, str]:
        done: tuple[int, str, str] = module.run_command(argv, handle_exceptions=False, **more)
        return done

    return command


def account(module: AnsibleModule) -> tuple[str, str, int]:
    """User and group of the workers, and the group's number. In check mode they may be what a package would bring."""
    user, group = module.params["user"], module.params["group"]
    entry = None
    for name in [user] if user else USERS:
        try:
            entry = pwd.getpwnam(name)
            break
        except KeyError:
            continue
    if entry is None and not module.check_mode:
        module.fail_json(msg=f"user: there is no user {user or ', '.join(USERS)}; nothing was changed")
    try:
        found = grp.getgrnam(group) if group else grp.getgrgid(entry.pw_gid) if entry else None
    except KeyError:
        found = None
    if found is None and not module.check_mode:
        module.fail_json(msg=f"group: there is no group {group or entry and entry.pw_gid}; nothing was changed")
    name = entry.pw_name if entry else user or USERS[0]
    return name, found.gr_name if found else group or name, found.gr_gid if found else -1


def look_at(module: AnsibleModule) -> tuple[t.Optional[str], Binary]:
    """nginx's binary and what it is. In check mode it may not be there yet, and is taken for a usual one."""
    path = module.params["binary"] or module.get_bin_path("nginx", opt_dirs=["/usr/sbin", "/usr/local/sbin"])
    if path and os.access(path, os.X_OK):
        _rc, out, err = module.run_command([path, "-V"], environ_update={"LC_ALL": "C"})
        found = parse(out + err)
        if found is not None:
            return path, found
        module.fail_json(msg=f"binary: {path} is not nginx: `nginx -V` says nothing of its version; nothing was changed")
    if not module.check_mode:
        module.fail_json(msg=f"binary: {module.params['binary'] or 'nginx'} is no program; nothing was changed")
    return path, Binary()


def certificates_of(module: AnsibleModule, options: Options) -> tuple[Certificate, ...]:
    """All certificates as they lie there. In check mode a missing one may be what another task would have made. Raises ProxyError."""
    found = []
    for pair in options.certificates:
        if module.check_mode and not (os.path.exists(pair.cert_file) and os.path.exists(pair.key_file)):
            found.append(Certificate(pair, (), ""))
        else:
            found.append(read_certificate(pair))
    return tuple(found)


def to_be_shown(context: Context) -> list[ServedCertificate]:
    """Names to ask for their certificate. Where a client must first speak the PROXY protocol, or may not come from here, nobody is asked."""
    found = []
    for name, entrypoint in context.ingress["entrypoints"].items():
        front = entrypoint["proxies_in_front"]
        if not entrypoint["tls"] or (front and front["proxy_protocol"]):
            continue
        stream = entrypoint.get("protocol") == "tcp"
        for route in context.routes_at(name).values():
            if not (stream and (route.get("passthrough") or route["allow"])):
                found.append(ServedCertificate(entrypoint["port"], route["host"], choose(route["host"], context.host.certificates).pair.cert_file))
    return list(dict.fromkeys(found))[:HANDSHAKES]


def context_of(module: AnsibleModule, binary: Binary, user: str, group: str) -> Context:
    """What the configuration is rendered from. Raises ProxyError."""
    params: Data = module.params
    if params["ingress"].get("proxy", "nginx") != "nginx":
        raise ProxyError("ingress.proxy", params["ingress"]["proxy"], "must be nginx")
    workers = params["workers"]
    if workers != "auto" and not (workers.isdecimal() and 1 <= int(workers) <= 1024):
        raise ProxyError("workers", workers, "must be auto or a number from 1 to 1024")
    for key, least in (("worker_connections", 64), ("drain_timeout", 1)):
        if params[key] < least:
            raise ProxyError(key, params[key], f"must be at least {least}")
    if len(params["run_dir"]) > 80 or not params["run_dir"].startswith("/"):
        raise ProxyError(
            "run_dir", params["run_dir"], "must be an absolute path of 80 bytes at most: sockets lie in it, whose paths may not be longer than 107"
        )
    options = checked(params)
    check_files(options, must_exist=not module.check_mode)
    host = Host(
        binary=binary,
        certificates=certificates_of(module, options),
        run_dir=params["run_dir"],
        user=user,
        group=group,
        acme_webroot=params["acme_webroot"],
        workers=workers,
        connections=params["worker_connections"],
        drain=params["drain_timeout"],
        page=os.sysconf("SC_PAGESIZE"),
    )
    return Context(params["ingress"], options, host)


def main() -> None:
    """Read the options, render, go the proxies' common way, end the module."""
    spec = argument_spec(
        "nginx",
        "/etc/nginx/portmap",
        group={"type": "str"},
        user={"type": "str"},
        run_dir={"type": "path", "default": "/run/nginx-portmap"},
        acme_webroot={"type": "path"},
        take_over={"type": "bool", "default": False},
        workers={"type": "str", "default": "auto"},
        worker_connections={"type": "int", "default": 8192},
        drain_timeout={"type": "int", "default": 3600},
        unit={"type": "path"},
        unit_content={"type": "str"},
    )
    module = AnsibleModule(argument_spec=spec, required_together=[("unit", "unit_content")], supports_check_mode=True)
    params: Data = module.params
    config_dir = params["config_dir"]
    try:
        if not module.check_mode:
            keep_others_out(config_dir)
    except ChangeError as error:
        module.fail_json(msg=str(error))
    path, binary = look_at(module)
    user, group, gid = account(module)
    try:
        context = context_of(module, binary, user, group)
        tree = render(context)
        unit = [File(params["unit"], params["unit_content"], 0o644)] if params["unit"] else []
        files = [*unit, *files_of(tree, config_dir, gid)]
        ports = [Door(transport, "", port) for transport, port in doors(params["ingress"])]
        names = to_be_shown(context)
        for remark in remarks([one.pair.cert_file for one in context.host.certificates], params["ingress"]):
            module.warn(remark)
    except ProxyError as error:
        module.fail_json(msg=f"{error}; nothing was changed")
    except KeyError as error:
        module.fail_json(msg=f"ingress: has no key {error}; nothing was changed")
    except (AttributeError, TypeError) as error:
        module.fail_json(msg=f"ingress: {error}; nothing was changed")
    complete = all(one.digest for one in context.host.certificates)
    commands = NginxCommands(run(module), params["restart_command"], params["reload_command"], params["stop_command"], params["displaces"], params["run_dir"])
    proxy = Nginx(
        run=run(module),
        commands=commands,
        binary=path,
        tried=complete,
        config_dir=config_dir,
        run_dir=params["run_dir"],
        timeout=params["timeout"],
        tree=tree,
        doors=ports,
        certificates=names,
        unit_file=params["unit"],
        take_over=params["take_over"],
    )
    try:
        unit_before = [one.present().text or "" for one in unit]
        previous = link_of(config_dir).release
        before = read_release(config_dir, previous)
        outcome = carry_out(proxy, commands, files, module.check_mode)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; nothing was changed")
    except ChangeError as error:
        module.fail_json(msg=f"{error}{commands.told}")
    release = tree.release
    if not module.check_mode and previous != release:
        prune(config_dir, {previous, release})
    directory = directory_of(config_dir, release)
    module.exit_json(
        changed=outcome.changed,
        restarted=outcome.restarted,
        reloaded=outcome.reloaded,
        release=release,
        proof=outcome.proof,
        diff=[
            *({"before_header": one.path, "before": text, "after_header": one.path, "after": one.text} for one, text in zip(unit, unit_before)),
            {
                "before_header": config_dir,
                "before": shown(before, directory_of(config_dir, previous), previous) if before else "",
                "after_header": config_dir,
                "after": shown(tree.placed(directory), directory, release),
            },
        ],
    )


if __name__ == "__main__":
    main()
