r"""API Gateway's selection expressions: text with variables, from which a key is made.

The rules are those of the developer guide's page "WebSocket selection expressions": a variable begins with `$`, braces
tell where it ends, there may be several, `\$` is a dollar sign, and what a variable leads to is not evaluated again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from parley.expressions.jsonpath import JsonPath

_BODY = "request.body"
_PIECE = re.compile(r"(?P<escaped>\\\$)|\$\{(?P<braced>[^}]*)\}|(?P<dollar>\$)")


class SelectionExpression:
    """A selection expression, parsed once. Raises ValueError for one that cannot be read.

    `variables` are the names of its variables, as `request.body.action`.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.variables: list[str] = []
        self._pieces: list[str | JsonPath] = list(self._parsed(text))

    def evaluate(self, document: Mapping[str, Any]) -> str:
        """Return the key, with the variables looked up as paths of this document (`{"request": {"body": …}}`)."""
        return "".join(piece if isinstance(piece, str) else text_of(piece.find(document)) for piece in self._pieces)

    def _parsed(self, text: str) -> list[str | JsonPath]:
        if text.startswith("$") and not text.startswith("${"):
            return [self._variable(text[1:])]
        pieces: list[str | JsonPath] = []
        position = 0
        for match in _PIECE.finditer(text):
            pieces.append(text[position : match.start()])
            position = match.end()
            if match["dollar"]:
                self._refuse("has a variable amid other text, which needs braces: ${request.body.action}")
            pieces.append("$" if match["escaped"] else self._variable(match["braced"]))
        return [piece for piece in (*pieces, text[position:]) if piece != ""]

    def _variable(self, name: str) -> JsonPath:
        try:
            path = JsonPath(f"$.{name}")
        except ValueError as error:
            self._refuse(f"cannot be read: {error}")
        self.variables.append(name)
        return path

    def _refuse(self, why: str) -> NoReturn:
        raise ValueError(f"{self._text} {why}")


def route_selection_problem(expression: str) -> str | None:
    """Return why an expression cannot select routes; None if it can."""
    try:
        variables = SelectionExpression(expression).variables
    except ValueError as error:
        return str(error)
    foreign = next((name for name in variables if not name.startswith((f"{_BODY}.", f"{_BODY}["))), None)
    if foreign is None:
        return None
    return f"{expression} has the variable {foreign}, but routes are selected by parts of {_BODY} only"


def text_of(value: Any) -> str:
    """Return a value as an expression puts it into its key.

    Documented: nothing for what is not there, and an array of two items as `[item1, item2]`. A guess: JSON for
    objects, and null as nothing.
    """
    if value is None:
        return ""
    if isinstance(value, list):
        return f"[{', '.join(map(text_of, value))}]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def json_document(text: str) -> Any:
    """Return a JSON text's content. Raises ValueError for what is not JSON, however deep it is nested.

    Python's own extensions (`NaN`, `Infinity`) are not JSON.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deep") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
