"""A recording gateway, and a chat that waits for its first reply."""

import pytest

from handlers.chat.records import Chat
from tests.support.conversation import ask
from tests.support.recording_gateway import RecordingGateway
from tests.support.reply_worker import NOON, join


@pytest.fixture
def gateway():
    return RecordingGateway()


@pytest.fixture
def chat(store):
    """Two devices of alice in one chat, and her question."""
    store.chats.add(Chat("alice", "chat"), NOON)
    ask(store, "m1", "m2", "Как дела?")
    for name in ("c1=", "c2="):
        join(store, name)
