"""An HTTP API, without a socket: requests to events, answers to responses (payload formats 1.0 and 2.0)."""

import asyncio
import json

import pytest
from aws_lambda_powertools.utilities.parser.models import APIGatewayProxyEventModel, APIGatewayProxyEventV2Model
from parley.asgi import ClientGone
from parley.functions.invocation import Outcome
from parley.functions.service import UnknownFunction
from parley.gateway.http.router import Router
from parley.gateway.http.stage import HttpGateway
from parley.template.model import HttpApi, HttpRoute

from tests.support.clock import settle
from tests.support.http_gateway import HttpGatewayClient


class TestRoutes:
    ROUTES = (
        *("GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "ANY $default"),
        *("POST /pets", "ANY /pets", "GET /pets/{kind}/{id}", "HEAD /pets", "GET /a b/{x}.{y}", "GET /{a}/x/y/z"),
    )

    @pytest.mark.parametrize(
        ("method", "path", "key", "parameters"),
        [
            ("GET", "/pets/dog/1", "GET /pets/dog/1", {}),
            ("GET", "/pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
            ("GET", "/pets/cat/2", "GET /pets/{kind}/{id}", {"kind": "cat", "id": "2"}),
            ("GET", "/pets/x/y/z", "GET /{a}/x/y/z", {"a": "pets"}),
            ("GET", "/pets/cat/2/x", "GET /pets/{proxy+}", {"proxy": "cat/2/x"}),
            ("POST", "/pets/cat/2", "ANY /{proxy+}", {"proxy": "pets/cat/2"}),
            ("POST", "/pets", "POST /pets", {}),
            ("OPTIONS", "/pets", "ANY /pets", {}),
            ("HEAD", "/pets", "HEAD /pets", {}),
            ("GET", "/", "$default", {}),
            ("GET", "/pets/dog/a%20b+c%25", "GET /pets/dog/{id}", {"id": "a b+c%"}),
            ("GET", "/pets/dog/a%2Fb", "GET /pets/dog/{id}", {"id": "a/b"}),
            ("GET", "/p%65ts/dog/1", "GET /pets/dog/1", {}),
            ("GET", "/pets/dog/%C3%A9", "GET /pets/dog/{id}", {"id": "é"}),
            ("GET", "/a%20b/1.2", "GET /a b/{x}.{y}", {"x": "1", "y": "2"}),
        ],
    )
    def test_the_most_specific_one_is_taken(self, method, path, key, parameters):
        routes = [HttpRoute(*route.split(" ", 1), "Web") for route in self.ROUTES]
        match = Router(routes).match(method, path)
        assert (match.route_key, match.parameters) == (key, parameters)

    @pytest.mark.parametrize(
        ("method", "path"), [("POST", "/pets"), ("HEAD", "/pets"), ("GET", "/pets/"), ("GET", "/")]
    )
    def test_without_one_it_is_404(self, method, path):
        client = HttpGatewayClient("GET /pets")
        status, headers, body = client.get(path, method)
        assert (status, body) == (404, b'{"message":"Not Found"}')
        assert ("content-type", "application/json") in headers
        assert client.events == []


class TestStage:
    def test_it_is_the_first_part_of_the_path_and_of_the_event_s(self):
        client = HttpGatewayClient("GET /pets/{id}", stage="dev")
        assert client.get("/dev/pets/5")[0] == 200
        [event] = client.events
        assert (event["rawPath"], event["requestContext"]["http"]["path"]) == ("/dev/pets/5", "/dev/pets/5")
        assert (event["routeKey"], event["pathParameters"]) == ("GET /pets/{id}", {"id": "5"})
        assert event["requestContext"]["stage"] == "dev"

    @pytest.mark.parametrize("path", ["/pets/5", "/device/pets/5", "/"])
    def test_another_path_is_not_found(self, path):
        assert HttpGatewayClient("ANY $default", stage="dev").get(path)[0] == 404

    def test_the_stage_alone_is_the_root(self):
        client = HttpGatewayClient("GET /", stage="dev")
        assert [client.get("/dev")[0], client.get("/dev/")[0]] == [200, 200]

    def test_the_mount_path_is_not_part_of_the_apis_paths(self):
        client = HttpGatewayClient("GET /pets", stage="dev", path="/Other/")
        assert client.get("/Other/dev/pets")[0] == 200
        assert client.events[0]["rawPath"] == "/dev/pets"


class TestPaths:
    """Paths as sent, and in the event. The rows were recorded on AWS (hotsock/voker, `ingress-paths.json`)."""

    @pytest.mark.parametrize(
        ("sent", "path"),
        [
            ("/capture/plain", "/capture/plain"),
            ("/capture/space%20value", "/capture/space value"),
            ("/capture/question%3Fvalue", "/capture/question"),
            ("/capture/hash%23value", "/capture/hash#value"),
            ("/capture/slash%2Fvalue", "/capture/slash/value"),
            ("/capture/unicode-%CE%BB-%E4%B8%96%E7%95%8C", "/capture/unicode-λ-世界"),
            ("/capture/literal%252Fvalue", "/capture/literal/value"),
            ("/capture/literal%253Fvalue", "/capture/literal?value"),
            ("/capture/literal%2525value", "/capture/literal%value"),
        ],
    )
    def test_a_path_is_decoded_twice(self, sent, path):
        client = HttpGatewayClient()
        assert client.get(sent + "?a=b%3F")[0] == 200
        [event] = client.events
        assert (event["rawPath"], event["requestContext"]["http"]["path"]) == (path, path)
        assert event["rawQueryString"] == "a=b%3F"

    def test_a_percent_sign_that_is_encoded_once_is_refused(self):
        client = HttpGatewayClient()
        assert client.get("/capture/percent%25done")[0] == 400
        assert client.events == []


class TestEvents:
    def test_format_2_0(self):
        client = HttpGatewayClient("POST /chats/{id}")
        client.get(
            "/chats/a%20b%3Fc?a=1&a=2&b=&c=x+y",
            "POST",
            b'{"t": ',
            b"1}",
            cookie="c=1; d=2",
            x_a=["1", "2"],
            content_type="application/json; charset=utf-8",
            user_agent="test",
            x_forwarded_for="10.0.0.1",
        )
        [event] = client.events
        APIGatewayProxyEventV2Model.model_validate(event)
        assert event["rawPath"] == "/chats/a b"
        assert event["rawQueryString"] == "a=1&a=2&b=&c=x+y"
        assert event["queryStringParameters"] == {"a": "1,2", "b": "", "c": "x y"}
        assert (event["headers"]["x-a"], event["cookies"]) == ("1,2", ["c=1", "d=2"])
        assert "cookie" not in event["headers"]
        assert event["headers"]["x-forwarded-for"] == "10.0.0.1, 127.0.0.1"
        assert (event["body"], event["isBase64Encoded"]) == ('{"t": 1}', False)
        context = event["requestContext"]
        assert (context["domainName"], context["domainPrefix"]) == ("api.example.com", "api")
        assert (context["timeEpoch"], context["time"]) == (1_731_324_924_000, "11/Nov/2024:11:35:24 +0000")
        assert context["http"]["userAgent"] == "test"

    def test_format_2_0_leaves_out_what_there_is_not(self):
        client = HttpGatewayClient()
        client.get()
        assert {"cookies", "queryStringParameters", "pathParameters", "body"}.isdisjoint(client.events[0])

    def test_format_1_0(self):
        client = HttpGatewayClient("POST /chats/{id}", payload="1.0", stage="dev")
        client.get("/dev/chats/5?a=1&a=2", "POST", b"hello", cookie="c=1", x_a=["1", "2"], content_type="text/plain")
        [event] = client.events
        APIGatewayProxyEventModel.model_validate(event)
        assert (event["version"], event["resource"], event["path"]) == ("1.0", "/chats/{id}", "/dev/chats/5")
        assert event["multiValueHeaders"]["x-a"] == ["1", "2"]
        assert event["headers"]["cookie"] == "c=1"
        assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
        assert (event["pathParameters"], event["body"]) == ({"id": "5"}, "hello")

    def test_format_1_0_has_null_for_what_there_is_not(self):
        client = HttpGatewayClient(payload="1.0")
        client.get()
        [event] = client.events
        APIGatewayProxyEventModel.model_validate(event)
        names = ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body")
        assert [event[name] for name in names] == [None] * 5

    @pytest.mark.parametrize(
        ("kind", "body", "expected"),
        [
            ("application/vnd.api+json", b"{}", ("e30=", True)),
            ("text/html", "é".encode(), ("é", False)),
            ("text/html", b"\xff\xfe", ("//4=", True)),
            ("application/octet-stream", b"abc", ("YWJj", True)),
            ("application/x-www-form-urlencoded", b"a=1", ("YT0x", True)),
            (None, b"abc", ("YWJj", True)),
            (None, b"\xff\xfe", ("//4=", True)),
        ],
    )
    @pytest.mark.parametrize("payload", ["1.0", "2.0"])
    def test_a_body_that_is_no_text_type_is_in_base64(self, payload, kind, body, expected):
        client = HttpGatewayClient(payload=payload)
        client.get("/", "POST", body, **({"content_type": kind} if kind else {}))
        assert (client.events[0]["body"], client.events[0]["isBase64Encoded"]) == expected


class TestAnswers:
    def answered(self, answer, payload="2.0"):
        client = HttpGatewayClient(payload=payload)
        client.answer = answer
        status, headers, body = client.get()
        shown = [pair for pair in headers if pair[0] not in ("apigw-requestid", "content-length")]
        assert client.errors() == [None]
        return status, shown, body

    @pytest.mark.parametrize("payload", ["1.0", "2.0"])
    def test_status_headers_and_body(self, payload):
        answer = {"statusCode": "201", "headers": {"X-A": 5, "Content-Type": "text/html"}, "body": "é"}
        expected = (201, [("x-a", "5"), ("content-type", "text/html")], "é".encode())
        assert self.answered(answer, payload) == expected

    def test_cookies_are_headers_of_their_own(self):
        answer = {"statusCode": 204, "cookies": ["a=1; Path=/", "b=2"]}
        assert self.answered(answer) == (204, [("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2")], b"")

    def test_multi_value_headers_replace_single_ones_in_format_1_0(self):
        answer = {
            "statusCode": 200,
            "headers": {"x-a": "0", "x-b": "1"},
            "multiValueHeaders": {"X-A": ["1", "2"], "Set-Cookie": ["a=1", "b=2"]},
        }
        expected = [("x-b", "1"), ("x-a", "1"), ("x-a", "2"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]
        assert self.answered(answer, "1.0") == (200, expected, b"")

    def test_a_binary_body(self):
        answer = {"statusCode": 200, "body": "//4=", "isBase64Encoded": True, "headers": {"content-type": "image/png"}}
        assert self.answered(answer)[2] == b"\xff\xfe"

    @pytest.mark.parametrize("answer", [{"message": "hello"}, "hello", [1, 2], None, 5])
    def test_json_without_a_status_is_the_body_in_format_2_0(self, answer):
        expected = (200, [("content-type", "application/json")], json.dumps(answer).encode())
        assert self.answered(answer) == expected

    def test_the_length_and_the_connection_are_the_gateway_s_own(self):
        answer = {"statusCode": 200, "headers": {"Content-Length": "1", "Connection": "close"}, "body": "abc"}
        assert self.answered(answer) == (200, [("content-type", "text/plain;charset=utf-8")], b"abc")

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (b"not json", "not JSON"),
            (b"[" * 100_000, "not JSON"),
            ({"statusCode": "fine"}, "not a number"),
            ({"statusCode": None}, "not a number"),
            ({"statusCode": 99}, "must be from 200 to 599"),
            ({"statusCode": 1e400}, "not a number"),
            ({"statusCode": 200, "body": {"a": 1}}, "json.dumps"),
            ({"statusCode": 200, "body": "\ud800"}, "not valid Unicode"),
            ({"statusCode": 200, "body": "é", "isBase64Encoded": True}, "isBase64Encoded"),
            ({"statusCode": 200, "headers": ["x"]}, "headers is not an object"),
            ({"statusCode": 200, "headers": {"x": ["a"]}}, "'x'"),
            ({"statusCode": 200, "headers": {"x": "a\r\nset-cookie: b"}}, "'x'"),
            ({"statusCode": 200, "headers": {"x y": "a"}}, "'x y'"),
            ({"statusCode": 200, "cookies": "a=1"}, "cookies is not a list"),
        ],
    )
    def test_garbage_is_a_500_with_its_reason_in_the_trace(self, answer, told):
        client = HttpGatewayClient()
        client.answer = answer
        status, _, body = client.get()
        assert (status, body) == (500, b'{"message":"Internal Server Error"}')
        [error] = client.errors()
        assert told in error

    @pytest.mark.parametrize(
        "answer", [{"message": "x"}, "x", None, {"statusCode": 200, "multiValueHeaders": {"a": "b"}}]
    )
    def test_format_1_0_takes_nothing_else(self, answer):
        client = HttpGatewayClient(payload="1.0")
        client.answer = answer
        assert client.get()[0] == 500
        assert len(client.errors()) == 1

    def test_a_route_that_cannot_run_is_a_500_and_no_other_route_takes_its_requests(self):
        client = HttpGatewayClient()
        routes = (HttpRoute("GET", "/x", "", unavailable="it is elsewhere"), HttpRoute("ANY", "$default", "Web"))
        client.gateway = HttpGateway(
            HttpApi("Web", "abcdef1234", "$default", routes), client.invoke, client.trace, client.clock
        )
        status, _, body = client.get("/x")
        assert (status, body) == (500, b'{"message":"Internal Server Error"}')
        assert (client.events, client.errors()) == ([], ["it is elsewhere"])
        assert client.get("/y")[0] == 200

    @pytest.mark.parametrize(
        "answer", [Outcome(b'{"errorType": "E"}', "Unhandled", True, 5.0, "id"), UnknownFunction("There is no 'Web'.")]
    )
    def test_a_function_that_fails_is_a_500(self, answer):
        client = HttpGatewayClient()
        client.answer = answer
        status, _, body = client.get()
        assert (status, body) == (500, b'{"message":"Internal Server Error"}')
        assert client.errors() != [None]

    def test_each_response_has_the_id_of_its_request(self):
        client = HttpGatewayClient()
        headers = dict(client.get()[1])
        assert headers["apigw-requestid"] == client.events[0]["requestContext"]["requestId"]


class TestLimits:
    def test_a_body_of_more_than_10_mb_is_a_413_that_invokes_nothing(self):
        client = HttpGatewayClient()
        megabyte = b"a" * 1024 * 1024
        status, _, body = client.get("/", "POST", *[megabyte] * 10, b"a")
        assert (status, body, client.events) == (413, b'{"message":"Request Entity Too Large"}', [])
        assert client.errors() == ["the request has more than 10 MB"]

    def test_an_event_that_lambda_does_not_take_is_a_413(self):
        client = HttpGatewayClient()
        assert client.get("/", "POST", b"a" * (6 * 1024 * 1024), content_type="text/plain")[0] == 413
        assert client.get("/", "POST", b"a" * (5 * 1024 * 1024), content_type="text/plain")[0] == 200
        assert len(client.events) == 1

    def test_after_30_seconds_it_is_a_503_while_the_function_runs_on(self):
        async def scenario():
            client = HttpGatewayClient()
            client.answer = asyncio.get_running_loop().create_future()
            request = asyncio.ensure_future(client.ask("GET", "/"))
            await client.clock.advance(29.9)
            before = request.done()
            await client.clock.advance(0.1)
            status, _, body = await request
            client.answer.set_result(None)
            await settle()
            return before, status, body, client.errors()

        before, status, body, [error] = asyncio.run(scenario())
        assert (before, status, body) == (False, 503, b'{"message":"Service Unavailable"}')
        assert "30 s" in error

    def test_a_request_whose_client_went_away_invokes_nothing(self):
        client = HttpGatewayClient()
        with pytest.raises(ClientGone):
            client.get("/", "POST", b"half", None)
        assert client.events == []
