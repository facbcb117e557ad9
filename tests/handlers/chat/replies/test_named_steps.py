"""Named steps of an own agent: stored before they are used, and never made again."""

import asyncio
import json
import threading

import pytest

from handlers.chat.assistants import Assistant, Turn, Usage
from handlers.chat.records import NamedStep
from handlers.chat.replies.calls import Calls
from handlers.chat.replies.named_steps import MAX_RESULT_BYTES, MAX_STEPS
from handlers.chat.store import StoreError
from handlers.chat.turns import lifecycle, steps
from handlers.chat.turns.lifecycle import Handover
from tests.support.agent_worker import agent_worker, reply_with
from tests.support.conversation import claim
from tests.support.log_lines import log_lines
from tests.support.reply_worker import APOLOGY, LATER, NOON, TURN
from tests.support.waiting import HANGS, until


def stored(store):
    """The stored results, by name and number."""
    return {(step.name, step.number): json.loads(step.result) for step in store.steps.named("chat", "m2")}


def turn_of(store):
    return store.chats.get("alice", "chat").turn


def store_steps(store, turn, *named, usage=None):
    """Store steps of an earlier attempt: names with their results."""
    chat = store.chats.get("alice", "chat")
    for count, (name, result) in enumerate(named, start=1):
        step = NamedStep(name, 1, turn.attempt, json.dumps(result), usage)
        assert steps.store_named(store, chat, turn, step, count, NOON)


def agent(*named, ran=None):
    """An agent that makes a step of each name, and says what they returned."""

    async def reply(turn):
        for name in named:
            yield await turn.step(name, lambda name=name: (ran.append(name) if ran is not None else 0) or name.upper())

    return reply


class TestAStep:
    def test_its_result_is_stored_before_it_is_used(self, store, gateway, chat):
        seen = []

        async def reply(turn):
            first = await turn.step("look", lambda: "sun")
            seen.append((stored(store), turn_of(store).steps, turn_of(store).since))
            yield first
            yield await turn.step("look", lambda: "!")

        assert reply_with(store, gateway, reply).content == "sun!"
        assert seen == [({("look", 1): "sun"}, 1, 1)]
        assert stored(store) == {("look", 1): "sun", ("look", 2): "!"}

    def test_functions_and_coroutines_get_their_arguments(self, store, gateway, chat):
        async def later(word, times=1):
            await asyncio.sleep(0)
            return word * times

        async def reply(turn):
            yield await turn.step("a", later, "x", times=2)
            yield await turn.step("b", str.upper, "y")
            yield await turn.step("c", lambda: later("z"))

        assert reply_with(store, gateway, reply).content == "xxYz"

    def test_a_function_blocks_nobody(self, store, gateway, chat):
        met = threading.Event()

        async def reply(turn):
            waits = asyncio.create_task(turn.step("waits", met.wait, HANGS))
            await asyncio.sleep(0)
            met.set()
            yield str(await waits)

        assert reply_with(store, gateway, reply).content == "True"

    def test_the_first_worker_gets_what_a_later_one_would_get(self, store, gateway, chat):
        seen = []

        async def reply(turn):
            seen.append(await turn.step("look", lambda: {1: ("a", None, 1.5)}))
            yield "So."

        reply_with(store, gateway, reply)
        assert seen == [{"1": ["a", None, 1.5]}]

    def test_steps_may_be_made_side_by_side(self, store, gateway, chat):
        met = threading.Barrier(3, timeout=HANGS)

        async def reply(turn):
            def meet():
                met.wait()

            await asyncio.gather(*(turn.step(name, meet) for name in ("a", "b", "b")))
            yield "Met."

        assert reply_with(store, gateway, reply).content == "Met."
        assert (set(stored(store)), len(store.steps.named("chat", "m2"))) == ({("a", 1), ("b", 1), ("b", 2)}, 3)

    def test_what_a_function_raises_is_the_agents_to_handle_and_is_not_stored(self, store, gateway, chat):
        async def reply(turn):
            try:
                await turn.step("look", lambda: 1 // 0)
            except ZeroDivisionError:
                yield await turn.step("look", lambda: "again")

        assert reply_with(store, gateway, reply).content == "again"
        assert stored(store) == {("look", 2): "again"}

    def test_a_half_character_is_kept(self, store, gateway, chat):
        async def reply(turn):
            yield str(await turn.step("look", lambda: "\ud83d") == "\ud83d")

        assert reply_with(store, gateway, reply).content == "True"

    @pytest.mark.parametrize(
        ("name", "result", "problem"),
        [
            ("look", object, "step look: its result, of the type type, is no JSON"),
            ("look", float("nan"), "step look: its result, of the type float, is no JSON"),
            ("look", "x" * MAX_RESULT_BYTES, f"step look: its result has {MAX_RESULT_BYTES + 2} bytes of JSON"),
            ("a/b", "x", "'a/b' cannot be the name of a step"),
            ("", "x", "'' cannot be the name of a step"),
        ],
        ids=["type", "nan", "large", "slash", "empty"],
    )
    def test_what_cannot_be_stored_ends_the_agent_and_the_log_says_why(
        self, store, gateway, chat, name, result, problem
    ):
        async def reply(turn):
            yield str(await turn.step(name, lambda: result))

        with log_lines() as lines:
            assert reply_with(store, gateway, reply).content == APOLOGY
        [failed] = [line for line in lines if line["message"] == "agent_failed"]
        assert failed["problem"].startswith(problem)
        assert failed["place"].startswith("test_named_steps.py:")
        assert stored(store) == {}

    def test_a_loop_of_steps_has_an_end(self, store, gateway, chat):
        ran = []
        kept = reply_with(store, gateway, agent(*["look"] * (MAX_STEPS + 2), ran=ran))
        assert (kept.content, len(ran)) == (f"{'LOOK' * MAX_STEPS}\n\n{APOLOGY}", MAX_STEPS)

    def test_an_agent_that_makes_no_step_stores_and_reads_none(self, store, gateway, chat, monkeypatch):
        monkeypatch.setattr(store, "steps", None)

        async def reply(turn):
            yield "Hi."

        assert reply_with(store, gateway, reply).content == "Hi."

    async def test_a_turn_of_a_test_keeps_nothing(self):
        async def later():
            return 2

        turn = Turn()
        turn.report(1, 1)
        assert (await turn.step("a", lambda: 1), await turn.step("a", later)) == (1, 2)


class TestTakenOver:
    def test_what_is_finished_is_not_repeated_in_any_order(self, store, gateway, chat):
        store_steps(store, claim(store, TURN), ("b", "first b"), ("a", "first a"))
        ran = []
        kept = reply_with(store, gateway, agent("a", "b", "a", ran=ran), now=LATER)
        assert (kept.content, kept.attempt, ran) == ("first afirst bA", 2, ["a"])
        assert turn_of(store) is None

    def test_the_usage_inside_a_step_counts_in_the_reply_and_is_booked_once(self, store, gateway, chat):
        async def look(turn):
            turn.report(1, 1)
            return "sun"

        async def reply(turn):
            first = asyncio.create_task(turn.step("look", look, turn))
            turn.report(2, 2)
            yield f"{await first} {await turn.step('other', str)}"

        def fail(*_):
            raise StoreError("down")

        keep, kept = store.steps.keep, []

        def keep_one(*arguments):
            kept.append(arguments[2].usage)
            return keep(*arguments) if len(kept) == 1 else fail()

        store.steps.keep = keep_one
        with pytest.raises(StoreError):
            reply_with(store, gateway, reply, tokens_per_day=100_000)
        assert kept == [Usage(1, 1), None]
        store.steps.keep = keep
        booked = store.users.token_use("alice", NOON.date().isoformat()).tokens
        assert reply_with(store, gateway, reply, now=LATER, tokens_per_day=100_000).usage == Usage(3, 3)
        assert store.users.token_use("alice", NOON.date().isoformat()).tokens == booked + 4

    def test_steps_that_have_expired_are_the_apology_and_run_nothing(self, store, gateway, chat):
        store_steps(store, claim(store, TURN), ("a", 1))
        list(store.steps.delete_until("chat", "m2"))
        ran = []
        assert (reply_with(store, gateway, agent("a", ran=ran), now=LATER).content, ran) == (APOLOGY, [])

    def test_attempts_without_a_new_step_are_three(self, store, gateway, chat):
        store_steps(store, claim(store, TURN), ("a", "a"))
        for number in range(2, 5):
            claim(store, Handover("alice", "chat", "m2", number), now=LATER, worker=f"w{number}")
        assert lifecycle.tries(turn_of(store)) == lifecycle.MAX_ATTEMPTS
        kept = reply_with(store, gateway, agent("a"), turn=Handover("alice", "chat", "m2", 5), now=LATER)
        assert (kept.content, kept.finish_reason) == (APOLOGY, "error")

    def test_an_attempt_that_has_stored_a_step_and_fails_is_no_last_one(self, store, gateway, chat):
        for number in range(1, 3):
            claim(store, Handover("alice", "chat", "m2", number), worker=f"w{number}")
        keep = store.steps.keep

        def keep_one(*arguments):
            if turn_of(store).steps:
                raise StoreError("down")
            return keep(*arguments)

        store.steps.keep = keep_one
        with pytest.raises(StoreError):
            reply_with(store, gateway, agent("a", "b"), turn=Handover("alice", "chat", "m2", 3))
        assert (turn_of(store).since, turn_of(store).lease_until) == (3, NOON)


class TestStopped:
    def test_a_function_that_goes_on_is_counted_until_it_ends(self, store, gateway, chat, monkeypatch):
        counted, free, begun = [], threading.Event(), threading.Event()
        count = Calls.count
        monkeypatch.setattr(Calls, "count", lambda self, more: counted.append(more) or count(self, more))

        def hang():
            begun.set()
            assert free.wait(HANGS)

        async def reply(turn):
            yield "So far"
            step = asyncio.create_task(turn.step("hang", hang))
            await asyncio.to_thread(begun.wait, HANGS)
            store.turns.cancel("alice", "chat", "m2")
            await step

        assert reply_with(store, gateway, reply).finish_reason == "cancelled"
        assert counted == [1]
        free.set()
        until(lambda: counted == [1, -1])
        assert stored(store) == {}

    def test_an_agent_that_was_stopped_begins_no_step(self, store, gateway, chat):
        ran = []

        async def reply(turn):
            yield "So far"
            store.turns.cancel("alice", "chat", "m2")
            try:
                await asyncio.sleep(HANGS)
            finally:
                await turn.step("late", ran.append, 1)

        assert reply_with(store, gateway, reply).finish_reason == "cancelled"
        assert ran == []


class TestAWorkerThatLostItsTurn:
    def overtaken(self, store):
        claim(store, TURN, now=LATER, worker="other")
        return "mine"

    @pytest.mark.parametrize("stubborn", [False, True])
    def test_it_stores_no_step_and_uses_none(self, store, gateway, chat, stubborn):
        used = []

        async def reply(turn):
            yield "So far"
            while True:
                try:
                    used.append(await turn.step("look", self.overtaken, store))
                except asyncio.CancelledError:
                    if not stubborn or len(used) > 5:
                        raise
                    used.append("cancelled")

        assert reply_with(store, gateway, reply) is None
        assert (stored(store), turn_of(store).worker, turn_of(store).steps) == ({}, "other", 0)
        assert "mine" not in used

    def test_one_that_stood_still_looks_at_its_turn_before_it_begins(self, store, gateway, chat):
        ran, times = [], iter(range(0, 10**6, 20))

        async def reply(turn):
            self.overtaken(store)
            yield await turn.step("look", ran.append, 1)

        clock = lambda: float(next(times))  # noqa: E731
        assert reply_with(store, gateway, reply, monotonic=clock) is None
        assert ran == []

    def test_a_chat_that_was_deleted_gets_nothing_back(self, store, gateway, chat):
        def delete():
            store.chats.delete("alice", "chat", store.chats.get("alice", "chat").created_at)

        async def reply(turn):
            yield str(await turn.step("look", delete))

        assert reply_with(store, gateway, reply) is None
        assert stored(store) == {}


class TestHandedOn:
    def test_a_worker_whose_time_ends_hands_the_turn_on_before_a_step(self, store, gateway, chat):
        remaining, handed, ran = [900.0], [], []

        async def reply(turn):
            yield await turn.step("a", lambda: ran.append("a") or "a")
            if turn.attempt == 1:
                remaining[0] = 299.0
            yield await turn.step("b", lambda: ran.append("b") or "b")

        worker = agent_worker(store, gateway, reply, hand_on=handed.append, monotonic=lambda: 900.0 - remaining[0])
        worker.make(TURN, lambda: remaining[0])
        [handover] = handed
        assert (store.messages.get("chat", "m2"), handover.attempt, handover.hops, ran) == (None, 2, 1, ["a"])
        assert (reply_with(store, gateway, reply, turn=handover).content, ran) == ("ab", ["a", "b"])


def test_an_agent_that_became_a_plain_assistant_is_the_apology(store, gateway, chat):
    """A deployment may come between two attempts. What the turn has stored is of no use then."""
    store_steps(store, claim(store, TURN), ("a", 1))
    assert reply_with(store, gateway, None, assistant=Assistant(), now=LATER).content == APOLOGY
