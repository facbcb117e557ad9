"""MOCK and HTTP integrations, against a server in this process."""

import asyncio
import json
import threading

import pytest
from parley.gateway.integrations.non_lambda import (
    IntegrationRequest,
    NonLambdaFailure,
    NonLambdaResponse,
    call_non_lambda,
)
from parley.template.model import HttpIntegration, IntegrationResponse, MockIntegration, Templates

from tests.support.backend_server import BackendServer

CONTEXT = {
    "routeKey": "send",
    "eventType": "MESSAGE",
    "connectionId": "BFaT_fALIAMCKug=",
    "apiId": "abcdef1234",
}


CONNECT_EVENT = {
    "headers": {"Host": "h", "X-Token": "t", "Sec-WebSocket-Key": "k"},
    "queryStringParameters": {"room": "a b"},
    "requestContext": CONTEXT | {"routeKey": "$connect", "eventType": "CONNECT"},
    "isBase64Encoded": False,
}


def message(body, **variables):
    return IntegrationRequest.of({"body": body, "requestContext": CONTEXT}, variables)


def send(integration, request):
    return asyncio.run(call_non_lambda(integration, request))


def templates(selection="", **by_key):
    return Templates({key.replace("default", "$default"): text for key, text in by_key.items()}, selection)


@pytest.fixture
def server():
    with BackendServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class TestMock:
    def test_the_status_is_what_the_request_template_says(self):
        mock = MockIntegration(templates(default='{"statusCode": 201}'))
        assert send(mock, message("{}")) == NonLambdaResponse(201)

    @pytest.mark.parametrize("template", ["{ statusCode: 404 }", "{'statusCode': '404'}", '{"a": 1, "statusCode":404}'])
    def test_the_template_need_not_be_strict_json(self, template):
        assert send(MockIntegration(templates(default=template)), message("")).status == 404

    @pytest.mark.parametrize(("kind", "status"), [("ping", 202), ("other", 200)])
    def test_the_request_template_is_chosen_by_the_message(self, kind, status):
        mock = MockIntegration(
            templates("${request.body.type}", ping='{"statusCode": 202}', default='{"statusCode": 200}')
        )
        assert send(mock, message(json.dumps({"type": kind}))).status == status

    def test_the_key_may_be_fixed(self):
        mock = MockIntegration(Templates({"200": '{"statusCode": 200}'}, "200"))
        assert send(mock, message("no json")).status == 200

    @pytest.mark.parametrize(
        ("status", "body"), [(200, "fine"), (204, "fine"), (403, "no"), (503, "else"), (418, "tea")]
    )
    def test_the_response_is_chosen_by_the_status(self, status, body):
        mock = MockIntegration(
            templates(default=f'{{"statusCode": {status}}}'),
            (
                IntegrationResponse("$default", templates(default="else")),
                IntegrationResponse("418", templates(default="tea")),
                IntegrationResponse(r"/2\d\d/", templates(default="fine")),
                IntegrationResponse("/4../", templates(default="no")),
                IntegrationResponse("/[/", templates(default="a pattern that is none")),
            ),
        )
        assert send(mock, message("{}")) == NonLambdaResponse(status, body)

    def test_the_response_template_sees_the_context_and_the_stage(self):
        response = IntegrationResponse("$default", templates(default="$context.connectionId in $stageVariables.colour"))
        mock = MockIntegration(templates(default='{"statusCode": 200}'), (response,))
        assert send(mock, message("{}", colour="red")).body == "BFaT_fALIAMCKug= in red"

    def test_without_templates_it_answers_200(self):
        assert send(MockIntegration(), message("{}")) == NonLambdaResponse(200)

    @pytest.mark.parametrize("template", ["{}", "", '{"statusCode": "abc"}', "#if(", "$input.path('$.[')", "[200]"])
    def test_a_template_that_makes_no_status_is_a_failure_that_is_explained(self, template):
        failure = send(MockIntegration(templates(default=template)), message("{}"))
        assert isinstance(failure, NonLambdaFailure)
        assert not failure.timed_out
        assert "template" in failure.why

    def test_a_selection_that_cannot_be_read_is_a_failure_that_is_explained(self):
        failure = send(MockIntegration(templates("${request.body.a", default='{"statusCode": 200}')), message("{}"))
        assert "${request.body.a" in failure.why


class TestHttpProxy:
    def test_the_message_goes_out_and_the_answer_comes_back_as_they_are(self, server):
        server.status, server.body = 418, "é".encode()
        result = send(HttpIntegration("POST", f"{server.url}/chat?x=1"), message("not {json}"))
        assert result == NonLambdaResponse(418, "é")
        [(method, path, headers, body)] = server.requests
        assert (method, path, body) == ("POST", "/chat?x=1", "not {json}")
        assert headers["User-Agent"] == "AmazonAPIGateway_abcdef1234"
        assert headers["Content-Type"] == "application/json"

    def test_the_url_has_stage_variables(self, server):
        url = "http://${stageVariables.host}:${stageVariables.port}/v1"
        send(HttpIntegration("GET", url), message("", host="127.0.0.1", port=str(server.server_port)))
        assert [path for _, path, _, _ in server.requests] == ["/v1"]

    def test_connect_has_no_body_and_the_headers_of_the_handshake(self, server):
        send(HttpIntegration("POST", server.url), IntegrationRequest.of(CONNECT_EVENT, {}))
        [(_, path, headers, body)] = server.requests
        assert (path, body, headers["X-Token"], headers["Content-Length"]) == ("/", "", "t", "0")
        assert headers["Host"] == f"127.0.0.1:{server.server_port}"

    def test_request_parameters_set_headers_query_and_path(self, server):
        integration = HttpIntegration(
            "POST",
            f"{server.url}/{{who}}",
            parameters={
                "integration.request.header.connectionId": "context.connectionId",
                "integration.request.header.Kind": "route.request.body.kind",
                "integration.request.querystring.room": "route.request.querystring.room",
                "integration.request.querystring.fixed": "'yes'",
                "integration.request.path.who": "stageVariables.who",
            },
        )
        send(integration, IntegrationRequest.of(CONNECT_EVENT, {"who": "a/b"}))
        send(integration, message('{"kind": 5}', who="c"))
        first, second = server.requests
        assert first[1] == "/a%2Fb?room=a+b&fixed=yes"
        assert first[2]["connectionId"] == second[2]["connectionId"] == "BFaT_fALIAMCKug="
        assert (second[1], second[2]["Kind"]) == ("/c?room=&fixed=yes", "5")

    def test_redirections_are_not_followed(self, server):
        server.status, server.headers, server.body = 302, {"Location": f"{server.url}/elsewhere"}, b""
        assert send(HttpIntegration("GET", server.url), message("")) == NonLambdaResponse(302, "")
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("url", "told"),
        [
            ("file:///etc/passwd", "http or https"),
            ("${stageVariables.missing}", "http or https"),
            ("http://", "http or https"),
            ("http://[", "is not a URL"),
            ("http://127.0.0.1:1/", "refused"),
            ("http://127.0.0.1:99999/", "is not a URL"),
            ("http://127.0.0.1:1/a b", "did not answer"),
        ],
    )
    def test_an_unreachable_server_is_a_failure_that_names_it(self, url, told):
        failure = send(HttpIntegration("POST", url), message("{}"))
        assert isinstance(failure, NonLambdaFailure)
        assert told in failure.why

    def test_a_header_that_a_message_makes_impossible_is_a_failure(self, server):
        parameters = {"integration.request.header.X": "route.request.body.x"}
        failure = send(HttpIntegration("POST", server.url, parameters=parameters), message('{"x": "a\\r\\nb: c"}'))
        assert isinstance(failure, NonLambdaFailure)
        assert server.requests == []

    def test_no_answer_in_time_is_a_failure_of_its_own(self, server, monkeypatch):
        monkeypatch.setattr("parley.gateway.integrations.request._SPARE_SECONDS", 0.0)
        server.go.clear()
        assert send(HttpIntegration("POST", server.url, timeout=0.05), message("{}")).timed_out

    def test_cancelling_closes_the_connection(self, server):
        server.go.clear()

        async def scenario():
            task = asyncio.create_task(call_non_lambda(HttpIntegration("POST", server.url), message("{}")))
            await asyncio.to_thread(server.asked.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.dropped.wait, 5)

        asyncio.run(scenario())


class TestHttp:
    def test_templates_make_the_request_and_the_answer(self, server):
        server.status, server.body = 201, b'{"greeting": "hello"}'
        integration = HttpIntegration(
            "PUT",
            server.url,
            proxy=False,
            templates=templates(r"\$default", default='{"id": "$context.connectionId", "n": $input.json(\'$.n\')}'),
            responses=(
                IntegrationResponse("/5../", templates(default="broken")),
                IntegrationResponse("$default", templates(default="$input.path('$.greeting')!")),
            ),
        )
        assert send(integration, message('{"n": [1, 2]}')) == NonLambdaResponse(201, "hello!")
        [(method, _, _, body)] = server.requests
        assert (method, json.loads(body)) == ("PUT", {"id": "BFaT_fALIAMCKug=", "n": [1, 2]})

    @pytest.mark.parametrize(("body", "answer"), [(b'{"kind": "a"}', "of kind a"), (b"text", "else")])
    def test_the_template_of_the_answer_is_chosen_by_the_answer(self, server, body, answer):
        server.body = body
        chosen = templates("${integration.response.body.kind}", a="of kind a", default="else")
        integration = HttpIntegration(
            "POST", server.url, proxy=False, responses=(IntegrationResponse("$default", chosen),)
        )
        assert send(integration, message("{}")).body == answer

    def test_without_templates_both_pass_as_they_are(self, server):
        assert send(HttpIntegration("POST", server.url, proxy=False), message("text")) == NonLambdaResponse(
            200, "hello"
        )
        assert server.requests[0][3] == "text"

    def test_the_handshake_s_headers_are_not_passed_on(self, server):
        send(HttpIntegration("POST", server.url, proxy=False), IntegrationRequest.of(CONNECT_EVENT, {}))
        assert "X-Token" not in server.requests[0][2]

    def test_disconnect_has_no_headers_of_a_client(self, server):
        context = CONTEXT | {"eventType": "DISCONNECT"}
        event = {"headers": {"x-restapi": ""}, "requestContext": context, "isBase64Encoded": False}
        send(HttpIntegration("POST", server.url), IntegrationRequest.of(event, {}))
        assert "x-restapi" not in server.requests[0][2]

    def test_a_request_template_that_fails_sends_nothing(self, server):
        failure = send(
            HttpIntegration("POST", server.url, proxy=False, templates=templates(default="#if($a")), message("")
        )
        assert isinstance(failure, NonLambdaFailure)
        assert server.requests == []
