"""Which route a message takes: API Gateway's route selection expressions (docs/aws.md section 3)."""

from __future__ import annotations

from collections.abc import Container

from parley.expressions.selection import SelectionExpression, json_document, route_selection_problem

DEFAULT = "$default"


class RouteSelector:
    """A route selection expression, parsed once; one that cannot be read is taken as a fixed text.

    It is `$request.body.path`, a text with `${request.body.path}` in it, or a fixed text; the path is JSONPath. What
    a message does not have is empty text. With `reserved_is_default` a key that begins with `$`, which only API
    Gateway may choose, leads to `$default`, else to nothing.
    """

    def __init__(self, expression: str, *, reserved_is_default: bool = True) -> None:
        self._text = expression
        self._expression = None if route_selection_problem(expression) else SelectionExpression(expression)
        self._reserved_is_default = reserved_is_default

    def route(self, body: str, routes: Container[str]) -> str | None:
        """Return the key of the route for a message, None where there is none and no `$default` either."""
        key = self.key(body)
        if key and key.startswith("$"):
            return DEFAULT if self._reserved_is_default and DEFAULT in routes else None
        if key and key in routes:
            return key
        return DEFAULT if DEFAULT in routes else None

    def key(self, body: str) -> str | None:
        """Return what the expression comes to for a message; None for one that is not JSON."""
        try:
            document = {"request": {"body": json_document(body)}}
            return self._text if self._expression is None else self._expression.evaluate(document)
        except (ValueError, RecursionError):
            return None
