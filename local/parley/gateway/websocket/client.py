"""A connection's client, as the gateway reaches it over ASGI."""

from __future__ import annotations

import asyncio
from enum import Enum, auto

from parley.asgi import Message, Receive, Response, Send
from parley.clock import Clock, Timer
from parley.gateway.events import Headers
from parley.gateway.quotas import CLIENT_BUFFER
from parley.gateway.websocket.connection import RESET, Close, Connection, ConnectionState, closed_by_client
from parley.gateway.websocket.protocol import FRAGMENTS, PING, ClientBufferFull
from parley.trace import Trace


class Sent(Enum):
    """Result of sending a frame."""

    WRITTEN = auto()
    GONE = auto()
    BUFFER_FULL = auto()


class ClientConnection:
    """A connection together with its client. Closes itself at its deadline.

    With `pings` a client's ping counts as activity. With `fragments` a large frame is sent in fragments.
    """

    def __init__(
        self,
        connection: Connection,
        receive: Receive,
        send: Send,
        clock: Clock,
        trace: Trace,
        *,
        pings: bool = False,
        fragments: bool = False,
    ) -> None:
        self.connection = connection
        self._receive = receive
        self._send = send
        self._clock = clock
        self._trace = trace
        self._pings = pings
        self._fragments = fragments
        self._close: Close | None = None
        self._timer: Timer | None = None
        self._close_task: asyncio.Task[None] | None = None

    async def accept(self, subprotocol: str | None, headers: Headers) -> bool:
        """Complete the handshake. Returns False if the client has gone."""
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
        accepted = await self._try_send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": raw})
        if accepted:
            self.connection.mark_open(self._clock.time(), subprotocol)
            self._check_deadline()
        else:
            self.connection.mark_closed()
        return accepted

    async def refuse(self, response: Response) -> None:
        """Refuse the handshake with this response."""
        self.connection.mark_closed()
        await response.refuse(self._send)

    async def send(self, text: str) -> Sent:
        """Send a text frame. It never waits for the client: a frame that its buffer does not take is dropped."""
        message = {"type": "websocket.send", "text": text}
        try:
            written = await self._try_send(message | {FRAGMENTS: True} if self._fragments else message)
        except ClientBufferFull:
            what, connection_id = "a frame not sent", self.connection.handshake.connection_id
            self._trace.record("limit", connection_id=connection_id, what=what, **CLIENT_BUFFER.as_fields())
            return Sent.BUFFER_FULL
        if not written:
            return Sent.GONE
        self.connection.mark_active(self._clock.time())
        self._record("frame_out", text)
        return Sent.WRITTEN

    async def close(self, how: Close) -> None:
        """Close the connection. Does nothing if the gateway has closed it already."""
        if self._close is None:
            self._close = how
            # Closed before the frame is sent: a post in that time must get 410.
            self.connection.mark_closed()
            await self._try_send({"type": "websocket.close", "code": how.code, "reason": how.reason})

    async def receive(self) -> str | bytes | Close:
        """Return the next message, or the end of the connection."""
        while (message := await self._receive())["type"] == PING:
            if self._pings:
                self.connection.mark_active(self._clock.time())
        # After a reset nothing follows from what the client has sent before.
        if message["type"] == "websocket.disconnect" or self._close is RESET:
            self._finish()
            # If the gateway closed the connection, `$disconnect` gets the gateway's code, whatever the client answered.
            return self._close or closed_by_client(message["code"], message.get("reason") or "")
        self.connection.mark_active(self._clock.time())
        content: str | bytes = message["bytes"] if message.get("text") is None else message["text"]
        self._record("frame_in", content)
        return content

    def _check_deadline(self) -> None:
        """Close the connection if its deadline has passed, else check again at the deadline.

        One timer is enough: messages move the deadline without touching the timer.
        """
        if self.connection.state is not ConnectionState.OPEN:
            return
        now = self._clock.time()
        close = self.connection.due_close(now)
        if close:
            self._close_task = asyncio.ensure_future(self.close(close))
        else:
            self._timer = self._clock.call_later(self.connection.deadline() - now, self._check_deadline)

    def _finish(self) -> None:
        self.connection.mark_closed()
        if self._timer is not None:
            self._timer.cancel()

    async def _try_send(self, message: Message) -> bool:
        try:
            await self._send(message)
        except OSError:  # uvicorn raises it once the client has gone
            return False
        return True

    def _record(self, kind: str, content: str | bytes) -> None:
        size = len(content.encode()) if isinstance(content, str) else len(content)
        self._trace.record(kind, connection_id=self.connection.handshake.connection_id, bytes=size)
