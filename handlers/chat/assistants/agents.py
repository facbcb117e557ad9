"""Own agents: what a developer's function is told of its turn, and what it yields in place of a model.

Each function that lists assistants loads their files at its start, so this module loads no library. The worker runs
agents (`handlers.chat.replies.agents`).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

from aws_lambda_powertools import Logger

from handlers.chat.assistants.tools import Tool, ToolContext, ToolError, ToolFunction, tool
from handlers.chat.log import logger
from handlers.chat.records import FinishReason, PartState, Usage

MAX_COUNT = 10**9
"""Tokens of one report. A larger count is a mistake, and the database could not hold any number."""

REASONS = (FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTENT_FILTER)
"""The reasons that an agent may give for the end of its reply. The others are the worker's to give."""

STATES = (PartState.RUNNING, PartState.DONE, PartState.ERROR, PartState.CANCELLED)
"""The states that an agent's call may have. It cannot wait for an approval."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source that a reply rests on: its address, perhaps its title, and what it says."""

    url: str
    title: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        _check_texts(self, "url", "title", "text")
        if not self.url:
            raise ValueError("Source has no url; give it one")


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool that an agent makes itself, as users see it. `id` names it in the reply.

    `arguments` are a text, or what JSON can say. Yield the call again with the same id when its state is another.
    """

    id: str
    name: str
    arguments: str | Mapping[str, Any] = ""
    state: PartState | str = PartState.RUNNING
    result: str | None = None

    def __post_init__(self) -> None:
        _check_texts(self, "id", "name")
        if not self.id or not self.name:
            raise ValueError("Call has no id or no name; give it both")
        if self.state not in STATES:
            raise ValueError(f"Call has the state {self.state!r}; use one of: {', '.join(STATES)}")
        if self.result is not None:
            _check_texts(self, "result")
        if not isinstance(self.arguments, str):
            self.arguments_text  # noqa: B018 - raises what is wrong with them

    @property
    def arguments_text(self) -> str:
        """The arguments as a text."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message of the chat: `role` is `user` or `assistant`. A reply may have `calls`, each with its result."""

    role: str
    text: str
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a reply: text, or one of the other things that a reply has. An agent yields them as they come.

    - `text`: the next piece of the text.
    - `reasoning`: the next piece of what the agent thinks. Users see it if the operator lets them.
    - `refusal`: the next piece of the reason why the agent does not answer.
    - `source`, `call`: shown beside the text, at the place where it is by now.
    - `usage`: tokens that a model has taken. They are added up.
    - `finish_reason`: `length` or `content_filter` if the reply has ended before its end. Else it is `stop`.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    source: Source | None = None
    call: Call | None = None
    usage: Usage | None = None
    finish_reason: FinishReason | str | None = None

    def __post_init__(self) -> None:
        _check_texts(self, "text", "reasoning", "refusal")
        for name, kind in (("source", Source), ("call", Call), ("usage", Usage)):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"Delta has a {name} of the type {type(value).__name__}; give it a {kind.__name__}")
        if self.usage is not None:
            check_usage(self.usage)
        if self.finish_reason is not None and self.finish_reason not in REASONS:
            raise ValueError(f"Delta has the finish_reason {self.finish_reason!r}; use one of: {', '.join(REASONS)}")


async def _not_kept(name: str, function: Callable[[], Any]) -> Any:
    value = function()
    return await value if inspect.isawaitable(value) else value


async def _as_it_is(variable: str) -> str:
    return os.environ.get(variable, "")


def _not_counted(usage: Usage) -> None:
    pass


def _not_shown(said: Delta | str) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The turn that an agent replies to. A test makes one of its own, with the fields that it needs.

    - `user_id`, `chat_id`: to whom the agent replies, and where.
    - `message_id`: the id of the reply. It is the same if another worker takes the turn over, so it is the key of
      idempotency for what the agent does outside of its steps.
    - `attempt`: the number of this try, from 1.
    - `messages`: the conversation as a model would be asked with it, oldest first. The last one is the user's.
    - `instructions`: those of the assistant, for this user and this chat.
    - `remaining`: returns the seconds until the reply is ended.
    - `cancelled`: set as soon as nobody waits for the reply any more. What runs in threads looks at it.
    - `log`: the log. Its lines say which reply they are of.
    """

    user_id: str = ""
    chat_id: str = ""
    message_id: str = ""
    attempt: int = 1
    messages: tuple[ChatMessage, ...] = ()
    instructions: str = ""
    remaining: Callable[[], float] = lambda: 900.0
    cancelled: threading.Event = field(default_factory=threading.Event)
    log: Logger = logger
    counts: Counter[str] = field(default_factory=Counter, repr=False)
    run_step: Callable[[str, Callable[[], Any]], Awaitable[Any]] = field(default=_not_kept, repr=False)
    read_secret: Callable[[str], Awaitable[str]] = field(default=_as_it_is, repr=False)
    take_usage: Callable[[Usage], None] = field(default=_not_counted, repr=False)
    take_delta: Callable[[Delta | str], object] = field(default=_not_shown, repr=False)

    @property
    def question(self) -> str:
        """The newest message of the user."""
        return self.messages[-1].text if self.messages else ""

    async def step(self, name: str, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        """Do something once in this turn, and return its result, also to workers that take the turn over.

        The function may be a coroutine function; any other runs in a thread of its own. Its result is stored before it
        is returned, as JSON: a tuple comes back as a list. Steps may come in any order, and side by side. The second
        step of a name is another one than the first. What the function raises is raised here, and nothing is stored.
        """
        return await self.run_step(name, partial(function, *arguments, **named))

    async def call(self, function: Tool | ToolFunction, /, **arguments: Any) -> Any:
        """Call one of your tools as a step, show users the call and its result, and return the result.

        The step is that of the tool with these arguments: another attempt may call its tools in another order. What the
        tool raises is raised here, and `TimeoutError` after its `timeout`. Raises `ToolError` for a tool that needs the
        user's approval: nobody can be asked for it.
        """
        # Not at the top: three functions load this module that have no event loop.
        import asyncio

        made = tool(function)
        if made.needs_approval:
            raise ToolError(f"{made.name} needs the user's approval, and nobody can be asked for it.")
        text = json.dumps(arguments, ensure_ascii=False, default=str)
        step = f"{made.name[:40]}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"
        self.counts[step] += 1
        shown = Call(f"{step}-{self.counts[step]}", made.name, text)
        self.show(Delta(call=shown))
        if (context := made.context_parameter) is not None:
            arguments[context] = self._context(shown.id, made.timeout)
        try:
            result = await asyncio.wait_for(self.step(step, made.function, **arguments), made.timeout)
        except Exception:
            self.show(Delta(call=replace(shown, state=PartState.ERROR)))
            raise
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        self.show(Delta(call=replace(shown, state=PartState.DONE, result=text)))
        return result

    def _context(self, call: str, timeout: float) -> ToolContext:
        return ToolContext(
            user_id=self.user_id,
            chat_id=self.chat_id,
            call_id=f"{self.message_id}-{call}",
            remaining=lambda: min(timeout, self.remaining()),
            log=self.log,
            cancelled=self.cancelled,
        )

    def show(self, delta: Delta | str) -> None:
        """Say something from elsewhere than `reply`: from a callback of a framework, or from a thread.

        It comes after what `reply` has yielded by now.
        """
        self.take_delta(delta)

    async def secret(self, variable: str) -> str:
        """Return the secret of a variable, such as `OPENAI_API_KEY`, also if the variable only names its place.

        It is empty if the function has no such variable.
        """
        return await self.read_secret(variable)

    def report(self, prompt_tokens: int = 0, completion_tokens: int = 0) -> None:
        """Add tokens that a model has taken to the usage of the reply, and to what the user has used of the day's."""
        self.take_usage(check_usage(Usage(prompt_tokens, completion_tokens)))


Reply = Callable[[Turn], AsyncIterator[Delta | str]]
"""An own agent: makes the reply to a turn. A text that it yields is a `Delta` with that text."""


def check_usage(usage: Usage) -> Usage:
    """Return a usage with counts that can be. Raises `ValueError` for any other."""
    for count in (usage.prompt_tokens, usage.completion_tokens):
        if type(count) is not int or not 0 <= count <= MAX_COUNT:
            raise ValueError(f"usage has the count {count!r}; give it whole numbers from 0 to {MAX_COUNT}")
    return usage


def check_reply(reply: object) -> None:
    """Raise `ValueError` for what cannot be an own agent. The text says what to write instead."""
    if not callable(reply):
        raise ValueError(f"reply is of the type {type(reply).__name__}; set it to `async def reply(turn)` that yields")
    inner: Any = reply
    while isinstance(inner, partial):
        inner = inner.func
    if not inspect.isfunction(inner) and not inspect.ismethod(inner):
        inner = getattr(inner, "__call__", inner)  # noqa: B004 - the method of an object that can be called
    if inspect.iscoroutinefunction(inner):
        raise ValueError("reply returns its answer; let it yield the answer in pieces: `yield Delta(text)`")
    if inspect.isgeneratorfunction(inner):
        raise ValueError("reply is no coroutine; write `async def reply(turn)`")
    try:
        inspect.signature(cast(Callable[..., Any], reply)).bind(None)
    except (TypeError, ValueError) as error:
        raise ValueError(f"reply cannot be called with the turn alone ({error}); write `reply(turn)`") from None


def _check_texts(value: object, *names: str) -> None:
    for name in names:
        if not isinstance(text := getattr(value, name), str):
            kind = type(value).__name__
            raise TypeError(f"{kind} has a {name} of the type {type(text).__name__}; give it a text")
