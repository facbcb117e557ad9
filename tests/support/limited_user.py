"""Alice in this process, under limits that a test sets."""

import itertools
import json

from handlers.chat.concurrency import Runtime
from handlers.chat.identity.keys import SharedSecret
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.records import Chat, Connection
from handlers.chat.settings import Settings
from handlers.chat.store import Store
from handlers.chat.turns.actions import Begin, Generate
from handlers.chat.turns.commands import Commands
from tests.support.command_client import SECRET
from tests.support.conversation import NOON, answer
from tests.support.runtime import FakeRuntime
from tests.support.stores import CountingTurns, CountingUsers
from tests.support.subscribers import bind
from tests.support.unlimited import NO_FRAME_LIMIT, UNLIMITED


class LimitedUser:
    """Alice, with one device that goes from chat to chat, under some limits."""

    def __init__(self, **limits):
        self.store = Store(Runtime())
        self.store.users = CountingUsers()
        self.store.turns = CountingTurns(self.store.users)
        self.now = NOON
        self.ids = (f"id-{number:04}" for number in itertools.count())
        settings = Settings.of({**UNLIMITED, "JWT_SECRET": SECRET, **limits})
        self.commands = Commands(
            self.store,
            Authenticator(
                SharedSecret(SECRET), lambda identity: self.store.users.get(identity.user_id) is not None, Runtime()
            ),
            settings,
            FakeRuntime(lambda: self.now, lambda: next(self.ids)),
            NO_FRAME_LIMIT,
        )
        self.store.connections.add(Connection("c1=", NOON, "alice"))

    def sees(self, chat_id):
        self.store.chats.add(Chat("alice", chat_id), NOON)
        bind(self.store, "c1=", "alice", chat_id)
        return self

    def sends(self, kind, **data):
        """Send a frame, and return the actions. What begins a turn is an acknowledgement and a handover."""
        actions = []

        def perform(action):
            match action:
                case Begin(acknowledgement, _, handover):
                    self.store.turns.acknowledged(handover.user_id, handover.chat_id, handover.message_id)
                    actions.extend([acknowledgement, Generate(handover)])
                case _:
                    actions.append(action)

        self.commands.answer(json.dumps({"type": kind, "data": data}), "c1=", perform, reference="ref")
        return actions

    def says(self, text="Hi", **data):
        """Send a message, and have it answered at once where it is accepted. Returns the first frame."""
        actions = self.sends("message", message=text, **data)
        for action in actions:
            if isinstance(action, Generate):
                answer(self.store, action.handover, now=self.now)
        return actions[0].frame

    def stored(self, chat_id="chat"):
        return [message.content for message in self.store.messages.newest_first(chat_id)]
