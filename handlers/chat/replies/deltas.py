"""Deltas: the body of a model's answer in, the pieces of the answer out. Pure: no I/O, no clock.

Servers that speak OpenAI's chat completions differ in everything but the idea. So nothing of a chunk is required, and
anything may have any type. What can be read as text is text, and what is not understood is passed over. Only two things
are faults: an event that begins as a JSON object and is none, and an error that the server reports.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from handlers.chat.errors import ModelFailed
from handlers.chat.protocol.frames import clean
from handlers.chat.protocol.parts import whole_characters
from handlers.chat.records import FinishReason, Part, ToolCall, Usage
from handlers.chat.replies import finish_reasons
from handlers.chat.replies.reasoning import reasoning
from handlers.chat.replies.sse import MAX_EVENT_BYTES, Event, EventDecoder
from handlers.chat.replies.tool_calls import CallReader, spoken

_BLANK = b"\xef\xbb\xbf \t\r\n"
"""Bytes that may come before the first event: the byte order mark and white space."""

_TEXT_PARTS = (None, "text", "output_text")
"""Types of the parts of a list that are text. Others, such as `thinking`, are not shown."""

_SHOWN = ("content", "refusal")
_LABELS = ("role", "type", "id", "format", "signature")
"""Fields whose texts no model has written."""

_MAX_DEPTH = 20

_MAX_COUNT = 10**9
"""Tokens of one answer. A larger count is a mistake, and the database could not hold any number."""


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of an answer: text, the reason why the answer ended, or the count of its tokens.

    `thinking` is the most tokens that the piece has beside its text: thinking, or anything else that is not shown.
    `reasoning` is the thinking that people can read. `calls` are all calls of tools in the answer; they come once, at
    its end, and only if the model has ended it by itself: what was cut may lack its last call, or half of it.
    `refusal` is what the model says instead of an answer. Only an own agent has a `part`: a source, or the state of a
    call of its own.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    thinking: int = 0
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    refusal: str = ""
    part: Part | None = None


class DeltaReader:
    """The reader of one answer.

    `has_text`: text has come. `has_said`: text or a call of a tool has. `progress` counts the chunks that carried text
    or reasoning. `finish_reason` is the reason that stands: some servers send one with each chunk, or with their
    reasoning, so what comes after it makes it void. `settled`: a reason came in a chunk of its own, after text or a
    call; from there on nothing but the usage matters. `done`: the answer is complete, and nothing more needs to be
    read. `reasons_are_void`: the answer has gone on after a reason, so the next one may be void too.

    `tokens_seen` is the most tokens that have come. `tokens_counted` is the server's own count of them, 0 if there is
    none yet. `unknown_reason` is the first finish reason that we do not know.

    While a reason stands, no fault makes the answer fail: it is over then.
    """

    def __init__(self) -> None:
        self.has_text = False
        self.progress = 0
        self.finish_reason: FinishReason | None = None
        self.settled = False
        self.done = False
        self.tokens_seen = 0
        self.tokens_counted = 0
        self.reasons_are_void = False
        self.unknown_reason = ""
        self._events: EventDecoder | None = None
        self._whole: list[bytes] | None = None
        self._whole_size = 0
        self._text, self._reasoning, self._refusal = _Pieces(), _Pieces(), _Pieces()
        self._calls = CallReader()
        self._was_plain = False

    @property
    def has_said(self) -> bool:
        """True if text or a call has come."""
        return self.has_text or bool(self._calls)

    @property
    def may_be_over(self) -> bool:
        """True if a reason has come after text or a call, or with it, and no reason was void before."""
        return self.settled or (self.finish_reason is not None and self.has_said and not self.reasons_are_void)

    @property
    def is_over(self) -> bool:
        """True if nothing but the usage is expected any more: the server does not send a reason with each text."""
        return self.settled or (self.may_be_over and self._was_plain)

    def feed(self, received: bytes) -> Iterator[Delta]:
        """Yield the deltas in the next bytes of the body. Raises `ModelFailed` at a fault, after the text before it."""
        if self.done:
            return
        if self._events is None and self._whole is None:
            received = received.lstrip(_BLANK)
            if not received:
                return
            # A server that does not stream answers with one JSON object.
            if received.startswith(b"{"):
                self._whole = []
            else:
                self._events = EventDecoder()
        if self._whole is not None:
            self._keep(self._whole, received)
        elif self._events is not None:
            yield from self._read(self._events.feed(received))

    def end(self) -> Iterator[Delta]:
        """Yield what is left after the last byte. Raises `ModelFailed` if the answer has not ended, or ended badly."""
        if self._whole is not None:
            yield from self._chunk(_object(b"".join(self._whole)))
            if self.finish_reason is None and self.has_said:
                # The object is complete, so the answer is.
                self.finish_reason = FinishReason.STOP
                yield Delta(finish_reason=self.finish_reason)
        elif self._events is not None and not self.done:
            yield from self._read(self._events.end())
        text, refusal = self._text.rest(), self._refusal.rest()
        if text or refusal:
            yield Delta(text, refusal=refusal)
        if self.finish_reason is None:
            raise ModelFailed("the stream ended without a finish reason")
        if self.finish_reason is FinishReason.ERROR:
            raise ModelFailed("the model ended its answer with an error")
        if self.finish_reason is FinishReason.STOP and (calls := self._calls.calls()):
            yield Delta(calls=calls)

    def _keep(self, pieces: list[bytes], received: bytes) -> None:
        pieces.append(received)
        self._whole_size += len(received)
        if self._whole_size > MAX_EVENT_BYTES:
            raise ModelFailed(f"an answer of over {MAX_EVENT_BYTES} bytes")

    def _read(self, events: Iterable[Event]) -> Iterator[Delta]:
        try:
            for event in events:
                yield from self._event(event)
                if self.done:
                    return
        except ModelFailed:
            if self.finish_reason is None:
                raise
            self.done = True

    def _event(self, event: Event) -> Iterator[Delta]:
        data = event.data.lstrip()
        if event.kind == b"error":
            raise ModelFailed("the stream has an error event")
        if data.startswith(b"[DONE]"):
            self.done = True
        elif data.startswith(b"{"):
            yield from self._chunk(_object(data))

    def _chunk(self, chunk: Mapping[str, Any]) -> Iterator[Delta]:
        if error := chunk.get("error"):
            raise ModelFailed(f"the stream has an error: {_code(error)}")
        usage, choice = _usage(chunk.get("usage")), _first(chunk.get("choices"))
        said = self._said(choice)
        word, thinking = choice.get("finish_reason"), _thinking(said)
        raw, refused, reason = _said_text(said), _refusal(said), finish_reasons.finish_reason(word)
        text, thought = self._text.add(raw), self._reasoning.add(reasoning(said))
        refusal = self._refusal.add(refused)
        repeated = bool(self._calls) and said is choice.get("message")
        called = not repeated and self._calls.feed(said)
        # Characters that are removed are tokens too.
        thinking += max(0, _size(raw) - _size(text)) + _size(refused)
        self.has_text = self.has_text or bool(text or refusal)
        self._was_plain = self._was_plain or (reason is None and bool(text or refusal or called))
        self.tokens_seen += _size(text) + thinking
        self.tokens_counted = usage.completion_tokens if usage else self.tokens_counted
        self.unknown_reason = self.unknown_reason or finish_reasons.unknown_word(word)
        reason = self._standing(reason, _carries(said), usage is not None)
        if text or reason or usage or thinking or thought or refusal:
            yield Delta(text, reason, usage, thinking, thought, refusal=refusal)

    def _said(self, choice: Mapping[str, Any]) -> object:
        """Return what a chunk adds: its delta, or a message.

        A message is the whole answer. Servers that do not stream send one; others repeat there what they have sent, or
        have the calls only there.
        """
        delta, message = choice.get("delta"), choice.get("message")
        if "delta" not in choice and not self.has_text:
            return message
        return delta if delta or self._calls else spoken(message) or delta

    def _standing(self, reason: FinishReason | None, carries: bool, counts: bool) -> FinishReason | None:
        """Take note of a chunk's reason, None if it has none, and return it if it may stand.

        `carries`: the chunk adds something to the answer. `counts`: it has the usage.
        """
        self.progress += carries
        self.reasons_are_void = self.reasons_are_void or (self.finish_reason is not None and carries)
        if self.settled:
            reason = None
        elif reason or carries:
            self.finish_reason = reason
        # Reasons that come with their text, or before any, may be followed by more.
        self.settled = self.settled or (
            self.finish_reason is not None and self.has_said and not carries and (reason is not None or counts)
        )
        return reason


class _Pieces:
    """Pieces of one text.

    Some servers cut characters beyond U+FFFF in two, each half in a JSON escape of its own. A half (a lone surrogate)
    cannot be encoded, so it waits for its other half.
    """

    def __init__(self) -> None:
        self._half = ""

    def add(self, text: str) -> str:
        """Return a piece for people, with the half character of the one before, and without a half at its end."""
        if not text:
            return ""
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        return _shown(text.removesuffix(self._half))

    def rest(self) -> str:
        """Return what has waited in vain."""
        return _shown(self._half)


def _shown(text: str) -> str:
    """Return a text for people, cleaned as all text is.

    Each piece is in NFC by itself: a mark at its beginning stays apart from the letter before it, because that letter
    has been sent.
    """
    return clean(whole_characters(text))


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data.decode(errors="replace"))
    except (ValueError, RecursionError):
        raise ModelFailed("broken JSON in the stream") from None
    return value if isinstance(value, dict) else {}


def _first(choices: object) -> Mapping[str, Any]:
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, dict) else {}


def _said_text(said: object) -> str:
    """Return the text of a delta or of a message."""
    if isinstance(said, dict):
        return _text(said.get("content"))
    return said if isinstance(said, str) else ""


def _refusal(said: object) -> str:
    """Return what a model says instead of an answer (OpenAI: `refusal`)."""
    return _text(said.get("refusal")) if isinstance(said, dict) else ""


def _text(content: object) -> str:
    """Return a content as text: a text, a part, or a list of them."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    return "".join(map(_part_text, parts))


def _part_text(part: object) -> str:
    if isinstance(part, dict):
        kind = part.get("type")
        part = part.get("text") if kind is None or (isinstance(kind, str) and kind in _TEXT_PARTS) else None
    return part if isinstance(part, str) else ""


def _thinking(said: object) -> int:
    """Return the most tokens that a delta or a message has beside its text: thinking, also encrypted, or calls.

    Some servers send the same thinking in several fields (OpenRouter: `reasoning` and `reasoning_details`).
    """
    if not isinstance(said, dict):
        return 0 if isinstance(said, str) else _size("".join(_unseen(said)))
    fields = {"".join(_unseen(value)) for name, value in said.items() if name not in (*_LABELS, *_SHOWN)}
    content = said.get("content")
    parts = content if isinstance(content, list) else [content]
    unseen = "".join(text for part in parts if not _part_text(part) for text in _unseen(part))
    return sum(map(_size, {*fields, unseen}))


def _size(text: str) -> int:
    """Return the most tokens that a text can have, as `budget.estimate_text` does, also with half characters."""
    return len(text.encode("utf-8", "surrogatepass"))


def _unseen(value: object, depth: int = 0) -> Iterator[str]:
    """Yield the texts in a value, without labels."""
    if isinstance(value, str):
        yield value
    elif depth < _MAX_DEPTH and isinstance(value, dict):
        for name, part in value.items():
            if name not in _LABELS:
                yield from _unseen(part, depth + 1)
    elif depth < _MAX_DEPTH and isinstance(value, list):
        for part in value:
            yield from _unseen(part, depth + 1)


def _carries(said: object) -> bool:
    """Return True if a delta holds something: text, reasoning, or anything else but a role."""
    return any(value for name, value in said.items() if name != "role") if isinstance(said, dict) else bool(said)


def _usage(usage: object) -> Usage | None:
    """Return a count of tokens, None if it is none. Some servers send zeros until they know better."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = (_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    if prompt is None or completion is None or not prompt + completion:
        return None
    # Some servers count the thinking in the total only (xAI and Gemini: UKGovernmentBEIS/inspect_ai#5528).
    completion = max(completion, (_count(usage.get("total_tokens")) or 0) - prompt)
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


def _count(number: object) -> int | None:
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= _MAX_COUNT else None


def _code(error: object) -> str:
    """Return the code of an error, for the log. Its message may quote the request or the key, so it is left out."""
    found = (error.get("code") or error.get("type")) if isinstance(error, dict) else None
    return str(found)[:64] if isinstance(found, str | int) and str(found).isprintable() else "no code"
