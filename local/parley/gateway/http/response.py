"""Responses of HTTP APIs, REST APIs and function URLs, made of what functions return.

Rules of the developer guide's page "AWS Lambda proxy integrations for HTTP APIs": in format 2.0 valid JSON without a
status code is the body of a 200, and `cookies` make Set-Cookie headers. Format 1.0 has `multiValueHeaders`. REST APIs
have the rules of "Lambda proxy integrations in API Gateway", and take no other keys than those.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from parley.asgi import Response
from parley.gateway.events import new_request_id

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_DROPPED_HEADERS = {"content-length", "connection", "transfer-encoding", "keep-alive", "upgrade"}
_WITHOUT_BODY = {204, 304}
_TEXT = "text/plain;charset=utf-8"
_JSON = "application/json"
_REST_KEYS = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}


class InvalidFunctionResponse(Exception):
    """A function returned something that is not a response. The text says why."""


@dataclass(frozen=True, slots=True)
class HttpApiResponse:
    """A whole response. A header may occur more than once."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @classmethod
    def of_message(cls, status: int, message: str) -> HttpApiResponse:
        """Return a response of the gateway itself."""
        body = json.dumps({"message": message}, separators=(",", ":")).encode()
        return cls(status, (("content-type", "application/json"),), body)

    def response(self, request_id: str | None = None, header: str = "apigw-requestid") -> Response:
        """Return the response for ASGI. It has the request's id, as on AWS, or a new id, in this header."""
        body = b"" if self.status in _WITHOUT_BODY else self.body
        return Response.of_pairs(self.status, [*self.headers, (header, request_id or new_request_id())], body)


def parse_response(payload: bytes, version: str) -> HttpApiResponse:
    """Return the response that a function's result means. Raises `InvalidFunctionResponse`."""
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError):
        raise InvalidFunctionResponse("the result is not JSON") from None
    if isinstance(answer, dict) and "statusCode" in answer:
        return _response(answer, version)
    if version == "1.0":
        raise InvalidFunctionResponse("the result has no statusCode; payload format 1.0 requires one")
    return HttpApiResponse(200, (("content-type", "application/json"),), _json(answer))


def parse_rest_response(payload: bytes, *, decodes: bool) -> HttpApiResponse:
    """Return the response of a REST API. Without `decodes` a body in base64 stays as it is.

    An answer without a status has 200 (a guess). Raises `InvalidFunctionResponse`.
    """
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError):
        raise InvalidFunctionResponse("the result is not JSON") from None
    if not isinstance(answer, dict):
        raise InvalidFunctionResponse("the result is not an object")
    if unknown := sorted(answer.keys() - _REST_KEYS):
        raise InvalidFunctionResponse(f"the result has the key {unknown[0]!r:.100}; a REST API takes no such key")
    encoded = decodes and bool(answer.get("isBase64Encoded"))
    response = _response({"statusCode": 200, **answer, "isBase64Encoded": encoded}, "1.0")
    return replace(
        response, headers=tuple((name, _JSON if value is _TEXT else value) for name, value in response.headers)
    )


def _json(answer: Any) -> bytes:
    try:
        return json.dumps(answer, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise InvalidFunctionResponse("the result cannot be written as JSON") from None


def _response(answer: Mapping[str, Any], version: str) -> HttpApiResponse:
    headers = [_check_header(name, value) for name, value in _pairs(answer, version)]
    headers = [header for header in headers if header[0] not in _DROPPED_HEADERS]
    body = _body(answer)
    if body and not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", _TEXT))  # a guess: not documented
    return HttpApiResponse(_status(answer["statusCode"]), tuple(headers), body)


def _status(status: Any) -> int:
    try:
        number = int(status)
    except (TypeError, ValueError, OverflowError):
        raise InvalidFunctionResponse(f"the statusCode is {status!r:.100}, not a number") from None
    if not 200 <= number <= 599:
        raise InvalidFunctionResponse(f"the statusCode is {number}; it must be from 200 to 599")
    return number


def _pairs(answer: Mapping[str, Any], version: str) -> Iterable[tuple[str, Any]]:
    several = _object(answer, "multiValueHeaders") if version == "1.0" else {}
    given = {name.lower() for name in several}
    yield from ((name, value) for name, value in _object(answer, "headers").items() if name.lower() not in given)
    for name, values in several.items():
        if not isinstance(values, list):
            raise InvalidFunctionResponse(f"multiValueHeaders must hold a list for {name!r:.100}")
        yield from ((name, value) for value in values)
    if version != "1.0":
        yield from (("set-cookie", cookie) for cookie in _cookies(answer))


def _object(answer: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = answer.get(name) or {}
    if not isinstance(value, dict):
        raise InvalidFunctionResponse(f"{name} is not an object")
    return value


def _cookies(answer: Mapping[str, Any]) -> list[Any]:
    cookies = answer.get("cookies") or []
    if not isinstance(cookies, list):
        raise InvalidFunctionResponse("cookies is not a list")
    return cookies


def _check_header(name: str, value: Any) -> tuple[str, str]:
    if isinstance(value, dict | list):
        raise InvalidFunctionResponse(f"the value of the header {name!r:.100} is not text")
    text = value if isinstance(value, str) else json.dumps(value)
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(text):
        raise InvalidFunctionResponse(f"the header {name!r:.100} contains characters that are not allowed in headers")
    return name.lower(), text


def _body(answer: Mapping[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise InvalidFunctionResponse(
            f"the body is of type {type(body).__name__}; convert it to text, for example with json.dumps"
        )
    try:
        return base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()
    except ValueError:
        raise InvalidFunctionResponse(
            "the body is not base64 although isBase64Encoded is true, or not valid Unicode"
        ) from None
