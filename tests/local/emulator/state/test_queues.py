"""Messages of SQS that were acknowledged are there in the next run, as they were."""

from __future__ import annotations

import json

import pytest
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from parley.account import ACCOUNT_ID, REGION
from parley.aws_services import AwsServices, Resources
from parley.clock import Clock
from parley.emulator.state.journal import Journal, NotKept
from parley.emulator.state.kept import KeptServices
from parley.template.model import Queue, Subscription, Topic
from parley.trace import Trace

DEAD = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:dead"
REDRIVE = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": 1}), "VisibilityTimeout": "0"}
QUEUES = (
    Queue("dead"),
    Queue("work", {"VisibilityTimeout": "600"}),
    Queue("failing", REDRIVE),
    Queue("in.fifo", {"FifoQueue": "true"}),
)
TOPICS = (Topic("news"),)
SUBSCRIPTIONS = (
    Subscription(f"arn:aws:sns:{REGION}:{ACCOUNT_ID}:news", f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:work", raw=True),
)


@pytest.fixture
async def run(tmp_path):
    """Starts a run of the services on one journal. The run before it ends as by SIGKILL."""
    journals = []

    async def start(queues=QUEUES):
        sqs_backends[ACCOUNT_ID][REGION].queues.clear()
        journals.append(Journal(tmp_path / "services.db"))
        services = AwsServices("http://127.0.0.1:1", Trace(), Clock(), keeper=KeptServices(journals[-1]))
        await services.provision(Resources(queues, (), TOPICS, SUBSCRIPTIONS))
        return services

    yield start
    for each in journals:
        each.close()
    for backends in (sns_backends, sqs_backends):
        backends[ACCOUNT_ID][REGION].reset()


async def call(services, operation, **content):
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{operation}"}
    answer = await services.answer("sqs", "POST", headers, json.dumps(content).encode())
    assert answer.status == 200, answer.body
    return json.loads(answer.body or b"{}")


def url(queue):
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{queue}"


async def send(services, queue, *bodies, **more):
    for body in bodies:
        await call(services, "SendMessage", QueueUrl=url(queue), MessageBody=body, **more)


async def received(services, queue):
    return [each["Body"] for each in await services.receive(queue, 10)]


async def test_a_message_that_was_sent_is_there_in_the_next_run(run):
    first = await run()
    await send(first, "work", "one", "two")
    entries = [{"Id": "a", "MessageBody": "three"}, {"Id": "b", "MessageBody": "four"}]
    await call(first, "SendMessageBatch", QueueUrl=url("work"), Entries=entries)
    assert await received(await run(), "work") == ["one", "two", "three", "four"]


async def test_it_is_whole(run):
    attributes = {
        "text": {"DataType": "String", "StringValue": "слово"},
        "bytes": {"DataType": "Binary", "BinaryValue": "AP8="},
    }
    await send(await run(), "work", "body", MessageAttributes=attributes)
    [before] = await (await run()).receive("work", 1)
    assert before["MessageAttributes"] == attributes
    assert before["Body"] == "body"
    assert before["Attributes"]["ApproximateReceiveCount"] == "1"


async def test_one_that_was_deleted_is_gone(run):
    first = await run()
    await send(first, "work", "one", "two")
    [message] = await first.receive("work", 1)
    await first.delete("work", message["ReceiptHandle"])
    assert await received(await run(), "work") == ["two"]


async def test_one_that_was_received_stays_invisible_for_its_time_and_keeps_its_handle(run):
    first = await run()
    await send(first, "work", "one")
    [message] = await first.receive("work", 1)
    second = await run()
    assert await received(second, "work") == []
    await second.delete("work", message["ReceiptHandle"])
    third = await run()
    await call(third, "PurgeQueue", QueueUrl=url("work"))
    assert await received(third, "work") == []


async def test_how_often_it_was_received_counts_on_and_the_dead_letter_stays(run):
    first = await run()
    await send(first, "failing", "one")
    assert await received(first, "failing") == ["one"]
    second = await run()
    assert await received(second, "failing") == []
    third = await run()
    assert await received(third, "failing") == []
    assert await received(third, "dead") == ["one"]


async def test_a_group_of_a_fifo_queue_still_waits_for_its_first_message(run):
    first = await run()
    for body in ("one", "two"):
        await send(first, "in.fifo", body, MessageGroupId="g", MessageDeduplicationId=body)
    await first.receive("in.fifo", 1)
    assert await received(await run(), "in.fifo") == []


async def test_what_a_topic_sends_is_kept(run):
    first = await run()
    form = b"Action=Publish&Version=2010-03-31&Message=news&TopicArn=" + SUBSCRIPTIONS[0].topic.encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await first.answer("sns", "POST", headers, form)).status == 200
    assert await received(await run(), "work") == ["news"]


async def test_a_queue_that_a_request_has_made_is_there_again(run):
    first = await run()
    await call(first, "CreateQueue", QueueName="made", Attributes=REDRIVE)
    await send(first, "made", "one")
    second = await run()
    assert await received(second, "made") == ["one"]
    assert await received(second, "made") == []
    assert await received(second, "dead") == ["one"]
    await call(second, "DeleteQueue", QueueUrl=url("made"))
    queues = await call(await run(), "ListQueues")
    assert not any(each.endswith("/made") for each in queues["QueueUrls"])


async def test_messages_of_a_queue_that_the_template_has_no_more_wait_for_it(run):
    await send(await run(), "work", "one")
    other = await run(QUEUES[:1])
    await send(other, "dead", "two")
    assert await received(await run(), "work") == ["one"]


async def test_a_queue_that_a_reload_brings_is_the_templates_and_has_what_was_kept_for_it(run):
    await send(await run(), "work", "one")
    second = await run(QUEUES[:1])
    await second.provision(Resources(QUEUES[1:2]))
    await send(second, "work", "two")
    assert await received(second, "work") == ["one", "two"]
    third = await run(QUEUES[:1])
    assert [each.rpartition("/")[2] for each in (await call(third, "ListQueues"))["QueueUrls"]] == ["dead"]


async def test_a_message_that_cannot_be_kept_is_not_acknowledged(run, monkeypatch):
    services = await run()

    def full(journal, *statements):
        raise NotKept("services.db cannot be written (database or disk is full)")

    monkeypatch.setattr(Journal, "write", full)
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessage"}
    body = json.dumps({"QueueUrl": url("work"), "MessageBody": "one"}).encode()
    answer = await services.answer("sqs", "POST", headers, body)
    assert answer.status == 507
    assert b"disk is full" in answer.body
