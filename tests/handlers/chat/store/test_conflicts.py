"""Writes that meet another transaction at the same item: DynamoDB refuses them, and the store tries again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain

import pytest

from handlers.chat.limits.budget import Reservation
from handlers.chat.limits.policy import ChatCount, QuotaChange, QuotaUsage
from handlers.chat.records import (
    Acceptance,
    CallState,
    Chat,
    Connection,
    Fork,
    Message,
    NamedStep,
    Result,
    Role,
    Step,
    StepCall,
    Subscription,
    ToolCall,
    Turn,
    User,
)
from handlers.chat.store import Store, StoreError
from handlers.chat.store.dynamodb import CONFLICT_PAUSES_SECONDS
from handlers.chat.turns.lifecycle import Handover
from tests.support.conflicts import ALWAYS, CONDITION_FAILED, CONFLICT, conflicts
from tests.support.conversation import announcement_of, answer, ask, claim, regenerating, seal
from tests.support.runtime import FakeRuntime
from tests.support.store_contract import LATER, NOON
from tests.support.subscribers import bind, subscribe


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def store(store: Store, pauses: list[float]) -> Store:
    return Store(FakeRuntime(sleep=pauses.append))


def a_chat(store: Store) -> Chat:
    return store.chats.add(Chat("alice", "chat"), NOON)


def a_connection(store: Store) -> Connection:
    store.connections.add(Connection("c1=", NOON))
    return bind(store, "c1=", "alice", None)


def a_turn(store: Store) -> Turn:
    """Begin the turn `m2` and return it."""
    a_chat(store)
    ask(store, "m1", "m2")
    chat = store.chats.get("alice", "chat")
    assert chat is not None
    assert chat.turn is not None
    return chat.turn


def an_answered_message(store: Store) -> None:
    a_chat(store)
    answer(store, ask(store, "m1", "m2", client_message_id="mine"))


def of_users() -> Iterator[tuple[str, Callable[[Store], Callable[[], object]]]]:
    reservation = Reservation.of("m2#1", 60, NOON, 900.0)
    yield "add", lambda store: partial(store.users.add, User("carol", None, frozenset(), False, NOON))
    yield "set_disabled", lambda store: partial(store.users.set_disabled, "alice", True)
    yield "set_name", lambda store: partial(store.users.set_name, "alice", "Alice")
    yield "set_roles", lambda store: partial(store.users.set_roles, "alice", ["admin"])
    usage = QuotaUsage("2026-11-23", 1)
    yield (
        "replace_quota_usage",
        lambda store: partial(store.users.replace_quota_usage, "alice", QuotaUsage(), usage),
    )
    count = ChatCount(1, 0, 1)
    yield "replace_chat_count", lambda store: partial(store.users.replace_chat_count, "alice", ChatCount(), count)
    yield "reserve_tokens", lambda store: partial(store.users.reserve_tokens, "alice", reservation, 100)

    def settle(store: Store) -> Callable[[], object]:
        assert store.users.reserve_tokens("alice", reservation, 100)
        return partial(store.users.settle_tokens, "alice", reservation, 10)

    yield "settle_tokens", settle


def of_connections() -> Iterator[tuple[str, Callable[[Store], Callable[[], object]]]]:
    def rebind(store: Store) -> Callable[[], object]:
        row = a_connection(store)
        return partial(store.connections.rebind, row, replace(row, chat_id="chat"))

    def forget(store: Store) -> Callable[[], object]:
        a_connection(store)
        return partial(store.connections.forget, "c1=")

    def rebind_subscribed(store: Store) -> Callable[[], object]:
        a_chat(store)
        a_connection(store)
        subscribe(store, "c1=", Subscription("j1"))
        row = store.connections.get("c1=")
        assert row is not None
        return partial(store.connections.rebind, row, replace(row, chat_id=None))

    yield "add", lambda store: partial(store.connections.add, Connection("c2=", NOON))
    yield "rebind", rebind
    yield "rebind", rebind_subscribed
    yield "forget", forget


def of_chats() -> Iterator[tuple[str, Callable[[Store], Callable[[], object]]]]:
    def subscribe_first(store: Store) -> Callable[[], object]:
        chat, row = a_chat(store), a_connection(store)
        return partial(store.chats.subscribe, row, chat, Subscription("j1"))

    def with_chat(write: Callable[[Store], Callable[[], object]]) -> Callable[[Store], Callable[[], object]]:
        def prepare(store: Store) -> Callable[[], object]:
            a_chat(store)
            return write(store)

        return prepare

    yield "add", lambda store: partial(store.chats.add, Chat("alice", "chat"), NOON)
    yield "rename", with_chat(lambda store: partial(store.chats.rename, "alice", "chat", "Title"))
    yield "delete", with_chat(lambda store: partial(store.chats.delete, "alice", "chat", NOON))
    yield "subscribe", subscribe_first
    yield "unsubscribe", with_chat(lambda store: partial(store.chats.unsubscribe, "alice", "chat", "c1="))


def of_messages() -> Iterator[tuple[str, Callable[[Store], Callable[[], object]]]]:
    def delete(name: str) -> Callable[[Store], Callable[[], object]]:
        def prepare(store: Store) -> Callable[[], object]:
            an_answered_message(store)
            return lambda: list(getattr(store.messages, name)("chat", "m2"))

        return prepare

    for name in ("delete_until", "delete_markers_until"):
        yield name, delete(name)


def seal_last(store: Store) -> Callable[[], object]:
    a_chat(store)
    handover = ask(store, "m1", "m2")
    return partial(seal, store, handover, turn=claim(store, handover), title="Title")


def of_turns() -> Iterator[tuple[str, Callable[[Store], Callable[[], object]]]]:
    def with_turn(name: str, *arguments: object) -> Callable[[Store], Callable[[], object]]:
        def prepare(store: Store) -> Callable[[], object]:
            return partial(getattr(store.turns, name), "alice", "chat", a_turn(store), *arguments)

        return prepare

    def accept(store: Store) -> Callable[[], object]:
        message = Message("chat", "m1", Role.USER, "Hi", NOON, "mine")
        change = QuotaChange(QuotaUsage(), QuotaUsage("2026-11-23", 1))
        accepted = partial(store.turns.accept, a_chat(store), message, Turn("m2", LATER), change)
        return lambda: accepted() is Acceptance.STORED

    def begin(store: Store) -> Callable[[], object]:
        an_answered_message(store)
        return partial(store.turns.begin, store.chats.get("alice", "chat"), regenerating("m3", "m2", after="m1"), LATER)

    def select(store: Store) -> Callable[[], object]:
        an_answered_message(store)
        return partial(store.turns.select, store.chats.get("alice", "chat"), Fork("m2", {"m2": "m2"}), None)

    def acknowledged(store: Store) -> Callable[[], object]:
        a_turn(store)
        return partial(store.turns.acknowledged, "alice", "chat", "m2")

    def cancel(store: Store) -> Callable[[], object]:
        a_turn(store)
        return partial(store.turns.cancel, "alice", "chat", "m2")

    yield "accept", accept
    yield "begin", begin
    yield "select", select
    yield "acknowledged", acknowledged
    yield "claim", with_turn("claim", "w1", LATER)
    yield "extend", with_turn("extend", LATER)
    yield "take_over", with_turn("take_over", LATER)
    yield "cancel", cancel
    yield "seal", seal_last


def of_announcements() -> Iterator[tuple[str, Callable[[Store], Callable[[], object]]]]:
    def take_over_announcement(store: Store) -> Callable[[], object]:
        seal_last(store)()
        chat, announcement = store.chats.get("alice", "chat"), announcement_of("m2")
        later = replace(announcement, lease_until=LATER)
        return partial(store.turns.take_over_announcement, chat, announcement, later)

    def announced(store: Store) -> Callable[[], object]:
        seal_last(store)()
        return partial(store.turns.announced, "alice", "chat", announcement_of("m2"))

    yield "take_over_announcement", take_over_announcement
    yield "announced", announced


def of_steps() -> Iterator[tuple[str, Callable[[Store], Callable[[], object]]]]:
    def a_step(store: Store) -> Callable[[], object]:
        a_chat(store)
        turn = claim(store, ask(store, "m1", "m2"))
        step = Step(1, 1, (StepCall(ToolCall("weather", "{}")),))
        return partial(store.steps.add, Chat("alice", "chat"), turn, step, LATER, LATER)

    def keep(store: Store) -> Callable[[], object]:
        a_chat(store)
        turn = claim(store, ask(store, "m1", "m2"))
        step = NamedStep("look", 1, turn.attempt, "1")
        return partial(store.steps.keep, Chat("alice", "chat"), turn, step, 1, LATER, LATER)

    def finish(store: Store) -> Callable[[], object]:
        a_step(store)()
        return partial(store.steps.finish, "chat", "m2", 1, 0, Result(CallState.DONE, "sun"))

    def delete(store: Store) -> Callable[[], object]:
        a_step(store)()
        return lambda: list(store.steps.delete_until("chat", "m2"))

    yield "add", a_step
    yield "keep", keep
    yield "finish", finish
    yield "delete_until", delete


def of_branches() -> Iterator[tuple[str, Callable[[Store], Callable[[], object]]]]:
    def delete(store: Store) -> Callable[[], object]:
        an_answered_message(store)
        store.turns.begin(store.chats.get("alice", "chat"), regenerating("m3", "m2", after="m1"), LATER)
        seal(store, Handover("alice", "chat", "m3"))
        return lambda: list(store.branches.delete_until("chat", "m2"))

    yield "delete_until", delete


PARTS = {
    "users": of_users,
    "connections": of_connections,
    "chats": of_chats,
    "messages": of_messages,
    "turns": lambda: chain(of_turns(), of_announcements()),
    "steps": of_steps,
    "branches": of_branches,
}
READS = {
    "users": {"get", "is_enabled", "page", "quota_usage", "chat_count", "token_use"},
    "connections": {"get", "of_user", "open_of_user", "page_of_user", "page_of_segment"},
    "chats": {"get", "watch", "page", "with_assistants", "count"},
    "messages": {"get", "sent_as", "newest_first", "has_older", "with_previous", "oldest_first", "after"},
    "turns": set(),
    "steps": {"result", "attempt_of", "of_turn", "attempt_of_named", "named"},
    "branches": {"fork", "forks", "newest_first"},
}
"""The operations that write nothing: GetItem, BatchGetItem, Query and Scan meet no conflicts."""

EVERY_WRITE = pytest.mark.parametrize(
    "prepare",
    [pytest.param(prepare, id=f"{part}.{name}") for part, writes in PARTS.items() for name, prepare in writes()],
)


@pytest.mark.parametrize("part", PARTS)
def test_every_operation_of_the_store_is_tried_here_or_reads_only(store, part):
    operations = {name for name in dir(getattr(store, part)) if not name.startswith("_")}
    assert {name for name, _ in PARTS[part]()} | READS[part] == operations


@EVERY_WRITE
@pytest.mark.parametrize("times", [1, len(CONFLICT_PAUSES_SECONDS)])
def test_a_write_in_conflict_is_tried_again_and_tells_what_it_would_have_told(store, pauses, prepare, times):
    write = prepare(store)
    with conflicts(times) as planted:
        result = write()
    assert result is None or result
    assert planted.times == -1
    assert len(pauses) == times
    for pause, longest in zip(pauses, CONFLICT_PAUSES_SECONDS, strict=False):
        assert longest / 2 <= pause <= longest


@EVERY_WRITE
def test_a_conflict_that_does_not_end_is_an_error_and_never_a_no(store, pauses, prepare):
    write = prepare(store)
    with conflicts(ALWAYS), pytest.raises(StoreError):
        write()
    assert len(pauses) == len(CONFLICT_PAUSES_SECONDS)


@EVERY_WRITE
def test_a_try_is_the_same_request_but_a_transaction_of_its_own(store, prepare):
    write = prepare(store)
    with conflicts(2) as planted:
        write()
    tokens = [body.pop("ClientRequestToken", number) for number, body in enumerate(planted.bodies)]
    assert len(set(tokens)) == len(planted.bodies) == 3
    assert planted.bodies[0] == planted.bodies[1] == planted.bodies[2]


def test_a_condition_that_fails_after_a_conflict_is_a_no(store):
    turn = a_turn(store)
    store.turns.claim("alice", "chat", turn, "w1", LATER)
    with conflicts(1):
        assert store.turns.extend("alice", "chat", turn, LATER) is None


def test_a_transaction_that_failed_for_a_condition_too_is_a_no_in_the_end(store, pauses):
    turn = replace(a_turn(store), attempt=1)
    reply = Message("chat", "m2", Role.ASSISTANT, "Hello", NOON)
    with conflicts(ALWAYS, CONDITION_FAILED, CONFLICT):
        assert store.turns.seal(Chat("alice", "chat"), reply, turn, None, announcement_of("m2")) is False
    assert len(pauses) == len(CONFLICT_PAUSES_SECONDS)


def test_other_errors_are_not_tried_again_here(store, pauses):
    turn, reply = a_turn(store), Message("chat", "m2", Role.ASSISTANT, "Hello", NOON)
    with conflicts(1, "ValidationError") as planted, pytest.raises(StoreError):
        store.turns.seal(Chat("alice", "chat"), reply, turn, None, announcement_of("m2"))
    assert (planted.times, pauses) == (0, [])
