"""Stages of the deployment: what `infra/samconfig.toml` says about each."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley.errors import StartError

_SECTIONS = ("global", "deploy")


@dataclass(frozen=True, slots=True)
class StageConfig:
    """One config environment of the SAM CLI. `parameters` are those that it sets of the template's parameters."""

    name: str
    file: Path
    stack: str
    region: str | None
    profile: str | None
    parameters: Mapping[str, str]

    @property
    def place(self) -> str:
        """The place of its settings, for messages."""
        return f"{self.file}, [{self.name}.deploy.parameters]"


def read(file: Path, stage: str) -> StageConfig:
    """Read a stage. Raises `StartError` if the file or the stage is not there, or does not name its stack."""
    try:
        content = tomllib.loads(file.read_text())
    except OSError as error:
        raise StartError(f"Cannot read {file}: {error.strerror}. Name the file with --config-file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartError(f"{file} is not TOML: {error}. Correct it.") from None
    stages = [name for name, each in content.items() if isinstance(each, dict)]
    if stage not in stages:
        raise StartError(f"{file} has no stage {stage}. It has {', '.join(stages)}: make deploy STAGE={stages[0]}.")
    settings: dict[str, Any] = {}
    for section in _SECTIONS:
        settings |= content[stage].get(section, {}).get("parameters", {})
    if not settings.get("stack_name"):
        raise StartError(f"{file} names no stack for stage {stage}. Set stack_name in [{stage}.global.parameters].")
    overrides = _pairs(settings.get("parameter_overrides", ()), file)
    return StageConfig(
        stage, file, str(settings["stack_name"]), settings.get("region"), settings.get("profile"), overrides
    )


def _pairs(overrides: Any, file: Path) -> dict[str, str]:
    """Return parameters as the SAM CLI accepts them: a table, a list of NAME=VALUE, or one text of them."""
    if isinstance(overrides, Mapping):
        return {str(name): str(value) for name, value in overrides.items()}
    items = shlex.split(overrides) if isinstance(overrides, str) else [str(each) for each in overrides]
    pairs = [each.partition("=") for each in items]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise StartError(f"{file}: {name!r} in parameter_overrides is not of the form NAME=VALUE. Correct it.")
    return {name: value.strip("\"'") if value[:1] in "\"'" else value for name, _, value in pairs}
