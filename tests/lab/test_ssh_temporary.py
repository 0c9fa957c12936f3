# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary access over SSH ends by itself when its time has come, whatever else happens on the host meanwhile, and nothing is left of it.

Who is let in for a while is the lab's outsider, with the operator's key. What else can go wrong with a change: test_ssh_lockout.py.
"""

from __future__ import annotations

import datetime
import functools
import json
import pathlib
import subprocess
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

import lab
import pytest
from extra import STATE, ExtraHost, extra_host
from sshlab import CONTENTS, DROP_IN, GOOD, OPERATORS, OTHER, PLACE, Controller, Scenarios, armed, file, kill, pending, reachable, rolled_back, task, wait_until

OUTSIDER = lab.OUTSIDER[0]
KEY = "/run/temporary_key"
SOON = 30.0  # seconds; one run takes two of them, on a busy machine up to ten


@pytest.fixture(scope="module", autouse=True)
def key() -> t.Iterator[None]:
    """The operator's key on the outsider."""
    lab.run("outsider", "sh", "-c", f"umask 077; cat >{KEY}", stdin=(STATE / "id_ed25519").read_text(encoding="ascii"))
    yield
    lab.run("outsider", "rm", KEY)


def admitted(host: ExtraHost) -> bool:
    """Does the outsider get in?"""
    options = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=2 -o IdentitiesOnly=yes -F none"
    return lab.run("outsider", "sh", "-c", f"ssh -n -i {KEY} {options} ansible@{host.v4} true", check=False).returncode == 0


def until(seconds: float = SOON) -> tuple[str, float]:
    """A time so many seconds from now, in words and in numbers."""
    when = int(time.time() + seconds)
    return datetime.datetime.fromtimestamp(when, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), float(when)


def with_outsider(when: str, arguments: t.Mapping[str, t.Any] | None = None) -> dict[str, t.Any]:
    """The same (GOOD, if nothing else is said), with the outsider let in."""
    return {**(arguments or GOOD), "temporary": {"networks": [*lab.OUTSIDER], "until": when}}


def ends(host: ExtraHost) -> list[str]:
    """All that is there to end access."""
    patterns = f"/etc/systemd/system/portmap-ssh-* /etc/systemd/system/*/portmap-ssh-* {PLACE}/expire-* {PLACE}/after-* /var/lib/systemd/timers/*portmap*"
    return host.run("sh", "-c", f"ls -d {patterns} 2>/dev/null", check=False).stdout.split()


def assert_ended(host: ExtraHost, seconds: float = 10) -> None:
    """Within so many seconds the outsider is not let in any more, we are, and nothing is left."""
    wait_until(lambda: ends(host) == [], seconds, lambda: f"{ends(host)}\n{host.run('sh', '-c', 'journalctl --no-pager | tail -n 20').stdout}")
    assert "until" not in str(file(host, DROP_IN))
    assert file(host, DROP_IN) == file(host, f"{PLACE}/confirmed.conf")
    assert not admitted(host), "the outsider still gets in"
    assert reachable(host)


def sleep_until(when: float) -> None:
    """By the clock."""
    time.sleep(max(0.0, when - time.time()))


def test_it_ends_by_itself(tmp_path: pathlib.Path) -> None:
    """On all Debians at once; on the last one systemd listens for sshd."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(ends_by_itself, *zip(*[("bullseye", 8, tmp_path), ("bookworm", 9, tmp_path), ("trixie", 5, tmp_path)], strict=True)))


def ends_by_itself(suite: str, number: int, tmp_path: pathlib.Path) -> None:
    """What the test above says of one Debian."""
    (tmp_path / suite).mkdir()
    with extra_host(f"temporary-{suite}", number, suite=suite) as host:
        controller = Controller(tmp_path / suite, host)
        if suite == "trixie":
            host.run("sh", "-c", "systemctl disable --now ssh; systemctl enable --now ssh.socket")
        before = host.run("sh", "-c", CONTENTS).stdout
        words, when = until(50)
        foreseen, answer, again = controller.answers(
            [{**task(with_outsider(words)), "check_mode": True, "diff": True}, task(with_outsider(words)), task(with_outsider(words))]
        )
        assert [foreseen["changed"], answer["changed"], again["changed"]] == [True, True, False], answer
        assert time.time() < when and admitted(host), "let in too late, or not at all"
        assert len(ends(host)) == 7, ends(host)
        sleep_until(when)
        assert_ended(host)
        without, still = controller.answers([task(GOOD), task(with_outsider(words))])
        assert [without["changed"], still["changed"]] == [False, False]
        assert "is over on this host" in str(still["warnings"])
        assert controller.answers([task({"state": "absent"})])[0]["changed"]
        # But for directories of systemd's.
        empty = "etc/systemd/system/timers.target.wants d 755 root root \nvar/lib/systemd/timers d 755 root root \n"
        assert host.run("sh", "-c", CONTENTS).stdout.replace(empty, "") == before


def ready(host: ExtraHost, controller: Controller) -> None:
    """GOOD is confirmed, and nothing is left of another test, not even of one that failed in the middle of a change."""
    wait_until(lambda: not pending(host), 70, "a change is left that is never undone")
    status, output = controller.apply(GOOD)
    assert status == 0, output
    assert ends(host) == []


scenario = Scenarios(ready)


@scenario
def its_time_comes_while_the_host_is_off(host: ExtraHost, controller: Controller) -> None:
    words, when = until()
    status, output = controller.apply(with_outsider(words))
    assert status == 0, output
    subprocess.run(["docker", "stop", f"portmap-{host.name}"], check=True, capture_output=True)
    sleep_until(when + 1)
    subprocess.run(["docker", "start", f"portmap-{host.name}"], check=True, capture_output=True)
    host.booted()
    assert_ended(host, 10)


@scenario
def its_time_comes_while_a_change_is_under_way(host: ExtraHost, controller: Controller) -> None:
    """The undo brings the access back, and it ends for all that. Of the second one, that was never confirmed, nothing is left either."""
    words, when = until()
    status, output = controller.apply(with_outsider(words))
    assert status == 0, output
    later, _when = until(3600)
    with controller.held(host, {**with_outsider(later, OTHER), "confirm_timeout": int(SOON)}) as run:
        kill(run)
        sleep_until(when)
        assert pending(host)
        wait_until(lambda: not pending(host) and not armed(host), SOON + 10, "never undone")
    assert rolled_back(host) == "the state of before is in force again"
    wait_until(lambda: "until" not in str(file(host, DROP_IN)), 12, "it never ends")
    wait_until(lambda: reachable(host) and not admitted(host), 5, "it ended in the file alone")
    assert file(host, DROP_IN) == file(host, f"{PLACE}/confirmed.conf")
    first, second = controller.answers([task(GOOD), task(GOOD)])
    assert [first["changed"], first["reasons"], second["changed"]] == [True, ["a timer is left that ends access which is not given any more"], False]
    assert ends(host) == []


@scenario
def its_time_comes_while_a_change_is_under_way_and_the_host_crashes(host: ExtraHost, controller: Controller) -> None:
    """systemd takes a timer that fired for done; so it is asked at boot, too, after the undo that brings the access back."""
    words, when = until()
    assert controller.apply(with_outsider(words))[0] == 0
    with controller.held(host, {**OTHER, "confirm_timeout": 60}) as run:
        kill(run)
        sleep_until(when + 2)
        assert pending(host) and ends(host)
        host.reboot()
    assert_ended(host, 20)


@scenario
def who_is_in_for_a_while_only(host: ExtraHost, controller: Controller) -> None:
    """Its own address proves nothing of the networks that stay, but where these were confirmed before."""
    bastion = {"bastion": ["203.0.113.10"]}
    for_a_while = {**GOOD, "networks": bastion, "temporary": {"networks": OPERATORS, "until": until(3600)[0]}}
    refused = controller.answers([task(for_a_while)])[0]
    assert refused["failed"] and "you would be locked out later" in refused["msg"], refused
    first, second = controller.answers([task({**GOOD, "networks": {**GOOD["networks"], **bastion}}), task(for_a_while)])
    assert [first["changed"], second["changed"], second["transaction"]["state"]] == [True, True, "confirmed"], second


@scenario
def another_one_takes_its_place_or_does_not(host: ExtraHost, controller: Controller) -> None:
    words, when = until(45)
    later, _when = until(3600)
    assert controller.apply(with_outsider(words))[0] == 0
    first = ends(host)
    with controller.held(host, with_outsider(later)) as run:
        kill(run)
        wait_until(lambda: not pending(host) and not armed(host), 12, "never undone")
    assert set(first) < set(ends(host))
    sleep_until(when)
    wait_until(lambda: not admitted(host), 8, "the end of the first was lost")  # it may have waited for the undo, and tries again
    assert controller.apply(with_outsider(later))[0] == 0
    assert len(ends(host)) == 7 and not set(first) & set(ends(host)) and admitted(host)
    # Taken away before its time.
    answer = controller.answers([task(GOOD)])[0]
    assert (answer["changed"], ends(host), admitted(host)) == (True, [], False)


def somebody_edits_the_drop_in_meanwhile(host: ExtraHost, controller: Controller, edit: str) -> None:
    """What still gives the access is ended. What does not is left alone."""
    words, when = until()
    assert controller.apply(with_outsider(words))[0] == 0
    host.run("sh", "-c", f"{edit} {DROP_IN}")
    edited = file(host, DROP_IN)
    sleep_until(when)
    if "by hand" in edit:
        assert_ended(host)
    else:
        wait_until(lambda: ends(host) == [], 10, "never ended")
        assert file(host, DROP_IN) == edited


@scenario
def somebody_breaks_another_file_meanwhile(host: ExtraHost, controller: Controller) -> None:
    """sshd can't read anything anew then; when it can, the access ends."""
    words, when = until()
    assert controller.apply(with_outsider(words))[0] == 0
    foreign = "/etc/ssh/sshd_config.d/50-theirs.conf"
    host.run("sh", "-c", f"echo PermitRotLogin no >{foreign}")
    sleep_until(when + 1)
    assert ends(host) and reachable(host)
    host.run("rm", foreign)
    assert_ended(host, 8)


@scenario
def the_timer_is_gone(host: ExtraHost, controller: Controller) -> None:
    """Seen in check mode, and armed anew without a transaction."""
    words, _when = until(3600)
    assert controller.apply(with_outsider(words))[0] == 0
    host.run("sh", "-c", "systemctl stop 'portmap-ssh-expiry-*.timer'")
    foreseen, answer, again = controller.answers([{**task(with_outsider(words)), "check_mode": True}, task(with_outsider(words)), task(with_outsider(words))])
    assert [foreseen["changed"], answer["changed"], again["changed"]] == [True, True, False]
    assert answer["transaction"] is None and f"no timer waits to end the temporary access at {words}" in answer["reasons"]
    host.reboot()
    assert controller.answers([task(with_outsider(words))])[0]["changed"] is False
    assert admitted(host)


@scenario
def it_can_not_be_ended_by_then(host: ExtraHost, controller: Controller) -> None:
    """A time that is over when the timer starts: nothing would end it, so it is not given."""
    words, _when = until(-1)
    answer = controller.answers([task(with_outsider(words))])[0]
    assert (answer["changed"], ends(host)) == (False, []) and "is over on this host" in json.dumps(answer["warnings"])
    pause = '#!/bin/sh\ncase "$1" in daemon-reload) sleep 26;; esac\nexec systemctl.real "$@"\n'
    host.run(
        "sh",
        "-c",
        "cd /usr/bin; cp -a systemctl systemctl.real; cat >systemctl.new; chmod 755 systemctl.new; mv systemctl.new systemctl",
        stdin=pause,
    )
    words, _when = until(25)
    answer = controller.answers([task(with_outsider(words))])[0]
    host.run("mv", "/usr/bin/systemctl.real", "/usr/bin/systemctl")
    assert answer["failed"] and "is over by now, so that nothing would end the access; nothing was changed" in answer["msg"], answer
    assert_ended(host, 0.1)


for edit in ("echo '# checked by hand' >>", "sed -i '/203.0.113.60/d; s/^#   until.*/#/'"):
    scenario.add(f"somebody edits the drop-in meanwhile: {edit}", functools.partial(somebody_edits_the_drop_in_meanwhile, edit=edit))


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exception | None]:
    """What came of each scenario."""
    with extra_host("temporary1", 6) as first, extra_host("temporary2", 7) as second, extra_host("temporary3", 4) as third:
        return scenario.run(request, [(host, Controller(tmp_path_factory.mktemp("controller"), host)) for host in (first, second, third)])


@pytest.mark.parametrize("name", scenario.names)
def test_it_ends_whatever_happens(outcomes: dict[str, Exception | None], name: str) -> None:
    outcome = outcomes[name]
    if outcome is not None:
        raise outcome
