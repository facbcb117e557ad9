"""Events that functions got, kept for the tests."""

import json
import os
import time
import uuid

import boto3

KEPT_SECONDS = 24 * 60 * 60
LOOK_SECONDS = 0.05

database = boto3.client("dynamodb")
TABLE = os.environ["OBSERVED_TABLE"]


def keep(event, kind=None, **more):
    """Keep an event under its connection's id, and under the `tag` of its query; `more` are further findings."""
    context = event["requestContext"]
    tag = (event.get("queryStringParameters") or {}).get("tag")
    content = {"kind": kind or context["eventType"], "event": event, **more}
    for subject in filter(None, (context["connectionId"], tag)):
        item = {
            "subject": {"S": subject},
            "moment": {"S": f"{time.time_ns()} {uuid.uuid4()}"},
            "content": {"S": json.dumps(content)},
            "expiresAt": {"N": str(int(time.time()) + KEPT_SECONDS)},
        }
        database.put_item(TableName=TABLE, Item=item)


def kept(subject, kind, count=1, seconds=8):
    """Return what there is of a kind, oldest first, as soon as it is `count`; what there is then after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = [each for each in _all(subject) if each["kind"] == kind]
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(LOOK_SECONDS)


def _all(subject):
    answer = database.query(
        TableName=TABLE,
        KeyConditionExpression="subject = :subject",
        ExpressionAttributeValues={":subject": {"S": subject}},
        ConsistentRead=True,
    )
    return [json.loads(item["content"]["S"]) for item in answer["Items"]]
