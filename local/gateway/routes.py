"""Which route a message takes: API Gateway's route selection expressions (AWS.md section 3)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container
from typing import Any

DEFAULT = "$default"

_WHOLE = re.compile(r"\$request\.body\.(.+)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{request\.body\.([^}]+)\}")
_STEP = re.compile(r"""\.?([^.\[\]'"]+)|\[(-?\d+)\]|\[\*\]|\['([^']*)'\]|\["([^"]*)"\]""")

Step = str | int | None
"""A step of a path: the key of a member, the index of an item, or None for every item."""


class Selection:
    """A route selection expression, parsed once.

    It is `$request.body.path`, a text with `${request.body.path}` in it, or a fixed text. A path has members (`a.b`,
    `['a']`) and items (`[0]`, `[*]`), as JSONPath writes them. What a message does not have is empty text; what is
    not text is written as JSON. With `reserved_is_default` a key that begins with `$`, which only API Gateway may
    choose, leads to `$default`, else to nothing.
    """

    def __init__(self, expression: str, *, reserved_is_default: bool = True) -> None:
        self._evaluate = _parsed(expression)
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
            return self._evaluate(json.loads(body))
        except (ValueError, RecursionError):
            return None


def lookup(content: Any, path: str) -> Any:
    """Return what is at a path of members and items; None where there is nothing. Raises ValueError for no path."""
    return _lookup(content, _steps(path))


def problem(expression: str) -> str | None:
    """Return what is wrong with an expression; None where it is right. A wrong one is taken as a fixed text."""
    try:
        _parts(expression)
    except ValueError as error:
        return str(error)
    return None


def _parsed(expression: str) -> Callable[[Any], str]:
    try:
        literals, paths = _parts(expression)
    except ValueError:
        literals, paths = [expression], []
    if not paths:
        return lambda content: literals[0]
    if len(paths) == 1 and literals == ["", ""]:
        [path] = paths
        return lambda content: _text(_lookup(content, path))
    return lambda content: (
        literals[0]
        + "".join(_text(_lookup(content, path)) + literal for path, literal in zip(paths, literals[1:], strict=True))
    )


def _parts(expression: str) -> tuple[list[str], list[list[Step]]]:
    """Return the fixed texts of an expression and the paths between them. Raises ValueError."""
    whole = _WHOLE.fullmatch(expression)
    if whole:
        return ["", ""], [_steps(whole[1])]
    pieces = _VARIABLE.split(expression)
    literals = [literal.replace("\\$", "$") for literal in pieces[::2]]
    if any("${" in literal or literal.startswith("$request") for literal in pieces[::2]):
        raise ValueError(f"{expression} has a variable that is not of request.body")
    return literals, [_steps(path) for path in pieces[1::2]]


def _steps(path: str) -> list[Step]:
    steps: list[Step] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise ValueError(f"{path} is no path of JSONPath's: {path[position:]!r} is not understood")
        member, index, *quoted = match.groups()
        name = next((each for each in (member, *quoted) if each is not None), None)
        steps.append(int(index) if index is not None else name)
        position = match.end()
    return steps


def _lookup(content: Any, steps: list[Step]) -> Any:
    for number, step in enumerate(steps):
        if step is None:
            items = content if isinstance(content, list) else []
            return [_lookup(item, steps[number + 1 :]) for item in items]
        if isinstance(step, int):
            content = content[step] if isinstance(content, list) and -len(content) <= step < len(content) else None
        else:
            content = content.get(step) if isinstance(content, dict) else None
    return content


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
