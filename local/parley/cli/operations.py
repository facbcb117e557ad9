"""The commands of an operator: `parley doctor`, `deploy`, `remove`, `smoke`, `dlq`. `make` calls the first four."""

from __future__ import annotations

from pathlib import Path

import click

from parley.cli.options import Decorator, explained, options, pairs

# The commands import boto3 themselves: that takes longer than all of `parley --help`.

_CONFIG_FILE_OPTION = click.option(
    "--config-file",
    type=click.Path(path_type=Path),
    default=Path("infra/samconfig.toml"),
    help="Configuration of the SAM CLI.",
)
_STAGE_OPTIONS = options(
    click.option("--stage", default="dev", help="Config environment of the SAM CLI, such as dev or prod."),
    _CONFIG_FILE_OPTION,
)
_PARAMETER_OPTION = click.option(
    "--parameter",
    "parameters",
    envvar="PARAMETERS",
    show_envvar=True,
    multiple=True,
    callback=pairs,
    metavar="NAME=VALUE",
    help="Value of a parameter of the template, instead of the stage's. May be given several times.",
)
_SAM_OPTION = click.option(
    "--sam", type=click.Path(path_type=Path), default=Path(".venv-sam/bin/sam"), help="The SAM CLI."
)
_QUEUE_OPTIONS: Decorator = options(
    click.option("--stack", required=True, help="Name of the CloudFormation stack."),
    click.option("--queue", help="One queue only, such as Generate: the beginning of its output's name."),
)


@click.command()
@_STAGE_OPTIONS
@_PARAMETER_OPTION
@click.option(
    "--template",
    type=click.Path(path_type=Path),
    default=Path("infra/template.yaml"),
    help="The template that is deployed.",
)
@click.option("--guided", is_flag=True, help="Somebody is asked for the parameters that have no value.")
@explained
def doctor(stage: str, config_file: Path, parameters: dict[str, str], template: Path, guided: bool) -> None:
    """Say what would keep a deployment of a stage from succeeding, before it changes anything.

    Checks the stack's name and state, the region, the credentials, the values of the parameters, and the account's
    quotas. Each finding says what, where, and the next step. The exit code is 1 if one of them is an error.
    """
    from parley.cli import deploying

    deploying.examine(deploying.Stage.read(config_file, stage), template, parameters, is_guided=guided)


@click.command()
@_STAGE_OPTIONS
@_PARAMETER_OPTION
@_SAM_OPTION
@click.argument("arguments", nargs=-1)
@explained
def deploy(stage: str, config_file: Path, parameters: dict[str, str], sam: Path, arguments: tuple[str, ...]) -> None:
    """Deploy what `make build` has built, with `sam deploy ARGUMENTS`. If that fails, say what is there now."""
    from parley.cli import deploying

    deploying.deploy(deploying.Stage.read(config_file, stage), sam, parameters, arguments)


@click.command()
@_STAGE_OPTIONS
@_SAM_OPTION
@click.option("--confirm", default="", help="The name of the stack. Without it nothing is removed.")
@explained
def remove(stage: str, config_file: Path, sam: Path, confirm: str) -> None:
    """Delete the stack of a stage. Before that, say what goes and what stays: tables and queues with data are kept."""
    from parley.cli import deploying

    deploying.remove(deploying.Stage.read(config_file, stage), sam, confirm)


@click.command()
@click.option("--url", help="URL of the WebSocket API. Without it, the one of --stack or --stage.")
@click.option("--http-url", help="URL of the HTTP API. If it is known, the chat is deleted at the end.")
@click.option("--stack", help="Name of the CloudFormation stack whose outputs have the URLs.")
@click.option("--stage", help="Stage of --config-file whose stack has the URLs.")
@_CONFIG_FILE_OPTION
@click.option("--token", envvar="PARLEY_TOKEN", show_envvar=True, required=True, help="Token of a user of the chat.")
@click.option("--patience", type=click.FloatRange(1), default=60, help="Seconds that each frame may take.")
@explained
def smoke(
    url: str | None,
    http_url: str | None,
    stack: str | None,
    stage: str | None,
    config_file: Path,
    token: str,
    patience: float,
) -> None:
    """Have a whole conversation with a chat that runs anywhere, and check it against the protocol.

    It costs one reply of the model. The exit code is 1 if a step fails.
    """
    from parley.cli import trying

    if url is None:
        url, http_url = trying.urls(stack, stage, config_file)
    trying.converse(url, http_url, token, patience)


@click.group()
def dlq() -> None:
    """Look into the dead-letter queues of a deployment, and send their events back."""


@dlq.command(name="list")
@_QUEUE_OPTIONS
@click.option("--limit", type=click.IntRange(0), default=10, help="Events to show of each queue.")
@explained
def list_letters(stack: str, queue: str | None, limit: int) -> None:
    """Print the number of events in each queue, and the first ones: the ids in them, and why they failed.

    The events stay where they are. For a few seconds nobody else sees them.
    """
    from parley.cli import redriving

    redriving.show(stack, queue, limit)


@dlq.command()
@_QUEUE_OPTIONS
@click.option("--dry-run", is_flag=True, help="Only print what would be sent back.")
@explained
def redrive(stack: str, queue: str | None, dry_run: bool) -> None:
    """Send the events of the queues back: to the function that failed, or to the queue that they came from.

    Mend the cause first. An event leaves its queue only after Lambda has accepted it. If this command is stopped, or
    run twice, an event may be handled twice: the functions expect that. A frame (queue Deliver) then comes twice.
    """
    from parley.cli import redriving

    (redriving.plan if dry_run else redriving.send_back)(stack, queue)


COMMANDS: tuple[click.Command, ...] = (doctor, deploy, remove, smoke, dlq)
