"""Two frames of one connection at once: the frames, the connection, and what must hold of it after every step."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta

from handlers.chat.identity.tokens import Identity
from handlers.chat.records import Chat, Connection
from handlers.chat.settings import Settings
from handlers.chat.turns.commands import Commands
from tests.faults.simulation.interleaving import SteppedStore
from tests.support.conversation import NOON, answer, ask
from tests.support.runtime import FakeRuntime
from tests.support.unlimited import NO_FRAME_LIMIT, UNLIMITED

ENDS = {
    "alice": NOON + timedelta(minutes=5),
    "alice again": NOON + timedelta(minutes=9),
    "bob": NOON + timedelta(hours=1),
}
CHATS = {("alice", "a1"), ("alice", "a2"), ("bob", "b1")}


class NamedTokens:
    """Stands in for the authenticator: a token is a key of `ENDS`."""

    def identify(self, token):
        return Identity(token.partition(" ")[0], ENDS[token])


FRAMES = {
    "bob joins": ("join_chat", {"token": "bob", "chatId": "b1"}),
    "bob comes": ("join_chat", {"token": "bob"}),
    "alice joins": ("join_chat", {"token": "alice", "chatId": "a1"}),
    "alice joins another": ("join_chat", {"token": "alice again", "chatId": "a2"}),
    "alice renews": ("join_chat", {"token": "alice again"}),
    "join a1": ("join_chat", {"chatId": "a1"}),
    "join a2": ("join_chat", {"chatId": "a2"}),
    "join b1": ("join_chat", {"chatId": "b1"}),
    "create": ("create_chat", {}),
    "create again": ("create_chat", {"clientChatId": "draft"}),
    "leave": ("leave_chat", {}),
    "message": ("message", {"message": "Hi", "clientMessageId": "tag"}),
    "regenerate": ("regenerate", {}),
    "cancel": ("cancel", {}),
    "history": ("load_history", {"before": "x"}),
    "ping": ("ping", {}),
    "disconnect": None,
}
SETTINGS = Settings.of({"JWT_SECRET": "x" * 32, **UNLIMITED})
BEFORE = {"anonymous": [], "alice": ["alice joins", "leave"], "in a chat": ["alice joins"]}


class TwoFrames:
    """A connection of a store, its frames, and what must hold of them."""

    def __init__(self, store):
        self.store, self.users_of = store, {}
        for user_id, chat_id in sorted(CHATS):
            store.chats.add(Chat(user_id, chat_id), NOON)
        answer(store, ask(store, "m1", "m2", chat_id="a1"))
        store.connections.add(Connection("c1=", NOON))
        ids = (f"n{number:03}" for number in itertools.count(100))
        self.commands = Commands(
            SteppedStore(store),
            NamedTokens(),
            SETTINGS,
            FakeRuntime(NOON, lambda: next(ids), lambda _: None),
            NO_FRAME_LIMIT,
        )
        self.answers = []

    def sends(self, name):
        if FRAMES[name] is None:
            SteppedStore(self.store).connections.forget("c1=")
        else:
            kind, data = FRAMES[name]
            body = json.dumps({"type": kind, "data": data})
            self.commands.answer(body, "c1=", self.answers.append, reference="ref")

    def check(self):
        row = self.store.connections.get("c1=")
        for user_id in ("alice", "bob"):
            for chat in self.chats_of(user_id):
                if subscription := chat.subscribers.get("c1="):
                    assert row is not None, "a connection that is gone hears a chat"
                    assert (row.user_id, row.chat_id) == (user_id, chat.chat_id), "it hears a chat that it is not in"
                    assert subscription.until == row.until, "its subscription has another end than its session"
        if row is not None and row.user_id is not None:
            ends = {end for token, end in ENDS.items() if token.partition(" ")[0] == row.user_id}
            assert row.until in ends, "a user has another user's session"

    def check_at_the_end(self):
        row = self.store.connections.get("c1=")
        if row is not None and row.chat_id is not None:
            chat = self.store.chats.get(row.user_id, row.chat_id)
            assert chat is not None, "it is in another user's chat"
            assert "c1=" in chat.subscribers, "it is in a chat that it does not hear"
        errors = [
            each.frame.code for each in self.answers if getattr(each, "frame", None) and each.frame.type == "error"
        ]
        assert row is None or "internal" not in errors

    def chats_of(self, user_id):
        return [chat for (owner, _), chat in self.store.tables.chats.items() if owner == user_id]
