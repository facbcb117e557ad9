"""`make pages` on a machine that cannot build them: one line says what is missing, and nothing else stops."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    """Return a folder with what `make pages` needs."""
    for name in ("Makefile", "infra/build.mk", "uv.lock", "clients/package.json", "clients/package-lock.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("clients/pages/chat", "clients/javascript/src"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def make(project, *variables):
    # A make that runs these tests would tell this one what it has been told.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "pages", *variables]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


def test_without_node_and_without_pypi_a_line_says_what_they_need(project):
    done = make(project, "HAS_NODE=", "UV=/bin/false")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "The pages are not built. They need Node 20 or newer: https://nodejs.org"
    assert not (project / "local").exists()


def test_without_the_registry_the_same_line_comes(project):
    # Where no uv is installed, make would install one, which takes seconds. With Node it has nothing to do.
    done = make(project, "HAS_NODE=yes", "NPM_CI=false", "UV=/bin/false")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "The pages are not built. They need Node 20 or newer: https://nodejs.org"
