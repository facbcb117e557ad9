"""The fetch of a key set over HTTP, in a bounded time and size."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from handlers.chat.concurrency import Runtime

TOTAL_SECONDS = 3.0
"""The most time of a whole fetch, from the lookup of the name to the last byte."""

MAX_BYTES = 64 * 1024


def fetched(url: str, runtime: Runtime, seconds: float = TOTAL_SECONDS) -> bytes:
    """Return the content of a URL, without following redirects. Raises OSError, and ValueError for too much content."""
    fetch = _Fetch(url, seconds)
    # A time-out of urllib is for one read: a server that sends a byte each second never reaches it. So the fetch has a
    # thread of its own. When the time is over, the connection is cut, and that ends the thread too.
    thread = runtime.start(fetch.run, "key-fetch")
    thread.join(seconds)
    if thread.is_alive():
        fetch.cut()
        raise TimeoutError(f"no complete answer within {seconds:g} s")
    if fetch.error is not None:
        raise fetch.error
    return fetch.body


class _Fetch:
    """One fetch, which another thread can cut."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._sockets: list[socket.socket] = []
        self._is_cut = False
        self.body = b""
        self.error: OSError | ValueError | None = None

    def run(self) -> None:
        """Fetch the content into `body`, or the reason why not into `error`."""
        try:
            opener = build_opener(_NoRedirects, _Http(self._connection), _Https(self._connection))
            with opener.open(self._url, timeout=self._seconds) as answer:
                self.body = answer.read(MAX_BYTES + 1)
            if len(self.body) > MAX_BYTES:
                self.error = ValueError(f"more than {MAX_BYTES} bytes")
        except (OSError, ValueError) as error:
            self.error = error
        except HTTPException as error:
            self.error = OSError(f"no HTTP answer: {type(error).__name__}")
        finally:
            for each in self._sockets:
                each.close()

    def cut(self) -> None:
        """End the connections, whatever they wait for."""
        self._is_cut = True
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _connection(self, kind: type[HTTPConnection], *args: Any, **more: Any) -> HTTPConnection:
        connection = kind(*args, **more)
        connection._create_connection = self._connected  # type: ignore[attr-defined]
        return connection

    def _connected(self, *args: Any) -> socket.socket:
        connected = socket.create_connection(*args)
        # A second socket for the same connection: TLS takes the first one over, and urllib closes it early.
        self._sockets.append(connected.dup())
        if self._is_cut:
            self.cut()
        return connected


_Connect = Callable[..., HTTPConnection]


class _Http(HTTPHandler):
    def __init__(self, connect: _Connect) -> None:
        super().__init__()
        self._connect = connect

    def http_open(self, req: Request) -> HTTPResponse:
        """Open a connection without TLS."""
        return self.do_open(lambda *args, **more: self._connect(HTTPConnection, *args, **more), req)


class _Https(HTTPSHandler):
    def __init__(self, connect: _Connect) -> None:
        super().__init__()
        self._connect = connect

    def https_open(self, req: Request) -> HTTPResponse:
        """Open a connection with TLS, verified as usual."""
        return self.do_open(lambda *args, **more: self._connect(HTTPSConnection, *args, **more), req)


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **more: Any) -> None:
        """Follow no redirect."""
