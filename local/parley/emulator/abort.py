"""Connections that end without an answer, as when a network or a server fails. ASGI has no word for this."""

from __future__ import annotations

from parley.asgi import Application, Receive, Scope, Send
from parley.gateway.websocket.protocol import HttpProtocol

_EXTENSION = "parley.abort"


class ConnectionAborted(Exception):
    """The connection must end now, without an answer or without the rest of it."""


class AbortableProtocol(HttpProtocol):
    """uvicorn's HTTP protocol, with an extension in the scope that aborts the connection."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"abort": self.transport.abort}}


def abortable(application: Application) -> Application:
    """Return the application with `ConnectionAborted` handled: raising it aborts the connection.

    It must be served by an `AbortableProtocol`.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await application(scope, receive, send)
        except ConnectionAborted:
            scope["extensions"][_EXTENSION]["abort"]()
            # Until uvicorn has noticed: it answers for an application that returns without a response.
            while (await receive())["type"] != "http.disconnect":
                pass

    return serve
