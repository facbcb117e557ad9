"""Calls of tools that do what tools should, and what they should not."""

import asyncio
import itertools
import logging
import sys
import threading
import uuid
from datetime import date
from decimal import Decimal

import pytest

from handlers.chat.assistants import ToolContext, ToolError, tool
from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.records import CallState, Result, ToolCall
from handlers.chat.replies import calls as running_calls
from handlers.chat.replies.calls import MAX_LEFT_BEHIND, Call, Caller, Calls
from handlers.chat.replies.toolbox import Toolbox
from tests.support.log_lines import log_lines
from tests.support.runtime import FakeRuntime
from tests.support.tool_values import BadText, Odd, Place, Size
from tests.support.waiting import HANGS, until

CALLER = Caller("alice", "chat", lambda: HANGS)


def started(functions, *asked, runner=None, caller=CALLER):
    """Start calls of these functions, each as a name and its arguments."""
    box = Toolbox(map(tool, functions))
    calls = [Call(f"m2-0-{number}", ToolCall(name, arguments)) for number, (name, arguments) in enumerate(asked)]
    return (runner or Calls(Runtime())).run(calls, box, caller)


def results(functions, *asked, **more):
    """Run calls, and return their results in the order of the calls."""
    ended = {call.id: result for call, result in started(functions, *asked, **more)}
    return [ended[f"m2-0-{number}"] for number in range(len(asked))]


def result(function, arguments="{}", **more):
    """Run one call of this function, and return its result."""
    [only] = results([function], (tool(function).name, arguments), **more)
    return only


def no_thread(work, name):
    raise RuntimeError("can't start new thread")


def weather(city: str, days: int = 1) -> str:
    return f"{city}: sun for {days} days"


def test_a_call_has_the_result_of_its_function():
    assert result(weather, '{"city": "Осло", "days": 2}') == Result(CallState.DONE, "Осло: sun for 2 days")


def test_a_coroutine_is_awaited():
    async def later(city: str) -> str:
        await asyncio.sleep(0)
        return f"{city}: rain"

    def sooner(city: str):
        return later(city)

    asked = [("later", '{"city": "Oslo"}'), ("sooner", '{"city": "Rome"}')]
    assert [each.text for each in results([later, sooner], *asked)] == ["Oslo: rain", "Rome: rain"]


def test_calls_of_one_step_run_side_by_side():
    together = threading.Barrier(3)

    def wait(number: int) -> str:
        together.wait(HANGS)
        return str(number)

    async def wait_later(number: int) -> str:
        together.wait(HANGS)
        return str(number)

    asked = [("wait", '{"number": 0}'), ("wait_later", '{"number": 1}'), ("wait", '{"number": 2}')]
    assert [each.text for each in results([wait, wait_later], *asked)] == ["0", "1", "2"]


def test_a_result_comes_as_soon_as_it_is_there():
    first_is_seen = threading.Event()

    def slow() -> str:
        assert first_is_seen.wait(HANGS)
        return "slow"

    def quick() -> str:
        return "quick"

    running = iter(started([slow, quick], ("slow", "{}"), ("quick", "{}")))
    call, first = next(running)
    first_is_seen.set()
    assert (call.id, first.text) == ("m2-0-1", "quick")
    assert [each.text for _, each in running] == ["slow"]


def test_no_calls_are_over_at_once():
    assert results([weather]) == []


class TestContext:
    def test_it_says_for_whom_and_which_call_it_is(self):
        def look(context: ToolContext, word: str) -> list[str]:
            return [context.user_id, context.chat_id, context.call_id, word]

        assert result(look, '{"word": "x"}').text == '["alice","chat","m2-0-0","x"]'

    @pytest.mark.parametrize(("timeout", "of_the_function", "least"), [(60, 900, 60.0), (60, 20, 20.0)])
    def test_the_time_that_remains_is_the_tools_and_never_more_than_the_functions(
        self, timeout, of_the_function, least
    ):
        @tool(timeout=timeout)
        def look(context: ToolContext) -> float:
            return context.remaining()

        stopped_clock = FakeRuntime(monotonic=lambda: 5.0)
        caller = Caller("alice", "chat", lambda: of_the_function)
        assert result(look, runner=Calls(stopped_clock), caller=caller).text == str(least)

    def test_no_time_is_a_time_out(self, released):
        def hang() -> None:
            released.wait(HANGS)

        assert result(hang, caller=Caller("alice", "chat", lambda: -1.0)).text == "The tool did not end in time."

    def test_a_line_of_the_log_says_of_which_call_it_is(self):
        async def speak(context: ToolContext) -> None:
            context.log.info("order_found", order=5)

        with log_lines() as lines:
            result(speak)
        [line] = [line for line in lines if line["message"] == "order_found"]
        assert (line["tool"], line["call_id"], line["order"]) == ("speak", "m2-0-0", 5)
        with log_lines() as lines:
            running_calls.logger.info("something_else")
        [line] = [line for line in lines if line["message"] == "something_else"]
        assert "tool" not in line


class TestReturned:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("", '""'),
            ("\x00", '""'),
            ("a\x1b[31m\x00b", "a[31mb"),
            ("half \ud83d", "half \ufffd"),
            (None, "done"),
            (True, "true"),
            (1.5, "1.5"),
            (float("nan"), "null"),
            ({"город": ["Осло", None]}, '{"город":["Осло",null]}'),
            ((1, {2}), "[1,[2]]"),
            (date(2026, 11, 26), '"2026-11-26"'),
            (Decimal("1.10"), '"1.10"'),
            (uuid.UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
            ([Place(name="x"), Size(2)], '[{"name":"x","near":[]},{"width":2}]'),
            (b"bytes", '"bytes"'),
            ({1: "a", None: "b"}, '{"1":"a","None":"b"}'),
        ],
        ids=repr,
    )
    def test_a_value_is_json_and_a_text_is_itself(self, value, text):
        def give():
            return value

        assert result(give) == Result(CallState.DONE, text)

    @pytest.mark.parametrize(
        ("value", "name"),
        [
            (object(), "object"),
            (threading.Lock(), "lock"),
            (b"\xff", "bytes"),
            ({"x": object()}, "dict"),
            (itertools.count(), "count"),  # has no end
            ((each for each in "ab"), "generator"),
            (sys, "module"),
            (["\ud800"], "list"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_what_is_no_json_is_an_error(self, value, name):
        def give():
            return value

        expected = f"The tool failed: it returned a value of the type {name}, which is no JSON."
        assert result(give) == Result(CallState.ERROR, expected)

    def test_what_contains_itself_is_an_error(self):
        endless: list[object] = []
        endless.append(endless)

        def give():
            return endless

        assert result(give).state is CallState.ERROR

    @pytest.mark.parametrize("value", ["я" * 2_500_000, ["x" * 5_000_000], "x" * 101, "x\x00" * 100_000])
    def test_a_long_one_is_cut_with_a_mark(self, value):
        def give():
            return value

        cut = result(give, runner=Calls(Runtime(), result_bytes=100))
        assert cut.state is CallState.DONE
        assert len(cut.text.encode()) <= 100
        size = len(value.encode() if isinstance(value, str) else value[0]) + (4 if isinstance(value, list) else 0)
        assert cut.text.endswith(f" […] (cut: the whole has {size} bytes, 100 are the most)")

    def test_one_that_fits_is_whole(self):
        def give():
            return "я" * 50

        assert result(give, runner=Calls(Runtime(), result_bytes=100)).text == "я" * 50


class TestRaised:
    @pytest.mark.parametrize(
        ("failure", "text"),
        [
            (ToolError("There is no order 5."), "There is no order 5."),
            (ToolError(), "The tool refused the call."),
            (ToolError("x" * 99_999), "x" * 43 + " […] (cut: the whole has 99999 bytes, 100 are the most)"),
            (Refused(ErrorCode.FORBIDDEN, "The order is another user's."), "The order is another user's."),
            (ValueError("secret"), "The tool failed: ValueError."),
            (KeyboardInterrupt("secret"), "The tool failed: KeyboardInterrupt."),
            (SystemExit("secret"), "The tool failed: SystemExit."),
            (GeneratorExit(), "The tool failed: GeneratorExit."),
            (asyncio.CancelledError(), "The tool failed: CancelledError."),
            (StopIteration(), "The tool failed: StopIteration."),
            (MemoryError(), "The tool failed: MemoryError."),
            (Odd("secret"), "The tool failed: Odd."),
            (BadText(), "The tool failed: BadText."),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_an_exception_is_a_result(self, failure, text):
        def fail() -> None:
            raise failure

        assert result(fail, runner=Calls(Runtime(), result_bytes=100)) == Result(CallState.ERROR, text)

    @pytest.mark.parametrize("failure", [ValueError("secret"), SystemExit(1), KeyboardInterrupt(), Odd()], ids=repr)
    def test_a_coroutines_exception_is_a_result(self, failure):
        async def fail() -> None:
            raise failure

        assert result(fail) == Result(CallState.ERROR, f"The tool failed: {type(failure).__name__}.")

    def test_an_exit_in_a_task_of_the_tool_is_a_result(self):
        async def leave() -> None:
            sys.exit(1)

        async def fail() -> None:
            await asyncio.create_task(leave())

        assert result(fail) == Result(CallState.ERROR, "The tool failed: SystemExit.")

    def test_endless_recursion_is_a_result(self):
        def fail() -> None:
            fail()

        assert result(fail) == Result(CallState.ERROR, "The tool failed: RecursionError.")

    def test_the_log_has_the_type_and_the_place_and_no_text(self):
        def fail(order: str) -> None:
            raise ValueError(order)

        with log_lines() as lines:
            result(fail, '{"order": "my secret"}')
        [line] = [line for line in lines if line["message"] == "tool_failed"]
        assert (line["level"], line["tool"], line["error"]) == ("WARNING", "fail", "ValueError")
        assert line["place"] == f"test_calls.py:{fail.__code__.co_firstlineno + 1}"
        assert "secret" not in str(lines)

    def test_the_developer_sees_all_at_debug(self):
        def fail() -> None:
            raise ValueError("of the developer")

        with log_lines(logging.DEBUG) as lines:
            result(fail)
        [line] = [line for line in lines if line["message"] == "tool_failed_with"]
        assert "of the developer" in line["exception"]


class TestNotCalled:
    @pytest.mark.parametrize(
        ("asked", "reason"),
        [
            (("wether", "{}"), "There is no tool 'wether'. The tools are: weather."),
            (("weather", '{"city": '), "The arguments of weather cannot be used. Invalid JSON: "),
            (("weather", '{"town": "Oslo"}'), "The arguments of weather cannot be used. town: Extra inputs are not"),
        ],
    )
    def test_the_model_hears_why_and_the_other_calls_run(self, asked, reason):
        refused, made = results([weather], asked, ("weather", '{"city": "Oslo"}'))
        assert refused.state is CallState.ERROR
        assert refused.text.startswith(reason)
        assert made == Result(CallState.DONE, "Oslo: sun for 1 days")

    def test_a_thread_that_cannot_start_is_a_result(self):
        runtime = FakeRuntime()
        runtime.start = no_thread
        refused = result(weather, '{"city": "a"}', runner=Calls(runtime))
        assert refused == Result(CallState.ERROR, "The tool failed: RuntimeError.")


@pytest.fixture
def released():
    """An event that tools wait for that do not end. It is set when the test is over."""
    event = threading.Event()
    yield event
    event.set()


class TestTimeOut:
    def test_a_tool_that_hangs_is_left_behind(self, released):
        @tool(timeout=0.01)
        def hang() -> str:
            released.wait(HANGS)
            return "too late"

        runner = Calls(Runtime())
        with log_lines() as lines:
            assert result(hang, runner=runner) == Result(CallState.ERROR, "The tool did not end in time.")
            assert runner.left_behind == 1
            released.set()
            until(lambda: runner.left_behind == 0)
            until(lambda: "tool_ended_late" in [line["message"] for line in lines])
        assert [line["left_behind"] for line in lines if line["message"] == "tool_left_behind"] == [1]

    def test_the_others_have_their_results(self, released):
        @tool(timeout=0.01)
        def hang() -> None:
            released.wait(HANGS)

        late, made = results([hang, weather], ("hang", "{}"), ("weather", '{"city": "Oslo"}'))
        assert (late.state, made.text) == (CallState.ERROR, "Oslo: sun for 1 days")

    def test_the_tool_hears_of_it(self):
        heard = threading.Event()

        @tool(timeout=0.01)
        def hang(context: ToolContext) -> None:
            if context.cancelled.wait(HANGS):
                heard.set()

        assert result(hang).state is CallState.ERROR
        assert heard.wait(HANGS)

    def test_a_coroutine_ends(self):
        ended = threading.Event()

        @tool(timeout=0.01)
        async def hang() -> None:
            try:
                await asyncio.sleep(HANGS)
            finally:
                ended.set()

        runner = Calls(Runtime())
        assert result(hang, runner=runner).state is CallState.ERROR
        assert ended.wait(HANGS)
        until(lambda: runner.left_behind == 0)

    def test_a_thread_of_a_coroutine_does_not_hold_its_result(self, released):
        async def quick() -> str:
            asyncio.get_running_loop().run_in_executor(None, released.wait, HANGS)
            return "quick"

        assert result(quick) == Result(CallState.DONE, "quick")

    def test_with_too_many_threads_left_behind_no_tool_runs(self):
        runner = Calls(Runtime())
        runner.count(MAX_LEFT_BEHIND)
        refused = result(weather, '{"city": "Oslo"}', runner=runner)
        assert refused == Result(CallState.ERROR, "The tool cannot run now: too many earlier calls have not ended.")
        runner.count(-1)
        assert result(weather, '{"city": "Oslo"}', runner=runner).state is CallState.DONE


class TestCancel:
    def test_a_tool_that_listens_ends_with_what_it_has(self):
        def listen(context: ToolContext) -> str:
            assert context.cancelled.wait(HANGS)
            return "half"

        running = started([listen], ("listen", "{}"))
        running.cancel()
        assert [each for _, each in running] == [Result(CallState.DONE, "half")]

    def test_a_coroutine_is_cancelled(self):
        begun = threading.Event()

        async def sleep() -> None:
            begun.set()
            await asyncio.sleep(HANGS)

        running = started([sleep], ("sleep", "{}"))
        assert begun.wait(HANGS)
        running.cancel()
        assert [each.state for _, each in running] == [CallState.CANCELLED]

    def test_one_that_has_not_begun_to_wait_is_cancelled_too(self):
        """`cancel` may come before the loop of the coroutine runs."""
        go_on = threading.Event()

        async def sleep() -> None:
            await asyncio.sleep(HANGS)

        def later():
            assert go_on.wait(HANGS)
            return sleep()

        running = started([later], ("later", "{}"))
        running.cancel()
        go_on.set()
        assert [each.state for _, each in running] == [CallState.CANCELLED]

    def test_a_tool_that_does_not_listen_is_left_behind(self, released, monkeypatch):
        monkeypatch.setattr(running_calls, "GRACE_SECONDS", 0.01)

        def hang() -> None:
            released.wait(HANGS)

        runner = Calls(Runtime())
        running = started([hang, weather], ("hang", "{}"), ("weather", '{"city": 5}'), runner=runner)
        running.cancel()
        running.cancel()
        states = {call.id: each.state for call, each in running}
        assert states == {"m2-0-0": CallState.CANCELLED, "m2-0-1": CallState.ERROR}
        assert runner.left_behind == 1
