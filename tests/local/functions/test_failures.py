"""Functions that fail: the answer, and the next event, which is handled."""

import json
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
    service = await serve({"timeout": 3.0}, f=GOOD_AFTER)
    before = await service.answer("f", "fine")
    outcome = await service.invoke("f", "hang")
    text = f"RequestId: {outcome.request_id} Error: Task timed out after 3.00 seconds"
    assert outcome.payload.decode() == f'{{"errorType": "Sandbox.Timedout", "errorMessage": "{text}"}}'
    assert 3000 <= outcome.milliseconds < 60_000
    assert await service.answer("f", "fine") != before
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)


@pytest.mark.parametrize("mode", ["process", "inline"])
async def test_the_time_in_which_the_emulator_loads_a_part_of_itself_is_not_the_functions(serve, mode):
    slow = """
        import time

        def handler(event, context):
            time.sleep(event)
            return "done"
    """
    service = await serve({"timeout": 0.2, "mode": mode}, slow=slow)
    with service.runners_clock.loading:
        assert await service.answer("slow", 0.4) == "done"


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
    monkeypatch.setattr("parley.functions.environment.INIT_SECONDS", 0.2)
    service = await serve({"timeout": 0.1}, f="import time; time.sleep(60)")
    assert (await service.failure("f"))["errorType"] == "Sandbox.Timedout"


MISCHIEF = """
    import os, signal, sys, threading, time

    def close_stdout():
        os.close(1)
        return "closed"

    def leave_a_thread():
        threading.Thread(target=lambda: time.sleep(3600)).start()
        return "left"

    def print_from_a_thread():
        threading.Thread(target=lambda: [print("late") or time.sleep(0.01) for _ in range(50)]).start()
        return "printing"

    def fork():
        if os.fork() == 0:
            time.sleep(3600)
        return "forked"

    def ignore_signals():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        return "deaf"

    def go_away():
        os.chdir("/")
        return os.getcwd()

    def print_binary():
        os.write(1, bytes(range(256)) * 10)
        return "printed"

    def forget_modules():
        for name in list(sys.modules):
            if name.startswith("json"):
                del sys.modules[name]
        return "forgotten"

    def handler(event, context):
        return globals()[event]()
"""


@pytest.mark.parametrize(
    "what",
    [
        *("close_stdout", "leave_a_thread", "print_from_a_thread", "fork"),
        *("ignore_signals", "go_away", "print_binary", "forget_modules"),
    ],
)
async def test_mischief_is_answered_and_the_next_event_runs(serve, what):
    service = await serve(f=MISCHIEF)
    assert await service.answer("f", what)
    assert await service.answer("f", "go_away") == "/"


@pytest.mark.parametrize("value", ["float('nan')", "{1, 2}", "object()", "{(1, 2): 3}", "10**5000"])
async def test_a_result_that_is_no_json_is_an_error_or_harmless(serve, value):
    service = await serve(f=f"def handler(event, context): return {value} if event else 'fine'")
    outcome = await service.invoke("f", 1)
    assert outcome.function_error == "Unhandled" or json.loads(outcome.payload) != json.loads(outcome.payload)
    assert await service.answer("f", 0) == "fine"
