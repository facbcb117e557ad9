"""Functions that are executables: the runtimes `provided.*`, whose file `bootstrap` asks for its events itself."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from parley.functions import runtime_api
from parley.functions.invocation import LaunchError
from parley.functions.runtimes import command
from parley.template.model import Function, Interpreter

PROGRAM = f"""#!{sys.executable}
import http.client, json, os, sys
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    event, id = json.loads(answer.read()), answer.headers["Lambda-Runtime-Aws-Request-Id"]
    print("got", event, flush=True)
    if event == "exit":
        sys.exit(4)
    kind, body = ("error", {{"errorType": "Mine", "errorMessage": "no"}}) if event == "fail" else ("response", [event])
    names = ["_HANDLER", "AWS_EXECUTION_ENV", "PARLEY_API_HOSTS"]
    if event == "where":
        body = [os.getcwd(), *map(os.environ.get, names)]
    api.request("POST", f"/2018-06-01/runtime/invocation/{{id}}/{{kind}}", json.dumps(body))
    api.getresponse().read()
"""


@pytest.fixture
async def service(serve):
    """A service with the function `f`, whose executable is the program above."""
    service = await serve({"runtime": "provided.al2023", "handler": "any"}, f="")
    write(service.folder / "f" / "bootstrap", PROGRAM)
    return service


def write(file, content):
    file.write_text(content)
    file.chmod(0o755)


async def test_an_executable_handles_events_and_reports_errors(service):
    assert [await service.answer("f", text) for text in ("a", "b")] == [["a"], ["b"]]
    assert await service.failure("f", "fail") == {"errorType": "Mine", "errorMessage": "no"}
    assert await service.answer("f", "c") == ["c"]
    assert service.lines() == ["got a", "got b", "got fail", "got c"]


async def test_it_runs_in_the_folder_of_its_code_with_lambdas_variables(service):
    assert await service.answer("f", "where") == [str(service.folder / "f"), "any", None, None]


async def test_its_exit_is_the_error_and_the_next_event_gets_a_new_process(service):
    assert "exit status 4" in (await service.failure("f", "exit"))["errorMessage"]
    assert await service.answer("f", 1) == [1]


@pytest.mark.parametrize(
    ("content", "mode", "kind", "message"),
    [
        (None, 0, "Runtime.InvalidEntrypoint", "there is no `bootstrap` in"),
        (PROGRAM, 0o644, "Runtime.InvalidEntrypoint", "is not executable. Run `chmod +x"),
        ("\x7fELF nonsense", 0o755, "Runtime.LaunchError", "Exec format error"),
        ("#!/no/such/program\n", 0o755, "Runtime.LaunchError", "No such file or directory"),
        ("#!/bin/sh\nexit 2\n", 0o755, "Runtime.ExitError", "exit status 2"),
    ],
)
async def test_what_cannot_be_executed_says_why_each_time_and_once_before_the_first_event(
    serve, content, mode, kind, message
):
    service = await serve({"runtime": "provided.al2", "handler": "any"}, f="")
    if content is not None:
        write(service.folder / "f" / "bootstrap", content)
        (service.folder / "f" / "bootstrap").chmod(mode)
    await service.lambda_.warm()
    [note] = service.traced("note")
    assert note["text"].startswith("Function f does not start: ")
    for _ in range(2):
        failed = await service.failure("f")
        assert failed["errorType"] == kind
        assert message in failed["errorMessage"]


async def test_a_connection_of_another_users_is_dropped(service, monkeypatch):
    monkeypatch.setattr(runtime_api, "owner", lambda peer: 4_000_000_000)
    assert (await service.failure("f", 1))["errorType"] == "Runtime.ExitError"


class TestCommand:
    function = Function("f", "app.handler", Path(), 3.0, 128, {})

    def test_the_executable_is_of_the_code_else_of_the_last_layer_that_has_one(self, tmp_path):
        for name in ("code", "one", "two"):
            (tmp_path / name).mkdir()
        code, *layers = (tmp_path / name for name in ("code", "one", "two"))
        function = replace(self.function, runtime="provided", code=code, layers=tuple(layers))
        with pytest.raises(LaunchError, match="no `bootstrap`"):
            command(function)
        for folder in (*layers, code):
            write(folder / "bootstrap", "")
            assert command(function) == (str(folder / "bootstrap"),)

    @pytest.mark.parametrize(
        ("runtime", "version", "options", "flags"),
        [
            ("nodejs18.x", (20, 20), "", ["--max-old-space-size=115"]),
            ("nodejs20.x", (20, 20), "", ["--max-old-space-size=115", "--no-experimental-require-module"]),
            ("nodejs20.x", (20, 9), "", ["--max-old-space-size=115"]),
            (
                "nodejs22.x",
                (24, 1),
                "--max_old_space_size=9 --experimental-require-module",
                ["--no-experimental-detect-module"],
            ),
            ("nodejs24.x", (24, 1), "", ["--max-old-space-size=115"]),
        ],
    )
    def test_node_gets_what_lambdas_runtimes_set_and_the_functions_own_options_win(
        self, runtime, version, options, flags
    ):
        variables = {"NODE_OPTIONS": options}
        interpreter = Interpreter("/bin/node", version)
        function = replace(self.function, runtime=runtime, environment=variables, interpreter=interpreter)
        program, *given, client = command(function)
        assert (program, given, Path(client).name) == ("/bin/node", flags, "main.cjs")

    def test_without_node_there_is_no_command(self):
        function = replace(self.function, runtime="nodejs20.x", interpreter=Interpreter())
        with pytest.raises(LaunchError, match="no Node"):
            command(function)

    def test_the_emulators_own_python_needs_none(self):
        assert command(self.function) == ()
