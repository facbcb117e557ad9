"""The SAM CLI, which uploads the bundles and deploys or deletes the stack."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from parley.errors import StartError
from parley.operations.samconfig import StageConfig


def deploy(program: Path, config: StageConfig, values: Mapping[str, str], arguments: Sequence[str]) -> bool:
    """Run `sam deploy` for a stage. Tell if it succeeded.

    On its command line, parameters replace those of the stage. So `values` and the stage's go there together, in a file
    that only this user can read: some are secrets. JSON is YAML, which the SAM CLI reads.
    """
    options = [*_stage(config), *arguments]
    if not values:
        return _run(program, "deploy", options)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        json.dump({**config.parameters, **values}, file)
        file.flush()
        return _run(program, "deploy", [*options, "--parameter-overrides", f"file://{file.name}"])


def delete(program: Path, config: StageConfig, region: str) -> bool:
    """Run `sam delete` for a stage: the bundles in S3, then the stack. Tell if it succeeded."""
    return _run(program, "delete", [*_stage(config), "--stack-name", config.stack, "--region", region, "--no-prompts"])


def _stage(config: StageConfig) -> list[str]:
    return ["--config-file", str(config.file.resolve()), "--config-env", config.name]


def _run(program: Path, verb: str, options: Sequence[str]) -> bool:
    if not program.exists():
        raise StartError(f"There is no SAM CLI at {program}. Install it with make {program.parent.parent}/up-to-date.")
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    return subprocess.run([program, verb, *options], env=environment, check=False).returncode == 0  # noqa: S603
