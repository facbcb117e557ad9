"""Lambda's Invoke API over HTTP, as values: requests parsed, responses built. No I/O."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from math import ceil
from typing import Never
from urllib.parse import parse_qsl

from parley.functions.invocation import THROTTLED, Invocation, Outcome
from parley.functions.variables import function_arn
from parley.template.model import LATEST

MAX_REQUEST_BYTES = 6 * 1024 * 1024
"""The largest payload of a synchronous invocation."""

MAX_EVENT_BYTES = 1024 * 1024
"""The largest payload of an asynchronous invocation."""

REQUEST_ID_HEADER = "x-amzn-RequestId"
"""The header of an answer that has the request id of the invocation."""

RawResponse = tuple[int, dict[str, str], bytes]
"""Status, headers and body of an HTTP response."""

_MAX_LOG_BYTES = 4 * 1024
"""The size of the log's end that `LogType: Tail` returns."""

_NAME = re.compile(
    r"(?:(?:arn:aws[\w-]*:lambda:[\w-]+:)?\d{12}:function:)?(?P<name>[\w-]+)(?::(?P<qualifier>[\w$-]+))?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A function as a caller names it."""

    name: str
    qualifier: str = LATEST


class InvocationType(StrEnum):
    """The kind of invocation that the caller asks for."""

    REQUEST_RESPONSE = "RequestResponse"
    EVENT = "Event"
    DRY_RUN = "DryRun"


class Refusal(Exception):
    """A request that Lambda refuses, with the type of the error."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message

    def response(self) -> RawResponse:
        """Return the refusal as AWS writes it: with `Message` for a function that is not found, else `message`."""
        key = "Message" if self.status == 404 else "message"
        body = json.dumps({"Type": "User", key: self.message}).encode()
        return self.status, {**_headers(str(uuid.uuid4())), "x-amzn-ErrorType": self.error_type}, body


def reference(path: str, query: str = "") -> Reference:
    """Return the function that a path names: as `name`, `name:qualifier`, a partial ARN or a full ARN.

    `Qualifier=` in the query names the qualifier too. Any other path is taken as a name, which no function has.
    Raises `Refusal` if the two qualifiers differ.
    """
    match = _NAME.fullmatch(path)
    asked = dict(parse_qsl(query)).get("Qualifier")
    if match is None:
        return Reference(path, asked or LATEST)
    if match["qualifier"] and asked and match["qualifier"] != asked:
        text = "The derived qualifier from the function name does not match the specified qualifier."
        raise Refusal(400, "InvalidParameterValueException", text)
    return Reference(match["name"], match["qualifier"] or asked or LATEST)


def refuse_unknown(name: str, qualifier: str) -> Never:
    """Refuse a function, or a qualifier of it, that does not exist."""
    arn = function_arn(name) + ("" if qualifier == LATEST else f":{qualifier}")
    raise Refusal(404, "ResourceNotFoundException", f"Function not found: {arn}")


def refuse_unkept(reason: str) -> Never:
    """Refuse an event that cannot be kept, with a status that no SDK repeats. AWS has no such answer."""
    raise Refusal(507, "EventNotKept", reason)


def invocation_type(headers: Mapping[str, str]) -> InvocationType:
    """Return the type that the headers ask for. Raises `Refusal` for a type that does not exist."""
    lower = {name.lower(): value for name, value in headers.items()}
    value = lower.get("x-amz-invocation-type", InvocationType.REQUEST_RESPONSE)
    try:
        return InvocationType(value)
    except ValueError:
        raise Refusal(400, "InvalidParameterValueException", f"Invalid invocation type: {value}") from None


def client_context(headers: Mapping[str, str]) -> str | None:
    """Return the caller's client context as JSON in ASCII, None if it sent none. Raises `Refusal` if it is no object.

    Only synchronous invocations have one (aws/aws-sdk#679). The refusal is AWS's (boto/boto3#2153).
    """
    encoded = next((value for name, value in headers.items() if name.lower() == "x-amz-client-context"), "")
    if not encoded:
        return None
    try:
        content = json.loads(base64.b64decode(encoded, validate=True))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        text = "Client context must be a valid Base64-encoded JSON object."
        raise Refusal(400, "InvalidRequestContentException", text)
    return json.dumps(content)


def payload(body: bytes, kind: InvocationType) -> bytes:
    """Return the event in a request's body, `{}` if it is empty. Raises `Refusal` if it is too large or not JSON."""
    if len(body) > MAX_REQUEST_BYTES:
        text = f"Request must be smaller than {MAX_REQUEST_BYTES} bytes for the InvokeFunction operation"
        raise Refusal(413, "RequestEntityTooLargeException", text)
    if kind is InvocationType.EVENT and len(body) > MAX_EVENT_BYTES:
        text = f"{len(body)} byte payload is too large for the Event invocation type (limit {MAX_EVENT_BYTES} bytes)"
        raise Refusal(413, "RequestEntityTooLargeException", text)
    try:
        json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        text = f"Could not parse request body into json: Could not parse payload into json: {error}"
        raise Refusal(400, "InvalidRequestContentException", text) from None
    return body or b"{}"


def answered(outcome: Outcome, invocation: Invocation, asked: Mapping[str, str]) -> RawResponse:
    """Return the response to a synchronous invocation. `asked` are the headers of the request."""
    if outcome.throttled:
        headers = _headers(outcome.request_id) | {"x-amzn-ErrorType": THROTTLED, "Retry-After": "1"}
        return 429, headers, outcome.payload
    headers = _headers(outcome.request_id) | {"X-Amz-Executed-Version": invocation.version}
    if outcome.function_error:
        headers["X-Amz-Function-Error"] = outcome.function_error
    if any(name.lower() == "x-amz-log-type" and value == "Tail" for name, value in asked.items()):
        log = _log(outcome, invocation).encode()[-_MAX_LOG_BYTES:]
        headers["X-Amz-Log-Result"] = base64.b64encode(log).decode()
    return 200, headers, outcome.payload


def _log(outcome: Outcome, invocation: Invocation) -> str:
    """Return the lines that an invocation printed, between the lines that Lambda adds."""
    request_id = outcome.request_id
    if invocation.function.log_format == "JSON":
        return "\n".join([_started(invocation), *outcome.lines, _report(outcome, invocation)]) + "\n"
    report = (
        f"REPORT RequestId: {request_id}\tDuration: {outcome.milliseconds:.2f} ms\t"
        f"Billed Duration: {ceil(outcome.milliseconds)} ms\tMemory Size: {invocation.function.memory} MB\t"
    )
    if outcome.memory is not None:
        report += f"Max Memory Used: {outcome.memory:.0f} MB\t"
    start = f"START RequestId: {request_id} Version: {invocation.version}"
    return "\n".join([start, *outcome.lines, f"END RequestId: {request_id}", report]) + "\n"


def _started(invocation: Invocation) -> str:
    """Return Lambda's line for the begin of an invocation in JSON: developer guide, "Using JSON log format"."""
    return _platform("start", requestId=invocation.request_id, version=invocation.version)


def _report(outcome: Outcome, invocation: Invocation) -> str:
    metrics = {
        "durationMs": round(outcome.milliseconds, 3),
        "billedDurationMs": ceil(outcome.milliseconds),
        "memorySizeMB": invocation.function.memory,
        **({} if outcome.memory is None else {"maxMemoryUsedMB": round(outcome.memory)}),
    }
    status = "error" if outcome.function_error else "success"
    return _platform("report", requestId=outcome.request_id, metrics=metrics, status=status)


def _platform(kind: str, **record: object) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": now, "type": f"platform.{kind}", "record": record}, separators=(",", ":"))


def accepted(request_id: str) -> RawResponse:
    """Return the response to an asynchronous invocation."""
    return 202, _headers(request_id), b""


def dry_run() -> RawResponse:
    """Return the response to a dry run."""
    return 204, _headers(str(uuid.uuid4())), b""


def _headers(request_id: str) -> dict[str, str]:
    return {"Content-Type": "application/json", REQUEST_ID_HEADER: request_id}
