# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of temporary access, by the host itself: a timer of systemd's that survives a reboot and puts the drop-in without it in its place.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

It is there before the access is, belongs to one drop-in (whose hash is in its name), and does nothing where another one is in force. So that of
a change that was undone does no harm, and the one that the undo brought back still has its own.
"""

from __future__ import annotations

import calendar
import contextlib
import glob
import os
import shlex
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.alfred.portmap.plugins.module_utils._files import read_text, remove, sha256, sync_directory, write_text
from ansible_collections.alfred.portmap.plugins.module_utils._nftables import ENVIRONMENT
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_config import Temporary
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_state import SshState

UNIT = "portmap-ssh-expiry"
UNITS = "/etc/systemd/system"
STAMPS = "/var/lib/systemd/timers"  # when each timer ran last: systemd's own, for Persistent=

_SCRIPT = """\
# Ends temporary access over SSH (alfred.portmap.sshd).
umask 077
# It is asked at every boot, too: a timer that fired counts as done, also where what it started did not come to its end.
[ "$(date +%s)" -ge {end} ] || exit 0
cd {directory} || exit 1
hash() {{ sha256sum <"$1" 2>/dev/null; }}
# A change that is not decided yet might bring the access back: wait for it (the unit tries again).
[ -z "$(find . -name 'pending*' -mmin -15)" ] || exit 75
[ "$(hash {after_file})" = "{after}  -" ] || exit 1
found=$(hash {drop_in})
confirmed=$(hash confirmed.conf)
# Somebody may have edited what was confirmed, and left the access in it.
if [ "$confirmed" = "{before}  -" ] && grep -qF {line} {drop_in}; then
    found=$confirmed
fi
if [ "$found" = "{before}  -" ]; then
    cp -p {drop_in} {draft} && cat {after_file} >{draft} && mv -f {draft} {drop_in} || exit 1
    found="{after}  -"
fi
# Also where the last try came this far, and no further.
if [ "$found" = "{after}  -" ]; then
    if [ "$confirmed" = "{before}  -" ]; then
        cp {after_file} confirmed.conf.new && mv confirmed.conf.new confirmed.conf || exit 1
    fi
    {reload} || exit 1
fi
rm -f {files}
"""

_SERVICE = """\
# Written by Ansible (alfred.portmap.sshd). It is gone when its time has come.
[Unit]
Description=End of temporary access over SSH (alfred.portmap)
ConditionPathExists={script}

[Service]
Type=oneshot
ExecStart=/bin/sh {script}
Restart=on-failure
RestartSec=5
"""

_TIMER = """\
# Written by Ansible (alfred.portmap.sshd). It is gone when its time has come.
[Unit]
Description=End of temporary access over SSH at {until} (alfred.portmap)

[Timer]
OnCalendar={calendar}
AccuracySec=1s
Persistent=true
"""


class ExpiryError(Exception):
    """Nothing would end the access."""


def ends_at(until: str) -> int:
    """A time as 2026-11-26T18:00:00Z, in seconds since 1970. Raises ValueError."""
    return calendar.timegm(time.strptime(until, "%Y-%m-%dT%H:%M:%SZ"))


def seconds_left(until: str) -> float:
    """Until such a time; negative when it is over. Raises ValueError."""
    return ends_at(until) - time.time()


class Expiry:
    """The timers on this host that end access."""

    def __init__(self, module: AnsibleModule, state: SshState, drop_in: str) -> None:
        self._module = module
        self._state = state
        self._drop_in = drop_in

    def _files(self, tag: str) -> dict[str, str]:
        """The files of one end, by what they are."""
        name = f"{UNIT}-{tag}"
        return {
            "script": os.path.join(self._state.directory, f"expire-{tag}.sh"),
            "after": os.path.join(self._state.directory, f"after-{tag}.conf"),
            "link": os.path.join(UNITS, "timers.target.wants", f"{name}.timer"),
            "boot": os.path.join(UNITS, "multi-user.target.wants", f"{name}.service"),
            "timer": os.path.join(UNITS, f"{name}.timer"),
            "service": os.path.join(UNITS, f"{name}.service"),
            "stamp": os.path.join(STAMPS, f"stamp-{name}.timer"),
        }

    @staticmethod
    def _tag(before: str) -> str:
        return sha256(before)[:12]

    def _tags(self) -> list[str]:
        """Of all that are there."""
        patterns = (os.path.join(UNITS, f"{UNIT}-*.timer"), os.path.join(self._state.directory, "expire-*.sh"))
        names = [os.path.splitext(os.path.basename(path))[0] for pattern in patterns for path in glob.glob(pattern)]
        return sorted({name.rpartition("-")[2] for name in names})

    def armed(self, before: str, after: str) -> bool:
        """Does a timer wait to make that of this drop-in?"""
        files = self._files(self._tag(before))
        with contextlib.suppress(OSError, ValueError):
            whole = os.path.exists(files["script"]) and read_text(files["after"]) == after
            return whole and self._systemctl(["is-active", os.path.basename(files["timer"])]) == 0
        return False

    def forget(self, before: str) -> None:
        """The end of this drop-in's is not needed: it is not in force."""
        self.disarm([tag for tag in self._tags() if tag == self._tag(before)])

    def others(self, before: t.Optional[str]) -> list[str]:
        """The tags of timers that are there for other drop-ins than this one."""
        return [tag for tag in self._tags() if before is None or tag != self._tag(before)]

    def arm(self, temporary: Temporary, before: str, after: str, reload: str) -> None:
        """Have the drop-in `before` replaced by `after` when the time has come. Raises ExpiryError, OSError."""
        tag = self._tag(before)
        files = self._files(tag)
        values = {
            "directory": shlex.quote(self._state.directory),
            "drop_in": shlex.quote(self._drop_in),
            "draft": shlex.quote(self._drop_in + ".portmap"),
            "before": sha256(before),
            "after": sha256(after),
            "after_file": os.path.basename(files["after"]),
            "line": shlex.quote(temporary.line),
            "reload": reload,
            "end": ends_at(temporary.until),
            "files": " ".join(shlex.quote(path) for path in files.values()),
        }
        write_text(files["after"], after)
        write_text(files["script"], _SCRIPT.format(**values))
        until = temporary.until
        when = f"{until[:10]} {until[11:19]} UTC"
        for path, text in ((files["service"], _SERVICE.format(script=files["script"])), (files["timer"], _TIMER.format(until=until, calendar=when))):
            write_text(path, text)
            os.chmod(path, 0o644)
        remove(files["stamp"])
        for link, target in ((files["link"], files["timer"]), (files["boot"], files["service"])):
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.dirname(link), 0o755)
            remove(link)
            os.symlink(target, link)
        sync_directory(UNITS)
        self._systemctl(["daemon-reload"])
        timer = os.path.basename(files["timer"])
        if self._systemctl(["restart", timer]) != 0:
            self.disarm([tag])
            raise ExpiryError(f"temporary: {timer}, which would end the access, does not start; nothing was changed")
        if seconds_left(until) <= 0:  # then it may have started too late to run at all
            self.disarm([tag])
            raise ExpiryError(f"temporary: {until} is over by now, so that nothing would end the access; nothing was changed")

    def disarm(self, tags: t.Iterable[str]) -> None:
        """Forget some of them."""
        tags = list(tags)
        for tag in tags:
            files = self._files(tag)
            self._systemctl(["stop", os.path.basename(files["timer"])])
            for path in files.values():
                remove(path)
        if tags:
            self._systemctl(["daemon-reload"])

    def _systemctl(self, arguments: t.Sequence[str]) -> int:
        path = self._module.get_bin_path("systemctl")
        if path is None:
            return 1
        rc, _out, _err = self._module.run_command([path, *arguments], environ_update=ENVIRONMENT)
        return int(rc)
