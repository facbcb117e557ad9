"""HTTP servers in this process: any, and the @connections API of a gateway, for SDKs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

from tests.support.gateway import GatewayStage


@contextmanager
def http_server(gateway: GatewayStage) -> Iterator[str]:
    """Serve a gateway's stage; give its URL. Calls of @connections only."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            name = unquote(self.path.rpartition("/@connections/")[2])
            answer = asyncio.run(gateway.post(name, body, self.command))
            self.send_response(answer.status)
            for header, value in {**answer.headers, "content-length": str(len(answer.body))}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_DELETE = do_POST  # noqa: N815 - the library's names

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}/live"


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serve requests in a thread of this process; give the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
