"""Hooks: functions of an assistant's file that see what users say before the model does, and its texts before users.

Each function that lists assistants loads their files at its start, so nothing here runs one: only the worker does
(`handlers.chat.replies.hooks`).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aws_lambda_powertools import Logger

from handlers.chat.log import logger

Hook = Callable[..., str | Awaitable[str]]
"""Takes a text, and a `HookContext` if it has a second parameter. Returns the text to use, or raises `Refusal`."""

DEFAULT_WINDOW = 200
MAX_WINDOW = 10_000

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Refusal(Exception):
    """A refusal, which a hook raises so that a text is not used. The user reads its text, or ours if it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookContext:
    """The circumstances of a hook: whose chat it is, the seconds that the hook has (`remaining`), and the log."""

    user_id: str
    chat_id: str
    remaining: Callable[[], float]
    log: Logger = logger


def check_hook(hook: object, name: str) -> None:
    """Raise `ValueError` for a hook that cannot be called."""
    if not callable(hook):
        raise ValueError(f"{name} is of the type {type(hook).__name__}; set it to a function, or leave it out")
    if inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        raise ValueError(f"{name} yields its texts; let it return one")
    try:
        signature = inspect.signature(hook)
        signature.bind(*["text", "context"][: 1 + takes_context(hook)])
    except (TypeError, ValueError):
        raise ValueError(f"{name} must take a text, or a text and a HookContext") from None


def takes_context(hook: Hook) -> bool:
    """Return True if a hook has a second parameter for the context: one without a default, or of its type."""
    parameters = [each for each in inspect.signature(hook).parameters.values() if each.kind in _BY_PLACE]
    return any(
        each.default is inspect.Parameter.empty or each.annotation in (HookContext, HookContext.__name__)
        for each in parameters[1:2]
    )
