"""Kinds of HTTP endpoints: HTTP APIs, REST APIs and function URLs, each with its events, answers and limits."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from parley.functions.invocation import Outcome
from parley.gateway.events import Event, last_values, new_request_id
from parley.gateway.http.event import HttpRequest
from parley.gateway.http.response import HttpApiResponse, parse_response, parse_rest_response
from parley.gateway.http.rest_event import is_binary, rest_event
from parley.gateway.quotas import (
    HTTP_INTEGRATION_TIME,
    HTTP_REQUEST_SIZE,
    MAX_HTTP_REQUEST_BYTES,
    REST_INTEGRATION_TIME,
    REST_REQUEST_SIZE,
    URL_REQUEST_SIZE,
    Limit,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of HTTP endpoint. Its functions have `seconds` to answer; None leaves it to the function's own time-out.

    `event` and `parse` make the function's event of a request, and the response of the function's outcome.
    """

    event: Callable[[HttpRequest], Event]
    parse: Callable[[HttpRequest, Outcome], HttpApiResponse]
    missing: HttpApiResponse
    failed: HttpApiResponse
    timed_out: HttpApiResponse
    too_large: HttpApiResponse
    max_bytes: int
    size: Limit
    time: Limit
    seconds: float | None
    id_header: str
    new_id: Callable[[], str]

    @property
    def unread(self) -> HttpApiResponse:
        """The answer to a request that is not read to its end. The client reads it nevertheless."""
        return replace(self.too_large, headers=(*self.too_large.headers, ("connection", "close")))


def _http_event(request: HttpRequest) -> Event:
    return request.event(request.match.route.payload)


def _http_response(request: HttpRequest, outcome: Outcome) -> HttpApiResponse:
    return parse_response(outcome.payload, request.match.route.payload)


def _rest_response(request: HttpRequest, outcome: Outcome) -> HttpApiResponse:
    accepted = last_values(request.headers()).get("accept", "")
    return parse_rest_response(outcome.payload, decodes=is_binary(accepted, request.api.binary_types))


def _url_event(request: HttpRequest) -> Event:
    event = request.event("2.0")
    # Lambda developer guide, "Invoking function URLs": without AWS_IAM the caller is nobody's account.
    account = event["requestContext"]["accountId"] if request.api.iam else "anonymous"
    return event | {"requestContext": event["requestContext"] | {"accountId": account}}


def _rest(status: int, message: str, error: str) -> HttpApiResponse:
    made = HttpApiResponse.of_message(status, message)
    return replace(made, headers=(*made.headers, ("x-amzn-errortype", error)))


def _uuid() -> str:
    return str(uuid.uuid4())


_BAD_GATEWAY = HttpApiResponse(502, (("content-type", "application/json"),), b"Internal Server Error")

KINDS: Mapping[str, Kind] = {
    "http": Kind(
        event=_http_event,
        parse=_http_response,
        missing=HttpApiResponse.of_message(404, "Not Found"),
        failed=HttpApiResponse.of_message(500, "Internal Server Error"),
        timed_out=HttpApiResponse.of_message(503, "Service Unavailable"),
        too_large=HttpApiResponse.of_message(413, "Request Entity Too Large"),
        max_bytes=MAX_HTTP_REQUEST_BYTES,
        size=HTTP_REQUEST_SIZE,
        time=HTTP_INTEGRATION_TIME,
        seconds=30.0,
        id_header="apigw-requestid",
        new_id=new_request_id,
    ),
    # The developer guide's page "Gateway response types for API Gateway".
    "rest": Kind(
        event=rest_event,
        parse=_rest_response,
        missing=_rest(403, "Missing Authentication Token", "MissingAuthenticationTokenException"),
        failed=_rest(502, "Internal server error", "InternalServerErrorException"),
        timed_out=_rest(504, "Endpoint request timed out", "InternalServerErrorException"),
        too_large=_rest(413, "Request Too Long", "RequestTooLargeException"),
        max_bytes=MAX_HTTP_REQUEST_BYTES,
        size=REST_REQUEST_SIZE,
        time=REST_INTEGRATION_TIME,
        seconds=29.0,
        id_header="x-amzn-requestid",
        new_id=_uuid,
    ),
    "url": Kind(
        event=_url_event,
        parse=_http_response,
        missing=HttpApiResponse.of_message(404, "Not Found"),
        failed=_BAD_GATEWAY,
        timed_out=_BAD_GATEWAY,
        too_large=HttpApiResponse.of_message(413, "Request Entity Too Large"),
        max_bytes=6 * 1024 * 1024,
        size=URL_REQUEST_SIZE,
        time=HTTP_INTEGRATION_TIME,
        seconds=None,
        id_header="x-amzn-requestid",
        new_id=_uuid,
    ),
}
"""Kinds by the name that the template's model has for them."""

FORBIDDEN = HttpApiResponse(403, (("content-type", "application/json"),), b'{"Message":"Forbidden"}')
"""The answer of a function URL with AWS_IAM to a request without a signature."""
