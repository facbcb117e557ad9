"""One turn: a message of the user, and the events of its reply. No I/O, except that a caller waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from parley.client.conversation import Conversation
from parley.client.errors import ParleyError, ReplyGone
from parley.client.events import (
    ChatEvent,
    Outcome,
    ReplyEnded,
    ReplyEvent,
    ReplyPart,
    ReplyRestarted,
    ReplyStarted,
    ReplyText,
)
from parley.client.messages import Message
from parley.client.reply import Part

_GONE = "The chat does not show this reply any more. Look at the chat's messages."


class Turn:
    """A message that the server has accepted, and its reply.

    `message_id` is that of the user's message, None if it is not known. Iterate over the turn for the events of the
    reply, or wait for `reply`. Both may be done again: all events are kept.
    """

    def __init__(self, message_id: str | None = None, reply_id: str | None = None) -> None:
        self.message_id = message_id
        self.reply_id = reply_id
        self._events: list[ReplyEvent] = []
        self._error: ParleyError | None = None
        self._bound = False
        self._more = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """True if nothing more comes."""
        return self._error is not None or bool(self._events and isinstance(self._events[-1], ReplyEnded))

    async def __aiter__(self) -> AsyncIterator[ReplyEvent]:
        """Yield the events of the reply, up to `ReplyEnded`. Raises `ParleyError` if the connection has ended."""
        at = 0
        while True:
            while at < len(self._events):
                yield self._events[at]
                at += 1
            if self._error:
                raise self._error
            if self.is_over:
                return
            more = self._more
            await more.wait()

    async def reply(self) -> Message:
        """Wait for the end of the reply and return it. Raises `ParleyError` if the connection has ended."""
        async for event in self:
            if isinstance(event, ReplyEnded):
                return event.message
        raise ReplyGone(_GONE)

    def fail(self, error: ParleyError) -> None:
        """End the turn without a reply."""
        if not self.is_over:
            self._error = error
            self._wake()

    def feed(self, event: ChatEvent) -> None:
        """Take an event of the chat, if it belongs to this reply."""
        if self._bound and not self.is_over:
            match event:
                case ReplyText(reply_id) | ReplyPart(reply_id) | ReplyRestarted(reply_id) if reply_id == self.reply_id:
                    self._add(event)
                case ReplyEnded(message) if message.id == self.reply_id:
                    self._add(event)

    def settle(self, chat: Conversation) -> list[Outcome]:
        """Find the reply in the state of the chat, after each frame. Return the commands that this takes."""
        if self.is_over:
            return []
        stored = self._stored(chat)
        if stored is not None:
            if not stored.is_whole and (commands := chat.fetch(stored)):
                return commands
            if stored.is_whole or chat.reply is None:
                self._take_stored(stored)
            return []
        running = chat.reply
        if running is not None and (running.message_id == self.reply_id or self._is_mine(running.answers)):
            if not self._bound:
                self._bind(running.message_id, running.attempt, running.text, running.parts.newest)
        elif self._is_gone(chat):
            self.fail(ReplyGone(_GONE))
        return []

    def _is_mine(self, answers: str | None) -> bool:
        return self.reply_id is None and self.message_id is not None and answers == self.message_id

    def _stored(self, chat: Conversation) -> Message | None:
        if self.reply_id is not None:
            return chat.history.get(self.reply_id)
        return chat.history.answer_to(self.message_id) if self.message_id else None

    def _is_gone(self, chat: Conversation) -> bool:
        """Tell if the chat shows another branch, which has neither this reply nor the message that it answers."""
        if chat.is_rejoining:
            return False
        if self.message_id is not None:
            return chat.history.get(self.message_id) is None
        return not chat.expects_a_reply

    def _bind(self, reply_id: str, attempt: int, text: str, parts: tuple[Part, ...]) -> None:
        """Follow a reply from here on, beginning with what there is of it."""
        self._bound, self.reply_id = True, reply_id
        self._add(ReplyStarted(reply_id, attempt))
        self._show(reply_id, text, parts)

    def _show(self, reply_id: str, text: str, parts: tuple[Part, ...]) -> None:
        if text:
            self._add(ReplyText(reply_id, text))
        for part in parts:
            self._add(ReplyPart(reply_id, part))

    def _take_stored(self, message: Message) -> None:
        """Take a reply that ended while nobody followed it, or of which only the end is missing."""
        if not self._bound:
            self._bind(message.id, 1, message.text or "", message.parts)
        else:
            # The end was missed, and nobody knows of which attempt it is.
            self._add(ReplyRestarted(message.id, 1))
            self._show(message.id, message.text or "", message.parts)
        self._add(ReplyEnded(message))

    def _add(self, event: ReplyEvent) -> None:
        self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        woken, self._more = self._more, asyncio.Event()
        woken.set()
