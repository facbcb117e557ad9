"""The command `parley`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from parley.cli.administration import COMMANDS
from parley.errors import StartError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="parley-aws")
def main() -> None:
    """Run WebSocket APIs for API Gateway on this machine, and talk to them."""


def _setting(
    option: str, variable: str, *names: str, **more: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare an option that has a variable, so that `make run` takes it too."""
    return click.option(option, *names, envvar=variable, show_envvar=True, **more)


_SECONDS = click.FloatRange(0, min_open=True)


def _pairs(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Return options of the form NAME=VALUE as a dictionary."""
    pairs = [each.partition("=") for each in given]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise click.BadParameter(f"{name!r} is not of the form NAME=VALUE.", context, option)
    return {name: value for name, _, value in pairs}


_TEMPLATE = _setting(
    "--template",
    "PARLEY_TEMPLATE",
    type=click.Path(path_type=Path),
    default=Path("infra/template.yaml"),
    help="SAM, CloudFormation or synthesised CDK template to read.",
)
_PARAMETERS = _setting(
    "--parameter",
    "PARLEY_PARAMETERS",
    "parameters",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="Value of one of the template's parameters; may be given several times.",
)
_IMPORTS = _setting(
    "--import",
    "PARLEY_IMPORTS",
    "imports",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="What another stack exports, for Fn::ImportValue; may be given several times.",
)


@main.command()
@_setting("--port", "PORT", type=click.IntRange(1, 65_535), default=8000, help="Port of everything that is served.")
@_setting("--host", "PARLEY_HOST", default="127.0.0.1", help="Address to listen on.")
@_TEMPLATE
@_PARAMETERS
@_IMPORTS
@_setting("--stage", "PARLEY_STAGE", show_default="the template's", help="Name of the stage.")
@_setting(
    "--dynamodb",
    "PARLEY_DYNAMODB",
    default="embedded",
    help="`embedded` (in memory), or the URL of a DynamoDB endpoint.",
)
@_setting(
    "--functions",
    "PARLEY_FUNCTIONS",
    type=click.Choice(["process", "inline"]),
    default="process" if sys.platform == "linux" else "inline",
    help="`process`: each environment a process, as AWS does (Linux). `inline`: threads of this one, for a debugger.",
)
@_setting(
    "--environments",
    "PARLEY_ENVIRONMENTS",
    type=click.IntRange(1),
    default=10,
    help="Most environments of one function; further invocations wait.",
)
@_setting("--users", "PARLEY_USERS", default="alice,bob", help="Users who exist from the start, separated by commas.")
@_setting(
    "--idle-timeout",
    "PARLEY_IDLE_TIMEOUT",
    type=_SECONDS,
    default=600,
    help="Seconds without a message until a connection is closed.",
)
@_setting(
    "--connection-limit",
    "PARLEY_CONNECTION_LIMIT",
    type=_SECONDS,
    default=7200,
    help="Seconds until any connection is closed.",
)
@_setting(
    "--integration-timeout",
    "PARLEY_INTEGRATION_TIMEOUT",
    type=_SECONDS,
    default=29,
    help="Seconds that a route's function has to answer.",
)
@_setting(
    "--post-latency",
    "PARLEY_POST_LATENCY_MS",
    type=click.FloatRange(0),
    default=0,
    help="Milliseconds added to every @connections call, as the network to AWS would.",
)
@_setting(
    "--retry-delay",
    "PARLEY_RETRY_DELAY",
    type=click.FloatRange(0),
    default=60,
    help="Seconds before the first retry of an asynchronous invocation; twice that before the second.",
)
@_setting(
    "--tokens-per-second",
    "PARLEY_TOKENS_PER_SECOND",
    type=click.FloatRange(0),
    default=40,
    help="Pace of the built-in model; 0 for none.",
)
@_setting(
    "--faults",
    "PARLEY_FAULTS",
    type=click.Path(path_type=Path),
    help="Plan of what is to go wrong, a JSON file; see docs/emulator.md.",
)
@_setting(
    "--reorder", "PARLEY_REORDER", type=int, help="Let messages of a connection overtake each other, by this seed."
)
@_setting(
    "--duplicates",
    "PARLEY_DUPLICATES",
    type=click.FloatRange(0, 1),
    default=0,
    help="Likelihood that an asynchronous event is delivered twice, as Lambda may.",
)
@_setting("--iam", "PARLEY_IAM", is_flag=True, help="Check the signatures of AWS_IAM handshakes and of @connections.")
@_setting(
    "--assume",
    "PARLEY_ASSUME",
    multiple=True,
    help="How AWS behaves where that is not known for sure, NAME=VALUE; see docs/emulator.md.",
)
def up(**given: Any) -> None:
    """Start the emulator on a template, until Ctrl-C."""
    from parley.cli import up

    try:
        up.run(up.options_of(given))
    except StartError as error:
        _fail(error)


@main.command()
@_TEMPLATE
@_PARAMETERS
@_IMPORTS
@click.option("--json", "machine", is_flag=True, help="Print everything, as JSON.")
def template(template: Path, parameters: dict[str, str], imports: dict[str, str], machine: bool) -> None:
    """Print what is read from a template, and what in it is not understood."""
    from parley.cli import describe
    from parley.template.reader import read

    try:
        found = read(template, parameters, imports=imports)
    except StartError as error:
        _fail(error)
    click.echo(describe.as_json(found) if machine else describe.as_text(found))


@main.command()
@click.argument("user")
def token(user: str) -> None:
    """Print a token for USER, valid for 12 hours, signed with JWT_SECRET or the development secret."""
    from parley import dev_tokens
    from parley.emulator.variables import given

    click.echo(dev_tokens.token(user, dev_tokens.secret(given(os.environ, Path.cwd()))))


@main.command()
@click.option("--url", show_default="ws://127.0.0.1:PORT/ws/chat", help="Where to connect.")
@click.option("--user", default="alice", help="Who to be, with a token made here.")
@click.option("--token", "given_token", envvar="PARLEY_TOKEN", show_envvar=True, help="A token, instead of --user.")
@click.option("--chat", "chat_id", help="Id of a chat to go on with, instead of a new one.")
@click.option("--port", default=8000, envvar="PORT", show_envvar=True, help="Port of the emulator.")
@click.option("--cost", "costs", is_flag=True, help="Show what each reply has cost, where the server tells.")
def chat(url: str | None, user: str, given_token: str | None, chat_id: str | None, port: int, costs: bool) -> None:
    """Chat in the terminal. `/help` there lists the commands; Ctrl-C stops a running reply, else it leaves."""
    from parley import dev_tokens
    from parley.client import terminal
    from parley.emulator.variables import given

    secret = dev_tokens.secret(given(os.environ, Path.cwd()))
    url = url or f"ws://127.0.0.1:{port}/ws/chat"
    sys.exit(terminal.run(url, given_token or dev_tokens.token(user, secret), chat_id, costs=costs))


def _fail(error: StartError) -> NoReturn:
    click.echo(f"parley: {error}", err=True)
    sys.exit(1)


for command in COMMANDS:
    main.add_command(command)
