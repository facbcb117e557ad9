"""The functions that the first client needs."""

from dataclasses import replace
from pathlib import Path

from parley.emulator.first import first_needed
from parley.template.model import (
    Authorizer,
    Function,
    HttpApi,
    HttpRoute,
    LambdaIntegration,
    MockIntegration,
    Route,
    Stage,
    Template,
    WebSocketApi,
)
from parley.template.reader import read


def template(routes: dict[str, Route], *http: str) -> Template:
    functions = {name: Function(name, "a.b", Path(), 3.0, 128, {}) for name in ("auth", "connect", "a", "b", "worker")}
    api = WebSocketApi("Api", "a", (Stage("live"),), "", routes)
    apis = (HttpApi("Http", "h", "$default", tuple(HttpRoute("GET", f"/{name}", name) for name in http)),)
    return Template(functions, (api,), apis, ())


def route(key: str, function: str) -> Route:
    return Route(key, LambdaIntegration(function))


CONNECT = replace(route("$connect", "connect"), authorizer=Authorizer("A", "auth"))


def test_a_handshake_needs_its_authorizer_and_then_connect():
    assert first_needed(template({"b": route("b", "b"), "$connect": CONNECT})) == ["auth", "connect"]


def test_a_message_needs_the_default_route_before_others():
    routes = {"$disconnect": route("$disconnect", "b"), "$default": route("$default", "a")}
    assert first_needed(template(routes)) == ["a", "b"]


def test_one_function_for_all_leaves_room_for_another():
    routes = {key: route(key, "a") for key in ("$connect", "$default")}
    assert first_needed(template(routes, "a", "b")) == ["a", "b"]


def test_what_is_no_function_of_the_template_is_left_out():
    routes = {"$connect": Route("$connect", MockIntegration()), "$default": route("$default", "elsewhere")}
    assert first_needed(template(routes)) == []


def test_of_parley_they_are_the_handshake_and_the_frames():
    own = read(Path(__file__).parents[3] / "infra" / "template.yaml")
    assert first_needed(own) == ["ConnectFunction", "DefaultFunction"]
