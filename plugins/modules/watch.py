#!/usr/bin/python
# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module watch: a host that looks at itself between Ansible's runs, and tells Prometheus."""

from __future__ import annotations

DOCUMENTATION = r"""
module: watch
version_added: 1.0.0
short_description: Let a host compare itself with what is expected, and tell Prometheus
author:
  - The alfred.portmap authors (@alfred-portmap)
description:
  - Installs a systemd timer that compares who listens with who should, the policy in force with the confirmed one, and the answers of the
    host's own services with what they should be. What it sees is written as metrics for the textfile collector of node exporter.
  - Needs no controller and no network. The program is one file of this collection's own utilities, C(/usr/local/lib/portmap/watch.pyz), and
    needs Python 3.9 with its standard library.
  - Fails closed. If something cannot be read, C(portmap_watch_success) is 0, the reason is a finding, and the numbers of before are gone. A
    run that hangs is ended, and that is told likewise.
  - Also writes C(/etc/portmap/watch.json), which only root can read, C(portmap-watch.service) and C(portmap-watch.timer).
extends_documentation_fragment:
  - alfred.portmap.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The program is shown as the list of its files, each with its hash.
  platform:
    support: full
    platforms: linux
  idempotent:
    support: full
options:
  state:
    description: V(absent) removes all of it, and the metrics too.
    type: str
    choices: [present, absent]
    default: present
  listeners:
    description: The listeners that must be there, as option O(alfred.portmap.listening_ports#module:expected).
    type: list
    elements: dict
    default: []
  ignore:
    description: Listeners that are no findings, as option O(alfred.portmap.listening_ports#module:ignore).
    type: list
    elements: dict
    default: []
  strict:
    description: Whether everything unexpected is a finding, as option O(alfred.portmap.listening_ports#module:strict).
    type: bool
    default: false
  policy:
    description:
      - Where the module M(alfred.portmap.firewall) keeps the policy that it confirmed. What is in force is compared with that, so that
        a new policy is no finding, whoever applied it. While a change waits for its confirmation its policy is what must be in force.
      - No policy is looked for if not set.
    type: dict
    suboptions:
      table:
        description: The table, as option O(alfred.portmap.firewall#module:table).
        type: str
        default: portmap
      state_dir:
        description: The directory, as option O(alfred.portmap.firewall#module:state_dir).
        type: path
        default: /var/lib/portmap
      boot:
        description: Whether the policy must be loaded at boot by the unit of M(alfred.portmap.firewall).
        type: bool
        default: true
  questions:
    description:
      - What this host asks its own services, as option O(alfred.portmap.probe#module:questions).
      - The metrics call a service by C(listener) of the question's C(labels), else by its name.
    type: list
    elements: dict
    default: []
  interval:
    description: Seconds between two looks. From 10 to 86400. A tenth of it, and at most half a minute, is left to chance.
    type: int
    default: 60
  timeout:
    description:
      - Seconds after which a look is ended. From 5 to 3600.
      - Questions may take half of it. What could not be asked by then has no numbers, and C(portmap_watch_success) is 0.
    type: int
    default: 50
  textfile_dir:
    description: The directory that node exporter reads, its option C(--collector.textfile.directory). It must exist.
    type: path
    default: /var/lib/prometheus/node-exporter
notes:
  - Needs root, and a host that runs systemd.
seealso:
  - module: alfred.portmap.listening_ports
  - module: alfred.portmap.firewall_info
  - module: alfred.portmap.probe
"""

EXAMPLES = r"""
- name: SSH and a web server that answers, under the policy of alfred.portmap.firewall
  alfred.portmap.watch:
    listeners:
      - {name: sshd, ports: "22"}
      - {name: web, ports: "443"}
    policy: {}
    questions:
      - {name: web, target: 127.0.0.1, port: 443, kind: http, http: {scheme: https, path: /health}}

- name: Leave no trace
  alfred.portmap.watch:
    state: absent
"""

RETURN = r"""
reasons:
  description: Why something was changed, or in check mode would be. Empty if nothing was.
  returned: success
  type: list
  elements: str
  sample: ["/etc/portmap/watch.json is not as it must be"]
"""

import json
import os
import re
import sys

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._watch import DIRECTORY, Watch, WatchError, written
from ansible_collections.alfred.portmap.plugins.module_utils._watch_archive import ArchiveError, archive, sources
from ansible_collections.alfred.portmap.plugins.module_utils._watch_install import Installation, InstallError, Wanted

PROGRAM = "_watch_program"
PYTHON = "/usr/bin/python3"  # outlives an upgrade, which the versioned name that Ansible may have found does not
OLDEST = (3, 9)


class RefusedError(Exception):
    """The options can't be used, or this host can't; nothing was changed."""


def main() -> None:
    """Read the options, do what they ask, end the module."""
    policy = {
        "table": {"type": "str", "default": "portmap"},
        "state_dir": {"type": "path", "default": "/var/lib/portmap"},
        "boot": {"type": "bool", "default": True},
    }
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "listeners": {"type": "list", "elements": "dict", "default": []},
            "ignore": {"type": "list", "elements": "dict", "default": []},
            "strict": {"type": "bool", "default": False},
            "policy": {"type": "dict", "options": policy},
            "questions": {"type": "list", "elements": "dict", "default": []},
            "interval": {"type": "int", "default": 60},
            "timeout": {"type": "int", "default": 50},
            "textfile_dir": {"type": "path", "default": "/var/lib/prometheus/node-exporter"},
        },
        no_log=True,  # keeps what requests of questions carry out of the host's log
        supports_check_mode=True,
    )
    installation = Installation(module)
    try:
        if os.geteuid() != 0:
            raise RefusedError("this module needs root: run it with become")
        result = (present if module.params["state"] == "present" else absent)(module, installation)
    except (RefusedError, WatchError, ArchiveError, InstallError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}" if error.filename else str(error))
    diff = result.pop("diff")
    if module._diff:
        result["diff"] = diff
    module.exit_json(changed=bool(result["reasons"]), **result)


def present(module: AnsibleModule, installation: Installation) -> dict:
    """Install what differs."""
    params = module.params
    check_numbers(params)
    config = {key: params[key] for key in ("listeners", "ignore", "strict", "policy", "questions", "timeout")}
    watch = Watch.from_data(config)
    # Headers may carry passwords. What is shorter is none, and would be blacked out of every word.
    carried = {value for asked in watch.questions for _name, value in asked.http.request_headers if len(value) > 3}
    module.no_log_values.update(carried | {json.dumps(value, ensure_ascii=False)[1:-1] for value in carried})  # as they are, and as the file has them
    directory = checked_directory(installation, params["textfile_dir"])
    if not installation.systemd_runs:
        raise RefusedError("this host is not run by systemd, so nothing would look at it")
    program = archive(PROGRAM, sources(PROGRAM))
    wanted = Wanted(program, written(config), python_of(module), directory, params["interval"], params["timeout"])
    files = installation.files(wanted)
    reasons, diff = installation.compare(files)
    reasons += installation.timer_reasons()
    if reasons and not module.check_mode:
        former = installation.written_into()
        installation.install(files)
        if former not in (None, directory):  # another directory from now on: no old numbers stay in the one before
            installation.forget(former)
    return {"reasons": reasons, "diff": diff}


def absent(module: AnsibleModule, installation: Installation) -> dict:
    """Remove everything."""
    reasons, diff = installation.compare({})
    directories = {directory for directory in (installation.written_into(), module.params["textfile_dir"]) if directory}
    left = [path for path in map(installation.metrics, sorted(directories)) if os.path.lexists(path)]
    reasons += [f"{path} is to go" for path in left]
    if reasons and not module.check_mode:
        installation.remove(directories)
    return {"reasons": reasons, "diff": diff}


def check_numbers(params: dict) -> None:
    """Raise RefusedError for a number out of its range."""
    for key, low, high in (("interval", 10, 86400), ("timeout", 5, 3600)):
        if not low <= params[key] <= high:
            raise RefusedError(f"{key}: {params[key]} must be from {low} to {high} seconds")


def checked_directory(installation: Installation, path: str) -> str:
    """The directory that is to be written into. Raises RefusedError."""
    if DIRECTORY.fullmatch(path) is None or ".." in path.split("/"):
        raise RefusedError(f"textfile_dir: {path} must be an absolute path of letters, digits, dots, dashes, underscores")
    if not os.path.isdir(installation.place(path)):
        raise RefusedError(f"textfile_dir: {path} is no directory on this host: install node exporter, or say where its textfile collector reads")
    return os.path.normpath(path)


def python_of(module: AnsibleModule) -> str:
    """The Python that is to run the program."""
    ask = "import sys; print(sys.version_info >= " + repr(OLDEST) + ")"
    rc, out, _err = module.run_command([PYTHON, "-I", "-c", ask], handle_exceptions=True) if os.access(PYTHON, os.X_OK) else (1, "", "")
    found = PYTHON if rc == 0 and out.strip() == "True" else sys.executable
    if re.fullmatch(r"/[A-Za-z0-9._/+-]+", found or "") is None:
        raise RefusedError(f"the path of Python, {found!r}, can't be written into a unit of systemd")
    return found


if __name__ == "__main__":
    main()
