"""The HTTP API, on moto's DynamoDB: what each request answers, stores, and tells the user's connections."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from handlers import api
from handlers.chat.limits.policy import QuotaUsage
from handlers.chat.protocol.frames import timestamp
from handlers.chat.records import Chat, Connection, PartState, User
from handlers.chat.store import StoreError
from handlers.chat.store.tables import TokensItem
from tests.support.conversation import answer, ask, claim
from tests.support.http_api import SECRET, event, request
from tests.support.lambda_context import LambdaContext
from tests.support.parts import CALL, SOURCE

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def chat(store, chat_id="chat", user="alice", minutes=0, title=None):
    store.chats.add(Chat(user, chat_id, title), NOON + timedelta(minutes=minutes))


def delivered(invocations):
    return [(each.get("user_id"), each["frame"]) for each in invocations.of("DeliverFunction")]


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
            "assistant": "default",
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
        assert store.turns.extend("alice", "chat", turn, NOON) is None
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

    def test_a_reply_that_has_parts_shows_them(self, store):
        parts = (replace(CALL, state=PartState.DONE, result="sun"), replace(SOURCE, index=1, offset=3))
        answer(store, ask(store, "m7", "m8"), parts=parts)
        shown = [
            {
                "index": 0,
                "offset": 0,
                "kind": "tool_call",
                "callId": "m-1-0",
                "name": "weather",
                "arguments": "{}",
                "state": "done",
                "result": "sun",
            },
            {"index": 1, "offset": 3, "kind": "source", "url": "https://example.org", "title": "Tea"},
        ]
        [message] = request("GET", "/chats/chat/messages", "alice", limit=1).json["messages"]
        assert message["parts"] == shown
        exported = request("GET", "/chats/chat/export", "alice").json["messages"]
        assert [each.get("parts") for each in exported] == [*[None] * 7, shown]

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


ADMINISTRATION = [
    ("POST", "/admin/broadcast", {"message": "x"}),
    ("POST", "/admin/users/{}/send", {"message": "x"}),
    ("GET", "/admin/users/{}/connections", None),
    ("DELETE", "/admin/users/{}/connections", None),
    ("GET", "/admin/users", None),
    ("POST", "/admin/users", {"userId": "{}"}),
    ("PATCH", "/admin/users/{}", {"disabled": True}),
    ("PATCH", "/admin/users/{}", {"roles": 7}),
]


class TestAdministrators:
    @pytest.mark.parametrize(("method", "path", "body"), ADMINISTRATION)
    def test_nobody_else_does_what_they_do_or_learns_who_exists(self, store, invocations, method, path, body):
        before = store.users.get("bob")
        documents = set()
        for target in ("bob", "nobody"):
            refused = request(
                method, path.format(target), "alice", body and json.loads(json.dumps(body).replace("{}", target))
            )
            assert (refused.status, refused.code) == (403, "forbidden")
            documents.add(json.dumps({name: value for name, value in refused.json.items() if name != "instance"}))
        assert len(documents) == 1
        assert (invocations.invoked, store.users.get("bob"), store.users.get("nobody")) == ([], before, None)

    def test_a_role_in_a_token_means_nothing(self, store):
        claims = {"userId": "alice", "roles": ["admin"], "role": "admin", "exp": datetime.now(UTC) + timedelta(hours=1)}
        bearer = {"authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}
        assert request("GET", "/admin/users", headers=bearer).code == "forbidden"

    @pytest.mark.parametrize(
        ("message", "frame"),
        [
            ("Чай готов", {"type": "notice", "data": {"message": "Чай готов"}}),
            ({"type": "note", "data": {"text": "Чай"}}, {"type": "note", "data": {"text": "Чай"}}),
        ],
    )
    def test_a_text_is_sent_as_a_notice_and_a_frame_as_it_is(self, invocations, message, frame):
        assert request("POST", "/admin/broadcast", "root", {"message": message}).status == 202
        assert request("POST", "/admin/users/bob/send", "root", {"message": message}).status == 202
        assert invocations.of("DeliverFunction") == [{"frame": frame}, {"frame": frame, "user_id": "bob"}]
        assert request("POST", "/admin/users/nobody/send", "root", {"message": message}).code == "user_not_found"

    def test_a_frame_that_no_connection_takes_is_refused(self, invocations):
        frame = {"type": "note", "data": {"text": "x" * 40_000}}
        assert request("POST", "/admin/broadcast", "root", {"message": frame}).code == "message_too_large"
        assert invocations.invoked == []

    def test_connections_are_shown_and_closed(self, store, invocations):
        now = datetime.now(UTC)  # DynamoDB Local deletes rows whose time to live is over
        for name, user in (("c1=", "bob"), ("c2=", "bob"), ("c3=", "alice")):
            store.connections.add(Connection(name, now, user))
        shown = request("GET", "/admin/users/bob/connections", "root").json["connections"]
        assert sorted(each["connectionId"] for each in shown) == ["c1=", "c2="]
        assert (shown[0]["chatId"], shown[0]["connectedAt"]) == (None, timestamp(now))
        invocations.gateway.gone = {"c2="}
        assert request("DELETE", "/admin/users/bob/connections", "root").json == {"closed": 1}
        assert sorted(invocations.gateway.closed) == ["c1=", "c2="]
        assert request("DELETE", "/admin/users/nobody/connections", "root").code == "user_not_found"

    def test_users_are_added_once(self, store):
        added = request("POST", "/admin/users", "root", {"userId": "carol", "roles": ["admin"], "disabled": True})
        assert added.status == 201
        assert added.json == {
            "userId": "carol",
            "name": None,
            "roles": ["admin"],
            "disabled": False,
            "createdAt": "2026-11-23T12:00:00.000Z",
        }
        assert store.users.get("carol") == User("carol", None, frozenset({"admin"}), False, NOON)
        assert request("POST", "/admin/users", "root", {"userId": "carol"}).code == "user_exists"
        assert store.users.get("carol").roles == {"admin"}

    def test_they_are_listed_in_pages(self, store):
        found, cursor = set(), {}
        while cursor is not None:
            page = request("GET", "/admin/users", "root", limit=2, **cursor).json
            found |= {each["userId"] for each in page["users"]}
            cursor = {"cursor": page["cursor"]} if page["cursor"] else None
        assert found == {"alice", "bob", "root"}

    def test_a_disabled_user_is_unknown_and_disconnected_until_enabled(self, store, invocations):
        store.connections.add(Connection("c1=", datetime.now(UTC), "bob"))
        changed = request("PATCH", "/admin/users/bob", "root", {"disabled": True})
        assert changed.json["disabled"] is True
        assert invocations.gateway.closed == ["c1="]
        unknown = request("GET", "/me", "nobody")
        assert request("GET", "/me", "bob") == unknown
        assert unknown.code == "invalid_token"
        request("PATCH", "/admin/users/bob", "root", {"disabled": False, "name": "Robert"})
        assert request("GET", "/me", "bob").json["name"] == "Robert"
        assert request("PATCH", "/admin/users/nobody", "root", {"name": "x"}).code == "user_not_found"
        assert store.users.get("nobody") is None


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


def test_an_event_is_what_aws_sends():
    sent = APIGatewayProxyEventV2(event("GET", "/me", "a=b", {}, None))
    assert (sent.http_method, sent.path, sent.raw_query_string) == ("GET", "/me", "a=b")
