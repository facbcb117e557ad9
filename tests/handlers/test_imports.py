"""The third-party packages that each function loads at a cold start."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": "https://abc.execute-api.us-east-1.amazonaws.com/live",
    "JWT_SECRET": "x" * 32,
}
COMMON = {
    *("botocore", "jmespath", "urllib3", "dateutil", "six"),
    *("aws_lambda_powertools", "pynamodb", "typing_extensions"),
}
READS_FRAMES = {"pydantic", "pydantic_core", "annotated_types", "typing_inspection"}
MAY_BE_THERE = {
    "cryptography",
    "cffi",
    "certifi",
    "idna",
    "_cffi_backend",
    "simplejson",
    "awscrt",
    "brotli",
    "zstandard",
}
"""What packages import of others where these happen to be installed, as the emulator's are here."""

LOADED = {
    "connect": COMMON,
    "disconnect": COMMON,
    "default": COMMON | READS_FRAMES | {"uuid_utils"},
    "deliver": COMMON,
    "erase": COMMON,
    "expire": COMMON,
}


@functools.cache
def modules_of(function: str) -> set[str]:
    code = f"import handlers.{function}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("function", LOADED)
def test_a_function_loads_just_what_it_needs(function):
    third_party = modules_of(function) - sys.stdlib_module_names - {"__main__", "handlers"}
    own_names = {name for name in third_party if not name.startswith("_")}
    assert own_names - MAY_BE_THERE == LOADED[function]


@pytest.mark.parametrize("function", LOADED)
def test_no_function_loads_the_heavy_ones_of_others(function):
    assert not modules_of(function) & {"openai", "fastapi", "mangum", "httpx", "httpx2", "starlette"}


def test_metrics_load_no_module_that_the_log_does_not():
    code = "import handlers.chat.log, sys; before = set(sys.modules); import aws_lambda_powertools.metrics"
    command = [sys.executable, "-c", f"{code}; print(*(set(sys.modules) - before))"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
