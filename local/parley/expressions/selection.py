r"""Selection expressions of API Gateway: texts with variables, from which a key is made.

Rules of the developer guide's page "WebSocket selection expressions": a variable begins with `$`, braces mark its end,
there may be several, `\$` is a dollar sign, and the value of a variable is not evaluated again.
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
    """A selection expression, parsed once. Raises ValueError if it cannot be parsed.

    `variables` are the names of its variables, for example `request.body.action`.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.variables: list[str] = []
        self._pieces: list[str | JsonPath] = list(self._parsed(text))

    def evaluate(self, document: Mapping[str, Any]) -> str:
        """Return the key. Variables are paths in this document (`{"request": {"body": …}}`)."""
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
                self._refuse("has a variable next to other text, which needs braces: ${request.body.action}")
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
    """Return the reason why an expression cannot select routes; None if it can."""
    try:
        variables = SelectionExpression(expression).variables
    except ValueError as error:
        return str(error)
    foreign = next((name for name in variables if not name.startswith((f"{_BODY}.", f"{_BODY}["))), None)
    if foreign is None:
        return None
    return f"{expression} has the variable {foreign}, but only parts of {_BODY} can select routes"


def text_of(value: Any) -> str:
    """Return a value as text for a key.

    Documented: a missing value is empty text, and an array of two items is `[item1, item2]`. Guesses: an object is its
    JSON, and null is empty text.
    """
    if value is None:
        return ""
    if isinstance(value, list):
        return f"[{', '.join(map(text_of, value))}]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def json_document(text: str) -> Any:
    """Return the content of a JSON text. Raises ValueError if it is not JSON, or is nested too deeply.

    Python's own extensions (`NaN`, `Infinity`) are not JSON.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deep") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
