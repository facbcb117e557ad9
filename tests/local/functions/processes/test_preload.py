"""The modules that the zygote loads."""

import textwrap
from pathlib import Path

import pytest
from parley.functions.processes.preload import needs
from parley.template.model import Function


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def function(code: Path, handler: str) -> Function:
    return Function(
        name="f",
        handler=handler,
        code=code,
        timeout=3.0,
        memory=128,
        environment={},
    )


def test_libraries_are_found_by_the_dotted_names_in_which_they_are_imported(tmp_path):
    write(
        tmp_path,
        {
            "app.py": """
                import json, boto3
                import botocore.config as config
                from pynamodb.models import Model

                def handler(event, context):
                    import openai
            """
        },
    )
    found = needs([function(tmp_path, "app.handler")]).modules
    assert found == ["boto3", "botocore.config", "openai", "pynamodb.models", "pynamodb.models.Model"]


@pytest.mark.parametrize("handler", ["pkg.api.app.handler", "pkg/api/app.handler"])
def test_the_codes_own_modules_are_followed_and_not_loaded(tmp_path, handler):
    write(
        tmp_path,
        {
            "pkg/__init__.py": "import jwt",
            "pkg/api/__init__.py": "",
            "pkg/api/app.py": "from . import routes\nfrom ..store import Store\nimport pkg.texts",
            "pkg/api/routes.py": "import fastapi",
            "pkg/store.py": "import boto3",
            "pkg/texts.py": "import yaml\nimport pkg.api.app",
            "pkg/unused.py": "import openai",
            ".venv/lib/other.py": "import numpy",
        },
    )
    assert needs([function(tmp_path, handler)]).modules == ["boto3", "fastapi", "jwt", "yaml"]


def test_imports_for_type_checkers_are_left_out(tmp_path):
    write(
        tmp_path,
        {
            "app.py": """
                from typing import TYPE_CHECKING
                if TYPE_CHECKING:
                    import mypy_boto3_lambda
                else:
                    import boto3
            """
        },
    )
    assert needs([function(tmp_path, "app.handler")]).modules == ["boto3"]


def test_awss_runtime_is_left_for_after_the_fork(tmp_path):
    write(tmp_path, {"app.py": "from awslambdaric.lambda_context import LambdaContext"})
    assert needs([function(tmp_path, "app.handler")]).modules == []


def test_a_file_that_does_not_parse_is_left_to_fail_when_it_runs(tmp_path):
    write(tmp_path, {"app.py": "import boto3\ndef"})
    assert needs([function(tmp_path, "app.handler")]).modules == []


def test_a_text_that_can_be_a_services_name_is_one(tmp_path):
    write(
        tmp_path,
        {"app.py": "import boto3\ndef handler(event, context):\n  return boto3.client('sqs').send('Hi there')"},
    )
    assert needs([function(tmp_path, "app.handler")]).services == ["sqs"]


def test_pynamodb_calls_dynamodb(tmp_path):
    write(tmp_path, {"app.py": "from pynamodb.models import Model"})
    assert needs([function(tmp_path, "app.handler")]).services == ["dynamodb"]


def test_its_own_modules_are_those_that_it_imports_of_its_folder(tmp_path):
    write(
        tmp_path,
        {
            "pkg/app.py": "import pkg.store, helper, boto3",
            "pkg/store.py": "",
            "helper.py": "",
            "tests/test_app.py": "import pkg",
        },
    )
    assert needs([function(tmp_path, "pkg.app.handler")]).own == {tmp_path: {"pkg", "helper"}}
