"""Requests before any operation: ids in paths, methods, media types, and the limits of a user."""

from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import text
from parley.gateway.http.event import event_path

from handlers import api
from handlers.chat.limits.policy import QuotaUsage
from handlers.chat.records import Chat, User, is_user_id
from handlers.chat.settings import Settings
from tests.support.http_api import Invocations, event, request, services
from tests.support.lambda_context import LambdaContext
from tests.support.runtime import NOON, FakeRuntime
from tests.support.unlimited import UNLIMITED


def chat(store, chat_id="chat"):
    store.chats.add(Chat("alice", chat_id), NOON)


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


class TestHead:
    @pytest.mark.parametrize(
        "path",
        [
            "/health",
            "/me",
            "/me/usage",
            "/chats",
            "/chats/chat",
            "/chats/chat/export",
            "/openapi.json",
            "/asyncapi.json",
        ],
    )
    def test_it_answers_like_get_without_a_body(self, store, path):
        chat(store)
        get, head = request("GET", path, "alice"), request("HEAD", path, "alice")
        assert (head.status, head.headers, head.text) == (get.status, get.headers, "")
        assert get.text

    @pytest.mark.parametrize(
        ("path", "user", "status"),
        [
            ("/chats/none", "alice", 404),
            ("/me", None, 401),
            ("/nowhere", None, 404),
            ("/admin/broadcast", "root", 405),
            ("/admin/users", "alice", 403),
        ],
    )
    def test_a_refusal_has_no_body_either(self, path, user, status):
        refused = request("HEAD", path, user)
        assert (refused.status, refused.text) == (status, "")

    def test_every_get_operation_takes_it(self):
        paths = request("GET", "/openapi.json").json["paths"]
        for path, operations in paths.items():
            status = request("HEAD", path.replace("{chatId}", "x").replace("{userId}", "x"), "root").status
            assert (status == 405) == ("get" not in operations), path


BAD_BODIES = [
    *('{"title": "\\ud800"}', '{"title": ' + "[" * 5000 + "]" * 5000 + "}", '{"n": ' + "9" * 4000 + "}", "{"),
    '{"a": NaN}',
]

TYPES = [
    *(
        "application/json",
        "application/JSON",
        "Application/Json ; charset=UTF-8",
        "application/json;a=b",
        "APPLICATION",
    ),
    *("Application/Problem+Json", "application/vnd.api+JSON", "text/plain", "text/json", "", "a/b/c", "multipart/x"),
]


class TestContentTypes:
    """A media type has no case, and may have parameters (RFC 9110 section 8.3.1). Bad JSON is refused under any."""

    @pytest.mark.parametrize("kind", TYPES)
    @pytest.mark.parametrize("body", BAD_BODIES)
    def test_bad_json_is_refused_under_any_type(self, kind, body):
        assert request("POST", "/chats", "alice", body, headers={"content-type": kind}).code == "invalid_format"

    @given(text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=40))
    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_lone_surrogate_is_never_our_failure(self, kind):
        refused = request("POST", "/chats", "alice", '{"title": "\\ud800"}', headers={"content-type": kind})
        assert refused.code == "invalid_format"

    @pytest.mark.parametrize("kind", TYPES[:4])
    def test_json_is_read_however_its_type_is_spelt(self, kind):
        created = request("POST", "/chats", "alice", {"title": "Tea"}, headers={"content-type": kind})
        assert (created.status, created.json["title"]) == (201, "Tea")

    @pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded"])
    def test_what_a_page_may_send_without_a_preflight_creates_nothing(self, kind):
        refused = request("POST", "/chats", "alice", {"title": "Tea"}, headers={"content-type": kind})
        assert refused.code == "invalid_format"


@contextmanager
def limited(**limits):
    """The API under some limits, at a moment that `clock` holds."""
    clock = [NOON]
    runtime = FakeRuntime(lambda: clock[0])
    with services(functions=Invocations(), runtime=runtime, settings=Settings.of(UNLIMITED | limits)):
        yield clock


class TestRequestsPerMinute:
    def test_one_too_many_is_429_and_names_the_wait(self):
        with limited(REQUESTS_PER_MINUTE="3") as clock:
            assert [request("GET", "/me", "alice").status for _ in range(4)] == [200, 200, 200, 429]
            refused = request("POST", "/chats", "alice", {})
            assert (refused.code, refused.headers["retry-after"], refused.json["retryAfter"]) == (
                "rate_limited",
                "20",
                20,
            )
            assert request("GET", "/me", "bob").status == 200
            clock[0] += timedelta(seconds=20)
            assert [request("GET", "/me", "alice").status for _ in range(2)] == [200, 429]

    def test_every_operation_counts_and_a_bad_token_does_not(self):
        with limited(REQUESTS_PER_MINUTE="4"):
            for method, path in (("GET", "/chats/x"), ("DELETE", "/chats/x"), ("HEAD", "/me"), ("GET", "/admin/users")):
                assert request(method, path, "alice").status in (200, 403, 404)
                assert request(method, path).status == 401
            assert request("GET", "/me", "alice").code == "rate_limited"
            assert request("GET", "/health").status == 200

    def test_0_is_no_limit(self):
        with limited():
            assert {request("GET", "/me", "alice").status for _ in range(200)} == {200}


class TestChatsPerUser:
    def test_one_too_many_is_429_until_one_is_deleted(self, store):
        with limited(CHATS_PER_USER="2") as clock:
            first, _ = (request("POST", "/chats", "alice", {}).json["chatId"] for _ in range(2))
            refused = request("POST", "/chats", "alice", {})
            assert (refused.code, refused.headers["retry-after"]) == ("rate_limited", "60")
            assert request("POST", "/chats", "bob", {}).status == 201
            request("DELETE", f"/chats/{first}", "alice")
            clock[0] += timedelta(seconds=60)
            assert [request("POST", "/chats", "alice", {}).status for _ in range(2)] == [201, 429]

    def test_the_same_client_chat_id_is_the_same_chat_at_the_limit_too(self):
        with limited(CHATS_PER_USER="1"):
            first, again = (request("POST", "/chats", "alice", {"clientChatId": "c"}) for _ in range(2))
            assert (first.status, again.json) == (201, first.json)

    def test_chats_from_before_the_limit_count(self, store):
        for number in range(3):
            chat(store, f"old-{number}")
        with limited(CHATS_PER_USER="4"):
            assert [request("POST", "/chats", "alice", {}).status for _ in range(2)] == [201, 429]

    def test_a_message_and_a_chat_do_not_lose_each_others_count(self, store):
        with limited(CHATS_PER_USER="3"):
            request("POST", "/chats", "alice", {})
            assert store.users.replace_quota_usage("alice", QuotaUsage(), QuotaUsage("2026-11-23", 1))
            request("POST", "/chats", "alice", {})
            assert store.users.quota_usage("alice") == QuotaUsage("2026-11-23", 1)
            assert store.users.chat_count("alice").existing == 2
