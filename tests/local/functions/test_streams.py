"""Streams of tables that invoke functions, with a clock that the test moves."""

from __future__ import annotations

import json

import pytest
from parley.functions.streams import StreamPoller
from parley.template.model import StreamSource
from parley.trace import Trace

from tests.support.answering_function import AnsweringFunction
from tests.support.clock import ManualClock
from tests.support.stream_in_memory import ARN, StreamInMemory

FAILS = RuntimeError


@pytest.fixture
async def polled():
    """Return a function that polls a stream for a function that answers so; with what is delivered elsewhere."""
    running = []

    async def start(*answers, before=(), table="Orders", **source):
        clock, trace, sent = ManualClock(), Trace(), []
        stream, function = StreamInMemory(clock), AnsweringFunction(*answers)
        for key in before:
            stream.put(key)
        made = StreamPoller(
            [StreamSource(table, "f", **source)],
            *(stream.call, function),
            *(lambda arn, body, name: sent.append((arn, json.loads(body))), trace, clock),
        )
        await made.start()
        running.append(made)
        return stream, function, clock, sent, trace

    start.running = running
    yield start
    for each in running:
        each.stop()


async def test_a_change_invokes_the_function_in_dynamodbs_own_shape(polled):
    stream, function, clock, _, _ = await polled()
    stream.put("a", n={"N": "1"})
    await clock.advance(1)
    [event] = function.events
    [record] = event["Records"]
    assert (record["eventSourceARN"], record["awsRegion"], record["eventName"]) == (ARN, "us-east-1", "INSERT")
    assert record["dynamodb"]["NewImage"] == {"id": {"S": "a"}, "n": {"N": "1"}}
    await clock.advance(60)
    assert len(function.events) == 1


@pytest.mark.parametrize(("from_start", "batches"), [(False, [["b"]]), (True, [["a", "b"]])])
async def test_it_begins_where_its_starting_position_says(polled, from_start, batches):
    stream, function, clock, _, _ = await polled(before=["a"], from_start=from_start)
    stream.put("b")
    await clock.advance(1)
    assert function.batches == batches


async def test_batches_have_the_size_and_the_order_of_the_changes(polled):
    stream, function, clock, _, _ = await polled(batch_size=2)
    for key in "abcde":
        stream.put(key)
    await clock.advance(1)
    assert function.batches == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_write_that_changes_nothing_is_no_change(polled):
    stream, function, clock, _, _ = await polled()
    stream.put("a", old={"id": {"S": "a"}})
    stream.put("b", old={"id": {"S": "b"}, "n": {"N": "1"}})
    await clock.advance(1)
    assert function.batches == [["b"]]


async def test_only_changes_that_a_filter_matches_are_sent(polled):
    pattern = {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": ["x"]}}}}
    stream, function, clock, _, _ = await polled(filters=(pattern,))
    stream.put("a", kind={"S": "x"})
    stream.put("b", kind={"S": "y"})
    stream.put("c", old={"id": {"S": "c"}}, kind={"S": "x"})
    await clock.advance(1)
    assert function.batches == [["a"]]


async def test_a_batch_that_fails_comes_again_and_holds_up_the_next(polled):
    stream, function, clock, _, _ = await polled(FAILS, FAILS, batch_size=1)
    stream.put("a")
    stream.put("b")
    await clock.advance(60)
    assert function.batches == [["a"], ["a"], ["a"], ["b"]]


async def test_after_its_retries_it_is_given_up_and_the_destination_is_told(polled):
    stream, function, clock, sent, trace = await polled(FAILS, FAILS, retries=1, on_failure="arn:aws:sqs:x:y:dead")
    stream.put("a")
    stream.put("b")
    await clock.advance(60)
    stream.put("c")
    await clock.advance(1)
    assert function.batches == [["a", "b"], ["a", "b"], ["c"]]
    [(arn, content)] = sent
    assert arn == "arn:aws:sqs:x:y:dead"
    assert content["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert content["requestContext"]["approximateInvokeCount"] == 2
    found = content["DDBStreamBatchInfo"]
    assert (found["startSequenceNumber"], found["endSequenceNumber"], found["batchSize"]) == ("1", "2", 2)
    assert [event.fields["condition"] for event in trace.after(0) if event.kind == "dead_letter"] == [
        "RetryAttemptsExhausted"
    ]


async def test_changes_that_are_too_old_are_given_up(polled):
    stream, function, clock, sent, _ = await polled(*[FAILS] * 100, max_age=10, on_failure="arn:aws:sqs:x:y:dead")
    stream.put("a")
    await clock.advance(120)
    assert 1 < len(function.batches) < 10
    assert sent[0][1]["requestContext"]["condition"] == "RecordAgeExceeded"


async def test_from_the_first_change_that_is_reported_on_it_comes_again(polled):
    reported = {"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "2"}]}
    stream, function, clock, _, _ = await polled(reported, reports_failures=True)
    for key in "abcd":
        stream.put(key)
    await clock.advance(60)
    assert function.batches == [["a", "b", "c", "d"], ["b", "c", "d"]]


@pytest.mark.parametrize(
    ("answer", "reports", "times"),
    [
        ({"batchItemFailures": []}, True, 1),
        ({"batchItemFailures": None}, True, 1),
        ({}, True, 1),
        (None, True, 1),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, True, 2),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, True, 2),
        ({"batchItemFailures": [{"identifier": "1"}]}, True, 2),
        ({"batchItemFailures": [{"itemIdentifier": "99"}]}, True, 2),
        ({"batchItemFailures": [{"itemIdentifier": "1"}]}, False, 1),
    ],
)
async def test_an_answer_is_a_success_or_a_failure_of_the_whole_batch(polled, answer, reports, times):
    stream, function, clock, _, _ = await polled(answer, reports_failures=reports)
    stream.put("a")
    await clock.advance(60)
    assert function.batches == [["a"]] * times


async def test_a_failed_batch_may_be_tried_in_halves(polled):
    stream, function, clock, _, _ = await polled(FAILS, None, FAILS, bisects=True)
    for key in "abcd":
        stream.put(key)
    await clock.advance(60)
    assert function.batches == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"], ["c"], ["d"]]


async def test_if_the_engine_does_not_answer_it_is_asked_again(polled):
    stream, function, clock, _, _ = await polled()
    stream.refuses = True
    stream.put("a")
    await clock.advance(5)
    assert function.batches == [["a"]]


async def test_a_table_without_a_stream_is_said(polled):
    *_, trace = await polled(table="Others")
    [note] = [event.fields["text"] for event in trace.after(0)]
    assert note == "f gets no changes of Others: this DynamoDB has no stream of the table."


async def test_sources_that_stay_go_on_and_others_begin_or_end(polled):
    stream, function, clock, _, _ = await polled("ok", "ok", "ok")
    [poller] = polled.running
    kept, other = StreamSource("Orders", "f"), StreamSource("Orders", "f", batch_size=1)
    stream.put("a")
    await poller.renew([kept, other])
    await clock.advance(1)
    # `kept` has not begun again, so it still meets the change that was there before.
    assert [len(event["Records"]) for event in function.events] == [1]
    await poller.renew([])
    stream.put("b")
    await clock.advance(1)
    assert len(function.events) == 1


async def test_a_poller_that_was_stopped_starts_again(polled):
    stream, function, clock, _, _ = await polled("ok")
    [poller] = polled.running
    poller.stop()
    await poller.start()
    await poller.start()
    stream.put("a")
    await clock.advance(1)
    assert len(function.events) == 1
