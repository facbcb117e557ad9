"""What is answered where a function fails, and that the next event is handled all the same."""

import os

import pytest

GOOD_AFTER = """
    import os, signal, sys, time

    def handler(event, context):
        if event == "fine":
            return os.getpid()
        if event == "raise":
            raise ValueError("wrong")
        if event == "unserialisable":
            return {1, 2}
        if event == "hang":
            time.sleep(60)
        if event == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if event == "large":
            return "x" * 7_000_000
        sys.exit(event)
"""


async def test_an_exception_is_answered_as_awss_runtime_words_it(serve):
    service = await serve(f=GOOD_AFTER)
    outcome_error = await service.failure("f", "raise")
    assert (outcome_error["errorType"], outcome_error["errorMessage"]) == ("ValueError", "wrong")
    assert "raise ValueError" in outcome_error["stackTrace"][-1]
    assert service.traced("end")[0]["error"] == "ValueError"


async def test_an_exception_leaves_the_environment_in_use(serve):
    service = await serve(f=GOOD_AFTER)
    before = await service.answer("f", "fine")
    await service.failure("f", "raise")
    assert await service.answer("f", "fine") == before


async def test_an_answer_that_is_no_json_is_a_marshal_error(serve):
    service = await serve(f=GOOD_AFTER)
    assert (await service.failure("f", "unserialisable"))["errorType"] == "Runtime.MarshalError"


async def test_a_function_that_takes_too_long_is_killed(serve):
    service = await serve({"timeout": 0.3}, f=GOOD_AFTER)
    before = await service.answer("f", "fine")
    outcome = await service.invoke("f", "hang")
    text = f"RequestId: {outcome.request_id} Error: Task timed out after 0.30 seconds"
    assert outcome.payload.decode() == f'{{"errorType": "Sandbox.Timedout", "errorMessage": "{text}"}}'
    assert 300 <= outcome.milliseconds < 1000
    assert await service.answer("f", "fine") != before
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (3, "with error: exit status 3"),
        (0, "without providing a reason"),
        ("killed", "with error: signal: killed"),
    ],
)
async def test_a_process_that_ends_is_reported_and_replaced(serve, event, reason):
    service = await serve(f=GOOD_AFTER)
    outcome = await service.invoke("f", event)
    text = f"RequestId: {outcome.request_id} Error: Runtime exited {reason}"
    assert outcome.payload.decode() == f'{{"errorType": "Runtime.ExitError", "errorMessage": "{text}"}}'
    assert await service.answer("f", "fine")


async def test_a_response_of_more_than_6_mb_is_an_error(serve):
    service = await serve(f=GOOD_AFTER)
    assert await service.failure("f", "large") == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size (7000002 bytes) exceeded maximum allowed payload size (6291556 bytes).",
    }
    assert await service.answer("f", "fine")


@pytest.mark.parametrize(
    ("source", "error_type", "message"),
    [
        ("import no_such_module", "Runtime.ImportModuleError", "No module named 'no_such_module'"),
        ("def handler(", "Runtime.UserCodeSyntaxError", "Syntax error in module 'f'"),
        ("other = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'f'"),
        ("raise KeyError('TABLE')", "KeyError", "'TABLE'"),
        ("import sys; sys.exit(4)", "Runtime.ExitError", "exit status 4"),
    ],
)
async def test_a_module_that_does_not_import_is_the_answer_until_it_does(serve, tmp_path, source, error_type, message):
    service = await serve(f=source)
    error = await service.failure("f")
    assert error["errorType"] == error_type
    assert message in error["errorMessage"]
    (tmp_path / "f" / "f.py").write_text("def handler(event, context):\n    return 'mended'")
    assert await service.answer("f") == "mended"


async def test_a_function_that_hangs_while_it_is_imported_is_killed(serve, monkeypatch):
    monkeypatch.setattr("local.functions.environment.INIT_SECONDS", 0.2)
    service = await serve({"timeout": 0.1}, f="import time; time.sleep(60)")
    assert (await service.failure("f"))["errorType"] == "Sandbox.Timedout"
