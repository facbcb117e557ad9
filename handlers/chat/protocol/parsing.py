"""Parsing of client text: the only place where JSON from a client is read.

Three things in JSON crash a simple parser, or code that sends the values on: deep nesting (RecursionError), huge
numbers, and texts that cannot be encoded. All three are refused here, so no other code has to handle them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Never

from pydantic import ValidationError

from handlers.chat.errors import ErrorCode, Refused
from handlers.chat.protocol.client_frames import CLIENT_FRAMES, TAG, ClientFrame

MAX_DEPTH = 32
"""Levels of objects and lists, the outermost included."""

MAX_DIGITS = 20
"""Digits of one number."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A JSON object from a client, read just far enough to answer it, even with an error."""

    content: Mapping[str, Any]

    @property
    def request_id(self) -> str | None:
        """The client's own id of this request. Every direct answer repeats it."""
        return _tag(self.content.get("requestId"))

    @property
    def client_message_id(self) -> str | None:
        """The client's own id of the message in this frame. A refusal repeats it."""
        data = self.content.get("data")
        return _tag(data.get("clientMessageId")) if isinstance(data, dict) else None

    def frame(self) -> ClientFrame:
        """Return the frame. Raises `Refused` with `invalid_format` or `unknown_type`."""
        kind, data = self.content.get("type"), self.content.get("data")
        if not isinstance(kind, str) or (self.content.get("requestId") is not None and not self.request_id):
            raise Refused(ErrorCode.INVALID_FORMAT)
        if kind not in CLIENT_FRAMES:
            raise Refused(ErrorCode.UNKNOWN_TYPE)
        try:
            return CLIENT_FRAMES[kind].model_validate({} if data is None else data)
        except ValidationError:
            # The cause holds what the client sent, a token perhaps, so it must not reach a log.
            raise Refused(ErrorCode.INVALID_FORMAT) from None


def open_envelope(body: str | None) -> Envelope:
    """Parse the text of a frame. Raises `Refused` with `invalid_format` as `parse`, and for anything but an object."""
    content = parse(body or "")
    if not isinstance(content, dict):
        raise Refused(ErrorCode.INVALID_FORMAT)
    return Envelope(content)


def parse(text: str | bytes) -> object:
    """Return the value of a JSON text from a client.

    Raises `Refused` with `invalid_format` if the text is not JSON, is deeper than `MAX_DEPTH`, or holds a number with
    more than `MAX_DIGITS` digits, NaN, Infinity or a lone surrogate.
    """
    try:
        content: object = json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=_refuse_constant)
        _check(content)
    except (ValueError, RecursionError):
        raise Refused(ErrorCode.INVALID_FORMAT) from None
    return content


def _tag(value: object) -> str | None:
    return value if isinstance(value, str) and TAG.fullmatch(value) else None


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError("number with too many digits")
    return int(digits)


def _float(text: str) -> float:
    number = float(text)
    if sum(character.isdigit() for character in text) > MAX_DIGITS or not isfinite(number):
        raise ValueError("number with too many digits")
    return number


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def _check(content: object) -> None:
    """Raise ValueError if a parsed value is too deep or holds a lone surrogate."""
    # Level by level, not by recursion: the depth of the value must not become the depth of the stack.
    level, depth = [content], 0
    while level:
        depth += 1
        inner: list[object] = []
        for value in level:
            if isinstance(value, str):
                value.encode()  # UnicodeEncodeError is a ValueError
            elif isinstance(value, dict):
                inner += (*value.keys(), *value.values())
            elif isinstance(value, list):
                inner += value
        if depth > MAX_DEPTH and any(isinstance(value, dict | list) for value in level):
            raise ValueError("nested too deeply")
        level = inner
