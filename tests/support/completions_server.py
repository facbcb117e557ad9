"""An HTTP server that gives the completions a test has written."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event

from tests.support.waiting import HANGS


class CompletionsServer(ThreadingHTTPServer):
    """Answers every completion with `status` and `body`, or the first ones with `answers`; keeps what it was asked.

    The `pieces` follow the body; a number among them is a rest in seconds. With `held` it does not end the answer
    until its client is gone, which sets `left`. With `silent` it does not even begin it.
    """

    daemon_threads = True
    status = 200
    content_type = "text/event-stream"
    protocol_version = "HTTP/1.0"
    body = b""
    pieces: tuple[bytes | float, ...] = ()
    held = silent = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, bytes]] = []
        self.requests: list[dict] = []
        self.authorizations: list[str] = []
        self.left = Event()
        self.let_go = Event()
        """Set when the server itself has ended an answer."""
        self.clients: list[int] = []
        """The client's port of each request."""

    @property
    def asked(self):
        return self.requests[-1]


class _Handler(BaseHTTPRequestHandler):
    server: CompletionsServer

    def setup(self):
        self.protocol_version = self.server.protocol_version
        super().setup()

    def do_POST(self):
        server = self.server
        server.authorizations.append(self.headers["Authorization"])
        server.clients.append(self.client_address[1])
        server.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if not server.silent:
            status, body = server.answers.pop(0) if server.answers else (server.status, server.body)
            self.send_response(status)
            self.send_header("Content-Type", server.content_type)
            self.end_headers()
            for piece in (body, *server.pieces):
                if isinstance(piece, bytes):
                    self.wfile.write(piece)
                    self.wfile.flush()
                else:
                    time.sleep(piece)
        if server.silent or server.held:
            self.connection.settimeout(HANGS)
            if self.rfile.read(1) == b"":
                server.left.set()
                return
        server.let_go.set()

    def log_message(self, *_):
        pass
