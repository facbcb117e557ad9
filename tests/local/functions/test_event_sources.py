"""Queues that invoke functions."""

from __future__ import annotations

import asyncio

import pytest
from parley.aws_services import AwsServices, Resources
from parley.clock import Clock
from parley.functions.event_sources import QueuePoller, failed_items
from parley.template.model import EventSource, Queue
from parley.trace import Trace

from tests.support.recording_function import RecordingFunction
from tests.support.waiting import HANGS

QUEUE = "arn:aws:sqs:us-east-1:000000000000:polled"


@pytest.fixture
async def polled():
    """Start a queue of a visibility time-out of one second, with a function at its end."""
    running = []

    async def start(function, reports=False):
        services = AwsServices("http://127.0.0.1:1", Trace(), Clock())
        await services.provision(Resources((Queue("polled", {"VisibilityTimeout": "1"}),)))
        for message in await services.receive("polled", 10):
            await services.delete("polled", message["ReceiptHandle"])
        sources = QueuePoller((EventSource("polled", "f", reports_failures=reports),), services, function, Clock())
        sources.start()
        running.append(sources)
        return services

    yield start
    for each in running:
        each.stop()


async def received(function, times):
    async with asyncio.timeout(HANGS):
        while len(function.events) < times:
            function.invoked.clear()
            await function.invoked.wait()
    return [[record["body"] for record in event["Records"]] for event in function.events]


async def test_a_message_invokes_the_function_once_in_sqs_own_shape(polled):
    function = RecordingFunction()
    services = await polled(function)
    await services.send(QUEUE, "hello", {"Colour": "red"})
    assert await received(function, 1) == [["hello"]]
    [record] = function.events[0]["Records"]
    assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == ("aws:sqs", QUEUE, "us-east-1")
    assert record["messageAttributes"]["Colour"]["StringValue"] == "red"
    await asyncio.sleep(1.5)
    assert len(function.events) == 1


async def test_a_failed_message_comes_again(polled):
    function = RecordingFunction(error="Unhandled")
    services = await polled(function)
    await services.send(QUEUE, "poison", {})
    assert await received(function, 2) == [["poison"], ["poison"]]


async def test_only_what_is_reported_as_failed_comes_again(polled):
    function = RecordingFunction({"batchItemFailures": []})
    services = await polled(function, reports=True)
    await services.send(QUEUE, "one", {})
    [[first]] = await received(function, 1)
    function.answer = {"batchItemFailures": [{"itemIdentifier": "none of them"}]}
    await services.send(QUEUE, "two", {})
    assert (first, (await received(function, 2))[1]) == ("one", ["two"])


@pytest.mark.parametrize(
    ("payload", "failed"),
    [
        (b'{"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}', {"a", "b"}),
        (b'{"batchItemFailures": []}', set()),
        (b'{"batchItemFailures": null}', set()),
        (b"{}", set()),
        (b"null", set()),
        (b'"text"', set()),
        (b"no JSON", None),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', None),
        (b'{"batchItemFailures": [{"itemidentifier": "a"}]}', None),
        (b'{"batchItemFailures": ["a"]}', None),
    ],
)
def test_a_report_names_items_or_is_a_failure_of_all(payload, failed):
    assert failed_items(payload) == failed


async def test_a_report_that_names_nothing_makes_the_whole_batch_come_again(polled):
    function = RecordingFunction({"batchItemFailures": [{"identifier": "wrong"}]})
    services = await polled(function, reports=True)
    await services.send(QUEUE, "one and all", {})
    # A message of a test before may come too, also in the same batch.
    times, seen = 0, 0
    while seen < 2:
        times += 1
        seen = sum("one and all" in batch for batch in await received(function, times))
