# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends crafted packets from the namespace it runs in: a line of JSON in, the number of packets out."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import struct
import sys
import typing as t

NUMBERS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
SYN = 0x02


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(source: bytes, destination: bytes, protocol: str, sport: int, dport: int) -> bytes:
    """A TCP SYN or an empty UDP datagram, with the checksum over its pseudo header."""
    number = NUMBERS[protocol]
    if protocol == "tcp":
        parts = [struct.pack("!HHIIBBH", sport, dport, 1, 0, 5 << 4, SYN, 1024), struct.pack("!H", 0)]
    else:
        parts = [struct.pack("!HHH", sport, dport, 8)]
    length = 20 if protocol == "tcp" else 8
    pseudo = source + destination + (struct.pack("!BBH", 0, number, length) if len(source) == 4 else struct.pack("!IHBB", length, 0, 0, number))
    value = checksum(pseudo + parts[0] + b"\0\0" + b"".join(parts[1:]))
    return parts[0] + struct.pack("!H", value or 0xFFFF) + b"".join(parts[1:])


def packet(data: dict[str, t.Any]) -> bytes:
    """A whole IP packet."""
    source = ipaddress.ip_address(data["source"]).packed
    destination = ipaddress.ip_address(data["destination"]).packed
    payload = segment(source, destination, data["protocol"], data["sport"], data["dport"])
    number = NUMBERS[data["protocol"]]
    if len(source) == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, number, 0) + source + destination
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload
    return struct.pack("!IHBB", 6 << 28, len(payload), number, 64) + source + destination + payload


def main() -> None:
    """Send until standard input ends."""
    raw = {4: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW), 6: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)}
    for line in sys.stdin:
        packets = json.loads(line)
        for data in packets:
            version = 6 if ":" in data["destination"] else 4
            with contextlib.suppress(PermissionError):  # dropped by this very namespace's output hook
                raw[version].sendto(packet(data), (data["destination"], 0))
        print(len(packets), flush=True)


if __name__ == "__main__":
    main()
