"""`parley dlq`: the dead-letter queues of a stack in the terminal."""

from __future__ import annotations

import click

from parley.cli.options import printable
from parley.errors import StartError
from parley.operations import dead_letters, stack
from parley.operations.access import Access
from parley.operations.dead_letters import DeadLetters

_ORIGIN = "the queue that they came from"


def show(stack_name: str, queue: str | None, limit: int) -> None:
    """Print the contents of the queues. Raises `StartError`."""
    access, queues = _found(stack_name, queue)
    for each in queues:
        contents = dead_letters.look(access, each, limit)
        click.echo(f"{each.name:<12}{contents.count}")
        for letter in contents.letters:
            click.echo(printable(f"  {letter.id}  {dead_letters.ids_in(letter)}  {letter.error}".rstrip()))


def plan(stack_name: str, queue: str | None) -> None:
    """Print what `send_back` would do. Raises `StartError`."""
    access, queues = _found(stack_name, queue)
    for each in queues:
        count = dead_letters.look(access, each, 0).count
        click.echo(f"{each.name:<12}{count} would go to {each.function or _ORIGIN}")


def send_back(stack_name: str, queue: str | None) -> None:
    """Send the events of the queues back. Raises `StartError` if some stay."""
    access, queues = _found(stack_name, queue)
    staying = 0
    for each in queues:
        if each.function is None:
            click.echo(f"{each.name:<12}{dead_letters.move_back(access, each)} move to {_ORIGIN}")
        else:
            staying += _send_back(access, each, each.function)
    if staying:
        raise StartError(f"{staying} events are still in their queues. Run this again when the cause is mended.")


def _send_back(access: Access, queue: DeadLetters, function: str) -> int:
    """Send the events of a queue to its function. Return the number of those that it did not accept."""
    sent, staying = 0, []
    try:
        for outcome in dead_letters.send_back(access, queue, function):
            if outcome.problem:
                staying.append(outcome)
            else:
                sent += 1
    finally:  # what was sent is said, whatever ends it
        click.echo(f"{queue.name:<12}{sent} sent to {function}")
        for each in staying:
            click.echo(printable(f"  {each.letter.id}  stays: {each.problem}"))
    return len(staying)


def _found(stack_name: str, queue: str | None) -> tuple[Access, list[DeadLetters]]:
    access = Access.found()
    return access, dead_letters.queues(stack.get(access, stack_name), queue)
