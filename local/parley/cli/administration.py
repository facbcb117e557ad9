"""`parley users`, `parley broadcast`, `parley send`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from parley.errors import StartError

if TYPE_CHECKING:
    from parley.cli.deployment import Deployment

_WHERE = (
    click.option("--port", default=8000, envvar="PORT", show_envvar=True, help="Port of the emulator."),
    click.option("--stage", default="live", envvar="PARLEY_STAGE", show_envvar=True, help="Stage of the emulator."),
    click.option("--dynamodb", envvar="PARLEY_DYNAMODB", show_envvar=True, help="The emulator's, if not embedded."),
    click.option("--stack", help="CloudFormation stack of a deployment, instead of the emulator."),
)


def _reaching(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where, and the deployment that they mean."""

    @wraps(command)
    def run(port: int, stage: str, dynamodb: str | None, stack: str | None, **given: Any) -> None:
        with _explained(f"the stack {stack}" if stack else f"the emulator on port {port}"):
            from parley.cli.deployment import Deployment

            if stack:
                return command(Deployment.deployed(stack), **given)
            elsewhere = dynamodb if dynamodb != "embedded" else None
            return command(Deployment.emulated(port, stage, elsewhere), **given)

    decorated: Callable[..., None] = run
    for option in reversed(_WHERE):
        decorated = option(decorated)
    return decorated


@contextmanager
def _explained(where: str) -> Iterator[None]:
    # Not at the top: boto3 takes longer than the whole of `parley --help`.
    from botocore.exceptions import BotoCoreError, ClientError

    from parley.cli.deployment import failed

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        _fail(failed(error, where))
    except StartError as error:
        _fail(error)


def _fail(error: StartError) -> None:
    click.echo(f"parley: {error}", err=True)
    sys.exit(1)


@click.group()
def users() -> None:
    """Add, list, disable and enable users."""


@users.command()
@click.argument("user")
@click.option("--name", help="Name for display.")
@click.option("--role", "roles", multiple=True, help="`admin` for an administrator. May be given several times.")
@_reaching
def add(deployment: Deployment, user: str, name: str | None, roles: tuple[str, ...]) -> None:
    """Create USER, whose tokens are then accepted."""
    deployment.add_user(user, name, roles)
    click.echo(f"Added {user}.")


@users.command(name="list")
@_reaching
def list_users(deployment: Deployment) -> None:
    """Print all users: id, name, roles, and whether they are disabled."""
    for row in sorted(deployment.users(), key=lambda row: str(row["userId"]["S"])):
        roles = ",".join(each["S"] for each in row.get("roles", {}).get("L", []))
        disabled = "disabled" if row.get("disabled", {}).get("BOOL") else ""
        parts = (row["userId"]["S"], row.get("name", {}).get("S", ""), roles, disabled)
        click.echo("\t".join(_printable(part) for part in parts).rstrip())


@users.command()
@click.argument("user")
@_reaching
def disable(deployment: Deployment, user: str) -> None:
    """Refuse USER's tokens from now on, and close their connections."""
    closed = deployment.set_disabled(user, True)
    click.echo(f"Disabled {user}; connections closed: {closed}.")


@users.command()
@click.argument("user")
@_reaching
def enable(deployment: Deployment, user: str) -> None:
    """Accept USER's tokens again."""
    deployment.set_disabled(user, False)
    click.echo(f"Enabled {user}.")


@click.command()
@click.argument("message")
@_reaching
def broadcast(deployment: Deployment, message: str) -> None:
    """Send MESSAGE to everybody who is connected, as a `notice`."""
    deployment.send(_notice(message), None)
    click.echo("On its way to everyone.")


@click.command()
@click.argument("user")
@click.argument("message")
@_reaching
def send(deployment: Deployment, user: str, message: str) -> None:
    """Send MESSAGE to all connections of USER, as a `notice`."""
    connections = deployment.send(_notice(message), user)
    click.echo(f"On its way to {user}; connections: {connections}.")


def _notice(message: str) -> dict[str, Any]:
    return {"type": "notice", "data": {"message": message}}


def _printable(text: str) -> str:
    """Return a text without what a terminal would obey: ids and names come from outside."""
    return "".join(character if character.isprintable() else "�" for character in text)


COMMANDS: tuple[click.Command, ...] = (users, broadcast, send)
