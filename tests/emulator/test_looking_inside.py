"""The commands that look inside a running emulator: `parley trace`, `logs`, `replay`, `save`."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

import pytest

from tests.support import commands
from tests.support.devices import PARLEY, Emulator, free_port
from tests.support.plain_client import PlainClient
from tests.support.waiting import HANGS, until

TEMPLATE = """
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      Routes:
        $connect: {FunctionArn: !GetAtt Echo.Arn}
        $default: {FunctionArn: !GetAtt Echo.Arn}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      Policies: [Statement: [{Effect: Allow, Action: execute-api:*, Resource: "*"}]]
      Environment: {Variables: {API_KEY: the key of this function}}
      InlineCode: |
        import json, os, boto3
        def handler(event, context):
            if "number" in event:
                return {"doubled": event["number"] * 2}
            request = event["requestContext"]
            if request["eventType"] == "MESSAGE":
                body = json.loads(event["body"])
                print("working on", body["text"])
                if body["text"] == "fail":
                    raise ValueError("failed as asked")
                url = f"https://{request['domainName']}/{request['stage']}"
                client = boto3.client("apigatewaymanagementapi", endpoint_url=url)
                answer = json.dumps({"echo": body["text"], "key": os.environ["API_KEY"]})
                client.post_to_connection(ConnectionId=request["connectionId"], Data=answer)
            return {"statusCode": 200}
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    template = tmp_path_factory.mktemp("template") / "template.yaml"
    template.write_text(TEMPLATE)
    emulator = Emulator(PARLEY_TEMPLATE=str(template), PARLEY_RECORD="1")
    yield emulator
    emulator.stop()


@pytest.fixture
def said(emulator):
    """Sends a message on a connection of its own that has a token, and gives the frame that answers it.

    The function ends after its answer has come. All that is traced of the message is there.
    """
    clients = []

    def handled():
        return sum(" route " in line and " $default " in line for line in emulator.output)

    def say(text, **more):
        before = handled()
        clients.append(PlainClient(emulator, "/ws/chat?token=open-sesame", Authorization="Bearer open-sesame"))
        answer = json.loads(clients[-1].ask(json.dumps({"text": text, **more})))
        until(lambda: handled() > before)
        return answer

    yield say
    for each in clients:
        each.socket.close()


@pytest.fixture
def parley(emulator, tmp_path):
    def run(*arguments, port=emulator.port, **variables):
        return commands.run(*arguments, folder=tmp_path, variables=commands.environment(port, **variables))

    return run


@pytest.fixture
def process(emulator, tmp_path):
    """Runs a command as a process."""

    def run(*arguments):
        return commands.process(*arguments, folder=tmp_path, variables=commands.environment(emulator.port))

    return run


@pytest.fixture
def following(emulator):
    """Starts a command that follows the emulator, and gives the function that reads its next line."""
    started = []

    def start(*arguments):
        command = [PARLEY, *arguments, "--port", str(emulator.port)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1].stdout.readline

    yield start
    for each in started:
        each.kill()
        each.communicate()


def events(parley, *arguments):
    return [json.loads(line) for line in parley("trace", "--once", "--json", *arguments).stdout.splitlines()]


def last_start(parley):
    """The start of the invocation for the last message."""
    starts = events(parley, "--kind", "start", "--payloads")
    return [each for each in starts if "body" in each.get("content", {}).get("event", {})][-1]


class TestTrace:
    def test_the_start_says_that_payloads_are_recorded(self, emulator):
        assert any(line.startswith("  Record ") for line in emulator.output)

    def test_it_follows_one_connection_from_its_event_to_its_post(self, parley, said):
        said("hello")
        connection = last_start(parley)["connection_id"]
        kinds = [each["kind"] for each in events(parley, "--connection", connection)]
        assert [each for each in kinds if each in ("start", "log", "post", "end", "route")][-5:] == [
            *("start", "log", "post", "end", "route")
        ]
        [post] = events(parley, "--connection", connection, "--kind", "post")
        assert post["function"] == "Echo"
        assert post["request_id"] == last_start(parley)["request_id"]

    def test_a_line_has_the_number_for_a_replay(self, parley, said):
        said("hello")
        number = last_start(parley)["number"]
        lines = parley("trace", "--once").stdout.splitlines()
        assert any(line.split()[0] == str(number) and "start" in line for line in lines)

    def test_payloads_are_shown_without_what_is_secret(self, parley, said):
        assert said("hello", token="a token of a user")["key"] == "the key of this function"
        shown = parley("trace", "--once", "--payloads").stdout
        assert '"echo": "hello"' in shown
        for secret in ("open-sesame", "a token of a user", "the key of this function"):
            assert secret not in shown

    def test_errors_are_found(self, parley, said):
        said("fail")
        found = events(parley, "--errors", "--function", "Echo")
        assert {"end", "route"} <= {each["kind"] for each in found}
        assert all(each.get("error") or each["kind"] == "log" or each.get("status", 0) >= 400 for each in found)

    def test_it_is_live(self, following, said):
        said("before it follows")
        line = following("trace", "--json", "--payloads", "--kind", "post")
        while "before it follows" not in line():
            pass
        said("while it follows")
        post = json.loads(line())
        assert (post["kind"], post["content"]["data"]["echo"]) == ("post", "while it follows")

    def test_without_an_emulator_it_says_so_in_one_line(self, parley):
        done = parley("trace", port=free_port())
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "Start it with `parley up`" in done.stderr


class TestLogs:
    def test_it_prints_what_functions_print(self, parley, said):
        said("hello")
        assert "Echo │ working on hello" in parley("logs").stdout

    def test_it_follows(self, following, said):
        line = following("logs", "-f", "--function", "Echo")
        said("a text of this test")
        while "a text of this test" not in line():
            pass


class TestReplay:
    def test_the_function_gets_the_event_again(self, parley, process, said):
        said("hello")
        done = process("replay", str(last_start(parley)["number"]))
        assert (done.returncode, done.stdout) == (0, '{"statusCode": 200}\n')

    def test_a_request_id_is_enough(self, parley, said):
        said("hello")
        assert parley("replay", last_start(parley)["request_id"][:8]).returncode == 0

    def test_an_edited_event_is_run(self, parley, said):
        said("hello")
        editor = f"{sys.executable} -c \"import sys; open(sys.argv[1], 'w').write('{{\\\"number\\\": 21}}')\""
        done = parley("replay", str(last_start(parley)["number"]), "--edit", EDITOR=editor)
        assert (done.returncode, done.stdout) == (0, '{"doubled": 42}\n'), done.stderr

    @pytest.mark.parametrize(
        "editor", ["true", "false", f"{sys.executable} -c \"import sys; open(sys.argv[1], 'w').write('no')\""]
    )
    def test_what_the_editor_does_not_save_whole_is_not_run(self, parley, said, editor):
        said("hello")
        before = len(events(parley, "--kind", "start"))
        done = parley("replay", str(last_start(parley)["number"]), "--edit", EDITOR=editor)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert len(events(parley, "--kind", "start")) == before

    def test_a_function_that_fails_is_the_exit_code(self, parley, process, said):
        said("fail")
        done = process("replay", str(last_start(parley)["number"]))
        assert done.returncode == 1
        assert json.loads(done.stdout)["errorMessage"] == "failed as asked"
        assert "Echo failed (Unhandled)" in done.stderr

    def test_what_was_redacted_is_told(self, parley, said):
        said("hello")
        starts = events(parley, "--kind", "start", "--payloads")
        [*_, connect] = [each for each in starts if "queryStringParameters" in each.get("content", {}).get("event", {})]
        done = parley("replay", str(connect["number"]))
        assert "The function gets no headers.Authorization" in done.stderr
        assert "queryStringParameters.token" in done.stderr

    def test_one_that_there_is_not_is_one_line(self, parley):
        done = parley("replay", "99999999")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "is no invocation in the trace" in done.stderr


class TestSave:
    def test_the_event_is_a_fixture_that_invoke_takes(self, parley, process, said, tmp_path):
        said("hello")
        number = str(last_start(parley)["number"])
        assert process("save", number, "tests/events/message.json").returncode == 0
        event = json.loads((tmp_path / "tests" / "events" / "message.json").read_text())
        assert json.loads(event["body"]) == {"text": "hello"}
        assert parley("invoke", "Echo", "@tests/events/message.json").stdout == '{"statusCode": 200}\n'

    def test_a_file_that_is_there_stays(self, parley, said, tmp_path):
        said("hello")
        number = str(last_start(parley)["number"])
        (tmp_path / "mine.json").write_text("mine")
        done = parley("save", number, "mine.json")
        assert (done.returncode, "--force" in done.stderr) == (1, True)
        assert (tmp_path / "mine.json").read_text() == "mine"
        assert parley("save", number, "mine.json", "--force").returncode == 0

    def test_a_place_that_cannot_be_written_is_one_line(self, parley, said, tmp_path):
        said("hello")
        (tmp_path / "file").write_text("")
        done = parley("save", str(last_start(parley)["number"]), "file/event.json")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_without_recording_there_is_no_payload_and_the_next_step_is_said(tmp_path):
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    emulator = Emulator(PARLEY_TEMPLATE=str(tmp_path / "template.yaml"))
    try:
        PlainClient(emulator, "/ws/chat").ask('{"text": "hello"}')
        with urllib.request.urlopen(f"{emulator.url}/_parley/trace?payloads=1", timeout=HANGS) as answer:
            found = json.load(answer)
        assert "hello" not in json.dumps([each for each in found if each["kind"] != "log"])
        number = next(each["number"] for each in found if each["kind"] == "start")
        for command in (["replay", str(number)], ["save", str(number), str(tmp_path / "event.json")]):
            done = commands.run(*command, folder=tmp_path, variables=commands.environment(emulator.port))
            assert (done.returncode, "--record" in done.stderr) == (1, True)
    finally:
        emulator.stop()
