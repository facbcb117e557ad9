"""Redaction: tokens and secrets leave a payload before it is recorded.

A value goes because of its name (a header, a query parameter, a field of JSON, also of JSON in a text), because of its
form (a JWT, a bearer token, an access key), or because it is a secret that the functions have in their variables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"(?i)^(x[-_])?(.*[-_])?(authorization|cookie|set-cookie|password|passwd|passphrase|pwd|secret|credentials?|"
    r"api[-_]?key|apikey|access[-_]?key(id)?|private[-_]?key|client[-_]?secret|secret[-_]?key|jwt|bearer|signature|"
    r"(access|id|refresh|auth|session|security|csrf|xsrf|bearer|api|user|device|bot|csrf)?[-_]?token)$"
)
_SECRET_ENDING = re.compile(r"(Token|Secret|Password|ApiKey|AccessKey|SecretKey|PrivateKey|Authorization|Signature)$")
_NO_SECRETS = frozenset(
    ("nexttoken", "clientrequesttoken", "continuationtoken", "paginationtoken", "next_token", "page_token", "pagetoken")
)
"""Names that end like those of secrets, and are none: pages of a list, and repeated requests."""

_PROTOCOLS = "sec-websocket-protocol"
"""A header in which browsers, which can set no other one, send tokens."""

_FORMS = re.compile(
    r"(?P<jwt>(?<![\w-])eyJ[\w-]{5,}\.eyJ[\w-]{5,}\.[\w-]*)"
    r"|(?i:\b(?P<scheme>bearer|basic)\s+)[\w.~+/=-]{6,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\b(?:sk|pk|rk)[-_](?:live|test|proj|ant)?[-_]?[A-Za-z0-9_-]{16,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?"
)
"""The forms. None of them looks at a character again and again: a payload may be anything that somebody sends."""

_QUERY = re.compile(r"(?P<before>[?&]|^)(?P<name>[\w.-]+)=(?P<value>[^&\s#\"']+)")
_SHORTEST_SECRET, _SHORTEST_TOKEN = 12, 20
_LONGEST_NAME = 200
_DEEPEST = 60
"""The depth of JSON up to which it is looked through. What is deeper goes as a whole."""


def is_secret_name(name: str) -> bool:
    """Return whether a value of this name is a token or a secret."""
    name = name[-_LONGEST_NAME:]
    if name.lower() in _NO_SECRETS:
        return False
    return bool(_SECRET_NAME.match(name) or _SECRET_ENDING.search(name))


class Redaction:
    """Redacts payloads. `secrets` are values that never stay, wherever they are."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = {each for each in secrets if len(each) >= _SHORTEST_SECRET}
        known = sorted(self._secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def also(self, secrets: Iterable[str]) -> Redaction:
        """Return one that redacts these secrets too."""
        return Redaction([*self._secrets, *secrets])

    def payload(self, content: bytes, *, streams: bool = False) -> tuple[str, list[str]]:
        """Return a payload without tokens and secrets, and the paths of those that were there.

        JSON stays JSON. If there was nothing to redact, the text is exactly what was sent. With `streams` it is a post:
        the field `token` of one is often a piece of a model's reply, so a short value or one with spaces stays.
        """
        text = content.decode(errors="replace")
        run = _Run(self._known, streams)
        value = _parsed(text)
        if value is None:
            return run.text(text, ""), run.found
        redacted = run.value(value[0], "", 0)
        return (json.dumps(redacted, ensure_ascii=False) if run.found else text), run.found


class _Run:
    """The redaction of one payload. `found` are the paths of what it has redacted."""

    def __init__(self, known: re.Pattern[str] | None, streams: bool) -> None:
        self.found: list[str] = []
        self._known = known
        self._streams = streams

    def value(self, value: Any, path: str, depth: int) -> Any:
        """Return a value of JSON without what is secret in it."""
        if depth > _DEEPEST:
            return self._gone(value, path)
        if isinstance(value, dict):
            before = f"{path}." if path else ""
            return {name: self._field(name, each, f"{before}{name}", depth + 1) for name, each in value.items()}
        if isinstance(value, list):
            return [self.value(each, f"{path}[{index}]", depth + 1) for index, each in enumerate(value)]
        return self.text(value, path, depth) if isinstance(value, str) else value

    def _field(self, name: str, value: Any, path: str, depth: int) -> Any:
        is_secret = is_secret_name(name) or name.lower() == _PROTOCOLS
        if is_secret and not (self._streams and name == "token" and _is_piece(value)):
            return self._gone(value, path)
        return self.value(value, path, depth)

    def _gone(self, value: Any, path: str) -> Any:
        """Return what stays of a secret value: nothing but emptiness, numbers (of tokens, for example), and lists."""
        if isinstance(value, list):
            return [self._gone(each, f"{path}[{index}]") for index, each in enumerate(value)]
        if isinstance(value, bool | int | float) or value in (None, "", {}):
            return value
        self.found.append(path)
        return REDACTED

    def text(self, text: str, path: str, depth: int = 0) -> str:
        """Return a text without what is secret by its form. JSON in it is looked through as JSON."""
        if text[:1] in ("{", "[") and (value := _parsed(text)) is not None:
            before = len(self.found)
            redacted = self.value(value[0], path, depth + 1)
            return json.dumps(redacted, ensure_ascii=False) if len(self.found) > before else text
        changed = _FORMS.sub(_of_form, text)
        if "=" in changed:
            changed = _QUERY.sub(_of_query, changed)
        if self._known:
            changed = self._known.sub(REDACTED, changed)
        if changed != text:
            self.found.append(path or "the text")
        return changed


def _is_piece(value: Any) -> bool:
    """Return whether the value of a field `token` is rather a piece of a reply than a token."""
    return isinstance(value, str) and (len(value) < _SHORTEST_TOKEN or len(value.split()) > 1)


def _of_form(match: re.Match[str]) -> str:
    return f"{match['scheme']} {REDACTED}" if match["scheme"] else REDACTED


def _of_query(match: re.Match[str]) -> str:
    if not is_secret_name(unquote(match["name"])):
        return match[0]
    return f"{match['before']}{match['name']}={REDACTED}"


def _parsed(text: str) -> tuple[Any] | None:
    """Return the value of JSON, in a tuple because it may be None. None for a text that is no JSON."""
    try:
        return (json.loads(text),)
    except (ValueError, RecursionError):
        return None
