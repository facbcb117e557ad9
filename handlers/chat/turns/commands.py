"""Commands: take a client's frame, refuse it or do what it asks for, and say which actions follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import (
    STORE_RETRY_SECONDS,
    ConnectionChanged,
    ErrorCode,
    KeysUnavailable,
    Misconfigured,
    Refused,
)
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.limits.frame_rate import FrameRateLimiter, FrameVerdict
from handlers.chat.log import logger
from handlers.chat.protocol import client_frames, frames, parsing, views
from handlers.chat.records import Connection
from handlers.chat.settings import ACCESS, Settings, refuse_wrong
from handlers.chat.store import Store, StoreError
from handlers.chat.turns import actions, join, send

MAX_TRIES = 10
"""The most tries of one frame. A failed try means that another frame of the same connection has changed its row."""


class Commands:
    """The answers to client frames. `limiter` counts the frames of each connection.

    `wrong_settings` are the variables whose values cannot be used, those of the worker too, with a text for each. With
    any of them no turn begins. With one that decides who is let in, nothing is answered.
    """

    def __init__(
        self,
        store: Store,
        authenticator: Authenticator,
        settings: Settings,
        runtime: Runtime,
        limiter: FrameRateLimiter,
        wrong_settings: Mapping[str, str] | None = None,
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._texts = settings.texts
        self._runtime = runtime
        self._limiter = limiter
        self._wrong_settings = wrong_settings or {}
        self._joining = join.Joining(store, settings, runtime)
        self._sending = send.Sending(store, settings, runtime)

    def answer(
        self, body: str | None, connection_id: str, perform: Callable[[actions.Action], None], reference: str
    ) -> None:
        """Do what a frame asks for. Every refusal and every failure becomes one `error` frame.

        `reference` is a text that the error frame and the log event of an unexpected failure have in common.
        """
        decision = self._limiter.decide(connection_id)
        match decision.verdict:
            case FrameVerdict.PASS:
                self._answer(body, connection_id, perform, reference)
            case FrameVerdict.REFUSE:
                perform(self._too_fast(body, connection_id, decision.retry_after))
            case FrameVerdict.CLOSE:
                logger.warning("connection_closed_for_flooding")
                perform(actions.Close(connection_id))

    def _too_fast(self, body: str | None, connection_id: str, retry_after: int) -> actions.Post:
        """Return the answer to a frame that is refused unread. It costs no request to the database."""
        try:
            envelope = parsing.open_envelope(body)
        except Refused:
            envelope = parsing.Envelope({})
        refusal = self._limiter.refusal(retry_after)
        logger.info("frame_refused", code=refusal.code.value)
        return _error(refusal, envelope, connection_id)

    def _answer(
        self, body: str | None, connection_id: str, perform: Callable[[actions.Action], None], reference: str
    ) -> None:
        envelope = parsing.Envelope({})
        try:
            envelope = parsing.open_envelope(body)
            self._handle(envelope, connection_id, perform)
            logger.info("frame_handled")
        except Refused as refusal:
            logger.info("frame_refused", code=refusal.code.value)
            perform(_error(refusal, envelope, connection_id))
        except Misconfigured as error:
            logger.error("refused_by_settings", variables=error.variables, reason=str(error))
            perform(_error(Refused(ErrorCode.UNAVAILABLE), envelope, connection_id))
        except Exception as error:
            logger.exception("frame_failed")
            retry_after = STORE_RETRY_SECONDS if isinstance(error, StoreError | KeysUnavailable) else None
            failure = Refused(
                ErrorCode.INTERNAL, f"Something went wrong on our side. Reference: {reference}", retry_after
            )
            perform(_error(failure, envelope, connection_id))

    def _handle(
        self, envelope: parsing.Envelope, connection_id: str, perform: Callable[[actions.Action], None]
    ) -> None:
        """Do what a frame asks for, on the row of its connection as it is. Raises `Refused`."""
        # Another frame of the connection may change the row after it was read here. Then the write of this frame is
        # refused, before the client was told anything, and the frame is decided again on the new row.
        for _ in range(MAX_TRIES):
            connection = self._store.connections.get(connection_id) or Connection(connection_id, self._runtime.now())
            frame = envelope.frame()
            logger.append_keys(frame=frame.type, user_id=connection.user_id, chat_id=connection.chat_id)
            try:
                for action in self.decide(frame, connection, envelope.request_id):
                    perform(action)
            except ConnectionChanged:
                logger.info("connection_changed")
            else:
                return
        raise Refused(ErrorCode.INTERNAL, "Too many frames at once change this connection", STORE_RETRY_SECONDS)

    def decide(
        self, frame: client_frames.ClientFrame, connection: Connection, request_id: str | None
    ) -> Iterator[actions.Action]:
        """Store what the frame says and yield the actions that follow, in order.

        Raises `Refused`, and before the first action `Misconfigured` and `ConnectionChanged`.
        """
        begins_turn = isinstance(frame, client_frames.SendMessage | client_frames.Regenerate | client_frames.Edit)
        refuse_wrong(self._wrong_settings, None if begins_turn else ACCESS)
        self._check_session(frame, connection)
        for answer in self._dispatch(frame, connection):
            match answer:
                case frames.ServerFrame():
                    yield actions.Post(answer, connection.connection_id, request_id)
                case actions.Begin():
                    yield replace(answer, acknowledgement=replace(answer.acknowledgement, request_id=request_id))
                case _:
                    yield answer

    def _dispatch(  # noqa: C901 - a table of the frames, not a decision
        self, frame: client_frames.ClientFrame, connection: Connection
    ) -> Iterator[frames.ServerFrame | actions.Action]:
        """Yield frames for the client that asked, and actions for everything else."""
        match frame:
            case client_frames.JoinChat():
                return self._join(frame, connection)
            case client_frames.CreateChat():
                return self._joining.create_chat(frame, connection)
            case client_frames.LeaveChat():
                return self._joining.leave_chat(connection)
            case client_frames.LoadHistory():
                return self._joining.load_history(frame, connection)
            case client_frames.SendMessage():
                return self._sending.send_message(frame, connection)
            case client_frames.Cancel():
                return self._sending.cancel(frame, connection)
            case client_frames.Regenerate():
                return self._sending.regenerate(connection)
            case client_frames.Edit():
                return self._sending.edit_message(frame, connection)
            case client_frames.Select():
                return self._sending.select(frame, connection)
            case client_frames.Ping():
                return self._ping(connection)
            case _:
                raise NotImplementedError(frame.type)

    def _check_session(self, frame: client_frames.ClientFrame, connection: Connection) -> None:
        """Raise `Refused` if the token of the connection has ended. Only a frame with a new token is let through."""
        renews = isinstance(frame, client_frames.JoinChat) and frame.token is not None
        if connection.until and self._runtime.now() >= connection.until and not renews:
            raise Refused(ErrorCode.INVALID_TOKEN)

    def _join(
        self, frame: client_frames.JoinChat, connection: Connection
    ) -> Iterator[frames.ServerFrame | actions.Action]:
        identity = self._authenticator.identify(frame.token) if frame.token is not None else None
        user_id, until = (identity.user_id, identity.until) if identity else (connection.user_id, None)
        if user_id is None:
            raise Refused(ErrorCode.INVALID_TOKEN)
        yield from self._joining.join_chat(frame, connection, user_id, until)

    def _ping(self, connection: Connection) -> Iterator[frames.ServerFrame | actions.Action]:
        yield frames.Pong(server_time=frames.timestamp(self._runtime.now()))
        if connection.user_id and connection.chat_id:
            chat = self._store.chats.get(connection.user_id, connection.chat_id)
            if chat:
                yield from send.recover_turn(self._store, self._texts, chat, self._runtime.now())


def _error(refusal: Refused, envelope: parsing.Envelope, connection_id: str) -> actions.Post:
    frame = views.error(refusal, envelope.client_message_id)
    return actions.Post(frame, connection_id, envelope.request_id)
