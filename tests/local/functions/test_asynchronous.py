"""Asynchronous invocations: retries, age, and what happens when all fails."""

import json

import pytest

LAST = "arn:aws:lambda:us-east-1:000000000000:function:last"
NEVER = "def handler(event, context): raise ValueError('never')"

TOLD = """
    import json

    def handler(event, context):
        print(json.dumps(event))
"""

SECOND_TIME = """
    import pathlib

    def handler(event, context):
        seen = pathlib.Path("seen")
        if seen.exists():
            return seen.read_text() == context.aws_request_id
        seen.write_text(context.aws_request_id)
        raise ValueError("once more")
"""


async def test_the_caller_does_not_wait(serve):
    service = await serve(f="import time\ndef handler(event, context): time.sleep(0.2)")
    request_id = service.lambda_.invoke_later("f", b"{}")
    assert not service.traced("start")
    [end] = await service.until("end")
    assert end["request_id"] == request_id


async def test_a_failed_event_is_tried_again_with_the_same_request_id(serve):
    service = await serve({"retry_delay": 0.05}, f=SECOND_TIME)
    request_id = service.lambda_.invoke_later("f", b"{}")
    ends = await service.until("end", 2)
    assert [end["request_id"] for end in ends] == [request_id] * 2
    assert [end["error"] for end in ends] == ["ValueError", None]


async def test_the_second_retry_waits_twice_as_long_and_is_the_last(serve):
    service = await serve({"retry_delay": 0.1, "dead_letter": "failed-events"}, f=NEVER)
    request_id = service.lambda_.invoke_later("f", b"{}")
    [dead] = await service.until("dead_letter")
    first, second, third = (event.at for event in service.trace.after(0) if event.kind == "start")
    assert second - first >= 0.1
    assert third - second >= 0.2
    assert dead == {
        "function": "f",
        "request_id": request_id,
        "condition": "RetriesExhausted",
        "attempts": 3,
        "queue": "failed-events",
        "destination": None,
    }


@pytest.mark.parametrize("retries", [0, 1])
async def test_a_function_may_ask_for_fewer_retries(serve, retries):
    service = await serve({"retry_delay": 0.01, "retries": retries}, f=NEVER)
    service.lambda_.invoke_later("f", b"{}")
    [dead] = await service.until("dead_letter")
    assert dead["attempts"] == len(service.traced("end")) == retries + 1


async def test_an_event_that_would_be_too_old_is_not_tried_again(serve):
    service = await serve({"max_event_age": 60}, f=NEVER)
    service.lambda_.invoke_later("f", b"{}")
    [dead] = await service.until("dead_letter")
    assert (dead["condition"], dead["attempts"]) == ("EventAgeExceeded", 1)


async def test_an_on_failure_destination_that_is_a_function_gets_the_record(serve):
    service = await serve({"retries": 0, "dead_letter": "failed-events", "on_failure": LAST}, f=NEVER, last=TOLD)
    request_id = service.lambda_.invoke_later("f", b'{"turn": 1}')
    await service.until("end", 2)
    record = json.loads(service.lines()[-1])
    assert record["requestPayload"] == {"turn": 1}
    assert record["responsePayload"]["errorMessage"] == "never"
    assert record["responseContext"]["functionError"] == "Unhandled"
    context = record["requestContext"]
    assert (context["requestId"], context["condition"]) == (request_id, "RetriesExhausted")
