"""Steps of a reply within limits: their number, the size of a result, the budget; and what later turns read of them."""

import pytest

from handlers.chat.assistants import Assistant, ToolContext
from handlers.chat.assistants.assistant import DEFAULT_STEPS
from handlers.chat.records import Usage
from tests.support.assistants import assistants
from tests.support.conversation import ask
from tests.support.reply_worker import APOLOGY, NOON, STOP, TURN, reply_worker
from tests.support.tool_worker import SteppedModel, calls, make_with


def sun() -> str:
    """Tell of the sun."""
    return "sun"


def rain() -> str:
    """Tell of the rain."""
    return "rain"


def counted(ran):
    """A tool that notes the ids of its calls."""

    def count(context: ToolContext) -> str:
        """Count."""
        ran.append(context.call_id)
        return "once"

    return count


def reply(store):
    return store.messages.get("chat", "m2")


@pytest.mark.parametrize("most", [1, 20])
def test_an_assistant_may_have_its_own_number_of_steps(store, gateway, chat, most):
    model = SteppedModel(*[(calls("sun"),)] * most, ("Enough.", STOP))
    known = assistants(default=Assistant(tools=(sun,), max_steps=most))
    reply_worker(store, gateway, model, [], assistants=known).make(TURN, lambda: 900.0)
    assert [asked.may_call for asked in model.questions] == [True] * most + [False]
    assert len(reply(store).parts) == most


def test_a_result_has_the_bytes_of_the_setting(store, gateway, chat):
    def long() -> str:
        """Return much."""
        return "x" * 5_000_000

    model = SteppedModel((calls("long"),), ("Done.", STOP))
    make_with(store, gateway, model, long, tool_result_bytes=2_000)
    [[[result]]] = model.read[1:]
    assert len(result.encode()) <= 2_000
    assert "the whole has 5000000 bytes" in result


class TestLaterTurns:
    def test_the_model_reads_the_calls_of_earlier_replies(self, store, gateway, chat):
        make_with(store, gateway, SteppedModel(("I look.", calls("sun", "rain")), ("Sun.", STOP)), sun, rain)
        turn = ask(store, "m3", "m4", "Sure?")
        model = SteppedModel(("Yes.", STOP))
        make_with(store, gateway, model, sun, rain, turn=turn)
        [question, earlier, last] = model.questions[0].prompt
        assert (question.text, earlier.answer, last.text) == ("Как дела?", "Sun.", "Sure?")
        [step] = earlier.steps
        assert (step.text, [each.result for each in step.calls]) == ("I look.", ["sun", "rain"])

    def test_the_chat_knows_how_long_they_are_in_a_prompt(self, store, gateway, chat):
        make_with(store, gateway, SteppedModel(("I look.", calls("sun")), ("Sun.", STOP)), sun)
        sizes = store.chats.get("alice", "chat").sizes
        assert sizes[0].chars == len("I look.\n\nSun.") + len("sun" + "{}" + "sun")


def test_each_question_of_a_reply_has_a_reservation_of_its_own(store, gateway, chat):
    reserved = []
    reserve = store.users.reserve_tokens
    store.users.reserve_tokens = lambda user, reservation, most: (
        reserved.append(reservation.attempt) or reserve(user, reservation, most)
    )
    model = SteppedModel(("I look.", calls("sun", usage=Usage(10, 1))), ("Done.", STOP))
    make_with(store, gateway, model, sun, tokens_per_day=100_000, now=NOON)
    assert reserved == ["m2#1", "m2#1.1"]
    assert store.users.token_use("alice", "2026-11-23").reservations == frozenset()


def test_a_budget_that_ends_between_two_steps_ends_the_reply_with_the_apology(store, gateway, chat):
    model = SteppedModel(("I look.", calls("sun", usage=Usage(10_000, 900))), ("Done.", STOP))
    make_with(store, gateway, model, sun, tokens_per_day=10_000)
    assert (len(model.questions), reply(store).content) == (1, f"I look.\n\n{APOLOGY}")


def test_a_loop_of_calls_is_ended_by_the_budget(store, gateway, chat):
    ran = []
    model = SteppedModel(*[(calls("count", usage=Usage(2_000, 100)),)] * DEFAULT_STEPS, ("Enough.", STOP))
    make_with(store, gateway, model, counted(ran), tokens_per_day=12_000)
    # Five steps have taken 10,500, so that something is left. The sixth takes the rest.
    assert (len(model.questions), len(ran)) == (6, 6)
    kept = reply(store)
    assert (kept.content, kept.finish_reason) == (APOLOGY, "error")
    assert kept.usage == Usage(12_000, 600)
    assert store.users.token_use("alice", "2026-11-23").tokens == 12_600
