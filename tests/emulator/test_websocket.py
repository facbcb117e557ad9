"""The WebSocket API as a client sees it, with handlers that misbehave (AWS.md sections 2 to 5)."""

import json
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.devices import Device, Emulator

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {CodeUri: ., Timeout: 10}
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: live
      RouteSelectionExpression: $request.body.action
      Routes:
        $connect: {FunctionArn: !GetAtt Connect.Arn}
        $disconnect: {FunctionArn: !GetAtt Disconnect.Arn}
        answer: {FunctionArn: !GetAtt Answer.Arn}
        slow: {FunctionArn: !GetAtt Slow.Arn, IntegrationTimeout: 300}
        killed: {FunctionArn: !GetAtt Killed.Arn}
  Connect: {Type: AWS::Serverless::Function, Properties: {Handler: app.connect}}
  Disconnect: {Type: AWS::Serverless::Function, Properties: {Handler: app.disconnect}}
  Answer: {Type: AWS::Serverless::Function, Properties: {Handler: app.answer}}
  Slow: {Type: AWS::Serverless::Function, Properties: {Handler: app.slow}}
  Killed: {Type: AWS::Serverless::Function, Properties: {Handler: app.slow, Timeout: 1}}
  Web:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.web
      Events:
        One: {Type: HttpApi, Properties: {Method: GET, Path: "/things/{id}"}}
        All: {Type: HttpApi, Properties: {Method: POST, Path: "/files/{path+}"}}
"""

HANDLERS = """
import json, os, time
import boto3

gateway = boto3.client("apigatewaymanagementapi")

def post(event, **content):
    data = json.dumps(content).encode()
    gateway.post_to_connection(ConnectionId=event["requestContext"]["connectionId"], Data=data)

def connect(event, context):
    query = event.get("queryStringParameters") or {}
    if "raise" in query:
        raise RuntimeError("no")
    if "post" in query:
        try:
            post(event, type="too early")
        except gateway.exceptions.GoneException:
            return {"statusCode": 418}
    if "garbage" in query:
        return "garbage"
    answer = {"statusCode": int(query.get("status", 200))}
    if "protocol" in query:
        answer["headers"] = {"Sec-WebSocket-Protocol": query["protocol"]}
    return answer

def disconnect(event, context):
    context = event["requestContext"]
    told = [context["disconnectStatusCode"], context["disconnectReason"]]
    print("DISCONNECTED", context["connectionId"], json.dumps(told))

def answer(event, context):
    body = json.loads(event["body"])
    if body.get("raise"):
        raise RuntimeError("no")
    if body.get("exit"):
        os._exit(3)
    time.sleep(body.get("sleep", 0))
    post(event, type="answer", n=body.get("n"))
    return {"statusCode": body.get("status", 200), "body": "goes nowhere"}

def slow(event, context):
    time.sleep(2)

def web(event, context):
    thing = event["pathParameters"].get("id")
    if thing == "raise":
        raise RuntimeError("no")
    answers = {
        "garbage": {"statusCode": "many"},
        "binary": {"statusCode": 201, "isBase64Encoded": True, "body": "//4="},
        "plain": ["just", "JSON"],
    }
    seen = {"route": event["routeKey"], "parameters": event["pathParameters"], "body": event.get("body")}
    return answers.get(thing, {"statusCode": 200, "headers": {"x-colour": "red"}, "body": json.dumps(seen)})
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory) -> Iterator[Emulator]:
    folder: Path = tmp_path_factory.mktemp("api")
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "app.py").write_text(HANDLERS)
    emulator = Emulator(PARLEY_TEMPLATE=str(folder / "template.yaml"), PARLEY_IDLE_TIMEOUT="1.5", PARLEY_USERS="")
    yield emulator
    emulator.stop()


@pytest.fixture
def device(emulator):
    devices = []

    def connected(query="", **options):
        devices.append(Device(f"ws://127.0.0.1:{emulator.port}/live{query}", **options))
        return devices[-1]

    yield connected
    for each in devices:
        each.socket.close()


def is_the_gateways(frame, message):
    """API Gateway's own frames, to the byte: a space after the first colon and the commas, none elsewhere."""
    pattern = rf'{{"message": "{message}", "connectionId":"[\w-]{{15}}=", "requestId":"[\w-]{{15}}="}}'
    return re.fullmatch(pattern, frame) is not None


class TestHandshake:
    @pytest.mark.parametrize("status", [301, 400, 401, 403, 500, 501])
    def test_a_status_other_than_2xx_refuses_it_with_that_status(self, device, status):
        with pytest.raises(InvalidStatus) as refused:
            device(f"?status={status}")
        assert refused.value.response.status_code == status

    @pytest.mark.parametrize("status", [200, 201, 204])
    def test_2xx_opens_it(self, device, status):
        device(f"?status={status}").socket.ping()

    @pytest.mark.parametrize("query", ["?raise", "?garbage"])
    def test_an_exception_or_no_answer_refuses_it_with_502(self, device, query):
        with pytest.raises(InvalidStatus) as refused:
            device(f"{query}=1")
        assert refused.value.response.status_code == 502

    def test_a_post_before_it_is_done_is_answered_with_410(self, device):
        with pytest.raises(InvalidStatus) as refused:
            device("?post=1")
        assert refused.value.response.status_code == 418

    def test_a_subprotocol_is_chosen_by_the_handler_alone(self, device):
        assert device(subprotocols=["a", "b"]).socket.subprotocol is None
        assert device("?protocol=b", subprotocols=["a", "b"]).socket.subprotocol == "b"

    def test_another_stage_is_forbidden(self, emulator):
        with pytest.raises(InvalidStatus) as refused:
            Device(f"ws://127.0.0.1:{emulator.port}/other")
        assert refused.value.response.status_code == 403


class TestMessages:
    def test_a_handler_that_raises_or_dies_gives_internal_server_error_and_the_connection_lives(self, device):
        client = device()
        for content in ({"action": "answer", "raise": 1}, {"action": "answer", "exit": 1}):
            client.socket.send(json.dumps(content))
            assert is_the_gateways(client.socket.recv(10), "Internal server error")
        client.socket.send('{"action": "answer", "n": 1}')
        assert client.receive("answer")["n"] == 1

    def test_what_a_handler_returns_goes_nowhere(self, device):
        client = device()
        for number, status in enumerate((200, 400, 500)):
            client.socket.send(json.dumps({"action": "answer", "status": status, "n": number}))
            assert client.receive("answer")["n"] == number

    def test_no_route_and_no_default_is_forbidden(self, device):
        client = device()
        client.socket.send('{"action": "dance"}')
        assert is_the_gateways(client.socket.recv(10), "Forbidden")

    def test_an_integration_that_takes_too_long_is_given_up(self, device):
        client = device()
        client.socket.send('{"action": "slow"}')
        assert is_the_gateways(client.socket.recv(10), "Endpoint request timed out")

    def test_a_function_that_outlives_its_own_time_out_is_killed(self, device):
        client = device()
        client.socket.send('{"action": "killed"}')
        assert is_the_gateways(client.socket.recv(10), "Internal server error")

    def test_messages_of_one_connection_run_concurrently(self, device):
        client = device()
        client.socket.send('{"action": "answer", "sleep": 0.5, "n": "slow"}')
        client.socket.send('{"action": "answer", "n": "fast"}')
        assert [client.receive("answer")["n"] for _ in range(2)] == ["fast", "slow"]


def connection_id_of(client):
    """The gateway's own frames name the connection."""
    client.socket.send('{"action": "dance"}')
    return json.loads(client.socket.recv(10))["connectionId"]


class TestEnd:
    def told_of(self, emulator, connection_id):
        """The status and the reason that `$disconnect` was given for a connection."""
        mark = f"DISCONNECTED {connection_id} "
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            for line in emulator.output:
                if mark in line:
                    return json.loads(line.partition(mark)[2])
            time.sleep(0.02)
        raise AssertionError("no $disconnect")

    def test_idle_connections_are_closed_with_1001(self, emulator, device):
        client = device()
        connection_id = connection_id_of(client)
        assert client.closing_code() == 1001
        assert self.told_of(emulator, connection_id) == [1001, "Going away"]

    def test_the_clients_own_status_is_passed_on(self, emulator, device):
        client = device()
        connection_id = connection_id_of(client)
        client.socket.close(4000, "bye")
        assert self.told_of(emulator, connection_id) == [4000, "bye"]

    def test_delete_closes_with_1000_and_tells_disconnect(self, emulator, device):
        client = device()
        connection_id = connection_id_of(client)
        emulator.client("apigatewaymanagementapi").delete_connection(ConnectionId=connection_id)
        assert client.closing_code() == 1000
        assert self.told_of(emulator, connection_id) == [1000, "Connection Closed Normally"]


class TestConnectionsApi:
    def test_its_errors_are_boto3s_own(self, emulator, device):
        gateway = emulator.client("apigatewaymanagementapi")
        client = device()
        connection_id = connection_id_of(client)
        cases = [
            ("AAAAAAAAAAAAAAA=", b"x", "GoneException"),
            (connection_id, b"x" * 131_073, "PayloadTooLargeException"),
            ("not-an-id", b"x", "BadRequestException"),
        ]
        for name, data, code in cases:
            with pytest.raises(gateway.exceptions.ClientError) as failed:
                gateway.post_to_connection(ConnectionId=name, Data=data)
            assert failed.value.response["Error"]["Code"] == code
        gateway.post_to_connection(ConnectionId=connection_id, Data=b"\xff" + b"x" * 131_070)
        assert client.socket.recv(10) == "\ufffd" + "x" * 131_070

    def test_a_request_of_which_only_a_part_came_has_no_effect(self, emulator, device):
        client = device()
        connection_id = connection_id_of(client)
        with socket.create_connection(("127.0.0.1", emulator.port)) as caller:
            head = f"POST /live/@connections/{connection_id} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
            caller.sendall(head.encode() + b"hal")
            # Until the request is being served, so that its end is the end of its body.
            time.sleep(0.1)
        time.sleep(0.1)
        emulator.client("apigatewaymanagementapi").post_to_connection(ConnectionId=connection_id, Data=b"whole")
        assert client.socket.recv(10) == "whole"


class TestHttpApi:
    def call(self, emulator, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{emulator.port}{path}", data=body)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read(), response.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def test_routes_have_parameters(self, emulator):
        status, body, headers = self.call(emulator, "/things/5")
        seen = {"route": "GET /things/{id}", "parameters": {"id": "5"}, "body": None}
        assert (status, json.loads(body), headers["x-colour"]) == (200, seen, "red")
        status, body, _ = self.call(emulator, "/files/a/b.txt", b"hello")
        seen = {"route": "POST /files/{path+}", "parameters": {"path": "a/b.txt"}, "body": "hello"}
        assert (status, json.loads(body)) == (200, seen)

    @pytest.mark.parametrize("thing", ["raise", "garbage"])
    def test_an_exception_or_garbage_is_a_500(self, emulator, thing):
        status, body, _ = self.call(emulator, f"/things/{thing}")
        assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})

    def test_answers_may_be_binary_or_plain_json(self, emulator):
        assert self.call(emulator, "/things/binary")[:2] == (201, b"\xff\xfe")
        assert json.loads(self.call(emulator, "/things/plain")[1]) == ["just", "JSON"]

    @pytest.mark.parametrize("path", ["/", "/things", "/things/5/more", "/files/"])
    def test_without_a_route_there_is_nothing(self, emulator, path):
        status, body, _ = self.call(emulator, path)
        assert (status, json.loads(body)) == (404, {"message": "Not Found"})
