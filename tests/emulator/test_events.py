"""The events that functions are given (docs/aws.md section 1), field by field, as AWS was seen to make them."""

import re
import uuid

import pytest
from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import APIGatewayAuthorizerRequestEvent
from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayWebSocketConnectEventModel,
    APIGatewayWebSocketDisconnectEventModel,
    APIGatewayWebSocketMessageEventModel,
)
from parley.gateway.events import Handshake, new_request_id

from tests.emulator.facts import EVENTS, GUIDE, UNSURE

CONTEXT = {
    *("routeKey", "eventType", "extendedRequestId", "requestTime", "messageDirection", "stage", "connectedAt"),
    *("requestTimeEpoch", "identity", "requestId", "domainName", "connectionId", "apiId"),
}
HEADERS = {
    *("Host", "Sec-WebSocket-Extensions", "Sec-WebSocket-Key", "Sec-WebSocket-Version"),
    *("X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"),
}
HOP = {"Connection": "upgrade", "content-length": "0", "Upgrade": "websocket"}
QUERY = {"queryStringParameters", "multiValueQueryStringParameters"}
ID = re.compile(r"[A-Za-z0-9_-]{15}=")
DEFLATE = "permessage-deflate; client_max_window_bits"


class Life:
    """A connection that came, said something and went, and the events of it."""

    def __init__(self, connect, stage="main", **query):
        tag = f"t{uuid.uuid4().hex}"
        client = connect(
            stage,
            {"tag": tag, **query},
            user_agent_header=None,
            compression="deflate",
            additional_headers=[("X-Colour", "red"), ("X-Colour", "blue")],
        )
        self.id = client.connection_id()
        client.leave()
        observer = connect()
        self.connect, self.message, self.disconnect = (
            observer.observed(self.id, kind)[0]["event"] for kind in ("CONNECT", "MESSAGE", "DISCONNECT")
        )
        self.all = (self.connect, self.message, self.disconnect)
        asked = observer.observed(self.id, "AUTHORIZE", 1 if stage == "guarded" else 0)
        self.authorize = [each["event"] for each in asked]

    @property
    def contexts(self):
        return [event["requestContext"] for event in self.all]


@pytest.fixture(scope="module")
def life(deployment):
    """The events of one connection to the main stage."""
    clients = []

    def connect(*arguments, **options):
        clients.append(deployment.connect(*arguments, **options))
        return clients[-1]

    yield Life(connect)
    for client in clients:
        client.leave()


@pytest.mark.fact(29, source=EVENTS)
class TestShape:
    def test_connect(self, life):
        assert set(life.connect) == {"headers", "multiValueHeaders", "requestContext", "isBase64Encoded"} | QUERY
        assert set(life.connect["requestContext"]) == CONTEXT
        assert life.connect["isBase64Encoded"] is False

    def test_message(self, life):
        assert set(life.message) == {"requestContext", "body", "isBase64Encoded"}
        assert set(life.message["requestContext"]) == CONTEXT | {"messageId"}
        assert life.message["isBase64Encoded"] is False

    def test_disconnect(self, life):
        assert set(life.disconnect) == {"headers", "multiValueHeaders", "requestContext", "isBase64Encoded"}
        told = {"disconnectStatusCode", "disconnectReason"}
        assert set(life.disconnect["requestContext"]) == CONTEXT | told
        host = life.disconnect["headers"]["Host"]
        assert life.disconnect["headers"] == {"Host": host, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
        assert life.disconnect["multiValueHeaders"] == {
            name: [value] for name, value in life.disconnect["headers"].items()
        }

    def test_what_the_three_say_alike_and_what_each_says_of_itself(self, life):
        for name in ("stage", "apiId", "domainName", "connectionId", "connectedAt", "messageDirection"):
            assert len({context[name] for context in life.contexts}) == 1, name
        assert {(context["stage"], context["messageDirection"]) for context in life.contexts} == {("main", "IN")}
        said = [(context["routeKey"], context["eventType"]) for context in life.contexts]
        assert said == [("$connect", "CONNECT"), ("$default", "MESSAGE"), ("$disconnect", "DISCONNECT")]


@pytest.mark.fact("events.models", source=EVENTS)
def test_powertools_models_take_them(life):
    APIGatewayWebSocketConnectEventModel.model_validate(life.connect)
    APIGatewayWebSocketMessageEventModel.model_validate(life.message)
    APIGatewayWebSocketDisconnectEventModel.model_validate(life.disconnect)


class TestConnect:
    @pytest.mark.fact(29, "events.headers", source=EVENTS)
    def test_headers_are_in_title_case_without_those_of_the_hop(self, life):
        assert set(life.connect["headers"]) == HEADERS | {"X-Colour"}
        assert {name: values[-1] for name, values in life.connect["multiValueHeaders"].items()} == life.connect[
            "headers"
        ]
        assert life.connect["multiValueHeaders"]["X-Colour"] == ["red", "blue"]
        assert life.connect["headers"]["Sec-WebSocket-Extensions"] == DEFLATE
        assert (life.connect["headers"]["X-Forwarded-Port"], life.connect["headers"]["X-Forwarded-Proto"]) == (
            "443",
            "https",
        )
        assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", life.connect["headers"]["X-Amzn-Trace-Id"])

    @pytest.mark.fact("events.query", source=EVENTS)
    def test_the_query_is_there_by_last_value_and_by_all_values(self, connect):
        tag = uuid.uuid4().hex
        connect("main", [("tag", tag), ("x", "1"), ("x", "2"), ("empty", "")])
        [seen] = connect().observed(tag, "CONNECT")
        assert seen["event"]["queryStringParameters"] == {"tag": tag, "x": "2", "empty": ""}
        assert seen["event"]["multiValueQueryStringParameters"] == {"tag": [tag], "x": ["1", "2"], "empty": [""]}

    @pytest.mark.fact("events.query", source=EVENTS)
    def test_without_a_query_there_is_no_field_for_one(self, connect):
        client = connect()
        [seen] = client.observed(client.connection_id(), "CONNECT")
        assert set(seen["event"]) == {"headers", "multiValueHeaders", "requestContext", "isBase64Encoded"}


class TestMessage:
    @pytest.mark.fact("events.body", source=EVENTS)
    @pytest.mark.parametrize("body", ["{}", "no JSON", '{"a": [1, "ü \U0001f600"]}', " ", "\u0000"])
    def test_the_body_is_the_text_as_it_came(self, connect, body):
        client = connect()
        assert client.ask(body)["body"] == body


class TestContext:
    @pytest.mark.fact("events.ids", source=EVENTS)
    def test_ids_have_fifteen_characters_and_an_equals_sign(self, life):
        message_id = life.message["requestContext"]["messageId"]
        request_ids = [context["requestId"] for context in life.contexts]
        assert request_ids == [context["extendedRequestId"] for context in life.contexts]
        ids = [life.id, message_id, *request_ids]
        assert all(ID.fullmatch(each) for each in ids), ids
        assert len(set(ids)) == 5

    @pytest.mark.fact("events.ids", source=EVENTS)
    def test_no_two_are_the_same(self):
        made = {new_request_id() for _ in range(1_000)}
        assert len(made) == 1_000
        assert all(ID.fullmatch(each) for each in made)

    @pytest.mark.fact("events.moments", source=EVENTS)
    def test_moments_are_milliseconds_and_a_text_of_the_same(self, life):
        pattern = r"\d\d/(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/\d{4}:\d\d:\d\d:\d\d \+0000"
        assert all(re.fullmatch(pattern, context["requestTime"]) for context in life.contexts)
        connected_at = life.contexts[0]["connectedAt"]
        moments = [context["requestTimeEpoch"] for context in life.contexts]
        assert [connected_at, *moments] == sorted([connected_at, *moments])
        assert moments[0] - connected_at < 60_000

    @pytest.mark.fact("events.moments", source=EVENTS)
    def test_a_moment_of_2024_as_it_was_recorded(self):
        handshake = Handshake("BFHPhfCWIAMCKlQ=", 1_731_324_924.553, "id", "prod", "host", "127.0.0.1", [], "")
        context = handshake.connect_event(1_731_324_924.561)["requestContext"]
        moments = (context["connectedAt"], context["requestTimeEpoch"], context["requestTime"])
        assert moments == (1_731_324_924_553, 1_731_324_924_561, "11/Nov/2024:11:35:24 +0000")

    @pytest.mark.fact("events.identity", source=EVENTS)
    def test_the_user_agent_is_there_only_where_one_was_sent(self, life, connect):
        assert [set(context["identity"]) for context in life.contexts] == [{"sourceIp"}] * 3
        client = connect(user_agent_header="a test")
        [seen] = client.observed(client.connection_id(), "CONNECT")
        identity = seen["event"]["requestContext"]["identity"]
        assert identity == {"sourceIp": identity["sourceIp"], "userAgent": "a test"}


class TestAuthorizer:
    @pytest.mark.fact("events.authorizer", source=GUIDE)
    def test_its_context_is_in_all_three_events_as_text(self, connect):
        life = Life(connect, "guarded", token="allow")
        seen = [context["authorizer"] for context in life.contexts]
        latency = seen[0]["integrationLatency"]
        expected = {"principalId": "alice", "text": "x", "number": "1", "truth": "true", "integrationLatency": latency}
        assert seen == [expected] * 3
        assert latency.isdecimal()

    @pytest.mark.fact("events.authorizer", source=GUIDE)
    def test_without_one_there_is_no_field_for_it(self, life):
        assert not any("authorizer" in context for context in life.contexts)

    @pytest.mark.fact("events.request", source="powertools fixture of January 2025")
    @pytest.mark.fact("events.once", source=GUIDE)
    def test_its_own_event_has_every_map_and_the_headers_of_the_hop(self, connect):
        life = Life(connect, "guarded", token="allow")
        [event] = life.authorize
        maps = {"headers", "multiValueHeaders", "stageVariables"} | QUERY
        assert set(event) == {"type", "methodArn", "requestContext"} | maps
        assert set(event["requestContext"]) == CONTEXT
        assert set(event["headers"]) == HEADERS | {"X-Colour"} | set(HOP)
        assert HOP.items() <= event["headers"].items()
        assert event["multiValueHeaders"]["X-Colour"] == ["red", "blue"]
        assert event["stageVariables"] == {"colour": "red"}
        assert event["requestContext"]["connectionId"] == life.id
        arn = rf"arn:aws[a-z-]*:execute-api:[a-z0-9-]+:\d{{12}}:{event['requestContext']['apiId']}/guarded/\$connect"
        assert (event["type"], bool(re.fullmatch(arn, event["methodArn"]))) == ("REQUEST", True)
        assert APIGatewayAuthorizerRequestEvent(event).parsed_arn.stage == "guarded"

    @pytest.mark.fact("events.request", source=GUIDE)
    def test_its_maps_are_there_even_if_they_are_empty(self):
        handshake = Handshake("BFHPhfCWIAMCKlQ=", 1.0, "id", "prod", "host", "127.0.0.1", [("Host", "host")], "")
        event = handshake.authorizer_event("arn", 1.0)
        assert [event[name] for name in (*sorted(QUERY), "stageVariables")] == [{}, {}, {}]


@pytest.mark.fact("events.variables", source=UNSURE)
def test_stage_variables_are_in_all_three_events(connect):
    life = Life(connect, "guarded", token="allow")
    assert [event.get("stageVariables") for event in life.all] == [{"colour": "red"}] * 3
