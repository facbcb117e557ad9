"""From the first message to `$disconnect` (docs/aws.md sections 3 and 4); in this process, time at a standstill."""

from __future__ import annotations

import json
from random import Random

import pytest
from parley.template.model import LambdaIntegration, Route

from tests.support.asked_trace import AskedTrace
from tests.support.gateway import MALFORMED, GatewayStage, Raised

DEFAULT = Route("$default", LambdaIntegration("default"))
DISCONNECT = Route("$disconnect", LambdaIntegration("disconnect"))


def ok(event):
    return {"statusCode": 200, "body": "hi"}


def messages(client):
    return [json.loads(frame)["message"] for frame in client.frames]


def told(gateway):
    """Return what the event of `$disconnect` says."""
    contexts = [event["requestContext"] for event in gateway.events("disconnect")]
    return [(context["disconnectStatusCode"], context["disconnectReason"]) for context in contexts]


class TestTime:
    async def test_ten_minutes_without_data_close_it_and_any_data_starts_them_anew(self):
        gateway = GatewayStage({"default": ok, "disconnect": ok}, DEFAULT, DISCONNECT)
        client = await gateway.connect()
        await gateway.clock.advance(599)
        await client.say("{}")
        await gateway.clock.advance(599)
        connection_id = gateway.events("default")[0]["requestContext"]["connectionId"]
        assert (await gateway.post(connection_id)).status == 200
        await gateway.clock.advance(599)
        assert client.closed is None
        await gateway.clock.advance(2)
        assert client.closed == (1001, "Going away")
        assert told(gateway) == [(1001, "Going away")]
        assert gateway.told("close")[0]["document"].startswith("https://docs.aws.amazon.com/")

    async def test_after_two_hours_it_ends_however_busy_it_is(self):
        gateway = GatewayStage({"default": ok, "disconnect": ok}, DEFAULT, DISCONNECT)
        client = await gateway.connect()
        for _ in range(12):
            await gateway.clock.advance(599)
            await client.say("{}")
        assert client.closed is None
        await gateway.clock.advance(13)
        assert client.closed == (1001, "Going away")
        assert told(gateway) == [(1001, "Going away")]

    @pytest.mark.parametrize(("assumed", "closed"), [("ignored", True), ("keeps-alive", False)])
    async def test_pings_are_no_data_or_by_the_switch_are(self, assumed, closed):
        gateway = GatewayStage({"default": ok}, DEFAULT, ping=assumed)
        client = await gateway.connect()
        await gateway.clock.advance(300)
        client.inbox.put_nowait({"type": "parley.ping"})
        await gateway.clock.advance(400)
        assert (client.closed is not None) == closed

    async def test_a_lost_network_is_told_at_once_or_by_the_switch_when_it_would_have_been_idle(self):
        for assumed, before in (("at-once", [(1006, "")]), ("when-idle", [])):
            gateway = GatewayStage({"default": ok, "disconnect": ok}, DEFAULT, DISCONNECT, network_loss=assumed)
            client = await gateway.connect()
            await client.leave(1006)
            assert told(gateway) == before
            await gateway.clock.advance(600)
            assert told(gateway) == [(1006, "")]


class TestAnswers:
    async def test_29_seconds_without_an_answer_are_a_frame_and_the_function_goes_on(self):
        finished = []

        async def slow(event):
            await gateway.clock.sleep(40)
            finished.append(True)

        gateway = GatewayStage({"default": slow}, DEFAULT)
        client = await gateway.connect()
        await client.say("{}")
        await gateway.clock.advance(28.9)
        assert client.frames == []
        await gateway.clock.advance(0.2)
        assert messages(client) == ["Endpoint request timed out"]
        await gateway.clock.advance(11)
        assert (finished, client.closed) == ([True], None)

    async def test_a_body_is_sent_only_where_the_route_has_a_response(self):
        for responds, frames in ((False, []), (True, ["hi"])):
            gateway = GatewayStage({"default": ok}, Route("$default", LambdaIntegration("default"), responds=responds))
            client = await gateway.connect()
            await client.say("{}")
            assert client.frames == frames

    @pytest.mark.parametrize("answer", [None, "text", 7, []])
    async def test_garbage_for_a_route_response_is_an_error_and_else_nothing(self, answer):
        for responds, frames in ((False, []), (True, ["Internal server error"])):
            route = Route("$default", LambdaIntegration("default"), responds=responds)
            gateway = GatewayStage({"default": lambda event: answer}, route)
            client = await gateway.connect()
            await client.say("{}")
            assert messages(client) == frames

    @pytest.mark.parametrize("responds", [False, True])
    @pytest.mark.parametrize("answer", MALFORMED)
    async def test_an_object_that_is_no_answer_is_an_error_and_the_log_says_why(self, answer, responds):
        route = Route("$default", LambdaIntegration("default"), responds=responds)
        gateway = GatewayStage({"default": lambda event: answer}, route)
        client = await gateway.connect()
        await client.say("{}")
        assert messages(client) == ["Internal server error"]
        assert gateway.told("note")[0]["text"].startswith("default failed for $default: its ")
        assert client.closed is None

    @pytest.mark.parametrize(("answer", "frames"), [({}, []), ({"body": "hi"}, ["hi"]), ({"body": 7}, ["7"])])
    async def test_an_object_without_a_status_is_an_answer_or_by_the_switch_none(self, answer, frames):
        route = Route("$default", LambdaIntegration("default"), responds=True)
        client = await GatewayStage({"default": lambda event: answer}, route).connect()
        await client.say("{}")
        assert client.frames == frames
        client = await GatewayStage({"default": lambda event: answer}, route, missing_status="none").connect()
        await client.say("{}")
        assert messages(client) == ["Internal server error"]

    async def test_messages_run_concurrently(self):
        async def slow_or_fast(event):
            if "slow" in event["body"]:
                await gateway.clock.sleep(1)
            order.append(event["body"])

        order = []
        gateway = GatewayStage({"default": slow_or_fast}, DEFAULT)
        client = await gateway.connect()
        await client.say("slow")
        await client.say("fast")
        await gateway.clock.advance(1)
        assert order == ["fast", "slow"]

    async def test_with_a_seed_they_overtake_each_other_the_same_way_each_time(self):
        async def order_of(seed):
            order = []
            gateway = GatewayStage(
                {"default": lambda event: order.append(event["body"])}, DEFAULT, reordering=Random(seed)
            )
            client = await gateway.connect()
            for number in range(8):
                await client.say(str(number))
            await gateway.clock.advance(1)
            return order

        first, again, other = await order_of(1), await order_of(1), await order_of(2)
        assert sorted(first) == list("01234567") != first
        assert first == again != other

    async def test_an_exception_is_a_frame_and_the_connection_stays(self):
        def fails(event):
            raise Raised("no")

        gateway = GatewayStage({"default": fails}, DEFAULT)
        client = await gateway.connect()
        await client.say("{}")
        await client.say("{}")
        assert messages(client) == ["Internal server error"] * 2
        assert client.closed is None


class TestTrace:
    async def test_it_tells_every_step_of_a_message_in_its_order(self):
        gateway = GatewayStage({"default": ok}, Route("$default", LambdaIntegration("default"), responds=True))
        client = await gateway.connect()
        await client.say('{"a": 1}')
        await client.leave()
        steps = [(each.kind, each.fields.get("bytes")) for each in gateway.trace.after(0)]
        assert steps == [("open", None), ("frame_in", 8), ("route", None), ("frame_out", 2), ("close", None)]

    async def test_it_is_served_from_a_number_on_as_json(self):
        gateway = GatewayStage({"default": ok}, DEFAULT)
        await gateway.connect()
        asked = AskedTrace(None, gateway.trace)
        [first] = await asked.get("trace")
        assert first == {"number": 1, "at": first["at"], "kind": "open", "connection_id": first["connection_id"]}
        assert await asked.get("trace", after=1) == []
        assert (await asked.ask("GET", "trace", "after=x")).status == 400
