"""Options that several commands share, and the end of a command that cannot go on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click

from parley.errors import StartError

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def options(*decorators: Decorator) -> Decorator:
    """Return a decorator that adds options to a command, in this order."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(decorators):
            command = option(command)
        return command

    return decorate


def pairs(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Return options of the form NAME=VALUE as a dictionary."""
    found = [each.partition("=") for each in given]
    for name, equals, _ in found:
        if not name or not equals:
            raise click.BadParameter(f"{name!r} is not of the form NAME=VALUE.", context, option)
    return {name: value for name, _, value in found}


def explained(command: Callable[..., None]) -> Callable[..., None]:
    """Print the `StartError` of a command as one message, and exit with 1."""

    @wraps(command)
    def run(**arguments: Any) -> None:
        try:
            command(**arguments)
        except StartError as error:
            fail(error)

    return run


def fail(error: StartError) -> NoReturn:
    """Print an error as one message, and exit with 1."""
    click.echo(printable_lines(f"parley: {error}"), err=True)
    sys.exit(1)


def printable(text: str) -> str:
    """Return a text without control characters but tabs: it comes from outside, and a terminal would obey them."""
    if text.replace("\t", "").isprintable():
        return text
    return "".join(character if character.isprintable() or character == "\t" else "�" for character in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines, each without control characters."""
    return "\n".join(map(printable, text.split("\n")))
