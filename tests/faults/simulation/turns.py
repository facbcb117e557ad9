"""The turns of chats in the simulated store."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from handlers.chat.limits.policy import QuotaChange, QuotaUsage
from handlers.chat.protocol.sizes import arrived
from handlers.chat.records import Acceptance, Announcement, Chat, Fork, Message, Turn
from tests.faults.simulation.services import SimulatedPart
from tests.faults.simulation.tables import active, is_free


class SimulatedTurns(SimulatedPart):
    def accept(
        self, chat: Chat, message: Message, turn: Turn, change: QuotaChange | None = None, fork: Fork | None = None
    ) -> Acceptance:
        def effect() -> Acceptance:
            user_id, quotas = chat.user_id, self.tables.quotas
            now = self.tables.chats.get((user_id, chat.chat_id))
            if now is None or now.joins != chat.joins or not self._is_new(message):
                return Acceptance.CHAT_CHANGED
            if change is not None and quotas.get(user_id, QuotaUsage()) != change.before:
                return Acceptance.QUOTA_CHANGED if is_free(now, chat) else Acceptance.CHAT_CHANGED
            kept, sizes, count = arrived(chat, message)
            if not self._begun(chat, turn, sizes=sizes, message_count=count, **active(now, message)):
                return Acceptance.CHAT_CHANGED
            if change is not None:
                quotas[user_id] = change.after
            self._keep(kept, fork)
            if message.client_message_id:
                self.tables.sent[chat.chat_id, message.client_message_id] = message.message_id
            return Acceptance.STORED

        return self._call(effect, Acceptance.CHAT_CHANGED)

    def _is_new(self, message: Message) -> bool:
        is_sent = (message.chat_id, message.client_message_id) in self.tables.sent
        return not is_sent and message.message_id not in self.tables.messages.get(message.chat_id, {})

    def _keep(self, message: Message, fork: Fork | None) -> None:
        """Keep a message, and the branch that it begins."""
        self.tables.messages.setdefault(message.chat_id, {})[message.message_id] = message
        if fork is not None:
            self.tables.forks[message.chat_id, fork.eldest] = fork
        if message.after is not None:
            self.tables.branches[message.chat_id, message.message_id] = message.after

    def begin(self, chat: Chat, turn: Turn, now: datetime) -> bool:
        return self._call(lambda: self._begun(chat, turn), False)

    def _begun(self, read: Chat, turn: Turn, **values: Any) -> bool:
        def change(chat: Chat) -> Chat | None:
            if not is_free(chat, read):
                return None
            return replace(chat, turn=turn, last_message_id=turn.message_id, **values)

        return self._changed(read.user_id, read.chat_id, change) is not None

    def select(self, chat: Chat, fork: Fork, leaf: str | None) -> bool:
        def change(now: Chat) -> Chat | None:
            return replace(now, leaf=leaf, branches=now.branches + 1, sizes=()) if is_free(now, chat) else None

        def effect() -> bool:
            if self._changed(chat.user_id, chat.chat_id, change) is None:
                return False
            self.tables.forks[chat.chat_id, fork.eldest] = fork
            return True

        return self._call(effect, False)

    def acknowledged(self, user_id: str, chat_id: str, message_id: str) -> None:
        def change(chat: Chat) -> Chat | None:
            turn = chat.turn
            if turn is None or turn.message_id != message_id:
                return None
            return replace(chat, turn=replace(turn, acknowledging=False))

        self._change(user_id, chat_id, change)

    def claim(self, user_id: str, chat_id: str, turn: Turn, worker: str, lease_until: datetime) -> Chat | None:
        return self._at(user_id, chat_id, turn, attempt=turn.attempt + 1, worker=worker, lease_until=lease_until)

    def extend(self, user_id: str, chat_id: str, turn: Turn, lease_until: datetime) -> Chat | None:
        return self._at(user_id, chat_id, turn, lease_until=lease_until)

    def take_over(self, user_id: str, chat_id: str, turn: Turn, lease_until: datetime) -> bool:
        def change(chat: Chat) -> Chat | None:
            now = chat.turn
            if now is None or (now.message_id, now.lease_until) != (turn.message_id, turn.lease_until):
                return None
            awaits = frozenset() if now.waiting else now.awaits
            return replace(chat, turn=replace(now, lease_until=lease_until, waiting=False, awaits=awaits))

        return self._change(user_id, chat_id, change) is not None

    def wait(self, user_id: str, chat_id: str, turn: Turn, until: datetime) -> Chat | None:
        def change(chat: Chat) -> Chat | None:
            now = chat.turn
            if now is None or not is_at(chat, turn) or now.cancelled or not now.awaits:
                return None
            return replace(chat, turn=replace(now, waiting=True, lease_until=until))

        return self._change(user_id, chat_id, change)

    def resume(self, user_id: str, chat_id: str, turn: Turn, lease_until: datetime) -> bool:
        def change(chat: Chat) -> Chat | None:
            now = chat.turn
            if now is None or (now.message_id, now.attempt) != (turn.message_id, turn.attempt) or not now.waiting:
                return None
            resumed = replace(now, waiting=False, worker="", since=turn.attempt, lease_until=lease_until)
            return replace(chat, turn=resumed)

        return self._change(user_id, chat_id, change) is not None

    def cancel(self, user_id: str, chat_id: str, message_id: str) -> Chat | None:
        def change(chat: Chat) -> Chat | None:
            turn = chat.turn
            if turn is None or turn.message_id != message_id:
                return None
            return replace(chat, turn=replace(turn, cancelled=True))

        return self._change(user_id, chat_id, change)

    def seal(
        self,
        chat: Chat,
        reply: Message,
        turn: Turn,
        title: str | None,
        announcement: Announcement,
        fork: Fork | None = None,
    ) -> bool:
        def effect() -> bool:
            if reply.message_id in self.tables.messages.get(reply.chat_id, {}):
                return False

            kept, sizes, count = arrived(chat, reply, turn.replaces)

            def change(now: Chat) -> Chat | None:
                if not is_at(now, turn):
                    return None
                told = {"announcements": now.announcements | {announcement}, "title": now.title or title}
                return replace(now, turn=None, message_count=count, sizes=sizes, **told, **active(now, reply))

            if self._changed(chat.user_id, reply.chat_id, change) is None:
                return False
            self._keep(kept, fork)
            return True

        return self._call(effect, False)

    def take_over_announcement(self, chat: Chat, old: Announcement, new: Announcement) -> bool:
        def change(now: Chat) -> Chat | None:
            if now.announcements != chat.announcements:
                return None
            self.tables.taken_over_announcements[old.message_id] += 1
            return replace(now, announcements=(now.announcements - {old}) | {new})

        return self._change(chat.user_id, chat.chat_id, change) is not None

    def announced(self, user_id: str, chat_id: str, announcement: Announcement) -> None:
        def change(chat: Chat) -> Chat:
            return replace(chat, announcements=chat.announcements - {announcement})

        self._change(user_id, chat_id, change)

    def _at(self, user_id: str, chat_id: str, turn: Turn, **values: Any) -> Chat | None:
        def change(chat: Chat) -> Chat | None:
            return replace(chat, turn=replace(chat.turn, **values)) if chat.turn and is_at(chat, turn) else None

        return self._change(user_id, chat_id, change)


def is_at(chat: Chat, turn: Turn) -> bool:
    """Tell whether a chat's turn is still this one, at this attempt, and does not wait for its user."""
    now = chat.turn
    return now is not None and not now.waiting and (now.message_id, now.attempt) == (turn.message_id, turn.attempt)
