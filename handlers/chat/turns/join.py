"""How a connection comes to see a chat: what it is shown, from when on it hears, and the rest of a stored reply."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.protocol import frames, views
from handlers.chat.protocol.frames import AssistantMessageStart, ChatJoined, Resume, Role, RunningReply, ServerFrame
from handlers.chat.records import Chat, Connection, Message, Subscription
from handlers.chat.replies.relay import Script
from handlers.chat.store import Store
from handlers.chat.texts import Texts
from handlers.chat.turns import lifecycle

PAGE = 50
"""Messages that `chat_joined` holds at most; fewer where they would not fit into a frame."""


@dataclass(frozen=True, slots=True)
class Joining:
    """Lets connections into chats."""

    store: Store
    texts: Texts
    runtime: Runtime

    def find(self, user_id: str, chat_id: str) -> Chat:
        """Return a user's chat. Raises `Refused` with `chat_not_found`."""
        chat = self.store.chats.get(user_id, chat_id)
        if chat is None:
            raise Refused(ErrorCode.CHAT_NOT_FOUND)
        return chat

    def bind(self, connection: Connection, user_id: str, chat_id: str | None, until: datetime | None = None) -> None:
        """Bind a connection to a user and to the one chat that it is in, once it has left the old one.

        `until` is when the token ends that it came with, if it came with one.
        """
        if connection.user_id and connection.chat_id and connection.chat_id != chat_id:
            self.store.chats.unsubscribe(connection.user_id, connection.chat_id, connection.connection_id)
        if not self.store.connections.bind(connection.connection_id, user_id, chat_id, until):
            raise Refused(ErrorCode.INTERNAL, "This connection is no longer known. Connect again")

    def enter(self, chat: Chat, connection: Connection, resume: Resume | None) -> Generator[ServerFrame, None, Chat]:
        """Show a chat, then let the connection hear it: what comes on its own comes after `chat_joined`.

        What happened in between is shown by another `chat_joined`. Returns the chat as it was shown last.
        """
        while True:
            yield self._joined(chat)
            then = self._subscribed(chat, connection, resume)
            if then is not None and _scene(then) == _scene(chat):
                return then
            chat = then or self.find(chat.user_id, chat.chat_id)

    def subscribe(self, chat: Chat, connection: Connection) -> None:
        """Let a connection hear a chat, without showing it."""
        while self._subscribed(chat, connection, None) is None:
            chat = self.find(chat.user_id, chat.chat_id)

    def _subscribed(self, chat: Chat, connection: Connection, resume: Resume | None) -> Chat | None:
        turn = chat.turn
        subscription = Subscription(
            self.runtime.new_id(), resume, shown=turn.message_id if turn and turn.sealed else None
        )
        return self.store.chats.subscribe(chat.user_id, chat.chat_id, connection.connection_id, subscription)

    def check(self, resume: Resume | None, chat: Chat) -> None:
        """Raise `Refused` with `invalid_format` for a resume beyond the end of a stored reply."""
        reply = self._stored(resume, chat) if resume else None
        if resume and reply and (resume.attempt or 1) == reply.attempt:
            length = frames.utf16_length(reply.content)
            if resume.offset > length:
                raise Refused(ErrorCode.INVALID_FORMAT, f"resume.offset is beyond the reply's end at {length}")

    def rest(self, resume: Resume | None, chat: Chat) -> Iterator[ServerFrame]:
        """Yield what a client lacks of a stored reply: a start from there on, tokens, the end.

        Nothing for one that is not stored in this chat: a worker sends the rest of a running reply.
        """
        reply = self._stored(resume, chat) if resume else None
        if reply is None:
            return
        start = AssistantMessageStart(
            message=self.texts.typing, message_id=reply.message_id, chat_id=reply.chat_id, attempt=reply.attempt
        )
        script = Script(start, reply.content)
        script.end = views.complete(reply)
        cursor = script.resume(resume)
        while step := script.after(cursor):
            frame, cursor = step
            yield frame

    def title(self, chat: Chat) -> str:
        """Return the title of a chat as people see it."""
        return chat.title or self.texts.new_chat

    def _joined(self, chat: Chat) -> ChatJoined:
        messages, has_more = views.page(self.store.messages.newest_first(chat.chat_id), PAGE)
        turn, reply = chat.turn, None
        if turn is not None and lifecycle.is_running(turn, self.runtime.now()):
            reply = RunningReply(message_id=turn.message_id, attempt=max(1, turn.attempt))
        return ChatJoined(
            chat_id=chat.chat_id, title=self.title(chat), messages=messages, has_more=has_more, reply=reply
        )

    def _stored(self, resume: Resume, chat: Chat) -> Message | None:
        reply = self.store.messages.get(chat.chat_id, resume.message_id)
        return reply if reply and reply.role is Role.ASSISTANT else None


def _scene(chat: Chat) -> tuple[object, ...]:
    """Return what a client that has just been shown a chat must know to follow it."""
    turn = chat.turn
    return chat.last_message_id, chat.message_count, turn.message_id if turn and not turn.sealed else None
