"""How a reply comes to be: claim, history, model, relay, seal, announcement."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from handlers.chat.capacity import Meter, Units, metered
from handlers.chat.concurrency import Runtime
from handlers.chat.connections import OpenConnections
from handlers.chat.cost import Prices
from handlers.chat.delivery.gateway import Gateway
from handlers.chat.errors import ModelFailed
from handlers.chat.limits import policy
from handlers.chat.log import logger
from handlers.chat.protocol import views
from handlers.chat.protocol.frames import (
    AssistantMessageStart,
    ChatUpdated,
    Cost,
    FinishReason,
    Role,
    ServerFrame,
    Usage,
)
from handlers.chat.records import Chat, Message, Turn
from handlers.chat.replies.llm import Model
from handlers.chat.replies.monitor import Ending, Watch
from handlers.chat.replies.relay import LINGER_SECONDS, Relay
from handlers.chat.store import Store, StoreError
from handlers.chat.texts import Texts
from handlers.chat.turns import lifecycle
from handlers.chat.turns.lifecycle import Handover, TurnState

LARGEST_REPLY = 350_000
"""Bytes of UTF-8. An item of DynamoDB holds 400 KB, and a reply has more to it than its text."""

_EXIT_SECONDS = 1.0
_ENDINGS = {Ending.CANCELLED: FinishReason.CANCELLED, Ending.OUT_OF_TIME: FinishReason.LENGTH}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One worker's try at a turn that it has claimed."""

    handover: Handover
    chat: Chat
    turn: Turn
    relay: Relay
    meter: Meter
    remaining: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Said:
    """How a reply ended: its text is the relay's. `asked` is the length of the prompt, 0 where the model got none."""

    finish_reason: FinishReason
    usage: Usage | None = None
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Replies:
    """Makes replies. `pace` is the relay's, `send_to_user` hands a frame over for all connections of a user.

    `counts_tokens` has each reply's tokens added to what its user takes in a day.
    """

    store: Store
    gateway: Gateway
    model: Model
    texts: Texts
    prices: Prices
    history_chars: int
    pace: float
    send_to_user: Callable[[str, ServerFrame], None]
    runtime: Runtime
    counts_tokens: bool = False

    def make(self, handover: Handover, remaining: Callable[[], float]) -> None:
        """Bring a turn to its end: exactly one stored reply, announced to whoever sees the chat.

        `remaining` tells how many seconds the function still has. Ends quietly where the turn is another worker's, or
        over, or its chat gone. Whatever it raises is for Lambda to try again.
        """
        self._make(handover, remaining, given_up=False)

    def give_up(self, handover: Handover, remaining: Callable[[], float]) -> None:
        """Seal a turn with the apology, its last invocation having failed, unless somebody is still at it."""
        seen: Turn | None = None
        while True:
            chat = self.store.chats.get(handover.user_id, handover.chat_id)
            turn = chat.turn if chat else None
            if turn is None or turn.message_id != handover.message_id:
                return
            if lifecycle.state_of(turn, self.runtime.now()) is not TurnState.RUNNING:
                break
            if seen not in (None, turn):
                logger.info("somebody is at the turn")
                return
            seen = turn
            self.runtime.sleep(max(0.0, (turn.lease_until - self.runtime.now()).total_seconds()))
        self._make(handover, remaining, given_up=True)

    def _make(self, handover: Handover, remaining: Callable[[], float], given_up: bool) -> None:
        with metered() as meter:
            chat = lifecycle.claim(self.store, handover, self.runtime.new_id(), self.runtime.now())
            if chat is None or chat.turn is None:
                return logger.info("nothing to do")
            logger.info("claimed", attempt=chat.turn.attempt)
            relay = self._relay(chat, chat.turn)
            attempt = Attempt(handover, chat, chat.turn, relay, meter, remaining)
            try:
                self._bring_to_end(attempt, given_up or chat.turn.attempt > lifecycle.MAX_ATTEMPTS)
            finally:
                relay.abandon()

    def _relay(self, chat: Chat, turn: Turn) -> Relay:
        start = AssistantMessageStart(
            message=self.texts.typing,
            message_id=turn.message_id,
            chat_id=chat.chat_id,
            attempt=turn.attempt,
            replaces=turn.replaces,
        )
        connections = OpenConnections(self.store, self.gateway, self.runtime)
        return Relay(self.gateway, start, lambda gone: connections.forget(gone, chat), self.runtime, self.pace)

    def _bring_to_end(self, attempt: Attempt, given_up: bool) -> None:
        if attempt.turn.sealed:
            return self._announce_again(attempt)
        attempt.relay.follow(attempt.chat.subscribers)
        if given_up:
            return self._seal(attempt, self._apologise(attempt), None)
        try:
            question, said = self._say(attempt)
        except Exception:
            self._fail(attempt)
            raise
        title = lifecycle.title_of(question) if attempt.chat.title is None else None
        return self._seal(attempt, said, title) if said else logger.info("turn lost")

    def _fail(self, attempt: Attempt) -> None:
        """Make way for the next attempt at once. After the last one, what was said ends in the apology."""
        if attempt.turn.attempt >= lifecycle.MAX_ATTEMPTS:
            return self._seal(attempt, self._apologise(attempt), None)
        with suppress(StoreError):  # then the lease runs out by itself
            self.store.turns.extend(attempt.chat.user_id, attempt.chat.chat_id, attempt.turn, self.runtime.now())
        return None

    def _say(self, attempt: Attempt) -> tuple[str, Said | None]:
        """Relay the model's answer. Return the first message that it saw, and how it ended; None where it is lost."""
        chat, turn = attempt.chat, attempt.turn
        # Up to the question: its id is the last one before the reply's.
        earlier = self.store.messages.newest_first(chat.chat_id, turn.message_id)
        messages = views.context((each for each in earlier if each.message_id != turn.replaces), self.history_chars)
        if not messages:
            return "", None  # the chat was deleted, and its messages with it
        if turn.cancelled:
            return messages[0].content, Said(FinishReason.CANCELLED)
        return messages[0].content, self._ask([(each.role, each.content) for each in messages], attempt)

    def _ask(self, prompt: list[tuple[Role, str]], attempt: Attempt) -> Said | None:
        said = Said(FinishReason.STOP, asked=sum(len(text) for _, text in prompt))
        room = LARGEST_REPLY
        with closing(self.model.answer(prompt)) as answer, self._watch(attempt, answer.stop) as watch:
            try:
                for delta in answer:
                    piece = _fitting(delta.text, room)
                    room -= len(piece.encode())
                    attempt.relay.add(piece)
                    said = Said(delta.finish_reason or said.finish_reason, delta.usage or said.usage, said.asked)
                    if piece != delta.text:
                        said = replace(said, finish_reason=FinishReason.LENGTH)
                        break
                if watch.ending is None and said.finish_reason is FinishReason.STOP and not attempt.relay.text:
                    raise ModelFailed("the model said nothing")
            except ModelFailed as failure:
                if watch.ending is None:
                    logger.warning("model failed", reason=str(failure), streamed=len(attempt.relay.text))
                    return replace(self._apologise(attempt), usage=said.usage, asked=said.asked)
        if watch.ending is None:
            return said
        return None if watch.ending is Ending.LOST else replace(said, finish_reason=_ENDINGS[watch.ending])

    def _watch(self, attempt: Attempt, end: Callable[[], None]) -> Watch:
        return Watch(
            self.store,
            attempt.chat,
            attempt.turn,
            attempt.relay,
            end=end,
            remaining=attempt.remaining,
            runtime=self.runtime,
        )

    def _apologise(self, attempt: Attempt) -> Said:
        relay = attempt.relay
        relay.add(f"\n\n{self.texts.apology}" if relay.text else self.texts.apology)
        return Said(FinishReason.ERROR)

    def _seal(self, attempt: Attempt, said: Said, title: str | None) -> None:
        chat, turn = attempt.chat, attempt.turn
        reply = Message(
            chat_id=chat.chat_id,
            message_id=turn.message_id,
            role=Role.ASSISTANT,
            content=attempt.relay.text,
            timestamp=self.runtime.now(),
            finish_reason=said.finish_reason,
            usage=said.usage,
            attempt=turn.attempt,
        )
        tokens = self._tokens(said, reply.content)
        if not lifecycle.seal(self.store, chat, turn, reply, title, self.runtime.now(), tokens):
            return logger.info("turn lost")
        logger.info("sealed", finish_reason=said.finish_reason, length=len(reply.content))
        named = self._greet_newcomers(attempt)
        attempt.relay.finish(views.complete(reply, self._cost(attempt, said.usage)))
        self._clear(chat, turn)
        if title and named:
            self._send_title(chat.user_id, ChatUpdated(chat_id=chat.chat_id, title=named))
        attempt.relay.wait(max(0.0, min(LINGER_SECONDS, attempt.remaining() - _EXIT_SECONDS)))
        return None

    def _tokens(self, said: Said, text: str) -> int:
        if not self.counts_tokens or not said.asked:
            return 0
        return policy.tokens_of(said.usage, said.asked + len(text))

    def _greet_newcomers(self, attempt: Attempt) -> str | None:
        """Let in who joined since the last look, and return the chat's title. Later ones see the stored reply."""
        try:
            chat = self.store.chats.get(attempt.chat.user_id, attempt.chat.chat_id)
        except StoreError:
            logger.exception("newcomers not seen")
            return None
        if chat is None:
            return None
        # Who joined after the reply was stored has seen it.
        shown = attempt.turn.message_id
        attempt.relay.follow({name: each for name, each in chat.subscribers.items() if each.shown != shown})
        return chat.title

    def _announce_again(self, attempt: Attempt) -> None:
        reply = self.store.messages.get(attempt.chat.chat_id, attempt.turn.message_id)
        if reply is not None:
            attempt.relay.announce(attempt.chat.subscribers, views.complete(reply))
        self._clear(attempt.chat, attempt.turn)

    def _clear(self, chat: Chat, turn: Turn) -> None:
        try:
            self.store.turns.clear(chat.user_id, chat.chat_id, turn.message_id)
        except StoreError:
            logger.exception("turn not cleared: its reply will be announced again")

    def _send_title(self, user_id: str, frame: ChatUpdated) -> None:
        try:
            self.send_to_user(user_id, frame)
        except Exception:
            logger.exception("title not sent: clients see it when they join")

    def _cost(self, attempt: Attempt, usage: Usage | None) -> Cost:
        handover, relay = attempt.handover, attempt.relay
        units = attempt.meter.units + Units(handover.read_units, handover.write_units)
        return self.prices.cost(handover.frames + relay.frames, units, usage)


def _fitting(text: str, room: int) -> str:
    """Return as much of a text as fits into so many bytes of UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= room else encoded[:room].decode(errors="ignore")
