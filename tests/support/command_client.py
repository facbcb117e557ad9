"""A connection in this process: its frames go straight to the commands."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime

from parley.dev_tokens import token

from handlers.chat.assistants.registry import Assistants
from handlers.chat.concurrency import Runtime
from handlers.chat.identity.keys import SharedSecret
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.protocol import frames
from handlers.chat.protocol.frames import Error
from handlers.chat.records import Connection
from handlers.chat.settings import Settings
from handlers.chat.turns.actions import Post
from handlers.chat.turns.commands import Commands
from tests.support import contract
from tests.support.runtime import FakeRuntime
from tests.support.unlimited import NO_FRAME_LIMIT

SECRET = "a secret of at least thirty-two bytes"


NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class CommandClient:
    """One connection, and what the commands did for it."""

    def __init__(self, store, name, assistants=None, **limits):
        self.store = store
        self.name = name
        ids = (f"{name}id-{number:03}" for number in itertools.count())
        self.now = NOON
        self.commands = Commands(
            store,
            Authenticator(
                SharedSecret(SECRET), lambda identity: store.users.get(identity.user_id) is not None, Runtime()
            ),
            replace(
                Settings.of({"JWT_SECRET": SECRET, "MESSAGE_CHARS": "100", **limits}),
                assistants=assistants or Assistants(),
            ),
            FakeRuntime(lambda: self.now, lambda: next(ids)),
            NO_FRAME_LIMIT,
        )
        store.connections.add(Connection(name, NOON))

    def sends(self, kind, request_id=None, **data):
        frame = {"type": kind, "data": data} | ({"requestId": request_id} if request_id else {})
        return self.sends_text(json.dumps(frame))

    def sends_text(self, text):
        contract.sent(text)
        actions = []
        self.commands.answer(text, self.name, actions.append, reference="ref")
        for action in actions:
            if isinstance(action, Post):
                contract.received(frames.as_json(action.frame, action.request_id))
        return actions

    def is_answered(self, kind, **data):
        return [action.frame for action in self.sends(kind, **data)]

    def is_refused(self, kind, **data):
        [error] = self.is_answered(kind, **data)
        assert isinstance(error, Error)
        return error.code

    def joins(self, user, chat_id=None, **more):
        data = {"token": token(user, SECRET)} | ({"chatId": chat_id} if chat_id else {}) | more
        return self.is_answered("join_chat", **data)
