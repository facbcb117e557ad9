"""The paths of WebSocket APIs."""

from parley.emulator.paths import mounted
from parley.template.model import Stage, WebSocketApi


def api(name, *stages):
    return WebSocketApi(name, "abcdef1234", tuple(map(Stage, stages)), "$request.body.action", {})


def names(*apis):
    return {path: f"{found.logical_id}/{stage.name}" for path, (found, stage) in mounted(apis).items()}


def test_one_api_is_found_by_its_stages():
    assert names(api("A", "live", "test")) == {"/live": "A/live", "/test": "A/test", "/ws/chat": "A/live"}


def test_several_have_paths_of_their_own():
    assert names(api("A", "live"), api("B", "live", "test")) == {
        "/A/live": "A/live",
        "/B/live": "B/live",
        "/B/test": "B/test",
        "/test": "B/test",
        "/ws/chat": "A/live",
    }


def test_none_has_none():
    assert names() == {}
