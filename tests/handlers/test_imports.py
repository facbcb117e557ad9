"""The third-party packages that each function loads at a cold start."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": "https://abc.execute-api.us-east-1.amazonaws.com/live",
    "JWT_SECRET": "x" * 32,
}
COMMON = {
    *("boto3", "s3transfer", "botocore", "jmespath", "urllib3", "dateutil", "six"),
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
    "sitecustomize",
}
"""What packages import of others where these happen to be installed, as the emulator's are here, and the module of the
machine that Python imports first, if there is one, as Debian's."""

LOADED = {
    "connect": COMMON | {"jwt"},
    "disconnect": COMMON,
    "default": COMMON | READS_FRAMES | {"jwt", "uuid_utils"},
    "deliver": COMMON,
    "erase": COMMON,
    "expire": COMMON,
}


START = """
import gc, json, sys
collected = []
gc.callbacks.append(lambda phase, info: collected.append(phase))
import handlers.collector
collected.clear()
import handlers.{function}
print(json.dumps({{
    "collections": len(collected),
    "collects": gc.isenabled(),
    "frozen": gc.get_freeze_count(),
    "modules": list(sys.modules),
    "has_client": sys.modules["handlers.chat.store.dynamodb"].CONNECTION._client is not None,
}}))
"""


@functools.cache
def start_of(function: str) -> dict[str, Any]:
    """The state of a process that has just loaded a function."""
    return json.loads(output_of(START.format(function=function)))


def packages_of(function: str) -> set[str]:
    return {name.partition(".")[0] for name in start_of(function)["modules"]}


@pytest.mark.parametrize("function", LOADED)
def test_a_function_loads_just_what_it_needs(function):
    third_party = packages_of(function) - sys.stdlib_module_names - {"__main__", "handlers"}
    own_names = {name for name in third_party if not name.startswith("_")}
    assert own_names - MAY_BE_THERE == LOADED[function]


@pytest.mark.parametrize("function", LOADED)
def test_no_function_loads_the_heavy_ones_of_others(function):
    assert not packages_of(function) & {"openai", "fastapi", "mangum", "httpx", "httpx2", "starlette"}


@pytest.mark.parametrize("function", [*LOADED, "generate", "api"])
def test_the_collector_rests_while_a_function_starts_and_works_after_that(function):
    start = start_of(function)
    assert (start["collections"], start["collects"]) == (0, True)
    assert start["frozen"] > 10_000


@pytest.mark.parametrize("function", [*LOADED, "generate", "api"])
def test_the_client_of_the_tables_is_there_before_the_first_event(function):
    assert start_of(function)["has_client"]


def test_the_first_question_to_the_model_loads_no_more_of_its_client():
    """Somebody waits for it. `openai.resources` alone takes longer than all else that a worker does before a token."""
    code = """
import sys, threading, handlers.generate
from handlers.chat.records import Role
from tests.support.completions_server import CompletionsServer
from handlers.chat.replies.llm import Model
from handlers.chat.replies.messages import PromptMessage
from handlers.chat.replies.prompt import Question
from handlers.chat.settings import Settings
server = CompletionsServer()
server.body = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\\n\\ndata: [DONE]\\n\\n'
threading.Thread(target=server.serve_forever, daemon=True).start()
before = {name for name in sys.modules if name.startswith("openai")}
model = Model.of(Settings.of({"OPENAI_BASE_URL": f"http://127.0.0.1:{server.server_port}/v1"}), "k")
assert [delta.text for delta in model.answer(Question((PromptMessage(Role.USER, "Hi"),)))] == ["Hi"]
print(sorted(name for name in set(sys.modules) - before if name.startswith("openai")))
"""
    assert output_of(code) == "[]"


@pytest.mark.parametrize(
    ("functions", "loaded"),
    [(["connect", "default", "api", "generate"], True), (["disconnect", "deliver", "erase", "expire"], False)],
)
def test_the_files_of_assistants_are_loaded_at_the_start_of_functions_that_need_them(functions, loaded):
    for function in functions:
        assert ("handlers.assistants.default" in start_of(function)["modules"]) is loaded


def test_our_own_assistants_load_nothing_beside_their_files():
    """Four functions load the files of all assistants at their cold start."""
    code = """
import pkgutil, sys  # with pkgutil the files are found
from handlers.chat.assistants.registry import load
before = set(sys.modules)
load()
print(sorted(name for name in set(sys.modules) - before if not name.startswith("handlers.assistants")))
"""
    assert output_of(code) == "[]"


def output_of(code: str, **variables: str) -> str:
    """Run some code in a process of its own, and return what it has printed."""
    command = [sys.executable, "-c", code]
    environment = ENVIRONMENT | variables
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_metrics_load_no_module_that_the_log_does_not():
    code = "import handlers.chat.log, sys; before = set(sys.modules); import aws_lambda_powertools.metrics"
    command = [sys.executable, "-c", f"{code}; print(*(set(sys.modules) - before))"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
