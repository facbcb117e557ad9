"""The connection of one chat: joins, keeps alive, comes back after a loss, hands over before the gateway closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import CloseCode

from parley.client.conversation import Conversation, refusal
from parley.client.errors import Closed, InvalidToken, ParleyError, RequestLost, Unreachable, UnsupportedProtocol
from parley.client.events import (
    Answered,
    Cancel,
    ChatEvent,
    Outcome,
    RequestFailed,
    Resume,
    Send,
    StateChanged,
    Unreadable,
)
from parley.client.frames import GATEWAY_ERROR, Frame, FrameError
from parley.client.keeper import Duty, Keeper, Needs
from parley.client.pending import REPEATABLE
from parley.client.timing import RUNTIME, TIMING, Runtime, Timing, back_off
from parley.client.tokens import Tokens, expires_at

PROTOCOL = "1.2"
"""The protocol of this client. It works with every server of the same major version."""
CONNECTION_ERRORS = (OSError, TimeoutError, WebSocketException)
TRANSIENT_ERRORS = ("internal", "rate_limited")
"""Codes of errors that may not occur at the next attempt."""
REFUSED_FRAME = (CloseCode.UNSUPPORTED_DATA, CloseCode.MESSAGE_TOO_BIG)
"""Close codes after which the frame that was sent last must not be sent again."""

_CLOSED = (
    "The server closed the connection: too many connections or frames, or the user was disabled. "
    "Do not connect again without asking the user."
)
_EXPIRED = "The token has expired, and the server has closed the connection. Give a function that fetches tokens."
_GIVEN_UP = "No answer came for {seconds:g} s, and the request must not be sent twice. Look, then ask again."


class _Socket:
    """One connection, with the keeper of its times."""

    def __init__(self, connection: ClientConnection, keeper: Keeper) -> None:
        self.connection = connection
        self.keeper = keeper
        self.token = ""
        self.renewal: str | None = None
        """Id of the request that brings a new token."""

    async def close(self) -> None:
        # With 1000. The library itself would take a client that leaves for one that has failed (1011).
        await self.connection.close()


class Link:
    """One connection after the other, and the conversation that goes on over all of them.

    `on_events` is called with what has happened. `wanted` is the id of the chat to join first. `notices`: see
    `Conversation`.
    """

    def __init__(
        self,
        url: str,
        tokens: Tokens,
        on_events: Callable[[list[ChatEvent]], None],
        *,
        wanted: str | None = None,
        notices: set[str] | None = None,
        timing: Timing = TIMING,
        runtime: Runtime = RUNTIME,
    ) -> None:
        self.conversation = Conversation(notices)
        self.wanted = wanted
        self.state = "connecting"
        self.error: ParleyError | None = None
        self._url = url
        self._tokens = tokens
        self._on_events = on_events
        self._timing = timing
        self._runtime = runtime
        self._socket: _Socket | None = None
        self._answer: asyncio.Future[Frame] | None = None
        self._asking = asyncio.Lock()
        self._not_handing_over = asyncio.Event()
        self._not_handing_over.set()
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and stay connected. Raises `ParleyError` if the first attempt fails."""
        self._running = asyncio.create_task(self._run())
        await self.until(lambda: self.state != "connecting")
        self.check()

    async def close(self) -> None:
        """Close the connection for good."""
        await self._end(Closed("This client was closed."))
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, or the connection has ended."""
        async with self._changed:
            await self._changed.wait_for(lambda: is_so() or self.state == "closed")

    def check(self) -> None:
        """Raise the error that has ended the connection, if it has ended."""
        if self.error:
            raise self.error

    async def ask(self, kind: str, data: Mapping[str, Any], answer: str, *, waits: bool = False) -> Frame:
        """Send a request and return its answer. It is sent again after a lost connection, if it may come twice.

        Raises `Refused`, `RequestLost`, or the error that has ended the connection.
        """
        async with self._asking:
            await self._not_handing_over.wait()
            self.check()
            frame = Frame(kind, data, self._runtime.new_id())
            self._answer = asyncio.get_running_loop().create_future()
            self.conversation.ask(frame, answer, waits=waits)
            try:
                await self._send(frame)
                return await self._answer
            finally:
                self._answer = None
                self.conversation.forget_request()
                await self._notify()

    async def leave(self) -> None:
        """Take the connection out of its chat."""
        await self.ask("leave_chat", {}, "chat_left")
        self.wanted = None
        self.conversation.leave()

    async def perform(self, outcomes: Iterable[Outcome]) -> None:
        """Carry out commands, and tell of events."""
        events: list[ChatEvent] = []
        for outcome in outcomes:
            match outcome:
                case Resume():
                    data = {"chatId": self.conversation.chat_id, **self.conversation.resume()}
                    await self._send(Frame("join_chat", data))
                case Send(frame):
                    await self._send(frame)
                case Cancel(message_id):
                    data = {"messageId": message_id} if message_id else {}
                    await self._send(Frame("cancel", data, self._runtime.new_id()))
                case Answered(frame):
                    self._settle(frame)
                case RequestFailed(error):
                    self._settle(error)
                case _:
                    events.append(outcome)
        self._on_events(events)
        await self._notify()

    def perform_soon(self, outcomes: list[Outcome]) -> None:
        """Carry out commands without waiting for them."""
        task = asyncio.create_task(self.perform(outcomes))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _settle(self, outcome: Frame | ParleyError) -> None:
        if self._answer is None or self._answer.done():
            return
        if isinstance(outcome, Frame):
            self._answer.set_result(outcome)
        else:
            self._answer.set_exception(outcome)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _set_state(self, state: str) -> None:
        self.state = state
        await self.perform([StateChanged(state)])

    async def _end(self, error: ParleyError) -> None:
        if self.error is None:
            self.error = error
            await self.perform([RequestFailed(error)])
            await self._set_state("closed")

    async def _run(self) -> None:
        try:
            socket = await self._first()
            await self._set_state("online")
            while True:
                try:
                    socket = await self._serve(socket)
                except CONNECTION_ERRORS as loss:
                    await self._check_close(loss, socket)
                    socket = await self._return(loss)
        except ParleyError as error:
            await self._end(error)
        except Exception as error:
            failure = Closed(f"The client itself has failed: {error!r}. The connection is closed.")
            failure.__cause__ = error
            await self._end(failure)
        finally:
            if self._socket:
                await self._socket.close()

    async def _first(self) -> _Socket:
        """Connect for the first time. A failure ends it: nothing is lost, and the reason is news to the user."""
        try:
            return await self._enter()
        except CONNECTION_ERRORS as loss:
            await self._check_close(loss)
            raise _unreachable(self._url, loss) from loss

    async def _return(self, loss: Exception) -> _Socket:
        """Connect again after a loss."""
        self._socket = None
        await self.perform(self.conversation.disconnected())
        await self._set_state("offline")
        for pause in self._timing.retries:
            await self._runtime.sleep(back_off(pause, self._runtime.chance()))
            try:
                socket = await self._enter()
            except CONNECTION_ERRORS as again:
                await self._check_close(again)
                loss = again
            else:
                await self._set_state("online")
                return socket
        raise _unreachable(self._url, loss) from loss

    async def _check_close(self, loss: Exception, socket: _Socket | None = None) -> None:
        """Act on the close code of the server. Raises `Closed` if the client is not to come back."""
        if not isinstance(loss, ConnectionClosed) or loss.rcvd is None or loss.rcvd_then_sent is False:
            return  # nobody closed it, or this client did
        if loss.rcvd.code in REFUSED_FRAME:
            await self.perform(self.conversation.drop_request())
        if loss.rcvd.code != CloseCode.NORMAL_CLOSURE:
            return
        if socket is None or not socket.keeper.has_expired(self._runtime.now()):
            raise Closed(_CLOSED) from loss
        if not self._tokens.renewable:
            raise InvalidToken(_EXPIRED, "invalid_token") from loss
        self._tokens.drop(socket.token)

    async def _enter(self) -> _Socket:
        """Open a connection, and join the chat on it. Then requests go there."""
        # API Gateway does not send WebSocket pings; the protocol's own `ping` is what resets its idle timer.
        connection = await connect(self._url, compression=None, ping_interval=None, close_timeout=1)
        runtime = self._runtime
        socket = _Socket(connection, Keeper(self._timing, runtime.monotonic(), runtime.chance()))
        try:
            # `connected` may come late; then it is handled as any other frame.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.greeting):
                    await self._take_until(socket, "connected")
            await self._join(socket)
            self._socket = socket
            request = self.conversation.request
            if request and request.frame.kind in REPEATABLE:
                await self._send(request.frame)
            await self.perform(self.conversation.rejoined())
        except BaseException:
            await socket.close()
            raise
        return socket

    async def _join(self, socket: _Socket) -> None:
        """Authenticate, and join the chat if there is one. A token that is refused is tried with a new one, once."""
        chat_id = self.conversation.chat_id or self.wanted
        chat = {"chatId": chat_id, **self.conversation.resume()} if chat_id else {}
        answer = "chat_joined" if chat_id else "authenticated"
        for last in (False, True):
            token = await self._token()
            try:
                await self._request(socket, {"token": token, **chat}, answer)
            except InvalidToken:
                if last or not self._tokens.renewable:
                    raise
                self._tokens.drop(token)
            else:
                self._use_token(socket, token)
                return

    async def _token(self) -> str:
        async with asyncio.timeout(self._timing.answer):
            return await self._tokens.get()

    def _use_token(self, socket: _Socket, token: str) -> None:
        socket.token = token
        socket.keeper.has_token(expires_at(token), self._runtime.now())

    async def _request(self, socket: _Socket, data: Mapping[str, Any], answer: str) -> None:
        """Send a `join_chat` on a connection that joins, and handle frames until its answer."""
        request = Frame("join_chat", data, self._runtime.new_id())
        await socket.connection.send(request.dump())
        async with asyncio.timeout(self._timing.answer):
            await self._take_until(socket, answer, request.request_id)

    async def _take_until(self, socket: _Socket, answer: str, request_id: str | None = None) -> None:
        while True:
            frame = await self._next(socket)
            if frame.kind == GATEWAY_ERROR:
                raise TimeoutError(f"the gateway reports: {frame.text('message')}")
            if frame.kind == "error" and frame.request_id in (request_id, None):
                if frame.optional("code") in TRANSIENT_ERRORS:
                    raise TimeoutError(frame.text("message"))
                raise refusal(frame)
            await self._take(frame)
            if frame.kind == answer:
                return

    async def _serve(self, socket: _Socket) -> _Socket:
        """Listen until the connection is lost, or another one has taken over. Return that one then."""
        reading = asyncio.create_task(self._listen(socket))
        keeping = asyncio.create_task(self._keep(socket))
        tasks = (keeping, reading)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                return keeping.result()
            reading.result()
            raise AssertionError("a connection is read until it is lost")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await socket.close()

    async def _listen(self, socket: _Socket) -> None:
        while True:
            frame = await self._next(socket)
            if frame.request_id is not None and frame.request_id == socket.renewal and frame.kind == "error":
                raise refusal(frame)
            if frame.kind == "error" and frame.optional("code") == "invalid_token" and self._tokens.renewable:
                await self._renew(socket)
                await self._resend()
            else:
                await self._take(frame)

    async def _next(self, socket: _Socket) -> Frame:
        while True:
            raw = await socket.connection.recv()
            monotonic, now = self._runtime.monotonic(), self._runtime.now()
            try:
                frame = Frame.parse(raw)
            except FrameError as error:
                socket.keeper.heard(None, monotonic, now)
                await self.perform([Unreadable(str(error))])
            else:
                socket.keeper.heard(frame, monotonic, now)
                return frame

    async def _take(self, frame: Frame) -> None:
        if frame.kind == "connected":
            _check_protocol(frame.optional("protocol") or PROTOCOL)
        try:
            outcomes = self.conversation.take(frame)
        except FrameError as error:
            outcomes = [Unreadable(str(error))]
        await self.perform(outcomes)

    async def _keep(self, socket: _Socket) -> _Socket:
        """Do what the keeper says. Return the connection that has taken over."""
        while True:
            await self._runtime.sleep(self._timing.ping_busy)
            await self.perform(self.conversation.retry())
            for duty in socket.keeper.duties(self._needs(), self._runtime.monotonic(), self._runtime.now()):
                successor = await self._do(duty, socket)
                if successor:
                    return successor

    def _needs(self) -> Needs:
        chat = self.conversation
        request_id = chat.request.frame.request_id if chat.request else None
        return Needs(chat.busy, chat.expects_a_reply and not chat.asking, request_id)

    async def _do(self, duty: Duty, socket: _Socket) -> _Socket | None:
        match duty:
            case Duty.PING:
                await self._send(Frame("ping"))
            case Duty.LEAVE:
                raise TimeoutError("the server is silent")
            case Duty.REJOIN:
                await self.perform([Resume()])
            case Duty.RESEND:
                await self._resend()
            case Duty.RENEW if self._tokens.renewable:
                await self._renew(socket)
            case Duty.HAND_OVER:
                return await self._hand_over(socket)
        return None

    async def _resend(self) -> None:
        """Send the pending request again, or give it up if it must not come twice."""
        request = self.conversation.request
        if request and request.frame.kind in REPEATABLE:
            await self._send(request.frame)
        elif request:
            self.conversation.forget_request()
            await self.perform([RequestFailed(RequestLost(_GIVEN_UP.format(seconds=self._timing.resend)))])

    async def _renew(self, socket: _Socket) -> None:
        """Send a new token. The connection stays in its chat."""
        self._tokens.drop(socket.token)
        try:
            token = await self._token()
        except TimeoutError:
            return  # the old token is still good for a while: try again at the next tick
        self._use_token(socket, token)
        renewal = Frame("join_chat", {"token": token}, self._runtime.new_id())
        socket.renewal = renewal.request_id
        await self._send(renewal)

    async def _hand_over(self, socket: _Socket) -> _Socket | None:
        """Join on another connection while this one is still read. Pieces that come on both are taken once."""
        self._not_handing_over.clear()
        try:
            # Only a request that must not come twice is waited for.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.answer):
                    await self.until(lambda: self.conversation.request is None)
            return await self._enter()
        except CONNECTION_ERRORS:
            socket.keeper.postpone(self._runtime.monotonic())
            return None
        finally:
            self._not_handing_over.set()

    async def _send(self, frame: Frame) -> None:
        if self._socket:
            with suppress(ConnectionClosed):  # the reading task notices it too, and reconnects
                await self._socket.connection.send(frame.dump())


def _check_protocol(version: str) -> None:
    """Raise `UnsupportedProtocol` if this client cannot keep to a version of the protocol."""
    if version.partition(".")[0] != PROTOCOL.partition(".")[0]:
        raise UnsupportedProtocol(
            f"The server speaks protocol {version}, this client {PROTOCOL}. Update the older one."
        )


def _unreachable(url: str, loss: Exception) -> Unreachable:
    if isinstance(loss, InvalidStatus):
        status = loss.response.status_code
        return Unreachable(f"{url} refused the connection with HTTP {status}. Check the URL and the token.", status)
    return Unreachable(f"Cannot reach {url}: {str(loss) or type(loss).__name__}. Check that a server runs there.")
