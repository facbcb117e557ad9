"""Mapping templates of non-proxy integrations: Velocity with `$input`, `$context`, `$stageVariables` and `$util`.

Variables and functions are those of API Gateway's mapping template references for WebSocket and REST APIs. The template
engine is imported with the first template.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from parley.expressions.jsonpath import JsonPath
from parley.expressions.selection import json_document
from parley.gateway.integrations.velocity import STRING_METHODS, VelocityObject, from_velocity, to_velocity


class MappingError(Exception):
    """A template cannot be parsed, or it fails on this message. The text says where and why."""


def render(template: str, body: str, context: Mapping[str, Any], stage_variables: Mapping[str, str]) -> str:
    """Return the text that a mapping template makes of a body. Raises `MappingError`."""
    namespace = {
        "input": _Input(body),
        "context": VelocityObject(context),
        "stageVariables": VelocityObject(stage_variables),
        "util": _Util(),
    }
    try:
        return str(_compile(template).merge(namespace))
    except Exception as error:  # the engine raises errors of many types
        raise MappingError(_first_line(error)) from error


@lru_cache(maxsize=1000)
def _compile(template: str) -> Any:
    import airspeed

    airspeed.__additional_methods__[str].update(STRING_METHODS)
    compiled = airspeed.Template(template, "mapping template")
    compiled.ensure_compiled()
    return compiled


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return " ".join(text.split())[:300]


class _Input:
    """`$input`: the body, as text or by JSONPath. A body that is not JSON has no parts (a guess)."""

    def __init__(self, body: str) -> None:
        self.body = body
        self._document: Any = None
        try:
            self._document = json_document(body)
        except ValueError:
            self._document = None

    def path(self, path: str) -> Any:
        return to_velocity(JsonPath(path).find(self._document))

    def json(self, path: str) -> str:
        """Return a part as JSON; `""` if it does not exist (a guess)."""
        found = JsonPath(path).find(self._document)
        return json.dumps("" if found is None else found, ensure_ascii=False, separators=(",", ":"))


class _Util:
    """`$util`, with AWS's names."""

    def escapeJavaScript(self, text: Any) -> str:  # noqa: N802
        return "".join(map(_escape, str(text)))

    def parseJson(self, text: str) -> Any:  # noqa: N802
        return to_velocity(json_document(text))

    def toJson(self, value: Any) -> str:  # noqa: N802
        return json.dumps(from_velocity(value), ensure_ascii=False, separators=(",", ":"))

    def urlEncode(self, text: Any) -> str:  # noqa: N802
        return quote_plus(str(text), safe="*").replace("~", "%7E")

    def urlDecode(self, text: str) -> str:  # noqa: N802
        return unquote_plus(text)

    def base64Encode(self, text: Any) -> str:  # noqa: N802
        return base64.b64encode(str(text).encode()).decode()

    def base64Decode(self, text: str) -> str:  # noqa: N802
        return base64.b64decode(text, validate=True).decode(errors="replace")


_ESCAPES = {"'": "\\'", '"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\n": "\\n", "\t": "\\t"}
_ESCAPES |= {"\f": "\\f", "\r": "\\r"}


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[index : index + 2].hex().upper()}" for index in range(0, len(units), 2))
