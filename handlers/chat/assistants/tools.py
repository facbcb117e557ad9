"""Tool: a plain function that the model of an assistant may call, and what the function is told beside its arguments.

Each function that lists assistants loads their files at its start, so nothing here makes a schema: only the worker
needs one (`handlers.chat.replies.schemas`).
"""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, overload

from aws_lambda_powertools import Logger

from handlers.chat.log import logger

MAX_TOOLS = 128
"""OpenAI takes so many in one request (API reference, "Create chat completion", `tools`)."""

MAX_TIMEOUT_SECONDS = 240
DEFAULT_TIMEOUT_SECONDS = 30

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""OpenAI's rule for the names of functions. Other servers have the same one."""

_SCATTERED: dict[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}

ToolFunction = Callable[..., Any]


class ToolError(Exception):
    """A failure whose text the model reads: a tool raises it to refuse a call, or to say what is to be corrected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """The circumstances of one call. A tool with a parameter of this type gets it; the model does not see it.

    - `user_id`, `chat_id`: for whom the tool is called, and where.
    - `call_id`: names this call. If the worker dies inside the tool, the call is made again with the same id, so a tool
      with an effect uses it as the key of its idempotency.
    - `remaining`: returns the seconds that the tool still has.
    - `log`: the log. Its lines say which tool and which call they are of.
    - `cancelled`: set as soon as nobody waits for the result any more. A tool that takes long looks at it.
    """

    user_id: str
    chat_id: str
    call_id: str
    remaining: Callable[[], float]
    log: Logger = logger
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool. `name` and `description` are what the model is told, `timeout` is in seconds.

    With `needs_approval` it does not run before the user has agreed. To call it calls its function.
    """

    function: ToolFunction
    name: str
    description: str = ""
    needs_approval: bool = False
    timeout: float = DEFAULT_TIMEOUT_SECONDS

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as it was written."""
        return self.function(*args, **kwargs)

    @property
    def place(self) -> str:
        """The tool and its file, for messages to its developer."""
        module = getattr(_inner(self.function), "__module__", None) or "?"
        return f"tool {self.name} in {module.replace('.', '/')}.py"

    @property
    def parameters(self) -> tuple[inspect.Parameter, ...]:
        """The parameters that the model gives values for. Raises `ValueError` if one cannot be such a parameter."""
        return tuple(parameter for parameter in self._parameters() if not takes_context(parameter))

    @property
    def context_parameter(self) -> str | None:
        """The name of the parameter for the context, None if the function has none."""
        return next((parameter.name for parameter in self._parameters() if takes_context(parameter)), None)

    def _parameters(self) -> list[inspect.Parameter]:
        function = self.function
        try:
            signature = inspect.signature(function, eval_str=True)
        except NameError as error:
            raise ValueError(f"{self.place}: a type is unknown: {error}; import it where the tool is loaded") from None
        except (TypeError, ValueError, SyntaxError, AttributeError) as error:
            raise ValueError(f"{self.place}: its parameters cannot be read: {error}") from None
        # What `functools.partial` has set is no choice of the model.
        bound = function.keywords if isinstance(function, functools.partial) else {}
        return [parameter for name, parameter in signature.parameters.items() if name not in bound]


def takes_context(parameter: inspect.Parameter) -> bool:
    """Return True if a parameter is for the context, which may be optional for the function's other callers."""
    return ToolContext in (parameter.annotation, *get_args(parameter.annotation))


@overload
def tool(function: ToolFunction | Tool, /) -> Tool: ...


@overload
def tool(
    *,
    name: str = "",
    description: str = "",
    needs_approval: bool = False,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> Callable[[ToolFunction], Tool]: ...


def tool(
    function: ToolFunction | Tool | None = None,
    /,
    *,
    name: str = "",
    description: str = "",
    needs_approval: bool = False,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> Tool | Callable[[ToolFunction], Tool]:
    """Make a tool of a function: `@tool`, `@tool(needs_approval=True, timeout=60)`, or `tool(name="…")(function)`.

    The name and the description are the function's own, the description its docstring, unless others are given.
    """

    def made(function: ToolFunction) -> Tool:
        own = inspect.getdoc(_inner(function)) if not isinstance(function, functools.partial) else None
        return Tool(
            function=function,
            name=name or getattr(function, "__name__", ""),
            description=description or own or "",
            needs_approval=needs_approval,
            timeout=timeout,
        )

    if function is None:
        return made
    return function if isinstance(function, Tool) else made(function)


def check_tools(tools: object) -> None:
    """Raise `ValueError` for tools that cannot be used. The text names the function and the parameter."""
    if not isinstance(tools, Sequence) or isinstance(tools, str):
        raise ValueError("tools is no tuple; set it to a tuple of functions, such as (weather, cancel_order)")
    if len(tools) > MAX_TOOLS:
        raise ValueError(f"tools has {len(tools)} tools; set it to {MAX_TOOLS} at most")
    names = set[str]()
    for each in tools:
        if not callable(each):
            raise ValueError(f"tools has {each!r:.80}, which is no function")
        checked = tool(each)
        _check(checked)
        if checked.name in names:
            raise ValueError(f"tools has two tools {checked.name}; give one of them another name: @tool(name='…')")
        names.add(checked.name)


def _check(each: Tool) -> None:
    if not _NAME.fullmatch(each.name):
        raise ValueError(f"{each.place}: {each.name!r} cannot be its name; use a to z, 0 to 9, _ and -, 64 at most")
    seconds: object = each.timeout
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise ValueError(f"{each.place}: timeout is {seconds!r}; set it to seconds, {MAX_TIMEOUT_SECONDS} at most")
    if inspect.isgeneratorfunction(_inner(each.function)) or inspect.isasyncgenfunction(_inner(each.function)):
        raise ValueError(f"{each.place}: it yields its results; let it return them")
    for parameter in each.parameters:
        if mark := _SCATTERED.get(parameter.kind):
            raise ValueError(f"{each.place}: {mark}{parameter.name} has no names for the model; name each parameter")
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise ValueError(f"{each.place}: parameter {parameter.name} has no name for callers; take out the /")
        if parameter.annotation is inspect.Parameter.empty:
            raise ValueError(
                f"{each.place}: parameter {parameter.name} has no type; write one, such as {parameter.name}: str"
            )


def _inner(function: ToolFunction) -> Any:
    """Return the function that was written, inside partials and decorators."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function)
