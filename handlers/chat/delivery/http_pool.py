"""A pool of HTTP connections to one server, for any number of threads at once.

It uses the standard library's client. Posting frames is what this system does most, and this takes a third of the CPU
that boto3 takes (docs/benchmarks.md). It ignores the proxy variables of the environment.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult

from handlers.chat.aws import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS

NO_RESPONSE = (OSError, HTTPException)
"""The errors of a request without a response: time-outs, resets, refusals, bad certificates, what is not HTTP."""


class HttpPool:
    """The connections to the server of a URL: its scheme, host and port."""

    def __init__(self, url: SplitResult) -> None:
        self._host = url.hostname or ""
        self._port = url.port
        # One context for all connections: it reads the system's certificates, which takes longer than a handshake.
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._idle: deque[HTTPConnection] = deque()

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> HTTPResponse:
        """Send a request and return the response. Its body is read and dropped. Raises one of `NO_RESPONSE`.

        The server may close an idle connection just when a request is on its way. Such a request is sent again, on a
        new connection: it may arrive twice, but it is not lost.
        """
        kept = self._kept()
        if kept is not None:
            try:
                return self._exchange(kept, method, path, body, headers)
            except TimeoutError:
                raise
            except NO_RESPONSE:
                pass
        return self._exchange(self._opened(), method, path, body, headers)

    def _kept(self) -> HTTPConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _opened(self) -> HTTPConnection:
        if self._tls is None:
            connection = HTTPConnection(self._host, self._port, timeout=CONNECT_TIMEOUT_SECONDS)
        else:
            connection = HTTPSConnection(self._host, self._port, timeout=CONNECT_TIMEOUT_SECONDS, context=self._tls)
        connection.connect()
        connection.sock.settimeout(READ_TIMEOUT_SECONDS)
        return connection

    def _exchange(
        self, connection: HTTPConnection, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HTTPResponse:
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
        except NO_RESPONSE:
            connection.close()
            self._forget_idle()
            raise
        self._drain(connection, response)
        return response

    def _drain(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        try:
            response.read()
        except NO_RESPONSE:
            # The status has come, and nobody needs the body: only the connection cannot be used again.
            connection.close()
            return
        if not response.will_close:
            self._idle.append(connection)

    def _forget_idle(self) -> None:
        # The cause is most likely a thawed environment or a lost route, and has ended the other idle ones too.
        while connection := self._kept():
            connection.close()
