"""REQUEST authorizers: identity sources and policies, decided without I/O (docs/aws.md sections 1 and 2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from parley.functions.invocation import Outcome
from parley.gateway.events import Handshake
from parley.gateway.quotas import AUTHORIZER_RESULT, MAX_AUTHORIZER_RESULT_BYTES

_INVOKE = "execute-api:Invoke"


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused handshake: the status of the response, and the reason for the log."""

    status: int
    why: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """An allowed handshake. `context` becomes `authorizer` in every event."""

    context: Mapping[str, str]


def missing_identity(sources: tuple[str, ...], handshake: Handshake) -> str | None:
    """Return the first identity source that a handshake lacks, or None.

    If one is missing, API Gateway answers 401 and does not call the authorizer.
    """
    return next((source for source in sources if not _identity(source, handshake)), None)


def _identity(source: str, handshake: Handshake) -> str:
    place, _, name = source.rpartition(".")
    match place.lower().removeprefix("$").removeprefix("{"):
        case "route.request.header":
            values = {key.lower(): value for key, value in handshake.headers}
            return values.get(name.lower(), "")
        case "route.request.querystring":
            return dict(handshake.parameters()).get(name, "")
        case "stagevariables":
            return handshake.stage_variables.get(name, "")
        case _:  # `context.…`: every handshake has it
            return source


def evaluate_policy(outcome: Outcome, method_arn: str) -> Allowed | Refused:
    """Return the decision that an authorizer's answer means: allowed, 401, 403, or 500 if the answer is invalid."""
    if outcome.function_error:
        return _refuse_failure(outcome)
    if len(outcome.payload) > MAX_AUTHORIZER_RESULT_BYTES:
        return Refused(500, f"{AUTHORIZER_RESULT.text}, this one has {len(outcome.payload)} bytes")
    try:
        answer = json.loads(outcome.payload)
        statements = answer["policyDocument"]["Statement"]
        context = _context(answer)
        allowed = _allows(statements if isinstance(statements, list) else [statements], method_arn)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        why = f"the authorizer's answer is invalid: it needs principalId and policyDocument.Statement ({error!r:.100})"
        return Refused(500, why)
    if allowed:
        return Allowed(context | {"integrationLatency": str(round(outcome.milliseconds))})
    return Refused(403, "the authorizer's policy does not allow it")


def _refuse_failure(outcome: Outcome) -> Refused:
    """Return the refusal after an authorizer raised an error. The message `Unauthorized` means 401."""
    try:
        message = json.loads(outcome.payload)["errorMessage"]
    except (ValueError, TypeError, KeyError):
        message = None
    if message == "Unauthorized":
        return Refused(401, "the authorizer raised `Unauthorized`")
    return Refused(500, "the authorizer failed")


def _context(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return principal and context as text. Raises TypeError or KeyError for what API Gateway rejects."""
    if not isinstance(answer["principalId"], str):
        raise TypeError("principalId is not a string")
    context = answer.get("context") or {}
    for name, value in context.items():
        if isinstance(value, dict | list):
            raise TypeError(f"context.{name} is an object or a list")
    as_text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in context.items()}
    return {"principalId": answer["principalId"], **as_text}


def _allows(statements: list[Any], arn: str) -> bool:
    effects = {statement["Effect"] for statement in statements if _applies(statement, arn)}
    # As in IAM, one Deny outweighs every Allow.
    return "Allow" in effects and "Deny" not in effects


def _applies(statement: Mapping[str, Any], arn: str) -> bool:
    actions, resources = _as_texts(statement["Action"]), _as_texts(statement["Resource"])
    # `[` is an ordinary character in a policy, but begins a set in fnmatch.
    return any(fnmatchcase(_INVOKE.lower(), action.lower()) for action in actions) and any(
        fnmatchcase(arn, resource.replace("[", "[[]")) for resource in resources
    )


def _as_texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in values):
        raise TypeError("Action and Resource must be strings")
    return values
