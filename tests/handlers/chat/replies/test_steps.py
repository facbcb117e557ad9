"""Steps of a reply: calls are made side by side, stored before they are used, and never made again."""

from threading import Barrier, Event

import pytest

from handlers.chat.assistants import ToolContext, tool
from handlers.chat.assistants.assistant import DEFAULT_STEPS
from handlers.chat.errors import ModelFailed
from handlers.chat.records import CallState, FinishReason, PartState, Result, Step, StepCall, ToolCall, Usage
from handlers.chat.replies.handing import MAX_HOPS
from handlers.chat.store import StoreError
from handlers.chat.turns import lifecycle, steps
from handlers.chat.turns.lifecycle import Handover
from tests.support.conversation import ask, claim
from tests.support.reply_worker import APOLOGY, LATER, NOON, STOP, TURN
from tests.support.tool_worker import SteppedModel, calls, make_with, tool_worker
from tests.support.waiting import HANGS


def sun() -> str:
    """Tell of the sun."""
    return "sun"


def rain() -> str:
    """Tell of the rain."""
    return "rain"


def counted(ran, result="once"):
    """A tool that notes the ids of its calls."""

    def count(context: ToolContext) -> str:
        """Count."""
        ran.append(context.call_id)
        return result

    return count


def reply(store):
    return store.messages.get("chat", "m2")


def turn_of(store):
    return store.chats.get("alice", "chat").turn


def shown(parts):
    """The id, the state and the result of each call."""
    return [(part.call_id, part.state, part.result) for part in parts]


def a_stored_step(store, turn, *results, number=1, text="I look."):
    """Store a step with a call for each of these results, some of which are None."""
    asked = tuple(StepCall(ToolCall("count", "{}")) for _ in results)
    chat = store.chats.get("alice", "chat")
    then = steps.store_step(store, chat, turn, Step(number, turn.attempt, asked, text, usage=Usage(1, 2)), NOON)
    for place, result in enumerate(results):
        if result is not None:
            assert steps.store_result(store, chat, turn, number, place, Result(CallState.DONE, result))
    return then


class TestAReply:
    def test_the_results_of_the_calls_go_to_the_model_and_the_texts_are_one_reply(self, store, gateway, chat):
        first = ("I ", "look.", calls("sun", "rain", usage=Usage(10, 1)))
        model = SteppedModel(first, ("Both", ".", calls("sun", usage=Usage(20, 2))), ("Done.", STOP))
        make_with(store, gateway, model, sun, rain)
        assert model.read == [[], [["sun", "rain"]], [["sun", "rain"], ["sun"]]]
        kept = reply(store)
        assert (kept.content, kept.finish_reason) == ("I look.\n\nBoth.\n\nDone.", "stop")
        assert kept.usage == Usage(30, 3)

    def test_an_answer_without_text_adds_no_break(self, store, gateway, chat):
        make_with(store, gateway, SteppedModel((calls("sun"),), (calls("sun"),), ("Sun.", STOP)), sun)
        assert reply(store).content == "Sun."

    def test_calls_of_one_step_run_side_by_side(self, store, gateway, chat):
        met = Barrier(2, timeout=HANGS)

        def meet() -> str:
            """Meet the other call."""
            return str(met.wait() < 2)

        make_with(store, gateway, model := SteppedModel((calls("meet", "meet"),), ("Met.", STOP)), meet)
        assert model.read[1] == [["True", "True"]]

    def test_a_model_that_calls_for_ever_is_asked_a_last_time_and_may_not_call(self, store, gateway, chat):
        ran = []
        last = ("Enough.", calls("count"))
        model = SteppedModel(*[(calls("count"),)] * DEFAULT_STEPS, last)
        make_with(store, gateway, model, counted(ran))
        assert [asked.may_call for asked in model.questions] == [True] * DEFAULT_STEPS + [False]
        assert all(asked.tools for asked in model.questions)
        assert len(set(ran)) == len(ran) == DEFAULT_STEPS
        assert (reply(store).content, reply(store).finish_reason) == ("Enough.", "stop")

    def test_an_answer_of_nothing_after_a_step_with_text_is_an_end(self, store, gateway, chat):
        make_with(store, gateway, SteppedModel(("I look.", calls("sun")), (STOP,)), sun)
        assert (reply(store).content, reply(store).finish_reason) == ("I look.", "stop")

    def test_a_reply_in_which_nobody_said_anything_is_the_apology(self, store, gateway, chat):
        make_with(store, gateway, SteppedModel((calls("sun"),), (STOP,)), sun)
        assert (reply(store).content, reply(store).finish_reason) == (APOLOGY, "error")

    def test_calls_of_an_assistant_without_tools_are_not_made(self, store, gateway, chat):
        make_with(store, gateway, model := SteppedModel(("Hi.", calls("sun"))))
        assert (len(model.questions), reply(store).content) == (1, "Hi.")
        assert store.steps.of_turn("chat", "m2") == ()

    def test_a_model_that_fails_after_a_step_leaves_its_text_before_the_apology(self, store, gateway, chat):
        first = ("I look.", calls("sun", usage=Usage(1, 2)))
        make_with(store, gateway, SteppedModel(first, ("And", ModelFailed("503"))), sun)
        kept = reply(store)
        assert (kept.content, kept.finish_reason) == (f"I look.\n\nAnd\n\n{APOLOGY}", "error")
        assert kept.usage == Usage(1, 2)

    def test_a_tool_that_fails_is_a_result(self, store, gateway, chat):
        def fail() -> str:
            """Fail."""
            raise SystemExit("secret")

        model = SteppedModel((calls("fail", "none", ("sun", "[")),), ("Sorry.", STOP))
        make_with(store, gateway, model, fail, sun)
        [[failed, unknown, wrong]] = model.read[1]
        assert (failed, unknown) == (
            "The tool failed: SystemExit.",
            "There is no tool 'none'. The tools are: fail, sun.",
        )
        assert "cannot be used" in wrong

    def test_a_tool_that_needs_approval_does_not_run_without_it(self, store, gateway, chat):
        ran = []
        pay = tool(counted(ran), needs_approval=True, name="pay")
        make_with(store, gateway, model := SteppedModel((calls("pay", "sun"),), ("No.", STOP)), pay, sun)
        [[refused, other]] = model.read[1]
        assert (ran, other) == ([], "sun")
        assert "approval" in refused

    def test_tools_that_cannot_be_described_are_the_apology(self, store, gateway, chat):
        def broken(of: Event) -> str:
            """Break."""

        make_with(store, gateway, model := SteppedModel(("Hi", STOP)), broken)
        assert (model.questions, reply(store).content) == ([], APOLOGY)

    def test_the_calls_of_a_plain_answer_store_nothing(self, store, gateway, chat):
        make_with(store, gateway, SteppedModel(("Hi.", STOP)), sun)
        assert store.steps.of_turn("chat", "m2") == ()


class TestParts:
    def test_the_stored_reply_has_its_calls_at_their_places(self, store, gateway, chat):
        first = ("Я смотрю.", calls(("sun", '{"city": "Осло"}'), "rain"))
        make_with(store, gateway, SteppedModel(first, ("Done.", STOP)), sun, rain)
        [one, other] = reply(store).parts
        assert (one.name, one.arguments, one.offset, one.index) == ("sun", '{"city": "Осло"}', len("Я смотрю."), 0)
        assert shown([one, other])[1] == ("m2-01-01", PartState.DONE, "rain")

    def test_devices_see_each_call_before_it_runs_and_its_result_before_the_end(self, store, gateway, chat):
        make_with(store, gateway, SteppedModel(("I look.", calls("sun")), ("Done.", STOP)), sun)
        states = [
            frame["data"]["part"]["state"] for frame in gateway.to("c1=") if frame["type"] == "assistant_message_part"
        ]
        assert states[-1] == "done"
        assert gateway.to("c1=")[-1]["type"] == "assistant_message_complete"

    def test_after_a_takeover_the_parts_have_the_places_that_they_had(self, store, gateway, chat):
        """Of one reply that is made at once, and of one whose two steps an earlier worker has stored."""
        script = (("I look.", calls("count", "count")), (calls("count"),), ("Done.", STOP))
        make_with(store, gateway, SteppedModel(*script), counted([]))
        at_once = reply(store)
        turn = ask(store, "m3", "m4", "Again")
        claimed = a_stored_step(store, claim(store, turn), "once", "once")
        a_stored_step(store, claimed, "once", number=2, text="")
        make_with(store, gateway, SteppedModel(script[-1]), counted([]), turn=turn, now=LATER)
        taken_over = store.messages.get("chat", "m4")
        assert taken_over.content == at_once.content == "I look.\n\nDone."
        places = [[(part.index, part.offset, part.result) for part in each.parts] for each in (at_once, taken_over)]
        assert places[0] == places[1] == [(0, 7, "once"), (1, 7, "once"), (2, 7, "once")]

    def test_a_worker_that_takes_over_shows_the_same_parts(self, store, gateway, chat):
        a_stored_step(store, claim(store, TURN), "first", None)
        make_with(store, gateway, SteppedModel(("Done.", STOP)), counted([], "second"), now=LATER)
        assert shown(reply(store).parts) == [
            ("m2-01-00", PartState.DONE, "first"),
            ("m2-01-01", PartState.DONE, "second"),
        ]
        assert {part.offset for part in reply(store).parts} == {len("I look.")}

    def test_a_call_without_a_result_has_the_state_that_its_reply_has_come_to(self, store, gateway, chat):
        a_stored_step(store, claim(store, TURN), "first", None)
        tool_worker(store, gateway, SteppedModel(), counted([]), now=LATER).give_up(TURN, lambda: 60.0)
        assert shown(reply(store).parts) == [("m2-01-00", PartState.DONE, "first"), ("m2-01-01", PartState.ERROR, None)]


class TestBeforeItIsUsed:
    def test_a_step_is_stored_before_its_tools_run_and_a_result_before_the_next_question(self, store, gateway, chat):
        seen = []

        def look() -> str:
            """Look at what is stored."""
            seen.append((turn_of(store).steps, store.steps.of_turn("chat", "m2")[0].text))
            return "looked"

        def asked():
            seen.append([call.result.text for call in store.steps.of_turn("chat", "m2")[0].calls])

        make_with(store, gateway, SteppedModel(("I look.", calls("look", "sun")), (asked, "Done.", STOP)), look, sun)
        assert seen == [(1, "I look."), ["looked", "sun"]]

    def test_a_worker_that_was_overtaken_at_its_step_runs_no_tool(self, store, gateway, chat):
        ran = []

        def overtake():
            claim(store, TURN, now=LATER, worker="other")

        model = SteppedModel(("I", overtake, calls("count")))
        make_with(store, gateway, model, counted(ran))
        assert (ran, reply(store), store.steps.of_turn("chat", "m2")) == ([], None, ())
        assert turn_of(store).worker == "other"

    def test_the_first_result_counts_for_both_workers(self, store, gateway, chat):
        def slept() -> str:
            """Sleep, while another worker takes over and stores its own result."""
            store.steps.finish("chat", "m2", 1, 0, Result(CallState.DONE, "the other's"))
            return "mine"

        make_with(store, gateway, model := SteppedModel((calls("slept"),), ("Done.", STOP)), slept)
        assert model.read[1] == [["the other's"]]

    def test_a_worker_that_stood_still_before_its_tools_looks_at_its_turn_again(self, store, gateway, chat):
        ran, times = [], iter(range(0, 10**6, 20))

        def add(*arguments):
            stored = type(store.steps).add(store.steps, *arguments)
            claim(store, TURN, now=LATER, worker="other")
            return stored

        store.steps.add = add
        worker = tool_worker(
            store, gateway, SteppedModel((calls("count"),)), counted(ran), monotonic=lambda: float(next(times))
        )
        worker.make(TURN, lambda: 900.0)
        assert (ran, reply(store)) == ([], None)

    def test_nothing_of_a_deleted_chat_comes_back(self, store, gateway, chat):
        def delete() -> str:
            """Delete the chat."""
            kept = store.chats.get("alice", "chat")
            store.chats.delete("alice", "chat", kept.created_at)
            list(store.steps.delete_until("chat", "m2"))
            return "gone"

        make_with(store, gateway, SteppedModel((calls("delete"),)), delete)
        assert (reply(store), store.steps.of_turn("chat", "m2")) == (None, ())


class TestStopped:
    def test_a_cancellation_reaches_the_tools_and_ends_the_reply(self, store, gateway, chat):
        def wait(context: ToolContext) -> str:
            """Wait until the user has had enough."""
            store.turns.cancel("alice", "chat", "m2")
            assert context.cancelled.wait(HANGS)
            return "late"

        make_with(store, gateway, SteppedModel(("I look.", calls("wait", "sun"))), wait, sun)
        assert (reply(store).content, reply(store).finish_reason) == ("I look.", "cancelled")

    def test_a_turn_that_was_cancelled_while_nobody_had_it_keeps_the_text_of_its_steps(self, store, gateway, chat):
        a_stored_step(store, claim(store, TURN), "once", None)
        store.turns.cancel("alice", "chat", "m2")
        make_with(store, gateway, model := SteppedModel(), counted([]), now=LATER)
        assert (model.questions, reply(store).content) == ([], "I look.")
        assert [part.state for part in reply(store).parts] == [PartState.DONE, PartState.CANCELLED]
        assert (reply(store).finish_reason, reply(store).usage) == (FinishReason.CANCELLED, Usage(1, 2))

    def test_a_lost_turn_cancels_the_tools_and_stores_no_result_of_them(self, store, gateway, chat):
        def wait(context: ToolContext) -> str:
            """Wait, while another worker takes over."""
            claim(store, TURN, now=LATER, worker="other")
            assert context.cancelled.wait(HANGS)
            raise RuntimeError

        async def sleep(context: ToolContext) -> str:
            """Sleep until it is cancelled."""
            import asyncio

            await asyncio.sleep(HANGS)
            return "never"

        make_with(store, gateway, SteppedModel((calls("sleep", "wait"),)), wait, sleep)
        [step] = store.steps.of_turn("chat", "m2")
        assert (reply(store), step.calls[0].result) == (None, None)


class TestTakenOver:
    def test_what_is_finished_is_not_repeated_and_the_rest_has_the_same_call_ids(self, store, gateway, chat):
        ran = []
        turn = a_stored_step(store, claim(store, TURN), "first", "second")
        a_stored_step(store, turn, "third", None, number=2, text="And there.")
        make_with(store, gateway, model := SteppedModel(("Done.", STOP)), counted(ran, "fourth"), now=LATER)
        assert ran == ["m2-02-01"]
        assert model.read == [[["first", "second"], ["third", "fourth"]]]
        kept = reply(store)
        assert (kept.content, kept.usage, kept.attempt) == ("I look.\n\nAnd there.\n\nDone.", Usage(2, 4), 2)

    def test_the_devices_get_the_kept_text_again(self, store, gateway, chat):
        a_stored_step(store, claim(store, TURN), "once")
        make_with(store, gateway, SteppedModel(("Done.", STOP)), counted([]), now=LATER)
        frames = gateway.to("c1=")
        said = "".join(frame["data"]["token"] for frame in frames if frame["type"] == "assistant_message_token")
        assert said == "I look.\n\nDone."

    def test_the_steps_of_earlier_attempts_count(self, store, gateway, chat):
        turn = claim(store, TURN)
        for number in range(1, DEFAULT_STEPS + 1):
            turn = a_stored_step(store, turn, "once", number=number)
        make_with(store, gateway, model := SteppedModel(("Enough.", calls("count"))), counted([]), now=LATER)
        assert [asked.may_call for asked in model.questions] == [False]

    def test_attempts_without_a_new_step_are_three(self, store, gateway, chat):
        a_stored_step(store, claim(store, TURN), None)
        now = LATER
        for number in range(2, 5):
            claim(store, lifecycle.Handover("alice", "chat", "m2", number), now=now, worker=f"w{number}")
        assert lifecycle.tries(turn_of(store)) == lifecycle.MAX_ATTEMPTS
        turn = lifecycle.Handover("alice", "chat", "m2", 5)
        make_with(store, gateway, model := SteppedModel(), counted([]), turn=turn, now=now)
        assert (model.questions, reply(store).content) == ([], f"I look.\n\n{APOLOGY}")

    def test_an_attempt_that_has_stored_a_step_and_fails_is_no_last_one(self, store, gateway, chat):
        for number in range(1, 3):
            claim(store, lifecycle.Handover("alice", "chat", "m2", number), worker=f"w{number}")

        def fail():
            raise StoreError("down")

        model = SteppedModel(("I look.", calls("count")), (fail,))
        with pytest.raises(StoreError):
            make_with(store, gateway, model, counted([]), turn=lifecycle.Handover("alice", "chat", "m2", 3))
        assert (reply(store), turn_of(store).since) == (None, 3)

    def test_steps_that_have_expired_are_the_apology_and_run_nothing(self, store, gateway, chat):
        ran = []
        a_stored_step(store, claim(store, TURN), None)
        list(store.steps.delete_until("chat", "m2"))
        make_with(store, gateway, model := SteppedModel(), counted(ran), now=LATER)
        assert (ran, model.questions, reply(store).content) == ([], [], APOLOGY)

    def test_a_turn_that_is_given_up_keeps_the_text_of_its_steps(self, store, gateway, chat):
        a_stored_step(store, claim(store, TURN), None)
        tool_worker(store, gateway, SteppedModel(), counted([]), now=LATER).give_up(TURN, lambda: 60.0)
        assert (reply(store).content, reply(store).usage) == (f"I look.\n\n{APOLOGY}", Usage(1, 2))

    def test_a_last_attempt_that_cannot_read_the_steps_stores_no_reply_without_them(
        self, store, gateway, chat, monkeypatch
    ):
        a_stored_step(store, claim(store, TURN), None)
        for number in range(2, 4):
            claim(store, Handover("alice", "chat", "m2", number), now=LATER, worker=f"w{number}")

        def fails(*_):
            raise StoreError("down")

        with monkeypatch.context() as patched:
            patched.setattr(type(store.steps), "of_turn", fails)
            with pytest.raises(StoreError):
                make_with(store, gateway, SteppedModel(), turn=Handover("alice", "chat", "m2", 4), now=LATER)
        assert reply(store) is None
        make_with(store, gateway, SteppedModel(), turn=Handover("alice", "chat", "m2", 5), now=LATER)
        assert reply(store).content == f"I look.\n\n{APOLOGY}"


class TestHandedOn:
    def made(self, store, gateway, remaining, model, hops=None):
        handed = []
        worker = tool_worker(store, gateway, model, sun, hand_on=handed.append, monotonic=lambda: 900.0 - remaining[0])
        worker.make(Handover("alice", "chat", "m2", hops=hops), lambda: remaining[0])
        return handed

    def test_a_worker_whose_time_ends_hands_the_turn_on_between_two_steps(self, store, gateway, chat):
        remaining = [900.0]
        first = ("I look.", lambda: remaining.__setitem__(0, 299.0), calls("sun"))
        [handover] = self.made(store, gateway, remaining, SteppedModel(first))
        assert (reply(store), handover.attempt, handover.hops) == (None, 2, 1)
        make_with(store, gateway, model := SteppedModel(("Done.", STOP)), sun, turn=handover)
        assert model.read == [[["sun"]]]
        assert (reply(store).content, reply(store).attempt) == ("I look.\n\nDone.", 2)

    def test_calls_that_would_begin_too_late_are_left_to_the_next_worker(self, store, gateway, chat):
        remaining, ran = [900.0], []
        first = (lambda: remaining.__setitem__(0, 299.0), calls("count"))
        worker = tool_worker(
            store,
            gateway,
            SteppedModel(first),
            counted(ran),
            hand_on=ran.append,
            monotonic=lambda: 900.0 - remaining[0],
        )
        worker.make(TURN, lambda: remaining[0])
        [handover] = ran
        make_with(store, gateway, SteppedModel(("Done.", STOP)), counted(ran), turn=handover)
        assert ran == [handover, "m2-01-00"]

    def test_after_a_tool_that_took_long_too(self, store, gateway, chat):
        remaining, handed = [900.0], []

        def long() -> str:
            """Take long."""
            remaining[0] = 299.0
            return "long"

        model = SteppedModel((calls("long"),))
        worker = tool_worker(store, gateway, model, long, hand_on=handed.append, monotonic=lambda: 900.0 - remaining[0])
        worker.make(TURN, lambda: remaining[0])
        assert (len(handed), len(model.questions)) == (1, 1)
        assert store.steps.result("chat", "m2", 1, 0).text == "long"

    def test_the_same_handover_again_makes_nothing(self, store, gateway, chat):
        remaining = [900.0]
        first = ("I look.", lambda: remaining.__setitem__(0, 299.0), calls("sun"))
        [handover] = self.made(store, gateway, remaining, SteppedModel(first))
        again = SteppedModel()
        answer = ("Done.", lambda: make_with(store, gateway, again, sun, turn=handover), STOP)
        make_with(store, gateway, SteppedModel(answer), sun, turn=handover)
        assert (again.questions, reply(store).content) == ([], "I look.\n\nDone.")

    @pytest.mark.parametrize(("left", "hops"), [(301.0, None), (299.0, MAX_HOPS)])
    def test_it_goes_on_itself_while_it_has_time_or_nobody_may_follow(self, store, gateway, chat, left, hops):
        first = ("I look.", lambda: remaining.__setitem__(0, left), calls("sun"))
        remaining = [900.0]
        assert self.made(store, gateway, remaining, SteppedModel(first, ("Done.", STOP)), hops) == []
        assert reply(store).content == "I look.\n\nDone."

    def test_an_invocation_that_fails_ends_the_lease_and_the_next_try_goes_on(self, store, gateway, chat):
        remaining = [900.0]

        def fail(handover):
            raise ConnectionError

        first = ("I look.", lambda: remaining.__setitem__(0, 299.0), calls("sun"))
        worker = tool_worker(
            store, gateway, SteppedModel(first), sun, hand_on=fail, monotonic=lambda: 900.0 - remaining[0]
        )
        with pytest.raises(ConnectionError):
            worker.make(TURN, lambda: remaining[0])
        make_with(store, gateway, SteppedModel(("Done.", STOP)), sun)
        assert reply(store).content == "I look.\n\nDone."

    def test_a_handover_without_hops_is_read_by_an_earlier_version(self):
        assert "hops" not in Handover("alice", "chat", "m2").payload()
