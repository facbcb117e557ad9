"""The command `parley`, in the process of the test or as a process, which takes longer to start than to do its work.

Each command is also run as a process by one of its tests at least.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

from click.testing import CliRunner
from parley.cli.main import main

from tests.support.devices import PARLEY
from tests.support.waiting import HANGS


def environment(port: int, **variables: str) -> dict[str, str]:
    """Return the variables of a command for the emulator on this port."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PARLEY_DYNAMODB") if name in os.environ}
    return {**kept, "PORT": str(port), **variables}


def run(
    *arguments: str, folder: Path, variables: Mapping[str, str], typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with these variables and no others. What it does not catch fails the test."""
    with chdir(folder), patch.dict(os.environ, variables, clear=True):
        done = CliRunner(mix_stderr=False).invoke(main, arguments, input=typed, catch_exceptions=False)
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def process(
    *arguments: str | bytes, folder: Path, variables: Mapping[str, str], typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command as a process."""
    command = [PARLEY, *arguments]
    return subprocess.run(
        command, cwd=folder, env=variables, input=typed, capture_output=True, text=True, timeout=HANGS, check=False
    )
