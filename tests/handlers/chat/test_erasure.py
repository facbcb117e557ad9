"""Deleting a chat: nothing of it comes back, no other chat is touched, and a deletion that breaks off is completed."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from handlers import erase as function
from handlers.chat import erasure
from handlers.chat.erasure import Erasure, Unfinished
from handlers.chat.errors import Refused
from handlers.chat.records import (
    Acceptance,
    Branch,
    Chat,
    Connection,
    FinishReason,
    Fork,
    Message,
    Role,
    Subscription,
    Turn,
)
from handlers.chat.replies.deltas import Delta
from handlers.chat.store.attachments import Place
from handlers.chat.store.writes import MAX_BATCH_ITEMS
from handlers.chat.turns.lifecycle import LEASE, Handover
from handlers.chat.turns.steps import store_step
from tests.support.conversation import NOON, announcement_of, answer, ask, claim, regenerating
from tests.support.files import keys, upload
from tests.support.http_api import Invocations
from tests.support.lambda_context import LambdaContext
from tests.support.recording_gateway import RecordingGateway
from tests.support.reply_worker import ScriptedModel, reply_worker
from tests.support.steps_contract import DONE, a_step
from tests.support.stores import InterruptedStore
from tests.support.subscribers import leave_behind
from tests.support.wiring import wiring

FOREVER = 900.0


@pytest.fixture
def chat(store):
    return store.chats.add(Chat("alice", "chat", created_at=NOON), NOON)


def rows(table):
    return boto3.client("dynamodb").scan(TableName=table)["Items"]


def delete(store, handed, told=None, then=None):
    def hand_over(work):
        handed.append(work)
        if then:
            then()

    erasure.delete_chat(
        store, "alice", "chat", hand_over, lambda user, chat: (told if told is not None else []).append((user, chat))
    )


def erase(store, work, told=None, remaining=lambda: FOREVER):
    erasure.erase(store, work, lambda user, chat: (told if told is not None else []).append((user, chat)), remaining)


def delete_and_erase(store):
    handed = []
    delete(store, handed)
    for work in handed:
        erase(store, work)


def test_nothing_is_left_of_a_chat(store, chat):
    handed, told = [], []
    for number in range(10, 50, 2):
        answer(store, ask(store, f"m{number}", f"m{number + 1}", client_message_id=f"tag-{number}"))
    delete(store, handed, told)
    assert (rows("ChatsTable"), len(rows("MessagesTable")), told) == ([], 60, [("alice", "chat")])
    [work] = handed
    for _ in ("once", "and again, for events come twice"):
        erase(store, work, told)
        assert rows("MessagesTable") == []
    assert told == [("alice", "chat")]


def test_a_chat_that_is_not_there_is_not_found_and_nothing_follows(store, chat):
    handed = []
    with pytest.raises(Refused, match="not found"):
        erasure.delete_chat(store, "bob", "chat", handed.append, lambda *_: None)
    assert (handed, store.chats.get("alice", "chat")) == ([], chat)


def test_it_goes_on_where_its_time_was_up(store, chat):
    for number in range(100, 102 + 4 * MAX_BATCH_ITEMS, 2):
        answer(store, ask(store, f"m{number}", f"m{number + 1}"))
    handed = []
    delete(store, handed)
    left = [len(rows("MessagesTable"))]
    for _ in range(5):
        with suppress(Unfinished):
            erase(store, handed[0], remaining=lambda: 1.0)
        left.append(len(rows("MessagesTable")))
    assert left == [102, 77, 52, 27, 2, 0]


def test_a_deletion_that_dies_after_the_handover_is_completed(store, chat):
    answer(store, ask(store, "m1", "m2"))
    handed, told = [], []
    with pytest.raises(ZeroDivisionError):
        delete(store, handed, then=lambda: 1 / 0)
    erase(store, handed[0], told)
    assert (rows("ChatsTable"), rows("MessagesTable"), told) == ([], [], [("alice", "chat")])


def test_messages_stored_until_the_deletion_are_erased_too(store, chat):
    handed = []
    delete(store, handed, then=lambda: len(handed) == 1 and ask(store, "m1", "m2"))
    assert [work.until for work in handed] == [None, "m2"]
    for work in handed:
        erase(store, work)
    assert rows("MessagesTable") == []


def test_the_steps_of_its_turns_go_with_it_and_those_of_another_chat_stay(store, chat):
    running = ask(store, "m1", "m2")
    store_step(store, chat, claim(store, running), a_step(), NOON)
    handed = []
    delete(store, handed)
    new = store.chats.add(Chat("alice", "chat"), NOON + timedelta(hours=1))
    store_step(store, new, claim(store, ask(store, "m3", "m4")), a_step(), NOON)
    erase(store, handed[0])
    assert (store.steps.of_turn("chat", "m2"), len(store.steps.of_turn("chat", "m4"))) == ((), 1)


class TestAttachments:
    """Files of a chat go with it, those that no message has used too."""

    @pytest.fixture(autouse=True)
    def uploads(self, store, chat, files):
        for name in ("used", "unused"):
            upload(store, name)
        files.keep(Place.of(chat), files.uploaded(Place.of(chat), "used"))

    def test_they_go_with_a_chat_that_has_no_message(self, store):
        delete_and_erase(store)
        assert keys() == []

    def test_they_go_last_and_a_deletion_that_breaks_off_goes_on(self, store):
        answer(store, ask(store, "m1", "m2"))
        handed, left = [], []
        delete(store, handed)
        while keys():
            with suppress(Unfinished):
                erase(store, handed[0], remaining=lambda: 0.0)
            left.append((len(rows("MessagesTable")), len(keys())))
        assert left == [(0, 3), (0, 2), (0, 0)]

    def test_those_of_another_chat_made_under_the_same_id_stay(self, store):
        handed = []
        delete(store, handed)
        again = store.chats.add(Chat("alice", "chat", created_at=NOON + timedelta(1)), NOON + timedelta(1))
        upload(store, "new")
        erase(store, handed[0])
        assert [key.rpartition("/")[2] for key in keys()] == ["new"]
        assert store.attachments.uploaded(Place.of(again), "new")


def test_another_chat_made_under_the_same_id_is_spared(store, chat):
    """The same `clientChatId` gives the same id; Lambda may deliver an old event again an hour later."""
    answer(store, ask(store, "m1", "m2", client_message_id="old"))
    handed = []
    delete(store, handed)
    store.chats.add(Chat("alice", "chat"), NOON + timedelta(hours=1))
    answer(store, ask(store, "m3", "m4", client_message_id="new"))
    erase(store, handed[0])
    assert store.chats.get("alice", "chat") is not None
    assert [each.message_id for each in store.messages.newest_first("chat")] == ["m4", "m3"]
    assert (store.messages.sent_as("chat", "old"), store.messages.sent_as("chat", "new")) == (None, "m3")


def test_branches_go_with_their_chat_and_those_of_a_new_chat_with_the_same_id_stay(store, chat):
    def branch(first, reply, again):
        answer(store, ask(store, first, reply))
        turn = regenerating(again, reply, after=first)
        assert store.turns.begin(store.chats.get("alice", "chat"), turn, NOON)
        answer(store, Handover("alice", "chat", again))

    handed = []
    branch("m1", "m2", "m3")
    delete(store, handed)
    store.chats.add(Chat("alice", "chat"), NOON + timedelta(hours=1))
    branch("m4", "m5", "m6")
    erase(store, handed[0])
    assert store.branches.fork("chat", "m2") is None
    assert store.branches.fork("chat", "m5").siblings == ("m5", "m6")
    assert list(store.branches.newest_first("chat", "m6")) == [Branch("m6", "m4")]


def test_a_deleted_chat_stays_deleted_at_every_step_of_a_worker(store):
    for steps in range(40):
        store.chats.add(Chat("alice", "chat"), NOON)
        handover = ask(store, "m1", "m2")
        interrupted = InterruptedStore(store, steps, lambda: delete_and_erase(store))
        leave_behind(store, "c1=", Connection("c1=", NOON))
        model = ScriptedModel("Once", Delta("", FinishReason.STOP))
        reply_worker(interrupted, RecordingGateway(), model, []).make(handover, lambda: FOREVER)
        if not interrupted.interrupted:
            break
        assert (rows("ChatsTable"), rows("MessagesTable")) == ([], []), f"before call {steps} of the store"
    assert 5 <= steps < 39


def test_no_write_brings_a_deleted_chat_back(store):
    turn, then = Turn("m2", NOON + LEASE, 1), NOON + LEASE
    message = Message("chat", "m2", Role.ASSISTANT, "Hi", NOON)
    unannounced = Chat("alice", "chat", announcements=frozenset({announcement_of("m2")}))
    writes = [
        store.chats.rename("alice", "chat", "x"),
        store.chats.subscribe(Connection("c1=", NOON), Chat("alice", "chat"), Subscription("j")),
        store.chats.unsubscribe("alice", "chat", "c1="),
        store.turns.accept(Chat("alice", "chat"), message, turn) is Acceptance.STORED,
        store.turns.begin(Chat("alice", "chat"), turn, NOON),
        store.turns.select(Chat("alice", "chat"), Fork("m1", {}), "m1"),
        store.turns.claim("alice", "chat", turn, "w", then),
        store.turns.extend("alice", "chat", turn, then),
        store.turns.take_over("alice", "chat", turn, then),
        store.turns.acknowledged("alice", "chat", "m2"),
        store.turns.cancel("alice", "chat", "m2"),
        store.steps.add(Chat("alice", "chat"), turn, a_step(), then, then),
        store.steps.finish("chat", "m2", 1, 0, DONE),
        store.turns.seal(Chat("alice", "chat"), message, turn, "x", announcement_of("m2")),
        store.turns.take_over_announcement(unannounced, announcement_of("m2"), announcement_of("m2")),
        store.turns.announced("alice", "chat", announcement_of("m2")),
        store.chats.delete("alice", "chat", NOON),
    ]
    assert not any(writes)
    assert (rows("ChatsTable"), rows("MessagesTable")) == ([], [])


def test_the_function_erases_what_its_event_says(store, chat):
    invocations = Invocations()
    answer(store, ask(store, "m1", "m2"))
    work = Erasure("alice", "chat", datetime(2026, 11, 23, 12, tzinfo=UTC).isoformat(), "m2")
    function.handle(work.payload(), LambdaContext(), wiring(functions=invocations))
    assert (rows("ChatsTable"), rows("MessagesTable")) == ([], [])
    frame = {"type": "chat_deleted", "data": {"chatId": "chat"}}
    assert invocations.invoked == [("DeliverFunction", {"frame": frame, "user_id": "alice"})]


def test_a_handover_of_a_deleted_chat_makes_nothing(store):
    model = ScriptedModel("Once")
    reply_worker(store, RecordingGateway(), model, []).make(Handover("alice", "chat", "m2"), lambda: FOREVER)
    assert (model.asked, rows("ChatsTable")) == ([], [])
