"""A server of the @connections API that keeps requests and gives scripted answers."""

import socket
import struct
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class ManagementApiServer(ThreadingHTTPServer):
    """Keeps the requests, gives the next of `answers`, 200 when there is none.

    An answer is a status, or a function that answers the request's handler in its own way.
    """

    daemon_threads = True
    request_queue_size = 50

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.answers = [], deque()
        self.connections = self.closed = 0
        self.url = f"http://127.0.0.1:{self.server_port}/live"
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def process_request(self, request, client_address):
        self.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        super().shutdown_request(request)
        self.closed += 1

    def handle_error(self, request, client_address):
        """Say nothing: clients that hang up are what the tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.take(body, 200)

    def do_DELETE(self):
        self.take(b"DELETE", 204)

    def take(self, body, success):
        self.server.requests.append((self.path, dict(self.headers.items()), body))
        answer = self.server.answers.popleft() if self.server.answers else success
        if callable(answer):
            answer(self)
        else:
            self.answer(answer)

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": len(body), **given}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def failing(status, kind, body=b'{"message":"no"}', **headers):
    return lambda handler: handler.answer(status, body, x_amzn_ErrorType=kind, **headers)


def cut(handler):
    handler.close_connection = True


def reset(handler):
    """End the connection with a reset, after the request was handled."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def answer_then_hang_up_unannounced(handler):
    handler.answer(200)
    handler.close_connection = True
