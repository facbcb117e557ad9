"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import Scope

from handlers.chat.errors import MESSAGES, STORE_RETRY_SECONDS, ErrorCode, Misconfigured, Refused
from handlers.chat.log import logger
from handlers.chat.store import StoreError
from handlers.http.schemas import ResponseBody

MEDIA_TYPE = "application/problem+json"

STATUSES: dict[ErrorCode, int] = {
    ErrorCode.INVALID_FORMAT: 422,
    ErrorCode.UNKNOWN_ASSISTANT: 422,
    ErrorCode.ATTACHMENT_TYPE: 415,
    ErrorCode.ATTACHMENT_TOO_LARGE: 413,
    ErrorCode.ATTACHMENT_NOT_FOUND: 404,
    ErrorCode.INVALID_TOKEN: 401,
    ErrorCode.NOT_AUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.CHAT_NOT_FOUND: 404,
    ErrorCode.MESSAGE_NOT_FOUND: 404,
    ErrorCode.USER_NOT_FOUND: 404,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.USER_EXISTS: 409,
    ErrorCode.BUSY: 409,
    ErrorCode.BODY_TOO_LARGE: 413,
    ErrorCode.CHAT_TOO_LARGE: 413,
    ErrorCode.MESSAGE_TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.INTERNAL: 500,
    ErrorCode.CREATE_FAILED: 500,
    ErrorCode.UNAVAILABLE: 503,
}
_OTHER = 400
_OF_STATUS = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED, 413: ErrorCode.BODY_TOO_LARGE}


class FieldError(ResponseBody):
    """One field of a request that is wrong."""

    where: Annotated[str, Field(examples=["body/title"])]
    what: Annotated[str, Field(examples=["Input should be a valid string"])]


class Problem(ResponseBody):
    """A problem document. `type` and `title` belong to `code`; `detail` says what happened this time."""

    type: Annotated[str, Field(examples=["urn:parley:problem:chat_not_found"])]
    title: Annotated[str, Field(examples=["Chat not found or access denied"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["Chat not found or access denied"])]
    instance: Annotated[str, Field(examples=["/chats/0199d7c2-5f4e-7c1a-9a3b-2d4e6f8a0b1c"])]
    code: ErrorCode
    retry_after: int | None = None
    reference: str | None = None
    errors: tuple[FieldError, ...] | None = None


def problem(scope: Scope, refusal: Refused, headers: Mapping[str, str] | None = None, **more: Any) -> JSONResponse:
    """Return the response that says why a request was refused."""
    status = STATUSES.get(refusal.code, _OTHER)
    content = Problem(
        type=f"urn:parley:problem:{refusal.code}",
        title=MESSAGES[refusal.code],
        status=status,
        detail=refusal.message,
        instance=quote(scope["path"]),
        code=refusal.code,
        retry_after=refusal.retry_after,
        **more,
    )
    said = {**(headers or {}), **_headers(refusal, status)}
    document = content.model_dump(mode="json", by_alias=True, exclude_none=True)
    return JSONResponse(document, status, said, MEDIA_TYPE)


def _headers(refusal: Refused, status: int) -> dict[str, str]:
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    if status == STATUSES[ErrorCode.INVALID_TOKEN]:
        # RFC 6750 section 3: the error is named only if the request had a token.
        named = ' error="invalid_token"' if refusal.code is ErrorCode.INVALID_TOKEN else ""
        headers["WWW-Authenticate"] = f"Bearer{named}"
    return headers


def failure(scope: Scope, error: Exception) -> JSONResponse:
    """Log an unexpected error, and return a response that says nothing but the reference of the log event."""
    reference = getattr(scope.get("aws.context"), "aws_request_id", None) or "none"
    logger.error("request_failed", exc_info=error, method=scope["method"], reference=reference)
    retry_after = STORE_RETRY_SECONDS if isinstance(error, StoreError) else None
    message = f"Something went wrong on our side. Reference: {reference}"
    return problem(scope, Refused(ErrorCode.INTERNAL, message, retry_after), reference=reference)


def unavailable(scope: Scope, error: Misconfigured) -> JSONResponse:
    """Log the variables that are wrong, and return a response that does not name them."""
    logger.error("refused_by_settings", variables=error.variables, reason=str(error))
    return problem(scope, Refused(ErrorCode.UNAVAILABLE))


def on_refused(request: Request, error: Exception) -> JSONResponse:
    """Answer a refusal of the domain."""
    assert isinstance(error, Refused)  # noqa: S101 - registered for nothing else
    return problem(request.scope, error)


def on_invalid(request: Request, error: Exception) -> JSONResponse:
    """Answer a request with fields of the wrong form. Nothing that was sent is repeated."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    wrong = tuple(FieldError(where="/".join(map(str, each["loc"])), what=each["msg"]) for each in error.errors())
    return problem(request.scope, Refused(ErrorCode.INVALID_FORMAT, "The request has the wrong form"), errors=wrong)


def on_http(request: Request, error: Exception) -> JSONResponse:
    """Answer a path or a method that does not exist."""
    assert isinstance(error, HTTPException)  # noqa: S101
    code = _OF_STATUS.get(error.status_code, ErrorCode.INVALID_FORMAT)
    allowed = {"Allow": _methods_of(request)} if code is ErrorCode.METHOD_NOT_ALLOWED else {}
    return problem(request.scope, Refused(code), allowed)


def _methods_of(request: Request) -> str:
    """Return the methods that a path takes. FastAPI itself names only those of the path's first operation."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    path = request.scope["path"]
    names = {name.upper() for each, of in paths.items() if compile_path(each)[0].match(path) for name in of}
    return ", ".join(sorted(names | ({"HEAD"} if "GET" in names else set())))


def documented(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """Return the part of an operation's OpenAPI document that lists its problems."""
    by_status: dict[int | str, list[ErrorCode]] = {}
    for code in codes:
        by_status.setdefault(STATUSES[code], []).append(code)
    return {status: _response(int(status), of_status) for status, of_status in by_status.items()}


def _response(status: int, codes: list[ErrorCode]) -> dict[str, Any]:
    examples = {code.value: {"value": _example(status, code)} for code in codes}
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": "; ".join(MESSAGES[code] for code in codes),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }


def _example(status: int, code: ErrorCode) -> dict[str, Any]:
    title = MESSAGES[code]
    kind = f"urn:parley:problem:{code}"
    return {"type": kind, "title": title, "status": status, "detail": title, "instance": "/path", "code": code.value}


COMMON = documented(
    ErrorCode.NOT_AUTHENTICATED,
    ErrorCode.INVALID_TOKEN,
    ErrorCode.INVALID_FORMAT,
    ErrorCode.RATE_LIMITED,
    ErrorCode.INTERNAL,
    ErrorCode.UNAVAILABLE,
)
"""The problems of every operation that takes a token."""

BAD_PATH: dict[int | str, dict[str, Any]] = {
    400: {
        "description": "API Gateway itself refuses the path: it decodes paths twice, and a % is left over",
        "content": {"application/json": {"schema": {"type": "object", "properties": {"message": {"type": "string"}}}}},
    }
}

NO_CHAT = documented(ErrorCode.CHAT_NOT_FOUND) | BAD_PATH
NO_USER = documented(ErrorCode.USER_NOT_FOUND) | BAD_PATH
TOO_LARGE = documented(ErrorCode.BODY_TOO_LARGE)
