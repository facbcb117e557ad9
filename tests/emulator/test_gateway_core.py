"""The gateway's decisions, without a socket: routes, deadlines, events."""

import pytest
from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayWebSocketConnectEventModel,
    APIGatewayWebSocketDisconnectEventModel,
    APIGatewayWebSocketMessageEventModel,
)

from local.gateway.connection import Connection, State, closed_by_client
from local.gateway.events import Handshake, new_request_id
from local.gateway.quotas import TimeLimits
from local.gateway.routes import Selection, problem

CONNECTED_AT = 1_731_324_924.553
NOW = CONNECTED_AT + 0.002


def handshake(query=""):
    return Handshake(
        connection_id="BFaT_fALIAMCKug=",
        connected_at=CONNECTED_AT,
        api_id="abcdef1234",
        stage="live",
        domain_name="127.0.0.1:8000",
        source_ip="127.0.0.1",
        headers=[
            ("Host", "127.0.0.1:8000"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "eOWEhg1WGGrTkHnRz1XTHw=="),
            ("User-Agent", "a test"),
            ("X-Colour", "red"),
            ("X-Colour", "blue"),
        ],
        query=query,
    )


class TestRoutes:
    """AWS.md section 3: route selection."""

    routes = ("$connect", "$default", "send", "a/b", "5", "true")

    @pytest.mark.parametrize(
        ("expression", "body", "route"),
        [
            ("$request.body.action", '{"action": "send"}', "send"),
            ("$request.body.action", '{"action": "other"}', "$default"),
            ("$request.body.action", "{}", "$default"),
            ("$request.body.action", "no json", "$default"),
            ("$request.body.action", "[1]", "$default"),
            ("$request.body.action", '{"action": "$connect"}', "$default"),
            ("$request.body.action", '{"action": 5}', "5"),
            ("$request.body.action", '{"action": true}', "true"),
            ("$request.body.message.kind", '{"message": {"kind": "send"}}', "send"),
            ("${request.body.x}/${request.body.y}", '{"x": "a", "y": "b"}', "a/b"),
            ("send", '{"action": "other"}', "send"),
        ],
    )
    def test_the_expression_chooses_the_route(self, expression, body, route):
        assert Selection(expression).route(body, self.routes) == route

    def test_without_a_default_route_there_may_be_none(self):
        assert Selection("$request.body.action").route('{"action": "other"}', ("$connect", "send")) is None

    @pytest.mark.parametrize(
        ("expression", "body", "key"),
        [
            ("$request.body.items[1].kind", '{"items": [{"kind": "a"}, {"kind": "b"}]}', "b"),
            ("$request.body.items[-1].kind", '{"items": [{"kind": "a"}, {"kind": "b"}]}', "b"),
            ("$request.body.items[7].kind", '{"items": []}', ""),
            ("$request.body.items[*].kind", '{"items": [{"kind": "a"}, {"kind": "b"}]}', '["a", "b"]'),
            ("$request.body.['a b'].c", '{"a b": {"c": "d"}}', "d"),
            ("${request.body.a}-${request.body.b[0]}!", '{"a": 1, "b": [true]}', "1-true!"),
            ("${request.body.a}/${request.body.b}", '{"a": "x"}', "x/"),
            ("$request.body.a", '{"a": {"b": [1, null]}}', '{"b": [1, null]}'),
            ("$request.body.a", '{"a": 1e400}', "Infinity"),
            ("$request.body.a.b", '{"a": "text"}', ""),
            ("\\$default", "{}", "$default"),
            ("$request.body.a", "[" * 100_000, None),
            ("$request.body.a", "", None),
        ],
    )
    def test_what_an_expression_comes_to(self, expression, body, key):
        assert Selection(expression).key(body) == key

    def test_a_reserved_key_leads_to_the_default_route_or_by_the_switch_to_none(self):
        body = '{"action": "$connect"}'
        assert Selection("$request.body.action").route(body, self.routes) == "$default"
        assert Selection("$request.body.action", reserved_is_default=False).route(body, self.routes) is None

    @pytest.mark.parametrize("expression", ["$request.body.a[", "$request.header.x", "${request.querystring.a}"])
    def test_an_expression_that_is_none_is_told_and_harmless(self, expression):
        assert problem(expression)
        assert Selection(expression).route("{}", self.routes) == "$default"

    @pytest.mark.parametrize(
        "expression", ["$request.body.a", "${request.body.a}/x", "fixed", "$request.body.a[0]['b']"]
    )
    def test_an_expression_that_is_right_has_no_problem(self, expression):
        assert problem(expression) is None


class TestDeadlines:
    """AWS.md section 4: idle time-out and longest life, both with 1001."""

    def connection(self):
        connection = Connection(handshake(), TimeLimits())
        connection.opened(CONNECTED_AT + 1)
        return connection

    def test_ten_idle_minutes_close_it(self):
        connection = self.connection()
        assert connection.deadline() == CONNECTED_AT + 601
        assert connection.overdue(CONNECTED_AT + 600) is None
        close = connection.overdue(CONNECTED_AT + 601)
        assert (close.code, close.reason) == (1001, "Going away")

    def test_a_message_either_way_starts_the_ten_minutes_again(self):
        connection = self.connection()
        connection.active(CONNECTED_AT + 500)
        assert connection.deadline() == CONNECTED_AT + 1_100

    def test_two_hours_close_it_however_busy_it_is(self):
        connection = self.connection()
        connection.active(CONNECTED_AT + 7_199)
        assert connection.deadline() == CONNECTED_AT + 7_200
        assert connection.overdue(CONNECTED_AT + 7_200).code == 1001

    def test_it_is_open_between_its_handshake_and_its_end(self):
        connection = Connection(handshake(), TimeLimits())
        states = [connection.state]
        connection.opened(CONNECTED_AT)
        states.append(connection.state)
        connection.closed()
        assert [*states, connection.state] == [State.CONNECTING, State.OPEN, State.CLOSED]


def test_what_disconnect_is_told_when_the_client_closes_without_a_status():
    close = closed_by_client(1005, "")
    assert (close.code, close.reason) == (1005, "Client-side close frame status not set")


class TestEvents:
    """AWS.md section 1."""

    def test_connect(self):
        event = handshake("token=abc&x=1&x=2").connect_event(NOW)
        APIGatewayWebSocketConnectEventModel.model_validate(event)
        assert set(event) == {
            *("headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters"),
            *("requestContext", "isBase64Encoded"),
        }
        assert set(event["headers"]) == {
            *("Host", "Sec-WebSocket-Key", "User-Agent", "X-Colour"),
            *("X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"),
        }
        assert event["multiValueHeaders"]["X-Colour"] == ["red", "blue"]
        assert event["queryStringParameters"] == {"token": "abc", "x": "2"}
        context = event["requestContext"]
        assert context["requestId"] == context["extendedRequestId"]
        assert context["connectedAt"] == 1_731_324_924_553
        assert context["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "a test"}
        assert "messageId" not in context

    def test_connect_without_a_query_has_no_field_for_one(self):
        assert "queryStringParameters" not in handshake().connect_event(NOW)

    def test_message(self):
        event = handshake().message_event("$default", "{}", "BFaUtHRKIAMFgBA=", NOW)
        APIGatewayWebSocketMessageEventModel.model_validate(event)
        assert set(event) == {"requestContext", "body", "isBase64Encoded"}
        assert event["requestContext"]["requestId"] == "BFaUtHRKIAMFgBA="

    def test_disconnect(self):
        event = handshake().disconnect_event(1001, "Going away", NOW)
        APIGatewayWebSocketDisconnectEventModel.model_validate(event)
        assert event["requestContext"]["disconnectStatusCode"] == 1001
        assert event["headers"] == {
            "Host": "127.0.0.1:8000",
            "x-api-key": "",
            "X-Forwarded-For": "",
            "x-restapi": "",
        }

    def test_ids_have_fifteen_characters_and_an_equals_sign(self):
        assert {len(new_request_id().rstrip("=")) for _ in range(100)} == {15}
