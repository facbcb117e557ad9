"""A REST API and a function URL, without a socket: requests to events, answers to responses."""

import asyncio
import json

import pytest
from aws_lambda_powertools.utilities.parser.models import APIGatewayProxyEventModel, LambdaFunctionUrlModel
from parley.functions.invocation import Outcome

from tests.support.clock import settle
from tests.support.http_gateway import HttpGatewayClient


def rest(*routes, **api):
    return HttpGatewayClient(*routes, stage="Prod", kind="rest", **api)


def url(**api):
    return HttpGatewayClient(kind="url", **api)


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "resource", "parameters"),
        [
            ("/Prod/", "/", None),
            ("/Prod/pets", "/pets", None),
            ("/Prod/pets/", "/pets", None),
            ("/Prod/pets/5", "/pets/{id}", {"id": "5"}),
            ("/Prod/a/b/c", "/{proxy+}", {"proxy": "a/b/c"}),
        ],
    )
    def test_a_resource_is_found_below_the_stage(self, path, resource, parameters):
        client = rest("GET /", "GET /pets", "GET /pets/{id}", "ANY /{proxy+}")
        assert client.get(path)[0] == 200
        [event] = client.events
        assert (event["resource"], event["pathParameters"]) == (resource, parameters)
        assert event["path"] == path.removeprefix("/Prod")
        assert (event["requestContext"]["path"], event["requestContext"]["resourcePath"]) == (path, resource)

    @pytest.mark.parametrize(("method", "path"), [("GET", "/Prod"), ("GET", "/pets"), ("POST", "/Prod/pets")])
    def test_what_there_is_not_lacks_a_token(self, method, path):
        client = rest("GET /", "GET /pets")
        status, headers, body = client.get(path, method)
        assert (status, json.loads(body)) == (403, {"message": "Missing Authentication Token"})
        assert ("x-amzn-errortype", "MissingAuthenticationTokenException") in headers
        assert client.events == []


class TestEvents:
    def test_all_fields(self):
        client = rest("POST /chats/{id}", variables={"table": "t"})
        client.get(
            "/Prod/chats/5?a=1&a=2&b=",
            "POST",
            b'{"t": 1}',
            authorization="Bearer x",
            x_a=["1", "2"],
            user_agent="test",
        )
        [event] = client.events
        APIGatewayProxyEventModel.model_validate(event)
        assert event["headers"]["Authorization"] == "Bearer x"
        assert (event["headers"]["X-A"], event["multiValueHeaders"]["X-A"]) == ("2", ["1", "2"])
        assert event["queryStringParameters"] == {"a": "2", "b": ""}
        assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [""]}
        assert (event["body"], event["isBase64Encoded"]) == ('{"t": 1}', False)
        assert event["stageVariables"] == {"table": "t"}
        context = event["requestContext"]
        assert (context["stage"], context["apiId"], context["httpMethod"]) == ("Prod", "abcdef1234", "POST")
        assert (context["identity"]["userAgent"], context["identity"]["sourceIp"]) == ("test", "127.0.0.1")
        assert "version" not in event

    def test_what_is_empty_is_null(self):
        client = rest("GET /")
        client.get("/Prod/")
        [event] = client.events
        names = ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body")
        assert [event[name] for name in names] == [None] * 5

    @pytest.mark.parametrize(
        ("types", "kind", "encoded"),
        [
            ((), "application/octet-stream", False),
            (("*/*",), "application/json", True),
            (("image/*",), "image/png", True),
            (("image/png",), "image/png; q=1", True),
            (("image/png",), "image/gif", False),
        ],
    )
    def test_a_body_is_base64_if_its_type_is_binary(self, types, kind, encoded):
        client = rest("POST /", binary_types=types)
        client.get("/Prod/", "POST", b"abc", content_type=kind)
        [event] = client.events
        assert (event["body"], event["isBase64Encoded"]) == ("YWJj" if encoded else "abc", encoded)


class TestAnswers:
    def test_status_headers_and_body(self):
        client = rest("GET /")
        client.answer = {"statusCode": 201, "headers": {"X-A": 1}, "multiValueHeaders": {"B": ["1", "2"]}, "body": "x"}
        status, headers, body = client.get("/Prod/")
        assert (status, body) == (201, b"x")
        assert {("x-a", "1"), ("b", "1"), ("b", "2"), ("content-type", "application/json")} <= set(headers)
        assert "x-amzn-requestid" in dict(headers)

    @pytest.mark.parametrize(
        "answer",
        [None, [], "text", {"statusCode": 200, "body": {}}, {"statusCode": 200, "extra": 1}, {"message": "hello"}],
    )
    def test_what_is_no_answer_is_a_bad_gateway(self, answer):
        client = rest("GET /")
        client.answer = answer
        status, _, body = client.get("/Prod/")
        assert (status, json.loads(body)) == (502, {"message": "Internal server error"})

    @pytest.mark.parametrize(("types", "accept", "body"), [((), "*/*", b"YWJj"), (("*/*",), "image/png", b"abc")])
    def test_base64_is_decoded_if_the_client_accepts_a_binary_type(self, types, accept, body):
        client = rest("GET /", binary_types=types)
        client.answer = {"statusCode": 200, "body": "YWJj", "isBase64Encoded": True}
        assert client.get("/Prod/", accept=accept)[2] == body

    def test_a_function_that_fails_is_a_bad_gateway(self):
        client = rest("GET /")
        client.answer = Outcome(b"{}", "Unhandled", False, 1.0, "id")
        assert client.get("/Prod/")[0] == 502

    async def test_29_seconds_without_an_answer_are_a_time_out(self):
        client = rest("GET /")
        client.answer = asyncio.get_running_loop().create_future()
        asked = asyncio.ensure_future(client.ask("GET", "/Prod/"))
        await settle()
        await client.clock.advance(29.0)
        status, _, body = await asked
        assert (status, json.loads(body)) == (504, {"message": "Endpoint request timed out"})


class TestFunctionUrls:
    def test_the_event_is_format_2_0_of_nobodys_account(self):
        client = url()
        client.get("/a/b?c=1", "POST", b"{}", content_type="application/json")
        [event] = client.events
        LambdaFunctionUrlModel.model_validate(event)
        assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/a/b")
        assert event["requestContext"]["accountId"] == "anonymous"

    def test_any_json_is_an_answer(self):
        client = url()
        client.answer = {"hello": 1}
        status, headers, body = client.get("/")
        assert (status, body) == (200, b'{"hello": 1}')
        assert ("content-type", "application/json") in headers

    def test_a_function_that_fails_is_a_bad_gateway(self):
        client = url()
        client.answer = Outcome(b"{}", "Unhandled", False, 1.0, "id")
        status, _, body = client.get("/")
        assert (status, body) == (502, b"Internal Server Error")

    async def test_it_waits_as_long_as_the_function_may_run(self):
        client = url()
        client.answer = waiting = asyncio.get_running_loop().create_future()
        asked = asyncio.ensure_future(client.ask("GET", "/"))
        await settle()
        await client.clock.advance(600.0)
        assert not asked.done()
        client.answer = {"statusCode": 200}
        waiting.set_result(None)
        assert (await asked)[0] == 200

    @pytest.mark.parametrize(
        ("authorization", "status"),
        [
            ({}, 403),
            ({"authorization": "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=c, Signature=" + "0" * 64}, 200),
        ],
    )
    def test_with_aws_iam_a_request_must_be_signed(self, authorization, status):
        client = url(iam=True)
        assert client.get("/", x_amz_date="20260101T000000Z", **authorization)[0] == status
        assert len(client.events) == (status == 200)
