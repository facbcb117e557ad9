"""REQUEST authorizers: identity sources and policies, decided without I/O (docs/aws.md sections 1 and 2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from parley.functions.invocation import Outcome
from parley.gateway.assumptions import Assumptions
from parley.gateway.events import Event, Handshake
from parley.gateway.quotas import AUTHORIZER_RESULT, MAX_AUTHORIZER_RESULT_BYTES
from parley.iam.policies import Decision, InvalidPolicy, Request, decide, valid_statements

_INVOKE = "execute-api:Invoke"
_UNAUTHORIZED = "Unauthorized"
_CLIENT_HEADERS = {"aws:useragent": "user-agent", "aws:referer": "referer"}


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused handshake: the status of the response, and the reason for the log."""

    status: int
    why: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """An allowed handshake. `context` becomes `authorizer` in every event."""

    context: Mapping[str, str]


class _InvalidAnswer(Exception):
    """An authorizer returned something that API Gateway cannot use. The text says why."""


def missing_identity(sources: tuple[str, ...], event: Event) -> str | None:
    """Return the first identity source that an authorizer's event lacks, or None.

    If one is missing, API Gateway answers 401 and does not call the authorizer.
    """
    return next((source for source in sources if not _identity(source, event)), None)


def _identity(source: str, event: Event) -> str:
    """Return the value of an identity source, for example `route.request.header.Auth`; empty if there is none.

    The name of a header or a parameter may contain dots.
    """
    path = source.strip("${}")
    for place, field in (("header", "headers"), ("querystring", "queryStringParameters")):
        if path.lower().startswith(prefix := f"route.request.{place}."):
            values, name = event[field], path[len(prefix) :]
            if place == "header":
                values, name = {key.lower(): value for key, value in values.items()}, name.lower()
            return str(values.get(name, ""))
    root, _, name = path.partition(".")
    if root.lower() == "stagevariables":
        return str(event["stageVariables"].get(name, ""))
    value: Any = event["requestContext"] if root.lower() == "context" else {}
    for part in name.split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value)


def policy_request(handshake: Handshake, method_arn: str, now: float) -> Request:
    """Return a handshake as the request on which an authorizer's policy decides.

    Its condition keys are those that the developer guide's page "AWS condition keys that can be used in API Gateway
    resource policies" lists for every type of authorization. The keys of private APIs are always missing.
    """
    moment = datetime.fromtimestamp(now, UTC)
    context: dict[str, tuple[str, ...]] = {
        "aws:currenttime": (moment.isoformat(),),
        "aws:epochtime": (str(int(now)),),
        "aws:securetransport": ("true",),  # the emulator's own address is http; a WebSocket API on AWS has TLS only
        "aws:sourceip": (handshake.source_ip,),
    }
    headers = {name.lower(): value for name, value in handshake.headers}
    context |= {key: (headers[name],) for key, name in _CLIENT_HEADERS.items() if name in headers}
    return Request(_INVOKE, (method_arn,), context, is_fully_known=True)


def evaluate_answer(outcome: Outcome, request: Request, assumptions: Assumptions) -> Allowed | Refused:
    """Return the decision that an authorizer's answer means: allowed, 401, 403, or 500 if the answer is invalid."""
    if outcome.function_error:
        return _refuse_failure(outcome)
    try:
        answer = _answer(outcome.payload)
        if answer == _UNAUTHORIZED:
            return _refuse_text(assumptions)
        context = _context(answer, assumptions)
        decision = decide(request, valid_statements(answer.get("policyDocument")))
    except _InvalidAnswer as error:
        return Refused(500, f"the authorizer's answer is invalid: {error}")
    except InvalidPolicy as error:
        return Refused(500, f"the authorizer's policyDocument is invalid: {error}")
    if decision is Decision.ALLOWED:
        return Allowed(context | {"integrationLatency": str(round(outcome.milliseconds))})
    verb = "denies" if decision is Decision.DENIED else "does not allow"
    return Refused(403, f"the authorizer's policy {verb} it")


def _refuse_failure(outcome: Outcome) -> Refused:
    """Return the refusal after an authorizer raised an error. The message `Unauthorized` means 401."""
    try:
        message = json.loads(outcome.payload)["errorMessage"]
    except (ValueError, TypeError, KeyError):
        message = None
    if message == _UNAUTHORIZED:
        return Refused(401, "the authorizer raised `Unauthorized`")
    return Refused(500, "the authorizer failed")


def _refuse_text(assumptions: Assumptions) -> Refused:
    """Return the refusal after an authorizer returned the text `Unauthorized`. Raises `_InvalidAnswer`."""
    if assumptions.unauthorized_text == "unauthorized":
        return Refused(401, "the authorizer returned `Unauthorized`")
    raise _InvalidAnswer("it is a text. Raise `Unauthorized`; or --assume unauthorized_text=unauthorized")


def _answer(payload: bytes) -> Any:
    """Return an authorizer's answer: an object, or the text `Unauthorized`. Raises `_InvalidAnswer`."""
    if len(payload) > MAX_AUTHORIZER_RESULT_BYTES:
        raise _InvalidAnswer(f"{AUTHORIZER_RESULT.text}, this one has {len(payload)} bytes")
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError):
        raise _InvalidAnswer("it is not JSON") from None
    if not isinstance(answer, dict) and answer != _UNAUTHORIZED:
        raise _InvalidAnswer(f"it is {answer!r:.100}, not an object with principalId and policyDocument")
    return answer


def _context(answer: Mapping[str, Any], assumptions: Assumptions) -> dict[str, str]:
    """Return principal and context as text. Raises `_InvalidAnswer` for what API Gateway rejects."""
    principal, context = answer.get("principalId"), answer.get("context") or {}
    if principal is None and assumptions.principal_missing == "refused":
        raise _InvalidAnswer("it has no principalId, and --assume principal_missing=refused is set")
    if not isinstance(principal, str | None):
        raise _InvalidAnswer("principalId is not a text")
    if not isinstance(context, dict):
        raise _InvalidAnswer("context is no object")
    for name, value in context.items():
        if isinstance(value, dict | list):
            raise _InvalidAnswer(f"context.{name} is an object or a list")
    as_text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in context.items()}
    return ({} if principal is None else {"principalId": principal}) | as_text
