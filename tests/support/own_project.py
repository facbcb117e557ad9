"""A copy of our own functions and their template, whose assistants a test may change."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.devices import ROOT


def copy(folder: Path) -> str:
    """Copy the project into a folder, and return the path of the copy's template, as `PARLEY_TEMPLATE` takes it."""
    shutil.copytree(ROOT / "handlers", folder / "handlers", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "infra").mkdir()
    return str(shutil.copy(ROOT / "infra" / "template.yaml", folder / "infra"))
