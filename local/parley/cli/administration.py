"""The commands of an administrator: `parley users`, `parley broadcast`, `parley send`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from parley.cli.options import fail, printable
from parley.errors import StartError

if TYPE_CHECKING:
    from parley.cli.deployment import Deployment

_TARGET_OPTIONS = (
    click.option("--port", default=8000, envvar="PORT", show_envvar=True, help="Port of the emulator."),
    click.option(
        "--stage", default="live", envvar="PARLEY_STAGE", show_envvar=True, help="Name of the emulator's stage."
    ),
    click.option(
        "--dynamodb",
        envvar="PARLEY_DYNAMODB",
        show_envvar=True,
        help="URL of the emulator's DynamoDB, if it was started with --dynamodb.",
    ),
    click.option("--stack", help="Name of a CloudFormation stack: use that deployment instead of the emulator."),
)


def _with_deployment(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose a deployment to a command, and pass it that deployment."""

    @wraps(command)
    def run(port: int, stage: str, dynamodb: str | None, stack: str | None, **arguments: Any) -> None:
        with _errors_explained(stack, port):
            from parley.cli.deployment import Deployment

            if stack:
                return command(Deployment.deployed(stack), **arguments)
            url = dynamodb if dynamodb not in ("embedded", "moto") else None
            return command(Deployment.emulated(port, stage, url), **arguments)

    decorated: Callable[..., None] = run
    for option in reversed(_TARGET_OPTIONS):
        decorated = option(decorated)
    return decorated


@contextmanager
def _errors_explained(stack: str | None, port: int) -> Iterator[None]:
    """Print an error of a call to a stack, or else to an emulator, as one message, and exit."""
    # Not at the top: the import of boto3 takes longer than all of `parley --help`.
    from botocore.exceptions import BotoCoreError, ClientError

    from parley.cli.deployment import no_emulator
    from parley.operations.access import failed

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        fail(failed(error, f"Stack {stack}") if stack else no_emulator(error, port))
    except StartError as error:
        fail(error)


@click.group()
def users() -> None:
    """Add, list, disable and enable users."""


@users.command()
@click.argument("user")
@click.option("--name", help="Name that others see.")
@click.option(
    "--role", "roles", multiple=True, help="Role of the user, `admin` for an administrator. May be given several times."
)
@_with_deployment
def add(deployment: Deployment, user: str, name: str | None, roles: tuple[str, ...]) -> None:
    """Create USER. From then on the tokens of USER are accepted."""
    deployment.add_user(user, name, roles)
    click.echo(f"Added {user}.")


@users.command(name="list")
@_with_deployment
def list_users(deployment: Deployment) -> None:
    """Print all users. Each line has id, name, roles, and `disabled` for a disabled user."""
    for row in sorted(deployment.users(), key=lambda row: str(row["userId"]["S"])):
        roles = ",".join(each["S"] for each in row.get("roles", {}).get("L", []))
        disabled = "disabled" if row.get("disabled", {}).get("BOOL") else ""
        parts = (row["userId"]["S"], row.get("name", {}).get("S", ""), roles, disabled)
        click.echo("\t".join(printable(part) for part in parts).rstrip())


@users.command()
@click.argument("user")
@_with_deployment
def disable(deployment: Deployment, user: str) -> None:
    """Disable USER. From now on the tokens of USER are refused. Open connections are closed."""
    closed = deployment.set_disabled(user, True)
    click.echo(f"Disabled {user}; connections closed: {closed}.")


@users.command()
@click.argument("user")
@_with_deployment
def enable(deployment: Deployment, user: str) -> None:
    """Enable USER again, after `disable`."""
    deployment.set_disabled(user, False)
    click.echo(f"Enabled {user}.")


@click.command()
@click.argument("message")
@_with_deployment
def broadcast(deployment: Deployment, message: str) -> None:
    """Send MESSAGE to all connections, as a `notice`."""
    deployment.send(_notice(message), None)
    click.echo("On its way to everyone.")


@click.command()
@click.argument("user")
@click.argument("message")
@_with_deployment
def send(deployment: Deployment, user: str, message: str) -> None:
    """Send MESSAGE to all connections of USER, as a `notice`."""
    connections = deployment.send(_notice(message), user)
    click.echo(f"On its way to {user}; connections: {connections}.")


def _notice(message: str) -> dict[str, Any]:
    return {"type": "notice", "data": {"message": message}}


COMMANDS: tuple[click.Command, ...] = (users, broadcast, send)
