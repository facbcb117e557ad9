"""Isolation: three users know all ids, and none sees data of another, on sockets and over HTTP.

Everything between the wire and the database runs as deployed, in this process: the functions' handlers are called with
events, what they invoke runs at once, and what they post is looked at by whom it reaches.
"""

from __future__ import annotations

import itertools
import json
from io import StringIO
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from parley.dev_tokens import token

from handlers import default, deliver, erase
from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.records import Connection, FinishReason
from handlers.chat.replies.deltas import Delta
from handlers.chat.store import Store
from handlers.chat.store.tables import UserItem
from handlers.chat.turns.lifecycle import Handover
from tests.support import contract, dynamodb
from tests.support.http_api import SECRET, request, services
from tests.support.lambda_context import LambdaContext
from tests.support.reply_worker import NOON, ScriptedModel, reply_worker
from tests.support.wiring import wiring

PARTS, SEQUENCES = 4, 50
STEPS = 8
NO_CHAT = {
    "type": "urn:parley:problem:chat_not_found",
    "title": "Chat not found or access denied",
    "status": 404,
    "detail": "Chat not found or access denied",
    "code": "chat_not_found",
}
NO_CHAT_FRAME = {"message": "Chat not found or access denied", "code": "chat_not_found"}

USERS = st.sampled_from(["ada", "ben", "cid"])
WHICH = st.integers(0, 30)
"""Which of the ids, or connections, that there are by now."""

ON_A_CHAT = {
    "look": ("GET", "", None),
    "rename": ("PATCH", "", "title"),
    "read": ("GET", "/messages", None),
    "export": ("GET", "/export", None),
    "markdown": ("GET", "/export?format=markdown", None),
    "delete": ("DELETE", "", None),
}
_numbers = itertools.count()
_store = Store(Runtime())


class ThreeUsers(RuleBasedStateMachine):
    """Users see only their own messages and the replies to them."""

    wired = None
    """The parts of all functions; the test sets it."""

    def __init__(self):
        super().__init__()
        self.example = next(_numbers)
        WORLDS[:] = [self]
        self.seen_ids = ["made-up", "0199d7c2-5f4e-7c1a-9a3b-2d4e6f8a0b1c"]
        self.cursors = ["made-up"]
        self.owners = {}
        self.chats = {}
        self.connections = {}
        self.asked_with = ""

    @initialize()
    def people(self):
        for table in dynamodb_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].tables.values():
            table.items.clear()
        for user in ("ada", "ben", "cid"):
            name = self.name(user)
            UserItem(name, name=f"words of {name}").save()
            self.owners[name] = name
            self.chats[name] = set()
            connection_id = f"{name}-device="
            _store.connections.add(Connection(connection_id, NOON, name))
            self.connections[connection_id] = name

    def name(self, user):
        return f"{user}-{self.example}"

    # What reaches a user

    def shown(self, user, text):
        """Look at what a user got: nothing in it is another's, but what they asked with themselves."""
        for secret, owner in self.owners.items():
            assert owner == user or secret in self.asked_with or secret not in text, (
                f"{user} was shown {owner}'s {secret}"
            )
        for other in self.chats:
            assert other == user or f"words of {other}" not in text, f"{user} was shown words of {other}"

    def learn(self, user, value):
        """Remember the ids in what a user was shown."""
        match value:
            case dict():
                for name, inner in value.items():
                    if name in ("chatId", "messageId") and inner and inner not in self.owners:
                        self.owners[inner] = user
                        self.seen_ids.append(inner)
                    elif name == "cursor" and inner:
                        self.cursors.append(inner)
                    self.learn(user, inner)
            case list():
                for inner in value:
                    self.learn(user, inner)

    def post(self, connection_id, text):
        """Be the gateway. What is posted is looked at later: a failure here would be one of the gateway's."""
        self.posted.append((connection_id, text.decode()))

    def received(self):
        """Look at what has been posted, and yield each frame with its receiver."""
        for connection_id, text in self.posted:
            user, frame = self.connections[connection_id], json.loads(text)
            contract.received(frame)
            self.shown(user, text)
            self.learn(user, frame)
            assert frame["data"].get("code") != "internal"
            yield connection_id, frame

    def invoke(self, name, payload):
        """Be Lambda."""
        payload = json.loads(json.dumps(payload))
        match name:
            case "DeliverFunction":
                deliver.handle(payload, LambdaContext(), self.wired)
            case "EraseFunction":
                erase.handle(payload, LambdaContext(), self.wired)
            case "GenerateFunction":
                handover = Handover.of(payload)
                model = ScriptedModel(f"answer, words of {handover.user_id}", Delta("", FinishReason.STOP))
                reply_worker(_store, self, model, []).make(handover, lambda: 900.0)

    # What users do

    def send(self, connection_id, kind, **data):
        self.posted = []
        self.asked_with = json.dumps(data)
        body = json.dumps({"type": kind, "data": data})
        default.handle({"requestContext": {"connectionId": connection_id}, "body": body}, LambdaContext(), self.wired)
        return [frame for receiver, frame in self.received() if receiver == connection_id]

    def ask(self, user, method, path, body=None, **query):
        self.posted = []
        self.asked_with = json.dumps([path, body, query])
        path, _, more = path.partition("?")
        answer = request(method, path, user, body, **dict(each.split("=") for each in more.split("&") if each), **query)
        assert answer.status < 500, answer
        assert all(frame["type"] in ("chat_updated", "chat_deleted") for _, frame in self.received())
        self.shown(user, answer.text)
        if answer.text and "json" in answer.headers.get("content-type", ""):
            self.learn(user, answer.json)
        return answer

    def id(self, which):
        return self.seen_ids[-1 - which % len(self.seen_ids)]

    def device(self, which):
        return sorted(self.connections.items())[which % len(self.connections)]

    def text(self, user):
        return f"words of {user}"

    @rule(which=WHICH)
    def create_on_a_socket(self, which):
        connection_id, user = self.device(which)
        for frame in self.send(connection_id, "create_chat", title=self.text(user)):
            if frame["type"] == "chat_created":
                self.chats[user].add(frame["data"]["chatId"])

    @rule(user=USERS, client_chat_id=st.sampled_from([None, "one", "two"]))
    def create_over_http(self, user, client_chat_id):
        user = self.name(user)
        body = {"title": self.text(user), "clientChatId": client_chat_id}
        self.chats[user].add(self.ask(user, "POST", "/chats", body).json["chatId"])

    @rule(device=WHICH, chat=WHICH, message=st.none() | WHICH)
    def join(self, device, chat, message):
        (connection_id, user), chat_id = self.device(device), self.id(chat)
        resume = {"resume": {"messageId": self.id(message), "offset": 0}} if message is not None else {}
        frames = self.send(connection_id, "join_chat", chatId=chat_id, **resume)
        if chat_id in self.chats[user]:
            assert [frame["type"] for frame in frames[:2]] == ["authenticated", "chat_joined"]
        else:
            assert [frame["data"] for frame in frames] == [NO_CHAT_FRAME]

    @rule(device=WHICH)
    def say(self, device):
        connection_id, user = self.device(device)
        self.send(connection_id, "message", message=self.text(user), clientMessageId="tag")

    @rule(device=WHICH, kind=st.sampled_from(["regenerate", "leave_chat", "ping", "cancel"]), message=WHICH)
    def go_on(self, device, kind, message):
        self.send(self.device(device)[0], kind, **({"messageId": self.id(message)} if kind == "cancel" else {}))

    @rule(device=WHICH, message=WHICH)
    def look_back(self, device, message):
        self.send(self.device(device)[0], "load_history", before=self.id(message))

    @rule(device=WHICH, user=USERS)
    def become_another_user(self, device, user):
        connection_id, _ = self.device(device)
        self.connections[connection_id] = self.name(user)
        self.send(connection_id, "join_chat", token=token(self.name(user), SECRET))

    @rule(user=USERS, operation=st.sampled_from(sorted(ON_A_CHAT)), chat=WHICH)
    def use_a_chat(self, user, operation, chat):
        user, chat_id = self.name(user), self.id(chat)
        method, path, field = ON_A_CHAT[operation]
        answer = self.ask(user, method, f"/chats/{chat_id}{path}", {field: self.text(user)} if field else None)
        if chat_id not in self.chats[user]:
            document = answer.json
            assert document.pop("instance") == f"/chats/{chat_id}{path.partition('?')[0]}"
            assert document == NO_CHAT
            return
        assert answer.status < 300
        if operation == "delete":
            self.chats[user].remove(chat_id)

    @rule(user=USERS, chat=WHICH, direction=st.sampled_from(["before", "after"]), message=WHICH)
    def turn_pages(self, user, chat, direction, message):
        user, chat_id = self.name(user), self.id(chat)
        answer = self.ask(user, "GET", f"/chats/{chat_id}/messages", **{direction: self.id(message)})
        assert answer.status == (200 if chat_id in self.chats[user] else 404)

    @rule(user=USERS, cursor=st.none() | WHICH)
    def list_chats(self, user, cursor):
        user = self.name(user)
        query = {} if cursor is None else {"cursor": self.cursors[-1 - cursor % len(self.cursors)]}
        answer = self.ask(user, "GET", "/chats", limit=1, **query)
        if answer.status == 200:
            assert {each["chatId"] for each in answer.json["chats"]} <= self.chats[user]

    @rule(user=USERS, whose=USERS, method=st.sampled_from(["GET", "DELETE"]), known=st.booleans())
    def administer(self, user, whose, method, known):
        target = self.name(whose) if known else "nobody"
        answer = self.ask(self.name(user), method, f"/admin/users/{target}/connections")
        assert (answer.status, answer.code) == (403, "forbidden")

    @invariant()
    def the_lists_hold_what_is_there(self):
        if self.chats:
            kept = {name: {each["chatId"] for each in _rows(name)} for name in self.chats}
            assert kept == self.chats


WORLDS = []
"""The one that is being played."""


def _rows(user):
    table = dynamodb_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].tables["ChatsTable"]
    rows = table.items.get(_hash(user), {})
    return [{"chatId": item.attrs["chatId"].value} for item in rows.values()]


def _hash(user):
    return DynamoType({"S": user})


@pytest.fixture
def wired(store, monkeypatch):
    # Hypothesis makes a world for each example: the functions meet the one that is being played.
    wire = SimpleNamespace(
        post=lambda connection_id, text: WORLDS[0].post(connection_id, text),
        invoke=lambda name, payload: WORLDS[0].invoke(name, payload),
    )
    monkeypatch.setattr(ThreeUsers, "wired", wiring(gateway=wire, functions=wire))
    with services(functions=wire, gateway=wire):
        yield


@pytest.mark.skipif(bool(dynamodb.URL), reason="it empties and reads moto's tables directly")
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.full) for part in range(1, PARTS))])
def test_nobody_learns_of_another_users_anything(wired, monkeypatch, part):
    monkeypatch.setattr(logger.registered_handler, "stream", log := StringIO())
    run_state_machine_as_test(
        ThreeUsers,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=False,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    printed = log.getvalue()
    assert '"frame_handled"' in printed
    assert "words of" not in printed, "the log holds what users wrote"
    assert "eyJ" not in printed, "the log holds a token"
