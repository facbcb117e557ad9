"""The socket of an HTTP client, for tests of the bytes that are sent."""

import asyncio
from io import BytesIO


class RecordingSocket:
    """A socket that keeps what is sent and answers 200."""

    def __init__(self):
        self.writes = []

    def sendall(self, data):
        self.writes.append(data)

    def makefile(self, *_):
        return BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def settimeout(self, seconds):
        pass

    def request(self):
        """Method, path, headers, body."""
        head, _, body = b"".join(self.writes).partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, path, _ = first.split(" ")
        return method, path, dict(line.split(": ", 1) for line in lines), body


class EmptyBody(BytesIO):
    """An empty one, as urllib3 would give it."""

    def stream(self):
        return iter(())


class UnsentTransport:
    """A transport with so many unsent bytes each time that it is asked. `calls` are the names of the other calls."""

    def __init__(self, *sizes):
        self.sizes = list(sizes)
        self.calls = []
        self.aborted = asyncio.Event()

    def get_write_buffer_size(self):
        return self.sizes.pop(0)

    def abort(self):
        self.calls.append("abort")
        self.aborted.set()

    def __getattr__(self, name):
        return lambda *_: self.calls.append(name)
