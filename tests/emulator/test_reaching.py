"""The commands that reach into a running emulator: `parley invoke`, `connections`, `post`, `close`."""

from __future__ import annotations

import json
import re

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support import commands
from tests.support.devices import ROOT, Emulator, free_port
from tests.support.plain_client import PlainClient
from tests.support.waiting import HANGS, until

TEMPLATE = """
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: api, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: beta}}
  Work:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      InlineCode: |
        def handler(event, context):
            print("worked on", event)
            return {"doubled": event["number"] * 2, "word": "двойной"}
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    template = tmp_path_factory.mktemp("template") / "template.yaml"
    template.write_text(TEMPLATE)
    emulator = Emulator(PARLEY_TEMPLATE=str(template))
    yield emulator
    emulator.stop()


@pytest.fixture
def parley(emulator):
    def run(*arguments, typed="", port=emulator.port):
        return commands.run(*arguments, folder=ROOT, variables=commands.environment(port), typed=typed)

    return run


@pytest.fixture
def process(emulator):
    """Runs a command as a process."""

    def run(*arguments, typed=""):
        variables = commands.environment(emulator.port)
        return commands.process(*arguments, folder=ROOT, variables=variables, typed=typed)

    return run


def connection_ids(parley):
    return [line.split("\t")[0] for line in parley("connections").stdout.splitlines()]


class TestInvoke:
    def test_it_prints_what_the_function_returns(self, parley, process, tmp_path):
        (tmp_path / "event.json").write_text('{"number": 4}')
        for run, event, typed, doubled in (
            (parley, '{"number": 3}', "", 6),
            (parley, f"@{tmp_path / 'event.json'}", "", 8),
            (process, "-", '{"number": 5}', 10),
        ):
            done = run("invoke", "Work", event, typed=typed)
            assert (done.returncode, done.stderr) == (0, "")
            assert json.loads(done.stdout) == {"doubled": doubled, "word": "двойной"}

    def test_a_failure_is_exit_code_1_and_what_lambda_says_of_it(self, process):
        done = process("invoke", "Work")
        assert done.returncode == 1
        assert json.loads(done.stdout)["errorType"] == "KeyError"
        assert "Work failed" in done.stderr

    def test_asynchronously_it_waits_for_nothing(self, parley, emulator):
        done = parley("invoke", "--async", "Work", '{"number": 77}')
        assert re.fullmatch(r"Accepted as [\w-]+\.\n", done.stdout)
        until(lambda: any("worked on {'number': 77}" in line for line in emulator.output))

    def test_a_function_that_there_is_not_is_one_message(self, parley):
        done = parley("invoke", "Play")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("parley: There is no function Play.")

    def test_a_name_that_no_function_can_have_is_one_message(self, parley):
        for name in ("", "\udcff"):
            done = parley("invoke", name)
            assert done.returncode == 1
            assert done.stderr.startswith(f"parley: {name!r} cannot be invoked: ")

    def test_an_event_that_is_not_json_is_one_message(self, parley):
        done = parley("invoke", "Work", "{")
        assert done.returncode == 1
        assert "Could not parse request body into json" in done.stderr
        assert "Traceback" not in done.stderr


class TestConnections:
    def test_they_are_listed_while_they_are_open(self, parley, process, emulator):
        assert connection_ids(parley) == []
        first = PlainClient(emulator, "/beta", **{"User-Agent": "phone\x9b2J"})
        second = PlainClient(emulator, "/ws/chat")
        lines = process("connections").stdout.splitlines()
        assert [line.split("\t")[1:3] for line in lines] == [["beta", "127.0.0.1"]] * 2
        assert lines[0].endswith("\tphone�2J")
        first.socket.close()
        until(lambda: len(connection_ids(parley)) == 1)
        second.socket.close()
        until(lambda: connection_ids(parley) == [])

    def test_one_gets_what_is_posted_and_ends_where_it_is_closed(self, parley, process, emulator):
        client = PlainClient(emulator, "/beta")
        [connection_id] = connection_ids(parley)
        assert parley("post", connection_id, "привет").returncode == 0
        assert process("post", connection_id, "-", typed='{"a": 1}').returncode == 0
        assert parley("post", connection_id, "--", "--quiet").returncode == 0
        assert process("post", connection_id, b"a\xff").returncode == 0
        assert [client.socket.recv(HANGS) for _ in range(4)] == ["привет", '{"a": 1}', "--quiet", "a\ufffd"]

        assert process("close", connection_id).returncode == 0
        with pytest.raises(ConnectionClosed):
            client.socket.recv(HANGS)
        assert client.socket.close_code == 1000
        for command in (["post", connection_id, "x"], ["close", connection_id]):
            done = parley(*command)
            assert done.returncode == 1
            assert (
                done.stderr
                == f"parley: No connection {connection_id} is open. `parley connections` lists those that are.\n"
            )


@pytest.mark.parametrize("command", [["invoke", "Work"], ["connections"], ["post", "a", "b"], ["close", "a"]])
def test_without_an_emulator_they_say_so(parley, command):
    port = free_port()
    done = parley(*command, port=port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"parley: No answer from an emulator on port {port}:")
    assert "Traceback" not in done.stderr
