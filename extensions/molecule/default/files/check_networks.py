# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fails if the lab's networks would hide what this machine itself needs: its name servers or its package mirrors.

    check_networks.py 203.0.113.0/26 198.51.100.0/25

While the lab stands its addresses lead into it. They are documentation addresses (RFC 5737), which nobody should use, and
somebody does.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import subprocess
import sys
import urllib.parse


def needed() -> dict[str, str]:
    """Addresses that this machine cannot do without, and what they are."""
    found = {}
    try:
        with open("/etc/resolv.conf", encoding="utf-8") as stream:
            for address in re.findall(r"^nameserver\s+(\S+)", stream.read(), re.MULTILINE):
                found[address.partition("%")[0]] = "a name server"
    except OSError:
        pass
    listing = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True, check=False)
    for host in {urllib.parse.urlsplit(uri).hostname for uri in listing.stdout.split()} - {None}:
        try:
            for *_kind, address in socket.getaddrinfo(host, None):
                found[address[0].partition("%")[0]] = f"the package mirror {host}"
        except OSError:
            pass
    return found


def main() -> int:
    """Check the networks named on the command line."""
    networks = [ipaddress.ip_network(name) for name in sys.argv[1:]]
    hidden = {address: what for address, what in needed().items() if any(ipaddress.ip_address(address) in network for network in networks)}
    for address, what in hidden.items():
        print(f"the lab would hide {address}, {what} of this machine: take another machine for the lab", file=sys.stderr)
    return 1 if hidden else 0


if __name__ == "__main__":
    sys.exit(main())
