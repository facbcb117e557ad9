"""The commands that look inside a running emulator: `parley trace`, `logs`, `replay`, `save`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parley.cli.options import Decorator, explained, options, printable, printable_lines
from parley.errors import StartError

if TYPE_CHECKING:
    from parley.cli.watching import Watched

_PORT_OPTION: Decorator = click.option(
    "--port", default=8000, envvar="PORT", show_envvar=True, help="Port of the emulator."
)
_FILTER_OPTIONS: Decorator = options(
    click.option("--connection", default="", metavar="ID", help="Only what is about this connection."),
    click.option("--function", default="", metavar="NAME", help="Only what is about this function, or called by it."),
    click.option("--errors", is_flag=True, help="Only what went wrong."),
)
_MOST_SHOWN = 2_000
"""Characters of a payload that `parley trace --payloads` prints."""


def _emulator(port: int) -> Watched:
    from parley.cli.watching import Watched

    return Watched(port)


def _wanted(connection: str, function: str, errors: bool, **more: str) -> dict[str, str]:
    asked = {"connection": connection, "function": function, "error": "1" if errors else "", **more}
    return {name: value for name, value in asked.items() if value}


@click.command()
@_FILTER_OPTIONS
@click.option("--kind", default="", metavar="KIND,…", help="Only events of these kinds, such as `start,end,post`.")
@click.option("--payloads", is_flag=True, help="Also print the events, answers and posts, if they are recorded.")
@click.option("--once", is_flag=True, help="Print what is there, and end.")
@click.option("--json", "machine", is_flag=True, help="Print each event as a line of JSON.")
@_PORT_OPTION
@explained
def trace(
    connection: str, function: str, errors: bool, kind: str, payloads: bool, once: bool, machine: bool, port: int
) -> None:
    """Print what happens in the emulator, live: connections, invocations, posts, calls, errors.

    The number of a line is for `parley replay` and `parley save`. With `parley up --record` payloads are there too.
    """
    emulator = _emulator(port)
    wanted = _wanted(connection, function, errors, kind=kind, payloads="1" if payloads else "")
    if payloads and not emulator.is_recording():
        click.echo("Payloads are not recorded: start the emulator with --record.", err=True)
    write = _write_json if machine else _lines(payloads)
    for event in _events(emulator, wanted, follows=not once):
        write(event)


@click.command()
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on with each line that comes.")
@_FILTER_OPTIONS
@_PORT_OPTION
@explained
def logs(follows: bool, connection: str, function: str, errors: bool, port: int) -> None:
    """Print the lines that functions have logged."""
    from parley.cli.log import Log
    from parley.cli.watching import as_trace_event

    log = Log(sys.stdout)
    for event in _events(_emulator(port), _wanted(connection, function, errors, kind="log"), follows=follows):
        log.write(as_trace_event(event))


def _events(emulator: Watched, wanted: dict[str, str], *, follows: bool) -> Iterator[dict[str, Any]]:
    from parley.cli.watching import follow

    if not follows:
        yield from emulator.page(wanted, 0).events
        return
    with suppress(KeyboardInterrupt):
        yield from follow(emulator, wanted, lambda text: click.echo(text, err=True))


def _write_json(event: dict[str, Any]) -> None:
    print(json.dumps(event, ensure_ascii=False), flush=True)


def _lines(payloads: bool) -> Callable[[dict[str, Any]], None]:
    from parley.cli.log import Detail, Log
    from parley.cli.watching import as_trace_event

    log = Log(sys.stdout, Detail.VERBOSE, numbered=True)

    def write(event: dict[str, Any]) -> None:
        content = event.pop("content", None)
        log.write(as_trace_event(event))
        if payloads and content:
            name, value = next(iter(content.items()))
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            rest = "" if len(text) <= _MOST_SHOWN else f" … ({len(text)} characters)"
            print(f"        {name} {printable(text[:_MOST_SHOWN])}{rest}", flush=True)

    return write


@click.command()
@click.argument("invocation", metavar="ID")
@click.option("--edit", is_flag=True, help="First change the event in your editor ($EDITOR).")
@_PORT_OPTION
@explained
def replay(invocation: str, edit: bool, port: int) -> None:
    """Run the invocation ID again, with its recorded event, and print what the function returns.

    ID is the number of a line of `parley trace`, or a request id. The exit code is 1 if the function fails.
    """
    emulator = _emulator(port)
    found = emulator.invocation(invocation)
    event = _edited(_event_of(found)) if edit else None
    if not edit and found.get("redacted"):
        click.echo(f"The function gets no {', '.join(found['redacted'])}: redacted. --edit puts a value in.", err=True)
    done = emulator.replay(str(found["id"]), event)
    text = json.dumps(done["answer"], ensure_ascii=False)
    click.echo(printable_lines(text) if sys.stdout.isatty() else text)
    if done["error"]:
        raise StartError(f"{done['function']} failed ({done['error']}). `parley trace --once` has its lines.")


def _event_of(found: dict[str, Any]) -> Any:
    """Return the event of an invocation. Raises `StartError` if it was not recorded whole."""
    if not found["recorded"]:
        raise StartError(f"The event of {found['id']} is not recorded. Start the emulator with --record.")
    if found.get("cut"):
        raise StartError(f"The event of {found['id']} is not recorded: {found['event']}.")
    return found["event"]


def _edited(event: Any) -> str:
    """Let somebody change an event in an editor. Raises `StartError` if it is no JSON then, or not saved."""
    text = json.dumps(event, indent=2, ensure_ascii=False)
    try:
        changed = click.edit(text, extension=".json")
    except click.ClickException as error:
        raise StartError(f"{error.message}. Set EDITOR to an editor.") from None
    if changed is None:
        raise StartError("The event was not saved in the editor, so nothing was run.")
    try:
        json.loads(changed)
    except ValueError as error:
        descriptor, name = tempfile.mkstemp(prefix="parley-event-", suffix=".json")
        with os.fdopen(descriptor, "w") as writing:
            writing.write(changed)
        raise StartError(f"The event is no JSON ({error}), so nothing was run. What you wrote is in {name}.") from None
    return changed


@click.command()
@click.argument("invocation", metavar="ID")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@_PORT_OPTION
@explained
def save(invocation: str, file: Path, force: bool, port: int) -> None:
    """Write the recorded event of the invocation ID into FILE, for a test or for `parley invoke NAME @FILE`."""
    found = _emulator(port).invocation(invocation)
    event = _event_of(found)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w" if force else "x") as writing:
            writing.write(json.dumps(event, indent=2, ensure_ascii=False) + "\n")
    except FileExistsError:
        raise StartError(f"{file} is there already. Choose another file, or replace it with --force.") from None
    except OSError as error:
        raise StartError(f"{file} cannot be written: {error.strerror or error}.") from None
    redacted = f" Redacted: {', '.join(found['redacted'])}." if found.get("redacted") else ""
    click.echo(printable(f"Saved the event of {found['function']} in {file}.{redacted}"))


COMMANDS: tuple[click.Command, ...] = (trace, logs, replay, save)
