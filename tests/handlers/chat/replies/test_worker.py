"""How a reply comes to be: with a model and a gateway made for the test, and moto's DynamoDB."""

import itertools
import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from threading import Event

import boto3
import pytest

from handlers.chat.connections import OpenConnections
from handlers.chat.cost import Prices
from handlers.chat.errors import ConnectionGone, ModelFailed, PostFailed
from handlers.chat.protocol.frames import ChatUpdated
from handlers.chat.records import Chat, Connection, FinishReason, Resume, Subscription, Turn, Usage
from handlers.chat.replies.attempt import ReplySettings
from handlers.chat.replies.generation import MAX_REPLY_BYTES
from handlers.chat.replies.llm import Delta
from handlers.chat.replies.worker import ReplyWorker
from handlers.chat.settings import RUSSIAN
from handlers.chat.store import StoreError
from handlers.chat.turns.lifecycle import LEASE, Handover
from tests.support.conversation import answer, ask, claim, seal
from tests.support.runtime import FakeRuntime

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=16)
APOLOGY = "Извините, произошла ошибка при обработке вашего сообщения."
TURN = Handover("alice", "chat", "m2")
STOP = Delta("", FinishReason.STOP)


class Gateway:
    """Keeps what is posted to each connection; one of `gone` answers 410, one `throttled` fails so many times."""

    def __init__(self):
        self.gone = set()
        self.throttled = Counter()
        self.frames = []

    def post(self, connection_id, text):
        if connection_id in self.gone:
            raise ConnectionGone(connection_id)
        if self.throttled[connection_id]:
            self.throttled[connection_id] -= 1
            raise PostFailed("LimitExceededException")
        self.frames.append((connection_id, json.loads(text)))

    def to(self, connection_id):
        return [frame for receiver, frame in self.frames if receiver == connection_id]

    def until(self, connection_id, frames):
        """Wait until so many frames have been posted to a connection."""
        deadline = time.monotonic() + 5
        while len(self.to(connection_id)) < frames:
            assert time.monotonic() < deadline
            time.sleep(0.001)


class Model:
    """Says what it is told to, calls what it is told to call, and fails where it is told to."""

    def __init__(self, *script):
        self.script = script
        self.asked = []
        self.stopped = Event()
        self.closed = False

    def answer(self, prompt):
        self.asked.append([(role.value, text) for role, text in prompt])
        return self

    def __iter__(self):
        for step in self.script:
            if self.stopped.is_set():
                return
            if isinstance(step, Exception):
                raise step
            if callable(step):
                step()
            else:
                yield step if isinstance(step, Delta) else Delta(step)

    def until_stopped(self):
        """A step: the model is silent until somebody has had enough."""
        assert self.stopped.wait(5)

    def stop(self):
        self.stopped.set()

    def close(self):
        self.closed = True


@pytest.fixture
def gateway():
    return Gateway()


@pytest.fixture
def chat(store):
    """Two devices of alice in one chat, and her question."""
    store.chats.add(Chat("alice", "chat"), NOON)
    ask(store, "m1", "m2", "Как дела?")
    for name in ("c1=", "c2="):
        join(store, name)


def join(store, name, resume=None, shown=None, now=NOON):
    store.connections.add(Connection(name, now))
    assert store.chats.subscribe("alice", "chat", name, Subscription("first", resume, shown))
    store.connections.bind(name, "alice", "chat")


def replies(
    store, gateway, model, sent=None, now=NOON, history_chars=1_000, sleep=None, prices=None, counts_tokens=False
):
    workers = (f"worker {number}" for number in itertools.count(1))
    runtime = FakeRuntime(now, lambda: f"{id(model)} {next(workers)}", sleep)
    return ReplyWorker(
        store,
        OpenConnections(store, gateway, runtime),
        model,
        ReplySettings(RUSSIAN, prices or Prices(), history_chars, pace=0.0, counts_tokens=counts_tokens),
        lambda user, frame: sent.append((user, frame)),
        runtime,
    )


def make(store, gateway, model, turn=TURN, remaining=900.0, **more):
    sent = []
    replies(store, gateway, model, sent, **more).make(turn, lambda: remaining)
    return sent


def text_of(frames):
    return "".join(frame["data"]["token"] for frame in frames if frame["type"] == "assistant_message_token")


def test_every_device_in_the_chat_sees_the_reply_in_order(store, gateway, chat):
    model = Model(
        "Хорошо",
        ", ",
        "спасибо",
        STOP,
        Delta(usage=Usage(prompt_tokens=5, completion_tokens=3)),
    )
    make(store, gateway, model)
    for device in ("c1=", "c2="):
        start, *tokens, complete = gateway.to(device)
        assert start["type"] == "assistant_message_start"
        assert text_of(tokens) == "Хорошо, спасибо"
        offsets = [0, *accumulate(len(token["data"]["token"]) for token in tokens)]
        assert [token["data"]["offset"] for token in tokens] == offsets[:-1]
        assert complete["type"] == "assistant_message_complete"
        assert complete["data"]["content"] == "Хорошо, спасибо"
        assert complete["data"]["usage"] == {"promptTokens": 5, "completionTokens": 3}
        assert {frame["data"]["messageId"] for frame in gateway.to(device)} == {"m2"}


def test_the_reply_is_stored_before_it_is_called_complete(store, gateway, chat):
    stored_at_completion = []
    post = gateway.post

    def watch(connection_id, text):
        if b"assistant_message_complete" in text:
            stored_at_completion.append(store.messages.get("chat", "m2").content)
        post(connection_id, text)

    gateway.post = watch
    make(store, gateway, Model("Да", STOP))
    assert stored_at_completion == ["Да", "Да"]


def test_the_model_sees_the_history_oldest_first(store, gateway, chat):
    make(store, gateway, first := Model("Хорошо", STOP))
    make(store, gateway, second := Model("Тоже", STOP), ask(store, "m3", "m4", "А у кота?"))
    assert first.asked == [[("user", "Как дела?")]]
    assert second.asked == [[("user", "Как дела?"), ("assistant", "Хорошо"), ("user", "А у кота?")]]


def test_the_model_never_sees_more_than_the_budget(store, gateway, chat):
    make(store, gateway, Model("x" * 90, STOP))
    make(store, gateway, model := Model("ok", STOP), ask(store, "m3", "m4", "y" * 90), history_chars=95)
    assert model.asked == [[("user", "y" * 90)]]


def test_a_regenerated_reply_is_made_without_the_old_one_and_takes_its_place(store, gateway, chat):
    make(store, gateway, Model("Плохо", STOP))
    kept = store.chats.get("alice", "chat")
    turn = Turn("m3", NOON + LEASE, replaces="m2")
    assert store.turns.begin("alice", "chat", turn, kept.last_message_id)
    gateway.frames.clear()
    make(store, gateway, model := Model("Хорошо", STOP), Handover("alice", "chat", "m3"))
    assert model.asked == [[("user", "Как дела?")]]
    start, *_, complete = gateway.to("c1=")
    assert (start["data"]["messageId"], start["data"]["replaces"]) == ("m3", "m2")
    assert (complete["data"]["content"], complete["data"]["messageId"]) == ("Хорошо", "m3")
    assert [each.content for each in store.messages.newest_first("chat")] == ["Хорошо", "Как дела?"]


class TestTitle:
    def test_the_first_exchange_names_the_chat_everywhere(self, store, gateway, chat):
        sent = make(store, gateway, Model("Хорошо", STOP))
        assert sent == [("alice", ChatUpdated(chat_id="chat", title="Как дела?"))]
        assert store.chats.get("alice", "chat").title == "Как дела?"

    def test_later_exchanges_do_not(self, store, gateway, chat):
        make(store, gateway, Model("Хорошо", STOP))
        assert make(store, gateway, Model("Да", STOP), ask(store, "m3", "m4", "И ещё")) == []
        assert store.chats.get("alice", "chat").title == "Как дела?"

    def test_a_title_that_cannot_be_sent_is_stored_all_the_same(self, store, gateway, chat):
        failing = replies(store, gateway, Model("Хорошо", STOP), sent=None)  # appending to None raises
        failing.make(TURN, lambda: 900.0)
        assert store.chats.get("alice", "chat").title == "Как дела?"
        assert store.chats.get("alice", "chat").turn is None


class TestFailingModel:
    def test_before_the_first_token_the_apology_is_the_reply(self, store, gateway, chat):
        make(store, gateway, Model(ModelFailed("503")))
        start, *tokens, complete = gateway.to("c1=")
        assert (start["type"], text_of(tokens)) == ("assistant_message_start", APOLOGY)
        assert (complete["data"]["content"], complete["data"]["finishReason"]) == (APOLOGY, "error")
        assert store.messages.get("chat", "m2").content == APOLOGY

    def test_in_the_middle_the_apology_follows_what_was_said(self, store, gateway, chat):
        make(store, gateway, Model("Хоро", "шо", ModelFailed("cut")))
        complete = gateway.to("c1=")[-1]
        assert complete["data"]["content"] == f"Хорошо\n\n{APOLOGY}"
        assert text_of(gateway.to("c1=")) == complete["data"]["content"]
        assert store.messages.get("chat", "m2").finish_reason is FinishReason.ERROR

    def test_saying_nothing_at_all_is_a_failure(self, store, gateway, chat):
        make(store, gateway, Model(STOP))
        assert gateway.to("c1=")[-1]["data"]["content"] == APOLOGY

    def test_its_own_reasons_to_end_are_passed_on(self, store, gateway, chat):
        make(store, gateway, Model("Хоро", Delta("", FinishReason.LENGTH)))
        assert gateway.to("c1=")[-1]["data"]["finishReason"] == "length"


class TestConnections:
    def test_one_that_is_gone_is_forgotten_and_harms_nobody(self, store, gateway, chat):
        gateway.gone = {"c1="}
        make(store, gateway, Model("a", "b", STOP))
        assert text_of(gateway.to("c2=")) == "ab"
        assert store.connections.get("c1=") is None
        assert store.chats.get("alice", "chat").subscribers.keys() == {"c2="}

    def test_one_that_is_gone_without_a_row_leaves_the_chat_as_well(self, store, gateway, chat):
        store.chats.subscribe("alice", "chat", "ghost=", Subscription("first"))
        gateway.gone = {"ghost="}
        make(store, gateway, Model("a", STOP))
        assert store.chats.get("alice", "chat").subscribers.keys() == {"c1=", "c2="}

    def test_one_that_is_throttled_gets_everything_later(self, store, gateway, chat):
        gateway.throttled["c1="] = 2
        make(store, gateway, Model("a", "b", STOP))
        for device in ("c1=", "c2="):
            assert text_of(gateway.to(device)) == "ab"
            assert gateway.to(device)[-1]["data"]["content"] == "ab"
        assert store.connections.get("c1=") is not None

    def test_one_that_joins_in_the_middle_gets_all_of_it(self, store, gateway, chat):
        model = Model("one ", lambda: join(store, "late="), lambda: gateway.until("late=", 1), "two", STOP)
        make(store, gateway, model)
        start, *tokens, complete = gateway.to("late=")
        assert (start["type"], start["data"]["offset"]) == ("assistant_message_start", 0)
        assert start["data"]["content"] + text_of(tokens) == complete["data"]["content"] == "one two"

    def test_one_that_resumes_gets_what_it_lacks(self, store, gateway, chat):
        resume = Resume(message_id="m2", offset=4)
        model = Model("one two", lambda: join(store, "late=", resume), lambda: gateway.until("late=", 1), "!", STOP)
        make(store, gateway, model)
        start, *tokens, complete = gateway.to("late=")
        assert (start["data"]["offset"], start["data"]["content"]) == (4, "two")
        assert (text_of(tokens), complete["data"]["content"]) == ("!", "one two!")

    def test_one_that_joins_after_the_last_look_gets_all_of_it(self, store, gateway, chat):
        make(store, gateway, Model("one", STOP, lambda: join(store, "late=")))
        start, complete = gateway.to("late=")
        assert (start["data"]["content"], complete["data"]["content"]) == ("one", "one")

    def test_one_that_was_shown_the_stored_reply_is_not_told_again(self, store, gateway, chat):
        seal_reply = store.turns.seal

        def joined_right_after(*arguments):
            sealed = seal_reply(*arguments)
            join(store, "late=", shown="m2")
            return sealed

        store.turns.seal = joined_right_after
        make(store, gateway, Model("one", STOP))
        assert gateway.to("late=") == []

    def test_one_that_leaves_gets_nothing_more(self, store, gateway, chat):
        def leave():
            store.chats.unsubscribe("alice", "chat", "c1=")
            time.sleep(0.4)

        make(store, gateway, Model("one ", lambda: gateway.until("c1=", 2), leave, "two", STOP))
        assert text_of(gateway.to("c1=")) == "one "
        assert text_of(gateway.to("c2=")) == "one two"
        assert gateway.to("c1=")[-1]["type"] == "assistant_message_token"


class TestEndedEarly:
    def test_a_cancelled_reply_keeps_what_was_said_and_stops_the_model(self, store, gateway, chat):
        model = Model(
            "one ", lambda: store.turns.cancel("alice", "chat", "m2"), lambda: model.until_stopped(), "two", STOP
        )
        make(store, gateway, model)
        complete = gateway.to("c1=")[-1]["data"]
        assert (complete["content"], complete["finishReason"]) == ("one ", "cancelled")
        assert store.messages.get("chat", "m2").finish_reason is FinishReason.CANCELLED
        assert model.closed

    def test_a_reply_cancelled_before_it_began_never_asks_the_model(self, store, gateway, chat):
        store.turns.cancel("alice", "chat", "m2")
        make(store, gateway, model := Model("one", STOP))
        assert model.asked == []
        assert [frame["type"] for frame in gateway.to("c1=")] == [
            "assistant_message_start",
            "assistant_message_complete",
        ]
        assert gateway.to("c1=")[-1]["data"]["finishReason"] == "cancelled"

    def test_ahead_of_the_functions_own_end_what_was_said_is_sealed(self, store, gateway, chat):
        remaining = iter([100.0, 14.0, 14.0])
        model = Model("one ", lambda: model.until_stopped())
        replies(store, gateway, model, []).make(TURN, lambda: next(remaining))
        complete = gateway.to("c1=")[-1]["data"]
        assert (complete["content"], complete["finishReason"]) == ("one ", "length")

    def test_a_reply_that_no_item_holds_is_cut(self, store, gateway, chat):
        make(store, gateway, model := Model("x" * (MAX_REPLY_BYTES - 1), "жук", "never", STOP))
        complete = gateway.to("c1=")[-1]["data"]
        assert (complete["content"], complete["length"], complete["finishReason"]) == (
            None,
            MAX_REPLY_BYTES - 1,
            "length",
        )
        assert store.messages.get("chat", "m2").content == "x" * (MAX_REPLY_BYTES - 1)
        assert model.closed

    def test_a_deleted_chat_ends_the_reply_and_nothing_comes_back(self, store, gateway, chat):
        def delete():
            key = {"userId": {"S": "alice"}, "chatId": {"S": "chat"}}
            boto3.client("dynamodb").delete_item(TableName="ChatsTable", Key=key)

        model = Model("one ", delete, lambda: model.until_stopped())
        assert make(store, gateway, model) == []
        assert store.chats.get("alice", "chat") is None
        assert store.messages.get("chat", "m2") is None
        assert gateway.to("c1=")[-1]["type"] == "assistant_message_token"

    def test_a_worker_that_was_overtaken_stops_and_says_nothing_more(self, store, gateway, chat):
        def overtake():
            claim(store, Handover("alice", "chat", "m2", attempt=2), worker="another")

        model = Model("one ", overtake, lambda: model.until_stopped())
        make(store, gateway, model)
        assert gateway.to("c1=")[-1]["type"] == "assistant_message_token"
        assert store.chats.get("alice", "chat").turn.worker == "another"


class TestInvokedTwice:
    def test_a_duplicate_asks_and_posts_nothing(self, store, gateway, chat):
        make(store, gateway, Model("первый", STOP))
        gateway.frames.clear()
        make(store, gateway, again := Model("второй", STOP))
        assert (again.asked, gateway.frames) == ([], [])

    def test_both_at_once_make_one_reply(self, store, gateway, chat):
        other = Model("второй", STOP)
        make(store, gateway, Model(lambda: make(store, gateway, other), "первый", STOP))
        assert other.asked == []
        completes = [frame for frame in gateway.to("c1=") if frame["type"] == "assistant_message_complete"]
        assert [frame["data"]["content"] for frame in completes] == ["первый"]
        assert store.chats.get("alice", "chat").message_count == 2

    def test_a_reply_that_was_stored_and_not_announced_is_announced(self, store, gateway, chat):
        seal(store, TURN, "первый")
        make(store, gateway, again := Model("второй", STOP), now=LATER)
        assert again.asked == []
        for device in ("c1=", "c2="):
            [complete] = gateway.to(device)
            assert (complete["data"]["content"], complete["data"]["attempt"]) == ("первый", 1)
        assert store.chats.get("alice", "chat").turn is None

    def test_a_zombie_that_wakes_after_the_takeover_stores_nothing(self, store, gateway, chat):
        def overtaken():
            make(store, gateway, Model("второй", STOP), now=LATER)

        make(store, gateway, Model("пер", overtaken, "вый", STOP))
        assert store.messages.get("chat", "m2").content == "второй"
        completes = [frame["data"] for frame in gateway.to("c1=") if frame["type"] == "assistant_message_complete"]
        assert [(complete["content"], complete["attempt"]) for complete in completes] == [("второй", 2)]


class TestFailingWorker:
    def test_the_next_attempt_can_come_at_once(self, store, gateway, chat):
        with pytest.raises(ZeroDivisionError):
            make(store, gateway, Model("one", ZeroDivisionError()))
        make(store, gateway, Model("two", STOP))
        start, *_, complete = gateway.to("c1=")[-3:]
        assert (start["data"]["attempt"], complete["data"]["attempt"], complete["data"]["content"]) == (2, 2, "two")

    def test_the_third_ends_in_the_apology_and_still_fails(self, store, gateway, chat):
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                make(store, gateway, Model("one", ZeroDivisionError()))
        complete = gateway.to("c1=")[-1]["data"]
        assert (complete["content"], complete["finishReason"], complete["attempt"]) == (f"one\n\n{APOLOGY}", "error", 3)
        assert store.chats.get("alice", "chat").turn is None

    def test_after_three_that_died_the_next_apologises_without_asking(self, store, gateway, chat):
        for number in range(3):
            claim(store, TURN, now=NOON + number * LEASE, worker=f"dead {number}")
        make(store, gateway, model := Model("never", STOP), now=NOON + 3 * LEASE)
        assert model.asked == []
        complete = gateway.to("c1=")[-1]["data"]
        assert (complete["content"], complete["attempt"]) == (APOLOGY, 4)


class TestGivingUp:
    def give_up(self, store, gateway, clock, asleep=None):
        def pass_time(seconds):
            clock[0] += timedelta(seconds=seconds)
            if asleep:
                asleep()

        made = replies(store, gateway, Model(), [], now=lambda: clock[0], sleep=pass_time)
        made.give_up(TURN, lambda: 60.0)

    def test_a_turn_that_nobody_is_at_ends_in_the_apology(self, store, gateway, chat):
        claim(store, TURN)
        self.give_up(store, gateway, [LATER])
        assert gateway.to("c1=")[-1]["data"]["content"] == APOLOGY
        assert store.messages.get("chat", "m2").finish_reason is FinishReason.ERROR

    def test_the_last_attempts_lease_is_waited_for(self, store, gateway, chat):
        claim(store, TURN)
        self.give_up(store, gateway, clock := [NOON + timedelta(seconds=5)])
        assert clock[0] >= NOON + LEASE
        assert store.messages.get("chat", "m2").content == APOLOGY

    def test_somebody_who_is_at_it_is_left_to_it(self, store, gateway, chat):
        turn = claim(store, TURN)
        alive = lambda: store.turns.extend("alice", "chat", turn, NOON + 2 * LEASE)  # noqa: E731
        self.give_up(store, gateway, [NOON + timedelta(seconds=5)], alive)
        assert store.messages.get("chat", "m2") is None
        assert gateway.frames == []

    def test_a_turn_that_is_over_stays_as_it_is(self, store, gateway, chat):
        answer(store, TURN, "Хорошо")
        self.give_up(store, gateway, [LATER])
        assert store.messages.get("chat", "m2").content == "Хорошо"
        assert gateway.frames == []

    def test_a_stored_reply_is_announced(self, store, gateway, chat):
        seal(store, TURN, "Хорошо")
        self.give_up(store, gateway, [LATER])
        assert [frame["data"]["content"] for frame in gateway.to("c1=")] == ["Хорошо"]


class TestFailingStore:
    def test_a_look_that_fails_changes_nothing_while_the_lease_holds(self, store, gateway, chat):
        looked = Event()

        def fails(*_):
            looked.set()
            raise StoreError("throttled")

        def break_it():
            store.chats.get = fails

        model = Model("one ", break_it, lambda: looked.wait(5), lambda: delattr(store.chats, "get"), "two", STOP)
        make(store, gateway, model)
        assert gateway.to("c1=")[-1]["data"]["content"] == "one two"

    def test_newcomers_that_cannot_be_seen_do_not_keep_the_others_from_the_end(self, store, gateway, chat):
        def break_it():
            store.chats.get = lambda *_: (_ for _ in ()).throw(StoreError("throttled"))

        make(store, gateway, Model("one", STOP, break_it))
        assert gateway.to("c1=")[-1]["data"]["content"] == "one"


class TestCost:
    def test_it_is_told_with_the_end(self, store, gateway, chat):
        usage = Usage(prompt_tokens=1_000, completion_tokens=100)
        prices = Prices(frames=1.0, read_units=0.0, write_units=0.0, prompt_tokens=2.5, completion_tokens=10.0)
        handover = Handover("alice", "chat", "m2", frames=2, read_units=1.5, write_units=8.0)
        make(store, gateway, Model("a", STOP, Delta(usage=usage)), handover, prices=prices)
        cost = gateway.to("c1=")[-1]["data"]["cost"]
        assert cost["frames"] == 2 + len(gateway.frames)
        assert cost["usd"] == pytest.approx((cost["frames"] + 2_500 + 1_000) / 1_000_000)
        assert cost["readUnits"] > 1.5
        assert cost["writeUnits"] > 8.0


def test_a_chat_deleted_before_the_reply_ends_the_turn_quietly(store, gateway):
    make(store, gateway, model := Model("a", STOP))
    assert (model.asked, gateway.frames) == ([], [])


def test_a_long_piece_is_cut_to_fit_into_frames_and_a_long_reply_completes_without_text(store, gateway, chat):
    text = "\x01𐍈" * 20_000
    make(store, gateway, Model(text, STOP))
    frames = gateway.to("c1=")
    assert text_of(frames) == text
    assert max(len(json.dumps(frame, ensure_ascii=False).encode()) for frame in frames) <= 32 * 1024
    assert (frames[-1]["data"]["content"], frames[-1]["data"]["length"]) == (None, 60_000)
