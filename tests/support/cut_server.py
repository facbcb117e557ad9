"""A chat server that cuts a connection before or after one frame, whichever the test names, and forgets nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from parley.client.link import PROTOCOL
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.support import contract

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
"""The server's clock, which stands still. That of the client may show anything."""
REPLY = "Sun ☀ and rain, привет 🙂!"
CALL = {"kind": "tool_call", "callId": "t1", "name": "weather", "arguments": '{"city": "Oslo"}'}
CHAT = {"chatId": "c1", "title": "New"}
TIMESTAMP = "2026-11-26T12:00:00.000Z"
PARTS = [
    {"kind": "reasoning", "text": "Let me think. Yes."},
    CALL | {"state": "done", "result": "sun"},
    {"kind": "source", "url": "https://tea.example", "title": "Tea"},
]
_STEPS: tuple[str | tuple[int, int, dict[str, Any]], ...] = (
    (0, 0, {"kind": "reasoning", "text": "Let me think.", "textOffset": 0}),
    (0, 0, {"kind": "reasoning", "text": " Yes.", "textOffset": 13}),
    "Sun ☀ and ",
    (1, 10, CALL | {"state": "running"}),
    (1, 10, CALL | {"state": "done", "result": "sun"}),
    "rain, при",
    "вет 🙂!",
    (2, 26, {"kind": "source", "url": "https://tea.example", "title": "Tea"}),
)
"""The reply, as its worker makes it: pieces of the text, and parts with their index and offset."""


class Cut(Exception):
    """The connection is gone."""


class CutServer:
    """One user's chat with one message and its reply, which are kept whatever connections do.

    `cut` is the number of the frame, in both directions together, at which the connection dies: before it, or after it.
    `large` leaves texts and parts out of pages and of the end, as the server does with those that fit no frame.
    `dies_at` is the step at which the first worker dies; another one makes the reply anew. `alone` lets the reply go on
    without a connection; otherwise it waits for one, so that each piece is sent. `lifetimes` are the seconds until each
    connection has to hand over, as its greeting says: the last one holds for all that follow.
    """

    def __init__(
        self,
        cut: int | None = None,
        *,
        before: bool = False,
        large: bool = False,
        dies_at: int | None = None,
        alone: bool = False,
        lifetimes: tuple[float, ...] = (7200,),
        protocol: str = PROTOCOL,
    ) -> None:
        self.cut = cut
        self.was_cut = False
        self.messages: list[dict[str, Any]] = []
        self.frames = 0
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.pieces = 0
        self.connections = 0
        self.close_codes: list[int | None] = []
        self._lifetimes = lifetimes
        self._protocol = protocol
        self._before = before
        self._large = large
        self._dies_at = dies_at
        self._alone = alone
        self._joined: set[ServerConnection] = set()
        self._someone = asyncio.Event()
        self._text = ""
        self._parts: dict[int, dict[str, Any]] = {}
        self._attempt = 1
        self._running: asyncio.Task[None] | None = None
        self._by_client_id: dict[str, dict[str, Any]] = {}

    async def __call__(self, connection: ServerConnection) -> None:
        try:
            await self._greet(connection)
            async for raw in connection:
                if self._counts(before=True):
                    raise Cut
                frame = json.loads(raw)
                dies = self._counts(before=False)
                if dies:
                    self._leave(connection)
                with suppress(Cut, ConnectionClosed):
                    await self._take(connection, frame, dead=dies)
                if dies:
                    raise Cut
        except (Cut, ConnectionClosed):
            pass
        finally:
            self._leave(connection)
            self.close_codes.append(connection.close_code)
            if connection.transport:
                connection.transport.close()

    async def _greet(self, connection: ServerConnection) -> None:
        lifetime = self._lifetimes[min(self.connections, len(self._lifetimes) - 1)]
        self.connections += 1
        before = (NOON + timedelta(seconds=lifetime)).isoformat()
        fields: dict[str, Any] = {"protocol": self._protocol, "serverTime": NOON.isoformat(), "reconnectBefore": before}
        fields |= {"connectionId": "c=", "limits": {"messageChars": 10_000, "idleSeconds": 600}, "assistants": []}
        await self._send(connection, "connected", message="WebSocket connection established", **fields)

    def _counts(self, *, before: bool) -> bool:
        """Count a frame, once for both of its sides. Return True if the connection dies at this side of it."""
        if before:
            self.frames += 1
        dies = self.frames == self.cut and before == self._before and not self.was_cut
        self.was_cut = self.was_cut or dies
        return dies

    def _leave(self, connection: ServerConnection) -> None:
        self._joined.discard(connection)
        if not self._joined:
            self._someone.clear()

    def _join(self, connection: ServerConnection) -> None:
        self._joined.add(connection)
        self._someone.set()

    async def _send(self, to: ServerConnection, kind: str, request_id: str | None = None, /, **data: Any) -> None:
        if self._counts(before=True):
            self._leave(to)
            to.transport.close()
            raise Cut
        frame = {"type": kind, "data": data} | ({"requestId": request_id} if request_id else {})
        if self._protocol == PROTOCOL:
            contract.received(frame)
        await to.send(json.dumps(frame))
        if self._counts(before=False):
            self._leave(to)
            to.transport.close()
            raise Cut

    async def _tell(self, kind: str, **data: Any) -> None:
        for each in list(self._joined):
            with suppress(Cut, ConnectionClosed):
                await self._send(each, kind, **data)

    async def _take(self, connection: ServerConnection, frame: dict[str, Any], *, dead: bool) -> None:
        data, request_id = frame["data"], frame.get("requestId")
        match frame["type"]:
            case "join_chat":
                if not dead:
                    await self._send(connection, "authenticated", request_id, userId="ann")
                    if "chatId" in data:
                        await self._show(connection, data.get("resume"), request_id)
            case "create_chat":
                if not dead:
                    self._join(connection)
                    await self._send(connection, "chat_created", request_id, assistant="default", **CHAT)
            case "message":
                await self._accept(connection, data, request_id, dead=dead)
            case "ping" if not dead:
                await self._send(connection, "pong", request_id, serverTime=TIMESTAMP)

    async def _show(self, connection: ServerConnection, resume: dict[str, Any] | None, request_id: str | None) -> None:
        running = {"reply": {"messageId": "r1", "attempt": self._attempt}} if self._running else {}
        page = [self._in_a_page(each) for each in self.messages]
        await self._send(
            connection, "chat_joined", request_id, assistant="default", messages=page, hasMore=False, **CHAT, **running
        )
        # From here on without a wait between the state and its frames, as the server's subscription has none.
        if self._running or (resume and len(self.messages) > 1):
            await self._catch_up(connection, resume or {})
        self._join(connection)

    async def _catch_up(self, connection: ServerConnection, resume: dict[str, Any]) -> None:
        same = resume.get("attempt", 1) == self._attempt
        await self._start(connection, resume.get("offset", 0) if same else 0)
        sent: dict[int, dict[str, Any]] = {}
        while sent != self._parts:  # the worker goes on meanwhile
            for index, part in sorted(self._parts.items()):
                if sent.get(index) != part:
                    sent[index] = part
                    await self._send(connection, "assistant_message_part", **part)
        if self._running is None:
            await self._send(connection, "assistant_message_complete", **self._end())

    async def _start(self, connection: ServerConnection, offset: int) -> None:
        units = self._text.encode("utf-16-le")[2 * offset :]
        fields = {"messageId": "r1", "chatId": "c1", "attempt": self._attempt, "offset": offset}
        content = units.decode("utf-16-le")
        await self._send(connection, "assistant_message_start", message="…", content=content, **fields)

    def _in_a_page(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["role"] == "user" or not self._large:
            return message
        return {name: value for name, value in message.items() if name != "parts"} | {"content": None}

    async def _accept(
        self, connection: ServerConnection, data: dict[str, Any], request_id: str | None, *, dead: bool
    ) -> None:
        client_id = data["clientMessageId"]
        known = self._by_client_id.get(client_id)
        message = known or {"messageId": "u1", "role": "user", "content": data["message"], "timestamp": TIMESTAMP}
        if known is None:
            self._by_client_id[client_id] = message
            self.messages.append(message)
            self._running = asyncio.create_task(self._reply())
        if not dead:
            again = {"duplicate": True} if known else {}
            fields = {"chatId": "c1", "clientMessageId": client_id}
            await self._send(connection, "user_message", request_id, **message, **fields, **again)

    async def _reply(self) -> None:
        steps: list[Any] = list(_STEPS)
        if self._dies_at is not None:
            steps = [*steps[: self._dies_at], None, *steps]
        await self._tell_all("assistant_message_start", message="…", chatId="c1", offset=0, content="")
        for step in steps:
            await self._step(step)
        text = self._text
        whole = {
            "messageId": "r1",
            "role": "assistant",
            "content": text,
            "timestamp": TIMESTAMP,
            "finishReason": "stop",
        }
        parts = [{"index": index, "offset": part["offset"], **part["part"]} for index, part in self._parts.items()]
        await self._ready()
        self.messages.append(whole | {"parts": parts, "partCount": len(parts)})
        self._running = None
        await self._tell("assistant_message_complete", **self._end())

    async def _step(self, step: Any) -> None:
        if step is None:
            self._attempt, self._text, self._parts = 2, "", {}
            await self._tell_all("assistant_message_start", message="…", chatId="c1", offset=0, content="")
        elif isinstance(step, str):
            await self._ready()
            offset, self._text = len(self._text.encode("utf-16-le")) // 2, self._text + step
            await self._tell_all("assistant_message_token", token=step, offset=offset)
        else:
            await self._ready()
            index, offset, part = step
            pieces = self._parts.get(index, {}).get("part", {}).get("text", "") if part.get("textOffset") else ""
            whole = part | ({"text": pieces + part["text"], "textOffset": 0} if "textOffset" in part else {})
            common = {"messageId": "r1", "attempt": self._attempt, "index": index, "offset": offset}
            self._parts[index] = common | {"part": whole}
            await self._tell("assistant_message_part", **common, part=part)

    async def _ready(self) -> None:
        if not self._alone:
            await self._someone.wait()
        await asyncio.sleep(0)
        self.pieces += 1
        await self.goes_on.wait()

    async def _tell_all(self, kind: str, **data: Any) -> None:
        await self._tell(kind, messageId="r1", attempt=self._attempt, **data)

    def _end(self) -> dict[str, Any]:
        length = len(self._text.encode("utf-16-le")) // 2
        stored = {"messageId": "r1", "content": None if self._large else self._text, "role": "assistant"}
        more = {"timestamp": TIMESTAMP, "chatId": "c1", "attempt": self._attempt, "length": length}
        return stored | more | {"finishReason": "stop", "partCount": len(self._parts)}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        async with serve(self, "127.0.0.1", 0, ping_interval=None, close_timeout=0) as running:
            yield f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}/ws/chat"
        if self._running:
            self._running.cancel()
