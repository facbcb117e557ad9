"""A wrong setting: every function starts, refuses what it must not do then, and names the variable to the operator."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from parley.template.source import load

from handlers.chat.delivery.gateway import UnusableGateway
from handlers.chat.errors import PostFailed
from handlers.chat.log import logger
from tests.support.function_deployment import FunctionDeployment
from tests.support.http_api import Invocations, request, services
from tests.support.settings_rules import IDENTITY_RULES, WRONG
from tests.support.wiring import wiring

ROOT = Path(__file__).parents[2]
MODULES = (
    *("api", "connect", "default", "generate"),
    *(pytest.param(module, marks=pytest.mark.full) for module in ("deliver", "disconnect", "erase", "expire")),
)
IDENTITY = ("JWT_SECRET", "JWT_JWKS_URL", "JWT_ISSUER")

REFUSED = "unavailable"
NOTHING = {"connect": 200, "join_chat": None, "create_chat": None, "message": None, "ping": None, "/me": 200}
NO_TURN = NOTHING | {"message": REFUSED}
NOBODY = dict.fromkeys(NOTHING, REFUSED) | {"connect": 503, "/me": 503}
"""What is refused: a status of `$connect` and of a route, and the code of the error frame for each frame."""

LETS_NOBODY_IN = {"AUTO_CREATE_USERS", "ALLOWED_ORIGINS", "JWT_AUDIENCE", "JWT_USER_CLAIM"}


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr(logger.registered_handler, "stream", log := StringIO())
    return log


def health():
    with services(functions=Invocations(), authenticator=wiring().authenticator):
        answer = request("GET", "/health")
    return answer.status, answer.json.get("settings", [])


def events(log, name):
    lines = map(json.loads, log.getvalue().splitlines())
    return [line for line in lines if line["message"] == name]


def expected(name):
    return NOBODY if name in LETS_NOBODY_IN else NO_TURN


@pytest.mark.parametrize("name", sorted(WRONG))
def test_each_function_says_of_each_variable_what_it_must(name, store, monkeypatch, log):
    monkeypatch.setenv(name, WRONG[name])
    deployment = FunctionDeployment(store)
    assert deployment.answers() == expected(name)
    assert health() == (503, [name])
    assert {line["variable"] for line in events(log, "setting_wrong")} == {name}
    refused = events(log, "refused_by_settings")
    assert all(line["level"] == "ERROR" for line in refused)
    assert {each for line in refused for each in line["variables"]} == {name}
    assert name not in json.dumps(deployment.gateway.frames), "a client is told of settings"


@pytest.mark.parametrize(("environ", "named"), [rule for rule in IDENTITY_RULES if rule[1]])
def test_a_wrong_way_to_verify_tokens_lets_nobody_in_and_is_named(environ, named, store, monkeypatch, log):
    for name in IDENTITY:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    deployment = FunctionDeployment(store)
    assert deployment.answers() == NOBODY
    assert deployment.connects() == 503, "an anonymous connection"
    assert store.connections.get("new=") is None
    assert deployment.functions.invoked == []
    assert health() == (503, named)
    assert [line["variables"] for line in events(log, "refused_by_settings")] == [named] * 7


def test_with_good_settings_nothing_of_this_happens(store, log):
    assert FunctionDeployment(store).answers() == NOTHING
    assert health() == (200, [])
    assert events(log, "setting_wrong") + events(log, "refused_by_settings") == []


@pytest.mark.parametrize("kind", ["message", "regenerate"])
def test_a_turn_that_the_worker_could_not_make_does_not_begin(kind, store, monkeypatch):
    deployment = FunctionDeployment(store)
    assert deployment.sends("create_chat") is None
    chat_id = deployment.gateway.frames[-1][1]["data"]["chatId"]
    before = list(store.messages.newest_first(chat_id)), store.chats.get("alice", chat_id)
    monkeypatch.setenv("HISTORY_CHARS", "0")
    deployment.wired = wiring(gateway=deployment.gateway, functions=deployment.functions)
    assert deployment.sends(kind, message="Hi", clientMessageId="m1") == "unavailable"
    assert (list(store.messages.newest_first(chat_id)), store.chats.get("alice", chat_id)) == before
    assert deployment.functions.of("GenerateFunction") == []
    assert deployment.gateway.frames[-1][1]["data"] == {
        "message": "The service is unavailable: its operator has to correct a setting",
        "code": "unavailable",
        "clientMessageId": "m1",
    }


@pytest.mark.parametrize(
    "path", ["/me", "/chats", "/chats/x/messages", "/admin/users", "/openapi.json", "/asyncapi.json", "/nothing"]
)
@pytest.mark.parametrize("user", [None, "alice"])
def test_every_route_but_the_health_check_is_a_problem_document_with_503(path, user, store, monkeypatch):
    monkeypatch.setenv("JWT_SECRET", "short")
    with services(functions=Invocations(), authenticator=wiring().authenticator):
        answer = request("GET", path, user)
        assert (answer.status, answer.code) == (503, "unavailable")
        assert "JWT" not in answer.text
        assert request("HEAD", "/health").status == 503


def test_a_gateway_without_an_endpoint_fails_each_post(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", "abc/live")
    gateway = wiring().gateway
    assert isinstance(gateway, UnusableGateway)
    for ask in (lambda: gateway.post("c=", b"{}"), lambda: gateway.close("c=")):
        with pytest.raises(PostFailed, match="AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"):
            ask()


@pytest.mark.parametrize("module", MODULES)
def test_no_value_of_any_variable_keeps_a_function_from_starting(module):
    template = load((ROOT / "infra" / "template.yaml").read_text())
    own = template["Resources"][f"{module.title()}Function"]["Properties"].get("Environment", {}).get("Variables", {})
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    environ = dict.fromkeys({**shared, **own}, "wrong\nvalue") | {
        "AWS_DEFAULT_REGION": "us-east-1",
        "PATH": os.environ["PATH"],
    }
    command = [sys.executable, "-c", f"import handlers.{module} as m; print(*sorted(m.wired.wrong_settings))"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *_, named = done.stdout.splitlines()
    assert set(WRONG) & environ.keys() <= set(named.split())
