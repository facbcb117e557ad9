"""`parley exec`: a command beside a fresh emulator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

import click

_NOT_STARTED, _NOT_EXECUTABLE, _NOT_FOUND = 125, 126, 127
"""The exit codes of `parley exec` itself, which are also those of `env` and `timeout`."""

_PASSED_ON = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SHOWN_LINES = 30
_OF_A_PROFILE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""Variables by which the command would use an account of the developer's."""


class _ExecCommand(click.Command):
    """A command that divides its arguments at `--`: before it options, after it the command to run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments."""
        mark = args.index("--") if "--" in args else 0 if args and not args[0].startswith("-") else len(args)
        ctx.meta[__name__] = tuple(args[mark:][1:] if "--" in args else args[mark:])
        return super().parse_args(ctx, args[:mark])


@click.command(
    name="exec",
    cls=_ExecCommand,
    context_settings={"ignore_unknown_options": True},
    options_metavar="[OPTIONS OF `parley up`] -- COMMAND ...",
)
@click.option("--log", type=click.Path(path_type=Path), help="File for what the emulator prints.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.pass_context
def execute(context: click.Context, log: Path | None, options: tuple[str, ...]) -> None:
    """Run COMMAND beside a fresh emulator, and end with its exit code.

    The emulator listens on a free port. COMMAND finds it by PARLEY_URL, PARLEY_WEBSOCKET_URL, PARLEY_HTTP_URL and the
    variables of AWS's SDKs (AWS_ENDPOINT_URL_DYNAMODB and so on). Its keys open nothing on AWS. If COMMAND fails, the
    last lines of the emulator follow. The exit code is 125 if the emulator does not start, 127 if there is no COMMAND.
    """
    command = context.meta[__name__]
    if not command:
        raise click.UsageError("Name a command, after `--`: parley exec --template template.yaml -- npm test")
    _check(context, options)
    with ExitStack() as stack:
        file = stack.enter_context(_opened(log)) if log else None
        sys.exit(_run(command, options, file))


def _check(context: click.Context, options: Sequence[str]) -> None:
    """Refuse what is no option of `parley up`, before anything is started."""
    parent = context.find_root().command
    up = parent.get_command(context, "up") if isinstance(parent, click.Group) else None
    if up is not None:
        up.make_context("up", list(options), parent=context.parent)


@contextmanager
def _opened(log: Path) -> Iterator[IO[str]]:
    try:
        file = log.open("w")
    except OSError as error:
        raise click.UsageError(f"The log {log} cannot be written: {error.strerror}.") from None
    try:
        yield file
    finally:
        # What could not be written cannot be written now either; that has been said.
        with suppress(OSError):
            file.close()


def _run(command: Sequence[str], options: Sequence[str], log: IO[str] | None) -> int:
    """Run a command beside an emulator. Return its exit code."""
    from parley.testing import NotStarted, Parley
    from parley.testing.process import EmulatorProcess

    try:
        process = EmulatorProcess(options, Path.cwd(), log=log)
        addresses = Parley(process).variables
    except (NotStarted, OSError) as error:
        click.echo(f"parley: The emulator did not start: {error}", err=True)
        return _NOT_STARTED
    try:
        variables = {name: value for name, value in os.environ.items() if name not in _OF_A_PROFILE}
        code = _end_of(command, variables | addresses)
        if not process.runs:
            click.echo("parley: The emulator has ended before the command.", err=True)
    finally:
        process.stop()
    if code:
        click.echo(f"parley: The command ended with {code}. The emulator's last lines:", err=True)
        click.echo("".join(list(process.lines)[-_SHOWN_LINES:]), err=True, nl=False)
    return code


def _end_of(command: Sequence[str], variables: dict[str, str]) -> int:
    """Run a command to its end. Return its exit code, which a signal makes 128 and its number, as in a shell."""
    running: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for child in running:
            child.send_signal(number)

    # The terminal sends Ctrl-C to the command too. It decides; the emulator stays until it has ended. No SIG_IGN: the
    # command would inherit that.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    try:
        child = subprocess.Popen(command, env=variables)  # noqa: S603 - the developer's own command
    except FileNotFoundError:
        click.echo(f"parley: There is no command {command[0]}.", err=True)
        return _NOT_FOUND
    except OSError as error:
        click.echo(f"parley: {command[0]} cannot be run: {error.strerror}.", err=True)
        return _NOT_EXECUTABLE
    running.append(child)
    for early in received:
        child.send_signal(early)
    code = child.wait()
    return code if code >= 0 else 128 - code


COMMANDS: tuple[click.Command, ...] = (execute,)
