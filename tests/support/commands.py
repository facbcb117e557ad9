"""The command `parley` in the process of the test. A process of its own would take longer to start than to do its work.

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


def run(
    *arguments: str, folder: Path, variables: Mapping[str, str], typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with these variables and no others. What it does not catch fails the test."""
    with chdir(folder), patch.dict(os.environ, variables, clear=True):
        done = CliRunner(mix_stderr=False).invoke(main, arguments, input=typed, catch_exceptions=False)
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)
