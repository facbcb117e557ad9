"""HTTP to one server over connections that are kept alive, for any number of threads at once.

The standard library's client: posting frames is what this system does most, and it takes a third of boto3's CPU
(docs/benchmarks.md). Proxy variables of the environment mean nothing to it.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult

from handlers.chat.aws import CONNECT_TIMEOUT, READ_TIMEOUT

NO_ANSWER = (OSError, HTTPException)
"""What is raised where no answer came: time-outs, resets, refusals, certificates, what is not HTTP."""


class Transport:
    """Sends requests to the server of a URL: its scheme, host and port."""

    def __init__(self, url: SplitResult) -> None:
        self._host = url.hostname or ""
        self._port = url.port
        # One for all: it reads the system's certificates, which takes longer than a handshake.
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._idle: deque[HTTPConnection] = deque()

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> HTTPResponse:
        """Send a request, and return the answer, its body read and dropped. Raises one of `NO_ANSWER`.

        The server may close a kept connection just as a request is on its way. Such a request is sent again, on a
        new connection: it may arrive twice, but it is not lost.
        """
        kept = self._kept()
        if kept is not None:
            try:
                return self._exchange(kept, method, path, body, headers)
            except TimeoutError:
                raise
            except NO_ANSWER:
                pass
        return self._exchange(self._opened(), method, path, body, headers)

    def _kept(self) -> HTTPConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _opened(self) -> HTTPConnection:
        if self._tls is None:
            connection = HTTPConnection(self._host, self._port, timeout=CONNECT_TIMEOUT)
        else:
            connection = HTTPSConnection(self._host, self._port, timeout=CONNECT_TIMEOUT, context=self._tls)
        connection.connect()
        connection.sock.settimeout(READ_TIMEOUT)
        return connection

    def _exchange(
        self, connection: HTTPConnection, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HTTPResponse:
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
        except NO_ANSWER:
            connection.close()
            self._forget_idle()
            raise
        self._drain(connection, response)
        return response

    def _drain(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        try:
            response.read()
        except NO_ANSWER:
            # The status has come, and it is the answer: only the connection is spoilt.
            connection.close()
            return
        if not response.will_close:
            self._idle.append(connection)

    def _forget_idle(self) -> None:
        # What ended one connection, a thawed environment or a lost route, has most likely ended the idle ones too.
        while connection := self._kept():
            connection.close()
