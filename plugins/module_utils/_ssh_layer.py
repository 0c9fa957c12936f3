# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make sshd be what the options say: look, try it beside what is there, judge what would be in force, change it.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._files import read_text, write_text
from ansible_collections.alfred.portmap.plugins.module_utils._session import incoming_session, incoming_user
from ansible_collections.alfred.portmap.plugins.module_utils._sshd import SshdError
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_change import Host, checked, confirm, put_in_force
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_config import (
    DROP_IN,
    Temporary,
    Wanted,
    read_before,
    shown,
    staged,
    with_include,
    without_include,
)
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_expiry import Expiry, seconds_left
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_judge import EVERYBODY, Judge, Trial
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_options import BANNER_FILE, Options
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_service import RUNNING
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_state import FileChange, content, text_of

Result = dict[str, t.Any]
Diff = list[dict[str, str]]


class RefusedError(Exception):
    """Nothing was changed, since it would do harm or can't work; the message says why and what to do."""


def present(host: Host, options: Options, seconds: int) -> tuple[Result, Diff]:
    """Make the drop-in be what the options say."""
    main = _main_text(host)
    temporary = _temporary(host, options)
    settings, strangers, not_known = _known(host, options)
    wanted = Wanted(options.networks, settings, options.exempt, temporary, strangers)
    text = wanted.render()
    trial = _try(host, main, text)
    judge = Judge(host.sshd, host.service, trial, wanted, incoming_session(), incoming_user(), options.users)
    _refuse(host, seconds, [*judge.overruling(), *judge.algorithms(), *judge.ports(options.ports), *judge.logins()], judge.lock_out(host.state.confirmed()))

    if host.service.later != host.service.options:
        now, later = (" ".join(words) or "none" for words in (host.service.options, host.service.later))
        host.module.warn(f"sshd's next start will have other options on its command line ({later}) than it has now ({now}): what is judged here is now")
    drop_in = FileChange(DROP_IN, content(DROP_IN), text)
    changes = [
        FileChange(BANNER_FILE, content(BANNER_FILE), options.banner.rstrip("\n") + "\n" if options.banner else None, 0o644),
        FileChange(os.path.realpath(host.service.main), main, _with_include(host, main), shared=True),
    ]
    reasons = [*_drift(host, drop_in), *_first(host)]
    if changes[0].changes:
        reasons.append(f"{BANNER_FILE} is another")
    expiry = Expiry(host.module, host.state, DROP_IN)
    after = Wanted(options.networks, settings, options.exempt, None, strangers).render()
    if temporary is not None and not expiry.armed(text, after):
        reasons.append(f"no timer waits to end the temporary access at {temporary.until}")
    left = expiry.others(text)
    if left and not reasons:
        reasons.append("a timer is left that ends access which is not given any more")
    overruled = judge.overruled()
    for line in (line for line in overruled if line.block and line.block.lower() != "all" and reasons):
        host.module.warn(f"an exception is not in force any more: {line} (Match {line.block}); if it has to be, state it in the option exempt")
    result: Result = {
        "changed": bool(reasons),
        "reasons": reasons,
        "logins": judge.before_and_after() if reasons else [],
        "overruled": [str(line) for line in overruled],
        "not_known": not_known,
        "transaction": None,
    }
    if reasons and not host.module.check_mode:

        def prepare() -> None:
            if temporary is not None:
                host.state.make()
                expiry.arm(temporary, text, after, f"{checked(host)} && {host.service.renew}")

        if any(change.changes for change in (drop_in, *changes)) or host.state.confirmed() != text or host.state.interrupted():
            others = [change for change in changes if change.changes]
            try:
                result["transaction"] = put_in_force(host, drop_in, others, seconds, incoming_session(), prepare)
            except Exception:  # whatever it was: it is raised again, and nothing of ours is left behind for a drop-in that is not there
                if content(DROP_IN) != text:
                    expiry.forget(text)
                    host.state.tidy()
                raise
        else:
            prepare()
        if result["transaction"] is None:
            _settle(host, text)
    return result, _diff([drop_in, *changes])


def absent(host: Host, seconds: int) -> tuple[Result, Diff]:
    """Take the drop-in away."""
    main = content(host.service.main)
    changes = [
        FileChange(DROP_IN, content(DROP_IN), None),
        FileChange(BANNER_FILE, content(BANNER_FILE), None),
        FileChange(os.path.realpath(host.service.main), main, None if main is None else without_include(main, DROP_IN), shared=True),
    ]
    reasons = [f"{change.path} is {'there' if change.after is None else 'to be as it was'}" for change in changes if change.changes]
    if host.state.exists():
        reasons.append(f"{host.state.directory} is there")
    result: Result = {"changed": bool(reasons), "reasons": reasons, "transaction": None}
    if any(change.changes for change in changes) or host.state.interrupted():
        trial = _try(host, _main_text(host), None)
        judge = Judge(host.sshd, host.service, trial, EVERYBODY, incoming_session(), incoming_user(), ())
        _refuse(host, seconds, [], judge.lock_out(host.state.confirmed()))
        if not host.module.check_mode:
            others = [change for change in changes[1:] if change.changes]
            result["transaction"] = put_in_force(host, changes[0], others, seconds, incoming_session())
    if reasons and not host.module.check_mode and result["transaction"] is None:
        _settle(host, "")
    return result, _diff(changes)


def confirmed(host: Host, token: str) -> Result:
    """Confirm a change: what this answers is laid over what the change itself answered."""
    seconds, text = confirm(host, DROP_IN, token, incoming_session())
    _settle(host, text)
    return {"changed": True, "transaction": {"state": "confirmed", "seconds": seconds}}


def _settle(host: Host, text: str) -> None:
    """A drop-in is confirmed: what belongs to others goes, and without any ("") all that is ours."""
    expiry = Expiry(host.module, host.state, DROP_IN)
    expiry.disarm(expiry.others(text or None))
    host.state.drop_pending()  # of a run that did not end
    if not text:
        host.transaction.forget()
        host.state.unmake(DROP_IN)
        host.state.remove()


# What there is


def _main_text(host: Host) -> str:
    """The main file. Raises RefusedError if sshd would not take its configuration as it is, but for our own part."""
    main = content(host.service.main)
    if main is None:
        raise RefusedError(f"{host.service.main} is not there, and sshd does not start without it. Nothing was changed")
    trial = Trial(host.module.tmpdir, staged(main, DROP_IN, None), None)
    try:
        effective = host.sshd.effective(trial.main)
    except SshdError as error:
        message = str(error).replace(trial.main, host.service.main)
        raise RefusedError(
            f"sshd would not take its configuration as it is now, even without a change, so that the next reload or reboot would end it. Mend that "
            f"first; nothing was changed. sshd -t says: {message}"
        ) from None
    host.sshd.host_keys = [path for path in effective.values("HostKey") if os.path.exists(path)]
    return main


def _drift(host: Host, drop_in: FileChange) -> list[str]:
    """Why the drop-in has to be written."""
    reasons = []
    if host.state.interrupted():
        reasons.append("an earlier run was interrupted")
    known = host.state.confirmed()
    if known is None:
        reasons.append("nothing was confirmed before")
    elif drop_in.before is None:
        reasons.append(f"{DROP_IN} is missing")
    elif drop_in.before != known:
        reasons.append(f"{DROP_IN} was changed by hand")
    elif drop_in.loose:
        reasons.append(f"{DROP_IN} has another mode or owner")
    if known is not None and known != drop_in.after:
        reasons.append("the settings are others than those in force")
    return reasons


def _first(host: Host) -> list[str]:
    """Why the main file has to be changed."""
    before = read_before(host.service.main, DROP_IN, text_of)
    return [f"{DROP_IN} has to be read before all else, but {before}"] if before is not None else []


def _with_include(host: Host, main: str) -> str:
    return with_include(main, DROP_IN) if _first(host) else main


# What is wanted


def _temporary(host: Host, options: Options) -> t.Optional[Temporary]:
    temporary = options.temporary
    if temporary is None:
        return None
    if seconds_left(temporary.until) <= 0:
        host.module.warn(f"temporary: {temporary.until} is over on this host, so nobody of {', '.join(temporary.networks)} is let in")
        return None
    if not os.path.isdir(RUNNING):
        raise RefusedError("temporary: this host is not run by systemd, so nothing would end the access. Nothing was changed")
    return temporary


def _known(host: Host, options: Options) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """(the settings, those for strangers, which keywords this sshd does not know) once it was asked which it knows."""
    # sshd cuts a stranger off before it asks who it is, if it can (OpenSSH 9.9).
    candidates = [*options.settings_if_known.items(), ("RefuseConnection", "yes")]
    path = os.path.join(host.module.tmpdir, "keywords.conf")
    write_text(path, "".join(f"{keyword} {value}\n" for keyword, value in candidates))
    try:
        unknown = {candidates[line - 1][0] for line in host.sshd.unknown(path)}
    except SshdError as error:
        raise RefusedError(_readable(str(error), path, "settings_if_known") + ". Nothing was changed") from None
    known = {keyword: value for keyword, value in candidates if keyword not in unknown}
    strangers = {keyword: known.pop(keyword) for keyword in ("RefuseConnection",) if keyword in known and keyword not in options.settings_if_known}
    return {**options.settings, **known}, strangers, [keyword for keyword in options.settings_if_known if keyword in unknown]


def _try(host: Host, main: str, text: t.Optional[str]) -> Trial:
    """What there would be, beside what there is. Raises RefusedError if sshd does not take it."""
    trial = Trial(host.module.tmpdir, main, text)
    try:
        host.sshd.check(trial.main)
    except SshdError as error:
        raise RefusedError(f"sshd refuses the new configuration: {_readable(str(error), trial.drop_in, DROP_IN)}. Nothing was changed") from None
    return trial


def _readable(message: str, path: str, name: str) -> str:
    """What sshd says of a file, with the line that it means instead of the name of a temporary file."""

    def line(found: t.Match[str]) -> str:
        number = int(found.group(1))
        lines = read_text(path).splitlines()
        return f"{name} line {number} ({lines[number - 1].strip()})" if 0 < number <= len(lines) else f"{name} line {number}"

    return re.sub(re.escape(path) + r":? line (\d+)", line, message).replace(path, name).replace("\n", "; ")


def _refuse(host: Host, seconds: int, problems: list[str], lock_out: t.Optional[str]) -> None:
    """Raise RefusedError if anything is wrong; where nobody will confirm anything, being locked out oneself is a warning."""
    if lock_out is not None:
        if seconds:
            problems = [*problems, lock_out]
        else:
            host.module.warn(lock_out)
    if seconds and host.service.mode == "none":
        problems = ["no sshd is running on this host, so no new connection could confirm anything: start it (confirm_timeout=0 does without)", *problems]
    if problems:
        raise RefusedError("; ".join(problems) + ". Nothing was changed")


def _diff(changes: t.Sequence[FileChange]) -> Diff:
    return [
        {"before_header": change.path, "before": shown(change.before or ""), "after_header": change.path, "after": shown(change.after or "")}
        for change in changes
        if change.changes
    ]
