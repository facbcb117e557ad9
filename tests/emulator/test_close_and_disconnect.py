"""Ends of connections, and the event of `$disconnect` (docs/aws.md section 4)."""

import logging
import socket
import time

import pytest
from parley.gateway.events import Handshake
from parley.gateway.quotas import MAX_FRAME_BYTES, TimeLimits
from parley.gateway.websocket.connection import Connection, ConnectionState, closed_by_client
from parley.template.model import LambdaIntegration, Route
from websockets.exceptions import ConnectionClosed

from tests.emulator.conformance.deployment import ConformanceClient
from tests.emulator.facts import EVENTS, GUIDE, MODEL, QUOTAS, UNSURE
from tests.support.gateway import GatewayStage

GOING_AWAY = (1001, "Going away")
CLOCK = "moves the clock; --slow waits"
CONNECTED_AT = 1_731_324_924.553


def told(context):
    return context["disconnectStatusCode"], context["disconnectReason"]


@pytest.fixture
def disconnect_of(connect):
    """Return the code and reason in the event of `$disconnect`, once it has run."""

    def of(connection_id, connecting=connect):
        [seen] = connecting().observed(connection_id, "DISCONNECT")
        return told(seen["event"]["requestContext"])

    return of


class TestClosedByTheClient:
    @pytest.mark.fact("close.none", source=EVENTS)
    def test_without_a_status_it_is_1005(self, connect, disconnect_of):
        client = connect()
        connection_id = client.connection_id()
        # The library always sends a status; a close frame without one is two bytes and a mask.
        client.socket.socket.sendall(b"\x88\x80\x00\x00\x00\x00")
        assert disconnect_of(connection_id) == (1005, "Client-side close frame status not set")

    @pytest.mark.fact("close.none", source=EVENTS)
    def test_its_wording(self):
        close = closed_by_client(1005, "")
        assert (close.code, close.reason) == (1005, "Client-side close frame status not set")

    @pytest.mark.fact("close.status", "close.delivery", source=GUIDE)
    @pytest.mark.parametrize(
        ("code", "reason"), [(1000, ""), (1001, "leaving"), (3000, ""), (4000, "bye"), (4999, "ü" * 61)]
    )
    def test_its_own_status_and_reason_are_passed_on(self, connect, disconnect_of, code, reason):
        client = connect()
        connection_id = client.connection_id()
        client.socket.close(code, reason)
        assert disconnect_of(connection_id) == (code, reason)

    @pytest.mark.fact("close.loss", source=UNSURE)
    def test_a_lost_network_is_told_with_1006_at_once(self, connect, disconnect_of):
        client = connect()
        connection_id = client.connection_id()
        client.socket.socket.shutdown(socket.SHUT_RDWR)
        assert disconnect_of(connection_id)[0] == 1006


class TestDelete:
    @pytest.mark.fact(23, source=MODEL)
    def test_it_is_204_and_the_client_sees_1000(self, connect):
        client, caller = connect(), connect()
        answer = caller.manage("DELETE", client.connection_id())
        assert (answer["status"], client.end()[0]) == (204, 1000)

    @pytest.mark.fact(24, source="aws/chalice#2060")
    def test_disconnect_is_told_1000_and_connection_closed_normally(self, connect, disconnect_of):
        client, caller = connect(), connect()
        connection_id = client.connection_id()
        caller.manage("DELETE", connection_id)
        assert disconnect_of(connection_id) == (1000, "Connection Closed Normally")

    @pytest.mark.fact(24, source="boto/boto3#3789")
    def test_a_connection_may_delete_itself(self, connect, disconnect_of):
        client = connect()
        connection_id = client.connection_id()
        client.send({"action": "manage", "method": "DELETE", "connectionId": connection_id})
        assert client.end()[0] == 1000
        assert disconnect_of(connection_id) == (1000, "Connection Closed Normally")


@pytest.mark.fact("close.oversize", source=UNSURE)
@pytest.mark.parametrize(("message", "code"), [(b"\x01", 1003), ("x" * (MAX_FRAME_BYTES + 1), 1009)])
def test_disconnect_is_told_what_closed_it(connect, disconnect_of, message, code):
    client = connect()
    connection_id = client.connection_id()
    client.send(message)
    assert client.end()[0] == code
    assert disconnect_of(connection_id)[0] == code


@pytest.mark.here(CLOCK)
class TestTime:
    """With a clock that the test moves, and in an emulator whose limits are seconds."""

    @pytest.fixture
    def gateway(self):
        routes = (Route(key, LambdaIntegration(key)) for key in ("$default", "$disconnect"))
        return GatewayStage({"$default": lambda event: None, "$disconnect": lambda event: None}, *routes)

    @pytest.mark.fact(26, "close.activity", source=QUOTAS)
    async def test_ten_minutes_without_data_close_it_and_data_either_way_starts_them_again(self, gateway):
        client = await gateway.connect()
        await gateway.clock.advance(599)
        await client.say("{}")
        connection_id = gateway.events("$default")[0]["requestContext"]["connectionId"]
        await gateway.clock.advance(599)
        assert (await gateway.post(connection_id)).status == 200
        await gateway.clock.advance(599)
        assert client.closed is None
        await gateway.clock.advance(2)
        assert client.closed == GOING_AWAY
        assert [told(event["requestContext"]) for event in gateway.events("$disconnect")] == [GOING_AWAY]

    @pytest.mark.fact(27, source=QUOTAS)
    async def test_two_hours_close_it_however_busy_it_is(self, gateway):
        client = await gateway.connect()
        for _ in range(12):
            await gateway.clock.advance(599)
            await client.say("{}")
        assert client.closed is None
        await gateway.clock.advance(13)
        assert client.closed == GOING_AWAY
        assert [told(event["requestContext"]) for event in gateway.events("$disconnect")] == [GOING_AWAY]

    @pytest.mark.fact("close.ping", source=UNSURE)
    async def test_a_ping_is_no_data(self, gateway):
        client = await gateway.connect()
        await gateway.clock.advance(300)
        client.inbox.put_nowait({"type": "parley.ping"})
        await gateway.clock.advance(301)
        assert client.closed == GOING_AWAY

    @pytest.mark.fact(26, source=QUOTAS)
    def test_an_idle_client_sees_1001_and_so_does_disconnect(self, connect_short_lived, disconnect_of):
        client = connect_short_lived()
        connection_id = client.connection_id()
        assert client.end() == GOING_AWAY
        assert disconnect_of(connection_id, connect_short_lived) == GOING_AWAY

    @pytest.mark.fact(27, source=QUOTAS)
    def test_a_busy_client_sees_1001_at_the_end_of_its_life(self, connect_short_lived, disconnect_of):
        client = connect_short_lived()
        connection_id = client.connection_id()
        assert end_of_a_busy(client, 0.1) == GOING_AWAY
        assert disconnect_of(connection_id, connect_short_lived) == GOING_AWAY

    def connection(self):
        handshake = Handshake("BFaT_fALIAMCKug=", CONNECTED_AT, "id", "live", "host", "127.0.0.1", [], "")
        connection = Connection(handshake, TimeLimits())
        connection.mark_open(CONNECTED_AT + 1)
        return connection

    @pytest.mark.fact(26, source=QUOTAS)
    def test_the_ten_minutes_begin_when_it_opens(self):
        connection = self.connection()
        assert connection.deadline() == CONNECTED_AT + 601
        assert connection.due_close(CONNECTED_AT + 600) is None
        close = connection.due_close(CONNECTED_AT + 601)
        assert (close.code, close.reason) == GOING_AWAY

    @pytest.mark.fact("close.activity", source=QUOTAS)
    def test_a_message_moves_the_deadline(self):
        connection = self.connection()
        connection.mark_active(CONNECTED_AT + 500)
        assert connection.deadline() == CONNECTED_AT + 1_100

    @pytest.mark.fact(27, source=QUOTAS)
    def test_the_two_hours_begin_with_the_handshake(self):
        connection = self.connection()
        connection.mark_active(CONNECTED_AT + 7_199)
        assert connection.deadline() == CONNECTED_AT + 7_200
        close = connection.due_close(CONNECTED_AT + 7_200)
        assert (close.code, close.reason) == GOING_AWAY

    def test_a_connection_is_open_between_its_handshake_and_its_end(self):
        connection = Connection(self.connection().handshake, TimeLimits())
        states = [connection.state]
        connection.mark_open(CONNECTED_AT)
        states.append(connection.state)
        connection.mark_closed()
        assert [*states, connection.state] == [ConnectionState.CONNECTING, ConnectionState.OPEN, ConnectionState.CLOSED]


class TestMinutes:
    """The same, by the clock on the wall."""

    @pytest.mark.slow("10 minutes")
    @pytest.mark.fact(26, source=QUOTAS)
    def test_ten_idle_minutes(self, connect, disconnect_of):
        client = connect()
        connection_id, started = client.connection_id(), time.monotonic()
        assert client.end(900) == GOING_AWAY
        assert 590 < time.monotonic() - started < 700
        assert disconnect_of(connection_id) == GOING_AWAY

    @pytest.mark.slow("10 minutes")
    @pytest.mark.fact("close.ping", source=UNSURE)
    def test_pings_do_not_keep_it_open(self, connect):
        client = connect("main", ping_interval=60)
        client.connection_id()
        assert client.end(900) == GOING_AWAY

    @pytest.mark.slow("1 minute")
    @pytest.mark.fact("close.no-pings", source="andyrichardson/subscriptionless#3")
    def test_the_gateway_sends_no_pings(self, connect, caplog):
        # The library notes frames only where the level is so when a connection is made.
        with caplog.at_level(logging.DEBUG, "websockets.client"):
            client = connect()
            time.sleep(60)
            assert client.is_open()
        assert "< TEXT" in caplog.text
        assert "< PING" not in caplog.text

    @pytest.mark.slow("2 hours")
    @pytest.mark.fact(27, source=QUOTAS)
    def test_two_busy_hours(self, connect, disconnect_of):
        client = connect()
        connection_id, started = client.connection_id(), time.monotonic()
        assert end_of_a_busy(client, 60) == GOING_AWAY
        assert 7_000 < time.monotonic() - started < 7_400
        assert disconnect_of(connection_id) == GOING_AWAY


def end_of_a_busy(client: ConformanceClient, pause: float):
    """Say something again and again, until the connection is closed; return how."""
    try:
        while True:
            client.ask({})
            time.sleep(pause)
    except ConnectionClosed:
        return client.socket.close_code, client.socket.close_reason
