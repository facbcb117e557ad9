"""The wheel: the package `parley` and nothing else, and an emulator that runs where only the wheel is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.support.devices import free_port
from tests.support.waiting import HANGS

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "tests" / "emulator" / "templates" / "sam"


def run(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def uv() -> Path:
    """Return the installed uv, else the one that the Makefile installs."""
    if found := shutil.which("uv"):
        return Path(found)
    run("make", "--silent", ".uv/bin/uv")
    return ROOT / ".uv" / "bin" / "uv"


@pytest.fixture(scope="module")
def wheel(uv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(uv, "build", "--quiet", "--wheel", "--out-dir", folder)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(uv: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with the wheel and what it requires, in the versions of the lock file."""
    folder = tmp_path_factory.mktemp("environment")
    locked = folder / "locked.txt"
    export = ("export", "--quiet", "--frozen", "--no-default-groups", "--no-emit-project", "--no-hashes")
    run(uv, *export, "--output-file", locked)
    run(uv, "venv", "--quiet", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    run(uv, "pip", "install", "--quiet", "--python", python, "--constraints", locked, wheel)
    return folder / "venv"


@pytest.fixture
def emulator(environment: Path, tmp_path: Path) -> Iterator[str]:
    """Start `parley up` in a folder outside of the repository. Return the URL of its WebSocket API."""
    shutil.copytree(TEMPLATE, tmp_path / "app")
    port = free_port()
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PORT": str(port)}
    command = [environment / "bin" / "parley", "up", "--template", "app/template.yaml"]
    process = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        printed: list[str] = []
        for line in process.stdout:
            printed.append(line)
            if line.startswith("  Trace "):
                break
        else:
            pytest.fail("".join(printed))
        yield f"ws://127.0.0.1:{port}/prod"
    finally:
        process.terminate()
        process.communicate(timeout=HANGS)


def test_it_holds_the_package_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = ROOT / "local" / "parley"
    held = (each for pattern in ("*.py", "*.json", "*.cjs", "*.mjs") for each in package.rglob(pattern))
    assert names == {str(each.relative_to(package.parent)) for each in held}


def test_it_serves_a_template_where_nothing_else_is_installed(emulator):
    with connect(f"{emulator}?token=friend-ann", compression=None, legacy=True) as client:
        client.send('{"action": "whoami"}')
        assert client.recv(HANGS) == "ann"
