"""Which route a message takes: API Gateway's route selection expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from typing import Any

DEFAULT = "$default"
_VARIABLE = re.compile(r"\$\{request\.body\.([^}]+)\}|^\$request\.body\.(.+)$")


def select_route(expression: str, body: str, routes: Container[str]) -> str | None:
    """Return the key of the route for a message, None where there is none and no `$default` either.

    The expression is `$request.body.path`, a text with `${request.body.path}` in it, or a fixed text. A key that
    starts with `$` is reserved and cannot be chosen by a client.
    """
    key = _evaluate(expression, body)
    if key and not key.startswith("$") and key in routes:
        return key
    return DEFAULT if DEFAULT in routes else None


def _evaluate(expression: str, body: str) -> str | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return _VARIABLE.sub(lambda match: _lookup(content, match[1] or match[2]), expression)


def _lookup(content: Any, path: str) -> str:
    for name in path.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    if content is None:
        return ""
    return content if isinstance(content, str) else json.dumps(content)
