"""Alice in this process, under limits that a test sets."""

import itertools
import json

from handlers.chat.identity.keys import SharedSecret
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.records import Chat, Connection
from handlers.chat.settings import Settings
from handlers.chat.turns.commands import Commands, Generate
from tests.support.command_client import SECRET
from tests.support.conversation import NOON, answer
from tests.support.stores import CountingStore
from tests.support.unlimited import UNLIMITED


class LimitedUser:
    """Alice, with one device that goes from chat to chat, under some limits."""

    def __init__(self, **limits):
        self.store = CountingStore()
        self.now = NOON
        self.ids = (f"id-{number:04}" for number in itertools.count())
        settings = Settings.of({**UNLIMITED, "JWT_SECRET": SECRET, **limits})
        self.commands = Commands(
            self.store,
            Authenticator(SharedSecret(SECRET), lambda identity: self.store.user(identity.user_id) is not None),
            settings,
            now=lambda: self.now,
            new_id=lambda: next(self.ids),
        )
        self.store.add_connection(Connection("c1=", NOON, "alice"))

    def sees(self, chat_id):
        self.store.add_chat(Chat("alice", chat_id), NOON)
        assert self.store.bind_connection("c1=", "alice", chat_id)
        return self

    def sends(self, kind, **data):
        actions = []
        self.commands.answer(json.dumps({"type": kind, "data": data}), "c1=", actions.append, reference="ref")
        return actions

    def says(self, text="Hi", **data):
        """Send a message, and have it answered at once where it is accepted. Returns the first frame."""
        actions = self.sends("message", message=text, **data)
        for action in actions:
            if isinstance(action, Generate):
                answer(self.store, action.handover, now=self.now)
        return actions[0].frame

    def stored(self, chat_id="chat"):
        return [message.content for message in self.store.messages(chat_id)]
