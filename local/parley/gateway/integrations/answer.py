"""Answers of functions to WebSocket APIs: the response that they mean (docs/aws.md section 3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

KEYS = ("statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded")
"""The keys of an answer. With any other one, API Gateway takes the function's call as failed."""


class CallState(Enum):
    """End of a call of an integration."""

    ANSWERED = auto()
    FAILED = auto()
    TIMED_OUT = auto()


@dataclass(frozen=True, slots=True)
class IntegrationResult:
    """Result of an integration. `status` is None if the function returned no object. `why` tells why a call failed."""

    state: CallState
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    why: str = ""


class _Malformed(Exception):
    """An answer that API Gateway does not take. The text says why."""


def parse_answer(payload: bytes, missing_status: int | None) -> IntegrationResult:
    """Return the response that a function's result means. `missing_status` is that of an answer that names none."""
    try:
        answer = json.loads(payload)
        if not isinstance(answer, dict):
            return IntegrationResult(CallState.ANSWERED)
        return _parse(answer, missing_status)
    except _Malformed as malformed:
        return IntegrationResult(CallState.FAILED, why=str(malformed))
    except (ValueError, RecursionError):
        return IntegrationResult(CallState.FAILED, why="its answer is not JSON")


def _parse(answer: dict[str, Any], missing_status: int | None) -> IntegrationResult:
    if unknown := [key for key in answer if key not in KEYS]:
        raise _Malformed(f"its answer has {', '.join(unknown):.100}; API Gateway takes {', '.join(KEYS)} only")
    headers = _object(answer, "headers")
    _object(answer, "multiValueHeaders")
    return IntegrationResult(
        CallState.ANSWERED,
        missing_status if answer.get("statusCode") is None else _status(answer["statusCode"]),
        {name.lower(): value if isinstance(value, str) else json.dumps(value) for name, value in headers.items()},
        _body(answer.get("body")),
    )


def _status(status: Any) -> int:
    try:
        return int("" if isinstance(status, bool) else status)
    except (TypeError, ValueError, OverflowError):
        raise _Malformed(f"its statusCode is {status!r:.100}, not a number") from None


def _object(answer: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = answer.get(name) or {}
    if not isinstance(value, dict):
        raise _Malformed(f"its {name} is no object")
    return value


def _body(body: Any) -> str | None:
    if isinstance(body, dict | list):
        raise _Malformed("its body is an object or a list; convert it to text, for example with json.dumps")
    return body if body is None or isinstance(body, str) else json.dumps(body)
