"""The commands that reach into a running emulator: `parley invoke`, `trigger`, `connections`, `post`, `close`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parley.cli.options import explained, printable, printable_lines
from parley.errors import StartError

if TYPE_CHECKING:
    from parley.cli.calling import RunningEmulator

_PORT_OPTION = click.option("--port", default=8000, envvar="PORT", show_envvar=True, help="Port of the emulator.")
_HYPHENED_ID = re.compile(r"-[A-Za-z0-9_-]{14}=")
_ESCAPE = "id:"


class _CommandWithId(click.Command):
    """A command with the id of a connection. The id may begin with a hyphen, and is no option then."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments."""
        return super().parse_args(ctx, [_ESCAPE + each if _HYPHENED_ID.fullmatch(each) else each for each in args])


def _id(context: click.Context, argument: click.Parameter, given: str) -> str:
    return given.removeprefix(_ESCAPE)


def _emulator(port: int) -> RunningEmulator:
    # Not at the top: the import of boto3 takes longer than all of `parley --help`.
    from parley.cli.calling import RunningEmulator

    return RunningEmulator(port)


@click.command()
@click.argument("function")
@click.argument("event", default="{}")
@click.option("--async", "asynchronous", is_flag=True, help="Do not wait for the answer. It is retried if it fails.")
@_PORT_OPTION
@explained
def invoke(function: str, event: str, asynchronous: bool, port: int) -> None:
    """Invoke FUNCTION of the emulator with EVENT, and print what it returns.

    EVENT is JSON, @FILE for the contents of a file, or - for standard input. The exit code is 1 if the function fails.
    """
    result = _emulator(port).invoke(function, _event(event), waits=not asynchronous)
    if asynchronous:
        click.echo(f"Accepted as {result.request_id}.")
        return
    click.echo(printable_lines(result.payload) if sys.stdout.isatty() else result.payload)
    if result.error:
        raise StartError(f"{function} failed ({result.error}).")


def _event(given: str) -> str:
    """Return the event that an argument stands for. Raises `StartError` for a file that cannot be read."""
    if given == "-":
        return sys.stdin.read()
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"The event in {given[1:]} cannot be read: {error}.") from None


@click.command()
@click.argument("name", required=False)
@_PORT_OPTION
@explained
def trigger(name: str | None, port: int) -> None:
    """Run the schedule NAME of the emulator now. Without NAME, print the schedules with the next time of each.

    NAME is the schedule's name, its logical id, or the name of its event in the function.
    """
    from parley.cli.calling import described_rule

    if name is not None:
        for target in _emulator(port).trigger(name):
            click.echo(f"Sent to {printable(target.rpartition(':')[2])}.")
        return
    found = [rule for rule in _emulator(port).rules() if rule["schedule"]]
    for rule in found:
        click.echo(printable(described_rule(rule)))
    if not found:
        click.echo("The template has no schedule.", err=True)


@click.command()
@_PORT_OPTION
@explained
def connections(port: int) -> None:
    """Print the open connections of the emulator: id, stage, address, since when, the last data, user agent."""
    from parley.cli.calling import described

    found = _emulator(port).connections()
    for each in found:
        click.echo(printable(described(each)))
    if not found:
        click.echo("No connection is open.", err=True)


@click.command(cls=_CommandWithId)
@click.argument("connection_id", callback=_id)
@click.argument("data")
@_PORT_OPTION
@explained
def post(connection_id: str, data: str, port: int) -> None:
    """Send DATA to the connection CONNECTION_ID of the emulator, as a function does by @connections.

    DATA is - for standard input. Put -- before DATA that begins with a hyphen.
    """
    _emulator(port).post(connection_id, sys.stdin.read() if data == "-" else data)


@click.command(cls=_CommandWithId)
@click.argument("connection_id", callback=_id)
@_PORT_OPTION
@explained
def close(connection_id: str, port: int) -> None:
    """Close the connection CONNECTION_ID of the emulator, as a function does by @connections."""
    _emulator(port).close(connection_id)


COMMANDS: tuple[click.Command, ...] = (invoke, trigger, connections, post, close)
