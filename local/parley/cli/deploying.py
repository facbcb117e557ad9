"""`parley doctor`, `parley deploy` and `parley remove`: a stage's stack, before, at and after a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from parley.errors import StartError
from parley.operations import doctor, removal, sam, samconfig, stack, stack_state
from parley.operations.access import Access
from parley.operations.findings import Finding, Level
from parley.operations.samconfig import StageConfig


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage, and the access to the account and region where it is."""

    config: StageConfig
    access: Access

    @classmethod
    def read(cls, file: Path, name: str) -> Stage:
        """Read a stage of a configuration. Raises `StartError`."""
        config = samconfig.read(file, name)
        return cls(config, Access.found(config.region, config.profile))


def examine(stage: Stage, template: Path, parameters: Mapping[str, str], *, is_guided: bool) -> None:
    """Print the findings about a stage. Raises `StartError` if one of them is an error."""
    errors = _print(doctor.examine(stage.config, template, parameters, stage.access, is_guided=is_guided))
    if errors:
        raise StartError(f"{errors} of these keep stage {stage.config.name} from being deployed. Nothing was changed.")


def deploy(stage: Stage, program: Path, parameters: Mapping[str, str], arguments: Sequence[str]) -> None:
    """Deploy a stage, and print what was made or what is there after a failure. Raises `StartError`."""
    config, access = stage.config, stage.access
    if not sam.deploy(program, config, parameters, arguments):
        click.echo("")
        _print(stack_state.after_failure(config.stack, config.name, access))
        raise StartError(
            f"Stage {config.name} was not deployed: sam deploy says why, above. Ask make doctor STAGE={config.name}."
        )
    found = stack.get(access, config.stack)
    for name in ("WebSocketUrl", "HttpUrl"):
        click.echo(f"{name:<14}{found.outputs.get(name, '')}")
    click.echo(f"\nAdd a user:  parley users add USER --stack {config.stack}")
    click.echo(f"Try it:      make smoke STAGE={config.name} TOKEN=…")


def remove(stage: Stage, program: Path, confirmed: str) -> None:
    """Print what the removal of a stage's stack does, and carry it out if it is confirmed. Raises `StartError`."""
    config, access = stage.config, stage.access
    found = stack.get(access, config.stack)
    kept = stack.kept(access, found)
    click.echo(removal.announcement(access, found))
    click.echo(removal.left_over(kept, access.region))
    removal.check(found, config.name, confirmed)
    if not sam.delete(program, config, str(access.region)) or stack.find(access, config.stack) is not None:
        raise removal.unfinished(access, found)
    click.echo(f"Stack {config.stack} is removed. {removal.left_over(kept, access.region)}")


def _print(findings: Iterable[Finding]) -> int:
    """Print findings as they come. Return the number of errors."""
    errors = 0
    for each in findings:
        click.echo(str(each))
        errors += each.level is Level.ERROR
    return errors
