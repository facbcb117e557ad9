"""A pool of HTTP connections to one server, for any number of threads at once.

It uses the standard library's client. Posting frames is what this system does most, and this takes a third of the CPU
that boto3 takes (docs/benchmarks.md). It ignores the proxy variables of the environment.
"""

from __future__ import annotations

import select
import ssl
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult

from handlers.chat.aws import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
from handlers.chat.concurrency import Runtime

NO_RESPONSE = (OSError, HTTPException)
"""The errors of a request without a response: time-outs, resets, refusals, bad certificates, what is not HTTP."""

MAX_IDLE = timedelta(seconds=4)
"""The longest rest of a connection that is used again. Servers and routers end idle connections, some unannounced. The
shortest common time is 5 s (`keepAliveTimeout` of Node.js up to version 24)."""


class NotSent(Exception):
    """The request was not completely written, so the server has not carried it out. The cause says why."""


class NoAnswer(Exception):
    """The request was completely written, and no response came: nobody knows if it was carried out."""


class _Connection(HTTPConnection):
    """A connection that writes a request at once: for http.client's two writes the server would wake up twice."""

    _unsent: list[bytes] | None = None

    def request_at_once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> None:
        """Write a request. Nothing of it is sent before all of it is there."""
        self._unsent = unsent = list[bytes]()
        try:
            self.request(method, path, body, headers)
        finally:
            self._unsent = None
        self.send(b"".join(unsent))

    def send(self, data: Any) -> None:
        """Send data, or keep it for the end of `request_at_once`: `request` calls this for each of its parts."""
        if self._unsent is None:
            super().send(data)
        else:
            self._unsent.append(data)


class _ConnectionOverTls(_Connection, HTTPSConnection):
    pass


class HttpPool:
    """The connections to the server of a URL: its scheme, host and port."""

    def __init__(self, url: SplitResult, runtime: Runtime) -> None:
        self._host = url.hostname or ""
        self._port = url.port
        # One context for all connections: it reads the system's certificates, which takes longer than a handshake.
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._runtime = runtime
        self._idle: deque[tuple[_Connection, datetime]] = deque()

    def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> HTTPResponse:
        """Send a request and return the response. Its body is read and dropped. Raises `NotSent` or `NoAnswer`.

        The server may close an idle connection just when a request is on its way. The request is sent again, on a new
        connection, only if it was not completely written: nothing is sent twice (RFC 9110, section 9.2.2).
        """
        kept = self._kept()
        if kept is not None:
            try:
                return self._exchange(kept, method, path, body, headers)
            except NotSent:
                pass
        return self._exchange(self._opened(), method, path, body, headers)

    def _kept(self) -> _Connection | None:
        """Return an idle connection that may be used. Those that the server has closed, or that rested, are closed."""
        while True:
            try:
                connection, since = self._idle.pop()
            except IndexError:
                return None
            # By the clock of the day: it goes on while Lambda has the process frozen. One set back proves nothing.
            if timedelta() <= self._runtime.now() - since <= MAX_IDLE and not _readable(connection):
                return connection
            connection.close()

    def _opened(self) -> _Connection:
        if self._tls is None:
            connection = _Connection(self._host, self._port, timeout=CONNECT_TIMEOUT_SECONDS)
        else:
            connection = _ConnectionOverTls(self._host, self._port, timeout=CONNECT_TIMEOUT_SECONDS, context=self._tls)
        try:
            connection.connect()
        except NO_RESPONSE as error:
            raise NotSent from error
        connection.sock.settimeout(READ_TIMEOUT_SECONDS)
        return connection

    def _exchange(
        self, connection: _Connection, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HTTPResponse:
        failure: type[NotSent | NoAnswer] = NotSent
        try:
            connection.request_at_once(method, path, body, headers)
            failure = NoAnswer
            response = connection.getresponse()
        except NO_RESPONSE as error:
            connection.close()
            self._forget_idle()
            raise failure from error
        self._drain(connection, response)
        return response

    def _drain(self, connection: _Connection, response: HTTPResponse) -> None:
        try:
            response.read()
        except NO_RESPONSE:
            # The status has come, and nobody needs the body: only the connection cannot be used again.
            connection.close()
            return
        if not response.will_close:
            self._idle.append((connection, self._runtime.now()))

    def _forget_idle(self) -> None:
        # The cause is most likely a thawed environment or a lost route, and has ended the other idle ones too.
        while self._idle:
            try:
                self._idle.pop()[0].close()
            except IndexError:
                return


def _readable(connection: _Connection) -> bool:
    """Tell if something is to be read from an idle connection: its end, or what no request has asked for."""
    poll = select.poll()  # not `select.select`, which fails for a descriptor over 1,023
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
