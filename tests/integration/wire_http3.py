# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request over HTTP/3 (RFC 9114): prints the answer's status and the service's name.

wire_http3.py ADDRESS PORT HOST CA_FILE
"""

from __future__ import annotations

import asyncio
import sys
import typing as t

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    """Asks once, remembers the head of the answer."""

    def __init__(self, *arguments: t.Any, **options: t.Any) -> None:
        super().__init__(*arguments, **options)
        self.http = H3Connection(self._quic)
        self.head: dict[bytes, bytes] = {}
        self.done = asyncio.Event()

    def quic_event_received(self, event: t.Any) -> None:
        """What comes."""
        for found in self.http.handle_event(event):
            if isinstance(found, HeadersReceived):
                self.head.update(dict(found.headers))
            if isinstance(found, (HeadersReceived, DataReceived)) and found.stream_ended:
                self.done.set()

    async def get(self, host: str) -> dict[bytes, bytes]:
        """The head of the answer for /."""
        stream = self._quic.get_next_available_stream_id()
        self.http.send_headers(stream, [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", host.encode()), (b":path", b"/")], end_stream=True)
        self.transmit()
        await asyncio.wait_for(self.done.wait(), 10)
        return self.head


async def main(address: str, port: int, host: str, ca_file: str) -> None:
    """Ask and print."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=host, cafile=ca_file)
    async with connect(address, port, configuration=configuration, create_protocol=Client) as client:
        head = await t.cast(Client, client).get(host)
        print(head[b":status"].decode(), head[b"x-service"].decode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))
