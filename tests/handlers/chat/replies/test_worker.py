"""The way of a reply, with a scripted model, a recording gateway and moto's DynamoDB."""

import json
from itertools import accumulate

import boto3
import pytest

from handlers.chat.cost import Prices
from handlers.chat.errors import ModelFailed
from handlers.chat.protocol.frames import ChatUpdated
from handlers.chat.records import Connection, FinishReason, Fork, Resume, Usage
from handlers.chat.replies.attempt import MAX_REPLY_BYTES
from handlers.chat.replies.deltas import Delta
from handlers.chat.store import StoreError
from handlers.chat.turns.lifecycle import Handover
from tests.support.conversation import ask, claim, regenerating
from tests.support.reply_worker import (
    APOLOGY,
    LATER,
    NOON,
    STOP,
    TURN,
    ScriptedModel,
    join,
    make_reply,
    reply_worker,
    text_of,
)
from tests.support.subscribers import leave_behind
from tests.support.waiting import until


def test_every_device_in_the_chat_sees_the_reply_in_order(store, gateway, chat):
    model = ScriptedModel(
        "Хорошо",
        ", ",
        "спасибо",
        STOP,
        Delta(usage=Usage(prompt_tokens=5, completion_tokens=3)),
    )
    make_reply(store, gateway, model)
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
    make_reply(store, gateway, ScriptedModel("Да", STOP))
    assert stored_at_completion == ["Да", "Да"]


def test_the_model_sees_the_history_oldest_first(store, gateway, chat):
    make_reply(store, gateway, first := ScriptedModel("Хорошо", STOP))
    make_reply(store, gateway, second := ScriptedModel("Тоже", STOP), ask(store, "m3", "m4", "А у кота?"))
    assert first.asked == [[("user", "Как дела?")]]
    assert second.asked == [[("user", "Как дела?"), ("assistant", "Хорошо"), ("user", "А у кота?")]]


def test_the_model_never_sees_more_than_the_budget(store, gateway, chat):
    make_reply(store, gateway, ScriptedModel("x" * 90, STOP))
    make_reply(store, gateway, model := ScriptedModel("ok", STOP), ask(store, "m3", "m4", "y" * 90), history_chars=95)
    assert model.asked == [[("user", "y" * 90)]]


@pytest.mark.parametrize("told", ["m2", None])
def test_a_regenerated_reply_is_made_without_the_old_one_and_takes_its_place(store, gateway, chat, told):
    # None: a handover of a version that did not say what is replaced.
    make_reply(store, gateway, ScriptedModel("Плохо", STOP))
    kept = store.chats.get("alice", "chat")
    assert store.turns.begin(kept, regenerating("m3", "m2", after="m1"), NOON)
    gateway.frames.clear()
    handover = Handover("alice", "chat", "m3", replaces=told)
    make_reply(store, gateway, model := ScriptedModel("Хорошо", STOP), handover)
    assert model.asked == [[("user", "Как дела?")]]
    start, *_, complete = gateway.to("c1=")
    assert (start["data"]["messageId"], start["data"]["replaces"]) == ("m3", "m2")
    assert (complete["data"]["content"], complete["data"]["messageId"]) == ("Хорошо", "m3")
    assert [each.content for each in store.messages.newest_first("chat")] == ["Хорошо", "Как дела?"]
    assert store.messages.get("chat", "m2").content == "Плохо"
    assert store.branches.fork("chat", "m2") == Fork("m2", {"m2": "m2", "m3": "m3"})


class TestReadingAhead:
    """The prompt is read while the turn is claimed."""

    def reads(self, store, monkeypatch, *failures):
        """Count the reads of the prompt. Each of `failures` is raised by one of them, the first one first."""
        read, left, reads = store.messages.newest_first, list(failures), []

        def newest_first(*arguments, **bounds):
            reads.append(arguments)
            if left:
                raise left.pop(0)
            return read(*arguments, **bounds)

        monkeypatch.setattr(store.messages, "newest_first", newest_first)
        return reads

    def test_it_is_read_once(self, store, gateway, chat, monkeypatch):
        reads = self.reads(store, monkeypatch)
        make_reply(store, gateway, ScriptedModel("Хорошо", STOP))
        assert reads == [("chat", "m2")]

    def test_the_reply_begins_while_it_is_read(self, store, gateway, chat, monkeypatch):
        read, begun = store.messages.newest_first, []

        def newest_first(*arguments, **bounds):
            until(lambda: gateway.frames)
            begun.extend(frame["type"] for _, frame in gateway.frames)
            return read(*arguments, **bounds)

        monkeypatch.setattr(store.messages, "newest_first", newest_first)
        make_reply(store, gateway, ScriptedModel("Хорошо", STOP))
        assert begun[0] == "assistant_message_start"

    def test_what_could_not_be_read_then_is_read_again(self, store, gateway, chat, monkeypatch):
        reads = self.reads(store, monkeypatch, StoreError("throttled"))
        make_reply(store, gateway, model := ScriptedModel("Хорошо", STOP))
        assert model.asked == [[("user", "Как дела?")]]
        assert len(reads) == 2

    def test_what_cannot_be_read_again_ends_the_attempt(self, store, gateway, chat, monkeypatch):
        self.reads(store, monkeypatch, StoreError("throttled"), StoreError("throttled"))
        with pytest.raises(StoreError):
            make_reply(store, gateway, ScriptedModel())
        assert store.chats.get("alice", "chat").turn.lease_until == NOON

    def test_a_turn_of_another_worker_is_not_answered(self, store, gateway, chat):
        claim(store, TURN, worker="another")
        make_reply(store, gateway, model := ScriptedModel("Хорошо", STOP))
        assert model.asked == []

    def test_a_turn_that_is_given_up_reads_no_prompt(self, store, gateway, chat, monkeypatch):
        reads = self.reads(store, monkeypatch)
        reply_worker(store, gateway, ScriptedModel(), [], now=LATER).give_up(TURN, lambda: 900.0)
        assert reads == []
        assert store.messages.get("chat", "m2").content == APOLOGY


class TestTitle:
    def test_the_first_exchange_names_the_chat_everywhere(self, store, gateway, chat):
        sent = make_reply(store, gateway, ScriptedModel("Хорошо", STOP))
        assert sent == [("alice", ChatUpdated(chat_id="chat", title="Как дела?"))]
        assert store.chats.get("alice", "chat").title == "Как дела?"

    def test_later_exchanges_do_not(self, store, gateway, chat):
        make_reply(store, gateway, ScriptedModel("Хорошо", STOP))
        assert make_reply(store, gateway, ScriptedModel("Да", STOP), ask(store, "m3", "m4", "И ещё")) == []
        assert store.chats.get("alice", "chat").title == "Как дела?"

    def test_a_title_that_cannot_be_sent_is_stored_all_the_same(self, store, gateway, chat):
        failing = reply_worker(store, gateway, ScriptedModel("Хорошо", STOP), sent=None)  # appending to None raises
        failing.make(TURN, lambda: 900.0)
        assert store.chats.get("alice", "chat").title == "Как дела?"
        assert store.chats.get("alice", "chat").turn is None


class TestFailingModel:
    def test_before_the_first_token_the_apology_is_the_reply(self, store, gateway, chat):
        make_reply(store, gateway, ScriptedModel(ModelFailed("503")))
        start, *tokens, complete = gateway.to("c1=")
        assert (start["type"], text_of(tokens)) == ("assistant_message_start", APOLOGY)
        assert (complete["data"]["content"], complete["data"]["finishReason"]) == (APOLOGY, "error")
        assert store.messages.get("chat", "m2").content == APOLOGY

    def test_in_the_middle_the_apology_follows_what_was_said(self, store, gateway, chat):
        make_reply(store, gateway, ScriptedModel("Хоро", "шо", ModelFailed("cut")))
        complete = gateway.to("c1=")[-1]
        assert complete["data"]["content"] == f"Хорошо\n\n{APOLOGY}"
        assert text_of(gateway.to("c1=")) == complete["data"]["content"]
        assert store.messages.get("chat", "m2").finish_reason is FinishReason.ERROR

    def test_saying_nothing_at_all_is_a_failure(self, store, gateway, chat):
        make_reply(store, gateway, ScriptedModel(STOP))
        assert gateway.to("c1=")[-1]["data"]["content"] == APOLOGY

    def test_its_own_reasons_to_end_are_passed_on(self, store, gateway, chat):
        make_reply(store, gateway, ScriptedModel("Хоро", Delta("", FinishReason.LENGTH)))
        assert gateway.to("c1=")[-1]["data"]["finishReason"] == "length"


class TestConnections:
    def test_a_connection_that_is_gone_is_forgotten_and_harms_no_other(self, store, gateway, chat):
        gateway.gone = {"c1="}
        make_reply(store, gateway, ScriptedModel("a", "b", STOP))
        assert text_of(gateway.to("c2=")) == "ab"
        assert store.connections.get("c1=") is None
        assert store.chats.get("alice", "chat").subscribers.keys() == {"c2="}

    def test_one_that_is_gone_without_a_row_leaves_the_chat_as_well(self, store, gateway, chat):
        leave_behind(store, "ghost=", Connection("ghost=", NOON))
        gateway.gone = {"ghost="}
        make_reply(store, gateway, ScriptedModel("a", STOP))
        assert store.chats.get("alice", "chat").subscribers.keys() == {"c1=", "c2="}

    def test_one_that_is_throttled_gets_everything_later(self, store, gateway, chat):
        gateway.failing["c1="] = 2
        make_reply(store, gateway, ScriptedModel("a", "b", STOP))
        for device in ("c1=", "c2="):
            assert text_of(gateway.to(device)) == "ab"
            assert gateway.to(device)[-1]["data"]["content"] == "ab"
        assert store.connections.get("c1=") is not None

    def test_one_that_joins_in_the_middle_gets_all_of_it(self, store, gateway, chat):
        model = ScriptedModel("one ", lambda: join(store, "late="), lambda: gateway.until("late=", 1), "two", STOP)
        make_reply(store, gateway, model)
        start, *tokens, complete = gateway.to("late=")
        assert (start["type"], start["data"]["offset"]) == ("assistant_message_start", 0)
        assert start["data"]["content"] + text_of(tokens) == complete["data"]["content"] == "one two"

    def test_one_that_resumes_gets_what_it_lacks(self, store, gateway, chat):
        resume = Resume(message_id="m2", offset=4)
        model = ScriptedModel(
            "one two", lambda: join(store, "late=", resume), lambda: gateway.until("late=", 1), "!", STOP
        )
        make_reply(store, gateway, model)
        start, *tokens, complete = gateway.to("late=")
        assert (start["data"]["offset"], start["data"]["content"]) == (4, "two")
        assert (text_of(tokens), complete["data"]["content"]) == ("!", "one two!")

    def test_one_that_joins_after_the_last_look_gets_all_of_it(self, store, gateway, chat):
        make_reply(store, gateway, ScriptedModel("one", STOP, lambda: join(store, "late=")))
        start, complete = gateway.to("late=")
        assert (start["data"]["content"], complete["data"]["content"]) == ("one", "one")

    def test_a_connection_that_was_shown_the_stored_reply_gets_no_frames(self, store, gateway, chat):
        seal_reply = store.turns.seal

        def joined_right_after(*arguments):
            sealed = seal_reply(*arguments)
            join(store, "late=", shown="m2")
            return sealed

        store.turns.seal = joined_right_after
        make_reply(store, gateway, ScriptedModel("one", STOP))
        assert gateway.to("late=") == []

    def test_one_that_leaves_gets_nothing_more(self, store, gateway, chat):
        watch, looks = store.chats.watch, []

        def look(*arguments, certain):
            looks.append(certain)
            return watch(*arguments, certain=certain)

        def leave():
            store.chats.unsubscribe("alice", "chat", "c1=")
            looks.clear()
            # A certain look that began after that was heeded when the next one begins.
            until(lambda: True in looks[:-1])

        store.chats.watch = look

        make_reply(store, gateway, ScriptedModel("one ", lambda: gateway.until("c1=", 2), leave, "two", STOP))
        assert text_of(gateway.to("c1=")) == "one "
        assert text_of(gateway.to("c2=")) == "one two"
        assert gateway.to("c1=")[-1]["type"] == "assistant_message_token"


class TestEndedEarly:
    def test_a_cancelled_reply_keeps_what_was_said_and_stops_the_model(self, store, gateway, chat):
        model = ScriptedModel(
            "one ", lambda: store.turns.cancel("alice", "chat", "m2"), lambda: model.until_stopped(), "two", STOP
        )
        make_reply(store, gateway, model)
        complete = gateway.to("c1=")[-1]["data"]
        assert (complete["content"], complete["finishReason"]) == ("one ", "cancelled")
        assert store.messages.get("chat", "m2").finish_reason is FinishReason.CANCELLED
        assert model.closed

    def test_a_reply_cancelled_before_it_began_never_asks_the_model(self, store, gateway, chat):
        store.turns.cancel("alice", "chat", "m2")
        make_reply(store, gateway, model := ScriptedModel("one", STOP))
        assert model.asked == []
        assert [frame["type"] for frame in gateway.to("c1=")] == [
            "assistant_message_start",
            "assistant_message_complete",
        ]
        assert gateway.to("c1=")[-1]["data"]["finishReason"] == "cancelled"

    def test_ahead_of_the_functions_own_end_what_was_said_is_sealed(self, store, gateway, chat):
        remaining = iter([100.0, 14.0, 14.0])
        model = ScriptedModel("one ", lambda: model.until_stopped())
        reply_worker(store, gateway, model, []).make(TURN, lambda: next(remaining))
        complete = gateway.to("c1=")[-1]["data"]
        assert (complete["content"], complete["finishReason"]) == ("one ", "length")

    def test_a_reply_that_no_item_holds_is_cut(self, store, gateway, chat):
        make_reply(store, gateway, model := ScriptedModel("x" * (MAX_REPLY_BYTES - 1), "жук", "never", STOP))
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

        model = ScriptedModel("one ", delete, lambda: model.until_stopped())
        assert make_reply(store, gateway, model) == []
        assert store.chats.get("alice", "chat") is None
        assert store.messages.get("chat", "m2") is None
        assert gateway.to("c1=")[-1]["type"] == "assistant_message_token"

    def test_a_worker_that_was_overtaken_stops_and_says_nothing_more(self, store, gateway, chat):
        def overtake():
            claim(store, Handover("alice", "chat", "m2", attempt=2), worker="another")

        model = ScriptedModel("one ", overtake, lambda: model.until_stopped())
        make_reply(store, gateway, model)
        assert gateway.to("c1=")[-1]["type"] == "assistant_message_token"
        assert store.chats.get("alice", "chat").turn.worker == "another"


class TestCost:
    PRICES = Prices(
        frames=1.0,
        read_units=0.0,
        write_units=0.0,
        invocations=100.0,
        gb_seconds=1_000.0,
        prompt_tokens=2.5,
        completion_tokens=10.0,
    )
    HANDOVER = Handover(
        "alice", "chat", "m2", frames=3, read_units=1.5, write_units=8.0, invocations=1, gb_seconds=0.25
    )

    def cost(self, store, gateway, *script, **more):
        """The cost that is told with the end of a reply. Each step of the script takes two seconds."""
        clock = [50.0]

        def pass_time():
            clock[0] += 2.0

        steps = [step for each in script for step in (pass_time, each)]
        more = {"prices": self.PRICES, "memory": 0.5, "monotonic": lambda: clock[0]} | more
        make_reply(store, gateway, ScriptedModel(*steps), more.pop("turn", self.HANDOVER), **more)
        return gateway.to("c1=")[-1]["data"]["cost"]

    def test_it_is_told_with_the_end(self, store, gateway, chat):
        usage = Usage(prompt_tokens=1_000, completion_tokens=100)
        cost = self.cost(store, gateway, "a", STOP, Delta(usage=usage))
        assert cost["frames"] == 3 + len(gateway.frames)
        assert (cost["invocations"], cost["gbSeconds"]) == (2, 0.25 + 3 * 2.0 * 0.5)
        assert cost["usd"] == pytest.approx((cost["frames"] + 200 + 3_250 + 2_500 + 1_000) / 1_000_000)
        assert cost["covers"] == ["frames", "units", "functions", "tokens"]
        assert cost["readUnits"] > 1.5
        assert cost["writeUnits"] > 8.0

    def test_tokens_that_nobody_counted_are_not_free(self, store, gateway, chat):
        assert self.cost(store, gateway, "a", STOP)["covers"] == ["frames", "units", "functions"]

    def test_a_model_that_failed_is_not_free(self, store, gateway, chat):
        assert self.cost(store, gateway, ModelFailed("gone"))["covers"] == ["frames", "units", "functions"]

    def test_a_model_that_was_not_asked_took_no_tokens(self, store, gateway, chat):
        store.turns.cancel("alice", "chat", "m2")
        assert self.cost(store, gateway)["covers"] == ["frames", "units", "functions", "tokens"]

    @pytest.mark.parametrize("unknown", [{"memory": None}, {"turn": Handover("alice", "chat", "m2")}])
    def test_a_time_that_is_unknown_is_not_told(self, store, gateway, chat, unknown):
        cost = self.cost(store, gateway, "a", STOP, **unknown)
        assert "gbSeconds" not in cost
        assert "functions" not in cost["covers"]


def test_a_chat_deleted_before_the_reply_ends_the_turn_quietly(store, gateway):
    make_reply(store, gateway, model := ScriptedModel("a", STOP))
    assert (model.asked, gateway.frames) == ([], [])


def test_a_long_piece_is_cut_to_fit_into_frames_and_a_long_reply_completes_without_text(store, gateway, chat):
    text = "\x01𐍈" * 20_000
    make_reply(store, gateway, ScriptedModel(text, STOP))
    frames = gateway.to("c1=")
    assert text_of(frames) == text
    assert max(len(json.dumps(frame, ensure_ascii=False).encode()) for frame in frames) <= 32 * 1024
    assert (frames[-1]["data"]["content"], frames[-1]["data"]["length"]) == (None, 60_000)
