"""Mapping templates of non-proxy integrations: Velocity, with API Gateway's variables.

`$input.body`, `$input.json(path)`, `$input.path(path)`, `$context.*`, `$stageVariables.*` and `$util.*` as the guide's
"mapping template and access logging variable reference" has them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from local.gateway.routes import lookup


class MappingError(Exception):
    """A mapping template could not be carried out; the text says why."""


class Input:
    """`$input`: the message, or a backend's answer."""

    def __init__(self, body: str) -> None:
        self.body = body

    def path(self, path: str) -> Any:
        """Return what is at a JSONPath of the body, as a value."""
        try:
            content = json.loads(self.body or "null")
        except (ValueError, RecursionError):
            return None
        return content if path in ("$", "") else lookup(content, path.removeprefix("$").removeprefix("."))

    def json(self, path: str) -> str:
        """Return what is at a JSONPath of the body, as JSON."""
        return json.dumps(self.path(path))


class Util:
    """`$util`, by API Gateway's names."""

    def escapeJavaScript(self, text: Any) -> str:  # noqa: N802
        """Return a text as it stands between the quotes of a string of JavaScript's."""
        return json.dumps(str(text))[1:-1].replace("'", "\\'")

    def parseJson(self, text: str) -> Any:  # noqa: N802
        """Return the value of a JSON text."""
        return json.loads(text)

    def urlEncode(self, text: Any) -> str:  # noqa: N802
        """Return a text as a URL has it."""
        return quote_plus(str(text))

    def urlDecode(self, text: str) -> str:  # noqa: N802
        """Return a text that a URL has."""
        return unquote_plus(text)

    def base64Encode(self, text: Any) -> str:  # noqa: N802
        """Return a text in Base64."""
        return base64.b64encode(str(text).encode()).decode()

    def base64Decode(self, text: str) -> str:  # noqa: N802
        """Return the text that a Base64 one is of."""
        return base64.b64decode(text).decode()


def rendered(template: str, body: str, context: Mapping[str, Any], stage_variables: Mapping[str, str]) -> str:
    """Return what a mapping template comes to. Raises `MappingError`."""
    # Not at the top: hardly any API has such a template.
    import airspeed

    names = {"input": Input(body), "context": context, "stageVariables": stage_variables, "util": Util()}
    try:
        return str(airspeed.Template(template).merge(names))
    except Exception as error:  # the library lets through whatever a template's calls raise
        raise MappingError(f"{type(error).__name__}: {error}") from None
