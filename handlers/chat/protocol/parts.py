"""Parts of a reply: their JSON on the wire and in the store, and the most that they may take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from handlers.chat.protocol.frames import PartView
from handlers.chat.records import Part, PartKind, PartState

MAX_ARGUMENTS_CHARS = 4_000
MAX_RESULT_CHARS = 8_000
"""Characters of the arguments and of the result of a call. What a source says may be as long as a result."""

MAX_TEXT_CHARS = 20_000
"""Characters of reasoning and of a refusal. They go out in pieces."""

MAX_NAME_CHARS = 200
MAX_URL_CHARS = 2_000

MAX_PART_BYTES = 28 * 1024
"""Bytes of JSON of a part that is sent in one frame. The rest of the frame is for the ids."""

MAX_KEPT_BYTES = 48 * 1024
"""Bytes of all parts of a stored reply."""

HISTORY_CHARS = 500
"""Characters of each text of a part in a page of history."""

PROMPT_RESULT_CHARS = 2_000
"""Characters of each result of an earlier reply that a model reads again."""

PROMPT_CALLS_CHARS = 12_000
"""Characters of all calls of an earlier reply, with their results, that a model reads again."""

CUT = " […]"
"""The mark at the end of a result that is not whole."""

TEXTS = (PartKind.REASONING, PartKind.REFUSAL)
"""The kinds that are text, which grows and is sent in pieces."""

_CUTS = (MAX_TEXT_CHARS, 8_000, 4_000, 2_000, 1_000, HISTORY_CHARS, 200, 50, 10)
"""Characters of each text, tried one after the other until everything fits. Never 0: a text without text is no part."""


def whole_characters(text: str) -> str:
    """Return a text that a frame can hold: surrogate pairs are joined, lone surrogates replaced by U+FFFD."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def bounded(part: Part) -> Part:
    """Return a part whose texts are as long as they may be at most. One that was cut says so."""
    for chars in _CUTS:
        shorter = shortened(part, chars)
        if part.kind in TEXTS or _bytes((shorter,)) <= MAX_PART_BYTES:
            break
    return shorter


def shortened(part: Part, most: int) -> Part:
    """Return a part whose texts have so many characters at most. Names and addresses stay as they are."""
    result = part.result if part.result is None else whole_characters(part.result[: min(most, MAX_RESULT_CHARS)])
    shorter = replace(
        part,
        text=whole_characters(part.text[: min(most, MAX_TEXT_CHARS if part.kind in TEXTS else MAX_RESULT_CHARS)]),
        arguments=whole_characters(part.arguments[: min(most, MAX_ARGUMENTS_CHARS)]),
        result=result,
        name=whole_characters(part.name[:MAX_NAME_CHARS]),
        url=whole_characters(part.url[:MAX_URL_CHARS]),
    )
    return shorter if shorter == part else replace(shorter, cut=True)


def fitting(parts: Iterable[Part], most: int = MAX_KEPT_BYTES) -> tuple[Part, ...]:
    """Return parts that fit into so many bytes when they are kept: texts are cut, then the last parts left out."""
    whole = tuple(map(bounded, parts))
    for chars in _CUTS:
        fit = tuple(shortened(part, chars) for part in whole)
        if _bytes(fit) <= most:
            return fit
    while fit and _bytes(fit) > most:
        fit = fit[: len(fit) * 3 // 4]
    return fit


def in_prompt(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return the calls of a reply as its model reads them again in later turns.

    Results are cut with a mark, and more of them if they are too long together. Then the first calls are left out.
    """
    calls = tuple(part for part in parts if part.kind is PartKind.TOOL_CALL)
    for chars in (PROMPT_RESULT_CHARS, 1_000, 500, 200):
        shorter = tuple(replace(part, result=_marked(part.result, chars)) for part in calls)
        if sum(map(_chars, shorter)) <= PROMPT_CALLS_CHARS:
            break
    while sum(map(_chars, shorter)) > PROMPT_CALLS_CHARS:
        shorter = shorter[1:]
    return shorter


def chars_in_prompt(parts: Iterable[Part]) -> int:
    """Return the number of characters that a model reads again."""
    return sum(map(_chars, in_prompt(parts)))


def _chars(call: Part) -> int:
    return len(call.name) + len(call.arguments) + len(call.result or "")


def _marked(result: str | None, most: int) -> str | None:
    return result if result is None or len(result) <= most else result[: most - len(CUT)] + CUT


def as_view(part: Part) -> PartView:
    """Return a part as clients see it in a frame of its own."""
    cut = part.cut or None
    match part.kind:
        case PartKind.TOOL_CALL:
            return PartView(
                kind=part.kind,
                call_id=part.call_id,
                name=part.name,
                arguments=part.arguments,
                state=part.state or PartState.RUNNING,
                result=part.result,
                cut=cut,
            )
        case PartKind.SOURCE:
            return PartView(kind=part.kind, url=part.url, title=part.name or None, text=part.text or None, cut=cut)
        case _:
            return PartView(kind=part.kind, text=part.text, cut=cut)


def placed(part: Part) -> PartView:
    """Return a part as clients see it in a list, with its place."""
    return replace(as_view(part), index=part.index or 0, offset=part.offset)


def kept_parts(parts: Sequence[Part]) -> str | None:
    """Return the text that the store keeps of parts, None if there are none."""
    if not parts:
        return None
    return json.dumps([placed(part).as_data() for part in parts], ensure_ascii=False, separators=(",", ":"))


def parts_in(text: str | None) -> tuple[Part, ...]:
    """Return the parts in a text of the store. Those that only a later version knows are passed over."""
    return tuple(part for each in json.loads(text) if (part := _part(each))) if text else ()


def _part(value: dict[str, Any]) -> Part | None:
    text: Callable[[str], str] = lambda name: value.get(name) or ""  # noqa: E731
    with suppress(ValueError, KeyError):
        kind = PartKind(value["kind"])
        return Part(
            kind,
            index=value["index"],
            offset=value["offset"],
            text=text("text"),
            call_id=text("callId"),
            name=text("title" if kind is PartKind.SOURCE else "name"),
            arguments=text("arguments"),
            state=PartState(value["state"]) if "state" in value else None,
            result=value.get("result"),
            url=text("url"),
            cut=value.get("cut", False),
        )
    return None


def _bytes(parts: Sequence[Part]) -> int:
    return len((kept_parts(parts) or "").encode())
