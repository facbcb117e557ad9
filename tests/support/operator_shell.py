"""An operator at a shell: `make` and `parley`, with credentials for an AWS account on loopback."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.aws_account import Account, running
from tests.support.devices import PARLEY, ROOT
from tests.support.waiting import HANGS

CONFIG = """
version = 0.1
[dev.global.parameters]
stack_name = "parley-dev"
[dev.build.parameters]
build_in_source = true
[dev.deploy.parameters]
capabilities = "CAPABILITY_IAM"
resolve_s3 = true
s3_prefix = "parley-dev"
fail_on_empty_changeset = false
parameter_overrides = ["LogLevel=DEBUG", "ChatLanguage=en"]
"""


@dataclass
class Operator:
    """An operator at a shell with credentials for the account."""

    account: Account
    folder: Path
    variables: dict[str, str]

    def make(self, verb: str, *settings: str) -> subprocess.CompletedProcess[str]:
        """Run a verb for the stage dev. `deploy` takes a bundle of one file instead of a build."""
        settings = ("STAGE=dev", f"SAM_CONFIG_FILE={self.folder / 'samconfig.toml'}", *settings)
        if verb == "deploy":
            settings += ("NO_BUILD=1", f"ARGS=--template-file {self.folder / 'built' / 'template.yaml'}")
        return self.run("make", "--no-print-directory", verb, *settings)

    def parley(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(PARLEY, *arguments)

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE"))}
        environment = inherited | self.account.environment() | self.variables
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=HANGS, check=False
        )


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    (tmp_path / "samconfig.toml").write_text(CONFIG)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "app.py").write_text("")
    (tmp_path / "built").mkdir()
    template = (ROOT / "infra" / "template.yaml").read_text()
    (tmp_path / "built" / "template.yaml").write_text(re.sub(r"(CodeUri:) \.\./\n", r"\1 ../bundle\n", template))
    with running() as account:
        account.secrets = {"/parley/jwt"}
        yield Operator(account, tmp_path, {})
