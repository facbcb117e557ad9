"""The bundles that are deployed: our code, the packages of the function's groups, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
OF_ONE_FUNCTION = {"openai": "GenerateFunction", "fastapi": "ApiFunction", "mangum": "ApiFunction"}


@pytest.fixture(scope="module", params=["ConnectFunction", "GenerateFunction", "ApiFunction"])
def bundle(request, tmp_path_factory) -> tuple[str, Path]:
    """Build one bundle of each kind, as `sam build` does."""
    folder = tmp_path_factory.mktemp(request.param)
    command = ["make", "--silent", f"build-{request.param}", f"ARTIFACTS_DIR={folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return request.param, folder


def modules(folder: Path) -> set[str]:
    return {str(source.relative_to(folder.parent)) for source in folder.rglob("*.py")}


def test_it_holds_all_of_handlers(bundle):
    _, folder = bundle
    assert modules(folder / "handlers") == modules(ROOT / "handlers")


def test_it_holds_nothing_else_of_this_repository(bundle):
    _, folder = bundle
    repository = {entry.name for entry in ROOT.iterdir()} | {"parley"}
    assert {entry.name for entry in folder.iterdir()} & repository == {"handlers"}


def test_it_holds_the_packages_of_its_groups_only(bundle):
    name, folder = bundle
    for package, function in OF_ONE_FUNCTION.items():
        assert (folder / package).exists() == (function == name), package
    for package in ("boto3", "pynamodb", "pydantic", "jwt", "aws_lambda_powertools"):
        assert (folder / package).is_dir(), package


def test_every_entry_is_named_by_its_requirements(bundle):
    """A package that nobody asked for would make each cold start and each upload larger."""
    _, folder = bundle
    installed = {entry.name.partition("-")[0].lower() for entry in folder.glob("*.dist-info")}
    asked = {
        line.partition("==")[0].strip().lower().replace("-", "_")
        for line in (folder / "requirements.txt").read_text().splitlines()
        if "==" in line
    }
    assert installed <= asked
