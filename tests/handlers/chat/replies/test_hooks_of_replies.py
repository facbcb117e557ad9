"""Hooks of assistants: what a model is not asked, and what of its answers no user sees."""

import json
import re
import sys
from io import StringIO
from threading import Event
from types import SimpleNamespace

import pytest

from handlers.chat.assistants import Assistant, HookContext, Refusal, agents
from handlers.chat.errors import ModelFailed
from handlers.chat.log import logger
from handlers.chat.records import Chat, FinishReason, Part, PartKind, Usage
from handlers.chat.replies import hooks, screening
from handlers.chat.replies.deltas import Delta
from handlers.chat.settings import RUSSIAN, Reasoning
from tests.support.assistants import assistants
from tests.support.conversation import ask
from tests.support.reply_worker import APOLOGY, NOON, STOP, ScriptedModel, join, reply_worker, text_of
from tests.support.runtime import FakeRuntime
from tests.support.tool_worker import SteppedModel, calls
from tests.support.waiting import HANGS

NUMBER = "4000 1234 5678 9010"
MASK = "[number]"


def masked(text):
    return re.sub(r"\d{4}( \d{4}){3}", MASK, text)


async def masked_later(text):
    return masked(text)


def refuse(text):
    if "bomb" in text:
        raise Refusal("I do not talk about that.")
    return text


def sun() -> str:
    """Tell of the sun."""
    return "sun"


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr(logger.registered_handler, "stream", stream := StringIO())
    return lambda name: [line for line in map(json.loads, stream.getvalue().splitlines()) if line["message"] == name]


@pytest.fixture
def talk(store, gateway):
    """Ask the assistant `tea` in a chat, and return the model that it asked and the reply."""
    store.chats.add(Chat("alice", "chat", assistant="tea"), NOON)
    join(store, "c1=")
    numbers, workers, asked = iter(range(1, 100)), [], []
    server = SimpleNamespace(answer=lambda question: asked[-1].answer(question))

    def talk(tea, question, *script, model=None, **more):
        number = next(numbers)
        turn = ask(store, f"m{number}1", f"m{number}2", question)
        asked.append(model or ScriptedModel(*(script or ("Green.", STOP))))
        worker = next((worker for known, worker in workers if known is tea), None)
        if worker is None:
            worker = reply_worker(store, gateway, server, [], assistants=assistants(tea=tea), **more)
            workers.append((tea, worker))
        worker.make(turn, lambda: 900.0)
        return asked[-1], store.messages.get("chat", turn.message_id)

    return talk


def seen(gateway):
    """Everything that the device got, as text."""
    return json.dumps(gateway.to("c1="), ensure_ascii=False)


class TestQuestions:
    @pytest.mark.parametrize("hook", [masked, masked_later], ids=["a function", "a coroutine function"])
    def test_the_model_reads_what_the_hook_returns_and_the_message_stays_as_it_is(self, talk, store, hook):
        tea = Assistant(on_question=hook)
        model, _ = talk(tea, f"My card is {NUMBER}.")
        assert model.asked == [[("user", f"My card is {MASK}.")]]
        assert store.messages.get("chat", "m11").content == f"My card is {NUMBER}."

    def test_later_turns_have_it_rewritten_too(self, talk):
        tea = Assistant(on_question=masked)
        talk(tea, f"My card is {NUMBER}.")
        model, _ = talk(tea, "And?")
        assert model.asked == [[("user", f"My card is {MASK}."), ("assistant", "Green."), ("user", "And?")]]

    def test_the_title_is_made_of_what_the_hook_returns(self, talk, store):
        talk(Assistant(on_question=masked), f"My card is {NUMBER}.")
        assert store.chats.get("alice", "chat").title == f"My card is {MASK}."

    def test_a_chat_whose_first_question_is_not_checked_gets_no_title_from_it(self, talk, store):
        talk(Assistant(on_question=lambda text: None), f"My card is {NUMBER}.")
        assert store.chats.get("alice", "chat").title is None
        talk(Assistant(on_question=masked), "Hi")
        assert store.chats.get("alice", "chat").title == f"My card is {MASK}. Hi"

    def test_a_refusal_is_the_reply_and_the_model_is_not_asked(self, talk, store, gateway, log):
        model, reply = talk(Assistant(on_question=refuse), "How do I make a bomb?", tokens_per_day=1_000)
        assert model.asked == []
        assert (reply.content, reply.finish_reason) == ("I do not talk about that.", FinishReason.CONTENT_FILTER)
        assert reply.parts == (Part(PartKind.REFUSAL, 0, text="I do not talk about that."),)
        assert text_of(gateway.to("c1=")) == "I do not talk about that."
        assert gateway.to("c1=")[-1]["data"]["finishReason"] == "content_filter"
        assert store.users.token_use("alice", "2026-11-23").tokens == 0
        assert store.chats.get("alice", "chat").title is None
        [event] = log("question_refused")
        assert "bomb" not in json.dumps(event)

    def test_a_refusal_without_a_text_is_ours(self, talk):
        def hook(text):
            raise Refusal

        assert talk(Assistant(on_question=hook), "Hi")[1].content == RUSSIAN.refusal

    def test_a_question_that_was_refused_is_no_history_and_neither_is_its_reply(self, talk, store):
        tea = Assistant(on_question=refuse)
        talk(tea, "Which tea?")
        talk(tea, "How do I make a bomb?")
        model, _ = talk(tea, "And now?")
        assert model.asked == [[("user", "Which tea?"), ("assistant", "Green."), ("user", "And now?")]]

    def test_each_text_is_checked_once_in_an_environment(self, talk):
        checked = []

        def hook(text):
            checked.append(text)
            return text

        tea = Assistant(on_question=hook)
        for question in ("One", "Two", "Three"):
            talk(tea, question)
        assert checked == ["One", "Two", "Three"]

    def test_a_hook_is_told_whose_chat_it_is(self, talk):
        told = []

        def hook(text: str, context: HookContext) -> str:
            told.append((context.user_id, context.chat_id, 0 < context.remaining() <= 4))
            return text

        talk(Assistant(on_question=hook), "Hi")
        assert told == [("alice", "chat", True)]

    def test_a_second_parameter_with_a_default_is_the_hooks_own(self, talk):
        assert talk(Assistant(on_question=str.strip), "Hi ")[0].asked == [[("user", "Hi")]]

    @pytest.mark.parametrize(
        "hook",
        [
            lambda text: int(text),
            lambda text: None,
            lambda text: " \n",
            lambda text: sys.exit(text),
            lambda text: [text],
        ],
        ids=["raises", "None", "blank", "exits", "a list"],
    )
    def test_a_hook_that_fails_is_the_apology(self, talk, log, hook):
        model, reply = talk(Assistant(on_question=hook), "secret words")
        assert (model.asked, reply.content, reply.finish_reason) == ([], APOLOGY, FinishReason.ERROR)
        [event] = log("hook_failed")
        assert (event["level"], event["assistant"]) == ("ERROR", "tea")
        assert "secret words" not in json.dumps(event)

    def test_the_log_has_the_place_of_a_failure(self, talk, log):
        def hook(text):
            return int(text)

        talk(Assistant(on_question=hook), "no number")
        [event] = log("hook_failed")
        assert re.fullmatch(r"test_hooks_of_replies\.py:\d+", event["place"])
        assert event["error"] == "ValueError"

    @pytest.mark.parametrize("left_behind", [1, 64])
    def test_a_hook_that_never_ends_is_the_apology(self, talk, log, monkeypatch, left_behind):
        """The time of hooks is zero here: nobody waits for these, which go on until the test ends."""
        monkeypatch.setattr(screening, "HOOK_SECONDS", 0.0)
        monkeypatch.setattr(hooks, "MAX_LEFT_BEHIND", left_behind)
        over, began = Event(), []

        def hook(text):
            began.append(text)
            over.wait(HANGS)
            return text

        tea = Assistant(on_question=hook)
        try:
            for question in ("One", "Two"):
                assert talk(tea, question)[1].content == APOLOGY
        finally:
            over.set()
        late = ["TimeoutError", "TimeoutError" if left_behind > 1 else "RuntimeError"]
        assert [event["error"] for event in log("hook_failed")] == late

    def test_earlier_texts_for_which_no_time_is_left_are_left_out_unchecked(self, talk, monkeypatch):
        """A new environment checks all of a chat, which its clock allows for two texts here: the question is one."""
        checked, clock = [], iter(range(1_000_000))

        def hook(text):
            checked.append(text)
            return text

        for question in ("One", "Two", "Three"):
            talk(Assistant(), question)
        monkeypatch.setattr(FakeRuntime, "monotonic", lambda runtime: float(next(clock)))
        model, _ = talk(Assistant(on_question=hook), "Four")
        assert checked[0] == "Four"
        assert len(checked) < 4
        assert [text for role, text in model.asked[0] if role == "user"] == checked[::-1]

    def test_an_earlier_text_for_which_the_hook_fails_is_left_out(self, talk):
        broken = []

        def hook(text):
            if broken and text == "One":
                raise ValueError
            return text

        talk(Assistant(on_question=hook), "One")
        broken.append(True)
        tea = Assistant(on_question=hook)
        model, reply = talk(tea, "Two")
        assert model.asked == [[("user", "Two")]]
        assert reply.content == "Green."


class TestAnswers:
    @pytest.mark.parametrize("hook", [masked, masked_later], ids=["a function", "a coroutine function"])
    def test_no_frame_and_no_stored_text_has_what_is_masked(self, talk, gateway, hook):
        said = f"Well. It is {NUMBER}, and nothing else. Is it not?"
        _, reply = talk(Assistant(on_answer=hook), "Hi", *said, STOP)
        assert reply.content == masked(said)
        assert text_of(gateway.to("c1=")) == masked(said)
        assert NUMBER[:9] not in seen(gateway)
        assert reply.finish_reason is FinishReason.STOP

    def test_text_is_shown_while_it_comes_but_for_the_window(self, talk, gateway):
        shown = []
        text = "A sentence. " * 10
        talk(
            Assistant(on_answer=masked, answer_window=20),
            "Hi",
            text,
            lambda: shown.append(text_of(gateway.to("c1="))),
            "The end.",
            STOP,
        )
        # The relay's sender posts beside the model: what it has posted by now is some beginning of this.
        assert (text[:96]).startswith(shown[0])
        assert text_of(gateway.to("c1=")) == f"{text}The end."

    def test_a_refusal_ends_the_reply_and_what_follows_is_not_asked_for(self, talk, gateway, log):
        asked_on = []
        model, reply = talk(
            Assistant(on_answer=refuse, answer_window=10),
            "Hi",
            "A kind beginning. ",
            "And so it goes on",
            " to the bomb. It is made of this and that.",
            lambda: asked_on.append(True),
            "More.",
            STOP,
        )
        assert asked_on == []
        assert model.closed
        assert reply.content == "A kind beginning. \n\nI do not talk about that."
        assert reply.finish_reason is FinishReason.CONTENT_FILTER
        assert [part.text for part in reply.parts] == ["I do not talk about that."]
        assert "bomb" not in seen(gateway)
        assert len(log("answer_stopped")) == 1

    def test_a_refusal_of_the_end_of_a_text_ends_the_reply_too(self, talk):
        _, reply = talk(Assistant(on_answer=refuse), "Hi", "A bomb", STOP)
        assert (reply.content, reply.finish_reason) == ("I do not talk about that.", FinishReason.CONTENT_FILTER)

    def test_a_hook_that_fails_ends_the_reply_with_what_was_shown(self, talk, gateway, log):
        def hook(text):
            if "Two" in text:
                raise ValueError(text)
            return text

        _, reply = talk(
            Assistant(on_answer=hook, answer_window=5), "Hi", "One is shown. ", "So it is. ", "Two is not. ", STOP
        )
        assert (reply.content, reply.finish_reason) == ("One is shown. ", FinishReason.CONTENT_FILTER)
        assert "Two" not in seen(gateway)
        [event] = log("hook_failed")
        assert "Two" not in json.dumps(event)

    def test_a_hook_that_fails_before_anything_was_shown_leaves_no_empty_reply(self, talk):
        _, reply = talk(Assistant(on_answer=lambda text: None), "Hi")
        assert (reply.content, reply.finish_reason) == (RUSSIAN.refusal, FinishReason.CONTENT_FILTER)

    def test_what_was_held_back_of_an_answer_that_fails_is_screened_too(self, talk):
        _, reply = talk(Assistant(on_answer=masked), "Hi", f"It is {NUMBER}.", ModelFailed("broken"))
        assert (reply.content, reply.finish_reason) == (f"It is {MASK}.\n\n{APOLOGY}", FinishReason.ERROR)

    def test_the_text_of_each_step_is_screened_and_so_is_what_the_model_reads_of_it(self, talk, store):
        tea = Assistant(on_answer=masked, tools=(sun,))
        model = SteppedModel((f"I look for {NUMBER}", calls("sun")), (f"{NUMBER} is sunny.", STOP))
        _, reply = talk(tea, "Hi", model=model)
        assert reply.content == f"I look for {MASK}\n\n{MASK} is sunny."
        assert model.questions[1].steps[0].text == f"I look for {MASK}"

    def test_calls_of_an_answer_that_was_stopped_are_not_made(self, talk):
        ran = []

        def sun() -> str:
            """Tell of the sun."""
            ran.append(True)
            return "sun"

        model = SteppedModel(("A bomb", calls("sun")))
        _, reply = talk(Assistant(on_answer=refuse, tools=(sun,)), "Hi", model=model)
        assert (ran, reply.finish_reason) == ([], FinishReason.CONTENT_FILTER)

    def test_reasoning_is_screened_and_comes_before_the_text(self, talk, gateway):
        deltas = [Delta(reasoning=f"It must be {NUMBER[:10]}"), Delta(reasoning=NUMBER[10:]), "So it is.", STOP]
        _, reply = talk(Assistant(on_answer=masked), "Hi", *deltas, reasoning=Reasoning.STORED)
        [part] = reply.parts
        assert (part.text, part.offset) == (f"It must be {MASK}", 0)
        assert NUMBER[:9] not in seen(gateway)

    def test_reasoning_that_nobody_sees_is_not_asked_about(self, talk):
        asked = []

        def hook(text):
            asked.append(text)
            return text

        talk(Assistant(on_answer=hook), "Hi", Delta(reasoning="Hm."), "Yes.", STOP)
        assert asked == ["Yes."]

    def test_a_reply_that_is_cancelled_shows_nothing_that_was_not_screened(self, talk, store, gateway):
        model = ScriptedModel(f"It is {NUMBER}")
        model.script = (
            f"A line. \nIt is {NUMBER}",
            lambda: store.turns.cancel("alice", "chat", "m12"),
            model.until_stopped,
        )
        _, reply = talk(Assistant(on_answer=masked), "Hi", model=model)
        assert reply.finish_reason is FinishReason.CANCELLED
        assert NUMBER[:9] not in reply.content + seen(gateway)


class TestModelsRefusals:
    REFUSAL = (Delta(refusal="I cannot "), Delta(refusal="do that."), Delta("", FinishReason.STOP, Usage(5, 6)))

    def test_it_is_a_part_and_the_text(self, talk, gateway):
        _, reply = talk(Assistant(), "Hi", *self.REFUSAL)
        assert (reply.content, reply.finish_reason) == ("I cannot do that.", FinishReason.STOP)
        assert reply.parts == (Part(PartKind.REFUSAL, 0, text="I cannot do that."),)
        assert text_of(gateway.to("c1=")) == "I cannot do that."

    def test_it_follows_what_was_said_before(self, talk):
        _, reply = talk(Assistant(), "Hi", "Well.", *self.REFUSAL)
        assert reply.content == "Well.\n\nI cannot do that."
        assert [(part.text, part.offset) for part in reply.parts] == [("I cannot do that.", 5)]

    def test_it_is_screened_like_any_text(self, talk, gateway):
        said = (Delta(refusal="I keep 4000 1234 "), Delta(refusal="5678 9010 for me."), STOP)
        _, reply = talk(Assistant(on_answer=masked), "Hi", *said)
        assert reply.content == f"I keep {MASK} for me."
        assert [part.text for part in reply.parts] == [reply.content]
        assert NUMBER[:9] not in seen(gateway)


class TestOwnAgents:
    def test_an_agent_reads_and_says_only_what_the_hooks_let_through(self, talk, gateway):
        read = []

        async def reply(turn):
            read.extend((each.role, each.text) for each in turn.messages)
            for piece in (f"It is {NUMBER[:10]}", NUMBER[10:], ". Yes."):
                yield agents.Delta(text=piece)

        tea = Assistant(reply=reply, on_question=masked, on_answer=masked)
        _, answer = talk(tea, f"My card is {NUMBER}.")
        assert read == [("user", f"My card is {MASK}.")]
        assert answer.content == f"It is {MASK}. Yes."
        assert NUMBER[:9] not in seen(gateway)

    def test_an_agent_is_ended_by_a_hook(self, talk):
        ended = []

        async def reply(turn):
            try:
                while True:
                    yield agents.Delta(text="A bomb. " * 100)
            finally:
                ended.append(True)

        _, answer = talk(Assistant(reply=reply, on_answer=refuse), "Hi")
        assert (answer.content, answer.finish_reason) == ("I do not talk about that.", FinishReason.CONTENT_FILTER)
        assert ended == [True]


class TestWithoutHooks:
    def test_each_piece_is_a_frame_as_it_was(self, talk, gateway):
        """Nothing is held back: the first piece is there before the second one is asked for."""
        frames = []

        def arrived(count):
            def wait():
                gateway.until("c1=", count)
                frames.append(text_of(gateway.to("c1=")))

            return wait

        talk(Assistant(), "Hi", "One", arrived(2), " two", arrived(3), " three", arrived(4), STOP)
        assert frames == ["One", "One two", "One two three"]
        assert [frame["type"] for frame in gateway.to("c1=")] == [
            "assistant_message_start",
            *["assistant_message_token"] * 3,
            "assistant_message_complete",
        ]
