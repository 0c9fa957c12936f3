#!/usr/bin/python
# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module traefik_config: Traefik's static and dynamic configuration in one call, and the proof that Traefik runs it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: traefik_config
version_added: 1.0.0
short_description: Configure Traefik and prove that it runs what was written
description:
  - Renders entrypoints, routes, rate limits and authentication to Traefik's static file and to one file in the directory that
    Traefik watches. Only keys that this module owns are written.
  - What Traefik would drop or refuse without a word is an error here, before anything is written. A route to an unknown
    entrypoint, rate limit or list of users; a password hash that Traefik can't check; template marks.
  - A throw-away instance of the same binary takes the candidate on loopback first, together with all other files of the watched
    directory. What it complains of is an error, and the running Traefik is not touched.
  - Each file is staged beside its place and renamed, so that Traefik never sees half of one. Routes and all else that Traefik takes up by
    itself need no restart. It is restarted only if it runs with another static file, binary or unit than there is now, and reloaded only if
    a certificate was replaced. What runs counts, and not what this run changed, so that an interrupted run loses neither.
  - Then Traefik's own API, asked on loopback and with a secret, must tell the content that was written, down to the last router. If it does
    not in time, all files are put back, and Traefik is seen to run the old ones again.
  - A Traefik that is stopped or hangs is started anew, which the module tells. Ports that another program or another Traefik holds are an
    error that names it.
extends_documentation_fragment:
  - alfred.portmap.attributes
  - alfred.portmap.proxy
attributes:
  check_mode:
    support: full
    details: The candidate is tried where the binary is there already.
  diff_mode:
    support: full
    details: Password hashes and the API's secret are hidden.
  platform:
    support: full
    platforms: linux
  idempotent:
    support: full
options:
  tls:
    description: Certificates. Without any Traefik makes one that nobody trusts.
    type: dict
    suboptions:
      certificates:
        description: Files on the host; the first one is for names that no other fits.
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
        description: Cipher suites of TLS 1.2, by IANA's names. Traefik's own choice if empty.
        type: list
        elements: str
        default: []
      acme:
        description:
          - Let an ACME server such as Let's Encrypt issue certificates for all routes that the proxy itself ends TLS of.
          - What can't work is an error before anything is written, such as a challenge without the entrypoint that the server asks at.
        type: dict
        suboptions:
          email:
            description: Address of the account.
            type: str
            required: true
          challenge:
            description:
              - How to prove that the names are ours.
              - V(http) needs an entrypoint for plain http on port 80, V(tls) one on port 443 that ends TLS itself.
              - V(dns) needs O(tls.acme.dns_provider).
            type: str
            choices: [http, tls, dns]
            default: tls
          ca_server:
            description: Directory URL of the ACME server. Without it Let's Encrypt's.
            type: str
          staging:
            description:
              - Use Let's Encrypt's staging, whose certificates nobody trusts and whose limits are wide.
              - What either of them issued stays in the storage. After a switch the other one's is served.
            type: bool
            default: false
          ca_certificates:
            description:
              - File of certificates (PEM) that the ACME server's own certificate is checked with, instead of the system's.
              - Needs Traefik 3.2 or later. For an older one put E(LEGO_CA_CERTIFICATES) into its environment.
            type: path
          storage:
            description: Where Traefik keeps accounts and certificates with their keys. It makes the file, with mode 0600, and takes no other mode.
            type: path
            default: /var/lib/traefik/acme.json
          key_type:
            description: Kind of the certificates' keys.
            type: str
            choices: [EC256, EC384, RSA2048, RSA4096, RSA8192]
            default: EC256
          dns_provider:
            description: The DNS provider, by lego's name of it. Its credentials belong into the environment of Traefik's unit.
            type: str
          dns_resolvers:
            description: DNS servers to ask whether the proof has spread, as address with or without port. Without any the system's.
            type: list
            elements: str
            default: []
          dns_propagation:
            description: How to tell that the proof has spread, before the ACME server is told to look.
            type: dict
            suboptions:
              delay:
                description: Seconds to wait before the first look.
                type: int
                default: 0
              checks:
                description:
                  - Whom to ask. V(all) the zone's own servers, V(resolvers) O(tls.acme.dns_resolvers) alone, as from within a split DNS, V(none) nobody.
                  - V(resolvers) needs Traefik 3.3 or later.
                type: str
                choices: [all, resolvers, none]
                default: all
          eab:
            description: External account binding, for servers that want one.
            type: dict
            suboptions:
              kid:
                description: The key's identifier.
                type: str
                required: true
              hmac:
                description: The key, base64url.
                type: str
                required: true
          profile:
            description: The server's profile to ask for, such as V(tlsserver) or V(shortlived). Needs Traefik 3.4 or later.
            type: str
          certificates_duration:
            description: Hours that the server's certificates are valid. Traefik renews by it, and takes 2160 (90 days) for granted.
            type: int
  config_dir:
    description:
      - Holds C(traefik.yml), and C(conf.d/) that Traefik watches. Both directories must exist.
      - C(api.token) in it is the API's secret. It is made once, and only root can read it.
    type: path
    default: /etc/traefik
  group:
    description: Group that may read the files; they are C(root)'s and 0640.
    type: str
    default: traefik
  user:
    description: Who Traefik runs as. The throw-away instance does too, so that a key that Traefik can't read is found before.
    type: str
    default: traefik
  started_file:
    description:
      - What is recorded whenever Traefik is started, with C(sha256sum -z) of the static file, O(binary), O(unit) and O(environment_file).
      - It tells what the running one was started with. The unit's C(ExecStartPre) writes it.
    type: path
    default: /run/traefik/started.sha256
  certificates_file:
    description:
      - What is recorded whenever Traefik is started or reloaded, with C(sha256sum -z) of the files in C(certificates.list) of
        O(config_dir). This module writes that list, each path with a NUL after it.
      - Traefik does not see that a certificate was replaced. It reads all of them again when it gets a SIGHUP.
    type: path
    default: /run/traefik/certificates.sha256
  binary:
    description:
      - Traefik's binary, which also tries the candidate. If it is another one than the running one was started from, Traefik is restarted.
    type: path
  unit:
    description:
      - The unit's file. If it is another one than Traefik was started by, Traefik is restarted.
      - With O(unit_content) it is written with the rest, and put back with it.
    type: path
  unit_content:
    description: The text of O(unit).
    type: str
  container:
    description:
      - How Traefik is run in a container, for a plan that puts it into one. Then C(compose.yml) in O(config_dir) is written with the
        rest, for the unit to run it by C(docker compose), and the throw-away instance is of the same image. O(binary) is not used.
      - Published ports belong to the engine's own process, so that whose they are is told by the container that publishes them. Ours is
        called C(portmap-traefik), as its Compose project and its network are.
    type: dict
    suboptions:
      image:
        description: The image, by tag or digest. It must be there; this module pulls none.
        type: str
        required: true
      networks:
        description: Networks of other Compose projects that it joins, for the names of their containers to be known to it. They must exist.
        type: list
        elements: str
        default: []
      folders:
        description: Folders of the host that it may read besides, under the same path. Those of all certificates are known already.
        type: list
        elements: path
        default: []
      ipv6_subnet:
        description:
          - A subnet for its own network, such as C(fd00:80::/64). Without one, or with an engine that makes no rules for IPv6, all clients
            over IPv6 seem to come from one address of the host. They share their rate limits then, and an C(allow) list that has this
            address is an error.
        type: str
  environment_file:
    description: The unit's environment, credentials of a DNS provider say. If it is another one than Traefik was started with, Traefik is restarted.
    type: path
  restart_command:
    description: Starts Traefik, or ends it and starts it again.
    type: list
    elements: str
    default: [systemctl, restart, traefik]
  reload_command:
    description: Makes Traefik read certificates again.
    type: list
    elements: str
    default: [systemctl, reload, traefik]
  stop_command:
    description: Ends Traefik, if it did not run before a change that is undone.
    type: list
    elements: str
    default: [systemctl, stop, traefik]
  take_over:
    description:
      - Overwrite a Traefik that somebody else set up, and count it as ours. What it serves ends then.
      - Without it the module ends where the static file was not made by it, or a C(unit) is to be written in the place of somebody else's.
    type: bool
    default: false
  restart:
    description: Restart Traefik in any case, for something that is not seen from these files.
    type: bool
    default: false
  log_level:
    description: How much Traefik logs.
    type: str
    choices: [DEBUG, INFO, WARN, ERROR]
    default: INFO
seealso:
  - plugin: alfred.portmap.plan
    plugin_type: filter
    description: Where the ingress part comes from.
author:
  - The alfred.portmap authors (@alfred-portmap)
"""

EXAMPLES = r"""
- name: Configure Traefik from this host's part of a plan
  alfred.portmap.traefik_config:
    ingress: "{{ (port_map_plan | alfred.portmap.host_plan(inventory_hostname)).ingress }}"
    users:
      - {name: ops, hash: "{{ vault_ops_hash }}"}
    tls:
      certificates:
        - {cert_file: /etc/traefik/tls/site.pem, key_file: /etc/traefik/tls/site.key}
    headers:
      X-Content-Type-Options: nosniff
    binary: /usr/local/bin/traefik
    unit: /etc/systemd/system/traefik.service
"""

RETURN = r"""
restarted:
  description: Whether Traefik was, or in check mode would be, started or restarted.
  returned: success
  type: bool
reloaded:
  description: Whether Traefik was, or in check mode would be, told to read certificates again.
  returned: success
  type: bool
proof:
  description: What was seen, in sentences. In check mode that is what the throw-away instance said.
  returned: success
  type: list
  elements: str
  sample:
    - "a throw-away Traefik 3.7.15 took the candidate: 12 routers, no complaint"
    - "Traefik listens on port 80/tcp, port 443/tcp, 127.0.0.1 port 8880/tcp"
    - "Traefik 3.7.15 runs what was written, by its own API: 12 routers, revision 8d1f6a2be0c4"
routers:
  description: The names of the routers.
  returned: success
  type: list
  elements: str
"""

import grp
import ipaddress
import os
import pwd
import re
import secrets
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._certificate_facts import remarks
from ansible_collections.alfred.portmap.plugins.module_utils._docker import Docker
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_change import ChangeError, Commands, File, carry_out, keep_others_out
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_files import check_files
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_ingress import check_ingress
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_options import Options, ProxyError, argument_spec, checked
from ansible_collections.alfred.portmap.plugins.module_utils._traefik import DYNAMIC_FILE, HEADER, REVISION_HEADER, Data, written
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_acme import ARGUMENTS, resolvers, storage_problem, without_secrets
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_acme import files as acme_files
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_container import COMPOSE_FILE, Contained, Container, compose, folders
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_dynamic import masked, render_dynamic
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_proxy import Traefik, read
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_static import render_static
from ansible_collections.alfred.portmap.plugins.module_utils._traefik_trial import unreadable
from ansible_collections.alfred.portmap.plugins.module_utils._yaml import dump

OWNER = 0
MADE_BY = "# made by alfred.portmap"  # how each of our files says whose it is
TOKEN = re.compile(r"[0-9a-f]{64}")


class Paths(t.NamedTuple):
    """Where our files lie."""

    watched: str
    static: str
    dynamic: str
    listed: str
    token: str
    page: str
    compose: str


def paths_in(directory: str) -> Paths:
    """Those of a configuration directory."""
    watched = os.path.join(directory, "conf.d")
    names = ("traefik.yml", os.path.join("conf.d", DYNAMIC_FILE), "certificates.list", "api.token", "maintenance.html", COMPOSE_FILE)
    return Paths(watched, *(os.path.join(directory, name) for name in names))


def refuse_missing(module: AnsibleModule, paths: Paths, options: Options) -> None:
    """What nothing can be written, tried or served without. In check mode it may be what another task would have made."""
    group, binary = module.params["group"], module.params["binary"]
    if not os.path.isdir(paths.watched):
        module.fail_json(msg=f"config_dir: {paths.watched} is no directory; nothing was changed")
    if group_id(group) < 0:
        module.fail_json(msg=f"group: there is no group {group}; nothing was changed")
    if not module.params["ingress"].get("container") and not (binary and os.access(binary, os.X_OK)):
        module.fail_json(msg=f"binary: {binary!r} is no program; nothing was changed")
    # Traefik would serve a certificate of its own, and say so in its log alone.
    needed = (*options.files, *acme_files(module.params["tls"]["acme"] or {}))
    missing = [path for path in needed if not os.path.isfile(path)]
    if missing:
        module.fail_json(msg=f"tls: {', '.join(missing)}: no such file; nothing was changed")
    refuse_unreadable(module, needed)


def refuse_unreadable(module: AnsibleModule, paths: t.Iterable[str]) -> None:
    """A key that Traefik can't read would cost it every route. Where a file is not there (yet), in check mode, nothing is told of it."""
    closed = unreadable([path for path in paths if os.path.isfile(path)], module.params["user"])
    if closed:
        why = "is it there, and may its group read it and search its folders?"
        module.fail_json(msg=f"user {module.params['user']} can't read {', '.join(closed)}: {why} Nothing was changed")


def refuse_foreign(module: AnsibleModule, paths: Paths) -> None:
    """What somebody else set up is not overwritten without a word."""
    params: Data = module.params
    if params["take_over"]:
        return
    found = [paths.static] if read(paths.static).strip() and not read(paths.static).startswith(MADE_BY) else []
    # A unit without our mark is the caller's own, and so may be the one from before.
    if params["unit_content"] and MADE_BY in params["unit_content"]:
        found += [params["unit"]] if read(params["unit"]).strip() and MADE_BY not in read(params["unit"]) else []
    if found:
        module.fail_json(
            msg=f"{', '.join(found)}: not made by alfred.portmap, so that another Traefik seems to be set up here. Stop it and move its files away; or"
            " say `take_over: true` (role traefik: traefik_take_over) to have them overwritten, which ends what it serves; nothing was changed"
        )


def group_id(group: str) -> int:
    """A group's number, -1 if there is none."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return -1


def strays(directory: str) -> list[str]:
    """Hidden files that Traefik loads all the same, and that would go before ours."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(name for name in names if re.fullmatch(r"\..*\.(ya?ml|toml)", name))


def version_of(module: AnsibleModule) -> t.Optional[tuple[int, int]]:
    """The binary's major and minor version; None if that is not known."""
    binary, container = module.params["binary"], module.params["container"]
    if container:
        argv = ["docker", "run", "--rm", "--network=none", "--entrypoint=traefik", container["image"], "version"]
    elif binary and os.access(binary, os.X_OK):
        argv = [binary, "version"]
    else:
        return None
    _rc, out, _err = module.run_command(argv)
    found = re.search(r"^Version:\s*v?([0-9]+)\.([0-9]+)", out, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else None


def account(name: str) -> t.Optional[pwd.struct_passwd]:
    """A user, None if there is none (yet)."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def others(watched: str) -> list[str]:
    """Files of somebody else in the watched directory: they may name certificates too."""
    try:
        return [name for name in os.listdir(watched) if name.endswith((".yml", ".yaml", ".toml")) and name != DYNAMIC_FILE]
    except FileNotFoundError:
        return []


def container_of(params: Data) -> t.Optional[Container]:
    """How Traefik is contained, None if it is not. Raises ProxyError and OSError."""
    given = params["container"]
    if not params["ingress"].get("container"):
        if given:
            raise ProxyError("container", given["image"], "is given, and the plan puts Traefik into none (in a map: `container: true` of service proxy)")
        return None
    if not given:
        raise ProxyError("container", None, "must be given: the plan puts Traefik into one (in a map: `container: true` of service proxy)")
    if params["maintenance"]:
        rule = "needs a page server that a container does not reach, on its host's loopback: let the route lead to a service that shows your page"
        raise ProxyError("maintenance", params["maintenance"], rule)
    subnet = given["ipv6_subnet"]
    if subnet:
        try:
            ipaddress.IPv6Network(subnet)
        except ValueError as error:
            raise ProxyError("container.ipv6_subnet", subnet, f"is no subnet of IPv6: {error}") from error
    user = account(params["user"])
    ids = f"{user.pw_uid}:{user.pw_gid}" if user else params["user"]
    groups = sorted(set(os.getgrouplist(user.pw_name, user.pw_gid)) - {user.pw_gid}) if user else []
    names = re.findall(r"^([A-Za-z_][A-Za-z0-9_]*)=", read(params["environment_file"]), re.MULTILINE) if params["environment_file"] else []
    return Container(given["image"], tuple(given["networks"]), subnet, ids, tuple(groups), tuple(sorted(set(names))))


def seen_by(params: Data, options: Options) -> tuple[str, ...]:
    """The folders that a container must be shown beside the configuration's."""
    acme = params["tls"]["acme"] or {}
    files = [*options.files, *(path for path in (options.backend_ca, acme.get("ca_certificates")) if path)]
    return tuple(folders([*files, *(os.path.join(one, "any") for one in params["container"]["folders"])], [params["config_dir"]]))


def check_storage(acme: Data, user: str) -> None:
    """Raises ProxyError where Traefik would skip the resolver, with a word in its log alone."""
    owner = account(user)
    problem = storage_problem(acme["storage"], owner.pw_uid if owner else None)
    if problem:
        raise ProxyError("tls.acme.storage", acme["storage"], f"can't be used: {problem}")


def render(module: AnsibleModule, paths: Paths, token: str) -> tuple[Options, Data, Data]:
    """Options, static and dynamic configuration. Raises ProxyError, and what data of another shape ends in."""
    params: Data = module.params
    ingress, acme = params["ingress"], params["tls"]["acme"]
    if ingress.get("proxy", "traefik") != "traefik":
        raise ProxyError("ingress.proxy", ingress["proxy"], "must be traefik")
    options = checked(params)
    check_ingress(ingress)
    check_files(options, must_exist=not module.check_mode)
    found: t.Optional[Data] = None
    if acme:
        check_storage(acme, params["user"])
        found = resolvers(ingress, acme, version_of(module))
    static = render_static(ingress, paths.watched, found, options.access_log, params["log_level"])
    return options, static, render_dynamic(ingress, options, acme, token)


def main() -> None:
    """Read the options, render, go the proxies' common way, end the module."""
    spec = argument_spec(
        "traefik",
        "/etc/traefik",
        tls={"acme": {"type": "dict", "options": ARGUMENTS}},
        user={"type": "str", "default": "traefik"},
        started_file={"type": "path", "default": "/run/traefik/started.sha256"},
        certificates_file={"type": "path", "default": "/run/traefik/certificates.sha256"},
        unit={"type": "path"},
        unit_content={"type": "str"},
        environment_file={"type": "path"},
        container={
            "type": "dict",
            "options": {
                "image": {"type": "str", "required": True},
                "networks": {"type": "list", "elements": "str", "default": []},
                "folders": {"type": "list", "elements": "path", "default": []},
                "ipv6_subnet": {"type": "str"},
            },
        },
        take_over={"type": "bool", "default": False},
        restart={"type": "bool", "default": False},
        log_level={"type": "str", "choices": ["DEBUG", "INFO", "WARN", "ERROR"], "default": "INFO"},
    )
    module = AnsibleModule(argument_spec=spec, required_by={"unit_content": ["unit"]}, supports_check_mode=True)
    params: Data = module.params
    paths = paths_in(params["config_dir"])
    try:
        if not module.check_mode:
            keep_others_out(params["config_dir"])
    except ChangeError as error:
        module.fail_json(msg=str(error))
    try:
        refuse_foreign(module, paths)
        token = read(paths.token).strip()
        if TOKEN.fullmatch(token) is None:
            token = secrets.token_hex(32)
        container = container_of(params)
        options, static, dynamic = render(module, paths, token)
        static_text, dynamic_text = written(static), written(dynamic)
        docker = Docker(lambda argv: module.run_command(argv, handle_exceptions=False))
        contained: t.Optional[Contained] = None
        compose_text: t.Optional[str] = None
        if container:
            contained = Contained(container, docker, params["ingress"], seen_by(params, options), paths.compose)
            kept = [os.path.dirname(params["tls"]["acme"]["storage"])] if params["tls"]["acme"] else []
            compose_text = written(compose(container, params["ingress"], params["config_dir"], contained.read, kept))
    except ProxyError as error:
        module.fail_json(msg=f"{error}; nothing was changed")
    except KeyError as error:
        module.fail_json(msg=f"ingress: has no key {error}; nothing was changed")
    except (AttributeError, TypeError) as error:
        module.fail_json(msg=f"ingress: {error}; nothing was changed")
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; nothing was changed")
    if module.check_mode:
        refuse_unreadable(module, (*options.files, *acme_files(params["tls"]["acme"] or {})))
    else:
        refuse_missing(module, paths, options)
    owned: Data = {"uid": OWNER, "gid": group_id(params["group"])}
    files = [
        File(paths.token, f"{token}\n", 0o600, secret=True, **owned),
        File(paths.listed, "".join(f"{path}\0" for path in options.files), **owned),
        File(paths.dynamic, dynamic_text, secret=True, **owned),
        File(paths.page, options.page if params["ingress"].get("maintenance") else None, 0o644, **owned),
        File(paths.static, static_text, **owned),
        File(paths.compose, compose_text, **owned),
    ]
    if params["unit_content"]:
        files.append(File(params["unit"], params["unit_content"], 0o644))
    commands = Commands(
        lambda argv: module.run_command(argv, handle_exceptions=False),
        params["restart_command"],
        params["reload_command"],
        params["stop_command"],
        params["displaces"],
    )
    proxy = Traefik(
        ingress=params["ingress"],
        options=options,
        static=static,
        dynamic=dynamic,
        static_path=paths.static,
        dynamic_path=paths.dynamic,
        token=token,
        commands=commands,
        binary=None if contained else params["binary"],
        started_with=tuple(path for path in (params["unit"], params["environment_file"], paths.compose if contained else None) if path),
        started_file=params["started_file"],
        certificates_file=params["certificates_file"],
        user=params["user"],
        acme=params["tls"]["acme"],
        timeout=params["timeout"],
        restart=params["restart"],
        take_over=params["take_over"],
        docker=docker,
        contained=contained,
    )
    elsewhere = bool(params["tls"]["acme"]) or bool(others(paths.watched))
    for remark in remarks([pair.cert_file for pair in options.certificates], params["ingress"], issued=elsewhere):
        module.warn(remark)
    for name in strays(paths.watched):
        module.warn(f"{os.path.join(paths.watched, name)}: Traefik loads this hidden file too, and before ours: remove it if it is a leftover")
    try:
        before = {file.path: shown(file.present().text or "") for file in files}
        outcome = carry_out(proxy, commands, files, module.check_mode)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; nothing was changed")
    except ChangeError as error:
        message = shown(str(error))
        if proxy.api_held and not module.check_mode and os.path.exists(paths.token):
            # It is told to nobody but ours; but Traefik may have ended in the moment between the look and the question.
            os.unlink(paths.token)
            message += ", but that the API's secret was removed: the next run makes another one"
        module.fail_json(msg=message)
    after = {
        paths.static: HEADER + dump(without_secrets(static)),
        paths.dynamic: HEADER + dump(masked(dynamic)),
        paths.listed: "".join(f"{path}\n" for path in options.files),
    }
    if params["unit_content"]:
        after[params["unit"]] = params["unit_content"]
    if compose_text or before[paths.compose]:
        after[paths.compose] = compose_text or ""
    if params["ingress"].get("maintenance") or before[paths.page]:
        after[paths.page] = options.page if params["ingress"].get("maintenance") else ""
    module.exit_json(
        changed=outcome.changed,
        restarted=outcome.restarted,
        reloaded=outcome.reloaded,
        proof=[shown(one) for one in outcome.proof],
        routers=sorted(name for section in ("http", "tcp", "udp") for name in dynamic.get(section, {}).get("routers", {})),
        diff=[{"before_header": path, "before": before[path].replace("\0", "\n"), "after_header": path, "after": text} for path, text in after.items()],
    )


def shown(text: str) -> str:
    """A text as it may be shown: whatever looks like a hash or a key is hidden, be it by whose hand."""
    text = re.sub(r""":(?:\$[0-9a-z]+\$|\{S?SHA[0-9]*\})[^\s"'\]]*[^\s"'\],]""", ":(hidden)", text, flags=re.IGNORECASE)
    text = re.sub(r"(hmacEncoded[\"']?\s*:\s*).*", r'\1"(hidden)"', text)
    return re.sub(rf'({REVISION_HEADER}: )"[0-9a-f]{{64}}"', r'\1"(of this text with its hashes)"', text)


if __name__ == "__main__":
    main()
