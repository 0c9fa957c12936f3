# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers every request with 503, Retry-After (RFC 9110, 15.6.4) and a page: Traefik has no page of its own to answer with.

    maintenance_page.py ADDRESS PORT PAGE

The page is read for each request, so that another one is shown at once. Standard library only.
"""

from __future__ import annotations

import http.server
import socket
import sys

RETRY_AFTER = "120"  # seconds
LARGEST = 1 << 20  # bytes of a request's body that are read, so that its sender gets to read the answer


class Page(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "maintenance"
    sys_version = ""
    timeout = 10  # seconds
    path_of_page = ""

    def answer(self) -> None:
        """To whatever was asked."""
        try:
            with open(self.path_of_page, "rb") as file:
                page = file.read()
        except OSError:
            page = b""
        length = self.headers.get("Content-Length", "0")
        if length.isdecimal() and int(length) <= LARGEST and "Transfer-Encoding" not in self.headers:
            self.rfile.read(int(length))
        else:
            self.close_connection = True
        self.send_response(503)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Retry-After", RETRY_AFTER)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)

    def __getattr__(self, name: str) -> object:
        """Every method that there is: the base class looks for do_GET and the like."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:
        """Traefik's own log has it."""


class Server(http.server.ThreadingHTTPServer):
    """IPv4 or IPv6, as the address is."""

    daemon_threads = True


def main() -> None:
    """Serve until ended."""
    address, port, Page.path_of_page = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    Server.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
    Server((address, port), Page).serve_forever()


if __name__ == "__main__":
    main()
