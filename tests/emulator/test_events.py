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
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from parley.gateway.events import Handshake, new_request_id

from tests.emulator.conformance.events import ConnectionEvents
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


@pytest.fixture(scope="module")
def events(deployment):
    """The events of one connection to the main stage."""
    clients = []

    def connect(*arguments, **options):
        clients.append(deployment.connect(*arguments, **options))
        return clients[-1]

    yield ConnectionEvents(connect)
    for client in clients:
        client.leave()


@pytest.mark.fact(29, source=EVENTS)
class TestShape:
    def test_connect(self, events):
        assert set(events.connect) == {"headers", "multiValueHeaders", "requestContext", "isBase64Encoded"} | QUERY
        assert set(events.connect["requestContext"]) == CONTEXT
        assert events.connect["isBase64Encoded"] is False

    def test_message(self, events):
        assert set(events.message) == {"requestContext", "body", "isBase64Encoded"}
        assert set(events.message["requestContext"]) == CONTEXT | {"messageId"}
        assert events.message["isBase64Encoded"] is False

    def test_disconnect(self, events):
        assert set(events.disconnect) == {"headers", "multiValueHeaders", "requestContext", "isBase64Encoded"}
        told = {"disconnectStatusCode", "disconnectReason"}
        assert set(events.disconnect["requestContext"]) == CONTEXT | told
        host = events.disconnect["headers"]["Host"]
        assert events.disconnect["headers"] == {"Host": host, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
        assert events.disconnect["multiValueHeaders"] == {
            name: [value] for name, value in events.disconnect["headers"].items()
        }

    def test_what_the_three_say_alike_and_what_each_says_of_itself(self, events):
        for name in ("stage", "apiId", "domainName", "connectionId", "connectedAt", "messageDirection"):
            assert len({context[name] for context in events.contexts}) == 1, name
        assert {(context["stage"], context["messageDirection"]) for context in events.contexts} == {("main", "IN")}
        said = [(context["routeKey"], context["eventType"]) for context in events.contexts]
        assert said == [("$connect", "CONNECT"), ("$default", "MESSAGE"), ("$disconnect", "DISCONNECT")]


@pytest.mark.fact("events.models", source=EVENTS)
def test_powertools_models_take_them(events):
    APIGatewayWebSocketConnectEventModel.model_validate(events.connect)
    APIGatewayWebSocketMessageEventModel.model_validate(events.message)
    APIGatewayWebSocketDisconnectEventModel.model_validate(events.disconnect)


class TestConnect:
    @pytest.mark.fact(29, "events.headers", source=EVENTS)
    def test_headers_are_in_title_case_without_those_of_the_hop(self, events):
        assert set(events.connect["headers"]) == HEADERS | {"X-Colour"}
        assert {name: values[-1] for name, values in events.connect["multiValueHeaders"].items()} == events.connect[
            "headers"
        ]
        assert events.connect["multiValueHeaders"]["X-Colour"] == ["red", "blue"]
        assert events.connect["headers"]["Sec-WebSocket-Extensions"] == DEFLATE
        assert (events.connect["headers"]["X-Forwarded-Port"], events.connect["headers"]["X-Forwarded-Proto"]) == (
            "443",
            "https",
        )
        assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", events.connect["headers"]["X-Amzn-Trace-Id"])

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
    def test_ids_have_fifteen_characters_and_an_equals_sign(self, events):
        message_id = events.message["requestContext"]["messageId"]
        request_ids = [context["requestId"] for context in events.contexts]
        assert request_ids == [context["extendedRequestId"] for context in events.contexts]
        ids = [events.id, message_id, *request_ids]
        assert all(ID.fullmatch(each) for each in ids), ids
        assert len(set(ids)) == 5

    @pytest.mark.fact("events.ids", source=EVENTS)
    def test_no_two_are_the_same(self):
        made = {new_request_id() for _ in range(1_000)}
        assert len(made) == 1_000
        assert all(ID.fullmatch(each) for each in made)

    @pytest.mark.fact("events.moments", source=EVENTS)
    def test_moments_are_milliseconds_and_a_text_of_the_same(self, events):
        pattern = r"\d\d/(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/\d{4}:\d\d:\d\d:\d\d \+0000"
        assert all(re.fullmatch(pattern, context["requestTime"]) for context in events.contexts)
        connected_at = events.contexts[0]["connectedAt"]
        moments = [context["requestTimeEpoch"] for context in events.contexts]
        assert [connected_at, *moments] == sorted([connected_at, *moments])
        assert moments[0] - connected_at < 60_000

    @pytest.mark.fact("events.moments", source=EVENTS)
    def test_a_moment_of_2024_as_it_was_recorded(self):
        handshake = Handshake("BFHPhfCWIAMCKlQ=", 1_731_324_924.553, "id", "prod", "host", "127.0.0.1", [], "")
        context = handshake.connect_event(1_731_324_924.561)["requestContext"]
        moments = (context["connectedAt"], context["requestTimeEpoch"], context["requestTime"])
        assert moments == (1_731_324_924_553, 1_731_324_924_561, "11/Nov/2024:11:35:24 +0000")

    @pytest.mark.fact("events.identity", source=EVENTS)
    def test_the_user_agent_is_there_only_where_one_was_sent(self, events, connect):
        assert [set(context["identity"]) for context in events.contexts] == [{"sourceIp"}] * 3
        client = connect(user_agent_header="a test")
        [seen] = client.observed(client.connection_id(), "CONNECT")
        identity = seen["event"]["requestContext"]["identity"]
        assert identity == {"sourceIp": identity["sourceIp"], "userAgent": "a test"}


@pytest.mark.here("needs a user of the account")
@pytest.mark.fact("events.caller", source=GUIDE)
def test_a_signed_handshake_names_its_caller(connect, deployment):
    tag = uuid.uuid4().hex
    request = AWSRequest("GET", f"{deployment.urls['signed']}?tag={tag}")
    SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), "execute-api", "us-east-1").add_auth(request)
    connect("signed", {"tag": tag}, additional_headers=dict(request.headers))
    [seen] = connect().observed(tag, "CONNECT")
    identity = seen["event"]["requestContext"]["identity"]
    assert set(identity) == {"sourceIp", "userAgent", "accountId", "accessKey", "caller", "user", "userArn"}
    assert identity["accessKey"] == "AKIDEXAMPLE"
    assert re.fullmatch(r"arn:aws:iam::\d{12}:user/.+", identity["userArn"])


class TestAuthorizer:
    @pytest.mark.fact("events.authorizer", source=GUIDE)
    def test_its_context_is_in_all_three_events_as_text(self, connect):
        events = ConnectionEvents(connect, "guarded", token="allow")
        seen = [context["authorizer"] for context in events.contexts]
        latency = seen[0]["integrationLatency"]
        expected = {"principalId": "alice", "text": "x", "number": "1", "truth": "true", "integrationLatency": latency}
        assert seen == [expected] * 3
        assert latency.isdecimal()

    @pytest.mark.fact("events.authorizer", source=GUIDE)
    def test_without_one_there_is_no_field_for_it(self, events):
        assert not any("authorizer" in context for context in events.contexts)

    @pytest.mark.fact("events.request", source="powertools fixture of January 2025")
    @pytest.mark.fact("events.once", source=GUIDE)
    def test_its_own_event_has_every_map_and_the_headers_of_the_hop(self, connect):
        events = ConnectionEvents(connect, "guarded", token="allow")
        [event] = events.authorize
        maps = {"headers", "multiValueHeaders", "stageVariables"} | QUERY
        assert set(event) == {"type", "methodArn", "requestContext"} | maps
        assert set(event["requestContext"]) == CONTEXT
        assert set(event["headers"]) == HEADERS | {"X-Colour"} | set(HOP)
        assert HOP.items() <= event["headers"].items()
        assert event["multiValueHeaders"]["X-Colour"] == ["red", "blue"]
        assert event["stageVariables"] == {"colour": "red"}
        assert event["requestContext"]["connectionId"] == events.id
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
    events = ConnectionEvents(connect, "guarded", token="allow")
    assert [event.get("stageVariables") for event in events.all] == [{"colour": "red"}] * 3
