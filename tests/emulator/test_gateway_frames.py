"""Messages and the gateway's own frames (docs/aws.md section 3)."""

import json
import re

import pytest
from parley.expressions.selection import route_selection_problem
from parley.gateway.quotas import MAX_FRAME_BYTES, MAX_MESSAGE_BYTES
from parley.gateway.websocket.route_selection import RouteSelector
from parley.template.model import LambdaIntegration, Route

from tests.emulator.facts import FRAMES, GUIDE, QUOTAS, TRANSCRIPT, UNSURE
from tests.support.gateway import GatewayStage

ROUTES = ("$connect", "$default", "send", "a/b", "5", "true")


def is_the_gateways(frame, message):
    """Tell whether it is API GatewayStage's own: a space after the first colon and the commas, none elsewhere."""
    pattern = rf'{{"message": "{message}", "connectionId":"[\w-]{{15}}=", "requestId":"[\w-]{{15}}="}}'
    return re.fullmatch(pattern, frame) is not None


class TestRoutes:
    @pytest.mark.fact(7, source=GUIDE)
    @pytest.mark.parametrize(
        "body", ["no JSON", "[1]", "7", '"custom"', "null", "{}", '{"action": null}', '{"Action": "custom"}']
    )
    def test_what_is_not_json_or_lacks_the_key_goes_to_default(self, connect, body):
        assert connect().ask(body)["route"] == "$default"

    @pytest.mark.fact(7, source=GUIDE)
    def test_a_key_that_no_route_has_goes_to_default(self, connect):
        client = connect()
        assert client.ask({"action": "dance"})["route"] == "$default"
        assert client.ask({"action": "custom"})["route"] == "custom"

    @pytest.mark.fact(8, source=GUIDE)
    def test_a_composite_expression_joins_the_parts(self, connect):
        client = connect("composite")
        routes = [
            client.ask(body)["route"]
            for body in (
                {"service": "orders", "action": "list"},
                {"service": "orders", "action": "delete"},
                {"service": "orders"},
                {"action": "orders/list"},
                "orders/list",
            )
        ]
        assert routes == ["orders/list"] + ["$default"] * 4

    @pytest.mark.fact("routes.paths", source=GUIDE)
    @pytest.mark.parametrize(
        ("expression", "body", "route"),
        [
            ("$request.body.action", '{"action": "send"}', "send"),
            ("$request.body.action", '{"action": "other"}', "$default"),
            ("$request.body.action", '{"action": 5}', "5"),
            ("$request.body.action", '{"action": true}', "true"),
            ("$request.body.message.kind", '{"message": {"kind": "send"}}', "send"),
            ("${request.body.x}/${request.body.y}", '{"x": "a", "y": "b"}', "a/b"),
        ],
    )
    def test_the_expression_chooses_the_route(self, expression, body, route):
        assert RouteSelector(expression).route(body, ROUTES) == route

    @pytest.mark.fact("routes.paths", source=GUIDE)
    @pytest.mark.parametrize(
        ("expression", "body", "key"),
        [
            ("$request.body.items[1].kind", '{"items": [{"kind": "a"}, {"kind": "b"}]}', "b"),
            ("$request.body.items[-1].kind", '{"items": [{"kind": "a"}, {"kind": "b"}]}', "b"),
            ("$request.body.items[7].kind", '{"items": []}', ""),
            ("$request.body.items[*].kind", '{"items": [{"kind": "a"}, {"kind": "b"}]}', "[a, b]"),
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
        assert RouteSelector(expression).key(body) == key

    @pytest.mark.parametrize("expression", ["$request.body.a[", "$request.header.x", "${request.querystring.a}"])
    def test_an_expression_that_is_none_is_told_and_harmless(self, expression):
        assert route_selection_problem(expression)
        assert RouteSelector(expression).route("{}", ROUTES) == "$default"

    @pytest.mark.parametrize(
        "expression", ["$request.body.a", "${request.body.a}/x", "fixed", "$request.body.a[0]['b']"]
    )
    def test_an_expression_that_is_right_has_no_problem(self, expression):
        assert route_selection_problem(expression) is None

    @pytest.mark.fact(8, source=GUIDE)
    def test_a_static_expression_always_chooses_the_same(self):
        assert RouteSelector("send").route('{"action": "other"}', ROUTES) == "send"

    @pytest.mark.fact(10, source=GUIDE)
    def test_without_a_default_route_there_may_be_none(self):
        assert RouteSelector("$request.body.action").route('{"action": "other"}', ("$connect", "send")) is None

    def test_a_reserved_key_leads_to_the_default_route_or_by_the_switch_to_none(self):
        body = '{"action": "$connect"}'
        assert RouteSelector("$request.body.action").route(body, ROUTES) == "$default"
        assert RouteSelector("$request.body.action", reserved_is_default=False).route(body, ROUTES) is None

    @pytest.mark.fact(9, source=UNSURE)
    @pytest.mark.parametrize("key", ["$connect", "$disconnect", "$default", "$other"])
    def test_a_reserved_key_of_a_clients_goes_to_default(self, connect, key):
        assert connect().ask({"action": key})["route"] == "$default"


class TestOwnFrames:
    @pytest.mark.fact(10, "frames.bytes", source=FRAMES)
    @pytest.mark.parametrize("body", ['{"action": "dance"}', "{}", "no JSON"])
    def test_no_route_and_no_default_is_forbidden_and_the_connection_stays(self, connect, body):
        client = connect("strict")
        client.send(body)
        assert is_the_gateways(client.receive(), "Forbidden")
        assert client.ask({"action": "custom"})["route"] == "custom"

    @pytest.mark.fact("frames.bytes", source=FRAMES)
    def test_it_names_the_connection_and_each_request(self, connect):
        client = connect("strict")
        frames = [client.ask({"action": "dance"}) for _ in range(2)]
        assert [frame["connectionId"] for frame in frames] == [client.ask({"action": "custom"})["connectionId"]] * 2
        assert frames[0]["requestId"] != frames[1]["requestId"]

    @pytest.mark.fact(11, "frames.bytes", source=FRAMES)
    @pytest.mark.parametrize("how", [{"raise": 1}, {"exit": 1}, {"action": "brief", "sleep": 5}])
    def test_a_handler_that_raises_dies_or_times_out_is_an_error_and_the_connection_stays(self, connect, how):
        client = connect()
        client.send(how)
        assert is_the_gateways(client.receive(), "Internal server error")
        assert client.is_open()

    @pytest.mark.fact("frames.throttled-function", source=UNSURE)
    def test_a_throttled_function_is_an_error_and_the_connection_stays(self, connect):
        client = connect()
        client.send({"action": "starved"})
        assert is_the_gateways(client.receive(), "Internal server error")
        assert client.is_open()

    @pytest.mark.fact("frames.timeout", source=QUOTAS)
    def test_a_routes_own_time_out_is_told_and_the_connection_stays(self, connect):
        client = connect()
        client.send({"action": "hurried", "sleep": 1.5, "quiet": 1})
        assert is_the_gateways(client.receive(), "Endpoint request timed out")
        assert client.is_open()

    @pytest.mark.fact("frames.timeout", source=QUOTAS)
    def test_the_function_goes_on_meanwhile(self, connect):
        client = connect()
        client.send({"action": "hurried", "sleep": 1, "n": "late"})
        assert is_the_gateways(client.receive(), "Endpoint request timed out")
        assert client.frame()["n"] == "late"

    @pytest.mark.here("moves the clock; --slow waits for the 29 s")
    @pytest.mark.fact(14, source="aws/chalice#1406")
    async def test_29_seconds_without_an_answer_are_told_and_the_function_goes_on(self):
        finished = []

        async def slow(event):
            await gateway.clock.sleep(40)
            finished.append(True)

        gateway = GatewayStage({"default": slow}, Route("$default", LambdaIntegration("default")))
        client = await gateway.connect()
        await client.say("{}")
        await gateway.clock.advance(28.9)
        assert client.frames == []
        await gateway.clock.advance(0.2)
        assert [is_the_gateways(frame, "Endpoint request timed out") for frame in client.frames] == [True]
        await gateway.clock.advance(11)
        assert (finished, client.closed) == ([True], None)

    @pytest.mark.slow("35 s")
    @pytest.mark.fact(14, source="Kludex/mangum#128")
    def test_after_29_seconds_the_client_is_told_and_hears_of_the_function_later(self, connect):
        client = connect()
        client.send({"sleep": 33, "n": "late"})
        assert is_the_gateways(client.receive(31), "Endpoint request timed out")
        assert client.frame()["n"] == "late"


class TestAnswers:
    @pytest.mark.fact(12, source=TRANSCRIPT)
    @pytest.mark.parametrize("status", [200, 301, 400, 404, 500, 502])
    def test_what_a_handler_returns_goes_nowhere(self, connect, status):
        client = connect()
        assert client.ask({"status": status, "n": 1})["n"] == 1
        assert client.is_open()

    @pytest.mark.fact("frames.malformed", source="middyjs/middy#1219")
    @pytest.mark.parametrize("answer", [{"statusCode": 200, "Data": "x"}, {"status": 200}])
    @pytest.mark.parametrize("route", ["reply", "other"])
    def test_an_object_that_is_no_answer_is_an_error_and_the_connection_stays(self, connect, answer, route):
        client = connect()
        client.send({"action": route, "quiet": 1, "returns": answer})
        assert is_the_gateways(client.receive(), "Internal server error")
        assert client.is_open()

    @pytest.mark.fact(12, source=TRANSCRIPT)
    @pytest.mark.parametrize("answer", [None, "text", 7, [], {}])
    def test_what_is_no_answer_goes_nowhere_either(self, connect, answer):
        client = connect()
        assert client.ask({"returns": answer, "n": 1})["n"] == 1
        assert client.is_open()

    @pytest.mark.fact(13, source=GUIDE)
    @pytest.mark.parametrize("body", ['{"of": "the route"}', "text", "ü"])
    def test_with_a_route_response_the_body_is_sent_and_nothing_else(self, connect, body):
        client = connect()
        client.send(
            {"action": "reply", "quiet": 1, "returns": {"statusCode": 200, "body": body, "headers": {"a": "b"}}}
        )
        assert client.receive() == body
        assert client.is_open()


class TestLimits:
    @pytest.mark.fact(15, source=GUIDE)
    def test_a_binary_frame_closes_with_1003(self, connect):
        client = connect()
        client.send(b"\x01\x02")
        assert client.end()[0] == 1003

    @pytest.mark.fact(16, source=QUOTAS)
    def test_a_frame_has_32_kb_at_most(self, connect):
        client = connect()
        assert client.ask("x" * MAX_FRAME_BYTES)["length"] == MAX_FRAME_BYTES
        client.send("x" * (MAX_FRAME_BYTES + 1))
        assert client.end()[0] == 1009

    @pytest.mark.fact(16, source=QUOTAS)
    def test_bytes_count_and_not_characters(self, connect):
        client = connect()
        client.send("ü" * (MAX_FRAME_BYTES // 2 + 1))
        assert client.end()[0] == 1009

    @pytest.mark.fact(17, source=QUOTAS)
    def test_a_message_of_several_frames_has_128_kb_at_most(self, connect):
        client = connect()
        frames = ["x" * MAX_FRAME_BYTES] * (MAX_MESSAGE_BYTES // MAX_FRAME_BYTES)
        client.socket.send(frames)
        assert client.frame()["length"] == MAX_MESSAGE_BYTES
        client.socket.send([*frames, "x"])
        assert client.end()[0] == 1009

    @pytest.mark.fact("frames.throttled-message", source=UNSURE)
    def test_a_message_over_the_rate_is_told_and_not_handled(self, throttled):
        client, _ = throttled()
        for _ in range(5):
            client.send({"n": 1})
        frames = [client.receive() for _ in range(5)]
        assert any(is_the_gateways(frame, "Too Many Requests") for frame in frames)
        assert any(json.loads(frame).get("n") == 1 for frame in frames)
