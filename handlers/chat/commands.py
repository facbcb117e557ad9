"""What each client frame does: what it stores, and the actions that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from handlers.chat import frames, history, turns
from handlers.chat.auth import Authenticator
from handlers.chat.envelope import Envelope, open_envelope
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.frames import (
    Authenticated,
    ChatCreated,
    ChatJoined,
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
    SendMessage,
    ServerFrame,
    UserMessage,
)
from handlers.chat.ids import chat_id_of
from handlers.chat.log import logger
from handlers.chat.settings import Settings
from handlers.chat.store import Chat, Connection, Store, StoreError
from handlers.chat.turns import Turn

JOINED_PAGE = 50
"""Messages that `chat_joined` holds at most; fewer where they would not fit into a frame."""


@dataclass(frozen=True, slots=True)
class Post:
    """Send a frame to a connection."""

    frame: ServerFrame
    connection_id: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Generate:
    """Have the reply of a turn made."""

    turn: Turn


Action = Post | Generate


@dataclass(frozen=True, slots=True)
class Commands:
    """Answers the frames of clients. `now` and `new_id` are the clock and the source of ids."""

    store: Store
    authenticator: Authenticator
    settings: Settings
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    def answer(self, body: str | None, connection_id: str, perform: Callable[[Action], None], reference: str) -> None:
        """Do what a frame asks for. Every failure becomes one `error` frame.

        `reference` is what the error frame and the log line of an unexpected failure have in common.
        """
        envelope = Envelope({})
        try:
            envelope = open_envelope(body)
            connection = self.store.connection(connection_id) or Connection(connection_id, self.now())
            frame = envelope.frame()
            logger.append_keys(frame=frame.type, user_id=connection.user_id, chat_id=connection.chat_id)
            for action in self.decide(frame, connection, envelope.request_id):
                perform(action)
            logger.info("handled")
        except Refused as refusal:
            logger.info("refused", code=refusal.code.value)
            perform(_error(refusal, envelope, connection_id))
        except Exception:
            logger.exception("frame failed")
            failure = Refused(ErrorCode.INTERNAL, f"Something went wrong on our side. Reference: {reference}")
            perform(_error(failure, envelope, connection_id))

    def decide(self, frame: ClientFrame, connection: Connection, request_id: str | None) -> Iterator[Action]:
        """Store what the frame says and yield the actions that follow, in order. Raises `Refused`."""
        match frame:
            case JoinChat():
                answers = self._join(frame, connection)
            case CreateChat():
                answers = self._create(frame, connection)
            case LoadHistory():
                answers = self._load_history(frame, connection)
            case LeaveChat():
                answers = self._leave(connection)
            case Ping():
                answers = iter([Pong(server_time=frames.timestamp(self.now()))])
            case SendMessage():
                return self._send(frame, connection, request_id)
            case _:
                raise NotImplementedError(frame.type)
        return (Post(answer, connection.connection_id, request_id) for answer in answers)

    def _join(self, frame: JoinChat, connection: Connection) -> Iterator[ServerFrame]:
        user_id = connection.user_id if frame.token is None else self.authenticator.user_of(frame.token)
        if user_id is None:
            raise Refused(ErrorCode.INVALID_TOKEN)
        if frame.chat_id is None:
            kept = connection.chat_id if user_id == connection.user_id else None
            self._move(connection, user_id, kept)
            yield Authenticated(user_id=user_id)
            return
        chat = self._chat(user_id, frame.chat_id)
        self._move(connection, user_id, chat.chat_id)
        messages, has_more = history.page(self.store.messages(chat.chat_id), JOINED_PAGE)
        yield Authenticated(user_id=user_id)
        yield ChatJoined(chat_id=chat.chat_id, title=self._title(chat), messages=messages, has_more=has_more)

    def _create(self, frame: CreateChat, connection: Connection) -> Iterator[ServerFrame]:
        user_id = connection.user_id
        if user_id is None:
            raise Refused(ErrorCode.NOT_AUTHENTICATED)
        chat_id = chat_id_of(user_id, frame.client_chat_id) if frame.client_chat_id else self.new_id()
        try:
            chat = self.store.add_chat(Chat(user_id, chat_id, frame.title or None), self.now())
        except StoreError:
            logger.exception("chat not created")
            raise Refused(ErrorCode.CREATE_FAILED) from None
        self._move(connection, user_id, chat.chat_id)
        yield ChatCreated(chat_id=chat.chat_id, title=self._title(chat))

    def _send(self, frame: SendMessage, connection: Connection, request_id: str | None) -> Iterator[Action]:
        user_id, chat_id = _seat(connection)
        text = self._sendable(frame.message)
        chat = self._chat(user_id, chat_id)
        message, turn = turns.accept(
            self.store, user_id, chat_id, text, frame.client_message_id, self.now(), self.new_id
        )
        acknowledgement = UserMessage(
            message_id=message.message_id,
            content=text,
            timestamp=frames.timestamp(message.timestamp),
            chat_id=chat_id,
            client_message_id=message.client_message_id,
        )
        yield Post(acknowledgement, connection.connection_id, request_id)
        for other in sorted(chat.subscribers - {connection.connection_id}):
            yield Post(acknowledgement, other)
        yield Generate(turn)

    def _load_history(self, frame: LoadHistory, connection: Connection) -> Iterator[ServerFrame]:
        _, chat_id = _seat(connection)
        messages, has_more = history.page(self.store.messages(chat_id, frame.before), frame.limit)
        yield History(chat_id=chat_id, messages=messages, has_more=has_more)

    def _leave(self, connection: Connection) -> Iterator[ServerFrame]:
        user_id, chat_id = _seat(connection)
        self._move(connection, user_id, None)
        yield ChatLeft(chat_id=chat_id)

    def _move(self, connection: Connection, user_id: str, chat_id: str | None) -> None:
        """Bind the connection to a user and to the one chat that it sees.

        It leaves the old chat first: cut short anywhere, it sees too little and never another user's chat.
        """
        if connection.user_id and connection.chat_id and connection.chat_id != chat_id:
            self.store.unsubscribe(connection.user_id, connection.chat_id, connection.connection_id)
        if chat_id and not self.store.subscribe(user_id, chat_id, connection.connection_id):
            raise Refused(ErrorCode.CHAT_NOT_FOUND)
        if not self.store.bind_connection(connection.connection_id, user_id, chat_id):
            raise Refused(ErrorCode.INTERNAL, "This connection is no longer known. Connect again")

    def _chat(self, user_id: str, chat_id: str) -> Chat:
        chat = self.store.chat(user_id, chat_id)
        if chat is None:
            raise Refused(ErrorCode.CHAT_NOT_FOUND)
        return chat

    def _title(self, chat: Chat) -> str:
        return chat.title or self.settings.texts.new_chat

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


def _error(refusal: Refused, envelope: Envelope, connection_id: str) -> Post:
    frame = Error(message=refusal.message, code=refusal.code, client_message_id=envelope.client_message_id)
    return Post(frame, connection_id, envelope.request_id)
