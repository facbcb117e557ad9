"""A client that does not read what it is sent costs the others nothing, and can be closed."""

import json

import pytest
from parley.gateway.quotas import MAX_MESSAGE_BYTES
from parley.gateway.websocket import transport
from parley.gateway.websocket.protocol import MAX_UNSENT_BYTES
from parley.template.model import LambdaIntegration, Route

from tests.emulator.facts import MODEL
from tests.support.gateway import GatewayStage
from tests.support.served import CLOSE, PING, TEXT, Gateway, code_of, frame, serving
from tests.support.waiting import until

POST = b"x" * MAX_MESSAGE_BYTES
MOST_POSTS = 1_000
"""More posts than the system's own buffers hold."""


@pytest.fixture(params=["asyncio", "uvloop"])
def stage(request):
    functions = {"$connect": lambda event: {"statusCode": 200}, "$disconnect": lambda event: None}
    stage = GatewayStage(functions, *(Route(key, LambdaIntegration(key)) for key in functions))
    with serving(stage.application, request.param) as stage.server:
        yield stage
    assert stage.server.errors == []


def connected(stage):
    client = stage.server.connect().open()
    return client, stage.events("$connect")[-1]["requestContext"]["connectionId"]


def fill(stage, connection_id):
    """Post until a post is refused; return how many were not, and the refusal."""
    for number in range(MOST_POSTS):
        response = stage.server.run(stage.post(connection_id, POST))
        if response.status != 200:
            return number, response
    raise AssertionError("the buffer has no end")


@pytest.mark.here("how much a client's buffer holds there is not known")
@pytest.mark.fact("connections.full", source=MODEL)
def test_a_post_to_a_full_buffer_is_429_at_once(stage):
    client, connection_id = connected(stage)
    _, refused = fill(stage, connection_id)
    assert (refused.status, refused.headers["x-amzn-ErrorType"]) == (429, "LimitExceededException")
    assert json.loads(refused.body) == {"message": "Rate exceeded"}
    client.leave()


def test_the_others_are_answered_meanwhile(stage):
    client, connection_id = connected(stage)
    fill(stage, connection_id)
    other, _ = connected(stage)
    other.send(frame(TEXT, b"{}"))
    assert b"Forbidden" in other.next_frame()[1]
    for each in (client, other):
        each.leave()


def test_a_client_that_reads_again_gets_all_that_was_not_refused_and_what_comes_then(stage):
    client, connection_id = connected(stage)
    posted, _ = fill(stage, connection_id)
    assert [len(client.next_frame()[1]) for _ in range(posted)] == [MAX_MESSAGE_BYTES] * posted
    assert stage.server.run(stage.post(connection_id, b"again")).status == 200
    assert client.next_frame() == (TEXT, b"again")
    client.leave()


def test_a_frame_of_the_gateways_own_is_dropped_and_the_trace_says_so(stage):
    client, connection_id = connected(stage)
    fill(stage, connection_id)
    client.send(frame(TEXT, b"{}"))
    until(lambda: stage.told("unrouted"))
    until(lambda: len(stage.told("limit")) == 2)
    client.leave()


def test_delete_closes_it_without_waiting_and_the_close_frame_comes_last(stage):
    client, connection_id = connected(stage)
    posted, _ = fill(stage, connection_id)
    assert stage.server.run(stage.post(connection_id, method="DELETE")).status == 204
    assert stage.server.run(stage.post(connection_id)).status == 410
    until(lambda: stage.events("$disconnect"))
    found = client.frames_until_close()
    assert [opcode for opcode, _ in found] == [TEXT] * posted + [CLOSE]
    assert code_of(found[-1]) == 1000
    client.leave()


def test_the_idle_time_out_closes_it(stage):
    client, connection_id = connected(stage)
    fill(stage, connection_id)
    stage.server.run(stage.clock.advance(601))
    until(lambda: stage.events("$disconnect"))
    assert stage.events("$disconnect")[0]["requestContext"]["disconnectStatusCode"] == 1001
    assert stage.server.run(stage.post(connection_id)).status == 410
    client.leave()


def test_once_closed_it_is_dropped_though_it_never_reads(stage, monkeypatch):
    monkeypatch.setattr(transport, "LINGER_SECONDS", 0.1)
    client, connection_id = connected(stage)
    [protocol] = stage.server.protocols()
    protocol.close_timeout = 0.1
    fill(stage, connection_id)
    stage.server.run(stage.post(connection_id, method="DELETE"))
    until(lambda: not stage.server.protocols())
    client.leave()


def test_pings_that_nobody_reads_the_answers_of_take_no_memory():
    gateway = Gateway()
    with serving(gateway) as server:
        client = server.connect().open()
        for _ in range(100):
            client.send(frame(PING, b"x" * 125) * 1_000)
        client.send(frame(TEXT, b"done"))
        gateway.wait_for(lambda: gateway.received == ["done"])
        [protocol] = server.protocols()
        assert protocol.transport.get_write_buffer_size() < 2 * MAX_UNSENT_BYTES
        client.leave()


def test_empty_fragments_take_no_memory():
    gateway = Gateway()
    with serving(gateway) as server:
        client = server.connect().open()
        client.send(frame(TEXT, b"a", fin=False), frame(0, fin=False) * 100_000, frame(TEXT, b"done"))
        [protocol] = server.protocols()
        assert client.close_code() == 1002
        assert len(protocol.frames) < 3
        client.leave()
