"""Tool calls: what a model asks for in its answer, and what it gets back with the next question. Pure, without I/O.

Servers send a call in fragments, and differ in how they say which fragment belongs to which call.
`tests/handlers/chat/replies/test_tool_calls.py` has their shapes, with the sources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from handlers.chat.errors import ModelFailed
from handlers.chat.protocol.frames import clean
from handlers.chat.protocol.parts import CUT, whole_characters
from handlers.chat.records import ToolCall

MAX_CALLS_BYTES = 1024 * 1024
"""Bytes of all calls in one answer. More is a fault, which must not fill the function's memory."""

MAX_CALLS = 16
"""Calls of one answer. Those after them are left out, as if the model had not asked for them: it can ask again."""

MAX_EXTRA_BYTES = 64 * 1024
"""Bytes of what a server wants back with a call. More is left out, and the server may refuse the next question."""

_FIELDS = ("tool_calls", "function_call")
_NO_IDS = ("", "null", "none")
_CALL_BYTES = 100
_LEGACY = -1
"""The index of OpenAI's `function_call`, the only one in its answer."""

_UNUSABLE = re.compile(r"[^a-zA-Z0-9_-]+")
_MAX_NAME_CHARS = 64
_MAX_ID_CHARS = 128


class WrongCall(ValueError):
    """A call that cannot be made. The text is for the model, which may correct it."""


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A call, and its result for the model."""

    call: ToolCall
    result: str


@dataclass(frozen=True, slots=True)
class Step:
    """An answer of the model that was not its last one: its text, its calls with their results, and its reasoning."""

    calls: tuple[AnsweredCall, ...]
    text: str = ""
    reasoning: str = ""


def messages(steps: Iterable[Step], with_reasoning: bool, ids: set[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the messages of steps in OpenAI's words. `ids` are those of the calls before, to which theirs are added.

    Servers are strict with what they have sent themselves. An id that is missing or comes twice is replaced by one of
    nine letters and digits (Mistral: karthink/gptel#1203). Arguments that are no JSON object are left out
    (vllm-project/vllm#43995: the server refuses the conversation from then on), and so are the characters of a name
    that no name has.
    """
    ids = set() if ids is None else ids
    for step in steps:
        named = [(_own_id(each.call.id, ids), each) for each in step.calls]
        calls = [_sent(call_id, each.call) for call_id, each in named]
        said = {"role": "assistant", "content": step.text or None, "tool_calls": calls}
        yield {**said, "reasoning_content": step.reasoning} if with_reasoning else said
        for call_id, each in named:
            yield {"role": "tool", "tool_call_id": call_id, "content": each.result or '""'}


def shortened(steps: tuple[Step, ...], chars: int) -> tuple[Step, ...]:
    """Return steps whose results have at most so many characters, and a mark where one was longer."""
    return tuple(replace(step, calls=tuple(_shortened(each, chars) for each in step.calls)) for step in steps)


def _shortened(answered: AnsweredCall, chars: int) -> AnsweredCall:
    if len(answered.result) <= chars:
        return answered
    return replace(answered, result=answered.result[: chars - len(CUT)] + CUT)


def _own_id(given: str, ids: set[str]) -> str:
    number = len(ids)
    while not given or given in ids:
        given = f"call{number:05}"
        number += 1
    ids.add(given)
    return given


def _sent(call_id: str, call: ToolCall) -> dict[str, Any]:
    name = _UNUSABLE.sub("_", call.name)[:_MAX_NAME_CHARS] or "unknown"
    sent = {"id": call_id, "type": "function", "function": {"name": name, "arguments": _object(call.arguments)}}
    return {**sent, "extra_content": call.extra} if call.extra else sent


def _object(arguments: str) -> str:
    """Return arguments as a JSON object that every server can read, empty if they are none."""
    try:
        # Not strict: models write line breaks into their texts.
        found = json.loads(arguments, strict=False, parse_constant=lambda _: None)
        return whole_characters(json.dumps(found, ensure_ascii=False)) if isinstance(found, dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text, strict=False), dict)
    except (ValueError, RecursionError):
        return False


@dataclass(slots=True)
class _Collected:
    """A call whose fragments are still coming."""

    index: int | None
    id: str = ""
    name: str = ""
    extra: Mapping[str, Any] | None = None
    chars: int = 0
    _pieces: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        """The arguments as far as they have come."""
        return "".join(self._pieces)

    @property
    def is_complete(self) -> bool:
        """True if the arguments are a JSON object, so that nothing can follow."""
        return bool(self._pieces) and self._pieces[-1].rstrip().endswith("}") and _is_object(self.arguments)

    def has(self, arguments: str) -> bool:
        """Return True if these are all arguments: some servers send them once more at the end."""
        return len(arguments) == self.chars and self.is_complete and arguments == self.arguments

    def add(self, arguments: str) -> None:
        """Add a piece of the arguments."""
        if arguments and not self.has(arguments):
            self._pieces.append(arguments)
            self.chars += len(arguments)


@dataclass(frozen=True, slots=True)
class _Fragment:
    """A piece of a call, as far as it could be read. `alone`: no other piece is in the same chunk."""

    index: int | None
    id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] | None
    place: int
    alone: bool

    @property
    def is_named(self) -> bool:
        """True if the fragment says which call it is of."""
        return bool(self.id) or self.index is not None


class CallReader:
    """The reader of the calls in one answer."""

    def __init__(self) -> None:
        self._calls: list[_Collected] = []
        self._bytes = 0

    def __bool__(self) -> bool:
        """Return True if a name or arguments of a call have come."""
        return any(call.name or call.chars for call in self._calls)

    def feed(self, said: object) -> bool:
        """Take the fragments in a delta or a message. Return True if there was one.

        Raises `ModelFailed` if all calls together are over `MAX_CALLS_BYTES`.
        """
        fragments = list(_fragments(said))
        for fragment in fragments:
            self._bytes += len(fragment.arguments.encode("utf-8", "surrogatepass"))
            self._take(fragment)
            if self._bytes > MAX_CALLS_BYTES:
                raise ModelFailed(f"tool calls of over {MAX_CALLS_BYTES} bytes")
        return bool(fragments)

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls in the order in which they began, `MAX_CALLS` at most."""
        return tuple(
            ToolCall(clean(whole_characters(call.name)).strip(), whole_characters(call.arguments), call.id, call.extra)
            for call in [call for call in self._calls if call.name or call.chars][:MAX_CALLS]
        )

    def _take(self, fragment: _Fragment) -> None:
        call = self._call_of(fragment)
        if call is None:
            call = _Collected(fragment.index)
            self._calls.append(call)
            self._bytes += _CALL_BYTES
        call.id = call.id or fragment.id
        call.extra = call.extra or fragment.extra
        if fragment.name and fragment.name != call.name:
            # A name in pieces, or a longer one each time.
            grown = fragment.name.startswith(call.name)
            call.name = fragment.name if grown else call.name + fragment.name
        call.add(fragment.arguments)

    def _call_of(self, fragment: _Fragment) -> _Collected | None:
        """Return the call that a fragment continues, None if it begins one."""
        call = self._candidate(fragment)
        return call if call is not None and _continues(call, fragment) else None

    def _candidate(self, fragment: _Fragment) -> _Collected | None:
        """Return the call that a fragment may continue: of the same id, else of the same index, else the last one."""
        same_index = [call for call in self._calls if fragment.index is not None and call.index == fragment.index]
        if fragment.id:
            same_id = [call for call in self._calls if call.id == fragment.id]
            if both := [call for call in same_id if call.index == fragment.index]:
                return both[-1]
            if same_id:
                # Two calls may have one id, but then they have an index each.
                return None if fragment.name and fragment.index is not None else same_id[-1]
        if same_index:
            return same_index[-1]
        if fragment.name and (fragment.index is not None or not self._calls):
            return None
        if not fragment.alone and fragment.index is None and not fragment.name:
            return self._calls[fragment.place] if fragment.place < len(self._calls) else None
        return self._calls[-1] if self._calls else None


def _continues(call: _Collected, fragment: _Fragment) -> bool:
    """Return True if a fragment is more of a call, False if it begins another one."""
    another_id = bool(fragment.id and call.id and fragment.id != call.id)
    if not fragment.name:
        # The arguments, with an id of their own in each chunk or none.
        return not (another_id and call.is_complete)
    if another_id:
        return False
    if not call.chars:
        # More of the name, or the name once more. Without an index, another name is another call.
        return fragment.name == call.name or not call.name or fragment.index is not None or bool(fragment.id)
    if fragment.name != call.name:
        return False
    # The same call once more, or another one that is equal: servers that repeat a call say which one it is.
    return not call.is_complete or (fragment.is_named and (not fragment.arguments or call.has(fragment.arguments)))


def _fragments(said: object) -> Iterator[_Fragment]:
    if not isinstance(said, dict):
        return
    found = said.get("tool_calls")
    listed = found if isinstance(found, list) else [found]
    entries = [(place, each) for place, each in enumerate(listed) if isinstance(each, dict)]
    for place, entry in entries:
        yield _fragment(entry, _index(entry.get("index")), place, alone=len(entries) == 1)
    legacy = said.get("function_call")
    if isinstance(legacy, dict) and not entries and legacy:
        yield _fragment(legacy, _LEGACY, 0, alone=True)


def _fragment(entry: Mapping[str, Any], index: int | None, place: int, alone: bool) -> _Fragment:
    function = entry.get("function")
    function = function if isinstance(function, dict) else entry
    return _Fragment(
        index,
        _id(entry.get("id")),
        _text(function.get("name"))[:_MAX_NAME_CHARS],
        _arguments(function.get("arguments")),
        _extra(entry.get("extra_content")),
        place,
        alone,
    )


def _extra(value: object) -> Mapping[str, Any] | None:
    """Return what can be sent back as it is."""
    if not isinstance(value, dict) or not value:
        return None
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        return None
    return value if size <= MAX_EXTRA_BYTES else None


def _index(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _id(value: object) -> str:
    found = whole_characters(value).strip() if isinstance(value, str) else str(value) if type(value) is int else ""
    return "" if found.casefold() in _NO_IDS or len(found) > _MAX_ID_CHARS else found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _arguments(value: object) -> str:
    """Return arguments as their text. Some servers send the object itself (Ollama's own API, behind a gateway)."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else _text(value)


def spoken(said: object) -> dict[str, Any]:
    """Return what a message has of calls."""
    return {name: said[name] for name in _FIELDS if said.get(name)} if isinstance(said, dict) else {}
