"""Packages of npm that a test needs, installed once beside its scripts."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import HANGS


def install(folder: Path) -> None:
    """Install what the lock file in a folder names. Skip the test where there is no Node or no registry."""
    npm = shutil.which("npm")
    if not (shutil.which("node") and npm):
        pytest.skip("there is no Node here: install Node 20 or later, with npm")
    if _is_installed(folder):
        return
    command = [npm, "ci", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        why = next((line for line in done.stderr.splitlines() if line.startswith("npm error")), "no reason given")
        pytest.skip(f"the packages of {folder.name} cannot be installed, `npm ci` says: {why}")


def _is_installed(folder: Path) -> bool:
    """Return True if all that the lock file names is there. Without development, `make pages` installs less."""
    locked, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
        return False
    there = json.loads(installed.read_text())["packages"]
    return all(
        name in there
        for name, package in json.loads(locked.read_text())["packages"].items()
        if name.startswith("node_modules/") and not package.keys() & {"optional", "devOptional", "link"}
    )


def run(script: Path, order: Any) -> Any:
    """Run a script with an order on its standard input, and return what it prints. Both are JSON."""
    command = ["node", script.name]
    done = subprocess.run(
        command, cwd=script.parent, input=json.dumps(order), capture_output=True, text=True, timeout=HANGS, check=True
    )
    return json.loads(done.stdout)
