"""Connection of the client: joins the chat, keeps alive, reconnects after a loss."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import CloseCode

from parley.client.actions import Action, Cancel, End, Line, Resume, Send, Stream, Style
from parley.client.frames import GATEWAY_ERROR, Frame, FrameError
from parley.client.screen import Screen
from parley.client.transcript import Transcript

CONNECTION_ERRORS = (OSError, TimeoutError, WebSocketException)
TRANSIENT_ERRORS = ("internal", "rate_limited")
"""Codes of errors that may not occur at the next attempt."""


REFUSED_FRAME = (CloseCode.UNSUPPORTED_DATA, CloseCode.MESSAGE_TOO_BIG)
"""Close codes after which the frame that was sent last must not be sent again."""

TOO_LARGE = "The gateway refused your message: it is too large. It is not sent again."
CLOSED = (
    "The server closed the connection: too many connections or frames, or the user was disabled. "
    "Start `parley chat` again to go on."
)


CHAT_GONE = "The server does not know this chat any more, so here is a new one."


class ClientError(Exception):
    """The client has to stop. The text says what happened, and the next step."""


class ChatNotFound(ClientError):
    """The server has no chat with this id, or it is another user's."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Intervals in seconds."""

    greeting: float = 0.5
    answer: float = 30
    ping_busy: float = 5
    ping_idle: float = 300
    silence: float = 30
    """Time without any frame after a ping, after which the connection counts as lost."""
    retries: tuple[float, ...] = (0.5, 1, 2, 4, 8, 8, 8)
    """Longest pause before each attempt to reconnect. `back_off` shortens it by chance."""


TIMING = Timing()
PATIENT = replace(TIMING, retries=(*TIMING.retries, *[8.0] * 70))
"""The intervals for a person, who may stop the server, and start it again some minutes later."""


class Session:
    """One user in one chat, over as many connections as necessary. `assistant` answers in new chats, None for any."""

    def __init__(
        self,
        url: str,
        token: str,
        chat_id: str | None,
        screen: Screen,
        timing: Timing = TIMING,
        *,
        costs: bool = False,
        assistant: str | None = None,
    ) -> None:
        self.assistant = assistant
        self.transcript = Transcript(costs=costs)
        self._url = url
        self._token = token
        self._wanted_chat = chat_id
        self._first_chat = _new_id()
        self._screen = screen
        self._timing = timing
        self._connection: ClientConnection | None = None
        self._last_frame_at = 0.0
        self._ready = asyncio.Event()
        self._stop_tasks: set[asyncio.Task[None]] = set()

    async def ready(self) -> None:
        """Wait until the chat is joined and no answer is pending."""
        await self._ready.wait()

    async def ask(self, kind: str, data: Mapping[str, Any], answer: str) -> None:
        """Send a request. It is answered once `ready` returns. A message is sent again after a lost connection."""
        frame = Frame(kind, data, _new_id())
        self.transcript.ask(frame, answer)
        self._ready.clear()
        await self._send(frame)

    def stop(self) -> bool:
        """Stop the running reply. Return False if none is running."""
        if not self.transcript.replying:
            return False
        task = asyncio.create_task(self._perform_all(self.transcript.stop()))
        self._stop_tasks.add(task)
        task.add_done_callback(self._stop_tasks.discard)
        return True

    async def run(self) -> None:
        """Stay connected until cancelled. Raises ClientError if the server cannot be reached or refuses."""
        failures = 0
        while True:
            try:
                async with self._connect() as connection:
                    try:
                        await self._join(connection)
                        if failures:
                            self._screen.line("Reconnected.", Style.NOTE.value)
                        failures = 0
                        await self._listen(connection)
                    finally:
                        # With 1000. The library itself would take a client that leaves for one that has failed (1011).
                        await connection.close()
            except CONNECTION_ERRORS as loss:
                self._check_close(loss)
                # Without a chat nothing is lost: the first failure then ends the client, with its reason.
                if self.transcript.chat_id is None or failures == len(self._timing.retries):
                    raise ClientError(_unreachable(self._url, loss)) from loss
                self._lose(first=failures == 0)
            await asyncio.sleep(back_off(self._timing.retries[failures]))
            failures += 1

    def _check_close(self, loss: Exception) -> None:
        """Act on the close code of the server. Raises ClientError if the client is not to come back."""
        if not isinstance(loss, ConnectionClosed) or loss.rcvd is None or loss.rcvd_then_sent is False:
            return  # nobody closed it, or this client did
        if loss.rcvd.code == CloseCode.NORMAL_CLOSURE:
            raise ClientError(CLOSED) from loss
        if loss.rcvd.code in REFUSED_FRAME and self.transcript.drop_request():
            self._screen.line(TOO_LARGE, Style.ERROR.value)

    def _connect(self) -> connect:
        # API Gateway does not send WebSocket pings; the protocol's own `ping` is what resets its idle timer.
        return connect(self._url, compression=None, ping_interval=None, close_timeout=1)

    def _lose(self, first: bool) -> None:
        self._connection = None
        self._ready.clear()
        self.transcript.disconnected()
        if first:
            self._screen.line("The connection was lost. Reconnecting …", Style.NOTE.value)

    async def _join(self, connection: ClientConnection) -> None:
        """Authenticate and join or create the chat, then send a message again that was not acknowledged."""
        self._last_frame_at = time.monotonic()
        # `connected` may come late; then it is handled as any other frame.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.greeting):
                await self._take_until(connection, "connected")
        chat_id = self.transcript.chat_id or self._wanted_chat
        if chat_id:
            await self._enter(connection, chat_id)
        else:
            await self._create(connection)
        self._connection = connection
        if self.transcript.request:
            await self._send(self.transcript.request.frame)
        await self._perform_all(self.transcript.rejoined())
        self._update_ready()

    async def _enter(self, connection: ClientConnection, chat_id: str) -> None:
        """Join a chat. If it was open here, and is gone with the server's data or by another device, create one."""
        join = {"token": self._token, "chatId": chat_id, **self._resume()}
        try:
            await self._request(connection, "join_chat", join, "chat_joined")
        except ChatNotFound:
            if self.transcript.chat_id is None:
                raise
            self._screen.line(CHAT_GONE, Style.NOTE.value)
            self._first_chat = _new_id()
            await self._create(connection)

    async def _create(self, connection: ClientConnection) -> None:
        await self._request(connection, "join_chat", {"token": self._token}, "authenticated")
        await self._request(connection, "create_chat", self.new_chat(self._first_chat), "chat_created")

    def new_chat(self, client_chat_id: str, assistant: str | None = None) -> dict[str, Any]:
        """Return the data of a frame that creates a chat, with this assistant or that of the session."""
        named = assistant or self.assistant
        return {"clientChatId": client_chat_id, **({"assistant": named} if named else {})}

    async def _request(self, connection: ClientConnection, kind: str, data: Mapping[str, Any], answer: str) -> None:
        """Send a request while joining, and handle frames until its answer. Raises ClientError for a refusal."""
        request = Frame(kind, data, _new_id())
        await connection.send(request.dump())
        async with asyncio.timeout(self._timing.answer):
            await self._take_until(connection, answer, request.request_id)

    async def _take_until(self, connection: ClientConnection, answer: str, request_id: str | None = None) -> None:
        while True:
            frame = await self._next(connection)
            if frame.kind == GATEWAY_ERROR:
                raise TimeoutError(f"the gateway reports: {frame.text('message')}")
            if frame.kind == "error" and frame.request_id in (request_id, None):
                _raise_refusal(frame)
            await self._handle(frame)
            if frame.kind == answer:
                return

    async def _listen(self, connection: ClientConnection) -> None:
        alive = asyncio.create_task(self._keep_alive(connection))
        try:
            while True:
                await self._handle(await self._next(connection))
                self._update_ready()
        finally:
            alive.cancel()

    async def _next(self, connection: ClientConnection) -> Frame:
        while True:
            raw = await connection.recv()
            self._last_frame_at = time.monotonic()
            try:
                return Frame.parse(raw)
            except FrameError as error:
                self._report_unreadable(error)

    async def _handle(self, frame: Frame) -> None:
        try:
            actions = self.transcript.take(frame)
        except FrameError as error:
            self._report_unreadable(error)
            return
        await self._perform_all(actions)

    async def _perform_all(self, actions: Iterable[Action]) -> None:
        for action in actions:
            await self._perform(action)

    async def _perform(self, action: Action) -> None:
        match action:
            case Line(text, style):
                self._screen.line(text, style.value)
            case Stream(text):
                self._screen.stream(text)
            case End():
                self._screen.end()
            case Resume():
                await self._send(Frame("join_chat", {"chatId": self.transcript.chat_id, **self._resume()}))
            case Send(frame):
                await self._send(frame)
            case Cancel(message_id):
                await self._send(Frame("cancel", {"messageId": message_id} if message_id else {}, _new_id()))

    def _update_ready(self) -> None:
        if self.transcript.busy:
            self._ready.clear()
        else:
            self._ready.set()

    def _report_unreadable(self, error: FrameError) -> None:
        self._screen.line(f"The server sent an unreadable frame: {error}", Style.ERROR.value)

    def _resume(self) -> dict[str, Any]:
        reply = self.transcript.reply
        return {"resume": {"messageId": reply.message_id, "offset": reply.length}} if reply else {}

    async def _send(self, frame: Frame) -> None:
        if self._connection:
            with suppress(ConnectionClosed):  # the reading task notices it too, and reconnects
                await self._connection.send(frame.dump())

    async def _keep_alive(self, connection: ClientConnection) -> None:
        pinged = time.monotonic()
        unanswered: float | None = None
        while True:
            await asyncio.sleep(self._timing.ping_busy)
            now = time.monotonic()
            # Any frame answers a ping. `unanswered` is the time of the oldest ping without a frame after it.
            if unanswered is not None and self._last_frame_at >= unanswered:
                unanswered = None
            if unanswered is not None and now - unanswered > self._timing.silence:
                await connection.close()
                return
            await self._perform_all(self.transcript.retry())
            if self.transcript.busy or now - pinged >= self._timing.ping_idle:
                await self._send(Frame("ping"))
                pinged = now
                unanswered = now if unanswered is None else unanswered


def back_off(seconds: float) -> float:
    """Return a pause of half of `seconds` to all of it, by chance, so that clients do not all come back at once."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def _new_id() -> str:
    return uuid.uuid4().hex


def _raise_refusal(error: Frame) -> None:
    """Raise the error for a refusal while joining: a loss if another attempt may succeed, else the end."""
    text, code = error.text("message"), error.optional("code")
    if code in TRANSIENT_ERRORS:
        raise TimeoutError(text)
    step = {
        "invalid_token": "Make a token with `parley token USER`.",
        "chat_not_found": "Omit the chat to start a new one.",
        "unknown_assistant": "Choose another one with --assistant, or none.",
    }.get(code or "", "See the server's log.")
    kind = ChatNotFound if code == "chat_not_found" else ClientError
    raise kind(f"The server refused: {text} ({code or 'error'}). {step}")


def _unreachable(url: str, loss: Exception) -> str:
    if isinstance(loss, InvalidStatus):
        return f"{url} refused the connection with HTTP {loss.response.status_code}. Check the URL and the token."
    return f"Cannot reach {url}: {str(loss) or type(loss).__name__}. If nothing runs there, start it with `make run`."
