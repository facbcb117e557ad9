"""pytest in a project of its own, in a process of its own, with the plugin of the emulator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from tests.support import noting_project

SETTINGS = "[pytest]\nparley_template = template.yaml\nparley_options = --users '' --iam off\n"


class InnerPytest:
    """A project with a template, and tests that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        noting_project.make(folder)
        (folder / "pytest.ini").write_text(SETTINGS)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(dedent(text))

    def command(self, *arguments: str) -> list[str]:
        # The plugin by the name of its entry point, as it is loaded where nothing forbids it.
        own = ("--disable-plugin-autoload", "-p", "parley", "-p", "no:cacheprovider", "--color=no")
        return [sys.executable, "-m", "pytest", *own, *arguments]

    @property
    def variables(self) -> dict[str, str]:
        # With `CI` or `BUILD_NUMBER` pytest prints its summary in another form.
        other = ("PYTEST_", "PARLEY_", "CI", "BUILD_NUMBER")
        return {name: value for name, value in os.environ.items() if not name.startswith(other)}

    def run(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code, and what was printed."""
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.variables, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr
