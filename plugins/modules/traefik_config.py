#!/usr/bin/python
# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module traefik_config: Traefik's static and dynamic configuration in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: traefik_config
version_added: 1.0.0
short_description: Write Traefik's static and dynamic configuration
description:
  - Renders entrypoints, routes, rate limits and authentication to Traefik's static file and to one file in the directory that
    Traefik watches. Only keys that this module owns are written.
  - What Traefik would drop or refuse without a word is an error here, before anything is written. A route to an unknown
    entrypoint, rate limit or list of users; a password hash that Traefik can't check; template marks.
  - Each file is staged beside its place and renamed, so that Traefik never sees half of one.
  - Tells whether the running Traefik needs a restart, or to read its certificates again, by what it was started with and what it
    read, and not by what this run changed. An interrupted run therefore loses neither. The unit records both, see O(started_file).
extends_documentation_fragment:
  - alfred.portmap.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Password hashes are hidden.
  platform:
    support: full
    platforms: linux
  idempotent:
    support: full
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
        description: The password's hash. Traefik takes bcrypt, Apache's MD5 (C($apr1$)), crypt's MD5 (C($1$)) and C({SHA}).
        type: str
        required: true
  tls:
    description: Certificates. Without any Traefik makes one that nobody trusts.
    type: dict
    default: {}
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
      acme:
        description: Let an ACME server such as Let's Encrypt issue certificates for all routes.
        type: dict
        suboptions:
          email:
            description: Account address.
            type: str
            required: true
          ca_server:
            description: Directory URL of the ACME server.
            type: str
            default: https://acme-v02.api.letsencrypt.org/directory
          storage:
            description: Where Traefik keeps account and certificates.
            type: path
            default: /var/lib/traefik/acme.json
          challenge:
            description: How to prove that the names are ours. V(http) needs an entrypoint on port 80.
            type: str
            choices: [http, tls, dns]
            default: tls
          dns_provider:
            description: Traefik's name of the DNS provider, for V(dns). Its credentials belong into the unit's environment.
            type: str
            default: ""
  config_dir:
    description: Holds C(traefik.yml), and C(conf.d/) that Traefik watches. Both directories must exist.
    type: path
    default: /etc/traefik
  group:
    description: Group that may read the files; they are C(root)'s and 0640.
    type: str
    default: traefik
  started_file:
    description:
      - What the unit records when it starts Traefik, with C(sha256sum -z) of the static file, O(binary) and O(unit).
      - It tells what the running one was started with.
    type: path
    default: /run/traefik/started.sha256
  certificates_file:
    description:
      - What the unit records when it starts or reloads Traefik, with C(sha256sum -z) of the files in C(certificates.list) of
        O(config_dir). This module writes that list, each path with a NUL after it.
      - Traefik does not see that a certificate was replaced. It reads all of them again when it gets a SIGHUP.
    type: path
    default: /run/traefik/certificates.sha256
  binary:
    description:
      - Traefik's binary. If it is another one than the running one was started from, a restart is needed.
      - If it is there, it reads the static file before that is put in place, and a file that it can't read is refused.
    type: path
  unit:
    description: The unit's file. If it is another one than Traefik was started by, a restart is needed.
    type: path
  access_log:
    description: Whether requests are logged.
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
    binary: /usr/local/bin/traefik
    unit: /etc/systemd/system/traefik.service
  register: traefik_config

- name: Restart Traefik where it runs with another static file, binary or unit
  ansible.builtin.systemd_service:
    name: traefik
    daemon_reload: true
    state: restarted
  when: traefik_config.restart_needed

- name: Let Traefik read certificates that were replaced
  ansible.builtin.systemd_service:
    name: traefik
    state: reloaded
  when: traefik_config.reload_needed and not traefik_config.restart_needed
"""

RETURN = r"""
static_changed:
  description: Whether the static file was, or in check mode would be, written.
  returned: success
  type: bool
dynamic_changed:
  description: Whether the dynamic file was, or in check mode would be, written.
  returned: success
  type: bool
restart_needed:
  description: Whether the running Traefik was started with another static file, O(binary) or O(unit), or none is known to run.
  returned: success
  type: bool
reload_needed:
  description: Whether a certificate or key is another one than the running Traefik read.
  returned: success
  type: bool
routers:
  description: The names of the routers.
  returned: success
  type: list
  elements: str
"""

import contextlib
import grp
import hashlib
import os
import re
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._traefik import TraefikError, masked, render_dynamic, render_static
from ansible_collections.alfred.portmap.plugins.module_utils._yaml import dump

HEADER = "# made by alfred.portmap from the port map: changes by hand are overwritten\n"
OWNER = 0
MODE = 0o640


def read(path: str) -> str:
    """A file's text, "" if it is not there. Raises OSError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def digest(path: str) -> str:
    """The SHA-256 of a file in hexadecimal, "" if it is not there. Raises OSError."""
    sha256 = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                sha256.update(block)
    except FileNotFoundError:
        return ""
    return sha256.hexdigest()


def recorded(text: str) -> dict[str, str]:
    """By path: what `sha256sum -z` printed of it."""
    return {path: found for found, separator, path in (line.partition("  ") for line in text.split("\0")) if separator}


def differs(now: dict[str, str], then: dict[str, str]) -> bool:
    """Whether anything is another than it was recorded, or was not recorded."""
    return any(then.get(path) != found for path, found in now.items())


def place(path: str, text: str, group: str) -> None:
    """Put a file in place by rename, staged under a name that Traefik ignores (it loads dotfiles, by their ending)."""
    staged = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.tmp")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(staged)  # of a run that was interrupted
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchown(file.fileno(), OWNER, grp.getgrnam(group).gr_gid)
        os.fchmod(file.fileno(), MODE)
        os.fsync(file.fileno())
    os.rename(staged, path)


def right_owner(path: str, group: str) -> bool:
    """Whether a file is root's, the group's, and 0640."""
    try:
        found = os.stat(path)
        return (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (OWNER, grp.getgrnam(group).gr_gid, MODE)
    except (FileNotFoundError, KeyError):
        return False


def refuse_unreadable(module: AnsibleModule, binary: str, text: str) -> None:
    """Let Traefik's own loader read the static file: its healthcheck parses the file first and only then asks a port."""
    descriptor, path = tempfile.mkstemp(suffix=".yml", dir=module.tmpdir)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    _rc, _out, error = module.run_command([binary, "healthcheck", f"--configFile={path}"], environ_update={"LC_ALL": "C"})
    os.unlink(path)
    if "command healthcheck error" in error:
        module.fail_json(msg="Traefik can't read the static configuration, nothing was changed: " + error.replace(path, "traefik.yml").strip())


def refuse_missing(module: AnsibleModule, watched: str, group: str) -> None:
    """Nothing can be written without directories and group. In check mode they may be what another task would have made."""
    if not os.path.isdir(watched):
        module.fail_json(msg=f"config_dir: {watched} is no directory; nothing was changed")
    try:
        grp.getgrnam(group)
    except KeyError:
        module.fail_json(msg=f"group: there is no group {group}; nothing was changed")


def refuse_missing_certificates(module: AnsibleModule, found: dict[str, str]) -> None:
    """Traefik would serve a certificate of its own, and say so in its log alone."""
    missing = [path for path, sha256 in found.items() if not sha256]
    if missing:
        module.fail_json(msg=f"tls.certificates: {', '.join(missing)}: no such file; nothing was changed")


def strays(directory: str, own: str) -> list[str]:
    """Hidden files that Traefik loads all the same, and that would go before ours."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(name for name in names if re.fullmatch(r"\..*\.(ya?ml|toml)", name) and name != own)


def by_list(users: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """The users of each list."""
    found: dict[str, list[dict[str, str]]] = {}
    for user in users:
        found.setdefault(user["list"], []).append(user)
    return found


def main() -> None:
    """Read the options, render, compare, write, end the module."""
    user = {
        "list": {"type": "str", "default": "default"},
        "name": {"type": "str", "required": True},
        "hash": {"type": "str", "required": True, "no_log": True},
    }
    pair = {"cert_file": {"type": "path", "required": True}, "key_file": {"type": "path", "required": True, "no_log": False}}
    acme = {
        "email": {"type": "str", "required": True},
        "ca_server": {"type": "str", "default": "https://acme-v02.api.letsencrypt.org/directory"},
        "storage": {"type": "path", "default": "/var/lib/traefik/acme.json"},
        "challenge": {"type": "str", "choices": ["http", "tls", "dns"], "default": "tls"},
        "dns_provider": {"type": "str", "default": ""},
    }
    tls = {"certificates": {"type": "list", "elements": "dict", "default": [], "options": pair}, "acme": {"type": "dict", "options": acme}}
    module = AnsibleModule(
        argument_spec={
            "ingress": {"type": "dict", "required": True},
            "users": {"type": "list", "elements": "dict", "default": [], "options": user},
            "tls": {"type": "dict", "default": {}, "options": tls},
            "config_dir": {"type": "path", "default": "/etc/traefik"},
            "group": {"type": "str", "default": "traefik"},
            "started_file": {"type": "path", "default": "/run/traefik/started.sha256"},
            "certificates_file": {"type": "path", "default": "/run/traefik/certificates.sha256"},
            "binary": {"type": "path"},
            "unit": {"type": "path"},
            "access_log": {"type": "bool", "default": False},
            "log_level": {"type": "str", "choices": ["DEBUG", "INFO", "WARN", "ERROR"], "default": "INFO"},
        },
        supports_check_mode=True,
    )
    options: dict[str, t.Any] = module.params
    watched = os.path.join(options["config_dir"], "conf.d")
    static_path = os.path.join(options["config_dir"], "traefik.yml")
    dynamic_path = os.path.join(watched, "portmap.yml")
    list_path = os.path.join(options["config_dir"], "certificates.list")
    pairs = options["tls"].get("certificates") or []
    listed = list(dict.fromkeys(one[key] for one in pairs for key in ("cert_file", "key_file")))
    list_text = "".join(f"{path}\0" for path in listed)
    try:
        static = render_static(options["ingress"], options["tls"], watched, options["access_log"], options["log_level"])
        dynamic = render_dynamic(options["ingress"], options["tls"], by_list(options["users"]))
        static_text, dynamic_text = HEADER + dump(static), HEADER + dump(dynamic)
    except TraefikError as error:
        module.fail_json(msg=f"{error}; nothing was changed")
    except KeyError as error:
        module.fail_json(msg=f"ingress: has no key {error}; nothing was changed")
    except (AttributeError, TypeError) as error:
        module.fail_json(msg=f"ingress: {error}; nothing was changed")
    if "{{" in static_text + dynamic_text:
        module.fail_json(msg="ingress: has '{{' in a value, and Traefik would run it as a template; nothing was changed")
    group = options["group"]
    if not module.check_mode:
        refuse_missing(module, watched, group)
    try:
        before_static, before_dynamic, before_list = read(static_path), read(dynamic_path), read(list_path)
        started, loaded = recorded(read(options["started_file"])), recorded(read(options["certificates_file"]))
        certificates = {path: digest(path) for path in listed}
        runs = {path: digest(path) for path in (options["binary"], options["unit"]) if path}
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}; nothing was changed")
    if not module.check_mode:
        refuse_missing_certificates(module, certificates)
    runs[static_path] = hashlib.sha256(static_text.encode()).hexdigest()
    static_changed = before_static != static_text or not right_owner(static_path, group)
    dynamic_changed = before_dynamic != dynamic_text or not right_owner(dynamic_path, group)
    list_changed = before_list != list_text or not right_owner(list_path, group)
    if static_changed and options["binary"] and os.access(options["binary"], os.X_OK):
        refuse_unreadable(module, options["binary"], static_text)
    for name in strays(watched, os.path.basename(dynamic_path)):
        module.warn(f"{os.path.join(watched, name)}: Traefik loads this hidden file too, and before ours: remove it if it is a leftover")
    if not module.check_mode:
        try:
            if list_changed:
                place(list_path, list_text, group)
            if dynamic_changed:
                place(dynamic_path, dynamic_text, group)
            if static_changed:
                place(static_path, static_text, group)
        except OSError as error:
            module.fail_json(msg=f"{error.filename or options['config_dir']}: {error.strerror}; the next run writes what is missing")
    module.exit_json(
        changed=static_changed or dynamic_changed or list_changed,
        static_changed=static_changed,
        dynamic_changed=dynamic_changed,
        restart_needed=differs(runs, started),
        reload_needed=differs(certificates, loaded),
        routers=sorted(dynamic.get("http", {}).get("routers", {})),
        diff=[
            {"before_header": static_path, "before": before_static, "after_header": static_path, "after": static_text},
            {"before_header": dynamic_path, "before": shown(before_dynamic), "after_header": dynamic_path, "after": HEADER + dump(masked(dynamic))},
            {"before_header": list_path, "before": lines(before_list), "after_header": list_path, "after": lines(list_text)},
        ],
    )


def lines(text: str) -> str:
    """A list of paths, one a line."""
    return text.replace("\0", "\n")


def shown(text: str) -> str:
    """What stood in the dynamic file, as it may be shown: whatever looks like a hash is hidden, be it by whose hand."""
    return re.sub(r""":(?:\$[0-9a-z]+\$|\{S?SHA[0-9]*\})[^\s"'\]]*[^\s"'\],]""", ":(hidden)", text, flags=re.IGNORECASE)


if __name__ == "__main__":
    main()
