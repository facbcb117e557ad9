"""Refused requests: problem documents, ids in paths, and pages of other origins."""

import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis.strategies import text
from parley.gateway.http.event import event_path

from handlers import api
from handlers.chat.records import User, is_user_id
from handlers.chat.store import StoreError
from tests.support.http_api import event, request
from tests.support.lambda_context import LambdaContext

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


UNNAMEABLE = ["org/bob", "u%41", "q?x", "%", "..", ".", "a/", "/", "a\nb", "", "a" * 129]
"""Ids that a path cannot name: API Gateway decodes a path twice and cuts it at `?`, clients resolve dots."""


class TestIdsInPaths:
    """A path names exactly the user that it was made of, or the id is refused wherever a user could begin."""

    @given(text(min_size=1, max_size=128))
    @example("auth0|9")
    @example("ann+tea@example.com")
    @example("a#b;c=d&e")
    @example("back\\slash")
    @example("Ünïcode 茶")
    @example("u%41")
    @settings(max_examples=300)
    def test_an_id_comes_out_of_an_encoded_path_as_it_went_in(self, user_id):
        path = "/admin/users/" + quote(user_id, safe="")
        if is_user_id(user_id):
            assert event_path(path) == "/admin/users/" + user_id
            scope = api.HttpApiEvent(event("PATCH", path, "", {}, None), LambdaContext(), api.adapter.config).scope
            assert scope["path"] == "/admin/users/" + user_id

    @pytest.mark.parametrize("user_id", UNNAMEABLE)
    def test_what_no_path_can_name_is_no_users_id(self, store, user_id):
        assert not is_user_id(user_id)
        assert request("POST", "/admin/users", "root", {"userId": user_id}).code == "invalid_format"
        assert store.users.get("org/bob") is None
        assert request("GET", "/me", user_id or "\0").code == "invalid_token"

    @pytest.mark.parametrize("user_id", ["auth0|9", "a#b", "a b", "é", "ann+tea@example.com", "domain\\ann", "a&b;c"])
    def test_exactly_the_named_user_is_changed(self, store, user_id):
        for each in (user_id, "a", "other"):
            store.users.add(User(each))
        path = f"/admin/users/{quote(user_id, safe='')}"
        assert request("PATCH", path, "root", {"disabled": True}).json["userId"] == user_id
        assert request("GET", f"{path}/connections", "root").status == 200
        disabled = {each.user_id for each in store.users.page(100, None).items if each.disabled}
        assert disabled == {user_id}

    @pytest.mark.parametrize("path", ["u%252541", "q%253Fx", "%252e%252e"])
    def test_a_path_that_names_no_possible_id_changes_nobody(self, store, path):
        for each in ("uA", "q", "u"):
            store.users.add(User(each))
        refused = request("PATCH", f"/admin/users/{path}", "root", {"disabled": True})
        assert refused.code == "invalid_format"
        assert not any(each.disabled for each in store.users.page(100, None).items)


class TestProblems:
    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/nowhere", 404, "not_found"),
            ("GET", "/chats/", 404, "not_found"),
            ("PUT", "/chats", 405, "method_not_allowed"),
            ("OPTIONS", "/chats", 405, "method_not_allowed"),
            ("GET", "/chats", 401, "not_authenticated"),
            ("GET", "/admin/users", 401, "not_authenticated"),
        ],
    )
    def test_unknown_paths_and_methods_are_refused(self, method, path, status, code):
        refused = request(method, path)
        assert (refused.status, refused.code) == (status, code)
        assert refused.json["instance"] == path

    def test_a_path_tells_all_its_methods(self):
        assert request("PUT", "/chats").headers["allow"] == "GET, HEAD, POST"
        assert request("PUT", "/chats/x").headers["allow"] == "DELETE, GET, HEAD, PATCH"

    @pytest.mark.parametrize(
        "body",
        [
            "{",
            '"text"',
            "[" * 100_000,
            '{"title": ' + "[" * 40 + "]" * 40 + "}",
            '{"title": ' + "1" * 4_301 + "}",
            '{"title": NaN}',
            '{"title": "\\ud800"}',
            '{"title": 1e999}',
        ],
    )
    def test_bombs_in_a_body_are_refused(self, body):
        refused = request("POST", "/chats", "alice", body)
        assert refused.status in (413, 422)
        assert refused.code in ("invalid_format", "body_too_large")

    def test_a_body_has_64_kilobytes_at_most(self):
        def padded(size):
            return json.dumps({"x": "x" * (size - 9)})

        assert request("POST", "/chats", "alice", padded(65_536)).status == 201
        assert request("POST", "/chats", "alice", padded(65_537)).code == "body_too_large"

    def test_problems_do_not_repeat_the_request(self):
        refused = request("POST", "/chats", "alice", {"title": ["hunter2"], "clientChatId": "hunter2\n"})
        assert refused.json["errors"] == [
            {"where": "body/title", "what": "Input should be a valid string"},
            {"where": "body/clientChatId", "what": "String should match pattern '^[^\\x00-\\x1f\\x7f-\\x9f]{1,64}$'"},
        ]
        assert "hunter2" not in refused.text

    @pytest.mark.parametrize(("error", "wait"), [(RuntimeError("secret 7"), None), (StoreError("secret 7"), "2")])
    def test_a_failure_says_no_more_than_a_reference(self, store, monkeypatch, error, wait):
        def fails(*_):
            raise error

        monkeypatch.setattr(type(store.chats), "get", fails)
        failed = request("GET", "/chats/chat", "alice")
        assert (failed.status, failed.code, failed.headers.get("retry-after")) == (500, "internal", wait)
        assert failed.json["reference"] == LambdaContext.aws_request_id
        assert "secret" not in failed.text
        assert "Traceback" not in failed.text

    def test_every_answer_is_data_that_is_not_kept(self, store):
        for path, user in (("/health", None), ("/me", "alice"), ("/me", None), ("/x", None), ("/openapi.json", None)):
            headers = request("GET", path, user).headers
            assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


class TestCors:
    def preflight(self, origin):
        headers = {
            "origin": origin,
            "access-control-request-method": "PATCH",
            "access-control-request-headers": "authorization",
        }
        return request("OPTIONS", "/chats/x", headers=headers)

    def test_without_the_setting_no_page_is_let_in(self):
        assert "access-control-allow-origin" not in self.preflight("https://chat.example").headers

    def test_pages_that_are_named_may_ask_and_see_refusals_too(self, monkeypatch):
        origins = ("https://chat.example", "http://localhost:3000")
        monkeypatch.setattr(api.adapter, "app", api.application(api.app.state.services, origins))
        allowed = self.preflight("https://chat.example")
        assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, "https://chat.example")
        assert "PATCH" in allowed.headers["access-control-allow-methods"]
        assert "access-control-allow-origin" not in self.preflight("https://evil.example").headers
        refused = request("GET", "/me", headers={"origin": "http://localhost:3000"})
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, "http://localhost:3000")
