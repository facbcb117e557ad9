"""Lambda's Invoke API over HTTP, as values: what a request asks for, and how the answers look. No I/O."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Never

from local.functions.outcome import Outcome
from local.functions.variables import VERSION, function_arn

REQUEST_BYTES = 6 * 1024 * 1024
EVENT_BYTES = 1024 * 1024
"""The most that a synchronous and an asynchronous invocation may carry."""

Response = tuple[int, dict[str, str], bytes]
"""Status, headers and body of an HTTP response."""

_NAME = re.compile(r"(?:(?:arn:aws[\w-]*:lambda:[\w-]+:)?\d{12}:function:)?(?P<name>[\w-]+)(?::[\w$-]+)?", re.ASCII)


class InvocationType(StrEnum):
    """How the caller wants the function to be invoked."""

    REQUEST_RESPONSE = "RequestResponse"
    EVENT = "Event"
    DRY_RUN = "DryRun"


class Refusal(Exception):
    """A request that Lambda refuses, with the error's type."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message

    def response(self) -> Response:
        """Return the refusal as AWS words it: `Message` has a capital where the function is not found, else none."""
        key = "Message" if self.status == 404 else "message"
        body = json.dumps({"Type": "User", key: self.message}).encode()
        return self.status, {**_headers(str(uuid.uuid4())), "x-amzn-ErrorType": self.error_type}, body


def function_name(name: str) -> str:
    """Return the name in `name`, `name:qualifier`, a partial or a full ARN; anything else as it is."""
    match = _NAME.fullmatch(name)
    return match["name"] if match else name


def refuse_unknown(name: str, region: str) -> Never:
    """Refuse a function that does not exist."""
    raise Refusal(404, "ResourceNotFoundException", f"Function not found: {function_arn(name, region)}")


def invocation_type(headers: Mapping[str, str]) -> InvocationType:
    """Return the type that the headers ask for. Raise Refusal for one that does not exist."""
    lower = {name.lower(): value for name, value in headers.items()}
    value = lower.get("x-amz-invocation-type", InvocationType.REQUEST_RESPONSE)
    try:
        return InvocationType(value)
    except ValueError:
        raise Refusal(400, "InvalidParameterValueException", f"Invalid invocation type: {value}") from None


def payload(body: bytes, kind: InvocationType) -> bytes:
    """Return the event in a request's body, `{}` for none. Raise Refusal where it is too large or not JSON."""
    if len(body) > REQUEST_BYTES:
        text = f"Request must be smaller than {REQUEST_BYTES} bytes for the InvokeFunction operation"
        raise Refusal(413, "RequestEntityTooLargeException", text)
    if kind is InvocationType.EVENT and len(body) > EVENT_BYTES:
        text = f"{len(body)} byte payload is too large for the Event invocation type (limit {EVENT_BYTES} bytes)"
        raise Refusal(413, "RequestEntityTooLargeException", text)
    try:
        json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        text = f"Could not parse request body into json: Could not parse payload into json: {error}"
        raise Refusal(400, "InvalidRequestContentException", text) from None
    return body or b"{}"


def answered(outcome: Outcome) -> Response:
    """Return the response to a synchronous invocation."""
    headers = _headers(outcome.request_id) | {"X-Amz-Executed-Version": VERSION}
    if outcome.function_error:
        headers["X-Amz-Function-Error"] = outcome.function_error
    return 200, headers, outcome.payload


def accepted(request_id: str) -> Response:
    """Return the response to an asynchronous invocation."""
    return 202, _headers(request_id), b""


def would_run() -> Response:
    """Return the response to a dry run."""
    return 204, _headers(str(uuid.uuid4())), b""


def _headers(request_id: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "x-amzn-RequestId": request_id}
