"""The @connections API (docs/aws.md section 5), called by an unmodified boto3 within a function."""

import json
import re
import socket
from datetime import datetime

import boto3
import pytest
from botocore.config import Config
from parley.gateway.quotas import MAX_MESSAGE_BYTES, Quotas
from parley.template.model import LambdaIntegration, Route

from tests.emulator.facts import MODEL, UNSURE
from tests.support.gateway import GatewayStage
from tests.support.http_server import http_server

NEVER = "AAAAAAAAAAAAAAA="
"""An id of the right form, of no connection."""
CALLS = ("POST", "GET", "DELETE")
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def outcome(answer):
    return answer["status"], answer.get("exception"), answer.get("code")


class TestPost:
    @pytest.mark.fact(19, source=MODEL)
    @pytest.mark.parametrize("data", ["x", "ü \U0001f600", '{"a": 1}', "x" * 5_000])
    def test_it_is_200_and_the_client_gets_the_data(self, connect, data):
        client, caller = connect(), connect()
        answer = caller.manage("POST", client.connection_id(), hex=data.encode().hex())
        assert answer == {"type": "managed", "status": 200, "answer": {}}
        assert client.receive() == data

    @pytest.mark.fact(18, source=MODEL)
    def test_it_has_128_kb_at_most(self, connect):
        client, caller = connect(), connect()
        connection_id = client.connection_id()
        assert outcome(caller.manage("POST", connection_id, bytes=MAX_MESSAGE_BYTES)) == (200, None, None)
        refused = caller.manage("POST", connection_id, bytes=MAX_MESSAGE_BYTES + 1)
        assert outcome(refused) == (413, "PayloadTooLargeException", "PayloadTooLargeException")
        assert client.receive() == "x" * MAX_MESSAGE_BYTES
        assert client.is_open()

    @pytest.mark.fact("connections.text", source="MiniStack, measured")
    def test_what_is_not_utf_8_is_replaced(self, connect):
        client, caller = connect(), connect()
        caller.manage("POST", client.connection_id(), hex="ff6120c328")
        assert client.receive() == "\ufffda \ufffd("

    @pytest.mark.fact(18, "connections.text", source=MODEL)
    async def test_bytes_count_as_they_were_posted(self):
        route = Route("$default", LambdaIntegration("default"))
        gateway = GatewayStage({"default": lambda event: None}, route)
        client = await gateway.connect()
        await client.say("{}")
        connection_id = gateway.events("default")[0]["requestContext"]["connectionId"]
        longest = b"\xff" + b"x" * (MAX_MESSAGE_BYTES - 1)
        assert [(await gateway.post(connection_id, data)).status for data in (longest, longest + b"x")] == [200, 413]
        assert client.frames == ["\ufffd" + "x" * (MAX_MESSAGE_BYTES - 1)]

    @pytest.mark.fact(25, source="knowledge centre")
    @pytest.mark.fact("connections.hang", source="aws/chalice#1406")
    def test_from_the_connections_own_connect_it_is_gone(self, connect):
        client = connect("main", {"post": 1})
        [seen] = client.observed(client.connection_id(), "CONNECT")
        assert seen["post"] == "GoneException"
        assert client.is_open()

    @pytest.mark.fact("connections.large", source=UNSURE)
    def test_a_large_one_is_one_frame(self, connect):
        client, caller = connect(), connect()
        caller.manage("POST", client.connection_id(), bytes=100_000)
        assert [len(fragment) for fragment in client.socket.recv_streaming()] == [100_000]

    @pytest.mark.here("sends half a request")
    def test_a_request_of_which_only_a_part_came_has_no_effect(self, deployment, connect):
        client = connect()
        connection_id = client.connection_id()
        signature = f"AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature={'0' * 64}"
        head = f"POST /main/@connections/{connection_id} HTTP/1.1\r\nHost: a\r\nAuthorization: {signature}\r\n"
        address = ("127.0.0.1", deployment.emulator.port)
        for body, declared in ((b"hal", 4), (b"whole", 5)):
            with socket.create_connection(address) as sender:
                sender.sendall(f"{head}Content-Length: {declared}\r\n\r\n".encode() + body)
                sender.shutdown(socket.SHUT_WR)
                # Until the end of the answer, or of the connection: the request is done with then.
                answer = sender.recv(100)
            assert answer.startswith(b"HTTP/1.1 200") == (len(body) == declared)
        assert client.receive() == "whole"
        assert client.is_open()


class TestGone:
    @pytest.mark.fact(20, source=MODEL)
    @pytest.mark.parametrize("method", CALLS)
    def test_a_connection_that_never_was_is_410(self, connect, method):
        assert outcome(connect().manage(method, NEVER)) == (410, "GoneException", "GoneException")

    @pytest.mark.fact(20, source=MODEL)
    @pytest.mark.parametrize("method", CALLS)
    def test_a_connection_that_is_closed_is_410(self, connect, method):
        client, caller = connect(), connect()
        connection_id = client.connection_id()
        client.leave()
        caller.observed(connection_id, "DISCONNECT")
        assert outcome(caller.manage(method, connection_id)) == (410, "GoneException", "GoneException")

    @pytest.mark.fact(20, source="laravel-echo-api-gateway#9")
    def test_it_has_no_body_and_its_type_is_in_a_header(self, connect):
        answer = connect().manage("POST", NEVER, raw=True)
        assert (answer["status"], answer["body"]) == (410, "")
        assert answer["headers"]["x-amzn-errortype"].startswith("GoneException")


class TestRefused:
    @pytest.mark.fact(21, source="dherault/serverless-offline#749")
    @pytest.mark.parametrize("method", CALLS)
    @pytest.mark.parametrize("connection_id", ["not-an-id", "x"])
    def test_an_id_of_the_wrong_form_is_400(self, connect, method, connection_id):
        # The SDK's model has no such exception: it is known by its code.
        assert outcome(connect().manage(method, connection_id)) == (400, "ClientError", "BadRequestException")

    @pytest.mark.fact(21, source="localstack/localstack#4694")
    def test_the_message_says_which(self, connect):
        answer = connect().manage("POST", "not-an-id", raw=True)
        assert json.loads(answer["body"])["message"] == "Invalid connectionId: not-an-id"

    @pytest.mark.fact("connections.forbidden", source="aws/aws-sdk-php#1955")
    @pytest.mark.parametrize("method", CALLS)
    def test_another_stage_is_403(self, connect, method):
        client = connect()
        answer = client.manage(method, client.connection_id(), stage="other")
        assert outcome(answer) == (403, "ForbiddenException", "ForbiddenException")
        assert client.is_open()

    @pytest.mark.fact("connections.forbidden", source=MODEL)
    @pytest.mark.parametrize("method", CALLS)
    def test_without_a_signature_it_is_403(self, connect, method):
        client = connect()
        answer = client.manage(method, client.connection_id(), raw=True, unsigned=True)
        assert answer["status"] == 403
        assert client.is_open()

    @pytest.mark.here("an account's bucket is 5,000 calls deep")
    @pytest.mark.fact(30, source="gchq/sleeper#7494")
    @pytest.mark.parametrize("operation", ["post_to_connection", "get_connection", "delete_connection"])
    def test_over_the_accounts_rate_it_is_429(self, operation):
        with http_server(GatewayStage({}, quotas=Quotas(requests=1, burst=1))) as url:
            client = boto3.client(
                "apigatewaymanagementapi",
                endpoint_url=url,
                region_name="us-east-1",
                config=Config(retries={"total_max_attempts": 1}),
            )
            arguments = {"ConnectionId": NEVER} | ({"Data": b"x"} if operation == "post_to_connection" else {})
            with pytest.raises(client.exceptions.GoneException):
                getattr(client, operation)(**arguments)
            with pytest.raises(client.exceptions.LimitExceededException) as refused:
                getattr(client, operation)(**arguments)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


class TestGet:
    @pytest.mark.fact(22, source=MODEL)
    def test_it_tells_who_is_connected_since_when_and_when_last_active(self, connect):
        client, caller = connect("main", user_agent_header="a test"), connect()
        connection_id = client.connection_id()
        [seen] = caller.observed(connection_id, "CONNECT")
        context = seen["event"]["requestContext"]
        answer = caller.manage("GET", connection_id)
        assert (answer["status"], set(answer["answer"])) == (200, {"ConnectedAt", "Identity", "LastActiveAt"})
        identity = {"SourceIp": context["identity"]["sourceIp"], "UserAgent": "a test"}
        assert answer["answer"]["Identity"] == identity
        connected_at, last_active_at = (
            datetime.fromisoformat(answer["answer"][name]["datetime"]) for name in ("ConnectedAt", "LastActiveAt")
        )
        assert round(connected_at.timestamp() * 1000) == context["connectedAt"]
        assert last_active_at >= connected_at

    @pytest.mark.fact(22, source=MODEL)
    def test_as_json_it_has_moments_with_milliseconds(self, connect):
        client, caller = connect("main", user_agent_header=None), connect()
        body = json.loads(caller.manage("GET", client.connection_id(), raw=True)["body"])
        assert set(body) == {"connectedAt", "identity", "lastActiveAt"}
        assert all(ISO.fullmatch(body[name]) for name in ("connectedAt", "lastActiveAt"))
        assert body["identity"].get("userAgent") is None

    @pytest.mark.fact(22, source=MODEL)
    def test_a_message_either_way_is_activity(self, connect):
        client, caller = connect(), connect()
        connection_id = client.connection_id()
        moments = []
        for step in (lambda: None, lambda: client.ask({}), lambda: caller.manage("POST", connection_id)):
            step()
            moments.append(caller.manage("GET", connection_id)["answer"]["LastActiveAt"]["datetime"])
        assert moments == sorted(set(moments))
