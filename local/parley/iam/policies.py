"""Policy evaluation: what a role allows (IAM guide, "Policy evaluation logic"). No I/O.

Not evaluated: resource-based policies, session policies and policies of the organisation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from typing import Any

from parley.iam import conditions
from parley.iam.conditions import Context, expanded, matches
from parley.template.model import PolicyDocument

VERSIONS = ("2012-10-17", "2008-10-17")
"""The versions of the policy language."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a policy. `conditions` are operator, key and values.

    `negates_actions` and `negates_resources` stand for `NotAction` and `NotResource`.
    """

    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    negates_actions: bool = False
    negates_resources: bool = False
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    def unknown(self) -> Iterator[str]:
        """Return what of the conditions and variables the emulator does not know."""
        for operator, key, _ in self.conditions:
            if not conditions.is_known(operator):
                yield f"the operator {operator}"
            elif key.lower() not in conditions.KEYS:
                yield f"the key {key}"
        values = (value for _, _, values in self.conditions for value in values)
        for text in (*self.resources, *values):
            yield from (
                f"the variable {key}" for key in conditions.variables(text) if key.lower() not in conditions.KEYS
            )


@dataclass(frozen=True, slots=True)
class Request:
    """An action on a resource.

    `resources` are forms of its ARN, each as good as the others; none if the resource is not known. If
    `is_fully_known`, the context has every key that AWS would have: a key that is not there is missing.
    """

    action: str
    resources: tuple[str, ...]
    context: Context = field(default_factory=dict)
    is_fully_known: bool = False


class Decision(Enum):
    """The result of an evaluation, in the words of AWS's error messages."""

    ALLOWED = "allowed"
    DENIED = "with an explicit deny in an identity-based policy"
    DENIED_BY_BOUNDARY = "with an explicit deny in a permissions boundary"
    NOT_ALLOWED = "because no identity-based policy allows the {action} action"
    NOT_ALLOWED_BY_BOUNDARY = "because no permissions boundary allows the {action} action"


class InvalidPolicy(Exception):
    """A document that AWS does not take for a policy. The text says why."""


def statements(document: PolicyDocument) -> list[Statement]:
    """Return the statements of a policy document."""
    return [_statement(each) for each in _listed(document.get("Statement")) if isinstance(each, dict)]


def valid_statements(document: Any) -> list[Statement]:
    """Return the statements of an identity-based policy. Raises `InvalidPolicy`.

    Each statement needs `Effect`, an action and a resource (IAM guide, "Grammar of the IAM JSON policy language").
    """
    if not isinstance(document, dict) or not isinstance(document.get("Statement"), dict | list):
        raise InvalidPolicy("it has no Statement")
    if document.get("Version", VERSIONS[0]) not in VERSIONS:
        raise InvalidPolicy(f"its Version is {document['Version']!r:.50}, not one of {', '.join(VERSIONS)}")
    for content in _listed(document["Statement"]):
        if problem := _problem(content):
            raise InvalidPolicy(problem)
    return statements(document)


def _problem(content: Any) -> str | None:
    """Return why a statement is invalid, None if it is valid."""
    if not isinstance(content, dict):
        return f"the statement {content!r:.50} is no object"
    if content.get("Effect") not in ("Allow", "Deny"):
        return f"the Effect of a statement is {content.get('Effect')!r:.50}, neither Allow nor Deny"
    for names in (("Action", "NotAction"), ("Resource", "NotResource")):
        given = [name for name in names if name in content]
        if len(given) != 1:
            return f"a statement needs either {names[0]} or {names[1]}"
        if not all(isinstance(each, str) for each in _listed(content[given[0]]) or [None]):
            return f"the {given[0]} of a statement is not text, or a list of texts"
    return _condition_problem(content.get("Condition", {}))


def _condition_problem(condition: Any) -> str | None:
    if not isinstance(condition, dict):
        return "the Condition of a statement is no object"
    for operator, block in condition.items():
        if not conditions.is_known(operator):
            return f"there is no condition operator {operator!r:.50}"
        if not isinstance(block, dict) or not all(map(_is_scalar, chain(*map(_listed, block.values())))):
            return f"the condition {operator} needs keys with texts, numbers or truth values"
    return None


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _statement(content: dict[str, Any]) -> Statement:
    return Statement(
        content.get("Effect") == "Allow",
        _texts(content.get("Action", content.get("NotAction"))),
        _texts(content.get("Resource", content.get("NotResource"))),
        "Action" not in content,
        "Resource" not in content,
        tuple(
            (operator, key, _texts(values))
            for operator, block in (content.get("Condition") or {}).items()
            for key, values in (block if isinstance(block, dict) else {}).items()
        ),
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(each).lower() if isinstance(each, bool) else str(each) for each in _listed(value))


_TIME_KEYS = ("aws:currenttime", "aws:epochtime")


def depends_on_time(policies: Iterable[Statement]) -> bool:
    """Tell if the same request may get another decision later: a condition or a variable is about the time."""
    texts = (
        text
        for each in policies
        for text in (
            *each.resources,
            *(part for _, key, values in each.conditions for part in (key, *values)),
        )
    )
    return any(key in text.lower() for text in texts for key in _TIME_KEYS)


def decide(request: Request, policies: Sequence[Statement], boundary: Sequence[Statement] | None = None) -> Decision:
    """Decide on a request: an explicit deny, then an allow of the role and of its boundary, else an implicit deny."""
    if any(not each.allows and applies(each, request) for each in policies):
        return Decision.DENIED
    if any(not each.allows and applies(each, request) for each in boundary or ()):
        return Decision.DENIED_BY_BOUNDARY
    if not any(each.allows and applies(each, request) for each in policies):
        return Decision.NOT_ALLOWED
    if boundary is not None and not any(each.allows and applies(each, request) for each in boundary):
        return Decision.NOT_ALLOWED_BY_BOUNDARY
    return Decision.ALLOWED


def applies(statement: Statement, request: Request) -> bool:
    """Tell if a statement is about a request.

    A condition that the emulator does not know is taken in favour of the function: as met by a statement that allows,
    and as not met by one that denies. If the request is fully known, there is no such condition.
    """
    return (
        any(action_matches(request.action, each) for each in statement.actions) != statement.negates_actions
        and _is_about_resource(statement, request)
        and all(
            statement.allows if met is None else met
            for operator, key, values in statement.conditions
            for met in [conditions.is_met(operator, key, values, request.context, request.is_fully_known)]
        )
    )


def action_matches(action: str, pattern: str) -> bool:
    """Tell if an action matches a pattern. Upper and lower case are the same."""
    return matches(action, pattern, ignore_case=True)


def resource_matches(request: Request, pattern: str) -> bool:
    """Tell if one of the forms of a request's resource matches a pattern. A resource that is not known matches any."""
    filled = expanded(pattern, request.context)
    if filled is None:
        return False
    return not request.resources or any(matches(each, filled) for each in request.resources)


def _is_about_resource(statement: Statement, request: Request) -> bool:
    if not request.resources:
        return statement.allows
    return any(resource_matches(request, each) for each in statement.resources) != statement.negates_resources
