"""Assistant: who answers in a chat, and how its model is asked. Plain values that are checked when they are given.

Each function that lists or looks up assistants loads their files at its start, so this module loads no library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from handlers.chat.assistants.agents import Reply, check_reply
from handlers.chat.assistants.hooks import MAX_WINDOW, Hook, check_hook
from handlers.chat.assistants.tools import Tool, ToolFunction, check_tools, tool
from handlers.chat.records import Chat, User

MAX_TITLE_CHARS = 100
MAX_STARTERS = 10
MAX_STARTER_CHARS = 300
MAX_INSTRUCTIONS_CHARS = 100_000

DEFAULT_STEPS = 8
MAX_STEPS = 32
"""The parts of a reply have 48 KB together: of many more steps little would be kept."""

OWN_FIELDS = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "n", "tools", "tool_choice"),
        *("temperature", "max_tokens", "max_completion_tokens"),
    }
)
"""The fields of a request that `parameters` must not have: the worker sets them itself, or cannot use their answers."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")

Instructions = Callable[[User, Chat], str | Awaitable[str]]
"""Makes the instructions of one turn, for its user and its chat as they are stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assistant:
    """An assistant. A number or a name that is None is the deployment's. Raises `ValueError` for what cannot be used.

    - `title`: its name for people; one text, or one for each language.
    - `instructions`: the text that the model gets before the conversation, or the function that makes it.
    - `model`: the name of the model, as its server knows it.
    - `temperature`, `max_completion_tokens`: OpenAI's.
    - `parameters`: more fields of the request to the model's server, by their names there.
    - `max_steps`: the most answers with calls in one reply, before the model has to answer without.
    - `tools`: functions that the model may call, as they are or made with `tool`.
    - `reply`: an own agent, which makes the replies in place of a model.
    - `on_question`: sees each text of the user before the model does. It returns the text to ask with, or refuses.
    - `on_answer`: sees the text of replies before users do. It returns the text to show, or ends the reply.
    - `answer_window`: the longest text, in characters, that `on_answer` is sure to see in one piece.
    - `starters`: questions that a user may begin with.
    - `history_chars`: the length of the longest prompt, in characters, without the instructions.
    - `id`: the name of its file. The registry sets it.
    """

    title: str | Mapping[str, str] = ""
    instructions: str | Instructions = ""
    model: str | None = None
    temperature: float | None = None
    max_completion_tokens: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[Tool | ToolFunction, ...] = ()
    max_steps: int = DEFAULT_STEPS
    reply: Reply | None = None
    on_question: Hook | None = None
    on_answer: Hook | None = None
    answer_window: int | None = None
    starters: tuple[str, ...] = ()
    history_chars: int | None = None
    id: str = ""

    def __post_init__(self) -> None:
        titles = self.title.values() if isinstance(self.title, Mapping) else [self.title]
        for title in titles:
            _check_line(title, "title", MAX_TITLE_CHARS)
        _check_starters(self.starters)
        if not callable(self.instructions):
            check_instructions(self.instructions)
        _check_model(self.model)
        _check_number(self.temperature, "temperature", 0, 2)
        _check_number(self.max_completion_tokens, "max_completion_tokens", 1, 1_000_000, whole=True)
        _check_number(self.history_chars, "history_chars", 1, 10_000_000, whole=True)
        _check_parameters(self.parameters)
        check_tools(self.tools)
        _check_number(self.max_steps, "max_steps", 1, MAX_STEPS, whole=True)
        if self.reply is not None:
            check_reply(self.reply)
            _check_unused(self)
        for name, hook in (("on_question", self.on_question), ("on_answer", self.on_answer)):
            if hook is not None:
                check_hook(hook, name)
        _check_number(self.answer_window, "answer_window", 1, MAX_WINDOW, whole=True)

    @property
    def own_tools(self) -> tuple[Tool, ...]:
        """The tools, those too that were given as plain functions."""
        return tuple(map(tool, self.tools))

    def title_in(self, language: str) -> str:
        """Return the title in a language (`en`). If there is none, it is the first one given, or else the id."""
        if isinstance(self.title, str):
            return self.title or self.id
        return self.title.get(language) or next(filter(None, self.title.values()), self.id)


def _check_unused(assistant: Assistant) -> None:
    """Raise `ValueError` for a field that nobody would read, because an own agent asks its model itself."""
    for name in ("temperature", "parameters", "tools"):
        if getattr(assistant, name) not in (None, {}, (), []):
            raise ValueError(f"{name} is for the model that `reply` takes the place of; use it in `reply` instead")


def check_instructions(text: object) -> str:
    """Return the instructions for a model. Raises `ValueError` for anything but a text that can be sent."""
    if not isinstance(text, str):
        raise ValueError(f"instructions is of the type {type(text).__name__}; it must be a text")
    if len(text) > MAX_INSTRUCTIONS_CHARS:
        raise ValueError(f"instructions has {len(text)} characters; {MAX_INSTRUCTIONS_CHARS} are the most")
    _check_encodable(text, "instructions")
    return text


def _check_starters(starters: object) -> None:
    if not isinstance(starters, tuple | list):
        raise ValueError("starters is no tuple; set it to a tuple of texts, such as ('What can you do?',)")
    if len(starters) > MAX_STARTERS:
        raise ValueError(f"starters has {len(starters)} texts; set it to {MAX_STARTERS} at most")
    for starter in starters:
        _check_line(starter, "starters", MAX_STARTER_CHARS)


def _check_model(model: object) -> None:
    if model is not None and not (isinstance(model, str) and model.strip()):
        raise ValueError(f"model is {model!r}; set it to the name of a model, or leave it out")


def _check_line(text: object, name: str, most: int) -> None:
    if not isinstance(text, str) or len(text) > most or _CONTROLS.search(text):
        raise ValueError(f"{name} has {text!r:.80}; use a text of one line, of {most} characters at most")
    _check_encodable(text, name)


def _check_encodable(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} has half of a surrogate pair, which cannot be sent") from None


def _check_number(value: object, name: str, low: int, high: int, *, whole: bool = False) -> None:
    kinds = int if whole else int | float
    if value is not None and (isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{name} is {value!r}; set it to {kind} from {low} to {high}, or leave it out")


def _check_parameters(parameters: object) -> None:
    if not isinstance(parameters, Mapping):
        raise ValueError("parameters is no mapping; set it to one, such as {'top_p': 0.9}")
    if own := OWN_FIELDS & parameters.keys():
        raise ValueError(f"parameters has {', '.join(sorted(own))}, which the worker sets itself; take it out")
    try:
        json.dumps(dict(parameters), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"parameters cannot be sent as JSON: {error}") from None
