"""The plan of faults, through a running emulator: what breaks around a function, and what its caller then sees."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.support.devices import PARLEY, ROOT, Device, Emulator, free_port

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    CodeUri: .
    Timeout: 20
    Environment: {Variables: {TABLE: !Ref Rows}}
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes:
        $connect: {FunctionArn: !GetAtt Gate.Arn}
        $disconnect: {FunctionArn: !GetAtt Gate.Arn}
        $default: {FunctionArn: !GetAtt Gate.Arn}
  Gate: {Type: AWS::Serverless::Function, Properties: {Handler: app.gate}}
  Worker: {Type: AWS::Serverless::Function, Properties: {Handler: app.work}}
  Caller: {Type: AWS::Serverless::Function, Properties: {Handler: app.call}}
  Hasty: {Type: AWS::Serverless::Function, Properties: {Handler: app.call, Timeout: 1}}
  Rows:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
"""

HANDLERS = """
import json, os
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

once = Config(retries={"total_max_attempts": 1})
clients = {name: boto3.client(name, config=once) for name in ("dynamodb", "lambda", "apigatewaymanagementapi")}

def note(row, request_id):
    clients["dynamodb"].update_item(
        TableName=os.environ["TABLE"], Key={"id": {"S": row}}, UpdateExpression="ADD runs :one, requests :request",
        ExpressionAttributeValues={":one": {"N": "1"}, ":request": {"SS": [request_id]}},
    )

def gate(event, context):
    connection = event["requestContext"]["connectionId"]
    note(f"{event['requestContext']['eventType']} {connection}", context.aws_request_id)
    if event.get("body") == "who":
        clients["apigatewaymanagementapi"].post_to_connection(ConnectionId=connection, Data=connection)
    return {"statusCode": 403 if "refuse" in (event.get("queryStringParameters") or {}) else 200}

def work(event, context):
    note(event["row"], context.aws_request_id)

def call(event, context):
    try:
        getattr(clients[event["service"]], event["method"])(**event["arguments"])
        return "answered"
    except ClientError as error:
        return error.response["Error"]["Code"]
    except BotoCoreError as error:
        return type(error).__name__
"""

AT_START = {"faults": [{"point": "store", "do": "500", "times": None}]}
ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=10)


class Faulty(Emulator):
    """An emulator with a plan of faults, and what tests ask of it. Rows tell what the functions have done."""

    def __init__(self, folder: Path, plan: object, **variables: str) -> None:
        (folder / "template.yaml").write_text(TEMPLATE)
        (folder / "app.py").write_text(HANDLERS)
        (folder / "faults.json").write_text(json.dumps(plan))
        files = {"PARLEY_TEMPLATE": str(folder / "template.yaml"), "PARLEY_FAULTS": str(folder / "faults.json")}
        super().__init__(**files, **variables, PARLEY_USERS="", PARLEY_RETRY_DELAY="0.05")
        self.dynamodb = self.client("dynamodb", config=ONCE)
        self.lambda_ = self.client("lambda", config=ONCE)
        self.management = self.client("apigatewaymanagementapi", config=ONCE)

    def request(self, method: str, path: str, content: object = None) -> tuple[int, dict]:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.url}{path}", body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def plan(self, *faults: dict) -> None:
        status, answer = self.request("PUT", "/_parley/faults", {"faults": list(faults)})
        assert status == 200, answer

    def hits(self) -> list[int]:
        return [fault["hits"] for fault in self.request("GET", "/_parley/faults")[1]["faults"]]

    def invoke(self, function: str, **event: object) -> object:
        """What a function answers, or the type of its error."""
        answer = self.lambda_.invoke(FunctionName=function, Payload=json.dumps(event))
        payload = json.load(answer["Payload"])
        return payload["errorType"] if "FunctionError" in answer else payload

    def send_event(self, row: str) -> int:
        payload = json.dumps({"row": row})
        return self.lambda_.invoke(FunctionName="Worker", InvocationType="Event", Payload=payload)["StatusCode"]

    def row(self, name: str) -> dict:
        return self.dynamodb.get_item(TableName="Rows", Key={"id": {"S": name}}, ConsistentRead=True).get("Item", {})

    def runs(self, row: str) -> int:
        return int(self.row(row).get("runs", {"N": "0"})["N"])

    def model(self) -> dict:
        return self.request("GET", "/_parley/model")[1]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    emulator = Faulty(tmp_path_factory.mktemp("api"), AT_START)
    emulator.plan_at_start = emulator.request("GET", "/_parley/faults")[1]
    yield emulator
    emulator.stop()
    assert not [line for line in emulator.output if "Traceback" in line or "ASGI" in line]


@pytest.fixture
def emulator(running):
    running.plan()
    yield running
    running.plan()


@pytest.fixture(scope="module")
def other(running, tmp_path_factory):
    """An emulator whose functions run inline, on the DynamoDB of the first one."""
    running.plan()
    upstream = f"{running.url}/_parley/dynamodb"
    other = Faulty(tmp_path_factory.mktemp("inline"), {}, PARLEY_DYNAMODB=upstream, PARLEY_FUNCTIONS="inline")
    yield other
    other.stop()


@pytest.fixture
def row(request):
    return request.node.name


@pytest.fixture
def connect(running):
    devices = []

    def connected(query=""):
        devices.append(Device(f"ws://127.0.0.1:{running.port}/live{query}"))
        return devices[-1]

    yield connected
    for each in devices:
        each.socket.close()


def connection_id(device):
    device.socket.send("who")
    return device.socket.recv(10)


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def outcome(call, **arguments):
    """What a call came to: `answered`, the code of the error, or the name of what went wrong below HTTP."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    except ConnectionClosedError:
        return "cut"
    return "answered"


def put(row):
    return {"TableName": "Rows", "Item": {"id": {"S": row}, "runs": {"N": "1"}}}


class TestPlan:
    def test_it_is_read_at_the_start_and_spares_the_emulators_own_calls(self, running):
        assert [(fault["do"], fault["hits"]) for fault in running.plan_at_start["faults"]] == [("500", 0)]

    def test_it_is_replaced_added_to_and_read_while_the_emulator_runs(self, emulator):
        emulator.plan({"point": "store", "do": "500"})
        status, answer = emulator.request("POST", "/_parley/faults", {"faults": [{"point": "post", "do": "410"}]})
        assert (status, [fault["point"] for fault in answer["faults"]]) == (200, ["store", "post"])
        emulator.plan({"point": "run", "do": "kill"})
        assert [fault["point"] for fault in emulator.request("GET", "/_parley/faults")[1]["faults"]] == ["run"]

    @pytest.mark.parametrize("method", ["PUT", "POST"])
    @pytest.mark.parametrize(
        ("plan", "said"),
        [
            ({"faults": [{"point": "moon", "do": "500"}]}, "no point 'moon'"),
            ({"faults": [{"point": ["post"], "do": "500"}]}, "no point ['post']"),
            ({"faults": [{"point": "run", "do": "410"}]}, "cannot be done at run"),
            ({"faults": [{"point": "post", "do": "delay", "seconds": float("inf")}]}, "seconds"),
            ({"faults": [{"point": "post", "do": "500", "after": "yes"}]}, "after"),
        ],
    )
    def test_a_bad_one_is_refused_and_changes_nothing(self, emulator, method, plan, said):
        emulator.plan({"point": "post", "do": "410"})
        status, answer = emulator.request(method, "/_parley/faults", plan)
        assert (status, said in answer["message"]) == (400, True)
        assert emulator.hits() == [0]

    def test_other_methods_are_refused(self, emulator):
        assert emulator.request("DELETE", "/_parley/faults")[0] == 405

    @pytest.mark.parametrize(
        ("plan", "variables", "said"),
        [
            ("{", {}, "not JSON"),
            (None, {}, "No such file"),
            ("{}", {"PARLEY_DYNAMODB": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "AKIA0"}, "AWS_ACCESS_KEY_ID"),
        ],
    )
    def test_what_keeps_the_emulator_from_starting_is_one_message(self, tmp_path, plan, variables, said):
        file = tmp_path / "faults.json"
        if plan is not None:
            file.write_text(plan)
        environment = {"PATH": os.environ["PATH"], "PORT": str(free_port()), "PARLEY_FAULTS": str(file)} | variables
        ended = subprocess.run(
            [PARLEY, "up"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
        assert said in ended.stderr

    def test_without_one_there_are_no_routes_for_it(self, tmp_path):
        (tmp_path / "template.yaml").write_text(TEMPLATE)
        (tmp_path / "app.py").write_text(HANDLERS)
        plain = Emulator(PARLEY_TEMPLATE=str(tmp_path / "template.yaml"), PARLEY_USERS="")
        try:
            for path in ("faults", "model"):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    urllib.request.urlopen(f"{plain.url}/_parley/{path}", timeout=10)
        finally:
            plain.stop()


class TestEvents:
    def test_a_connect_that_is_dropped_opens_the_connection_unseen(self, emulator, connect):
        emulator.plan({"point": "connect", "do": "drop", "match": ["Gate", "refuse"]})
        opened = connection_id(connect("?refuse=1"))
        assert emulator.runs(f"CONNECT {opened}") == 0
        assert emulator.hits() == [1]

    def test_a_message_that_is_dropped_runs_nothing(self, emulator, connect):
        device = connect()
        emulator.plan({"point": "message", "do": "drop", "match": '"body": "first"'})
        device.socket.send("first")
        opened = connection_id(device)
        assert emulator.hits() == [1]
        assert emulator.runs(f"MESSAGE {opened}") == 1

    def test_a_message_twice_is_two_invocations(self, emulator, connect):
        device = connect()
        opened = connection_id(device)
        emulator.plan({"point": "message", "do": "twice", "match": opened})
        device.socket.send("again")
        until(lambda: emulator.runs(f"MESSAGE {opened}") == 3)
        assert len(emulator.row(f"MESSAGE {opened}")["requests"]["SS"]) == 3

    def test_a_message_that_is_delayed_is_overtaken(self, emulator, connect):
        device = connect()
        emulator.plan({"point": "message", "do": "delay", "seconds": 0.5, "match": "slow"})
        device.socket.send("slow")
        opened = connection_id(device)
        assert emulator.hits() == [1]
        assert emulator.runs(f"MESSAGE {opened}") == 1
        until(lambda: emulator.runs(f"MESSAGE {opened}") == 2)

    def test_a_disconnect_that_is_dropped_never_comes(self, emulator, connect):
        lost, seen = connect(), connect()
        lost_id, seen_id = connection_id(lost), connection_id(seen)
        emulator.plan({"point": "disconnect", "do": "drop", "match": lost_id})
        lost.socket.close()
        until(lambda: emulator.hits() == [1])
        seen.socket.close()
        until(lambda: emulator.runs(f"DISCONNECT {seen_id}") == 1)
        assert emulator.runs(f"DISCONNECT {lost_id}") == 0

    def test_a_disconnect_can_come_twice(self, emulator, connect):
        device = connect()
        opened = connection_id(device)
        emulator.plan({"point": "disconnect", "do": "twice", "match": opened})
        device.socket.close()
        until(lambda: emulator.runs(f"DISCONNECT {opened}") == 2)


class TestInvoke:
    def test_an_event_that_is_lost_was_accepted(self, emulator, row):
        emulator.plan({"point": "invoke", "do": "lose", "match": ["Worker", row]})
        assert [emulator.send_event(row), emulator.send_event(row)] == [202, 202]
        until(lambda: emulator.runs(row) == 1)
        assert emulator.hits() == [1]

    def test_an_event_twice_has_one_request_id(self, emulator, row):
        emulator.plan({"point": "invoke", "do": "twice"})
        assert emulator.send_event(row) == 202
        until(lambda: emulator.runs(row) == 2)
        assert len(emulator.row(row)["requests"]["SS"]) == 1

    def test_an_event_that_is_delayed_is_accepted_at_once(self, emulator, row):
        emulator.plan({"point": "invoke", "do": "delay", "seconds": 0.5})
        assert emulator.send_event(row) == 202
        assert emulator.runs(row) == 0
        until(lambda: emulator.runs(row) == 1)

    @pytest.mark.parametrize(("do", "code"), [("429", "TooManyRequestsException"), ("500", "ServiceException")])
    def test_it_is_refused(self, emulator, row, do, code):
        emulator.plan({"point": "invoke", "do": do})
        assert outcome(lambda: emulator.send_event(row)) == code
        assert (emulator.runs(row), emulator.send_event(row)) == (0, 202)

    def test_those_that_are_waited_for_are_spared(self, emulator, row):
        emulator.plan({"point": "invoke", "do": "500", "times": None})
        emulator.invoke("Worker", row=row)
        assert (emulator.runs(row), emulator.hits()) == (1, [0])


class TestRun:
    def test_an_environment_that_is_killed_has_done_nothing(self, emulator, row):
        emulator.plan({"point": "run", "do": "kill", "match": ["Worker", row]})
        assert emulator.invoke("Worker", row=row) == "Runtime.ExitError"
        assert (emulator.runs(row), emulator.hits()) == (0, [1])

    def test_the_next_attempt_of_an_event_is_another_opportunity(self, emulator, row):
        emulator.plan({"point": "run", "do": "kill", "match": row, "times": 2})
        emulator.send_event(row)
        until(lambda: emulator.runs(row) == 1)
        assert emulator.hits() == [2]

    def test_one_that_is_frozen_goes_on(self, emulator, row):
        emulator.plan({"point": "run", "do": "freeze", "seconds": 0.2, "match": row})
        assert emulator.invoke("Worker", row=row) is None
        assert (emulator.runs(row), emulator.hits()) == (1, [1])

    def test_one_that_is_frozen_too_long_times_out(self, emulator, row):
        emulator.plan({"point": "run", "do": "freeze", "seconds": 60, "match": row})
        event = {"service": "dynamodb", "method": "put_item", "arguments": put(row)}
        assert emulator.invoke("Hasty", **event) == "Sandbox.Timedout"
        assert emulator.runs(row) == 0


class TestPost:
    @pytest.mark.parametrize(
        ("do", "came_to", "delivered"),
        [
            ("410", "GoneException", 0),
            ("429", "LimitExceededException", 0),
            ("500", "InternalServerErrorException", 0),
            ("hang", "cut", 0),
            ("reset", "cut", 0),
            ("lose", "answered", 0),
            ("deliver-410", "GoneException", 1),
            ("deliver-500", "InternalServerErrorException", 1),
            ("deliver-reset", "cut", 1),
            ("delay", "answered", 1),
            ("twice", "answered", 2),
        ],
    )
    def test_what_its_sender_and_its_receiver_see(self, emulator, connect, do, came_to, delivered):
        device = connect()
        opened = connection_id(device)
        emulator.plan({"point": "post", "do": do, "match": [opened, "hello"], "seconds": 0.1})
        post = emulator.management.post_to_connection
        assert outcome(post, ConnectionId=opened, Data="hello") == came_to
        assert outcome(post, ConnectionId=opened, Data="end") == "answered"
        assert [device.socket.recv(10) for _ in range(delivered + 1)] == ["hello"] * delivered + ["end"]
        assert emulator.hits() == [1]

    def test_an_error_after_its_effect(self, emulator, connect):
        device = connect()
        opened = connection_id(device)
        emulator.plan({"point": "post", "do": "429", "after": True, "match": opened})
        code = outcome(emulator.management.post_to_connection, ConnectionId=opened, Data="hello")
        assert (code, device.socket.recv(10)) == ("LimitExceededException", "hello")

    def test_other_connections_and_other_calls_are_spared(self, emulator, connect):
        struck, spared = connection_id(connect()), connection_id(connect())
        emulator.plan({"point": "post", "do": "500", "match": struck, "times": None})
        assert outcome(emulator.management.post_to_connection, ConnectionId=spared, Data="hello") == "answered"
        assert outcome(emulator.management.get_connection, ConnectionId=struck) == "answered"
        assert emulator.hits() == [0]


class TestStore:
    @pytest.mark.parametrize(
        ("do", "came_to", "stored"),
        [
            ("throttle", "ProvisionedThroughputExceededException", 0),
            ("conflict", "TransactionConflictException", 0),
            ("500", "InternalServerError", 0),
            ("lose", "cut", 0),
            ("hang", "cut", 0),
            ("cut", "cut", 1),
            ("delay", "answered", 1),
        ],
    )
    def test_what_a_write_comes_to(self, emulator, row, do, came_to, stored):
        emulator.plan({"point": "store", "do": do, "match": ["PutItem", row], "seconds": 0.1})
        assert outcome(emulator.dynamodb.put_item, **put(row)) == came_to
        assert (emulator.runs(row), emulator.hits()) == (stored, [1])

    def test_a_transaction_in_conflict_names_a_reason_for_each_item(self, emulator, row):
        emulator.plan({"point": "store", "do": "conflict", "match": ["TransactWriteItems", row]})
        items = [{"Put": put(f"{row} {number}")} for number in range(2)]
        with pytest.raises(ClientError) as caught:
            emulator.dynamodb.transact_write_items(TransactItems=items)
        assert caught.value.response["Error"]["Code"] == "TransactionCanceledException"
        assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == [
            "TransactionConflict"
        ] * 2
        assert emulator.runs(f"{row} 0") == 0

    def test_one_function_alone_can_be_hit(self, emulator, row):
        emulator.plan({"point": "store", "do": "500", "match": ["Caller", "PutItem"], "times": None})
        event = {"service": "dynamodb", "method": "put_item", "arguments": put(row)}
        assert outcome(emulator.dynamodb.put_item, **put(row)) == "answered"
        assert (emulator.invoke("Caller", **event), emulator.invoke("Hasty", **event)) == (
            "InternalServerError",
            "answered",
        )


class TestCaller:
    """What befalls the process that makes a call, at each point where functions make calls."""

    @pytest.fixture(params=["store", "invoke", "post"])
    def call(self, request, emulator, connect, row):
        """The event of a function that makes the call, the point, and how often the call has had its effect."""
        if request.param == "store":
            service, method, arguments = "dynamodb", "put_item", put(row)
        elif request.param == "invoke":
            payload = json.dumps({"row": row})
            service, method = "lambda", "invoke"
            arguments = {"FunctionName": "Worker", "InvocationType": "Event", "Payload": payload}
        else:
            device = connect()
            opened = connection_id(device)
            service, method, arguments = "apigatewaymanagementapi", "post_to_connection", {"ConnectionId": opened}
            arguments["Data"] = "hello"

        def effects():
            if request.param != "post":
                return emulator.runs(row)
            emulator.management.post_to_connection(ConnectionId=opened, Data="end")
            return sum(1 for _ in iter(lambda: device.socket.recv(10), "end"))

        return {"service": service, "method": method, "arguments": arguments}, request.param, effects

    def test_a_kill_comes_before_the_effect(self, emulator, call):
        event, point, effects = call
        emulator.plan({"point": point, "do": "kill", "match": "Caller"})
        assert emulator.invoke("Caller", **event) == "Runtime.ExitError"
        assert (effects(), emulator.hits()) == (0, [1])

    def test_a_kill_after_comes_after_the_effect(self, emulator, call):
        event, point, effects = call
        emulator.plan({"point": point, "do": "kill-after", "match": "Caller"})
        assert emulator.invoke("Caller", **event) == "Runtime.ExitError"
        if point == "invoke":
            until(lambda: effects() == 1)
        assert (effects(), emulator.hits()) == (1, [1])

    def test_a_frozen_caller_goes_on_with_the_answer(self, emulator, call):
        event, point, _ = call
        emulator.plan({"point": point, "do": "freeze", "seconds": 0.2, "match": "Caller"})
        assert emulator.invoke("Caller", **event) == "answered"
        assert emulator.hits() == [1]

    def test_the_call_of_a_frozen_caller_has_its_effect_meanwhile(self, emulator, call):
        event, point, effects = call
        emulator.plan({"point": point, "do": "freeze", "seconds": 60, "match": "Hasty"})
        assert emulator.invoke("Hasty", **event) == "Sandbox.Timedout"
        assert effects() == 1

    def test_who_is_no_function_is_spared(self, emulator, row):
        emulator.plan({"point": "store", "do": "kill", "match": row})
        assert outcome(emulator.dynamodb.put_item, **put(row)) == "answered"
        assert emulator.runs(row) == 1


class TestElsewhere:
    """Functions that run inline, on a DynamoDB of another process."""

    @pytest.mark.parametrize(("do", "came_to", "stored"), [("lose", "cut", 0), ("cut", "cut", 1), ("500", None, 0)])
    def test_what_functions_store_passes_through_the_emulator(self, other, emulator, row, do, came_to, stored):
        other.plan({"point": "store", "do": do, "match": row})
        event = {"service": "dynamodb", "method": "put_item", "arguments": put(row)}
        expected = {"cut": "ConnectionClosedError", None: "InternalServerError"}[came_to]
        assert other.invoke("Caller", **event) == expected
        assert emulator.runs(row) == stored
        assert other.invoke("Caller", **event) == "answered"
        assert emulator.runs(row) == 1

    @pytest.mark.parametrize("fault", [("store", "kill"), ("store", "freeze"), ("run", "kill")])
    def test_functions_without_a_process_are_spared_and_the_log_says_so(self, other, emulator, row, fault):
        point, do = fault
        other.plan({"point": point, "do": do, "match": row})
        event = {"service": "dynamodb", "method": "put_item", "arguments": put(row)}
        assert other.invoke("Caller", **event) == "answered"
        assert (emulator.runs(row), other.hits()) == (1, [1])
        until(lambda: any(f"Fault {do} at {point} is not possible" in line for line in other.output))


class TestModel:
    @pytest.fixture
    def client(self, emulator):
        with openai.OpenAI(api_key="any", base_url=f"{emulator.url}/v1", max_retries=0, timeout=1) as client:
            yield client

    def stream(self, client, **options):
        return client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hello"}], stream=True, **options
        )

    def read(self, client, **options):
        """The pieces of an answer, and the reason why it ended."""
        pieces, reason = [], None
        for chunk in self.stream(client, **options):
            for choice in chunk.choices or []:
                pieces.append((choice.delta.content if choice.delta else None) or "")
                reason = reason or choice.finish_reason
        return "".join(pieces), reason

    @pytest.mark.parametrize("status", [401, 429, 500, 503])
    def test_it_answers_with_a_status(self, emulator, client, status):
        emulator.plan({"point": "model", "do": str(status), "match": "Hello"})
        with pytest.raises(openai.APIStatusError) as caught:
            self.read(client)
        assert caught.value.status_code == status
        assert self.read(client)[1] == "stop"

    @pytest.mark.parametrize("do", ["stall", "stall-mid"])
    def test_it_stalls_until_its_client_leaves(self, emulator, client, do):
        before = emulator.model()
        emulator.plan({"point": "model", "do": do})
        with pytest.raises(openai.APITimeoutError):
            self.read(client)
        until(lambda: emulator.model()["open"] == 0)
        gone = Counter(emulator.model()) - Counter(before)
        assert gone == {"requests": 1, "abandoned": 1}

    def test_a_cut_is_an_error_of_the_connection(self, emulator, client):
        emulator.plan({"point": "model", "do": "cut"})
        stream = self.stream(client)
        assert next(stream).choices[0].delta.role == "assistant"
        with pytest.raises(openai.APIConnectionError):
            list(stream)

    @pytest.mark.parametrize("do", ["close", "html", "empty"])
    def test_it_can_end_without_a_reason(self, emulator, client, do):
        whole = self.read(client)[0]
        emulator.plan({"point": "model", "do": do})
        text, reason = self.read(client)
        assert (reason, whole.startswith(text), len(text) < len(whole)) == (None, True, True)
        assert bool(text) == (do == "close")
        assert emulator.hits() == [1]

    def test_an_error_can_come_as_an_event(self, emulator, client):
        emulator.plan({"point": "model", "do": "error-event"})
        with pytest.raises(openai.APIError, match="overloaded"):
            self.read(client)

    @pytest.mark.parametrize("do", ["unknown-event", "broken-json"])
    def test_it_can_send_what_nobody_expects(self, emulator, do):
        emulator.plan({"point": "model", "do": do})
        body = json.dumps({"stream": True, "messages": [{"role": "user", "content": "Hello"}]}).encode()
        with urllib.request.urlopen(f"{emulator.url}/v1/chat/completions", body, timeout=10) as response:
            last = response.read().decode().strip().split("\n\n")[-1]
        assert last.startswith({"unknown-event": "event: error\ndata: ", "broken-json": 'data: {"choices": ['}[do])

    @pytest.mark.parametrize(("do", "reason"), [("blank", "stop"), ("filter", "content_filter"), ("length", "length")])
    def test_it_can_end_early_for_a_reason(self, emulator, client, do, reason):
        whole = self.read(client)[0]
        emulator.plan({"point": "model", "do": do})
        text, ended = self.read(client)
        assert (ended, whole.startswith(text), len(text) < len(whole)) == (reason, True, True)
        assert bool(text) == (do != "blank")

    def test_an_odd_server_says_the_same(self, emulator, client):
        whole = self.read(client)
        emulator.plan({"point": "model", "do": "odd"})
        assert self.read(client) == whole

    def test_a_server_without_usage_refuses_those_who_ask_for_it(self, emulator, client):
        emulator.plan({"point": "model", "do": "no-usage-option", "times": None})
        with pytest.raises(openai.BadRequestError, match="stream_options"):
            self.read(client, stream_options={"include_usage": True})
        assert self.read(client)[1] == "stop"

    def test_a_huge_answer_is_two_million_characters(self, emulator, client):
        emulator.plan({"point": "model", "do": "huge"})
        text, reason = self.read(client)
        assert (len(text), reason) == (2_000_000, "stop")

    def test_a_character_can_come_in_two_halves(self, emulator, client):
        emulator.plan({"point": "model", "do": "surrogate"})
        text, reason = self.read(client)
        assert (text, reason) == ("\ud83d\ude42!", "stop")

    @pytest.mark.parametrize("stream", [True, False])
    def test_a_delayed_answer_is_whole(self, emulator, client, stream):
        emulator.plan({"point": "model", "do": "delay", "seconds": 0.1})
        messages = [{"role": "user", "content": "Hello"}]
        answer = client.chat.completions.create(model="m", messages=messages, stream=stream)
        last = list(answer)[-1] if stream else answer
        assert (last.choices[0].finish_reason, emulator.hits()) == ("stop", [1])

    def test_an_open_stream_is_counted_until_it_is_closed(self, emulator, client):
        emulator.plan({"point": "model", "do": "stall-mid"})
        stream = self.stream(client)
        next(iter(stream))
        assert emulator.model()["open"] == 1
        stream.close()
        until(lambda: emulator.model()["open"] == 0)
