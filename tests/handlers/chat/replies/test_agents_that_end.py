"""Own agents that fail, or that are stopped: their turn ends as every other one."""

import asyncio
import sys
import threading

import pytest

from handlers.chat.assistants import Delta, Source, Usage
from handlers.chat.concurrency import Runtime
from handlers.chat.errors import Misconfigured
from handlers.chat.identity import secrets
from handlers.chat.replies.attempt import MAX_REPLY_BYTES
from handlers.chat.replies.calls import MAX_LEFT_BEHIND, Calls
from tests.support.agent_worker import agent_worker, reply_with
from tests.support.agent_worker import grace as grace
from tests.support.agent_worker import released as released
from tests.support.conversation import claim
from tests.support.log_lines import log_lines
from tests.support.reply_worker import APOLOGY, LATER, TURN
from tests.support.waiting import HANGS, until


def only(lines, event):
    """The one line of an event."""
    [line] = [line for line in lines if line["message"] == event]
    return line


async def yields_a_number(turn):
    yield "So far"
    yield 5


async def raises(turn):
    yield "So far"
    raise ValueError("secret")


async def exits(turn):
    yield "So far"
    sys.exit("secret")


async def exits_in_a_task(turn):
    async def leave():
        raise SystemExit("secret")

    yield "So far"
    await asyncio.ensure_future(leave())


async def recurses(turn):
    yield "So far"

    def deeper():
        return deeper()

    deeper()


async def cancels_itself(turn):
    yield "So far"
    raise asyncio.CancelledError


class TestFailures:
    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (yields_a_number, "WrongReply"),
            (raises, "ValueError"),
            (exits, "SystemExit"),
            (exits_in_a_task, "SystemExit"),
            (recurses, "RecursionError"),
            (cancels_itself, "CancelledError"),
        ],
    )
    def test_a_failing_agent_is_the_apology_after_its_text(self, store, gateway, chat, reply, error):
        with log_lines() as lines:
            kept = reply_with(store, gateway, reply)
        assert (kept.content, kept.finish_reason) == (f"So far\n\n{APOLOGY}", "error")
        failed = only(lines, "agent_failed")
        assert (failed["error"], failed["level"]) == (error, "WARNING")
        assert failed["place"].startswith("test_agents_that_end.py:")
        assert "secret" not in str(lines)

    def test_a_wrong_value_is_named(self, store, gateway, chat):
        with log_lines() as lines:
            reply_with(store, gateway, yields_a_number)
        assert only(lines, "agent_failed")["problem"] == "reply yields a value of the type int; yield a Delta or a text"

    def test_a_secret_that_cannot_be_read_is_named(self, store, gateway, chat, monkeypatch):
        def unreadable(setting):
            raise Misconfigured("The secret ssm:/b cannot be read")

        monkeypatch.setattr(secrets, "value_of", unreadable)

        async def reply(turn):
            yield await turn.secret("NAMED")

        with log_lines() as lines:
            assert reply_with(store, gateway, reply).content == APOLOGY
        assert only(lines, "agent_failed")["problem"] == "The secret ssm:/b cannot be read"

    def test_an_agent_that_says_nothing_is_the_apology(self, store, gateway, chat):
        async def reply(turn):
            yield Delta(source=Source("https://example.com"))
            yield ""

        assert reply_with(store, gateway, reply).content == APOLOGY

    def test_a_function_that_yields_nothing_that_can_be_iterated_is_the_apology(self, store, gateway, chat):
        with log_lines() as lines:
            assert reply_with(store, gateway, lambda turn: "text").content == APOLOGY
        assert only(lines, "agent_failed")["problem"] == "reply returns a value of the type str; let it yield"

    def test_no_thread_is_the_apology(self, store, gateway, chat, monkeypatch):
        start = Runtime.start

        def no_thread(self, work, name):
            if name.startswith("agent"):
                raise RuntimeError("can't start new thread")
            return start(self, work, name)

        monkeypatch.setattr(Runtime, "start", no_thread)
        assert reply_with(store, gateway, raises).content == APOLOGY

    def test_with_too_many_threads_left_behind_none_is_started(self, store, gateway, chat, monkeypatch):
        monkeypatch.setattr(Calls, "left_behind", MAX_LEFT_BEHIND, raising=False)
        monkeypatch.setattr(Calls, "__init__", lambda self, runtime, result_bytes: None)
        assert reply_with(store, gateway, raises).content == APOLOGY

    def test_a_reply_that_is_too_long_is_cut_and_its_agent_ended(self, store, gateway, chat):
        ended = threading.Event()

        async def reply(turn):
            try:
                while True:
                    yield "x" * 10_000
            finally:
                ended.set()

        kept = reply_with(store, gateway, reply)
        assert (len(kept.content), kept.finish_reason, ended.is_set()) == (MAX_REPLY_BYTES, "length", True)


class TestStopped:
    def test_a_cancellation_reaches_the_agent_and_keeps_its_text(self, store, gateway, chat):
        ended = []

        async def reply(turn):
            yield "So far"
            store.turns.cancel("alice", "chat", "m2")
            try:
                await asyncio.sleep(HANGS)
            finally:
                ended.append(turn.cancelled.is_set())
                turn.report(10, 1)

        kept = reply_with(store, gateway, reply)
        assert (kept.content, kept.finish_reason, kept.usage) == ("So far", "cancelled", Usage(10, 1))
        assert ended == [True]

    def test_an_agent_that_never_waits_is_ended_where_it_yields(self, store, gateway, chat):
        ended = threading.Event()

        async def reply(turn):
            try:
                yield "So far"
                store.turns.cancel("alice", "chat", "m2")
                assert turn.cancelled.wait(HANGS)
                while True:
                    yield "more"
            finally:
                ended.set()

        kept = reply_with(store, gateway, reply)
        assert (kept.content, kept.finish_reason) == ("So far", "cancelled")
        assert ended.wait(HANGS)

    def test_one_that_ignores_it_is_left_behind(self, store, gateway, chat, grace, released):
        grace(0.0)

        async def reply(turn):
            yield "So far"
            store.turns.cancel("alice", "chat", "m2")
            released.wait(HANGS)
            yield "late"

        with log_lines() as lines:
            assert reply_with(store, gateway, reply).content == "So far"
            assert only(lines, "agent_left_behind")["left_behind"] == 1
            released.set()
            until(lambda: any(line["message"] == "agent_ended_late" for line in list(lines)))

    def test_one_that_yields_at_its_cancellation_ends_all_the_same(self, store, gateway, chat):
        async def reply(turn):
            yield "So far"
            store.turns.cancel("alice", "chat", "m2")
            while True:
                try:
                    await asyncio.sleep(HANGS)
                except asyncio.CancelledError:
                    yield "never"

        kept = reply_with(store, gateway, reply)
        assert (kept.content, kept.finish_reason) == ("So far", "cancelled")

    @pytest.mark.parametrize(("text", "stored"), [("So far", ("So far", "length")), ("", (APOLOGY, "error"))])
    def test_at_the_end_of_the_functions_time_the_text_so_far_is_the_reply(self, store, gateway, chat, text, stored):
        remaining = [900.0]

        async def reply(turn):
            yield text
            remaining[0] = 10.0
            await asyncio.sleep(HANGS)

        agent_worker(store, gateway, reply).make(TURN, lambda: remaining[0])
        kept = store.messages.get("chat", "m2")
        assert (kept.content, kept.finish_reason) == stored

    def test_a_lost_turn_ends_the_agent_and_stores_nothing(self, store, gateway, chat):
        ended = threading.Event()

        async def reply(turn):
            yield "So far"
            claim(store, TURN, now=LATER, worker="other")
            try:
                await asyncio.sleep(HANGS)
            finally:
                ended.set()

        assert reply_with(store, gateway, reply) is None
        assert ended.is_set()

    def test_a_turn_that_was_cancelled_before_starts_no_agent(self, store, gateway, chat):
        store.turns.cancel("alice", "chat", "m2")
        assert reply_with(store, gateway, raises).finish_reason == "cancelled"

    def test_a_turn_that_is_given_up_is_the_apology(self, store, gateway, chat):
        agent_worker(store, gateway, raises, now=LATER).give_up(TURN, lambda: 60.0)
        assert store.messages.get("chat", "m2").content == APOLOGY
