"""Requests of OpenAI's chat completions: read, and refused for what OpenAI refuses too. No I/O."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from parley.llm.answers import PromptMessage
from parley.llm.tool_calls import Call

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class BadRequestError(Exception):
    """A request that cannot be answered. `param` names the wrong field, if there is one."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """The fields of a request that matter here. `max_tokens` is None if the answer may have any length.

    `may_call`: it has tools, and does not say that none may be called.
    """

    model: str
    messages: tuple[PromptMessage, ...]
    stream: bool
    include_usage: bool
    max_tokens: int | None
    may_call: bool = False


def parse(body: bytes, default_model: str) -> CompletionRequest:
    """Parse the body of a request. Raises BadRequestError for what OpenAI refuses too."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestError("The body of the request is not JSON.") from None
    if not isinstance(fields, dict):
        raise BadRequestError("The body of the request is not a JSON object.")
    options = fields.get("stream_options")
    return CompletionRequest(
        model=str(fields.get("model") or default_model),
        messages=_messages(fields.get("messages")),
        stream=bool(fields.get("stream")),
        include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
        max_tokens=_max_tokens(fields),
        may_call=_may_call(fields),
    )


def _messages(value: object) -> tuple[PromptMessage, ...]:
    if not isinstance(value, list) or not value:
        raise BadRequestError("'messages' must be a list of at least one message.", "messages")
    messages = tuple(_message(item, f"messages[{number}]") for number, item in enumerate(value))
    _check_results(messages)
    return messages


def _check_results(messages: tuple[PromptMessage, ...]) -> None:
    """Raise BadRequestError as OpenAI does, unless each call has one result, and each result a call before it."""
    missing: list[str] = []
    for number, message in enumerate(messages):
        if message.role == "tool":
            if message.call_id not in missing:
                raise BadRequestError(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with"
                    " 'tool_calls'.",
                    f"messages[{number}].role",
                )
            missing.remove(message.call_id)
            continue
        if missing:
            break
        missing = [call.id for call in message.calls]
    if missing:
        raise BadRequestError(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            f" 'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(missing)}",
            "messages",
        )


def _message(value: object, param: str) -> PromptMessage:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        raise BadRequestError(f"'{param}' must be an object with a role.", param)
    text = _text(value.get("content"), f"{param}.content")
    images = tuple(_images(value.get("content")))
    call_id = value.get("tool_call_id")
    called = _calls(value.get("tool_calls"), f"{param}.tool_calls")
    return PromptMessage(value["role"], text, called, call_id if isinstance(call_id, str) else "", images)


def _calls(value: object, param: str) -> tuple[Call, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        raise BadRequestError(f"'{param}' must be a list of at least one call.", param)
    return tuple(_call(item, f"{param}[{number}]") for number, item in enumerate(value))


def _call(value: object, param: str) -> Call:
    function = value.get("function") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(value.get("id"), str) or not isinstance(function, dict):
        raise BadRequestError(f"'{param}' must be an object with an id and a function.", param)
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(arguments, str):
        raise BadRequestError(f"'{param}.function' must have a name and arguments as a string.", f"{param}.function")
    return Call(name, arguments, value["id"])


def _may_call(fields: dict[str, Any]) -> bool:
    tools, choice = fields.get("tools"), fields.get("tool_choice")
    if tools is None and choice is not None:
        raise BadRequestError("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    if tools is None:
        return False
    if not isinstance(tools, list) or not tools:
        raise BadRequestError("'tools' must be a list of at least one tool.", "tools")
    for number, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BadRequestError("A function has a name of a-z, A-Z, 0-9, _ and -.", f"tools[{number}].function.name")
    return choice != "none"


def _text(content: object, param: str) -> str:
    """Return a content as text: a string, the parts of a list, or none (as next to a tool call)."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadRequestError(f"'{param}' must be a string or a list of parts.", param)
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def _images(content: object) -> Iterator[str]:
    """Yield the type and the size of each image of a content. What is none is left out."""
    for part in content if isinstance(content, list) else ():
        image = part.get("image_url") if isinstance(part, dict) else None
        url = image.get("url") if isinstance(image, dict) else None
        kind, found, data = str(url).removeprefix("data:").partition(";base64,")
        try:
            size = len(b64decode(data, validate=True)) if found and kind.startswith("image/") else 0
        except ValueError:
            size = 0
        if size:
            yield f"{kind}, {size} bytes"


def _max_tokens(fields: dict[str, Any]) -> int | None:
    for param in ("max_completion_tokens", "max_tokens"):
        value = fields.get(param)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise BadRequestError(f"'{param}' must be a whole number of at least 1.", param)
        return value
    return None
