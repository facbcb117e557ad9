"""Route selection of WebSocket APIs (docs/aws.md section 3)."""

from __future__ import annotations

from collections.abc import Container

from parley.expressions.selection import SelectionExpression, json_document, route_selection_problem

DEFAULT = "$default"


class RouteSelector:
    """A route selection expression, parsed once. If it cannot be parsed, it is a fixed text.

    It is `$request.body.path`, a text with `${request.body.path}` in it, or a fixed text. The path is JSONPath; a part
    that a message lacks is empty text. Only API Gateway may choose keys that begin with `$`: with `reserved_is_default`
    such a key selects `$default`, otherwise no route.
    """

    def __init__(self, expression: str, *, reserved_is_default: bool = True) -> None:
        self._text = expression
        self._expression = None if route_selection_problem(expression) else SelectionExpression(expression)
        self._reserved_is_default = reserved_is_default

    def route(self, body: str, routes: Container[str]) -> str | None:
        """Return the key of the route for a message; None if there is neither such a route nor `$default`."""
        key = self.key(body)
        if key and key.startswith("$"):
            return DEFAULT if self._reserved_is_default and DEFAULT in routes else None
        if key and key in routes:
            return key
        return DEFAULT if DEFAULT in routes else None

    def key(self, body: str) -> str | None:
        """Return the value of the expression for a message; None if the message is not JSON."""
        try:
            document = {"request": {"body": json_document(body)}}
            return self._text if self._expression is None else self._expression.evaluate(document)
        except (ValueError, RecursionError):
            return None
