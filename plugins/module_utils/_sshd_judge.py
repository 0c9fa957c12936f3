# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a configuration of sshd by what would be in force, for clients inside and outside of the networks that it lets in.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.
"""

from __future__ import annotations

import ipaddress
import os
import typing as t

from ansible_collections.alfred.portmap.plugins.module_utils._session import Session
from ansible_collections.alfred.portmap.plugins.module_utils._sshd import Client, Effective, Sshd, SshdError
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_access import account, contains, examples, like, refusal, shut_out
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_config import DROP_IN, Statement, Wanted, admits, staged, statements
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_service import SshdService
from ansible_collections.alfred.portmap.plugins.module_utils._sshd_state import text_of

NOBODY = "portmap-nobody"  # a user of no host: what is in force for whoever has no block of their own
EVERYBODY = Wanted({"anywhere": ["0.0.0.0/0", "::/0"]}, {})
_SIGNATURES = {"ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]}  # of a key whose signatures have other names (RFC 8332)
_ADDS_UP = {"hostkey"}  # every file may name some: what is in force is more than what we say


class Trial:
    """A configuration beside the one that is there, in files that sshd can be asked about."""

    def __init__(self, directory: str, main: str, drop_in: t.Optional[str]) -> None:
        self.main = os.path.join(directory, "trial-main.conf")
        self.drop_in = os.path.join(directory, "trial-drop-in.conf")
        for path, text in ((self.drop_in, drop_in), (self.main, staged(main, DROP_IN, self.drop_in if drop_in is not None else None))):
            if text is not None:
                with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                    file.write(text)


class Judge:
    """One configuration on this host. `wanted`: what our part of it says; EVERYBODY if there is none."""

    def __init__(
        self,
        sshd: Sshd,
        service: SshdService,
        trial: Trial,
        wanted: Wanted,
        session: t.Optional[Session],
        user: t.Optional[str],
        users: t.Sequence[str],
    ) -> None:
        self._sshd = sshd
        self._service = service
        self._trial = trial
        self._wanted = wanted
        self._session = session
        self._user = user
        self._users = users
        self._answers: dict[tuple[str, str, str], Effective] = {}
        self._inside, self._outside = examples(wanted.sources)

    def _effective(self, file: str, address: str, user: str) -> Effective:
        asked = (file, address, user)
        if asked not in self._answers:
            self._answers[asked] = self._sshd.effective(file, self._client(address, user), part=file == self._trial.drop_in)
        return self._answers[asked]

    def _client(self, address: str, user: str) -> Client:
        session = self._session
        same = session is not None and ipaddress.ip_address(session.server).version == ipaddress.ip_address(address).version
        server = session.server if session is not None and same else ("::1" if ":" in address else "127.0.0.1")
        port = session.server_port if session is not None else (self._service.ports or (22,))[0]
        return Client(address, user, server, port)

    def _person(self) -> str:
        return self._user or NOBODY

    def overruling(self) -> list[str]:
        """Which settings would not be in force for those who are let in, and who is not kept out that should be."""
        problems: dict[str, None] = {}
        keywords = [keyword for keyword in self._wanted.settings if keyword.lower() not in _ADDS_UP]
        for address in self._inside:
            for user in dict.fromkeys((self._person(), NOBODY)):
                real, ours = self._effective(self._trial.main, address, user), self._effective(self._trial.drop_in, address, user)
                for keyword in keywords:
                    if real.values(keyword) != ours.values(keyword):
                        found, wanted = real.value(keyword, "not set"), ours.value(keyword, "not set")
                        problems[f"{keyword} would be {found!r}, not {wanted!r}, in force: {self._culprits(keyword)}"] = None
                if shut_out(real):
                    problems[f"nobody could log in from {address}, which is let in: {self._culprits('DenyUsers')}"] = None
        for line in self._widened():
            problems[f"{line} (Match {line.block}) would let further users in, beside ours: state it in the option exempt, or take it out"] = None
        for address in self._outside:
            if not shut_out(self._effective(self._trial.main, address, NOBODY)):
                problems[f"{address} could log in, which is not let in"] = None
        return list(problems)

    def _culprits(self, *keywords: str) -> str:
        """Where else one of these keywords is set."""
        names = tuple(keyword.lower() for keyword in keywords)
        if any(word.lower().startswith(names) for word in self._service.options):
            return f"it is an option of sshd's command line ({' '.join(self._service.options)}), which beats every file"
        lines = [str(line) for line in self._statements() if line.keyword in names]
        return f"see {'; '.join(lines)}" if lines else "no file says so"

    def _statements(self) -> t.Iterator[Statement]:
        return statements(self._service.main, DROP_IN, text_of)

    def _widened(self) -> list[Statement]:
        """The lines of others under a Match that add to who we say may log in: sshd puts all such lists that fit together."""
        ours = {keyword.lower() for keyword in self._wanted.settings}
        return [line for line in self._statements() if line.block and line.keyword in ("allowusers", "allowgroups") and line.keyword in ours]

    def overruled(self) -> list[Statement]:
        """The lines of other files that say something else than we do, and that we have no exemption for."""
        ours = {keyword.lower(): value for keyword, value in self._wanted.settings.items()}
        exempt = {(block.match.lower(), keyword.lower()) for block in self._wanted.exempt for keyword in block.settings}
        return [
            line
            for line in self._statements()
            if line.keyword in ours and line.arguments.lower() != ours[line.keyword].lower() and (line.block.lower(), line.keyword) not in exempt
        ]

    def algorithms(self) -> list[str]:
        """Lists of algorithms that can't do: where patterns leave nothing sshd takes its whole list, without a word, and some key must be left."""
        effective = self._sshd.effective(self._trial.main)
        problems = []
        for keyword, value in self._wanted.settings.items():
            left = effective.value(keyword).split(",")
            if value.startswith("-") and any(like(name, pattern) for name in left for pattern in value[1:].split(",")):
                problems.append(f"{keyword} {value} leaves nothing, and then sshd takes its whole list ({', '.join(left)}): take away less")
        offered = effective.value("HostKeyAlgorithms").split(",")
        kinds = [_key_type(path) for path in effective.values("HostKey")]
        if kinds and all(kind and not any(name in offered for name in _SIGNATURES.get(kind, [kind])) for kind in kinds):
            problems.append(f"no host key would be left: this host has {', '.join(kinds)}, and HostKeyAlgorithms would be {', '.join(offered)}")
        return problems

    def ports(self, planned: t.Sequence[int]) -> list[str]:
        """What is wrong with where sshd listens."""
        if not planned or self._service.mode == "none":
            return []
        listens = self._service.ports
        missing = sorted(set(planned) - set(listens))
        if missing:
            where = ", ".join(str(port) for port in listens) or "none"
            text = f"sshd takes connections on port {where}, not on {', '.join(str(port) for port in missing)} as planned, which is what the firewall opens"
            return [f"{text}: correct the port of the service sshd in the port map, or where sshd listens"]
        if self._service.mode in ("service", "process"):
            configured = {int(port) for port in self._sshd.effective(self._trial.main).values("Port")}
            if not configured >= set(planned):
                ports = ", ".join(str(port) for port in sorted(configured))
                text = f"sshd's files say port {ports}, though it still takes connections on {', '.join(str(port) for port in listens)}"
                return [f"{text}: its reload would move it away from the port planned ({self._culprits('Port')})"]
        return []

    def logins(self) -> list[str]:
        """Which of the further accounts could not log in."""
        problems = []
        for name in self._users:
            found = account(name)
            reason = "there is no such account" if found is None else None
            if found is not None and self._inside:
                reason = refusal(self._effective(self._trial.main, self._inside[0], name), found, self._inside[0])
            if reason is not None:
                problems.append(f"users: {name} could not log in: {reason}")
        return problems

    def lock_out(self, confirmed: t.Optional[str]) -> t.Optional[str]:
        """Why a new connection like the present session would not get in, now or later, for people; None if nothing of that is certain.

        confirmed: the drop-in that was confirmed last.
        """
        session = self._session
        if session is None or session.client == session.server or ipaddress.ip_address(session.client).is_loopback:
            return None
        whose = f"this SSH session came as {self._person()} from {session.client}"
        away = self._moved_away(session)
        if away is not None:
            return f"you would be locked out: {whose}, and {away}"
        if not contains(self._wanted.sources, session.client):
            named = "; ".join(f"{name}: {', '.join(networks) or 'nobody'}" for name, networks in self._wanted.networks.items())
            return f"you would be locked out: {whose}, and sshd would let only these in: {named}"
        lasting = [network for networks in self._wanted.networks.values() for network in networks]
        if not contains(lasting, session.client) and not admits(confirmed or "", lasting):
            return (
                f"you would be locked out later: {whose}, which is let in for a while only, so that it can't prove the networks that are new "
                f"({', '.join(lasting) or 'nobody'}): come from one of them"
            )
        found = account(self._user) if self._user is not None else None
        if found is None:
            return None
        reason = refusal(self._effective(self._trial.main, session.client, found.name), found, session.client)
        return f"you would be locked out: {whose}, and sshd would not let that in again: {reason}" if reason is not None else None

    def _moved_away(self, session: Session) -> t.Optional[str]:
        """Why sshd would not listen where the session came to, once it read its files anew; None if it would."""
        if self._service.mode not in ("service", "process"):
            return None
        values = [value.split()[0] for value in self._sshd.effective(self._trial.main).values("ListenAddress")]
        for value in values:
            address, _colon, port = value.rpartition(":")
            if int(port) == session.server_port and address.strip("[]").partition("%")[0] in (session.server, "::" if ":" in session.server else "0.0.0.0"):
                return None
        text = f"sshd's files say that it listens on {', '.join(values)}, though it still takes connections on {session.server} port {session.server_port}"
        return f"{text}: its reload would move it away from there ({self._culprits('ListenAddress', 'Port', 'AddressFamily')})"

    def before_and_after(self) -> list[dict[str, str]]:
        """For clients inside and outside: does sshd refuse them whatever they try, now and then?"""
        found = []
        for address in [*self._inside, *self._outside]:
            after = _verdict(self._effective(self._trial.main, address, self._person()))
            try:
                before = _verdict(self._effective(self._service.main, address, self._person()))
            except SshdError:  # our own part was damaged; that the rest is sound was seen before
                before = "unknown"
            found.append({"address": address, "user": self._person(), "before": before, "after": after})
        return found


def _key_type(path: str) -> str:
    """The type of a host key, as its public half begins; "" if there is none to be read."""
    return text_of(path + ".pub").partition(" ")[0]


def _verdict(effective: Effective) -> str:
    return "refused" if shut_out(effective) else "admitted"
