"""The messages of queues, looked at without receiving them."""

import pytest
from parley.aws_services import AwsServices, Resources
from parley.aws_services.queue_view import messages, queues
from parley.clock import Clock
from parley.template.model import Queue
from parley.trace import Trace

from tests.support.trace_schema import conforms

ARN = "arn:aws:sqs:us-east-1:000000000000:view-{}"
REDRIVE = {"RedrivePolicy": f'{{"deadLetterTargetArn": "{ARN.format("dead")}", "maxReceiveCount": 3}}'}


@pytest.fixture
async def services():
    services = AwsServices("http://127.0.0.1:1/aws", Trace(), Clock())
    await services.provision(Resources((Queue("view-dead"), Queue("view-work", REDRIVE))))
    yield services
    await services.clear()


async def view(services, name):
    return await services.look(lambda: messages(name))


async def test_queues_have_their_dead_letters(services):
    found = {each["name"]: each for each in await services.look(queues)}
    work, dead = found["view-work"], found["view-dead"]
    assert (work["deadLetters"], work["maxReceives"], work["deadLettersOf"]) == ("view-dead", 3, [])
    assert (dead["deadLetters"], dead["maxReceives"], dead["deadLettersOf"]) == (None, None, ["view-work"])


async def test_messages_are_seen_and_not_received(services):
    await services.send(ARN.format("work"), "hello", {"RequestID": "r1"})
    for _ in range(2):
        found = await view(services, "view-work")
        conforms(found, "queue")
        assert (found["visible"], found["inFlight"], found["delayed"]) == (1, 0, 0)
        [message] = found["messages"]
        assert (message["body"], message["receives"], message["state"]) == ("hello", 0, "visible")
        assert message["attributes"] == {"RequestID": "r1"}
        assert message["sentAt"] > 0


async def test_a_received_message_is_in_flight(services):
    await services.send(ARN.format("work"), "hello", {})
    await services.receive("view-work", 1)
    found = await view(services, "view-work")
    assert (found["visible"], found["inFlight"]) == (0, 1)
    assert [(each["receives"], each["state"]) for each in found["messages"]] == [(1, "in flight")]


async def test_there_is_no_other_queue(services):
    assert await view(services, "none") is None
