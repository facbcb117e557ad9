"""The wheel: the package `parley` and nothing else, and an emulator that runs where only the wheel is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from parley.emulator import pages
from websockets.sync.client import connect

from tests.support import noting_project
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
    if not pages.are_built():
        pytest.skip("the pages are not built: `make pages`")
    folder = tmp_path_factory.mktemp("dist")
    run(uv, "build", "--quiet", "--wheel", "--out-dir", folder)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def locked(uv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the versions of the lock file."""
    file = tmp_path_factory.mktemp("locked") / "locked.txt"
    export = ("export", "--quiet", "--frozen", "--all-groups", "--no-group", "sam", "--all-extras")
    run(uv, *export, "--no-emit-project", "--no-hashes", "--output-file", file)
    return file


def install(uv: Path, folder: Path, locked: Path, wheel: str) -> Path:
    """Make an environment with a wheel, or with extras of it, and what it requires. Return its folder."""
    run(uv, "venv", "--quiet", folder)
    run(uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python", "--constraints", locked, wheel)
    return folder


@pytest.fixture(scope="module")
def environment(uv: Path, wheel: Path, locked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with the wheel and what it requires, in the versions of the lock file."""
    return install(uv, tmp_path_factory.mktemp("environment") / "venv", locked, str(wheel))


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
    held = (each for pattern in ("*.py", "*.json", "*.cjs", "*.mjs", "py.typed") for each in package.rglob(pattern))
    built = [each for each in (package / "pages").rglob("*") if each.is_file()]
    assert any(each.suffix == ".js" for each in built)
    assert names == {str(each.relative_to(package.parent)) for each in (*held, *built)}


def test_it_is_not_built_without_the_pages(uv, tmp_path):
    for name in ("pyproject.toml", "LICENSE", "infra/wheel.py", "docs/emulator/README.md", "local/parley/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    done = subprocess.run([uv, "build", "--wheel"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Run `make pages` first" in done.stderr


def test_it_serves_a_template_where_nothing_else_is_installed(emulator):
    with connect(f"{emulator}?token=friend-ann", compression=None, legacy=True) as client:
        client.send('{"action": "whoami"}')
        assert client.recv(HANGS) == "ann"
    with urlopen(f"http://{urlsplit(emulator).netloc}/_parley/", timeout=HANGS) as console:
        assert b"<title>Parley console</title>" in console.read()


DIRECT = {
    "airspeed", "awslambdaric", "boto3", "certifi", "click", "cryptography", "httptools", "moto", "py-partiql-parser",
    "pyjwt", "python-dotenv", "pyyaml", "uvicorn", "uvloop", "websockets",
}  # fmt: skip
"""The packages that the emulator itself imports, or that functions have on AWS (boto3)."""

THEIRS = {
    # airspeed
    "cachetools", "six",
    # awslambdaric
    "simplejson", "snapshot-restore-py",
    # boto3
    "botocore", "jmespath", "python-dateutil", "s3transfer", "urllib3",
    # cryptography
    "cffi", "pycparser",
    # moto
    "certifi", "charset-normalizer", "idna", "markupsafe", "requests", "responses", "werkzeug", "xmltodict",
    # uvicorn
    "h11",
}  # fmt: skip
"""The packages that those require."""


def test_its_extras_are_the_chat_node_and_the_fixture(wheel):
    [metadata] = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA")]
    lines = zipfile.ZipFile(wheel).read(metadata).decode().splitlines()
    extras = {line.removeprefix("Provides-Extra: ") for line in lines if line.startswith("Provides-Extra: ")}
    assert extras == {"client", "node", "pytest"}


def installed(environment: Path) -> set[str]:
    listed = (
        "import importlib.metadata as m; print(*{each.name.lower().replace('_', '-') for each in m.distributions()})"
    )
    printed = subprocess.run([environment / "bin" / "python", "-c", listed], capture_output=True, text=True, check=True)
    return set(printed.stdout.split())


def test_it_installs_what_the_emulator_needs_and_nothing_else(environment):
    assert installed(environment) - {"parley-aws"} - DIRECT - THEIRS == set()
    assert DIRECT - installed(environment) == set()


def test_the_chat_names_the_extra_that_it_needs(environment):
    done = subprocess.run([environment / "bin" / "parley", "chat"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("which is not installed here: pip install 'parley-aws[client]'\n")
    assert "Traceback" not in done.stderr


def test_the_client_library_needs_no_extra(environment):
    subprocess.run([environment / "bin" / "python", "-c", "from parley.client import ParleyClient"], check=True)


def test_its_extras_bring_the_chat_and_the_fixture(uv, wheel, locked, tmp_path):
    venv = install(uv, tmp_path / "venv", locked, f"parley-aws[client,pytest] @ {wheel.as_uri()}")
    project = tmp_path / "project"
    project.mkdir()
    noting_project.make(project)
    (project / "pytest.ini").write_text("[pytest]\nparley_template = template.yaml\n")
    (project / "test_it.py").write_text("def test_it(parley):\n    assert parley.invoke('Worker') is None\n")
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    suite = [venv / "bin" / "python", "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(suite, cwd=project, env=variables, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    chat = [venv / "bin" / "python", "-c", "import parley.terminal.chat"]
    assert subprocess.run(chat, env=variables).returncode == 0
