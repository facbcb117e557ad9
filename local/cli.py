"""The command `parley`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from local.errors import StartError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="parley")
def main() -> None:
    """Run WebSocket APIs for API Gateway on this machine, and talk to them."""


@main.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    default=8000,
    envvar="PORT",
    show_envvar=True,
    help="Port of everything that is served.",
)
@click.option("--host", default="127.0.0.1", envvar="PARLEY_HOST", show_envvar=True, help="Address to listen on.")
@click.option(
    "--template",
    type=click.Path(path_type=Path),
    default=Path("infra/template.yaml"),
    envvar="PARLEY_TEMPLATE",
    show_envvar=True,
    help="SAM or CloudFormation template to run.",
)
@click.option(
    "--stage", envvar="PARLEY_STAGE", show_envvar=True, show_default="the template's", help="Name of the stage."
)
@click.option(
    "--dynamodb",
    default="embedded",
    envvar="PARLEY_DYNAMODB",
    show_envvar=True,
    help="`embedded` (in memory), or the URL of a DynamoDB endpoint.",
)
@click.option(
    "--functions",
    type=click.Choice(["process", "inline"]),
    default="process" if sys.platform == "linux" else "inline",
    envvar="PARLEY_FUNCTIONS",
    show_envvar=True,
    help="`process`: each environment a process, as AWS does (Linux). `inline`: threads of this one, for a debugger.",
)
@click.option(
    "--environments",
    type=click.IntRange(1),
    default=10,
    envvar="PARLEY_ENVIRONMENTS",
    show_envvar=True,
    help="Most environments of one function; further invocations wait.",
)
@click.option(
    "--users",
    default="alice,bob",
    envvar="PARLEY_USERS",
    show_envvar=True,
    help="Users who exist from the start, separated by commas.",
)
@click.option(
    "--idle-timeout",
    type=click.FloatRange(0, min_open=True),
    default=600,
    envvar="PARLEY_IDLE_TIMEOUT",
    show_envvar=True,
    help="Seconds without a message until a connection is closed.",
)
@click.option(
    "--connection-limit",
    type=click.FloatRange(0, min_open=True),
    default=7200,
    envvar="PARLEY_CONNECTION_LIMIT",
    show_envvar=True,
    help="Seconds until any connection is closed.",
)
@click.option(
    "--integration-timeout",
    type=click.FloatRange(0, min_open=True),
    default=29,
    envvar="PARLEY_INTEGRATION_TIMEOUT",
    show_envvar=True,
    help="Seconds that a route's function has to answer.",
)
@click.option(
    "--post-latency",
    type=click.FloatRange(0),
    default=0,
    envvar="PARLEY_POST_LATENCY_MS",
    show_envvar=True,
    help="Milliseconds added to every @connections call, as the network to AWS would.",
)
@click.option(
    "--retry-delay",
    type=click.FloatRange(0),
    default=60,
    envvar="PARLEY_RETRY_DELAY",
    show_envvar=True,
    help="Seconds before the first retry of an asynchronous invocation; twice that before the second.",
)
@click.option(
    "--tokens-per-second",
    type=click.FloatRange(0),
    default=40,
    envvar="PARLEY_TOKENS_PER_SECOND",
    show_envvar=True,
    help="Pace of the built-in model; 0 for none.",
)
def up(**given: Any) -> None:
    """Start the emulator on a template, until Ctrl-C."""
    from local import startup

    try:
        startup.run(startup.options_of(given))
    except StartError as error:
        _fail(error)


@main.command()
@click.argument("user")
def token(user: str) -> None:
    """Print a token for USER, valid for 12 hours, signed with JWT_SECRET or the development secret."""
    from local import identity
    from local.environment import given

    click.echo(identity.token(user, identity.secret(given(os.environ, Path.cwd()))))


@main.command()
@click.option("--url", show_default="ws://127.0.0.1:PORT/ws/chat", help="Where to connect.")
@click.option("--user", default="alice", help="Who to be, with a token made here.")
@click.option("--token", "given_token", envvar="PARLEY_TOKEN", show_envvar=True, help="A token, instead of --user.")
@click.option("--chat", "chat_id", help="Id of a chat to go on with, instead of a new one.")
@click.option("--port", default=8000, envvar="PORT", show_envvar=True, help="Port of the emulator.")
def chat(url: str | None, user: str, given_token: str | None, chat_id: str | None, port: int) -> None:
    """Chat in the terminal."""
    from local import client, identity
    from local.environment import given

    secret = identity.secret(given(os.environ, Path.cwd()))
    url = url or f"ws://127.0.0.1:{port}/ws/chat"
    sys.exit(client.run(url, given_token or identity.token(user, secret), chat_id))


def _fail(error: StartError) -> None:
    click.echo(f"parley: {error}", err=True)
    sys.exit(1)
