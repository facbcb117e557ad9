"""HTTP APIs: events in both payload formats, answers of every form, limits; in this process."""

from __future__ import annotations

import asyncio
import json

import pytest
from aws_lambda_powertools.utilities.parser.models import APIGatewayProxyEventModel, APIGatewayProxyEventV2Model

from local.functions.outcome import Outcome
from local.gateway.http import HttpGateway
from local.template.model import HttpApi, HttpRoute
from local.trace import Trace
from tests.clock import ManualClock, settle

ROUTES = (
    HttpRoute("GET", "/things/{id}", "two"),
    HttpRoute("POST", "/things/{id}", "one", payload="1.0"),
    HttpRoute("ANY", "/files/{path+}", "two"),
    HttpRoute("GET", "/things/fixed", "fixed"),
)


class Api:
    """An HTTP API whose functions answer what they are told to."""

    def __init__(self, answer=None, stage="$default", path="", routes=ROUTES):
        self.answer = answer if answer is not None else {"statusCode": 200}
        self.events = []
        self.clock = ManualClock()
        self.trace = Trace()
        api = HttpApi("Web", "abcdef1234", stage, routes)
        self.gateway = HttpGateway(api, self.invoke, self.trace, self.clock, path)

    async def invoke(self, name, payload, qualifier):
        self.events.append((name, json.loads(payload)))
        if self.answer == "never":
            await asyncio.Event().wait()
        answer = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        return Outcome(answer, "Unhandled" if self.answer == b"error" else None, False, 1.0, "id")

    async def request(self, method, path, body=b"", query=b"", headers=((b"host", b"h"),)):
        scope = {
            "method": method,
            "raw_path": path.encode(),
            "path": path,
            "query_string": query,
            "headers": list(headers),
            "client": ("127.0.0.1", 5),
            "http_version": "1.1",
        }
        sent = []

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            sent.append(message)

        await self.gateway(scope, receive, send)
        return (
            sent[0]["status"],
            [(name.decode(), value.decode()) for name, value in sent[0]["headers"]],
            sent[1]["body"],
        )


HEADERS = ((b"host", b"h"), (b"cookie", b"c=1; d=2"), (b"x-a", b"1"), (b"x-a", b"2"), (b"user-agent", b"test"))


async def test_the_event_of_format_2_0():
    api = Api()
    await api.request("GET", "/things/a%20b", b"\xff\xfe", b"a=1&a=2&b=", HEADERS)
    [(_, event)] = api.events
    APIGatewayProxyEventV2Model.model_validate(event)
    assert (event["routeKey"], event["rawPath"], event["rawQueryString"]) == (
        "GET /things/{id}",
        "/things/a b",
        "a=1&a=2&b=",
    )
    assert event["queryStringParameters"] == {"a": "1,2", "b": ""}
    assert (event["headers"]["x-a"], event["cookies"]) == ("1,2", ["c=1", "d=2"])
    assert (event["body"], event["isBase64Encoded"]) == ("//4=", True)
    assert event["pathParameters"] == {"id": "a b"}


async def test_the_event_of_format_1_0():
    api = Api()
    await api.request("POST", "/things/5", b"hello", b"a=1&a=2", HEADERS)
    [(name, event)] = api.events
    APIGatewayProxyEventModel.model_validate(
        event | {"requestContext": event["requestContext"] | {"requestTimeEpoch": 1}}
    )
    assert (name, event["version"], event["resource"], event["path"]) == ("one", "1.0", "/things/{id}", "/things/5")
    assert (event["queryStringParameters"], event["multiValueQueryStringParameters"]) == ({"a": "2"}, {"a": ["1", "2"]})
    assert event["multiValueHeaders"]["x-a"] == ["1", "2"]
    assert (event["body"], event["isBase64Encoded"], event["pathParameters"]) == ("hello", False, {"id": "5"})


async def test_fixed_paths_win_over_variables_and_greedy_ones_come_last():
    api = Api()
    for method, path in (("GET", "/things/fixed"), ("GET", "/things/5"), ("DELETE", "/files/a/b%2Fc")):
        await api.request(method, path)
    assert [name for name, _ in api.events] == ["fixed", "two", "two"]
    assert api.events[2][1]["pathParameters"] == {"path": "a/b/c"}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("PUT", "/things/5"), ("GET", "/files/"), ("GET", "/things")]
)
async def test_what_has_no_route_is_not_found(method, path):
    status, _, body = await Api().request(method, path)
    assert (status, json.loads(body)) == (404, {"message": "Not Found"})


async def test_a_named_stage_is_the_first_part_of_the_path_and_so_it_is_in_the_event():
    api = Api(stage="test")
    assert (await api.request("GET", "/things/5"))[0] == 404
    assert (await api.request("GET", "/test/things/5"))[0] == 200
    assert api.events[0][1]["rawPath"] == "/test/things/5"


async def test_a_second_api_is_below_a_path_of_its_own_that_its_events_do_not_show():
    api = Api(path="/Second")
    assert (await api.request("GET", "/Second/things/5"))[0] == 200
    assert api.events[0][1]["rawPath"] == "/things/5"


@pytest.mark.parametrize(
    ("answer", "status", "headers", "body"),
    [
        ({"statusCode": 201, "body": "x"}, 201, [("content-type", "text/plain")], b"x"),
        ({"statusCode": "204"}, 204, [("content-type", "text/plain")], b""),
        (["any", "JSON"], 200, [("content-type", "application/json")], b'["any", "JSON"]'),
        ("text", 200, [("content-type", "application/json")], b'"text"'),
        (
            {"statusCode": 200, "isBase64Encoded": True, "body": "//4="},
            200,
            [("content-type", "text/plain")],
            b"\xff\xfe",
        ),
        (
            {"statusCode": 200, "cookies": ["a=1", "b=2"], "headers": {"Content-Type": "text/html", "X-N": 5}},
            200,
            [("content-type", "text/html"), ("x-n", "5"), ("set-cookie", "a=1"), ("set-cookie", "b=2")],
            b"",
        ),
        ({"statusCode": 200, "body": {"a": 1}}, 200, [("content-type", "text/plain")], b'{"a": 1}'),
    ],
)
async def test_what_answers_come_to(answer, status, headers, body):
    got = await Api(answer).request("GET", "/things/5")
    assert (got[0], [pair for pair in got[1] if pair[0] != "content-length"], got[2]) == (status, headers, body)


async def test_format_1_0_has_headers_of_several_values():
    answer = {"statusCode": 200, "headers": {"X-A": "0", "X-B": "1"}, "multiValueHeaders": {"X-A": ["1", "2"]}}
    _, headers, _ = await Api(answer).request("POST", "/things/5")
    assert [value for name, value in headers if name == "x-a"] == ["1", "2"]
    assert ("x-b", "1") in headers


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        *(("GET", each) for each in (b"error", {"statusCode": "many"}, {"statusCode": 200, "headers": 5}, b"{")),
        *(("GET", each) for each in ({"statusCode": 99}, {"statusCode": 200, "isBase64Encoded": True, "body": "!"})),
        *(("POST", each) for each in ("text", {"body": "x"}, b"null")),
    ],
)
async def test_garbage_and_errors_are_500_and_told(method, answer):
    api = Api(answer)
    status, _, body = await api.request(method, "/things/5")
    assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})
    assert next(each.fields["error"] for each in api.trace.after(0) if each.kind == "http")


async def test_thirty_seconds_are_503():
    api = Api("never")
    answering = asyncio.ensure_future(api.request("GET", "/things/5"))
    await api.clock.advance(29.9)
    assert not answering.done()
    await api.clock.advance(0.2)
    await settle()
    assert answering.result()[0] == 503


async def test_ten_megabytes_are_413():
    api = Api()
    assert (await api.request("POST", "/things/5", b"x" * (10 * 1024 * 1024)))[0] == 200
    assert (await api.request("POST", "/things/5", b"x" * (10 * 1024 * 1024 + 1)))[0] == 413
    assert len(api.events) == 1
