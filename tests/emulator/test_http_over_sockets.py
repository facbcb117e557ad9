"""An HTTP API as a client sees it, with a handler that misbehaves."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support.devices import Emulator
from tests.support.served import RawClient, upgrade
from tests.support.waiting import HANGS

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {CodeUri: ., Timeout: 10}
Resources:
  Web:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.web
      Events:
        One: {Type: HttpApi, Properties: {Method: GET, Path: "/things/{id}"}}
        All: {Type: HttpApi, Properties: {Method: POST, Path: "/files/{path+}"}}
"""

HANDLERS = """
import json

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
    folder = tmp_path_factory.mktemp("http")
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "app.py").write_text(HANDLERS)
    emulator = Emulator(PARLEY_TEMPLATE=str(folder / "template.yaml"), PARLEY_USERS="")
    yield emulator
    emulator.stop()


def call(emulator, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{emulator.port}{path}", data=body)
    try:
        with urllib.request.urlopen(request, timeout=HANGS) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def test_routes_have_parameters(emulator):
    status, body, headers = call(emulator, "/things/5")
    seen = {"route": "GET /things/{id}", "parameters": {"id": "5"}, "body": None}
    assert (status, json.loads(body), headers["x-colour"]) == (200, seen, "red")
    status, body, _ = call(emulator, "/files/a/b.txt", b"hello")
    seen = {"route": "POST /files/{path+}", "parameters": {"path": "a/b.txt"}, "body": "aGVsbG8="}
    assert (status, json.loads(body)) == (200, seen)


@pytest.mark.parametrize("thing", ["raise", "garbage"])
def test_an_exception_or_garbage_is_a_500(emulator, thing):
    status, body, _ = call(emulator, f"/things/{thing}")
    assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})


def test_answers_may_be_binary_or_plain_json(emulator):
    assert call(emulator, "/things/binary")[:2] == (201, b"\xff\xfe")
    assert json.loads(call(emulator, "/things/plain")[1]) == ["just", "JSON"]


@pytest.mark.parametrize("path", ["/", "/things", "/things/5/more", "/files/"])
def test_without_a_route_there_is_nothing(emulator, path):
    status, body, _ = call(emulator, path)
    assert (status, json.loads(body)) == (404, {"message": "Not Found"})


SERVICES = [
    "/_parley/dynamodb",
    "/_parley/aws/sqs",
    "/2015-03-31/functions/Web/invocations",
    "/live/@connections/BFaT_fALIAMCKug=",
    "/v1/chat/completions",
]


@pytest.mark.parametrize("path", [*SERVICES, "/_parley/trace", "/things/5", "/nothing", "/"])
def test_a_websocket_elsewhere_is_refused_without_a_traceback(emulator, path):
    client = RawClient(emulator.port)
    client.send(upgrade(path))
    assert client.rest().startswith(b"HTTP/1.1 403")
    client.leave()
    assert "Exception in ASGI application" not in "".join(emulator.output)


@pytest.mark.parametrize("upgrade_to", [b"h2c", b"other", b"websocket, h2c"])
def test_another_upgrade_is_a_plain_request(emulator, upgrade_to):
    client = RawClient(emulator.port)
    client.send(b"GET /things/5 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: " + upgrade_to + b"\r\n\r\n")
    assert client.head().startswith(b"HTTP/1.1 200")
    client.leave()
    assert "upgrade" not in "".join(emulator.output)


@pytest.mark.parametrize("path", [*SERVICES, "/files/a"])
def test_a_body_without_end_is_answered_with_413(emulator, path):
    client = RawClient(emulator.port)
    client.send(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n".encode())
    client.send(b"x" * 34_000_000)
    assert client.head().startswith(b"HTTP/1.1 413")
    client.leave()
    assert "Exception in ASGI application" not in "".join(emulator.output)


@pytest.mark.parametrize("hosts", [("evil.example", "127.0.0.1"), ("127.0.0.1", "evil.example"), ()])
def test_a_request_of_two_hosts_or_of_none_does_not_reach_the_trace(emulator, hosts):
    client = RawClient(emulator.port)
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    client.send(f"GET /_parley/trace HTTP/1.1\r\n{lines}\r\n".encode())
    assert client.head().startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
    client.leave()


@pytest.mark.parametrize(("page", "leave"), [("http://localhost:5173", True), ("https://evil.example", False)])
def test_a_page_on_another_port_of_this_machine_may_use_the_api(emulator, page, leave):
    client = RawClient(emulator.port)
    client.send(f"GET /things/5 HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {page}\r\n\r\n".encode())
    assert (f"\r\naccess-control-allow-origin: {page}\r\n".encode() in client.head()) is leave
    client.leave()
