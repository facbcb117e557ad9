"""How a reply comes to be: history, model, relay, store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from handlers.chat import frames, history
from handlers.chat.errors import ChatMissing, ModelFailed
from handlers.chat.frames import (
    AssistantMessageComplete,
    AssistantMessageStart,
    AssistantMessageToken,
    ChatUpdated,
    FinishReason,
    Role,
    ServerFrame,
    Usage,
)
from handlers.chat.gateway import Gateway
from handlers.chat.log import logger
from handlers.chat.model import Model
from handlers.chat.relay import Relay
from handlers.chat.store import Message, Store
from handlers.chat.texts import Texts
from handlers.chat.turns import Turn, title_of

LARGEST_TOKEN = 5_000
"""Characters. At 4 bytes of UTF-8 each, or 6 where JSON escapes them, a token frame stays below 32 KB."""


@dataclass(frozen=True, slots=True)
class Replies:
    """Makes replies. `send_to_user` hands a frame over for all connections of a user."""

    store: Store
    gateway: Gateway
    model: Model
    texts: Texts
    history_chars: int
    send_to_user: Callable[[str, ServerFrame], None]
    now: Callable[[], datetime]

    def make(self, turn: Turn) -> None:
        """Bring a turn to its end: exactly one stored reply, announced to whoever sees the chat.

        A turn whose reply is stored already is only announced again; one whose chat is gone ends quietly.
        """
        chat = self.store.chat(turn.user_id, turn.chat_id)
        if chat is None:
            return logger.info("chat gone")
        relay = Relay(self.gateway, chat.subscribers, lambda gone: self._forget(turn, gone))
        sealed = self.store.message(turn.chat_id, turn.message_id)
        if sealed is not None:
            return relay.send(_complete(sealed))
        # Up to the question: its id is the last one before the reply's.
        messages = history.context(self.store.messages(turn.chat_id, turn.message_id), self.history_chars)
        reply = self._generate(turn, messages, relay)
        title = title_of(messages[0].content) if chat.title is None else None
        return self._seal(turn, reply, title, relay)

    def _generate(self, turn: Turn, messages: Sequence[Message], relay: Relay) -> Message:
        """Stream the model's answer to the relay and return it, with an apology where the model failed."""
        draft = _Draft(turn, relay)
        relay.send(AssistantMessageStart(message=self.texts.typing, message_id=turn.message_id, chat_id=turn.chat_id))
        try:
            for delta in self.model.stream((message.role, message.content) for message in messages):
                draft.add(delta.text)
                draft.finish_reason = delta.finish_reason or draft.finish_reason
                draft.usage = delta.usage or draft.usage
        except ModelFailed as failure:
            logger.warning("model failed", reason=str(failure), streamed=len(draft.text))
            draft.add(f"\n\n{self.texts.apology}" if draft.text else self.texts.apology)
            draft.finish_reason = FinishReason.ERROR
        return draft.message(self.now())

    def _seal(self, turn: Turn, reply: Message, title: str | None, relay: Relay) -> None:
        try:
            sealed = self.store.seal(turn.user_id, reply, title)
        except ChatMissing:
            return logger.info("chat gone")
        logger.info("sealed", finish_reason=sealed.finish_reason, length=len(sealed.content))
        chat = self.store.chat(turn.user_id, turn.chat_id)
        relay.include(chat.subscribers if chat else ())
        relay.send(_complete(sealed))
        if title and chat and chat.title:
            self.send_to_user(turn.user_id, ChatUpdated(chat_id=turn.chat_id, title=chat.title))
        return None

    def _forget(self, turn: Turn, connection_id: str) -> None:
        # Of this chat by name: the row may be gone already, or moved to another chat, and this entry left behind.
        self.store.unsubscribe(turn.user_id, turn.chat_id, connection_id)
        self.store.forget_connection(connection_id)


class _Draft:
    """A reply while it is made: its text so far, sent on piece by piece."""

    def __init__(self, turn: Turn, relay: Relay) -> None:
        self._turn = turn
        self._relay = relay
        self._offset = 0
        self._pieces: list[str] = []
        self.finish_reason = FinishReason.STOP
        self.usage: Usage | None = None

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, text: str) -> None:
        for start in range(0, len(text), LARGEST_TOKEN):
            piece = text[start : start + LARGEST_TOKEN]
            self._relay.send(AssistantMessageToken(token=piece, message_id=self._turn.message_id, offset=self._offset))
            self._offset += frames.utf16_length(piece)
            self._pieces.append(piece)

    def message(self, now: datetime) -> Message:
        return Message(
            chat_id=self._turn.chat_id,
            message_id=self._turn.message_id,
            role=Role.ASSISTANT,
            content=self.text,
            timestamp=now,
            finish_reason=self.finish_reason,
            usage=self.usage,
        )


def _complete(reply: Message) -> AssistantMessageComplete:
    frame = AssistantMessageComplete(
        message_id=reply.message_id,
        content=reply.content,
        timestamp=frames.timestamp(reply.timestamp),
        chat_id=reply.chat_id,
        length=frames.utf16_length(reply.content),
        finish_reason=reply.finish_reason or FinishReason.STOP,
        usage=reply.usage,
    )
    if len(frames.encode(frames.as_json(frame))) > frames.LARGEST_FRAME:
        return frame.model_copy(update={"content": None})
    return frame
