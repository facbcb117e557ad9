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
    ChatUpdated,
    FinishReason,
    Role,
    ServerFrame,
)
from handlers.chat.gateway import Gateway
from handlers.chat.log import logger
from handlers.chat.model import Model
from handlers.chat.relay import Relay
from handlers.chat.store import Chat, Message, Store, StoreError
from handlers.chat.texts import Texts
from handlers.chat.turns import Turn, title_of


@dataclass(frozen=True, slots=True)
class Replies:
    """Makes replies. `pace` is the relay's, `send_to_user` hands a frame over for all connections of a user."""

    store: Store
    gateway: Gateway
    model: Model
    texts: Texts
    history_chars: int
    pace: float
    send_to_user: Callable[[str, ServerFrame], None]
    now: Callable[[], datetime]

    def make(self, turn: Turn) -> None:
        """Bring a turn to its end: exactly one stored reply, announced to whoever sees the chat.

        A turn whose reply is stored already is only announced again; one whose chat is gone ends quietly.
        """
        chat = self.store.chat(turn.user_id, turn.chat_id)
        if chat is None:
            return logger.info("chat gone")
        relay = Relay(self.gateway, chat.subscribers, turn.message_id, lambda gone: self._forget(turn, gone), self.pace)
        try:
            self._make(turn, chat, relay)
        finally:
            relay.abandon()
        return None

    def _make(self, turn: Turn, chat: Chat, relay: Relay) -> None:
        sealed = self.store.message(turn.chat_id, turn.message_id)
        if sealed is not None:
            return relay.finish(_complete(sealed))
        # Up to the question: its id is the last one before the reply's.
        messages = history.context(self.store.messages(turn.chat_id, turn.message_id), self.history_chars)
        reply = self._generate(turn, messages, relay)
        title = title_of(messages[0].content) if chat.title is None else None
        return self._seal(turn, reply, title, relay)

    def _generate(self, turn: Turn, messages: Sequence[Message], relay: Relay) -> Message:
        """Relay the model's answer as it comes and return it, with an apology where the model failed."""
        finish_reason, usage = FinishReason.STOP, None
        relay.start(AssistantMessageStart(message=self.texts.typing, message_id=turn.message_id, chat_id=turn.chat_id))
        try:
            for delta in self.model.stream((message.role, message.content) for message in messages):
                relay.add(delta.text)
                finish_reason = delta.finish_reason or finish_reason
                usage = delta.usage or usage
        except ModelFailed as failure:
            logger.warning("model failed", reason=str(failure), streamed=len(relay.text))
            relay.add(f"\n\n{self.texts.apology}" if relay.text else self.texts.apology)
            finish_reason = FinishReason.ERROR
        return Message(
            chat_id=turn.chat_id,
            message_id=turn.message_id,
            role=Role.ASSISTANT,
            content=relay.text,
            timestamp=self.now(),
            finish_reason=finish_reason,
            usage=usage,
        )

    def _seal(self, turn: Turn, reply: Message, title: str | None, relay: Relay) -> None:
        try:
            sealed = self.store.seal(turn.user_id, reply, title)
        except ChatMissing:
            return logger.info("chat gone")
        logger.info("sealed", finish_reason=sealed.finish_reason, length=len(sealed.content))
        chat = self.store.chat(turn.user_id, turn.chat_id)
        relay.finish(_complete(sealed), chat.subscribers if chat else ())
        if title and chat and chat.title:
            self.send_to_user(turn.user_id, ChatUpdated(chat_id=turn.chat_id, title=chat.title))
        return None

    def _forget(self, turn: Turn, connection_id: str) -> None:
        try:
            # Of this chat by name: the row may be gone already, or moved to another chat, and this entry left behind.
            self.store.unsubscribe(turn.user_id, turn.chat_id, connection_id)
            self.store.forget_connection(connection_id)
        except StoreError:
            logger.exception("connection not forgotten")


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
