# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traefik in a container: the Compose file that it is run by, and how a throw-away one is run beside it.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Every file has the same path inside and outside, so that one configuration is right in both places. Folders are mounted and never
single files: a file that was replaced by rename would stay the old one inside for ever.
"""

from __future__ import annotations

import ipaddress
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.alfred.portmap.plugins.module_utils._docker import Docker, DockerError, gateways
from ansible_collections.alfred.portmap.plugins.module_utils._proxy_change import ChangeError
from ansible_collections.alfred.portmap.plugins.module_utils._traefik import Data

NAME = "portmap-traefik"  # of the container, of its Compose project and of its network; the unit has it too
COMPOSE_FILE = "compose.yml"
SERVICE = "traefik"
TRIAL_LABEL = "alfred.portmap.trial"
GRACE = 15  # seconds: Traefik gives its requests ten
_LINKS = 40  # as many as the kernel follows


@dataclass(frozen=True)
class Container:
    """How Traefik is contained."""

    image: str
    networks: tuple[str, ...]  # of other projects, where the services are
    ipv6_subnet: t.Optional[str]  # of its own network
    user: str  # uid:gid
    groups: tuple[int, ...]  # that the user is in besides: a key may be readable by one of them
    environment: tuple[str, ...]  # names of what it takes from the environment that Compose runs in


def ports(ingress: Data) -> list[str]:
    """What is published: each port by its own number."""
    found: list[str] = []
    for entrypoint in ingress["entrypoints"].values():
        protocol = "udp" if entrypoint.get("protocol") == "udp" else "tcp"
        found.append(f"{entrypoint['port']}:{entrypoint['port']}/{protocol}")
        if entrypoint.get("http3"):
            found.append(f"{entrypoint['port']}:{entrypoint['port']}/udp")
    for place in (ingress["api"], ingress["metrics"]):
        if place:
            address = place["address"]
            host = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
            found.append(f"{host}{place['port']}:{place['port']}/tcp")
    return found


def folders(paths: t.Iterable[str], seen: t.Sequence[str] = ()) -> list[str]:
    """The folders that must be seen to read these files: where they lie and, for links (certbot's are), where they lead. None within another,
    or within those that are seen anyway.
    """
    found: set[str] = set()
    for path in paths:
        for _link in range(_LINKS):
            found.add(os.path.dirname(os.path.abspath(path)))
            if not os.path.islink(path):
                break
            path = os.path.join(os.path.dirname(path), os.readlink(path))
    return sorted(one for one in found if not any(_within(one, other) for other in (found - {one}) | set(seen)))


def _within(folder: str, other: str) -> bool:
    return f"{folder}/".startswith(f"{other.rstrip('/')}/")


def compose(container: Container, ingress: Data, config_dir: str, read: t.Sequence[str], write: t.Sequence[str]) -> Data:
    """The Compose file. read, write: folders beside the configuration's that Traefik reads, and that it keeps things in."""
    mounts: list[Data] = [{"type": "bind", "source": one, "target": one, "read_only": True} for one in (config_dir, *read)]
    mounts += [{"type": "bind", "source": one, "target": one} for one in write]
    own: Data = {"name": NAME}
    if container.ipv6_subnet:
        own |= {"enable_ipv6": True, "ipam": {"config": [{"subnet": container.ipv6_subnet}]}}
    others = {f"services{number}": {"external": True, "name": name} for number, name in enumerate(container.networks)}
    service: Data = {
        "image": container.image,
        "pull_policy": "never",  # what is not there any more is not got behind anybody's back
        "container_name": NAME,
        "hostname": SERVICE,
        "entrypoint": ["traefik"],
        "command": [f"--configFile={os.path.join(config_dir, 'traefik.yml')}"],
        "user": container.user,
        "read_only": True,
        "tmpfs": ["/tmp:mode=1777,size=16m"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},  # of its own network namespace
        "restart": "no",  # systemd does that
        "stop_grace_period": f"{GRACE}s",
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "2"}},  # all of it is in the journal
        "ports": ports(ingress),
        "networks": ["default", *others],
        "volumes": mounts,
    }
    if container.groups:
        service["group_add"] = [str(group) for group in container.groups]
    if container.environment:
        service["environment"] = list(container.environment)
    return t.cast(Data, _escaped({"services": {SERVICE: service}, "networks": {"default": own, **others}}))


def _escaped(value: t.Any) -> t.Any:
    """With $ as it is: Compose would put a variable there."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


@dataclass(frozen=True)
class Contained:
    """What a Traefik in a container needs of its engine, and how that engine is asked to run a second one for a trial."""

    container: Container
    docker: Docker
    ingress: Data
    read: tuple[str, ...]  # folders that it sees beside the configuration's
    file: str  # the Compose file

    def check(self) -> None:
        """Raises ChangeError where it could not run."""
        try:
            missing = self.docker.missing_networks(self.container.networks)
        except DockerError as error:
            raise ChangeError(str(error)) from error
        if missing:
            raise ChangeError(
                f"container.networks: there is no network {', '.join(missing)} (docker network ls): start the services first, whose Compose projects make"
                " them (by default each is called PROJECT_default)"
            )

    def missing(self) -> str:
        """What a trial needs and is not there, "" if all is. Raises ChangeError."""
        try:
            image = self.docker.image_id(self.container.image)
        except DockerError as error:
            raise ChangeError(str(error)) from error
        if not image:
            return f"image {self.container.image}"
        return "" if self.container.user.partition(":")[0].isdigit() else f"user {self.container.user}"

    def runs_another_image(self) -> bool:
        """Whether what runs was made from another image than the one that has this name now. Raises ChangeError."""
        try:
            running = self.docker.container(NAME)
            return running is not None and running.get("Image") != self.docker.image_id(self.container.image)
        except DockerError as error:
            raise ChangeError(str(error)) from error

    def prove_admission(self) -> None:
        """Nobody is let in who is not meant: a client over IPv6 comes from an address of the host, where the container has no IPv6 or the
        engine makes no rules for it. Raises ChangeError.
        """
        try:
            addresses = gateways(self.docker.container(NAME) or {})
        except DockerError as error:
            raise ChangeError(str(error)) from error
        found = admitted_by_mistake(self.ingress, addresses)
        if found:
            raise ChangeError(
                f"{'; '.join(found)}: every client that docker-proxy hands on (over IPv6, unless the network has it) seems to come from there, so that"
                " everybody would be let in; take the addresses of Docker's networks out of `allow`"
            )

    def leave(self) -> None:
        """Where a change into a container was undone, the unit from before takes none away, and it would hold the ports."""
        if not os.path.exists(self.file):
            self.docker.run([self.docker.program, "rm", "--force", NAME])
            self.docker.run([self.docker.program, "network", "rm", NAME])

    # a second one, on the host's loopback, for as long as a trial takes

    @property
    def _trial(self) -> str:
        return f"{NAME}-trial-{os.getpid()}"

    def argv(self, folder: str) -> list[str]:
        """What runs it. What is put behind it is what Traefik gets."""
        mounts = [f"--mount=type=bind,source={one},target={one},readonly" for one in (folder, *self.read)]
        guards = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", f"--user={self.container.user}"]
        guards += [f"--group-add={group}" for group in self.container.groups]
        kept = ["--rm", f"--name={self._trial}", f"--label={TRIAL_LABEL}={os.getpid()}", "--network=host", "--log-driver=none"]
        return [self.docker.program, "run", *kept, *guards, *mounts, "--entrypoint=traefik", self.container.image]

    def end(self) -> None:
        """It does not end with the command that runs it. Nor do those of modules that were killed, so that they are ended too."""
        shape = f'{{{{.Names}}}} {{{{.Label "{TRIAL_LABEL}"}}}}'
        _rc, out, _err = self.docker.run([self.docker.program, "ps", "--all", "--filter", f"label={TRIAL_LABEL}", "--format", shape])
        told = [line.split() for line in out.splitlines()]
        left = [name for name, pid in (one for one in told if len(one) == 2) if name == self._trial or not os.path.exists(f"/proc/{pid}")]
        if left:
            self.docker.run([self.docker.program, "rm", "--force", *left])


def admitted_by_mistake(ingress: Data, addresses: t.Iterable[str]) -> list[str]:
    """The routes whose `allow` has one of these addresses, which strangers may seem to come from. One for everybody is no mistake."""
    found: list[str] = []
    for name, route in ingress["routes"].items():
        allowed = [ipaddress.ip_network(one, strict=False) for one in route["allow"] or []]
        if any(not one.prefixlen for one in allowed):
            continue
        hit = [address for address in addresses if any(ipaddress.ip_address(address) in one for one in allowed)]
        if hit:
            found.append(f"route {name} lets {', '.join(hit)} in")
    return found
