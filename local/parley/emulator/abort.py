"""Connections that end without an answer, as when a network or a server breaks: what ASGI has no word for."""

from __future__ import annotations

from parley.asgi import Application, Receive, Scope, Send
from parley.gateway.websocket.protocol import HttpProtocol

_EXTENSION = "parley.cut"


class Cut(Exception):
    """The connection is to be cut, without any answer, or any more of it."""


class CuttableProtocol(HttpProtocol):
    """uvicorn's HTTP, with an extension in the scope that cuts the connection."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"cut": self.transport.abort}}


def cuttable(application: Application) -> Application:
    """Return the application, in which raising `Cut` now cuts the connection. It needs a `CuttableProtocol`."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await application(scope, receive, send)
        except Cut:
            scope["extensions"][_EXTENSION]["cut"]()
            # Until uvicorn has noticed: it would answer for an application that returned without a response.
            while (await receive())["type"] != "http.disconnect":
                pass

    return serve
