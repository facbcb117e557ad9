"""Grants of a role: what its policies in the template allow, and which of it has been used. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from parley.iam.policies import Request, Statement, action_matches, applies, resource_matches


@dataclass(frozen=True, slots=True)
class Grant:
    """One action on one resource, as a statement that allows it writes them."""

    action: str
    resource: str


def _pairs(statement: Statement) -> Iterator[Grant]:
    for action in statement.actions:
        for resource in statement.resources:
            yield Grant(
                f"all but {action}" if statement.negates_actions else action,
                f"all but {resource}" if statement.negates_resources else resource,
            )


class Grants:
    """The grants of one role, and which of them requests have used."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self._statements = [each for each in statements if each.allows]
        self._used: set[Grant] = set()

    def use(self, request: Request) -> None:
        """Mark every grant that allows this request."""
        for statement in self._statements:
            if applies(statement, request):
                self._used |= set(_used_of(statement, request))

    def unused(self) -> list[Grant]:
        """Return the grants that no request has used, in the order of the template."""
        pairs = dict.fromkeys(pair for statement in self._statements for pair in _pairs(statement))
        return [grant for grant in pairs if grant not in self._used]


def _used_of(statement: Statement, request: Request) -> Iterator[Grant]:
    for grant in _pairs(statement):
        by_action = statement.negates_actions or action_matches(request.action, grant.action)
        by_resource = statement.negates_resources or resource_matches(request, grant.resource)
        if by_action and by_resource:
            yield grant
