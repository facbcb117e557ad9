"""Reply workers that run twice, die or lose their store."""

from datetime import timedelta
from threading import Event

import pytest

from handlers.chat.records import FinishReason
from handlers.chat.store import StoreError
from handlers.chat.turns.lifecycle import LEASE, Handover
from tests.support.conversation import answer, ask, claim, regenerating, seal
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
)
from tests.support.waiting import HANGS


class TestInvokedTwice:
    def test_a_duplicate_asks_and_posts_nothing(self, store, gateway, chat):
        make_reply(store, gateway, ScriptedModel("первый", STOP))
        gateway.frames.clear()
        make_reply(store, gateway, again := ScriptedModel("второй", STOP))
        assert (again.asked, gateway.frames) == ([], [])

    def test_both_at_once_make_one_reply(self, store, gateway, chat):
        other = ScriptedModel("второй", STOP)
        make_reply(store, gateway, ScriptedModel(lambda: make_reply(store, gateway, other), "первый", STOP))
        assert other.asked == []
        completes = [frame for frame in gateway.to("c1=") if frame["type"] == "assistant_message_complete"]
        assert [frame["data"]["content"] for frame in completes] == ["первый"]
        assert store.chats.get("alice", "chat").message_count == 2

    def test_a_reply_that_was_stored_and_not_announced_is_announced(self, store, gateway, chat):
        seal(store, TURN, "первый")
        make_reply(store, gateway, again := ScriptedModel("второй", STOP), now=LATER)
        assert again.asked == []
        for device in ("c1=", "c2="):
            start, complete = gateway.to(device)
            assert (start["data"]["offset"], start["data"]["content"]) == (0, "первый")
            assert (complete["data"]["content"], complete["data"]["attempt"]) == ("первый", 1)
        assert store.chats.get("alice", "chat").announcements == frozenset()

    def test_it_is_announced_too_if_another_message_has_come(self, store, gateway, chat):
        seal(store, TURN, "первый")
        ask(store, "m3", "m4", now=LATER)
        make_reply(store, gateway, again := ScriptedModel("второй", STOP), now=LATER)
        assert (again.asked, gateway.kinds("c1=")) == ([], ["start", "complete"])
        assert store.chats.get("alice", "chat").turn.message_id == "m4"

    def test_a_reply_that_was_replaced_before_it_was_announced_is_not(self, store, gateway, chat):
        seal(store, TURN, "первый")
        assert store.turns.begin(store.chats.get("alice", "chat"), regenerating("m3", "m2", after="m1"), NOON)
        seal(store, Handover("alice", "chat", "m3"), "второй")
        make_reply(store, gateway, ScriptedModel(), now=LATER)
        assert gateway.frames == []
        assert [each.message_id for each in store.chats.get("alice", "chat").announcements] == ["m3"]

    def test_a_zombie_that_wakes_after_the_takeover_stores_nothing(self, store, gateway, chat):
        def overtaken():
            make_reply(store, gateway, ScriptedModel("второй", STOP), now=LATER)

        make_reply(store, gateway, ScriptedModel("пер", overtaken, "вый", STOP))
        assert store.messages.get("chat", "m2").content == "второй"
        completes = [frame["data"] for frame in gateway.to("c1=") if frame["type"] == "assistant_message_complete"]
        assert [(complete["content"], complete["attempt"]) for complete in completes] == [("второй", 2)]


class TestFailingWorker:
    def test_the_next_attempt_can_come_at_once(self, store, gateway, chat):
        with pytest.raises(ZeroDivisionError):
            make_reply(store, gateway, ScriptedModel("one", ZeroDivisionError()))
        make_reply(store, gateway, ScriptedModel("two", STOP))
        start, *_, complete = gateway.to("c1=")[-3:]
        assert (start["data"]["attempt"], complete["data"]["attempt"], complete["data"]["content"]) == (2, 2, "two")

    def test_the_third_ends_in_the_apology_and_still_fails(self, store, gateway, chat):
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                make_reply(store, gateway, ScriptedModel("one", ZeroDivisionError()))
        complete = gateway.to("c1=")[-1]["data"]
        assert (complete["content"], complete["finishReason"], complete["attempt"]) == (f"one\n\n{APOLOGY}", "error", 3)
        assert store.chats.get("alice", "chat").turn is None

    def test_after_three_that_died_the_next_apologises_without_asking(self, store, gateway, chat):
        for number in range(3):
            claim(store, TURN, now=NOON + number * LEASE, worker=f"dead {number}")
        make_reply(store, gateway, model := ScriptedModel("never", STOP), now=NOON + 3 * LEASE)
        assert model.asked == []
        complete = gateway.to("c1=")[-1]["data"]
        assert (complete["content"], complete["attempt"]) == (APOLOGY, 4)


class TestGivingUp:
    def give_up(self, store, gateway, clock, asleep=None):
        def pass_time(seconds):
            clock[0] += timedelta(seconds=seconds)
            if asleep:
                asleep()

        made = reply_worker(store, gateway, ScriptedModel(), [], now=lambda: clock[0], sleep=pass_time)
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

    def test_a_worker_that_still_holds_the_turn_is_left_alone(self, store, gateway, chat):
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

    def test_a_reply_that_a_dead_worker_stored_a_moment_ago_is_awaited_and_announced(self, store, gateway, chat):
        seal(store, TURN, "Хорошо")
        self.give_up(store, gateway, [NOON])
        assert gateway.kinds("c1=") == ["start", "complete"]

    def test_a_stored_reply_is_announced(self, store, gateway, chat):
        seal(store, TURN, "Хорошо")
        self.give_up(store, gateway, [LATER])
        assert [frame["data"]["content"] for frame in gateway.to("c1=")] == ["Хорошо", "Хорошо"]
        assert gateway.kinds("c1=") == ["start", "complete"]

    def test_a_connection_that_was_shown_it_is_left_out(self, store, gateway, chat):
        seal(store, TURN, "Хорошо")
        join(store, "c3=", shown="m2")
        self.give_up(store, gateway, [LATER])
        assert (gateway.to("c3="), gateway.kinds("c1=")) == ([], ["start", "complete"])


class TestFailingStore:
    def test_a_look_that_fails_changes_nothing_while_the_lease_holds(self, store, gateway, chat):
        looked = Event()

        def fails(*_, **__):
            looked.set()
            raise StoreError("throttled")

        def break_it():
            store.chats.watch = fails

        model = ScriptedModel(
            "one ", break_it, lambda: looked.wait(HANGS), lambda: delattr(store.chats, "watch"), "two", STOP
        )
        make_reply(store, gateway, model)
        assert gateway.to("c1=")[-1]["data"]["content"] == "one two"

    def test_newcomers_that_cannot_be_seen_do_not_keep_the_others_from_the_end(self, store, gateway, chat):
        def break_it():
            store.chats.get = lambda *_: (_ for _ in ()).throw(StoreError("throttled"))

        make_reply(store, gateway, ScriptedModel("one", STOP, break_it))
        assert gateway.to("c1=")[-1]["data"]["content"] == "one"

    def test_newcomers_that_could_not_be_seen_hear_of_the_end_later(self, store, gateway, chat):
        def join_unseen():
            join(store, "c9=")
            store.chats.get = store.chats.watch = lambda *_: (_ for _ in ()).throw(StoreError("throttled"))

        make_reply(store, gateway, ScriptedModel("one", STOP, join_unseen))
        del store.chats.get, store.chats.watch
        assert gateway.to("c9=") == []
        assert [each.message_id for each in store.chats.get("alice", "chat").announcements] == ["m2"]
        make_reply(store, gateway, ScriptedModel(), now=LATER)
        assert gateway.kinds("c9=") == ["start", "complete"]
        assert store.chats.get("alice", "chat").announcements == frozenset()
