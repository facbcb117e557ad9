"""An HTTP server behind an integration."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class BackendServer(ThreadingHTTPServer):
    """Answers with `status`, `headers` and `body`, keeps what it was asked, and holds every answer until `go`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.headers, self.body = 200, {}, b"hello"
        self.requests = []
        self.go, self.asked, self.dropped = threading.Event(), threading.Event(), threading.Event()
        self.go.set()
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def answer(self):
        server = self.server
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        server.requests.append((self.command, self.path, dict(self.headers), body))
        server.asked.set()
        if not server.go.is_set() and not self.rfile.read(1):
            server.dropped.set()
            return
        self.send_response(server.status)
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    do_GET = do_POST = do_PUT = answer  # noqa: N815

    def log_message(self, *_):
        pass
