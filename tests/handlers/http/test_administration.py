"""The requests of administrators, on moto's DynamoDB."""

import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from handlers.chat.protocol.frames import timestamp
from handlers.chat.records import Connection, User
from tests.support.http_api import SECRET, request

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def delivered(invocations):
    return [(each.get("user_id"), each["frame"]) for each in invocations.of("DeliverFunction")]


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
