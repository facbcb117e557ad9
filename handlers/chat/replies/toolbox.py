"""Toolbox: the tools of one assistant, as its model is told of them, and the check of what the model asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handlers.chat.assistants import Assistant, Tool
from handlers.chat.log import logger
from handlers.chat.replies.schemas import Schema
from handlers.chat.replies.tool_calls import WrongCall

MAX_ARGUMENTS_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Prepared:
    """A tool, and the checked arguments of one call."""

    tool: Tool
    arguments: Mapping[str, Any]


class Toolbox:
    """The tools of an assistant. Raises `ValueError` for one that cannot be described to a model.

    `schemas` are the tools in OpenAI's words, as a request has them.
    """

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools = {tool.name: (tool, Schema(tool)) for tool in tools}
        self.schemas: Sequence[Mapping[str, Any]] = tuple(
            {"type": "function", "function": schema.function} for _, schema in self._tools.values()
        )

    def needs_approval(self, name: str, arguments: str) -> bool:
        """Return True if the user has to agree before this call is made. Nobody is asked for one that cannot be."""
        if name not in self._tools or not self._tools[name][0].needs_approval:
            return False
        try:
            self.prepare(name, arguments)
        except WrongCall:
            return False
        return True

    def prepare(self, name: str, arguments: str) -> Prepared:
        """Return a call that can be made. `arguments` is the model's JSON. Raises `WrongCall`."""
        if name not in self._tools:
            known = ", ".join(self._tools) or "none"
            raise WrongCall(f"There is no tool {name!r:.80}. The tools are: {known}.")
        tool, schema = self._tools[name]
        if len(arguments.encode()) > MAX_ARGUMENTS_BYTES:
            raise WrongCall(f"The arguments of {name} are too long: {MAX_ARGUMENTS_BYTES} bytes are the most.")
        try:
            return Prepared(tool, schema.arguments(arguments))
        except WrongCall as wrong:
            raise WrongCall(f"The arguments of {name} cannot be used. {wrong}.") from None
        except Exception as error:
            # A type of the developer's has its own checks.
            logger.warning("tool_arguments_not_checked", tool=name, error=type(error).__name__)
            raise WrongCall(f"The arguments of {name} cannot be used.") from None


def toolboxes(assistants: Iterable[Assistant]) -> Mapping[str, Toolbox]:
    """Return the toolboxes of assistants by their ids. One with a tool that cannot be used is logged, and left out.

    It is called when the worker starts, where Lambda gives more CPU.
    """
    found: dict[str, Toolbox] = {}
    for assistant in assistants:
        try:
            found[assistant.id] = Toolbox(assistant.own_tools)
        except ValueError as error:
            logger.error("tools_broken", assistant=assistant.id, problem=str(error))
    return found
