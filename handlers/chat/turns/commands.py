"""What each client frame does: what it stores, and the actions that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from handlers.chat.capacity import metered
from handlers.chat.concurrency import Runtime
from handlers.chat.crowd import crowded_out
from handlers.chat.errors import ErrorCode, KeysUnavailable, Refused
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.ids import chat_id_of
from handlers.chat.log import logger
from handlers.chat.protocol import frames, views
from handlers.chat.protocol.frames import (
    Authenticated,
    Cancel,
    ChatCreated,
    ChatLeft,
    ClientFrame,
    CreateChat,
    Error,
    History,
    JoinChat,
    LeaveChat,
    LoadHistory,
    Ping,
    Pong,
    Regenerate,
    SendMessage,
    ServerFrame,
    UserMessage,
)
from handlers.chat.protocol.parsing import Envelope, open_envelope
from handlers.chat.records import Chat, Connection, Subscription
from handlers.chat.settings import Settings
from handlers.chat.store import Store, StoreError
from handlers.chat.turns import lifecycle
from handlers.chat.turns.join import Joining
from handlers.chat.turns.lifecycle import Accepted, Handover, Standing
from handlers.chat.turns.quotas import Allowance

STORE_REST_SECONDS = 2
"""What a client is asked to wait where the database did not answer or was throttled."""


@dataclass(frozen=True, slots=True)
class Post:
    """Send a frame to a connection."""

    frame: ServerFrame
    connection_id: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """Send a frame to several connections at once: none of them may hold up the others, or what follows, for long."""

    frame: ServerFrame
    connections: frozenset[str]


@dataclass(frozen=True, slots=True)
class Generate:
    """Have the reply of a turn made."""

    handover: Handover


@dataclass(frozen=True, slots=True)
class Close:
    """Close a connection and forget it."""

    connection_id: str


Action = Post | Share | Generate | Close


@dataclass(frozen=True, slots=True)
class Commands:
    """Answers the frames of clients."""

    store: Store
    authenticator: Authenticator
    settings: Settings
    runtime: Runtime

    @property
    def joining(self) -> Joining:
        """What lets connections into chats."""
        return Joining(self.store, self.settings.texts, self.runtime)

    @property
    def allowance(self) -> Allowance:
        """What users may still send."""
        return Allowance(self.store, self.settings.limits, self.runtime)

    def answer(self, body: str | None, connection_id: str, perform: Callable[[Action], None], reference: str) -> None:
        """Do what a frame asks for. Every failure becomes one `error` frame.

        `reference` is what the error frame and the log line of an unexpected failure have in common.
        """
        envelope = Envelope({})
        try:
            envelope = open_envelope(body)
            connection = self.store.connections.get(connection_id) or Connection(connection_id, self.runtime.now())
            frame = envelope.frame()
            logger.append_keys(frame=frame.type, user_id=connection.user_id, chat_id=connection.chat_id)
            for action in self.decide(frame, connection, envelope.request_id):
                perform(action)
            logger.info("handled")
        except Refused as refusal:
            logger.info("refused", code=refusal.code.value)
            perform(_error(refusal, envelope, connection_id))
        except Exception as error:
            logger.exception("frame failed")
            retry_after = STORE_REST_SECONDS if isinstance(error, StoreError | KeysUnavailable) else None
            failure = Refused(
                ErrorCode.INTERNAL, f"Something went wrong on our side. Reference: {reference}", retry_after
            )
            perform(_error(failure, envelope, connection_id))

    def refuse(self, body: str | None, connection_id: str, refusal: Refused) -> Post:
        """Return the answer to a frame that is refused unread: a limit is over. Nothing is asked of the store."""
        try:
            envelope = open_envelope(body)
        except Refused:
            envelope = Envelope({})
        logger.info("refused", code=refusal.code.value)
        return _error(refusal, envelope, connection_id)

    def decide(self, frame: ClientFrame, connection: Connection, request_id: str | None) -> Iterator[Action]:
        """Store what the frame says and yield the actions that follow, in order. Raises `Refused`."""
        self._check_session(frame, connection)
        for answer in self._answers(frame, connection):
            match answer:
                case ServerFrame():
                    yield Post(answer, connection.connection_id, request_id)
                case _:
                    yield answer

    def _answers(  # noqa: C901 - a table of what each frame means, not a decision
        self, frame: ClientFrame, connection: Connection
    ) -> Iterator[ServerFrame | Action]:
        """Yield frames for the one who asked, and actions for everything else."""
        match frame:
            case JoinChat():
                return self._join(frame, connection)
            case CreateChat():
                return self._create(frame, connection)
            case SendMessage():
                return self._send(frame, connection)
            case Cancel():
                return self._cancel(frame, connection)
            case Regenerate():
                return self._regenerate(connection)
            case LoadHistory():
                return self._load_history(frame, connection)
            case LeaveChat():
                return self._leave(connection)
            case Ping():
                return self._ping(connection)
            case _:
                raise NotImplementedError(frame.type)

    def _check_session(self, frame: ClientFrame, connection: Connection) -> None:
        """Raise `Refused` where the token has ended that a connection came with. Only a new one helps then."""
        renews = isinstance(frame, JoinChat) and frame.token is not None
        if connection.until and self.runtime.now() >= connection.until and not renews:
            raise Refused(ErrorCode.INVALID_TOKEN)

    def _join(self, frame: JoinChat, connection: Connection) -> Iterator[ServerFrame | Action]:
        identity = self.authenticator.identify(frame.token) if frame.token is not None else None
        user_id, until = (identity.user_id, identity.until) if identity else (connection.user_id, None)
        if user_id is None:
            raise Refused(ErrorCode.INVALID_TOKEN)
        if frame.chat_id is None:
            kept = connection.chat_id if user_id == connection.user_id else None
            yield from self._bind(connection, user_id, kept, until)
            return
        chat = self.joining.find(user_id, frame.chat_id)
        self.joining.check(frame.resume, chat)
        yield from self._bind(connection, user_id, chat.chat_id, until)
        chat = yield from self.joining.enter(chat, connection, frame.resume)
        yield from self.joining.rest(frame.resume, chat)
        yield from self._see_to(chat)

    def _bind(
        self, connection: Connection, user_id: str, chat_id: str | None, until: datetime | None
    ) -> Iterator[ServerFrame | Action]:
        """Bind a connection to its user, in place of the oldest where there are too many."""
        most = self.settings.limits.connections_per_user
        makes_way = crowded_out(self.store, user_id, most, self.runtime.now()) if user_id != connection.user_id else ()
        self.joining.bind(connection, user_id, chat_id, until)
        yield Authenticated(user_id=user_id)
        yield from map(Close, makes_way)

    def _create(self, frame: CreateChat, connection: Connection) -> Iterator[ServerFrame]:
        user_id = connection.user_id
        if user_id is None:
            raise Refused(ErrorCode.NOT_AUTHENTICATED)
        chat_id = chat_id_of(user_id, frame.client_chat_id) if frame.client_chat_id else self.runtime.new_id()
        subscription = Subscription(self.runtime.new_id())
        new = Chat(user_id, chat_id, frame.title or None, subscribers={connection.connection_id: subscription})
        try:
            chat = self.store.chats.add(new, self.runtime.now())
        except StoreError:
            logger.exception("chat not created")
            raise Refused(ErrorCode.CREATE_FAILED) from None
        self.joining.bind(connection, user_id, chat.chat_id)
        yield ChatCreated(chat_id=chat.chat_id, title=self.joining.title(chat))
        if chat.subscribers.get(connection.connection_id) != subscription:
            self.joining.subscribe(chat, connection)

    def _send(self, frame: SendMessage, connection: Connection) -> Iterator[ServerFrame | Action]:
        user_id, chat_id = _seat(connection)
        text = self._sendable(frame.message)
        with metered() as meter:
            chat = self.joining.find(user_id, chat_id)
            yield from self._see_to(chat)
            accepted = self._sent_before(chat, frame) or self._accept(chat, text, frame)
        acknowledgement = _acknowledgement(accepted)
        yield acknowledgement
        if accepted.handover is None:
            return
        others = frozenset(chat.subscribers) - {connection.connection_id}
        if others:
            yield Share(acknowledgement, others)
        units = meter.units
        yield Generate(
            replace(accepted.handover, frames=1 + len(others), read_units=units.read, write_units=units.write)
        )

    def _sent_before(self, chat: Chat, frame: SendMessage) -> Accepted | None:
        """Return the message where it is stored already: a repeat takes nothing from the allowance."""
        if frame.client_message_id is None or not self.settings.limits.apply_to_messages:
            return None
        message = lifecycle.message_sent_as(self.store, chat.chat_id, frame.client_message_id)
        return Accepted(message, None) if message else None

    def _accept(self, chat: Chat, text: str, frame: SendMessage) -> Accepted:
        lifecycle.check_free(chat, self.runtime.now())
        self.allowance.spend_message(chat)
        return lifecycle.accept(
            self.store, chat, text, frame.client_message_id, self.runtime.now(), self.runtime.new_id
        )

    def _cancel(self, frame: Cancel, connection: Connection) -> Iterator[Action]:
        chat = self.joining.find(*_seat(connection))
        lifecycle.cancel(self.store, chat, frame.message_id, self.runtime.now())
        yield from self._see_to(chat)

    def _regenerate(self, connection: Connection) -> Iterator[Action]:
        chat = self.joining.find(*_seat(connection))
        yield from self._see_to(chat)
        lifecycle.check_free(chat, self.runtime.now())
        self.allowance.spend_message(chat)
        yield Generate(lifecycle.regenerate(self.store, chat, self.runtime.now(), self.runtime.new_id))

    def _load_history(self, frame: LoadHistory, connection: Connection) -> Iterator[ServerFrame]:
        chat = self.joining.find(*_seat(connection))
        messages, has_more = views.page(self.store.messages.newest_first(chat.chat_id, frame.before), frame.limit)
        yield History(chat_id=chat.chat_id, messages=messages, has_more=has_more)

    def _leave(self, connection: Connection) -> Iterator[ServerFrame]:
        user_id, chat_id = _seat(connection)
        self.joining.bind(connection, user_id, None)
        yield ChatLeft(chat_id=chat_id)

    def _ping(self, connection: Connection) -> Iterator[ServerFrame | Action]:
        yield Pong(server_time=frames.timestamp(self.runtime.now()))
        if connection.user_id and connection.chat_id:
            chat = self.store.chats.get(connection.user_id, connection.chat_id)
            yield from self._see_to(chat) if chat else ()

    def _see_to(self, chat: Chat) -> Iterator[Action]:
        """Hand on a turn whose worker is gone; announce a reply that was stored and not announced."""
        turn, now = chat.turn, self.runtime.now()
        match lifecycle.standing(turn, now):
            case Standing.ABANDONED if turn and lifecycle.take_over(self.store, chat, turn, now):
                logger.info("turn taken over", message_id=turn.message_id, attempt=turn.attempt)
                yield Generate(lifecycle.handover_of(chat, turn))
            case Standing.UNANNOUNCED if turn and lifecycle.take_over(self.store, chat, turn, now):
                if reply := self.store.messages.get(chat.chat_id, turn.message_id):
                    yield Share(views.complete(reply), frozenset(chat.subscribers))
                self.store.turns.clear(chat.user_id, chat.chat_id, turn.message_id)

    def _sendable(self, text: str) -> str:
        if not text.strip():
            raise Refused(ErrorCode.MESSAGE_EMPTY)
        if frames.utf16_length(text) > self.settings.message_chars:
            limit = self.settings.message_chars
            raise Refused(ErrorCode.MESSAGE_TOO_LARGE, f"Message is longer than {limit} characters")
        return text


def _seat(connection: Connection) -> tuple[str, str]:
    """Return the user and the chat of a connection. Raises `Refused` where it has not both."""
    if connection.user_id is None or connection.chat_id is None:
        raise Refused(ErrorCode.NOT_AUTHENTICATED, "Not authenticated or not in a chat")
    return connection.user_id, connection.chat_id


def _acknowledgement(accepted: Accepted) -> UserMessage:
    message = accepted.message
    return UserMessage(
        message_id=message.message_id,
        content=message.content,
        timestamp=frames.timestamp(message.timestamp),
        chat_id=message.chat_id,
        client_message_id=message.client_message_id,
        duplicate=True if accepted.handover is None else None,
    )


def _error(refusal: Refused, envelope: Envelope, connection_id: str) -> Post:
    frame = Error(
        message=refusal.message,
        code=refusal.code,
        retry_after=refusal.retry_after,
        client_message_id=envelope.client_message_id,
    )
    return Post(frame, connection_id, envelope.request_id)
