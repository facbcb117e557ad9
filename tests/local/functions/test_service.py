"""The event of a function, and the answer to its caller."""

import asyncio
import json
import re
from dataclasses import replace

import pytest
from parley.functions.processes import launch
from parley.functions.service import UnknownFunction

from tests.support.clock import ManualClock, settle
from tests.support.lambda_service import TOGETHER
from tests.support.waiting import HANGS

ECHO = """
    def handler(event, context):
        return event
"""

SLOW = """
    import os, time

    def handler(event, context):
        time.sleep(event)
        return os.getpid()
"""

WAITING = """
    import pathlib, time

    def handler(event, context):
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
"""

VARIABLES = """
    import os

    def handler(event, context):
        return dict(os.environ)
"""


async def test_a_function_gets_its_event_and_its_answer_comes_back(serve):
    service = await serve(echo=ECHO)
    assert await service.answer("echo", {"text": "Привет"}) == {"text": "Привет"}


async def test_a_payload_of_5_mb_goes_through(serve):
    service = await serve(echo=ECHO)
    assert await service.answer("echo", "x" * 5_000_000) == "x" * 5_000_000


async def test_the_context_tells_which_invocation_this_is(serve):
    service = await serve(
        {"timeout": 700.0, "memory": 256},
        who="""
            def handler(event, context):
                return {
                    "id": context.aws_request_id,
                    "arn": context.invoked_function_arn,
                    "name": context.function_name,
                    "memory": context.memory_limit_in_mb,
                    "left": context.get_remaining_time_in_millis(),
                }
        """,
    )
    outcome = await service.invoke("who")
    told = json.loads(outcome.payload)
    assert 600_000 < told.pop("left") <= 700_000
    assert told == {
        "id": outcome.request_id,
        "arn": "arn:aws:lambda:us-east-1:000000000000:function:who",
        "name": "who",
        "memory": "256",
    }


async def test_an_unknown_function_is_an_error(serve):
    service = await serve(echo=ECHO)
    with pytest.raises(UnknownFunction):
        await service.invoke("other")


async def test_the_first_invocation_is_cold_and_the_next_finds_its_environment_again(serve):
    service = await serve(slow=SLOW)
    first, second = await service.invoke("slow", 0), await service.invoke("slow", 0)
    assert (first.cold, second.cold) == (True, False)
    assert first.payload == second.payload


@pytest.mark.parametrize("mode", ["process", "inline"])
async def test_functions_can_be_started_ahead_of_their_first_event(serve, mode):
    service = await serve({"mode": mode}, ahead=ECHO)
    await service.lambda_.warm()
    outcome = await service.invoke("ahead", 1)
    assert outcome.payload == b"1"
    assert outcome.cold is (mode == "inline")


@pytest.mark.parametrize("mode", ["process", "inline"])
async def test_a_function_that_does_not_start_is_told_before_its_first_event_and_keeps_no_other_from_it(serve, mode):
    service = await serve({"mode": mode}, good=ECHO, bad="import no_such_module")
    await service.lambda_.warm()
    [note] = service.traced("note")
    assert re.search(r"Function bad .* bad\.handler .* No module named 'no_such_module'", note["text"])
    assert await service.answer("good", 1) == 1
    assert "no_such_module" in (await service.failure("bad"))["errorMessage"]


async def test_functions_that_are_only_tried_leave_no_process_and_tell_if_they_do_not_start(serve):
    service = await serve(kept=ECHO, tried=ECHO, bad="import no_such_module")
    await service.lambda_.warm(["kept"])
    await service.lambda_.try_others(["kept"])
    [note] = service.traced("note")
    assert re.search(r"Function bad .* No module named 'no_such_module'", note["text"])
    await service.until_living(1)
    assert not (await service.invoke("kept")).cold
    assert (await service.invoke("tried")).cold


async def test_functions_are_not_tried_while_one_handles_an_event_nor_in_the_second_after_it(serve):
    clock = ManualClock()
    service = await serve({"clock": clock}, waiting=WAITING, bad="import no_such_module")
    await service.lambda_.warm(["waiting"])
    event = asyncio.create_task(service.invoke("waiting"))
    await settle()
    trying = asyncio.create_task(service.lambda_.try_others(["waiting"]))
    await clock.advance(10)
    (service.folder / "waiting" / "go").touch()
    await event
    await clock.advance(0.9)
    assert service.traced("note") == []
    assert not trying.done()
    await clock.advance(0.2)
    await asyncio.wait_for(trying, HANGS)
    assert len(service.traced("note")) == 1


@pytest.mark.parametrize("mode", ["process", "inline"])
async def test_what_is_gone_is_not_tried(serve, mode):
    service = await serve({"mode": mode}, one=ECHO)
    service.lambda_.renew({}, ["one"])
    await service.lambda_.warm(["one"])
    assert await service.lambda_.start_again("one") == ""


async def test_a_retry_runs_on_the_code_of_its_time(serve):
    service = await serve({"retry_delay": 0.0, "retries": 1}, f="def handler(event, context): raise ValueError")
    code = service.folder / "f" / "f.py"
    function = service.lambda_._functions["f"]
    looks = []

    def look():
        """Save the function before its second event."""
        looks.append(1)
        if len(looks) == 2:
            code.write_text("def handler(event, context): print(event)")
            service.lambda_.renew({"f": replace(function, memory=256)}, ["f"])

    service.lambda_.look = look
    service.lambda_.invoke_later("f", b'"again"')
    first, second = await service.until("end", 2)
    assert (first["error"], second["error"]) == ("ValueError", None)
    assert service.lines()[-1] == "again"


async def test_each_function_sees_its_own_modules_and_variables(serve, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "1")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    service = await serve({"environment": {"TABLE": "chats", "TZ": "Europe/Berlin"}}, one=VARIABLES, two=VARIABLES)
    one, two = await service.answer("one"), await service.answer("two")
    assert (one["AWS_LAMBDA_FUNCTION_NAME"], two["AWS_LAMBDA_FUNCTION_NAME"]) == ("one", "two")
    assert one["TABLE"] == "chats"
    assert one["TZ"] == "Europe/Berlin", "the template's variables win over Lambda's"
    assert one["AWS_REGION"] == "us-east-1"
    assert one["LAMBDA_TASK_ROOT"].endswith("/one")
    assert not {"SECRET_OF_THE_SHELL", "AWS_PROFILE", "HOME", "VIRTUAL_ENV"} & one.keys()


async def test_a_module_of_the_code_wins_over_a_library_that_is_already_loaded(serve, tmp_path):
    service = await serve(
        own="""
            import boto3

            def handler(event, context):
                import jmespath  # which boto3 loads too, the real one
                return [boto3.__file__, jmespath.WHO]
        """
    )
    (tmp_path / "own" / "jmespath.py").write_text("WHO = 'mine'")
    library, mine = await service.answer("own")
    assert "site-packages" in library
    assert mine == "mine"


async def test_three_events_at_once_run_in_three_environments(serve):
    service = await serve(together=TOGETHER)
    pids = await asyncio.gather(*(service.answer("together", 3) for _ in range(3)))
    assert len(set(pids)) == 3


async def test_one_event_more_than_environments_waits_its_turn(serve):
    service = await serve({"environments": 3}, together=TOGETHER)
    first = [asyncio.create_task(service.invoke("together", 4)) for _ in range(3)]
    await service.until("start", 3)
    fourth = asyncio.create_task(service.invoke("together", 0))
    [waits] = await service.until("wait")
    (service.folder / "together" / "instead_of_the_fourth.here").touch()
    outcomes = await asyncio.gather(*first)
    late = await fourth
    assert not late.cold
    assert len({outcome.payload for outcome in outcomes} | {late.payload}) == 3
    assert (waits["request_id"], waits["environments"]) == (late.request_id, 3)


async def test_an_invocation_goes_on_when_its_caller_is_gone(serve):
    service = await serve(slow=SLOW)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(service.invoke("slow", 0.3), 0.05)
    [end] = await service.until("end")
    assert end["error"] is None


async def test_the_trace_tells_starts_and_ends_but_no_payloads(serve):
    service = await serve(echo=ECHO)
    outcome = await service.invoke("echo", "secret")
    [start], [end] = service.traced("start"), service.traced("end")
    told = {"function": "echo", "request_id": outcome.request_id, "caller": "gateway", "cold": True}
    assert start == told
    assert end.pop("milliseconds") == pytest.approx(outcome.milliseconds, abs=0.1)
    assert end == {**told, "error": None}
    assert "secret" not in str(service.trace.after(0))


async def test_a_system_that_cannot_fork_starts_processes_afresh(serve, monkeypatch):
    monkeypatch.setattr(launch, "FORK", False)
    service = await serve({"environment": {"TABLE": "chats"}}, one=VARIABLES)
    variables = await service.answer("one")
    assert variables["TABLE"] == "chats"
    assert re.fullmatch(r"127\.0\.0\.1:\d+/[\w-]{32}", variables["AWS_LAMBDA_RUNTIME_API"])
    assert "HOME" not in variables
