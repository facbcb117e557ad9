"""The emulator's HTTP server: uvicorn on the emulator's own listener, and the signals that end it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator

import uvicorn

from parley.asgi import Application
from parley.emulator.abort import AbortableProtocol, abortable
from parley.emulator.certificate import Certificate
from parley.emulator.listener import Acceptor, listen
from parley.emulator.options import Address
from parley.gateway.quotas import MAX_FRAME_BYTES, MAX_MESSAGE_BYTES
from parley.gateway.websocket.protocol import GatewayProtocol, HttpProtocol

_EXPECTED_ERRORS = (
    "ASGI callable returned without completing response.",
    "Invalid HTTP request received.",
    "Unsupported upgrade request.",
)
"""Errors of uvicorn's that need no report: what a client does wrong, and a reply that the built-in model breaks off."""


class Server(uvicorn.Server):
    """uvicorn on one port that takes plain connections and TLS. Raises `StartError` if it cannot listen.

    With `aborts` the application may raise `ConnectionAborted`.
    """

    def __init__(self, application: Application, address: Address, certificate: Certificate, *, aborts: bool) -> None:
        super().__init__(_configuration(application, aborts))
        self._listener = listen(address.host, address.port)
        self._certificate = certificate
        self._acceptor: Acceptor | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listener.getsockname()[1])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the emulator. uvicorn itself would wait for requests whose functions still run."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections."""
        await super().startup(sockets=[])
        self._acceptor = Acceptor(self._listener, self._protocol, self._certificate.context)
        self._acceptor.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, and end those that are open."""
        if self._acceptor is not None:
            self._acceptor.stop()
        await super().shutdown()

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def _configuration(application: Application, aborts: bool) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.getMessage() not in _EXPECTED_ERRORS)
    return uvicorn.Config(
        abortable(application) if aborts else application,
        http=AbortableProtocol if aborts else HttpProtocol,
        ws=GatewayProtocol,
        # The library takes a limit for messages and one for frames; uvicorn passes on what it is given.
        ws_max_size=(MAX_MESSAGE_BYTES, MAX_FRAME_BYTES),  # type: ignore[arg-type]
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set from now on."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, event.set)
    return event
