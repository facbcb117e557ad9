"""The surroundings of a function: variables, libraries, layers, the context, and the rest between events."""

import asyncio
import base64
import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.waiting import HANGS

LEVELS = """
    import logging, openai
    from pynamodb.settings import get_settings_value

    def handler(event, context):
        return [logging.getLogger("openai").level, get_settings_value("read_timeout_seconds")]
"""

JMESPATH = """
    import jmespath, botocore.paginate

    def handler(event, context):
        return [getattr(each, "WHO", "the machine's") for each in (jmespath, botocore.paginate.jmespath)]
"""


class TestVariables:
    @pytest.mark.fact("functions.import", source="Lambda developer guide")
    async def test_a_library_reads_its_functions_variables_when_it_is_imported(self, serve):
        own = {"loud": {"OPENAI_LOG": "debug"}, "patient": {"PYNAMODB_CONFIG": "patience.py"}}
        service = await serve({"environments_of": own, "environment": {}}, loud=LEVELS, patient=LEVELS, plain=LEVELS)
        (service.folder / "patient" / "patience.py").write_text("read_timeout_seconds = 7")
        answers = {name: await service.answer(name) for name in ("loud", "patient", "plain")}
        assert answers == {"loud": [10, 30], "patient": [0, 7], "plain": [0, 30]}

    async def test_one_that_all_functions_share_is_there_too(self, serve):
        service = await serve({"environment": {"OPENAI_LOG": "debug"}}, one=LEVELS, two=LEVELS)
        assert [(await service.answer(name))[0] for name in ("one", "two")] == [10, 10]

    async def test_one_that_python_reads_at_its_start_counts(self, serve):
        source = "import sys\ndef handler(event, context): return sys.flags.optimize"
        own = {"quick": {"PYTHONOPTIMIZE": "1"}}
        service = await serve({"environments_of": own}, quick=source, plain=source)
        assert await service.answer("quick") == 1
        assert await service.answer("plain") == 0

    async def test_one_that_hides_the_emulators_own_modules_is_no_trouble(self, serve):
        source = "import sys\ndef handler(event, context): return sys.flags.safe_path"
        service = await serve({"environment": {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}}, f=source)
        assert await service.answer("f") is True


class TestOwnCopies:
    @pytest.mark.fact("functions.copies", source="Lambda developer guide")
    async def test_a_functions_copy_is_everybodys_in_its_process_and_nobodys_elsewhere(self, serve):
        service = await serve(mine=JMESPATH, other=JMESPATH)
        (service.folder / "mine" / "jmespath.py").write_text("WHO = 'mine'")
        assert await service.answer("mine") == ["mine", "mine"]
        assert await service.answer("other") == ["the machine's", "the machine's"]

    async def test_a_copy_that_comes_while_the_emulator_runs_counts_in_the_next_environment(self, serve):
        service = await serve(f=JMESPATH.replace("return", "event == 'end' and exit(1)\n        return"))
        assert await service.answer("f") == ["the machine's", "the machine's"]
        (service.folder / "f" / "jmespath.py").write_text("WHO = 'mine'")
        await service.failure("f", "end")
        assert await service.answer("f") == ["mine", "mine"]


SEARCHES = """
    import os, shutil, sys

    def handler(event, context):
        found = [__import__(name).WHO for name in event]
        return [found, shutil.which("tool"), os.environ.get("LD_LIBRARY_PATH"), sys.path[0]]
"""


class TestLayers:
    @pytest.fixture
    def layer(self, tmp_path):
        def written(name, files):
            for path, who in files.items():
                (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name / path).write_text(f"WHO = {who!r}")
            return tmp_path / name

        return written

    @pytest.mark.fact("functions.layers", source="Lambda developer guide")
    async def test_modules_come_from_the_code_then_from_the_layers_then_from_the_machine(self, serve, layer):
        site = "python/lib/python3.12/site-packages"
        first = layer("first", {"python/mine.py": "first", "python/both.py": "first", "python/jmespath.py": "first"})
        second = layer("second", {"python/both.py": "python", f"{site}/both.py": "site", f"{site}/deep.py": "site"})
        layer("second", {"python/lib/python3.9/site-packages/mine.py": "another Python"})
        service = await serve({"layers": (first, second), "runtime": "python3.12"}, f=SEARCHES)
        (service.folder / "f" / "own.py").write_text("WHO = 'code'")
        (service.folder / "first" / "python" / "own.py").write_text("WHO = 'first'")
        found, *_ = await service.answer("f", ["own", "mine", "both", "deep", "jmespath"])
        assert found == ["code", "first", "site", "site", "first"]

    @pytest.mark.fact("functions.opt", source="Lambda developer guide")
    async def test_programs_and_libraries_in_c_are_found(self, serve, layer):
        folder = layer("l", {"bin/tool": "#", "lib/libx.so.1": "x"})
        (folder / "bin" / "tool").chmod(0o755)
        service = await serve({"layers": (folder,)}, f=SEARCHES)
        answer = await service.answer("f", [])
        assert answer == [[], str(folder / "bin" / "tool"), str(folder / "lib"), str(service.folder / "f")]

    async def test_modules_of_layers_are_found_inline_too(self, serve, layer):
        folder = layer("l", {"python/only_inline.py": "the layer"})
        service = await serve({"layers": (folder,), "mode": "inline"}, f=SEARCHES)
        assert (await service.answer("f", ["only_inline"]))[0] == ["the layer"]


CONTEXT = """
    import json, os

    def handler(event, context):
        sent = context.client_context
        client = sent and sent.client
        return {
            "custom": sent and sent.custom,
            "env": sent and sent.env,
            "title": client and client.app_title,
            "cognito": context.identity.cognito_identity_id,
        }
"""

SENT = {"custom": {"tenant": "t1", "é": "ж"}, "env": {"locale": "de"}, "client": {"app_title": "chat"}, "other": 1}


def encoded(context: object) -> str:
    return base64.b64encode(json.dumps(context).encode()).decode()


class TestContext:
    @pytest.mark.fact("functions.client", source="aws/aws-sdk#679")
    @pytest.mark.parametrize("mode", ["process", "inline"])
    async def test_a_client_context_is_passed_on(self, serve, mode):
        service = await serve({"mode": mode}, **{f"context_{mode}": CONTEXT})
        header = {"X-Amz-Client-Context": encoded(SENT)}
        for headers, expected in (
            (header, {"custom": SENT["custom"], "env": SENT["env"], "title": "chat", "cognito": None}),
            ({}, {"custom": None, "env": None, "title": None, "cognito": None}),
            ({"x-amz-client-context": encoded({})}, {"custom": None, "env": None, "title": None, "cognito": None}),
        ):
            status, _, body = await service.lambda_.http_invoke(f"context_{mode}", headers, b"{}")
            assert (status, json.loads(body)) == (200, expected)

    @pytest.mark.fact("functions.client", source="boto/boto3#2153")
    @pytest.mark.parametrize("sent", ["string", "e30", encoded("text"), encoded([1]), base64.b64encode(b"{").decode()])
    async def test_one_that_is_no_json_object_is_refused(self, serve, sent):
        service = await serve(f=CONTEXT)
        status, headers, body = await service.lambda_.http_invoke("f", {"X-Amz-Client-Context": sent}, b"{}")
        assert (status, headers["x-amzn-ErrorType"]) == (400, "InvalidRequestContentException")
        assert json.loads(body)["message"] == "Client context must be a valid Base64-encoded JSON object."

    async def test_an_asynchronous_invocation_has_none(self, serve):
        service = await serve(f="def handler(event, context): print(context.client_context)")
        headers = {"X-Amz-Client-Context": encoded(SENT), "X-Amz-Invocation-Type": "Event"}
        assert (await service.lambda_.http_invoke("f", headers, b"{}"))[0] == 202
        await service.until("end")
        assert service.lines() == ["None"]

    @pytest.mark.fact("functions.variables", source="Lambda developer guide")
    async def test_lambdas_own_variables_are_there(self, serve):
        source = "import os\ndef handler(event, context): return dict(os.environ)"
        service = await serve({"runtime": "python3.12"}, f=source)
        variables = await service.answer("f")
        assert variables["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.12"
        assert variables["AWS_XRAY_CONTEXT_MISSING"] == "LOG_ERROR"
        assert variables["AWS_LAMBDA_LOG_FORMAT"] == "Text"
        assert "AWS_LAMBDA_LOG_LEVEL" not in variables
        assert variables["LAMBDA_RUNTIME_DIR"] == str(Path(pytest.__file__).parents[1])


LOGS = """
    import logging

    def handler(event, context):
        for name in ("debug", "info", "warning"):
            getattr(logging.getLogger(), name)("this is %s", name)
"""


class TestLogging:
    @pytest.mark.fact("functions.logging", source="Lambda developer guide")
    @pytest.mark.parametrize(
        ("options", "levels"),
        [
            ({"log_format": "JSON"}, ["INFO", "WARNING"]),
            ({"log_format": "JSON", "log_level": "TRACE"}, ["DEBUG", "INFO", "WARNING"]),
            ({"log_format": "JSON", "log_level": "WARN"}, ["WARNING"]),
            ({"log_format": "JSON", "log_level": "ERROR"}, []),
        ],
    )
    async def test_in_json_each_line_is_an_object_and_the_level_counts(self, serve, options, levels):
        service = await serve(options, f=LOGS)
        await service.answer("f")
        lines = [json.loads(line) for line in service.lines()]
        assert [line["level"] for line in lines] == levels
        assert all(line["message"] == f"this is {line['level'].lower()}" for line in lines)

    @pytest.mark.fact("functions.logging", source="Lambda developer guide")
    async def test_in_text_a_level_changes_nothing(self, serve):
        service = await serve({"log_format": "Text", "log_level": "ERROR"}, f=LOGS)
        await service.answer("f")
        [line] = service.lines()
        assert line.startswith("[WARNING]\t")

    async def test_in_json_lambdas_own_lines_are_objects_too(self, serve):
        service = await serve({"log_format": "JSON"}, f=LOGS)
        _, headers, _ = await service.lambda_.http_invoke("f", {"x-amz-log-type": "Tail"}, b"{}")
        lines = [json.loads(line) for line in base64.b64decode(headers["X-Amz-Log-Result"]).decode().splitlines()]
        assert [line.get("type") for line in lines] == ["platform.start", None, None, "platform.report"]
        assert lines[0]["record"] == {"requestId": headers["x-amzn-RequestId"], "version": "$LATEST"}
        assert (lines[3]["record"]["status"], lines[3]["record"]["metrics"]["memorySizeMB"]) == ("success", 128)


TICKS = """
    import itertools, os, subprocess, threading, time

    numbers, ticks = itertools.count(1), [0]

    def tick():
        while True:
            ticks[0] = next(numbers)
            time.sleep(0.001)

    def handler(event, context):
        if event == "begin":
            threading.Thread(target=tick, daemon=True).start()
            return [os.getpid(), subprocess.Popen(["/bin/sleep", "600"]).pid]
        before = ticks[0]
        while ticks[0] < before + 3:
            time.sleep(0.001)
        return [before, ticks[0]]
"""


def states(pid: int) -> set[str]:
    """Return the states of a process's threads: `T` is stopped."""
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    return {stat.read_text().rpartition(")")[2].split()[0] for stat in stats}


async def until_stopped(*pids: int) -> None:
    async with asyncio.timeout(HANGS):
        while any(states(pid) != {"T"} for pid in pids):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.005)


class TestRest:
    @pytest.mark.fact("functions.freeze", source="Lambda developer guide")
    async def test_between_events_threads_and_processes_stand_still_and_then_go_on(self, serve):
        service = await serve(f=TICKS)
        function, started = await service.answer("f", "begin")
        await until_stopped(function, started)
        seen = []
        for _ in range(2):
            seen += await service.answer("f", "look")
            await until_stopped(function, started)
        assert seen == sorted(seen)
        assert [end["cold"] for end in service.traced("end")] == [True, False, False]

    async def test_an_environment_that_was_only_started_stands_still_too(self, serve):
        service = await serve(f="import os\nprint(os.getpid())\ndef handler(event, context): return os.getpid()")
        await service.lambda_.warm()
        await service.until("log")
        function = int(service.lines()[0])
        await until_stopped(function)
        assert await service.answer("f") == function

    async def test_without_it_they_go_on(self, serve):
        source = """
            import threading, time

            def handler(event, context):
                threading.Thread(target=lambda: [event_has_ended.wait(), print("went on")], daemon=True).start()
                threading.Timer(0.05, event_has_ended.set).start()

            event_has_ended = threading.Event()
        """
        service = await serve({"freezes": False}, f=source)
        await service.answer("f")
        await service.until("log")
        assert service.lines() == ["went on"]

    async def test_one_that_is_killed_in_its_rest_is_replaced(self, serve):
        service = await serve(f=TICKS)
        function, started = await service.answer("f", "begin")
        await until_stopped(function, started)
        os.kill(function, signal.SIGKILL)
        await service.until_no_process()
        assert (await service.answer("f", "begin"))[0] != function
