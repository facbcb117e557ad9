"""The request to the model's server, and the decision which request follows a refusal.

Servers that speak OpenAI's chat completions differ in the options that they take. No list of models stays true, so a
request is changed by what its refusal says: an option that the refusal names is not sent again, and a prompt that is
too long is halved. `tests/handlers/chat/replies/test_request.py` has the refusals of servers, with their sources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from handlers.chat.protocol.parts import PROMPT_RESULT_CHARS
from handlers.chat.protocol.stream import BREAK
from handlers.chat.replies import files
from handlers.chat.replies.messages import PromptMessage
from handlers.chat.replies.prompt import Prompt, attached, halved
from handlers.chat.replies.tool_calls import Step, messages, shortened

MAX_HALVINGS = 2
SHORTENED_FILE_CHARS = 2_000

_STATUSES = (400, 404, 413, 416, 422, 500)
"""Statuses of a refusal. 404 is OpenAI's and OpenRouter's for a model without tools, 413 Groq's for a large prompt, 416
Scaleway's for a large limit, and llama.cpp has answered 500 for a long prompt."""

_TIMEOUTS = (408, 499)
_SERVER_ERRORS = 500
_TURNED_AWAY = (503, 529)
"""503: not now (RFC 9110, section 15.6.4). 529: overloaded (Anthropic, "Errors")."""

_TOO_LONG = re.compile(
    r"context.?(length|size|window)|(prompt|inputs?|messages?)\b.{0,40}\btoo (long|large)|input token count"
    r"|inputs\W{1,2}(tokens|must have less)|reduce (the length|your (prompt|message|input))|at least 1, got -",
    re.IGNORECASE,
)
_OF_THE_REPLY = re.compile(r"completion|output|max_(new_)?tokens", re.IGNORECASE)
_TOO_MANY = re.compile(r"too (large|high|big)|at most|range|maximum|less than|<=|exceed|is limited", re.IGNORECASE)
_NO_SYSTEM = re.compile(
    r"system\W{1,2}(role|message|prompt)s?\b.{0,20}\b(not supported|unsupported)|not support\W{1,3}system\b"
    r"|developer instruction is not enabled|roles must alternate|only user and assistant roles",
    re.IGNORECASE,
)
_NO_TOOLS = re.compile(
    r"\btools?\b.{0,20}\b(not supported|unsupported)|unsupported param\w*\W{1,4}tools?\b|not support\W{1,3}tools?\b"
    r"|support tool use|enable-auto-tool-choice|tools param requires",
    re.IGNORECASE,
)
_WANTS_REASONING = re.compile(r"reasoning_content\b.{0,60}\bpassed back|missing\W{1,3}reasoning_content", re.IGNORECASE)
_NO_IMAGES = re.compile(
    r"image_url\W{0,3}(is only supported|\W*expected|.{0,20}not (supported|allowed))|variant\W{0,3}image_url"
    r"|support\w*\W{1,2}(for )?(image|vision|multimodal)|images?\b( input)?s? (is |are )?(not|un)\W?(supported|enabled)"
    r"|not a multi.?modal|unsupported content part type\W{1,4}image_url|image content is only allowed"
    r"|content must be a string",
    re.IGNORECASE,
)
_MOST_IMAGES = re.compile(r"at most (\d{1,3}) image", re.IGNORECASE)
_CALLED_BADLY = "tool_use_failed"
"""Groq's code for a model that has written a call which cannot be read (huggingface/smolagents#1119)."""

_MAX_DEPTH = 20
_LABEL = re.compile(r"[\w.\[\]-]{1,64}")
_LIMITS = ("max_completion_tokens", "max_tokens", None)
"""The names of the option that limits a reply, in the order in which they are tried. None sends no limit."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer of a server that did not take a request. `text` has all that it says, without what we had sent."""

    status: int
    code: str = ""
    param: str = ""
    text: str = ""

    @classmethod
    def of(cls, status: int, body: object) -> Self:
        """Read a refusal. `body` is the JSON of the answer, or its text."""
        error = body[0] if isinstance(body, list) and body else body
        error = error.get("error", error) if isinstance(error, Mapping) else error
        fields = error if isinstance(error, Mapping) else {}
        return cls(status, _label(fields.get("code")), _label(fields.get("param")), " ".join(_texts(body)))

    def names(self, option: str) -> bool:
        """Return True if the refusal is about this option of the request."""
        return self.param == option or re.search(rf"\b{re.escape(option)}\b", self.text) is not None

    @property
    def is_about_length(self) -> bool:
        """True if the prompt does not fit into the context of the model."""
        return _TOO_LONG.search(f"{self.code} {self.text}") is not None

    def __str__(self) -> str:
        """Return what a log may hold: the status and the provider's labels."""
        labels = [f"{name} {label}" for name, label in (("code", self.code), ("param", self.param)) if label]
        return ", ".join([str(self.status), *labels])


@dataclass(frozen=True, slots=True)
class Dialect:
    """The options that a model takes, as far as refusals have told. `limit` is its name for the longest reply.

    With `system` False it takes no message of the system, with `tools` False it calls no tools, and with `tool_choice`
    False it cannot be told to call none. With `reasoning` it wants its reasoning back beside its calls. With
    `earlier_calls` False it does not take the calls of earlier replies. `images` is the most
    images that it takes, None if that is not known. `refused` are the parameters that it does not take.
    """

    temperature: bool = True
    stream_options: bool = True
    limit: str | None = _LIMITS[0]
    system: bool = True
    tools: bool = True
    tool_choice: bool = True
    reasoning: bool = False
    earlier_calls: bool = True
    images: int | None = None
    refused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a model. `temperature` and `max_tokens` may be None; then the server decides.

    `instructions` are empty if there are none. `parameters` are more options, by their names in the API.

    `tools` are those that the model may call, in OpenAI's words, and `steps` what it has called for this answer
    already. With `may_call` False it is told to call none any more. The tools are sent even then: Bedrock refuses steps
    without them (vercel/ai#7528).

    With `limited` False the limit is left out of this request only, because it was larger than the model's own. That
    says nothing about the next request. `repeated`: the model has called badly, and is asked once more.

    `files` are the contents of attachments. With `shows_images` False this request only has no images.
    """

    messages: Prompt
    temperature: float | None = None
    max_tokens: int | None = None
    dialect: Dialect = Dialect()
    halvings: int = 0
    limited: bool = True
    model: str = ""
    instructions: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[Mapping[str, Any]] = ()
    steps: tuple[Step, ...] = ()
    may_call: bool = True
    repeated: bool = False
    files: files.Files = field(default_factory=dict)
    shows_images: bool = True

    def conversation(self) -> list[dict[str, Any]]:
        """Return the messages that are sent. A model without messages of the system reads them with the first one."""
        ids, images, with_calls = set[str](), self.images, self.has_earlier_calls
        said: list[dict[str, Any]] = []
        for message in self.messages:
            if message.calls and with_calls:
                # Nothing is known of its reasoning any more, which says nothing of the answer that is asked for.
                said += messages(message.steps, self.dialect.reasoning, ids)
                said.append({"role": message.role.value, "content": message.answer})
            else:
                said.append({"role": message.role.value, "content": self._content(message, images)})
        said += messages(self.steps, self.dialect.reasoning, ids)
        if self.instructions and self.dialect.system:
            return [{"role": "system", "content": self.instructions}, *said]
        if self.instructions:
            first, *others = said
            return [{**first, "content": files.preceded(f"{self.instructions}{BREAK}", first["content"])}, *others]
        return said

    @property
    def images(self) -> list[str]:
        """The ids of the attachments that are sent as images, the newest first."""
        return files.images_in(attached(self.messages), self.files, self.dialect.images) if self.shows_images else []

    @property
    def has_earlier_calls(self) -> bool:
        """True if the calls of earlier replies are sent. Without tools they are not: servers refuse the one without."""
        takes = bool(self.tools) and self.dialect.tools and self.dialect.earlier_calls
        return takes and any(message.calls for message in self.messages)

    def _content(self, message: PromptMessage, images: Sequence[str]) -> str | list[Any]:
        """Return the text of a message, and its attachments. `images` are the ids of those that are sent as images."""
        text = message.text or message.answer
        return files.content(text, message.attachments, self.files, images) if message.attachments else text

    def options(self) -> dict[str, Any]:
        """Return the options that are sent, by their names in the API."""
        options = {name: value for name, value in self.parameters.items() if name not in self.dialect.refused}
        if self.temperature is not None and self.dialect.temperature:
            options["temperature"] = self.temperature
        if self.dialect.stream_options:
            options["stream_options"] = {"include_usage": True}
        if self.max_tokens is not None and self.limited and self.dialect.limit:
            options[self.dialect.limit] = self.max_tokens
        if self.tools and self.dialect.tools:
            options["tools"] = list(self.tools)
            if not self.may_call and self.dialect.tool_choice:
                options["tool_choice"] = "none"
        return options

    def is_exceeded(self, seen: int, counted: int) -> bool:
        """Return True if an answer has taken more tokens than it may have.

        `seen` is the most tokens that have come, `counted` the server's own count. A server that takes no limit is held
        to what is seen, which is more than there is. One that was told the limit is believed until it counts more.
        """
        if self.max_tokens is None:
            return False
        return counted > self.max_tokens or (self.dialect.limit is None and seen > self.max_tokens)


def may_bill(status: int) -> bool:
    """Return True if a server may have billed a question that it answered with this error.

    It has not if the question was refused or turned away: no answer has begun. After a time-out or an error in the
    middle nobody knows.
    """
    return status in _TIMEOUTS or (status >= _SERVER_ERRORS and status not in _TURNED_AWAY)


def after(request: Request, refusal: Refusal) -> Request | None:
    """Return the request to try after a refusal, None if there is none. Each is smaller, so a series of them ends."""
    if refusal.status not in _STATUSES:
        return None
    if fewer := _with_fewer_images(request, refusal):
        return fewer
    if refusal.is_about_length:
        return _shorter(request, refusal)
    sent, dialect = request.options(), request.dialect
    if "temperature" in sent and refusal.names("temperature"):
        return replace(request, dialect=replace(dialect, temperature=False))
    if "stream_options" in sent and refusal.names("stream_options"):
        return replace(request, dialect=replace(dialect, stream_options=False))
    if dialect.limit is not None and dialect.limit in sent and refusal.names(dialect.limit):
        if _TOO_MANY.search(refusal.text):
            return replace(request, limited=False)
        return replace(request, dialect=replace(dialect, limit=_LIMITS[_LIMITS.index(dialect.limit) + 1]))
    return (
        _about_tools(request, refusal)
        or _plainer(request, refusal)
        or _without_images(request)
        or _without_earlier_calls(request)
    )


def _with_fewer_images(request: Request, refusal: Refusal) -> Request | None:
    """Return a request with as many images as the refusal says that the model takes: often none."""
    images = len(request.images)
    if not images:
        return None
    if most := _MOST_IMAGES.search(refusal.text):
        fewer = min(int(most[1]), images - 1)
    elif _NO_IMAGES.search(refusal.text):
        fewer = 0
    else:
        return None
    return replace(request, dialect=replace(request.dialect, images=fewer))


def _without_images(request: Request) -> Request | None:
    """Return this request without its images, whatever a server has against them: their form, their size, their number.

    They come with each later question of the chat, so a chat with an image that a server refuses would be lost (as in
    github.com/nexu-io/nexu/issues/875). The model reads that they are not shown to it.
    """
    return replace(request, shows_images=False) if request.images else None


def _about_tools(request: Request, refusal: Refusal) -> Request | None:
    sent, dialect = request.options(), request.dialect
    if "tool_choice" in sent and refusal.names("tool_choice"):
        return replace(request, dialect=replace(dialect, tool_choice=False))
    # Once the model has called, it takes tools, and its steps make no sense without them.
    if "tools" in sent and not request.steps and _NO_TOOLS.search(refusal.text):
        return replace(request, dialect=replace(dialect, tools=False))
    called = request.steps or request.has_earlier_calls
    if called and not dialect.reasoning and _WANTS_REASONING.search(refusal.text.replace("`", "")):
        return replace(request, dialect=replace(dialect, reasoning=True))
    if "tools" in sent and not request.repeated and refusal.code == _CALLED_BADLY:
        return replace(request, repeated=True)
    return None


def _plainer(request: Request, refusal: Refusal) -> Request | None:
    """Return a request that asks for less of what an assistant has beside the conversation."""
    dialect = request.dialect
    if request.instructions and dialect.system and _NO_SYSTEM.search(refusal.text):
        return replace(request, dialect=replace(dialect, system=False))
    if named := {name for name in request.parameters if name not in dialect.refused and refusal.names(name)}:
        return replace(request, dialect=replace(dialect, refused=dialect.refused | named))
    return None


def _without_earlier_calls(request: Request) -> Request | None:
    """Return a request without the calls of earlier replies, whatever a server has against them.

    Servers differ in what they demand of calls, and their texts say enough for the conversation to go on: DeepSeek
    wants the reasoning of all earlier ones (api-docs.deepseek.com/guides/thinking_mode), which is not kept.
    """
    return (
        replace(request, dialect=replace(request.dialect, earlier_calls=False)) if request.has_earlier_calls else None
    )


def _shorter(request: Request, refusal: Refusal) -> Request | None:
    """Return a request that needs less room in the context of the model."""
    half = halved(request.messages) if request.halvings < MAX_HALVINGS else None
    limited = request.dialect.limit in request.options()
    # Many servers add the longest reply to the prompt. Without a limit the reply has the room that is left, which is
    # less than the limit was.
    if limited and (half is None or _OF_THE_REPLY.search(refusal.text)):
        return replace(request, limited=False)
    if half:
        return replace(request, messages=half, halvings=request.halvings + 1)
    if (shorter := files.shortened(request.files, SHORTENED_FILE_CHARS)) != request.files:
        return replace(request, files=shorter)
    steps = shortened(request.steps, PROMPT_RESULT_CHARS)
    return replace(request, steps=steps) if steps != request.steps else _without_images(request)


def _texts(body: object, depth: int = 0) -> Iterator[str]:
    """Yield the texts in a body. Pydantic's `input` is left out: it is what we had sent."""
    parts: Iterable[object] = ()
    if isinstance(body, str):
        nested = _parsed(body)
        if nested is None:
            yield body
        parts = [nested]
    elif isinstance(body, Mapping):
        parts = [value for name, value in body.items() if name != "input"]
    elif isinstance(body, list):
        parts = body
    if depth < _MAX_DEPTH:
        for part in parts:
            yield from _texts(part, depth + 1)


def _parsed(text: str) -> object | None:
    """Return the JSON object or list in a text: proxies pass on another server's answer as a text."""
    try:
        return json.loads(text) if text.lstrip().startswith(("{", "[")) else None
    except (ValueError, RecursionError):
        return None


def _label(value: object) -> str:
    """Return a provider's label. Empty for anything else, such as a sentence, which may quote a message."""
    return str(value) if isinstance(value, str | int) and _LABEL.fullmatch(str(value)) else ""
