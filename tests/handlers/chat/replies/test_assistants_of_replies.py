"""Replies of assistants: their instructions, their model, their limits, and their failures."""

import json
import sys
from dataclasses import replace
from io import StringIO
from threading import Event

import pytest

from handlers.chat.assistants import Assistant
from handlers.chat.cost import TOKEN_PRICES, Prices
from handlers.chat.limits.budget import MESSAGE_TOKENS
from handlers.chat.log import logger
from handlers.chat.records import Chat, FinishReason, Usage, User
from handlers.chat.replies import instructions
from handlers.chat.replies.deltas import Delta
from handlers.chat.replies.metrics import MODEL, MetricWriter
from handlers.chat.store import StoreError
from handlers.chat.store.tables import UserItem
from tests.support.assistants import assistants
from tests.support.conversation import ask
from tests.support.reply_worker import APOLOGY, NOON, STOP, ScriptedModel, join, make_reply
from tests.support.runtime import FakeRuntime
from tests.support.waiting import HANGS

QUESTION = "Which tea?"


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr(logger.registered_handler, "stream", stream := StringIO())
    return lambda name: [line for line in map(json.loads, stream.getvalue().splitlines()) if line["message"] == name]


@pytest.fixture
def turn(store):
    """A turn in a chat with the assistant `tea`."""
    store.chats.add(Chat("alice", "chat", "Tea time", assistant="tea"), NOON)
    join(store, "c1=")
    return ask(store, "m1", "m2", QUESTION)


def replied(store, gateway, turn, tea, *script, **more):
    """Have the reply made by an assistant `tea`; None if there is none. Return the model."""
    known = assistants(tea=tea) if tea else assistants()
    make_reply(store, gateway, model := ScriptedModel(*(script or ("Green", STOP))), turn, assistants=known, **more)
    return model


def async_instructions(text):
    async def instructions(user, chat):
        return text

    return instructions


def apologised(store):
    reply, chat = store.messages.get("chat", "m2"), store.chats.get("alice", "chat")
    return (reply.content, reply.finish_reason, chat.turn) == (APOLOGY, FinishReason.ERROR, None)


class TestInstructions:
    def test_the_default_assistant_of_the_seed_has_none(self, store, gateway, chat):
        make_reply(store, gateway, model := ScriptedModel("Хорошо", STOP))
        [question] = model.questions
        assert (question.instructions, question.assistant.id) == ("", "default")
        assert [*question.texts] == ["Как дела?"]

    def test_a_text_is_asked_with_as_it_is(self, store, gateway, turn):
        tea = Assistant(instructions="  Be brief.\n\tAlways.\x00 ", model="small", temperature=0)
        [question] = replied(store, gateway, turn, tea).questions
        assert (question.instructions, question.assistant) == ("Be brief.\n\tAlways.", replace(tea, id="tea"))
        assert [*question.texts] == ["Be brief.\n\tAlways.", QUESTION]

    def test_a_function_makes_them_for_the_user_and_the_chat_as_they_are_stored(self, store, gateway, turn):
        UserItem("alice", name="Alice", roles=["gold"]).save()
        said = []

        def instructions(user, chat):
            said.append((user, chat.chat_id, chat.title, chat.message_count))
            return f"You talk to {user.name}."

        [question] = replied(store, gateway, turn, Assistant(instructions=instructions)).questions
        assert question.instructions == "You talk to Alice."
        assert said == [(User("alice", "Alice", frozenset(["gold"])), "chat", "Tea time", 1)]

    def test_a_function_hears_of_a_user_who_has_no_row_any_more(self, store, gateway, turn):
        UserItem("alice").delete()
        tea = Assistant(instructions=lambda user, chat: repr(user == User("alice")))
        assert replied(store, gateway, turn, tea).questions[0].instructions == "True"

    def test_the_user_is_read_for_a_function_only(self, store, gateway, turn, monkeypatch):
        monkeypatch.setattr(store.users, "get", lambda user_id: pytest.fail("nobody needs the user"))
        assert replied(store, gateway, turn, Assistant(instructions="Be brief.")).asked

    def test_a_function_may_be_a_coroutine_function(self, store, gateway, turn):
        [question] = replied(store, gateway, turn, Assistant(instructions=async_instructions("Be brief."))).questions
        assert question.instructions == "Be brief."

    def test_a_function_that_never_ends_is_the_apology(self, store, gateway, turn, log, monkeypatch):
        """The time of hooks is zero here: nobody waits for this one, which goes on until the test ends."""
        monkeypatch.setattr(instructions, "HOOK_SECONDS", 0.0)
        over = Event()
        try:
            tea = Assistant(instructions=lambda user, chat: str(over.wait(HANGS)))
            assert replied(store, gateway, turn, tea).asked == []
        finally:
            over.set()
        assert apologised(store)
        [event] = log("hook_failed")
        assert event["error"] == "TimeoutError"

    def test_a_function_may_say_nothing(self, store, gateway, turn):
        [question] = replied(store, gateway, turn, Assistant(instructions=lambda user, chat: " \n")).questions
        assert question.instructions == ""

    @pytest.mark.parametrize(
        "function",
        [
            lambda user, chat: int("no text"),
            lambda user, chat: None,
            lambda user, chat: b"Be brief.",
            lambda user, chat: "\ud800",
            lambda user, chat: "x" * 100_001,
            lambda user, chat: sys.exit("no"),
            lambda user: "one parameter too few",
            async_instructions(None),
        ],
        ids=["raises", "None", "bytes", "half a pair", "too long", "exits", "parameters", "a coroutine of None"],
    )
    def test_a_function_that_fails_ends_in_the_apology_and_one_event(self, store, gateway, turn, log, function):
        model = replied(store, gateway, turn, Assistant(instructions=function), tokens_per_day=1_000)
        assert model.asked == []
        assert apologised(store)
        assert gateway.to("c1=")[-1]["data"]["content"] == APOLOGY
        [event] = log("hook_failed")
        assert (event["level"], event["hook"], event["assistant"]) == ("ERROR", "instructions", "tea")
        assert event["error"]
        assert "no text" not in json.dumps(event)
        assert store.users.token_use("alice", "2026-11-23").tokens == 0

    def test_a_store_that_fails_is_tried_again_and_is_no_failure_of_the_function(self, store, gateway, turn, log):
        def fails(user_id):
            raise StoreError("throttled")

        tea, get = Assistant(instructions=lambda user, chat: user.name), store.users.get
        store.users.get = fails
        with pytest.raises(StoreError):
            replied(store, gateway, turn, tea)
        store.users.get = get
        assert replied(store, gateway, turn, tea).questions[0].instructions == "Alice"
        assert log("hook_failed") == []

    def test_a_reply_that_is_cancelled_before_it_began_needs_none(self, store, gateway, turn):
        store.turns.cancel("alice", "chat", "m2")
        tea = Assistant(instructions=lambda user, chat: pytest.fail("nobody asked"))
        assert replied(store, gateway, turn, tea).asked == []
        assert store.messages.get("chat", "m2").finish_reason is FinishReason.CANCELLED


def test_an_assistant_whose_file_went_after_the_message_came_ends_in_the_apology(store, gateway, turn, log):
    assert replied(store, gateway, turn, None).asked == []
    assert apologised(store)
    assert [event["assistant"] for event in log("assistant_missing")] == ["tea"]


class TestLimits:
    @pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
    def test_the_prompt_has_as_many_characters_as_the_assistant_says(self, store, gateway, turn, told):
        # Not told: by a handover of an earlier version.
        replied(store, gateway, turn, Assistant(), "x" * 90, STOP)
        again = replace(ask(store, "m3", "m4", "y" * 90), assistant="tea" if told else None)
        assert replied(store, gateway, again, Assistant(history_chars=95), history_chars=1_000).asked == [
            [("user", "y" * 90)]
        ]

    def test_it_may_be_more_than_the_deployment_says(self, store, gateway, turn):
        replied(store, gateway, turn, Assistant(), "x" * 90, STOP)
        again = ask(store, "m3", "m4", "y" * 90)
        [asked] = replied(store, gateway, again, Assistant(history_chars=1_000), history_chars=95).asked
        assert [len(text) for _, text in asked] == [len(QUESTION), 90, 90]

    def test_what_is_read_ahead_has_that_length_too(self, store, gateway, turn, monkeypatch):
        read, rooms = store.messages.newest_first, []

        def newest_first(*arguments, room, **bounds):
            rooms.append(room)
            return read(*arguments, room=room, **bounds)

        monkeypatch.setattr(store.messages, "newest_first", newest_first)
        replied(store, gateway, turn, Assistant(history_chars=77))
        assert rooms == [77]

    def test_the_instructions_and_the_longest_answer_are_reserved(self, store, gateway, turn):
        reserved = []

        def look():
            reserved.extend(store.users.token_use("alice", "2026-11-23").reservations)

        tea = Assistant(instructions="Кратко.", max_completion_tokens=50)
        replied(store, gateway, turn, tea, look, "Green", STOP, tokens_per_day=10_000, max_completion_tokens=1_000)
        prompt = len("Кратко.".encode()) + len(QUESTION) + 2 * MESSAGE_TOKENS
        assert [each.tokens for each in reserved] == [prompt + 50]
        assert store.users.token_use("alice", "2026-11-23").tokens == prompt + len("Green")


class TestItsOwnModel:
    @pytest.mark.parametrize(
        ("model", "dollars"), [(None, 1.0), ("gpt-4o-mini", TOKEN_PRICES["gpt-4o-mini"][0]), ("unheard-of", None)]
    )
    def test_the_cost_of_a_turn_has_the_price_of_the_model_that_was_asked(self, store, gateway, turn, model, dollars):
        free = dict.fromkeys(["frames", "read_units", "write_units", "invocations", "gb_seconds"], 0.0)
        script = ("Green", STOP, Delta(usage=Usage(1_000_000, 0)))
        prices = Prices(**free, prompt_tokens=1.0, completion_tokens=2.0)
        replied(store, gateway, turn, Assistant(model=model), *script, prices=prices)
        cost = gateway.to("c1=")[-1]["data"]["cost"]
        assert (cost["usd"], "tokens" in cost["covers"]) == (dollars or 0.0, dollars is not None)

    @pytest.mark.parametrize(("model", "named"), [(None, "gpt-4o"), ("small", "small")])
    def test_is_named_by_the_metrics(self, store, gateway, turn, capsys, model, named):
        writer = MetricWriter("Parley/test", "gpt-4o", FakeRuntime(NOON))
        replied(store, gateway, turn, Assistant(model=model), report=writer.write)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if MODEL in line]
        assert lines
        assert {line[MODEL] for line in lines} == {named}
