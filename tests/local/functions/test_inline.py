"""`--functions inline`: the same face, in threads of this process."""

import json
import os

import pytest

INLINE = {"mode": "inline"}


async def test_a_function_runs_in_this_process_with_its_variables(serve):
    service = await serve(
        INLINE | {"environment": {"TABLE": "chats"}},
        one="""
            import os, threading

            def handler(event, context):
                return [event, os.getpid(), os.environ["TABLE"], context.function_name, threading.current_thread().name]
        """,
    )
    assert await service.answer("one", 1) == [1, os.getpid(), "chats", "one", "one"]
    assert [end["cold"] for end in service.traced("end")] == [True]


async def test_the_time_left_is_told_and_a_time_out_is_reported(serve, tmp_path):
    left = "def handler(event, context): return context.get_remaining_time_in_millis()"
    service = await serve(INLINE | {"timeout": 200.0}, two=left)
    assert 100_000 < await service.answer("two") <= 200_000
    slow = "import os, time\ndef handler(event, context):\n    while not os.path.exists(event): time.sleep(0.01)"
    service = await serve(INLINE | {"timeout": 0.2}, slow=slow)
    assert (await service.failure("slow", str(tmp_path / "go")))["errorType"] == "Sandbox.Timedout"
    (tmp_path / "go").touch()


@pytest.mark.parametrize(
    ("body", "error_type", "message"),
    [
        ("raise ValueError('wrong')", "ValueError", "wrong"),
        ("raise SystemExit(3)", "Runtime.ExitError", "exit status 3"),
        ("return {1}", "TypeError", "not JSON serializable"),
        ("import no_such_module", "ModuleNotFoundError", "no_such_module"),
    ],
)
async def test_a_failure_is_the_answer(serve, body, error_type, message):
    service = await serve(INLINE, three=f"def handler(event, context): {body}")
    error = await service.failure("three")
    assert error["errorType"] == error_type
    assert message in error["errorMessage"]


async def test_decimals_are_numbers_as_in_awss_runtime(serve):
    source = "from decimal import Decimal\ndef handler(event, context): return [Decimal(3), Decimal('0.5')]"
    service = await serve(INLINE, four=source)
    assert (await service.invoke("four")).payload == b"[3, 0.5]"


async def test_a_module_of_another_function_is_not_taken_for_ones_own(serve):
    service = await serve(INLINE, json="def handler(event, context): return 1")
    error = await service.failure("json")
    assert "loaded from" in error["errorMessage"]


async def test_functions_that_disagree_on_a_variable_are_noted(serve, monkeypatch):
    monkeypatch.setenv("TABLE", "mine")
    service = await serve(INLINE | {"environment": {"TABLE": "chats"}}, five="def handler(event, context): return 1")
    [note] = service.traced("note")
    assert note["text"].startswith("TABLE is now five's")
    assert json.loads((await service.invoke("five")).payload) == 1
