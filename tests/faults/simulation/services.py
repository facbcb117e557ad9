"""AWS and the model, simulated: each call takes its time, and may go wrong as the faults of the world say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from greenlet import getcurrent

from handlers.chat.errors import ModelFailed
from handlers.chat.limits.budget import Reservation, TokenUse
from handlers.chat.limits.policy import QuotaChange, QuotaUsage
from handlers.chat.protocol.sizes import arrived
from handlers.chat.records import (
    Acceptance,
    Announcement,
    Chat,
    Connection,
    FinishReason,
    Fork,
    Message,
    Subscription,
    Turn,
)
from handlers.chat.replies.deltas import Delta
from handlers.chat.store import StoreError
from handlers.chat.store.dynamodb import CONFLICT_PAUSES_SECONDS
from tests.faults.simulation.tables import Tables, active, is_free, shown
from tests.faults.simulation.world import SimulatedWorld


@dataclass
class SimulatedFaults:
    """The probability of each fault at each opportunity. With 0 everywhere there are no faults."""

    kill: float = 0.0
    """The process that calls a service dies, before or after the service has done what it was asked to."""
    freeze: float = 0.0
    """It stands still for up to 40 seconds."""
    store_fails: float = 0.0
    """The store answers with an error and has done nothing."""
    store_conflicts: float = 0.0
    """A write meets a transaction at the same item. The store tries it again, and fails after the last try."""
    store_forgets: float = 0.0
    """The store has done what it was asked to, and its answer is lost: the client hears an error, or a no."""
    post_fails: float = 0.0
    post_lies: float = 0.0
    """The frame arrives, and the post fails."""
    post_hangs: float = 0.0
    invocation_lost: float = 0.0
    invocation_doubled: float = 0.0
    invocation_late: float = 0.0
    model_fails: float = 0.0
    model_silent: float = 0.0
    replica_late: float = 0.0
    """A read that need not be certain comes from a replica that is late by up to half a second, instead of 0.2 s."""
    skew: float = 0.0
    """How many seconds a process's clock may be wrong, either way."""

    NONE_AFTER = 400.0
    """Seconds after which nothing goes wrong any more, so that everything comes to an end."""

    def happens(self, world: SimulatedWorld, name: str) -> bool:
        """Tell whether a fault strikes at this opportunity."""
        likelihood: float = getattr(self, name)
        return likelihood > 0 and world.time < self.NONE_AFTER and world.random.random() < likelihood


PATIENCE = 20.0
"""Seconds of silence after which a call to the store, or a stream of the model, has failed."""


class SimulatedServices:
    """The common part of all services: the time that a call takes, and the faults of its caller."""

    def __init__(self, world: SimulatedWorld, faults: SimulatedFaults) -> None:
        self.world, self.faults = world, faults
        self._store_frozen_until = self._model_frozen_until = 0.0
        self.before_last_word: Callable[[], None] = lambda: None
        """Called when an answer of the model is about to end: what happens now happens close to the seal."""

    def freeze_store(self, seconds: float) -> None:
        """Let the store stand still: a call waits, and fails after the time that boto3 waits at most."""
        self._store_frozen_until = self.world.time + seconds

    def freeze_model(self, seconds: float) -> None:
        """Let the model stand still. The product gives it up after 20 seconds of silence."""
        self._model_frozen_until = self.world.time + seconds

    def await_store(self) -> None:
        left = self._store_frozen_until - self.world.time
        if left > 0:
            self.world.sleep(min(left, PATIENCE))
        if left > PATIENCE:
            raise StoreError("no answer")

    def sit_out_conflicts(self) -> None:
        """Pause as the store does while a transaction is at the item of a write."""
        for pause in CONFLICT_PAUSES_SECONDS:
            if not self.faults.happens(self.world, "store_conflicts"):
                return
            self.world.sleep(pause * self.world.random.uniform(0.5, 1.0))
        if self.faults.happens(self.world, "store_conflicts"):
            raise StoreError("a transaction is at the item")

    @property
    def model_stands_still(self) -> float:
        """The seconds for which the model still stands still."""
        return max(0.0, self._model_frozen_until - self.world.time)

    def travel(self, longest: float = 0.01) -> None:
        """Half of a call's way. The caller may not live to see its end."""
        process = self.world.current
        if self.faults.happens(self.world, "kill"):
            process.kill()
        if self.faults.happens(self.world, "freeze"):
            process.freeze(self.world.random.uniform(1, 40))
        self.world.sleep(self.world.random.uniform(0.0005, longest))


class SimulatedPart:
    """A part of the simulated store: its calls take their time and fail. Without `services` they do neither."""

    def __init__(self, tables: Tables, services: SimulatedServices | None) -> None:
        self.tables, self._services = tables, services

    def _call(self, effect: Callable[[], Any], no: Any = None, writes: bool = True) -> Any:
        if self._services is None:
            return effect()
        world, faults = self._services.world, self._services.faults
        self._services.travel()
        self._services.await_store()
        if faults.happens(world, "store_fails"):
            raise StoreError("throttled")
        if writes:
            self._services.sit_out_conflicts()
        result = effect()
        self._services.travel()
        if writes and faults.happens(world, "store_forgets"):
            if world.random.random() < 0.5:
                raise StoreError("no answer")
            return no
        return result

    def _change(self, user_id: str, chat_id: str, change: Callable[[Chat], Chat | None]) -> Chat | None:
        return self._call(lambda: self._changed(user_id, chat_id, change))

    def _changed(self, user_id: str, chat_id: str, change: Callable[[Chat], Chat | None]) -> Chat | None:
        chat = self.tables.chats.get((user_id, chat_id))
        changed = change(chat) if chat else None
        if changed is not None:
            self.tables.chats[user_id, chat_id] = changed
        return changed


class SimulatedUsers(SimulatedPart):
    """Every user exists, and may use the deployment."""

    def is_enabled(self, user_id: str) -> bool:
        return self._call(lambda: True, writes=False)

    def quota_usage(self, user_id: str) -> QuotaUsage:
        return self._call(lambda: self.tables.quotas.get(user_id, QuotaUsage()), writes=False)

    def replace_quota_usage(self, user_id: str, before: QuotaUsage, after: QuotaUsage) -> bool:
        def effect() -> bool:
            same = self.tables.quotas.get(user_id, QuotaUsage()) == before
            if same:
                self.tables.quotas[user_id] = after
            return same

        return self._call(effect, False)

    def token_use(self, user_id: str, day: str) -> TokenUse:
        return self._call(lambda: self.tables.tokens.get((user_id, day), TokenUse()), writes=False)

    def reserve_tokens(self, user_id: str, reservation: Reservation, budget: int) -> bool:
        def effect() -> bool:
            used = self.tables.tokens.get((user_id, reservation.day), TokenUse())
            if used.tokens >= budget or reservation in used.reservations:
                return False
            return self._book(user_id, used, reservation.tokens, reservation, used.reservations | {reservation})

        return self._call(effect, False)

    def settle_tokens(self, user_id: str, reservation: Reservation, tokens: int) -> bool:
        def effect() -> bool:
            used = self.tables.tokens.get((user_id, reservation.day), TokenUse())
            if reservation not in used.reservations:
                return False
            more = tokens - reservation.tokens
            return self._book(user_id, used, more, reservation, used.reservations - {reservation})

        return self._call(effect, False)

    def _book(
        self, user_id: str, used: TokenUse, more: int, about: Reservation, reservations: frozenset[Reservation]
    ) -> bool:
        self.tables.tokens[user_id, about.day] = TokenUse(used.tokens + more, reservations)
        return True


class SimulatedConnections(SimulatedPart):
    def add(self, connection: Connection) -> None:
        self._call(lambda: self.tables.connections.__setitem__(connection.connection_id, connection))

    def get(self, connection_id: str) -> Connection | None:
        return self._call(lambda: self.tables.connections.get(connection_id), writes=False)

    def rebind(self, before: Connection, after: Connection) -> bool:
        def effect() -> bool:
            if self.tables.connections.get(before.connection_id) != before:
                return False
            self.tables.connections[before.connection_id] = after
            stays = (before.user_id, before.chat_id) == (after.user_id, after.chat_id)
            self._resubscribe(before, after if stays else None)
            return True

        return self._call(effect, False)

    def _resubscribe(self, before: Connection, after: Connection | None) -> None:
        """End the subscription of a connection, or give it the new end of the session."""
        key = before.user_id or "", before.chat_id or ""
        chat = self.tables.chats.get(key)
        if chat is not None and before.connection_id in chat.subscribers:
            subscribers = dict(chat.subscribers)
            subscription = subscribers.pop(before.connection_id)
            if after is not None:
                subscribers[before.connection_id] = replace(subscription, until=after.until)
            self.tables.chats[key] = replace(chat, subscribers=subscribers)

    def forget(self, connection_id: str) -> None:
        def effect() -> None:
            row = self.tables.connections.pop(connection_id, None)
            if row is not None:
                self._resubscribe(row, None)

        self._call(effect)


class SimulatedChats(SimulatedPart):
    def __init__(self, tables: Tables, services: SimulatedServices | None) -> None:
        super().__init__(tables, services)
        self.looks: Counter[bool] = Counter()
        """How often a worker has looked at a chat, with certainty and without."""

    def add(self, chat: Chat, now: datetime) -> Chat:
        return self._call(lambda: self.tables.chats.setdefault((chat.user_id, chat.chat_id), chat))

    def get(self, user_id: str, chat_id: str) -> Chat | None:
        return self._call(lambda: self.tables.chats.get((user_id, chat_id)), writes=False)

    def watch(self, user_id: str, chat_id: str, *, certain: bool) -> Chat | None:
        def effect() -> Chat | None:
            if certain or self._services is None:
                return self.tables.chats.get((user_id, chat_id))
            world = self._services.world
            late = 0.5 if self._services.faults.happens(world, "replica_late") else 0.2
            return self.tables.chats.as_of((user_id, chat_id), world.time - world.random.uniform(0, late))

        self.looks[certain] += 1
        chat = self._call(effect, writes=False)
        return chat and Chat(user_id, chat_id, subscribers=chat.subscribers, turn=chat.turn)

    def delete(self, user_id: str, chat_id: str) -> None:
        self.tables.chats.pop((user_id, chat_id), None)
        self.tables.messages.pop(chat_id, None)

    def subscribe(self, connection: Connection, chat: Chat, subscription: Subscription) -> bool:
        def change(now: Chat) -> Chat | None:
            if self.tables.connections.get(connection.connection_id) != connection or shown(now) != shown(chat):
                return None
            subscribers = {**now.subscribers, connection.connection_id: subscription}
            return replace(now, subscribers=subscribers, joins=now.joins + 1)

        return self._change(chat.user_id, chat.chat_id, change) is not None

    def unsubscribe(self, user_id: str, chat_id: str, connection_id: str) -> None:
        def change(chat: Chat) -> Chat:
            left = {name: each for name, each in chat.subscribers.items() if name != connection_id}
            return replace(chat, subscribers=left)

        self._change(user_id, chat_id, change)


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
            return replace(chat, turn=replace(now, lease_until=lease_until))

        return self._change(user_id, chat_id, change) is not None

    def cancel(self, user_id: str, chat_id: str, message_id: str) -> bool:
        def change(chat: Chat) -> Chat | None:
            turn = chat.turn
            if turn is None or turn.message_id != message_id:
                return None
            return replace(chat, turn=replace(turn, cancelled=True))

        return self._change(user_id, chat_id, change) is not None

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
    """Tell whether a chat's turn is still this one, at this attempt."""
    now = chat.turn
    return now is not None and (now.message_id, now.attempt) == (turn.message_id, turn.attempt)


class SimulatedAnswer:
    """An answer that comes word by word: other words at every call, so that two attempts can be told apart."""

    def __init__(self, services: SimulatedServices, number: int, model: SimulatedModel) -> None:
        self._services, self._model = services, model
        self._words = [f"a{number}w{word} " for word in range(services.world.random.randint(1, 24))]
        self._stopped = False
        self._reader: object = None
        self.open = True

    def __iter__(self) -> Iterator[Delta]:
        for word in self._words:
            if word is self._words[-1]:
                self._services.before_last_word()
            self._pause()
            if self._stopped:
                return
            yield Delta(word)
        yield Delta("", FinishReason.STOP)

    def _pause(self) -> None:
        world, faults = self._services.world, self._services.faults
        self._reader = getcurrent()
        if faults.happens(world, "model_silent"):
            world.wait(20)
            if not self._stopped:
                raise ModelFailed("the model is silent")
        if silence := self._services.model_stands_still:
            world.wait(min(silence, PATIENCE))
            if silence > PATIENCE and not self._stopped:
                raise ModelFailed("the model is silent")
        world.wait(world.random.expovariate(1 / 0.15))
        self._reader = None
        if faults.happens(world, "model_fails") and not self._stopped:
            raise ModelFailed("503")

    def stop(self) -> None:
        self._stopped = True
        if self._reader is not None:
            self._services.world.wake(self._reader)

    def close(self) -> None:
        self.stop()
        self.open = False


@dataclass
class SimulatedModel:
    """The model, and every answer that it was asked for."""

    services: SimulatedServices
    answers: list[SimulatedAnswer] = field(default_factory=list)
    prompts: list[list[tuple[str, str]]] = field(default_factory=list)

    def answer(self, question: Any) -> SimulatedAnswer:
        self.prompts.append([(each.role.value, each.text) for each in question.prompt])
        self.answers.append(answer := SimulatedAnswer(self.services, len(self.answers), self))
        return answer
