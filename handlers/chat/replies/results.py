"""Results of calls: what a tool returned or raised, as the text that its model reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pydantic_core import to_json

from handlers.chat.assistants import ToolError
from handlers.chat.errors import Refused
from handlers.chat.protocol.frames import clean
from handlers.chat.protocol.parts import whole_characters
from handlers.chat.records import CallState, Result

CANCELLED = Result(CallState.CANCELLED, "The call was cancelled.")


def error(text: str) -> Result:
    """Return the result of a call that came to nothing."""
    return Result(CallState.ERROR, text)


def returned(value: object, most: int) -> Result:
    """Return the result of a tool that returned this value, in `most` bytes. Raises `NotJson`.

    A text is itself, None is "done", and everything else is JSON, as pydantic writes it.
    """
    if value is None:
        return Result(CallState.DONE, "done")
    return Result(CallState.DONE, fitting(value if isinstance(value, str) else _json(value), most) or '""')


def raised(failure: BaseException, most: int) -> Result:
    """Return the result of a tool that raised an exception. Only `ToolError` and `Refused` have texts for the model."""
    with suppress(Exception):  # a text that cannot be made
        if isinstance(failure, ToolError | Refused):
            return error(fitting(str(failure), most).strip() or "The tool refused the call.")
    if isinstance(failure, NotJson):
        return error(f"The tool failed: it returned a value of the type {failure}, which is no JSON.")
    return error(f"The tool failed: {type(failure).__name__}.")


class NotJson(TypeError):
    """A value that is no JSON. The text is the name of its type."""


def _json(value: object) -> str:
    # An iterator may have no end.
    if isinstance(value, Iterator):
        raise NotJson(type(value).__name__)
    try:
        return to_json(value, inf_nan_mode="null").decode()
    except Exception:
        raise NotJson(type(value).__name__) from None


def fitting(text: str, most: int) -> str:
    """Return a text as all text is cleaned, in `most` bytes of UTF-8, with a mark at its end if it was cut."""
    size = len(text.encode("utf-8", "surrogatepass"))
    # A character has a byte or more.
    cleaned = clean(whole_characters(text[:most]))
    if size <= most and len(cleaned.encode()) <= most:
        return cleaned
    mark = f" […] (cut: the whole has {size} bytes, {most} are the most)"
    return cleaned.encode()[: max(0, most - len(mark.encode()))].decode(errors="ignore") + mark
