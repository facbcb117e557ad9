"""Own agents: the developer's function replies in place of the model."""

import asyncio
import re
import threading
from datetime import timedelta
from functools import partial

import pytest

from handlers.chat.assistants import (
    Assistant,
    Call,
    ChatMessage,
    Delta,
    Refusal,
    Source,
    ToolContext,
    ToolError,
    Turn,
    Usage,
    tool,
)
from handlers.chat.identity import secrets
from handlers.chat.limits.budget import Reservation
from handlers.chat.records import PartKind, PartState
from handlers.chat.replies import agent_answers
from handlers.chat.replies.journal import MAX_OWN_PARTS
from handlers.chat.replies.messages import NO_ANSWER
from handlers.chat.settings import RUSSIAN, Reasoning
from handlers.chat.turns.lifecycle import Handover
from tests.support.agent_worker import grace as grace
from tests.support.agent_worker import released as released
from tests.support.agent_worker import reply_with
from tests.support.conversation import ask, claim
from tests.support.reply_worker import APOLOGY, LATER, NOON, TURN, ScriptedModel, text_of
from tests.support.waiting import HANGS, until


def shown(reply):
    """The kind, the offset and the text of each part."""
    return [(part.kind, part.offset, part.text or part.url or part.result) for part in reply.parts]


class TestAReply:
    def test_it_is_what_the_agent_yields_and_the_model_is_not_asked(self, store, gateway, chat):
        async def reply(turn):
            yield "Hel"
            await asyncio.sleep(0)
            yield Delta("lo.")

        model = ScriptedModel("no")
        kept = reply_with(store, gateway, reply, model=model)
        assert (kept.content, kept.finish_reason, kept.usage) == ("Hello.", "stop", None)
        assert (model.questions, text_of(gateway.to("c1="))) == ([], "Hello.")
        assert gateway.to("c1=")[-1]["type"] == "assistant_message_complete"

    def test_the_agent_knows_its_turn(self, store, gateway, chat):
        seen = []

        async def reply(turn):
            seen.append((turn, turn.cancelled.is_set()))
            yield f"{turn.remaining():.0f}"

        assistant = Assistant(reply=reply, instructions=lambda user, chat: f"For {user.user_id}.")
        assert reply_with(store, gateway, reply, assistant=assistant).content == "885"
        [(turn, was_cancelled)] = seen
        assert (turn.user_id, turn.chat_id, turn.message_id, turn.attempt) == ("alice", "chat", "m2", 1)
        assert (turn.messages, turn.question) == ((ChatMessage("user", "Как дела?"),), "Как дела?")
        assert (turn.instructions, was_cancelled) == ("For alice.", False)

    def test_it_knows_the_calls_of_earlier_replies(self, store, gateway, chat):
        seen = []

        async def reply(turn):
            seen.append(turn.messages)
            yield Delta(call=Call("x", "search", "{}", "done", "found"))
            yield " "  # without any text it would be the apology

        reply_with(store, gateway, reply)
        ask(store, "m3", "m4", "And?")
        reply_with(store, gateway, reply, turn=Handover("alice", "chat", "m4"))
        call = Call("0", "search", "{}", "done", "found")
        assert seen[1] == (
            ChatMessage("user", "Как дела?"),
            ChatMessage("assistant", NO_ANSWER, (call,)),
            ChatMessage("user", "And?"),
        )

    def test_it_gets_secrets_also_those_that_are_only_named(self, store, gateway, chat, monkeypatch):
        monkeypatch.setenv("PLAIN", " a ")
        monkeypatch.setenv("NAMED", "ssm:/b")
        monkeypatch.setattr(secrets, "value_of", lambda setting: f"<{setting}>")

        async def reply(turn):
            yield "".join([await turn.secret(name) for name in ("PLAIN", "NAMED", "MISSING")])

        assert reply_with(store, gateway, reply).content == "<a><ssm:/b><>"

    def test_any_function_that_returns_an_iterator_is_an_agent(self, store, gateway, chat):
        async def pieces(word, turn):
            yield f"{word} {turn.question}"

        assert reply_with(store, gateway, partial(pieces, "You:")).content == "You: Как дела?"

    def test_the_first_piece_goes_out_before_the_last_one_is_there(self, store, gateway, chat):
        async def reply(turn):
            yield "first"
            await asyncio.to_thread(until, lambda: "first" in text_of(gateway.to("c1=")))
            yield " last"

        assert reply_with(store, gateway, reply).content == "first last"

    @pytest.mark.parametrize("reason", ["length", "content_filter"])
    def test_its_reason_for_the_end_counts(self, store, gateway, chat, reason):
        async def reply(turn):
            yield Delta("half", finish_reason=reason)

        assert reply_with(store, gateway, reply).finish_reason == reason

    def test_control_characters_and_half_characters_are_cleaned(self, store, gateway, chat):
        async def reply(turn):
            yield "a\x00b\ud83d"

        assert reply_with(store, gateway, reply).content == "ab\ufffd"

    def test_more_pieces_than_may_wait_all_come(self, store, gateway, chat, monkeypatch):
        monkeypatch.setattr(agent_answers, "MOST_WAITING", 2)

        async def reply(turn):
            for number in range(50):
                yield f"{number} "

        assert reply_with(store, gateway, reply).content == "".join(f"{number} " for number in range(50))


class TestShown:
    def test_a_tool_is_called_as_a_step_and_shown(self, store, gateway, chat):
        seen = []

        @tool(timeout=60)
        async def weather(context: ToolContext, city: str) -> dict:
            """Tell the weather."""
            seen.append((context.call_id, context.user_id, 0 < context.remaining() <= 60))
            return {"sky": f"sun in {city}"}

        async def reply(turn):
            sky = await turn.call(weather, city="Осло")
            yield sky["sky"]
            yield await turn.call(shout, word="!")

        kept = reply_with(store, gateway, reply)
        [(call_id, user_id, has_time)] = seen
        assert (kept.content, user_id, has_time) == ("sun in Осло!!", "alice", True)
        assert re.fullmatch("m2-weather-[0-9a-f]{16}-1", call_id)
        assert [(part.name, part.arguments, part.state, part.result, part.offset) for part in kept.parts] == [
            ("weather", '{"city": "Осло"}', PartState.DONE, '{"sky": "sun in Осло"}', 0),
            ("shout", '{"word": "!"}', PartState.DONE, "!!", 11),
        ]
        assert {step.name.partition("-")[0] for step in store.steps.named("chat", "m2")} == {"weather", "shout"}

    def test_a_call_that_was_made_is_known_by_its_arguments_and_not_by_its_order(self, store, gateway, chat):
        ran = []

        def look(city: str) -> str:
            """Look."""
            ran.append(city)
            return f"sun in {city}, "

        async def reply(turn):
            for city in ("Oslo", "Rome") if turn.attempt == 1 else ("Rome", "Oslo", "Oslo"):
                yield await turn.call(look, city=city)
            if turn.attempt == 1:
                await turn.step("lost", claim, store, TURN, now=LATER, worker="other")

        assert reply_with(store, gateway, reply) is None
        again = Handover("alice", "chat", "m2", 3)
        kept = reply_with(store, gateway, reply, turn=again, now=LATER + timedelta(minutes=1))
        assert (kept.content, ran) == ("sun in Rome, sun in Oslo, sun in Oslo, ", ["Oslo", "Rome", "Oslo"])

    def test_a_tool_that_fails_is_shown_and_the_agents_to_handle(self, store, gateway, chat):
        def fail() -> str:
            """Fail."""
            raise ToolError("no such city")

        async def reply(turn):
            try:
                await turn.call(fail)
            except ToolError as error:
                yield str(error)

        kept = reply_with(store, gateway, reply)
        assert (kept.content, [part.state for part in kept.parts]) == ("no such city", [PartState.ERROR])

    def test_a_tool_out_of_time_is_left_behind(self, store, gateway, chat, released):
        @tool(timeout=0.01)
        def hang() -> str:
            """Hang."""
            return str(released.wait(HANGS))

        async def reply(turn):
            try:
                await turn.call(hang)
            except TimeoutError:
                yield "Too late."

        assert reply_with(store, gateway, reply).content == "Too late."
        assert store.steps.named("chat", "m2") == ()

    def test_a_tool_that_needs_approval_is_refused(self, store, gateway, chat):
        async def reply(turn):
            with pytest.raises(ToolError, match="approval"):
                await turn.call(tool(needs_approval=True)(shout), word="!")
            yield "So."

        assert reply_with(store, gateway, reply).content == "So."

    def test_a_thread_says_something_after_what_was_yielded(self, store, gateway, chat):
        async def reply(turn):
            yield "a"
            await asyncio.to_thread(turn.show, "b")
            turn.show(Delta(source=Source("https://example.com")))
            yield "c"

        kept = reply_with(store, gateway, reply)
        assert (kept.content, shown(kept)) == ("abc", [(PartKind.SOURCE, 2, "https://example.com")])

    async def test_a_turn_of_a_test_shows_nothing_and_calls_tools(self):
        turn = Turn()
        turn.show("nothing")
        assert await turn.call(shout, word="!") == "!!"


class TestParts:
    def test_sources_calls_and_refusals_have_their_places(self, store, gateway, chat):
        async def reply(turn):
            yield "I look"
            yield Delta(call=Call("x", "search", {"word": "Осло"}))
            yield Delta(call=Call("x", "search", {"word": "Осло"}, state="done", result="found"))
            yield ". Here"
            yield Delta(source=Source("https://example.com/a", "A", "says so"))
            yield Delta(refusal="No ")
            yield Delta(refusal="more.")

        kept = reply_with(store, gateway, reply)
        assert kept.content == "I look. Here\n\nNo more."
        [call, source, refusal] = kept.parts
        assert (call.kind, call.call_id, call.name, call.offset) == (PartKind.TOOL_CALL, "m2-own-00", "search", 6)
        assert (call.arguments, call.state, call.result) == ('{"word": "Осло"}', PartState.DONE, "found")
        assert (source.url, source.name, source.text, source.offset) == ("https://example.com/a", "A", "says so", 12)
        assert (refusal.kind, refusal.text) == (PartKind.REFUSAL, "No more.")

    @pytest.mark.parametrize(("setting", "stored"), [(Reasoning.HIDDEN, 0), (Reasoning.STORED, 1)])
    def test_reasoning_is_shown_as_the_operator_says(self, store, gateway, chat, setting, stored):
        async def reply(turn):
            yield Delta(reasoning="hm")
            yield Delta(reasoning="hm")
            yield "So."

        kept = reply_with(store, gateway, reply, reasoning=setting)
        assert (kept.content, shown(kept)) == ("So.", [(PartKind.REASONING, 0, "hmhm")] * stored)

    def test_a_call_that_is_still_open_has_the_state_that_its_reply_has_come_to(self, store, gateway, chat):
        async def reply(turn):
            yield "I look"
            yield Delta(call=Call("x", "search"))
            raise ValueError

        [call] = reply_with(store, gateway, reply).parts
        assert call.state is PartState.ERROR

    def test_a_refusal_alone_is_the_text_too(self, store, gateway, chat):
        async def reply(turn):
            yield Delta(refusal="I must not.")

        kept = reply_with(store, gateway, reply)
        assert (kept.content, kept.finish_reason, [part.text for part in kept.parts]) == (
            "I must not.",
            "stop",
            ["I must not."],
        )

    def test_guard_rails_see_what_the_user_and_the_agent_say(self, store, gateway, chat):
        async def reply(turn):
            yield turn.question
            yield " My number is 123."
            yield Delta(reasoning="secret")

        assistant = Assistant(
            reply=reply,
            on_question=lambda text: text.replace("дела", "жизнь"),
            on_answer=lambda text: text.replace("123", "***").replace("secret", "***"),
        )
        kept = reply_with(store, gateway, reply, assistant=assistant, reasoning=Reasoning.STORED)
        assert (kept.content, [part.text for part in kept.parts]) == ("Как жизнь? My number is ***.", ["***"])

    def test_a_guard_rail_that_refuses_ends_the_agent(self, store, gateway, chat):
        ended = threading.Event()

        def refuse(text):
            raise Refusal("Not that.")

        async def reply(turn):
            try:
                while True:
                    yield "bad " * 100
            finally:
                ended.set()

        assistant = Assistant(reply=reply, on_answer=refuse)
        kept = reply_with(store, gateway, reply, assistant=assistant)
        assert (kept.content, kept.finish_reason, ended.is_set()) == ("Not that.", "content_filter", True)

    @pytest.mark.parametrize(("said", "shown"), [("Not that.", "Not that."), ("", RUSSIAN.refusal)])
    def test_an_agent_may_raise_a_refusal(self, store, gateway, chat, said, shown):
        async def reply(turn):
            yield "Well."
            raise Refusal(said)

        kept = reply_with(store, gateway, reply, tokens_per_day=100_000)
        assert (kept.content, kept.finish_reason) == (f"Well.\n\n{shown}", "content_filter")
        assert [(part.kind, part.text) for part in kept.parts] == [(PartKind.REFUSAL, shown)]

    def test_there_are_not_more_of_them_than_a_reply_may_have(self, store, gateway, chat):
        async def reply(turn):
            for number in range(MAX_OWN_PARTS + 5):
                yield Delta("x", call=Call(f"{number}", "search", state="done"))

        kept = reply_with(store, gateway, reply)
        assert (len(kept.content), len(kept.parts)) == (MAX_OWN_PARTS + 5, MAX_OWN_PARTS)


def shout(word: str) -> str:
    """Shout."""
    return word * 2


async def raises(turn):
    yield "So far"
    raise ValueError("secret")


class TestUsage:
    def test_what_is_reported_is_added_up(self, store, gateway, chat):
        async def reply(turn):
            turn.report(prompt_tokens=10, completion_tokens=1)
            yield Delta("So.", usage=Usage(5, 2))
            await asyncio.to_thread(turn.report, 1, 1)

        assert reply_with(store, gateway, reply).usage == Usage(16, 4)

    def booked(self, store):
        use = store.users.token_use("alice", NOON.date().isoformat())
        return use.tokens, use.reservations

    def test_the_budget_has_a_reservation_while_the_agent_runs_and_the_usage_after_it(self, store, gateway, chat):
        seen = []

        async def reply(turn):
            turn.report(30, 7)
            seen.append(self.booked(store))
            yield "So."

        reply_with(store, gateway, reply, tokens_per_day=100_000)
        [(tokens, [reservation])] = seen
        assert (reservation.attempt, tokens) == ("m2#1", reservation.tokens)
        assert self.booked(store) == (37, frozenset())

    def test_an_agent_that_reports_nothing_takes_nothing(self, store, gateway, chat):
        async def reply(turn):
            yield "So."

        reply_with(store, gateway, reply, tokens_per_day=100_000)
        assert self.booked(store) == (0, frozenset())

    def test_one_that_did_not_come_to_its_end_takes_no_less_than_what_was_said(self, store, gateway, chat):
        reply_with(store, gateway, raises, tokens_per_day=100_000)
        prompt = len("Как дела?".encode()) + 10
        assert self.booked(store) == (prompt + len("So far"), frozenset())

    def test_without_tokens_the_agent_does_not_run(self, store, gateway, chat):
        store.users.reserve_tokens("alice", Reservation.of("earlier", 100, NOON, 900.0), 100)
        kept = reply_with(store, gateway, raises, tokens_per_day=100)
        assert (kept.content, kept.finish_reason) == (APOLOGY, "error")

    @pytest.mark.parametrize("count", [-1, 10**10, True, 1.5, "7", None])
    def test_a_count_that_cannot_be_is_refused(self, count):
        with pytest.raises(ValueError, match="usage has the count"):
            Turn().report(count)

    def test_the_agent_is_measured_as_a_model_is(self, store, gateway, chat):
        records = []

        async def reply(turn):
            turn.report(1_000_000, 0)
            yield "So."

        assistant = Assistant(reply=reply, model="gpt-4o")
        reply_with(store, gateway, reply, assistant=assistant, report=records.append)
        [record] = records
        assert (record.call.model, record.usage, record.finish_reason) == ("gpt-4o", Usage(1_000_000, 0), "stop")
        assert record.call.first_chunk_seconds is not None
        assert "tokens" in record.cost.covers
