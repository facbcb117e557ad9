"""The HTTP API, on moto's DynamoDB: what each request answers, stores, and tells the user's connections."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import text

from handlers.chat.limits.policy import QuotaUsage
from handlers.chat.records import Chat
from handlers.chat.settings import Settings
from handlers.chat.store.tables import TokensItem
from tests.support.conversation import answer, ask, claim
from tests.support.http_api import Invocations, event, request, services
from tests.support.runtime import FakeRuntime
from tests.support.unlimited import UNLIMITED

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def delivered(invocations):
    return [(each.get("user_id"), each["frame"]) for each in invocations.of("DeliverFunction")]


def chat(store, chat_id="chat", user="alice", minutes=0, title=None):
    store.chats.add(Chat(user, chat_id, title), NOON + timedelta(minutes=minutes))


class TestChats:
    def test_the_one_with_the_newest_message_comes_first(self, store):
        for number in range(5):
            chat(store, f"chat-{number}", minutes=number)
        chat(store, "foreign", "bob")
        listed = request("GET", "/chats", "alice").json
        assert [each["chatId"] for each in listed["chats"]] == [f"chat-{number}" for number in (4, 3, 2, 1, 0)]
        assert listed["chats"][0] == {
            "chatId": "chat-4",
            "title": "Новый чат",
            "updatedAt": "2026-11-23T12:04:00.000Z",
        }
        assert listed["cursor"] is None

    def test_the_pages_hold_every_chat_once(self, store):
        for number in range(7):
            chat(store, f"chat-{number}", minutes=number % 3)
        found, cursor, sizes = [], {}, []
        while cursor is not None:
            page = request("GET", "/chats", "alice", limit=3, **cursor).json
            found += [each["chatId"] for each in page["chats"]]
            sizes.append(len(page["chats"]))
            cursor = {"cursor": page["cursor"]} if page["cursor"] else None
        assert (sorted(found), sizes) == ([f"chat-{number}" for number in range(7)], [3, 3, 1])

    def test_a_cursor_of_bobs_shows_alice_her_own_chats(self, store):
        for number in range(3):
            chat(store, f"bobs-{number}", "bob", minutes=number)
            chat(store, f"alices-{number}", "alice", minutes=number)
        cursor = request("GET", "/chats", "bob", limit=1).json["cursor"]
        page = request("GET", "/chats", "alice", cursor=cursor).json
        assert {each["chatId"] for each in page["chats"]} <= {"alices-0", "alices-1", "alices-2"}

    @pytest.mark.parametrize(
        "cursor",
        ["x", "ÿ", "W10", "WyJhIl0", "WyJhIiwgImIiXQ", "bnVsbA", "WyIyMDI2LTExLTIzIiwgIlx1ZDgwMCJd", "W" * 1024],
    )
    def test_a_made_up_cursor_is_refused(self, cursor):
        assert request("GET", "/chats", "alice", cursor=cursor).code == "invalid_format"
        assert request("GET", "/admin/users", "root", cursor=cursor).status in (200, 422)

    def test_creating_one(self, store):
        created = request("POST", "/chats", "alice", {"title": "Cafe\u0301\x07"})
        assert (created.status, created.json["title"]) == (201, "Café")
        assert request("GET", f"/chats/{created.json['chatId']}", "alice").json == created.json
        assert created.json["messageCount"] == 0

    def test_the_same_client_chat_id_gives_the_same_chat(self):
        first, second = (
            request("POST", "/chats", "alice", {"clientChatId": "c", "title": str(n)}).json for n in (1, 2)
        )
        assert first == second
        assert request("POST", "/chats", "bob", {"clientChatId": "c"}).json["chatId"] != first["chatId"]

    def test_renaming_reaches_the_users_connections(self, store, invocations):
        chat(store)
        renamed = request("PATCH", "/chats/chat", "alice", {"title": "Чай", "userId": "bob", "chatId": "other"})
        assert (renamed.status, renamed.json["title"]) == (200, "Чай")
        assert store.chats.get("alice", "chat").title == "Чай"
        frame = {"type": "chat_updated", "data": {"chatId": "chat", "title": "Чай"}}
        assert delivered(invocations) == [("alice", frame)]

    def test_a_rename_stands_where_nobody_can_be_told(self, store, invocations, monkeypatch):
        chat(store)
        monkeypatch.setattr(invocations, "invoke", lambda *_: 1 / 0)
        assert request("PATCH", "/chats/chat", "alice", {"title": "Чай"}).status == 200

    @pytest.mark.parametrize("title", ["", "  ", "\x00", "\n\t\u2003", 7, ["x"], "x" * 201])
    def test_a_chat_cannot_be_created_with_a_title_that_is_none(self, store, title):
        assert request("POST", "/chats", "alice", {"title": title}).code == "invalid_format"
        assert request("GET", "/chats", "alice").json["chats"] == []

    @pytest.mark.parametrize("title", ["", "  ", "\x00", "\n\t\u2003", 7, None, ["x"], "x" * 201])
    def test_a_title_must_be_one(self, store, title):
        chat(store)
        assert request("PATCH", "/chats/chat", "alice", {"title": title}).code == "invalid_format"
        assert store.chats.get("alice", "chat").title is None


class TestDeleting:
    def test_the_chat_is_gone_at_once_and_its_messages_are_handed_over(self, store, invocations):
        chat(store)
        answer(store, ask(store, "m1", "m2"))
        assert (request("DELETE", "/chats/chat", "alice").status, store.chats.get("alice", "chat")) == (204, None)
        [erasure] = invocations.of("EraseFunction")
        created_at = "2026-11-23T12:00:00+00:00"
        assert erasure == {"user_id": "alice", "chat_id": "chat", "created_at": created_at, "until": "m2"}
        assert delivered(invocations) == [("alice", {"type": "chat_deleted", "data": {"chatId": "chat"}})]
        assert request("DELETE", "/chats/chat", "alice").code == "chat_not_found"

    def test_nothing_is_deleted_where_the_rest_cannot_be_handed_over(self, store, invocations, monkeypatch):
        chat(store)
        monkeypatch.setattr(invocations, "invoke", lambda *_: 1 / 0)
        assert request("DELETE", "/chats/chat", "alice").status == 500
        assert store.chats.get("alice", "chat") is not None

    def test_a_running_reply_finds_its_turn_gone(self, store):
        chat(store)
        handover = ask(store, "m1", "m2")
        turn = claim(store, handover)
        request("DELETE", "/chats/chat", "alice")
        assert store.turns.extend("alice", "chat", turn, NOON) is False
        assert store.chats.get("alice", "chat") is None


class TestMessages:
    @pytest.fixture(autouse=True)
    def said(self, store):
        chat(store)
        for number in range(1, 7, 2):
            answer(store, ask(store, f"m{number}", f"m{number + 1}", f"Вопрос {number}"), "Ответ")

    def page(self, **query):
        page = request("GET", "/chats/chat/messages", "alice", **query).json
        return [each["messageId"] for each in page["messages"]], page["before"], page["after"]

    def test_the_newest_page_comes_first_and_leads_both_ways(self, store):
        assert self.page(limit=2) == (["m5", "m6"], "m5", "m6")
        assert self.page(limit=2, before="m5") == (["m3", "m4"], "m3", "m4")
        assert self.page(limit=4, before="m5") == (["m1", "m2", "m3", "m4"], None, "m4")
        assert self.page(limit=2, after="m2") == (["m3", "m4"], "m3", "m4")
        assert self.page(after="m6") == ([], "m6", "m6")
        ask(store, "m7", "m8")
        assert self.page(after="m6") == (["m7"], "m7", "m7")

    def test_a_message_is_whole(self):
        shown = request("GET", "/chats/chat/messages", "alice", limit=1).json["messages"]
        assert shown == [
            {
                "messageId": "m6",
                "role": "assistant",
                "content": "Ответ",
                "timestamp": "2026-11-23T12:00:00.000Z",
                "finishReason": "stop",
                "usage": None,
            }
        ]

    def test_both_directions_at_once_are_refused(self):
        refused = request("GET", "/chats/chat/messages", "alice", before="m1", after="m2")
        assert refused.code == "invalid_format"

    @pytest.mark.parametrize("limit", [0, 101, -1, "x", "1e3"])
    def test_a_limit_is_from_1_to_100(self, limit):
        assert request("GET", "/chats/chat/messages", "alice", limit=limit).code == "invalid_format"

    def test_a_page_is_cut_before_it_is_too_large_for_lambda(self, store):
        for number in range(10, 40, 2):
            answer(store, ask(store, f"n{number}", f"n{number + 1}"), '"\\' * 150_000)
        whole = request("GET", "/chats/chat/messages", "alice", limit=100)
        assert len(json.dumps({"body": whole.text}, ensure_ascii=False).encode()) < 6_000_000
        assert whole.json["before"] == whole.json["messages"][0]["messageId"]

    def test_an_export_is_a_file(self):
        exported = request("GET", "/chats/chat/export", "alice")
        assert exported.headers["content-disposition"] == (
            'attachment; filename="chat.json"; '
            "filename*=UTF-8''%D0%9D%D0%BE%D0%B2%D1%8B%D0%B9%20%D1%87%D0%B0%D1%82.json"
        )
        assert [each["messageId"] for each in exported.json["messages"]] == ["m1", "m2", "m3", "m4", "m5", "m6"]
        assert exported.json["chat"]["messageCount"] == 6

    def test_as_markdown_it_is_text_that_nothing_may_run_in(self, store):
        store.chats.rename("alice", "chat", 'Tea\n"; filename="x.html')
        exported = request("GET", "/chats/chat/export", "alice", format="markdown")
        assert exported.headers["content-type"] == "text/markdown; charset=utf-8"
        assert exported.headers["content-security-policy"].startswith("default-src 'none'")
        assert exported.headers["content-disposition"].count("filename=") == 1
        assert exported.text.startswith(
            '# Tea "; filename="x.html\n\n## User, 2026-11-23T12:00:00.000Z\n\nВопрос 1\n\n## Assistant, '
        )

    def test_a_chat_too_large_for_one_answer_is_not_exported_in_part(self, store):
        for number in range(10, 40, 2):
            answer(store, ask(store, f"n{number}", f"n{number + 1}"), "x" * 300_000)
        assert request("GET", "/chats/chat/export", "alice").code == "chat_too_large"


REQUESTS_FOR_A_CHAT = [
    ("GET", "/chats/{}", None),
    ("PATCH", "/chats/{}", {"title": "x"}),
    ("DELETE", "/chats/{}", None),
    ("GET", "/chats/{}/messages", None),
    ("GET", "/chats/{}/export", None),
]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS_FOR_A_CHAT)
def test_a_foreign_chat_a_deleted_one_and_a_made_up_one_look_the_same(store, invocations, method, path, body):
    chat(store, "foreign", "bob", title="Бобу")
    chat(store, "deleted")
    request("DELETE", "/chats/deleted", "alice")
    told = len(invocations.invoked)
    documents = set()
    for chat_id in ("foreign", "deleted", "made-up", "foreign%23sent"):
        refused = request(method, path.format(chat_id), "alice", body)
        assert (refused.status, refused.code) == (404, "chat_not_found")
        documents.add(json.dumps({name: value for name, value in refused.json.items() if name != "instance"}))
    assert len(documents) == 1
    assert len(invocations.invoked) == told
    assert store.chats.get("bob", "foreign").title == "Бобу"


class TestUsage:
    def usage(self):
        return request("GET", "/me/usage", "alice").json

    def test_nothing_is_spent_at_first(self):
        assert self.usage() == {"day": "2026-11-23", "messages": 0, "tokens": 0}

    @pytest.mark.parametrize(("day", "messages", "tokens"), [("2026-11-23", 3, 1200), ("2026-11-22", 0, 0)])
    def test_usage_shows_today_and_not_yesterday(self, store, day, messages, tokens):
        store.users.replace_quota_usage("alice", QuotaUsage(), QuotaUsage(day, 3))
        TokensItem(TokensItem.partition_of("alice"), day, tokens=1200).save()
        assert self.usage() == {"day": "2026-11-23", "messages": messages, "tokens": tokens}


class TestHead:
    @pytest.mark.parametrize(
        "path", ["/health", "/me", "/me/usage", "/chats", "/chats/chat", "/chats/chat/export", "/openapi.json"]
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


def test_the_document_names_every_operation_and_gives_examples():
    document = request("GET", "/openapi.json").json
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids)) == 17
    for operation in operations:
        if operation["operationId"] != "health":
            assert {"401", "422", "429", "500"} <= operation["responses"].keys(), operation["operationId"]
            assert operation["security"] == [{"HTTPBearer": []}]
            assert operation["description"]


def test_an_event_is_what_aws_sends():
    sent = APIGatewayProxyEventV2(event("GET", "/me", "a=b", {}, None))
    assert (sent.http_method, sent.path, sent.raw_query_string) == ("GET", "/me", "a=b")
