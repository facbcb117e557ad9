"""Sending: a message and its turn, the end and the repetition of a reply, and the recovery of a turn left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from handlers.chat.concurrency import Runtime, side_by_side
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.limits.policy import QuotaUsage
from handlers.chat.log import logger
from handlers.chat.protocol import frames, stream, views
from handlers.chat.protocol.client_frames import Approve, Cancel, Edit, Select, SendMessage
from handlers.chat.records import Announcement, Chat, Connection, Message
from handlers.chat.settings import Settings, Texts
from handlers.chat.store import Store
from handlers.chat.turns import actions, approvals, attaching, branches, lifecycle, quotas

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Sending:
    """The frames that begin a turn or end one."""

    store: Store
    settings: Settings
    runtime: Runtime

    def send_message(self, frame: SendMessage, connection: Connection) -> Iterator[frames.ServerFrame | actions.Action]:
        """Store a message, acknowledge it to all devices in the chat, and have its reply made."""
        yield from self._send(frame, connection, None)

    def edit_message(self, frame: Edit, connection: Connection) -> Iterator[frames.ServerFrame | actions.Action]:
        """Store a message in the place of another one, and go on as with any message."""
        yield from self._send(frame, connection, frame.message_id)

    def _send(
        self, frame: SendMessage | Edit, connection: Connection, replaced: str | None
    ) -> Iterator[frames.ServerFrame | actions.Action]:
        """Store a message at the end of the active path, or else in the place of the message with the id `replaced`."""
        user_id, chat_id = require_joined(connection)
        text = self._checked(frame.message)
        files = attaching.Attaching(self.store, self.runtime, frame.attachments or ())
        files.check()
        chat, (usage, repeated) = self._read_beside_chat(
            user_id, chat_id, lambda: self._usage_and_repeated(user_id, chat_id, frame.client_message_id)
        )
        yield from recover_turn(self.store, self.settings.texts, chat, self.runtime.now())
        repeated = repeated or self._repeated_without_assistant(chat, frame.client_message_id)
        if replaced is not None and frame.client_message_id and repeated is None:
            # After the chat was read: if it is not stored by then, that chat shows the message that it replaces.
            repeated = lifecycle.message_sent_as(self.store, chat_id, frame.client_message_id)
        if repeated is None:
            find_place = partial(self._place, replaced)
            accepted = self._accept(chat, text, frame.client_message_id, usage, find_place, files)
        else:
            accepted = lifecycle.Accepted(repeated, None, chat)
        acknowledgement = views.acknowledgement(
            accepted.message, duplicate=accepted.handover is None, replaces=replaced
        )
        if accepted.handover is None:
            yield acknowledgement
            return
        others = accepted.chat.listeners(self.runtime.now()) - {connection.connection_id}
        yield actions.Begin(actions.Post(acknowledgement, connection.connection_id), others, accepted.handover)

    def _accept(
        self,
        chat: Chat,
        text: str,
        client_message_id: str | None,
        usage: QuotaUsage | None,
        find_place: Callable[[Chat], lifecycle.Place],
        files: attaching.Attaching,
    ) -> lifecycle.Accepted:
        def attach(message: Message) -> Message:
            whole = replace(message, attachments=files.take(chat))
            files.check_room(whole)
            return whole

        charge = self._quota.charge(usage)
        try:
            return lifecycle.accept(self.store, chat, text, client_message_id, self.runtime, charge, find_place, attach)
        except Refused as refusal:
            if refusal.code is ErrorCode.CHAT_NOT_FOUND:
                files.drop(chat)
            raise

    def _place(self, replaced: str | None, chat: Chat) -> lifecycle.Place:
        return lifecycle.Place(chat.leaf) if replaced is None else branches.edited_place(self.store, chat, replaced)

    def select(self, frame: Select, connection: Connection) -> Iterator[frames.ServerFrame | actions.Action]:
        """Show another branch on all devices in the chat."""
        user_id, chat_id = require_joined(connection)
        chat = lifecycle.find_chat(self.store, user_id, chat_id)
        yield from recover_turn(self.store, self.settings.texts, chat, self.runtime.now())
        chat = branches.select(self.store, chat, frame.message_id)
        selected = frames.BranchSelected(chat_id=chat_id, message_id=frame.message_id)
        yield selected
        yield actions.FanOut((selected,), chat.listeners(self.runtime.now()) - {connection.connection_id})

    def cancel(self, frame: Cancel, connection: Connection) -> Iterator[actions.Action]:
        """End the running reply. Its worker sees the mark and seals what there is of the reply."""
        user_id, chat_id = require_joined(connection)
        chat = lifecycle.find_chat(self.store, user_id, chat_id)
        cancelled = lifecycle.cancel(self.store, chat, frame.message_id)
        yield from recover_turn(self.store, self.settings.texts, cancelled, self.runtime.now())

    def approve(self, frame: Approve, connection: Connection) -> Iterator[frames.ServerFrame | actions.Action]:
        """Let a call be made, or refuse it. After the last one that its turn has waited for, the turn goes on."""
        user_id, chat_id = require_joined(connection)
        chat = lifecycle.find_chat(self.store, user_id, chat_id)
        if not approvals.answer(self.store, chat, frame.call_id, frame.approved):
            raise Refused(ErrorCode.NOTHING_TO_APPROVE)
        message_id = chat.turn.message_id if chat.turn else ""
        answered = frames.CallAnswered(message_id=message_id, call_id=frame.call_id, approved=frame.approved)
        yield answered
        chat, now = lifecycle.find_chat(self.store, user_id, chat_id), self.runtime.now()
        yield from recover_turn(self.store, self.settings.texts, chat, now)
        yield actions.FanOut((answered,), chat.listeners(now) - {connection.connection_id})

    def regenerate(self, connection: Connection) -> Iterator[actions.Action]:
        """Have the last reply made again."""
        user_id, chat_id = require_joined(connection)
        chat, usage = self._read_beside_chat(user_id, chat_id, lambda: self._quota.read(user_id))
        yield from recover_turn(self.store, self.settings.texts, chat, self.runtime.now())
        # A busy chat is refused first: such a request takes nothing from the quota.
        lifecycle.check_free(chat)
        self.settings.assistants.get(chat.assistant)
        self._quota.use_message(chat, usage)
        yield actions.Generate(branches.regenerate(self.store, chat, self.runtime))

    def _repeated_without_assistant(self, chat: Chat, client_message_id: str | None) -> Message | None:
        """Return None if a chat has its assistant; if not, the message if it is stored already. Raises `Refused`."""
        try:
            self.settings.assistants.get(chat.assistant)
        except Refused:
            if stored := client_message_id and lifecycle.message_sent_as(self.store, chat.chat_id, client_message_id):
                return stored
            raise
        return None

    def _checked(self, text: str) -> str:
        if not text.strip():
            raise Refused(ErrorCode.MESSAGE_EMPTY)
        if frames.utf16_length(text) > self.settings.message_chars:
            limit = self.settings.message_chars
            raise Refused(ErrorCode.MESSAGE_TOO_LARGE, f"Message is longer than {limit} characters")
        return text

    @property
    def _quota(self) -> quotas.MessageQuota:
        return quotas.MessageQuota(self.store, self.settings.limits, self.runtime)

    def _read_beside_chat(self, user_id: str, chat_id: str, read: Callable[[], Read]) -> tuple[Chat, Read]:
        """Return the chat, and what `read` reads at the same time."""
        # The client waits for each read that waits for another one. None of these needs the answer of another.
        find_chat = partial(lifecycle.find_chat, self.store, user_id, chat_id)
        if not self.settings.limits.apply_to_messages:
            return find_chat(), read()  # which reads nothing
        return side_by_side(self.runtime, find_chat, read)

    def _usage_and_repeated(
        self, user_id: str, chat_id: str, client_message_id: str | None
    ) -> tuple[QuotaUsage | None, Message | None]:
        """Return the user's usage, and the message if it is stored already: a repeated one takes nothing from it."""
        if client_message_id is None or not self.settings.limits.apply_to_messages:
            return self._quota.read(user_id), None
        return side_by_side(
            self.runtime,
            partial(self._quota.read, user_id),
            partial(lifecycle.message_sent_as, self.store, chat_id, client_message_id),
        )


def recover_turn(store: Store, texts: Texts, chat: Chat, now: datetime) -> Iterator[actions.Action]:
    """Announce replies that were stored and not announced. Hand on a turn whose worker is gone, or need not wait.

    There is no timer for this: the next frame of any client in the chat does it. Taking over is a conditional write,
    so of several frames at the same moment one goes on.
    """
    # The first alone: to take one over changes the set of them, and the condition of the next take-over is that set.
    for announcement in lifecycle.overdue(chat, now)[:1]:
        yield from _announce(store, texts, chat, announcement, now)
    turn = chat.turn
    if turn is None:
        return
    abandoned = lifecycle.state_of(turn, now) is lifecycle.TurnState.ABANDONED
    if approvals.is_over(turn):
        if not approvals.resume(store, chat, turn, now):
            return
        logger.info("turn_resumed", message_id=turn.message_id, attempt=turn.attempt)
    elif abandoned and lifecycle.take_over(store, chat, turn, now):
        logger.info("turn_taken_over", message_id=turn.message_id, attempt=turn.attempt)
    else:
        return
    yield actions.Generate(lifecycle.handover_of(chat, turn))


def _announce(
    store: Store, texts: Texts, chat: Chat, announcement: Announcement, now: datetime
) -> Iterator[actions.Action]:
    """Announce a stored reply, with all of its text: its worker may have died before it had sent everything."""
    own = lifecycle.take_over_announcement(store, chat, announcement, now)
    if own is None:
        return
    logger.info("announcement_taken_over", message_id=own.message_id)
    reply = store.messages.get(chat.chat_id, own.message_id)
    if reply and branches.is_shown(store, chat, reply.message_id):
        script = stream.stored(reply, texts.typing, own.replaces)
        receivers = chat.listeners(now) & lifecycle.not_shown(chat, reply.message_id).keys()
        yield actions.FanOut(tuple(script.from_here(script.late())), receivers)
    store.turns.announced(chat.user_id, chat.chat_id, own)


def require_joined(connection: Connection) -> tuple[str, str]:
    """Return the user and the chat of a connection. Raises `Refused` if it does not have both."""
    if connection.user_id is None or connection.chat_id is None:
        raise Refused(ErrorCode.NOT_AUTHENTICATED, "Not authenticated or not in a chat")
    return connection.user_id, connection.chat_id
