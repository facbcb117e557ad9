"""Joining a chat: bind the connection, show the chat, subscribe to it, and send the rest of a stored reply."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from handlers.chat.concurrency import Runtime
from handlers.chat.connections import connections_to_evict
from handlers.chat.errors import ConnectionChanged, ErrorCode, Refused
from handlers.chat.ids import chat_id_of
from handlers.chat.log import logger
from handlers.chat.protocol import client_frames, frames, sizes, stream, views
from handlers.chat.records import Chat, Connection, Message, Resume, Role, Subscription
from handlers.chat.settings import Settings
from handlers.chat.store import Store, StoreError
from handlers.chat.turns import actions, branches, creation, lifecycle, send

LEAVING_SECONDS = 2.5
"""The wait before a connection hears that it has another user, if it was in a chat of the old one. After it no frame of
that chat comes: a worker reads the subscribers with certainty every 2 s (`replies.monitor.CERTAIN_SECONDS`), and the
rest is for that read and for a post that has begun."""


@dataclass(frozen=True, slots=True)
class Joining:
    """The frames that bring a connection into a chat, show it older messages, and take it out again."""

    store: Store
    settings: Settings
    runtime: Runtime

    def join_chat(
        self, frame: client_frames.JoinChat, connection: Connection, user_id: str, until: datetime | None
    ) -> Iterator[frames.ServerFrame | actions.Action]:
        """Bind a connection to its user; if the frame names a chat, show it and subscribe to it.

        `until` is the end of a new token, None if the frame brought none.
        """
        if frame.chat_id is None:
            # A new token alone: a connection that stays with its user stays in its chat.
            kept = connection.chat_id if user_id == connection.user_id else None
            yield from self._authenticated(connection, _bound(connection, user_id, kept, until))
            return
        chat = lifecycle.find_chat(self.store, user_id, frame.chat_id)
        self._check_resume(frame.resume_from, chat)
        bound = _bound(connection, user_id, chat.chat_id, until)
        yield from self._authenticated(connection, bound)
        chat = yield from self._join(chat, bound, frame.resume_from)
        yield from self._catch_up(frame.resume_from, chat)
        yield from send.recover_turn(self.store, self.settings.texts, chat, self.runtime.now())

    def create_chat(self, frame: client_frames.CreateChat, connection: Connection) -> Iterator[frames.ServerFrame]:
        """Create a chat and join it. The same `clientChatId` gives the same chat again, with its own assistant."""
        user_id = connection.user_id
        if user_id is None:
            raise Refused(ErrorCode.NOT_AUTHENTICATED)
        chat_id = chat_id_of(user_id, frame.client_chat_id) if frame.client_chat_id else self.runtime.new_id()
        new = Chat(user_id, chat_id, frame.title, assistant=self.settings.assistants.kept_id(frame.assistant))
        try:
            chat = creation.create_chat(self.store, new, self.settings.limits.chats_per_user, self.runtime.now())
        except StoreError:
            logger.exception("chat_not_created")
            raise Refused(ErrorCode.CREATE_FAILED) from None
        bound = _bound(connection, user_id, chat.chat_id)
        self._bind(connection, bound)
        created = frames.ChatCreated(chat_id=chat.chat_id, title=self._title(chat), assistant=chat.assistant_id)
        if chat == new:
            # Nobody else knows of it. So it is heard before the client can send a message there.
            self._subscribe_unshown(chat, bound)
            yield created
        else:
            yield created
            self._subscribe_unshown(chat, bound)

    def leave_chat(self, connection: Connection) -> Iterator[frames.ServerFrame]:
        """Take a connection out of its chat."""
        user_id, chat_id = send.require_joined(connection)
        self._bind(connection, _bound(connection, user_id, None))
        yield frames.ChatLeft(chat_id=chat_id)

    def load_history(self, frame: client_frames.LoadHistory, connection: Connection) -> Iterator[frames.ServerFrame]:
        """Show a page of messages that are older than one that the client has."""
        user_id, chat_id = send.require_joined(connection)
        chat = lifecycle.find_chat(self.store, user_id, chat_id)
        messages, has_more = self._page(chat, frame.limit or views.MAX_PAGE_MESSAGES, frame.before)
        yield frames.History(chat_id=chat.chat_id, messages=messages, has_more=has_more)

    def _authenticated(
        self, connection: Connection, bound: Connection
    ) -> Iterator[frames.ServerFrame | actions.Action]:
        """Bind a connection to its user. If that user has too many connections, the oldest ones are closed."""
        limit = self.settings.limits.connections_per_user
        user_id, is_new = bound.user_id or "", bound.user_id != connection.user_id
        evicted = connections_to_evict(self.store, user_id, limit, self.runtime.now()) if is_new else ()
        self._bind(connection, bound)
        if bound.until != connection.until and not self.store.users.is_enabled(user_id):
            # Disabled since the token was checked, perhaps after the user's connections were looked up and closed.
            yield actions.Close(bound.connection_id)
            raise Refused(ErrorCode.INVALID_TOKEN)
        if is_new and connection.chat_id is not None:
            # A worker may be sending the old user's reply. It stops when it sees that the subscription is gone.
            self.runtime.sleep(LEAVING_SECONDS)
        yield frames.Authenticated(user_id=user_id)
        yield from map(actions.Close, evicted)

    def _bind(self, connection: Connection, bound: Connection) -> None:
        """Give a connection its user, its session and at most one chat. It leaves the chat that it was in.

        Raises `ConnectionChanged` if another frame has changed the connection since it was read.
        """
        if bound == connection:
            return

        def row() -> Connection | None:
            return self.store.connections.get(connection.connection_id)

        if lifecycle.write_then_verify(
            lambda: self.store.connections.rebind(connection, bound), lambda: row() == bound
        ):
            return
        if row() is None:
            raise Refused(ErrorCode.INTERNAL, "This connection is no longer known. Connect again")
        raise ConnectionChanged

    def _join(
        self, chat: Chat, connection: Connection, resume: Resume | None
    ) -> Generator[frames.ServerFrame, None, Chat]:
        """Show a chat, then subscribe to it. Returns the chat as it was shown last."""
        # In this order, because the frames of a subscribed connection come from other processes: a token must not
        # arrive before the `chat_joined` that it belongs to. So a message may be stored after the chat was shown and
        # before the subscription, and nobody would send it. So subscribing has the condition that the chat is as it was
        # shown. If it is not, show it again: the loop ends when nothing has happened in between.
        while True:
            yield self._joined(chat)
            if self._subscribe(chat, connection, resume):
                return chat
            connection = self._still_in(chat, connection)
            chat = lifecycle.find_chat(self.store, chat.user_id, chat.chat_id)

    def _subscribe_unshown(self, chat: Chat, connection: Connection) -> None:
        """Subscribe a connection to a chat without showing it."""
        while not self._subscribe(chat, connection, None):
            connection = self._still_in(chat, connection)
            chat = lifecycle.find_chat(self.store, chat.user_id, chat.chat_id)

    def _subscribe(self, chat: Chat, connection: Connection, resume: Resume | None) -> bool:
        """Subscribe a connection to a chat, if both are still as they were read."""
        shown = max((each.message_id for each in chat.announcements), default=None)
        subscription = Subscription(self.runtime.new_id(), resume, shown, connection.until)
        return self.store.chats.subscribe(connection, chat, subscription)

    def _still_in(self, chat: Chat, connection: Connection) -> Connection:
        """Return a connection as it is now. Raises `Refused` if another frame has taken it out of the chat."""
        row = self.store.connections.get(connection.connection_id)
        if row is None or (row.user_id, row.chat_id) != (chat.user_id, chat.chat_id):
            raise Refused(ErrorCode.NOT_AUTHENTICATED, "Another frame has taken this connection out of the chat")
        return row

    def _check_resume(self, resume: Resume | None, chat: Chat) -> None:
        """Raise `Refused` with `invalid_format` for a resume beyond the end of a stored reply."""
        reply = self._stored_reply(resume, chat) if resume else None
        if resume and reply and (resume.attempt or 1) == reply.attempt:
            length = frames.utf16_length(reply.content)
            if resume.offset > length:
                raise Refused(ErrorCode.INVALID_FORMAT, f"resume.offset is beyond the reply's end at {length}")

    def _catch_up(self, resume: Resume | None, chat: Chat) -> Iterator[frames.ServerFrame]:
        """Yield the part of a stored reply that a client has not got: a start at its offset, tokens, the end.

        `chat` is the chat as it was at the subscription. If the reply was not sealed then, its worker sends the rest,
        even if it is stored by now.
        """
        turn = chat.turn
        if resume is None or (turn and turn.message_id == resume.message_id):
            return
        if reply := self._stored_reply(resume, chat):
            script = stream.stored(reply, self.settings.texts.typing)
            yield from script.from_here(script.resume(resume))

    def _title(self, chat: Chat) -> str:
        return chat.title or self.settings.texts.new_chat

    def _joined(self, chat: Chat) -> frames.ChatJoined:
        messages, has_more = self._page(chat, views.MAX_PAGE_MESSAGES)
        turn, reply = chat.turn, None
        if turn is not None:
            reply = frames.RunningReply(message_id=turn.message_id, attempt=max(1, turn.attempt))
        return frames.ChatJoined(
            chat_id=chat.chat_id,
            title=self._title(chat),
            assistant=chat.assistant_id,
            messages=messages,
            has_more=has_more,
            reply=reply,
        )

    def _page(self, chat: Chat, limit: int, before: str | None = None) -> tuple[tuple[frames.MessageView, ...], bool]:
        stored, chat_id = self.store.messages, chat.chat_id
        # The newest message of the page says how many fit. It is read with them if the chat says it too, else alone.
        first = sizes.first_items(chat) if before is None else 1
        before, leaf = branches.end_of_page(self.store, chat, before)
        newest = stored.newest_first(
            chat_id, before, leaf=leaf, most=limit, room=views.MAX_PAGE_BYTES, first=first, by_page=True
        )
        siblings = partial(branches.siblings, self.store, chat)
        return views.page(newest, limit, lambda oldest: stored.has_older(chat_id, oldest), siblings)

    def _stored_reply(self, resume: Resume, chat: Chat) -> Message | None:
        """Return the stored reply that a client has a part of, None if it is not on the active path."""
        reply = self.store.messages.get(chat.chat_id, resume.message_id)
        if reply is None or reply.role is not Role.ASSISTANT:
            return None
        return reply if branches.is_shown(self.store, chat, reply.message_id) else None


def _bound(connection: Connection, user_id: str, chat_id: str | None, until: datetime | None = None) -> Connection:
    """Return a connection with a user, a chat and, with a new token, the end of that token."""
    return replace(connection, user_id=user_id, chat_id=chat_id, until=until or connection.until)
