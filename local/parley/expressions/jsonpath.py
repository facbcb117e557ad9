"""JSONPath, the subset of selection expressions and mapping templates: `$.a['b'][0]`, `[*]`, `[1:3]`, `..a`.

A path follows Jayway's rules, to which AWS's documentation links by way of Goessner's article. A path without
wildcards, slices and `..` leads to one value, any other to a list of all matches. Filters, unions and functions are
refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

Step = Callable[[Any], list[Any]]
"""Function from a value to the values one step further."""

_STEP = re.compile(
    r"""(?P<separator>\.\.?)?
    (?: (?P<name>[^][.'"(){}*?@,/\s]+(?:[ ]+[^][.'"(){}*?@,/\s]+)*)
      | (?P<every>\*|\[\s*\*\s*\])
      | \[\s*(?P<index>-?\d{1,9})\s*\]
      | \[\s*(?P<start>-?\d{1,9})?\s*:\s*(?P<stop>-?\d{1,9})?\s*\]
      | \[\s*'(?P<single>(?:[^'\\]|\\.)*)'\s*\]
      | \[\s*"(?P<double>(?:[^"\\]|\\.)*)"\s*\]
    )""",
    re.VERBOSE,
)


class JsonPath:
    """A path, parsed once. Raises ValueError for a text outside the supported subset."""

    def __init__(self, text: str) -> None:
        self._steps: list[Step] = []
        self.is_definite = True
        rest = text.removeprefix("$")
        position = 0
        while position < len(rest):
            match = _STEP.match(rest, position)
            if match is None or (match["separator"] is None and rest[position] != "["):
                raise ValueError(f"{text} is not understood as JSONPath from {rest[position:]!r} on")
            self._append(match)
            position = match.end()

    def find(self, document: Any) -> Any:
        """Return the value at the path, None if there is none, or a list if the path may have many."""
        values = [document]
        for step in self._steps:
            values = [found for value in values for found in step(value)]
        if self.is_definite:
            return values[0] if values else None
        return values

    def _append(self, match: re.Match[str]) -> None:
        if match["separator"] == "..":
            self.is_definite = False
            self._steps.append(_self_and_below)
        if match["every"] or (":" in match[0] and _quoted(match) is None):
            self.is_definite = False
        self._steps.append(_step(match))


def _step(match: re.Match[str]) -> Step:
    if match["every"]:
        return _every
    if match["index"]:
        return partial(_item, int(match["index"]))
    name = match["name"] or _quoted(match)
    if name is not None:
        return partial(_member, name)
    start, stop = match["start"], match["stop"]
    return partial(_items, slice(int(start) if start else None, int(stop) if stop else None))


def _quoted(match: re.Match[str]) -> str | None:
    text = match["single"] if match["single"] is not None else match["double"]
    return None if text is None else re.sub(r"\\(.)", r"\1", text)


def _member(name: str, value: Any) -> list[Any]:
    return [value[name]] if isinstance(value, dict) and name in value else []


def _item(index: int, value: Any) -> list[Any]:
    return [value[index]] if isinstance(value, list) and -len(value) <= index < len(value) else []


def _items(which: slice, value: Any) -> list[Any]:
    return value[which] if isinstance(value, list) else []


def _every(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _self_and_below(value: Any) -> list[Any]:
    found, rest = [], [value]
    while rest:
        found.append(rest.pop())
        rest.extend(reversed(_every(found[-1])))
    return found
