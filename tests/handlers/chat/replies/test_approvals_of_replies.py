"""Calls that need approval: their turn waits with no worker, and goes on with what the user has said."""

from datetime import timedelta
from functools import partial

import pytest

from handlers.chat.assistants.assistant import DEFAULT_STEPS
from handlers.chat.records import CallState, Result, StepCall, ToolCall
from handlers.chat.store import StoreError
from handlers.chat.turns import approvals, lifecycle, steps
from handlers.chat.turns.approvals import NOT_ANSWERED, REFUSED
from handlers.chat.turns.lifecycle import Handover
from tests.support.conversation import claim
from tests.support.reply_worker import APOLOGY, NOON, STOP, TURN, join
from tests.support.tool_worker import Shop, SteppedModel, calls, make_with, tool_worker

ONE, TWO = "m2-01-00", "m2-01-01"
LAST_DAY = NOON + timedelta(days=7)


@pytest.fixture
def shop():
    return Shop()


def reply(store):
    return store.messages.get("chat", "m2")


def turn_of(store):
    return store.chats.get("alice", "chat").turn


def answers(store, *pairs):
    for pair in pairs:
        assert approvals.answer(store, store.chats.get("alice", "chat"), *pair)


def resumed(store, now=NOON):
    """End the waiting, and return the handover to the next worker."""
    chat = store.chats.get("alice", "chat")
    assert approvals.resume(store, chat, chat.turn, now)
    return lifecycle.handover_of(chat, chat.turn)


def waits(store, gateway, shop, *names, now=NOON):
    """Make a reply up to the point where it waits."""
    make_with(store, gateway, SteppedModel(("I look.", calls(*names))), *shop.tools, now=now)
    assert turn_of(store).waiting


def states(gateway, name="c1="):
    """The states of each call that a device was shown, by the call's id."""
    found = {}
    for frame in gateway.to(name):
        if frame["type"] == "assistant_message_part":
            found.setdefault(frame["data"]["part"]["callId"], []).append(frame["data"]["part"]["state"])
    return found


def test_the_worker_ends_when_the_other_calls_are_made_and_the_devices_see_what_is_asked(store, gateway, chat, shop):
    waits(store, gateway, shop, "pay", "look", "pay")
    assert (shop.ran, reply(store)) == (["look"], None)
    turn = turn_of(store)
    assert (turn.awaits, turn.lease_until) == ({ONE, "m2-01-02"}, LAST_DAY)
    for name in ("c1=", "c2="):
        seen = states(gateway, name)
        assert (seen[ONE][-1], seen[TWO][-1], seen["m2-01-02"][-1]) == ("waiting", "done", "waiting")
        text = "".join(each["data"]["token"] for each in gateway.to(name) if each["type"] == "assistant_message_token")
        assert text == "I look."


def test_an_approved_call_is_made_and_a_refused_one_is_a_result_that_the_model_reads(store, gateway, chat, shop):
    waits(store, gateway, shop, "pay", "pay")
    answers(store, (ONE, False), (TWO, True))
    model = SteppedModel(("Done.", STOP))
    make_with(store, gateway, model, *shop.tools, turn=resumed(store))
    assert (shop.ran, model.read) == (["pay"], [[[REFUSED.text, "paid"]]])
    kept = reply(store)
    assert kept.content == "I look.\n\nDone."
    assert [(part.call_id, part.state, part.result) for part in kept.parts] == [
        (ONE, "error", REFUSED.text),
        (TWO, "done", "paid"),
    ]


def test_a_turn_waits_as_often_as_it_asks_and_uses_up_no_try(store, gateway, chat, shop):
    handover = TURN
    for number in range(1, DEFAULT_STEPS + 1):
        make_with(store, gateway, SteppedModel((calls("pay"),)), *shop.tools, turn=handover)
        answers(store, (f"m2-{number:02}-00", True))
        handover = resumed(store)
        assert lifecycle.tries(turn_of(store)) == 0
    make_with(store, gateway, SteppedModel(("Enough.", STOP)), *shop.tools, turn=handover)
    assert (len(shop.ran), reply(store).content) == (DEFAULT_STEPS, "Enough.")


def test_answers_that_came_before_the_turn_could_wait_are_heeded_at_once(store, gateway, chat, shop, monkeypatch):
    wait = store.turns.wait

    def late(*arguments):
        answers(store, (ONE, True), (TWO, False))
        return wait(*arguments)

    monkeypatch.setattr(store.turns, "wait", late)
    model = SteppedModel((calls("pay", "pay"),), ("Done.", STOP))
    make_with(store, gateway, model, *shop.tools)
    assert (shop.ran, model.read[1], reply(store).content) == (["pay"], [["paid", REFUSED.text]], "Done.")
    assert states(gateway)[ONE][-1] == "done"


def test_a_cancellation_that_came_before_it_could_wait_ends_the_reply(store, gateway, chat, shop, monkeypatch):
    wait = store.turns.wait

    def late(*arguments):
        store.turns.cancel("alice", "chat", "m2")
        return wait(*arguments)

    monkeypatch.setattr(store.turns, "wait", late)
    make_with(store, gateway, SteppedModel(("I look.", calls("pay"))), *shop.tools)
    assert (shop.ran, reply(store).content, reply(store).finish_reason) == ([], "I look.", "cancelled")
    assert [part.state for part in reply(store).parts] == ["cancelled"]


def test_a_waiting_turn_that_is_cancelled_is_sealed_by_the_next_worker(store, gateway, chat, shop):
    waits(store, gateway, shop, "pay")
    store.turns.cancel("alice", "chat", "m2")
    make_with(store, gateway, SteppedModel(), *shop.tools, turn=resumed(store))
    assert (shop.ran, reply(store).content, reply(store).finish_reason) == ([], "I look.", "cancelled")
    assert [part.state for part in reply(store).parts] == ["cancelled"]


def test_a_worker_that_has_lost_its_turn_does_not_let_it_wait(store, gateway, chat, shop, monkeypatch):
    wait = store.turns.wait

    def late(user_id, chat_id, turn, until):
        store.turns.claim(user_id, chat_id, turn, "w2", NOON)
        return wait(user_id, chat_id, turn, until)

    monkeypatch.setattr(store.turns, "wait", late)
    make_with(store, gateway, SteppedModel((calls("pay"),)), *shop.tools)
    assert (turn_of(store).waiting, turn_of(store).worker, reply(store)) == (False, "w2", None)


def test_calls_that_nobody_answers_in_time_get_a_result_and_the_reply_goes_on(store, gateway, chat, shop):
    waits(store, gateway, shop, "pay", "pay")
    answers(store, (TWO, True))
    chat = store.chats.get("alice", "chat")
    assert lifecycle.take_over(store, chat, chat.turn, LAST_DAY)
    model = SteppedModel(("Done.", STOP))
    make_with(store, gateway, model, *shop.tools, turn=lifecycle.handover_of(chat, chat.turn), now=LAST_DAY)
    assert (shop.ran, model.read) == (["pay"], [[[NOT_ANSWERED.text, "paid"]]])
    assert reply(store).finish_reason == "stop"


@pytest.mark.parametrize("now", [NOON, LAST_DAY])
def test_an_invocation_that_is_late_or_comes_twice_makes_nothing_of_a_turn_that_waits(store, gateway, chat, shop, now):
    waits(store, gateway, shop, "pay")
    before = turn_of(store)
    for attempt in (1, 2, 3):
        make_with(store, gateway, SteppedModel(), *shop.tools, turn=Handover("alice", "chat", "m2", attempt), now=now)
    assert turn_of(store) == before


def test_a_worker_that_died_before_the_turn_could_wait_is_followed_by_one_that_lets_it(store, gateway, chat, shop):
    turn = claim(store, TURN)
    asked = (StepCall(ToolCall("pay", "{}"), needs_approval=True), StepCall(ToolCall("look", "{}")))
    steps.store_step(store, store.chats.get("alice", "chat"), turn, steps.Step(1, 1, asked, "I look."), NOON)
    make_with(store, gateway, SteppedModel(), *shop.tools, now=NOON + timedelta(seconds=20))
    assert (shop.ran, turn_of(store).waiting, turn_of(store).attempt) == (["look"], True, 2)


def test_a_tool_that_needs_approval_only_by_now_is_not_run_without_it(store, gateway, chat, shop):
    turn = claim(store, TURN)
    asked = (StepCall(ToolCall("pay", "{}")),)
    steps.store_step(store, store.chats.get("alice", "chat"), turn, steps.Step(1, 1, asked), NOON)
    model = SteppedModel(("Done.", STOP))
    make_with(store, gateway, model, *shop.tools, now=NOON + timedelta(seconds=20))
    assert (shop.ran, model.read) == ([], [[[NOT_ANSWERED.text]]])


def test_nobody_is_asked_for_a_call_that_cannot_be_made(store, gateway, chat, shop):
    model = SteppedModel((calls(("pay", '{"amount": "much"}'), ("pay", "[")),), ("Sorry.", STOP))
    make_with(store, gateway, model, *shop.tools)
    assert (shop.ran, reply(store).content) == ([], "Sorry.")
    assert all("cannot be used" in result for result in model.read[1][0])


def test_a_turn_that_waits_is_not_given_up_and_nobody_waits_for_it(store, gateway, chat, shop):
    waits(store, gateway, shop, "pay")
    slept = []
    worker = tool_worker(store, gateway, SteppedModel(), *shop.tools, sleep=slept.append)
    worker.give_up(TURN, lambda: 900.0)
    assert (slept, turn_of(store).waiting) == ([], True)


def test_a_device_that_came_just_before_the_turn_waits_is_shown_it_by_the_worker(
    store, gateway, chat, shop, monkeypatch
):
    wait = store.turns.wait

    def late(*arguments):
        join(store, "c3=")
        return wait(*arguments)

    monkeypatch.setattr(store.turns, "wait", late)
    waits(store, gateway, shop, "pay")
    assert [frame["type"] for frame in gateway.to("c3=")] == ["assistant_message_start", "assistant_message_part"]
    assert (gateway.to("c3=")[0]["data"]["content"], states(gateway, "c3=")) == ("I look.", {ONE: ["waiting"]})


@pytest.mark.parametrize("lost", [False, True], ids=["it failed", "its answer is lost"])
def test_a_failure_of_the_write_that_lets_the_turn_wait(store, gateway, chat, shop, monkeypatch, lost):
    wait = store.turns.wait

    def fail(*arguments):
        if lost:
            wait(*arguments)
        raise StoreError("down")

    with monkeypatch.context() as patched:
        patched.setattr(store.turns, "wait", fail)
        make = partial(make_with, store, gateway, SteppedModel((calls("pay"),)), *shop.tools)
        if lost:
            make()
        else:
            with pytest.raises(StoreError):
                make()
    assert turn_of(store).waiting is lost
    assert lifecycle.state_of(turn_of(store), NOON) is (
        lifecycle.TurnState.WAITING if lost else lifecycle.TurnState.ABANDONED
    )


def test_steps_that_expired_while_the_turn_waited_are_the_apology(store, gateway, chat, shop):
    waits(store, gateway, shop, "pay")
    chat = store.chats.get("alice", "chat")
    list(store.steps.delete_until("chat", "m2"))
    assert lifecycle.take_over(store, chat, chat.turn, LAST_DAY)
    turn = lifecycle.handover_of(chat, chat.turn)
    make_with(store, gateway, SteppedModel(), *shop.tools, turn=turn, now=LAST_DAY)
    assert (shop.ran, reply(store).content) == ([], APOLOGY)


def test_a_result_that_is_stored_counts_more_than_an_approval(store, gateway, chat, shop):
    waits(store, gateway, shop, "pay")
    answers(store, (ONE, True))
    steps.store_result(store, store.chats.get("alice", "chat"), turn_of(store), 1, 0, Result(CallState.DONE, "before"))
    model = SteppedModel(("Done.", STOP))
    make_with(store, gateway, model, *shop.tools, turn=resumed(store))
    assert (shop.ran, model.read) == ([], [[["before"]]])
