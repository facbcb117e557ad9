"""Route selection of HTTP APIs.

The order is that of the developer guide's page "Routes for HTTP APIs": a full match, then a greedy variable, then
`$default`; a fixed part before a variable; a method before `ANY`. A greedy variable takes at least one character. Paths
are matched decoded, but an encoded slash does not separate parts (a guess).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from parley.template.model import HttpRoute

DEFAULT_ROUTE = "$default"
_ENCODED_SLASH = "\0"
_VARIABLE = re.compile(r"\{(\w[\w.-]*)(\+?)\}")


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """A route, and the values of the variables in its path."""

    route: HttpRoute
    parameters: Mapping[str, str]

    @property
    def route_key(self) -> str:
        """The route's key, for example `GET /pets/{id}`."""
        path = self.route.path
        return DEFAULT_ROUTE if path == DEFAULT_ROUTE else f"{self.route.method} {path}"


class Router:
    """Routes of an API, the most specific first."""

    def __init__(self, routes: Iterable[HttpRoute]) -> None:
        self._patterns = sorted(map(_Pattern.of, routes), key=lambda pattern: pattern.generality)

    def match(self, method: str, path: str) -> RouteMatch | None:
        """Return the route for a method and an encoded path; None if there is none."""
        path = "/".join(unquote(part).replace("/", _ENCODED_SLASH) for part in path.split("/"))
        for pattern in self._patterns:
            found = pattern.expression.fullmatch(path)
            if found and pattern.route.method in (method, "ANY"):
                values = (value.replace(_ENCODED_SLASH, "/") for value in found.groups())
                return RouteMatch(pattern.route, dict(zip(pattern.names, values, strict=True)))
        return None


@dataclass(frozen=True, slots=True)
class _Pattern:
    route: HttpRoute
    expression: re.Pattern[str]
    names: tuple[str, ...]
    generality: tuple[int, list[int], bool]

    @classmethod
    def of(cls, route: HttpRoute) -> _Pattern:
        if route.path == DEFAULT_ROUTE:
            return cls(route, re.compile(r"(?s:.*)"), (), (2, [], True))
        text, names, position = "", [], 0
        for variable in _VARIABLE.finditer(route.path):
            text += re.escape(route.path[position : variable.start()]) + ("(.+)" if variable[2] else "([^/]+)")
            names.append(variable[1])
            position = variable.end()
        text += re.escape(route.path[position:])
        kinds = [_kind(part) for part in route.path.split("/")[1:]]
        return cls(route, re.compile(text, re.DOTALL), tuple(names), (int(2 in kinds), kinds, route.method == "ANY"))


def _kind(part: str) -> int:
    variable = _VARIABLE.search(part)
    if variable is None:
        return 0
    return 2 if variable[2] else 1
