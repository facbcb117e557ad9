"""Cost so far: what is counted from the trace, and that its prices are those of the capacity model."""

import pytest
from parley.emulator.cost import PRICES, REGION, CostSoFar
from parley.trace import Trace

from infra.capacity import quotas_and_prices
from tests.support.clock import ManualClock

IDS = {"function": "Chat", "request_id": "r", "caller": "gateway", "cold": False}


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def trace(clock):
    return Trace(clock.time)


@pytest.fixture
def cost(trace, clock):
    return CostSoFar(trace, {"Chat": 512}.__getitem__, clock.time)


def amounts(cost):
    return {each["name"]: each["amount"] for each in cost.report()["parts"] if each["amount"]}


def test_nothing_costs_nothing(cost):
    assert (amounts(cost), cost.report()["dollars"]) == ({}, 0)


@pytest.mark.parametrize(("size", "messages"), [(0, 1), (32_768, 1), (32_769, 2), (131_072, 4)])
def test_a_frame_counts_for_each_32_kb_that_it_has_begun(cost, trace, size, messages):
    trace.record("frame_in", connection_id="a", bytes=size)
    trace.record("frame_out", connection_id="a", bytes=1)
    assert amounts(cost) == {"messages": messages + 1}


async def test_connections_count_while_they_are_open(cost, trace, clock):
    trace.record("open", connection_id="a")
    await clock.advance(60)
    trace.record("open", connection_id="b")
    await clock.advance(60)
    assert amounts(cost) == {"minutes": 3}
    trace.record("close", connection_id="a", code=1000, cause="the client closed it")
    await clock.advance(60)
    assert amounts(cost) == {"minutes": 4}


def test_functions_count_by_begun_milliseconds_and_memory(cost, trace):
    trace.record("end", **IDS, milliseconds=1999.2, error=None)
    assert amounts(cost) == {"invocations": 1, "gbSeconds": 1.0}


def test_calls_count_by_the_units_that_dynamodb_reports(cost, trace):
    call = {"service": "dynamodb", "caller": "Chat", "status": 200, "milliseconds": 1.0}
    trace.record("call", **call, operation="Query", units=0.5)
    trace.record("call", **call, operation="TransactWriteItems", units=4.0)
    trace.record("call", **call, operation="GetItem")
    trace.record("call", **{**call, "service": "sqs"}, operation="SendMessage")
    trace.record("http", method="GET", path="/", function="Chat", status=200)
    assert amounts(cost) == {"reads": 0.5, "writes": 4.0, "sqs": 1, "http": 1}


def test_dollars_are_amounts_by_prices_and_add_up(cost, trace):
    for _ in range(1000):
        trace.record("frame_in", connection_id="a", bytes=1)
        trace.record("end", **IDS, milliseconds=2000, error=None)
    report = cost.report()
    assert {each["name"]: each["dollars"] for each in report["parts"] if each["dollars"]} == pytest.approx(
        {"messages": 0.001, "invocations": 0.0002, "gbSeconds": 0.0166667}
    )
    assert report["dollars"] == pytest.approx(0.0178667)


def test_events_count_that_the_trace_no_longer_keeps(clock):
    trace = Trace(clock.time, size=1)
    cost = CostSoFar(trace, lambda name: 128, clock.time)
    for _ in range(3):
        trace.record("frame_in", connection_id="a", bytes=1)
    assert amounts(cost) == {"messages": 3}


async def test_a_reset_counts_from_zero(cost, trace, clock):
    trace.record("open", connection_id="a")
    await clock.advance(60)
    cost.reset()
    await clock.advance(60)
    assert (amounts(cost), cost.report()["seconds"]) == ({}, 60)


def test_prices_are_those_of_the_capacity_model():
    known = quotas_and_prices.PRICES[REGION]
    assert {
        name: PRICES[name].dollars for name in ("messages", "minutes", "invocations", "reads", "writes", "sqs")
    } == {
        "messages": known.frames_million[0][1],
        "minutes": known.minutes_million,
        "invocations": known.invocations_million,
        "reads": known.read_units_million,
        "writes": known.write_units_million,
        "sqs": known.sqs_million,
    }
