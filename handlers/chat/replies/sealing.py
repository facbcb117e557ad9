"""Sealing of a turn: stores the reply, then announces it to the subscribers of the chat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.protocol import frames, parts, views
from handlers.chat.records import Announcement, Chat, Message, Role
from handlers.chat.replies.attempt import MAX_REPLY_BYTES, Attempt, Completion, ReplySettings
from handlers.chat.replies.metrics import TurnRecord
from handlers.chat.replies.relay import LINGER_SECONDS, Relay
from handlers.chat.store import Store, StoreError
from handlers.chat.turns import lifecycle

_EXIT_SECONDS = 1.0
"""The part of the function's time that is left when the worker stops waiting for slow connections."""

SendToUser = Callable[[str, frames.ServerFrame], None]
"""Sends a frame to all connections of a user, by the user's id."""

Report = Callable[[TurnRecord], None]
"""Takes the measurements of a turn. Never raises."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """The sealing of turns. `send_to_user` sends a frame to all connections of a user, `report` takes measurements."""

    store: Store
    settings: ReplySettings
    send_to_user: SendToUser
    runtime: Runtime
    report: Report

    def seal(self, attempt: Attempt, completion: Completion, title: str | None) -> bool:
        """Store the reply, announce it, and wait for slow connections as long as the function may.

        `title` is for a chat that has none. Does nothing if the turn is another worker's by now, and returns False.
        """
        # Before the seal, because from then on anybody may announce the reply, whom nothing holds.
        attempt.relay.wait_for_release()
        attempt.journal.end(completion.finish_reason)
        chat, turn, reply = attempt.chat, attempt.turn, self._reply(attempt, completion)
        # First the store, then the announcement. A client that hears of the end may ask for the reply at once. And a
        # worker that has lost its turn learns it here, before it announces anything.
        announcement = lifecycle.seal(self.store, chat, turn, reply, title, self.runtime.now())
        if announcement is None:
            logger.info("turn_lost")
            return False
        logger.info("turn_sealed", finish_reason=completion.finish_reason, length=len(reply.content))
        newest = self._follow_newcomers(attempt)
        cost = self._cost(attempt, completion)
        attempt.relay.finish(views.complete(reply, cost))
        # If the newcomers are not known, they have not heard of the reply. A later frame finds the announcement then.
        if newest is not None:
            self._announced(chat, announcement)
        self.report(TurnRecord.of(attempt, completion, cost))
        if title and newest is not None and newest.title:
            self._send_title(attempt, newest.title)
        attempt.relay.wait(max(0.0, min(LINGER_SECONDS, attempt.remaining() - _EXIT_SECONDS)))
        return True

    def announce_again(self, chat: Chat, announcement: Announcement, relay: Relay, reply: Message | None) -> None:
        """Announce a reply that an earlier worker has stored. With its text, which that worker may not have sent.

        `reply` is None if it is not on the active path any more: another reply has replaced it, for example.
        """
        if reply is not None:
            relay.announce(lifecycle.not_shown(chat, reply.message_id), reply)
        self._announced(chat, announcement)

    def _reply(self, attempt: Attempt, completion: Completion) -> Message:
        text, kept = attempt.relay.text, self.settings.kept(attempt.relay.parts)
        room = max(0, MAX_REPLY_BYTES - len(text.encode()))
        return Message(
            chat_id=attempt.chat.chat_id,
            message_id=attempt.turn.message_id,
            role=Role.ASSISTANT,
            content=text,
            timestamp=self.runtime.now(),
            finish_reason=completion.finish_reason,
            usage=completion.usage,
            attempt=attempt.turn.attempt,
            parts=parts.fitting(kept, min(parts.MAX_KEPT_BYTES, room)),
        )

    def _follow_newcomers(self, attempt: Attempt) -> Chat | None:
        """Relay to connections that joined since the monitor's last poll, and return the chat as it is now.

        Returns None if it is gone, or cannot be read.
        """
        try:
            chat = self.store.chats.get(attempt.chat.user_id, attempt.chat.chat_id)
        except StoreError:
            logger.exception("newcomers_not_read")
            return None
        if chat is not None:
            attempt.relay.follow(lifecycle.not_shown(chat, attempt.turn.message_id))
        return chat

    def _announced(self, chat: Chat, announcement: Announcement) -> None:
        try:
            self.store.turns.announced(chat.user_id, chat.chat_id, announcement)
        except StoreError:
            # A later frame in the chat finds the announcement and makes it a second time. Clients expect that.
            logger.exception("announcement_not_removed")

    def _send_title(self, attempt: Attempt, title: str) -> None:
        try:
            self.send_to_user(attempt.chat.user_id, frames.ChatUpdated(chat_id=attempt.chat.chat_id, title=title))
        except Exception:
            # Clients see the title when they join.
            logger.exception("title_not_sent")

    def _cost(self, attempt: Attempt, completion: Completion) -> frames.Cost:
        """Return the cost of the turn until now, with the frames that are still to be posted."""
        use = attempt.use(self.settings.memory, self.runtime.monotonic())
        call, prices = completion.call, self.settings.prices
        if call is not None and call.model is not None:
            prices = prices.of_model(call.model)
        return prices.cost(use, completion.usage, asked=call is not None)
