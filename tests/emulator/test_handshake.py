"""The handshake (docs/aws.md section 2): what opens it, what refuses it, and with which status."""

import asyncio
import uuid
from functools import partial
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from parley.template.model import Authorizer, LambdaIntegration, Route

from tests.emulator.conformance.deployment import SECONDS, refusal
from tests.emulator.facts import GUIDE, KEYS, QUOTAS, TRANSCRIPT, UNSURE
from tests.support.gateway import GatewayStage


@pytest.fixture
def refused(connect):
    """Tries to connect, and returns the response that refuses the handshake."""
    return lambda *arguments, **options: refusal(partial(connect, *arguments, **options)).response


class TestConnect:
    @pytest.mark.fact(1, source=TRANSCRIPT)
    def test_401_refuses_it_with_401(self, refused):
        assert refused("main", {"status": 401}).status_code == 401

    @pytest.mark.fact("handshake.statuses", source=TRANSCRIPT)
    @pytest.mark.parametrize("status", [301, 400, 403, 404, 500, 501, 502])
    def test_another_status_refuses_it_with_that_status(self, refused, status):
        assert refused("main", {"status": status}).status_code == status

    @pytest.mark.fact(3, source=TRANSCRIPT)
    @pytest.mark.parametrize("status", [200, 201, 204])
    def test_2xx_opens_it(self, connect, status):
        assert connect("main", {"status": status}).is_open()

    @pytest.mark.fact(2, source="two transcripts (docs/aws.md section 2)")
    def test_an_exception_refuses_it_with_502(self, refused):
        assert refused("main", {"raise": 1}).status_code == 502

    @pytest.mark.fact(4, source=UNSURE)
    @pytest.mark.parametrize("answer", ["null", "text", "number"])
    def test_what_is_no_object_refuses_it_with_502(self, refused, answer):
        assert refused("main", {"answer": answer}).status_code == 502

    @pytest.mark.fact("handshake.status", source=UNSURE)
    def test_an_object_without_a_status_opens_it(self, connect):
        assert connect("main", {"answer": "empty"}).is_open()

    @pytest.mark.fact("handshake.malformed", source="knowledge centre, malformed answers")
    @pytest.mark.parametrize("answer", ["unknown-key", "object-as-body"])
    def test_an_object_that_is_no_answer_refuses_it_with_502(self, refused, answer):
        assert refused("main", {"answer": answer}).status_code == 502

    @pytest.mark.fact("handshake.waits", source=GUIDE)
    def test_it_waits_for_the_function(self, connect):
        assert connect("main", {"sleep": 0.3}).is_open()

    @pytest.mark.here("moves the clock")
    @pytest.mark.fact("handshake.waits", source=GUIDE)
    async def test_it_waits_for_29_seconds(self):
        async def forever(event):
            await asyncio.Event().wait()

        gateway = GatewayStage({"connect": forever}, Route("$connect", LambdaIntegration("connect")))
        client = await gateway.connect()
        await gateway.clock.advance(28.9)
        assert (client.accepted, client.status) == (None, None)
        await gateway.clock.advance(0.2)
        assert client.status == 504

    @pytest.mark.fact("handshake.no-route", source=GUIDE)
    def test_without_its_route_the_handshake_opens(self, connect):
        assert connect("strict").ask({"action": "custom"})["route"] == "custom"

    def test_a_refused_connection_has_no_disconnect(self, connect, refused):
        tag = uuid.uuid4().hex
        refused("main", {"tag": tag, "status": 400})
        observer = connect()
        [seen] = observer.observed(tag, "CONNECT")
        connection_id = seen["event"]["requestContext"]["connectionId"]
        # A connection that is closed later has had its event by then, and so would this one.
        other = connect()
        other_id = other.connection_id()
        other.leave()
        observer.observed(other_id, "DISCONNECT")
        assert observer.observed(connection_id, "DISCONNECT", 0) == []

    @pytest.mark.fact("handshake.stage", source="aws/aws-sdk-php#1955")
    def test_a_stage_that_there_is_not_is_forbidden(self, deployment):
        other = deployment.urls["main"].removesuffix("/main") + "/other"
        assert refusal(partial(type(deployment)({"main": other}).connect)).response.status_code == 403


class TestSubprotocols:
    @pytest.mark.fact(5, source=GUIDE)
    def test_one_is_chosen_by_the_handlers_header_alone(self, connect):
        assert connect("main", subprotocols=["a", "b"]).socket.subprotocol is None
        assert connect("main", {"protocol": "b"}, subprotocols=["a", "b"]).socket.subprotocol == "b"

    @pytest.mark.fact(5, source=GUIDE)
    def test_the_handler_sees_what_was_offered(self, connect):
        client = connect("main", subprotocols=["a", "b"])
        [seen] = client.observed(client.connection_id(), "CONNECT")
        headers = {name.lower(): value for name, value in seen["event"]["headers"].items()}
        assert headers["sec-websocket-protocol"].replace(" ", "") == "a,b"


class TestAuthorizers:
    @pytest.mark.fact(6, "handshake.identity", source=GUIDE)
    @pytest.mark.parametrize("query", [{}, {"token": ""}, {"other": "allow"}])
    def test_without_the_identity_source_it_is_401_and_nobody_is_asked(self, connect, refused, query):
        tag = uuid.uuid4().hex
        assert refused("guarded", {**query, "tag": tag}).status_code == 401
        observer = connect()
        assert observer.observed(tag, "AUTHORIZE", 0) == observer.observed(tag, "CONNECT", 0) == []

    @pytest.mark.fact(6, source=GUIDE)
    def test_the_exception_unauthorized_is_401(self, refused):
        assert refused("guarded", {"token": "unauthorized"}).status_code == 401

    @pytest.mark.fact(6, "handshake.deny", source=GUIDE)
    def test_a_policy_that_denies_is_403_and_connect_is_not_run(self, connect, refused):
        tag = uuid.uuid4().hex
        assert refused("guarded", {"token": "deny", "tag": tag}).status_code == 403
        observer = connect()
        assert len(observer.observed(tag, "AUTHORIZE")) == 1
        assert observer.observed(tag, "CONNECT", 0) == []

    @pytest.mark.fact(6, "handshake.authorizer-fails", source="serverless/examples#557")
    @pytest.mark.parametrize("token", ["raise", "object"])
    def test_what_raises_or_is_no_policy_is_500(self, refused, token):
        assert refused("guarded", {"token": token}).status_code == 500

    @pytest.mark.fact("handshake.conditions", source=KEYS)
    def test_a_condition_that_is_not_met_allows_nobody_and_denies_nobody(self, connect, refused):
        assert refused("guarded", {"token": "from-elsewhere"}).status_code == 403
        assert connect("guarded", {"token": "not-from-elsewhere"}).is_open()

    @pytest.mark.fact("handshake.conditions", source="aws/aws-lambda-dotnet#2165")
    @pytest.mark.parametrize("token", ["not-elsewhere", "not-management"])
    def test_not_action_and_not_resource_are_about_everything_else(self, connect, token):
        assert connect("guarded", {"token": token}).is_open()

    @pytest.mark.fact("quotas.authorizer", source=QUOTAS)
    def test_a_result_of_more_than_8_kb_is_500(self, refused):
        assert refused("guarded", {"token": "long"}).status_code == 500

    @pytest.mark.fact("handshake.iam", source=GUIDE)
    def test_without_a_signature_aws_iam_is_403(self, refused):
        assert refused("signed").status_code == 403


class TestUnsure:
    @pytest.mark.fact("handshake.plain", source="RFC 9110, section 15.5.22")
    def test_a_get_that_asks_for_no_upgrade_is_426(self, deployment):
        with pytest.raises(HTTPError) as answer:
            urlopen(deployment.urls["main"].replace("ws", "http", 1), timeout=SECONDS)
        assert answer.value.code == 426

    @pytest.mark.fact("handshake.principal", source=UNSURE)
    def test_an_authorizers_answer_needs_no_principal(self, connect):
        assert connect("guarded", {"token": "nobody"}).is_open()

    @pytest.mark.fact("handshake.text", source=UNSURE)
    def test_the_text_unauthorized_is_500_if_the_authorizer_returns_it(self, refused):
        assert refused("guarded", {"token": "text"}).status_code == 500

    @pytest.mark.here("needs an authorizer with another identity source")
    @pytest.mark.fact("handshake.added", source=UNSURE)
    async def test_a_header_of_the_gateways_is_an_identity_source(self):
        sources = ("route.request.header.X-Forwarded-For",)
        authorizer = Authorizer("A", "authorize", identity_sources=sources)
        route = Route("$connect", LambdaIntegration("connect"), authorizer=authorizer)
        gateway = GatewayStage({"authorize": lambda event: None}, route)
        await gateway.connect()
        assert len(gateway.events("authorize")) == 1

    @pytest.mark.fact("handshake.body", source=UNSURE)
    @pytest.mark.parametrize(("stage", "query"), [("main", {"status": 400}), ("main", {"raise": 1}), ("guarded", {})])
    def test_the_body_of_a_refusal_is_empty(self, refused, stage, query):
        assert not refused(stage, query).body

    @pytest.mark.fact("handshake.headers", source=UNSURE)
    @pytest.mark.parametrize("status", [200, 400])
    def test_headers_of_the_answer_are_dropped(self, connect, refused, status):
        query = {"header": 1, "status": status}
        answer = connect("main", query).socket.response if status == 200 else refused("main", query)
        assert "x-colour" not in answer.headers

    @pytest.mark.fact("handshake.deflate", source=UNSURE)
    def test_compression_is_not_negotiated(self, connect):
        assert "sec-websocket-extensions" not in connect("main", compression="deflate").socket.response.headers
