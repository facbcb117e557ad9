"""A server of the @connections API that kills a process that posts to it."""

import json
import os
import signal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import unquote

from tests.support import contract


class DeadlyClients(ThreadingHTTPServer):
    """The @connections API of many clients. With the post of the number `deadly`, the poster's process is killed."""

    daemon_threads = True
    request_queue_size = 50

    def __init__(self, deadly):
        super().__init__(("127.0.0.1", 0), _Post)
        self.deadly, self.killed = deadly, []
        self.frames, self.processes = [], set()
        self.lock = Lock()
        self.url = f"http://127.0.0.1:{self.server_port}/live"
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request, client_address):
        """Say nothing: a client that is killed hangs up."""

    def take(self, process, connection_id, frame):
        contract.received(frame)
        with self.lock:
            self.frames.append((connection_id, frame))
            self.processes.add(process)
            if len(self.frames) == self.deadly:
                self.killed.append(process)
                os.kill(process, signal.SIGKILL)


class _Post(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        *_, process, _, connection_id = self.path.split("/")
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.take(int(process), unquote(connection_id), json.loads(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass
