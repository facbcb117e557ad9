"""`$connect`: does what the query says, once the event is kept."""

import time

from botocore.exceptions import ClientError
from connections import post
from observed import keep

ANSWERS = {
    "null": None,
    "text": "text",
    "number": 7,
    "empty": {},
    "unknown-key": {"statusCode": 200, "Data": "x"},
    "object-as-body": {"statusCode": 200, "body": {}},
}


def handler(event, context):
    query = event.get("queryStringParameters") or {}
    keep(event, **({"post": outcome_of_a_post(event)} if "post" in query else {}))
    time.sleep(float(query.get("sleep", 0)))
    if "raise" in query:
        raise RuntimeError("asked for")
    if "answer" in query:
        return ANSWERS[query["answer"]]
    headers = {"X-Colour": "red"} if "header" in query else {}
    if "protocol" in query:
        headers["Sec-WebSocket-Protocol"] = query["protocol"]
    return {"statusCode": int(query.get("status", 200)), "headers": headers, "body": "of $connect"}


def outcome_of_a_post(event):
    try:
        post(event, b"too early")
    except ClientError as error:
        return type(error).__name__
    return "posted"
