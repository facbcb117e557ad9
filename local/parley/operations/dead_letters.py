"""Dead-letter queues of a stack: what is in them, and the way back.

A queue `XDeadLetterQueueUrl` of the outputs holds the events that the function `XFunctionName` failed to handle. Lambda
has put them there, so SQS cannot move them back: the function is invoked with each again. If there is no such function,
another queue has put the messages there, and SQS moves them back to it.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from parley.errors import StartError
from parley.operations.access import CALL_ERRORS, Access, code_of, failed, message_of
from parley.operations.stack import Stack

_SUFFIX = "DeadLetterQueueUrl"
_LOOK_SECONDS = 30
"""Time for which the messages that are looked at are invisible to others."""
_HELD_SECONDS = 120
"""Time in which the messages of one batch have to reach the function."""
_BUSY = {"TooManyRequestsException", "ServiceException", "EC2ThrottledException"}


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """A dead-letter queue, and the function whose events it holds. `function` is None for those of another queue."""

    name: str
    url: str
    function: str | None


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of a dead-letter queue: the event, its id, why it is there, and what SQS needs to delete it."""

    id: str
    body: str
    error: str
    receipt: str


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a queue: the number that SQS estimates, and the letters that could be looked at."""

    count: int
    letters: tuple[Letter, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for one letter: `problem` says why it is still in the queue."""

    letter: Letter
    problem: str = ""


def queues(stack: Stack, only: str | None = None) -> list[DeadLetters]:
    """Return the dead-letter queues of a stack, or one of them. Raises `StartError` if there is none of this name."""
    names = [key.removesuffix(_SUFFIX) for key in stack.outputs if key.endswith(_SUFFIX)]
    if only is not None and only not in names:
        raise StartError(f"Stack {stack.name} has no dead-letter queue {only}. It has {', '.join(names) or 'none'}.")
    return [
        DeadLetters(name, stack.outputs[name + _SUFFIX], stack.outputs.get(f"{name}FunctionName"))
        for name in names
        if only in (None, name)
    ]


def look(access: Access, queue: DeadLetters, limit: int) -> Contents:
    """Return the contents of a queue, with at most `limit` letters. They stay in the queue. Raises `StartError`."""
    sqs = access.client("sqs")
    try:
        count = _count(sqs, queue)
        letters = list(islice(_received(sqs, queue, _LOOK_SECONDS), limit))
        for letter in letters:
            sqs.change_message_visibility(QueueUrl=queue.url, ReceiptHandle=letter.receipt, VisibilityTimeout=0)
    except CALL_ERRORS as error:
        raise failed(error, f"The dead-letter queue {queue.name}") from None
    return Contents(count, tuple(letters))


def send_back(access: Access, queue: DeadLetters, function: str) -> Iterator[Outcome]:
    """Invoke a function with each letter, and delete the letters that Lambda has accepted. Raises `StartError`.

    If this ends in the middle, a letter may be sent twice later: the functions expect that of every event.
    """
    sqs, functions = access.client("sqs"), access.client("lambda")
    try:
        for letter in _received(sqs, queue, _HELD_SECONDS):
            problem, is_busy = _invoke(functions, function, letter)
            if not problem:
                sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=letter.receipt)
            yield Outcome(letter, problem)
            if is_busy:
                return
    except CALL_ERRORS as error:
        raise failed(error, f"The dead-letter queue {queue.name}") from None


def move_back(access: Access, queue: DeadLetters) -> int:
    """Start SQS's move of all messages to the queue that they came from. Return their number. Raises `StartError`.

    A move that runs already is left to run.
    """
    sqs = access.client("sqs")
    try:
        count = _count(sqs, queue)
        arn = sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        tasks = sqs.list_message_move_tasks(SourceArn=arn).get("Results", ())
        if count and not any(task["Status"] == "RUNNING" for task in tasks):
            sqs.start_message_move_task(SourceArn=arn)
    except CALL_ERRORS as error:
        raise failed(error, f"The move out of the dead-letter queue {queue.name}") from None
    return count


def ids_in(letter: Letter) -> str:
    """Return the ids that an event has, as text. The rest of it may be private."""
    try:
        event = json.loads(letter.body)
    except ValueError:
        return "(no JSON)"
    if not isinstance(event, dict) or not isinstance(event.get("requestPayload") or {}, dict):
        return "(no object)"
    # The events of GiveUpFunction are Lambda's records of a failure, with the event inside.
    event = event.get("requestPayload") or event
    ids = {name: value for name, value in event.items() if name.lower().endswith("id") and isinstance(value, str)}
    return " ".join(f"{name}={value}" for name, value in ids.items())


def _count(sqs: Any, queue: DeadLetters) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


def _received(sqs: Any, queue: DeadLetters, seconds: int) -> Iterator[Letter]:
    """Yield the letters of a queue, each once, until it seems to be empty."""
    seen: set[str] = set()
    while True:
        answer = sqs.receive_message(
            QueueUrl=queue.url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=seconds,
            # A long poll asks all of SQS's servers; a short one may find none of the messages.
            WaitTimeSeconds=2,
            MessageAttributeNames=["All"],
        )
        letters = [_letter(each) for each in answer.get("Messages", ()) if each["MessageId"] not in seen]
        if not letters:
            return
        seen |= {letter.id for letter in letters}
        yield from letters


def _letter(message: Mapping[str, Any]) -> Letter:
    """Return a message of SQS as a letter. Lambda writes its reason into the message's attributes."""
    reason = message.get("MessageAttributes", {}).get("ErrorMessage", {}).get("StringValue", "")
    return Letter(message["MessageId"], message["Body"], reason, message["ReceiptHandle"])


def _invoke(functions: Any, name: str, letter: Letter) -> tuple[str, bool]:
    """Invoke a function with a letter. Return why it was not accepted, and whether others would not be either."""
    try:
        answer = functions.invoke(FunctionName=name, InvocationType="Event", Payload=letter.body.encode())
    except ClientError as error:
        if code_of(error) in _BUSY or error.response["ResponseMetadata"]["HTTPStatusCode"] == 429:
            return f"Lambda is busy: {message_of(error)}", True
        if code_of(error) == "InvalidRequestContentException":
            return f"it is no event: {message_of(error)}", False
        raise
    status = answer["StatusCode"]
    return ("", False) if status == 202 else (f"Lambda answered {status}", False)
