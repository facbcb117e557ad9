"""Lambda: qualifiers, the log's end, reserved concurrency, destinations, memory, idle environments."""

import asyncio
import base64
import json

import pytest
from parley.clock import Clock
from parley.functions.pool import IDLE_SECONDS
from parley.functions.pools import Pools
from parley.functions.runner import runner_for
from parley.functions.service import Functions, UnknownFunction
from parley.template.model import Function, InvokeConfig
from parley.trace import Trace

from tests.support.clock import ManualClock, ShiftedClock
from tests.support.lambda_service import TOGETHER
from tests.support.waiting import HANGS

TELL = """
    import os

    def handler(event, context):
        print("hello", event)
        version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        return [version, context.function_version, context.invoked_function_arn.split("function:")[1]]
"""


WAIT = """
    import time

    def handler(event, context):
        time.sleep(event or 0)
        return "done"
"""


ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


QUEUE = "arn:aws:sqs:us-east-1:000000000000:dead"


class TestQualifiers:
    @pytest.mark.parametrize(
        ("qualifier", "answer"),
        [("$LATEST", ["$LATEST", "$LATEST", "f"]), ("live", ["3", "3", "f:live"]), ("3", ["3", "3", "f:3"])],
    )
    async def test_an_alias_and_its_version_run_and_are_told(self, serve, qualifier, answer):
        service = await serve({"aliases": {"live": "3"}}, f=TELL)
        outcome = await service.lambda_.invoke("f", b"{}", qualifier)
        assert json.loads(outcome.payload) == answer

    @pytest.mark.parametrize("qualifier", ["dead", "4"])
    async def test_one_that_the_function_has_not_is_unknown(self, serve, qualifier):
        service = await serve({"aliases": {"live": "3"}}, f=TELL)
        with pytest.raises(UnknownFunction):
            await service.lambda_.invoke("f", b"{}", qualifier)
        status, headers, body = await service.lambda_.http_invoke(f"f:{qualifier}", {}, b"{}")
        assert (status, headers["x-amzn-ErrorType"]) == (404, "ResourceNotFoundException")
        assert json.loads(body)["Message"] == f"Function not found: {ARN}f:{qualifier}"

    async def test_it_may_be_in_the_name_or_in_the_query_but_not_differ(self, serve):
        service = await serve({"aliases": {"live": "3"}}, f=TELL)
        for path, query in (("f:live", ""), ("f", "Qualifier=live"), (f"{ARN}f:live", "Qualifier=live")):
            status, headers, body = await service.lambda_.http_invoke(path, {}, b"{}", query=query)
            assert (status, headers["X-Amz-Executed-Version"], json.loads(body)[0]) == (200, "3", "3")
        assert (await service.lambda_.http_invoke("f:live", {}, b"{}", query="Qualifier=3"))[0] == 400

    async def test_an_event_invoke_configuration_is_one_qualifiers_alone(self, tmp_path):
        """docs/aws.md section 7: with AutoPublishAlias it sits on the alias, and the plain name has AWS's defaults."""
        function = Function("f", "f.handler", tmp_path, 3, 128, {}, invoke_configs={"live": InvokeConfig(retries=0)})
        assert (function.invoke_config("live").retries, function.invoke_config().retries) == (0, 2)


class TestLog:
    async def test_its_end_comes_with_the_answer_where_it_is_asked_for(self, serve):
        service = await serve(f=TELL)
        _, plain, _ = await service.lambda_.http_invoke("f", {}, b"1")
        _, asked, _ = await service.lambda_.http_invoke("f", {"x-amz-log-type": "Tail"}, b"2")
        assert "X-Amz-Log-Result" not in plain
        lines = base64.b64decode(asked["X-Amz-Log-Result"]).decode().splitlines()
        request_id = asked["x-amzn-RequestId"]
        assert lines[:3] == [
            f"START RequestId: {request_id} Version: $LATEST",
            "hello 2",
            f"END RequestId: {request_id}",
        ]
        assert lines[3].startswith(f"REPORT RequestId: {request_id}\tDuration: ")

    async def test_it_is_the_last_four_kilobytes(self, serve):
        service = await serve(f="def handler(event, context):\n    for _ in range(200): print('x' * 100)")
        _, headers, _ = await service.lambda_.http_invoke("f", {"x-amz-log-type": "Tail"}, b"{}")
        assert len(base64.b64decode(headers["X-Amz-Log-Result"])) == 4096


class TestReservedConcurrency:
    async def test_an_invocation_beyond_it_is_throttled_at_once(self, serve):
        service = await serve({"reserved_concurrency": 1}, f=WAIT)
        first = asyncio.ensure_future(service.invoke("f", 0.3))
        await service.until("start")
        status, headers, body = await service.lambda_.http_invoke("f", {}, b"0")
        assert (status, headers["x-amzn-ErrorType"]) == (429, "TooManyRequestsException")
        assert json.loads(body)["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert (await first).function_error is None
        assert (await service.invoke("f", 0)).function_error is None

    async def test_an_event_waits_longer_each_time_and_costs_no_attempt(self, tmp_path):
        clock, ran = ManualClock(), []
        (tmp_path / "f.py").write_text("def handler(event, context): pass")
        function = Function("f", "f.handler", tmp_path, 3, 128, {}, reserved_concurrency=0, dead_letter=QUEUE)
        functions, trace = {"f": function}, Trace(clock.time)
        runner = runner_for("process", functions, trace, environments=10, clock=clock)
        service = Functions(functions, trace, runner, clock=clock, enqueue=lambda *sent: ran.append(sent))
        service.invoke_later("f", b'{"a": 1}')
        await clock.advance(7)
        assert [round(each.at - clock.now + 7) for each in trace.after(0)] == [0, 1, 3, 7]
        await clock.advance(6 * 3600)
        [(queue, body, _)] = ran
        assert (queue, body) == (QUEUE, '{"a": 1}')
        assert [each.fields["condition"] for each in trace.after(0) if each.kind == "dead_letter"] == [
            "EventAgeExceeded"
        ]


class TestDestinations:
    async def sent(self, serve, source, **config):
        service = await serve({"retries": 0, **config}, f=source)
        service.lambda_.invoke_later("f", b'{"a": 1}')
        async with asyncio.timeout(HANGS):
            while not service.sent:  # noqa: ASYNC110 - what is waited for is a plain list
                await asyncio.sleep(0.01)
        return service.sent

    async def test_a_queue_gets_the_record_of_a_success(self, serve):
        [(queue, body, _)] = await self.sent(serve, "def handler(event, context): return 'fine'", on_success=QUEUE)
        record = json.loads(body)
        assert (queue, record["requestContext"]["condition"], record["responsePayload"]) == (QUEUE, "Success", "fine")
        assert "functionError" not in record["responseContext"]

    async def test_what_is_no_json_is_text_in_a_record(self, serve):
        [(_, body, _)] = await self.sent(serve, "def handler(event, context): return b'raw'", on_success=QUEUE)
        assert json.loads(body)["responsePayload"] == "raw"

    async def test_a_queue_gets_the_record_of_a_failure_and_the_dead_letter_queue_the_event(self, serve):
        source = "def handler(event, context): raise ValueError('no')"
        sent = await self.sent(serve, source, on_failure=QUEUE, dead_letter="arn:aws:sqs:us-east-1:000000000000:dlq")
        (dlq, event, attributes), (queue, record, _) = sent
        assert (dlq.rpartition(":")[2], event) == ("dlq", '{"a": 1}')
        assert (attributes["ErrorCode"], attributes["ErrorMessage"]) == ("200", "no")
        assert (queue, json.loads(record)["requestContext"]["condition"]) == (QUEUE, "RetriesExhausted")

    async def test_duplicates_have_the_same_request_id(self, serve):
        service = await serve({"duplicates": 1.0}, f="def handler(event, context): pass")
        request_id = service.lambda_.invoke_later("f", b"{}")
        assert [end["request_id"] for end in await service.until("end", 2)] == [request_id] * 2


class TestMemory:
    async def test_a_function_that_uses_more_is_killed_and_the_next_event_runs(self, serve):
        source = """
            import time

            def handler(event, context):
                kept = bytearray(event * 1024 * 1024)
                time.sleep(60 if event else 0)
                return len(kept)
        """
        service = await serve({"memory": 128, "timeout": 120.0}, f=source)
        error = await service.failure("f", 200)
        assert error["errorType"] == "Runtime.ExitError"
        assert error["errorMessage"].endswith("Runtime exited with error: signal: killed")
        [note] = service.traced("note")
        assert "it has 128 (MemorySize)" in note["text"]
        assert await service.answer("f", 0) == 0

    async def test_a_function_within_it_gets_a_report_of_its_use(self, serve):
        service = await serve({"memory": 512}, f=WAIT)
        outcome = await service.invoke("f", 2)
        assert 40 < outcome.memory < 200
        assert service.traced("end")[0]["memory"] == round(outcome.memory)


class TestIdleness:
    async def three_idle(self, service):
        answers = await asyncio.gather(*(service.invoke("f", b"3") for _ in range(3)))
        assert len({answer.payload for answer in answers}) == 3

    async def until_living(self, runner, count):
        async with asyncio.timeout(HANGS):
            while len(runner._processes._living) > count:  # noqa: ASYNC110 - nothing to be told by
                await asyncio.sleep(0.01)

    @pytest.fixture
    def functions(self, tmp_path):
        (tmp_path / "f.py").write_text(TOGETHER)
        (tmp_path / "g.py").write_text("def handler(event, context): return 'g'")
        return {name: Function(name, f"{name}.handler", tmp_path, HANGS, 128, {}) for name in "fg"}

    async def test_one_idle_environment_is_kept(self, functions):
        clock, trace = ShiftedClock(), Trace()
        runner = runner_for("process", functions, trace, environments=10, clock=clock)
        service = Functions(functions, trace, runner, clock=clock)
        await service.start()
        try:
            await self.three_idle(service)
            clock.ahead = IDLE_SECONDS + 1
            for callback in clock.later:
                callback()
            await self.until_living(runner, 1)
            assert (await service.invoke("f", b"3")).cold is False
        finally:
            await service.stop()

    async def test_with_little_memory_left_the_next_start_ends_the_idle_ones_but_one(self, functions):
        memory, trace = [1000.0], Trace()
        runner = Pools(functions, trace, 10, Clock(), available_mb=lambda: memory[0])
        service = Functions(functions, trace, runner)
        await service.start()
        try:
            await self.three_idle(service)
            memory[0] = 100.0
            assert (await service.invoke("g", b"{}")).cold is True
            await self.until_living(runner, 2)
            assert (await service.invoke("f", b"3")).cold is False
        finally:
            await service.stop()
